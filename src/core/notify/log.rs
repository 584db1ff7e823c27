//! What has become of notifications: the last of them, for `schedrs notify` and `schedrs why`.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::notifier::{Effect, OUTBOX, TOLD};
use super::outbox::{Done, End};
use super::saved::Written;
use crate::core::instant::Instant;

/// So many are known at most.
pub const KEPT: usize = 1000;

/// What has become of a notification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// When that was, in microseconds since 1970, as all times here.
    pub at: i64,
    /// The id of the notification.
    pub id: String,
    /// The route.
    pub route: String,
    /// The word of its kind.
    pub kind: String,
    /// The job.
    pub job: String,
    /// The run, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The due time, or the first of several.
    pub due: i64,
    /// The last of them.
    pub last_due: i64,
    /// How many.
    pub count: u64,
    /// When it was decided.
    pub decided: i64,
    /// `sent`, `refused`, `gave_up` or `dropped`.
    pub end: String,
    /// What the receiver has said, or why it was not asked.
    pub answer: String,
    /// The route that has it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub went_to: Option<String>,
    /// How its route is tried, if it waits for the next try: `answer` is what was said the last time.
    #[serde(skip)]
    pub trying: Option<Trying>,
    /// All of it, so that it can be sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whole: Option<Written>,
}

/// A route whose receiver fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trying {
    /// How often it has failed in a row.
    pub failed: u32,
    /// What it, or the network, has said the last time.
    pub answer: String,
    /// When it is tried again, in microseconds since 1970.
    pub next: i64,
}

/// How many notifications of a route have ended how, since the scheduler was started: in the order of
/// [`End::ALL`].
pub type Ends = [u64; End::ALL.len()];

/// What has become of notifications: the last of them, and all in numbers.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Their names in the store, the oldest first.
    told: VecDeque<Box<str>>,
    ends: BTreeMap<Box<str>, Ends>,
}

impl Book {
    /// They are over: that is written down, and they no more.
    pub(super) fn enter(&mut self, done: Vec<Done>, now: Instant, effects: &mut Vec<Effect>) {
        for done in done {
            let place = End::ALL.iter().position(|end| *end == done.end).unwrap_or(0);
            self.ends.entry(done.route.clone()).or_default()[place] += 1;
            let whole = Some(Written::of("", &done.route, &done.notification));
            let told = Told { whole, ..Told::of(&done, now) };
            let (id, key) = (done.notification.id, told.key());
            effects.push(Effect::Write(OUTBOX, id, None));
            // Strings and numbers can always be written.
            let text = serde_json::to_string(&told).unwrap_or_default();
            effects.push(Effect::Write(TOLD, key.clone(), Some(text.into())));
            self.told.push_back(key);
        }
        while self.told.len() > KEPT
            && let Some(old) = self.told.pop_front()
        {
            effects.push(Effect::Write(TOLD, old, None));
        }
    }

    /// One that was written down before.
    pub(super) fn restore(&mut self, key: Box<str>) {
        self.told.push_back(key);
        // Several hosts may have written to the same list.
        while self.told.len() > KEPT {
            self.told.pop_front();
        }
    }

    pub(super) fn ends(&self, route: &str) -> Ends {
        self.ends.get(route).copied().unwrap_or_default()
    }
}

impl Told {
    pub(super) fn of(done: &Done, at: Instant) -> Told {
        let it = &done.notification;
        Told {
            at: at.micros(),
            id: it.id.to_string(),
            route: done.route.to_string(),
            kind: it.kind.word().to_owned(),
            job: it.job.to_string(),
            run: it.run.map(|run| run.0),
            due: it.due.micros(),
            last_due: it.last_due.micros(),
            count: it.count,
            decided: it.at.micros(),
            end: done.end.word().to_owned(),
            answer: done.answer.to_string(),
            went_to: done.went_to.as_deref().map(str::to_owned),
            trying: None,
            whole: None,
        }
    }

    /// Its name where it is written down: in the order of time.
    pub fn key(&self) -> Box<str> {
        // Before 1970 there was nothing to tell.
        format!("{:020}-{}", self.at.max(0), self.id).into()
    }
}

impl End {
    /// All of them.
    pub const ALL: [End; 4] = [End::Sent, End::Refused, End::GaveUp, End::Dropped];

    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            End::Sent => "sent",
            End::Refused => "refused",
            End::GaveUp => "gave_up",
            End::Dropped => "dropped",
        }
    }
}
