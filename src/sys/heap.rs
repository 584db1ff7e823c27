//! Gives memory back to the system once it is known not to be needed again.
//!
//! Reading a jobfile takes memory that nothing after it takes: its text, and what finds ids that
//! stand twice. The C library keeps what is freed for the next time, which is a reload, if one ever
//! comes; `crate::cli::command::run` and `crate::run::daemon` call this when jobs have been loaded.

/// What fewer things took is not worth the work.
const MANY: usize = 10_000;

/// Returns what so many things took that are no more, if they are many: jobs at a start, facts that
/// are written.
pub(crate) fn give_back_those(things: usize) {
    if things > MANY {
        give_back();
    }
}

/// Returns what is free.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches only memory that nobody holds.
    unsafe {
        libc::malloc_trim(0);
    }
}
