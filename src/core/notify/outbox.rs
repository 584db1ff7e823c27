//! What is still to be sent: which notifications go together, and when they are tried.
//!
//! Each route has a queue of its own, so that one bad receiver holds up nobody else. The first
//! notification waits for others (`gather`), two messages are apart (`pause`), and what could not be
//! sent is tried again ([`delay`]) until it is [`OLD`]. While a route rests (`except`) all waits, and then
//! goes together. Everything is bounded: what a queue has no room for is counted and told as a number.
//!
//! Pure: times are arguments. Notifications are written down by `notifier`, not here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Message, Notification, Route, Wakeup};
use crate::core::event::RunId;
use crate::core::instant::{Instant, Mono, Now};
use crate::core::sort;

/// So many notifications a queue has room for.
pub const ROOM: usize = 1000;
/// So many all of them together.
pub const ROOM_IN_ALL: usize = 10_000;
/// What could not be delivered for so long is given up.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// What could not be delivered for so long goes to the route's fallback.
const FALL_BACK: Duration = Duration::from_secs(15 * 60);
/// How long a notification waits for the output of its run, which is nearly there.
const FOR_OUTPUT: Duration = Duration::from_secs(2);

/// What has become of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryResult {
    /// The receiver has it.
    Sent,
    /// It may take it later: not before so long, if it says.
    Again(Option<Duration>),
    /// It will never take it.
    Refused,
}

/// What has become of a part of a message, or of all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The id of a notification, or of the message.
    pub id: Box<str>,
    /// What has become of it.
    pub result: TryResult,
    /// What the receiver, or the network, has said.
    pub answer: Box<str>,
}

/// What becomes of a notification at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The receiver has it.
    Sent,
    /// The receiver does not want it.
    Refused,
    /// It could not be delivered for a day.
    GaveUp,
    /// There was no room for it, or its route is gone.
    Dropped,
}

/// A notification that has come to an end, or to another route.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The notification.
    pub notification: Notification,
    /// The route.
    pub route: Box<str>,
    /// How it ended here.
    pub end: End,
    /// What the receiver has said.
    pub answer: Box<str>,
    /// The route that has it now.
    pub went_to: Option<Box<str>>,
}

/// Why there is no notification that somebody means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// None has an id that begins so.
    Unknown,
    /// Several have.
    Several,
}

/// Whether an id may be meant by its beginning, which is long enough to mean one.
pub fn is_beginning(text: &str, id: &str) -> bool {
    text.len() >= 4 && id.starts_with(text)
}

/// How a queue is, for whoever asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waiting {
    /// How many notifications wait.
    pub count: usize,
    /// When the oldest of them was decided.
    pub oldest: Option<Instant>,
    /// How often the receiver has failed in a row, and what it said last.
    pub failed: Option<(u32, Box<str>)>,
}

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    queues: BTreeMap<Box<str>, Queue>,
    waiting: usize,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    waiting: VecDeque<Item>,
    /// How many had to go, and are to be told as a number.
    more: u64,
    /// What is being tried.
    flying: Option<Flying>,
    retry: Option<Retry>,
    /// When the next message may go at the earliest.
    free: Mono,
    /// The route rests until then, and something waits for that.
    held: Option<Instant>,
}

impl Queue {
    /// What waits or is being tried, the oldest first.
    fn notifications(&self) -> impl Iterator<Item = &Notification> {
        let flying = self.flying.iter().flat_map(Flying::notifications);
        flying.chain(self.waiting.iter().map(|item| &item.notification))
    }
}

#[derive(Clone, Debug)]
struct Item {
    notification: Notification,
    /// When it came, or would have come had the scheduler been there.
    since: Mono,
    /// It is not to be sent before.
    ready: Mono,
    /// The output of its run is to come.
    awaits_output: bool,
}

/// A message that is being tried.
#[derive(Clone, Debug)]
struct Flying {
    message: Message,
    /// What it tells.
    items: Vec<Item>,
    /// What it only counts.
    rest: Vec<Item>,
    /// See [`Queue::more`].
    more: u64,
}

