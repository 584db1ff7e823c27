//! What `except` and `only` of a job say together.

use std::borrow::Cow;
use std::sync::Arc;

use super::events::Events;
use super::{Calendar, Look, Windows, ics};
use crate::core::instant::Instant;
use crate::core::trigger::Trigger;
use crate::core::trigger::flaw::Flaw;
use crate::core::zone::{Database, Zone};

/// So far ahead a due time that is not excluded is looked for: every weekday has fallen on every date by
/// then. Beyond that the job is never due.
const FAR: std::time::Duration = std::time::Duration::from_secs(28 * 366 * 86_400);

/// No text that names what excludes a time is longer.
const LONGEST: usize = 80;

/// When a job is not due, whatever its trigger says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exclusion {
    /// Not in these.
    pub(crate) except: Windows,
    /// In these alone, if there are any.
    pub(crate) only: Windows,
}

impl Exclusion {
    /// Windows as they are written in `except` and `only`: `sat..sun`, `12-24..12-26`; `None`: one of them is
    /// none, or is the name of a calendar, which only a jobfile has.
    pub fn of_windows(except: &[&str], only: &[&str]) -> Option<Exclusion> {
        let read = |texts| Windows::read(texts).ok();
        let excluded = Exclusion { except: read(except)?, only: read(only)? };
        let names = excluded.except.calendars().chain(excluded.only.calendars()).count();
        (names == 0).then_some(excluded)
    }

    /// What the events of a calendar file (RFC 5545) exclude, under the name of a calendar.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file.
    pub fn of_calendar(name: &str, text: &str, zones: &Database) -> Result<Exclusion, Vec<Flaw>> {
        let events = Events::new(ics::read(text, zones)?);
        let mut except = Windows::named(name);
        except.resolve(|_| {
            Some(Arc::new(Calendar { events: events.clone(), ..Calendar::named(name) }))
        });
        Ok(Exclusion { except, only: Windows::default() })
    }

    /// Whether it excludes nothing.
    pub fn is_empty(&self) -> bool {
        self.except.is_empty() && self.only.is_empty()
    }

    /// What excludes a time on the clocks of a zone, and until when the answer is the same.
    pub(crate) fn look(&self, at: Instant, zone: &Zone) -> Look<Cow<'_, str>> {
        let except = self.except.look(at, zone);
        if let Some(by) = except.within {
            return Look { within: Some(cut(by.to_string()).into()), until: except.until };
        }
        if self.only.is_empty() {
            return Look { within: None, until: except.until };
        }
        let only = self.only.look(at, zone);
        let until = except.until.min(only.until);
        let outside = || {
            let texts: Vec<&str> = self.only.texts().collect();
            Cow::from(cut(format!("not in {}", texts.join(", "))))
        };
        Look { within: only.within.is_none().then(outside), until }
    }

    /// What excludes a time, if anything does: the name of a calendar, with that of the event in it, or a
    /// window as it was written.
    pub fn of(&self, at: Instant, zone: &Zone) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        self.look(at, zone).within.map(Cow::into_owned)
    }

    /// The first due time after `after`, of a trigger that has been anchored, that is not excluded. `most`
    /// due times and windows are looked at.
    pub(crate) fn next_after(
        &self,
        trigger: &Trigger,
        zone: &Zone,
        after: Instant,
        most: usize,
    ) -> Option<Instant> {
        if self.is_empty() {
            return trigger.next_after(after);
        }
        let mut from = after;
        let first = trigger.next_after(after)?;
        for _ in 0..most {
            let due = trigger.next_after(from).filter(|due| due.since(first) <= FAR)?;
            let look = self.look(due, zone);
            if look.within.is_none() {
                return Some(due);
            }
            // What is due at that moment is to be found.
            from = look.until.just_before().max(due);
        }
        None
    }
}

/// A text of a bearable length.
fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(at);
        text.push('…');
    }
    text
}
