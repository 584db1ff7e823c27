//! A virtual host: a real scheduler and the real protocol, driven as the keeper's thread drives them,
//! one call of the store at a time.

mod chains;
mod taking;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use schedrs::event::{
    Action, Elsewhere, Event, Exit, HomeChange, JobRecord, Process, Record, Refusal, Remember,
    RunAgain, RunId, Silence, Start,
};
use schedrs::fleet::protocol::{Fleet, Input, Notice, Output, Taken, Timing};
use schedrs::fleet::{Lost, Member, SessionId};
use schedrs::instant::{Instant, Mono, Now};
use schedrs::job::OnLost;
use schedrs::outcome::Outcome;
use schedrs::scheduler::{SavedState, Scheduler};
use schedrs::store::Fact;

use super::sim::{File, START};
use super::store::{Answer, Call};

/// How a host's clocks differ from the truth.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// The wall clock is ahead, in microseconds.
    pub(crate) ahead: i64,
    /// Both run faster, in parts of a million.
    pub(crate) ppm: i64,
}

impl Clock {
    pub(crate) fn now(self, t: i64) -> Now {
        let gone = t - START;
        let mine = gone + gone * self.ppm / 1_000_000;
        Now {
            wall: Instant::from_micros(START + mine + self.ahead),
            mono: Mono::from_micros((1_000_000_000 + mine) as u64),
        }
    }

    /// When it shows these, in truth, or a little later.
    fn at_mono(self, mono: Mono) -> i64 {
        self.truth(mono.micros() as i64 - 1_000_000_000)
    }

    fn at_wall(self, wall: Instant) -> i64 {
        self.truth(wall.micros() - self.ahead - START)
    }

    fn truth(self, mine: i64) -> i64 {
        let mine = mine.clamp(-1_000_000_000_000, 1_000_000_000_000_000);
        START + mine - mine * self.ppm / (1_000_000 + self.ppm) + 2
    }
}

/// What a host wants of the world.
#[derive(Debug)]
pub(crate) enum Effect {
    Call(u64, Call),
    Spawn(Start),
    Kill(RunId),
}

/// Parts of a host that can be switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Careless {
    /// It starts what it has claimed however long it has not heard from the store.
    pub(crate) trust: bool,
    /// What may have been forgotten is run.
    pub(crate) tombstones: bool,
    /// What it knows is not told again.
    pub(crate) telling: bool,
    /// What others may begin again is not ended.
    pub(crate) ending: bool,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) clock: Clock,
    pub(crate) session: SessionId,
    pub(crate) fleet: Fleet,
    pub(crate) scheduler: Scheduler,
    pub(crate) careless: Careless,
    todo: VecDeque<Output>,
    taking: Vec<Taken>,
    /// The call on its way: its number, and when it began.
    flight: Option<(u64, Call, Mono)>,
    calls: u64,
    joined: bool,
    /// A commit has failed: first a beat has to succeed.
    wait_for_beat: bool,
    /// It is time to look at runs elsewhere.
    refresh: bool,
    facts: VecDeque<Fact>,
    committing: Vec<Fact>,
    /// What was acknowledged in the last minute.
    ring: VecDeque<(Mono, Fact)>,
    /// What is known to have a fate.
    known: BTreeMap<Box<str>, JobRecord>,
    /// Told to start, and not started.
    waiting: BTreeMap<RunId, Start>,
    claimed: BTreeSet<RunId>,
    /// The store has it that they are about to begin.
    written: BTreeSet<RunId>,
    /// What the store was asked of runs and has not answered, and when, the oldest first.
    asked: VecDeque<(RunId, Mono)>,
    silence: Silence,
    /// Admitted and not begun.
    admitted: BTreeSet<RunId>,
    begun: BTreeSet<RunId>,
    elsewhere: BTreeMap<Box<str>, Vec<Elsewhere>>,
    /// Runs that have begun and not ended.
    running: BTreeSet<RunId>,
    /// Those of them that are an earlier session's, as the store has it.
    to_adopt: Vec<(RunId, SessionId)>,
    /// Those that were adopted; and that the store is just told of them again.
    adopted: Vec<(RunId, SessionId)>,
    adopts_again: bool,
    /// Runs of the dead that are to be begun again, once they are this session's.
    again: Vec<(RunAgain, SessionId)>,
    /// Runs of the dead about which something was decided.
    settled: BTreeSet<RunId>,
    /// Runs to be withdrawn when their due time is decided again.
    withdrawals: BTreeMap<(Box<str>, Instant), RunId>,
    /// A session is gone: what it has left is looked for.
    sweep: bool,
    /// What others may begin again was killed.
    told_to_end: bool,
    /// Runs that others may begin again.
    lendable: BTreeSet<RunId>,
    /// Processes to be killed.
    kills: Vec<RunId>,
    /// Due times that were decided together and written: of those the store is asked which it has.
    ranges: Vec<(Box<str>, Instant, Instant, Outcome)>,
    /// Jobs with a claim in a commit of which nobody knows what came of it, or whether it is still to
    /// come: until when to look for runs that nobody here knows of.
    uncertain: BTreeMap<Box<str>, Mono>,
    /// What jobs wait for that are due after others is to be read.
    chains_due: bool,
}

