//! Starts that hang: noticed, reported, and cancelled (given up).
//!
//! Making a process takes a millisecond, or it hangs for as long as a file system or a user database
//! does. `crate::run::executor` sees to it that the others go on; here the scheduler is told, so that
//! `timeout` counts, and people are, so that they know what to look at. While no start is in
//! progress, and while everybody knows of those that hang, nobody looks.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::Effects;
use crate::core::event::{Event, RunId};
use crate::core::instant::Mono;
use crate::core::job::Job;
use crate::core::words;
use crate::run::executor::{SLOW, Slow};
use crate::sys::clock;

/// From here on a start hangs, as far as the scheduler is concerned.
const HANGS: Duration = Duration::from_millis(500);

/// From here on people are told.
const WORTH_SAYING: Duration = Duration::from_secs(2);

/// No more than so many in progress are nothing special.
const FEW: usize = 8;

/// No more starts than this are named where a scheduler says how it is.
const NAMED: usize = 5;

/// What is known of starts in progress.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// How many runs wait for their process.
    waiting: usize,
    /// When to look at them.
    look_at: Option<Mono>,
    /// Of which the scheduler knows that they hang, and whether people do.
    told: HashMap<RunId, bool>,
}

impl Starts {
    /// One more run waits for its process.
    pub(super) fn add(&mut self, now: Mono) {
        self.waiting += 1;
        self.look_at.get_or_insert(now.plus(SLOW));
    }

    /// A run waits no longer.
    pub(super) fn remove(&mut self, run: RunId) {
        self.waiting = self.waiting.saturating_sub(1);
        if !self.told.is_empty() {
            self.told.remove(&run);
        }
        if self.waiting == 0 {
            self.look_at = None;
        }
    }

    /// Whether so many are in progress that it pays to think of all of them.
    pub(super) fn are_many(&self) -> bool {
        self.waiting > FEW
    }

    /// When to look at them.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.look_at
    }
}

impl Effects {
    /// Whether so many starts are in progress that the others may be made first.
    pub(in crate::run::daemon) fn are_many_starting(&self) -> bool {
        self.starts.are_many()
    }

    /// Lets starts that wait for a thread go first, for so long at most. Answers whether some still wait,
    /// and none hangs.
    pub(in crate::run::daemon) fn let_starts_go_first(&self, most: Duration) -> bool {
        self.executor.let_starts_go_first(most)
    }

    /// Looks at the starts in progress, if it is time.
    pub(super) fn look_at_starts(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        if self.starts.look_at.is_none_or(|at| at > now) {
            return;
        }
        for run in self.executor.look(now) {
            self.starts.remove(run);
            self.runs.remove(&run);
            let reason = "all threads that start processes hang".to_owned();
            events.push_back(Event::NotStarted { run, reason, transient: true });
        }
        let slow = self.executor.slow(now);
        if let Some(records) = self.records.as_mut().filter(|_| !slow.is_empty()) {
            records.stand_in();
        }
        let mut known = 0;
        for slow in slow.iter().filter(|slow| !slow.given_up) {
            let lasts = now.since(slow.taken);
            if lasts >= HANGS && !self.starts.told.contains_key(&slow.run) {
                self.starts.told.insert(slow.run, false);
                events.push_back(Event::StartHangs { run: slow.run, taken: slow.taken });
            }
            if lasts >= WORTH_SAYING {
                self.say_that_it_hangs(slow, now);
                known += 1;
            }
        }
        self.starts.look_at = (known < self.starts.waiting).then(|| now.plus(SLOW));
    }

    fn say_that_it_hangs(&mut self, slow: &Slow, now: Mono) {
        if self.starts.told.insert(slow.run, true) == Some(true) {
            return;
        }
        let child = slow.child.map(|child| format!(" (pid {child})")).unwrap_or_default();
        log::warn!(
            event = "start_hangs",
            job = &*slow.job.id,
            run = slow.run.0,
            attempt = slow.attempt,
            pid = slow.child,
            reason = &*slow.waits_for;
            "start hangs: waiting for {}{child} for {}",
            slow.waits_for, words::span(now.since(slow.taken))
        );
    }

    /// Gives up the start of a run, if it is still in progress.
    pub(super) fn give_up_start(&mut self, run: RunId, events: &mut VecDeque<Event>) {
        let now = clock::mono();
        let is_it = |slow: &Slow| slow.run == run && !slow.given_up;
        let slow = self.executor.slow(now).into_iter().find(is_it);
        if !self.executor.give_up(run, now) {
            // What has come of it is on its way here.
            return;
        }
        let mut reason = "the start hung".to_owned();
        if let Some(slow) = slow {
            self.say_that_it_hangs(&slow, now);
            reason += &format!(", waiting for {}", slow.waits_for);
        }
        self.starts.remove(run);
        self.runs.remove(&run);
        self.last_attempt = 126;
        events.push_back(Event::NotStarted { run, reason, transient: false });
    }

    /// What there is to say of starts that hang, each in a sentence.
    pub(in crate::run::daemon) fn hanging(&self, now: Mono) -> Vec<String> {
        let slow = self.executor.slow(now);
        let hanging = slow.iter().filter(|slow| now.since(slow.taken) >= WORTH_SAYING);
        let mut said: Vec<String> = hanging.map(|slow| sentence(slow, now)).collect();
        if said.len() > NAMED {
            let more = said.len() - NAMED;
            said.truncate(NAMED);
            said.push(format!("{more} more starts hang"));
        }
        said
    }
}

fn sentence(slow: &Slow, now: Mono) -> String {
    let how = if slow.given_up { "was given up and still hangs" } else { "hangs" };
    let (job, run, waits_for) = (&slow.job.id, slow.run, &slow.waits_for);
    let since = words::span(now.since(slow.taken));
    format!("the start of {job} (run {run}) {how}: waiting for {waits_for} for {since}")
}

/// A start that was given up has come to an end.
pub(super) fn came_back(run: RunId, job: &Job, after: Duration, late: Duration, pid: Option<u32>) {
    // Most of them do at once, because their child was killed.
    let level = if late < WORTH_SAYING { log::Level::Debug } else { log::Level::Warn };
    let killed = pid.map(|pid| format!("; its process, pid {pid}, was killed"));
    log::log!(
        level,
        event = "start_came_back",
        job = &*job.id,
        run = run.0,
        pid = pid;
        "the abandoned start came back after {}{}",
        words::span(after), killed.unwrap_or_default()
    );
}
