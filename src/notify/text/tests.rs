use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::core::event::RunId;
use crate::core::notify::digest::Tally;
use crate::core::outcome::{MissReason, SkipReason};
use crate::core::zone::Zone;
use crate::notify::secret::Secrets;

/// 2026-11-28T02:00:00Z
const NIGHT: i64 = 1_795_831_200;

fn utc(_: &str) -> Zone {
    Zone::utc()
}

pub(crate) fn context(secrets: &Secrets) -> Context<'_> {
    Context { host: "web1", now: Instant::from_secs(NIGHT + 60), zone: &utc, secrets }
}

pub(crate) fn notification(kind: Kind, outcome: Option<Outcome>) -> Notification {
    Notification {
        id: "n1".into(),
        kind,
        host: None,
        begun_on: None,
        job: "backup".into(),
        name: None,
        run: Some(RunId(4711)),
        due: Instant::from_secs(NIGHT),
        last_due: Instant::from_secs(NIGHT),
        count: 1,
        at: Instant::from_secs(NIGHT + 13),
        started: Some(Instant::from_secs(NIGHT + 1)),
        duration: Some(Duration::from_millis(12_400)),
        usual: None,
        printed: None,
        digest: None,
        attempts: 1,
        outcome,
        streak: 1,
        since: None,
        output: None,
    }
}

pub(crate) fn message(notifications: Vec<Notification>, more: u64) -> Message {
    let at = notifications.first().map_or(Instant::from_secs(NIGHT), |first| first.at);
    Message { id: "m1".into(), route: "ops".into(), at, notifications, more }
}

fn said(notification: &Notification) -> String {
    headline(notification, &context(&Secrets::default()))
}

