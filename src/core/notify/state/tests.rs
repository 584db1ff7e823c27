use proptest::prelude::*;

use super::*;
use crate::core::job::Command;
use crate::core::notify::Service;

const HOUR: u64 = 3600;

fn route(change: impl FnOnce(&mut Route)) -> Route {
    let mut route = Route::of("ops", Service::Command(Command::Shell("x".into())));
    change(&mut route);
    route
}

/// Plays fates, one a minute: `f` failed, `t` timed out, `s` succeeded, `m` missed, `k` skipped, `r` retrying, `o`
/// overdue, `l` slow, `q` quiet, `e` fast; `H` is an hour in which nothing happens. Answers what each comes to, `.` for nothing.
fn play(route: &Route, fates: &str) -> String {
    let (mut state, mut now) = (State::default(), Instant::from_secs(1_000_000));
    let (mut told, mut failed) = (String::new(), 0);
    for event in fates.chars() {
        now = now.plus(Duration::from_secs(if event == 'H' { HOUR } else { 60 }));
        let event = match event {
            'f' => JobEvent::Failed("failed 1"),
            't' => JobEvent::Failed("timed_out"),
            's' => JobEvent::Succeeded,
            'm' => JobEvent::Missed,
            'k' => JobEvent::Skipped,
            'r' => JobEvent::Retrying,
            'o' => JobEvent::Overdue,
            'l' => JobEvent::Slow,
            'q' => JobEvent::Quiet,
            'e' => JobEvent::Fast,
            _ => {
                told.push('.');
                continue;
            }
        };
        failed = match event {
            JobEvent::Failed(_) => failed + 1,
            JobEvent::Succeeded => 0,
            _ => failed,
        };
        // It goes through the store each time.
        state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        told.push(state.hear(now, event, failed, route).map_or('.', letter));
    }
    told
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::Failed => 'F',
        Kind::StillFailing => 'A',
        Kind::Missed => 'M',
        Kind::Overdue => 'O',
        Kind::Flapping => '~',
        Kind::Steady => '=',
        Kind::Recovered => 'R',
        Kind::Retrying => 'T',
        Kind::Skipped => 'K',
        Kind::Succeeded => 'S',
        Kind::Slow => 'L',
        Kind::Quiet => 'Q',
        Kind::Fast => 'E',
        Kind::Digest | Kind::Test => '?',
    }
}

#[test]
fn the_table() {
    let plain = || route(|_| ());
    let after = |count| route(|it| it.after = count);
    let again = |again| route(|it| it.again = again);
    let change = || route(|it| it.on_change = true);
    let changed_after = |count| route(|it| (it.after, it.on_change) = (count, true));
    let on = |kinds: &[Kind]| route(|it| it.on = kinds.iter().copied().collect());
    let hour = Some(Duration::from_secs(HOUR));
    let rows = [
        // Once per failure, and once that it is over.
        (plain(), "fffs", "F..R"),
        (plain(), "ssss", "...."),
        (plain(), "sfsfs", ".FRFR"),
        // What lies between neither ends a streak nor counts in it.
        (plain(), "fmkrfs", "FM...R"),
        (after(2), "fmkrfs", ".M..FR"),
        // After so many; and nothing of the end of what was not told.
        (after(3), "ffsfffs", ".....FR"),
        // A reminder.
        (again(hour), "ffHffHfs", "F..A..AR"),
        (again(None), "ffHffHfs", "F......R"),
        // Another way to fail is none, unless the route asks for it; nor is one of before it was well.
        (plain(), "fttfs", "F...R"),
        (change(), "ffttffs", "F.A.A.R"),
        (change(), "fstst", "FRFRF"),
        (changed_after(3), "fftftfs", "..FAAAR"),
        // A reminder is one as well.
        (route(|it| (it.again, it.on_change) = (hour, true)), "ffHtfHff", "F..AA.A."),
        // Whoever is told that it flaps hears of no other way.
        (change(), "fsfsfsftfts", "FRFRFR~...."),
        // Overdue once, until it succeeds.
        (plain(), "ooso", "O.RO"),
        (plain(), "fos", "FOR"),
        // Flapping: the fourth time within an hour. A reminder comes all the same.
        (plain(), "fsfsfsffsfs", "FRFRFR~...."),
        (again(hour), "fsfsfsfHff", "FRFRFR~.A."),
        // Steady after five successes, or an hour without a failure; then all begins anew.
        (plain(), "fsfsfsfsssssfs", "FRFRFR~....=FR"),
        (plain(), "fsfsfsfHsfs", "FRFRFR~.=FR"),
        // Turns are forgotten.
        (plain(), "fsfsfsHfs", "FRFRFR.FR"),
        // Only what the route wants.
        (on(&[Kind::Failed]), "fsms", "F..."),
        (on(&[Kind::Recovered]), "fsfs", "...."),
        (on(&[Kind::Missed]), "fsm", "..M"),
        (on(&Kind::NAMED), "srfskm", "STFRKM"),
        (on(&[Kind::Succeeded]), "ssfs", "SS.S"),
        // What takes long has failed or succeeded by that as little as what is skipped.
        (on(&[Kind::Slow, Kind::Failed, Kind::Recovered]), "lflfs", "LFL.R"),
        // Of a run that has succeeded.
        (on(&[Kind::Quiet, Kind::Failed, Kind::Recovered]), "sqefsqe", ".Q.FRQ."),
        (on(&[Kind::Fast]), "sqe", "..E"),
        (plain(), "sqe", "..."),
        (plain(), "lflfs", ".F..R"),
        (on(&[Kind::Failed, Kind::Succeeded]), "fss", "FSS"),
    ];
    for (route, fates, told) in rows {
        assert_eq!(play(&route, fates), told, "{fates} {:?}", route.on);
    }
}

