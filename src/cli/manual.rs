//! The man pages in `man/`, checked against the program: what can be derived from it stands between
//! two marks in the page, and is compared; the prose around is written by hand.
//!
//!     SCHEDRS_WRITE_MAN=1 cargo test --lib manual        writes the derived parts anew
//!
//! It is compiled for tests only.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use serde_json::Value;

use crate::cli;
use crate::jobfile::json_schema;
use crate::jobfile::keys::Key;

const BEGIN: &str = r#".\" begin derived: "#;
const END: &str = ".\\\" end derived\n";

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name)
}

/// A text in roff: nothing of it is an order.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    // A path or a variable is not to be hyphenated.
    let whole =
        |word: &str| if word.contains(['/', '$']) { format!("\\%{word}") } else { word.to_owned() };
    let text = text.split(' ').map(whole).collect::<Vec<String>>().join(" ");
    text.lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.into() })
        .collect::<Vec<String>>()
        .join("\n")
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", plain(text))
}

/// A text with `code` in bold.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { plain(part) }).collect()
}

/// Every subcommand with its options, and what its help says below them.
fn commands() -> String {
    let mut root = cli::definition();
    root.build();
    let mut text = String::new();
    add_commands(&root, &mut text);
    text
}

/// Those of a command, and below each of them its own.
fn add_commands(parent: &Command, text: &mut String) {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        if command.get_name() == "help" {
            continue;
        }
        *text += &format!(".SS \"{}\"\n", plain(&usage(command)).replace('"', "\\(dq"));
        let about = command.get_long_about().or(command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let paragraphs = about.split("\n\n").map(|paragraph| {
            let end = if paragraph.ends_with(['.', ':']) { "" } else { "." };
            format!("{}{end}\n", prose(&paragraph.replace('\n', " ")))
        });
        *text += &paragraphs.collect::<Vec<String>>().join(".PP\n");
        for arg in arguments(command, parent) {
            *text += &entry(arg);
        }
        let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        *text += &sections(&below);
        add_commands(command, text);
    }
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let lines: Vec<&str> = usage.lines().map(str::trim).collect();
    lines.first().copied().unwrap_or_default().to_owned()
}

/// What a subcommand takes, without what it has from the one above it.
fn arguments<'c>(command: &'c Command, parent: &'c Command) -> impl Iterator<Item = &'c Arg> {
    command.get_arguments().filter(|arg| {
        let inherited = |above: &Arg| above.get_id() == arg.get_id() && above.is_global_set();
        !arg.is_hide_set()
            && !parent.get_arguments().any(inherited)
            && !["help", "version"].contains(&arg.get_id().as_str())
    })
}

fn entry(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let values: Vec<String> = names.iter().map(|name| format!("\\fI{}\\fR", plain(name))).collect();
    let takes = arg.get_action().takes_values();
    let values = if takes { values.join(" ") } else { String::new() };
    let mut heads = Vec::new();
    heads.extend(arg.get_short().map(|short| bold(&format!("-{short}"))));
    heads.extend(arg.get_long().map(|long| bold(&format!("--{long}"))));
    let head = match (heads.is_empty(), values.is_empty()) {
        (true, _) => values,
        (false, true) => heads.join(", "),
        (false, false) => format!("{} {values}", heads.join(", ")),
    };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut about = prose(&help.replace('\n', " "));
    let known: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| takes && !value.is_hide_set())
        .map(|value| bold(value.get_name()))
        .collect();
    if !known.is_empty() {
        about += &format!(": {}", known.join(", "));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| plain(&value.to_string_lossy())).collect();
    if takes && !defaults.is_empty() && defaults != [""] {
        about += &format!(" [default: {}]", defaults.join(" "));
    }
    format!(".TP\n{head}\n{about}.\n")
}

/// The text below the options: paragraphs, lists of two columns, and commands.
fn sections(text: &str) -> String {
    let mut out = String::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        out += ".PP\n";
        let mut in_list = false;
        for line in paragraph.lines() {
            let body = line.trim_start();
            let depth = line.len() - body.len();
            match body.split_once("  ") {
                Some((key, about)) if depth == 2 => {
                    out += &format!(".TP\n{}\n{}\n", bold(key), prose(about.trim_start()));
                    in_list = true;
                }
                None if depth == 2 && !in_list => {
                    let lines = folded(body);
                    let lines: Vec<String> = lines.iter().map(|line| bold(line)).collect();
                    out += &format!(".RS 4\n.nf\n{}\n.fi\n.RE\n", lines.join("\n"));
                }
                _ if depth == 2 => {
                    out += &format!(".PP\n{}\n", prose(body));
                    in_list = false;
                }
                _ => out += &format!("{}\n", prose(body)),
            }
        }
    }
    out
}

/// A command as lines that a terminal of 80 columns has room for.
fn folded(command: &str) -> Vec<String> {
    const ROOM: usize = 66;
    let mut lines = vec![command.to_owned()];
    while let Some(last) = lines.last_mut().filter(|last| last.len() > ROOM) {
        let Some(at) = last[..ROOM].rfind(" | ").or(last[..ROOM].rfind(' ')) else { break };
        let rest = format!("    {}", last[at + 1..].trim_start());
        last.truncate(at);
        last.push_str(" \\");
        lines.push(rest);
    }
    lines
}

