//! `schedrs reload`: the jobfile is read again.

use serde_json::json;

use super::request::{self, Connection};
use crate::cli::{Context, ExitCode};

/// Have a running schedrs read its jobfile again
///
/// If the file has an error its problems are shown and the old jobs go on. Jobs that say the same
/// as before keep their next due time, and what runs goes on.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    args.connection.request_and_show(&json!({ "do": "reload" }), |body| {
        let number = |key| request::number(body, key);
        let (added, changed) = (number("added"), number("changed"));
        let (removed, unchanged) = (number("removed"), number("unchanged"));
        let jobs = request::count(added + changed + unchanged, "job");
        format!("{jobs}: {added} new, {changed} changed, {unchanged} as before; {removed} gone")
    })
}
