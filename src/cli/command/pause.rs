//! `schedrs pause`: due times are skipped until further notice.

use anyhow::{Context as _, bail};
use serde_json::json;

use super::argument;
use super::each::JobsOrAll;
use super::request::Connection;
use super::time;
use crate::cli::{Context, ExitCode};
use crate::core::words;
use crate::problem::clean;
use crate::sys::clock;

/// Pause jobs, or all jobs
///
/// Until you resume them, their due times are recorded as skipped. Active runs continue. A pause
/// survives a restart. --all also pauses jobs that are added later.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs pause backup --reason 'the disk is being replaced'
  schedrs pause backup --until 18:00
  schedrs pause 'backup-*' tag:eu
  schedrs pause --all --until +2h")]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: JobsOrAll,

    /// Until this time, on this machine's clock: 18:00, tomorrow 09:00, fri, +2h [default: until
    /// you resume it]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// The reason, shown to whoever asks later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (now, zone) = (clock::wall(), argument::local_zone(context));
    let until = match &args.until {
        Some(text) => {
            Some(time::ahead(text, &zone, now, now).with_context(|| format!("--until {text}"))?)
        }
        None => None,
    };
    if until.is_some_and(|until| until <= now) {
        bail!("--until {}: this is in the past", clean(args.until.as_deref().unwrap_or_default()));
    }
    let mut request = json!({ "do": "pause", "reason": args.reason });
    if let Some(until) = until {
        request["until"] = words::rfc3339(until, &zone).into();
    }
    let ends = |job: &str| match until {
        Some(until) => format!("until {}", words::moment(until, now, &zone)),
        None => format!("until `schedrs resume {job}{}`", args.connection.typed()),
    };
    if args.jobs.all {
        request["all"] = true.into();
        let told = |_: &_| format!("all jobs are paused {}", ends("--all"));
        return args.connection.request_and_show(&request, told);
    }
    let request = |job: &str| {
        let mut request = request.clone();
        request["job"] = job.into();
        request
    };
    args.jobs.named().each("pause", &args.connection, context, request, |job, _| {
        format!("{job} is paused {}", ends(&argument::quoted(job)))
    })
}
