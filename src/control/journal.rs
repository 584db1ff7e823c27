//! The last things that happened, numbered, for clients that watch (`events` in `doc/control.md`): the
//! loop writes, the server's thread reads (`crate::control::server::watching`).
//!
//! Who watches has only a place in it, so a client that is slow costs nothing but what it misses. The
//! number of an event is its time in microseconds, raised where that would not be above the one before:
//! so it grows over restarts, and a time can stand in the place of a number.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::core::event::Happening;
use crate::core::instant::Instant;

/// So many are kept.
const KEPT: usize = 4096;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number.
    pub number: u64,
    /// When it happened.
    pub at: Instant,
    /// What.
    pub what: Happening,
}

/// What there is from a place on.
#[derive(Debug, PartialEq)]
pub struct Passage {
    /// In order.
    pub entries: Vec<Entry>,
    /// There was more before these, which is not kept.
    pub has_gap: bool,
    /// The place behind what was read.
    pub place: u64,
}

/// See the [module](self).
pub struct Journal(Mutex<Pages>);

struct Pages {
    /// Everything with a greater number is here.
    floor: u64,
    entries: VecDeque<Entry>,
    watchers: usize,
    /// Tells them that there is more.
    tell: Option<Box<dyn Fn() + Send>>,
}

impl Journal {
    /// One that begins now.
    pub fn new(now: Instant) -> Journal {
        let (floor, entries) = (number_of(now), VecDeque::new());
        Journal(Mutex::new(Pages { floor, entries, watchers: 0, tell: None }))
    }

    /// Whom to tell that there is more, while anybody watches. Must not block.
    pub fn tell(&self, tell: impl Fn() + Send + 'static) {
        self.pages().tell = Some(Box::new(tell));
    }

    /// Something has happened.
    pub fn note(&self, now: Instant, what: Happening) {
        let mut pages = self.pages();
        let number = number_of(now).max(pages.last() + 1);
        if pages.entries.len() >= KEPT
            && let Some(oldest) = pages.entries.pop_front()
        {
            pages.floor = oldest.number;
        }
        pages.entries.push_back(Entry { number, at: now, what });
        if pages.watchers > 0
            && let Some(tell) = &pages.tell
        {
            tell();
        }
    }

    /// Begins to watch. Answers the present place.
    pub fn watch(&self) -> u64 {
        let mut pages = self.pages();
        pages.watchers += 1;
        pages.last()
    }

    /// Ends that.
    pub fn unwatch(&self) {
        let mut pages = self.pages();
        pages.watchers = pages.watchers.saturating_sub(1);
    }

    /// At most so many that come after a place.
    pub fn after(&self, place: u64, most: usize) -> Passage {
        let pages = self.pages();
        let from = pages.entries.partition_point(|entry| entry.number <= place);
        let entries: Vec<Entry> = pages.entries.iter().skip(from).take(most).cloned().collect();
        let has_gap = place < pages.floor;
        let place = entries.last().map_or(place.max(pages.floor), |last| last.number);
        Passage { entries, has_gap, place }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn last(&self) -> u64 {
        self.entries.back().map_or(self.floor, |last| last.number)
    }
}

/// The number of what happens at a time: everything with a greater one is after it.
pub fn number_of(at: Instant) -> u64 {
    u64::try_from(at.micros()).unwrap_or(0)
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn at(secs: i64) -> Instant {
        Instant::from_secs(secs)
    }

    fn gone(number: usize) -> Happening {
        Happening::Gone(number.to_string().into())
    }

    fn numbers(passage: &Passage) -> Vec<u64> {
        passage.entries.iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn a_place_divides_what_was_read_from_what_was_not() {
        let journal = Journal::new(at(100));
        let place = journal.watch();
        assert_eq!(journal.after(place, 9), Passage { entries: Vec::new(), has_gap: false, place });
        // The clock stands still, and is set back.
        for (second, number) in [(101, 0), (101, 1), (99, 2), (102, 3)] {
            journal.note(at(second), gone(number));
        }
        let all = journal.after(place, 9);
        let first = 101_000_000;
        assert_eq!(numbers(&all), [first, first + 1, first + 2, 102_000_000]);
        let (begin, end) = (journal.after(place, 3), journal.after(first + 2, 3));
        assert_eq!((numbers(&begin).len(), begin.place), (3, first + 2));
        assert_eq!((numbers(&end), end.has_gap), (vec![102_000_000], false));
        // A time stands for a number.
        assert_eq!(numbers(&journal.after(number_of(at(101)), 9)).len(), 3);
        assert!(numbers(&journal.after(number_of(at(102)), 9)).is_empty());
    }

    #[test]
    fn what_is_not_kept_is_a_gap() {
        let journal = Journal::new(at(100));
        assert!(journal.after(number_of(at(99)), 1).has_gap);
        for number in 0..KEPT + 2 {
            journal.note(at(200 + number as i64), gone(number));
        }
        let passage = journal.after(number_of(at(100)), usize::MAX);
        assert!(passage.has_gap);
        assert_eq!(passage.entries.len(), KEPT);
        assert_eq!(passage.entries[0].what, gone(2));
        assert!(!journal.after(number_of(at(201)), 1).has_gap);
    }

    #[test]
    fn only_who_watches_is_told() {
        let (journal, told) = (Journal::new(at(0)), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&told);
        journal.tell(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        journal.note(at(1), gone(1));
        journal.watch();
        journal.note(at(2), gone(2));
        journal.unwatch();
        journal.note(at(3), gone(3));
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
