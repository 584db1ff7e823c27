//! The proleptic Gregorian calendar as integer arithmetic: days since 1970-01-01, and back.
//!
//! This is what the inner loop of the cron engine needs and nothing more; text is read and
//! written with `chrono` elsewhere, and `tests/` compares the two over every day of 800 years.
//! Zones are not known here: see `crate::core::zone`.

/// 400-year cycles added so that every day of the years -9999..=9999 is a positive number.
const CYCLES: i64 = 30;
/// Days from 1 March of the year 0 to 1970-01-01.
const MARCH_0_TO_EPOCH: i64 = 719_468;

/// Days since 1970-01-01 of a civil date of the years -9999..=9999. `month` is 1..=12, `day` may
/// be any small number: the days before and after a month count on.
///
/// The year is taken to begin in March, so that the leap day is the last one and every month
/// before it has the same place in every year. The arithmetic is that of Neri and Schneider
/// ("Euclidean affine functions and their application to calendar algorithms", 2022): products
/// and shifts where the textbook divides.
#[inline]
pub const fn to_days(year: i32, month: u32, day: u32) -> i64 {
    let before_march = month <= 2;
    let year = (year + 400 * CYCLES as i32) as u32 - before_march as u32;
    let month = if before_march { month + 12 } else { month };
    let century = year / 100;
    let year_days = 1461 * year / 4 - century + century / 4;
    let month_days = (979 * month - 2919) / 32;
    (year_days + month_days) as i64 + day as i64 - 1 - (MARCH_0_TO_EPOCH + 146_097 * CYCLES)
}

/// The civil date (year, month, day) of a day number. The inverse of [`to_days`], for the same
/// years.
#[inline]
pub const fn from_days(days: i64) -> (i32, u32, u32) {
    let days = (days + MARCH_0_TO_EPOCH + 146_097 * CYCLES) as u32;
    let quarter_days = 4 * days + 3;
    let century = quarter_days / 146_097;
    let in_century = (quarter_days % 146_097) | 3;
    let product = 2_939_745 * in_century as u64;
    let year_of_century = (product >> 32) as u32;
    let day_of_year = (product as u32) / 2_939_745 / 4;
    let month_and_day = 2141 * day_of_year + 197_913;
    let (month, day) = (month_and_day >> 16, (month_and_day & 0xffff) / 2141 + 1);
    let next_year = day_of_year >= 306;
    let year = (100 * century + year_of_century + next_year as u32) as i32 - 400 * CYCLES as i32;
    (year, if next_year { month - 12 } else { month }, day)
}

/// The weekday of a day number: 0 = Monday .. 6 = Sunday.
#[inline]
pub const fn weekday(days: i64) -> u32 {
    // 1970-01-01 was a Thursday.
    ((days + 3 + 7 * 1_000_000) as u64 % 7) as u32
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
