//! What this process takes of the machine, as its kernel tells.

use std::fs;

/// Bytes of memory that it has now.
pub(crate) fn resident_bytes() -> Option<u64> {
    memory("VmRSS:")
}

/// The most that it has had at a time.
pub(crate) fn peak_bytes() -> Option<u64> {
    memory("VmHWM:")
}

fn memory(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// How many files it has open, but for the one that tells.
pub(crate) fn open_fds() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(count.saturating_sub(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_something() {
        assert!(peak_bytes() >= resident_bytes());
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000), "{:?}", resident_bytes());
        assert!(open_fds().is_some_and(|fds| fds >= 3), "{:?}", open_fds());
    }
}
