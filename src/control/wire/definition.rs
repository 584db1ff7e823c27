//! The keys that define a job, in a request: as one TOML text, or each by its name in the jobfile.
//!
//! `in`, `at` and `every` are short for a `date` that counts from now, `date` and `interval`.
//! What the values mean is not known here: the jobfile's own reader says what is wrong with them.

use crate::core::event::Fault;
use crate::core::instant::Instant;
use crate::core::words;
use crate::core::zone::Zone;
use crate::jobfile::keys::Key;

use super::fragment;
use super::keys::Keys;

/// What is to be defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A job.
    Whole,
    /// Options that stand over those that it has.
    Options,
    /// Its trigger.
    Trigger,
}

impl Kind {
    fn verb(self) -> &'static str {
        match self {
            Kind::Whole => "add",
            Kind::Options => "modify",
            Kind::Trigger => "reschedule",
        }
    }
}

/// The keys of a job as TOML.
pub(super) fn text(keys: &mut Keys, kind: Kind, now: Instant) -> Result<String, Fault> {
    let toml = keys.text("toml")?;
    let mut text = String::new();
    let mut triggers: Vec<&str> = Vec::new();
    if kind == Kind::Options {
        for short in ["in", "at", "every"] {
            if keys.take(short).is_some() {
                let fault = Fault::bad(format!("`{short}` sets when the job is due"));
                return Err(fault.help("use `reschedule`, which changes the trigger"));
            }
        }
    } else {
        if let Some(span) = keys.span("in")? {
            triggers.push("in");
            let at = words::rfc3339(now.plus(span), &Zone::utc());
            fragment::line(&mut text, "date", &at.into())?;
        }
        for (short, key) in [("at", Key::Date), ("every", Key::Interval)] {
            if let Some(value) = keys.take(short) {
                triggers.push(short);
                fragment::line(&mut text, key.name(), &value)?;
            }
        }
    }
    let options = keys.options();
    if let (Some(_), Some((key, _))) = (&toml, options.first()) {
        let fault = Fault::bad(format!("`toml` and `{}` cannot be combined", key.name()));
        return Err(fault.help("put all options into `toml`, or none"));
    }
    for (key, value) in &options {
        if key.is_trigger() {
            triggers.push(key.name());
        }
        fragment::line(&mut text, key.name(), value)?;
    }
    // Behind the others: it may end in a table, which would swallow what follows.
    text.push_str(toml.as_deref().unwrap_or_default());
    if let [first, second, ..] = triggers[..] {
        return Err(Fault::bad(format!(
            "`{first}` and `{second}` both set when the job is due: leave one out"
        )));
    }
    // A key that was mistyped is not missing.
    let missing = |fault: Fault| keys.finish(kind.verb()).and(Err(fault));
    if text.trim().is_empty() && kind == Kind::Options {
        let fault = Fault::bad("nothing to modify");
        return missing(fault.help("name an option of the job, such as \"timeout\": \"5m\""));
    }
    // What stands in a text the jobfile's reader knows.
    if triggers.is_empty() && toml.is_none() && kind != Kind::Options {
        let fault = Fault::bad("missing: when the job is due");
        return missing(
            fault.help("add one of `in`, `at`, `every`, `cron`, `after`, `any` and `all`"),
        );
    }
    Ok(text)
}
