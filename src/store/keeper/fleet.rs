//! The thread's work with a store that several schedulers share: asks the pure machine
//! (`crate::core::fleet::protocol`) what is to be done, does it, and tells it what the store has answered.
//!
//! A start goes on when its claim is acknowledged and this session may still trust itself, which is
//! looked at last, right before the start is handed over. While the store does not answer all starts
//! wait; those that are too late are given back.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::hold::{self, FleetOrder, Hold};
use super::queue::Waiters;
use super::{Reopen, StoreEvent};
use crate::core::event::{Elsewhere, HomeChange, JobRecord, Refusal, RunId, Start, TakenJob};
use crate::core::fleet::protocol::{Fleet, Input, Notice, Output, Taken};
use crate::core::fleet::{Lost, SessionId, View};
use crate::core::instant::{Instant, Mono};
use crate::store::shared::{Committed, Shared};
use crate::store::{Fact, Limits, Store, StoreError, Trouble};
use crate::sys::{clock, machine};

/// What was acknowledged for so long may be asked for again.
const REPEATED: Duration = Duration::from_secs(60);
/// And so many facts of it.
const MOST_REPEATED: usize = 50_000;
/// How often starts that wait are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// So many blocks of numbers are fetched at once.
const BLOCKS: usize = 4;
/// The store is tidied up after so many facts, or so much time.
const UNTIDY: usize = 1000;
const TIDY_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Driver {
    hold: Arc<Hold>,
    /// `None`: its code has failed, and it is to be opened again.
    store: Option<Box<dyn Store>>,
    reopen: Reopen,
    limits: Limits,
    on_event: Box<dyn Fn(StoreEvent) + Send>,
    fleet: Fleet,
    to_do: VecDeque<Output>,
    /// What is written next, and what waits for it.
    facts: Vec<Fact>,
    waiters: Waiters,
    /// Starts whose claims are won.
    won: Vec<Start>,
    /// Jobs that are at home here and of which nothing is known yet.
    to_take: Vec<Taken>,
    /// Runs of jobs at home here that are on other hosts.
    elsewhere: HashMap<RunId, Box<str>>,
    /// What is known of the jobs at home here, for a store that has forgotten it.
    known: HashMap<Box<str>, JobRecord>,
    /// Facts that were acknowledged, and when.
    acknowledged: VecDeque<(Mono, Vec<Fact>)>,
    kept: usize,
    wants_numbers: bool,
    /// Since when the store does not answer.
    silent: Option<Mono>,
    told_of_held: bool,
    told_alone: bool,
    untidy: usize,
    tidied: Mono,
    store_now: Option<Instant>,
}

impl Driver {
    pub(super) fn new(
        hold: Arc<Hold>,
        store: Box<dyn Store>,
        reopen: Reopen,
        limits: Limits,
        fleet: Fleet,
        on_event: Box<dyn Fn(StoreEvent) + Send>,
    ) -> Driver {
        Driver {
            hold,
            store: Some(store),
            reopen,
            limits,
            on_event,
            fleet,
            to_do: VecDeque::new(),
            facts: Vec::new(),
            waiters: Waiters::default(),
            won: Vec::new(),
            to_take: Vec::new(),
            elsewhere: HashMap::new(),
            known: HashMap::new(),
            acknowledged: VecDeque::new(),
            kept: 0,
            wants_numbers: true,
            silent: None,
            told_of_held: false,
            told_alone: false,
            untidy: 0,
            tidied: clock::boot().mono,
            store_now: None,
        }
    }

    pub(super) fn run(mut self) {
        while self.wait() {
            let orders = std::mem::take(&mut self.hold.held().orders);
            orders.into_iter().for_each(|order| self.obey(order));
            self.tell(Input::Tick);
            self.do_all();
            self.hand_over();
            self.give_back_the_late();
            if self.may_write() && self.has_facts() {
                self.write();
                self.do_all();
                self.hand_over();
            } else if self.is_untidy() {
                self.tidy();
            }
        }
        let me = self.fleet.me().id;
        let _ = self.ask(|store| store.leave(me, true));
        drop(self.store.take());
        let mut held = self.hold.held();
        held.left = Some(held.unwritten() + self.facts.len() as u64);
        drop(held);
        self.hold.ended.notify_all();
    }

