//! Requests to a running schedrs, for the subcommands that make one: where it listens, how its
//! response is shown.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use rustix::event::{Timespec, poll};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::argument;
use super::named::OfJobfile;
use crate::cli::table::{prose, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::control::client::{Client, Error, Place};
use crate::control::jobfile_lock;
use crate::control::wire::view::PausedView;
use crate::core::instant::Instant;
use crate::core::sort;
use crate::core::words;
use crate::core::zone::Zone;
use crate::jobfile::locate;
use crate::jobfile::when::{self, Moment};
use crate::problem::{Lines, clean};
use crate::store::location;
use crate::sys::clock;
use crate::sys::paths;

/// How long a response is waited for. A scheduler answers within milliseconds, if it is not stopped.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// What may take long: to read a jobfile, or to ask another host.
const LONG: [&str; 8] =
    ["reload", "pause", "resume", "add", "remove", "modify", "reschedule", "reset"];

/// The same of one that does answer, has much to read first, and gives that up in less than this
/// unless the jobfile is huge.
const LONG_ANSWER: Duration = Duration::from_secs(120);

/// How long a scheduler is waited for that was not asked for.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// No more of those are named.
const MOST_RUNNING: usize = 10;

/// So long a schedrs may take from its lock to its socket: it reads its store between the two.
const STARTING: Duration = Duration::from_secs(2);

/// Which schedrs a request goes to.
#[derive(Clone, clap::Args, Debug)]
pub(super) struct Address {
    /// Ask the scheduler running this jobfile [default: the one `schedrs run` would use]
    #[arg(
        short = 'f',
        long = "file",
        alias = "jobfile",
        value_name = "FILE",
        conflicts_with = "socket"
    )]
    jobfile: Option<PathBuf>,

    /// Ask the scheduler on this socket [default: $SCHEDRS_SOCKET, or the jobfile's]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Which schedrs a request goes to, and how its response is shown.
#[derive(Clone, clap::Args, Debug)]
pub(super) struct Connection {
    #[command(flatten)]
    address: Address,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Output,
}

/// How a response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

impl OfJobfile for Address {
    fn name(&mut self, jobfile: PathBuf) {
        self.jobfile = Some(jobfile);
    }
}

impl OfJobfile for Connection {
    fn name(&mut self, jobfile: PathBuf) {
        self.address.name(jobfile);
    }
}

impl Connection {
    /// Connects to it.
    pub(super) fn connect(&self) -> anyhow::Result<Client> {
        self.address.connect()
    }

    /// The same, and waits no longer than this for that or for an answer.
    pub(super) fn connect_within(&self, patience: Duration) -> anyhow::Result<Client> {
        connect_within(self.address.jobfile.as_ref(), self.address.socket.as_ref(), patience)
    }

    /// The jobfile that was named as an option.
    pub(super) fn jobfile(&self) -> Option<&Path> {
        self.address.jobfile()
    }

    /// Connects to the schedrs of a jobfile that was named, however.
    pub(super) fn connect_to(&self, jobfile: Option<&PathBuf>) -> anyhow::Result<Client> {
        self.address.connect_to(jobfile)
    }

    /// What was typed to find it.
    pub(super) fn typed(&self) -> String {
        self.address.typed(self.jobfile())
    }

    /// The same, of a jobfile that was named, however.
    pub(super) fn typed_for(&self, jobfile: Option<&PathBuf>) -> String {
        self.address.typed(jobfile.map(PathBuf::as_path))
    }

    /// Makes a request and waits for the response.
    pub(super) fn request(&self, request: &Value) -> anyhow::Result<Map<String, Value>> {
        let mut client = self.connect()?;
        if LONG.iter().any(|long| request["do"] == *long) {
            be_patient(&mut client)?;
        }
        client.ask(request).map_err(told)
    }

