//! What follows from what has become of a try: it has ended, or is tried again later; and who does not answer.

use std::collections::HashMap;
use std::time::Duration;

use super::super::outbox::{delay, spread};
use super::super::ping::{Ping, Row};
use super::queue::{Retry, Slot};
use super::{Came, Effect, End, Pings, Said, Tried};
use crate::core::instant::Now;

/// What could not be delivered for so long is given up.
pub(super) const OLD: Duration = Duration::from_secs(3600);
/// The longest until the next try, unless the monitor asks for more.
const LONGEST: Duration = Duration::from_secs(900);

impl Pings {
    /// What has become of a batch. What it is silent about is tried again.
    pub fn tried(&mut self, batch: u64, tried: &[Tried], now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some((_, ids)) = self.flights.remove(&batch) else { return effects };
        let found: HashMap<u64, &Tried> = tried.iter().map(|it| (it.number, it)).collect();
        let failed = !self.failing.is_empty();
        let mut gave_up: Option<(usize, Box<str>, Box<str>)> = None;
        for id in ids {
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            let Some((_, slot)) = watched.flying.take_if(|(of, _)| *of == batch) else { continue };
            let none = Came::Again(None);
            let (came, answer) = match found.get(&slot.number) {
                Some(it) => {
                    watched.limit = it.limit.or(watched.limit);
                    (&it.came, &*it.answer)
                }
                // Nobody knows: it may have arrived, or not.
                None => (&none, "there was no answer"),
            };
            if let Some(End::GaveUp) = self.landed(&id, slot, came, answer, now, &mut effects) {
                let (count, ..) = gave_up.get_or_insert_with(|| (0, id.clone(), answer.into()));
                *count += 1;
            }
            self.line_up(&id);
        }
        if let Some((count, id, answer)) = gave_up {
            effects.push(Effect::Say(Said::GaveUp(count, id, answer)));
        }
        match self.failing.first() {
            Some(id) if !failed => {
                let answer = self.answer_of(id);
                effects.push(Effect::Say(Said::Failing(id.clone(), answer)));
            }
            None if failed => effects.push(Effect::Say(Said::Work)),
            _ => {}
        }
        effects
    }

    /// One of them. Answers how it has ended, if it has.
    fn landed(
        &mut self,
        id: &str,
        slot: Slot,
        came: &Came,
        answer: &str,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Option<End> {
        let watched = self.watched.get_mut(id)?;
        let phase = slot.ping.phase;
        let is_replaced = watched.waiting.iter().any(|other| other.ping.phase == phase);
        if let Came::Again(after) = came {
            self.failing.insert(id.into());
            let failed = watched.retry.take().map_or(0, |retry| retry.failed).saturating_add(1);
            let own = spread(delay(failed).min(LONGEST), &slot.ping.rid, failed);
            let next = now.mono.plus(own.max(after.unwrap_or_default()));
            let is_asked = after.is_some();
            // What has come meanwhile does not wait for it.
            let next = if is_replaced && !is_asked { now.mono.plus(delay(1)) } else { next };
            watched.retry = Some(Retry { failed, next, is_asked, answer: answer.into() });
            if is_replaced {
                return Some(self.count(End::Replaced));
            }
            if next.since(slot.since) < OLD {
                watched.waiting.push(slot);
                return None;
            }
        } else {
            watched.retry = None;
            self.failing.remove(id);
        }
        let end = match came {
            Came::Sent => End::Sent,
            Came::Refused => End::Refused,
            Came::Again(_) => End::GaveUp,
            Came::Unwanted => {
                if !is_replaced && watched.rows.remove(&phase) {
                    effects.push(Effect::Write(Row::key(id, phase, &self.host), None));
                }
                return None;
            }
        };
        if end == End::Refused && self.refused.insert(id.into()) {
            effects.push(Effect::Say(Said::Refused(id.into(), answer.into())));
        }
        // What waits in its place is written there.
        if !is_replaced {
            let ping = Ping { output: None, ..slot.ping };
            effects.push(self.write(&ping, end.word(), answer, Some(now.wall)));
        }
        Some(self.count(end))
    }

    fn count(&mut self, end: End) -> End {
        self.ends[end as usize] += 1;
        end
    }

    pub(super) fn answer_of(&self, id: &str) -> Box<str> {
        let retry = self.watched.get(id).and_then(|watched| watched.retry.as_ref());
        retry.map(|retry| retry.answer.clone()).unwrap_or_default()
    }
}
