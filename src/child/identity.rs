//! Users and groups: from what a jobfile says to the numbers a process is given.
//!
//! All of it is looked up before the fork, because looking up allocates and may ask a directory
//! server; the child only sets numbers (`super::spawn`).

use std::ffi::OsString;
use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::ptr;

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
/// `user` is given. The error is a fragment that finishes "not started: ...".
pub(super) fn resolve(
    user: Option<&str>,
    group: Option<&str>,
) -> Result<(Identity, Option<Account>), String> {
    let account = match user {
        None => None,
        Some(user) => Some(find_user(user)?),
    };
    let gid = match (group, &account) {
        (Some(group), _) => find_group(group)?,
        (None, Some((account, _))) => account.gid,
        // Not called with neither; the process's own group is what that would mean.
        (None, None) => rustix::process::getgid().as_raw(),
    };
    let groups = match &account {
        Some((account, listed)) if *listed => groups_of(&account.name, gid),
        _ => vec![gid],
    };
    let account = account.map(|(account, _)| account);
    Ok((Identity { uid: account.as_ref().map(|account| account.uid), gid, groups }, account))
}

/// The account of a user, and whether the user database has it.
fn find_user(user: &str) -> Result<(Account, bool), String> {
    if let Some(account) = account_named(user) {
        return Ok((account, true));
    }
    let uid: u32 = user.parse().map_err(|_| format!("no user `{user}`"))?;
    let known = account_of(uid);
    let listed = known.is_some();
    let unknown =
        || Account { uid, gid: uid, name: user.into(), home: "/".into(), shell: OsString::new() };
    Ok((known.unwrap_or_else(unknown), listed))
}

/// The account of a user's name.
pub(super) fn account_named(user: &str) -> Option<Account> {
    let name = CString::new(user).ok()?;
    passwd(|entry, buffer, found| {
        // SAFETY: the pointers are to live objects of the sizes stated.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer.as_mut_ptr(), buffer.len(), found) }
    })
}

/// The account of a user id.
pub(super) fn account_of(uid: u32) -> Option<Account> {
    passwd(|entry, buffer, found| {
        // SAFETY: the pointers are to live objects of the sizes stated.
        unsafe { libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), found) }
    })
}

fn passwd(
    lookup: impl Fn(*mut libc::passwd, &mut [c_char], *mut *mut libc::passwd) -> c_int,
) -> Option<Account> {
    let mut buffer = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::uninit();
        let mut found = ptr::null_mut();
        let code = lookup(entry.as_mut_ptr(), &mut buffer, &mut found);
        if code == libc::ERANGE && buffer.len() < 1 << 20 {
            buffer.resize(buffer.len() * 4, 0);
            continue;
        }
        if code != 0 || found.is_null() {
            return None;
        }
        // SAFETY: a lookup that found something has filled the entry, whose strings are in
        // `buffer`, which is alive.
        return Some(unsafe {
            let entry = entry.assume_init();
            Account {
                uid: entry.pw_uid,
                gid: entry.pw_gid,
                name: text(entry.pw_name),
                home: text(entry.pw_dir),
                shell: text(entry.pw_shell),
            }
        });
    }
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

fn find_group(group: &str) -> Result<u32, String> {
    let name = CString::new(group).map_err(|_| format!("no group `{group}`"))?;
    let mut buffer = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<libc::group>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: the pointers are to live objects of the sizes stated.
        let code = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &mut found,
            )
        };
        if code == libc::ERANGE && buffer.len() < 1 << 24 {
            buffer.resize(buffer.len() * 4, 0);
            continue;
        }
        if code == 0 && !found.is_null() {
            // SAFETY: a lookup that found something has filled the entry.
            return Ok(unsafe { entry.assume_init() }.gr_gid);
        }
        return group.parse().map_err(|_| format!("no group `{group}`"));
    }
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
