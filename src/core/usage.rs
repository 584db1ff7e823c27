//! What a run has used of the machine, as the kernel has counted it when its process was waited for.

use std::time::Duration;

use super::words;

/// What a process has used, with the descendants that it has waited for; of a run, all its attempts.
/// Who was left to the scheduler (a process whose parent is gone) is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, the user's and the system's.
    pub cpu: Duration,
    /// The most memory that one of its processes had at a time, in bytes (`ru_maxrss`). `None`: less
    /// than the scheduler has itself. To the kernel a process has had the memory of whoever made it.
    pub max_rss: Option<u64>,
    /// Bytes that were read from disks; what was in memory already does not count (`ru_inblock`).
    pub read: u64,
    /// Bytes that will be written to disks (`ru_oublock`).
    pub written: u64,
}

impl Usage {
    /// The same with what another attempt has used.
    #[must_use]
    pub fn with(self, other: Usage) -> Usage {
        Usage {
            cpu: self.cpu.saturating_add(other.cpu),
            max_rss: self.max_rss.max(other.max_rss),
            read: self.read.saturating_add(other.read),
            written: self.written.saturating_add(other.written),
        }
    }

    /// What people read: `1.2s of processor time, 34.1 MiB of memory, 71.3 GiB read, 4.0 MiB written`.
    /// What was read and written is not said where it is next to nothing.
    pub fn phrase(&self) -> String {
        let Usage { cpu, max_rss, read, written } = *self;
        let mut phrase = format!("{} of processor time", words::elapsed(cpu));
        let some = |bytes: u64| (bytes >= 1 << 20).then_some(bytes);
        for (bytes, what) in
            [(max_rss, "of memory"), (some(read), "read"), (some(written), "written")]
        {
            if let Some(bytes) = bytes {
                phrase += &format!(", {} {what}", words::bytes(bytes));
            }
        }
        phrase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_add_up() {
        let usage = |cpu, max_rss: u64, read, written| Usage {
            cpu: Duration::from_millis(cpu),
            max_rss: (max_rss > 0).then_some(max_rss),
            read,
            written,
        };
        let both = usage(1500, 4096, 512, 0).with(usage(20, 1 << 20, 0, 0));
        assert_eq!(both, usage(1520, 1 << 20, 512, 0));
        assert_eq!(both.phrase(), "1.5s of processor time, 1.0 MiB of memory");
        let most = usage(0, 0, u64::MAX, 3 << 29);
        assert_eq!(most.with(most).read, u64::MAX);
        let nothing = Usage { read: 0, ..most };
        let expected = "<1ms of processor time, 1.5 GiB written";
        assert_eq!(nothing.phrase(), expected);
    }
}
