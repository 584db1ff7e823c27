//! What is kept of what a run has printed: the end of each of its attempts, line by line, with the
//! time and the stream of each.
//!
//! `crate::run::output` gathers it, a store keeps it as bytes that it does not look into, and whoever
//! shows it takes those apart again. Bytes that are not of this form are what an older schedrs has
//! kept: the end of the last attempt as it came.

use std::collections::VecDeque;

use crate::core::instant::Instant;

/// What the bytes begin with.
const MAGIC: &[u8] = b"\0schedrs output 1\n";

/// Lines of one stream that come within this many microseconds are kept as one piece.
const TOGETHER: i64 = 100_000;

/// So many pieces are kept of an attempt, and one more for so many bytes that are.
const MANY_PIECES: usize = 64;
const HEAD: usize = 16;

/// Of so many attempts of a run the end is kept: the last ones.
const MOST_ATTEMPTS: usize = 16;

/// An unfinished line that gets longer than this is taken as it is so far.
const LONGEST_LINE: usize = 16 * 1024;

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// Its attempts, as far as anything of them is kept, in order.
    pub attempts: VecDeque<Attempt>,
}

/// What is kept of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1; 0: nobody knows.
    pub number: u32,
    /// How many bytes in front of what is kept are missing.
    pub missing: u64,
    /// What it has printed, in order.
    pub pieces: VecDeque<Piece>,
}

/// Lines of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// When the first of them began; `None`: nobody knows.
    pub at: Option<Instant>,
    /// On standard error.
    pub is_stderr: bool,
    /// Whole lines, but for the last of a stream.
    pub bytes: Vec<u8>,
}

impl Printed {
    /// Whether nothing is missing of what is kept.
    pub fn is_whole(&self) -> bool {
        let is_first = self.attempts.front().is_none_or(|attempt| attempt.number <= 1);
        is_first && self.attempts.iter().all(|attempt| attempt.missing == 0)
    }

    /// How many bytes are kept.
    pub fn kept(&self) -> u64 {
        self.pieces().map(|piece| piece.bytes.len() as u64).sum()
    }

    /// All of it, as it was printed.
    pub fn text(&self) -> Vec<u8> {
        text(self.pieces())
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.attempts.iter().flat_map(|attempt| &attempt.pieces)
    }

    /// As a store keeps it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for attempt in &self.attempts {
            bytes.push(b'a');
            bytes.extend_from_slice(&attempt.number.to_le_bytes());
            bytes.extend_from_slice(&attempt.missing.to_le_bytes());
            for piece in &attempt.pieces {
                bytes.push(if piece.is_stderr { b'e' } else { b'o' });
                let at = piece.at.map_or(i64::MIN, Instant::micros);
                bytes.extend_from_slice(&at.to_le_bytes());
                // No piece is longer than what is kept of an attempt.
                bytes.extend_from_slice(&(piece.bytes.len() as u32).to_le_bytes());
                bytes.extend_from_slice(&piece.bytes);
            }
        }
        bytes
    }

    /// What a store has kept of `total` bytes.
    pub fn decode(bytes: &[u8], total: u64) -> Printed {
        decode(bytes).unwrap_or_else(|| {
            let missing = total.saturating_sub(bytes.len() as u64);
            let piece = Piece { at: None, is_stderr: false, bytes: bytes.to_vec() };
            let pieces = VecDeque::from([piece]);
            Printed { attempts: VecDeque::from([Attempt { number: 0, missing, pieces }]) }
        })
    }
}

impl Attempt {
    /// All that is kept, as it was printed.
    pub fn text(&self) -> Vec<u8> {
        text(self.pieces.iter())
    }
}

fn text<'p>(pieces: impl Iterator<Item = &'p Piece>) -> Vec<u8> {
    let mut text = Vec::new();
    pieces.for_each(|piece| text.extend_from_slice(&piece.bytes));
    text
}

