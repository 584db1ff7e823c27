//! What active runs have printed so far, and with `--follow` what runs print from now on, from the
//! scheduler that starts them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Write};

use anyhow::{anyhow, bail};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Map, Value, json};

use super::page::{self, Format, Line, Page};
use super::{Active, Args};
use crate::cli::ExitCode;
use crate::cli::command::history_source::Zones;
use crate::cli::command::{each, request, screen};
use crate::cli::table;
use crate::control::client::{Client, Error};
use crate::core::event::RunId;
use crate::core::printed::{Attempt, Piece, without_end};
use crate::core::sort;
use crate::core::words;
use crate::problem::clean;
use crate::run::output::{ERASE, Lines, Prefix, Style};
use crate::sys::clock;

/// More lines of what there was are not read.
const MOST_LINES: usize = 100_000;

/// Asks for what runs print, and answers of which jobs that is shown: of all, if there are none.
pub(super) fn begin(args: &Args) -> anyhow::Result<(Client, Vec<String>)> {
    let mut client = request::connect(args.jobfile.as_ref(), args.socket.as_ref())?;
    // Whether there is a job schedrs says when it is asked for that one.
    let jobs = match &args.jobs[..] {
        [] | [_] => each::resolve(args.jobs.clone(), &mut client)?,
        several => each::resolve_checked(several, &mut client)?,
    };
    // Of several, all are followed, and the others left out here.
    let request = match &jobs[..] {
        [job] => json!({ "do": "follow", "job": job, "past": true }),
        _ => json!({ "do": "follow", "past": true }),
    };
    client.ask(&request).map_err(request::told)?;
    Ok((client, jobs))
}

/// What there was when somebody began to follow.
#[derive(Debug, Default)]
pub(in crate::cli::command) struct Past {
    /// What active runs had printed in whole lines.
    pub(in crate::cli::command) active: Active,
    /// And then.
    pub(super) begun: Vec<Map<String, Value>>,
}

/// Reads what there was.
pub(in crate::cli::command) fn past(client: &mut Client) -> anyhow::Result<Past> {
    let mut past = Past::default();
    for _ in 0..MOST_LINES {
        let told = client.receive().map_err(request::told)?;
        if told.contains_key("present") {
            break;
        }
        if !told.contains_key("past") {
            past.begun.push(told);
            continue;
        }
        let number = |key: &str| told.get(key).and_then(Value::as_u64);
        let text = |key: &str| told.get(key).and_then(Value::as_str);
        let run = RunId(number("run").unwrap_or_default());
        let (job, printed) = past.active.entry(run).or_default();
        job.replace_range(.., text("job").unwrap_or_default());
        match (text("text"), printed.attempts.back_mut()) {
            (Some(bytes), Some(attempt)) => attempt.pieces.push_back(Piece {
                at: text("at").and_then(request::instant),
                is_stderr: text("stream") == Some("stderr"),
                bytes: bytes.as_bytes().to_vec(),
            }),
            _ => printed.attempts.push_back(Attempt {
                number: number("attempt").unwrap_or_default() as u32,
                missing: number("missing").unwrap_or_default(),
                pieces: VecDeque::new(),
            }),
        }
    }
    Ok(past)
}

/// What active runs have printed so far, unfinished lines included.
pub(super) fn look(args: &Args) -> anyhow::Result<Past> {
    let mut past = past(&mut begin(args)?.0)?;
    for told in past.begun.drain(..) {
        let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
        let run = told.get("run").and_then(Value::as_u64).unwrap_or_default();
        let Some((_, printed)) = past.active.get_mut(&RunId(run)) else { continue };
        if let Some(attempt) = printed.attempts.back_mut().filter(|_| !text("text").is_empty()) {
            let (is_stderr, bytes) = (text("stream") == "stderr", text("text").as_bytes().to_vec());
            attempt.pieces.push_back(Piece { at: Some(clock::wall()), is_stderr, bytes });
        }
    }
    Ok(past)
}

/// How it is shown.
pub(super) struct Shown {
    /// Only of these, if there are any; with one, nothing needs to say whose a line is.
    pub(super) jobs: Vec<String>,
    pub(super) page: Page,
    /// On whose clocks times are shown.
    pub(super) zones: Zones,
    /// What these have printed has been shown as it was kept.
    pub(super) already: HashSet<RunId>,
}