impl Flying {
    fn notifications(&self) -> impl Iterator<Item = &Notification> {
        self.items.iter().chain(&self.rest).map(|item| &item.notification)
    }
}

/// What a try comes to, part by part.
#[derive(Debug)]
struct Landing {
    done: Vec<Done>,
    /// What is to be tried again.
    left: Vec<Item>,
    /// Not before so long, and what was said.
    again: Option<(Option<Duration>, Box<str>)>,
    /// How the last part ended that did.
    last: End,
}

impl Default for Landing {
    fn default() -> Landing {
        Landing { done: Vec::new(), left: Vec::new(), again: None, last: End::Sent }
    }
}

impl Landing {
    fn part(&mut self, route: &Route, message: &str, item: Item, tried: &[Tried], now: Mono) {
        let mut all = tried.iter();
        let found = all.find(|it| *it.id == *item.notification.id || &*it.id == message);
        let (result, answer) = match found {
            Some(Tried { result, answer, .. }) => (result.clone(), answer.clone()),
            // Nobody knows: it may have arrived, or not.
            None => (TryResult::Again(None), "there was no answer".into()),
        };
        let end = match result {
            TryResult::Sent => End::Sent,
            TryResult::Refused => End::Refused,
            TryResult::Again(_) if now.since(item.since) >= OLD => End::GaveUp,
            TryResult::Again(after) => {
                let longest = self.again.take().and_then(|(after, _)| after).max(after);
                self.again = Some((longest, answer));
                self.left.push(item);
                return;
            }
        };
        self.last = end;
        let went_to = route.fallback.clone().filter(|_| end != End::Sent);
        let (route, notification) = (route.name.clone(), item.notification);
        self.done.push(Done { notification, route, end, answer, went_to });
    }
}

#[derive(Clone, Debug)]
struct Retry {
    /// How often it has failed.
    failed: u32,
    next: Mono,
    answer: Box<str>,
}

/// How long until the next try after so many that failed, before `spread` is added: at once, then more
/// and more rarely.
pub(super) fn delay(failed: u32) -> Duration {
    const SECS: [u64; 6] = [5, 30, 120, 600, 3600, 3600];
    let place = (failed.max(1) - 1) as usize;
    Duration::from_secs(SECS.get(place).copied().unwrap_or(3600))
}

/// The same within a fifth of it, so that many hosts do not come together; always the same for one id.
pub(super) fn spread(delay: Duration, id: &str, failed: u32) -> Duration {
    let hash = super::saved::hash(&[id.as_bytes(), &failed.to_le_bytes()]);
    let micros = delay.as_micros();
    let shifted = micros * 4 / 5 + micros * 2 / 5 * (hash % 1001) / 1000;
    Duration::from_micros(u64::try_from(shifted).unwrap_or(u64::MAX))
}

