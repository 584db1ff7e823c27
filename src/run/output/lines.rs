//! From chunks of bytes to whole lines, each with whose it is in front.

use std::sync::Arc;

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::status::shown_id;
use crate::core::event::RunId;
use crate::core::printed::{after_returns, without_end};
use crate::problem::{clean, clean_json};

/// A line longer than this is cut into pieces, so that memory is bounded whatever is printed.
pub(super) const MAX_PIECE: usize = 16 * 1024;

/// How lines are written.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    /// What stands in front; `None` writes the bytes as they are.
    pub(crate) prefix: Option<Prefix>,
    /// The lines go to a terminal, on which control characters would act.
    pub(crate) for_terminal: bool,
    /// Each line becomes a JSON object: what it begins with, whose the line is.
    pub(crate) json: Option<Arc<str>>,
    /// Nothing waits for the end of its line, as nothing else could get into it.
    pub(crate) at_once: bool,
}

impl Style {
    /// A JSON object a line, beside a log that is one.
    pub(crate) fn json(job: &str, run: RunId, is_stderr: bool) -> Style {
        let stream = if is_stderr { "stderr" } else { "stdout" };
        let job = Value::from(job);
        let head = format!("{{\"stream\":\"{stream}\",\"job\":{job},\"run\":{run}");
        Style { prefix: None, for_terminal: false, json: Some(head.into()), at_once: false }
    }

    /// Whether lines are whole, each with what tells whose it is.
    fn has_lines(&self) -> bool {
        self.prefix.is_some() || self.json.is_some()
    }
}

/// Whose a line is.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    /// In front of a line.
    pub(crate) first: Arc<[u8]>,
    /// In front of each further piece of a long one.
    pub(crate) further: Arc<[u8]>,
}

impl Prefix {
    /// `id | ` in front of what a job prints, `id ! ` for its standard error; `+` where a long
    /// line goes on. On a terminal it stands in the columns that the log's lines have.
    pub(crate) fn new(id: &str, is_stderr: bool, colour: bool, column: Option<usize>) -> Prefix {
        let code = colour_of(id);
        let mut indent = "";
        let id = if let Some(column) = column {
            let mut id = shown_id(id);
            id.extend(std::iter::repeat_n(' ', column.saturating_sub(id.width())));
            // As wide as the log's time.
            indent = "         ";
            id
        } else {
            clean(id).into_owned()
        };
        let make = |mark: char| -> Arc<[u8]> {
            let text = match (colour, is_stderr) {
                (false, _) => format!("{indent}{id} {mark} "),
                (true, false) => format!("{indent}\x1b[{code}m{id} {mark}\x1b[0m "),
                (true, true) => format!("{indent}\x1b[{code}m{id} \x1b[31m{mark}\x1b[0m "),
            };
            text.into_bytes().into()
        };
        Prefix { first: make(if is_stderr { '!' } else { '|' }), further: make('+') }
    }
}

/// The colour of an id, the same in every run: neither red, which is for errors, nor black and
/// white, which may be the background.
pub fn colour_of(id: &str) -> u8 {
    const COLOURS: [u8; 10] = [32, 33, 34, 35, 36, 92, 93, 94, 95, 96];
    let hash = id.bytes().fold(5381u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
    COLOURS[hash as usize % COLOURS.len()]
}

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    /// A piece of the current line has been written already.
    continued: bool,
    /// Something has gone back to the beginning of the current line.
    goes_back: bool,
}

