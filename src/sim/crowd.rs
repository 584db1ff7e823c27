//! Minutes in which more attempts are due than an executor has slots, so that some have to wait, and what would
//! spread them.
//!
//! Pure: [`Crowds`] looks on at a simulation and counts. What a `jitter` for the jobs of the worst minute
//! ([`Crowd::spread`]) would change is counted too ([`Crowds::peak_with`]), which costs less than to simulate it;
//! `crate::cli::command::simulate` simulates the best once, to see whether it does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Observer;
use crate::core::event::Action;
use crate::core::instant::{Instant, Now};
use crate::core::job::{Job, Options};
use crate::core::sort;
use crate::core::trigger::Trigger;

/// So many minutes of executors are counted, nearly two years of one; further ones are left out.
const MOST: usize = 1_000_000;

/// So many due times of a job are looked at to tell whether it takes part in a minute.
const LOOKED_AT: usize = 10_000;

/// Who waits for less than this is in nobody's way.
const LONG: Duration = Duration::from_secs(1);

const MINUTE: i64 = 60;

/// How long a jitter is tried, the shortest first.
pub const JITTERS: [Duration; 7] = [
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(300),
    Duration::from_secs(600),
    Duration::from_secs(900),
    Duration::from_secs(1800),
    Duration::from_secs(3600),
];

/// How many first attempts each minute wants, of each executor.
#[derive(Debug, Default)]
pub struct Crowds {
    minutes: HashMap<(u16, i64), Minute>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    /// How many want to start in it.
    starts: u32,
    /// How many of these have no slot for so [`LONG`].
    wait: u32,
}

/// A minute of the day in which an executor is short of slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Crowd {
    /// The executor's place among all.
    pub executor: u16,
    /// On how many days there are more attempts than slots in this minute.
    pub days: u32,
    /// When it is worst: the beginning of a minute.
    pub worst: Instant,
    /// How many attempts want to start in that minute.
    pub starts: u32,
}

impl Observer for Crowds {
    fn see(&mut self, now: Now, action: &Action) {
        let Action::Start(start) = action else { return };
        if start.attempt != 1 {
            return;
        }
        // When it wants to start, which is not when it has a slot.
        let wants = match start.job.trigger {
            Trigger::After(_) => now.wall.minus(start.waited),
            _ => start.due.plus(start.job.delay(start.due)),
        };
        let (key, is_full) = ((start.job.executor, minute(wants)), self.minutes.len() >= MOST);
        if !is_full || self.minutes.contains_key(&key) {
            let minute = self.minutes.entry(key).or_default();
            minute.starts += 1;
            minute.wait += u32::from(start.waited >= LONG);
        }
    }
}

/// The minute that an instant is in.
fn minute(at: Instant) -> i64 {
    at.secs().div_euclid(MINUTE)
}

impl Crowds {
    /// How many attempts want to start in the worst minute of an executor.
    pub fn peak(&self, executor: u16) -> u32 {
        let its = self.minutes.iter().filter(|((own, _), _)| *own == executor);
        its.map(|(_, minute)| minute.starts).max().unwrap_or(0)
    }

    /// What [`Crowds::peak`] would be if the jobs at these places were `spread`, for a scheduler that starts at
    /// `from`, of what is due in the span `near`: counted, so that one may try many.
    pub fn peak_with(
        &self,
        executor: u16,
        (jobs, spread, places): (&[Arc<Job>], &[Arc<Job>], &[usize]),
        (from, near): (Instant, (Instant, Instant)),
    ) -> u32 {
        let span = minute(near.0)..minute(near.1);
        let its = |of: u16, minute: &i64| of == executor && span.contains(minute);
        let its = self.minutes.iter().filter(|((of, minute), _)| its(*of, minute));
        let mut starts: HashMap<i64, u32> =
            its.map(|((_, minute), counted)| (*minute, counted.starts)).collect();
        for place in places {
            let (before, after) = (&jobs[*place], &spread[*place]);
            let trigger = before.trigger.anchored(from);
            let first = trigger.next_after(near.0.just_before());
            let dues = std::iter::successors(first, |due| trigger.next_after(*due));
            let dues = dues.take_while(|due| *due < near.1).take(MOST);
            for due in dues.filter(|due| before.excluded(*due).is_none()) {
                // One that was skipped has not been counted.
                let then = starts.get_mut(&minute(due.plus(before.delay(due))));
                let Some(then) = then.filter(|starts| **starts > 0) else { continue };
                *then -= 1;
                *starts.entry(minute(due.plus(after.delay(due)))).or_default() += 1;
            }
        }
        starts.into_values().max().unwrap_or(0)
    }

