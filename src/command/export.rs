//! `schedrs export`: the jobs of a running schedrs as a jobfile.

use std::io::{BufWriter, Write};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::asking::{self, Whom};
use crate::cli::{Context, ExitCode};

/// Write the jobs of a running schedrs as a jobfile
///
/// All of them as they are in effect: those of the jobfile and those that were added, with
/// `[defaults]` and what was changed at run time in each. It holds what the jobfile holds, secrets
/// included.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example: schedrs export > everything.toml && schedrs validate everything.toml")]
pub(crate) struct Args {
    /// How to write them
    #[arg(long, value_name = "FORMAT", default_value = "toml")]
    output: Format,

    #[command(flatten)]
    whom: Whom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A jobfile
    Toml,
    /// One object with the same keys
    Json,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = args.whom.connect()?;
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
                .map_err(asking::told)?;
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
                .map_err(asking::told)?;
            writeln!(out, "{}", Value::Object(whole))?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
