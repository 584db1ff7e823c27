//! Telling monitors: what the loop has to do with it.
//!
//! [`Pings`] decides which are sent when; a batch of them goes to one helper process, as messages do.
//! Where its URLs are read is a thread of its own, as a file may hang.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::GIVEN_UP;
use super::delivery::{answer, helper_for};
use crate::core::event::{Action, PingVitals, RunId};
use crate::core::instant::{Mono, Now};
use crate::core::job::{Job, JobSet};
use crate::core::notify::notifier::Left;
use crate::core::notify::pings::{Batch, Came, Effect, PINGS, Pings, Said, Sending, Tried};
use crate::notify::monitor::{About, work};
use crate::notify::secret::{Machine, resolve};
use crate::notify::wire::{self, DeliveryResult, Work};
use crate::run::hook::{HookDone, Hooks};
use crate::store::{Entries, Fact, Reader};
use crate::sys::mailbox::Mailbox;

/// What has become of a batch, by its number.
#[derive(Debug)]
pub(super) struct Heard(u64, Vec<Tried>);

/// See the [module](self).
#[derive(Debug)]
pub(in crate::run::daemon) struct JobPings {
    pings: Pings,
    host: Arc<str>,
    hooks: Hooks,
    heard: Mailbox<Heard>,
    /// Batches that are being tried, and since when.
    flying: HashMap<u64, Mono>,
    deliveries: Vec<PingDelivery>,
    /// How often the scheduler gives a sign of life.
    every: Option<Duration>,
    /// Why it gives none, once that was said.
    withheld: Option<String>,
}

impl JobPings {
    /// `seed` tells the store from those of other schedulers.
    pub(super) fn new<M>(
        set: &JobSet,
        host: &str,
        seed: &str,
        hooks: Hooks,
        mailbox: &Mailbox<M>,
        now: Mono,
    ) -> JobPings {
        let mut pings = JobPings {
            pings: Pings::new(host, seed),
            host: host.into(),
            hooks,
            heard: Mailbox::new(Arc::clone(mailbox.waker())),
            flying: HashMap::new(),
            deliveries: Vec::new(),
            every: None,
            withheld: None,
        };
        pings.set_beat(set, now);
        pings
    }

    fn set_beat(&mut self, set: &JobSet, now: Mono) -> Vec<Effect> {
        let beat = set.settings.heartbeat.clone();
        self.every = beat.as_ref().map(|(_, every)| *every);
        self.pings.set_beat(beat, now)
    }

    /// What an earlier scheduler has left in the store.
    pub(super) fn restore(&mut self, reader: &mut dyn Reader, set: &JobSet, now: Now) -> Vec<Fact> {
        match reader.entries(PINGS) {
            Ok(entries) if entries.is_empty() => Vec::new(),
            Ok(entries) => {
                let entries = entries.iter().map(|(key, text)| (&**key, &**text));
                let effects = self.pings.restore(entries, by_id(set), now);
                self.perform(effects, now.mono)
            }
            Err(error) => {
                log::error!(event = "ping"; "cannot read which pings wait: the store {error}");
                Vec::new()
            }
        }
    }

    /// All that waits, for a store that knows nothing.
    pub(super) fn remember(&mut self, now: Now) -> Vec<Fact> {
        let effects = self.pings.remember();
        self.perform(effects, now.mono)
    }

    /// What hosts that are gone have left to be sent is sent from here. Answers how much that is, and what is to be
    /// written.
    pub(super) fn inherit(
        &mut self,
        is_gone: &dyn Fn(&str) -> bool,
        entries: &Entries,
        job: &impl Fn(&str) -> Option<Arc<Job>>,
        now: Now,
    ) -> (Left, Vec<Fact>) {
        let entries = entries.iter().map(|(key, text)| (&**key, &**text));
        let (left, effects) = self.pings.inherit(is_gone, entries, job, now);
        (left, self.perform(effects, now.mono))
    }

    /// Other jobs and monitors than before.
    pub(super) fn follow(&mut self, set: &JobSet, now: Now) -> Vec<Fact> {
        let mut effects = self.pings.follow(by_id(set));
        effects.extend(self.set_beat(set, now.mono));
        self.withheld = None;
        self.perform(effects, now.mono)
    }

    /// An action of the scheduler. Answers what is to be written with it, and whether the end of what
    /// its run has printed is wanted.
    pub(super) fn hear(&mut self, action: &Action, now: Now) -> (Vec<Fact>, bool) {
        let effects = self.pings.hear(now, action, true);
        let wants = matches!(action, Action::Record(_)) && !effects.is_empty();
        (self.perform(effects, now.mono), wants)
    }

