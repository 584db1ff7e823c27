//! The end of what each attempt of a run prints, for the store, and all of it for those who follow a
//! job.
//!
//! What is kept is what came last (`crate::core::printed`), with secrets taken out already. It stays
//! here until the run is over, so that who asks meanwhile sees what there is so far, and who tells
//! somebody of the run can show how it ended.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::control::follow::{FollowId, FollowSink, Followed};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::printed::Gatherer;
use crate::core::sort;

/// Takes the end of what a run has printed, as it is to be kept, and how many bytes that was in all.
/// Called on the output thread at the end of each attempt: it must not block.
pub type TailSink = Arc<dyn Fn(RunId, Vec<u8>, u64) + Send + Sync>;

/// Takes the end of what an attempt has printed, and how many bytes that was in all. Called on the output
/// thread: it must not block.
pub type WithTail = Box<dyn FnOnce(&[u8], u64) + Send>;

/// Takes how many bytes a run has printed in all, where its output is captured. Called on the output thread: it
/// must not block.
pub type WithTotal = Box<dyn FnOnce(Option<u64>) + Send>;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Tails {
    of_run: HashMap<RunId, Tail>,
    sink: Option<TailSink>,
    /// How many bytes of an attempt are kept unless its job says.
    keep: usize,
    followers: Vec<(FollowId, Option<Box<str>>, FollowSink)>,
}

struct Tail {
    job: Arc<Job>,
    gatherer: Gatherer,
    total: u64,
    /// An attempt goes on.
    goes_on: bool,
    /// There will be no other.
    is_over: bool,
    /// Who waits for that.
    at_end: Option<WithTotal>,
    /// Who waits for the end of that attempt.
    waiting: Vec<WithTail>,
}

impl fmt::Debug for Tails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tails").field("runs", &self.of_run.len()).finish_non_exhaustive()
    }
}

impl Tails {
    pub(super) fn new(sink: Option<TailSink>, keep: u32) -> Tails {
        Tails { sink, keep: keep as usize, ..Tails::default() }
    }

    /// An attempt of a run begins to print.
    pub(super) fn begin(&mut self, run: RunId, attempt: u32, job: &Arc<Job>) {
        let tail = self.of_run.entry(run).or_insert_with(|| Tail {
            job: Arc::clone(job),
            gatherer: Gatherer::default(),
            total: 0,
            goes_on: false,
            is_over: false,
            at_end: None,
            waiting: Vec::new(),
        });
        tail.gatherer.begin(attempt);
        tail.goes_on = true;
    }

    /// It has printed something.
    pub(super) fn feed(&mut self, run: RunId, is_stderr: bool, chunk: &[u8], at: Instant) {
        let Some(tail) = self.of_run.get_mut(&run).filter(|_| !chunk.is_empty()) else { return };
        tail.total += chunk.len() as u64;
        tail.gatherer.feed(at, is_stderr, chunk, keep(&tail.job, self.keep));
        for (_, job, sink) in &self.followers {
            if job.as_ref().is_none_or(|job| *job == tail.job.id) {
                let (job, bytes) = (tail.job.id.clone(), chunk.to_vec());
                sink(Followed::Output { job, run, is_stderr, bytes });
            }
        }
    }

    /// Its attempt has ended, and all that it printed has been fed.
    pub(super) fn end(&mut self, run: RunId) {
        let Some(tail) = self.of_run.get_mut(&run).filter(|tail| tail.goes_on) else { return };
        tail.goes_on = false;
        for (_, job, sink) in &self.followers {
            if job.as_ref().is_none_or(|job| *job == tail.job.id) {
                sink(Followed::Ended { job: tail.job.id.clone(), run });
            }
        }
        tail.gatherer.finish(keep(&tail.job, self.keep));
        if let Some(sink) = &self.sink {
            // That it is nothing is to be known as well.
            let kept = match tail.total {
                0 => Vec::new(),
                _ => tail.gatherer.printed().encode(),
            };
            sink(run, kept, tail.total);
        }
        for then in std::mem::take(&mut tail.waiting) {
            tail.show(then);
        }
        if tail.is_over
            && let Some(tail) = self.of_run.remove(&run)
            && let Some(then) = tail.at_end
        {
            then(Some(tail.total));
        }
    }

    /// Shows somebody the end of the last attempt that had a process, once all of it has been fed.
    pub(super) fn show(&mut self, run: RunId, then: WithTail) {
        match self.of_run.get_mut(&run) {
            Some(tail) if tail.goes_on => tail.waiting.push(then),
            Some(tail) => tail.show(then),
            None => then(&[], 0),
        }
    }

