//! Numbers of bytes as people write them: `4096`, `64KiB`, `1 MiB`.

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
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The same number as it is written: `64KiB`, `1000`.
pub(crate) fn written(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
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
            ("1GiB", None),
            ("99999999999999999999", None),
            ("18446744073709551615KiB", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for bytes in [0, 1, 1000, 1024, 65_536, 1 << 20, 3 << 19] {
            assert_eq!(parse(&written(bytes)), Some(bytes), "{bytes}");
        }
        assert_eq!((written(65_536).as_str(), written(3 << 20).as_str()), ("64KiB", "3MiB"));
    }
}
