//! `run --once`: one job alone, and its run in the history beside those that a scheduler has started.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};

use crate::core::event::{Record, RunId};
use crate::core::instant::Instant;
use crate::core::job::{Exclusion, Job, JobSet, Keep, Options};
use crate::core::trigger::spread::Spread;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::problem::clean;
use crate::run::daemon::Storage;
use crate::store::location::{Location, Refuse};
use crate::store::{Fact, Process, Trouble};
use crate::sys::accounts;

/// Leaves only one job, due now and once.
pub(super) fn only(set: &mut JobSet, id: &str) -> anyhow::Result<()> {
    super::super::argument::refuse_elsewhere(&set.settings, &[id.to_owned()])?;
    let job = &set.jobs[super::super::argument::job(&set.jobs, id)?];
    let options = Options {
        retries: 0,
        jitter: Duration::ZERO,
        spread: Spread::default(),
        max_wait: None,
        expect: None,
        paused: false,
        run_on_start: false,
        // Somebody has asked for it.
        excluded: Exclusion::default(),
        only_if: None,
        ..(*job.options).clone()
    };
    let job = Job {
        trigger: Trigger::Date(DateTrigger::Now),
        options: Arc::new(options),
        ..(**job).clone()
    };
    set.jobs = vec![Arc::new(job)];
    // Who presses ^C means the job.
    set.settings.stop_grace = Duration::ZERO;
    Ok(())
}

/// The store that is to remember the run, and on what terms it is opened.
pub(super) struct Memory {
    pub(super) location: Location,
    pub(super) keep: Keep,
    pub(super) refuse: Refuse,
    /// What was typed to name the jobfile.
    pub(super) typed: String,
}

impl Memory {
    /// Has the store remember a run; where it cannot, that is said and changes nothing else.
    pub(super) fn remember(self, run: &Record, process: Option<Process>, now: Instant) {
        if let Err(why) = self.write(run, process, now) {
            let id = clean(&run.job.id);
            anstream::eprintln!("schedrs: this run of {id} is not in the history: {why}");
        }
    }

    fn write(self, run: &Record, process: Option<Process>, now: Instant) -> anyhow::Result<()> {
        let id = super::argument::quoted(&run.job.id);
        let start = format!("`schedrs start {}{}` starts it there", clean(&id), self.typed);
        match self.location {
            // Nothing of it would be left.
            Location::Memory => return Ok(()),
            Location::Shared(_) => bail!("hosts share its store; {start}"),
            Location::Sqlite(_) | Location::Default(_) => {}
        }
        let opened = Storage::open(self.location, self.keep, self.refuse);
        let mut store = match opened {
            Ok(storage) => storage.store,
            Err(error) => match error.kind {
                Trouble::InUse(pid) => bail!("schedrs with pid {pid} has the store; {start}"),
                _ => return Err(anyhow!("the store {error}")),
            },
        };
        let told = |error| anyhow!("the store {error}");
        let number = RunId(store.restore().map_err(told)?.next_run);
        store.commit(&facts(run, number, process, now)).map_err(told)?;
        Ok(())
    }
}

/// What a store is told of a run that somebody has started by hand.
fn facts(record: &Record, run: RunId, process: Option<Process>, now: Instant) -> Vec<Fact> {
    let uid = rustix::process::geteuid().as_raw();
    let by = accounts::user_name(uid).unwrap_or_else(|| format!("uid {uid}"));
    let job = &record.job.id;
    let mut facts = vec![Fact::Admitted {
        run,
        job: job.clone(),
        due: record.due,
        at: record.due,
        by: Some(format!("{by} with run --once").into()),
        host: None,
        slot: None,
    }];
    if let Some(at) = record.started {
        facts.push(Fact::Starting { run, attempt: 1 });
        facts.extend(process.map(|process| Fact::Started { run, attempt: 1, process, at }));
    }
    facts.push(Fact::Ended {
        run,
        job: job.clone(),
        outcome: record.outcome.clone(),
        duration: record.duration,
        attempts: record.attempts,
        at: now,
        usage: record.usage,
    });
    facts
}
