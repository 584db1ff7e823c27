//! How the scheduler is: what `status`, `health` and `metrics` are answered with, at once and whatever
//! hangs. What is wrong with it is for `crate::core::health` to say.

use std::collections::HashMap;
use std::time::Duration;

use super::effects::Effects;
use super::{Loop, Plan, fleet};
use crate::control::{Call, Request};
use crate::core::event::{Health, Part, Response, Vitals};
use crate::core::health::{self, Condition};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::sort;
use crate::sys::clock;

/// What may not be as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Alarm {
    /// Opening the store.
    Opened,
    /// Reading the store.
    Reader,
    /// Writing to the store.
    Store,
    /// The jobfile that was to take effect.
    Jobfile,
    /// Noticing that it was edited.
    Watch,
    /// The control socket.
    Control,
}

/// What is not as it should be, each in a sentence.
pub(super) type Alarms = HashMap<Alarm, String>;

impl Alarm {
    fn part(self) -> Part {
        match self {
            Alarm::Opened | Alarm::Reader | Alarm::Store => Part::Store,
            Alarm::Jobfile => Part::Jobfile,
            Alarm::Watch => Part::Watch,
            Alarm::Control => Part::Control,
        }
    }
}

impl Loop<'_> {
    /// A client asks for something.
    pub(super) fn called(&mut self, call: Call) {
        if matches!(call.request, Request::Health) {
            return (call.reply)(Response::Vitals(Box::new(self.vitals())));
        }
        let (health, alarms, effects) = (&self.health, &self.alarms, &self.effects);
        let fleet = self.fleet.as_ref();
        let how = || complete(health, &troubles(alarms, effects), fleet);
        self.requests.take(call, how, self.scheduler);
    }

    /// Forgets what was counted of jobs that are gone.
    pub(super) fn forget_counts(&mut self) {
        let scheduler = &*self.scheduler;
        self.counters.forget(scheduler.len(), |job| scheduler.job(job).is_some());
    }

    /// Gives the sign of life that `[scheduler] ping` asks for, if it is time and all is well.
    pub(super) fn beat(&mut self, now: Now) {
        if !self.effects.beat_is_due(now.mono) {
            return;
        }
        let mut vitals = self.vitals();
        // That pings fail is no reason to send none: they may go better now.
        vitals.troubles.retain(|(part, _)| *part != Part::Pings);
        // It has woken for this, and is awake.
        vitals.overslept = Duration::ZERO;
        let verdict = health::verdict(&vitals, now.wall);
        let ill = verdict.condition() > Condition::Pass;
        let ill = ill.then(|| verdict.reasons().join("; "));
        self.effects.beat(ill, now);
    }

    /// How it is, in numbers.
    fn vitals(&self) -> Vitals {
        let now = clock::mono();
        let since = |then: Option<Mono>| then.map_or(Duration::ZERO, |then| now.since(then));
        let troubles = troubles(&self.alarms, self.effects);
        let status = self.scheduler.status();
        let (pending_facts, pending_since) = self.effects.pending_facts();
        Vitals {
            health: complete(&self.health, &troubles, self.fleet.as_ref()),
            troubles,
            jobs: status.jobs,
            running: status.running,
            waiting: status.waiting,
            next: status.next,
            pools: self.scheduler.pools(now),
            overslept: since(self.wakes_at),
            behind: self.scheduler.behind(),
            pending_facts,
            pending_for: since(pending_since),
            routes: self.effects.routes(),
            pings: self.effects.pings(),
            totals: self.counters.totals().clone(),
        }
    }
}

/// How the scheduler is when it starts.
pub(super) fn health_of(plan: &Plan, started: Instant) -> Health {
    Health {
        reasons: Vec::new(),
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        started,
        jobfile: plan.source.as_str().into(),
        loaded: started,
        store: plan.storage.as_ref().map_or("none", |storage| &storage.name).into(),
        timezone: plan.jobfile.set.settings.zone.name().into(),
        stopping: false,
        settings: plan.jobfile.set.settings.clone(),
        executors: plan.jobfile.set.executors.as_slice().into(),
        fleet: None,
    }
}

/// How it is, with what is not as it should be.
fn complete(health: &Health, troubles: &[(Part, String)], fleet: Option<&fleet::Here>) -> Health {
    let reasons = troubles.iter().map(|(_, text)| text.clone()).collect();
    let fleet = fleet.map(|here| here.health(clock::boot().mono));
    Health { reasons, fleet, ..health.clone() }
}

/// What is not as it should be, in an order that stays, and last what says how long it lasts.
fn troubles(alarms: &Alarms, effects: &Effects) -> Vec<(Part, String)> {
    let alarms = alarms.iter().map(|(alarm, text)| (alarm.part(), text.clone()));
    let left = effects.reasons().into_iter().map(|text| (Part::Processes, text));
    let routes = effects.route_reasons().into_iter().map(|text| (Part::Notify, text));
    let pings = effects.ping_reason().into_iter().map(|text| (Part::Pings, text));
    let all = alarms.chain(left).chain(routes).chain(pings);
    let mut troubles: Vec<(Part, String)> = all.collect();
    sort::by(&mut troubles, |(_, one), (_, other)| one.cmp(other));
    troubles.extend(effects.hanging(clock::mono()).into_iter().map(|text| (Part::Starts, text)));
    troubles
}
