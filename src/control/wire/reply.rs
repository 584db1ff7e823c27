//! What is said of one request by one scheduler to another: the line that asks, and the object that
//! answers. The former is what `super::parse` reads.

use serde_json::{Value, json};

use super::view::{JobLine, PausedView, StatusView};
use crate::control::{Request, Target};
use crate::core::event::{Fault, Response};
use crate::core::words;
use crate::core::zone::Zone;

/// The line for a request that may be passed on to another host; `None`: it may not.
pub fn request_line(request: &Request) -> Option<String> {
    let time = |at| words::rfc3339(at, &Zone::utc());
    let mut line = match request {
        Request::Ping => json!({ "do": "ping" }),
        Request::Start { job, force, wait: _, on: _ } => {
            json!({ "do": "start", "job": job, "force": force })
        }
        Request::Stop(Target::Job(job)) => json!({ "do": "stop", "job": job }),
        Request::Stop(Target::Run(run)) => json!({ "do": "stop", "run": run.0 }),
        Request::Pause { job: Some(job), until, reason } => {
            json!({ "do": "pause", "job": job, "until": until.map(time), "reason": reason })
        }
        Request::Resume { job: Some(job) } => json!({ "do": "resume", "job": job }),
        Request::Remove { job } => json!({ "do": "remove", "job": job }),
        Request::Add { job, text, replace } => {
            json!({ "do": "add", "job": job, "toml": text, "replace": replace })
        }
        Request::Modify { job, text } => json!({ "do": "modify", "job": job, "toml": text }),
        Request::Reschedule { job, text } => {
            json!({ "do": "reschedule", "job": job, "toml": text })
        }
        Request::Reset { job } => json!({ "do": "reset", "job": job }),
        _ => return None,
    };
    if let Value::Object(keys) = &mut line {
        keys.retain(|_, value| !value.is_null());
    }
    Some(line.to_string())
}

/// What the loop has answered, as an object, if it is the whole answer to a request.
pub fn body(response: &Response) -> Option<String> {
    Some(super::json(&match response {
        Response::Done => json!({}),
        Response::Started { run, waits } => json!({ "run": run.0, "waits": waits }),
        Response::Stopped(runs) => {
            let runs: Vec<u64> = runs.iter().map(|run| run.0).collect();
            json!({ "stopped": runs })
        }
        Response::Resumed { was, still, zone } => {
            let mut body = json!({ "was_paused": was });
            if let Some(paused) = PausedView::new(still, zone) {
                body["paused"] = json!(paused);
            }
            body
        }
        Response::Reloaded { added, changed, removed, unchanged } => json!({
            "added": added, "changed": changed, "removed": removed, "unchanged": unchanged,
        }),
        Response::Notified { route, count } => json!({ "route": route, "notifications": count }),
        // Whether it has run is of no interest for a job that was just added.
        Response::Job { job, warnings } => {
            let mut body = json!({ "job": JobLine::new(&job.view, None, None) });
            if !warnings.is_empty() {
                body["warnings"] = warnings.as_slice().into();
            }
            body
        }
        Response::Status { health, status } => {
            return Some(super::json(&StatusView::new(health, status)));
        }
        Response::Elsewhere { body, .. } => return Some(body.to_string()),
        Response::Jobs(_) | Response::Vitals(_) | Response::Ended(_) | Response::Refused(_) => {
            return None;
        }
    }))
}

/// The line that answers another host.
pub fn answer_line(response: &Response) -> String {
    let line = match (response, body(response)) {
        (Response::Refused(fault), _) => super::fault_line(None, fault),
        (_, Some(body)) => super::good_line(None, &body),
        (_, None) => {
            let text = "the answer cannot be passed on";
            super::fault_line(None, &Fault::new(crate::core::event::Code::Internal, text))
        }
    };
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::core::event::RunId;
    use crate::core::instant::Instant;

    /// What is passed on is what was asked.
    #[test]
    fn a_request_survives_its_way() {
        let now = Instant::from_secs(1_800_000_000);
        let (until, reason) = (Some(now.plus(std::time::Duration::from_micros(7))), None);
        for request in [
            Request::Ping,
            Request::Start { job: "a\n\"b".into(), force: true, wait: false, on: None },
            Request::Stop(Target::Job("14".into())),
            Request::Stop(Target::Run(RunId(u64::MAX >> 1))),
            Request::Pause { job: Some("a".into()), until, reason: Some("why not".into()) },
            Request::Pause { job: Some("a".into()), until: None, reason },
            Request::Resume { job: Some("a".into()) },
            Request::Remove { job: "a".into() },
            Request::Add {
                job: "a".into(),
                text: "command = 'x'\ncron = '* * * * *'\n".into(),
                replace: true,
            },
            Request::Modify { job: "a".into(), text: "timeout = '1s'\n".into() },
            Request::Reschedule { job: "a".into(), text: "interval = '1s'\n".into() },
            Request::Reset { job: "a".into() },
        ] {
            let line = request_line(&request).unwrap();
            assert_eq!(parse(line.as_bytes(), now).request, Ok(request), "{line}");
        }
        for request in [Request::Status, Request::Pause { job: None, until: None, reason: None }] {
            assert_eq!(request_line(&request), None);
        }
    }
}
