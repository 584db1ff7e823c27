//! What the scheduler decides, as facts for the store; and starts and answers that wait until it has
//! them.
//!
//! The facts of one pass of the loop are one transaction; where many are due at once, those of a few
//! hundred runs are, so that these start while it is still decided of the others. A start goes on to the
//! spawners from the store's own thread (`crate::store::keeper`), once its run is in the store: so a
//! process that exists has a run that is known. So does the answer to somebody who has changed
//! something: what was answered survives a crash. Should the store take long, neither waits for it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::mem;
use std::sync::Arc;
#[cfg(debug_assertions)]
use std::sync::LazyLock;
use std::time::Duration;

use crate::core::event::{Action, JobRecord, Notice, Record, Remember, RunId, Silence, Start};
use crate::core::fleet::RunOn;
use crate::core::instant::{Instant, Mono};
use crate::core::job::Job;
use crate::store::Fact;
use crate::store::keeper::{Answer, FleetOrder, Keeper};

/// How long a start or an answer may wait for the store.
const PATIENCE: Duration = Duration::from_millis(100);

/// After so long it is seen to whether the store's thread makes a process, for which nobody is to wait.
const MOMENT: Duration = Duration::from_millis(5);

/// [`PATIENCE`], or in a debug build what `SCHEDRS_TEST_PATIENCE` says, in seconds: on a machine that has
/// much else to do the thread that writes may not get to it in a tenth of a second, and a test that
/// looks into the store would see that.
fn patience() -> Duration {
    #[cfg(debug_assertions)]
    {
        static OF_TEST: LazyLock<Option<Duration>> = LazyLock::new(|| {
            let secs = std::env::var("SCHEDRS_TEST_PATIENCE").ok()?.parse().ok()?;
            Some(Duration::from_secs(secs))
        });
        if let Some(patience) = *OF_TEST {
            return patience;
        }
    }
    PATIENCE
}

/// Where so many are to start, these go on while it is still decided of the others.
const TOGETHER: usize = 256;

/// How long the end of the program may be held up by the store.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// See the [module](self).
pub(super) struct Records {
    keeper: Keeper,
    /// What people call this host, if others share the store.
    host: Option<Box<str>>,
    facts: Vec<Fact>,
    starts: Vec<Start>,
    answers: Vec<Answer>,
    /// Runs that an earlier scheduler had admitted and not begun, by job and due time: they are
    /// withdrawn when their due time is decided again, in the same transaction.
    withdrawals: HashMap<Box<str>, BTreeMap<Instant, RunId>>,
    own: OwnChanges,
    /// It was seen to what has waited since then: see [`MOMENT`].
    seen_to: Option<Mono>,
}

/// What was changed here of jobs (`None`: of all) that others change as well, until the store is known to
/// have it.
#[derive(Debug, Default)]
struct OwnChanges {
    /// By whose batch the store gets it.
    sent: HashMap<Option<Box<str>>, u64>,
    /// It is in no batch yet.
    noted: Vec<Option<Box<str>>>,
}

impl OwnChanges {
    fn sent(&mut self, batch: u64) {
        self.sent.extend(self.noted.drain(..).map(|job| (job, batch)));
    }

    /// Whether something was changed here that the store did not have with that batch.
    fn has_newer(&self, job: Option<&str>, written: u64) -> bool {
        let is_it = |changed: &Option<Box<str>>| changed.as_deref() == job;
        let is_newer = |(changed, batch): (_, &u64)| is_it(changed) && *batch > written;
        self.noted.iter().any(is_it) || self.sent.iter().any(is_newer)
    }

    /// Nobody asks any more with an earlier batch than that.
    fn forget(&mut self, written: u64) {
        self.sent.retain(|_, batch| *batch > written);
    }
}

impl Records {
    pub(super) fn new(keeper: Keeper, host: Option<Box<str>>) -> Records {
        let (facts, starts, answers) = (Vec::new(), Vec::new(), Vec::new());
        let (withdrawals, own) = (HashMap::new(), OwnChanges::default());
        Records { keeper, host, facts, starts, answers, withdrawals, own, seen_to: None }
    }

