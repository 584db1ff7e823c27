//! What a job's user can put in the way of what root opens for them.

use std::fs;
use std::os::unix::fs::{chown, lchown, symlink};

use super::{SOMEBODY, all, run};
use crate::harness::{Bench, Done, Running, has_root, skipped};

/// What only root may read.
const ROOTS: &str = "SECRET=of-root-alone\n";

const ONCE: [&str; 4] = ["run", "--once", "a", "jobs.toml"];

/// A job of somebody's that says what is in a file, as a secret or as a variable of `env_file`.
fn bench(what: &str, file: &str) -> Bench {
    let key = match what {
        "secret" => format!("env = {{ SECRET = {{ file = '{file}' }} }}"),
        _ => format!("env_file = '{file}'"),
    };
    let bench = Bench::new(&format!(
        "[jobs.a]\ncommand = 'echo \"$SECRET\" | tr a-z A-Z'\ndate = 'now'\ncwd = '/'\n\
         user = {SOMEBODY}\ngroup = {SOMEBODY}\n{key}\n"
    ));
    // The job's user has to get at what is theirs.
    bench.set_mode(".", 0o755);
    for (directory, owner) in [("theirs", SOMEBODY), ("roots", 0)] {
        fs::create_dir(bench.path(directory)).unwrap();
        bench.set_mode(directory, 0o755);
        chown(bench.path(directory), Some(owner), None).unwrap();
    }
    write(&bench, "roots/only", 0, 0o600);
    bench
}

fn write(bench: &Bench, name: &str, owner: u32, mode: u32) {
    bench.write(name, ROOTS);
    bench.set_mode(name, mode);
    chown(bench.path(name), Some(owner), Some(owner)).unwrap();
}

/// It does not start, and says why; `validate` and `doctor` said so before.
fn is_refused(bench: &Bench, what: &str, said: &str) {
    let done = run(bench, &ONCE);
    assert_eq!((done.code, done.out.len()), (Some(126), 0), "{what} {said}: {done:?}");
    let checked = run(bench, &["validate", "jobs.toml"]);
    let looked = run(bench, &["doctor", "a"]);
    for told in [&done, &checked, &looked] {
        assert!(all(told).contains(said), "{what}, not {said}: {told:?}");
        assert!(!all(told).contains("of-root"), "{told:?}");
    }
    assert!(all(&checked).contains("this job will not start: "), "{checked:?}");
    assert_eq!(looked.code, Some(1), "{looked:?}");
}

fn runs(done: &Done) {
    assert!(done.out.iter().any(|line| line.contains("OF-ROOT-ALONE")), "{done:?}");
}

#[test]
fn what_the_user_may_not_read_is_not_read_for_them() {
    if !has_root() {
        return;
    }
    // What they put at `theirs/file`.
    type Put = fn(&Bench);
    let rows: [(&str, Put); 5] = [
        ("a link", |bench| symlink("../roots/only", bench.path("theirs/file")).unwrap()),
        ("a whole link", |bench| {
            symlink(bench.path("roots/only"), bench.path("theirs/file")).unwrap();
        }),
        ("a link to a link", |bench| {
            symlink("../roots/only", bench.path("theirs/next")).unwrap();
            symlink("next", bench.path("theirs/file")).unwrap();
        }),
        // Where the machine lets them make one.
        ("a hard link", |bench| {
            fs::hard_link(bench.path("roots/only"), bench.path("theirs/file")).unwrap();
        }),
        ("a file of root's that they have found", |bench| {
            write(bench, "theirs/file", 0, 0o600);
        }),
    ];
    for what in ["secret", "env_file"] {
        for (how, put) in rows {
            let bench = bench(what, "theirs/file");
            put(&bench);
            is_refused(&bench, how, "cannot be read by the job's user");
        }
        // A directory on the way, and a link that is root's but leads to what is theirs.
        let bench = bench(what, "theirs/way/only");
        symlink("../roots", bench.path("theirs/way")).unwrap();
        is_refused(&bench, "a directory", "cannot be read by the job's user");
        let bench = self::bench(what, "roots/link");
        symlink("../theirs/file", bench.path("roots/link")).unwrap();
        symlink("../roots/only", bench.path("theirs/file")).unwrap();
        is_refused(&bench, "by a link of root's", "cannot be read by the job's user");
        // In a directory that everyone can write to they may make links as well.
        let bench = self::bench(what, "tmp/file");
        fs::create_dir(bench.path("tmp")).unwrap();
        bench.set_mode("tmp", 0o1777);
        symlink("../roots/only", bench.path("tmp/file")).unwrap();
        lchown(bench.path("tmp/file"), Some(SOMEBODY), None).unwrap();
        is_refused(&bench, "in tmp", "cannot be read");
        fs::remove_file(bench.path("tmp/file")).unwrap();
        write(&bench, "tmp/file", 0, 0o600);
        is_refused(&bench, "in tmp", "everyone can put files into");
    }
}

