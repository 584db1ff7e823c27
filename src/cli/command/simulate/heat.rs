//! The map of starts per hour with characters, coloured where there are colours.

use std::io::{self, Write};

use anstyle::{Ansi256Color, Style};

use crate::sim::heatmap::{HeatMap, level};
use crate::sim::svg::number;

/// From few to many, without colours.
const SHADES: [char; 9] = ['.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// From few to many: cool to hot, told apart on light and on dark.
const COLOURS: [u8; 9] = [24, 31, 37, 72, 107, 178, 208, 202, 196];

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) colour: bool,
    /// The columns there are, if that is known.
    pub(super) width: Option<usize>,
}

/// Draws it.
pub(super) fn write(map: &HeatMap, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let label = map.rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
    let totals: Vec<String> = map.rows.iter().map(|row| row.total.to_string()).collect();
    let total = totals.iter().map(String::len).max().unwrap_or(0).max("TOTAL".len());
    let fits = |columns| look.width.is_none_or(|width| columns <= width);
    // Two columns an hour are as wide as high; where there is no room for that, one.
    let cell = if fits(label + 2 + 48 + 2 + total) { 2 } else { 1 };
    let with_total = fits(label + 2 + 24 * cell + 2 + total);

    let largest = map.peak().map_or(0.0, |peak| peak.value);
    let mut heading = format!("{:label$}  ", "");
    for hour in (0..24).step_by(3) {
        heading.push_str(&format!("{hour:02}{:1$}", "", 3 * cell - 2));
    }
    if with_total {
        heading.push_str(&format!("  {:>total$}", "TOTAL"));
    }
    let bold = Style::new().bold();
    writeln!(out, "{bold}{}{bold:#}", heading.trim_end())?;
    for (row, starts) in map.rows.iter().zip(&totals) {
        let mut line = format!("{:label$}  ", row.label);
        for value in row.cells {
            line.push_str(&shade(level(value.unwrap_or(0.0), largest, SHADES.len()), cell, look));
        }
        if with_total {
            line.push_str(&format!("  {starts:>total$}"));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    let Some(peak) = map.peak() else { return writeln!(out, "nothing starts") };
    let scale: String = (1..=SHADES.len()).map(|level| shade(level, 1, look)).collect();
    let mean = if map.is_mean { ", on average" } else { "" };
    writeln!(
        out,
        "{scale} up to {} in an hour{mean}: {} {:02}:00",
        number(peak.value),
        map.rows[peak.row].label,
        peak.hour
    )
}

/// One cell: nothing for level 0.
fn shade(level: usize, width: usize, look: Look) -> String {
    let Some(index) = level.checked_sub(1) else { return " ".repeat(width) };
    if look.colour {
        let style = Style::new().bg_color(Some(Ansi256Color(COLOURS[index]).into()));
        format!("{style}{:width$}{style:#}", "")
    } else {
        SHADES[index].to_string().repeat(width)
    }
}
