//! `schedrs logs`: what runs have printed, as far as it is kept: the end of each attempt. `page` writes
//! it, `follow` asks the scheduler what active runs have printed so far, and goes on with what they
//! print from now on.

pub(super) mod follow;
mod page;

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use self::page::{Format, Page};
use super::history_source::{History, HistoryArgs, Zones, told};
use super::request::Output;
use super::{named, request};
use crate::cli::{Context, ExitCode, has_colour};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::job;
use crate::core::outcome::Outcome;
use crate::core::printed::Printed;
use crate::core::sort;
use crate::core::words;
use crate::history::format;
use crate::jobfile::locate;
use crate::problem::clean;
use crate::run::output::path_of;
use crate::store::{Query, RunRecord};
use crate::sys::paths;

/// How many runs are shown by default: of a job, and of all.
const OF_A_JOB: usize = 1;
const OF_ALL: usize = 10;

/// Show what runs printed
///
/// The end of each attempt's output is kept, standard output and standard error interleaved. A
/// heading names the run and says how much is missing. With --run the heading goes to standard
/// error, so standard output is exactly what the run printed.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Only runs of these jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,

    /// The run with this number
    #[arg(long, value_name = "ID", conflicts_with_all = ["jobs", "count"])]
    run: Option<String>,

    /// Show the newest N runs, or all if 0 [default: 1 for a job, 10 for all jobs, all with --since]
    #[arg(short = 'n', value_name = "RUNS")]
    count: Option<usize>,

    /// Show only runs that failed
    #[arg(long, conflicts_with = "run")]
    failed: bool,

    /// Show only runs due from this time on: 03:00, yesterday, 2h ago
    #[arg(long, value_name = "TIME", conflicts_with = "run", allow_hyphen_values = true)]
    since: Option<String>,

    /// Begin each line with its time, and `!` if it is from standard error
    #[arg(long)]
    timestamps: bool,

    /// Write text, or one JSON object per line: time, job, run, attempt, stream, line
    #[arg(long, value_name = "FORMAT", default_value = "text", conflicts_with = "timestamps")]
    output: Output,

    /// Keep showing new output until Ctrl-C
    #[arg(short = 'F', long, conflicts_with = "run")]
    follow: bool,

    /// The jobfile [default: $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml,
    /// /etc/schedrs/jobs.toml]
    #[arg(long = "file", alias = "jobfile", value_name = "FILE")]
    jobfile: Option<PathBuf>,

    /// Before a FILE the same as --file; on its own or before a JOB the same as --follow
    #[arg(short = 'f', value_name = "FILE", num_args = 0..=1, conflicts_with = "jobfile")]
    file_or_follow: Option<Option<String>>,

    /// The store, such as sqlite:PATH [default: the jobfile's]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// With --follow: the scheduler on this socket [default: $SCHEDRS_SOCKET, or the jobfile's]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Args {
    /// What was meant: `-f` was `--follow` once, and a file may stand in the place of the job.
    fn meant(&self, context: &Context) -> anyhow::Result<Args> {
        let mut meant = self.clone();
        let mut jobs = self.jobs.clone();
        let mut file = self.jobfile.clone();
        match &self.file_or_follow {
            None => {}
            Some(None) => meant.follow = true,
            Some(Some(word)) => {
                let behind = named::behind_follow(word, context);
                meant.follow |= behind.jobfile.is_none();
                jobs.extend(behind.jobs);
                file = behind.jobfile;
                // Who names a job as well knows which is which.
                if file.is_some() && jobs.is_empty() && !meant.follow {
                    anstream::eprintln!("schedrs: -f names the jobfile; `-F` follows");
                }
            }
        }
        let named = named::jobs(&jobs, file.as_deref(), context)?;
        meant.jobfile = named.jobfile;
        meant.jobs = named.jobs;
        if meant.follow && meant.run.is_some() {
            bail!("--run shows a run as it is kept: it cannot be followed");
        }
        if meant.socket.is_some() && !meant.follow {
            bail!("--socket belongs to --follow: what is past is read from the store");
        }
        Ok(meant)
    }

    /// Where the past is.
    fn place(&self) -> HistoryArgs {
        HistoryArgs { jobfile: self.jobfile.clone(), store: self.store.clone() }
    }

    fn format(&self) -> Format {
        match (self.output, self.timestamps) {
            (Output::Json, _) => Format::Json,
            (Output::Text, true) => Format::Times,
            (Output::Text, false) => Format::Plain,
        }
    }
}

