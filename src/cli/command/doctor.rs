//! `schedrs doctor`: what will bite, each with what to do. The checks are in `crate::run::doctor`.

mod network;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use super::{argument, history_source, named, request};
use crate::cli::{Context, ExitCode};
use crate::core::condition::{Answer, Conditions};
use crate::core::event::{RunId, Start};
use crate::core::job::{Job, JobSet};
use crate::core::url::SharedUrl;
use crate::core::words;
use crate::jobfile::{self, locate};
use crate::problem::{Severity, clean};
use crate::run::child::World;
use crate::run::condition;
use crate::run::doctor::machine::{self, Scheduler};
use crate::run::doctor::{Finding, Verdict, shared};
use crate::run::trust;
use crate::sys::clock;
use crate::sys::trust::quoted;

/// Check programs, directories, users, permissions, clock and zones
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without JOB, checks the machine and every job, and shows only what is wrong with a job. With JOB, shows \
everything about that job, and what its environment lacks compared with its user's login shell.

No job is run. Programs are looked up as the job's user, in its directory and with its environment: \
the running scheduler's if it can be read, or else this terminal's.

Exit codes: 0 no problems (there may be warnings); 1 problems were found; 2 wrong usage.")]
pub(crate) struct Args {
    /// Jobs to check: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,

    /// The jobfile [default: the one `schedrs run` would use]
    #[arg(short = 'f', long = "file", alias = "jobfile", value_name = "FILE")]
    jobfile: Option<PathBuf>,

    /// Also ask whether routes and pings can be delivered: secrets are readable, names resolve, servers
    /// answer, certificates are good. Nobody is told anything
    #[arg(long)]
    network: bool,

