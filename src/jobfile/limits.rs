//! `limits = { memory = "2GB", open_files = 4096 }`.

use std::sync::Arc;
use std::time::Duration;

use super::tree::{Node, Value};
use super::value::Scope;
use crate::core::limits::{KEYS, Limits};
use crate::problem::Problem;

/// In less than this no program can be executed.
const LEAST_MEMORY: u64 = 1 << 20;

/// More than any machine has, and within what the kernel takes.
const MOST_BYTES: u64 = 1 << 60;

/// No kernel lets a process have more open (`fs.nr_open`).
const MOST_FILES: i64 = 0x3fff_fff8;

/// No machine has more processors.
const MOST_CPUS: f64 = 100_000.0;

/// What others call them: `ulimit`, systemd, Docker, Kubernetes.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["nofile", "limit_nofile", "files", "max_files", "fds", "descriptors"],
        "did you mean `open_files`?",
    ),
    (&["nproc", "limit_nproc", "limitnproc", "max_processes"], "did you mean `processes`?"),
    (&["fsize", "limit_fsize", "max_file_size"], "did you mean `file_size`?"),
    (&["limit_core", "core_size", "core_file"], "did you mean `core`?"),
    (&["limit_cpu", "cpu_seconds", "cpu_limit_time"], "did you mean `cpu_time`?"),
    (
        &["mem", "ram", "rss", "max_memory", "memory_limit", "address_space"],
        "did you mean `memory`?",
    ),
    (&["memory_swap", "memory_swap_max", "swap_max"], "did you mean `swap`?"),
    (&["cpus", "cpu_quota", "cpu_limit", "processors"], "did you mean `cpu`?"),
    (&["pids", "pids_max", "pids_limit", "threads", "tasks_max"], "did you mean `tasks`?"),
    (&["timeout", "time", "runtime"], "how long a run may take is the job's `timeout`"),
    (
        &["io", "io_weight", "blkio", "read_bytes", "write_bytes"],
        "there is no limit for reading and writing",
    ),
];

/// The table; an empty one takes away that of `[defaults]`.
pub(super) fn limits(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Option<Arc<Limits>>> {
    let table = scope.table(value, "a table such as { memory = \"2GB\", open_files = 4096 }")?;
    let (mut limits, mut good) = (Limits::default(), !table.broken);
    for (key, value) in &table.entries {
        good &= one(&mut limits, &key.text, value, scope).unwrap_or_else(|| {
            if !KEYS.contains(&&*key.text) {
                scope.unknown_key_but(key.span, &key.text, &KEYS, ELSEWHERE);
            }
            false
        });
    }
    if good && limits.swap.is_some() && limits.memory.is_none() {
        let help = "`swap` is what may be used beside `memory`: write both";
        scope.error_help(value.span, "`swap` needs `memory`", help);
        return None;
    }
    if let Some((_, required)) = table.entries.iter().find(|(key, _)| key.text == "required")
        && good
        && table.entries.len() == 1
    {
        let message = "`required` is about the limits beside it, and there are none";
        scope.push(Problem::warning(scope.place(required.span), message));
    }
    let is_none = limits == Limits { required: limits.required, ..Limits::default() };
    good.then(|| (!is_none).then(|| Arc::new(limits)))
}

/// Sets one; `None`: it is not what it should be, which is said, or there is no such key.
fn one(limits: &mut Limits, key: &str, value: &Value<'_>, scope: &mut Scope<'_>) -> Option<bool> {
    let many = |scope: &mut Scope<'_>| Some(scope.integer(value, 1..=i64::MAX)? as u64);
    match key {
        "open_files" => {
            limits.open_files = Some(scope.integer(value, 1..=MOST_FILES)? as u64);
        }
        "core" => limits.core = Some(scope.bytes(value, 0..=MOST_BYTES, "10MB")?),
        "file_size" => limits.file_size = Some(scope.bytes(value, 0..=MOST_BYTES, "10GB")?),
        "processes" => limits.processes = Some(many(scope)?),
        "cpu_time" => limits.cpu_time = Some(cpu_time(value, scope)?),
        "memory" => limits.memory = Some(scope.bytes(value, LEAST_MEMORY..=MOST_BYTES, "2GB")?),
        "swap" => limits.swap = Some(scope.bytes(value, 0..=MOST_BYTES, "1GB")?),
        "cpu" => limits.cpu = Some(cpu(value, scope)?),
        "tasks" => limits.tasks = Some(many(scope)?),
        "required" => limits.required = scope.boolean(value)?,
        _ => return None,
    }
    Some(true)
}

/// The kernel counts it in seconds.
fn cpu_time(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Duration> {
    let most = scope.duration(value)?;
    if most.subsec_nanos() == 0 && !most.is_zero() {
        return Some(most);
    }
    let help = "for the time of the clock there is `timeout`";
    scope.error_help(value.span, "processor time is limited in whole seconds, from 1s", help);
    None
}

/// How many processors, in thousandths.
fn cpu(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<u32> {
    const WANTED: &str = "a number of processors such as 1.5";
    let number = match &value.node {
        Node::Float(number) => *number,
        Node::Integer(number) => *number as f64,
        Node::String(text) if text.trim_end().ends_with('%') => {
            let percent = text.trim_end().trim_end_matches('%').trim_end().parse::<f64>();
            let message = format!("expected {WANTED}, found a string");
            match percent {
                Ok(percent) => {
                    let help = format!("write `{}`", percent / 100.0);
                    scope.error_help(value.span, message, help);
                }
                Err(_) => scope.error(value.span, message),
            }
            return None;
        }
        _ => {
            scope.wrong_type(value, WANTED);
            return None;
        }
    };
    // The kernel takes no less than 1 ms of each tenth of a second.
    if (0.01..=MOST_CPUS).contains(&number) {
        return Some((number * 1000.0).round() as u32);
    }
    scope.error(value.span, format!("{number} is out of range, expected a number from 0.01"));
    None
}
