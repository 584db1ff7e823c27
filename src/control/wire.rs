//! What is said over the control socket: one JSON object a line, each way. For people who write
//! clients it is all in `doc/control.md`.
//!
//! Here a line becomes a [`Request`] or a [`Fault`], and answers become lines. `keys` takes the keys
//! of a request and knows what to say of those that do not exist, `definition` makes the TOML of a
//! job from them (`fragment` writes it), and `view` holds what jobs, runs and schedulers look like
//! in JSON, for both ends.

mod definition;
mod fragment;
mod keys;
pub mod view;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::event::{Code, Fault, RunId};
use crate::instant::Instant;
use crate::problem::nearest::nearest;
use crate::store::Query;
use keys::Keys;

/// The version of all this. A request may leave it out.
pub const VERSION: u64 = 1;

/// A request is not longer than this, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// A request's own `id` is not longer than this.
const MAX_ID: usize = 256;

/// How many records `history` answers unless told, and at most.
const RECORDS: (usize, usize) = (100, 10_000);

/// A line, as far as it was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What the client calls it, for the reply.
    pub id: Option<Value>,
    /// What is wanted, or why that cannot be told.
    pub verb: Result<Verb, Fault>,
}

/// What may be wanted.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the keys are described in doc/control.md")]
pub enum Verb {
    Ping,
    List { from: u32, limit: u64 },
    Show { job: Box<str> },
    Status,
    Start { job: Box<str>, force: bool, wait: bool },
    Stop(Target),
    Pause { job: Option<Box<str>>, until: Option<Instant>, reason: Option<Box<str>> },
    Resume { job: Option<Box<str>> },
    Add { job: Box<str>, text: Box<str>, replace: bool },
    Remove { job: Box<str> },
    Modify { job: Box<str>, text: Box<str> },
    Reschedule { job: Box<str>, text: Box<str> },
    Reset { job: Box<str> },
    Reload,
    Shutdown { now: bool },
    Export { format: Format, from: u32 },
    History(Query),
    Output { run: RunId },
    Follow { job: Option<Box<str>> },
    Unfollow,
    Attempts { run: RunId },
    Changes { job: Option<Box<str>>, since: Instant, until: Instant },
    Sessions,
}

/// What is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All active runs of a job.
    Job(Box<str>),
    /// One run.
    Run(RunId),
}

/// How jobs are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A jobfile.
    Toml,
    /// Objects with the same keys.
    Json,
}

/// The words of the verbs.
const VERBS: &[&str] = &[
    "ping",
    "list",
    "show",
    "status",
    "start",
    "stop",
    "pause",
    "resume",
    "add",
    "remove",
    "modify",
    "reschedule",
    "reset",
    "reload",
    "shutdown",
    "export",
    "history",
    "output",
    "follow",
    "unfollow",
    "attempts",
    "changes",
    "sessions",
];

/// Reads a request. `now` is what `in` counts from.
pub fn parse(line: &[u8], now: Instant) -> Request {
    let unfit = |fault| Request { id: None, verb: Err(fault) };
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
            let message = format!("`id` is a number, or a string of at most {MAX_ID} bytes");
            return unfit(Fault::bad(message));
        }
    }
    Request { id, verb: verb(keys, now) }
}

fn object(line: &[u8]) -> Result<Map<String, Value>, Fault> {
    let bad_json = |message: String| {
        Fault::new(Code::BadJson, message).help("send one object a line, such as {\"do\":\"list\"}")
    };
    let text = std::str::from_utf8(line)
        .map_err(|error| bad_json(format!("byte {} is not UTF-8", error.valid_up_to() + 1)))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(bad_json("a request is an object, and this is none".to_owned())),
        Err(error) => Err(bad_json(format!("this line is not JSON: {error}"))),
    }
}

