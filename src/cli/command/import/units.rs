//! Which units are read: those that are named, those of a directory, or those that are enabled on this
//! machine; each with the drop-ins that stand beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::text;
use crate::convert::import::{Draft, systemd};
use crate::core::sort;
use crate::problem::clean;

/// Where systemd looks for units, in its order.
const UNIT_DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// No timers that are left out are named beyond these.
const NAMED: usize = 10;

/// The same for the units of users, beside those in one's own home.
const USER_DIRECTORIES: [&str; 4] = [
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
];

/// A unit by its name, and its file, which for an instance is that of its template.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: String,
    file: PathBuf,
}

impl Found {
    fn named(file: PathBuf) -> Found {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Found { name, file }
    }

    /// Where it is shown to come from.
    fn shown(&self) -> PathBuf {
        self.file.with_file_name(&self.name)
    }
}

pub(super) fn read(files: &[PathBuf], draft: &mut Draft<'_>) -> anyhow::Result<()> {
    let directories: Vec<PathBuf> = UNIT_DIRECTORIES.iter().map(PathBuf::from).collect();
    let (mut timers, mut services) = (Vec::new(), Vec::new());
    for file in files {
        if file.is_dir() {
            match timers_in(file) {
                Ok(found) => timers.extend(found.into_iter().map(Found::named)),
                Err(error) if files.len() == 1 => return Err(error),
                Err(error) => draft.unread(&file.to_string_lossy(), format_args!("{error:#}")),
            }
        } else if is_timer(file) {
            timers.push(Found::named(file.clone()));
        } else {
            services.push(file.clone());
        }
    }
    if files.is_empty() {
        timers = enabled(&directories)?;
    } else if timers.is_empty() {
        bail!("none of these files is a timer: their names must end in `.timer`");
    }
    let own = std::env::var("HOME").ok();
    let single = timers.len() == 1;
    for timer in timers {
        let whole = std::path::absolute(&timer.file).unwrap_or_else(|_| timer.file.clone());
        let place = Place::of(&whole, own.as_deref());
        let text = match unit_text(&timer, &place.directories) {
            Ok(text) => text,
            Err(error) if single => return Err(error),
            Err(error) => {
                draft.unread(&timer.shown().to_string_lossy(), format_args!("{error:#}"));
                continue;
            }
        };
        let find = |unit: &str| -> Option<(String, String)> {
            let file_of = |unit: &str| {
                let is_it = |path: &&PathBuf| path.file_name().is_some_and(|name| name == unit);
                let given = services.iter().find(is_it).cloned();
                let beside = timer.file.with_file_name(unit);
                let elsewhere = place.directories.iter().map(|dir| dir.join(unit));
                given.into_iter().chain([beside]).chain(elsewhere).find(|path| path.exists())
            };
            let file = file_of(unit).or_else(|| file_of(&template_of(unit)?))?;
            let shown = file.to_string_lossy().into_owned();
            let found = Found { name: unit.to_owned(), file };
            Some((shown, unit_text(&found, &place.directories).ok()?))
        };
        let name = timer.shown().to_string_lossy().into_owned();
        systemd::read(draft, &name, &text, place.home.as_deref(), &find);
    }
    Ok(())
}

/// Whose a unit is.
struct Place {
    /// Where systemd looks for its kind, in its order.
    directories: Vec<PathBuf>,
    /// What `%h` is: root's home in a unit of the system, one's own in a unit of users.
    home: Option<String>,
}

impl Place {
    /// `file` is a whole path, since a relative one does not say whose it is.
    fn of(file: &Path, own: Option<&str>) -> Place {
        let of = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<PathBuf>>();
        if file.to_string_lossy().contains("systemd/user/") {
            let mut directories = of(&USER_DIRECTORIES);
            directories.splice(0..0, own.map(|own| Path::new(own).join(".config/systemd/user")));
            Place { directories, home: own.map(str::to_owned) }
        } else {
            Place { directories: of(&UNIT_DIRECTORIES), home: Some("/root".to_owned()) }
        }
    }
}

