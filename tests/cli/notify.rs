//! Notifications, from a job that fails to a receiver that has them: a real scheduler, and a command
//! for a receiver.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use schedrs::clock;
use serde_json::Value;

use crate::harness::{Bench, is_alive, until};

/// A route whose command writes down what it gets once it is allowed to, and nothing waits.
const TO_FILE: &str = "[notify.ops]\ncommand = 'test -e up || { echo down >&2; exit 75; }; \
    cat >> told.jsonl'\ngather = '0s'\npause = '0s'\n";

/// A job that does as a file says.
const FLAKY: &str = "[jobs.flaky]\ncommand = 'echo some output; test -e ok || { echo oh no >&2; exit 3; }'\n\
    interval = '1h'\nnotify = ['ops']\n";

/// The notifications that have arrived.
fn arrived(bench: &Bench) -> Vec<Value> {
    let text = fs::read_to_string(bench.path("told.jsonl")).unwrap_or_default();
    let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    messages.flat_map(|it| it["notifications"].as_array().unwrap().clone()).collect()
}

/// Their types and outputs.
fn types(bench: &Bench) -> Vec<String> {
    arrived(bench).iter().map(|it| it["type"].as_str().unwrap().to_owned()).collect()
}

fn listed(bench: &Bench) -> Vec<Value> {
    let text = bench.out(&["notify", "--output", "json"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_failure_is_told_once_and_its_end_too() {
    let bench = Bench::new(&format!("{TO_FILE}{FLAKY}"));
    bench.write("up", "");
    let running = bench.listening();
    for _ in 0..3 {
        assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(3));
    }
    until("the failure has arrived", || types(&bench) == ["run.failed"]);
    bench.write("ok", "");
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(0));
    until("its end has arrived", || types(&bench) == ["run.failed", "run.recovered"]);
    let [failed, recovered] = &*arrived(&bench) else { unreachable!() };
    let data = &failed["data"];
    assert_eq!((&data["job"], &data["exit"]), (&"flaky".into(), &3.into()), "{failed}");
    let tail = data["output"].as_str().unwrap();
    assert!(tail.contains("some output") && tail.contains("oh no"), "{failed}");
    assert_eq!(recovered["data"]["streak"], 3, "{recovered}");

    until("both are crossed out", || {
        let all = listed(&bench);
        all.len() == 2 && all.iter().all(|it| it["state"] == "sent")
    });
    let all = listed(&bench);
    assert_eq!((&all[0]["kind"], &all[1]["kind"]), (&"recovered".into(), &"failed".into()));
    let table = bench.out(&["notify"]);
    assert!(table.starts_with("ID ") && table.contains("flaky  sent"), "{table}");
    let why = bench.out(&["why", "flaky"]);
    assert!(why.contains("ops: `recovered`, sent "), "{why}");
    let done = running.stop();
    assert_eq!(done.code, Some(0));
}

/// A receiver that is away, a `kill -9`, and another scheduler: it arrives, once.
#[test]
fn what_is_not_sent_outlives_a_crash() {
    let bench = Bench::new(&format!("{TO_FILE}{FLAKY}"));
    let mut running = bench.listening();
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(3));
    let failing = running.line(crate::harness::Stream::Err, &["notify_failing", "down"]);
    assert!(failing.contains("exited with 75: down"), "{failing}");
    let (status, _, code) = bench.ask(&["status"]);
    let reason = "! notifications to ops cannot be delivered: it exited with 75: down; 1 waiting";
    assert!(status.contains(reason) && code == Some(1), "{status}");
    assert_eq!(bench.ask(&["health"]).2, Some(1));
    // What waits for the next try says what came of the last.
    let waits = |waiting: &Value| {
        assert_eq!(waiting["state"], "waiting");
        assert_eq!(waiting["answer"], "it exited with 75: down", "{waiting}");
        assert!(waiting["failed_tries"].as_u64() >= Some(1), "{waiting}");
        assert!(waiting["next_try"].is_string(), "{waiting}");
    };
    waits(&listed(&bench)[0]);
    let table = bench.out(&["notify"]);
    assert!(table.contains("it exited with 75: down; again at "), "{table}");
    let why = bench.out(&["why", "flaky"]);
    assert!(why.contains("ops: `failed` waits to be sent: it exited with 75: down"), "{why}");
    running.kill();
    running.wait();
    waits(&listed(&bench)[0]);

    bench.write("up", "");
    let running = bench.listening();
    until("it has arrived", || types(&bench) == ["run.failed"]);
    until("it is crossed out", || listed(&bench)[0]["state"] == "sent");
    // What was told before the crash is known after it.
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(3));
    assert!(listed(&bench)[0]["next_try"].is_null());
    let why = bench.out(&["why", "flaky"]);
    assert!(why.contains("ops: nothing: it was told "), "{why}");
    bench.write("ok", "");
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(0));
    until("its end has arrived", || types(&bench) == ["run.failed", "run.recovered"]);
    running.stop();
}

