//! Now: whether anything is wrong, what goes on, and what is next.

use maud::{Markup, html};

use super::jobs::slow;
use super::{
    Head, Tab, View, at, at_of, count, far, job_link, mark, nothing, number, run_link, whole,
};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::core::words;
use crate::history::object::RunObject;
use crate::jobfile::when::{self, Moment};
use crate::problem::clean;
use crate::web::source::{Frame, Overview, Row};

/// So many of each list are shown.
const SHOWN: usize = 20;

/// The page.
pub(in crate::web) fn now(view: &View<'_>, all: &Overview) -> Markup {
    let mut failing: Vec<&Row> = all.rows.iter().filter(|row| row.line.has_failed()).collect();
    sort::by_key(&mut failing, |row| std::cmp::Reverse(row.ended.or(row.last)));
    let mut overdue: Vec<&Row> = all.rows.iter().filter(|row| row.overdue.is_some()).collect();
    sort::by_key(&mut overdue, |row| row.overdue);
    let mut next: Vec<&Row> = all.rows.iter().filter(|row| row.next.is_some()).collect();
    sort::by_key(&mut next, |row| row.next);
    let mut unusual: Vec<&Row> =
        all.rows.iter().filter(|row| !row.line.unusual().is_none()).collect();
    sort::by_key(&mut unusual, |row| std::cmp::Reverse(row.ended.or(row.last)));
    let (running, waiting) = active(all);
    let main = html! {
        h1.quiet { "Now" }
        p.lead aria-live="polite" { (sentence(all, &failing, &overdue, &next)) }
        @if !all.warnings.is_empty() {
            ul.note.warn { @for warning in &all.warnings { li { (clean(warning)) } } }
        }
        div.two {
            section {
                h2 { "Failing " span.n { (number(failing.len() as u64)) } }
                @if failing.is_empty() { (nothing("No job failed when it last ran.")) } @else {
                    (failed(&failing, &all.frame)) (more(failing.len(), "/jobs?state=failing"))
                }
                h2 { "Overdue " span.n { (number(overdue.len() as u64)) } }
                @if overdue.is_empty() {
                    (nothing("No job is without the success that it is expected to have (expect)."))
                } @else {
                    (late(&overdue, &all.frame)) (more(overdue.len(), "/jobs?state=overdue"))
                }
                @if !unusual.is_empty() {
                    h2 { "Quiet or fast " span.n { (number(unusual.len() as u64)) } }
                    (out_of_the_ordinary(&unusual, &all.frame))
                    @if unusual.len() > SHOWN {
                        p.more { a href="/jobs?state=quiet" { "all that are quiet" } ", "
                            a href="/jobs?state=fast" { "all that are fast" } }
                    }
                }
                h2 { "Running " span.n { (number(running.len() as u64)) } }
                @if running.is_empty() { (nothing("Nothing is running.")) } @else {
                    (busy(&running, all, true)) (more(running.len(), "/jobs?state=running"))
                }
                @if !waiting.is_empty() {
                    h2 { "Waiting " span.n { (number(waiting.len() as u64)) } }
                    (busy(&waiting, all, false)) (more(waiting.len(), "/jobs?state=waiting"))
                }
            }
            section {
                h2 { "Next" }
                @if next.is_empty() { (nothing("Nothing is due.")) } @else { (upcoming(&next, &all.frame)) }
            }
        }
    };
    whole(view, &Head { tab: Tab::Now, title: &title(failing.len()), live: Some("/events") }, &main)
}

/// The runs that have begun, and those that wait: of this host, then of others.
fn active(all: &Overview) -> (Vec<&RunObject>, Vec<&RunObject>) {
    let Some(status) = &all.status else { return (Vec::new(), Vec::new()) };
    let others = status.active_elsewhere.iter().flatten();
    status.active.iter().chain(others).partition(|run| run.started.is_some())
}

/// What stands in the tab of a browser.
fn title(failing: usize) -> String {
    match failing {
        0 => "Now".to_owned(),
        failing => format!("({failing}) Now"),
    }
}

/// How it is, in a sentence.
fn sentence(all: &Overview, failing: &[&Row], overdue: &[&Row], next: &[&Row]) -> Markup {
    let jobs = all.rows.len() as u64;
    let running: u64 = all.rows.iter().map(|row| u64::from(row.line.running)).sum();
    let are = |count: usize| if count == 1 { "is" } else { "are" };
    html! {
        @if jobs == 0 { "There are no jobs." } @else if failing.is_empty() {
            span.good { "None of " (count(jobs, "job")) " is failing" }
        } @else {
            span.bad { (number(failing.len() as u64)) " of " (count(jobs, "job")) " " (are(failing.len())) " failing" }
        }
        @if !overdue.is_empty() {
            ", " span.warn { (number(overdue.len() as u64)) " " (are(overdue.len())) " overdue" }
        }
        @if jobs > 0 { "; " (number(running)) " running" }
        @if let Some((row, due)) = next.first().and_then(|row| Some((row, row.next?))) {
            "; next: " (job_link(&row.line.id)) " " (far(due, all.frame.now))
        }
        @if jobs > 0 { "." }
        @if let Some(paused) = all.status.as_ref().and_then(|status| status.paused.as_ref()) {
            " " span.warn { "All jobs are paused"
                @if let Some(by) = &paused.by { " by " (clean(by)) }
                @if let Some(reason) = &paused.reason { ": " (clean(reason)) } "." }
        }
    }
}

fn more(found: usize, href: &str) -> Markup {
    html! {
        @if found > SHOWN {
            p.more { a href=(href) { "and " (number((found - SHOWN) as u64)) " more" } }
        }
    }
}

