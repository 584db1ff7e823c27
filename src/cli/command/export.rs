//! `schedrs export`: the jobs of a running schedrs as a jobfile; those of a jobfile as a crontab, as
//! systemd units or as CronJobs of Kubernetes.

use std::io::{BufWriter, Write};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::named::FileArgs;
use super::request::{self, Address};
use crate::cli::{Context, ExitCode, say};

use crate::convert::export::{to_crontab, to_kubernetes, to_systemd};
use crate::jobfile;
use crate::problem::clean;
use crate::sys::clock;

/// Write the jobs in effect as a jobfile, or a jobfile in another scheduler's format
///
/// Asks the running scheduler for all its jobs, from the jobfile or added at run time. Each is
/// written in full, with `[defaults]` and changes made at run time. The output holds what the
/// jobfile holds, secrets included.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs export > everything.toml && schedrs validate everything.toml
  schedrs export | schedrs export crontab -
  schedrs export kubernetes --image shop:7 | kubectl apply -f -")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    jobfile: Option<As>,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "toml")]
    output: Format,

    #[command(flatten)]
    address: Address,
}

/// What the jobs of a jobfile can be written as.
#[derive(clap::Subcommand, Debug)]
enum As {
    /// Write a jobfile as a crontab, and list what cannot be expressed there
    Crontab {
        #[command(flatten)]
        file: FileArgs,
    },
    /// Write a jobfile as systemd timers and services, and list what cannot be expressed there
    Systemd {
        #[command(flatten)]
        file: FileArgs,
    },
    /// Write a jobfile as Kubernetes CronJobs, and list what cannot be expressed there
    Kubernetes {
        #[command(flatten)]
        file: FileArgs,

        /// The container image to run the jobs in
        #[arg(long, value_name = "IMAGE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        image: String,
    },
}

/// Writes the jobs of a jobfile in the words of another scheduler.
fn of_jobfile(what: &As, context: &Context) -> anyhow::Result<ExitCode> {
    let (As::Crontab { file } | As::Systemd { file } | As::Kubernetes { file, .. }) = what;
    let file = file.path("a jobfile is exported as a whole", context)?;
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
        let (of, message) = (clean(&unsaid.of), clean(&unsaid.message));
        say(&format!("{of}: {kind}: {message}"));
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
