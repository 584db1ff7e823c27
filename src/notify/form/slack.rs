//! Slack's incoming webhooks, and what takes the same: Mattermost, Rocket.Chat.

use serde_json::json;

use super::super::context::Context;
use super::super::text::{Style, compose, utf16, without_mentions};
use super::super::wire::Request;
use crate::core::notify::Message;

const STYLE: Style = Style {
    // Slack cuts beyond 4000 characters.
    most: 3900,
    size: utf16,
    escape,
    // What would end the code.
    escape_code: |text| escape(&text.replace('`', "'")),
    code: ("```\n", "\n```"),
};

/// The request. Links in it are not looked at.
pub(super) fn form(message: &Message, context: &Context<'_>) -> Result<Request, String> {
    let text = compose(message, context, &STYLE, true);
    let body = json!({ "text": text, "unfurl_links": false, "unfurl_media": false });
    super::post(&super::url(context)?, &[], &body)
}

/// Slack's own three characters, with which `<!channel>` and links begin; and `@`, which Mattermost
/// and Rocket.Chat look for.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    without_mentions(&text.replace("```", "'''"))
}
