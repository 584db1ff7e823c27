//! `schedrs store copy`: history, pauses and added jobs from one store to another. The work is done in
//! `crate::store::copy`.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::super::history_source::{self, told};
use crate::cli::progress::Progress;
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::sort;
use crate::core::words;
use crate::problem::clean;
use crate::store::copy::{Copied, CopyError, Options, copy};
use crate::store::location::{self, Location};
use crate::store::{Store, shared};

/// A host that was killed may count as one that is there for so long: no lease is longer.
const SILENT: Duration = Duration::from_secs(600);

/// Copy history, pauses, and added and changed jobs from one store to another
///
/// FROM and TO are URLs as in `[store] url`, SQLite files, or jobfiles (`*.toml`), meaning their
/// stores. No scheduler may be using either store, and TO must be empty. FROM is not changed. At
/// the end both are read back and compared; the table shows how much each holds.
///
/// If a copy is interrupted, run the same command again: it continues where it stopped.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example: schedrs store copy jobs.toml postgres://schedrs@db/schedrs

Exit codes: 0 both stores hold the same; 1 they do not, or nothing was copied; 2 wrong usage.")]
pub(super) struct Args {
    /// The store to copy from
    #[arg(value_name = "FROM")]
    from: String,

    /// The store to copy to
    #[arg(value_name = "TO")]
    to: String,

    /// For jobs with `run_on = "all"`, copy this host's records when TO holds only one host's
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table
    Table,
    /// One JSON object
    Json,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (from, to) = (place(&args.from, context)?, place(&args.to, context)?);
    if from.clone().followed() == to.clone().followed() {
        bail!("FROM and TO are the same store");
    }
    // Opening it for writing would make what is not there, and move away what is damaged.
    location::reader(&from).and_then(|mut reader| reader.all_paused()).map_err(told)?;
    let mut source = open(&from)?;
    let mut target = open(&to)?;
    nobody_is_there(&from, &mut *source)?;
    nobody_is_there(&to, &mut *target)?;
    let mut progress = Progress::new("copied");
    let copied = {
        let mut show = |done, all| progress.show(done, all);
        let options = Options { host: args.host.as_deref(), progress: &mut show };
        copy(&mut *source, &mut *target, options)
    };
    progress.clear();
    let copied = copied.map_err(|error| anyhow!("{}", clean(&error.to_string())))?;
    // Only a file has a lock that keeps others away.
    nobody_is_there(&from, &mut *source)?;
    nobody_is_there(&to, &mut *target)?;
    if copied.read != copied.written {
        bail!("{}", CopyError::Differs("the counts do not agree".to_owned()));
    }
    print(args.output, &copied, &from, &to)?;
    Ok(ExitCode::SUCCESS)
}

/// What was typed: a URL, the path of a file, or a jobfile.
fn place(text: &str, context: &Context) -> anyhow::Result<Location> {
    let path = Path::new(text);
    let is_url = text.contains("://") || text.starts_with("sqlite:") || text == "memory";
    let place = match path.extension() {
        _ if is_url => Location::parse(text, Path::new("")).map_err(told)?,
        Some(extension) if extension == "toml" => history_source::store_of(path, context)?,
        _ => Location::Sqlite(path.to_path_buf()),
    };
    if place == Location::Memory {
        bail!("{}: the store is `memory`, which is lost when the scheduler stops", clean(text));
    }
    Ok(place)
}

fn open(place: &Location) -> anyhow::Result<Box<dyn Store>> {
    let opened = location::open(place).map_err(told)?;
    if opened.location == Location::Memory {
        // The default place, which cannot be written.
        bail!("{}", clean(&opened.warnings.join("; ")));
    }
    for warning in &opened.warnings {
        anstream::eprintln!("schedrs: warning: {}", clean(warning));
    }
    Ok(opened.store)
}

/// A file is locked while a scheduler has it; of a shared store its sessions tell.
fn nobody_is_there(place: &Location, store: &mut dyn Store) -> anyhow::Result<()> {
    let (Location::Shared(_), Some(shared)) = (place, store.shared()) else { return Ok(()) };
    let view = shared::look(shared).map_err(told)?;
    let silence = |seen| Duration::from_secs(view.now.since(seen).as_secs());
    let there =
        view.members.iter().find(|member| member.gone.is_none() && silence(member.seen) < SILENT);
    match there {
        None => Ok(()),
        Some(member) => bail!(
            "{} uses the store {place}, as it has said {} ago; stop its schedrs (one that was killed \
             counts for {})",
            clean(&member.host),
            words::span(silence(member.seen)),
            words::span(SILENT)
        ),
    }
}

fn print(output: Output, copied: &Copied, from: &Location, to: &Location) -> anyhow::Result<()> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    let rows = copied.read.rows().into_iter().zip(copied.written.rows());
    match output {
        Output::Json => {
            let counts = |rows: [(&'static str, u64); 11]| -> Map<String, Value> {
                let rows = rows.into_iter();
                sort::collect(rows.map(|(what, count)| (what.replace(' ', "_"), count.into())))
            };
            let object = json!({
                "from": from.to_string(),
                "to": to.to_string(),
                "read": counts(copied.read.rows()),
                "written": counts(copied.written.rows()),
                "records_there_before": copied.before,
                "hosts_dropped": copied.hosts,
            });
            writeln!(out, "{}", crate::problem::json(&object)?)?;
        }
        Output::Table => {
            let mut table = Table::new(vec!["WHAT", "READ", "WRITTEN"], 0).with_numbers(1..3);
            for ((what, read), (_, written)) in rows {
                table.row(vec![what.to_owned(), read.to_string(), written.to_string()]);
            }
            table.write(&mut out, terminal_width())?;
            if copied.before > 0 {
                writeln!(out, "{} records were already there from an earlier copy", copied.before)?;
            }
            if copied.hosts > 0 {
                writeln!(
                    out,
                    "{} records lost their host name: a file does not keep it",
                    copied.hosts
                )?;
            }
        }
    }
    out.flush()?;
    Ok(())
}
