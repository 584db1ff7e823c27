//! What is said where something cannot be tested.

/// It takes more than there is.
pub fn skipped(takes: &str) {
    eprintln!("skipped: it takes {takes}");
}

/// There is no such program. Where all are wanted, as in `.ci/run`, that is a failure.
#[track_caller]
pub fn missing(program: &str) {
    let all = std::env::var("SCHEDRS_TEST_SERVERS").is_ok_and(|which| which == "all");
    assert!(!all, "no {program} on this machine, and SCHEDRS_TEST_SERVERS=all wants one");
    eprintln!("skipped: no {program} on this machine");
}

/// Whether this is root, which is said if not.
pub fn has_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skipped("root");
    }
    is_root
}
