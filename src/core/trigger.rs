//! When a job is due: [`Trigger`], a pure function from an instant to the next due time.
//!
//! `cron` holds both forms of cron schedule and their engine, `interval`, `from_end`,
//! `calendar_interval`, `date` and `after` the other kinds, and `combined` several of them as one. The only thing
//! a trigger knows of the world is its zone (`crate::core::zone`). What `next` shows and what `run` does
//! both come from here.

pub mod after;
pub mod calendar_interval;
pub mod combined;
pub mod cron;
pub mod date;
pub mod flaw;
pub mod from_end;
pub mod interval;
pub mod jitter;
pub mod spread;

use std::sync::Arc;

use crate::core::instant::Instant;
use calendar_interval::{CalendarStep, DayOfMonth};
use combined::How;
use cron::DstEffect;

pub use after::AfterTrigger;
pub use calendar_interval::CalendarIntervalTrigger;
pub use combined::CombinedTrigger;
pub use cron::CronTrigger;
pub use date::DateTrigger;
pub use from_end::FromEndTrigger;
pub use interval::IntervalTrigger;

/// When a job is due.
///
/// Laws, for every trigger: the answer is strictly after the argument, it is monotone in it, it
/// is the same anywhere between two due times, and it ends at once where there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Wall-clock fields, as in crontab(5) or in APScheduler's `CronTrigger`.
    Cron(Arc<CronTrigger>),
    /// Exact elapsed time on a grid.
    Interval(IntervalTrigger),
    /// So long after the last run has ended.
    FromEnd(FromEndTrigger),
    /// So many months or days of the calendar, at one time of day.
    Calendar(Arc<CalendarIntervalTrigger>),
    /// Once.
    Date(DateTrigger),
    /// When any or all of several are due.
    Combined(Arc<CombinedTrigger>),
    /// When runs of other jobs have ended: it names no due time itself.
    After(Arc<AfterTrigger>),
}

