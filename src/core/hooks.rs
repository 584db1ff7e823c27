//! Which hooks of a job are called, and what each is told.
//!
//! Pure: the loop shows each [`Action`] to [`hear`], which answers with [`Call`]s; it has
//! `crate::run::hook` run them. How many runs of a job have failed in a row is known by `super::streak`.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Action, Notice, Record, RunId};
use super::instant::Instant;
use super::job::{HookKind, Job, JobHook};
use super::outcome::Outcome;
use super::streak::Streak;
use super::words;

/// A hook that is to be called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// What for.
    pub(crate) kind: HookKind,
    /// The job, as it is defined now.
    pub(crate) job: Arc<Job>,
    /// The run, when there was one.
    pub(crate) run: Option<RunId>,
    /// What has happened.
    pub(crate) facts: Facts,
}

/// What a hook is told beside its job and run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// The due time, or the first of several.
    pub(crate) due: Instant,
    /// How many due times share their fate, and the last of them; for what never ran.
    pub(crate) several: Option<(u64, Instant)>,
    /// What has become of it.
    pub(crate) outcome: Option<Outcome>,
    /// The number of its attempt, or of the last one.
    pub(crate) attempt: Option<u32>,
    /// When its first attempt started.
    pub(crate) started: Option<Instant>,
    /// When the last one ended.
    pub(crate) ended: Option<Instant>,
    /// How many runs have failed in a row, with or before this one.
    pub(crate) streak: Option<u32>,
}

/// The list of a store with the last failure of each hook: by job and hook.
pub(crate) const FAILED_HOOKS: &str = "hooks.failed";

/// A hook that has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FailedHook {
    /// The run that it was called for, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<u64>,
    /// The due time, or the first of several, in microseconds since 1970.
    pub(crate) due: i64,
    /// How it failed: `exited with 1: no such address`.
    pub(crate) how: String,
}

/// The name of an entry of [`FAILED_HOOKS`].
pub(crate) fn failed_key(job: &str, hook: HookKind) -> Box<str> {
    format!("{job}\n{}", hook.option()).into()
}

/// The job of such a name.
pub(crate) fn job_of_key(key: &str) -> &str {
    key.rsplit_once('\n').map_or(key, |(job, _)| job)
}

/// Which hooks of a run, or of what never ran, have failed, each in a sentence.
pub(crate) fn failed_of<'a>(
    (job, run, due): (&str, Option<RunId>, Instant),
    entries: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    let sentence = |(key, text): (&str, &str)| {
        let (_, hook) = key.rsplit_once('\n').filter(|(of, _)| *of == job)?;
        let failed: FailedHook = serde_json::from_str(text).ok()?;
        let is_it = failed.run == run.map(|run| run.0) && failed.due == due.micros();
        is_it.then(|| format!("{hook} {}", failed.how))
    };
    entries.filter_map(sentence).collect()
}

/// What has been decided, or has happened, at this time. Hooks are those of the `current` definition of a
/// job; one that has been removed has those it had. `streak`: how many of its runs have failed in a row,
/// with or before this one.
pub(crate) fn hear(
    action: &Action,
    now: Instant,
    streak: Streak,
    current: impl Fn(&str) -> Option<Arc<Job>>,
) -> Vec<Call> {
    match action {
        Action::Record(record) => {
            let kinds = kinds_of(&record.outcome, streak);
            calls(&kinds, &record.job, record.run, || facts_of(record), current)
        }
        Action::Notice(Notice::Started { run, attempt: 1, job, due, lag, .. }) => {
            let (due, started) = (*due, Some(due.plus(*lag)));
            let facts = || Facts { due, started, attempt: Some(1), ..Facts::default() };
            calls(&[(HookKind::Start, None)], job, Some(*run), facts, current)
        }
        Action::Notice(Notice::Retrying { run, job, due, started, outcome, attempt, .. }) => {
            let facts = || Facts {
                due: *due,
                outcome: Some(outcome.clone()),
                attempt: Some(attempt.saturating_sub(1)),
                started: *started,
                ended: started.map(|_| now),
                ..Facts::default()
            };
            calls(&[(HookKind::Retry, None)], job, Some(*run), facts, current)
        }
        _ => Vec::new(),
    }
}

/// What a fate is a reason for, each with how many runs have failed in a row.
fn kinds_of(outcome: &Outcome, streak: Streak) -> Vec<(HookKind, Option<u32>)> {
    let runs = Some(streak.runs).filter(|runs| *runs > 0);
    match outcome {
        Outcome::Succeeded => {
            let recovered = runs.map(|_| (HookKind::Recovered, runs));
            [(HookKind::Success, None)].into_iter().chain(recovered).collect()
        }
        outcome if outcome.is_failed_run() => vec![(HookKind::Failure, runs)],
        Outcome::Missed(_) => vec![(HookKind::Missed, None)],
        Outcome::Skipped(_) => vec![(HookKind::Skipped, None)],
        // Another due time stands for it.
        _ => Vec::new(),
    }
}

