//! The numbers of a scheduler for who watches many: as they come over the socket, and as the text that
//! Prometheus reads (exposition format 0.0.4). What each series means is in `doc/metrics.md`.
//!
//! A family of samples has to be in one piece, and jobs come in parts: so the scheduler sends numbers,
//! and whoever has asked writes the text. Every series of a job is there from the first time on, as 0.

use std::fmt::{Display, Write};

use serde::{Deserialize, Serialize};

use crate::core::event::{FATES, LAG_ENDS, Part, PingVitals, RouteVitals, Vitals};
use crate::core::instant::Instant;

/// Numbers of a scheduler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Scheduler {
    /// The version of schedrs.
    pub(crate) version: String,
    /// When it was started; this and other times are seconds since 1970.
    pub(crate) started: f64,
    /// Seconds of the processor that it has used, its jobs left out.
    pub(crate) cpu_seconds: f64,
    /// How much memory it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resident_bytes: Option<u64>,
    /// How many files it has open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) open_fds: Option<u64>,
    /// How many due times have come to what.
    pub(crate) runs: Vec<OutcomeCount>,
    /// Its executors.
    pub(crate) executors: Vec<Executor>,
    /// How late first attempts were started.
    pub(crate) start_lag: StartLag,
    /// The store takes what it is given.
    pub(crate) store_up: bool,
    /// How many facts it has not taken yet.
    pub(crate) store_pending: u64,
    /// The ways to tell people.
    pub(crate) routes: Vec<Route>,
    /// The same of what is told to services that watch jobs; it has no name.
    pub(crate) pings: Route,
    /// The jobfile was refused when it was last read.
    pub(crate) reload_failed: bool,
    /// When it was last read and found good.
    pub(crate) loaded: f64,
}

/// How many due times have come to something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OutcomeCount {
    /// To what.
    pub(crate) outcome: String,
    /// Why, where that is one of few words; else "".
    pub(crate) reason: String,
    /// How many.
    pub(crate) count: u64,
}

/// An executor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Executor {
    /// Its name.
    pub(crate) name: String,
    /// How many runs it may have at a time.
    pub(crate) workers: u32,
    /// How many it has.
    pub(crate) running: u32,
    /// How many wait.
    pub(crate) waiting: u32,
}

/// Numbers of a way to tell people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Route {
    /// Its name.
    pub(crate) name: String,
    /// How many notifications have ended how.
    pub(crate) ends: Vec<(String, u64)>,
    /// How many wait.
    pub(crate) waiting: u64,
    /// When the oldest of them was decided; 0: there is none.
    pub(crate) oldest: f64,
}

/// Times between a due time and the start of its first attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StartLag {
    /// Upper ends of the classes, in seconds.
    pub(crate) ends: Vec<f64>,
    /// How many are in each class, and last how many beyond.
    pub(crate) counts: Vec<u64>,
    /// The sum of all, in seconds.
    pub(crate) sum: f64,
}

/// Numbers of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Job {
    /// Its id.
    pub(crate) id: String,
    /// How many due times have come to what since the scheduler was started.
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) succeeded: u32,
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) failed: u32,
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) missed: u32,
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) skipped: u32,
    /// When a run of it last ended as it should, also before that; 0: never.
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) last_success: f64,
    /// When a run of it last ended.
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) last_run: f64,
    /// How long that took, in seconds.
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) last_duration: f64,
    /// When it is due; 0: not.
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) next_due: f64,
    /// Runs with a process.
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) running: u32,
    /// How many runs have failed since the last one that did not.
    #[serde(skip_serializing_if = "is_nothing")]
    pub(crate) failures: u32,
}

/// How many jobs are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct States {
    pub(crate) active: u64,
    pub(crate) paused: u64,
    pub(crate) finished: u64,
}

/// What comes in one part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    /// In the first part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheduler: Option<Scheduler>,
    /// Of the jobs of this part.
    pub(crate) states: States,
    /// Jobs, if they are wanted.
    pub(crate) jobs: Vec<Job>,
    /// The store could not be read: nothing is known of the past.
    pub(crate) past_unknown: bool,
    /// Where the next part begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) more: Option<u32>,
}

/// Most numbers of a job are 0: they need not be said.
fn is_nothing<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// Seconds since 1970.
pub(crate) fn seconds(at: Instant) -> f64 {
    at.micros() as f64 / 1e6
}

