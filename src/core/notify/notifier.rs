//! All there is to telling people, as the scheduler's loop and the simulation use it.
//!
//! Pure: a [`Notifier`] is shown each [`Action`] of the scheduler and answers with [`Effect`]s, which
//! are to be done in the same transaction as what the action itself has written. When it wants to be
//! called if nothing happens says [`Notifier::next_wakeup`]. What is counted while much happens at once is
//! written once: [`Notifier::flush`].
//!
//! `compose` makes notifications, `states` knows what was told of which job, `expected` until when a success is
//! expected, `left` takes what other hosts have left, and `asked` is what people ask about those that wait and those
//! that have ended.

mod asked;
mod compose;
mod expected;
mod left;
mod states;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::asked::{CannotSend, WAITING, told_of, waiting};
use self::compose::About;
use self::expected::Expected;
pub use self::left::Left;
use self::states::States;
use super::digest::{Digests, Failing};
use super::log::{Book, Ends, Trying};
use super::outbox::{Done, End, Outbox, Tried, Waiting};
use super::saved::{self, Saved};
use super::state::{self, JobEvent};
use super::{Kind, Message, Notification, Route, Wakeup};
use crate::core::event::{Action, Notice, Record, Remember, RunId, UnusualRun};
use crate::core::fleet::own;
use crate::core::habit::slow::SlowRun;
use crate::core::instant::{Instant, Now};
use crate::core::job::Job;
use crate::core::outcome::Outcome;
use crate::core::sort;
use crate::core::streak::Streak;

/// The lists of a store in which a notifier keeps what is to survive.
pub const LISTS: [&str; 5] = [OUTBOX, STATES, TOLD, DIGESTS, TRYING];
/// What is to be sent: by the id of the notification.
pub const OUTBOX: &str = "notify.outbox";
/// What was told of jobs: by route and job, and by host where each host has its own.
pub const STATES: &str = "notify.state";
/// What digests will say: by route and host.
pub const DIGESTS: &str = "notify.digest";
/// Routes whose receivers fail: by route and host.
pub const TRYING: &str = "notify.trying";
/// What has become of notifications: by time and id.
pub const TOLD: &str = "notify.told";

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// An entry of a list is to be written, or with `None` to be deleted.
    Write(&'static str, Box<str>, Option<Box<str>>),
    /// A message is to be tried: answered by [`Notifier::tried`].
    Send(Message),
    /// Something is worth a line in the log.
    Say(Said),
}

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A route has begun to fail.
    Failing {
        /// The route.
        route: Box<str>,
        /// What its receiver, or the network, has said.
        answer: Box<str>,
    },
    /// It works again.
    Works {
        /// The route.
        route: Box<str>,
    },
    /// Notifications did not arrive, and will not by this route.
    Lost {
        /// The route.
        route: Box<str>,
        /// How many.
        count: usize,
        /// How they ended.
        end: End,
        /// What was said.
        answer: Box<str>,
        /// The route that has them now.
        went_to: Option<Box<str>>,
    },
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Notifier {
    host: Box<str>,
    /// What tells ids of this scheduler from those of others.
    seed: Box<str>,
    routes: BTreeMap<Box<str>, Route>,
    states: States,
    outbox: Outbox,
    book: Book,
    expected: Expected,
    digests: Digests,
    /// What [`TRYING`] has of routes that are tried from here.
    trying: BTreeMap<Box<str>, Box<str>>,
}

impl Notifier {
    /// A notifier of this host; `seed` tells its store from those of other schedulers.
    pub fn new(host: &str, seed: &str, routes: Vec<Route>) -> Notifier {
        Notifier {
            host: host.into(),
            seed: seed.into(),
            routes: by_name(routes),
            digests: Digests::new(host),
            ..Notifier::default()
        }
    }

    /// Others share its store: what was told of a job that runs on every host is this host's alone.
    pub fn share(&mut self) {
        self.states.share(&self.host);
    }

    /// Whether there is nobody to tell anything, and nothing to tell.
    pub fn is_idle(&self) -> bool {
        self.routes.is_empty() && self.states.is_empty()
    }

