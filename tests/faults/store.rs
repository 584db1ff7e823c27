//! A scheduler whose store gives trouble: it says so once, in plain words, jobs go on, and it
//! recovers by itself. What the store does about it is in `tests/store`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Bench, Done, Running, is_root, skipped};

const JOBS: &str = "[jobs.a]\ncommand = ['true']\ninterval = '200ms'\n";

fn run(bench: &Bench, args: &[&str]) -> Running {
    let all = [&["run", "--log-format", "json", "jobs.toml"], args].concat();
    Running::start(&mut bench.command(&all))
}

/// The default store of the bench's jobfile, once there is one.
fn store(bench: &Bench) -> PathBuf {
    let files = fs::read_dir(bench.path("state")).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|end| end == "db")).unwrap()
}

fn history(bench: &Bench) -> Done {
    Running::start(&mut bench.command(&["history", "-n", "0", "--output", "json"])).wait()
}

#[test]
fn a_damaged_store_is_set_aside() {
    let bench = Bench::new(JOBS);
    let mut running = run(&bench, &[]);
    running.event("succeeded", "a");
    running.stop();
    let file = store(&bench);
    let whole = fs::read(&file).unwrap();
    let noise: Vec<u8> = (0..whole.len()).map(|at| (at * 7919 % 251) as u8).collect();
    for damaged in [&noise[..], &whole[..whole.len() / 2], &whole[..100], b"not a database"] {
        fs::write(&file, damaged).unwrap();
        let mut running = run(&bench, &[]);
        let said = running.event("store", "");
        let said = said["message"].as_str().unwrap();
        assert!(said.contains("a new one was created"), "{said}");
        running.event("succeeded", "a");
        assert_eq!(running.stop().code, Some(0));
        let past = history(&bench);
        assert_eq!(past.code, Some(0), "{past:#?}");
        assert!(!past.out.is_empty());
    }
}

#[test]
fn a_store_that_is_taken_away_comes_back() {
    let bench = Bench::new(JOBS);
    let mut running = run(&bench, &[]);
    running.event("succeeded", "a");
    let file = store(&bench);
    fs::remove_file(&file).unwrap();
    running.event("store_lost", "");
    running.event("succeeded", "a");
    running.event("succeeded", "a");
    assert_eq!(running.stop().code, Some(0));
    let past = history(&bench);
    assert_eq!(past.code, Some(0), "{past:#?}");
    assert!(past.out.iter().any(|line| line.contains("\"succeeded\"")), "{past:#?}");
}

#[test]
fn a_place_that_was_asked_for_has_to_work() {
    let bench = Bench::new(JOBS);
    bench.write("plain", "");
    let done = run(&bench, &["--store", "sqlite:plain/x.db"]).wait();
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert!(done.err.join("\n").contains("plain"), "{done:#?}");
    // What is somebody else's is left alone.
    bench.write("diary", "Dear diary, this is no database, and it is precious.\n");
    let done = run(&bench, &["--store", "sqlite:diary"]).wait();
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert!(fs::read_to_string(bench.path("diary")).unwrap().starts_with("Dear diary"));
    // What is none is called that, whoever may write to it.
    fs::create_dir(bench.path("directory")).unwrap();
    for (store, what) in [
        ("sqlite:diary", "or not a store at all"),
        ("sqlite:directory", "is not a regular file"),
        ("sqlite:/dev/zero", "is not a regular file"),
    ] {
        let asked = Running::start(&mut bench.command(&["history", "--store", store])).wait();
        let mut all = vec![asked];
        if store != "sqlite:diary" {
            all.push(run(&bench, &["--store", store]).wait());
        }
        for done in all {
            assert!(done.err.join("\n").contains(what), "{store}: {done:#?}");
        }
    }
}

#[test]
fn a_default_place_that_does_not_work_is_a_warning() {
    let bench = Bench::new(JOBS);
    // No directory can be made where a file is.
    bench.write("state", "");
    let mut running = run(&bench, &[]);
    let said = running.event("store", "");
    assert_eq!(said["level"], "warn", "{said}");
    running.event("succeeded", "a");
    running.event("succeeded", "a");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_newer_store_is_refused() {
    let bench = Bench::new(JOBS);
    let mut running = run(&bench, &[]);
    running.event("succeeded", "a");
    running.stop();
    let file = store(&bench);
    // All of it is in that one file: whoever writes it is the last to let go of it.
    assert!(!file.with_extension("db-wal").exists());
    let mut bytes = fs::read(&file).unwrap();
    // `PRAGMA user_version`, as the SQLite file format has it.
    bytes[60..64].copy_from_slice(&9999_u32.to_be_bytes());
    fs::write(&file, &bytes).unwrap();
    let done = run(&bench, &[]).wait();
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert!(done.err.join("\n").contains("9999"), "{done:#?}");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

/// A file system of so many KiB, taken away when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, kib: u32) -> Option<Small> {
        fs::create_dir_all(&at).unwrap();
        let size = format!("size={kib}k");
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&at).output();
        done.is_ok_and(|done| done.status.success()).then(|| Small(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_an_alarm_and_no_more() {
    let bench = Bench::new(JOBS);
    let Some(small) = is_root().then(|| Small::mount(bench.path("state"), 512)).flatten() else {
        skipped("root, and the right to mount");
        return;
    };
    let mut running = run(&bench, &[]);
    running.event("succeeded", "a");
    // Somebody fills the disk to the last byte.
    let ballast = small.0.join("ballast");
    let _ = fs::write(&ballast, vec![0; 1 << 20]);
    let alarm = running.event("store_degraded", "");
    assert_eq!(alarm["level"], "error");
    running.event("succeeded", "a");
    running.event("succeeded", "a");
    let status = Running::start(&mut bench.command(&["status"])).wait();
    assert_eq!(status.code, Some(1), "{status:#?}");
    fs::remove_file(&ballast).unwrap();
    running.event("store_recovered", "");
    let status = Running::start(&mut bench.command(&["status"])).wait();
    assert_eq!(status.code, Some(0), "{status:#?}");
    let done = running.stop();
    assert_eq!(done.count("store_degraded"), 1, "{done:#?}");
    let audit = Running::start(&mut bench.command(&["history", "--audit"])).wait();
    assert_eq!(audit.code, Some(0), "{audit:#?}");
}

#[test]
fn a_read_only_disk_is_a_warning_at_the_start() {
    let bench = Bench::new(JOBS);
    let Some(small) = is_root().then(|| Small::mount(bench.path("state"), 512)).flatten() else {
        skipped("root, and the right to mount");
        return;
    };
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&small.0).status();
    assert!(remounted.unwrap().success());
    let mut running = run(&bench, &[]);
    running.event("store", "");
    running.event("succeeded", "a");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn the_store_is_for_its_owner() {
    let bench = Bench::new(JOBS);
    let mut running = run(&bench, &[]);
    running.event("succeeded", "a");
    for entry in fs::read_dir(bench.path("state")).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
    running.stop();
}
