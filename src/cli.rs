//! The command line: what can be typed, and who does it (`crate::cli::command`).
//!
//! Exit codes, for every subcommand: 0 done; 1 it could not be done, or problems were found;
//! 2 the command line itself is wrong. A subcommand that has more of them says so in its help.

mod command;
mod complete;
mod help;
mod hints;
#[cfg(test)]
mod manual;
mod progress;
mod table;
#[cfg(test)]
mod typed;

use std::io::{self, Write};

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::core::zone::Database;
use crate::problem::{Problems, Sources};
use crate::sys::signals;

/// Run commands on a schedule: a cron replacement that reads one TOML file
#[derive(Parser, Debug)]
#[command(name = "schedrs", disable_version_flag = true, arg_required_else_help = false)]
struct Cli {
    /// Colour the output
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        display_order = 2000,
        help_heading = "For every command"
    )]
    color: ColorChoice,

    /// Show times in this machine's zone, not in each job's
    #[arg(long, global = true, display_order = 1999, help_heading = "For every command")]
    local: bool,

    /// Print the version of schedrs and of its time zone data
    #[arg(short = 'V', long)]
    version: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

/// What can be done, in the order of the groups of `--help` (`help.rs`). Here is what the list of
/// subcommands says of each; its own help is that of its arguments.
#[derive(Subcommand, Debug)]
enum Command {
    #[command(about = "Write a small, commented jobfile that runs as it is")]
    Init(command::init::Args),
    #[command(about = "Check jobfiles and report every problem")]
    Validate(command::validate::Args),
    #[command(about = "Show when jobs are due")]
    Next(command::next::Args),
    #[command(about = "Explain a cron expression or interval in English")]
    Explain(command::explain::Args),
    #[command(about = "Show what would run, wait, be skipped or be missed")]
    Simulate(command::simulate::Args),
    #[command(about = "Check programs, directories, users, permissions, clock and zones")]
    Doctor(command::doctor::Args),
    #[command(about = "Open a shell in a job's exact environment")]
    Shell(command::shell::Args),
    #[command(about = "Run the jobs of a jobfile in the foreground")]
    Run(command::run::Args),
    #[command(about = "List jobs with their state, last run and next due time")]
    List(command::list::Args),
    #[command(about = "Watch jobs full-screen, and start or pause them")]
    Top(command::top::Args),
    #[command(about = "Show everything about jobs")]
    Show(command::show::Args),
    #[command(about = "Show health, problems, active runs and what is due next")]
    Status(command::status::Args),
    #[command(about = "Check whether the scheduler does its work, for probes")]
    Health(command::health::Args),
    #[command(about = "Print metrics for Prometheus")]
    Metrics(command::metrics::Args),
    #[command(about = "Show the hosts that share the store")]
    Fleet(command::fleet::Args),
    #[cfg(feature = "web")]
    #[command(about = "Serve a page that shows jobs, runs and messages")]
    Web(command::web::Args),
    #[command(about = "Start jobs now")]
    Start(command::start::Args),
    #[command(about = "Stop the active runs of jobs, or one run")]
    Stop(command::stop::Args),
    #[command(about = "Pause jobs, or all jobs")]
    Pause(command::pause::Args),
    #[command(about = "Resume jobs, or all jobs")]
    Resume(command::resume::Args),
    #[command(about = "Add a job to the running scheduler")]
    Add(command::add::Args),
    #[command(about = "Run a command once, at a time")]
    At(command::at::At),
    #[command(about = "Run a command at regular intervals")]
    Every(command::at::Every),
    #[command(about = "Remove jobs that were added at run time")]
    Remove(command::remove::Args),
    #[command(about = "Change options of jobs")]
    Modify(command::modify::Args),
    #[command(about = "Change when jobs are due")]
    Reschedule(command::reschedule::Args),
    #[command(about = "Reload the jobfile")]
    Reload(command::reload::Args),
    #[command(about = "Edit the jobfile, check it and reload")]
    Edit(command::edit::Args),
    #[command(about = "Stop the scheduler")]
    Shutdown(command::shutdown::Args),
    #[command(about = "Show past runs, and due times that were skipped or missed")]
    History(command::history::Args),
    #[command(about = "Show what runs printed")]
    Logs(command::logs::Args),
    #[command(about = "Show what happens, as it happens")]
    Events(command::events::Args),
    #[command(about = "Show what was told to whom, or try a route")]
    Notify(command::notify::Args),
    #[command(about = "Explain why a job ran, failed, was skipped or did not run")]
    Why(command::why::Args),
    #[command(about = "Convert crontabs, systemd timers and more to a jobfile")]
    Import(command::import::Args),
    #[command(about = "Write jobs as a jobfile, crontab, systemd timers or CronJobs")]
    Export(command::export::Args),
    #[command(about = "Copy a store's contents to another store")]
    Store(command::store::Args),
    #[command(about = "Print the JSON Schema of the jobfile")]
    Schema(command::schema::Args),
    #[command(about = "Print a completion script for bash, zsh or fish")]
    Completions(command::completions::Args),
    // Only the scheduler calls it.
    #[command(hide = true, about = "Deliver notifications from standard input")]
    Deliver(command::deliver::Args),
    // Only our own completion scripts call it.
    #[command(
        name = "__complete",
        hide = true,
        about = "Print what can come next on a command line"
    )]
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
            Command::Top(args) => command::top::run(args, context),
            Command::Show(args) => command::show::run(args, context),
            Command::Status(args) => command::status::run(args, context),
            Command::Health(args) => command::health::run(args, context),
            Command::Metrics(args) => command::metrics::run(args, context),
            Command::Start(args) => command::start::run(args, context),
            Command::Stop(args) => command::stop::run(args, context),
            Command::Pause(args) => command::pause::run(args, context),
            Command::Resume(args) => command::resume::run(args, context),
            Command::Add(args) => command::add::run(args, context),
            Command::At(args) => command::at::at(args, context),
            Command::Every(args) => command::at::every(args, context),
            Command::Remove(args) => command::remove::run(args, context),
            Command::Modify(args) => command::modify::run(args, context),
            Command::Reschedule(args) => command::reschedule::run(args, context),
            Command::Reload(args) => command::reload::run(args, context),
            Command::Edit(args) => command::edit::run(args, context),
            Command::Shutdown(args) => command::shutdown::run(args, context),
            Command::History(args) => command::history::run(args, context),
            Command::Logs(args) => command::logs::run(args, context),
            Command::Events(args) => command::events::run(args, context),
            Command::Notify(args) => command::notify::run(args, context),
            Command::Why(args) => command::why::run(args, context),
            Command::Fleet(args) => command::fleet::run(args, context),
            #[cfg(feature = "web")]
            Command::Web(args) => command::web::run(args, context),
            Command::Store(args) => command::store::run(args, context),
            Command::Schema(args) => command::schema::run(args, context),
            Command::Completions(args) => command::completions::run(args, context),
            Command::Deliver(args) => command::deliver::run(args, context),
            Command::Complete(args) => command::complete::run(args, context),
        }
    }
}

