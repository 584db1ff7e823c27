//! `schedrs health`: whether a running schedrs does its work, for probes and monitors.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::named::AsArgument;
use super::request::{self, Connection, Output};
use super::time;
use crate::cli::{Context, ExitCode};
use crate::core::health::Condition;
use crate::core::sort;
use crate::problem::clean;

/// Check whether the scheduler does its work, for probes
///
/// Prints one line: `pass`, `warn` or `fail`, and why. It fails if no scheduler runs, if it does not
/// answer, or if it does not act on what is due. It warns if you should look: the store cannot be
/// written, the last reload failed, runs have waited for an executor for more than 15 minutes, or
/// something hangs. Failing jobs do not count: see `schedrs metrics` and `schedrs history --failed`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes: 0 pass; 1 warn; 2 fail, or wrong usage, as Nagios plug-ins have them. Docker knows only 0 \
and 1:

  HEALTHCHECK CMD schedrs health; [ $? -lt 2 ]")]
pub(crate) struct Args {
    /// Fail if there is no answer within this time
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    timeout: String,

    #[command(flatten)]
    connection: AsArgument<Connection>,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let Ok(timeout) = time::duration(&args.timeout) else {
        anstream::eprintln!(
            "schedrs: --timeout {} is not a duration such as 10s",
            clean(&args.timeout)
        );
        return Ok(Condition::Fail.code().into());
    };
    let connection = args.connection.place();
    let body = ask(&connection, timeout).unwrap_or_else(|error| failed(&error));
    let word = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let condition = match word("status") {
        "pass" => Condition::Pass,
        "warn" => Condition::Warn,
        _ => Condition::Fail,
    };
    let mut out = anstream::stdout().lock();
    match connection.output {
        Output::Json => writeln!(out, "{}", crate::problem::json(&body)?)?,
        Output::Text => line(condition, &body, &mut out)?,
    }
    out.flush()?;
    Ok(condition.code().into())
}

/// The verdict about a scheduler that cannot be asked.
pub(super) fn failed(error: &anyhow::Error) -> Map<String, Value> {
    // What else there is to say of it, `status` says.
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.split("; ").next().unwrap_or_default();
    sort::collect([("status".into(), "fail".into()), ("output".into(), first.into())])
}

fn ask(
    connection: &Connection,
    timeout: std::time::Duration,
) -> anyhow::Result<Map<String, Value>> {
    let mut client = connection.connect_within(timeout)?;
    client.ask(&json!({ "do": "health" })).map_err(request::told)
}

fn line(condition: Condition, body: &Map<String, Value>, out: &mut dyn Write) -> io::Result<()> {
    let notes = body.get("notes").and_then(|notes| notes.get(0)).and_then(Value::as_str);
    let said = body.get("output").and_then(Value::as_str).or(notes).unwrap_or_default();
    // A sentence of several lines is to stay in this one.
    let said: Vec<&str> = said.lines().map(str::trim).collect();
    writeln!(out, "{}: {}", condition.word(), clean(&said.join(" ")))
}