    /// What an earlier scheduler has left, list by list. What is for another host is left to it. `runs_on_all`:
    /// whether a job is one that runs on every host.
    pub fn restore(
        &mut self,
        list: &str,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        runs_on_all: &dyn Fn(&str) -> bool,
        now: Now,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if list == STATES {
            let routes = &self.routes;
            self.states.restore(entries, runs_on_all, &|route, _| routes.contains_key(route));
            return effects;
        }
        for (key, value) in entries {
            match list {
                TOLD => self.book.restore(key),
                DIGESTS => self.digests.restore(&key, &value),
                TRYING => match asked::of_trying_key(&key) {
                    Some((route, host)) if *host == *self.host => {
                        self.trying.insert(route.into(), value);
                        if !self.routes.contains_key(route) {
                            self.note_trying(route, None, &mut effects);
                        }
                    }
                    _ => {}
                },
                OUTBOX => {
                    let Some(saved) = Saved::of_json(&key, &value) else { continue };
                    if saved.host != self.host {
                        continue;
                    }
                    let done = match self.routes.get(&saved.route) {
                        Some(route) => self.outbox.restore(route, saved.notification, now),
                        None => vec![Done {
                            notification: saved.notification,
                            route: saved.route,
                            end: End::Dropped,
                            answer: NO_ROUTE.into(),
                            went_to: None,
                        }],
                    };
                    self.end(done, now, &mut effects);
                }
                _ => {}
            }
        }
        effects
    }

    /// Begins, once all of that is known.
    pub fn begin(&mut self, now: Now) {
        self.digests.follow(&self.routes, now.wall);
    }

    /// Another host decides what becomes of a job: what was told of it is known there.
    pub fn leave(&mut self, job: &str) {
        self.expected.forget(job);
        self.states.leave(job);
    }

    /// Other routes than before. What waits on one that is gone is dropped.
    pub fn set_routes(&mut self, routes: Vec<Route>, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let before = std::mem::replace(&mut self.routes, by_name(routes));
        self.outbox.look_again();
        let gone = before.into_keys().filter(|name| !self.routes.contains_key(name));
        let gone: Vec<Box<str>> = gone.collect();
        for name in &gone {
            let done = self.outbox.clear(name, NO_ROUTE);
            self.book.enter(done, now.wall, &mut effects);
            self.note_trying(name, None, &mut effects);
        }
        effects.extend(self.states.follow(&self.routes));
        self.digests.follow(&self.routes, now.wall);
        effects
    }

    /// A success of the job is expected, `from` being when it last had one, or was first known.
    pub fn expect(&mut self, job: &Arc<Job>, from: Instant) {
        let Some(expect) = job.options.expect else { return };
        let mut routes = job.options.notify.iter().filter_map(|name| self.routes.get(name));
        if routes.any(|route| route.wants(Kind::Overdue)) {
            self.expected.set(job, from.plus(expect));
        }
    }

    /// An action of the scheduler. `streak`: how many runs of its job have failed in a row, with or before
    /// this one. `awaits_output`: the end of what its run has printed is to come.
    pub(crate) fn hear(
        &mut self,
        now: Now,
        action: &Action,
        streak: Streak,
        awaits_output: bool,
    ) -> Vec<Effect> {
        match action {
            Action::Record(record) => self.record(now, record, streak, awaits_output),
            Action::Notice(Notice::Retrying { run, job, outcome, attempt, .. }) => {
                let about = About {
                    run: Some(*run),
                    outcome: Some(outcome.clone()),
                    attempts: attempt.saturating_sub(1),
                    ..About::at(now.wall)
                };
                self.tell(now, job, JobEvent::Retrying, &about, false)
            }
            Action::Remember(Remember::Gone(job)) => self.forget(job),
            Action::Remember(Remember::Job(job) | Remember::Learned(job))
                if job.pause.is_some() =>
            {
                self.forget(&job.id)
            }
            _ => Vec::new(),
        }
    }

    fn record(
        &mut self,
        now: Now,
        record: &Record,
        streak: Streak,
        awaits_output: bool,
    ) -> Vec<Effect> {
        let job = &record.job;
        if job.options.notify.is_empty() {
            return Vec::new();
        }
        let how;
        let event = match &record.outcome {
            Outcome::Succeeded => JobEvent::Succeeded,
            Outcome::Missed(_) => JobEvent::Missed,
            Outcome::Skipped(_) => JobEvent::Skipped,
            // Another due time stands for it.
            Outcome::Coalesced => return Vec::new(),
            Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::OverLimit(..)
            | Outcome::TimedOut
            | Outcome::NotStarted(_)
            | Outcome::Lost(_) => {
                how = record.outcome.manner();
                JobEvent::Failed(&how)
            }
        };
        if event == JobEvent::Succeeded {
            self.expect(job, now.wall);
        }
        self.digests.count(record);
        self.tell(now, job, event, &About::record(record, streak), awaits_output)
    }

    /// A run takes longer than it should.
    pub(crate) fn slow(&mut self, now: Now, slow: &SlowRun) -> Vec<Effect> {
        let about = About {
            run: Some(slow.run),
            started: Some(slow.started),
            duration: Some(now.wall.since(slow.started)),
            usual: slow.usual,
            ..About::at(slow.due)
        };
        self.tell(now, &slow.job, JobEvent::Slow, &about, false)
    }

