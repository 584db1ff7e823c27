//! Standard Webhooks 1.0 (<https://www.standardwebhooks.com>): an event in each request, named, dated
//! and signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::super::context::Context;
use super::super::wire::Request;
use super::data::{Data, event};
use crate::core::notify::{Message, Notification};

/// What a key begins with.
const PREFIX: &str = "whsec_";

/// The request.
pub(super) fn form(
    notification: &Notification,
    more: u64,
    message: &Message,
    context: &Context<'_>,
) -> Result<Request, String> {
    let mut data = serde_json::to_value(Data::of(notification, more, context))
        .map_err(|error| error.to_string())?;
    data["route"] = json!(message.route);
    let body = json!({
        "type": event(notification.kind),
        "timestamp": notification.at.to_string(),
        "data": data,
    });
    let body = crate::problem::json(&body).map_err(|error| error.to_string())?;
    let id = format!("msg_{}", notification.id);
    // That of this try: a receiver takes no request that is old.
    let time = context.now.secs().to_string();
    let url = super::url(context)?;
    let mut headers = vec![("webhook-id", &*id), ("webhook-timestamp", &*time)];
    let Some(secret) = &context.secrets.key else {
        return Ok(super::request(&url, &headers, body));
    };
    let signed = format!("{id}.{time}.{body}");
    // While a key is replaced there are two.
    let signatures = secret.secret_text().split_whitespace().map(|key| signature(key, &signed));
    let signatures = signatures.collect::<Result<Vec<_>, &str>>()?.join(" ");
    headers.push(("webhook-signature", &signatures));
    Ok(super::request(&url, &headers, body))
}

/// The signature of a text with a key.
fn signature(key: &str, text: &str) -> Result<String, &'static str> {
    const FORM: &str = "secret: it is not `whsec_` and base64 of 24 to 64 bytes";
    let key = key.strip_prefix(PREFIX).ok_or(FORM)?;
    let key = STANDARD.decode(key).ok().filter(|key| (24..=64).contains(&key.len()));
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.ok_or(FORM)?).map_err(|_| FORM)?;
    mac.update(text.as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_known_signature() {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let text = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(key, text).as_deref(), Ok(expected));
        for key in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_c2hvcnQ=", "whsec_*"] {
            assert!(signature(key, text).is_err(), "{key}");
        }
    }
}
