//! Gives up what this process may do, for good: for a helper that hears what strangers say.
//!
//! `crate::notify::deliver` calls this while it has one thread and no socket. Afterwards it can open
//! what everybody can, and talk to the network; no program that it might execute gets more.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use super::accounts;

/// Who is nobody where the user database does not say.
const NOBODY: u32 = 65_534;

/// Becomes nobody, if this is root, and may have so many bytes of memory at most.
pub(crate) fn confine(memory: u64) -> io::Result<()> {
    if rustix::process::geteuid().is_root() || rustix::process::getuid().is_root() {
        become_nobody()?;
    }
    // What a service manager may have given besides. Threads that are started later have none either.
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)?;
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit(memory))?;
    // Its memory is full of passwords.
    setrlimit(Resource::Core, limit(0))?;
    few_arenas();
    Ok(())
}

fn become_nobody() -> io::Result<()> {
    let account = accounts::account_named("nobody").filter(|account| account.uid != 0);
    let (uid, gid) = account.map_or((NOBODY, NOBODY), |account| (account.uid, account.gid));
    // SAFETY: these only change numbers of this process; of an empty list no pointer is followed.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(gid, gid, gid) == 0
            && libc::setresuid(uid, uid, uid) == 0
    };
    if done {
        return match rustix::process::getuid().is_root() {
            false => Ok(()),
            true => Err(io::Error::other("this process is still root")),
        };
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // In a container nobody may not exist, or this root may not become anybody: one that is root
        // in name, and will have no capabilities in a moment.
        Some(libc::EINVAL | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}

/// Each arena of the C library's allocator takes 64 MiB of addresses, which are what is limited here,
/// and there would be eight for each processor.
fn few_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
