//! Fuzzes several triggers as one. The first line is `any` or `all`; each line after it is a schedule,
//! or an interval as `every MINUTES`, and after an empty line the others are one of them, put together
//! the other way.

#![no_main]

mod common;
#[path = "../common/laws.rs"]
mod laws;
#[path = "../common/rng.rs"]
#[allow(dead_code)]
mod rng;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use schedrs::instant::Instant;
use schedrs::trigger::combined::How;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::{CombinedTrigger, CronTrigger, IntervalTrigger, Trigger};

/// More are only slower.
const MOST_PARTS: usize = 5;

/// The trigger of a line, if it is one.
fn part(line: &str, input: &common::Input) -> Option<Trigger> {
    if let Some(minutes) = line.strip_prefix("every ") {
        let minutes = minutes.parse::<u32>().ok().filter(|minutes| *minutes > 0)?;
        let every = Duration::from_secs(u64::from(minutes) * 60);
        let start = input.start.unwrap_or(Instant::from_secs(0));
        return Some(Trigger::Interval(IntervalTrigger::new(every, Some(start), input.end)));
    }
    let parsed = crontab::parse(line, "job", &mut Vec::new())?;
    let Crontab::Schedule(schedule) = parsed else { return None };
    let cron = CronTrigger::new([schedule], input.zone.clone(), input.start, input.end);
    Some(Trigger::Cron(cron.into()))
}

fn put_together(how: How, text: &str, input: &common::Input) -> Option<Trigger> {
    let parts: Vec<Trigger> =
        text.split('\n').take(MOST_PARTS).filter_map(|line| part(line, input)).collect();
    (!parts.is_empty()).then(|| Trigger::Combined(CombinedTrigger::new(how, parts).into()))
}

/// Whether a trigger is due then, as its parts say.
fn is_due(trigger: &Trigger, at: Instant) -> bool {
    let Trigger::Combined(combined) = trigger else {
        return trigger.next_after(at.minus(Duration::from_micros(1))) == Some(at);
    };
    let mut parts = combined.parts().iter();
    match combined.how() {
        How::Any => parts.any(|part| is_due(part, at)),
        How::All => parts.all(|part| is_due(part, at)),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = common::input(data) else { return };
    let (how, other, text) = match input.text.split_once('\n') {
        Some(("any", text)) => (How::Any, How::All, text),
        Some(("all", text)) => (How::All, How::Any, text),
        _ => return,
    };
    let (outer, inner) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut parts = Vec::from_iter(put_together(how, outer, &input));
    parts.extend(put_together(other, inner, &input));
    if parts.is_empty() {
        return;
    }
    let trigger = Trigger::Combined(CombinedTrigger::new(how, parts).into());
    let dues = laws::hold(&trigger, input.from, 4, input.seed);
    let dues =
        dues.unwrap_or_else(|broken| panic!("{:?} from {:?}: {broken}", input.text, input.from));
    for due in dues {
        assert!(is_due(&trigger, due), "{:?}: {due:?} is not due", input.text);
    }
});
