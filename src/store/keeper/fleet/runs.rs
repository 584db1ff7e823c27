//! Runs, as the thread of a shared store follows them: those of this scheduler, those of others that
//! count as instances of jobs at home here, and those that dead sessions have left.
//!
//! What becomes of the latter is decided by `crate::core::fleet::protocol`; here it is done.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::Driver;
use crate::core::event::{Elsewhere, Ended, HomeChange, JobRecord, RunAgain, RunId, TakenJob};
use crate::core::fleet::home::HomeJob;
use crate::core::fleet::protocol::{Input, Left, Remains};
use crate::core::fleet::{Lost, Member, RunOn, SessionId};
use crate::core::instant::{Instant, Mono};
use crate::core::outcome::Outcome;
use crate::core::sort;
use crate::store::Fact;
use crate::store::keeper::{Learned, OthersEvent, StoreEvent, hold};
use crate::store::shared::{Adopted, OpenElsewhere};
use crate::sys::{clock, machine};

/// So long claims are looked for that may come late, after no host answered a commit.
const LATE_CLAIMS: Duration = Duration::from_secs(60);

/// So often it is looked for what hosts have left that were waited for.
const SWEEP: Duration = Duration::from_secs(3600);

/// About so many runs it is remembered that something was decided.
const MOST_SETTLED: usize = 10_000;

/// Why a due time is lost that a store has forgotten.
pub(super) const FORGOTTEN: &str = "the store lost the record of whether it started";

/// A run of this scheduler.
#[derive(Debug)]
struct Mine {
    job: Box<str>,
    /// It has begun, or may have.
    begun: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Runs {
    mine: HashMap<RunId, Mine>,
    /// Runs that go on here and are in the store as those of an earlier session.
    to_adopt: Vec<(RunId, SessionId)>,
    /// Runs that are this session's by adoption, for a store that has forgotten that.
    adopted: HashMap<RunId, SessionId>,
    /// Runs that others may have begun again: nothing that is said of them here counts.
    disowned: HashSet<RunId>,
    /// Runs on other hosts, of jobs that are, or were, at home here.
    pub(super) elsewhere: HashMap<RunId, Box<str>>,
    /// Jobs with claims of which nobody knows what came of them, and until when to look for these.
    uncertain: HashMap<Box<str>, Mono>,
    /// Runs of dead sessions about which something was decided.
    settled: HashSet<RunId>,
    /// A session is gone: what it has left is to be looked for.
    pub(super) sweep: bool,
    /// When that was done last.
    swept: Option<Mono>,
}

impl Runs {
    /// These facts are about to be written.
    pub(super) fn will_write(&mut self, facts: &[Fact]) {
        for fact in facts {
            if let Fact::Admitted { run, job, .. } = fact {
                let mine = || Mine { job: job.clone(), begun: false };
                self.mine.entry(*run).or_insert_with(mine);
            }
        }
    }

    /// They are.
    pub(super) fn written(&mut self, facts: &[Fact], lost: &[RunId]) {
        for fact in facts {
            match fact {
                Fact::Started { run, .. } => self.begun(*run, true),
                Fact::Postponed { run, attempt: 1 } => self.begun(*run, false),
                Fact::Ended { run, .. } | Fact::Withdrawn { run } => {
                    self.mine.remove(run);
                    self.adopted.remove(run);
                }
                _ => {}
            }
        }
        lost.iter().for_each(|run| drop(self.mine.remove(run)));
    }

    /// Nobody knows whether they are, or will be.
    pub(super) fn failed(&mut self, facts: &[Fact]) {
        let until = clock::boot().mono.plus(LATE_CLAIMS);
        for fact in facts {
            if let Fact::Admitted { job, .. } = fact {
                self.uncertain.insert(job.clone(), until);
            }
        }
    }

    /// Claims that are lost to a run of this session that nobody here knows: that came late, after it
    /// was given up.
    pub(super) fn look_for_strays(
        &mut self,
        me: SessionId,
        facts: &[Fact],
        lost: &[(RunId, Lost)],
    ) {
        let until = clock::boot().mono.plus(LATE_CLAIMS);
        for (run, why) in lost {
            let Lost::Taken { session, run: owner } = why else { continue };
            // Nearly all are lost to others, and there may be thousands.
            if *session != me || self.mine.contains_key(owner) {
                continue;
            }
            let claim = facts.iter().find_map(|fact| match fact {
                Fact::Admitted { run: of, job, .. } if of == run => Some(job),
                _ => None,
            });
            if let Some(job) = claim {
                self.uncertain.insert(job.clone(), until);
            }
        }
    }

    /// Whether a run is this scheduler's: its claim is won, or not written yet.
    pub(super) fn has(&self, run: RunId) -> bool {
        self.mine.contains_key(&run)
    }

