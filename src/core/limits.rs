//! What the processes of a job may use at most (`limits`).
//!
//! There are none unless a job asks for them. `crate::run::child::limit` applies them.

use std::time::Duration;

use crate::core::{size, words};

/// What may stand in it, in the order in which it is written.
pub(crate) const KEYS: [&str; 10] = [
    "open_files",
    "core",
    "file_size",
    "processes",
    "cpu_time",
    "memory",
    "swap",
    "cpu",
    "tasks",
    "required",
];

/// What a run of a job may use; what is `None` is not limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open files of each process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Bytes of a core file (`RLIMIT_CORE`).
    pub core: Option<u64>,
    /// Bytes of a file that a process writes (`RLIMIT_FSIZE`).
    pub file_size: Option<u64>,
    /// Processes and threads of the job's user, whoever made them (`RLIMIT_NPROC`).
    pub processes: Option<u64>,
    /// Processor time of each process, in whole seconds (`RLIMIT_CPU`).
    pub cpu_time: Option<Duration>,
    /// Bytes of memory of all of its processes together.
    pub memory: Option<u64>,
    /// Bytes of swap beside that.
    pub swap: Option<u64>,
    /// How many processors it may keep busy, in thousandths.
    pub cpu: Option<u32>,
    /// Processes and threads of the run.
    pub tasks: Option<u64>,
    /// The run is not started where one of them cannot be applied.
    pub required: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            open_files: None,
            core: None,
            file_size: None,
            processes: None,
            cpu_time: None,
            memory: None,
            swap: None,
            cpu: None,
            tasks: None,
            required: true,
        }
    }
}

impl Limits {
    /// Whether some are of the run as a whole, for which it needs a control group.
    pub fn is_of_group(&self) -> bool {
        self.memory.is_some() || self.cpu.is_some() || self.tasks.is_some()
    }

    /// Why a process was ended by this signal, if it is the one of a limit.
    pub(crate) fn broken_by(&self, signal: i32) -> Option<String> {
        match (signal_hook::low_level::signal_name(signal)?, self) {
            ("SIGXCPU", Limits { cpu_time: Some(most), .. }) => {
                Some(format!("over its limit of {} of processor time", words::span(*most)))
            }
            ("SIGXFSZ", Limits { file_size: Some(most), .. }) => {
                Some(format!("over its limit of {} for a file", size::written(*most)))
            }
            _ => None,
        }
    }

    /// What is said of a run that went over its limit of memory. `peak`: the most it had.
    pub(crate) fn over_memory(&self, peak: Option<u64>) -> String {
        let limit = self.memory.map(size::written).map(|most| format!(" of {most}"));
        let peak = peak.map(|peak| format!(" (peak {})", words::bytes(peak)));
        format!("over its memory limit{}{}", limit.unwrap_or_default(), peak.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_was_broken_is_named() {
        let none = Limits::default();
        assert!(none.required && !none.is_of_group());
        let some = Limits {
            cpu_time: Some(Duration::from_secs(3600)),
            file_size: Some(10_000_000_000),
            memory: Some(2_000_000_000),
            ..none.clone()
        };
        assert!(some.is_of_group());
        for (signal, limits, said) in [
            (24, &some, Some("over its limit of 1h of processor time")),
            (25, &some, Some("over its limit of 10GB for a file")),
            (9, &some, None),
            (99, &some, None),
            (24, &none, None),
        ] {
            assert_eq!(limits.broken_by(signal).as_deref(), said, "{signal}");
        }
        let over = "over its memory limit of 2GB (peak 1.9 GiB)";
        assert_eq!(some.over_memory(Some(2_000_000_000)), over);
        assert_eq!(none.over_memory(None), "over its memory limit");
    }
}
