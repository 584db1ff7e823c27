//! The embedded store and a file that is not as it should be: cut off, overwritten, somebody
//! else's, newer, locked, not to be written, and on a disk without space.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use schedrs::event::RunId;
use schedrs::outcome::Outcome;
use schedrs::store::keeper::{Keeper, StoreEvent};
use schedrs::store::location::{self, Location};
use schedrs::store::sqlite::{Sqlite, SqliteReader};
use schedrs::store::{Fact, Limits, Query, Reader, Store, StoreError, Trouble};

use crate::facts::*;
use crate::harness::skipped;

const WATCHDOG: Duration = Duration::from_secs(60);

/// A directory with a store in it that has some past.
struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new(runs: u64) -> Bed {
        let bed = Bed { dir: tempfile::tempdir().unwrap() };
        let mut store = open(&bed.path()).unwrap();
        store.commit(&[Fact::Began(session(1, 0)), Fact::Job(job("a", 0).into())]).unwrap();
        let facts = (1..=runs).flat_map(|run| whole(run, "a", run as i64, Outcome::Succeeded));
        store.commit(&facts.collect::<Vec<_>>()).unwrap();
        bed
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("x.db")
    }

    /// What else is in the directory.
    fn others(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let ours = ["x.db", "x.db-wal", "x.db-shm", "x.db.lock"];
        let mut names: Vec<String> = names.filter(|name| !ours.contains(&&**name)).collect();
        names.sort();
        names
    }
}

fn open(path: &Path) -> Result<Sqlite, StoreError> {
    Sqlite::open(path, false).map(|(store, _)| store)
}

fn records(path: &Path) -> usize {
    SqliteReader::open(path).unwrap().records(&Query::default()).unwrap().len()
}

/// It opens, whatever is left of it, and is a store again.
fn works(path: &Path, what: &str) -> Vec<String> {
    let (mut store, warnings) =
        Sqlite::open(path, false).unwrap_or_else(|error| panic!("{what}: {error}"));
    store.restore().unwrap();
    let mut facts = vec![Fact::Job(job("new", 0).into())];
    facts.extend(whole(900_001, "new", 1, Outcome::Succeeded));
    match store.commit(&facts) {
        Ok(lost) => assert_eq!(lost, [], "{what}"),
        // Damage that shows only now: it is out of the way, and the next one works.
        Err(error) => {
            assert_eq!(error.kind, Trouble::Corrupt, "{what}: {error}");
            drop(store);
            store = open(path).unwrap();
            store.commit(&facts).unwrap();
        }
    }
    let found = store.reader().unwrap().job("new").unwrap();
    assert!(found.is_some(), "{what}");
    warnings
}

#[test]
fn cut_off_anywhere() {
    let bed = Bed::new(200);
    let whole = fs::read(bed.path()).unwrap();
    let ends = [0, 1, 15, 16, 50, 99, 100, 511, 512, 4095, 4096, 4097];
    let ends = ends.into_iter().chain((1..20).map(|n| n * whole.len() / 20 + n));
    for end in ends {
        let _ = fs::remove_file(bed.path().with_extension("db-wal"));
        fs::write(bed.path(), &whole[..end]).unwrap();
        let warnings = works(&bed.path(), &format!("{end} bytes"));
        let [warning] = &*warnings else { panic!("{end} bytes: {warnings:?}") };
        assert!(warning.contains("x.db"), "{warning}");
    }
    // What was there is kept.
    assert!(bed.others().contains(&"x.db.corrupt-1".to_owned()), "{:?}", bed.others());
}

