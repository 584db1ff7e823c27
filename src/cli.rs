//! The command line: what can be typed, and who does it (`crate::command`).
//!
//! Exit codes, for every subcommand: 0 done; 1 it could not be done, or problems were found;
//! 2 the command line itself is wrong. A subcommand that has more of them says so in its help.

use std::io::{self, Write};

use clap::{ArgMatches, ColorChoice, FromArgMatches, Parser, Subcommand};

use crate::command;
use crate::signals;
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

/// Declares the subcommands. `clap`'s derive would build the arguments of all of them at each
/// start; here only those of the one that is called are (`Command::defer`).
macro_rules! subcommands {
    ($($(#[doc = $about:literal])+ $variant:ident = $name:literal ($module:ident),)*) => {
        #[derive(Debug)]
        enum Command {
            $($variant(command::$module::Args),)*
        }

        impl Subcommand for Command {
            fn augment_subcommands(app: clap::Command) -> clap::Command {
                app$(.subcommand(
                    clap::Command::new($name)
                        .about(concat!($($about),+).trim_ascii())
                        // What only our own scripts call is nothing for people to see.
                        .hide($name.starts_with("__"))
                        // The text above is the one that counts, not that of the struct.
                        .defer(|app| {
                            let app = <command::$module::Args as clap::Args>::augment_args(app);
                            app.about(concat!($($about),+).trim_ascii())
                        }),
                ))*
            }

            fn augment_subcommands_for_update(app: clap::Command) -> clap::Command {
                Self::augment_subcommands(app)
            }

            fn has_subcommand(name: &str) -> bool {
                [$($name),*].contains(&name)
            }
        }

        impl FromArgMatches for Command {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Command, clap::Error> {
                match matches.subcommand() {
                    $(Some(($name, matches)) => {
                        let args = command::$module::Args::from_arg_matches(matches)?;
                        Ok(Command::$variant(args))
                    })*
                    _ => Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
                }
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                *self = Command::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl Command {
            fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
                match self {
                    $(Command::$variant(args) => command::$module::run(args, context),)*
                }
            }
        }
    };
}

subcommands! {
    /// Run the jobs of a jobfile, in the foreground
    Run = "run" (run),
    /// Check jobfiles and report every problem
    Validate = "validate" (validate),
    /// Show when jobs are due
    Next = "next" (next),
    /// Show what would run, wait and be missed, in virtual time
    Simulate = "simulate" (simulate),
    /// Say a cron expression in English
    Explain = "explain" (explain),
    /// Write a small commented jobfile that runs as it is
    Init = "init" (init),
    /// Look for what will bite: programs, directories, users, permissions, clock and zones
    Doctor = "doctor" (doctor),
    /// Open a shell in a job's exact environment
    Shell = "shell" (shell),
    /// Turn crontabs, systemd timers and APScheduler exports into a jobfile, with a proof
    Import = "import" (import),
    /// Write the jobs of a running schedrs as a jobfile
    Export = "export" (export),
    /// Show the jobs of a running schedrs, and how they stand
    List = "list" (list),
    /// Show everything about a job of a running schedrs
    Show = "show" (show),
    /// Show how a running schedrs is
    Status = "status" (status),
    /// Start a job now
    Start = "start" (start),
    /// End the active runs of a job, or one run
    Stop = "stop" (stop),
    /// Pause a job, or all of them
    Pause = "pause" (pause),
    /// Resume a job, or all of them
    Resume = "resume" (resume),
    /// Add a job to a running schedrs
    Add = "add" (add),
    /// Remove a job that was added at run time
    Remove = "remove" (remove),
    /// Change options of a job of a running schedrs
    Modify = "modify" (modify),
    /// Change when a job of a running schedrs is due
    Reschedule = "reschedule" (reschedule),
    /// Have a running schedrs read its jobfile again
    Reload = "reload" (reload),
    /// Stop a running schedrs
    Shutdown = "shutdown" (shutdown),
    /// Show what became of due times
    History = "history" (history),
    /// Show what runs have printed
    Logs = "logs" (logs),
    /// Say why a due time ended as it did, or why there was none
    Why = "why" (why),
    /// Print the JSON Schema of the jobfile
    Schema = "schema" (schema),
    /// Print a script that completes schedrs in a shell, job ids included
    Completions = "completions" (completions),
    /// Say what may come next on a command line
    Complete = "__complete" (complete),
}

/// What every subcommand needs beside its arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// Zone data.
    pub(crate) zones: Database,
}

/// How the program ends: its exit code. (`std::process::ExitCode` cannot be read, and the C
/// `main` of `src/main.rs` has to.)
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

/// What Rust's runtime would do before `main` (see `src/main.rs`), as far as it matters, and more.
fn startup() {
    signals::begin();
    // A standard stream that was closed would be taken by the first file that is opened, and then
    // be written to. Opening takes the lowest free number, so it fills the hole.
    for stream in 0..=2 {
        // SAFETY: asking after a number that is no descriptor is an error, nothing more.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } < 0 {
            // SAFETY: the path is a C string.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

/// The whole program: reads the command line, does what it says and exits.
pub fn main() -> ! {
    startup();
    let code = std::panic::catch_unwind(command_line).unwrap_or(ExitCode(101));
    if crate::executor::has_left_threads() {
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
    let _ = crate::clock::test::File::open();
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
    use crate::zone::Source;
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
