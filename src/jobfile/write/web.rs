//! `[web]`, as it is written.

use serde_json::{Map, Value};

use super::{Secrets, notify, strings};
use crate::core::web::WebSettings;

/// The section with what differs from what holds without it.
pub(super) fn settings(web: &WebSettings) -> Map<String, Value> {
    let mut table = Map::new();
    let mut add = |name: &str, value: Value| drop(table.insert(name.to_owned(), value));
    if let Some(listen) = &web.listen {
        add("listen", listen.to_string().into());
    }
    if let Some(token) = &web.token {
        add("token", notify::hidden(token, Secrets::Written));
    }
    if let Some(header) = &web.user_header {
        add("user_header", (**header).into());
    }
    if !web.trust.is_empty() {
        let trust: Vec<Value> = web.trust.iter().map(|ip| ip.to_string().into()).collect();
        add("trust", trust.into());
    }
    if !web.hosts.is_empty() {
        add("hosts", strings(&web.hosts));
    }
    if web.actions {
        add("actions", true.into());
    }
    if web.metrics_open {
        add("metrics", "open".into());
    }
    table
}
