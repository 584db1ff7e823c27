//! The same request for each of several jobs of a running schedrs, for the subcommands that take ids,
//! patterns and tags.

use std::io::{IsTerminal, Write};

use serde_json::{Map, Value, json};

use super::named;
use super::request::{self, Connection, Output};
use super::selection::{Selection, is_pattern};
use crate::cli::{Context, ExitCode};
use crate::control::client::Client;
use crate::control::wire::view::JobLine;
use crate::core::words;
use crate::problem::clean;

/// More than this nobody changes by mistake.
const WITHOUT_ASKING: usize = 10;

/// So many are named in the question.
const NAMED: usize = 3;

/// Which jobs, and whether that is a lot.
#[derive(clap::Args, Debug)]
pub(super) struct Jobs {
    /// The jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB", required = true)]
    pub(super) jobs: Vec<String>,

    /// Do not ask, even for more than ten jobs
    #[arg(short, long)]
    yes: bool,
}

/// The same, or all of them.
#[derive(clap::Args, Debug)]
pub(super) struct JobsOrAll {
    /// The jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    jobs: Vec<String>,

    /// All jobs
    #[arg(long)]
    pub(super) all: bool,

    /// Do not ask, even for more than ten jobs
    #[arg(short, long)]
    yes: bool,
}

impl JobsOrAll {
    /// Those that were named.
    pub(super) fn named(&self) -> Jobs {
        Jobs::of(self.jobs.clone(), self.yes)
    }
}

/// Those that were found, and the way to the schedrs that has them.
pub(super) struct Chosen {
    pub(super) client: Client,
    pub(super) jobs: Vec<String>,
}

/// Finds the jobs that words stand for. A word that stands for one is left to schedrs, which knows
/// what is wrong with it.
pub(super) fn choose(
    words: &[String],
    connection: &Connection,
    context: &Context,
) -> anyhow::Result<Chosen> {
    let named = named::jobs(words, connection.jobfile(), context)?;
    if named.jobs.is_empty() {
        anyhow::bail!("no job is named, only a jobfile");
    }
    let mut client = connection.connect_to(named.jobfile.as_ref())?;
    let jobs = resolve(named.jobs, &mut client)?;
    Ok(Chosen { client, jobs })
}

/// The ids of the jobs of a running schedrs that words stand for, each once.
pub(super) fn resolve(words: Vec<String>, client: &mut Client) -> anyhow::Result<Vec<String>> {
    if !words.iter().any(|word| is_pattern(word)) {
        let mut jobs: Vec<String> = Vec::with_capacity(words.len());
        for job in words {
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
        return Ok(jobs);
    }
    resolve_checked(&words, client)
}

/// The same, where somebody has to notice that one of them is mistyped.
pub(super) fn resolve_checked(
    words: &[String],
    client: &mut Client,
) -> anyhow::Result<Vec<String>> {
    let mut all: Vec<JobLine> = Vec::new();
    let mut fault = None;
    let part = |mut part: Map<String, Value>| {
        for job in part.remove("jobs").iter_mut().flat_map(Value::as_array_mut).flatten() {
            match serde_json::from_value(job.take()) {
                Ok(job) => all.push(job),
                Err(error) => fault = Some(error),
            }
        }
    };
    client.ask_all(&json!({ "do": "list" }), part).map_err(request::told)?;
    if let Some(error) = fault {
        anyhow::bail!("the scheduler speaks another version: {error}");
    }
    let known: Vec<_> = all.iter().map(|job| (&*job.id, &*job.tags)).collect();
    let places = Selection::new(words)?.choose(&known, "")?;
    Ok(places.into_iter().map(|place| all[place].id.clone()).collect())
}

impl Jobs {
    pub(super) fn of(jobs: Vec<String>, yes: bool) -> Jobs {
        Jobs { jobs, yes }
    }

    /// Finds them, and asks whoever sits at a terminal if there are many. `verb` is what is to be done
    /// to them. `None`: rather not.
    pub(super) fn choose(
        &self,
        verb: &str,
        connection: &Connection,
        context: &Context,
    ) -> anyhow::Result<Option<Chosen>> {
        let mut chosen = choose(&self.jobs, connection, context)?;
        // What asks another host takes its time.
        request::be_patient(&mut chosen.client)?;
        let is_agreed = self.yes || may(verb, &chosen.jobs)?;
        Ok(is_agreed.then_some(chosen))
    }

    /// Makes a request for each of them and says what has become of it. What fails for one is said, and
    /// the others are done all the same.
    pub(super) fn each(
        &self,
        verb: &str,
        connection: &Connection,
        context: &Context,
        request: impl Fn(&str) -> Value,
        words: impl Fn(&str, &Map<String, Value>) -> String,
    ) -> anyhow::Result<ExitCode> {
        let Some(mut chosen) = self.choose(verb, connection, context)? else {
            return Ok(ExitCode::FAILURE);
        };
        let mut code = ExitCode::SUCCESS;
        let is_one = chosen.jobs.len() == 1;
        for job in &chosen.jobs {
            match chosen.client.ask(&request(job)).map_err(request::told) {
                Ok(body) => tell(job, body, connection, &words)?,
                Err(error) if is_one => return Err(error),
                Err(error) => code = failed(job, &error),
            }
        }
        Ok(code)
    }
}

/// What has become of one of several that could not be done.
pub(super) fn failed(job: &str, error: &anyhow::Error) -> ExitCode {
    crate::cli::say(&format!("schedrs: {}: {}", clean(job), crate::problem::clean_error(error)));
    ExitCode::FAILURE
}

/// Shows an answer, which as JSON says which job it is about, and its warnings.
pub(super) fn tell(
    job: &str,
    mut body: Map<String, Value>,
    connection: &Connection,
    words: impl Fn(&str, &Map<String, Value>) -> String,
) -> anyhow::Result<()> {
    if connection.output == Output::Json {
        body.entry("job").or_insert_with(|| job.into());
    }
    connection.show_with_warnings(&body, |body| words(&clean(job), body))
}

/// Whether so many are to be changed: somebody at a terminal is asked.
fn may(verb: &str, jobs: &[String]) -> anyhow::Result<bool> {
    let (input, mut err) = (std::io::stdin(), anstream::stderr());
    if jobs.len() <= WITHOUT_ASKING || !input.is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(true);
    }
    write!(err, "{} [y/N] ", question(verb, jobs))?;
    err.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// `pause 12 jobs (a, b, c and 9 more)?`
fn question(verb: &str, jobs: &[String]) -> String {
    let mut names: Vec<String> =
        jobs.iter().take(NAMED).map(|job| clean(job).into_owned()).collect();
    if jobs.len() > NAMED {
        names.push(format!("{} more", jobs.len() - NAMED));
    }
    format!("{verb} {} jobs ({})?", jobs.len(), words::list(&names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_some() {
        let jobs: Vec<String> = ["a", "b\u{1b}", "c", "d", "e"].map(str::to_owned).to_vec();
        let text = question("pause", &jobs);
        assert!(text.starts_with("pause 5 jobs (a, b"), "{text}");
        assert!(text.ends_with("c and 2 more)?") && !text.contains('\u{1b}'), "{text}");
    }
}
