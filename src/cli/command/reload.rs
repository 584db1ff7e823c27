//! `schedrs reload`: the jobfile is read again.

use serde_json::{Map, Value, json};

use super::named::AsArgument;
use super::request::{self, Connection};
use crate::cli::{Context, ExitCode};

/// Reload the jobfile
///
/// If the file has errors, they are shown and nothing changes. Unchanged jobs keep their next due
/// time, and active runs continue.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: AsArgument<Connection>,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    args.connection.place().request_and_show(&json!({ "do": "reload" }), words)
}

/// `12 jobs: 1 new, 2 changed, 9 as before; 0 gone`.
pub(super) fn words(body: &Map<String, Value>) -> String {
    let number = |key| request::number(body, key);
    let (added, changed) = (number("added"), number("changed"));
    let (removed, unchanged) = (number("removed"), number("unchanged"));
    let jobs = request::count(added + changed + unchanged, "job");
    format!("{jobs}: {added} new, {changed} changed, {unchanged} as before; {removed} gone")
}
