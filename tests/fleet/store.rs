//! A virtual store: what `schedrs::store::shared` asks of one, in memory, and a past to go back to.

use std::collections::{BTreeMap, VecDeque};

use schedrs::event::{ChainLists, JobRecord, RunId};
use schedrs::fleet::{Gone, JobList, Lost, Member, SessionId, Standing, View};
use schedrs::instant::Instant;
use schedrs::outcome::Outcome;
use schedrs::scheduler::after::JOINS;
use schedrs::scheduler::after::homes::ENDS;
use schedrs::store::Fact;

/// Due times later than this against the store's clock are refused.
const EARLY: i64 = 2_000_000;

/// A run as the store has it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) job: Box<str>,
    pub(crate) due: Instant,
    pub(crate) session: SessionId,
    pub(crate) place: Option<u16>,
    pub(crate) attempt: u32,
    pub(crate) outcome: Option<Outcome>,
}

/// A fate that is no run's.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) job: Box<str>,
    pub(crate) due: Instant,
    pub(crate) last_due: Instant,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) generation: u64,
    pub(crate) identity: u64,
    recorded: u64,
    changes: u64,
    pub(crate) members: BTreeMap<SessionId, Member>,
    pub(crate) files: BTreeMap<u64, JobList>,
    pub(crate) jobs: BTreeMap<Box<str>, JobRecord>,
    pub(crate) rows: BTreeMap<RunId, Row>,
    pub(crate) fates: Vec<Fate>,
    /// Entries of lists, by list and key.
    pub(crate) entries: BTreeMap<(Box<str>, Box<str>), Box<str>>,
    numbers: u64,
}

/// A call, as it travels.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Join(Box<Member>, JobList),
    Beat(Box<Member>),
    /// With how many beats the store has acknowledged, as have those below.
    Commit(SessionId, u64, Vec<Fact>),
    Reap(SessionId, SessionId, u64),
    Adopt(SessionId, u64, Vec<(RunId, SessionId)>),
    Leave(SessionId),
    TakeUp(Vec<Box<str>>),
    Fates(Vec<Box<str>>),
    /// What jobs wait for that are due after others; and the records of these jobs.
    Chains(Vec<Box<str>>),
    Files(Vec<u64>),
    Numbers,
    NewGeneration(SessionId, u64),
    PutBack(SessionId, u64, Vec<Fact>, Vec<Member>, Vec<(u64, JobList)>),
}

/// A run that is not over, and its host.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) run: RunId,
    pub(crate) row: Row,
    pub(crate) host: Box<str>,
}

/// Due times of jobs, each from a first to a last one, that have a record.
pub(crate) type Fates = Vec<(Box<str>, Instant, Instant)>;

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    View(Box<View>),
    Committed {
        lost: Vec<(RunId, Lost)>,
        beat: u64,
        changes: u64,
    },
    Fenced,
    /// It has forgotten a beat that it has acknowledged.
    WentBack,
    Reaped(bool),
    Adopted {
        runs: Vec<RunId>,
        beat: u64,
    },
    /// Records, runs that are not over, due times (first and last) that have a record, and what was
    /// said of late of those that are no run.
    TakenUp(Vec<JobRecord>, Vec<Open>, Fates, Vec<Fact>),
    Fates(Fates),
    Chains(Box<ChainLists>),
    Files(Vec<(u64, JobList)>),
    Numbers(std::ops::Range<u64>),
    Done,
}

/// Parts of the store that can be switched off, to see that they are needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Without {
    /// A commit of a session that is gone counts.
    pub(crate) fence: bool,
    /// What was acknowledged is not looked at.
    pub(crate) acked: bool,
    /// A session is marked as gone although it has beaten since.
    pub(crate) comparison: bool,
    /// Two runs may have one place.
    pub(crate) places: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) state: State,
    past: VecDeque<(i64, State)>,
    /// How often it was another, or was started again: connections end with that.
    pub(crate) lives: u64,
    pub(crate) without: Without,
    /// Whether it will go back.
    pub(crate) remembers: bool,
    /// When each run was called lost by another session than its own.
    pub(crate) reaped: BTreeMap<RunId, i64>,
    /// The first `decided` that was ever written of each job.
    pub(crate) first: BTreeMap<Box<str>, Instant>,
}

impl Store {
    pub(crate) fn new() -> Store {
        let state = State { numbers: 1, ..State::default() };
        Store { state, ..Store::default() }
    }

