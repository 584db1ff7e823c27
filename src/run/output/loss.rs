//! What cannot be written: which errors pass, and the words in which a loss is told.
//!
//! The law is one for stdout, stderr and log files: one line when it begins, one with how much was
//! lost when it is over, and no line torn or glued to another.

use std::io;
use std::time::Duration;

use crate::core::words;
use crate::core::zone::Zone;
use crate::run::child::describe;
use crate::sys::clock;

/// How often it is retried.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Whether a stream that has failed so never takes anything again: its reader, its terminal or the
/// stream itself is gone. All else may pass: a full disk, a quota, a limit, a fault of a device.
pub(super) fn is_final(errno: i32, is_terminal: bool) -> bool {
    match errno {
        libc::EPIPE | libc::EBADF | libc::ECONNRESET | libc::ENOTCONN => true,
        libc::EIO | libc::ENXIO | libc::ENODEV => is_terminal,
        _ => false,
    }
}

/// An error of the system in words.
pub(super) fn reason(errno: i32) -> String {
    describe(&io::Error::from_raw_os_error(errno))
}

/// How much was lost, in words.
pub(super) fn lost(bytes: u64) -> String {
    match bytes {
        0 => "nothing was lost".to_owned(),
        1 => "1 byte was lost".to_owned(),
        bytes => format!("{bytes} bytes were lost"),
    }
}

/// A line that stands where something is missing.
pub(super) fn note(lost: &str, json: bool) -> Vec<u8> {
    if !json {
        return format!("schedrs: {lost}\n").into_bytes();
    }
    let time = words::rfc3339(clock::wall().truncated(), &Zone::utc());
    let message = serde_json::Value::from(lost);
    format!(
        "{{\"time\":\"{time}\",\"level\":\"warn\",\"event\":\"output_lost\",\"message\":{message}}}\n"
    )
    .into_bytes()
}
