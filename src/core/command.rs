//! What is executed: by a job, and by whatever else has a command.

/// What a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A string: given to the job's shell as `SHELL -c STRING`.
    Shell(Box<str>),
    /// An array: executed as it stands, the first element searched on PATH.
    Argv(Box<[Box<str>]>),
}
