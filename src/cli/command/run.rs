//! `schedrs run`: the jobs of a jobfile, in the foreground.

mod watch;

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use crate::cli::{Context, ExitCode};
use crate::control::jobfile_lock::{Identity, JobfileLock};
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet, Options};
use crate::core::trigger::spread::Spread;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::words;
use crate::core::zone::Database;
use crate::jobfile::{self, Builder};
use crate::problem::{self, Problem, Severity};
use crate::run::daemon::{self, Jobfile, Log, LogFormat, Plan, Storage};
use crate::run::output::{Output, Settings};
use crate::run::trust;
use crate::store::known;
use crate::store::location::{Location, Refuse};
use crate::sys::clock;
use crate::sys::heap;
use crate::sys::paths;
use watch::Watch;

/// The log of a failed reload is no place for more problems than this.
const MAX_PROBLEMS: usize = 50;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Signals:
  SIGTERM, SIGINT  stop: nothing new starts, what runs has `stop_grace` to end, is then asked to
                   end (SIGTERM) and killed; a second one kills at once
  SIGHUP           read the jobfile again; if it is bad, the old jobs go on. If the terminal is gone
                   that it ran in: as SIGTERM
  SIGUSR1          log what runs and waits, since when, and what is next

Exit codes:
  0         stopped as asked
  1         could not start: the jobfile is missing or has errors
  2         wrong usage
  130, 143  ended by a second SIGINT or SIGTERM

With --once it is that of the job: its own; 128 + N if signal N ended it, 124 if it timed out, 126 if \
it could not be started, 127 if its program was not found.")]
pub(crate) struct Args {
    /// The jobfile [default: $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml,
    /// /etc/schedrs/jobs.toml]
    file: Option<PathBuf>,

    /// How to write the log on stderr
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,

    /// Pass on what jobs print as it is, with no job in front of each line and no colours
    #[arg(long)]
    raw: bool,

    /// Say what would be started, and start nothing
    #[arg(long, conflicts_with = "once")]
    dry_run: bool,

    /// Where jobs and their history are kept: `memory` or `sqlite:FILE` [default: what `[store]`
    /// in the jobfile says, else a file of its own in the state directory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// The control socket [default: one for the jobfile in the runtime directory]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Run the jobfile and use the store even if others can change them, their directories
    /// included, and only warn of it
    #[arg(long)]
    trust: bool,

    /// Stop at this time: an RFC 3339 time, a date with or without a time (on the clocks of the
    /// scheduler's zone), or `+2h30m` from now
    #[arg(long, value_name = "TIME", conflicts_with = "once", allow_hyphen_values = true)]
    until: Option<String>,

    /// Run this job now, whenever it is due, and exit with its exit code
    #[arg(long, value_name = "JOB")]
    once: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let file = jobfile::locate::jobfile(args.file.as_deref())?;
    let watch = Watch::begin(watch::reading(&file));
    let Some((mut jobfile, read)) = load(&file, args, context)? else {
        return Ok(ExitCode::FAILURE);
    };
    // The text of the file is gone by now.
    heap::give_back();
    if let Some(id) = &args.once {
        only(&mut jobfile.set, id)?;
    }
    let until = until(args, &jobfile.set)?;
    watch.now("opening its store".to_owned());
    let (lock, mut remarks) = lock(&file, args, read)?;
    let storage = open_store(&file, args, &jobfile, &mut remarks)?;
    // Without a store there is nothing to be asked.
    let socket =
        storage.as_ref().map(|_| args.socket.clone().unwrap_or_else(|| paths::socket(&file)));
    if let Some(lock) = &lock {
        let store = storage.as_ref().and_then(|storage| storage.path.as_deref());
        lock.tell(socket.as_deref(), store);
    }
    let notes = Arc::default();

    let colours = |stream: &dyn IsTerminal| match anstream::ColorChoice::global() {
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
        anstream::ColorChoice::Auto => {
            stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
        }
    };
    let settings = Settings {
        raw: args.raw || args.once.is_some(),
        colour: colours(&std::io::stdout()) || colours(&std::io::stderr()),
        json_log: args.log_format == LogFormat::Json,
        directory: paths::logs_of(&file),
        tails: storage.as_ref().map(|_| daemon::tails(&notes)),
    };
    let human = args.log_format == LogFormat::Human;
    let terminal = human && std::io::stderr().is_terminal();
    // A line that rewrites itself is for a terminal that can, and for output in whole lines.
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let live = terminal && !is_dumb && !args.raw && args.once.is_none();
    let log = Log {
        format: args.log_format,
        quiet: args.once.is_some(),
        colour: human && colours(&std::io::stderr()),
        terminal,
        live,
    };
    crate::run::child::keep_descriptors();
    let output = Output::start(settings).context("failed to prepare for output")?;
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
    watch.now("looking at its store and into the user database".to_owned());
    plan.begun = Some(Box::new(move || drop(watch)));
    plan.dry_run = args.dry_run;
    plan.until = until;
    plan.live = live;
    plan.once = args.once.is_some();
    let ended = daemon::run(plan);
    output.finish();
    let ended = ended?;
    Ok(match (ended.code, ended.signal) {
        (_, Some((signal, count))) if count > 1 || args.once.is_some() => {
            ExitCode::from(128 + signal as u8)
        }
        (Some(code), _) => ExitCode::from(code),
        _ => ExitCode::SUCCESS,
    })
}

