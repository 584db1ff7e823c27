//! The first hour: `schedrs init`, `schedrs doctor`, `schedrs shell`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use harness::{Bench, Done, Running, Stream, is_root};

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
    assert!(done.err[0].contains("jobs.toml exists and is left as it is"), "{done:?}");
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
        ("b", 126, "no shell for `b`: cwd /nowhere cannot be entered"),
        ("c", 127, "no shell for `c`: program `no-such-shell` not found on PATH"),
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
