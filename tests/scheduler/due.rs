//! Which due times fire, which are missed, and which stand for others.

use schedrs::trigger::spread::Spread;

use super::scenario::*;

#[test]
fn an_interval_counts_from_the_start_and_a_date_is_once() {
    Test::new(set(vec![job("a", every(60), |_| {}), job("b", once("12:01:30"), |_| {})]))
        .until("12:02:30")
        .expect(
            "12:01:00 start a#1
             12:01:01 a#1 succeeded, due 12:01:00
             12:01:30 start b#2
             12:01:31 b#2 succeeded, due 12:01:30
             12:02:00 start a#3
             12:02:01 a#3 succeeded, due 12:02:00",
        );
}

#[test]
fn what_is_due_at_the_start_itself_fires_and_the_past_does_not() {
    let grid = Trigger::Interval(IntervalTrigger::new(secs(60), Some(NOON), Some(at("12:01"))));
    let earlier = Trigger::Interval(IntervalTrigger::new(secs(60), Some(at("11:59:30")), None));
    Test::new(set(vec![
        job("now", Trigger::Date(DateTrigger::Now), |_| {}),
        job("reboot", Trigger::Date(DateTrigger::Reboot), |_| {}),
        job("grid", grid, |_| {}),
        job("grown", earlier, |_| {}),
        job("past", once("11:59:59"), |_| {}),
    ]))
    .until("12:01:15")
    .expect(
        "12:00:00 start now#1
         12:00:00 start reboot#2
         12:00:00 start grid#3
         12:00:01 now#1 succeeded, due 12:00:00
         12:00:01 reboot#2 succeeded, due 12:00:00
         12:00:01 grid#3 succeeded, due 12:00:00
         12:00:30 start grown#4
         12:00:31 grown#4 succeeded, due 12:00:30
         12:01:00 start grid#5
         12:01:01 grid#5 succeeded, due 12:01:00",
    );
}

#[test]
fn run_on_start_is_one_more_run_unless_the_job_is_due_anyway() {
    let start = |options: &mut Options| options.run_on_start = true;
    Test::new(set(vec![
        job("extra", every(60), start),
        job("anyway", Trigger::Date(DateTrigger::Now), start),
        job("paused", every(60), |options| {
            options.run_on_start = true;
            options.paused = true;
        }),
    ]))
    .until("12:01:30")
    .expect(
        "12:00:00 start extra#1
         12:00:00 start anyway#2
         12:00:01 extra#1 succeeded, due 12:00:00
         12:00:01 anyway#2 succeeded, due 12:00:00
         12:01:00 start extra#3
         12:01:01 extra#3 succeeded, due 12:01:00",
    );
}

#[test]
fn a_paused_job_is_not_due() {
    let test = Test::new(set(vec![job("a", every(60), |options| options.paused = true)]));
    assert_eq!(test.sim.scheduler().next_wakeup(), Wakeup::default());
    assert!(test.sim.scheduler().is_idle_forever());
    test.until("13:00").expect("");
}

/// Ten minutes asleep, a job of each minute: due 12:01 to 12:10, of which 12:05 to 12:10 are
/// within the grace of 5 min 30 s.
fn after_a_sleep(coalesce: Coalesce) -> Test {
    Test::new(set(vec![job("a", every(60), |options| {
        options.coalesce = coalesce;
        options.misfire_grace_time = Grace::Limited(secs(330));
        options.max_instances = 4;
    })]))
    .asleep("12:00:10", "12:10:20")
    .until("12:10:30")
}

#[test]
fn after_a_sleep_the_latest_runs() {
    after_a_sleep(Coalesce::Latest).expect(
        "12:10:20 clock jumped by 610s
         12:10:20 a missed(late by 560s), due 12:01:00..12:04:00 (4 of them)
         12:10:20 a coalesced, due 12:05:00..12:09:00 (5 of them)
         12:10:20 start a#1
         12:10:21 a#1 succeeded, due 12:10:00",
    );
}

#[test]
fn after_a_sleep_the_earliest_runs() {
    after_a_sleep(Coalesce::Earliest).expect(
        "12:10:20 clock jumped by 610s
         12:10:20 a missed(late by 560s), due 12:01:00..12:04:00 (4 of them)
         12:10:20 a coalesced, due 12:06:00..12:10:00 (5 of them)
         12:10:20 start a#1
         12:10:21 a#1 succeeded, due 12:05:00",
    );
}

