//! A run: what became of it, and what it has printed.

use maud::{Markup, html};

use super::{Head, Tab, View, job_href, job_link, mark, nothing, whole};
use crate::core::outcome;
use crate::core::printed::{Attempt, Printed};
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::format;
use crate::problem::clean;
use crate::web::ansi;
use crate::web::source::RunPage;

/// More of what a run has printed is not shown.
const MOST: usize = 1 << 20;

/// The page.
pub(in crate::web) fn run(view: &View<'_>, page: &RunPage) -> Markup {
    let record = &page.record;
    let number = record.run.map(|run| run.0).unwrap_or_default();
    let is_live = page.is_live && record.outcome.is_none();
    let events = format!("/runs/{number}/events");
    let title = format!("Run {number} of {}", clean(&record.job));
    let main = html! {
        p.up { a href="/jobs" { "Jobs" } " / " (job_link(&record.job)) " /" }
        h1 { "Run " (number) }
        @if view.has_actions && record.outcome.is_none() && view.frame.trouble.is_none() {
            p.actions { a.button href={ "/runs/" (number) "/stop" } { "Stop…" } }
        }
        (facts(view, page))
        @if page.attempts.len() > 1 { (attempts(page)) }
        section {
            h2 { "Output" }
            (output(page, is_live))
        }
    };
    whole(view, &Head { tab: Tab::Jobs, title: &title, live: is_live.then_some(&*events) }, &main)
}

fn facts(view: &View<'_>, page: &RunPage) -> Markup {
    let (record, zone, now) = (&page.record, &page.zone, view.frame.now);
    let word = outcome::word(record.outcome.as_ref(), record.started.is_some());
    html! {
        dl.facts {
            dt { "Job" } dd { (job_link(&record.job)) }
            dt { "Outcome" } dd { (mark(word)) " "
                @match &record.outcome {
                    Some(outcome) => (clean(&outcome.sentence(format::reached(record)))),
                    None => (format::ran(record, now, zone)),
                }
            }
            dt { "Due" } dd { (format::due(record.due, zone)) }
            @if let Some(started) = record.started {
                dt { "Started" } dd { (format::due(started, zone))
                    @if record.by.is_none() { ", " (words::elapsed(started.since(record.due))) " after it was due" } }
            }
            @if let Some(ended) = record.ended() { dt { "Ended" } dd { (format::due(ended, zone)) } }
            @if let Some(took) = record.duration.filter(|_| record.started.is_some()) { dt { "Took" } dd { (words::elapsed(took)) } }
            @if let Some(by) = &record.by { dt { "Started by" } dd { (clean(by)) } }
            @if record.attempts > 1 { dt { "Attempts" } dd { (record.attempts) } }
            @if let (Some(host), true) = (&record.host, page.has_hosts) { dt { "Host" } dd { (clean(host)) } }
            @if let Some(usage) = &record.usage { dt { "Used" } dd { (usage.phrase()) } }
            @if let Some(printed) = record.printed { dt { "Printed" } dd { (words::bytes(printed)) } }
            @for (word, text) in &page.unusual { dt { "Unusual" } dd { span.st.warn { span aria-hidden="true" { "!" } " " (word) } ": " (text) } }
            @if let Some(process) = record.process { dt { "Process" } dd { (process.pid) } }
        }
    }
}

fn attempts(page: &RunPage) -> Markup {
    let (record, zone) = (&page.record, &page.zone);
    html! {
        section {
            h2 { "Attempts" }
            div.scroll { table {
                caption.quiet { "Attempts of this run" }
                thead { tr { th.num scope="col" { "Nr" } th scope="col" { "Started" } th scope="col" { "Ended" } th scope="col" { "Outcome" } } }
                tbody { @for attempt in &page.attempts {
                    tr {
                        td.num { (attempt.attempt) }
                        td { @if let Some(at) = attempt.started { (format::clock(at, record.due, zone)) } }
                        td { @if let Some(at) = attempt.ended { (format::clock(at, record.due, zone)) } }
                        td { (mark(outcome::word(attempt.outcome.as_ref(), true))) " " (format::attempt(attempt)) }
                    }
                } }
            } }
        }
    }
}

fn output(page: &RunPage, is_live: bool) -> Markup {
    let has_some = page.printed.as_ref().is_some_and(|(printed, _)| printed.kept() > 0);
    html! {
        @if let Some((printed, total)) = &page.printed { (how_much(printed, *total)) }
        @if is_live { p.live { "It runs: " span.with-script { "what it prints appears here." } span.no-script { a href="" { "reload" } " for what it has printed since." } } }
        @if !has_some && !is_live {
            (nothing(match (page.is_discarded, page.record.outcome.is_none()) {
                (true, _) => "Its output is discarded.",
                (false, true) => "Its output is kept when it ends, and can be followed where it runs.",
                (false, false) => "It printed nothing, or that was not kept.",
            }))
        }
        @if has_some || is_live {
            pre #output.output tabindex="0" role="region" aria-label="What the run has printed" {
                @if let Some((printed, _)) = &page.printed { (lines(printed, &page.zone)) }
            }
            p.dim { "! is from standard error. On a terminal: "
                code { "schedrs logs --run " (page.record.run.map(|run| run.0).unwrap_or_default()) } ". "
                a href=(job_href(&page.record.job)) { "The job" } }
        }
    }
}

fn how_much(printed: &Printed, total: Option<u64>) -> Markup {
    let (kept, whole) = (printed.kept(), printed.is_whole());
    html! {
        @if kept > 0 && !whole {
            p.dim { "The last " (words::bytes(kept)) @if let Some(total) = total { " of " (words::bytes(total)) } "." }
        }
    }
}

fn lines(printed: &Printed, zone: &Zone) -> Markup {
    let has_several = printed.attempts.len() > 1;
    let mut left = MOST;
    html! {
        @for attempt in &printed.attempts {
            @if has_several {
                span.att { "attempt " (attempt.number)
                    @if attempt.missing > 0 { ", " (words::bytes(attempt.missing)) " before this are not kept" } } "\n"
            }
            (pieces(attempt, zone, &mut left))
        }
    }
}

fn pieces(attempt: &Attempt, zone: &Zone, left: &mut usize) -> Markup {
    let mut style = ansi::Style::default();
    html! {
        @for piece in &attempt.pieces {
            @let shown = piece.bytes.len().min(*left);
            @let text = String::from_utf8_lossy(&piece.bytes[..shown]).into_owned();
            @let title = piece.at.map(|at| words::table_time(at.truncated(), zone));
            span class=(if piece.is_stderr { "e" } else { "o" }) title=[title] {
                @for line in text.split_inclusive('\n') {
                    @if piece.is_stderr { span.x aria-hidden="true" { "! " } }
                    @for (class, text) in ansi::pieces(line.trim_end_matches('\n'), &mut style) {
                        @if class.is_empty() { (text) } @else { span class=(class) { (text) } }
                    }
                    "\n"
                }
            }
            ({ *left -= shown; "" })
        }
    }
}
