//! `output = "file"`: a file per job in the jobfile's own directory, bounded by rotation.
//!
//! `<id>.log` there is the current one; at 10 MiB it becomes `<id>.log.1`, that `<id>.log.2`, and
//! what was `<id>.log.4` is gone. A job so keeps at most 50 MiB. Lines are as the job printed them.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The size at which a file is rotated.
const MAX_SIZE: u64 = 10 * 1024 * 1024;

/// How many older files are kept.
const KEPT: u32 = 4;

/// The file of one job.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    /// How many streams are being written to it.
    pub(super) users: usize,
}

impl LogFile {
    /// Opens the file of a job for appending.
    pub(super) fn open(directory: &Path, job: &str) -> io::Result<LogFile> {
        let path = path_of(directory, job);
        crate::trust::may_write_at(&path)?;
        // What jobs print is for their owner alone, as in the store.
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let (file, size) = append(&path)?;
        Ok(LogFile { path, file, size, users: 0 })
    }

    /// Appends whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + lines.len() as u64 > MAX_SIZE {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..KEPT).rev() {
            // There are fewer at first.
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        fs::rename(&self.path, numbered(1))?;
        (self.file, self.size) = append(&self.path)?;
        Ok(())
    }
}

/// The current file of a job.
pub(crate) fn path_of(directory: &Path, job: &str) -> PathBuf {
    directory.join(format!("{}.log", file_name(job)))
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = crate::trust::append_to(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// No name is longer, which leaves room for `.log.4` in the 255 bytes that a file system allows.
const LONGEST: usize = 240;

/// A job's id as the name of a file: what could lead elsewhere is written as `%2F`. One that is too
/// long ends with a hash of the id instead, after a `~`, which no other name has.
fn file_name(job: &str) -> String {
    let mut name = String::new();
    for (at, byte) in job.bytes().enumerate() {
        match byte {
            b'.' if at == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => name.push(byte.into()),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > LONGEST {
        let hash = format!("~{:016x}", crate::paths::hash(job.as_bytes()));
        let mut end = LONGEST - hash.len();
        // Not within the three bytes of one that is written out.
        while end > 0 && name.as_bytes()[end - 2..end].contains(&b'%') {
            end -= 1;
        }
        name.truncate(end);
        name += &hash;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_directory() {
        assert_eq!(file_name("rotate-logs"), "rotate-logs");
        assert_eq!(file_name("../é/x"), "%2E.%2F%C3%A9%2Fx");
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        assert_eq!(file_name(&"x".repeat(240)), "x".repeat(240));
        let dir = tempfile::tempdir().unwrap();
        let mut names = std::collections::HashSet::new();
        for length in 20..90 {
            for last in ["", "ビ", "ブ", "a", "~"] {
                let id = "夜".repeat(length) + last;
                let name = file_name(&id);
                assert!(name.len() <= 240, "{name}");
                let escapes = name.split('~').next().unwrap().split('%').skip(1);
                assert!(escapes.into_iter().all(|hex| hex.len() >= 2), "{name}");
                assert!(names.insert(name));
                let mut log = LogFile::open(dir.path(), &id).unwrap();
                log.write(b"precious\n").unwrap();
                log.rotate().unwrap();
            }
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2 * names.len());
    }

    #[test]
    fn nobody_else_reads_them() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("state/logs");
        let mut log = LogFile::open(&below, "j").unwrap();
        log.rotate().unwrap();
        let mode = |path: &str| {
            let found = fs::metadata(dir.path().join(path)).unwrap();
            found.permissions().mode() & 0o7777
        };
        assert_eq!(["state", "state/logs"].map(mode), [0o700; 2]);
        assert_eq!(["state/logs/j.log", "state/logs/j.log.1"].map(mode), [0o600; 2]);
    }

    #[test]
    fn a_job_keeps_five_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), "j").unwrap();
        let chunk = vec![b'x'; MAX_SIZE as usize / 2];
        for _ in 0..16 {
            log.write(&chunk).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["j.log", "j.log.1", "j.log.2", "j.log.3", "j.log.4"]);
        for name in names {
            assert_eq!(fs::metadata(dir.path().join(name)).unwrap().len(), MAX_SIZE);
        }
    }
}
