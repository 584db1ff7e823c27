//! `output = "file"`: a file per job in the state directory, bounded by rotation.
//!
//! `logs/<id>.log` is the current one; at 10 MiB it becomes `<id>.log.1`, that `<id>.log.2`, and
//! what was `<id>.log.4` is gone. A job so keeps at most 50 MiB. Lines are as the job printed them.

use std::fs::{self, File};
use std::io::{self, Write};
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
        fs::create_dir_all(directory)?;
        let path = path_of(directory, job);
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
    let file = File::options().append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// A job's id as the name of a file: what could lead elsewhere is written as `%2F`.
fn file_name(job: &str) -> String {
    let mut name = String::new();
    for (at, byte) in job.bytes().enumerate() {
        match byte {
            b'.' if at == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => name.push(byte.into()),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
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
