//! The proleptic Gregorian calendar as integer arithmetic: days since 1970-01-01, and back.
//!
//! This is what the inner loop of the cron engine needs and nothing more; text is read and
//! written with `chrono` elsewhere, and `tests/` compares the two over every day of 800 years.
//! Zones are not known here: see `crate::zone`.

/// Days since 1970-01-01 of a civil date. `month` is 1..=12, `day` may be any number: the days
/// before and after a month count on.
///
/// The year is taken to begin in March, so that the leap day is the last one and every month
/// before it has the same place in every year (Howard Hinnant's `days_from_civil`).
#[inline]
pub const fn to_days(year: i32, month: u32, day: u32) -> i64 {
    let year = year as i64 - (month <= 2) as i64;
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let month_from_march = if month > 2 { month as i64 - 3 } else { month as i64 + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The civil date (year, month, day) of a day number. The inverse of [`to_days`], valid for
/// years -9999..=9999 and beyond.
#[inline]
pub const fn from_days(days: i64) -> (i32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = (shifted - era * 146_097) as u32;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era as i64 + era * 400 + (month <= 2) as i64;
    (year as i32, month, day)
}

/// The weekday of a day number: 0 = Monday .. 6 = Sunday.
#[inline]
pub const fn weekday(days: i64) -> u32 {
    // 1970-01-01 was a Thursday.
    (days + 3).rem_euclid(7) as u32
}

/// Whether a year has a 29 February.
#[inline]
pub const fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// How many days a month (1..=12) of a year has.
#[inline]
pub const fn month_len(year: i32, month: u32) -> u32 {
    match month {
        2 => 28 + is_leap(year) as u32,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The ISO 8601 week (1..=53) of a day number. Week 1 is the one with the year's first Thursday,
/// so the first days of January may be in week 52 or 53 and the last of December in week 1.
pub const fn iso_week(days: i64) -> u32 {
    let thursday = days - weekday(days) as i64 + 3;
    let (year, _, _) = from_days(thursday);
    ((thursday - to_days(year, 1, 1)) / 7 + 1) as u32
}
