//! `RRULE` of RFC 5545, as far as calendars of holidays and of duties have it: each year, month, week or
//! day, with `INTERVAL`, `COUNT`, `UNTIL`, `BYMONTH`, `BYMONTHDAY`, `BYDAY` and `WKST`.
//!
//! What is asked for is the next day on which it happens; the time of day is always that of the first. A
//! part that a table of the RFC (section 3.3.10) lets *expand* adds days to a period, one that *limits*
//! takes some away.

use super::events::DAY;
use crate::core::civil;

/// So many periods are looked at for a day: thirteen years of days, and more of the others.
const PERIODS: i64 = 5_000;

/// No day after that: the end of the year 9998.
const LAST_DAY: i64 = civil::to_days(9998, 12, 31);

/// How often it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) frequency: Frequency,
    /// Each so many of these, at least 1.
    pub(crate) interval: u32,
    /// When it begins for the first time, in seconds on the clocks of its zone.
    pub(crate) first: i64,
    /// It does not begin after that.
    pub(crate) until: i64,
    /// A bit for each month, January is bit 1; 0: not said.
    pub(crate) months: u16,
    /// Days of the month; those below 0 from its end.
    pub(crate) month_days: Box<[i8]>,
    /// Days of the week, Monday is 0; the how-many-th of its month or year, from its end below 0, where that
    /// is not 0.
    pub(crate) days: Box<[(i8, u8)]>,
    /// With which day a week begins, Monday is 0.
    pub(crate) week_start: u8,
}

/// The day on which it happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    On(i64),
    /// It has not been found, and is not before this one.
    NotBefore(i64),
    Never,
}

impl Rule {
    /// When it begins on one of its days.
    pub(crate) fn start_on(&self, day: i64) -> i64 {
        day * DAY + self.first.rem_euclid(DAY)
    }

    fn first_day(&self) -> i64 {
        self.first.div_euclid(DAY)
    }

    /// The first of its days after that one, in days since 1970.
    pub(crate) fn next(&self, after: i64) -> Next {
        let first = self.first_day();
        let after = after.max(first - 1);
        let interval = i64::from(self.interval.max(1));
        let begin = self.period_of(first);
        let mut period = begin + (self.period_of(after) - begin).div_euclid(interval) * interval;
        for _ in 0..PERIODS {
            let start = self.start_of(period);
            if start > LAST_DAY || self.start_on(start.max(first)) > self.until {
                return Next::Never;
            }
            let mut found = None;
            self.each_day(period, &mut |day| {
                let is_next = day > after && day >= first && found.is_none_or(|found| day < found);
                if is_next {
                    found = Some(day);
                }
            });
            if let Some(day) = found {
                return if self.start_on(day) > self.until { Next::Never } else { Next::On(day) };
            }
            period += interval;
        }
        Next::NotBefore(self.start_of(period))
    }

    /// The number of the day, week, month or year that a day is in.
    fn period_of(&self, day: i64) -> i64 {
        match self.frequency {
            Frequency::Daily => day,
            Frequency::Weekly => {
                // 1970-01-05 was a Monday.
                (day - 4 - i64::from(self.week_start)).div_euclid(7)
            }
            Frequency::Monthly => {
                let (year, month, _) = civil::from_days(day);
                i64::from(year) * 12 + i64::from(month) - 1
            }
            Frequency::Yearly => i64::from(civil::from_days(day).0),
        }
    }

    /// The first day of a period.
    fn start_of(&self, period: i64) -> i64 {
        match self.frequency {
            Frequency::Daily => period,
            Frequency::Weekly => period * 7 + 4 + i64::from(self.week_start),
            Frequency::Monthly => month_start(period),
            Frequency::Yearly => month_start(period.saturating_mul(12)),
        }
    }

    fn in_months(&self, day: i64) -> bool {
        self.months == 0 || self.months >> civil::from_days(day).1 & 1 == 1
    }

    /// Whether a day is one of the days of the month that are said, if any are.
    fn in_month_days(&self, day: i64) -> bool {
        let (year, month, of_month) = civil::from_days(day);
        let long = civil::month_len(year, month) as i8;
        let of_month = of_month as i8;
        let is_it = |said: &i8| *said == of_month || *said == of_month - long - 1;
        self.month_days.is_empty() || self.month_days.iter().any(is_it)
    }

    /// Whether a day is one of the weekdays that are said, if any are, within the days around it from
    /// which they are counted.
    fn in_days(&self, day: i64, (from, until): (i64, i64)) -> bool {
        let weekday = civil::weekday(day) as u8;
        let nth = (day - from) / 7 + 1;
        let from_end = -((until - 1 - day) / 7 + 1);
        let is_it = |(number, said): &(i8, u8)| {
            *said == weekday
                && matches!(i64::from(*number), number if number == 0 || number == nth || number == from_end)
        };
        self.days.is_empty() || self.days.iter().any(is_it)
    }

    /// Tells the days of a period on which it happens.
    fn each_day(&self, period: i64, tell: &mut impl FnMut(i64)) {
        let first = self.first_day();
        let (from, until) = (self.start_of(period), self.start_of(period + 1));
        match self.frequency {
            Frequency::Daily => {
                let whole = (from, until);
                if self.in_months(from) && self.in_month_days(from) && self.in_days(from, whole) {
                    tell(from);
                }
            }
            Frequency::Weekly => {
                let is_it = |day: &i64| match self.days.is_empty() {
                    true => civil::weekday(*day) == civil::weekday(first),
                    false => self.in_days(*day, (from, until)),
                };
                (from..until).filter(|day| self.in_months(*day) && is_it(day)).for_each(tell);
            }
            Frequency::Monthly => {
                if self.in_months(from) {
                    self.days_of(from, until, civil::from_days(first).2, tell);
                }
            }
            Frequency::Yearly => self.each_day_of_year(period, tell),
        }
    }

    fn each_day_of_year(&self, year: i64, tell: &mut impl FnMut(i64)) {
        let (_, month, of_month) = civil::from_days(self.first_day());
        if self.months == 0 && self.month_days.is_empty() && !self.days.is_empty() {
            // Weekdays of the whole year.
            let whole = (self.start_of(year), self.start_of(year + 1));
            (whole.0..whole.1).filter(|day| self.in_days(*day, whole)).for_each(tell);
            return;
        }
        // With nothing said it is the day of the first, else what is said, in the months that are said or in all.
        let all = if self.month_days.is_empty() { 1 << month } else { u16::MAX };
        let months = if self.months == 0 { all } else { self.months };
        for month in (1..=12).filter(|month| months >> month & 1 == 1) {
            let place = year * 12 + month - 1;
            self.days_of(month_start(place), month_start(place + 1), of_month, tell);
        }
    }

    /// The days of a month: those that are said, or the one that the first is.
    fn days_of(&self, from: i64, until: i64, of_month: u32, tell: &mut impl FnMut(i64)) {
        if self.month_days.is_empty() && self.days.is_empty() {
            let day = from + i64::from(of_month) - 1;
            if day < until {
                tell(day);
            }
            return;
        }
        let is_it = |day: &i64| self.in_month_days(*day) && self.in_days(*day, (from, until));
        (from..until).filter(is_it).for_each(tell);
    }
}

/// The first day of a month, counted from January of the year 0.
fn month_start(month: i64) -> i64 {
    let year = month.div_euclid(12).clamp(-9999, 9999) as i32;
    civil::to_days(year, month.rem_euclid(12) as u32 + 1, 1)
}

#[cfg(test)]
mod tests;
