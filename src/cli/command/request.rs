//! Requests to a running schedrs, for the subcommands that make one: where it listens, how its
//! response is shown.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::cli::{Context, ExitCode};
use crate::control::client::{Client, Error, Place};
use crate::control::jobfile_lock;
use crate::control::wire::view::PausedView;
use crate::core::instant::Instant;
use crate::core::words;
use crate::core::zone::Zone;
use crate::jobfile::locate;
use crate::jobfile::when::{self, Moment};
use crate::problem::{Lines, clean};
use crate::store::location;
use crate::sys::clock;
use crate::sys::paths;

/// How long a response is waited for. A scheduler answers within milliseconds, if it is not stopped.
const ANSWER: Duration = Duration::from_secs(10);

/// The same of one that does answer, has much to read first, and gives that up in less than this
/// unless the jobfile is huge.
const LONG_ANSWER: Duration = Duration::from_secs(120);

/// How long a scheduler is waited for that was not asked for.
const PATIENCE: Duration = Duration::from_millis(500);

/// No more of those are named.
const MOST_RUNNING: usize = 10;

/// Which schedrs a request goes to.
#[derive(clap::Args, Debug)]
pub(super) struct Address {
    /// The schedrs that runs this jobfile [default: as `schedrs run` finds it]
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "socket")]
    jobfile: Option<PathBuf>,

    /// The schedrs that listens at this socket [default: $SCHEDRS_SOCKET, else the jobfile's]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Which schedrs a request goes to, and how its response is shown.
#[derive(clap::Args, Debug)]
pub(super) struct Connection {
    #[command(flatten)]
    address: Address,

    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Output,
}

/// How a response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// As JSON, one object a line
    Json,
}

impl Connection {
    /// Connects to it.
    pub(super) fn connect(&self) -> anyhow::Result<Client> {
        self.address.connect()
    }

    /// Makes a request and waits for the response.
    pub(super) fn request(&self, request: &Value) -> anyhow::Result<Map<String, Value>> {
        let mut client = self.connect()?;
        if request["do"] == "reload" {
            client.ask(&json!({ "do": "status" })).map_err(told)?;
            client.set_patience(Some(LONG_ANSWER)).map_err(told)?;
        }
        client.ask(request).map_err(told)
    }

    /// Makes a request and shows the response: as it is, or in words. Its warnings go to stderr.
    pub(super) fn request_and_show(
        &self,
        request: &Value,
        words: impl FnOnce(&Map<String, Value>) -> String,
    ) -> anyhow::Result<ExitCode> {
        let body = self.request(request)?;
        self.show(&body, words)?;
        let warnings = body.get("warnings").and_then(Value::as_array).into_iter().flatten();
        for warning in warnings.filter_map(Value::as_str) {
            writeln!(anstream::stderr(), "schedrs: warning: {}", clean(warning))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Shows a response.
    pub(super) fn show(
        &self,
        body: &Map<String, Value>,
        words: impl FnOnce(&Map<String, Value>) -> String,
    ) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        match self.output {
            Output::Json => writeln!(out, "{}", crate::problem::json(body)?),
            Output::Text => writeln!(out, "{}", words(body)),
        }
    }
}

impl Address {
    /// Connects to it.
    pub(super) fn connect(&self) -> anyhow::Result<Client> {
        connect(self.jobfile.as_ref(), self.socket.as_ref())
    }
}

pub(super) fn connect(
    jobfile: Option<&PathBuf>,
    socket: Option<&PathBuf>,
) -> anyhow::Result<Client> {
    let given = std::env::var_os("SCHEDRS_SOCKET").filter(|path| !path.is_empty());
    let place = match (jobfile, socket, given) {
        (_, Some(socket), _) => Place::Socket(socket.clone()),
        (None, None, Some(given)) => Place::Socket(given.into()),
        (jobfile, None, _) => match locate::jobfile(jobfile.map(PathBuf::as_path)) {
            Ok(jobfile) => Place::Jobfile(jobfile),
            Err(error) => return Err(with_running(error)),
        },
    };
    let client = Client::connect(&place).map_err(|error| match (&error, &place) {
        (Error::NotRunning { .. }, Place::Jobfile(jobfile)) => {
            without_socket(jobfile).unwrap_or_else(|| with_running(told(error)))
        }
        (Error::NotRunning { .. }, Place::Socket(_)) => with_running(told(error)),
        _ => told(error),
    })?;
    client.set_patience(Some(ANSWER)).map_err(told)?;
    Ok(client)
}

/// What is to be said if a schedrs does run the jobfile, and only its socket is not there: whatever
/// cleans directories up may have taken it.
fn without_socket(jobfile: &Path) -> Option<anyhow::Error> {
    let stores = paths::store_candidates(jobfile);
    let pid = stores.iter().find_map(|store| location::writer_of(store));
    let pid = pid.or_else(|| jobfile_lock::holder_of(jobfile)?.pid)?;
    let name = clean(&jobfile.to_string_lossy()).into_owned();
    Some(anyhow!(
        "a schedrs with pid {pid} runs {name}, but its control socket is not there; `kill -HUP \
         {pid}` has it read the jobfile again and make the socket anew"
    ))
}

/// Says of the schedulers that run, of which another was probably meant.
fn with_running(error: anyhow::Error) -> anyhow::Error {
    let running = running();
    if running.is_empty() {
        return error;
    }
    let error = error.to_string();
    let sockets = running.iter().map(|(socket, what)| format!("  --socket {socket}  ({what})"));
    let lines = error.lines().map(str::to_owned).chain(["running now:".to_owned()]);
    Lines::new(lines.chain(sockets)).into()
}

/// The schedulers that listen where one looks for them, and answer: the socket, and what it is.
fn running() -> Vec<(String, String)> {
    let sockets = paths::socket_directories().into_iter().flat_map(|directory| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut sockets: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|ending| ending == "sock")).collect();
        sockets.sort();
        sockets
    });
    let describe = |path: PathBuf| {
        let mut client = Client::connect(&Place::Socket(path.clone())).ok()?;
        // One that hangs is of no use here.
        client.set_patience(Some(PATIENCE)).ok()?;
        let body = client.ask(&json!({ "do": "status" })).ok()?;
        let jobfile = clean(body.get("jobfile")?.as_str()?).into_owned();
        let what = format!("{jobfile}, pid {}", number(&body, "pid"));
        Some((clean(&path.to_string_lossy()).into_owned(), what))
    };
    sockets.filter_map(describe).take(MOST_RUNNING).collect()
}

