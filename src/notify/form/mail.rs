//! Mail: one text, whether `sendmail` or a server gets it.
//!
//! A second copy has the same `Message-ID`, so that no reader shows both. What is said of a failure
//! later, its recovery above all, is a reply to the mail that told it: both are named after the job
//! and the moment since when it has failed, so that nothing has to be remembered.

use std::fmt::Write as _;

use chrono::DateTime;
use sha2::{Digest, Sha256};

use super::super::context::Context;
use super::super::line::Line;
use super::super::text::{self, and_more, cut};
use super::super::wire::{Mail, Smtp, Task};
use super::mime;
use crate::core::notify::address;
use crate::core::notify::url::Url;
use crate::core::notify::{Kind, Message, Notification, Smtp as Server};

/// The longest subject, in characters.
const SUBJECT: usize = 200;

/// What a mail of several runs holds of the output of all.
const MOST_OUTPUTS: usize = 64 * 1024;

/// What is to be done: by `sendmail` if there is no server.
pub(super) fn form(
    message: &Message,
    to: &[Box<str>],
    from: Option<&str>,
    server: Option<&Server>,
    context: &Context<'_>,
) -> Result<Task, String> {
    let host = domain(context.host);
    let from = from.map_or_else(|| format!("schedrs@{host}"), str::to_owned);
    if to.is_empty() {
        return Err("mail: it is for nobody".to_owned());
    }
    for address in to.iter().map(|to| &**to).chain([&*from]) {
        if let Some(flaw) = address::flaw(address) {
            return Err(format!("mail: `{}` {flaw}", crate::problem::clean(address)));
        }
    }
    let text = written(message, to, &from, &host, context);
    let mail = Mail { from: from.into(), to: to.to_vec(), text };
    let Some(server) = server else { return Ok(Task::Sendmail(mail)) };
    if let Some(user) = to.iter().find(|to| !to.contains('@')) {
        return Err(format!("mail: `{user}` is a user of this machine, whom no server knows"));
    }
    let url = Url::smtp(&server.url).map_err(|why| format!("smtp: it {why}"))?;
    let password = context.secrets.key.as_ref().map(|key| key.secret_text().into());
    match (url.user(), &password) {
        (Some(_), None) => return Err("smtp: it names a user, but there is no password".to_owned()),
        (None, Some(_)) => return Err("smtp: there is a password, but it names no user".to_owned()),
        _ => {}
    }
    Ok(Task::Smtp(Smtp { url: server.url.clone(), password, hello: Line::new(&host), mail }))
}

/// The name of this host as a domain.
fn domain(host: &str) -> String {
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let host: String = host.chars().filter(good).take(100).collect();
    let host = host.trim_matches(['.', '-']);
    if host.is_empty() { "localhost".to_owned() } else { host.to_owned() }
}

/// The whole mail.
fn written(
    message: &Message,
    to: &[Box<str>],
    from: &str,
    host: &str,
    context: &Context<'_>,
) -> String {
    let only = match (&*message.notifications, message.more) {
        ([only], 0) => Some(only),
        _ => None,
    };
    let first = text::first_line(message, context);
    let subject = format!("[schedrs {}] {first}", context.host);
    let date = DateTime::from_timestamp_micros(message.at.micros()).unwrap_or_default();
    let (encoding, body) = mime::body(&body(message, only, context));
    let id = match only {
        Some(only) if only.kind == Kind::Failed => told(message, only, host),
        _ => None,
    };
    let id = id.unwrap_or_else(|| format!("<{}@{host}>", message.id));
    let mut headers = mime::addresses("From", &[format!("schedrs <{from}>").into()]);
    headers += &mime::addresses("To", to);
    let mut add = |name: &str, value: &str| headers += &mime::header(name, &Line::new(value));
    add("Subject", &cut(&subject, SUBJECT));
    add("Date", &date.to_rfc2822());
    add("Message-ID", &id);
    if let Some(about) = only.filter(|only| is_reply(only.kind))
        && let Some(about) = told(message, about, host)
    {
        add("In-Reply-To", &about);
        add("References", &about);
    }
    // Nobody's holiday notice is an answer to this (RFC 3834).
    add("Auto-Submitted", "auto-generated");
    add("Precedence", "bulk");
    if let Some(only) = only {
        add("X-Schedrs-Kind", only.kind.word());
        if only.kind.is_of_job() {
            add("X-Schedrs-Job", &only.job);
        }
        if let Some(outcome) = &only.outcome {
            add("X-Schedrs-Outcome", outcome.word());
        }
    }
    add("MIME-Version", "1.0");
    add("Content-Type", "text/plain; charset=utf-8");
    add("Content-Transfer-Encoding", encoding);
    format!("{headers}\n{body}")
}

/// Whether it is said of a failure that was told.
fn is_reply(kind: Kind) -> bool {
    matches!(kind, Kind::StillFailing | Kind::Flapping | Kind::Steady | Kind::Recovered)
}

/// The `Message-ID` of the mail that tells of a failure; `None`: it is not known since when the job
/// has failed.
fn told(message: &Message, notification: &Notification, host: &str) -> Option<String> {
    let since = notification.since?.micros();
    let name = format!("{}\0{}\0{since}", message.route, notification.job);
    let sum = Sha256::digest(name);
    let sum: String = sum.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Some(format!("<failed-{sum}@{host}>"))
}

/// What a person reads.
fn body(message: &Message, only: Option<&Notification>, context: &Context<'_>) -> String {
    let first = text::first_line(message, context);
    let mut body = format!("{first}, on {}\n\n", crate::problem::clean(context.host));
    let Some(only) = only else {
        let (lines, more) = text::lines(message, context);
        for line in lines {
            let _ = writeln!(body, "{line}");
        }
        if more > 0 {
            let _ = writeln!(body, "{}", and_more(more));
        }
        let end = body.len() + MOST_OUTPUTS;
        for notification in text::in_order(message) {
            let output = output(notification);
            if !output.is_empty() && body.len() + output.len() < end {
                let _ = write!(body, "\n{} printed:\n\n{output}", text::label(notification));
            }
        }
        return body;
    };
    for line in text::details(only, context) {
        let _ = writeln!(body, "{line}");
    }
    let output = output(only);
    if !output.is_empty() {
        let _ = write!(body, "\nWhat it printed last:\n\n{output}");
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if only.kind.is_bad() && !only.job.starts_with('-') && only.job.chars().all(is_word) {
        let _ = writeln!(body, "\nMore: schedrs why {}", only.job);
    }
    body
}

/// The end of what was printed, set off from what we say.
fn output(notification: &Notification) -> String {
    let output = notification.output.as_deref().unwrap_or_default();
    let tail = text::tail(output, usize::MAX, text::MOST_OUTPUT);
    tail.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}
