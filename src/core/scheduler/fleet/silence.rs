//! Due times that wait for a shared store to answer: nobody can tell then whether the runs before them have
//! begun, or who decides them.

use crate::core::event::Silence;
use crate::core::instant::Instant;
use crate::core::scheduler::Scheduler;

impl Scheduler {
    /// The store has answered, or is silent.
    pub(in crate::core::scheduler) fn hear_silence(&mut self, silence: Silence) {
        let Some(fleet) = &mut self.fleet else { return };
        let before = std::mem::replace(&mut fleet.silence, silence);
        let is_longer = match (before, silence) {
            (_, Silence::Cut(_)) | (Silence::None, _) => true,
            (_, Silence::None) | (Silence::Cut(_), _) => false,
            (Silence::Since(before), Silence::Since(answered)) => answered <= before,
        };
        if !is_longer && !fleet.undecided.is_empty() {
            fleet.held_up = std::mem::take(&mut fleet.undecided);
            self.fill_calendar();
        }
    }

    /// Whether the due times of a job that have passed cannot be decided before the store answers: it
    /// has no room for another run, but what it has is not known to run. Once that is so it stays so,
    /// for where one run has waited for too long, the next would. Nor can they be where nobody can tell
    /// who decides them.
    pub(in crate::core::scheduler) fn is_held_up(&self, slot: u32) -> bool {
        let Some(fleet) = &self.fleet else { return false };
        let is_full = || self.jobs[slot as usize].active() >= self.room(slot);
        matches!(fleet.silence, Silence::Cut(_))
            || fleet.undecided.contains_key(&slot)
            || (self.has_held(slot) && is_full())
    }

    /// Whether a job has a run that is only held.
    pub(in crate::core::scheduler) fn has_held(&self, slot: u32) -> bool {
        let answered = self.fleet.as_ref().and_then(|fleet| fleet.silence.answered());
        answered.is_some_and(|answered| {
            let instances = self.jobs[slot as usize].instances.iter();
            instances.copied().any(|run| self.runs[run].is_held(answered))
        })
    }

    /// Leaves the due times of a job for when the store answers.
    pub(in crate::core::scheduler) fn leave_undecided(&mut self, slot: u32, now: Instant) {
        if let Some(fleet) = &mut self.fleet {
            // It may have waited before, for another answer.
            let since = fleet.held_up.get(&slot).copied().unwrap_or(now);
            fleet.undecided.entry(slot).or_insert(since);
        }
    }

    pub(in crate::core::scheduler) fn is_undecided(&self, slot: u32) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| fleet.undecided.contains_key(&slot))
    }

    pub(in crate::core::scheduler) fn has_undecided(&self) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| !fleet.undecided.is_empty())
    }

    /// Nothing of a job waits to be decided here any more.
    pub(in crate::core::scheduler) fn is_decided(&mut self, slot: u32) {
        if let Some(fleet) = &mut self.fleet {
            fleet.undecided.remove(&slot);
        }
    }

    /// Since when the due times of a job that are decided now had waited for the store.
    pub(in crate::core::scheduler) fn held_up_since(&self, slot: u32) -> Option<Instant> {
        self.fleet.as_ref()?.held_up.get(&slot).copied()
    }

    /// All of them are decided by now.
    pub(in crate::core::scheduler) fn forget_held_up(&mut self) {
        if let Some(fleet) = &mut self.fleet {
            fleet.held_up.clear();
        }
    }

    /// A reload has moved jobs to other slots.
    pub(in crate::core::scheduler) fn move_undecided(&mut self, moved: &[Option<u32>]) {
        if let Some(fleet) = &mut self.fleet {
            let undecided = std::mem::take(&mut fleet.undecided);
            let moved = |(slot, since)| Some((moved.get(slot as usize).copied()??, since));
            fleet.undecided = undecided.into_iter().filter_map(moved).collect();
        }
    }
}