pub(crate) fn member(id: SessionId, host: usize) -> Member {
    Member {
        labels: Box::new([format!("host{host}").into()]),
        ..Member::new(id, &format!("web{host}"))
    }
}

impl Host {
    pub(crate) fn new(
        index: usize,
        session: SessionId,
        clock: Clock,
        t: i64,
        timing: Timing,
        file: &File,
    ) -> Host {
        let now = clock.now(t);
        let mut fleet = Fleet::new(timing, member(session, index));
        let (jobfile, jobs) = ("jobs.toml".into(), file.homes.clone());
        let mut todo = Vec::new();
        fleet.step(now, Input::Loaded { jobfile, hash: file.hash, jobs }, &mut todo);
        let scheduler = Scheduler::in_fleet(now, file.set.clone(), SavedState::default(), session);
        Host {
            clock,
            session,
            fleet,
            scheduler,
            careless: Careless::default(),
            todo: todo.into(),
            taking: Vec::new(),
            flight: None,
            calls: 0,
            joined: false,
            wait_for_beat: false,
            refresh: false,
            facts: VecDeque::new(),
            committing: Vec::new(),
            ring: VecDeque::new(),
            known: BTreeMap::new(),
            waiting: BTreeMap::new(),
            claimed: BTreeSet::new(),
            written: BTreeSet::new(),
            asked: VecDeque::new(),
            silence: Silence::None,
            admitted: BTreeSet::new(),
            begun: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            running: BTreeSet::new(),
            to_adopt: Vec::new(),
            adopted: Vec::new(),
            adopts_again: false,
            again: Vec::new(),
            settled: BTreeSet::new(),
            withdrawals: BTreeMap::new(),
            sweep: false,
            told_to_end: false,
            lendable: BTreeSet::new(),
            kills: Vec::new(),
            ranges: Vec::new(),
            uncertain: BTreeMap::new(),
            chains_due: false,
        }
    }

    pub(crate) fn reload(&mut self, t: i64, file: &File) {
        let (jobfile, jobs) = ("jobs.toml".into(), file.homes.clone());
        self.tell_scheduler(t, Event::Reload(Box::new(file.set.clone())));
        self.tell_fleet(t, Input::Loaded { jobfile, hash: file.hash, jobs });
    }

    pub(crate) fn leave(&mut self, t: i64) {
        self.tell_fleet(t, Input::Leave);
        if self.fleet.by_id().values().any(|(job, _)| !job.parents.is_empty()) {
            // What follows from a parent that ends meanwhile is for another host.
            self.tell_scheduler(t, Event::Stop);
        }
    }

    fn tell_fleet(&mut self, t: i64, input: Input<'_>) {
        let mut out = Vec::new();
        self.fleet.step(self.clock.now(t), input, &mut out);
        self.todo.extend(out);
    }

    fn tell_scheduler(&mut self, t: i64, event: Event) {
        let now = self.clock.now(t);
        let mut actions = Vec::new();
        self.scheduler.step(now, event, &mut actions);
        for action in actions {
            self.act(now, action);
        }
    }