    pub(super) fn begun(&mut self, run: RunId, begun: bool) {
        if let Some(mine) = self.mine.get_mut(&run) {
            mine.begun = begun;
        }
    }
}

impl Driver {
    /// Runs of earlier sessions of this host go on here.
    pub(super) fn will_adopt(&mut self, runs: Vec<(RunId, Box<str>, SessionId)>) {
        for (run, job, session) in runs {
            self.runs.mine.insert(run, Mine { job, begun: true });
            self.runs.to_adopt.push((run, session));
        }
    }

    /// Has the store know whose they are now.
    pub(super) fn adopt(&mut self) {
        if self.runs.to_adopt.is_empty() {
            return;
        }
        let runs = self.runs.to_adopt.clone();
        let Some(adopted) = self.adopt_runs(&runs) else { return };
        self.runs.to_adopt.clear();
        let refused = runs.iter().map(|(run, _)| *run).filter(|run| !adopted.contains(run));
        let jobs = self.fleet.by_id();
        let again = |run: &RunId| {
            let job = self.runs.mine.get(run).and_then(|mine| jobs.get(&*mine.job));
            job.is_some_and(|(job, _)| job.again.is_some())
        };
        // Of the others somebody has written how they ended; what is known here is truer.
        let disowned: Vec<RunId> = refused.filter(again).collect();
        self.runs.adopted.extend(runs.into_iter().filter(|(run, _)| adopted.contains(run)));
        if !disowned.is_empty() {
            self.runs.disowned.extend(&disowned);
            let change = HomeChange { disowned, ..HomeChange::default() };
            self.tell_of(OthersEvent::Homes(Box::new(change)));
        }
    }

    /// Has a store know again whose runs are this session's, if it may have forgotten that. Answers
    /// whether it does.
    pub(super) fn adopt_again(&mut self) -> bool {
        if self.runs.adopted.is_empty() {
            return true;
        }
        let runs: Vec<_> = self.runs.adopted.iter().map(|(run, of)| (*run, *of)).collect();
        self.adopt_runs(&runs).is_some()
    }

    /// Has these runs become this session's. Answers those that are.
    fn adopt_runs(&mut self, runs: &[(RunId, SessionId)]) -> Option<Vec<RunId>> {
        let Member { id: me, beat: acked, .. } = *self.fleet.me();
        let sent = clock::boot().mono;
        let done = self.ask(|store| store.adopt(me, acked, runs));
        let Adopted { runs, beat } = self.unless_failed(done)?;
        self.tell(Input::Committed { beat, sent, changes: None });
        Some(runs)
    }

    /// What is said of runs that others have begun again is not to be written.
    pub(super) fn leave_out_disowned(&mut self) {
        if self.runs.disowned.is_empty() {
            return;
        }
        let disowned = &self.runs.disowned;
        self.facts.retain(|fact| fact.run().is_none_or(|run| !disowned.contains(&run)));
        let starts = self.starts.extract_if(.., |start| disowned.contains(&start.run));
        for start in starts {
            (self.on_event)(StoreEvent::ClaimLost(start.run));
        }
    }

    /// The others have taken this session for dead: it goes on as another.
    pub(super) fn rejoin(&mut self) {
        let mut facts = std::mem::take(&mut self.facts);
        let mut starts = std::mem::take(&mut self.starts);
        let since = self.hold.held().take_all(&mut facts, &mut starts);
        let (facts, claims) = hold::without_claims(facts);
        let answers = {
            let mut held = self.hold.held();
            held.put_first(facts, since.unwrap_or_else(clock::mono));
            held.written()
        };
        answers.into_iter().for_each(|answer| answer());
        self.to_take.clear();
        self.known.clear();
        self.acknowledged.clear();
        self.kept = 0;
        self.drop_asks();
        self.part_with_runs(&claims);
        let change = HomeChange { fenced: true, ..HomeChange::default() };
        self.tell_of(OthersEvent::Homes(Box::new(change)));
        claims.iter().for_each(|run| (self.on_event)(StoreEvent::ClaimLost(*run)));
        starts.retain(|start| !claims.contains(&start.run));
        for start in starts.into_iter().chain(std::mem::take(&mut self.won)) {
            (self.on_event)(StoreEvent::NotBegun(start.run, start.attempt));
        }
        let id = SessionId(machine::random());
        self.tell(Input::Renamed(id));
    }