/// A machine that loses its power in the middle of a write: of the log there is what there is, up to
/// some byte of the last frame. All before it is known, and the rest of that transaction is not.
#[test]
fn a_log_that_ends_anywhere_in_its_last_frame() {
    let bed = Bed::new(0);
    let mut store = open(&bed.path()).unwrap();
    let log_of = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    let mut before = 0;
    for run in 1..=3 {
        before = fs::read(log_of(&bed.path())).map_or(0, |log| log.len());
        store.commit(&whole(run, "a", run as i64, Outcome::Succeeded)).unwrap();
    }
    // While the store is open: closing it puts the log away.
    let (main, log) = (fs::read(bed.path()).unwrap(), fs::read(log_of(&bed.path())).unwrap());
    let frame = 24 + 4096;
    assert!(before > 0 && log.len() >= before + frame && (log.len() - 32) % frame == 0);
    // In memory where that can be had: 4,000 stores are made here.
    let cut = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = cut.path().join("x.db");
    for end in log.len() - frame..=log.len() {
        for (file, bytes) in [(path.clone(), &main[..]), (log_of(&path), &log[..end])] {
            fs::write(file, bytes).unwrap();
        }
        let _ = fs::remove_file(cut.path().join("x.db-shm"));
        let (store, warnings) =
            Sqlite::open(&path, false).unwrap_or_else(|error| panic!("{end} bytes: {error}"));
        assert_eq!(warnings, [""; 0], "{end} bytes");
        let found = store.reader().unwrap().records(&Query::default()).unwrap().len();
        assert_eq!(found, if end == log.len() { 3 } else { 2 }, "{end} of {} bytes", log.len());
    }
    // And the last of them is a store like others.
    assert_eq!(works(&path, "the whole log"), [""; 0]);
}

#[test]
fn overwritten_with_noise() {
    let bed = Bed::new(200);
    let whole = fs::read(bed.path()).unwrap();
    let noise: Vec<u8> =
        (0..whole.len() as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(bed.path(), &noise).unwrap();
    assert_eq!(works(&bed.path(), "all of it").len(), 1);
    for place in (0..whole.len()).step_by(4096) {
        fs::write(bed.path(), &whole).unwrap();
        let file = OpenOptions::new().write(true).open(bed.path()).unwrap();
        file.write_all_at(&noise[..4096], place as u64).unwrap();
        drop(file);
        works(&bed.path(), &format!("the page at {place}"));
        // Reading finds what is left, or says what is the matter.
        if let Ok(mut reader) = SqliteReader::open(&bed.path()) {
            let _ = reader.latest(None);
        }
    }
}

/// A log of noise is no log, and one that belongs to another file neither.
#[test]
fn a_log_of_noise() {
    let bed = Bed::new(20);
    for log in [vec![0x5a; 100_000], vec![0; 32], b"not a log".to_vec()] {
        fs::write(bed.dir.path().join("x.db-wal"), log).unwrap();
        fs::write(bed.dir.path().join("x.db-shm"), vec![0xa5; 32768]).unwrap();
        assert_eq!(works(&bed.path(), "a log of noise"), [""; 0]);
        assert!(records(&bed.path()) >= 20);
    }
}

/// Somebody who names the wrong file shall not lose it.
#[test]
fn what_is_no_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("jobs.toml");
    fs::write(&text, "[jobs.a]\ncommand = \"true\"\n".repeat(400)).unwrap();
    let other = dir.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE bread (id)").unwrap();
    let short = dir.path().join("short");
    fs::write(&short, "hi").unwrap();
    let cases = [(&text, Trouble::Corrupt), (&short, Trouble::Corrupt), (&other, Trouble::Other)];
    for (path, kind) in cases {
        let before = fs::read(path).unwrap();
        let error = open(path).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains("use another"), "{error}");
        assert!(fs::read(path).unwrap() == before, "{path:?} has changed");
        assert!(SqliteReader::open(path).is_err());
        // The first mistake does not make it one.
        assert_eq!(open(path).unwrap_err(), error);
        assert!(fs::read(path).unwrap() == before, "{path:?} has changed");
        assert!(!dir.path().join(format!("{}.lock", path.display())).exists());
    }
    let error = open(dir.path()).unwrap_err().message;
    assert!(error.contains("is not a regular file"), "{error}");
}

/// Nor what lies beside the file: another program's lock, and what would be taken for its log.
#[test]
fn what_lies_beside_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes");
    for text in [None, Some(""), Some("Dear diary\n")] {
        for suffix in [".lock", "-wal", "-shm", "-journal"] {
            let beside = dir.path().join(format!("notes{suffix}"));
            for precious in ["precious", "[[package]]\nname = \"anyhow\"\n"] {
                fs::write(&beside, precious).unwrap();
                text.iter().for_each(|text| fs::write(&path, text).unwrap());
                for _ in 0..2 {
                    let error = open(&path).unwrap_err();
                    assert!(error.message.contains("use another"), "{error}");
                    assert_eq!(fs::read_to_string(&beside).unwrap(), precious);
                    assert_eq!(fs::read_to_string(&path).ok().as_deref(), text);
                }
            }
            fs::remove_file(&beside).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), text.iter().count());
    }
}

