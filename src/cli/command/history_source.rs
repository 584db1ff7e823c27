//! What `history`, `logs` and `why` share: where the past is, and what is meant by a time in it.
//!
//! They read a store beside whoever writes it, so that they work whether schedrs runs or not. The
//! jobfile says which store that is, and what the jobs are called and mean.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use super::argument;
use super::named::OfJobfile;
use super::selection::{Selection, is_pattern};
use crate::cli::Context;
use crate::control::jobfile_lock;
use crate::core::event::{JobRecord, Pause};
use crate::core::fleet::Member;
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};
use crate::core::nearest::nearest;
use crate::core::sort;
use crate::core::zone::Zone;
use crate::jobfile::{self, Builder, Loaded, OnDisk, Origins, locate};
use crate::problem::{Lines, Sources, clean};
use crate::store::known;
use crate::store::location::{self, Location};
use crate::store::{Query, Reader, RunRecord, Session, StoreError, Trouble};
use crate::sys::clock;

/// The id of a job, and its tags.
type Tagged = (Box<str>, Box<[Box<str>]>);

/// Where the past is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct HistoryArgs {
    /// The jobfile [default: $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml,
    /// /etc/schedrs/jobs.toml]
    #[arg(short = 'f', long = "file", alias = "jobfile", value_name = "FILE")]
    pub(super) jobfile: Option<PathBuf>,

    /// The store, such as sqlite:PATH [default: the jobfile's]
    #[arg(long, value_name = "URL")]
    pub(super) store: Option<String>,
}

/// Among so many records of a job is its latest due time.
const NEWEST: usize = 20;

/// The past, opened.
pub(super) struct History {
    source: Source,
    /// What the jobfile says now; `None`: there is none, or it has errors.
    pub(super) set: Option<JobSet>,
    /// What makes jobs of what was added and changed at run time.
    builder: Option<Arc<Builder>>,
    /// Where in the set each job is.
    places: HashMap<Box<str>, usize>,
    /// The zone of what has none of its own.
    pub(super) zone: Zone,
    /// It is that of whoever looks, and all times are shown in it.
    pub(super) is_local: bool,
    /// Now.
    pub(super) now: Instant,
}

/// Who knows the past. (A scheduler that keeps it in memory could be asked over its socket: that
/// would be another one here.)
enum Source {
    /// A store.
    Store(Box<dyn Reader>),
}

impl OfJobfile for HistoryArgs {
    fn name(&mut self, jobfile: PathBuf) {
        self.jobfile = Some(jobfile);
    }
}

impl HistoryArgs {
    /// What was typed of it, with a space before it: a command that is to be typed next needs it, too.
    pub(super) fn typed(&self) -> String {
        let store = self.store.as_ref().map(|url| format!(" --store {}", argument::quoted(url)));
        argument::option("-f", self.jobfile.as_deref()) + &store.unwrap_or_default()
    }
}

impl History {
    /// Finds the store and opens it for reading.
    pub(super) fn open(place: &HistoryArgs, context: &Context) -> anyhow::Result<History> {
        let ground = Ground::lay(place, context)?;
        let reader = ground.reader()?;
        Ok(ground.history(reader, clock::wall()))
    }

    fn new(source: Source, set: Option<JobSet>, zone: Zone, now: Instant) -> History {
        let jobs = set.iter().flat_map(|set| &set.jobs).enumerate();
        let places = jobs.map(|(place, job)| (job.id.clone(), place)).collect();
        History { source, set, builder: None, places, zone, is_local: false, now }
    }

    /// Gives the way to ask back, for the next who asks.
    #[cfg(feature = "web")]
    pub(super) fn into_reader(self) -> Box<dyn Reader> {
        match self.source {
            Source::Store(reader) => reader,
        }
    }

    /// The way to ask.
    pub(super) fn reader(&mut self) -> &mut dyn Reader {
        match &mut self.source {
            Source::Store(reader) => &mut **reader,
        }
    }

    /// What the store remembers of a job. If it was added or changed at run time, it is as that
    /// says from here on.
    pub(super) fn known(&mut self, id: &str) -> anyhow::Result<Option<JobRecord>> {
        let mut known = self.reader().job(id)?;
        if let Some(known) = &mut known {
            self.take_up(known);
            // A store that several hosts share is not told of each due time twice: the records say
            // how far they have got.
            let newest = Query { job: Some(id.into()), limit: NEWEST, ..Query::default() };
            let newest = self.reader().records(&newest)?;
            let own = newest.iter().filter(|record| record.host.is_some() && record.by.is_none());
            let decided = own.map(|record| record.last_due).max();
            known.decided = known.decided.max(decided.unwrap_or(Instant::MIN));
        }
        Ok(known)
    }

