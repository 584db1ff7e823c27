//! Where schedrs keeps what survives a restart, and where its control socket is.
//!
//! A store and a socket belong to one jobfile: their names are made from its path as it was given
//! (`spelling`), so that several jobfiles of one user do not meet, a client that is given the same
//! jobfile finds them, and both stay found when a link on the way to it is turned to another
//! release. Other spellings of the same path are where one looks next.

mod spelling;

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::accounts::home_of;
pub(crate) use spelling::as_given;

/// The name of everything that belongs to one jobfile: its stem and a hash of its absolute path as
/// it was given, such as `jobs-5f1c09ab`.
pub fn instance(jobfile: &Path) -> String {
    named(jobfile, &as_given(jobfile))
}

/// The names that a jobfile may have: its own first, then those of other spellings of its path,
/// among them the one that earlier versions gave it (after all links were followed).
pub(crate) fn instances(jobfile: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for path in spelling::all(jobfile) {
        // Earlier versions took the stem from what was given, and the hash from where it led.
        for name in [named(&path, &path), named(jobfile, &path)] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// FNV-1a: what is named after it has to be found by every version.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn named(file: &Path, path: &Path) -> String {
    let hash = hash(path.as_os_str().as_bytes());
    let hash = (hash ^ (hash >> 32)) as u32;
    let stem = file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let stem: String = stem.chars().take(32).map(plain).collect();
    match stem.trim_matches('-') {
        "" => format!("stdin-{hash:08x}"),
        stem => format!("{stem}-{hash:08x}"),
    }
}

/// A variable of the environment that is set and not empty.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// A directory that a service manager has made for us. It may name several, and then the first is
/// the main one.
fn given_directory(name: &str) -> Option<PathBuf> {
    let first = env::var(name).ok()?.split(':').next()?.to_owned();
    (!first.is_empty()).then(|| PathBuf::from(first))
}

/// A directory of the XDG specification, which says that relative ones are to be ignored.
fn xdg_directory(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from).filter(|dir| dir.is_absolute())
}

/// Where what survives a restart is kept: what a service manager says, else where the system or
/// the user keeps such things.
pub fn state_directory() -> PathBuf {
    if let Some(given) = given_directory("STATE_DIRECTORY") {
        return given;
    }
    if let Some(state) = xdg_directory("XDG_STATE_HOME") {
        return state.join("schedrs");
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/schedrs");
    }
    // Whoever starts it without HOME has one all the same.
    let own = || home_of(rustix::process::geteuid().as_raw());
    let home = variable("HOME").or_else(own).unwrap_or_else(|| "/".into());
    PathBuf::from(home).join(".local/state/schedrs")
}

/// Where the files of jobs with `output = "file"` are, a directory for each jobfile.
pub fn logs_directory() -> PathBuf {
    given_directory("LOGS_DIRECTORY").unwrap_or_else(|| state_directory().join("logs"))
}

/// The one of a jobfile: another one may have a job of the same id.
pub fn logs_of(jobfile: &Path) -> PathBuf {
    logs_directory().join(instance(jobfile))
}

/// Where a reader looks for the files of a jobfile's jobs, best first. A service manager may have
/// given the scheduler another directory than this shell's; the last ones are where earlier
/// versions wrote, for all jobfiles together.
pub(crate) fn logs_candidates(jobfile: &Path) -> Vec<PathBuf> {
    let system = [PathBuf::from("/var/log/schedrs"), "/var/lib/schedrs/logs".into()];
    let parents: Vec<PathBuf> = std::iter::once(logs_directory()).chain(system).collect();
    let names = instances(jobfile);
    let own = parents.iter().flat_map(|parent| names.iter().map(|name| parent.join(name)));
    own.chain(parents.iter().cloned()).collect()
}

/// The default store of a jobfile.
pub fn default_store(jobfile: &Path) -> PathBuf {
    state_directory().join(format!("{}.db", instance(jobfile)))
}

/// Where the default store of a jobfile may be in the state directory, best first.
pub(crate) fn default_stores(jobfile: &Path) -> Vec<PathBuf> {
    stores_in(&state_directory(), jobfile).collect()
}

fn stores_in(directory: &Path, jobfile: &Path) -> impl Iterator<Item = PathBuf> {
    instances(jobfile).into_iter().map(|name| directory.join(format!("{name}.db")))
}

/// Where the control socket of a jobfile is made: `$RUNTIME_DIRECTORY`, `$XDG_RUNTIME_DIR`, else
/// beside the store.
pub fn socket(jobfile: &Path) -> PathBuf {
    if let Some(given) = variable("SCHEDRS_SOCKET") {
        return given.into();
    }
    let name = format!("{}.sock", instance(jobfile));
    given_directory("RUNTIME_DIRECTORY")
        .or_else(|| Some(xdg_directory("XDG_RUNTIME_DIR")?.join("schedrs")))
        .unwrap_or_else(state_directory)
        .join(name)
}

/// Where a client looks for the control socket of a jobfile, best first. A scheduler that a
/// service manager has started has directories that its operator's shell knows nothing of.
pub fn socket_candidates(jobfile: &Path) -> Vec<PathBuf> {
    let own = socket(jobfile);
    if variable("SCHEDRS_SOCKET").is_some() {
        return vec![own];
    }
    let mut directories: Vec<PathBuf> = own.parent().map(Path::to_path_buf).into_iter().collect();
    for directory in socket_directories() {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    let names = instances(jobfile);
    let sockets = |name: &String| {
        let file = format!("{name}.sock");
        directories.iter().map(move |directory| directory.join(&file)).collect::<Vec<_>>()
    };
    names.iter().flat_map(sockets).collect()
}

/// Where the sockets of schedulers are that were not told otherwise.
pub fn socket_directories() -> Vec<PathBuf> {
    let own = xdg_directory("XDG_RUNTIME_DIR").map(|dir| dir.join("schedrs"));
    let mut found: Vec<PathBuf> = Vec::new();
    let others = [PathBuf::from("/run/schedrs"), state_directory(), "/var/lib/schedrs".into()];
    for directory in own.into_iter().chain(others) {
        if !found.contains(&directory) {
            found.push(directory);
        }
    }
    found
}

/// Where a reader looks for the default store of a jobfile, best first.
pub fn store_candidates(jobfile: &Path) -> Vec<PathBuf> {
    let (own, system) = (state_directory(), PathBuf::from("/var/lib/schedrs"));
    let mut found: Vec<PathBuf> = stores_in(&own, jobfile).collect();
    if own != system {
        found.extend(stores_in(&system, jobfile));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_a_name_of_its_own() {
        let one = instance(Path::new("/nowhere/a/jobs.toml"));
        let other = instance(Path::new("/nowhere/b/jobs.toml"));
        assert_ne!(one, other);
        assert!(one.starts_with("jobs-") && one.len() == "jobs-".len() + 8, "{one}");
        assert!(instance(Path::new("-")).starts_with("stdin-"));
        assert!(instance(Path::new("/x/../y/.. /ä/..")).len() < 48);
    }
}
