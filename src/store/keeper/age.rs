//! What time it is for the age of what is kept: not what a clock says that was set far ahead.
//!
//! What is older than `[store] keep` allows is forgotten for good, and a clock may be wrong for a
//! moment: a machine starts with one that is years ahead, or somebody mistypes a date. So a clock
//! that has leapt forward is not believed until schedrs has run for a day by it, in one go or with
//! breaks of less than a day; until then age is counted from what was known before the leap. A time
//! in which nothing ran looks like a leap, and is treated as one. When somebody was there to see
//! the time is known from the sessions in the store, and from the clock that nobody can set. Pure.

use std::time::Duration;

use crate::core::instant::Instant;
use crate::store::Session;

/// So far a clock may get ahead of what is explained, and so long it has to be right.
const DAY: Duration = Duration::from_secs(86_400);

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Age {
    /// The last time that was believed.
    believed: Option<Instant>,
    leap: Option<Leap>,
}

/// The clock is ahead.
#[derive(Clone, Copy, Debug)]
struct Leap {
    /// The first time that it showed then, and the last.
    first: Instant,
    last: Instant,
}

impl Age {
    /// What the scheduler sessions tell, the oldest first.
    pub(super) fn of(sessions: &[Session]) -> Age {
        let mut age = Age::default();
        for session in sessions {
            age.see(session.began, Duration::ZERO);
            age.see(session.stopped.unwrap_or(session.seen), Duration::ZERO);
        }
        age
    }

    /// The clock shows this, and so much time has really passed since it was last looked at, as far
    /// as anybody knows. Answers the time that age is counted from.
    pub(super) fn see(&mut self, shown: Instant, passed: Duration) -> Instant {
        let expected = |last: Instant| last.plus(passed).plus(DAY);
        let believed = self.believed.unwrap_or(shown);
        let (believed, leap) = if shown <= expected(believed) {
            (shown, None)
        } else {
            match self.leap {
                Some(leap) if shown >= leap.first && shown <= expected(leap.last) => {
                    if shown.since(leap.first) >= DAY {
                        (shown, None)
                    } else {
                        (believed.plus(passed), Some(Leap { last: shown, ..leap }))
                    }
                }
                _ => (believed.plus(passed), Some(Leap { first: shown, last: shown })),
            }
        };
        (self.believed, self.leap) = (Some(believed), leap);
        believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const FAR: i64 = 50 * 366 * 24;

    fn at(hours: i64) -> Instant {
        Instant::from_secs(1_800_000_000 + hours * HOUR)
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    fn session(began: i64, seen: i64) -> Session {
        let process = crate::store::Process { pid: 1, start: 1 };
        let (began, seen) = (at(began), at(seen));
        let (boot, jobfile) = ("".into(), "".into());
        Session { process, boot, began, seen, stopped: None, jobfile, mark: 1 }
    }

    #[test]
    fn a_clock_that_goes_on_is_believed() {
        let mut age = Age::of(&[session(0, 5), session(8, 20)]);
        assert_eq!(age.see(at(21), hours(0)), at(21));
        // Nothing was written for a month.
        assert_eq!(age.see(at(21 + 720), hours(720)), at(21 + 720));
        // Set back is set back.
        assert_eq!(age.see(at(3), hours(0)), at(3));
    }

    #[test]
    fn a_leap_for_a_moment_is_not_believed() {
        let mut age = Age::of(&[session(0, 5)]);
        assert_eq!(age.see(at(FAR), hours(0)), at(5));
        assert_eq!(age.see(at(FAR + 2), hours(2)), at(7));
        assert_eq!(age.see(at(8), hours(1)), at(8));
    }

    /// Also if schedrs is started in that moment, more than once, or stops in it.
    #[test]
    fn nor_is_one_that_schedulers_have_begun_in() {
        let mut sessions = vec![session(0, 5), session(6, FAR)];
        sessions.extend((0..10).map(|hour| session(FAR + hour, FAR + hour)));
        let mut age = Age::of(&sessions);
        assert!(age.see(at(FAR + 11), hours(1)) <= at(10));
        assert_eq!(age.see(at(20), hours(0)), at(20));
        // And all that is forgotten when the next one begins.
        sessions.push(session(20, 21));
        assert_eq!(Age::of(&sessions).see(at(22), hours(0)), at(22));
    }

    #[test]
    fn after_a_day_it_is_right() {
        // A machine that was off for two months, and then on for some hours each day.
        let mut sessions = vec![session(0, 5), session(1440, 1444)];
        assert_eq!(Age::of(&sessions).see(at(1445), hours(1)), at(6));
        sessions.push(session(1460, 1464));
        assert_eq!(Age::of(&sessions).see(at(1470), hours(6)), at(1470));
        // Or on all the time, with something to be written once a day.
        let mut age = Age::of(&[session(0, 5)]);
        age.see(at(1440), hours(0));
        assert_eq!(age.see(at(1463), hours(23)), at(28));
        assert_eq!(age.see(at(1487), hours(24)), at(1487));
    }

    #[test]
    fn a_store_without_a_past_has_nothing_to_lose() {
        assert_eq!(Age::of(&[]).see(at(7), hours(0)), at(7));
    }
}