    /// Whether it takes a word to say on which host something was: these records, or those who share
    /// the store, are of more than one.
    pub(super) fn has_hosts(&mut self, records: &[RunRecord]) -> anyhow::Result<bool> {
        let of_records = records.iter().filter_map(|record| record.host.as_deref());
        let mut hosts: HashSet<Box<str>> = of_records.map(Into::into).collect();
        // Where none of them has a host, nobody shares the store.
        if hosts.len() == 1 || (hosts.is_empty() && records.is_empty()) {
            hosts.extend(self.reader().members()?.into_iter().map(|member| member.host));
        }
        Ok(hosts.len() > 1)
    }

    /// The same for all jobs.
    pub(super) fn all_known(&mut self) -> anyhow::Result<Vec<JobRecord>> {
        let known = self.reader().jobs()?;
        known.iter().for_each(|known| self.take_up(known));
        Ok(known)
    }

    /// A text that makes no sense any more leaves things as they are.
    fn take_up(&mut self, known: &JobRecord) {
        let (Some(set), Some(builder)) = (&mut self.set, &self.builder) else { return };
        if let Some(text) = &known.added
            && !self.places.contains_key(&known.id)
            && let Ok((job, _)) = builder.build(&known.id, text, self.now)
        {
            self.places.insert(known.id.clone(), set.jobs.len());
            set.jobs.push(Arc::new(job));
        }
        if let (Some(text), Some(place)) = (&known.overrides, self.places.get(&known.id))
            && let Some(job) = set.jobs.get_mut(*place)
            && let Ok(changed) = builder.overlay(job, text)
        {
            *job = Arc::new(changed);
        }
    }

    /// A job, of the jobfile or added at run time.
    pub(super) fn job(&self, id: &str) -> Option<&Arc<Job>> {
        self.set.as_ref()?.jobs.get(*self.places.get(id)?)
    }

    /// The zone in which the times of a job are shown.
    pub(super) fn zone_of(&self, id: &str) -> Zone {
        let job = self.job(id).filter(|_| !self.is_local);
        job.map_or_else(|| self.zone.clone(), |job| job.zone.clone())
    }

    /// The jobs that words stand for, each once: of the jobfile, and those that only the store knows.
    pub(super) fn choose(&mut self, words: &[String]) -> anyhow::Result<Vec<String>> {
        if !words.iter().any(|word| is_pattern(word)) {
            let mut jobs: Vec<String> = Vec::with_capacity(words.len());
            for id in words {
                self.must_know(id)?;
                if !jobs.contains(id) {
                    jobs.push(id.clone());
                }
            }
            return Ok(jobs);
        }
        let remembered = self.all_known()?;
        let set = self.set.iter().flat_map(|set| &set.jobs);
        let mut known: Vec<Tagged> =
            set.map(|job| (job.id.clone(), job.options.tags.clone())).collect();
        let here: HashSet<Box<str>> = known.iter().map(|(id, _)| id.clone()).collect();
        let last = self.reader().latest(None)?.into_iter().map(|latest| latest.job);
        let others: BTreeSet<Box<str>> =
            last.chain(remembered.into_iter().map(|job| job.id)).collect();
        let others = others.into_iter().filter(|id| !here.contains(id));
        known.extend(others.map(|id| (id, Box::default())));
        let all: Vec<_> = known.iter().map(|(id, tags)| (&**id, &**tags)).collect();
        let places = Selection::new(words)?.choose(&all, "")?;
        Ok(places.into_iter().map(|place| known[place].0.to_string()).collect())
    }

    /// The newest records of these jobs, or of all if there are none, newest first.
    pub(super) fn records(
        &mut self,
        jobs: &[String],
        query: &Query,
    ) -> anyhow::Result<Vec<RunRecord>> {
        let mut all = Vec::new();
        match jobs {
            [] => all = self.reader().records(query)?,
            jobs => {
                for job in jobs {
                    let of_job = Query { job: Some(job.as_str().into()), ..query.clone() };
                    all.extend(self.reader().records(&of_job)?);
                }
                sort::by_key(&mut all, |record| std::cmp::Reverse(record.seq));
            }
        }
        if query.limit > 0 {
            all.truncate(query.limit);
        }
        Ok(all)
    }

