//! Whether two simulations decided the same: a hash of all that they did, and when.

use super::Observer;
use crate::core::event::Action;
use crate::core::instant::{Instant, Now, duration_micros};
use crate::core::outcome::{MissReason, Outcome, SkipReason};

/// Looks on at a simulation. Two traces are equal if the same was decided at the same times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace(u64);

impl Observer for Trace {
    fn see(&mut self, now: Now, action: &Action) {
        match action {
            Action::Start(start) => {
                self.add(now, [1, start.run.0, u64::from(start.attempt), micros(start.due)]);
            }
            Action::Record(record) => {
                let run = record.run.map_or(0, |run| run.0);
                let fate = detail(&record.outcome);
                self.add(now, [2, run, fate ^ record.count << 16, micros(record.due)]);
            }
            Action::Terminate(run) => self.add(now, [3, run.0, 0, 0]),
            Action::Kill(run) => self.add(now, [4, run.0, 0, 0]),
            Action::Exit => self.add(now, [5, 0, 0, 0]),
            Action::Check(check) => {
                self.add(now, [6, check.run.0, u64::from(check.number), micros(check.due)]);
            }
            Action::Notice(_) | Action::Remember(_) | Action::Answer { .. } => {}
        }
    }
}

impl Trace {
    /// Two words a multiplication, as wyhash does: this is done twice a fire.
    fn add(&mut self, now: Now, what: [u64; 4]) {
        let [kind, run, detail, due] = what;
        let at = micros(now.wall) ^ kind << 60;
        for (a, b) in [(at, run), (detail, due)] {
            let a = self.0 ^ a ^ 0x2545_F491_4F6C_DD1D;
            let product = u128::from(a) * u128::from(b ^ 0x9E37_79B9_7F4A_7C15);
            self.0 = (product >> 64) as u64 ^ product as u64;
        }
    }
}

/// A number for what became of a due time.
fn detail(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Succeeded => 1,
        Outcome::Failed(code) => 2 | u64::from(*code as u32) << 32,
        Outcome::Killed(signal) | Outcome::OverLimit(signal, _) => {
            3 | u64::from(*signal as u32) << 32
        }
        Outcome::TimedOut => 4,
        Outcome::NotStarted(_) => 5,
        Outcome::Skipped(reason) => 6 | skip(reason) << 8,
        Outcome::Missed(MissReason::Late(by)) => 7 | (duration_micros(*by) as u64) << 8,
        Outcome::Missed(MissReason::Waited(by)) => 8 | (duration_micros(*by) as u64) << 8,
        Outcome::Coalesced => 9,
        Outcome::Lost(_) => 10,
        Outcome::Missed(MissReason::NoStore(by)) => 11 | (duration_micros(*by) as u64) << 8,
    }
}

fn skip(reason: &SkipReason) -> u64 {
    match reason {
        SkipReason::Overlap => 0,
        SkipReason::Paused => 1,
        SkipReason::Stopping => 2,
        SkipReason::Removed => 3,
        SkipReason::Stopped => 4,
        SkipReason::Excluded(_) => 5,
        SkipReason::Parent(_) => 6,
        SkipReason::Condition(_) => 7,
    }
}

fn micros(at: Instant) -> u64 {
    at.micros() as u64
}
