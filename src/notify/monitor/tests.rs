//! What each service is told, word by word.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::job::{Command, Grace, Options};
use crate::core::monitor::PingOn;
use crate::core::notify::ping::{Phase, rid};
use crate::core::route::Secret;
use crate::core::trigger::cron::crontab::{self, Crontab};
use crate::core::trigger::{CronTrigger, DateTrigger, IntervalTrigger, Trigger};
use crate::core::zone::{Database, Zone};
use crate::notify::secret::{Machine, resolve};

const RID: &str = "1f2e3d4c-0000-8000-8000-000000000007";

fn ping(phase: Phase, outcome: Option<Outcome>, output: &str) -> Ping {
    Ping {
        job: "backup".into(),
        phase,
        run: Some(RunId(7)),
        rid: RID.into(),
        due: Instant::from_secs(0),
        at: Instant::from_secs(0),
        duration: outcome.as_ref().map(|_| Duration::from_millis(12_500)),
        outcome,
        attempts: 1,
        output: (!output.is_empty()).then(|| output.into()),
    }
}

fn start() -> Ping {
    ping(Phase::Start, None, "")
}

fn end(outcome: Outcome, output: &str) -> Ping {
    ping(Phase::End, Some(outcome), output)
}

fn beat() -> Ping {
    Ping { job: "".into(), run: None, ..ping(Phase::Beat, None, "") }
}

fn job(trigger: Trigger, options: Options) -> Job {
    let zone = Database::bundled().get("Europe/Berlin").unwrap();
    let (id, name) = ("Nightly Backup".into(), None);
    let (command, options) = (Command::Shell("x".into()), Arc::new(options));
    Job { id, name, command, trigger, zone, executor: 0, options }
}

fn cron(text: &str) -> Trigger {
    let zone = Database::bundled().get("Europe/Berlin").unwrap();
    let Some(Crontab::Schedule(schedule)) = crontab::parse(text, "", &mut Vec::new()) else {
        panic!("{text}");
    };
    Trigger::Cron(CronTrigger::new([schedule], zone, None, None).into())
}

/// The request, if there is one.
fn made(
    kind: Option<MonitorKind>,
    url: &str,
    ping: &Ping,
    job: &Job,
    limit: Option<usize>,
) -> Option<Request> {
    let monitor = Monitor::of(kind, Secret::Text(url.into()));
    let url = resolve(&monitor.url, &Machine).unwrap();
    let job = (ping.phase != Phase::Beat).then_some(job);
    let about = About { monitor: &monitor, url: &url, job, every: Some(300), host: "web1", limit };
    let work = work("1", ping, &about).unwrap()?;
    assert!(!work.secrets.is_empty());
    let Task::Http(request) = work.task else { panic!("{:?}", work.task) };
    let value = |name: &str| {
        let header = request.headers.iter().find(|(other, _)| **other == *name);
        header.map(|(_, value)| value.as_str().to_owned())
    };
    assert_eq!(value("User-Agent").as_deref(), Some(form::AGENT));
    Some(request)
}

/// `METHOD URL`, and the body if there is one.
fn shown(kind: Option<MonitorKind>, url: &str, ping: &Ping) -> String {
    let job = job(cron("0 2 * * *"), Options::default());
    let Some(request) = made(kind, url, ping, &job, None) else { return "nothing".to_owned() };
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Head => "HEAD",
    };
    let body = if request.body.is_empty() { String::new() } else { format!(" {}", request.body) };
    format!("{method} {}{body}", request.url)
}

