//! Time: a day back and a day on. Above what all jobs do together, below what each of the most busy
//! ones does; the same stands in a table.

use std::collections::HashMap;
use std::time::Duration;

use maud::{Markup, html};

use super::{Head, Tab, View, count, job_link, nothing, number, whole};
use crate::core::instant::Instant;
use crate::core::record::RunRecord;
use crate::core::sort;
use crate::core::words;
use crate::core::zone::Zone;
use crate::web::source::TimePage;

/// As wide as a column is.
const COLUMN: i64 = 15 * 60;
/// Columns in a day.
const DAY: usize = 96;
/// So many jobs have a line of their own.
const LINES: usize = 40;
/// So many marks a line has at most.
const MARKS: usize = 400;
/// As high as the columns are at most.
const HIGH: f64 = 100.0;

/// What happens in a quarter of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Column {
    started: u32,
    failed: u32,
    /// Due times that did not come to run.
    not_run: u32,
    /// The most starts in one minute, and the most runs at once.
    minute: u32,
    at_once: u32,
    /// Due times that are still to come.
    due: u32,
}

/// The two days, as columns.
struct Days {
    /// When the first column begins.
    from: i64,
    columns: Vec<Column>,
}

impl Days {
    fn new(page: &TimePage) -> Days {
        let now = page.now.micros().div_euclid(1_000_000);
        let from = (now - 86_400).div_euclid(COLUMN) * COLUMN;
        let mut days = Days { from, columns: vec![Column::default(); 2 * DAY + 1] };
        let minutes = days.columns.len() * 15;
        let mut starts = vec![0u32; minutes];
        // How many more, or fewer, run from this minute on.
        let mut turns = vec![0i32; minutes + 1];
        for record in &page.past {
            let Some(column) = days.at(record.started.unwrap_or(record.due)) else { continue };
            let failed = went_wrong(record);
            column.failed += u32::from(failed);
            match record.started {
                Some(_) => column.started += 1,
                None => column.not_run += u32::try_from(record.count).unwrap_or(u32::MAX),
            }
            let Some(started) = record.started else { continue };
            let end = record.ended().unwrap_or(page.now);
            let (first, last) = (days.minute(started), days.minute(end));
            if let Some(start) = starts.get_mut(first) {
                *start += 1;
            }
            if first < minutes {
                turns[first] += 1;
                turns[(last + 1).min(minutes)] -= 1;
            }
        }
        for (due, _) in &page.dues.at {
            if let Some(column) = days.at(*due) {
                column.due += 1;
            }
        }
        let mut running = 0i32;
        for (minute, (starts, turn)) in starts.iter().zip(&turns).enumerate() {
            running += turn;
            let column = &mut days.columns[minute / 15];
            column.minute = column.minute.max(*starts);
            column.at_once = column.at_once.max(running.max(0) as u32);
        }
        days
    }

    fn minute(&self, at: Instant) -> usize {
        let secs = at.micros().div_euclid(1_000_000) - self.from;
        usize::try_from(secs / 60).unwrap_or(0)
    }

    fn at(&mut self, at: Instant) -> Option<&mut Column> {
        let secs = at.micros().div_euclid(1_000_000) - self.from;
        self.columns.get_mut(usize::try_from(secs.div_euclid(COLUMN)).ok()?)
    }

    /// The columns in which there are some, those in a row as one: the first, and how many.
    fn stretches(&self, all: impl Iterator<Item = Instant>) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for at in all {
            let column = self.minute(at) / 15;
            match found.last_mut() {
                Some((first, count)) if column < *first + *count => {}
                Some((first, count)) if column == *first + *count => *count += 1,
                _ => found.push((column, 1)),
            }
        }
        found
    }

    /// How wide so many columns are, in percent.
    fn wide(&self, columns: usize) -> f64 {
        columns as f64 * 100.0 / self.columns.len() as f64 - 0.08
    }

    fn begin(&self, column: usize) -> Instant {
        Instant::from_secs(self.from + column as i64 * COLUMN)
    }

    /// Where an instant is, in percent of the width.
    fn x(&self, at: Instant) -> f64 {
        let span = (self.columns.len() as i64 * COLUMN) as f64;
        (at.micros() as f64 / 1e6 - self.from as f64) / span * 100.0
    }
}

