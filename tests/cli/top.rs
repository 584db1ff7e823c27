//! `schedrs top` at a terminal.

use std::io::Write;

use crate::harness::{Bench, Running, on_a_terminal, read_until};

const JOBS: &str = r#"
    [jobs.backup]
    command = "cat go"
    interval = "1d"
    [jobs.bad]
    command = "echo sorry; exit 3"
    date = "now"
"#;

fn start(bench: &Bench) -> Running {
    bench.fifo("go");
    let mut running = bench.run();
    running.event("failed", "bad");
    running
}

#[test]
fn keys_do_what_they_ask_about() {
    let bench = Bench::new(JOBS);
    let running = start(&bench);
    let mut command = bench.command(&["top"]);
    command.env("TERM", "xterm");
    let (mut ours, _theirs, mut child) = on_a_terminal(command);
    read_until(&mut ours, "2 jobs, 0 running, 1 failed");
    let mut press = |keys: &str, until: &str| {
        ours.write_all(keys.as_bytes()).unwrap();
        read_until(&mut ours, until)
    };
    // Nothing is done without a yes.
    press("r", "start backup now? y/n");
    press("n", "q quit");
    press("r", "start backup now? y/n");
    press("y", "run 2 of backup has started");
    press("p", "pause backup now? y/n");
    press("y", "backup is paused");
    press("p", "resume backup now? y/n");
    press("n", "q quit");
    press("f", "f all jobs");
    press("\r", "sorry");
    press("q", "f all jobs");
    press("q", "\x1b[?1049l");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    bench.write_fifo("go");
    running.stop();
}

/// No empty screen for a job that is mistyped, among others too.
#[test]
fn a_job_that_is_mistyped_is_said() {
    let bench = Bench::new(JOBS);
    let running = start(&bench);
    for line in [&["top", "bad", "bakcup"][..], &["list", "--watch", "bakcup"]] {
        let mut command = bench.command(line);
        command.env("TERM", "xterm");
        let (mut ours, _theirs, mut child) = on_a_terminal(command);
        read_until(&mut ours, "no job `bakcup`; did you mean `backup`?");
        assert_eq!(child.wait().unwrap().code(), Some(1), "{line:?}");
    }
    running.stop();
}

#[test]
fn a_terminal_that_only_writes_gets_the_table() {
    let bench = Bench::new(JOBS);
    let running = start(&bench);
    let mut command = bench.command(&["list", "--watch"]);
    command.env("TERM", "dumb");
    let (mut ours, _theirs, mut child) = on_a_terminal(command);
    let seen = read_until(&mut ours, "bad ");
    assert!(seen.contains("JOB") && !seen.contains('\x1b'), "{seen:?}");
    // Interrupted as from its keyboard.
    ours.write_all(b"\x03").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    running.stop();
}
