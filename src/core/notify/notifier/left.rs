//! What hosts have left that are gone, and what was told of jobs that come from other hosts.

use std::collections::{BTreeMap, BTreeSet};

use super::super::saved::Saved;
use super::asked::trying_key;
use super::{Effect, Notifier, TRYING};
use crate::core::instant::Now;

/// How much was left, by the host that has left it.
pub type Left = BTreeMap<Box<str>, usize>;

impl Notifier {
    /// What was told of jobs that come from other hosts, as far as nothing was told of them here since.
    pub fn restore_unknown(
        &mut self,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        runs_on_all: &dyn Fn(&str) -> bool,
        is_here: &dyn Fn(&str) -> bool,
    ) {
        let routes = &self.routes;
        let wanted = |route: &str, job: &str| routes.contains_key(route) && is_here(job);
        self.states.restore(entries, runs_on_all, &wanted);
    }

    /// What hosts that are gone were to send is sent from here, under the same ids. Routes that are not known here
    /// are left to them. Answers how much that is.
    pub fn inherit(
        &mut self,
        is_gone: &dyn Fn(&str) -> bool,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        now: Now,
    ) -> (Left, Vec<Effect>) {
        let (mut left, mut effects) = (Left::new(), Vec::new());
        let mut tried: BTreeSet<Box<str>> = BTreeSet::new();
        for (id, text) in entries {
            let saved = Saved::of_json(&id, &text).filter(|saved| is_gone(&saved.host));
            let Some(Saved { host, route: name, mut notification }) = saved else { continue };
            let Some(route) = self.routes.get(&name) else { continue };
            if self.outbox.has(&name, &id) {
                continue;
            }
            *left.entry(host.clone()).or_default() += 1;
            tried.insert(trying_key(&name, &host));
            // It is told where it happened, not who says so.
            notification.host.get_or_insert(host);
            effects.push(self.write(&name, &notification));
            let done = self.outbox.restore(route, notification, now);
            self.end(done, now, &mut effects);
        }
        // They try them no more.
        effects.extend(tried.into_iter().map(|key| Effect::Write(TRYING, key, None)));
        (left, effects)
    }

    /// What such hosts had counted for their digests is told with this host's next one.
    pub fn inherit_digests(
        &mut self,
        is_gone: &dyn Fn(&str) -> bool,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
    ) -> Vec<Effect> {
        self.digests.inherit(is_gone, entries)
    }

    /// The others have taken this host for dead, and what it had counted until then is theirs to tell.
    pub fn was_taken_for_dead(&mut self, now: Now) {
        self.digests.begin_again(now.wall);
    }
}
