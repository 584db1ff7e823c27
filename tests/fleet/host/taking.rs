//! What a host does with what the store knows of the jobs that it takes up, and of runs elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use schedrs::event::{
    DecidedRange, Elsewhere, Ended, Event, HomeChange, JobRecord, RunAgain, TakenJob,
};
use schedrs::fleet::home::HomeJob;
use schedrs::fleet::protocol::{Left, Remains, Taken};
use schedrs::outcome::Outcome;
use schedrs::store::Fact;

use super::super::store::{Fates, Open};
use super::Host;

impl Host {
    /// What there is to know of jobs that are at home here from now on, or of their runs elsewhere.
    pub(super) fn taken_up(
        &mut self,
        t: i64,
        asked: &[Box<str>],
        records: Vec<JobRecord>,
        open: Vec<Open>,
        fates: &Fates,
    ) {
        let mut change = HomeChange::default();
        let taking = std::mem::take(&mut self.taking);
        for record in &records {
            let known = self.known.get(&record.id).map(|known| known.decided);
            let decided = known.map_or(record.decided, |known| known.max(record.decided));
            self.known.insert(record.id.clone(), JobRecord { decided, ..record.clone() });
        }
        let mut now_open = self.sort(t, open, &mut change);
        for (job, runs) in self.elsewhere.iter().filter(|(job, _)| asked.contains(job)) {
            let open = now_open.get(job).map_or(&[][..], |open| open);
            let over = runs.iter().filter(|run| !open.iter().any(|open| open.run == run.run));
            change.ended.extend(over.map(|run| run.run));
        }
        for Taken { job, lost_until } in taking {
            let why = "the store lost the record of whether it started";
            let lost_until = lost_until.filter(|_| !self.careless.tombstones);
            let record = records.iter().find(|record| record.id == job).cloned();
            let delay = self.scheduler.job(&job).map_or(Duration::ZERO, |job| {
                job.options.longest_delay() + Duration::from_secs(10)
            });
            let fates = fates.iter().filter(|(of, ..)| *of == job);
            let (mine, others): (Vec<_>, Vec<_>) =
                std::mem::take(&mut change.undecided).into_iter().partition(|(of, _)| *of == job);
            change.undecided = others;
            let elsewhere = now_open.remove(&job).unwrap_or_default();
            self.elsewhere.insert(job.clone(), elsewhere.clone());
            change.taken.push(TakenJob {
                undecided: mine.into_iter().map(|(_, due)| due).collect(),
                fates: fates.map(|(_, first, last)| (*first, *last)).collect(),
                fates_since: record.as_ref().map(|record| record.decided.minus(delay)),
                elsewhere,
                lost_until: lost_until.map(|until| (until, why.into())),
                record,
                id: job,
            });
        }
        for job in asked {
            if let Some(runs) = self.elsewhere.get_mut(job)
                && !change.taken.iter().any(|taken| taken.id == *job)
            {
                runs.retain(|run| !change.ended.contains(&run.run));
            }
        }
        self.elsewhere.retain(|_, runs| !runs.is_empty());
        for (job, due, run) in std::mem::take(&mut change.withdrawn) {
            self.withdrawals.insert((job, due), run);
        }
        if change != HomeChange::default() {
            self.tell_scheduler(t, Event::Homes(Box::new(change)));
        }
    }

    /// What the store has of the due times that were decided here together.
    pub(super) fn found_fates(&mut self, t: i64, fates: &Fates) {
        let mut change = HomeChange::default();
        for (job, due, last_due, outcome) in std::mem::take(&mut self.ranges) {
            let fates = fates.iter().filter(|(of, ..)| *of == job);
            let fates = fates.map(|(_, first, last)| (*first, *last)).collect();
            change.ranges.push(DecidedRange { job, due, last_due, outcome, fates });
        }
        self.tell_scheduler(t, Event::Homes(Box::new(change)));
    }

    /// What becomes of runs that are open; answers those that others have.
    fn sort(
        &mut self,
        t: i64,
        open: Vec<Open>,
        change: &mut HomeChange,
    ) -> BTreeMap<Box<str>, Vec<Elsewhere>> {
        let now = self.clock.now(t);
        let home: HashMap<Box<str>, HomeJob> = self
            .fleet
            .by_id()
            .into_iter()
            .filter(|(_, (_, is_home))| *is_home)
            .map(|(id, (job, _))| (id.into(), job.clone()))
            .collect();
        let mut elsewhere: BTreeMap<Box<str>, Vec<Elsewhere>> = BTreeMap::new();
        for Open { run, row, host } in open {
            if self.settled.contains(&run) {
                continue;
            }
            let is_here = self.begun.contains(&run)
                || self.admitted.contains(&run)
                || self.is_on_its_way(run);
            let (session, due, attempt) = (row.session, row.due, row.attempt);
            let left = Left { session, host: &host, due, attempt, is_here };
            let remains = self.fleet.remains(&left, home.get(&row.job), now);
            match remains {
                Remains::Nothing => {}
                Remains::Elsewhere => {
                    let other = Elsewhere { run, due, place: row.place, waits: attempt == 0 };
                    elsewhere.entry(row.job).or_default().push(other);
                }
                Remains::Undecided => {
                    self.settled.insert(run);
                    change.withdrawn.push((row.job.clone(), due, run));
                    change.undecided.push((row.job, due));
                }
                Remains::Lost(reason) => {
                    self.settled.insert(run);
                    self.claimed.insert(run);
                    let (job, outcome, at) = (row.job, Outcome::Lost(reason), now.wall);
                    let (duration, attempts) = (Duration::ZERO, attempt);
                    let ended = Ended {
                        job: job.clone(),
                        due,
                        last_due: due,
                        count: 1,
                        outcome: outcome.clone(),
                        at,
                        run: Some(run),
                    };
                    for entry in self.lost_parent(&ended) {
                        self.facts.push_front(entry);
                    }
                    self.facts.push_front(Fact::Ended {
                        run,
                        job,
                        outcome,
                        duration,
                        attempts,
                        at,
                        usage: None,
                    });
                }
                Remains::Again(reason) => {
                    let (job, place, started) = (row.job, row.place, None);
                    // It counts until then.
                    let other = Elsewhere { run, due, place, waits: false };
                    elsewhere.entry(job.clone()).or_default().push(other);
                    let again = RunAgain { run, job, due, attempt, started, place, reason };
                    self.again.push((again, session));
                }
            }
        }
        elsewhere
    }
}