/// Shows it until somebody has enough, first what has been told already.
pub(super) fn go_on(client: &mut Client, shown: Shown, past: Past) -> anyhow::Result<ExitCode> {
    let mut follower = Follower::new(shown);
    // Of runs that have not been shown, all there was.
    let mut active: Vec<_> = past.active.into_iter().collect();
    sort::by_key(&mut active, |(run, _)| *run);
    for (run, (job, printed)) in active {
        if follower.is_other(&job) {
            continue;
        }
        for piece in printed.attempts.iter().flat_map(|attempt| &attempt.pieces) {
            follower.print(&job, run.0, piece.is_stderr, &piece.bytes);
        }
    }
    for told in past.begun {
        follower.hear(&told);
    }
    loop {
        follower.flush(client.has_more())?;
        wait(client)?;
        let told = match client.receive() {
            Ok(told) => told,
            Err(error) => {
                follower.finish(|_| true);
                follower.flush(false)?;
                let why = match error {
                    Error::Broken(why) => anyhow!("{}", clean(&why)),
                    error => request::told(error),
                };
                bail!("lost the connection to schedrs: {why}");
            }
        };
        if let Some(lost) = follower.hear(&told).filter(|lost| *lost > 0) {
            follower.flush(false)?;
            anstream::eprintln!("schedrs: {lost} bytes were printed too fast to show");
        }
    }
}

/// Waits until there is something to show, or nobody any more to whom.
pub(in crate::cli::command) fn wait(client: &Client) -> io::Result<()> {
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
    /// Of each, and whose it is.
    streams: HashMap<(u64, bool), (Style, Lines, String)>,
    /// What is to be written.
    text: Vec<u8>,
    /// The stream whose progress bar was the last to move.
    bar: Option<(u64, bool)>,
    /// Such bars stand below all else.
    has_bars: bool,
    /// One stands there.
    is_drawn: bool,
}

impl Follower {
    fn new(shown: Shown) -> Follower {
        let has_bars =
            shown.page.is_terminal && shown.page.format == Format::Plain && !screen::is_dumb();
        let (streams, text) = (HashMap::new(), Vec::new());
        Follower { shown, streams, text, bar: None, has_bars, is_drawn: false }
    }

    /// Writes what there is to write.
    fn flush(&mut self, has_more: bool) -> io::Result<()> {
        let text = self.take(table::terminal_width, has_more);
        let mut out = io::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    }

    /// What is to be written now: the lines, and below them how far a progress bar is, if nothing is
    /// to follow at once.
    fn take(&mut self, width: impl Fn() -> Option<usize>, has_more: bool) -> Vec<u8> {
        let mut text = Vec::new();
        let bar = self.bar.filter(|_| self.has_bars).and_then(|key| self.streams.get(&key));
        let bar = bar.and_then(|(_, lines, job)| Some((job, lines.bar()?)));
        let is_over = bar.is_none();
        if self.is_drawn && (!self.text.is_empty() || is_over || !has_more) {
            text.extend_from_slice(ERASE);
            self.is_drawn = false;
        }
        text.append(&mut self.text);
        if let Some((job, shown)) = bar.filter(|_| !has_more) {
            let line = match self.shown.jobs.len() {
                1 => shown,
                _ => format!("{} | {shown}", clean(job)),
            };
            // The last column is left free: some terminals begin a new line behind it.
            let line = width().map(|width| words::fit(&line, width.saturating_sub(1)));
            text.extend_from_slice(line.unwrap_or_default().as_bytes());
            self.is_drawn = true;
        }
        text
    }

    /// Answers how much is missing from here on, if something is.
    fn hear(&mut self, told: &Map<String, Value>) -> Option<u64> {
        let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
        if let Some(lost) = told.get("lost").and_then(Value::as_u64) {
            // What comes next is not the rest of these lines.
            self.finish(|_| true);
            return Some(lost);
        }
        let run = told.get("run").and_then(Value::as_u64)?;
        if self.shown.already.contains(&RunId(run)) || self.is_other(text("job")) {
            return None;
        }
        if told.contains_key("ended") {
            self.finish(|of| of == run);
            return None;
        }
        self.print(text("job"), run, text("stream") == "stderr", text("text").as_bytes());
        None
    }

    /// Whether a job is one of those that nobody has asked for.
    fn is_other(&self, job: &str) -> bool {
        let jobs = &self.shown.jobs;
        jobs.len() > 1 && !jobs.iter().any(|shown| shown == job)
    }

    /// A run has printed something.
    fn print(&mut self, job: &str, run: u64, is_stderr: bool, bytes: &[u8]) {
        let (style, lines, _) = self.streams.entry((run, is_stderr)).or_insert_with(|| {
            (style(&self.shown, job, is_stderr), Lines::default(), job.to_owned())
        });
        let mut whole = Vec::new();
        lines.feed(bytes, style, &mut whole);
        if lines.is_bar() {
            self.bar = Some((run, is_stderr));
        }
        self.write(job, run, is_stderr, &whole);
    }

