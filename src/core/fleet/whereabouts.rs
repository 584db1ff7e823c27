//! Who is there and where each job is at home, as one session sees it: for whoever asks from which
//! host something is to be had.
//!
//! It is made anew whenever the protocol computes homes, and read by other threads.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::SessionId;
use super::home::{FileJobs, Home, HomeJob, Placement, Seat};
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

    /// All but this one.
    pub fn others(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.id != self.me)
    }
}