/// So many bytes of the end of a text at most.
pub(super) fn end_of(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

impl Outbox {
    /// All that waits or is being tried, each with its route.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Notification)> {
        let each = self.queues.iter();
        each.flat_map(|(route, queue)| queue.notifications().map(move |it| (&**route, it)))
    }

    /// Takes a notification. Answers those that had to go for it, or itself.
    pub fn add(
        &mut self,
        route: &Route,
        notification: Notification,
        awaits_output: bool,
        now: Mono,
    ) -> Vec<Done> {
        self.put(route, notification, awaits_output, now, now)
    }

    /// Takes one that was written down by an earlier scheduler.
    pub fn restore(&mut self, route: &Route, notification: Notification, now: Now) -> Vec<Done> {
        // It does not become old while its route rests.
        let from = route.rests_until(notification.at).unwrap_or(notification.at);
        let age = now.wall.since(from);
        let since = Mono::from_micros(now.mono.micros().saturating_sub(age.as_micros() as u64));
        self.put(route, notification, false, since, now.mono)
    }

    fn put(
        &mut self,
        route: &Route,
        notification: Notification,
        awaits_output: bool,
        since: Mono,
        now: Mono,
    ) -> Vec<Done> {
        let full = self.waiting >= ROOM_IN_ALL;
        let queue = self.queues.entry(route.name.clone()).or_default();
        let mut gone = Vec::new();
        let mut ready = now.plus(route.gather);
        if full || queue.waiting.len() >= ROOM {
            // The oldest of the least important; of those, the new one is the youngest.
            let least = queue.waiting.iter().map(|item| item.notification.kind).max();
            let place = queue.waiting.iter().position(|item| Some(item.notification.kind) == least);
            let spare = match place.filter(|_| least >= Some(notification.kind)) {
                Some(place) => queue.waiting.remove(place),
                None => None,
            };
            let Some(spare) = spare else { return vec![queue.no_room(route, notification)] };
            self.waiting -= 1;
            // However many come, they are told in time.
            ready = ready.min(spare.ready);
            gone.push(queue.no_room(route, spare.notification));
        }
        queue.waiting.push_back(Item { notification, since, ready, awaits_output });
        self.waiting += 1;
        gone
    }

    /// The end of what a run has printed. Answers the notifications that have it now.
    pub fn output(
        &mut self,
        run: RunId,
        output: &str,
        routes: &BTreeMap<Box<str>, Route>,
    ) -> Vec<(Box<str>, &Notification)> {
        let mut found = Vec::new();
        for (route, queue) in &mut self.queues {
            let Some(most) = routes.get(route).map(|route| route.output) else { continue };
            let output = end_of(output, most);
            for item in queue.waiting.iter_mut().filter(|it| it.notification.run == Some(run)) {
                if std::mem::take(&mut item.awaits_output) && !output.is_empty() {
                    item.notification.output = Some(output.into());
                    found.push((route.clone(), &item.notification));
                }
            }
        }
        found
    }

    /// When there is something to do.
    pub fn next_wakeup(&self, routes: &BTreeMap<Box<str>, Route>) -> Wakeup {
        let mut wakeup = Wakeup::default();
        for (name, queue) in &self.queues {
            match (queue.held, routes.get(name)) {
                (Some(until), _) => {
                    wakeup.wall = [wakeup.wall, Some(until)].into_iter().flatten().min();
                }
                (None, Some(route)) => {
                    let each = [wakeup.mono, queue.falls_back_at(route), queue.goes_at()];
                    wakeup.mono = each.into_iter().flatten().min();
                }
                (None, None) => {}
            }
        }
        wakeup
    }

    /// The messages that are to be tried now, and what could not be delivered for too long.
    pub fn due(
        &mut self,
        routes: &BTreeMap<Box<str>, Route>,
        now: Now,
    ) -> (Vec<Message>, Vec<Done>) {
        let (mut messages, mut moved) = (Vec::new(), Vec::new());
        for (name, queue) in &mut self.queues {
            let Some(route) = routes.get(name) else { continue };
            let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= now.mono);
            if !is_due(queue.falls_back_at(route)) && !is_due(queue.goes_at()) {
                continue;
            }
            if queue.rests(route, now) {
                continue;
            }
            if is_due(queue.falls_back_at(route)) {
                moved.extend(queue.fall_back(route, now.mono));
            }
            if is_due(queue.goes_at()) {
                messages.extend(queue.take(route));
            }
        }
        self.count();
        (messages, moved)
    }

    /// What has become of a message. Nothing is said of a part that is to be tried again.
    pub fn tried(&mut self, route: &Route, message: &str, tried: &[Tried], now: Mono) -> Vec<Done> {
        let Some(queue) = self.queues.get_mut(&route.name) else { return Vec::new() };
        let Some(flying) = queue.flying.take_if(|flying| &*flying.message.id == message) else {
            return Vec::new();
        };
        let done = queue.landed(route, flying, tried, now);
        self.count();
        done
    }

    /// Routes may rest at other times than before.
    pub fn look_again(&mut self) {
        self.queues.values_mut().for_each(|queue| queue.held = None);
    }

    /// Takes away what waits on a route that is no more.
    pub fn clear(&mut self, route: &str, why: &str) -> Vec<Done> {
        let Some(mut queue) = self.queues.remove(route) else { return Vec::new() };
        // What is being tried may still arrive; nobody will hear of that.
        let flying = queue.flying.take();
        let flying = flying.map(|flying| [flying.items, flying.rest].concat()).unwrap_or_default();
        let all = flying.into_iter().chain(queue.waiting).map(|item| item.notification);
        let done = all.map(|it| dropped(route, it, why)).collect();
        self.count();
        done
    }

    /// The route and the id of the one notification that waits and whose id begins so.
    pub fn find(&self, beginning: &str) -> Result<(Box<str>, Box<str>), NotFound> {
        let each = self.queues.keys().flat_map(|route| {
            let all = self.notifications(route).into_iter();
            all.map(move |notification| (route, &notification.id))
        });
        let mut found = each.filter(|(_, id)| is_beginning(beginning, id));
        let (route, id) = found.next().ok_or(NotFound::Unknown)?;
        match found.next() {
            None => Ok((route.clone(), id.clone())),
            Some(_) => Err(NotFound::Several),
        }
    }

    /// Whether this notification waits on a route.
    pub fn has(&self, route: &str, id: &str) -> bool {
        self.notifications(route).iter().any(|notification| *notification.id == *id)
    }

    /// Takes away what waits on a route, or one notification of it. What is being tried may still arrive.
    pub fn forgo(&mut self, route: &str, id: Option<&str>, why: &str) -> Vec<Done> {
        let Some(queue) = self.queues.get_mut(route) else { return Vec::new() };
        let goes = |item: &mut Item| id.is_none_or(|id| *item.notification.id == *id);
        let mut gone: Vec<Item> = Vec::new();
        if let Some(flying) = &mut queue.flying {
            gone.extend(flying.items.extract_if(.., goes));
            gone.extend(flying.rest.extract_if(.., goes));
        }
        let (forgone, stays) = queue
            .waiting
            .drain(..)
            .partition::<Vec<Item>, _>(|item| id.is_none_or(|id| *item.notification.id == *id));
        queue.waiting = stays.into();
        gone.extend(forgone);
        if id.is_none() {
            queue.more = 0;
        }
        self.count();
        gone.into_iter().map(|item| dropped(route, item.notification, why)).collect()
    }

    /// How the queue of a route is.
    pub fn waiting(&self, route: &str) -> Waiting {
        let all = self.notifications(route);
        let retry = self.queues.get(route).and_then(|queue| queue.retry.as_ref());
        Waiting {
            count: all.len(),
            oldest: all.iter().map(|notification| notification.at).min(),
            failed: retry.map(|retry| (retry.failed, retry.answer.clone())),
        }
    }

    /// How often the receiver of a route has failed in a row, what it said last, and when it is tried again, if it
    /// fails.
    pub fn failing(&self, route: &str) -> Option<(u32, &str, Mono)> {
        let retry = self.queues.get(route)?.retry.as_ref()?;
        Some((retry.failed, &retry.answer, retry.next))
    }

    /// What waits on a route, the oldest first.
    fn notifications(&self, route: &str) -> Vec<&Notification> {
        self.queues.get(route).into_iter().flat_map(Queue::notifications).collect()
    }

    fn count(&mut self) {
        self.waiting = self.queues.values().map(|queue| queue.waiting.len()).sum();
    }
}

