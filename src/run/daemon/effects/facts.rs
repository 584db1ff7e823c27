//! What is decided is remembered: the way from effects to the store's thread (`records`).

use super::Effects;
use crate::core::event::Change;
use crate::core::instant::{Instant, Mono};
use crate::run::daemon::records::Records;
use crate::store::Fact;
use crate::store::keeper::Answer;

impl Effects {
    /// From here on it is remembered what is decided.
    pub(in crate::run::daemon) fn keep_records(&mut self, records: Records) {
        self.records = Some(records);
    }

    /// At the end of the loop: nobody waits for an answer any more.
    pub(in crate::run::daemon) fn settle_records(&mut self) {
        if let Some(records) = &mut self.records {
            records.settle();
        }
    }

    /// An answer, once the store has what there is to remember of this pass of the loop.
    pub(in crate::run::daemon) fn answer(&mut self, answer: Answer) {
        match &mut self.records {
            Some(records) => records.answer(answer),
            None => answer(),
        }
    }

    /// How many facts are not in the store yet, and since when the first of them waits.
    pub(in crate::run::daemon) fn pending_facts(&self) -> (u64, Option<Mono>) {
        self.records.as_ref().map_or((0, None), Records::pending)
    }

    /// Gives away what was noted in this pass of the loop.
    pub(in crate::run::daemon) fn flush_records(&mut self) {
        if let Some(records) = &mut self.records {
            records.flush();
        }
    }

    /// Nothing more will be noted.
    pub(in crate::run::daemon) fn finish_records(&mut self, now: Instant) {
        if let Some(records) = self.records.take() {
            records.finish(now);
        }
    }

    /// A store that knows nothing is told of the active runs.
    pub(in crate::run::daemon) fn remember_runs(&mut self, now: Instant) {
        let Some(records) = &mut self.records else { return };
        for (&id, run) in &self.runs {
            let (job, due) = (run.job.id.clone(), run.due);
            let (by, host, slot) = (None, None, None);
            records.add(Fact::Admitted { run: id, job, due, at: now, by, host, slot });
            let attempt = run.attempt;
            records.add(Fact::Starting { run: id, attempt });
            if let Some(process) = run.process {
                records.add(Fact::Started { run: id, attempt, process, at: now });
            }
        }
    }

    /// Has an entry of a list remembered, or with `None` forgotten.
    pub(in crate::run::daemon) fn remember_entry(
        &mut self,
        list: &str,
        key: Box<str>,
        value: Option<Box<str>>,
    ) {
        if let Some(records) = &mut self.records {
            records.add(Fact::Entry { list: list.into(), key, value });
        }
    }

    /// Has something remembered that no action says.
    pub(in crate::run::daemon) fn remember_change(&mut self, change: Change) {
        if let Some(records) = &mut self.records {
            records.add(Fact::Change(change));
        }
    }
}
