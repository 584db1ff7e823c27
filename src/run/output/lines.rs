//! From chunks of bytes to whole lines, each with whose it is in front.

use std::sync::Arc;

use unicode_width::UnicodeWidthStr;

use crate::problem::clean;

/// A line longer than this is cut into pieces, so that memory is bounded whatever is printed.
pub(super) const MAX_PIECE: usize = 16 * 1024;

/// How lines are written.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    /// What stands in front; `None` writes the bytes as they are.
    pub(crate) prefix: Option<Prefix>,
    /// The lines go to a terminal, on which control characters would act.
    pub(crate) for_terminal: bool,
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
        let mut id = clean(id).into_owned();
        let mut indent = "";
        if let Some(column) = column {
            id.extend(std::iter::repeat_n(' ', column.saturating_sub(id.width())));
            // As wide as the log's time.
            indent = "         ";
        }
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
}

impl Lines {
    /// Takes a chunk of a stream and appends to `out` every line that it completes.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], style: &Style, out: &mut Vec<u8>) {
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
            self.continued = false;
        } else if style.prefix.is_some() {
            self.end_line(style, out);
        } else {
            out.append(&mut self.partial);
        }
    }

    /// Some more of the current line.
    fn take(&mut self, mut more: &[u8], style: &Style, out: &mut Vec<u8>) {
        while self.partial.len() + more.len() > MAX_PIECE {
            let (head, tail) = more.split_at(MAX_PIECE - self.partial.len());
            self.partial.extend_from_slice(head);
            self.piece(style, out);
            if style.prefix.is_some() {
                out.push(b'\n');
            }
            self.continued = true;
            more = tail;
        }
        if !more.is_empty() {
            self.partial.extend_from_slice(more);
        }
    }

    fn end_line(&mut self, style: &Style, out: &mut Vec<u8>) {
        // The line may have ended just where its last piece did.
        if !(self.continued && self.partial.is_empty() && style.prefix.is_some()) {
            self.piece(style, out);
            out.push(b'\n');
        }
        self.continued = false;
    }

    fn piece(&mut self, style: &Style, out: &mut Vec<u8>) {
        if let Some(prefix) = &style.prefix {
            let prefix = if self.continued { &prefix.further } else { &prefix.first };
            out.extend_from_slice(prefix);
        }
        if style.for_terminal {
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
    let line = line.strip_suffix(b"\r").unwrap_or(line);
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

/// Whether there is one of U+202A..U+202E and U+2066..U+2069 at the beginning of `bytes`: embeddings,
/// overrides and isolates.
fn is_direction(bytes: &[u8]) -> bool {
    matches!(bytes, [0xe2, 0x80, 0xaa..=0xae, ..] | [0xe2, 0x81, 0xa6..=0xa9, ..])
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
        Style { prefix: Some(prefix), for_terminal: false }
    }

    const RAW: Style = Style { prefix: None, for_terminal: false };

    #[test]
    fn lines_are_whole() {
        let chunks: [&[u8]; 4] = [b"on", b"e\ntwo\n\nthr", b"ee", b""];
        assert_eq!(run(&prefixed(), &chunks), b"a | one\na | two\na | \na | three\n");
        assert_eq!(run(&RAW, &chunks), b"one\ntwo\n\nthree");
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

    #[test]
    fn a_terminal_is_left_in_peace() {
        let style = Style { for_terminal: true, ..RAW };
        let line = b"\x1b[2J\x07\x1b]0;t\x07a\tb \xc2\x9b1m \xc3\xa9 \x1b[1;31mred\r\n";
        let out = String::from_utf8(run(&style, &[line])).unwrap();
        assert_eq!(out, "^[[2J^G^[]0;t^Ga\tb ^^[1m é \x1b[1;31mred\x1b[0m\n");
    }
}
