//! Requests to the loop: takes calls (`crate::control`) into a queue, puts them to the scheduler as
//! operations, and gives each response to whoever waits for it.
//!
//! `jobs` knows the jobs that are not, or not only, what the jobfile says, and makes an operation of
//! a request. Here is who has made it, in which order and until when.
//!
//! Calls are taken one after the other, in the order in which they came: each finds what the one
//! before it has made of the jobs. A text that somebody has sent is read and tried out elsewhere
//! (`offload`), within a limit of time; the calls behind it wait until it is applied, so that it is
//! still the job it was made for. How the scheduler is can be asked at any time.

mod jobs;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::asking::{Incoming, Route};
use super::offload::{Done, NotBegun, Offload};
use super::{Jobfile, fleet};
use crate::control::{Call, Notify, Reply, Request};
use crate::core::event::{Code, Event, Fault, Health, JobRecord, Operation, Response};
use crate::core::instant::{Mono, Now};
use crate::core::scheduler::Scheduler;
use crate::store::keeper::Answer;
use jobs::Made;
pub(super) use jobs::{Composed, Fit, Jobs, compose, try_out};

/// How long the check of what somebody has sent may take.
const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// What is next, of what was asked.
pub(super) enum Next {
    /// Nothing, or not yet.
    Nothing,
    /// The scheduler was asked, or somebody was answered.
    Taken,
    /// The jobfile is to be read again, and somebody waits for that.
    Reload(Reply),
    /// A jobfile that was read is to take effect.
    Apply(Box<Jobfile>),
    /// Something is to be done about notifications, as somebody wants, who waits for that.
    Notify(Notify, Box<str>, Reply),
    /// Stop, at once or not.
    Stop {
        /// How many signals that is like.
        times: u32,
    },
    /// It is not, or not only, to be done here.
    PassOn(Box<Incoming>, Route),
}

/// A jobfile and what was added and changed at run time, put together; or why that is not so.
pub(super) type Composition = Result<Box<Composed>, String>;

/// See the [module](self).
pub(super) struct Requests {
    /// What it takes to change jobs at run time, where that is possible.
    pub(super) jobs: Option<Jobs>,
    next: u64,
    waiting: HashMap<u64, Waiting>,
    /// What was asked and not begun, in its order.
    queue: VecDeque<Item>,
    /// What is done elsewhere, before anything else is begun.
    under_way: Option<UnderWay>,
    offload: Offload,
    /// Why what is added and changed is not in the store when it is answered, if that is so.
    pub(super) unkept: Option<String>,
    /// Jobs that others have changed, by the number of what is asked about them.
    learned: HashMap<u64, Box<str>>,
}

enum Item {
    Call(Incoming),
    Apply(Box<Jobfile>),
    /// What another host has made of a job.
    Learn {
        record: JobRecord,
        lesson: Lesson,
    },
}

/// How it is known what another host has made of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    /// The job is taken over with that.
    Taken,
    /// That it was changed was seen in a store that had the own batches up to this one.
    Changed { written: u64 },
}

enum UnderWay {
    Check { by: Box<str>, reply: Reply },
    Compose,
}

