//! `schedrs simulate`: the decisions of `run`, in virtual time.
//!
//! What is done with them is pretended by `crate::sim`, and counted by `crate::sim::survey`. Here is
//! what is asked (arguments) and the run itself; `text` and `json` write the answer.

mod heat;
mod json;
mod text;

use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::ValueEnum;

use super::argument;
use crate::cli::{Context, ExitCode};
use crate::core::event::{Exit, Start};
use crate::core::instant::{Instant, Mono};
use crate::core::job::{Executor, Job, JobSet};
use crate::core::words;
use crate::core::zone::Zone;
use crate::jobfile::{self, locate};
use crate::problem;
use crate::sim::heatmap::HeatMap;
use crate::sim::survey::{JobFacts, Places, Survey, Wait};
use crate::sim::svg::{self, Caption};
use crate::sim::{Attempt, Report, Sim};
use crate::sys::clock;

/// How long an attempt lasts when nobody says otherwise: hardly anything takes no time at all, and
/// runs that take none would never be in each other's way.
const LASTS: Duration = Duration::from_secs(1);

/// The span that is simulated when nobody says otherwise.
const SPAN: Duration = Duration::from_secs(7 * 86_400);

/// Show what would run, wait, be skipped and be missed, without running anything
///
/// The same decisions as `schedrs run`, in virtual time: a scheduler that starts at --from, with
/// jobs that last as long as --duration says and exit as --exit says. What it cannot know is how
/// long your commands take: tell it.
///
/// Times are an RFC 3339 time, a date with or without a time (on the clocks of the zone shown),
/// `now`, or `+2h30m`: from now, with --until after --from, at the end of an --outage after its
/// beginning.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The jobfile [default: $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml,
    /// /etc/schedrs/jobs.toml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// When the scheduler starts; what is due then runs [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,

    /// When to stop looking; what is due then is not simulated any more [default: a week later]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// How long an attempt of this job lasts; without JOB=, of every other job [default: 1s]
    #[arg(long = "duration", value_name = "[JOB=]DURATION")]
    durations: Vec<String>,

    /// The exit code of each attempt of this job; without JOB=, of every other job [default: 0]
    #[arg(long = "exit", value_name = "[JOB=]CODE")]
    exits: Vec<String>,

    /// The machine is off or asleep in this time: nothing is decided, and what runs stands still
    #[arg(long = "outage", value_name = "TIME..TIME", allow_hyphen_values = true)]
    outages: Vec<String>,

    /// Show times in UTC
    #[arg(long, conflicts_with = "timezone")]
    utc: bool,

    /// Show times in this zone [default: the scheduler's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,

    /// Also draw the starts per hour into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables and a map of starts per hour, for people
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
    /// In order and apart from each other.
    outages: Vec<(Instant, Instant)>,
    default: Behaviour,
    /// Of each job.
    behaviours: Vec<Behaviour>,
}

/// What came of it.
struct Answer {
    survey: Survey,
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
    let path = locate::jobfile(args.file.as_deref())?;
    let loaded = jobfile::load_path(&path, &context.zones, now);
    let Some(set) = loaded.set else {
        loaded.report()?;
        return Ok(ExitCode::FAILURE);
    };
    let source = problem::clean(&path.display().to_string()).into_owned();
    let question = question(args, context, &set, source, now)?;
    let answer = answer(&question, set);
    if let Some(file) = &args.svg {
        let picture = picture(&question, &answer);
        std::fs::write(file, picture)
            .with_context(|| format!("failed to write {}", file.display()))?;
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
    let time = |text: &str, base| argument::instant(text, &zone, now, base);
    let from = match &args.from {
        Some(text) => time(text, now).with_context(|| format!("--from {text}"))?,
        None => now,
    };
    let until = match &args.until {
        Some(text) => time(text, from).with_context(|| format!("--until {text}"))?,
        None => from.plus(SPAN),
    };
    if until <= from {
        bail!("--until is not after --from");
    }
    let outage = |text: &String| -> anyhow::Result<(Instant, Instant)> {
        let (start, end) = text.split_once("..").ok_or_else(|| {
            anyhow!("expected two times such as 2026-03-01T22:00..2026-03-02T06:00 or now..+8h")
        })?;
        let start = time(start, now)?;
        let end = time(end, start)?;
        if end <= start {
            bail!("it ends before it begins");
        }
        if start < from || end >= until {
            bail!("it has to lie between --from and --until, so that one sees what follows it");
        }
        Ok((start, end))
    };
    let mut outages = Vec::new();
    for text in &args.outages {
        outages.push(outage(text).with_context(|| format!("--outage {text}"))?);
    }

    let mut default = Behaviour { lasts: LASTS, exits: 0 };
    let mut own = vec![(None, None); set.jobs.len()];
    for text in &args.durations {
        let flag = || format!("--duration {text}");
        let (place, value) = of_job(text, &set.jobs).with_context(flag)?;
        let lasts = humantime::parse_duration(value).with_context(flag)?;
        match place {
            Some(place) => own[place].0 = Some(lasts),
            None => default.lasts = lasts,
        }
    }
    for text in &args.exits {
        let flag = || format!("--exit {text}");
        let (place, value) = of_job(text, &set.jobs).with_context(flag)?;
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
    Ok(Question {
        source,
        jobs: set.jobs.clone(),
        executors: set.executors.clone(),
        zone,
        from,
        until,
        outages: apart(outages),
        default,
        behaviours: own.into_iter().map(behaviour).collect(),
    })
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
    outages.sort_unstable();
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
    let Question { jobs, zone, from, until, outages, .. } = question;
    let places = Places::new(jobs);
    let attempt = |start: &Start| {
        let place = places.of(&start.job);
        let behaviour = place.map_or(question.default, |place| question.behaviours[place]);
        Attempt::Lasts(behaviour.lasts, Exit::Code(behaviour.exits.into()))
    };
    let mut survey = Survey::new(jobs, zone, outages);
    let mut sim = Sim::new(set, *from, attempt);
    for &(start, end) in outages {
        sim = sim.with_outage(start, end);
    }
    let mut progress = Progress::new();
    for step in 1..=Progress::STEPS {
        let part = until.since(*from).as_micros() * u128::from(step) / u128::from(Progress::STEPS);
        // Less than 8,000 years have less than 2^58 microseconds.
        sim.run_until(from.plus(Duration::from_micros(part as u64)), &mut survey);
        progress.show(step);
    }
    progress.clear();
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
        executors,
        running: status.running,
        waiting: status.waiting,
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

/// How far it is, for a person who waits: only on a terminal, and only after a while.
struct Progress {
    shown: bool,
    next: Option<Mono>,
}

impl Progress {
    const STEPS: u32 = 1000;
    const FIRST: Duration = Duration::from_millis(700);
    const EVERY: Duration = Duration::from_millis(100);

    fn new() -> Progress {
        let next = std::io::stderr().is_terminal().then(|| clock::mono().plus(Progress::FIRST));
        Progress { shown: false, next }
    }

    fn show(&mut self, step: u32) {
        let Some(next) = self.next else { return };
        let now = clock::mono();
        if now >= next {
            eprint!("\rsimulated {} %", step * 100 / Progress::STEPS);
            self.shown = true;
            self.next = Some(now.plus(Progress::EVERY));
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
