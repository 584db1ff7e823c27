//! `schedrs schema`: the JSON Schema of the jobfile, for editors.

use std::io::{self, Write};

use crate::cli::{Context, ExitCode};
use crate::jobfile::json_schema;

/// Print the JSON Schema of the jobfile
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Editors that use taplo (such as Even Better TOML) complete and check a jobfile that begins with the \
line

  #:schema ./schedrs.schema.json

The schema checks less than `schedrs validate`, which has the last word.")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, _: &Context) -> anyhow::Result<ExitCode> {
    let text = serde_json::to_string_pretty(&json_schema::schema())?;
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
