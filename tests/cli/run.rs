//! `schedrs run` with real processes: output, environments, signals, reloads, exit codes.

use crate::harness::{Bench, Running, Stream, has_root};

#[test]
fn lines_are_whole_and_say_whose_they_are() {
    let bench = Bench::new(
        r#"
        [jobs.talker]
        command = "printf one; printf ' line\\nno end'; echo problem >&2"
        date = "now"
        "#,
    );
    let mut running = bench.run();
    running.event("succeeded", "talker");
    let done = running.stop();
    assert_eq!(done.out, ["talker | one line", "talker | no end"]);
    // The log is JSON, and so is what stands beside it.
    let problem = r#"{"stream":"stderr","job":"talker","run":1,"line":"problem"}"#;
    assert!(done.err.contains(&problem.to_owned()), "{:#?}", done.err);
    assert_eq!(done.code, Some(0));
}

#[test]
fn what_a_run_prints_comes_before_its_end() {
    let bench = Bench::new(
        r#"
        [jobs.talker]
        command = "i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done"
        date = "now"
        "#,
    );
    let mut running = bench.run();
    running.event("succeeded", "talker");
    let lines = running.done.err.iter().filter(|line| line.contains("\"stderr\"")).count();
    assert_eq!(lines, 500);
    running.stop();
}

#[test]
fn raw_passes_bytes_on() {
    let bench = Bench::new("jobs.a = { command = 'printf \"a\\nb\"', date = 'now' }");
    let args = ["run", "--raw", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.command(&args));
    running.event("succeeded", "a");
    assert_eq!(running.stop().out, ["a", "b"]);
}

#[test]
fn output_goes_where_the_job_says() {
    let bench = Bench::new(
        r#"
        [jobs.quiet]
        command = "echo never seen"
        output = "discard"
        date = "now"
        [jobs."kept/1"]
        command = "echo kept; echo too >&2"
        output = "file"
        date = "now"
        "#,
    );
    let mut running = bench.run();
    let done = {
        for _ in 0..2 {
            running.event("succeeded", "");
        }
        running.stop()
    };
    assert_eq!(done.out, [""; 0]);
    let kept = std::fs::read_to_string(bench.logs("state/logs").join("kept%2F1.log")).unwrap();
    let mut lines: Vec<&str> = kept.lines().collect();
    // Each run begins with a line that says which it is.
    assert!(lines[0].starts_with("==> run ") && lines[0].ends_with("+00:00 <=="), "{lines:?}");
    lines[1..].sort_unstable();
    assert_eq!(lines[1..], ["kept", "too"]);
}

/// Two jobfiles may have a job of the same id, and an id may be longer than the name of a file.
#[test]
fn every_job_has_a_log_file_of_its_own() {
    let id = "夜間バックアップを東京の本社のサーバーから大阪の倉庫へ送る";
    let jobs = format!(
        "jobs.backup = {{ command = 'echo $FROM', date = 'now', output = 'file' }}\n\
         jobs.'{id}' = {{ command = 'echo precious', date = 'now', output = 'file' }}"
    );
    let bench = Bench::new(&jobs);
    std::fs::create_dir(bench.path("other")).unwrap();
    bench.write("other/jobs.toml", &jobs);
    for file in ["jobs.toml", "other/jobs.toml"] {
        let args = ["run", "--log-format", "json", "--store", "memory", file];
        let mut running = Running::start(bench.command(&args).env("FROM", file));
        running.event("succeeded", "backup");
        running.stop();
        let logs = bench.path("state/logs").join(schedrs::paths::instance(&bench.path(file)));
        let kept = std::fs::read_to_string(logs.join("backup.log")).unwrap();
        let after_mark = |text: &str| text.split_once(" <==\n").unwrap().1.to_owned();
        assert_eq!(after_mark(&kept), format!("{file}\n"));
        let mut names = std::fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().path());
        let long = names.find(|path| !path.ends_with("backup.log")).unwrap();
        assert_eq!(after_mark(&std::fs::read_to_string(long).unwrap()), "precious\n");
    }
}