fn decode(bytes: &[u8]) -> Option<Printed> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut printed = Printed::default();
    while let Some((kind, more)) = rest.split_first() {
        rest = more;
        match kind {
            b'a' => {
                let number = u32::from_le_bytes(take(&mut rest)?);
                let missing = u64::from_le_bytes(take(&mut rest)?);
                let attempt = Attempt { number, missing, pieces: VecDeque::new() };
                printed.attempts.push_back(attempt);
            }
            b'o' | b'e' => {
                let at = i64::from_le_bytes(take(&mut rest)?);
                let at = (at != i64::MIN).then(|| Instant::from_micros(at));
                let length = u32::from_le_bytes(take(&mut rest)?) as usize;
                let (bytes, more) = rest.split_at_checked(length)?;
                rest = more;
                let piece = Piece { at, is_stderr: *kind == b'e', bytes: bytes.to_vec() };
                printed.attempts.back_mut()?.pieces.push_back(piece);
            }
            _ => return None,
        }
    }
    Some(printed)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, more) = rest.split_first_chunk::<N>()?;
    *rest = more;
    Some(*first)
}

/// What of a part of a line, without its end, is to be added to what there is of it. Of a progress
/// bar, which goes back to the beginning of its line again and again, only what stands there at the
/// end is to be seen: what a carriage return goes back over is taken out of `line`. One at the end may
/// be a part of the line's own end, and several are as good as one.
pub fn after_returns<'p>(line: &mut Vec<u8>, part: &'p [u8]) -> &'p [u8] {
    let text = part.len() - part.iter().rev().take_while(|byte| **byte == b'\r').count();
    let returns_before = line.last() == Some(&b'\r');
    if text == 0 {
        return &part[..usize::from(!part.is_empty() && !returns_before)];
    }
    let back = memchr::memrchr(b'\r', &part[..text]);
    if returns_before || back.is_some() {
        line.clear();
    }
    &part[back.map_or(0, |back| back + 1)..part.len().min(text + 1)]
}

/// A line, or a part of one, without its end.
pub fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Gathers what a run prints.
#[derive(Debug, Default)]
pub struct Gatherer {
    printed: Printed,
    /// How many bytes of the current attempt are kept.
    size: usize,
    /// The unfinished line of standard output and that of standard error, and when they began.
    lines: [(Instant, Vec<u8>); 2],
}

impl Gatherer {
    /// An attempt begins.
    pub fn begin(&mut self, number: u32) {
        self.finish(usize::MAX);
        let attempt = Attempt { number, ..Attempt::default() };
        self.printed.attempts.push_back(attempt);
        if self.printed.attempts.len() > MOST_ATTEMPTS {
            self.printed.attempts.pop_front();
        }
        self.size = 0;
    }