struct Waiting {
    reply: Reply,
    /// [`Response::Started`] is not the last.
    twice: bool,
    /// It changes nothing.
    looks: bool,
    /// What is odd about what was sent.
    warnings: Vec<String>,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Requests {
    pub(super) fn new(jobs: Option<Jobs>, offload: Offload) -> Requests {
        Requests {
            jobs,
            next: 0,
            waiting: HashMap::new(),
            queue: VecDeque::new(),
            under_way: None,
            offload,
            unkept: None,
            learned: HashMap::new(),
        }
    }

    /// Takes a call, to be begun when those before it are done. How things stand can be told at
    /// once, and is when something hangs.
    pub(super) fn take(
        &mut self,
        call: Call,
        health: impl FnOnce() -> Health,
        scheduler: &Scheduler,
    ) {
        match call.request {
            Request::Status => {
                let health = Box::new(health());
                (call.reply)(Response::Status { health, status: scheduler.status() });
            }
            _ => self.put(Incoming::new(call)),
        }
    }

    /// The same of a call that is not to be answered at once.
    pub(super) fn put(&mut self, incoming: Incoming) {
        self.queue.push_back(Item::Call(incoming));
    }

    /// A call that was begun already: it is before the others.
    pub(super) fn do_first(&mut self, incoming: Incoming) {
        self.queue.push_front(Item::Call(incoming));
    }

    /// Another host has changed a job.
    pub(super) fn learn(&mut self, record: JobRecord, lesson: Lesson) {
        self.queue.push_back(Item::Learn { record, lesson });
    }

    /// The earliest of the own batches with which a job was read that is not learned yet.
    pub(super) fn oldest_lesson(&self) -> Option<u64> {
        let written = |item: &Item| match item {
            Item::Learn { lesson: Lesson::Changed { written }, .. } => Some(*written),
            _ => None,
        };
        self.queue.iter().filter_map(written).min()
    }

    /// The job that was learned of by what was asked under this number.
    pub(super) fn take_learned(&mut self, ticket: u64) -> Option<Box<str>> {
        self.learned.remove(&ticket)
    }

    /// A jobfile is to take effect when it is its turn.
    pub(super) fn apply(&mut self, jobfile: Jobfile) {
        self.queue.push_back(Item::Apply(Box::new(jobfile)));
    }

    /// Whether [`Requests::begin`] has something to do.
    pub(super) fn has_next(&self) -> bool {
        self.under_way.is_none() && !self.queue.is_empty()
    }

    /// Begins what is next. What it asks of the scheduler becomes an event, which that has to have
    /// taken before this is called again.
    pub(super) fn begin(
        &mut self,
        scheduler: &mut Scheduler,
        now: Now,
        events: &mut VecDeque<Event>,
        fleet: Option<&fleet::Here>,
        has_newer: impl Fn(&str, u64) -> bool,
    ) -> Next {
        if self.under_way.is_some() {
            return Next::Nothing;
        }
        let incoming = match self.queue.pop_front() {
            None => return Next::Nothing,
            Some(Item::Apply(jobfile)) => return Next::Apply(jobfile),
            Some(Item::Call(incoming)) => incoming,
            Some(Item::Learn { record, lesson }) => {
                if let Lesson::Changed { written } = lesson
                    && has_newer(&record.id, written)
                {
                    return Next::Taken;
                }
                let taken = lesson == Lesson::Taken;
                return self.begin_to_learn(record, taken, scheduler, now, events);
            }
        };
        match incoming.route(fleet, scheduler) {
            Route::Here => {}
            elsewhere => return Next::PassOn(Box::new(incoming), elsewhere),
        }
        let Call { by, request, reply } = incoming.call;
        let fit = match request {
            Request::Reload => return Next::Reload(reply),
            Request::Notify(order) => return Next::Notify(order, by, reply),
            // Another host wants to know that what was asked before it is done.
            Request::Ping => {
                reply(Response::Done);
                return Next::Taken;
            }
            Request::Shutdown { now } => {
                reply(Response::Done);
                return Next::Stop { times: if now { 2 } else { 1 } };
            }
            request => match &mut self.jobs {
                Some(jobs) => jobs.read(request, scheduler, now.wall),
                None => jobs::plain(request).map(Made::from),
            },
        };
        match fit {
            Ok(Made::Fit(fit)) => self.ask(&by, fit, reply, events),
            Ok(Made::Check(check)) => return self.check(|| check.run(), by, reply, now.mono),
            Err(fault) => refuse(&reply, fault),
        }
        Next::Taken
    }

    /// Begins with what another host has made of a job.
    fn begin_to_learn(
        &mut self,
        record: JobRecord,
        taken: bool,
        scheduler: &Scheduler,
        now: Now,
        events: &mut VecDeque<Event>,
    ) -> Next {
        let id = record.id.clone();
        let Some(jobs) = &self.jobs else { return Next::Taken };
        let made = jobs.learn(record, taken, scheduler, now.wall);
        let reply: Reply = Arc::new(move |response| {
            if let Response::Refused(fault) = response {
                let why = fault.message;
                log::error!(job = &*id; "what another host has made of it makes no sense here: {why}");
            }
        });
        match made {
            None => {}
            Some(Made::Fit(fit)) => self.ask("", fit, reply, events),
            Some(Made::Check(check)) => {
                return self.check(|| check.run(), "".into(), reply, now.mono);
            }
        }
        Next::Taken
    }

    /// Has something checked elsewhere.
    fn check(
        &mut self,
        check: impl FnOnce() -> Result<Fit, Fault> + Send + 'static,
        by: Box<str>,
        reply: Reply,
        now: Mono,
    ) -> Next {
        match self.offload.begin(now, CHECK_LIMIT, move || Done::Checked(check())) {
            Ok(()) => self.under_way = Some(UnderWay::Check { by, reply }),
            Err(why) => {
                let message = format!("cannot check it now: {why}; nothing was changed");
                refuse(&reply, Fault::new(Code::TooSlow, message));
            }
        }
        Next::Taken
    }

    /// Has a jobfile and what was added and changed at run time put together elsewhere.
    pub(super) fn compose(
        &mut self,
        now: Mono,
        limit: Duration,
        work: impl FnOnce() -> Composed + Send + 'static,
    ) -> Result<(), NotBegun> {
        self.offload.begin(now, limit, move || Done::Composed(Box::new(work())))?;
        self.under_way = Some(UnderWay::Compose);
        Ok(())
    }

    /// Something was done elsewhere. Answers a jobfile that is to take effect, if it was that.
    pub(super) fn done(
        &mut self,
        number: u64,
        done: Done,
        scheduler: &mut Scheduler,
        events: &mut VecDeque<Event>,
    ) -> Option<Composition> {
        if !self.offload.finish(number) {
            return None;
        }
        let broken = "an internal error of the scheduler".to_owned();
        let UnderWay::Check { by, reply } = self.under_way.take()? else {
            return Some(match done {
                Done::Composed(composed) => Ok(composed),
                _ => Err(broken),
            });
        };
        match done {
            Done::Checked(Ok(fit)) => {
                if let Some(jobs) = &mut self.jobs {
                    jobs.changing(scheduler, &fit.operation);
                    jobs.learning(&fit);
                }
                self.ask(&by, fit, reply, events);
            }
            Done::Checked(Err(fault)) => refuse(&reply, fault),
            _ => refuse(&reply, Fault::new(Code::Internal, broken)),
        }
        None
    }

    /// When what is done elsewhere is given up.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.offload.deadline()
    }