    /// Output format: text, or one JSON object per line
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

/// A finding, and the job it is about.
type Line = (Option<Arc<Job>>, Finding);

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let named = named::jobs(&args.jobs, args.jobfile.as_deref(), context)?;
    let file = locate::jobfile(named.jobfile.as_deref())?;
    let (set, found) = jobfile(&file, context);
    let mut lines: Vec<Line> = found.into_iter().map(|finding| (None, finding)).collect();
    if let Some(edited) = request::edited_since(Some(&file), context) {
        let help = "it runs the jobs as they were";
        lines.push((None, Finding::warning("jobfile", edited, help.to_owned())));
    }
    let scheduler = Scheduler::of(&file);
    let database = &context.zones;
    let mut machine = vec![machine::clock(), machine::zone(database), machine::zones(database)];
    machine.extend(machine::directories(set.as_ref(), &file));
    if let Some(set) = &set
        && let Some(url) = set.settings.store_url.as_deref().and_then(SharedUrl::parse)
    {
        machine.extend(shared::store(&url, set, database.version().unwrap_or("unknown")));
    }
    machine.extend(set.as_ref().map(machine::limits));
    machine.push(Scheduler::finding(scheduler));
    lines.extend(machine.into_iter().map(|finding| (None, finding)));
    if let Some(set) = &set {
        let all = named.jobs.is_empty();
        let jobs: Vec<&Arc<Job>> = if all {
            set.jobs.iter().collect()
        } else {
            argument::refuse_elsewhere(&set.settings, &named.jobs)?;
            let places = argument::jobs(&set.jobs, &named.jobs)?;
            places.into_iter().map(|place| &set.jobs[place]).collect()
        };
        let environment = scheduler.and_then(Scheduler::environment);
        let world = match environment {
            Some(variables) => World::with_environment(variables.into_iter()),
            None => World::of_one(),
        };
        lines.extend(jobs_lines(&jobs, &world, all));
        if args.network {
            lines.extend(network::lines(set, &jobs, all));
        }
    }
    print(&lines, args.output)?;
    let problem = lines.iter().any(|(_, finding)| finding.verdict == Verdict::Problem);
    Ok(if problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The jobs of the jobfile, and what is to be said of the file.
fn jobfile(file: &Path, context: &Context) -> (Option<JobSet>, Vec<Finding>) {
    const ABOUT: &str = "jobfile";
    let mut loaded = jobfile::load_path(file, &context.zones, clock::wall());
    let name = quoted(file);
    if !file.exists() && file != Path::new("-") {
        let help = format!("`schedrs init {name}` creates one");
        return (None, vec![Finding::problem(ABOUT, format!("{name} does not exist"), help)]);
    }
    let (errors, warnings) = (loaded.problems.errors(), loaded.problems.warnings());
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let help = format!("`schedrs validate {name}` shows where");
    let jobs = loaded.set.as_ref().map_or(0, |set| set.jobs.len());
    let mut found = vec![match (errors, warnings) {
        (0, 0) => Finding::ok(ABOUT, format!("{name}: {}", count(jobs, "job"))),
        (0, _) => Finding::warning(
            ABOUT,
            format!("{name}: {}, {}", count(jobs, "job"), count(warnings, "warning")),
            help,
        ),
        _ => Finding::problem(ABOUT, format!("{name}: {}", count(errors, "error")), help),
    }];
    for problem in trust::problems(&loaded, true) {
        let place = loaded.sources.name(problem.place);
        let text = format!("{place}: {}", problem.message);
        let help = problem.help.unwrap_or_default();
        found.push(match problem.severity {
            Severity::Error => Finding::problem("permissions", text, help),
            Severity::Warning => Finding::warning("permissions", text, help),
        });
    }
    let builder = loaded.builder.take();
    (loaded.set.take().map(|set| history_source::in_effect(set, builder, file, context)), found)
}

fn jobs_lines(jobs: &[&Arc<Job>], world: &World, all: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut well = 0;
    for job in jobs {
        let now = clock::now().wall;
        let due = words::rfc3339(now.truncated(), &job.zone);
        let start = Start {
            run: RunId(0),
            job: Arc::clone(job),
            due: now,
            waited: Duration::ZERO,
            attempt: 1,
        };
        let mut found = world.examine(&start, &due);
        if all {
            found.retain(|finding| finding.verdict != Verdict::Ok);
            well += usize::from(found.is_empty());
        } else {
            found.extend(world.compare_with_login(&start, &due));
            found.extend(job.options.only_if.as_ref().map(conditions));
        }
        lines.extend(found.into_iter().map(|finding| (Some(Arc::clone(job)), finding)));
    }
    if all && !jobs.is_empty() {
        let text = match (well, jobs.len()) {
            (well, all) if well == all => format!("no problems with any of the {all}"),
            (well, all) => format!("no problems with {well} of {all}"),
        };
        lines.push((None, Finding::ok("jobs", text)));
    }
    lines
}

/// Whether the conditions of a job hold now. Not a problem if not: it is what they are for.
fn conditions(conditions: &Arc<Conditions>) -> Finding {
    const ABOUT: &str = "only_if";
    let without_command = match conditions.command {
        Some(_) => " (its command was not run)",
        None => "",
    };
    match condition::look_now(conditions) {
        Answer::Hold => Finding::ok(ABOUT, format!("holds now{without_command}")),
        Answer::DoNotHold(reading) => Finding::ok(ABOUT, format!("does not hold now: {reading}")),
        Answer::Fault(fault) => {
            Finding::problem(ABOUT, fault, "each due time of this job will be not_started")
        }
    }
}

fn print(lines: &[Line], output: Output) -> std::io::Result<()> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    for (job, finding) in lines {
        match output {
            Output::Json => {
                let object = Object {
                    status: word(finding.verdict),
                    job: job.as_ref().map(|job| &*job.id),
                    check: finding.about,
                    message: &finding.text,
                    help: finding.help.as_deref(),
                };
                writeln!(out, "{}", crate::problem::json(&object)?)?;
            }
            Output::Text => {
                let colour = match finding.verdict {
                    Verdict::Ok => AnsiColor::Green,
                    Verdict::Warning => AnsiColor::Yellow,
                    Verdict::Problem => AnsiColor::Red,
                };
                let style = Style::new().bold().fg_color(Some(colour.into()));
                let job = job.as_ref().map(|job| format!("{}: ", clean(&job.id)));
                let (word, about) = (word(finding.verdict), finding.about);
                let (job, text) = (job.unwrap_or_default(), clean(&finding.text));
                // Not `program: program tar is not there`.
                let about =
                    if text.starts_with(about) { String::new() } else { format!("{about}: ") };
                writeln!(out, "{style}{word:<7}{style:#}  {job}{about}{text}")?;
                if let Some(help) = &finding.help {
                    writeln!(out, "         = help: {}", clean(help))?;
                }
            }
        }
    }
    out.flush()
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Problem => "problem",
    }
}

/// A finding as a line of JSON.
#[derive(Serialize)]
struct Object<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    check: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}