/// The page.
pub(in crate::web) fn time(view: &View<'_>, page: &TimePage) -> Markup {
    let days = Days::new(page);
    let zone = &view.frame.zone;
    let started: u64 = days.columns.iter().map(|column| u64::from(column.started)).sum();
    let failed: u64 = days.columns.iter().map(|column| u64::from(column.failed)).sum();
    let due = page.dues.at.len() as u64;
    let main = html! {
        h1 { "Time" }
        p.lead {
            (count(started, "run")) " started in the last 24 hours, "
            @if failed == 0 { "and nothing failed" } @else { span.bad { (number(failed)) " failed or missed" } }
            "; " (count(due, "start")) " to come"
            @match page.dues.until { Some(until) => { " until " (super::at(until, page.now, zone)) }, None => " in the next 24" } "."
        }
        @if let Some(cut) = Some(page.since).filter(|since| *since > days.begin(0).plus(Duration::from_secs(COLUMN as u64))) {
            p.note { "There are too many records to show all: from " (super::at(cut, page.now, zone)) " on they are here." }
        }
        @if page.dues.until.is_some() {
            p.note { "There are too many due times to count all of the next day." }
        }
        @if started + due == 0 { (nothing("Nothing has run in the last day, and nothing is due in the next.")) } @else {
            (columns(&days, page, zone))
            (lines(&days, page))
            (table(&days, zone))
        }
    };
    whole(view, &Head { tab: Tab::Time, title: "Time", live: None }, &main)
}

fn percent(value: f64) -> String {
    format!("{:.3}%", value.clamp(-1.0, 101.0))
}

fn columns(days: &Days, page: &TimePage, zone: &Zone) -> Markup {
    let most =
        days.columns.iter().map(|column| column.started.max(column.due)).max().unwrap_or(0).max(1);
    let wide = 100.0 / days.columns.len() as f64;
    let high = |count: u32| {
        (f64::from(count) / f64::from(most) * HIGH).max(if count > 0 { 1.5 } else { 0.0 })
    };
    html! {
        figure.chart {
            svg.load width="100%" height="130" role="img" aria-label={ "Starts per 15 minutes over two days, at most " (most) ": the table below has the numbers" } {
                @for (nth, (hour, x)) in hours(days, zone).iter().enumerate() {
                    @let x = *x;
                    line.grid x1=(percent(x)) x2=(percent(x)) y1="0" y2="108" {}
                    text class=(if nth % 2 == 0 { "axis" } else { "axis w1" }) x=(percent(x)) y="122" text-anchor="middle" { (hour) }
                }
                @for (nth, column) in days.columns.iter().enumerate() {
                    @let x = nth as f64 * wide;
                    @if column.started > 0 {
                        rect.past x=(percent(x)) width=(percent(wide * 0.82)) y=(format!("{:.1}", 106.0 - high(column.started))) height=(format!("{:.1}", high(column.started))) {
                            title { (label(days, nth, column, zone)) }
                        }
                    }
                    @if column.due > 0 {
                        rect.due x=(percent(x)) width=(percent(wide * 0.82)) y=(format!("{:.1}", 106.0 - high(column.due))) height=(format!("{:.1}", high(column.due))) {
                            title { (label(days, nth, column, zone)) }
                        }
                    }
                    @if column.failed > 0 {
                        rect.bad x=(percent(x)) width=(percent(wide * 0.82)) y="107" height="4" { title { (label(days, nth, column, zone)) } }
                    }
                }
                line.now x1=(percent(days.x(page.now))) x2=(percent(days.x(page.now))) y1="0" y2="112" {}
            }
            figcaption { "Starts per 15 minutes, at most " (number(u64::from(most))) ": filled what started, outlined what is due, below it a bar where something failed or was missed; the line is now." }
        }
    }
}

