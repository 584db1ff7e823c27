//! A heat map as a picture: one self-contained SVG, as text.
//!
//! Nothing is painted behind it, letters are a grey and cells a colour that both show on white
//! and on black: it is readable wherever it is put.

use std::fmt::Write;

use super::heatmap::{HeatMap, Row, level};

/// What stands around the map.
#[derive(Clone, Copy, Debug)]
pub struct Caption<'a> {
    /// Above it, large.
    pub title: &'a str,
    /// Below the title, small.
    pub subtitle: &'a str,
    /// The zone of the hours.
    pub zone: &'a str,
}

const LEFT: usize = 132;
const TOP: usize = 92;
const CELL: (usize, usize) = (26, 20);
const RIGHT: usize = 84;
/// Below the grid: the axis label and the legend.
const BOTTOM: usize = 84;
const SHADES: usize = 6;
const COLOUR: &str = "#e8590c";
const GREY: &str = "#7d8590";

/// The picture.
pub fn svg(map: &HeatMap, caption: Caption<'_>) -> String {
    let (cell_width, cell_height) = CELL;
    let (grid_width, grid_height) = (24 * cell_width, map.rows.len() * cell_height);
    let (width, height) = (LEFT + grid_width + RIGHT, TOP + grid_height + BOTTOM);
    let (title, subtitle) = (escape(caption.title), escape(caption.subtitle));
    let largest = map.peak().map_or(0.0, |peak| peak.value);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\" \
         font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"11\" fill=\"{GREY}\">\n\
         <title>{title}</title>\n\
         <text x=\"16\" y=\"28\" font-size=\"16\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"16\" y=\"48\">{subtitle}</text>"
    );
    headings(&mut out, map, width);
    for (index, row) in map.rows.iter().enumerate() {
        self::row(&mut out, map, row, TOP + index * cell_height, width, largest);
    }
    let y = TOP + grid_height + 22;
    let zone = escape(caption.zone);
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{y}\" text-anchor=\"middle\">hour of the day, {zone}</text>",
        LEFT + grid_width / 2
    );
    legend(&mut out, map, largest, TOP + grid_height + 44);
    out.push_str("</svg>\n");
    out
}

/// What stands above the columns.
fn headings(out: &mut String, map: &HeatMap, width: usize) {
    let cell_width = CELL.0;
    for hour in 0..24 {
        let x = LEFT + hour * cell_width + cell_width / 2;
        let y = TOP - 7;
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{hour:02}</text>");
    }
    let rows_are = if map.is_mean { "day of the week" } else { "day" };
    let total = if map.is_mean { "all starts" } else { "starts" };
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{rows_are}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{total}</text>",
        LEFT - 10,
        TOP - 7,
        width - 16,
        TOP - 7
    );
}

/// A row of cells, with its name and its total.
fn row(out: &mut String, map: &HeatMap, row: &Row, y: usize, width: usize, largest: f64) {
    let (cell_width, cell_height) = CELL;
    let base = y + cell_height / 2 + 4;
    let label = escape(&row.label);
    let _ =
        writeln!(out, "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{label}</text>", LEFT - 10);
    for (hour, value) in row.cells.iter().enumerate() {
        let Some(value) = *value else { continue };
        let x = LEFT + hour * cell_width + 1;
        let paint = paint(level(value, largest, SHADES));
        let starts = number(value);
        let each = if map.is_mean { " on average" } else { "" };
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\" {paint}>\
             <title>{label} {hour:02}:00: {starts} starts{each}</title></rect>",
            y + 1,
            cell_width - 2,
            cell_height - 2,
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{}</text>",
        width - 16,
        row.total
    );
}

/// The shades and what the first and the last of them stand for.
fn legend(out: &mut String, map: &HeatMap, largest: f64, y: usize) {
    let base = y + 12;
    let unit = if map.is_mean { "starts in an hour, on average" } else { "starts in an hour" };
    let _ = writeln!(out, "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">0</text>", LEFT - 10);
    for shade in 0..=SHADES {
        let x = LEFT + shade * CELL.0 + 1;
        let width = CELL.0 - 2;
        let paint = paint(shade);
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"16\" rx=\"2\" {paint}/>"
        );
    }
    let x = LEFT + (SHADES + 1) * CELL.0 + 8;
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{base}\">{} {unit}</text>", number(largest));
}

fn paint(shade: usize) -> String {
    match shade {
        0 => format!("fill=\"{GREY}\" fill-opacity=\"0.12\""),
        shade => {
            let opacity = 0.15 + 0.85 * shade as f64 / SHADES as f64;
            format!("fill=\"{COLOUR}\" fill-opacity=\"{opacity:.2}\"")
        }
    }
}

/// Whole where it is, one digit after the point where it is not; small means keep two.
pub fn number(value: f64) -> String {
    match value {
        value if value.fract() == 0.0 => format!("{value:.0}"),
        value if value < 1.0 => format!("{value:.2}"),
        value => format!("{value:.1}"),
    }
}

/// A text as XML has it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 has no way to write most control characters.
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            char => escaped.push(char),
        }
    }
    escaped
}
