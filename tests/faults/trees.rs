//! Runs whose processes do not want to end. When a run has ended, none of its tree is left.

use std::fs;

use crate::harness::{
    Bench, Done, Running, Stream, has_root, is_alive, is_root, missing, skipped, until,
};

#[test]
fn a_tree_is_gone_when_its_run_has_ended() {
    // A daemon in a session of its own, which ignores TERM and goes on forking.
    let bench = Bench::new(
        r#"
        [jobs.tree]
        command = "setsid ./daemon & read x < ready; echo parent done"
        date = "now"
        kill_after = "50ms"
        "#,
    );
    bench.fifo("ready");
    bench.program(
        "daemon",
        "#!/bin/sh\ntrap '' TERM\necho $$ > pids\nsh -c 'echo $$ >> pids; trap \"\" TERM; exec sleep 1000' &\n\
         sh -c 'echo $$ >> pids; exec setsid sleep 1000' &\necho ok > ready\nexec sleep 1000\n",
    );
    let mut running = bench.run();
    running.event("left_behind", "tree");
    running.event("succeeded", "tree");
    let pids = fs::read_to_string(bench.path("pids")).unwrap();
    assert!(pids.lines().count() >= 1, "{pids}");
    for pid in pids.lines() {
        assert!(!is_alive(pid), "{pid} of {pids}");
    }
    running.stop();
}

#[test]
fn a_tree_without_an_environment_is_found_too() {
    let bench = Bench::new(
        r#"
        [jobs.tree]
        command = "env -i /usr/bin/setsid /bin/sh -c 'echo $$ > pid; echo ok > ready; exec sleep 1000' & read x < ready"
        date = "now"
        kill_after = "10s"
        "#,
    );
    bench.fifo("ready");
    let mut running = bench.run();
    running.event("succeeded", "tree");
    assert!(!is_alive(&fs::read_to_string(bench.path("pid")).unwrap()));
    running.stop();
}

#[test]
fn a_chain_of_forks_is_caught() {
    // Each link starts the next in a new session and ends: no process of it lives for long.
    let bench = Bench::new(
        r#"
        [jobs.chain]
        command = "./link & read x < ready"
        date = "now"
        kill_after = "50ms"
        "#,
    );
    bench.fifo("ready");
    bench.program(
        "link",
        "#!/bin/sh\ntrap '' TERM\n[ -e begun ] || { touch begun; echo ok > ready; }\nsetsid ./link &\nexit 0\n",
    );
    let mut running = bench.run();
    running.event("succeeded", "chain");
    running.stop();
}

#[test]
fn a_timeout_reaches_the_whole_tree() {
    let bench = Bench::new(
        r#"
        [jobs.slow]
        command = "setsid sh -c 'echo $$ > pid; trap \"\" TERM; while :; do sleep 1000; done' & trap '' TERM; while :; do sleep 1000; done"
        date = "now"
        timeout = "2s"
        kill_after = "50ms"
        "#,
    );
    let mut running = bench.run();
    running.event("timed_out", "slow");
    assert!(!is_alive(&fs::read_to_string(bench.path("pid")).unwrap()));
    running.stop();
}

/// The control group of what was killed is not given to another: from Linux 6.14 on that would be killed
/// as well.
#[test]
fn who_comes_after_one_that_was_killed_is_not() {
    let bench = Bench::new(
        r#"
        jobs.bad = { command = "trap '' TERM; while :; do sleep 1000; done", date = "now", timeout = "100ms", kill_after = "10ms" }
        jobs.next = { command = "true", interval = "1s" }
        "#,
    );
    let mut running = bench.run();
    running.event("timed_out", "bad");
    for _ in 0..3 {
        running.event("succeeded", "next");
    }
    let done = running.stop();
    assert_eq!(done.count("killed"), 0, "{done:#?}");
}

#[test]
fn a_stopped_process_is_ended_like_any_other() {
    let bench = Bench::new(
        r#"
        jobs.stopped = { command = "kill -STOP $$", date = "now", timeout = "200ms", kill_after = "60s" }
        "#,
    );
    let mut running = bench.run();
    running.event("timed_out", "stopped");
    running.stop();
}

