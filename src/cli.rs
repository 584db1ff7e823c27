//! The command line: what can be typed, and who does it (`crate::command`).
//!
//! Exit codes, for every subcommand: 0 done; 1 it could not be done, or problems were found;
//! 2 the command line itself is wrong. A subcommand that has more of them says so in its help.

use std::io;
use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};

use crate::command;
use crate::zone::Database;

/// A job scheduler for commands: date, interval and cron triggers from a TOML jobfile.
#[derive(Parser, Debug)]
#[command(name = "schedrs", disable_version_flag = true, arg_required_else_help = false)]
struct Cli {
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,

    /// Print the versions of schedrs and of its time zone data
    #[arg(short = 'V', long)]
    version: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the jobs of a jobfile, in the foreground
    Run(command::run::Args),
    /// Check jobfiles and report every problem
    Validate(command::validate::Args),
    /// Show when jobs are due
    Next(command::next::Args),
    /// Say a schedule in English
    Explain(command::explain::Args),
}

/// What every subcommand needs beside its arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// Zone data.
    pub(crate) zones: Database,
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help is an answer and goes to stdout; nothing can be done when it cannot be written.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    anstream::ColorChoice::write_global(match cli.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    });
    let tzdir = std::env::var_os("TZDIR").filter(|dir| !dir.is_empty());
    let context = Context { zones: Database::open(tzdir.as_deref().map(std::path::Path::new)) };
    let done = match &cli.command {
        _ if cli.version => print_version(&context.zones).map_err(Into::into),
        Some(Command::Run(args)) => command::run::run(args, &context),
        Some(Command::Validate(args)) => command::validate::run(args, &context),
        Some(Command::Next(args)) => command::next::run(args, &context),
        Some(Command::Explain(args)) => command::explain::run(args, &context),
        None => print_help(),
    };
    match done {
        Ok(code) => code,
        // Whoever read our output has seen enough (`schedrs next | head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("schedrs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_help() -> anyhow::Result<ExitCode> {
    use clap::CommandFactory;
    anstream::eprintln!("{}", Cli::command().render_help().ansi());
    Ok(ExitCode::from(2))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn print_version(zones: &Database) -> io::Result<ExitCode> {
    use std::io::Write;

    use crate::zone::Source;
    let mut out = anstream::stdout().lock();
    writeln!(out, "schedrs {}", env!("CARGO_PKG_VERSION"))?;
    let used = |source| if zones.source() == source { ", used first" } else { "" };
    match zones.system_dir() {
        Some(dir) => writeln!(
            out,
            "time zones, system:  {} ({}{})",
            zones.system_version().unwrap_or("version not stated"),
            dir.display(),
            used(Source::System)
        )?,
        None => writeln!(out, "time zones, system:  none found")?,
    }
    writeln!(
        out,
        "time zones, bundled: {} ({} zones{})",
        Database::bundled_version(),
        zones.names().len(),
        used(Source::Bundled)
    )?;
    Ok(ExitCode::SUCCESS)
}
