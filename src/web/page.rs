//! The pages, as HTML. Here is what they share; each page has its file.
//!
//! What comes from jobs, from people and from the jobfile goes through `maud`, which escapes it, and
//! before that through [`clean`], so that nothing in it acts without being seen.

mod ask;
mod changes;
mod chart;
mod fleet;
mod job;
mod jobs;
mod login;
mod messages;
mod now;
mod run;
mod time;

pub(super) use ask::ask;
pub(super) use changes::changes;
pub(super) use fleet::fleet;
pub(super) use job::job;
pub(super) use jobs::jobs;
pub(super) use login::login;
pub(super) use messages::messages;
pub(super) use now::now;
pub(super) use run::run;
pub(super) use time::time;

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};

use super::asset;
use super::query::encoded;
use super::source::{Frame, Row};
use crate::core::instant::Instant;
use crate::core::outcome;
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem::clean;

/// Where one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Now,
    Jobs,
    Time,
    Changes,
    Messages,
    Fleet,
    /// On a page that no tab leads to.
    None,
}

/// What a page is shown with.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) frame: &'a Frame,
    /// Jobs can be started and paused here.
    pub(super) has_actions: bool,
}

/// What a page is, beside what is in it.
pub(super) struct Head<'a> {
    pub(super) tab: Tab,
    pub(super) title: &'a str,
    /// Where it hears of changes, if it does.
    pub(super) live: Option<&'a str>,
}

/// A whole page.
pub(super) fn whole(view: &View<'_>, head: &Head<'_>, main: &Markup) -> Markup {
    let frame = view.frame;
    let name = frame.name.rsplit('/').next().unwrap_or_default();
    let tabs = [
        (Tab::Now, "/", "Now", true),
        (Tab::Jobs, "/jobs", "Jobs", true),
        (Tab::Time, "/time", "Time", true),
        (Tab::Changes, "/changes", "Changes", true),
        (Tab::Messages, "/messages", "Messages", true),
        (Tab::Fleet, "/fleet", "Fleet", frame.has_fleet),
    ];
    let state = match &frame.trouble {
        None => ("good", "●", "running"),
        Some(_) => ("bad", "○", "not running"),
    };
    let title = format!("{} · {}", clean(head.title), clean(name));
    let body = html! {
        header.bar {
            a.brand href="/" { "schedrs" }
            span.which title=(clean(&frame.name)) { (clean(name)) }
            span class={ "state " (state.0) } { span aria-hidden="true" { (state.1) } " " (state.2) }
            nav aria-label="Pages" {
                @for (tab, href, text, is_there) in tabs {
                    @if is_there {
                        a href=(href) aria-current=[(tab == head.tab).then_some("page")] { (text) }
                    }
                }
            }
        }
        main id="main" tabindex="-1" data-live=[head.live] {
            @if let Some(trouble) = &frame.trouble {
                p.note.bad { b { "The scheduler is not running, or does not answer. " }
                    "What is here is what the store knows. " span.dim { (clean(trouble)) } }
            }
            (main)
            p.foot {
                "Seen " (at(frame.now, frame.now, &frame.zone)) " · times are on the clocks of "
                (clean(frame.zone.name())) ", or of a job's own zone · "
                a href="" { "reload" }
            }
        }
    };
    document(&title, &body)
}

/// A document with all that does not depend on the page.
pub(super) fn document(title: &str, body: &Markup) -> Markup {
    let version = asset::version();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" type="image/svg+xml" href={ "/static/" (version) "/icon.svg" };
                link rel="stylesheet" href={ "/static/" (version) "/style.css" };
                script src={ "/static/" (version) "/page.js" } defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                (body)
            }
        }
    }
}

/// A page that says that something cannot be shown.
pub(super) fn sorry(view: &View<'_>, title: &str, text: &str) -> Markup {
    let main = html! {
        h1 { (title) }
        @for line in text.lines() { p { (clean(line)) } }
        p { a href="/" { "Now" } " · " a href="/jobs" { "Jobs" } }
    };
    whole(view, &Head { tab: Tab::None, title, live: None }, &main)
}

/// The address of a job.
pub(super) fn job_href(id: &str) -> String {
    format!("/jobs/{}", encoded(id))
}

/// A job as a link.
pub(super) fn job_link(id: &str) -> Markup {
    html! { a.id href=(job_href(id)) { (clean(id)) } }
}

/// A run as a link.
pub(super) fn run_link(run: u64) -> Markup {
    html! { a.run href={ "/runs/" (run) } { (run) } }
}

/// A time, short where it is near; all of it where one points at it.
pub(super) fn at(at: Instant, now: Instant, zone: &Zone) -> Markup {
    let (at, now) = (at.truncated(), now.truncated());
    html! {
        time datetime=(words::rfc3339(at, &Zone::utc())) title=(words::table_time(at, zone)) {
            (words::soon(at, now, zone))
        }
    }
}

/// A time of a job, with its offset where its clocks are not those of the page.
pub(super) fn at_of(row: &Row, when: Instant, frame: &Frame) -> Markup {
    html! {
        (at(when, frame.now, &row.zone))
        @if row.zone != frame.zone { " " span.dim { (words::offset(when, &row.zone)) } }
    }
}

/// How far something is: `in 4m 10s`, `2h ago`.
pub(super) fn far(at: Instant, now: Instant) -> String {
    let whole = |span: Duration| words::span(Duration::from_secs(span.as_secs()));
    match at > now {
        true => format!("in {}", whole(at.since(now))),
        false => format!("{} ago", whole(now.since(at))),
    }
}

/// The mark of an outcome, with the word that screen readers say.
pub(super) fn mark(word: &str) -> Markup {
    let mark = outcome::mark_of(word).unwrap_or('?');
    html! { span class={ "mark " (class_of(mark)) } title=(word) role="img" aria-label=(word) { (mark) } }
}

/// The class of a mark: a colour, which only repeats what the mark says.
pub(super) fn class_of(mark: char) -> &'static str {
    match mark {
        '✓' => "good",
        '✗' | '?' => "bad",
        '!' => "warn",
        '…' => "busy",
        _ => "dim",
    }
}

/// `5,000`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 job`, `5,000 jobs`.
pub(super) fn count(count: u64, what: &str) -> String {
    format!("{} {what}{}", number(count), if count == 1 { "" } else { "s" })
}

/// That a part of a page has nothing to show.
pub(super) fn nothing(text: &str) -> Markup {
    html! { p.none { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (given, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
            (100_000, "100,000"),
        ] {
            assert_eq!(number(given), expected);
        }
        assert_eq!(count(1, "job"), "1 job");
        assert_eq!(count(5000, "job"), "5,000 jobs");
    }

    #[test]
    fn addresses_of_jobs() {
        assert_eq!(job_href("a/b ü\"<"), "/jobs/a%2Fb%20%C3%BC%22%3C");
    }
}
