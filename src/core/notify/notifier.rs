//! All there is to telling people, as the scheduler's loop and the simulation use it.
//!
//! Pure: a [`Notifier`] is shown each [`Action`] of the scheduler and answers with [`Effect`]s, which
//! are to be done in the same transaction as what the action itself has written. When it wants to be
//! called if nothing happens says [`Notifier::next_wakeup`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::digest::Tally;
use super::log::{Book, Ends, Told};
use super::outbox::{Done, End, NotFound, Outbox, Tried, Waiting, is_beginning};
use super::saved::{self, Saved};
use super::state::{self, JobEvent, State};
use super::{Kind, Message, Notification, Route, Wakeup};
use crate::core::event::{Action, Notice, Record, Remember, RunId};
use crate::core::instant::{Instant, Now};
use crate::core::job::Job;
use crate::core::outcome::Outcome;
use crate::core::slow::SlowRun;
use crate::core::streak::Streak;

/// The lists of a store in which a notifier keeps what is to survive.
pub const LISTS: [&str; 4] = [OUTBOX, STATES, TOLD, DIGESTS];
/// What is to be sent: by the id of the notification.
pub const OUTBOX: &str = "notify.outbox";
/// What was told of jobs: by route and job.
pub const STATES: &str = "notify.state";
/// What digests will say: by route and host.
pub const DIGESTS: &str = "notify.digest";
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

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Notifier {
    host: Box<str>,
    /// What tells ids of this scheduler from those of others.
    seed: Box<str>,
    routes: BTreeMap<Box<str>, Route>,
    /// By job and route. Names of jobs may be chosen by whoever may add jobs.
    states: HashMap<Box<str>, BTreeMap<Box<str>, State>>,
    outbox: Outbox,
    book: Book,
    /// Jobs of which a success is expected: until when.
    expected: HashMap<Box<str>, (Instant, Arc<Job>)>,
    deadlines: BTreeSet<(Instant, Box<str>)>,
    /// What the digests of routes will say.
    tallies: BTreeMap<Box<str>, Tally>,
}

impl Notifier {
    /// A notifier of this host; `seed` tells its store from those of other schedulers.
    pub fn new(host: &str, seed: &str, routes: Vec<Route>) -> Notifier {
        let mut notifier = Notifier { host: host.into(), seed: seed.into(), ..Notifier::default() };
        notifier.routes = by_name(routes);
        notifier
    }

    /// Whether there is nobody to tell anything, and nothing to tell.
    pub fn is_idle(&self) -> bool {
        self.routes.is_empty() && self.states.is_empty()
    }

