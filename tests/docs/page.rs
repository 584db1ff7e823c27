//! A Markdown page as far as these tests care: the commands that it shows, what it says they print,
//! the files that it shows, its spans of code, its links and its headings.

use std::fs;
use std::path::{Path, PathBuf};

/// What begins a line of an indented block that is commands. Other such blocks are drawings.
const PROGRAMS: &[&str] =
    &["schedrs", "cargo", "sqlite3", "podman", "python3", "man", "ORDER_TIMEOUT=30s"];

/// A page.
pub(crate) struct Page {
    /// Its path in the package.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// Something that a page shows, in the order in which it does.
pub(crate) enum Shown {
    Command(Command),
    /// A jobfile, or a part of one.
    Jobfile {
        line: usize,
        text: String,
    },
    /// Requests to the control socket.
    Requests {
        line: usize,
        requests: Vec<String>,
    },
}

/// A command, or a script.
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) text: String,
    /// What the page says it prints; `None`: the page does not say.
    pub(crate) output: Option<Vec<String>>,
}

/// Every page there is.
pub(crate) fn all() -> Vec<Page> {
    let root = root();
    let mut names = vec![PathBuf::from("README.md"), PathBuf::from("CHANGELOG.md")];
    let entries = |dir| fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().path());
    let examples = entries("examples").map(|path| path.join("README.md"));
    for path in entries("doc").chain(examples.filter(|path| path.exists())) {
        if path.extension().is_some_and(|kind| kind == "md") {
            names.push(path.strip_prefix(&root).unwrap().to_owned());
        }
    }
    names.sort();
    let page = |name: PathBuf| Page {
        text: fs::read_to_string(root.join(&name)).unwrap(),
        name: name.to_str().unwrap().to_owned(),
    };
    names.into_iter().map(page).collect()
}

/// The directory of the package.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Lines that belong together: a fenced block with its language, or an indented one.
struct Block<'a> {
    line: usize,
    language: Option<&'a str>,
    lines: Vec<&'a str>,
}

impl Page {
    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines().enumerate().peekable();
        let mut after_blank = true;
        while let Some((number, line)) = lines.next() {
            if let Some(language) = line.strip_prefix("```") {
                let inside = lines.by_ref().map(|(_, line)| line);
                let inside = inside.take_while(|line| *line != "```").collect();
                blocks.push(Block { line: number + 2, language: Some(language), lines: inside });
            } else if let (true, Some(first)) = (after_blank, line.strip_prefix("    ")) {
                let mut inside = vec![first];
                while let Some((_, line)) = lines.peek() {
                    match line.strip_prefix("    ") {
                        Some(line) => inside.push(line),
                        None if line.is_empty() => inside.push(""),
                        None => break,
                    }
                    lines.next();
                }
                blocks.push(Block { line: number + 1, language: None, lines: inside });
            }
            after_blank = line.is_empty();
        }
        blocks
    }

    /// What it shows.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let mut shown = Vec::new();
        for block in self.blocks() {
            let Block { line, language, ref lines } = block;
            let first = lines.first().copied().unwrap_or("");
            let program = first.split(' ').next().unwrap_or("");
            match language {
                Some("console") => shown.extend(sessions(&block)),
                None if first.starts_with("$ ") => shown.extend(sessions(&block)),
                None if PROGRAMS.contains(&program) => shown.extend(commands(&block)),
                Some("toml") => {
                    shown.push(Shown::Jobfile { line, text: lines.join("\n") + "\n" });
                }
                None if first.starts_with("[jobs.") => {
                    shown.push(Shown::Jobfile { line, text: lines.join("\n") + "\n" });
                }
                Some("sh") => {
                    let command = Command { line, text: lines.join("\n"), output: None };
                    shown.push(Shown::Command(command));
                }
                Some("python") => {
                    let text = format!("python3 - <<'END'\n{}\nEND", lines.join("\n"));
                    shown.push(Shown::Command(Command { line, text, output: None }));
                }
                _ => {
                    let requests = lines.iter().map(|line| line.trim_start_matches("→ "));
                    let requests =
                        requests.filter(|line| line.starts_with("{") && line.contains("\"do\""));
                    let requests: Vec<String> = requests.map(str::to_owned).collect();
                    if !requests.is_empty() {
                        shown.push(Shown::Requests { line, requests });
                    }
                }
            }
        }
        shown
    }

    /// Its spans of code, each with its line.
    pub(crate) fn spans(&self) -> Vec<(usize, String)> {
        let mut spans = Vec::new();
        // A span may go on in the next line, a paragraph ends it.
        let mut line = 1;
        let mut fenced = false;
        for paragraph in self.text.split("\n\n") {
            let fences = paragraph.lines().filter(|line| line.starts_with("```")).count();
            if !fenced && fences == 0 && !paragraph.starts_with("    ") {
                let mut at = line;
                for (number, part) in paragraph.split('`').enumerate() {
                    if number % 2 == 1 {
                        spans.push((at, part.replace('\n', " ").replace("\\|", "|")));
                    }
                    at += part.matches('\n').count();
                }
            }
            fenced ^= fences % 2 == 1;
            line += paragraph.matches('\n').count() + 2;
        }
        spans
    }

    /// The targets of its links.
    pub(crate) fn links(&self) -> Vec<String> {
        let links = self.text.split("](").skip(1);
        links.filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned()).collect()
    }

    /// What a link can name after `#`.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        let anchor = |line: &str| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        };
        headings.map(anchor).collect()
    }
}

/// `$ COMMAND` lines, each with what it prints up to the next.
fn sessions(block: &Block<'_>) -> Vec<Shown> {
    let mut shown: Vec<Command> = Vec::new();
    for (number, line) in block.lines.iter().enumerate() {
        if let Some(text) = line.strip_prefix("$ ") {
            let (line, text) = (block.line + number, text.to_owned());
            shown.push(Command { line, text, output: Some(Vec::new()) });
        } else if let Some(Command { output: Some(output), .. }) = shown.last_mut() {
            output.push((*line).to_owned());
        }
    }
    for command in &mut shown {
        // Blank lines between two commands are no output, and what is not shown is not said.
        let output = command.output.get_or_insert_default();
        while output.last().is_some_and(String::is_empty) {
            output.pop();
        }
        if output.is_empty() {
            command.output = None;
        }
    }
    shown.into_iter().map(Shown::Command).collect()
}

/// A command a line. It goes on after a `\` and in quotes, and ends where a remark begins, three
/// spaces further on.
fn commands(block: &Block<'_>) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut begun: Option<Command> = None;
    for (number, line) in block.lines.iter().enumerate() {
        let command = match begun.take() {
            Some(mut command) => {
                command.text += &format!("\n{line}");
                command
            }
            None if line.is_empty() => continue,
            None => {
                let text = line.split("   ").next().unwrap_or_default().to_owned();
                Command { line: block.line + number, text, output: None }
            }
        };
        let goes_on = command.text.ends_with('\\') || command.text.matches('"').count() % 2 == 1;
        if goes_on { begun = Some(command) } else { shown.push(Shown::Command(command)) }
    }
    assert!(begun.is_none(), "line {}: a command does not end", block.line);
    shown
}
