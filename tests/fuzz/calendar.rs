//! Fuzzes calendar files: the reader, then what their events exclude.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use schedrs::instant::Instant;
use schedrs::job::{Command, Exclusion, Job, Options};
use schedrs::preview::{Window, preview};
use schedrs::trigger::{IntervalTrigger, Trigger};
use schedrs::zone::Database;

static ZONES: LazyLock<Database> = LazyLock::new(Database::bundled);

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let excluded = match Exclusion::of_calendar("fuzzed", text, &ZONES) {
        Ok(excluded) => excluded,
        Err(flaws) => {
            assert!(!flaws.is_empty());
            for flaw in flaws {
                assert!(text.get(flaw.span.clone()).is_some(), "{flaw:?}");
            }
            return;
        }
    };
    let Some(zone) = ZONES.get("Europe/Berlin") else { return };
    let start = Instant::from_secs(1_790_000_000);
    let every = std::time::Duration::from_secs(6 * 3600);
    let job = Job {
        id: "job".into(),
        name: None,
        command: Command::Shell("true".into()),
        trigger: Trigger::Interval(IntervalTrigger::new(every, Some(start), None)),
        zone,
        executor: 0,
        options: Arc::new(Options { excluded, ..Options::default() }),
    };
    // The next that is kept is the first of all that is not excluded.
    let jobs = [&job];
    let of = |count| preview(&jobs, Window { from: start, until: None, count });
    let first = of(400).find(|row| row.excluded.is_none()).and_then(|row| row.due);
    if let Some(first) = first {
        assert_eq!(of(1).next().and_then(|row| row.due), Some(first));
    }
});
