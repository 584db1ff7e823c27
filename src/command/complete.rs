//! `schedrs __complete`: what may come next, for the scripts of `schedrs completions`.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::completions::Shell;
use crate::cli::{self, Context, ExitCode};
use crate::complete::{self, Candidate, Living, Next, line};
use crate::jobfile::{self, locate};
use crate::{clock, problem};

/// More than this nobody reads.
const MOST: usize = 10_000;

/// Say what may come next on a command line
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Who asks, and so how to answer
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,

    /// The characters at which bash cuts words
    #[arg(long, default_value = "")]
    breaks: String,

    /// The words so far, the program's name first; for bash, the line as it was typed
    #[arg(value_name = "WORD", last = true)]
    words: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let words = match (args.shell, &args.words[..]) {
        (Shell::Bash, [line, ..]) => line::words(line),
        _ => args.words.clone(),
    };
    let mut root = cli::definition();
    root.build();
    let next = complete::next(&root, words.get(1..).unwrap_or_default());
    let typed = words.last().map_or("", |word| word);
    let mut out = BufWriter::new(io::stdout().lock());
    if next.living == Some(Living::File) && next.words.is_empty() {
        writeln!(out, ":files")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, ":words")?;
    for candidate in candidates(next, typed, context).into_iter().take(MOST) {
        writeln!(out, "{}", shown(&candidate, typed, args))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Those that begin as what was typed does.
fn candidates(next: Next, typed: &str, context: &Context) -> Vec<Candidate> {
    let Next { words, living, prefix, jobfile } = next;
    let named = match living {
        Some(Living::Job) => jobs(jobfile.as_deref().map(Path::new), context),
        Some(Living::Zone) => {
            let zone = |word| Candidate { word, about: String::new() };
            context.zones.names().into_iter().map(zone).collect()
        }
        Some(Living::File) | None => Vec::new(),
    };
    let all = words.into_iter().chain(named);
    let all =
        all.map(|candidate| Candidate { word: prefix.clone() + &candidate.word, ..candidate });
    all.filter(|candidate| candidate.word.starts_with(typed)).collect()
}

/// The jobs of a jobfile.
fn jobs(jobfile: Option<&Path>, context: &Context) -> Vec<Candidate> {
    let Ok(file) = locate::jobfile(jobfile) else { return Vec::new() };
    let loaded = jobfile::load_path(&file, &context.zones, clock::wall());
    let Some(set) = loaded.set else { return Vec::new() };
    let jobs = set.jobs.iter().map(|job| Candidate {
        word: job.id.to_string(),
        about: job.name.as_deref().unwrap_or_default().to_owned(),
    });
    jobs.collect::<BTreeSet<Candidate>>().into_iter().collect()
}

/// A candidate as a shell wants it.
fn shown(candidate: &Candidate, typed: &str, args: &Args) -> String {
    let about = problem::clean(&candidate.about);
    match args.shell {
        Shell::Bash => {
            // It replaces only what stands behind the last place at which it has cut.
            let cut = typed.rfind(|c| "=:".contains(c) && args.breaks.contains(c));
            let rest = &candidate.word[cut.map_or(0, |cut| cut + 1)..];
            line::quoted(rest)
        }
        Shell::Zsh => {
            let word = candidate.word.replace('\\', "\\\\").replace(':', "\\:");
            if about.is_empty() { word } else { format!("{word}:{about}") }
        }
        Shell::Fish if about.is_empty() => candidate.word.clone(),
        Shell::Fish => format!("{}\t{about}", candidate.word),
    }
}
