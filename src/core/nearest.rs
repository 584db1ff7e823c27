//! The name that was probably meant.

use crate::core::zone::{Database, meant};

/// Longer names than this are no typing mistakes, and the distance takes time in the product of
/// both lengths.
const LONGEST: usize = 64;

/// What to write instead of a name that is no time zone.
pub(crate) fn zone_help(name: &str, zones: &Database) -> Option<String> {
    meant::advice(name)
        .or_else(|| zone(name, zones).map(|near| format!("did you mean \"{near}\"?")))
}

/// The time zone that was meant by a name that is none: one that ends in the same city, one without
/// the leap seconds of `right/`, or the nearest.
fn zone(name: &str, zones: &Database) -> Option<String> {
    if let Some((_, without)) = name.rsplit_once("right/") {
        return zones.get(without).map(|zone| zone.name().to_owned());
    }
    let names = zones.names();
    let city = name.to_ascii_lowercase().replace(' ', "_");
    let of_city =
        |zone: &&String| zone.rsplit('/').next().unwrap_or_default().eq_ignore_ascii_case(&city);
    match names.iter().find(of_city) {
        Some(near) => Some(near.clone()),
        None => nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
    }
}

/// The candidate nearest to `name`, if one is near enough: the same but for case and punctuation,
/// within a third of its length by edits, or begun by it.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let plain = plain(name);
    let near = plain.chars().count().div_ceil(3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let target = self::plain(candidate);
        let mut distance = strsim::damerau_levenshtein(&plain, &target);
        if plain.len() >= 3 && target.starts_with(&plain) {
            // `dir` for `directory`: far by edits, but not another word.
            distance = distance.min(near);
        }
        if distance <= near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Lower case, with `-` and spaces as `_`.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '-' | ' ' => '_',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let names = ["command", "cron", "cwd", "timezone", "misfire_grace_time", "max_instances"];
        let rows = [
            ("comand", Some("command")),
            ("Command", Some("command")),
            ("crno", Some("cron")),
            ("misfire-grace-time", Some("misfire_grace_time")),
            ("misfire_grace", Some("misfire_grace_time")),
            ("max_instance", Some("max_instances")),
            ("time", Some("timezone")),
            ("frobnicate", None),
            ("", None),
        ];
        for (typed, meant) in rows {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), names), None);
    }
}