    /// Waits for something to do. Answers whether to go on.
    fn wait(&mut self) -> bool {
        let hold = Arc::clone(&self.hold);
        let mut held = hold.held();
        loop {
            let has_facts = !self.facts.is_empty() || !held.is_empty();
            let may_write = self.may_write();
            if held.finish && (!has_facts || !may_write) {
                return false;
            }
            let now = clock::boot().mono;
            let next = self.fleet.next_wakeup();
            if !held.orders.is_empty()
                || (has_facts && may_write)
                || next.is_some_and(|next| next <= now)
                || (may_write && self.is_untidy())
            {
                return true;
            }
            let mut left = next.map_or(LOOK, |next| next.since(now));
            let waits = held.starts() + self.waiters.starts.len() + self.won.len();
            if waits > 0 {
                left = left.min(LOOK);
            }
            let waited = hold.wake.wait_timeout(held, left);
            let timed_out;
            (held, timed_out) = {
                let (held, result) = waited.unwrap_or_else(PoisonError::into_inner);
                (held, result.timed_out())
            };
            if timed_out && waits > 0 {
                return true;
            }
        }
    }

    fn has_facts(&self) -> bool {
        !self.facts.is_empty() || !self.hold.held().is_empty()
    }

    /// Whether this session may trust itself, so that what it writes may begin something.
    fn is_trusted(&self) -> bool {
        self.fleet.trusted_until().is_some_and(|until| clock::boot().mono < until)
    }

    fn may_write(&self) -> bool {
        self.silent.is_none() && self.is_trusted()
    }

    fn obey(&mut self, order: FleetOrder) {
        match order {
            FleetOrder::Jobs { jobfile, hash, jobs } => {
                self.tell(Input::Loaded { jobfile, hash, jobs });
            }
            FleetOrder::Numbers => self.wants_numbers = true,
            FleetOrder::Leave => self.tell(Input::Leave),
        }
    }

    /// Tells the machine something.
    fn tell(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.fleet.step(clock::boot(), input, &mut out);
        self.to_do.extend(out);
    }

