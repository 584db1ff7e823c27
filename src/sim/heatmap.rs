//! Starts per hour as a grid of days, or of weekdays where there are too many days, and hours.
//!
//! Pure: `crate::cli::command::simulate` draws it with characters and `super::svg` as a picture.

use crate::core::civil;
use crate::core::instant::Instant;
use crate::core::names::{WEEKDAYS, capital};
use crate::core::zone::Zone;

use super::survey::Hour;

/// More days than this become weekdays: six weeks are as much as one screen shows.
pub const MOST_DAYS: i64 = 42;

/// The grid.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// The rows are weekdays, and each value is a mean over the hours of the span it stands for.
    pub is_mean: bool,
}

/// One day, or one day of the week.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `Mon 2026-03-02`, or `Monday`.
    pub label: String,
    /// Starts in each hour; `None` where the span has no such hour.
    pub cells: [Option<f64>; 24],
    /// How many attempts started on this day, or on all such days.
    pub total: u64,
}

/// The largest value and where it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Starts in the hour.
    pub value: f64,
    /// Index of the row.
    pub row: usize,
    /// The hour, 0 to 23.
    pub hour: usize,
}

impl HeatMap {
    /// Arranges the hours of a survey of `from..until`, both on the clocks of `zone`.
    pub fn new(hours: &[Hour], from: Instant, until: Instant, zone: &Zone) -> HeatMap {
        // Hours since 1970-01-01T00 on the clocks of the zone; the last one is not included.
        let first = zone.wall_of(from).div_euclid(3600);
        let mut end = zone.wall_of(until);
        // The clock may have been set back over a part of the span.
        for change in zone.changes(from, until) {
            end = end.max(change.seam().0);
        }
        let end = (end + 3599).div_euclid(3600).max(first + 1);
        let (first_day, last_day) = (first.div_euclid(24), (end - 1).div_euclid(24));
        let is_mean = last_day - first_day >= MOST_DAYS;
        let row_of = |day: i64| {
            if is_mean { civil::weekday(day) as usize } else { (day - first_day) as usize }
        };
        let labels: Vec<String> = if is_mean {
            WEEKDAYS.iter().map(|name| capital(name)).collect()
        } else {
            (first_day..=last_day).map(day_label).collect()
        };
        let empty = |label| Row { label, cells: [None; 24], total: 0 };
        let mut rows: Vec<Row> = labels.into_iter().map(empty).collect();
        let mut counts = vec![[(0_u64, 0_u64); 24]; rows.len()];
        for hour in first..end {
            counts[row_of(hour.div_euclid(24))][hour.rem_euclid(24) as usize].1 += 1;
        }
        for hour in hours {
            let day = hour.wall.div_euclid(24);
            let Some(row) = counts.get_mut(row_of(day.clamp(first_day, last_day))) else {
                continue;
            };
            row[hour.wall.rem_euclid(24) as usize].0 += hour.starts;
        }
        for (row, counts) in rows.iter_mut().zip(&counts) {
            row.total = counts.iter().map(|count| count.0).sum();
            for (cell, &(starts, times)) in row.cells.iter_mut().zip(counts) {
                *cell = (times > 0).then(|| starts as f64 / times as f64);
            }
        }
        HeatMap { rows, is_mean }
    }

    /// Where most attempts start; `None` if none does.
    pub fn peak(&self) -> Option<Peak> {
        let mut peak: Option<Peak> = None;
        for (row, cells) in self.rows.iter().enumerate() {
            for (hour, value) in cells.cells.iter().enumerate() {
                let value = value.unwrap_or(0.0);
                if value > peak.map_or(0.0, |peak| peak.value) {
                    peak = Some(Peak { value, row, hour });
                }
            }
        }
        peak
    }
}

/// Which of `levels` shades a value has: 0 only for nothing, the last one for the largest.
pub fn level(value: f64, largest: f64, levels: usize) -> usize {
    if value <= 0.0 || largest <= 0.0 {
        return 0;
    }
    ((value / largest * levels as f64).ceil() as usize).clamp(1, levels)
}

fn day_label(day: i64) -> String {
    let (year, month, date) = civil::from_days(day);
    let name = capital(WEEKDAYS[civil::weekday(day) as usize]);
    format!("{} {year:04}-{month:02}-{date:02}", &name[..3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades() {
        let rows = [
            (0.0, 10.0, 0),
            (0.1, 10.0, 1),
            (1.0, 10.0, 1),
            (5.0, 10.0, 5),
            (10.0, 10.0, 9),
            (3.0, 3.0, 9),
            (0.0, 0.0, 0),
        ];
        for (value, largest, shade) in rows {
            assert_eq!(level(value, largest, 9), shade, "{value} of {largest}");
        }
    }

    #[test]
    fn hours_that_the_span_has_not_are_left_out() {
        let at = |hour: i64| Instant::from_secs(hour * 3600);
        let hour = |wall, starts| Hour { wall, first: at(wall), starts };
        let map = HeatMap::new(&[hour(2, 5), hour(25, 7)], at(2), at(26), &Zone::utc());
        let labels: Vec<&str> = map.rows.iter().map(|row| &*row.label).collect();
        assert_eq!(labels, ["Thu 1970-01-01", "Fri 1970-01-02"]);
        assert_eq!(map.rows[0].cells[..4], [None, None, Some(5.0), Some(0.0)]);
        assert_eq!(map.rows[1].cells[..3], [Some(0.0), Some(7.0), None]);
        assert_eq!(map.peak(), Some(Peak { value: 7.0, row: 1, hour: 1 }));

        // Ten weeks and a day: the first Thursday hour comes eleven times.
        let weeks = HeatMap::new(&[hour(0, 11)], at(0), at(71 * 24), &Zone::utc());
        assert!(weeks.is_mean);
        assert_eq!(weeks.rows[3].label, "Thursday");
        assert_eq!(weeks.rows[3].cells[0], Some(1.0));
        assert_eq!(weeks.rows[3].total, 11);
    }
}
