//! Fuzzes the string form: the parser, then the laws of time over what it made. Several lines are
//! the union of their schedules.

#![no_main]

mod common;
#[path = "../common/laws.rs"]
mod laws;
#[path = "../common/rng.rs"]
#[allow(dead_code)]
mod rng;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::{CronTrigger, Trigger};

fuzz_target!(|data: &[u8]| {
    let Some(input) = common::input(data) else { return };
    let mut schedules = Vec::new();
    for line in input.text.split('\n').take(4) {
        let mut flaws = Vec::new();
        let parsed = crontab::parse(line, "job", &mut flaws);
        common::sound(line, &flaws, parsed.is_some());
        if let Some(Crontab::Schedule(schedule)) = parsed {
            schedules.push(schedule);
        }
    }
    if schedules.is_empty() {
        return;
    }
    let cron = CronTrigger::new(schedules, input.zone, input.start, input.end);
    let _ = (cron.every_second(), cron.never());
    let trigger = Trigger::Cron(Arc::new(cron));
    if let Err(broken) = laws::hold(&trigger, input.from, 4, input.seed) {
        panic!("{:?} from {:?}: {broken}", input.text, input.from);
    }
});
