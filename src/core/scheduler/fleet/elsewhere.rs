//! The runs that other hosts have of jobs that are at home here: they count as instances until they are over.

use crate::core::event::{Action, Elsewhere, RunId};
use crate::core::fleet::RunOn;
use crate::core::scheduler::{Scheduler, Step};
use crate::core::sort;

impl Scheduler {
    /// The runs of a job that others have.
    pub(super) fn set_elsewhere(&mut self, id: Box<str>, elsewhere: Vec<Elsewhere>) {
        let (mine, slot) = (&self.runs, self.find_job(&id));
        // With `run_on = "all"` each host has instances of its own.
        let each =
            slot.is_some_and(|slot| self.jobs[slot as usize].job.options.run_on == RunOn::All);
        let counts = |other: &Elsewhere| !each && mine.find(other.run).is_none();
        let others: Vec<Elsewhere> = elsewhere.into_iter().filter(counts).collect();
        if let Some(fleet) = &mut self.fleet {
            if others.is_empty() {
                fleet.elsewhere.remove(&id);
            } else {
                fleet.elsewhere.insert(id, (others, false));
            }
        }
    }

    /// Runs of others are over: answers whose.
    pub(super) fn forget_elsewhere(&mut self, ended: &[RunId]) -> Vec<Box<str>> {
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
        sort::all(&mut freed);
        freed
    }

    /// The runs of a job that others have.
    pub(in crate::core::scheduler) fn others(&self, slot: u32) -> &[Elsewhere] {
        let Some(fleet) = &self.fleet else { return &[] };
        let id = &self.jobs[slot as usize].job.id;
        fleet.elsewhere.get(id).map_or(&[], |others| &others.0)
    }

    /// How many instances of a job there may be here, for a due time that comes now.
    pub(in crate::core::scheduler) fn room(&self, slot: u32) -> u32 {
        let most = self.jobs[slot as usize].job.options.max_instances.max(1);
        most.saturating_sub(self.others(slot).len() as u32)
    }

    /// The same for a run that waits. Two that wait on two hosts must not wait for each other: the
    /// earlier due time goes first.
    pub(in crate::core::scheduler) fn room_for(&self, slot: u32, run: u32) -> u32 {
        let most = self.jobs[slot as usize].job.options.max_instances.max(1);
        let mine = (self.runs[run].due, self.runs[run].id);
        let before = |other: &&Elsewhere| !other.waits || (other.due, other.run) < mine;
        most.saturating_sub(self.others(slot).iter().filter(before).count() as u32)
    }

    /// Has the oldest run of a job ended that another scheduler has: whoever acts on this passes it
    /// on.
    pub(in crate::core::scheduler) fn end_elsewhere(&mut self, slot: u32, step: &mut Step<'_>) {
        let Some(fleet) = &mut self.fleet else { return };
        let id = &self.jobs[slot as usize].job.id;
        let Some((others, asked)) = fleet.elsewhere.get_mut(id) else { return };
        if let (Some(oldest), false) = (others.first(), *asked) {
            *asked = true;
            step.out.push(Action::Terminate(oldest.run));
        }
    }

    /// The first of the places of a job that no run has.
    pub(in crate::core::scheduler) fn free_place(&self, slot: u32) -> Option<u16> {
        self.fleet.as_ref()?;
        let most = self.jobs[slot as usize].job.options.max_instances.max(1);
        let mut taken: Vec<u16> = self.others(slot).iter().filter_map(|run| run.place).collect();
        let instances = self.jobs[slot as usize].instances.iter();
        taken.extend(instances.filter_map(|&run| self.runs[run].place));
        (0..u16::try_from(most).unwrap_or(u16::MAX)).find(|place| !taken.contains(place))
    }
}
