//! When schedrs was down, from what its lives with the store tell.

use crate::core::instant::Instant;
use crate::core::record::Session;

/// A time in which no scheduler used the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Down<'a> {
    /// The life that ended, and when that was last known to go on; `None`: there was none before.
    pub before: Option<(&'a Session, Instant)>,
    /// The life that followed.
    pub after: Option<&'a Session>,
}

impl Down<'_> {
    /// Since when, as far as is known.
    pub fn from(&self) -> Instant {
        self.before.map_or(Instant::MIN, |before| before.1)
    }

    /// Until when.
    pub fn until(&self) -> Option<Instant> {
        self.after.map(|after| after.began)
    }

    /// Whether the life before it was ended as it should.
    pub fn was_stopped(&self) -> bool {
        self.before.is_some_and(|(session, _)| session.stopped.is_some())
    }
}

/// The time without a scheduler that holds an instant, if there was none then. `is_running` says
/// whether the last life goes on.
///
/// Lives may overlap where several schedulers share a store.
pub fn down_at(sessions: &[Session], is_running: bool, at: Instant) -> Option<Down<'_>> {
    let last = sessions.iter().map(|session| session.began).max();
    let mut before: Option<(&Session, Instant)> = None;
    let mut after: Option<&Session> = None;
    for session in sessions {
        if session.began > at {
            if after.is_none_or(|after| session.began < after.began) {
                after = Some(session);
            }
            continue;
        }
        let goes_on = is_running && session.stopped.is_none() && Some(session.began) == last;
        let end = if goes_on { Instant::MAX } else { session.stopped.unwrap_or(session.seen) };
        if before.is_none_or(|before| end > before.1) {
            before = Some((session, end));
        }
    }
    match before {
        Some((_, end)) if end >= at => None,
        _ => Some(Down { before, after }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Process;

    fn at(secs: i64) -> Instant {
        Instant::from_secs(secs)
    }

    fn session(began: i64, seen: i64, stopped: Option<i64>) -> Session {
        Session {
            process: Process { pid: 1, start: 1 },
            boot: "b".into(),
            began: at(began),
            seen: at(seen),
            stopped: stopped.map(at),
            jobfile: "jobs.toml".into(),
            mark: 0,
        }
    }

    #[test]
    fn between_two_lives() {
        //  10====20      30===40?        50=====
        let lives = [session(10, 20, Some(20)), session(30, 40, None), session(50, 55, None)];
        let ends = |moment: i64, running: bool| {
            let down = down_at(&lives, running, at(moment))?;
            Some((
                down.before.map(|before| before.1.secs()),
                down.until().map(Instant::secs),
                down.was_stopped(),
            ))
        };
        for (moment, expected) in [
            (5, Some((None, Some(10), false))),
            (10, None),
            (20, None),
            (25, Some((Some(20), Some(30), true))),
            (35, None),
            (45, Some((Some(40), Some(50), false))),
            (52, None),
        ] {
            assert_eq!(ends(moment, false), expected, "{moment}");
            assert_eq!(ends(moment, true), expected, "{moment}");
        }
        assert_eq!(ends(60, false), Some((Some(55), None, false)));
        assert_eq!(ends(60, true), None);
        assert!(down_at(&[], false, at(1)).is_some());
    }
}
