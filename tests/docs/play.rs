//! Executes what a page shows, from its first line to its last, as somebody would who reads it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Bench, Done, Running, Stream};
use crate::page::{self, Page, Shown, root};
use crate::past;
use crate::stage::{BARE, Compared, ELSEWHERE, STAGES, Stage};
use crate::usage::Known;

/// Programs that not every machine has; what needs them is left out there.
const PROGRAMS: &[&str] = &["curl", "jq", "nc", "python3", "socat", "sqlite3"];

/// What is wrong on a page.
pub(crate) fn page(page: &Page) -> Vec<String> {
    let shown = page.shown();
    if shown.is_empty() {
        return Vec::new();
    }
    let stage = STAGES.iter().find(|stage| stage.page == page.name).unwrap_or(&BARE);
    let mut play = Play::begin(stage);
    let mut wrong = Vec::new();
    for shown in shown {
        let (line, said) = match shown {
            Shown::Command(command) => (command.line, play.command(command)),
            Shown::Jobfile { line, text } => (line, play.jobfile(&text)),
            Shown::Requests { line, requests } => (line, play.requests(&requests)),
        };
        wrong.extend(said.err().map(|what| format!("{}:{line}: {what}", page.name)));
    }
    wrong.extend(play.end().err().map(|what| format!("{}: {what}", page.name)));
    wrong
}

struct Play {
    bench: Bench,
    stage: &'static Stage,
    known: Known,
    /// What runs until the page is over, or another one begins.
    running: Option<Running>,
}

impl Play {
    fn begin(stage: &'static Stage) -> Play {
        let bench = Bench::new("");
        fs::remove_file(bench.path("jobs.toml")).unwrap();
        for dir in ["home", "bin", "run", "state", "secrets"] {
            fs::create_dir(bench.path(dir)).unwrap();
            bench.set_mode(dir, 0o700);
        }
        symlink(env!("CARGO_BIN_EXE_schedrs"), bench.path("bin/schedrs")).unwrap();
        bench.write("clock", &ahead(stage.now));
        fs::create_dir_all(bench.path("lib/systemd/system")).unwrap();
        for (name, text) in stage.files {
            bench.write(name, text);
        }
        let mut play = Play { bench, stage, known: Known::ask(), running: None };
        let copy = format!("cp -r {0}/jobs.example.toml {0}/examples . && ", root().display());
        let done = play.shell(&(copy + "chmod -R go-w . && umask 022 && :"));
        assert_eq!(done.code, Some(0), "{done:?}");
        if stage.page == "doc/history.md" {
            past::write(&play.bench.path("past.db"));
        }
        let done = play.shell(stage.setup);
        assert_eq!(done.code, Some(0), "{}: {done:?}", stage.page);
        if stage.runs {
            play.background("schedrs run jobs.toml");
        }
        play
    }

