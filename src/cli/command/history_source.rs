//! What `history`, `logs` and `why` share: where the past is, and what is meant by a time in it.
//!
//! They read a store beside whoever writes it, so that they work whether schedrs runs or not. The
//! jobfile says which store that is, and what the jobs are called and mean.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use super::argument;
use crate::cli::Context;
use crate::control::jobfile_lock;
use crate::core::event::JobRecord;
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};
use crate::core::nearest::nearest;
use crate::core::zone::Zone;
use crate::jobfile::{self, Builder, locate};
use crate::problem::{Lines, clean};
use crate::store::known;
use crate::store::location::{self, Location};
use crate::store::{Reader, Session, StoreError, Trouble};
use crate::sys::clock;

/// Where the past is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct HistoryArgs {
    /// The jobfile whose past it is [default: $SCHEDRS_JOBFILE, ./jobs.toml,
    /// $XDG_CONFIG_HOME/schedrs/jobs.toml, /etc/schedrs/jobs.toml]
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(super) jobfile: Option<PathBuf>,

    /// The store, such as sqlite:PATH [default: that of the jobfile]
    #[arg(long, value_name = "URL")]
    pub(super) store: Option<String>,
}

/// The past, opened.
pub(super) struct History {
    source: Source,
    /// What the jobfile says now; `None`: there is none, or it has errors.
    pub(super) set: Option<JobSet>,
    /// What makes jobs of what was added and changed at run time.
    builder: Option<Builder>,
    /// Where in the set each job is.
    places: HashMap<Box<str>, usize>,
    /// The zone of what has none of its own.
    pub(super) zone: Zone,
    /// Now.
    pub(super) now: Instant,
}

/// Who knows the past. (A scheduler that keeps it in memory could be asked over its socket: that
/// would be another one here.)
enum Source {
    /// A store.
    Store(Box<dyn Reader>),
}

impl History {
    /// Finds the store and opens it for reading.
    pub(super) fn open(place: &HistoryArgs, context: &Context) -> anyhow::Result<History> {
        let now = clock::wall();
        let jobfile = match (locate::jobfile(place.jobfile.as_deref()), &place.store) {
            (Ok(path), _) => Some(path),
            // A store can be read without knowing what its jobs look like.
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(error),
        };
        let (set, builder) = match &jobfile {
            Some(path) => read_jobfile(path, place, context, now)?,
            None => (None, None),
        };
        let zone = match &set {
            Some(set) => set.settings.zone.clone(),
            None => argument::local_zone(context),
        };
        let candidates = candidates(place, jobfile.as_deref(), set.as_ref())?;
        let reader = open_first(&candidates, jobfile.as_deref())?;
        Ok(History { builder, ..History::new(Source::Store(reader), set, zone, now) })
    }

    fn new(source: Source, set: Option<JobSet>, zone: Zone, now: Instant) -> History {
        let jobs = set.iter().flat_map(|set| &set.jobs).enumerate();
        let places = jobs.map(|(place, job)| (job.id.clone(), place)).collect();
        History { source, set, builder: None, places, zone, now }
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
        let known = self.reader().job(id)?;
        if let Some(known) = &known {
            self.take_up(known);
        }
        Ok(known)
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
        self.job(id).map_or_else(|| self.zone.clone(), |job| job.zone.clone())
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
            None => bail!("no job `{id}`, neither in the jobfile nor in the store"),
        }
    }
}

/// Reads the jobfile. One that has errors is no hindrance: the past is what is asked about.
fn read_jobfile(
    path: &Path,
    place: &HistoryArgs,
    context: &Context,
    now: Instant,
) -> anyhow::Result<(Option<JobSet>, Option<Builder>)> {
    let loaded = jobfile::load_path(path, &context.zones, now);
    if loaded.set.is_none() {
        let name = clean(&path.to_string_lossy()).into_owned();
        if let Err(error) = fs::metadata(path)
            && place.store.is_none()
        {
            return Err(error).with_context(|| format!("failed to read {name}"));
        }
        anstream::eprintln!(
            "schedrs: {name} has errors, which `schedrs validate` shows; going on without it"
        );
    }
    Ok((loaded.set, loaded.builder))
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
            anstream::eprintln!(
                "schedrs: {}; going on without it",
                clean(&told(error).to_string())
            );
            return set;
        }
        Some(Err(_)) | None => return set,
    };
    let zone = argument::local_zone(context);
    let history = History::new(Source::Store(reader), Some(set.clone()), zone, clock::wall());
    let mut history = History { builder, ..history };
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

