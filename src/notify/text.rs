//! What a message says in English.
//!
//! The first line is what matters: it is all that a lock screen, a list of mails or a pager shows.
//! Below it is what helps to decide whether to get up, and the end of what the run has printed.
//!
//! Names, reasons and output are whatever jobs make them, so all of it is cleaned and cut here, once,
//! before a service's own rules are applied to it ([`compose`]).

use std::time::Duration;

use super::context::Context;
use super::line::within;
use crate::core::event::Quiet;
use crate::core::instant::Instant;
use crate::core::notify::digest::Tally;
use crate::core::notify::{Kind, Message, Notification};
use crate::core::outcome::{Outcome, Reached};
use crate::core::{sort, words};
use crate::problem::clean;

/// A message of several notifications has a line for so many of them.
const MOST_LINES: usize = 20;

/// So many characters of a name or a reason are shown.
const LONGEST_NAME: usize = 120;
const LONGEST_REASON: usize = 200;

/// And so many of a line that is one of several.
const LONGEST_LINE: usize = 200;

/// What goes along of what a run has printed, at most: a route cannot ask for more.
pub(super) const MOST_OUTPUT: usize = 16 * 1024;

/// What shows which jobs are failing.
const SEE: &str = "`schedrs list --failed`";

/// A text cut to so many characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most.saturating_sub(1)) {
        Some((at, last)) if at + last.len_utf8() < text.len() => format!("{}…", &text[..at]),
        _ => text.to_owned(),
    }
}

/// A name or a reason, harmless and not too long.
fn shown(text: &str, most: usize) -> String {
    cut(&clean(text), most)
}

/// A time with its offset: `Sat 2026-11-28 02:00:00 +01:00`.
fn time(at: Instant, job: &str, context: &Context<'_>) -> String {
    words::table_time(at.truncated(), &(context.zone)(job))
}

/// The job, with what people call it if that is something else.
pub(super) fn label(notification: &Notification) -> String {
    let job = shown(&notification.job, LONGEST_NAME);
    match &notification.name {
        Some(name) if **name != *notification.job => {
            format!("{job} ({})", shown(name, LONGEST_NAME))
        }
        _ => job,
    }
}

/// What a run failed with: `exit 3`.
fn cause(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(code) => format!("exit {code}"),
        Outcome::NotStarted(reason) => format!("not started: {}", shown(reason, LONGEST_REASON)),
        Outcome::Lost(reason) => format!("lost: {}", shown(reason, LONGEST_REASON)),
        other => shown(&other.phrase(Reached::Process(None)), LONGEST_REASON),
    }
}

/// `: exit 3`.
fn with_cause(notification: &Notification) -> String {
    notification.outcome.as_ref().map(|it| format!(": {}", cause(it))).unwrap_or_default()
}

