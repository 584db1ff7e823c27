//! Takes secrets out of a stream: each becomes `***`, also when it arrives in pieces.
//!
//! One automaton looks for all texts at once (Aho-Corasick), so that what masking costs depends on
//! what is printed and hardly on how many secrets there are. It remembers where it stands from one
//! chunk to the next, and no byte is looked at twice. What may be the beginning of a secret is held
//! back until it is known; a line that ends with none is never held back.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;

use crate::run::child::secrets::{SHORTEST, Secrets};

const MASK: &[u8] = b"***";

/// So many sets of secrets are kept ready for the next run that has them,
const CACHED: usize = 64;

/// unless they are larger than this in all.
const CACHED_SIZE: usize = 256 << 10;

/// Beyond this many bytes since the automaton was last where it began, what may be the beginning
/// of a secret is not measured to the byte.
const MEASURED: usize = 512;

/// What is looked for in the output of a run. It is worked out when there is first something to
/// look in: most runs of most jobs print nothing.
#[derive(Debug)]
struct Texts {
    secrets: Secrets,
    search: OnceLock<Option<Search>>,
}

impl Texts {
    /// `None` if it could not be built: then nothing may be shown at all.
    fn search(&self) -> Option<&Search> {
        self.search.get_or_init(|| Search::new(&self.secrets.texts())).as_ref()
    }
}

/// The automaton, and what tells fast where it is not needed: it is slow among thousands of texts,
/// and nearly all that is printed has nothing in common with any of them.
#[derive(Debug)]
struct Search {
    nfa: NFA,
    start: StateID,
    /// Four bytes that stand anywhere in the first [`SHORTEST`] of a text.
    blocks: Bits,
    /// The first [`SHORTEST`] bytes of a text.
    heads: Bits,
    /// The texts by these bytes; `None` where several begin so.
    by_head: HashMap<u64, Option<Whole>>,
    /// States in which fewer than [`SHORTEST`] bytes of any text have been seen.
    shallow: Bits,
}

/// A text, and the state that it leads to.
#[derive(Debug)]
struct Whole {
    text: Box<[u8]>,
    state: StateID,
}

/// A set of small numbers.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    /// For hashes of so many things, of which few are to be taken for another.
    fn for_hashes(count: usize) -> Bits {
        Bits(vec![0; (count / 4).next_power_of_two().clamp(64, 1 << 14)])
    }

    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn add(&mut self, number: usize) {
        if number / 64 >= self.0.len() {
            self.0.resize(number / 64 + 1, 0);
        }
        self.0[number / 64] |= 1 << (number % 64);
    }

    fn hash(&self, value: u64) -> usize {
        let hash = value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        hash as usize & (self.0.len() * 64 - 1)
    }
}

/// The next [`SHORTEST`] bytes, as a number.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<SHORTEST>()?))
}

impl Search {
    fn new(texts: &[&[u8]]) -> Option<Search> {
        let nfa = NFA::builder().prefilter(false).build(texts).ok()?;
        let start = nfa.start_state(Anchored::No).ok()?;
        let mut search = Search {
            nfa,
            start,
            blocks: Bits::for_hashes(5 * texts.len()),
            heads: Bits::for_hashes(texts.len()),
            by_head: HashMap::new(),
            shallow: Bits(Vec::new()),
        };
        search.shallow.add(start.as_usize());
        for text in texts {
            let head = word(text, 0)?;
            search.heads.add(search.heads.hash(head));
            for at in 0..=SHORTEST - 4 {
                let block = head >> (8 * at) & u64::from(u32::MAX);
                search.blocks.add(search.blocks.hash(block));
            }
            let mut state = start;
            for byte in &text[..SHORTEST - 1] {
                state = search.next(state, *byte);
                search.shallow.add(state.as_usize());
            }
            let state = search.after(text);
            let whole = Whole { text: Box::from(*text), state };
            search.by_head.entry(head).and_modify(|other| *other = None).or_insert(Some(whole));
        }
        Some(search)
    }

