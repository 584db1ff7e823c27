//! The scenario of a test, and its transcript.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
pub(crate) use std::time::Duration;

pub(crate) use schedrs::event::{Action, Event, Exit, Notice, Process, Record, RunId, Start};
pub(crate) use schedrs::instant::{Instant, Mono, Now};
pub(crate) use schedrs::job::{
    Coalesce, Command, Exclusion, Executor, Grace, Job, JobSet, Keep, Options, Overlap, Settings,
};
pub(crate) use schedrs::outcome::Outcome;
pub(crate) use schedrs::scheduler::{Scheduler, Wakeup};
pub(crate) use schedrs::sim::{Attempt, Observer, Sim};
pub(crate) use schedrs::trigger::{DateTrigger, FromEndTrigger, IntervalTrigger, Trigger};
pub(crate) use schedrs::zone::Zone;

/// One process is as good as another.
pub(crate) const PROCESS: Process = Process { pid: 7, start: 0 };

/// 2026-01-01T12:00:00Z.
pub(crate) const NOON: Instant = Instant::from_secs(1_767_268_800);

/// The instant of a time of day, `15:04` or `15:04:05`, of that day or (`1d 15:04`) a later one.
pub(crate) fn at(text: &str) -> Instant {
    let (days, time) = text.split_once("d ").unwrap_or(("0", text));
    let mut parts = time.split(':').map(|part| part.parse::<i64>().unwrap());
    let hours = parts.next().unwrap() + days.parse::<i64>().unwrap() * 24;
    let secs = hours * 3600 + parts.next().unwrap() * 60 + parts.next().unwrap_or(0);
    Instant::from_secs(NOON.secs() - 12 * 3600 + secs)
}