    /// There will be no other attempt. Who wants to know is told how much all of them have printed.
    pub(super) fn over(&mut self, run: RunId, then: Option<WithTotal>) {
        let total = match self.of_run.get_mut(&run) {
            // Its pipes may still hold something.
            Some(tail) if tail.goes_on => {
                (tail.is_over, tail.at_end) = (true, then);
                return;
            }
            _ => self.of_run.remove(&run).map(|tail| tail.total),
        };
        if let Some(then) = then {
            then(total);
        }
    }

    pub(super) fn follow(
        &mut self,
        id: FollowId,
        job: Option<Box<str>>,
        past: bool,
        sink: FollowSink,
    ) {
        if past {
            let is_meant = |tail: &Tail| job.as_ref().is_none_or(|job| *job == tail.job.id);
            let mut tails: Vec<(&RunId, &Tail)> =
                self.of_run.iter().filter(|(_, tail)| is_meant(tail)).collect();
            sort::by_key(&mut tails, |(run, _)| **run);
            for (&run, tail) in tails {
                let (job, printed) = (tail.job.id.clone(), tail.gatherer.printed().clone());
                sink(Followed::Past { job, run, printed });
                for is_stderr in [false, true] {
                    let bytes = tail.gatherer.unfinished(is_stderr).to_vec();
                    if !bytes.is_empty() {
                        let job = tail.job.id.clone();
                        sink(Followed::Output { job, run, is_stderr, bytes });
                    }
                }
            }
            sink(Followed::Present);
        }
        self.followers.push((id, job, sink));
    }

    pub(super) fn unfollow(&mut self, id: FollowId) {
        self.followers.retain(|follower| follower.0 != id);
    }
}

impl Tail {
    fn show(&self, then: WithTail) {
        match self.gatherer.printed().attempts.back() {
            Some(attempt) => {
                let text = attempt.text();
                then(&text, attempt.missing + text.len() as u64);
            }
            None => then(&[], 0),
        }
    }
}