#[test]
fn sigterm_lets_running_jobs_end() {
    let bench = Bench::new(
        r#"
        jobs.long = { command = "cat gate; echo done", date = "now" }
        jobs.other = { command = "echo other", interval = "1s" }
        "#,
    );
    bench.fifo("gate");
    let mut running = bench.run();
    running.event("started", "long");
    running.signal("TERM");
    let stopping = running.event("stopping", "");
    assert_eq!(stopping["running"], 1);
    bench.write_fifo("gate");
    running.event("succeeded", "long");
    let done = running.wait();
    assert!(done.out.contains(&"long | done".to_owned()));
    assert_eq!(done.code, Some(0));
}

#[test]
fn stop_grace_ends_what_does_not_end() {
    let bench = Bench::new(
        r#"
        scheduler.stop_grace = "100ms"
        jobs.long = { command = "exec sleep 1000", date = "now" }
        "#,
    );
    let mut running = bench.run();
    running.event("started", "long");
    running.signal("INT");
    assert_eq!(running.event("killed", "long")["signal"], 15);
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let bench = Bench::new(
        "jobs.stubborn = { command = \"trap '' TERM; echo up; while :; do sleep 1; done\", date = 'now' }",
    );
    let mut running = bench.run();
    running.line(Stream::Out, &["stubborn | up"]);
    running.signal("TERM");
    running.event("stopping", "");
    running.signal("TERM");
    assert_eq!(running.event("killed", "stubborn")["signal"], 9);
    assert_eq!(running.wait().code, Some(128 + 15));
}

#[test]
fn reload_is_a_diff_and_a_bad_file_changes_nothing() {
    let bench = Bench::new(
        r#"
        jobs.long = { command = "cat gate; echo survived", date = "now" }
        jobs.old = { command = "true", interval = "1h" }
        "#,
    );
    bench.fifo("gate");
    let mut running = bench.run();
    running.event("started", "long");

    bench.write("jobs.toml", "jobs.long = { command = \"cat gate; ec");
    running.signal("HUP");
    let problem = running.event("reload_problem", "");
    assert!(problem["message"].as_str().unwrap().starts_with("jobs.toml:1:"), "{problem}");
    running.event("reload_failed", "");

    bench.write(
        "jobs.toml",
        r#"
        jobs.long = { command = "cat gate; echo survived", date = "now" }
        jobs.new = { command = "echo new", date = "now" }
        "#,
    );
    running.signal("HUP");
    let diff = running.event("reloaded", "");
    let counts = ["added", "changed", "removed", "unchanged"].map(|key| diff[key].clone());
    assert_eq!(counts, [1, 0, 1, 1]);
    bench.write_fifo("gate");
    running.event("succeeded", "long");
    assert!(running.stop().out.contains(&"long | survived".to_owned()));
}

#[test]
fn once_exits_as_the_job_does() {
    let bench = Bench::new(
        r#"
        [defaults]
        cron = "0 0 1 1 *"
        [jobs.code]
        command = "echo out; echo err >&2; exit 7"
        cron = "0 0 1 1 *"
        retries = 5
        [jobs.signal]
        command = "kill -9 $$"
        cron = "0 0 1 1 *"
        [jobs.slow]
        command = ["sleep", "1000"]
        cron = "0 0 1 1 *"
        timeout = "50ms"
        [jobs.none]
        command = ["no-such-program"]
        cron = "0 0 1 1 *"
        [jobs.directory]
        command = ["/"]
        cron = "0 0 1 1 *"
        paused = true
        "#
        .replace("        [defaults]\n        cron = \"0 0 1 1 *\"\n", "")
        .as_str(),
    );
    let done = bench.once("code");
    assert_eq!((done.code, done.out), (Some(7), vec!["out".to_owned()]));
    assert!(done.err.contains(&"err".to_owned()));
    assert_eq!(bench.once("signal").code, Some(128 + 9));
    assert_eq!(bench.once("slow").code, Some(124));
    assert_eq!(bench.once("none").code, Some(127));
    assert_eq!(bench.once("directory").code, Some(126));
    let done = bench.once("cod");
    assert_eq!(done.code, Some(1));
    assert!(done.err.concat().contains("did you mean `code`?"), "{:#?}", done.err);
}

