//! What hosts ask of each other, through the store; and what others have changed.
//!
//! A request is left in the store for a session. That looks for some with its beat, hands them to its
//! loop, and leaves the answer where the question is. Who has asked looks for the answer often, for a
//! while: then it withdraws the question by answering it itself. A question may be seen twice, and is
//! handed over once; it is for one life of one scheduler, so that nobody does it who came later.
//!
//! What others have changed of jobs is read from their record of it, whenever the store says that
//! something has changed.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::Driver;
use crate::core::event::{Code, Elsewhere, Fault, HomeChange, RunId, TakenJob};
use crate::core::fleet::{RunOn, SessionId};
use crate::core::instant::{Instant, Mono};
use crate::core::record::RunRecord;
use crate::core::sort;
use crate::store::keeper::hold::Ask;
use crate::store::keeper::{Learned, OthersEvent};
use crate::store::shared::Asked;
use crate::store::{Query, Reader, StoreError, Trouble};
use crate::sys::{clock, machine};

/// How often somebody who has asked looks for the answer.
const POLL: Duration = Duration::from_millis(200);
/// How often somebody who waits for the end of a run looks whether it has come.
const WATCH: Duration = Duration::from_secs(1);
/// So long an answer is waited for, or three beats, if that is more.
const PATIENCE: Duration = Duration::from_secs(10);
/// After the store could not be read it is read again no sooner than this: to connect may take long,
/// and this thread has a beat to keep.
const RESPITE: Duration = Duration::from_secs(5);
/// Changes may come so late into the store, and be from a host whose clock is so far behind.
const OVERLAP: Duration = Duration::from_secs(600);

/// What one scheduler asks and is asked.
#[derive(Default)]
pub(super) struct Asks {
    /// What was asked of others and has no answer yet.
    waiting: Vec<Waiting>,
    /// The number under which the answers to these are found: another one after a silence, so that
    /// old answers are not read again.
    voice: Option<SessionId>,
    /// Answers that the store does not have yet.
    answers: VecDeque<(u64, Box<str>)>,
    /// What others have asked and the loop has, or has answered.
    passed: HashSet<u64>,
    /// Runs of others whose end is waited for, by the question.
    watched: Vec<(u64, RunId)>,
    /// What the store has said of changes when it was looked at last.
    changes: Option<u64>,
    /// There is something to look at.
    look: bool,
    /// Up to when changes are known, and those of the time before that which may grow.
    since: Option<Instant>,
    known: HashSet<(Instant, Option<Box<str>>)>,
    /// The store could not be read, and is not before then.
    rests: Option<Mono>,
    next: Mono,
}

struct Waiting {
    ask: Ask,
    since: Mono,
    /// The store has it.
    is_left: bool,
}

impl Asks {
    pub(super) fn ask(&mut self, ask: Ask, now: Mono) {
        self.next = now;
        if self.waiting.is_empty() {
            self.voice = Some(SessionId(machine::random()));
        }
        self.waiting.push(Waiting { ask, since: now, is_left: false });
    }

    pub(super) fn answer(&mut self, id: u64, answer: Box<str>) {
        self.answers.push_back((id, answer));
    }

    pub(super) fn watch(&mut self, id: u64, run: RunId, now: Mono) {
        self.next = self.next.min(now);
        self.watched.push((id, run));
    }

    /// The store has answered a beat.
    pub(super) fn saw(&mut self, changes: u64) {
        if self.changes.replace(changes) != Some(changes) {
            self.look = true;
        }
    }

    /// When there is something to do.
    pub(super) fn next_wakeup(&self) -> Option<Mono> {
        let waits = !self.waiting.is_empty() || !self.watched.is_empty();
        waits.then_some(self.next)
    }
}

impl Driver {
    /// Asks, answers, and looks for questions, answers and changes.
    pub(super) fn tend_asks(&mut self) {
        let now = clock::boot().mono;
        let is_time = self.asks.next_wakeup().is_some_and(|next| next <= now);
        if self.silent.is_none() && self.fleet.is_member() {
            self.leave_asks();
            self.leave_answers();
            if self.asks.look {
                // What has changed is known before what was asked after it is done.
                self.asks.look = !(self.look_at_changes() && self.look_for_asks());
            }
            if is_time {
                self.look_for_answers();
                self.look_for_ends();
            }
        }
        if is_time {
            let often = !self.asks.waiting.is_empty();
            self.asks.next = now.plus(if often { POLL } else { WATCH });
        }
        self.give_up_asks(now);
    }

