//! What the loop is to do, and with what: put together by `crate::cli::command::run` and
//! `crate::run::background`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::watch::Edited;
use crate::control::Line;
use crate::control::jobfile_lock::JobfileLock;
use crate::control::journal::Journal;
use crate::core::event::{Action, RunId};
use crate::core::instant::Instant;
use crate::core::job::{JobSet, Keep};
use crate::jobfile::{Builder, OnDisk};
use crate::run::output;
use crate::store::keeper::Notes;
use crate::store::location::{self, Location, Opened, Refuse};
use crate::store::{Fact, Limits, Store, StoreError};
use crate::sys::clock;

/// How long reading the jobfile may take: a hundred thousand jobs take a fraction of a second.
const LOAD_LIMIT: Duration = Duration::from_secs(10);

/// Reads the jobfile again.
pub type Load = dyn Fn() -> Result<Jobfile, Wrong> + Send + Sync;

/// A jobfile that does not take effect.
#[derive(Debug, Default)]
pub struct Wrong {
    /// Each problem as a line of text.
    pub problems: Vec<String>,
    /// Its files as they were.
    pub on_disk: OnDisk,
}

/// What a jobfile says.
#[derive(Debug)]
pub struct Jobfile {
    pub set: JobSet,
    /// What makes further jobs by the same rules.
    pub builder: Builder,
    /// Its files as they were.
    pub on_disk: OnDisk,
}

/// Looks on, on the loop's own thread: it must not block.
pub type Observer = dyn Fn(&Action) + Send;

/// What remembers what is decided.
#[derive(Debug)]
pub struct Storage {
    pub store: Box<dyn Store>,
    /// Which it is, for people: `memory` or `sqlite:PATH`.
    pub name: String,
    /// Its file.
    pub path: Option<PathBuf>,
    /// Opens it again after it was lost.
    pub reopen: Reopen,
    /// How much of the past it keeps.
    pub limits: Limits,
    /// What there is to say about it when the loop begins.
    pub warnings: Vec<String>,
    /// Others use it at the same time.
    pub shared: bool,
}

/// Opens a store.
pub struct Reopen(pub Box<dyn Fn() -> Result<Box<dyn Store>, StoreError> + Send>);

impl std::fmt::Debug for Reopen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reopen")
    }
}

/// What the loop is to do.
pub struct Plan {
    /// The jobs.
    pub jobfile: Jobfile,
    /// Its files, to tell when they are edited.
    pub(super) edited: Arc<Edited>,
    /// Where they come from, for people.
    pub source: String,
    /// The same for whoever is elsewhere: an absolute path, if it is a file.
    pub origin: Option<PathBuf>,
    /// What keeps other schedulers from the jobfile.
    pub(crate) lock: Option<JobfileLock>,
    /// What remembers what is decided; `None`: nobody, and jobs cannot be changed at run time.
    pub storage: Option<Storage>,
    /// Where the output thread finds a way to the store.
    pub notes: Arc<OnceLock<Notes>>,
    /// Where the control socket is to be.
    pub socket: Option<PathBuf>,
    /// The process is not ours alone: no signal handlers but for SIGCHLD, and nothing is done to
    /// the process itself that is not needed.
    pub embedded: bool,
    /// Gets the way to the loop, once that can be called.
    pub ready: Option<Box<dyn FnOnce(Line) + Send>>,
    /// Called when the loop begins.
    pub begun: Option<Box<dyn FnOnce() + Send>>,
    /// Sees everything that is decided.
    pub observer: Option<Box<Observer>>,
    /// Where what happens is noted for clients of the socket.
    pub journal: Arc<Journal>,
    /// How they are read again on SIGHUP; `None` where that is not possible.
    pub load: Option<Arc<Load>>,
    /// How long that may take, few jobs given, before it is given up and the jobs stay as they are.
    pub load_limit: Duration,
    /// The thread that writes.
    pub output: output::Handle,
    /// Say what would be started and start nothing.
    pub dry_run: bool,
    /// Stop at this time.
    pub until: Option<Instant>,
    /// Keep a line at the bottom of the terminal that says what runs and what is next.
    pub live: bool,
    /// Stop when the first run has ended: `run --once`.
    pub once: bool,
}

impl Plan {
    /// The plan for a jobfile and nothing else.
    pub fn new(mut jobfile: Jobfile, source: String, output: output::Handle) -> Plan {
        let files = std::mem::take(&mut jobfile.on_disk);
        Plan {
            jobfile,
            edited: Arc::new(Edited::new(files, clock::wall())),
            source,
            origin: None,
            lock: None,
            storage: None,
            notes: Arc::default(),
            socket: None,
            embedded: false,
            ready: None,
            begun: None,
            journal: Arc::new(Journal::new(clock::wall())),
            observer: None,
            load: None,
            load_limit: LOAD_LIMIT,
            output,
            dry_run: false,
            until: None,
            live: false,
            once: false,
        }
    }

    /// The jobs, which it has no more from here on.
    pub(super) fn take_jobfile(&mut self) -> Jobfile {
        let settings = self.jobfile.set.settings.clone();
        let nothing = JobSet { settings, executors: Vec::new(), jobs: Vec::new() };
        let set = std::mem::replace(&mut self.jobfile.set, nothing);
        Jobfile { set, builder: self.jobfile.builder.clone(), on_disk: OnDisk::default() }
    }
}

impl Storage {
    /// Opens a store, now and whenever it has to be opened again.
    pub fn open(location: Location, keep: Keep, refuse: Refuse) -> Result<Storage, StoreError> {
        let Opened { store, location, warnings } = location::open_unless(&location, refuse)?;
        let name = location.to_string();
        let shared = matches!(location, Location::Shared(_));
        // A link on the way to it may lead elsewhere by the time it is opened again.
        let location = location.followed();
        let path = location.path().map(Path::to_path_buf);
        let reopen = Reopen(Box::new(move || location::reopen(&location, refuse)));
        let default = Limits::default();
        let limits = Limits {
            runs: keep.runs.unwrap_or(default.runs),
            days: keep.days.unwrap_or(default.days),
        };
        Ok(Storage { store, name, path, reopen, limits, warnings, shared })
    }
}

/// Has the end of what runs print kept in the store that `notes` will lead to.
pub fn tails(notes: &Arc<OnceLock<Notes>>) -> Arc<dyn Fn(RunId, Vec<u8>, u64) + Send + Sync> {
    let notes = Arc::clone(notes);
    Arc::new(move |run, tail, total| {
        if let Some(notes) = notes.get() {
            notes.note(Fact::Output { run, tail: tail.into(), total });
        }
    })
}