#[test]
fn a_dry_run_starts_nothing() {
    let bench = Bench::new("jobs.a = { command = 'touch made', date = 'now' }");
    let args = ["run", "--dry-run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.command(&args));
    running.event("would_start", "a");
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert_eq!(done.count("started") + done.count("succeeded"), 0, "{:#?}", done.err);
    assert!(!bench.path("made").exists());
}

#[test]
fn it_stops_at_the_time_of_until() {
    let bench = Bench::new("jobs.a = { command = 'true', interval = '1h' }");
    let json = |until| ["run", "--log-format", "json", "--until", until, "jobs.toml"];
    let mut running = Running::start(&mut bench.command(&json("+0.05s")));
    running.event("until", "");
    assert_eq!(running.wait().code, Some(0));

    let past = Running::start(&mut bench.command(&json("2020-01-01"))).wait();
    assert_eq!(past.code, Some(1));
    assert!(past.err.concat().contains("is in the past"), "{:#?}", past.err);
    let nonsense = Running::start(&mut bench.command(&json("soon"))).wait();
    assert_eq!(nonsense.code, Some(1));
    assert!(nonsense.err.concat().contains("--until soon"), "{:#?}", nonsense.err);
}

#[test]
fn what_cannot_start_says_so_with_its_exit_code() {
    let bench = Bench::new("jobs.a = { command = 'true' }");
    let done = bench.run().wait();
    assert_eq!(done.code, Some(1));
    assert!(done.err.concat().contains("jobs.toml:1:"), "{:#?}", done.err);
    let missing = Running::start(&mut bench.command(&["run", "missing.toml"])).wait();
    assert_eq!(missing.code, Some(1));
    let usage = Running::start(&mut bench.command(&["run", "--no-such-option"])).wait();
    assert_eq!(usage.code, Some(2));
}

/// The lines a job prints that is run once with these options, under `env` and in `wrapper`.
fn printed(options: &str, command: &str) -> Vec<String> {
    let bench = Bench::new(&format!("[jobs.a]\ncommand = {command}\ndate = 'now'\n{options}\n"));
    bench.write("vars", "# comment\nFROM_FILE='two words'\nBOTH=file\n");
    let mut command = bench.command(&["run", "--once", "a"]);
    command.env("INHERITED", "yes").env("NOTIFY_SOCKET", "/nonexistent");
    let done = Running::start(&mut command).wait();
    assert_eq!(done.code, Some(0), "{:#?}", done.err);
    done.out
}

#[test]
fn the_environment_is_the_scheduler_s_and_what_the_job_adds() {
    let out = printed("env_file = 'vars'\nenv = { BOTH = 'env' }", "'env'");
    let has = |entry: &str| out.iter().any(|line| line == entry);
    let more = "env = { INHERITED = { append = 'x', prepend = 'w' }, NEW = { append = 'y' } }";
    let joined = printed(more, "'env'");
    let has_joined = |entry: &str| joined.iter().any(|line| line == entry);
    assert!(has_joined("INHERITED=w:yes:x") && has_joined("NEW=y"), "{joined:#?}");
    assert!(has("INHERITED=yes") && has("FROM_FILE=two words") && has("BOTH=env"), "{out:#?}");
    assert!(has("SCHEDRS_JOB=a") && has("SCHEDRS_RUN=1") && has("SCHEDRS_ATTEMPT=1"), "{out:#?}");
    assert!(out.iter().any(|line| line.starts_with("SCHEDRS_DUE=2")), "{out:#?}");
    assert!(!out.iter().any(|line| line.starts_with("NOTIFY_SOCKET")), "{out:#?}");
}

#[test]
fn clear_env_leaves_a_small_environment() {
    let out = printed("clear_env = true\nenv = { X = '1' }", "['/usr/bin/env']");
    let mut names: Vec<&str> = out.iter().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    let known = [
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "SCHEDRS_ATTEMPT",
        "SCHEDRS_DUE",
        "SCHEDRS_JOB",
        "SCHEDRS_RUN",
        "SHELL",
        "TZ",
        "USER",
        "X",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    for needed in ["HOME", "LOGNAME", "PATH", "SCHEDRS_DUE", "SHELL", "USER", "X"] {
        assert!(names.contains(&needed), "{names:?}");
    }
}

#[test]
fn cwd_stdin_umask_and_nice() {
    assert_eq!(printed("cwd = '/usr'", "'pwd; echo $PWD'"), ["/usr", "/usr"]);
    // The home is the one that the job has.
    for cwd in ["~/bin", "$HOME/bin", "${HOME}/bin"] {
        let lines = format!("cwd = '{cwd}'\nenv = {{ HOME = '/usr' }}");
        assert_eq!(printed(&lines, "'pwd; echo $PWD'"), ["/usr/bin", "/usr/bin"], "{cwd}");
    }
    assert_eq!(printed("cwd = '~'", "'[ \"$PWD\" = \"$HOME\" ] && echo home'"), ["home"]);
    assert_eq!(printed("stdin = 'some text'", "['cat']"), ["some text"]);
    assert_eq!(printed("", "'cat; echo empty'"), ["empty"]);
    assert_eq!(printed("umask = 0o027", "'umask'"), ["0027"]);
    assert_eq!(printed("nice = 5", "['nice']"), ["5"]);
    assert_eq!(printed("shell = ['/bin/bash', '-u']", "'echo $0'"), ["/bin/bash"]);
}

#[test]
fn a_job_inherits_no_descriptor_and_no_signal_setting() {
    let bench = Bench::new(
        r#"
        jobs.plain = { command = "ls /proc/self/fd; grep Sig[IB] /proc/self/status", date = "now" }
        jobs.forked = { command = "ls /proc/self/fd; grep Sig[IB] /proc/self/status", umask = 0, date = "now" }
        "#,
    );
    for job in ["plain", "forked"] {
        // Started as `nohup` and `&` in a script start things, with a descriptor left open.
        let script = "trap '' HUP INT QUIT PIPE USR2; exec \"$@\" 7</dev/null";
        let args = ["run", "--once", job];
        let done = Running::start(&mut bench.shell(script, &args)).wait();
        // The last one is the directory that ls reads.
        assert_eq!(done.out[..4], ["0", "1", "2", "3"], "{job}");
        for line in &done.out[4..] {
            let (name, mask) = line.split_once(":\t").unwrap();
            // Signals 32 and 33 are glibc's own, which it leaves ignored in what it spawns.
            let others = u64::from_str_radix(mask, 16).unwrap() & !0x1_8000_0000;
            assert_eq!(others, 0, "{job}: {name} {mask}");
        }
        assert_eq!(done.out.len(), 6, "{job}");
    }
    // Nor does who opens a shell as the job lend them theirs.
    for job in ["plain", "forked"] {
        let script = "exec \"$@\" 7</dev/null 9</dev/null";
        let args = ["shell", job, "-c", "ls /proc/self/fd"];
        let done = Running::start(&mut bench.shell(script, &args)).wait();
        assert_eq!(done.out, ["0", "1", "2", "3"], "{job}: {done:?}");
    }
}

#[test]
fn a_string_is_what_the_shell_makes_of_it() {
    let bench = Bench::new(
        r#"
        jobs.missing = { command = "no-such-program --flag", date = "now" }
        jobs.plain = { command = "ls -d .", date = "now" }
        jobs.pipe = { command = "echo b a | tr ' ' '\n' | sort", date = "now" }
        jobs.script = { command = "./no-shebang", date = "now" }
        jobs.locked = { command = "./locked", date = "now" }
        "#,
    );
    bench.program("no-shebang", "echo from a script\n");
    bench.write("locked", "echo never\n");
    let missing = bench.once("missing");
    assert_eq!(missing.code, Some(127));
    assert!(missing.err.concat().contains("not found"), "{:#?}", missing.err);
    assert_eq!(bench.once("plain").out, ["."]);
    assert_eq!(bench.once("pipe").out, ["a", "b"]);
    assert_eq!(bench.once("script").out, ["from a script"]);
    let locked = bench.once("locked");
    assert_eq!(locked.code, Some(126));
    assert!(locked.err.concat().contains("ermission denied"), "{:#?}", locked.err);
}

#[test]
fn another_user_has_only_what_is_theirs() {
    if !has_root() {
        return;
    }
    let out = printed(
        "user = 'nobody'\ncwd = '/'",
        r#""id -un; id -G; echo $HOME $USER $LOGNAME; grep -E '^Cap(Prm|Eff)' /proc/self/status""#,
    );
    assert_eq!(out[0], "nobody");
    assert_eq!(out[1].split(' ').count(), 1, "{out:?}");
    assert!(out[2].ends_with("nobody nobody"), "{out:?}");
    assert!(out[3..].iter().all(|line| line.ends_with("\t0000000000000000")), "{out:?}");
    assert_eq!(printed("user = '65534'\ngroup = '12345'\ncwd = '/'", "'id -g'"), ["12345"]);
}

#[test]
fn a_user_that_does_not_exist_is_said() {
    let bench = Bench::new("jobs.a = { command = 'true', date = 'now', user = 'nobody-at-all' }");
    let done = bench.once("a");
    assert_eq!(done.code, Some(126));
    assert!(done.err.concat().contains("no user `nobody-at-all`"), "{:#?}", done.err);
}

/// Of many that begin at once some have ended before the scheduler hears that they began.
#[test]
#[cfg(feature = "sqlite")]
fn what_is_over_at_once_has_begun_all_the_same() {
    const JOBS: usize = 60;
    let job = |nth| format!("[jobs.j{nth}]\ncommand = ['true']\ndate = 'now'\n");
    let bench = Bench::new(&(0..JOBS).map(job).collect::<String>());
    let mut running = bench.run();
    for _ in 0..JOBS {
        running.event("succeeded", "");
    }
    running.stop();
    let history = bench.out(&["history", "-n", "0", "--output", "json"]);
    let without = history.lines().filter(|line| !line.contains("\"started\":\""));
    assert_eq!((history.lines().count(), without.collect::<Vec<_>>()), (JOBS, Vec::new()));
}

/// A run by hand is in the history, but for where somebody else has the store.
#[test]
#[cfg(feature = "sqlite")]
fn a_single_run_is_remembered() {
    let bench = Bench::new(
        "[scheduler]\ntimezone = 'Asia/Tokyo'\n[jobs.a]\ncommand = 'exit 3'\ninterval = '1h'\n\
         [jobs.b]\ncommand = ['nowhere']\ninterval = '1h'\n",
    );
    assert_eq!(bench.once("a").code, Some(3));
    assert_eq!(bench.once("b").code, Some(127));
    let shown = |args: &[&str]| {
        let done = Running::start(&mut bench.command(args)).wait();
        assert_eq!(done.code, Some(0), "{args:?}: {done:#?}");
        done.out.join("\n")
    };
    let records = shown(&["history", "--output", "json"]);
    let records: Vec<serde_json::Value> =
        records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!((&records[0]["outcome"], &records[0]["exit"]), (&"failed".into(), &3.into()));
    assert!(records[0]["by"].as_str().unwrap().ends_with(" with run --once"), "{records:?}");
    assert_eq!(records[1]["outcome"], "not_started");
    assert_ne!(records[0]["run"], records[1]["run"]);
    // On the clocks of whoever looks.
    assert!(shown(&["history", "a"]).contains("+09:00"));
    assert!(shown(&["history", "a", "--local"]).contains("+00:00"));
    // A scheduler that runs goes on from there.
    let mut running = bench.run();
    running.event("starting", "");
    let done = bench.once("a");
    let said = done.err.join("\n");
    assert!(said.contains("schedrs: this run of a is not in the history: "), "{said}");
    assert!(said.ends_with("; `schedrs start a` starts it there"), "{said}");
    running.stop();
}
