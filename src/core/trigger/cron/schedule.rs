//! The engine: a cron schedule as bit sets over civil time, and the search for its next match.
//!
//! Both parsers (`super::crontab`, `super::fields`) fill in [`Parts`]; from there on no text is
//! left. Zones are not known here: the argument and the answer are wall time, as seconds since
//! 1970-01-01T00:00:00 on some clock, and `super` maps them to instants.
//!
//! Nothing is searched minute by minute. A day either matches or not, which is a bit of its
//! month's mask; within a day the next hour, minute and second are each the lowest bit of a
//! shifted set.

use crate::core::civil;

/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;

/// The year that a `*` of years begins with, as in APScheduler and Quartz.
pub(crate) const FIRST_YEAR: i32 = 1970;

/// The last year any schedule reaches, as in APScheduler.
pub(crate) const MAX_YEAR: i32 = 9999;

/// Days 1 to 31, as bits 1 to 31.
pub(crate) const ALL_DAYS: u32 = 0xffff_fffe;
/// Months 1 to 12, as bits 1 to 12.
pub(crate) const ALL_MONTHS: u16 = 0x1ffe;
/// Monday to Sunday, as bits 0 to 6.
pub(crate) const ALL_WEEKDAYS: u8 = 0x7f;
pub(crate) const ALL_HOURS: u32 = 0x00ff_ffff;
/// Minutes or seconds 0 to 59.
pub(crate) const ALL_SIXTY: u64 = (1 << 60) - 1;
/// ISO weeks 1 to 53, as bits 1 to 53.
pub(crate) const ALL_WEEKS: u64 = ((1 << 53) - 1) << 1;

/// Every day matches.
const EVERY_DAY: u8 = 1;
/// The weekday alone decides whether a day matches.
const WEEKDAY_ONLY: u8 = 2;
/// Day of month *or* day of week, crontab(5)'s rule for two restricted fields; else *and*.
const EITHER: u8 = 4;
/// Second, minute or hour hold a `*`, a range or a step: see [`Schedule::is_recurring`].
const RECURRING: u8 = 8;

/// A cron schedule: when the fields of wall time match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    seconds: u64,
    minutes: u64,
    hours: u32,
    days: u32,
    months: u16,
    weekdays: u8,
    flags: u8,
    more: Option<Box<More>>,
}

/// What few schedules need: everything that is not a plain set of numbers below 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct More {
    /// Days of the month by weekday: index 0 = Monday, bits 0..=4 = 1st..5th, bit 5 = last.
    /// They add to the day-of-month set.
    pub(crate) nth: [u8; 7],
    /// The same, adding to the day-of-week set (`fri#3`, `5L`).
    pub(crate) weekday_nth: [u8; 7],
    /// Bit n: the day n days before the last of the month (`L` is bit 0).
    pub(crate) from_end: u32,
    /// Bit n: the weekday nearest to day n (`15W`); bit 0: the last weekday (`LW`).
    pub(crate) nearest: u32,
    /// Bit n: the weekday nearest to the day n days before the last (`L-3W`).
    pub(crate) nearest_from_end: u32,
    /// ISO weeks.
    pub(crate) weeks: u64,
    /// Years; empty: every year.
    pub(crate) years: Vec<Years>,
    /// Schedules that have to match as well, as far as their days go.
    pub(crate) and: Vec<Schedule>,
    /// The months that were asked for, where no day in them can match; else 0.
    pub(crate) impossible_months: u16,
}

impl Default for More {
    fn default() -> More {
        More {
            nth: [0; 7],
            weekday_nth: [0; 7],
            from_end: 0,
            nearest: 0,
            nearest_from_end: 0,
            weeks: ALL_WEEKS,
            years: Vec::new(),
            and: Vec::new(),
            impossible_months: 0,
        }
    }
}

/// The bit of [`More::nth`] that stands for the last such weekday of a month.
pub(crate) const NTH_LAST: u8 = 1 << 5;

/// Years `first`, `first + step`, … up to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Years {
    pub(crate) first: i32,
    pub(crate) last: i32,
    pub(crate) step: i32,
}

impl Years {
    /// The first of these years that is not before `year`.
    pub(crate) fn at_or_after(&self, year: i32) -> Option<i32> {
        let year = if year <= self.first {
            self.first
        } else {
            self.first + (year - self.first + self.step - 1) / self.step * self.step
        };
        (year <= self.last).then_some(year)
    }
}