#[test]
fn after_a_sleep_all_run_that_may() {
    after_a_sleep(Coalesce::All).expect(
        "12:10:20 clock jumped by 610s
         12:10:20 a missed(late by 560s), due 12:01:00..12:04:00 (4 of them)
         12:10:20 start a#1
         12:10:20 start a#2
         12:10:20 start a#3
         12:10:20 start a#4
         12:10:20 a skipped(overlap), due 12:09:00..12:10:00 (2 of them)
         12:10:21 a#1 succeeded, due 12:05:00
         12:10:21 a#2 succeeded, due 12:06:00
         12:10:21 a#3 succeeded, due 12:07:00
         12:10:21 a#4 succeeded, due 12:08:00",
    );
}

#[test]
fn a_year_asleep_is_counted_and_not_enumerated() {
    let forever = |options: &mut Options| options.misfire_grace_time = Grace::Forever;
    Test::new(set(vec![
        job("seconds", every(1), |_| {}),
        job("all", every(1), |options| {
            options.misfire_grace_time = Grace::Forever;
            options.coalesce = Coalesce::All;
        }),
        job("once", once("12:30"), |_| {}),
        job("still", once("12:30"), forever),
    ]))
    .asleep("12:00:00", "365d 12:00:00")
    .until("365d 12:00:00")
    .expect(
        "365d 12:00:00 clock jumped by 31536000s
         365d 12:00:00 seconds missed(late by 31535999s), due 12:00:01..365d 11:58:59 (31535939 of them)
         365d 12:00:00 seconds coalesced, due 365d 11:59:00..365d 11:59:59 (60 of them)
         365d 12:00:00 start seconds#1
         365d 12:00:00 all coalesced, due 12:00:01..365d 09:13:20 (31526000 of them)
         365d 12:00:00 start all#2
         365d 12:00:00 all skipped(overlap), due 365d 09:13:22..365d 12:00:00 (9999 of them)
         365d 12:00:00 once missed(late by 31534200s), due 12:30:00
         365d 12:00:00 start still#3",
    );
}

#[test]
fn late_is_late_by_more_than_the_grace() {
    let minute = |id: &str| {
        job(id, once("12:10"), |options| options.misfire_grace_time = Grace::Limited(secs(60)))
    };
    Test::new(set(vec![minute("a")])).asleep("12:05", "12:11").until("12:11:30").expect(
        "12:11:00 clock jumped by 360s
             12:11:00 start a#1
             12:11:01 a#1 succeeded, due 12:10:00",
    );
    Test::new(set(vec![minute("a")])).asleep("12:05", "12:11:01").until("12:11:30").expect(
        "12:11:01 clock jumped by 361s
             12:11:01 a missed(late by 61s), due 12:10:00",
    );
}

#[test]
fn jitter_shifts_the_fire_and_not_the_grid() {
    let mut test = Test::new(set(vec![job("a", every(600), |options| {
        options.jitter = secs(300);
    })]));
    let mut fires = Vec::new();
    let mut observer = |now: Now, action: &Action| {
        if let Action::Start(start) = action {
            fires.push((start.due, now.wall));
        }
    };
    test.sim.run_until(at("22:00"), &mut observer);
    assert_eq!(fires.len(), 59);
    for (index, (due, fired)) in fires.iter().enumerate() {
        assert_eq!(*due, NOON.plus(secs(600 * (index as u64 + 1))));
        assert_eq!(*fired, due.plus(schedrs::trigger::jitter::jitter("a", *due, secs(300))));
    }
}

/// A spread moves all of them alike: between two fires is what is between two due times.
#[test]
fn a_spread_shifts_every_fire_by_the_same() {
    let spread = Spread { most: secs(36_000), machine: 7 };
    let mut test = Test::new(set(vec![job("a", every(600), |options| {
        options.spread = spread;
    })]));
    let mut fires = Vec::new();
    let mut observer = |now: Now, action: &Action| {
        if let Action::Start(start) = action {
            fires.push((start.due, now.wall));
        }
    };
    let shift = spread.of("a");
    assert!(shift > secs(1200), "another machine would show more");
    test.sim.run_until(at("23:59"), &mut observer);
    assert!(fires.len() > 10, "{fires:?}");
    for (index, (due, fired)) in fires.iter().enumerate() {
        assert_eq!(*due, NOON.plus(secs(600 * (index as u64 + 1))));
        assert_eq!(*fired, due.plus(shift));
    }
}