/// What the scheduler says of runs that it has active.
pub(super) type Active = HashMap<RunId, (String, Printed)>;

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let args = &args.meant(context)?;
    // Asked before anything is shown, so that nothing is missed between the two.
    let mut client = if args.follow { Some(follow::begin(args)?) } else { None };
    let past = client.as_mut().map(|(client, _)| follow::past(client)).transpose()?;
    let past = past.map_or_else(OnceCell::new, OnceCell::from);
    let history = History::open(&args.place(), context);
    // What was printed is passed on as it is, or made harmless here: not through `anstream`, which
    // would take the colours of a job away.
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    let colour = has_colour(&stdout);
    let mut out = BufWriter::new(stdout.lock());
    let page = Page { format: args.format(), is_terminal, colour, is_alone: args.run.is_some() };
    let (mut already, mut shown) = (HashSet::new(), HashSet::new());
    let mut zones = Zones::all(super::argument::local_zone(context));
    match history {
        Ok(mut history) => {
            // With --follow the scheduler knows them.
            let jobs = match &client {
                Some((_, jobs)) => jobs.clone(),
                None => history.choose(&args.jobs).map_err(told)?,
            };
            // Nobody may be there: then it is as if they had printed nothing so far.
            let look = || past.get_or_init(|| follow::look(args).unwrap_or_default());
            let is_active = |run: RunId| look().active.contains_key(&run);
            let records = wanted(args, &jobs, &is_active, &mut history).map_err(told)?;
            let has_open = records.iter().any(|record| record.outcome.is_none());
            let none = Active::new();
            let active = if has_open { &look().active } else { &none };
            already = show(&records, active, &mut history, page, &mut out).map_err(told)?;
            shown.extend(records.iter().filter_map(|record| record.run));
            out.flush()?;
            zones = Zones::new(&history);
            let has_hosts = history.has_hosts(&[]).map_err(told)?;
            for job in &jobs {
                name_file(&history, args, job, has_hosts);
            }
            if args.follow && has_hosts {
                anstream::eprintln!(
                    "schedrs: new output is shown only for runs on this host; for other hosts, run this there"
                );
            }
        }
        // What is to come can be followed all the same, as with a store in memory.
        Err(error) if args.follow => {
            anstream::eprintln!("schedrs: cannot show earlier output: {error}");
        }
        Err(error) => return Err(error),
    }
    drop(out);
    let Some((client, jobs)) = &mut client else { return Ok(ExitCode::SUCCESS) };
    let jobs = std::mem::take(jobs);
    let mut past = past.into_inner().unwrap_or_default();
    past.active.retain(|run, _| !shown.contains(run));
    follow::go_on(client, follow::Shown { jobs, page, zones, already }, past)
}

/// The runs that are to be shown, oldest first. `is_active`: whether the scheduler says that a run goes on.
fn wanted(
    args: &Args,
    jobs: &[String],
    is_active: &dyn Fn(RunId) -> bool,
    history: &mut History,
) -> anyhow::Result<Vec<RunRecord>> {
    let records = match &args.run {
        Some(text) => vec![the_run(history, text, &args.place().typed())?],
        None => newest(args, jobs, is_active, history)?,
    };
    if records.is_empty() {
        let of = request::of(jobs);
        // Runs that could not be started have printed nothing.
        let last = Query { limit: 1, ..Query::default() };
        let last = history.records(jobs, &last)?;
        match last.first().map(|last| (last.run, last.outcome.clone())) {
            _ if args.failed || args.since.is_some() => {
                anstream::eprintln!("schedrs: no such runs{of}")
            }
            Some((Some(run), Some(Outcome::NotStarted(reason)))) => anstream::eprintln!(
                "schedrs: nothing was printed{of}: its last run {run} was not started: {}",
                clean(&reason)
            ),
            _ => anstream::eprintln!("schedrs: no runs{of} so far"),
        }
    }
    Ok(records)
}

/// Shows what is kept of these, and answers of which runs that is all there will be.
fn show(
    records: &[RunRecord],
    active: &Active,
    history: &mut History,
    page: Page,
    out: &mut dyn Write,
) -> anyhow::Result<HashSet<RunId>> {
    let has_hosts = history.has_hosts(records)?;
    let mut whole = HashSet::new();
    for (nth, record) in records.iter().enumerate() {
        let Some(run) = record.run else { continue };
        let kept = history.reader().output(run)?;
        let kept = kept.map(|(bytes, total)| (Printed::decode(&bytes, total), Some(total)));
        // Of a run that is not over the scheduler knows more.
        let now = active.get(&run).filter(|_| record.outcome.is_none());
        let printed = now.map(|(_, printed)| (printed.clone(), None)).or(kept);
        let header = header(history, record, has_hosts, printed.as_ref());
        page.header(&header, nth, out)?;
        if let Some((printed, _)) = &printed {
            page.printed(record, printed, &history.zone_of(&record.job), out)?;
            if record.outcome.is_some() {
                whole.insert(run);
            }
        }
    }
    Ok(whole)
}

