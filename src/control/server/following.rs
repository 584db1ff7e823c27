//! Clients that follow what runs print: `schedrs logs --follow`.
//!
//! The output thread leaves what is printed in the server's inbox, but only so much at a time. A
//! client that does not keep up loses output, and is told how much.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::json;

use super::inbox::{Inbox, Key, Message};
use crate::event::RunId;
use crate::output::{self, FollowId, Followed};

/// So much may be on its way to one client.
const MOST_UNDER_WAY: usize = 256 * 1024;

/// One client that follows.
#[derive(Debug)]
pub(super) struct Following {
    id: FollowId,
    under_way: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
    /// The beginning of a character that a chunk has ended in, of each stream.
    begun: HashMap<(RunId, bool), Vec<u8>>,
}

impl Following {
    /// Begins to follow a job, or all.
    pub(super) fn begin(
        output: &output::Handle,
        job: Option<Box<str>>,
        inbox: Arc<Inbox>,
        key: Key,
    ) -> Following {
        let (under_way, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let (way, left_out) = (Arc::clone(&under_way), Arc::clone(&lost));
        let sink = move |followed: Followed| {
            let size = size(&followed);
            if size > 0 && way.load(Ordering::Relaxed) + size > MOST_UNDER_WAY {
                left_out.fetch_add(size as u64, Ordering::Relaxed);
                return;
            }
            way.fetch_add(size, Ordering::Relaxed);
            inbox.post(Message::Followed(key, followed));
        };
        let id = output.follow(job, Arc::new(sink));
        Following { id, under_way, lost, begun: HashMap::new() }
    }

    /// Ends it.
    pub(super) fn end(&self, output: &output::Handle) {
        output.unfollow(self.id);
    }

    /// What a client is told. `has_room`: it has read what it was told before.
    pub(super) fn line(&mut self, followed: Followed, has_room: bool) -> Option<String> {
        self.under_way.fetch_sub(size(&followed), Ordering::Relaxed);
        match followed {
            Followed::Output { job, run, is_stderr, bytes } => {
                if !has_room {
                    self.lost.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    return None;
                }
                let mut whole = self.begun.remove(&(run, is_stderr)).unwrap_or_default();
                whole.extend(bytes);
                let rest = unfinished(&whole);
                if rest > 0 {
                    self.begun.insert((run, is_stderr), whole.split_off(whole.len() - rest));
                }
                let stream = if is_stderr { "stderr" } else { "stdout" };
                let text = String::from_utf8_lossy(&whole);
                let mut line = json!({
                    "job": job, "run": run.0, "stream": stream, "text": text, "done": false,
                });
                match self.lost.swap(0, Ordering::Relaxed) {
                    0 => {}
                    lost => line["lost"] = lost.into(),
                }
                Some(line.to_string())
            }
            Followed::Ended { job, run } => {
                self.begun.retain(|(of, _), _| *of != run);
                Some(json!({ "job": job, "run": run.0, "ended": true, "done": false }).to_string())
            }
        }
    }
}

fn size(followed: &Followed) -> usize {
    match followed {
        Followed::Output { bytes, .. } => bytes.len(),
        Followed::Ended { .. } => 0,
    }
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.len() - error.valid_up_to(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_torn() {
        let mut following = Following {
            id: FollowId::of_test(),
            under_way: Arc::new(AtomicUsize::new(100)),
            lost: Arc::new(AtomicU64::new(7)),
            begun: HashMap::new(),
        };
        let mut told = |bytes: &[u8], room: bool| {
            let (job, run, bytes) = ("a".into(), RunId(1), bytes.to_vec());
            let line = following.line(Followed::Output { job, run, is_stderr: false, bytes }, room);
            line.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap())
        };
        let first = told("ä€".as_bytes().split_at(3).0, true).unwrap();
        assert_eq!((&first["text"], &first["lost"]), (&"ä".into(), &7.into()));
        let second = told("ä€".as_bytes().split_at(3).1, true).unwrap();
        assert_eq!((&second["text"], &second["lost"]), (&"€".into(), &serde_json::Value::Null));
        assert!(told(b"xyz", false).is_none());
        assert_eq!(told(b"\xff", true).unwrap()["lost"], 3);
    }
}
