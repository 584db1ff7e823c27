//! The first hour: `schedrs init`, `schedrs doctor`, `schedrs shell`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Bench, Done, Running, Stream, has_root, is_root, on_a_terminal, read_until};

fn run(bench: &Bench, args: &[&str]) -> Done {
    Running::start(&mut bench.command(args)).wait()
}

fn bench() -> Bench {
    let bench = Bench::new("");
    fs::remove_file(bench.path("jobs.toml")).unwrap();
    bench
}

#[test]
fn init_writes_a_jobfile_that_runs() {
    // It is right on every clock: no change of them is near its times.
    for zone in ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Beirut", "EST5EDT,M3.2.0,M11"]
    {
        let bench = bench();
        let mut command = bench.shell("umask 0; exec \"$@\"", &["init"]);
        let done = Running::start(command.env("TZ", zone)).wait();
        assert_eq!(done.code, Some(0), "{zone}: {done:?}");
        let mode = fs::metadata(bench.path("jobs.toml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        let checked = run(&bench, &["validate", "--strict"]);
        assert_eq!(checked.out, ["jobs.toml: 3 jobs, no problems"], "{zone}: {checked:?}");
    }
    let bench = bench();
    let done = run(&bench, &["init"]);
    // Each command that it names is one.
    for line in done.out.iter().filter(|line| line.trim_start().starts_with("schedrs ")) {
        let command = line.trim().split("  ").next().unwrap();
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        if words[0] == "run" {
            let mut running = Running::start(&mut bench.command(&words));
            running.line(Stream::Out, &["hello | hello from hello"]);
            assert_eq!(running.stop().code, Some(0));
        } else {
            assert_eq!(run(&bench, &words).code, Some(0), "{line}");
        }
    }
}

#[test]
fn init_overwrites_nothing() {
    let bench = Bench::new("# mine\n");
    let done = run(&bench, &["init"]);
    assert_eq!(done.code, Some(1));
    assert!(done.err[0].contains("jobs.toml already exists and was not changed"), "{done:?}");
    assert_eq!(fs::read_to_string(bench.path("jobs.toml")).unwrap(), "# mine\n");
    // Not even what a symbolic link leads to.
    std::os::unix::fs::symlink(bench.path("nowhere"), bench.path("link")).unwrap();
    assert_eq!(run(&bench, &["init", "link"]).code, Some(1));
    let rows = [(".", ". is a directory"), ("no/jobs.toml", "mkdir -p no")];
    for (file, said) in rows {
        let done = run(&bench, &["init", file]);
        assert!(done.code == Some(1) && done.err[0].contains(said), "{done:?}");
    }
    let done = run(&bench, &["init", "-"]);
    assert!(done.out.iter().any(|line| line == "[jobs.hello]"), "{done:?}");
}

/// What a process can tell of itself.
const SELF: &str = "env | grep -v ^_= | sort; pwd; umask; id; nice; cat /proc/self/limits; \
                    grep -E 'Sig(Blk|Ign)|Cap' /proc/self/status";

#[test]
fn a_shell_has_what_the_job_has() {
    let user = if is_root() { "user = 12345\ngroup = 54321\nnice = 3" } else { "nice = 3" };
    let options = [
        "",
        "clear_env = true\numask = '027'\ncwd = '/'",
        "env_file = 'more'\nenv = { A = 'a b', S = { file = 'secret' } }\nshell = ['bash', '-eu']",
        user,
    ];
    for options in options {
        let bench =
            Bench::new(&format!("[jobs.a]\ncommand = '''{SELF}'''\ndate = 'now'\n{options}\n"));
        bench.write("more", "B=b\n");
        bench.write("secret", "0123456789\n");
        let of_run = run(&bench, &["run", "--once", "a", "jobs.toml"]);
        let of_shell = run(&bench, &["shell", "a", "-c", SELF]);
        let telling = |done: Done| -> Vec<String> {
            assert_eq!(done.code, Some(0), "{options}: {done:?}");
            let differs = |line: &String| {
                // The mark of a run is one of the limits.
                ["SCHEDRS_RUN=", "SCHEDRS_DUE=", "Max file locks"]
                    .iter()
                    .any(|word| line.starts_with(word))
            };
            let masked = |line: String| line.replace("0123456789", "***");
            done.out.into_iter().filter(|line| !differs(line)).map(masked).collect()
        };
        let (of_run, of_shell) = (telling(of_run), telling(of_shell));
        let differ: Vec<_> = of_run.iter().zip(&of_shell).filter(|(a, b)| a != b).collect();
        assert!(differ.is_empty() && of_run.len() == of_shell.len(), "{options}: {differ:#?}");
        assert!(of_run.contains(&"SCHEDRS_JOB=a".to_owned()));
    }
}

#[test]
fn a_shell_ends_as_its_command_does() {
    let bench = Bench::new(
        "jobs.a = { command = 'true', date = 'now' }\n\
         jobs.b = { command = 'true', date = 'now', cwd = '/nowhere' }\n\
         jobs.c = { command = 'true', date = 'now', shell = 'no-such-shell' }\n",
    );
    assert_eq!(run(&bench, &["shell", "a", "-c", "exit 7"]).code, Some(7));
    let rows = [
        ("b", 126, "cannot open a shell for `b`: cwd /nowhere cannot be entered"),
        ("c", 127, "cannot open a shell for `c`: program `no-such-shell` not found on PATH"),
        ("d", 1, "no job `d` in the jobfile"),
    ];
    for (job, code, said) in rows {
        let done = run(&bench, &["shell", job, "-c", "true"]);
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(done.err[0].contains(said), "{done:?}");
    }
    // Without a command it reads what it is to do, as shells do.
    bench.write("input", "echo from $SCHEDRS_JOB\nexit 3\n");
    let mut command = bench.command(&["shell", "a"]);
    command.stdin(fs::File::open(bench.path("input")).unwrap());
    let done = Running::start(&mut command).wait();
    assert_eq!((done.code, &done.out[0][..]), (Some(3), "from a"));
}

#[test]
fn a_shell_of_another_user_has_a_terminal_of_its_own() {
    if !has_root() {
        return;
    }
    let bench = Bench::new("jobs.a = { command = 'x', user = 'nobody', cwd = '/', date = 'now' }");
    let script = "tty; stty size; id -un; echo x > /dev/stderr; read line; echo got $line; exit 5";
    let (mut ours, theirs, mut child) = on_a_terminal(bench.command(&["shell", "a", "-c", script]));
    let before = rustix::termios::tcgetattr(&theirs).unwrap();
    let own = rustix::termios::ttyname(&theirs, Vec::new()).unwrap().into_string().unwrap();
    let said = read_until(&mut ours, "nobody\r\nx\r\n");
    let tty = said.lines().find(|line| line.starts_with("/dev/pts/")).unwrap().trim().to_owned();
    assert_ne!(tty, own, "{said}");
    assert!(said.contains("33 77"), "{said}");
    ours.write_all(b"typed\r").unwrap();
    read_until(&mut ours, "got typed");
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let after = rustix::termios::tcgetattr(&theirs).unwrap();
    assert_eq!(before.local_modes, after.local_modes);
    assert_eq!(before.output_modes, after.output_modes);
}

#[test]
fn a_shell_of_another_user_that_is_shown_elsewhere_reads_no_keys() {
    if !has_root() {
        return;
    }
    let bench = Bench::new("jobs.a = { command = 'x', user = 'nobody', cwd = '/', date = 'now' }");
    let script = "\"$@\" | cat > shown; test -s shown";
    let command = bench.shell(script, &["shell", "a", "-c", "wc -c; seq 20000 | tail -n 1"]);
    let (_ours, _theirs, mut child) = on_a_terminal(command);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(bench.path("shown")).unwrap(), "0\n20000\n");
}

#[test]
fn a_shell_of_another_user_without_a_terminal_ends_as_its_command_does() {
    if !has_root() {
        return;
    }
    let bench = Bench::new("jobs.a = { command = 'x', user = 'nobody', cwd = '/', date = 'now' }");
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("id -un | grep -q nobody", 0)] {
        let done = run(&bench, &["shell", "a", "-c", script]);
        assert_eq!(done.code, Some(code), "{script}: {done:?}");
    }
    let mut running =
        Running::start(&mut bench.command(&["shell", "a", "-c", "echo up; sleep 600"]));
    running.line(Stream::Out, &["up"]);
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(143));
}

