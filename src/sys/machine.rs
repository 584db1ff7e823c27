//! What tells this machine from others, for the shift that `spread` gives its jobs.
//!
//! It is read when a jobfile is, and from there on it is an argument (`crate::core::trigger::spread`).

use std::fs::File;
use std::io::Read;

use crate::core::trigger::cron::hash;

/// Where systemd and D-Bus keep a name that no two machines share. Containers often have none but
/// that of the host.
const FILES: [&str; 3] =
    ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"];

/// A number for this machine.
pub(crate) fn number() -> u64 {
    FILES.iter().find_map(|file| name_in(file)).map_or(0, |name| hash::text(&name))
}

fn name_in(file: &str) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(256).read_to_string(&mut text).ok()?;
    // An image that was never started has this in place of a name.
    let name = text.trim();
    (!name.is_empty() && name != "uninitialized").then(|| name.to_owned())
}
