//! Values that must not be seen: what a job's environment holds of its secrets.
//!
//! `super::environment` collects them, `crate::output` takes them out of what the job prints.

use std::fmt;
use std::sync::Arc;

/// Shorter texts are not secrets but words, and masking them would make output unreadable.
const SHORTEST: usize = 4;

/// The texts that are masked in the output of a run.
#[derive(Clone, Default)]
pub struct Secrets(Option<Arc<Vec<Vec<u8>>>>);

impl Secrets {
    /// Adds a value. Each line of it is a secret of its own, so that a key of many lines is
    /// recognised however its lines are printed, and output is never held back for more than a line.
    pub fn add(&mut self, value: &[u8]) {
        for line in value.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.len() >= SHORTEST {
                let lines = Arc::make_mut(self.0.get_or_insert_default());
                if !lines.iter().any(|known| known == line) {
                    lines.push(line.to_vec());
                }
            }
        }
    }

    /// The texts; `None` when there are none.
    pub(crate) fn texts(&self) -> Option<Arc<Vec<Vec<u8>>>> {
        self.0.clone()
    }
}

/// Without a word of what they are.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.as_ref().map_or(0, |texts| texts.len()))
    }
}