    /// The minutes of the day with more attempts than slots of which some have to wait, the worst first.
    /// `slots`: of each executor. `clock`: seconds since midnight on the clocks that days and minutes are
    /// told by.
    pub fn over(&self, slots: &[u32], clock: impl Fn(Instant) -> i64) -> Vec<Crowd> {
        let mut crowds: HashMap<(u16, i64), Crowd> = HashMap::new();
        for (&(executor, minute), &Minute { starts, wait }) in &self.minutes {
            let has_enough = slots.get(usize::from(executor)).is_none_or(|slots| starts <= *slots);
            if has_enough || wait == 0 {
                continue;
            }
            let worst = Instant::from_secs(minute * MINUTE);
            let key = (executor, clock(worst).div_euclid(MINUTE));
            let first = || Crowd { executor, days: 0, worst, starts };
            let crowd = crowds.entry(key).or_insert_with(first);
            crowd.days += 1;
            if (starts, std::cmp::Reverse(worst)) > (crowd.starts, std::cmp::Reverse(crowd.worst)) {
                (crowd.starts, crowd.worst) = (starts, worst);
            }
        }
        let mut crowds: Vec<Crowd> = crowds.into_values().collect();
        sort::by_key(&mut crowds, |crowd| {
            (std::cmp::Reverse(crowd.starts), crowd.executor, crowd.worst)
        });
        crowds
    }
}

impl Crowd {
    /// The places of the jobs that take part in its worst minute, for a scheduler that starts at `from`.
    pub fn jobs(&self, jobs: &[Arc<Job>], from: Instant) -> Vec<usize> {
        let takes_part = |job: &Job| {
            let (begin, end) = (self.worst, self.worst.plus(Duration::from_secs(MINUTE as u64)));
            let trigger = job.trigger.anchored(from);
            let earliest = begin.minus(job.options.longest_delay() + Duration::from_micros(1));
            let dues =
                std::iter::successors(trigger.next_after(earliest), |due| trigger.next_after(*due));
            let dues = dues.take_while(|due| *due < end).take(LOOKED_AT);
            let mut fires = dues.filter(|due| job.excluded(*due).is_none());
            fires.any(|due| (begin..end).contains(&due.plus(job.delay(due))))
        };
        let may = |job: &Job| job.executor == self.executor && !job.options.paused;
        let its = jobs.iter().enumerate().filter(|(_, job)| may(job));
        its.filter(|(_, job)| takes_part(job)).map(|(place, _)| place).collect()
    }

