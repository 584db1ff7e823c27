//! Which jobs are at home here: computed when the sessions or their files have changed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Fleet, Output, Seating, Stage, Taken};
use crate::core::fleet::JobList;
use crate::core::fleet::home::{HomeJob, Placement, Seat, fits};
use crate::core::fleet::whereabouts::{Host, Whereabouts};
use crate::core::instant::{Instant, Now};
use crate::core::sort;

impl Fleet {
    /// This scheduler has other jobs than before.
    pub(super) fn loaded(&mut self, jobfile: Box<str>, hash: u64, jobs: Vec<HomeJob>, now: Now) {
        let at_home: HashSet<&str> = self
            .jobs
            .iter()
            .zip(&self.home)
            .filter(|(_, home)| **home)
            .map(|(job, _)| &*job.id)
            .collect();
        self.home = jobs.iter().map(|job| at_home.contains(&*job.id)).collect();
        self.settled += 1;
        self.has_loaded = true;
        let list = jobs.iter().filter(|job| !job.added);
        let list = list.map(|job| (job.id.clone(), job.fingerprint)).collect();
        self.files.insert(hash, Arc::new(list));
        self.jobs = jobs.into();
        let another = self.me.jobfile_hash != hash;
        self.me.jobfile = jobfile;
        self.me.jobfile_hash = hash;
        if self.stage == Stage::Outside || self.stage == Stage::Fenced {
            return;
        }
        self.unsettled = true;
        if another {
            // The others are to see it before anything that is new in it is decided.
            self.settling = 2;
            self.to_join = true;
            self.next_beat = now.mono;
        }
    }

    /// What the files of the others have in them.
    pub(super) fn learn(&mut self, files: &[(u64, JobList)]) {
        for (hash, jobs) in files {
            self.files.entry(*hash).or_insert_with(|| Arc::new(jobs.iter().cloned().collect()));
        }
        self.unsettled = true;
    }

    /// Asks for the files that nobody here has read.
    pub(super) fn want_files(&mut self, out: &mut Vec<Output>) {
        let files = self.members().map(|member| member.jobfile_hash);
        let mut wanted: Vec<u64> = files.filter(|file| !self.files.contains_key(file)).collect();
        sort::all(&mut wanted);
        wanted.dedup();
        if !wanted.is_empty() {
            out.push(Output::Files(wanted));
        }
    }

    /// Computes where jobs are at home, if that may have changed.
    pub(super) fn settle(&mut self, out: &mut Vec<Output>) {
        let decides = self.stage == Stage::In && self.open && self.told && !self.back;
        if !decides || self.me.leaving || self.settling > 0 || !self.unsettled {
            return;
        }
        self.unsettled = false;
        self.settled += 1;
        self.seating = self.seating();
        let Some(view) = &self.view else { return };
        let mut judged = std::mem::take(&mut self.judged);
        let alive = view.members.iter().filter(|member| member.gone.is_none() && !member.leaving);
        let mut seats = Vec::new();
        let mut known = BTreeMap::new();
        for member in alive {
            let mut file = (member.jobfile_hash, member.loaded);
            if !self.files.contains_key(&file.0) {
                file = judged.remove(&member.id).unwrap_or(file);
            }
            known.insert(member.id, file);
            let (id, labels) = (member.id, &*member.labels);
            seats.push(Seat { id, labels, file: file.0, loaded: file.1 });
        }
        self.judged = known;
        let placement = Placement::new(seats, &self.files);
        let (mut taken, mut given) = (Vec::new(), Vec::new());
        for (index, job) in self.jobs.iter().enumerate() {
            let is = placement.is_home(job, self.me.id);
            match (self.home[index], is) {
                (false, true) => {
                    taken
                        .push(Taken { job: job.id.clone(), lost_until: self.forgotten_until(job) });
                }
                (true, false) => given.push(job.id.clone()),
                (false, false) | (true, true) => {}
            }
            self.home[index] = is;
        }
        self.say_homes(taken, given, out);
    }

    /// Who is there and where jobs are at home, as far as it is known here.
    pub fn whereabouts(&self) -> Whereabouts {
        let hosts = self.members().map(|member| Host {
            id: member.id,
            name: member.host.clone(),
            is_leaving: member.leaving,
            labels: member.labels.clone(),
            file: *self.judged.get(&member.id).unwrap_or(&(member.jobfile_hash, member.loaded)),
        });
        Whereabouts::new(self.me.id, hosts.collect(), Arc::clone(&self.jobs), self.files.clone())
    }

    /// A number that is another one when [`Fleet::whereabouts`] may be.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// The hash of the jobfile, and all jobs.
    pub fn jobs(&self) -> (u64, &[HomeJob]) {
        (self.me.jobfile_hash, &self.jobs)
    }

    /// The sessions that may be the home of jobs.
    pub(super) fn seating(&self) -> Seating {
        let alive = self.members().filter(|member| !member.leaving);
        alive.map(|member| (member.id, member.jobfile_hash, member.loaded)).collect()
    }

    /// For what is decided of a job: up to when a session that is gone may have begun runs of a job that the store has forgotten.
    pub fn forgotten_until(&self, job: &HomeJob) -> Option<Instant> {
        if self.generation == 0 {
            return None;
        }
        let gone = self.dead.values().filter(|member| {
            member.generation < self.generation
                && fits(&job.run_on, &member.labels)
                && (job.added
                    || self
                        .files
                        .get(&member.jobfile_hash)
                        .is_none_or(|jobs| jobs.contains_key(&job.id)))
        });
        gone.filter_map(|member| member.gone.map(|gone| gone.at)).max()
    }

    pub(super) fn give_all(&mut self, out: &mut Vec<Output>) {
        let at_home = self.jobs.iter().zip(&self.home).filter(|(_, home)| **home);
        let given = at_home.map(|(job, _)| job.id.clone()).collect();
        self.home.fill(false);
        self.say_homes(Vec::new(), given, out);
    }

    pub(super) fn say_homes(
        &mut self,
        taken: Vec<Taken>,
        given: Vec<Box<str>>,
        out: &mut Vec<Output>,
    ) {
        if !taken.is_empty() || !given.is_empty() {
            self.me.jobs_at_home = self.home.iter().filter(|home| **home).count() as u32;
            out.push(Output::Homes { taken, given });
        }
    }
}
