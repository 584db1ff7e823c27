//! People are told of what is done (`crate::run::daemon::messages`), by facts of the same transaction.

use std::sync::Arc;

use super::Effects;
use crate::control::Notify;
use crate::core::event::{Action, Code, Fault, PingVitals, RouteVitals, RunId, UnusualRun};
use crate::core::habit::slow::SlowRun;
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Job, JobSet};
use crate::core::notify::Wakeup;
use crate::core::notify::digest::Failing;
use crate::core::notify::notifier::Left;
use crate::core::streak::Streak;
use crate::run::daemon::messages::{Delivery, Messages, PingDelivery};
use crate::store::{Entries, Fact};

impl Effects {
    /// From here on people are told.
    pub(in crate::run::daemon) fn keep_messages(&mut self, messages: Messages, facts: Vec<Fact>) {
        self.messages = Some(messages);
        self.write(facts);
    }

    /// Other jobs and routes than before.
    pub(in crate::run::daemon) fn follow_routes(&mut self, set: &JobSet, now: Now) {
        let facts = self.messages.as_mut().map(|messages| messages.follow(set, now));
        self.write(facts.unwrap_or_default());
    }

    /// An action of the scheduler may be worth telling.
    pub(in crate::run::daemon) fn tell(&mut self, action: &Action, streak: Streak, now: Now) {
        let Some(messages) = &mut self.messages else { return };
        let (facts, wants_output) = messages.hear(action, streak, now);
        if let Action::Record(record) = action
            && let Some(run) = record.run
            && wants_output
        {
            self.output.tail(run, messages.printed(run));
        }
        self.write(facts);
    }

    /// A run takes longer than it should.
    pub(in crate::run::daemon) fn tell_slow(&mut self, slow: &SlowRun, now: Now) {
        let facts = self.messages.as_mut().map(|messages| messages.slow(slow, now));
        self.write(facts.unwrap_or_default());
    }

    /// A run is out of the ordinary.
    pub(in crate::run::daemon) fn tell_unusual(&mut self, found: &UnusualRun, now: Now) {
        let facts = self.messages.as_mut().map(|messages| messages.unusual(found, now));
        self.write(facts.unwrap_or_default());
    }

    /// The end of what a run has printed.
    pub(in crate::run::daemon) fn printed(&mut self, run: RunId, text: &str, now: Now) {
        let facts = self.messages.as_mut().map(|messages| messages.output(run, text, now));
        self.write(facts.unwrap_or_default());
    }

    /// Hears what has become of messages, and sends what is due. `failing`: the jobs that fail now, as a digest
    /// has them.
    pub(in crate::run::daemon) fn wake_messages(&mut self, now: Now, failing: &Failing<'_>) {
        let Some(messages) = &mut self.messages else { return };
        let mut facts = messages.listen(now);
        facts.extend(messages.wake(now, failing));
        self.write(facts);
    }

    /// At the end of a pass of the loop: what was counted in it is written with what it has decided.
    pub(in crate::run::daemon) fn flush_messages(&mut self, now: Now) {
        let facts = self.messages.as_mut().map(|messages| messages.flush(now));
        self.write(facts.unwrap_or_default());
    }

    /// A store that knows nothing is told of what waits, and of what was told of jobs that are at home here.
    pub(in crate::run::daemon) fn remember_messages(
        &mut self,
        is_home: &dyn Fn(&str) -> bool,
        now: Now,
    ) {
        let facts = self.messages.as_mut().map(|messages| messages.remember(is_home, now));
        self.write(facts.unwrap_or_default());
    }

    /// Does something about notifications.
    pub(in crate::run::daemon) fn notify_as_asked(
        &mut self,
        order: &Notify,
        by: &str,
        now: Now,
    ) -> Result<(Box<str>, usize), Fault> {
        let Some(messages) = &mut self.messages else {
            return Err(Fault::new(Code::Unavailable, "this scheduler sends no notifications"));
        };
        let (route, count, facts) = messages.ask(order, by, now)?;
        self.write(facts);
        Ok((route, count))
    }

    /// When that is.
    pub(in crate::run::daemon) fn messages_wakeup(&mut self) -> Wakeup {
        self.messages.as_mut().map(Messages::wakeup).unwrap_or_default()
    }

