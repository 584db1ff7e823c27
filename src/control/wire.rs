//! What is said over the control socket: one JSON object a line, each way. For people who write
//! clients it is all in `doc/control.md`.
//!
//! Here a line becomes a [`Request`] or a [`Fault`], and responses become lines. `keys` takes the keys
//! of a request and knows what to say of those that do not exist, `definition` makes the TOML of a
//! job from them (`fragment` writes it), and `view` holds what jobs, runs and schedulers look like
//! in JSON, for both ends, and `health` a verdict about one. `reply` is what one host of a fleet says to another.

mod definition;
pub mod event;
mod fragment;
pub(crate) mod health;
mod keys;
pub mod reply;
pub mod view;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::request::{Format, Notify, Request, Target};
use crate::core::event::{Code, Fault, RunId};
use crate::core::instant::Instant;
use crate::core::nearest::nearest;
use crate::store::Query;
use definition::Kind;
use keys::Keys;

/// The version of all this. A request may leave it out.
pub const VERSION: u64 = 1;

/// A request is not longer than this, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// A request's own `id` is not longer than this.
const MAX_ID: usize = 256;

/// Nor is the name of whom it is for.
const MAX_USER: usize = 64;

/// How many records `history` answers unless told, and at most.
const RECORDS: (usize, usize) = (100, 10_000);

/// A line, as far as it was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What the client calls it, for the reply.
    pub id: Option<Value>,
    /// For whom the client asks, for the record.
    pub on_behalf: Option<Box<str>>,
    /// What is wanted, or why that cannot be told.
    pub request: Result<Request, Fault>,
}

/// Takes the keys of a request. The instant is now.
type Reader = fn(&mut Keys, Instant) -> Result<Request, Fault>;

/// What may be wanted: the word that stands in `do`, and what reads the keys that belong to it.
const VERBS: &[(&str, Reader)] = &[
    ("ping", |_, _| Ok(Request::Ping)),
    ("list", |keys, _| {
        let from = keys.small("from")?.unwrap_or(0);
        Ok(Request::List { from, limit: keys.number("limit")?.unwrap_or(u64::MAX) })
    }),
    ("show", |keys, _| Ok(Request::Show { job: keys.job()? })),
    ("status", |_, _| Ok(Request::Status)),
    ("health", |_, _| Ok(Request::Health)),
    ("metrics", |keys, _| {
        let (jobs, from) = (keys.flag("jobs")?, keys.small("from")?.unwrap_or(0));
        Ok(Request::Metrics { jobs, from })
    }),
    ("start", |keys, _| {
        let (job, force, wait) = (keys.job()?, keys.flag("force")?, keys.flag("wait")?);
        Ok(Request::Start { job, force, wait, on: keys.text("on")? })
    }),
    ("stop", stop),
    ("pause", pause),
    ("resume", |keys, _| Ok(Request::Resume { job: keys.job_or_all()? })),
    ("add", |keys, now| {
        let (job, replace) = (keys.job()?, keys.flag("replace")?);
        Ok(Request::Add { job, text: definition::text(keys, Kind::Whole, now)?.into(), replace })
    }),
    ("remove", |keys, _| Ok(Request::Remove { job: keys.job()? })),
    ("modify", |keys, now| {
        let job = keys.job()?;
        Ok(Request::Modify { job, text: definition::text(keys, Kind::Options, now)?.into() })
    }),
    ("reschedule", |keys, now| {
        let job = keys.job()?;
        Ok(Request::Reschedule { job, text: definition::text(keys, Kind::Trigger, now)?.into() })
    }),
    ("reset", |keys, _| Ok(Request::Reset { job: keys.job()? })),
    ("reload", |_, _| Ok(Request::Reload)),
    ("notify", |keys, _| {
        Ok(Request::Notify(match (keys.text("again")?, keys.text("drop")?) {
            (Some(id), None) => Notify::Again { id, entry: None },
            (None, Some(what)) => Notify::Drop(what),
            _ => {
                let message =
                    "`notify` takes `again`, the id of a notification, or `drop`, a route or an id";
                return Err(Fault::bad(message));
            }
        }))
    }),
    ("shutdown", |keys, _| Ok(Request::Shutdown { now: keys.flag("now")? })),
    ("export", |keys, _| {
        let format = match keys.text("format")?.as_deref() {
            None | Some("toml") => Format::Toml,
            Some("json") => Format::Json,
            Some(_) => return Err(Fault::bad("`format` is \"toml\" or \"json\"")),
        };
        Ok(Request::Export { format, from: keys.small("from")?.unwrap_or(0) })
    }),
    ("history", history),
    ("output", |keys, _| Ok(Request::Output { run: keys.run()? })),
    ("follow", |keys, _| Ok(Request::Follow { job: keys.text("job")?, past: keys.flag("past")? })),
    ("unfollow", |_, _| Ok(Request::Unfollow)),
    ("events", |keys, _| {
        Ok(Request::Events { job: keys.text("job")?, since: keys.place("since")? })
    }),
    ("attempts", |keys, _| Ok(Request::Attempts { run: keys.run()? })),
    ("changes", |keys, _| {
        Ok(Request::Changes {
            job: keys.text("job")?,
            since: keys.time("since")?.unwrap_or(Instant::MIN),
            until: keys.time("until")?.unwrap_or(Instant::MAX),
        })
    }),
    ("sessions", |_, _| Ok(Request::Sessions)),
];

