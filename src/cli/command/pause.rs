//! `schedrs pause`: due times are skipped until further notice.

use anyhow::{Context as _, bail};
use serde_json::json;

use super::argument;
use super::request::Connection;
use crate::cli::{Context, ExitCode};
use crate::core::instant::Instant;
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem::clean;
use crate::sys::clock;

/// Pause a job, or all of them
///
/// Its due times are recorded as skipped until it is resumed. What runs goes on. It stays so over a
/// restart.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs pause backup --reason 'the disk is being replaced'
  schedrs pause backup --until 18:00
  schedrs pause --all --until +2h")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    job: Option<String>,

    /// All jobs, those to come included
    #[arg(long)]
    all: bool,

    /// Until this time: an RFC 3339 time, a date with or without a time or a time of day (on the
    /// clocks of this machine), or `+2h30m` from now [default: until it is resumed]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (now, zone) = (clock::wall(), argument::local_zone(context));
    let until = match &args.until {
        Some(text) => Some(time(text, &zone, now).with_context(|| format!("--until {text}"))?),
        None => None,
    };
    if until.is_some_and(|until| until <= now) {
        bail!("--until {}: that is past already", clean(args.until.as_deref().unwrap_or_default()));
    }
    let mut request = json!({ "do": "pause", "reason": args.reason });
    match &args.job {
        Some(job) => request["job"] = job.as_str().into(),
        None => request["all"] = true.into(),
    }
    if let Some(until) = until {
        request["until"] = words::rfc3339(until, &zone).into();
    }
    args.connection.request_and_show(&request, |_| {
        let what = match &args.job {
            Some(job) => format!("{} is paused", clean(job)),
            None => "all jobs are paused".to_owned(),
        };
        match until {
            Some(until) => format!("{what} until {}", words::soon(until, now, &zone)),
            None => format!("{what} until `schedrs resume`"),
        }
    })
}

/// A time, or a time of day: then the next time that it is that late.
fn time(text: &str, zone: &Zone, now: Instant) -> anyhow::Result<Instant> {
    let today = words::rfc3339(now, zone);
    let (Some(day), true) = (today.get(..10), text.get(2..3) == Some(":")) else {
        return argument::instant(text, zone, now, now);
    };
    let at = argument::instant(&format!("{day}T{text}"), zone, now, now)?;
    if at > now {
        Ok(at)
    } else {
        // Noon is on the next day whatever the clocks do in the night.
        let noon = argument::instant(&format!("{day}T12:00:00"), zone, now, now)?;
        let next = words::rfc3339(noon.plus(std::time::Duration::from_secs(86_400)), zone);
        let day = next.get(..10).unwrap_or_default();
        argument::instant(&format!("{day}T{text}"), zone, now, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::zone::Database;

    #[test]
    fn a_time_of_day_is_the_next_one() {
        let zone = Database::bundled().get("Europe/Berlin").unwrap();
        let at = |text| argument::instant(text, &zone, Instant::MIN, Instant::MIN).unwrap();
        let rows = [
            ("2026-11-25 17:00", "18:00", "2026-11-25 18:00"),
            ("2026-11-25 18:00", "18:00", "2026-11-26 18:00"),
            ("2026-11-30 23:59", "00:30:15", "2026-12-01 00:30:15"),
            // Clocks go forward in the night, and this day has 23 hours.
            ("2026-03-28 23:30", "23:00", "2026-03-29 23:00"),
            ("2026-10-24 23:30", "23:00", "2026-10-25 23:00"),
            ("2026-11-25 17:00", "+90m", "2026-11-25 18:30"),
        ];
        for (now, text, expected) in rows {
            assert_eq!(time(text, &zone, at(now)).unwrap(), at(expected), "{now} {text}");
        }
        assert!(time("25:00", &zone, at("2026-11-25")).is_err());
    }
}
