//! What to write instead of a name that people use for a time zone and that is none: `PST`, `UTC+2`.

/// Abbreviations that are no zones of the database, with the cities that are meant by them: the name
/// that the zone has there in winter or summer.
const ABBREVIATIONS: [(&str, &[&str]); 45] = [
    ("ACDT", &["Australia/Adelaide"]),
    ("ACST", &["Australia/Adelaide", "Australia/Darwin"]),
    ("ADT", &["America/Halifax"]),
    ("AEDT", &["Australia/Sydney"]),
    ("AEST", &["Australia/Sydney", "Australia/Brisbane"]),
    ("AKDT", &["America/Anchorage"]),
    ("AKST", &["America/Anchorage"]),
    ("ART", &["America/Argentina/Buenos_Aires"]),
    ("AST", &["America/Halifax", "America/Puerto_Rico", "Asia/Riyadh"]),
    ("AWST", &["Australia/Perth"]),
    ("BRT", &["America/Sao_Paulo"]),
    ("BST", &["Europe/London", "Asia/Dhaka"]),
    ("CAT", &["Africa/Maputo"]),
    ("CDT", &["America/Chicago"]),
    ("CEST", &["Europe/Berlin"]),
    ("CST", &["America/Chicago", "Asia/Shanghai"]),
    ("EAT", &["Africa/Nairobi"]),
    ("EDT", &["America/New_York"]),
    ("EEST", &["Europe/Athens"]),
    ("GST", &["Asia/Dubai"]),
    ("HKT", &["Asia/Hong_Kong"]),
    ("ICT", &["Asia/Bangkok"]),
    ("IDT", &["Asia/Jerusalem"]),
    ("IST", &["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"]),
    ("JST", &["Asia/Tokyo"]),
    ("KST", &["Asia/Seoul"]),
    ("MDT", &["America/Denver"]),
    ("MSK", &["Europe/Moscow"]),
    ("NDT", &["America/St_Johns"]),
    ("NPT", &["Asia/Kathmandu"]),
    ("NST", &["America/St_Johns"]),
    ("NZDT", &["Pacific/Auckland"]),
    ("NZST", &["Pacific/Auckland"]),
    ("PDT", &["America/Los_Angeles"]),
    ("PHT", &["Asia/Manila"]),
    ("PKT", &["Asia/Karachi"]),
    ("PST", &["America/Los_Angeles"]),
    ("SAST", &["Africa/Johannesburg"]),
    ("SGT", &["Asia/Singapore"]),
    ("SST", &["Pacific/Pago_Pago"]),
    ("TRT", &["Europe/Istanbul"]),
    ("UZT", &["Asia/Tashkent"]),
    ("WAT", &["Africa/Lagos"]),
    ("WEST", &["Europe/Lisbon"]),
    ("WIB", &["Asia/Jakarta"]),
];

/// What to write instead of an abbreviation, or of an offset. `None`: it is neither.
pub(crate) fn advice(name: &str) -> Option<String> {
    let abbreviation = ABBREVIATIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    if let Some((known, cities)) = abbreviation {
        let quoted: Vec<String> = cities.iter().map(|city| format!("\"{city}\"")).collect();
        return Some(match &quoted[..] {
            [city] => format!("write a city, which follows daylight saving: {city}"),
            [first, second] => format!("{known} may be {first} or {second}: write the city"),
            [all @ .., last] => {
                format!("{known} may be {} or {last}: write the city", all.join(", "))
            }
            [] => return None,
        });
    }
    let (hours, minutes) = offset(name)?;
    if minutes != 0 || !(-12..=14).contains(&hours) {
        return Some(
            "write a city, as in \"Asia/Kolkata\": no zone is an offset of minutes".into(),
        );
    }
    let sign = if hours > 0 { '-' } else { '+' };
    let way = if hours > 0 { "ahead of" } else { "behind" };
    let count = hours.abs();
    let s = if count == 1 { "" } else { "s" };
    Some(match hours {
        0 => "write \"UTC\"".to_owned(),
        _ => format!(
            "write a city, which follows daylight saving, or \"Etc/GMT{sign}{count}\": {count} \
             hour{s} {way} UTC (the sign is the other way round)"
        ),
    })
}

/// The hours and minutes of `UTC+2`, `GMT-05:30`, `+0200`.
fn offset(name: &str) -> Option<(i32, i32)> {
    let upper = name.to_ascii_uppercase();
    let rest = upper.strip_prefix("UTC").or_else(|| upper.strip_prefix("GMT")).unwrap_or(&upper);
    let rest = rest.trim();
    let (sign, digits) = match rest.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-" | "\u{2212}", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let number = |text: &str| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<i32>().ok())?
    };
    Some((sign * number(hours)?, number(minutes)?))
}

#[cfg(test)]
mod tests {
    use super::super::Database;
    use super::*;
    use crate::core::instant::Instant;

    #[test]
    fn cities_are_zones_and_abbreviations_are_none() {
        let zones = Database::bundled();
        for (name, cities) in ABBREVIATIONS {
            assert!(zones.find(name).is_err(), "{name}");
            for city in cities {
                assert!(zones.find(city).is_ok(), "{city}");
            }
        }
        assert!(ABBREVIATIONS.is_sorted());
    }

    #[test]
    fn an_offset_has_the_sign_of_posix() {
        let zones = Database::bundled();
        let rows = [
            ("UTC+2", Some("Etc/GMT-2\": 2 hours ahead of UTC"), 7200),
            ("GMT-5", Some("Etc/GMT+5\": 5 hours behind UTC"), -18_000),
            ("+01:00", Some("Etc/GMT-1\": 1 hour ahead of UTC"), 3600),
            ("utc +0200", Some("Etc/GMT-2"), 7200),
            ("UTC+5:30", Some("Asia/Kolkata"), 19_800),
            ("UTC+0", Some("\"UTC\""), 0),
            ("UTC+200", None, 0),
            ("UTC", None, 0),
            ("Mars", None, 0),
        ];
        for (typed, says, secs) in rows {
            let advice = advice(typed);
            let matches = match (says, &advice) {
                (None, None) => true,
                (Some(says), Some(advice)) => advice.contains(says),
                _ => false,
            };
            assert!(matches, "{typed}: {advice:?}");
            // What is advised is what was meant.
            if let Some(advice) = advice {
                let quoted = advice.rsplit_once('"').unwrap().0.rsplit_once('"').unwrap().1;
                assert_eq!(
                    zones.find(quoted).unwrap().wall_of(Instant::from_secs(0)),
                    secs,
                    "{typed}"
                );
            }
        }
    }
}
