//! Disks that are full behind what is printed, and who writes where they should not.

use std::fs;

use crate::harness::{Bench, Running, Stream};

/// Sets how large a file may become that a process writes to: a disk that is full, and then not.
fn limit_files(running: &Running, bytes: Option<u64>) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(running.pid() as i32);
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

/// Prints a hundred lines and more when it is told to.
const IN_TWO_PARTS: &str = r#"cat first; i=0
    while [ $i -lt 100 ]; do echo "this is line $i"; i=$((i+1)); done
    cat then; echo after"#;

/// Every line is whole, and what is missing is said to be.
fn assert_whole(lines: &str, prefix: &str) {
    let (mut bytes, mut lost, mut after) = (0, 0, false);
    for line in lines.lines() {
        if line.starts_with("==> run ") && prefix.is_empty() {
            // Which run it is.
        } else if let Some(note) = line.strip_prefix("schedrs: ") {
            let number = note.strip_suffix(" bytes of output lost: file too large").unwrap();
            lost += number.parse::<usize>().unwrap();
        } else {
            let line = line.strip_prefix(prefix).unwrap_or_else(|| panic!("torn: {line:?}"));
            let number = line.strip_prefix("this is line ").map(str::parse::<u32>);
            assert!(
                line == "after" || line == "go" || matches!(number, Some(Ok(0..100))),
                "{line:?}"
            );
            after |= line == "after";
            bytes += prefix.len() + line.len() + 1;
        }
    }
    let all = (0..100).map(|i| format!("{prefix}this is line {i}\n").len()).sum::<usize>()
        + format!("{prefix}go\n{prefix}go\n{prefix}after\n").len();
    assert!(after && lost > 0, "{lines}");
    // What is dropped before it is cut into lines is counted without what would stand before them.
    let at_least = all - 100 * prefix.len();
    assert!((at_least..=all).contains(&(bytes + lost)), "{at_least} {all} {lines}");
}

#[test]
fn a_full_disk_behind_stdout_tears_no_line_and_the_loss_is_counted() {
    let bench = Bench::new(&format!("jobs.a = {{ command = '''{IN_TWO_PARTS}''', date = 'now' }}"));
    bench.fifo("first");
    bench.fifo("then");
    let args = ["run", "--log-format", "json", "--store", "memory", "jobs.toml"];
    let mut command = bench.command(&args);
    command.stdout(fs::File::create(bench.path("out")).unwrap());
    let mut running = Running::start(&mut command);
    running.event("started", "a");
    limit_files(&running, Some(1000));
    bench.write_fifo("first");
    let begun = running.event("output_lost", "");
    assert!(begun["message"].as_str().unwrap().contains("cannot write to stdout"), "{begun}");
    limit_files(&running, None);
    let over = running.event("output_recovered", "");
    assert!(over["message"].as_str().unwrap().contains(" bytes were lost"), "{over}");
    bench.write_fifo("then");
    running.event("succeeded", "a");
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert_eq!(done.count("output_lost"), 1);
    assert_whole(&fs::read_to_string(bench.path("out")).unwrap(), "a | ");
}

#[test]
fn a_full_disk_behind_log_files_is_told_once_and_counted() {
    let jobs = ["a", "b"].map(|job| {
        let parts = IN_TWO_PARTS.replace("first", &format!("first-{job}"));
        let parts = parts.replace("then", &format!("then-{job}"));
        format!("jobs.{job} = {{ command = '''{parts}''', date = 'now', output = 'file' }}\n")
    });
    let bench = Bench::new(&jobs.concat());
    for fifo in ["first-a", "first-b", "then-a", "then-b"] {
        bench.fifo(fifo);
    }
    let args = ["run", "--log-format", "json", "--store", "memory", "jobs.toml"];
    let mut command = bench.command(&args);
    command.env("LOGS_DIRECTORY", bench.path("logs"));
    let mut running = Running::start(&mut command);
    running.event("started", "");
    running.event("started", "");
    limit_files(&running, Some(1000));
    bench.write_fifo("first-a");
    running.event("output_lost", "a");
    bench.write_fifo("first-b");
    // Not all of it may be lost.
    limit_files(&running, None);
    running.event("output_recovered", "");
    bench.write_fifo("then-a");
    bench.write_fifo("then-b");
    running.event("succeeded", "");
    running.event("succeeded", "");
    let done = running.stop();
    assert_eq!((done.code, done.count("output_lost")), (Some(0), 1), "{done:#?}");
    let logs = fs::read_dir(bench.path("logs")).unwrap().next().unwrap().unwrap().path();
    assert_whole(&fs::read_to_string(logs.join("a.log")).unwrap(), "");
}

#[test]
fn a_full_disk_behind_the_log_leaves_it_json() {
    let bench = Bench::new("jobs.a = { command = 'cat first; cat then', date = 'now' }");
    bench.fifo("first");
    bench.fifo("then");
    let args = ["run", "--log-format", "json", "--store", "memory", "jobs.toml"];
    let mut command = bench.command(&args);
    let log = bench.path("log");
    command.stderr(fs::File::create(&log).unwrap());
    let mut running = Running::start(&mut command);
    bench.write_fifo("first");
    running.line(Stream::Out, &["a | go"]);
    limit_files(&running, Some(fs::metadata(&log).unwrap().len() + 10));
    for _ in 0..3 {
        running.signal("HUP");
        bench.read_until(&log, |text| !text.ends_with('\n'));
    }
    limit_files(&running, None);
    bench.read_until(&log, |text| text.contains("output_lost"));
    bench.write_fifo("then");
    assert_eq!(running.stop().code, Some(0));
    let text = fs::read_to_string(&log).unwrap();
    for line in text.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert!(text.lines().last().unwrap().contains("\"stopped\""), "{text}");
}

/// A process that is none of the job's writes to its pipe and never stops.
#[test]
fn a_foreign_writer_holds_up_nothing() {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    for output in ["pass", "file"] {
        let bench = Bench::new(&format!(
            "jobs.leak = {{ command = 'echo $$ > pid; cat wait', date = 'now', output = '{output}' }}
             jobs.tick = {{ command = 'echo tock', interval = '1s' }}"
        ));
        bench.fifo("pid");
        bench.fifo("wait");
        let mut running = bench.run();
        let pid = bench.read_fifo("pid");
        let pipe = format!("/proc/{}/fd/1", pid.trim());
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let pipe = fs::File::options().write(true).custom_flags(flags).open(pipe).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (over, mut pipe) = (Arc::clone(&over), pipe.try_clone().unwrap());
                let lines = "foreign\n".repeat(8192);
                std::thread::spawn(move || {
                    // The reader is gone at last, or the test is over.
                    while !over.load(Ordering::Relaxed) {
                        match pipe.write(lines.as_bytes()) {
                            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
                            _ => {}
                        }
                    }
                })
            })
            .collect();
        running.line(Stream::Out, &["tick | tock"]);
        running.line(Stream::Out, &["tick | tock"]);
        bench.write_fifo("wait");
        running.event("succeeded", "leak");
        running.event("succeeded", "tick");
        running.event("succeeded", "tick");
        // It has been let go of.
        for writer in writers {
            writer.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(running.stop().code, Some(0), "{output}");
    }
}