    /// Leaves questions in the store.
    fn leave_asks(&mut self) {
        let Some(from) = self.asks.voice else { return };
        for index in 0..self.asks.waiting.len() {
            let waiting = &self.asks.waiting[index];
            if waiting.is_left {
                continue;
            }
            let Ask { id, to, by, at, request, .. } = waiting.ask.clone();
            let asked = Asked { id, to, from, by, at, request, answer: None };
            let left = self.ask(|store| store.ask(&asked));
            if self.unless_failed(left).is_none() {
                return;
            }
            self.asks.waiting[index].is_left = true;
        }
    }

    fn leave_answers(&mut self) {
        while let Some((id, answer)) = self.asks.answers.pop_front() {
            let left = self.ask(|store| store.answer(id, &answer));
            if self.unless_failed(left).is_none() {
                self.asks.answers.push_front((id, answer));
                return;
            }
        }
    }

    /// Hands over what others have asked. Answers whether the store has told.
    fn look_for_asks(&mut self) -> bool {
        let me = self.fleet.me().id;
        let found = self.ask(|store| store.asks(me));
        let Some(found) = self.unless_failed(found) else { return false };
        let there: HashSet<u64> = found.iter().map(|asked| asked.id).collect();
        self.asks.passed.retain(|id| there.contains(id));
        for asked in found {
            let is_new = asked.to == me && asked.answer.is_none();
            if is_new && self.asks.passed.insert(asked.id) {
                self.tell_of(OthersEvent::Asked(Box::new(asked)));
            }
        }
        true
    }

    /// Hands over what others have answered.
    fn look_for_answers(&mut self) {
        let is_left = self.asks.waiting.iter().any(|waiting| waiting.is_left);
        let Some(voice) = self.asks.voice.filter(|_| is_left) else { return };
        let found = self.ask(|store| store.asks(voice));
        for asked in self.unless_failed(found).into_iter().flatten() {
            let own = |waiting: &mut Waiting| waiting.ask.id == asked.id;
            if let Some(answer) = asked.answer
                && self.asks.waiting.extract_if(.., own).count() > 0
            {
                self.tell_of(OthersEvent::Answered(asked.id, Ok(answer)));
            }
        }
    }

    /// Gives up what has waited for too long, or for somebody who is gone.
    fn give_up_asks(&mut self, now: Mono) {
        if self.asks.waiting.is_empty() {
            return;
        }
        let patience = PATIENCE.max(self.fleet.timing().beat() * 3);
        let there: HashSet<SessionId> = self.fleet.members().map(|member| member.id).collect();
        // What the store does not have yet nobody can have begun.
        let is_silent = self.hold.gives_up_at().is_some_and(|at| at <= clock::mono());
        let is_over = |waiting: &mut Waiting| {
            now.since(waiting.since) >= patience
                || !there.contains(&waiting.ask.to)
                || (is_silent && !waiting.is_left)
        };
        let over: Vec<Waiting> = self.asks.waiting.extract_if(.., is_over).collect();
        for Waiting { ask: Ask { id, to, host, .. }, since, is_left } in over {
            let waited = Duration::from_secs(now.since(since).as_secs());
            let waited = crate::core::words::span(waited);
            let message = match (is_left, there.contains(&to)) {
                (false, _) => format!("did not ask {host}: the store does not answer"),
                (true, false) => format!(
                    "{host} is gone and did not answer: see `schedrs history` for whether it was done"
                ),
                (true, true) => format!(
                    "{host} did not answer for {waited}; the request was withdrawn, but it may have begun"
                ),
            };
            let fault = Fault::new(Code::NoAnswer, message);
            // Whoever looks for questions finds this one answered. One that may not have been left
            // is not there to be answered, or was left after all.
            self.asks.answer(id, "{\"ok\":false,\"withdrawn\":true}".into());
            self.tell_of(OthersEvent::Answered(id, Err(fault)));
        }
    }

    /// This session is over: what it has asked cannot be found by the next one.
    pub(super) fn drop_asks(&mut self) {
        self.asks.passed.clear();
        for waiting in std::mem::take(&mut self.asks.waiting) {
            let message = format!(
                "the others have taken this host for dead while {} was asked: `schedrs history` \
                 says whether it was done",
                waiting.ask.host
            );
            let fault = Fault::new(Code::NoAnswer, message);
            self.asks.answer(waiting.ask.id, "{\"ok\":false,\"withdrawn\":true}".into());
            self.tell_of(OthersEvent::Answered(waiting.ask.id, Err(fault)));
        }
    }