    /// Gives up what is not done in time, so that what waits behind it goes on.
    pub(super) fn give_up_in_time(&mut self, now: Mono) -> Option<Composition> {
        let limit = self.offload.give_up_in_time(now)?;
        let UnderWay::Check { by, reply } = self.under_way.take()? else {
            let what = "applying the changes made at run time";
            return Some(Err(format!("{what} took longer than {limit}")));
        };
        let message = format!(
            "could not check it within {limit}, perhaps because a disk hangs; nothing was changed"
        );
        log::warn!(event = "too_slow"; "gave up on a request from {by}: {message}");
        refuse(&reply, Fault::new(Code::TooSlow, message));
        None
    }

    /// Asks the scheduler.
    fn ask(&mut self, by: &str, fit: Fit, reply: Reply, events: &mut VecDeque<Event>) {
        let Fit { operation, mut warnings, .. } = fit;
        if matches!(operation, Operation::Add { .. } | Operation::Change { .. }) {
            warnings.extend(self.unkept.clone());
        }
        self.next += 1;
        if let Operation::Learn { job, .. } = &operation {
            self.learned.insert(self.next, job.id.clone());
        }
        let twice = matches!(operation, Operation::Start { wait: true, .. });
        let looks = matches!(operation, Operation::List { .. } | Operation::Show { .. });
        self.waiting.insert(self.next, Waiting { reply, twice, looks, warnings });
        events.push_back(Event::Operation {
            ticket: self.next,
            by: by.into(),
            operation: Box::new(operation),
        });
    }

    /// Whether whoever waits for it only wants to look: nothing of it has to be in the store first.
    pub(super) fn only_looks(&self, ticket: u64) -> bool {
        self.waiting.get(&ticket).is_some_and(|waiting| waiting.looks)
    }

