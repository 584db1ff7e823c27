//! `schedrs run`: the jobs of a jobfile, in the foreground.

mod once;
mod watch;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use super::argument;
use super::named::FileArgs;
use crate::cli::{Context, ExitCode, has_colour};
use crate::control::jobfile_lock::JobfileLock;
use crate::core::instant::Instant;
use crate::core::job::{JobSet, Keep};
use crate::core::words;
use crate::core::zone::Database;
use crate::jobfile::{self, Builder, OnDisk};
use crate::problem::{self, Problem, Severity};
use crate::run::daemon::{self, Jobfile, Log, LogFormat, Plan, Storage, Wrong};
use crate::run::output::{Output, Settings, TailSink};
use crate::run::trust;
use crate::store::known;
use crate::store::location::{Location, Refuse};
use crate::sys::clock;
use crate::sys::file_id::FileId;
use crate::sys::heap;
use crate::sys::paths;
use watch::Watch;

/// The log of a failed reload is no place for more problems than this.
const MAX_PROBLEMS: usize = 50;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Signals:
  SIGTERM, SIGINT  stop: nothing new starts, and active runs get `stop_grace` to
                   end, then SIGTERM and SIGKILL; a second signal kills at once
  SIGHUP           reload the jobfile; if it has errors, nothing changes; if
                   the terminal was closed, stop as for SIGTERM
  SIGUSR1          log what is running, what is waiting and what is next

Exit codes:
  0         stopped as asked
  1         could not start: the jobfile is missing or has errors
  2         wrong usage
  130, 143  stopped by a second SIGINT or SIGTERM

With --once, the exit code is the job's own; 128 + N if signal N killed it, 124 if it timed out, 126 \
if it could not be started, 127 if its program was not found.")]
pub(crate) struct Args {
    #[command(flatten)]
    file: FileArgs,

    /// Format of the log on stderr
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,

    /// Pass job output through unchanged: no job names in front, no colours
    #[arg(long)]
    raw: bool,

    /// Print what would start, and start nothing
    #[arg(long, conflicts_with = "once")]
    dry_run: bool,

    /// Where jobs and history are kept: `memory` or `sqlite:FILE` [default: `[store]` in the
    /// jobfile, or else a file in the state directory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// The control socket [default: one per jobfile, in the runtime directory]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Run even if other users can write to the jobfile, the store or their directories: warn, do
    /// not refuse
    #[arg(long)]
    trust: bool,

    /// Stop at this time, in the scheduler's time zone: 18:00, tomorrow 09:00, fri, +2h
    #[arg(long, value_name = "TIME", conflicts_with = "once", allow_hyphen_values = true)]
    until: Option<String>,

    /// Run this job once, now, and exit with its exit code; the run is kept in the history, unless a
    /// running scheduler has the store
    #[arg(long, value_name = "JOB")]
    once: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let file = args.file.path(
        "`schedrs run --once {}` runs it alone, `schedrs start {}` in the schedrs that runs",
        context,
    )?;
    let watch = Watch::begin(watch::reading(&file));
    let Some((mut jobfile, read)) = load(&file, args, context)? else {
        return Ok(ExitCode::FAILURE);
    };
    // The text of the file is gone by now.
    heap::give_back();
    if let Some(id) = &args.once {
        once::only(&mut jobfile.set, id)?;
    }
    let until = until(args, &jobfile.set)?;
    watch.now("opening the store".to_owned());
    let (lock, mut remarks) = lock(&file, args, read)?;
    let storage = open_store(&file, args, &jobfile, &mut remarks)?;
    let memory = match args.once {
        Some(_) => Some(once::Memory {
            location: location(&file, args, &jobfile.set, &mut Vec::new())?,
            keep: jobfile.set.settings.keep,
            refuse: refuse(args, &jobfile.set),
            typed: argument::option("-f", args.file.named()),
        }),
        None => None,
    };
    // Without a store there is nothing to be asked.
    let socket =
        storage.as_ref().map(|_| args.socket.clone().unwrap_or_else(|| paths::socket(&file)));
    if let Some(lock) = &lock {
        let store = storage.as_ref().and_then(|storage| storage.path.as_deref());
        lock.tell(socket.as_deref(), store);
    }
    let notes = Arc::default();
    let tails = storage.as_ref().map(|_| daemon::tails(&notes));
    let keep = jobfile.set.settings.keep.output.unwrap_or(Keep::OUTPUT);
    let (settings, log) = screen(args, &file, tails, keep);
    let live = log.live;
    crate::run::child::keep_descriptors();
    let output = Output::start(settings).context("cannot set up output")?;
    daemon::start_log(log, &jobfile.set.settings.zone, output.handle());
    for remark in remarks {
        log::warn!(event = "jobfile"; "{remark}");
    }

