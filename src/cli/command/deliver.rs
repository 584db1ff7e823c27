//! `schedrs deliver`: what the scheduler starts to deliver notifications (`crate::notify::deliver`).

use std::io;

use crate::cli::{Context, ExitCode};
use crate::notify::deliver;

/// Deliver notifications from standard input
///
/// The scheduler starts this itself. Each line on standard input is one thing to deliver, as JSON;
/// each line on standard output says what has come of one.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    deliver::run(&mut io::stdin().lock(), &mut io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}
