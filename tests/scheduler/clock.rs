//! The wall clock is set.

use super::scenario::*;

#[test]
fn the_clock_goes_26_hours_forward() {
    let jobs = vec![
        job("hourly", every(3600), |_| {}),
        job("soon", once("1d 13:59:30"), |_| {}),
        job("later", once("1d 14:00:10"), |_| {}),
        job("long", once("12:00:01"), |options| options.timeout = Some(secs(60))),
    ];
    Test::with_durations(set(jobs), &[("long", 600)])
        .until("12:00:10")
        .clock_set("1d 14:00:10")
        .until("1d 14:01:02")
        .expect(
            "12:00:01 start long#1
             1d 14:00:10 clock jumped by 93600s
             1d 14:00:10 hourly missed(late by 90010s), due 13:00:00..1d 13:00:00 (25 of them)
             1d 14:00:10 start hourly#2
             1d 14:00:10 start soon#3
             1d 14:00:10 start later#4
             1d 14:00:11 hourly#2 succeeded, due 1d 14:00:00
             1d 14:00:11 soon#3 succeeded, due 1d 13:59:30
             1d 14:00:11 later#4 succeeded, due 1d 14:00:10
             1d 14:01:01 long#1 takes too long
             1d 14:01:01 term long#1
             1d 14:01:01 long#1 timed_out, due 12:00:01",
        );
}

#[test]
fn the_clock_goes_an_hour_back_and_nothing_fires_twice() {
    Test::new(set(vec![job("a", every(1200), |_| {})]))
        .until("12:50")
        .clock_set("11:50")
        .until("13:00:30")
        .expect(
            "12:20:00 start a#1
             12:20:01 a#1 succeeded, due 12:20:00
             12:40:00 start a#2
             12:40:01 a#2 succeeded, due 12:40:00
             11:50:00 clock jumped by -3600s
             13:00:00 start a#3
             13:00:01 a#3 succeeded, due 13:00:00",
        );
}

#[test]
fn a_jump_that_nobody_reported_is_seen_once() {
    let now = |wall: &str, mono: u64| Now { wall: at(wall), mono: Mono::from_micros(mono) };
    let mut scheduler = Scheduler::new(now("12:00", 0), set(vec![job("a", every(60), |_| {})]));
    let mut jumps = |wall: &str, mono: u64, event: Event| {
        let mut actions = Vec::new();
        scheduler.step(now(wall, mono), event, &mut actions);
        let jumps = actions.into_iter().filter_map(|action| match action {
            Action::Notice(Notice::ClockJumped { by_micros }) => Some(by_micros / 1_000_000),
            _ => None,
        });
        jumps.collect::<Vec<_>>()
    };
    const NONE: [i64; 0] = [];
    assert_eq!(jumps("12:00:30", 30_000_000, Event::Woke), NONE);
    assert_eq!(jumps("13:00:31", 31_000_000, Event::Woke), [3600]);
    assert_eq!(jumps("13:00:31", 31_000_000, Event::ClockSet), NONE);
    assert_eq!(jumps("13:00:32", 32_000_000, Event::ClockSet), NONE);
    assert_eq!(jumps("12:30:33", 33_000_000, Event::ClockSet), [-1800]);
}