/// With a jitter longer than the interval, fires overtake one another; each comes at its own time.
#[test]
fn jitter_may_be_longer_than_the_interval() {
    let mut test = Test::new(set(vec![job("a", every(10), |options| {
        options.jitter = secs(60);
        options.misfire_grace_time = Grace::Limited(Duration::ZERO);
        options.max_instances = 100;
    })]));
    let mut fires = Vec::new();
    let mut observer = |now: Now, action: &Action| match action {
        Action::Start(start) => fires.push((now.wall, start.due)),
        Action::Record(record) => assert_eq!(record.outcome, Outcome::Succeeded),
        _ => {}
    };
    test.sim.run_until(at("13:00"), &mut observer);
    let fire = |due: Instant| due.plus(schedrs::trigger::jitter::jitter("a", due, secs(60)));
    let mut expected: Vec<_> = (1..360)
        .map(|n| NOON.plus(secs(10 * n)))
        .map(|due| (fire(due), due))
        .filter(|(fire, _)| *fire < at("13:00"))
        .collect();
    expected.sort_unstable();
    assert_eq!(fires, expected);
    assert!(fires.windows(2).any(|pair| pair[0].1 > pair[1].1), "none overtook another");
}

/// Jitter and a sleep together: what was put aside before, what is surely due and what is due or
/// not by its jitter all run in the order of their due times.
#[test]
fn after_a_sleep_all_run_in_order_whatever_their_jitter() {
    let jitter = |due| schedrs::trigger::jitter::jitter("a", due, secs(60));
    let a = job("a", every(10), |options| {
        options.jitter = secs(60);
        options.coalesce = Coalesce::All;
        options.misfire_grace_time = Grace::Forever;
        options.max_instances = 100;
    });
    let mut test = Test::new(set_with(&[("default", 100)], vec![a])).asleep("12:05:01", "12:10:01");
    let mut starts = Vec::new();
    let mut observer = |now: Now, action: &Action| {
        if let Action::Start(start) = action {
            starts.push((start.due, now.wall));
        }
    };
    test.sim.run_until(at("12:10:02"), &mut observer);
    let fires = |due: &Instant| {
        let fire = due.plus(jitter(*due));
        fire > at("12:05:01") && fire <= at("12:10:01")
    };
    let expected: Vec<_> = (1..100).map(|n| NOON.plus(secs(10 * n))).filter(fires).collect();
    let woken = starts.iter().filter(|start| start.1 == at("12:10:01"));
    assert_eq!(woken.map(|start| start.0).collect::<Vec<_>>(), expected);
    assert!(expected[0] < at("12:05:01"), "none was put aside: choose another jitter");
}

/// A job with windows in which it is not due.
fn but(
    except: &[&str],
    only: &[&str],
    set: impl FnOnce(&mut Options),
) -> impl FnOnce(&mut Options) {
    let excluded = Exclusion::of_windows(except, only).unwrap();
    move |options| {
        options.excluded = excluded;
        set(options);
    }
}

#[test]
fn what_is_excluded_is_skipped_when_it_is_reached() {
    let only = but(&["12:02..12:03"], &["12:00..12:05"], |_| {});
    Test::new(set(vec![
        job("a", every(60), but(&["12:02..12:04"], &[], |_| {})),
        job("b", every(120), only),
    ]))
    .until("12:06:10")
    .expect(
        "12:01:00 start a#1
             12:01:01 a#1 succeeded, due 12:01:00
             12:02:00 a skipped(excluded: 12:02..12:04), due 12:02:00
             12:02:00 b skipped(excluded: 12:02..12:03), due 12:02:00
             12:03:00 a skipped(excluded: 12:02..12:04), due 12:03:00
             12:04:00 start a#2
             12:04:00 start b#3
             12:04:01 a#2 succeeded, due 12:04:00
             12:04:01 b#3 succeeded, due 12:04:00
             12:05:00 start a#4
             12:05:01 a#4 succeeded, due 12:05:00
             12:06:00 start a#5
             12:06:00 b skipped(excluded: not in 12:00..12:05), due 12:06:00
             12:06:01 a#5 succeeded, due 12:06:00",
    );
}

