//! What goes wrong around a scheduler, one test each, with real processes: programs that cannot be
//! executed, limits, streams, users. `faults_*.rs` have the clock, process trees and load.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::harness::{
    Bench, Running, Stream, has_root, is_alive, is_root, own_peak_of, skipped, status_of,
};

/// What a scheduler takes at most for itself, in kilobytes, whatever its jobs print.
const MOST: u64 = 8 * 1024;

#[test]
fn what_cannot_be_executed_is_explained() {
    let bench = Bench::new(
        r#"
        jobs.missing = { command = ["no-such-program"], date = "now" }
        jobs.gone = { command = ["./gone"], date = "now" }
        jobs.locked = { command = ["./locked"], date = "now" }
        jobs.format = { command = ["./format"], date = "now" }
        jobs.bang = { command = ["./bang"], date = "now" }
        jobs.nowhere = { command = ["true"], cwd = "/no/such/place", date = "now" }
        jobs.env = { command = ["true"], env_file = "nothing.env", date = "now" }
        jobs.shell = { command = "x", shell = "/no/such/shell", date = "now" }
        jobs.forked = { command = ["./format"], umask = 0, date = "now" }
        "#,
    );
    bench.write("locked", "#!/bin/sh\n");
    bench.program("format", "\u{7f}not a program\n");
    bench.program("bang", "#!/no/such/interpreter -x\n");
    let mut running = bench.run();
    let mut reasons: Vec<(String, String)> = (0..9)
        .map(|_| {
            let event = running.event("not_started", "");
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            (text("job"), text("reason"))
        })
        .collect();
    reasons.sort();
    let expected = [
        ("bang", "the #! line of ./bang names \"/no/such/interpreter\", which does not exist"),
        ("env", "env_file nothing.env cannot be read: no such file or directory"),
        ("forked", "exec format error: has ./format a #! line? is it for this CPU?"),
        ("format", "exec format error: has ./format a #! line? is it for this CPU?"),
        ("gone", "program ./gone does not exist"),
        ("locked", "permission denied: ./locked is not executable"),
        ("missing", "program `no-such-program` not found on PATH"),
        ("nowhere", "cwd /no/such/place cannot be entered: no such file or directory"),
        ("shell", "program /no/such/shell does not exist"),
    ];
    for (found, (job, reason)) in reasons.iter().zip(expected) {
        assert_eq!((&*found.0, &*found.1), (job, reason));
    }
    assert_eq!(running.stop().code, Some(0));
}

/// As the kernel has counted it, of all attempts, and only of what the job itself waited for.
#[test]
fn what_a_run_has_used_is_recorded() {
    let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let bench = Bench::new(&format!(
        r#"
        jobs.spins = {{ command = "{spin}; echo done; exit 1", retries = 1, retry_delay = "1s", date = "now" }}
        jobs.grows = {{ command = "head -c 60000000 /dev/zero | tail -c 50000000 >/dev/null", date = "now" }}
        jobs.discards = {{ command = "echo done", output = "discard", date = "now" }}
        jobs.missing = {{ command = ["no-such-program"], date = "now" }}
        "#
    ));
    let mut running = bench.run();
    // By then the others have ended long since, or they do before it stops.
    running.event("failed", "spins");
    assert_eq!(running.stop().code, Some(0));
    let record = |job: &str| -> serde_json::Value {
        let out = bench.out(&["history", job, "--output", "json"]);
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    };
    let (spins, grows) = (record("spins"), record("grows"));
    assert!(spins["cpu_ms"].as_u64().unwrap() > 20, "{spins}");
    assert_eq!((spins["attempts"].as_u64(), spins["printed_bytes"].as_u64()), (Some(2), Some(10)));
    let rss = grows["max_rss_bytes"].as_u64().unwrap();
    assert!((50_000_000..200_000_000).contains(&rss), "{grows}");
    // It has less than the scheduler itself.
    assert!(spins["max_rss_bytes"].is_null(), "{spins}");
    assert_eq!(grows["printed_bytes"].as_u64(), Some(0), "{grows}");
    let discards = record("discards");
    assert!(discards["cpu_ms"].is_u64() && discards["printed_bytes"].is_null(), "{discards}");
    assert!(record("missing")["cpu_ms"].is_null());
}

