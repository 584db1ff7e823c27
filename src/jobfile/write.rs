//! From jobs back to the jobfile that means them: what `schedrs export` and `show` print.
//!
//! A job is written with what differs from the built-in defaults, so `[defaults]` need not be. What
//! was written and is read again is the same job, which `tests/jobfile/write.rs` holds it to. The
//! values are put together once ([`keys`]), and drawn as TOML or as JSON; `when` has those that say
//! when.

mod notify;
mod web;
mod when;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::keys::Key;
use crate::core::calendar::Windows;
use crate::core::condition::{self, Conditions};
use crate::core::fleet::RunOn;
use crate::core::instant::Instant;
use crate::core::job::{
    Calendar, Command, Executor, FleetSettings, Grace, Job, JobHook, JobSet, Options, Settings,
    below_home,
};
use crate::core::limits::{KEYS, Limits};
use crate::core::size;
use crate::core::sort;
use crate::core::trigger::{DateTrigger, Trigger};

/// What stands for a value that is nobody's business.
const MASKED: &str = "***";

/// Whose eyes it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Values of variables as they are: the file is to be run.
    Written,
    /// Only their names: somebody is shown a job.
    Masked,
}

/// A value as both TOML and JSON have it, and what only one of them has.
enum Typed {
    Json(Value),
    /// APScheduler's fields, which in TOML keep their order.
    Fields(Vec<(&'static str, String)>),
    /// The same for values of any kind.
    Pairs(Vec<(&'static str, Value)>),
}

/// Appends a job as a table `[jobs.ID]`. Answers what of it cannot be said in a jobfile again: a
/// comment says so, too.
pub fn job(
    out: &mut String,
    job: &Job,
    executors: &[Executor],
    secrets: Secrets,
) -> Option<String> {
    let id = key(&job.id);
    // Writing to a string never fails.
    let _ = writeln!(out, "[jobs.{id}]");
    let Written { keys, lost } = keys(job, executors, secrets);
    for why in &lost {
        let _ = writeln!(out, "# {why}");
    }
    for (key, value) in keys {
        let _ = writeln!(out, "{} = {}", key.name(), value.toml());
    }
    (!lost.is_empty()).then(|| format!("job {id}: {}", lost.join("; ")))
}

/// A job as an object with the keys of a jobfile.
pub fn json(job: &Job, executors: &[Executor], secrets: Secrets) -> Map<String, Value> {
    let keys = keys(job, executors, secrets).keys.into_iter();
    sort::collect(keys.map(|(key, value)| (key.name().to_owned(), value.json())))
}

/// The keys that a job has to be written with.
pub(crate) fn said(job: &Job, executors: &[Executor]) -> Vec<Key> {
    keys(job, executors, Secrets::Masked).keys.into_iter().map(|(key, _)| key).collect()
}

/// Appends what stands in front of the jobs. Answers what of it cannot be said again: a comment says
/// so, too.
pub fn head(out: &mut String, settings: &Settings, executors: &[Executor]) -> Option<String> {
    let lost = (!settings.zone.has_name()).then(|| {
        let rules = crate::problem::clean(settings.zone.name());
        format!("the machine's time zone has rules but no name: `{rules}`")
    });
    if let Some(why) = &lost {
        let _ = writeln!(out, "# {why}");
    }
    let tables = [
        ("scheduler", scheduler(settings)),
        ("store", store(settings)),
        ("fleet", fleet(settings)),
        ("web", web::settings(&settings.web)),
    ];
    for (name, table) in tables {
        if !table.is_empty() {
            let _ = writeln!(out, "[{name}]");
            for (name, value) in table {
                let _ = writeln!(out, "{name} = {}", toml(&value));
            }
            out.push('\n');
        }
    }
    for route in settings.routes.iter() {
        let _ = writeln!(out, "[notify.{}]", key(&route.name));
        for (name, value) in notify::route(route, &settings.zone, Secrets::Written) {
            let _ = writeln!(out, "{name} = {}", toml(&value));
        }
        out.push('\n');
    }
    for calendar in settings.calendars.iter() {
        let _ = writeln!(out, "[calendars.{}]", key(&calendar.name));
        for (name, value) in calendar_table(calendar) {
            let _ = writeln!(out, "{name} = {}", toml(&value));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "[executors]");
    for executor in executors {
        let entries = pool(executor).into_iter();
        let entries: Vec<String> =
            entries.map(|(name, value)| format!("{name} = {}", toml(&value))).collect();
        let _ = writeln!(out, "{} = {{ {} }}", key(&executor.name), entries.join(", "));
    }
    lost
}

/// What there is to say of a calendar.
fn calendar_table(calendar: &Calendar) -> Map<String, Value> {
    let mut table = Map::new();
    let texts: Vec<Value> = calendar.windows.texts().map(Value::from).collect();
    let (days, windows) = texts.split_at(calendar.days.min(texts.len()));
    for (name, texts) in [("days", days), ("windows", windows)] {
        if !texts.is_empty() {
            table.insert(name.to_owned(), texts.to_vec().into());
        }
    }
    if let Some(file) = &calendar.file {
        table.insert("file".to_owned(), (**file).into());
    }
    table
}

/// What there is to say of an executor.
fn pool(executor: &Executor) -> Map<String, Value> {
    let mut entries: Map<String, Value> =
        sort::collect([("max_workers".to_owned(), executor.max_workers.into())]);
    if let Some(most) = executor.max_starts_per_second {
        entries.insert("max_starts_per_second".to_owned(), most.get().into());
    }
    entries
}

/// The same as an object.
pub fn json_head(settings: &Settings, executors: &[Executor]) -> Map<String, Value> {
    let pools =
        executors.iter().map(|executor| (executor.name.to_string(), Value::Object(pool(executor))));
    let mut head = Map::new();
    head.insert("scheduler".to_owned(), Value::Object(scheduler(settings)));
    let store = store(settings);
    if !store.is_empty() {
        head.insert("store".to_owned(), Value::Object(store));
    }
    let fleet = fleet(settings);
    if !fleet.is_empty() {
        head.insert("fleet".to_owned(), Value::Object(fleet));
    }
    let web = web::settings(&settings.web);
    if !web.is_empty() {
        head.insert("web".to_owned(), Value::Object(web));
    }
    let routes = settings.routes.iter();
    let routes: Map<String, Value> = sort::collect(routes.map(|route| {
        (
            route.name.to_string(),
            Value::Object(notify::route(route, &settings.zone, Secrets::Written)),
        )
    }));
    if !routes.is_empty() {
        head.insert("notify".to_owned(), Value::Object(routes));
    }
    let calendars = settings.calendars.iter();
    let calendars: Map<String, Value> = sort::collect(
        calendars
            .map(|calendar| (calendar.name.to_string(), Value::Object(calendar_table(calendar)))),
    );
    if !calendars.is_empty() {
        head.insert("calendars".to_owned(), Value::Object(calendars));
    }
    head.insert("executors".to_owned(), Value::Object(sort::collect(pools)));
    head
}

/// A job whose paths mean the same wherever it is written down. Relative ones are relative to
/// `base`: the directory in which the scheduler runs.
pub fn rooted<'j>(job: &'j Job, base: &Path) -> Cow<'j, Job> {
    let is_relative = |path: &str| !path.starts_with('/') && below_home(path).is_none();
    let Options { cwd, env_file, secrets, ping, only_if, .. } = &*job.options;
    let of_ping = ping.iter().flat_map(|ping| ping.paths());
    let of_conditions = only_if.iter().flat_map(|conditions| conditions.paths());
    let paths = cwd.iter().chain(env_file).chain(secrets.values());
    let mut paths = paths.chain(of_ping).chain(of_conditions);
    if !paths.any(|path| is_relative(path)) {
        return Cow::Borrowed(job);
    }
    let mut options = Options::clone(&job.options);
    let Options { cwd, env_file, secrets, ping, only_if, .. } = &mut options;
    let of_ping = ping.iter_mut().flat_map(|ping| Arc::make_mut(ping).paths_mut());
    let of_conditions = only_if.iter_mut().flat_map(|it| Arc::make_mut(it).paths_mut());
    let paths = cwd.iter_mut().chain(env_file).chain(secrets.values_mut());
    let paths = paths.chain(of_ping).chain(of_conditions);
    for path in paths.filter(|path| is_relative(path)) {
        // A directory whose name is not UTF-8 cannot stand in a jobfile.
        if let Some(joined) = base.join(&**path).to_str() {
            *path = joined.into();
        }
    }
    Cow::Owned(Job { options: Arc::new(options), ..job.clone() })
}

/// A whole jobfile. Answers what of it cannot be said in one again.
pub fn set(set: &JobSet) -> (String, Vec<String>) {
    let mut out = String::new();
    let mut lost = Vec::from_iter(head(&mut out, &set.settings, &set.executors));
    for one in &set.jobs {
        out.push('\n');
        lost.extend(job(&mut out, one, &set.executors, Secrets::Written));
    }
    (out, lost)
}

fn scheduler(settings: &Settings) -> Map<String, Value> {
    let mut scheduler = Map::new();
    if settings.zone.has_name() {
        scheduler.insert("timezone".to_owned(), settings.zone.name().into());
    }
    scheduler.insert("stop_grace".to_owned(), duration(settings.stop_grace));
    if settings.reload_auto {
        scheduler.insert("reload".to_owned(), "auto".into());
    }
    if let Some((monitor, every)) = &settings.heartbeat {
        scheduler.insert("ping".to_owned(), notify::monitor(monitor, Secrets::Written));
        scheduler.insert("ping_every".to_owned(), duration(*every));
    }
    scheduler
}

fn store(settings: &Settings) -> Map<String, Value> {
    let mut store = Map::new();
    if let Some(url) = &settings.store_url {
        store.insert("url".to_owned(), url.as_str().into());
    }
    let keep = [("runs", settings.keep.runs), ("days", settings.keep.days)];
    let keep = keep.into_iter();
    let mut keep: Map<String, Value> =
        sort::collect(keep.filter_map(|(name, limit)| Some((name.to_owned(), limit?.into()))));
    if let Some(output) = settings.keep.output {
        keep.insert("output".to_owned(), size::written(output.into()).into());
    }
    if !keep.is_empty() {
        store.insert("keep".to_owned(), Value::Object(keep));
    }
    store
}

fn fleet(settings: &Settings) -> Map<String, Value> {
    let FleetSettings { name, labels, lease } = &settings.fleet;
    let mut fleet = Map::new();
    if let Some(name) = name {
        fleet.insert("name".to_owned(), name.as_str().into());
    }
    if !labels.is_empty() {
        fleet.insert("labels".to_owned(), strings(labels));
    }
    if *lease != FleetSettings::default().lease {
        fleet.insert("lease".to_owned(), duration(*lease));
    }
    fleet
}

/// What a job says.
struct Written {
    keys: Vec<(Key, Typed)>,
    /// What of it cannot be said again.
    lost: Vec<String>,
}

/// Every key of a job that differs from what it is without being said, in the order in which options
/// are explained.
fn keys(job: &Job, executors: &[Executor], secrets: Secrets) -> Written {
    let mut written = Written { keys: Vec::new(), lost: Vec::new() };
    if let Some(name) = &job.name {
        written.add(Key::Name, (**name).into());
    }
    written.add(Key::Command, command(&job.command));
    written.trigger(job);
    // Only the machine's own zone may have no name, and that is what a job has that names none.
    if job.zone.has_name() {
        written.add(Key::Timezone, job.zone.name().into());
    }
    if job.executor != 0
        && let Some(executor) = executors.get(usize::from(job.executor))
    {
        written.add(Key::Executor, (*executor.name).into());
    }
    for (key, value) in options(&job.options, secrets) {
        written.add(key, value);
    }
    let hidden = &job.options.secrets;
    for name in job.options.joined.keys().filter(|name| hidden.contains_key(*name)) {
        let name = crate::problem::clean(name);
        written.lost.push(format!("what is put around the secret of variable {name} is left out"));
    }
    sort::by_key(&mut written.keys, |(key, _)| *key);
    written
}

impl Written {
    fn add(&mut self, key: Key, value: Value) {
        self.keys.push((key, Typed::Json(value)));
    }

    fn trigger(&mut self, job: &Job) {
        let moment = |at: Instant| Value::from(when::moment(at, &job.zone));
        let (start, end) = match &job.trigger {
            Trigger::Date(date) => {
                return match date {
                    DateTrigger::At(at) => self.add(Key::Date, moment(*at)),
                    DateTrigger::Now => self.add(Key::Date, "now".into()),
                    DateTrigger::Reboot => self.add(Key::Cron, "@reboot".into()),
                };
            }
            Trigger::Interval(interval) => {
                self.add(Key::Interval, duration(interval.every()));
                (interval.start_date(), interval.end())
            }
            Trigger::After(after) => {
                self.keys.push((Key::After, when::after(after)));
                return;
            }
            Trigger::FromEnd(from_end) => {
                self.keys.push((Key::Interval, Typed::Pairs(when::from_end(from_end))));
                (from_end.start_date(), from_end.end())
            }
            Trigger::Combined(combined) => {
                let (key, parts, lost) = when::combined(combined, &job.zone);
                self.lost.extend(lost);
                return self.add(key, parts);
            }
            Trigger::Calendar(calendar) => {
                self.keys.push((Key::Interval, Typed::Pairs(when::calendar(calendar.step()))));
                (calendar.start_date(), calendar.end())
            }
            Trigger::Cron(cron) => {
                let (schedules, lost) = when::schedules(cron);
                self.keys.push((Key::Cron, schedules));
                self.lost.extend(lost.map(str::to_owned));
                (cron.start(), cron.end())
            }
        };
        for (key, at) in [(Key::StartDate, start), (Key::EndDate, end)] {
            if let Some(at) = at {
                self.add(key, moment(at));
            }
        }
    }
}

fn options(options: &Options, secrets: Secrets) -> Vec<(Key, Value)> {
    let default = Options::default();
    let mut keys = Vec::new();
    let mut add = |key, differs: bool, value: Value| {
        if differs {
            keys.push((key, value));
        }
    };
    let text = |text: &Option<Box<str>>| text.as_deref().map_or(Value::Null, Value::from);
    let limit = |span: Option<Duration>| span.map_or(Value::Null, duration);
    let o = options;
    let list = |windows: &Windows| windows.texts().map(Value::from).collect::<Value>();
    add(Key::Except, !o.excluded.except.is_empty(), list(&o.excluded.except));
    add(Key::Only, !o.excluded.only.is_empty(), list(&o.excluded.only));
    let only_if = o.only_if.as_deref().map_or(Value::Null, conditions);
    add(Key::OnlyIf, o.only_if.is_some(), only_if);
    add(Key::WaitFor, !o.wait_for.is_zero(), duration(o.wait_for));
    add(Key::Jitter, o.jitter != default.jitter, duration(o.jitter));
    add(Key::Spread, o.spread.most != default.spread.most, duration(o.spread.most));
    add(Key::RunOnStart, o.run_on_start, o.run_on_start.into());
    add(Key::Paused, o.paused, o.paused.into());
    let grace = match o.misfire_grace_time {
        Grace::Limited(span) => duration(span),
        Grace::Forever => "forever".into(),
    };
    add(Key::MisfireGraceTime, o.misfire_grace_time != default.misfire_grace_time, grace);
    add(Key::Coalesce, o.coalesce != default.coalesce, o.coalesce.word().into());
    add(Key::MaxInstances, o.max_instances != default.max_instances, o.max_instances.into());
    add(Key::Overlap, o.overlap != default.overlap, o.overlap.word().into());
    let run_on = match &o.run_on {
        RunOn::One => "one".into(),
        RunOn::All => "all".into(),
        RunOn::Labels(labels) => strings(labels),
    };
    add(Key::RunOn, o.run_on != default.run_on, run_on);
    add(Key::OnLost, o.on_lost != default.on_lost, o.on_lost.word().into());
    add(Key::OnlyOn, !o.only_on.is_empty(), strings(&o.only_on));
    add(Key::Tags, !o.tags.is_empty(), strings(&o.tags));
    add(Key::MaxWait, o.max_wait.is_some(), limit(o.max_wait));
    add(Key::PauseAfter, o.pause_after.is_some(), o.pause_after.map_or(0, NonZero::get).into());
    add(Key::Expect, o.expect.is_some(), limit(o.expect));
    add(Key::WarnAfter, o.warn_after.is_some(), limit(o.warn_after));
    add(Key::Notify, !o.notify.is_empty(), strings(&o.notify));
    let ping = o.ping.as_ref().map_or(Value::Null, |ping| notify::monitor(ping, secrets));
    add(Key::Ping, o.ping.is_some(), ping);
    add(Key::Timeout, o.timeout.is_some(), limit(o.timeout));
    add(Key::KillAfter, o.kill_after != default.kill_after, duration(o.kill_after));
    add(Key::Retries, o.retries != default.retries, o.retries.into());
    add(Key::RetryDelay, o.retry_delay != default.retry_delay, duration(o.retry_delay));
    add(Key::RetryBackoff, o.retry_backoff != default.retry_backoff, o.retry_backoff.into());
    let max_delay = duration(o.retry_max_delay);
    add(Key::RetryMaxDelay, o.retry_max_delay != default.retry_max_delay, max_delay);
    let codes: Value = o.success_codes.iter().copied().collect();
    add(Key::SuccessCodes, o.success_codes != default.success_codes, codes);
    let shell = match &*o.shell {
        // A string with a space in it is taken for a mistake.
        [only] if !only.contains(char::is_whitespace) => (**only).into(),
        words => strings(words),
    };
    add(Key::Shell, o.shell != default.shell, shell);
    add(Key::Cwd, o.cwd.is_some(), text(&o.cwd));
    let env = env(o, secrets);
    add(Key::Env, !env.is_empty(), Value::Object(env));
    add(Key::EnvFile, o.env_file.is_some(), text(&o.env_file));
    add(Key::ClearEnv, o.clear_env, o.clear_env.into());
    add(Key::User, o.user.is_some(), text(&o.user));
    add(Key::Group, o.group.is_some(), text(&o.group));
    add(Key::Umask, o.umask.is_some(), format!("{:03o}", o.umask.unwrap_or(0)).into());
    add(Key::Nice, o.nice.is_some(), o.nice.unwrap_or(0).into());
    let limits = o.limits.as_deref().map_or(Value::Null, limits);
    add(Key::Limits, o.limits.is_some(), limits);
    let stdin = match secrets {
        Secrets::Written => text(&o.stdin),
        Secrets::Masked => MASKED.into(),
    };
    add(Key::Stdin, o.stdin.is_some(), stdin);
    add(Key::Output, o.output != default.output, o.output.word().into());
    let keep = o.keep_output.unwrap_or_default();
    add(Key::KeepOutput, o.keep_output.is_some(), size::written(keep.into()).into());
    for (kind, hook) in &o.hooks {
        if let Some(key) = Key::of(kind.option()) {
            add(key, true, self::hook(hook));
        }
    }
    add(Key::HookTimeout, o.hook_timeout != default.hook_timeout, duration(o.hook_timeout));
    keys
}

/// The variables, as far as they can be said.
fn env(options: &Options, secrets: Secrets) -> Map<String, Value> {
    let mut env = Map::new();
    for (name, value) in &options.env {
        let value = if secrets == Secrets::Masked { MASKED } else { value };
        env.insert(name.to_string(), value.into());
    }
    for (name, path) in &options.secrets {
        let file: Map<String, Value> = sort::collect([("file".to_owned(), (**path).into())]);
        env.insert(name.to_string(), Value::Object(file));
    }
    for (name, joined) in &options.joined {
        let value = match env.get(&**name) {
            // A value of `[defaults]` and what the job puts around it are one.
            Some(Value::String(_)) if secrets == Secrets::Written => {
                let value = options.env.get(name).map_or("", |value| value);
                String::from_utf8_lossy(&joined.around(value.as_bytes())).into_owned().into()
            }
            // What is put around a secret cannot be said, which `keys` tells.
            Some(_) => continue,
            None => {
                let parts = [("prepend", &joined.before), ("append", &joined.after)];
                let parts = parts.into_iter().filter_map(|(key, part)| {
                    let part = part.as_deref()?;
                    let part = if secrets == Secrets::Masked { MASKED } else { part };
                    Some((key.to_owned(), Value::from(part)))
                });
                Value::Object(parts.collect())
            }
        };
        env.insert(name.to_string(), value);
    }
    env
}

/// The table of conditions, in the order of its keys.
pub(crate) fn conditions(conditions: &Conditions) -> Value {
    let Conditions { path, load_below, disk_free, ac_power, command: run } = conditions;
    let disk = disk_free.as_ref().map(|disk| {
        let above = size::written(disk.above);
        json!({ "path": disk.path, "above": above })
    });
    let values = [
        match &**path {
            [] => None,
            [one] => Some(Value::from(&**one)),
            several => Some(strings(several)),
        },
        load_below.map(Value::from),
        disk,
        ac_power.map(Value::from),
        run.as_ref().map(command),
    ];
    let keys = condition::KEYS.iter();
    let table = keys.zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
    Value::Object(sort::collect(table))
}

/// The table of limits, in the order of its keys.
pub(crate) fn limits(limits: &Limits) -> Value {
    let Limits {
        open_files,
        core,
        file_size,
        processes,
        cpu_time,
        memory,
        swap,
        cpu,
        tasks,
        required,
    } = limits;
    let number = |number: Option<u64>| number.map(Value::from);
    let bytes = |bytes: &Option<u64>| bytes.map(|bytes| Value::from(size::written(bytes)));
    let cpu = cpu.map(|cpu| match cpu.is_multiple_of(1000) {
        true => Value::from(cpu / 1000),
        false => Value::from(f64::from(cpu) / 1000.0),
    });
    let values = [
        number(*open_files),
        bytes(core),
        bytes(file_size),
        number(*processes),
        cpu_time.map(duration),
        bytes(memory),
        bytes(swap),
        cpu,
        number(*tasks),
        (!required).then(|| false.into()),
    ];
    let table =
        KEYS.iter().zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
    Value::Object(sort::collect(table))
}

/// A hook: the shortest way to write it.
pub(crate) fn hook(hook: &JobHook) -> Value {
    let command = command(&hook.command);
    if *hook == JobHook::of(hook.command.clone()) {
        return command;
    }
    let mut table = Map::new();
    table.insert("command".to_owned(), command);
    if hook.once {
        table.insert("once".to_owned(), true.into());
    }
    if hook.retries > 0 {
        table.insert("retries".to_owned(), hook.retries.into());
    }
    Value::Object(table)
}

fn command(command: &Command) -> Value {
    match command {
        Command::Shell(line) => (**line).into(),
        Command::Argv(words) => strings(words),
    }
}

fn strings(words: &[Box<str>]) -> Value {
    words.iter().map(|word| Value::from(&**word)).collect()
}

fn duration(span: Duration) -> Value {
    when::duration(span).into()
}

impl Typed {
    fn toml(&self) -> String {
        match self {
            Typed::Json(value) => toml(value),
            Typed::Fields(fields) => when::toml(fields),
            Typed::Pairs(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
                format!("{{ {} }}", pairs.collect::<Vec<String>>().join(", "))
            }
        }
    }

    fn json(self) -> Value {
        match self {
            Typed::Json(value) => value,
            Typed::Fields(fields) => when::json(&fields),
            Typed::Pairs(pairs) => {
                let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value));
                Value::Object(sort::collect(pairs))
            }
        }
    }
}

/// A value as TOML, on one line.
pub(crate) fn toml(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(toml).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(table) => {
            let entries: Vec<String> = table
                .iter()
                .map(|(name, value)| format!("{} = {}", key(name), toml(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        // Numbers and booleans look alike in both; TOML has no null, and there is none.
        other => other.to_string(),
    }
}

/// A key, quoted where it has to be.
pub(crate) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { string(name) }
}

/// A basic string.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if crate::problem::is_hidden(c) => {
                let c = u32::from(c);
                let _ = match c {
                    0..0x1_0000 => write!(out, "\\u{c:04X}"),
                    _ => write!(out, "\\U{c:08X}"),
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
