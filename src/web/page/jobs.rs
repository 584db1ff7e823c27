//! Jobs: all of them, or those that one looks for.

use maud::{Markup, html};

use super::now::took;
use super::{Head, Tab, View, at_of, far, job_link, mark, nothing, number, whole};
use crate::core::sort;
use crate::problem::clean;
use crate::web::query::{Query, encoded};
use crate::web::source::{Overview, Row};

/// So many rows a page has.
const ROWS: usize = 100;
/// And so many a section of all of them, which a browser draws when it is looked at.
const SECTION: usize = 50;
/// A search is not longer.
const LONGEST: usize = 200;

/// Which jobs are shown: the word in the address, the name of the tab, and whether a job belongs to it.
type Kind = (&'static str, &'static str, fn(&Row) -> bool);

const KINDS: [Kind; 10] = [
    ("", "All", |_| true),
    ("failing", "Failing", |row| row.line.has_failed()),
    ("overdue", "Overdue", |row| row.overdue.is_some()),
    ("running", "Running", |row| row.line.running > 0),
    ("waiting", "Waiting", |row| row.line.waiting > 0),
    ("slow", "Slow", |row| row.line.slow_since.is_some()),
    ("quiet", "Quiet", |row| row.line.unusual().quiet.is_some()),
    ("fast", "Fast", |row| row.line.unusual().fast.is_some()),
    ("paused", "Paused", |row| row.line.paused.is_some()),
    ("never", "Never ran", |row| row.line.last.is_none()),
];

/// By what they can be sorted: the word in the address, and the heading of the column.
const SORTS: [(&str, &str); 5] =
    [("job", "Job"), ("state", "State"), ("last", "Last run"), ("took", "Took"), ("next", "Next")];

/// What is asked for.
struct Asked<'q> {
    search: String,
    kind: &'static Kind,
    tag: &'q str,
    sort: &'static str,
    is_reversed: bool,
    page: usize,
    is_all: bool,
}

