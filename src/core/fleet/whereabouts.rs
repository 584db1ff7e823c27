//! Who is there and where each job is at home, as one session sees it: for whoever asks from which
//! host something is to be had.
//!
//! It is made anew whenever the protocol computes homes, and read by other threads.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::home::{FileJobs, Home, HomeJob, Placement, Seat, fits};
use super::{RunOn, SessionId};
use crate::core::instant::Instant;

/// See the [module](self).
#[derive(Debug)]
pub struct Whereabouts {
    /// The session whose view it is.
    pub me: SessionId,
    /// All that are there, this one included.
    pub hosts: Vec<Host>,
    jobs: Arc<[HomeJob]>,
    files: HashMap<u64, FileJobs>,
    places: OnceLock<HashMap<Box<str>, usize>>,
}

/// A host that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its session.
    pub id: SessionId,
    /// What people call it.
    pub name: Box<str>,
    /// It decides nothing more, and ends when its runs have.
    pub is_leaving: bool,
    /// Its labels.
    pub labels: Box<[Box<str>]>,
    /// By which file it is judged, and when it loaded that.
    pub file: (u64, Instant),
}

impl Whereabouts {
    /// What a session knows: who is there, the jobs that it has, and what is in all files.
    pub fn new(
        me: SessionId,
        hosts: Vec<Host>,
        jobs: Arc<[HomeJob]>,
        files: HashMap<u64, FileJobs>,
    ) -> Whereabouts {
        Whereabouts { me, hosts, jobs, files, places: OnceLock::new() }
    }

    /// Where a job is at home; `None`: it is not known here.
    pub fn home(&self, job: &str) -> Option<Home> {
        let places = self.places.get_or_init(|| {
            self.jobs.iter().enumerate().map(|(place, job)| (job.id.clone(), place)).collect()
        });
        let job = self.jobs.get(*places.get(job)?)?;
        let seats = self.hosts.iter().filter(|host| !host.is_leaving).map(|host| Seat {
            id: host.id,
            labels: &host.labels,
            file: host.file.0,
            loaded: host.file.1,
        });
        Some(Placement::new(seats.collect(), &self.files).home(job))
    }

    /// What people call the host where a job is at home; `all` if it is at home on each, and `None` if
    /// it is nowhere, or not known here.
    pub fn home_name(&self, job: &str) -> Option<&str> {
        match self.home(job)? {
            Home::Nowhere => None,
            Home::At(id) => Some(&self.host(id)?.name),
            Home::Each => Some("all"),
        }
    }

    /// What a job that is at home nowhere waits for, in words after "due"; `None`: it is not known here.
    pub fn awaits_home(&self, job: &str) -> Option<String> {
        let job = self.jobs.iter().find(|known| *known.id == *job)?;
        Some(match self.missing_labels(job) {
            Some(labels) => format!("once a host has all of its labels: {}", labels.join(", ")),
            // Any other is missing for as long as files differ.
            None => "as a newer jobfile of another host has it".to_owned(),
        })
    }

    /// Whether no host may run a job, because none has all of its labels.
    pub fn has_no_host(&self, job: &str) -> bool {
        let known = || self.jobs.iter().find(|known| *known.id == *job);
        self.home(job) == Some(Home::Nowhere)
            && known().is_some_and(|job| self.missing_labels(job).is_some())
    }

    /// The labels of a job, if no host that is there has all of them.
    fn missing_labels<'a>(&self, job: &'a HomeJob) -> Option<&'a [Box<str>]> {
        let mut there = self.hosts.iter().filter(|host| !host.is_leaving);
        match &job.run_on {
            RunOn::Labels(labels) if !there.any(|host| fits(&job.run_on, &host.labels)) => {
                Some(&labels[..])
            }
            _ => None,
        }
    }

    /// One that is there.
    pub fn host(&self, id: SessionId) -> Option<&Host> {
        self.hosts.iter().find(|host| host.id == id)
    }

    /// Those that people call so; or the one session of this number.
    pub fn named(&self, name: &str) -> Vec<&Host> {
        let by_name: Vec<&Host> = self.hosts.iter().filter(|host| *host.name == *name).collect();
        match name.parse() {
            Ok(id) if by_name.is_empty() => self.host(id).into_iter().collect(),
            _ => by_name,
        }
    }

    /// Whether an open run of a session, whose host had this name, goes on with another scheduler, as far
    /// as anybody knows. One that an earlier session of this host has begun does not: it is with the loop
    /// again, or about to be given up. One of a host that is gone is soon decided about by the home of its
    /// job; of a job of every host that is its host alone, which may never come back.
    pub fn is_of_other(&self, session: SessionId, host: &str, job: &str) -> bool {
        if session == self.me || self.host(session).is_some() {
            return session != self.me;
        }
        let is_mine = self.host(self.me).is_some_and(|me| *me.name == *host);
        !is_mine && self.home(job) != Some(Home::Each)
    }

    /// All but this one.
    pub fn others(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.id != self.me)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_an_earlier_session_of_this_host_are_not_anothers() {
        let host = |id, name: &str| Host {
            id: SessionId(id),
            name: name.into(),
            is_leaving: false,
            labels: [].into(),
            file: (0, Instant::MIN),
        };
        let hosts = vec![host(1, "a"), host(2, "b"), host(3, "a")];
        let each = HomeJob {
            id: "each".into(),
            fingerprint: 1,
            run_on: RunOn::All,
            added: true,
            delay: std::time::Duration::ZERO,
            again: None,
            parents: [].into(),
        };
        let known = Whereabouts::new(SessionId(1), hosts, [each].into(), HashMap::new());
        let is_of_other = |id, name| known.is_of_other(SessionId(id), name, "one");
        assert!(!is_of_other(1, "a"));
        assert!(is_of_other(2, "b"));
        // Two that are there under one name.
        assert!(is_of_other(3, "a"));
        // And nobody has labels that are not there.
        assert!(!known.has_no_host("each"));
        // What is not there any more.
        assert!(!is_of_other(8, "a"));
        assert!(is_of_other(9, "c"));
        // Nobody but itself would decide about this.
        assert!(!known.is_of_other(SessionId(9), "c", "each"));
        assert!(known.is_of_other(SessionId(2), "b", "each"));
    }
}