fn dropped(route: &str, notification: Notification, why: &str) -> Done {
    let (route, answer) = (route.into(), why.into());
    Done { notification, route, end: End::Dropped, answer, went_to: None }
}

impl Queue {
    /// One has to go. Where the receiver fails another one may take it; else it is counted.
    fn no_room(&mut self, route: &Route, notification: Notification) -> Done {
        let went_to = route.fallback.clone().filter(|_| self.retry.is_some());
        self.more += u64::from(went_to.is_none());
        Done { went_to, ..dropped(&route.name, notification, "there was no room for it") }
    }

    /// When its next message is to go; `None`: there is none, or one is on its way.
    fn goes_at(&self) -> Option<Mono> {
        if self.flying.is_some() {
            return None;
        }
        let first = self.waiting.iter().map(|item| item.ready).min()?;
        let retry = self.retry.as_ref().map(|retry| retry.next);
        let due = [Some(first), retry, Some(self.free)].into_iter().flatten().max()?;
        let outputs = self.waiting.iter().filter(|item| item.awaits_output);
        let complete = outputs.map(|item| item.since.plus(FOR_OUTPUT)).max();
        // There may always be one whose output is to come.
        Some(complete.map_or(due, |complete| due.max(complete.min(due.plus(FOR_OUTPUT)))))
    }

