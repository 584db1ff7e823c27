//! `schedrs simulate`: the decisions of `run`, in virtual time.
//!
//! What is done with them is pretended by `crate::sim`, and counted by `crate::sim::survey`. Here is
//! what is asked (arguments) and the run itself; `text` and `json` write the answer.

mod heat;
mod json;
mod notify;
mod suggest;
mod text;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::ValueEnum;

use super::argument;
use super::named::FileArgs;
use super::time;
use crate::cli::progress::Progress;
use crate::cli::{Context, ExitCode};
use crate::core::event::{Action, Exit, Start};
use crate::core::instant::{Instant, Now};
use crate::core::job::{Executor, Job, JobSet};
use crate::core::sort;
use crate::core::words;
use crate::core::zone::Zone;
use crate::jobfile;
use crate::problem;
use crate::sim::heatmap::HeatMap;
use crate::sim::survey::{JobFacts, Places, Survey, Wait};
use crate::sim::svg::{self, Caption};
use crate::sim::told::Told;
use crate::sim::{Attempt, Observer, Report, Sim};
use crate::sys::clock;

/// A person who waits is told how far it is in so many steps.
const STEPS: u32 = 1000;

/// How long an attempt lasts when nobody says otherwise: hardly anything takes no time at all, and
/// runs that take none would never be in each other's way.
const LASTS: Duration = Duration::from_secs(1);

/// The span that is simulated when nobody says otherwise.
const SPAN: Duration = Duration::from_secs(7 * 86_400);

/// Show what would run, wait, be skipped or be missed, without running anything
///
/// Makes the same decisions as `schedrs run`, in virtual time. The scheduler starts at --from; each
/// job takes as long as --duration says and exits as --exit says. It cannot know how long your
/// commands take: tell it.
///
/// Times can be `now`, `17:30`, `tomorrow 09:00`, `mon`, `2026-12-01` or `2026-12-01 09:00`, in the
/// time zone shown. `+2h30m` counts from now; in --until from --from, and at the end of an --outage
/// from its start. See TIMES in schedrs(1).
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    file: FileArgs,

    /// When the scheduler starts; jobs due at that moment run [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,

    /// When the simulation ends, this moment excluded [default: a week later]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// How long each attempt of this job takes; without JOB=, of all other jobs [default: 1s]
    #[arg(long = "duration", value_name = "[JOB=]DURATION")]
    durations: Vec<String>,

    /// The exit code of each attempt of this job; without JOB=, of all other jobs [default: 0]
    #[arg(long = "exit", value_name = "[JOB=]CODE")]
    exits: Vec<String>,

    /// Attempts of this job that start in this period exit with 1; without JOB=, of all jobs
    #[arg(long = "failing", value_name = "[JOB=]TIME..TIME", allow_hyphen_values = true)]
    failing: Vec<String>,

    /// Show which notifications would be sent, and nothing else
    #[arg(long, conflicts_with = "svg")]
    notify: bool,

    /// Show the minutes in which more starts are due than an executor has slots, so that some wait,
    /// and a jitter that halves the worst of them, and nothing else
    #[arg(long, conflicts_with_all = ["svg", "notify"])]
    suggest: bool,

    /// The machine is off or asleep in this period: nothing starts, and active runs freeze
    #[arg(long = "outage", value_name = "TIME..TIME", allow_hyphen_values = true)]
    outages: Vec<String>,

    /// Show times in UTC
    #[arg(long, conflicts_with = "timezone")]
    utc: bool,

    /// Show times in this time zone [default: the scheduler's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,

    /// Also draw the starts per hour as an SVG image
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables and a map of starts per hour
    Text,
    /// One JSON object: from, until, timezone, default, outages, jobs, executors, hours, running,
    /// waiting
    Json,
}

/// How the attempts of a job go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Behaviour {
    lasts: Duration,
    exits: u8,
}

/// What is to be simulated.
struct Question {
    source: String,
    jobs: Vec<Arc<Job>>,
    executors: Vec<Executor>,
    /// The zone of all times.
    zone: Zone,
    from: Instant,
    until: Instant,
    /// Attempts that start in these fail: of one job, or of all.
    failing: Vec<(Option<usize>, Instant, Instant)>,
    /// In order and apart from each other.
    outages: Vec<(Instant, Instant)>,
    /// What people would be told is asked for.
    notify: bool,
    default: Behaviour,
    /// Of each job.
    behaviours: Vec<Behaviour>,
}

/// What came of it.
struct Answer {
    survey: Survey,
    /// Where that was asked for: it looks at each run for longer than the scheduler does.
    told: Option<Told>,
    report: Report,
    /// Of each executor.
    executors: Vec<ExecutorFacts>,
    map: HeatMap,
    /// Runs with a process at the end.
    running: usize,
    /// Runs that wait at the end.
    waiting: usize,
}

