//! Users and groups: from what a jobfile says to the numbers a process is given.
//!
//! All of it is looked up before the fork, because looking up allocates and may ask a directory
//! server; the child only sets numbers (`super::spawn`).

use std::ffi::OsString;

use super::Failure;
use crate::sys::accounts::{self, Account, groups_of};

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
    if let Some(account) = ask(user, accounts::by_name(user))? {
        return Ok(Found::Listed(account));
    }
    let uid = number(user).ok_or_else(|| Failure::lasting(format!("no user `{user}`")))?;
    Ok(ask(user, accounts::by_uid(uid))?.map_or(Found::Number(uid), Found::Listed))
}

/// The number that a name is. The last one means "leave it as it is" to the kernel.
fn number(name: &str) -> Option<u32> {
    name.parse().ok().filter(|number| *number != u32::MAX)
}

fn group_unknown(uid: u32) -> Failure {
    Failure::lasting(format!(
        "user {uid} is not in the user database, so its group is unknown: set `group`"
    ))
}

/// An answer that is an error says nothing about the user: the same start may succeed later.
fn ask<T>(name: &str, answer: Result<Option<T>, i32>) -> Result<Option<T>, Failure> {
    answer.map_err(|errno| {
        let doing = format!("cannot look up `{name}` in the user database");
        Failure { transient: true, ..Failure::of_machine(&doing, errno) }
    })
}

fn find_group(group: &str) -> Result<u32, Failure> {
    let none = || Failure::lasting(format!("no group `{group}`"));
    match ask(group, accounts::group_named(group))? {
        Some(gid) => Ok(gid),
        None => number(group).ok_or_else(none),
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
        assert!(failure.reason.contains("set `group`") && !failure.transient, "{failure:?}");
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
        let failure = ask::<()>("ann", Err(libc::EIO)).unwrap_err();
        assert!(failure.transient && failure.reason.contains("`ann`"), "{failure:?}");
        assert!(ask::<()>("ann", Err(libc::EMFILE)).unwrap_err().transient);
    }
}
