//! `schedrs validate`: every problem of a jobfile, in one pass.
//!
//! The findings are what was asked for and go to stdout, in text mode with a summary line for each
//! file below them; in JSON mode stdout has nothing but one object a line, and the summary goes to
//! stderr. `explain` prints what `--explain` adds.

pub(super) mod explain;
mod fleet;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::named;
use crate::cli::table::terminal_width;
use crate::cli::{Context, ExitCode};
use crate::jobfile::{self, Loaded, locate};
use crate::problem::{self, Place, Problem};
use crate::run::trust;
use crate::store::location;
use crate::store::url::SharedUrl;
use crate::sys::clock;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without FILE, checks the first of $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml \
and /etc/schedrs/jobs.toml that exists.

With --fleet, lists new, changed and removed jobs. Differences between hosts (jobfile, version, time \
zone data) are warnings. A job that no host may run is an error.

Exit codes: 0 no errors (warnings are allowed); 1 errors were found; 2 wrong usage.")]
pub(crate) struct Args {
    /// Jobfiles to check; `-` is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The same as an option
    #[arg(short = 'f', long = "file", alias = "jobfile", value_name = "FILE")]
    jobfiles: Vec<PathBuf>,

    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,

    /// Print each job's schedule in English, its options and where each value comes from
    #[arg(long, conflicts_with = "output")]
    explain: bool,

    /// Compare with what runs on the hosts that share this store [default: the jobfile's store]
    #[arg(long, value_name = "URL", num_args = 0..=1)]
    fleet: Option<Option<String>>,

    /// Output format: text, or one JSON object per line
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (files, url) = files(args, context)?;
    let now = clock::wall();
    let mut good = true;
    for file in &files {
        let mut loaded = if args.explain {
            jobfile::load_path_with_origins(file, &context.zones, now)
        } else {
            jobfile::load_path(file, &context.zones, now)
        };
        if args.strict {
            loaded.problems.make_strict();
        }
        // Whoever checks a file is often not who runs it, nor is it then at the same place: who
        // may write to it is worth a word, but never an error.
        trust::check(&mut loaded, false);
        check_store(&mut loaded);
        good &= loaded.problems.errors() == 0;
        let mut compared = match &args.fleet {
            Some(_) => fleet::compare(file, &loaded, url, context)?,
            None => None,
        };
        if let Some(compared) = &mut compared {
            if args.strict {
                compared.make_strict();
            }
            good &= compared.is_good();
        }
        let mut summary = summary(file, &loaded);
        if let Some(compared) = &compared {
            summary += &format!("\n{}", compared.summary());
        }
        match args.output {
            Output::Text => {
                let mut out = io::BufWriter::new(anstream::stdout().lock());
                problem::print(&mut out, &loaded.problems, &loaded.sources, terminal_width())?;
                if args.explain {
                    explain::jobs(&mut out, &loaded, now)?;
                }
                if let Some(compared) = &compared {
                    compared.text(&mut out)?;
                }
                writeln!(out, "{summary}")?;
                out.flush()?;
            }
            Output::Json => {
                let mut out = io::BufWriter::new(io::stdout().lock());
                problem::print_json(&mut out, &loaded.problems, &loaded.sources)?;
                if let Some(compared) = &compared {
                    compared.json(&mut out)?;
                }
                out.flush()?;
                anstream::eprintln!("{summary}");
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// That `[store] url` means nothing to its engine is an error: nothing would run.
fn check_store(loaded: &mut Loaded) {
    let url = loaded.set.as_ref().and_then(|set| set.settings.store_url.as_deref());
    let Some(url) = url.and_then(SharedUrl::parse) else { return };
    if let Err(error) = location::check(&url) {
        let message = format!("the store {}", error.message);
        loaded.problems.push(Problem::error(Place { file: 0, span: None }, message));
        loaded.problems.sort();
        loaded.set = None;
    }
}

/// The files to check, and the store to compare with. What stands behind `--fleet` and is no URL is a
/// file.
fn files<'a>(args: &'a Args, context: &Context) -> anyhow::Result<(Vec<PathBuf>, Option<&'a str>)> {
    for file in &args.files {
        let instead =
            "`schedrs validate --explain` tells of all its jobs, `schedrs doctor {}` of it";
        named::refuse_job(file, instead, context)?;
    }
    let mut files = [&args.files[..], &args.jobfiles].concat();
    let mut url = args.fleet.as_ref().and_then(|url| url.as_deref());
    if let Some(file) = url.filter(|url| !url.contains("://")) {
        files.insert(0, file.into());
        url = None;
    }
    if files.is_empty() {
        files.push(locate::jobfile(None)?);
    }
    Ok((files, url))
}

/// `jobs.toml: 12 jobs, 2 warnings`.
fn summary(file: &Path, loaded: &Loaded) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let mut parts = Vec::new();
    // With errors some jobs were not understood, so their number would be a guess.
    if let Some(set) = &loaded.set {
        parts.push(count(set.jobs.len(), "job"));
        if !set.settings.elsewhere.is_empty() {
            parts.push(format!("{} for other hosts", set.settings.elsewhere.len()));
        }
    }
    let (errors, warnings) = (loaded.problems.errors(), loaded.problems.warnings());
    if errors > 0 {
        parts.push(count(errors, "error"));
    }
    if warnings > 0 {
        parts.push(count(warnings, "warning"));
    }
    if errors + warnings == 0 {
        parts.push("no problems".to_owned());
    }
    let name = match loaded.sources.get(0) {
        Some(source) => problem::clean(&source.name).into_owned(),
        None => problem::clean(&file.to_string_lossy()).into_owned(),
    };
    format!("{name}: {}", parts.join(", "))
}
