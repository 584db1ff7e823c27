//! The jobs in effect: those of the jobfile, those that were added at run time, and what was
//! changed of either.
//!
//! Definitions are kept as TOML (by the scheduler, and by the store) and made into jobs by
//! `crate::jobfile`'s builder, anew whenever the jobfile is read: `[defaults]` hold for them as
//! for any job.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::control::{Request, Target};
use crate::core::event::{ChangeKind, Code, Fault, JobRecord, Operation, Remember};
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet, RunOn};
use crate::core::scheduler::{Scheduler, Texts};
use crate::jobfile::{Builder, masked};
use crate::run::daemon::Jobfile;

/// So many due times of a job are looked at when it is shown.
const UPCOMING: usize = 5;

/// What a jobfile and the texts beside it have made.
#[derive(Debug)]
pub(in crate::run::daemon) struct Composed {
    pub(in crate::run::daemon) set: JobSet,
    /// What makes further ones.
    pub(in crate::run::daemon) builder: Builder,
    /// The definitions below overrides.
    pub(in crate::run::daemon) bases: HashMap<Box<str>, Arc<Job>>,
    /// Ids of added jobs that the jobfile has now, too: its own hold.
    pub(in crate::run::daemon) displaced: Vec<Box<str>>,
    /// Texts that make no sense any more: whose they are, and why.
    pub(in crate::run::daemon) problems: Vec<(Box<str>, String)>,
}

impl Composed {
    /// A jobfile with nothing beside it.
    pub(in crate::run::daemon) fn of(jobfile: Jobfile) -> Composed {
        let Jobfile { set, builder, .. } = jobfile;
        let (bases, displaced, problems) = (HashMap::new(), Vec::new(), Vec::new());
        Composed { set, builder, bases, displaced, problems }
    }
}

/// Puts the jobs of a jobfile, added jobs and overrides together. `before` is how jobs were, for
/// those whose text the new jobfile has no room for (an executor may be gone).
pub(in crate::run::daemon) fn compose(
    mut set: JobSet,
    builder: &Builder,
    added: &Texts,
    overrides: &Texts,
    before: impl Fn(&str) -> Option<Arc<Job>>,
    now: Instant,
) -> Composed {
    let mut composed = Composed {
        bases: HashMap::new(),
        displaced: Vec::new(),
        problems: Vec::new(),
        builder: builder.clone(),
        set: JobSet {
            settings: set.settings.clone(),
            executors: set.executors.clone(),
            jobs: Vec::new(),
        },
    };
    if !added.is_empty() {
        let in_file: HashSet<&str> = set.jobs.iter().map(|job| &*job.id).collect();
        let (clash, own): (Vec<_>, Vec<_>) =
            added.iter().partition(|(id, _)| in_file.contains(&**id));
        composed.displaced = clash.into_iter().map(|(id, _)| id.clone()).collect();
        let texts = own.iter().map(|(id, text)| (&**id, &**text));
        let built = builder.build_many(texts, now);
        let mut jobs = Vec::with_capacity(built.len());
        for ((id, _), job) in own.iter().zip(built) {
            match job {
                Ok((job, _)) => jobs.push(Arc::new(job)),
                Err(problems) => {
                    composed.problems.push((id.clone(), problems.join("; ")));
                    // As it was, in the executor that is always there.
                    let old = before(id).map(|job| Arc::new(Job { executor: 0, ..(*job).clone() }));
                    jobs.extend(old);
                }
            }
        }
        set.jobs.append(&mut jobs);
    }
    if !overrides.is_empty() {
        let texts: HashMap<&str, &str> =
            overrides.iter().map(|(id, text)| (&**id, &**text)).collect();
        for job in &mut set.jobs {
            let Some(text) = texts.get(&*job.id) else { continue };
            match builder.overlay(job, text) {
                Ok(changed) => {
                    let base = std::mem::replace(job, Arc::new(changed));
                    composed.bases.insert(job.id.clone(), base);
                }
                Err(problems) => composed.problems.push((job.id.clone(), problems.join("; "))),
            }
        }
    }
    composed.set.jobs = set.jobs;
    composed
}

/// What it takes to change jobs at run time.
#[derive(Debug)]
pub(in crate::run::daemon) struct Jobs {
    pub(in crate::run::daemon) builder: Builder,
    /// What is below the overrides of jobs that have some.
    pub(in crate::run::daemon) bases: HashMap<Box<str>, Arc<Job>>,
    /// The job that is about to be changed, as it is.
    changing: Option<Arc<Job>>,
}

/// The operation that a request becomes.
#[derive(Debug)]
pub(in crate::run::daemon) struct Fit {
    pub(in crate::run::daemon) operation: Operation,
    /// What is odd about the text, though it is taken.
    pub(in crate::run::daemon) warnings: Vec<String>,
    /// What is below the overrides of a job that another host has changed.
    pub(in crate::run::daemon) base: Option<Arc<Job>>,
}

