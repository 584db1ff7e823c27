//! Users and groups: from what a jobfile says to the numbers a process is given.
//!
//! All of it is looked up before the fork, because looking up allocates and may ask a directory
//! server; the child only sets numbers (`super::spawn`).

use std::ffi::OsString;
use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::ptr;

use super::Failure;

/// Who a process is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The user, where the job names one.
    pub(super) uid: Option<u32>,
    /// The primary group.
    pub(super) gid: u32,
    /// The whole list of supplementary groups.
    pub(super) groups: Vec<u32>,
}

/// What the user database says of a user, as far as an environment needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    gid: u32,
    pub(super) name: OsString,
    pub(super) home: OsString,
    /// The shell they log in to; empty where the user database has no such user.
    pub(super) shell: OsString,
}

/// The identity that `user` and `group` (names or numbers) describe, and the user's account where
/// `user` is given.
pub(super) fn resolve(
    user: Option<&str>,
    group: Option<&str>,
) -> Result<(Identity, Option<Account>), Failure> {
    let found = user.map(find_user).transpose()?;
    let gid = match (group, &found) {
        (Some(group), _) => find_group(group)?,
        (None, Some(Found::Listed(account))) => account.gid,
        (None, Some(Found::Number(uid))) => return Err(group_unknown(*uid)),
        // Not called with neither; the process's own group is what that would mean.
        (None, None) => rustix::process::getgid().as_raw(),
    };
    let groups = match &found {
        Some(Found::Listed(account)) => groups_of(&account.name, gid),
        _ => vec![gid],
    };
    let account = found.map(|found| match found {
        Found::Listed(account) => account,
        Found::Number(uid) => {
            let (name, home) = (uid.to_string().into(), "/".into());
            Account { uid, gid, name, home, shell: OsString::new() }
        }
    });
    Ok((Identity { uid: account.as_ref().map(|account| account.uid), gid, groups }, account))
}

/// The number of a user, by name or number.
pub(super) fn uid_of(user: &str) -> Option<u32> {
    match find_user(user).ok()? {
        Found::Listed(account) => Some(account.uid),
        Found::Number(uid) => Some(uid),
    }
}

/// A user that a job names.
enum Found {
    /// The user database has it.
    Listed(Account),
    /// It has not, but a number is a user all the same.
    Number(u32),
}

fn find_user(user: &str) -> Result<Found, Failure> {
    if let Some(account) = ask(user, by_name(user))? {
        return Ok(Found::Listed(account));
    }
    let uid = number(user).ok_or_else(|| Failure::lasting(format!("no user `{user}`")))?;
    Ok(ask(user, by_uid(uid))?.map_or(Found::Number(uid), Found::Listed))
}

/// The number that a name is. The last one means "leave it as it is" to the kernel.
fn number(name: &str) -> Option<u32> {
    name.parse().ok().filter(|number| *number != u32::MAX)
}

fn group_unknown(uid: u32) -> Failure {
    Failure::lasting(format!(
        "user {uid} is not in the user database, so its group is not known: add `group`"
    ))
}

/// An answer that is an error says nothing about the user: the same start may succeed later.
fn ask<T>(name: &str, answer: Result<Option<T>, i32>) -> Result<Option<T>, Failure> {
    answer.map_err(|errno| {
        let doing = format!("`{name}` cannot be looked up in the user database");
        Failure { transient: true, ..Failure::of_machine(&doing, errno) }
    })
}

/// The account of a user's name, if it can be had.
pub(super) fn account_named(user: &str) -> Option<Account> {
    by_name(user).ok()?
}

/// The account of a user id, if it can be had.
pub(super) fn account_of(uid: u32) -> Option<Account> {
    by_uid(uid).ok()?
}

fn by_name(user: &str) -> Result<Option<Account>, i32> {
    let Ok(name) = CString::new(user) else { return Ok(None) };
    passwd(|entry, buffer, found| {
        // SAFETY: the pointers are to live objects of the sizes stated.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer.as_mut_ptr(), buffer.len(), found) }
    })
}

fn by_uid(uid: u32) -> Result<Option<Account>, i32> {
    passwd(|entry, buffer, found| {
        // SAFETY: the pointers are to live objects of the sizes stated.
        unsafe { libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), found) }
    })
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

fn find_group(group: &str) -> Result<u32, Failure> {
    let none = || Failure::lasting(format!("no group `{group}`"));
    let name = CString::new(group).map_err(|_| none())?;
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut found = ptr::null_mut();
    let looked = with_room(|buffer| {
        let (start, length) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the pointers are to live objects of the sizes stated.
        unsafe { libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), start, length, &mut found) }
    });
    ask(group, looked.map(Some))?;
    if !found.is_null() {
        // SAFETY: a lookup that found something has filled the entry.
        return Ok(unsafe { entry.assume_init() }.gr_gid);
    }
    number(group).ok_or_else(none)
}

/// What `initgroups` would set: the groups that list the user, and `gid`.
fn groups_of(user: &OsString, gid: u32) -> Vec<u32> {
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

    /// A user id that no user database has.
    const NOBODY_AT_ALL: &str = "3999999999";

    #[test]
    fn a_number_without_an_entry_has_no_group() {
        let failure = resolve(Some(NOBODY_AT_ALL), None).unwrap_err();
        assert!(failure.reason.contains("add `group`") && !failure.transient, "{failure:?}");
        let (identity, account) = resolve(Some(NOBODY_AT_ALL), Some("0")).unwrap();
        assert_eq!((identity.uid, identity.gid), (Some(3_999_999_999), 0));
        assert_eq!((identity.groups, account.unwrap().home), (vec![0], "/".into()));
        assert_eq!(uid_of(NOBODY_AT_ALL), Some(3_999_999_999));
    }

    #[test]
    fn the_number_that_changes_nothing_is_no_user_and_no_group() {
        assert_eq!(
            resolve(Some("4294967295"), Some("0")).unwrap_err().reason,
            "no user `4294967295`"
        );
        assert_eq!(resolve(None, Some("4294967295")).unwrap_err().reason, "no group `4294967295`");
    }

    #[test]
    fn a_database_that_does_not_answer_has_said_nothing() {
        let failure = ask::<()>("ann", with_room(|_| libc::EIO).map(|_| None)).unwrap_err();
        assert!(failure.transient && failure.reason.contains("`ann`"), "{failure:?}");
        assert!(ask::<()>("ann", with_room(|_| libc::EMFILE).map(|_| None)).unwrap_err().transient);
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
