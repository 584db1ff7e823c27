//! What each verb answers.

use std::time::Duration;

use serde_json::{Value, json};

use schedrs::clock;
use schedrs::event::{Exit, RunId};
use schedrs::outcome::Outcome;
use schedrs::store::memory::Memory;
use schedrs::store::{Fact, Store};

use super::fake::{Bench, JOBS, Wire, code};

#[test]
fn a_list_says_how_jobs_stand_and_not_what_they_run() {
    let bench = Bench::new();
    let reply = bench.ask(json!({ "id": 7, "do": "list" }));
    assert_eq!((&reply["v"], &reply["id"], &reply["ok"]), (&json!(1), &json!(7), &json!(true)));
    assert_eq!((&reply["total"], &reply["more"]), (&json!(3), &Value::Null));
    let jobs = reply["jobs"].as_array().unwrap();
    let column = |key: &str| jobs.iter().map(|job| job[key].clone()).collect::<Vec<Value>>();
    assert_eq!(column("id"), ["backup", "beat", "tidy"]);
    assert_eq!(column("state"), ["scheduled", "scheduled", "paused"]);
    assert_eq!(column("name"), [Value::Null, json!("Heartbeat"), Value::Null]);
    assert_eq!(jobs[0]["schedule"], "at 02:30 every day");
    assert_eq!(jobs[2]["paused"]["what"], "file");
    let next = jobs[0]["next"].as_str().unwrap();
    assert!(next.contains("T02:30:00+0"), "{next}");
    assert!(!reply.to_string().contains("secret"));
}

/// Whoever else goes through the jobs meanwhile, all parts of an answer are made of the same past.
#[test]
fn what_one_is_told_takes_nothing_from_another() {
    let (mut store, at) = (Memory::default(), clock::wall());
    for (run, job) in [(1, "backup"), (2, "beat"), (3, "tidy")] {
        let (run, job): (RunId, Box<str>) = (RunId(run), job.into());
        let (by, host, slot) = (None, None, None);
        let outcome = Outcome::Failed(1);
        let facts = [
            Fact::Admitted { run, job: job.clone(), due: at, at, by, host, slot },
            Fact::Ended {
                run,
                job,
                outcome,
                duration: Duration::ZERO,
                attempts: 1,
                at,
                usage: None,
            },
        ];
        store.commit(&facts).unwrap();
    }
    let bench = Bench::of(JOBS, Some(store.reader().unwrap()));
    let (mut one, mut other) = (bench.connect(), bench.connect());
    let ask = |wire: &mut Wire, request: Value| wire.say(&request.to_string());
    // The whole list comes between two parts of one, and between a status and the jobs that it counts.
    ask(&mut one, json!({ "do": "list", "limit": 1 }));
    assert_eq!(one.hear()["more"], json!(1));
    *bench.center.held.lock().unwrap() = Some(Vec::new());
    ask(&mut one, json!({ "do": "status" }));
    bench.center.until(|calls| calls.last().is_some_and(|call| call.contains("Status")));
    ask(&mut other, json!({ "do": "list" }));
    bench.center.until(|calls| calls.last().is_some_and(|call| call.contains("List")));
    bench.center.release();
    assert_eq!(other.hear()["jobs"][2]["last"]["outcome"], "failed");
    assert_eq!(one.hear()["failed"], json!(3));
    ask(&mut one, json!({ "do": "list", "from": 1, "limit": 1 }));
    assert_eq!(one.hear()["jobs"][0]["last"]["outcome"], "failed");
    // One who asks for a later part at once gets it whole, too.
    let late = bench.ask(json!({ "do": "list", "from": 2 }));
    assert_eq!(late["jobs"][0]["last"]["outcome"], "failed");
}

#[test]
fn a_list_comes_in_parts() {
    let many: String =
        (0..2500).map(|n| format!("jobs.j{n} = {{ command = 'x', interval = '1d' }}\n")).collect();
    let bench = Bench::of(&many, None);
    let reply = bench.ask(json!({ "do": "list" }));
    assert_eq!(reply["jobs"].as_array().unwrap().len(), 2500);
    assert_eq!(reply["more"], Value::Null);
    // The loop is never asked for more than a thousand at once.
    let lists =
        bench.center.calls.lock().unwrap().iter().filter(|call| call.contains("List")).count();
    assert_eq!(lists, 3);
    let (mut from, mut seen) = (json!(0), 0);
    while !from.is_null() {
        let reply = bench.ask(json!({ "do": "list", "from": from, "limit": 700 }));
        seen += reply["jobs"].as_array().unwrap().len();
        from = reply["more"].clone();
    }
    assert_eq!(seen, 2500);
}