#[test]
fn another_run_is_not_swept_along() {
    let bench = Bench::new(
        r#"
        [executors]
        default = { max_workers = 4 }
        [jobs.keeps]
        command = "(setsid sh -c 'cat gate; echo still here' &) ; cat gate2; echo done"
        date = "now"
        [jobs.other]
        command = "(setsid sleep 1000 &); echo other"
        interval = "1s"
        kill_after = "10s"
        "#,
    );
    bench.fifo("gate");
    bench.fifo("gate2");
    let mut running = bench.run();
    running.event("succeeded", "other");
    bench.write_fifo("gate");
    running.line(Stream::Out, &["keeps | still here"]);
    bench.write_fifo("gate2");
    running.event("succeeded", "keeps");
    running.stop();
}

#[test]
fn what_hides_is_found_while_others_run() {
    // Daemons that leave nothing of themselves to see: no environment, a session of their own, no
    // parent. Each is ended with its own run, and holding the pipe does not hold the slot.
    let mut jobs = "executors.default = { max_workers = 4 }\n".to_owned();
    for job in ["a", "b", "c", "d"] {
        let hidden = format!("echo $$ > {job}.pid; echo ok > {job}.ready; exec /bin/sleep 1000");
        jobs += &format!(
            "[jobs.{job}]\ndate = 'now'\nkill_after = '10s'\n\
             command = \"(env -i /usr/bin/setsid /bin/sh -c '{hidden}' &); read x < {job}.end\"\n"
        );
    }
    let bench = Bench::new(&jobs);
    let names = ["a", "b", "c", "d"];
    for job in names {
        for fifo in ["ready", "end"] {
            bench.fifo(&format!("{job}.{fifo}"));
        }
    }
    let mut running = bench.run();
    let pids = names.map(|job| {
        bench.read_fifo(&format!("{job}.ready"));
        fs::read_to_string(bench.path(&format!("{job}.pid"))).unwrap()
    });
    for (ended, job) in names.iter().enumerate() {
        bench.write_fifo(&format!("{job}.end"));
        running.event("succeeded", job);
        for (number, pid) in pids.iter().enumerate() {
            assert_eq!(is_alive(pid), number > ended, "{number}, {pid}, after {job}");
        }
    }
    running.stop();
}

/// A program is there, or that it is not is said.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        missing(program);
    }
    found
}

/// The group of the scheduler itself, which cannot be signalled without ending it.
const JOINS_ITS_GROUP: &str = "#!/usr/bin/env perl\nuse POSIX;\n$SIG{TERM} = $ARGV[0];\n\
    setpgid(0, getpgrp(getppid())) or die $!;\nopen(F, '>', 'pid'); print F $$; close F;\n\
    sleep 1000 while 1;\n";

#[test]
fn a_process_that_has_left_its_group_is_ended() {
    if !has("perl") {
        return;
    }
    for (signal, kill_after) in [("DEFAULT", "60s"), ("IGNORE", "50ms")] {
        let bench = Bench::new(&format!(
            "jobs.escape = {{ command = ['./escape', '{signal}'], date = 'now', timeout = '2s', \
             kill_after = '{kill_after}' }}"
        ));
        bench.program("escape", JOINS_ITS_GROUP);
        let mut running = bench.run();
        running.event("timed_out", "escape");
        assert!(!is_alive(&fs::read_to_string(bench.path("pid")).unwrap()));
        assert_eq!(running.stop().code, Some(0));
    }
}

/// TERM is "end" once and "end at once" twice.
#[test]
fn nobody_is_asked_twice() {
    let bench = Bench::new(
        "[jobs.asked]\ncommand = 'setsid ./counts & ./counts'\ndate = 'now'\ntimeout = '2s'\n\
         kill_after = '60s'\n",
    );
    bench.program(
        "counts",
        "#!/bin/sh\nterms=terms-$$\ntrap 'echo term >> $terms' TERM\n: > $terms\n\
         while [ ! -s done ]; do sleep 0.05; done\n",
    );
    let mut running = bench.run();
    running.event("timing_out", "asked");
    // Whoever is asked says so, and what is left behind is asked no second time.
    let asked = || {
        let entries = fs::read_dir(bench.dir.path()).unwrap().map(|entry| entry.unwrap());
        let terms = entries.filter(|it| it.file_name().to_string_lossy().starts_with("terms-"));
        terms.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect::<Vec<_>>()
    };
    until("both are asked", || asked().iter().filter(|terms| !terms.is_empty()).count() >= 2);
    bench.write("done", "yes");
    running.event("timed_out", "asked");
    running.stop();
    assert_eq!(asked(), ["term\n", "term\n"]);
}

