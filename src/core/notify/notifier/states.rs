//! What was told of which job on which route, as it is known here and as the store has it.
//!
//! In a fleet it goes where its job goes; of a job that runs on every host each host knows what it has told itself.

use std::collections::{BTreeMap, HashMap};

use super::super::state::{self, JobEvent, State};
use super::super::{Kind, Route};
use super::{Effect, STATES};
use crate::core::fleet::own;
use crate::core::instant::Instant;
use crate::core::job::{Job, RunOn};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct States {
    /// By job and route. Names of jobs may be chosen by whoever may add jobs.
    jobs: HashMap<Box<str>, BTreeMap<Box<str>, Known>>,
    /// What people call this host, if others share its store.
    host: Option<Box<str>>,
}

#[derive(Debug, Default)]
struct Known {
    state: State,
    /// The entry is this host's alone.
    is_own: bool,
}

impl States {
    /// Of this host, where others share its store.
    pub(super) fn share(&mut self, host: &str) {
        self.host = Some(host.into());
    }

    /// Whether nothing was told that is still worth knowing.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether there is something to know of a job on a route.
    pub(super) fn has(&self, job: &str, route: &str) -> bool {
        self.jobs.get(job).is_some_and(|routes| routes.contains_key(route))
    }

    /// What the store has, of routes and jobs of which nothing is known here and that are `wanted`. `runs_on_all`:
    /// whether a job is one that runs on every host.
    pub(super) fn restore(
        &mut self,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        runs_on_all: &dyn Fn(&str) -> bool,
        wanted: &dyn Fn(&str, &str) -> bool,
    ) {
        let mine = own::mine(entries, 2, self.host.as_deref(), runs_on_all);
        for (key, (text, is_own)) in mine {
            let (Some((route, job)), Ok(state)) =
                (state::of_key(&key), serde_json::from_str(&text))
            else {
                continue;
            };
            if wanted(route, job) && !self.has(job, route) {
                let routes = self.jobs.entry(job.into()).or_default();
                routes.insert(route.into(), Known { state, is_own });
            }
        }
    }

    /// Another host decides what becomes of a job: what was told of it is known there.
    pub(super) fn leave(&mut self, job: &str) {
        self.jobs.remove(job);
    }

    /// What was told on routes that are gone is forgotten.
    pub(super) fn follow(&mut self, routes: &BTreeMap<Box<str>, Route>) -> Vec<Effect> {
        let (mut effects, host) = (Vec::new(), self.host.as_deref());
        for (job, states) in &mut self.jobs {
            states.retain(|route, known| {
                let stays = routes.contains_key(route);
                if !stays {
                    effects.push(write(host, route, job, known.is_own, None));
                }
                stays
            });
        }
        self.jobs.retain(|_, states| !states.is_empty());
        effects
    }

    /// Something has become of a job, so many runs of which have failed in a row. Answers what a route is to hear of
    /// it, with the host that told how it began if that is another one, and adds what is to be written.
    pub(super) fn hear(
        &mut self,
        (now, event, failed): (Instant, JobEvent<'_>, u32),
        job: &Job,
        route: &Route,
        effects: &mut Vec<Effect>,
    ) -> Option<(Kind, Option<Box<str>>)> {
        let host = self.host.as_deref();
        let is_own = host.is_some() && job.options.run_on == RunOn::All;
        let states = self.jobs.entry(job.id.clone()).or_default();
        let known = states.entry(route.name.clone()).or_default();
        let (before, was_own) = (known.state.clone(), std::mem::replace(&mut known.is_own, is_own));
        let news = known.state.hear(now, event, failed, route);
        let begun_on = match host.filter(|_| !is_own) {
            Some(host) => known.state.told_by(host, &before),
            None => None,
        };
        if known.state != before {
            if was_own != is_own && before != State::default() {
                // It runs elsewhere than before, or an older version has written it.
                effects.push(write(host, &route.name, &job.id, was_own, None));
            }
            effects.push(write(host, &route.name, &job.id, is_own, Some(&known.state)));
        } else {
            known.is_own = was_own;
        }
        if known.state.is_blank() {
            states.remove(&route.name);
        }
        if states.is_empty() {
            self.jobs.remove(&job.id);
        }
        Some((news?, begun_on))
    }

    /// Nobody is told of the job any more, nor that it is well.
    pub(super) fn forget(&mut self, job: &str) -> Vec<Effect> {
        let states = self.jobs.remove(job).unwrap_or_default();
        let host = self.host.as_deref();
        let each = states.iter();
        each.map(|(route, known)| write(host, route, job, known.is_own, None)).collect()
    }

    /// All that is known of jobs that are at home here.
    pub(super) fn remember(&self, is_home: &dyn Fn(&str) -> bool) -> Vec<Effect> {
        let host = self.host.as_deref();
        let mut effects = Vec::new();
        for (job, states) in self.jobs.iter().filter(|(job, _)| is_home(job)) {
            let each = states.iter();
            effects.extend(
                each.map(|(route, known)| {
                    write(host, route, job, known.is_own, Some(&known.state))
                }),
            );
        }
        effects
    }
}

/// What was told of a job on a route, or that there is nothing to know of it.
fn write(
    host: Option<&str>,
    route: &str,
    job: &str,
    is_own: bool,
    state: Option<&State>,
) -> Effect {
    let key = state::key(route, job);
    let key = match host.filter(|_| is_own) {
        Some(host) => own::key(&key, host),
        None => key,
    };
    let known = state.filter(|state| !state.is_blank());
    // Strings and numbers can always be written.
    let value = known.map(|state| serde_json::to_string(state).unwrap_or_default().into());
    Effect::Write(STATES, key, value)
}
