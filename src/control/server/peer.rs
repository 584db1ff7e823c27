//! Who is at the other end of a connection, and whether they may be.

use std::os::fd::AsFd;

use crate::control::socket;
use crate::sys::accounts;

/// The user at the other end, if it may ask: the one that the scheduler runs as, or root.
pub(super) fn allowed(socket: impl AsFd) -> Option<u32> {
    let (_, uid) = socket::peer(socket)?;
    (uid == 0 || uid == rustix::process::geteuid().as_raw()).then_some(uid)
}

/// What a user is called in the record.
pub(super) fn name(uid: u32) -> Box<str> {
    accounts::user_name(uid).unwrap_or_else(|| format!("uid {uid}")).into()
}
