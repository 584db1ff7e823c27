//! Numbers of bytes as people write them: `4096`, `64KiB`, `1 MiB`, `2GB`.

/// Reads a number of bytes; `None`: it is none, or too large to be one.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "kb" => 1000,
        "m" | "mib" => 1 << 20,
        "mb" => 1_000_000,
        "g" | "gib" => 1 << 30,
        "gb" => 1_000_000_000,
        "t" | "tib" => 1 << 40,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The same number as it is written: `64KiB`, `2GB`, `1000`.
pub(crate) fn written(bytes: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (1 << 30, "GiB"),
        (1_000_000_000, "GB"),
        (1 << 20, "MiB"),
        (1_000_000, "MB"),
        (1 << 10, "KiB"),
    ];
    let whole = |(unit, _): &&(u64, &str)| bytes > 0 && bytes.is_multiple_of(*unit);
    match UNITS.iter().find(whole) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// A number of bytes in the unit in which another is written: `4.2GB` beside `5GB`.
pub(crate) fn beside(bytes: u64, other: u64) -> String {
    let text = written(other);
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    match parse(&format!("1{unit}")) {
        Some(factor) if !unit.is_empty() => format!("{:.1}{unit}", bytes as f64 / factor as f64),
        _ => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("64KiB", Some(65_536)),
            ("64 kib", Some(65_536)),
            ("64K", Some(65_536)),
            ("64kB", Some(64_000)),
            ("1MiB", Some(1 << 20)),
            ("12B", Some(12)),
            ("", None),
            ("KiB", None),
            ("-1", None),
            ("1.5KiB", None),
            ("1GiB", Some(1 << 30)),
            ("2 gb", Some(2_000_000_000)),
            ("1T", Some(1 << 40)),
            ("1PiB", None),
            ("99999999999999999999", None),
            ("18446744073709551615KiB", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for bytes in [0, 1, 1000, 1024, 65_536, 1 << 20, 3 << 19, 3 << 40, 2_500_000, 5_000_000_000]
        {
            assert_eq!(parse(&written(bytes)), Some(bytes), "{bytes}");
        }
        assert_eq!((written(65_536).as_str(), written(3 << 20).as_str()), ("64KiB", "3MiB"));
        assert_eq!(written(2_000_000_000), "2GB");
        assert_eq!(beside(4_180_000_000, 5_000_000_000), "4.2GB");
        assert_eq!(beside(1 << 29, 2 << 30), "0.5GiB");
        assert_eq!(beside(12, 1000), "12");
    }
}
