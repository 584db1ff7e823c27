//! Several schedulers on one store, each in a thread: what they run is what their jobs have written
//! down. The store is in memory, and a host can be cut off from it.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use schedrs::clock;
use schedrs::control::{Call, Line, Request};
use schedrs::daemon::{Jobfile, Plan, Reopen, Storage, run};
use schedrs::event::{Action, Response, RunId};
use schedrs::fleet::{Member, SessionId, View};
use schedrs::jobfile::load_text;
use schedrs::outcome::Outcome;
use schedrs::output::{Output, Settings};
use schedrs::store::memory::Memory;
use schedrs::store::shared::{Adopted, Asked, Committed, Files, Shared, TakenUp};
use schedrs::store::{
    Fact, Limits, Query, Reader, Restored, RunRecord, Store, StoreError, Trouble,
};
use schedrs::zone::Database;
use tempfile::TempDir;

use crate::harness::found;

/// A handle of a store that can be cut.
#[derive(Clone, Debug)]
struct Wire {
    store: Memory,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    fn through(&mut self) -> Result<&mut dyn Shared, StoreError> {
        if self.is_cut.load(Ordering::SeqCst) {
            return Err(StoreError::new(Trouble::Unreachable, "is cut off"));
        }
        Ok(self.store.shared().unwrap())
    }
}

impl Store for Wire {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.store.restore()
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        Store::commit(&mut self.store, facts)
    }

    fn tidy(&mut self, _: Limits, _: schedrs::instant::Instant) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.store.reader()
    }

    fn shared(&mut self) -> Option<&mut dyn Shared> {
        Some(self)
    }
}

impl Shared for Wire {
    fn join(&mut self, me: &Member, jobs: &[(Box<str>, u64)]) -> Result<View, StoreError> {
        self.through()?.join(me, jobs)
    }
    fn beat(&mut self, me: &Member) -> Result<View, StoreError> {
        self.through()?.beat(me)
    }
    fn commit(
        &mut self,
        me: SessionId,
        acked: u64,
        facts: &[Fact],
    ) -> Result<Committed, StoreError> {
        self.through()?.commit(me, acked, facts)
    }
    fn reap(&mut self, by: SessionId, whom: SessionId, beat: u64) -> Result<bool, StoreError> {
        self.through()?.reap(by, whom, beat)
    }
    fn adopt(
        &mut self,
        me: SessionId,
        acked: u64,
        runs: &[(RunId, SessionId)],
    ) -> Result<Adopted, StoreError> {
        self.through()?.adopt(me, acked, runs)
    }
    fn leave(&mut self, me: SessionId, ended: bool) -> Result<(), StoreError> {
        self.through()?.leave(me, ended)
    }
    fn take_up(&mut self, jobs: &[Box<str>]) -> Result<TakenUp, StoreError> {
        self.through()?.take_up(jobs)
    }
    fn files(&mut self, hashes: &[u64]) -> Result<Files, StoreError> {
        self.through()?.files(hashes)
    }
    fn run_numbers(&mut self) -> Result<std::ops::Range<u64>, StoreError> {
        self.through()?.run_numbers()
    }
    fn ask(&mut self, asked: &Asked) -> Result<(), StoreError> {
        self.through()?.ask(asked)
    }
    fn asks(&mut self, session: SessionId) -> Result<Vec<Asked>, StoreError> {
        self.through()?.asks(session)
    }
    fn answer(&mut self, id: u64, answer: &str) -> Result<(), StoreError> {
        self.through()?.answer(id, answer)
    }
    fn new_generation(&mut self, me: &Member, seen: u64, above: u64) -> Result<View, StoreError> {
        self.through()?.new_generation(me, seen, above)
    }
    fn put_back(&mut self, members: &[Member], files: &Files) -> Result<(), StoreError> {
        self.through()?.put_back(members, files)
    }
}

/// What is common to all hosts.
struct Fleet {
    directory: TempDir,
    store: Memory,
    jobs: String,
    /// What the jobs have written down so far.
    written: Mutex<Vec<Started>>,
}

/// What a job has written down: which, for when, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Started {
    job: String,
    due: String,
    host: String,
}

struct Host {
    name: String,
    line: Line,
    is_cut: Arc<AtomicBool>,
    records: Arc<Mutex<Vec<(String, Outcome)>>>,
    thread: JoinHandle<()>,
}

