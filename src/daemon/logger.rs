//! The log: lines for people, or one JSON object a line, on stderr by way of `crate::output`.
//!
//! What is logged about runs carries keys (`event`, `job`, `run`, `due`, `started`, `lag_ms`,
//! `attempt`, `exit`, `signal`, `duration_ms`, `reason` and a few more): the JSON form writes them
//! all, the form for people puts the job and the run in front of its sentence. Which lines are
//! written is said by `SCHEDRS_LOG`, else `RUST_LOG`; `info` unless told.

use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

use env_logger::fmt::Formatter;
use env_logger::{Builder, Target, WriteStyle};
use log::Record;
use log::kv::{Key, Value, VisitSource, VisitValue};

use crate::clock;
use crate::output;
use crate::words;
use crate::zone::Zone;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A sentence a line, for people.
    #[default]
    Human,
    /// A JSON object a line, for programs.
    Json,
}

/// The zone that log lines give their time in; a reload may change it.
static ZONE: RwLock<Option<Zone>> = RwLock::new(None);

/// Starts logging, for the rest of the process's life. `quiet` is for warnings only, unless the
/// environment asks for more.
pub fn start(format: LogFormat, quiet: bool, colour: bool, zone: &Zone, output: output::Handle) {
    set_zone(zone);
    let filters = ["SCHEDRS_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|filters| !filters.is_empty()))
        .unwrap_or_else(|| if quiet { "warn" } else { "info" }.to_owned());
    let mut builder = Builder::new();
    builder
        .parse_filters(&filters)
        .target(Target::Pipe(Box::new(Pipe(output))))
        .write_style(if colour { WriteStyle::Always } else { WriteStyle::Never });
    match format {
        LogFormat::Human => builder.format(human),
        LogFormat::Json => builder.format(json),
    };
    // It fails only where a program that uses this as a library has a logger of its own.
    let _ = builder.try_init();
}

/// Changes the zone of the lines' times.
pub(super) fn set_zone(zone: &Zone) {
    *ZONE.write().unwrap_or_else(PoisonError::into_inner) = Some(zone.clone());
}

/// The time now, in the scheduler's zone.
fn time() -> String {
    let zone = ZONE.read().unwrap_or_else(PoisonError::into_inner);
    let now = clock::wall();
    match &*zone {
        Some(zone) => words::rfc3339(now.truncated(), zone),
        None => now.truncated().to_string(),
    }
}

fn human(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let style = out.default_level_style(record.level());
    write!(out, "{} {style}{:5}{style:#} ", time().replace('T', " "), record.level())?;
    let (mut job, mut run) = (None, None);
    let mut find = Each(|key: &str, value: serde_json::Value| match (key, value) {
        ("job", serde_json::Value::String(id)) => job = Some(id),
        ("run", number) => run = Some(number),
        _ => {}
    });
    // The visitor never fails.
    let _ = record.key_values().visit(&mut find);
    // An id may hold anything a TOML key may, line ends and control characters too.
    let job = job.map(|id| id.escape_debug().to_string().replace("\\'", "'"));
    match (job, run) {
        (Some(job), Some(run)) => write!(out, "{job} #{run}: ")?,
        (Some(job), None) => write!(out, "{job}: ")?,
        _ => {}
    }
    writeln!(out, "{}", record.args())
}

fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    // By hand, and not through a map, so that the keys stand in the order they were given in.
    let mut line = format!("{{\"time\":\"{}\"", time());
    let mut insert = |key: &str, value: serde_json::Value| {
        if !value.is_null() {
            line += &format!(",{}:{value}", serde_json::Value::from(key));
        }
    };
    insert("level", record.level().as_str().to_ascii_lowercase().into());
    // The visitor never fails.
    let _ = record.key_values().visit(&mut Each(&mut insert));
    insert("message", record.args().to_string().into());
    writeln!(out, "{line}}}")
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