/// What went wrong, made harmless: it holds what others have written.
pub(super) fn told(error: Error) -> anyhow::Error {
    Lines::new(error.to_string().lines()).into()
}

/// A response, or a part of one, by its type.
pub(super) fn read<T: DeserializeOwned>(body: Map<String, Value>) -> anyhow::Result<T> {
    serde_json::from_value(Value::Object(body))
        .map_err(|error| anyhow!("this schedrs answers in another version: {error}"))
}

/// Whole numbers of a response.
pub(super) fn number(body: &Map<String, Value>, key: &str) -> u64 {
    body.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// Times of responses, for people.
pub(super) struct Times<'a> {
    context: &'a Context,
    now: Instant,
}

impl Times<'_> {
    pub(super) fn new(context: &Context) -> Times<'_> {
        Times { context, now: clock::wall() }
    }

    pub(super) fn zone(&self, name: &str) -> Zone {
        self.context.zones.shown_as(name).unwrap_or_else(Zone::utc)
    }

    /// A time that is not far away.
    pub(super) fn soon(&self, time: &str, zone: &Zone) -> String {
        match instant(time) {
            Some(at) => words::soon(at.truncated(), self.now, zone),
            None => clean(time).into_owned(),
        }
    }

    /// How far it is from now.
    pub(super) fn distance(&self, time: &str) -> String {
        let Some(at) = instant(time) else { return String::new() };
        let now = self.now;
        let whole = |span: Duration| words::span(Duration::from_secs(span.as_secs()));
        if at > now {
            format!("in {}", whole(at.since(now)))
        } else {
            format!("{} ago", whole(now.since(at)))
        }
    }
}

/// A time of a response.
pub(super) fn instant(time: &str) -> Option<Instant> {
    match when::parse_moment(time) {
        Ok(Moment::At(at)) => Some(at),
        _ => None,
    }
}

/// Why a job is paused, after "paused".
pub(super) fn paused(paused: &PausedView, times: &Times<'_>, zone: &Zone) -> String {
    let with = match &*paused.what {
        "file" => " by its definition",
        "all" => " with all jobs",
        _ => "",
    };
    format!("{with}{}", pause(paused, times, zone))
}

/// By whom, until when and why there is a pause.
pub(super) fn pause(paused: &PausedView, times: &Times<'_>, zone: &Zone) -> String {
    let mut words = String::new();
    if let Some(by) = &paused.by {
        words += &format!(" by {}", clean(by));
    }
    if let Some(until) = &paused.until {
        words += &format!(" until {}", times.soon(until, zone));
    }
    if let Some(reason) = &paused.reason {
        words += &format!(": {}", clean(reason));
    }
    words
}

/// `1 job`, `2 jobs`.
pub(super) fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