    /// Where from `at` on a text may begin, of which the whole beginning is there; else where the
    /// end of `bytes` begins in which there is not enough to tell.
    fn head_in(&self, bytes: &[u8], mut at: usize) -> Result<usize, usize> {
        while let Some(word) = word(bytes, at) {
            if !self.blocks.has(self.blocks.hash(word >> 32)) {
                // No text has these four bytes in its beginning, wherever before them it begins.
                at += SHORTEST - 4 + 1;
            } else if self.heads.has(self.heads.hash(word)) {
                return Ok(at);
            } else {
                at += 1;
            }
        }
        Err(at)
    }

    /// The one text that begins as this place does, if it stands there: what is nothing but secrets
    /// is passed over in large steps.
    fn whole_at(&self, bytes: &[u8], at: usize) -> Option<&Whole> {
        let whole = self.by_head.get(&word(bytes, at)?)?.as_ref()?;
        bytes[at..].starts_with(&whole.text).then_some(whole)
    }

    fn next(&self, state: StateID, byte: u8) -> StateID {
        self.nfa.next_state(Anchored::No, state, byte)
    }

    fn after(&self, bytes: &[u8]) -> StateID {
        bytes.iter().fold(self.start, |state, byte| self.next(state, *byte))
    }

    /// How many of the last of these bytes are the beginning of a text, when they have led here.
    /// So many are enough to lead here from the start, and fewer are not.
    fn depth(&self, state: StateID, bytes: &[u8]) -> usize {
        if state == self.start {
            return 0;
        }
        let leads_here = |count: usize| self.after(&bytes[bytes.len() - count..]) == state;
        let (mut few, mut enough) = (0, bytes.len().min(1));
        while enough < bytes.len() && !leads_here(enough) {
            (few, enough) = (enough, (enough * 2).min(bytes.len()));
        }
        while few + 1 < enough {
            let middle = few.midpoint(enough);
            if leads_here(middle) { enough = middle } else { few = middle }
        }
        enough
    }
}

/// Sets of secrets that were looked for before, those used last in front.
#[derive(Debug, Default)]
pub struct Masks(Vec<Arc<Texts>>);

impl Masks {
    /// The masking of one stream of a run with these secrets; `None` if it has none.
    pub fn of(&mut self, secrets: &Secrets) -> Option<Mask> {
        if secrets.is_empty() {
            return None;
        }
        let at = match self.0.iter().position(|texts| texts.secrets == *secrets) {
            Some(at) => at,
            None => {
                let texts = Texts { secrets: secrets.clone(), search: OnceLock::new() };
                self.0.push(Arc::new(texts));
                self.0.len() - 1
            }
        };
        self.0[..=at].rotate_right(1);
        let texts = Arc::clone(&self.0[0]);
        let mut size = 0;
        self.0.truncate(CACHED);
        self.0.retain(|texts| {
            size += texts.secrets.size();
            size <= CACHED_SIZE
        });
        Some(Mask { texts, state: None, held: Vec::new(), found: Vec::new() })
    }
}

/// The masking of one stream.
#[derive(Debug)]
pub struct Mask {
    texts: Arc<Texts>,
    /// Where the automaton stands; `None` at the beginning.
    state: Option<StateID>,
    /// What is held back: no text that the automaton may be in the middle of began earlier.
    held: Vec<u8>,
    /// Where secrets stand in what is held, in order; those that overlap are one.
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    range: Range<usize>,
    /// `***` was written for it already.
    shown: bool,
}

impl Mask {
    /// Takes a chunk of the stream and appends to `out` what can be shown of it by now.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let texts = Arc::clone(&self.texts);
        let Some(search) = texts.search() else { return };
        if self.held.is_empty() {
            let open = self.look(search, chunk, 0);
            let until = chunk.len() - open;
            self.show(chunk, until, out);
            self.held.extend_from_slice(&chunk[until..]);
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        let from = held.len();
        held.extend_from_slice(chunk);
        let until = held.len() - self.look(search, &held, from);
        self.show(&held, until, out);
        held.drain(..until);
        if !held.is_empty() {
            // Most streams are idle most of the time.
            self.held = held;
        }
    }

