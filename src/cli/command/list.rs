//! `schedrs list`: the jobs of a running schedrs, and how they stand.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::request::{self, Connection, Output, Times};
use super::selection::Selection;
use super::{named, top};
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::control::client::Client;
use crate::control::wire::view::{JobLine, StatusView};
use crate::core::nearest::nearest;
use crate::core::sort;
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem::clean;

/// List jobs with their state, last run and next due time
///
/// One row per job: first the jobfile's, in its order, then those added at run time. Times are in
/// each job's time zone. If they are all in this machine's, it is named below the table.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
States: running; waiting (for a slot, for another run or for a retry); paused; overdue (no \
success for longer than `expect`); scheduled; finished (no more due times).

Examples:
  schedrs list
  schedrs list --failed --sort failed
  schedrs list 'backup-*' --state paused
  schedrs list --tag eu
  schedrs list --executor reports
  schedrs list --watch
  schedrs list --output json | jq -r 'select(.last.outcome == \"failed\") | .id'")]
pub(crate) struct Args {
    /// Only these jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,

    /// Only jobs with this tag; repeat for more
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Only jobs of this executor; repeat for more
    #[arg(long = "executor", value_name = "NAME")]
    executors: Vec<String>,

    /// Only jobs in this state; repeat for more
    #[arg(long = "state", value_name = "STATE", value_enum)]
    states: Vec<State>,

    /// Show only jobs whose last run failed and jobs that are overdue
    #[arg(long)]
    failed: bool,

    /// Sort the jobs [default: as in the jobfile]
    #[arg(long, value_name = "ORDER", value_enum)]
    sort: Option<Sort>,

    /// Show at most N jobs
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// Show it full-screen, with keys to start and pause jobs: `schedrs top`
    #[arg(long, conflicts_with = "output")]
    watch: bool,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum State {
    Running,
    Waiting,
    Paused,
    Scheduled,
    Overdue,
    Finished,
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// What failed last first, then what is overdue, then the others
    Failed,
    /// What is due next first
    Next,
    /// What took longest the last time first
    Duration,
    /// By id
    Name,
}

impl Sort {
    /// Puts jobs in this order; `line` finds how each stands.
    pub(super) fn sort<T>(self, jobs: &mut Vec<T>, line: impl Fn(&T) -> &JobLine) {
        if self == Sort::Name {
            return sort::by(jobs, |a, b| line(a).id.cmp(&line(b).id));
        }
        // Times are read once for each job, not for each comparison.
        let taken = std::mem::take(jobs).into_iter();
        let mut keyed: Vec<_> = taken.map(|job| (self.key(line(&job)), job)).collect();
        sort::by_key(&mut keyed, |(key, _)| *key);
        jobs.extend(keyed.into_iter().map(|(_, job)| job));
    }

