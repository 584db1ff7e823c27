//! What effects have to do with the others that share the store.

use super::{Effects, State};
use crate::core::event::{RunId, Silence};
use crate::core::instant::{Instant, Mono};
use crate::run::daemon::records::Records;
use crate::store::keeper::FleetOrder;

impl Effects {
    /// Something that the thread of a shared store is to do beside.
    pub(in crate::run::daemon) fn fleet_order(&self, order: FleetOrder) {
        if let Some(records) = &self.records {
            records.order(order);
        }
    }

    /// Whether what the store had of a job, or of whether all are paused, with that batch of this scheduler
    /// is older than what was changed here.
    pub(in crate::run::daemon) fn has_newer(&self, job: Option<&str>, written: u64) -> bool {
        self.records.as_ref().is_some_and(|records| records.has_newer(job, written))
    }

    /// [`Effects::has_newer`] is not asked with an earlier batch any more.
    pub(in crate::run::daemon) fn forget_changes(&mut self, written: u64) {
        if let Some(records) = &mut self.records {
            records.forget_changes(written);
        }
    }

    /// Runs that never began are to be withdrawn when their due times are decided again.
    pub(in crate::run::daemon) fn will_withdraw(&mut self, runs: Vec<(Box<str>, Instant, RunId)>) {
        if let Some(records) = &mut self.records {
            runs.into_iter().for_each(|(job, due, run)| records.will_withdraw(job, due, run));
        }
    }

    /// Until when the others that share the store cannot have taken this scheduler for dead.
    pub(in crate::run::daemon) fn alive_until(&self) -> Option<Mono> {
        self.records.as_ref().and_then(Records::alive_until)
    }

    /// How far a store that others share has answered.
    pub(in crate::run::daemon) fn silence(&self, now: Mono) -> Silence {
        self.records.as_ref().map_or(Silence::None, |records| records.silence(now))
    }

    /// Says how many runs are active.
    pub(in crate::run::daemon) fn set_running(&self) {
        if let Some(records) = &self.records {
            records.set_running(u32::try_from(self.runs.len()).unwrap_or(u32::MAX));
        }
    }

    /// A run is none of ours: its start has been dropped.
    pub(in crate::run::daemon) fn claim_lost(&mut self, id: RunId) {
        if self.runs.get(&id).is_some_and(|run| matches!(run.state, State::Starting)) {
            self.starts.remove(id);
            self.runs.remove(&id);
        }
    }
}
