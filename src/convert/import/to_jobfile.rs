//! A draft as TOML, the way a person would write it: what all jobs say stands once in
//! `[defaults]`, comments stand above what they are about, and a job is a table of its own.

use std::collections::BTreeMap;
use std::fmt::Write;

use toml_writer::{TomlKeyBuilder, TomlStringBuilder};

use super::{DraftJob, Value};
use crate::core::sort;

/// Options that go to `[defaults]` when every job has the same. `user` is none of them: who runs
/// what should stand where it is looked for.
const SHARED: [&str; 5] = ["shell", "cwd", "misfire_grace_time", "clear_env", "notify"];

/// A line of `env = { ... }` is not made longer than this.
const WIDE: usize = 90;

/// The whole file, and the byte at which each job begins.
pub(super) fn jobfile(
    head: &[String],
    executors: &BTreeMap<String, u32>,
    mail: &BTreeMap<String, Vec<String>>,
    jobs: &[DraftJob],
    foot: &[String],
) -> (String, Vec<usize>) {
    let mut out = String::new();
    comments(&mut out, head);
    let shared = Shared::of(jobs);
    if let Some(timezone) = &shared.timezone {
        open(&mut out, "[scheduler]");
        entry(&mut out, "timezone", timezone);
    }
    for (name, to) in mail {
        open(&mut out, &format!("[notify.{name}]"));
        let to = match &**to {
            [one] => Value::Text(one.clone()),
            several => Value::Texts(several.to_vec()),
        };
        entry(&mut out, "mail", &to);
    }
    if !executors.is_empty() {
        open(&mut out, "[executors]");
        for (name, workers) in executors {
            let name = TomlKeyBuilder::new(name).as_default();
            entry(&mut out, &key(name), &Value::Raw(format!("{{ max_workers = {workers} }}")));
        }
    }
    if !shared.keys.is_empty() || !shared.env.is_empty() {
        // No header above `[defaults.env]` that has nothing to say.
        if !shared.keys.is_empty() || in_braces(&entries(&shared.env)).is_some() {
            open(&mut out, "[defaults]");
        }
        for (name, value) in &shared.keys {
            entry(&mut out, name, value);
        }
        env(&mut out, "defaults", &entries(&shared.env));
    }
    let mut starts = Vec::with_capacity(jobs.len());
    for job in jobs {
        starts.push(out.len());
        self::job(&mut out, job, &shared);
    }
    if !foot.is_empty() {
        blank(&mut out);
        comments(&mut out, foot);
    }
    (out, starts)
}

/// What every job says.
#[derive(Default)]
struct Shared {
    timezone: Option<Value>,
    keys: Vec<(&'static str, Value)>,
    env: BTreeMap<String, String>,
}

impl Shared {
    fn of(jobs: &[DraftJob]) -> Shared {
        let [first, rest @ ..] = jobs else { return Shared::default() };
        if rest.is_empty() {
            return Shared::default();
        }
        let same = |name: &str| {
            let value = first.get(name)?;
            rest.iter().all(|job| job.get(name) == Some(value)).then(|| value.clone())
        };
        let keys = SHARED.iter().filter_map(|name| Some((*name, same(name)?))).collect();
        let env = first
            .env
            .iter()
            .filter(|(name, value)| rest.iter().all(|job| job.env.get(*name) == Some(*value)));
        let env = sort::collect(env.map(|(name, value)| (name.clone(), value.clone())));
        Shared { timezone: same("timezone"), keys, env }
    }