impl Fleet {
    /// Jobs that write themselves down each second.
    fn new(jobs: usize, more: &str) -> Fleet {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("written").display().to_string();
        fs::write(&file, "").unwrap();
        let mut text = "[fleet]\nname = \"HOST\"\nlease = \"3s\"\n".to_owned();
        text += &format!("[defaults]\nenv = {{ FILE = \"{file}\" }}\n{more}\n");
        for job in 0..jobs {
            text += &format!(
                "[jobs.j{job}]\ncommand = '{}'\ncron = \"* * * * * *\"\n",
                "echo \"$SCHEDRS_JOB $SCHEDRS_DUE $SCHEDRS_RUN\" >> \"$FILE\""
            );
        }
        Fleet { directory, store: Memory::new(), jobs: text, written: Mutex::default() }
    }

    fn host(&self, name: &str) -> Host {
        let text = self.jobs.replace("HOST\"\nlease", &format!("{name}\"\nlease"));
        let loaded = load_text("jobs.toml", &text, &Database::open(None), clock::wall());
        assert!(loaded.set.is_some(), "{:?}", loaded.problems);
        let jobfile = Jobfile {
            set: loaded.set.unwrap(),
            builder: loaded.builder.unwrap(),
            on_disk: loaded.on_disk,
        };
        let settings = Settings {
            raw: true,
            at_once: false,
            colour: false,
            json_log: false,
            directory: self.directory.path().to_path_buf(),
            tails: None,
            keep: 4096,
        };
        let output = Output::start(settings).unwrap();
        let mut plan = Plan::new(jobfile, "jobs.toml".to_owned(), output.handle());
        let is_cut = Arc::new(AtomicBool::new(false));
        let wire = Wire { store: self.store.clone(), is_cut: Arc::clone(&is_cut) };
        let again = wire.clone();
        plan.storage = Some(Storage {
            store: Box::new(wire),
            name: "memory".to_owned(),
            path: None,
            reopen: Reopen(Box::new(move || Ok(Box::new(again.clone())))),
            limits: Limits::default(),
            warnings: Vec::new(),
            shared: true,
        });
        plan.embedded = true;
        let (send, ready) = channel();
        plan.ready = Some(Box::new(move |line| send.send(line).unwrap()));
        let records: Arc<Mutex<Vec<(String, Outcome)>>> = Arc::default();
        let seen = Arc::clone(&records);
        plan.observer = Some(Box::new(move |action| {
            if let Action::Record(record) = action {
                seen.lock().unwrap().push((record.job.id.to_string(), record.outcome.clone()));
            }
        }));
        let thread = std::thread::spawn(move || {
            run(plan).unwrap();
            output.finish();
        });
        let line = ready.recv().unwrap();
        Host { name: name.to_owned(), line, is_cut, records, thread }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("written")
    }

    /// Waits until what was written satisfies; answers it.
    fn until(&self, what: &str, enough: impl Fn(&[Started]) -> bool) -> Vec<Started> {
        let mut file = OpenOptions::new().read(true).open(self.file()).unwrap();
        let mut text = String::new();
        let all = found(|| {
            file.seek(SeekFrom::Start(text.len() as u64)).unwrap();
            file.read_to_string(&mut text).unwrap();
            let hosts: HashMap<u64, String> = self
                .records()
                .into_iter()
                .filter_map(|record| Some((record.run?.0, record.host?.into_string())))
                .collect();
            let all: Vec<Started> = text[..text.rfind('\n').map_or(0, |end| end + 1)]
                .lines()
                .map(|line| {
                    let mut words = line.split(' ').map(str::to_owned);
                    let mut word = || words.next().unwrap();
                    let (job, due, run) = (word(), word(), word());
                    let host = hosts.get(&run.parse().unwrap()).cloned().unwrap_or_default();
                    Started { job, due, host }
                })
                .collect();
            let last = all.len().saturating_sub(20);
            if enough(&all) { Ok(all) } else { Err(format!("{what}: {:?}", &all[last..])) }
        });
        *self.written.lock().unwrap() = all.clone();
        all
    }

    /// No due time was started twice.
    fn check(&self) {
        let all = self.until("all", |_| true);
        let mut due: Vec<(&str, &str)> = all.iter().map(|one| (&*one.job, &*one.due)).collect();
        due.sort_unstable();
        for pair in due.windows(2) {
            assert_ne!(pair[0], pair[1], "started twice");
        }
    }

