//! `schedrs next`: when jobs are due, soonest first.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::paused::{self, PausedJobs};
use super::request::Times;
use super::{argument, expression, grid, history_source, named, request, time};
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::fleet::{Member, deploy, home};
use crate::core::instant::Instant;
use crate::core::job::{Job, RunOn};
use crate::core::preview::{PAUSED, Row, Window, chain, preview};
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::words;
use crate::core::zone::Zone;
use crate::sys::clock;

/// Show when jobs are due
///
/// Without -n: one row per job with its next due time, soonest first. With -n N: the next N due
/// times of each job, merged into one timeline; those that `except` or `only` exclude are struck through,
/// with `-` in IN. Intervals without `start_date` count from when the job
/// was first scheduled, if the store or the running scheduler knows; else from --from. They also know
/// which jobs are paused: REMARKS says so.
///
/// Times can be `now`, `17:30`, `tomorrow 09:00`, `mon`, `+2h30m`, `2026-12-01` or `2026-12-01
/// 09:00`, in the time zone shown. See TIMES in schedrs(1).
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The jobfile [default: $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml,
    /// /etc/schedrs/jobs.toml], or only these jobs of it
    #[arg(value_name = "FILE|JOB", conflicts_with = "cron")]
    words: Vec<String>,

    /// The jobfile
    #[arg(
        short = 'f',
        long = "file",
        alias = "jobfile",
        value_name = "FILE",
        conflicts_with = "cron"
    )]
    jobfile: Option<PathBuf>,

    /// Only this job, or jobs matching a pattern or a tag; repeat for more
    #[arg(long = "job", value_name = "ID")]
    jobs: Vec<String>,

    /// How many due times of each job to show
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// Show due times from here on, this moment included
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,

    /// Show due times up to here
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// Show times in UTC
    #[arg(long, conflicts_with = "timezone")]
    utc: bool,

    /// Show times in this time zone; with --cron, the zone of the schedule
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,

    /// Preview this cron expression instead of a jobfile
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    cron: Option<String>,

    /// Also show a job with this schedule: a cron expression, a duration or a time; repeat for more
    #[arg(long, value_name = "SCHEDULE", conflicts_with = "cron", allow_hyphen_values = true)]
    add: Vec<String>,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table, fitted to the terminal
    Table,
    /// One JSON object per line: job, due (RFC 3339; missing: never), timezone, schedule, excluded (by
    /// what), remark
    Json,
    /// Comma-separated values with a header line (RFC 4180)
    Csv,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let now = clock::wall();
    let chosen = match &args.cron {
        Some(expr) => of_expression(expr, args, context)?,
        None => of_jobfile(args, now, context)?,
    };
    // What is wrong has been reported.
    let Some(chosen) = chosen else { return Ok(ExitCode::FAILURE) };
    let window = chosen.window(args, now)?;
    chosen.show(window, args, now, context)?;
    Ok(ExitCode::SUCCESS)
}

/// What the rows are to be about.
struct Chosen {
    /// All jobs there are.
    jobs: Vec<Arc<Job>>,
    /// Those that were asked for; none: all of them.
    wanted: Vec<String>,
    /// The zone of all times; `None`: each job's own.
    zone: Option<Zone>,
    /// The zone of what is typed where that is `None`.
    home: Zone,
    /// It is known when each interval began.
    grid_is_known: bool,
    paused: PausedJobs,
    /// The schedulers that share the store.
    members: Vec<Member>,
    /// Jobs of the file that do not run on this machine.
    elsewhere: Vec<String>,
}

/// The zone that was asked for.
fn zone_of(args: &Args, context: &Context) -> anyhow::Result<Option<Zone>> {
    Ok(match &args.timezone {
        Some(name) => Some(argument::zone(name, context)?),
        None if context.local && !args.utc => Some(argument::local_zone(context)),
        None => None,
    })
}

fn of_expression(expr: &str, args: &Args, context: &Context) -> anyhow::Result<Option<Chosen>> {
    let home = match zone_of(args, context)? {
        Some(zone) => zone,
        None => argument::local_zone_checked(context)?,
    };
    let job = expression::job(expr, None, &home, "--cron")?;
    Ok(job.map(|job| Chosen {
        jobs: vec![Arc::new(job)],
        wanted: args.jobs.clone(),
        zone: args.utc.then(Zone::utc),
        home,
        grid_is_known: true,
        paused: PausedJobs::new(),
        members: Vec::new(),
        elsewhere: Vec::new(),
    }))
}