    /// The stream has ended: appends what was held back. Who is killed while they print a secret
    /// leave the most of it behind, so as many bytes as make a secret are not shown.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let texts = Arc::clone(&self.texts);
        if let (Some(state), Some(search)) = (self.state.take(), texts.search()) {
            let begun = search.depth(state, &held);
            if begun >= SHORTEST {
                self.add(held.len() - begun..held.len());
            }
        }
        self.show(&held, held.len(), out);
    }

    /// Finds what stands in `bytes`, of which those before `from` were looked at before. Answers
    /// how many of the last may be the beginning of a secret.
    fn look(&mut self, search: &Search, bytes: &[u8], from: usize) -> usize {
        let is_shallow = |state: StateID| search.shallow.has(state.as_usize());
        // What is held back began where it may matter.
        let (mut began, mut at) = (0, from);
        let mut state = self.state.unwrap_or(search.start);
        loop {
            if is_shallow(state) {
                // What has begun so far is shorter than any text, so it can be looked for anew.
                match search.head_in(bytes, began.max(at.saturating_sub(SHORTEST - 1))) {
                    Ok(head) => {
                        (began, at) = (head, head + SHORTEST);
                        // No other text has begun before.
                        if let Some(whole) = search.whole_at(bytes, head) {
                            at = head + whole.text.len();
                            state = whole.state;
                            self.add(head..at);
                            continue;
                        }
                    }
                    Err(end) => (began, at) = (end.min(bytes.len()), bytes.len()),
                }
                state = search.after(&bytes[began..at]);
                self.note(search, state, at);
                if at == bytes.len() {
                    break;
                }
                if is_shallow(state) {
                    began += 1;
                    continue;
                }
            }
            let Some(byte) = bytes.get(at) else { break };
            state = search.next(state, *byte);
            at += 1;
            self.note(search, state, at);
        }
        self.state = Some(state);
        let open = bytes.len() - began;
        let measured = if open <= MEASURED { search.depth(state, &bytes[began..]) } else { open };
        measured.min(search.nfa.max_pattern_len())
    }

    /// If a text ends here, it is found.
    fn note(&mut self, search: &Search, state: StateID, at: usize) {
        if search.nfa.is_special(state) && search.nfa.is_match(state) {
            // The first is the longest that ends here.
            let text = search.nfa.match_pattern(state, 0);
            self.add(at - search.nfa.pattern_len(text)..at);
        }
    }

    /// One that overlaps what was found before makes that longer.
    fn add(&mut self, range: Range<usize>) {
        let mut new = Found { range, shown: false };
        while let Some(last) = self.found.pop_if(|last| new.range.start < last.range.end) {
            new.range.start = new.range.start.min(last.range.start);
            new.shown |= last.shown;
        }
        self.found.push(new);
    }

    /// Writes `bytes` up to `until`. What was found beyond it stays.
    fn show(&mut self, bytes: &[u8], until: usize, out: &mut Vec<u8>) {
        let mut at = 0;
        self.found.retain_mut(|found| {
            let Range { start, end } = found.range;
            if start < until {
                if !found.shown {
                    out.extend_from_slice(&bytes[at..start]);
                    out.extend_from_slice(MASK);
                }
                found.shown = true;
                at = end.min(until);
            }
            found.range = start.saturating_sub(until)..end.saturating_sub(until);
            end > until
        });
        out.extend_from_slice(&bytes[at..until]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask_of(values: &[&str]) -> Mask {
        let mut secrets = Secrets::default();
        for value in values {
            secrets.add(value.as_bytes());
        }
        Masks::default().of(&secrets).unwrap()
    }

    fn masked(values: &[&str], chunks: &[&[u8]]) -> String {
        let mut mask = mask_of(values);
        let mut out = Vec::new();
        for chunk in chunks {
            mask.feed(chunk, &mut out);
        }
        mask.finish(&mut out);
        assert!(mask.held.is_empty() && mask.found.is_empty(), "{mask:?}");
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn secrets_do_not_show() {
        // (secrets, what is printed, what is seen)
        let rows: [(&[&str], &str, &str); 16] = [
            (&["hunter23"], "the password is hunter23.\n", "the password is ***.\n"),
            (&["hunter23"], "hunter hunter23 hunter23x", "hunter *** ***x"),
            (&["hunter23"], "hunter23hunter23", "******"),
            (&["abcdefgh", "abcdefghij"], "abcdefghijk abcdefghi", "***k ***"),
            // The end of what somebody printed who was killed.
            (&["abcdefghijkl", "ijklmnopqrst"], "abcdefgh", "***"),
            (&["abcdefghijkl", "efghijklmnop"], "abcdefghijklmn", "***"),
            (&["abcdefghijkl", "ijklmnopqrst"], "abcdefghijklmn", "***mn"),
            (&["abcdefghijkl"], "abcdefghijklabcdefgh", "******"),
            (&["abcdefghijkl"], "abcdefg", "abcdefg"),
            (&["abcdefXY", "XYzzzzzz"], "-abcdefXYzzzzzz-", "-***-"),
            (&["aaaaaaaa"], "aaa aaaaaaaaaaaaaa b", "aaa *** b"),
            (&["aaaaaab!"], "aaaaaaab! aaaaaaab", "a*** aaaaaaab"),
            (&["none-at-all"], "", ""),
            // Found last, and begins first.
            (&["cdefghij", "abcdefghijkl"], "_abcdefghijkl_ cdefghij", "_***_ ***"),
            // Lines of it, and a line that is too short to be one of its own.
            (&["AAAABBBB\nCC="], "AAAABBBB\nCC=\n AAAABBBB\nCC", "***\n ***"),
            (&["11111\n22222\n33333"], "11111\n22222\n33333\n22222\n", "***\n22222\n"),
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
        let mut mask = mask_of(&["hunter23"]);
        let mut out = Vec::new();
        mask.feed(b"hunter\n", &mut out);
        assert_eq!(out, b"hunter\n");
        // And of one that is not whole, all but what may be the beginning of a secret.
        out.clear();
        mask.feed(b"hunt who? hun", &mut out);
        assert_eq!(out, b"hunt who? ");
        // And what never ends takes no memory.
        let mut mask = mask_of(&["aaaaaaaa"]);
        out.clear();
        for _ in 0..1000 {
            mask.feed(&[b'a'; 100], &mut out);
            assert!(mask.held.len() <= 8 && mask.found.len() <= 1);
        }
        assert_eq!(out, b"***");
    }

    /// A list of thousands of lines, and one line as long as a variable may be, printed whole and
    /// a byte at a time.
    #[test]
    fn large_secrets_are_masked_in_linear_time() {
        let list: Vec<String> = (0..21_000).map(|number| format!("{number:05}")).collect();
        let long = "0123456789abcdef".repeat(8000);
        for secret in [list.join("\n"), long] {
            let seen = masked(&[&secret], &[format!("<{secret}>\n").repeat(20).as_bytes()]);
            assert_eq!(seen, "<***>\n".repeat(20));
            let bytes: Vec<&[u8]> = secret.as_bytes().chunks(1).collect();
            assert_eq!(masked(&[&secret], &bytes), "***");
        }
    }

    #[test]
    fn what_was_built_serves_the_next_run() {
        let mut masks = Masks::default();
        let secrets = |value: String| {
            let mut secrets = Secrets::default();
            secrets.add(value.as_bytes());
            secrets
        };
        let first = masks.of(&secrets("hunter23".into())).unwrap();
        let same = masks.of(&secrets("hunter23".into())).unwrap();
        assert!(Arc::ptr_eq(&first.texts, &same.texts));
        for number in 0..2 * CACHED {
            assert!(masks.of(&secrets(format!("secret {number}"))).is_some());
        }
        assert_eq!(masks.0.len(), CACHED);
        for number in 0..20 {
            assert!(masks.of(&secrets(format!("{number}").repeat(100_000))).is_some());
        }
        assert!(masks.0.len() < 12);
    }

    proptest! {
        /// However the stream is cut, what is seen is the same, and no secret.
        #[test]
        fn cuts_make_no_difference(
            texts in prop::collection::vec("[ab]{8,10}", 1..4),
            chunks in prop::collection::vec("[abc\n]{0,19}", 0..20),
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
