//! The log: lines for people, or one JSON object a line, on stderr by way of `crate::run::output`.
//!
//! What is logged about runs carries keys (`event`, `job`, `run`, `due`, `started`, `lag_ms`,
//! `attempt`, `exit`, `signal`, `duration_ms`, `reason` and a few more): the JSON form writes them
//! all, the form for people puts the job and the run in front of its sentence. Which lines are
//! written is said by `SCHEDRS_LOG`, else `RUST_LOG`; `info` unless told.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};

use env_logger::fmt::Formatter;
use env_logger::fmt::style::Style;
use env_logger::{Builder, Target, WriteStyle};
use log::kv::{Key, Value, VisitSource, VisitValue};
use log::{Level, Record};
use unicode_width::UnicodeWidthStr;

use crate::core::job::JobSet;
use crate::core::outcome;
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem;
use crate::run::output;
use crate::sys::clock;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A sentence a line, for people.
    #[default]
    Human,
    /// A JSON object a line, for programs.
    Json,
}

/// What to log, and how.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// For whom.
    pub format: LogFormat,
    /// Warnings only, unless the environment asks for more.
    pub quiet: bool,
    /// With colours.
    pub colour: bool,
    /// For people at a terminal: short times, columns, no word for the level.
    pub terminal: bool,
    /// What runs can be seen elsewhere: that it has started is not worth a line of its own.
    pub live: bool,
}

/// How lines look; a reload may change some of it.
struct Look {
    log: Log,
    zone: Zone,
    /// The width of the ids in front of lines on a terminal.
    column: usize,
}

static LOOK: RwLock<Option<Look>> = RwLock::new(None);

/// The day of the last line on a terminal, in days since 1970.
static DAY: AtomicI64 = AtomicI64::new(i64::MIN);

/// Where lines about no job begin on a terminal, and output of jobs too: behind the time.
const INDENT: &str = "         ";

