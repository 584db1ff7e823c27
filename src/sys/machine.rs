//! What tells this machine from others, for the shift that `spread` gives its jobs and for the other
//! schedulers of a fleet.
//!
//! It is read when a jobfile is, and from there on it is an argument (`crate::core::trigger::spread`).

use std::fs::File;
use std::io::Read;

use crate::core::job::FleetSettings;
use crate::core::trigger::cron::hash;

/// Where systemd and D-Bus keep a name that no two machines share. Containers often have none but
/// that of the host.
const FILES: [&str; 3] =
    ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"];

/// A number for this machine.
pub(crate) fn number() -> u64 {
    FILES.iter().find_map(|file| name_in(file)).map_or(0, |name| hash::text(&name))
}

/// A text for this machine that no other has; "" where there is none.
pub(crate) fn id() -> String {
    FILES.iter().find_map(|file| name_in(file)).unwrap_or_default()
}

/// What people call it.
pub(crate) fn host() -> String {
    name_in(FILES[2]).unwrap_or_else(|| "localhost".to_owned())
}

/// What people call the host of a scheduler: as its jobfile says (`[fleet] name`), or else as the machine is
/// called.
pub(crate) fn host_of(settings: &FleetSettings) -> String {
    settings.name.clone().unwrap_or_else(host)
}

/// Which boot of it this is.
pub(crate) fn boot_id() -> String {
    name_in("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// A number that nobody has had, and never 0.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    // Without it: what differs between two processes of one machine and two machines.
    let number = match read {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => hash::mix(number() ^ u64::from(std::process::id())),
    };
    number.max(1)
}

fn name_in(file: &str) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(256).read_to_string(&mut text).ok()?;
    // An image that was never started has this in place of a name.
    let name = text.trim();
    (!name.is_empty() && name != "uninitialized").then(|| name.to_owned())
}
