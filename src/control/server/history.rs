//! What the store knows of the past, for the socket. It is read on the server's thread, beside the
//! one that writes: a question that takes long delays other clients, and never a job.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Past;
use crate::control::no_notification;
use crate::core::event::{
    ActiveElsewhere, Code, Fault, JobDetail, JobRecord, JobView, Paused, RunId, Unusual, Vitals,
};
use crate::core::expect::{last_resumed, overdue_since};
use crate::core::fleet::home::Home;
use crate::core::fleet::whereabouts::Whereabouts;
use crate::core::habit::unusual::{self, UNUSUAL};
use crate::core::habit::{self, Success};
use crate::core::instant::{Instant, Mono};
use crate::core::notify::notifier;
use crate::core::scheduler::UPCOMING;
use crate::history::end_of;
use crate::store::{Latest, Query, Reader, RunRecord, StoreError, Trouble};
use crate::sys::clock;

/// Among so many records of a job are those of its last pause.
const NEWEST: usize = 20;

/// A server that has not answered is not asked again for so long: each question would wait as long as the
/// last one, and clients wait for all of them.
const SILENT: Duration = Duration::from_secs(5);

/// A client that asks for the next part of a list later than this gets it as it is by then.
const FRESH: Duration = Duration::from_secs(30);

/// A way to the store, if there is one.
pub(super) struct History {
    past: Past,
    /// What was read of jobs that have not succeeded since, and by which last record and how many
    /// due times of this scheduler it holds.
    pasts: HashMap<Box<str>, ((u64, u64), JobPast)>,
    /// How all jobs had fared at some time, of a scheduler that has the store to itself; and how often that had
    /// forgotten jobs by then.
    before: Option<(u64, HashMap<Box<str>, JobPast>)>,
    /// When the server of the store last did not answer, and what is said of that.
    silent: Option<(Mono, Fault)>,
}

/// What was read of all jobs at once. Each who goes through them holds one of its own, from the first
/// page to the last: whoever else asks meanwhile changes nothing in it.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    taken: Mono,
    /// How each job has fared of late; `None`: that could not be read.
    latest: Option<HashMap<Box<str>, Latest>>,
    /// What is remembered of jobs that are at home on other hosts; and where that is.
    elsewhere: HashMap<Box<str>, JobRecord>,
    /// The last run of each job that was out of the ordinary, in what way it was.
    unusual: HashMap<Box<str>, (RunId, Unusual)>,
    whereabouts: Option<Arc<Whereabouts>>,
    /// The active runs that other hosts have, by their job.
    others: HashMap<Box<str>, Vec<ActiveElsewhere>>,
}

impl Snapshot {
    /// How a job has fared of late.
    pub(super) fn latest(&self, job: &str) -> Option<&Latest> {
        self.latest.as_ref()?.get(job)
    }

    /// Its last run that was out of the ordinary.
    pub(super) fn unusual(&self, job: &str) -> Option<(RunId, Unusual)> {
        self.unusual.get(job).copied()
    }

    /// Whether the store could not be read.
    pub(super) fn is_past_unknown(&self) -> bool {
        self.latest.is_none()
    }

    /// Whether the next part of a list may still be made of it.
    fn is_fresh(&self, now: Mono) -> bool {
        now.since(self.taken) <= FRESH
    }

    /// Where a job is at home, and if that is elsewhere what is known of it there: the loop knows no
    /// due times of such a job. Of any job, wherever it is at home, other hosts may have runs.
    pub(super) fn complete(&self, view: &mut JobView, now: Instant) -> Option<String> {
        let known = self.whereabouts.as_ref()?;
        let id = view.job.id.clone();
        let at_home = |view: &mut JobView| view.take_from(self.elsewhere.get(&id), now);
        let name = completed(known, view, self.others(&id), at_home);
        view.hear_of_parent(|parent| self.others(parent).iter().any(ActiveElsewhere::is_running));
        name
    }

    /// The active runs of a job that other hosts have.
    pub(super) fn others(&self, job: &str) -> &[ActiveElsewhere] {
        self.others.get(job).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether no host may run a job.
    pub(super) fn has_no_host(&self, job: &str) -> bool {
        self.whereabouts.as_ref().is_some_and(|known| known.has_no_host(job))
    }

    /// How many hosts there are, if several may share the store.
    pub(super) fn hosts(&self) -> Option<usize> {
        self.whereabouts.as_ref().map(|known| known.hosts.len())
    }
}

/// What the store has of the runs of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct JobPast {
    /// When one last succeeded.
    pub(super) success: Option<Instant>,
    /// When one last ended.
    pub(super) ended: Option<Instant>,
    /// How long that took.
    pub(super) duration: Duration,
    /// How many have failed since one succeeded.
    pub(super) failures: u32,
}