/// A reload: a route that is gone takes along what waits for it, and a new one is used at once.
#[test]
fn routes_follow_the_jobfile() {
    let bench = Bench::new(&format!("{TO_FILE}{FLAKY}"));
    let mut running = bench.listening();
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(3));
    running.line(crate::harness::Stream::Err, &["notify_failing"]);
    let other = TO_FILE.replace("notify.ops", "notify.other").replace("test -e up", "true");
    bench.write("jobs.toml", &format!("{other}{}", FLAKY.replace("ops", "other")));
    bench.out(&["reload"]);
    until("it is dropped", || listed(&bench)[0]["state"] == "dropped");
    assert_eq!(bench.ask(&["health"]).2, Some(0));
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(3));
    until("the other route has it", || types(&bench) == ["run.failed"]);
    running.stop();
}

/// A run that was lost with its scheduler is a failure like any other.
#[test]
fn a_run_that_was_lost_is_told() {
    let job = |command: &str, when: &str| {
        format!("{TO_FILE}[jobs.a]\ncommand = '{command}'\ndate = {when}\nnotify = ['ops']\n")
    };
    let bench = Bench::new(&job("echo $$ > pid; echo ok > ready; exec cat never", "\"now\""));
    bench.fifo("ready");
    bench.fifo("never");
    bench.write("up", "");
    let mut running = bench.run();
    bench.read_fifo("ready");
    running.event("started", "a");
    running.kill();
    running.wait();
    let pid = fs::read_to_string(bench.path("pid")).unwrap();
    let killed = std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    assert!(killed.success());
    until("it is gone", || !is_alive(&pid));
    bench.write("jobs.toml", &job("true", "2020-01-01"));
    let running = bench.run();
    until("it is told", || types(&bench) == ["run.failed"]);
    assert_eq!(arrived(&bench)[0]["data"]["outcome"], "lost");
    running.stop();
}

/// Due times that are missed together are one notification.
#[test]
fn a_gap_is_told_once() {
    let bench = Bench::new(&format!(
        "{TO_FILE}[jobs.often]\ncommand = 'true'\ninterval = '1s'\nnotify = ['ops']\n\
         misfire_grace_time = '1ms'\n"
    ));
    bench.write("up", "");
    let mut running = bench.run();
    running.event("succeeded", "often");
    running.kill();
    running.wait();
    let since = clock::wall();
    until("some are missed", || clock::wall().since(since) >= Duration::from_secs(3));
    let running = bench.run();
    // On a busy machine one or the other is missed for itself.
    until("the gap is told", || {
        let missed = arrived(&bench).into_iter().filter(|it| it["type"] == "run.missed");
        missed.filter_map(|it| it["data"]["count"].as_u64()).any(|count| count >= 2)
    });
    running.stop();
}

