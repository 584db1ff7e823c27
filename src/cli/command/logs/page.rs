//! How what a run has printed is written: as it came, with times, or as JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::core::instant::Instant;
use crate::core::printed::{Attempt, Printed, without_end};
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem;
use crate::run::output::make_harmless;
use crate::store::RunRecord;

const DIM: anstyle::Style = anstyle::Style::new().dimmed();

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As it was printed.
    Plain,
    /// Each line with its time and its stream.
    Times,
    /// A JSON object a line.
    Json,
}

/// Where it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) format: Format,
    pub(super) is_terminal: bool,
    pub(super) colour: bool,
    /// It is one run, of which standard output has nothing but what that has printed.
    pub(super) is_alone: bool,
}

/// A line for programs.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    pub(super) job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<u32>,
    pub(super) stream: &'static str,
    pub(super) line: &'a str,
}

impl Line<'_> {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", problem::json(self)?)
    }
}

/// What a stream is called in JSON.
pub(super) fn stream(is_stderr: bool) -> &'static str {
    if is_stderr { "stderr" } else { "stdout" }
}

/// `09:00:01 +01:00 ! `: when a line was printed, and where.
pub(super) fn stamp(at: Option<Instant>, near: Instant, zone: &Zone, is_stderr: bool) -> String {
    let at = at.map(|at| words::moment(at.truncated(), near, zone));
    format!("{} {} ", at.as_deref().unwrap_or("-"), if is_stderr { '!' } else { '|' })
}

impl Page {
    /// The line above what the `nth` run has printed.
    pub(super) fn header(&self, text: &str, nth: usize, out: &mut dyn Write) -> io::Result<()> {
        if self.format == Format::Json {
            return Ok(());
        }
        if self.is_alone {
            anstream::eprintln!("{DIM}{text}{DIM:#}");
            return Ok(());
        }
        if nth > 0 {
            writeln!(out)?;
        }
        self.dim(text, out)
    }

    fn dim(&self, text: &str, out: &mut dyn Write) -> io::Result<()> {
        match self.colour && self.is_terminal {
            true => writeln!(out, "{DIM}{text}{DIM:#}"),
            false => writeln!(out, "{text}"),
        }
    }

    /// What a run has printed, as far as it is kept.
    pub(super) fn printed(
        &self,
        record: &RunRecord,
        printed: &Printed,
        zone: &Zone,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let has_several = printed.attempts.len() > 1;
        for attempt in &printed.attempts {
            if has_several && !self.is_alone && self.format != Format::Json {
                let missing = match attempt.missing {
                    0 => String::new(),
                    missing => format!(", {} before this are not kept", words::bytes(missing)),
                };
                self.dim(&format!("attempt {}{missing}:", attempt.number), out)?;
            }
            match self.format {
                Format::Plain => self.plain(attempt, out)?,
                Format::Times => self.with_times(record, attempt, zone, out)?,
                Format::Json => json(record, attempt, zone, out)?,
            }
        }
        Ok(())
    }

    fn plain(&self, attempt: &Attempt, out: &mut dyn Write) -> io::Result<()> {
        let pieces: Vec<&[u8]> = attempt.pieces.iter().map(|piece| &*piece.bytes).collect();
        write(out, &pieces.concat(), self.is_terminal, self.is_alone)
    }

    fn with_times(
        &self,
        record: &RunRecord,
        attempt: &Attempt,
        zone: &Zone,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for piece in &attempt.pieces {
            for line in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
                let stamp = stamp(piece.at, record.due, zone, piece.is_stderr);
                out.write_all(stamp.as_bytes())?;
                write(out, without_end(line), self.is_terminal, true)?;
                if !self.is_terminal || without_end(line).is_empty() {
                    out.write_all(b"\n")?;
                }
            }
        }
        Ok(())
    }
}

fn json(record: &RunRecord, attempt: &Attempt, zone: &Zone, out: &mut dyn Write) -> io::Result<()> {
    for piece in &attempt.pieces {
        for line in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = Line {
                time: piece.at.map(|at| words::rfc3339(at, zone)),
                job: &record.job,
                run: record.run.map(|run| run.0),
                attempt: Some(attempt.number).filter(|number| *number > 0),
                stream: stream(piece.is_stderr),
                line: &String::from_utf8_lossy(without_end(line)),
            };
            line.write(out)?;
        }
    }
    Ok(())
}

/// Writes what a run has printed. On a terminal no byte of it may do anything; where it is
/// followed by something else, its last line is ended.
fn write(out: &mut dyn Write, bytes: &[u8], is_terminal: bool, is_alone: bool) -> io::Result<()> {
    let ends_line = bytes.is_empty() || bytes.ends_with(b"\n");
    if is_terminal {
        let mut harmless = Vec::with_capacity(bytes.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => {
                    make_harmless(line, &mut harmless);
                    harmless.push(b'\n');
                }
                None => make_harmless(line, &mut harmless),
            }
        }
        out.write_all(&harmless)?;
    } else {
        out.write_all(bytes)?;
    }
    if !ends_line && (is_terminal || !is_alone) {
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::history_source::scene;
    use crate::core::printed::Gatherer;
    use crate::core::zone::Database;

    #[test]
    fn a_terminal_is_not_driven() {
        let text = b"a\x1b[2Jb\r\n\x1b[31mred\nend";
        let written = |is_terminal, is_alone| {
            let mut out = Vec::new();
            write(&mut out, text, is_terminal, is_alone).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(true, true), "a^[[2Jb\n\x1b[31mred\x1b[0m\nend\n");
        assert_eq!(written(false, true).as_bytes(), text);
        assert_eq!(written(false, false).as_bytes(), [&text[..], b"\n"].concat());
    }

    fn shown(format: Format, is_alone: bool) -> String {
        let zone = Database::bundled().get("Europe/Berlin").unwrap();
        let store = scene::store();
        let record = store.records.iter().find(|record| &*record.job == "backup").unwrap();
        let at = |time: &str| scene::at(time);
        let mut gatherer = Gatherer::default();
        gatherer.begin(1);
        gatherer.feed(at("03:00:01"), false, b"copying\n10%\r20%\r100%\n", 100);
        gatherer.feed(at("03:00:02"), true, b"no route\n", 100);
        gatherer.begin(2);
        gatherer.feed(at("03:01"), false, b"again\nbye", 6);
        gatherer.finish(6);
        let page = Page { format, is_terminal: false, colour: false, is_alone };
        let mut out = Vec::new();
        page.printed(record, gatherer.printed(), &zone, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn attempts_lines_and_times() {
        assert_eq!(
            shown(Format::Plain, false),
            "attempt 1:\ncopying\n100%\nno route\n\
             attempt 2, 3 bytes before this are not kept:\nin\nbye\n"
        );
        assert_eq!(shown(Format::Plain, true), "copying\n100%\nno route\nin\nbye");
        assert_eq!(
            shown(Format::Times, false),
            "attempt 1:\n03:00:01 +01:00 | copying\n03:00:01 +01:00 | 100%\n\
             03:00:02 +01:00 ! no route\n\
             attempt 2, 3 bytes before this are not kept:\n\
             03:01:00 +01:00 | in\n03:01:00 +01:00 | bye\n"
        );
        let json = shown(Format::Json, false);
        assert_eq!(json.lines().count(), 5);
        let line: serde_json::Value = serde_json::from_str(json.lines().nth(2).unwrap()).unwrap();
        assert_eq!(line["time"], "2026-11-24T03:00:02+01:00");
        assert_eq!((&line["attempt"], &line["stream"]), (&1.into(), &"stderr".into()));
        assert_eq!(line["line"], "no route");
    }
}
