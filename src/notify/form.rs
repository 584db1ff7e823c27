//! A message in the form that its receiver expects: pure, with one file for each service.
//!
//! [`work`] is what the scheduler calls. Chats and mail get one message for however many
//! notifications there are. `webhook` and `pagerduty` get one request for each: programs read them,
//! and both have one event in each request. Their routes do not gather by default, so that a message
//! has one notification anyway; where it has several, the pieces of work are named after the
//! notifications, and the outbox hears of each (`Service::is_one_by_one`).
//!
//! What is the same at each try, so that a receiver can tell a second copy: the `webhook-id`,
//! PagerDuty's `dedup_key`, and the `Message-ID` of a mail.

mod command;
mod data;
mod discord;
mod gotify;
mod mail;
mod mime;
mod ntfy;
mod pagerduty;
mod slack;
mod telegram;
mod webhook;

use std::borrow::Cow;

use serde::Serialize;

use super::context::Context;
use super::line::Line;
use super::secret::Resolved;
use super::text;
use super::wire::{Method, Request, Task, Work};
use crate::core::notify::url::Url;
use crate::core::notify::{Message, Notification, Route, Service};
use crate::core::sort;

/// What the requests of this program say that they are from.
pub(super) const AGENT: &str = concat!("schedrs/", env!("CARGO_PKG_VERSION"));

/// What is to be done so that a message is delivered on a route. The error says what is wrong with
/// the route: it will be the same at each try.
pub fn work(route: &Route, message: &Message, context: &Context<'_>) -> Result<Vec<Work>, String> {
    let service = route.to.word();
    let secrets = masks(&route.to, context);
    let context = &Context { host: origin(message).unwrap_or(context.host), ..*context };
    let message = &*shortened(route, message);
    let tasks = form(&route.to, message, context)?;
    let work = tasks.into_iter().map(|(id, task)| Work {
        id,
        service: service.into(),
        task,
        secrets: secrets.clone(),
        transport: route.transport.clone(),
    });
    Ok(work.collect())
}

/// The host where all of it happened, if that is another one than tells it.
fn origin(message: &Message) -> Option<&str> {
    let mut hosts = message.notifications.iter().map(|it| it.host.as_deref());
    let first = hosts.next()??;
    hosts.all(|host| host == Some(first)).then_some(first)
}

/// What a chat shows of what a run has printed, unless its route asks for more.
const CHAT_LINES: usize = 5;
const CHAT_BYTES: usize = 600;

/// The message with no more output than suits a chat.
fn shortened<'a>(route: &Route, message: &'a Message) -> Cow<'a, Message> {
    let is_chat = match route.to {
        Service::Slack { .. }
        | Service::Discord { .. }
        | Service::Ntfy { .. }
        | Service::Gotify { .. }
        | Service::Telegram { .. } => true,
        Service::Webhook { .. }
        | Service::PagerDuty { .. }
        | Service::Mail { .. }
        | Service::Command(_) => false,
    };
    if !is_chat || route.output > CHAT_BYTES {
        return Cow::Borrowed(message);
    }
    let mut message = message.clone();
    for notification in &mut message.notifications {
        let short = |output: &str| text::tail(output, CHAT_LINES, route.output).into();
        notification.output = notification.output.as_deref().map(short);
    }
    Cow::Owned(message)
}

