//! What the scheduler says, over its control socket, and what it is asked to do.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};

use super::{Desk, failed, lock};
use crate::cli::command::{logs, request};
use crate::control::wire::view::{JobDetails, JobLine, StatusView};
use crate::core::event::RunId;
use crate::core::printed::Printed;
use crate::web::{Act, Heard, Overview, Source, Trouble, Verb};

impl Desk {
    /// Asks the scheduler how everything stands.
    pub(super) fn ask(&self) -> anyhow::Result<Overview> {
        let mut client = self.connect()?;
        let (mut lines, mut hosts) = (Vec::new(), 0);
        let mut wrong = None;
        client
            .ask_all(&json!({ "do": "list" }), |mut part| {
                hosts = request::number(&part, "hosts");
                let jobs = part.get_mut("jobs").and_then(Value::as_array_mut);
                for job in jobs.into_iter().flatten() {
                    match serde_json::from_value::<JobLine>(job.take()) {
                        Ok(line) => lines.push(line),
                        Err(error) => wrong = Some(error),
                    }
                }
            })
            .map_err(request::told)?;
        if let Some(error) = wrong {
            anyhow::bail!("the scheduler speaks another version: {error}");
        }
        let status = client.ask(&json!({ "do": "status" })).map_err(request::told)?;
        let status: StatusView = request::read(status)?;
        let verdict = client.ask(&json!({ "do": "health" })).map_err(request::told)?;
        let frame = self.frame(None, Some(&status));
        let rows = self.rows(lines);
        Ok(Overview {
            frame,
            rows,
            hosts,
            warnings: warnings(&verdict, &status),
            status: Some(status),
        })
    }

    /// What an active run has printed so far.
    pub(super) fn printed_so_far(&self, job: &str, run: RunId) -> Option<Printed> {
        let mut client = self.connect().ok()?;
        client.ask(&json!({ "do": "follow", "job": job, "past": true })).ok()?;
        let mut past = logs::follow::past(&mut client).ok()?;
        past.active.remove(&run).map(|(_, printed)| printed)
    }

    /// What is known of a job there.
    pub(super) fn details(&self, id: &str) -> Option<JobDetails> {
        let shown = self.connect().ok()?.ask(&json!({ "do": "show", "job": id })).ok()?;
        request::read(shown).ok()
    }

    /// Whether the scheduler that is asked here has a run.
    pub(super) fn is_active(&self, run: u64) -> bool {
        let all = self.overview(Duration::from_secs(1)).ok();
        let status = all.as_ref().and_then(|all| all.status.as_ref());
        status.is_some_and(|status| status.active.iter().any(|active| active.run == Some(run)))
    }

    /// See [`Source::follow`](crate::web::Source::follow).
    pub(super) fn follow_run(
        &self,
        job: &str,
        run: u64,
        hear: &mut dyn FnMut(Heard<'_>) -> bool,
    ) -> Result<(), Trouble> {
        let mut client = self.connect().map_err(failed)?;
        let request = json!({ "do": "follow", "job": job, "past": true });
        client.ask(&request).map_err(request::told).map_err(failed)?;
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        loop {
            let is_there = client.has_more() || {
                let mut sockets = [PollFd::new(client.socket(), PollFlags::IN)];
                poll(&mut sockets, Some(&second))
                    .map_err(|error| failed(anyhow::Error::from(error)))?
                    > 0
            };
            if !is_there {
                if !hear(Heard::Nothing) || !self.is_active(run) {
                    return Ok(());
                }
                continue;
            }
            let said = client.receive().map_err(request::told).map_err(failed)?;
            if said.contains_key("lost") && !hear(Heard::Lost) {
                return Ok(());
            }
            if said.get("run").and_then(Value::as_u64) != Some(run) {
                continue;
            }
            if said.contains_key("ended") {
                return Ok(());
            }
            if let Some(text) = said.get("text").and_then(Value::as_str) {
                let is_stderr = said.get("stream").is_some_and(|stream| stream == "stderr");
                if !hear(Heard::Text { text, is_stderr }) {
                    return Ok(());
                }
            }
        }
    }

    /// See [`Source::act`](crate::web::Source::act).
    pub(super) fn request(
        &self,
        act: &Act,
        user: &str,
        reason: &str,
    ) -> Result<Option<u64>, Trouble> {
        let mut request = json!({ "do": act.verb.word(), "for_user": user });
        match act.run {
            Some(run) => request["run"] = run.into(),
            None => request["job"] = act.job.as_str().into(),
        }
        if act.verb == Verb::Pause && !reason.is_empty() {
            request["reason"] = reason.into();
        }
        let mut client = self.connect().map_err(failed)?;
        let done = client.ask(&request).map_err(request::told).map_err(failed)?;
        *lock(&self.seen) = None;
        Ok(done.get("run").and_then(Value::as_u64))
    }
}

/// What is not as it should be.
fn warnings(verdict: &Map<String, Value>, status: &StatusView) -> Vec<String> {
    let said = verdict.get("output").and_then(Value::as_str).unwrap_or_default();
    let said = said.split("; ").filter(|text| !text.is_empty()).map(str::to_owned);
    let mut all: Vec<String> = said.collect();
    for reason in &status.reasons {
        if !all.contains(reason) {
            all.push(reason.clone());
        }
    }
    if status.changed_since.is_some() {
        all.push(
            "the jobfile was edited since it was loaded; schedrs reload takes it up".to_owned(),
        );
    }
    if status.stopping {
        all.push("the scheduler is stopping".to_owned());
    }
    all
}
