//! What has to hold before a due time of a job starts anything (`only_if`), and what is said where it
//! does not.
//!
//! The readings are taken elsewhere (`crate::run::condition`) and come to the scheduler as an
//! [`Answer`]; `crate::core::scheduler` decides what becomes of the due time: doc/runs.md, "Conditions".

use std::time::Duration;

use crate::core::command::Command;
use crate::core::{size, words};

/// Conditions, all of which have to hold. What is `None` is not asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// There is something at each of these paths.
    pub path: Box<[Box<str>]>,
    /// The load of the machine, averaged over a minute, is below this.
    pub load_below: Option<f64>,
    /// A file system has so much room.
    pub disk_free: Option<DiskFree>,
    /// The machine has mains power (`true`), or runs on its battery.
    pub ac_power: Option<bool>,
    /// This command exits with 0.
    pub command: Option<Command>,
}

/// What they are called in a jobfile, in the order in which they are written and looked at.
pub(crate) const KEYS: [&str; 5] = ["path", "load_below", "disk_free", "ac_power", "command"];

/// Room on a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFree {
    /// A path on it.
    pub path: Box<str>,
    /// More bytes than this are free for everybody.
    pub above: u64,
}

/// What has come of a look at the conditions of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of them hold.
    Hold,
    /// One does not: its reading, such as `load 7.2 ≥ 4.0`.
    DoNotHold(Box<str>),
    /// Nobody can tell, because the check itself is at fault: how.
    Fault(Box<str>),
}

/// How long one look may take.
pub const LIMIT: Duration = Duration::from_secs(10);

/// From one look to the next, while a due time waits.
pub const EVERY: Duration = Duration::from_secs(15);

/// A look that is not answered by then has been forgotten by whoever was to take it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

impl Conditions {
    /// The paths that they look at.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Box<str>> {
        self.path.iter().chain(self.disk_free.iter().map(|disk| &disk.path))
    }

    /// The same, to be changed.
    pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut Box<str>> {
        self.path.iter_mut().chain(self.disk_free.iter_mut().map(|disk| &mut disk.path))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Conditions::default()
    }

    /// Each of them in words: `/mnt exists`, `load below 4`.
    pub fn words(&self) -> Vec<String> {
        let path = self.path.iter().map(|path| format!("{path} exists"));
        let load = self.load_below.iter().map(|most| format!("load below {}", decimal(*most)));
        let disk = self
            .disk_free
            .iter()
            .map(|disk| format!("more than {} free on {}", size::written(disk.above), disk.path));
        let power = self.ac_power.iter().map(|ac| match ac {
            true => "mains power".to_owned(),
            false => "battery power".to_owned(),
        });
        let command = self.command.iter().map(|_| "a command that exits with 0".to_owned());
        path.chain(load).chain(disk).chain(power).chain(command).collect()
    }

    /// What a look says of the load.
    pub fn of_load(&self, load: f64) -> Answer {
        match self.load_below {
            Some(most) if load >= most => {
                not(format!("load {} ≥ {}", decimal(load), decimal(most)))
            }
            _ => Answer::Hold,
        }
    }

    /// The same of the power.
    pub fn of_power(&self, is_on_mains: bool) -> Answer {
        match self.ac_power {
            Some(true) if !is_on_mains => not("on battery power"),
            Some(false) if is_on_mains => not("on mains power"),
            _ => Answer::Hold,
        }
    }

    /// The same of so many free bytes.
    pub fn of_disk(&self, free: u64) -> Answer {
        match &self.disk_free {
            Some(disk) if free <= disk.above => not(format!(
                "{} free on {} ≤ {}",
                size::beside(free, disk.above),
                disk.path,
                size::written(disk.above)
            )),
            _ => Answer::Hold,
        }
    }

    /// The same of the exit code of the command, and the last line that it has printed. As in
    /// `ExecCondition=` of systemd, 255 says that the check has failed.
    pub fn of_exit(code: i32, said: Option<&str>) -> Answer {
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        match code {
            0 => Answer::Hold,
            1..=254 => not(format!("the command exited with {code}{said}")),
            _ => Answer::Fault(format!("the command of only_if exited with {code}{said}").into()),
        }
    }

    /// That something was not answered within [`LIMIT`].
    pub fn silent(what: &str) -> Answer {
        not(format!("{what} did not answer within {}", words::span(LIMIT)))
    }
}

/// One does not hold.
pub(crate) fn not(reading: impl Into<Box<str>>) -> Answer {
    Answer::DoNotHold(reading.into())
}

/// With one decimal at least, and two where they tell something: `4.0`, `7.25`.
fn decimal(number: f64) -> String {
    let text = format!("{number:.2}");
    match text.strip_suffix('0') {
        Some(short) => short.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: Answer) -> Option<String> {
        match answer {
            Answer::Hold => None,
            Answer::DoNotHold(reading) => Some(reading.into()),
            Answer::Fault(fault) => Some(format!("fault: {fault}")),
        }
    }

    #[test]
    fn a_reading_says_what_does_not_hold() {
        let disk = DiskFree { path: "/srv".into(), above: 5_000_000_000 };
        let all = Conditions {
            load_below: Some(4.0),
            disk_free: Some(disk),
            ac_power: Some(true),
            ..Conditions::default()
        };
        let battery = Conditions { ac_power: Some(false), ..Conditions::default() };
        for (answer, expected) in [
            (all.of_load(3.99), None),
            (all.of_load(4.0), Some("load 4.0 ≥ 4.0")),
            (all.of_load(7.25), Some("load 7.25 ≥ 4.0")),
            (battery.of_load(99.0), None),
            (all.of_power(true), None),
            (all.of_power(false), Some("on battery power")),
            (battery.of_power(true), Some("on mains power")),
            (battery.of_power(false), None),
            (all.of_disk(5_000_000_001), None),
            (all.of_disk(5_000_000_000), Some("5.0GB free on /srv ≤ 5GB")),
            (all.of_disk(0), Some("0.0GB free on /srv ≤ 5GB")),
            (battery.of_disk(0), None),
        ] {
            assert_eq!(said(answer).as_deref(), expected);
        }
    }

    #[test]
    fn exit_codes_are_those_of_exec_condition() {
        for (code, line, expected) in [
            (0, Some("fine"), None),
            (1, None, Some("the command exited with 1")),
            (1, Some("not today"), Some("the command exited with 1: not today")),
            (254, None, Some("the command exited with 254")),
            (255, None, Some("fault: the command of only_if exited with 255")),
        ] {
            assert_eq!(said(Conditions::of_exit(code, line)).as_deref(), expected, "{code}");
        }
        let silent = said(Conditions::silent("/mnt"));
        assert_eq!(silent.as_deref(), Some("/mnt did not answer within 10s"));
    }
}
