//! `--explain`: what each job is, with where each of its values comes from.

use std::io::{self, Write};
use std::time::Duration;

use crate::core::calendar::Windows;
use crate::core::fleet::{OnLost, RunOn};
use crate::core::instant::Instant;
use crate::core::job::{Command, Grace, Job, JobSet, Options};
use crate::core::notify::url::Url;
use crate::core::notify::{Monitor, Secret};
use crate::core::preview::chain;
use crate::core::size;
use crate::core::sort;
use crate::core::words;
use crate::jobfile::keys::Key;
use crate::jobfile::write;
use crate::jobfile::{Loaded, Origins};
use crate::problem::{Place, Sources, clean};

/// Prints every job of a load that has no errors.
pub(super) fn jobs(out: &mut dyn Write, loaded: &Loaded, now: Instant) -> io::Result<()> {
    let (Some(set), Some(origins)) = (&loaded.set, &loaded.origins) else { return Ok(()) };
    for (job, keys) in set.jobs.iter().zip(&origins.jobs) {
        writeln!(out, "[jobs.{}]", clean(&job.id))?;
        row(out, "schedule", &words::trigger(&job.trigger, &job.zone), "")?;
        row(out, "next due", &next_due(job, set, now), "")?;
        for option in options(set, job, keys, origins, &loaded.sources) {
            row(out, option.key.name(), &option.value, &option.origin)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A key of a job: its value, and where that stands.
pub(in crate::cli::command) struct Explained {
    pub(in crate::cli::command) key: Key,
    pub(in crate::cli::command) value: String,
    pub(in crate::cli::command) origin: String,
}

/// All keys that concern a job. `keys`: those that it says itself.
pub(in crate::cli::command) fn options(
    set: &JobSet,
    job: &Job,
    keys: &[(Key, Place)],
    origins: &Origins,
    sources: &Sources,
) -> Vec<Explained> {
    let find = |list: &[(Key, Place)], key| {
        list.iter().find(|(known, _)| *known == key).map(|(_, place)| *place)
    };
    let of_key = |key: &Key| {
        let value = value(*key, job, set, keys)?;
        let here = find(keys, *key);
        let default = find(&origins.defaults, *key);
        let scheduler = origins.scheduler_timezone;
        let origin = match (here, default) {
            // Both: the variables of the job stand over those of `[defaults]`.
            (Some(here), Some(default)) if *key == Key::Env => {
                let defaults = line(default, sources);
                format!("{} and [defaults] {defaults}", line(here, sources))
            }
            (Some(here), _) => line(here, sources),
            (None, Some(default)) => format!("[defaults] {}", line(default, sources)),
            (None, None) => match (key, scheduler) {
                (Key::Timezone, Some(place)) => format!("[scheduler] {}", line(place, sources)),
                (Key::Timezone, None) => "the system".to_owned(),
                _ => "built in".to_owned(),
            },
        };
        Some(Explained { key: *key, value, origin })
    };
    Key::ALL.iter().filter_map(of_key).collect()
}

fn row(out: &mut dyn Write, name: &str, value: &str, origin: &str) -> io::Result<()> {
    let value = clean(value);
    match origin {
        "" => writeln!(out, "  {name:<20} {value}"),
        origin => writeln!(out, "  {name:<20} {value:<40} # {origin}"),
    }
}

/// `line 12`, with the file's name where there are several.
fn line(place: Place, sources: &Sources) -> String {
    let (Some(source), Some(span)) = (sources.get(place.file), place.span) else {
        return String::new();
    };
    let line = source.line_of(span.start);
    match sources.iter().len() {
        1 => format!("line {line}"),
        _ => format!("{} line {line}", clean(&source.name)),
    }
}

fn next_due(job: &Job, set: &JobSet, now: Instant) -> String {
    if job.options.paused {
        return "paused".to_owned();
    }
    let find = |id: &str| set.jobs.iter().find(|job| *job.id == *id).map(|job| &**job);
    if let Some(chain) = chain(job, now, &find) {
        return chain;
    }
    let trigger = job.trigger.anchored(now);
    // What is due at this very moment counts, such as `date = "now"`.
    match job.next_kept(&trigger, now.just_before()) {
        Some(due) => moment(due, job),
        None => "never".to_owned(),
    }
}

/// An instant on the job's clocks.
fn moment(at: Instant, job: &Job) -> String {
    let offset = job.zone.offset_at(at);
    let wall = chrono::DateTime::from_timestamp(job.zone.wall_of(at), 0);
    let wall = wall.map(|wall| wall.format("%a %Y-%m-%d %H:%M:%S").to_string());
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
    format!("{} {sign}{:02}:{:02}", wall.unwrap_or_default(), minutes / 60, minutes % 60)
}

/// The value of a key; `None` where the key does not concern the job.
fn value(key: Key, job: &Job, set: &JobSet, keys: &[(Key, Place)]) -> Option<String> {
    let options = &job.options;
    let optional = |text: Option<String>| text.unwrap_or_else(|| "not set".to_owned());
    let duration = |span: Duration| {
        if span.is_zero() { "0s".to_owned() } else { humantime::format_duration(span).to_string() }
    };
    let limit = |span: Option<Duration>| span.map_or_else(|| "none".to_owned(), duration);
    let text = |text: &Option<Box<str>>| optional(text.as_deref().map(quoted));
    let list = |parts: &[Box<str>]| {
        let parts: Vec<String> = parts.iter().map(|part| quoted(part)).collect();
        format!("[{}]", parts.join(", "))
    };
    let command = |command: &Command| match command {
        Command::Shell(line) => quoted(line),
        Command::Argv(words) => list(words),
    };
    Some(match key {
        Key::Name => text(&job.name),
        Key::Command => command(&job.command),
        // In words above; here is only where it stands.
        Key::Cron | Key::Interval | Key::Date | Key::Any | Key::All | Key::After => {
            keys.iter().find(|(known, _)| *known == key)?;
            "as above".to_owned()
        }
        Key::Timezone => job.zone.to_string(),
        Key::StartDate => job.trigger.start_date().map(|at| moment(at, job))?,
        Key::EndDate => job.trigger.end_date().map(|at| moment(at, job))?,
        Key::Except => windows(&options.excluded.except),
        Key::Only => windows(&options.excluded.only),
        Key::OnlyIf => {
            optional(options.only_if.as_deref().map(|it| write::toml(&write::conditions(it))))
        }
        Key::WaitFor => duration(options.wait_for),
        Key::Jitter => duration(options.jitter),
        Key::Spread if options.spread.most.is_zero() => duration(options.spread.most),
        Key::Spread => format!(
            "{}, here {} for this job on this machine",
            duration(options.spread.most),
            duration(options.spread.of(&job.id))
        ),
        Key::RunOnStart => options.run_on_start.to_string(),
        Key::Paused => options.paused.to_string(),
        Key::MisfireGraceTime => match options.misfire_grace_time {
            Grace::Limited(span) => duration(span),
            Grace::Forever => "forever".to_owned(),
        },
        Key::Coalesce => options.coalesce.word().to_owned(),
        Key::MaxInstances => options.max_instances.to_string(),
        Key::Overlap => options.overlap.word().to_owned(),
        Key::RunOn => match &options.run_on {
            RunOn::One => "one".to_owned(),
            RunOn::All => "all".to_owned(),
            RunOn::Labels(labels) => list(labels),
        },
        Key::OnLost => match options.on_lost {
            OnLost::Leave => options.on_lost.word().to_owned(),
            // What outlives its scheduler would run beside itself.
            OnLost::RunAgain => {
                "run_again (its processes must end with their scheduler)".to_owned()
            }
        },
        Key::OnlyOn => list(&options.only_on),
        Key::Tags => list(&options.tags),
        Key::Notify => list(&options.notify),
        Key::Ping => optional(options.ping.as_ref().map(|it| monitor(it))),
        Key::Executor => {
            let executor = set.executors.get(usize::from(job.executor))?;
            let starts = executor.max_starts_per_second;
            let starts = starts.map(|most| format!(", max_starts_per_second {most}"));
            let starts = starts.unwrap_or_default();
            format!("{} (max_workers {}{starts})", executor.name, executor.max_workers)
        }
        Key::MaxWait => limit(options.max_wait),
        Key::PauseAfter => optional(options.pause_after.map(|most| most.to_string())),
        Key::Expect => limit(options.expect),
        Key::WarnAfter => limit(options.warn_after),
        Key::Timeout => limit(options.timeout),
        Key::KillAfter => duration(options.kill_after),
        Key::Retries => options.retries.to_string(),
        Key::RetryDelay => duration(options.retry_delay),
        Key::RetryBackoff => options.retry_backoff.to_string(),
        Key::RetryMaxDelay => duration(options.retry_max_delay),
        Key::SuccessCodes => format!("{:?}", options.success_codes),
        Key::Shell => list(&options.shell),
        Key::Cwd => text(&options.cwd),
        Key::Env => env(options),
        Key::EnvFile => text(&options.env_file),
        Key::ClearEnv => options.clear_env.to_string(),
        Key::User => text(&options.user),
        Key::Group => text(&options.group),
        Key::Umask => optional(options.umask.map(|mask| format!("{mask:03o}"))),
        Key::Nice => optional(options.nice.map(|nice| nice.to_string())),
        Key::Limits => {
            optional(options.limits.as_deref().map(|it| write::toml(&write::limits(it))))
        }
        Key::Stdin => text(&options.stdin),
        Key::Output => options.output.word().to_owned(),
        Key::KeepOutput => optional(options.keep_output.map(|keep| size::written(keep.into()))),
        Key::OnStart
        | Key::OnRetry
        | Key::OnSuccess
        | Key::OnFailure
        | Key::OnRecovered
        | Key::OnMissed
        | Key::OnSkipped => {
            optional(options.hooks.get(&key.hook()?).map(|it| write::toml(&write::hook(it))))
        }
        Key::HookTimeout => duration(options.hook_timeout),
    })
}

/// The variables that it adds or changes, in the order of their names.
fn env(options: &Options) -> String {
    let texts = options.env.iter();
    let texts = texts.map(|(name, value)| (name, format!("{name} = {}", quoted(value))));
    let files = options.secrets.iter();
    let files = files.map(|(name, path)| (name, format!("{name} = {{ file = {} }}", quoted(path))));
    let joined = options.joined.iter().map(|(name, joined)| {
        let parts = [("prepend", &joined.before), ("append", &joined.after)];
        let parts = parts
            .iter()
            .filter_map(|(key, part)| Some(format!("{key} = {}", quoted(part.as_deref()?))));
        let parts: Vec<String> = parts.collect();
        (name, format!("{name} = {{ {} }}", parts.join(", ")))
    });
    let mut pairs: Vec<(&Box<str>, String)> = texts.chain(files).chain(joined).collect();
    sort::all(&mut pairs);
    let pairs: Vec<String> = pairs.into_iter().map(|(_, pair)| pair).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}

/// Days, windows and calendars.
fn windows(windows: &Windows) -> String {
    let texts: Vec<String> = windows.texts().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}

/// Who is pinged, without what is secret of it.
fn monitor(monitor: &Monitor) -> String {
    let place = match &monitor.url {
        Secret::Text(text) => {
            Url::http(text).map_or_else(|_| "***".to_owned(), |it| it.to_string())
        }
        Secret::File(path) => format!("the URL in {path}"),
        Secret::Env(name) => format!("the URL in ${name}"),
        Secret::Credential(name) => format!("the URL in the credential {name}"),
    };
    match monitor.kind {
        Some(kind) => format!("{} at {place}", kind.word()),
        None => place,
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
