//! A running schedrs, asked over its socket by the commands.

mod names;
mod pairs;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::harness::{Bench, Running, Stream, until};
use schedrs::store::location::{self, Location};
use serde_json::{Value, json};

const JOBS: &str = r#"
    [scheduler]
    timezone = "Europe/Berlin"
    [jobs.wait]
    command = "cat go; exit 3"
    interval = "1d"
    [jobs.quick]
    command = ["true"]
    interval = "1d"
    env = { TOKEN = "secret" }
"#;

fn socket(bench: &Bench) -> PathBuf {
    // Its name is made from the path of the jobfile.
    bench.path("state").join(format!("{}.sock", schedrs::paths::instance(&bench.path("jobs.toml"))))
}

#[track_caller]
fn err(bench: &Bench, args: &[&str]) -> String {
    let (out, err, code) = bench.ask(args);
    assert_eq!((out.as_str(), code), ("", Some(1)), "{args:?}: {err}");
    err
}

#[track_caller]
fn jobs(bench: &Bench) -> Vec<Value> {
    let text = bench.out(&["list", "--output", "json"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A job of a list.
#[track_caller]
fn job(bench: &Bench, id: &str) -> Value {
    let found = jobs(bench).into_iter().find(|job| job["id"] == id);
    found.unwrap_or_else(|| panic!("no {id}"))
}

/// Whoever has named the wrong jobfile, or none, is told of what runs.
#[test]
fn an_error_names_the_schedulers_that_run() {
    let bench = Bench::new(JOBS);
    bench.write("other.toml", JOBS);
    let own = format!("--socket {}", socket(&bench).display());
    assert!(!err(&bench, &["list", "-f", "other.toml"]).contains(&own));
    let running = bench.listening();
    let named = format!("running now:\n  --socket {}  (jobs.toml, pid ", socket(&bench).display());
    for args in [&["list", "-f", "other.toml"][..], &["status", "--socket", "/nowhere"]] {
        let message = err(&bench, args);
        assert!(message.contains(&named), "{args:?}: {message}");
    }
    let listed = bench.ask(&["list", "--socket", socket(&bench).to_str().unwrap()]);
    assert!(listed.0.contains("quick"), "{listed:?}");
    running.stop();
}

/// All jobs of a large jobfile are facts of one moment.
#[test]
fn a_large_jobfile_is_known_after_the_first_start() {
    const JOBS: usize = 120_000;
    let jobs = (0..JOBS).map(|at| format!("[jobs.j{at}]\ncommand = 'x'\ninterval = '9d'\n"));
    let bench = Bench::new(&jobs.collect::<String>());
    let running = bench.listening();
    let store = schedrs::paths::instance(&bench.path("jobs.toml"));
    let url = format!("sqlite:{}", bench.path("state").join(format!("{store}.db")).display());
    let location = Location::parse(&url, bench.dir.path()).unwrap();
    let known = || location::reader(&location).map_or(0, |mut reader| reader.jobs().unwrap().len());
    // Who stops waits for the store, but not for ever: on a busy machine this takes longer.
    until("all are known", || known() == JOBS);
    assert_eq!(running.stop().code, Some(0));
    assert_eq!(known(), JOBS);
}

#[test]
fn a_run_by_hand_is_a_run() {
    let bench = Bench::new(JOBS);
    bench.fifo("go");
    let mut running = bench.listening();
    let mut waiting = Running::start(&mut bench.command(&["start", "wait", "--wait"]));
    waiting.line(Stream::Err, &["of wait has started"]);
    assert_eq!(job(&bench, "wait")["state"], "running");
    assert!(err(&bench, &["start", "wait"]).contains("max_instances is 1"));
    bench.write_fifo("go");
    let done = waiting.wait();
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.out[0].contains("failed with exit code 3"), "{done:?}");
    running.event("failed", "wait");
    // It is stopped with its whole tree.
    let mut waiting = Running::start(&mut bench.command(&["start", "wait", "--wait"]));
    waiting.line(Stream::Err, &["of wait has started"]);
    assert!(bench.out(&["stop", "wait"]).contains("is stopping"));
    assert_eq!(waiting.wait().code, Some(128 + 15));
    running.stop();
}

#[test]
fn what_is_asked_is_kept() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    bench.out(&["pause", "wait", "--reason", "moving"]);
    bench.out(&["add", "--id", "extra", "--every", "1h", "--", "echo", "hi"]);
    bench.out(&["modify", "quick", "--max-instances", "6"]);
    bench.out(&["reschedule", "quick", "--cron", "0 3 * * *"]);
    let before = jobs(&bench);
    assert_eq!(bench.out(&["shutdown", "--wait"]), "schedrs has stopped\n");
    assert_eq!(running.wait().code, Some(0));
    assert!(!socket(&bench).exists());
    assert!(err(&bench, &["list"]).contains("no scheduler is running jobs.toml"));

    let running = bench.listening();
    assert_eq!(jobs(&bench), before);
    let wait = job(&bench, "wait");
    assert_eq!((&wait["state"], &wait["paused"]["reason"]), (&json!("paused"), &json!("moving")));
    let quick = job(&bench, "quick");
    assert_eq!(
        (&quick["schedule"], &quick["overridden"]),
        (&json!("at 03:00 every day"), &json!(true))
    );
    assert_eq!(job(&bench, "extra")["added"], json!(true));
    let shown = bench.out(&["show", "quick"]);
    assert!(shown.contains("max_instances = 6") && !shown.contains("secret"), "{shown}");

    bench.out(&["resume", "wait"]);
    bench.out(&["remove", "extra"]);
    bench.out(&["modify", "quick", "--reset"]);
    assert_eq!(jobs(&bench).len(), 2);
    assert_eq!(job(&bench, "quick")["schedule"], "every day");
    assert_eq!(job(&bench, "wait")["state"], "scheduled");
    running.stop();
}

/// What has stopped lets the next one begin, at once.
#[test]
fn after_a_shutdown_that_was_waited_for_the_next_one_begins() {
    let bench = Bench::new(JOBS);
    for store in [&[][..], &["--store", "sqlite:own.db"]] {
        let run = [&["run", "--log-format", "json", "jobs.toml"], store].concat();
        let start = || Running::start(&mut bench.command(&run));
        let mut running = start();
        for _ in 0..4 {
            running.event("starting", "");
            // So that there is something to be written at the end.
            bench.out(&["start", "quick"]);
            assert_eq!(bench.out(&["shutdown", "--wait"]), "schedrs has stopped\n");
            // Whoever has started the last one has not even looked at how it ended.
            let next = start();
            let last = std::mem::replace(&mut running, next).wait();
            assert_eq!(last.code, Some(0), "{last:?}");
        }
        running.event("starting", "");
        let done = running.stop();
        assert_eq!(done.count("no_control"), 0, "{done:?}");
    }
}

/// Who asks for the end when it has come already gets it.
#[test]
fn several_may_ask_for_the_end_at_once() {
    let bench = Bench::new(JOBS);
    for _ in 0..5 {
        let running = bench.listening();
        let socket = socket(&bench);
        let args = ["shutdown", "--wait", "--socket", socket.to_str().unwrap()];
        let ask = || Running::start(&mut bench.command(&args));
        let asked = [ask(), ask(), ask()];
        for done in asked.map(Running::wait) {
            // The last one may find nobody.
            let late = done.err.iter().any(|line| line.contains("no scheduler is listening"));
            let well = done.code == Some(0) && done.out == ["schedrs has stopped"];
            assert!(well || late, "{done:?}");
        }
        assert_eq!(running.wait().code, Some(0));
    }
}

/// What is waited for is said, if it takes long.
#[test]
fn a_shutdown_says_what_it_waits_for() {
    let bench = Bench::new("[jobs.wait]\ncommand = 'echo; cat go'\ninterval = '1d'\n");
    bench.fifo("go");
    let mut running = bench.listening();
    bench.out(&["start", "wait"]);
    running.line(Stream::Out, &["wait"]);
    let mut shutdown = Running::start(&mut bench.command(&["shutdown", "--wait"]));
    shutdown.line(Stream::Err, &["schedrs: waiting for 1 run to end"]);
    bench.write_fifo("go");
    let done = shutdown.wait();
    assert_eq!((done.code, &*done.out), (Some(0), &["schedrs has stopped".to_owned()][..]));
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn an_export_is_a_jobfile_of_the_same_jobs() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    bench.out(&["add", "--id", "extra", "--every", "1h", "--nice", "5", "--", "echo", "hi"]);
    bench.out(&["modify", "quick", "--timeout", "5m", "--env", "A=1"]);
    let text = bench.out(&["export"]);
    bench.write("export.toml", &text);
    let (checked, _, code) = bench.ask(&["validate", "export.toml"]);
    assert_eq!(code, Some(0), "{text}\n{checked}");
    let whole: Value = serde_json::from_str(&bench.out(&["export", "--output", "json"])).unwrap();
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(serde_json::to_value(table).unwrap()["jobs"], whole["jobs"]);
    assert_eq!(whole["jobs"]["quick"]["timeout"], "5m");
    assert_eq!(whole["jobs"]["extra"]["nice"], json!(5));
    running.stop();
}

#[test]
fn a_bad_jobfile_changes_nothing() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    bench.write("jobs.toml", "[jobs.wait]\ncomand = 'x'\ncron = '61 * * * *'\n");
    let text = err(&bench, &["reload"]);
    assert!(text.contains("comand") && text.contains("61"), "{text}");
    assert_eq!(jobs(&bench).len(), 2);
    bench.write("jobs.toml", "jobs.other = { command = 'x', interval = '1d' }");
    let text = bench.out(&["reload"]);
    assert_eq!(text, "1 job: 1 new, 0 changed, 0 as before; 2 gone\n");
    assert_eq!(jobs(&bench)[0]["id"], "other");
    running.stop();
}