/// What a request has become.
#[derive(Debug)]
pub(in crate::run::daemon) enum Made {
    /// It can be asked of the scheduler.
    Fit(Fit),
    /// There is a text in it, which is to be read and tried out.
    Check(Check),
}

impl From<Operation> for Made {
    fn from(operation: Operation) -> Made {
        Made::Fit(operation.into())
    }
}

impl From<Operation> for Fit {
    fn from(operation: Operation) -> Fit {
        Fit { operation, warnings: Vec::new(), base: None }
    }
}

/// Something that is to be made of a text, with all that it takes: it may wait for the files of the
/// time zones, so that the loop has it done elsewhere.
#[derive(Debug)]
pub(in crate::run::daemon) struct Check {
    builder: Builder,
    now: Instant,
    what: What,
}

/// What a text is.
#[derive(Debug)]
enum What {
    /// The definition of a job.
    Definition { id: Box<str>, text: Box<str>, replace: bool },
    /// What is to stand over a job.
    Override {
        job: Arc<Job>,
        /// What stands over it already.
        before: Option<Box<str>>,
        text: Box<str>,
        /// It is about when the job is due.
        trigger: bool,
    },
    /// What another host has made of a job.
    Known {
        /// What is below that, unless the job was added at run time.
        base: Option<Arc<Job>>,
        record: Box<JobRecord>,
        taken: bool,
    },
}

impl Check {
    /// Makes of the text what is to be asked of the scheduler.
    pub(in crate::run::daemon) fn run(self) -> Result<Fit, Fault> {
        let Check { builder, now, what } = self;
        match what {
            What::Definition { id, text, replace } => {
                let made = builder.build(&id, &text, now).map_err(Fault::invalid)?;
                let (job, warnings) = made;
                try_out(&job, now);
                let operation = Operation::Add { job: Arc::new(job), text, replace };
                Ok(Fit { warnings, ..operation.into() })
            }
            What::Override { job, before, text, trigger } => {
                let (changed, what) = if trigger {
                    (builder.reschedule(&job, &text, now), ChangeKind::Rescheduled)
                } else {
                    (builder.modify(&job, &text), ChangeKind::Modified)
                };
                let (changed, warnings) = changed.map_err(Fault::invalid)?;
                try_out(&changed, now);
                let overrides = builder.merge(before.as_deref(), &text);
                let (job, overrides) = (Arc::new(changed), Some(overrides.into()));
                let detail = Some(masked(&text).into());
                let operation = Operation::Change { job, overrides, what, detail };
                Ok(Fit { warnings, ..operation.into() })
            }
            What::Known { base, record, taken } => {
                let base = match (&record.added, base) {
                    (Some(text), _) => {
                        let made = builder.build(&record.id, text, now).map_err(Fault::invalid)?;
                        Arc::new(made.0)
                    }
                    (None, Some(base)) => base,
                    (None, None) => return Err(Fault::bad("it is in no file here")),
                };
                let job = match &record.overrides {
                    Some(text) => Arc::new(builder.overlay(&base, text).map_err(Fault::invalid)?),
                    None => Arc::clone(&base),
                };
                try_out(&job, now);
                Ok(Fit { base: Some(base), ..Operation::Learn { job, record, taken }.into() })
            }
        }
    }
}

/// Looks for the next due times of a job as the loop will, which must not be the first to find out
/// that there is no end to it.
pub(in crate::run::daemon) fn try_out(job: &Job, now: Instant) {
    let trigger = job.trigger.anchored(now);
    let mut due = job.next_kept(&trigger, now);
    for _ in 0..UPCOMING {
        due = due.and_then(|due| job.next_kept(&trigger, due));
    }
}

impl Jobs {
    pub(in crate::run::daemon) fn new(builder: Builder) -> Jobs {
        Jobs { builder, bases: HashMap::new(), changing: None }
    }

    /// Something is remembered of a job: without overrides there is nothing below them, and with
    /// its first ones there is what it was before.
    pub(in crate::run::daemon) fn note(&mut self, remember: &Remember) {
        match remember {
            Remember::Job(record) | Remember::Learned(record) if record.overrides.is_none() => {
                self.bases.remove(&record.id);
            }
            Remember::Job(record) | Remember::Learned(record) => {
                if let Some(base) = self.changing.take_if(|job| job.id == record.id) {
                    self.bases.entry(record.id.clone()).or_insert(base);
                }
            }
            Remember::Gone(id) => {
                self.bases.remove(id);
            }
            Remember::Admitted(_) | Remember::AllPaused(_) => {}
            Remember::Change(_) | Remember::Entry { .. } => {}
        }
    }