/// `1st`, `2nd`, `11th`.
fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// What is said of the job, in a few words that follow its name.
fn predicate(notification: &Notification, context: &Context<'_>) -> String {
    let (cause, streak) = (with_cause(notification), notification.streak);
    let time = |at| time(at, &notification.job, context);
    let since = |word: &str| match notification.since {
        Some(since) => format!("{word}since {}", time(since)),
        None => String::new(),
    };
    match notification.kind {
        Kind::Failed if streak < 2 => format!("failed{cause}"),
        Kind::Failed => format!("failed{cause} ({} time in a row)", ordinal(streak)),
        Kind::StillFailing => {
            format!("still fails{cause} ({streak} times in a row{})", since(", "))
        }
        Kind::Missed if notification.count > 1 => {
            let (first, last) = (time(notification.due), time(notification.last_due));
            format!("missed {} due times, from {first} to {last}", notification.count)
        }
        Kind::Missed => {
            let how = match &notification.outcome {
                Some(Outcome::Missed(reason)) => format!(", {}", reason.short()),
                _ => String::new(),
            };
            format!("missed its due time {}{how}", time(notification.due))
        }
        Kind::Overdue => {
            format!("is overdue{}: no success for as long as `expect` says", since(" "))
        }
        Kind::Flapping => {
            "keeps failing and recovering: nothing more until it is steady".to_owned()
        }
        Kind::Steady => match &notification.outcome {
            Some(outcome) if outcome.is_success() => "is steady again: it succeeds".to_owned(),
            Some(outcome) if outcome.is_failed_run() => "is steady again: it fails".to_owned(),
            _ => "is steady again".to_owned(),
        },
        Kind::Recovered => {
            let failures = count(streak.max(1).into(), "failure", "failures");
            let span = notification.since.map(|since| notification.at.since(since));
            let span = span.filter(|span| !span.is_zero()).map(words::span);
            let span = span.map(|span| format!(" in {span}")).unwrap_or_default();
            format!("works again after {failures}{span}")
        }
        Kind::Retrying => {
            let attempt = notification.attempts.max(1);
            format!("failed{cause}, and is tried again (attempt {attempt})")
        }
        Kind::Slow => {
            let took = words::span(notification.duration.unwrap_or_default());
            let than = match notification.usual {
                Some(usual) => format!("usually it takes {}", words::elapsed(usual)),
                None => "longer than `warn_after`".to_owned(),
            };
            format!("still runs after {took}: {than}")
        }
        Kind::Quiet => {
            let (printed, usual) = notification.printed.unwrap_or_default();
            let usually = words::bytes(usual);
            format!("{}: usually it prints {usually}", Quiet { printed, usual }.phrase())
        }
        Kind::Fast => {
            let took = words::elapsed(notification.duration.unwrap_or_default());
            let usual = words::elapsed(notification.usual.unwrap_or_default());
            format!("took only {took}: usually it takes {usual}")
        }
        Kind::Skipped => {
            let times = match notification.count {
                0 | 1 => String::new(),
                count => format!(" {count} times"),
            };
            let why = match &notification.outcome {
                Some(outcome @ Outcome::Skipped(_)) => {
                    outcome.phrase(Reached::Due).trim_start_matches("skipped").to_owned()
                }
                _ => String::new(),
            };
            format!("was skipped{times}{why}")
        }
        Kind::Succeeded => match notification.duration {
            Some(took) => format!("succeeded after {}", words::elapsed(took)),
            None => "succeeded".to_owned(),
        },
        Kind::Digest | Kind::Test => "is only a test".to_owned(),
    }
}

/// What a notification says, in one line: `backup failed: exit 3 (2nd time in a row)`.
pub(crate) fn headline(notification: &Notification, context: &Context<'_>) -> String {
    match notification.kind {
        Kind::Test => "test: schedrs can reach you here".to_owned(),
        Kind::Digest => digest(notification.digest.as_deref()),
        _ => {
            let elsewhere = notification.host.as_deref().filter(|host| *host != context.host);
            let on = elsewhere.map(|host| format!(" on {}", shown(host, LONGEST_NAME)));
            let (on, predicate) = (on.unwrap_or_default(), predicate(notification, context));
            format!("{}{on} {predicate}", label(notification))
        }
    }
}

/// What a digest says first: `3 runs failed, 480 succeeded; 2 jobs fail now`.
fn digest(tally: Option<&Tally>) -> String {
    let Some(tally) = tally else { return "digest".to_owned() };
    let succeeded = tally.succeeded;
    let mut parts = vec![match (tally.failed, succeeded) {
        (0, 0) => "no runs".to_owned(),
        (0, _) => format!("all is well: {} succeeded", count(succeeded, "run", "runs")),
        (failed, _) => format!("{} failed, {succeeded} succeeded", count(failed, "run", "runs")),
    }];
    if tally.missed > 0 {
        parts.push(format!("{} missed", count(tally.missed, "due time", "due times")));
    }
    match tally.failing_jobs() {
        0 => {}
        1 => parts.push("1 job fails now".to_owned()),
        failing => parts.push(format!("{failing} jobs fail now")),
    }
    parts.join("; ")
}

/// What it says besides.
fn digest_lines(tally: &Tally, time: impl Fn(Instant) -> String) -> Vec<String> {
    const MOST: usize = 20;
    let mut lines = vec![format!("since {}", time(Instant::from_micros(tally.since)))];
    if !tally.hosts.is_empty() {
        let hosts: Vec<String> = tally.hosts.iter().map(|host| shown(host, LONGEST_NAME)).collect();
        let hosts = cut(&hosts.join(", "), LONGEST_LINE);
        lines.push(format!("with what was counted by hosts that are gone: {hosts}"));
    }
    let more = |all: u64| (all > MOST as u64).then(|| format!("and {} more", all - MOST as u64));
    for (job, (runs, since)) in tally.failing.iter().take(MOST) {
        let (job, since) = (shown(job, LONGEST_NAME), time(Instant::from_micros(*since)));
        let times = count(u64::from(*runs), "time", "times in a row");
        lines.push(format!("fails: {job}, {times}, since {since}"));
    }
    lines.extend(more(tally.failing_jobs()));
    for (job, missed) in tally.missed_by.iter().take(MOST) {
        let times = count(*missed, "due time", "due times");
        lines.push(format!("missed: {}, {times}", shown(job, LONGEST_NAME)));
    }
    lines.extend(more(tally.missed_by.len() as u64));
    for (job, run, took) in tally.slowest() {
        let (job, took) = (shown(job, LONGEST_NAME), words::elapsed(took));
        lines.push(format!("slowest: {job}, run {run}, {took}"));
    }
    lines
}

