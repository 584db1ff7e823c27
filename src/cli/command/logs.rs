//! `schedrs logs`: what runs have printed, as far as the store keeps it: the end. `follow` goes on
//! with what they print from now on.

mod follow;

use std::collections::HashSet;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::bail;

use super::history_source::{History, HistoryArgs, told};
use crate::cli::{Context, ExitCode};
use crate::core::event::RunId;
use crate::core::job;
use crate::core::outcome::Outcome;
use crate::history::format;
use crate::jobfile::locate;
use crate::problem::clean;
use crate::run::output::{make_harmless, path_of};
use crate::store::{Query, RunRecord};
use crate::sys::paths;

/// How many runs are shown unless told: of a job, and of all.
const OF_A_JOB: usize = 1;
const OF_ALL: usize = 10;

/// Show what runs have printed
///
/// The store keeps the end of what each run has printed, standard output and standard error as
/// they came. A line above it says which run it is, and how much is missing. With --run the line
/// goes to standard error, so that standard output is what the run has printed and nothing else.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only runs of this job
    job: Option<String>,

    /// This run, by its number
    #[arg(long, value_name = "ID", conflicts_with_all = ["job", "count"])]
    run: Option<String>,

    /// So many runs, the newest; 0: all [default: 1 of a job, 10 of all]
    #[arg(short = 'n', value_name = "RUNS")]
    count: Option<usize>,

    /// Go on with what is printed from now on, until this is interrupted
    #[arg(short, long, conflicts_with = "run")]
    follow: bool,

    /// The jobfile whose past it is [default: $SCHEDRS_JOBFILE, ./jobs.toml,
    /// $XDG_CONFIG_HOME/schedrs/jobs.toml, /etc/schedrs/jobs.toml]
    #[arg(long, value_name = "FILE")]
    jobfile: Option<PathBuf>,

    /// The store, such as sqlite:PATH [default: that of the jobfile]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// With --follow: the schedrs that listens at this socket [default: $SCHEDRS_SOCKET, else the
    /// jobfile's]
    #[arg(long, value_name = "PATH", requires = "follow")]
    socket: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    // Asked before anything is shown, so that nothing is missed between the two.
    let mut client = if args.follow { Some(follow::begin(args)?) } else { None };
    let place = HistoryArgs { jobfile: args.jobfile.clone(), store: args.store.clone() };
    let history = History::open(&place, context);
    // What was printed is passed on as it is, or made harmless here: not through `anstream`, which
    // would take the colours of a job away.
    let stdout = std::io::stdout();
    let is_terminal = stdout.is_terminal();
    let mut out = BufWriter::new(stdout.lock());
    let mut already = HashSet::new();
    match history {
        Ok(mut history) => {
            already = show(args, &mut history, &mut out, is_terminal).map_err(told)?;
            out.flush()?;
            if let Some(job) = &args.job {
                name_file(&history, args, job);
            }
        }
        // What is to come can be followed all the same, as with a store in memory.
        Err(error) if args.follow => {
            anstream::eprintln!("schedrs: what was printed before cannot be shown: {error}");
        }
        Err(error) => return Err(error),
    }
    drop(out);
    let Some(client) = &mut client else { return Ok(ExitCode::SUCCESS) };
    let (is_one_job, colour) = (args.job.is_some(), has_colour(is_terminal));
    follow::go_on(client, follow::Shown { is_one_job, is_terminal, colour, already })
}

