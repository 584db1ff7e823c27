//! The user database: accounts by name or number, and groups. Looking up may ask a directory server,
//! so nothing that must not wait comes here (`crate::run::child` looks up before it forks).

use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::ptr;

/// What the user database says of a user, as far as an environment needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    /// Their primary group.
    pub(crate) gid: u32,
    pub(crate) name: OsString,
    pub(crate) home: OsString,
    /// The shell they log in to; empty where the user database has no such user.
    pub(crate) shell: OsString,
}

/// The account of a user's name, if it can be had.
pub(crate) fn account_named(user: &str) -> Option<Account> {
    by_name(user).ok()?
}

/// The account of a user id, if it can be had.
pub(crate) fn account_of(uid: u32) -> Option<Account> {
    by_uid(uid).ok()?
}

/// The account of a user's name; the error is an errno.
pub(crate) fn by_name(user: &str) -> Result<Option<Account>, i32> {
    let Ok(name) = CString::new(user) else { return Ok(None) };
    passwd(|entry, buffer, found| {
        // SAFETY: the pointers are to live objects of the sizes stated.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer.as_mut_ptr(), buffer.len(), found) }
    })
}

/// The account of a user id; the error is an errno.
pub(crate) fn by_uid(uid: u32) -> Result<Option<Account>, i32> {
    passwd(|entry, buffer, found| {
        // SAFETY: the pointers are to live objects of the sizes stated.
        unsafe { libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), found) }
    })
}

/// The name of a user, if it can be had.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    Some(account_of(uid)?.name.to_string_lossy().into_owned())
}

/// The home of a user, if it can be had.
pub(crate) fn home_of(uid: u32) -> Option<OsString> {
    Some(account_of(uid)?.home)
}

/// The number of a group's name; the error is an errno.
pub(crate) fn group_named(group: &str) -> Result<Option<u32>, i32> {
    let Ok(name) = CString::new(group) else { return Ok(None) };
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut found = ptr::null_mut();
    let _strings = with_room(|buffer| {
        let (start, length) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the pointers are to live objects of the sizes stated.
        unsafe { libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), start, length, &mut found) }
    })?;
    // SAFETY: a lookup that found something has filled the entry.
    Ok((!found.is_null()).then(|| unsafe { entry.assume_init() }.gr_gid))
}

/// Calls a reentrant lookup with more and more room. `Ok(None)`: there is no such entry.
fn with_room(mut lookup: impl FnMut(&mut [c_char]) -> c_int) -> Result<Vec<c_char>, i32> {
    let mut buffer = vec![0; 1024];
    loop {
        match lookup(&mut buffer) {
            libc::ERANGE if buffer.len() < 1 << 24 => buffer.resize(buffer.len() * 4, 0),
            libc::EINTR => {}
            // So POSIX lets a database say that it has no such entry; one of these comes as well
            // where there is no `/etc/passwd` at all.
            0 | libc::ENOENT | libc::ESRCH => return Ok(buffer),
            errno => return Err(errno),
        }
    }
}

fn passwd(
    lookup: impl Fn(*mut libc::passwd, &mut [c_char], *mut *mut libc::passwd) -> c_int,
) -> Result<Option<Account>, i32> {
    let mut entry = MaybeUninit::uninit();
    let mut found = ptr::null_mut();
    let _strings = with_room(|buffer| lookup(entry.as_mut_ptr(), buffer, &mut found))?;
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: a lookup that found something has filled the entry, whose strings are in the
    // buffer, which is alive.
    Ok(Some(unsafe {
        let entry = entry.assume_init();
        Account {
            uid: entry.pw_uid,
            gid: entry.pw_gid,
            name: text(entry.pw_name),
            home: text(entry.pw_dir),
            shell: text(entry.pw_shell),
        }
    }))
}

/// # Safety
///
/// `raw` must be null or point to a string that ends with a zero byte.
unsafe fn text(raw: *const c_char) -> OsString {
    if raw.is_null() {
        return OsString::new();
    }
    // SAFETY: the caller vouches for it.
    OsString::from_vec(unsafe { CStr::from_ptr(raw) }.to_bytes().to_vec())
}

/// What `initgroups` would set: the groups that list the user, and `gid`.
pub(crate) fn groups_of(user: &OsString, gid: u32) -> Vec<u32> {
    let Ok(name) = CString::new(user.clone().into_vec()) else { return vec![gid] };
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = groups.len() as c_int;
        // SAFETY: the pointers are to live objects of the size stated in `count`.
        let code =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        let count = count.max(0) as usize;
        if code >= 0 {
            groups.truncate(count);
            return groups;
        }
        if groups.len() >= 1 << 16 {
            return vec![gid];
        }
        groups.resize(count.max(groups.len() * 2), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_gets_as_much_room_as_it_needs() {
        assert!(with_room(|_| libc::ESRCH).is_ok() && with_room(|_| libc::ENOENT).is_ok());
        let mut calls = 0;
        let room = with_room(|buffer| {
            calls += 1;
            if buffer.len() < 5000 { libc::ERANGE } else { 0 }
        });
        assert_eq!((room.map(|room| room.len()), calls), (Ok(16384), 3));
        assert_eq!(with_room(|_| libc::ERANGE), Err(libc::ERANGE));
    }
}
