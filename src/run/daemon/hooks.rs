//! Hooks of jobs: what `crate::core::hooks` decides is handed to `crate::run::hook`, with the end of what
//! the run has printed where there is one. What becomes of them is one line in the log, if it is not well.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Loop;
use super::effects::Effects;
use crate::core::event::{Action, Record, Remember};
use crate::core::hooks::{self, Call};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{HookKind, Job, JobHook, JobSet};
use crate::core::streak::{FAILING, Streak};
use crate::core::words;
use crate::run::hook::{Hook, HookDone, HookResult, Hooks, KILL_AFTER, last_line};
use crate::store::Reader;
use crate::sys::mailbox::Mailbox;
use crate::sys::{clock, machine};

/// So much of what a hook prints is kept: enough to say why it has failed.
const KEEP: usize = 4096;

/// That there is no room for hooks is told once in so long.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct JobHooks {
    /// What people call this host.
    host: Box<str>,
    dropped: Arc<Dropped>,
}

/// Hooks there was no room for.
#[derive(Debug, Default)]
struct Dropped(Mutex<(u64, Option<Mono>)>);

impl Dropped {
    /// One more. Answers how many that are since it was last told, if it is to be told now.
    fn add(&self, now: Mono) -> Option<u64> {
        let mut dropped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.0 += 1;
        if dropped.1.is_some_and(|told| now.since(told) < TOLD_EVERY) {
            return None;
        }
        dropped.1 = Some(now);
        Some(std::mem::take(&mut dropped.0))
    }
}

impl JobHooks {
    /// For the jobs of a set.
    pub(super) fn new(set: &JobSet) -> JobHooks {
        let host = machine::host_of(&set.settings.fleet).into();
        JobHooks { host, dropped: Arc::default() }
    }

    /// Has a hook run.
    fn run(&self, call: &Call, effects: &Effects) {
        let Some(JobHook { command, retries, .. }) = call.hook().cloned() else { return };
        let about = About::of(call, retries, effects.failed_hooks().clone());
        let variables = call.variables(&self.host).into_iter();
        let mut hook = Hook {
            name: call.kind.option().into(),
            label: format!("{} of {}", call.kind.option(), call.job.id).into(),
            command,
            options: Arc::clone(&call.job.options),
            env: variables.map(|(name, value)| (name.into(), OsString::from(value))).collect(),
            stdin: Vec::new(),
            timeout: about.timeout,
            kill_after: KILL_AFTER,
            keep: KEEP,
        };
        let (hooks, dropped) = (effects.hooks().clone(), Arc::clone(&self.dropped));
        match call.run.filter(|_| call.has_output()) {
            None => submit(&hooks, hook, about, dropped),
            Some(run) => {
                let then = move |tail: &[u8], _| {
                    hook.stdin = tail.to_vec();
                    submit(&hooks, hook, about, dropped);
                };
                effects.output().tail(run, Box::new(then));
            }
        }
    }
}

/// A hook of a job that has failed: as the store has it, and its name there.
#[derive(Debug)]
pub(super) struct FailedHook(Box<str>, hooks::FailedHook);

impl Effects {
    /// Has those remembered that have failed since the last time.
    pub(super) fn note_failed_hooks(&mut self) {
        for FailedHook(key, failed) in self.failed_hooks().take() {
            // Numbers and texts can always be written.
            let text = serde_json::to_string(&failed).unwrap_or_default();
            self.with_failed_hooks().insert(hooks::job_of_key(&key).into());
            self.remember_entry(hooks::FAILED_HOOKS, key, Some(text.into()));
        }
    }

    /// What an earlier scheduler has left of them.
    pub(super) fn know_failed_hooks(&mut self, reader: &mut dyn Reader) {
        // Without it they stay in the store when their job goes.
        let entries = reader.entries(hooks::FAILED_HOOKS).unwrap_or_default();
        let jobs = entries.iter().map(|(key, _)| hooks::job_of_key(key).into());
        self.with_failed_hooks().extend(jobs);
    }

    /// Forgets those of a job that is gone.
    fn forget_failed_hooks(&mut self, job: &str) {
        if self.with_failed_hooks().remove(job) {
            for kind in HookKind::ALL {
                self.remember_entry(hooks::FAILED_HOOKS, hooks::failed_key(job, kind), None);
            }
        }
    }
}

impl Loop<'_> {
    /// Calls the hooks for which there is a reason. To be called before the action is performed:
    /// afterwards nobody has what the run has printed.
    pub(super) fn call_hooks(&mut self, action: &Action, streak: Streak, now: Instant) {
        let Some(hooks) = &mut self.hooks else { return };
        let scheduler = &*self.scheduler;
        for call in hooks::hear(action, now, streak, |id| scheduler.job(id).cloned()) {
            hooks.run(&call, self.effects);
        }
    }

    /// The same for runs of an earlier scheduler that were found to be over, and people are told of them:
    /// no action of this one is about them.
    pub(super) fn tell_of_lost(&mut self, lost: Vec<Record>, now: Now) {
        for record in lost {
            let action = Action::Record(record);
            let streak = self.count_failures(&action, now.wall);
            self.call_hooks(&action, streak, now.wall);
            self.effects.tell(&action, streak, now);
        }
    }

    /// Counts how many runs of a job have failed in a row, for its hooks and for whoever is told.
    pub(super) fn count_failures(&mut self, action: &Action, now: Instant) -> Streak {
        if let Action::Remember(Remember::Gone(job)) = action {
            self.effects.forget_failed_hooks(job);
            self.effects.forget_unusual(job);
        }
        let (streak, entries) = self.streaks.hear(now, action);
        for (key, value) in entries {
            self.effects.remember_entry(FAILING, key, value);
        }
        self.events.extend(streak.event(action));
        streak
    }

    /// Forgets jobs that are gone.
    pub(super) fn forget_failures(&mut self) {
        let scheduler = &*self.scheduler;
        self.streaks.retain(|id| scheduler.job(id).is_some());
    }
}

