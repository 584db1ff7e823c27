//! What an answer means: whether the receiver has it, does not want it, or may take it later.

use chrono::DateTime;
use serde_json::Value;

use crate::core::instant::Instant;
use crate::notify::wire::DeliveryResult;

/// Whoever asks for more patience than this is asked all the same after an hour.
const LONGEST_WAIT: u64 = 3600;

/// What an HTTP answer means, and after how many seconds it may be tried again, if it says.
pub(super) fn http(
    service: &str,
    status: u16,
    retry_after: Option<&str>,
    body: &str,
    now: Instant,
) -> (DeliveryResult, Option<u64>) {
    let result = match status {
        200..300 if says_no(service, body) => DeliveryResult::Refused,
        200..300 if service == "healthchecks" && body.starts_with("OK (rate limited)") => {
            DeliveryResult::Again
        }
        200..300 => DeliveryResult::Sent,
        // Too early, too much, or not in time.
        408 | 425 | 429 => DeliveryResult::Again,
        // A redirect is not followed: whoever may give one could send the message anywhere.
        300..500 => DeliveryResult::Refused,
        _ => DeliveryResult::Again,
    };
    let wait = match result {
        DeliveryResult::Again => {
            let header = retry_after.and_then(|value| seconds(value.trim(), now));
            header.max(seconds_in(body)).map(|wait| wait.min(LONGEST_WAIT))
        }
        DeliveryResult::Sent | DeliveryResult::Refused => None,
    };
    (result, wait)
}

/// What a code of SMTP means.
#[cfg(feature = "mail")]
pub(super) fn smtp(code: u16) -> DeliveryResult {
    match code {
        200..400 => DeliveryResult::Sent,
        500..600 => DeliveryResult::Refused,
        _ => DeliveryResult::Again,
    }
}

/// Whether a service has refused it in an answer that begins well: Telegram, Rocket.Chat in the place of
/// Slack, a healthchecks that knows no such check, and an Uptime Kuma that knows no such monitor.
fn says_no(service: &str, body: &str) -> bool {
    let key = match service {
        "healthchecks" => return body.starts_with("OK (not found)"),
        "telegram" | "kuma" => "ok",
        "slack" => "success",
        _ => return false,
    };
    serde_json::from_str::<Value>(body).is_ok_and(|body| body[key] == Value::Bool(false))
}

/// The seconds of a `Retry-After`, which is a number of them or a date.
fn seconds(value: &str, now: Instant) -> Option<u64> {
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds);
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    let wait = Instant::from_secs(date.timestamp()).since(now);
    Some(wait.as_secs() + u64::from(wait.subsec_micros() > 0)).filter(|wait| *wait > 0)
}

