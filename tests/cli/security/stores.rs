//! Who can write to a store, which holds commands.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use super::{SOMEBODY, all, run};
use crate::harness::{Bench, Running, has_root, is_root};

/// A bench with a store `d/x.db` that a scheduler has left.
fn bench() -> Bench {
    let job = "[store]\nurl = 'sqlite:d/x.db'\n[jobs.a]\ncommand = 'true'\ninterval = '1h'\n";
    let bench = Bench::new(job);
    fs::create_dir(bench.path("d")).unwrap();
    bench.set_mode("d", 0o755);
    let mut running = bench.run();
    running.event("starting", "");
    assert_eq!(running.stop().code, Some(0));
    bench
}

/// Every file below a directory: its name, inode, size and time.
fn files(bench: &Bench) -> Vec<(String, u64, u64, i64)> {
    let mut found: Vec<_> = fs::read_dir(bench.path("d"))
        .unwrap()
        .map(|entry| {
            let (entry, meta) = entry.map(|entry| (entry.file_name(), entry.metadata())).unwrap();
            let meta = meta.unwrap();
            (entry.into_string().unwrap(), meta.ino(), meta.size(), meta.mtime_nsec())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_store_of_somebody_else() {
    if !has_root() {
        return;
    }
    // (what is theirs, what is said)
    let rows = [
        ("d/x.db", "d/x.db belongs to another user (uid 12345)"),
        ("d/x.db.lock", "d/x.db.lock belongs to another user (uid 12345)"),
        ("d", "d/x.db can be replaced by others: the directory "),
    ];
    for (theirs, said) in rows {
        let bench = bench();
        chown(bench.path(theirs), Some(SOMEBODY), None).unwrap();
        let before = files(&bench);
        let done = run(&bench, &["run", "jobs.toml"]);
        assert_eq!(done.code, Some(1), "{theirs}: {done:?}");
        assert!(all(&done).contains(said), "{theirs}: {done:?}");
        assert!(all(&done).contains("jobs that it holds are run by root"), "{done:?}");
        for asked in [&["history"][..], &["why", "a"], &["logs", "a"]] {
            let done = run(&bench, asked);
            assert_eq!(done.code, Some(1), "{theirs}, {asked:?}: {done:?}");
            assert!(all(&done).contains("so root does not go by it"), "{asked:?}: {done:?}");
        }
        let looked = run(&bench, &["doctor"]);
        assert_eq!(looked.code, Some(1), "{looked:?}");
        assert!(all(&looked).contains("`schedrs run` refuses it"), "{looked:?}");
        let shell = run(&bench, &["shell", "a", "-c", "echo ran"]);
        assert!(all(&shell).contains("so root does not go by it"), "{shell:?}");
        assert_eq!(files(&bench), before, "{theirs}: nothing is touched");
        let args = ["run", "--trust", "--log-format", "json", "jobs.toml"];
        let mut running = Running::start(&mut bench.command(&args));
        running.event("starting", "");
        assert!(all(&running.stop()).contains(said), "{theirs}");
    }
}

#[test]
fn the_default_store_is_judged_before_its_directory_is_made() {
    if !has_root() {
        return;
    }
    let bench = Bench::new("jobs.a = { command = 'true', interval = '1h' }\n");
    fs::create_dir(bench.path("theirs")).unwrap();
    chown(bench.path("theirs"), Some(SOMEBODY), None).unwrap();
    let mut command = bench.command(&["run", "jobs.toml"]);
    let done = Running::start(command.env("STATE_DIRECTORY", bench.path("theirs/state"))).wait();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(all(&done).contains("/theirs belongs to another user"), "{done:?}");
    assert!(!bench.path("theirs/state").exists());
}

#[test]
fn a_store_that_others_can_write_to() {
    let bench = bench();
    bench.set_mode("d/x.db", 0o666);
    let said = "d/x.db can be written to by everyone";
    if is_root() {
        let done = run(&bench, &["run", "jobs.toml"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(all(&done).contains(said) && all(&done).contains("chmod go-w"), "{done:?}");
    } else {
        // They can do no more than they could anyway, unless it is to be done as others.
        let mut running = bench.run();
        running.event("starting", "");
        assert!(all(&running.stop()).contains(said));
        let jobfile = fs::read_to_string(bench.path("jobs.toml")).unwrap();
        bench.write("jobs.toml", &format!("{jobfile}user = 'nobody'\n"));
        let done = run(&bench, &["run", "jobs.toml"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(all(&done).contains("are run with `user`"), "{done:?}");
    }
}

#[test]
fn what_somebody_has_put_beside_a_store() {
    use std::os::unix::fs::symlink;

    let refused = |bench: &Bench, said: &str| {
        let before = files(bench);
        for args in [&["run", "jobs.toml"][..], &["run", "--trust", "jobs.toml"], &["history"]] {
            let done = run(bench, args);
            assert_eq!(done.code, Some(1), "{said}, {args:?}: {done:?}");
            assert!(all(&done).contains(said), "{said}, {args:?}: {done:?}");
        }
        assert_eq!(files(bench), before, "{said}: nothing is touched");
    };
    for part in ["wal", "shm", "journal"] {
        let bench = bench();
        let name = format!("d/x.db-{part}");
        let _ = fs::remove_file(bench.path(&name));
        bench.fifo(&name);
        refused(&bench, "is not a regular file");
        fs::remove_file(bench.path(&name)).unwrap();
        symlink(bench.path("elsewhere"), bench.path(&name)).unwrap();
        refused(&bench, "is a symbolic link");
        assert!(!bench.path("elsewhere").exists());
        if is_root() {
            // SQLite would put what it says into the database.
            fs::remove_file(bench.path(&name)).unwrap();
            bench.set_mode("d", 0o1777);
            bench.write(&name, "");
            chown(bench.path(&name), Some(SOMEBODY), None).unwrap();
            let done = run(&bench, &["run", "jobs.toml"]);
            assert!(all(&done).contains("belongs to another user (uid 12345)"), "{done:?}");
        }
    }
}