    /// Makes sure that there is something to know of a job: it is in the jobfile, or the store
    /// remembers it, or has records of it.
    pub(super) fn must_know(&mut self, id: &str) -> anyhow::Result<()> {
        if self.known(id)?.is_some() || self.job(id).is_some() {
            return Ok(());
        }
        let query = crate::store::Query {
            job: Some(id.into()),
            limit: 1,
            ..crate::store::Query::default()
        };
        if !self.reader().records(&query)?.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<Box<str>> = self.reader().jobs()?.into_iter().map(|job| job.id).collect();
        ids.extend(self.set.iter().flat_map(|set| set.jobs.iter().map(|job| job.id.clone())));
        let id = clean(id);
        match nearest(&id, ids.iter().map(|id| &**id)) {
            Some(near) => bail!("no job `{id}`; did you mean `{}`?", clean(near)),
            None => bail!("no job `{id}` in the jobfile or the store"),
        }
    }
}

/// What the past of a jobfile stands on, as far as it is the same whenever one looks.
pub(super) struct Ground {
    /// The jobfile, if there is one.
    pub(super) jobfile: Option<PathBuf>,
    /// What it said when it was read.
    pub(super) set: Option<JobSet>,
    builder: Option<Arc<Builder>>,
    /// The zone of what has none of its own.
    pub(super) zone: Zone,
    is_local: bool,
    candidates: Vec<Location>,
    /// The files as they were.
    #[cfg_attr(not(feature = "web"), expect(dead_code, reason = "only the page looks again"))]
    pub(super) on_disk: OnDisk,
    /// Where its values stand, if the load was to know.
    #[cfg_attr(not(feature = "web"), expect(dead_code, reason = "only the page shows it"))]
    pub(super) stands: Option<(Origins, Sources)>,
}

impl Ground {
    /// Reads the jobfile and finds where the store may be.
    pub(super) fn lay(place: &HistoryArgs, context: &Context) -> anyhow::Result<Ground> {
        Ground::of(place, context, false)
    }

    /// The same, and knows where each value stands.
    #[cfg(feature = "web")]
    pub(super) fn lay_with_origins(
        place: &HistoryArgs,
        context: &Context,
    ) -> anyhow::Result<Ground> {
        Ground::of(place, context, true)
    }

    fn of(place: &HistoryArgs, context: &Context, origins: bool) -> anyhow::Result<Ground> {
        let jobfile = match (locate::jobfile(place.jobfile.as_deref()), &place.store) {
            (Ok(path), _) => Some(path),
            // A store can be read without knowing what its jobs look like.
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(error),
        };
        let loaded = match &jobfile {
            Some(path) => Some(read_jobfile(path, place, context, origins)?),
            None => None,
        };
        let (set, builder, on_disk, stands) = match loaded {
            Some(loaded) => {
                let stands = loaded.origins.map(|origins| (origins, loaded.sources));
                (loaded.set, loaded.builder, loaded.on_disk, stands)
            }
            None => (None, None, OnDisk::default(), None),
        };
        let zone = match &set {
            Some(set) if !context.local => set.settings.zone.clone(),
            _ => argument::local_zone(context),
        };
        let candidates = candidates(place, jobfile.as_deref(), set.as_ref())?;
        let (builder, is_local) = (builder.map(Arc::new), context.local);
        Ok(Ground { jobfile, set, builder, zone, is_local, candidates, on_disk, stands })
    }

    /// Whether several hosts may share the store.
    pub(super) fn is_shared(&self) -> bool {
        self.candidates.iter().any(|location| matches!(location, Location::Shared(_)))
    }

    /// Opens the store.
    pub(super) fn reader(&self) -> anyhow::Result<Box<dyn Reader>> {
        open_first(&self.candidates, self.jobfile.as_deref())
    }

    /// The past, as it is now.
    pub(super) fn history(&self, reader: Box<dyn Reader>, now: Instant) -> History {
        let (builder, is_local) = (self.builder.clone(), self.is_local);
        let (set, zone) = (self.set.clone(), self.zone.clone());
        History { builder, is_local, ..History::new(Source::Store(reader), set, zone, now) }
    }
}

/// The zones of jobs, found once.
pub(super) struct Zones {
    of_jobs: HashMap<Box<str>, Zone>,
    other: Zone,
}

impl Zones {
    pub(super) fn new(history: &History) -> Zones {
        let jobs = history.set.iter().flat_map(|set| &set.jobs);
        let own = jobs.filter(|job| !history.is_local && job.zone != history.zone);
        Zones {
            of_jobs: own.map(|job| (job.id.clone(), job.zone.clone())).collect(),
            other: history.zone.clone(),
        }
    }

