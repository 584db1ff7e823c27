//! A job: when it is due, how it has fared and why, and what it is.

use maud::{Markup, html};

use super::chart;
use super::jobs::state;
use super::{Head, Tab, View, at, count, far, job_href, mark, nothing, run_link, whole};
use crate::core::outcome;
use crate::core::words;
use crate::history::format;
use crate::history::glance::glance;
use crate::history::object::RunObject;
use crate::problem::clean;
use crate::web::page::now::instant;
use crate::web::query::encoded;
use crate::web::source::{JobPage, Upcoming, Verb, Why};

/// The page.
pub(in crate::web) fn job(view: &View<'_>, page: &JobPage) -> Markup {
    let line = &page.row.line;
    let main = html! {
        p.up { a href="/jobs" { "Jobs" } " /" }
        h1 { (clean(&line.id)) @if let Some(name) = &line.name { " " span.dim { (clean(name)) } } }
        @if view.has_actions && view.frame.trouble.is_none() { (actions(page)) }
        div.two {
            section { (facts(view, page)) }
            section { (next(view, page)) }
        }
        @if let Some(why) = &page.why { (explained(page, why)) }
        (history(view, page))
        (options(page))
    };
    whole(view, &Head { tab: Tab::Jobs, title: &line.id, live: Some("/events") }, &main)
}

fn actions(page: &JobPage) -> Markup {
    let line = &page.row.line;
    let is_paused = line.paused.as_ref().is_some_and(|paused| paused.what != "all");
    let is_active = line.running + line.waiting > 0;
    html! {
        p.actions {
            @for verb in Verb::ALL {
                @let fits = match verb {
                    Verb::Start => true,
                    Verb::Stop => is_active,
                    Verb::Pause => !is_paused,
                    Verb::Resume => is_paused,
                };
                @if fits {
                    a.button href={ (job_href(&line.id)) "/" (verb.word()) } {
                        (match verb { Verb::Start => "Start now…", Verb::Stop => "Stop…", Verb::Pause => "Pause…", Verb::Resume => "Resume…" })
                    }
                }
            }
        }
    }
}

fn facts(view: &View<'_>, page: &JobPage) -> Markup {
    let (row, line, now) = (&page.row, &page.row.line, view.frame.now);
    html! {
        h2 { "How it stands" }
        dl.facts {
            dt { "Schedule" } dd { (clean(&line.schedule)) " " span.dim { "(" (clean(&line.timezone)) ")" } }
            dt { "State" } dd { (state(row)) (paused(view, page)) }
            @if let Some(since) = row.overdue {
                dt { "Overdue" } dd.warn { "since " (at(since, now, &row.zone)) ", " (far(since, now)) }
            }
            dt { "Last run" } dd {
                @match (&line.last, row.last) {
                    (Some(last), Some(when)) => {
                        (mark(&last.outcome)) " " (clean(&last.phrase())) ", " (at(when, now, &row.zone))
                        @if let Some(run) = last.run { ", run " (run_link(run)) }
                    },
                    _ => "It has not run yet.",
                }
                @for (many, word) in [(line.skipped_since, "skipped"), (line.missed_since, "missed")] {
                    @if let Some(many) = many.filter(|many| *many > 0) { "; " (many) " " (word) " since" }
                }
            }
            dt { "Last success" } dd {
                @match instant(line.last_success.as_deref()) {
                    Some(success) => { (at(success, now, &row.zone)) ", " (far(success, now)) },
                    None => "None that is known.",
                }
            }
            @if let Some(details) = &page.details {
                @for run in &details.active { dt { "Active" } dd { (active(view, page, run)) } }
            }
            dt { "Command" } dd { code { (clean(&page.command)) } }
            @if let Some(details) = &page.details { dt { "Executor" } dd { (clean(&details.executor)) } }
            @if let Some(host) = &line.host {
                dt { "Home" } dd { @if host == "all" { "every host" } @else { (clean(host)) } }
            }
            @if !line.tags.is_empty() {
                dt { "Tags" } dd { @for tag in &line.tags { a.tag href={ "/jobs?tag=" (encoded(tag)) } { (clean(tag)) } " " } }
            }
            @if line.added { dt { "Added" } dd { "at run time; it is in no jobfile" } }
            @if line.overridden { dt { "Changed" } dd { "at run time: see the options" } }
        }
    }
}

fn paused(view: &View<'_>, page: &JobPage) -> Markup {
    let row = &page.row;
    html! {
        @if let Some(paused) = &row.line.paused {
            (match &*paused.what { "file" => " by its definition", "all" => " with all jobs", _ => "" })
            @if let Some(by) = &paused.by { " by " (clean(by)) }
            @if let Some(until) = instant(paused.until.as_deref()) { " until " (at(until, view.frame.now, &row.zone)) }
            @if let Some(reason) = &paused.reason { ": " (clean(reason)) }
        }
    }
}

fn active(view: &View<'_>, page: &JobPage, run: &RunObject) -> Markup {
    let since = instant(run.started.as_deref().or(Some(&run.due)));
    html! {
        (mark("running")) " "
        @if let Some(number) = run.run { "run " (run_link(number)) " is " }
        (clean(&run.doing()))
        @if let Some(host) = &run.host { " on " (clean(host)) }
        @if let Some(since) = since {
            (if run.started.is_some() { " since " } else { ", due " }) (at(since, view.frame.now, &page.row.zone))
        }
        @if run.attempts > 1 { ", attempt " (run.attempts) }
    }
}

