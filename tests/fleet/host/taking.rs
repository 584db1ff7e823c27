//! What a host does with what the store knows of the jobs that it takes up.

use std::collections::BTreeMap;
use std::time::Duration;

use schedrs::event::{Elsewhere, Event, HomeChange, JobRecord, TakenJob};
use schedrs::instant::Instant;
use schedrs::outcome::Outcome;
use schedrs::store::Fact;

use super::super::store::Open;
use super::Host;

impl Host {
    /// What there is to know of jobs that are at home here from now on, or of their runs elsewhere.
    pub(super) fn taken_up(
        &mut self,
        t: i64,
        asked: &[Box<str>],
        records: Vec<JobRecord>,
        open: Vec<Open>,
        waited: Vec<(Box<str>, Instant)>,
    ) {
        let taking = std::mem::take(&mut self.taking);
        let mut change = HomeChange::default();
        let mut jobs: BTreeMap<Box<str>, TakenJob> = BTreeMap::new();
        for taken in taking {
            let why = "the store forgot whether it began";
            let lost_until = taken.lost_until.filter(|_| !self.careless.tombstones);
            jobs.insert(
                taken.job.clone(),
                TakenJob {
                    id: taken.job.clone(),
                    lost_until: lost_until.map(|until| (until, why.into())),
                    ..TakenJob::default()
                },
            );
            self.elsewhere.remove(&taken.job);
        }
        for record in &records {
            let known = self.known.get(&record.id).map(|known| known.decided);
            let decided = known.map_or(record.decided, |known| known.max(record.decided));
            self.known.insert(record.id.clone(), JobRecord { decided, ..record.clone() });
        }
        for (job, due) in waited {
            if let Some(taken) = jobs.get_mut(&job) {
                taken.undecided.push(due);
            }
        }
        let mut now_open: BTreeMap<Box<str>, Vec<Elsewhere>> = BTreeMap::new();
        for Open { run, row, gone } in open {
            if self.begun.contains(&run) || self.admitted.contains(&run) {
                continue;
            }
            // It came late, after it was given up here.
            let stray = row.session == self.session;
            if stray && self.is_on_its_way(run) {
                continue;
            }
            if !gone && !stray {
                let (due, place, waits) = (row.due, row.place, row.attempt == 0);
                let other = Elsewhere { run, due, place, waits };
                now_open.entry(row.job.clone()).or_default().push(other);
                continue;
            }
            // It may have begun, if the store has forgotten that.
            if !stray && row.attempt > 0 {
                let outcome = Outcome::Lost("its host is gone".into());
                let at = self.clock.now(t).wall;
                let (duration, attempts) = (Duration::ZERO, row.attempt);
                self.claimed.insert(run);
                self.facts.push_front(Fact::Ended {
                    run,
                    job: row.job,
                    outcome,
                    duration,
                    attempts,
                    at,
                });
            } else {
                self.facts.push_front(Fact::Withdrawn { run });
                let record = records.iter().find(|record| record.id == row.job).cloned();
                let taken = jobs.entry(row.job.clone()).or_insert_with(|| TakenJob {
                    id: row.job.clone(),
                    record,
                    ..TakenJob::default()
                });
                taken.undecided.push(row.due);
            }
        }
        for (job, runs) in self.elsewhere.iter().filter(|(job, _)| asked.contains(job)) {
            let open = now_open.get(job).map_or(&[][..], |open| open);
            let over = runs.iter().filter(|run| !open.iter().any(|open| open.run == run.run));
            change.ended.extend(over.map(|run| run.run));
        }
        for taken in jobs.values_mut() {
            taken.record = records.iter().find(|record| record.id == taken.id).cloned();
            taken.elsewhere = now_open.get(&taken.id).cloned().unwrap_or_default();
        }
        self.elsewhere.retain(|job, _| !asked.contains(job) || now_open.contains_key(job));
        for (job, open) in now_open {
            if jobs.contains_key(&job) || self.elsewhere.contains_key(&job) {
                self.elsewhere.insert(job, open);
            }
        }
        change.taken = jobs.into_values().collect();
        if !change.taken.is_empty() || !change.ended.is_empty() {
            self.tell_scheduler(t, Event::Homes(Box::new(change)));
        }
    }

    /// Due times before the last one that is decided, without a record: they waited, for their jitter or
    /// for a clock that was ahead, when their host died.
    pub(super) fn waited(
        &mut self,
        records: &[JobRecord],
        has_record: &[(Box<str>, Instant, Instant)],
    ) -> Vec<(Box<str>, Instant)> {
        let mut waited = Vec::new();
        for record in records {
            let Some(job) = self.scheduler.job(&record.id) else { continue };
            let span = job.options.longest_delay() + Duration::from_secs(10);
            let trigger = job.trigger.anchored(record.anchor);
            let mut due = trigger.next_after(record.decided.minus(span).max(record.since));
            while let Some(at) = due.filter(|at| *at <= record.decided) {
                let has = has_record
                    .iter()
                    .any(|(job, first, last)| *job == record.id && *first <= at && at <= *last);
                if !has {
                    waited.push((record.id.clone(), at));
                }
                due = trigger.next_after(at);
            }
        }
        waited
    }
}
