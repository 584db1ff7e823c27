//! Fuzzes the jobfile: no text makes the reader panic, every place a problem names lies in the
//! text, what is printed of it cannot drive a terminal, and what is accepted is TOML for the
//! `toml` crate too.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use schedrs::instant::Instant;
use schedrs::jobfile::{Loaded, load_text};
use schedrs::problem;
use schedrs::zone::Database;

static ZONES: LazyLock<Database> = LazyLock::new(Database::bundled);

const NOW: Instant = Instant::from_secs(1_790_000_000);

fuzz_target!(|text: &str| {
    // What a text includes is none of this target's business.
    if text.contains("include") {
        return;
    }
    let loaded = load_text("jobs.toml", text, &ZONES, NOW);
    assert_eq!(loaded.set.is_some(), loaded.problems.errors() == 0);
    for problem in loaded.problems.iter() {
        let related = problem.related.as_ref().map(|(_, place)| *place);
        for place in [Some(problem.place), related].into_iter().flatten() {
            let span = place.span.unwrap_or_default();
            assert!(text.get(span.range()).is_some(), "{problem:?}");
        }
    }
    // Drawing takes ten times as long as reading.
    if text.len().is_multiple_of(8) {
        draw(&loaded);
    }
    // The reader has TOML's rules on tables and keys of its own.
    if loaded.set.is_some()
        && let Err(error) = text.parse::<toml::Table>()
    {
        panic!("{text:?} was accepted, but {error}");
    }
    // Triggers are fuzzed on their own; here only that what was read can be used.
    for job in loaded.set.iter().flat_map(|set| &set.jobs) {
        let _ = job.trigger.anchored(NOW).next_after(NOW);
    }
});

fn draw(loaded: &Loaded) {
    let mut out = Vec::new();
    problem::print(&mut out, &loaded.problems, &loaded.sources, None)
        .expect("memory can be written");
    let out = String::from_utf8(out).expect("problems are text");
    assert!(!out.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\x1b')));
    problem::print_json(&mut Vec::new(), &loaded.problems, &loaded.sources)
        .expect("memory can be written");
}
