//! Entries of lists that each host has of its own: what is known of a job with `run_on = "all"`, which has
//! nothing to do with how it fares elsewhere.
//!
//! The key of such an entry ends with the host, on a line of its own. Names of jobs have no line breaks.

use std::collections::BTreeMap;

/// The key of the entry of this host, where the other hosts have others.
pub(crate) fn key(shared: &str, host: &str) -> Box<str> {
    format!("{shared}\n{host}").into()
}

/// Of the entries of a list those that count on `host`, by the key that they would have if all hosts shared them;
/// and whether only this host has it. Keys have so many parts before that of a host. `None`: there are no other
/// hosts. `is_own`: whether a job, the last part of such a key, is one of those of which each host has its own. If
/// there is none of its own it is the one that an older version has written for all of them.
pub(crate) fn mine(
    entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
    parts: usize,
    host: Option<&str>,
    is_own: &dyn Fn(&str) -> bool,
) -> BTreeMap<Box<str>, (Box<str>, bool)> {
    let mut mine: BTreeMap<Box<str>, (Box<str>, bool)> = BTreeMap::new();
    for (key, value) in entries {
        let (shared, of_host) = split(&key, parts);
        match of_host {
            None => drop(mine.entry(key).or_insert((value, false))),
            Some(of_host) => {
                let job = shared.rsplit('\n').next().unwrap_or_default();
                if host == Some(of_host) && is_own(job) {
                    mine.insert(shared.into(), (value, true));
                }
            }
        }
    }
    mine
}

/// The key without its host, and that.
fn split(key: &str, parts: usize) -> (&str, Option<&str>) {
    let mut ends = key.match_indices('\n').map(|(at, _)| at);
    match ends.nth(parts.saturating_sub(1)) {
        Some(end) => (&key[..end], Some(&key[end + 1..])),
        None => (key, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_its_own() {
        // (the key, its parts, who reads it, what it is of there: all hosts, or only this one)
        let rows = [
            ("backup", 1, Some("web1"), Some(("backup", false))),
            ("backup", 1, None, Some(("backup", false))),
            ("each", 1, Some("web1"), Some(("each", false))),
            ("each\nweb1", 1, Some("web1"), Some(("each", true))),
            ("each\nweb1", 1, Some("web2"), None),
            ("each\nweb1", 1, None, None),
            // It was one of those once.
            ("backup\nweb1", 1, Some("web1"), None),
            ("ops\nbackup", 2, Some("web1"), Some(("ops\nbackup", false))),
            ("ops\neach\nweb1", 2, Some("web1"), Some(("ops\neach", true))),
            ("ops\neach\nweb1", 2, Some("web2"), None),
            ("", 1, Some("web1"), Some(("", false))),
            ("\n\n\n", 2, Some("\n"), None),
        ];
        for (key, parts, host, expected) in rows {
            let entries = [(key.into(), "x".into())];
            let found = mine(entries, parts, host, &|job| job == "each");
            let found = found.iter().next().map(|(key, (_, is_own))| (&**key, *is_own));
            assert_eq!(found, expected, "{key:?} on {host:?}");
        }
    }

    #[test]
    fn its_own_comes_before_that_of_all() {
        let all = [("each", "all"), ("each\nweb1", "own")];
        for entries in [all, [all[1], all[0]]] {
            let entries = entries.map(|(key, value)| (key.into(), value.into()));
            let found = mine(entries, 1, Some("web1"), &|_| true);
            assert_eq!(found.into_values().collect::<Vec<_>>(), [("own".into(), true)]);
        }
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        assert_eq!(split(&key("ops\neach", "web1"), 2), ("ops\neach", Some("web1")));
    }
}
