//! Tables for people: columns as wide as their content, fitted to the terminal they go to.

use std::io::{self, Write};
use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use crate::core::words::fit;
use crate::problem::clean;

/// The colour of a cell, as its control sequence.
type Colour = fn(&str) -> &'static str;

/// Rows of text under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// The column that gives way first where the terminal is too narrow.
    elastic: usize,
    /// The columns that hold numbers, one below the other's last digit.
    numbers: Range<usize>,
    /// A column with colours, and what says which: the parameter of an ANSI sequence, or nothing.
    colour: Option<(usize, Colour)>,
}

/// A column is not made narrower than this.
const NARROWEST: usize = 12;
const GAP: &str = "  ";

impl Table {
    /// A table with these columns, of which the one numbered `elastic` gives way first.
    pub(crate) fn new(heading: Vec<&'static str>, elastic: usize) -> Table {
        Table { heading, rows: Vec::new(), elastic, numbers: 0..0, colour: None }
    }

    /// The same, with numbers in these columns.
    pub(crate) fn with_numbers(self, numbers: Range<usize>) -> Table {
        Table { numbers, ..self }
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

    /// Writes it, whole where `width` is `None` and within so many columns otherwise.
    pub(crate) fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let mut widths: Vec<usize> = self.heading.iter().map(|text| text.width()).collect();
        for row in &self.rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.width());
            }
        }
        // A column in which nothing stands is not shown.
        let shown: Vec<bool> = (0..widths.len())
            .map(|column| {
                self.rows.is_empty() || self.rows.iter().any(|row| !row[column].is_empty())
            })
            .collect();
        if let Some(available) = width {
            let total: usize = widths
                .iter()
                .zip(&shown)
                .filter(|(_, shown)| **shown)
                .map(|(width, _)| width + GAP.len())
                .sum::<usize>()
                .saturating_sub(GAP.len());
            let mut over = total.saturating_sub(available);
            // What it is about stands at the left, so that gives way last.
            let others = (0..widths.len()).rev().filter(|column| *column != self.elastic);
            for column in std::iter::once(self.elastic).chain(others) {
                if shown[column] {
                    let spare = widths[column].saturating_sub(NARROWEST).min(over);
                    widths[column] -= spare;
                    over -= spare;
                }
            }
        }
        let (bold, reset) = (anstyle::Style::new().bold(), anstyle::Reset);
        let heading: Vec<String> = self.heading.iter().map(|text| (*text).to_owned()).collect();
        writeln!(out, "{bold}{}{reset}", self.line(&heading, &widths, &shown))?;
        for row in &self.rows {
            writeln!(out, "{}", self.line(row, &widths, &shown))?;
        }
        Ok(())
    }

    fn line(&self, row: &[String], widths: &[usize], shown: &[bool]) -> String {
        let mut line = String::new();
        let columns = row.iter().zip(widths).zip(shown).enumerate();
        for (column, ((text, width), _)) in columns.filter(|(_, (_, shown))| **shown) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let mut text = fit(text, *width);
            let padding = std::iter::repeat_n(' ', width.saturating_sub(text.width()));
            if let Some((coloured, colour)) = self.colour
                && coloured == column
                && !colour(&text).is_empty()
            {
                text = format!("\x1b[{}m{text}\x1b[0m", colour(&text));
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

/// The columns of the terminal that standard output is, if it is one.
pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
