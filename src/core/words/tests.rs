use super::*;
use crate::core::zone::Database;

/// The formatter that is too slow says what is right.
#[test]
fn rfc3339_is_what_chrono_says() {
    let zones = Database::open(None);
    for name in ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Africa/Monrovia"] {
        let zone = zones.get(name).unwrap();
        // Every 97 days and a bit, through all of time; fractions of each kind.
        let mut at = Instant::from_secs(-62_135_500_000);
        while at.secs() < 253_402_000_000 {
            for micros in [0, 1, 20_000, 123_456, 999_999] {
                let at = Instant::from_micros(at.micros() + micros);
                let format = with_fraction("%Y-%m-%dT%H:%M:%S", at, "%:z");
                assert_eq!(rfc3339(at, &zone), local(at, &zone).format(&format).to_string());
            }
            at = Instant::from_secs(at.secs() + 8_388_617);
        }
    }
}

#[test]
fn sizes() {
    for (number, expected) in [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (4096, "4.0 KiB"),
        (1_048_575, "1.0 MiB"),
        (1_258_291, "1.2 MiB"),
        (5 << 40, "5.0 TiB"),
    ] {
        assert_eq!(bytes(number), expected);
    }
    let short = [0, 12, 4096, 1_258_291].map(bytes_in_short);
    assert_eq!(short, ["0", "12B", "4.0K", "1.2M"]);
}
