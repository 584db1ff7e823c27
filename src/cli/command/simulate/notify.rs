//! What people would have been told in the time that was simulated.

use std::io::{BufWriter, Write};

use serde::Serialize;

use super::Question;
use crate::cli::ExitCode;
use crate::core::instant::Instant;
use crate::core::notify::Message;
use crate::core::words;
use crate::core::zone::Zone;
use crate::notify::secret::Secrets;
use crate::notify::{Context, text};
use crate::problem::clean;
use crate::sim::told::Told;

/// A message, for programs.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    route: &'a str,
    /// How many notifications it has no room for.
    more: u64,
    notifications: Vec<Part<'a>>,
}

/// What it tells.
#[derive(Serialize)]
struct Part<'a> {
    kind: &'a str,
    job: &'a str,
    due: String,
    count: u64,
    streak: u32,
    text: String,
}

pub(super) fn write(question: &Question, told: &Told, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    for (at, message) in &told.messages {
        if json {
            writeln!(out, "{}", serde_json::to_string(&line(*at, message, question))?)?;
        } else {
            paragraph(*at, message, question, &mut out)?;
        }
    }
    let more = told.more;
    if more > 0 && !json {
        writeln!(out, "and {more} more messages")?;
    }
    out.flush()?;
    if told.messages.is_empty() && !json {
        crate::cli::say(
            "schedrs: nobody would be told anything; --failing JOB=TIME..TIME has a job fail",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// `11-29 03:00:12 +01:00  ops  backup failed: exit 1`, and the others below it.
fn paragraph(
    at: Instant,
    message: &Message,
    question: &Question,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let when = words::table_time(at, &question.zone);
    let (bold, dim) = (anstyle::Style::new().bold(), anstyle::Style::new().dimmed());
    for (place, text) in texts(at, message, question).into_iter().enumerate() {
        let text = clean(&text).into_owned();
        match place {
            0 => writeln!(out, "{dim}{when}{dim:#}  {bold}{}{bold:#}  {text}", message.route)?,
            _ => {
                let indent = when.len() + 2 + message.route.len() + 2;
                writeln!(out, "{:indent$}{text}", "")?;
            }
        }
    }
    if message.more > 0 {
        let indent = when.len() + 2 + message.route.len() + 2;
        writeln!(out, "{:indent$}{}", "", text::and_more(message.more))?;
    }
    Ok(())
}

/// What a chat would say of each, without the host.
fn texts(at: Instant, message: &Message, question: &Question) -> Vec<String> {
    let zone = |job: &str| zone_of(job, question);
    let secrets = Secrets::default();
    let context = Context { host: "", now: at, zone: &zone, secrets: &secrets };
    message.notifications.iter().map(|it| text::headline(it, &context)).collect()
}

fn zone_of(job: &str, question: &Question) -> Zone {
    let known = question.jobs.iter().find(|it| &*it.id == job);
    known.map_or_else(|| question.zone.clone(), |job| job.zone.clone())
}

fn line<'a>(at: Instant, message: &'a Message, question: &Question) -> Line<'a> {
    let zone = &question.zone;
    let texts = texts(at, message, question);
    let parts = message.notifications.iter().zip(texts).map(|(it, text)| Part {
        kind: it.kind.word(),
        job: &it.job,
        due: words::rfc3339(it.due, zone),
        count: it.count,
        streak: it.streak,
        text,
    });
    let (at, more) = (words::rfc3339(at, zone), message.more);
    Line { at, route: &message.route, more, notifications: parts.collect() }
}
