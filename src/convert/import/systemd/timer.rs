//! When a job is due, from its timer: calendar expressions, intervals, starts, and what moves them.

use super::{Reading, yes};
use crate::convert::import::calendar::{self, Converted};
use crate::convert::import::unit::{Setting, Unit};
use crate::convert::import::{DraftJob, Oracle, Value, duration};
use crate::problem::{Place, Span};

impl Reading<'_, '_> {
    pub(super) fn triggers(&mut self, timer: &Unit, mut job: DraftJob) {
        let all = |key| timer.all("Timer", key);
        let persistent = timer.one("Timer", "Persistent");
        if persistent.is_some_and(|setting| yes(&setting.value)) {
            job.text("misfire_grace_time", "forever");
        }
        self.shifts(timer, &mut job);
        if let Some(setting) = timer.one("Timer", "AccuracySec") {
            self.noted(setting, "`AccuracySec` is left out: due times are kept to the second");
        }
        let mut once: Vec<&Setting> =
            ["OnBootSec", "OnStartupSec", "OnActiveSec"].into_iter().flat_map(all).collect();
        let every: Vec<&Setting> =
            ["OnUnitActiveSec", "OnUnitInactiveSec"].into_iter().flat_map(all).collect();
        let calendars = all("OnCalendar");
        // A first run one interval after the start is what an interval is here anyway.
        let is_interval = |setting: &&Setting| {
            setting.key == "OnActiveSec" && every.first().is_some_and(|e| e.value == setting.value)
        };
        once.retain(|setting| !(calendars.is_empty() && is_interval(setting)));
        if let Some(first) = once.first() {
            let message = format!(
                "`{}` becomes a run when the scheduler starts, without the delay",
                first.key
            );
            self.noted(first, message);
        }
        let repeats = !calendars.is_empty() || !every.is_empty();
        if repeats && !once.is_empty() {
            job.set("run_on_start", Value::Boolean(true));
        }
        if !calendars.is_empty() {
            for setting in every {
                self.lost(
                    setting,
                    "not converted: a job is due either by the calendar or at intervals",
                );
            }
            return self.calendars(&calendars, job);
        }
        if let Some((first, more)) = every.split_first() {
            if self.interval(first, more, &mut job).is_none() {
                return;
            }
        } else if let Some(first) = once.first() {
            match first.key.as_str() {
                "OnActiveSec" => job.keys.insert(1, ("date", Value::Text("now".to_owned()))),
                _ => job.keys.insert(1, ("cron", Value::Text("@reboot".to_owned()))),
            }
            job.oracle = Oracle::None("a start of the scheduler is no due time");
        } else {
            let span = timer.settings.first().map(|setting| setting.span).unwrap_or_default();
            let message = "not converted: the timer has no time";
            self.draft.lost(self.file, span, message, None);
            return;
        }
        self.draft.jobs.push(job);
    }

    /// The first setting is the job's interval; it can have no more.
    fn interval(&mut self, first: &Setting, more: &[&Setting], job: &mut DraftJob) -> Option<()> {
        for setting in more {
            self.lost(setting, "not converted: a job can have only one interval");
        }
        let time = self.time(first).filter(|time| !time.is_zero())?;
        let value = match (first.key.as_str(), time.subsec_millis()) {
            ("OnUnitInactiveSec", 0) => from_end(time.as_secs()),
            ("OnUnitInactiveSec", _) => {
                let message =
                    "from the end of a run to the next start are whole seconds: rounded up";
                self.noted(first, message);
                from_end(time.as_secs() + 1)
            }
            (_, 0) => Value::Text(duration(time.as_secs())),
            _ => Value::Text(format!("{}ms", time.as_millis())),
        };
        job.keys.insert(1, ("interval", value));
        job.oracle = Oracle::None("an interval counts from when the scheduler starts");
        Some(())
    }

