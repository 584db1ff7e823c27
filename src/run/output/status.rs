//! The line at the bottom of the terminal: what runs, what waits, what is next.
//!
//! The loop says what there is when it changes; how long runs have been running is counted here,
//! on the thread that writes, so that the loop is not woken for it.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::core::instant::Mono;
use crate::core::words;
use crate::core::words::fit;
use crate::problem::clean;

/// How often the line is written anew while something runs.
const EVERY: Duration = Duration::from_secs(1);

/// The line, and when it is to be written anew.
#[derive(Debug, Default)]
pub(super) struct Bottom {
    live: Option<Live>,
    redraw_at: Option<Mono>,
}

impl Bottom {
    pub(super) fn set(&mut self, live: Live, now: Mono) {
        self.live = Some(live);
        self.redraw_at = Some(now);
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.redraw_at
    }

    /// The line, if it is time to write it.
    pub(super) fn line_in_time(
        &mut self,
        now: Mono,
        width: impl Fn() -> Option<usize>,
        colour: bool,
    ) -> Option<Vec<u8>> {
        let live = self.live.as_ref()?;
        self.redraw_at.filter(|at| now >= *at)?;
        // How long things have been running is all that changes by itself.
        self.redraw_at = (!live.running.is_empty()).then(|| now.plus(EVERY));
        Some(live.line(now, width(), colour))
    }
}

/// What the line is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Some of the jobs that run and since when, those that began first in front.
    pub running: Vec<(Box<str>, Mono)>,
    /// How many run.
    pub count: usize,
    /// How many runs wait: for a slot, for another run, to be retried.
    pub waiting: usize,
    /// What is due next and when, in words.
    pub next: String,
    /// Nothing new is started any more.
    pub stopping: bool,
}

impl Live {
    /// The line, in at most so many columns.
    fn line(&self, now: Mono, width: Option<usize>, colour: bool) -> Vec<u8> {
        let text = self.text(now);
        let text = match width {
            // The last column is left free: some terminals begin a new line behind it.
            Some(width) => fit(&text, width.saturating_sub(1)),
            None => text,
        };
        if colour { format!("\x1b[2m{text}\x1b[0m").into_bytes() } else { text.into_bytes() }
    }

    fn text(&self, now: Mono) -> String {
        let mut parts = Vec::new();
        if self.count > 0 {
            let whole_secs = |since| Duration::from_secs(now.since(since).as_secs());
            let mut jobs: Vec<String> = self
                .running
                .iter()
                .map(|(job, since)| format!("{job} {}", words::span(whole_secs(*since))))
                .collect();
            if jobs.len() < self.count {
                jobs.push("…".to_owned());
            }
            parts.push(format!("{} running ({})", self.count, jobs.join(", ")));
        }
        if self.waiting > 0 {
            parts.push(format!("{} waiting", self.waiting));
        }
        match (self.stopping, parts.is_empty()) {
            (true, true) => return "stopping".to_owned(),
            (true, false) => return format!("stopping: {}", parts.join(", ")),
            (false, true) => parts.push("idle".to_owned()),
            (false, false) => {}
        }
        parts.push(self.next.clone());
        // An id may hold what acts on a terminal.
        clean(&parts.join(", ")).into_owned()
    }
}

/// The width of the widest of these ids, for the log's columns; one that is very long has no say.
pub fn column_of<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    const WIDEST: usize = 24;
    ids.map(|id| clean(id).width()).filter(|width| *width <= WIDEST).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(live: &Live, width: usize) -> String {
        let now = Mono::from_micros(200_000_000);
        String::from_utf8(live.line(now, Some(width), false)).unwrap()
    }

    #[test]
    fn it_says_what_runs_waits_and_is_next() {
        let next = "next beat at 12:00:10".to_owned();
        let mut live = Live { next, ..Live::default() };
        assert_eq!(line(&live, 80), "idle, next beat at 12:00:10");
        live.running = vec![("backup".into(), Mono::from_micros(8_100_000))];
        (live.count, live.waiting) = (2, 1);
        let whole = "2 running (backup 3m 11s, …), 1 waiting, next beat at 12:00:10";
        assert_eq!(line(&live, 80), whole);
        assert_eq!(line(&live, 20), "2 running (backup …");
        live.stopping = true;
        assert_eq!(line(&live, 80), "stopping: 2 running (backup 3m 11s, …), 1 waiting");
        assert_eq!(line(&Live { stopping: true, ..Live::default() }, 80), "stopping");
    }
}