#[test]
fn the_first_line() {
    let failed = |outcome| notification(Kind::Failed, Some(outcome));
    let day_before = Some(Instant::from_secs(NIGHT - 86_400));
    let rows = [
        (failed(Outcome::Failed(3)), "backup failed: exit 3"),
        (failed(Outcome::Killed(9)), "backup failed: killed by SIGKILL"),
        (failed(Outcome::TimedOut), "backup failed: timed out"),
        (
            failed(Outcome::NotStarted("no such\nprogram".to_owned())),
            "backup failed: not started: no such\\nprogram",
        ),
        (failed(Outcome::Lost("it vanished".to_owned())), "backup failed: lost: it vanished"),
        (
            Notification { streak: 2, since: day_before, ..failed(Outcome::Failed(3)) },
            "backup failed: exit 3 (2nd time in a row)",
        ),
        (
            Notification { name: Some("Nightly".into()), ..failed(Outcome::Failed(3)) },
            "backup (Nightly) failed: exit 3",
        ),
        (
            Notification {
                streak: 14,
                since: day_before,
                ..notification(Kind::StillFailing, Some(Outcome::Failed(3)))
            },
            "backup still fails: exit 3 (14 times in a row, since Fri 2026-11-27 02:00:00 +00:00)",
        ),
        (
            notification(
                Kind::Missed,
                Some(Outcome::Missed(MissReason::Late(Duration::from_secs(120)))),
            ),
            "backup missed its due time Sat 2026-11-28 02:00:00 +00:00, 2m late",
        ),
        (
            Notification {
                count: 412,
                due: Instant::from_secs(NIGHT - 86_400),
                ..notification(Kind::Missed, None)
            },
            "backup missed 412 due times, from Fri 2026-11-27 02:00:00 +00:00 to Sat 2026-11-28 \
             02:00:00 +00:00",
        ),
        (
            Notification { since: day_before, ..notification(Kind::Overdue, None) },
            "backup is overdue since Fri 2026-11-27 02:00:00 +00:00: no success for as long as \
             `expect` says",
        ),
        (
            notification(Kind::Flapping, None),
            "backup keeps failing and recovering: nothing more until it is steady",
        ),
        (
            notification(Kind::Steady, Some(Outcome::Succeeded)),
            "backup is steady again: it succeeds",
        ),
        (notification(Kind::Steady, Some(Outcome::Failed(1))), "backup is steady again: it fails"),
        (
            Notification {
                streak: 3,
                since: day_before,
                ..notification(Kind::Recovered, Some(Outcome::Succeeded))
            },
            "backup works again after 3 failures in 1d",
        ),
        (
            notification(Kind::Recovered, Some(Outcome::Succeeded)),
            "backup works again after 1 failure",
        ),
        (
            notification(Kind::Retrying, Some(Outcome::Failed(3))),
            "backup failed: exit 3, and is tried again (attempt 1)",
        ),
        (
            Notification {
                count: 3,
                ..notification(Kind::Skipped, Some(Outcome::Skipped(SkipReason::Paused)))
            },
            "backup was skipped 3 times: the job was paused",
        ),
        (notification(Kind::Succeeded, Some(Outcome::Succeeded)), "backup succeeded after 12.4s"),
        (
            Notification {
                duration: Some(Duration::from_secs(2700)),
                usual: Some(Duration::from_secs(720)),
                ..notification(Kind::Slow, None)
            },
            "backup still runs after 45m: usually it takes 12m",
        ),
        (
            Notification {
                duration: Some(Duration::from_secs(2700)),
                ..notification(Kind::Slow, None)
            },
            "backup still runs after 45m: longer than `warn_after`",
        ),
        (
            Notification { printed: Some((0, 1024)), ..notification(Kind::Quiet, None) },
            "backup printed nothing: usually it prints 1.0 KiB",
        ),
        (
            Notification { printed: Some((1, 2048)), ..notification(Kind::Quiet, None) },
            "backup printed only 1 byte: usually it prints 2.0 KiB",
        ),
        (
            Notification {
                duration: Some(Duration::from_secs(2)),
                usual: Some(Duration::from_secs(720)),
                ..notification(Kind::Fast, None)
            },
            "backup took only 2s: usually it takes 12m",
        ),
        (
            Notification {
                digest: Some(Box::new(Tally {
                    failed: 1,
                    succeeded: 480,
                    missed: 2,
                    failing: [("backup".to_owned(), (1, 0))].into(),
                    more_failing: 1,
                    ..Tally::default()
                })),
                ..notification(Kind::Digest, None)
            },
            "1 run failed, 480 succeeded; 2 due times missed; 2 jobs fail now",
        ),
        (
            Notification {
                digest: Some(Box::new(Tally { succeeded: 480, ..Tally::default() })),
                ..notification(Kind::Digest, None)
            },
            "all is well: 480 runs succeeded",
        ),
        (notification(Kind::Test, None), "test: schedrs can reach you here"),
    ];
    for (notification, expected) in &rows {
        assert_eq!(said(notification), *expected);
    }
    for kind in Kind::ALL {
        assert!(rows.iter().any(|(row, _)| row.kind == kind), "{kind:?}");
    }
}

#[test]
fn ordinals() {
    let rows = [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (112, "112th")];
    for (number, expected) in rows.into_iter().chain([(101, "101st"), (23, "23rd")]) {
        assert_eq!(ordinal(number), expected);
    }
}

#[test]
fn the_end_of_the_output() {
    // (output, lines, bytes, what is shown)
    let rows = [
        ("one\ntwo\nthree\n\n", 2, 100, "two\nthree"),
        ("one\ntwo\nthree", 9, 9, "two\nthree"),
        ("one\ntwo\nthree", 9, 8, "three"),
        ("0123456789", 9, 8, "01234…"),
        ("\u{1b}[31mred\u{1b}[0m", 9, 100, "red"),
        ("10%\r50%\r100%\r\n", 9, 100, "100%"),
        ("a\0b\u{202e}c", 9, 100, "ab\\u{202e}c"),
        ("", 9, 100, ""),
        ("äöü", 9, 5, "ä…"),
        ("long", 9, 2, ""),
    ];
    for (output, lines, bytes, expected) in rows {
        assert_eq!(tail(output, lines, bytes), expected, "{output:?}");
    }
}