fn is_timer(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "timer")
}

/// The timers of a directory that is to have some.
fn timers_in(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let found = timers_of(directory)?;
    if found.is_empty() {
        bail!("there is no timer in {}", clean(&directory.to_string_lossy()));
    }
    Ok(found)
}

/// The timers of a directory, in the order of their names.
fn timers_of(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = directory.to_string_lossy().into_owned();
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", clean(&shown)))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut timers: Vec<PathBuf> = paths.filter(|path| is_timer(path) && path.is_file()).collect();
    sort::all(&mut timers);
    Ok(timers)
}

/// The timers that some target wants, each from the first directory that has it; the others are named.
fn enabled(directories: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let mut first: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut wanted = BTreeSet::new();
    for directory in directories {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_timer(&path) {
                first.entry(name).or_insert(path);
            } else if [".wants", ".requires"].iter().any(|ending| name.ends_with(ending)) {
                let inside = fs::read_dir(path).into_iter().flatten().flatten();
                wanted.extend(inside.map(|it| it.file_name().to_string_lossy().into_owned()));
            }
        }
    }
    // A unit that is masked is a link to /dev/null.
    let on: Vec<Found> = wanted
        .into_iter()
        .filter(|name| is_timer(Path::new(name)))
        .filter_map(|name| {
            let file = first.get(&name).or_else(|| first.get(&template_of(&name)?))?.clone();
            Some(Found { name, file })
        })
        .filter(|found| found.file.is_file())
        .collect();
    let is_off = |path: &PathBuf| path.is_file() && on.iter().all(|found| found.file != *path);
    let off: Vec<&String> =
        first.iter().filter(|(_, path)| is_off(path)).map(|(name, _)| name).collect();
    let names: Vec<&str> = off.iter().take(NAMED).map(|name| name.as_str()).collect();
    if !names.is_empty() {
        let more = off.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = names.join(", ");
        anstream::eprintln!("left out, as they are not enabled: {}{more}", clean(&names));
    }
    if on.is_empty() {
        bail!("no timer is enabled on this machine; name files or a directory");
    }
    Ok(on)
}

/// The template of an instance: `a@.timer` of `a@b.timer`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, ending) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{ending}"))
}

/// A unit with its drop-ins.
fn unit_text(unit: &Found, directories: &[PathBuf]) -> anyhow::Result<String> {
    let (_, mut whole) = text(&unit.file)?;
    for drop_in in drop_ins(unit, directories) {
        if !whole.ends_with('\n') {
            whole.push('\n');
        }
        whole += &text(&drop_in)?.1;
    }
    Ok(whole)
}