impl JobPast {
    /// How a job has fared of late, but for its failures.
    fn of(latest: &Latest) -> JobPast {
        let (ended, duration) = latest.run.as_ref().map(how_it_ended).unzip();
        let duration = duration.unwrap_or_default();
        JobPast { success: latest.succeeded, ended, duration, failures: 0 }
    }

    /// Takes in the record before. Answers whether that is enough.
    fn take(&mut self, record: &RunRecord) -> bool {
        let Some(outcome) = &record.outcome else { return false };
        if !outcome.is_success() && !outcome.is_failed_run() {
            return false;
        }
        let (ended, duration) = how_it_ended(record);
        if self.ended.is_none() {
            (self.ended, self.duration) = (Some(ended), duration);
        }
        if outcome.is_success() {
            self.success = Some(ended);
        } else {
            self.failures += 1;
        }
        outcome.is_success()
    }
}

/// Puts into what is shown of a job what is known of it where it is at home, if that is elsewhere
/// (`at_home`), and the active runs that other hosts have of it. Answers the name of its home.
fn completed(
    known: &Whereabouts,
    view: &mut JobView,
    others: &[ActiveElsewhere],
    at_home: impl FnOnce(&mut JobView),
) -> Option<String> {
    let id = view.job.id.clone();
    match known.home(&id) {
        Some(Home::At(home)) if home != known.me => at_home(view),
        Some(Home::Nowhere) => view.await_home(known.awaits_home(&id)),
        _ => {}
    }
    view.count(others);
    known.home_name(&id).map(str::to_owned)
}

/// When a run that is over ended, and how long it took.
fn how_it_ended(record: &RunRecord) -> (Instant, Duration) {
    (end_of(record).unwrap_or(record.at), record.duration.unwrap_or_default())
}

/// So many records of a job are read at a time to find when it last succeeded, and at most.
const RECORDS: (usize, usize) = (50, 1000);

impl History {
    pub(super) fn new(past: Past) -> History {
        History { past, pasts: HashMap::new(), before: None, silent: None }
    }

    /// Lets go of the store: who writes it is to be the last that has it open, since only then SQLite
    /// puts its log away.
    pub(super) fn close(&mut self) {
        self.past = Past::default();
    }

    /// Whether there is something to read.
    pub(super) fn has_store(&self) -> bool {
        self.past.reader.is_some()
    }

    /// Reads something.
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, Fault> {
        let Some(reader) = &mut self.past.reader else {
            let fault =
                Fault::new(Code::NoStore, "this scheduler has no store, so it has no history");
            return Err(fault.help("set `[store] url` in the jobfile"));
        };
        if let Some((since, fault)) = &self.silent
            && clock::mono().since(*since) < SILENT
        {
            return Err(fault.clone());
        }
        let found = read(&mut **reader);
        self.silent = None;
        found.map_err(|error| {
            let fault = Fault::new(Code::Store, format!("cannot read the store: {error}"));
            if error.kind == Trouble::Unreachable {
                self.silent = Some((clock::mono(), fault.clone()));
            }
            fault
        })
    }

    /// The last runs of a job that have succeeded, the newest first; of those before this one, if one is given.
    /// Of a job whose past cannot be read nothing is known.
    pub(super) fn successes(&mut self, job: &str, before: Option<RunId>) -> Vec<Success> {
        let query = Query { job: Some(job.into()), limit: 2 * habit::RUNS, ..Query::default() };
        let records = self.read(|reader| reader.records(&query)).unwrap_or_default();
        // It may have been written by now.
        let it = records.iter().position(|record| before.is_some() && record.run == before);
        habit::successes(&records[it.map_or(0, |it| it + 1)..])
    }

    /// The last run of each job that was out of the ordinary. A list is worth having without.
    fn unusual(&mut self) -> HashMap<Box<str>, (RunId, Unusual)> {
        unusual::of_entries(self.read(|reader| reader.entries(UNUSUAL)).unwrap_or_default())
    }

    /// The same of one job.
    pub(super) fn unusual_of(&mut self, job: &str) -> Option<(RunId, Unusual)> {
        self.unusual().remove(job)
    }