    /// What has begun goes on, as that of the next session; but not what others may begin again.
    fn part_with_runs(&mut self, claims: &HashSet<RunId>) {
        let me = self.fleet.me().id;
        let jobs = self.fleet.by_id();
        let runs = &mut self.runs;
        let earlier = std::mem::take(&mut runs.to_adopt);
        runs.mine.retain(|run, mine| {
            let again = jobs.get(&*mine.job).is_some_and(|(job, _)| job.again.is_some());
            if again {
                runs.disowned.insert(*run);
            }
            mine.begun && !again && !claims.contains(run)
        });
        let session = |run: &RunId| earlier.iter().find(|(other, _)| other == run);
        let mine = runs.mine.keys();
        let to_adopt = mine.map(|run| (*run, session(run).map_or(me, |(_, session)| *session)));
        runs.to_adopt = to_adopt.collect();
        runs.adopted.clear();
        runs.elsewhere.clear();
        runs.uncertain.clear();
        runs.settled.clear();
        runs.sweep = false;
    }

    /// Reads what is known of jobs that are at home here now.
    pub(super) fn take_up(&mut self) {
        if self.to_take.is_empty() {
            return;
        }
        let ids: Vec<Box<str>> = self.to_take.iter().map(|taken| taken.job.clone()).collect();
        let written = self.written();
        let found = self.ask(|store| store.take_up(&ids));
        let Some(mut found) = self.unless_failed(found) else { return };
        let home = self.home_jobs(ids.iter().map(|id| &**id));
        let past = self.past(&mut found.jobs, &home);
        let Some(mut past) = self.unless_failed(past) else { return };
        let mut change = HomeChange::default();
        let Some(mut open) = self.sort(found.open, &home, &mut change) else { return };
        self.runs.elsewhere.extend(
            open.iter().flat_map(|(job, runs)| runs.iter().map(|run| (run.run, job.clone()))),
        );
        let mut undecided: HashMap<Box<str>, Vec<Instant>> = HashMap::new();
        change.undecided.retain(|(job, due)| {
            let taken = home.contains_key(job);
            if taken {
                undecided.entry(job.clone()).or_default().push(*due);
            }
            !taken
        });
        let mut records: HashMap<Box<str>, JobRecord> =
            found.jobs.into_iter().map(|record| (record.id.clone(), record)).collect();
        self.known.extend(records.iter().map(|(id, record)| (id.clone(), record.clone())));
        let why: Box<str> = FORGOTTEN.into();
        let taken = std::mem::take(&mut self.to_take).into_iter().map(|taken| {
            let (fates_since, fates) = past.remove(&taken.job).unzip();
            TakenJob {
                record: records.remove(&taken.job),
                undecided: undecided.remove(&taken.job).unwrap_or_default(),
                fates: fates.unwrap_or_default(),
                fates_since,
                elsewhere: open.remove(&taken.job).unwrap_or_default(),
                lost_until: taken.lost_until.map(|until| (until, why.clone())),
                id: taken.job,
            }
        });
        change.taken = taken.collect();
        // Before what they are due by.
        let all_paused = Some(found.all_paused);
        let learned = Learned { written, all_paused, ..Learned::default() };
        self.tell_of(OthersEvent::Learned(Box::new(learned)));
        self.tell_of(OthersEvent::Homes(Box::new(change)));
    }

    /// Looks which runs on other hosts are over, and what sessions have left that are gone.
    pub(super) fn look_elsewhere(&mut self) {
        let now = clock::boot().mono;
        self.runs.uncertain.retain(|_, until| *until > now);
        // A host that is waited for may not come back.
        if now.since(*self.runs.swept.get_or_insert(now)) >= SWEEP
            && self.fleet.jobs().1.iter().any(|job| job.run_on == RunOn::All)
        {
            self.runs.sweep = true;
        }
        let runs = &self.runs;
        let mut jobs: Vec<Box<str>> =
            runs.elsewhere.values().chain(runs.uncertain.keys()).cloned().collect();
        // What a store has forgotten is not over: those who have it tell of it again.
        let forgotten = self.fleet.waits_for_others();
        if self.silent.is_some() || forgotten || (jobs.is_empty() && !runs.sweep) {
            return;
        }
        let sweeps = runs.sweep;
        sort::all(&mut jobs);
        jobs.dedup();
        if sweeps {
            // Of all.
            jobs.clear();
        }
        let found = self.ask(|store| store.take_up(&jobs));
        let Some(found) = self.unless_failed(found) else { return };
        self.runs.sweep = false;
        if sweeps {
            self.runs.swept = Some(now);
        }
        let mut home = self.home_jobs(found.open.iter().map(|open| &*open.run.job));
        // These are looked at when they are taken up.
        self.to_take.iter().for_each(|taken| drop(home.remove(&taken.job)));
        let mut change = HomeChange::default();
        let Some(open) = self.sort(found.open, &home, &mut change) else {
            self.runs.sweep |= sweeps;
            return;
        };
        let goes_on: HashSet<RunId> = open.values().flatten().map(|run| run.run).collect();
        self.runs.elsewhere.retain(|run, _| {
            let goes_on = goes_on.contains(run);
            if !goes_on {
                change.ended.push(*run);
            }
            goes_on
        });
        if change != HomeChange::default() {
            self.tell_of(OthersEvent::Homes(Box::new(change)));
        }
    }