/// Who can make a link shall not have our files overwritten.
#[test]
fn a_lock_is_not_opened_through_a_link() {
    let bed = Bed::new(1);
    let lock = bed.dir.path().join("x.db.lock");
    let target = bed.dir.path().join("target");
    for text in ["", "4711\n", "precious"] {
        fs::write(&target, text).unwrap();
        let _ = fs::remove_file(&lock);
        std::os::unix::fs::symlink(&target, &lock).unwrap();
        let error = open(&bed.path()).unwrap_err();
        assert!(error.message.contains("is a symbolic link"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), text);
    }
    assert_eq!(records(&bed.path()), 1);
}

#[test]
fn a_newer_one_is_refused() {
    let bed = Bed::new(1);
    let conn = Connection::open(bed.path()).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let before = fs::read(bed.path()).unwrap();
    for location in [Location::Sqlite(bed.path()), Location::Default(bed.path())] {
        assert_eq!(location::open(&location).unwrap_err().kind, Trouble::Newer(99));
        assert_eq!(location::reader(&location).unwrap_err().kind, Trouble::Newer(99));
    }
    assert!(fs::read(bed.path()).unwrap() == before, "it has changed");
}

/// An update has brought a newer program, and the scheduler has not been restarted.
#[test]
fn an_older_one_can_be_read_and_becomes_the_newest() {
    let bed = Bed::new(3);
    let conn = Connection::open(bed.path()).unwrap();
    for column in NEW_COLUMNS {
        conn.execute_batch(&format!("ALTER TABLE record DROP COLUMN {column}")).unwrap();
    }
    let undo = "DROP INDEX record_excluded; DROP TABLE entry; DROP TABLE starting; PRAGMA user_version = 1";
    conn.execute_batch(undo).unwrap();
    assert_eq!(records(&bed.path()), 3);
    let mut reader = SqliteReader::open(&bed.path()).unwrap();
    assert_eq!((reader.entries("x"), reader.lists()), (Ok(vec![]), Ok(vec![])));
    assert_eq!(usages(&mut reader), [None; 3]);
    assert_eq!(reader.latest(None).unwrap().len(), 1);
    drop(conn);
    let mut store = open(&bed.path()).unwrap();
    store.commit(&[entry("x", "k", Some("v"))]).unwrap();
    assert_eq!(reader.entries("x"), Ok(vec![("k".into(), "v".into())]));
    assert_eq!(records(&bed.path()), 3);
    store.commit(&whole(9, "a", 90, Outcome::Succeeded)).unwrap();
    assert_eq!(usages(&mut reader)[0], Some(used(9)));
}

#[test]
fn a_commit_that_fails_leaves_no_entries() {
    let bed = Bed::new(1);
    let mut store = open(&bed.path()).unwrap();
    store.commit(&[entry("x", "old", Some("1"))]).unwrap();
    let refuse = "CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'no'); END";
    Connection::open(bed.path()).unwrap().execute_batch(refuse).unwrap();
    let facts = [entry("x", "new", Some("2")), entry("x", "old", None), admitted(9, "a", 99)];
    assert!(store.commit(&facts).is_err());
    // A trigger of somebody else is damage: the file was moved aside.
    let aside = bed.dir.path().join("x.db.corrupt-1");
    let found = SqliteReader::open(&aside).unwrap().entries("x");
    assert_eq!(found, Ok(vec![("old".into(), "1".into())]));
}

#[test]
fn one_scheduler_at_a_time() {
    let bed = Bed::new(1);
    let first = open(&bed.path()).unwrap();
    let link = bed.dir.path().join("link.db");
    std::os::unix::fs::symlink(bed.path(), &link).unwrap();
    for path in [bed.path(), link, bed.dir.path().join("../").join(bed.path())] {
        let error = open(&path).unwrap_err();
        assert_eq!(error.kind, Trouble::InUse(std::process::id()));
        assert!(error.message.contains(&std::process::id().to_string()), "{error}");
        assert_eq!(records(&path), 1);
    }
    drop(first);
    open(&bed.path()).unwrap();
}