/// The drop-ins of a unit in the order of their names: those beside it, and if it is in one of these
/// directories, those in all of them. Of one name, that of the first directory counts, and of an
/// instance its own before that of its template.
fn drop_ins(unit: &Found, directories: &[PathBuf]) -> Vec<PathBuf> {
    let whole = std::path::absolute(&unit.file).unwrap_or_else(|_| unit.file.clone());
    let beside = whole.parent().unwrap_or(Path::new("")).to_path_buf();
    let places =
        if directories.contains(&beside) { directories } else { std::slice::from_ref(&beside) };
    let template = template_of(&unit.name);
    let names = [Some(&unit.name), template.as_ref()].into_iter().flatten();
    let mut found: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for name in names {
        for place in places {
            let entries = fs::read_dir(place.join(format!("{name}.d"))).into_iter().flatten();
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                if path.extension().is_some_and(|ending| ending == "conf")
                    && let Some(name) = path.file_name()
                {
                    found.entry(name.to_owned()).or_insert(path);
                }
            }
        }
    }
    // One that is masked is a link to /dev/null.
    found.into_values().filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_machine_s_own() {
        let root = tempfile::tempdir().unwrap();
        let (etc, usr) = (root.path().join("etc"), root.path().join("usr"));
        let directories = [etc.clone(), usr.clone(), root.path().join("nowhere")];
        fs::create_dir_all(etc.join("timers.target.wants")).unwrap();
        fs::create_dir_all(usr.join("timers.target.wants")).unwrap();
        assert!(enabled(&directories).unwrap_err().to_string().contains("no timer is enabled"));
        for path in [
            "etc/a.timer",
            "usr/a.timer",
            "usr/b.timer",
            "usr/off.timer",
            "usr/masked.timer",
            "usr/t@.timer",
            "usr/off@.timer",
        ] {
            fs::write(root.path().join(path), "").unwrap();
        }
        symlink("/dev/null", etc.join("masked.timer")).unwrap();
        for (of, name, file) in [
            (&etc, "a.timer", "a.timer"),
            (&usr, "b.timer", "b.timer"),
            (&usr, "masked.timer", "masked.timer"),
            (&etc, "t@one.timer", "t@.timer"),
            (&etc, "t@two.timer", "t@.timer"),
            (&etc, "x.service", "x.service"),
        ] {
            symlink(usr.join(file), of.join("timers.target.wants").join(name)).unwrap();
        }
        let on = enabled(&directories).unwrap();
        let on: Vec<(&str, &Path)> =
            on.iter().map(|found| (&*found.name, found.file.as_path())).collect();
        let (a, b, t) = (etc.join("a.timer"), usr.join("b.timer"), usr.join("t@.timer"));
        let expected =
            [("a.timer", &*a), ("b.timer", &*b), ("t@one.timer", &*t), ("t@two.timer", &*t)];
        assert_eq!(on, expected);
        assert_eq!(timers_of(&usr).unwrap().len(), 6);
    }

    /// What is set in `/etc` for a unit of `/usr` counts.
    #[test]
    fn drop_ins_of_all_directories() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for path in [
            "usr/a@.service.d/10-usr.conf",
            "usr/a@.service.d/20-both.conf",
            "usr/a@.service.d/30-masked.conf",
            "etc/a@.service.d/20-both.conf",
            "etc/a@.service.d/40-both.conf",
            "etc/a@b.service.d/40-both.conf",
            "etc/a@b.service.d/05-own.conf",
            "etc/a@b.service.d/readme",
            "etc/a@c.service.d/50-another.conf",
            "own/a@.service.d/60-beside.conf",
        ] {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), format!("# {path}")).unwrap();
        }
        symlink("/dev/null", at("etc/a@.service.d/30-masked.conf")).unwrap();
        for path in ["usr/a@.service", "own/a@.service"] {
            fs::write(at(path), "# unit").unwrap();
        }
        let directories = [at("etc"), at("usr")];
        let of = |file: &str| {
            let unit = Found { name: "a@b.service".to_owned(), file: at(file) };
            unit_text(&unit, &directories).unwrap().replace("# ", "")
        };
        assert_eq!(
            of("usr/a@.service"),
            "unit\netc/a@b.service.d/05-own.conf\nusr/a@.service.d/10-usr.conf\n\
             etc/a@.service.d/20-both.conf\netc/a@b.service.d/40-both.conf"
        );
        assert_eq!(of("own/a@.service"), "unit\nown/a@.service.d/60-beside.conf");
    }

    #[test]
    fn whose_a_unit_is() {
        let rows = [
            ("/home/me/.config/systemd/user/x.timer", "/home/me/.config/systemd/user", "/home/me"),
            ("/usr/lib/systemd/user/x.timer", "/home/me/.config/systemd/user", "/home/me"),
            ("/usr/lib/systemd/system/x.timer", "/etc/systemd/system", "/root"),
            ("/srv/x.timer", "/etc/systemd/system", "/root"),
        ];
        for (file, first, home) in rows {
            let place = Place::of(Path::new(file), Some("/home/me"));
            let found = (place.directories[0].as_path(), place.home.as_deref());
            assert_eq!(found, (Path::new(first), Some(home)), "{file}");
        }
    }
}
