//! Windows and names of calendars in one list, as `except` and `only` have them.

use std::sync::Arc;

use super::{By, Calendar, Look, instant_until};
use crate::core::instant::Instant;
use crate::core::window::{self, Window};
use crate::core::zone::Zone;

/// So many windows that follow each other are looked through at most: then they have no end.
const MOST_IN_A_ROW: usize = 1000;

/// Windows and calendars, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows(Box<[Entry]>);

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    /// As it was written, too.
    Window(Box<str>, Window),
    Calendar(Arc<Calendar>),
}

impl Windows {
    /// Reads them. What is no window but may be the name of a calendar is taken for one, in which nothing is
    /// until [`Windows::resolve`]. Answers which of them is wrong, and why.
    pub(crate) fn read(texts: &[&str]) -> Result<Windows, Vec<(usize, String)>> {
        let (mut windows, mut wrong) = (Vec::new(), Vec::new());
        for (place, text) in texts.iter().enumerate() {
            match window::read(text) {
                Ok(window) => windows.push(Entry::Window((*text).into(), window)),
                Err(_) if is_name(text) => {
                    windows.push(Entry::Calendar(Arc::new(Calendar::named(text))));
                }
                Err(why) => wrong.push((place, why)),
            }
        }
        if wrong.is_empty() { Ok(Windows(windows.into())) } else { Err(wrong) }
    }

    /// One calendar of that name, in which nothing is until [`Windows::resolve`].
    pub(crate) fn named(name: &str) -> Windows {
        Windows(Box::new([Entry::Calendar(Arc::new(Calendar::named(name)))]))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How they were written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| match entry {
            Entry::Window(text, _) => &**text,
            Entry::Calendar(calendar) => &*calendar.name,
        })
    }

    /// The calendars that they name.
    pub(crate) fn calendars(&self) -> impl Iterator<Item = &Arc<Calendar>> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Calendar(calendar) => Some(calendar),
            Entry::Window(..) => None,
        })
    }

    /// Puts the calendars of these names in their places, as far as there are such.
    pub(crate) fn resolve(&mut self, find: impl Fn(&str) -> Option<Arc<Calendar>>) {
        for entry in &mut self.0 {
            if let Entry::Calendar(calendar) = entry
                && let Some(found) = find(&calendar.name)
            {
                *calendar = found;
            }
        }
    }

    /// What of them a time is in: the first that it is in.
    pub(crate) fn look<'a>(&'a self, at: Instant, zone: &Zone) -> Look<By<'a>> {
        if self.0.is_empty() {
            return Look::nothing();
        }
        let wall = zone.wall_of(at);
        Look::first_of(self.0.iter().map(|entry| match entry {
            Entry::Window(text, window) => {
                let (within, until) = match window.end(wall) {
                    Some(end) => (Some(By::Window(text)), end),
                    None => (None, window.begin(wall)),
                };
                Look { within, until: instant_until(zone, at, wall, until) }
            }
            Entry::Calendar(calendar) => calendar.look(at, zone),
        }))
    }

    /// When it is over, if it is in a window at that time: when no window that follows begins at once.
    pub(crate) fn end(&self, at: Instant, zone: &Zone) -> Option<Instant> {
        let mut end = None;
        for _ in 0..MOST_IN_A_ROW {
            let look = self.look(end.unwrap_or(at), zone);
            if look.within.is_none() {
                return end;
            }
            end = Some(look.until);
        }
        Some(Instant::MAX)
    }
}

/// Whether a calendar may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    begins && name.len() <= 64 && name.bytes().all(is_plain) && window::weekday(name).is_none()
}

#[cfg(test)]
mod tests;