fn verb(mut keys: Keys, now: Instant) -> Result<Verb, Fault> {
    match keys.number("v")? {
        None | Some(VERSION) => {}
        Some(other) => {
            let fault = Fault::new(
                Code::BadVersion,
                format!("version {other} of requests is not known here"),
            );
            return Err(fault.help(format!("this schedrs speaks version {VERSION}")));
        }
    }
    let Some(word) = keys.text("do")? else {
        let fault = Fault::bad("`do` is missing, which says what is wanted");
        return Err(fault.help(format!("it is one of {}", VERBS.join(", "))));
    };
    let verb = match &*word {
        "ping" | "version" => Verb::Ping,
        "list" => Verb::List {
            from: keys.small("from")?.unwrap_or(0),
            limit: keys.number("limit")?.unwrap_or(u64::MAX),
        },
        "show" => Verb::Show { job: keys.job()? },
        "status" => Verb::Status,
        "start" => {
            Verb::Start { job: keys.job()?, force: keys.flag("force")?, wait: keys.flag("wait")? }
        }
        "stop" => Verb::Stop(match (keys.number("run")?, keys.text("job")?) {
            (Some(run), None) => Target::Run(RunId(run)),
            (None, Some(job)) => Target::Job(job),
            _ => return Err(Fault::bad("`stop` takes a `job` or a `run`, and not both")),
        }),
        "pause" => {
            let job = keys.job_or_all()?;
            let (until, span) = (keys.time("until")?, keys.span("for")?);
            let until = match (until, span) {
                (Some(_), Some(_)) => {
                    return Err(Fault::bad("`until` and `for` say the same, leave one out"));
                }
                (until, span) => until.or(span.map(|span| now.plus(span))),
            };
            Verb::Pause { job, until, reason: keys.text("reason")? }
        }
        "resume" => Verb::Resume { job: keys.job_or_all()? },
        "add" => {
            let (job, replace) = (keys.job()?, keys.flag("replace")?);
            let text = definition::text(&mut keys, definition::Kind::Whole, now)?;
            Verb::Add { job, text: text.into(), replace }
        }
        "remove" => Verb::Remove { job: keys.job()? },
        "modify" => {
            let job = keys.job()?;
            let text = definition::text(&mut keys, definition::Kind::Options, now)?;
            Verb::Modify { job, text: text.into() }
        }
        "reschedule" => {
            let job = keys.job()?;
            let text = definition::text(&mut keys, definition::Kind::Trigger, now)?;
            Verb::Reschedule { job, text: text.into() }
        }
        "reset" => Verb::Reset { job: keys.job()? },
        "reload" => Verb::Reload,
        "shutdown" => Verb::Shutdown { now: keys.flag("now")? },
        "export" => Verb::Export {
            format: match keys.text("format")?.as_deref() {
                None | Some("toml") => Format::Toml,
                Some("json") => Format::Json,
                Some(_) => return Err(Fault::bad("`format` is \"toml\" or \"json\"")),
            },
            from: keys.small("from")?.unwrap_or(0),
        },
        "history" => Verb::History(Query {
            job: keys.text("job")?,
            run: keys.number("run")?.map(RunId),
            failed: keys.flag("failed")?,
            since: keys.time("since")?,
            until: keys.time("until")?,
            before: keys.number("before")?,
            limit: keys.number("limit")?.map_or(RECORDS.0, |limit| {
                usize::try_from(limit).unwrap_or(RECORDS.1).clamp(1, RECORDS.1)
            }),
        }),
        "output" => Verb::Output { run: keys.run()? },
        "follow" => Verb::Follow { job: keys.text("job")? },
        "unfollow" => Verb::Unfollow,
        "attempts" => Verb::Attempts { run: keys.run()? },
        "changes" => Verb::Changes {
            job: keys.text("job")?,
            since: keys.time("since")?.unwrap_or(Instant::MIN),
            until: keys.time("until")?.unwrap_or(Instant::MAX),
        },
        "sessions" => Verb::Sessions,
        other => return Err(unknown_verb(other)),
    };
    keys.finish(&word)?;
    Ok(verb)
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
        "health" => Some("status"),
        "logs" => Some("output"),
        "tail" => Some("follow"),
        _ => nearest(word, VERBS.iter().copied()),
    };
    let shown: String = word.chars().take(64).collect();
    let fault = Fault::new(Code::UnknownVerb, format!("there is no `{shown}` to be done"));
    fault.help(match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("it is one of {}", VERBS.join(", ")),
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
pub(super) fn json(value: &(impl Serialize + ?Sized)) -> String {
    crate::problem::json(value).unwrap_or_else(|_| "{}".to_owned())
}

/// What a reply says: its members without those of the envelope.
pub(super) fn open_reply(line: &[u8]) -> Result<Result<Map<String, Value>, Fault>, String> {
    let mut map: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("its answer is not JSON: {error}"))?;
    map.remove("v");
    map.remove("id");
    if map.remove("ok") == Some(Value::Bool(true)) {
        return Ok(Ok(map));
    }
    match map.remove("error").map(serde_json::from_value) {
        Some(Ok(fault)) => Ok(Err(fault)),
        _ => Err("its answer says neither that it is done nor why not".to_owned()),
    }
}
