//! `schedrs metrics`: the numbers of a running schedrs, as Prometheus reads them.

use std::io::{self, Write};

use serde_json::json;

use super::named::AsArgument;
use super::request::{self, Address};
use crate::cli::{Context, ExitCode};
use crate::control::client::Client;
use crate::control::metrics::Page;

/// Print metrics for Prometheus
///
/// Counters start at 0 with the scheduler; times and failures in a row come from the store.
/// doc/metrics.md explains every series, and has alert rules and a dashboard.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example, for the textfile collector of node_exporter:
  schedrs metrics --textfile > schedrs.prom.new && mv schedrs.prom.new schedrs.prom")]
pub(crate) struct Args {
    /// Leave out the series of each job
    #[arg(long)]
    no_jobs: bool,

    /// Leave out the process_ series, for a collector that has its own: node_exporter's textfile one
    #[arg(long)]
    textfile: bool,

    #[command(flatten)]
    address: AsArgument<Address>,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let whole = whole(&mut args.address.place().connect()?, !args.no_jobs)?;
    let mut out = io::stdout().lock();
    out.write_all(whole.text(!args.textfile).as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// All that a scheduler has to say.
pub(super) fn whole(client: &mut Client, jobs: bool) -> anyhow::Result<Page> {
    let mut request = json!({ "do": "metrics", "jobs": jobs });
    let mut whole = Page::default();
    loop {
        whole.append(client.ask_for(&request).map_err(request::told)?);
        match whole.more {
            Some(more) => request["from"] = more.into(),
            None => return Ok(whole),
        }
    }
}