#[test]
fn locked_by_somebody_else() {
    let bed = Bed::new(1);
    let mut store = open(&bed.path()).unwrap();
    let other = Connection::open(bed.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let facts = [admitted(7, "a", 70)];
    assert_eq!(store.commit(&facts).unwrap_err().kind, Trouble::Locked);
    // Reading is no matter of locks.
    assert_eq!(records(&bed.path()), 1);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.commit(&facts).unwrap(), []);
    assert_eq!(records(&bed.path()), 2);
}

/// What was in a transaction that failed is not remembered as if it had been done.
#[test]
fn a_name_that_was_not_written_is_not_known() {
    let bed = Bed::new(1);
    let mut store = open(&bed.path()).unwrap();
    let other = Connection::open(bed.path()).unwrap();
    // A trigger that fails the transaction after the name of the job has been written.
    let sql = "CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT raise(ABORT, 'no'); END";
    other.execute_batch(sql).unwrap();
    let facts = whole(7, "another", 70, Outcome::Succeeded);
    assert!(store.commit(&facts).is_err());
    drop(other);
    drop(store);
    let mut store = open(&bed.path()).unwrap();
    store.commit(&facts).unwrap();
    assert_eq!(&*store.reader().unwrap().records(&Query::default()).unwrap()[0].job, "another");
}

#[test]
fn reading_without_a_scheduler() {
    let bed = Bed::new(5);
    assert_eq!(records(&bed.path()), 5);
    // One that was killed has left its log, which holds all of it.
    let mut store = open(&bed.path()).unwrap();
    store.commit(&whole(8, "a", 80, Outcome::Succeeded)).unwrap();
    let copy = bed.dir.path().join("copy.db");
    for suffix in ["", "-wal"] {
        let from = bed.dir.path().join(format!("x.db{suffix}"));
        fs::copy(from, bed.dir.path().join(format!("copy.db{suffix}"))).unwrap();
    }
    assert_eq!(records(&copy), 6);
    assert_eq!(
        SqliteReader::open(&bed.dir.path().join("none.db")).unwrap_err().kind,
        Trouble::Missing
    );
}

/// In a directory where nothing may be written. Root may write there, and so does a little less.
#[test]
fn reading_where_nothing_may_be_written() {
    let bed = Bed::new(5);
    fs::set_permissions(bed.path(), Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(bed.dir.path(), Permissions::from_mode(0o555)).unwrap();
    assert_eq!(records(&bed.path()), 5);
    let may_write_anyway = fs::write(bed.dir.path().join("probe"), "").is_ok();
    if !may_write_anyway {
        assert!(open(&bed.path()).is_err());
        let opened = location::open(&Location::Default(bed.path())).unwrap();
        assert_eq!(opened.location, Location::Memory);
        assert_eq!(opened.warnings.len(), 1);
    }
    fs::set_permissions(bed.dir.path(), Permissions::from_mode(0o755)).unwrap();
}

/// A file that is taken away while it is in use is not written to for ever.
#[test]
fn taken_away_while_in_use() {
    for replaced in [false, true] {
        let bed = Bed::new(3);
        let mut store = open(&bed.path()).unwrap();
        let mut reader = store.reader().unwrap();
        assert_eq!(reader.records(&Query::default()).unwrap().len(), 3);
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(bed.dir.path().join(format!("x.db{suffix}"))).unwrap();
        }
        if replaced {
            fs::write(bed.path(), "").unwrap();
        }
        // Nobody notices at once: the file has lost its name only.
        store.commit(&whole(8, "a", 80, Outcome::Succeeded)).unwrap();
        let error = store.tidy(Limits::default(), at(0)).unwrap_err();
        assert_eq!(error.kind, Trouble::Missing, "{error}");
        drop(store);
        let mut store = open(&bed.path()).unwrap();
        store.commit(&whole(9, "a", 90, Outcome::Succeeded)).unwrap();
        // A reader from before finds the new one.
        assert_eq!(reader.records(&Query::default()).unwrap().len(), 1);
    }
}

