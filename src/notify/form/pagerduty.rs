//! PagerDuty's Events API, version 2.
//!
//! An incident for each job: what goes wrong triggers it, or is added to it, and a recovery resolves
//! it. So its key names the job and the host where it began, and not the run: in a fleet a job that fails
//! on one host may recover on another.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::context::Context;
use super::super::line::within;
use super::super::text::{and_more, cut, headline};
use super::super::wire::Request;
use super::data::Data;
use crate::core::notify::url::Url;
use crate::core::notify::{Kind, Notification};

/// PagerDuty's own server.
const SERVER: &str = "https://events.pagerduty.com/v2/enqueue";

/// PagerDuty takes so many characters of a summary and so many bytes of a key.
const SUMMARY: usize = 1024;
const KEY: usize = 255;

/// The request.
pub(super) fn form(
    notification: &Notification,
    more: u64,
    context: &Context<'_>,
) -> Result<Request, String> {
    let url = match &context.secrets.url {
        Some(_) => super::url(context)?,
        None => Url::http(SERVER)?,
    };
    let mut summary = format!("{}, on {}", headline(notification, context), context.host);
    if more > 0 {
        summary = format!("{}; {}", cut(&summary, SUMMARY - 80), and_more(more));
    }
    let (action, severity) = match notification.kind {
        Kind::Recovered | Kind::Steady | Kind::Succeeded => ("resolve", "info"),
        Kind::Skipped | Kind::Digest | Kind::Test => ("trigger", "info"),
        Kind::Retrying | Kind::Slow | Kind::Quiet | Kind::Fast => ("trigger", "warning"),
        Kind::Failed | Kind::StillFailing | Kind::Missed | Kind::Overdue | Kind::Flapping => {
            ("trigger", "error")
        }
    };
    let body = json!({
        "routing_key": super::key(context, "key")?,
        "event_action": action,
        "dedup_key": dedup_key(notification.begun_on.as_deref().unwrap_or(context.host), notification),
        "payload": {
            "summary": cut(&summary, SUMMARY),
            "source": context.host,
            "severity": severity,
            "timestamp": notification.at.to_string(),
            "component": notification.job,
            "class": notification.kind.word(),
            "custom_details": Data::of(notification, more, context),
        },
        "client": "schedrs",
    });
    super::post(&url, &[], &body)
}

/// The same for all that is said of a job, but for runs that are out of the ordinary.
fn dedup_key(host: &str, notification: &Notification) -> String {
    let is_of_job = notification.kind.is_of_job();
    let job = if is_of_job { &*notification.job } else { notification.kind.word() };
    // Nobody says when that is over, and it says nothing of whether the job fails.
    let unusual = match notification.kind {
        Kind::Slow => "/slow",
        Kind::Quiet => "/quiet",
        Kind::Fast => "/fast",
        _ => "",
    };
    let key = format!("schedrs/{host}/{job}{unusual}");
    if key.len() <= KEY {
        return key;
    }
    let sum: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}/{sum}", within(&key, KEY - sum.len() - 1))
}