/// The same in the answers of Discord and Telegram.
fn seconds_in(body: &str) -> Option<u64> {
    let body = serde_json::from_str::<Value>(body).ok()?;
    let value = body.get("retry_after").or_else(|| body.get("parameters")?.get("retry_after"))?;
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0)?;
    // Beyond the largest number it stays that.
    Some(seconds.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28T02:00:00.5Z
    fn now() -> Instant {
        Instant::from_micros(1_795_831_200_500_000)
    }

    #[test]
    fn what_answers_mean() {
        use DeliveryResult::{Again, Refused, Sent};
        let rows: [(&str, &[u16], DeliveryResult); 6] = [
            ("slack", &[200, 201, 202, 204], Sent),
            ("webhook", &[301, 302, 303, 307, 308], Refused),
            ("webhook", &[400, 401, 403, 404, 405, 407, 410, 413, 422], Refused),
            ("webhook", &[402, 406, 409, 411, 415, 451], Refused),
            ("webhook", &[408, 425, 429], Again),
            ("webhook", &[500, 501, 502, 503, 504, 520, 599, 100, 600], Again),
        ];
        for (service, all, expected) in rows {
            for status in all {
                assert_eq!(http(service, *status, None, "ok", now()).0, expected, "{status}");
            }
        }
    }

    #[test]
    fn a_refusal_may_look_well() {
        let rows = [
            ("telegram", r#"{"ok":true,"result":{}}"#, DeliveryResult::Sent),
            ("telegram", r#"{"ok":false,"description":"x"}"#, DeliveryResult::Refused),
            ("slack", r#"{"success":true}"#, DeliveryResult::Sent),
            ("slack", r#"{"success":false,"error":"x"}"#, DeliveryResult::Refused),
            ("slack", "ok", DeliveryResult::Sent),
            ("healthchecks", "OK", DeliveryResult::Sent),
            ("healthchecks", "OK (not found)", DeliveryResult::Refused),
            ("healthchecks", "OK (rate limited)", DeliveryResult::Again),
            ("kuma", r#"{"ok":true}"#, DeliveryResult::Sent),
            ("kuma", r#"{"ok":false,"msg":"Monitor not found."}"#, DeliveryResult::Refused),
            // Its body is the receiver's own.
            ("webhook", r#"{"ok":false,"success":false}"#, DeliveryResult::Sent),
        ];
        for (service, body, expected) in rows {
            assert_eq!(http(service, 200, None, body, now()).0, expected, "{service} {body}");
        }
    }

    #[test]
    fn when_to_try_again() {
        // (Retry-After, body, seconds)
        let rows: [(Option<&str>, &str, Option<u64>); 17] = [
            (None, "", None),
            (Some("7"), "", Some(7)),
            (Some(" 7 "), "", Some(7)),
            (Some("0"), "", Some(0)),
            (Some("86400"), "", Some(3600)),
            (Some("99999999999999999999999"), "", None),
            (Some("-5"), "", None),
            (Some("soon"), "", None),
            (Some("Sat, 28 Nov 2026 02:01:00 GMT"), "", Some(60)),
            (Some("Sat, 28 Nov 2026 01:00:00 GMT"), "", None),
            (Some("Sat, 28 Nov 2099 01:00:00 GMT"), "", Some(3600)),
            (None, r#"{"message":"x","retry_after":1.2,"global":false}"#, Some(2)),
            (Some("1"), r#"{"retry_after":64.57}"#, Some(65)),
            (None, r#"{"ok":false,"parameters":{"retry_after":35}}"#, Some(35)),
            (None, r#"{"retry_after":1e300}"#, Some(3600)),
            (None, r#"{"retry_after":-1}"#, None),
            (None, r#"{"retry_after":"x"}"#, None),
        ];
        for (header, body, expected) in rows {
            let found = http("discord", 429, header, body, now());
            assert_eq!(found, (DeliveryResult::Again, expected), "{header:?} {body}");
        }
        assert_eq!(http("webhook", 404, Some("7"), "", now()), (DeliveryResult::Refused, None));
        assert_eq!(http("webhook", 503, Some("7"), "", now()), (DeliveryResult::Again, Some(7)));
    }

    #[cfg(feature = "mail")]
    #[test]
    fn codes_of_mail() {
        let rows = [
            (250, DeliveryResult::Sent),
            (421, DeliveryResult::Again),
            (452, DeliveryResult::Again),
            (550, DeliveryResult::Refused),
        ];
        for (code, expected) in rows {
            assert_eq!(smtp(code), expected, "{code}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nobody_waits_longer_than_an_hour(
            status in 100_u16..600,
            header in proptest::option::of("[ -~]{0,30}|[0-9]{1,25}"),
            body in "[\\s\\S]{0,60}|\\{\"retry_after\": ?-?[0-9.e]{1,12}\\}",
        ) {
            let (result, wait) = http("discord", status, header.as_deref(), &body, now());
            proptest::prop_assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT), "{wait:?}");
            proptest::prop_assert!(wait.is_none() || result == DeliveryResult::Again);
        }
    }
}
