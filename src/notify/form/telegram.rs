//! A bot of Telegram.

use serde_json::json;

use super::super::context::Context;
use super::super::text::{Style, compose, utf16, without_mentions};
use super::super::wire::Request;
use crate::core::notify::Message;
use crate::core::notify::url::Url;

const STYLE: Style = Style {
    most: 4096,
    size: utf16,
    escape: without_mentions,
    escape_code: without_mentions,
    code: ("\n", ""),
};

/// Telegram's own server.
const SERVER: &str = "https://api.telegram.org";

/// The request. Without `parse_mode`, a text is only a text.
pub(super) fn form(
    message: &Message,
    chat: &str,
    context: &Context<'_>,
) -> Result<Request, String> {
    let server = match &context.secrets.url {
        Some(_) => super::url(context)?,
        None => Url::http(SERVER)?,
    };
    let token = super::key(context, "token")?;
    // It becomes a part of the path.
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
    if !token.bytes().all(good) {
        return Err("token: it is none of a bot, such as 123456:ABC-DEF".to_owned());
    }
    let url = server.join(&format!("/bot{token}/sendMessage"));
    let body = json!({
        "chat_id": chat,
        "text": compose(message, context, &STYLE, true),
        "link_preview_options": { "is_disabled": true },
    });
    super::post(&url, &[], &body)
}