    /// One for all.
    pub(super) fn all(zone: Zone) -> Zones {
        Zones { of_jobs: HashMap::new(), other: zone }
    }

    pub(super) fn of(&self, job: &str) -> &Zone {
        self.of_jobs.get(job).unwrap_or(&self.other)
    }
}

/// Reads the jobfile. One that has errors is no hindrance: the past is what is asked about.
fn read_jobfile(
    path: &Path,
    place: &HistoryArgs,
    context: &Context,
    origins: bool,
) -> anyhow::Result<Loaded> {
    let (zones, now) = (&context.zones, clock::wall());
    let loaded = match origins {
        true => jobfile::load_path_with_origins(path, zones, now),
        false => jobfile::load_path(path, zones, now),
    };
    if loaded.set.is_none() {
        let name = clean(&path.to_string_lossy()).into_owned();
        if let Err(error) = fs::metadata(path)
            && place.store.is_none()
        {
            return Err(error).with_context(|| format!("cannot read {name}"));
        }
        crate::cli::say(&format!(
            "schedrs: {name} has errors (see `schedrs validate{}`); continuing without it",
            argument::option("-f", place.jobfile.as_deref())
        ));
    }
    Ok(loaded)
}

/// Where the store may be, best first.
fn candidates(
    place: &HistoryArgs,
    jobfile: Option<&Path>,
    set: Option<&JobSet>,
) -> anyhow::Result<Vec<Location>> {
    let files = |files: Vec<PathBuf>| files.into_iter().map(Location::Sqlite).collect();
    let given = match (&place.store, set.and_then(|set| set.settings.store_url.as_ref())) {
        (Some(url), _) => Some((url, None)),
        (None, Some(url)) => Some((url, jobfile.and_then(Path::parent))),
        (None, None) => None,
    };
    let Some((url, directory)) = given else {
        return Ok(files(
            jobfile
                .map(|jobfile| known::candidates(jobfile, jobfile_lock::store_of))
                .unwrap_or_default(),
        ));
    };
    match Location::parse(url, directory.unwrap_or(Path::new(""))).map_err(told)? {
        // Where a relative one in the jobfile has led when that was run, whoever runs it knows.
        Location::Sqlite(path) | Location::Default(path) => match (jobfile, &place.store) {
            (Some(jobfile), None) if !path.exists() => {
                Ok(files(known::also_of_running(path, jobfile, jobfile_lock::store_of)))
            }
            _ => Ok(vec![Location::Sqlite(path)]),
        },
        shared @ Location::Shared(_) => Ok(vec![shared]),
        Location::Memory => bail!(
            "the store is `memory`, which keeps nothing that another program could read; \
             set `url = \"sqlite:PATH\"` in `[store]`, or leave it out"
        ),
    }
}

/// The store of a jobfile: the one that `schedrs run` would take.
pub(super) fn store_of(jobfile: &Path, context: &Context) -> anyhow::Result<Location> {
    let place = HistoryArgs { jobfile: Some(jobfile.to_path_buf()), store: None };
    let set = read_jobfile(jobfile, &place, context, false)?.set;
    let found = candidates(&place, Some(jobfile), set.as_ref())?;
    let is_there = |place: &&Location| place.path().is_none_or(Path::exists);
    match (found.iter().find(is_there), set.is_some_and(|set| set.settings.store_url.is_some())) {
        (Some(place), _) => Ok(place.clone()),
        (None, true) => found.into_iter().next().context("no store"),
        (None, false) => Ok(known::choose(jobfile).location),
    }
}

/// Opens the first store that is there.
fn open_first(candidates: &[Location], jobfile: Option<&Path>) -> anyhow::Result<Box<dyn Reader>> {
    let mut looked = Vec::new();
    for location in candidates {
        let Some(path) = location.path() else {
            return location::reader(location).map_err(told);
        };
        let name = clean(&path.to_string_lossy()).into_owned();
        match fs::metadata(path) {
            Ok(_) => return location::reader(location).map_err(told),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                looked.push(format!("  {name}"));
            }
            Err(error) => looked.push(format!("  {name} ({error})")),
        }
    }
    let of = match jobfile {
        Some(path) => format!(" of {}", clean(&path.to_string_lossy())),
        None => String::new(),
    };
    let what = format!(
        "no store{of}: either no schedrs has run with it yet, or it keeps its store elsewhere, \
         which --store names; looked for:"
    );
    let moved = jobfile.map(known::moved).unwrap_or_default();
    Err(Lines::new(std::iter::once(what).chain(looked).chain(moved)).into())
}

