//! `--follow`: what runs print from now on, from the scheduler that starts them.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use anyhow::{anyhow, bail};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Map, Value, json};

use super::Args;
use crate::cli::ExitCode;
use crate::cli::command::request;
use crate::control::client::{Client, Error};
use crate::core::event::RunId;
use crate::problem::clean;
use crate::run::output::{Lines, Prefix, Style};

/// Asks for what runs print.
pub(super) fn begin(args: &Args) -> anyhow::Result<Client> {
    let mut client = request::connect(args.jobfile.as_ref(), args.socket.as_ref())?;
    let request = match &args.job {
        Some(job) => json!({ "do": "follow", "job": job }),
        None => json!({ "do": "follow" }),
    };
    client.ask(&request).map_err(request::told)?;
    Ok(client)
}

/// How it is shown.
pub(super) struct Shown {
    /// Nothing needs to say whose a line is.
    pub(super) is_one_job: bool,
    pub(super) is_terminal: bool,
    pub(super) colour: bool,
    /// What these have printed has been shown as it was kept.
    pub(super) already: HashSet<RunId>,
}

/// Shows it until somebody has enough.
pub(super) fn go_on(client: &mut Client, shown: Shown) -> anyhow::Result<ExitCode> {
    let mut follower = Follower { shown, streams: HashMap::new(), text: Vec::new() };
    loop {
        wait(client)?;
        let told = client.receive();
        let lost = match &told {
            Ok(told) => follower.hear(told),
            Err(_) => {
                follower.finish(|_| true);
                None
            }
        };
        let mut out = io::stdout().lock();
        out.write_all(&follower.text).and_then(|()| out.flush())?;
        follower.text.clear();
        match lost {
            None | Some(0) => {}
            Some(lost) => {
                anstream::eprintln!("schedrs: {lost} bytes were printed too fast to show")
            }
        }
        match told {
            Ok(_) => {}
            Err(Error::Broken(why)) => bail!("schedrs is gone: {}", clean(&why)),
            Err(error) => return Err(anyhow!("schedrs is gone: {}", request::told(error))),
        }
    }
}

/// Waits until there is something to show, or nobody any more to whom.
fn wait(client: &Client) -> io::Result<()> {
    if client.has_more() {
        return Ok(());
    }
    let stdout = io::stdout();
    loop {
        let mut waits =
            [PollFd::new(client.socket(), PollFlags::IN), PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut waits, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        if waits[1].revents().contains(PollFlags::ERR) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        return Ok(());
    }
}

/// Puts lines together again of what comes in pieces.
struct Follower {
    shown: Shown,
    streams: HashMap<(u64, bool), (Style, Lines)>,
    /// What is to be written.
    text: Vec<u8>,
}

impl Follower {
    /// Answers how much is missing from here on, if something is.
    fn hear(&mut self, told: &Map<String, Value>) -> Option<u64> {
        let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
        if let Some(lost) = told.get("lost").and_then(Value::as_u64) {
            // What comes next is not the rest of these lines.
            self.finish(|_| true);
            return Some(lost);
        }
        let run = told.get("run").and_then(Value::as_u64)?;
        if self.shown.already.contains(&RunId(run)) {
            return None;
        }
        if told.contains_key("ended") {
            self.finish(|of| of == run);
            return None;
        }
        let is_stderr = text("stream") == "stderr";
        let (style, lines) = self
            .streams
            .entry((run, is_stderr))
            .or_insert_with(|| (style(&self.shown, text("job"), is_stderr), Lines::default()));
        lines.feed(text("text").as_bytes(), style, &mut self.text);
        None
    }

    /// Ends the lines that have been begun by certain runs.
    fn finish(&mut self, is_meant: impl Fn(u64) -> bool) {
        let meant = |key: &(u64, bool)| is_meant(key.0);
        let mut over: Vec<(u64, bool)> = self.streams.keys().copied().filter(meant).collect();
        over.sort_unstable();
        for key in over {
            let Some((style, mut lines)) = self.streams.remove(&key) else { continue };
            let before = self.text.len();
            lines.finish(&style, &mut self.text);
            if self.text.len() > before && self.text.last() != Some(&b'\n') {
                self.text.push(b'\n');
            }
        }
    }
}

fn style(shown: &Shown, job: &str, is_stderr: bool) -> Style {
    let prefix = match (shown.is_one_job, is_stderr && shown.is_terminal) {
        (false, _) => Some(Prefix::new(job, is_stderr, shown.colour, None)),
        (true, true) if shown.colour => {
            Some(Prefix { first: (*b"\x1b[31m!\x1b[0m ").into(), further: (*b"+ ").into() })
        }
        (true, true) => Some(Prefix { first: (*b"! ").into(), further: (*b"+ ").into() }),
        (true, false) => None,
    };
    Style { prefix, for_terminal: shown.is_terminal }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follower(is_one_job: bool, is_terminal: bool) -> Follower {
        let already = HashSet::from([RunId(9)]);
        let shown = Shown { is_one_job, is_terminal, colour: false, already };
        Follower { shown, streams: HashMap::new(), text: Vec::new() }
    }

    fn shown(is_one_job: bool, is_terminal: bool) -> String {
        let mut follower = follower(is_one_job, is_terminal);
        for told in [
            json!({ "job": "a", "run": 1, "stream": "stdout", "text": "one\ntw" }),
            json!({ "job": "a", "run": 9, "stream": "stdout", "text": "known\n" }),
            json!({ "job": "b", "run": 2, "stream": "stderr", "text": "oh\u{7}\n" }),
            json!({ "job": "a", "run": 1, "stream": "stdout", "text": "o\nthree" }),
            json!({ "job": "b", "run": 2, "ended": true }),
            json!({ "job": "a", "run": 1, "ended": true }),
        ] {
            assert_eq!(follower.hear(told.as_object().unwrap()), None);
        }
        assert!(follower.streams.is_empty());
        String::from_utf8(follower.text).unwrap()
    }

    #[test]
    fn lines_are_whole() {
        assert_eq!(shown(false, false), "a | one\nb ! oh\u{7}\na | two\na | three\n");
        assert_eq!(shown(true, false), "one\noh\u{7}\ntwo\nthree\n");
        assert_eq!(shown(true, true), "one\n! oh^G\ntwo\nthree\n");
    }

    #[test]
    fn nothing_is_joined_over_a_gap() {
        let mut follower = follower(true, false);
        for (told, lost) in [
            (json!({ "job": "a", "run": 1, "stream": "stdout", "text": "beg" }), None),
            (json!({ "lost": 70 }), Some(70)),
            (json!({ "job": "a", "run": 1, "stream": "stdout", "text": "ins\n" }), None),
        ] {
            assert_eq!(follower.hear(told.as_object().unwrap()), lost);
        }
        assert_eq!(follower.text, b"beg\nins\n");
    }
}