    /// Makes a request and shows the response: as it is, or in words, with the host that has done it if
    /// that is another one. Its warnings go to stderr.
    pub(super) fn request_and_show(
        &self,
        request: &Value,
        words: impl FnOnce(&Map<String, Value>) -> String,
    ) -> anyhow::Result<ExitCode> {
        let body = self.request(request)?;
        self.show_with_warnings(&body, words)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Shows what it was answered with.
    pub(super) fn show_with_warnings(
        &self,
        body: &Map<String, Value>,
        words: impl FnOnce(&Map<String, Value>) -> String,
    ) -> anyhow::Result<()> {
        self.show(body, |body| format!("{}{}", words(body), on_host(body)))?;
        let warnings = body.get("warnings").and_then(Value::as_array).into_iter().flatten();
        for warning in warnings.filter_map(Value::as_str) {
            crate::cli::say(&format!("schedrs: warning: {}", clean(warning)));
        }
        Ok(())
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
            Output::Text => prose(&mut out, &words(body), terminal_width()),
        }
    }
}

impl Address {
    /// What was typed to find it, with a space before it: a command that is to be typed next needs it,
    /// too. `jobfile` is the one that was named, however.
    pub(super) fn typed(&self, jobfile: Option<&Path>) -> String {
        match jobfile {
            Some(_) => argument::option("-f", jobfile),
            None => argument::option("--socket", self.socket.as_deref()),
        }
    }

    /// The jobfile that was named as an option.
    pub(super) fn jobfile(&self) -> Option<&Path> {
        self.jobfile.as_deref()
    }

    /// Connects to the schedrs of a jobfile that was named, however.
    pub(super) fn connect_to(&self, jobfile: Option<&PathBuf>) -> anyhow::Result<Client> {
        if let (Some(jobfile), Some(_)) = (jobfile, &self.socket) {
            let jobfile = jobfile.to_string_lossy().into_owned();
            bail!("both a jobfile, {}, and --socket are named: name one", clean(&jobfile));
        }
        connect(jobfile, self.socket.as_ref())
    }

    /// Connects to it.
    pub(super) fn connect(&self) -> anyhow::Result<Client> {
        self.connect_to(self.jobfile.as_ref())
    }
}

pub(super) fn connect(
    jobfile: Option<&PathBuf>,
    socket: Option<&PathBuf>,
) -> anyhow::Result<Client> {
    connect_within(jobfile, socket, ANSWER)
}