    /// It is as it was `span` microseconds ago: another server, or the `same` that has lost what it had
    /// not written to its disk.
    pub(crate) fn go_back(&mut self, now: i64, span: i64, same: bool) {
        self.lives += 1;
        while self.past.back().is_some_and(|(at, _)| *at > now - span) {
            self.past.pop_back();
        }
        let identity = self.state.identity + u64::from(!same);
        // Nobody gets a number twice: a sequence is not what is in question here.
        let numbers = self.state.numbers;
        self.state = match self.past.back() {
            Some((_, state)) => state.clone(),
            None => State::default(),
        };
        self.state.identity = identity;
        self.state.numbers = numbers;
    }

    pub(crate) fn call(&mut self, now: i64, call: &Call) -> Answer {
        let at = Instant::from_micros(now);
        let answer = match call {
            Call::Join(me, jobs) => self.join(at, me, jobs),
            Call::Beat(me) => self.beat(at, me),
            Call::Commit(me, acked, facts) => self.commit(at, *me, *acked, facts),
            Call::Reap(by, whom, beat) => Answer::Reaped(self.reap(at, *by, *whom, *beat)),
            Call::Adopt(me, acked, runs) => self.adopt(at, *me, *acked, runs),
            Call::Leave(me) => {
                self.state.changes += 1;
                if let Some(member) = self.state.members.get_mut(me) {
                    member.leaving = true;
                }
                Answer::Done
            }
            Call::TakeUp(jobs) => self.take_up(jobs),
            Call::Fates(jobs) => Answer::Fates(self.fates_of(jobs)),
            Call::Chains(jobs) => self.chains(jobs),
            Call::Files(hashes) => {
                let file = |hash: &u64| Some((*hash, self.state.files.get(hash)?.clone()));
                Answer::Files(hashes.iter().filter_map(file).collect())
            }
            Call::Numbers => {
                let first = self.state.numbers;
                self.state.numbers += 256;
                Answer::Numbers(first..first + 256)
            }
            Call::NewGeneration(me, seen) => {
                if self.state.generation == *seen {
                    self.state.generation += 1;
                    self.state.recorded = self.state.identity;
                    self.state.changes += 1;
                }
                Answer::View(Box::new(self.view(at, *me)))
            }
            Call::PutBack(me, acked, facts, members, files) => {
                let answer = self.commit(at, *me, *acked, facts);
                if matches!(answer, Answer::Committed { .. }) {
                    for member in members {
                        self.state.members.entry(member.id).or_insert_with(|| member.clone());
                    }
                    for (hash, jobs) in files {
                        self.state.files.entry(*hash).or_insert_with(|| jobs.clone());
                    }
                }
                answer
            }
        };
        if !self.remembers {
            return answer;
        }
        // The last one before that is what it was then.
        while self.past.get(1).is_some_and(|(then, _)| *then < now - 30_000_000) {
            self.past.pop_front();
        }
        self.past.push_back((now, self.state.clone()));
        answer
    }

    fn view(&self, now: Instant, me: SessionId) -> View {
        let state = &self.state;
        View {
            now,
            generation: state.generation,
            identity: state.identity.to_string().into(),
            recorded: state.recorded.to_string().into(),
            changes: state.changes,
            me: match state.members.get(&me) {
                None => Standing::Unknown,
                Some(member) if member.gone.is_some() => Standing::Gone,
                Some(member) => Standing::Alive { beat: member.beat },
            },
            members: state.members.values().cloned().collect(),
        }
    }

    fn join(&mut self, now: Instant, me: &Member, jobs: &JobList) -> Answer {
        self.state.files.entry(me.jobfile_hash).or_insert_with(|| jobs.clone());
        if self.state.members.contains_key(&me.id) {
            return self.beat(now, me);
        }
        self.state.changes += 1;
        // Who is new has nothing to tell.
        let generation = if me.generation == 0 { self.state.generation } else { me.generation };
        let first =
            Member { beat: 1, joined: now, loaded: now, seen: now, generation, ..me.clone() };
        self.state.members.insert(me.id, first);
        Answer::View(Box::new(self.view(now, me.id)))
    }

    fn beat(&mut self, now: Instant, me: &Member) -> Answer {
        if self.count(now, me.id, me.beat).is_ok()
            && let Some(member) = self.state.members.get_mut(&me.id)
        {
            let loaded = if member.jobfile_hash == me.jobfile_hash { member.loaded } else { now };
            let Member { beat, joined, gone, seen, .. } = *member;
            *member = Member { beat, joined, gone, seen, loaded, ..me.clone() };
        }
        Answer::View(Box::new(self.view(now, me.id)))
    }

