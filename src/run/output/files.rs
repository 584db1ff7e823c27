//! All the files of `output = "file"`, and the law of [`loss`](super::loss) for them.
//!
//! A disk that is full is full for all of them: that it is, is told once for all jobs, and so is
//! that it no longer is. Until then it is retried now and then, and what is printed meanwhile is
//! counted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::file::{LogFile, Unwritten};
use super::loss::{self, RETRY};
use crate::core::instant::Mono;
use crate::core::words;
use crate::run::child::describe;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    of_job: HashMap<Box<str>, Entry>,
    /// What goes wrong, by the reason.
    outages: HashMap<Box<str>, Outage>,
    /// When what has failed is retried.
    retry: Option<Mono>,
}

#[derive(Debug)]
struct Entry {
    log: LogFile,
    /// How many streams lead to it.
    streams: usize,
    failing: Option<Failing>,
    /// That it cannot be rotated was told.
    rotation_told: bool,
}

#[derive(Debug)]
struct Failing {
    reason: Box<str>,
    lost: u64,
}

/// All files that fail in the same way.
#[derive(Debug)]
struct Outage {
    since: Mono,
    /// How many files still do.
    failing: usize,
    /// How much was lost of those that work again.
    lost: u64,
}

impl Files {
    pub(super) fn new(directory: PathBuf) -> Files {
        Files { directory, of_job: HashMap::new(), outages: HashMap::new(), retry: None }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// One more stream leads to the file of a job.
    pub(super) fn open(&mut self, job: &str, now: Mono) {
        let directory = &self.directory;
        let entry = self.of_job.entry(job.into()).or_insert_with(|| Entry {
            log: LogFile::new(directory, job),
            streams: 0,
            failing: None,
            rotation_told: false,
        });
        entry.streams += 1;
        if entry.failing.is_none()
            && let Err(error) = entry.log.open()
        {
            self.failed(job, &Unwritten { bytes: 0, error }, now);
        }
    }

    /// One less.
    pub(super) fn close(&mut self, job: &str) {
        let Some(entry) = self.of_job.get_mut(job) else { return };
        entry.streams = entry.streams.saturating_sub(1);
        if entry.streams == 0 {
            entry.log.close();
            // One that fails is remembered until it no longer does.
            if entry.failing.is_none() && !entry.rotation_told {
                self.of_job.remove(job);
            }
        }
    }

    /// Appends whole lines to the file of a job.
    pub(super) fn write(&mut self, job: &str, lines: &[u8], now: Mono) {
        let Some(entry) = self.of_job.get_mut(job) else { return };
        if let Some(failing) = &mut entry.failing {
            failing.lost += lines.len() as u64;
            return;
        }
        let written = entry.log.write(lines);
        match entry.log.take_unrotated() {
            Some(error) if !entry.rotation_told => {
                entry.rotation_told = true;
                let reason = describe(&error);
                log::warn!(job; "cannot rotate its log file, which grows beyond its limit: {reason}");
            }
            _ => {}
        }
        if let Err(unwritten) = written {
            self.failed(job, &unwritten, now);
        }
    }

    /// Closes every file, so that what was moved is let go of, and opens what is used.
    pub(super) fn reopen(&mut self, now: Mono) {
        let mut failed = Vec::new();
        for (job, entry) in &mut self.of_job {
            entry.log.close();
            if entry.streams > 0
                && entry.failing.is_none()
                && let Err(error) = entry.log.open()
            {
                failed.push((job.clone(), error));
            }
        }
        for (job, error) in failed {
            self.failed(&job, &Unwritten { bytes: 0, error }, now);
        }
        if self.retry.is_some() {
            self.retry = Some(now);
        }
    }

    /// When to call [`Files::retry`].
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.retry
    }