#[test]
fn show_says_all() {
    let bench = Bench::new();
    let reply = bench.ask(json!({ "do": "show", "job": "beat" }));
    assert_eq!(reply["command"], json!(["curl", "http://127.0.0.1/"]));
    assert_eq!(reply["executor"], "reports");
    assert_eq!(reply["upcoming"].as_array().unwrap().len(), 5);
    assert_eq!(reply["job"]["id"], "beat");
    let reply = bench.ask(json!({ "do": "show", "job": "beet" }));
    assert_eq!(code(&reply), "no_such_job");
}

#[test]
fn a_start_may_be_waited_for() {
    let bench = Bench::new();
    let mut wire = bench.connect();
    wire.say(r#"{"id":"w","do":"start","job":"beat","wait":true}"#);
    let first = wire.hear();
    assert_eq!((&first["done"], &first["waits"]), (&json!(false), &json!(false)));
    let run = first["run"].as_u64().unwrap();
    // It can be asked for other things meanwhile, and others see it.
    wire.say(r#"{"id":"s","do":"status"}"#);
    let status = wire.hear();
    assert_eq!((&status["id"], &status["running"]), (&json!("s"), &json!(1)));
    assert_eq!(status["active"][0]["run"], json!(run));
    let again = bench.ask(json!({ "do": "start", "job": "beat" }));
    assert_eq!(code(&again), "max_instances");
    bench.center.end(run, Exit::Code(3));
    let second = wire.hear();
    assert_eq!((&second["id"], &second["done"]), (&json!("w"), &json!(true)));
    assert_eq!((&second["outcome"], &second["exit"]), (&json!("failed"), &json!(3)));
    // Without, there is one answer.
    wire.say(r#"{"do":"start","job":"beat"}"#);
    assert!(wire.hear()["run"].as_u64().unwrap() > run);
    wire.say(r#"{"do":"stop","job":"beat"}"#);
    assert_eq!(wire.hear()["stopped"].as_array().unwrap().len(), 1);
}

/// Those do not count as requests in progress.
#[test]
fn many_starts_may_be_waited_for_on_one_connection() {
    let bench = Bench::new();
    let mut wire = bench.connect();
    for number in 0..20 {
        let start =
            json!({ "id": number, "do": "start", "job": "beat", "wait": true, "force": true });
        wire.say(&start.to_string());
        let begun = wire.hear();
        assert_eq!((&begun["id"], &begun["done"]), (&json!(number), &json!(false)));
    }
    wire.say(r#"{"id":"s","do":"ping"}"#);
    assert_eq!(wire.hear()["id"], "s");
}

#[test]
fn whoever_waits_hears_of_the_end_of_the_scheduler() {
    let mut bench = Bench::new();
    let mut wire = bench.connect();
    wire.say(r#"{"do":"start","job":"beat","wait":true}"#);
    assert_eq!(wire.hear()["done"], json!(false));
    bench.server.take().unwrap().stop();
    assert_eq!(code(&wire.hear()), "stopping");
    assert!(wire.is_closed());
    assert!(!bench.path().exists());
}

#[test]
fn pauses_have_an_end_and_a_reason() {
    let bench = Bench::new();
    let request = json!({
        "do": "pause", "job": "beat", "until": "2999-12-01T00:00:00+01:00", "reason": "moving"
    });
    assert_eq!(bench.ask(request)["ok"], json!(true));
    let paused = bench.ask(json!({ "do": "show", "job": "beat" }))["job"]["paused"].clone();
    assert_eq!((&paused["what"], &paused["reason"]), (&json!("job"), &json!("moving")));
    assert_eq!(paused["until"], "2999-12-01T00:00:00+01:00");
    assert!(!paused["by"].as_str().unwrap().is_empty());
    assert_eq!(bench.ask(json!({ "do": "resume", "job": "beat" }))["ok"], json!(true));
    // Nobody pauses everything by mistake.
    assert_eq!(code(&bench.ask(json!({ "do": "pause" }))), "bad_request");
    assert_eq!(bench.ask(json!({ "do": "pause", "all": true, "for": "2h" }))["ok"], json!(true));
    let job = &bench.ask(json!({ "do": "list" }))["jobs"][0];
    assert_eq!((&job["state"], &job["paused"]["what"]), (&json!("paused"), &json!("all")));
}

#[test]
fn a_job_is_added_in_any_way() {
    let bench = Bench::new();
    let rows = [
        json!({ "in": "30m" }),
        json!({ "at": "2999-01-01T00:00:00" }),
        json!({ "every": "5m", "timeout": "1m", "retries": 3, "retry_backoff": 1.5 }),
        json!({ "cron": "*/5 * * * *", "env": { "A": "1", "b.c": "\"\\\n\u{1}é" } }),
        json!({ "cron": { "hour": "3", "day": "last fri" }, "success_codes": [0, 3] }),
        json!({ "cron": ["0 1 * * *", "0 2 * * *"], "paused": true }),
    ];
    for (number, mut row) in rows.into_iter().enumerate() {
        row["do"] = "add".into();
        row["job"] = format!("new-{number}").into();
        row["command"] = json!(["./cancel_order", "42"]);
        let reply = bench.ask(row.clone());
        assert_eq!(reply["ok"], json!(true), "{row} {reply}");
        assert_eq!(reply["job"]["added"], json!(true));
    }
    let toml = "command = 'x'\nenv.A = '1'\n";
    let reply = bench.ask(json!({ "do": "add", "job": "t", "toml": toml, "in": "1h" }));
    assert_eq!(reply["ok"], json!(true), "{reply}");
    let again = json!({ "do": "add", "job": "t", "toml": toml, "in": "1h" });
    assert_eq!(code(&bench.ask(again)), "exists");
    let again = json!({ "do": "add", "job": "t", "toml": toml, "in": "1h", "replace": true });
    assert_eq!(bench.ask(again)["ok"], json!(true));
    assert_eq!(bench.ask(json!({ "do": "remove", "job": "t" }))["ok"], json!(true));
    assert_eq!(code(&bench.ask(json!({ "do": "remove", "job": "beat" }))), "in_file");
    // What is wrong with it the jobfile's reader says.
    let bad = json!({ "do": "add", "job": "b", "command": "x", "cron": "61 * * * *", "nice": 99 });
    let reply = bench.ask(bad);
    assert_eq!(code(&reply), "invalid");
    assert_eq!(reply["error"]["problems"].as_array().unwrap().len(), 2, "{reply}");
}

#[test]
fn the_scheduler_itself_can_be_asked() {
    let bench = Bench::new();
    assert_eq!(bench.ask(json!({ "do": "ping" }))["protocol"], json!(1));
    let status = bench.ask(json!({ "do": "status" }));
    assert_eq!((&status["health"], &status["jobs"]), (&json!("ok"), &json!(3)));
    bench.center.reasons.lock().unwrap().push("the store cannot be written".into());
    let status = bench.ask(json!({ "do": "status" }));
    assert_eq!(status["health"], "degraded");
    assert_eq!(bench.ask(json!({ "do": "reload" }))["removed"], json!(2));
    assert_eq!(bench.ask(json!({ "do": "shutdown", "now": true }))["ok"], json!(true));
    assert!(bench.last_call().contains("Shutdown { now: true }"));
    assert!(bench.last_call().starts_with("Call { by: "), "{}", bench.last_call());
    for verb in ["history", "output", "sessions"] {
        assert_eq!(
            code(&bench.ask(json!({ "do": verb, "run": 1 }))),
            match verb {
                "sessions" => "unknown_key",
                _ => "no_store",
            }
        );
    }
}

#[test]
fn an_export_can_be_read_again() {
    let bench = Bench::new();
    let reply = bench.ask(json!({ "do": "export" }));
    let toml = reply["toml"].as_str().unwrap();
    for text in ["Europe/Berlin", "backup", "pg_dump"] {
        assert!(toml.contains(text), "{toml}");
    }
    let reply = bench.ask(json!({ "do": "export", "format": "json" }));
    assert_eq!(reply["jobs"].as_object().unwrap().len(), 3);
}