    /// Each due time, from a job's first to its last, has one fate: it has run well, or the machine
    /// was too busy for it.
    fn check_records(&self) {
        let mut records = self.records();
        records.sort_by(|a, b| (&a.job, a.due).cmp(&(&b.job, b.due)));
        for record in &records {
            let fate = record.outcome.as_ref().unwrap_or_else(|| panic!("no end: {record:?}"));
            assert!(fate.is_success() || !fate.is_of_run(), "{record:?}");
        }
        for pair in records.windows(2).filter(|pair| pair[0].job == pair[1].job) {
            let after = pair[0].last_due.plus(Duration::from_secs(1));
            assert_eq!(pair[1].due, after, "{pair:?}");
        }
    }

    fn records(&self) -> Vec<RunRecord> {
        self.store.reader().unwrap().records(&Query::default()).unwrap()
    }
}

impl Host {
    fn ask(&self, request: Request) -> Response {
        let (send, receive) = channel();
        let reply = Arc::new(move |reply| drop(send.send(reply)));
        (self.line)(Call { by: "test".into(), request, reply });
        receive.recv().unwrap()
    }

    fn stop(self) {
        self.ask(Request::Shutdown { now: false });
        self.thread.join().unwrap();
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

/// The jobs that were last started on a host.
fn on(all: &[Started], host: &str, after: usize) -> usize {
    let mut jobs: Vec<&str> =
        all[after..].iter().filter(|one| one.host == host).map(|one| &*one.job).collect();
    jobs.sort_unstable();
    jobs.dedup();
    jobs.len()
}

/// So many that none of two or three hosts is without any: whose jobs they are is drawn by lot.
const MANY: usize = 32;

/// Whether each job was last started on a host.
fn all_on(all: &[Started], host: &str, after: usize) -> bool {
    let last: HashMap<&str, &str> =
        all[after..].iter().map(|one| (&*one.job, &*one.host)).collect();
    last.len() == MANY && last.values().all(|on| *on == host)
}

#[test]
fn one_host_has_all_jobs() {
    let fleet = Fleet::new(4, "");
    let host = fleet.host("web1");
    fleet.until("each job twice", |all| all.len() >= 8);
    host.stop();
    fleet.check();
    let records = fleet.records();
    assert!(records.iter().all(|record| record.host.as_deref() == Some("web1")));
    fleet.check_records();
}

#[test]
fn jobs_move_to_who_joins_and_back_from_who_leaves() {
    let fleet = Fleet::new(MANY, "");
    let first = fleet.host("web1");
    fleet.until("all on the first", |all| all_on(all, "web1", 0));
    let second = fleet.host("web2");
    let all = fleet.until("some on the second", |all| on(all, "web2", 0) > 0);
    let after = all.len();
    first.stop();
    fleet.until("all on the second", |all| all_on(all, "web2", after));
    second.stop();
    fleet.check();
    fleet.check_records();
}

#[test]
fn a_host_that_is_cut_off_starts_nothing_and_others_take_over() {
    let fleet = Fleet::new(MANY, "");
    let first = fleet.host("web1");
    let second = fleet.host("web2");
    fleet.until("some on each", |all| on(all, "web1", 0) > 0 && on(all, "web2", 0) > 0);
    first.cut(true);
    let after = fleet.until("all on the second", |all| all_on(all, "web2", 0)).len();
    let all = fleet.until("more", |all| all.len() >= after + 2 * MANY);
    assert_eq!(on(&all, "web1", after), 0, "{} is cut off", first.name);
    first.cut(false);
    let all = fleet.until("the first is back", |all| on(all, "web1", after) > 0);
    assert!(all.len() > after);
    second.stop();
    let after = fleet.until("any", |_| true).len();
    fleet.until("all on the first", |all| all_on(all, "web1", after));
    first.stop();
    fleet.check();
}

#[test]
fn nothing_starts_without_the_store() {
    let fleet = Fleet::new(1, "misfire_grace_time = \"2s\"");
    let host = fleet.host("web1");
    fleet.until("it runs", |all| all.len() >= 2);
    let cut = clock::mono();
    host.cut(true);
    let late = Duration::from_secs(6);
    crate::harness::until("some are too late", || clock::mono().since(cut) > late);
    host.cut(false);
    let after = fleet.until("any", |_| true).len();
    fleet.until("it runs again", |all| all.len() >= after + 2);
    let told = host.records.lock().unwrap().clone();
    assert!(told.iter().any(|(_, outcome)| outcome.word() == "missed"), "{told:?}");
    host.stop();
    fleet.check();
    let records = fleet.records();
    let missed = records.iter().filter(|record| {
        record.outcome.as_ref().is_some_and(|outcome| outcome.to_string().contains("no store"))
    });
    // One record tells of those that were due behind the first.
    assert!(missed.map(|record| record.count).sum::<u64>() >= 3, "{records:?}");
}