/// How many bytes of each attempt of a job are kept.
fn keep(job: &Job, unless_said: usize) -> usize {
    job.options.keep_output.map_or(unless_said, |keep| keep as usize)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::core::job::{Command, Options};
    use crate::core::printed::Printed;
    use crate::core::trigger::{DateTrigger, Trigger};
    use crate::core::zone::Zone;

    const NOW: Instant = Instant::from_secs(0);

    fn job(id: &str, keep_output: Option<u32>) -> Arc<Job> {
        Arc::new(Job {
            id: id.into(),
            name: None,
            command: Command::Shell("true".into()),
            trigger: Trigger::Date(DateTrigger::Now),
            zone: Zone::utc(),
            executor: 0,
            options: Arc::new(Options { keep_output, ..Options::default() }),
        })
    }

    #[test]
    fn the_end_of_each_attempt_is_kept() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&kept);
        let sink: TailSink = Arc::new(move |run, tail, total| {
            sink.lock().unwrap().push((run, tail, total));
        });
        let mut tails = Tails::new(Some(sink), 8);
        let (a, b) = (job("a", None), job("b", Some(100)));
        tails.begin(RunId(1), 1, &a);
        tails.begin(RunId(2), 1, &a);
        tails.begin(RunId(3), 1, &b);
        tails.feed(RunId(1), false, b"first attempt\n", NOW);
        tails.feed(RunId(3), false, b"first attempt\n", NOW);
        tails.end(RunId(1));
        // Told twice, it has ended once.
        tails.end(RunId(1));
        tails.begin(RunId(1), 2, &a);
        tails.feed(RunId(1), true, b"second\n", NOW);
        tails.over(RunId(1), None);
        tails.end(RunId(1));
        // One that has printed nothing has no end, and that is known then.
        tails.end(RunId(2));
        tails.over(RunId(2), None);
        tails.end(RunId(3));
        tails.over(RunId(3), None);
        assert!(tails.of_run.is_empty());
        let kept = kept.lock().unwrap();
        let shown = kept.iter().map(|(run, bytes, total)| {
            let printed = Printed::decode(bytes, *total);
            let of = |attempt: &crate::core::printed::Attempt| (attempt.number, attempt.missing);
            let attempts: Vec<(u32, u64)> = printed.attempts.iter().map(of).collect();
            (run.0, String::from_utf8(printed.text()).unwrap(), *total, attempts)
        });
        let expected = [
            (1, "attempt\n".to_owned(), 14, vec![(1, 6)]),
            (1, "attempt\nsecond\n".to_owned(), 21, vec![(1, 6), (2, 0)]),
            (2, String::new(), 0, vec![(0, 0)]),
            (3, "first attempt\n".to_owned(), 14, vec![(1, 0)]),
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    /// Also where no store keeps any of it.
    #[test]
    fn who_tells_of_a_run_is_shown_how_it_ended() {
        let mut tails = Tails::new(None, 8);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let then = |name: &'static str| -> WithTail {
            let shown = Arc::clone(&shown);
            Box::new(move |tail, total| {
                let tail = String::from_utf8(tail.to_vec()).unwrap();
                shown.lock().unwrap().push((name, tail, total));
            })
        };
        let (a, b) = (job("a", None), job("b", Some(0)));
        tails.begin(RunId(1), 1, &a);
        tails.feed(RunId(1), false, b"the first attempt\nis\n", NOW);
        // It is shown when all of it is there.
        tails.show(RunId(1), then("retry"));
        tails.feed(RunId(1), false, b"over", NOW);
        tails.end(RunId(1));
        tails.begin(RunId(1), 2, &a);
        tails.feed(RunId(1), true, b"short\n", NOW);
        tails.end(RunId(1));
        tails.show(RunId(1), then("failure"));
        tails.over(RunId(1), None);
        // One of which nothing is kept, and one that never had a process.
        tails.begin(RunId(2), 1, &b);
        tails.feed(RunId(2), false, b"nothing\n", NOW);
        tails.show(RunId(2), then("nothing kept"));
        tails.over(RunId(2), None);
        tails.end(RunId(2));
        tails.show(RunId(3), then("no process"));
        tails.over(RunId(3), None);
        assert!(tails.of_run.is_empty());
        let expected = [
            ("retry", "\nis\nover", 25),
            ("failure", "short\n", 6),
            ("nothing kept", "", 8),
            ("no process", "", 0),
        ];
        let expected = expected.map(|(name, tail, total)| (name, tail.to_owned(), total));
        assert_eq!(*shown.lock().unwrap(), expected);
    }

    #[test]
    fn who_wants_to_know_is_told_how_much_a_run_has_printed() {
        let mut tails = Tails::new(None, 8);
        let told = Arc::new(Mutex::new(Vec::new()));
        let then = |name: &'static str| -> Option<WithTotal> {
            let told = Arc::clone(&told);
            Some(Box::new(move |total| told.lock().unwrap().push((name, total))))
        };
        let job = job("a", None);
        // Its pipe still holds something when it is over, and it had two attempts.
        for attempt in [1, 2] {
            tails.begin(RunId(1), attempt, &job);
            tails.feed(RunId(1), false, b"attempt\n", NOW);
            if attempt == 1 {
                tails.end(RunId(1));
            }
        }
        tails.over(RunId(1), then("late"));
        tails.feed(RunId(1), true, b"x", NOW);
        assert_eq!(*told.lock().unwrap(), []);
        tails.end(RunId(1));
        // Nothing is something that is known; what is not captured is not.
        tails.begin(RunId(2), 1, &job);
        tails.end(RunId(2));
        tails.over(RunId(2), then("nothing"));
        tails.over(RunId(3), then("not captured"));
        let expected = [("late", Some(17)), ("nothing", Some(0)), ("not captured", None)];
        assert_eq!(*told.lock().unwrap(), expected);
        assert!(tails.of_run.is_empty());
    }

    #[test]
    fn who_follows_hears_of_that_job() {
        let mut tails = Tails::default();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = |name: &'static str| -> FollowSink {
            let heard = Arc::clone(&heard);
            Arc::new(move |followed| heard.lock().unwrap().push((name, followed)))
        };
        tails.follow(FollowId(1), Some("a".into()), false, sink("a"));
        tails.follow(FollowId(2), None, false, sink("all"));
        tails.begin(RunId(1), 1, &job("a", None));
        tails.begin(RunId(2), 1, &job("b", None));
        tails.feed(RunId(1), true, b"x", NOW);
        tails.feed(RunId(2), false, b"y", NOW);
        tails.unfollow(FollowId(2));
        // One who comes later hears what there was.
        tails.feed(RunId(2), false, b"z\nrest", NOW);
        tails.follow(FollowId(3), Some("b".into()), true, sink("late"));
        for run in [RunId(1), RunId(2)] {
            tails.end(run);
            tails.over(run, None);
        }
        let heard = heard.lock().unwrap();
        let names: Vec<&str> = heard.iter().map(|heard| heard.0).collect();
        assert_eq!(names, ["a", "all", "all", "late", "late", "late", "a", "late"]);
        assert!(matches!(&heard[3].1, Followed::Past { .. }), "{heard:?}");
        assert!(
            matches!(&heard[4].1, Followed::Output { bytes, .. } if bytes == b"rest"),
            "{heard:?}"
        );
        assert_eq!(heard[5].1, Followed::Present);
        assert!(tails.of_run.is_empty());
    }
}