/// The lines that doctor prints about a job, or about everything else.
fn about(done: &Done, job: Option<&str>) -> Vec<serde_json::Value> {
    let lines =
        done.out.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["job"].as_str() == job).collect()
}

#[test]
fn a_shell_that_does_not_end_holds_up_no_doctor() {
    let job = "jobs.a = { command = 'true; true', shell = ['./sh', '-c'], date = 'now' }";
    let bench = Bench::new(job);
    for script in ["kill -9 $$", "exec >&- 2>&-; exec sleep 600"] {
        bench.program("sh", &format!("#!/bin/sh\n{script}\n"));
        let done = run(&bench, &["doctor", "a", "-f", "jobs.toml"]);
        let found = done.out.iter().any(|line| line.contains("./sh did not check its syntax"));
        assert!(found, "{script}: {done:?}");
        assert!(!done.out.concat().contains("syntax error"), "{done:?}");
    }
}

#[test]
fn doctor_finds_what_will_bite() {
    // (the job, how bad it is, what is said)
    let rows = [
        ("command = 'true'", "ok", ""),
        ("command = ['no-such-program']", "problem", "program `no-such-program` not found on PATH"),
        ("command = 'no-such-program && echo'", "warning", "`no-such-program` not found on PATH"),
        ("command = ['{dir}/plain']", "problem", "plain cannot be executed"),
        ("command = ['{dir}']", "problem", "is not a file"),
        ("command = ['./windows']\ncwd = '{dir}'", "problem", "has Windows line endings"),
        ("command = ['./gone']\ncwd = '{dir}'", "problem", "names /no/such, which does not exist"),
        (
            "command = ['./env']\ncwd = '{dir}'",
            "problem",
            "names no-such-language, which is not on",
        ),
        ("command = ['./good']\ncwd = '{dir}'", "ok", ""),
        (
            "command = './good'",
            "warning",
            "./good is looked up relative to where the scheduler was started",
        ),
        ("command = 'if true; then'", "problem", "yntax error"),
        ("command = 'true'\ncwd = '/no/such'", "problem", "cwd /no/such cannot be entered"),
        ("command = 'true'\nuser = 'no-such-user'", "problem", "no user `no-such-user`"),
        ("command = 'true; true'\nshell = '/no/such'", "problem", "/no/such does not exist"),
        ("command = 'true'\nenv_file = 'no-such'", "problem", "env_file no-such cannot be read"),
        (
            "command = 'true'\nenv = { A = { file = 'plain' } }",
            "warning",
            "plain (A) can be read by",
        ),
        (
            "command = 'true'\nenv = { PATH = '/bin:{dir}/open' }",
            "warning",
            "everyone can write to",
        ),
        // What is no shell has a language of its own.
        ("command = 'print(1/2)'\nshell = 'awk'", "ok", ""),
        ("command = 'import/x os'\nshell = ['awk', '-f']", "ok", ""),
        ("command = ['true', '{long}']", "problem", "command line (137 KiB) and"),
        ("command = 'true'\nenv = { A = '{long}' }", "problem", "exceed the kernel's limit"),
        ("command = 'true'\nenv_file = 'marked'", "ok", ""),
        ("command = 'true'\nenv_file = 'open-quote'", "problem", "line 2: the quote is not closed"),
    ];
    for (job, verdict, said) in rows {
        let bench = bench();
        let job = job.replace("{dir}", bench.dir.path().to_str().unwrap());
        let job = job.replace("{long}", &"x".repeat(140_000));
        bench.write("marked", "\u{feff}A=1\nB=\"2\" # two\n");
        bench.write("open-quote", "A=1\nB=\"2\n");
        bench.write("jobs.toml", &format!("[jobs.a]\ninterval = '1h'\n{job}\n"));
        bench.write("plain", "not-so-secret");
        bench.program("windows", "#!/bin/sh\r\n");
        bench.program("gone", "#!/no/such\n");
        bench.program("env", "#!/usr/bin/env no-such-language\n");
        bench.program("good", "#!/usr/bin/env sh\n");
        fs::create_dir(bench.path("open")).unwrap();
        bench.set_mode("open", 0o777);
        let done = run(&bench, &["doctor", "--output", "json"]);
        let found = about(&done, Some("a"));
        if verdict == "ok" {
            assert!(found.is_empty(), "{job}: {found:?}");
            assert_eq!(done.code, Some(0), "{done:?}");
            continue;
        }
        let line = found.iter().find(|line| line["message"].as_str().unwrap().contains(said));
        let line = line.unwrap_or_else(|| panic!("{job}: {done:#?}"));
        assert_eq!(line["status"], verdict, "{job}");
        assert!(line["help"].as_str().is_some_and(|help| !help.is_empty()), "{job}");
        assert_eq!(done.code, Some((verdict == "problem").into()), "{job}: {done:#?}");
    }
}

