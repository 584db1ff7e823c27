//! `[web]`: the page of `schedrs web`. What it means is said at [`WebSettings`].

use std::net::IpAddr;

use super::tree::{Node, Value};
use super::value::Scope;
use super::{options, secret};
use crate::core::web::{Listen, WebSettings};

/// Its keys.
const KEYS: [&str; 7] = ["listen", "token", "user_header", "trust", "hosts", "actions", "metrics"];

/// Reads the section.
pub(super) fn settings(value: &Value<'_>, scope: &mut Scope<'_>) -> WebSettings {
    let mut web = WebSettings::default();
    let Some(table) = scope.table(value, "a table: [web]") else { return web };
    for (key, value) in &table.entries {
        match &*key.text {
            "listen" => web.listen = listen(value, scope),
            "token" => web.token = secret::secret(value, scope),
            "user_header" => web.user_header = header(value, scope),
            "trust" => web.trust = addresses(value, scope),
            "hosts" => web.hosts = hosts(value, scope),
            "actions" => web.actions = scope.boolean(value).unwrap_or_default(),
            "metrics" => {
                let names = [("open", true), ("token", false)];
                web.metrics_open = scope.one_of(value, &names).unwrap_or_default();
            }
            name => scope.unknown_key(key.span, name, &KEYS),
        }
    }
    let header = table.entries.iter().find(|(key, _)| key.text == "user_header");
    let is_believed = matches!(web.listen, Some(Listen::Unix(_))) || !web.trust.is_empty();
    if let (Some((key, _)), Some(_), false) = (header, &web.user_header, is_believed) {
        let help = "name the proxies with `trust = [\"127.0.0.1\"]`, or let them use a socket with \
                    `listen = \"unix:/run/schedrs/web.sock\"`";
        scope.error_help(key.span, "nobody is trusted to send this header", help);
    }
    web
}

fn listen(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Listen> {
    const WANTED: &str = "\"127.0.0.1:8080\" or \"unix:/run/schedrs/web.sock\"";
    let text = scope.system_string(value, WANTED)?;
    match Listen::parse(text) {
        Ok(listen) => Some(listen),
        Err(why) => {
            scope.error_help(value.span, format!("this {why}"), format!("write {WANTED}"));
            None
        }
    }
}

/// The name of a header.
fn header(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    let name = scope.string(value, "the name of a header such as \"Remote-User\"")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
        scope.error(value.span, "not the name of a header, such as \"Remote-User\"");
        return None;
    }
    Some(name.to_ascii_lowercase().into())
}

fn addresses(value: &Value<'_>, scope: &mut Scope<'_>) -> Box<[IpAddr]> {
    each(value, scope, "an array of addresses such as [\"127.0.0.1\"]", |text| {
        text.parse().map_err(|_| "this is not an address such as \"127.0.0.1\"")
    })
}

/// Names of hosts, without ports.
fn hosts(value: &Value<'_>, scope: &mut Scope<'_>) -> Box<[Box<str>]> {
    each(value, scope, "an array of names such as [\"cron.example.org\"]", |text| {
        let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        match !text.is_empty() && text.len() <= 253 && text.bytes().all(is_in_name) {
            true => Ok(text.to_ascii_lowercase().into()),
            false => Err("write the bare name, such as \"cron.example.org\""),
        }
    })
}

/// What each string of an array is.
fn each<T>(
    value: &Value<'_>,
    scope: &mut Scope<'_>,
    wanted: &str,
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Box<[T]> {
    let texts = options::texts(value, scope, wanted, "a string").unwrap_or_default();
    let Node::Array(values) = &value.node else { return Box::new([]) };
    let mut found = Vec::new();
    for (text, value) in texts.iter().zip(values) {
        match read(text) {
            Ok(one) => found.push(one),
            Err(why) => scope.error(value.span, why),
        }
    }
    found.into()
}

#[cfg(test)]
mod tests {
    use super::super::{Loaded, load_text, write};
    use super::*;
    use crate::core::instant::Instant;
    use crate::core::route::Secret;
    use crate::core::zone::Database;

    fn load(text: &str) -> Loaded {
        load_text("jobs.toml", text, &Database::bundled(), Instant::from_secs(0))
    }

    #[test]
    fn what_was_read_is_written_and_read_again() {
        let text = "[web]\nlisten = 'unix:/run/web.sock'\ntoken = { credential = 'web' }\n\
            user_header = 'Remote-User'\ntrust = ['10.0.0.5', '::1']\nhosts = ['Cron.example.org']\n\
            actions = true\nmetrics = 'open'\n";
        let set = load(text).set.unwrap();
        let web = &set.settings.web;
        assert_eq!(web.listen, Some(Listen::Unix("/run/web.sock".into())));
        assert_eq!(web.token, Some(Secret::Credential("web".into())));
        assert_eq!(web.user_header.as_deref(), Some("remote-user"));
        assert_eq!((web.trust.len(), &*web.hosts), (2, &["cron.example.org".into()][..]));
        assert!(web.actions && web.metrics_open);
        let (written, lost) = write::set(&set);
        assert_eq!(load(&written).set.unwrap().settings.web, *web, "{written} {lost:?}");
        assert_eq!(*load("").set.unwrap().settings.web, WebSettings::default());
    }

    #[test]
    fn mistakes() {
        for (line, said) in [
            ("listen = 'localhost:80'", "this is neither an address with a port nor"),
            ("listen = 'unix:web.sock'", "this needs a whole path"),
            ("lisen = '127.0.0.1:80'", "unknown key `lisen`"),
            ("hosts = ['http://x']", "write the bare name"),
            ("hosts = 'x'", "expected an array of names"),
            ("trust = ['x']", "this is not an address"),
            ("user_header = 'a b'", "not the name of a header"),
            ("user_header = 'Remote-User'", "nobody is trusted to send this header"),
            ("token = { path = 'x' }", "unknown key `path`"),
            ("actions = 'yes'", "expected true or false"),
            ("metrics = 'closed'", "open"),
        ] {
            let loaded = load(&format!("[web]\n{line}\n"));
            let problems = format!("{:?}", loaded.problems);
            assert!(loaded.set.is_none() && problems.contains(said), "{line}: {problems}");
        }
    }
}
