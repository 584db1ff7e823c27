//! The jobs that come and go between this host and others. What there is to know of them is read in
//! `runs`.

use super::Driver;
use crate::core::event::HomeChange;
use crate::core::fleet::home::HomeJob;
use crate::core::fleet::protocol::{Input, Taken};
use crate::core::sort;
use crate::core::words;
use crate::store::keeper::{OthersEvent, Standing};

impl Driver {
    /// One of the jobs is there or not, beside those of the jobfile.
    pub(super) fn change_jobs(&mut self, id: &str, job: Option<HomeJob>) {
        let jobfile = self.fleet.me().jobfile.clone();
        let (hash, jobs) = self.fleet.jobs();
        let mut jobs = jobs.to_vec();
        let place = jobs.iter().position(|job| *job.id == *id);
        match (place, job) {
            (Some(place), Some(job)) => jobs[place] = job,
            (Some(place), None) => drop(jobs.remove(place)),
            (None, Some(job)) => jobs.push(job),
            (None, None) => return,
        }
        self.tell(Input::Loaded { jobfile, hash, jobs });
    }

    /// Lets everybody see who is there, if that is another.
    pub(super) fn show_whereabouts(&mut self) {
        let settled = self.fleet.settled();
        if std::mem::replace(&mut self.shown, settled) != settled {
            self.hold.set_whereabouts(self.fleet.whereabouts());
        }
    }

    /// Lets everybody see how it stands.
    pub(super) fn show_standing(&mut self) {
        let held = self.hold.held().starts() + self.starts.len() + self.won.len();
        self.hold.set_standing(Standing {
            generation: self.fleet.generation(),
            trusted_until: self.fleet.trusted_until(),
            waits_for_others: self.fleet.waits_for_others(),
            jobs_at_home: self.fleet.me().jobs_at_home,
            held,
        });
    }

    /// Jobs come and go.
    pub(super) fn homes(&mut self, taken: Vec<Taken>, given: Vec<Box<str>>) {
        self.to_take.retain(|taken| !given.contains(&taken.job));
        for job in &given {
            self.known.remove(job);
        }
        if !given.is_empty() {
            let change = HomeChange { given, ..HomeChange::default() };
            self.tell_of(OthersEvent::Homes(Box::new(change)));
        }
        if !taken.is_empty() {
            self.tell_company();
        }
        self.to_take.extend(taken);
    }

    /// Says who else is there when this host begins to decide: who comes later is told of then. And
    /// once that it is alone.
    fn tell_company(&mut self) {
        let me = self.fleet.me().id;
        let others = self.fleet.members().filter(|member| member.id != me);
        let mut others: Vec<String> = others.map(|member| member.host.to_string()).collect();
        sort::all(&mut others);
        let has_begun = std::mem::replace(&mut self.told_company, true);
        let text = match others.is_empty() {
            true if std::mem::replace(&mut self.told_alone, true) => return,
            true => {
                "this host is alone: no other host shares the store, and every job has its home here"
                    .to_owned()
            }
            false if has_begun => return,
            false => {
                format!("this host has joined; it shares the jobs with {}", words::list(&others))
            }
        };
        self.tell_of(OthersEvent::Said(text));
    }
}
