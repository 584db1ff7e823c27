//! The keys of a request: each is taken once, by its type, and what is left at the end is not
//! known.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::control::journal::number_of;
use crate::core::event::{Code, Fault, RunId};
use crate::core::instant::Instant;
use crate::core::nearest::nearest;
use crate::core::span;
use crate::jobfile::keys::Key;
use crate::jobfile::when::{self, Moment};

/// What is left of an object.
#[derive(Debug)]
pub(super) struct Keys {
    map: Map<String, Value>,
    /// What was asked for, there or not: the names that could have been meant.
    asked: Vec<&'static str>,
}

impl Keys {
    pub(super) fn new(map: Map<String, Value>) -> Keys {
        Keys { map, asked: Vec::new() }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        // A `null` is what some languages make of what is not there.
        self.map.remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<Box<str>>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.into())),
            Some(other) => Err(wrong(key, "a string", &other)),
        }
    }

    /// A boolean that is `false` unless it is there.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, Fault> {
        match self.take(key) {
            None => Ok(false),
            Some(Value::Bool(yes)) => Ok(yes),
            Some(other) => Err(wrong(key, "true or false", &other)),
        }
    }

    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<u64>, Fault> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(wrong(key, "a whole number, 0 or more", &value)),
            },
        }
    }

    /// A number of jobs.
    pub(super) fn small(&mut self, key: &'static str) -> Result<Option<u32>, Fault> {
        Ok(self.number(key)?.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// An instant: it has an offset, because whose clocks are meant is not known here.
    pub(super) fn time(&mut self, key: &'static str) -> Result<Option<Instant>, Fault> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match when::parse_moment(&text) {
            Ok(Moment::At(at)) => Ok(Some(at)),
            Ok(Moment::Wall { .. }) => {
                let fault = Fault::bad(format!("`{key}` has no UTC offset"));
                Err(fault.help(format!("write {text}Z or {text}+02:00, with a time of day")))
            }
            Err((_, message)) => Err(Fault::bad(format!("`{key}`: {message}"))),
        }
    }

    /// A place among the events: the number of one, or an instant.
    pub(super) fn place(&mut self, key: &'static str) -> Result<Option<u64>, Fault> {
        match self.map.get(key) {
            Some(Value::String(_)) => Ok(self.time(key)?.map(number_of)),
            _ => self.number(key),
        }
    }

    /// A duration such as `"30m"`.
    pub(super) fn span(&mut self, key: &'static str) -> Result<Option<Duration>, Fault> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let what = "a duration such as \"30s\" or \"1h 30m\"";
        let Value::String(text) = &value else { return Err(wrong(key, what, &value)) };
        match span::parse(text) {
            Ok(span) => Ok(Some(span)),
            Err(error) => {
                let help = error.help().unwrap_or_else(|| format!("write {what}"));
                Err(Fault::bad(format!("`{key}`: {error}")).help(help))
            }
        }
    }

    /// The id of the job it is about.
    pub(super) fn job(&mut self) -> Result<Box<str>, Fault> {
        self.text("job")?.ok_or_else(|| Fault::bad("`job` is missing: the id of a job"))
    }

    /// The number of the run it is about.
    pub(super) fn run(&mut self) -> Result<RunId, Fault> {
        let number = self.number("run")?;
        number.map(RunId).ok_or_else(|| Fault::bad("`run` is missing: the number of a run"))
    }

    /// `job`, or `None` for `"all": true`: nobody shall pause everything by leaving out a key.
    pub(super) fn job_or_all(&mut self) -> Result<Option<Box<str>>, Fault> {
        match (self.text("job")?, self.flag("all")?) {
            (Some(job), false) => Ok(Some(job)),
            (None, true) => Ok(None),
            (Some(_), true) => Err(Fault::bad("`job` and `all` contradict each other")),
            (None, false) => Err(Fault::bad("it takes a `job`, or `\"all\": true`")),
        }
    }

    /// Takes every key that is an option of a job.
    pub(super) fn options(&mut self) -> Vec<(Key, Value)> {
        let all = Key::ALL.iter();
        all.filter_map(|&key| Some((key, self.take(key.name())?))).collect()
    }

    /// Says what is wrong with a key that nobody has taken.
    pub(super) fn finish(&self, verb: &str) -> Result<(), Fault> {
        let Some((key, _)) = self.map.iter().find(|(_, value)| !value.is_null()) else {
            return Ok(());
        };
        let shown: String = key.chars().take(64).collect();
        let fault = Fault::new(Code::UnknownKey, format!("`{verb}` has no key `{shown}`"));
        Err(match nearest(key, self.asked.iter().copied()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault,
        })
    }
}

/// What there is in the place of what was expected.
fn wrong(key: &str, expected: &str, found: &Value) -> Fault {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Fault::bad(format!("`{key}`: expected {expected}, found {found}"))
}
