//! What people ask of a notifier: to send a notification again, to drop what waits; and which one is meant by
//! the beginning of its id.

use std::collections::HashMap;

use super::super::log::{Told, Trying};
use super::super::outbox::{Done, End, NotFound, is_beginning};
use super::super::saved::{self, Saved};
use super::{Effect, Notifier};
use crate::core::instant::Now;

/// Why a notification cannot be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotSend {
    /// It was written by a version that has not kept all of it.
    Unreadable,
    /// There is no such route any more.
    NoRoute(Box<str>),
    /// It waits on this route already.
    Waits(Box<str>),
}

impl Notifier {
    /// A notification that has ended is to be sent once more: `entry` is what [`TOLD`](super::TOLD) has of it. Answers its
    /// route.
    pub fn again(&mut self, entry: &str, now: Now) -> Result<(Box<str>, Vec<Effect>), CannotSend> {
        let told: Told = serde_json::from_str(entry).map_err(|_| CannotSend::Unreadable)?;
        let whole = told.whole.and_then(|whole| whole.saved(&told.id));
        let Saved { route, mut notification, .. } = whole.ok_or(CannotSend::Unreadable)?;
        if !self.routes.contains_key(&route) {
            return Err(CannotSend::NoRoute(route));
        }
        if told.end == End::Sent.word() {
            // A receiver that has it would take it for a copy.
            let at = now.wall.micros().to_le_bytes();
            notification.id = saved::id(&[notification.id.as_bytes(), &at]);
        }
        if self.outbox.has(&route, &notification.id) {
            return Err(CannotSend::Waits(route));
        }
        let mut effects = Vec::new();
        self.post(&route, notification, false, now, &mut effects);
        Ok((route, effects))
    }

    /// Whatever waits on the route of this name, or the one notification whose id begins so, is not to be
    /// sent. Answers its route, and how many that were.
    pub fn forgo(
        &mut self,
        what: &str,
        by: &str,
        now: Now,
    ) -> Result<(Box<str>, usize, Vec<Effect>), NotFound> {
        let is_route = self.routes.contains_key(what);
        let (route, id) = if is_route {
            (Box::from(what), None)
        } else {
            let (route, id) = self.outbox.find(what)?;
            (route, Some(id))
        };
        let done = self.outbox.forgo(&route, id.as_deref(), &format!("by {by}"));
        let (count, mut effects) = (done.len(), Vec::new());
        self.book.enter(done, now.wall, &mut effects);
        Ok((route, count, effects))
    }
}

/// The word of what is not over, where [`End::word`] has those of what is.
pub const WAITING: &str = "waiting";

/// The entries of [`OUTBOX`](super::OUTBOX) in the form of those that have ended, each with how its route is tried by
/// [`TRYING`](super::TRYING). Those of another version are left out.
pub fn waiting(outbox: &Entries, trying: &Entries) -> Vec<Told> {
    let trying: HashMap<&str, &str> = trying.iter().map(|(key, text)| (&**key, &**text)).collect();
    let waiting = |(id, text): &(Box<str>, Box<str>)| {
        let Saved { host, route, notification } = Saved::of_json(id, text)?;
        let trying = trying.get(&*trying_key(&route, &host));
        let trying: Option<Trying> = trying.and_then(|text| serde_json::from_str(text).ok());
        let (at, answer) = (notification.at, trying.as_ref().map_or("", |it| &it.answer).into());
        let done = Done { notification, route, end: End::Sent, answer, went_to: None };
        Some(Told { end: WAITING.to_owned(), trying, ..Told::of(&done, at) })
    };
    outbox.iter().filter_map(waiting).collect()
}

/// Entries of a list.
type Entries = [(Box<str>, Box<str>)];

/// The name of an entry of [`TRYING`](super::TRYING).
pub(super) fn trying_key(route: &str, host: &str) -> Box<str> {
    format!("{route}\n{host}").into()
}

/// The route and the host of such a name.
pub(super) fn of_trying_key(key: &str) -> Option<(&str, &str)> {
    key.split_once('\n')
}

/// Of what [`TOLD`](super::TOLD) has of notifications, the last whose id begins so; and whether there are others.
pub fn told_of<'a>(id: &str, entries: impl Iterator<Item = &'a str>) -> Result<&'a str, NotFound> {
    let mut found: Option<(String, &str)> = None;
    for entry in entries {
        let Ok(told) = serde_json::from_str::<Told>(entry) else { continue };
        if !is_beginning(id, &told.id) {
            continue;
        }
        match &found {
            Some((other, _)) if *other != told.id => return Err(NotFound::Several),
            _ => found = Some((told.id, entry)),
        }
    }
    found.map(|(_, entry)| entry).ok_or(NotFound::Unknown)
}
