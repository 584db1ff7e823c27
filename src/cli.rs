//! The command line: what can be typed, and who does it (`crate::cli::command`).
//!
//! Exit codes, for every subcommand: 0 done; 1 it could not be done, or problems were found;
//! 2 the command line itself is wrong. A subcommand that has more of them says so in its help.

mod command;
mod complete;
#[cfg(test)]
mod manual;
mod table;

use std::io::{self, Write};

use clap::{ColorChoice, Parser, Subcommand};

use crate::core::zone::Database;
use crate::sys::signals;

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

/// What can be done. Here is what the list of subcommands says of each; its own help is that of its
/// arguments.
#[derive(Subcommand, Debug)]
enum Command {
    #[command(about = "Run the jobs of a jobfile, in the foreground")]
    Run(command::run::Args),
    #[command(about = "Check jobfiles and report every problem")]
    Validate(command::validate::Args),
    #[command(about = "Show when jobs are due")]
    Next(command::next::Args),
    #[command(about = "Show what would run, wait and be missed, in virtual time")]
    Simulate(command::simulate::Args),
    #[command(about = "Say a cron expression in English")]
    Explain(command::explain::Args),
    #[command(about = "Write a small commented jobfile that runs as it is")]
    Init(command::init::Args),
    #[command(
        about = "Look for what will bite: programs, directories, users, permissions, clock and zones"
    )]
    Doctor(command::doctor::Args),
    #[command(about = "Open a shell in a job's exact environment")]
    Shell(command::shell::Args),
    #[command(
        about = "Turn crontabs, systemd timers and APScheduler exports into a jobfile, with a proof"
    )]
    Import(command::import::Args),
    #[command(about = "Write the jobs of a running schedrs as a jobfile")]
    Export(command::export::Args),
    #[command(about = "Show the jobs of a running schedrs, and how they stand")]
    List(command::list::Args),
    #[command(about = "Show everything about a job of a running schedrs")]
    Show(command::show::Args),
    #[command(about = "Show how a running schedrs is")]
    Status(command::status::Args),
    #[command(about = "Start a job now")]
    Start(command::start::Args),
    #[command(about = "End the active runs of a job, or one run")]
    Stop(command::stop::Args),
    #[command(about = "Pause a job, or all of them")]
    Pause(command::pause::Args),
    #[command(about = "Resume a job, or all of them")]
    Resume(command::resume::Args),
    #[command(about = "Add a job to a running schedrs")]
    Add(command::add::Args),
    #[command(about = "Remove a job that was added at run time")]
    Remove(command::remove::Args),
    #[command(about = "Change options of a job of a running schedrs")]
    Modify(command::modify::Args),
    #[command(about = "Change when a job of a running schedrs is due")]
    Reschedule(command::reschedule::Args),
    #[command(about = "Have a running schedrs read its jobfile again")]
    Reload(command::reload::Args),
    #[command(about = "Stop a running schedrs")]
    Shutdown(command::shutdown::Args),
    #[command(about = "Show what became of due times")]
    History(command::history::Args),
    #[command(about = "Show what runs have printed")]
    Logs(command::logs::Args),
    #[command(about = "Say why a due time ended as it did, or why there was none")]
    Why(command::why::Args),
    #[command(about = "Show the hosts that share the store")]
    Fleet(command::fleet::Args),
    #[command(about = "Print the JSON Schema of the jobfile")]
    Schema(command::schema::Args),
    #[command(about = "Print a script that completes schedrs in a shell, job ids included")]
    Completions(command::completions::Args),
    // Only our own completion scripts call it.
    #[command(name = "__complete", hide = true, about = "Say what may come next on a command line")]
    Complete(command::complete::Args),
}

