//! Requests of people and programs to a running scheduler: list, start, stop, pause, add, change and
//! remove jobs, as APScheduler does.
//!
//! Every [`Operation`] has its [`Response`] in the same step. What changes a job is remembered in
//! that step as well, before it is answered.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::event::{
    Action, Active, Change, ChangeKind, Code, Fault, JobCounts, JobDetail, JobPage, JobView,
    Notice, Operation, Pause, Paused, Remember, Response, RunId,
};
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::nearest::nearest;
use crate::core::outcome::Doing;
use crate::core::sort;
use crate::core::streak;
use crate::core::trigger::Trigger;
use crate::core::words;

use super::after::CannotFollow;
use super::jobs::{Extra, JobState, NEVER};
use super::reload;
use super::run::{Input, Phase};
use super::{Scheduler, Step};

/// How many due times to come [`Operation::Show`] answers.
pub const UPCOMING: usize = 5;

/// So many names are looked through for the one that was meant: a fraction of a millisecond.
const HINTS: usize = 1000;

impl Scheduler {
    /// Answers somebody.
    pub(super) fn operate(
        &mut self,
        ticket: u64,
        by: &str,
        operation: Operation,
        step: &mut Step<'_>,
    ) {
        // What has passed is decided by how things were.
        if !matches!(operation, Operation::List { .. } | Operation::Show { .. }) {
            self.decide(step);
        }
        let answer = self.answer(ticket, by, operation, step).unwrap_or_else(Response::Refused);
        step.out.push(Action::Answer { ticket, answer });
    }

    fn answer(
        &mut self,
        ticket: u64,
        by: &str,
        operation: Operation,
        step: &mut Step<'_>,
    ) -> Result<Response, Fault> {
        let changes = !matches!(operation, Operation::List { .. } | Operation::Show { .. });
        if changes && !self.life.is_accepting() && !matches!(operation, Operation::StopJob { .. }) {
            return Err(Fault::stopping());
        }
        match operation {
            Operation::List { from, limit } => Ok(Response::Jobs(self.page(from, limit))),
            Operation::Show { job } => {
                let slot = self.slot_of(&job)?;
                Ok(self.detail(slot))
            }
            Operation::Start { job, force, wait } => {
                self.start_now(ticket, by, &job, force, wait, step)
            }
            Operation::StopJob { job } => {
                let slot = self.slot_of(&job)?;
                let runs = self.runs_of(slot);
                self.stop_runs(&runs, by, step);
                Ok(Response::Stopped(runs))
            }
            Operation::StopRun { run } => {
                if self.runs.find(run).is_none() {
                    return Err(Fault::new(Code::NoSuchRun, format!("no run {run} is active")));
                }
                self.stop_runs(&[run], by, step);
                Ok(Response::Stopped(vec![run]))
            }
            Operation::Pause { job, until, reason } => {
                let pause = Pause { at: step.now.wall, until, by: by.into(), reason };
                self.pause(job, pause, step)
            }
            Operation::Resume { job } => self.resume(by, job, step),
            Operation::Learn { job, record, taken } => Ok(self.learn(job, *record, taken, step)),
            Operation::Forget { job } => Ok(self.forget(&job, step)),
            Operation::Add { job, text, replace } => self.add(by, job, text, replace, step),
            Operation::Remove { job, detail } => self.remove(by, job, detail, step),
            Operation::Change { job, overrides, what, detail } => {
                let slot = self.slot_of(&job.id)?;
                // An added job would be gone by it, for a slip of the pen.
                if overrides.is_some() && self.jobs[slot as usize].job.trigger != job.trigger {
                    would_run(&job, step.now.wall)?;
                }
                self.refuse_chain(&job)?;
                let extra = self.extras.entry(slot).or_default();
                extra.overrides = overrides;
                let id = job.id.clone();
                self.redefine(slot, job, step);
                self.change(Some(id), what, by, detail, step);
                Ok(self.detail(slot))
            }
        }
    }

    /// The slot of a job, by its id.
    fn slot_of(&self, id: &str) -> Result<u32, Fault> {
        self.find_job(id).ok_or_else(|| self.no_such_job(id))
    }