#[test]
fn few_descriptors_delay_runs_and_lose_none() {
    let bench = Bench::of_many(100, "'echo done'", "executors.default = { max_workers = 50 }");
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell("ulimit -n 36; exec \"$@\"", &args));
    for _ in 0..100 {
        running.event("succeeded", "");
    }
    let done = running.stop();
    let lines: HashSet<&String> = done.out.iter().collect();
    assert_eq!((done.code, lines.len()), (Some(0), 100));
}

#[test]
fn few_processes_delay_runs_and_lose_none() {
    if !has_root() {
        return;
    }
    // A user of its own, so that the limit counts nobody else's processes. They are there long enough
    // to be too many where starts are slow.
    let bench = Bench::of_many(20, "['sleep', '0.5']", "executors.default = { max_workers = 20 }");
    // Half of them are made in the other way.
    let jobs = fs::read_to_string(bench.path("jobs.toml")).unwrap();
    bench.write("jobs.toml", &jobs.replacen("'0.5'], ", "'0.5'], umask = 0o22, ", 10));
    let copied = bench.path("schedrs");
    fs::copy(env!("CARGO_BIN_EXE_schedrs"), &copied).unwrap();
    let open = "chmod 755 . schedrs; shift; exec setpriv --reuid 54321 --clear-groups prlimit --nproc=10 ./schedrs \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell(open, &args));
    for _ in 0..20 {
        running.event("succeeded", "");
    }
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert!(done.count("postponed") > 0);
}

/// A cgroup in which so many processes and threads may be, where this machine lets us make one.
struct FewTasks(PathBuf);

impl FewTasks {
    fn new(most: u32) -> Option<FewTasks> {
        let name = format!("schedrs-test-{}", std::process::id());
        // Version 1 has a hierarchy a controller, version 2 has one for all.
        let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
        roots.into_iter().find_map(|root| {
            let group = FewTasks(Path::new(root).join(&name));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join("pids.max"), most.to_string()).ok()?;
            Some(group)
        })
    }
}

impl Drop for FewTasks {
    fn drop(&mut self) {
        // Whoever was in it is gone by now.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_full_pids_cgroup_delays_runs_and_loses_none() {
    let Some(group) = FewTasks::new(16) else {
        skipped("a control group of one's own");
        return;
    };
    let bench = Bench::of_many(40, "'sleep 0.5; true'", "executors.default = { max_workers = 40 }");
    // Half of them are made in the other way.
    let jobs = fs::read_to_string(bench.path("jobs.toml")).unwrap();
    bench.write("jobs.toml", &jobs.replacen("true', ", "true', umask = 0o22, ", 20));
    let open = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell(&open, &args));
    // What was started may find no room for what it starts itself: that is how it fails then.
    let mut ended = 0;
    while ended < 40 {
        let line = running.line(Stream::Err, &["\"event\":"]);
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        match event["event"].as_str().unwrap() {
            "succeeded" | "failed" => ended += 1,
            "starting" | "started" | "postponed" => {}
            other => panic!("{other}: {event}"),
        }
    }
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert!(done.count("postponed") > 0, "{done:#?}");
}

#[test]
fn a_gigabyte_without_a_line_end_costs_no_memory() {
    let bench = Bench::new(
        r#"
        jobs.flood = { command = ["head", "-c", "1G", "/dev/zero"], date = "now" }
        "#,
    );
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut command = bench.command(&args);
    command.stdout(Stdio::null());
    let mut running = Running::start(&mut command);
    running.event("succeeded", "flood");
    let peak = own_peak_of(running.pid());
    assert!(peak < MOST, "{peak} kB");
    running.stop();
}

#[test]
fn a_closed_stdout_stops_nothing() {
    let bench =
        Bench::new("jobs.a = { command = 'echo lost; date +%N > ran; cat ran', interval = '1s' }");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let mut running = Running::start(&mut command);
    running.event("succeeded", "a");
    running.event("succeeded", "a");
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert_eq!(done.err.iter().filter(|line| line.contains("stdout is closed")).count(), 1);
}

