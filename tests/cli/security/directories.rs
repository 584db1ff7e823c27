//! Who can write to the directories on the way to a jobfile.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use super::{JOB, SOMEBODY, all, run};
use crate::harness::{Bench, Done, Running, has_root, is_root, skipped};

const ONCE: [&str; 4] = ["run", "--once", "a", "d/jobs.toml"];

/// A jobfile `d/jobs.toml`.
fn bench() -> Bench {
    let bench = Bench::new("");
    fs::create_dir(bench.path("d")).unwrap();
    bench.set_mode("d", 0o755);
    bench.write("d/jobs.toml", JOB);
    bench
}

/// Refused where root runs it, a warning where somebody else does and in `validate`.
fn is_doubted(bench: &Bench, file: &str, said: &str, repair: &str) {
    let done = run(bench, &["run", "--once", "a", file]);
    let checked = run(bench, &["validate", "--strict", file]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let warning = format!("warning: this file can be replaced by others: {said}");
    assert!(all(&checked).contains(&warning), "{said}: {checked:?}");
    assert!(all(&checked).contains(repair), "{repair}: {checked:?}");
    if is_root() {
        assert_eq!((done.code, done.out.len()), (Some(1), 0), "{done:?}");
        let error = warning.replace("warning", "error");
        assert!(all(&done).contains(&error), "{done:?}");
        assert!(all(&done).contains(", and its jobs are run by root"), "{done:?}");
        // Who knows what they do.
        let done = run(bench, &["run", "--once", "a", "--trust", file]);
        assert_eq!(done.out, ["ran"], "{done:?}");
    } else {
        assert_eq!(done.out, ["ran"], "{done:?}");
    }
}

#[test]
fn a_directory_that_others_can_write_to() {
    let rows = [
        (0o775, "can be written to by its group", "chmod g-w"),
        (0o757, "can be written to by everyone", "chmod o-w"),
        (0o777, "can be written to by everyone", "chmod go-w"),
    ];
    for (mode, what, repair) in rows {
        let bench = bench();
        fs::create_dir(bench.path("d/e")).unwrap();
        bench.set_mode("d/e", 0o755);
        bench.write("d/e/jobs.toml", JOB);
        bench.set_mode("d", mode);
        let directory = fs::canonicalize(bench.path("d")).unwrap();
        let said = format!("the directory {} {what}", directory.display());
        let repair = format!("{repair} {}, or move the file", directory.display());
        is_doubted(&bench, "d/jobs.toml", &said, &repair);
        is_doubted(&bench, "d/e/jobs.toml", &said, &repair);
        // Nor may a link lead there, or an `include`.
        symlink("d/e/jobs.toml", bench.path("link.toml")).unwrap();
        is_doubted(&bench, "link.toml", &said, &repair);
        bench.write("including.toml", "include = 'd/e/*.toml'\n");
        is_doubted(&bench, "including.toml", &said, &repair);
    }
}

#[test]
fn a_directory_with_the_sticky_bit_is_fine_unless_it_is_theirs() {
    let bench = bench();
    bench.set_mode("d", 0o1777);
    assert_eq!(run(&bench, &ONCE).out, ["ran"]);
    // A second name can have been made by anybody.
    fs::hard_link(bench.path("d/jobs.toml"), bench.path("d/other.toml")).unwrap();
    is_doubted(&bench, "d/jobs.toml", "", "has another name elsewhere");
}

#[test]
fn a_directory_of_somebody_else() {
    if !has_root() {
        return;
    }
    let bench = bench();
    bench
        .write("backup.toml", "jobs.a = { command = 'echo another file was run', date = 'now' }\n");
    let directory = fs::canonicalize(bench.path("d")).unwrap();
    let said =
        format!("the directory {} belongs to another user (uid {SOMEBODY})", directory.display());
    chown(bench.path("d"), Some(SOMEBODY), None).unwrap();
    is_doubted(&bench, "d/jobs.toml", &said, "move the file to a directory that only root");
    // What they would do.
    fs::rename(bench.path("d/jobs.toml"), bench.path("d/x")).unwrap();
    symlink("../backup.toml", bench.path("d/jobs.toml")).unwrap();
    let done = run(&bench, &ONCE);
    assert_eq!((done.code, done.out.len()), (Some(1), 0), "{done:?}");
    assert!(all(&done).contains(&said), "{done:?}");
    // Their link in a place where everyone may make some.
    fs::create_dir(bench.path("tmp")).unwrap();
    bench.set_mode("tmp", 0o1777);
    symlink("../backup.toml", bench.path("tmp/jobs.toml")).unwrap();
    assert!(run(&bench, &["run", "--once", "a", "tmp/jobs.toml"]).out[0].contains("another file"));
    std::os::unix::fs::lchown(bench.path("tmp/jobs.toml"), Some(SOMEBODY), None).unwrap();
    is_refused(&run(&bench, &["run", "--once", "a", "tmp/jobs.toml"]), "is open to everyone, and");
    let shell = run(&bench, &["shell", "a", "-f", "d/jobs.toml", "-c", "echo in the shell"]);
    is_refused(&shell, &said);
}

fn is_refused(done: &Done, said: &str) {
    assert_eq!((done.code, done.out.len()), (Some(1), 0), "{done:?}");
    assert!(all(done).contains(said), "{said}: {done:?}");
}

#[test]
fn behind_a_read_only_mount_it_is_a_warning() {
    let bench = bench();
    bench.set_mode("d", 0o777);
    let script = "mount --bind d d && mount -o remount,ro,bind d || exit 99; exec \"$@\"";
    let script = format!("exec unshare -rm sh -c '{script}' sh \"$@\"");
    let done = Running::start(&mut bench.shell(&script, &ONCE)).wait();
    if done.code == Some(99) || all(&done).contains("unshare") {
        skipped(&format!("the right to mount: {done:?}"));
        return;
    }
    assert_eq!(done.out, ["ran"], "{done:?}");
    let checked = Running::start(&mut bench.shell(&script, &["validate", "d/jobs.toml"])).wait();
    assert!(all(&checked).contains("can be written to by everyone"), "{checked:?}");
}

#[test]
fn in_a_user_namespace_the_machines_own_directories_are_fine() {
    let bench = bench();
    let script = "exec unshare -r \"$@\"";
    let done = Running::start(&mut bench.shell(script, &["validate", "d/jobs.toml"])).wait();
    if all(&done).contains("unshare") {
        skipped(&format!("user namespaces: {done:?}"));
        return;
    }
    assert_eq!(done.out, ["d/jobs.toml: 1 job, no problems"], "{done:?}");
}

#[test]
fn a_reload_looks_again() {
    let bench = bench();
    bench.write("d/jobs.toml", "jobs.a = { command = 'true', interval = '1h' }\n");
    for trust in [&[][..], &["--trust"]] {
        bench.set_mode("d", 0o755);
        let args = [&["run", "--log-format", "json", "d/jobs.toml"][..], trust].concat();
        let mut running = Running::start(&mut bench.command(&args));
        running.event("starting", "");
        bench.set_mode("d", 0o775);
        running.signal("HUP");
        let refused = is_root() && trust.is_empty();
        let event = if refused { "reload_problem" } else { "reload_warning" };
        let said = running.event(event, "").to_string();
        assert!(said.contains("can be written to by its group"), "{said}");
        running.stop();
    }
}
