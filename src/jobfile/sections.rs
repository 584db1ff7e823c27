//! The tables beside the jobs: `[scheduler]`, `[store]`, `[fleet]`, `[executors]` and `[defaults]`.
//!
//! They are read from every file before any job is, so it does not matter in which order things
//! stand.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use super::calendars::Calendars;
use super::keys::{self, Key, LEASE};
use super::no_shell;
use super::notify::Routes;
use super::options;
use super::ping;
use super::tree::{Node, Table, Value};
use super::value::Scope;
use super::web;
use super::when::{self, Moment};
use crate::core::job::{Executor, FleetSettings, Keep, Options, Settings};
use crate::core::monitor::Monitor;
use crate::core::nearest::nearest;
use crate::core::url::SharedUrl;
use crate::core::web::WebSettings;
use crate::core::zone::{Database, Zone};
use crate::problem::{Place, Problem, Span};

/// The keys at the top of a jobfile.
pub(super) const TOP: [&str; 10] = [
    "include",
    "scheduler",
    "store",
    "fleet",
    "web",
    "notify",
    "calendars",
    "executors",
    "defaults",
    "jobs",
];

/// The keys of `[scheduler]`.
const SCHEDULER: [&str; 5] = ["timezone", "stop_grace", "reload", "ping", "ping_every"];

/// `ping` and `ping_every` of `[scheduler]`, as far as they are there and good.
#[derive(Default)]
struct Heartbeat {
    to: Option<Option<Option<Arc<Monitor>>>>,
    every: Option<(Span, Option<Duration>)>,
}

impl Heartbeat {
    fn complete(self, scope: &mut Scope<'_>) -> Option<(Arc<Monitor>, Duration)> {
        if let (None, Some((span, _))) = (&self.to, &self.every) {
            let help = "`ping` beside it says where: `ping = \"https://hc-ping.com/UUID\"`";
            scope.error_help(*span, "`ping_every` without `ping`", help);
        }
        let every = self.every.map_or(Some(ping::DEFAULT_EVERY), |(_, every)| every);
        Some((self.to???, every?))
    }
}

/// What the sections of all files say.
#[derive(Clone, Debug)]
pub(super) struct Sections {
    pub(super) timezone: Option<(Zone, Place)>,
    pub(super) stop_grace: Duration,
    pub(super) reload_auto: bool,
    pub(super) store_url: Option<String>,
    pub(super) keep: Keep,
    pub(super) fleet: FleetSettings,
    pub(super) routes: Routes,
    pub(super) calendars: Calendars,
    /// `[scheduler] ping`, and how often.
    pub(super) heartbeat: Option<(Arc<Monitor>, Duration)>,
    pub(super) web: WebSettings,
    pub(super) executors: Vec<Executor>,
    /// Where each executor stands; `default` may stand nowhere.
    executor_places: HashMap<Arc<str>, (u16, Option<Place>)>,
    pub(super) defaults: Defaults,
    /// The executor that `[defaults]` names, until all are known.
    default_executor: Option<(String, Span, u32)>,
    /// The same for the routes of its `notify`.
    default_routes: Vec<(Box<str>, Place)>,
}

/// What `[defaults]` says.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) options: Arc<Options>,
    pub(super) timezone: Option<Zone>,
    pub(super) executor: u16,
    pub(super) start_date: Option<Moment>,
    pub(super) end_date: Option<Moment>,
    /// Where each of its keys stands.
    pub(super) places: Vec<(Key, Place)>,
}

impl Default for Sections {
    fn default() -> Sections {
        let name: Arc<str> = "default".into();
        Sections {
            timezone: None,
            stop_grace: Settings::STOP_GRACE,
            reload_auto: false,
            store_url: None,
            keep: Keep::default(),
            fleet: FleetSettings::default(),
            routes: Routes::default(),
            calendars: Calendars::default(),
            heartbeat: None,
            web: WebSettings::default(),
            executors: vec![Executor::new(name.clone(), Executor::DEFAULT_WORKERS)],
            executor_places: HashMap::from([(name, (0, None))]),
            defaults: Defaults::default(),
            default_executor: None,
            default_routes: Vec::new(),
        }
    }
}

