//! Takes secrets out of a stream: each becomes `***`, also when it arrives in pieces.
//!
//! What may be the beginning of a secret is held back until it is known. No text to be masked has a
//! newline in it (`crate::child::secrets`), so a whole line is never held back.

use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;

const MASK: &[u8] = b"***";

/// The masking of one stream.
#[derive(Debug)]
pub(super) struct Mask {
    texts: Arc<Vec<Vec<u8>>>,
    /// What is held back.
    held: Vec<u8>,
    /// So many of the first bytes held back belong to a secret for which `***` was written already.
    covered: usize,
}

impl Mask {
    /// For these texts, none of which is empty.
    pub(super) fn new(texts: Arc<Vec<Vec<u8>>>) -> Mask {
        Mask { texts, held: Vec::new(), covered: 0 }
    }

    /// Takes a chunk of the stream and appends to `out` what can be shown of it by now.
    pub(super) fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(chunk);
        let until = self.held.len() - self.open_end();
        self.show(until, out);
    }

    /// The stream has ended: appends what was held back.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.show(self.held.len(), out);
    }

    /// How many of the last bytes may be the beginning of a secret.
    fn open_end(&self) -> usize {
        let begins = |text: &Vec<u8>| {
            let longest = (text.len() - 1).min(self.held.len());
            (1..=longest).rev().find(|length| self.held.ends_with(&text[..*length])).unwrap_or(0)
        };
        self.texts.iter().map(begins).max().unwrap_or(0)
    }

    /// Writes what is held up to `until`; the rest stays.
    fn show(&mut self, until: usize, out: &mut Vec<u8>) {
        let (mut at, mut covered) = (self.covered.min(until), self.covered.saturating_sub(until));
        for Range { start, end } in self.secrets() {
            if start >= until {
                break;
            }
            // One that overlaps what is masked already makes that longer.
            if start >= at && !(start == 0 && self.covered > 0) {
                out.extend_from_slice(&self.held[at..start]);
                out.extend_from_slice(MASK);
            }
            at = at.max(end.min(until));
            covered = covered.max(end.saturating_sub(until));
        }
        out.extend_from_slice(&self.held[at..until]);
        self.held.drain(..until);
        self.covered = covered;
        if self.held.is_empty() {
            // Most streams are idle most of the time.
            self.held = Vec::new();
        }
    }

    /// Where secrets stand in what is held, in order; those that overlap are one.
    fn secrets(&self) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> =
            (self.covered > 0).then_some(0..self.covered).into_iter().collect();
        for text in self.texts.iter() {
            let mut from = 0;
            while let Some(at) = memmem::find(&self.held[from..], text) {
                found.push(from + at..from + at + text.len());
                // The next may overlap it.
                from += at + 1;
            }
        }
        found.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(texts: &[&str], chunks: &[&[u8]]) -> String {
        let mut mask =
            Mask::new(Arc::new(texts.iter().map(|text| text.as_bytes().into()).collect()));
        let mut out = Vec::new();
        for chunk in chunks {
            mask.feed(chunk, &mut out);
        }
        mask.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn secrets_do_not_show() {
        // (secrets, what is printed, what is seen)
        let rows: [(&[&str], &str, &str); 8] = [
            (&["hunter2"], "the password is hunter2.\n", "the password is ***.\n"),
            (&["hunter2"], "hunter hunter2 hunter2x", "hunter *** ***x"),
            (&["hunter2"], "hunter2hunter2", "******"),
            (&["abcd", "abcdef"], "abcdefg abcde", "***g ***e"),
            (&["abcdXY", "XYzzzz"], "-abcdXYzzzz-", "-***-"),
            (&["aaaa"], "aaa aaaaaaaaaa b", "aaa *** b"),
            (&["aab!"], "aaab! aaaab", "a*** aaaab"),
            (&["none"], "", ""),
        ];
        for (texts, printed, seen) in rows {
            assert_eq!(masked(texts, &[printed.as_bytes()]), seen, "{texts:?}");
            for cut in 0..=printed.len() {
                let (head, tail) = printed.as_bytes().split_at(cut);
                assert_eq!(masked(texts, &[head, tail]), seen, "{texts:?}, cut at {cut}");
            }
            let bytes: Vec<&[u8]> = printed.as_bytes().chunks(1).collect();
            assert_eq!(masked(texts, &bytes), seen, "{texts:?}, byte by byte");
        }
    }

    #[test]
    fn a_whole_line_is_shown_at_once() {
        let mut mask = Mask::new(Arc::new(vec![b"hunter2".to_vec()]));
        let mut out = Vec::new();
        mask.feed(b"hunter\n", &mut out);
        assert_eq!(out, b"hunter\n");
        // And what never ends takes no memory.
        let mut mask = Mask::new(Arc::new(vec![b"aaaa".to_vec()]));
        for _ in 0..1000 {
            mask.feed(&[b'a'; 100], &mut out);
            assert!(mask.held.len() < 8);
        }
        assert_eq!(out, b"hunter\n***");
    }

    proptest! {
        /// However the stream is cut, what is seen is the same, and no secret.
        #[test]
        fn cuts_make_no_difference(
            texts in prop::collection::vec("[ab]{4,6}", 1..4),
            chunks in prop::collection::vec("[abc\n]{0,9}", 0..20),
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let whole = chunks.concat();
            let pieces: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            let seen = masked(&texts, &[whole.as_bytes()]);
            prop_assert_eq!(&masked(&texts, &pieces), &seen);
            for text in texts {
                prop_assert!(!seen.contains(text));
            }
        }
    }
}