pub(crate) fn clock(at: Instant) -> String {
    let micros = at.micros() - NOON.micros() + 12 * 3_600_000_000;
    let (day, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (secs, millis) = (rest / 1_000_000, rest % 1_000_000 / 1000);
    let mut text = String::new();
    if day != 0 {
        write!(text, "{day}d ").unwrap();
    }
    write!(text, "{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60).unwrap();
    if millis != 0 {
        write!(text, ".{millis:03}").unwrap();
    }
    text
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Every so many seconds from noon on, the first time one interval later.
pub(crate) fn every(interval: u64) -> Trigger {
    Trigger::Interval(IntervalTrigger::new(secs(interval), None, None))
}

/// So many seconds after the end of each run, the first time after noon.
pub(crate) fn from_end(wait: u64) -> Trigger {
    Trigger::FromEnd(FromEndTrigger::new(secs(wait), None, None))
}

/// Once.
pub(crate) fn once(when: &str) -> Trigger {
    Trigger::Date(DateTrigger::At(at(when)))
}

/// A job with the default options but for what `set` says.
pub(crate) fn job(id: &str, trigger: Trigger, set: impl FnOnce(&mut Options)) -> Job {
    let mut options = Options::default();
    set(&mut options);
    Job {
        id: id.into(),
        name: None,
        command: Command::Shell("true".into()),
        trigger,
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(options),
    }
}

pub(crate) fn on_executor(executor: u16, job: Job) -> Job {
    Job { executor, ..job }
}

pub(crate) fn set_with(executors: &[(&str, u32)], jobs: Vec<Job>) -> JobSet {
    JobSet {
        settings: Settings {
            zone: Zone::utc(),
            stop_grace: secs(30),
            reload_auto: false,
            store_url: None,
            keep: Keep::default(),
            fleet: Default::default(),
            elsewhere: [].into(),
            routes: [].into(),
            calendars: [].into(),
            heartbeat: None,
            web: Default::default(),
        },
        executors: executors
            .iter()
            .map(|&(name, max_workers)| Executor::new(name, max_workers))
            .collect(),
        jobs: jobs.into_iter().map(Arc::new).collect(),
    }
}

pub(crate) fn set(jobs: Vec<Job>) -> JobSet {
    set_with(&[("default", 20)], jobs)
}

type AnyAttempt = Box<dyn FnMut(&Start) -> Attempt>;

/// A scenario. Attempts succeed after a second unless told.
pub(crate) struct Test {
    pub(crate) sim: Sim<AnyAttempt>,
    pub(crate) transcript: Transcript,
}

impl Test {
    pub(crate) fn new(set: JobSet) -> Test {
        Test::trying(set, |_| Attempt::succeeds_after(secs(1)))
    }

    pub(crate) fn trying(set: JobSet, attempt: impl FnMut(&Start) -> Attempt + 'static) -> Test {
        let transcript = Transcript::default();
        Test { sim: Sim::new(set, NOON, Box::new(attempt)), transcript }
    }

    /// Jobs whose attempts take other times than a second.
    pub(crate) fn with_durations(set: JobSet, durations: &[(&str, u64)]) -> Test {
        let durations: HashMap<String, u64> =
            durations.iter().map(|(id, secs)| ((*id).to_owned(), *secs)).collect();
        Test::trying(set, move |start| {
            Attempt::succeeds_after(secs(durations.get(&*start.job.id).copied().unwrap_or(1)))
        })
    }

    pub(crate) fn until(mut self, when: &str) -> Test {
        self.sim.run_until(at(when), &mut self.transcript);
        self
    }

    pub(crate) fn asleep(mut self, from: &str, until: &str) -> Test {
        self.sim = self.sim.with_outage(at(from), at(until));
        self
    }

    pub(crate) fn clock_set(mut self, to: &str) -> Test {
        self.sim.set_clock(at(to), &mut self.transcript);
        self
    }

    pub(crate) fn send(mut self, event: Event) -> Test {
        self.sim.send(event, &mut self.transcript);
        self
    }

    pub(crate) fn reload(self, set: JobSet) -> Test {
        self.send(Event::Reload(Box::new(set)))
    }

    #[track_caller]
    pub(crate) fn expect(self, expected: &str) {
        let lines = |text: &str| -> String {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.fold(String::new(), |text, line| text + line + "\n")
        };
        let (expected, found) = (lines(expected), lines(&self.transcript.text));
        if expected != found {
            panic!("expected:\n{expected}\nfound:\n{found}");
        }
    }
}

/// What was decided, a line each.
#[derive(Default)]
pub(crate) struct Transcript {
    pub(crate) text: String,
    names: HashMap<RunId, String>,
}

impl Observer for Transcript {
    fn see(&mut self, now: Now, action: &Action) {
        let name = |run: &RunId| self.names.get(run).cloned().unwrap_or(format!("?#{run}"));
        let line = match action {
            Action::Start(Start { run, attempt, job, .. }) => {
                self.names.insert(*run, format!("{}#{run}", job.id));
                match attempt {
                    1 => format!("start {}#{run}", job.id),
                    _ => format!("start {}#{run}/{attempt}", job.id),
                }
            }
            Action::Check(check) => {
                self.names.insert(check.run, format!("{}#{}", check.job.id, check.run));
                format!("look {}#{}/{}", check.job.id, check.run, check.number)
            }
            Action::Terminate(run) => format!("term {}", name(run)),
            Action::Kill(run) => format!("kill {}", name(run)),
            Action::Record(record) => line_of(record),
            Action::Notice(Notice::Retrying { run, job, outcome, attempt, delay, .. }) => {
                format!("{}#{run} {outcome}, attempt {attempt} in {delay:?}", job.id)
            }
            Action::Notice(Notice::Postponed { run, job, reason, delay, .. }) => {
                format!("{}#{run} not started ({reason}), again in {delay:?}", job.id)
            }
            Action::Notice(Notice::AwaitsConditions { run, job, reading, wait, .. }) => {
                format!("{}#{run} waits {wait:?}, {reading}", job.id)
            }
            Action::Notice(Notice::PausedByFailures { job, runs }) => {
                format!("{} paused, {runs} failures in a row", job.id)
            }
            Action::Notice(Notice::TimingOut { run, job }) => {
                format!("{}#{run} takes too long", job.id)
            }
            Action::Notice(Notice::Disowned { run, job, .. }) => {
                format!("{}#{run} is another's", job.id)
            }
            Action::Notice(Notice::ClockJumped { by_micros }) => {
                format!("clock jumped by {}s", by_micros / 1_000_000)
            }
            Action::Notice(Notice::Reloaded { added, changed, removed, unchanged }) => {
                format!("reloaded +{added} ~{changed} -{removed} ={unchanged}")
            }
            Action::Notice(Notice::Stopping { running, .. }) => {
                format!("stopping, {running} active")
            }
            Action::Notice(Notice::Status(status)) => format!(
                "status {} jobs, {} running, {} waiting, next {:?}",
                status.jobs,
                status.running,
                status.waiting,
                status.next.as_ref().map(|(at, job)| format!("{} {job}", clock(*at)))
            ),
            Action::Notice(Notice::Ignored { run, event }) => format!("ignored #{run} {event}"),
            Action::Notice(Notice::Started { .. } | Notice::Starting { .. }) => return,
            // What is to be remembered has tests of its own.
            Action::Remember(_) | Action::Answer { .. } => return,
            Action::Exit => "exit".to_owned(),
        };
        writeln!(self.text, "{} {line}", clock(now.wall)).unwrap();
    }
}

pub(crate) fn line_of(record: &Record) -> String {
    let mut line = record.job.id.to_string();
    if let Some(run) = record.run {
        write!(line, "#{run}").unwrap();
    }
    write!(line, " {}", record.outcome).unwrap();
    if record.attempts > 1 {
        write!(line, " after {} attempts", record.attempts).unwrap();
    }
    write!(line, ", due {}", clock(record.due)).unwrap();
    if record.count > 1 {
        write!(line, "..{} ({} of them)", clock(record.last_due), record.count).unwrap();
    }
    line
}
