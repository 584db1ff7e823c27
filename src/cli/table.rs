//! Tables for people: columns as wide as their content, fitted to the terminal they go to.

use std::collections::HashSet;
use std::io::{self, Write};
use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use crate::core::words::{fit, wrap};
use crate::problem::clean;
use crate::sys::terminal;

/// The colour of a cell, as its control sequence.
type Colour = fn(&str) -> &'static str;

/// Rows of text under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// The rows whose times do not hold.
    struck: HashSet<usize>,
    /// The column that gives way first where the terminal is too narrow.
    elastic: usize,
    /// The columns that hold numbers, one below the other's last digit.
    numbers: Range<usize>,
    /// The columns that hold times.
    times: &'static [usize],
    /// The column that can be left out where all rows have the same in it.
    same: Option<usize>,
    /// A column with colours, and what says which: the parameter of an ANSI sequence, or nothing.
    colour: Option<(usize, Colour)>,
}

/// A column is not made narrower than this.
const NARROWEST: usize = 12;
const GAP: &str = "  ";

impl Table {
    /// A table with these columns, of which the one numbered `elastic` gives way first.
    pub(crate) fn new(heading: Vec<&'static str>, elastic: usize) -> Table {
        Table {
            heading,
            rows: Vec::new(),
            struck: HashSet::new(),
            elastic,
            numbers: 0..0,
            times: &[],
            same: None,
            colour: None,
        }
    }

    /// The same, with numbers in these columns.
    pub(crate) fn with_numbers(self, numbers: Range<usize>) -> Table {
        Table { numbers, ..self }
    }

    /// The same, with times in these columns.
    pub(crate) fn with_times(self, times: &'static [usize]) -> Table {
        Table { times, ..self }
    }

    /// The same, with a column that is left out where there is no room and all rows have the same in it.
    pub(crate) fn with_same(self, column: usize) -> Table {
        Table { same: Some(column), ..self }
    }

    /// The same, with colours in this column. (Write to an `anstream` stream, which removes them
    /// where they are not wanted.)
    pub(crate) fn with_colour(self, column: usize, colour: fn(&str) -> &'static str) -> Table {
        Table { colour: Some((column, colour)), ..self }
    }

    /// Adds a row, one text a column.
    pub(crate) fn row(&mut self, row: Vec<String>) {
        // A command or an id may hold what acts on a terminal.
        self.rows.push(row.into_iter().map(|text| clean(&text).into_owned()).collect());
    }

    /// The same for a row whose times are struck through, where the terminal can do that.
    pub(crate) fn struck_row(&mut self, row: Vec<String>) {
        self.struck.insert(self.rows.len());
        self.row(row);
    }

