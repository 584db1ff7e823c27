//! The subcommands that ask, against a scheduler that starts nothing.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use schedrs::event::Exit;

use super::fake::Bench;
use crate::harness;

fn schedrs(bench: &Bench, args: &[&str]) -> Command {
    let mut command = harness::schedrs(args);
    command.arg("--socket").arg(bench.path());
    command.current_dir(bench.dir.path()).env("TZ", "Europe/Berlin");
    command
}

fn run(bench: &Bench, args: &[&str]) -> Output {
    // Before `--`, behind which there is a command.
    let cut = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
    let mut command = schedrs(bench, &args[..cut]);
    command.args(&args[cut..]).output().unwrap()
}

/// What it writes when all is well. A table says on stderr in which zone it is, and nothing else.
#[track_caller]
fn out(bench: &Bench, args: &[&str]) -> String {
    let done = run(bench, args);
    assert!(done.status.success(), "{args:?} {done:?}");
    let said = String::from_utf8_lossy(&done.stderr);
    let is_zone = args[0] == "list" && said == "zone: Europe/Berlin, from $TZ\n";
    assert!(said.is_empty() || is_zone, "{args:?} {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// What it complains about.
#[track_caller]
fn err(bench: &Bench, args: &[&str], code: i32) -> String {
    let done = run(bench, args);
    assert_eq!(done.status.code(), Some(code), "{args:?} {done:?}");
    assert!(done.stdout.is_empty(), "{args:?} {done:?}");
    String::from_utf8(done.stderr).unwrap()
}

#[track_caller]
fn json_of(bench: &Bench, args: &[&str]) -> Value {
    let args = [&args[..1], &["--output", "json"], &args[1..]].concat();
    let text = out(bench, &args);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_list_is_a_table() {
    let bench = Bench::new();
    let text = out(&bench, &["list"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("JOB     STATE"), "{text}");
    assert!(lines[1].starts_with("backup  scheduled"), "{text}");
    assert!(lines[1].ends_with("at 02:30 every day"), "{text}");
    assert!(lines[3].starts_with("tidy    paused"), "{text}");
    assert!(!text.contains("secret") && !text.contains("Europe/Berlin"), "{text}");
    // One object a line.
    let text = out(&bench, &["list", "--output", "json"]);
    let ids: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, ["backup", "beat", "tidy"]);
    for (args, ids) in [
        (&["list", "b*"][..], &["backup", "beat"][..]),
        (&["list", "-n", "1"], &["backup"]),
        (&["list", "b*", "-n", "1"], &["backup"]),
        (&["list", "--state", "paused"], &["tidy"]),
        (&["list", "t*", "--state", "running"], &[]),
    ] {
        let text = out(&bench, args);
        let found: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(found, ids, "{args:?}");
    }
    assert!(err(&bench, &["list", "--watch"], 1).contains("terminal"));
}

/// A time is on the job's clocks, or with `--local` on those of whoever looks, and whose that is can be
/// seen: by its offset, by the column, or below the table.
#[test]
fn times_say_on_whose_clocks_they_are() {
    const FAR: &str = "date = 2100-01-02T09:00:00\ncommand = 'x'\n";
    let far = |id: &str, zone: &str| format!("[jobs.{id}]\n{zone}{FAR}");
    let head = "[scheduler]\ntimezone = 'Europe/Berlin'\n";
    let berlin = head.to_owned() + &far("b", "");
    let mixed = berlin.clone() + &far("t", "timezone = 'Asia/Tokyo'\n");
    // (the jobs, whose clocks, options, what is in the row of `b`, what is said below)
    let rows = [
        (&berlin, "Europe/Berlin", &[][..], "2 Jan 2100 09:00  once", "zone: Europe/Berlin, from"),
        (&berlin, "UTC", &[], "2 Jan 2100 09:00  Europe/Berlin  once", ""),
        (&berlin, "UTC", &["--local"], "2 Jan 2100 08:00  once", "zone: UTC, from $TZ"),
        (&mixed, "Europe/Berlin", &[], "2 Jan 2100 09:00  Europe/Berlin  once", ""),
        (&mixed, "Asia/Tokyo", &["--local"], "2 Jan 2100 17:00  once", "zone: Asia/Tokyo, from"),
    ];
    for (jobs, zone, options, row, below) in rows {
        let bench = Bench::of(jobs, None);
        let ask = |args: &[&str]| {
            let args = [options, args].concat();
            let done = schedrs(&bench, &args).env("TZ", zone).output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (text(done.stdout), text(done.stderr))
        };
        let (table, said) = ask(&["list"]);
        assert!(table.contains(row), "{row}: {table}");
        assert!(said.starts_with(below) && said.is_empty() == below.is_empty(), "{below}: {said}");
        // What is no table says the offset, and where there are several times with each.
        let offset = match (options, zone) {
            ([], _) => "+01:00",
            (_, "UTC") => "+00:00",
            _ => "+09:00",
        };
        let (status, _) = ask(&["status"]);
        for name in ["since", "loaded", "next"] {
            let line = status.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            assert!(
                line.contains(&format!("{offset} (")) || line.contains(" +02:00 ("),
                "{status}"
            );
        }
        let modified = ask(&["modify", "b", "--timeout", "5m"]).0;
        let next =
            modified.split_once(": once, 2 Jan 2100 09:00 +01:00, next 2 Jan 2100 ").unwrap().1;
        assert_eq!(&next[5..12], &format!(" {offset}"), "{modified}");
        let paused = ask(&["pause", "b", "--until", "2100-01-01T00:00Z"]).0;
        let here = match zone {
            "UTC" => "b is paused until 1 Jan 2100 00:00 +00:00\n",
            "Asia/Tokyo" => "b is paused until 1 Jan 2100 09:00 +09:00\n",
            _ => "b is paused until 1 Jan 2100 01:00 +01:00\n",
        };
        assert_eq!(paused, here);
        let (listed, shown) = (ask(&["list"]).0, ask(&["show", "b"]).0);
        for text in [listed, shown] {
            let until = text.split_once(" until 1 Jan 2100 ").unwrap().1;
            assert_eq!(&until[5..12], &format!(" {offset}"), "{text}");
        }
    }
}

#[test]
fn a_long_list_comes_whole() {
    let many: String = (0..25_000)
        .map(|n| format!("jobs.j{n} = {{ command = 'x', interval = '1d' }}\n"))
        .collect();
    let bench = Bench::of(&many, None);
    assert_eq!(out(&bench, &["list"]).lines().count(), 25_001);
    assert_eq!(out(&bench, &["list", "-n", "3"]).lines().count(), 4);
    let toml = out(&bench, &["export"]);
    assert_eq!(toml.matches("command").count(), 25_000);
    let whole: Value = serde_json::from_str(&out(&bench, &["export", "--output", "json"])).unwrap();
    assert_eq!(whole["jobs"].as_object().unwrap().len(), 25_000);
}

#[test]
fn show_and_status() {
    let bench = Bench::new();
    let text = out(&bench, &["show", "beat"]);
    for part in ["beat: Heartbeat", "every hour", "curl http://127.0.0.1/", "reports", "  next  "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(json_of(&bench, &["show", "beat"])["job"]["id"], "beat");
    assert!(err(&bench, &["show", "beet"], 1).contains("no job `beet`"));
    let text = out(&bench, &["status"]);
    assert!(text.starts_with("ok "), "{text}");
    assert!(text.contains("jobs     3, 0 running, 0 waiting"), "{text}");
    bench.center.reasons.lock().unwrap().push("the disk \x1b[31mis full".into());
    let done = run(&bench, &["status"]);
    let text = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(1));
    assert!(text.starts_with("degraded") && text.contains("is full"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn start_has_the_exit_code_of_the_run() {
    let bench = Bench::new();
    assert_eq!(out(&bench, &["start", "beat"]), "run 1 of beat has started\n");
    let text = err(&bench, &["start", "beat"], 1);
    assert!(text.contains("max_instances is 1"), "{text}");
    assert_eq!(out(&bench, &["stop", "#1"]), "run 1 is stopping\n");
    bench.center.end(1, Exit::Signal(15));
    let rows = [
        (Exit::Code(0), 0, "succeeded"),
        (Exit::Code(3), 3, "failed with exit code 3"),
        (Exit::Signal(9), 137, "killed by SIGKILL"),
    ];
    for (number, (exit, code, words)) in rows.into_iter().enumerate() {
        let run = number as u64 + 2;
        let mut child = schedrs(&bench, &["start", "beat", "--wait"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It says so once it waits.
        let mut line = String::new();
        let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        assert_eq!(line, format!("run {run} of beat has started; waiting for its end\n"));
        bench.center.end(run, exit);
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(code), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stdout).contains(words), "{done:?}");
    }
    assert_eq!(out(&bench, &["stop", "beat"]), "beat has no active runs\n");
    // A number is a run if no job is called so.
    assert!(err(&bench, &["stop", "77"], 1).contains("no run 77"));
    assert!(err(&bench, &["stop", "nope"], 1).contains("no job `nope`"));
}

#[test]
fn pause_and_resume() {
    let bench = Bench::new();
    let text = out(&bench, &["pause", "beat", "--until", "+2h", "--reason", "moving house"]);
    assert!(text.starts_with("beat is paused until "), "{text}");
    let text = out(&bench, &["list"]);
    assert!(text.contains("paused by ") && text.contains("moving house"), "{text}");
    assert_eq!(out(&bench, &["resume", "beat"]), "beat is resumed\n");
    let again = format!("`schedrs resume --all --socket {}`", bench.path().display());
    assert_eq!(out(&bench, &["pause", "--all"]), format!("all jobs are paused until {again}\n"));
    let text = out(&bench, &["resume", "beat"]);
    assert!(text.contains("beat is still paused with all jobs"), "{text}");
    assert!(text.ends_with(&format!("; {again} ends that\n")), "{text}");
    assert!(out(&bench, &["show", "backup"]).contains("with all jobs by "));
    assert_eq!(json_of(&bench, &["resume", "--all"]), json!({}));
    for args in [&["pause"][..], &["pause", "beat", "--all"], &["resume"]] {
        err(&bench, args, 2);
    }
    assert!(err(&bench, &["pause", "beat", "--until", "2001-01-01"], 1).contains("past"));
    assert!(err(&bench, &["pause", "beat", "--until", "soon"], 1).contains("--until soon"));
}

#[test]
fn jobs_come_and_go() {
    let bench = Bench::new();
    let text = out(&bench, &["add", "--id", "cancel-42", "--in", "30m", "--", "./cancel", "42"]);
    assert!(text.starts_with("cancel-42 is added: once, "), "{text}");
    assert!(text.contains("(in 29m") || text.contains("(in 30m"), "{text}");
    let shown = json_of(&bench, &["show", "cancel-42"]);
    assert_eq!(shown["command"], json!(["./cancel", "42"]));
    let here = bench.dir.path().to_str().unwrap();
    assert!(shown["toml"].as_str().unwrap().contains(&format!("cwd = \"{here}\"")), "{shown}");
    let args = ["add", "--id", "cancel-42", "--in", "1h", "--", "./cancel", "42"];
    assert!(err(&bench, &args, 1).contains("already added"));
    let text = out(
        &bench,
        &[
            "add",
            "--id",
            "every",
            "--cron",
            "0 6 * * mon",
            "--cron",
            "0 7 * * tue",
            "--replace",
            "--timeout",
            "20m",
            "--retries",
            "2",
            "--retry-backoff",
            "1.5",
            "--paused",
            "--env",
            "A=1=2",
            "--env",
            "B=",
            "--success-codes",
            "0,3",
            "--success-codes",
            "4",
            "--nice",
            "-5",
            "--umask",
            "022",
            "--shell",
            "bash -eu",
            "--user",
            "nobody",
            "--job-output",
            "discard",
            "--",
            "echo $A; date",
        ],
    );
    assert!(text.starts_with("every is added: at 06:00"), "{text}");
    let toml = json_of(&bench, &["show", "every"])["toml"].as_str().unwrap().to_owned();
    let table: toml::Table = toml.parse().unwrap();
    let expected: toml::Table = r#"
        command = "echo $A; date"
        cron = ["0 6 * * mon", "0 7 * * tue"]
        timeout = "20m"
        retries = 2
        retry_backoff = 1.5
        paused = true
        env = { A = "***", B = "***" }
        success_codes = [0, 3, 4]
        nice = -5
        umask = "022"
        shell = ["bash", "-eu"]
        user = "nobody"
        output = "discard"
    "#
    .parse()
    .unwrap();
    assert_eq!(table, expected);
    // The values of variables are for those who may read everything.
    let exported: toml::Table = out(&bench, &["export"]).parse().unwrap();
    let env = exported["jobs"]["every"]["env"].as_table().unwrap();
    assert_eq!(env, &r#"A = "1=2"\nB = """#.replace("\\n", "\n").parse().unwrap());
    assert_eq!(out(&bench, &["remove", "every"]), "every is removed\n");
    assert!(err(&bench, &["remove", "beat"], 1).contains("edit the file"));
    let bad = err(&bench, &["add", "--id", "x", "--every", "5", "--nice", "99", "--", "x"], 1);
    assert!(bad.contains("nothing was changed") && bad.lines().count() == 3, "{bad}");
    for args in [
        &["add", "--id", "x", "--in", "1h"][..],
        &["add", "--in", "1h", "--", "x"],
        &["add", "--id", "x", "--in", "1h", "--every", "1h", "--", "x"],
        &["add", "--id", "x", "--in", "1h", "--timout", "1h", "--", "x"],
    ] {
        err(&bench, args, 2);
    }
    assert!(
        err(&bench, &["add", "--id", "x", "--", "x"], 1).contains("missing: when the job is due")
    );
    let args = ["add", "--id", "x", "--in", "1h", "--retries", "two", "--", "x"];
    assert!(err(&bench, &args, 1).contains("--retries two: expected a whole number"));
    let args = ["add", "--id", "x", "--in", "1h", "--env", "A", "--", "x"];
    assert!(err(&bench, &args, 1).contains("NAME=VALUE"));
}

#[test]
fn jobs_are_changed() {
    let bench = Bench::new();
    let text = out(&bench, &["modify", "beat", "--max-instances", "6", "--name", "The beat"]);
    assert!(text.starts_with("beat is modified: "), "{text}");
    assert!(bench.last_call().contains("max_instances = 6"), "{}", bench.last_call());
    let text = out(&bench, &["show", "beat"]);
    assert!(text.contains("changed     name = \"The beat\""), "{text}");
    assert!(out(&bench, &["list"]).contains("changed"));
    out(&bench, &["reschedule", "beat", "--every", "5m", "--jitter", "10s"]);
    assert!(bench.last_call().contains("Reschedule"), "{}", bench.last_call());
    let text = out(&bench, &["modify", "beat", "--reset"]);
    assert!(text.starts_with("beat is back to its definition"), "{text}");
    for args in [
        &["modify", "beat"][..],
        &["modify", "beat", "--reset", "--nice", "3"],
        &["reschedule", "beat"],
        &["reschedule", "beat", "--reset", "--every", "5m"],
    ] {
        err(&bench, args, 1);
    }
    err(&bench, &["modify", "beat", "--cron", "* * * * *"], 2);
    err(&bench, &["reschedule", "beat", "--every", "1h", "--nice", "3"], 2);
}

#[test]
fn reload_and_shutdown() {
    let bench = Bench::new();
    assert_eq!(out(&bench, &["reload"]), "4 jobs: 1 new, 0 changed, 3 as before; 2 gone\n");
    assert_eq!(out(&bench, &["shutdown"]), "schedrs is stopping\n");
    assert!(bench.last_call().contains("Shutdown { now: false }"));
    out(&bench, &["shutdown", "--now"]);
    assert!(bench.last_call().contains("Shutdown { now: true }"));
}

#[test]
fn where_none_runs() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jobs.toml"), "").unwrap();
    let run = |args: &[&str], file: &Path| {
        harness::schedrs(args)
            .arg("-f")
            .arg(file)
            .current_dir(dir.path())
            .env("STATE_DIRECTORY", dir.path().join("state"))
            .env("RUNTIME_DIRECTORY", dir.path().join("run"))
            .output()
            .unwrap()
    };
    let done = run(&["list"], Path::new("jobs.toml"));
    assert_eq!(done.status.code(), Some(1));
    let text = String::from_utf8(done.stderr).unwrap();
    assert!(text.starts_with("schedrs: no scheduler is running jobs.toml; looked"), "{text}");
    assert!(text.contains("(nothing there)"), "{text}");
    assert!(text.contains("start it with `schedrs run jobs.toml`"), "{text}");
}

/// What is asked and answered cannot drive a terminal.
#[test]
fn texts_are_harmless() {
    let bench = Bench::new();
    out(&bench, &["pause", "beat", "--reason", "a\x1b]0;x\x07b"]);
    for args in [&["list"][..], &["show", "beat"], &["list", "--output", "json"]] {
        let text = out(&bench, args);
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{args:?} {text:?}");
    }
    for args in [&["show", "a\x1b]0;x\x07b"][..], &["pause", "a\x1b]0;x\x07b"]] {
        let text = err(&bench, args, 1);
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{args:?} {text:?}");
    }
}
