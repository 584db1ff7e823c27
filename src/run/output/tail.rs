//! The end of what each run prints, for the store, and all of it for those who follow a job.
//!
//! What is kept is what came last, stdout and stderr as they came, with secrets taken out already.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::control::follow::{FollowId, FollowSink, Followed};
use crate::core::event::RunId;
use crate::core::job::Job;

/// How much of a run is kept.
const KEPT: usize = 4096;

/// Takes the end of what a run has printed, and how much that was in all. Called on the output
/// thread once the run has ended: it must not block.
pub type TailSink = Arc<dyn Fn(RunId, Vec<u8>, u64) + Send + Sync>;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Tails {
    of_run: HashMap<RunId, Tail>,
    sink: Option<TailSink>,
    followers: Vec<(FollowId, Option<Box<str>>, FollowSink)>,
}

struct Tail {
    job: Arc<Job>,
    bytes: Vec<u8>,
    total: u64,
}

impl fmt::Debug for Tails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tails").field("runs", &self.of_run.len()).finish_non_exhaustive()
    }
}

impl Tails {
    pub(super) fn new(sink: Option<TailSink>) -> Tails {
        Tails { sink, ..Tails::default() }
    }

    /// A run begins to print.
    pub(super) fn begin(&mut self, run: RunId, job: &Arc<Job>) {
        if self.sink.is_some() || !self.followers.is_empty() {
            let tail = Tail { job: Arc::clone(job), bytes: Vec::new(), total: 0 };
            self.of_run.entry(run).or_insert(tail);
        }
    }

    /// It has printed something.
    pub(super) fn feed(&mut self, run: RunId, is_stderr: bool, chunk: &[u8]) {
        let Some(tail) = self.of_run.get_mut(&run).filter(|_| !chunk.is_empty()) else { return };
        tail.total += chunk.len() as u64;
        let last = &chunk[chunk.len().saturating_sub(KEPT)..];
        // Cut only now and then, and not with each line.
        if tail.bytes.len() + last.len() > 2 * KEPT {
            let keep = KEPT - last.len();
            let cut = tail.bytes.len().saturating_sub(keep);
            tail.bytes.drain(..cut);
        }
        tail.bytes.extend_from_slice(last);
        for (_, job, sink) in &self.followers {
            if job.as_ref().is_none_or(|job| *job == tail.job.id) {
                let (job, bytes) = (tail.job.id.clone(), chunk.to_vec());
                sink(Followed::Output { job, run, is_stderr, bytes });
            }
        }
    }

    /// It has ended, and all that it printed has been fed.
    pub(super) fn end(&mut self, run: RunId) {
        let Some(mut tail) = self.of_run.remove(&run) else { return };
        for (_, job, sink) in &self.followers {
            if job.as_ref().is_none_or(|job| *job == tail.job.id) {
                sink(Followed::Ended { job: tail.job.id.clone(), run });
            }
        }
        if let Some(sink) = self.sink.as_ref().filter(|_| tail.total > 0) {
            tail.bytes.drain(..tail.bytes.len().saturating_sub(KEPT));
            sink(run, tail.bytes, tail.total);
        }
    }

    pub(super) fn follow(&mut self, id: FollowId, job: Option<Box<str>>, sink: FollowSink) {
        self.followers.push((id, job, sink));
    }

    pub(super) fn unfollow(&mut self, id: FollowId) {
        self.followers.retain(|follower| follower.0 != id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::core::job::{Command, Options};
    use crate::core::trigger::{DateTrigger, Trigger};
    use crate::core::zone::Zone;

    fn job(id: &str) -> Arc<Job> {
        Arc::new(Job {
            id: id.into(),
            name: None,
            command: Command::Shell("true".into()),
            trigger: Trigger::Date(DateTrigger::Now),
            zone: Zone::utc(),
            executor: 0,
            options: Arc::new(Options::default()),
        })
    }

    #[test]
    fn the_end_is_kept_whatever_the_chunks() {
        let all: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        for size in [1, 7, 1000, KEPT, KEPT + 1, 3 * KEPT, 20_000] {
            let kept = Arc::new(Mutex::new(Vec::new()));
            let sink = Arc::clone(&kept);
            let sink: TailSink = Arc::new(move |run, tail, total| {
                sink.lock().unwrap().push((run, tail, total));
            });
            let mut tails = Tails::new(Some(sink));
            tails.begin(RunId(1), &job("a"));
            tails.begin(RunId(2), &job("a"));
            for chunk in all.chunks(size) {
                tails.feed(RunId(1), false, chunk);
                assert!(tails.of_run[&RunId(1)].bytes.len() <= 2 * KEPT);
            }
            tails.end(RunId(1));
            // One that has printed nothing has no end.
            tails.end(RunId(2));
            let expected = (RunId(1), all[all.len() - KEPT..].to_vec(), 20_000);
            assert_eq!(*kept.lock().unwrap(), [expected], "{size}");
            assert!(tails.of_run.is_empty());
        }
    }

    #[test]
    fn who_follows_hears_of_that_job() {
        let mut tails = Tails::default();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = |name: &'static str| -> FollowSink {
            let heard = Arc::clone(&heard);
            Arc::new(move |followed| heard.lock().unwrap().push((name, followed)))
        };
        tails.follow(FollowId(1), Some("a".into()), sink("a"));
        tails.follow(FollowId(2), None, sink("all"));
        tails.begin(RunId(1), &job("a"));
        tails.begin(RunId(2), &job("b"));
        tails.feed(RunId(1), true, b"x");
        tails.feed(RunId(2), false, b"y");
        tails.unfollow(FollowId(2));
        tails.end(RunId(1));
        tails.end(RunId(2));
        let names: Vec<&str> = heard.lock().unwrap().iter().map(|heard| heard.0).collect();
        assert_eq!(names, ["a", "all", "all", "a"]);
    }
}