/// The time of `--until`.
fn until(args: &Args, set: &JobSet) -> anyhow::Result<Option<Instant>> {
    let Some(text) = &args.until else { return Ok(None) };
    let now = clock::wall();
    let until = super::argument::instant(text, &set.settings.zone, now, now)
        .with_context(|| format!("--until {text}"))?;
    if until <= now {
        let shown = words::table_time(until, &set.settings.zone);
        bail!("--until {text}: {shown} is past already");
    }
    Ok(Some(until))
}

/// Reads the jobfile and shows what is wrong with it; `None` when there was an error.
/// Answers what file it was, too.
fn load(
    file: &Path,
    args: &Args,
    context: &Context,
) -> anyhow::Result<Option<(Jobfile, Option<Identity>)>> {
    let mut loaded = jobfile::load_path(file, &context.zones, clock::wall());
    trust::check(&mut loaded, !args.trust);
    // A person running one job wants to see that job.
    if args.once.is_none() || loaded.set.is_none() {
        loaded.report().context("failed to write problems")?;
    }
    let read = loaded.read;
    Ok(jobfile_of(loaded.set, loaded.builder).map(|jobfile| (jobfile, read)))
}

/// Sees to it that no other scheduler runs the jobfile, unless this one was told to have a store of
/// its own. A dry run and a single run are in nobody's way.
fn lock(
    file: &Path,
    args: &Args,
    read: Option<Identity>,
) -> anyhow::Result<(Option<JobfileLock>, Vec<String>)> {
    match read {
        Some(read) if args.store.is_none() && !args.dry_run && args.once.is_none() => {
            Ok(JobfileLock::take(file, read)?)
        }
        _ => Ok((None, Vec::new())),
    }
}

fn jobfile_of(set: Option<JobSet>, builder: Option<Builder>) -> Option<Jobfile> {
    Some(Jobfile { set: set?, builder: builder? })
}

/// Opens what is to survive the end of this process. A dry run and a single run leave no trace.
/// What there is to say about the choice is added to `remarks`.
fn open_store(
    file: &Path,
    args: &Args,
    jobfile: &Jobfile,
    remarks: &mut Vec<String>,
) -> anyhow::Result<Option<Storage>> {
    if args.dry_run || args.once.is_some() {
        return Ok(None);
    }
    let settings = &jobfile.set.settings;
    let location = match (&args.store, &settings.store_url) {
        (Some(url), _) => Location::parse(url, Path::new(""))?,
        (None, Some(url)) => Location::parse(url, file.parent().unwrap_or(Path::new("")))?,
        (None, None) => {
            let chosen = known::choose(file);
            remarks.extend(chosen.remarks);
            chosen.location
        }
    };
    let refuse = if args.trust { Refuse::Never } else { Refuse::of(&jobfile.set) };
    let storage =
        Storage::open(location, settings.keep, refuse).map_err(|error| anyhow!("{error}"))?;
    Ok(Some(storage))
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
        let Some(jobfile) = jobfile_of(loaded.set, loaded.builder) else {
            return Err(of(Severity::Error).take(MAX_PROBLEMS).map(line).collect());
        };
        for warning in of(Severity::Warning).take(MAX_PROBLEMS) {
            log::warn!(event = "reload_warning"; "{}", line(warning));
        }
        if let (Some(lock), Some(read)) = (&lock, loaded.read) {
            let warnings = lock.renew(file, read).map_err(|taken| vec![taken.to_string()])?;
            for warning in warnings {
                log::warn!(event = "reload_warning"; "{warning}");
            }
        }
        Ok(jobfile)
    }))
}

/// The path at which a jobfile is read again: as it was typed, but where that starts at a directory
/// that was reached through a link which leads elsewhere by now, the absolute one.
fn current<'a>(file: &'a Path, given: &'a Path) -> &'a Path {
    let identity = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    match identity(given) {
        Some(there) if Some(there) != identity(file) => given,
        _ => file,
    }
}

/// Leaves only one job, due now and once.
fn only(set: &mut JobSet, id: &str) -> anyhow::Result<()> {
    let Some(job) = set.jobs.iter().find(|job| &*job.id == id) else {
        let known = set.jobs.iter().map(|job| &*job.id);
        match crate::core::nearest::nearest(id, known) {
            Some(near) => bail!("no job `{id}`; did you mean `{near}`?"),
            None => bail!("no job `{id}`"),
        }
    };
    let options = Options {
        retries: 0,
        jitter: Duration::ZERO,
        spread: Spread::default(),
        max_wait: None,
        paused: false,
        run_on_start: false,
        ..(*job.options).clone()
    };
    let job = Job {
        trigger: Trigger::Date(DateTrigger::Now),
        options: Arc::new(options),
        ..(**job).clone()
    };
    set.jobs = vec![Arc::new(job)];
    // Who presses ^C means the job.
    set.settings.stop_grace = Duration::ZERO;
    Ok(())
}
