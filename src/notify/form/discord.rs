//! Discord's webhooks.

use serde_json::json;

use super::super::context::Context;
use super::super::text::{Style, compose, utf16, without_mentions};
use super::super::wire::Request;
use crate::core::notify::Message;

const STYLE: Style = Style {
    most: 2000,
    size: utf16,
    escape,
    escape_code: |text| without_mentions(&text.replace('`', "'")),
    code: ("```\n", "\n```"),
};

/// Do not look at links.
const SUPPRESS_EMBEDS: u32 = 1 << 2;

/// The request. It calls nobody, whatever its text says.
pub(super) fn form(message: &Message, context: &Context<'_>) -> Result<Request, String> {
    let text = compose(message, context, &STYLE, true);
    let body = json!({
        "content": text,
        "allowed_mentions": { "parse": [] },
        "flags": SUPPRESS_EMBEDS,
    });
    super::post(&super::url(context)?, &[], &body)
}

/// What would be bold, a link, a heading. A command in backquotes stays one.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\*_~|<>[]#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    without_mentions(&out.replace("```", "'''"))
}
