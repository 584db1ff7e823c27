//! A command: the message as JSON on its standard input, and what a short script needs of it in its
//! environment, under the names that a hook finds the same things under.
//!
//! The scheduler runs it as it runs hooks (`crate::run::hook`), which marks its processes as those of
//! a hook: by `SCHEDRS_RUN` alone they would be taken for what a run has left behind.

use serde_json::{Value, json};

use super::super::context::Context;
use super::super::line::Line;
use super::super::text::{first_line, in_order};
use super::super::wire::Command;
use super::data::{Data, event};
use crate::core::job;
use crate::core::notify::{Kind, Message, Notification};
use crate::core::words;

/// What to execute, and what it is given.
pub(super) fn form(message: &Message, command: &job::Command, context: &Context<'_>) -> Command {
    let argv = match command {
        job::Command::Shell(text) => vec!["/bin/sh".into(), "-c".into(), text.clone()],
        job::Command::Argv(words) => words.to_vec(),
    };
    Command { argv, env: variables(message, context), stdin: input(message, context) }
}

/// The message as one line of JSON.
fn input(message: &Message, context: &Context<'_>) -> String {
    let notifications = message.notifications.iter().map(|notification| {
        let data = serde_json::to_value(Data::of(notification, 0, context)).unwrap_or_default();
        json!({ "id": notification.id, "type": event(notification.kind), "data": data })
    });
    let body = json!({
        "id": message.id,
        "route": message.route,
        "host": context.host,
        "text": first_line(message, context),
        "more": message.more,
        "notifications": notifications.collect::<Vec<Value>>(),
    });
    crate::problem::json(&body).unwrap_or_default() + "\n"
}

/// What is known of the message, and of the first notification that people are to see.
fn variables(message: &Message, context: &Context<'_>) -> Vec<(Box<str>, Line)> {
    let count = (message.notifications.len() as u64).saturating_add(message.more);
    let mut all = vec![
        ("MESSAGE", message.id.to_string()),
        ("ROUTE", message.route.to_string()),
        ("HOST", context.host.to_owned()),
        ("TEXT", first_line(message, context)),
        ("NOTIFICATIONS", count.to_string()),
    ];
    if let Some(first) = in_order(message).first() {
        all.extend(of_one(first, context));
    }
    let named =
        |(name, value): (&str, String)| (format!("SCHEDRS_{name}").into(), Line::new(&value));
    all.into_iter().map(named).collect()
}

fn of_one(first: &Notification, context: &Context<'_>) -> Vec<(&'static str, String)> {
    let zone = (context.zone)(&first.job);
    let time = |at| words::rfc3339(at, &zone);
    let mut all = vec![("KIND", first.kind.word().to_owned())];
    if !first.kind.is_of_job() {
        return all;
    }
    all.push(("JOB", first.job.to_string()));
    all.push(("DUE", time(first.due)));
    all.extend(first.name.as_ref().map(|name| ("NAME", name.to_string())));
    if first.count > 1 {
        let (from, to) = (time(first.due), time(first.last_due));
        all.extend([("COUNT", first.count.to_string()), ("FROM", from), ("TO", to)]);
    }
    all.extend(first.run.map(|run| ("RUN", run.to_string())));
    all.extend(first.run.map(|_| ("ATTEMPTS", first.attempts.to_string())));
    all.extend(first.started.map(|at| ("STARTED", time(at))));
    if let Some((started, took)) = first.started.zip(first.duration) {
        // What is slow goes on.
        if first.kind != Kind::Slow {
            all.push(("ENDED", time(started.plus(took))));
        }
        all.push(("DURATION", format!("{:.3}", took.as_secs_f64())));
    }
    if first.streak > 0 {
        all.push(("STREAK", first.streak.to_string()));
    }
    all.extend(first.since.map(|at| ("SINCE", time(at))));
    if let Some(outcome) = &first.outcome {
        all.push(("OUTCOME", outcome.word().to_owned()));
        all.extend(outcome.exit().map(|code| ("EXIT", code.to_string())));
        all.extend(outcome.signal().map(|signal| ("SIGNAL", signal.to_string())));
        all.extend(outcome.reason().map(|reason| ("REASON", reason.to_owned())));
    }
    all
}