    /// It has printed something, of which the last `keep` bytes are kept.
    pub fn feed(&mut self, at: Instant, is_stderr: bool, mut chunk: &[u8], keep: usize) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            self.part(at, is_stderr, &chunk[..end], b"\n");
            self.end_line(is_stderr, keep);
            chunk = &chunk[end + 1..];
        }
        if !chunk.is_empty() {
            self.part(at, is_stderr, chunk, b"");
            if self.unfinished(is_stderr).len() > LONGEST_LINE {
                self.end_line(is_stderr, keep);
            }
        }
    }

    /// A part of a line, and its end if there is one.
    fn part(&mut self, at: Instant, is_stderr: bool, part: &[u8], end: &[u8]) {
        let (since, line) = &mut self.lines[usize::from(is_stderr)];
        let part = after_returns(line, part);
        if line.is_empty() {
            *since = at;
        }
        line.extend_from_slice(part);
        line.extend_from_slice(end);
    }

    fn end_line(&mut self, is_stderr: bool, keep: usize) {
        let (at, line) = &mut self.lines[usize::from(is_stderr)];
        let (at, line) = (*at, std::mem::take(line));
        let Some(attempt) = self.printed.attempts.back_mut().filter(|_| !line.is_empty()) else {
            return;
        };
        self.size += line.len();
        let is_together = |last: &Piece| {
            last.is_stderr == is_stderr
                && last.bytes.ends_with(b"\n")
                && last.bytes.len() < LONGEST_LINE
                && last
                    .at
                    .is_some_and(|last| (0..TOGETHER).contains(&(at.micros() - last.micros())))
        };
        match attempt.pieces.back_mut().filter(|last| is_together(last)) {
            Some(last) => last.bytes.extend_from_slice(&line),
            None => attempt.pieces.push_back(Piece { at: Some(at), is_stderr, bytes: line }),
        }
        // Cut only now and then, and not with each line.
        let is_many = attempt.pieces.len() / 2 > MANY_PIECES.saturating_add(keep / HEAD);
        if self.size > keep.saturating_mul(2) || is_many {
            self.size = cut(attempt, self.size, keep);
        }
    }

    /// Ends the attempt: what there is of unfinished lines is taken as it is.
    pub fn finish(&mut self, keep: usize) {
        self.end_line(false, keep);
        self.end_line(true, keep);
        if let Some(attempt) = self.printed.attempts.back_mut() {
            self.size = cut(attempt, self.size, keep);
        }
    }

    /// What there is, but for unfinished lines.
    pub fn printed(&self) -> &Printed {
        &self.printed
    }

    /// The unfinished line of a stream.
    pub fn unfinished(&self, is_stderr: bool) -> &[u8] {
        &self.lines[usize::from(is_stderr)].1
    }
}