#[test]
fn what_is_no_file_neither_hangs_nor_is_read() {
    if !has_root() {
        return;
    }
    for what in ["secret", "env_file"] {
        let rows = [("fifo", "not a regular file"), ("/dev/zero", "not a regular file"), (".", "")];
        for (target, said) in rows {
            let bench = bench(what, "theirs/file");
            bench.fifo("theirs/fifo");
            chown(bench.path("theirs/fifo"), Some(SOMEBODY), None).unwrap();
            symlink(target, bench.path("theirs/file")).unwrap();
            is_refused(&bench, target, said);
        }
        // One that only root may open is not even opened.
        let bench = bench(what, "roots/fifo");
        bench.fifo("roots/fifo");
        bench.set_mode("roots/fifo", 0o600);
        is_refused(&bench, "root's fifo", "not a regular file");
    }
}

#[test]
fn what_only_this_process_may_see_is_not_shown_to_them() {
    if !has_root() {
        return;
    }
    for what in ["secret", "env_file"] {
        for file in ["maps", "limits", "mountinfo"] {
            for process in ["self", "thread-self"] {
                let bench = bench(what, "theirs/file");
                symlink(format!("/proc/{process}/{file}"), bench.path("theirs/file")).unwrap();
                is_refused(&bench, file, "it is in /proc");
            }
        }
        // What everyone may read, in a directory that is closed to them.
        let bench = bench(what, "theirs/file");
        write(&bench, "roots/only", 0, 0o644);
        bench.set_mode("roots", 0o700);
        for link in ["/proc/self/cwd/roots/only", "/dev/fd/../cwd/roots/only"] {
            let _ = fs::remove_file(bench.path("theirs/file"));
            symlink(link, bench.path("theirs/file")).unwrap();
            is_refused(&bench, link, "one that is in /proc");
        }
    }
}

#[test]
fn what_is_for_the_user_is_read() {
    if !has_root() {
        return;
    }
    for what in ["secret", "env_file"] {
        // (file, its owner, its group, its mode)
        let rows = [
            ("theirs/file", SOMEBODY, SOMEBODY, 0o600),
            ("theirs/file", 0, 0, 0o644),
            // By their group.
            ("roots/file", 0, SOMEBODY, 0o640),
            // Root's alone, at a place that is root's alone: that is what it is for.
            ("roots/file", 0, 0, 0o600),
            ("roots/file", SOMEBODY, 0, 0o600),
        ];
        for (file, owner, group, mode) in rows {
            let bench = bench(what, file);
            write(&bench, file, owner, mode);
            chown(bench.path(file), None, Some(group)).unwrap();
            runs(&run(&bench, &ONCE));
            let checked = run(&bench, &["validate", "jobs.toml"]);
            assert_eq!(checked.out, ["jobs.toml: 1 job, no problems"], "{file} {mode:o}");
        }
        // Links are fine as long as they lead to what they may read.
        let bench = bench(what, "theirs/link");
        write(&bench, "theirs/file", SOMEBODY, 0o600);
        symlink("file", bench.path("theirs/link")).unwrap();
        runs(&run(&bench, &ONCE));
        // Root's may lead to root's.
        let bench = self::bench(what, "roots/link");
        symlink("only", bench.path("roots/link")).unwrap();
        runs(&run(&bench, &ONCE));
        bench.set_mode("roots", 0o700);
        runs(&run(&bench, &ONCE));
    }
}

#[test]
fn behind_a_read_only_mount_there_may_be_links_of_theirs() {
    if !has_root() {
        return;
    }
    let script = "mount --bind theirs theirs && mount -o remount,ro,bind theirs || exit 99";
    let script = format!("exec unshare -m sh -c '{script}; exec \"$@\"' sh \"$@\"");
    let bench = bench("secret", "theirs/file");
    let mounted = || Running::start(&mut bench.shell(&script, &ONCE)).wait();
    // A secret that is mounted from outside, of a user who is nobody in here.
    write(&bench, "theirs/file", 0, 0o600);
    let done = mounted();
    if done.code == Some(99) || all(&done).contains("unshare") {
        skipped(&format!("the right to mount: {done:?}"));
        return;
    }
    runs(&done);
    fs::remove_file(bench.path("theirs/file")).unwrap();
    symlink("../roots/only", bench.path("theirs/file")).unwrap();
    assert_eq!((mounted().code, mounted().out.len()), (Some(126), 0));
    fs::remove_file(bench.path("theirs/file")).unwrap();
    fs::hard_link(bench.path("roots/only"), bench.path("theirs/file")).unwrap();
    assert_eq!((mounted().code, mounted().out.len()), (Some(126), 0));
}