/// Every third hour, and where it is.
fn hours(days: &Days, zone: &Zone) -> Vec<(String, f64)> {
    let every = 4 * usize::try_from(3600 / COLUMN).unwrap_or(4);
    let places = (0..days.columns.len()).filter(|place| {
        let wall = zone.wall_of(days.begin(*place));
        wall.rem_euclid(3600 * every as i64 / 4) == 0
    });
    places
        .map(|place| {
            let at = days.begin(place);
            let wall = zone.wall_of(at);
            let text = match wall.rem_euclid(86_400) {
                0 => words::wall_day(wall),
                second => format!("{:02}", second / 3600),
            };
            (text, days.x(at))
        })
        .collect()
}

fn label(days: &Days, nth: usize, column: &Column, zone: &Zone) -> String {
    let begin = words::soon(days.begin(nth), days.begin(nth), zone);
    let parts = [
        (column.started, "started"),
        (column.failed, "failed or missed"),
        (column.not_run, "not run"),
        (column.due, "due"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, word)| format!("{count} {word}")).collect();
    format!("from {begin}: {}", parts.join(", "))
}

/// What a job did and will do.
#[derive(Default)]
struct Line<'a> {
    records: Vec<&'a RunRecord>,
    dues: Vec<Instant>,
    failed: usize,
}

impl Line<'_> {
    /// When its runs began, in order.
    fn started(&self) -> Vec<Instant> {
        // The newest come first, by when they were due.
        let mut all: Vec<Instant> =
            self.records.iter().filter_map(|record| record.started).collect();
        sort::all(&mut all);
        all
    }
}

fn went_wrong(record: &RunRecord) -> bool {
    record.outcome.as_ref().is_some_and(|outcome| outcome.went_wrong())
}