    /// What there is of the last notification that has ended and whose id begins so.
    pub(super) fn notification(&mut self, id: &str) -> Result<Box<str>, Fault> {
        let entries = self.read(|reader| reader.entries(notifier::TOLD))?;
        let texts = entries.iter().map(|(_, text)| &**text);
        match notifier::told_of(id, texts) {
            Ok(entry) => Ok(entry.into()),
            Err(why) => Err(no_notification(id, why)),
        }
    }

    /// Reads how all jobs have fared of late, where they are at home, and what is known of those that
    /// are so elsewhere. What cannot be read is left out: a list is worth having without.
    pub(super) fn snapshot(&mut self, now: Mono) -> Arc<Snapshot> {
        let latest = self.read(|reader| reader.latest(None)).ok().map(|found| {
            let found = found.into_iter().map(|latest| (latest.job.clone(), latest));
            found.collect::<HashMap<Box<str>, Latest>>()
        });
        if let Some(latest) = &latest {
            self.pasts.retain(|job, _| latest.contains_key(job));
        }
        let whereabouts = self.past.whereabouts.as_ref().and_then(|whereabouts| whereabouts());
        let (mut elsewhere, mut others) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        if let Some(known) = &whereabouts {
            let jobs = self.read(|reader| reader.jobs()).unwrap_or_default();
            elsewhere.extend(jobs.into_iter().map(|known| (known.id.clone(), known)));
            for run in self.active_elsewhere(known, None) {
                others.entry(run.job.clone()).or_default().push(run);
            }
        }
        let unusual = self.unusual();
        Arc::new(Snapshot { taken: now, latest, elsewhere, unusual, whereabouts, others })
    }

    /// The active runs that other hosts have, of all jobs or of one, the oldest first.
    fn active_elsewhere(&mut self, known: &Whereabouts, job: Option<&str>) -> Vec<ActiveElsewhere> {
        let open = self.read(|reader| reader.open_runs(job)).unwrap_or_default();
        let others =
            open.iter().filter(|run| known.is_of_other(run.session, &run.host, &run.run.job));
        others.map(ActiveElsewhere::of).collect()
    }

    /// For a part of a list that does not begin with the first job: what the part before it was made
    /// of, unless that is old.
    pub(super) fn snapshot_for(
        &mut self,
        from: u32,
        kept: Option<Arc<Snapshot>>,
        now: Mono,
    ) -> Arc<Snapshot> {
        match self.if_fresh(kept, now).filter(|_| from > 0) {
            Some(kept) => kept,
            None => self.snapshot(now),
        }
    }

    /// What the part before it was made of, unless that is old.
    pub(super) fn if_fresh(&self, kept: Option<Arc<Snapshot>>, now: Mono) -> Option<Arc<Snapshot>> {
        kept.filter(|kept| kept.is_fresh(now))
    }

    /// What metrics of jobs are made of. A scheduler that has the store to itself knows what has become of its
    /// jobs since it was started: what was before that is read once.
    pub(super) fn past_of_all(&mut self, vitals: &Vitals, now: Mono) -> Arc<Snapshot> {
        let forgotten = vitals.totals.forgotten;
        if self.before.as_ref().is_some_and(|(of, _)| *of == forgotten) {
            let latest = Some(HashMap::new());
            return Arc::new(Snapshot { taken: now, latest, ..Snapshot::default() });
        }
        let snapshot = self.snapshot(now);
        // What it has found out when it was started is in the store by now.
        if let Some(latest) = snapshot.latest.as_ref().filter(|_| vitals.pending_facts == 0)
            && snapshot.whereabouts.is_none()
        {
            let pasts = latest.iter().map(|(job, latest)| (job.clone(), JobPast::of(latest)));
            self.before = Some((forgotten, pasts.collect()));
        }
        snapshot
    }

    /// Where a job is at home, what is known of it there, and the runs of it that other hosts have: read
    /// of this one alone.
    pub(super) fn complete_one(
        &mut self,
        detail: &mut JobDetail,
        now: Instant,
    ) -> (Option<String>, Vec<ActiveElsewhere>) {
        let whereabouts = self.past.whereabouts.as_ref().and_then(|whereabouts| whereabouts());
        let Some(known) = whereabouts else { return (None, Vec::new()) };
        let id = detail.view.job.id.clone();
        let others = self.active_elsewhere(&known, Some(&id));
        let mut is_elsewhere = false;
        let name = completed(&known, &mut detail.view, &others, |view| {
            if let Ok(record) = self.read(|reader| reader.job(&id)) {
                view.take_from(record.as_ref(), now);
                is_elsewhere = true;
            }
        });
        if is_elsewhere {
            let view = &detail.view;
            let trigger = view.job.trigger.anchored(view.anchor);
            let due = std::iter::successors(view.next, |due| view.job.next_kept(&trigger, *due));
            detail.upcoming = due.take(UPCOMING).collect();
        } else if known.home(&id) == Some(Home::Nowhere) {
            detail.upcoming.clear();
        }
        detail.view.hear_of_parent(|parent| {
            let others = self.active_elsewhere(&known, Some(parent));
            others.iter().any(ActiveElsewhere::is_running)
        });
        (name, others)
    }

