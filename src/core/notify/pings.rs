//! Which pings are to be sent, and when.
//!
//! A job has a place for the start of a run and one for its end; a later ping takes the place of an
//! earlier one that still waits, because who watches wants to know how it is now. So there are never
//! more than two for a job, however long its monitor is away. Those of a job are sent one after the
//! other, in the order in which they were decided. What could not be delivered is tried again for an
//! hour: by then a monitor has alarmed by itself.
//!
//! Pings go in batches. Jobs whose monitor failed last have batches of their own, so that what hangs
//! holds up nobody else.
//!
//! Pure, as its neighbours: times are arguments, and what is to be done is a list of [`Effect`]s. `queue` says
//! whose turn it is, and `tries` what follows from what has become of a try.

mod queue;
mod tries;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::queue::BATCH;
use self::queue::{Lane, Slot, Watched};
use super::notifier::{Left, WAITING};
use super::outbox::end_of;
use super::ping::{Phase, Ping, Row, beat_id, rid};
use crate::core::event::{Action, Notice, Record, Remember, RunId};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::Job;
use crate::core::monitor::{Monitor, PingOn};
use crate::core::sort;

/// The list of a store in which pings are: what waits, and what was answered last.
pub const PINGS: &str = "notify.pings";
/// How long an end waits for the output of its run, which is nearly there.
const FOR_OUTPUT: Duration = Duration::from_secs(2);
/// So much of the output goes along, in bytes: what healthchecks.io keeps.
pub const MOST_OUTPUT: usize = 10_000;

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// An entry of [`PINGS`] is to be written, or with `None` to be deleted.
    Write(Box<str>, Option<Box<str>>),
    /// These are to be tried together: answered by [`Pings::tried`].
    Send(Batch),
    /// Something is worth a line in the log.
    Say(Said),
}

/// Something worth a line in the log. The job is empty where it is the scheduler itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Pings have begun to fail: the first job, and what its monitor or the network has said.
    Failing(Box<str>, Box<str>),
    /// All are delivered again.
    Work,
    /// A monitor does not want its ping, and what it has said.
    Refused(Box<str>, Box<str>),
    /// Pings were given up after an hour: how many, one of their jobs, and what was said.
    GaveUp(usize, Box<str>, Box<str>),
}

/// Pings that are tried together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its number.
    pub number: u64,
    /// What it consists of.
    pub pings: Vec<Sending>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Sending {
    /// Its number.
    pub number: u64,
    /// What there is to tell.
    pub ping: Ping,
    /// Whom.
    pub monitor: Arc<Monitor>,
    /// The job; `None`: it is the scheduler itself.
    pub job: Option<Arc<Job>>,
    /// How many bytes of output the monitor takes, if it has said.
    pub limit: Option<usize>,
}

/// What has become of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// The monitor has it.
    Sent,
    /// The monitor has no ear for it: nothing was sent.
    Unwanted,
    /// It may take it later: not before so long, if it says.
    Again(Option<Duration>),
    /// It will never take it.
    Refused,
}

/// What has become of a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// See [`Sending::number`].
    pub number: u64,
    /// What has become of it.
    pub came: Came,
    /// What the monitor, or the network, has said.
    pub answer: Box<str>,
    /// See [`Sending::limit`].
    pub limit: Option<usize>,
}

/// How a ping may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The monitor has it.
    Sent,
    /// The monitor does not want it.
    Refused,
    /// It could not be delivered for an hour.
    GaveUp,
    /// A later one has taken its place.
    Replaced,
}

impl End {
    /// Every one.
    pub const ALL: [End; 4] = [End::Sent, End::Refused, End::GaveUp, End::Replaced];

    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            End::Sent => "sent",
            End::Refused => "refused",
            End::GaveUp => "gave_up",
            End::Replaced => "replaced",
        }
    }
}

/// The scheduler's own sign of life.
#[derive(Debug)]
struct Beat {
    monitor: Arc<Monitor>,
    every: Duration,
    next: Mono,
}