    /// A run of an earlier scheduler never began, and its due time will be decided again.
    pub(super) fn will_withdraw(&mut self, job: Box<str>, due: Instant, run: RunId) {
        self.withdrawals.entry(job).or_default().insert(due, run);
    }

    fn withdraw(&mut self, job: &str, due: Instant, last_due: Instant) {
        let Some(runs) = self.withdrawals.get_mut(job) else { return };
        let again: Vec<(Instant, RunId)> =
            runs.range(due..=last_due).map(|(due, run)| (*due, *run)).collect();
        for (due, run) in again {
            runs.remove(&due);
            if self.host.is_some() {
                // A claim that came late may say that it is about to begin.
                self.facts.push(Fact::Postponed { run, attempt: 1 });
            }
            self.facts.push(Fact::Withdrawn { run });
        }
        if runs.is_empty() {
            self.withdrawals.remove(job);
        }
    }

    /// Takes note of what is to be done. Not of [`Remember::Job`]: see [`Records::remember`].
    pub(super) fn note(&mut self, action: &Action, now: Instant) {
        if let Action::Remember(Remember::Admitted(admitted)) = action {
            self.flush_the_first(&admitted.job);
        }
        if !self.withdrawals.is_empty() {
            match action {
                Action::Remember(Remember::Admitted(admitted)) => {
                    self.withdraw(&admitted.job.id, admitted.due, admitted.due);
                }
                Action::Record(record) if record.run.is_none() => {
                    self.withdraw(&record.job.id, record.due, record.last_due);
                }
                _ => {}
            }
        }
        let fact = match action {
            Action::Remember(Remember::Admitted(admitted)) => Fact::Admitted {
                run: admitted.run,
                job: admitted.job.id.clone(),
                due: admitted.due,
                at: admitted.at,
                by: admitted.by.clone(),
                host: self.host_of(&admitted.job),
                slot: admitted.place,
            },
            Action::Remember(Remember::Gone(job)) => Fact::Gone { job: job.clone() },
            Action::Remember(Remember::AllPaused(pause)) => Fact::AllPaused(pause.clone()),
            Action::Remember(Remember::Change(change)) => {
                if self.host.is_some() {
                    self.own.noted.push(change.job.clone());
                }
                Fact::Change(change.clone())
            }
            Action::Remember(Remember::Entry { list, key, value }) => {
                Fact::Entry { list: (*list).into(), key: key.clone(), value: value.clone() }
            }
            Action::Start(start) => Fact::Starting { run: start.run, attempt: start.attempt },
            Action::Record(record) => fate(record, now, self.host_of(&record.job)),
            Action::Notice(Notice::Started { run, attempt, process, due, lag, .. }) => {
                let (run, attempt, process) = (*run, *attempt, *process);
                Fact::Started { run, attempt, process, at: due.plus(*lag) }
            }
            Action::Notice(Notice::Retrying { run, outcome, attempt, .. }) => Fact::AttemptEnded {
                run: *run,
                attempt: attempt.saturating_sub(1),
                outcome: outcome.clone(),
                at: now,
            },
            Action::Notice(Notice::Postponed { run, attempt, .. }) => {
                Fact::Postponed { run: *run, attempt: *attempt }
            }
            Action::Remember(Remember::Job(_) | Remember::Learned(_)) => return,
            Action::Notice(_) | Action::Terminate(_) | Action::Kill(_) => return,
            Action::Check(_) => return,
            Action::Answer { .. } | Action::Exit => return,
        };
        self.facts.push(fact);
    }

    /// The host that is a part of the claims of a job.
    fn host_of(&self, job: &Job) -> Option<Box<str>> {
        self.host.clone().filter(|_| job.options.run_on == RunOn::All)
    }