    /// How the runs of a job have fared.
    pub(super) fn past(&mut self, of_all: &Snapshot, view: &JobView) -> JobPast {
        let latest = of_all.latest(&view.job.id);
        if of_all.whereabouts.is_some() {
            // Others have run it, too.
            let past = latest.map(|latest| self.past_by_store(latest, view.counts.sum()));
            return past.unwrap_or_default();
        }
        let counts = &view.counts;
        let known = self.before.as_ref().and_then(|(_, pasts)| pasts.get(&view.job.id).copied());
        let before = known.or_else(|| latest.map(JobPast::of)).unwrap_or_default();
        let (ended, duration) = match counts.last_run {
            Some((ended, duration)) => (Some(ended), duration),
            None => (before.ended, before.duration),
        };
        let success = counts.last_success.or(before.success);
        JobPast { success, ended, duration, failures: view.failures }
    }

    /// What the store has of the runs of a job that has fared so of late. `counted`: how many due
    /// times of it this scheduler has decided. Only what has changed is read, and only of jobs that
    /// have not succeeded.
    fn past_by_store(&mut self, latest: &Latest, counted: u64) -> JobPast {
        let mut past = JobPast { success: latest.succeeded, ..JobPast::default() };
        let Some(last) = &latest.run else { return past };
        if past.take(last) {
            self.pasts.remove(&latest.job);
            return past;
        }
        let key = (last.seq, counted);
        if let Some((_, known)) = self.pasts.get(&latest.job).filter(|(of, _)| *of == key) {
            return *known;
        }
        let past = self.walk(latest);
        self.pasts.insert(latest.job.clone(), (key, past));
        past
    }

    /// Goes back through the records of a job.
    fn walk(&mut self, latest: &Latest) -> JobPast {
        let mut past = JobPast { success: latest.succeeded, ..JobPast::default() };
        let (job, mut before, mut seen) = (&latest.job, None, 0);
        while seen < RECORDS.1 {
            let limit = RECORDS.0;
            let query = Query { job: Some(job.clone()), before, limit, ..Query::default() };
            let Ok(records) = self.read(|reader| reader.records(&query)) else { return past };
            if records.iter().any(|record| past.take(record)) || records.len() < limit {
                return past;
            }
            before = records.last().map(|record| record.seq);
            seen += records.len();
        }
        past
    }

    /// When the jobfile was loaded, if it has changed on disk since.
    pub(super) fn changed_since(&self) -> Option<Instant> {
        self.past.edited.as_ref()?()
    }

    /// Since when a success of a job is overdue, if it is.
    pub(super) fn overdue(
        &mut self,
        view: &JobView,
        latest: Option<&Latest>,
        now: Instant,
    ) -> Option<Instant> {
        let expect = view.job.options.expect?;
        // Of one that is paused nothing is expected, nor of one that is over.
        let is_over =
            view.next.is_none() && view.awaits.is_none() && view.running == 0 && view.waiting == 0;
        if view.paused != Paused::No || is_over {
            return None;
        }
        let succeeded = latest.and_then(|latest| latest.succeeded);
        let since = |resumed| overdue_since(expect, view.known_since, succeeded, resumed, now);
        since(None)?;
        since(self.resumed(&view.job.id, now.minus(expect), now))
    }

    /// When a pause of a job last ended in a span of time.
    fn resumed(&mut self, job: &str, from: Instant, until: Instant) -> Option<Instant> {
        let changes =
            self.read(|reader| reader.changes(Some(job), from, until)).unwrap_or_default();
        let newest = Query { job: Some(job.into()), limit: NEWEST, ..Query::default() };
        let records = self.read(|reader| reader.records(&newest)).unwrap_or_default();
        last_resumed(&changes, &records)
    }

    /// How a job has fared of late, which is read of this one alone.
    pub(super) fn latest_of(&mut self, job: &str) -> Option<Latest> {
        self.read(|reader| reader.latest(Some(job))).ok()?.pop()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("pasts", &self.pasts.len()).finish_non_exhaustive()
    }
}