/// What is known besides, a line each.
pub(super) fn details(notification: &Notification, context: &Context<'_>) -> Vec<String> {
    let time = |at| time(at, &notification.job, context);
    if let Some(tally) = &notification.digest {
        return digest_lines(tally, time);
    }
    let mut lines = Vec::new();
    let is_of_run = notification.run.is_some();
    let mut parts = Vec::new();
    if is_of_run {
        parts.push(format!("due {}", time(notification.due)));
        parts.extend(notification.run.map(|run| format!("run {run}")));
        let took = notification.duration.filter(|took| *took > Duration::ZERO);
        let took = took.filter(|_| !matches!(notification.kind, Kind::Slow | Kind::Fast));
        parts.extend(took.map(|took| format!("took {}", words::elapsed(took))));
        if notification.attempts > 1 {
            parts.push(format!("{} attempts", notification.attempts));
        }
        lines.push(parts.join(", "));
    }
    if let Some(since) = notification.since {
        match notification.kind {
            Kind::Failed if notification.streak > 1 => {
                lines.push(format!("failing since {}", time(since)));
            }
            Kind::Recovered => lines.push(format!("failed since {}", time(since))),
            _ => {}
        }
    }
    lines
}

/// The sign that a line of several begins with.
fn mark(kind: Kind) -> char {
    match kind {
        Kind::Failed | Kind::StillFailing | Kind::Flapping => '✗',
        Kind::Missed | Kind::Overdue | Kind::Slow | Kind::Quiet | Kind::Fast => '!',
        Kind::Steady | Kind::Recovered | Kind::Succeeded | Kind::Digest | Kind::Test => '✓',
        Kind::Retrying => '…',
        Kind::Skipped => '-',
    }
}

/// What several notifications of a kind are called after their number.
fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => "failed",
        Kind::StillFailing => "still failing",
        Kind::Missed => "missed",
        Kind::Overdue => "overdue",
        Kind::Flapping => "failing and recovering",
        Kind::Steady => "steady again",
        Kind::Recovered => "recovered",
        Kind::Slow => "slow",
        Kind::Quiet => "quiet",
        Kind::Fast => "fast",
        Kind::Retrying => "retrying",
        Kind::Skipped => "skipped",
        Kind::Succeeded => "succeeded",
        Kind::Digest => "digest",
        Kind::Test => "test",
    }
}

/// The notifications of a message in the order in which people are to see them.
pub(super) fn in_order(message: &Message) -> Vec<&Notification> {
    let mut all: Vec<&Notification> = message.notifications.iter().collect();
    sort::by(&mut all, |a, b| a.kind.cmp(&b.kind));
    all
}

/// The first line of a message, without the host.
pub(super) fn first_line(message: &Message, context: &Context<'_>) -> String {
    if let ([only], 0) = (&*message.notifications, message.more) {
        return headline(only, context);
    }
    let mut parts: Vec<(Kind, usize)> = Vec::new();
    for notification in in_order(message) {
        match parts.last_mut() {
            Some((kind, count)) if *kind == notification.kind => *count += 1,
            _ => parts.push((notification.kind, 1)),
        }
    }
    let mut parts: Vec<String> =
        parts.iter().map(|(kind, count)| format!("{count} {}", plural(*kind))).collect();
    parts.extend((message.more > 0).then(|| format!("{} more", message.more)));
    parts.join(", ")
}

/// What there is no room for.
pub(crate) fn and_more(more: u64) -> String {
    format!("and {more} more: {SEE}")
}

/// A line for each notification, as many as there is room for; how many others there are.
pub(super) fn lines(message: &Message, context: &Context<'_>) -> (Vec<String>, u64) {
    let all = in_order(message);
    let shown = all.iter().take(MOST_LINES).map(|notification| {
        let line = format!("{} {}", mark(notification.kind), headline(notification, context));
        cut(&line, LONGEST_LINE)
    });
    let rest = all.len().saturating_sub(MOST_LINES) as u64;
    (shown.collect(), message.more.saturating_add(rest))
}

