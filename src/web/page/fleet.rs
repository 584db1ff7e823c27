//! Fleet: the hosts that share the store.

use maud::{Markup, html};

use super::{Head, Tab, View, at, far, nothing, whole};
use crate::core::fleet::{Member, hosts};
use crate::problem::clean;

/// The page.
pub(in crate::web) fn fleet(view: &View<'_>, members: &[Member]) -> Markup {
    let frame = view.frame;
    let main = html! {
        h1 { "Fleet" }
        @for what in drift(members) { p.note.warn { "Hosts have different " (what) "." } }
        @if members.is_empty() { (nothing("No hosts use this store.")) } @else {
            div.scroll { table {
                caption.quiet { "Hosts that share the store" }
                thead { tr {
                    th scope="col" { "Host" } th scope="col" { "State" } th scope="col" { "Heard of" } th.w2 scope="col" { "Since" }
                    th.num scope="col" { "Jobs" } th.num scope="col" { "Runs" } th.w2 scope="col" { "Clock" } th.w2 scope="col" { "Version" } th.w1 scope="col" { "Labels" }
                } }
                tbody { @for member in hosts(members) {
                    @let (mark, class) = match member.state() { "alive" => ("●", "good"), "leaving" => ("◐", "warn"), "left" => ("○", "dim"), _ => ("✗", "bad") };
                    tr {
                        th scope="row" { (clean(&member.host)) }
                        td { span class={ "st " (class) } { span aria-hidden="true" { (mark) } " " (member.state()) } }
                        td.nowrap { (far(member.seen, frame.now.max(member.seen))) }
                        td.w2.nowrap { (at(member.joined, frame.now, &frame.zone)) }
                        td.num { @if member.gone.is_none() { (member.jobs_at_home) } }
                        td.num { @if member.gone.is_none() { (member.running) } }
                        td.w2 { (clock(member.offset)) }
                        td.w2 { (clean(&member.version)) }
                        td.w1 { @for label in &member.labels { span.tag { (clean(label)) } " " } }
                    }
                } }
            } }
        }
    };
    whole(view, &Head { tab: Tab::Fleet, title: "Fleet", live: Some("/events") }, &main)
}

/// What differs between hosts that are there, and should not for long.
fn drift(members: &[Member]) -> Vec<&'static str> {
    let alive: Vec<&Member> = members.iter().filter(|member| member.is_comparable()).collect();
    let differ = |is_same: fn(&Member, &Member) -> bool| {
        alive.windows(2).any(|pair| !is_same(pair[0], pair[1]))
    };
    let kinds = [
        (differ(|a, b| a.jobfile_hash == b.jobfile_hash), "jobfiles"),
        (differ(|a, b| a.version == b.version), "versions of schedrs"),
        (differ(|a, b| a.tzdata == b.tzdata), "versions of time zone data"),
    ];
    kinds.into_iter().filter(|(differ, _)| *differ).map(|(_, what)| what).collect()
}

/// How far a clock is off, if that is worth a word.
fn clock(offset: i64) -> String {
    match offset.unsigned_abs() {
        0..500_000 => "right".to_owned(),
        off => {
            format!("{:.1}s {}", off as f64 / 1e6, if offset > 0 { "ahead" } else { "behind" })
        }
    }
}