    /// Writes it, whole where `width` is `None` and within so many columns otherwise.
    pub(crate) fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let layout = self.layout(width);
        let (bold, reset) = (anstyle::Style::new().bold(), anstyle::Reset);
        let heading: Vec<String> = self.heading.iter().map(|text| (*text).to_owned()).collect();
        writeln!(out, "{bold}{}{reset}", self.line(&heading, &layout, false))?;
        for (place, row) in self.rows.iter().enumerate() {
            writeln!(out, "{}", self.line(row, &layout, self.struck.contains(&place)))?;
        }
        Ok(())
    }

    /// Whether the column that is the same in all rows is left out in so many columns.
    pub(crate) fn leaves_out_the_same(&self, width: Option<usize>) -> bool {
        let (whole, fitted) = (self.layout(None), self.layout(width));
        self.same.is_some_and(|column| whole.shown[column] && !fitted.shown[column])
    }

    /// What gives way is, in this order: the column that is the same in all rows, the weekday and year
    /// of times, the words of the elastic column, and then of others from the right. What it is about
    /// stands at the left. Times are never cut: half a time is none.
    fn layout(&self, available: Option<usize>) -> Layout {
        let mut layout = self.whole();
        let Some(available) = available else { return layout };
        if let Some(column) = self.same.filter(|_| layout.over(available) > 0)
            && self.rows.windows(2).all(|rows| rows[0][column] == rows[1][column])
        {
            layout.shown[column] = false;
        }
        if layout.over(available) > 0 {
            layout.has_short_times = true;
            for &column in self.times {
                layout.widths[column] = self.width_of(column, short_time);
            }
        }
        let others = (0..layout.widths.len()).rev().filter(|column| *column != self.elastic);
        let columns: Vec<usize> = std::iter::once(self.elastic).chain(others).collect();
        for least in [NARROWEST, NARROWEST / 2] {
            for &column in columns.iter().filter(|column| !self.times.contains(column)) {
                if layout.shown[column] {
                    let spare = layout.widths[column].saturating_sub(least);
                    layout.widths[column] -= spare.min(layout.over(available));
                }
            }
        }
        if layout.over(available) > 0 {
            layout.shown[self.elastic] = false;
        }
        layout
    }

    /// With all that there is. A column in which nothing stands is not shown.
    fn whole(&self) -> Layout {
        let columns = 0..self.heading.len();
        let is_empty = |column: usize| self.rows.iter().all(|row| row[column].is_empty());
        Layout {
            widths: columns.clone().map(|column| self.width_of(column, |text| text)).collect(),
            shown: columns.map(|column| self.rows.is_empty() || !is_empty(column)).collect(),
            has_short_times: false,
        }
    }

    fn width_of(&self, column: usize, form: fn(&str) -> &str) -> usize {
        let texts = self.rows.iter().map(|row| form(&row[column]).width());
        texts.max().unwrap_or(0).max(self.heading[column].width())
    }

    fn line(&self, row: &[String], layout: &Layout, struck: bool) -> String {
        let mut line = String::new();
        for (column, text) in row.iter().enumerate().filter(|(column, _)| layout.shown[*column]) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let is_short = layout.has_short_times && self.times.contains(&column);
            let width = layout.widths[column];
            let mut text = fit(if is_short { short_time(text) } else { text }, width);
            let padding = std::iter::repeat_n(' ', width.saturating_sub(text.width()));
            if let Some((coloured, colour)) = self.colour
                && coloured == column
                && !colour(&text).is_empty()
            {
                text = format!("\x1b[{}m{text}\x1b[0m", colour(&text));
            }
            if struck && self.times.contains(&column) {
                text = format!("\x1b[9m{text}\x1b[0m");
            }
            if self.numbers.contains(&column) {
                line.extend(padding);
                line.push_str(&text);
            } else {
                line.push_str(&text);
                line.extend(padding);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// How wide which columns are.
struct Layout {
    widths: Vec<usize>,
    shown: Vec<bool>,
    has_short_times: bool,
}

impl Layout {
    /// By how many columns it is too wide.
    fn over(&self, available: usize) -> usize {
        let shown = self.widths.iter().zip(&self.shown).filter(|(_, shown)| **shown);
        let total: usize = shown.map(|(width, _)| width + GAP.len()).sum();
        total.saturating_sub(GAP.len()).saturating_sub(available)
    }
}

/// `11-29 03:00:00 +01:00` of `Sun 2026-11-29 03:00:00 +01:00`; any other text as it is.
fn short_time(text: &str) -> &str {
    let is_time = text.get(3..4) == Some(" ")
        && text.get(4..9).is_some_and(|year| {
            year.bytes().take(4).all(|byte| byte.is_ascii_digit()) && year.ends_with('-')
        });
    if is_time { &text[9..] } else { text }
}

/// The columns of the terminal that standard output is, if it is one.
pub(crate) fn terminal_width() -> Option<usize> {
    terminal::columns(rustix::stdio::stdout())
}

/// A text whose lines are broken where a terminal of this width has no room for them: the rest of one
/// begins two columns to the right of its first part.
pub(crate) fn prose(out: &mut dyn Write, text: &str, width: Option<usize>) -> io::Result<()> {
    for line in text.lines() {
        let rest = line.trim_start();
        let indent = line.len() - rest.len();
        paragraph(out, (&line[..indent], indent), indent + 2, rest, width)?;
    }
    Ok(())
}

/// A text behind what names it, which takes `head` columns: in several lines where a terminal of this
/// width has no room for it in one, which begin after `indent` columns.
pub(crate) fn paragraph(
    out: &mut dyn Write,
    (first, head): (&str, usize),
    indent: usize,
    text: &str,
    width: Option<usize>,
) -> io::Result<()> {
    let Some(width) = width else { return writeln!(out, "{first}{text}") };
    let lines = wrap(text, width.saturating_sub(head), width.saturating_sub(indent));
    for (at, line) in lines.iter().enumerate() {
        match at {
            0 => writeln!(out, "{first}{line}")?,
            _ => writeln!(out, "{:indent$}{line}", "")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(zones: [&str; 2]) -> Table {
        let mut table = Table::new(vec!["JOB", "DUE", "ZONE", "IN", "SCHEDULE"], 4)
            .with_times(&[1])
            .with_same(2);
        let schedule = "at 03:00, monday to friday, in january and february";
        for (job, zone) in ["backup", "report"].iter().zip(zones) {
            let due = "Sun 2026-11-29 03:00:00 +01:00".to_owned();
            let row =
                [(*job).to_owned(), due, zone.to_owned(), "3h".to_owned(), schedule.to_owned()];
            table.row(row.into());
        }
        table
    }

    fn first_row(table: &Table, width: usize) -> String {
        let mut out = Vec::new();
        table.write(&mut anstream::StripStream::new(&mut out), Some(width)).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            assert!(line.width() <= width, "{width}: {line}");
        }
        text.lines().nth(1).unwrap().to_owned()
    }

    /// The time of day is there at any width.
    #[test]
    fn a_time_is_what_is_cut_last() {
        let rows = [
            (
                140,
                "backup  Sun 2026-11-29 03:00:00 +01:00  Europe/Berlin  3h  at 03:00, monday to friday, in january and february",
            ),
            (
                100,
                "backup  Sun 2026-11-29 03:00:00 +01:00  3h  at 03:00, monday to friday, in january and february",
            ),
            (
                80,
                "backup  11-29 03:00:00 +01:00  3h  at 03:00, monday to friday, in january and f…",
            ),
            (60, "backup  11-29 03:00:00 +01:00  3h  at 03:00, monday to frid…"),
            (33, "backup  11-29 03:00:00 +01:00  3h"),
        ];
        let table = due(["Europe/Berlin"; 2]);
        for (width, expected) in rows {
            let row = first_row(&table, width);
            assert!(row.contains("03:00:00"), "{row}");
            assert_eq!(row, expected, "{width}");
        }
        assert!(table.leaves_out_the_same(Some(80)) && !table.leaves_out_the_same(Some(140)));
    }

    /// Where the zones differ they are shown.
    #[test]
    fn zones_that_differ_stay() {
        let table = due(["Europe/Berlin", "UTC"]);
        assert!(!table.leaves_out_the_same(Some(80)));
        let row = first_row(&table, 80);
        assert!(row.contains("Europe/Berlin") && row.contains("11-29 03:00:00 +01:00"), "{row}");
        assert!(first_row(&table, 60).contains("03:00:00"));
    }

    #[test]
    fn what_is_no_time_is_left_alone() {
        for text in ["-", "", "03:00:00", "12 May 2027 09:00", "abc 12-3", "Sun 20é6-11-29"] {
            assert_eq!(short_time(text), text);
        }
        assert_eq!(short_time("Sun 2026-11-29 03:00:00 +01:00"), "11-29 03:00:00 +01:00");
    }
}