fn stop(keys: &mut Keys, _: Instant) -> Result<Request, Fault> {
    Ok(Request::Stop(match (keys.number("run")?, keys.text("job")?) {
        (Some(run), None) => Target::Run(RunId(run)),
        (None, Some(job)) => Target::Job(job),
        _ => return Err(Fault::bad("`stop` takes a `job` or a `run`, not both")),
    }))
}

fn pause(keys: &mut Keys, now: Instant) -> Result<Request, Fault> {
    let job = keys.job_or_all()?;
    let until = match (keys.time("until")?, keys.span("for")?) {
        (Some(_), Some(_)) => {
            return Err(Fault::bad("`until` and `for` mean the same: leave one out"));
        }
        (until, span) => until.or(span.map(|span| now.plus(span))),
    };
    Ok(Request::Pause { job, until, reason: keys.text("reason")? })
}

fn history(keys: &mut Keys, _: Instant) -> Result<Request, Fault> {
    Ok(Request::History(Query {
        job: keys.text("job")?,
        run: keys.number("run")?.map(RunId),
        host: None,
        failed: keys.flag("failed")?,
        since: keys.time("since")?,
        until: keys.time("until")?,
        before: keys.number("before")?,
        limit: keys.number("limit")?.map_or(RECORDS.0, |limit| {
            usize::try_from(limit).unwrap_or(RECORDS.1).clamp(1, RECORDS.1)
        }),
    }))
}

/// Reads a request. `now` is what `in` counts from.
pub fn parse(line: &[u8], now: Instant) -> Parsed {
    let unfit = |fault| Parsed { id: None, on_behalf: None, request: Err(fault) };
    let map = match object(line) {
        Ok(map) => map,
        Err(fault) => return unfit(fault),
    };
    let mut keys = Keys::new(map);
    let id = keys.take("id");
    match &id {
        None | Some(Value::Number(_)) => {}
        Some(Value::String(text)) if text.len() <= MAX_ID => {}
        Some(_) => {
            let message = format!("`id` must be a number, or a string of at most {MAX_ID} bytes");
            return unfit(Fault::bad(message));
        }
    }
    let on_behalf = match keys.text("for_user") {
        Ok(None) => None,
        Ok(Some(name)) if is_name_of_user(&name) => Some(name),
        Ok(Some(_)) | Err(_) => {
            let message = format!("`for_user` must be a name of at most {MAX_USER} bytes");
            return unfit(Fault::bad(message));
        }
    };
    Parsed { id, on_behalf, request: request(keys, now) }
}

/// Whether something may stand in the record as who has asked.
fn is_name_of_user(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_USER && !name.chars().any(crate::problem::is_hidden)
}

fn object(line: &[u8]) -> Result<Map<String, Value>, Fault> {
    let bad_json = |message: String| {
        Fault::new(Code::BadJson, message)
            .help("send one object per line, such as {\"do\":\"list\"}")
    };
    let text = std::str::from_utf8(line)
        .map_err(|error| bad_json(format!("byte {} is not UTF-8", error.valid_up_to() + 1)))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(bad_json("a request must be a JSON object".to_owned())),
        Err(error) => Err(bad_json(format!("this line is not JSON: {error}"))),
    }
}

fn request(mut keys: Keys, now: Instant) -> Result<Request, Fault> {
    match keys.number("v")? {
        None | Some(VERSION) => {}
        Some(other) => {
            let fault = Fault::new(Code::BadVersion, format!("unknown protocol version {other}"));
            return Err(fault.help(format!("this schedrs speaks version {VERSION}")));
        }
    }
    let Some(word) = keys.text("do")? else {
        let fault = Fault::bad("`do` is missing: it says what to do");
        return Err(fault.help(format!("use one of {}", words())));
    };
    // An older word for it.
    let name = if &*word == "version" { "ping" } else { &*word };
    let Some((_, read)) = VERBS.iter().find(|(verb, _)| *verb == name) else {
        return Err(unknown_verb(&word));
    };
    let request = read(&mut keys, now)?;
    keys.finish(&word)?;
    Ok(request)
}