    /// Writes whole lines of a run.
    fn write(&mut self, job: &str, run: u64, is_stderr: bool, whole: &[u8]) {
        let (format, zone) = (self.shown.page.format, self.shown.zones.of(job));
        if format == Format::Plain {
            self.text.extend_from_slice(whole);
            return;
        }
        let now = clock::wall();
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            if format == Format::Times {
                let stamp = page::stamp(Some(now), now, zone, is_stderr);
                self.text.extend_from_slice(stamp.as_bytes());
                self.text.extend_from_slice(line);
                continue;
            }
            let line = Line {
                time: Some(words::rfc3339(now, zone)),
                job,
                run: Some(run),
                attempt: None,
                stream: page::stream(is_stderr),
                line: &String::from_utf8_lossy(without_end(line)),
            };
            // Writing to memory never fails.
            let _ = line.write(&mut self.text);
        }
    }

    /// Ends the lines that have been begun by certain runs.
    fn finish(&mut self, is_meant: impl Fn(u64) -> bool) {
        let meant = |key: &(u64, bool)| is_meant(key.0);
        let mut over: Vec<(u64, bool)> = self.streams.keys().copied().filter(meant).collect();
        sort::all(&mut over);
        for key in over {
            let Some((style, mut lines, job)) = self.streams.remove(&key) else { continue };
            let mut rest = Vec::new();
            lines.finish(&style, &mut rest);
            if rest.last().is_some_and(|last| *last != b'\n') {
                rest.push(b'\n');
            }
            self.write(&job, key.0, key.1, &rest);
        }
    }
}

fn style(shown: &Shown, job: &str, is_stderr: bool) -> Style {
    let Page { format, is_terminal, colour, .. } = shown.page;
    let prefix = match (shown.jobs.len() == 1, is_stderr && is_terminal) {
        _ if format == Format::Json => None,
        (false, _) => Some(Prefix::new(job, is_stderr, colour, None)),
        _ if format == Format::Times => None,
        (true, true) if colour => {
            Some(Prefix { first: (*b"\x1b[31m!\x1b[0m ").into(), further: (*b"+ ").into() })
        }
        (true, true) => Some(Prefix { first: (*b"! ").into(), further: (*b"+ ").into() }),
        (true, false) => None,
    };
    let for_terminal = is_terminal && format != Format::Json;
    Style { prefix, for_terminal, json: None, at_once: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::zone::Zone;

    fn follower(jobs: &[&str], is_terminal: bool) -> Follower {
        let already = HashSet::from([RunId(9)]);
        let jobs = jobs.iter().map(|&job| job.to_owned()).collect();
        let (format, is_alone) = (Format::Plain, false);
        let page = Page { format, is_terminal, colour: false, is_alone };
        let shown = Shown { jobs, page, zones: Zones::all(Zone::utc()), already };
        Follower { has_bars: is_terminal, ..Follower::new(shown) }
    }

    fn shown(is_one_job: bool, is_terminal: bool) -> String {
        let jobs: &[&str] = if is_one_job { &["a"] } else { &[] };
        let mut follower = follower(jobs, is_terminal);
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

    /// What jobs print, what is written then, and whether more is there already.
    #[test]
    fn a_progress_bar_stands_below_all_else() {
        let mut one = follower(&["a"], true);
        let mut several = follower(&[], true);
        let rows: [(&str, &str, bool, &str, &str); 8] = [
            ("a", "first\n1%\r", false, "first\n1%", "a | first\na | 1%"),
            ("a", "2%\r", false, "\r\u{1b}[K2%", "\r\u{1b}[Ka | 2%"),
            // What comes at once after it is waited for.
            ("a", "3%\r", true, "", ""),
            (
                "a",
                "a bar that is too long\r",
                false,
                "\r\u{1b}[Ka bar that i…",
                "\r\u{1b}[Ka | a bar th…",
            ),
            ("a", "4%", true, "", ""),
            ("b", "other\n", false, "\r\u{1b}[Kother\n4%", "\r\u{1b}[Kb | other\na | 4%"),
            ("a", "\r\ndone\n", false, "\r\u{1b}[K4%\ndone\n", "\r\u{1b}[Ka | 4%\na | done\n"),
            ("a", "no bar", false, "", ""),
        ];
        for (job, text, has_more, alone, among) in rows {
            for (follower, expected) in [(&mut one, alone), (&mut several, among)] {
                let told = json!({ "job": job, "run": 1, "stream": "stdout", "text": text });
                let told = match job {
                    "b" => json!({ "job": job, "run": 2, "stream": "stdout", "text": text }),
                    _ => told,
                };
                follower.hear(told.as_object().unwrap());
                let written = follower.take(|| Some(14), has_more);
                assert_eq!(String::from_utf8_lossy(&written), expected, "{text:?}");
            }
        }
        // Nobody who reads a file sees one.
        let mut file = follower(&["a"], false);
        file.print("a", 1, false, b"1%\r2%\r");
        assert_eq!(file.take(|| None, false), b"");
    }

    #[test]
    fn of_several_jobs_the_others_are_left_out() {
        let mut follower = follower(&["a", "c"], false);
        for job in ["a", "b", "c"] {
            let told = json!({ "job": job, "run": 1, "stream": "stdout", "text": "x\n" });
            assert_eq!(follower.hear(told.as_object().unwrap()), None);
            follower.finish(|_| true);
        }
        assert_eq!(String::from_utf8_lossy(&follower.text), "a | x\nc | x\n");
    }

    #[test]
    fn nothing_is_joined_over_a_gap() {
        let mut follower = follower(&["a"], false);
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
