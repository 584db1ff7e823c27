//! Clients that follow what runs print: `schedrs logs --follow`. (`watching` is those that follow what
//! happens.)
//!
//! The output thread puts what is printed into a queue of each such client, and goes on; the
//! server's thread takes it from there as fast as the client reads. The queue is bounded: what does
//! not fit is counted, and the client is told so in the place of it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::inbox::{Inbox, Message};
use crate::control::follow::{Follow, FollowId, Followed};
use crate::control::wire;
use crate::core::event::RunId;
use crate::core::printed::Printed;
use crate::core::words;
use crate::core::zone::Zone;

/// So many bytes wait for a client.
const MOST_BYTES: usize = 256 * 1024;

/// So many pieces of output and ends of runs.
const MOST_PIECES: usize = 4096;

/// A client that is told something as it happens.
#[derive(Debug)]
pub(super) struct Following {
    /// What the client calls it.
    pub(super) id: Option<Value>,
    /// What it is told.
    pub(super) source: Box<dyn Source>,
}

/// What a client that follows is told.
pub(super) trait Source: fmt::Debug + Send {
    /// Some of what there is to tell now, as objects; `None`: nothing.
    fn take(&mut self) -> Option<Vec<String>>;
}

/// A client that follows what runs print, for as long as this exists.
#[derive(Debug)]
pub(super) struct Printing {
    name: FollowId,
    output: Arc<dyn Follow>,
    queue: Arc<Mutex<Queue>>,
    teller: Teller,
}

impl Printing {
    /// Begins to follow a job, or all, with what active runs have printed so far if that is wanted.
    pub(super) fn begin(
        output: &Arc<dyn Follow>,
        (job, past): (Option<Box<str>>, bool),
        inbox: Inbox,
    ) -> Printing {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let to = Arc::clone(&queue);
        let sink = move |followed| {
            let first = to.lock().unwrap_or_else(PoisonError::into_inner).push(followed);
            if first {
                inbox.send(Message::Followed);
            }
        };
        let name = output.follow(job, past, Arc::new(sink));
        Printing { name, output: Arc::clone(output), queue, teller: Teller::default() }
    }
}

impl Source for Printing {
    fn take(&mut self) -> Option<Vec<String>> {
        let told = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if told.is_empty() {
            return None;
        }
        Some(told.into_iter().flat_map(|told| self.teller.lines(told)).collect())
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        self.output.unfollow(self.name);
    }
}

/// What waits to be told.
#[derive(Debug, Default)]
struct Queue {
    told: VecDeque<Told>,
    bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Followed(Followed),
    /// Here so many bytes are missing.
    Lost(u64),
}

impl Queue {
    /// Answers whether there was nothing before.
    fn push(&mut self, followed: Followed) -> bool {
        let size = match &followed {
            Followed::Output { bytes, .. } => bytes.len(),
            Followed::Past { printed, .. } => printed.kept() as usize,
            Followed::Ended { .. } | Followed::Present => 0,
        };
        let was_empty = self.told.is_empty();
        let is_full = self.bytes + size > MOST_BYTES || self.told.len() >= MOST_PIECES;
        if is_full && !was_empty {
            match self.told.back_mut() {
                Some(Told::Lost(lost)) => *lost += size as u64,
                _ => self.told.push_back(Told::Lost(size as u64)),
            }
            return was_empty;
        }
        self.bytes += size;
        if let Some(Told::Followed(last)) = self.told.back_mut()
            && join(last, &followed)
        {
            return was_empty;
        }
        self.told.push_back(Told::Followed(followed));
        was_empty
    }

    fn take(&mut self) -> VecDeque<Told> {
        self.bytes = 0;
        std::mem::take(&mut self.told)
    }
}

/// Appends what a stream has printed to what it had printed before, if it is one.
fn join(last: &mut Followed, more: &Followed) -> bool {
    match (last, more) {
        (
            Followed::Output { run, is_stderr, bytes, .. },
            Followed::Output { run: of, is_stderr: on, bytes: further, .. },
        ) if (&*run, &*is_stderr) == (of, on) => {
            bytes.extend_from_slice(further);
            true
        }
        _ => false,
    }
}

/// Makes texts of bytes.
#[derive(Debug, Default)]
struct Teller {
    /// The beginning of a character that has not ended yet, of each stream.
    begun: HashMap<(RunId, bool), Vec<u8>>,
}

/// See `doc/control.md`.
#[derive(Default, Serialize)]
struct View<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<bool>,
    /// It was printed before, by this attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// So many bytes of that attempt are missing before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// What comes from here on is printed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    done: bool,
}