    /// One more beat of a session, or why not.
    fn count(&mut self, now: Instant, me: SessionId, acked: u64) -> Result<u64, Answer> {
        let forgotten = if acked > 0 { Answer::WentBack } else { Answer::Fenced };
        let Some(member) = self.state.members.get_mut(&me) else { return Err(forgotten) };
        if member.gone.is_some() && !self.without.fence {
            return Err(Answer::Fenced);
        }
        if member.beat < acked && !self.without.acked {
            return Err(Answer::WentBack);
        }
        (member.beat, member.seen) = (member.beat + 1, now);
        Ok(member.beat)
    }

    fn commit(&mut self, now: Instant, me: SessionId, acked: u64, facts: &[Fact]) -> Answer {
        let beat = match self.count(now, me, acked) {
            Ok(beat) => beat,
            Err(answer) => return answer,
        };
        let mut lost = Vec::new();
        for fact in facts {
            self.fact(now, me, fact, &mut lost);
        }
        Answer::Committed { lost, beat, changes: self.state.changes }
    }

    /// Who has one of the due times of these, if somebody has.
    fn holder(&self, job: &str, due: Instant, last: Instant) -> Option<Lost> {
        let is_in = |row: &Row| *row.job == *job && due <= row.due && row.due <= last;
        let row = self.state.rows.iter().find(|(_, row)| is_in(row));
        if let Some((run, row)) = row {
            return Some(Lost::Taken { session: row.session, run: *run });
        }
        let mut fates = self.state.fates.iter();
        fates
            .any(|fate| *fate.job == *job && fate.due <= last && due <= fate.last_due)
            .then_some(Lost::Taken { session: SessionId(0), run: RunId(0) })
    }

    fn fact(&mut self, now: Instant, me: SessionId, fact: &Fact, lost: &mut Vec<(RunId, Lost)>) {
        match fact {
            Fact::Admitted { run, job, due, slot, .. } => {
                if self.state.rows.contains_key(run) {
                    return;
                }
                if let Some(holder) = self.holder(job, *due, *due) {
                    lost.push((*run, holder));
                    return;
                }
                let by = due.micros() - now.micros();
                if by > EARLY {
                    let by = std::time::Duration::from_micros(by as u64);
                    lost.push((*run, Lost::Early { by }));
                    return;
                }
                let holds = |row: &&Row| {
                    slot.is_some() && row.job == *job && row.place == *slot && row.outcome.is_none()
                };
                if let Some(row) = self.state.rows.values().find(holds)
                    && !self.without.places
                {
                    lost.push((*run, Lost::Busy { session: row.session }));
                    return;
                }
                let row = Row {
                    job: job.clone(),
                    due: *due,
                    session: me,
                    place: *slot,
                    attempt: 0,
                    outcome: None,
                };
                self.state.rows.insert(*run, row);
            }
            Fact::Starting { run, attempt } => {
                if let Some(row) = self.state.rows.get_mut(run) {
                    row.attempt = *attempt;
                }
            }
            Fact::Ended { run, outcome, .. } => {
                if let Some(row) = self.state.rows.get_mut(run) {
                    if row.session != me && matches!(outcome, Outcome::Lost(_)) {
                        self.reaped.entry(*run).or_insert(now.micros());
                    }
                    row.outcome = Some(outcome.clone());
                }
            }
            Fact::Withdrawn { run } => {
                // Its owner may be alive after all, if the store had forgotten that.
                self.state.rows.remove(run);
            }
            Fact::Fate { job, due, last_due, outcome, .. } => {
                let fate = Fate {
                    job: job.clone(),
                    due: *due,
                    last_due: *last_due,
                    outcome: outcome.clone(),
                };
                let known = self.holder(job, *due, *last_due).is_some();
                if !known {
                    self.state.fates.push(fate);
                }
            }
            Fact::Job(record) => {
                let known = self.state.jobs.get(&record.id).map(|known| known.decided);
                let decided = known.map_or(record.decided, |known| known.max(record.decided));
                self.first.entry(record.id.clone()).or_insert(record.decided);
                let record = JobRecord { decided, ..(**record).clone() };
                self.state.jobs.insert(record.id.clone(), record);
            }
            Fact::Entry { list, key, value } => {
                let entry = (list.clone(), key.clone());
                match value {
                    Some(value) => drop(self.state.entries.insert(entry, value.clone())),
                    None => drop(self.state.entries.remove(&entry)),
                }
            }
            _ => {}
        }
    }