/// Excluded is excluded, whatever else would become of it, and no run stands for it.
#[test]
fn after_a_sleep_what_is_excluded_is_neither_missed_nor_coalesced() {
    let rest = |coalesce| {
        move |options: &mut Options| {
            options.coalesce = coalesce;
            options.misfire_grace_time = Grace::Limited(secs(330));
        }
    };
    let except = ["12:02..12:04", "12:07..12:09"];
    Test::new(set(vec![job("a", every(60), but(&except, &[], rest(Coalesce::Latest)))]))
        .asleep("12:00:10", "12:10:20")
        .until("12:10:30")
        .expect(
            "12:10:20 clock jumped by 610s
             12:10:20 a skipped(excluded: 12:02..12:04), due 12:02:00..12:03:00 (2 of them)
             12:10:20 a skipped(excluded: 12:07..12:09), due 12:07:00..12:08:00 (2 of them)
             12:10:20 a missed(late by 560s), due 12:01:00
             12:10:20 a missed(late by 380s), due 12:04:00
             12:10:20 a coalesced, due 12:05:00..12:06:00 (2 of them)
             12:10:20 a coalesced, due 12:09:00
             12:10:20 start a#1
             12:10:21 a#1 succeeded, due 12:10:00",
        );
    // The latest that may run is the latest that is not excluded.
    Test::new(set(vec![job("a", every(60), but(&["12:09..12:30"], &[], rest(Coalesce::Latest)))]))
        .asleep("12:05:30", "12:10:20")
        .until("12:10:30")
        .expect(
            "12:01:00 start a#1
             12:01:01 a#1 succeeded, due 12:01:00
             12:02:00 start a#2
             12:02:01 a#2 succeeded, due 12:02:00
             12:03:00 start a#3
             12:03:01 a#3 succeeded, due 12:03:00
             12:04:00 start a#4
             12:04:01 a#4 succeeded, due 12:04:00
             12:05:00 start a#5
             12:05:01 a#5 succeeded, due 12:05:00
             12:10:20 clock jumped by 290s
             12:10:20 a skipped(excluded: 12:09..12:30), due 12:09:00..12:10:00 (2 of them)
             12:10:20 a coalesced, due 12:06:00..12:07:00 (2 of them)
             12:10:20 start a#6
             12:10:21 a#6 succeeded, due 12:08:00",
        );
}

#[test]
fn all_that_is_not_excluded_runs_where_all_runs() {
    let all = |options: &mut Options| {
        options.coalesce = Coalesce::All;
        options.misfire_grace_time = Grace::Forever;
        options.max_instances = 9;
    };
    Test::new(set(vec![job("a", every(60), but(&["12:02..12:04"], &[], all))]))
        .asleep("12:00:10", "12:05:20")
        .until("12:05:20")
        .expect(
            "12:05:20 clock jumped by 310s
             12:05:20 a skipped(excluded: 12:02..12:04), due 12:02:00..12:03:00 (2 of them)
             12:05:20 start a#1
             12:05:20 start a#2
             12:05:20 start a#3",
        );
}

/// Years of nights of a job of each second: a record for each night and each day, exact ones, and no step
/// that takes long.
#[test]
fn a_long_outage_of_many_windows() {
    let quiet = |options: &mut Options| options.misfire_grace_time = Grace::Limited(secs(60));
    let job = job("a", every(1), but(&["22:00..06:00"], &[], quiet));
    let mut test =
        Test::new(set(vec![job])).asleep("12:00:00", "400d 12:00:30").until("400d 12:00:30");
    let text = std::mem::take(&mut test.transcript.text);
    let of = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!((of("excluded: 22:00..06:00), due"), of("(28800 of them)")), (400, 400));
    assert_eq!(of("missed(late"), 401);
    assert_eq!(of("start a#"), 1);
}

/// With jitter it counts when it is due, not when it fires.
#[test]
fn jitter_does_not_move_it_out_of_a_window() {
    let late = |options: &mut Options| options.jitter = secs(30);
    Test::new(set(vec![job(
        "a",
        once("12:01:00"),
        but(&["12:00..12:01", "12:02..12:03"], &[], late),
    )]))
    .until("12:01:01")
    .expect("");
    let late = |options: &mut Options| options.jitter = secs(30);
    let test = Test::new(set(vec![job("a", once("12:01:00"), but(&["12:01..12:02"], &[], late))]));
    let test = test.until("12:03:00");
    assert!(test.transcript.text.contains("a skipped(excluded: 12:01..12:02), due 12:01:00"));
}

/// What a person asks for is done, and a pause is what it says.
#[test]
fn run_on_start_is_excluded_too_and_a_pause_is_a_pause() {
    let start = |options: &mut Options| options.run_on_start = true;
    Test::new(set(vec![job("a", every(60), but(&["12:00..12:02"], &[], start))]))
        .until("12:02:10")
        .expect(
            "12:00:00 a skipped(excluded: 12:00..12:02), due 12:00:00
         12:01:00 a skipped(excluded: 12:00..12:02), due 12:01:00
         12:02:00 start a#1
         12:02:01 a#1 succeeded, due 12:02:00",
        );
}