    /// Delays: one that is chosen anew each time is a jitter, one that stays is a spread.
    fn shifts(&mut self, timer: &Unit, job: &mut DraftJob) {
        let mut given = |key| {
            let setting = timer.one("Timer", key)?;
            self.time(setting).filter(|time| !time.is_zero())
        };
        let (delay, offset) = (given("RandomizedDelaySec"), given("RandomizedOffsetSec"));
        let fixed = timer.one("Timer", "FixedRandomDelay").is_some_and(|s| yes(&s.value));
        let (jitter, spread) = match (delay, fixed) {
            (Some(delay), true) => (None, Some(offset.unwrap_or_default().saturating_add(delay))),
            (delay, _) => (delay, offset),
        };
        for (key, time) in [("jitter", jitter), ("spread", spread)] {
            if let Some(time) = time {
                job.text(key, duration(time.as_secs().max(1)));
            }
        }
    }

    fn calendar(&mut self, setting: &Setting) -> Option<Converted> {
        let why = match calendar::convert(&setting.value) {
            Ok(converted) => {
                let zone = converted.timezone.as_deref();
                match zone.and_then(|zone| Some(self.draft.zones.find(zone).err()?.say(zone))) {
                    Some(unknown) => unknown,
                    None => return Some(converted),
                }
            }
            Err(message) => message,
        };
        self.lost(setting, format!("not converted: {why}"));
        None
    }

    /// Calendar expressions: those of crontab fields are one job's, each other one has its own.
    fn calendars(&mut self, settings: &[&Setting], job: DraftJob) {
        let mut groups: Vec<(Converted, Vec<String>, Span)> = Vec::new();
        for setting in settings {
            let Some(mut converted) = self.calendar(setting) else { continue };
            let text = match &converted.value {
                Value::Text(text) => vec![text.clone()],
                _ => Vec::new(),
            };
            let same = groups.iter_mut().find(|(first, texts, _)| {
                !texts.is_empty() && !text.is_empty() && first.timezone == converted.timezone
            });
            match same {
                Some((first, texts, _)) => {
                    texts.extend(text);
                    first.oracle = match (&first.oracle, converted.oracle) {
                        (Oracle::Quartz(a), Oracle::Quartz(b)) => {
                            Oracle::Quartz([a.clone(), b].concat())
                        }
                        (_, other) => other,
                    };
                }
                None => {
                    converted.value =
                        if text.is_empty() { converted.value } else { Value::Text(String::new()) };
                    groups.push((converted, text, setting.span));
                }
            }
        }
        if groups.len() > 1
            && let Some((_, _, span)) = groups.get(1)
        {
            let message = "these become several jobs, which may run at the same time";
            self.draft.noted(self.file, *span, message, None);
        }
        for (converted, texts, span) in groups {
            let place = Place { file: self.file, span: Some(span) };
            self.draft.jobs.push(due_at(&job, converted, &texts, place));
        }
    }
}

/// An interval from the end of a run to the next start.
fn from_end(secs: u64) -> Value {
    let units = [
        ("days", secs / 86_400),
        ("hours", secs / 3600 % 24),
        ("minutes", secs / 60 % 60),
        ("seconds", secs % 60),
    ];
    let units = units.into_iter().filter(|(_, count)| *count > 0);
    let units =
        units.map(|(unit, count)| (unit, Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))));
    Value::Table(units.chain([("from", Value::Text("end".to_owned()))]).collect())
}

/// A job that is due at calendar expressions: `texts` where they are those of crontab fields.
fn due_at(job: &DraftJob, converted: Converted, texts: &[String], place: Place) -> DraftJob {
    let mut copy = DraftJob {
        comments: job.comments.clone(),
        id: job.id.clone(),
        more_id: Vec::new(),
        keys: job.keys.clone(),
        env: job.env.clone(),
        place: Some(place),
        secrets: Default::default(),
        oracle: converted.oracle,
    };
    let value = match texts {
        [] => converted.value,
        [one] => Value::Text(one.clone()),
        several => Value::Texts(several.to_vec()),
    };
    let after_command = copy.keys.iter().position(|(key, _)| *key == "command");
    copy.keys.insert(after_command.map_or(0, |at| at + 1), (converted.key, value));
    if let Some(zone) = converted.timezone {
        copy.text("timezone", zone);
    }
    copy
}