    /// The routes, in numbers.
    pub(in crate::run::daemon) fn routes(&self) -> Vec<RouteVitals> {
        self.messages.as_ref().map(Messages::routes).unwrap_or_default()
    }

    /// Routes that fail, in sentences.
    pub(in crate::run::daemon) fn route_reasons(&self) -> Vec<String> {
        self.messages.as_ref().map(Messages::reasons).unwrap_or_default()
    }

    /// What is told to services that watch jobs, in numbers.
    pub(in crate::run::daemon) fn pings(&self) -> PingVitals {
        self.messages.as_ref().map(|it| it.pings().vitals()).unwrap_or_default()
    }

    /// Which of them cannot be told, in a sentence.
    pub(in crate::run::daemon) fn ping_reason(&self) -> Option<String> {
        self.messages.as_ref().and_then(|messages| messages.pings().reason())
    }

    /// Whether the scheduler is to give a sign of life, if it is well.
    pub(in crate::run::daemon) fn beat_is_due(&self, now: Mono) -> bool {
        self.messages.as_ref().is_some_and(|messages| messages.pings().beat_is_due(now))
    }

    /// It does; or it is `ill`, and does not.
    pub(in crate::run::daemon) fn beat(&mut self, ill: Option<String>, now: Now) {
        let facts = self.messages.as_mut().map(|messages| messages.beat(ill, now));
        self.write(facts.unwrap_or_default());
    }

    /// Another host decides what becomes of a job.
    pub(in crate::run::daemon) fn leave_to_others(&mut self, job: &str) {
        if let Some(messages) = &mut self.messages {
            messages.leave(job);
        }
    }

    /// What was told of jobs that have come from other hosts.
    pub(in crate::run::daemon) fn restore_states(
        &mut self,
        entries: Entries,
        runs_on_all: &dyn Fn(&str) -> bool,
        is_here: &dyn Fn(&str) -> bool,
    ) {
        if let Some(messages) = &mut self.messages {
            messages.restore_states(entries, runs_on_all, is_here);
        }
    }

    /// A success of a job is expected, counted from then.
    pub(in crate::run::daemon) fn expect_success(&mut self, job: &Arc<Job>, from: Instant) {
        if let Some(messages) = &mut self.messages {
            messages.expect(job, from);
        }
    }

    /// What hosts that are gone have left to be sent is sent from here. Answers how much that is.
    pub(in crate::run::daemon) fn inherit(
        &mut self,
        is_gone: &dyn Fn(&str) -> bool,
        lists: Vec<(&'static str, Entries)>,
        job: impl Fn(&str) -> Option<Arc<Job>>,
        now: Now,
    ) -> Left {
        let Some(messages) = &mut self.messages else { return Left::new() };
        let (left, facts) = messages.inherit(is_gone, lists, job, now);
        self.write(facts);
        left
    }

    /// The others have taken this host for dead.
    pub(in crate::run::daemon) fn was_taken_for_dead(&mut self, now: Now) {
        if let Some(messages) = &mut self.messages {
            messages.was_taken_for_dead(now);
        }
    }

    /// At the end of the loop: what is not sent yet is for the next scheduler, if there is a store.
    pub(in crate::run::daemon) fn end_messages(&mut self, now: Now) {
        let Some(mut messages) = self.messages.take() else { return };
        // What has arrived meanwhile is not to be sent again.
        let facts = messages.listen(now);
        self.write(facts);
        messages.end();
    }

    /// Writes facts, and begins with what is to be sent once the store has them.
    fn write(&mut self, facts: Vec<Fact>) {
        let deliveries = self.messages.as_mut().map(Messages::take_deliveries).unwrap_or_default();
        let pings = self.messages.as_mut().map(Messages::take_pings).unwrap_or_default();
        match &mut self.records {
            Some(records) => {
                facts.into_iter().for_each(|fact| records.add(fact));
                for delivery in deliveries {
                    records.answer(Box::new(move || delivery.start()));
                }
                for pings in pings {
                    records.answer(Box::new(move || pings.start()));
                }
            }
            None => {
                deliveries.into_iter().for_each(Delivery::start);
                pings.into_iter().for_each(PingDelivery::start);
            }
        }
    }
}