#[test]
fn cut_off_while_in_use() {
    let bed = Bed::new(500);
    let mut store = open(&bed.path()).unwrap();
    store.commit(&whole(501, "a", 501, Outcome::Succeeded)).unwrap();
    assert!(!store.tidy(Limits { runs: 1000, days: 9999 }, at(0)).unwrap());
    let file = OpenOptions::new().write(true).open(bed.path()).unwrap();
    file.set_len(8192).unwrap();
    let error = store.tidy(Limits { runs: 1000, days: 9999 }, at(0)).unwrap_err();
    assert_eq!(error.kind, Trouble::Corrupt, "{error}");
    assert!(bed.others().contains(&"x.db.corrupt-1".to_owned()), "{:?}", bed.others());
    drop(store);
    assert_eq!(works(&bed.path(), "after it was cut off"), [""; 0]);
}

/// While everything is in the log, nothing is lost yet, and it is put where it was.
#[test]
fn cut_off_while_all_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let mut store = open(&path).unwrap();
    let keep = Limits { runs: 1000, days: 9999 };
    store.commit(&whole(1, "a", 1, Outcome::Succeeded)).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(SqliteReader::open(&path).unwrap_err().kind, Trouble::Missing);
    assert!(!store.tidy(keep, at(0)).unwrap());
    store.commit(&whole(2, "a", 2, Outcome::Succeeded)).unwrap();
    drop(store);
    assert_eq!(records(&path), 2);
}

/// A file that somebody has made smaller as one should is no damaged one.
#[test]
fn vacuumed_while_in_use() {
    let bed = Bed::new(500);
    let mut store = open(&bed.path()).unwrap();
    assert!(!store.tidy(Limits { runs: 1000, days: 9999 }, at(0)).unwrap());
    let keep = Limits { runs: 10, days: 9999 };
    let other = Connection::open(bed.path()).unwrap();
    other.execute_batch("DELETE FROM output; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    while store.tidy(keep, at(0)).unwrap() {}
    assert_eq!(records(&bed.path()), 10);
}

/// Under a constant load the file grows to a size and stays there.
#[test]
fn its_size_is_bounded() {
    let bed = Bed::new(0);
    let mut store = open(&bed.path()).unwrap();
    let keep = Limits { runs: 20, days: 9999 };
    let mut sizes = Vec::new();
    for round in 0..12_u64 {
        for step in 0..20 {
            let facts = (1..20).flat_map(|number| {
                let run = round * 1000 + step * 20 + number;
                whole(run, &format!("job{number}"), run as i64, Outcome::Failed(1))
            });
            store.commit(&facts.collect::<Vec<_>>()).unwrap();
            while store.tidy(keep, at(0)).unwrap() {}
        }
        let sizes_of = ["x.db", "x.db-wal"].map(|name| bed.dir.path().join(name));
        sizes.push(sizes_of.map(|path| path.metadata().map_or(0, |found| found.len())));
    }
    let largest = |which: usize| sizes.iter().map(|size| size[which]).max().unwrap();
    assert!(largest(0) < 1 << 20, "{sizes:?}");
    // The log is put away by another thread, after four megabytes; with room for a slow machine.
    assert!(largest(1) < 36 << 20, "{sizes:?}");
    assert_eq!(records(&bed.path()), 19 * 20);
}

/// A file system of a few pages, for root.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk { dir })
    }

    fn remount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{options}")]).arg(self.dir.path());
        mount.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.dir.path()).output();
    }
}

