//! The events of a calendar, to be asked which of them a time is in.
//!
//! Each is a stretch on the clocks of a zone: of one that it names, or of the job that asks ("floating",
//! as RFC 5545 calls it: a holiday begins at midnight wherever one is). An event of 22:00 to 06:00 is over
//! at 06:00 also in the night in which the clocks are changed.

use super::recur::{Next, Rule};
use super::{Look, instant_until};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::core::zone::Zone;

pub(super) const DAY: i64 = 86_400;

/// What happens, as a file says it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// On whose clocks; `None`: on those of whoever asks.
    pub(crate) zone: Option<Zone>,
    /// When it begins, in seconds on these clocks.
    pub(crate) from: i64,
    /// How long it takes on them, in seconds.
    pub(crate) long: i64,
    /// When it happens again.
    pub(crate) rule: Option<Rule>,
    /// Further times at which it begins.
    pub(crate) also: Vec<i64>,
    /// Times at which it does not.
    pub(crate) without: Vec<i64>,
    /// What it is called; it may be nothing.
    pub(crate) summary: Box<str>,
}

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Events(Box<[Group]>);

/// The events of one zone.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    zone: Option<Zone>,
    /// In order; none begins before the one before it is over.
    once: Box<[Once]>,
    again: Box<[Again]>,
}

#[derive(Clone, Debug, PartialEq)]
struct Once {
    from: i64,
    until: i64,
    summary: Box<str>,
}

/// One that repeats.
#[derive(Clone, Debug, PartialEq)]
struct Again {
    rule: Rule,
    long: i64,
    /// In order.
    without: Box<[i64]>,
    summary: Box<str>,
}

impl Events {
    pub(crate) fn new(events: Vec<Event>) -> Events {
        let mut zones: Vec<(Option<Zone>, Vec<Event>)> = Vec::new();
        for event in events {
            match zones.iter_mut().find(|(zone, _)| *zone == event.zone) {
                Some((_, known)) => known.push(event),
                None => zones.push((event.zone.clone(), vec![event])),
            }
        }
        Events(zones.into_iter().map(|(zone, events)| Group::new(zone, events)).collect())
    }

    /// What the event is called that a time is in. `zone` is that of whoever asks.
    pub(crate) fn look<'a>(&'a self, at: Instant, zone: &Zone) -> Look<&'a str> {
        Look::first_of(self.0.iter().map(|group| group.look(at, zone)))
    }
}

impl Group {
    fn new(zone: Option<Zone>, events: Vec<Event>) -> Group {
        let (mut once, mut again) = (Vec::new(), Vec::new());
        for event in events.into_iter().filter(|event| event.long > 0) {
            let Event { from, long, rule, also, mut without, summary, .. } = event;
            sort::all(&mut without);
            let first = rule.is_none().then_some(from);
            for from in first.into_iter().chain(also) {
                if without.binary_search(&from).is_err() {
                    once.push(Once {
                        from,
                        until: from.saturating_add(long),
                        summary: summary.clone(),
                    });
                }
            }
            if let Some(rule) = rule {
                again.push(Again { rule, long, without: without.into(), summary });
            }
        }
        sort::by_key(&mut once, |event| (event.from, event.until));
        // The one that began first is what a time is in.
        let mut over = i64::MIN;
        once.retain_mut(|event| {
            event.from = event.from.max(over);
            over = over.max(event.until);
            event.from < event.until
        });
        Group { zone, once: once.into(), again: again.into() }
    }

    fn look<'a>(&'a self, at: Instant, zone: &Zone) -> Look<&'a str> {
        let zone = self.zone.as_ref().unwrap_or(zone);
        let wall = zone.wall_of(at);
        let (within, until) = self.look_at(wall);
        Look { within, until: instant_until(zone, at, wall, until) }
    }

    /// The same on the clocks of the zone.
    fn look_at(&self, wall: i64) -> (Option<&str>, i64) {
        let after = self.once.partition_point(|event| event.from <= wall);
        let mut until = self.once.get(after).map_or(i64::MAX, |event| event.from);
        if let Some(event) = after.checked_sub(1).map(|last| &self.once[last])
            && wall < event.until
        {
            return (Some(&event.summary), until.min(event.until));
        }
        for event in &self.again {
            let (is_in, changes) = event.look_at(wall);
            until = until.min(changes);
            if is_in {
                return (Some(&event.summary), until);
            }
        }
        (None, until)
    }
}

impl Again {
    /// Whether a time is in it, and until when that stays so.
    fn look_at(&self, wall: i64) -> (bool, i64) {
        // The first that may still go on.
        let mut day = wall.saturating_sub(self.long).div_euclid(DAY) - 1;
        loop {
            let start = match self.rule.next(day) {
                Next::Never => return (false, i64::MAX),
                Next::NotBefore(day) => return (false, (day * DAY).max(wall + 1)),
                Next::On(next) => {
                    day = next;
                    self.rule.start_on(next)
                }
            };
            if self.without.binary_search(&start).is_ok() {
                continue;
            }
            if start > wall {
                return (false, start);
            }
            if wall < start.saturating_add(self.long) {
                return (true, start.saturating_add(self.long));
            }
        }
    }
}