fn of_jobfile(args: &Args, now: Instant, context: &Context) -> anyhow::Result<Option<Chosen>> {
    let named = zone_of(args, context)?;
    let (path, loaded, typed) = named::file_or_jobs(&args.words, args.jobfile.as_deref(), context)?;
    let mut wanted = args.jobs.clone();
    wanted.extend(typed);
    let Some(mut set) = loaded.set else {
        loaded.report()?;
        return Ok(None);
    };
    argument::refuse_elsewhere(&set.settings, &wanted)?;
    let has_open = set.jobs.iter().any(|job| grid::is_open(job));
    // Which labels there are, the hosts say.
    let has_labels = set.jobs.iter().any(|job| matches!(job.options.run_on, RunOn::Labels(_)));
    let remembered = history_source::remembered(&set, &path, has_open || has_labels);
    let grid_is_known = grid::anchor(&mut set, &path, remembered.as_ref());
    let paused = paused::find(&mut set, &path, remembered.as_ref(), now);
    let members = remembered.map(|remembered| remembered.members).unwrap_or_default();
    let elsewhere = set.settings.elsewhere.iter().filter(|_| wanted.is_empty());
    let elsewhere = elsewhere.map(|job| job.id.to_string()).collect();
    let home = named.clone().unwrap_or(set.settings.zone);
    let mut jobs = set.jobs;
    for text in &args.add {
        let Some(job) = added(text, &jobs, &home, now, context)? else { return Ok(None) };
        if !wanted.is_empty() {
            wanted.push(job.id.to_string());
        }
        jobs.push(Arc::new(job));
    }
    let zone = if args.utc { Some(Zone::utc()) } else { named };
    Ok(Some(Chosen { jobs, wanted, zone, home, grid_is_known, paused, members, elsewhere }))
}

impl Chosen {
    /// Which due times are shown.
    fn window(&self, args: &Args, now: Instant) -> anyhow::Result<Window> {
        let zone = self.zone.as_ref().unwrap_or(&self.home);
        let time = |text: &Option<String>, flag: &str| -> anyhow::Result<Option<Instant>> {
            let Some(text) = text else { return Ok(None) };
            time::ahead(text, zone, now, now).map(Some).with_context(|| format!("{flag} {text}"))
        };
        // What is typed is exact; "now" is not worth a fraction of a second in each row.
        let from = time(&args.from, "--from")?.unwrap_or(now.truncated());
        let until = time(&args.until, "--until")?;
        if until.is_some_and(|until| until < from) {
            bail!("--until is before --from");
        }
        Ok(Window { from, until, count: args.count.unwrap_or(1) as usize })
    }

    fn show(
        &self,
        window: Window,
        args: &Args,
        now: Instant,
        context: &Context,
    ) -> anyhow::Result<()> {
        let all: HashMap<&str, &Job> = self.jobs.iter().map(|job| (&*job.id, &**job)).collect();
        let jobs = select(&self.jobs, &self.wanted)?;
        let rows = preview(&jobs, window).map(|row| with_chain(row, &jobs, &all, window.from));
        let rows = rows.map(|row| with_pause(row, &jobs, &self.paused, context));
        // Once for each job is enough.
        let mut said = vec![false; jobs.len()];
        let rows = rows.map(|row| match std::mem::replace(&mut said[row.job], true) {
            false => with_hosts(with_conditions(row, &jobs), &jobs, &self.members),
            true => row,
        });
        let mut out = BufWriter::new(anstream::stdout().lock());
        let shown = Shown { jobs: &jobs, zone: self.zone.as_ref(), now: now.truncated() };
        match args.output {
            Output::Table => {
                let without_zone = shown.table(rows, &mut out)?;
                out.flush()?;
                shown.origin(without_zone)?;
                self.notes(&jobs, args.from.is_some());
            }
            Output::Json => shown.json(rows, &mut out)?,
            Output::Csv => shown.csv(rows, &mut out)?,
        }
        Ok(out.flush()?)
    }

    /// What the table does not say.
    fn notes(&self, shown: &[&Job], has_from: bool) {
        if !self.elsewhere.is_empty() {
            crate::cli::say(&request::not_here(&self.elsewhere));
        }
        if !self.grid_is_known && shown.iter().any(|job| grid::is_open(job)) {
            let from = if has_from { "--from" } else { "now" };
            anstream::eprintln!(
                "schedrs: intervals count from {from}: when they began is not known yet"
            );
        }
    }
}