#[test]
fn a_stdout_that_nobody_reads_stops_nothing() {
    let bench = Bench::new(
        r#"
        jobs.flood = { command = ["head", "-c", "10M", "/dev/zero"], date = "now" }
        jobs.other = { command = "true", interval = "1s" }
        "#,
    );
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    let mut running = Running::start(&mut command);
    drop(command);
    running.event("succeeded", "other");
    // It has been dropped by then, not kept.
    running.event("succeeded", "flood");
    let peak = own_peak_of(running.pid());
    assert!(peak < MOST, "{peak} kB");
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    drop(reader);
}

#[test]
fn an_idle_scheduler_has_five_threads_and_sleeps() {
    let mut jobs = String::new();
    for number in 0..1000 {
        jobs += &format!("jobs.j{number} = {{ command = ['/bin/true'], date = 2199-01-01 }}\n");
    }
    let bench = Bench::new(&jobs);
    let mut running = bench.run();
    running.event("starting", "");
    running.signal("USR1");
    running.event("status", "");
    let pid = running.pid();
    // The loop, the output, the store, the control socket and the lock of the jobfile.
    assert_eq!(status_of(pid, "Threads"), "5");
    running.stop();
}

#[test]
fn a_full_disk_behind_stdout_stops_nothing() {
    let bench = Bench::new("jobs.a = { command = 'echo lost', interval = '1s' }");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let mut running = Running::start(&mut command);
    running.event("succeeded", "a");
    running.event("succeeded", "a");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn no_stream_at_all_stops_nothing() {
    let bench = Bench::new("jobs.a = { command = 'echo lost; echo ok > ran', date = 'now' }");
    bench.fifo("ran");
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let running = Running::start(&mut bench.shell("exec \"$@\" <&- >&- 2>&-", &args));
    assert_eq!(bench.read_fifo("ran"), "ok\n");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_job_of_ten_minutes_that_ignores_sigterm_is_ended() {
    let bench = Bench::new(
        r#"
        scheduler.stop_grace = "200ms"
        [jobs.long]
        command = "trap '' TERM; echo $$ > pid; echo up; while :; do sleep 600; done"
        date = "now"
        kill_after = "200ms"
        "#,
    );
    let mut running = bench.run();
    running.line(Stream::Out, &["long | up"]);
    running.signal("TERM");
    assert_eq!(running.event("stopping", "")["running"], 1);
    assert_eq!(running.event("killed", "long")["signal"], 9);
    assert_eq!(running.wait().code, Some(0));
    assert!(!is_alive(&fs::read_to_string(bench.path("pid")).unwrap()));
}

/// What a service manager tells a service, some of what a person's login has, and what a container
/// sets for its jobs.
const SET: [(&str, &str); 16] = [
    ("LOGS_DIRECTORY", "service"),
    ("CREDENTIALS_DIRECTORY", "service"),
    ("INVOCATION_ID", "service"),
    ("JOURNAL_STREAM", "service"),
    ("NOTIFY_SOCKET", ""),
    ("MEMORY_PRESSURE_WATCH", "service"),
    ("LISTEN_PIDFDID", "service"),
    ("MAINPID", "service"),
    ("FDSTORE", "service"),
    ("XDG_CONFIG_HOME", "person"),
    ("DBUS_SESSION_BUS_ADDRESS", "person"),
    ("SSH_AUTH_SOCK", "person"),
    ("SUDO_USER", "person"),
    ("TMPDIR", "/tmp"),
    ("DATABASE_URL", "jobs"),
    ("LC_ALL", "C.UTF-8"),
];

#[test]
fn what_the_scheduler_alone_was_told_reaches_no_job() {
    let mut jobs = "jobs.own = { command = ['env'], date = 'now' }\n".to_owned();
    if is_root() {
        jobs += "jobs.other = { command = ['env'], date = 'now', user = 'nobody', cwd = '/' }\n";
    }
    let bench = Bench::new(&jobs);
    let of_job = |id: &str| {
        let mut command = bench.command(&["run", "--once", id]);
        // The harness has given it a STATE_DIRECTORY.
        let done = Running::start(command.envs(SET).env("XDG_RUNTIME_DIR", "person")).wait();
        assert_eq!(done.code, Some(0), "{done:#?}");
        done.out
    };
    let has = |env: &[String], name: &str| env.iter().any(|line| line.starts_with(name));
    let own = of_job("own");
    for (name, value) in
        [("STATE_DIRECTORY", "service"), ("XDG_RUNTIME_DIR", "person")].iter().chain(&SET)
    {
        let expected = !matches!(*value, "service" | "");
        assert_eq!(has(&own, &format!("{name}=")), expected, "{name} in {own:#?}");
    }
    if !has_root() {
        return;
    }
    let other = of_job("other");
    let left = [("DATABASE_URL", "jobs"), ("LC_ALL", "C.UTF-8")];
    for (name, value) in SET {
        let expected = left.contains(&(name, value));
        assert_eq!(has(&other, &format!("{name}=")), expected, "{name} in {other:#?}");
    }
    assert!(!has(&other, "XDG_") && !has(&other, "STATE_DIRECTORY"), "{other:#?}");
}

#[test]
fn a_program_is_looked_for_as_the_user_would() {
    if !has_root() {
        return;
    }
    // Places that cannot be are passed over: no name is as long, and a link leads to itself.
    let long = "x".repeat(300);
    let path = format!(
        "env = {{ PATH = '{long}:loop:locked:shut:open:/usr/bin:/bin' }}\nuser = 'nobody'\ndate = 'now'\n"
    );
    let bench = Bench::new(&format!(
        "[jobs.argv]\ncommand = ['tool', 'x']\n{path}\
         [jobs.plain]\ncommand = 'tool x'\n{path}\
         [jobs.shell]\ncommand = 'tool x; true'\n{path}\
         [jobs.none]\ncommand = ['no-such-tool']\n{path}\
         [jobs.denied]\ncommand = ['hidden']\n{path}\
         [jobs.missing]\ncommand = 'no-such-tool x'\n{path}"
    ));
    bench.set_mode(".", 0o755);
    std::os::unix::fs::symlink("loop", bench.path("loop")).unwrap();
    for (dir, mode) in [("locked", 0o700), ("shut", 0o755), ("open", 0o755)] {
        fs::create_dir(bench.path(dir)).unwrap();
        bench.program(&format!("{dir}/tool"), &format!("#!/bin/sh\necho {dir} $1\n"));
        bench.set_mode(dir, mode);
    }
    // Nobody may enter the first directory, nor execute the program in the second.
    bench.set_mode("shut/tool", 0o700);
    bench.program("shut/hidden", "#!/bin/sh\n");
    bench.set_mode("shut/hidden", 0o700);
    for job in ["argv", "plain", "shell"] {
        let done = bench.once(job);
        assert_eq!((done.code, &done.out[..]), (Some(0), &["open x".to_owned()][..]), "{done:#?}");
        let doctor = Running::start(&mut bench.command(&["doctor", job, "-f", "jobs.toml"])).wait();
        let found = doctor.out.iter().any(|line| line.contains("open/tool"));
        assert!(found || job == "shell", "{doctor:#?}");
    }
    let rows = [
        ("none", 127, "program `no-such-tool` not found on PATH"),
        ("denied", 126, "permission denied: shut/hidden"),
        ("missing", 127, "no-such-tool"),
    ];
    for (job, code, said) in rows {
        let done = bench.once(job);
        assert_eq!(done.code, Some(code), "{done:#?}");
        assert!(done.err.iter().any(|line| line.contains(said)), "{done:#?}");
    }
}

#[test]
fn a_job_of_another_user_has_a_session_keyring_of_its_own() {
    if !is_root() || !std::path::Path::new("/proc/keys").exists() {
        skipped("root, and keyrings");
        return;
    }
    let bench = Bench::new(
        "jobs.root = { command = ['cat', '/proc/keys'], date = 'now' }\n\
         jobs.other = { command = ['cat', '/proc/keys'], date = 'now', user = 'nobody', cwd = '/' }\n",
    );
    let keys_of = |job: &str| {
        let mut command = bench.command(&["run", "--once", job]);
        let join = || {
            // SAFETY: strings that end with a zero byte, and their lengths.
            unsafe {
                let none = std::ptr::null::<libc::c_char>();
                let joined =
                    libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, none);
                let (kind, name) = (c"user".as_ptr(), c"schedrs-test-key".as_ptr());
                let session = libc::KEY_SPEC_SESSION_KEYRING;
                let added = libc::syscall(libc::SYS_add_key, kind, name, name, 4usize, session);
                if joined >= 0 && added >= 0 {
                    Ok(())
                } else {
                    Err(std::io::Error::last_os_error())
                }
            }
        };
        // SAFETY: it only makes system calls.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, join) };
        match command.spawn() {
            Ok(child) => Some(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()),
            Err(error) => {
                skipped(&format!("keyrings: {error}"));
                None
            }
        }
    };
    let (Some(root), Some(other)) = (keys_of("root"), keys_of("other")) else { return };
    assert!(root.contains("schedrs-test-key"), "{root}");
    assert!(!other.contains("schedrs-test-key"), "{other}");
}

#[test]
fn a_job_of_another_user_can_open_its_streams() {
    if !has_root() {
        return;
    }
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'cat /dev/stdin; echo out > /dev/stdout && echo err > /dev/stderr'\n\
         stdin = \"in\\n\"\nuser = 'nobody'\ncwd = '/'\ndate = 'now'\n",
    );
    let done = bench.once("a");
    assert_eq!((done.code, &done.out[..]), (Some(0), &["in".to_owned(), "out".to_owned()][..]));
    assert_eq!(done.err, ["err"], "{done:#?}");
}