/// A scheduler that is not root, with a job that becomes root.
fn with_a_setuid_job(command: &str) -> Option<(Bench, Running)> {
    if !has_root() {
        return None;
    }
    if !has("setpriv") {
        return None;
    }
    let bench = Bench::new(&format!(
        "[jobs.sudo]\ncommand = {command}\ninterval = '1h'\nrun_on_start = true\n\
         kill_after = '50ms'\nretries = 2\n{}",
        if command.contains("timeout") { "" } else { "timeout = '300ms'\n" }
    ));
    bench.fifo("ready");
    bench.program(
        "waits",
        "#!/bin/sh\nexec ./su --reuid 0 --clear-groups sh -c \
         'echo $$ > pid; echo go > ready; exec sleep 1000'\n",
    );
    bench.program(
        "leaves",
        "#!/bin/sh\n./su --reuid 0 --clear-groups sh -c 'echo $$ > pid; exec sleep 1000' &\n\
         while [ ! -s pid ]; do sleep 0.01; done\n",
    );
    let prepare = "cp $(command -v setpriv) su && chmod 4755 su && cp \"$1\" schedrs && shift && \
                   chmod 755 . schedrs && mkdir state && chown 54321 state && touch log && \
                   chown 54321 . && exec setpriv --reuid 54321 --regid 54321 --clear-groups \
                   ./schedrs \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let running = Running::start(&mut bench.shell(prepare, &args));
    Some((bench, running))
}

/// Ends what the scheduler may not.
fn end(pid: &str) {
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_process_of_another_user_is_told_of_and_abandoned() {
    let command = "['./su', '--reuid', '0', '--clear-groups', 'sleep', '1000']";
    let Some((bench, mut running)) = with_a_setuid_job(command) else { return };
    let told = running.event("may_not_be_signalled", "sudo");
    let pid = told["pid"].to_string();
    assert_eq!(told["user"], "root");
    let lost = running.event("lost", "sudo");
    let reason = lost["reason"].as_str().unwrap();
    assert!(reason.starts_with("abandoned: ") && reason.contains(&pid), "{reason}");
    assert!(is_alive(&pid));
    let status = || {
        let done = Running::start(&mut bench.command(&["status", "-f", "jobs.toml"])).wait();
        [done.out, done.err].concat().join("\n")
    };
    let text = status();
    assert!(text.contains(&pid) && text.contains("runs as root"), "{text}");
    // Its place is free.
    let started = Running::start(&mut bench.command(&["start", "-f", "jobs.toml", "sudo"])).wait();
    assert_eq!(started.code, Some(0), "{started:#?}");
    let second = running.event("may_not_be_signalled", "sudo")["pid"].to_string();
    running.event("lost", "sudo");
    end(&pid);
    running.event("abandoned_ended", "");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it is a zombie");
    assert!(!status().contains(&pid));
    let done = running.stop();
    end(&second);
    assert_eq!(done.code, Some(0));
    assert_eq!(done.count("may_not_be_signalled"), 2, "{done:#?}");
    let left: Vec<&String> = done.err.iter().filter(|line| line.contains("left_running")).collect();
    assert!(left.len() == 1 && left[0].contains(&second), "{done:#?}");
}

#[test]
fn a_run_that_leaves_a_process_of_another_user_behind_ends() {
    let command = "['./leaves']";
    let Some((bench, mut running)) = with_a_setuid_job(command) else { return };
    running.event("may_not_be_signalled", "sudo");
    running.event("succeeded", "sudo");
    let pid = fs::read_to_string(bench.path("pid")).unwrap();
    assert!(is_alive(&pid));
    let done = running.stop();
    end(&pid);
    assert_eq!((done.code, done.count("left_running")), (Some(0), 1), "{done:#?}");
}

#[test]
fn the_second_signal_ends_a_scheduler_whose_job_cannot_be_ended() {
    let command = "['./waits']\ntimeout = '1h'";
    let Some((bench, mut running)) = with_a_setuid_job(command) else { return };
    bench.read_fifo("ready");
    running.signal("TERM");
    running.event("stopping", "");
    running.signal("TERM");
    let done: Done = running.wait();
    end(&fs::read_to_string(bench.path("pid")).unwrap());
    assert_eq!((done.count("lost"), done.count("left_running")), (1, 1), "{done:#?}");
}

/// `schedrs run` where `/proc` cannot be read.
#[test]
fn without_proc_a_run_with_leftovers_ends_and_says_why() {
    if !has_root() || !has("unshare") {
        return;
    }
    let bench = Bench::new(
        "executors.default = { max_workers = 1 }\n\
         [jobs.left]\ncommand = './leaves'\ndate = 'now'\nkill_after = '60s'\n\
         [jobs.later]\ncommand = ['true']\ndate = 'now'\n",
    );
    bench.program(
        "leaves",
        "#!/bin/sh\nsetsid sh -c 'echo $$ > pid; exec sleep 1000' &\n\
         while [ ! -s pid ]; do sleep 0.01; done\n",
    );
    let script = "exec unshare -m sh -c 'umount -l /proc && exec \"$@\"' sh \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell(script, &args));
    let said = running.event("cannot_look", "left");
    assert!(said["reason"].as_str().unwrap().contains("/proc"), "{said}");
    running.event("succeeded", "left");
    running.event("succeeded", "later");
    let done = running.stop();
    end(&fs::read_to_string(bench.path("pid")).unwrap());
    assert_eq!((done.code, done.count("left_running")), (Some(0), 1), "{done:#?}");
}

/// The control group of a process, if it is one of its own run.
fn own_group(pid: &str) -> Option<std::path::PathBuf> {
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).ok()?;
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    let mount = std::path::Path::new(mount.split(' ').nth(1)?);
    if !path.contains("/schedrs-") {
        skipped("control groups for runs of their own");
        return None;
    }
    Some(mount.join(path.trim_start_matches('/')))
}

