//! How many attempts there can be at once, and the open files that they need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::core::job::JobSet;

/// How many attempts there can be at once.
pub(super) fn slots(set: &JobSet) -> u64 {
    set.executors.iter().map(|executor| u64::from(executor.max_workers)).sum()
}

/// Allows this process as many open files as its jobs can need at once: three each, three more while one
/// is being started, and two for the control group of each. The limit of the jobs themselves stays as it was.
pub(super) fn raise_file_limit(set: &JobSet) {
    let slots = slots(set);
    // More than this many at once are not worth a table of that size in the kernel.
    let wanted = 64 + 6 * slots.min(250_000);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if let Err(errno) =
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum })
    {
        log::debug!("the limit of open files cannot be raised to {raised}: {errno}");
    }
}