/// What every subcommand needs beside its arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// Zone data.
    pub(crate) zones: Database,
    /// Times are to be shown on the clocks of this machine.
    pub(crate) local: bool,
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
    let parsed = definition().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(hint) = hint(&error) {
                anstream::eprintln!("{hint}");
                return ExitCode::from(error.exit_code() as u8);
            }
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
    let zones = Database::open(tzdir.as_deref().map(std::path::Path::new));
    let context = Context { zones, local: cli.local };
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
            say(&format!("schedrs: {}", crate::problem::clean_error(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Says something on standard error, in lines that fit the terminal if it is one.
pub(crate) fn say(text: &str) {
    let width = crate::sys::terminal::columns(io::stderr());
    // Nothing can be done when it cannot be written.
    let _ = table::prose(&mut anstream::stderr().lock(), text, width);
}

/// Writes problems to standard error, as text.
pub(crate) fn report(problems: &Problems, sources: &Sources) -> io::Result<()> {
    let width = crate::sys::terminal::columns(io::stderr());
    crate::problem::print(&mut anstream::stderr().lock(), problems, sources, width)
}

/// Whether a stream gets colours: as `--color` says, else as `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`
/// and `TERM` do, and not where it is no terminal.
pub(crate) fn has_colour(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// What to say of a verb that means something elsewhere, and of an option that another verb has.
fn hint(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let text = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(crate::problem::clean(text).into_owned()),
        _ => None,
    };
    if let Some(verb) = text(ContextKind::InvalidSubcommand) {
        let hint = hints::of(&verb)?;
        return Some(format!("error: there is no command '{verb}'\n\n  tip: {hint}\n"));
    }
    let option = text(ContextKind::InvalidArg)?;
    let verb = std::env::args().skip(1).find(|word| !word.starts_with('-'))?;
    let hint = command::option_hint(&verb, &option)?;
    Some(format!("error: {verb} has no option '{option}'\n\n  tip: {hint}\n"))
}

/// The command line as `clap` knows it, for whoever tells of it.
pub(crate) fn definition() -> clap::Command {
    help::grouped(Cli::command())
}

fn print_help() -> anyhow::Result<ExitCode> {
    anstream::eprintln!("{}", definition().render_help().ansi());
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