/// Starts logging, for the rest of the process's life.
pub fn start(log: Log, zone: &Zone, output: output::Handle) {
    let look = Look { log, zone: zone.clone(), column: 0 };
    *LOOK.write().unwrap_or_else(PoisonError::into_inner) = Some(look);
    let filters = ["SCHEDRS_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|filters| !filters.is_empty()))
        // What a library says on the side means nothing without the place where it says it.
        .unwrap_or_else(|| if log.quiet { "warn" } else { "warn,schedrs=info" }.to_owned());
    let mut builder = Builder::new();
    builder
        .parse_filters(&filters)
        .target(Target::Pipe(Box::new(Pipe(output))))
        // Here it is known who gets colours; otherwise each line would be searched for them once more.
        .write_style(WriteStyle::Always);
    match log.format {
        LogFormat::Human if log.terminal => builder.format(terminal),
        LogFormat::Human => builder.format(human),
        LogFormat::Json => builder.format(json),
    };
    // It fails only where a program that uses this as a library has a logger of its own.
    let _ = builder.try_init();
}

/// Makes lines fit these jobs: the zone of their times, the width of their ids.
pub(super) fn set_jobs(set: &JobSet, output: &output::Handle) {
    if let Some(look) = &mut *LOOK.write().unwrap_or_else(PoisonError::into_inner) {
        look.zone = set.settings.zone.clone();
        if look.log.terminal {
            look.column = output::column_of(set.jobs.iter().map(|job| &*job.id));
            output.set_column(look.column);
        }
    }
}

fn with_look<T>(read: impl Fn(&Look) -> T) -> Option<T> {
    LOOK.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(read)
}

/// The zone that times are given in.
pub(super) fn zone() -> Zone {
    with_look(|look| look.zone.clone()).unwrap_or_else(Zone::utc)
}

/// Whether lines are for people at a terminal.
pub(super) fn is_for_terminal() -> bool {
    with_look(|look| look.log.terminal).unwrap_or(false)
}

/// The level at which it is logged that something has started.
pub(super) fn level_of_starts() -> log::Level {
    match with_look(|look| look.log.live) {
        Some(true) => log::Level::Debug,
        _ => log::Level::Info,
    }
}

/// The time now, in the scheduler's zone.
fn time() -> String {
    words::rfc3339(clock::wall().truncated(), &zone())
}

/// The job, the run and the event of a line.
fn whose(record: &Record<'_>) -> (Option<String>, Option<String>, Option<String>) {
    let (mut job, mut run, mut event) = (None, None, None);
    let mut find = Each(|key: &str, value: serde_json::Value| match (key, value) {
        ("job", serde_json::Value::String(id)) => job = Some(id),
        ("event", serde_json::Value::String(word)) => event = Some(word),
        ("run", number) if !number.is_null() => run = Some(number.to_string()),
        _ => {}
    });
    // The visitor never fails.
    let _ = record.key_values().visit(&mut find);
    // An id may hold what acts on a terminal.
    let job = job.map(|id| problem::clean(&id).into_owned());
    (job, run, event)
}

/// A line for a file or a pipe: complete in itself.
fn human(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let has_colour = with_look(|look| look.log.colour).unwrap_or(false);
    let style = if has_colour { out.default_level_style(record.level()) } else { Style::new() };
    write!(out, "{} {style}{:5}{style:#} ", time().replace('T', " "), record.level())?;
    match whose(record) {
        (Some(job), Some(run), _) => write!(out, "{job} #{run}: ")?,
        (Some(job), None, _) => write!(out, "{job}: ")?,
        (_, _, event) => return writeln!(out, "{}", message(record, event.as_deref())),
    }
    writeln!(out, "{}", problem::clean(&record.args().to_string()))
}

/// The sentence, which may name a file or a program whose name would act on a terminal, or look
/// like a line of its own. Only what is said at the start has lines, and cleans what it names.
fn message(record: &Record<'_>, event: Option<&str>) -> String {
    let text = record.args().to_string();
    match event {
        Some("starting") => problem::clean_lines(&text).into_owned(),
        _ => problem::clean(&text).into_owned(),
    }
}

/// A line for a terminal: what went well is quiet, what did not is loud.
fn terminal(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let now = clock::wall();
    let zone = zone();
    let wall = zone.wall_of(now);
    let (dim, off) = ("\x1b[2m", "\x1b[0m");
    let colour = with_look(|look| look.log.colour).unwrap_or(false);
    let paint = |code: &'static str| if colour { code } else { "" };
    let (dim, off) = (paint(dim), paint(off));

    let day = wall.div_euclid(86_400);
    let before = DAY.swap(day, Ordering::Relaxed);
    if before != day && before != i64::MIN {
        writeln!(out, "{dim}{INDENT}{}{off}", words::day(now, &zone))?;
    }
    let secs = wall.rem_euclid(86_400);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    write!(out, "{dim}{hour:02}:{minute:02}:{second:02}{off} ")?;

    let (job, run, event) = whose(record);
    let loud = match record.level() {
        Level::Error => paint("\x1b[1;31m"),
        Level::Warn => paint("\x1b[33m"),
        Level::Info => "",
        Level::Debug | Level::Trace => dim,
    };
    let Some(job) = job else {
        let text = message(record, event.as_deref()).replace('\n', &format!("\n{INDENT}"));
        let mark = match record.level() {
            Level::Error => "✗ ",
            Level::Warn => "· ",
            Level::Info | Level::Debug | Level::Trace => "",
        };
        return writeln!(out, "{loud}{mark}{text}{off}");
    };
    let column = with_look(|look| look.column).unwrap_or(0);
    let colour_of_job = output::colour_of(&job);
    let job = output::shown_id(&job);
    let gap = " ".repeat(column.saturating_sub(job.width()));
    let (mark, style) = match event.as_deref() {
        Some("succeeded") => (format!("{}✓{off}", paint("\x1b[32m")), dim),
        Some(word) => match outcome::mark_of(word).unwrap_or('·') {
            '✗' => {
                let red = paint("\x1b[1;31m");
                (format!("{red}✗{off}"), red)
            }
            mark => (format!("{loud}{mark}{off}"), loud),
        },
        None => (format!("{loud}·{off}"), loud),
    };
    let id = if colour { format!("\x1b[{colour_of_job}m{job}{off}") } else { job };
    let run = run.map(|run| format!("{dim} #{run}{off}")).unwrap_or_default();
    writeln!(
        out,
        "{id}{gap} {mark} {style}{}{off}{run}",
        problem::clean(&record.args().to_string())
    )
}

fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    // By hand, and not through a map, so that the keys stand in the order they were given in.
    let mut line = format!("{{\"time\":\"{}\"", time());
    let mut insert = |key: &str, value: serde_json::Value| {
        if !value.is_null() {
            // Into a string it cannot fail.
            let _ = write!(line, ",{}:{value}", serde_json::Value::from(key));
        }
    };
    insert("level", record.level().as_str().to_ascii_lowercase().into());
    // The visitor never fails.
    let _ = record.key_values().visit(&mut Each(&mut insert));
    insert("message", record.args().to_string().into());
    line.push('}');
    writeln!(out, "{}", problem::clean_json(line))
}

/// Calls a function for each key of a record.
struct Each<F>(F);

impl<'kvs, F: FnMut(&str, serde_json::Value)> VisitSource<'kvs> for Each<F> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        let mut convert = ToJson(serde_json::Value::Null);
        value.visit(&mut convert)?;
        self.0(key.as_str(), convert.0);
        Ok(())
    }
}

struct ToJson(serde_json::Value);

impl VisitValue<'_> for ToJson {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), log::kv::Error> {
        self.0 = value.to_string().into();
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), log::kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), log::kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), log::kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), log::kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), log::kv::Error> {
        self.0 = value.into();
        Ok(())
    }
}

/// Gives finished lines to the output thread, which alone may have to wait for a reader.
struct Pipe(output::Handle);

impl Write for Pipe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.log_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