/// What is done when a hook has ended, and what the log says of it.
#[derive(Clone, Debug)]
struct About {
    kind: HookKind,
    job: Arc<Job>,
    run: Option<u64>,
    due: Instant,
    timeout: Duration,
    /// How often it is run again, should it fail.
    retries: u8,
    failed: Mailbox<FailedHook>,
}

impl About {
    fn of(call: &Call, retries: u8, failed: Mailbox<FailedHook>) -> About {
        let (kind, job, due) = (call.kind, Arc::clone(&call.job), call.facts.due);
        let (timeout, run) = (job.options.hook_timeout, call.run.map(|run| run.0));
        About { kind, job, run, due, timeout, retries, failed }
    }

    /// Whether it is to be run again after that: one time less is left then.
    fn is_retried(&mut self, result: &HookResult) -> bool {
        if result.is_success() || *result == HookResult::Stopped || self.retries == 0 {
            return false;
        }
        self.retries -= 1;
        log::info!(
            event = "hook_retrying",
            job = &*self.job.id,
            run = self.run,
            hook = self.kind.option(),
            retries_left = self.retries;
            "hook {} {result}, and is run again", self.kind.option()
        );
        true
    }

    /// How it has ended, unless it was well.
    fn done(&self, done: &HookDone) {
        let (hook, job) = (self.kind.option(), &*self.job.id);
        let is_ended = matches!(done.result, HookResult::TimedOut | HookResult::Stopped);
        if done.left_behind > 0 && !is_ended {
            log::warn!(
                event = "hook_left_behind",
                job = job,
                run = self.run,
                hook = hook,
                processes = done.left_behind;
                "hook {hook} exited; ended what it had left running ({})", done.left_behind
            );
        }
        if done.result.is_success() {
            log::debug!(
                event = "hook_succeeded",
                job = job,
                run = self.run,
                hook = hook;
                "hook {hook} succeeded after {}", words::elapsed(done.took)
            );
            return;
        }
        let (exit, signal, reason) = match &done.result {
            HookResult::Exited(code) => (Some(*code), None, None),
            HookResult::Killed(signal) => (None, Some(*signal), None),
            HookResult::NotStarted(reason) => (None, None, Some(&**reason)),
            HookResult::TimedOut => (None, None, Some("timed_out")),
            HookResult::Stopped => (None, None, Some("stopping")),
        };
        let mut text = done.result.to_string();
        if done.result == HookResult::TimedOut {
            text += &format!(" after {}", words::span(self.timeout));
        }
        if let Some(line) = last_line(&done.stderr) {
            text += &format!(": {line}");
        }
        // Of those that did not begin there may be many, and `let_go` says how many.
        let has_begun = done.result != HookResult::Stopped || !done.took.is_zero();
        if has_begun {
            let key = hooks::failed_key(job, self.kind);
            let (run, due, how) = (self.run, self.due.micros(), text.clone());
            self.failed.send(FailedHook(key, hooks::FailedHook { run, due, how }));
        }
        log::log!(
            if has_begun { log::Level::Warn } else { log::Level::Debug },
            event = "hook_failed",
            job = job,
            run = self.run,
            hook = hook,
            exit = exit,
            signal = signal,
            duration_ms = u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
            reason = reason;
            "hook {hook} {text}"
        );
    }
}

/// Submits a hook. That there is no room for it is told, but not of each.
fn submit(hooks: &Hooks, hook: Hook, about: About, dropped: Arc<Dropped>) {
    let mut told = about.clone();
    let again = (about.retries > 0).then(|| (hooks.clone(), hook.clone(), Arc::clone(&dropped)));
    let done = move |done: HookDone| match again {
        Some((hooks, hook, dropped)) if told.is_retried(&done.result) => {
            submit(&hooks, hook, told, dropped);
        }
        _ => told.done(&done),
    };
    if hooks.submit(hook, Box::new(done)).is_err()
        && let Some(number) = dropped.add(clock::mono())
    {
        let (hook, job) = (about.kind.option(), &*about.job.id);
        let others = match number {
            1 => String::new(),
            _ => format!(" (nor were {} others)", number - 1),
        };
        log::warn!(
            event = "hooks_dropped",
            job = job,
            run = about.run,
            hook = hook,
            count = number;
            "hook {hook} is not run{others}: too many are waiting"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_told_now_and_then() {
        let dropped = Dropped::default();
        let at = |secs: u64| Mono::from_micros(1_000_000 * (1000 + secs));
        let rows = [(0, Some(1)), (1, None), (59, None), (60, Some(3)), (61, None), (500, Some(2))];
        for (secs, told) in rows {
            assert_eq!(dropped.add(at(secs)), told, "{secs}");
        }
    }
}
