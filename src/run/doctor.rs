//! `schedrs doctor`: what will bite, found before it does.
//!
//! Each check gives [`Finding`]s, which `crate::cli::command::doctor` shows. `machine` looks at
//! what all jobs stand on, `shared` at a store on a server; what concerns one job is examined where its processes are made
//! (`crate::run::child`), as its own user and in its own directory; `login` compares its
//! environment with the one in which its command was probably tried.

pub(crate) mod login;
pub(crate) mod machine;
pub(crate) mod shared;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It may bite.
    Warning,
    /// It will.
    Problem,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) verdict: Verdict,
    /// The thing that was looked at, in a word or two.
    pub(crate) about: &'static str,
    /// What was found.
    pub(crate) text: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(about: &'static str, text: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Ok, about, text: text.into(), help: None }
    }

    /// It may bite; `help` says what to do.
    pub(crate) fn warning(
        about: &'static str,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        Finding { verdict: Verdict::Warning, help: Some(help.into()), ..Finding::ok(about, text) }
    }

    /// It will bite; `help` says what to do.
    pub(crate) fn problem(
        about: &'static str,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        Finding { verdict: Verdict::Problem, ..Finding::warning(about, text, help) }
    }
}