fn next(view: &View<'_>, page: &JobPage) -> Markup {
    let (zone, now) = (&page.row.zone, view.frame.now);
    html! {
        h2 { "Next" }
        @if page.upcoming.is_empty() {
            @match (&page.row.line.paused, &page.row.line.next_after) {
                (None, Some(after)) => p { "It is due " (clean(after)) "." },
                (Some(_), _) => (nothing("It is paused: nothing is due until it is resumed.")),
                (None, None) => (nothing("It is not due any more, as far as it is known.")),
            }
        } @else {
            div.scroll { table {
                caption.quiet { "Its next due times" }
                thead { tr { th scope="col" { "Due" } th scope="col" { "In" } th scope="col" { "Remarks" } } }
                tbody { @for Upcoming { at, is_excluded, remark } in &page.upcoming {
                    tr {
                        td.nowrap {
                            @if *is_excluded { s { (format::due(*at, zone)) } }
                            @else { (format::due(*at, zone)) }
                        }
                        td.nowrap {
                            @if *is_excluded { "-" }
                            @else { (words::span(at.truncated().since(now.truncated()))) }
                        }
                        td { @if let Some(remark) = remark.as_deref() { (clean(remark)) } }
                    }
                } }
            } }
        }
    }
}

fn explained(page: &JobPage, why: &Why) -> Markup {
    html! {
        section {
            h2 { "Why" }
            p {
                @if let Some(due) = why.due { "Due " (format::due(due, &page.row.zone)) ": " }
                (clean(&why.text)) "."
            }
            @if !why.evidence.is_empty() {
                dl.facts { @for (about, text) in &why.evidence { dt { (about) } dd { (clean(text)) } } }
            }
        }
    }
}

fn history(view: &View<'_>, page: &JobPage) -> Markup {
    let (zone, now) = (&page.row.zone, view.frame.now);
    let seen = glance(&page.records, usize::MAX);
    html! {
        section {
            h2 { "History" @if !seen.share().is_empty() { " " span.n { (seen.share()) " succeeded" } } }
            @if page.records.is_empty() { (nothing("Nothing is known of its past.")) } @else {
                (chart::durations(&page.records))
                div.scroll { table {
                    caption.quiet { "Its last " (count(page.records.len() as u64, "record")) ", the newest first" }
                    thead { tr {
                        th scope="col" { "Due" } th scope="col" { "Outcome" } th.num scope="col" { "Took" }
                        th.num.w1 scope="col" { "CPU" } th.num.w1 scope="col" { "Memory" }
                        th.num scope="col" { "Run" } @if page.has_hosts { th.w2 scope="col" { "Host" } } th.w1 scope="col" { "Remarks" }
                    } }
                    tbody { @for record in &page.records {
                        @let class = super::class_of(outcome::mark(record.outcome.as_ref()));
                        tr {
                            td.nowrap { (at(record.due, now, zone)) }
                            td { span class={ "st " (class) } { (clean(&format::cell(record))) } }
                            td.num.nowrap { @if let Some(took) = record.duration.filter(|_| record.started.is_some()) { (words::elapsed(took)) } }
                            td.num.nowrap.w1 { @if let Some(usage) = record.usage { (words::elapsed(usage.cpu)) } }
                            td.num.nowrap.w1 { @if let Some(bytes) = record.usage.and_then(|usage| usage.max_rss) { (words::bytes_in_short(bytes)) } }
                            td.num { @if let Some(run) = record.run { (run_link(run.0)) } }
                            @if page.has_hosts { td.w2 { (clean(record.host.as_deref().unwrap_or_default())) } }
                            td.w1 { (clean(&format::remark(record, zone))) }
                        }
                    } }
                } }
            }
        }
    }
}

fn options(page: &JobPage) -> Markup {
    let changed = page.details.as_ref().and_then(|details| details.overrides.as_deref());
    html! {
        section {
            h2 { "Options" }
            @if let Some(changed) = changed {
                p { "Changed at run time, above what is below:" }
                pre tabindex="0" role="region" aria-label="What was changed" { (crate::problem::clean_lines(changed.trim_end())) }
            }
            @if page.options.is_empty() {
                @if let Some(toml) = page.details.as_ref().and_then(|details| details.toml.as_deref()) {
                    pre tabindex="0" role="region" aria-label="Its definition" { (crate::problem::clean_lines(toml.trim_end())) }
                } @else { (nothing("The jobfile does not say, or it has errors.")) }
            } @else {
                details {
                    summary { "All " (page.options.len()) " options, and where each comes from" }
                    div.scroll { table {
                        caption.quiet { "Options" }
                        thead { tr { th scope="col" { "Option" } th scope="col" { "Value" } th scope="col" { "From" } } }
                        tbody { @for option in &page.options {
                            tr class=[(option.origin == "built in").then_some("dim")] {
                                th scope="row" { code { (option.key) } }
                                td { code { (clean(&option.value)) } }
                                td.nowrap { (clean(&option.origin)) }
                            }
                        } }
                    } }
                }
            }
        }
    }
}