    /// Something that the store's thread is to do beside.
    pub(super) fn order(&self, order: FleetOrder) {
        self.keeper.order(order);
    }

    /// How many facts are not in the store yet, and since when the first of them waits.
    pub(super) fn pending(&self) -> (u64, Option<Mono>) {
        self.keeper.pending()
    }

    /// How far a store that others share has answered.
    pub(super) fn silence(&self, now: Mono) -> Silence {
        self.keeper.silence(now)
    }

    /// Until when the others cannot have taken this scheduler for dead.
    pub(super) fn alive_until(&self) -> Option<Mono> {
        self.keeper.alive_until()
    }

    /// How many runs are active, for the others.
    pub(super) fn set_running(&self, running: u32) {
        self.keeper.set_running(running);
    }

    /// What there is to remember of a job. At a start they are as many as there are jobs, so that a
    /// copy would be felt.
    pub(super) fn remember(&mut self, record: Box<JobRecord>) {
        self.facts.push(Fact::Job(record));
    }

    /// One more fact, that no action says.
    pub(super) fn add(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// A start, once the store has its run.
    pub(super) fn start(&mut self, start: Start) {
        self.starts.push(start);
    }

    /// An answer, once the store has what is decided in this pass of the loop.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.answers.push(answer);
    }

    /// A start that has not been given away yet is not wanted any more.
    pub(super) fn take_back(&mut self, run: RunId) -> bool {
        let before = self.starts.len();
        self.starts.retain(|start| start.run != run);
        self.starts.len() < before
    }

    /// Gives away what was noted since the last time.
    pub(super) fn flush(&mut self) {
        let answers = mem::take(&mut self.answers);
        self.commit(answers);
    }

    /// While many are due at once: gives away the first of them, before one of another job. What is decided
    /// of a job stays together.
    fn flush_the_first(&mut self, next: &Arc<Job>) {
        let is_other = |last: &Start| !Arc::ptr_eq(&last.job, next);
        if self.starts.len() >= TOGETHER && self.starts.last().is_some_and(is_other) {
            self.commit(Vec::new());
        }
    }

    fn commit(&mut self, answers: Vec<Answer>) {
        let (facts, starts) = (mem::take(&mut self.facts), mem::take(&mut self.starts));
        let batch = self.keeper.commit(facts, starts, answers);
        if let Some(batch) = batch {
            self.own.sent(batch);
        }
    }

    /// Whether a job, or that all are paused, was changed here after the store had that batch: then what
    /// was read of it is out of date.
    pub(super) fn has_newer(&self, job: Option<&str>, written: u64) -> bool {
        self.own.has_newer(job, written)
    }

    /// [`Records::has_newer`] is not asked with an earlier batch any more.
    pub(super) fn forget_changes(&mut self, written: u64) {
        self.own.forget(written);
    }

    /// The same, and waits for the answers among it to be given, while there is somebody to give
    /// them to.
    pub(super) fn settle(&mut self) {
        self.flush();
        self.keeper.settle(patience());
    }

    /// When to look whether the store takes too long.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let since = self.keeper.waiting()?;
        Some(since.plus(if self.seen_to == Some(since) { patience() } else { MOMENT }))
    }

    /// Lets starts and answers go on that have waited too long.
    pub(super) fn hurry_in_time(&mut self, now: Mono) {
        let Some(since) = self.keeper.waiting() else { return };
        let waits = now.since(since);
        if waits >= MOMENT && self.seen_to != Some(since) {
            self.seen_to = Some(since);
            self.keeper.stand_in();
        }
        if waits >= patience() {
            self.keeper.hurry();
        }
    }

    /// A start hangs: if it is on the store's thread, another goes on with the store.
    pub(super) fn stand_in(&mut self) {
        self.keeper.stand_in();
    }

    /// Has everything written, as far as that is possible soon.
    pub(super) fn finish(mut self, now: Instant) {
        self.facts.push(Fact::Stopped { at: now });
        self.keeper.commit(self.facts, Vec::new(), self.answers);
        self.keeper.finish(LAST_WORDS);
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("keeper", &self.keeper).finish_non_exhaustive()
    }
}