#[test]
fn healthchecks() {
    let url = "https://hc-ping.com/eb095278-f28d-448d-87fb-7b75c171a6aa";
    let rows = [
        (start(), format!("POST {url}/start?rid={RID}")),
        (end(Outcome::Succeeded, "all well\n"), format!("POST {url}?rid={RID} all well\n")),
        (end(Outcome::Succeeded, ""), format!("POST {url}?rid={RID}")),
        (end(Outcome::Failed(3), "no space\n"), format!("POST {url}/3?rid={RID} no space\n")),
        (end(Outcome::Failed(255), ""), format!("POST {url}/255?rid={RID}")),
        // A job with `success_codes = [3]` has failed with it.
        (
            end(Outcome::Failed(0), ""),
            format!("POST {url}/fail?rid={RID} schedrs: failed with exit code 0 after 12.5s"),
        ),
        (
            end(Outcome::Killed(9), "half\n"),
            format!("POST {url}/fail?rid={RID} half\nschedrs: killed by SIGKILL after 12.5s"),
        ),
        (
            end(Outcome::TimedOut, ""),
            format!("POST {url}/fail?rid={RID} schedrs: timed out after 12.5s"),
        ),
        (
            end(Outcome::Lost("the machine died".into()), ""),
            format!("POST {url}/fail?rid={RID} schedrs: lost: the machine died"),
        ),
        (beat(), format!("POST {url}?rid={RID}")),
    ];
    for (ping, expected) in rows {
        assert_eq!(shown(None, url, &ping), expected);
    }
    // By slug, with what is in the URL already.
    let slug = "https://hc.example.org/ping/key/{slug}/?create=1&rid=old";
    let rows = [
        (start(), "/start"),
        (end(Outcome::Succeeded, ""), ""),
        (end(Outcome::Failed(1), ""), "/1"),
    ];
    for (ping, path) in rows {
        let expected =
            format!("POST https://hc.example.org/ping/key/nightly-backup{path}?create=1&rid={RID}");
        assert_eq!(shown(Some(MonitorKind::Healthchecks), slug, &ping), expected);
    }
}

#[test]
fn a_body_is_the_end_of_the_output() {
    let job = job(cron("0 2 * * *"), Options::default());
    let text = format!("{}é the end", "x".repeat(20_000));
    let body = |outcome, limit| {
        let ping = end(outcome, &text);
        made(None, "https://hc-ping.com/x", &ping, &job, limit).unwrap().body
    };
    assert_eq!(body(Outcome::Succeeded, None), text[text.len() - 10_000..]);
    assert_eq!(body(Outcome::Succeeded, Some(7)), "the end");
    // Nobody gets half of a letter, nor more than is kept.
    assert_eq!(body(Outcome::Succeeded, Some(9)), " the end");
    assert_eq!(body(Outcome::Succeeded, Some(1_000_000)).len(), 10_000);
    assert!(
        body(Outcome::TimedOut, Some(100)).ends_with("é the end\nschedrs: timed out after 12.5s")
    );
}