    let mut plan = Plan::new(jobfile, file.display().to_string(), output.handle());
    plan.storage = storage;
    plan.notes = notes;
    plan.socket = socket;
    plan.origin = (file != Path::new("-")).then(|| paths::as_given(&file));
    plan.load = loader(&file, args, lock.clone());
    plan.lock = lock;
    watch.now("checking the store and the user database".to_owned());
    plan.begun = Some(Box::new(move || drop(watch)));
    plan.dry_run = args.dry_run;
    plan.until = until;
    plan.live = live;
    plan.once = args.once.is_some();
    let ended = daemon::run(plan);
    output.finish();
    let ended = ended?;
    if let (Some(memory), Some((run, process))) = (memory, &ended.run) {
        memory.remember(run, *process, clock::wall());
    }
    Ok(match (ended.code, ended.signal) {
        (_, Some((signal, count))) if count > 1 || args.once.is_some() => {
            ExitCode::from(128 + signal as u8)
        }
        (Some(code), _) => ExitCode::from(code),
        _ => ExitCode::SUCCESS,
    })
}

/// How the output of jobs and the log are written.
fn screen(args: &Args, file: &Path, tails: Option<TailSink>, keep: u32) -> (Settings, Log) {
    let settings = Settings {
        raw: args.raw || args.once.is_some(),
        at_once: args.once.is_some(),
        colour: has_colour(&std::io::stdout()) || has_colour(&std::io::stderr()),
        json_log: args.log_format == LogFormat::Json,
        directory: paths::logs_of(file),
        tails,
        keep,
    };
    let human = args.log_format == LogFormat::Human;
    let terminal = human && std::io::stderr().is_terminal();
    // A line that rewrites itself is for a terminal that can, and for output in whole lines.
    let log = Log {
        format: args.log_format,
        quiet: args.once.is_some(),
        colour: human && has_colour(&std::io::stderr()),
        terminal,
        live: terminal && !super::screen::is_dumb() && !args.raw && args.once.is_none(),
    };
    (settings, log)
}

/// The time of `--until`.
fn until(args: &Args, set: &JobSet) -> anyhow::Result<Option<Instant>> {
    let Some(text) = &args.until else { return Ok(None) };
    let now = clock::wall();
    let until = super::time::ahead(text, &set.settings.zone, now, now)
        .with_context(|| format!("--until {text}"))?;
    if until <= now {
        let shown = words::table_time(until, &set.settings.zone);
        bail!("--until {text}: {shown} is in the past");
    }
    Ok(Some(until))
}

/// Reads the jobfile and shows what is wrong with it; `None` when there was an error.
/// Answers what file it was, too.
fn load(
    file: &Path,
    args: &Args,
    context: &Context,
) -> anyhow::Result<Option<(Jobfile, Option<FileId>)>> {
    let mut loaded = jobfile::load_path(file, &context.zones, clock::wall());
    trust::check(&mut loaded, !args.trust);
    // A person running one job wants to see that job.
    if args.once.is_none() || loaded.set.is_none() {
        loaded.report().context("cannot write the problems")?;
    }
    let read = loaded.read;
    Ok(jobfile_of(loaded.set, loaded.builder, loaded.on_disk).map(|jobfile| (jobfile, read)))
}

/// Sees to it that no other scheduler runs the jobfile, unless this one was told to have a store of
/// its own. A dry run and a single run are in nobody's way.
fn lock(
    file: &Path,
    args: &Args,
    read: Option<FileId>,
) -> anyhow::Result<(Option<JobfileLock>, Vec<String>)> {
    match read {
        Some(read) if args.store.is_none() && !args.dry_run && args.once.is_none() => {
            Ok(JobfileLock::take(file, read)?)
        }
        _ => Ok((None, Vec::new())),
    }
}