    /// Pauses a job, or all.
    fn pause(
        &mut self,
        job: Option<Box<str>>,
        pause: Pause,
        step: &mut Step<'_>,
    ) -> Result<Response, Fault> {
        if pause.until.is_some_and(|until| until <= step.now.wall) {
            return Err(Fault::new(Code::Past, "the end of the pause is already past"));
        }
        let (by, detail) = (pause.by.clone(), pause.reason.clone());
        match &job {
            None => self.pause_all(pause, step),
            Some(job) => {
                let slot = self.slot_of(job)?;
                self.pause_job(slot, pause, step);
            }
        }
        self.change(job, ChangeKind::Paused, &by, detail, step);
        Ok(Response::Done)
    }

    /// Pauses a job if that is what so many failures in a row do to it (`pause_after`), unless it is paused
    /// already.
    pub(super) fn failed_in_a_row(&mut self, job: &str, runs: u32, step: &mut Step<'_>) {
        let Some(slot) = self.find_job(job) else { return };
        let state = &self.jobs[slot as usize];
        let is_enough = state.job.options.pause_after.is_some_and(|most| runs >= most.get());
        if !is_enough || state.paused {
            return;
        }
        step.out
            .push(Action::Notice(Notice::PausedByFailures { job: Arc::clone(&state.job), runs }));
        let (by, reason) = ("schedrs".into(), Some(streak::phrase(runs).into()));
        let pause = Pause { at: step.now.wall, until: None, by, reason };
        let _ = self.pause(Some(job.into()), pause, step);
    }

    /// Ends the pause of a job, or that of all.
    fn resume(
        &mut self,
        by: &str,
        job: Option<Box<str>>,
        step: &mut Step<'_>,
    ) -> Result<Response, Fault> {
        let answer = match &job {
            None => {
                self.resume_all(step.now.wall, step);
                Response::Done
            }
            Some(job) => {
                let slot = self.slot_of(job)?;
                let was = self.paused(slot) != Paused::No;
                if self.jobs[slot as usize].paused {
                    self.resume_job(slot, step.now.wall, step);
                    self.reschedule(slot);
                }
                let zone = self.jobs[slot as usize].job.zone.clone();
                Response::Resumed { was, still: self.paused(slot), zone }
            }
        };
        self.change(job, ChangeKind::Resumed, by, None, step);
        Ok(answer)
    }

    /// Removes a job that was added.
    fn remove(
        &mut self,
        by: &str,
        job: Box<str>,
        detail: Option<Box<str>>,
        step: &mut Step<'_>,
    ) -> Result<Response, Fault> {
        let slot = self.slot_of(&job)?;
        if !self.jobs[slot as usize].added {
            let message = format!("`{job}` is in the jobfile: edit the file, then reload");
            return Err(Fault::new(Code::InFile, message));
        }
        self.vacate(slot, step);
        self.change(Some(job), ChangeKind::Removed, by, detail, step);
        Ok(Response::Done)
    }

    /// That there is no such job, and which may have been meant.
    pub fn no_such_job(&self, id: &str) -> Fault {
        let hint = match nearest(id, self.ids().take(HINTS)) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        Fault::new(Code::NoSuchJob, format!("no job `{id}`{hint}"))
    }

    /// The active runs of a job, in the order in which they were admitted.
    fn runs_of(&self, slot: u32) -> Vec<RunId> {
        let own = self.runs.iter().filter(|(_, run)| run.job_slot == Some(slot));
        let mut runs: Vec<RunId> = own.map(|(_, run)| run.id).collect();
        sort::all(&mut runs);
        runs
    }

    /// The same with those of other hosts, for a sentence: `7, 138 on another host`.
    fn runs_in_words(&self, slot: u32) -> String {
        let own = self.runs_of(slot).into_iter().map(|run| run.to_string());
        let others = self.others(slot).iter().map(|other| format!("{} on another host", other.run));
        own.chain(others).collect::<Vec<_>>().join(", ")
    }

    fn stop_runs(&mut self, runs: &[RunId], by: &str, step: &mut Step<'_>) {
        for &id in runs {
            // The end of one may have been that of another.
            if let Some(slot) = self.runs.find(id) {
                let job = self.runs[slot].job.id.clone();
                self.change(
                    Some(job),
                    ChangeKind::Stopped,
                    by,
                    Some(format!("run {id}").into()),
                    step,
                );
                self.react(slot, Input::Stop, step);
            }
        }
    }