#[test]
fn doctor_looks_as_the_jobs_user() {
    if !has_root() {
        return;
    }
    let bench = bench();
    let dir = bench.dir.path().to_str().unwrap();
    bench.write(
        "jobs.toml",
        &format!(
            "defaults.user = 12345\ndefaults.group = 12345\n\
             [jobs.cwd]\ncommand = 'true'\ncwd = '{dir}'\ninterval = '1h'\n\
             [jobs.program]\ncommand = ['{dir}/good']\ninterval = '1h'\n\
             [jobs.fine]\ncommand = 'true'\ninterval = '1h'\n"
        ),
    );
    bench.program("good", "#!/bin/sh\n");
    bench.set_mode(".", 0o700);
    let done = run(&bench, &["doctor", "--output", "json"]);
    let said = |job| about(&done, Some(job)).first().map(|line| line["message"].to_string());
    assert!(said("cwd").unwrap().contains("cannot be entered: permission denied"), "{done:?}");
    assert!(said("program").unwrap().contains("cannot be seen by 12345"), "{done:?}");
    assert_eq!(said("fine"), None);
}

#[test]
fn doctor_knows_the_jobfile_and_the_machine() {
    let bench = bench();
    let done = run(&bench, &["doctor", "-f", "jobs.toml"]);
    assert_eq!(done.code, Some(1));
    assert_eq!(done.out[0], "problem  jobfile: jobs.toml does not exist");
    assert_eq!(done.out[1], "         = help: `schedrs init jobs.toml` creates one");
    bench.write("jobs.toml", "[jobs.a]\ncommand = 'true'\nintervall = '1h'\n");
    let done = run(&bench, &["doctor"]);
    assert_eq!((done.code, &*done.out[0]), (Some(1), "problem  jobfile: jobs.toml: 1 error"));
    bench.write("jobs.toml", "[jobs.a]\ncommand = 'true'\ninterval = '1h'\n");
    let done = run(&bench, &["doctor", "--output", "json"]);
    let checks: Vec<String> =
        about(&done, None).iter().map(|line| line["check"].as_str().unwrap().into()).collect();
    for check in ["jobfile", "clock", "zone data", "store", "open files", "scheduler", "jobs"] {
        assert!(checks.iter().any(|known| known == check), "{check} is not in {checks:?}");
    }
    bench.set_mode("jobs.toml", 0o666);
    let done = run(&bench, &["doctor"]);
    assert!(done.out[1].contains("permissions: jobs.toml: this file can be written"), "{done:?}");
    assert_eq!(done.code, Some(is_root().into()));
}