#[test]
fn sentry() {
    let url = "https://o1.ingest.us.sentry.io/api/42/cron/{slug}/abc/";
    let place = "POST https://o1.ingest.us.sentry.io/api/42/cron/nightly-backup/abc/";
    let head = format!(r#"{{"check_in_id":"{RID}","monitor_slug":"nightly-backup","status":"#);
    let config = r#""monitor_config":{"schedule":{"type":"crontab","value":"0 2 * * *"},"checkin_margin":1,"timezone":"Europe/Berlin"}"#;
    let rows = [
        (start(), format!(r#"{place} {head}"in_progress",{config}}}"#)),
        (
            end(Outcome::Succeeded, "out"),
            format!(r#"{place} {head}"ok","duration":12.5,{config}}}"#),
        ),
        (
            end(Outcome::Failed(1), ""),
            format!(r#"{place} {head}"error","duration":12.5,{config}}}"#),
        ),
    ];
    for (ping, expected) in rows {
        assert_eq!(shown(None, url, &ping), expected);
    }
    let expected = format!(
        r#"POST https://s.example.org/api/2/cron/schedrs/abc/ {{"check_in_id":"{RID}","monitor_slug":"schedrs","status":"ok","monitor_config":{{"schedule":{{"type":"interval","value":5,"unit":"minute"}}}}}}"#
    );
    assert_eq!(shown(None, "https://s.example.org/api/2/cron/{job}/abc/", &beat()), expected);
}

#[test]
fn what_sentry_is_told_of_a_schedule() {
    let every =
        |secs| Trigger::Interval(IntervalTrigger::new(Duration::from_secs(secs), None, None));
    let crontab = |value: &str| {
        Some(format!(
            r#"{{"schedule":{{"type":"crontab","value":"{value}"}},"checkin_margin":1,"timezone":"Europe/Berlin"}}"#
        ))
    };
    let interval = |value: u64, unit: &str| {
        Some(format!(
            r#"{{"schedule":{{"type":"interval","value":{value},"unit":"{unit}"}},"checkin_margin":1}}"#
        ))
    };
    let rows = [
        (cron("*/15 9-17 * * mon-fri"), crontab("*/15 9-17 * * mon-fri")),
        (cron("0 0 1,15 * *"), crontab("0 0 1,15 * *")),
        // Sentry has no seconds, and no last day.
        (cron("30 0 2 * * *"), None),
        (cron("0 4 L * *"), None),
        (cron("0 4 * * fri#2"), None),
        (every(60), interval(1, "minute")),
        (every(5400), interval(90, "minute")),
        (every(7200), interval(2, "hour")),
        (every(7 * 86_400), interval(7, "day")),
        (every(30), None),
        (every(90), None),
        (Trigger::Date(DateTrigger::Reboot), None),
    ];
    let config = |job: &Job| {
        let url = "https://s.example.org/api/2/cron/x/abc/";
        let request = made(None, url, &start(), job, None).unwrap();
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        body.get("monitor_config").cloned()
    };
    for (trigger, expected) in rows {
        let job = job(trigger, Options::default());
        let expected = expected.map(|text| serde_json::from_str(&text).unwrap());
        assert_eq!(config(&job), expected, "{:?}", job.trigger);
    }
    let options = |grace, timeout, retries| Options {
        misfire_grace_time: grace,
        timeout: Some(Duration::from_secs(timeout)),
        retries,
        jitter: Duration::from_secs(30),
        ..Options::default()
    };
    let limited = Grace::Limited(Duration::from_secs(300));
    let rows = [
        (options(limited, 90, 0), Some(6), Some(2)),
        // Nobody knows how long all attempts take.
        (options(limited, 90, 2), Some(6), None),
        (options(Grace::Forever, 3600, 0), None, Some(60)),
    ];
    for (options, margin, runtime) in rows {
        let found = config(&job(every(60), options)).unwrap();
        let number = |key: &str| found.get(key).and_then(serde_json::Value::as_u64);
        assert_eq!((number("checkin_margin"), number("max_runtime")), (margin, runtime));
    }
}

#[test]
fn cronitor() {
    let url = "https://cronitor.link/p/key/{job}?env=prod";
    let place = format!(
        "GET https://cronitor.link/p/key/Nightly%20Backup?env=prod&state=run&series={RID}&host=web1"
    );
    let ended = |state: &str, more: &str| {
        format!(
            "{}&metric=duration:12.500{more}",
            place.replace("state=run", &format!("state={state}"))
        )
        .replace("duration:", "duration%3A")
    };
    let rows = [
        (start(), place.clone()),
        (end(Outcome::Succeeded, ""), ended("complete", "&status_code=0")),
        (
            end(Outcome::Succeeded, "1 & 2\n"),
            ended("complete", "&status_code=0&message=1%20%26%202"),
        ),
        (
            end(Outcome::Failed(3), "no space\n"),
            ended(
                "fail",
                "&status_code=3&message=no%20space%0Afailed%20with%20exit%20code%203%20after%2012.5s",
            ),
        ),
        (
            end(Outcome::Killed(9), ""),
            ended("fail", "&message=killed%20by%20SIGKILL%20after%2012.5s"),
        ),
    ];
    for (ping, expected) in rows {
        assert_eq!(shown(None, url, &ping), expected);
    }
    let expected = format!("GET https://cronitor.link/p/key/beat?series={RID}&host=web1");
    assert_eq!(shown(None, "https://cronitor.link/p/key/beat", &beat()), expected);
    // Its message is the end of it, and not too long in any alphabet.
    for text in ["x".repeat(9000), "ä ".repeat(9000), "\u{1f600}".repeat(2000)] {
        let text = format!("{text}END");
        let url = shown(None, url, &end(Outcome::Failed(1), &text));
        let message = url.split("&message=").nth(1).unwrap();
        assert!(message.len() <= 2000 && message.len() > 1900, "{}", message.len());
        assert!(message.contains("END%0Afailed"), "{message}");
    }
}

#[test]
fn kuma() {
    let url = "https://status.example.org/api/push/abc?status=up&msg=OK&ping=";
    let place = "GET https://status.example.org/api/push/abc?status=";
    let rows = [
        (start(), "nothing".to_owned()),
        (end(Outcome::Succeeded, "x"), format!("{place}up&msg=OK&ping=12500")),
        (
            end(Outcome::Failed(3), "x"),
            format!("{place}down&msg=failed%20with%20exit%20code%203%20after%2012.5s&ping=12500"),
        ),
        (beat(), format!("{place}up&msg=OK&ping=")),
    ];
    for (ping, expected) in rows {
        assert_eq!(shown(None, url, &ping), expected);
    }
}

#[test]
fn a_plain_url() {
    let url = "https://nosnch.in/c2354d53d2?m={host}";
    let asked = "GET https://nosnch.in/c2354d53d2?m=web1";
    let rows = [
        (start(), "nothing"),
        (end(Outcome::Succeeded, "x"), asked),
        (end(Outcome::Failed(3), "x"), "nothing"),
        (beat(), asked),
    ];
    for (ping, expected) in rows {
        assert_eq!(shown(None, url, &ping), expected);
    }
    let monitor = Monitor {
        on: [PingOn::Start, PingOn::Failure].into(),
        ..Monitor::of(Some(MonitorKind::Url), Secret::Text(url.into()))
    };
    let resolved = resolve(&monitor.url, &Machine).unwrap();
    let about = About {
        monitor: &monitor,
        url: &resolved,
        job: None,
        every: None,
        host: "web1",
        limit: None,
    };
    for (ping, is_sent) in
        [(start(), true), (end(Outcome::Succeeded, ""), false), (end(Outcome::TimedOut, ""), true)]
    {
        assert_eq!(work("1", &ping, &about).unwrap().is_some(), is_sent, "{ping:?}");
    }
}

/// What a job is called leads nowhere else, and what is wrong with a URL says nothing of it.
#[test]
fn where_it_leads_is_not_for_a_job_to_choose() {
    let evil =
        Job { id: "../x?y=1#@evil.org/\r\n".into(), ..job(cron("0 2 * * *"), Options::default()) };
    let request = made(None, "https://hc-ping.com/k/{job}", &start(), &evil, None).unwrap();
    assert_eq!(
        &*request.url,
        format!("https://hc-ping.com/k/..%2Fx%3Fy%3D1%23%40evil.org%2F%0D%0A/start?rid={RID}")
    );
    let rows = [
        ("https://hc-ping.com/s3cret/{jobs}", "ping: unknown placeholder `jobs` in its URL"),
        ("hc-ping.com/s3cret", "ping: it is no URL such as https://example.org/path"),
        (
            "https://x.ingest.sentry.io/api/1/cron/s3cret",
            "ping: a monitor of Sentry has a URL such as \
             https://HOST/api/PROJECT/cron/MONITOR/KEY/",
        ),
    ];
    for (url, expected) in rows {
        let monitor = Monitor::of(None, Secret::Text(url.into()));
        let url = resolve(&monitor.url, &Machine).unwrap();
        let about = About {
            monitor: &monitor,
            url: &url,
            job: Some(&evil),
            every: None,
            host: "h",
            limit: None,
        };
        assert_eq!(work("1", &start(), &about).unwrap_err(), expected);
    }
    // The user of a URL goes into a header.
    let job = job(cron("0 2 * * *"), Options::default());
    let url = "https://ann:pass@kuma.example.org/api/push/abc";
    let request = made(None, url, &end(Outcome::Succeeded, ""), &job, None).unwrap();
    assert!(!request.url.contains("pass"), "{request:?}");
    assert!(request.headers.iter().any(|(name, _)| &**name == "Authorization"));
    assert_eq!(rid("", RunId(1)).len(), RID.len());
    assert!(Zone::utc().has_name());
}