#[test]
fn a_directory_of_a_third_one_is_refused() {
    if !has_root() {
        return;
    }
    for what in ["secret", "env_file"] {
        let bench = bench(what, "third/file");
        fs::create_dir(bench.path("third")).unwrap();
        bench.set_mode("third", 0o755);
        write(&bench, "third/file", 0, 0o644);
        runs(&run(&bench, &ONCE));
        chown(bench.path("third"), Some(SOMEBODY + 1), None).unwrap();
        is_refused(&bench, what, "third belongs to another user (uid 12346)");
        // So is that of somebody who is not root for a job of root's.
        let jobfile = fs::read_to_string(bench.path("jobs.toml")).unwrap();
        let lines = jobfile.lines().filter(|line| !line.contains("12345"));
        bench.write("jobs.toml", &lines.collect::<Vec<_>>().join("\n").replace("third", "theirs"));
        write(&bench, "theirs/file", 0, 0o644);
        is_refused(&bench, what, "theirs belongs to another user (uid 12345)");
    }
}

#[test]
fn a_cwd_is_entered_as_the_user() {
    if !has_root() {
        return;
    }
    let bench = bench("env_file", "roots/only");
    let jobfile = fs::read_to_string(bench.path("jobs.toml")).unwrap();
    let enter = |cwd: &str| {
        let text = jobfile.replace("cwd = '/'", &format!("cwd = '{cwd}'"));
        bench.write("jobs.toml", &text.replace("echo \"$SECRET\"", "pwd"));
        run(&bench, &ONCE)
    };
    fs::create_dir(bench.path("roots/closed")).unwrap();
    bench.set_mode("roots/closed", 0o700);
    symlink("../roots/closed", bench.path("theirs/way")).unwrap();
    for cwd in ["roots/closed", "theirs/way"] {
        let done = enter(cwd);
        assert_eq!(done.code, Some(126), "{done:?}");
        let said = format!("{cwd} cannot be entered: permission denied");
        assert!(all(&done).contains(&said), "{done:?}");
    }
    // Whether there is something beyond is not told either.
    symlink("../roots/closed/none", bench.path("theirs/beyond")).unwrap();
    assert!(all(&enter("theirs/beyond")).contains("permission denied"));
    bench.set_mode("theirs", 0o700);
    assert_eq!(enter("theirs").code, Some(0));
}

#[test]
fn a_program_that_is_a_fifo_or_not_theirs_is_not_read() {
    if !has_root() {
        return;
    }
    let bench = bench("env_file", "roots/only");
    let jobfile = fs::read_to_string(bench.path("jobs.toml")).unwrap();
    let program = bench.path("theirs/program");
    let text =
        jobfile.replace("'echo \"$SECRET\" | tr a-z A-Z'", &format!("['{}']", program.display()));
    bench.write("jobs.toml", &text);
    bench.fifo("theirs/program");
    bench.set_mode("theirs/program", 0o755);
    let done = run(&bench, &ONCE);
    assert_eq!(done.code, Some(126), "{done:?}");
    assert_eq!(run(&bench, &["doctor", "a"]).code, Some(1));
    fs::remove_file(&program).unwrap();
    bench.write("roots/only", "#!/of-root-alone\n");
    bench.set_mode("roots/only", 0o700);
    symlink("../roots/only", &program).unwrap();
    bench.write("jobs.toml", &text.replace("env_file = 'roots/only'\n", ""));
    for done in [run(&bench, &ONCE), run(&bench, &["doctor", "a"])] {
        assert!(!all(&done).contains("of-root"), "{done:?}");
        assert!(all(&done).contains("permission denied") || done.code == Some(1), "{done:?}");
    }
}

#[test]
fn a_log_file_is_never_a_link_nor_a_fifo() {
    let bench = Bench::new("[jobs.a]\ncommand = 'echo ran'\ninterval = '1h'\noutput = 'file'\n");
    let text =
        format!("{}run_on_start = true\n", fs::read_to_string(bench.path("jobs.toml")).unwrap());
    bench.write("jobs.toml", &text);
    let once = || {
        let mut running = bench.run();
        running.event("succeeded", "a");
        running.stop()
    };
    once();
    let logs = bench.path("state/logs");
    let own = fs::read_dir(&logs).unwrap().next().unwrap().unwrap().path();
    let log = own.join("a.log");
    let kept = fs::read_to_string(&log).unwrap();
    assert!(kept.starts_with("==> run 1, ") && kept.ends_with(" <==\nran\n"), "{kept}");
    bench.write("victim", "mine\n");
    fs::remove_file(&log).unwrap();
    symlink("../../../victim", &log).unwrap();
    assert!(all(&once()).contains("it is a symbolic link"));
    fs::remove_file(&log).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
    assert!(all(&once()).contains("it is not a regular file"));
    assert_eq!(fs::read_to_string(bench.path("victim")).unwrap(), "mine\n");
    fs::remove_file(&log).unwrap();
    if !has_root() {
        return;
    }
    chown(&logs, Some(SOMEBODY), None).unwrap();
    assert!(all(&once()).contains("logs belongs to another user (uid 12345)"));
    assert!(!log.exists());
    assert!(all(&run(&bench, &["doctor"])).contains("it can be replaced by others"));
}
