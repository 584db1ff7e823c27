//! `schedrs import`: what other schedulers were told, as a jobfile, with a proof.
//!
//! The jobfile goes to stdout, or to the file of `-o`; what could not be carried, what is not the
//! same and what the proof found go to stderr. The work is done in `crate::convert::import`.

mod units;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;

use crate::cli::{Context, ExitCode};
use crate::convert::import::proof::{self, Proof};
use crate::convert::import::{Draft, Written, anacrontab, apscheduler, crontab};
use crate::core::instant::Instant;
use crate::core::job::JobSet;
use crate::core::sort;
use crate::jobfile;
use crate::problem;
use crate::sys::accounts;
use crate::sys::clock;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without a subcommand, imports your own crontab (`crontab -l`). The jobfile goes to standard output, \
everything else to standard error.

Every import is proven: for each job, the next 1000 due times computed from the new jobfile are \
compared with those an independent engine computes from the original.

Exit codes: 0 everything was converted and every due time matches; 1 something was not converted (the \
rest is written), or the proof failed; 2 wrong usage.")]
pub(crate) struct Args {
    #[command(subcommand)]
    from: Option<From>,

    #[command(flatten)]
    to: To,
}

#[derive(Subcommand, Debug)]
enum From {
    /// User and system crontabs, and those of supercronic
    Crontab {
        /// Crontabs; `-` is standard input; a directory is read as cron reads /etc/cron.d [default:
        /// `crontab -l`; with --system, /etc/crontab and /etc/cron.d]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,

        /// Each line names a user, as in /etc/crontab and /etc/cron.d (assumed for those)
        #[arg(long, conflicts_with = "user")]
        system: bool,

        /// Run the jobs as this user; without FILE, import this user's crontab
        #[arg(long, value_name = "USER")]
        user: Option<String>,
    },
    /// The anacrontab
    Anacrontab {
        /// Files; `-` is standard input [default: /etc/anacrontab]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// systemd timers, with their services
    Systemd {
        /// Timers, directories of timers, and any services that are neither beside them nor in
        /// systemd's directories [default: the timers enabled on this machine]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Jobs exported by APScheduler's `export_jobs` (3.11)
    Apscheduler {
        /// Exports; `-` is standard input
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Kubernetes CronJobs, in YAML or JSON
    ///
    /// Needs a schedrs built with the feature `kubernetes`.
    Kubernetes {
        /// Manifests with any number of CronJobs; `-` is standard input
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// What becomes of it.
#[derive(clap::Args, Debug)]
struct To {
    /// Write the jobfile here, not to standard output
    #[arg(short, long = "output-file", value_name = "FILE", global = true)]
    output: Option<PathBuf>,

    /// Replace FILE if it exists
    #[arg(long, global = true, requires = "output")]
    force: bool,

    /// Show the proof for each job
    #[arg(long, global = true)]
    proof: bool,

    /// How many due times to compare for each job
    #[arg(long, value_name = "N", global = true, default_value_t = proof::COUNT)]
    count: usize,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut draft = Draft::new(&context.zones);
    let own = From::Crontab { files: Vec::new(), system: false, user: None };
    read(args.from.as_ref().unwrap_or(&own), &mut draft)?;
    let now = clock::wall();
    let (written, set) = readable(&mut draft, context, now)?;
    let (problems, sources) = draft.said();
    crate::cli::report(&problems, &sources)?;
    let proof = proof::compare(&written, &set, now, args.to.count);
    report(&proof, args.to.proof, &sources)?;
    put(&written, &args.to)?;
    let lost = problems.errors();
    anstream::eprintln!("{}", summary(&proof, lost));
    let good = lost == 0 && proof.mismatches().next().is_none();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The jobfile, as our own loader reads it: nothing is given out that it does not. What it does not
/// accept of a job keeps that one out, and none else.
fn readable(
    draft: &mut Draft<'_>,
    context: &Context,
    now: Instant,
) -> anyhow::Result<(Written, JobSet)> {
    loop {
        let written = draft.put_together();
        let tz = crate::core::zone::tz_variable();
        let name = "the jobfile written";
        let loaded = jobfile::load_text_in(tz, name, &written.text, &context.zones, now);
        if let Some(set) = loaded.set {
            return Ok((written, set));
        }
        if !draft.without_refused(&written, &loaded.problems) {
            loaded.report()?;
            bail!("the new jobfile has errors and was not written");
        }
    }
}

fn read(from: &From, draft: &mut Draft<'_>) -> anyhow::Result<()> {
    match from {
        From::Crontab { files, system, user } => crontabs(files, *system, user.as_deref(), draft),
        From::Anacrontab { files } => {
            let default = [PathBuf::from("/etc/anacrontab")];
            let files = if files.is_empty() { &default } else { &files[..] };
            for (name, text) in texts(files, draft)? {
                anacrontab::read(draft, &name, &text);
            }
            Ok(())
        }
        From::Systemd { files } => units::read(files, draft),
        From::Apscheduler { files } => {
            for (name, text) in texts(files, draft)? {
                apscheduler::read(draft, &name, &text);
            }
            Ok(())
        }
        From::Kubernetes { files } => manifests(files, draft),
    }
}

#[cfg(feature = "kubernetes")]
fn manifests(files: &[PathBuf], draft: &mut Draft<'_>) -> anyhow::Result<()> {
    for (name, text) in texts(files, draft)? {
        crate::convert::import::kubernetes::read(draft, &name, &text);
    }
    Ok(())
}

#[cfg(not(feature = "kubernetes"))]
fn manifests(_: &[PathBuf], _: &mut Draft<'_>) -> anyhow::Result<()> {
    bail!(
        "this schedrs was built without the feature `kubernetes`: cargo install --locked --path . \
         --features full"
    )
}

fn crontabs(
    files: &[PathBuf],
    system: bool,
    user: Option<&str>,
    draft: &mut Draft<'_>,
) -> anyhow::Result<()> {
    if files.is_empty() && !system {
        let text = own_crontab(user)?;
        crontab::read(draft, "crontab -l", &text, crontab::Options { system: false, user });
        if user.is_none()
            && let Ok(home) = std::env::var("HOME")
        {
            // cron starts a user's jobs there.
            crontab::run_at_own_home(draft, &home);
        }
        crontab::run_at_home(draft, &home_of);
        return Ok(());
    }
    let of_system = [PathBuf::from("/etc/crontab"), PathBuf::from("/etc/cron.d")];
    let files = if files.is_empty() { &of_system } else { files };
    let mut all = Vec::new();
    for file in files {
        if file.is_dir() { all.extend(crontab_directory(file)?) } else { all.push(file.clone()) }
    }
    for (file, text) in all.iter().zip(each_text(&all, draft)?) {
        let Some((name, text)) = text else { continue };
        let system = system
            || user.is_none()
                && (file.starts_with("/etc/cron.d") || *file == Path::new("/etc/crontab"));
        crontab::read(draft, &name, &text, crontab::Options { system, user });
    }
    crontab::run_at_home(draft, &home_of);
    crontab::run_at_own_home(draft, "~");
    Ok(())
}

/// The home of a user of this machine, if it is there.
fn home_of(user: &str) -> Option<String> {
    let home = accounts::account_named(user)?.home.into_string().ok()?;
    (home.starts_with('/') && Path::new(&home).is_dir()).then_some(home)
}

/// The files of a directory that cron reads there: names of letters, digits, `_` and `-`.
fn crontab_directory(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = dir.display();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {shown}"))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {shown}"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if path.is_dir() || name == ".placeholder" {
            continue;
        }
        if name.chars().all(plain) {
            files.push(path)
        } else {
            let name = path.display().to_string();
            let name = problem::clean(&name);
            anstream::eprintln!("{name}: left out: cron ignores files with such names");
        }
    }
    sort::all(&mut files);
    Ok(files)
}

/// What `crontab -l` says.
fn own_crontab(user: Option<&str>) -> anyhow::Result<String> {
    let mut command = std::process::Command::new("crontab");
    command.arg("-l");
    if let Some(user) = user {
        command.args(["-u", user]);
    }
    let output = command.output().context(
        "cannot run `crontab -l`; name a file: `schedrs import crontab FILE`, or `-` for standard \
         input",
    )?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`crontab -l` failed: {}", problem::clean(said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The names and the texts of files. One of several that cannot be read is said, and left out.
fn texts(files: &[PathBuf], draft: &mut Draft<'_>) -> anyhow::Result<Vec<(String, String)>> {
    Ok(each_text(files, draft)?.into_iter().flatten().collect())
}

/// The same, with nothing for a file that cannot be read.
fn each_text(
    files: &[PathBuf],
    draft: &mut Draft<'_>,
) -> anyhow::Result<Vec<Option<(String, String)>>> {
    let all = files.iter().map(|file| match text(file) {
        Ok(read) => Ok(Some(read)),
        Err(error) if files.len() == 1 => Err(error),
        Err(error) => {
            draft.unread(&file.to_string_lossy(), format_args!("{error:#}"));
            Ok(None)
        }
    });
    all.collect()
}

/// The name and the text of a file.
fn text(path: &Path) -> anyhow::Result<(String, String)> {
    let mut bytes = Vec::new();
    let name = if path.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        "<stdin>".to_owned()
    } else {
        let name = path.display().to_string();
        bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
        name
    };
    // Comments of old files may be in any encoding; that is no reason to refuse the jobs. The
    // readers of crontabs see where a byte was replaced.
    Ok((name, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes the jobfile, and replaces nothing unless told to.
fn put(written: &Written, to: &To) -> anyhow::Result<()> {
    let Some(path) = &to.output else {
        let mut out = io::stdout().lock();
        out.write_all(written.text.as_bytes())?;
        return Ok(out.flush()?);
    };
    let name = path.display();
    match write_to(path, written.text.as_bytes(), to.force) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !to.force => {
            bail!("{name} already exists; use `--force` to replace it");
        }
        done => done.with_context(|| format!("cannot write {name}")),
    }
}

/// Writes a file as a whole or not at all: what stood there is not lost to a disk that is full.
fn write_to(path: &Path, bytes: &[u8], force: bool) -> io::Result<()> {
    // Crontabs have passwords in them, and nobody else can read those.
    let mut private = fs::OpenOptions::new();
    private.write(true).mode(0o600);
    if !force {
        let file = private.create_new(true).open(path)?;
        return filled(file, path, bytes);
    }
    // Where a link leads to, and not the link, is what `--force` replaces.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        // A device or a pipe is written to.
        return fs::OpenOptions::new().write(true).open(&target)?.write_all(bytes);
    }
    let mut fresh = target.clone().into_os_string();
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let file = private.create_new(true).open(&fresh)?;
    if let Some(old) = &old {
        // Only root can give a file away; anyone else's new file is their own.
        let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
        if let Err(error) = file.set_permissions(old.permissions()) {
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
    }
    filled(file, &fresh, bytes)?;
    fs::rename(&fresh, &target).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}

/// Fills a new file, of which nothing is left if that fails.
fn filled(mut file: fs::File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// How many differences by design are listed for a job, unless `--proof` asks for more.
const LISTED: usize = 1;

/// Says what the proof found: mismatches always, the rest as far as it was asked for.
fn report(proof: &Proof, all: bool, sources: &problem::Sources) -> io::Result<()> {
    let mut out = anstream::stderr().lock();
    for job in &proof.jobs {
        let at = job.place.map(|place| sources.name(place)).unwrap_or_default();
        let id = problem::clean(&job.id);
        if let Some(mismatch) = &job.mismatch {
            writeln!(out, "{at}: mismatch: {id}: {mismatch}")?;
            continue;
        }
        if all {
            let until = job.until.as_ref().map(|until| format!(", up to {until}"));
            match &job.not_compared {
                Some(why) => writeln!(out, "{at}: {id}: not compared: {why}")?,
                None => {
                    let times = times(job.equal);
                    writeln!(out, "{at}: {id}: {times} equal{}", until.unwrap_or_default())?;
                }
            }
        }
        let listed = if all { job.by_design.len() } else { LISTED };
        for difference in job.by_design.iter().take(listed) {
            let more = match job.by_design.len() {
                count if !all && count > 1 => format!(" (and {} more)", count - 1),
                _ => String::new(),
            };
            writeln!(out, "{at}: {id}: by design: {difference}{more}")?;
        }
    }
    Ok(())
}

/// `24 jobs, 24,000 due times equal, 2 differ by design`.
fn summary(proof: &Proof, lost: usize) -> String {
    let jobs = proof.jobs.len();
    let mut parts = vec![counted(jobs, "job", "jobs")];
    let not_compared = jobs - proof.compared();
    // "0 due times equal" would sound as if they were not.
    parts.push(if not_compared == jobs && jobs > 0 {
        "no due times to compare".to_owned()
    } else {
        format!("{} equal", times(proof.equal()))
    });
    let by_design = proof.by_design();
    if by_design > 0 {
        parts.push(format!("{} by design at a change of clocks", grouped(by_design)));
    }
    if not_compared > 0 {
        let why = "see `--proof`";
        parts.push(format!("{} not compared ({why})", counted(not_compared, "job", "jobs")));
    }
    let mismatches = proof.mismatches().count();
    if mismatches > 0 {
        parts.push(counted(mismatches, "mismatch", "mismatches"));
    }
    if lost > 0 {
        parts.push(format!("{} not converted", counted(lost, "thing", "things")));
    }
    parts.join(", ")
}

fn times(count: usize) -> String {
    counted(count, "due time", "due times")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// `24,000`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(super::grouped(number), text);
        }
    }
}