    /// What comes first is least.
    fn key(self, job: &JobLine) -> (i64, bool) {
        let time = |time: Option<&String>| Some(request::instant(time?)?.micros());
        let last = job.last.as_ref();
        match self {
            Sort::Failed => {
                let last = last.filter(|_| job.has_failed());
                let ended = last.and_then(|last| time(last.ended.as_ref().or(Some(&last.due))));
                (ended.map_or(i64::MAX, |ended| -ended), job.overdue_since.is_none())
            }
            Sort::Next => (time(job.next.as_ref()).unwrap_or(i64::MAX), false),
            Sort::Duration => {
                let took = last.and_then(|last| i64::try_from(last.duration_ms?).ok());
                (took.map_or(i64::MAX, |took| -took), false)
            }
            Sort::Name => (0, false),
        }
    }
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Waiting => "waiting",
            State::Paused => "paused",
            State::Scheduled => "scheduled",
            State::Overdue => "overdue",
            State::Finished => "finished",
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let named = named::jobs(&args.jobs, args.connection.jobfile(), context)?;
    let chosen = Chosen::new(args, &named.jobs)?;
    let jobfile = named.jobfile.as_ref();
    let typed = args.connection.typed_for(jobfile);
    if args.watch {
        return top::watch(&|| args.connection.connect_to(jobfile), &typed, &chosen, context);
    }
    let mut client = args.connection.connect_to(jobfile)?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    let found = jobs(&mut client, &chosen)?;
    let elsewhere = match (args.connection.output, chosen.is_all()) {
        (Output::Text, true) => {
            let status = client.ask(&json!({ "do": "status" })).map_err(request::told)?;
            request::read::<StatusView>(status)?.elsewhere
        }
        _ => Vec::new(),
    };
    let jobs = &found.jobs;
    if let Some(mistyped) = found.mistyped {
        return Err(mistyped);
    }
    match args.connection.output {
        Output::Json => {
            for (_, job) in jobs {
                writeln!(out, "{}", crate::problem::json(job)?)?;
            }
        }
        Output::Text => {
            let lines: Vec<&JobLine> = jobs.iter().map(|(job, _)| job).collect();
            let (table, width) = (table(&lines, found.hosts, context), terminal_width());
            table.write(&mut out, width)?;
            out.flush()?;
            if let Some(zone) = zone_beside(&lines, &table, width, context) {
                anstream::eprintln!("zone: {zone}");
            }
        }
    }
    if !elsewhere.is_empty() {
        out.flush()?;
        crate::cli::say(&request::not_here(&elsewhere));
    }
    out.flush()?;
    let is_for_people = args.connection.output == Output::Text;
    if is_for_people && found.is_past_unknown {
        crate::cli::say(&format!("schedrs: {PAST_UNKNOWN}"));
    }
    if let Some(edited) = found.edited(context, &typed).filter(|_| is_for_people) {
        crate::cli::say(&format!("schedrs: {edited}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Which jobs are wanted.
#[derive(Debug)]
pub(super) struct Chosen {
    selection: Selection,
    executors: Vec<String>,
    states: Vec<&'static str>,
    failed: bool,
    sort: Option<Sort>,
    count: usize,
}

impl Chosen {
    fn new(args: &Args, jobs: &[String]) -> anyhow::Result<Chosen> {
        let tags = args.tags.iter().map(|tag| format!("tag:{tag}"));
        let words: Vec<String> = jobs.iter().cloned().chain(tags).collect();
        Ok(Chosen {
            executors: args.executors.clone(),
            states: args.states.iter().map(|state| state.word()).collect(),
            failed: args.failed,
            sort: args.sort,
            count: args.count.map_or(usize::MAX, |count| count as usize),
            ..Chosen::like(&words)?
        })
    }

    /// All jobs that these words mean; all there are, if there are none.
    pub(super) fn like(words: &[String]) -> anyhow::Result<Chosen> {
        let selection = Selection::new(words)?;
        let (executors, states, count) = (Vec::new(), Vec::new(), usize::MAX);
        Ok(Chosen { selection, executors, states, failed: false, sort: None, count })
    }

    pub(super) fn has(&self, job: &JobLine) -> bool {
        (self.selection.is_empty() || self.selection.has(&job.id, &job.tags))
            && (self.executors.is_empty() || self.executors.contains(&job.executor))
            && (self.states.is_empty() || self.states.contains(&&*job.state))
            && (!self.failed || job.has_failed() || job.overdue_since.is_some())
    }

    /// Makes sure that some job has each of the executors.
    fn must_have_executors(&self, known: &BTreeSet<String>) -> anyhow::Result<()> {
        let Some(name) = self.executors.iter().find(|name| !known.contains(*name)) else {
            return Ok(());
        };
        let typed = clean(name);
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => {
                bail!("no job has the executor `{typed}`; did you mean `{}`?", clean(near))
            }
            None => bail!("no job has the executor `{typed}`"),
        }
    }

    /// Whether the first jobs of all are wanted.
    fn is_all(&self) -> bool {
        self.selection.is_empty()
            && self.executors.is_empty()
            && self.states.is_empty()
            && !self.failed
            && self.sort.is_none()
    }
}

/// What there is to show.
pub(super) struct Found {
    /// Jobs as types and as they came.
    pub(super) jobs: Vec<(JobLine, Value)>,
    /// How many hosts there are.
    pub(super) hosts: u64,
    /// That one of the words stands for no job, if one does.
    pub(super) mistyped: Option<anyhow::Error>,
    /// When the jobfile was loaded, if it has changed on disk since.
    changed_since: Option<String>,
    /// The store could not be read: of no job it is known how it has fared.
    pub(super) is_past_unknown: bool,
}

/// What is said where it is so.
pub(super) const PAST_UNKNOWN: &str = "the store cannot be read: what it knows is left out";

impl Found {
    /// That the jobfile has changed, if it has.
    pub(super) fn edited(&self, context: &Context, typed: &str) -> Option<String> {
        let (times, zone) = (Times::new(context), super::argument::local_zone(context));
        let edited = request::edited(self.changed_since.as_deref()?, &times, &zone, typed);
        Some(format!("the jobfile has {edited}"))
    }
}

/// The jobs that are wanted.
pub(super) fn jobs(client: &mut Client, chosen: &Chosen) -> anyhow::Result<Found> {
    let mut request = json!({ "do": "list" });
    if chosen.is_all() && chosen.count < usize::MAX {
        request["limit"] = chosen.count.into();
    }
    let mut found = Vec::new();
    // What there is, to tell whether each word stands for something.
    let mut known: Vec<(String, Vec<String>)> = Vec::new();
    let mut executors: BTreeSet<String> = BTreeSet::new();
    let is_checked = !chosen.selection.is_empty() || !chosen.executors.is_empty();
    let mut is_past_unknown = false;
    let (hosts, changed_since) = loop {
        let mut body = client.ask(&request).map_err(request::told)?;
        is_past_unknown |= body.contains_key("past_unknown");
        let more = body.remove("more");
        let hosts = request::number(&body, "hosts");
        let since = body.get("changed_since").and_then(Value::as_str);
        let changed_since = since.map(str::to_owned);
        if let Some(Value::Array(jobs)) = body.remove("jobs") {
            for value in jobs {
                let job: JobLine = match &value {
                    Value::Object(map) => request::read(map.clone())?,
                    _ => continue,
                };
                if is_checked {
                    known.push((job.id.clone(), job.tags.clone()));
                    executors.insert(job.executor.clone());
                }
                if chosen.has(&job) {
                    found.push((job, value));
                    let is_enough = found.len() >= chosen.count && chosen.sort.is_none();
                    if is_enough && !is_checked {
                        let mistyped = None;
                        return Ok(Found {
                            jobs: found,
                            hosts,
                            mistyped,
                            changed_since,
                            is_past_unknown,
                        });
                    }
                }
            }
        }
        match more {
            Some(more) => request["from"] = more,
            None => break (hosts, changed_since),
        }
    };
    if let Some(sort) = chosen.sort {
        sort.sort(&mut found, |(job, _)| job);
    }
    found.truncate(chosen.count);
    let known: Vec<(&str, &[String])> =
        known.iter().map(|(id, tags)| (id.as_str(), &tags[..])).collect();
    let mistyped = chosen.selection.must_all_stand(&known, "");
    let mistyped = mistyped.and_then(|()| chosen.must_have_executors(&executors)).err();
    Ok(Found { jobs: found, hosts, mistyped, changed_since, is_past_unknown })
}

/// The zone of all times, where no column names it.
fn zone_beside(
    jobs: &[&JobLine],
    table: &Table,
    width: Option<usize>,
    context: &Context,
) -> Option<String> {
    let first = jobs.first()?;
    let local = super::argument::local_zone(context);
    match are_here(jobs, &Times::new(context), &local) {
        true => Some(super::argument::of_machine(&local).unwrap_or_else(|| local.to_string())),
        false => table.leaves_out_the_same(width).then(|| clean(&first.timezone).into_owned()),
    }
}

/// Whether all of them go by the clocks of whoever looks.
fn are_here(jobs: &[&JobLine], times: &Times<'_>, local: &Zone) -> bool {
    let mut names: Vec<&str> = jobs.iter().map(|job| &*job.timezone).collect();
    names.dedup();
    names.iter().all(|name| times.zone(name).name() == local.name())
}

pub(super) fn table(jobs: &[&JobLine], hosts: u64, context: &Context) -> Table {
    let times = Times::new(context);
    let are_here = are_here(jobs, &times, &super::argument::local_zone(context));
    let heading = vec!["JOB", "STATE", "HOST", "LAST", "NEXT", "ZONE", "SCHEDULE", "REMARKS"];
    let mut table = Table::new(heading, 6).with_times(&[3, 4]).with_same(5);
    // One is not worth a column.
    let host = |job: &JobLine| match hosts {
        0 | 1 => String::new(),
        _ => job.host.as_deref().map_or_else(|| "-".to_owned(), |host| clean(host).into_owned()),
    };
    let mut zones = std::collections::HashMap::new();
    for job in jobs {
        let zone = zones.entry(job.timezone.as_str()).or_insert_with(|| times.zone(&job.timezone));
        let state = match job.running {
            2.. => format!("running ({})", job.running),
            _ => clean(&job.state).into_owned(),
        };
        let last = job.last.as_ref().map(|last| {
            let at = last.started.as_ref().unwrap_or(&last.due);
            format!("{} {}", last.mark(), times.cell(at, zone))
        });
        let next = job.next.as_ref().map(|next| times.cell(next, zone));
        let zone_name = match are_here {
            true => String::new(),
            false => clean(&job.timezone).into_owned(),
        };
        table.row(vec![
            clean(&job.id).into_owned(),
            state,
            host(job),
            last.unwrap_or_else(|| "-".to_owned()),
            next.unwrap_or_else(|| "-".to_owned()),
            zone_name,
            clean(&job.schedule).into_owned(),
            remarks(job, &times, zone),
        ]);
    }
    table
}

/// How many due times did not come to run since the last that did: `3 skipped since`.
pub(super) fn not_run(job: &JobLine) -> Option<String> {
    let counts = [(job.skipped_since, "skipped"), (job.missed_since, "missed")];
    let counts = counts.into_iter().filter_map(|(count, word)| Some((count?, word)));
    let counts = counts.filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let since = if job.last.is_some() { " since" } else { "" };
    (!counts.is_empty()).then(|| format!("{}{since}", counts.join(", ")))
}

/// What a run of it usually takes, where one takes longer.
pub(super) fn usually(job: &JobLine) -> String {
    let usual = job.usual_ms.map(|millis| words::elapsed(Duration::from_millis(millis)));
    usual.map_or(String::new(), |usual| format!(" (usually {usual})"))
}

/// What else there is to say of a job.
fn remarks(job: &JobLine, times: &Times<'_>, zone: &Zone) -> String {
    let mut remarks = Vec::new();
    if let Some(paused) = &job.paused {
        remarks.push(format!("paused{}", request::paused(paused, times, zone)));
    }
    if let Some(after) = &job.next_after {
        remarks.push(format!("due {}", clean(after)));
    }
    if let Some(since) = &job.overdue_since {
        remarks.push(format!("overdue since {}", times.moment(since, zone)));
    }
    if let Some(since) = &job.slow_since {
        remarks.push(format!("slow since {}{}", times.moment(since, zone), usually(job)));
    }
    for (word, what, usually) in job.unusual().remarks() {
        remarks.push(format!("{word}: {what} ({usually})"));
    }
    let last = job.last.as_ref().filter(|last| last.outcome != "succeeded");
    let last = last.map(|last| clean(&last.phrase()).into_owned());
    let last: Vec<String> = last.into_iter().chain(not_run(job)).collect();
    if !last.is_empty() {
        remarks.push(last.join(", "));
    }
    if job.waiting > 0 && job.running > 0 {
        remarks.push(format!("{} waiting", job.waiting));
    }
    if job.added {
        remarks.push("added".to_owned());
    }
    if job.overridden {
        remarks.push("changed".to_owned());
    }
    remarks.join("; ")
}