    /// The jobs with a jitter for those that can have one: that have none yet, and are due seldom enough
    /// that it moves none of their due times past the middle of the way to the next. Answers their places,
    /// too.
    pub fn spread(
        &self,
        jobs: &[Arc<Job>],
        from: Instant,
        jitter: Duration,
    ) -> (Vec<Arc<Job>>, Vec<usize>) {
        let mut spread = jobs.to_vec();
        let can = |place: &usize| {
            let job = &jobs[*place];
            let trigger = job.trigger.anchored(from);
            let due = trigger.next_after(self.worst.minus(Duration::from_micros(1)));
            let next = due.and_then(|due| trigger.next_after(due));
            let is_seldom = match (due, next) {
                (Some(due), Some(next)) => next.since(due) >= jitter * 2,
                _ => true,
            };
            is_seldom && job.options.longest_delay().is_zero()
        };
        let places: Vec<usize> = self.jobs(jobs, from).into_iter().filter(can).collect();
        for place in &places {
            let job = &*spread[*place];
            let options = Options { jitter, ..(*job.options).clone() };
            spread[*place] = Arc::new(Job { options: Arc::new(options), ..job.clone() });
        }
        (spread, places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{RunId, Start};
    use crate::core::instant::Mono;
    use crate::core::job::Command;
    use crate::core::trigger::CronTrigger;
    use crate::core::trigger::after::{AfterTrigger, On};
    use crate::core::trigger::cron::crontab::{self, Crontab};
    use crate::core::zone::Zone;

    fn job(id: &str, cron: &str, executor: u16, jitter: u64) -> Arc<Job> {
        let Some(Crontab::Schedule(schedule)) = crontab::parse(cron, id, &mut Vec::new()) else {
            panic!("{cron}")
        };
        let options = Options { jitter: Duration::from_secs(jitter), ..Options::default() };
        Arc::new(Job {
            id: id.into(),
            name: None,
            command: Command::Shell("true".into()),
            trigger: Trigger::Cron(Arc::new(CronTrigger::new([schedule], Zone::utc(), None, None))),
            zone: Zone::utc(),
            executor,
            options: Arc::new(options),
        })
    }

    fn jobs() -> Vec<Arc<Job>> {
        vec![
            job("a", "0 3 * * *", 0, 0),
            job("b", "0 * * * *", 0, 0),
            job("c", "*/5 * * * *", 0, 0),
            job("d", "30 3 * * *", 0, 0),
            job("e", "0 3 * * *", 1, 0),
            job("f", "0 3 * * *", 0, 30),
        ]
    }

    fn see(crowds: &mut Crowds, job: &Arc<Job>, due: i64, attempt: u32) {
        see_after(crowds, job, due, attempt, Duration::from_secs(1));
    }

    fn see_after(crowds: &mut Crowds, job: &Arc<Job>, due: i64, attempt: u32, waited: Duration) {
        let due = Instant::from_secs(due);
        let start = Start { run: RunId(1), attempt, due, waited, job: Arc::clone(job) };
        let now = Now { wall: due.plus(waited), mono: Mono::from_micros(1) };
        crowds.see(now, &Action::Start(start));
    }

    const THREE: i64 = 3 * 3600;
    const DAY: i64 = 86_400;

    #[test]
    fn minutes_are_told_apart_by_executor_and_clock() {
        let jobs = jobs();
        let mut crowds = Crowds::default();
        for day in 0..3 {
            for job in [&jobs[0], &jobs[1], &jobs[5], &jobs[4]] {
                see(&mut crowds, job, day * DAY + THREE, 1);
                // A retry is not due.
                see(&mut crowds, job, day * DAY + THREE, 2);
            }
            see(&mut crowds, &jobs[3], day * DAY + THREE + 1800, 1);
        }
        see(&mut crowds, &jobs[2], DAY + THREE, 1);
        assert_eq!((crowds.peak(0), crowds.peak(1), crowds.peak(2)), (4, 1, 0));
        let clock = |at: Instant| at.secs().rem_euclid(DAY);
        let worst = Instant::from_secs(DAY + THREE);
        assert_eq!(crowds.over(&[2, 1], clock), [Crowd { executor: 0, days: 3, worst, starts: 4 }]);
        assert_eq!(crowds.over(&[3, 1], clock)[0].days, 1);
        assert_eq!(crowds.over(&[4, 1], clock), []);
    }

    #[test]
    fn where_nothing_waits_there_is_no_crowd() {
        let jobs = jobs();
        let mut crowds = Crowds::default();
        for second in 0..60 {
            see_after(&mut crowds, &jobs[0], THREE + second, 1, Duration::from_millis(5));
        }
        let clock = |at: Instant| at.secs().rem_euclid(DAY);
        assert_eq!(crowds.over(&[20, 1], clock), []);
        see(&mut crowds, &jobs[0], THREE, 1);
        assert_eq!(crowds.over(&[20, 1], clock)[0].starts, 61);
        assert_eq!(crowds.over(&[61, 1], clock), []);
    }

    #[test]
    fn a_job_after_others_starts_when_these_have_ended() {
        let mut chained = Job::clone(&jobs()[0]);
        let after = AfterTrigger::new(["b".into()], On::Succeeded, None);
        chained.trigger = Trigger::After(Arc::new(after));
        let (chained, mut crowds) = (Arc::new(chained), Crowds::default());
        let start = |waited| Start {
            run: RunId(1),
            attempt: 1,
            due: Instant::from_secs(THREE),
            waited: Duration::from_secs(waited),
            job: Arc::clone(&chained),
        };
        // Its due time is that of `b`, which has taken ten minutes.
        for waited in [0, 60] {
            let wall = Instant::from_secs(THREE + 600 + waited as i64);
            let now = Now { wall, mono: Mono::from_micros(1) };
            crowds.see(now, &Action::Start(start(waited)));
        }
        let worst = Instant::from_secs(THREE + 600);
        let clock = |at: Instant| at.secs().rem_euclid(DAY);
        assert_eq!(crowds.over(&[1], clock), [Crowd { executor: 0, days: 1, worst, starts: 2 }]);
    }

    #[test]
    fn what_a_jitter_would_change_is_counted() {
        let (jobs, from) = (jobs(), Instant::from_secs(0));
        let mut crowds = Crowds::default();
        for day in 0..3 {
            for job in [&jobs[0], &jobs[1], &jobs[2]] {
                see(&mut crowds, job, day * DAY + THREE, 1);
            }
        }
        let worst = Instant::from_secs(DAY + THREE);
        let crowd = Crowd { executor: 0, days: 3, worst, starts: 3 };
        let near = (worst.minus(Duration::from_secs(7200)), worst.plus(Duration::from_secs(7200)));
        for (minutes, places) in [(2, &[0, 1, 2][..]), (10, &[0, 1]), (60, &[0])] {
            let jitter = Duration::from_secs(minutes * 60);
            let (spread, moved) = crowd.spread(&jobs, from, jitter);
            assert_eq!(moved, places);
            // As if it were simulated.
            let mut again = Crowds::default();
            for place in 0..3 {
                let due = worst.plus(spread[place].delay(worst));
                see(&mut again, &jobs[place], due.secs(), 1);
            }
            let counted = crowds.peak_with(0, (&jobs, &spread, &moved), (from, near));
            assert_eq!(counted, again.peak(0), "{minutes} minutes");
        }
    }

    #[test]
    fn a_jitter_is_for_jobs_of_that_minute_that_have_time() {
        let (jobs, from) = (jobs(), Instant::from_secs(0));
        let crowd =
            Crowd { executor: 0, days: 1, worst: Instant::from_secs(DAY + THREE), starts: 4 };
        assert_eq!(crowd.jobs(&jobs, from), [0, 1, 2, 5]);
        // (jitter in seconds, who gets it)
        let rows: [(u64, &[usize]); 4] =
            [(60, &[0, 1, 2]), (150, &[0, 1, 2]), (151, &[0, 1]), (3600, &[0])];
        for (secs, expected) in rows {
            let jitter = Duration::from_secs(secs);
            let (spread, places) = crowd.spread(&jobs, from, jitter);
            assert_eq!(places, expected, "{secs}");
            for (place, (before, after)) in jobs.iter().zip(&spread).enumerate() {
                let wanted = if expected.contains(&place) { jitter } else { before.options.jitter };
                assert_eq!(after.options.jitter, wanted, "{secs}: {place}");
            }
        }
    }
}
