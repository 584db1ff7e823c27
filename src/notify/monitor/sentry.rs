//! Sentry Crons: check-ins as JSON, each with what makes or updates the monitor where the trigger can
//! be said in its words.

use serde::Serialize;

use super::{About, post};
use crate::core::job::{Grace, Job};
use crate::core::notify::ping::{Phase, Ping};
use crate::core::notify::url::Url;
use crate::core::trigger::{CronTrigger, Trigger};
use crate::core::words;
use crate::notify::wire::Request;

#[derive(Serialize)]
struct CheckIn<'a> {
    check_in_id: &'a str,
    monitor_slug: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor_config: Option<Config>,
}

/// What Sentry has to know to see that something did not happen. All of it is in minutes.
#[derive(Serialize)]
struct Config {
    schedule: Schedule,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkin_margin: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_runtime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Schedule {
    Crontab { value: String },
    Interval { value: u64, unit: &'static str },
}

pub(super) fn form(ping: &Ping, url: &Url, about: &About<'_>) -> Result<Request, String> {
    let path = url.rest().split('?').next().unwrap_or_default();
    let mut parts = path.split('/').skip_while(|part| *part != "cron").skip(1);
    let slug = parts.next().filter(|slug| !slug.is_empty());
    let (Some(slug), Some(_key)) = (slug, parts.next().filter(|key| !key.is_empty())) else {
        return Err("ping: a monitor of Sentry has a URL such as \
                    https://HOST/api/PROJECT/cron/MONITOR/KEY/"
            .to_owned());
    };
    let status = match (ping.phase, &ping.outcome) {
        (Phase::Start, _) => "in_progress",
        (Phase::End, Some(outcome)) if !outcome.is_success() => "error",
        (Phase::End | Phase::Beat, _) => "ok",
    };
    let check_in = CheckIn {
        check_in_id: &ping.rid,
        monitor_slug: slug,
        status,
        duration: ping.duration.map(|duration| duration.as_secs_f64()),
        monitor_config: match about.job {
            Some(job) => of_job(job),
            None => about.every.and_then(interval).map(|schedule| Config {
                schedule,
                checkin_margin: None,
                max_runtime: None,
                timezone: None,
            }),
        },
    };
    let body = crate::problem::json(&check_in).map_err(|error| error.to_string())?;
    Ok(post(url, "application/json", body))
}

fn of_job(job: &Job) -> Option<Config> {
    let schedule = match &job.trigger {
        Trigger::Cron(cron) => crontab(cron)?,
        Trigger::Interval(every) if every.every().subsec_nanos() == 0 => {
            interval(every.every().as_secs())?
        }
        _ => return None,
    };
    let options = &job.options;
    let minutes = |secs: u64| secs.div_ceil(60).max(1);
    let late = options.longest_delay().as_secs();
    let checkin_margin = match options.misfire_grace_time {
        Grace::Limited(grace) => Some(minutes(grace.as_secs().saturating_add(late))),
        // However late it is: Sentry knows no word for that.
        Grace::Forever => None,
    };
    // Each attempt may take so long, and nobody knows how many there will be.
    let once = options.retries == 0;
    let max_runtime = options.timeout.filter(|_| once).map(|limit| minutes(limit.as_secs()));
    let timezone = match &schedule {
        Schedule::Crontab { .. } if job.zone.has_name() => Some(job.zone.name().to_owned()),
        _ => None,
    };
    Some(Config { schedule, checkin_margin, max_runtime, timezone })
}

/// Five fields without `L`, `W` and `#`.
fn crontab(cron: &CronTrigger) -> Option<Schedule> {
    let [schedule] = cron.schedules() else { return None };
    let value = words::normalised(schedule)?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "*/,- ".contains(c);
    let said = value.split(' ').count() == 5 && value.chars().all(is_plain);
    said.then_some(Schedule::Crontab { value })
}

/// Whole minutes, in the largest unit that fits.
fn interval(secs: u64) -> Option<Schedule> {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute")];
    let (size, unit) =
        units.into_iter().find(|(size, _)| secs >= *size && secs.is_multiple_of(*size))?;
    Some(Schedule::Interval { value: secs / size, unit })
}