    fn chains(&self, jobs: &[Box<str>]) -> Answer {
        let entries = |list: &str| {
            let mine = self.state.entries.iter().filter(|((of, _), _)| **of == *list);
            mine.map(|((_, key), value)| (key.clone(), value.clone())).collect()
        };
        let records = jobs.iter().filter_map(|job| self.state.jobs.get(job)).cloned();
        Answer::Chains(Box::new(ChainLists {
            ends: entries(ENDS),
            joins: entries(JOINS),
            records: records.collect(),
            lost: Vec::new(),
        }))
    }

    fn adopt(
        &mut self,
        now: Instant,
        me: SessionId,
        acked: u64,
        runs: &[(RunId, SessionId)],
    ) -> Answer {
        let beat = match self.count(now, me, acked) {
            Ok(beat) => beat,
            Err(answer) => return answer,
        };
        let mut mine = Vec::new();
        for (run, of) in runs {
            let Some(row) = self.state.rows.get_mut(run) else { continue };
            let is_open = row.outcome.is_none();
            if row.session == *of && matches!(row.outcome, None | Some(Outcome::Lost(_))) {
                row.place = row.place.filter(|_| is_open);
                (row.session, row.outcome) = (me, None);
            }
            if row.session == me && row.outcome.is_none() {
                mine.push(*run);
            }
        }
        Answer::Adopted { runs: mine, beat }
    }

    fn reap(&mut self, now: Instant, by: SessionId, whom: SessionId, beat: u64) -> bool {
        let without = self.without.comparison;
        let Some(member) = self.state.members.get_mut(&whom) else { return false };
        if member.gone.is_some() || (member.beat != beat && !without) {
            return false;
        }
        member.gone = Some(Gone { at: now, by });
        self.state.changes += 1;
        true
    }

    fn take_up(&self, jobs: &[Box<str>]) -> Answer {
        let state = &self.state;
        let mut records = Vec::new();
        for record in jobs.iter().filter_map(|job| state.jobs.get(job)) {
            let rows = state.rows.values().filter(|row| row.job == record.id).map(|row| row.due);
            let fates = state.fates.iter().filter(|fate| fate.job == record.id);
            let last = rows.chain(fates.map(|fate| fate.last_due)).max();
            let decided = last.map_or(record.decided, |last| last.max(record.decided));
            records.push(JobRecord { decided, ..record.clone() });
        }
        let open =
            state.rows.iter().filter(|(_, row)| row.outcome.is_none() && jobs.contains(&row.job));
        let open = open.map(|(run, row)| Open {
            run: *run,
            row: row.clone(),
            host: state.members.get(&row.session).map_or("".into(), |member| member.host.clone()),
        });
        Answer::TakenUp(records, open.collect(), self.fates_of(jobs), self.said_of(jobs))
    }

    /// The fates of late of jobs, as they were told.
    fn said_of(&self, jobs: &[Box<str>]) -> Vec<Fact> {
        let late = |job: &str| {
            let decided = self.state.jobs.get(job).map(|record| record.decided);
            let last = self.state.fates.iter().filter(|fate| *fate.job == *job);
            let last = last.map(|fate| fate.last_due).max();
            decided.max(last).map(|last| last.minus(std::time::Duration::from_secs(10)))
        };
        let fates = self.state.fates.iter().filter(|fate| jobs.contains(&fate.job));
        let fates = fates.filter(|fate| late(&fate.job).is_some_and(|late| fate.last_due >= late));
        let fact = |fate: &Fate| Fact::Fate {
            job: fate.job.clone(),
            due: fate.due,
            last_due: fate.last_due,
            count: 1,
            outcome: fate.outcome.clone(),
            at: fate.last_due,
            host: None,
        };
        fates.map(fact).collect()
    }

    fn fates_of(&self, jobs: &[Box<str>]) -> Fates {
        let rows = self.state.rows.values().map(|row| (&row.job, row.due, row.due));
        let fates = self.state.fates.iter().map(|fate| (&fate.job, fate.due, fate.last_due));
        let has_record = rows.chain(fates).filter(|(job, ..)| jobs.contains(job));
        has_record.map(|(job, first, last)| (job.clone(), first, last)).collect()
    }
}
