//! The zone of the machine is the one in which the C library sees it: by `TZ`, else by the content
//! of `/etc/localtime`. Each row here is what `date +%z` says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use schedrs::zone::{Database, Machine};

use super::tzif::Tzif;
use super::{BERLIN, NEW_YORK, TOKYO, made_up, offsets, tzif};
use crate::harness;

#[test]
fn the_local_zone_is_what_tz_says() {
    let dir = made_up();
    let zones = Database::open(Some(dir.path()));
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(dir.path().join("mine"), tzif("America/New_York")).unwrap();
    let (mine, text) = (path("mine"), path("text"));
    fs::write(&text, "Europe/Berlin\n").unwrap();
    let colon = format!(":{mine}");
    let utc = ("UTC", (0, 0), false);
    // The value, the name, the hours east in winter and summer, and whether there is a warning.
    type Row<'a> = (&'a str, (&'a str, (i32, i32), bool));
    let again = format!("../{}/mine", dir.path().file_name().unwrap().to_str().unwrap());
    let rows: [Row<'_>; 18] = [
        ("Europe/Berlin", ("Europe/Berlin", TOKYO, false)),
        (":Europe/Berlin", ("Europe/Berlin", TOKYO, false)),
        // Bundled, but the programs of jobs do not know it here.
        ("America/New_York", ("America/New_York", NEW_YORK, true)),
        ("EST5EDT,M3.2.0,M11.1.0", ("EST5EDT,M3.2.0,M11.1.0", NEW_YORK, false)),
        ("CET-1CEST,M3.5.0,M10.5.0/3", ("CET-1CEST,M3.5.0,M10.5.0/3", BERLIN, false)),
        // Without a rule the C library takes that of the United States.
        ("XET-1XEST", ("XET-1XEST", BERLIN, false)),
        ("<+09>-9", ("<+09>-9", TOKYO, false)),
        (&mine, (&mine, NEW_YORK, false)),
        (&colon, (&mine, NEW_YORK, false)),
        // The C library opens what it is given.
        ("Europe//Berlin", ("Europe//Berlin", TOKYO, false)),
        (&again, (&again, NEW_YORK, false)),
        ("", utc),
        (":", utc),
        ("UTC", utc),
        ("europe/berlin", ("UTC", (0, 0), true)),
        ("nonsense/zone", ("UTC", (0, 0), true)),
        ("../../etc/passwd", ("UTC", (0, 0), true)),
        (&text, ("UTC", (0, 0), true)),
    ];
    for (tz, wanted) in rows {
        let Machine { zone, doubt } = zones.machine(Some(tz));
        assert_eq!((zone.name(), offsets(&zone), doubt.is_some()), wanted, "TZ={tz}");
        assert!(zone.origin().unwrap().contains("$TZ"), "TZ={tz}");
        // Whatever it is called, by that name it is found again.
        assert_eq!(offsets(&zones.shown_as(zone.name()).unwrap()), offsets(&zone), "TZ={tz}");
    }
}

/// A path into a directory of zones is a name.
#[test]
fn a_path_below_zoneinfo_is_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let zoneinfo = dir.path().join("zoneinfo");
    fs::create_dir_all(zoneinfo.join("posix/Asia")).unwrap();
    fs::create_dir_all(zoneinfo.join("Asia")).unwrap();
    for name in ["posix/Asia/Tokyo", "Asia/Tokyo"] {
        fs::write(zoneinfo.join(name), tzif("Asia/Tokyo")).unwrap();
        let zones = Database::open(Some(&zoneinfo));
        let zone = zones.local(Some(zoneinfo.join(name).to_str().unwrap()));
        assert_eq!((zone.name(), zone.has_name()), ("Asia/Tokyo", true));
    }
}

/// An `/etc`, and zones beside it.
struct Etc(tempfile::TempDir);

impl Etc {
    fn new() -> Etc {
        let dir = tempfile::tempdir().unwrap();
        for name in ["Asia/Shanghai", "Etc/UTC", "UTC", "Asia/Tokyo"] {
            let file = dir.path().join("zoneinfo").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, tzif(name)).unwrap();
        }
        // Where several names mean the same, this table knows which of them is that of a place.
        let table = "# comment\nCN\t+3114+12128\tAsia/Shanghai\tBeijing Time\n";
        fs::write(dir.path().join("zoneinfo/zone1970.tab"), table).unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        Etc(dir)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn link(self, target: &str) -> Etc {
        symlink(target, self.path("etc/localtime")).unwrap();
        self
    }

    fn write(self, file: &str, bytes: &[u8]) -> Etc {
        fs::write(self.path(file), bytes).unwrap();
        self
    }

    fn machine(&self) -> Machine {
        Database::open(Some(&self.path("zoneinfo"))).machine_in(None, &self.path("etc"))
    }

    /// The name, whether it can be asked for, the offset in winter, and whether there is a warning.
    fn answer(&self) -> (String, bool, i32, bool) {
        let Machine { zone, doubt } = self.machine();
        let name = zone.name().replace(self.0.path().to_str().unwrap(), "");
        (name, zone.has_name(), offsets(&zone).0, doubt.is_some())
    }
}