/// The end of what a run has printed, as a person reads it: no colours, no control characters, of a
/// line that was written over and over only what was left. At most so many lines and bytes.
pub(super) fn tail(output: &str, most_lines: usize, most_bytes: usize) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut left = most_bytes;
    for line in output.lines().rev().skip_while(|line| line.trim().is_empty()) {
        if kept.len() >= most_lines {
            break;
        }
        let line = anstream::adapter::strip_str(line).to_string();
        let line = line.trim_end().rsplit('\r').next().unwrap_or_default();
        let mut line = clean(line).into_owned();
        // Its beginning says more than nothing.
        if line.len() > left {
            if !kept.is_empty() {
                break;
            }
            line = format!("{}…", within(&line, left.saturating_sub('…'.len_utf8())));
        }
        left = left.saturating_sub(line.len() + 1);
        kept.push(line);
    }
    kept.reverse();
    let text = kept.join("\n");
    if text.len() > most_bytes { String::new() } else { text }
}

/// What a service has of its own about texts.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// How much it takes, as `size` counts it.
    pub(super) most: usize,
    pub(super) size: fn(&str) -> usize,
    /// Makes a text harmless where it stands.
    pub(super) escape: fn(&str) -> String,
    /// The same for what is between the two ends of `code`.
    pub(super) escape_code: fn(&str) -> String,
    /// What a text that is shown as it is stands between.
    pub(super) code: (&'static str, &'static str),
}

/// As UTF-16, which is how most count.
pub(super) fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A whole message for a chat. Without its first line if that is said elsewhere.
pub(super) fn compose(
    message: &Message,
    context: &Context<'_>,
    style: &Style,
    with_first_line: bool,
) -> String {
    let first = with_first_line.then(|| {
        let line = first_line(message, context);
        format!("{line}, on {}", shown(context.host, LONGEST_NAME))
    });
    let mut text: Vec<String> = first.iter().map(|line| (style.escape)(line)).collect();
    match (&*message.notifications, message.more) {
        ([only], 0) => {
            text.extend(details(only, context).iter().map(|line| (style.escape)(line)));
            add_output(&mut text, only, style);
        }
        _ => add_lines(&mut text, message, context, style),
    }
    let text = text.join("\n");
    if (style.size)(&text) <= style.most { text } else { fitted(&text, style) }
}

/// Adds a line for each notification, as long as there is room for them and for the number of the
/// others.
fn add_lines(text: &mut Vec<String>, message: &Message, context: &Context<'_>, style: &Style) {
    let (lines, mut more) = lines(message, context);
    let room = (style.size)(&(style.escape)(&and_more(u64::MAX))) + 1;
    let mut size = (style.size)(&text.join("\n"));
    for (at, line) in lines.iter().enumerate() {
        let line = (style.escape)(line);
        size += (style.size)(&line) + 1;
        if size + room > style.most {
            more = more.saturating_add((lines.len() - at) as u64);
            break;
        }
        text.push(line);
    }
    if more > 0 {
        text.push((style.escape)(&and_more(more)));
    }
}

/// Adds as much of what was printed as there is room for.
fn add_output(text: &mut Vec<String>, notification: &Notification, style: &Style) {
    let Some(output) = &notification.output else { return };
    let size = (style.size)(&text.join("\n"));
    let mut bytes = MOST_OUTPUT;
    while bytes >= 16 {
        let tail = tail(output, usize::MAX, bytes);
        if tail.is_empty() {
            return;
        }
        let code = format!("{}{}{}", style.code.0, (style.escape_code)(&tail), style.code.1);
        if size + 1 + (style.size)(&code) <= style.most {
            text.push(code);
            return;
        }
        bytes /= 2;
    }
}

/// The beginning of a text that is too long all the same. No limit of a service is that small.
fn fitted(text: &str, style: &Style) -> String {
    let mut left = style.most;
    let mut out = String::new();
    for c in text.chars() {
        let Some(rest) = left.checked_sub((style.size)(c.encode_utf8(&mut [0; 4]))) else { break };
        left = rest;
        out.push(c);
    }
    out
}

/// Words that call everybody, behind an `@`.
const EVERYBODY: [&str; 4] = ["all", "channel", "everyone", "here"];

/// Takes the meaning from an `@` that would call people. One within an address stays as it is.
pub(super) fn without_mentions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        out.push(c);
        let calls_all = || EVERYBODY.iter().any(|word| text[at + 1..].starts_with(word));
        if c == '@' && (!before.is_alphanumeric() || calls_all()) {
            out.push('\u{200b}');
        }
        before = c;
    }
    out
}

#[cfg(test)]
pub(super) mod tests;
