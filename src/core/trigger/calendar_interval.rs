//! The calendar interval: every so many months or days, at one time of day, as APScheduler's
//! `CalendarIntervalTrigger`.
//!
//! Counted on wall time: a day is a day across a change of clocks, and a month without the day is
//! skipped. What a change of clocks does is the rule for clock-like schedules of cron (doc/time.md):
//! once, at the first instant after a gap, and on the first pass of a fold.

use std::time::Duration;

use super::cron::DstEffect;
use super::cron::schedule::{DAY, MAX_YEAR};
use crate::core::civil;
use crate::core::instant::{Instant, MICROS};
use crate::core::zone::{Local, Zone};

/// Which day of its months it is due on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayOfMonth {
    /// This one, in the months that have it.
    Day(u32),
    /// The last one.
    Last,
}

/// What is counted, and when in the day it is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CalendarStep {
    /// Months from one due time to the next; a year is twelve.
    pub months: u32,
    /// Days from one due time to the next, in addition; a week is seven.
    pub days: u32,
    /// The day of the month, if it is not that of the anchor.
    pub day: Option<DayOfMonth>,
    /// Seconds of the day, if it is not the time of the anchor.
    pub time: Option<u32>,
}

/// Due every so many months or days on the clocks of a zone.
///
/// The grid begins on the day of `start_date` (with a `day`, in its month), or, without one, of the
/// moment its job was first scheduled, after which it is first due.
#[derive(Clone, Debug, PartialEq)]
pub struct CalendarIntervalTrigger {
    step: CalendarStep,
    zone: Zone,
    anchor: Option<Anchor>,
    /// The anchor was given, and is not what `anchored` made it.
    has_start: bool,
    end: Instant,
}

/// Where the grid begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Anchor {
    /// The first instant it may be due at.
    first: Instant,
    /// The day of it, counted from 1970-01-01 on the zone's clocks, and the time.
    day: i64,
    micros: i64,
}

/// Microseconds of a day.
const DAY_MICROS: i64 = DAY * MICROS;

impl CalendarIntervalTrigger {
    /// Due on the grid from `start_date` on, up to and including `end_date`. A step of no months and
    /// no days counts as one day.
    pub fn new(
        step: CalendarStep,
        zone: Zone,
        start_date: Option<Instant>,
        end_date: Option<Instant>,
    ) -> CalendarIntervalTrigger {
        let nothing = step.months == 0 && step.days == 0;
        let step = CalendarStep { days: if nothing { 1 } else { step.days }, ..step };
        let anchor = start_date.map(|start| {
            let wall = zone.wall_of(start);
            let micros = wall.rem_euclid(DAY) * MICROS + i64::from(start.subsec_micros());
            Anchor { first: start, day: wall.div_euclid(DAY), micros }
        });
        let end = end_date.unwrap_or(Instant::LAST).min(Instant::LAST);
        CalendarIntervalTrigger { step, zone, anchor, has_start: start_date.is_some(), end }
    }

    /// What is counted.
    pub fn step(&self) -> CalendarStep {
        self.step
    }

    /// The zone on whose clocks it is due.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether its grid begins where its job was first scheduled, and that is not known yet.
    pub fn is_open(&self) -> bool {
        self.anchor.is_none()
    }

    /// The `start_date` it was given.
    pub fn start_date(&self) -> Option<Instant> {
        self.anchor.filter(|_| self.has_start).map(|anchor| anchor.first)
    }

    /// The last instant it may be due at, where there is an `end_date`.
    pub fn end(&self) -> Option<Instant> {
        (self.end < Instant::LAST).then_some(self.end)
    }

    /// Whether there is no due time at all, whenever its job is first scheduled.
    pub fn never(&self) -> bool {
        // Where it is not known yet, each month of a leap year and of another may be the first.
        let from = |months: i64| {
            let (year, month) = year_and_month(2000 * 12 + months)?;
            let day = civil::to_days(year, month, 1);
            self.next_anchored(Instant::from_secs(day * DAY), Instant::MIN.just_before())
        };
        match self.anchor {
            Some(_) => self.next_after(Instant::MIN.just_before()).is_none(),
            None => (0..12).all(|months| from(months).is_none()),
        }
    }

    /// With the moment the job was first scheduled; no change where `start_date` was given.
    #[must_use]
    pub fn anchored(&self, first_scheduled: Instant) -> CalendarIntervalTrigger {
        if self.anchor.is_some() {
            return self.clone();
        }
        CalendarIntervalTrigger { anchor: Some(self.anchor_at(first_scheduled)), ..self.clone() }
    }

    /// Where the grid begins without a `start_date`.
    fn anchor_at(&self, first_scheduled: Instant) -> Anchor {
        let wall = self.zone.wall_of(first_scheduled);
        Anchor {
            first: first_scheduled.plus(Duration::from_micros(1)),
            day: wall.div_euclid(DAY),
            // Nobody waits for a fraction of a second.
            micros: wall.rem_euclid(DAY) * MICROS,
        }
    }

