//! Telling people: what the loop has to do with it.
//!
//! [`Notifier`] decides, the store's thread writes down, and a helper process delivers
//! (`schedrs deliver`, started when there is something to send and ending with it: `delivery`). What is
//! told to services that watch jobs goes beside it (`pings`). Nothing that may take long happens here.

mod asked;
mod delivery;
mod pings;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::effects::Message as LoopMessage;
use crate::core::event::{Action, RouteVitals, RunId, UnusualRun};
use crate::core::fleet::RunOn;
use crate::core::habit::slow::SlowRun;
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Job, JobSet};
use crate::core::notify::digest::Failing;
use crate::core::notify::notifier::{DIGESTS, Effect, LISTS, Left, Notifier, OUTBOX, Said};
use crate::core::notify::outbox::{End, Tried, TryResult, Waiting};
use crate::core::notify::{Message, Wakeup};
use crate::core::streak::Streak;
use crate::core::zone::Zone;
use crate::run::hook::Hooks;
use crate::run::output::WithTail;
use crate::store::{Entries, Fact, Reader, Restored};
use crate::sys::mailbox::Mailbox;
pub(super) use delivery::Delivery;
use delivery::Heard;
use pings::JobPings;
pub(super) use pings::PingDelivery;

/// What could not be answered for so long is tried again: a secret that is on a disk that hangs.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// See the [module](self).
pub(super) struct Messages {
    notifier: Notifier,
    host: Arc<str>,
    hooks: Hooks,
    mailbox: Mailbox<LoopMessage>,
    /// What has become of messages. It is read once more when the loop has ended.
    heard: Mailbox<Heard>,
    /// What is being tried, and since when.
    flying: HashMap<Box<str>, (Message, Mono)>,
    /// What is to begin.
    deliveries: Vec<Delivery>,
    /// What is not sent is so after a restart, too.
    is_kept: bool,
    /// Other hosts use the same store.
    is_shared: bool,
    threads: Arc<()>,
    /// The zones of the jobs that were told of, and of those that are not known.
    zones: HashMap<Box<str>, Zone>,
    zone: Zone,
    /// When it is to be woken, unless that has to be found out.
    wakeup: Option<Wakeup>,
    /// Routes that fail, each with what it says.
    failing: Vec<(Box<str>, Box<str>)>,
    /// What is told to services that watch jobs.
    pings: JobPings,
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("notifier", &self.notifier).finish_non_exhaustive()
    }
}

impl Messages {
    /// For these jobs. `store` is what people call the store, and whether others share it: ids of two
    /// stores differ.
    pub(super) fn new(
        set: &JobSet,
        host: &str,
        (store, shared): (&str, bool),
        hooks: Hooks,
        mailbox: Mailbox<LoopMessage>,
        now: Mono,
    ) -> Messages {
        let seed = format!("{host}\n{store}");
        // A run that another host ends has the same name there.
        let runs = if shared { store } else { &*seed };
        let pings = JobPings::new(set, host, runs, hooks.clone(), &mailbox, now);
        let mut messages = Messages {
            notifier: Notifier::new(host, &seed, set.settings.routes.to_vec()),
            host: host.into(),
            hooks,
            heard: Mailbox::new(Arc::clone(mailbox.waker())),
            mailbox,
            flying: HashMap::new(),
            deliveries: Vec::new(),
            is_kept: store != "memory",
            is_shared: shared,
            threads: Arc::default(),
            zones: HashMap::new(),
            zone: set.settings.zone.clone(),
            wakeup: None,
            failing: Vec::new(),
            pings,
        };
        if shared {
            messages.notifier.share();
        }
        messages.know(set);
        messages
    }

    /// What an earlier scheduler has left in the store.
    pub(super) fn restore(&mut self, reader: &mut dyn Reader, set: &JobSet, now: Now) -> Vec<Fact> {
        let mut facts = self.pings.restore(reader, set, now);
        for list in LISTS {
            match reader.entries(list) {
                Ok(entries) => {
                    let effects = self.notifier.restore(list, entries, &set.runs_on_all(), now);
                    facts.extend(self.perform(effects, now));
                }
                Err(error) => {
                    log::error!(event = "notify"; "cannot read what is to be told: the store {error}");
                }
            }
        }
        facts
    }

    /// Begins, once that is known.
    pub(super) fn begin(&mut self, now: Now) {
        self.notifier.begin(now);
        self.wakeup = None;
    }