/// A row that says when the first job of its chain is due, if it is of a job that is after others.
fn with_chain(row: Row, jobs: &[&Job], all: &HashMap<&str, &Job>, from: Instant) -> Row {
    match chain(jobs[row.job], from, &|id| all.get(id).copied()) {
        Some(chain) if row.due.is_none() && !jobs[row.job].options.paused => {
            Row { remark: Some(chain), ..row }
        }
        _ => row,
    }
}

/// A row that says that its job is paused, if it is when that is due.
fn with_pause(row: Row, jobs: &[&Job], paused_jobs: &PausedJobs, context: &Context) -> Row {
    let job = jobs[row.job];
    let paused = paused_jobs.get(&job.id).filter(|paused| {
        row.due.is_none_or(|due| paused::end(paused).is_some_and(|end| due < end))
    });
    let Some(paused) = paused else { return row };
    let times = Times::new(context);
    let words = request::paused(paused, &times, &times.zone(job.zone.name()));
    let others = row.remark.filter(|remark| remark != PAUSED);
    let others = others.map(|others| format!("; {others}")).unwrap_or_default();
    Row { remark: Some(format!("{PAUSED}{words}{others}")), ..row }
}

/// The same with the conditions of its job: whether they will hold nobody knows.
fn with_conditions(row: Row, jobs: &[&Job]) -> Row {
    let Some(conditions) = &jobs[row.job].options.only_if else { return row };
    let own = format!("only if: {}", conditions.words().join(", "));
    let others = row.remark.map(|others| format!("; {others}")).unwrap_or_default();
    Row { remark: Some(format!("{own}{others}")), ..row }
}

/// A row that says that no host may run its job, if several share the store.
fn with_hosts(row: Row, jobs: &[&Job], members: &[Member]) -> Row {
    let run_on = &jobs[row.job].options.run_on;
    let RunOn::Labels(labels) = run_on else { return row };
    let mut alive = deploy::alive(members).peekable();
    if alive.peek().is_none() || alive.any(|member| home::fits(run_on, &member.labels)) {
        return row;
    }
    let own = format!("no host has all of its labels: {}", labels.join(", "));
    let others = row.remark.map(|others| format!("; {others}")).unwrap_or_default();
    Row { remark: Some(format!("{own}{others}")), ..row }
}

/// A job of `--add`, under an id that no other has; `None` if its schedule has errors, which have been
/// reported.
fn added(
    text: &str,
    jobs: &[Arc<Job>],
    zone: &Zone,
    now: Instant,
    context: &Context,
) -> anyhow::Result<Option<Job>> {
    let is_free = |id: &String| !jobs.iter().any(|job| *job.id == **id);
    let mut ids = (1..).map(|number| match number {
        1 => "(new)".to_owned(),
        _ => format!("(new {number})"),
    });
    let id = ids.find(is_free).unwrap_or_default();
    let job = match time::ahead(text, zone, now, now) {
        // `10m` is in ten minutes elsewhere, and each ten minutes here.
        Ok(at) if !expression::is_duration(text) => {
            Some(expression::of_trigger(Trigger::Date(DateTrigger::At(at)), zone))
        }
        _ => expression::schedule(text, Some(&id), zone, context)?.map(Arc::unwrap_or_clone),
    };
    Ok(job.map(|job| Job { id: id.into(), ..job }))
}

/// The jobs that were asked for, in the order of the file.
fn select<'a>(jobs: &'a [Arc<Job>], wanted: &[String]) -> anyhow::Result<Vec<&'a Job>> {
    if wanted.is_empty() {
        return Ok(jobs.iter().map(|job| &**job).collect());
    }
    let chosen = argument::jobs(jobs, wanted)?;
    Ok(chosen.into_iter().map(|place| &*jobs[place]).collect())
}

/// A line of JSON.
#[derive(Serialize)]
struct Object<'a> {
    job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    timezone: &'a str,
    schedule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    excluded: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

impl<'a> Object<'a> {
    fn of(row: Row, job: &'a Job, zone: &'a Zone) -> Object<'a> {
        Object {
            job: &job.id,
            due: row.due.map(|due| words::rfc3339(due, zone)),
            timezone: zone.name(),
            schedule: words::trigger(&job.trigger, &job.zone),
            excluded: row.excluded,
            remark: row.remark,
        }
    }
}