/// What has taken off everything that says whose it is, while another run is active.
const UNMARKED: &str = "[jobs.other]\ncommand = 'echo $$ > other; exec sleep 1000'\ndate = 'now'\n\
    [jobs.escape]\ncommand = './escape'\ndate = 'now'\nkill_after = '50ms'\n";
const ESCAPE: &str = "#!/bin/sh\nenv -i setsid prlimit --locks=unlimited \
    sh -c 'echo $$ > pid; exec sleep 1000' &\nwhile [ ! -s pid ]; do sleep 0.01; done\n";

#[test]
fn what_takes_its_mark_off_ends_with_its_run_or_is_told_of() {
    if !has("prlimit") {
        return;
    }
    for without_groups in [false, true] {
        if without_groups && !(is_root() && has("unshare")) {
            continue;
        }
        let bench = Bench::new(UNMARKED);
        bench.program("escape", ESCAPE);
        let args = ["run", "--log-format", "json", "jobs.toml"];
        let hide = "exec unshare -m sh -c 'umount -l /sys/fs/cgroup; exec \"$@\"' sh \"$@\"";
        let mut running = if without_groups {
            Running::start(&mut bench.shell(hide, &args))
        } else {
            bench.run()
        };
        running.event("succeeded", "escape");
        let pid = fs::read_to_string(bench.path("pid")).unwrap();
        let other = bench.path("other");
        until("the other has begun", || {
            fs::read_to_string(&other).is_ok_and(|pid| pid.ends_with('\n'))
        });
        let other = fs::read_to_string(other).unwrap();
        let has_group = own_group(&other).is_some();
        assert!(!(has_group && without_groups));
        let escaped = is_alive(&pid);
        running.signal("TERM");
        running.event("stopping", "");
        running.signal("TERM");
        let done = running.wait();
        assert!(!is_alive(&other));
        if escaped {
            end(&pid);
        }
        let told = (done.count("left_alone"), done.count("left_running"));
        let wanted = if has_group { (false, (0, 0)) } else { (true, (1, 1)) };
        assert_eq!((escaped, told), wanted, "{done:#?}");
    }
}

