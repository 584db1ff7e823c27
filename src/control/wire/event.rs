//! One thing that has happened, as an object (`events` in `doc/control.md`).

use serde::{Deserialize, Serialize};

use crate::control::journal::Entry;
use crate::core::event::{Change, Happening};
use crate::core::outcome::Reached;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::object::RunObject;

/// See the [module](self). A key that does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventView {
    /// Its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// `started`, `retrying`, `waiting`, `outcome`, `unusual`, `job`, `gone`, `changed`, `reloaded`, `stopping`,
    /// `stopped`; or
    /// `gap`: what came before is not kept.
    pub event: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The job; left out where it is about the scheduler, or all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The attempt that was started, or will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How long until the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What became of due times, as in a history; of an attempt the part that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RunObject>,
    /// In what ways a run is out of the ordinary: `quiet`, `fast`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unusual: Vec<String>,
    /// What somebody has done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, or in what way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many jobs are new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<usize>,
    /// How many differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<usize>,
    /// How many are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<usize>,
    /// How many runs are active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<usize>,
    /// More will come.
    pub done: bool,
}

impl EventView {
    /// In the place of what is not kept.
    pub fn gap() -> EventView {
        EventView { event: "gap".to_owned(), ..EventView::default() }
    }

    pub fn new(entry: &Entry) -> EventView {
        let mut zone = Zone::utc();
        let mut view = EventView {
            seq: Some(entry.number),
            job: entry.what.job().map(str::to_owned),
            ..EventView::default()
        };
        view.event = match &entry.what {
            Happening::Started { job, run, attempt, due, pid } => {
                zone = job.zone.clone();
                (view.run, view.attempt, view.pid) = (Some(run.0), Some(*attempt), Some(*pid));
                view.due = Some(words::rfc3339(*due, &zone));
                "started"
            }
            Happening::Retrying { job, run, outcome, attempt, delay } => {
                zone = job.zone.clone();
                (view.run, view.attempt) = (Some(run.0), Some(*attempt));
                view.delay_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
                view.detail = Some(outcome.phrase(Reached::Process(None)));
                "retrying"
            }
            Happening::Waiting { job, run, due, reading } => {
                zone = job.zone.clone();
                view.run = Some(run.0);
                view.due = Some(words::rfc3339(*due, &zone));
                view.detail = Some(reading.to_string());
                "waiting"
            }
            Happening::Outcome(record) => {
                zone = record.job.zone.clone();
                view.record = Some(RunObject::of_decided(record));
                "outcome"
            }
            Happening::Unusual(found) => {
                zone = found.job.zone.clone();
                view.run = Some(found.run.0);
                view.due = Some(words::rfc3339(found.due, &zone));
                view.unusual = found.unusual.remarks().iter().map(|it| it.0.to_owned()).collect();
                let texts = found.unusual.sentences().into_iter().map(|(_, text)| text);
                view.detail = Some(texts.collect::<Vec<_>>().join("; "));
                "unusual"
            }
            Happening::Job(_) => "job",
            Happening::Gone(_) => "gone",
            Happening::Changed(Change { what, by, detail, .. }) => {
                (view.what, view.by) = (Some(what.to_string()), Some(by.to_string()));
                view.detail = detail.as_deref().map(str::to_owned);
                "changed"
            }
            Happening::Reloaded { added, changed, removed } => {
                (view.added, view.changed) = (Some(*added), Some(*changed));
                view.removed = Some(*removed);
                "reloaded"
            }
            Happening::Stopping { running } => {
                view.running = Some(*running);
                "stopping"
            }
            Happening::Stopped => "stopped",
        }
        .to_owned();
        view.time = Some(words::rfc3339(entry.at, &zone));
        view
    }

    /// What has happened, for people, without the time. To be cleaned.
    pub fn phrase(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let number = |number: Option<usize>| number.unwrap_or_default();
        let job =
            match (self.job.as_deref(), self.run.or(self.record.as_ref().and_then(|it| it.run))) {
                (Some(job), Some(run)) => format!("{job} #{run}: "),
                (Some(job), None) => format!("{job}: "),
                (None, _) => String::new(),
            };
        let what = match &*self.event {
            "started" => {
                let pid = self.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
                match self.attempt.unwrap_or(1) {
                    1 => format!("started{pid}"),
                    attempt => format!("started again{pid}, attempt {attempt}"),
                }
            }
            "retrying" => {
                let delay = std::time::Duration::from_millis(self.delay_ms.unwrap_or_default());
                let attempt = self.attempt.unwrap_or_default();
                format!("{}; attempt {attempt} in {}", text(&self.detail), words::span(delay))
            }
            "waiting" => format!("waiting for its conditions: {}", text(&self.detail)),
            "outcome" => self.record.as_ref().map(RunObject::phrase).unwrap_or_default(),
            "unusual" => format!("{}: {}", self.unusual.join(", "), text(&self.detail)),
            "job" => "new or changed".to_owned(),
            "gone" => "gone".to_owned(),
            "changed" => {
                let detail = self.detail.as_ref().map(|detail| format!(": {detail}"));
                format!("{} by {}{}", text(&self.what), text(&self.by), detail.unwrap_or_default())
            }
            "reloaded" => format!(
                "jobfile reloaded: {} new, {} changed, {} gone",
                number(self.added),
                number(self.changed),
                number(self.removed)
            ),
            "stopping" => format!("stopping; {} running", number(self.running)),
            other => other.to_owned(),
        };
        format!("{job}{what}")
    }
}
