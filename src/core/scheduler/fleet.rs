//! A scheduler among others that share a store: each job has one home, and only that decides its due
//! times (`crate::core::fleet`).
//!
//! A job that is at home elsewhere has no due times here, and nothing is recorded of it. What has
//! become a run stays where it is: for the new home it counts as an instance until it is over
//! (`elsewhere`). While the store does not answer nobody can tell what runs (`silence`).

mod elsewhere;
mod silence;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::core::event::{
    Action, Elsewhere, HomeChange, JobRecord, Notice, Pause, Record, Refusal, Response, RunAgain,
    RunId, Silence, TakenJob,
};
use crate::core::fleet::{RunOn, SPARE_RUNS, SessionId};
use crate::core::instant::{Instant, Now};
use crate::core::job::{Job, JobSet};
use crate::core::outcome::{MissReason, Outcome, SkipReason};

use super::after::fires_again;
use super::jobs::{Away, Extra, TICK, Wait};
use super::run::{Input, Phase, Run};
use super::saved::{SavedState, Survivor};
use super::tally::Tally;
use super::timetable::fire_time;
use super::{Scheduler, Step};

/// So many due times of a job are looked at to find those that waited when their host died.
const MOST_WAITING: usize = 10_000;

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
    /// How far the store has answered.
    silence: Silence,
    /// Jobs whose due times wait to be decided until it does, and since when.
    undecided: HashMap<u32, Instant>,
    /// Those that waited until just now.
    held_up: HashMap<u32, Instant>,
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
            spare: SPARE_RUNS | (me.0 & ((1 << 40) - 1)) << 22,
            elsewhere: HashMap::new(),
            silence: Silence::None,
            undecided: HashMap::new(),
            held_up: HashMap::new(),
        }));
        for state in &mut scheduler.jobs {
            state.away = Away::Ever;
            state.seek();
        }
        for record in saved.jobs {
            scheduler.note_record(record);
        }
        for survivor in saved.survivors {
            let slot = scheduler.find_job(&survivor.job);
            scheduler.adopt(survivor, slot, now);
        }
        scheduler.take_over_chains(saved.chains);
        scheduler.fill_calendar();
        scheduler
    }

    /// Whether others share its store, so that they decide some of its jobs.
    pub fn is_in_fleet(&self) -> bool {
        self.fleet.is_some()
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
        let HomeChange { taken, given, fenced, ended, numbers, seen, all_paused, .. } = change;
        let HomeChange { undecided, again, disowned, over, ranges, chains, .. } = change;
        if self.fleet.is_none() {
            return;
        }
        if fenced {
            self.forget_decisions(step);
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
            let Some(slot) = self.find_job(&job.id) else { continue };
            let is_news = job.record.as_ref().is_none_or(|record| self.is_news(slot, record));
            if self.take_home(slot, job, step) {
                slots.push((slot, is_news));
            }
        }
        // Of these the runs that others have may have changed.
        let mut touched: Vec<Box<str>> = seen.iter().map(|seen| seen.id.clone()).collect();
        seen.into_iter().for_each(|job| self.see(job));
        for (id, due) in undecided {
            self.decide_again(&id, due);
        }
        for run in disowned {
            if let Some(slot) = self.runs.find(run) {
                self.disown(slot, step);
            }
        }
        again.into_iter().for_each(|again| self.run_again(again, step));
        over.iter().for_each(|ended| self.is_over(ended, step));
        ranges.into_iter().for_each(|range| self.record_rest(range, step));
        if let Some(chains) = chains {
            self.read_chains(&chains, step);
        }
        let freed = self.forget_elsewhere(&ended);
        touched.extend(freed.iter().cloned());
        let freed: Vec<u32> = freed.iter().filter_map(|id| self.find_job(id)).collect();
        if let Some(pause) = all_paused {
            self.pause_as_others(pause, step);
        }
        if moves {
            self.fill_calendar();
        }
        for slot in touched.iter().filter_map(|id| self.find_job(id)).collect::<Vec<u32>>() {
            self.note_elsewhere(slot, step);
        }
        for (slot, is_news) in slots {
            self.note_elsewhere(slot, step);
            self.count_if_idle(slot, step);
            match is_news {
                true => self.remember(slot, step),
                false => self.as_others(|scheduler| scheduler.remember(slot, step)),
            }
            self.retire(slot);
            // What it waited for elsewhere may be over.
            self.promote(slot, step);
        }
        for slot in freed {
            self.promote(slot, step);
        }
    }

    /// Whether a job that is taken up is to be remembered as it is here, where each host has it: not if
    /// somebody has changed it at run time and that is still to be learned.
    fn is_news(&self, slot: u32, record: &JobRecord) -> bool {
        let extra = self.extras.get(&slot);
        let text = extra.and_then(|extra| extra.text.as_deref());
        let overrides = extra.and_then(|extra| extra.overrides.as_deref());
        let is_known = text == record.added.as_deref() && overrides == record.overrides.as_deref();
        is_known && *self.jobs[slot as usize].job.trigger.fingerprint() != *record.trigger
    }

    /// The due times of a job are decided elsewhere from now on. Those that were reached and wait for
    /// their jitter are still decided here.
    fn give_away(&mut self, slot: u32) {
        let state = &mut self.jobs[slot as usize];
        if state.away == Away::No {
            state.away = Away::Now;
            state.seek();
            let id = state.job.id.clone();
            self.is_decided(slot);
            self.leave_joins(&id);
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

    /// A due time that was decided before is to be decided again.
    fn decide_again(&mut self, id: &str, due: Instant) {
        if let Some(slot) = self.find_job(id) {
            let fire = fires_again(&self.jobs[slot as usize].job, due, self.last.wall);
            self.delayed.entry(slot).or_default().push(Wait { fire, due });
            self.reschedule(slot);
        }
    }

    /// A run whose host is dead gets another attempt, here.
    fn run_again(&mut self, again: RunAgain, step: &mut Step<'_>) {
        let RunAgain { run, job, due, attempt, started, place, reason } = again;
        let job_slot = self.find_job(&job);
        let survivor =
            Survivor { run, job, due, attempt, started: started.unwrap_or(step.now.wall) };
        let slot = self.take_over(survivor, job_slot, Phase::Resting, step.now);
        let run = &mut self.runs[slot];
        run.place = place;
        run.started = run.started.filter(|_| started.is_some());
        let outcome = Outcome::Lost(reason);
        run.last = Some(outcome.clone());
        let Some(job_slot) = job_slot else {
            // Its job is gone since.
            self.finish(slot, outcome, step);
            return;
        };
        self.jobs[job_slot as usize].retrying += 1;
        self.reschedule(job_slot);
        let run = &self.runs[slot];
        step.out.push(Action::Notice(Notice::Retrying {
            run: run.id,
            job: std::sync::Arc::clone(&run.job),
            due: run.due,
            started: run.started.map(|started| started.0),
            outcome,
            attempt: attempt.saturating_add(1),
            delay: std::time::Duration::ZERO,
        }));
        self.enqueue(slot, step);
    }

    /// A run is another's, who may begin it again: it is over here, and not to be recorded.
    fn disown(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &self.runs[slot];
        let (id, job) = (run.id, std::sync::Arc::clone(&run.job));
        let has_process = run.may_have_process();
        if has_process {
            step.out.push(Action::Kill(id));
        }
        step.out.push(Action::Notice(Notice::Disowned { run: id, job, has_process }));
        self.leave_to_others(slot, step);
    }

    /// Whether there are processes that others may begin again once they take this scheduler for
    /// dead.
    pub fn has_processes_to_end(&self) -> bool {
        let of = |run: &Run| run.runs_again() && run.may_have_process();
        self.runs.iter().any(|(_, run)| of(run))
    }

    /// What others may begin again is to end.
    pub(super) fn out_of_touch(&mut self, kill: bool, step: &mut Step<'_>) {
        let runs = self.runs.iter();
        let runs: Vec<u32> = runs
            .filter(|(_, run)| run.runs_again() && run.may_have_process())
            .map(|(slot, _)| slot)
            .collect();
        for slot in runs {
            self.react(slot, Input::OutOfTouch { kill }, step);
        }
    }

    /// Runs that others decide: what has not begun, and what they may begin again.
    fn part_with_runs(&mut self, step: &mut Step<'_>) {
        // What waits for another first, so that nothing takes the place of what goes.
        for phases in
            [&[Phase::Pending][..], &[Phase::Queued, Phase::Checking], &[Phase::Postponed]]
        {
            let unbegun = |run: &Run| {
                phases.contains(&run.phase) && run.started.is_none() && run.attempt <= 1
            };
            let ids: Vec<RunId> =
                self.runs.iter().filter(|(_, run)| unbegun(run)).map(|(_, run)| run.id).collect();
            for id in ids {
                if let Some(slot) = self.runs.find(id) {
                    self.leave_to_others(slot, step);
                }
            }
        }
        let ids: Vec<RunId> =
            self.runs.iter().filter(|(_, run)| run.runs_again()).map(|(_, run)| run.id).collect();
        for id in ids {
            if let Some(slot) = self.runs.find(id) {
                self.disown(slot, step);
            }
        }
    }

    /// Nothing that was decided here counts any more.
    fn forget_decisions(&mut self, step: &mut Step<'_>) {
        for state in &mut self.jobs {
            state.away = Away::Ever;
            state.seek();
        }
        self.delayed.clear();
        self.forget_chains();
        if let Some(fleet) = &mut self.fleet {
            fleet.elsewhere.clear();
            fleet.undecided.clear();
        }
        self.part_with_runs(step);
        self.fill_calendar();
    }

    /// What the store has of a job that is at home nowhere yet: what it is, and whether it is paused.
    fn note_record(&mut self, record: JobRecord) {
        let Some(slot) = self.find_job(&record.id) else { return };
        let JobRecord { pause, resumed, added, overrides, .. } = record;
        self.jobs[slot as usize].added = added.is_some();
        if added.is_some() || overrides.is_some() || pause.is_some() || resumed {
            let extra = self.extras.entry(slot).or_default();
            (extra.text, extra.overrides) = (added, overrides);
            self.note_pause(slot, pause, resumed);
        }
    }

    /// What others have of a job, and whether it is paused, if it is at home there.
    fn see(&mut self, seen: TakenJob) {
        let TakenJob { id, record, elsewhere, .. } = seen;
        let Some(slot) = self.find_job(&id) else { return };
        if let Some(record) = record
            && self.jobs[slot as usize].away != Away::No
        {
            self.note_pause(slot, record.pause, record.resumed);
        }
        self.set_elsewhere(id, elsewhere);
    }

    /// Whether a job that is at home elsewhere is paused.
    fn note_pause(&mut self, slot: u32, pause: Option<Pause>, resumed: bool) {
        let extra = self.extras.entry(slot).or_default();
        (extra.pause, extra.resumed) = (pause, resumed);
        let state = &mut self.jobs[slot as usize];
        state.paused = extra.pauses(&state.job);
        if *extra == Extra::default() {
            self.extras.remove(&slot);
        }
    }

    /// What another host has made of a job: `job` is as that says. One that is at home here is as it
    /// is here, unless what is known of it comes with it (`taken`), or it is at home everywhere.
    pub(super) fn learn(
        &mut self,
        job: Arc<Job>,
        record: JobRecord,
        taken: bool,
        step: &mut Step<'_>,
    ) -> Response {
        let slot = match self.find_job(&job.id) {
            Some(slot) => slot,
            None => {
                let slot = self.settle_in(Arc::clone(&job), step.now.wall);
                self.send_away(slot);
                slot
            }
        };
        let is_home = self.jobs[slot as usize].away == Away::No;
        if is_home && !taken && job.options.run_on != RunOn::All {
            return Response::Done;
        }
        let extra = self.extras.entry(slot).or_default();
        (extra.text, extra.overrides) = (record.added, record.overrides);
        if *extra == Extra::default() {
            self.extras.remove(&slot);
        }
        let is_known = *job.trigger.fingerprint() == *record.trigger;
        if !is_home {
            self.note_pause(slot, record.pause, record.resumed);
        } else if !taken {
            let own = self.extras.get(&slot).and_then(|extra| extra.pause.clone());
            let pause = record.pause.filter(|pause| pause.lasts(step.now.wall));
            self.as_others(|scheduler| match pause {
                Some(pause) if own.as_ref() != Some(&pause) => {
                    scheduler.pause_job(slot, pause, step);
                }
                None if own.is_some() => scheduler.resume_job(slot, step.now.wall, step),
                _ => {}
            });
        }
        // With a jobfile of its own a host that takes a job up may be the first to know of its trigger.
        match is_known || !taken {
            true => self.as_others(|scheduler| scheduler.redefine(slot, job, step)),
            false => self.redefine(slot, job, step),
        }
        Response::Done
    }

    /// Does what others do as well, or have done, as the end of a pause: the store is not told of it by this
    /// one too, neither of a job that has its home on each host ([`Remember::Learned`]) nor of all jobs.
    pub(super) fn as_others(&mut self, does: impl FnOnce(&mut Scheduler)) {
        let learns = std::mem::replace(&mut self.learns, self.fleet.is_some());
        does(self);
        self.learns = learns;
    }

    /// Another host has removed a job that was added at run time, or it is over.
    pub(super) fn forget(&mut self, job: &str, step: &mut Step<'_>) -> Response {
        if let Some(slot) = self.find_job(job) {
            let state = &self.jobs[slot as usize];
            let others = state.away != Away::No || state.job.options.run_on == RunOn::All;
            if state.added && others {
                self.clear_out(slot, step);
            }
        }
        Response::Done
    }

    /// The due times of a job are decided here from now on. Answers whether there is such a job.
    fn take_home(&mut self, slot: u32, taken: TakenJob, step: &mut Step<'_>) -> bool {
        let now = step.now.wall;
        let TakenJob { id, record, mut undecided, fates, fates_since, elsewhere, lost_until } =
            taken;
        if record.is_none() && self.jobs[slot as usize].added {
            // The store has had it before it could be at home anywhere: it is gone.
            self.clear_out(slot, step);
            return false;
        }
        let state = &mut self.jobs[slot as usize];
        let before = std::mem::replace(&mut state.away, Away::No);
        let own = state.decided;
        let is_new_here = before == Away::Ever && own == self.started.minus(TICK);
        match record {
            Some(record) => {
                if let Some(since) = fates_since {
                    self.find_waiting(slot, &record, &fates, since, &mut undecided);
                }
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
            let fire = fires_again(&self.jobs[slot as usize].job, due, now);
            self.delayed.entry(slot).or_default().push(Wait { fire, due });
        }
        self.set_elsewhere(id, elsewhere);
        true
    }

    /// Due times before the last one that is decided which have no fate: they waited, for their jitter
    /// or for a clock that was ahead.
    fn find_waiting(
        &self,
        slot: u32,
        record: &JobRecord,
        fates: &[(Instant, Instant)],
        since: Instant,
        undecided: &mut Vec<Instant>,
    ) {
        let job = &self.jobs[slot as usize].job;
        let is_paused = record.pause.is_some() || self.all_paused.is_some();
        if is_paused || *job.trigger.fingerprint() != *record.trigger {
            return;
        }
        let trigger = job.trigger.anchored(record.anchor);
        let mut due = trigger.next_after(since.max(record.since));
        let mut found = 0;
        while let Some(at) = due.filter(|at| *at <= record.decided)
            && found < MOST_WAITING
        {
            found += 1;
            let has_fate = fates.iter().any(|(first, last)| *first <= at && at <= *last);
            if !has_fate && !undecided.contains(&at) {
                undecided.push(at);
            }
            due = trigger.next_after(at);
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

    /// All jobs are paused, or no longer, as somebody has said elsewhere.
    fn pause_as_others(&mut self, pause: Option<Pause>, step: &mut Step<'_>) {
        let pause = pause.filter(|pause| pause.lasts(step.now.wall));
        self.as_others(|scheduler| match pause {
            Some(pause) if scheduler.all_paused.as_ref() != Some(&pause) => {
                scheduler.pause_all(pause, step);
            }
            Some(_) => {}
            None => scheduler.resume_all(step.now.wall, step),
        });
    }

    /// A claim was refused, though the due time has no fate: nothing has begun.
    pub(super) fn claim_refused(&mut self, run: RunId, why: Refusal, step: &mut Step<'_>) {
        let Some(slot) = self.runs.find(run) else { return };
        let state = &self.runs[slot];
        let unbegun = Phase::Checking == state.phase
            || matches!(state.phase, Phase::Pending | Phase::Queued | Phase::Starting);
        let begun = !unbegun || state.started.is_some();
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
            Refusal::Busy => {
                let outcome = Outcome::Skipped(SkipReason::Overlap);
                step.out.push(Action::Record(Record::without_run(job, due, outcome)));
            }
            Refusal::Early(by) => {
                let Some(job_slot) = job_slot else { return };
                // As if its jitter were longer by that.
                let fire = step.now.wall.plus(by);
                self.delayed.entry(job_slot).or_default().push(Wait { fire, due });
                self.reschedule(job_slot);
            }
            Refusal::NoStore => {}
        }
    }
}