impl Lines {
    /// Takes a chunk of a stream and appends to `out` every line that it completes.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], style: &Style, out: &mut Vec<u8>) {
        if style.at_once {
            return out.extend_from_slice(chunk);
        }
        while let Some(at) = memchr::memchr(b'\n', chunk) {
            self.take(&chunk[..at], style, out);
            self.end_line(style, out);
            chunk = &chunk[at + 1..];
        }
        self.take(chunk, style, out);
    }

    /// The stream has ended: appends what there is of an unfinished line, as a whole one.
    pub(crate) fn finish(&mut self, style: &Style, out: &mut Vec<u8>) {
        if self.partial.is_empty() {
            (self.continued, self.goes_back) = (false, false);
        } else if style.has_lines() {
            self.end_line(style, out);
        } else {
            self.piece(style, out);
            (self.continued, self.goes_back) = (false, false);
        }
    }

    /// Whether the current line is a progress bar: one that is written again and again.
    pub(crate) fn is_bar(&self) -> bool {
        self.goes_back && !self.partial.is_empty()
    }

    /// What a progress bar shows now, as a text in which nothing acts.
    pub(crate) fn bar(&self) -> Option<String> {
        let text = without_sequences(without_end(&self.partial));
        let text = String::from_utf8_lossy(&text).replace('\t', " ");
        let text = clean(text.trim()).into_owned();
        Some(text).filter(|text| self.goes_back && !text.is_empty())
    }

    /// Some more of the current line.
    fn take(&mut self, mut more: &[u8], style: &Style, out: &mut Vec<u8>) {
        if style.has_lines() || style.for_terminal {
            self.goes_back |= memchr::memchr(b'\r', more).is_some();
            more = after_returns(&mut self.partial, more);
        }
        while self.partial.len() + more.len() > MAX_PIECE {
            let room = MAX_PIECE.saturating_sub(self.partial.len());
            let (head, tail) = more.split_at(room);
            self.partial.extend_from_slice(head);
            // What is half a character would be one that acts, once the other half follows it.
            let half = self.partial.split_off(self.partial.len() - half_character(&self.partial));
            self.piece(style, out);
            if style.has_lines() {
                out.push(b'\n');
            }
            self.continued = true;
            self.partial = half;
            more = tail;
        }
        if !more.is_empty() {
            self.partial.extend_from_slice(more);
        }
    }

    fn end_line(&mut self, style: &Style, out: &mut Vec<u8>) {
        // The line may have ended just where its last piece did.
        if !(self.continued && without_end(&self.partial).is_empty() && style.has_lines()) {
            self.piece(style, out);
            out.push(b'\n');
        }
        self.partial.clear();
        (self.continued, self.goes_back) = (false, false);
    }

    fn piece(&mut self, style: &Style, out: &mut Vec<u8>) {
        if let Some(prefix) = &style.prefix {
            let prefix = if self.continued { &prefix.further } else { &prefix.first };
            out.extend_from_slice(prefix);
        }
        if let Some(head) = &style.json {
            let text = Value::from(String::from_utf8_lossy(without_end(&self.partial)));
            let further = if self.continued { ",\"continued\":true" } else { "" };
            let object = format!("{head},\"line\":{text}{further}}}");
            out.extend_from_slice(clean_json(object).as_bytes());
        } else if style.for_terminal {
            make_harmless(&self.partial, out)
        } else {
            out.extend_from_slice(&self.partial)
        }
        self.partial.clear();
    }

    /// Gives back the memory of an empty buffer: most streams are idle most of the time.
    pub(super) fn shrink(&mut self) {
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }
}

/// Appends a line with its control characters written out (`^G`), but for tabs and colours, so
/// that no job can rewrite the screen, the title or the clipboard of the terminal; and with those
/// that change the direction of text (`<U+202E>`), so that none can show a line as another one.
/// What else is not seen stays: Persian words and families of emoji are joined by it.
pub(crate) fn make_harmless(line: &[u8], out: &mut Vec<u8>) {
    let line = without_end(line);
    let mut coloured = false;
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        match byte {
            0x1b => {
                let length = colour_length(&line[at..]);
                if length > 0 {
                    out.extend_from_slice(&line[at..at + length]);
                    coloured = true;
                    at += length;
                    continue;
                }
                out.extend_from_slice(b"^[");
            }
            b'\t' => out.push(byte),
            0..0x20 => out.extend_from_slice(&[b'^', byte | 0x40]),
            0x7f => out.extend_from_slice(b"^?"),
            // U+0080..U+009F: the same control characters again, as one that takes two bytes.
            0xc2 if matches!(line.get(at + 1), Some(0x80..=0x9f)) => {
                out.extend_from_slice(&[b'^', b'^', (line[at + 1] & 0x1f) | 0x40]);
                at += 1;
            }
            0xe2 if is_direction(&line[at..]) => {
                // Which of them it is stands in the last six bits of each byte.
                let point =
                    0x2000 | u32::from(line[at + 1] & 0x3f) << 6 | u32::from(line[at + 2] & 0x3f);
                out.extend_from_slice(format!("<U+{point:04X}>").as_bytes());
                at += 2;
            }
            _ => out.push(byte),
        }
        at += 1;
    }
    if coloured {
        out.extend_from_slice(b"\x1b[0m");
    }
}

/// How many bytes at the end are the beginning of a UTF-8 character whose rest is to come.
fn half_character(bytes: &[u8]) -> usize {
    let is_half = |length: &usize| {
        let first = bytes.len().checked_sub(*length).and_then(|at| bytes.get(at));
        match first {
            Some(0xc2..=0xdf) => *length < 2,
            Some(0xe0..=0xef) => *length < 3,
            Some(0xf0..=0xf4) => *length < 4,
            _ => false,
        }
    };
    (1..=3).find(is_half).unwrap_or(0)
}

