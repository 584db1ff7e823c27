//! The interval that is counted from the end of the last run: so much time between two runs, however
//! long each takes, as systemd's `OnUnitInactiveSec=`.
//!
//! Of itself it knows one due time only: that after the moment it is anchored at, which is the end of
//! the last run, or when its job was first scheduled. `crate::core::scheduler` moves that moment when a
//! run has ended (`from_end` there).

use std::time::Duration;

use crate::core::instant::{Instant, duration_micros};

/// Due so long after the last run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromEndTrigger {
    wait: i64,
    /// [`Instant::MIN`]: there is none.
    start: Instant,
    end: Instant,
    /// [`Instant::MAX`]: it is not known yet.
    anchor: Instant,
}

impl FromEndTrigger {
    /// Due `wait` after each run has ended, and the first time at `start_date`, or without one `wait`
    /// after the moment given to [`FromEndTrigger::anchored`]. Not after `end_date`.
    ///
    /// A wait below one microsecond counts as one.
    pub fn new(
        wait: Duration,
        start_date: Option<Instant>,
        end_date: Option<Instant>,
    ) -> FromEndTrigger {
        FromEndTrigger {
            wait: duration_micros(wait).max(1),
            start: start_date.unwrap_or(Instant::MIN),
            end: end_date.unwrap_or(Instant::LAST).min(Instant::LAST),
            anchor: Instant::MAX,
        }
    }

    /// How long after the end of a run the next is due.
    pub fn wait(&self) -> Duration {
        Duration::from_micros(self.wait as u64)
    }

    /// The `start_date` it was given.
    pub fn start_date(&self) -> Option<Instant> {
        (self.start > Instant::MIN).then_some(self.start)
    }

    /// The last instant it may be due at, where there is an `end_date`.
    pub fn end(&self) -> Option<Instant> {
        (self.end < Instant::LAST).then_some(self.end)
    }

    /// Whether the moment that it counts from is known.
    pub fn is_anchored(&self) -> bool {
        self.anchor < Instant::MAX
    }

    /// With the moment it counts from; no change where that is known.
    #[must_use]
    pub fn anchored(&self, from: Instant) -> FromEndTrigger {
        if self.is_anchored() { *self } else { FromEndTrigger { anchor: from, ..*self } }
    }

    /// Its one due time, if that is strictly after `after`.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        if !self.is_anchored() {
            return None;
        }
        let due = match self.start_date().filter(|start| *start >= self.anchor) {
            Some(start) => start,
            None => self.anchor.plus(self.wait()),
        };
        (due > after && due <= self.end).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_one_due_time() {
        let at = Instant::from_secs;
        let rows = [
            // wait, start, end, anchor, after, due
            (60, None, None, 1000, 0, Some(1060)),
            (60, None, None, 1000, 1059, Some(1060)),
            (60, None, None, 1000, 1060, None),
            (60, Some(5000), None, 1000, 0, Some(5000)),
            (60, Some(1000), None, 1000, 0, Some(1000)),
            (60, Some(999), None, 1000, 0, Some(1060)),
            (60, None, Some(1060), 1000, 0, Some(1060)),
            (60, None, Some(1059), 1000, 0, None),
            (60, Some(5000), Some(4000), 1000, 0, None),
        ];
        for (wait, start, end, anchor, after, due) in rows {
            let wait = Duration::from_secs(wait);
            let trigger = FromEndTrigger::new(wait, start.map(at), end.map(at));
            assert_eq!(trigger.next_after(at(after)), None);
            let trigger = trigger.anchored(at(anchor));
            assert_eq!(trigger.next_after(at(after)), due.map(at), "{trigger:?}");
            assert_eq!(trigger.anchored(at(7)), trigger);
        }
    }
}