/// What was refused is sent again when the receiver is well, and what waits is dropped; both are known
/// as changes.
#[test]
fn one_is_sent_again_and_another_dropped() {
    let route = "[notify.ops]\ncommand = 'test -e up || { echo no; exit $(cat code); }; \
                 cat >> told.jsonl'\ngather = '0s'\npause = '0s'\n";
    let bench = Bench::new(&format!("{route}{FLAKY}"));
    bench.write("code", "1");
    let running = bench.listening();
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(3));
    until("it is refused", || listed(&bench).first().is_some_and(|it| it["state"] == "refused"));
    let id = listed(&bench)[0]["id"].as_str().unwrap().to_owned();
    assert!(bench.out(&["notify"]).contains(&format!("{}  ", &id[..8])));
    bench.write("up", "");
    assert_eq!(bench.out(&["notify", "--again", &id[..8]]), "sent again to ops\n");
    until("it has arrived", || types(&bench) == ["run.failed"]);
    assert_eq!(arrived(&bench)[0]["data"]["exit"], 3);
    until("it is crossed out", || listed(&bench)[0]["state"] == "sent");

    fs::remove_file(bench.path("up")).unwrap();
    bench.write("code", "75");
    assert_eq!(bench.out(&["notify", "--drop", "ops"]), "nothing waits on ops\n");
    bench.write("ok", "");
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(0));
    until("it waits", || listed(&bench)[0]["state"] == "waiting");
    let json = bench.out(&["notify", "--drop", "ops", "--output", "json"]);
    assert_eq!(json.trim(), "{\"notifications\":1,\"route\":\"ops\"}");
    let all = listed(&bench);
    assert_eq!((&all[0]["state"], &all[0]["kind"]), (&"dropped".into(), &"recovered".into()));
    assert!(all[0]["answer"].as_str().unwrap().starts_with("by "), "{all:?}");

    let name = schedrs::paths::instance(&bench.path("jobs.toml"));
    let socket = bench.path("state").join(format!("{name}.sock"));
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"{\"do\":\"changes\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    let changes: Value = serde_json::from_str(&line).unwrap();
    let all = changes["changes"].as_array().unwrap().iter();
    let all: Vec<(String, String)> = all
        .filter(|it| it["detail"].is_string())
        .map(|it| (it["what"].to_string(), it["detail"].to_string()))
        .collect();
    let again = format!("\"1 notification to ops ({})\"", &id[..8]);
    assert!(all.contains(&("\"resent\"".to_owned(), again)), "{all:?}");
    assert!(all.contains(&("\"dropped\"".to_owned(), "\"1 notification to ops\"".to_owned())));
    for (arguments, said) in [
        (["--again", "ffffffff"], "no notification `ffffffff` is known"),
        (["--again", "ff"], "at least four characters"),
        (["--drop", "opps"], "there is no route `opps`, and no notification of that id waits"),
        (["--drop", "opps"], "did you mean `ops`?"),
    ] {
        let (_, err, code) = bench.ask(&["notify", arguments[0], arguments[1]]);
        assert!(code == Some(1) && err.contains(said), "{arguments:?}: {err}");
    }
    running.stop();
    let (_, err, code) = bench.ask(&["notify", "--drop", "ops"]);
    assert!(code == Some(1) && err.contains("no scheduler is running"), "{err}");
}

/// A job that prints something and then nothing at all: marked, also after a restart, until it prints again, and
/// told once where that is wanted.
#[test]
fn a_quiet_run_is_told_and_marked() {
    let route = TO_FILE.replace("gather", "on = ['failed', 'quiet', 'fast']\ngather");
    let bench = Bench::new(&format!(
        "{route}[jobs.backup]\ncommand = 'test -e silent || head -c 1024 /dev/zero'\n\
         interval = '1d'\nnotify = ['ops']\n"
    ));
    bench.write("up", "");
    let mut running = bench.listening();
    let run = || assert_eq!(bench.ask(&["start", "backup", "--wait"]).2, Some(0));
    (0..10).for_each(|_| run());
    bench.write("silent", "");
    run();
    let line = running.line(crate::harness::Stream::Err, &["usually it prints"]);
    assert!(line.contains("it printed nothing: usually it prints 1.0 KiB"), "{line}");
    until("it is told", || types(&bench) == ["run.quiet"]);
    let data = &arrived(&bench)[0]["data"];
    let printed = (&data["printed_bytes"], &data["usual_printed_bytes"], &data["outcome"]);
    assert_eq!(printed, (&0.into(), &1024.into(), &"succeeded".into()), "{data}");
    let is_marked = |bench: &Bench| {
        let list = bench.ask(&["list", "backup"]).0;
        let show = bench.ask(&["show", "backup"]).0;
        list.contains("quiet: printed nothing (usually 1.0 KiB)")
            && show.contains("the last run printed nothing (usually 1.0 KiB)")
    };
    assert!(is_marked(&bench), "{}", bench.ask(&["list", "backup"]).0);
    let listed: Value =
        serde_json::from_str(&bench.out(&["list", "backup", "--output", "json"])).unwrap();
    let last = &listed["last"];
    assert_eq!(
        (&last["unusual"][0], &last["usual_printed_bytes"]),
        (&"quiet".into(), &1024.into())
    );
    let why = bench.out(&["why", "backup"]);
    assert!(why.contains("quiet") && why.contains("it printed nothing: usually"), "{why}");
    assert!(why.contains("ops: `quiet`, sent "), "{why}");
    let why: Value =
        serde_json::from_str(&bench.out(&["why", "backup", "--output", "json"])).unwrap();
    assert_eq!(why["record"]["unusual"][0], "quiet", "{why}");
    let mut events =
        crate::harness::Running::start(&mut bench.command(&["events", "--since", "1h"]));
    events.line(crate::harness::Stream::Out, &["backup #11: quiet: it printed nothing"]);
    running.stop();
    events.wait();

    let running = bench.listening();
    assert!(is_marked(&bench), "{}", bench.ask(&["list", "backup"]).0);
    std::fs::remove_file(bench.path("silent")).unwrap();
    run();
    until("it is not any more", || !bench.ask(&["list", "backup"]).0.contains("quiet"));
    assert_eq!(types(&bench), ["run.quiet"]);
    running.stop();
}

