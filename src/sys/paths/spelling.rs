//! The absolute path of a file as it was given, and the other ways to spell it.
//!
//! `/srv/current/jobs.toml` means whatever `current` leads to: who deploys a release, or mounts a
//! ConfigMap, turns that link and means the same jobfile afterwards. So links stay as they were
//! typed, and only `.`, `..` and a relative beginning are taken out. Where that begins is what the
//! shell calls its directory (`pwd -L`), for it knows the link that it went through; the kernel
//! does not.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The absolute path of a file as it was given, without `.` and `..`, with its links.
pub(crate) fn as_given(path: &Path) -> PathBuf {
    under(logical_directory().or_else(|| env::current_dir().ok()), path)
}

/// The spellings of a path, best first: as it was given; from the directory as the kernel calls
/// it; with the links on the way to it followed; and with its own followed, too.
pub(super) fn all(path: &Path) -> Vec<PathBuf> {
    let given = as_given(path);
    let physical = under(env::current_dir().ok(), path);
    let of_directory = match (given.parent().map(fs::canonicalize), given.file_name()) {
        (Some(Ok(parent)), Some(name)) => Some(parent.join(name)),
        _ => None,
    };
    let followed = fs::canonicalize(path).ok();
    let mut all = vec![given];
    for other in [Some(physical), of_directory, followed].into_iter().flatten() {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

/// What the shell says that it is in, if that is so.
fn logical_directory() -> Option<PathBuf> {
    let said = PathBuf::from(env::var_os("PWD")?);
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !said.is_absolute() || !said.components().all(plain) {
        return None;
    }
    let (there, here) = (fs::metadata(&said).ok()?, fs::metadata(".").ok()?);
    ((there.dev(), there.ino()) == (here.dev(), here.ino())).then_some(said)
}

fn under(directory: Option<PathBuf>, path: &Path) -> PathBuf {
    let mut whole = PathBuf::from("/");
    let directory = directory.filter(|_| path.is_relative()).unwrap_or_default();
    for part in directory.components().chain(path.components()) {
        match part {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => {
                // The parent of where a link leads, as the kernel has it.
                if whole.is_symlink()
                    && let Ok(followed) = fs::canonicalize(&whole)
                {
                    whole = followed;
                }
                whole.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_and_dots_go() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("rel/1/conf")).unwrap();
        symlink("rel/1", base.join("current")).unwrap();
        symlink("rel/1/conf", base.join("conf")).unwrap();
        for (given, expected) in [
            ("current/jobs.toml", "current/jobs.toml"),
            ("./current/./jobs.toml", "current/jobs.toml"),
            ("rel/../current/jobs.toml", "current/jobs.toml"),
            ("nowhere/../current/jobs.toml", "current/jobs.toml"),
            // Not `./jobs.toml`: the kernel goes up from where the link leads.
            ("conf/../jobs.toml", "rel/1/jobs.toml"),
        ] {
            let path = base.join(given);
            assert_eq!(as_given(&path), base.join(expected), "{given}");
            let relative = under(Some(base.clone()), Path::new(given));
            assert_eq!(relative, base.join(expected), "{given}");
        }
        assert_eq!(under(Some("/".into()), Path::new("../../x")), Path::new("/x"));
    }

    #[test]
    fn every_spelling_once() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("rel/1")).unwrap();
        fs::write(base.join("rel/1/real.toml"), "").unwrap();
        symlink("real.toml", base.join("rel/1/jobs.toml")).unwrap();
        symlink("rel/1", base.join("current")).unwrap();
        let expected = ["current/jobs.toml", "rel/1/jobs.toml", "rel/1/real.toml"];
        let expected: Vec<PathBuf> = expected.iter().map(|path| base.join(path)).collect();
        assert_eq!(all(&base.join("current/jobs.toml")), expected);
        assert_eq!(all(&expected[2]), [expected[2].clone()]);
    }
}
