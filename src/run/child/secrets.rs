//! Values that must not be seen: what a job's environment holds of its secrets.
//!
//! `super::environment` collects them, `crate::run::output` takes them out of what the job prints.
//! Collecting costs a start nothing but the copy: what is looked for is worked out by the thread
//! that looks for it.

use crate::core::sort;
use std::fmt;
use std::sync::Arc;

/// Shorter texts are not secrets but words, and masking them would make output unreadable.
pub(crate) const SHORTEST: usize = 8;

/// A larger file is a mistake: Linux takes no longer variable.
pub(crate) const MAX_SECRET: u64 = 128 << 10;

/// What is wrong with a value that has too few bytes to be masked, and what to do about it. One
/// that holds nothing at all is fine: there is nothing to be seen.
pub(crate) fn too_short(value: &[u8]) -> Option<(String, &'static str)> {
    let bytes = match value.trim_ascii().len() {
        0 | SHORTEST.. => return None,
        1 => "1 byte".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    let what =
        format!("has {bytes}, and fewer than {SHORTEST} cannot be masked in the job's output");
    Some((what, "if the value is not secret, write it in `env` or `env_file`"))
}

/// The secrets of a run.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Option<Arc<Vec<Vec<u8>>>>);

impl Secrets {
    pub fn add(&mut self, value: &[u8]) {
        if !value.is_empty() {
            Arc::make_mut(self.0.get_or_insert_default()).push(value.to_vec());
        }
    }

    /// Whether there is nothing to be masked.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes they have in all.
    pub(crate) fn size(&self) -> usize {
        self.values().map(<[u8]>::len).sum()
    }

    /// What is to be masked, none of it shorter than [`SHORTEST`].
    ///
    /// Each line of a value is a secret of its own, so that a key of many lines is recognised
    /// however its lines are printed. A line that is too short for that is taken together with the
    /// lines before it, or after it where there are none, so that a value that is printed as it
    /// stands is masked to its last byte.
    pub(crate) fn texts(&self) -> Vec<&[u8]> {
        let mut texts = Vec::new();
        for value in self.values() {
            texts_of(value, &mut texts);
        }
        sort::all(&mut texts);
        texts.dedup();
        texts
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().flat_map(|values| values.iter().map(Vec::as_slice))
    }
}

fn texts_of<'a>(value: &'a [u8], texts: &mut Vec<&'a [u8]>) {
    // Where the lines stand, without what is around them: each may be printed indented.
    let mut lines: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    for line in value.split(|byte| *byte == b'\n') {
        let begin = at + line.len() - line.trim_ascii_start().len();
        let end = begin + line.trim_ascii().len();
        if begin < end {
            lines.push((begin, end));
        }
        at += line.len() + 1;
    }
    for (index, (begin, end)) in lines.iter().copied().enumerate() {
        // The last line before it with which it is long enough; there is one within a few lines.
        let with_others = || lines[..index].iter().rev().find(|line| end - line.0 >= SHORTEST);
        let text = match end - begin {
            SHORTEST.. => Some((begin, end)),
            _ => with_others().map(|line| (line.0, end)).or_else(|| {
                let line = lines[index..].iter().find(|line| line.1 - lines[0].0 >= SHORTEST)?;
                Some((lines[0].0, line.1))
            }),
        };
        texts.extend(text.map(|(begin, end)| &value[begin..end]));
    }
}

/// Without a word of what they are.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.as_ref().map_or(0, |values| values.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_secrets_and_short_ones_are_taken_together() {
        // (value, what is masked)
        let rows: [(&str, &[&str]); 8] = [
            ("hunter2hunter2", &["hunter2hunter2"]),
            ("  indented line\r\n\nanother line\n", &["another line", "indented line"]),
            // The end of a key.
            ("AAAABBBBCCCC\nDD==\n-----END", &["-----END", "AAAABBBBCCCC", "AAAABBBBCCCC\nDD=="]),
            ("ab\nAAAABBBBCCCC", &["AAAABBBBCCCC", "ab\nAAAABBBBCCCC"]),
            ("11111\n22222\n33333", &["11111\n22222", "22222\n33333"]),
            ("1\n2\n3\n4\n5", &["1\n2\n3\n4\n5"]),
            ("12\r\n34\r\n56", &["12\r\n34\r\n56"]),
            ("same line\nsame line", &["same line"]),
        ];
        for (value, expected) in rows {
            let mut secrets = Secrets::default();
            secrets.add(value.as_bytes());
            let texts: Vec<_> =
                secrets.texts().iter().map(|text| str::from_utf8(text).unwrap()).collect();
            assert_eq!(texts, expected, "{value:?}");
        }
    }
}