#[test]
fn a_disk_without_space() {
    let Some(disk) = SmallDisk::mount("512k") else {
        return skipped("root, and the right to mount");
    };
    let path = disk.dir.path().join("x.db");
    let mut store = open(&path).unwrap();
    store.restore().unwrap();
    let (say, said) = mpsc::channel();
    let keeper = Keeper::start(
        Box::new(store),
        Box::new(|| Err(StoreError::new(Trouble::Other, "is not to be lost"))),
        Limits { runs: 1_000_000, days: 99_999 },
        |_| {},
        None,
        move |what| say.send(what).unwrap(),
    )
    .unwrap();
    // Until it is full, and a little more.
    let mut run = 0;
    let mut write = |count| {
        for _ in 0..count {
            run += 1;
            keeper.commit(whole(run, "a", run as i64, Outcome::Succeeded), vec![], vec![]);
        }
        run
    };
    write(5000);
    let Ok(StoreEvent::Degraded(message)) = said.recv_timeout(WATCHDOG) else { panic!("not full") };
    assert!(message.contains("no space left"), "{message}");
    write(10);
    // What is there can be read.
    assert!(records(&path) < 5000);
    assert!(disk.remount("size=64m"));
    let after = said.recv_timeout(WATCHDOG).unwrap();
    assert!(matches!(after, StoreEvent::Recovered { dropped: 0, .. }), "{after:?}");
    let last = write(1);
    assert_eq!(keeper.finish(WATCHDOG), 0);
    assert_eq!(records(&path), last as usize);
}

/// Not even a new store fits: it is made when there is space.
#[test]
fn a_disk_without_space_at_the_start() {
    let Some(disk) = SmallDisk::mount("64k") else {
        return skipped("root, and the right to mount");
    };
    let path = disk.dir.path().join("x.db");
    for location in [Location::Sqlite(path.clone()), Location::Default(path.clone())] {
        assert!(disk.remount("size=64k"));
        let mut opened = location::open(&location).unwrap();
        let [warning] = &*opened.warnings else { panic!("{:?}", opened.warnings) };
        assert!(warning.contains("no space left"), "{warning}");
        assert_eq!(opened.store.restore().unwrap().next_run, 1);
        assert!(opened.store.reader().unwrap().jobs().is_err());
        let facts = whole(1, "a", 1, Outcome::Succeeded);
        assert_eq!(opened.store.commit(&facts).unwrap_err().kind, Trouble::Full);
        assert!(disk.remount("size=8m"));
        assert_eq!(opened.store.commit(&facts).unwrap(), []);
        assert_eq!(opened.store.reader().unwrap().jobs().unwrap(), []);
        assert_eq!(records(&path), 1);
        drop(opened);
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(disk.dir.path().join(format!("x.db{suffix}")));
        }
    }
}

/// What is in a store is known although the disk has no space for its log.
#[test]
fn a_full_disk_with_a_store() {
    let Some(disk) = SmallDisk::mount("1m") else {
        return skipped("root, and the right to mount");
    };
    let path = disk.dir.path().join("x.db");
    let mut store = open(&path).unwrap();
    store.commit(&[Fact::Job(job("a", 0).into()), admitted(5, "a", 5)]).unwrap();
    drop(store);
    let filler = disk.dir.path().join("filler");
    // Until nothing more goes in.
    let _ = fs::write(&filler, vec![0; 2 << 20]);
    let location = Location::Sqlite(path.clone());
    let mut opened = location::open(&location).unwrap();
    let restored = opened.store.restore().unwrap();
    assert_eq!((restored.jobs.len(), restored.open.len(), restored.next_run), (1, 1, 6));
    assert_eq!(opened.store.commit(&[starting(5, 1)]).unwrap_err().kind, Trouble::Full);
    fs::remove_file(&filler).unwrap();
    opened.store.commit(&[starting(5, 1)]).unwrap();
    assert_eq!(opened.store.restore().unwrap().open[0].attempt, 1);
}

#[test]
fn a_disk_that_may_not_be_written() {
    let Some(disk) = SmallDisk::mount("8m") else {
        return skipped("root, and the right to mount");
    };
    let path = disk.dir.path().join("x.db");
    let mut store = open(&path).unwrap();
    store.commit(&whole(1, "a", 1, Outcome::Succeeded)).unwrap();
    drop(store);
    assert!(disk.remount("ro"));
    assert_eq!(records(&path), 1);
    assert_eq!(open(&path).unwrap_err().kind, Trouble::ReadOnly);
    let opened = location::open(&Location::Default(path)).unwrap();
    assert_eq!(opened.location, Location::Memory);
    let found = opened.store.reader().unwrap().output(RunId(1)).unwrap();
    assert_eq!(found, None);
}