    /// Of these jobs, those that are at home here.
    fn home_jobs<'a>(&self, ids: impl Iterator<Item = &'a str>) -> HashMap<Box<str>, HomeJob> {
        let jobs = self.fleet.by_id();
        let home = |id: &'a str| {
            let (job, _) = jobs.get(id).filter(|(_, is_home)| *is_home)?;
            Some((id.into(), (*job).clone()))
        };
        ids.filter_map(home).collect()
    }

    /// Decides what becomes of runs that are open, and answers those that others have, by job. `None`:
    /// the store has failed meanwhile.
    fn sort(
        &mut self,
        open: Vec<OpenElsewhere>,
        home: &HashMap<Box<str>, HomeJob>,
        change: &mut HomeChange,
    ) -> Option<HashMap<Box<str>, Vec<Elsewhere>>> {
        if self.runs.settled.len() > MOST_SETTLED {
            self.runs.settled.clear();
        }
        let now = clock::boot();
        let mut elsewhere: HashMap<Box<str>, Vec<Elsewhere>> = HashMap::new();
        let mut again = Vec::new();
        for OpenElsewhere { session, host, slot, run: open } in open {
            if self.runs.settled.contains(&open.run) {
                continue;
            }
            let is_here = self.runs.mine.contains_key(&open.run);
            let left = Left { session, host: &host, due: open.due, attempt: open.attempt, is_here };
            match self.fleet.remains(&left, home.get(&open.job), now) {
                Remains::Nothing => {}
                Remains::Elsewhere => {
                    let (run, due, waits) = (open.run, open.due, open.attempt == 0);
                    let other = Elsewhere { run, due, waits, place: slot };
                    elsewhere.entry(open.job).or_default().push(other);
                }
                Remains::Undecided => {
                    self.runs.settled.insert(open.run);
                    change.withdrawn.push((open.job.clone(), open.due, open.run));
                    change.undecided.push((open.job, open.due));
                }
                Remains::Lost(reason) => {
                    self.runs.settled.insert(open.run);
                    let at = self.fleet.store_now(now);
                    let ended = Ended {
                        job: open.job.clone(),
                        due: open.due,
                        last_due: open.due,
                        count: 1,
                        outcome: Outcome::Lost(reason.clone()),
                        at,
                        run: Some(open.run),
                    };
                    let is_each = |job: &HomeJob| job.run_on == RunOn::All;
                    if !home.get(&open.job).is_some_and(is_each) {
                        self.leave_to_homes(&ended);
                    } else if *host == *self.fleet.me().host {
                        // What follows on another host follows there.
                        change.over.push(ended);
                    }
                    self.facts.push(Fact::Ended {
                        run: open.run,
                        job: open.job,
                        outcome: Outcome::Lost(reason),
                        duration: open.started.map_or(Duration::ZERO, |started| at.since(started)),
                        attempts: open.attempt,
                        at,
                        usage: None,
                    });
                }
                Remains::Again(reason) => {
                    let (run, job, due, attempt) = (open.run, open.job, open.due, open.attempt);
                    let (started, place) = (open.started, slot);
                    let one = RunAgain { run, job, due, attempt, started, place, reason };
                    again.push((one, session));
                }
            }
        }
        for (refused, _) in self.run_again(again, change)? {
            // Somebody else was faster.
            let RunAgain { run, job, due, place, .. } = refused;
            let other = Elsewhere { run, due, waits: false, place };
            elsewhere.entry(job).or_default().push(other);
        }
        Some(elsewhere)
    }

    /// Takes over runs that get another attempt. Answers those that it does not get.
    fn run_again(
        &mut self,
        again: Vec<(RunAgain, SessionId)>,
        change: &mut HomeChange,
    ) -> Option<Vec<(RunAgain, SessionId)>> {
        if again.is_empty() {
            return Some(Vec::new());
        }
        let runs: Vec<_> = again.iter().map(|(again, session)| (again.run, *session)).collect();
        let adopted = self.adopt_runs(&runs)?;
        let (mine, refused): (Vec<_>, Vec<_>) =
            again.into_iter().partition(|(again, _)| adopted.contains(&again.run));
        for (again, session) in mine {
            self.runs.disowned.remove(&again.run);
            self.runs.adopted.insert(again.run, session);
            let mine = Mine { job: again.job.clone(), begun: true };
            self.runs.mine.insert(again.run, mine);
            change.again.push(again);
        }
        Some(refused)
    }
}