/// Clients that flood, stall and send rubbish, while a job is due each second: none is missed, and
/// somebody who asks is answered.
#[test]
fn hostile_clients_delay_no_job() {
    let bench = Bench::new(
        r#"
        [jobs.tick]
        command = "echo >> ticks"
        cron = "* * * * * *"
        misfire_grace_time = "5s"
        [jobs.once]
        command = "cat end > /dev/null; touch over"
        date = "now"
        "#,
    );
    bench.fifo("end");
    let mut running = bench.listening();
    let path = socket(&bench);
    let clients: Vec<UnixStream> = (0..40).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let list = b"{\"do\":\"list\"}\n".repeat(2000);
    for (number, client) in clients.iter().enumerate() {
        client.set_nonblocking(true).unwrap();
        // As much as goes in: questions of which nobody reads the answers, rubbish, half a line.
        let bytes: &[u8] = match number % 4 {
            0 => &list,
            1 => &[0; 100_000],
            2 => b"{\"do\":\"list\"",
            _ => b"[[[[[[[[[[\n",
        };
        let _ = (&mut &*client).write(bytes);
    }
    for _ in 0..5 {
        running.event("succeeded", "tick");
        assert_eq!(job(&bench, "tick")["added"], json!(false));
    }
    drop(clients);
    bench.write_fifo("end");
    running.event("succeeded", "once");
    let done = running.stop();
    assert_eq!(done.count("missed"), 0, "{:#?}", done.err);
    assert_eq!(done.code, Some(0));
}