const PLAIN: Style = Style {
    most: 10_000,
    size: str::len,
    escape: str::to_owned,
    escape_code: str::to_owned,
    code: ("", ""),
};

#[test]
fn one_notification() {
    let secrets = Secrets::default();
    let only = Notification {
        streak: 2,
        since: Some(Instant::from_secs(NIGHT - 86_400)),
        attempts: 3,
        output: Some("connecting\nno route to host\n".into()),
        ..notification(Kind::Failed, Some(Outcome::Failed(3)))
    };
    let text = compose(&message(vec![only], 0), &context(&secrets), &PLAIN, true);
    let expected = "\
backup failed: exit 3 (2nd time in a row), on web1
due Sat 2026-11-28 02:00:00 +00:00, run 4711, took 12.4s, 3 attempts
failing since Fri 2026-11-27 02:00:00 +00:00
connecting
no route to host";
    assert_eq!(text, expected);
}

#[test]
fn many_notifications() {
    let secrets = Secrets::default();
    let mut all = vec![notification(Kind::Recovered, Some(Outcome::Succeeded))];
    all.push(notification(Kind::Missed, None));
    all.extend((0..3).map(|_| notification(Kind::Failed, Some(Outcome::Failed(3)))));
    let text = compose(&message(all.clone(), 0), &context(&secrets), &PLAIN, true);
    let expected = "\
3 failed, 1 missed, 1 recovered, on web1
✗ backup failed: exit 3
✗ backup failed: exit 3
✗ backup failed: exit 3
! backup missed its due time Sat 2026-11-28 02:00:00 +00:00
✓ backup works again after 1 failure";
    assert_eq!(text, expected);

    all.extend((0..95).map(|_| notification(Kind::Failed, Some(Outcome::Failed(3)))));
    let text = compose(&message(all.clone(), 400), &context(&secrets), &PLAIN, true);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "98 failed, 1 missed, 1 recovered, 400 more, on web1");
    assert_eq!(lines.len(), 22);
    assert_eq!(lines[21], "and 480 more: `schedrs list --failed`");

    // Where there is less room there are fewer lines, and none is lost.
    let small = Style { most: 200, ..PLAIN };
    let text = compose(&message(all, 400), &context(&secrets), &small, true);
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.len() <= 200, "{text}");
    let shown = lines.len() - 2;
    assert!(shown > 1 && shown < 10, "{text}");
    let expected = format!("and {} more: `schedrs list --failed`", 500 - shown);
    assert_eq!(lines.last(), Some(&&*expected));
}

#[test]
fn mentions() {
    let rows = [
        ("@everyone", "@\u{200b}everyone"),
        ("see @here, ann@example.org", "see @\u{200b}here, ann@example.org"),
        ("@@all", "@\u{200b}@\u{200b}all"),
    ];
    for (text, expected) in rows {
        assert_eq!(without_mentions(text), expected);
    }
}

proptest! {
    #[test]
    fn a_tail_is_within_its_bounds(output in "\\PC*|[\\s\\S]{0,200}", lines in 0_usize..6, bytes in 0_usize..80) {
        let tail = tail(&output, lines, bytes);
        prop_assert!(tail.len() <= bytes && tail.lines().count() <= lines, "{tail:?}");
        prop_assert!(!tail.contains(|c: char| c != '\n' && crate::problem::is_hidden(c)));
    }

    #[test]
    fn a_cut_text_is_no_longer(text in ".{0,40}", most in 1_usize..40) {
        let cut = cut(&text, most);
        prop_assert!(cut.chars().count() <= most.max(1), "{cut:?}");
        prop_assert!(cut == text || cut.ends_with('…'));
    }
}
