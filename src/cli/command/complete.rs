//! `schedrs __complete`: what may come next, for the scripts of `schedrs completions`.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::completions::Shell;
use crate::cli::complete::{self, Candidate, Living, Next, line};
use crate::cli::{self, Context, ExitCode};
use crate::control::client::{Client, Place};
use crate::core::sort;
use crate::jobfile::{self, locate};
use crate::problem;
use crate::sys::clock;

/// More than this nobody reads.
const MOST: usize = 10_000;

/// How long a scheduler may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

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
    let mut quote = None;
    let words = match (args.shell, &args.words[..]) {
        (Shell::Bash, [line, ..]) => {
            let line = line::apart(line);
            quote = line.quote;
            line.words
        }
        // Its last word is as it was typed.
        (Shell::Fish, [before @ .., last]) => {
            let last = line::words(last).pop().unwrap_or_default();
            before.iter().cloned().chain([last]).collect()
        }
        _ => args.words.clone(),
    };
    let mut root = cli::definition();
    root.build();
    let next = complete::next(&root, words.get(1..).unwrap_or_default());
    let typed = words.last().map_or("", |word| word);
    let mut out = BufWriter::new(io::stdout().lock());
    let has_files = matches!(next.living, Some(Living::File | Living::JobOrFile));
    let is_file = next.living == Some(Living::File) && next.words.is_empty();
    let candidates = if is_file { Vec::new() } else { candidates(next, typed, context) };
    // Where no job fits it is the name of a file, of which the shell knows more.
    if has_files && candidates.is_empty() {
        writeln!(out, ":files")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, ":words")?;
    for candidate in candidates.into_iter().take(MOST) {
        writeln!(out, "{}", shown(&candidate, typed, args, quote))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Those that begin as what was typed does. A shell shows them as they are, so none that holds what
/// is not seen, or would be another line of our answer: an id may be anybody's.
fn candidates(next: Next, typed: &str, context: &Context) -> Vec<Candidate> {
    let Next { words, living, prefix, jobfile, socket } = next;
    let named = match living {
        Some(Living::Job) => jobs(jobfile.as_deref(), socket.as_deref(), context),
        Some(Living::JobOrFile) => {
            let mut both = jobs(jobfile.as_deref(), socket.as_deref(), context);
            // Of two jobfiles one would be too many.
            both.extend(jobfile.is_none().then(jobfiles).into_iter().flatten());
            both
        }
        Some(Living::Zone) => {
            let zone = |word| Candidate { word, about: String::new() };
            context.zones.names().into_iter().map(zone).collect()
        }
        Some(Living::File) | None => Vec::new(),
    };
    let all = words.into_iter().chain(named);
    let all =
        all.map(|candidate| Candidate { word: prefix.clone() + &candidate.word, ..candidate });
    let fits = |word: &str| word.starts_with(typed) && !word.contains(problem::is_hidden);
    all.filter(|candidate| fits(&candidate.word)).collect()
}

/// The jobfiles of this directory, which stand beside jobs.
fn jobfiles() -> Vec<Candidate> {
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let jobfiles = names.filter(|name| name.ends_with(".toml") && !name.starts_with('.'));
    let mut jobfiles: Vec<String> = jobfiles.take(MOST).collect();
    sort::all(&mut jobfiles);
    jobfiles.into_iter().map(|word| Candidate { word, about: String::new() }).collect()
}

/// The jobs of a jobfile and of the scheduler that runs it, if one does: some may have been added
/// since, and the file may be broken.
fn jobs(jobfile: Option<&str>, socket: Option<&str>, context: &Context) -> Vec<Candidate> {
    let file = locate::jobfile(jobfile.map(Path::new)).ok();
    let place = match (socket, &file) {
        (Some(socket), _) => Some(Place::Socket(socket.into())),
        (None, Some(file)) => Some(Place::Jobfile(file.clone())),
        (None, None) => None,
    };
    let mut jobs = BTreeMap::new();
    if socket.is_none()
        && let Some(file) = file
    {
        let loaded = jobfile::load_path(&file, &context.zones, clock::wall());
        for job in loaded.set.iter().flat_map(|set| &set.jobs) {
            jobs.insert(job.id.to_string(), job.name.as_deref().unwrap_or_default().to_owned());
        }
    }
    if let Some(place) = place {
        running(&place, &mut jobs);
    }
    jobs.into_iter().map(|(word, about)| Candidate { word, about }).collect()
}

/// Adds the jobs of a running scheduler. Whatever goes wrong, there are fewer candidates then.
fn running(place: &Place, jobs: &mut BTreeMap<String, String>) {
    // Nobody waits longer for a word.
    let Ok(mut client) = Client::connect_within(place, PATIENCE) else { return };
    let _ = client.ask_all(&json!({ "do": "list" }), |part| {
        for job in part.get("jobs").and_then(Value::as_array).into_iter().flatten() {
            if let Some(id) = job["id"].as_str() {
                let name = job["name"].as_str().unwrap_or_default();
                jobs.entry(id.to_owned()).or_insert_with(|| name.to_owned());
            }
        }
    });
}

/// A candidate as a shell wants it.
fn shown(candidate: &Candidate, typed: &str, args: &Args, quote: Option<(char, usize)>) -> String {
    let about = problem::clean(&candidate.about);
    match (args.shell, quote) {
        // It replaces what stands behind the quote, cuts nothing there and closes it.
        (Shell::Bash, Some((quote, at))) => {
            line::within(quote, candidate.word.get(at..).unwrap_or_default())
        }
        _ => shown_unquoted(candidate, typed, args, &about),
    }
}

fn shown_unquoted(candidate: &Candidate, typed: &str, args: &Args, about: &str) -> String {
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
