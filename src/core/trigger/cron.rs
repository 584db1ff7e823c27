//! Cron schedules: two ways to write them, one engine.
//!
//! `crontab` reads the string form of crontab(5), `fields` the table form of APScheduler 3; both
//! end as a [`Schedule`], bit sets over the fields of civil time. [`CronTrigger`] puts one or more
//! schedules into a zone, and is the only place that has the rule for daylight saving
//! (doc/time.md).

pub mod crontab;
pub mod fields;
pub mod hash;
pub(crate) mod schedule;

use crate::core::instant::Instant;
use crate::core::names::{MONTHS, WEEKDAYS};
use crate::core::zone::{Segment, Zone, ceil_secs};

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

/// The rule for daylight saving (doc/time.md), in full: the first due second of `schedule` that is not
/// before `from`, which lies in `segment`.
///
/// The search runs on wall time, in which the schedule knows nothing of zones, and the segments of
/// the zone are laid over it. Its invariant: `wall` is the first match of all wall time from where
/// the search began, so that the segments before it hold none and may be skipped.
#[inline]
fn next_at_or_after(
    schedule: &Schedule,
    zone: &Zone,
    mut segment: Segment,
    from: i64,
) -> Option<i64> {
    let mut begin = from + i64::from(segment.offset);
    if segment.start != i64::MIN {
        let (before, after) = segment.seam();
        if from == segment.start && before < after && lost_in_gap(schedule, &segment).is_some() {
            return Some(from);
        }
        // In the second pass of a fold, which is not for clock-like schedules.
        if begin < before && !schedule.is_recurring() {
            begin = before;
        }
    }
    let Some(mut wall) = schedule.next_at_or_after(begin) else {
        return in_second_pass(schedule, zone, segment, begin);
    };
    loop {
        let wall_end = segment.end.saturating_add(i64::from(segment.offset));
        if wall < wall_end {
            return Some(wall - i64::from(segment.offset));
        }
        let next = zone.segment_at(segment.end);
        let (before, after) = next.seam();
        if before < after {
            if wall < after {
                if !schedule.has_every_hour() {
                    return Some(next.start);
                }
                wall = schedule.next_at_or_after(after)?;
            }
        } else if begin > after && schedule.is_recurring() {
            // The search began in the first pass of this fold: the second pass goes over wall
            // time from before it again.
            wall = schedule.next_at_or_after(after)?;
        }
        begin = after.min(wall);
        segment = next;
        // Far from here nothing can lie between: go there at once. No offset is as large as 26 h.
        let near = wall - 26 * 3600;
        if near > segment.end {
            segment = zone.segment_at(near);
            begin = near + i64::from(segment.offset);
        }
    }
}

/// What is left when no wall time from `begin` on matches, in `segment`: a search that began in
/// the first pass of a fold still has the second one before it, which goes over earlier wall time
/// again. So end schedules whose years end.
#[cold]
fn in_second_pass(schedule: &Schedule, zone: &Zone, segment: Segment, begin: i64) -> Option<i64> {
    if segment.end == i64::MAX || !schedule.is_recurring() {
        return None;
    }
    let next = zone.segment_at(segment.end);
    let (before, after) = next.seam();
    let wall = schedule.next_at_or_after(after).filter(|_| begin > after)?;
    (wall < before).then(|| wall - i64::from(next.offset))
}

/// The first match that is lost in the gap before `segment`, for a schedule that runs at the
/// first instant after it instead.
fn lost_in_gap(schedule: &Schedule, segment: &Segment) -> Option<DstEffect> {
    let (before, after) = segment.seam();
    if schedule.has_every_hour() {
        return None;
    }
    let wall = schedule.next_at_or_after(before).filter(|&wall| wall < after)?;
    Some(DstEffect::Gap { wall, runs: Instant::from_secs(segment.start) })
}

/// What a daylight-saving change does to a due time. Wall times are seconds since
/// 1970-01-01T00:00:00 on the zone's own clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DstEffect {
    /// The wall time (the first of possibly several that were lost) does not happen.
    Gap {
        /// The wall time that does not happen.
        wall: i64,
        /// When it runs instead: the first instant after the gap.
        runs: Instant,
    },
    /// The wall time happens twice.
    Fold {
        /// The wall time.
        wall: i64,
        /// The instant of this pass.
        at: Instant,
        /// Whether this is the first pass.
        first: bool,
        /// Whether the schedule runs on both passes.
        both: bool,
    },
}

impl DstEffect {
    /// The wall time it is about.
    pub fn wall(&self) -> i64 {
        match self {
            DstEffect::Gap { wall, .. } | DstEffect::Fold { wall, .. } => *wall,
        }
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