    fn has(&self, name: &str) -> bool {
        name == "timezone" && self.timezone.is_some()
            || self.keys.iter().any(|(shared, _)| *shared == name)
    }
}

fn job(out: &mut String, job: &DraftJob, shared: &Shared) {
    blank(out);
    comments(out, &job.comments);
    let id = key(TomlKeyBuilder::new(&job.id).as_default());
    // Writing to a string never fails.
    let _ = writeln!(out, "[jobs.{id}]");
    for (name, value) in job.keys.iter().filter(|(name, _)| !shared.has(name)) {
        entry(out, name, value);
    }
    let own = job.env.iter().filter(|(name, _)| !shared.env.contains_key(*name));
    let own = sort::collect(own.map(|(name, value)| (name.clone(), value.clone())));
    let mut entries = entries(&own);
    entries.extend(job.secrets.iter().map(|(name, path)| {
        let name = key(TomlKeyBuilder::new(name).as_default());
        format!("{name} = {{ file = {} }}", toml(&Value::Text(path.clone())))
    }));
    env(out, &format!("jobs.{id}"), &entries);
}

/// The variables: in braces where they fit in a line, else a table below the one they belong to.
fn env(out: &mut String, table: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    if let Some(line) = in_braces(entries) {
        let _ = writeln!(out, "{line}");
        return;
    }
    open(out, &format!("[{table}.env]"));
    for entry in entries {
        let _ = writeln!(out, "{entry}");
    }
}

fn entries(env: &BTreeMap<String, String>) -> Vec<String> {
    env.iter()
        .map(|(name, value)| {
            let name = key(TomlKeyBuilder::new(name).as_default());
            format!("{name} = {}", toml(&Value::Text(value.clone())))
        })
        .collect()
}

/// The variables as one line, if it is not too long.
fn in_braces(entries: &[String]) -> Option<String> {
    let line = format!("env = {{ {} }}", entries.join(", "));
    (line.len() <= WIDE && !line.contains('\n')).then_some(line)
}

fn open(out: &mut String, header: &str) {
    blank(out);
    let _ = writeln!(out, "{header}");
}

/// An empty line, unless there is one or nothing stands above.
fn blank(out: &mut String) {
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
}

/// Comments, with empty lines where there were some, but never two.
fn comments(out: &mut String, comments: &[String]) {
    for comment in comments {
        let comment = comment.trim_end();
        if comment.is_empty() {
            blank(out);
            continue;
        }
        if !comment.starts_with('#') {
            out.push_str("# ");
        }
        // A comment of TOML may hold no control characters but tabs.
        out.extend(comment.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }));
        out.push('\n');
    }
}

fn entry(out: &mut String, name: &str, value: &Value) {
    let _ = writeln!(out, "{name} = {}", toml(value));
}

fn toml(value: &Value) -> String {
    match value {
        Value::Text(text) => string(TomlStringBuilder::new(text).as_default()),
        Value::Texts(texts) => {
            let texts: Vec<String> = texts
                .iter()
                .map(|text| string(TomlStringBuilder::new(text).as_default()))
                .collect();
            let line = format!("[{}]", texts.join(", "));
            if line.len() <= WIDE { line } else { format!("[\n    {},\n]", texts.join(",\n    ")) }
        }
        Value::List(values) => {
            let values: Vec<String> = values.iter().map(toml).collect();
            let line = format!("[{}]", values.join(", "));
            if line.len() <= WIDE { line } else { format!("[\n    {},\n]", values.join(",\n    ")) }
        }
        Value::Integer(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Raw(text) => text.clone(),
        Value::Table(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(name, value)| format!("{name} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

fn key(key: toml_writer::TomlKey<'_>) -> String {
    let mut text = String::new();
    let _ = toml_writer::WriteTomlKey::write_toml_key(&key, &mut text);
    text
}

fn string(value: toml_writer::TomlString<'_>) -> String {
    let mut text = String::new();
    let _ = toml_writer::WriteTomlValue::write_toml_value(&value, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is written is read again as it was meant, whatever stands in it.
    fn assert_read_again(command: &str, name: &str, value: &str, comment: &str) {
        let mut job = DraftJob { id: name.to_owned(), ..DraftJob::default() };
        job.comments.push(comment.to_owned());
        job.text("command", command);
        job.set("args", Value::Texts(vec![value.to_owned(), command.to_owned()]));
        job.env.insert(name.to_owned(), value.to_owned());
        let (text, _) =
            jobfile(&[], &BTreeMap::new(), &BTreeMap::new(), &[job], &[comment.to_owned()]);
        let read: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        let job = &read["jobs"][name];
        assert_eq!(job["command"].as_str(), Some(command), "{text}");
        assert_eq!(job["args"][0].as_str(), Some(value), "{text}");
        assert_eq!(job["env"][name].as_str(), Some(value), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn anything_can_be_written(
            command in any::<String>(), name in any::<String>(), value in any::<String>(),
            comment in any::<String>(),
        ) {
            assert_read_again(&command, &name, &value, &comment);
        }
    }

    #[test]
    fn a_header_that_says_nothing_is_not_written() {
        let job = |id: &str, value: &str| {
            let mut job = DraftJob { id: id.to_owned(), ..DraftJob::default() };
            job.env.insert("A".to_owned(), value.to_owned());
            job
        };
        let (short, long) = ("b", "b".repeat(WIDE));
        for (value, header) in [(short, "[defaults]\n"), (&long, "[defaults.env]\n")] {
            let (text, _) = jobfile(
                &[],
                &BTreeMap::new(),
                &BTreeMap::new(),
                &[job("a", value), job("b", value)],
                &[],
            );
            assert!(text.starts_with(header), "{text}");
        }
    }

    #[test]
    fn odd_strings_can_be_written() {
        for text in ["", "\n", "'''\"\"\"", "\u{0}", "\\", "a\r\nb", "\u{feff}", "\"\n", "\u{7f}"] {
            assert_read_again(text, text, text, text);
        }
    }
}
