//! Why something that was asked cannot be done: the same from the scheduler to the client.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::named::named;

named! {
    /// The kind of a [`Fault`]. For clients they are explained in `doc/control.md`.
    Code {
        /// A line that is no JSON object.
        BadJson "bad_json",
        /// Another version of the protocol.
        BadVersion "bad_version",
        /// There is nothing of that name to be done.
        UnknownVerb "unknown_verb",
        /// A key that the request does not have.
        UnknownKey "unknown_key",
        /// A key is missing, or its value makes no sense.
        BadRequest "bad_request",
        /// A line that is too long.
        TooLong "too_long",
        /// As many clients as may be are connected.
        TooManyConnections "too_many_connections",
        /// The client belongs to another user.
        NotAllowed "not_allowed",
        /// There is no such job.
        NoSuchJob "no_such_job",
        /// No such run is active.
        NoSuchRun "no_such_run",
        /// There is no such notification, or no such route.
        NoSuchNotification "no_such_notification",
        /// The connection follows something already.
        Follows "follows",
        /// There is a job of that id.
        Exists "exists",
        /// It would never be due.
        Never "never",
        /// The time is past.
        Past "past",
        /// It is a job of the jobfile, which is to be edited.
        InFile "in_file",
        /// No host is called so.
        NoSuchHost "no_such_host",
        /// Another host of the fleet has not answered.
        NoAnswer "no_answer",
        /// Among hosts: it is to be asked of another one.
        NotHome "not_home",
        /// As many runs as may be are active.
        MaxInstances "max_instances",
        /// It is paused.
        Paused "paused",
        /// Another scheduler has claimed the due time.
        Claimed "claimed",
        /// A definition or the jobfile has problems.
        Invalid "invalid",
        /// There is no store.
        NoStore "no_store",
        /// The store cannot be read.
        Store "store",
        /// This scheduler cannot do that.
        Unavailable "unavailable",
        /// It could not be checked or read within its limit.
        TooSlow "too_slow",
        /// The scheduler stops.
        Stopping "stopping",
        /// A bug of schedrs.
        Internal "internal",
    }
}

/// What cannot be done, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Of which kind it is.
    pub code: Code,
    /// A sentence without a full stop.
    pub message: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What is wrong with a text that was sent, one problem each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Fault {
    /// A fault of this kind with this message.
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), help: None, problems: Vec::new() }
    }

    /// The same with a word on what would be right.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Fault {
        Fault { help: Some(help.into()), ..self }
    }

    /// The request makes no sense.
    pub(crate) fn bad(message: impl Into<String>) -> Fault {
        Fault::new(Code::BadRequest, message)
    }

    /// A text that was sent, or the jobfile, has these problems.
    pub fn invalid(problems: Vec<String>) -> Fault {
        let first = problems.first().map_or("", String::as_str);
        let message = match problems.len() {
            0 | 1 => format!("nothing was changed: {first}"),
            more => format!("nothing was changed; there are {more} problems: {first}"),
        };
        Fault { problems, ..Fault::new(Code::Invalid, message) }
    }

    /// The scheduler is stopping.
    pub(crate) fn stopping() -> Fault {
        Fault::new(Code::Stopping, "the scheduler is stopping")
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        Ok(Code::from(&*String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind stands in the table of `doc/control.md`, and it has no others.
    #[test]
    fn every_code_is_explained_to_clients() {
        let page = include_str!("../../../doc/control.md");
        let table = page.split("\n## ").find(|part| part.starts_with("Errors")).unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let said: Vec<&str> = rows.flat_map(|row| row.split(", ")).collect();
        let said: Vec<&str> = said.iter().map(|word| word.trim_matches('`')).collect();
        for code in Code::ALL {
            assert!(said.contains(&code.word()), "{code} is missing");
        }
        for word in said {
            assert!(!matches!(Code::from(word), Code::Other(_)), "{word} is no code");
        }
        let text = "{\"code\":\"of_tomorrow\",\"message\":\"m\"}";
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault.code, Code::Other("of_tomorrow".into()));
        assert_eq!(serde_json::to_string(&fault).unwrap(), text);
    }
}
