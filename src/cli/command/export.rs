//! `schedrs export`: the jobs of a running schedrs as a jobfile; those of a jobfile as a crontab, as
//! systemd units or as CronJobs of Kubernetes.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::request::{self, Address};
use crate::cli::{Context, ExitCode};

use crate::convert::export::{to_crontab, to_kubernetes, to_systemd};
use crate::jobfile::{self, locate};
use crate::problem::clean;
use crate::sys::clock;

/// Write the jobs of a running schedrs as a jobfile
///
/// All of them as they are in effect: those of the jobfile and those that were added, with
/// `[defaults]` and what was changed at run time in each. It holds what the jobfile holds, secrets
/// included.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example: schedrs export > everything.toml && schedrs validate everything.toml

The jobs of a running schedrs as a crontab: schedrs export | schedrs export crontab -

The jobs of a jobfile in a cluster: schedrs export kubernetes --image shop:7 | kubectl apply -f -")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    jobfile: Option<As>,

    /// How to write them
    #[arg(long, value_name = "FORMAT", default_value = "toml")]
    output: Format,

    #[command(flatten)]
    address: Address,
}

/// What the jobs of a jobfile can be written as.
#[derive(clap::Subcommand, Debug)]
enum As {
    /// The jobs of a jobfile as a crontab, and in words what it cannot say
    Crontab {
        /// The jobfile; `-` is standard input [default: as `schedrs run` finds it]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// The jobs of a jobfile as systemd timers and services, and in words what they cannot say
    Systemd {
        /// The jobfile; `-` is standard input [default: as `schedrs run` finds it]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// The jobs of a jobfile as CronJobs of Kubernetes, and in words what they cannot say
    Kubernetes {
        /// The jobfile; `-` is standard input [default: as `schedrs run` finds it]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,

        /// The image whose containers run the jobs
        #[arg(long, value_name = "IMAGE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        image: String,
    },
}

/// Writes the jobs of a jobfile in the words of another scheduler.
fn of_jobfile(what: &As, context: &Context) -> anyhow::Result<ExitCode> {
    let (As::Crontab { file } | As::Systemd { file } | As::Kubernetes { file, .. }) = what;
    let file = locate::jobfile(file.as_deref())?;
    let now = clock::wall();
    let loaded = jobfile::load_path(&file, &context.zones, now);
    let Some(set) = &loaded.set else {
        loaded.report()?;
        return Ok(ExitCode::FAILURE);
    };
    let exported = match what {
        As::Crontab { .. } => to_crontab::crontab(set),
        As::Systemd { .. } => to_systemd::systemd(set),
        As::Kubernetes { image, .. } => to_kubernetes::kubernetes(set, image, now),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(exported.text.as_bytes())?;
    out.flush()?;
    for unsaid in &exported.problems {
        let kind = if unsaid.left_out { "left out" } else { "not the same" };
        let (job, message) = (clean(&unsaid.job), clean(&unsaid.message));
        anstream::eprintln!("{job}: {kind}: {message}");
    }
    Ok(if exported.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A jobfile
    Toml,
    /// One object with the same keys
    Json,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(what) = &args.jobfile {
        return of_jobfile(what, context);
    }
    let mut client = args.address.connect()?;
    // It is data, and nothing in it is for a terminal to act upon.
    let mut out = BufWriter::new(std::io::stdout().lock());
    match args.output {
        Format::Toml => {
            let mut written = Ok(());
            client
                .ask_all(&json!({ "do": "export" }), |body| {
                    let text = body.get("toml").and_then(Value::as_str).unwrap_or_default();
                    if written.is_ok() {
                        written = out.write_all(text.as_bytes());
                    }
                })
                .map_err(request::told)?;
            written?;
        }
        Format::Json => {
            let mut whole = Map::new();
            client
                .ask_all(&json!({ "do": "export", "format": "json" }), |mut body| {
                    body.remove("more");
                    for (key, value) in body {
                        match (whole.get_mut(&key), value) {
                            (Some(Value::Object(jobs)), Value::Object(more)) => jobs.extend(more),
                            (_, value) => {
                                whole.insert(key, value);
                            }
                        }
                    }
                })
                .map_err(request::told)?;
            writeln!(out, "{}", crate::problem::json(&whole)?)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