    /// What was counted since the last time, to be written with what was heard since then.
    pub(super) fn flush(&mut self, now: Now) -> Vec<Fact> {
        let effects = self.notifier.flush();
        self.perform(effects, now)
    }

    /// All that is known, for a store that knows nothing.
    pub(super) fn remember(&mut self, is_home: &dyn Fn(&str) -> bool, now: Now) -> Vec<Fact> {
        let effects = self.notifier.remember(is_home);
        let mut facts = self.perform(effects, now);
        facts.extend(self.pings.remember(now));
        facts
    }

    /// Successes that are expected, as far as is known when a scheduler starts.
    pub(super) fn expect_all(
        &mut self,
        set: &JobSet,
        restored: &Restored,
        reader: &mut dyn Reader,
        now: Instant,
    ) {
        // In a fleet others are as near, and jobs come later: then it is known from when on.
        let here = |job: &Arc<Job>| !self.is_shared || job.options.run_on == RunOn::All;
        let expecting = |job: &&Arc<Job>| {
            here(job)
                && job.options.expect.is_some()
                && !job.options.notify.is_empty()
                && !job.options.paused
        };
        let jobs: Vec<&Arc<Job>> = set.jobs.iter().filter(expecting).collect();
        if jobs.is_empty() {
            return;
        }
        let known: HashMap<&str, _> = restored.jobs.iter().map(|job| (&*job.id, job)).collect();
        // Without it, what is overdue is told a little late.
        let latest = reader.latest(None).unwrap_or_default();
        let succeeded: HashMap<&str, Option<Instant>> =
            latest.iter().map(|it| (&*it.job, it.succeeded)).collect();
        for job in jobs {
            let record = known.get(&*job.id);
            if record.is_some_and(|record| record.pause.is_some()) {
                continue;
            }
            let anchor = record.map_or(now, |record| record.anchor);
            let succeeded = succeeded.get(&*job.id).copied().flatten();
            self.expect(job, succeeded.map_or(anchor, |succeeded| succeeded.max(anchor)));
        }
    }

    /// Other jobs and routes than before.
    pub(super) fn follow(&mut self, set: &JobSet, now: Now) -> Vec<Fact> {
        let effects = self.notifier.set_routes(set.settings.routes.to_vec(), now);
        self.failing.retain(|(route, _)| set.settings.routes.iter().any(|it| it.name == *route));
        self.zone = set.settings.zone.clone();
        self.zones.clear();
        self.know(set);
        let mut facts = self.perform(effects, now);
        facts.extend(self.pings.follow(set, now));
        self.wakeup = None;
        facts
    }

    fn know(&mut self, set: &JobSet) {
        let told = set.jobs.iter().filter(|job| !job.options.notify.is_empty());
        self.zones.extend(told.map(|job| (job.id.clone(), job.zone.clone())));
    }

    /// A success of the job is expected, counted from then.
    pub(super) fn expect(&mut self, job: &Arc<Job>, from: Instant) {
        self.notifier.expect(job, from);
        self.wakeup = None;
    }

    /// Another host decides what becomes of a job.
    pub(super) fn leave(&mut self, job: &str) {
        self.notifier.leave(job);
        self.wakeup = None;
    }

    /// What was told of jobs that have come from other hosts.
    pub(super) fn restore_states(
        &mut self,
        entries: Entries,
        runs_on_all: &dyn Fn(&str) -> bool,
        is_here: &dyn Fn(&str) -> bool,
    ) {
        self.notifier.restore_unknown(entries, runs_on_all, is_here);
    }

