//! Gotify.

use serde_json::json;

use super::super::context::Context;
use super::super::text::{Style, compose, cut, first_line};
use super::super::wire::Request;
use crate::core::notify::Message;

const STYLE: Style = Style {
    most: 8000,
    size: str::len,
    escape: str::to_owned,
    escape_code: str::to_owned,
    code: ("\n", ""),
};

/// The longest title, in characters.
const TITLE: usize = 200;

/// The request. The token is in a header: what is in the URL ends up in logs.
pub(super) fn form(message: &Message, context: &Context<'_>) -> Result<Request, String> {
    let title = format!("{}, on {}", first_line(message, context), context.host);
    let text = compose(message, context, &STYLE, false);
    let is_bad = message.notifications.iter().any(|notification| notification.kind.is_bad());
    let body = json!({
        "title": cut(&title, TITLE),
        "message": if text.is_empty() { cut(&title, TITLE) } else { text },
        // From 8 on a phone makes itself heard at once.
        "priority": if is_bad { 8 } else { 5 },
    });
    let url = super::url(context)?.join("/message");
    super::post(&url, &[("X-Gotify-Key", super::key(context, "token")?)], &body)
}
