//! `schedrs store copy`, as people type it: what a scheduler has left goes to another store, and the
//! next scheduler goes on with it there.

use serde_json::Value;

use crate::harness::{Bench, Done, Running};

const JOBS: &str = "[jobs.once]\ncommand = 'echo said'\ndate = 'now'\n\
                    [jobs.backup]\ncommand = 'true'\ncron = '30 2 * * *'\n";

fn ask(bench: &Bench, args: &[&str]) -> Done {
    Running::start(&mut bench.command(args)).wait()
}

#[track_caller]
fn done(bench: &Bench, args: &[&str]) -> Vec<String> {
    let done = ask(bench, args);
    assert_eq!(done.code, Some(0), "{args:?}: {:?} {:?}", done.out, done.err);
    done.out
}

#[track_caller]
fn refused(bench: &Bench, args: &[&str], words: &str) {
    let done = ask(bench, args);
    assert_eq!((done.code, done.out.len(), done.err.len()), (Some(1), 0, 1), "{:?}", done.err);
    assert!(done.err[0].contains(words), "{}", done.err[0]);
}

/// A scheduler has run, with a job that was added and one that is paused.
fn used() -> Bench {
    let bench = Bench::new(JOBS);
    let mut running = Running::start(&mut bench.command(&["run", "jobs.toml"]));
    running.line(crate::harness::Stream::Err, &["once", "succeeded"]);
    done(&bench, &["add", "--id", "later", "--in", "30d", "--", "true"]);
    done(&bench, &["pause", "backup", "--reason", "moving"]);
    refused(&bench, &["store", "copy", "jobs.toml", "new.db"], "is in use by another scheduler");
    assert_eq!(running.stop().code, Some(0));
    bench
}

/// What people see of a store.
fn seen(bench: &Bench, store: &str) -> Vec<String> {
    let mut seen = done(bench, &["history", "--store", store, "--output", "json"]);
    seen.extend(done(bench, &["logs", "once", "--store", store]));
    seen.extend(done(bench, &["why", "backup", "--store", store]));
    seen
}

fn old(bench: &Bench) -> String {
    let state = std::fs::read_dir(bench.path("state")).unwrap();
    let names = state.map(|entry| entry.unwrap().path());
    let file = names.into_iter().find(|path| path.extension().is_some_and(|it| it == "db"));
    format!("sqlite:{}", file.unwrap().display())
}

#[test]
fn from_a_jobfile_to_another_file() {
    let bench = used();
    let table = done(&bench, &["store", "copy", "jobs.toml", "new.db"]);
    let row = |what: &str| {
        let row = table.iter().find(|row| row.starts_with(what)).unwrap();
        row[what.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("WHAT"), ["READ", "WRITTEN"]);
    for (what, count) in [("jobs", "3"), ("added at run time", "1"), ("pauses", "1")] {
        assert_eq!(row(what), [count, count], "{table:?}");
    }
    assert_eq!((row("runs"), row("outputs")), (row("runs"), row("runs")));
    let old = old(&bench);
    assert_eq!(seen(&bench, "sqlite:new.db"), seen(&bench, &old));
    // Once more changes nothing.
    let again = done(&bench, &["store", "copy", &old, "new.db", "--output", "json"]);
    let again: Value = serde_json::from_str(&again[0]).unwrap();
    assert_eq!((&again["read"], &again["read"]["jobs"]), (&again["written"], &Value::from(3)));
    assert_eq!(again["records_there_before"], again["read"]["records"]);
    // The next scheduler goes on with it.
    let mut running =
        Running::start(&mut bench.command(&["run", "--store", "sqlite:new.db", "jobs.toml"]));
    running.line(crate::harness::Stream::Err, &["next"]);
    let list = done(&bench, &["list"]).join("\n");
    assert!(list.contains("later") && list.contains("paused"), "{list}");
    running.stop();
    refused(&bench, &["store", "copy", &old, "new.db"], "to copy to is not empty");
    for (from, words) in [
        ("no.db", "no.db is missing or empty"),
        ("new.db", "FROM and TO are the same store"),
        ("memory", "lost when the scheduler stops"),
        ("http://x", "is not a store"),
        ("other.toml", "other.toml"),
    ] {
        refused(&bench, &["store", "copy", from, "new.db"], words);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn to_a_server_and_back() {
    use crate::servers::{Engine, Server};

    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let url = server.fresh();
    let bench = used();
    let old = old(&bench);
    done(&bench, &["store", "copy", "jobs.toml", &url]);
    assert_eq!(seen(&bench, &url), seen(&bench, &old));
    done(&bench, &["store", "copy", &url, "back.db"]);
    assert_eq!(seen(&bench, "sqlite:back.db"), seen(&bench, &old));
    // Now it is a fleet's.
    bench.write("web1.toml", &format!("[store]\nurl = '{url}'\n[fleet]\nname = 'web1'\n{JOBS}"));
    let mut running = Running::start(&mut bench.command(&["run", "web1.toml"]));
    running.line(crate::harness::Stream::Err, &["once", "succeeded"]);
    let list = done(&bench, &["list", "-f", "web1.toml"]).join("\n");
    assert!(list.contains("later") && list.contains("paused"), "{list}");
    refused(&bench, &["store", "copy", "web1.toml", "more.db"], "web1 uses the store postgres://");
    refused(&bench, &["store", "copy", &old, &url], "web1 uses the store postgres://");
    running.stop();
    let runs = |store: &str| {
        let history = done(&bench, &["history", "once", "--store", store, "--output", "json"]);
        let run = |line: &String| serde_json::from_str::<Value>(line).unwrap()["run"].as_u64();
        history.iter().filter_map(run).collect::<Vec<u64>>()
    };
    assert!(runs(&url).iter().max() > runs(&old).iter().max(), "{:?}", runs(&url));
    // What it has done meanwhile comes back, but for the names of hosts.
    let table = done(&bench, &["store", "copy", &url, "more.db"]);
    assert!(table.iter().any(|line| line.contains("lost their host name")), "{table:?}");
    assert_eq!(runs("sqlite:more.db"), runs(&url));
}