/// A sibling of the main process is nobody's orphan.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_sibling_of_the_main_process_ends_with_the_run() {
    if !has("perl") {
        return;
    }
    let bench =
        Bench::new("jobs.sibling = { command = './sibling', date = 'now', kill_after = '50ms' }");
    // clone(CLONE_PARENT | SIGCHLD)
    bench.program(
        "sibling",
        "#!/usr/bin/env perl\nif (!syscall(56, 0x8011, 0, 0, 0, 0)) {\n\
         open(F, '>', 'pid'); print F $$; close F; sleep 1000; }\n\
         select(undef, undef, undef, 0.01) until -s 'pid';\n",
    );
    let mut running = bench.run();
    let started = running.event("started", "sibling")["pid"].to_string();
    let has_group = own_group(&started).is_some();
    running.event("succeeded", "sibling");
    let pid = fs::read_to_string(bench.path("pid")).unwrap();
    if is_alive(&pid) {
        end(&pid);
        assert!(!has_group, "{:#?}", running.done);
    }
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn every_way_to_start_is_a_way_into_a_group() {
    let user = if is_root() { ", user = 'nobody'" } else { "" };
    let bench = Bench::new(&format!(
        "executors.default = {{ max_workers = 4 }}\ndefaults.kill_after = '10s'\n\
         jobs.plain = {{ command = ['./waits', 'plain'], date = 'now' }}\n\
         jobs.umask = {{ command = ['./waits', 'umask'], date = 'now', umask = 0o22 }}\n\
         jobs.user = {{ command = ['./waits', 'user'], date = 'now'{user} }}\n"
    ));
    bench.program("waits", "#!/bin/sh\necho $$\nread x < $1\n");
    bench.set_mode(".", 0o755);
    let jobs = ["plain", "umask", "user"];
    jobs.iter().for_each(|job| bench.fifo(job));
    let mut running = bench.run();
    let mut groups = Vec::new();
    for _ in jobs {
        let pid = running.event("started", "")["pid"].to_string();
        groups.extend(own_group(&pid));
    }
    for job in jobs {
        bench.write_fifo(job);
        running.event("succeeded", job);
    }
    // They are kept for others, and are gone with the scheduler.
    groups.sort();
    groups.dedup();
    assert!(groups.len() == 3 || groups.is_empty(), "{groups:?}");
    running.stop();
    for group in groups {
        assert!(!group.parent().unwrap().exists(), "{group:?}");
    }
}

#[test]
fn what_a_crash_leaves_is_ended_and_removed() {
    if !has("prlimit") {
        return;
    }
    let bench = Bench::new(
        "[jobs.long]\ncommand = './long'\ninterval = '1h'\nrun_on_start = true\nkill_after = '50ms'\n",
    );
    bench.program(
        "long",
        "#!/bin/sh\necho $$ > main\nenv -i setsid prlimit --locks=unlimited \
         sh -c 'echo $$ > pid; exec sleep 1000' &\n\
         while [ ! -s pid ]; do sleep 0.01; done\necho go > ready\nexec sleep 1000\n",
    );
    bench.fifo("ready");
    let running = bench.run();
    bench.read_fifo("ready");
    let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    let (main, below) = (read("main"), read("pid"));
    let group = own_group(&main);
    // Another one, beside it, has groups of its own.
    let beside = Bench::new("jobs.a = { command = ['true'], interval = '1h' }");
    let mut second = beside.run();
    second.event("starting", "");
    running.kill();
    running.wait();
    second.stop();
    assert!(is_alive(&main) && is_alive(&below));
    let mut running = bench.run();
    running.event("taken_back", "long");
    let stop = Running::start(&mut bench.command(&["stop", "-f", "jobs.toml", "long"])).wait();
    assert_eq!(stop.code, Some(0), "{stop:#?}");
    running.event("lost", "long");
    assert!(!is_alive(&main));
    if let Some(group) = &group {
        assert!(!is_alive(&below));
        assert!(!group.parent().unwrap().exists(), "{group:?}");
    } else if is_alive(&below) {
        end(&below);
    }
    running.stop();
}