    /// The first due time strictly after `after`; `None` past `end_date`, and before the trigger is
    /// anchored.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        self.next(self.anchor?, after)
    }

    /// The same as if it were anchored, without a copy.
    pub(crate) fn next_anchored(
        &self,
        first_scheduled: Instant,
        after: Instant,
    ) -> Option<Instant> {
        self.next(self.anchor.unwrap_or_else(|| self.anchor_at(first_scheduled)), after)
    }

    fn next(&self, anchor: Anchor, after: Instant) -> Option<Instant> {
        let from = after.max(anchor.first.just_before());
        // No gap moves a due time by as much as two days.
        let mut day = self.zone.wall_of(from).div_euclid(DAY) - 2;
        loop {
            day = self.day_at_or_after(&anchor, day)?;
            let due = self.instant(&anchor, day);
            if due > from {
                return (due <= self.end).then_some(due);
            }
            day += 1;
        }
    }

    /// When it is due on a day.
    fn instant(&self, anchor: &Anchor, day: i64) -> Instant {
        let at = day.saturating_mul(DAY_MICROS) + self.micros(anchor);
        match self.zone.resolve(at.div_euclid(MICROS)) {
            Local::Gap { at } => Instant::from_secs(at),
            Local::Unambiguous(secs) | Local::Fold { first: secs, .. } => {
                Instant::from_micros(secs.saturating_mul(MICROS) + at.rem_euclid(MICROS))
            }
        }
    }

    /// What daylight saving did to this due time to make it what it is, if anything.
    pub fn dst_effect_at(&self, due: Instant) -> Option<DstEffect> {
        if self.zone.is_fixed() {
            return None;
        }
        let anchor = self.anchor?;
        let first = self.zone.wall_of(due).div_euclid(DAY) - 2;
        let mut day = first;
        loop {
            day = self.day_at_or_after(&anchor, day).filter(|day| *day <= first + 4)?;
            if self.instant(&anchor, day) == due {
                break;
            }
            day += 1;
        }
        let wall = day * DAY + self.micros(&anchor).div_euclid(MICROS);
        match self.zone.resolve(wall) {
            Local::Gap { .. } => Some(DstEffect::Gap { wall, runs: due }),
            Local::Fold { .. } => Some(DstEffect::Fold { wall, at: due, first: true, both: false }),
            Local::Unambiguous(_) => None,
        }
    }

    /// When in the day it is due.
    fn micros(&self, anchor: &Anchor) -> i64 {
        self.step.time.map_or(anchor.micros, |secs| i64::from(secs) * MICROS)
    }

    /// The first day of the grid that is not before `day`.
    fn day_at_or_after(&self, anchor: &Anchor, day: i64) -> Option<i64> {
        let CalendarStep { months, days, .. } = self.step;
        let limit = civil::to_days(MAX_YEAR, 12, 31);
        match (months, i64::from(days)) {
            (0, days) => {
                let ahead = (day - anchor.day).max(0);
                let found = anchor.day + (ahead + days - 1) / days * days;
                (found <= limit).then_some(found)
            }
            (months, 0) => {
                let of = |day: i64| {
                    let (year, month, _) = civil::from_days(day);
                    i64::from(year) * 12 + i64::from(month) - 1
                };
                let (first, months) = (of(anchor.day), i64::from(months));
                let ahead = (of(day) - first).max(0);
                let mut month = first + ahead / months * months;
                loop {
                    let (year, month_of_year) = year_and_month(month)?;
                    let found = self.day_in(anchor, year, month_of_year);
                    match found.filter(|found| *found >= day) {
                        Some(found) => return Some(found),
                        None => month += months,
                    }
                }
            }
            // A month and a day: each begins where the last one was, so there is no short way.
            (months, days) => {
                let mut found = anchor.day;
                while found < day {
                    found = after_months(found, months)? + days;
                }
                (found <= limit).then_some(found)
            }
        }
    }

    /// The day in a month, if that has it.
    fn day_in(&self, anchor: &Anchor, year: i32, month: u32) -> Option<i64> {
        let last = civil::month_len(year, month);
        let day = match self.step.day {
            Some(DayOfMonth::Last) => last,
            Some(DayOfMonth::Day(day)) => day,
            None => civil::from_days(anchor.day).2,
        };
        (1..=last).contains(&day).then(|| civil::to_days(year, month, day))
    }
}

/// Months of the calendar in a row, as year and month.
fn year_and_month(months: i64) -> Option<(i32, u32)> {
    let year = i32::try_from(months.div_euclid(12)).ok().filter(|year| *year <= MAX_YEAR)?;
    Some((year, months.rem_euclid(12) as u32 + 1))
}

/// The same day so many months later, or as many again while a month does not have it.
fn after_months(day: i64, months: u32) -> Option<i64> {
    let (year, month, day) = civil::from_days(day);
    let mut at = i64::from(year) * 12 + i64::from(month) - 1;
    loop {
        at += i64::from(months);
        let (year, month) = year_and_month(at)?;
        if day <= civil::month_len(year, month) {
            return Some(civil::to_days(year, month, day));
        }
    }
}