fn fate(record: &Record, at: Instant, host: Option<Box<str>>) -> Fact {
    let (job, outcome) = (record.job.id.clone(), record.outcome.clone());
    match record.run {
        Some(run) => {
            let (duration, attempts, usage) = (record.duration, record.attempts, record.usage);
            Fact::Ended { run, job, outcome, duration, attempts, at, usage }
        }
        None => {
            let (due, last_due, count) = (record.due, record.last_due, record.count);
            Fact::Fate { job, due, last_due, count, outcome, at, host }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::core::event::Admitted;
    use crate::core::job::{Command, Options};
    use crate::core::trigger::{DateTrigger, Trigger};
    use crate::core::zone::Zone;
    use crate::store::Limits;
    use crate::store::memory::Memory;

    /// Of many starts the first are made while others are still noted; what is decided of one job stays
    /// together.
    #[test]
    fn the_first_of_many_starts_go_before_it_is_decided_of_all() {
        const LONG: Duration = Duration::from_secs(60);
        let (submit, submitted) = channel();
        let keeper = Keeper::start(
            Box::new(Memory::new()),
            Box::new(|| panic!("it is not lost")),
            Limits::default(),
            move |start| submit.send(start.run.0).unwrap(),
            None,
            |event| panic!("there is nothing to say: {event:?}"),
        );
        let mut records = Records::new(keeper.unwrap(), None);
        let at = Instant::from_micros(0);
        let job = |id: &str| {
            Arc::new(Job {
                id: id.into(),
                name: None,
                command: Command::Argv(Box::new(["true".into()])),
                trigger: Trigger::Date(DateTrigger::At(at)),
                zone: Zone::utc(),
                executor: 0,
                options: Options::default().into(),
            })
        };
        let mut begin = |job: &Arc<Job>, number: u64| {
            let (run, due) = (RunId(number), at.plus(Duration::from_secs(number)));
            let admitted = Admitted { run, job: Arc::clone(job), due, at, by: None, place: None };
            records.note(&Action::Remember(Remember::Admitted(admitted)), at);
            let job = Arc::clone(job);
            let start = Start { run, attempt: 1, due, waited: Duration::ZERO, job };
            records.note(&Action::Start(start.clone()), at);
            records.start(start);
        };
        let together = TOGETHER as u64;
        (1..together).for_each(|number| begin(&job("one of many"), number));
        let with_many = job("with many");
        (together..together + 10).for_each(|number| begin(&with_many, number));
        assert!(submitted.try_recv().is_err());
        begin(&job("another"), together + 10);
        let gone = || submitted.recv_timeout(LONG).unwrap();
        (1..together + 10).for_each(|number| assert_eq!(gone(), number));
        records.flush();
        assert_eq!(gone(), together + 10);
        records.finish(at);
    }

    /// What was read before this host changed it is out of date, until the store has the change.
    #[test]
    fn what_was_changed_here_later_is_newer_than_what_was_read() {
        let mut own = OwnChanges::default();
        let newer = |own: &OwnChanges, written| {
            [Some("a"), Some("b"), None].map(|job| own.has_newer(job, written))
        };
        assert_eq!(newer(&own, 0), [false, false, false]);
        own.noted.push(Some("a".into()));
        // It is in no batch yet: whatever the store had, it did not have this.
        assert_eq!(newer(&own, 9), [true, false, false]);
        own.sent(10);
        assert_eq!([newer(&own, 9), newer(&own, 10)], [[true, false, false], [false; 3]]);
        own.noted.extend([Some("a".into()), None]);
        own.sent(12);
        assert_eq!([newer(&own, 11), newer(&own, 12)], [[true, false, true], [false; 3]]);
        own.forget(11);
        assert_eq!(newer(&own, 11), [true, false, true]);
        own.forget(12);
        assert!(own.sent.is_empty());
    }
}