/// Leaves no more of an attempt than its last `keep` bytes, and not many more pieces than those need.
/// Answers how many bytes that is.
fn cut(attempt: &mut Attempt, mut size: usize, keep: usize) -> usize {
    let most_pieces = MANY_PIECES.saturating_add(keep / HEAD);
    while let Some(first) = attempt.pieces.front_mut()
        && (size > keep || first.bytes.is_empty())
    {
        let beyond = first.bytes.len().min(size - keep);
        first.bytes.drain(..beyond);
        attempt.missing += beyond as u64;
        size -= beyond;
        if first.bytes.is_empty() {
            attempt.pieces.pop_front();
        }
    }
    while attempt.pieces.len() > most_pieces
        && let Some(first) = attempt.pieces.pop_front()
    {
        attempt.missing += first.bytes.len() as u64;
        size -= first.bytes.len();
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Instant {
        Instant::from_micros(1_000_000_000_000 + millis * 1000)
    }

    fn texts(printed: &Printed) -> Vec<(u32, bool, String)> {
        let of = |attempt: &Attempt| {
            let number = attempt.number;
            let pieces = attempt.pieces.iter().map(move |piece| {
                (number, piece.is_stderr, String::from_utf8_lossy(&piece.bytes).into_owned())
            });
            pieces.collect::<Vec<_>>()
        };
        printed.attempts.iter().flat_map(of).collect()
    }

    #[test]
    fn each_attempt_has_its_end() {
        let mut gatherer = Gatherer::default();
        gatherer.begin(1);
        gatherer.feed(at(0), false, b"one\ntw", 100);
        gatherer.feed(at(1), true, b"oh\n", 100);
        gatherer.feed(at(2), false, b"o\n", 100);
        gatherer.feed(at(500), false, b"later", 100);
        gatherer.finish(100);
        gatherer.begin(2);
        gatherer.feed(at(900), false, b"again\n", 100);
        gatherer.finish(100);
        let expected = [
            (1, false, "one\n"),
            (1, true, "oh\n"),
            (1, false, "two\n"),
            (1, false, "later"),
            (2, false, "again\n"),
        ];
        let expected = expected.map(|(number, is_stderr, text)| (number, is_stderr, text.into()));
        assert_eq!(texts(gatherer.printed()), expected);
        assert!(gatherer.printed().is_whole());
        // A line has the time of its first byte.
        assert_eq!(gatherer.printed().attempts[0].pieces[2].at, Some(at(0)));
        let encoded = gatherer.printed().encode();
        assert_eq!(&Printed::decode(&encoded, 0), gatherer.printed());
    }

    /// What is printed and what is left of it, wherever it is cut into chunks.
    #[test]
    fn a_progress_bar_is_its_last_state() {
        let rows: &[(&str, &str)] = &[
            ("plain\n", "plain\n"),
            ("dos\r\n", "dos\r\n"),
            ("1%\r2%\r3%\rdone\r\n", "done\r\n"),
            // Only the end of the line, however many.
            ("done\r\r\n", "done\r\n"),
            ("1%\rdone\r\r\r\n", "done\r\n"),
            ("\r\r\n", "\r\n"),
            ("\r\r1%\r\r2%\r\r", "2%\r"),
            ("1%\rnow\nnext\r\r\n", "now\nnext\r\n"),
        ];
        for (printed, expected) in rows {
            let bytes = printed.as_bytes();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let mut gatherer = Gatherer::default();
                    gatherer.begin(1);
                    for chunk in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                        gatherer.feed(at(0), true, chunk, 100);
                    }
                    gatherer.finish(100);
                    let text = gatherer.printed().text();
                    assert_eq!(String::from_utf8_lossy(&text), *expected, "{first} {second}");
                }
            }
        }
        // However long it goes on, it is one line.
        let mut gatherer = Gatherer::default();
        gatherer.begin(1);
        gatherer.feed(at(0), false, b"1%\r2%\r", 100);
        assert_eq!(gatherer.unfinished(false), b"2%\r");
    }

    #[test]
    fn the_end_is_kept_whatever_the_chunks() {
        let all: Vec<u8> = (0..20_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
        for size in [1, 7, 1000, 4096, 4097, 20_000] {
            let mut gatherer = Gatherer::default();
            gatherer.begin(1);
            for chunk in all.chunks(size) {
                gatherer.feed(at(0), false, chunk, 4096);
                assert!(gatherer.printed.kept() <= 2 * 4096 + LONGEST_LINE as u64);
            }
            gatherer.finish(4096);
            assert_eq!(gatherer.printed().text(), all[all.len() - 4096..], "{size}");
            assert_eq!(gatherer.printed().attempts[0].missing, 20_000 - 4096);
        }
        // Single bytes of two streams by turns do not grow without bound.
        let mut gatherer = Gatherer::default();
        gatherer.begin(1);
        for n in 0..10_000 {
            gatherer.feed(at(n), n % 2 == 0, b"\n", 64);
        }
        gatherer.finish(64);
        assert_eq!(gatherer.printed().kept(), 64);
        assert!(gatherer.printed().attempts[0].pieces.len() <= 64);
        gatherer.begin(2);
        gatherer.feed(at(0), false, b"nothing of it\n", 0);
        gatherer.finish(0);
        assert_eq!(gatherer.printed().attempts[1].missing, 14);
    }

    #[test]
    fn of_many_attempts_the_last_are_kept() {
        let mut gatherer = Gatherer::default();
        for number in 1..=20 {
            gatherer.begin(number);
            gatherer.feed(at(0), false, b"x\n", 10);
        }
        gatherer.finish(10);
        let numbers: Vec<u32> =
            gatherer.printed().attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, (5..=20).collect::<Vec<u32>>());
        assert!(!gatherer.printed().is_whole());
    }

    #[test]
    fn what_is_of_no_form_is_a_text() {
        for (bytes, total, missing) in
            [(&b"all well\n"[..], 9, 0), (b"end\n", 100, 96), (b"", 0, 0)]
        {
            let printed = Printed::decode(bytes, total);
            assert_eq!((printed.text(), printed.attempts[0].missing), (bytes.to_vec(), missing));
        }
        let mut gatherer = Gatherer::default();
        gatherer.begin(1);
        gatherer.feed(at(0), false, b"line\n", 10);
        let encoded = gatherer.printed().encode();
        // Cut anywhere, it is no error and no panic.
        for length in 0..encoded.len() {
            Printed::decode(&encoded[..length], 5);
        }
    }
}