fn global_options() -> String {
    let mut root = cli::definition();
    root.build();
    let shown = root.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.map(entry).collect()
}

/// Every key of a job, from what the schema says of it.
fn keys() -> String {
    let schema = json_schema::schema();
    let keys = &schema["definitions"]["job"]["properties"];
    let mut text = String::new();
    for key in Key::ALL {
        let what = &keys[key.name()];
        let about = what["description"].as_str().unwrap_or_default();
        text += &format!(".TP\n{} = \\fI{}\\fR\n", bold(key.name()), plain(&kind(what)));
        text += &format!("{}.", prose(about));
        let default = match &what["default"] {
            Value::Null => String::new(),
            default => format!(" The default is {}.", bold(&default.to_string())),
        };
        text += &format!("{default}\n");
    }
    text
}

/// What a schema allows, in words.
fn kind(what: &Value) -> String {
    let list = |values: &Value, say: &dyn Fn(&Value) -> String| {
        let values: Vec<String> = values.as_array().into_iter().flatten().map(say).collect();
        values.join(" | ")
    };
    if let Some(reference) = what["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return if name == "moment" { "date".to_owned() } else { name.to_owned() };
    }
    for several in ["allOf", "anyOf"] {
        if what.get(several).is_some() {
            return list(&what[several], &kind);
        }
    }
    if what.get("enum").is_some() {
        return list(&what["enum"], &ToString::to_string);
    }
    if let Some(only) = what.get("const") {
        return only.to_string();
    }
    let number = |key: &str| what.get(key).map(ToString::to_string);
    match what["type"].as_str().unwrap_or_default() {
        "object" => "table".to_owned(),
        "array" => "array".to_owned(),
        "boolean" => "true | false".to_owned(),
        number_type @ ("integer" | "number") => match (number("minimum"), number("maximum")) {
            // Only a umask ends there, and nobody counts them in tens.
            (Some(low), Some(high)) if high == "511" => format!("{number_type} {low}..0o777"),
            (Some(low), Some(high)) => format!("{number_type} {low}..{high}"),
            (Some(low), None) => format!("{number_type} from {low}"),
            _ => number_type.to_owned(),
        },
        other => other.to_owned(),
    }
}

/// Compares the derived parts of a page with what they should be, or writes them.
fn check(name: &str, parts: &[(&str, String)]) {
    let path = page(name);
    let text = fs::read_to_string(&path).unwrap();
    let mut current = text.clone();
    for (part, derived) in parts {
        let mark = format!("{BEGIN}{part}\n");
        let from =
            current.find(&mark).unwrap_or_else(|| panic!("{name} has no {mark}")) + mark.len();
        let until = from + current[from..].find(END).unwrap_or_else(|| panic!("{name} has no end"));
        current.replace_range(from..until, derived);
    }
    if std::env::var_os("SCHEDRS_WRITE_MAN").is_some() {
        fs::write(path, current).unwrap();
    } else {
        assert!(
            current == text,
            "{name} is behind the program: SCHEDRS_WRITE_MAN=1 cargo test --lib manual"
        );
    }
}

#[test]
fn schedrs_1_is_current() {
    check("schedrs.1", &[("commands", commands()), ("options", global_options())]);
}

#[test]
fn schedrs_jobs_5_is_current() {
    check("schedrs-jobs.5", &[("keys", keys())]);
}

/// The text of a page without its orders.
fn words(name: &str) -> String {
    let text = fs::read_to_string(page(name)).unwrap();
    text.replace("\\%", "")
        .replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
        .replace("\\-", "-")
}

#[test]
fn everything_there_is_has_its_place() {
    let text = words("schedrs.1");
    let mut root = cli::definition();
    root.build();
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        assert!(name == "help" || text.contains(&format!("schedrs {name}")), "{name}");
        for long in arguments(command, &root).filter_map(Arg::get_long) {
            assert!(text.contains(&format!("--{long}")), "{name} --{long}");
        }
    }
    let text = words("schedrs-jobs.5");
    for key in Key::ALL {
        assert!(text.contains(&format!("\n{} = ", key.name())), "{}", key.name());
    }
    for section in
        ["include", "[scheduler]", "[store]", "[notify.", "[executors]", "[defaults]", "[jobs."]
    {
        assert!(text.contains(section), "{section}");
    }
}

#[test]
fn versions_and_lines_are_right() {
    for name in ["schedrs.1", "schedrs-jobs.5"] {
        let text = fs::read_to_string(page(name)).unwrap();
        let head = format!("\"schedrs {}\"", env!("CARGO_PKG_VERSION"));
        let first = text.lines().find(|line| line.starts_with(".TH ")).unwrap();
        assert!(first.contains(&head), "{first}");
        // What is not filled is cut off, or wrapped badly, beyond the width of a terminal.
        let mut filled = true;
        for line in text.lines() {
            filled = match line {
                ".nf" => false,
                ".fi" => true,
                _ => filled,
            };
            let width = line.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-").len();
            assert!(filled || width <= 68, "{name}: {line}");
        }
    }
}
