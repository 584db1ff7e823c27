//! The simulation itself: a year of cron schedules, twice.

use std::sync::Arc;

use schedrs::sim::survey::Survey;
use schedrs::sim::trace::Trace;
use schedrs::sim::{Observer, Report, simulate};
use schedrs::trigger::CronTrigger;
use schedrs::trigger::cron::crontab::{self, Crontab};

use super::scenario::*;

pub(crate) fn cron(expr: &str) -> Trigger {
    match crontab::parse(expr, "", &mut Vec::new()) {
        Some(Crontab::Schedule(schedule)) => {
            Trigger::Cron(Arc::new(CronTrigger::new([schedule], Zone::utc(), None, None)))
        }
        other => panic!("{expr}: {other:?}"),
    }
}

fn mixed() -> JobSet {
    let jobs = vec![
        job("minute", cron("* * * * *"), |_| {}),
        job("slow", cron("*/5 * * * *"), |options| options.overlap = Overlap::Queue),
        job("replaced", cron("0 * * * *"), |options| options.overlap = Overlap::Replace),
        job("night", cron("30 2 * * *"), |options| options.retries = 2),
        job("spread", every(3600), |options| options.jitter = secs(1800)),
        on_executor(1, job("yearly", cron("0 0 1 1 *"), |_| {})),
    ];
    set_with(&[("default", 3), ("other", 1)], jobs)
}

/// What it added up to, and how many hours there were in which something started.
fn year() -> (Report, Trace, u64, usize) {
    let attempt = |start: &Start| {
        Attempt::succeeds_after(secs(match &*start.job.id {
            "minute" => 20,
            "slow" => 420,
            "replaced" => 4000,
            _ => 60,
        }))
    };
    let set = mixed();
    let mut survey = Survey::new(&set.jobs, &Zone::utc());
    let mut trace = Trace::default();
    let mut both = |now: Now, action: &Action| {
        survey.see(now, action);
        trace.see(now, action);
    };
    let report = simulate(set, NOON, at("365d 12:00"), attempt, &mut both);
    let starts = survey.hours().iter().map(|hour| hour.starts).sum();
    (report, trace, starts, survey.hours().len())
}

#[test]
fn a_year_twice_is_the_same_year() {
    let once = year();
    assert_eq!(once, year());
    let (report, _, starts, hours) = once;
    assert_eq!((starts, hours), (report.starts, 365 * 24));
    assert_eq!(report.peaks, [3, 1]);
    // At the very start the first due times of "minute", "slow" and "replaced" are due; one more
    // run of these is on its way at the end, and no due time is lost in between.
    let due = 365 * 24 * (60 + 12 + 1 + 1) + 365 + 1;
    let fates = report.ran + report.skipped + report.missed + report.coalesced + report.gave_up;
    assert!((due - 4..=due + 1).contains(&fates), "{fates} of {due}: {report:?}");
    assert_eq!(report.missed + report.coalesced + report.gave_up, 0);
}

/// A cron schedule cannot be counted by arithmetic: it takes its time, a slice a step, and the
/// record comes when the number is known; what is to run runs at once.
#[test]
fn a_week_of_seconds_is_counted_in_slices() {
    let jobs = set(vec![job("a", cron("* * * * * *"), |_| {})]);
    let half = |_: &Start| Attempt::succeeds_after(Duration::from_millis(500));
    let mut test = Test::trying(jobs, half).asleep("12:00:30", "7d 12:00");
    test.sim.run_until(at("12:00:30"), &mut |_: Now, _: &Action| {});
    test.until("7d 12:00:01").expect(
        "7d 12:00:00 clock jumped by 604770s
         7d 12:00:00 start a#31
         7d 12:00:00 a missed(late by 604770s), due 12:00:30..7d 11:58:59 (604710 of them)
         7d 12:00:00 a coalesced, due 7d 11:59:00..7d 11:59:59 (60 of them)
         7d 12:00:00.500 a#31 succeeded, due 7d 12:00:00",
    );
}

#[test]
fn a_plan_may_be_anything_that_answers() {
    let mut starts = 0;
    let count = |_: &Start| {
        starts += 1;
        Attempt::succeeds_after(Duration::ZERO)
    };
    let jobs = set(vec![job("a", every(10), |_| {})]);
    let report = simulate(jobs, NOON, at("13:00"), count, &mut |_: Now, _: &Action| {});
    assert_eq!((report.starts, report.succeeded, starts), (359, 359, 359));
}
