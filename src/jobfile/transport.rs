//! How the requests of a route (`super::notify`) and of a ping (`super::ping`) get to where they lead:
//! `ca_file`, `http_ok` and `proxy`.

use super::secret::path;
use super::tree::Value;
use super::value::Scope;
use crate::core::notify::url::{Scheme, Url};
use crate::core::notify::{Secret, Transport};
use crate::problem::{Problem, Span};

/// Reads one of [`Transport::KEYS`]. Answers whether it is good.
pub(super) fn read(
    key: &str,
    value: &Value<'_>,
    to: &mut Transport,
    scope: &mut Scope<'_>,
) -> bool {
    match key {
        "ca_file" => {
            to.ca_file = path(value, scope, "the path of a file");
            to.ca_file.is_some()
        }
        "http_ok" => {
            let http_ok = scope.boolean(value);
            to.http_ok = http_ok == Some(true);
            http_ok.is_some()
        }
        _ => {
            to.proxy = proxy(value, scope);
            to.proxy.is_some()
        }
    }
}

/// The URL of a proxy, or nothing for none. A password has no place in it, for it is shown.
fn proxy(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    let wanted = "the URL of a proxy such as \"http://proxy:3128\", or \"\" for none";
    let text = scope.string(value, wanted)?;
    let is_plain = |url: &Url| {
        let rest = url.secret_text().strip_prefix(&*url.origin()).map(|rest| rest == "/");
        url.user().is_none() && rest == Some(true)
    };
    if !text.is_empty() && !Url::http(text).is_ok_and(|url| is_plain(&url)) {
        scope.error(value.span, format!("it must be {wanted}"));
        return None;
    }
    Some(text.into())
}

/// Warns of what is refused each time it is to be sent.
pub(super) fn warn_of_clear(
    url: &Secret,
    span: Span,
    transport: &Transport,
    scope: &mut Scope<'_>,
) {
    let Secret::Text(text) = url else { return };
    let leaves = |url: Url| url.scheme() == Scheme::Http && url.is_private() == Some(false);
    if !transport.http_ok && Url::http(text).is_ok_and(leaves) {
        let message =
            "nothing is sent there: http:// is only for this machine and private networks";
        let problem = Problem::warning(scope.place(span), message);
        scope.push(problem.help("use https://, or add `http_ok = true`"));
    }
}
