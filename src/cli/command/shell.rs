//! `schedrs shell`: a shell that has what a job has.
//!
//! This process becomes the shell, by the same steps by which a job's process becomes its program
//! (`crate::run::child`), but for the terminal, which it keeps. Only where root opens a shell of
//! another user it stays, so that this user does not get root's terminal.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

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
The shell has the job's variables (secrets too), directory, user, groups, umask and niceness. It is \
the job's own `shell`; without -c it is interactive. SCHEDRS_RUN is 0: it is no run of the job.

Where the job inherits the scheduler's environment, here it inherits that of the terminal. To see \
what it has below a service manager, start the shell from there, or use `clear_env`.

Opened by root for a job with `user`, the shell has a terminal of its own, so that this user can \
neither read from root's nor type into it. Where standard output is not a terminal, it reads nothing \
from the terminal.

Exit codes: that of the shell; 126 if it could not be started, 127 if it was not found.

  schedrs shell backup
  schedrs shell backup -c 'echo $PATH; which tar; id'")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,

    /// Run this command and exit
    #[arg(short = 'c', value_name = "COMMAND")]
    command: Option<String>,

    /// The jobfile [default: as `schedrs run` finds it]
    #[arg(short = 'f', long = "jobfile", value_name = "FILE")]
    jobfile: Option<PathBuf>,

    /// Go by the jobfile even if others can change it, its directories included
    #[arg(long)]
    trust: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let file = jobfile::locate::jobfile(args.jobfile.as_deref())?;
    let mut loaded = jobfile::load_path(&file, &context.zones, clock::wall());
    // As root it may be about to become anybody, with whatever the file says.
    trust::check(&mut loaded, !args.trust);
    let Some(set) = loaded.set.take() else {
        loaded.report().context("failed to write problems")?;
        return Ok(ExitCode::FAILURE);
    };
    let JobSet { jobs, .. } = history_source::in_effect(set, loaded.builder.take(), &file, context);
    let job = Arc::clone(&jobs[argument::job(&jobs, &args.job)?]);
    if args.command.is_none() && std::io::stdin().is_terminal() {
        anstream::eprintln!("{}", crate::problem::clean(&introduction(&job)));
    }
    let now = clock::now();
    let due = words::rfc3339(now.wall.truncated(), &job.zone);
    let start = Start { run: RunId(0), job: Arc::clone(&job), due: now.wall, attempt: 1 };
    let failure = match World::of_one().become_shell(&start, &due, args.command.as_deref()) {
        Ok(code) => return Ok(ExitCode::from(code)),
        Err(failure) => failure,
    };
    let reason = crate::problem::clean(&failure.reason).into_owned();
    let id = crate::problem::clean(&job.id);
    anstream::eprintln!("schedrs: no shell for `{id}`: {reason}");
    Ok(ExitCode::from(failure.code))
}

/// `a shell as job backup has it, in /srv, as user app; exit ends it`.
fn introduction(job: &Job) -> String {
    let options = &job.options;
    let cwd = options.cwd.as_deref().map(|cwd| format!(", in {cwd}")).unwrap_or_default();
    let user = options.user.as_deref().map(|user| format!(", as user {user}")).unwrap_or_default();
    format!("a shell as job {} has it{cwd}{user}; `exit` ends it", job.id)
}