/// What one executor had to do.
#[derive(Clone, Copy, Debug, Default)]
struct ExecutorFacts {
    /// Attempts that started in it.
    starts: u64,
    /// Runs that waited to begin.
    waited: u64,
    /// The longest of these waits, and the job.
    longest_wait: Option<(Wait, usize)>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let now = clock::wall();
    let path = args
        .file
        .path("jobs are simulated together, `schedrs next {}` shows when it is due", context)?;
    let loaded = jobfile::load_path(&path, &context.zones, now);
    let Some(set) = loaded.set else {
        loaded.report()?;
        return Ok(ExitCode::FAILURE);
    };
    let source = problem::clean(&path.display().to_string()).into_owned();
    let question = question(args, context, &set, source, now)?;
    if args.suggest {
        return suggest::write(&question, &set, args.output == Output::Json);
    }
    if args.notify && set.settings.routes.is_empty() {
        bail!("{} has no routes: see `[notify.NAME]` in schedrs-jobs(5)", question.source);
    }
    let answer = answer(&question, set);
    if let Some(file) = &args.svg {
        let picture = picture(&question, &answer);
        std::fs::write(file, picture)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(told) = &answer.told {
        return notify::write(&question, told, args.output == Output::Json);
    }
    match args.output {
        Output::Text => {
            let mut out = BufWriter::new(anstream::stdout().lock());
            text::write(&question, &answer, &mut out)?;
            out.flush()?;
        }
        Output::Json => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            json::write(&question, &answer, &mut out)?;
            out.flush()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the arguments mean for this jobfile.
fn question(
    args: &Args,
    context: &Context,
    set: &JobSet,
    source: String,
    now: Instant,
) -> anyhow::Result<Question> {
    let zone = match &args.timezone {
        Some(name) => argument::zone(name, context)?,
        None if args.utc => Zone::utc(),
        None => set.settings.zone.clone(),
    };
    // What is typed is exact; "now" is not worth a fraction of a second in each line.
    let now = now.truncated();
    let time = |text: &str, base| time::ahead(text, &zone, now, base);
    let from = match &args.from {
        Some(text) => time(text, now).with_context(|| format!("--from {text}"))?,
        None => now,
    };
    let until = match &args.until {
        Some(text) => time(text, from).with_context(|| format!("--until {text}"))?,
        None => from.plus(SPAN),
    };
    if until <= from {
        bail!("--until must be after --from");
    }
    let mut outages = Vec::new();
    for text in &args.outages {
        let span = period(text, time, now).and_then(|(start, end)| {
            if start < from || end >= until {
                bail!("it must lie between --from and --until, so that you see what follows it");
            }
            Ok((start, end))
        });
        outages.push(span.with_context(|| format!("--outage {text}"))?);
    }
    let mut failing = Vec::new();
    for text in &args.failing {
        let span = of_job(text, &set.jobs).and_then(|(place, span)| {
            let (start, end) = period(span, time, now)?;
            Ok((place, start, end))
        });
        failing.push(span.with_context(|| format!("--failing {text}"))?);
    }
    let (default, behaviours) = behaviours(args, &set.jobs)?;
    Ok(Question {
        source,
        jobs: set.jobs.clone(),
        executors: set.executors.clone(),
        zone,
        from,
        until,
        failing,
        outages: apart(outages),
        notify: args.notify,
        default,
        behaviours,
    })
}

/// The two times of a period.
fn period(
    text: &str,
    time: impl Fn(&str, Instant) -> anyhow::Result<Instant>,
    now: Instant,
) -> anyhow::Result<(Instant, Instant)> {
    let (start, end) = text.split_once("..").ok_or_else(|| {
        anyhow!("expected two times such as 2026-03-01T22:00..2026-03-02T06:00 or now..+8h")
    })?;
    let start = time(start, now)?;
    let end = time(end, start)?;
    if end <= start {
        bail!("it ends before it starts");
    }
    Ok((start, end))
}

/// How long each job runs and what it exits with: by default, and job by job.
fn behaviours(args: &Args, jobs: &[Arc<Job>]) -> anyhow::Result<(Behaviour, Vec<Behaviour>)> {
    let mut default = Behaviour { lasts: LASTS, exits: 0 };
    let mut own = vec![(None, None); jobs.len()];
    for text in &args.durations {
        let flag = || format!("--duration {text}");
        let (place, value) = of_job(text, jobs).with_context(flag)?;
        let lasts = time::duration(value).with_context(flag)?;
        match place {
            Some(place) => own[place].0 = Some(lasts),
            None => default.lasts = lasts,
        }
    }
    for text in &args.exits {
        let flag = || format!("--exit {text}");
        let (place, value) = of_job(text, jobs).with_context(flag)?;
        let exits = value
            .parse()
            .map_err(|_| anyhow!("expected an exit code, 0 to 255"))
            .with_context(flag)?;
        match place {
            Some(place) => own[place].1 = Some(exits),
            None => default.exits = exits,
        }
    }
    let behaviour = |(lasts, exits): (Option<Duration>, Option<u8>)| Behaviour {
        lasts: lasts.unwrap_or(default.lasts),
        exits: exits.unwrap_or(default.exits),
    };
    let own = own.into_iter().map(behaviour).collect();
    Ok((default, own))
}

/// `JOB=VALUE` or `VALUE`. An id may hold a `=`, but no value does.
fn of_job<'a>(text: &'a str, jobs: &[Arc<Job>]) -> anyhow::Result<(Option<usize>, &'a str)> {
    match text.rsplit_once('=') {
        Some((id, value)) => Ok((Some(argument::job(jobs, id)?), value)),
        None => Ok((None, text)),
    }
}

/// The same outages, in order, and one where several touch: time sleeps only once.
fn apart(mut outages: Vec<(Instant, Instant)>) -> Vec<(Instant, Instant)> {
    sort::all(&mut outages);
    let mut apart: Vec<(Instant, Instant)> = Vec::new();
    for (start, end) in outages {
        match apart.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => apart.push((start, end)),
        }
    }
    apart
}

/// Runs the simulation.
fn answer(question: &Question, set: JobSet) -> Answer {
    let Question { jobs, zone, from, until, .. } = question;
    let mut survey = Survey::new(jobs, zone);
    let mut told = question.notify.then(|| Told::new(&set, *from));
    let places = Places::new(jobs);
    let mut look_on = |now: Now, action: &Action| {
        survey.see(now, action);
        if let Some(told) = &mut told {
            told.see(now, action);
        }
    };
    let sim = simulated(question, set, question.attempts(&places), &mut look_on);
    if let Some(told) = &mut told {
        told.until(sim.now());
    }
    let status = sim.scheduler().status();
    let mut executors = vec![ExecutorFacts::default(); question.executors.len()];
    for (place, (job, facts)) in jobs.iter().zip(survey.jobs()).enumerate() {
        if let Some(executor) = executors.get_mut(usize::from(job.executor)) {
            executor.add(place, facts);
        }
    }
    Answer {
        map: HeatMap::new(survey.hours(), *from, *until, zone),
        report: sim.report().clone(),
        survey,
        told,
        executors,
        running: status.running,
        waiting: status.waiting,
    }
}

/// Runs a simulation to its end, before this observer. A person who waits is told how far it is.
fn simulated<P: FnMut(&Start) -> Attempt>(
    question: &Question,
    set: JobSet,
    attempt: P,
    look_on: &mut impl Observer,
) -> Sim<P> {
    let Question { from, until, outages, .. } = question;
    let mut sim = Sim::new(set, *from, attempt);
    for &(start, end) in outages {
        sim = sim.with_outage(start, end);
    }
    let mut progress = Progress::new("simulated");
    for step in 1..=STEPS {
        let part = until.since(*from).as_micros() * u128::from(step) / u128::from(STEPS);
        // Less than 8,000 years have less than 2^58 microseconds.
        sim.run_until(from.plus(Duration::from_micros(part as u64)), look_on);
        progress.show(step.into(), STEPS.into());
    }
    progress.clear();
    sim
}

impl Question {
    /// How attempts go.
    fn attempts(&self, places: &Places) -> impl FnMut(&Start) -> Attempt {
        |start| {
            let place = places.of(&start.job);
            let behaviour = place.map_or(self.default, |place| self.behaviours[place]);
            let exits = if self.fails(place, start.due) { 1 } else { behaviour.exits };
            Attempt::Lasts(behaviour.lasts, Exit::Code(exits.into()))
        }
    }

    /// Whether an attempt that starts at about that time was said to fail.
    fn fails(&self, place: Option<usize>, at: Instant) -> bool {
        let is_meant = |of: Option<usize>| of.is_none() || of == place;
        self.failing.iter().any(|(of, from, until)| is_meant(*of) && (*from..*until).contains(&at))
    }
}

impl ExecutorFacts {
    fn add(&mut self, place: usize, job: &JobFacts) {
        self.starts += job.attempts;
        self.waited += job.waited;
        if let Some(wait) = job.longest_wait
            && self.longest_wait.is_none_or(|(longest, _)| longest.span < wait.span)
        {
            self.longest_wait = Some((wait, place));
        }
    }
}

fn picture(question: &Question, answer: &Answer) -> String {
    let zone = &question.zone;
    // There is room for a name, but not for a long path.
    let name = question.source.rsplit('/').next().unwrap_or_default();
    let title = format!("Starts per hour: {name}");
    let subtitle = format!(
        "{} jobs, from {} until {}",
        question.jobs.len(),
        words::day_and_time(question.from, zone),
        words::day_and_time(question.until, zone)
    );
    let caption = Caption { title: &title, subtitle: &subtitle, zone: zone.name() };
    svg::svg(&answer.map, caption)
}
