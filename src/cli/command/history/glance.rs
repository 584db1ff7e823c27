//! `history --jobs`: a line of marks for each job.

use std::collections::BTreeSet;
use std::io::Write;

use serde::Serialize;

use super::{Asked, Output};
use crate::cli::ExitCode;
use crate::cli::command::history_source::History;
use crate::cli::table::terminal_width;
use crate::core::outcome;
use crate::core::sort;
use crate::core::words;
use crate::history::format;
use crate::history::glance::glance;
use crate::history::object::RunObject;
use crate::problem::clean;
use crate::store::Query;
use unicode_width::UnicodeWidthStr;

/// So many records of each job are looked at unless told.
const LOOKED_AT: usize = 100;

/// So many marks are drawn where there is room, and at least.
const MARKS: usize = 30;
const FEWEST: usize = 5;

/// A job as JSON.
#[derive(Serialize)]
struct Object<'a> {
    job: &'a str,
    marks: &'a str,
    runs: u64,
    succeeded: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<RunObject>,
}

const HEADING: [&str; 4] = ["JOB", "MARKS", "SUCCEEDED", "LATEST"];

/// A line.
struct Line {
    id: String,
    marks: String,
    share: String,
    last: String,
}

pub(super) fn run(
    asked: &Asked<'_>,
    history: &mut History,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let limit = asked.args.count.unwrap_or(LOOKED_AT);
    let mut lines = Vec::new();
    for id in ids(asked, history)? {
        let query = Query { job: Some(id.clone()), ..asked.query(limit) };
        let records = history.reader().records(&query)?;
        let zone = history.zone_of(&id);
        if asked.args.output == Output::Json {
            let found = glance(&records, usize::MAX);
            let object = Object {
                job: &id,
                marks: &found.marks,
                runs: found.runs,
                succeeded: found.succeeded,
                last: records.first().map(|record| RunObject::of_record(record, &zone)),
            };
            writeln!(out, "{}", crate::problem::json(&object)?)?;
            continue;
        }
        let found = glance(&records, MARKS);
        let last = records.first().map(|record| {
            let ago = words::span(history.now.since(record.last_due));
            format!("{}, {ago} ago", format::cell(record))
        });
        lines.push(Line {
            id: clean(&id).into_owned(),
            share: found.share(),
            marks: found.marks,
            last: last.unwrap_or_default(),
        });
    }
    if lines.is_empty() && asked.args.output == Output::Table {
        anstream::eprintln!("schedrs: no jobs");
    }
    write(&lines, out)?;
    Ok(ExitCode::SUCCESS)
}

/// The jobs: of the jobfile in its order, then those that only the store knows.
fn ids(asked: &Asked<'_>, history: &mut History) -> anyhow::Result<Vec<Box<str>>> {
    if !asked.jobs.is_empty() {
        return Ok(asked.jobs.iter().map(|job| job.as_str().into()).collect());
    }
    let remembered = history.all_known()?;
    let own = history.set.iter().flat_map(|set| set.jobs.iter().map(|job| job.id.clone()));
    let mut ids: Vec<Box<str>> = own.collect();
    let known: BTreeSet<Box<str>> = sort::collect(ids.iter().cloned());
    let mut others: BTreeSet<Box<str>> =
        sort::collect(history.reader().latest(None)?.into_iter().map(|latest| latest.job));
    others.extend(remembered.into_iter().map(|job| job.id));
    ids.extend(others.into_iter().filter(|id| !known.contains(id)));
    Ok(ids)
}

/// Not as a table: each mark has a colour of its own.
fn write(lines: &[Line], out: &mut dyn Write) -> std::io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let width = |of: fn(&Line) -> &str| lines.iter().map(|line| of(line).width()).max();
    let ids = width(|line| &line.id).unwrap_or(0);
    let shares = width(|line| &line.share).unwrap_or(0);
    let lasts = width(|line| &line.last).unwrap_or(0);
    let marks = lines.iter().map(|line| line.marks.chars().count()).max().unwrap_or(0);
    let (ids, shares) = (ids.max(HEADING[0].len()), shares.max(HEADING[2].len()));
    let marks = marks.max(HEADING[1].len());
    // Where the terminal is narrow, the older marks give way.
    let others = ids + shares + lasts + 6;
    let marks = match terminal_width() {
        Some(columns) => marks.min(columns.saturating_sub(others).max(FEWEST)),
        None => marks,
    };
    let bold = anstyle::Style::new().bold();
    let [id, mark, share, last] = HEADING;
    writeln!(out, "{bold}{id:ids$}  {mark:>marks$}  {share:shares$}  {last}{bold:#}")?;
    for line in lines {
        let skipped = line.marks.chars().count().saturating_sub(marks);
        let shown: Vec<char> = line.marks.chars().skip(skipped).collect();
        let mut text = format!("{}{}", line.id, " ".repeat(ids - line.id.width() + 2));
        text += &" ".repeat(marks - shown.len());
        let mut colour = "";
        for mark in shown {
            if outcome::colour(mark) != colour {
                colour = outcome::colour(mark);
                text += &format!("\x1b[0;{colour}m");
            }
            text.push(mark);
        }
        if !colour.is_empty() {
            text += "\x1b[0m";
        }
        text += &format!("  {}{}", line.share, " ".repeat(shares - line.share.width() + 2));
        text += &line.last;
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}