/// Whether there is one of U+202A..U+202E and U+2066..U+2069 at the beginning of `bytes`: embeddings,
/// overrides and isolates.
fn is_direction(bytes: &[u8]) -> bool {
    matches!(bytes, [0xe2, 0x80, 0xaa..=0xae, ..] | [0xe2, 0x81, 0xa6..=0xa9, ..])
}

/// A line without the sequences that make colours, or erase what was there before (`ESC [ K`).
fn without_sequences(line: &[u8]) -> Vec<u8> {
    let (mut text, mut rest) = (Vec::with_capacity(line.len()), line);
    while let Some(at) = memchr::memchr(0x1b, rest) {
        let (before, from) = rest.split_at(at);
        text.extend_from_slice(before);
        let end = from.strip_prefix(b"\x1b[").and_then(|parameters| {
            let end = parameters.iter().take(32).position(|byte| !matches!(byte, b' '..=b'?'))?;
            matches!(parameters[end], b'@'..=b'~').then_some(end + 3)
        });
        if end.is_none() {
            text.push(0x1b);
        }
        rest = &from[end.unwrap_or(1)..];
    }
    text.extend_from_slice(rest);
    text
}

/// The length of a colour sequence (`ESC [ 1 ; 31 m`) at the beginning of `bytes`, else 0.
fn colour_length(bytes: &[u8]) -> usize {
    let Some(parameters) = bytes.strip_prefix(b"\x1b[") else { return 0 };
    let end = parameters
        .iter()
        .take(32)
        .position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))
        .filter(|end| parameters[*end] == b'm');
    end.map_or(0, |end| end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(style: &Style, chunks: &[&[u8]]) -> Vec<u8> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, style, &mut out);
        }
        lines.finish(style, &mut out);
        out
    }

    fn prefixed() -> Style {
        let prefix = Prefix { first: (*b"a | ").into(), further: (*b"a + ").into() };
        Style { prefix: Some(prefix), for_terminal: false, json: None, at_once: false }
    }

    const RAW: Style = Style { prefix: None, for_terminal: false, json: None, at_once: false };

    #[test]
    fn lines_are_whole() {
        let chunks: [&[u8]; 4] = [b"on", b"e\ntwo\n\nthr", b"ee", b""];
        assert_eq!(run(&prefixed(), &chunks), b"a | one\na | two\na | \na | three\n");
        assert_eq!(run(&RAW, &chunks), b"one\ntwo\n\nthree");
    }

    #[test]
    fn a_progress_bar_is_its_last_state() {
        for chunks in
            [&["1%\r2%\r", "3%\r", "done\r\n"][..], &["1%\r2%\rdone\r\n"], &["1%\rdone", "\r\n"]]
        {
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            assert_eq!(run(&prefixed(), &chunks), b"a | done\r\n", "{chunks:?}");
            // As it stands, it is passed on as it is.
            assert_eq!(run(&RAW, &chunks), chunks.concat());
        }
        // Only the end of the line, however many.
        let several: [&[u8]; 2] = [b"1%\rdone\r\r\n", b"next\r\r\r"];
        assert_eq!(run(&prefixed(), &several), b"a | done\r\na | next\r\n");
        // However long it goes on, there is one line.
        let all = b"[=====>   ] 50%\r".repeat(10_000);
        assert_eq!(run(&prefixed(), &[&all, b"ok\n"]), b"a | ok\n");
    }

    /// What is printed, and what a progress bar shows by then.
    #[test]
    fn a_progress_bar_shows_how_far_it_is() {
        let rows: &[(&[&[u8]], Option<&str>)] = &[
            (&[b""], None),
            (&[b"no bar"], None),
            (&[b"1%\r2%\r"], Some("2%")),
            (&[b"1%", b"\r", b"2%"], Some("2%")),
            (&[b"\r1%"], Some("1%")),
            (&[b"old\n\r\t1%\r  [=> ]\t2%  "], Some("[=> ] 2%")),
            // Its line has ended.
            (&[b"1%\r2%\n"], None),
            (&[b"1%\r2%\r\nnext"], None),
            (&[b"1%\r   \r"], None),
            // Colours and what erases are left out, and nothing acts.
            (&[b"\r\x1b[2K\x1b[1;32m50%\x1b[0m\x1b[K"], Some("50%")),
            (&[b"\r\x1b]0;t\x07 \xe2\x80\xae\xff\x1b"], Some("␛]0;t␇ \\u{202e}\u{fffd}␛")),
            (&[b"\r\x1b[", b"1"], Some("␛[1")),
        ];
        for style in [&prefixed(), &Style { for_terminal: true, ..RAW }] {
            for (chunks, expected) in rows {
                let (mut lines, mut out) = (Lines::default(), Vec::new());
                chunks.iter().for_each(|chunk| lines.feed(chunk, style, &mut out));
                assert_eq!(lines.bar().as_deref(), *expected, "{chunks:?}");
                lines.finish(style, &mut out);
                assert!(!lines.is_bar() && lines.bar().is_none());
            }
        }
        let at_once = Style { at_once: true, ..RAW };
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        lines.feed(b"one\nPassword: ", &at_once, &mut out);
        lines.feed(b"1%\r", &at_once, &mut out);
        assert_eq!(out, b"one\nPassword: 1%\r");
    }

    #[test]
    fn lines_as_json() {
        let style = Style::json("a\"b", RunId(7), true);
        let out = String::from_utf8(run(&style, &[b"on", b"e\xff\r\ntwo"])).unwrap();
        let lines: Vec<Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let line = |text: &str| serde_json::json!({ "stream": "stderr", "job": "a\"b", "run": 7, "line": text });
        assert_eq!(lines, [line("one\u{fffd}"), line("two")]);
        let long = vec![b'x'; MAX_PIECE + 1];
        let out = String::from_utf8(run(&style, &[&long, b"\n"])).unwrap();
        let second: Value = serde_json::from_str(out.lines().nth(1).unwrap()).unwrap();
        assert_eq!((&second["line"], &second["continued"]), (&"x".into(), &true.into()));
    }

    #[test]
    fn long_lines_are_cut() {
        let long = vec![b'x'; MAX_PIECE * 2];
        for split in [1, MAX_PIECE, MAX_PIECE + 7] {
            let (head, tail) = long.split_at(split);
            let out = run(&prefixed(), &[head, tail, b"\nend\n"]);
            let lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').collect();
            let lengths: Vec<usize> = lines.iter().map(|line| line.len()).collect();
            assert_eq!(lengths, [MAX_PIECE + 4, MAX_PIECE + 4, 7, 0]);
            assert!(lines[1].starts_with(b"a + x") && lines[2] == b"a | end");
            assert_eq!(run(&RAW, &[head, tail]), long);
        }
    }

    #[test]
    fn an_id_in_front_is_made_harmless() {
        let prefix = Prefix::new("a\u{202e}b\u{200b}", false, false, None);
        assert_eq!(&*prefix.first, b"a\\u{202e}b\\u{200b} | ");
    }

    #[test]
    fn text_keeps_its_direction() {
        let style = Style { for_terminal: true, ..RAW };
        let line = "a\u{202e}b\u{2066}c\u{2069} \u{200d}\u{2065}\u{206a}\u{20ac}\n";
        let out = String::from_utf8(run(&style, &[line.as_bytes()])).unwrap();
        assert_eq!(out, "a<U+202E>b<U+2066>c<U+2069> \u{200d}\u{2065}\u{206a}\u{20ac}\n");
        // Cut in the middle.
        assert_eq!(run(&style, &[b"\xe2\x80"]), b"\xe2\x80");
    }

    /// A long line is cut somewhere, and no character that acts slips through where it is.
    #[test]
    fn no_character_is_cut() {
        let terminal = Style { for_terminal: true, ..RAW };
        let prefixed = Style { for_terminal: true, ..prefixed() };
        for (character, shown) in [
            ("\u{9b}", "^^["),
            ("\u{202e}", "<U+202E>"),
            ("\u{e9}", "\u{e9}"),
            ("\u{20ac}", "\u{20ac}"),
            ("\u{1f600}", "\u{1f600}"),
        ] {
            for before in MAX_PIECE - 5..=MAX_PIECE + 1 {
                let before = "x".repeat(before);
                let line = format!("{before}{character}y\n");
                for style in [&terminal, &prefixed] {
                    let out = String::from_utf8(run(style, &[line.as_bytes()])).unwrap();
                    let out = out.replace("a | ", "").replace("\na + ", "");
                    assert_eq!(out, format!("{before}{shown}y\n"), "{character:?}");
                }
            }
        }
        // Nor where a job ends without the end of a line.
        assert_eq!(run(&terminal, &[b"\x1b]0;title\x07"]), b"^[]0;title^G");
        // What is no UTF-8 is no reason to wait for more.
        let odd = vec![0xe2; MAX_PIECE * 2];
        assert_eq!(run(&terminal, &[&odd]), odd);
    }

    #[test]
    fn a_terminal_is_left_in_peace() {
        let style = Style { for_terminal: true, ..RAW };
        let line = b"\x1b[2J\x07\x1b]0;t\x07a\tb \xc2\x9b1m \xc3\xa9 \x1b[1;31mred\r\n";
        let out = String::from_utf8(run(&style, &[line])).unwrap();
        assert_eq!(out, "^[[2J^G^[]0;t^Ga\tb ^^[1m é \x1b[1;31mred\x1b[0m\n");
    }
}