fn connect_within(
    jobfile: Option<&PathBuf>,
    socket: Option<&PathBuf>,
    patience: Duration,
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
    let error = match Client::connect_within(&place, patience) {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    match (&error, &place) {
        (Error::NotRunning { .. }, Place::Jobfile(jobfile)) => match runner_of(jobfile) {
            Some(pid) => connect_to_starting(&place, jobfile, pid, patience),
            None => Err(with_running(told(error))),
        },
        (Error::NotRunning { .. }, Place::Socket(_)) => Err(with_running(told(error))),
        _ => Err(told(error)),
    }
}

/// The process of the schedrs that runs a jobfile, whether it listens or not.
fn runner_of(jobfile: &Path) -> Option<u32> {
    let stores = paths::store_candidates(jobfile);
    let pid = stores.iter().find_map(|store| location::writer_of(store));
    pid.or_else(|| jobfile_lock::holder_of(jobfile)?.pid)
}

/// Connects to a schedrs that does not listen yet: it is starting. One that never does has lost its
/// socket: whatever cleans directories up may have taken it.
fn connect_to_starting(
    place: &Place,
    jobfile: &Path,
    pid: u32,
    patience: Duration,
) -> anyhow::Result<Client> {
    let end = clock::mono().plus(patience.min(STARTING));
    while clock::mono() < end {
        // The kernel waits, for nothing but the time.
        let _ = poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 }));
        if let Ok(client) = Client::connect_within(place, patience) {
            return Ok(client);
        }
    }
    let name = clean(&jobfile.to_string_lossy()).into_owned();
    bail!(
        "{name} is run by pid {pid}, but its control socket is missing. It may still be starting; if the \
         socket was deleted, `kill -HUP {pid}` makes it again and reloads the jobfile"
    )
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
        sort::all(&mut sockets);
        sockets
    });
    let describe = |path: PathBuf| {
        // One that hangs is of no use here.
        let mut client = Client::connect_within(&Place::Socket(path.clone()), PATIENCE).ok()?;
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

/// Has a scheduler that does answer take its time.
pub(super) fn be_patient(client: &mut Client) -> anyhow::Result<()> {
    client.ask(&json!({ "do": "status" })).map_err(told)?;
    client.set_patience(Some(LONG_ANSWER)).map_err(told)
}

/// ` on web2`, if that host has done it and not the one that was asked.
pub(super) fn on_host(body: &Map<String, Value>) -> String {
    let host = body.get("host").and_then(Value::as_str);
    host.map(|host| format!(" on {}", clean(host))).unwrap_or_default()
}

/// A response, or a part of one, by its type.
pub(super) fn read<T: DeserializeOwned>(body: Map<String, Value>) -> anyhow::Result<T> {
    serde_json::from_value(Value::Object(body))
        .map_err(|error| anyhow!("the scheduler speaks another version: {error}"))
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
        if self.context.local {
            return argument::local_zone(self.context);
        }
        self.context.zones.shown_as(name).unwrap_or_else(Zone::utc)
    }

    /// A time in a sentence, with its offset.
    pub(super) fn moment(&self, time: &str, zone: &Zone) -> String {
        match instant(time) {
            Some(at) => words::moment(at.truncated(), self.now, zone),
            None => clean(time).into_owned(),
        }
    }

    /// A time in a table that says on whose clocks it is.
    pub(super) fn cell(&self, time: &str, zone: &Zone) -> String {
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
        words += &format!(" until {}", times.moment(until, zone));
    }
    if let Some(reason) = &paused.reason {
        words += &format!(": {}", clean(reason));
    }
    words
}

/// `2 jobs are for other hosts (only_on): a and b`
pub(super) fn not_here(jobs: &[String]) -> String {
    let mut names: Vec<String> = jobs.iter().take(5).map(|job| clean(job).into_owned()).collect();
    if jobs.len() > names.len() {
        names.push(format!("{} more", jobs.len() - names.len()));
    }
    let what = if jobs.len() == 1 { "1 job is" } else { &format!("{} jobs are", jobs.len()) };
    format!("{what} for other hosts (only_on): {}", words::list(&names))
}

/// ` of a and b`, or nothing if that is all.
pub(super) fn of(jobs: &[String]) -> String {
    let names: Vec<String> = jobs.iter().take(3).map(|job| clean(job).into_owned()).collect();
    match jobs.len() {
        0 => String::new(),
        1..=3 => format!(" of {}", words::list(&names)),
        many => format!(" of {many} jobs"),
    }
}

/// That the jobfile has changed on disk since it was loaded, at that time. `typed` is what was typed to
/// find the scheduler.
pub(super) fn edited(changed_since: &str, times: &Times<'_>, zone: &Zone, typed: &str) -> String {
    let loaded = times.moment(changed_since, zone);
    format!("changed on disk since it was loaded at {loaded}: `schedrs reload{typed}`")
}

/// The same of the jobfile that a command reads, by whoever runs it; `None`: nobody, or it is as it was.
/// Nobody is waited for long.
pub(super) fn edited_since(jobfile: Option<&Path>, context: &Context) -> Option<String> {
    let place = Place::Jobfile(locate::jobfile(jobfile).ok()?);
    let mut client = Client::connect_within(&place, PATIENCE).ok()?;
    let body = client.ask(&json!({ "do": "status" })).ok()?;
    let since = body.get("changed_since")?.as_str()?;
    let zone = super::argument::local_zone(context);
    Some(edited(since, &Times::new(context), &zone, &argument::option("-f", jobfile)))
}

/// `1 job`, `2 jobs`.
pub(in crate::cli) fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