/// What a store remembers of the jobs of a jobfile.
pub(super) struct Remembered {
    /// When each was first scheduled, by which trigger, and whether it is paused.
    pub(super) jobs: Vec<JobRecord>,
    /// Whether all are paused.
    pub(super) all_paused: Option<Pause>,
    /// The schedulers that share the store.
    pub(super) members: Vec<Member>,
}

/// What the store of a jobfile remembers; `None`: none can be read. One that hosts share is far away:
/// whether it is asked is for the caller to say.
pub(super) fn remembered(set: &JobSet, jobfile: &Path, asks_shared: bool) -> Option<Remembered> {
    if jobfile == Path::new("-") {
        return None;
    }
    let place = HistoryArgs { jobfile: Some(jobfile.to_path_buf()), store: None };
    let mut found = candidates(&place, Some(jobfile), Some(set)).ok()?;
    found.retain(|location| asks_shared || location.path().is_some());
    let mut reader = open_first(&found, Some(jobfile)).ok()?;
    Some(Remembered {
        jobs: reader.jobs().ok()?,
        all_paused: reader.all_paused().ok()?,
        members: reader.members().ok()?,
    })
}

/// The jobs of a jobfile as they are in effect: with those that were added at run time, and as they
/// were changed then. Without a store that can be read, as the jobfile has them.
pub(super) fn in_effect(
    set: JobSet,
    builder: Option<Builder>,
    jobfile: &Path,
    context: &Context,
) -> JobSet {
    let place = HistoryArgs { jobfile: Some(jobfile.to_path_buf()), store: None };
    let found = candidates(&place, Some(jobfile), Some(&set)).unwrap_or_default();
    let found = found.into_iter().find(|place| place.path().is_none_or(Path::exists));
    let reader = match found.map(|place| location::reader(&place)) {
        Some(Ok(reader)) => reader,
        Some(Err(error)) if error.kind == Trouble::Untrusted => {
            crate::cli::say(&format!(
                "schedrs: {}; continuing without it",
                clean(&told(error).to_string())
            ));
            return set;
        }
        Some(Err(_)) | None => return set,
    };
    let zone = argument::local_zone(context);
    let history = History::new(Source::Store(reader), Some(set.clone()), zone, clock::wall());
    let mut history = History { builder: builder.map(Arc::new), ..history };
    match history.all_known() {
        Ok(_) => history.set.unwrap_or(set),
        Err(_) => set,
    }
}

/// What is wrong with a store, in a whole sentence.
pub(super) fn told(error: impl Into<anyhow::Error>) -> anyhow::Error {
    match error.into().downcast::<StoreError>() {
        Ok(error) => anyhow!("the store {error}"),
        Err(other) => other,
    }
}

/// Whether the scheduler of a session goes on: a process of that number that was started at the
/// same tick of the same boot.
pub(super) fn goes_on(session: &Session) -> bool {
    if session.stopped.is_some() {
        return false;
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if boot.trim() != &*session.boot {
        return false;
    }
    let stat = fs::read_to_string(format!("/proc/{}/stat", session.process.pid));
    // The name of the program, in parentheses, may hold anything.
    let Some(start) = stat.ok().and_then(|stat| {
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_ascii_whitespace().nth(19)?.parse::<u64>().ok()
    }) else {
        return false;
    };
    start == session.process.start
}

#[cfg(test)]
pub(super) mod scene;

/// The past of a jobfile, for tests.
#[cfg(test)]
pub(super) fn of(jobs: &str, now: Instant, store: impl Reader + 'static) -> History {
    let zones = crate::core::zone::Database::bundled();
    let loaded = jobfile::load_text("jobs.toml", jobs, &zones, now);
    let zone = loaded.set.as_ref().unwrap().settings.zone.clone();
    let history = History::new(Source::Store(Box::new(store)), loaded.set, zone, now);
    History { builder: loaded.builder.map(Arc::new), ..history }
}

/// The arguments of a subcommand, for tests.
#[cfg(test)]
pub(super) fn args<A: clap::Args>(line: &[&str]) -> A {
    let command = A::augment_args(clap::Command::new("schedrs").no_binary_name(true));
    A::from_arg_matches(&command.try_get_matches_from(line).unwrap()).unwrap()
}