/// Shows what is kept, and answers of which runs that is all there will be.
fn show(
    args: &Args,
    history: &mut History,
    out: &mut dyn Write,
    is_terminal: bool,
) -> anyhow::Result<HashSet<RunId>> {
    // With --follow the scheduler knows it.
    if let Some(job) = args.job.as_ref().filter(|_| !args.follow) {
        history.must_know(job)?;
    }
    let records = match &args.run {
        Some(text) => vec![the_run(history, text)?],
        None => newest(args, history)?,
    };
    if records.is_empty() {
        let of = args.job.as_ref().map(|job| format!(" of {}", clean(job)));
        let of = of.unwrap_or_default();
        // Runs that could not be started have printed nothing.
        let last = Query { job: args.job.as_deref().map(Into::into), limit: 1, ..Query::default() };
        match history.reader().records(&last)?.first().map(|last| (last.run, last.outcome.clone()))
        {
            Some((Some(run), Some(Outcome::NotStarted(reason)))) => anstream::eprintln!(
                "schedrs: nothing was printed{of}: its last run {run} was not started: {}",
                clean(&reason)
            ),
            _ => anstream::eprintln!("schedrs: no runs{of} so far"),
        }
    }
    let mut whole = HashSet::new();
    for (nth, record) in records.iter().enumerate() {
        let Some(run) = record.run else { continue };
        let output = history.reader().output(run)?;
        let header = header(history, record, output.as_ref());
        if args.run.is_some() {
            anstream::eprintln!("{DIM}{header}{DIM:#}");
        } else {
            if nth > 0 {
                writeln!(out)?;
            }
            if has_colour(is_terminal) {
                writeln!(out, "{DIM}{header}{DIM:#}")?
            } else {
                writeln!(out, "{header}")?
            }
        }
        if let Some((bytes, _)) = &output {
            write(out, bytes, is_terminal, args.run.is_some())?;
            if record.outcome.is_some() {
                whole.insert(run);
            }
        }
    }
    Ok(whole)
}

const DIM: anstyle::Style = anstyle::Style::new().dimmed();