    /// The end of what a run has printed.
    pub(super) fn output(&mut self, run: RunId, text: &str, now: Now) -> Vec<Fact> {
        let effects = self.pings.output(run, text);
        self.perform(effects, now.mono)
    }

    /// What has become of batches since the last time.
    pub(super) fn listen(&mut self, now: Now) -> Vec<Fact> {
        let heard = self.heard.take();
        heard.iter().flat_map(|Heard(batch, tried)| self.tried(*batch, tried, now)).collect()
    }

    fn tried(&mut self, batch: u64, tried: &[Tried], now: Now) -> Vec<Fact> {
        // It was given up before.
        if self.flying.remove(&batch).is_none() {
            return Vec::new();
        }
        let effects = self.pings.tried(batch, tried, now);
        self.perform(effects, now.mono)
    }

    /// When it has something to do.
    pub(super) fn wakeup(&self) -> Option<Mono> {
        let given_up = self.flying.values().map(|since| since.plus(GIVEN_UP)).min();
        [self.pings.next_wakeup(), given_up].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn wake(&mut self, now: Now) -> Vec<Fact> {
        let late = self.flying.iter().filter(|(_, since)| now.mono.since(**since) >= GIVEN_UP);
        let late: Vec<u64> = late.map(|(batch, _)| *batch).collect();
        let mut facts = Vec::new();
        for batch in late {
            facts.extend(self.tried(batch, &[], now));
        }
        let effects = self.pings.wake(now.mono);
        facts.extend(self.perform(effects, now.mono));
        facts
    }

    /// Whether the scheduler is to give a sign of life, if it is well.
    pub(in crate::run::daemon) fn beat_is_due(&self, now: Mono) -> bool {
        self.pings.beat_is_due(now)
    }

    /// It does, or says why not.
    pub(super) fn beat(&mut self, ill: Option<String>, now: Now) -> Vec<Fact> {
        match (&ill, &self.withheld) {
            (Some(why), None) => {
                log::warn!(event = "heartbeat_withheld"; "[scheduler] ping is not sent: {why}");
            }
            (None, Some(_)) => log::info!(event = "heartbeat"; "[scheduler] ping is sent again"),
            _ => {}
        }
        let effects = self.pings.beat(now, ill.is_none());
        self.withheld = ill;
        self.perform(effects, now.mono)
    }

    /// How they are, in numbers.
    pub(in crate::run::daemon) fn vitals(&self) -> PingVitals {
        let numbers = self.pings.numbers();
        PingVitals { ends: numbers.ends, waiting: numbers.waiting, oldest: numbers.oldest }
    }

    /// What fails, in a sentence.
    pub(in crate::run::daemon) fn reason(&self) -> Option<String> {
        let (count, first, answer) = self.pings.failing()?;
        let whose = match (first, count) {
            ("", 1) => "the scheduler's ping".to_owned(),
            ("", 2) => "the scheduler's ping and that of 1 job".to_owned(),
            ("", more) => format!("the scheduler's ping and those of {} jobs", more - 1),
            (job, 1) => format!("the ping of {job}"),
            (job, 2) => format!("pings of {job} and 1 other job"),
            (job, more) => format!("pings of {job} and {} other jobs", more - 1),
        };
        Some(format!("{whose} cannot be delivered: {answer}"))
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.pings.numbers().waiting
    }

    /// What is to begin once the store has the facts.
    pub(super) fn take_deliveries(&mut self) -> Vec<PingDelivery> {
        std::mem::take(&mut self.deliveries)
    }

    fn perform(&mut self, effects: Vec<Effect>, now: Mono) -> Vec<Fact> {
        let mut facts = Vec::new();
        for effect in effects {
            match effect {
                Effect::Write(key, value) => {
                    facts.push(Fact::Entry { list: PINGS.into(), key, value });
                }
                Effect::Send(batch) => {
                    self.flying.insert(batch.number, now);
                    self.deliveries.push(PingDelivery {
                        host: Arc::clone(&self.host),
                        hooks: self.hooks.clone(),
                        mailbox: self.heard.clone(),
                        every: self.every,
                        batch,
                    });
                }
                Effect::Say(said) => say(said),
            }
        }
        facts
    }
}

fn by_id(set: &JobSet) -> impl Fn(&str) -> Option<Arc<Job>> {
    let watched = set.jobs.iter().filter(|job| job.options.ping.is_some());
    let jobs: HashMap<Box<str>, Arc<Job>> =
        watched.map(|job| (job.id.clone(), Arc::clone(job))).collect();
    move |id| jobs.get(id).cloned()
}

/// A line in the log about a job, or about the scheduler where that has no name.
macro_rules! say {
    ($level:ident, $event:literal, $job:expr, $($text:tt)+) => {
        match &*$job {
            "" => log::$level!(event = $event; "[scheduler] {}", format_args!($($text)+)),
            job => log::$level!(event = $event, job = job; "{}", format_args!($($text)+)),
        }
    };
}

fn say(said: Said) {
    match said {
        Said::Failing(job, answer) => say!(
            warn,
            "ping_failing",
            job,
            "ping cannot be delivered: {answer}; pings are tried again for an hour"
        ),
        Said::Work => log::info!(event = "ping_works"; "pings are delivered again"),
        Said::Refused(job, answer) => say!(
            warn,
            "ping_refused",
            job,
            "ping was refused: {answer}; this is not said again until a reload"
        ),
        Said::GaveUp(1, job, answer) => {
            say!(warn, "ping_lost", job, "ping was given up after an hour: {answer}");
        }
        Said::GaveUp(count, job, answer) => say!(
            warn,
            "ping_lost",
            job,
            "ping and {} others were given up after an hour: {answer}",
            count - 1
        ),
    }
}

/// A batch on its way.
#[derive(Debug)]
pub(in crate::run::daemon) struct PingDelivery {
    batch: Batch,
    host: Arc<str>,
    hooks: Hooks,
    mailbox: Mailbox<Heard>,
    every: Option<Duration>,
}

impl PingDelivery {
    /// Begins with it.
    pub(in crate::run::daemon) fn start(self) {
        let (number, mailbox) = (self.batch.number, self.mailbox.clone());
        let thread = std::thread::Builder::new().name("pings".to_owned());
        if let Err(error) = thread.stack_size(256 * 1024).spawn(move || self.run()) {
            log::debug!("no thread for pings can be started: {error}");
            // What nothing is said of is tried again.
            mailbox.send(Heard(number, Vec::new()));
        }
    }

