//! kill -9 at random moments: what was decided is known, nothing runs twice, and what was running
//! is lost or taken back.
//!
//! `SCHEDRS_CRASHES=200 cargo test --test crash` for a long night; 12 crashes otherwise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use crate::common::rng::Rng;
use crate::harness::{Bench, Running, Stream, has_root, is_alive};
use serde_json::{Value, json};

/// One JSON object a line, as `history --output json` prints them.
fn history(bench: &Bench) -> Vec<Value> {
    let done = Running::start(&mut bench.command(&["history", "-n", "0", "--output", "json"]));
    let done = done.wait();
    assert_eq!(done.code, Some(0), "{done:#?}");
    done.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn audit(bench: &Bench) {
    let done = Running::start(&mut bench.command(&["history", "--audit"])).wait();
    assert_eq!(done.code, Some(0), "{done:#?}");
}

/// Several jobs that are due several times a second, one that overlaps itself, one that is tried
/// again, and one whose processes outlive a scheduler.
const JOBS: &str = r#"
[store]
keep = { runs = 100000, days = 30 }

[defaults]
output = "discard"
misfire_grace_time = "forever"
command = "true"
"#;

fn jobs(bench: &Bench) -> String {
    let log = bench.path("ran");
    let log = log.display();
    let note = |rest: &str| {
        format!("'echo $SCHEDRS_JOB $SCHEDRS_RUN $SCHEDRS_DUE $SCHEDRS_ATTEMPT >> {log}{rest}'")
    };
    let head = JOBS.replace("command = \"true\"\n", "");
    let mut text = head;
    for (id, interval, command, more) in [
        ("quick", "100ms", note(""), ""),
        ("other", "130ms", note(""), "coalesce = 'all'\nmax_instances = 3"),
        ("slow", "400ms", note("; sleep 0.3"), "overlap = 'queue'"),
        (
            "flaky",
            "300ms",
            note("; test $((SCHEDRS_RUN % 2)) = 0"),
            "retries = 2\nretry_delay = '50ms'",
        ),
        ("second", "1s", note("; sleep 0.7"), "timeout = '600ms'"),
    ] {
        text += &format!("[jobs.{id}]\ncommand = {command}\ninterval = '{interval}'\n{more}\n");
    }
    text
}

#[test]
fn nothing_is_forgotten_and_nothing_runs_twice() {
    let crashes = std::env::var("SCHEDRS_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let seed = std::env::var("SCHEDRS_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut rng = Rng::new(seed);
    let bench = Bench::new("");
    bench.write("jobs.toml", &jobs(&bench));
    bench.write("ran", "");
    // What each scheduler has said of runs that were over.
    let mut said: HashMap<u64, String> = HashMap::new();
    for _ in 0..crashes {
        let mut running = bench.run();
        // It is killed somewhere between a few lines of its log, or before it has begun.
        for _ in 0..rng.number(0..=25) {
            running.line(Stream::Err, &[""]);
        }
        running.kill();
        for line in running.wait().err {
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            let outcome = event["event"].as_str().unwrap_or("");
            let over = ["succeeded", "failed", "timed_out", "killed", "not_started", "lost"];
            if let Some(run) = event["run"].as_u64()
                && over.contains(&outcome)
            {
                let before = said.insert(run, outcome.to_owned());
                assert!(
                    before.is_none() || outcome == "lost",
                    "run {run} was {before:?} and then {outcome}"
                );
            }
        }
    }
    let mut running = bench.run();
    running.event("starting", "");
    let done = running.stop();
    assert_eq!(done.code, Some(0), "{done:#?}");
    audit(&bench);

    // Each due time was started at most once for each attempt, in one run only.
    let mut runs_of: HashMap<(String, String), HashSet<String>> = HashMap::new();
    let mut attempts = HashSet::new();
    let ran = fs::read_to_string(bench.path("ran")).unwrap();
    for line in ran.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [job, run, due, _attempt] = fields[..] else { panic!("{line}") };
        assert!(attempts.insert(line.to_owned()), "{line}: twice");
        runs_of.entry((job.to_owned(), due.to_owned())).or_default().insert(run.to_owned());
    }
    assert!(!runs_of.is_empty());
    for (due, runs) in &runs_of {
        assert_eq!(runs.len(), 1, "{due:?} ran as {runs:?}");
    }

    // What has run is known, and what was over is not open.
    let records = history(&bench);
    let known: HashMap<u64, &Value> =
        records.iter().filter_map(|record| Some((record["run"].as_u64()?, record))).collect();
    for runs in runs_of.values() {
        for run in runs {
            assert!(known.contains_key(&run.parse().unwrap()), "run {run} is not known");
        }
    }
    for (run, outcome) in &said {
        let record = known.get(run).unwrap_or_else(|| panic!("run {run} is not known"));
        let found = record["outcome"].as_str().unwrap_or("");
        // The very last ones may have been said and not yet written.
        assert!(found == outcome || found == "lost", "run {run}: said {outcome}, kept {record}");
    }
    let open = records.iter().filter(|record| record["outcome"].is_null()).count();
    assert_eq!(open, 0, "{records:#?}");
}

#[test]
fn a_run_is_taken_back_and_watched_to_its_end() {
    let bench = Bench::new("");
    bench.fifo("go-1");
    bench.fifo("go-2");
    bench.fifo("here");
    bench.write(
        "jobs.toml",
        "[jobs.long]\ncommand = 'echo $$ > pid; echo here > here; read go < go-$SCHEDRS_RUN'\n\
         interval = '1h'\nrun_on_start = true\noutput = 'discard'\nmax_instances = 2\n",
    );
    let running = bench.run();
    bench.read_fifo("here");
    let pid = fs::read_to_string(bench.path("pid")).unwrap();
    running.kill();
    running.wait();
    assert!(is_alive(&pid));

    let mut running = bench.run();
    let taken = running.event("taken_back", "long");
    assert_eq!(taken["pid"].to_string(), pid.trim());
    // The new start is a due time of its own.
    bench.read_fifo("here");
    bench.write_fifo("go-1");
    bench.write_fifo("go-2");
    let mut outcomes = [running.event("lost", "long"), Value::Null];
    let done = running.stop();
    let lines = done.err.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    outcomes[1] = lines.into_iter().find(|line| line["event"] == "succeeded").unwrap();
    assert_eq!(outcomes[0]["run"], 1);
    assert_eq!(outcomes[1]["run"], 2);
    audit(&bench);
}

#[test]
fn a_second_scheduler_is_refused_until_the_first_is_gone() {
    let bench = Bench::new("[jobs.a]\ncommand = ['true']\ninterval = '1h'\n");
    let mut first = bench.run();
    first.event("starting", "");
    let second = bench.run().wait();
    assert_eq!(second.code, Some(1));
    let said = second.err.join("\n");
    assert!(said.contains(&first.pid().to_string()), "{said}");
    first.kill();
    first.wait();
    let mut third = bench.run();
    third.event("starting", "");
    assert_eq!(third.stop().code, Some(0));
}

#[test]
fn due_times_while_nothing_ran_are_decided_at_the_start() {
    let bench = Bench::new(
        "[jobs.anacron]\ncommand = ['true']\ninterval = '1s'\nmisfire_grace_time = 'forever'\n\
         [jobs.strict]\ncommand = ['true']\ninterval = '1s'\nmisfire_grace_time = '500ms'\n",
    );
    let run = |ahead: &str| {
        bench.write("clock", ahead);
        let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
        Running::start(command.env("SCHEDRS_TEST_CLOCK", bench.path("clock")))
    };
    let mut running = run("0");
    running.event("succeeded", "anacron");
    running.stop();
    // An hour goes by without a scheduler.
    let mut running = run("3600");
    running.event("succeeded", "anacron");
    running.event("succeeded", "strict");
    let done = running.stop();
    let fates = |job: &str, outcome: &str| -> u64 {
        done.fates(job).iter().filter(|fate| fate.0 == outcome).map(|fate| fate.3).sum()
    };
    let (missed, coalesced) = (fates("strict", "missed"), fates("anacron", "coalesced"));
    assert!((3590..3610).contains(&missed), "{missed}: {done:#?}");
    assert!((3590..3610).contains(&coalesced), "{coalesced}: {done:#?}");
    audit(&bench);
}

/// What the machine had no process for has not begun, so that it is decided again.
#[test]
fn what_was_postponed_is_not_lost() {
    if !has_root() {
        return;
    }
    let count = 20;
    let bench = Bench::of_many(
        count,
        "['sleep', '100']",
        "executors.default = { max_workers = 20 }\ndefaults.misfire_grace_time = 'forever'",
    );
    fs::copy(env!("CARGO_BIN_EXE_schedrs"), bench.path("schedrs")).unwrap();
    // A user of its own, so that the limit counts nobody else's processes.
    let user = 100_000 + std::process::id();
    let run = |limit: &str| {
        let script = format!(
            "chmod -R go+rwX . ; chmod 755 . schedrs; chmod 644 jobs.toml; shift; \
             exec setpriv --reuid {user} --clear-groups prlimit --nproc={limit} ./schedrs \"$@\""
        );
        Running::start(&mut bench.shell(&script, &["run", "--log-format", "json", "jobs.toml"]))
    };
    let mut running = run("16");
    let postponed = running.event("postponed", "");
    let (job, run_id) = (postponed["job"].as_str().unwrap().to_owned(), postponed["run"].clone());
    // Once more, so that the store has heard of the first.
    while running.event("postponed", "")["job"].as_str() != Some(&job) {}
    running.kill();
    running.wait();

    let mut running = run("4000");
    running.event("started", &job);
    running.signal("TERM");
    running.event("stopping", "");
    running.signal("TERM");
    let done = running.wait();
    let events = done.err.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lost = events.filter(|event| event["event"] == "lost" && event["run"] == run_id);
    assert_eq!(lost.next(), None, "{done:#?}");
}

/// Asks a scheduler something; its answer.
fn ask(bench: &Bench, request: &Value) -> Value {
    let mut stream = UnixStream::connect(bench.path("s.sock")).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Who has the answer can rely on it: it comes when the store has what was asked for.
#[test]
fn what_was_answered_survives() {
    let bench = Bench::new("[jobs.idle]\ncommand = 'true'\ndate = '2999-01-01'\n");
    let crashes = std::env::var("SCHEDRS_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let begin = || {
        let mut running = Running::start(&mut bench.command(&["run", "--socket", "s.sock"]));
        running.line(Stream::Err, &["next: "]);
        running
    };
    let jobs = || {
        let reply = ask(&bench, &json!({ "do": "list" }));
        let list = reply["jobs"].as_array().unwrap().clone();
        let paused = list.iter().any(|job| {
            job["id"] == "idle" && !matches!(job["paused"], Value::Null | Value::Bool(false))
        });
        let ids = list.iter().map(|job| job["id"].as_str().unwrap().to_owned());
        (ids.filter(|id| id != "idle").collect::<Vec<String>>(), paused)
    };
    for round in 0..crashes {
        let running = begin();
        let request = match round % 4 {
            0 => json!({ "do": "add", "job": "a", "command": "true", "in": "1h" }),
            1 => json!({ "do": "pause", "job": "idle" }),
            2 => json!({ "do": "remove", "job": "a" }),
            _ => json!({ "do": "resume", "job": "idle" }),
        };
        let answer = ask(&bench, &request);
        running.kill();
        running.wait();
        assert_eq!(answer["ok"], true, "{answer}");
        let again = begin();
        let added = if round % 4 < 2 { vec!["a".to_owned()] } else { Vec::new() };
        let paused = matches!(round % 4, 1 | 2);
        assert_eq!(jobs(), (added, paused), "after {request}, in round {round}");
        again.kill();
        again.wait();
    }
}