impl Scheduler {
    /// Those that the scheduler itself knows.
    pub(crate) fn new(vitals: &Vitals) -> Scheduler {
        let (health, totals) = (&vitals.health, &vitals.totals);
        let is_in_trouble = |part| vitals.troubles.iter().any(|(about, _)| *about == part);
        let fates = FATES.iter().zip(totals.fates);
        let fates = fates.map(|((outcome, reason), count)| OutcomeCount {
            outcome: (*outcome).to_owned(),
            reason: (*reason).to_owned(),
            count,
        });
        let pools = vitals.pools.iter().map(|pool| Executor {
            name: pool.name.to_string(),
            workers: pool.workers,
            running: pool.running,
            waiting: pool.waiting,
        });
        Scheduler {
            version: health.version.to_owned(),
            started: seconds(health.started),
            runs: fates.collect(),
            executors: pools.collect(),
            start_lag: StartLag {
                ends: LAG_ENDS.to_vec(),
                counts: totals.lags.classes.to_vec(),
                sum: totals.lags.sum.as_secs_f64(),
            },
            store_up: !is_in_trouble(Part::Store),
            store_pending: vitals.pending_facts,
            reload_failed: is_in_trouble(Part::Jobfile),
            routes: vitals.routes.iter().map(Route::of).collect(),
            pings: Route::of_pings(&vitals.pings),
            loaded: seconds(health.loaded),
            ..Scheduler::default()
        }
    }
}

impl Route {
    fn of(route: &RouteVitals) -> Route {
        let ends = route.ends.iter().map(|(word, count)| ((*word).to_owned(), *count));
        Route {
            name: route.name.to_string(),
            ends: ends.collect(),
            waiting: route.waiting as u64,
            oldest: route.oldest.map_or(0.0, seconds),
        }
    }
}

impl Route {
    fn of_pings(pings: &PingVitals) -> Route {
        let ends = pings.ends.iter().map(|(word, count)| ((*word).to_owned(), *count));
        Route {
            name: String::new(),
            ends: ends.collect(),
            waiting: pings.waiting as u64,
            oldest: pings.oldest.map_or(0.0, seconds),
        }
    }
}

impl States {
    /// Together with those of another part.
    pub(crate) fn add(&mut self, other: States) {
        self.active += other.active;
        self.paused += other.paused;
        self.finished += other.finished;
    }
}

impl Page {
    /// Takes in the part that follows.
    pub(crate) fn append(&mut self, next: Page) {
        if next.scheduler.is_some() {
            self.scheduler = next.scheduler;
        }
        self.states.add(next.states);
        self.jobs.extend(next.jobs);
        self.past_unknown |= next.past_unknown;
        self.more = next.more;
    }

    /// The whole as text. Without the numbers of the process, if whoever passes it on has series of the
    /// same names.
    pub(crate) fn text(&self, with_process: bool) -> String {
        let mut text = Text(String::with_capacity(8192 + self.jobs.len() * 1000));
        if let Some(scheduler) = &self.scheduler {
            if with_process {
                text.process(scheduler);
            }
            text.scheduler(scheduler, self.states);
        }
        text.jobs(&self.jobs, self.past_unknown);
        text.0
    }
}

/// The text while it is written. Writing to a string cannot fail.
struct Text(String);

/// A series of each job: its name, what it is, and where it comes from.
type OfJob = (&'static str, &'static str, fn(&Job) -> f64);

/// Those that only the store knows.
const PAST: [OfJob; 4] = [
    (
        "schedrs_job_last_success_timestamp_seconds",
        "When a run of the job last succeeded; 0: never.",
        |job| job.last_success,
    ),
    (
        "schedrs_job_last_run_timestamp_seconds",
        "When a run of the job last ended; 0: never.",
        |job| job.last_run,
    ),
    (
        "schedrs_job_last_duration_seconds",
        "How long the last run of the job took, its retries included.",
        |job| job.last_duration,
    ),
    (
        "schedrs_job_consecutive_failures",
        "Runs of the job that have failed since the last one that succeeded.",
        |job| f64::from(job.failures),
    ),
];