impl Command {
    fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Command::Run(args) => command::run::run(args, context),
            Command::Validate(args) => command::validate::run(args, context),
            Command::Next(args) => command::next::run(args, context),
            Command::Simulate(args) => command::simulate::run(args, context),
            Command::Explain(args) => command::explain::run(args, context),
            Command::Init(args) => command::init::run(args, context),
            Command::Doctor(args) => command::doctor::run(args, context),
            Command::Shell(args) => command::shell::run(args, context),
            Command::Import(args) => command::import::run(args, context),
            Command::Export(args) => command::export::run(args, context),
            Command::List(args) => command::list::run(args, context),
            Command::Show(args) => command::show::run(args, context),
            Command::Status(args) => command::status::run(args, context),
            Command::Start(args) => command::start::run(args, context),
            Command::Stop(args) => command::stop::run(args, context),
            Command::Pause(args) => command::pause::run(args, context),
            Command::Resume(args) => command::resume::run(args, context),
            Command::Add(args) => command::add::run(args, context),
            Command::Remove(args) => command::remove::run(args, context),
            Command::Modify(args) => command::modify::run(args, context),
            Command::Reschedule(args) => command::reschedule::run(args, context),
            Command::Reload(args) => command::reload::run(args, context),
            Command::Shutdown(args) => command::shutdown::run(args, context),
            Command::History(args) => command::history::run(args, context),
            Command::Logs(args) => command::logs::run(args, context),
            Command::Why(args) => command::why::run(args, context),
            Command::Fleet(args) => command::fleet::run(args, context),
            Command::Schema(args) => command::schema::run(args, context),
            Command::Completions(args) => command::completions::run(args, context),
            Command::Complete(args) => command::complete::run(args, context),
        }
    }
}

/// What every subcommand needs beside its arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// Zone data.
    pub(crate) zones: Database,
}

/// How the program ends: its exit code. (`std::process::ExitCode` cannot be read.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExitCode(u8);

impl ExitCode {
    /// Done.
    pub(crate) const SUCCESS: ExitCode = ExitCode(0);
    /// It could not be done, or problems were found.
    pub(crate) const FAILURE: ExitCode = ExitCode(1);
}

impl From<u8> for ExitCode {
    fn from(code: u8) -> ExitCode {
        ExitCode(code)
    }
}

/// The whole program: reads the command line, does what it says and exits.
pub fn main() -> ! {
    signals::begin();
    let code = std::panic::catch_unwind(command_line).unwrap_or(ExitCode(101));
    if crate::run::executor::has_left_threads() {
        // What a thread holds that hangs for good (a lock of the user database, say), the end of a
        // program may wait for.
        let _ = io::stdout().flush();
        // SAFETY: it ends the process, and runs nothing of ours.
        unsafe { libc::_exit(code.0.into()) }
    }
    // This flushes standard output too.
    std::process::exit(code.0.into())
}

fn command_line() -> ExitCode {
    // A command that asks must see the time that a scheduler of the same test sees.
    #[cfg(debug_assertions)]
    let _ = crate::sys::clock::test::File::open();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let text = error.render().to_string();
            if text.chars().any(|c| c != '\n' && crate::problem::is_hidden(c)) {
                // It names what was typed, or what a script has put there.
                anstream::eprint!("{}", crate::problem::clean_lines(&text));
            } else {
                // Help is an answer and goes to stdout; nothing can be done when it cannot be
                // written.
                let _ = error.print();
            }
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    if !matches!(cli.command, Some(Command::Run(_))) {
        signals::unblock();
    }
    anstream::ColorChoice::write_global(match cli.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    });
    let tzdir = std::env::var_os("TZDIR").filter(|dir| !dir.is_empty());
    let context = Context { zones: Database::open(tzdir.as_deref().map(std::path::Path::new)) };
    let done = match &cli.command {
        _ if cli.version => print_version(&context.zones).map_err(Into::into),
        Some(command) => command.run(&context),
        None => print_help(),
    };
    match done {
        Ok(code) => code,
        // Whoever read our output has seen enough (`schedrs next | head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("schedrs: {}", crate::problem::clean_error(&error));
            ExitCode::FAILURE
        }
    }
}

/// The command line as `clap` knows it, for whoever tells of it.
pub(crate) fn definition() -> clap::Command {
    use clap::CommandFactory;
    Cli::command()
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
    use crate::core::zone::Source;
    let mut out = anstream::stdout().lock();
    writeln!(out, "schedrs {}", env!("CARGO_PKG_VERSION"))?;
    let used = |source| if zones.source() == source { ", used first" } else { "" };
    match zones.system_dir() {
        Some(dir) => writeln!(
            out,
            "time zones, system:  {} ({}{})",
            zones.system_version().unwrap_or("version not stated"),
            crate::problem::clean(&dir.to_string_lossy()),
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
