//! Messages: who is told what, and what the receivers have answered.

use maud::{Markup, html};

use super::{Head, Tab, View, at, count, job_link, nothing, run_link, whole};
use crate::core::instant::Instant;
use crate::core::notify::log::Told;
use crate::core::notify::notifier::WAITING;
use crate::problem::clean;

/// The page: what waits, then what has ended, the newest first.
pub(in crate::web) fn messages(view: &View<'_>, told: &[Told]) -> Markup {
    let waiting = told.iter().filter(|told| told.end == WAITING).count();
    let main = html! {
        h1 { "Messages" }
        @if told.is_empty() {
            (nothing("Nobody was told anything yet. Routes are in [notify.NAME] of the jobfile; a job names them with notify."))
        } @else {
            p { @if waiting == 0 { "None waits." } @else { (count(waiting as u64, "message")) " wait to be delivered." } }
            (table(view, told))
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
                    td.w1 { (clean(&told.answer)) @if let Some(route) = &told.went_to { "; went to " (clean(route)) } }
                }
            } }
        } }
    }
}

/// What became of one: the mark says it, a colour only repeats it.
fn end(word: &str) -> Markup {
    let (mark, class) = match word {
        "sent" => ("✓", "good"),
        WAITING => ("◷", "busy"),
        "folded" | "superseded" | "dropped" => ("-", "dim"),
        _ => ("✗", "bad"),
    };
    html! { span class={ "st " (class) } { span aria-hidden="true" { (mark) } " " (clean(&word.replace('_', " "))) } }
}
