//! Cron schedules: two ways to write them, one engine.
//!
//! `crontab` reads the string form of crontab(5), `fields` the table form of APScheduler 3; both
//! end as a [`Schedule`], bit sets over the fields of civil time. [`CronTrigger`] puts one or more
//! schedules into a zone; `daylight_saving` has the rule for what that means, all of it.

pub mod crontab;
mod daylight_saving;
pub mod fields;
pub mod hash;
pub(crate) mod schedule;

use crate::core::instant::Instant;
use crate::core::names::{MONTHS, WEEKDAYS};
use crate::core::zone::{Zone, ceil_secs};

pub use daylight_saving::DstEffect;
use daylight_saving::{lost_in_gap, next_at_or_after};
pub use schedule::Schedule;

/// One or more cron schedules (their union) in a zone, within a window.
#[derive(Clone, Debug, PartialEq)]
pub struct CronTrigger {
    schedules: Box<[Schedule]>,
    zone: Zone,
    /// The first second it may be due at.
    first: i64,
    start: Instant,
    end: Instant,
}

impl CronTrigger {
    /// The union of `schedules` on the wall clocks of `zone`, from `start_date` to `end_date`,
    /// both included.
    pub fn new(
        schedules: impl Into<Box<[Schedule]>>,
        zone: Zone,
        start_date: Option<Instant>,
        end_date: Option<Instant>,
    ) -> CronTrigger {
        let (start, end) = (start_date.unwrap_or(Instant::MIN), end_date.unwrap_or(Instant::MAX));
        let end = end.min(Instant::LAST);
        let first = ceil_secs(start);
        CronTrigger { schedules: schedules.into(), zone, first, start, end }
    }

    /// Its schedules; it is due when any of them is.
    pub fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }

    /// The zone on whose clocks it is due.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first instant it may be due at, where there is a `start_date`.
    pub fn start(&self) -> Option<Instant> {
        (self.start > Instant::MIN).then_some(self.start)
    }

    /// The last instant it may be due at, where there is an `end_date`.
    pub fn end(&self) -> Option<Instant> {
        (self.end < Instant::LAST).then_some(self.end)
    }

    /// The first due time strictly after `after`.
    #[inline]
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        // Due times are whole seconds.
        let from = (after.secs() + 1).max(self.first);
        let segment = self.zone.segment_at(from);
        let due = match &*self.schedules {
            [schedule] => next_at_or_after(schedule, &self.zone, segment, from)?,
            several => several
                .iter()
                .filter_map(|schedule| next_at_or_after(schedule, &self.zone, segment, from))
                .min()?,
        };
        let due = Instant::from_secs(due);
        (due <= self.end).then_some(due)
    }

    /// Whether there is no due time at all.
    pub fn never(&self) -> bool {
        self.next_after(Instant::MIN).is_none()
    }

    /// Whether it is due in each second.
    pub fn every_second(&self) -> bool {
        self.schedules.iter().any(Schedule::is_every_second)
    }

    /// What daylight saving does to this trigger at the changes between two instants, in order.
    /// Schedules that admit every hour are not affected and yield nothing.
    pub fn dst_effects(&self, from: Instant, until: Instant) -> Vec<DstEffect> {
        if self.zone.is_fixed() {
            return Vec::new();
        }
        let (from, until) = (from.max(self.start), until.min(self.end));
        let mut effects = Vec::new();
        for change in self.zone.changes(from, until) {
            let affected = |schedule: &&Schedule| !schedule.has_every_hour();
            let effect = self.schedules.iter().filter(affected).filter_map(|schedule| {
                let (before, after) = change.seam();
                if before < after {
                    return lost_in_gap(schedule, &change);
                }
                let wall = schedule.next_at_or_after(after).filter(|&wall| wall < before)?;
                Some(DstEffect::Fold {
                    wall,
                    at: Instant::from_secs(wall - i64::from(change.offset_before)),
                    first: true,
                    both: schedule.is_recurring(),
                })
            });
            effects.extend(effect.min_by_key(DstEffect::wall));
        }
        effects
    }

    /// What daylight saving did to make this due time what it is, if anything.
    pub fn dst_effect_at(&self, due: Instant) -> Option<DstEffect> {
        if self.zone.is_fixed() {
            return None;
        }
        let segment = self.zone.segment_at(due.secs());
        let wall = due.secs() + i64::from(segment.offset);
        if due.secs() == segment.start && segment.offset > segment.offset_before {
            let lost = self
                .schedules
                .iter()
                .filter(|schedule| !schedule.has_every_hour())
                .filter_map(|schedule| lost_in_gap(schedule, &segment));
            return lost.min_by_key(DstEffect::wall);
        }
        let first = match segment.end {
            i64::MAX => false,
            end => wall >= self.zone.segment_at(end).seam().1,
        };
        let second = segment.start != i64::MIN && wall < segment.seam().0;
        let mut due_here = self.schedules.iter().filter(|schedule| schedule.matches(wall));
        (first || second).then_some(())?;
        let both = second || due_here.any(Schedule::is_recurring);
        Some(DstEffect::Fold { wall, at: due, first: !second, both })
    }
}

/// The weekday or month that a word was probably meant to be, in its three letters. Full names are
/// known too, well spelt (`monday`, `sept`) or not (`wendesday`).
fn nearest_name(word: &str, names: &[&'static str]) -> Option<&'static str> {
    let full = MONTHS.iter().chain(&WEEKDAYS);
    let full = full.filter(|full| names.contains(&&full[..3]));
    names
        .iter()
        .copied()
        .find(|name| word.starts_with(name))
        .or_else(|| nearest(word, names.iter().copied()))
        .or_else(|| nearest(word, full.copied()).map(|full| &full[..3]))
}

/// The candidate that a misspelt word was probably meant to be.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
