//! ntfy: a topic on ntfy.sh or on a server of one's own.
//!
//! The form with JSON, which takes any text: with the other one the title stands in a header.

use serde_json::json;

use super::super::context::Context;
use super::super::text::{Style, compose, cut, first_line};
use super::super::wire::Request;
use crate::core::notify::Message;

const STYLE: Style = Style {
    // Beyond 4096 bytes it becomes an attachment, and the whole body may have twice as many.
    most: 3000,
    size: str::len,
    escape: str::to_owned,
    escape_code: str::to_owned,
    code: ("", ""),
};

/// The longest title, in characters.
const TITLE: usize = 200;

/// The request.
pub(super) fn form(message: &Message, context: &Context<'_>) -> Result<Request, String> {
    let url = super::url(context)?;
    let (server, topic) = url.split_last().ok_or("url: it names no topic")?;
    let title = format!("{}, on {}", first_line(message, context), context.host);
    let text = compose(message, context, &STYLE, false);
    let is_bad = message.notifications.iter().any(|notification| notification.kind.is_bad());
    let body = json!({
        "topic": topic,
        "title": cut(&title, TITLE),
        // Without one ntfy says "triggered".
        "message": if text.is_empty() { cut(&title, TITLE) } else { text },
        "priority": if is_bad { 4 } else { 3 },
        "tags": [if is_bad { "x" } else { "white_check_mark" }],
    });
    if context.secrets.key.is_none() {
        return super::post(&server, &[], &body);
    }
    let token = format!("Bearer {}", super::key(context, "token")?);
    super::post(&server, &[("Authorization", &token)], &body)
}
