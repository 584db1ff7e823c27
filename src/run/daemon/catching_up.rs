//! At a terminal: one line for all that was due while nobody was there to start it.
//!
//! After a stop, or a night in which the machine slept, each job may have due times that are `missed`
//! or `coalesced`, and a line for each job fills the screen. `effects` gives them to this instead of
//! to `report`, from the moment that the time between is known to the end of that pass of the loop.
//! Where nobody looks on, and in JSON, each keeps its line: programs read those.

use log::Level;

use super::{logger, overview, report};
use crate::core::event::Record;
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::words;
use crate::core::zone::Zone;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct CatchingUp {
    /// Since when nothing was started; `None`: nobody knows.
    since: Option<Instant>,
    until: Instant,
    /// What it was: a time without a scheduler, or a jump of the clock.
    what: &'static str,
    first: Option<Record>,
    /// The first due time.
    earliest: Instant,
    records: usize,
    missed: u64,
    coalesced: u64,
}

impl CatchingUp {
    /// After a time in which no scheduler ran.
    pub(super) fn after_down(since: Option<Instant>, now: Instant) -> CatchingUp {
        CatchingUp::after("while it was down", since, now)
    }

    /// After the clock was set forward by that much, or the machine slept.
    pub(super) fn after_jump(by_micros: i64, now: Instant) -> CatchingUp {
        let by = std::time::Duration::from_micros(by_micros.unsigned_abs());
        CatchingUp::after("in that time", Some(now.minus(by)), now)
    }

    fn after(what: &'static str, since: Option<Instant>, until: Instant) -> CatchingUp {
        let (first, earliest) = (None, until);
        CatchingUp { since, until, what, first, earliest, records: 0, missed: 0, coalesced: 0 }
    }

    /// Takes a record, if it is of the kind that is counted.
    pub(super) fn take(&mut self, record: &Record) -> bool {
        let count = match record.outcome {
            Outcome::Missed(_) if record.run.is_none() => &mut self.missed,
            Outcome::Coalesced => &mut self.coalesced,
            _ => return false,
        };
        *count = count.saturating_add(record.count);
        self.records += 1;
        self.earliest = self.earliest.min(record.due);
        self.first.get_or_insert_with(|| record.clone());
        true
    }

    /// Says what there was.
    pub(super) fn tell(self) {
        match self.first {
            // Its own line says more, and is no longer.
            Some(ref record) if self.records == 1 => report::record(record),
            Some(_) => {
                let level = if self.missed > 0 { Level::Warn } else { Level::Info };
                log::log!(level, event = "caught_up"; "{}", self.sentence(&logger::zone()));
            }
            None => {}
        }
    }

    /// `while it was down 09:10–09:14: 3 missed, 9 coalesced; schedrs history --since 09:10`.
    fn sentence(&self, zone: &Zone) -> String {
        let since = self.since.unwrap_or(self.earliest);
        let counts = overview::counts(&[(self.missed, "missed"), (self.coalesced, "coalesced")]);
        // What waited for its jitter was due before.
        let asked = minute(since.min(self.earliest), self.until, zone);
        let asked = if asked.contains(' ') { format!("'{asked}'") } else { asked };
        format!(
            "{} {}–{}: {counts}; `schedrs history --since {asked}`",
            self.what,
            minute(since, self.until, zone),
            minute(self.until, since, zone),
        )
    }
}

/// A minute as `--since` takes it: `09:10`, or `2026-11-28 09:10` if the other one is of another day.
fn minute(at: Instant, other: Instant, zone: &Zone) -> String {
    let text = words::rfc3339(at, zone);
    let (day, time) = (&text[..10], &text[11..16]);
    match words::rfc3339(other, zone).starts_with(day) {
        true => time.to_owned(),
        false => format!("{day} {time}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::core::outcome::MissReason;
    use crate::core::zone::Database;

    #[test]
    fn one_sentence_for_all_of_it() {
        let database = Database::bundled();
        let text = "jobs.j = { command = 'x', cron = '* * * * *', timezone = 'UTC' }";
        // 2026-11-28T09:14:30Z
        let now = Instant::from_secs(1_795_857_270);
        let set = crate::jobfile::load_text("t", text, &database, now).set.unwrap();
        let record = |outcome: Outcome, secs_ago: u64, count: u64| Record {
            job: Arc::clone(&set.jobs[0]),
            due: now.minus(Duration::from_secs(secs_ago)),
            last_due: now,
            count,
            run: None,
            outcome,
            started: None,
            duration: Duration::ZERO,
            attempts: 0,
            usage: None,
        };
        let missed = || Outcome::Missed(MissReason::Late(Duration::from_secs(90)));
        let day = 86_400;
        for (since, due, expected) in [
            (
                Some(270),
                200,
                "while it was down 09:10–09:14: 3 missed, 9 coalesced; `schedrs history --since 09:10`",
            ),
            // Nobody knows since when, but what was due first.
            (
                None,
                200,
                "while it was down 09:11–09:14: 3 missed, 9 coalesced; `schedrs history --since 09:11`",
            ),
            (
                Some(270),
                300,
                "while it was down 09:10–09:14: 3 missed, 9 coalesced; `schedrs history --since 09:09`",
            ),
            (
                Some(day + 270),
                200,
                "while it was down 2026-11-27 09:10–2026-11-28 09:14: 3 missed, 9 coalesced; \
                 `schedrs history --since '2026-11-27 09:10'`",
            ),
        ] {
            let since = since.map(|secs| now.minus(Duration::from_secs(secs)));
            let mut catching_up = CatchingUp::after_down(since, now);
            assert!(catching_up.take(&record(missed(), due, 3)));
            assert!(catching_up.take(&record(Outcome::Coalesced, due - 10, 9)));
            // Only what nobody was there for.
            assert!(!catching_up.take(&record(Outcome::Succeeded, 0, 1)));
            assert_eq!(catching_up.sentence(&Zone::utc()), expected);
        }
        let mut catching_up = CatchingUp::after_jump(240_000_000, now);
        assert!(catching_up.take(&record(Outcome::Coalesced, 100, 2)));
        assert_eq!(
            catching_up.sentence(&Zone::utc()),
            "in that time 09:10–09:14: 2 coalesced; `schedrs history --since 09:10`"
        );
    }
}
