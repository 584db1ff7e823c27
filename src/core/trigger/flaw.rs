//! What is wrong with the text of a schedule, and where in it.
//!
//! The parsers of `super::cron` know nothing of files: they say which bytes of the text they were
//! given a flaw is about, and `crate::jobfile` turns that into a line and a column.

use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is legal but probably not what was meant.
    Warning,
    /// It cannot be used.
    Error,
}

/// One thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// How bad it is.
    pub severity: Severity,
    /// The bytes of the text it is about.
    pub span: Range<usize>,
    /// What is wrong: a lower-case sentence without a full stop.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Flaw {
    /// An error at `span`.
    pub fn error(span: Range<usize>, message: impl Into<String>) -> Flaw {
        Flaw { severity: Severity::Error, span, message: message.into(), help: None }
    }

    /// A warning at `span`.
    pub fn warning(span: Range<usize>, message: impl Into<String>) -> Flaw {
        Flaw { severity: Severity::Warning, span, message: message.into(), help: None }
    }

    /// The same with a word on what would be right.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Flaw {
        Flaw { help: Some(help.into()), ..self }
    }
}