fn fates() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![6 => Just('f'), 2 => Just('t'), 6 => Just('s'), 1 => Just('m'), 1 => Just('k'), 1 => Just('H')],
        0..200,
    )
    .prop_map(|fates| fates.into_iter().collect())
}

proptest! {
    /// Failures and ends of failures alternate, whatever happens; and an end has a beginning.
    #[test]
    fn they_alternate(
        fates in fates(), after in 1u32..4, on_change in any::<bool>(),
        hours in proptest::option::of(1u64..4),
    ) {
        let route = route(|it| {
            (it.after, it.on_change) = (after, on_change);
            it.again = hours.map(|hours| Duration::from_secs(hours * HOUR));
        });
        let told = play(&route, &fates);
        let mut open = false;
        for kind in told.chars() {
            match kind {
                'F' | '~' => {
                    prop_assert!(!open, "{fates} {told}");
                    open = true;
                }
                'A' => prop_assert!(open, "{fates} {told}"),
                'R' | '=' => {
                    prop_assert!(open, "{fates} {told}");
                    open = false;
                }
                _ => {}
            }
        }
        // Nothing before so many in a row.
        let mut streak = 0;
        for (event, kind) in fates.chars().zip(told.chars()) {
            streak = match event { 'f' | 't' => streak + 1, 's' => 0, _ => streak };
            prop_assert!(!matches!(kind, 'F' | '~') || streak >= after, "{fates} {told}");
        }
    }

    /// However a job fares, a route hears of few of its turns.
    #[test]
    fn there_are_few(fates in fates()) {
        let told = play(&route(|_| ()), &fates);
        let (mut times, mut minute) = (Vec::new(), 0);
        for (event, kind) in fates.chars().zip(told.chars()) {
            minute += if event == 'H' { 60 } else { 1 };
            if kind == 'F' {
                times.push(minute);
            }
        }
        for four in times.windows(TURNS + 1) {
            // Between them it was steady for five successes at least.
            prop_assert!(four[TURNS] - four[0] >= 5, "{fates} {told}");
        }
    }
}

#[test]
fn what_was_written_by_another_version_is_read() {
    let state: State = serde_json::from_str("{\"good\":2,\"unheard\":[1]}").unwrap();
    assert_eq!(state, State { good: 2, ..State::default() });
    assert_eq!(of_key(&key("ops", "a\nb")), Some(("ops", "a\nb")));
}
