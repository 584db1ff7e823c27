//! What tells whether a scheduler does its work: how long runs wait for a slot, and whether anything was
//! due that it has not seen to. `crate::core::health` judges.

use std::time::Duration;

use crate::core::event::PoolVitals;
use crate::core::instant::Mono;

use super::Scheduler;

impl Scheduler {
    /// The executors, and who waits for them.
    pub fn pools(&self, now: Mono) -> Vec<PoolVitals> {
        let pool = |(_, pool): (u16, &super::pool::Pool)| PoolVitals {
            name: pool.name.clone(),
            workers: pool.slots,
            is_spaced: pool.next_start().is_some(),
            running: pool.busy,
            waiting: u32::try_from(pool.waiting).unwrap_or(u32::MAX),
            longest: pool.first_since(&self.runs).map_or(Duration::ZERO, |since| now.since(since)),
        };
        self.pools.in_use().map(pool).collect()
    }

    /// How long something had been due, when it last looked, that it has not seen to. There is nothing
    /// like that, unless something is wrong here.
    pub fn behind(&self) -> Duration {
        let due = self.next_wakeup().wall;
        due.map_or(Duration::ZERO, |due| self.last.wall.since(due))
    }
}