/// The last runs of jobs, with what there is to say of each.
fn last_runs(
    rows: &[&Row],
    caption: &str,
    what: fn(&RunObject) -> Markup,
    frame: &Frame,
) -> Markup {
    html! {
        div.scroll { table {
            caption.quiet { (caption) }
            thead { tr { th scope="col" { "Job" } th scope="col" { "When" } th scope="col" { "What" } th.num scope="col" { "Run" } } }
            tbody { @for row in rows.iter().take(SHOWN) { @if let Some(last) = &row.line.last {
                tr {
                    th scope="row" { (mark(&last.outcome)) " " (job_link(&row.line.id)) }
                    td.nowrap { @if let Some(when) = row.ended.or(row.last) { (at_of(row, when, frame)) } }
                    td { (what(last)) }
                    td.num { @if let Some(run) = last.run { (run_link(run)) } }
                }
            } } }
        } }
    }
}

fn failed(rows: &[&Row], frame: &Frame) -> Markup {
    let what = |last: &RunObject| html! { (clean(&last.phrase())) };
    last_runs(rows, "Jobs whose last run failed", what, frame)
}

fn out_of_the_ordinary(rows: &[&Row], frame: &Frame) -> Markup {
    let what = |last: &RunObject| {
        html! { @for (nth, (word, what, usually)) in last.unusual().remarks().iter().enumerate() {
            @if nth > 0 { "; " }
            span.st.warn { span aria-hidden="true" { "!" } " " (word) } ": " (what) " (" (usually) ")"
        } }
    };
    let caption = "Jobs whose last run has succeeded, and is out of the ordinary";
    last_runs(rows, caption, what, frame)
}

fn late(rows: &[&Row], frame: &Frame) -> Markup {
    let now = frame.now;
    html! {
        div.scroll { table {
            caption.quiet { "Jobs that are overdue" }
            thead { tr { th scope="col" { "Job" } th scope="col" { "Since" } th scope="col" { "Last success" } } }
            tbody { @for row in rows.iter().take(SHOWN) {
                tr {
                    th scope="row" { (job_link(&row.line.id)) }
                    td { @if let Some(since) = row.overdue { (at_of(row, since, frame)) ", " (far(since, now)) } }
                    td { @match instant(row.line.last_success.as_deref()) {
                        Some(success) => (at_of(row, success, frame)),
                        None => "never, as far as it is known",
                    } }
                }
            } }
        } }
    }
}

fn busy(runs: &[&RunObject], all: &Overview, is_running: bool) -> Markup {
    let row_of = |id: &str| all.rows.iter().find(|row| row.line.id == id);
    let now = all.frame.now;
    let fleet = all.status.as_ref().and_then(|status| status.fleet.as_ref());
    let own = fleet.map_or("–", |fleet| &*fleet.host);
    html! {
        div.scroll { table {
            caption.quiet { @if is_running { "Runs that have a process" } @else { "Runs that wait" } }
            thead { tr {
                th scope="col" { "Job" } th scope="col" { @if is_running { "Since" } @else { "Due" } }
                th scope="col" { @if is_running { "For" } @else { "State" } }
                @if all.hosts > 1 { th.w2 scope="col" { "Host" } }
                th.w2 scope="col" { "Last took" } th.num scope="col" { "Run" }
            } }
            tbody { @for run in runs.iter().take(SHOWN) {
                @let row = row_of(&run.job);
                @let zone = row.map_or(&all.frame.zone, |row| &row.zone);
                @let since = instant(run.started.as_deref().or(Some(&run.due)));
                tr {
                    th scope="row" { (mark("running")) " " (job_link(&run.job)) }
                    td.nowrap { @if let Some(since) = since { (at(since, now, zone)) } }
                    td.nowrap {
                        @if let Some(since) = since.filter(|_| is_running) { (words::span(now.truncated().since(since.truncated()))) }
                        @if !is_running { (clean(&run.doing())) }
                        @if run.attempts > 1 { ", attempt " (run.attempts) }
                        @if let Some(row) = row.filter(|_| is_running) { (slow(row)) }
                    }
                    @if all.hosts > 1 { td.w2 { (clean(run.host.as_deref().unwrap_or(own))) } }
                    td.w2.nowrap { @if let Some(took) = row.and_then(took) { (took) } @else { "–" } }
                    td.num { @if let Some(run) = run.run { (run_link(run)) } }
                }
            } }
        } }
    }
}

fn upcoming(rows: &[&Row], frame: &Frame) -> Markup {
    html! {
        div.scroll { table {
            caption.quiet { "The jobs that are due next" }
            thead { tr { th scope="col" { "Job" } th scope="col" { "Due" } th scope="col" { "In" } } }
            tbody { @for row in rows.iter().take(SHOWN) { @if let Some(due) = row.next {
                tr {
                    th scope="row" { (job_link(&row.line.id)) }
                    td.nowrap { (at_of(row, due, frame)) }
                    td.nowrap { (words::span(due.truncated().since(frame.now.truncated()))) }
                }
            } } }
        } }
    }
}

/// How long the last run of a job took.
pub(super) fn took(row: &Row) -> Option<String> {
    let millis = row.line.last.as_ref()?.duration_ms?;
    Some(words::elapsed(std::time::Duration::from_millis(millis)))
}

/// A time of a response.
pub(super) fn instant(time: Option<&str>) -> Option<Instant> {
    match when::parse_moment(time?) {
        Ok(Moment::At(at)) => Some(at),
        _ => None,
    }
}
