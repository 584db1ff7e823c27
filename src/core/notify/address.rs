//! Mail addresses: which ones a route may name.
//!
//! They go into headers, into SMTP commands and behind an option of `sendmail`, so that what may
//! stand in them is said here and nothing else is let through: no quotes, comments or names.

/// What the local part of an address may hold beside letters and digits (RFC 5322, `atext`).
const SIGNS: &[u8] = b".!#$%&'*+-/=?^_`{|}~";

/// An address may be as long as this (RFC 5321).
const LONGEST: usize = 254;

/// What is wrong with an address, as the end of a sentence; `None`: nothing.
pub fn flaw(address: &str) -> Option<&'static str> {
    let (local, domain) = match address.rsplit_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        // A user of this machine, as in a crontab's MAILTO.
        None => (address, None),
    };
    if address.is_empty() {
        return Some("is empty");
    }
    if address.len() > LONGEST {
        return Some("is longer than 254 characters");
    }
    if !address.is_ascii() {
        return Some("has characters beyond ASCII (write a domain as xn--…)");
    }
    let is_atom = local.bytes().all(|byte| byte.is_ascii_alphanumeric() || SIGNS.contains(&byte));
    // To `sendmail` it would be an option.
    if local.is_empty() || local.starts_with('-') || !is_atom {
        return Some("is no address such as ops@example.org");
    }
    let is_domain = |domain: &str| {
        let host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        !domain.is_empty() && !domain.starts_with(['.', '-']) && domain.bytes().all(host)
    };
    let good = domain.is_none_or(is_domain);
    (!good).then_some("has no domain such as example.org behind the @")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let good = ["root", "ops@example.org", "a.b+c_d@mail-1.example.org", "o'neil@example.org"];
        for address in good {
            assert_eq!(flaw(address), None, "{address}");
        }
        let bad = [
            "",
            "@",
            "@example.org",
            "ops@",
            "ops@-x",
            "-oQ/tmp",
            "-f@example.org",
            "Ops <ops@example.org>",
            "ops@example.org, eve@example.org",
            "ops@example.org\nBcc: eve@example.org",
            "ops\0@example.org",
            "ops@exämple.org",
            "\"a b\"@example.org",
        ];
        for address in bad {
            assert!(flaw(address).is_some(), "{address}");
        }
        assert!(flaw(&format!("{}@example.org", "a".repeat(250))).is_some());
    }
}
