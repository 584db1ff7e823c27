//! `[calendars.NAME]`: times that have a name, such as holidays or the hours of an office, which jobs and
//! routes leave out (`except`) or jobs keep to (`only`).
//!
//! A calendar is made of days and windows ([`Windows`], of what `super::window` reads), and of the events of a file: `ics`
//! reads it, `events` holds what it says, `recur` counts what repeats. [`Exclusion`] is what a job says of
//! them. All of it is pure; `crate::jobfile` reads the files.

pub(crate) mod events;
mod exclusion;
pub(crate) mod ics;
pub(crate) mod recur;
mod windows;

use std::fmt;

use super::instant::Instant;
use super::zone::Zone;
use events::Events;

pub use exclusion::Exclusion;
pub(crate) use windows::{Windows, is_name};

/// Times that have a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// What jobs and routes call it.
    pub name: Box<str>,
    /// Days and windows, as they were written. They name no other calendars.
    pub(crate) windows: Windows,
    /// So many of them, the first, were written as `days`.
    pub(crate) days: usize,
    /// The file that its events are from; a relative path has the directory of the jobfile in front.
    pub(crate) file: Option<Box<str>>,
    /// What the file says.
    pub(crate) events: Events,
}

impl Calendar {
    /// One in which nothing is.
    pub(crate) fn named(name: &str) -> Calendar {
        Calendar {
            name: name.into(),
            windows: Windows::default(),
            days: 0,
            file: None,
            events: Events::default(),
        }
    }

    /// What of it a time is in.
    pub(crate) fn look(&self, at: Instant, zone: &Zone) -> Look<By<'_>> {
        let windows = self.windows.look(at, zone);
        if windows.within.is_some() {
            return Look { within: Some(By::Calendar(&self.name, "")), ..windows };
        }
        let events = self.events.look(at, zone);
        let within = events.within.map(|summary| By::Calendar(&self.name, summary));
        Look { within, until: events.until.min(windows.until) }
    }
}

/// What a time is in, if it is in anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look<T> {
    pub(crate) within: Option<T>,
    /// Until then the answer is the same: later than the time that was asked about. It may be the same
    /// afterwards, too.
    pub(crate) until: Instant,
}

impl<T> Look<T> {
    /// Nothing is in anything, ever.
    pub(crate) fn nothing() -> Look<T> {
        Look { within: None, until: Instant::MAX }
    }

    /// The first of several that a time is in. Each is asked, in order, until one says so.
    pub(crate) fn first_of(looks: impl Iterator<Item = Look<T>>) -> Look<T> {
        let mut until = Instant::MAX;
        for look in looks {
            until = until.min(look.until);
            if look.within.is_some() {
                return Look { within: look.within, until };
            }
        }
        Look { within: None, until }
    }
}

/// What a time is in: a window as it was written, or a calendar and the event in it, which may have no
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By<'a> {
    Window(&'a str),
    Calendar(&'a str, &'a str),
}

impl fmt::Display for By<'_> {
    /// `sat..sun`, `holidays`, `holidays: Christmas Day`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Window(text) | By::Calendar(text, "") => f.write_str(text),
            By::Calendar(name, event) => write!(f, "{name}: {event}"),
        }
    }
}

/// When the clocks of a zone come to a time, if they are not changed before: then when they are.
pub(super) fn instant_until(zone: &Zone, at: Instant, wall: i64, until: i64) -> Instant {
    let change = zone.segment_at(at.secs()).end;
    Instant::from_secs(at.secs().saturating_add(until.saturating_sub(wall)).min(change))
}

#[cfg(test)]
mod tests;