impl Sections {
    /// Reads what is no job at the top of a file. `main`: it is the file that was named, not one
    /// that it includes.
    pub(super) fn read(
        &mut self,
        top: &Table<'_>,
        main: bool,
        scope: &mut Scope<'_>,
        zones: &Database,
    ) {
        for (key, value) in &top.entries {
            match &*key.text {
                "include" | "jobs" => {}
                "executors" => self.executors(value, scope),
                "notify" => self.routes.read(value, scope, zones, &mut self.calendars),
                "calendars" => self.calendars.read(value, scope),
                "scheduler" | "store" | "fleet" | "web" | "defaults" if !main => scope
                    .error(key.span, format!("`{}` is only allowed in the main jobfile", key.text)),
                "scheduler" => self.scheduler(value, scope, zones),
                "store" => self.store(value, scope),
                "fleet" => self.fleet(value, scope),
                "web" => self.web = web::settings(value, scope),
                "defaults" => self.defaults(value, scope, zones),
                name => unknown_top(key.span, name, scope),
            }
        }
    }

    fn scheduler(&mut self, value: &Value<'_>, scope: &mut Scope<'_>, zones: &Database) {
        let Some(table) = scope.table(value, "a table: [scheduler]") else { return };
        let mut heartbeat = Heartbeat::default();
        for (key, value) in &table.entries {
            match &*key.text {
                "ping" => heartbeat.to = Some(ping::ping(value, scope)),
                "ping_every" => heartbeat.every = Some((key.span, ping::every(value, scope))),
                "timezone" => {
                    let place = scope.place(key.span);
                    self.timezone = scope.timezone(value, zones).map(|zone| (zone, place));
                }
                "stop_grace" => {
                    if let Some(grace) = scope.duration(value) {
                        self.stop_grace = grace;
                    }
                }
                "reload" => {
                    let names = [("auto", true), ("manual", false)];
                    if let Some(auto) = scope.one_of(value, &names) {
                        self.reload_auto = auto;
                    }
                }
                name => unknown_key(key.span, name, &SCHEDULER, OF_SCHEDULERS, scope),
            }
        }
        self.heartbeat = heartbeat.complete(scope);
    }

    fn store(&mut self, value: &Value<'_>, scope: &mut Scope<'_>) {
        let Some(table) = scope.table(value, "a table: [store]") else { return };
        for (key, value) in &table.entries {
            match &*key.text {
                "url" => self.store_url = store_url(value, scope),
                "keep" => self.keep = keep(value, scope),
                name => scope.unknown_key(key.span, name, &["url", "keep"]),
            }
        }
    }

    fn fleet(&mut self, value: &Value<'_>, scope: &mut Scope<'_>) {
        let Some(table) = scope.table(value, "a table: [fleet]") else { return };
        for (key, value) in &table.entries {
            match &*key.text {
                "name" => {
                    let name = scope.system_string(value, "the name of this host");
                    self.fleet.name = name.map(str::to_owned);
                }
                "labels" => {
                    self.fleet.labels =
                        options::labels(value, scope).map(Vec::from).unwrap_or_default();
                }
                "lease" => {
                    let Some(lease) = scope.duration(value) else { continue };
                    if LEASE.contains(&lease) {
                        self.fleet.lease = lease;
                    } else {
                        let help = "a host that is silent for this long is considered dead";
                        let message = "a lease must be from \"3s\" to \"10m\"";
                        scope.error_help(value.span, message, help);
                    }
                }
                name => scope.unknown_key(key.span, name, &["name", "labels", "lease"]),
            }
        }
    }

    fn executors(&mut self, value: &Value<'_>, scope: &mut Scope<'_>) {
        let Some(table) = scope.table(value, "a table: [executors]") else { return };
        for (key, value) in &table.entries {
            if key.text.is_empty() || key.text.chars().any(char::is_control) {
                scope.error(key.span, "not a valid name for an executor");
                continue;
            }
            // Jobs may name one with a mistake in it all the same: one error is enough.
            let executor = executor(key.text.as_ref(), value, scope);
            self.add_executor(executor, key.span, scope);
        }
    }

    fn add_executor(&mut self, executor: Executor, span: Span, scope: &mut Scope<'_>) {
        let place = scope.place(span);
        let name = Arc::clone(&executor.name);
        if let Some((index, first)) = self.executor_places.get_mut(&name) {
            match first {
                Some(first) => {
                    let problem = Problem::error(place, format!("duplicate executor `{name}`"));
                    let first = *first;
                    scope.push(problem.related("first defined", first));
                }
                // `default`, which is there without being named.
                None => {
                    *first = Some(place);
                    self.executors[usize::from(*index)] = executor;
                }
            }
            return;
        }
        let Ok(index) = u16::try_from(self.executors.len()) else {
            scope.error(span, "too many executors: at most 65536 are allowed");
            return;
        };
        self.executors.push(executor);
        self.executor_places.insert(name, (index, Some(place)));
    }

    /// The index of an executor by its name.
    pub(super) fn executor(&self, value: &Value<'_>, scope: &mut Scope<'_>) -> Option<u16> {
        let name = scope.string(value, "the name of an executor")?;
        let index = self.executor_index(name);
        if index.is_none() {
            scope.push(self.unknown_executor(name, scope.place(value.span)));
        }
        index
    }

