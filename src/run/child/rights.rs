//! Looking at files with the rights of a job's user.
//!
//! Where a path leads is decided by whoever can write to a directory on the way. Root, following it,
//! would read for them what they may not. So root looks as that user: the kernel then judges every
//! link, every access control list and every group as it will for the job, at the very moment at
//! which the file is opened, and a file system that root may not read (NFS with root_squash) is read
//! as the job reads it.
//!
//! In Linux users and capabilities belong to threads. The thread that looks is made for that and
//! ends afterwards, so that nothing has to be given back. It changes only the user for files
//! (`setfsuid`): with the others, that user could send signals to the whole scheduler.

use std::io;

use rustix::process::{dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, set_capabilities, set_thread_groups};

use super::identity::Identity;

/// What a walk along a path needs, several times over.
const STACK: usize = 256 * 1024;

/// Does something with what a user may do to files, and no more than that.
pub(super) fn borrow<T: Send>(
    identity: &Identity,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    let Some(uid) = identity.uid else { return Ok(work()) };
    // A process that has changed whom it is keeps no core and hides in /proc. Ours has not, when
    // that thread is gone.
    let dumpable = dumpable_behavior();
    let done = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("as user".to_owned()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, || {
            become_user(uid, identity)?;
            Ok(work())
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("an internal error")))
    });
    if let Ok(dumpable) = dumpable {
        let _ = set_dumpable_behavior(dumpable);
    }
    done
}

/// Changes this thread, for good.
fn become_user(uid: u32, identity: &Identity) -> io::Result<()> {
    let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    set_thread_groups(&groups)?;
    // They answer what was, not whether it was changed; asked for nobody, they only answer.
    // SAFETY: system calls on numbers, about this thread alone.
    let (gid_now, uid_now) = unsafe {
        libc::setfsgid(identity.gid);
        libc::setfsuid(uid);
        (libc::setfsgid(u32::MAX), libc::setfsuid(u32::MAX))
    };
    if (gid_now as u32, uid_now as u32) != (identity.gid, uid) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    // Among these are the rights to read everything. With `setfsuid` the kernel takes those from
    // root, but not from a process that has them without being root.
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    fn set_mode(path: &std::path::Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_a_user_may_read() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not root: nobody else's rights can be had");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o755);
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let (uid, gid, listed) = (12_345, 12_346, 12_347);
        let identity = Identity { uid: Some(uid), gid, groups: vec![gid, listed] };
        // (owner, group, mode, whether it can be read)
        let rows = [
            (0, 0, 0o600, false),
            (0, 0, 0o604, true),
            (0, 0, 0o660, false),
            (uid, 0, 0o600, true),
            (uid, 0, 0o060, false),
            (0, gid, 0o640, true),
            (0, listed, 0o640, true),
            (0, listed, 0o604, false),
        ];
        for (owner, group, mode, can_read) in rows {
            chown(&file, Some(owner), Some(group)).unwrap();
            set_mode(&file, mode);
            let read = borrow(&identity, || fs::read(&file)).unwrap();
            assert_eq!(read.is_ok(), can_read, "{owner} {group} {mode:o}: {read:?}");
            // It was for that long only.
            assert!(fs::read(&file).is_ok());
        }
        // As that user nothing can be changed either, and the groups of root are gone.
        chown(&file, Some(0), Some(0)).unwrap();
        set_mode(&file, 0o660);
        assert!(borrow(&identity, || fs::write(&file, "y")).unwrap().is_err());
        assert!(borrow(&identity, || chown(&file, Some(uid), None)).unwrap().is_err());
    }

    #[test]
    fn who_may_not_does_not() {
        if rustix::process::geteuid().is_root() {
            eprintln!("root may become anybody");
            return;
        }
        let identity = Identity { uid: Some(12_345), gid: 12_345, groups: vec![12_345] };
        assert!(borrow(&identity, || ()).is_err());
    }
}