    /// A run is out of the ordinary: in one way, or in both.
    pub(crate) fn unusual(&mut self, now: Now, found: &UnusualRun) -> Vec<Effect> {
        let about = About {
            run: Some(found.run),
            started: found.started,
            duration: Some(found.took),
            outcome: Some(Outcome::Succeeded),
            ..About::at(found.due)
        };
        let mut effects = Vec::new();
        if let Some(quiet) = found.unusual.quiet {
            let about = About { printed: Some((quiet.printed, quiet.usual)), ..about.clone() };
            effects.extend(self.tell(now, &found.job, JobEvent::Quiet, &about, false));
        }
        if let Some(fast) = found.unusual.fast {
            let about = About { usual: Some(fast.usual), ..about };
            effects.extend(self.tell(now, &found.job, JobEvent::Fast, &about, false));
        }
        effects
    }

    /// Tells each route of the job what it is to hear.
    fn tell(
        &mut self,
        now: Now,
        job: &Job,
        event: JobEvent<'_>,
        about: &About,
        awaits_output: bool,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for name in &job.options.notify {
            let Some(route) = self.routes.get(name) else { continue };
            // Nearly always all is well, and that is no news.
            let is_well = event == JobEvent::Succeeded && !self.states.has(&job.id, name);
            if is_well && !route.wants(Kind::Succeeded) {
                continue;
            }
            let heard = (now.wall, event, about.streak.runs);
            let news = self.states.hear(heard, job, route, &mut effects);
            let Some((kind, begun_on)) = news else { continue };
            let notification = Notification {
                begun_on,
                ..about.notification(now.wall, job, name, kind, &self.seed)
            };
            let awaits = awaits_output && notification.run.is_some() && route.output > 0;
            self.post(name, notification, awaits, now, &mut effects);
        }
        effects
    }

    /// Puts a notification into the queue of a route.
    fn post(
        &mut self,
        name: &str,
        notification: Notification,
        awaits_output: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(route) = self.routes.get(name) else { return };
        effects.push(self.write(name, &notification));
        let gone = self.outbox.add(route, notification, awaits_output, now.mono);
        self.end(gone, now, effects);
    }

    fn write(&self, route: &str, notification: &Notification) -> Effect {
        let saved = Saved {
            host: self.host.clone(),
            route: route.into(),
            notification: notification.clone(),
        };
        Effect::Write(OUTBOX, notification.id.clone(), Some(saved.to_json().into()))
    }

    /// The end of what a run has printed.
    pub fn output(&mut self, run: RunId, output: &str) -> Vec<Effect> {
        let (outbox, host) = (&mut self.outbox, &self.host);
        let with = outbox.output(run, output, &self.routes);
        let write = |(route, notification): (Box<str>, &Notification)| {
            let saved = Saved { host: host.clone(), route, notification: notification.clone() };
            Effect::Write(OUTBOX, notification.id.clone(), Some(saved.to_json().into()))
        };
        with.into_iter().map(write).collect()
    }

    /// The job is gone, or paused: nobody is told that it is well, nor that it is not.
    fn forget(&mut self, job: &str) -> Vec<Effect> {
        self.expected.forget(job);
        self.states.forget(job)
    }

    /// When there is something to do.
    pub fn next_wakeup(&self) -> Wakeup {
        let Wakeup { mono, wall } = self.outbox.next_wakeup(&self.routes);
        let others = [self.expected.next(), self.digests.next(&self.routes)];
        Wakeup { mono, wall: others.into_iter().chain([wall]).flatten().min() }
    }

    /// Does what is due. `failing`: the jobs that fail now, as a digest has them.
    pub(crate) fn wake(&mut self, now: Now, failing: &Failing<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some((deadline, job)) = self.expected.take_overdue(now.wall) {
            effects.extend(self.tell(now, &job, JobEvent::Overdue, &About::at(deadline), false));
        }
        for (route, tally) in self.digests.take_due(&self.routes, now.wall, failing) {
            let digest = compose::digest(tally, now.wall, &route, &self.seed);
            self.post(&route, digest, false, now, &mut effects);
        }
        let (messages, moved) = self.outbox.due(&self.routes, now);
        self.end(moved, now, &mut effects);
        effects.extend(messages.into_iter().map(Effect::Send));
        effects
    }

    /// What was counted since the last time. To be written with what was heard since then.
    pub fn flush(&mut self) -> Vec<Effect> {
        self.digests.flush()
    }

    /// All that is known, for a store that knows nothing; of jobs, those that are at home here. What has become of
    /// notifications is history, and not known here.
    pub fn remember(&mut self, is_home: &dyn Fn(&str) -> bool) -> Vec<Effect> {
        let waiting = self.outbox.all().map(|(route, it)| self.write(route, it));
        let mut effects: Vec<Effect> = waiting.collect();
        effects.extend(self.states.remember(is_home));
        let trying = self.trying.iter().map(|(route, text)| {
            Effect::Write(TRYING, asked::trying_key(route, &self.host), Some(text.clone()))
        });
        effects.extend(trying);
        self.digests.remember();
        effects.extend(self.digests.flush());
        effects
    }

