//! What is said of what became of due times, and kept for whoever waits for the last run.

use std::collections::VecDeque;

use super::Effects;
use crate::core::event::{Event, Exit, Process, Record, Start};
use crate::core::outcome::Outcome;
use crate::core::words;
use crate::run::daemon::catching_up::CatchingUp;
use crate::run::daemon::{logger, report};
use crate::sys::clock;

impl Effects {
    /// What is decided from here on to the end of this pass of the loop may have been due while
    /// nobody was there: a person is told of that in one line.
    pub(in crate::run::daemon) fn catch_up(&mut self, catching_up: CatchingUp) {
        if logger::is_for_terminal() {
            self.catching_up = Some(catching_up);
        }
    }

    /// The end of a pass of the loop.
    pub(in crate::run::daemon) fn caught_up(&mut self) {
        if let Some(catching_up) = self.catching_up.take() {
            catching_up.tell();
        }
    }

    pub(super) fn record(&mut self, record: &Record) {
        // That a run which was only pretended has succeeded is no news; that one is missed is.
        let pretended = self.dry_run && matches!(record.outcome, Outcome::Succeeded);
        let counted = self.catching_up.as_mut().is_some_and(|it| it.take(record));
        if !pretended && !counted {
            report::record(record);
        }
        if let Some(run) = record.run {
            let then = if self.dry_run { None } else { self.when_printed(record) };
            self.output.over(run, then);
        }
        if self.once {
            self.last_run = Some(record.clone());
            self.code = Some(match record.outcome {
                Outcome::TimedOut => 124,
                _ => self.last_attempt,
            });
        }
    }
}

/// `--dry-run`: says what would be started, and that it has succeeded.
pub(super) fn would_start(start: &Start, events: &mut VecDeque<Event>) {
    log::info!(
        event = "would_start",
        job = &*start.job.id,
        run = start.run.0,
        due = &*words::rfc3339(start.due, &start.job.zone);
        "would start now"
    );
    let at = clock::now();
    let process = Process { pid: 0, start: 0 };
    events.push_back(Event::Started { run: start.run, process, at, taken: at.mono });
    events.push_back(Event::Ended { run: start.run, exit: Exit::Code(0), usage: None, at: None });
}