    /// Tries again what has failed: a line that says how much is missing is written in its place.
    pub(super) fn retry(&mut self, now: Mono) {
        if self.retry.is_none_or(|at| now < at) {
            return;
        }
        for entry in self.of_job.values_mut() {
            let Some(failing) = &mut entry.failing else { continue };
            let lost = format!("{} bytes of output lost: {}", failing.lost, failing.reason);
            let note = if failing.lost > 0 { loss::note(&lost, false) } else { Vec::new() };
            if let Err(unwritten) = entry.log.write(&note) {
                // Once some of the line is written, the rest of it comes first of all.
                if unwritten.bytes < note.len()
                    && let Some(outage) = self.outages.get_mut(&failing.reason)
                {
                    outage.lost += std::mem::take(&mut failing.lost);
                }
                continue;
            }
            if entry.streams == 0 {
                entry.log.close();
            }
            if let Some(outage) = self.outages.get_mut(&failing.reason) {
                outage.failing -= 1;
                outage.lost += failing.lost;
            }
            entry.failing = None;
        }
        self.of_job
            .retain(|_, entry| entry.streams > 0 || entry.failing.is_some() || entry.rotation_told);
        self.outages.retain(|reason, outage| {
            if outage.failing == 0 {
                log::warn!(
                    event = "output_recovered";
                    "writing job log files works again after {}; {}: {reason}",
                    words::span(now.since(outage.since)), loss::lost(outage.lost)
                );
            }
            outage.failing > 0
        });
        self.retry = (!self.outages.is_empty()).then(|| now.plus(RETRY));
    }

    /// There will be no other try.
    pub(super) fn finish(&mut self, now: Mono) {
        self.retry = self.retry.map(|_| now);
        self.retry(now);
        let failing = self.of_job.values().filter_map(|entry| entry.failing.as_ref());
        let bytes = failing.map(|failing| failing.lost).sum::<u64>();
        let bytes = bytes + self.outages.values().map(|outage| outage.lost).sum::<u64>();
        if !self.outages.is_empty() {
            log::warn!(
                event = "output_lost";
                "cannot write job log files; {}", loss::lost(bytes)
            );
        }
    }

    fn failed(&mut self, job: &str, unwritten: &Unwritten, now: Mono) {
        let reason: Box<str> = describe(&unwritten.error).into();
        let Some(entry) = self.of_job.get_mut(job) else { return };
        let lost = unwritten.bytes as u64;
        entry.failing = Some(Failing { reason: reason.clone(), lost });
        entry.log.close();
        let outage = self.outages.entry(reason).or_insert_with_key(|reason| {
            log::error!(
                event = "output_lost", job;
                "cannot write its log file in {}; output to log files is lost until that works again: {reason}",
                self.directory.display()
            );
            Outage { since: now, failing: 0, lost: 0 }
        });
        outage.failing += 1;
        self.retry = self.retry.or_else(|| Some(now.plus(RETRY)));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::run::output::file::path_of;

    /// A directory stands where the files of two jobs are to be.
    #[test]
    fn a_loss_is_counted_and_over_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path().to_owned());
        let paths = ["a", "b"].map(|job| path_of(dir.path(), job));
        for path in &paths {
            fs::create_dir(path).unwrap();
        }
        const REASON: &str = "it is not a regular file";
        let at = |seconds: u64| Mono::from_micros(seconds * 1_000_000);
        for job in ["a", "b"] {
            files.open(job, at(0));
            files.write(job, b"lost\n", at(0));
        }
        files.close("b");
        let outage = &files.outages[REASON];
        assert_eq!((files.outages.len(), outage.failing), (1, 2));
        files.retry(at(1));
        assert_eq!(files.deadline(), Some(at(2)));
        fs::remove_dir(&paths[0]).unwrap();
        files.retry(at(2));
        assert_eq!(files.outages[REASON].lost, 5);
        files.write("a", b"kept\n", at(2));
        fs::remove_dir(&paths[1]).unwrap();
        files.retry(at(3));
        assert!(files.deadline().is_none() && files.outages.is_empty());
        // The other had no stream any more.
        assert_eq!(files.of_job.keys().map(|job| &**job).collect::<Vec<_>>(), ["a"]);
        let note = "schedrs: 5 bytes of output lost: it is not a regular file\n";
        assert_eq!(fs::read_to_string(&paths[0]).unwrap(), format!("{note}kept\n"));
        assert_eq!(fs::read_to_string(&paths[1]).unwrap(), note);
    }

    #[test]
    fn what_was_moved_is_let_go_of() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path().to_owned());
        let (now, path) = (Mono::from_micros(0), path_of(dir.path(), "a"));
        files.open("a", now);
        fs::rename(&path, dir.path().join("moved")).unwrap();
        files.reopen(now);
        assert!(path.exists());
    }
}