    /// What is to be made of a request, or is to be asked of the scheduler at once.
    pub(in crate::run::daemon) fn read(
        &mut self,
        request: Request,
        scheduler: &Scheduler,
        now: Instant,
    ) -> Result<Made, Fault> {
        let what = match request {
            Request::Add { job, text, replace } => What::Definition { id: job, text, replace },
            Request::Modify { job, text } => change(scheduler, &job, text, false)?,
            Request::Reschedule { job, text } => change(scheduler, &job, text, true)?,
            Request::Reset { job } => return self.reset(scheduler, &job).map(Made::Fit),
            other => return plain(other).map(Made::from),
        };
        Ok(Made::Check(Check { builder: self.builder.clone(), now, what }))
    }

    /// What is to be made of a job that another host has changed; `None`: nothing.
    pub(in crate::run::daemon) fn learn(
        &self,
        record: JobRecord,
        taken: bool,
        scheduler: &Scheduler,
        now: Instant,
    ) -> Option<Made> {
        let id = &*record.id;
        let (local, text) = (scheduler.job(id).cloned(), scheduler.added_text(id));
        let everywhere = local.as_ref().is_some_and(|job| job.options.run_on == RunOn::All);
        let is_other_file = match &local {
            // Its own jobfile holds for each host.
            Some(_) => record.added.is_some() && text.is_none(),
            None => record.added.is_none(),
        };
        if is_other_file || (scheduler.is_home(id) && !taken && !everywhere) {
            return None;
        }
        let is_same = text == record.added.as_deref()
            && scheduler.overrides(id) == record.overrides.as_deref();
        let record = Box::new(record);
        match local {
            Some(job) if is_same && !taken => Some(Operation::Learn { job, record, taken }.into()),
            local => {
                let base = self.bases.get(&record.id).cloned().or(local);
                let what = What::Known { base, record, taken };
                Some(Made::Check(Check { builder: self.builder.clone(), now, what }))
            }
        }
    }

    /// What another host has made of a job is about to take effect.
    pub(in crate::run::daemon) fn learning(&mut self, fit: &Fit) {
        if let (Operation::Learn { record, .. }, Some(base)) = (&fit.operation, &fit.base) {
            match record.overrides {
                Some(_) => drop(self.bases.insert(record.id.clone(), Arc::clone(base))),
                None => drop(self.bases.remove(&record.id)),
            }
        }
    }

    /// A change is about to be asked for: what is below it is kept once it has been made.
    pub(in crate::run::daemon) fn changing(
        &mut self,
        scheduler: &Scheduler,
        operation: &Operation,
    ) {
        if let Operation::Change { job, overrides: Some(_), .. } = operation {
            self.changing = scheduler.job(&job.id).cloned();
        }
    }

    /// The job as its definition says.
    pub(in crate::run::daemon) fn reset(
        &mut self,
        scheduler: &Scheduler,
        id: &str,
    ) -> Result<Fit, Fault> {
        let Some(job) = scheduler.job(id).cloned() else { return Err(scheduler.no_such_job(id)) };
        let job = self.bases.remove(id).unwrap_or(job);
        Ok(Operation::Change { job, overrides: None, what: ChangeKind::Reset, detail: None }.into())
    }
}

/// What is to be done to change a job as it is now.
fn change(scheduler: &Scheduler, id: &str, text: Box<str>, trigger: bool) -> Result<What, Fault> {
    let Some(job) = scheduler.job(id).cloned() else { return Err(scheduler.no_such_job(id)) };
    let before = scheduler.overrides(id).map(Into::into);
    Ok(What::Override { job, before, text, trigger })
}

/// The operation of a request that has no text in it.
pub(in crate::run::daemon) fn plain(request: Request) -> Result<Operation, Fault> {
    Ok(match request {
        Request::List { from, limit } => {
            Operation::List { from, limit: u32::try_from(limit).unwrap_or(u32::MAX) }
        }
        Request::Show { job } => Operation::Show { job },
        Request::Start { job, force, wait, on: _ } => Operation::Start { job, force, wait },
        Request::Stop(Target::Job(job)) => Operation::StopJob { job },
        Request::Stop(Target::Run(run)) => Operation::StopRun { run },
        Request::Pause { job, until, reason } => Operation::Pause { job, until, reason },
        Request::Resume { job } => Operation::Resume { job },
        Request::Remove { job } => Operation::Remove { job, detail: None },
        Request::Add { .. }
        | Request::Modify { .. }
        | Request::Reschedule { .. }
        | Request::Reset { .. } => {
            let message = "jobs of this scheduler cannot be changed at run time";
            return Err(Fault::new(Code::Unavailable, message));
        }
        // They are answered by the loop itself, or by the socket's own thread.
        Request::Status
        | Request::Health
        | Request::Metrics { .. }
        | Request::Reload
        | Request::Notify(_)
        | Request::Shutdown { .. }
        | Request::Ping
        | Request::Export { .. }
        | Request::History(_)
        | Request::Output { .. }
        | Request::Follow { .. }
        | Request::Unfollow
        | Request::Events { .. }
        | Request::Attempts { .. }
        | Request::Changes { .. }
        | Request::Sessions => {
            return Err(Fault::new(Code::Unavailable, "ask for that over the control socket"));
        }
    })
}
