//! `schedrs deliver`: hands over what it finds on standard input, and says what has come of each.
//!
//! It is a process of its own because it looks up names, which nothing but its end can interrupt, and
//! because it listens to strangers: it gives up all rights before it opens a socket
//! (`crate::sys::confine`). It keeps nothing and decides nothing: the outbox does
//! (`crate::core::notify::outbox`).
//!
//! `http` and `smtp` do one piece of work each, on a thread, with a limit of time of their own; a
//! thread that does not keep it is given up here. `judge` says what an answer means, `answer` what may
//! be kept of it, `proxy` and `roots` what the environment says of the transport.

mod answer;
mod http;
mod judge;
#[cfg(feature = "tls")]
mod proxy;
mod roots;
#[cfg(feature = "mail")]
mod smtp;

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use roots::Roots;

use super::wire::{DeliveryResult, LIMIT_SECS, LONGEST_WORK, MOST_WORK, Receipt, Task, Work};
use crate::core::instant::Mono;
use crate::core::notify::Transport;
use crate::core::notify::url::{Scheme, Url};
use crate::sys::{clock, confine};

/// So many are done at a time.
const AT_ONCE: usize = 8;

/// So many of them at one host.
const AT_A_HOST: usize = 4;

/// By which part of the limit a thread may be late before it is given up.
const GRACE: u32 = 10;

/// So much memory it may have, most of which is addresses that nothing stands behind.
const MEMORY: u64 = 512 << 20;

/// A thread needs less than is usual.
const STACK: usize = 1 << 20;

/// Whom TLS trusts, or why nobody, and who is connected already.
struct Trust {
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no TLS"))]
    roots: Result<Roots, String>,
    /// By what they are connected to, and how.
    agents: Mutex<HashMap<(String, Transport), ureq::Agent>>,
}

impl Trust {
    fn new(roots: Result<Roots, String>) -> Trust {
        Trust { roots, agents: Mutex::default() }
    }
}

/// The same for whoever trusts a file beside the machine, too.
struct Trusts {
    machine: Trust,
    beside: HashMap<Box<str>, Trust>,
}

impl Trusts {
    /// Reads them, while that may still be read.
    fn of(all: &VecDeque<Arc<Delivery>>) -> Trusts {
        let may_need_it = |delivery: &&Arc<Delivery>| {
            delivery.url.as_ref().is_some_and(|url| url.scheme() != Scheme::Http)
        };
        let needy: Vec<&Arc<Delivery>> = all.iter().filter(may_need_it).collect();
        let roots = if needy.is_empty() { Ok(Roots::BuiltIn) } else { Roots::of_machine() };
        let mut beside = HashMap::new();
        for path in needy.iter().filter_map(|delivery| delivery.work.transport.ca_file.as_ref()) {
            let trust = || Trust::new(roots.clone().and_then(|roots| roots.with(path)));
            beside.entry(path.clone()).or_insert_with(trust);
        }
        Trusts { machine: Trust::new(roots), beside }
    }

    fn for_work(&self, work: &Work) -> &Trust {
        work.transport
            .ca_file
            .as_ref()
            .and_then(|path| self.beside.get(path))
            .unwrap_or(&self.machine)
    }
}

/// What has come of a piece of work.
#[derive(Debug)]
struct Done {
    result: DeliveryResult,
    status: Option<u16>,
    retry_after: Option<u64>,
    body_limit: Option<u64>,
    /// As it was said.
    answer: String,
    /// That nobody has answered has nothing to do with what was sent.
    is_silence: bool,
}

impl Done {
    fn of(result: DeliveryResult, why: &str) -> Done {
        let answer = why.to_owned();
        let (status, retry_after, body_limit) = (None, None, None);
        Done { result, status, retry_after, body_limit, answer, is_silence: false }
    }

    /// It will not go better the next time.
    fn refused(why: &str) -> Done {
        Done::of(DeliveryResult::Refused, why)
    }

    /// It may.
    fn again(why: &str) -> Done {
        Done::of(DeliveryResult::Again, why)
    }

    /// Nobody has answered.
    fn silence(why: &str) -> Done {
        Done { is_silence: true, ..Done::again(why) }
    }

