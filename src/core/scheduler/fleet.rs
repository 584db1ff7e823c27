//! A scheduler among others that share a store: each job has one home, and only that decides its due
//! times (`crate::core::fleet`).
//!
//! A job that is at home elsewhere has no due times here, and nothing is recorded of it. What has
//! become a run stays where it is: for the new home it counts as an instance until it is over.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use crate::core::event::{Action, Elsewhere, HomeChange, Pause, Record, Refusal, RunId, TakenJob};
use crate::core::fleet::SessionId;
use crate::core::instant::{Instant, Now};
use crate::core::job::JobSet;
use crate::core::outcome::{MissReason, Outcome, SkipReason};

use super::jobs::{Away, TICK, Wait};
use super::run::{NONE, Phase};
use super::saved::SavedState;
use super::tally::Tally;
use super::timetable::fire_time;
use super::{Scheduler, Step};

/// What a scheduler of a fleet has beside.
#[derive(Debug)]
pub(super) struct Shared {
    /// Numbers of runs that nobody else has.
    numbers: VecDeque<Range<u64>>,
    /// Numbers for when those are used up: large ones, which nobody else is likely to have.
    spare: u64,
    /// Runs of jobs at home here that are elsewhere, by job, the oldest first; and whether the
    /// oldest was told to end.
    elsewhere: HashMap<Box<str>, (Vec<Elsewhere>, bool)>,
}

impl Shared {
    pub(super) fn next_id(&mut self) -> RunId {
        while let Some(range) = self.numbers.front_mut() {
            if let Some(number) = range.next() {
                return RunId(number);
            }
            self.numbers.pop_front();
        }
        self.spare += 1;
        RunId(self.spare)
    }
}

impl Scheduler {
    /// A scheduler that shares its store with others and starts now. No job is at home here until
    /// [`Event::Homes`](crate::core::event::Event::Homes) says so. Of `saved` its runs and the
    /// pause of all jobs count; what is known of the jobs comes with them.
    pub fn in_fleet(now: Now, set: JobSet, saved: SavedState, me: SessionId) -> Scheduler {
        let mut scheduler = Scheduler::new(now, set);
        scheduler.remembers = true;
        scheduler.all_paused = saved.all_paused;
        scheduler.fleet = Some(Box::new(Shared {
            numbers: VecDeque::new(),
            // Positive as a signed number too.
            spare: 1 << 62 | (me.0 & ((1 << 40) - 1)) << 22,
            elsewhere: HashMap::new(),
        }));
        for state in &mut scheduler.jobs {
            state.away = Away::Ever;
            state.seek();
        }
        for survivor in saved.survivors {
            let slot = scheduler.find_job(&survivor.job).unwrap_or(NONE);
            scheduler.adopt(survivor, slot, now);
        }
        scheduler.fill_calendar();
        scheduler
    }

    /// How many numbers there are for further runs: with less than a few hundred it is time for more.
    pub fn numbers_left(&self) -> u64 {
        let ranges = self.fleet.iter().flat_map(|fleet| &fleet.numbers);
        ranges.map(|range| range.end.saturating_sub(range.start)).sum()
    }

    /// Whether a job is at home here; in a scheduler that shares nothing each of its jobs is.
    pub fn is_home(&self, id: &str) -> bool {
        self.find_job(id).is_some_and(|slot| self.jobs[slot as usize].away == Away::No)
    }

    /// Jobs come and go.
    pub(super) fn change_homes(&mut self, change: HomeChange, step: &mut Step<'_>) {
        let HomeChange { taken, given, fenced, ended, numbers, all_paused } = change;
        if self.fleet.is_none() {
            return;
        }
        if fenced {
            self.forget_decisions();
        } else {
            // What has passed is decided by those who had it.
            self.decide(step);
        }
        if let Some(fleet) = &mut self.fleet {
            fleet.numbers.extend(numbers);
        }
        let moves = !taken.is_empty() || !given.is_empty();
        for id in given {
            if let Some(slot) = self.find_job(&id) {
                self.give_away(slot);
            }
        }
        let mut slots = Vec::new();
        for job in taken {
            if let Some(slot) = self.find_job(&job.id) {
                self.take_home(slot, job, step);
                slots.push(slot);
            }
        }
        let freed = self.forget_elsewhere(&ended);
        let freed: Vec<u32> = freed.iter().filter_map(|id| self.find_job(id)).collect();
        if let Some(pause) = all_paused {
            self.pause_as_others(pause, step);
        }
        if moves {
            self.fill_calendar();
        }
        for slot in slots {
            self.remember(slot, step);
            self.retire(slot);
        }
        for slot in freed {
            self.promote(slot, step);
        }
    }