fn lines(days: &Days, page: &TimePage) -> Markup {
    let mut of: HashMap<&str, Line<'_>> = HashMap::new();
    for record in &page.past {
        let line = of.entry(&record.job).or_default();
        line.failed += usize::from(went_wrong(record));
        line.records.push(record);
    }
    for (due, job) in &page.dues.at {
        if let Some(job) = page.dues.jobs.get(*job) {
            of.entry(job).or_default().dues.push(*due);
        }
    }
    let jobs = of.len();
    let mut lines: Vec<(&str, Line<'_>)> = of.into_iter().collect();
    sort::by(&mut lines, |(a, one), (b, other)| {
        let size = |line: &Line<'_>| (line.failed, line.records.len() + line.dues.len());
        size(other).cmp(&size(one)).then(a.cmp(b))
    });
    lines.truncate(LINES);
    html! {
        h2 { "By job " span.n { @if jobs > LINES { "the " (LINES) " that failed or start most, of " (number(jobs as u64)) } @else { (jobs) } } }
        table.lines {
            caption.quiet { "The last and the next day of each job" }
            thead { tr { th scope="col" { "Job" } th scope="col" { "Two days" } } }
            tbody { @for (job, line) in &lines {
                tr { th scope="row" { (job_link(job)) } td { (strip(days, page, line)) } }
            } }
        }
    }
}

fn strip(days: &Days, page: &TimePage, line: &Line<'_>) -> Markup {
    let label = format!(
        "{} runs or due times behind, {} of them failed or missed; {} ahead",
        line.records.len(),
        line.failed,
        line.dues.len()
    );
    html! {
        svg.strip width="100%" height="20" role="img" aria-label=(label) {
            // Where there are too many to tell apart, only what went wrong has a mark of its own.
            @let many = line.records.len() > MARKS;
            @if many {
                @for (first, columns) in days.stretches(line.started().iter().copied()) {
                    rect.past x=(percent(days.x(days.begin(first)))) width=(percent(days.wide(columns))) y="6" height="9" {}
                }
            }
            @for record in line.records.iter().filter(|record| !many || went_wrong(record)).take(MARKS) {
                @let start = record.started.unwrap_or(record.due);
                @let end = record.ended().unwrap_or(if record.outcome.is_none() { page.now } else { start });
                @let bad = went_wrong(record);
                // What went wrong is as high as the line.
                rect class=(if bad { "bad" } else if record.started.is_some() { "past" } else { "none" })
                    x=(percent(days.x(start))) width=(format!("{:.3}%", (days.x(end) - days.x(start)).max(0.25)))
                    y=(if bad { 1 } else { 6 }) height=(if bad { 18 } else { 9 }) {}
            }
            @for (first, columns) in days.stretches(line.dues.iter().copied()) {
                rect.due x=(percent(days.x(days.begin(first)))) width=(percent(days.wide(columns))) y="7" height="7" {}
            }
            line.now x1=(percent(days.x(page.now))) x2=(percent(days.x(page.now))) y1="0" y2="20" {}
        }
    }
}

fn table(days: &Days, zone: &Zone) -> Markup {
    let is_empty = |column: &Column| *column == Column::default();
    html! {
        details {
            summary { "The numbers as a table" }
            div.scroll { table {
                caption.quiet { "What happens in each quarter of an hour" }
                thead { tr {
                    th scope="col" { "From" } th.num scope="col" { "Started" } th.num scope="col" { "Failed or missed" }
                    th.num.w1 scope="col" { "Not run" } th.num scope="col" { "Most in a minute" } th.num.w1 scope="col" { "Most at once" } th.num scope="col" { "Due" }
                } }
                tbody { @for (nth, column) in days.columns.iter().enumerate().filter(|(_, column)| !is_empty(column)) {
                    tr {
                        th scope="row" { (words::table_time(days.begin(nth), zone)) }
                        td.num { (column.started) } td.num { (column.failed) } td.num.w1 { (column.not_run) }
                        td.num { (column.minute) } td.num.w1 { (column.at_once) } td.num { (column.due) }
                    }
                } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outcome::Outcome;
    use crate::web::source::Dues;

    fn run(at: i64, took: u64, outcome: Outcome) -> RunRecord {
        let at = Instant::from_secs(at);
        RunRecord {
            seq: 1,
            run: Some(crate::core::event::RunId(1)),
            job: "j".into(),
            due: at,
            last_due: at,
            count: 1,
            outcome: Some(outcome),
            at,
            started: Some(at),
            duration: Some(Duration::from_secs(took)),
            attempts: 1,
            process: None,
            by: None,
            host: None,
            usage: None,
            printed: None,
        }
    }

    #[test]
    fn what_happens_in_a_quarter_of_an_hour() {
        let now = Instant::from_secs(1_800_000_000);
        let from = (1_800_000_000 - 86_400) / COLUMN * COLUMN;
        let past = vec![
            run(from, 90, Outcome::Succeeded),
            run(from + 30, 600, Outcome::Failed(1)),
            run(from + 60, 10, Outcome::Succeeded),
            run(from + 900, 10, Outcome::Succeeded),
        ];
        let at =
            vec![(now.plus(Duration::from_secs(60)), 0), (now.plus(Duration::from_secs(61)), 0)];
        let dues = Dues { jobs: vec!["j".into()], at, until: None };
        let days = Days::new(&TimePage { now, past, since: now, dues });
        let first = Column { started: 3, failed: 1, minute: 2, at_once: 3, ..Column::default() };
        assert_eq!(days.columns[0], first);
        assert_eq!(days.columns[1].started, 1);
        assert_eq!(days.columns.iter().map(|column| column.due).sum::<u32>(), 2);
        assert_eq!(days.begin(0), Instant::from_secs(from));
    }
}