    fn prepared(&self, script: &str) -> Command {
        let dir = self.bench.dir.path();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", script])
            .current_dir(dir)
            .env("PATH", format!("{}/bin:{path}", dir.display()))
            .env("HOME", dir.join("home"))
            .env("STATE_DIRECTORY", dir.join("state"))
            .env("XDG_RUNTIME_DIR", dir.join("run"))
            .env("SCHEDRS_SOCKET", dir.join("s.sock"))
            .env("SCHEDRS_TEST_CLOCK", dir.join("clock"))
            .env("TZ", "Europe/Berlin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in [
            "LOGS_DIRECTORY",
            "RUNTIME_DIRECTORY",
            "RUST_LOG",
            "SCHEDRS_JOBFILE",
            "SCHEDRS_LOG",
            "XDG_CONFIG_HOME",
            "XDG_STATE_HOME",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// What a script prints, on either stream, and how it ends.
    fn shell(&self, script: &str) -> Done {
        Running::start(&mut self.prepared(&format!("exec 2>&1\n{script}"))).wait()
    }

    /// A text of the page as it is here.
    fn instead(&self, text: &str) -> String {
        let dir = self.bench.dir.path().display().to_string();
        let package = root().display().to_string();
        let pairs = self.stage.instead.iter();
        pairs.fold(text.to_owned(), |text, (from, to)| {
            text.replace(from, &to.replace("{dir}", &dir).replace("{package}", &package))
        })
    }

    /// Starts what does not end by itself.
    fn background(&mut self, command: &str) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
        let mut running = Running::start(&mut self.prepared(&format!("exec {command}")));
        running.line(Stream::Err, &[" INFO  schedrs "]);
        self.running = Some(running);
    }

    fn command(&mut self, command: page::Command) -> Result<(), String> {
        let page::Command { mut text, output, .. } = command;
        if let Some(what) = self.known.wrong_in(&text) {
            return Err(format!("`{text}`: {what}"));
        }
        // A file that the page shows is there, with what it shows.
        if let (Some(name), Some(output)) = (text.strip_prefix("cat "), &output) {
            self.bench.write(name, &(output.join("\n") + "\n"));
            return Ok(());
        }
        let is_left_out = ELSEWHERE.iter().any(|(begins, _)| text.contains(begins));
        if is_left_out || missing(&text).is_some() {
            return Ok(());
        }
        let before = longest(self.stage.before, &text).unwrap_or("");
        let stops = longest(self.stage.stops, &text);
        let exit = longest(self.stage.exits, &text).unwrap_or(0);
        let compared = longest(self.stage.compared, &text).unwrap_or(Compared::Alike);
        if !before.is_empty() {
            self.shell(before);
        }
        if let (Some(logged), Some(running)) = (stops, &mut self.running) {
            running.line(Stream::Err, logged);
            self.end()?;
        }
        text = self.instead(&text);
        if text.starts_with("schedrs run") && !text.contains("--until") {
            self.background(&text);
            return Ok(());
        }
        let done = self.shell(&text);
        if text.starts_with("schedrs shutdown") {
            // The page goes on with another one.
            self.end()?;
            self.background("schedrs run jobs.toml");
        }
        if done.code != Some(exit) {
            let printed = done.out.join("\n");
            return Err(format!("`{text}` ended with {:?}, not {exit}:\n{printed}", done.code));
        }
        match output {
            Some(output) => {
                let output: Vec<_> = output.iter().map(|line| self.instead(line)).collect();
                compare(&text, &output, &done.out, compared)
            }
            None => Ok(()),
        }
    }

    /// A jobfile is right, and the jobs of the page from there on if it has no others.
    fn jobfile(&mut self, text: &str) -> Result<(), String> {
        self.bench.write("shown.toml", text);
        if !self.stage.files.iter().any(|(name, _)| *name == "jobs.toml") {
            self.bench.write("jobs.toml", text);
        }
        let done = self.shell("schedrs validate shown.toml");
        match done.code {
            Some(0) => Ok(()),
            _ => Err(done.out.join("\n")),
        }
    }

    /// Requests are understood, whatever becomes of them.
    fn requests(&mut self, requests: &[String]) -> Result<(), String> {
        if !self.stage.runs {
            // `…` stands for what the page does not want to show.
            let is_json = |request: &&String| {
                request.contains('…') || serde_json::from_str::<Value>(request).is_ok()
            };
            let wrong = requests.iter().find(|request| !is_json(request));
            return wrong.map_or(Ok(()), |request| Err(format!("no JSON: {request}")));
        }
        let mut stream = UnixStream::connect(self.bench.path("s.sock")).unwrap();
        let mut replies = BufReader::new(stream.try_clone().unwrap()).lines();
        for request in requests {
            stream.write_all(format!("{request}\n").as_bytes()).unwrap();
            let reply = replies.next().unwrap().unwrap();
            if ["bad_request", "unknown_verb", "invalid"].iter().any(|code| reply.contains(code)) {
                return Err(format!("{request}\n{reply}"));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(running) = self.running.take() else { return Ok(()) };
        // It may have ended already, because it was asked to.
        let done = running.stop();
        let ended = done.code == Some(0);
        if ended { Ok(()) } else { Err(format!("the scheduler: {:#?}", done.err)) }
    }
}

/// By how many seconds the clock is ahead when it shows this time.
fn ahead(time: &str) -> String {
    let (wall, offset) = time.split_at(19);
    assert_eq!(offset, "+01:00");
    let civil = wall.parse::<chrono::NaiveDateTime>().unwrap();
    let then = civil.and_utc().timestamp() - 3600;
    format!("{}\n", then - schedrs::clock::wall().micros().div_euclid(1_000_000))
}

/// What is said of the longest beginning of a text.
fn longest<T: Copy>(rows: &[(&str, T)], text: &str) -> Option<T> {
    let rows = rows.iter().filter(|(begins, _)| text.starts_with(begins));
    rows.max_by_key(|(begins, _)| begins.len()).map(|(_, what)| *what)
}

/// A program that a command needs and this machine does not have.
fn missing(text: &str) -> Option<&'static str> {
    let words: Vec<&str> = text.split([' ', '\n', '(', '|']).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).exists());
    PROGRAMS.iter().copied().find(|name| words.contains(name) && !is_there(name))
}

fn compare(
    text: &str,
    expected: &[String],
    printed: &[String],
    compared: Compared,
) -> Result<(), String> {
    let lines = |lines: &[String]| -> Vec<String> {
        let lines = lines.iter().map(|line| line.trim_end());
        match compared {
            // Only a debug build can be told the time.
            Compared::Exactly if cfg!(debug_assertions) => lines.map(str::to_owned).collect(),
            Compared::Headings => lines.take(1).map(alike).collect(),
            _ => lines.map(alike).collect(),
        }
    };
    if lines(expected) == lines(printed) {
        return Ok(());
    }
    let [expected, printed] = [expected.join("\n"), printed.join("\n")];
    Err(format!("`{text}` is said to print\n{expected}\nbut prints\n{printed}"))
}

/// A line without its numbers, times, dates and the width of its columns.
fn alike(line: &str) -> String {
    const UNITS: &[&str] = &["bytes", "KiB", "MiB"];
    const NAMES: &[&str] = &[
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words: Vec<&str> = Vec::new();
    for word in line.split_whitespace() {
        let bare = word.trim_matches(['(', ')', ',', ';', ':', '.']);
        let counts = bare.contains(|c: char| c.is_ascii_digit())
            || NAMES.contains(&bare)
            || UNITS.contains(&bare);
        match (counts, words.last()) {
            (true, Some(&"#")) => {}
            (true, _) => words.push("#"),
            (false, _) => words.push(word),
        }
    }
    words.join(" ")
}