    fn executor_index(&self, name: &str) -> Option<u16> {
        self.executor_places.get(name).map(|(index, _)| *index)
    }

    fn unknown_executor(&self, name: &str, place: Place) -> Problem {
        let problem = Problem::error(place, format!("unknown executor `{name}`"));
        problem.help(match nearest(name, self.executors.iter().map(|e| &*e.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let names = self.executors.iter().take(8).map(|e| format!("`{}`", e.name));
                let names: Vec<String> = names.collect();
                format!(
                    "there is {}; add it: `[executors]`, `{name} = {{ max_workers = 2 }}`",
                    names.join(", ")
                )
            }
        })
    }

    fn defaults(&mut self, value: &Value<'_>, scope: &mut Scope<'_>, zones: &Database) {
        let Some(table) = scope.table(value, "a table: [defaults]") else { return };
        let mut options = Options::default();
        for (key, value) in &table.entries {
            let Some(known) = Key::of(&key.text) else {
                let message = format!("unknown key `{}`", key.text);
                let problem = Problem::error(scope.place(key.span), message);
                scope.push(match keys::hint(&key.text, scope.typed(value.span)) {
                    Some(hint) => problem.help(hint.help),
                    None => problem.help("`[defaults]` can set any option of a job"),
                });
                continue;
            };
            let defaults = &mut self.defaults;
            match known {
                Key::Command
                | Key::Cron
                | Key::Interval
                | Key::Date
                | Key::Any
                | Key::All
                | Key::Name => {
                    let message = format!("`{}` cannot be a default", key.text);
                    scope.error_help(key.span, message, "every job has its own");
                    continue;
                }
                Key::Timezone => defaults.timezone = scope.timezone(value, zones),
                Key::StartDate => defaults.start_date = when::moment(scope, value),
                Key::EndDate => defaults.end_date = when::moment(scope, value),
                Key::Executor => {
                    if let Some(name) = scope.string(value, "the name of an executor") {
                        self.default_executor = Some((name.to_owned(), value.span, scope.file));
                    }
                }
                _ => {
                    options::set(&mut options, known, value, scope);
                }
            }
            if matches!(known, Key::Except | Key::Only) {
                self.calendars.defer(value, scope);
            }
            if let (Key::Notify, Node::Array(values)) = (known, &value.node) {
                let names = options.notify.iter().cloned().zip(values);
                self.default_routes =
                    names.map(|(name, value)| (name, scope.place(value.span))).collect();
            }
            self.defaults.places.push((known, scope.place(key.span)));
        }
        self.defaults.options = Arc::new(options);
    }

    /// What could only be done when all files were read.
    pub(super) fn complete(&mut self, problems: &mut crate::problem::Problems) {
        self.calendars.complete(problems);
        self.routes.complete(&self.calendars, problems);
        let excluded = &mut Arc::make_mut(&mut self.defaults.options).excluded;
        self.calendars.resolve(&mut excluded.except);
        self.calendars.resolve(&mut excluded.only);
        for (name, place) in std::mem::take(&mut self.default_routes) {
            if !self.routes.has(&name) {
                problems.push(self.routes.unknown(&name, place));
            }
        }
        let Some((name, span, file)) = self.default_executor.take() else { return };
        match self.executor_index(&name) {
            Some(index) => self.defaults.executor = index,
            None => {
                problems.push(self.unknown_executor(&name, Place { file, span: Some(span) }));
            }
        }
    }
}

fn unknown_top(span: Span, name: &str, scope: &mut Scope<'_>) {
    let problem = Problem::error(scope.place(span), format!("unknown key `{name}`"));
    let help = if let Some(near) = nearest(name, TOP) {
        format!("did you mean `{near}`?")
    } else if Key::of(name).is_some() {
        format!("`{name}` is an option of a job: put it under `[jobs.NAME]` or `[defaults]`")
    } else if SCHEDULER.contains(&name) {
        format!("put `{name}` under `[scheduler]`")
    } else {
        "at the top of a jobfile stand `include`, `[scheduler]`, `[store]`, `[fleet]`, \
         `[web]`, `[notify.NAME]`, `[calendars.NAME]`, `[executors]`, `[defaults]` and `[jobs.NAME]`"
            .to_owned()
    };
    scope.push(problem.help(help));
}

