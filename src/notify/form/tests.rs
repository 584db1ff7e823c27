mod laws;
mod mail;

use serde_json::{Value, json};

use super::*;
use crate::core::instant::Instant;
use crate::core::job::Command;
use crate::core::notify::{Kind, Secret, Smtp};
use crate::core::outcome::Outcome;
use crate::notify::secret::{Access, Secrets};
use crate::notify::text::tests::{context, message, notification};

/// There is nothing to be read: all secrets are plain.
struct Nothing;

impl Access for Nothing {
    fn file(&self, _: &std::path::Path) -> Result<Vec<u8>, String> {
        Err("is not there".to_owned())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

fn secret(text: &str) -> Secret {
    Secret::Text(text.into())
}

/// A route of each service, by its word.
fn service(word: &str) -> Service {
    match word {
        "webhook" => Service::Webhook {
            url: secret("https://example.org/hook?x=1"),
            secret: Some(secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
        },
        "slack" => Service::Slack { url: secret("https://hooks.slack.com/services/T0/B0/s3cret") },
        "discord" => Service::Discord { url: secret("https://discord.com/api/webhooks/1/s3cret") },
        "ntfy" => Service::Ntfy { url: secret("https://ntfy.sh/s3cret"), token: None },
        "gotify" => {
            Service::Gotify { url: secret("http://gotify:8080/base/"), token: secret("Atoken") }
        }
        "telegram" => {
            Service::Telegram { token: secret("123:ABC-d_e"), chat: "-100".into(), url: None }
        }
        "pagerduty" => Service::PagerDuty { key: secret("R0UTING"), url: None },
        "mail" => Service::Mail {
            to: ["ops@example.org".into(), "root".into()].into(),
            from: None,
            smtp: None,
        },
        _ => Service::Command(Command::Shell("tell".into())),
    }
}

const SERVICES: [&str; 9] =
    ["webhook", "slack", "discord", "ntfy", "gotify", "telegram", "pagerduty", "mail", "command"];

fn work_of(service: Service, message: &Message) -> Result<Vec<Work>, String> {
    let secrets = Secrets::of(&service, &Nothing)?;
    work(&Route::of("ops", service), message, &context(&secrets))
}

/// A failure with output.
fn failed() -> Notification {
    Notification {
        streak: 2,
        since: Some(Instant::from_secs(1_795_744_800)),
        output: Some("no route\nto *host* <!here>\n".into()),
        ..notification(Kind::Failed, Some(Outcome::Failed(3)))
    }
}

fn request_of(word: &str, message: &Message) -> Request {
    let mut work = work_of(service(word), message).unwrap();
    match work.pop().unwrap().task {
        Task::Http(request) => request,
        other => panic!("{other:?}"),
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

fn json_of(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

/// What each service is sent for a failure.
#[test]
fn requests() {
    let first = "backup failed: exit 3 (2nd time in a row), on web1";
    let details = "due Sat 2026-11-28 02:00:00 +00:00, run 4711, took 12.4s\n\
                   failing since Fri 2026-11-27 02:00:00 +00:00";
    let rows = [
        (
            "slack",
            "https://hooks.slack.com/services/T0/B0/s3cret",
            json!({
                "text": format!("{first}\n{details}\n```\nno route\nto *host* &lt;!here&gt;\n```"),
                "unfurl_links": false,
                "unfurl_media": false,
            }),
        ),
        (
            "discord",
            "https://discord.com/api/webhooks/1/s3cret",
            json!({
                "content": format!("{first}\n{details}\n```\nno route\nto *host* <!here>\n```"),
                "allowed_mentions": { "parse": [] },
                "flags": 4,
            }),
        ),
        (
            "ntfy",
            "https://ntfy.sh/",
            json!({
                "topic": "s3cret",
                "title": first,
                "message": format!("{details}\nno route\nto *host* <!here>"),
                "priority": 4,
                "tags": ["x"],
            }),
        ),
        (
            "gotify",
            "http://gotify:8080/base/message",
            json!({
                "title": first,
                "message": format!("{details}\n\nno route\nto *host* <!here>"),
                "priority": 8,
            }),
        ),
        (
            "telegram",
            "https://api.telegram.org/bot123:ABC-d_e/sendMessage",
            json!({
                "chat_id": "-100",
                "text": format!("{first}\n{details}\n\nno route\nto *host* <!here>"),
                "link_preview_options": { "is_disabled": true },
            }),
        ),
    ];
    for (word, url, body) in rows {
        let request = request_of(word, &message(vec![failed()], 0));
        assert_eq!((&*request.url, json_of(&request)), (url, body), "{word}");
        assert_eq!(header(&request, "content-type"), Some("application/json"));
        assert!(header(&request, "user-agent").unwrap().starts_with("schedrs/"));
        let key = if word == "gotify" { Some("Atoken") } else { None };
        assert_eq!(header(&request, "X-Gotify-Key"), key, "{word}");
        assert_eq!(header(&request, "Authorization"), None, "{word}");
    }
}

/// What a program is told, in the words of `history`.
fn data() -> Value {
    json!({
        "kind": "failed",
        "text": "backup failed: exit 3 (2nd time in a row)",
        "job": "backup",
        "host": "web1",
        "run": 4711,
        "due": "2026-11-28T02:00:00+00:00",
        "last_due": "2026-11-28T02:00:00+00:00",
        "count": 1,
        "outcome": "failed",
        "exit": 3,
        "at": "2026-11-28T02:00:13+00:00",
        "started": "2026-11-28T02:00:01+00:00",
        "ended": "2026-11-28T02:00:13.400+00:00",
        "duration_ms": 12_400,
        "attempts": 1,
        "streak": 2,
        "since": "2026-11-27T02:00:00+00:00",
        "output": "no route\nto *host* <!here>",
    })
}

#[test]
fn a_webhook_is_signed() {
    let request = request_of("webhook", &message(vec![failed()], 0));
    assert_eq!(&*request.url, "https://example.org/hook?x=1");
    let mut expected = data();
    expected["route"] = json!("ops");
    let body = json_of(&request);
    assert_eq!(body["type"], "run.failed");
    assert_eq!(body["timestamp"], "2026-11-28T02:00:13Z");
    assert_eq!(body["data"], expected);
    assert_eq!(header(&request, "webhook-id"), Some("msg_n1"));
    assert_eq!(header(&request, "webhook-timestamp"), Some("1795831260"));
    let signature = header(&request, "webhook-signature").unwrap();
    assert!(signature.starts_with("v1,") && signature.len() == 47, "{signature}");

    // Two keys, two signatures; no key, none.
    let keys = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let signed = |key: Option<&str>| {
        let url = secret("https://example.org/hook");
        let service = Service::Webhook { url, secret: key.map(secret) };
        work_of(service, &message(vec![failed()], 0))
    };
    for (key, count) in [(Some(keys), 2), (None, 0)] {
        let work = signed(key).unwrap();
        let Task::Http(request) = &work[0].task else { panic!("{work:?}") };
        let signatures = header(request, "webhook-signature").unwrap_or_default();
        assert_eq!(signatures.split_whitespace().count(), count);
    }
    let error = signed(Some("s3cret")).unwrap_err();
    assert_eq!(error, "secret: it is not `whsec_` and base64 of 24 to 64 bytes");
}

#[test]
fn programs_get_a_request_for_each_notification() {
    let second = Notification { id: "n2".into(), job: "report".into(), ..failed() };
    let message = message(vec![failed(), second], 480);
    for word in ["webhook", "pagerduty"] {
        let work = work_of(service(word), &message).unwrap();
        let ids: Vec<&str> = work.iter().map(|work| &*work.id).collect();
        assert_eq!(ids, ["n1", "n2"], "{word}");
        let Task::Http(last) = &work[1].task else { panic!("{work:?}") };
        assert!(last.body.contains("480"), "{}", last.body);
    }
    for word in ["slack", "mail", "command"] {
        let work = work_of(service(word), &message).unwrap();
        assert_eq!((work.len(), &*work[0].id, &*work[0].service), (1, "m1", word));
    }
}

#[test]
fn pagerduty_has_an_incident_for_each_job() {
    let request = request_of("pagerduty", &message(vec![failed()], 0));
    assert_eq!(&*request.url, "https://events.pagerduty.com/v2/enqueue");
    let body = json_of(&request);
    let expected = json!({
        "routing_key": "R0UTING",
        "event_action": "trigger",
        "dedup_key": "schedrs/web1/backup",
        "payload": {
            "summary": "backup failed: exit 3 (2nd time in a row), on web1",
            "source": "web1",
            "severity": "error",
            "timestamp": "2026-11-28T02:00:13Z",
            "component": "backup",
            "class": "failed",
            "custom_details": data(),
        },
        "client": "schedrs",
    });
    assert_eq!(body, expected);
    let recovered = notification(Kind::Recovered, Some(Outcome::Succeeded));
    let body = json_of(&request_of("pagerduty", &message(vec![recovered], 0)));
    assert_eq!(body["event_action"], "resolve");
    assert_eq!(body["dedup_key"], "schedrs/web1/backup");
    // In a fleet it may recover elsewhere, which is the end of the same incident.
    let elsewhere = Notification {
        host: Some("web2".into()),
        begun_on: Some("web1".into()),
        ..notification(Kind::Recovered, Some(Outcome::Succeeded))
    };
    let body = json_of(&request_of("pagerduty", &message(vec![elsewhere], 0)));
    assert_eq!(
        (&body["payload"]["source"], &body["event_action"]),
        (&json!("web2"), &json!("resolve"))
    );
    assert_eq!(body["dedup_key"], "schedrs/web1/backup");

    let long = |last: &str| Notification { job: ("j".repeat(250) + last).into(), ..failed() };
    let keys = [long("1"), long("2")].map(|one| {
        let body = json_of(&request_of("pagerduty", &message(vec![one], 0)));
        body["dedup_key"].as_str().unwrap().to_owned()
    });
    assert!(keys[0] != keys[1] && keys.iter().all(|key| key.len() <= 255), "{keys:?}");
}

#[test]
fn tokens_and_users() {
    let ntfy = |url: &str, token: Option<&str>| {
        let service = Service::Ntfy { url: secret(url), token: token.map(secret) };
        let work = work_of(service, &message(vec![failed()], 0)).unwrap().remove(0);
        let Task::Http(request) = work.task else { panic!("{:?}", work.task) };
        (request.url.to_string(), header(&request, "authorization").map(str::to_owned))
    };
    let url = "https://ntfy.sh/";
    let rows = [
        (("https://ntfy.sh/topic", Some("tk_x")), "Bearer tk_x"),
        (("https://ann:p%40ss@ntfy.sh/topic", None), "Basic YW5uOnBAc3M="),
        (("https://ann:p%40ss@ntfy.sh/topic", Some("tk_x")), "Bearer tk_x"),
    ];
    for ((text, token), expected) in rows {
        assert_eq!(ntfy(text, token), (url.to_owned(), Some(expected.to_owned())));
    }
}

#[test]
fn what_is_wrong_with_a_route() {
    let mail = |to: &str, from: Option<&str>, smtp: Option<Smtp>| Service::Mail {
        to: [to.into()].into(),
        from: from.map(Into::into),
        smtp,
    };
    let smtp = |url: &str, password: Option<&str>| {
        Some(Smtp { url: url.into(), password: password.map(secret) })
    };
    let rows = [
        (Service::Slack { url: secret("hooks.slack.com/x") }, "url: it is no URL such as"),
        (Service::Ntfy { url: secret("https://ntfy.sh/"), token: None }, "url: it names no topic"),
        (
            Service::Gotify { url: secret("https://gotify"), token: secret("a b") },
            "token: it has blanks",
        ),
        (
            Service::Telegram { token: secret("a/../b"), chat: "1".into(), url: None },
            "token: it is none of a bot",
        ),
        (mail("ops@example.org, b", None, None), "mail: `ops@example.org, b` has no domain"),
        (mail("root", Some("-x"), None), "mail: `-x` is no address"),
        (mail("root", None, smtp("smtp://x", None)), "mail: `root` is a user of this machine"),
        (mail("a@b", None, smtp("https://x", None)), "smtp: it is no URL such as"),
        (mail("a@b", None, smtp("smtp://ann@x", None)), "smtp: it names a user, but there"),
        (mail("a@b", None, smtp("smtp://x", Some("pass"))), "smtp: there is a password, but"),
        (mail("a@b", None, smtp("smtp://ann:pass@x", None)), "smtp: it holds a password"),
    ];
    for (service, expected) in rows {
        let error = work_of(service, &message(vec![failed()], 0)).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// A chat shows a few lines, unless its route asks for more.
#[test]
fn how_much_output_a_chat_shows() {
    let output: String = (0..40).map(|number| format!("line {number}\n")).collect();
    let long = Notification { output: Some(output.into()), ..failed() };
    for (bytes, lines) in [(0, 0), (20, 2), (600, 5), (4096, 40)] {
        let mut route = Route::of("ops", service("discord"));
        route.output = bytes;
        let secrets = Secrets::of(&route.to, &Nothing).unwrap();
        let work = work(&route, &message(vec![long.clone()], 0), &context(&secrets)).unwrap();
        let Task::Http(request) = &work[0].task else { panic!("{work:?}") };
        let text = json_of(request)["content"].as_str().unwrap().to_owned();
        assert_eq!(text.matches("line ").count(), lines, "{text}");
        assert!(lines == 0 || text.ends_with("line 39\n```"), "{text}");
    }
}

#[test]
fn a_command() {
    let command = |command: Command| {
        let service = Service::Command(command);
        let mut work = work_of(service, &message(vec![failed()], 3)).unwrap();
        let Task::Command(command) = work.remove(0).task else { panic!("no command") };
        command
    };
    let shell = command(Command::Shell("tell | cat".into()));
    assert_eq!(shell.argv.join("|"), "/bin/sh|-c|tell | cat");
    let given = command(Command::Argv(["tell".into(), "{job}".into()].into()));
    assert_eq!(given.argv.join("|"), "tell|{job}");
    let body: Value = serde_json::from_str(&given.stdin).unwrap();
    let expected = json!({
        "id": "m1",
        "route": "ops",
        "host": "web1",
        "text": "1 failed, 3 more",
        "more": 3,
        "notifications": [{ "id": "n1", "type": "run.failed", "data": data() }],
    });
    assert_eq!(body, expected);
    let env: Vec<String> =
        given.env.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect();
    let expected = "\
SCHEDRS_MESSAGE=m1
SCHEDRS_ROUTE=ops
SCHEDRS_HOST=web1
SCHEDRS_TEXT=1 failed, 3 more
SCHEDRS_NOTIFICATIONS=4
SCHEDRS_KIND=failed
SCHEDRS_JOB=backup
SCHEDRS_DUE=2026-11-28T02:00:00+00:00
SCHEDRS_RUN=4711
SCHEDRS_ATTEMPTS=1
SCHEDRS_STARTED=2026-11-28T02:00:01+00:00
SCHEDRS_ENDED=2026-11-28T02:00:13.400+00:00
SCHEDRS_DURATION=12.400
SCHEDRS_STREAK=2
SCHEDRS_SINCE=2026-11-27T02:00:00+00:00
SCHEDRS_OUTCOME=failed
SCHEDRS_EXIT=3";
    assert_eq!(env.join("\n"), expected);
}

/// Programs find the same things under the same names as in `history --output json`.
#[test]
fn the_words_are_those_of_history() {
    let own = ["kind", "text", "name", "host", "streak", "since", "output", "more"];
    let all = crate::history::object::RunObject {
        seq: Some(1),
        run: Some(1),
        doing: Some(String::new()),
        exit: Some(1),
        signal: Some(1),
        reason: Some(String::new()),
        late_ms: Some(1),
        at: Some(String::new()),
        started: Some(String::new()),
        ended: Some(String::new()),
        lag_ms: Some(1),
        duration_ms: Some(1),
        ..Default::default()
    };
    let all = serde_json::to_value(all).unwrap();
    let secrets = Secrets::default();
    for outcome in crate::core::outcome::each() {
        let notification = notification(Kind::Failed, Some(outcome));
        let data = data::Data::of(&notification, 0, &context(&secrets));
        let data = serde_json::to_value(data).unwrap();
        for key in data.as_object().unwrap().keys() {
            assert!(own.contains(&&**key) || all.get(key).is_some(), "{key}");
        }
    }
}

#[test]
fn a_test_names_no_job() {
    let test = || message(vec![notification(Kind::Test, None)], 0);
    let body = json_of(&request_of("webhook", &test()));
    assert_eq!((&body["type"], &body["data"]["job"]), (&json!("test"), &Value::Null));
    let body = json_of(&request_of("slack", &test()));
    assert!(
        body["text"].as_str().unwrap().starts_with("test: schedrs can reach you here, on web1")
    );
    let body = json_of(&request_of("pagerduty", &test()));
    assert_eq!(body["dedup_key"], "schedrs/web1/test");
    let text = mail::mail_of(&test());
    assert!(!text.contains("X-Schedrs-Job") && !text.contains("schedrs why"), "{text}");
}
