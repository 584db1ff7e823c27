//! `follow`: what a client is told that listens to what runs print, with the real output thread.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use schedrs::child::{Pipes, secrets::Secrets};
use schedrs::event::RunId;
use schedrs::job::{Job, Output as Kept};
use schedrs::output::{Output, Settings};

use super::fake::{Bench, JOBS, Wire, code, set};

/// An output thread, of which jobs print into files.
struct Printing {
    dir: tempfile::TempDir,
    output: Output,
}

/// A run's standard output and error.
struct Run {
    number: u64,
    out: std::fs::File,
    err: std::fs::File,
}

impl Printing {
    fn new() -> Printing {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().to_owned();
        let settings = Settings {
            raw: false,
            at_once: false,
            colour: false,
            json_log: false,
            directory,
            tails: None,
            keep: 4096,
        };
        Printing { dir, output: Output::start(settings).unwrap() }
    }

    fn run(&self, number: u64, job: &str) -> Run {
        let set = set(JOBS);
        let job = set.jobs.iter().find(|of| &*of.id == job).unwrap();
        let mut options = (*job.options).clone();
        options.output = Kept::File;
        let job = Arc::new(Job { options: Arc::new(options), ..(**job).clone() });
        let (stdout, out) = rustix::pipe::pipe().unwrap();
        let (stderr, err) = rustix::pipe::pipe().unwrap();
        let pipes = Pipes { stdout, stderr, secrets: Secrets::default() };
        self.output.handle().attach(RunId(number), 1, job, pipes);
        Run { number, out: out.into(), err: err.into() }
    }

    fn end(&self, run: Run) {
        let Run { number, .. } = run;
        self.output.handle().ended(RunId(number));
    }
}

fn follow(bench: &Bench, request: &Value) -> Wire {
    let mut wire = bench.connect();
    wire.say(&request.to_string());
    let reply = wire.hear();
    assert_eq!(reply["following"], json!(true), "{reply}");
    wire
}

#[test]
fn a_stream_of_what_is_printed() {
    let printing = Printing::new();
    let bench = Bench::of_output(JOBS, printing.output.handle());
    let mut one = follow(&bench, &json!({ "id": "f", "do": "follow", "job": "beat" }));
    let mut all = follow(&bench, &json!({ "do": "follow" }));
    let (mut beat, mut backup) = (printing.run(7, "beat"), printing.run(8, "backup"));
    backup.out.write_all(b"dumping\n").unwrap();
    beat.err.write_all(b"oh\xff").unwrap();
    assert_eq!(
        one.hear(),
        json!({
            "v": 1, "id": "f", "ok": true, "run": 7, "job": "beat", "stream": "stderr",
            "text": "oh\u{fffd}", "done": false,
        })
    );
    printing.end(beat);
    printing.end(backup);
    let end = json!({
        "v": 1, "id": "f", "ok": true, "run": 7, "job": "beat", "ended": true, "done": false,
    });
    assert_eq!(one.hear(), end);
    let heard: Vec<Value> = (0..4).map(|_| all.hear()).collect();
    for (run, ended) in [(7, false), (7, true), (8, false), (8, true)] {
        let is = |line: &&Value| line["run"] == run && (line["ended"] == true) == ended;
        assert_eq!(heard.iter().filter(is).count(), 1, "{heard:?}");
    }
    // A connection follows once, and may be used for other things.
    one.say(r#"{"id":2,"do":"follow"}"#);
    assert_eq!(code(&one.hear()), "follows");
    one.say(r#"{"id":3,"do":"show","job":"beat"}"#);
    assert_eq!(one.hear()["id"], json!(3));
    one.say(r#"{"id":4,"do":"unfollow"}"#);
    assert_eq!(one.hear(), json!({ "v": 1, "id": "f", "ok": true, "done": true }));
    assert_eq!(one.hear(), json!({ "v": 1, "id": 4, "ok": true }));
    // Nothing comes any more.
    let mut beat = printing.run(9, "beat");
    beat.out.write_all(b"again\n").unwrap();
    assert_eq!(all.hear()["run"], json!(9));
    one.say(r#"{"id":5,"do":"ping"}"#);
    assert_eq!(one.hear()["id"], json!(5));
    // The end of the scheduler is told.
    drop(bench);
    assert_eq!(code(&all.hear()), "stopping");
    assert!(all.is_closed() && one.is_closed());
    printing.output.finish();
    assert!(printing.dir.path().join("beat.log").exists());
}

#[test]
fn what_cannot_be_followed() {
    let printing = Printing::new();
    let bench = Bench::of_output(JOBS, printing.output.handle());
    let reply = bench.ask(json!({ "do": "follow", "job": "beet" }));
    assert_eq!(code(&reply), "no_such_job");
    assert_eq!(code(&bench.ask(json!({ "do": "follow", "run": 7 }))), "unknown_key");
    assert_eq!(bench.ask(json!({ "do": "unfollow" }))["ok"], json!(true));
    assert_eq!(code(&Bench::new().ask(json!({ "do": "follow" }))), "unavailable");
    printing.output.finish();
}

/// Far more than is kept for anybody is printed while one client does not read. Nobody waits for
/// it, and it gets what there was room for, and how much is missing.
#[test]
fn whoever_does_not_read_loses_output_and_is_told() {
    const PRINTED: usize = 32 << 20;
    let printing = Printing::new();
    let bench = Bench::of_output(JOBS, printing.output.handle());
    let mut deaf = follow(&bench, &json!({ "do": "follow", "job": "beat" }));
    let mut beat = printing.run(7, "beat");
    let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
    for _ in 0..PRINTED / line.len() {
        beat.out.write_all(&line).unwrap();
    }
    printing.end(beat);
    assert_eq!(bench.ask(json!({ "do": "ping" }))["ok"], json!(true));
    let (mut heard, mut lost) = (0, 0);
    loop {
        let told = deaf.hear();
        if told["ended"] == true {
            break;
        }
        heard += told["text"].as_str().map_or(0, str::len);
        lost += told["lost"].as_u64().unwrap_or(0) as usize;
    }
    assert_eq!(heard + lost, PRINTED);
    assert!(lost > PRINTED / 2 && heard > 256 * 1024, "{heard} {lost}");
    printing.output.finish();
}

/// More clients come and go than there may be at a time, whether they say goodbye or not.
#[test]
fn whoever_is_gone_takes_no_place() {
    let printing = Printing::new();
    let bench = Bench::of_output(JOBS, printing.output.handle());
    for round in 0..200 {
        let mut wire = loop {
            let mut wire = bench.connect();
            // It may be turned away before it has said anything.
            let _ = wire.0.get_mut().write_all(b"{\"do\":\"follow\"}\n");
            let reply = wire.hear();
            if reply["following"] == true {
                break wire;
            }
            assert_eq!(code(&reply), "too_many_connections");
        };
        if round % 2 == 0 {
            wire.say(r#"{"do":"unfollow"}"#);
            wire.hear();
        }
    }
    printing.output.finish();
}