#[test]
fn a_second_one_does_not_take_its_socket() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    let (_, text, code) = bench.ask(&["run", "jobs.toml"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&running.pid().to_string()), "{text}");
    assert_eq!(jobs(&bench).len(), 2);
    running.stop();
}

/// The history of a scheduler over the socket, which is where that of one with `memory` is.
#[test]
fn the_past_is_there_for_any_program() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    let (_, _, code) = bench.ask(&["start", "quick", "--wait"]);
    assert_eq!(code, Some(0));
    // What has ended is written soon, and before the scheduler ends.
    running.stop();
    let running = bench.listening();
    let mut stream = UnixStream::connect(socket(&bench)).unwrap();
    stream.write_all(b"{\"do\":\"history\",\"job\":\"quick\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let record = &serde_json::from_str::<Value>(&line).unwrap()["records"][0];
    assert_eq!(record["outcome"], "succeeded", "{line}");
    assert!(record["by"].is_string(), "{line}");
    // That it has begun is written soon, too.
    until("the second life is in the store", || {
        let mut stream = UnixStream::connect(socket(&bench)).unwrap();
        stream.write_all(b"{\"do\":\"sessions\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()["sessions"][1].is_object()
    });
    stream.write_all(b"{\"do\":\"sessions\"}\n{\"do\":\"changes\",\"job\":\"quick\"}\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let replies: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(replies[0]["sessions"][1]["pid"], json!(running.pid()));
    assert_eq!(replies[1]["changes"][0]["what"], "started");
    running.stop();
    assert!(fs::read_dir(bench.path("state")).unwrap().count() > 0);
}

/// A job that was added gives way to one of the jobfile, at a start as at a reload.
#[test]
fn an_added_job_gives_way_to_one_of_the_jobfile() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    let mut text = JOBS.to_owned();
    for id in ["early", "late"] {
        bench.out(&["add", "--id", id, "--every", "1h", "--", "true"]);
    }
    let mut write = |id: &str| {
        text += &format!("[jobs.{id}]\ncommand = 'true'\ninterval = '9h'\n");
        bench.write("jobs.toml", &text);
    };
    write("early");
    bench.out(&["reload"]);
    write("late");
    running.stop();
    let running = bench.listening();
    let ask = || {
        let mut stream = UnixStream::connect(socket(&bench)).unwrap();
        stream.write_all(b"{\"do\":\"changes\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    // What is decided at the start is written soon.
    until("the start is in the store", || {
        let said = ask();
        let of_late = |change: &&Value| change["what"] == "removed" && change["job"] == "late";
        said["changes"].as_array().unwrap().iter().any(|change| of_late(&change))
    });
    let line = ask();
    let removed = line["changes"].as_array().unwrap().iter();
    let removed: Vec<_> = removed.filter(|change| change["what"] == "removed").collect();
    assert_eq!(removed.len(), 2, "{line}");
    for (change, id) in removed.iter().zip(["early", "late"]) {
        assert_eq!((&change["job"], &change["by"]), (&json!(id), &json!("schedrs")), "{line}");
        assert_eq!(change["detail"], "the jobfile has a job with this id", "{line}");
        let listed = job(&bench, id);
        let stands = (&listed["added"], &listed["schedule"]);
        assert_eq!(stands, (&json!(false), &json!("every 9 hours")), "{line}");
    }
    running.stop();
}

/// Whatever cleans directories up may take a socket.
#[test]
fn a_socket_that_was_removed_is_made_again() {
    let bench = Bench::new(JOBS);
    let mut running = bench.listening();
    fs::remove_file(socket(&bench)).unwrap();
    let message = err(&bench, &["status"]);
    let pid = running.pid();
    assert!(message.contains(&format!("jobs.toml is run by pid {pid}, but its")), "{message}");
    running.signal("HUP");
    running.line(Stream::Err, &["control socket had disappeared"]);
    assert!(bench.out(&["status"]).contains(&format!("pid {pid}")));
    running.stop();
}

#[test]
fn what_is_said_of_pauses_is_so() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    assert_eq!(bench.out(&["resume", "quick"]), "quick was not paused\n");
    bench.out(&["pause", "quick"]);
    assert_eq!(bench.out(&["resume", "quick"]), "quick is resumed\n");
    bench.out(&["pause", "--all", "--reason", "moving"]);
    let still = bench.out(&["resume", "quick"]);
    assert!(still.starts_with("quick is still paused with all jobs by "), "{still}");
    let status = bench.out(&["status"]);
    assert!(status.contains("  paused   all jobs by ") && status.contains(": moving"), "{status}");
    let status: Value = serde_json::from_str(&bench.out(&["status", "--output", "json"])).unwrap();
    assert_eq!(status["paused"]["reason"], "moving");
    running.stop();
}

#[test]
fn small_answers_are_right() {
    let bench =
        Bench::new(&format!("{JOBS}\n[jobs.none]\ncommand = ['/no/such']\ndate = 2099-01-01"));
    let running = bench.listening();
    assert!(err(&bench, &["list", "nosuch"]).contains("no job `nosuch`"));
    assert!(err(&bench, &["list", "nosuch", "--state", "paused"]).contains("no job `nosuch`"));
    assert_eq!(bench.out(&["list", "none", "--state", "paused"]).lines().count(), 1);
    assert_eq!(bench.ask(&["start", "none", "--wait"]).2, Some(127));
    running.stop();
    let (_, said, code) = bench.ask(&["logs", "none"]);
    assert!(said.contains("was not started: program /no/such does not exist"), "{said}");
    assert_eq!(code, Some(0));
}

/// A name that means nothing must not pass for UTC.
#[test]
fn a_tz_that_is_no_zone_is_told_of() {
    let bench = Bench::new("[jobs.a]\ncommand = 'x'\ncron = '0 3 * * *'\n");
    let done = bench.command(&["validate"]).env("TZ", "Europe/Berln").output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("$TZ is `Europe/Berln`, which is no time zone: UTC is used"), "{said}");
    assert!(said.contains("did you mean \"Europe/Berlin\"?"), "{said}");
}

#[test]
fn a_jobfile_that_would_be_waited_for_is_refused_at_once() {
    let bench = Bench::new("jobs.a = { command = 'true', interval = '1h' }\n");
    bench.fifo("fifo");
    let said = "this is a FIFO, not a regular file";
    let ask = |args: &[&str]| Running::start(&mut bench.command(args)).wait();
    for args in
        [&["run", "fifo"][..], &["validate", "fifo"], &["next", "fifo"], &["doctor", "-f", "fifo"]]
    {
        let done = ask(args);
        assert_eq!(done.code, Some(1), "{args:?}: {done:#?}");
        assert!(format!("{done:?}").contains(said) || args[0] == "doctor", "{args:?}: {done:#?}");
    }
    // An included one, and one that takes the place of the jobfile while it runs.
    bench.write("outer.toml", "include = ['fifo']\n");
    let done = ask(&["run", "outer.toml"]);
    assert!(done.code == Some(1) && format!("{done:?}").contains(said), "{done:#?}");
    let mut running = bench.run();
    running.event("starting", "");
    std::fs::rename(bench.path("fifo"), bench.path("jobs.toml")).unwrap();
    let done = ask(&["reload"]);
    assert!(done.code == Some(1) && format!("{done:?}").contains(said), "{done:#?}");
    running.signal("HUP");
    running.event("reload_failed", "");
    assert_eq!(running.stop().code, Some(0));
}

/// One rule for JSON: what does not apply is left out, in every command.
#[test]
fn no_command_writes_null() {
    let bench = Bench::new(
        r#"
        executors.one = { max_workers = 1 }
        [jobs.full]
        name = "With a name"
        command = "echo hi; exit 3"
        date = "now"
        executor = "one"
        retries = 1
        retry_delay = "1ms"
        [jobs.gone]
        command = ["/no/such/program"]
        date = "now"
        [jobs.paused]
        command = "true"
        interval = "1d"
        paused = true
        [jobs.wait]
        command = "cat go"
        interval = "1d"
        [jobs.never]
        command = "true"
        cron = "0 0 31 2 *"
        "#,
    );
    bench.fifo("go");
    let mut running = bench.listening();
    running.event("failed", "full");
    bench.out(&["pause", "never", "--reason", "why not"]);
    bench.out(&["add", "--id", "extra", "--every", "1h", "--", "echo", "hi"]);
    bench.out(&["start", "wait"]);
    bench.write("bad.toml", "jobs.a = { comand = 'x' }\n[jobs.b]\n");
    bench.write("empty.toml", "");
    let commands: &[&[&str]] = &[
        &["list"],
        &["status"],
        &["show", "full"],
        &["show", "never"],
        &["show", "wait"],
        &["show", "extra"],
        &["history"],
        &["history", "--jobs"],
        &["history", "--audit"],
        &["why", "full"],
        &["why", "never"],
        &["why", "gone"],
        &["why", "wait"],
        &["next", "jobs.toml"],
        &["validate", "jobs.toml"],
        &["validate", "bad.toml", "empty.toml", "missing.toml"],
        &["doctor"],
        &["simulate", "jobs.toml"],
    ];
    for command in commands {
        let args = [command, &["--output", "json"][..]].concat();
        let (text, _, _) = bench.ask(&args);
        assert!(!text.is_empty(), "{args:?}");
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            assert!(!has_null(&value), "{args:?}: {line}");
        }
    }
    bench.write_fifo("go");
    running.stop();
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(keys) => keys.values().any(has_null),
        _ => false,
    }
}