impl Teller {
    fn lines(&mut self, told: Told) -> Vec<String> {
        match told {
            Told::Lost(lost) => {
                // What comes next does not go on where that was.
                self.begun.clear();
                vec![wire::json(&View { lost: Some(lost), ..View::default() })]
            }
            Told::Followed(Followed::Output { job, run, is_stderr, bytes }) => {
                let mut whole = self.begun.remove(&(run, is_stderr)).unwrap_or_default();
                whole.extend(bytes);
                let rest = whole.split_off(whole.len() - unfinished(&whole));
                if !rest.is_empty() {
                    self.begun.insert((run, is_stderr), rest);
                }
                if whole.is_empty() {
                    Vec::new()
                } else {
                    vec![output(&job, run, is_stderr, &whole)]
                }
            }
            Told::Followed(Followed::Present) => {
                vec![wire::json(&View { present: Some(true), ..View::default() })]
            }
            Told::Followed(Followed::Past { job, run, printed }) => past(&job, run, &printed),
            Told::Followed(Followed::Ended { job, run }) => {
                let rests = [false, true].map(|is_stderr| {
                    let rest = self.begun.remove(&(run, is_stderr))?;
                    Some(output(&job, run, is_stderr, &rest))
                });
                let mut lines: Vec<String> = rests.into_iter().flatten().collect();
                let (run, job) = (Some(run.0), Some(&*job));
                lines.push(wire::json(&View { run, job, ended: Some(true), ..View::default() }));
                lines
            }
        }
    }
}

/// What a run has printed so far: a line for each attempt, and one for each piece of it.
fn past(job: &str, run: RunId, printed: &Printed) -> Vec<String> {
    let mut lines = Vec::new();
    for attempt in &printed.attempts {
        let view = || View {
            run: Some(run.0),
            job: Some(job),
            past: Some(true),
            attempt: Some(attempt.number),
            ..View::default()
        };
        lines.push(wire::json(&View { missing: Some(attempt.missing), ..view() }));
        for piece in &attempt.pieces {
            lines.push(wire::json(&View {
                stream: Some(if piece.is_stderr { "stderr" } else { "stdout" }),
                text: Some(&String::from_utf8_lossy(&piece.bytes)),
                at: piece.at.map(|at| words::rfc3339(at, &Zone::utc())),
                ..view()
            }));
        }
    }
    lines
}

fn output(job: &str, run: RunId, is_stderr: bool, bytes: &[u8]) -> String {
    wire::json(&View {
        run: Some(run.0),
        job: Some(job),
        stream: Some(if is_stderr { "stderr" } else { "stdout" }),
        text: Some(&String::from_utf8_lossy(bytes)),
        ..View::default()
    })
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let begins = |count: &usize| match std::str::from_utf8(&bytes[bytes.len() - count..]) {
        Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
        Ok(_) => false,
    };
    (1..=bytes.len().min(3)).find(begins).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(run: u64, bytes: &[u8]) -> Followed {
        let (job, run) = ("a".into(), RunId(run));
        Followed::Output { job, run, is_stderr: false, bytes: bytes.to_vec() }
    }

    fn ended(run: u64) -> Followed {
        Followed::Ended { job: "a".into(), run: RunId(run) }
    }

    #[test]
    fn what_does_not_fit_is_counted_in_its_place() {
        let mut queue = Queue::default();
        let half = vec![b'x'; MOST_BYTES / 2];
        assert!(queue.push(printed(1, &half)));
        // Of one stream: one piece.
        assert!(!queue.push(printed(1, &half)));
        assert_eq!(queue.told.len(), 1);
        for (run, bytes) in [(1, "ab"), (2, "c")] {
            assert!(!queue.push(printed(run, bytes.as_bytes())));
        }
        queue.push(ended(1));
        queue.push(printed(2, b"de"));
        let told = queue.take();
        let expected = [
            Told::Followed(printed(1, &vec![b'x'; MOST_BYTES])),
            Told::Lost(3),
            Told::Followed(ended(1)),
            Told::Lost(2),
        ];
        assert_eq!(told, expected);
        // There is room again.
        assert!(queue.push(printed(2, b"f")));
        assert_eq!(queue.take(), [Told::Followed(printed(2, b"f"))]);
        // Not even ends of runs are kept without a bound.
        for run in 0..3 * MOST_PIECES as u64 {
            queue.push(ended(run));
        }
        assert!(queue.told.len() <= MOST_PIECES + 1);
        assert_eq!(queue.told.back(), Some(&Told::Lost(0)));
    }

    #[test]
    fn characters_are_not_torn() {
        let mut teller = Teller::default();
        let mut lines = |told: Told| -> Vec<Value> {
            let lines = teller.lines(told);
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let text = |text: &str| {
            vec![json!({
                "job": "a", "run": 1, "stream": "stdout", "text": text, "done": false,
            })]
        };
        let end = json!({ "job": "a", "run": 1, "ended": true, "done": false });
        let euro = "€".as_bytes();
        for (bytes, expected) in [
            ([b"\xff\xc3\xa4", &euro[..1]].concat(), text("\u{fffd}ä")),
            (euro[1..2].to_vec(), Vec::new()),
            ([&euro[2..], b"."].concat(), text("€.")),
            (b"\xff".to_vec(), text("\u{fffd}")),
            (euro[..2].to_vec(), Vec::new()),
        ] {
            assert_eq!(lines(Told::Followed(printed(1, &bytes))), expected, "{bytes:?}");
        }
        // What never became one is said when nothing more will come.
        assert_eq!(lines(Told::Followed(ended(1))), [text("\u{fffd}"), vec![end.clone()]].concat());
        // After a gap nothing is what it seems.
        lines(Told::Followed(printed(1, &euro[..1])));
        assert_eq!(lines(Told::Lost(7)), [json!({ "lost": 7, "done": false })]);
        assert_eq!(lines(Told::Followed(ended(1))), [end]);
    }
}