    /// What an earlier scheduler has left, list by list. What is for another host is left to it.
    pub fn restore(
        &mut self,
        list: &str,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        now: Now,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (key, value) in entries {
            match list {
                STATES => self.restore_state(&key, &value),
                TOLD => self.book.restore(key),
                DIGESTS => {
                    let (route, host) = state::of_key(&key).unwrap_or_default();
                    if host == &*self.host
                        && let Ok(tally) = serde_json::from_str(&value)
                    {
                        self.tallies.insert(route.into(), tally);
                    }
                }
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

    /// Digests begin to be counted, unless they were by an earlier scheduler.
    pub fn begin(&mut self, now: Now) -> Vec<Effect> {
        let (routes, mut effects) = (&self.routes, Vec::new());
        let has_digest = |name: &str| routes.get(name).is_some_and(|it| it.digest.is_some());
        let host = &self.host;
        self.tallies.retain(|name, _| {
            let stays = has_digest(name);
            if !stays {
                effects.push(Effect::Write(DIGESTS, state::key(name, host), None));
            }
            stays
        });
        let known = &self.tallies;
        let new = routes.values().filter(|route| route.digest.is_some());
        let new = new.map(|route| &route.name).filter(|name| !known.contains_key(*name));
        for name in new.cloned().collect::<Vec<_>>() {
            self.tallies.insert(name.clone(), Tally::new(now.wall));
            effects.push(self.write_tally(&name));
        }
        effects
    }

    fn write_tally(&self, route: &str) -> Effect {
        let tally = self.tallies.get(route);
        let text = tally.map(|tally| serde_json::to_string(tally).unwrap_or_default().into());
        Effect::Write(DIGESTS, state::key(route, &self.host), text)
    }

    /// When the digest of a route is due.
    fn digest_at(&self, name: &str) -> Option<Instant> {
        let (route, tally) = (self.routes.get(name)?, self.tallies.get(name)?);
        let since = Instant::from_micros(tally.since);
        Some(route.digest.as_ref()?.next_after(since, &route.zone))
    }

    /// Posts the digests that are due.
    fn digest(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let is_due = |name: &str| self.digest_at(name).is_some_and(|at| at <= now.wall);
        let names = self.tallies.keys();
        let due: Vec<Box<str>> = names.filter(|name| is_due(name)).cloned().collect();
        for name in due {
            let Some(tally) = self.tallies.get_mut(&name) else { continue };
            let tally = tally.end(now.wall);
            effects.push(self.write_tally(&name));
            let since = tally.since.to_le_bytes();
            let parts = [self.seed.as_bytes(), name.as_bytes(), b"digest", &since[..]];
            let about = About::at(Instant::from_micros(tally.since));
            let notification = Notification {
                id: saved::id(&parts),
                kind: Kind::Digest,
                job: "".into(),
                name: None,
                run: None,
                due: about.due,
                last_due: now.wall,
                count: tally.runs(),
                at: now.wall,
                started: None,
                duration: None,
                usual: None,
                digest: Some(Box::new(tally)),
                attempts: 0,
                outcome: None,
                streak: 0,
                since: None,
                output: None,
            };
            self.post(&name, notification, false, now, effects);
        }
    }

    fn restore_state(&mut self, key: &str, value: &str) {
        let (Some((route, job)), Ok(state)) = (state::of_key(key), serde_json::from_str(value))
        else {
            return;
        };
        if self.routes.contains_key(route) {
            self.states.entry(job.into()).or_default().insert(route.into(), state);
        }
    }

    /// Other routes than before. What waits on one that is gone is dropped.
    pub fn set_routes(&mut self, routes: Vec<Route>, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let before = std::mem::replace(&mut self.routes, by_name(routes));
        self.outbox.look_again();
        for name in before.keys().filter(|name| !self.routes.contains_key(*name)) {
            let done = self.outbox.clear(name, NO_ROUTE);
            self.book.enter(done, now.wall, &mut effects);
        }
        for (job, states) in &mut self.states {
            states.retain(|route, _| {
                let stays = self.routes.contains_key(route);
                if !stays {
                    effects.push(Effect::Write(STATES, state::key(route, job), None));
                }
                stays
            });
        }
        self.states.retain(|_, states| !states.is_empty());
        effects.extend(self.begin(now));
        effects
    }

    /// A success of the job is expected, `from` being when it last had one, or was first known.
    pub fn expect(&mut self, job: &Arc<Job>, from: Instant) {
        let Some(expect) = job.options.expect else { return };
        if !self.hears_of(job, Kind::Overdue) {
            return;
        }
        self.forget_deadline(&job.id);
        let deadline = from.plus(expect);
        self.expected.insert(job.id.clone(), (deadline, Arc::clone(job)));
        self.deadlines.insert((deadline, job.id.clone()));
    }

    fn hears_of(&self, job: &Job, kind: Kind) -> bool {
        let mut routes = job.options.notify.iter().filter_map(|name| self.routes.get(name));
        routes.any(|route| route.wants(kind))
    }

    fn forget_deadline(&mut self, job: &str) {
        if let Some((deadline, _)) = self.expected.remove(job) {
            self.deadlines.remove(&(deadline, job.into()));
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
            Action::Remember(Remember::Job(job)) if job.pause.is_some() => self.forget(&job.id),
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
        let outcome = &record.outcome;
        let event = match outcome {
            Outcome::Succeeded => JobEvent::Succeeded,
            Outcome::Missed(_) => JobEvent::Missed,
            Outcome::Skipped(_) => JobEvent::Skipped,
            // Another due time stands for it.
            Outcome::Coalesced => return Vec::new(),
            Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::TimedOut
            | Outcome::NotStarted(_)
            | Outcome::Lost(_) => JobEvent::Failed,
        };
        if event == JobEvent::Succeeded {
            self.expect(job, now.wall);
        }
        let mut effects = Vec::new();
        for name in &job.options.notify {
            if let Some(tally) = self.tallies.get_mut(name) {
                tally.count(record, streak);
                effects.push(self.write_tally(name));
            }
        }
        let about = About {
            run: record.run,
            due: record.due,
            last_due: record.last_due,
            count: record.count,
            started: record.started,
            duration: record.started.map(|_| record.duration),
            usual: None,
            attempts: record.attempts,
            outcome: Some(outcome.clone()),
            streak,
        };
        effects.extend(self.tell(now, job, event, &about, awaits_output));
        effects
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

    /// Tells each route of the job what it is to hear.
    fn tell(
        &mut self,
        now: Now,
        job: &Job,
        event: JobEvent,
        about: &About,
        awaits_output: bool,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for name in &job.options.notify {
            let route = self.routes.get(name).filter(|route| route.digest.is_none());
            let Some(route) = route else { continue };
            let is_known = self.states.get(&job.id).is_some_and(|it| it.contains_key(name));
            // Nearly always all is well, and that is no news.
            if event == JobEvent::Succeeded && !is_known && !route.wants(Kind::Succeeded) {
                continue;
            }
            let states = self.states.entry(job.id.clone()).or_default();
            let state = states.entry(name.clone()).or_default();
            let before = state.clone();
            let news = state.hear(now.wall, event, about.streak.runs, route);
            if *state != before {
                let value = (!state.is_blank())
                    .then(|| serde_json::to_string(state).unwrap_or_default().into());
                effects.push(Effect::Write(STATES, state::key(name, &job.id), value));
            }
            if state.is_blank() {
                states.remove(name);
            }
            if states.is_empty() {
                self.states.remove(&job.id);
            }
            let Some(kind) = news else { continue };
            let notification = self.notification(now.wall, job, route, kind, about);
            let awaits = awaits_output && notification.run.is_some() && route.output > 0;
            self.post(name, notification, awaits, now, &mut effects);
        }
        effects
    }

    fn notification(
        &self,
        at: Instant,
        job: &Job,
        route: &Route,
        kind: Kind,
        about: &About,
    ) -> Notification {
        let (run, due) = (about.run.map_or(0, |run| run.0), about.due.micros());
        let id = saved::id(&[
            self.seed.as_bytes(),
            route.name.as_bytes(),
            job.id.as_bytes(),
            kind.word().as_bytes(),
            &run.to_le_bytes(),
            &due.to_le_bytes(),
            &about.attempts.to_le_bytes(),
        ]);
        Notification {
            id,
            kind,
            job: job.id.clone(),
            name: job.name.clone(),
            run: about.run,
            due: about.due,
            last_due: about.last_due,
            count: about.count,
            at,
            started: about.started,
            duration: about.duration,
            usual: about.usual,
            digest: None,
            attempts: about.attempts,
            outcome: about.outcome.clone(),
            streak: about.streak.runs,
            // What is overdue has been so since its deadline.
            since: if kind == Kind::Overdue { Some(about.due) } else { about.streak.since() },
            output: None,
        }
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
        self.forget_deadline(job);
        let states = self.states.remove(job).unwrap_or_default();
        let routes = states.keys();
        let mut effects: Vec<Effect> =
            routes.map(|route| Effect::Write(STATES, state::key(route, job), None)).collect();
        let changed =
            self.tallies.iter_mut().filter_map(|(name, it)| it.forget(job).then_some(name));
        let changed: Vec<Box<str>> = changed.cloned().collect();
        effects.extend(changed.iter().map(|name| self.write_tally(name)));
        effects
    }

    /// A notification that has ended is to be sent once more: `entry` is what [`TOLD`] has of it. Answers its
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

    /// When there is something to do.
    pub fn next_wakeup(&self) -> Wakeup {
        let Wakeup { mono, wall } = self.outbox.next_wakeup(&self.routes);
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        let digest = self.tallies.keys().filter_map(|name| self.digest_at(name)).min();
        Wakeup { mono, wall: [wall, deadline, digest].into_iter().flatten().min() }
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some((deadline, job)) = self.deadlines.first().cloned()
            && deadline <= now.wall
        {
            self.deadlines.pop_first();
            let Some((_, job)) = self.expected.remove(&job) else { continue };
            effects.extend(self.tell(now, &job, JobEvent::Overdue, &About::at(deadline), false));
        }
        self.digest(now, &mut effects);
        let (messages, moved) = self.outbox.due(&self.routes, now);
        self.end(moved, now, &mut effects);
        effects.extend(messages.into_iter().map(Effect::Send));
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
        let moved: Vec<(Box<str>, Notification)> = done
            .iter()
            .filter_map(|done| Some((done.went_to.clone()?, done.notification.clone())))
            .collect();
        say_lost(&done, effects);
        self.book.enter(done, now.wall, effects);
        for (route, notification) in moved {
            self.post_moved(&route, notification, now, effects);
        }
    }

    /// What could not be delivered on one route goes to another: there it is something new.
    fn post_moved(
        &mut self,
        name: &str,
        mut notification: Notification,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(route) = self.routes.get(name) else { return };
        let id = saved::id(&[notification.id.as_bytes(), name.as_bytes()]);
        notification.id = id;
        effects.push(self.write(name, &notification));
        let gone = self.outbox.add(route, notification, false, now.mono);
        self.book.enter(gone, now.wall, effects);
    }
}

/// The name of an entry of [`STATES`].
pub fn state_key(route: &str, job: &str) -> Box<str> {
    state::key(route, job)
}

/// The word of what is not over, where [`End::word`] has those of what is.
pub const WAITING: &str = "waiting";

/// An entry of [`OUTBOX`] in the form of those that have ended; `None`: it is of another version.
pub fn waiting_of(id: &str, text: &str) -> Option<Told> {
    let Saved { route, notification, .. } = Saved::of_json(id, text)?;
    let at = notification.at;
    let done = Done { notification, route, end: End::Sent, answer: "".into(), went_to: None };
    Some(Told { end: WAITING.to_owned(), ..Told::of(&done, at) })
}

/// Of what [`TOLD`] has of notifications, the last whose id begins so; and whether there are others.
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

const NO_ROUTE: &str = "the jobfile has no such route any more";

fn by_name(routes: Vec<Route>) -> BTreeMap<Box<str>, Route> {
    routes.into_iter().map(|route| (route.name.clone(), route)).collect()
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

/// What a notification is about, beside the job.
#[derive(Clone, Debug)]
struct About {
    run: Option<RunId>,
    due: Instant,
    last_due: Instant,
    count: u64,
    started: Option<Instant>,
    duration: Option<Duration>,
    usual: Option<Duration>,
    attempts: u32,
    outcome: Option<Outcome>,
    streak: Streak,
}

impl About {
    fn at(at: Instant) -> About {
        About {
            run: None,
            due: at,
            last_due: at,
            count: 1,
            started: None,
            duration: None,
            usual: None,
            attempts: 0,
            outcome: None,
            streak: Streak::default(),
        }
    }
}

#[cfg(test)]
mod tests;
