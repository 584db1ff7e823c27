//! How many runs of each job have failed in a row, and since when.
//!
//! Counted once, and of every job, for all who want to know (`super::hooks`, `super::notify`): who begins to
//! want it with a reload or a restart hears what is true. What is counted survives a restart as entries
//! of the store ([`FAILING`]), each written in the transaction of the run that it counts. In a fleet each host
//! counts for itself how a job with `run_on = "all"` fails.

use crate::core::sort;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Action, Event, Remember};
use super::fleet::own;
use super::instant::Instant;
use super::job::{Job, RunOn};

/// The list of a store in which it is kept: by job, and by host where each host has its own.
pub(crate) const FAILING: &str = "failing";

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Streak {
    /// How many runs have failed since the last that has not.
    pub(crate) runs: u32,
    /// When the first of them had failed, in microseconds since 1970.
    since: i64,
}

/// An entry of [`FAILING`] that is to be written, or with `None` to be deleted: by its key.
pub(crate) type Entry = (Box<str>, Option<Box<str>>);

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Streaks {
    /// Of jobs whose last run has failed. Their names may be chosen by whoever may add jobs.
    failing: HashMap<Box<str>, Known>,
    /// What people call this host, if others share its store.
    host: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    streak: Streak,
    /// The entry is this host's alone.
    is_own: bool,
}

/// That so many runs of a job have failed in a row, as a sentence without its stop.
pub(crate) fn phrase(runs: u32) -> String {
    match runs {
        1 => "a run has failed".to_owned(),
        runs => format!("{runs} runs in a row have failed"),
    }
}

impl Streak {
    /// When the first of them had failed; `None`: none has.
    pub(crate) fn since(self) -> Option<Instant> {
        (self.runs > 0).then(|| Instant::from_micros(self.since))
    }

    /// What the scheduler is to hear of it, if it is about a run of a job that failures may pause.
    pub(crate) fn event(self, action: &Action) -> Option<Event> {
        let Action::Record(record) = action else { return None };
        let may_pause = record.outcome.is_failed_run() && record.job.options.pause_after.is_some();
        may_pause.then(|| Event::FailedInARow { job: record.job.id.clone(), runs: self.runs })
    }

    /// As it is written down; `None`: it is of another version.
    pub(crate) fn of_json(text: &str) -> Option<Streak> {
        serde_json::from_str(text).ok()
    }
}

impl Streaks {
    /// Of this host, where others share its store.
    pub(crate) fn new(host: Option<&str>) -> Streaks {
        Streaks { host: host.map(Into::into), ..Streaks::default() }
    }

    /// What an earlier scheduler has left. `runs_on_all`: whether a job is one that runs on every host.
    pub(crate) fn restore(
        &mut self,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        runs_on_all: &dyn Fn(&str) -> bool,
    ) {
        for (job, known) in self.read(entries, runs_on_all) {
            self.failing.insert(job, known);
        }
    }

    /// The same of jobs that come from another host, as far as nothing has become of them here since.
    pub(crate) fn restore_unknown(
        &mut self,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        runs_on_all: &dyn Fn(&str) -> bool,
        is_here: &dyn Fn(&str) -> bool,
    ) {
        for (job, known) in self.read(entries, runs_on_all) {
            if is_here(&job) {
                self.failing.entry(job).or_insert(known);
            }
        }
    }

    fn read(
        &self,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        runs_on_all: &dyn Fn(&str) -> bool,
    ) -> Vec<(Box<str>, Known)> {
        let mine = own::mine(entries, 1, self.host.as_deref(), runs_on_all).into_iter();
        let known = |(job, (text, is_own)): (_, (Box<str>, bool))| {
            Some((job, Known { streak: Streak::of_json(&text)?, is_own }))
        };
        mine.filter_map(known).collect()
    }

    /// Another host decides what becomes of a job.
    pub(crate) fn leave(&mut self, job: &str) {
        self.failing.remove(job);
    }

    /// What has been decided, or has happened, at this time. Answers the failures in a row of the job that
    /// it is about, with its own; of a success those that it ends.
    pub(crate) fn hear(&mut self, now: Instant, action: &Action) -> (Streak, Vec<Entry>) {
        let record = match action {
            Action::Record(record) => record,
            Action::Remember(Remember::Gone(job)) => return (Streak::default(), self.end(job).1),
            _ => return (Streak::default(), Vec::new()),
        };
        let job = &record.job.id;
        if record.outcome.is_success() {
            return self.end(job);
        }
        if !record.outcome.is_failed_run() {
            // It ends no row of failures, and is none.
            let known = self.failing.get(job).map(|known| known.streak);
            return (known.unwrap_or_default(), Vec::new());
        }
        let is_own = self.host.is_some() && record.job.options.run_on == RunOn::All;
        let mut entries = Vec::new();
        if let Some(known) = self.failing.get(job).copied()
            && known.is_own != is_own
        {
            // It runs elsewhere than before, or an older version has written it.
            entries.push((self.key(job, known.is_own), None));
        }
        let first = Streak { runs: 0, since: now.micros() };
        let first = Known { streak: first, is_own };
        let known = self.failing.entry(job.clone()).or_insert(first);
        known.is_own = is_own;
        known.streak.runs = known.streak.runs.saturating_add(1);
        let known = *known;
        entries.push(self.entry(job, known));
        (known.streak, entries)
    }