/// The others.
const NOW: [OfJob; 2] = [
    (
        "schedrs_job_next_due_timestamp_seconds",
        "When the job is due next; 0: it is paused, or never again.",
        |job| job.next_due,
    ),
    ("schedrs_job_running", "Runs of the job with a process.", |job| f64::from(job.running)),
];

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            self.escaped(text);
            self.0.push('"');
        }
        self.0.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(self.0, "{value}");
    }

    fn escaped(&mut self, mut text: &str) {
        while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', text.as_bytes()) {
            self.0.push_str(&text[..at]);
            self.0.push_str(match text.as_bytes()[at] {
                b'\\' => "\\\\",
                b'"' => "\\\"",
                _ => "\\n",
            });
            text = &text[at + 1..];
        }
        self.0.push_str(text);
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }

    fn process(&mut self, of: &Scheduler) {
        let name = "process_start_time_seconds";
        self.single(name, "gauge", "When the scheduler was started.", of.started);
        let name = "process_cpu_seconds_total";
        let help = "Processor time of the scheduler, without that of its jobs.";
        self.single(name, "counter", help, of.cpu_seconds);
        if let Some(bytes) = of.resident_bytes {
            let name = "process_resident_memory_bytes";
            self.single(name, "gauge", "Memory of the scheduler.", bytes);
        }
        if let Some(fds) = of.open_fds {
            self.single("process_open_fds", "gauge", "Open files of the scheduler.", fds);
        }
    }

    fn scheduler(&mut self, of: &Scheduler, states: States) {
        self.head("schedrs_build_info", "gauge", "The version of schedrs; always 1.");
        self.sample("schedrs_build_info", &[("version", &of.version)], 1);
        self.head("schedrs_jobs", "gauge", "Jobs by state.");
        for (state, count) in
            [("active", states.active), ("paused", states.paused), ("finished", states.finished)]
        {
            self.sample("schedrs_jobs", &[("state", state)], count);
        }
        let help = "What has become of due times since the scheduler was started.";
        self.head("schedrs_runs_total", "counter", help);
        for OutcomeCount { outcome, reason, count } in &of.runs {
            let labels = [("outcome", outcome.as_str()), ("reason", reason.as_str())];
            self.sample("schedrs_runs_total", &labels, count);
        }
        self.executors(&of.executors);
        self.start_lag(&of.start_lag);
        let help = "Whether the store takes what it is given.";
        self.single("schedrs_store_up", "gauge", help, u8::from(of.store_up));
        let help = "Facts that the store has not taken yet.";
        self.single("schedrs_store_pending_facts", "gauge", help, of.store_pending);
        self.routes(&of.routes);
        self.pings(&of.pings);
        let help = "Whether the jobfile was refused when it was last read.";
        self.single("schedrs_reload_failed", "gauge", help, u8::from(of.reload_failed));
        let name = "schedrs_last_reload_timestamp_seconds";
        self.single(name, "gauge", "When the jobfile was last read and taken.", of.loaded);
    }

    fn executors(&mut self, executors: &[Executor]) {
        type Number = fn(&Executor) -> u32;
        let families: [(&str, &str, Number); 3] = [
            (
                "schedrs_executor_workers",
                "Runs that the executor may have at a time.",
                |executor| executor.workers,
            ),
            ("schedrs_executor_running", "Runs that the executor has.", |executor| {
                executor.running
            }),
            ("schedrs_executor_waiting", "Runs that wait for the executor.", |executor| {
                executor.waiting
            }),
        ];
        for (name, help, number) in families {
            self.head(name, "gauge", help);
            for executor in executors {
                self.sample(name, &[("executor", &executor.name)], number(executor));
            }
        }
    }

    fn routes(&mut self, routes: &[Route]) {
        let name = "schedrs_notifications_total";
        self.head(name, "counter", "Notifications of the route since the scheduler was started.");
        for route in routes {
            for (result, count) in &route.ends {
                self.sample(name, &[("route", &route.name), ("result", result)], count);
            }
        }
        let name = "schedrs_notifications_pending";
        self.head(name, "gauge", "Notifications that are still to be sent.");
        for route in routes {
            self.sample(name, &[("route", &route.name)], route.waiting);
        }
        let name = "schedrs_notifications_oldest_pending_timestamp_seconds";
        self.head(name, "gauge", "When the oldest of them was decided.");
        for route in routes {
            self.sample(name, &[("route", &route.name)], route.oldest);
        }
    }

    fn pings(&mut self, pings: &Route) {
        let name = "schedrs_pings_total";
        self.head(name, "counter", "Pings of jobs since the scheduler was started.");
        for (result, count) in &pings.ends {
            self.sample(name, &[("result", result)], count);
        }
        let help = "Pings that are still to be sent.";
        self.single("schedrs_pings_pending", "gauge", help, pings.waiting);
        let help = "When the oldest of them was decided.";
        let name = "schedrs_pings_oldest_pending_timestamp_seconds";
        self.single(name, "gauge", help, pings.oldest);
    }

    fn start_lag(&mut self, lag: &StartLag) {
        let name = "schedrs_start_lag_seconds";
        self.head(name, "histogram", "From a due time to the start of its first attempt.");
        let mut sum: u64 = 0;
        let ends = lag.ends.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (end, count) in ends.zip(&lag.counts) {
            sum += count;
            self.sample("schedrs_start_lag_seconds_bucket", &[("le", &end)], sum);
        }
        self.sample("schedrs_start_lag_seconds_sum", &[], lag.sum);
        self.sample("schedrs_start_lag_seconds_count", &[], sum);
    }

    fn jobs(&mut self, jobs: &[Job], past_unknown: bool) {
        let name = "schedrs_job_runs_total";
        let help = "What has become of due times of the job since the scheduler was started.";
        self.head(name, "counter", help);
        // Each job has ten series: what is the same in all of them is written once.
        let labels = jobs.iter().map(|job| {
            let mut label = Text("job_name=\"".to_owned());
            label.escaped(&job.id);
            label.0
        });
        let labels: Vec<String> = labels.collect();
        for (job, label) in jobs.iter().zip(&labels) {
            for (outcome, count) in [
                ("succeeded", job.succeeded),
                ("failed", job.failed),
                ("missed", job.missed),
                ("skipped", job.skipped),
            ] {
                for part in [name, "{", label, "\",outcome=\"", outcome, "\"} "] {
                    self.0.push_str(part);
                }
                self.number(f64::from(count));
            }
        }
        let past = PAST.iter().filter(|_| !past_unknown);
        for (name, help, number) in past.chain(&NOW) {
            self.head(name, "gauge", help);
            for (job, label) in jobs.iter().zip(&labels) {
                for part in [name, "{", label, "\"} "] {
                    self.0.push_str(part);
                }
                self.number(number(job));
            }
        }
    }

    /// A number and the end of its line. Most of them are 0, and nearly all others are whole: which is quick.
    fn number(&mut self, number: f64) {
        const WHOLE: f64 = (1_u64 << 53) as f64;
        let whole = number as u64;
        let _ = if number == 0.0 {
            self.0.push_str("0\n");
            Ok(())
        } else if number > 0.0 && number < WHOLE && whole as f64 == number {
            writeln!(self.0, "{whole}")
        } else {
            writeln!(self.0, "{number}")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_the_format_takes() {
        let mut text = Text(String::new());
        text.sample("n", &[("job_name", "a\\b\"c\nd\\"), ("outcome", "ö")], 1.5);
        assert_eq!(text.0, "n{job_name=\"a\\\\b\\\"c\\nd\\\\\",outcome=\"ö\"} 1.5\n");
    }

    #[test]
    fn numbers() {
        let rows = [
            (0.0, "0\n"),
            (7.0, "7\n"),
            (1_767_225_600.0, "1767225600\n"),
            (1_767_225_600.25, "1767225600.25\n"),
            (-1.0, "-1\n"),
            (0.001, "0.001\n"),
            (1e20, "100000000000000000000\n"),
        ];
        for (number, expected) in rows {
            let mut text = Text(String::new());
            text.number(number);
            assert_eq!(text.0, expected);
        }
    }

    /// What is 0 need not be said, and is there all the same.
    #[test]
    fn a_page_comes_back() {
        let job = Job { id: "a".into(), failed: 3, last_run: 1.5, ..Job::default() };
        let page = Page { jobs: vec![job], more: Some(7), ..Page::default() };
        let text = crate::control::wire::json(&page);
        assert!(!text.contains("succeeded"), "{text}");
        assert_eq!(serde_json::from_str::<Page>(&text).unwrap(), page);
    }

    /// A family stands in one piece, has its kind before it, and is there without jobs too.
    #[test]
    fn a_family_is_in_one_piece() {
        let job = |id: &str| Job { id: id.to_owned(), ..Job::default() };
        for jobs in [vec![], vec![job("a"), job("b\"c")]] {
            let (resident_bytes, open_fds) = (Some(1), Some(1));
            let scheduler = Scheduler { resident_bytes, open_fds, ..Scheduler::default() };
            let page = Page { scheduler: Some(scheduler), jobs, ..Page::default() };
            let text = page.text(true);
            assert!(!page.text(false).contains("process_"));
            let quoted = text.matches("{job_name=\"b\\\"c\"").count();
            assert_eq!(quoted, if page.jobs.is_empty() { 0 } else { 10 });
            let mut families: Vec<&str> = Vec::new();
            for line in text.lines() {
                if let Some(rest) = line.strip_prefix("# HELP ") {
                    let name = rest.split(' ').next().unwrap_or_default();
                    assert!(!families.contains(&name), "{name} twice");
                    families.push(name);
                } else if !line.starts_with('#') {
                    let name = line.split(['{', ' ']).next().unwrap_or_default();
                    let family = families.last().copied().unwrap_or_default();
                    assert!(name.starts_with(family), "{line} in {family}");
                }
            }
            assert_eq!(families.len(), 28, "{families:?}");
        }
    }
}