/// The first due times of jobs as such objects, for programs that ask over HTTP.
#[cfg(feature = "web")]
pub(super) fn objects(
    jobs: &[&Job],
    all: &[Arc<Job>],
    window: Window,
    most: usize,
) -> anyhow::Result<Vec<serde_json::Value>> {
    let all: HashMap<&str, &Job> = all.iter().map(|job| (&*job.id, &**job)).collect();
    let rows = preview(jobs, window).map(|row| with_chain(row, jobs, &all, window.from));
    let objects = rows.take(most).map(|row| {
        let job = jobs[row.job];
        serde_json::to_value(Object::of(row, job, &job.zone))
    });
    Ok(objects.collect::<Result<_, _>>()?)
}

/// What the rows are about.
struct Shown<'a> {
    jobs: &'a [&'a Job],
    /// The zone of all times; `None`: each job's own.
    zone: Option<&'a Zone>,
    /// Now, in whole seconds, like nearly every due time.
    now: Instant,
}

impl<'a> Shown<'a> {
    fn zone_of(&self, job: &'a Job) -> &'a Zone {
        self.zone.unwrap_or(&job.zone)
    }

    /// Writes the table, and answers whether their zone is left out.
    fn table(&self, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> anyhow::Result<bool> {
        let heading = vec!["JOB", "DUE", "ZONE", "IN", "SCHEDULE", "REMARKS"];
        let mut table = Table::new(heading, 4).with_times(&[1]).with_same(2);
        for row in rows {
            let job = self.jobs[row.job];
            let zone = self.zone_of(job);
            let is_excluded = row.excluded.is_some();
            let (due, name, distance) = match row.due {
                Some(due) if is_excluded => (
                    words::table_time(in_table(due, job), zone),
                    zone.name().to_owned(),
                    "-".to_owned(),
                ),
                Some(due) => (
                    words::table_time(in_table(due, job), zone),
                    zone.name().to_owned(),
                    self.distance(due),
                ),
                None => ("-".to_owned(), String::new(), String::new()),
            };
            let cells = vec![
                job.id.to_string(),
                due,
                name,
                distance,
                words::trigger(&job.trigger, &job.zone),
                row.remark.unwrap_or_default(),
            ];
            match is_excluded {
                true => table.struck_row(cells),
                false => table.row(cells),
            }
        }
        let width = terminal_width();
        table.write(out, width)?;
        Ok(table.leaves_out_the_same(width))
    }

    /// On stderr, where the machine's zone was found, if any of the jobs goes by it; or the zone of all
    /// where the table had no room for it.
    fn origin(&self, without_zone: bool) -> std::io::Result<()> {
        let mut zones = self.jobs.iter().map(|job| self.zone_of(job));
        let first = zones.clone().next().filter(|_| without_zone);
        match (zones.find_map(argument::of_machine), first) {
            (Some(zone), _) => writeln!(anstream::stderr(), "zone: {zone}"),
            (None, Some(zone)) => writeln!(anstream::stderr(), "zone: {zone}"),
            (None, None) => Ok(()),
        }
    }

    /// How far a due time is from now.
    fn distance(&self, due: Instant) -> String {
        match due.cmp(&self.now) {
            Ordering::Less => format!("{} ago", words::span(self.now.since(due))),
            Ordering::Equal => "now".to_owned(),
            Ordering::Greater => words::span(due.since(self.now)),
        }
    }

    fn json(&self, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> anyhow::Result<()> {
        for row in rows {
            let job = self.jobs[row.job];
            let object = Object::of(row, job, self.zone_of(job));
            writeln!(out, "{}", crate::problem::json(&object)?)?;
        }
        Ok(())
    }

    fn csv(&self, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out, "job,due,timezone,schedule,remark")?;
        for row in rows {
            let job = self.jobs[row.job];
            let zone = self.zone_of(job);
            let due = row.due.map(|due| words::rfc3339(due, zone)).unwrap_or_default();
            let schedule = words::trigger(&job.trigger, &job.zone);
            let remark = row.remark.unwrap_or_default();
            let fields = [&*job.id, &due, zone.name(), &schedule, &remark].map(csv_field);
            writeln!(out, "{}", fields.join(","))?;
        }
        Ok(())
    }
}

/// An interval of whole seconds began at some fraction of one, which is not worth a column.
fn in_table(due: Instant, job: &Job) -> Instant {
    match &job.trigger {
        Trigger::Interval(interval)
            if interval.start_date().is_none() && interval.every().subsec_nanos() == 0 =>
        {
            due.truncated()
        }
        Trigger::FromEnd(from_end) if from_end.start_date().is_none() => due.truncated(),
        _ => due,
    }
}

/// A CSV field, in quotes where it has to be.
fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