/// The years that are in both lists, where an empty one is every year; `None` if there are none.
fn both(first: Vec<Years>, second: Vec<Years>) -> Option<Vec<Years>> {
    if first.is_empty() || second.is_empty() {
        return Some(if first.is_empty() { second } else { first });
    }
    let next = |list: &[Years], year| list.iter().filter_map(|years| years.at_or_after(year)).min();
    let mut found: Vec<Years> = Vec::new();
    let mut year = 0;
    while let (Some(a), Some(b)) = (next(&first, year), next(&second, year)) {
        if a != b {
            year = a.max(b);
            continue;
        }
        match found.last_mut() {
            Some(run) if run.first == run.last => (run.step, run.last) = (a - run.first, a),
            Some(run) if a == run.last + run.step => run.last = a,
            _ => found.push(Years { first: a, last: a, step: 1 }),
        }
        year = a + 1;
    }
    (!found.is_empty()).then_some(found)
}

/// The fields of a schedule as a parser leaves them. Numbers are bits of the sets.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) seconds: u64,
    pub(crate) minutes: u64,
    pub(crate) hours: u32,
    pub(crate) days: u32,
    pub(crate) months: u16,
    pub(crate) weekdays: u8,
    /// Day of month and day of week are alternatives.
    pub(crate) either: bool,
    /// Second, minute or hour hold a `*`, a range or a step.
    pub(crate) recurring: bool,
    pub(crate) more: More,
}

impl Schedule {
    pub(crate) fn new(parts: Parts) -> Schedule {
        let Parts { seconds, minutes, hours, days, months, weekdays, either, recurring, mut more } =
            parts;
        // What a plain set says already need not be said again, least of all slowly.
        if days == ALL_DAYS {
            (more.nth, more.from_end) = ([0; 7], 0);
            (more.nearest, more.nearest_from_end) = (0, 0);
        }
        for (weekday, nth) in more.weekday_nth.iter_mut().enumerate() {
            if weekdays & (1 << weekday) != 0 {
                *nth = 0;
            }
        }
        let mut flags = 0;
        if either {
            flags |= EITHER;
        } else {
            // `1st mon` on a Tuesday: drop what can never be, so that `never` is seen at once.
            for (weekday, nth) in more.nth.iter_mut().enumerate() {
                if weekdays & (1 << weekday) == 0 && more.weekday_nth[weekday] == 0 {
                    *nth = 0;
                }
            }
        }
        if recurring {
            flags |= RECURRING;
        }
        let plain = more == More::default();
        if plain && months == ALL_MONTHS {
            let (all_days, all_weekdays) = (days == ALL_DAYS, weekdays == ALL_WEEKDAYS);
            if all_days && all_weekdays || either && (all_days || all_weekdays) {
                flags |= EVERY_DAY;
            } else if all_days && !either {
                flags |= WEEKDAY_ONLY;
            }
        }
        let mut schedule = Schedule {
            seconds,
            minutes,
            hours,
            days,
            months,
            weekdays,
            flags,
            more: (!plain).then(|| Box::new(more)),
        };
        // Single impossible months stay: they are what was written, and cost nothing.
        if schedule.possible_months() == 0 {
            schedule.more.get_or_insert_default().impossible_months = schedule.months;
            schedule.months = 0;
            schedule.flags &= !(EVERY_DAY | WEEKDAY_ONLY);
        }
        schedule
    }

    /// The months in which some day can match: without 2 for `30 2`, none at all for a schedule
    /// that can be seen to be impossible.
    fn possible_months(&self) -> u16 {
        if self.seconds == 0 || self.minutes == 0 || self.hours == 0 {
            return 0;
        }
        let (mut days_beyond, mut weekdays_beyond) = (false, false);
        if let Some(more) = &self.more {
            days_beyond = more.has_days();
            weekdays_beyond = more.weekday_nth != [0; 7];
        }
        let by_weekday = self.weekdays != 0 || weekdays_beyond;
        let mut months = self.months;
        for month in 1..=12 {
            // 2000 is a leap year: the longest February.
            let by_day = days_beyond || self.days & month_days(civil::month_len(2000, month)) != 0;
            let possible =
                if self.flags & EITHER != 0 { by_day || by_weekday } else { by_day && by_weekday };
            let in_week = self.more.as_ref().is_none_or(|more| more.may_be_in_month(month));
            if !possible || !in_week {
                months &= !(1 << month);
            }
        }
        months
    }

