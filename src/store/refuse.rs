//! When a store is not opened because others can write to it (`super::trust`).

use crate::core::job::JobSet;

/// When a store that others can write to is refused; otherwise there is a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refuse {
    /// Where root opens it.
    #[default]
    AsRoot,
    /// Whoever does: its jobs are run as others.
    Always,
    /// Somebody vouches for it.
    Never,
}

impl Refuse {
    /// The rule for the store of these jobs.
    pub fn of(set: &JobSet) -> Refuse {
        if set.jobs.iter().any(|job| job.options.user.is_some()) {
            Refuse::Always
        } else {
            Refuse::AsRoot
        }
    }
}