impl<'q> Asked<'q> {
    fn read(query: &'q Query) -> Asked<'q> {
        let (sort, is_reversed) = match query.get("sort").strip_prefix('-') {
            Some(sort) => (sort, true),
            None => (query.get("sort"), false),
        };
        let known = SORTS.iter().find(|(word, _)| *word == sort);
        let kind = KINDS.iter().find(|(word, ..)| *word == query.get("state"));
        Asked {
            search: query.get("q").trim().chars().take(LONGEST).collect(),
            kind: kind.unwrap_or(&KINDS[0]),
            tag: query.get("tag"),
            sort: known.map_or("", |(word, _)| word),
            is_reversed,
            page: query.get("page").parse().unwrap_or(1).max(1),
            is_all: query.get("all") == "1",
        }
    }

    /// The address of the same with another part.
    fn href(&self, change: impl FnOnce(&mut Parts)) -> String {
        let sort = if self.is_reversed { format!("-{}", self.sort) } else { self.sort.to_owned() };
        let mut parts = Parts {
            q: self.search.clone(),
            state: self.kind.0,
            tag: self.tag.to_owned(),
            sort,
            page: 1,
            is_all: self.is_all,
        };
        change(&mut parts);
        let page = if parts.page > 1 { parts.page.to_string() } else { String::new() };
        let all = if parts.is_all { "1" } else { "" };
        let pairs = [
            ("q", &*parts.q),
            ("state", parts.state),
            ("tag", &parts.tag),
            ("sort", &parts.sort),
            ("page", &page),
            ("all", all),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> =
            pairs.map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        match &pairs[..] {
            [] => "/jobs".to_owned(),
            pairs => format!("/jobs?{}", pairs.join("&")),
        }
    }

    /// Whether a job is looked for, by every word of the search.
    fn finds(&self, row: &Row, words: &[String]) -> bool {
        words.iter().all(|word| row.text.contains(word))
            && (self.tag.is_empty() || row.line.tags.iter().any(|tag| tag == self.tag))
    }

    fn sort(&self, rows: &mut [&Row]) {
        let state = |row: &Row| match &*row.line.state {
            _ if row.line.has_failed() => 0,
            "overdue" => 1,
            "running" => 2,
            "waiting" => 3,
            "scheduled" => 4,
            "paused" => 5,
            _ => 6,
        };
        let took = |row: &Row| row.line.last.as_ref().and_then(|last| last.duration_ms);
        match self.sort {
            "job" => sort::by(rows, |a, b| a.line.id.cmp(&b.line.id)),
            "state" => sort::by_key(rows, |row| state(row)),
            // What has none comes last either way.
            "last" => sort::by_key(rows, |row| (row.last.is_none(), self.way(row.last))),
            "took" => sort::by_key(rows, |row| (took(row).is_none(), self.way(took(row)))),
            "next" => sort::by_key(rows, |row| (row.next.is_none(), self.way(row.next))),
            _ => {}
        }
        if self.is_reversed && matches!(self.sort, "job" | "state") {
            rows.reverse();
        }
    }

    fn way<T: Ord>(&self, value: T) -> Way<T> {
        if self.is_reversed { Way::Down(std::cmp::Reverse(value)) } else { Way::Up(value) }
    }
}

/// A value that is sorted by, one way or the other.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Way<T> {
    Up(T),
    Down(std::cmp::Reverse<T>),
}

struct Parts {
    q: String,
    state: &'static str,
    tag: String,
    sort: String,
    page: usize,
    is_all: bool,
}

/// The page.
pub(in crate::web) fn jobs(view: &View<'_>, all: &Overview, query: &Query) -> Markup {
    let asked = Asked::read(query);
    let words: Vec<String> =
        asked.search.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let found: Vec<&Row> = all.rows.iter().filter(|row| asked.finds(row, &words)).collect();
    let counts = KINDS.map(|(.., belongs)| found.iter().filter(|row| belongs(row)).count());
    let mut rows: Vec<&Row> = found.into_iter().filter(|row| (asked.kind.2)(row)).collect();
    asked.sort(&mut rows);
    let pages = rows.len().div_ceil(ROWS).max(1);
    let page = asked.page.min(pages);
    let main = html! {
        h1 { "Jobs" }
        nav.tabs aria-label="Jobs in which state" {
            @for (kind, count) in KINDS.iter().zip(counts) {
                @if count > 0 || kind.0.is_empty() || kind.0 == asked.kind.0 {
                    a href=(asked.href(|parts| parts.state = kind.0)) aria-current=[(kind.0 == asked.kind.0).then_some("true")] {
                        (kind.1) " " span.n { (number(count as u64)) }
                    }
                }
            }
        }
        form.search method="get" action="/jobs" role="search" {
            label.quiet for="q" { "Search jobs" }
            input #q type="search" name="q" value=(asked.search) placeholder="id, name, tag, schedule, executor" autocomplete="off" spellcheck="false";
            @if !asked.kind.0.is_empty() { input type="hidden" name="state" value=(asked.kind.0); }
            @if !asked.sort.is_empty() {
                input type="hidden" name="sort" value={ @if asked.is_reversed { "-" } (asked.sort) };
            }
            button { "Search" }
            @if !asked.search.is_empty() || !asked.tag.is_empty() {
                a href=(asked.href(|parts| { parts.q.clear(); parts.tag.clear(); })) { "Show all" }
            }
        }
        @if !asked.tag.is_empty() { p { "With the tag " b { (clean(asked.tag)) } "." } }
        @if rows.is_empty() {
            (nothing(if all.rows.is_empty() { "There are no jobs." } else { "No job is like that." }))
        } @else if asked.is_all {
            @for (nth, part) in rows.chunks(SECTION).enumerate() {
                section.part aria-label={ "Part " (nth + 1) } { (table(&asked, part, all, nth + 1)) }
            }
        } @else {
            (table(&asked, &rows[(page - 1) * ROWS..(page * ROWS).min(rows.len())], all, 0))
            (pager(&asked, page, pages, rows.len()))
        }
    };
    let live = (!asked.is_all).then_some("/events");
    whole(view, &Head { tab: Tab::Jobs, title: "Jobs", live }, &main)
}

fn pager(asked: &Asked<'_>, page: usize, pages: usize, rows: usize) -> Markup {
    let first = (page - 1) * ROWS + 1;
    html! {
        nav.pager aria-label="Pages of the list" {
            span { (number(first as u64)) "–" (number((page * ROWS).min(rows) as u64)) " of " (number(rows as u64)) }
            @if page > 1 { a rel="prev" href=(asked.href(|parts| parts.page = page - 1)) { "← Previous" } }
            @if page < pages { a rel="next" href=(asked.href(|parts| parts.page = page + 1)) { "Next →" } }
            @if pages > 1 { a href=(asked.href(|parts| parts.is_all = true)) { "All on one page" } }
        }
    }
}

fn table(asked: &Asked<'_>, rows: &[&Row], all: &Overview, part: usize) -> Markup {
    let has_hosts = all.hosts > 1;
    html! {
        div.scroll { table.jobs {
            caption.quiet { "Jobs" @if part > 0 { ", part " (part) } }
            thead { tr {
                @for (word, text) in SORTS {
                    @let is_this = asked.sort == word;
                    @let class = match word { "took" => Some("w2 num"), "state" => Some("w1"), _ => None };
                    th scope="col" class=[class] aria-sort=[is_this.then_some(if asked.is_reversed { "descending" } else { "ascending" })] {
                        a href=(asked.href(|parts| parts.sort = if is_this && !asked.is_reversed { format!("-{word}") } else { word.to_owned() })) {
                            (text)
                            @if is_this { span aria-hidden="true" { (if asked.is_reversed { " ▼" } else { " ▲" }) } }
                        }
                    }
                }
                @if has_hosts { th.w2 scope="col" { "Host" } }
                th.w2 scope="col" { "Schedule" }
            } }
            tbody { @for row in rows { (line(row, all, has_hosts)) } }
        } }
    }
}

fn line(row: &Row, all: &Overview, has_hosts: bool) -> Markup {
    let (line, now) = (&row.line, all.frame.now);
    html! {
        tr {
            th scope="row" {
                (job_link(&line.id))
                @if let Some(name) = &line.name { " " span.dim { (clean(name)) } }
                @for tag in &line.tags { " " a.tag href={ "/jobs?tag=" (encoded(tag)) } { (clean(tag)) } }
            }
            td.w1 { (state(row)) }
            td.nowrap {
                @match (&line.last, row.last) {
                    (Some(last), Some(when)) => { (mark(&last.outcome)) " " (at_of(row, when, &all.frame)) },
                    _ => span.dim { "never" },
                }
            }
            td.w2.num.nowrap { (took(row).unwrap_or_default()) }
            td.nowrap {
                @match row.next {
                    Some(next) => { (at_of(row, next, &all.frame)) " " span.dim.w1 { (far(next, now)) } },
                    None => span.dim { (clean(line.next_after.as_deref().unwrap_or("–"))) },
                }
            }
            @if has_hosts { td.w2 { (clean(line.host.as_deref().unwrap_or("–"))) } }
            td.w2.words { (clean(&line.schedule)) @if row.zone != all.frame.zone { " " span.dim { (clean(&line.timezone)) } } }
        }
    }
}

/// The state of a job, with its mark: a colour only repeats it.
pub(super) fn state(row: &Row) -> Markup {
    let line = &row.line;
    let (mark, class) = match &*line.state {
        "running" => ("▶", "busy"),
        "waiting" => ("◷", "busy"),
        "paused" => ("‖", "warn"),
        "overdue" => ("!", "warn"),
        "finished" => ("■", "dim"),
        _ => ("·", "dim"),
    };
    let many = if line.running > 1 { format!(" ({})", line.running) } else { String::new() };
    html! {
        span class={ "st " (class) } { span aria-hidden="true" { (mark) } " " (clean(&line.state)) (many) }
        @if line.paused.is_some() && line.state != "paused" { " " span.st.warn { "paused" } }
        (slow(row))
        @for (word, what, usually) in row.line.unusual().remarks() {
            " " span.st.warn title={ (what) " (" (usually) ")" } { span aria-hidden="true" { "!" } " " (word) }
        }
    }
}

/// That a run of it takes longer than it should.
pub(super) fn slow(row: &Row) -> Markup {
    html! {
        @if row.line.slow_since.is_some() {
            " " span.st.warn { span aria-hidden="true" { "!" } " slow" }
        }
    }
}