    /// The due times of a job are decided elsewhere from now on. Those that were reached and wait for
    /// their jitter are still decided here.
    fn give_away(&mut self, slot: u32) {
        let state = &mut self.jobs[slot as usize];
        if state.away == Away::No {
            state.away = Away::Now;
            state.seek();
        }
    }

    /// A job that was added here is at home nowhere until everybody knows of it.
    pub(super) fn send_away(&mut self, slot: u32) {
        if self.fleet.is_some() {
            let state = &mut self.jobs[slot as usize];
            state.away = Away::Ever;
            state.seek();
            self.reschedule(slot);
        }
    }

    /// Nothing that was decided here counts any more.
    fn forget_decisions(&mut self) {
        for state in &mut self.jobs {
            state.away = Away::Ever;
            state.seek();
        }
        self.delayed.clear();
        if let Some(fleet) = &mut self.fleet {
            fleet.elsewhere.clear();
        }
        self.fill_calendar();
    }

    /// The due times of a job are decided here from now on.
    fn take_home(&mut self, slot: u32, taken: TakenJob, step: &mut Step<'_>) {
        let now = step.now.wall;
        let TakenJob { id, record, undecided, elsewhere, lost_until } = taken;
        let state = &mut self.jobs[slot as usize];
        let before = std::mem::replace(&mut state.away, Away::No);
        let own = state.decided;
        let is_new_here = before == Away::Ever && own == self.started.minus(TICK);
        match record {
            Some(record) => {
                self.recall(slot, record, now);
                let state = &mut self.jobs[slot as usize];
                if before != Away::Ever {
                    // It was at home here before, and more may be known of it than the store has.
                    state.decided = state.decided.max(own.min(now.minus(TICK)));
                }
            }
            None => self.jobs[slot as usize].decided = own.min(now.minus(TICK)),
        }
        self.jobs[slot as usize].seek();
        if let Some((until, why)) = &lost_until {
            self.lose_until(slot, &undecided, *until, why, step);
        }
        if is_new_here {
            self.run_on_start(slot);
        }
        let lost = lost_until.map_or(Instant::MIN, |(until, _)| until);
        for due in undecided.into_iter().filter(|due| *due > lost) {
            let fire = fire_time(&self.jobs[slot as usize].job, due);
            self.delayed.entry(slot).or_default().push(Wait { fire, due });
        }
        let mine = &self.runs;
        let others = elsewhere.into_iter().filter(|other| mine.find(other.run).is_none());
        let others: Vec<Elsewhere> = others.collect();
        if let Some(fleet) = &mut self.fleet {
            if others.is_empty() {
                fleet.elsewhere.remove(&id);
            } else {
                fleet.elsewhere.insert(id, (others, false));
            }
        }
    }

    /// Due times up to `until` of which nobody can tell whether they have begun.
    fn lose_until(
        &mut self,
        slot: u32,
        undecided: &[Instant],
        until: Instant,
        why: &str,
        step: &mut Step<'_>,
    ) {
        let until = until.min(step.now.wall.minus(TICK));
        let state = &mut self.jobs[slot as usize];
        let mut tally = Tally::default();
        undecided.iter().filter(|due| **due <= until).for_each(|due| tally.add(*due));
        if state.next <= until {
            tally.add_range(state.next, state.timetable().last_until(state.next, until));
            state.decided = state.decided.max(until);
            state.seek();
        }
        let (job, anchor) = (std::sync::Arc::clone(&state.job), state.anchor);
        self.record_tally(&job, anchor, tally, |_| Outcome::Lost(why.to_owned()), step);
    }

    /// Runs of others are over: answers whose.
    fn forget_elsewhere(&mut self, ended: &[RunId]) -> Vec<Box<str>> {
        let Some(fleet) = &mut self.fleet else { return Vec::new() };
        let mut freed = Vec::new();
        fleet.elsewhere.retain(|id, (runs, asked)| {
            let before = runs.len();
            runs.retain(|other| !ended.contains(&other.run));
            if runs.len() < before {
                *asked = false;
                freed.push(id.clone());
            }
            !runs.is_empty()
        });
        freed.sort_unstable();
        freed
    }