/// The run of a number as people write it: `14` or `#14`.
fn the_run(history: &mut History, text: &str, typed: &str) -> anyhow::Result<RunRecord> {
    let Ok(number) = text.strip_prefix('#').unwrap_or(text).parse() else {
        bail!("--run {}: expected the number of a run, such as 14", clean(text));
    };
    let query = Query { run: Some(RunId(number)), limit: 1, ..Query::default() };
    match history.reader().records(&query)?.pop() {
        Some(record) => Ok(record),
        None => {
            bail!("no run {number}: `schedrs history{typed}` shows the runs that are kept")
        }
    }
}

/// The time of `--since`.
fn since(text: &str, history: &History) -> anyhow::Result<Instant> {
    Ok(super::time::back(text, &history.zone, history.now)?.from)
}

/// The newest runs, oldest first: so many, or the last one of each job, or some of all.
fn newest(
    args: &Args,
    jobs: &[String],
    is_active: &dyn Fn(RunId) -> bool,
    history: &mut History,
) -> anyhow::Result<Vec<RunRecord>> {
    let since = match &args.since {
        Some(text) => Some(since(text, history).with_context(|| format!("--since {text}"))?),
        None => None,
    };
    let query = Query { failed: args.failed, since, ..Query::default() };
    let by_default = |count| if since.is_some() { 0 } else { count };
    let count = args.count;
    if jobs.is_empty() {
        return newest_of(count.unwrap_or(by_default(OF_ALL)), query, is_active, history);
    }
    let mut runs = Vec::new();
    for job in jobs {
        let query = Query { job: Some(job.as_str().into()), ..query.clone() };
        let count = count.unwrap_or(by_default(OF_A_JOB));
        runs.extend(newest_of(count, query, is_active, history)?);
    }
    sort::by_key(&mut runs, |record| record.seq);
    let surplus = match count {
        Some(count) if count > 0 => runs.len().saturating_sub(count),
        _ => 0,
    };
    runs.drain(..surplus);
    Ok(runs)
}

/// The same of a job or of all. Records that are no runs have printed nothing.
fn newest_of(
    count: usize,
    asked: Query,
    is_active: &dyn Fn(RunId) -> bool,
    history: &mut History,
) -> anyhow::Result<Vec<RunRecord>> {
    let wanted = if count == 0 { usize::MAX } else { count };
    let mut runs: Vec<RunRecord> = Vec::new();
    let mut before = None;
    loop {
        let limit = wanted.clamp(20, 1000);
        let query = Query { before, limit, ..asked.clone() };
        let page = history.reader().records(&query)?;
        let is_last = page.len() < query.limit;
        before = page.last().map(|record| record.seq);
        for record in page {
            let Some(run) = record.run.filter(|_| runs.len() < wanted) else { continue };
            // One that never began has printed nothing; that one has just begun the store may not know yet.
            if record.started.is_some() || record.outcome.is_none() && is_active(run) {
                runs.push(record);
            }
        }
        if is_last || runs.len() >= wanted {
            runs.reverse();
            return Ok(runs);
        }
    }
}

/// `backup, run 14, due Tue 2026-11-24 03:00:00 +01:00: failed with exit code 3 after 12s; the
/// last 4.0 KiB of 1.2 MiB`.
fn header(
    history: &History,
    record: &RunRecord,
    has_hosts: bool,
    output: Option<&(Printed, Option<u64>)>,
) -> String {
    let zone = history.zone_of(&record.job);
    let id = clean(&record.job);
    let run = record.run.map(|run| format!(", run {run}")).unwrap_or_default();
    let host = record.host.as_deref().filter(|_| has_hosts);
    let host = host.map(|host| format!(" on {}", clean(host))).unwrap_or_default();
    let due = format::due(record.due, &zone);
    let how = match &record.outcome {
        None => format::ran(record, record.due, &zone),
        Some(outcome) => clean(&outcome.sentence(format::reached(record))).into_owned(),
    };
    let discards =
        history.job(&record.job).is_some_and(|job| job.options.output == job::Output::Discard);
    let how_much = match output {
        // Overwritten lines are not kept and not missed.
        Some((printed, _)) if printed.kept() > 0 && printed.is_whole() => String::new(),
        Some((printed, Some(total))) => {
            format!("; the last {} of {}", words::bytes(printed.kept()), words::bytes(*total))
        }
        Some((printed, None)) if printed.kept() > 0 => {
            format!("; the last {}", words::bytes(printed.kept()))
        }
        Some((_, None)) => "; it has printed nothing so far".to_owned(),
        None if record.outcome.is_none() => "; its output is kept when it ends".to_owned(),
        None if discards => "; its output is discarded".to_owned(),
        None => "; no output, or it was not kept".to_owned(),
    };
    format!("{id}{run}{host}, due {due}: {how}{how_much}")
}