    /// The schedule that matches where this one and another one do.
    pub(crate) fn and(&self, other: &Schedule) -> Schedule {
        let years = |schedule: &Schedule| {
            schedule.more.as_ref().map(|more| more.years.clone()).unwrap_or_default()
        };
        let years = both(years(self), years(other));
        let mut parts = Parts {
            // Without a year in which both match there is no second either.
            seconds: if years.is_some() { self.seconds & other.seconds } else { 0 },
            minutes: self.minutes & other.minutes,
            hours: self.hours & other.hours,
            days: ALL_DAYS,
            months: self.months & other.months,
            weekdays: ALL_WEEKDAYS,
            either: false,
            recurring: self.is_recurring() && other.is_recurring(),
            more: More { years: years.unwrap_or_default(), ..More::default() },
        };
        match (self.plain_days(), other.plain_days()) {
            (Some((days, weekdays)), Some((other_days, other_weekdays))) => {
                parts.days = days & other_days;
                parts.weekdays = weekdays & other_weekdays;
            }
            _ => parts.more.and = vec![self.clone(), other.clone()],
        }
        Schedule::new(parts)
    }

    /// Its days of the month and of the week, if a day matches when it is in both and that is all.
    fn plain_days(&self) -> Option<(u32, u8)> {
        let plain = |more: &More| {
            let years = more.years.clone();
            *more == More { years, ..More::default() }
        };
        if !self.more.as_ref().is_none_or(|more| plain(more)) {
            return None;
        }
        let any = self.days == ALL_DAYS || self.weekdays == ALL_WEEKDAYS;
        match self.flags & EITHER != 0 {
            true => any.then_some((ALL_DAYS, ALL_WEEKDAYS)),
            false => Some((self.days, self.weekdays)),
        }
    }

    /// Whether second, minute or hour hold a `*`, a range or a step. Such a schedule runs on both
    /// passes of a fold; one of plain values, a *clock-like* one, only on the first.
    #[inline]
    pub fn is_recurring(&self) -> bool {
        self.flags & RECURRING != 0
    }

    /// Whether the hour field admits every hour.
    #[inline]
    pub fn has_every_hour(&self) -> bool {
        self.hours == ALL_HOURS
    }

    /// Whether every second of every day matches.
    pub fn is_every_second(&self) -> bool {
        self.flags & EVERY_DAY != 0
            && self.has_every_hour()
            && self.minutes == ALL_SIXTY
            && self.seconds == ALL_SIXTY
    }

    /// Whether a wall time matches.
    pub fn matches(&self, wall: i64) -> bool {
        self.next_at_or_after(wall) == Some(wall)
    }

    /// The first matching wall time that is not before `wall`; `None` when there is none up to
    /// the end of the year 9999.
    #[inline]
    pub fn next_at_or_after(&self, wall: i64) -> Option<i64> {
        let today = wall.div_euclid(DAY);
        let time = (wall - today * DAY) as u32;
        if self.flags & (EVERY_DAY | WEEKDAY_ONLY) == 0 {
            return self.next_by_calendar(today, time);
        }
        // The weekday of bit 0 is today's; the week stands there twice, so that bit 7 is today's
        // again.
        let week = u32::from(self.weekdays);
        let ahead = if self.flags & EVERY_DAY != 0 {
            u32::MAX
        } else {
            (week | week << 7) >> civil::weekday(today)
        };
        if ahead & 1 != 0
            && let Some(time) = self.time_at_or_after(time)
        {
            return Some(today * DAY + i64::from(time));
        }
        let day = today + 1 + i64::from((ahead >> 1).trailing_zeros());
        Some(day * DAY + self.first_time())
    }

    /// The first matching second of a matching day.
    #[inline]
    fn first_time(&self) -> i64 {
        let (hour, minute) = (self.hours.trailing_zeros(), self.minutes.trailing_zeros());
        i64::from(hour * 3600 + minute * 60 + self.seconds.trailing_zeros())
    }

    /// The first matching second of a day that is not before `time`.
    #[inline]
    fn time_at_or_after(&self, time: u32) -> Option<u32> {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        if self.hours >> hour & 1 != 0 {
            if self.minutes >> minute & 1 != 0 {
                let seconds = self.seconds >> second;
                if seconds != 0 {
                    return Some(time + seconds.trailing_zeros());
                }
            }
            let minutes = self.minutes >> (minute + 1);
            if minutes != 0 {
                let minute = minute + 1 + minutes.trailing_zeros();
                return Some(hour * 3600 + minute * 60 + self.seconds.trailing_zeros());
            }
        }
        let hours = self.hours >> (hour + 1);
        if hours == 0 {
            return None;
        }
        let hour = hour + 1 + hours.trailing_zeros();
        let (minute, second) = (self.minutes.trailing_zeros(), self.seconds.trailing_zeros());
        Some(hour * 3600 + minute * 60 + second)
    }

