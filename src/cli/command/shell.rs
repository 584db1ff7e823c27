//! `schedrs shell`: a shell that has what a job has.
//!
//! This process becomes the shell, by the same steps by which a job's process becomes its program
//! (`crate::run::child`), but for the terminal, which it keeps. Only where root opens a shell of
//! another user it stays, so that this user does not get root's terminal.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::{argument, history_source};
use crate::cli::{Context, ExitCode};
use crate::core::event::{RunId, Start};
use crate::core::job::{Job, JobSet};
use crate::core::words;
use crate::jobfile;
use crate::run::child::World;
use crate::run::trust;
use crate::sys::clock;

/// Open a shell in a job's exact environment
#[derive(clap::Args, Debug)]
#[command(after_help = "\
You get the job's own `shell` with its variables (secrets too), directory, user, groups, umask and \
niceness; without -c it is interactive. SCHEDRS_RUN is 0, because this is not a run of the job.

A job that inherits the scheduler's environment inherits this terminal's here. To see what it has \
under a service manager, open the shell from there, or set `clear_env`.

When root opens a shell for a job with `user`, the shell gets a terminal of its own, so that the user \
can neither read from root's terminal nor type into it. If standard output is not a terminal, the \
shell reads nothing from yours.

Exit codes: the shell's own; 126 if it could not be started, 127 if it was not found.

Examples:
  schedrs shell backup
  schedrs shell backup -c 'echo $PATH; which tar; id'")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,

    /// Run this command, then exit
    #[arg(short = 'c', value_name = "COMMAND")]
    command: Option<String>,

    /// The jobfile [default: the one `schedrs run` would use]
    #[arg(short = 'f', long = "file", alias = "jobfile", value_name = "FILE")]
    jobfile: Option<PathBuf>,

    /// Use the jobfile even if other users can write to it or its directories
    #[arg(long)]
    trust: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let file = jobfile::locate::jobfile(args.jobfile.as_deref())?;
    let mut loaded = jobfile::load_path(&file, &context.zones, clock::wall());
    // As root it may be about to become anybody, with whatever the file says.
    trust::check(&mut loaded, !args.trust);
    let Some(set) = loaded.set.take() else {
        loaded.report().context("cannot write the problems")?;
        return Ok(ExitCode::FAILURE);
    };
    let JobSet { jobs, .. } = history_source::in_effect(set, loaded.builder.take(), &file, context);
    let job = Arc::clone(&jobs[argument::job(&jobs, &args.job)?]);
    if args.command.is_none() && std::io::stdin().is_terminal() {
        anstream::eprintln!("{}", crate::problem::clean(&introduction(&job)));
    }
    let now = clock::now();
    let due = words::rfc3339(now.wall.truncated(), &job.zone);
    let start = Start {
        run: RunId(0),
        job: Arc::clone(&job),
        due: now.wall,
        waited: Duration::ZERO,
        attempt: 1,
    };
    let failure = match World::of_one().become_shell(&start, &due, args.command.as_deref()) {
        Ok(code) => return Ok(ExitCode::from(code)),
        Err(failure) => failure,
    };
    let reason = crate::problem::clean(&failure.reason).into_owned();
    let id = crate::problem::clean(&job.id);
    anstream::eprintln!("schedrs: cannot open a shell for `{id}`: {reason}");
    Ok(ExitCode::from(failure.code))
}

/// `a shell as job backup has it, in /srv, as user app; exit ends it`.
fn introduction(job: &Job) -> String {
    let options = &job.options;
    let cwd = options.cwd.as_deref().map(|cwd| format!(", in {cwd}")).unwrap_or_default();
    let user = options.user.as_deref().map(|user| format!(", as user {user}")).unwrap_or_default();
    format!("shell with the environment of job {}{cwd}{user}; `exit` leaves it", job.id)
}
