//! `schedrs at` and `schedrs every`: a job that is in no file, typed as short as with at(1).

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::add::{Job, next};
use super::options::{self, ADD, Flags};
use super::request::{self, Connection};
use super::{argument, time};
use crate::cli::{Context, ExitCode};
use crate::control::client::Error;
use crate::core::event::Code;
use crate::core::instant::Instant;
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem::clean;
use crate::sys::clock;

/// No part of an id that is made up is longer.
const MOST: usize = 40;

/// So many jobs that would be called the same are told apart by a number.
const ALIKE: u32 = 99;

/// Run a command once, at a time
///
/// The same as `schedrs add --at`, with an id made from the time and the program, such as
/// `at-17:30-cancel_order`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs at 17:30 -- ./cancel_order 42
  schedrs at tomorrow 09:00 -- ./report.sh --weekly
  schedrs at +30m --retries 2 -- 'curl -fsS http://127.0.0.1/beat'")]
pub(crate) struct At {
    /// When: 17:30, tomorrow 09:00, fri noon or +30m on this machine's clock; 2026-12-01 09:00 in
    /// the job's time zone
    #[arg(value_name = "TIME", required = true, num_args = 1..)]
    when: Vec<String>,

    #[command(flatten)]
    rest: Rest,
}

/// Run a command at regular intervals
///
/// The same as `schedrs add --every`, with an id made from the interval and the program, such as
/// `every-10m-poll`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs every 10m -- ./poll
  schedrs every 1h 30m --timeout 5m -- ./report.sh --short")]
pub(crate) struct Every {
    /// The interval: 30s, 10m, 1h 30m; or as in a jobfile: '{ weeks = 2, hour = 9 }'
    #[arg(value_name = "DURATION", required = true, num_args = 1..)]
    interval: Vec<String>,

    #[command(flatten)]
    rest: Rest,
}

#[derive(clap::Args, Debug)]
struct Rest {
    /// Another id
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    #[command(flatten)]
    flags: Flags<ADD>,

    #[command(flatten)]
    connection: Connection,

    /// The command, after `--`
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

pub(crate) fn at(args: &At, context: &Context) -> anyhow::Result<ExitCode> {
    let text = args.when.join(" ");
    let (zone, now) = (argument::local_zone(context), clock::wall());
    let named = || clean(&text).into_owned();
    let when = options::at(&text, context).with_context(named)?;
    // A date without an offset is on the clocks of the job: what it is here makes a name, and no more.
    let here = time::ahead(&text, &zone, now, now).with_context(named)?;
    if let Some(at) = request::instant(&when).filter(|at| *at < now.truncated()) {
        bail!("{}: {} is in the past", named(), words::table_time(at.truncated(), &zone));
    }
    let id = format!("at-{}-{}", of_time(here, now, &zone), of_command(&args.rest.command));
    args.rest.add(&id, json!({ "at": when }), context)
}

pub(crate) fn every(args: &Every, context: &Context) -> anyhow::Result<ExitCode> {
    let text = args.interval.join(" ");
    let every = options::typed(&text);
    if every.is_string() {
        time::interval(&text).with_context(|| clean(&text).into_owned())?;
    }
    let id = format!("every-{}-{}", plain(&text.replace(' ', "")), of_command(&args.rest.command));
    args.rest.add(&id, json!({ "every": every }), context)
}

impl Rest {
    /// Adds it as `id`, unless it has one of its own; where there is such a job, as `id-2`.
    fn add(&self, id: &str, when: Value, context: &Context) -> anyhow::Result<ExitCode> {
        let mut client = self.connection.connect()?;
        request::be_patient(&mut client)?;
        let id = self.id.as_deref().unwrap_or(id);
        let mut name = id.to_owned();
        let mut number = 1;
        let body = loop {
            let job = Job { id: &name, command: &self.command, flags: &self.flags };
            let mut request = job.request()?;
            for (key, value) in when.as_object().into_iter().flatten() {
                request[key] = value.clone();
            }
            match client.ask(&request) {
                Err(Error::Refused(fault))
                    if fault.code == Code::Exists && self.id.is_none() && number < ALIKE =>
                {
                    number += 1;
                    name = format!("{id}-{number}");
                }
                answer => break answer.map_err(request::told)?,
            }
        };
        self.connection.show_with_warnings(&body, |body| {
            format!("{} is added{}", clean(&name), next(body, context))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `17:30`, and its day if that is not today.
fn of_time(at: Instant, now: Instant, zone: &Zone) -> String {
    // `2026-11-29T17:30:00+01:00`
    let (text, today) = (words::rfc3339(at.truncated(), zone), words::rfc3339(now, zone));
    let clock = text.get(11..19).unwrap_or_default();
    let clock = clock.strip_suffix(":00").unwrap_or(clock);
    match (text.get(..10), today.get(..10)) {
        (Some(day), Some(today)) if day != today => format!("{day}-{clock}"),
        _ => clock.to_owned(),
    }
}

/// The name of the program, or the first word of a line for the shell.
fn of_command(command: &[String]) -> String {
    let first = command.first().map_or("", String::as_str);
    let first = first.split_whitespace().next().unwrap_or_default();
    plain(first.rsplit('/').next().unwrap_or_default())
}

/// What needs no quotes in a shell, and is no pattern.
fn plain(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric() || "_-.".contains(*c));
    let kept: String = kept.take(MOST).collect();
    if kept.is_empty() { "command".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_it_is() {
        let rows = [
            (&["./cancel_order", "42"][..], "cancel_order"),
            (&["/usr/bin/curl -fsS http://x > /dev/null"], "curl"),
            (&["sh", "-c", "x"], "sh"),
            (&["$(rm -rf /)"], "rm"),
            (&["'*'"], "command"),
            (&["x\u{1b}[2J"], "x2J"),
        ];
        for (command, expected) in rows {
            let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(of_command(&command), expected, "{command:?}");
        }
        let (zone, now) = (Zone::utc(), Instant::from_secs(1_795_478_400));
        for (after, expected) in
            [(60, "00:01"), (61, "00:01:01"), (86_400 + 34_200, "2026-11-25-09:30")]
        {
            let at = now.plus(std::time::Duration::from_secs(after));
            assert_eq!(of_time(at, now, &zone), expected);
        }
    }
}