    fn start_now(
        &mut self,
        ticket: u64,
        by: &str,
        id: &str,
        force: bool,
        wait: bool,
        step: &mut Step<'_>,
    ) -> Result<Response, Fault> {
        let slot = self.slot_of(id)?;
        if !force && let Some(pause) = self.pause_of(slot) {
            let message = format!("`{id}` is paused{}; use --force to start it anyway", pause);
            return Err(Fault::new(Code::Paused, message));
        }
        if self.jobs[slot as usize].retrying > 0 {
            self.supersede_retries(slot, step);
        }
        let state = &self.jobs[slot as usize];
        let most = state.job.options.max_instances.max(1);
        if state.active() >= self.room(slot) && !force {
            let runs = self.runs_in_words(slot);
            let checks = |run: &u32| self.runs[*run].phase == Phase::Checking;
            let message = match state.instances.iter().any(checks) {
                _ if self.has_held(slot) => format!(
                    "`{id}` is waiting for the store, which does not answer: run {runs}; use --force to start one more"
                ),
                true => format!(
                    "`{id}` is waiting for its conditions: run {runs}; use --force to start another now"
                ),
                false => format!(
                    "`{id}` is already running: run {runs}; max_instances is {most}; use --force to start one more"
                ),
            };
            return Err(Fault::new(Code::MaxInstances, message));
        }
        self.skip_for_run_by_hand(slot, step);
        let run = self.open_and_enqueue(slot, step.now.wall, Some(by), step);
        if self.jobs[slot as usize].counts_from_end() {
            self.reschedule(slot);
        }
        let (run, waits) = (self.runs[run].id, self.runs[run].phase == Phase::Queued);
        if wait {
            self.waiters.entry(run).or_default().push(ticket);
        }
        self.change(
            Some(id.into()),
            ChangeKind::Started,
            by,
            Some(format!("run {run}").into()),
            step,
        );
        Ok(Response::Started { run, waits })
    }

    /// By whom a job is paused and until when, as a fragment; `None`: it is not.
    fn pause_of(&self, slot: u32) -> Option<String> {
        Some(match self.paused(slot) {
            Paused::No => return None,
            Paused::ByFile => " by its definition".to_owned(),
            Paused::Job(pause) | Paused::All(pause) => {
                let until = pause.until.map(|until| format!(" until {until}"));
                format!(" by {}{}", pause.by, until.unwrap_or_default())
            }
        })
    }

    fn add(
        &mut self,
        by: &str,
        job: Arc<Job>,
        text: Box<str>,
        replace: bool,
        step: &mut Step<'_>,
    ) -> Result<Response, Fault> {
        self.refuse_chain(&job)?;
        let id = job.id.clone();
        let there = self.find_job(&id);
        if let Some(slot) = there {
            let added = self.jobs[slot as usize].added;
            if !added || !replace {
                let message = if added {
                    format!("a job `{id}` was already added; use --replace to replace it")
                } else {
                    format!("`{id}` is in the jobfile")
                };
                return Err(Fault::new(Code::Exists, message));
            }
        }
        if !job.options.paused {
            would_run(&job, step.now.wall)?;
        }
        let added = match there {
            Some(slot) => {
                self.extras.insert(slot, Extra { text: Some(text), ..Extra::default() });
                self.redefine(slot, job, step);
                self.detail(slot)
            }
            None => {
                let slot = self.settle_in(job, step.now.wall);
                self.extras.insert(slot, Extra { text: Some(text), ..Extra::default() });
                self.reschedule(slot);
                self.remember(slot, step);
                // Once it is sent away it has no due times here, and whoever adds it wants to know them.
                let added = self.detail(slot);
                self.send_away(slot);
                added
            }
        };
        let what = if there.is_some() { ChangeKind::Replaced } else { ChangeKind::Added };
        self.change(Some(id), what, by, None, step);
        Ok(added)
    }

