//! What can be asked.

use super::scenario::*;

#[test]
fn the_status_says_what_runs_waits_and_is_next() {
    let jobs = vec![
        job("a", every(60), |_| {}),
        job("b", once("12:01"), |_| {}),
        job("c", once("12:01"), |_| {}),
    ];
    Test::with_durations(set_with(&[("default", 2)], jobs), &[("a", 100), ("b", 100)])
        .until("12:01:10")
        .send(Event::ReportStatus)
        .expect(
            "12:01:00 start a#1
             12:01:00 start b#2
             12:01:10 status 3 jobs, 2 running, 1 waiting, next Some(\"12:02:00 a\")",
        );
}
