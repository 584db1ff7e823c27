//! The triggers as a library: when is the next due time, and what does daylight saving do to it?
//!
//! `cargo run --example triggers`

use std::time::Duration;

use schedrs::instant::Instant;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::{CronTrigger, IntervalTrigger, Trigger};
use schedrs::words;
use schedrs::zone::Database;

fn main() -> Result<(), String> {
    // Zone data: the system's, or the data bundled with the library.
    let zones = Database::open(None);
    let stockholm = zones.get("Europe/Stockholm").ok_or("no such zone")?;

    // A string as in a crontab. Flaws say what is wrong and where; there may be warnings even
    // where the schedule is good.
    let mut flaws = Vec::new();
    let schedule = match crontab::parse("30 2 * * *", "my-job", &mut flaws) {
        Some(Crontab::Schedule(schedule)) => schedule,
        _ => return Err(format!("{flaws:?}")),
    };
    let cron = CronTrigger::new([schedule], stockholm.clone(), None, None);
    let nightly = Trigger::Cron(cron.clone().into());
    println!("nightly: {}", words::trigger(&nightly, &stockholm));

    // Nothing here reads a clock: the moment is an argument, so you can ask about any moment.
    let mut at = Instant::from_secs(1_806_105_600); // 2027-03-27T00:00:00Z
    for _ in 0..4 {
        let Some(due) = nightly.next_after(at) else { break };
        let remark = cron.dst_effect_at(due).map(|effect| words::dst_effect(&effect, &stockholm));
        println!("  {}  {}", words::rfc3339(due, &stockholm), remark.unwrap_or_default());
        at = due;
    }

    // Exact elapsed time: an hour and a half from when the job is first scheduled.
    let interval = IntervalTrigger::new(Duration::from_secs(90 * 60), None, None);
    let polling = Trigger::Interval(interval).anchored(at);
    println!("polling: {}", words::trigger(&polling, &stockholm));
    for due in std::iter::successors(polling.next_after(at), |due| polling.next_after(*due)).take(3)
    {
        println!("  {}", words::rfc3339(due, &stockholm));
    }
    Ok(())
}
