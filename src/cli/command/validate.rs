//! `schedrs validate`: every problem of a jobfile, in one pass.
//!
//! The findings are what was asked for and go to stdout, in text mode with a summary line for each
//! file below them; in JSON mode stdout has nothing but one object a line, and the summary goes to
//! stderr. `explain` prints what `--explain` adds.

mod explain;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::{Context, ExitCode};
use crate::jobfile::{self, Loaded, locate};
use crate::problem;
use crate::run::trust;
use crate::sys::clock;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without FILE, the first of $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml and \
/etc/schedrs/jobs.toml is checked.

Exit codes: 0 no errors (warnings are counted, but allowed); 1 errors were found; 2 the command \
line is wrong.")]
pub(crate) struct Args {
    /// Jobfiles to check; `-` is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Take warnings for errors
    #[arg(long)]
    strict: bool,

    /// Print each job's schedule in English, its options, and where each value comes from
    #[arg(long, conflicts_with = "output")]
    explain: bool,

    /// How to print what was found: for people, or as one JSON object a line
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let files =
        if args.files.is_empty() { vec![locate::jobfile(None)?] } else { args.files.clone() };
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
        good &= loaded.problems.errors() == 0;
        let summary = summary(file, &loaded);
        match args.output {
            Output::Text => {
                let mut out = io::BufWriter::new(anstream::stdout().lock());
                problem::print(&mut out, &loaded.problems, &loaded.sources)?;
                if args.explain {
                    explain::jobs(&mut out, &loaded, now)?;
                }
                writeln!(out, "{summary}")?;
                out.flush()?;
            }
            Output::Json => {
                let mut out = io::BufWriter::new(io::stdout().lock());
                problem::print_json(&mut out, &loaded.problems, &loaded.sources)?;
                out.flush()?;
                anstream::eprintln!("{summary}");
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