    /// The search where the days of each month have to be looked at.
    fn next_by_calendar(&self, today: i64, time: u32) -> Option<i64> {
        if self.months == 0 {
            return None;
        }
        let (mut year, mut month, day_of_month) = civil::from_days(today);
        let any_year = self.more.as_ref().is_none_or(|more| more.years.is_empty());
        let mut first = today - i64::from(day_of_month - 1);
        if !any_year && self.year_at_or_after(year)? != year {
            // Nothing more in this year.
            month = 12;
        } else if self.months >> month & 1 != 0 {
            let days = self.days_of_month(year, month, first) >> day_of_month;
            if days & 1 != 0
                && let Some(time) = self.time_at_or_after(time)
            {
                return Some(today * DAY + i64::from(time));
            }
            if days >> 1 != 0 {
                let ahead = 1 + (days >> 1).trailing_zeros();
                return Some((today + i64::from(ahead)) * DAY + self.first_time());
            }
        }
        // The calendar repeats after 400 years; what has not matched in one round never will. A
        // list of years need not repeat, so it is read to its end.
        let last_year = if any_year { MAX_YEAR.min(year + 401) } else { MAX_YEAR };
        loop {
            let months = u32::from(self.months) >> (month + 1);
            if months & 1 != 0 {
                first += i64::from(civil::month_len(year, month));
                month += 1;
            } else if months != 0 {
                month += 1 + months.trailing_zeros();
                first = civil::to_days(year, month, 1);
            } else {
                year += 1;
                if !any_year {
                    year = self.year_at_or_after(year)?;
                }
                if year > last_year {
                    return None;
                }
                month = self.months.trailing_zeros();
                first = civil::to_days(year, month, 1);
            }
            let days = self.days_of_month(year, month, first);
            if days != 0 {
                let day = first - 1 + i64::from(days.trailing_zeros());
                return Some(day * DAY + self.first_time());
            }
        }
    }

    #[cold]
    fn year_at_or_after(&self, year: i32) -> Option<i32> {
        let years = &self.more.as_ref()?.years;
        years.iter().filter_map(|years| years.at_or_after(year)).min()
    }

    /// The matching days of a month whose first day is `first`, as bits 1..=31.
    #[inline]
    fn days_of_month(&self, year: i32, month: u32, first: i64) -> u32 {
        let len = civil::month_len(year, month);
        let first_weekday = civil::weekday(first);
        let mut by_day = self.days;
        let mut by_weekday = weekdays_as_days(self.weekdays, first_weekday);
        let mut allowed = month_days(len);
        if let Some(more) = &self.more {
            by_day |= more.days(len, first_weekday);
            by_weekday |= nth_as_days(&more.weekday_nth, len, first_weekday);
            allowed &= more.days_of_weeks(len, first);
            for also in &more.and {
                allowed &= also.days_of_month(year, month, first);
            }
        }
        let days = if self.flags & EITHER != 0 { by_day | by_weekday } else { by_day & by_weekday };
        days & allowed
    }
}

/// The sets of a schedule, for those who put it into words.
impl Schedule {
    pub(crate) fn seconds(&self) -> u64 {
        self.seconds
    }

    pub(crate) fn minutes(&self) -> u64 {
        self.minutes
    }

    pub(crate) fn hours(&self) -> u32 {
        self.hours
    }

    pub(crate) fn days(&self) -> u32 {
        self.days
    }

    /// Its months; 0 when it can be seen that it never matches.
    pub(crate) fn months(&self) -> u16 {
        self.months
    }

    pub(crate) fn weekdays(&self) -> u8 {
        self.weekdays
    }

    pub(crate) fn is_either(&self) -> bool {
        self.flags & EITHER != 0
    }

    pub(crate) fn more(&self) -> Option<&More> {
        self.more.as_deref()
    }