#[test]
fn a_text_on_stdin_where_memory_may_not_be_executed() {
    // The setting is that of a pid namespace, so nobody else notices.
    let script = "exec unshare --fork --pid --mount-proc --kill-child sh -c '\
                  echo 2 > /proc/sys/vm/memfd_noexec || exit 99; exec \"$@\"' sh \"$@\"";
    if !is_root() || !std::path::Path::new("/proc/sys/vm/memfd_noexec").exists() {
        skipped("root, and vm.memfd_noexec");
        return;
    }
    let bench = Bench::new("jobs.a = { command = 'cat', stdin = 'text', date = 'now' }");
    let done = Running::start(&mut bench.shell(script, &["run", "--once", "a"])).wait();
    if done.code == Some(99) {
        skipped(&format!("that vm.memfd_noexec can be set: {done:?}"));
        return;
    }
    assert_eq!((done.code, &done.out[..]), (Some(0), &["text".to_owned()][..]), "{done:#?}");
}

#[test]
fn nobody_has_nothing_of_root() {
    if !has_root() {
        return;
    }
    // The scheduler has groups and capabilities that would be passed on if nobody took care.
    let bench = Bench::new(
        r#"
        [jobs.a]
        command = "id -G; grep ^Cap[IPEA] /proc/self/status; setpriv --reuid 0 true || echo kept"
        user = "nobody"
        cwd = "/"
        date = "now"
        "#,
    );
    let open = "exec setpriv --groups 4,20,24 --inh-caps +chown,+setuid --ambient-caps +chown,+setuid \"$@\"";
    let done = Running::start(&mut bench.shell(open, &["run", "--once", "a"])).wait();
    let groups = std::process::Command::new("id").args(["-G", "nobody"]).output().unwrap().stdout;
    assert_eq!(done.out.first(), Some(&String::from_utf8(groups).unwrap().trim().to_owned()));
    let none = "0000000000000000";
    let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|set| format!("{set}:\t{none}"));
    for set in sets {
        assert!(done.out.contains(&set), "{set} in {:#?}", done.out);
    }
    assert_eq!(done.out.last().map(String::as_str), Some("kept"), "{:#?}", done.err);
}