    fn act(&mut self, now: Now, action: Action) {
        let at = now.wall;
        match action {
            Action::Start(start) => {
                let (run, attempt) = (start.run, start.attempt);
                self.facts.push_back(Fact::Starting { run, attempt });
                self.asked.push_back((run, now.mono));
                if start.job.options.on_lost == OnLost::RunAgain {
                    self.lendable.insert(run);
                }
                self.waiting.insert(start.run, start);
            }
            Action::Kill(run) => self.kills.push(run),
            Action::Remember(Remember::Admitted(new)) => {
                self.withdraw(&new.job.id, new.due, new.due);
                self.admitted.insert(new.run);
                self.asked.push_back((new.run, now.mono));
                self.facts.push_back(Fact::Admitted {
                    run: new.run,
                    job: new.job.id.clone(),
                    due: new.due,
                    at: new.at,
                    by: new.by,
                    host: None,
                    slot: new.place,
                });
            }
            Action::Remember(Remember::Job(record)) => self.facts.push_back(Fact::Job(record)),
            Action::Remember(Remember::Entry { list, key, value }) => {
                self.facts.push_back(Fact::Entry { list: list.into(), key, value });
            }
            Action::Record(Record { job, run: Some(run), outcome, duration, attempts, .. }) => {
                self.waiting.remove(&run);
                self.admitted.remove(&run);
                let job = job.id.clone();
                self.facts.push_back(Fact::Ended {
                    run,
                    job,
                    outcome,
                    duration,
                    attempts,
                    at,
                    usage: None,
                });
            }
            Action::Record(Record { job, due, last_due, count, outcome, .. }) => {
                self.withdraw(&job.id, due, last_due);
                let (job, host) = (job.id.clone(), None);
                self.facts.push_back(Fact::Fate { job, due, last_due, count, outcome, at, host });
            }
            _ => {}
        }
    }

    /// Runs that never began are taken back, for their due times are decided now.
    fn withdraw(&mut self, job: &str, due: Instant, last_due: Instant) {
        let range = (job.into(), due)..=(job.into(), last_due);
        let again: Vec<_> =
            self.withdrawals.range(range).map(|(key, run)| (key.clone(), *run)).collect();
        for (key, run) in again {
            self.withdrawals.remove(&key);
            self.facts.push_back(Fact::Withdrawn { run });
        }
    }

    /// A process has ended.
    pub(crate) fn ended(&mut self, t: i64, run: RunId, exit: Exit) {
        self.running.remove(&run);
        self.tell_scheduler(t, Event::Ended { run, exit, usage: None, at: None });
    }

    /// When others may take this host for dead what they may begin again is over here: it is killed
    /// half a margin before the lease is up.
    fn out_of_touch_at(&self) -> Option<Mono> {
        let until = self.fleet.alive_until()?;
        Some(until.plus(self.fleet.timing().patience()))
    }

    fn end_in_time(&mut self, t: i64) {
        let now = self.clock.now(t).mono;
        let is_over = self.out_of_touch_at().is_some_and(|at| at <= now);
        if is_over && !std::mem::replace(&mut self.told_to_end, is_over) {
            self.tell_scheduler(t, Event::OutOfTouch { kill: true });
        }
        self.told_to_end = is_over;
    }

    /// Tells the scheduler how far the store has answered, if it is slow.
    fn tell_of_silence(&mut self, t: i64) {
        let now = self.clock.now(t).mono;
        let (facts, committing) = (&self.facts, &self.committing);
        let asks = |fact: &Fact, of: RunId| match fact {
            Fact::Admitted { run, .. } | Fact::Starting { run, .. } => *run == of,
            _ => false,
        };
        let is_on_its_way = |run| facts.iter().chain(committing).any(|fact| asks(fact, run));
        self.asked.retain(|(run, _)| is_on_its_way(*run));
        let oldest = self.asked.front().map(|(_, at)| *at);
        let oldest = oldest.filter(|at| now.since(*at) >= Duration::from_millis(100));
        let answered = oldest.map_or(now, |at| Mono::from_micros(at.micros() - 1));
        let is_cut = self.fleet.alive_until().is_some_and(|until| until <= now);
        let silence = match (is_cut, oldest) {
            (true, _) => Silence::Cut(answered),
            (false, Some(_)) => Silence::Since(answered),
            (false, None) => Silence::None,
        };
        if std::mem::replace(&mut self.silence, silence) != silence {
            self.tell_scheduler(t, Event::Silence(silence));
        }
    }