    /// Whether its route rests, so that what is due waits for the end of that.
    fn rests(&mut self, route: &Route, now: Now) -> bool {
        let was_held = self.held.is_some();
        self.held = route.rests_until(now.wall);
        if was_held && self.held.is_none() {
            // It could not have been delivered before.
            self.waiting.iter_mut().for_each(|item| item.since = item.since.max(now.mono));
        }
        self.held.is_some()
    }

    /// When the first of what waits goes to the fallback, if the receiver is failing.
    fn falls_back_at(&self, route: &Route) -> Option<Mono> {
        if self.retry.is_none() || route.fallback.is_none() || self.flying.is_some() {
            return None;
        }
        self.waiting.iter().map(|item| item.since.plus(FALL_BACK)).min()
    }

    fn fall_back(&mut self, route: &Route, now: Mono) -> Vec<Done> {
        let answer = self.retry.as_ref().map(|retry| retry.answer.clone()).unwrap_or_default();
        let (old, young) =
            self.waiting.drain(..).partition::<Vec<Item>, _>(|it| now.since(it.since) >= FALL_BACK);
        self.waiting = young.into();
        let moved = |item: Item| Done {
            notification: item.notification,
            route: route.name.clone(),
            end: End::GaveUp,
            answer: answer.clone(),
            went_to: route.fallback.clone(),
        };
        old.into_iter().map(moved).collect()
    }

    /// Makes a message of what waits.
    fn take(&mut self, route: &Route) -> Option<Message> {
        let mut items: Vec<Item> = self.waiting.drain(..).collect();
        if route.to.counts_the_rest() {
            // What is bad comes first; the order among equals stays.
            sort::by_key(&mut items, |item| item.notification.kind);
        }
        let rest = items.split_off(route.most.max(1).min(items.len()));
        let (rest, more) = if route.to.counts_the_rest() {
            (rest, std::mem::take(&mut self.more))
        } else {
            self.waiting = rest.into();
            (Vec::new(), 0)
        };
        let counted = more + rest.len() as u64;
        let notifications: Vec<Notification> =
            items.iter().map(|item| item.notification.clone()).collect();
        let at = notifications.iter().map(|notification| notification.at).min()?;
        let id = match &*notifications {
            [alone] if counted == 0 => alone.id.clone(),
            all => {
                let ids: Vec<&[u8]> = all.iter().map(|it| it.id.as_bytes()).collect();
                super::saved::id(&[&ids[..], &[&counted.to_le_bytes()[..]]].concat())
            }
        };
        let message = Message { id, route: route.name.clone(), at, notifications, more: counted };
        self.flying = Some(Flying { message: message.clone(), items, rest, more });
        Some(message)
    }

    /// What was tried has come to something.
    fn landed(&mut self, route: &Route, flying: Flying, tried: &[Tried], now: Mono) -> Vec<Done> {
        let Flying { message, items, rest, more } = flying;
        let mut landing = Landing::default();
        for item in items {
            landing.part(route, &message.id, item, tried, now);
        }
        if landing.left.is_empty() {
            // They were told as a number.
            landing.done.extend(rest.into_iter().map(|item| Done {
                notification: item.notification,
                route: route.name.clone(),
                end: landing.last,
                answer: "as one of those that were only counted".into(),
                went_to: None,
            }));
        } else {
            landing.left.extend(rest);
            self.more += more;
        }
        for item in landing.left.into_iter().rev() {
            self.waiting.push_front(item);
        }
        self.free = now.plus(route.pause);
        let failed = self.retry.take().map_or(0, |retry| retry.failed).saturating_add(1);
        self.retry = landing.again.map(|(after, answer)| {
            let wait = spread(delay(failed), &message.id, failed).max(after.unwrap_or_default());
            Retry { failed, next: now.plus(wait), answer }
        });
        landing.done
    }
}

#[cfg(test)]
mod tests;