fn has_colour(is_terminal: bool) -> bool {
    match anstream::ColorChoice::global() {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
        anstream::ColorChoice::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// The run of a number as people write it: `14` or `#14`.
fn the_run(history: &mut History, text: &str) -> anyhow::Result<RunRecord> {
    let Ok(number) = text.strip_prefix('#').unwrap_or(text).parse() else {
        bail!("--run {}: expected the number of a run, such as 14", clean(text));
    };
    let query = Query { run: Some(RunId(number)), limit: 1, ..Query::default() };
    match history.reader().records(&query)?.pop() {
        Some(record) => Ok(record),
        None => bail!("no run {number}: `schedrs history` shows the runs that are kept"),
    }
}

/// The newest runs, oldest first. Records that are no runs have printed nothing.
fn newest(args: &Args, history: &mut History) -> anyhow::Result<Vec<RunRecord>> {
    let unless_told = if args.job.is_some() { OF_A_JOB } else { OF_ALL };
    let wanted = match args.count.unwrap_or(unless_told) {
        0 => usize::MAX,
        count => count,
    };
    let mut runs: Vec<RunRecord> = Vec::new();
    let mut before = None;
    loop {
        let query = Query {
            job: args.job.as_deref().map(Into::into),
            before,
            limit: wanted.clamp(20, 1000),
            ..Query::default()
        };
        let page = history.reader().records(&query)?;
        let is_last = page.len() < query.limit;
        before = page.last().map(|record| record.seq);
        for record in page.into_iter().filter(|record| record.run.is_some()) {
            // One that never began has printed nothing.
            if record.started.is_some() && runs.len() < wanted {
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
fn header(history: &History, record: &RunRecord, output: Option<&(Vec<u8>, u64)>) -> String {
    let zone = history.zone_of(&record.job);
    let id = clean(&record.job);
    let run = record.run.map(|run| format!(", run {run}")).unwrap_or_default();
    let due = format::due(record.due, &zone);
    let how = match &record.outcome {
        None => format::ran(record, record.due, &zone),
        Some(outcome) => clean(&outcome.sentence(format::reached(record))).into_owned(),
    };
    let discards =
        history.job(&record.job).is_some_and(|job| job.options.output == job::Output::Discard);
    let how_much = match output {
        Some((bytes, total)) if (bytes.len() as u64) < *total => {
            format!("; the last {} of {}", size(bytes.len() as u64), size(*total))
        }
        Some((bytes, _)) if !bytes.is_empty() => String::new(),
        _ if record.outcome.is_none() => "; what it prints is kept when it ends".to_owned(),
        _ if discards => "; its output is discarded".to_owned(),
        _ => "; it printed nothing, or it is not kept".to_owned(),
    };
    format!("{id}{run}, due {due}: {how}{how_much}")
}

/// Bytes for people: `812 bytes`, `4.0 KiB`, `1.2 MiB`.
fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64 / 1024.0, "KiB");
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    for next in ["MiB", "GiB", "TiB"] {
        if value < 1023.95 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    format!("{value:.1} {unit}")
}

/// Writes what a run has printed. On a terminal no byte of it may do anything; where it is
/// followed by something else, its last line is ended.
fn write(
    out: &mut dyn Write,
    bytes: &[u8],
    is_terminal: bool,
    is_alone: bool,
) -> std::io::Result<()> {
    let ends_line = bytes.is_empty() || bytes.ends_with(b"\n");
    if is_terminal {
        let mut harmless = Vec::with_capacity(bytes.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => {
                    make_harmless(line, &mut harmless);
                    harmless.push(b'\n');
                }
                None => make_harmless(line, &mut harmless),
            }
        }
        out.write_all(&harmless)?;
    } else {
        out.write_all(bytes)?;
    }
    if !ends_line && (is_terminal || !is_alone) {
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Where all of the output of a job is, if it goes to a file.
fn name_file(history: &History, args: &Args, id: &str) {
    if !history.job(id).is_some_and(|job| job.options.output == job::Output::File) {
        return;
    }
    // It has been found before, or there were no jobs.
    let Ok(jobfile) = locate::jobfile(args.jobfile.as_deref()) else { return };
    let files: Vec<PathBuf> =
        paths::logs_candidates(&jobfile).iter().map(|directory| path_of(directory, id)).collect();
    match (files.iter().find(|file| file.exists()), files.first()) {
        (Some(file), _) => {
            anstream::eprintln!("schedrs: all of it is in {}", clean(&file.to_string_lossy()));
        }
        (None, Some(file)) => anstream::eprintln!(
            "schedrs: all of it is in a file, {} where the scheduler keeps the logs of this jobfile",
            clean(&file.file_name().unwrap_or_default().to_string_lossy())
        ),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::history_source::{args, scene};

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (4096, "4.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_258_291, "1.2 MiB"),
            (5 << 40, "5.0 TiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    fn shown(line: &[&str], is_terminal: bool) -> String {
        let mut out = Vec::new();
        let mut history = scene::history(scene::store());
        show(&args(line), &mut history, &mut out, is_terminal).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_newest_runs() {
        assert_eq!(
            shown(&["backup"], false),
            "backup, run 24, due Tue 2026-11-24 12:34:56 +01:00: succeeded after 2s; it printed \
             nothing, or it is not kept\n"
        );
        assert_eq!(
            shown(&["backup", "-n", "3"], false).split_once("\nbackup, run 24").unwrap().0,
            "backup, run 19, due Tue 2026-11-24 03:00:00 +01:00: succeeded after 3h 4m\n\
             all well\n\
             \n\
             backup, run 23, due Tue 2026-11-24 09:00:00 +01:00: was ended by SIGTERM after 1m 15s; \
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
            let line = args(&["--run", run]);
            let error = show(&line, &mut history, &mut Vec::new(), false).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_terminal_is_not_driven() {
        let text = b"a\x1b[2Jb\r\n\x1b[31mred\nend";
        let written = |is_terminal, is_alone| {
            let mut out = Vec::new();
            write(&mut out, text, is_terminal, is_alone).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(true, true), "a^[[2Jb\n\x1b[31mred\x1b[0m\nend\n");
        assert_eq!(written(false, true).as_bytes(), text);
        assert_eq!(written(false, false).as_bytes(), [&text[..], b"\n"].concat());
    }
}