    /// Time has passed, or something has happened: what is to be done?
    pub(crate) fn pump(&mut self, t: i64) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.tell_of_silence(t);
        self.tell_scheduler(t, Event::Woke);
        self.tell_fleet(t, Input::Tick);
        if !self.careless.ending {
            self.end_in_time(t);
        }
        let now = self.clock.now(t);
        let trusts = self.may_begin(now.mono) || (self.careless.trust && self.joined);
        if trusts {
            let ready: Vec<RunId> =
                self.waiting.keys().copied().filter(|run| self.written.contains(run)).collect();
            for run in ready {
                let start = self.waiting.remove(&run).unwrap();
                self.admitted.remove(&run);
                self.begun.insert(run);
                self.running.insert(run);
                effects.push(Effect::Spawn(start));
                let process = Process { pid: 1, start: 0 };
                self.tell_scheduler(t, Event::Started { run, process, at: now, taken: now.mono });
            }
        }
        effects.extend(std::mem::take(&mut self.kills).into_iter().map(Effect::Kill));
        if self.flight.is_none()
            && let Some(call) = self.next_call(t)
        {
            self.calls += 1;
            effects.push(Effect::Call(self.calls, call.clone()));
            self.flight = Some((self.calls, call, now.mono));
        }
        effects
    }

    /// When to look again, in truth.
    pub(crate) fn wakeup(&self) -> Option<i64> {
        let wakeup = self.scheduler.next_wakeup();
        let wall = wakeup.wall.map(|wall| self.clock.at_wall(wall));
        let mono = wakeup.mono.map(|mono| self.clock.at_mono(mono));
        let fleet = self.fleet.next_wakeup().map(|mono| self.clock.at_mono(mono));
        let ends = !self.told_to_end && !self.careless.ending;
        let out_of_touch = self.out_of_touch_at().filter(|_| ends);
        let out_of_touch = out_of_touch.map(|mono| self.clock.at_mono(mono));
        wall.into_iter().chain(mono).chain(fleet).chain(out_of_touch).min()
    }

    /// After a call that has failed a beat goes first, whatever else is to be done.
    fn next_output(&mut self) -> Option<Output> {
        let begins = |output: &Output| matches!(output, Output::Join | Output::Beat);
        let first = self.todo.iter().position(begins).filter(|_| self.wait_for_beat);
        self.todo.remove(first.unwrap_or(0))
    }

    fn next_call(&mut self, t: i64) -> Option<Call> {
        while let Some(output) = self.next_output() {
            let (me, acked) = (self.session, self.fleet.me().beat);
            match output {
                Output::Join => {
                    return Some(Call::Join(Box::new(self.fleet.me().clone()), self.fleet.list()));
                }
                Output::Beat => return Some(Call::Beat(Box::new(self.fleet.me().clone()))),
                Output::Leave => return Some(Call::Leave(me)),
                Output::Reap { whom, beat } => return Some(Call::Reap(me, whom, beat)),
                Output::Files(hashes) => return Some(Call::Files(hashes)),
                Output::NewGeneration { seen, .. } => return Some(Call::NewGeneration(me, seen)),
                Output::TellAgain { .. } if !self.adopted.is_empty() && !self.adopts_again => {
                    self.adopts_again = true;
                    self.todo.push_front(output);
                    return Some(Call::Adopt(me, acked, self.adopted.clone()));
                }
                Output::TellAgain { members, files, .. } => {
                    self.adopts_again = false;
                    let records = self.known.values().cloned();
                    let records = records.map(|record| Fact::Job(Box::new(record)));
                    let ring = self.ring.iter().map(|(_, fact)| told_again(fact));
                    let facts = if self.careless.telling {
                        Vec::new()
                    } else {
                        records.chain(ring).collect()
                    };
                    return Some(Call::PutBack(me, acked, facts, members, files));
                }
                Output::Homes { taken, given } => {
                    if !given.is_empty() {
                        let change = HomeChange { given, ..HomeChange::default() };
                        self.tell_scheduler(t, Event::Homes(Box::new(change)));
                    }
                    if !taken.is_empty() {
                        let jobs = taken.iter().map(|taken| taken.job.clone()).collect();
                        self.taking = taken;
                        return Some(Call::TakeUp(jobs));
                    }
                }
                Output::Rejoin => self.rejoin(t),
                Output::Notice(Notice::Gone(_)) => self.sweep = true,
                Output::Notice(_) => {}
            }
        }
        if !self.joined || self.wait_for_beat {
            return None;
        }
        let acked = self.fleet.me().beat;
        if !self.to_adopt.is_empty() && self.fleet.may_claim(self.clock.now(t).mono) {
            return Some(Call::Adopt(self.session, acked, self.to_adopt.clone()));
        }
        if !self.again.is_empty() {
            let runs = self.again.iter().map(|(again, session)| (again.run, *session));
            return Some(Call::Adopt(self.session, acked, runs.collect()));
        }
        if !self.ranges.is_empty() {
            let jobs: BTreeSet<Box<str>> =
                self.ranges.iter().map(|(job, ..)| job.clone()).collect();
            return Some(Call::Fates(jobs.into_iter().collect()));
        }
        if let Some(call) = self.wants_chains(t) {
            return Some(call);
        }
        // What a store has forgotten is not over.
        if !self.fleet.waits_for_others() && std::mem::take(&mut self.refresh) {
            let now = self.clock.now(t).mono;
            self.uncertain.retain(|_, until| *until > now);
            let mut jobs: BTreeSet<Box<str>> =
                self.elsewhere.keys().chain(self.uncertain.keys()).cloned().collect();
            if std::mem::take(&mut self.sweep) {
                jobs.extend(self.fleet.list().into_iter().map(|(id, _)| id));
            }
            if !jobs.is_empty() {
                return Some(Call::TakeUp(jobs.into_iter().collect()));
            }
        }
        if self.scheduler.numbers_left() < 64 {
            return Some(Call::Numbers);
        }
        self.batch(t)
    }

    fn batch(&mut self, t: i64) -> Option<Call> {
        let now = self.clock.now(t);
        let all = self.may_begin(now.mono);
        // The end of a parent is written with what follows from it.
        let ends = self.fleet.trusted_until().is_some_and(|until| now.mono < until);
        let parents = chains::parents(&self.fleet);
        let mut kept = VecDeque::new();
        for fact in std::mem::take(&mut self.facts) {
            let goes = all
                || match &fact {
                    Fact::Ended { job, .. } if !ends && parents.contains(job) => false,
                    Fact::Starting { run, .. } | Fact::Ended { run, .. } => {
                        self.claimed.contains(run)
                    }
                    Fact::Entry { .. } => ends,
                    _ => false,
                };
            if goes { self.committing.push(fact) } else { kept.push_back(fact) }
        }
        self.facts = kept;
        let acked = self.fleet.me().beat;
        let commit = || Call::Commit(self.session, acked, self.committing.clone());
        (!self.committing.is_empty()).then(commit)
    }

    /// The answer to a call is here, or none will come.
    pub(crate) fn answered(&mut self, t: i64, id: u64, answer: Option<Answer>) {
        let Some((_, call, sent)) = self.flight.take_if(|flight| flight.0 == id) else { return };
        let Some(answer) = answer else {
            if matches!(call, Call::TakeUp(_)) {
                // The jobs are at home here all the same: asked again.
                let taken = std::mem::take(&mut self.taking);
                self.refresh = true;
                self.sweep = true;
                if !taken.is_empty() {
                    self.todo.push_front(Output::Homes { taken, given: Vec::new() });
                }
            }
            self.repeat(t);
            self.tell_fleet(t, Input::Failed);
            return;
        };
        match (call, answer) {
            (Call::NewGeneration(..), Answer::View(view)) => {
                self.tell_fleet(t, Input::Renewed { view: &view });
            }
            (_, Answer::View(view)) => {
                self.joined = matches!(view.me, schedrs::fleet::Standing::Alive { .. });
                self.wait_for_beat = false;
                self.refresh = true;
                self.chains_due = true;
                self.tell_fleet(t, Input::Beaten { view: &view, sent });
            }
            (Call::Reap(_, whom, ..), Answer::Reaped(done)) => {
                self.tell_fleet(t, Input::Reaped { whom, done });
            }
            (Call::PutBack(_, _, facts, ..), Answer::Committed { lost, beat, changes }) => {
                self.acknowledged(t, facts, &lost);
                let generation = self.fleet.generation();
                self.tell_fleet(t, Input::Committed { beat, sent, changes: Some(changes) });
                self.tell_fleet(t, Input::Told { generation });
            }
            (_, Answer::Committed { lost, beat, changes }) => {
                let facts = std::mem::take(&mut self.committing);
                for fact in &facts {
                    if let Fact::Fate { job, due, last_due, outcome, .. } = fact
                        && due < last_due
                    {
                        self.ranges.push((job.clone(), *due, *last_due, outcome.clone()));
                    }
                }
                self.acknowledged(t, facts, &lost);
                self.tell_fleet(t, Input::Committed { beat, sent, changes: Some(changes) });
            }
            (_, Answer::Fenced) => {
                self.joined = false;
                self.tell_fleet(t, Input::Fenced);
            }
            (_, Answer::WentBack) => {
                self.repeat(t);
                self.tell_fleet(t, Input::Refused);
            }
            (Call::TakeUp(asked), Answer::TakenUp(records, open, fates, said)) => {
                let now = self.clock.now(t).mono;
                self.ring.extend(said.into_iter().map(|fact| (now, fact)));
                self.taken_up(t, &asked, records, open, &fates);
            }
            (_, Answer::Fates(fates)) => self.found_fates(t, &fates),
            (_, Answer::Chains(lists)) => self.chains(t, *lists),
            (Call::Adopt(..), Answer::Adopted { runs, beat }) => {
                self.tell_fleet(t, Input::Committed { beat, sent, changes: None });
                self.adopted(t, &runs);
            }
            (_, Answer::Files(files)) => self.tell_fleet(t, Input::Files(&files)),
            (_, Answer::Numbers(range)) => {
                let change = HomeChange { numbers: Some(range), ..HomeChange::default() };
                self.tell_scheduler(t, Event::Homes(Box::new(change)));
            }
            (_, _) => {}
        }
    }

    /// A commit is made again, after a beat: nobody knows what came of it.
    fn repeat(&mut self, t: i64) {
        let until = self.clock.now(t).mono.plus(Duration::from_secs(30));
        for fact in std::mem::take(&mut self.committing).into_iter().rev() {
            if let Fact::Admitted { job, .. } = &fact {
                self.uncertain.insert(job.clone(), until);
            }
            self.facts.push_front(fact);
        }
        self.wait_for_beat = true;
    }

    fn acknowledged(&mut self, t: i64, facts: Vec<Fact>, lost: &[(RunId, Lost)]) {
        let mono = self.clock.now(t).mono;
        let oldest = Mono::from_micros(mono.micros().saturating_sub(60_000_000));
        self.ring.retain(|(at, _)| *at >= oldest);
        let is_lost = |run: &RunId| lost.iter().any(|(other, _)| other == run);
        self.look_for_strays(mono, &facts, lost);
        for fact in facts {
            let decided = match &fact {
                Fact::Admitted { run, .. } | Fact::Starting { run, .. } if is_lost(run) => continue,
                Fact::Admitted { run, job, due, .. } => {
                    self.claimed.insert(*run);
                    Some((job, *due))
                }
                Fact::Starting { run, .. } => {
                    self.written.insert(*run);
                    None
                }
                Fact::Fate { job, last_due, .. } => Some((job, *last_due)),
                Fact::Ended { run, .. } => {
                    self.begun.remove(run);
                    None
                }
                Fact::Job(record) => {
                    let known = self.known.get(&record.id).map(|known| known.decided);
                    let decided = known.map_or(record.decided, |old| old.max(record.decided));
                    let record = JobRecord { decided, ..(**record).clone() };
                    self.known.insert(record.id.clone(), record);
                    continue;
                }
                _ => None,
            };
            if let Some((job, due)) = decided
                && let Some(known) = self.known.get_mut(job)
            {
                known.decided = known.decided.max(due);
            }
            if !self.ring.iter().any(|(_, known)| *known == fact) {
                self.ring.push_back((mono, fact));
            }
        }
        for (run, why) in lost {
            if self.begun.contains(run) {
                continue;
            }
            self.waiting.remove(run);
            self.claimed.remove(run);
            self.admitted.remove(run);
            self.facts.retain(|fact| run_of(fact) != Some(*run));
            let event = match *why {
                Lost::Taken { .. } => Event::ClaimLost(*run),
                Lost::Busy { .. } => Event::ClaimRefused { run: *run, why: Refusal::Busy },
                Lost::Early { by } => Event::ClaimRefused { run: *run, why: Refusal::Early(by) },
            };
            self.tell_scheduler(t, event);
        }
    }

    /// Claims that are lost to a run of this session that nobody here knows: it came late.
    fn look_for_strays(&mut self, now: Mono, facts: &[Fact], lost: &[(RunId, Lost)]) {
        for (run, why) in lost {
            let Lost::Taken { session, run: other } = why else { continue };
            let is_here = self.begun.contains(other) || self.admitted.contains(other);
            let job = facts.iter().find_map(|fact| match fact {
                Fact::Admitted { run: of, job, .. } if of == run => Some(job.clone()),
                _ => None,
            });
            if let Some(job) = job.filter(|_| *session == self.session && !is_here) {
                self.uncertain.insert(job, now.plus(Duration::from_secs(30)));
            }
        }
    }

    /// These runs are this session's now, as far as they were asked for.
    fn adopted(&mut self, t: i64, runs: &[RunId]) {
        let mut change = HomeChange::default();
        if self.adopts_again {
            return;
        }
        self.adopted.extend(self.to_adopt.iter().filter(|(run, _)| runs.contains(run)));
        if self.to_adopt.is_empty() {
            for (again, session) in std::mem::take(&mut self.again) {
                if runs.contains(&again.run) {
                    self.adopted.push((again.run, session));
                    change.ended.push(again.run);
                    self.claimed.insert(again.run);
                    self.begun.insert(again.run);
                    change.again.push(again);
                }
            }
        }
        self.to_adopt.clear();
        self.tell_scheduler(t, Event::Homes(Box::new(change)));
    }

    /// Something is still to be committed of a run.
    fn is_on_its_way(&self, run: RunId) -> bool {
        self.facts.iter().chain(&self.committing).any(|fact| run_of(fact) == Some(run))
    }

    /// This host was taken for dead: nothing that it holds counts.
    fn rejoin(&mut self, t: i64) {
        self.joined = false;
        let held: Vec<RunId> = self.admitted.iter().copied().collect();
        for run in held {
            self.waiting.remove(&run);
            self.tell_scheduler(t, Event::ClaimLost(run));
        }
        self.admitted.clear();
        let begun = &self.begun;
        let facts = std::mem::take(&mut self.committing).into_iter().chain(self.facts.drain(..));
        let ended = |fact: &Fact| {
            matches!(fact, Fact::Ended { .. })
                && run_of(fact).is_some_and(|run| begun.contains(&run))
        };
        let counts = |fact: &Fact| ended(fact) || chains::is_left(fact, begun);
        self.facts = facts.filter(counts).collect();
        self.todo.clear();
        self.taking.clear();
        self.elsewhere.clear();
        self.again.clear();
        self.adopted.clear();
        self.adopts_again = false;
        self.settled.clear();
        self.withdrawals.clear();
        let change = HomeChange { fenced: true, ..HomeChange::default() };
        self.tell_scheduler(t, Event::Homes(Box::new(change)));
        // What is over with that is not to be followed, and others say what becomes of it.
        let active = self.scheduler.status().active;
        self.running.retain(|run| active.iter().any(|active| active.run == *run));
        // What others may begin again is theirs, also where it has ended.
        let lendable = std::mem::take(&mut self.lendable);
        self.begun.retain(|run| !lendable.contains(run));
        self.running.retain(|run| !lendable.contains(run));
        let (running, before) = (&self.running, self.session);
        let jobs = self.fleet.by_id();
        let again = |job: &str| jobs.get(job).is_some_and(|(job, _)| job.again.is_some());
        self.facts.retain(|fact| !matches!(fact, Fact::Ended { job, .. } if again(job)));
        let earlier = std::mem::take(&mut self.to_adopt);
        let session = |run: &RunId| earlier.iter().find(|(other, _)| other == run);
        let mine = running.iter().map(|run| (*run, session(run).map_or(before, |(_, of)| *of)));
        self.to_adopt = mine.collect();
        self.session = SessionId(self.session.0.wrapping_mul(6_364_136_223_846_793_005) | 1);
        self.tell_fleet(t, Input::Renamed(self.session));
    }
}

/// A fact as a store is told that has forgotten it: a claim that was won must not be refused because
/// another run has its place by now.
fn told_again(fact: &Fact) -> Fact {
    let mut fact = fact.clone();
    if let Fact::Admitted { slot, .. } = &mut fact {
        *slot = None;
    }
    fact
}

fn run_of(fact: &Fact) -> Option<RunId> {
    match fact {
        Fact::Admitted { run, .. } | Fact::Starting { run, .. } | Fact::Ended { run, .. } => {
            Some(*run)
        }
        _ => None,
    }
}
