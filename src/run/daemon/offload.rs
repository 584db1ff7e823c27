//! Work that may take long, or hang, on a thread of its own and within a limit of time.
//!
//! Reading the jobfile waits for a disk, and what makes a job of a text waits for the files of the
//! time zones. The loop hands such work over and goes on; what comes of it is a message
//! ([`Message::Done`]). A thread cannot be cancelled from outside: one that is not done in time is
//! given up, and what it still comes up with is ignored. There is a limit to how many of those
//! there may be, so that a disk that hangs costs a few threads and not one for each try.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::effects::Message;
use super::requests::{Composed, Fit};
use super::watch::Looked;
use super::{Jobfile, Wrong};
use crate::core::event::Fault;
use crate::core::instant::Mono;
use crate::core::words;
use crate::sys::mailbox::Mailbox;

/// So many threads that were given up may be left at a time, for each lane.
const MOST_STUCK: usize = 4;

/// What is done elsewhere: one thing at a time in each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The jobfile is read.
    Reading,
    /// What somebody has sent is checked.
    Checking,
}

/// What has come of it.
#[derive(Debug)]
pub(crate) enum Done {
    /// The jobfile was read: what it says, or its problems.
    Loaded(Result<Jobfile, Wrong>),
    /// The files of the jobfile were looked at: what was found, and what was read if they were edited.
    Looked(Box<Looked>, Option<Result<Jobfile, Wrong>>),
    /// What a request wants of the scheduler, or why it is not taken.
    Checked(Result<Fit, Fault>),
    /// A jobfile, and what was added and changed at run time, put together.
    Composed(Box<Composed>),
    /// It has panicked.
    Broken,
}

/// Why work was not begun.
#[derive(Debug)]
pub(super) enum NotBegun {
    /// So many threads that were given up have not come back.
    Stuck(usize),
    /// There is no thread to be had.
    NoThread(std::io::Error),
}

impl fmt::Display for NotBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotBegun::Stuck(count) => write!(f, "{count} earlier attempts still hang"),
            NotBegun::NoThread(error) => write!(f, "no thread can be started for it: {error}"),
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Offload {
    lane: Lane,
    mailbox: Mailbox<Message>,
    /// The number of the last piece of work.
    last: u64,
    under_way: Option<UnderWay>,
    /// The threads that were given up, for as long as they exist.
    stuck: Vec<Thread>,
}

/// Exists for as long as its thread does. It is set once nobody waits for that any more.
type Thread = Weak<AtomicBool>;

#[derive(Debug)]
struct UnderWay {
    limit: Duration,
    until: Mono,
    thread: Thread,
}

impl Offload {
    pub(super) fn new(lane: Lane, mailbox: Mailbox<Message>) -> Offload {
        Offload { lane, mailbox, last: 0, under_way: None, stuck: Vec::new() }
    }

    /// Begins something, where nothing is under way.
    pub(super) fn begin(
        &mut self,
        now: Mono,
        limit: Duration,
        work: impl FnOnce() -> Done + Send + 'static,
    ) -> Result<(), NotBegun> {
        self.stuck.retain(|thread| thread.strong_count() > 0);
        if self.stuck.len() >= MOST_STUCK {
            return Err(NotBegun::Stuck(self.stuck.len()));
        }
        self.last += 1;
        let (lane, number, mailbox) = (self.lane, self.last, self.mailbox.clone());
        let given_up = Arc::new(AtomicBool::new(false));
        let thread = Arc::downgrade(&given_up);
        let run = move || {
            let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Done::Broken);
            // It may be a large jobfile, which takes the loop's time even to be dropped.
            if !given_up.load(Ordering::Relaxed) {
                mailbox.send(Message::Done { lane, number, done: Box::new(done) });
            }
        };
        let name = match lane {
            Lane::Reading => "reload",
            Lane::Checking => "check",
        };
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        spawned.map_err(NotBegun::NoThread)?;
        self.under_way = Some(UnderWay { limit, until: now.plus(limit), thread });
        Ok(())
    }

    /// Something has been done. Answers whether anybody still waits for it.
    pub(super) fn finish(&mut self, number: u64) -> bool {
        number == self.last && self.under_way.take().is_some()
    }

    /// When what is under way is given up.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.under_way.as_ref().map(|under_way| under_way.until)
    }

    /// Gives up what has not been done in time. Answers what the limit was, in words.
    pub(super) fn give_up_in_time(&mut self, now: Mono) -> Option<String> {
        let late = self.under_way.take_if(|under_way| now >= under_way.until)?;
        if let Some(given_up) = late.thread.upgrade() {
            given_up.store(true, Ordering::Relaxed);
        }
        self.stuck.push(late.thread);
        Some(words::span(late.limit))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::Waker;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn offload() -> (Offload, Mailbox<Message>) {
        let mailbox = Mailbox::new(Arc::new(Waker::new().unwrap()));
        (Offload::new(Lane::Checking, mailbox.clone()), mailbox)
    }

    /// The number of the next piece of work that is done. Somebody is about to send it.
    fn done(mailbox: &Mailbox<Message>) -> u64 {
        loop {
            match mailbox.take().pop() {
                Some(Message::Done { number, .. }) => return number,
                _ => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn what_is_done_in_time_counts_once() {
        let (mut offload, mailbox) = offload();
        offload.begin(Mono::default(), LIMIT, || Done::Broken).unwrap();
        assert!(offload.deadline().is_some());
        let number = done(&mailbox);
        assert!(offload.finish(number));
        assert!(!offload.finish(number));
        assert_eq!(offload.deadline(), None);
        assert_eq!(offload.give_up_in_time(Mono::default().plus(LIMIT * 2)), None);
    }

    #[test]
    fn what_hangs_is_given_up_and_few_threads_are_left_behind() {
        let (mut offload, mailbox) = offload();
        let mut now = Mono::default();
        let mut ends = Vec::new();
        for _ in 0..MOST_STUCK {
            let (end, ended) = channel::<()>();
            ends.push(end);
            offload
                .begin(now, LIMIT, move || {
                    let _ = ended.recv();
                    Done::Broken
                })
                .unwrap();
            assert_eq!(offload.give_up_in_time(now), None, "not before its time");
            assert_eq!(offload.deadline(), Some(now.plus(LIMIT)));
            now = now.plus(LIMIT);
            assert_eq!(offload.give_up_in_time(now).as_deref(), Some("5s"));
            assert_eq!(offload.deadline(), None);
        }
        let refused = offload.begin(now, LIMIT, || Done::Broken).unwrap_err();
        assert_eq!(refused.to_string(), "4 earlier attempts still hang");
        // One comes back after all: what it has is ignored, and there is room again.
        drop(ends.pop());
        while offload.stuck.iter().all(|thread| thread.strong_count() > 0) {
            std::thread::yield_now();
        }
        assert!(mailbox.take().is_empty());
        offload.begin(now, LIMIT, || Done::Broken).unwrap();
        assert!(offload.finish(done(&mailbox)));
    }

    #[test]
    fn a_panic_is_an_answer() {
        let (mut offload, mailbox) = offload();
        offload.begin(Mono::default(), LIMIT, || panic!("on purpose")).unwrap();
        assert!(offload.finish(done(&mailbox)));
    }
}
