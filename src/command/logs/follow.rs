//! `--follow`: what runs print from now on, from the scheduler that starts them.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::Args;
use crate::cli::ExitCode;
use crate::command::asking;
use crate::control::client::Client;
use crate::output::make_harmless;
use crate::problem::clean;

/// Asks for what runs print.
pub(super) fn begin(args: &Args) -> anyhow::Result<Client> {
    let mut client = asking::connect(args.jobfile.as_ref(), args.socket.as_ref())?;
    let request = match &args.job {
        Some(job) => json!({ "do": "follow", "job": job }),
        None => json!({ "do": "follow" }),
    };
    client.ask(&request).map_err(asking::told)?;
    Ok(client)
}

/// Shows it until somebody has enough. Of several jobs, each line says whose it is.
pub(super) fn go_on(client: &mut Client, is_one_job: bool) -> anyhow::Result<ExitCode> {
    let stdout = std::io::stdout();
    let is_terminal = stdout.is_terminal();
    let mut lines = Lines { is_one_job, is_terminal, begun: HashMap::new() };
    loop {
        let told = match client.receive() {
            Ok(told) => told,
            Err(error) => bail!("schedrs is gone: {error}"),
        };
        let mut out = stdout.lock();
        lines.show(&told, &mut out)?;
        out.flush()?;
    }
}

/// Puts lines together again of what comes in pieces.
struct Lines {
    is_one_job: bool,
    is_terminal: bool,
    /// What there is of a line that has not ended.
    begun: HashMap<(u64, bool), String>,
}

/// A line longer than this is shown in pieces.
const MAX_PIECE: usize = 16 * 1024;

impl Lines {
    fn show(&mut self, told: &Map<String, Value>, out: &mut dyn Write) -> std::io::Result<()> {
        let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
        let run = told.get("run").and_then(Value::as_u64).unwrap_or(0);
        if let Some(lost) = told.get("lost").and_then(Value::as_u64) {
            anstream::eprintln!("schedrs: {lost} bytes came faster than they could be shown");
        }
        if told.contains_key("ended") {
            for is_stderr in [false, true] {
                if let Some(rest) = self.begun.remove(&(run, is_stderr)) {
                    self.line(text("job"), is_stderr, &rest, out)?;
                }
            }
            return Ok(());
        }
        let is_stderr = text("stream") == "stderr";
        let mut whole = self.begun.remove(&(run, is_stderr)).unwrap_or_default() + text("text");
        while let Some(end) = whole.find('\n') {
            self.line(text("job"), is_stderr, &whole[..end], out)?;
            whole.drain(..=end);
        }
        if whole.len() > MAX_PIECE {
            self.line(text("job"), is_stderr, &whole, out)?;
        } else if !whole.is_empty() {
            self.begun.insert((run, is_stderr), whole);
        }
        Ok(())
    }

    fn line(
        &self,
        job: &str,
        is_stderr: bool,
        line: &str,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let mark = if is_stderr { '!' } else { '|' };
        if !self.is_one_job {
            write!(out, "{} {mark} ", clean(job))?;
        } else if is_stderr && self.is_terminal {
            write!(out, "{mark} ")?;
        }
        match self.is_terminal {
            true => {
                let mut harmless = Vec::with_capacity(line.len());
                make_harmless(line.as_bytes(), &mut harmless);
                out.write_all(&harmless)?;
            }
            false => out.write_all(line.as_bytes())?,
        }
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(is_one_job: bool, is_terminal: bool) -> String {
        let mut lines = Lines { is_one_job, is_terminal, begun: HashMap::new() };
        let mut out = Vec::new();
        for told in [
            json!({ "job": "a", "run": 1, "stream": "stdout", "text": "one\ntw" }),
            json!({ "job": "b", "run": 2, "stream": "stderr", "text": "oh\u{7}\n" }),
            json!({ "job": "a", "run": 1, "stream": "stdout", "text": "o\nthree" }),
            json!({ "job": "b", "run": 2, "ended": true }),
            json!({ "job": "a", "run": 1, "ended": true }),
        ] {
            lines.show(told.as_object().unwrap(), &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_whole() {
        assert_eq!(shown(false, false), "a | one\nb ! oh\u{7}\na | two\na | three\n");
        assert_eq!(shown(true, false), "one\noh\u{7}\ntwo\nthree\n");
        assert_eq!(shown(true, true), "one\n! oh^G\ntwo\nthree\n");
    }
}
