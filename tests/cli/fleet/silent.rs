//! The server is there and does not answer: what can be said without it is said, in time, and what is due
//! meanwhile is decided when it answers again.

use std::time::Duration;

use schedrs::clock;
use schedrs::outcome::{MissReason, Outcome, SkipReason};
use schedrs::store::RunRecord;

use crate::harness::{Running, until};
use crate::servers::{Engine, Setup};

use super::Fleet;

impl Fleet {
    /// A host that does not wait for the store as other schedulers under test do.
    fn impatient(&self, name: &str, jobs: &str) -> Running {
        self.write(name, "4s", jobs);
        let mut command = self.bench.command(&["run", &format!("{name}.toml")]);
        Running::start(command.env_remove("SCHEDRS_TEST_PATIENCE"))
    }
}

#[test]
fn a_store_that_does_not_answer_is_told_of() {
    let Some(server) = Setup::of(Engine::Redis).start() else { return };
    let fleet = Fleet::new(&server);
    let host = fleet.impatient("web1", "[jobs.a]\ncommand = 'true'\ninterval = '1s'\n");
    fleet.until("it has run", |records| records.iter().any(|it| it.outcome.is_some()));
    let ask = |command| fleet.bench.ask(&[command, "-f", "web1.toml"]);
    let (out, err, code) = ask("list");
    assert!(out.contains('✓') && !err.contains("cannot be read") && code == Some(0), "{out} {err}");
    let last = fleet.records()[0].seq;
    server.stop();
    // Each of the questions to the store would wait for as long as a command waits for its answer.
    let (out, err, code) = ask("list");
    assert!(out.contains("every second") && !out.contains('✓'), "{out}");
    assert!(err.contains("the store cannot be read: what it knows is left out"), "{err}");
    assert_eq!(code, Some(0));
    until("a start waits for the store", || {
        let (out, ..) = ask("status");
        out.contains("a: run ") && out.contains(" is starting, due ")
    });
    until("what is due behind it waits too", || ask("list").0.contains("once the store answers"));
    server.cont();
    until("it is well again", || ask("list").0.contains('✓'));
    // Nothing of it ran, so nothing was skipped as if it did.
    let since = |records: &[RunRecord]| -> Vec<RunRecord> {
        records.iter().filter(|record| record.seq > last).cloned().collect()
    };
    let records = fleet.until("it runs again", |records| {
        let succeeded = |record: &RunRecord| record.outcome == Some(Outcome::Succeeded);
        since(records).into_iter().filter(succeeded).count() >= 3
    });
    let first_after = since(&records).into_iter().filter(|record| record.started.is_some());
    let answered = first_after.filter_map(|record| record.started).min().unwrap();
    for record in since(&records) {
        let is_of_silence = record.due.plus(Duration::from_secs(2)) < answered;
        let is_skipped = record.outcome == Some(Outcome::Skipped(SkipReason::Overlap));
        let is_late = matches!(record.outcome, Some(Outcome::Missed(MissReason::Late(_))));
        assert!(!(is_of_silence && (is_skipped || is_late)), "{record:?} of {records:?}");
    }
    drop(host.stop());
}

/// However many runs and hosts a request is for: whoever asks has an answer soon.
#[test]
fn what_is_asked_for_is_answered_in_time() {
    let Some(server) = Setup::of(Engine::Redis).start() else { return };
    let fleet = Fleet::new(&server);
    let jobs = "[jobs.long]\ncommand = 'sleep 1000'\ninterval = '1s'\nmax_instances = 3\n\
                run_on = 'all'\n";
    let hosts = ["web1", "web2"].map(|name| fleet.impatient(name, jobs));
    fleet.until("all run", |records| {
        records.iter().filter(|record| record.started.is_some()).count() >= 6
    });
    server.stop();
    let ask = |args: &[&str]| {
        let began = clock::mono();
        let (out, err, _) = fleet.bench.ask(&[args, &["-f", "web1.toml"]].concat());
        (format!("{out}{err}"), clock::mono().since(began))
    };
    let (text, took) = ask(&["stop", "long"]);
    assert!(text.contains("did not ask web2: the store does not answer"), "{text}");
    assert!(took < Duration::from_secs(10), "{took:?} {text}");
    // It is known by now that there is nothing to wait for.
    for (args, words) in [
        (&["stop", "long"][..], "did not ask web2"),
        (&["pause", "long"], "long is paused"),
        (&["resume", "long"], "long is resumed"),
    ] {
        let (text, took) = ask(args);
        assert!(text.contains(words), "{text}");
        assert!(took < Duration::from_secs(4), "{took:?} {text}");
    }
    server.cont();
    hosts.into_iter().for_each(|host| drop(host.stop()));
}
