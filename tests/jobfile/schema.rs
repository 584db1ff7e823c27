//! `schedrs schema`, and its copy in `doc/`, say what the reader says.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Bench, Running};
use serde_json::{Value, json};

fn schema() -> Value {
    let done = Running::start(&mut Bench::new("").command(&["schema"])).wait();
    assert_eq!(done.code, Some(0));
    serde_json::from_str(&done.out.join("\n")).unwrap()
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A jobfile as an editor's validator sees it: dates are texts.
fn read(text: &str) -> Value {
    fn convert(value: toml::Value) -> Value {
        match value {
            toml::Value::Datetime(moment) => moment.to_string().into(),
            toml::Value::Table(table) => {
                table.into_iter().map(|(key, value)| (key, convert(value))).collect()
            }
            toml::Value::Array(values) => values.into_iter().map(convert).collect(),
            other => serde_json::to_value(other).unwrap(),
        }
    }
    convert(toml::Value::Table(text.parse().unwrap()))
}

/// Whether a schema allows a value: draft 7, as far as ours goes. What it does not know is a panic.
fn allows(root: &Value, schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, rule)| {
        let list = || rule.as_array().unwrap().iter();
        let fits = |schema: &Value| allows(root, schema, value);
        let number = |bound: fn(f64, f64) -> bool| {
            value.as_f64().is_none_or(|number| bound(number, rule.as_f64().unwrap()))
        };
        let rule_size = || rule.as_u64().unwrap() as usize;
        match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "examples" | "definitions" => true,
            "$ref" => {
                fits(root.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap()).unwrap())
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is_of(one, value)),
                one => is_of(one, value),
            },
            "const" => value == rule,
            "enum" => list().any(|one| one == value),
            "allOf" => list().all(fits),
            "anyOf" => list().any(fits),
            "oneOf" => list().filter(|one| fits(one)).count() == 1,
            "required" => value.as_object().is_none_or(|object| {
                list().all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "properties" => value.as_object().is_none_or(|object| {
                object.iter().all(|(name, value)| {
                    rule.get(name).is_none_or(|schema| allows(root, schema, value))
                })
            }),
            "additionalProperties" => value.as_object().is_none_or(|object| {
                let others = object.iter().filter(|(name, _)| {
                    schema.get("properties").is_none_or(|known| known.get(name).is_none())
                });
                others.into_iter().all(|(_, value)| match rule {
                    Value::Bool(allowed) => *allowed,
                    schema => allows(root, schema, value),
                })
            }),
            "minProperties" => value.as_object().is_none_or(|object| object.len() >= rule_size()),
            "items" => value
                .as_array()
                .is_none_or(|values| values.iter().all(|value| allows(root, rule, value))),
            "minItems" => value.as_array().is_none_or(|values| values.len() >= rule_size()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= rule_size()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= rule_size()),
            "minimum" => number(|number, bound| number >= bound),
            "maximum" => number(|number, bound| number <= bound),
            "exclusiveMinimum" => number(|number, bound| number > bound),
            "pattern" => {
                assert_eq!(rule, SIZE, "this pattern is not known here");
                value.as_str().is_none_or(is_size)
            }
            other => panic!("{other} is not known here"),
        }
    })
}

/// The one pattern that there is.
const SIZE: &str = "^[0-9]+ *([kKmMgGtT]?i?[bB]?)$";

fn is_size(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let units = ["", "B", "K", "KB", "KIB", "M", "MB", "MIB", "G", "GB", "GIB", "T", "TB", "TIB"];
    unit.len() < text.len() && units.contains(&&*unit.trim_start().to_ascii_uppercase())
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("{other} is no type"),
    }
}

#[test]
fn the_copy_in_doc_is_current() {
    let copy = fs::read_to_string(package().join("doc/schedrs.schema.json")).unwrap();
    let copy: Value = serde_json::from_str(&copy).unwrap();
    assert!(copy == schema(), "write it anew: schedrs schema > doc/schedrs.schema.json");
    let example = fs::read_to_string(package().join("jobs.example.toml")).unwrap();
    let first = example.lines().next().unwrap();
    let path = first.strip_prefix("#:schema ").expect("the example names the schema");
    assert!(package().join(path).exists(), "{path}");
}

#[test]
fn it_allows_every_jobfile_there_is() {
    let schema = schema();
    let examples = fs::read_dir(package().join("examples")).unwrap();
    let mut files: Vec<PathBuf> = examples.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    assert!(files.len() >= 3);
    files.push(package().join("jobs.example.toml"));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(allows(&schema, &schema, &read(&text)), "{}", file.display());
    }
    let done = Running::start(&mut Bench::new("").command(&["init", "-"])).wait();
    assert!(allows(&schema, &schema, &read(&done.out.join("\n"))));
}