    /// A number that is the same for equal schedules, in every version: FNV-1a over the sets.
    pub(crate) fn fingerprint(&self) -> u64 {
        let default = More::default();
        let more = self.more().unwrap_or(&default);
        let flags = u64::from(self.flags & (EITHER | RECURRING));
        let plain = [self.seconds, self.minutes, self.hours.into(), self.days.into()];
        let more_plain = [more.from_end.into(), more.nearest.into(), more.weeks];
        let years = more.years.iter().flat_map(|years| [years.first, years.last, years.step]);
        let words = plain
            .into_iter()
            .chain([self.months.into(), self.weekdays.into(), flags])
            .chain(more.nth.iter().chain(&more.weekday_nth).map(|&bits| bits.into()))
            .chain(more_plain)
            .chain(years.map(|year| year as u64))
            // What came later is not there where it says nothing: those before it stay the same.
            .chain((more.nearest_from_end != 0).then_some(more.nearest_from_end.into()));
        words.flat_map(u64::to_le_bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl More {
    /// Whether it adds to the day-of-month set.
    pub(crate) fn has_days(&self) -> bool {
        self.from_end | self.nearest | self.nearest_from_end != 0 || self.nth != [0; 7]
    }

    /// The days of the month that are not plain numbers.
    fn days(&self, len: u32, first_weekday: u32) -> u32 {
        let mut days = nth_as_days(&self.nth, len, first_weekday);
        for before in bits(self.from_end) {
            if before < len {
                days |= 1 << (len - before);
            }
        }
        for day in bits(self.nearest) {
            days |= nearest_weekday(day, len, first_weekday);
        }
        for before in bits(self.nearest_from_end).filter(|before| *before < len) {
            days |= nearest_weekday(len - before, len, first_weekday);
        }
        days
    }

    /// The days of a month that are in one of the weeks.
    fn days_of_weeks(&self, len: u32, first: i64) -> u32 {
        if self.weeks == ALL_WEEKS {
            return ALL_DAYS;
        }
        let mut days = 0;
        // The monday on or before day 1, and the mondays after it, counted from day 0.
        let mut monday = -(civil::weekday(first) as i64);
        while monday < i64::from(len) {
            if self.weeks >> civil::iso_week(first + monday) & 1 != 0 {
                // Days `monday + 1` to `monday + 7`, as bits; those before day 1 are cut off.
                let week = 0x7f_i64 << (monday + 8) >> 7;
                days |= week as u32;
            }
            monday += 7;
        }
        days & ALL_DAYS
    }

    /// Whether some day of a month may be in one of the weeks, in some year.
    fn may_be_in_month(&self, month: u32) -> bool {
        let day_of_year = |month| civil::to_days(2000, month, 1) - civil::to_days(2000, 1, 1) + 1;
        // A leap year's days; in another one they are a day earlier from March on.
        let (first, last) = (day_of_year(month) - 1, day_of_year(month + 1) - 1);
        (1..=53).filter(|week| self.weeks >> week & 1 != 0).any(|week: i64| {
            // The week's thursday is day 7w-6 to 7w of the year.
            let within = 7 * week - 9 <= last && 7 * week + 3 >= first;
            within || month == 12 && week == 1 || month == 1 && week >= 52
        })
    }
}

/// The numbers of the bits that are set, lowest first.
pub(crate) fn bits(set: u32) -> impl Iterator<Item = u32> {
    (0..32).filter(move |bit| set >> bit & 1 != 0)
}

/// Days 1..=len as bits.
#[inline]
fn month_days(len: u32) -> u32 {
    ALL_DAYS >> (31 - len) & ALL_DAYS
}

/// A set of weekdays as the days of a month that begins on `first_weekday`.
#[inline]
fn weekdays_as_days(weekdays: u8, first_weekday: u32) -> u32 {
    let week = u32::from(weekdays);
    // The week turned so that bit 0 is the weekday of day 1, repeated five times over the month.
    let week = (week | week << 7) >> first_weekday & 0x7f;
    week.wrapping_mul(0x1020_4081) << 1
}

/// `3rd fri`, `last mon`, … as days of a month.
fn nth_as_days(nth: &[u8; 7], len: u32, first_weekday: u32) -> u32 {
    let mut days = 0;
    for (weekday, &which) in nth.iter().enumerate() {
        if which == 0 {
            continue;
        }
        let first = 1 + (weekday as u32 + 7 - first_weekday) % 7;
        for n in bits(u32::from(which & !NTH_LAST)) {
            days |= 1u32.checked_shl(first + 7 * n).unwrap_or(0);
        }
        if which & NTH_LAST != 0 {
            days |= 1 << (first + (len - first) / 7 * 7);
        }
    }
    days & month_days(len)
}

/// The weekday (Monday to Friday) nearest to a day without leaving the month; day 0 stands for
/// the last one. A day that the month does not have has none.
fn nearest_weekday(day: u32, len: u32, first_weekday: u32) -> u32 {
    let last = day == 0;
    let day = if last { len } else { day };
    if day > len {
        return 0;
    }
    let day = match (first_weekday + day - 1) % 7 {
        5 if day > 1 => day - 1,
        5 => day + 2,
        6 if last || day == len => day - 2,
        6 => day + 1,
        _ => day,
    };
    1 << day
}
