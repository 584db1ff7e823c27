//! A run that has succeeded and yet is out of the ordinary, and what there is to say of it. Which runs are is for
//! `crate::core::habit` to say.

use std::sync::Arc;
use std::time::Duration;

use super::RunId;
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::words;

/// In what way a run is out of the ordinary: in both, perhaps, or in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unusual {
    /// It has printed far less than usual.
    pub quiet: Option<Quiet>,
    /// It was over far sooner than usual.
    pub fast: Option<Fast>,
}

/// How little a run has printed, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// It.
    pub printed: u64,
    /// Half of the runs before it, or more.
    pub usual: u64,
}

/// How soon a run was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fast {
    /// It took so long.
    pub took: Duration,
    /// Half of the runs before it, or more.
    pub usual: Duration,
}

impl Unusual {
    /// Whether there is nothing to say.
    pub fn is_none(&self) -> bool {
        *self == Unusual::default()
    }

    /// In what ways: the word for each, and what there is to say after the word: `printed nothing`, `usually
    /// 1.0 KB`.
    pub fn remarks(&self) -> Vec<(&'static str, String, String)> {
        let quiet = self.quiet.map(|it| ("quiet", it.phrase(), words::bytes(it.usual)));
        let fast = self.fast.map(|it| {
            ("fast", format!("took {}", words::elapsed(it.took)), words::elapsed(it.usual))
        });
        let usually = |(word, what, usual)| (word, what, format!("usually {usual}"));
        quiet.into_iter().chain(fast).map(usually).collect()
    }

    /// The same, each as a sentence without its stop: `it printed nothing: usually it prints 1.0 KB`.
    pub(crate) fn sentences(&self) -> Vec<(&'static str, String)> {
        let quiet = self.quiet.map(|it| {
            let usual = words::bytes(it.usual);
            ("quiet", format!("it {}: usually it prints {usual}", it.phrase()))
        });
        let fast = self.fast.map(|it| {
            let (took, usual) = (words::elapsed(it.took), words::elapsed(it.usual));
            ("fast", format!("it took only {took}: usually it takes {usual}"))
        });
        quiet.into_iter().chain(fast).collect()
    }
}

impl Quiet {
    /// `printed nothing`.
    pub(crate) fn phrase(&self) -> String {
        match self.printed {
            0 => "printed nothing".to_owned(),
            bytes => format!("printed only {}", words::bytes(bytes)),
        }
    }
}

/// A run that is out of the ordinary.
#[derive(Clone, Debug, PartialEq)]
pub struct UnusualRun {
    /// The run.
    pub run: RunId,
    /// Its job.
    pub job: Arc<Job>,
    /// Its due time.
    pub due: Instant,
    /// When its first attempt was started.
    pub started: Option<Instant>,
    /// How long it took.
    pub took: Duration,
    /// In what way.
    pub unusual: Unusual,
}