#[test]
fn it_knows_every_kind_of_value() {
    // (what stands in a job beside its command, whether it may)
    let rows = [
        ("interval = '5m'", true),
        ("interval = { hours = 2, minutes = 30 }", true),
        ("interval = {}", false),
        ("interval = { hour = 2 }", false),
        ("interval = 5", false),
        ("", false),
        ("interval = '5m'\ndate = 'now'", false),
        ("date = 2026-12-01", true),
        ("date = 2026-12-01T09:00:00Z", true),
        ("date = 5", false),
        ("cron = '0 3 * * *'", true),
        ("cron = ['0 3 * * *', '@daily']", true),
        ("cron = []", false),
        ("cron = { day = '3rd fri', hour = 9 }", true),
        ("cron = { days = 1 }", false),
        ("interval = '5m'\nretries = -1", false),
        ("interval = '5m'\nretries = '1'", false),
        ("interval = '5m'\nretry_backoff = 0.5", false),
        ("interval = '5m'\nretry_backoff = 1", true),
        ("interval = '5m'\noverlap = 'quue'", false),
        ("interval = '5m'\nmisfire_grace_time = 'forever'", true),
        ("interval = '5m'\nmisfire_grace_time = 60", false),
        ("interval = '5m'\nsuccess_codes = [0, 256]", false),
        ("interval = '5m'\nsuccess_codes = []", false),
        ("interval = '5m'\nenv = { A = 'x', B = { file = 'y' } }", true),
        ("interval = '5m'\nenv = { A = 5 }", false),
        ("interval = '5m'\nenv = { A = {} }", false),
        ("interval = '5m'\nuser = 33\ngroup = 'www-data'\numask = '022'\nnice = -5", true),
        ("interval = '5m'\nnice = 20", false),
        ("interval = '5m'\nlimits = { tasks = 20, cpu = 0.5, required = false }", true),
        ("interval = '5m'\nlimits = { tasks = 0 }", false),
        ("interval = '5m'\nlimits = { cpu = 0 }", false),
        ("interval = '5m'\nlimits = { ram = 5 }", false),
        ("interval = '5m'\nonly_if = { path = '/x', ac_power = false, load_below = 4 }", true),
        ("interval = '5m'\nonly_if = { disk_free = { path = '/', above = '5 GB' } }", true),
        ("interval = '5m'\nonly_if = { disk_free = { path = '/' } }", false),
        ("interval = '5m'\nonly_if = { disk_free = { path = '/', above = '5 %' } }", false),
        ("interval = '5m'\nonly_if = { command = ['test', '-e', '/x'] }\nwait_for = '30m'", true),
        ("interval = '5m'\nonly_if = { command = [] }", false),
        ("interval = '5m'\nonly_if = { load_below = 0 }", false),
        ("interval = '5m'\nonly_if = { user = 'x' }", false),
        ("interval = '5m'\nonly_if = true", false),
        ("interval = '5m'\nwait_for = 30", false),
        ("interval = '5m'\numask = 0o022", true),
        ("interval = '5m'\nshell = ['bash', '-eu']\nstdin = ''\npaused = true", true),
        ("interval = '5m'\npaused = 'true'", false),
        ("interval = { months = 1, day = 'last', hour = 9 }", true),
        ("interval = { weeks = 2, hour = 9, minute = 30 }", true),
        ("interval = { minutes = 10, from = 'end' }", true),
        ("after = 'b'\n[jobs.b]\ncommand = 'x'\ninterval = '1h'", true),
        (
            "after = { all = ['b'], on = 'failed', within = '6h' }\n[jobs.b]\ncommand = 'x'\ninterval = '1h'",
            true,
        ),
        ("after = { all = ['b'], on = 'maybe' }\n[jobs.b]\ncommand = 'x'\ninterval = '1h'", false),
        ("after = { on = 'failed' }", false),
        ("interval = { minutes = 10, from = 'middle' }", false),
        ("interval = { months = 1, hour = 24 }", false),
        ("any = [{ cron = '@daily' }, { interval = '5h', start_date = '2026-01-01' }]", true),
        ("all = [{ any = [{ cron = '@daily', timezone = 'UTC' }] }]", true),
        ("any = []", false),
        ("any = [{ cron = '@daily', interval = '5h' }]", false),
        ("any = [{ cron = '@daily' }]\ncron = '@daily'", false),
        ("interval = { months = 1, hours = 2 }", false),
        ("interval = '5m'\nnothing = 1", false),
    ];
    let schema = schema();
    for (keys, good) in rows {
        let text = format!("[jobs.a]\ncommand = 'x'\n{keys}\n");
        let bench = Bench::new(&text);
        let done = Running::start(&mut bench.command(&["validate", "jobs.toml"])).wait();
        assert_eq!(done.code == Some(0), good, "{keys}: {done:?}");
        assert_eq!(allows(&schema, &schema, &read(&text)), good, "{keys}");
    }
    let tops = [
        ("scheduler = { timezone = 'UTC', stop_grace = '5s' }", true),
        ("scheduler = { time_zone = 'UTC' }", false),
        ("store = { url = 'memory', keep = { runs = 100, days = 30 } }", true),
        ("executors = { default = {}, a = { max_workers = 2 } }", true),
        ("executors = { a = 2 }", false),
        ("defaults = { timeout = '5m' }", true),
        ("defaults = { command = 'x' }", false),
        ("include = ['none.d/*.toml']", true),
        ("include = 'none.d/*.toml'", true),
        ("job = {}", false),
    ];
    for (text, good) in tops {
        let bench = Bench::new(text);
        let done = Running::start(&mut bench.command(&["validate", "jobs.toml"])).wait();
        assert_eq!(done.code == Some(0), good, "{text}: {done:?}");
        assert_eq!(allows(&schema, &schema, &read(text)), good, "{text}");
    }
    assert!(!allows(&schema, &schema, &json!([])));
}