/// How pings are, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// How many have ended how since the start, each with the word for it.
    pub ends: Vec<(&'static str, u64)>,
    /// How many wait.
    pub waiting: usize,
    /// When the oldest of them was decided.
    pub oldest: Option<Instant>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Pings {
    host: Box<str>,
    seed: Box<str>,
    /// By job; what belongs to no job is the scheduler's own.
    watched: HashMap<Box<str>, Watched>,
    /// Those that are to be sent, by when: first of those whose monitors answer.
    lanes: [Lane; 2],
    /// What is on its way: in which lane, and whose.
    flights: HashMap<u64, (usize, Vec<Box<str>>)>,
    /// Runs whose output is to come.
    awaiting: HashMap<RunId, Box<str>>,
    /// Jobs whose monitor has refused something since the jobfile was read.
    refused: HashSet<Box<str>>,
    /// Those whose monitor does not answer.
    failing: BTreeSet<Box<str>>,
    ends: [u64; End::ALL.len()],
    beat: Option<Beat>,
    /// How many pings and batches there have been.
    numbers: u64,
}

impl Pings {
    /// Those of this host; `seed` tells its store from those of other schedulers.
    pub fn new(host: &str, seed: &str) -> Pings {
        Pings { host: host.into(), seed: seed.into(), ..Pings::default() }
    }

    /// What an earlier scheduler has left. Jobs that have no monitor any more have no pings either.
    /// What is for another host is left to it.
    pub fn restore<'a>(
        &mut self,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
        job: impl Fn(&str) -> Option<Arc<Job>>,
        now: Now,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut waiting = Vec::new();
        for (key, text) in texts {
            let Some(row) = Row::of_json(text).filter(|row| row.host == self.host) else {
                continue;
            };
            let job = job(&row.ping.job);
            let monitor = match row.ping.phase {
                Phase::Beat => self.beat.as_ref().map(|beat| Arc::clone(&beat.monitor)),
                _ => job.as_ref().and_then(|job| job.options.ping.clone()),
            };
            let Some(monitor) = monitor else {
                effects.push(Effect::Write(key.into(), None));
                continue;
            };
            let id = row.ping.job.clone();
            let watched = self.watched.entry(id).or_insert_with(|| Watched::new(job, monitor));
            watched.rows.insert(row.ping.phase);
            if &*row.state == WAITING && row.ping.phase != Phase::Beat {
                waiting.push(row.ping);
            }
        }
        // The start of a run is decided before its end.
        sort::by_key(&mut waiting, |ping| (ping.at, ping.run.map(|run| run.0), ping.phase));
        waiting.into_iter().for_each(|ping| self.put_saved(ping, now));
        effects
    }

    /// One that was decided earlier, perhaps on another host.
    fn put_saved(&mut self, ping: Ping, now: Now) {
        let age = now.wall.since(ping.at);
        let since = now.mono.micros().saturating_sub(age.as_micros() as u64);
        self.put(ping, Mono::from_micros(since), None);
    }

    /// What hosts that are gone were to send is sent from here, unless something later is to be sent of the same job.
    /// Their own sign of life is not, and what is of jobs that are not known here is left to others. Answers how much
    /// that is, by host.
    pub fn inherit<'a>(
        &mut self,
        is_gone: &dyn Fn(&str) -> bool,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
        job: impl Fn(&str) -> Option<Arc<Job>>,
        now: Now,
    ) -> (Left, Vec<Effect>) {
        let (mut left, mut effects) = (Vec::new(), Vec::new());
        for (key, text) in texts {
            let is_left = |row: &Row| is_gone(&row.host) && row.ping.phase != Phase::Beat;
            let Some(row) = Row::of_json(text).filter(is_left) else { continue };
            let Some(job) = job(&row.ping.job) else { continue };
            effects.push(Effect::Write(key.into(), None));
            if &*row.state == WAITING {
                left.push((row.ping, row.host, job));
            }
        }
        sort::by_key(&mut left, |(ping, ..)| (ping.at, ping.run.map(|run| run.0), ping.phase));
        let mut count = Left::new();
        for (ping, host, job) in left {
            let Some(monitor) = job.options.ping.clone() else { continue };
            let watched = self.watched.entry(ping.job.clone());
            let watched = watched.or_insert_with(|| Watched::new(Some(job), monitor));
            let newest = watched.waiting.iter().map(|slot| slot.ping.at).max();
            if newest.is_some_and(|newest| newest > ping.at) {
                continue;
            }
            *count.entry(host).or_default() += 1;
            effects.push(self.write(&ping, WAITING, "", None));
            self.put_saved(ping, now);
        }
        (count, effects)
    }

    /// Other jobs than before, or the same with other monitors: what waits of those that have none any
    /// more is dropped. From here on a refusal is told again.
    pub fn follow(&mut self, job: impl Fn(&str) -> Option<Arc<Job>>) -> Vec<Effect> {
        self.refused.clear();
        let ids: Vec<Box<str>> = self.watched.keys().filter(|id| !id.is_empty()).cloned().collect();
        let mut effects = Vec::new();
        for id in ids {
            let job = job(&id);
            let monitor = job.as_ref().and_then(|job| job.options.ping.clone());
            self.replace(&id, job, monitor, &mut effects);
        }
        effects
    }

    /// `[scheduler] ping`, or that there is none any more.
    pub fn set_beat(&mut self, beat: Option<(Arc<Monitor>, Duration)>, now: Mono) -> Vec<Effect> {
        let same = |old: &Beat| {
            beat.as_ref().is_some_and(|(it, every)| (it, every) == (&old.monitor, &old.every))
        };
        let mut effects = Vec::new();
        if !self.beat.as_ref().is_some_and(same) {
            self.replace("", None, beat.as_ref().map(|(monitor, _)| monitor.clone()), &mut effects);
            self.beat = beat.map(|(monitor, every)| Beat { monitor, every, next: now });
        }
        effects
    }

    /// Whoever is watched has another monitor, or none.
    fn replace(
        &mut self,
        id: &str,
        job: Option<Arc<Job>>,
        monitor: Option<Arc<Monitor>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(watched) = self.watched.get_mut(id) else { return };
        let Some(monitor) = monitor else { return self.forget(id, effects) };
        watched.job = job;
        if *watched.monitor != *monitor {
            (watched.monitor, watched.retry, watched.limit) = (monitor, None, None);
            self.failing.remove(id);
            self.line_up(id);
        }
    }

    /// An action of the scheduler. `awaits_output`: the end of what its run has printed is to come.
    pub fn hear(&mut self, now: Now, action: &Action, awaits_output: bool) -> Vec<Effect> {
        let mut effects = Vec::new();
        match action {
            Action::Notice(Notice::Started { run, attempt, job, due, .. }) => {
                // It may have been changed at run time.
                let monitor = job.options.ping.clone();
                self.replace(&job.id, Some(Arc::clone(job)), monitor, &mut effects);
                let wants = job.options.ping.as_ref().is_some_and(|it| it.may_want(PingOn::Start));
                if *attempt == 1 && wants {
                    let ping = self.ping(job, Phase::Start, *run, *due, now.wall);
                    self.decide(job, ping, false, now.mono, &mut effects);
                }
            }
            Action::Record(record) if record.outcome.is_of_run() => {
                self.record(now, record, awaits_output, &mut effects);
            }
            Action::Remember(Remember::Gone(job)) => self.forget(job, &mut effects),
            _ => {}
        }
        effects
    }

    fn record(&mut self, now: Now, record: &Record, awaits: bool, effects: &mut Vec<Effect>) {
        let (Some(run), Some(monitor)) = (record.run, &record.job.options.ping) else { return };
        let moment = match record.outcome.is_success() {
            true => PingOn::Success,
            false => PingOn::Failure,
        };
        if !monitor.may_want(moment) {
            return;
        }
        let ping = Ping {
            outcome: Some(record.outcome.clone()),
            duration: record.started.map(|_| record.duration),
            attempts: record.attempts,
            ..self.ping(&record.job, Phase::End, run, record.due, now.wall)
        };
        self.decide(&record.job, ping, awaits, now.mono, effects);
    }

    fn ping(&self, job: &Job, phase: Phase, run: RunId, due: Instant, at: Instant) -> Ping {
        Ping {
            job: job.id.clone(),
            phase,
            run: Some(run),
            rid: rid(&self.seed, run),
            due,
            at,
            outcome: None,
            duration: None,
            attempts: 1,
            output: None,
        }
    }

    fn decide(
        &mut self,
        job: &Arc<Job>,
        ping: Ping,
        awaits: bool,
        now: Mono,
        effects: &mut Vec<Effect>,
    ) {
        let Some(monitor) = job.options.ping.clone() else { return };
        if !self.watched.contains_key(&job.id) {
            self.watched.insert(job.id.clone(), Watched::new(Some(job.clone()), monitor));
        }
        effects.push(self.write(&ping, WAITING, "", None));
        let awaits = awaits.then(|| now.plus(FOR_OUTPUT));
        if let (Some(run), Some(_)) = (ping.run, awaits) {
            self.awaiting.insert(run, job.id.clone());
        }
        self.put(ping, now, awaits);
    }

    fn write(&mut self, ping: &Ping, state: &str, answer: &str, ended: Option<Instant>) -> Effect {
        if let Some(watched) = self.watched.get_mut(&ping.job) {
            watched.rows.insert(ping.phase);
        }
        let (state, answer) = (state.into(), answer.into());
        let row = Row { host: self.host.clone(), ping: ping.clone(), state, answer, ended };
        let key = Row::key(&ping.job, ping.phase, &self.host);
        Effect::Write(key, Some(row.to_json().into()))
    }

    fn forget(&mut self, id: &str, effects: &mut Vec<Effect>) {
        let Some(watched) = self.watched.remove(id) else { return };
        if let Some((lane, place)) = watched.place {
            self.lanes[lane].remove(&place);
        }
        self.failing.remove(id);
        self.awaiting.retain(|_, job| &**job != id);
        let keys = watched.rows.into_iter().map(|phase| Row::key(id, phase, &self.host));
        effects.extend(keys.map(|key| Effect::Write(key, None)));
    }

    /// The end of what a run has printed.
    pub fn output(&mut self, run: RunId, output: &str) -> Vec<Effect> {
        let Some(id) = self.awaiting.remove(&run) else { return Vec::new() };
        let Some(watched) = self.watched.get_mut(&id) else { return Vec::new() };
        let of_run = |slot: &&mut Slot| slot.awaits.is_some() && slot.ping.run == Some(run);
        let Some(slot) = watched.waiting.iter_mut().find(of_run) else { return Vec::new() };
        slot.awaits = None;
        let output = end_of(output, MOST_OUTPUT);
        let mut effects = Vec::new();
        if !output.is_empty() {
            slot.ping.output = Some(output.into());
            let ping = slot.ping.clone();
            effects.push(self.write(&ping, WAITING, "", None));
        }
        self.line_up(&id);
        effects
    }

    /// When there is something to do.
    pub fn next_wakeup(&self) -> Option<Mono> {
        let lanes = (0..self.lanes.len()).filter(|lane| self.has_room(*lane));
        let first = lanes.filter_map(|lane| Some(self.lanes[lane].first_key_value()?.0.0));
        first.chain(self.beat.as_ref().map(|beat| beat.next)).min()
    }

    /// Whether the scheduler is to give a sign of life, if it is well.
    pub fn beat_is_due(&self, now: Mono) -> bool {
        self.beat.as_ref().is_some_and(|beat| beat.next <= now)
    }

    /// The scheduler gives a sign of life, or does not because it is not well.
    pub fn beat(&mut self, now: Now, is_well: bool) -> Vec<Effect> {
        let Some(beat) = self.beat.as_mut().filter(|beat| beat.next <= now.mono) else {
            return Vec::new();
        };
        beat.next = now.mono.plus(beat.every);
        if !is_well {
            return Vec::new();
        }
        let monitor = Arc::clone(&beat.monitor);
        self.watched.entry("".into()).or_insert_with(|| Watched::new(None, monitor));
        let ping = Ping {
            job: "".into(),
            phase: Phase::Beat,
            run: None,
            rid: beat_id(&self.seed, now.wall),
            due: now.wall,
            at: now.wall,
            outcome: None,
            duration: None,
            attempts: 0,
            output: None,
        };
        let effect = self.write(&ping, WAITING, "", None);
        self.put(ping, now.mono, None);
        vec![effect]
    }

    /// How many monitors do not answer, with the job of the first and what was said.
    pub fn failing(&self) -> Option<(usize, &str, Box<str>)> {
        let first = self.failing.first()?;
        Some((self.failing.len(), first, self.answer_of(first)))
    }

    /// How they are, in numbers.
    pub fn numbers(&self) -> Numbers {
        let pings = self.waiting();
        let (waiting, oldest) = pings.fold((0, None::<Instant>), |(count, oldest), ping| {
            (count + 1, Some(oldest.map_or(ping.at, |oldest| oldest.min(ping.at))))
        });
        let ends = End::ALL.into_iter().map(|end| (end.word(), self.ends[end as usize]));
        Numbers { ends: ends.collect(), waiting, oldest }
    }

    /// All that waits, for a store that knows nothing. What has become of others is history, and not known here.
    pub fn remember(&mut self) -> Vec<Effect> {
        let pings: Vec<Ping> = self.waiting().cloned().collect();
        pings.iter().map(|ping| self.write(ping, WAITING, "", None)).collect()
    }

    /// Those that are on their way, or still to be sent: of a job in this order.
    pub fn waiting(&self) -> impl Iterator<Item = &Ping> {
        self.watched.values().flat_map(|watched| {
            let flying = watched.flying.iter().map(|(_, slot)| slot);
            flying.chain(&watched.waiting).map(|slot| &slot.ping)
        })
    }
}

#[cfg(test)]
mod tests;