#[test]
fn the_content_of_localtime_counts() {
    let shanghai = tzif("Asia/Shanghai");
    let found = |name: &str, has_name, offset, doubt| (name.to_owned(), has_name, offset, doubt);
    let right = found("Asia/Shanghai", true, 8, false);

    let link = "../zoneinfo/Asia/Shanghai";
    assert_eq!(Etc::new().link(link).answer(), right);
    // Mounted over what the link leads to: the file of that name is another zone.
    let mounted = Etc::new().link("../zoneinfo/Etc/UTC").write("zoneinfo/Etc/UTC", shanghai);
    assert_eq!(mounted.answer(), right);
    // A copy, beside a text that is out of date, and one that is not.
    let copy = Etc::new().write("etc/localtime", shanghai);
    assert_eq!(copy.answer(), right);
    assert_eq!(copy.write("etc/timezone", b"Etc/UTC\n").answer(), right);
    let copy = Etc::new().write("etc/localtime", shanghai);
    assert_eq!(copy.write("etc/timezone", b"Asia/Shanghai\n").answer(), right);
    // A link to a copy elsewhere, and a link to a link.
    let elsewhere = Etc::new().write("etc/zone.local", shanghai).link("zone.local");
    assert_eq!(elsewhere.answer(), right);
    let twice = Etc::new().link("second");
    symlink(link, twice.path("etc/second")).unwrap();
    assert_eq!(twice.answer(), right);
    // Rules that no name has.
    let own = Etc::new().write("etc/localtime", &Tzif::once(2).bytes());
    assert_eq!(own.answer(), found("/etc/localtime", false, 1, false));
    let shown = own.machine().zone.name().to_owned();
    assert_eq!(offsets(&Database::bundled().shown_as(&shown).unwrap()).1, 2);
}

#[test]
fn without_a_usable_localtime_it_is_utc() {
    let utc = |doubt| ("UTC".to_owned(), true, 0, doubt);
    assert_eq!(Etc::new().answer(), utc(false));
    assert_eq!(Etc::new().write("etc/timezone", b"Etc/UTC\n").answer(), utc(false));
    // The C library does not read that; somebody believes that it counts.
    let stale = Etc::new().write("etc/timezone", b"Asia/Tokyo\n");
    assert_eq!(stale.answer(), utc(true));
    assert!(stale.machine().doubt.unwrap().message.contains("Asia/Tokyo"));
    assert_eq!(Etc::new().link("../zoneinfo/Asia/Nowhere").answer(), utc(true));
    assert_eq!(Etc::new().link("../zoneinfo/Etc/Zulu").answer(), utc(false));
    let shanghai = tzif("Asia/Shanghai");
    let bad: [&[u8]; 3] = [b"", b"Asia/Tokyo\n", &shanghai[..shanghai.len() / 2]];
    for bytes in bad {
        let etc = Etc::new().write("etc/localtime", bytes);
        assert_eq!(etc.answer(), utc(true), "{} bytes", bytes.len());
        assert!(etc.machine().zone.origin().unwrap().starts_with("because"));
    }
    let directory = Etc::new();
    fs::create_dir(directory.path("etc/localtime")).unwrap();
    assert_eq!(directory.answer(), utc(true));
}

#[test]
fn leap_seconds_of_the_machine_are_left_out() {
    let right = Tzif { leaps: vec![(78_796_800, 1)], ..Tzif::once(2) }.bytes();
    let etc = Etc::new();
    fs::create_dir_all(etc.path("zoneinfo/right/Asia")).unwrap();
    let etc = etc.write("zoneinfo/right/Asia/Tokyo", &right).link("../zoneinfo/right/Asia/Tokyo");
    assert_eq!(etc.answer(), ("Asia/Tokyo".to_owned(), true, 9, true));
    assert!(etc.machine().doubt.unwrap().message.contains("leap seconds"));
    let zones = Database::open(Some(&etc.path("zoneinfo")));
    let Machine { zone, doubt } = zones.machine(Some("right/Asia/Tokyo"));
    assert_eq!((zone.name(), offsets(&zone), doubt.is_some()), ("Asia/Tokyo", TOKYO, true));
}

/// The binary says what it chose and where that comes from.
#[test]
fn what_was_chosen_is_said() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("jobs.toml"), "[jobs.a]\ncommand = 'true'\ncron = '0 3 * * *'\n")
        .unwrap();
    let schedrs = |args: &[&str]| {
        let mut command = harness::schedrs(args);
        command.env("TZ", "XET-1XEST,M3.5.0,M10.5.0/3").env("XDG_STATE_HOME", dir.path());
        let output = command.current_dir(dir.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        text(output.stdout) + &text(output.stderr)
    };
    let said = "XET-1XEST,M3.5.0,M10.5.0/3, from $TZ";
    for args in [
        &["next", "jobs.toml"][..],
        &["next", "--cron", "0 3 * * *"],
        &["explain", "0 3 * * *"],
        &["explain", "{ hour = 3 }"],
        &["doctor", "-f", "jobs.toml"],
    ] {
        let out = schedrs(args);
        assert!(out.contains(said), "{args:?}: {out}");
    }
    let out = schedrs(&["run", "--dry-run", "--until", "+1s", "--store", "memory", "jobs.toml"]);
    assert!(out.contains("XET-1XEST,M3.5.0,M10.5.0/3 (from $TZ)"), "{out}");
    // Asked for, it needs no origin.
    let out = schedrs(&["next", "--cron", "0 3 * * *", "--timezone", "Asia/Tokyo"]);
    assert!(!out.contains("from"), "{out}");
    let written = schedrs(&["init", "-"]);
    assert!(written.contains("# timezone ="), "{written}");
    assert!(Path::new(dir.path()).is_dir());
}
