//! Messages: who is told what, what services are told that watch jobs, and what the receivers have answered.

use maud::{Markup, html};

use super::{Head, Tab, View, at, count, job_link, nothing, run_link, whole};
use crate::core::instant::Instant;
use crate::core::notify::log::Told;
use crate::core::notify::notifier::WAITING;
use crate::core::notify::ping::Phase;
use crate::core::sort;
use crate::problem::clean;
use crate::web::source::{Messages, Ping};

/// The page: what waits, then what has ended, the newest first.
pub(in crate::web) fn messages(view: &View<'_>, all: &Messages) -> Markup {
    let told = &all.told;
    let waiting = told.iter().filter(|told| told.end == WAITING).count();
    let main = html! {
        h1 { "Messages" }
        @if told.is_empty() {
            (nothing("Nobody has been told anything yet. Routes are in [notify.NAME] of the jobfile; a job names them with notify."))
        } @else {
            p { @if waiting == 0 { "None waits." } @else { (count(waiting as u64, "message")) @if waiting == 1 { " waits" } @else { " wait" } " to be delivered." } }
            (table(view, told))
        }
        @if !all.pings.is_empty() {
            h2 { "Pings" }
            (pings(view, &all.pings))
        }
    };
    whole(view, &Head { tab: Tab::Messages, title: "Messages", live: Some("/events") }, &main)
}

fn table(view: &View<'_>, all: &[Told]) -> Markup {
    let frame = view.frame;
    html! {
        div.scroll { table {
            caption.quiet { "Messages by route: those that wait, then the last ones" }
            thead { tr {
                th scope="col" { "When" } th scope="col" { "Route" } th scope="col" { "What" } th scope="col" { "Job" }
                th.num.w2 scope="col" { "Run" } th scope="col" { "State" } th.w1 scope="col" { "Answer" }
            } }
            tbody { @for told in all {
                @let when = Instant::from_micros(if told.end == WAITING { told.decided } else { told.at });
                tr {
                    td.nowrap { (at(when, frame.now, &frame.zone)) }
                    td { (clean(&told.route)) }
                    td { (clean(&told.kind.replace('_', " "))) @if told.count > 1 { " (" (told.count) ")" } }
                    td { (job_link(&told.job)) }
                    td.num.w2 { @if let Some(run) = told.run { (run_link(run)) } }
                    td { (end(&told.end)) }
                    td.w1 { (clean(&told.answer))
                        @if let Some(trying) = &told.trying { "; again " (at(Instant::from_micros(trying.next), frame.now, &frame.zone)) }
                        @if let Some(route) = &told.went_to { "; went to " (clean(route)) } }
                }
            } }
        } }
    }
}

/// At most so many pings are shown: those that were not delivered, and then the last.
const PINGS: usize = 500;

fn pings(view: &View<'_>, all: &[Ping]) -> Markup {
    let frame = view.frame;
    let when = |ping: &Ping| ping.ended.filter(|_| &*ping.state != WAITING).unwrap_or(ping.ping.at);
    let mut rows: Vec<&Ping> = all.iter().collect();
    sort::by_key(&mut rows, |row| (&*row.state == "sent", std::cmp::Reverse(when(row))));
    let more = rows.len().saturating_sub(PINGS) as u64;
    rows.truncate(PINGS);
    html! {
        div.scroll { table {
            caption.quiet { "The last pings of each job: those that were not delivered first" }
            thead { tr {
                th scope="col" { "When" } th scope="col" { "Job" } th scope="col" { "What" }
                th.num.w2 scope="col" { "Run" } th scope="col" { "State" } th.w1 scope="col" { "Answer" }
            } }
            tbody { @for row in rows {
                tr {
                    td.nowrap { (at(when(row), frame.now, &frame.zone)) }
                    td { @if row.ping.job.is_empty() { "(the scheduler)" } @else { (job_link(&row.ping.job)) } }
                    td { (what(row)) }
                    td.num.w2 { @if let Some(run) = row.ping.run { (run_link(run.0)) } }
                    td { (end(&row.state)) }
                    td.w1 { (clean(&row.answer)) }
                }
            } }
        } }
        @if more > 0 { p { "and " (count(more, "ping")) " more: schedrs notify lists all." } }
    }
}

/// What a ping says: that a run starts, or how it has ended.
fn what(row: &Ping) -> String {
    match (row.ping.phase, &row.ping.outcome) {
        (Phase::End, Some(outcome)) => outcome.word().replace('_', " "),
        (phase, _) => phase.word().to_owned(),
    }
}

/// What became of one: the mark says it, a colour only repeats it.
fn end(word: &str) -> Markup {
    let (mark, class) = match word {
        "sent" => ("✓", "good"),
        WAITING => ("◷", "busy"),
        "dropped" | "replaced" => ("-", "dim"),
        _ => ("✗", "bad"),
    };
    html! { span class={ "st " (class) } { span aria-hidden="true" { (mark) } " " (clean(&word.replace('_', " "))) } }
}
