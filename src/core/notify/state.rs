//! What has been told of a job on a route, and so what there is to tell next.
//!
//! Pure: a [`State`] hears of the fates of one job on one route and answers with what is to be said, by
//! the table in `doc/notifications.md`. The same fates give the same answers, so that a state that was
//! written down and read again goes on as if nothing had been.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Kind, Route};
use crate::core::instant::Instant;
use crate::core::words;
use crate::core::zone::Zone;

/// So many times a job may be told to fail within [`WHILE`] before that is called flapping.
const TURNS: usize = 3;
/// See [`TURNS`]; and a job that flaps is steady when it has not failed for so long.
const WHILE: Duration = Duration::from_secs(3600);
/// Or when it has succeeded so often in a row.
const STEADY: u32 = 5;

/// What has become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobEvent<'a> {
    /// A run has failed for good, in this way: its outcome, and the exit code or the signal.
    Failed(&'a str),
    /// A run has succeeded.
    Succeeded,
    /// Due times were missed.
    Missed,
    /// Due times were deliberately not run.
    Skipped,
    /// An attempt has failed, and another will follow.
    Retrying,
    /// Nothing has succeeded for as long as was expected.
    Overdue,
    /// A run takes longer than it should.
    Slow,
    /// One has printed far less than usual.
    Quiet,
    /// One was over far sooner than usual.
    Fast,
}

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// When it was last told that the job fails, in microseconds since 1970, as all times here; `None`: it
    /// was not, or it was told to be well again.
    told: Option<i64>,
    /// In what way it failed then, where the route is to hear of another way.
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<Box<str>>,
    /// When it was told to begin to fail, of late.
    turns: Vec<i64>,
    /// When it last failed, if it flaps.
    flapping: Option<i64>,
    /// How often it has succeeded in a row, if it flaps.
    good: u32,
    /// It was told to be overdue, and has not succeeded since.
    overdue: bool,
    /// The host that was the first to tell of what it is told to suffer from now, where several share a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    begun_on: Option<Box<str>>,
}

impl State {
    /// What there is to tell when this has become of the job. What the route does not want to hear of
    /// is none of it. So many of its runs have failed in a row, this one included.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        event: JobEvent<'_>,
        failed: u32,
        route: &Route,
    ) -> Option<Kind> {
        let kind = match event {
            JobEvent::Failed(how) => self.failed(now, failed, how, route),
            JobEvent::Succeeded => self.succeeded(now, route),
            JobEvent::Missed => Some(Kind::Missed),
            JobEvent::Skipped => Some(Kind::Skipped),
            JobEvent::Retrying => Some(Kind::Retrying),
            JobEvent::Overdue => self.overdue(route),
            JobEvent::Slow => Some(Kind::Slow),
            JobEvent::Quiet => Some(Kind::Quiet),
            JobEvent::Fast => Some(Kind::Fast),
        }?;
        route.wants(kind).then_some(kind)
    }

    /// This host has told something of it, and `before` is what was known until then. Answers the host that
    /// told how it began, if that is another one.
    pub(super) fn told_by(&mut self, host: &str, before: &State) -> Option<Box<str>> {
        let first = before.begun_on.as_deref().unwrap_or(host);
        let goes_on = self.told.is_some() || self.flapping.is_some() || self.overdue;
        self.begun_on = goes_on.then(|| first.into());
        (first != host).then(|| first.into())
    }

    /// Why nothing is told of a failure now, if that is so; and how many runs have failed in a row, as far as
    /// that is known.
    pub(super) fn silence(
        &self,
        failed: Option<u32>,
        route: &Route,
        zone: &Zone,
    ) -> Option<String> {
        if self.flapping.is_some() {
            return Some("it was told that the job fails and recovers again and again".to_owned());
        }
        if let Some(told) = self.told {
            let at = words::table_time(Instant::from_micros(told).truncated(), zone);
            return Some(format!("it was told {at} that the job fails"));
        }
        let after = route.after;
        failed
            .is_some_and(|failed| failed < after)
            .then(|| format!("it hears of it after {after} failed runs in a row"))
    }

    /// Whether there is nothing to know of it.
    pub(super) fn is_blank(&self) -> bool {
        *self == State::default()
    }

    fn failed(&mut self, now: Instant, failed: u32, how: &str, route: &Route) -> Option<Kind> {
        self.good = 0;
        if let Some(last) = &mut self.flapping {
            *last = now.micros();
        }
        if let Some(told) = self.told {
            let again = route.again.is_some_and(|again| passed(told, now) >= again);
            let before = self.how.take();
            self.how = route.on_change.then(|| how.into());
            let is_other = before.is_some_and(|before| *before != *how);
            let is_news = is_other && route.on_change && self.flapping.is_none();
            return (again || is_news).then(|| {
                self.told = Some(now.micros());
                Kind::StillFailing
            });
        }
        // Nobody hears of it, so nobody is to hear that it is over.
        if failed < route.after || !route.wants(Kind::Failed) {
            return None;
        }
        self.told = Some(now.micros());
        self.how = route.on_change.then(|| how.into());
        self.turns.retain(|turn| passed(*turn, now) < WHILE);
        self.turns.push(now.micros());
        if self.turns.len() <= TURNS {
            return Some(Kind::Failed);
        }
        self.flapping = Some(now.micros());
        self.turns.clear();
        Some(Kind::Flapping)
    }

    fn succeeded(&mut self, now: Instant, route: &Route) -> Option<Kind> {
        let was_overdue = std::mem::take(&mut self.overdue);
        if let Some(last) = self.flapping {
            self.good += 1;
            let is_steady = self.good >= STEADY || passed(last, now) >= WHILE;
            return is_steady.then(|| {
                *self = State::default();
                Kind::Steady
            });
        }
        self.turns.retain(|turn| passed(*turn, now) < WHILE);
        let was_told = self.told.take().is_some();
        self.how = None;
        let is_news = was_told || was_overdue;
        Some(if is_news && route.wants(Kind::Recovered) {
            Kind::Recovered
        } else {
            Kind::Succeeded
        })
    }

    fn overdue(&mut self, route: &Route) -> Option<Kind> {
        if self.overdue || !route.wants(Kind::Overdue) {
            return None;
        }
        self.overdue = true;
        Some(Kind::Overdue)
    }
}

/// How long ago that was; a clock that was set back makes it no time.
fn passed(then: i64, now: Instant) -> Duration {
    now.since(Instant::from_micros(then))
}

/// The name of a state where it is written down.
pub(super) fn key(route: &str, job: &str) -> Box<str> {
    format!("{route}\n{job}").into()
}

/// The route and the job of such a name.
pub(super) fn of_key(key: &str) -> Option<(&str, &str)> {
    key.split_once('\n')
}

#[cfg(test)]
mod tests;