    /// Refuses a job that cannot be due after those that it names.
    fn refuse_chain(&self, job: &Job) -> Result<(), Fault> {
        let id = &job.id;
        match self.cannot_follow(job) {
            None => Ok(()),
            Some(CannotFollow::NoJob(parent)) => Err(self.no_such_job(&parent)),
            Some(CannotFollow::Itself) => {
                let message = format!("`{id}` would never run: it would be due after itself");
                Err(Fault::new(Code::Never, message))
            }
            Some(CannotFollow::OtherHosts { each, once }) => {
                let message = format!(
                    "`{each}` runs on all hosts, `{once}` on one: neither can be due after the other"
                );
                Err(Fault::new(Code::Never, message))
            }
            Some(CannotFollow::EachHost) => {
                let message = format!(
                    "`{id}` would never run: with `run_on = \"all\"` a job cannot wait for several"
                );
                Err(Fault::new(Code::Never, message))
            }
        }
    }

    /// Puts a job that is new into a slot.
    pub(super) fn settle_in(&mut self, job: Arc<Job>, now: Instant) -> u32 {
        let id = job.id.clone();
        let pool = self.pools.of_executor(job.executor);
        let mut state = JobState::added(job, pool, now, self.started);
        state.added = true;
        if self.all_paused.is_some() {
            state.decided = now;
        }
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.jobs[slot as usize] = state;
                slot
            }
            None => {
                self.jobs.push(state);
                self.jobs.len() as u32 - 1
            }
        };
        if let Some(ids) = self.ids.get_mut() {
            ids.insert(id, slot);
        }
        self.chains.stale = true;
        slot
    }

    /// Gives a job another definition, as a reload would.
    pub(super) fn redefine(&mut self, slot: u32, job: Arc<Job>, step: &mut Step<'_>) {
        self.chains.stale = true;
        let pool = self.pools.of_executor(job.executor);
        let before = &self.jobs[slot as usize];
        if before.job.trigger != job.trigger
            && let Some(extra) = self.extras.get_mut(&slot)
        {
            extra.since = None;
        }
        let extra = self.extras.get(&slot).cloned().unwrap_or_default();
        let state = reload::changed(before, job, pool, &extra, step.now.wall, self.started);
        self.jobs[slot as usize] = state;
        if extra == Extra::default() {
            self.extras.remove(&slot);
        }
        self.reschedule(slot);
        self.count_if_idle(slot, step);
        self.remember(slot, step);
        self.retire(slot);
        if self.jobs[slot as usize].paused {
            self.skip_checking(slot, step);
        }
        // There may be more room for instances than before.
        self.promote(slot, step);
        self.dispatch(pool, step);
    }

    /// Has it remembered that somebody has done something.
    fn change(
        &self,
        job: Option<Box<str>>,
        what: ChangeKind,
        by: &str,
        detail: Option<Box<str>>,
        step: &mut Step<'_>,
    ) {
        let change = Change { at: step.now.wall, job, what, by: by.into(), detail };
        step.out.push(Action::Remember(Remember::Change(change)));
    }

    pub(super) fn paused(&self, slot: u32) -> Paused {
        let state = &self.jobs[slot as usize];
        match (self.extras.get(&slot).and_then(|extra| extra.pause.clone()), &self.all_paused) {
            (Some(pause), _) => Paused::Job(pause),
            (None, _) if state.paused => Paused::ByFile,
            (None, Some(pause)) => Paused::All(pause.clone()),
            (None, None) => Paused::No,
        }
    }

    fn page(&self, from: u32, limit: u32) -> JobPage {
        let counts = self.active_of_each();
        let end = from.saturating_add(limit.max(1)).min(self.jobs.len() as u32);
        let slots = (from.min(end)..end).filter(|&slot| !self.jobs[slot as usize].gone);
        JobPage {
            jobs: slots.map(|slot| self.view(slot, &counts)).collect(),
            more: ((end as usize) < self.jobs.len()).then_some(end),
            total: self.len(),
        }
    }

    /// How many runs of each job run and wait.
    fn active_of_each(&self) -> HashMap<u32, (u32, u32)> {
        let mut counts: HashMap<u32, (u32, u32)> = HashMap::new();
        for (_, run) in self.runs.iter() {
            let Some(job) = run.job_slot else { continue };
            let (running, waiting) = counts.entry(job).or_default();
            match run.summary().doing {
                Doing::Running | Doing::Ending => *running += 1,
                Doing::Queued | Doing::Pending | Doing::Retrying | Doing::Checking => {
                    *waiting += 1;
                }
            }
        }
        counts
    }

    fn view(&self, slot: u32, counts: &HashMap<u32, (u32, u32)>) -> JobView {
        let state = &self.jobs[slot as usize];
        let paused = self.paused(slot);
        let delayed = self.delayed.get(&slot).and_then(|delayed| delayed.first());
        let next = delayed.map_or(state.next, |first| state.next.min(first.due));
        // What counts from the end of a run has no other due time yet, also where that one is excluded.
        let has_others = next != NEVER && !state.counts_from_end();
        let next = match has_others && state.job.excluded(next).is_some() {
            true => state.timetable().kept_after(&state.job, next),
            false => next,
        };
        // What waits to be decided is past.
        let is_undecided = paused == Paused::No && self.is_undecided(slot);
        let is_due = paused == Paused::No && next != NEVER && self.life.is_accepting();
        let (running, waiting) = counts.get(&slot).copied().unwrap_or_default();
        JobView {
            job: Arc::clone(&state.job),
            executor: self.pools.name(state.pool),
            added: state.added,
            overridden: self.extras.get(&slot).is_some_and(|extra| extra.overrides.is_some()),
            next: (is_due && !is_undecided).then_some(next),
            awaits: match is_undecided {
                true => Some("once the store answers".into()),
                false => self.awaits(slot, paused == Paused::No && next == NEVER),
            },
            paused,
            running,
            waiting,
            anchor: state.anchor,
            known_since: match state.counts_from_end() {
                true => {
                    self.extras.get(&slot).and_then(|extra| extra.since).unwrap_or(state.anchor)
                }
                false => state.anchor,
            },
            counts: JobCounts::default(),
            failures: 0,
            slow: None,
        }
    }

    /// What its next due time waits for, if it is not known yet: `is_open` says that there is none.
    fn awaits(&self, slot: u32, is_open: bool) -> Option<Box<str>> {
        let state = &self.jobs[slot as usize];
        match &state.job.trigger {
            Trigger::FromEnd(trigger) if is_open && state.waits_for_end() => {
                words::after_run(trigger, self.last.wall)
            }
            Trigger::After(after) if is_open => Some(self.awaits_parents(after, 0).into()),
            _ => None,
        }
    }

    fn detail(&self, slot: u32) -> Response {
        let view = self.view(slot, &self.active_of_each());
        let state = &self.jobs[slot as usize];
        let runs = self.runs.iter().filter(|(_, run)| run.job_slot == Some(slot));
        let mut active: Vec<Active> = runs.map(|(_, run)| run.summary()).collect();
        sort::by_key(&mut active, |active| active.run);
        let mut upcoming: Vec<Instant> = Vec::with_capacity(UPCOMING);
        let mut due = view.next;
        while let Some(at) = due
            && upcoming.len() < UPCOMING
        {
            upcoming.push(at);
            let next = state.timetable().kept_after(&state.job, at);
            due = Some(next).filter(|&at| at != NEVER);
        }
        let extra = self.extras.get(&slot);
        let job = Box::new(JobDetail {
            overrides: extra.and_then(|extra| extra.overrides.clone()),
            text: extra.and_then(|extra| extra.text.clone()),
            active,
            upcoming,
            view,
        });
        Response::Job { job, warnings: Vec::new() }
    }
}

/// A job whose trigger names a due time from now on.
fn would_run(job: &Job, now: Instant) -> Result<(), Fault> {
    if matches!(job.trigger, Trigger::After(_)) {
        return Ok(());
    }
    let (trigger, after) = (job.trigger.anchored(now), now.minus(super::jobs::TICK));
    if job.next_kept(&trigger, after).is_some() {
        return Ok(());
    }
    let id = &job.id;
    Err(Fault::new(
        Code::Never,
        match job.trigger {
            _ if trigger.next_after(after).is_some() => {
                format!("`{id}` would never run: `except` and `only` exclude all its due times")
            }
            Trigger::Date(_) => format!("`{id}` would never run: its date is in the past"),
            _ => format!("`{id}` would never run: its trigger has no due times from now on"),
        },
    ))
}