impl Trigger {
    /// The first due time strictly after `after`, or `None` when there is none.
    ///
    /// A trigger that is relative to the moment its job is first scheduled has none until
    /// [`Trigger::anchored`] has told it that moment.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        match self {
            Trigger::Cron(cron) => cron.next_after(after),
            Trigger::Interval(interval) => interval.next_after(after),
            Trigger::FromEnd(from_end) => from_end.next_after(after),
            Trigger::Calendar(calendar) => calendar.next_after(after),
            Trigger::Date(date) => date.next_after(after),
            Trigger::After(_) => None,
            Trigger::Combined(combined) => {
                combined.next_by(after, &|part, after| part.next_after(after))
            }
        }
    }

    /// Whether it is never due: not before `now`, and not from then on. The search for a common due time of
    /// several ends somewhere (`combined::MOST_STEPS`), and clocks did not go by whole hours before there
    /// were zones: it is begun where it may find something.
    pub fn never(&self, now: Instant) -> bool {
        let from = match self {
            Trigger::Combined(_) => &[Instant::MIN, Instant::from_micros(0), now][..],
            _ => &[Instant::MIN],
        };
        from.iter().all(|from| self.next_after(from.just_before()).is_none())
    }

    /// The same as if it were anchored: without the copy that [`Trigger::anchored`] makes.
    #[inline]
    pub(crate) fn next_anchored(
        &self,
        first_scheduled: Instant,
        after: Instant,
    ) -> Option<Instant> {
        match self {
            Trigger::Cron(cron) => cron.next_after(after),
            Trigger::Interval(interval) => interval.anchored(first_scheduled).next_after(after),
            Trigger::FromEnd(from_end) => from_end.anchored(first_scheduled).next_after(after),
            Trigger::Calendar(calendar) => calendar.next_anchored(first_scheduled, after),
            Trigger::Date(date) => date.anchored(first_scheduled).next_after(after),
            Trigger::After(_) => None,
            Trigger::Combined(combined) => {
                combined.next_by(after, &|part, after| part.next_anchored(first_scheduled, after))
            }
        }
    }

    /// Whether its due times are counted from when its job was first scheduled, or from what its runs
    /// have done since.
    pub fn is_open(&self) -> bool {
        match self {
            Trigger::Interval(interval) => interval.first().is_none(),
            Trigger::FromEnd(from_end) => !from_end.is_anchored(),
            Trigger::Calendar(calendar) => calendar.is_open(),
            Trigger::Combined(combined) => combined.parts().iter().any(Trigger::is_open),
            Trigger::Cron(_) | Trigger::Date(_) | Trigger::After(_) => false,
        }
    }

    /// The `start_date` it was given. (Those within a combined one are its own.)
    pub fn start_date(&self) -> Option<Instant> {
        match self {
            Trigger::Cron(cron) => cron.start(),
            Trigger::Interval(interval) => interval.start_date(),
            Trigger::FromEnd(from_end) => from_end.start_date(),
            Trigger::Calendar(calendar) => calendar.start_date(),
            Trigger::Date(_) | Trigger::Combined(_) | Trigger::After(_) => None,
        }
    }

    /// The last instant it may be due at, where there is an `end_date`.
    pub fn end_date(&self) -> Option<Instant> {
        match self {
            Trigger::Cron(cron) => cron.end(),
            Trigger::Interval(interval) => interval.end(),
            Trigger::FromEnd(from_end) => from_end.end(),
            Trigger::Calendar(calendar) => calendar.end(),
            Trigger::Date(_) | Trigger::Combined(_) | Trigger::After(_) => None,
        }
    }

    /// What daylight saving did to this due time of it, if anything.
    pub fn dst_effect_at(&self, due: Instant) -> Option<DstEffect> {
        match self {
            Trigger::Cron(cron) => cron.dst_effect_at(due),
            Trigger::Calendar(calendar) => calendar.dst_effect_at(due),
            Trigger::Interval(_) | Trigger::FromEnd(_) | Trigger::Date(_) | Trigger::After(_) => {
                None
            }
            Trigger::Combined(combined) => {
                let is_due = |part: &&Trigger| part.next_after(due.just_before()) == Some(due);
                let mut due_now = combined.parts().iter().filter(is_due);
                due_now.find_map(|part| part.dst_effect_at(due))
            }
        }
    }

    /// The trigger in words that mean the same in every version, so that a store can tell whether
    /// a job still has the trigger it had. Not for people, nor to be read again.
    pub fn fingerprint(&self) -> String {
        let bound = |at: Option<Instant>| at.map_or(String::new(), |at| at.micros().to_string());
        match self {
            Trigger::Cron(cron) => {
                let schedules = cron.schedules().iter();
                let schedules: Vec<String> =
                    schedules.map(|schedule| format!("{:016x}", schedule.fingerprint())).collect();
                let (zone, start, end) =
                    (cron.zone().name(), bound(cron.start()), bound(cron.end()));
                format!("cron {} {zone} {start}..{end}", schedules.join("|"))
            }
            Trigger::Interval(interval) => {
                let every = interval.every().as_micros();
                let (start, end) = (bound(interval.start_date()), bound(interval.end()));
                format!("interval {every} {start}..{end}")
            }
            Trigger::FromEnd(from_end) => {
                let wait = from_end.wait().as_micros();
                let (start, end) = (bound(from_end.start_date()), bound(from_end.end()));
                format!("from end {wait} {start}..{end}")
            }
            Trigger::Calendar(calendar) => {
                let CalendarStep { months, days, day, time } = calendar.step();
                let day = match day {
                    None => String::new(),
                    Some(DayOfMonth::Day(day)) => day.to_string(),
                    Some(DayOfMonth::Last) => "last".to_owned(),
                };
                let time = time.map_or(String::new(), |secs| secs.to_string());
                let (zone, start, end) =
                    (calendar.zone().name(), bound(calendar.start_date()), bound(calendar.end()));
                format!("calendar {months} {days} {day} {time} {zone} {start}..{end}")
            }
            Trigger::Date(DateTrigger::At(at)) => format!("date {}", at.micros()),
            Trigger::Date(DateTrigger::Now) => "date now".to_owned(),
            Trigger::Date(DateTrigger::Reboot) => "date reboot".to_owned(),
            Trigger::After(after) => {
                let within =
                    after.within().map_or(String::new(), |span| span.as_micros().to_string());
                format!("after {} {within} {}", after.on().word(), after.parents().join("\u{1f}"))
            }
            Trigger::Combined(combined) => {
                let how = match combined.how() {
                    How::Any => "any",
                    How::All => "all",
                };
                let parts: Vec<String> =
                    combined.parts().iter().map(Trigger::fingerprint).collect();
                format!("{how} ({})", parts.join(") ("))
            }
        }
    }

    /// The same trigger with the moment its job was first scheduled filled in where it matters:
    /// the grid of an interval without `start_date`, `date = "now"`, and `@reboot`.
    #[must_use]
    pub fn anchored(&self, first_scheduled: Instant) -> Trigger {
        match self {
            Trigger::Cron(_) => self.clone(),
            Trigger::Interval(interval) => Trigger::Interval(interval.anchored(first_scheduled)),
            Trigger::FromEnd(from_end) => Trigger::FromEnd(from_end.anchored(first_scheduled)),
            Trigger::Calendar(calendar) => {
                Trigger::Calendar(Arc::new(calendar.anchored(first_scheduled)))
            }
            Trigger::Date(date) => Trigger::Date(date.anchored(first_scheduled)),
            Trigger::Combined(combined) if self.is_open() => {
                Trigger::Combined(Arc::new(combined.anchored(first_scheduled)))
            }
            Trigger::Combined(_) | Trigger::After(_) => self.clone(),
        }
    }
}