/// A run that takes longer than it may is told while it goes on, and marked.
#[test]
fn a_slow_run_is_told_while_it_runs() {
    let route = TO_FILE.replace("gather", "on = ['slow', 'failed', 'recovered']\ngather");
    let bench = Bench::new(&format!(
        "{route}[jobs.report]\ncommand = 'read x < gate'\ndate = 'now'\nnotify = ['ops']\n\
         warn_after = '200ms'\n"
    ));
    bench.fifo("gate");
    bench.write("up", "");
    let mut running = bench.listening();
    let line = running.line(crate::harness::Stream::Err, &["still runs after"]);
    assert!(line.contains("longer than `warn_after`"), "{line}");
    until("it is told", || types(&bench) == ["run.slow"]);
    let data = &arrived(&bench)[0]["data"];
    assert!(data["duration_ms"].as_u64() >= Some(200) && data["ended"].is_null(), "{data}");
    for command in [["list", "report"], ["show", "report"]] {
        let (said, ..) = bench.ask(&command);
        assert!(said.contains("slow") && said.contains("since "), "{said}");
    }
    let json = bench.out(&["list", "report", "--output", "json"]);
    assert!(json.contains("\"slow_since\":"), "{json}");
    let why = bench.out(&["why", "report"]);
    assert!(why.contains("it runs for ") && why.contains("longer than `warn_after`"), "{why}");
    assert!(why.contains("ops: `slow`, sent "), "{why}");
    bench.write_fifo("gate");
    running.event("succeeded", "report");
    until("its end is known", || bench.out(&["why", "report"]).contains("it took "));
    assert!(!bench.ask(&["list", "report"]).0.contains("slow"));
    assert_eq!(types(&bench), ["run.slow"]);
    running.stop();
}

#[test]
fn what_is_asked_of_routes_that_are_not_there() {
    let bench = Bench::new(&format!("{TO_FILE}{FLAKY}"));
    let (out, err, code) = bench.ask(&["notify", "--test", "opps"]);
    assert_eq!((&*out, code), ("", Some(1)));
    assert!(err.contains("no route `opps` in jobs.toml; did you mean `ops`?"), "{err}");
}

#[test]
fn what_would_be_told() {
    let bench = Bench::new(&format!("[scheduler]\ntimezone = 'UTC'\n{TO_FILE}{FLAKY}"));
    let out = bench.out(&[
        "simulate",
        "--notify",
        "--from",
        "2026-12-01",
        "--until",
        "2026-12-02",
        "--failing",
        "flaky=2026-12-01T03:30..2026-12-01T06:30",
    ]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "Tue 2026-12-01 04:00:01 +00:00  ops  flaky failed: exit 1",
            "Tue 2026-12-01 07:00:01 +00:00  ops  flaky works again after 3 failures in 3h",
        ]
    );
    let daily = TO_FILE.replace("gather", "digest = '08:00'\ngather");
    bench.write("daily.toml", &format!("[scheduler]\ntimezone = 'UTC'\n{daily}{FLAKY}"));
    let out = bench.out(&[
        "simulate",
        "daily.toml",
        "--notify",
        "--from",
        "2026-12-01",
        "--until",
        "2026-12-03",
        "--failing",
        "flaky=2026-12-01T03:30..2026-12-01T06:30",
    ]);
    let lines: Vec<&str> = out.lines().collect();
    let [first, second] = lines[..] else { panic!("{out}") };
    assert!(
        first.starts_with("Tue 2026-12-01 08:00:0") && first.contains("3 runs failed, "),
        "{out}"
    );
    assert!(second.contains("all is well: 24 runs succeeded"), "{out}");
    let json = bench.out(&[
        "simulate",
        "--notify",
        "--from",
        "2026-12-01",
        "--until",
        "2026-12-04",
        "--exit",
        "1",
        "--output",
        "json",
    ]);
    let kinds: Vec<String> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|it| it["notifications"][0]["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["failed", "still_failing", "still_failing"]);
}

/// A message that is on its way when the scheduler stops is not sent again by the next one.
#[test]
fn what_arrives_at_the_very_end_has_arrived() {
    let route = "[notify.ops]\ncommand = 'cat >> told.jsonl; read go < gate'\ngather = '0s'\n\
                 pause = '0s'\n";
    let bench = Bench::new(&format!("{route}{FLAKY}"));
    bench.fifo("gate");
    let running = bench.listening();
    assert_eq!(bench.ask(&["start", "flaky", "--wait"]).2, Some(3));
    until("it is on its way", || types(&bench) == ["run.failed"]);
    running.signal("TERM");
    bench.write_fifo("gate");
    assert_eq!(running.wait().code, Some(0));
    assert_eq!(listed(&bench)[0]["state"], "sent");
}
