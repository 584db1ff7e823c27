//! Whose turn it is: what waits of each job, and which of them are tried together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::ping::{Phase, Ping};
use super::{Batch, Effect, End, Pings, Sending};
use crate::core::instant::Mono;
use crate::core::job::Job;
use crate::core::monitor::Monitor;

/// So many go together at most: one helper does them.
pub const BATCH: usize = 100;
/// So many batches may be on their way, of jobs whose monitors answer and of the others.
pub(super) const FLIGHTS: [usize; 2] = [2, 1];

/// A ping that waits.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// In the order in which they were decided.
    pub(super) number: u64,
    pub(super) ping: Ping,
    /// When it was decided, or would have been had the scheduler been there.
    pub(super) since: Mono,
    /// The output of its run is to come, and is waited for until then.
    pub(super) awaits: Option<Mono>,
}

#[derive(Clone, Debug)]
pub(super) struct Retry {
    /// How often it has failed in a row.
    pub(super) failed: u32,
    pub(super) next: Mono,
    /// The monitor has asked for that time.
    pub(super) is_asked: bool,
    pub(super) answer: Box<str>,
}

/// A job, or the scheduler, as far as its monitor is concerned.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) job: Option<Arc<Job>>,
    pub(super) monitor: Arc<Monitor>,
    /// At most one for each phase.
    pub(super) waiting: Vec<Slot>,
    /// What is being tried, and in which batch.
    pub(super) flying: Option<(u64, Slot)>,
    pub(super) retry: Option<Retry>,
    /// Where it stands among those that are to be sent.
    pub(super) place: Option<(usize, (Mono, u64))>,
    /// Phases of which something is written down.
    pub(super) rows: BTreeSet<Phase>,
    pub(super) limit: Option<usize>,
}

impl Watched {
    pub(super) fn new(job: Option<Arc<Job>>, monitor: Arc<Monitor>) -> Watched {
        let (waiting, flying, retry, place) = (Vec::new(), None, None, None);
        Watched { job, monitor, waiting, flying, retry, place, rows: BTreeSet::new(), limit: None }
    }

    /// What is to be sent next, and when.
    pub(super) fn next(&self) -> Option<(Mono, &Slot)> {
        if self.flying.is_some() {
            return None;
        }
        let slot = self.waiting.iter().min_by_key(|slot| slot.number)?;
        let retry = self.retry.as_ref().map(|retry| retry.next);
        Some(([slot.awaits, retry].into_iter().flatten().max().unwrap_or(slot.since), slot))
    }
}

/// Who is to be sent something, by when and in the order in which it was decided.
pub(super) type Lane = BTreeMap<(Mono, u64), Box<str>>;

impl Pings {
    /// Has a ping wait in its place.
    pub(super) fn put(&mut self, ping: Ping, since: Mono, awaits: Option<Mono>) {
        self.numbers += 1;
        let number = self.numbers;
        let id = ping.job.clone();
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let before = watched.waiting.iter().position(|slot| slot.ping.phase == ping.phase);
        if let Some(before) = before {
            let old = watched.waiting.remove(before);
            self.ends[End::Replaced as usize] += 1;
            if let Some(run) = old.ping.run.filter(|_| old.awaits.is_some()) {
                self.awaiting.remove(&run);
            }
        }
        // What is new is tried at once, unless the monitor has asked for patience.
        if let Some(retry) = watched.retry.as_mut().filter(|retry| !retry.is_asked) {
            retry.next = retry.next.min(since);
        }
        watched.waiting.push(Slot { number, ping, since, awaits });
        self.line_up(&id);
    }

    /// Puts whoever is watched where its next ping has its turn.
    pub(super) fn line_up(&mut self, id: &str) {
        let Some(watched) = self.watched.get_mut(id) else { return };
        if let Some((lane, place)) = watched.place.take() {
            self.lanes[lane].remove(&place);
        }
        if let Some((at, slot)) = watched.next() {
            let lane = usize::from(watched.retry.is_some());
            let place = (at, slot.number);
            watched.place = Some((lane, place));
            self.lanes[lane].insert(place, id.into());
        }
    }

    pub(super) fn has_room(&self, lane: usize) -> bool {
        self.flights.values().filter(|(of, _)| *of == lane).count() < FLIGHTS[lane]
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Mono) -> Vec<Effect> {
        let mut effects = Vec::new();
        for lane in 0..self.lanes.len() {
            while self.has_room(lane) {
                let Some(batch) = self.take(lane, now) else { break };
                effects.push(Effect::Send(batch));
            }
        }
        effects
    }

    fn take(&mut self, lane: usize, now: Mono) -> Option<Batch> {
        self.numbers += 1;
        let number = self.numbers;
        let (mut pings, mut ids) = (Vec::new(), Vec::new());
        while pings.len() < BATCH
            && let Some(first) = self.lanes[lane].first_entry()
            && first.key().0 <= now
        {
            let id = first.remove();
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            watched.place = None;
            let next = watched.waiting.iter().enumerate().min_by_key(|(_, slot)| slot.number);
            let Some((place, _)) = next else { continue };
            let mut slot = watched.waiting.remove(place);
            if let Some(run) = slot.ping.run.filter(|_| slot.awaits.take().is_some()) {
                self.awaiting.remove(&run);
            }
            pings.push(Sending {
                number: slot.number,
                ping: slot.ping.clone(),
                monitor: Arc::clone(&watched.monitor),
                job: watched.job.clone(),
                limit: watched.limit,
            });
            watched.flying = Some((number, slot));
            ids.push(id);
        }
        (!pings.is_empty()).then(|| {
            self.flights.insert(number, (lane, ids));
            Batch { number, pings }
        })
    }
}