    /// The way to give a response to whoever waits for it: what they have asked for may have to be
    /// in the store first.
    pub(super) fn answer(&mut self, ticket: u64, mut response: Response) -> Option<Answer> {
        if let Response::Started { .. } = response
            && let Some(waiting) = self.waiting.get(&ticket).filter(|waiting| waiting.twice)
        {
            let reply = Arc::clone(&waiting.reply);
            return Some(Box::new(move || reply(response)));
        }
        let waiting = self.waiting.remove(&ticket)?;
        if let Response::Job { warnings, .. } = &mut response {
            *warnings = waiting.warnings;
        }
        Some(Box::new(move || (waiting.reply)(response)))
    }
}

fn refuse(reply: &Reply, fault: Fault) {
    reply(Response::Refused(fault));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::super::Waker;
    use super::super::offload::Lane;
    use super::*;
    use crate::core::instant::Instant;
    use crate::core::job::Settings;
    use crate::core::zone::Database;
    use crate::jobfile::load_text;
    use crate::sys::mailbox::Mailbox;

    fn reply() -> (Reply, Receiver<Response>) {
        let (send, receive) = channel();
        (Arc::new(move |response| drop(send.send(response))), receive)
    }

    fn health(settings: &Settings) -> Health {
        let at = Instant::from_secs(1_800_000_000);
        Health {
            reasons: Vec::new(),
            version: "0",
            pid: 1,
            started: at,
            jobfile: "jobs.toml".into(),
            loaded: at,
            store: "memory".into(),
            timezone: "UTC".into(),
            stopping: false,
            settings: settings.clone(),
            executors: Arc::new([]),
            fleet: None,
        }
    }

    /// A check that hangs holds up what was asked after it for so long and no longer, but not the
    /// answer to how things stand; and few of them are begun at all.
    #[test]
    fn a_check_that_hangs_is_given_up() {
        let mut now = Now { wall: Instant::from_secs(1_800_000_000), mono: Mono::from_micros(1) };
        let mailbox = Mailbox::new(Arc::new(Waker::new().unwrap()));
        let mut requests = Requests::new(None, Offload::new(Lane::Checking, mailbox));
        let loaded = load_text("jobs.toml", "", &Database::open(None), now.wall);
        let set = loaded.set.unwrap();
        let settings = set.settings.clone();
        let mut scheduler = Scheduler::new(now, set);
        let mut events = VecDeque::new();
        let mut ends = Vec::new();
        for turn in 0..5 {
            let (end, ended) = channel::<()>();
            ends.push(end);
            let (slow, answer) = reply();
            let hangs = move || {
                let _ = ended.recv();
                Err(Fault::new(Code::Internal, "over"))
            };
            requests.check(hangs, "root".into(), slow, now.mono);
            if turn < 4 {
                let (reply, _) = self::reply();
                let by: Box<str> = "root".into();
                let request = Request::Show { job: "a".into() };
                requests.take(Call { by: by.clone(), request, reply }, || panic!(), &scheduler);
                let (reply, status) = self::reply();
                let request = Request::Status;
                requests.take(Call { by, request, reply }, || health(&settings), &scheduler);
                assert!(matches!(status.try_recv(), Ok(Response::Status { .. })));
                assert!(!requests.has_next());
                assert!(matches!(
                    requests.begin(&mut scheduler, now, &mut events, None, |_, _| false),
                    Next::Nothing
                ));
                assert!(answer.try_recv().is_err());
                now.mono = now.mono.plus(CHECK_LIMIT);
                assert!(requests.give_up_in_time(now.mono).is_none());
                requests.begin(&mut scheduler, now, &mut events, None, |_, _| false);
                assert_eq!(events.drain(..).count(), 1, "the job that was to be shown");
            }
            match answer.try_recv() {
                Ok(Response::Refused(refusal)) => {
                    assert_eq!(refusal.code, Code::TooSlow);
                    let why = if turn < 4 { "within 3s" } else { "4 earlier attempts still hang" };
                    assert!(refusal.message.contains(why), "{refusal:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