    /// All jobs are paused, or no longer, as somebody has said elsewhere.
    fn pause_as_others(&mut self, pause: Option<Pause>, step: &mut Step<'_>) {
        match pause {
            Some(pause) if self.all_paused.as_ref() != Some(&pause) => self.pause_all(pause, step),
            Some(_) => {}
            None => self.resume_all(step.now.wall, step),
        }
    }

    /// The runs of a job that others have.
    fn others(&self, slot: u32) -> &[Elsewhere] {
        let Some(fleet) = &self.fleet else { return &[] };
        let id = &self.jobs[slot as usize].job.id;
        fleet.elsewhere.get(id).map_or(&[], |others| &others.0)
    }

    /// How many instances of a job there may be here, for a due time that comes now.
    pub(super) fn room(&self, slot: u32) -> u32 {
        let most = self.jobs[slot as usize].job.options.max_instances.max(1);
        most.saturating_sub(self.others(slot).len() as u32)
    }

    /// The same for a run that waits. Two that wait on two hosts must not wait for each other: the
    /// earlier due time goes first.
    pub(super) fn room_for(&self, slot: u32, run: u32) -> u32 {
        let most = self.jobs[slot as usize].job.options.max_instances.max(1);
        let mine = (self.runs[run].due, self.runs[run].id);
        let before = |other: &&Elsewhere| !other.waits || (other.due, other.run) < mine;
        most.saturating_sub(self.others(slot).iter().filter(before).count() as u32)
    }

    /// Has the oldest run of a job ended that another scheduler has: whoever acts on this passes it
    /// on.
    pub(super) fn end_elsewhere(&mut self, slot: u32, step: &mut Step<'_>) {
        let Some(fleet) = &mut self.fleet else { return };
        let id = &self.jobs[slot as usize].job.id;
        let Some((others, asked)) = fleet.elsewhere.get_mut(id) else { return };
        if let (Some(oldest), false) = (others.first(), *asked) {
            *asked = true;
            step.out.push(Action::Terminate(oldest.run));
        }
    }

    /// The first of the places of a job that no run has.
    pub(super) fn free_place(&self, slot: u32) -> Option<u16> {
        self.fleet.as_ref()?;
        let most = self.jobs[slot as usize].job.options.max_instances.max(1);
        let mut taken: Vec<u16> = self.others(slot).iter().filter_map(|run| run.place).collect();
        let mut run = self.jobs[slot as usize].oldest;
        while run != NONE {
            taken.extend(self.runs[run].place);
            run = self.runs[run].newer;
        }
        (0..u16::try_from(most).unwrap_or(u16::MAX)).find(|place| !taken.contains(place))
    }

    /// A claim was refused, though the due time has no fate: nothing has begun.
    pub(super) fn claim_refused(&mut self, run: RunId, why: Refusal, step: &mut Step<'_>) {
        let Some(slot) = self.runs.find(run) else { return };
        let state = &self.runs[slot];
        let begun = !matches!(state.phase, Phase::Pending | Phase::Queued | Phase::Starting)
            || state.started.is_some();
        if begun {
            return;
        }
        let (job_slot, due) = (state.job_slot, state.due);
        let job = std::sync::Arc::clone(&state.job);
        if why == Refusal::NoStore {
            let late = step.now.wall.since(fire_time(&job, due));
            self.finish(slot, Outcome::Missed(MissReason::NoStore(late)), step);
            return;
        }
        self.claim_lost(run, step);
        match why {
            Refusal::Busy => step.out.push(Action::Record(Record {
                job,
                due,
                last_due: due,
                count: 1,
                run: None,
                outcome: Outcome::Skipped(SkipReason::Overlap),
                started: None,
                duration: std::time::Duration::ZERO,
                attempts: 0,
            })),
            Refusal::Early(by) if job_slot != NONE => {
                // As if its jitter were longer by that.
                let fire = step.now.wall.plus(by);
                self.delayed.entry(job_slot).or_default().push(Wait { fire, due });
                self.reschedule(job_slot);
            }
            Refusal::Early(_) | Refusal::NoStore => {}
        }
    }
}