    /// Looks whether runs of others are over.
    fn look_for_ends(&mut self) {
        for (id, run) in self.asks.watched.clone() {
            let query = Query { run: Some(run), limit: 1, ..Query::default() };
            let Ok(found) = self.read(|reader| reader.records(&query)) else { return };
            let over = found.into_iter().find(|record| record.outcome.is_some());
            if let Some(record) = over {
                self.asks.watched.retain(|watched| watched.0 != id);
                let record: Box<RunRecord> = Box::new(record);
                self.tell_of(OthersEvent::Over(id, record));
            }
        }
    }

    /// Reads what others have changed of jobs. Answers whether the store has told.
    fn look_at_changes(&mut self) -> bool {
        let Some(now) = self.store_now else { return false };
        let from = self.asks.since.unwrap_or(now).minus(OVERLAP);
        let Ok(changes) = self.read(|reader| reader.changes(None, from, Instant::MAX)) else {
            return false;
        };
        let all: HashSet<(Instant, Option<Box<str>>)> =
            changes.iter().map(|change| (change.at, change.job.clone())).collect();
        let new = changes.iter().filter(|change| change.what.is_of_job());
        let new = new.filter(|one| !self.asks.known.contains(&(one.at, one.job.clone())));
        let (mut jobs, mut of_all) = (Vec::new(), false);
        for change in new {
            match &change.job {
                Some(job) => jobs.push(job.clone()),
                None => of_all = true,
            }
        }
        sort::all(&mut jobs);
        jobs.dedup();
        let mut learned = Learned { written: self.written(), ..Learned::default() };
        if !jobs.is_empty() {
            let found = self.ask(|store| store.take_up(&jobs));
            let Some(found) = self.unless_failed(found) else { return false };
            self.have_changed(&found.jobs);
            (learned.asked, learned.jobs) = (jobs, found.jobs);
        }
        if of_all {
            let Ok(paused) = self.read(|reader| reader.all_paused()) else { return false };
            learned.all_paused = Some(paused);
        }
        if !learned.asked.is_empty() || of_all {
            self.tell_of(OthersEvent::Learned(Box::new(learned)));
        }
        (self.asks.known, self.asks.since) = (all, Some(now));
        true
    }

    /// Reads what there is to know of a job that is at home elsewhere, and says so by that number.
    pub(super) fn look_up(&mut self, number: u64, job: Box<str>) {
        let (ids, written) = ([job], self.written());
        let found = self.ask(|store| store.take_up(&ids));
        let [job] = ids;
        let home = self.fleet.by_id();
        let is_each = home.get(&*job).is_some_and(|(job, _)| job.run_on == RunOn::All);
        if let Some(found) = self.unless_failed(found) {
            if is_each {
                self.have_changed(&found.jobs);
                let (asked, jobs) = (vec![job.clone()], found.jobs.clone());
                let learned = Learned { written, asked, jobs, all_paused: None };
                self.tell_of(OthersEvent::Learned(Box::new(learned)));
            }
            let me = self.fleet.me().id;
            let others = found.open.into_iter().filter(|other| other.session != me);
            let mut elsewhere = Vec::new();
            for other in others {
                self.runs.elsewhere.insert(other.run.run, job.clone());
                elsewhere.push(Elsewhere::of(&other));
            }
            let record = found.jobs.into_iter().next();
            let seen = vec![TakenJob { id: job, record, elsewhere, ..TakenJob::default() }];
            let change = HomeChange { seen, ..HomeChange::default() };
            self.tell_of(OthersEvent::Homes(Box::new(change)));
        }
        self.tell_of(OthersEvent::LookedUp(number));
    }

    /// The last of the loop's batches that the store has.
    pub(super) fn written(&self) -> u64 {
        self.hold.held().written
    }

    /// Reads, unless that has failed just now.
    pub(super) fn read<T>(
        &mut self,
        what: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let now = clock::boot().mono;
        if self.asks.rests.is_some_and(|until| now < until) {
            return Err(StoreError::new(Trouble::Unreachable, "could not be read just now"));
        }
        let read = self.read_store(what);
        self.asks.rests = read.is_err().then(|| now.plus(RESPITE));
        read
    }
}