#[test]
fn doctor_compares_with_the_login_shell() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'true'\ninterval = '1h'\nclear_env = true\n\
         env = { PATH = '/nowhere', SECRET = 'hunter2' }\nshell = '/bin/sh'\n",
    );
    let done = run(&bench, &["doctor", "a", "--output", "json"]);
    let found = about(&done, Some("a"));
    let environment: Vec<String> = found
        .iter()
        .filter(|line| line["check"] == "environment")
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect();
    let compared = environment.iter().any(|text| text.starts_with("PATH lacks /"));
    // Whoever runs the tests may have no login shell.
    let excused = environment.iter().any(|text| text.starts_with("not compared"));
    assert!(compared || excused, "{done:#?}");
    assert!(!done.out.join("\n").contains("hunter2"));
}

/// Jobs are as they are in effect: those that no file has too, and what was changed of others.
#[test]
fn doctor_and_shell_know_what_was_added_and_changed() {
    let bench = Bench::new("[jobs.plain]\ncommand = ['true']\ninterval = '1d'\n");
    let mut running = bench.run();
    running.event("starting", "");
    for line in [
        "add --id extra --every 1d --env A=added -- no-such-program now",
        "modify plain --env A=changed",
    ] {
        let done = run(&bench, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
    }
    // It has told the store before it ends.
    running.stop();
    let found = run(&bench, &["doctor", "extra"]);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert!(found.out.iter().any(|line| line.contains("no-such-program")), "{found:?}");
    for (job, value) in [("extra", "added"), ("plain", "changed")] {
        let shell = run(&bench, &["shell", job, "-c", "echo $A"]);
        assert_eq!(shell.out, [value], "{shell:?}");
    }
}
