//! `Restart=` and what belongs to it: further attempts of a run that has failed.

use std::time::Duration;

use super::Reading;
use crate::convert::import::unit::{Setting, Unit};
use crate::convert::import::{DraftJob, Value, duration};

/// So often within so long systemd starts a unit, unless told otherwise.
const BURST: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(10);

/// What systemd waits before it starts a unit again, unless told otherwise.
const DELAY: Duration = Duration::from_millis(100);

/// How often systemd starts a unit.
struct Limit<'u> {
    /// What says so, if anything does.
    setting: Option<&'u Setting>,
    /// So often; `None`: without end.
    starts: Option<u32>,
    /// Within so long.
    within: Duration,
}

impl Reading<'_, '_> {
    pub(super) fn restart(&mut self, service: &Unit, job: &mut DraftJob) {
        let limit = self.limit(service);
        let setting = service.one("Service", "Restart").filter(|setting| setting.value != "no");
        let Some(setting) = setting else {
            if let Limit { setting: Some(setting), starts: Some(_), .. } = limit {
                let key = &setting.key;
                self.noted(setting, format!("`{key}` is left out: only its schedule limits a job"));
            }
            return;
        };
        let value = setting.value.as_str();
        let known =
            ["always", "on-failure", "on-abnormal", "on-abort", "on-watchdog", "on-success"];
        if !known.contains(&value) {
            self.lost(setting, format!("not converted: `Restart={value}` is unknown to systemd"));
            return;
        }
        if value == "on-success" {
            self.noted(setting, "`Restart=on-success` is left out: only failures are retried here");
            return;
        }
        let delay = service.one("Service", "RestartSec").and_then(|delay| self.time(delay));
        let delay = delay.unwrap_or(DELAY);
        let retries = limit.starts.unwrap_or(BURST).saturating_sub(1);
        job.set("retries", Value::Integer(retries.into()));
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let text = match millis % 1000 {
            0 => duration(millis / 1000),
            _ => format!("{millis}ms"),
        };
        job.text("retry_delay", text);
        job.set("retry_backoff", Value::Integer(1));
        let when = match value {
            "always" => ", and only after a failure",
            "on-failure" => "",
            _ => ", and after any failure",
        };
        // Starts that are so far apart are never too many.
        let is_endless =
            limit.starts.is_none_or(|starts| delay.saturating_mul(starts) > limit.within);
        let endless = if is_endless { "; systemd would never give up" } else { "" };
        let message = format!(
            "`Restart={value}` becomes `retries = {retries}`: so many more attempts for each due \
             time{when}{endless}"
        );
        self.noted(setting, message);
    }

    /// `StartLimitBurst=` and `StartLimitIntervalSec=`, in either section; 0 takes the limit away.
    fn limit<'u>(&mut self, service: &'u Unit) -> Limit<'u> {
        let of = |key| service.one("Unit", key).or(service.one("Service", key));
        let (burst, interval) =
            (of("StartLimitBurst"), of("StartLimitIntervalSec").or(of("StartLimitInterval")));
        let within = match interval {
            Some(setting) if setting.value == "infinity" => Duration::MAX,
            Some(setting) => self.time(setting).unwrap_or(INTERVAL),
            None => INTERVAL,
        };
        let starts = match burst.map(|setting| (setting, setting.value.parse())) {
            Some((_, Ok(starts))) => starts,
            Some((setting, Err(_))) => {
                let value = &setting.value;
                self.lost(setting, format!("not converted: `{value}` is no number of starts"));
                BURST
            }
            None => BURST,
        };
        let starts = Some(starts).filter(|starts| *starts > 0 && !within.is_zero());
        Limit { setting: burst.or(interval), starts, within }
    }
}
