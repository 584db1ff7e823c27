//! Which proxy a request goes through: `HTTPS_PROXY` and `NO_PROXY` as curl has them. Requests without
//! TLS stay in the machine or its network, and need none.

/// The proxy of the environment; `lookup` knows its variables.
pub(super) fn of_environment(lookup: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let found = names.into_iter().find_map(lookup);
    found.filter(|proxy| !proxy.trim().is_empty())
}

/// Whether a host is reached without it, by what `NO_PROXY` says.
pub(super) fn is_bypassed(host: &str, no_proxy: &str) -> bool {
    no_proxy.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        let name = entry.trim_start_matches('*').trim_start_matches('.');
        if entry == "*" {
            return true;
        }
        let below = host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        !name.is_empty() && (host == name || below)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_no_proxy() {
        let rows = [
            ("example.org", "", false),
            ("example.org", "*", true),
            ("example.org", "localhost, example.org", true),
            ("example.org", "Example.ORG", true),
            ("a.example.org", "example.org", true),
            ("a.example.org", ".example.org", true),
            ("a.example.org", "*.example.org", true),
            ("badexample.org", "example.org", false),
            ("example.org", "a.example.org", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", ",.,", false),
        ];
        for (host, no_proxy, expected) in rows {
            assert_eq!(is_bypassed(host, no_proxy), expected, "{host} {no_proxy}");
        }
    }

    #[test]
    fn which_variable() {
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let rows: [(Variables<'_>, Option<&str>); 4] = [
            (&[], None),
            (&[("HTTP_PROXY", "http://a")], None),
            (&[("HTTPS_PROXY", " ")], None),
            (&[("ALL_PROXY", "http://a"), ("HTTPS_PROXY", "http://b")], Some("http://b")),
        ];
        for (variables, expected) in rows {
            let lookup = |name: &str| {
                let found = variables.iter().find(|(set, _)| *set == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(of_environment(lookup).as_deref(), expected, "{variables:?}");
        }
    }
}