    fn too_late(limit: Duration) -> Done {
        Done::silence(&format!("no answer within {}", crate::core::words::elapsed(limit)))
    }

    /// What is said of it.
    fn receipt(&self, work: &Work, took: Duration) -> Receipt {
        Receipt {
            id: work.id.clone(),
            result: self.result,
            status: self.status,
            retry_after: self.retry_after,
            body_limit: self.body_limit,
            answer: answer::shown(&self.answer, &work.secrets),
            ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Reads work, gives up all rights, does it. The error is that standard input or output is of no use.
pub fn run(input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
    let work = read(input)?;
    // Of a panic somebody else hears, and what it says may hold what is secret.
    std::panic::set_hook(Box::new(|_| {}));
    let trust = Trusts::of(&work);
    if let Err(error) = confine::confine(MEMORY) {
        let done = Done::again(&format!("the helper cannot give up its rights: {error}"));
        return work
            .iter()
            .try_for_each(|one| say(&done.receipt(&one.work, Duration::ZERO), output));
    }
    // Nothing that is told is more urgent than what is to be started.
    let _ = rustix::process::nice(10);
    Batch::new(work, trust, limit()).run(output)
}

/// The limit of time, which tests make shorter.
fn limit() -> Duration {
    #[cfg(debug_assertions)]
    if let Some(millis) = std::env::var("SCHEDRS_TEST_LIMIT").ok().and_then(|ms| ms.parse().ok()) {
        return Duration::from_millis(millis);
    }
    Duration::from_secs(LIMIT_SECS)
}

/// The work on standard input. What is none is left out: whoever has sent it hears nothing of it.
fn read(input: &mut dyn BufRead) -> io::Result<VecDeque<Arc<Delivery>>> {
    let mut all = VecDeque::new();
    let mut line = Vec::new();
    for _ in 0..MOST_WORK {
        line.clear();
        let mut one = input.take(LONGEST_WORK as u64);
        if one.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if let Ok(work) = serde_json::from_slice::<Work>(&line) {
            let url = work.url();
            all.push_back(Arc::new(Delivery { work, url }));
        }
    }
    Ok(all)
}

#[cfg(not(feature = "mail"))]
const NO_MAIL: &str = "this schedrs is built without the feature `mail`, which mail servers need: leave out \
                       `smtp`, and mail goes through sendmail";

/// Does one thing.
fn perform(work: &Work, limit: Duration, trusts: &Trusts) -> Done {
    let trust = trusts.for_work(work);
    match &work.task {
        Task::Http(request) => http::send(&work.service, request, &work.transport, limit, trust),
        #[cfg(feature = "mail")]
        Task::Smtp(smtp) => smtp::send(smtp, limit, trust),
        #[cfg(not(feature = "mail"))]
        Task::Smtp(_) => Done::refused(NO_MAIL),
        Task::Reach(place) if place.starts_with("http") => {
            http::reach(place, &work.transport, limit, trust)
        }
        #[cfg(feature = "mail")]
        Task::Reach(place) => smtp::reach(place, limit, trust),
        #[cfg(not(feature = "mail"))]
        Task::Reach(_) => Done::refused(NO_MAIL),
        Task::Sendmail(_) | Task::Command(_) => {
            Done::refused("a program of this machine is not for the helper")
        }
    }
}

fn say(receipt: &Receipt, output: &mut dyn Write) -> io::Result<()> {
    let line = serde_json::to_string(receipt).map_err(io::Error::other)?;
    writeln!(output, "{line}")?;
    output.flush()
}

/// A piece of work with where it goes.
struct Delivery {
    work: Work,
    url: Option<Url>,
}

impl Delivery {
    fn host(&self) -> &str {
        self.url.as_ref().map_or("", Url::host)
    }

    /// Whether another need not be tried, since this one went so.
    fn speaks_for(&self, other: &Delivery, done: &Done) -> bool {
        let (Some(mine), Some(its)) = (&self.url, &other.url) else { return false };
        // Many share a server, but not the address.
        done.is_silence && mine.origin() == its.origin()
            || done.result == DeliveryResult::Again && done.status == Some(429) && mine == its
    }
}

/// What is under transport.
struct Running {
    number: usize,
    delivery: Arc<Delivery>,
    since: Mono,
}

/// All there is to do.
struct Batch {
    waiting: VecDeque<Arc<Delivery>>,
    running: Vec<Running>,
    trust: Arc<Trusts>,
    limit: Duration,
    /// Numbers what was begun, so that nobody takes an answer for another's.
    begun: usize,
    sender: Sender<(usize, Done)>,
    receiver: Receiver<(usize, Done)>,
}

impl Batch {
    fn new(waiting: VecDeque<Arc<Delivery>>, trust: Trusts, limit: Duration) -> Batch {
        let (sender, receiver) = channel();
        let (trust, running) = (Arc::new(trust), Vec::new());
        Batch { waiting, running, trust, limit, begun: 0, sender, receiver }
    }

    /// Does it, and says of each what has come of it.
    fn run(mut self, output: &mut dyn Write) -> io::Result<()> {
        loop {
            while self.running.len() < AT_ONCE
                && let Some(work) = self.next()
            {
                self.begin(work, output)?;
            }
            let Some(first) = self.running.iter().map(|one| one.since).min() else { return Ok(()) };
            let until = first.plus(self.patience());
            match self.receiver.recv_timeout(until.since(clock::mono())) {
                Ok((number, done)) => self.end(number, &done, output)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.give_up(output)?;
                }
            }
        }
    }

    /// After how long a thread is given up.
    fn patience(&self) -> Duration {
        self.limit + self.limit / GRACE
    }

    /// What may be begun.
    fn next(&mut self) -> Option<Arc<Delivery>> {
        let at = |host| self.running.iter().filter(|one| one.delivery.host() == host).count();
        let found = self.waiting.iter().position(|delivery| at(delivery.host()) < AT_A_HOST);
        found.and_then(|place| self.waiting.remove(place))
    }

    fn begin(&mut self, delivery: Arc<Delivery>, output: &mut dyn Write) -> io::Result<()> {
        self.begun += 1;
        let (number, limit) = (self.begun, self.limit);
        let (sender, trust, its) = (self.sender.clone(), self.trust.clone(), delivery.clone());
        let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(|| perform(&its.work, limit, &trust)));
            let done = done.unwrap_or_else(|_| Done::again("the helper has panicked"));
            // Nobody is left to hear it who was not patient enough.
            let _ = sender.send((number, done));
        });
        if let Err(error) = thread {
            let done = Done::again(&format!("there is no thread for it: {error}"));
            return say(&done.receipt(&delivery.work, Duration::ZERO), output);
        }
        self.running.push(Running { number, delivery, since: clock::mono() });
        Ok(())
    }

    /// One is over, unless it was given up before.
    fn end(&mut self, number: usize, done: &Done, output: &mut dyn Write) -> io::Result<()> {
        let Some(place) = self.running.iter().position(|one| one.number == number) else {
            return Ok(());
        };
        let Running { delivery, since, .. } = self.running.swap_remove(place);
        say(&done.receipt(&delivery.work, clock::mono().since(since)), output)?;
        self.spare(&delivery, done, output)
    }

    /// Gives up what is too late.
    fn give_up(&mut self, output: &mut dyn Write) -> io::Result<()> {
        let (now, patience) = (clock::mono(), self.patience());
        let late = |one: &Running| (now.since(one.since) >= patience).then_some(one.number);
        let late: Vec<usize> = self.running.iter().filter_map(late).collect();
        let done = Done::too_late(self.limit);
        late.into_iter().try_for_each(|number| self.end(number, &done, output))
    }

    /// Does not try what would only wait for the same silence: a hundred messages to a server that is
    /// away take no longer than four.
    fn spare(&mut self, first: &Delivery, done: &Done, output: &mut dyn Write) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let (spared, waiting): (VecDeque<_>, _) =
            waiting.into_iter().partition(|delivery| first.speaks_for(delivery, done));
        self.waiting = waiting;
        let done = Done {
            retry_after: done.retry_after,
            ..Done::again(&format!("not tried, since another one failed: {}", done.answer))
        };
        spared.iter().try_for_each(|one| say(&done.receipt(&one.work, Duration::ZERO), output))
    }
}