/// Where all of the output of a job is, if it goes to a file.
fn name_file(history: &History, args: &Args, id: &str, has_hosts: bool) {
    if !history.job(id).is_some_and(|job| job.options.output == job::Output::File) {
        return;
    }
    // It has been found before, or there were no jobs.
    let Ok(jobfile) = locate::jobfile(args.jobfile.as_deref()) else { return };
    let files: Vec<PathBuf> =
        paths::logs_candidates(&jobfile).iter().map(|directory| path_of(directory, id)).collect();
    match (files.iter().find(|file| file.exists()), files.first()) {
        (Some(file), _) => {
            let of = if has_hosts { " of this host" } else { "" };
            let file = file.to_string_lossy();
            anstream::eprintln!("schedrs: the full output{of} is in {}", clean(&file));
        }
        (None, Some(file)) => {
            let scheduler = if has_hosts { "each host" } else { "the scheduler" };
            anstream::eprintln!(
                "schedrs: the full output is in a file, {} in the log directory that {scheduler} uses for this jobfile",
                clean(&file.file_name().unwrap_or_default().to_string_lossy())
            );
        }
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::history_source::{args, scene};

    fn shown(line: &[&str], is_terminal: bool) -> String {
        let mut out = Vec::new();
        let mut history = scene::history(scene::store());
        let args: Args = args(line);
        let (format, is_alone) = (args.format(), args.run.is_some());
        let page = Page { format, is_terminal, colour: false, is_alone };
        let records = wanted(&args, &args.jobs, &|_| false, &mut history).unwrap();
        show(&records, &Active::new(), &mut history, page, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_newest_runs() {
        assert_eq!(
            shown(&["backup"], false),
            "backup, run 24, due Tue 2026-11-24 12:34:56 +01:00: succeeded after 2s; no output, or it was not kept\n"
        );
        assert_eq!(
            shown(&["backup", "-n", "3"], false).split_once("\nbackup, run 24").unwrap().0,
            "backup, run 19, due Tue 2026-11-24 03:00:00 +01:00: succeeded after 3h 4m\n\
             all well\n\
             \n\
             backup, run 23, due Tue 2026-11-24 09:00:00 +01:00: was killed by SIGTERM after 1m 15s; \
             the last 38 bytes of 1.2 MiB\n\
             copying 3 files\n\
             \x1b[2J\x1b[31mdisk full\x1b[0m\n"
        );
        // Runs that have begun, of all jobs.
        let headers = |line: &[&str]| shown(line, false).matches(", run ").count();
        assert_eq!((headers(&[]), headers(&["-n", "0"])), (10, 23));
        assert_eq!(headers(&["report", "-n", "0"]), 2);
    }

    #[test]
    fn one_run_and_nothing_else() {
        assert_eq!(shown(&["--run", "#19"], false), "all well\n");
        assert_eq!(shown(&["--run", "20"], false), "");
        assert!(shown(&["--run", "23"], true).starts_with("copying 3 files\n^[[2J\x1b[31mdisk"));
        let mut history = scene::history(scene::store());
        for (run, expected) in [
            ("99", "no run 99: `schedrs history` shows the runs that are kept"),
            ("x", "--run x: expected the number of a run, such as 14"),
        ] {
            let args = args(&["--run", run]);
            let error = wanted(&args, &[], &|_| false, &mut history).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn only_some() {
        let headers = |line: &[&str]| {
            let text = shown(line, false);
            text.matches(", run ").count()
        };
        assert_eq!(headers(&["--failed", "-n", "0"]), 4);
        assert_eq!(headers(&["backup", "--since", "2026-11-24 09:00"]), 2);
        assert_eq!(
            shown(&["backup", "--since", "2026-11-24 09:00", "--output", "json"], false),
            "{\"job\":\"backup\",\"run\":23,\"stream\":\"stdout\",\"line\":\"copying 3 files\"}\n{\"job\":\"backup\",\"run\":23,\"stream\":\"stdout\",\"line\":\"\\u001b[2J\\u001b[31mdisk full\\u001b[0m\"}\n"
        );
    }
}