/// The same for a service: each task with what names it.
fn form(
    service: &Service,
    message: &Message,
    context: &Context<'_>,
) -> Result<Vec<(Box<str>, Task)>, String> {
    let one = |task: Task| vec![(message.id.clone(), task)];
    let http = |request: Request| one(Task::Http(request));
    type Form<'f> = dyn Fn(&Notification, u64, &Context<'_>) -> Result<Request, String> + 'f;
    let each = |form: &Form<'_>| {
        let last = message.notifications.len().saturating_sub(1);
        let requests = message.notifications.iter().enumerate().map(|(at, notification)| {
            // What there was no room for is said with the last one.
            let more = if at == last { message.more } else { 0 };
            let host = notification.host.as_deref().unwrap_or(context.host);
            let context = Context { host, ..*context };
            Ok((notification.id.clone(), Task::Http(form(notification, more, &context)?)))
        });
        requests.collect::<Result<Vec<_>, String>>()
    };
    Ok(match service {
        Service::Webhook { .. } => {
            return each(&|notification, more, context| {
                webhook::form(notification, more, message, context)
            });
        }
        Service::PagerDuty { .. } => {
            return each(&pagerduty::form);
        }
        Service::Slack { .. } => http(slack::form(message, context)?),
        Service::Discord { .. } => http(discord::form(message, context)?),
        Service::Ntfy { .. } => http(ntfy::form(message, context)?),
        Service::Gotify { .. } => http(gotify::form(message, context)?),
        Service::Telegram { chat, .. } => http(telegram::form(message, chat, context)?),
        Service::Mail { to, from, smtp } => {
            one(mail::form(message, to, from.as_deref(), smtp.as_ref(), context)?)
        }
        Service::Command(command) => one(Task::Command(command::form(message, command, context))),
    })
}

/// What is shorter is no secret, and stands in every other word.
const SHORTEST_MASK: usize = 4;

/// The texts that are not to be seen in what a receiver answers.
fn masks(service: &Service, context: &Context<'_>) -> Vec<Box<str>> {
    let secrets = context.secrets;
    let url = secrets.url.iter().filter_map(|url| Url::http(url.secret_text()).ok());
    let parts = url.flat_map(|url| url.secrets());
    let whole = secrets.url.iter().chain(&secrets.key).map(Resolved::secret_text);
    let mut masks: Vec<Box<str>> = whole.map(Into::into).chain(parts.map(Into::into)).collect();
    masks.retain(|mask| mask.len() >= SHORTEST_MASK);
    // A topic that nobody has to know is a name, and what ntfy answers.
    if matches!(service, Service::Ntfy { .. }) && secrets.key.is_some() {
        masks.retain(|mask| secrets.key.iter().any(|key| key.secret_text() == &**mask));
    }
    // What contains another comes first, or it would not be found any more.
    sort::by_key(&mut masks, |mask| std::cmp::Reverse(mask.len()));
    masks.dedup();
    masks
}

/// The URL of the route.
fn url(context: &Context<'_>) -> Result<Url, String> {
    let text = context.secrets.url.as_ref().ok_or("url: there is none")?;
    Url::http(text.secret_text()).map_err(|why| format!("url: it {why}"))
}

/// The token or key of the route. It goes into a header, so that there is nothing in it that no
/// header has.
fn key<'a>(context: &Context<'a>, name: &str) -> Result<&'a str, String> {
    let key = context.secrets.key.as_ref().ok_or_else(|| format!("{name}: there is none"))?;
    let text = key.secret_text();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{name}: it has blanks, or characters beyond ASCII"));
    }
    Ok(text)
}

/// A request with JSON.
fn post(url: &Url, headers: &[(&str, &str)], body: &impl Serialize) -> Result<Request, String> {
    let body = crate::problem::json(body).map_err(|error| error.to_string())?;
    Ok(request(url, headers, body))
}

/// A request with a body that is JSON already.
fn request(url: &Url, headers: &[(&str, &str)], body: String) -> Request {
    let has_token = headers.iter().any(|(name, _)| *name == "Authorization");
    let basic = basic(url).filter(|_| !has_token);
    let line = |(name, value): &(&str, &str)| ((*name).into(), Line::new(value));
    let all = [("Content-Type", "application/json"), ("User-Agent", AGENT)];
    let headers = all.iter().map(line).chain(basic).chain(headers.iter().map(line));
    Request {
        method: Method::Post,
        url: url.secret_text().into(),
        headers: headers.collect(),
        body,
    }
}

/// The header by which the user that a URL names is let in.
pub(super) fn basic(url: &Url) -> Option<(Box<str>, Line)> {
    let user = url.user()?;
    let value = format!("Basic {}", mime::base64(user.as_bytes()));
    Some(("Authorization".into(), Line::new(&value)))
}

#[cfg(test)]
mod tests;