fn calls(
    kinds: &[(HookKind, Option<u32>)],
    job: &Arc<Job>,
    run: Option<RunId>,
    facts: impl Fn() -> Facts,
    current: impl Fn(&str) -> Option<Arc<Job>>,
) -> Vec<Call> {
    if kinds.is_empty() {
        return Vec::new();
    }
    let job = current(&job.id).unwrap_or_else(|| Arc::clone(job));
    let has = |(kind, streak): &&(HookKind, Option<u32>)| {
        let is_first = streak.is_none_or(|runs| runs <= 1);
        job.options.hooks.get(kind).is_some_and(|hook| !hook.once || is_first)
    };
    let call = |(kind, streak): &(HookKind, Option<u32>)| Call {
        kind: *kind,
        job: Arc::clone(&job),
        run,
        facts: Facts { streak: *streak, ..facts() },
    };
    kinds.iter().filter(has).map(call).collect()
}

/// What there is to say of a record.
pub(crate) fn facts_of(record: &Record) -> Facts {
    let never_ran = matches!(record.outcome, Outcome::Missed(_) | Outcome::Skipped(_));
    Facts {
        due: record.due,
        several: never_ran.then_some((record.count, record.last_due)),
        outcome: Some(record.outcome.clone()),
        attempt: (record.attempts > 0).then_some(record.attempts),
        started: record.started,
        ended: record.started.map(|started| started.plus(record.duration)),
        streak: None,
    }
}

impl Call {
    /// What is executed, and how often.
    pub(crate) fn hook(&self) -> Option<&JobHook> {
        self.job.options.hooks.get(&self.kind)
    }

    /// Whether an attempt is over, so that there may be something that it has printed.
    pub(crate) fn has_output(&self) -> bool {
        match self.kind {
            HookKind::Retry | HookKind::Success | HookKind::Failure | HookKind::Recovered => {
                self.run.is_some()
            }
            HookKind::Start | HookKind::Missed | HookKind::Skipped => false,
        }
    }

    /// What is said in its environment; of what does not apply, nothing. `host` is what people call
    /// this one.
    pub(crate) fn variables(&self, host: &str) -> Vec<(&'static str, String)> {
        let (zone, facts) = (&self.job.zone, &self.facts);
        let time = |at: Instant| words::rfc3339(at, zone);
        let outcome = facts.outcome.as_ref();
        let took = facts.ended.zip(facts.started).map(|(ended, started)| ended.since(started));
        let attempts = self.job.options.retries.saturating_add(1);
        let all = [
            ("SCHEDRS_JOB", Some(self.job.id.to_string())),
            ("SCHEDRS_HOST", Some(host.to_owned())),
            ("SCHEDRS_RUN", self.run.map(|run| run.to_string())),
            ("SCHEDRS_DUE", Some(time(facts.due))),
            ("SCHEDRS_OUTCOME", outcome.map(|outcome| outcome.word().to_owned())),
            ("SCHEDRS_REASON", outcome.and_then(Outcome::reason).map(str::to_owned)),
            ("SCHEDRS_EXIT", outcome.and_then(Outcome::exit).map(|code| code.to_string())),
            ("SCHEDRS_SIGNAL", outcome.and_then(Outcome::signal).map(|signal| signal.to_string())),
            ("SCHEDRS_ATTEMPT", facts.attempt.map(|attempt| attempt.to_string())),
            ("SCHEDRS_ATTEMPTS", facts.attempt.map(|attempt| attempts.max(attempt).to_string())),
            ("SCHEDRS_STARTED", facts.started.map(time)),
            ("SCHEDRS_ENDED", facts.ended.map(time)),
            ("SCHEDRS_DURATION", took.as_ref().map(Duration::as_secs).map(|secs| secs.to_string())),
            ("SCHEDRS_STREAK", facts.streak.map(|streak| streak.to_string())),
            ("SCHEDRS_COUNT", facts.several.map(|(count, _)| count.to_string())),
            ("SCHEDRS_FROM", facts.several.map(|_| time(facts.due))),
            ("SCHEDRS_TO", facts.several.map(|(_, last)| time(last))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// The variables that hooks are told of, by what they are called there and what a placeholder for them would
/// be: `{job}`.
pub(crate) fn variable_of(placeholder: &str) -> Option<String> {
    const NAMES: [&str; 18] = [
        "job", "host", "run", "due", "outcome", "reason", "exit", "signal", "attempt", "attempts",
        "started", "ended", "duration", "streak", "count", "from", "to", "hook",
    ];
    let name = placeholder.strip_prefix('{')?.strip_suffix('}')?.trim();
    let name = name.strip_prefix("SCHEDRS_").unwrap_or(name).to_ascii_lowercase();
    NAMES.contains(&&*name).then(|| format!("SCHEDRS_{}", name.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests;