    /// On a thread of its own: reads the URLs, and gives all to a helper.
    fn run(self) {
        let (mut all, mut said) = (Vec::new(), Vec::new());
        for one in &self.batch.pings {
            match self.work(one) {
                Ok(Some(work)) => all.push(work),
                Ok(None) => said.push(came(one.number, Came::Unwanted, "")),
                // It may be put right before the next try.
                Err(why) => said.push(came(one.number, Came::Again(None), &why)),
            }
        }
        let (number, mailbox) = (self.batch.number, self.mailbox.clone());
        if all.is_empty() {
            return mailbox.send(Heard(number, said));
        }
        let hook = helper_for(&format!("{} pings", all.len()), &all);
        let (heard, all) = (mailbox.clone(), all.into_iter().map(|work| work.id));
        let all: Vec<Box<str>> = all.collect();
        let done = Box::new(move |done: HookDone| {
            let stdout = String::from_utf8_lossy(&done.stdout);
            let receipts: Vec<wire::Receipt> =
                stdout.lines().filter_map(wire::Receipt::of_line).collect();
            // What there is no receipt of has not arrived, as far as anybody knows.
            let silent = all.iter().filter(|id| !receipts.iter().any(|it| it.id == **id));
            let silent = silent.filter_map(|id| id.parse().ok());
            let last_words = answer(&done);
            let none = if last_words.is_empty() { "there was no answer" } else { &last_words };
            said.extend(silent.map(|number| came(number, Came::Again(None), none)));
            said.extend(receipts.iter().filter_map(tried));
            heard.send(Heard(number, said));
        });
        if self.hooks.submit(hook, done).is_err() {
            mailbox.send(Heard(number, Vec::new()));
        }
    }

    fn work(&self, one: &Sending) -> Result<Option<Work>, String> {
        let url = resolve(&one.monitor.url, &Machine).map_err(|why| format!("ping: {why}"))?;
        let about = About {
            monitor: &one.monitor,
            url: &url,
            job: one.job.as_deref(),
            every: self.every.map(|every| every.as_secs()),
            host: &self.host,
            limit: one.limit,
        };
        work(&one.number.to_string(), &one.ping, &about)
    }
}

fn came(number: u64, came: Came, answer: &str) -> Tried {
    Tried { number, came, answer: answer.into(), limit: None }
}

/// What a helper has said.
fn tried(receipt: &wire::Receipt) -> Option<Tried> {
    let came = match receipt.result {
        DeliveryResult::Sent => Came::Sent,
        DeliveryResult::Refused => Came::Refused,
        DeliveryResult::Again => Came::Again(receipt.retry_after.map(Duration::from_secs)),
    };
    let limit = receipt.body_limit.and_then(|limit| usize::try_from(limit).ok());
    let answer = receipt.tried().answer;
    Some(Tried { number: receipt.id.parse().ok()?, came, answer, limit })
}
