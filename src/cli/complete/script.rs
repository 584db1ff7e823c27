//! The scripts that connect a shell's completion with `schedrs __complete`.
//!
//! What that answers begins with a line that says whether the shell is to complete the names of
//! files itself (`:files`) or to show the lines that follow (`:words`).

/// For bash, which cuts words at `=` and `:` and so hands over the whole line.
pub(crate) const BASH: &str = include_str!("schedrs.bash");

/// For zsh.
pub(crate) const ZSH: &str = include_str!("_schedrs");

/// For fish.
pub(crate) const FISH: &str = include_str!("schedrs.fish");