    fn end(&mut self, job: &str) -> (Streak, Vec<Entry>) {
        // Mostly none fails, and to look up a name costs more than to see that.
        if self.failing.is_empty() {
            return (Streak::default(), Vec::new());
        }
        match self.failing.remove(job) {
            Some(known) => (known.streak, vec![(self.key(job, known.is_own), None)]),
            None => (Streak::default(), Vec::new()),
        }
    }

    /// The key of the entry of a job.
    fn key(&self, job: &str, is_own: bool) -> Box<str> {
        match self.host.as_deref().filter(|_| is_own) {
            Some(host) => own::key(job, host),
            None => job.into(),
        }
    }

    fn entry(&self, job: &str, known: Known) -> Entry {
        // Numbers can always be written.
        let text = serde_json::to_string(&known.streak).unwrap_or_default();
        (self.key(job, known.is_own), Some(text.into()))
    }

    /// How many runs of a job have failed in a row.
    pub(crate) fn of(&self, job: &str) -> u32 {
        self.failing.get(job).map_or(0, |known| known.streak.runs)
    }

    /// The jobs of a route that fail, by name. Jobs that `job` does not know are left out.
    pub(crate) fn of_route<'a>(
        &self,
        route: &str,
        job: impl Fn(&str) -> Option<&'a Arc<Job>>,
    ) -> Vec<(Box<str>, Streak)> {
        let tells = |job: &Arc<Job>| job.options.notify.iter().any(|name| **name == *route);
        let failing = self.failing.iter().filter(|(id, _)| job(id).is_some_and(tells));
        let mut failing: Vec<_> = failing.map(|(id, known)| (id.clone(), known.streak)).collect();
        sort::by(&mut failing, |(one, _), (other, _)| one.cmp(other));
        failing
    }

    /// All that is known of these jobs, as entries of [`FAILING`].
    pub(crate) fn remember(&self, is_home: &dyn Fn(&str) -> bool) -> Vec<Entry> {
        let known = self.failing.iter().filter(|(job, _)| is_home(job));
        known.map(|(job, known)| self.entry(job, *known)).collect()
    }

    /// Forgets jobs that are gone.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.failing.retain(|job, _| is_there(job));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::core::event::{Record, RunId};
    use crate::core::job::{Command, Options};
    use crate::core::outcome::{MissReason, Outcome, SkipReason};
    use crate::core::trigger::{DateTrigger, Trigger};
    use crate::core::zone::Zone;

    fn record(outcome: Outcome) -> Action {
        let job = Job {
            id: "backup".into(),
            name: None,
            command: Command::Shell("true".into()),
            trigger: Trigger::Date(DateTrigger::Now),
            zone: Zone::utc(),
            executor: 0,
            options: Arc::new(Options::default()),
        };
        let due = Instant::from_secs(0);
        Action::Record(Record {
            job: Arc::new(job),
            due,
            last_due: due,
            count: 1,
            run: outcome.is_of_run().then_some(RunId(7)),
            outcome,
            started: Some(due),
            duration: Duration::from_secs(1),
            attempts: 1,
            usage: None,
        })
    }

    type Known = (u32, Option<i64>);

    fn write(store: &mut BTreeMap<Box<str>, Box<str>>, entries: Vec<Entry>) {
        for (key, text) in entries {
            match text {
                Some(text) => drop(store.insert(key, text)),
                None => drop(store.remove(&key)),
            }
        }
    }

    /// Through a store, and restored before each step if that is wanted.
    fn play(outcomes: &[Outcome], restart: bool) -> Vec<Known> {
        let (mut streaks, mut store) = (Streaks::default(), BTreeMap::new());
        let mut found = Vec::new();
        for (minute, outcome) in outcomes.iter().enumerate() {
            if restart {
                streaks = Streaks::default();
                streaks.restore(store.clone(), &|_| false);
            }
            let now = Instant::from_secs(60 * minute as i64);
            let (streak, entries) = streaks.hear(now, &record(outcome.clone()));
            write(&mut store, entries);
            found.push((streak.runs, streak.since().map(|at| at.micros() / 60_000_000)));
        }
        found
    }

    #[test]
    fn failures_in_a_row() {
        use Outcome::*;
        let missed = || Missed(MissReason::Late(Duration::from_secs(90)));
        let skipped = || Skipped(SkipReason::Overlap);
        // (what comes of one due time after the other, a minute each; how many have failed in a row, since when)
        let rows: [(&[Outcome], &[Known]); 4] = [
            (&[Succeeded, Failed(1)], &[(0, None), (1, Some(1))]),
            (
                &[Failed(1), TimedOut, Succeeded, Succeeded],
                &[(1, Some(0)), (2, Some(0)), (2, Some(0)), (0, None)],
            ),
            (
                &[Killed(9), missed(), skipped(), Coalesced, NotStarted("no".into())],
                &[(1, Some(0)), (1, Some(0)), (1, Some(0)), (1, Some(0)), (2, Some(0))],
            ),
            (&[missed(), Lost("?".into()), Succeeded], &[(0, None), (1, Some(1)), (1, Some(1))]),
        ];
        for (outcomes, expected) in rows {
            for restart in [false, true] {
                assert_eq!(play(outcomes, restart), expected, "{outcomes:?}, restart: {restart}");
            }
        }
    }

    #[test]
    fn those_of_a_route() {
        let mut streaks = Streaks::default();
        let action = record(Outcome::TimedOut);
        let Action::Record(Record { job, .. }) = &action else { return };
        streaks.hear(Instant::from_secs(0), &action);
        let options = Options { notify: Box::new(["ops".into()]), ..Options::default() };
        let told = Arc::new(Job { options: Arc::new(options), ..(**job).clone() });
        // (what is known of the job, the route, how many jobs fail)
        let rows = [(Some(&told), "ops", 1), (Some(&told), "dev", 0), (Some(job), "ops", 0)];
        for (known, route, expected) in rows.into_iter().chain([(None, "ops", 0)]) {
            assert_eq!(streaks.of_route(route, |_| known).len(), expected, "{route}");
        }
    }

    #[test]
    fn a_job_that_is_gone_has_no_failures() {
        let mut streaks = Streaks::default();
        streaks.hear(Instant::from_secs(0), &record(Outcome::TimedOut));
        streaks.retain(|job| job == "backup");
        let gone = Action::Remember(Remember::Gone("backup".into()));
        let heard = streaks.hear(Instant::from_secs(0), &gone);
        assert_eq!(heard, (Streak::default(), vec![("backup".into(), None)]));
        assert_eq!(streaks.hear(Instant::from_secs(0), &gone).1, []);
        streaks.hear(Instant::from_secs(0), &record(Outcome::TimedOut));
        streaks.retain(|_| false);
        assert!(streaks.failing.is_empty());
    }

    /// The same job, on every host or on one of them.
    fn on(run_on: RunOn, outcome: Outcome) -> Action {
        let action = record(outcome);
        let Action::Record(it) = &action else { return action };
        let options = Options { run_on, ..Options::default() };
        let job = Job { options: Arc::new(options), ..(*it.job).clone() };
        Action::Record(Record { job: Arc::new(job), ..it.clone() })
    }

    #[test]
    fn a_job_that_runs_on_every_host_fails_on_each_by_itself() {
        let (one, all) = (|outcome| on(RunOn::One, outcome), |outcome| on(RunOn::All, outcome));
        let fails = || Outcome::Failed(1);
        // (what an older version has left, what has become of the job on which host, keys of the store after that)
        type Row<'a> = (&'a [&'a str], Vec<(&'a str, Action)>, &'a [&'a str]);
        let rows: [Row<'_>; 6] = [
            (&[], vec![("web1", one(fails())), ("web2", one(fails()))], &["backup"]),
            (
                &[],
                vec![("web1", all(fails())), ("web2", all(fails()))],
                &["backup\nweb1", "backup\nweb2"],
            ),
            (
                &[],
                vec![
                    ("web1", all(fails())),
                    ("web2", all(fails())),
                    ("web2", all(Outcome::Succeeded)),
                ],
                &["backup\nweb1"],
            ),
            (&["backup"], vec![("web1", all(fails()))], &["backup\nweb1"]),
            (&["backup"], vec![("web1", all(Outcome::Succeeded))], &[]),
            // From now on it runs on every host.
            (&[], vec![("web1", one(fails())), ("web1", all(fails()))], &["backup\nweb1"]),
        ];
        for (left, outcomes, expected) in rows {
            for restart in [false, true] {
                let text = || Box::from("{\"runs\":3,\"since\":0}");
                let mut store: BTreeMap<Box<str>, Box<str>> =
                    left.iter().map(|key| (Box::from(*key), text())).collect();
                let mut hosts = BTreeMap::new();
                for (host, action) in &outcomes {
                    let Action::Record(record) = action else { continue };
                    let runs_on_all = record.job.options.run_on == RunOn::All;
                    let streaks = hosts.entry(*host).or_insert_with(|| {
                        let mut streaks = Streaks::new(Some(host));
                        streaks.restore(store.clone(), &|_| runs_on_all);
                        streaks
                    });
                    write(&mut store, streaks.hear(Instant::from_secs(9), action).1);
                    if restart {
                        hosts.clear();
                    }
                }
                let keys: Vec<&str> = store.keys().map(|key| &**key).collect();
                assert_eq!(keys, expected, "{outcomes:?}, restart: {restart}");
            }
        }
    }
}
