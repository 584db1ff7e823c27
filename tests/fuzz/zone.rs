//! Fuzzes the reader of zone data: whatever a file says, the zone has one offset at each instant,
//! every walk over its changes moves on, and so does a schedule.

#![no_main]

use libfuzzer_sys::fuzz_target;
use schedrs::instant::Instant;
use schedrs::trigger::CronTrigger;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::zone::Zone;

fuzz_target!(|data: &[u8]| {
    let Ok(zone) = Zone::from_tzif("Made/Up", data) else { return };
    let ends = [Instant::MIN.secs(), 0, 1_790_000_000, 4_102_444_800, Instant::MAX.secs()];
    let changes = zone.changes(Instant::MIN, Instant::MAX).take(64);
    let mut last = i64::MIN;
    let mut points = ends.to_vec();
    for change in changes {
        assert!(change.start > last && change.end > change.start, "{change:?} after {last}");
        last = change.start;
        points.extend([last - 1, last, last + 1]);
    }
    for at in points {
        let segment = zone.segment_at(at);
        assert!(segment.start <= at && at < segment.end, "{at}: {segment:?}");
        let _ = zone.resolve(at);
        for text in ["30 2 * * *", "*/7 * * * *"] {
            let Some(Crontab::Schedule(schedule)) = crontab::parse(text, "", &mut Vec::new())
            else {
                unreachable!("{text} is a schedule")
            };
            let cron = CronTrigger::new([schedule], zone.clone(), None, None);
            let after = Instant::from_secs(at);
            let due = cron.next_after(after);
            assert!(due.is_none_or(|due| due > after), "{text} after {at}: {due:?}");
        }
    }
});
