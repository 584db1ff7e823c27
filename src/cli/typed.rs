//! Commands that messages and pages quote, as somebody will type them: each has to be one. It is
//! compiled for tests only.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

use super::complete::line;

/// What stands in front of one.
const MARK: &str = "`schedrs ";

/// No command is longer, so that a lost backquote is found where it is.
const LONGEST: usize = 300;

/// A quoted command, and where it stands.
struct Quoted {
    file: PathBuf,
    line: usize,
    text: String,
    /// A message to a person, not a page or a comment, in which the name of a command may stand for it.
    is_message: bool,
}

fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files(&entry, ending, found);
        } else if entry.extension().is_some_and(|it| it == ending) {
            found.push(entry);
        }
    }
}

fn quoted() -> Vec<Quoted> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    files(&root.join("doc"), "md", &mut paths);
    files(&root.join("src"), "rs", &mut paths);
    let mut all = Vec::new();
    for file in paths {
        let text = fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices(MARK) {
            let rest = &text[at + 1..];
            // What this very file looks for.
            let Some(end) = rest.find('`').filter(|end| *end < LONGEST) else { continue };
            let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            all.push(Quoted {
                line: text[..at].lines().count().max(1),
                text: one_line(&rest[..end]),
                is_message: file.extension().is_some_and(|it| it == "rs")
                    && !text[begin..at].trim_start().starts_with("//"),
                file: file.clone(),
            });
        }
    }
    all
}

/// Over the ends of lines of a string, a comment and a paragraph.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(|line| {
        line.trim()
            .trim_start_matches("///")
            .trim_start_matches("//!")
            .trim_end_matches('\\')
            .trim()
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    // `{id}` of a message is a word, or the rest of one.
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((_, after)) = after.split_once('}') else { break };
        plain += before;
        if before.ends_with([' ', '/', '=']) {
            plain.push('x');
        }
        rest = after;
    }
    plain + rest
}

/// What is typed of it: not what it is piped into.
fn words(text: &str) -> Vec<String> {
    let typed = text.split(" | ").next().unwrap_or_default();
    let typed = typed.split(" > ").next().unwrap_or_default();
    line::words(&typed.replace("\\\"", "\""))
}

#[test]
fn what_is_quoted_can_be_typed() {
    let mut wrong = Vec::new();
    let all = quoted();
    assert!(all.len() > 100, "{}", all.len());
    for quoted in all {
        // How it is used in general: `schedrs history [JOB]`.
        if quoted.text.contains(['[', '…', '<'])
            || quoted.text.contains("...")
            || quoted.text.split(' ').any(|word| word.trim_matches('|').contains('|'))
        {
            continue;
        }
        let words = words(&quoted.text);
        let Err(error) = super::definition().try_get_matches_from(&words) else { continue };
        let is_name = words.len() <= 3 && !quoted.is_message;
        let is_fine = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
            // A command by its name, where nobody is asked to type it.
            ErrorKind::MissingRequiredArgument => is_name,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => is_name,
            // `-n N`.
            ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
                let is_option = words.last().is_some_and(|word| word.starts_with("--"));
                is_name && is_option
                    || words.iter().any(|word| word.chars().all(|c| c.is_ascii_uppercase()))
            }
            _ => false,
        };
        if !is_fine {
            let (file, line) = (quoted.file.display(), quoted.line);
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            wrong.push(format!("{file}:{line}: `{}`: {first}", quoted.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