/// All words that may stand in `do`.
fn words() -> String {
    VERBS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

fn unknown_verb(word: &str) -> Fault {
    // APScheduler's words, and cron's.
    let meant = match word {
        "get_jobs" | "jobs" | "ls" => Some("list"),
        "get_job" | "get" => Some("show"),
        "add_job" | "schedule" => Some("add"),
        "remove_job" | "delete" | "rm" => Some("remove"),
        "pause_job" => Some("pause"),
        "resume_job" | "unpause" => Some("resume"),
        "modify_job" | "set" => Some("modify"),
        "reschedule_job" => Some("reschedule"),
        "run" | "trigger" | "run_now" => Some("start"),
        "kill" | "cancel" => Some("stop"),
        "logs" => Some("output"),
        "tail" => Some("follow"),
        _ => nearest(word, VERBS.iter().map(|(word, _)| *word)),
    };
    let shown: String = word.chars().take(64).collect();
    let fault = Fault::new(Code::UnknownVerb, format!("unknown request `{shown}`"));
    fault.help(match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("use one of {}", words()),
    })
}

/// The line that says what was asked for: `body` is an object as JSON.
pub(super) fn good_line(id: Option<&Value>, body: &str) -> Vec<u8> {
    let mut line = begin(id, true);
    let members = body.get(1..).filter(|rest| *rest != "}");
    match members {
        Some(members) => {
            line.push(',');
            line.push_str(members);
        }
        None => line.push('}'),
    }
    line.push('\n');
    line.into_bytes()
}

/// The line that says why not.
pub(super) fn fault_line(id: Option<&Value>, fault: &Fault) -> Vec<u8> {
    let mut line = begin(id, false);
    line.push_str(",\"error\":");
    line.push_str(&json(fault));
    line.push_str("}\n");
    line.into_bytes()
}

fn begin(id: Option<&Value>, ok: bool) -> String {
    let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
    format!("{{\"v\":{VERSION},{id}\"ok\":{ok}")
}

/// What is made of structs with plain keys can always be written.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> String {
    crate::problem::json(value).unwrap_or_else(|_| "{}".to_owned())
}

/// The `id` of the request that a reply is to, and what it says: its members without those of the
/// envelope.
pub type Reply = (Option<Value>, Result<Map<String, Value>, Fault>);

/// Reads a reply.
pub(crate) fn open_reply(line: &[u8]) -> Result<Reply, String> {
    let mut map: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("the answer is not JSON: {error}"))?;
    map.remove("v");
    let id = map.remove("id");
    if map.remove("ok") == Some(Value::Bool(true)) {
        return Ok((id, Ok(map)));
    }
    match map.remove("error").map(serde_json::from_value) {
        Some(Ok(fault)) => Ok((id, Err(fault))),
        _ => Err("the answer says neither success nor failure".to_owned()),
    }
}

/// The same of a reply that is known to be of this type, where it is good.
pub(crate) fn open_as<T: DeserializeOwned>(line: &[u8]) -> Result<Result<T, Fault>, String> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Envelope {
        ok: bool,
        error: Option<Fault>,
    }
    let read = |error| format!("the answer is not one of this version: {error}");
    match serde_json::from_slice(line).map_err(read)? {
        Envelope { ok: true, .. } => serde_json::from_slice(line).map(Ok).map_err(read),
        Envelope { error: Some(fault), .. } => Ok(Err(fault)),
        Envelope { .. } => Err("the answer says neither success nor failure".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_a_type() {
        #[derive(Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(default)]
        struct Numbers {
            more: Option<u32>,
        }
        let read = |line: &str| open_as::<Numbers>(line.as_bytes());
        assert_eq!(read(r#"{"v":1,"ok":true,"more":7,"x":[]}"#), Ok(Ok(Numbers { more: Some(7) })));
        let fault = read(r#"{"v":1,"ok":false,"error":{"code":"no_store","message":"none"}}"#);
        assert_eq!(fault.unwrap().unwrap_err().message, "none");
        for line in ["", "[]", r#"{"ok":true,"more":"x"}"#, r#"{"v":1}"#] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    /// Every verb has its row in `doc/control.md`, and that has no others.
    #[test]
    fn every_verb_is_explained_to_clients() {
        let page = include_str!("../../doc/control.md");
        let (_, table) = page.split_once("| `do` | keys | the reply |\n").unwrap();
        let rows = table.lines().skip(1).map_while(|line| line.strip_prefix("| `"));
        let said: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        for (word, _) in VERBS {
            assert!(said.contains(word), "{word} is missing");
        }
        assert_eq!(said.len(), VERBS.len(), "{said:?}");
    }
}