fn store_url(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<String> {
    const WANTED: &str = "\"memory\", a file such as \"sqlite:schedrs.db\", or a server such as \
                          \"postgres://localhost/schedrs\"";
    let url = scope.system_string(value, WANTED)?;
    let file = url.strip_prefix("sqlite:");
    let is_store = url == "memory" || file.is_some_and(|file| !file.is_empty());
    if let Some(file) = file {
        no_shell::store(value, file, scope);
    }
    if is_store || SharedUrl::parse(url).is_some() {
        return Some(url.to_owned());
    }
    scope.error(value.span, format!("\"{url}\" is not a store, expected {WANTED}"));
    None
}

fn keep(value: &Value<'_>, scope: &mut Scope<'_>) -> Keep {
    let mut keep = Keep::default();
    let wanted = "a table such as { runs = 100, days = 30, output = \"64KiB\" }";
    let Some(table) = scope.table(value, wanted) else { return keep };
    for (key, value) in &table.entries {
        let limit = match &*key.text {
            "runs" => &mut keep.runs,
            "days" => &mut keep.days,
            "output" => {
                keep.output = scope.size(value, Keep::MOST_OUTPUT);
                continue;
            }
            name => {
                scope.unknown_key(key.span, name, &["runs", "days", "output"]);
                continue;
            }
        };
        *limit = scope.integer(value, 1..=i64::from(u32::MAX)).map(|number| number as u32);
    }
    keep
}

/// What others write in the section of the scheduler, and what belongs to an executor here.
const OF_SCHEDULERS: &[(&[&str], &str)] = &[
    (
        &[
            "max_workers",
            "max_running",
            "max_starts_per_second",
            "starts_per_second",
            "rate",
            "rate_limit",
            "workers",
            "slots",
            "threads",
            "max_threads",
            "concurrency",
            "max_concurrent",
            "max_concurrency",
            "max_parallel",
            "parallelism",
        ],
        "this is set on an executor: `[executors]`, `default = { max_workers = 20, \
         max_starts_per_second = 5 }`",
    ),
    (&["zone", "tz", "time_zone"], "did you mean `timezone`?"),
    (
        &["grace", "stop_timeout", "shutdown_timeout", "shutdown_grace", "stop_wait"],
        "did you mean `stop_grace`?",
    ),
    (&["heartbeat", "healthcheck", "healthchecks"], "did you mean `ping`?"),
    (&["watch", "auto_reload", "reload_on_change"], "did you mean `reload = \"auto\"`?"),
    (&["store", "database", "url", "jobstore", "jobstores"], "that is `[store] url`"),
];

/// What others call the keys of an executor.
const OF_EXECUTORS: &[(&[&str], &str)] = &[
    (
        &[
            "max_running",
            "workers",
            "slots",
            "threads",
            "max_threads",
            "size",
            "pool_size",
            "concurrency",
            "max_concurrent",
            "max_concurrency",
            "max_parallel",
            "max_processes",
            "limit",
            "capacity",
        ],
        "did you mean `max_workers`?",
    ),
    (
        &["rate", "rate_limit", "starts_per_second", "per_second", "max_rate", "throttle"],
        "did you mean `max_starts_per_second`?",
    ),
];

/// A key that a section does not have: it may be an option of jobs.
fn unknown_key(
    span: Span,
    name: &str,
    known: &[&str],
    elsewhere: &[(&[&str], &str)],
    scope: &mut Scope<'_>,
) {
    let is_option = Key::of(name).is_some_and(|key| !key.is_trigger());
    if !is_option || known.contains(&name) {
        return scope.unknown_key_but(span, name, known, elsewhere);
    }
    let message = format!("`{name}` is an option of jobs");
    scope.error_help(
        span,
        message,
        "write it below `[jobs.NAME]`, or for all of them below `[defaults]`",
    );
}

/// One executor. What is wrong with it has its default.
fn executor(name: &str, value: &Value<'_>, scope: &mut Scope<'_>) -> Executor {
    let mut executor = Executor::new(name, Executor::DEFAULT_WORKERS);
    let wanted = "a table such as { max_workers = 2 }";
    if let Node::Integer(number) = value.node {
        let help = format!("write `{{ max_workers = {number} }}`");
        scope.error_help(value.span, format!("expected {wanted}, found an integer"), help);
        return executor;
    }
    for (key, value) in scope.table(value, wanted).iter().flat_map(|table| &table.entries) {
        match &*key.text {
            "max_workers" => {
                if let Some(number) = scope.integer(value, 1..=65_535) {
                    executor.max_workers = number as u32;
                }
            }
            "max_starts_per_second" => {
                let number = scope.integer(value, 1..=Executor::MOST_STARTS.into());
                executor.max_starts_per_second = number.and_then(|it| NonZero::new(it as u32));
            }
            name => {
                let known = ["max_workers", "max_starts_per_second"];
                unknown_key(key.span, name, &known, OF_EXECUTORS, scope);
            }
        }
    }
    executor
}
