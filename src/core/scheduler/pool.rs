//! Executors: slots, and a first-in-first-out queue for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::core::instant::Mono;
use crate::core::job::Executor;

use super::run::{Handle, Phase, Runs};

/// The executor that is always there.
const DEFAULT: &str = "default";

/// One executor.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) name: Arc<str>,
    /// How many slots it has.
    pub(super) slots: u32,
    /// How many of them are taken. More than `slots` after a reload made it smaller.
    pub(super) busy: u32,
    /// From one start to the next, at least.
    distance: Duration,
    /// No start before.
    next_start: Mono,
    /// Who waits, in order, and since when; those who no longer do are passed over.
    queue: VecDeque<(Handle, Mono)>,
    /// How many of the queue really wait.
    pub(super) waiting: usize,
}

/// All executors of this jobfile, and those of earlier ones that still have runs.
#[derive(Debug)]
pub(super) struct Pools {
    pools: Vec<Pool>,
    /// The pool of each executor of the jobfile.
    of_executor: Vec<u16>,
    /// Whether any has a distance from one start to the next: few jobfiles have.
    is_spaced: bool,
}

impl Pools {
    pub(super) fn new(executors: &[Executor]) -> Pools {
        let mut pools = Pools { pools: Vec::new(), of_executor: Vec::new(), is_spaced: false };
        pools.set(executors);
        pools
    }

    /// Takes over the executors of a jobfile, matched by name. One that is gone keeps its slots
    /// until its runs have ended.
    pub(super) fn set(&mut self, executors: &[Executor]) {
        self.of_executor.clear();
        for executor in executors {
            let name = &executor.name;
            let index = self.pools.iter().position(|pool| pool.name == *name);
            let index = index.unwrap_or_else(|| {
                self.pools.push(Pool::new(Arc::clone(name)));
                self.pools.len() - 1
            });
            // Without a slot nothing would ever run.
            self.pools[index].slots = executor.max_workers.max(1);
            let distance = executor.distance();
            self.pools[index].distance = distance;
            if distance.is_zero() {
                self.pools[index].next_start = Mono::from_micros(0);
            }
            self.of_executor.push(u16::try_from(index).unwrap_or(0));
        }
        self.is_spaced = self.pools.iter().any(|pool| !pool.distance.is_zero());
        if self.pools.is_empty() {
            self.pools.push(Pool::new(DEFAULT.into()));
        }
    }

    /// The pool of an executor of the jobfile; the first one if there is no such executor.
    pub(super) fn of_executor(&self, executor: u16) -> u16 {
        self.of_executor.get(usize::from(executor)).copied().unwrap_or(0)
    }

    pub(super) fn name(&self, pool: u16) -> Arc<str> {
        self.pools.get(usize::from(pool)).map_or_else(|| DEFAULT.into(), |pool| pool.name.clone())
    }

    pub(super) fn len(&self) -> u16 {
        self.pools.len() as u16
    }

    /// All that are of use: those of the jobfile, and those that still have runs.
    pub(super) fn in_use(&self) -> impl Iterator<Item = (u16, &Pool)> {
        let numbered = self.pools.iter().enumerate().map(|(index, pool)| (index as u16, pool));
        numbered.filter(|(index, pool)| {
            self.of_executor.contains(index) || pool.busy > 0 || pool.waiting > 0
        })
    }

    /// When the next of those may start who only wait for their turn.
    pub(super) fn next_start(&self) -> Option<Mono> {
        if !self.is_spaced {
            return None;
        }
        self.pools.iter().filter_map(Pool::next_start).min()
    }

    pub(super) fn get(&mut self, pool: u16) -> &mut Pool {
        &mut self.pools[usize::from(pool)]
    }
}

impl Pool {
    fn new(name: Arc<str>) -> Pool {
        Pool {
            name,
            slots: 1,
            busy: 0,
            distance: Duration::ZERO,
            next_start: Mono::from_micros(0),
            queue: VecDeque::new(),
            waiting: 0,
        }
    }

    /// Whether an attempt may start now: a slot is free, and the last start is long enough ago.
    pub(super) fn may_start(&self, now: Mono) -> bool {
        self.busy < self.slots && self.next_start <= now
    }

    /// Whether a run that comes now may start before those that came earlier: only if none did.
    pub(super) fn is_open(&self, now: Mono) -> bool {
        self.may_start(now) && self.waiting == 0
    }

    /// An attempt takes a slot, and starts.
    pub(super) fn begin(&mut self, now: Mono) {
        self.busy += 1;
        if !self.distance.is_zero() {
            // From when it really starts: what a late loop would make up for might be one too many in
            // some second.
            self.next_start = now.plus(self.distance);
        }
    }

    /// When the first of the queue may start, if it waits for nothing else.
    pub(super) fn next_start(&self) -> Option<Mono> {
        let waits = self.waiting > 0 && self.busy < self.slots && !self.distance.is_zero();
        waits.then_some(self.next_start)
    }

    pub(super) fn push(&mut self, run: Handle, now: Mono, runs: &Runs) {
        // Runs that gave up waiting stay in the queue until their turn comes, which may be never.
        if self.queue.len() > 2 * self.waiting + 64 {
            self.queue.retain(|&(run, _)| waits(run, runs));
        }
        self.queue.push_back((run, now));
        self.waiting += 1;
    }

    /// A run of the queue has stopped waiting.
    pub(super) fn forget(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// The next of the queue. It counts as waiting until it is forgotten.
    pub(super) fn pop(&mut self, runs: &Runs) -> Option<u32> {
        while let Some((run, _)) = self.queue.pop_front() {
            if waits(run, runs) {
                return Some(run.slot);
            }
        }
        None
    }

    /// Since when the first of the queue waits.
    pub(super) fn first_since(&self, runs: &Runs) -> Option<Mono> {
        self.queue.iter().find(|(run, _)| waits(*run, runs)).map(|(_, since)| *since)
    }
}

/// Whether a run of a queue still waits for a slot.
fn waits(run: Handle, runs: &Runs) -> bool {
    runs.is_live(run) && runs[run.slot].phase == Phase::Queued
}
