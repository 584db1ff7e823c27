//! kill -9 in the middle of commits: the store opens each time, what was acknowledged is there,
//! and the next scheduler need not wait for the lock of the one that is gone.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use schedrs::outcome::Outcome;
use schedrs::store::sqlite::Sqlite;
use schedrs::store::{Fact, Limits, Query, Store, Trouble};

use crate::facts::*;

const PATH: &str = "SCHEDRS_TEST_STORE";

/// Not a test but the child of one: commits for ever, and says each time that it has.
#[test]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let (mut store, warnings) = Sqlite::open(path.as_ref(), false).unwrap();
    assert_eq!(warnings, [""; 0]);
    let first = store.restore().unwrap().next_run;
    store.commit(&[Fact::Began(session(std::process::id(), 0))]).unwrap();
    for run in first.. {
        let mut facts = whole(run, &format!("job{}", run % 97), run as i64, Outcome::Succeeded);
        facts.push(Fact::Output {
            run: schedrs::event::RunId(run),
            tail: vec![b'x'; 4096].into(),
            total: run,
        });
        let last = facts.split_off(3);
        store.commit(&facts).unwrap();
        store.commit(&last).unwrap();
        println!("\nack {run}");
        if run % 5 == 0 {
            store.tidy(Limits { runs: 50, days: 99_999 }, at(0)).unwrap();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    for round in 0..40_u64 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "killed::child", "--nocapture"]).env(PATH, &path);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acks = lines.by_ref().filter_map(|line| {
            line.unwrap().strip_prefix("ack ").map(|run| run.parse::<u64>().unwrap())
        });
        // After so many it is somewhere in the middle of the next one.
        let wanted = 1 + round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 150;
        let mut last = 0;
        for _ in 0..wanted {
            last = acks.next().expect("the child goes on");
        }
        if round == 0 {
            let error = Sqlite::open(&path, false).unwrap_err();
            assert_eq!(error.kind, Trouble::InUse(child.id()), "{error}");
        }
        child.kill().unwrap();
        last = acks.last().unwrap_or(last);
        child.wait().unwrap();

        let (mut store, warnings) = Sqlite::open(&path, false).unwrap();
        assert_eq!(warnings, [""; 0], "round {round}");
        let restored = store.restore().unwrap();
        assert!(restored.next_run > last, "round {round}");
        assert!(restored.last_session.is_some_and(|session| session.process.pid == child.id()));
        // Each time at most the one that it was at.
        assert!(restored.open.len() as u64 <= round + 1, "round {round}");
        let mut reader = store.reader().unwrap();
        for run in last.saturating_sub(20).max(1)..=last {
            let run = schedrs::event::RunId(run);
            let found = reader.records(&Query { run: Some(run), ..Query::default() }).unwrap();
            let [found] = &*found else { panic!("round {round}: {run} is not there") };
            // Those of earlier rounds may have been killed between their beginning and their end.
            assert!(found.started.is_some());
            let output = reader.output(run).unwrap();
            assert_eq!(output.is_some(), found.outcome.is_some(), "round {round}: {run}");
        }
        let found = reader.records(&Query { limit: 1, ..Query::default() }).unwrap();
        assert!(found[0].run.is_some_and(|run| run.0 + 1 == restored.next_run));
    }
    let conn = rusqlite::Connection::open(&path).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
