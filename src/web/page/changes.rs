//! Changes: who did what.

use maud::{Markup, html};

use super::{Head, Tab, View, at, job_link, nothing, whole};
use crate::core::event::Change;
use crate::problem::clean;

/// The page: the newest first.
pub(in crate::web) fn changes(view: &View<'_>, changes: &[Change]) -> Markup {
    let frame = view.frame;
    let main = html! {
        h1 { "Changes" }
        @if changes.is_empty() { (nothing("Nobody has changed anything, as far as it is kept.")) } @else {
            div.scroll { table {
                caption.quiet { "What was done to the jobs and the scheduler, the newest first" }
                thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Job" } th scope="col" { "Who" } th.w1 scope="col" { "Details" } } }
                tbody { @for change in changes {
                    tr {
                        td.nowrap { (at(change.at, frame.now, &frame.zone)) }
                        td { (change.what.to_string().replace('_', " ")) }
                        td { @match &change.job { Some(job) => (job_link(job)), None => span.dim { "all" } } }
                        td { (clean(&change.by)) }
                        td.w1 { @if let Some(detail) = &change.detail { (clean(detail)) } }
                    }
                } }
            } }
        }
    };
    whole(view, &Head { tab: Tab::Changes, title: "Changes", live: Some("/events") }, &main)
}