    /// What has become of a message. What it is silent about is tried again.
    pub fn tried(&mut self, message: &Message, tried: &[Tried], now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(route) = self.routes.get(&message.route) else { return effects };
        let before = self.outbox.waiting(&route.name).failed.is_some();
        let done = self.outbox.tried(route, &message.id, tried, now.mono);
        let after = self.outbox.waiting(&route.name).failed;
        let route = route.name.clone();
        let trying = self.outbox.failing(&route).map(|(failed, answer, next)| {
            let next = now.wall.plus(next.since(now.mono)).micros();
            Trying { failed, answer: answer.to_owned(), next }
        });
        self.note_trying(&route, trying, &mut effects);
        match after {
            Some((_, answer)) if !before => {
                effects.push(Effect::Say(Said::Failing { route, answer }))
            }
            None if before => effects.push(Effect::Say(Said::Works { route })),
            _ => {}
        }
        self.end(done, now, &mut effects);
        effects
    }

    /// How a route is tried, if its receiver fails.
    fn note_trying(&mut self, route: &str, trying: Option<Trying>, effects: &mut Vec<Effect>) {
        let key = asked::trying_key(route, &self.host);
        match trying {
            Some(trying) => {
                // Strings and numbers can always be written.
                let text: Box<str> = serde_json::to_string(&trying).unwrap_or_default().into();
                self.trying.insert(route.into(), text.clone());
                effects.push(Effect::Write(TRYING, key, Some(text)));
            }
            None if self.trying.remove(route).is_some() => {
                effects.push(Effect::Write(TRYING, key, None));
            }
            None => {}
        }
    }

    /// The routes, by name.
    pub fn routes(&self) -> &BTreeMap<Box<str>, Route> {
        &self.routes
    }

    /// How the queue of a route is.
    pub fn waiting(&self, route: &str) -> Waiting {
        self.outbox.waiting(route)
    }

    /// How notifications of a route have ended since the start.
    pub fn ends(&self, route: &str) -> Ends {
        self.book.ends(route)
    }

    /// Notifications have come to an end, or go to another route.
    fn end(&mut self, done: Vec<Done>, now: Now, effects: &mut Vec<Effect>) {
        let mut done = done;
        // Fallbacks do not lead back to where they begin.
        while !done.is_empty() {
            let moved: Vec<(Box<str>, Notification)> = done
                .iter()
                .filter_map(|done| Some((done.went_to.clone()?, done.notification.clone())))
                .collect();
            say_lost(&done, effects);
            self.book.enter(done, now.wall, effects);
            let each = moved.into_iter();
            done = each.flat_map(|(to, it)| self.post_moved(&to, it, now, effects)).collect();
        }
    }

    /// What could not be delivered on one route goes to another: there it is something new. Answers what had to
    /// go for it.
    fn post_moved(
        &mut self,
        name: &str,
        mut notification: Notification,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Vec<Done> {
        let Some(route) = self.routes.get(name) else { return Vec::new() };
        let id = saved::id(&[notification.id.as_bytes(), name.as_bytes()]);
        notification.id = id;
        effects.push(self.write(name, &notification));
        self.outbox.add(route, notification, false, now.mono)
    }
}

/// The name of an entry of [`STATES`]; `host`: of a job of which each host has its own.
pub fn state_key(route: &str, job: &str, host: Option<&str>) -> Box<str> {
    let key = state::key(route, job);
    host.map_or_else(|| key.clone(), |host| own::key(&key, host))
}

const NO_ROUTE: &str = "the jobfile has no such route any more";

fn by_name(routes: Vec<Route>) -> BTreeMap<Box<str>, Route> {
    sort::collect(routes.into_iter().map(|route| (route.name.clone(), route)))
}

/// One line for all that ended alike.
fn say_lost(done: &[Done], effects: &mut Vec<Effect>) {
    let lost = done.iter().filter(|done| done.end != End::Sent);
    let mut kinds: BTreeMap<(&str, &str), (usize, &Done)> = BTreeMap::new();
    for done in lost {
        kinds.entry((&done.route, done.end.word())).or_insert((0, done)).0 += 1;
    }
    for (count, done) in kinds.into_values() {
        effects.push(Effect::Say(Said::Lost {
            route: done.route.clone(),
            count,
            end: done.end,
            answer: done.answer.clone(),
            went_to: done.went_to.clone(),
        }));
    }
}

#[cfg(test)]
mod tests;
