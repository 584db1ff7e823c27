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

/// To the beginning of the line, and clear it.
pub(crate) const ERASE: &[u8] = b"\r\x1b[K";

/// How often the line is written anew while something runs.
const EVERY: Duration = Duration::from_secs(1);

/// And for a progress bar, at most.
const BAR: Duration = Duration::from_millis(200);

/// The line, and when it is to be written anew.
#[derive(Debug, Default)]
pub(super) struct Bottom {
    live: Option<Live>,
    redraw_at: Option<Mono>,
    drawn_at: Mono,
}

impl Bottom {
    pub(super) fn set(&mut self, live: Live, now: Mono) {
        self.live = Some(live);
        self.redraw_at = Some(now);
    }

    /// A progress bar has moved, or is over.
    pub(super) fn bar_moved(&mut self) {
        if self.live.is_some() {
            let soon = self.drawn_at.plus(BAR);
            self.redraw_at = Some(self.redraw_at.map_or(soon, |at| at.min(soon)));
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.redraw_at
    }

    /// The line, if it is time to write it: with the job of a progress bar, and what that shows.
    pub(super) fn line_in_time(
        &mut self,
        now: Mono,
        bar: impl Fn() -> Option<(Box<str>, String)>,
        width: impl Fn() -> Option<usize>,
        colour: bool,
    ) -> Option<Vec<u8>> {
        let live = self.live.as_ref()?;
        self.redraw_at.filter(|at| now >= *at)?;
        self.drawn_at = now;
        // How long things have been running is all that changes by itself.
        self.redraw_at = (!live.running.is_empty()).then(|| now.plus(EVERY));
        Some(live.line(now, bar(), width(), colour))
    }
}

/// What the line is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Some of the jobs that run and since when, those that began first in front.
    pub running: Vec<(Box<str>, Mono)>,
    /// How many run.
    pub count: usize,
    /// How many runs wait.
    pub waiting: usize,
    /// Some of them: the job, and for what.
    pub waits: Vec<(Box<str>, &'static str)>,
    /// What is due next and when, in words.
    pub next: String,
    /// Nothing new is started any more.
    pub stopping: bool,
}

impl Live {
    /// The line, in at most so many columns.
    fn line(
        &self,
        now: Mono,
        bar: Option<(Box<str>, String)>,
        width: Option<usize>,
        colour: bool,
    ) -> Vec<u8> {
        let text = match bar {
            Some((job, shown)) => format!("{}: {shown}; {}", shown_id(&job), self.text(now)),
            None => self.text(now),
        };
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
                .map(|(job, since)| {
                    format!("{} {}", shown_id(job), words::span(whole_secs(*since)))
                })
                .collect();
            if jobs.len() < self.count {
                jobs.push("…".to_owned());
            }
            parts.push(format!("{} running ({})", self.count, jobs.join(", ")));
        }
        if self.waiting > 0 {
            parts.push(waiting_words(self.waiting, &self.waits));
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

/// `2 waiting (report for a slot, …)`.
pub(crate) fn waiting_words(count: usize, waits: &[(Box<str>, &'static str)]) -> String {
    let mut jobs: Vec<String> =
        waits.iter().map(|(job, what)| format!("{} {what}", shown_id(job))).collect();
    if count == 0 || jobs.is_empty() {
        return format!("{count} waiting");
    }
    if jobs.len() < count {
        jobs.push("…".to_owned());
    }
    format!("{count} waiting ({})", jobs.join(", "))
}

/// No id takes more columns than this in front of a line on a terminal.
const WIDEST: usize = 24;

/// The width of the widest of these ids, for the log's columns.
pub fn column_of<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    ids.map(|id| clean(id).width().min(WIDEST)).max().unwrap_or(0)
}

/// An id as it stands in front of a line on a terminal: of a very long one the middle is left out.
pub fn shown_id(id: &str) -> String {
    words::fit_ends(&clean(id), WIDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(live: &Live, width: usize) -> String {
        let now = Mono::from_micros(200_000_000);
        String::from_utf8(live.line(now, None, Some(width), false)).unwrap()
    }

    /// It stands in front, is not drawn more often than one can see, and is gone when it is over.
    #[test]
    fn a_progress_bar_is_shown_as_it_moves() {
        let at = |millis: u64| Mono::from_micros(1_000_000_000 + millis * 1000);
        let mut bottom = Bottom::default();
        let drawn = |bottom: &mut Bottom, now, bar: Option<&str>| {
            let bar = || bar.map(|bar| ("copy".into(), bar.to_owned()));
            let line = bottom.line_in_time(now, bar, || Some(30), false)?;
            Some(String::from_utf8(line).unwrap())
        };
        // Where there is no such line, nothing is drawn.
        bottom.bar_moved();
        assert_eq!((bottom.deadline(), drawn(&mut bottom, at(0), Some("1%"))), (None, None));
        let running = vec![("copy".into(), at(0))];
        bottom.set(Live { running, count: 1, ..Live::default() }, at(0));
        assert_eq!(drawn(&mut bottom, at(0), None).as_deref(), Some("1 running (copy 0s), "));
        bottom.bar_moved();
        assert_eq!(bottom.deadline(), Some(at(200)));
        assert_eq!(drawn(&mut bottom, at(199), Some("1%")), None);
        let line = drawn(&mut bottom, at(210), Some("1%"));
        assert_eq!(line.as_deref(), Some("copy: 1%; 1 running (copy 0s…"));
        // Moved or not, the time goes on.
        assert_eq!(bottom.deadline(), Some(at(1210)));
        bottom.bar_moved();
        bottom.bar_moved();
        assert_eq!(bottom.deadline(), Some(at(410)));
        let line = drawn(&mut bottom, at(500), Some("[=========================>] 99%"));
        assert_eq!(line.as_deref(), Some("copy: [=====================…"));
    }

    #[test]
    fn it_says_what_runs_waits_and_is_next() {
        let next = "next beat at 12:00:10".to_owned();
        let mut live = Live { next, ..Live::default() };
        assert_eq!(line(&live, 80), "idle, next beat at 12:00:10");
        live.running = vec![("backup".into(), Mono::from_micros(8_100_000))];
        (live.count, live.waiting) = (2, 1);
        live.waits = vec![("mail".into(), "for a slot")];
        let whole =
            "2 running (backup 3m 11s, …), 1 waiting (mail for a slot), next beat at 12:00:10";
        assert_eq!(line(&live, 90), whole);
        assert_eq!(line(&live, 20), "2 running (backup …");
        (live.stopping, live.waiting) = (true, 2);
        let stopping = "stopping: 2 running (backup 3m 11s, …), 2 waiting (mail for a slot, …)";
        assert_eq!(line(&live, 80), stopping);
        assert_eq!(line(&Live { stopping: true, ..Live::default() }, 80), "stopping");
    }
}
