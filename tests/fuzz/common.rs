//! How a fuzz input is read: a text, then, after a NUL, a few bytes that choose the zone, the
//! instant to start from and the window. A plain text is a whole input, so the seeds are texts.

use std::sync::LazyLock;

use schedrs::instant::Instant;
use schedrs::trigger::flaw::{Flaw, Severity};
use schedrs::zone::{Database, Zone};

/// Zones with every kind of change, and one without any.
static ZONES: LazyLock<Vec<Zone>> = LazyLock::new(|| {
    let zones = Database::bundled();
    [
        "UTC",
        "America/New_York",
        "Europe/Stockholm",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "Asia/Amman",
        "America/Sao_Paulo",
        "Pacific/Apia",
        "Antarctica/Troll",
        "Europe/Dublin",
        "Africa/Casablanca",
        "Asia/Gaza",
        "America/Havana",
        "Africa/Monrovia",
        "Asia/Kathmandu",
        "Pacific/Kwajalein",
    ]
    .map(|name| zones.get(name).expect("a bundled zone"))
    .to_vec()
});

pub struct Input<'a> {
    pub text: &'a str,
    pub zone: Zone,
    pub from: Instant,
    pub start: Option<Instant>,
    pub end: Option<Instant>,
    pub seed: u64,
}

pub fn input(data: &[u8]) -> Option<Input<'_>> {
    let split = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let text = std::str::from_utf8(&data[..split]).ok()?;
    let mut rest = data.get(split + 1..).unwrap_or(&[]).iter().copied();
    let mut number = |bytes: u32| {
        (0..bytes).fold(0u64, |number, _| number << 8 | u64::from(rest.next().unwrap_or(0)))
    };
    let zone = ZONES[number(1) as usize % ZONES.len()].clone();
    // 5 bytes of seconds from 1950 on reach beyond the year 9999; most inputs stay in our time.
    let second = |number: u64| Instant::from_secs(number as i64 - 631_152_000);
    let window = number(1);
    let from = second(match window & 4 {
        0 => number(4),
        _ => number(5),
    });
    let start = (window & 1 != 0).then(|| second(number(4)));
    let end = (window & 2 != 0).then(|| second(number(5)));
    Some(Input { text, zone, from, start, end, seed: number(2) })
}

/// What holds for the answer of a parser: an error, or a schedule; and spans that are slices of
/// the text.
pub fn sound(text: &str, flaws: &[Flaw], parsed: bool) {
    let errors = flaws.iter().any(|flaw| flaw.severity == Severity::Error);
    assert_eq!(parsed, !errors, "{text:?}: {flaws:?}");
    for flaw in flaws {
        assert!(text.get(flaw.span.clone()).is_some(), "{text:?}: {flaw:?}");
        assert!(!flaw.message.is_empty() && !flaw.message.ends_with('.'), "{flaw:?}");
    }
}