fn jobfile_of(set: Option<JobSet>, builder: Option<Builder>, on_disk: OnDisk) -> Option<Jobfile> {
    Some(Jobfile { set: set?, builder: builder?, on_disk })
}

/// Opens what is to survive the end of this process. A dry run leaves no trace, and a single
/// run one when it is over. What there is to say about the choice is added to `remarks`.
fn open_store(
    file: &Path,
    args: &Args,
    jobfile: &Jobfile,
    remarks: &mut Vec<String>,
) -> anyhow::Result<Option<Storage>> {
    if args.dry_run || args.once.is_some() {
        return Ok(None);
    }
    let location = location(file, args, &jobfile.set, remarks)?;
    let (keep, refuse) = (jobfile.set.settings.keep, refuse(args, &jobfile.set));
    if let Location::Shared(url) = &location
        && let Some(why) = jobfile.set.cannot_be_shared()
    {
        bail!("hosts share {url}: {why}");
    }
    let storage = Storage::open(location, keep, refuse).map_err(|error| anyhow!("{error}"))?;
    Ok(Some(storage))
}

fn refuse(args: &Args, set: &JobSet) -> Refuse {
    if args.trust { Refuse::Never } else { Refuse::of(set) }
}

/// Where the store is.
fn location(
    file: &Path,
    args: &Args,
    set: &JobSet,
    remarks: &mut Vec<String>,
) -> anyhow::Result<Location> {
    Ok(match (&args.store, &set.settings.store_url) {
        (Some(url), _) => Location::parse(url, Path::new(""))?,
        (None, Some(url)) => Location::parse(url, file.parent().unwrap_or(Path::new("")))?,
        (None, None) => {
            let chosen = known::choose(file);
            remarks.extend(chosen.remarks);
            chosen.location
        }
    })
}

/// How the jobfile is read again, unless it was standard input.
fn loader(file: &Path, args: &Args, lock: Option<JobfileLock>) -> Option<Arc<daemon::Load>> {
    if file == Path::new("-") || args.once.is_some() {
        return None;
    }
    let (file, given, trust) = (file.to_path_buf(), paths::as_given(file), args.trust);
    Some(Arc::new(move || {
        let file = current(&file, &given);
        // Opened anew: the zone database may have been updated as well.
        let tzdir = std::env::var_os("TZDIR").filter(|dir| !dir.is_empty());
        let zones = Database::open(tzdir.as_deref().map(Path::new));
        let mut loaded = jobfile::load_path(file, &zones, clock::wall());
        trust::check(&mut loaded, !trust);
        let line = |found: &Problem| {
            let help = found.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            let text = format!("{}: {}{help}", loaded.sources.name(found.place), found.message);
            problem::clean(&text).into_owned()
        };
        let of = |severity| loaded.problems.iter().filter(move |found| found.severity == severity);
        let (set, builder) = (loaded.set.take(), loaded.builder.take());
        let on_disk = std::mem::take(&mut loaded.on_disk);
        let (Some(set), Some(builder)) = (set, builder) else {
            let problems = of(Severity::Error).take(MAX_PROBLEMS).map(line).collect();
            return Err(Wrong { problems, on_disk });
        };
        for warning in of(Severity::Warning).take(MAX_PROBLEMS) {
            log::warn!(event = "reload_warning"; "{}", line(warning));
        }
        if let (Some(lock), Some(read)) = (&lock, loaded.read) {
            match lock.renew(file, read) {
                Ok(warnings) => warnings
                    .iter()
                    .for_each(|warning| log::warn!(event = "reload_warning"; "{warning}")),
                Err(taken) => return Err(Wrong { problems: vec![taken.to_string()], on_disk }),
            }
        }
        Ok(Jobfile { set, builder, on_disk })
    }))
}

/// The path at which a jobfile is read again: as it was typed, but where that starts at a directory
/// that was reached through a link which leads elsewhere by now, the absolute one.
fn current<'a>(file: &'a Path, given: &'a Path) -> &'a Path {
    match FileId::at(given) {
        Some(there) if Some(there) != FileId::at(file) => given,
        _ => file,
    }
}
