//! The thread's work with a store that several schedulers share: asks the pure machine
//! (`crate::core::fleet::protocol`) what is to be done, does it, and tells it what the store has answered.
//!
//! A start goes on when its claim is acknowledged and this session may still trust itself, which is
//! looked at last, right before the start is handed over. While the store does not answer all starts
//! wait; those that are too late are given back.

mod asks;
mod chains;
mod homes;
mod lists;
mod past;
mod ranges;
mod runs;

use std::any::Any;
use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::hold::{self, FleetOrder, Hold, ReadFor};
use super::{OthersEvent, Reopen, StoreEvent};
use crate::core::event::{HomeChange, JobRecord, Refusal, RunId, Start};
use crate::core::fleet::protocol::{Fleet, Input, Notice, Output, Taken};
use crate::core::fleet::{Lost, Member, View};
use crate::core::instant::{Instant, Mono};
use crate::store::shared::{Committed, Files, Shared};
use crate::store::{Fact, Limits, Reader, Store, StoreError, Trouble};
use crate::sys::clock;
use asks::Asks;
use chains::Chains;
use ranges::Range;
use runs::Runs;

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
    /// What is written next, and the starts that wait for it.
    facts: Vec<Fact>,
    starts: Vec<Start>,
    /// Starts whose claims are won.
    won: Vec<Start>,
    /// Jobs that are at home here and of which nothing is known yet.
    to_take: Vec<Taken>,
    runs: Runs,
    /// Due times that were written together: the store may have refused that.
    ranges: Vec<Range>,
    /// What is known of the jobs at home here, for a store that has forgotten it.
    known: HashMap<Box<str>, JobRecord>,
    /// Facts that were acknowledged, and when.
    acknowledged: VecDeque<(Mono, Vec<Fact>)>,
    kept: usize,
    wants_numbers: bool,
    /// Since when the store does not answer.
    silent: Option<Mono>,
    /// Since when it has been asked and has answered nothing.
    unanswered: Option<Mono>,
    /// It did not answer until just now.
    was_silent: bool,
    told_of_held: bool,
    told_alone: bool,
    /// It was told who else is there.
    told_company: bool,
    untidy: usize,
    tidied: Mono,
    store_now: Option<Instant>,
    /// What is asked between hosts.
    asks: Asks,
    /// For questions beside what is written; made with the first of them.
    reader: Option<Box<dyn Reader>>,
    /// Which of the machine's [`Fleet::settled`] was shown.
    shown: u64,
    /// What is to be read for the loop.
    to_read: Vec<(ReadFor, &'static [&'static str])>,
    /// Jobs that are due after others.
    chains: Chains,
    /// When to look for what hosts have left that are gone.
    look_for_left: Option<Mono>,
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
        // Who has been a session of this host a moment ago is not forgotten sooner.
        hold.set_alive_until(clock::boot().mono.plus(fleet.timing().trust()));
        Driver {
            hold,
            store: Some(store),
            reopen,
            limits,
            on_event,
            fleet,
            to_do: VecDeque::new(),
            facts: Vec::new(),
            starts: Vec::new(),
            won: Vec::new(),
            to_take: Vec::new(),
            runs: Runs::default(),
            ranges: Vec::new(),
            known: HashMap::new(),
            acknowledged: VecDeque::new(),
            kept: 0,
            wants_numbers: true,
            silent: None,
            unanswered: None,
            was_silent: false,
            told_of_held: false,
            told_alone: false,
            told_company: false,
            untidy: 0,
            tidied: clock::boot().mono,
            store_now: None,
            asks: Asks::default(),
            reader: None,
            shown: 0,
            to_read: Vec::new(),
            chains: Chains::default(),
            look_for_left: None,
        }
    }

    pub(super) fn run(mut self) {
        while self.wait() {
            let orders = std::mem::take(&mut self.hold.held().orders);
            orders.into_iter().for_each(|order| self.obey(order));
            self.tell(Input::Tick);
            self.do_all();
            // What is late begins no more, also where the store answers again.
            self.give_back_the_late();
            self.hand_over();
            self.show_whereabouts();
            self.show_standing();
            self.tend_asks();
            if self.may_write() && self.has_facts() {
                self.write();
                self.do_all();
                self.hand_over();
            } else if self.is_untidy() {
                self.tidy();
            }
        }
        let me = self.fleet.me().id;
        // Whoever has asked is not to wait in vain.
        self.tend_asks();
        let _ = self.ask(|store| store.leave(me, true));
        drop(self.store.take());
        let mut held = self.hold.held();
        held.writing = self.facts.len();
        held.left = Some(held.unwritten());
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
            let own = self.fleet.next_wakeup();
            let next = own.into_iter().chain(self.asks.next_wakeup()).min();
            if !held.orders.is_empty()
                || (has_facts && may_write)
                || next.is_some_and(|next| next <= now)
                || (may_write && self.is_untidy())
            {
                return true;
            }
            let mut left = next.map_or(LOOK, |next| next.since(now));
            let waits = held.starts() + self.starts.len() + self.won.len();
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
            FleetOrder::Job(job) => self.change_jobs(&job.id.clone(), Some(job)),
            FleetOrder::NoJob(id) => self.change_jobs(&id, None),
            FleetOrder::Ask(ask) => self.asks.ask(ask, clock::boot().mono),
            FleetOrder::Answer { id, answer } => self.asks.answer(id, answer),
            FleetOrder::Watch { id, run } => self.asks.watch(id, run, clock::boot().mono),
            FleetOrder::LookUp { number, job } => self.look_up(number, job),
            FleetOrder::Adopt(runs) => self.will_adopt(runs),
            FleetOrder::Read(what, lists) => self.to_read.push((what, lists)),
        }
    }

    /// Says something of the others.
    fn tell_of(&self, event: OthersEvent) {
        (self.on_event)(StoreEvent::Others(event));
    }

    /// Tells the machine something.
    fn tell(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.fleet.step(clock::boot(), input, &mut out);
        self.to_do.extend(out);
        if let Some(until) = self.fleet.alive_until() {
            self.hold.set_alive_until(until);
        }
    }

    /// Asks the store something. What fails is told to the machine by the caller.
    fn ask<T>(
        &mut self,
        what: impl FnOnce(&mut dyn Shared) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.hold.asks(clock::mono());
        self.unanswered.get_or_insert(clock::boot().mono);
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
        let answer = asked.unwrap_or_else(|panic| {
            // Nobody knows in which state it is.
            let store = self.store.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(store)));
            Err(StoreError::new(Trouble::Other, format!("panicked: {}", text(&*panic))))
        });
        let is_word =
            |error: &StoreError| matches!(error.kind, Trouble::Fenced | Trouble::WentBack);
        if answer.as_ref().err().is_none_or(is_word) {
            self.hold.hears();
            self.unanswered = None;
        }
        answer
    }

    /// Does what the machine wants done.
    fn do_all(&mut self) {
        while let Some(output) = self.to_do.pop_front() {
            self.perform(output);
        }
        if self.silent.is_none() && self.is_trusted() {
            // Numbers first: jobs that are taken up may be due at once.
            self.fetch_numbers();
            self.adopt();
            self.take_up();
            self.look_at_ranges();
            self.look_for_left();
            self.read_lists();
            self.read_chains();
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Join => {
                let (me, list) = (self.fleet.me().clone(), self.fleet.list());
                self.look(|store| store.join(&me, &list));
                self.will_look_for_left();
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
            Output::Reap { whom, beat } => {
                let me = self.fleet.me().id;
                let done = self.ask(|store| store.reap(me, whom, beat));
                if let Some(done) = self.unless_failed(done) {
                    if done {
                        self.found_dead(whom);
                    }
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
                if self.adopt_again() && self.tell_again(&members, &files).is_some() {
                    self.tell(Input::Told { generation });
                }
            }
            Output::Homes { taken, given } => self.homes(taken, given),
            Output::Notice(notice) => self.notice(notice),
        }
    }

    /// Tells a store that has forgotten what this session knows. `None`: it does not answer.
    fn tell_again(&mut self, members: &[Member], files: &Files) -> Option<()> {
        let facts = self.all_known();
        let lost = self.tell_store(&facts)?;
        // A run that is over may have a place yet, because its end was forgotten and is not told again
        // before this: by another host, or with what was not acknowledged.
        let busy = |(run, lost)| matches!(lost, Lost::Busy { .. }).then_some(run);
        let busy: HashSet<RunId> = lost.into_iter().filter_map(busy).collect();
        let facts = hold::without_places(facts, &busy);
        if !facts.is_empty() {
            self.tell_store(&facts)?;
        }
        let done = self.ask(|store| store.put_back(members, files));
        self.unless_failed(done)
    }

    /// Commits what was acknowledged once. Answers the claims that are lost by it.
    fn tell_store(&mut self, facts: &[Fact]) -> Option<Vec<(RunId, Lost)>> {
        let Member { id: me, beat: acked, .. } = *self.fleet.me();
        let sent = clock::boot().mono;
        let done = self.ask(|store| store.commit(me, acked, facts));
        let Committed { lost, beat, changes, .. } = self.unless_failed(done)?;
        self.tell(Input::Committed { beat, sent, changes: Some(changes) });
        Some(lost)
    }

    /// A call that answers a view.
    fn look(&mut self, what: impl FnOnce(&mut dyn Shared) -> Result<View, StoreError>) {
        let sent = clock::boot().mono;
        let view = self.ask(what);
        let Some(view) = self.unless_failed(view) else { return };
        self.store_now = Some(view.now);
        self.asks.saw(view.changes);
        self.tell(Input::Beaten { view: &view, sent });
        self.answered();
        self.tell_if_awaited();
        self.look_elsewhere();
        self.chains.due = true;
    }

    /// What the store has answered, unless it has not: that is told.
    fn unless_failed<T>(&mut self, asked: Result<T, StoreError>) -> Option<T> {
        let error = match asked {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        let refused = match error.kind {
            Trouble::Fenced => Some(Input::Fenced),
            Trouble::WentBack => Some(Input::Refused),
            _ => None,
        };
        if let Some(refused) = refused {
            self.tell(refused);
            return None;
        }
        self.tell(Input::Failed);
        if self.silent.is_none() {
            // It has not answered since it was asked, not since that was given up.
            self.silent = self.unanswered.or(Some(clock::boot().mono));
            (self.on_event)(StoreEvent::Silent(error.message));
        }
        None
    }

    /// Has the loop look how far the store has answered, if it waits for that.
    fn tell_if_awaited(&self) {
        if self.hold.held().is_awaited() {
            (self.on_event)(StoreEvent::Answered);
        }
    }

    fn answered(&mut self) {
        if let Some(since) = self.silent.take() {
            self.was_silent = true;
            self.told_of_held = false;
            let dropped = std::mem::take(&mut self.hold.held().dropped);
            let after = clock::boot().mono.since(since);
            (self.on_event)(StoreEvent::Recovered { dropped, after });
        }
    }

    /// Commits what there is, up to some thousand facts.
    fn write(&mut self) {
        self.hold.held().take(&mut self.facts, &mut self.starts);
        self.leave_out_disowned();
        self.runs.will_write(&self.facts);
        let Member { id: me, beat: acked, .. } = *self.fleet.me();
        let facts = std::mem::take(&mut self.facts);
        let sent = clock::boot().mono;
        let done = self.ask(|store| store.commit(me, acked, &facts));
        self.facts = facts;
        // A commit that fails is repeated as it is: it may have been done.
        let Some(Committed { lost, beat, now, changes }) = self.unless_failed(done) else {
            return self.runs.failed(&self.facts);
        };
        self.store_now = Some(now);
        self.tell(Input::Committed { beat, sent, changes: Some(changes) });
        let facts = std::mem::take(&mut self.facts);
        self.untidy += facts.len();
        let lost_runs: Vec<RunId> = lost.iter().map(|(run, _)| *run).collect();
        self.runs.look_for_strays(me, &facts, &lost);
        self.runs.written(&facts, &lost_runs);
        // What was lost with an earlier commit is no longer known either, nor what another session of
        // this host had claimed: the scheduler may have begun it before it heard of that, as another of
        // its runs had ended.
        let starts = std::mem::take(&mut self.starts).into_iter();
        let (mut won, not_ours): (Vec<Start>, Vec<Start>) =
            starts.partition(|start: &Start| self.runs.has(start.run));
        self.won.append(&mut won);
        for (run, lost) in lost {
            (self.on_event)(match lost {
                Lost::Taken { .. } => StoreEvent::ClaimLost(run),
                Lost::Busy { .. } => StoreEvent::ClaimRefused(run, Refusal::Busy),
                Lost::Early { by } => StoreEvent::ClaimRefused(run, Refusal::Early(by)),
            });
        }
        // After the reasons: whoever has heard one no longer has the run.
        not_ours.iter().for_each(|start| (self.on_event)(StoreEvent::ClaimLost(start.run)));
        self.ranges.extend(facts.iter().filter_map(Range::of));
        self.chains.due |= facts.iter().any(chains::is_end);
        self.remember(facts, sent);
        let answers = self.hold.held().written();
        answers.into_iter().for_each(|answer| answer());
        self.tell_if_awaited();
    }

    /// Keeps what was acknowledged for a while.
    fn remember(&mut self, facts: Vec<Fact>, now: Mono) {
        if facts.is_empty() {
            return;
        }
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

    /// Of jobs that have their home here, as those that have it on each host: others have changed them.
    fn have_changed(&mut self, records: &[JobRecord]) {
        for record in records {
            if let Some(known) = self.known.get_mut(&record.id) {
                let decided = known.decided.max(record.decided);
                *known = JobRecord { decided, ..record.clone() };
            }
        }
    }

    fn has_decided(&mut self, job: &str, due: Instant) {
        if let Some(known) = self.known.get_mut(job) {
            known.decided = known.decided.max(due);
        }
    }

    /// All that the store may have forgotten.
    fn all_known(&self) -> Vec<Fact> {
        let home = self.fleet.by_id();
        let is_home = |id: &str| home.get(id).is_some_and(|(_, is_home)| *is_home);
        let jobs = self.known.values().filter(|record| is_home(&record.id));
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
        // What is said of them from here on may be too late to keep them from beginning.
        starts.iter().for_each(|start| self.runs.begun(start.run, true));
        if clock::boot().mono < until {
            self.hold.submit(starts);
        } else {
            self.won = starts;
        }
    }

    /// Gives back starts that have waited for the store for too long. Those that it can be told of now
    /// have waited for something else, as for a slot. And while the others may have taken this scheduler
    /// for dead, they may have begun them by now: nothing is said before the store answers.
    fn give_back_the_late(&mut self) {
        let was_silent = std::mem::take(&mut self.was_silent);
        if self.may_write() && !was_silent {
            return;
        }
        let now = clock::wall();
        let is_alive = self.fleet.alive_until().is_some_and(|until| clock::boot().mono < until);
        let mut late = Vec::new();
        if is_alive {
            late = self.hold.held().take_late(now);
            for starts in [&mut self.starts, &mut self.won] {
                late.extend(starts.extract_if(.., |start| hold::is_late(start, now)));
            }
        }
        let waiting = self.hold.held().starts();
        for start in late {
            (self.on_event)(StoreEvent::NotBegun(start.run, start.attempt));
        }
        let waiting = waiting + self.starts.len() + self.won.len();
        let silent = self.silent.map(|since| clock::boot().mono.since(since));
        if let Some(silent) = silent.filter(|silent| *silent >= TIDY_EVERY)
            && waiting > 0
            && !std::mem::replace(&mut self.told_of_held, true)
        {
            (self.on_event)(StoreEvent::Holding { starts: waiting, silent });
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
            self.tell_of(OthersEvent::Homes(Box::new(change)));
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
        if matches!(notice, Notice::Left(_) | Notice::Gone(_)) {
            self.will_look_for_left();
        }
        let host = |id| match self.fleet.member(id) {
            Some(member) => format!("{} (session {id})", member.host),
            None => format!("session {id}"),
        };
        let text = match notice {
            Notice::Joined(id) => format!("{} has joined", host(id)),
            Notice::Leaves(id) => format!("{} leaves", host(id)),
            Notice::Left(id) => {
                self.runs.sweep = true;
                format!("{} has left", host(id))
            }
            Notice::Gone(id) => {
                self.runs.sweep = true;
                format!("{} is gone: no heartbeat for too long", host(id))
            }
            Notice::Fenced => {
                self.told_company = false;
                "the others have taken this host for dead: what has begun goes on, and it joins them \
                 again"
                    .to_owned()
            }
            Notice::WentBack { how } => format!(
                "the store lost acknowledged writes ({how}): nothing starts until all hosts have \
                 sent it what they know"
            ),
            Notice::NewGeneration(number) => format!("the store is in generation {number}"),
            Notice::AllTold(_) => "all hosts have sent the store what they know".to_owned(),
        };
        self.tell_of(OthersEvent::Said(text));
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("without a word")
}

#[cfg(test)]
mod tests;
