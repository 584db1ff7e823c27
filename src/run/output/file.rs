//! `output = "file"`: a file per job in the jobfile's own directory, bounded by rotation.
//!
//! `<id>.log` there is the current one; at 10 MiB it becomes `<id>.log.1`, that `<id>.log.2`, and
//! what was `<id>.log.4` is gone. A job so keeps at most 50 MiB. Lines are as the job printed them.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::sink::MAX_REST;
use crate::sys::file_id::FileId;

/// The size at which a file is rotated.
const MAX_SIZE: u64 = 10 * 1024 * 1024;

/// How many older files are kept.
const KEPT: u32 = 4;

/// When a file could not be rotated, it grows by this much before that is retried.
const NEXT_TRY: u64 = 1024 * 1024;

/// The file of one job.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Option<File>,
    /// Which file that is, once it was opened: somebody may have put another in its place.
    identity: Option<FileId>,
    /// It ends in the middle of a line.
    mid_line: bool,
    /// What is to be written before anything else.
    first: Vec<u8>,
    /// The size at which it is rotated.
    rotate_at: u64,
    /// Why it could not be rotated.
    unrotated: Option<io::Error>,
}

/// What could not be written, and why.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) bytes: usize,
    pub(super) error: io::Error,
}

impl LogFile {
    /// The file of a job; it is opened when it is needed.
    pub(super) fn new(directory: &Path, job: &str) -> LogFile {
        LogFile {
            path: path_of(directory, job),
            file: None,
            identity: None,
            mid_line: false,
            first: Vec::new(),
            rotate_at: MAX_SIZE,
            unrotated: None,
        }
    }

    /// Opens it for appending, unless it is open.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let directory = self.path.parent().unwrap_or(Path::new("."));
            crate::sys::trust::may_write_at(&self.path)?;
            // What jobs print is for their owner alone, as in the store.
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            let (file, meta) = append(&self.path)?;
            let identity = Some(FileId::of(&meta));
            if identity != self.identity {
                (self.mid_line, self.rotate_at) = (false, MAX_SIZE);
                self.first.clear();
            }
            (self.file, self.identity) = (Some(file), identity);
        }
        Ok(())
    }

    /// Closes it until it is needed again.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Appends whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let unwritten = |error| Unwritten { bytes: lines.len(), error };
        self.look_after(lines.len() as u64).map_err(unwritten)?;
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Err((written, error)) = put(file, &self.first) {
            self.first.drain(..written);
            return Err(unwritten(error));
        }
        self.first.clear();
        let Err((written, error)) = put(file, lines) else {
            self.mid_line = lines.last().map_or(self.mid_line, |last| *last != b'\n');
            return Ok(());
        };
        let (done, rest) = lines.split_at(written);
        self.mid_line = done.last().map_or(self.mid_line, |last| *last != b'\n');
        let mut bytes = rest.len();
        if self.mid_line {
            // A line that is half written is finished first, or at least ended.
            let end = rest.iter().take(MAX_REST).position(|byte| *byte == b'\n');
            self.first = end.map_or(vec![b'\n'], |end| rest[..=end].to_vec());
            bytes -= end.map_or(0, |end| end + 1);
            self.mid_line = false;
        }
        Err(Unwritten { bytes, error })
    }

    /// Sees to it that the file that is open is the one of that name, and not too large for so many
    /// bytes more.
    fn look_after(&mut self, more: u64) -> io::Result<()> {
        let is_there = |meta: &fs::Metadata| Some(FileId::of(meta)) == self.identity;
        let size = match fs::symlink_metadata(&self.path).ok().filter(is_there) {
            Some(meta) => meta.len(),
            // It was moved or removed. Where there can be no other, the old one is better than none.
            None => {
                let old = self.file.take();
                let opened = self.open();
                match (opened, old) {
                    (Ok(()), _) => self.size(),
                    (Err(_), Some(old)) => {
                        self.file = Some(old);
                        return Ok(());
                    }
                    (Err(error), None) => return Err(error),
                }
            }
        };
        self.open()?;
        if size > 0
            && size + more > self.rotate_at
            && let Err(error) = self.rotate()
        {
            self.rotate_at = size + more + NEXT_TRY;
            self.unrotated = Some(error);
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len())
    }

    /// Why it could not be rotated, once for each time that was tried.
    pub(super) fn take_unrotated(&mut self) -> Option<io::Error> {
        self.unrotated.take()
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
        let old = self.file.take();
        self.open().inspect_err(|_| self.file = old)
    }
}

/// Writes all there is. The error comes with how much was written.
fn put(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// The current file of a job.
pub(crate) fn path_of(directory: &Path, job: &str) -> PathBuf {
    directory.join(format!("{}.log", file_name(job)))
}

fn append(path: &Path) -> io::Result<(File, fs::Metadata)> {
    let file = crate::sys::trust::append_to(path)?;
    let meta = file.metadata()?;
    Ok((file, meta))
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
        let hash = format!("~{:016x}", crate::sys::paths::hash(job.as_bytes()));
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
                let mut log = LogFile::new(dir.path(), &id);
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
        let mut log = LogFile::new(&below, "j");
        log.open().unwrap();
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
        let mut log = LogFile::new(dir.path(), "j");
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

    /// Somebody moves or removes the file, or the whole directory, or cuts it.
    #[test]
    fn a_file_that_is_gone_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        let mut log = LogFile::new(&logs, "j");
        let path = path_of(&logs, "j");
        let is = |text: &str| assert_eq!(fs::read_to_string(&path).unwrap(), text);
        log.write(b"one\n").unwrap();
        let moved = logs.join("j.log-20261128");
        fs::rename(&path, &moved).unwrap();
        log.write(b"two\n").unwrap();
        is("two\n");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\n");
        fs::remove_file(&path).unwrap();
        log.write(b"three\n").unwrap();
        is("three\n");
        fs::remove_dir_all(&logs).unwrap();
        log.write(b"four\n").unwrap();
        is("four\n");
        fs::write(&path, "").unwrap();
        log.write(b"five\n").unwrap();
        is("five\n");
    }

    /// What cannot be rotated grows, and says why; nothing of it is lost.
    #[test]
    fn what_cannot_be_rotated_grows() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::new(dir.path(), "j");
        // Directories with something in them are in the way.
        for number in 1..=KEPT {
            fs::create_dir_all(dir.path().join(format!("j.log.{number}/x"))).unwrap();
        }
        let chunk = vec![b'x'; MAX_SIZE as usize / 2];
        let failed = |log: &mut LogFile| log.take_unrotated().is_some();
        let outcomes: Vec<bool> = (0..4)
            .map(|_| {
                log.write(&chunk).unwrap();
                failed(&mut log)
            })
            .collect();
        assert_eq!(outcomes, [false, false, true, true]);
        let size = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
        assert_eq!(size("j.log"), 2 * MAX_SIZE);
        log.write(b"y").unwrap();
        assert!(!failed(&mut log));
        fs::remove_dir_all(dir.path().join("j.log.1")).unwrap();
        log.write(&chunk).unwrap();
        assert!(!failed(&mut log));
        assert_eq!((size("j.log.1"), size("j.log")), (2 * MAX_SIZE + 1, MAX_SIZE / 2));
    }
}