    /// What hosts that are gone have left to be sent is sent from here. Answers how much that is, and what is to be
    /// written.
    pub(super) fn inherit(
        &mut self,
        is_gone: &dyn Fn(&str) -> bool,
        lists: Vec<(&'static str, Entries)>,
        job: impl Fn(&str) -> Option<Arc<Job>>,
        now: Now,
    ) -> (Left, Vec<Fact>) {
        let (mut left, mut facts) = (Left::new(), Vec::new());
        for (list, entries) in lists {
            let taken = match list {
                OUTBOX => {
                    let (taken, effects) = self.notifier.inherit(is_gone, entries, now);
                    facts.extend(self.perform(effects, now));
                    taken
                }
                DIGESTS => {
                    let effects = self.notifier.inherit_digests(is_gone, entries);
                    facts.extend(self.perform(effects, now));
                    Left::new()
                }
                _ => {
                    let (taken, more) = self.pings.inherit(is_gone, &entries, &job, now);
                    facts.extend(more);
                    taken
                }
            };
            for (host, count) in taken {
                *left.entry(host).or_default() += count;
            }
        }
        self.wakeup = None;
        (left, facts)
    }

    /// The others have taken this host for dead.
    pub(super) fn was_taken_for_dead(&mut self, now: Now) {
        self.notifier.was_taken_for_dead(now);
        self.wakeup = None;
    }

    /// An action of the scheduler. Answers what is to be written with it, and whether the end of what
    /// its run has printed is wanted.
    pub(super) fn hear(&mut self, action: &Action, streak: Streak, now: Now) -> (Vec<Fact>, bool) {
        let (mut facts, wants_ping) = self.pings.hear(action, now);
        if self.notifier.is_idle() {
            return (facts, wants_ping);
        }
        let effects = self.notifier.hear(now, action, streak, true);
        let posts = |it: &Effect| matches!(it, Effect::Write(list, _, Some(_)) if *list == OUTBOX);
        let wants_output = effects.iter().any(posts);
        if let Action::Record(record) = action
            && wants_output
        {
            self.zones.insert(record.job.id.clone(), record.job.zone.clone());
        }
        self.wakeup = None;
        facts.extend(self.perform(effects, now));
        (facts, wants_output || wants_ping)
    }

    /// A run takes longer than it should.
    pub(super) fn slow(&mut self, slow: &SlowRun, now: Now) -> Vec<Fact> {
        let effects = self.notifier.slow(now, slow);
        self.wakeup = None;
        self.perform(effects, now)
    }

    /// A run is out of the ordinary.
    pub(super) fn unusual(&mut self, found: &UnusualRun, now: Now) -> Vec<Fact> {
        let effects = self.notifier.unusual(now, found);
        self.wakeup = None;
        self.perform(effects, now)
    }

    /// Has the end of what a run has printed sent here, once all of it is read.
    pub(super) fn printed(&self, run: RunId) -> WithTail {
        let mailbox = self.mailbox.clone();
        Box::new(move |tail, _| {
            let text = String::from_utf8_lossy(tail).into_owned();
            mailbox.send(LoopMessage::Printed(run, text));
        })
    }

    /// The end of what a run has printed.
    pub(super) fn output(&mut self, run: RunId, text: &str, now: Now) -> Vec<Fact> {
        let effects = self.notifier.output(run, text);
        self.wakeup = None;
        let mut facts = self.perform(effects, now);
        facts.extend(self.pings.output(run, text, now));
        facts
    }

    /// What has become of messages since the last time.
    pub(super) fn listen(&mut self, now: Now) -> Vec<Fact> {
        let mut facts = self.pings.listen(now);
        for Heard(id, tried) in self.heard.take() {
            facts.extend(self.tried(&id, &tried, now));
        }
        facts
    }

    fn tried(&mut self, message: &str, tried: &[Tried], now: Now) -> Vec<Fact> {
        // It was given up before.
        let Some((message, _)) = self.flying.remove(message) else { return Vec::new() };
        let effects = self.notifier.tried(&message, tried, now);
        self.wakeup = None;
        self.perform(effects, now)
    }

    /// When it has something to do, by either clock.
    pub(super) fn wakeup(&mut self) -> Wakeup {
        let Wakeup { mono, wall } = *self.wakeup.get_or_insert_with(|| self.notifier.next_wakeup());
        let given_up = self.flying.values().map(|(_, since)| since.plus(GIVEN_UP)).min();
        let pings = self.pings.wakeup();
        Wakeup { mono: [mono, given_up, pings].into_iter().flatten().min(), wall }
    }

    /// Does what is due. `failing`: the jobs that fail now, as a digest has them.
    pub(super) fn wake(&mut self, now: Now, failing: &Failing<'_>) -> Vec<Fact> {
        let Wakeup { mono, wall } = self.wakeup();
        if mono.is_none_or(|at| at > now.mono) && wall.is_none_or(|at| at > now.wall) {
            return Vec::new();
        }
        self.wakeup = None;
        let mut facts = Vec::new();
        let late = self.flying.iter().filter(|(_, (_, since))| now.mono.since(*since) >= GIVEN_UP);
        let late: Vec<Box<str>> = late.map(|(id, _)| id.clone()).collect();
        for id in late {
            let answer = "its secrets cannot be read in time, or the helper does not end";
            let result = TryResult::Again(None);
            let tried = [Tried { id: id.clone(), result, answer: answer.into() }];
            facts.extend(self.tried(&id, &tried, now));
        }
        facts.extend(self.pings.wake(now));
        let effects = self.notifier.wake(now, failing);
        facts.extend(self.perform(effects, now));
        facts
    }

    /// See [`JobPings::beat`].
    pub(super) fn beat(&mut self, ill: Option<String>, now: Now) -> Vec<Fact> {
        self.pings.beat(ill, now)
    }

    /// What is told to services that watch jobs.
    pub(super) fn pings(&self) -> &JobPings {
        &self.pings
    }

    /// The routes, in numbers.
    pub(super) fn routes(&self) -> Vec<RouteVitals> {
        let vitals = |name: &str| {
            let ends = End::ALL.into_iter().map(End::word).zip(self.notifier.ends(name));
            let Waiting { count, oldest, .. } = self.notifier.waiting(name);
            RouteVitals { name: name.into(), ends: ends.collect(), waiting: count, oldest }
        };
        self.notifier.routes().keys().map(|name| vitals(name)).collect()
    }

    /// Routes that fail, in sentences.
    pub(super) fn reasons(&self) -> Vec<String> {
        let say = |(route, answer): &(Box<str>, Box<str>)| {
            let waiting = self.notifier.waiting(route).count;
            format!("notifications to {route} cannot be delivered: {answer}; {waiting} waiting")
        };
        self.failing.iter().map(say).collect()
    }

    /// At the end: what is not sent yet is for the next scheduler, if there is a store.
    pub(super) fn end(self) {
        let routes = self.notifier.routes().keys();
        let waiting: usize = routes.map(|route| self.notifier.waiting(route).count).sum();
        let waiting = waiting + self.pings.waiting();
        if waiting > 0 && !self.is_kept {
            let what = if waiting == 1 { "notification was" } else { "notifications were" };
            log::warn!(
                event = "notify_lost";
                "{waiting} {what} not sent, and a store in memory keeps none"
            );
        }
    }

    fn perform(&mut self, effects: Vec<Effect>, now: Now) -> Vec<Fact> {
        let mut facts = Vec::new();
        for effect in effects {
            match effect {
                Effect::Write(list, key, value) => {
                    facts.push(Fact::Entry { list: list.into(), key, value });
                }
                Effect::Send(message) => self.send(message, now.mono),
                Effect::Say(said) => self.say(said),
            }
        }
        facts
    }

    fn say(&mut self, said: Said) {
        match said {
            Said::Failing { route, answer } => {
                log::warn!(
                    event = "notify_failing", route = &*route;
                    "notifications to {route} cannot be delivered: {answer}; they are tried again"
                );
                self.failing.push((route, answer));
            }
            Said::Works { route } => {
                log::info!(event = "notify_works", route = &*route; "notifications to {route} are delivered again");
                self.failing.retain(|(failing, _)| *failing != route);
            }
            Said::Lost { route, count, end, answer, went_to } => {
                let what = if count == 1 {
                    "1 notification".to_owned()
                } else {
                    format!("{count} notifications")
                };
                let how = match end {
                    End::Refused => "refused",
                    End::GaveUp if went_to.is_some() => "not delivered in time",
                    End::GaveUp => "given up after a day",
                    End::Sent | End::Dropped => "dropped",
                };
                let then = went_to.map_or(String::new(), |to| format!("; trying {to}"));
                log::warn!(
                    event = "notify_lost", route = &*route;
                    "{what} to {route} {how}: {answer}{then}"
                );
            }
        }
    }

    /// Has a message tried, once all is written that was decided with it.
    fn send(&mut self, message: Message, now: Mono) {
        let Some(route) = self.notifier.routes().get(&message.route).cloned() else { return };
        self.deliveries.push(Delivery {
            host: Arc::clone(&self.host),
            zones: self.zones_of(&message),
            zone: self.zone.clone(),
            hooks: self.hooks.clone(),
            mailbox: self.heard.clone(),
            threads: Arc::clone(&self.threads),
            message: message.clone(),
            route,
        });
        self.flying.insert(message.id.clone(), (message, now));
    }

    /// What is to begin once the store has the facts.
    pub(super) fn take_deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }

    /// The same for pings.
    pub(super) fn take_pings(&mut self) -> Vec<PingDelivery> {
        self.pings.take_deliveries()
    }

    fn zones_of(&self, message: &Message) -> HashMap<Box<str>, Zone> {
        let jobs = message.notifications.iter().map(|it| &it.job);
        jobs.filter_map(|job| Some((job.clone(), self.zones.get(job)?.clone()))).collect()
    }
}