/// A time as it was typed: from its first moment to its last. `03:00` is a whole minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// Reads a time for looking back: an RFC 3339 time, a date with or without a time, as tables show
/// it or not; a time of day, which is the last one that has passed; `today`, `yesterday`; `-2h`
/// for two hours ago; `now`.
pub(super) fn moment(text: &str, zone: &Zone, now: Instant) -> anyhow::Result<Moment> {
    let exactly = |at| Ok(Moment { from: at, until: at });
    // As `history` shows it.
    let weekday = |(day, rest): (&str, &str)| {
        let days = crate::core::names::WEEKDAYS.iter();
        days.map(|name| &name[..3]).any(|name| name.eq_ignore_ascii_case(day)).then_some(rest.len())
    };
    let text = match text.split_once(' ').and_then(weekday) {
        Some(length) => &text[text.len() - length..],
        None => text,
    };
    let today = zone.wall_of(now).div_euclid(DAY);
    match text {
        "today" => return Ok(span(zone, today * DAY, DAY)),
        "yesterday" => return Ok(span(zone, (today - 1) * DAY, DAY)),
        _ => {}
    }
    if let Some(ago) = text.strip_prefix('-') {
        return exactly(now.minus(humantime::parse_duration(ago)?));
    }
    if let Some((secs, length)) = time_of_day(text) {
        // The last one that has passed.
        let day = if zone.instant_of(today * DAY + secs) > now { today - 1 } else { today };
        return Ok(span(zone, day * DAY + secs, length));
    }
    let at = argument::instant(text, zone, now, now)?;
    Ok(match text.get(10..).map(precision) {
        Some(0) if text.len() == 10 => span(zone, zone.wall_of(at), DAY),
        Some(length) if length > 0 => {
            let length = std::time::Duration::from_micros(length as u64 * 1_000_000 - 1);
            Moment { from: at, until: at.plus(length) }
        }
        _ => Moment { from: at, until: at },
    })
}

const DAY: i64 = 86_400;

/// So many seconds of wall time from a wall time on.
fn span(zone: &Zone, wall: i64, length: i64) -> Moment {
    let until = zone.instant_of(wall + length);
    let from = zone.instant_of(wall);
    Moment { from, until: until.minus(std::time::Duration::from_micros(1)).max(from) }
}

/// How many seconds a time after a date stands for; 0: it is exact.
fn precision(rest: &str) -> i64 {
    let clock = rest.get(1..).unwrap_or_default();
    let clock = &clock[..clock.find(['Z', 'z', '+', '-', ' ']).unwrap_or(clock.len())];
    match clock.len() {
        5 => 60,
        8 => 1,
        _ => 0,
    }
}

/// `HH:MM` or `HH:MM:SS`, as seconds of a day and how many of them it stands for.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    let number = |part: &str, below: i64| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|number| digits && *number < below)
    };
    let mut parts = text.split(':');
    let (hour, minute) = (number(parts.next()?, 24)?, number(parts.next()?, 60)?);
    match (parts.next(), parts.next()) {
        (None, _) => Some((hour * 3600 + minute * 60, 60)),
        (Some(second), None) => Some((hour * 3600 + minute * 60 + number(second, 60)?, 1)),
        _ => None,
    }
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
    History { builder: loaded.builder, ..history }
}

/// The arguments of a subcommand, for tests.
#[cfg(test)]
pub(super) fn args<A: clap::Args>(line: &[&str]) -> A {
    let command = A::augment_args(clap::Command::new("schedrs").no_binary_name(true));
    A::from_arg_matches(&command.try_get_matches_from(line).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::zone::Database;

    #[test]
    fn times_as_typed() {
        let zone = Database::bundled().get("Europe/Berlin").unwrap();
        // Tue 2026-11-24 13:00:00 +01:00.
        let now = Instant::from_secs(1_795_478_400 + 12 * 3600);
        let shown = |text: &str| {
            let found = moment(text, &zone, now).unwrap();
            let length = found.until.since(found.from).as_micros();
            let from = crate::core::words::rfc3339(found.from, &zone);
            format!("{} {}", from.trim_end_matches("+01:00"), length.div_ceil(1_000_000))
        };
        for (text, expected) in [
            ("03:00", "2026-11-24T03:00:00 60"),
            ("13:00", "2026-11-24T13:00:00 60"),
            ("13:01", "2026-11-23T13:01:00 60"),
            ("03:00:07", "2026-11-24T03:00:07 1"),
            ("today", "2026-11-24T00:00:00 86400"),
            ("yesterday", "2026-11-23T00:00:00 86400"),
            ("-2h", "2026-11-24T11:00:00 0"),
            ("now", "2026-11-24T13:00:00 0"),
            ("2026-11-20", "2026-11-20T00:00:00 86400"),
            ("2026-11-20 03:00", "2026-11-20T03:00:00 60"),
            ("2026-11-20T03:00:05", "2026-11-20T03:00:05 1"),
            ("2026-11-20T02:00Z", "2026-11-20T03:00:00 60"),
            ("2026-11-20T02:00:05Z", "2026-11-20T03:00:05 1"),
            ("2026-11-20T02:00:05.5Z", "2026-11-20T03:00:05.500 0"),
            ("Fri 2026-11-20 03:00:00 +01:00", "2026-11-20T03:00:00 1"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        for text in ["", "25:00", "3:00", "03:00:00:00", "Xyz 03:00", "2026-13-01", "-", "-2x"] {
            assert!(moment(text, &zone, now).is_err(), "{text}");
        }
    }

    /// A day on which the clocks change has another length.
    #[test]
    fn a_day_is_as_long_as_it_is() {
        let zone = Database::bundled().get("Europe/Berlin").unwrap();
        let now = Instant::from_secs(1_795_478_400);
        let day = moment("2026-10-25", &zone, now).unwrap();
        assert_eq!(day.until.since(day.from).as_secs(), 25 * 3600 - 1);
    }
}