    /// Asks the store something. What fails is told to the machine by the caller.
    fn ask<T>(
        &mut self,
        what: impl FnOnce(&mut dyn Shared) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (store, reopen) = (&mut self.store, &self.reopen);
        let asked = catch_unwind(AssertUnwindSafe(|| {
            if store.is_none() {
                *store = Some(reopen()?);
            }
            match store.as_mut().and_then(|store| store.shared()) {
                Some(shared) => what(shared),
                None => Err(StoreError::new(Trouble::Other, "cannot be shared")),
            }
        }));
        asked.unwrap_or_else(|panic| {
            // Nobody knows in which state it is.
            let store = self.store.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(store)));
            Err(StoreError::new(Trouble::Other, format!("panicked: {}", text(&*panic))))
        })
    }

    /// Does what the machine wants done.
    fn do_all(&mut self) {
        while let Some(output) = self.to_do.pop_front() {
            self.perform(output);
        }
        if self.silent.is_none() && self.is_trusted() {
            self.take_up();
            self.fetch_numbers();
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Join => {
                let (me, list) = (self.fleet.me().clone(), self.fleet.list());
                self.look(|store| store.join(&me, &list));
            }
            Output::Beat => {
                self.fleet.me().running = self.hold.running.load(Ordering::Relaxed);
                let me = self.fleet.me().clone();
                self.look(|store| store.beat(&me));
            }
            Output::Leave => {
                let me = self.fleet.me().id;
                let done = self.ask(|store| store.leave(me, false));
                self.unless_failed(done);
            }
            Output::Reap { whom, beat, reason } => {
                let me = self.fleet.me().id;
                let done = self.ask(|store| store.reap(me, whom, beat, &reason));
                if let Some(done) = self.unless_failed(done) {
                    self.tell(Input::Reaped { whom, done });
                }
            }
            Output::Rejoin => self.rejoin(),
            Output::Files(hashes) => {
                let files = self.ask(|store| store.files(&hashes));
                if let Some(files) = self.unless_failed(files) {
                    self.tell(Input::Files(&files));
                }
            }
            Output::NewGeneration { seen, above } => {
                let me = self.fleet.me().clone();
                let view = self.ask(|store| store.new_generation(&me, seen, above));
                if let Some(view) = self.unless_failed(view) {
                    self.tell(Input::Renewed { view: &view });
                }
            }
            Output::TellAgain { generation, members, files } => {
                let facts = self.all_known();
                let me = self.fleet.me().id;
                let sent = clock::boot().mono;
                let done = self.ask(|store| store.commit(me, &facts));
                let Some(Committed { beat, .. }) = self.unless_failed(done) else { return };
                self.tell(Input::Committed { beat, sent });
                let done = self.ask(|store| store.put_back(&members, &files));
                if self.unless_failed(done).is_some() {
                    self.tell(Input::Told { generation });
                }
            }
            Output::Homes { taken, given } => self.homes(taken, given),
            Output::Changed | Output::Trusted | Output::Untrusted => {}
            Output::Notice(notice) => self.notice(notice),
        }
    }

    /// A call that answers a view.
    fn look(&mut self, what: impl FnOnce(&mut dyn Shared) -> Result<View, StoreError>) {
        let sent = clock::boot().mono;
        let view = self.ask(what);
        let Some(view) = self.unless_failed(view) else { return };
        self.store_now = Some(view.now);
        self.tell(Input::Beaten { view: &view, sent });
        self.answered();
        self.look_elsewhere();
    }

    /// What the store has answered, unless it has not: that is told.
    fn unless_failed<T>(&mut self, asked: Result<T, StoreError>) -> Option<T> {
        let error = match asked {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        if error.kind == Trouble::Fenced {
            self.tell(Input::Fenced);
            return None;
        }
        self.tell(Input::Failed);
        if self.silent.is_none() {
            self.silent = Some(clock::boot().mono);
            (self.on_event)(StoreEvent::Silent(error.message));
        }
        None
    }

    fn answered(&mut self) {
        if let Some(since) = self.silent.take() {
            self.told_of_held = false;
            let dropped = std::mem::take(&mut self.hold.held().dropped);
            let after = clock::boot().mono.since(since);
            (self.on_event)(StoreEvent::Recovered { dropped, after });
        }
    }

    /// Commits what there is, up to some thousand facts.
    fn write(&mut self) {
        self.hold.held().take(&mut self.facts, &mut self.waiters);
        let (me, facts) = (self.fleet.me().id, std::mem::take(&mut self.facts));
        let sent = clock::boot().mono;
        let done = self.ask(|store| store.commit(me, &facts));
        self.facts = facts;
        // A commit that fails is repeated as it is: it may have been done.
        let Some(Committed { lost, beat, now }) = self.unless_failed(done) else { return };
        self.store_now = Some(now);
        self.tell(Input::Committed { beat, sent });
        let facts = std::mem::take(&mut self.facts);
        self.untidy += facts.len();
        let lost_runs: Vec<RunId> = lost.iter().map(|(run, _)| *run).collect();
        let Waiters { mut starts, answers } = std::mem::take(&mut self.waiters);
        starts.retain(|start| !lost_runs.contains(&start.run));
        self.won.append(&mut starts);
        for (run, lost) in lost {
            (self.on_event)(match lost {
                Lost::Taken { .. } => StoreEvent::ClaimLost(run),
                Lost::Busy { .. } => StoreEvent::ClaimRefused(run, Refusal::Busy),
                Lost::Early { by } => StoreEvent::ClaimRefused(run, Refusal::Early(by)),
            });
        }
        self.remember(facts, sent);
        answers.into_iter().for_each(|answer| answer());
    }

    /// Keeps what was acknowledged for a while.
    fn remember(&mut self, facts: Vec<Fact>, now: Mono) {
        for fact in &facts {
            match fact {
                Fact::Job(record) => drop(self.known.insert(record.id.clone(), (**record).clone())),
                Fact::Gone { job } => drop(self.known.remove(job)),
                Fact::Admitted { job, due, by: None, .. } => self.has_decided(job, *due),
                Fact::Fate { job, last_due, .. } => self.has_decided(job, *last_due),
                _ => {}
            }
        }
        self.kept += facts.len();
        self.acknowledged.push_back((now, facts));
        while let Some((at, facts)) = self.acknowledged.front()
            && (now.since(*at) > REPEATED || self.kept > MOST_REPEATED)
        {
            self.kept -= facts.len();
            self.acknowledged.pop_front();
        }
    }

    fn has_decided(&mut self, job: &str, due: Instant) {
        if let Some(known) = self.known.get_mut(job) {
            known.decided = known.decided.max(due);
        }
    }

    /// All that the store may have forgotten.
    fn all_known(&self) -> Vec<Fact> {
        let jobs = self.known.values().filter(|record| self.fleet.is_home(&record.id));
        let jobs = jobs.map(|record| Fact::Job(Box::new(record.clone())));
        jobs.chain(self.acknowledged.iter().flat_map(|(_, facts)| facts.iter().cloned())).collect()
    }

    /// Hands over what has won its claim. Nothing is looked at after the trust.
    fn hand_over(&mut self) {
        if self.won.is_empty() {
            return;
        }
        let Some(until) = self.fleet.trusted_until() else { return };
        let starts = std::mem::take(&mut self.won);
        if clock::boot().mono < until {
            self.hold.submit(starts);
        } else {
            self.won = starts;
        }
    }

    /// Gives back starts that have waited for too long.
    fn give_back_the_late(&mut self) {
        let now = clock::wall();
        let (mut late, waiting) = {
            let mut held = self.hold.held();
            (held.take_late(now), held.starts())
        };
        for starts in [&mut self.waiters.starts, &mut self.won] {
            late.extend(starts.extract_if(.., |start| hold::is_late(start, now)));
        }
        for start in late {
            (self.on_event)(StoreEvent::NotBegun(start.run, start.attempt));
        }
        let waiting = waiting + self.waiters.starts.len() + self.won.len();
        let silent = self.silent.map(|since| clock::boot().mono.since(since));
        if let Some(silent) = silent.filter(|silent| *silent >= TIDY_EVERY)
            && waiting > 0
            && !std::mem::replace(&mut self.told_of_held, true)
        {
            (self.on_event)(StoreEvent::Holding { starts: waiting, silent });
        }
    }

    /// The others have taken this session for dead: it goes on as another.
    fn rejoin(&mut self) {
        let mut facts = std::mem::take(&mut self.facts);
        let mut waiters = std::mem::take(&mut self.waiters);
        self.hold.held().take_all(&mut facts, &mut waiters);
        let Waiters { mut starts, answers } = waiters;
        let (facts, claims) = hold::without_claims(facts);
        self.hold.held().put_first(facts, clock::mono());
        answers.into_iter().for_each(|answer| answer());
        self.to_take.clear();
        self.elsewhere.clear();
        self.known.clear();
        self.acknowledged.clear();
        self.kept = 0;
        let change = HomeChange { fenced: true, ..HomeChange::default() };
        (self.on_event)(StoreEvent::Homes(Box::new(change)));
        claims.iter().for_each(|run| (self.on_event)(StoreEvent::ClaimLost(*run)));
        starts.retain(|start| !claims.contains(&start.run));
        for start in starts.into_iter().chain(std::mem::take(&mut self.won)) {
            (self.on_event)(StoreEvent::NotBegun(start.run, start.attempt));
        }
        let id = SessionId(machine::random());
        self.tell(Input::Renamed(id));
    }

    fn homes(&mut self, taken: Vec<Taken>, given: Vec<Box<str>>) {
        self.to_take.retain(|taken| !given.contains(&taken.job));
        for job in &given {
            self.known.remove(job);
        }
        if !given.is_empty() {
            self.elsewhere.retain(|_, job| !given.contains(job));
            let change = HomeChange { given, ..HomeChange::default() };
            (self.on_event)(StoreEvent::Homes(Box::new(change)));
        }
        let alone = !taken.is_empty() && self.fleet.members().count() == 1;
        if alone && !std::mem::replace(&mut self.told_alone, true) {
            let text =
                "this host is alone: no other shares the store, and all jobs are at home here";
            (self.on_event)(StoreEvent::Fleet(text.to_owned()));
        }
        self.to_take.extend(taken);
    }

    /// Reads what is known of jobs that are at home here now.
    fn take_up(&mut self) {
        if self.to_take.is_empty() {
            return;
        }
        let ids: Vec<Box<str>> = self.to_take.iter().map(|taken| taken.job.clone()).collect();
        let found = self.ask(|store| store.take_up(&ids));
        let Some(found) = self.unless_failed(found) else { return };
        let mut open: HashMap<Box<str>, Vec<Elsewhere>> = HashMap::new();
        let me = self.fleet.me().id;
        for other in found.open {
            if other.session != me {
                let waits = other.run.attempt == 0;
                let (run, due, place) = (other.run.run, other.run.due, other.slot);
                let elsewhere = Elsewhere { run, due, waits, place };
                self.elsewhere.insert(other.run.run, other.run.job.clone());
                open.entry(other.run.job).or_default().push(elsewhere);
            }
        }
        let mut records: HashMap<Box<str>, JobRecord> =
            found.jobs.into_iter().map(|record| (record.id.clone(), record)).collect();
        self.known.extend(records.iter().map(|(id, record)| (id.clone(), record.clone())));
        let why: Box<str> = "the store forgot whether it began".into();
        let taken = std::mem::take(&mut self.to_take).into_iter().map(|taken| TakenJob {
            record: records.remove(&taken.job),
            undecided: Vec::new(),
            elsewhere: open.remove(&taken.job).unwrap_or_default(),
            lost_until: taken.lost_until.map(|until| (until, why.clone())),
            id: taken.job,
        });
        let taken = taken.collect();
        let all_paused = Some(found.all_paused);
        let change = HomeChange { taken, all_paused, ..HomeChange::default() };
        (self.on_event)(StoreEvent::Homes(Box::new(change)));
    }

    /// Looks which runs on other hosts are over.
    fn look_elsewhere(&mut self) {
        if self.elsewhere.is_empty() || self.silent.is_some() {
            return;
        }
        let mut jobs: Vec<Box<str>> = self.elsewhere.values().cloned().collect();
        jobs.sort_unstable();
        jobs.dedup();
        let found = self.ask(|store| store.take_up(&jobs));
        let Some(found) = self.unless_failed(found) else { return };
        let goes_on = |run: &RunId| found.open.iter().any(|open| open.run.run == *run);
        let ended: Vec<RunId> =
            self.elsewhere.keys().copied().filter(|run| !goes_on(run)).collect();
        ended.iter().for_each(|run| drop(self.elsewhere.remove(run)));
        if !ended.is_empty() {
            let change = HomeChange { ended, ..HomeChange::default() };
            (self.on_event)(StoreEvent::Homes(Box::new(change)));
        }
    }

    fn fetch_numbers(&mut self) {
        if !std::mem::take(&mut self.wants_numbers) {
            return;
        }
        for _ in 0..BLOCKS {
            let numbers = self.ask(|store| store.run_numbers());
            let Some(numbers) = self.unless_failed(numbers) else {
                self.wants_numbers = true;
                return;
            };
            let change = HomeChange { numbers: Some(numbers), ..HomeChange::default() };
            (self.on_event)(StoreEvent::Homes(Box::new(change)));
        }
    }

    fn is_untidy(&self) -> bool {
        let long = || clock::boot().mono.since(self.tidied) >= TIDY_EVERY;
        self.untidy >= UNTIDY || (self.untidy > 0 && long())
    }

    fn tidy(&mut self) {
        self.untidy = 0;
        self.tidied = clock::boot().mono;
        let (limits, Some(now)) = (self.limits, self.store_now) else { return };
        let Some(store) = &mut self.store else { return };
        // What keeps it from being tidied up is found when it is written.
        let more = catch_unwind(AssertUnwindSafe(|| store.tidy(limits, now)));
        if matches!(more, Ok(Ok(true))) {
            self.untidy = UNTIDY;
        }
    }

    /// Something that people want to know.
    fn notice(&mut self, notice: Notice) {
        let host = |id| match self.fleet.member(id) {
            Some(member) => format!("{} (session {id})", member.host),
            None => format!("session {id}"),
        };
        let text = match notice {
            Notice::Joined(id) => format!("{} has joined", host(id)),
            Notice::Leaves(id) => format!("{} leaves", host(id)),
            Notice::Gone(id) => format!("{} is gone", host(id)),
            Notice::Fenced => "the others have taken this host for dead: what has begun goes on, \
                               and it joins them again"
                .to_owned(),
            Notice::WentBack { how } => format!(
                "the store has forgotten what it had acknowledged ({how}): nothing starts until \
                 all hosts have told it again what they know"
            ),
            Notice::NewGeneration(number) => format!("the store has generation {number}"),
            Notice::AllTold(_) => "all hosts have told the store again what they know".to_owned(),
        };
        (self.on_event)(StoreEvent::Fleet(text));
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("without a word")
}
