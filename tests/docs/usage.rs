//! Whether what a text says of `schedrs`'s command line is so, by what `--help` says.

use std::collections::HashMap;

use crate::harness::schedrs;

/// Options that pages speak of and that are other programs'.
const OTHERS: &[&str] = &["--no-default-features", "--maintainer", "--locked", "--release"];

/// The subcommands, each with its help.
pub(crate) struct Known {
    helps: HashMap<String, String>,
    names: Vec<String>,
}

impl Known {
    /// Asks the program.
    pub(crate) fn ask() -> Known {
        let help = help(&[]).unwrap();
        let names = subcommands(&help);
        assert!(names.len() > 20, "{help}");
        let mut known = Known { helps: HashMap::new(), names };
        for name in &known.names {
            let text = self::help(&[name]).unwrap();
            for inner in subcommands(&text) {
                let whole = self::help(&[name, &inner]).unwrap();
                known.helps.insert(format!("{name} {inner}"), whole);
            }
            known.helps.insert(name.clone(), text);
        }
        known
    }

    pub(crate) fn subcommands(&self) -> &[String] {
        &self.names
    }

    /// What is wrong with the calls of schedrs in a command or a span of code.
    pub(crate) fn wrong_in(&self, text: &str) -> Option<String> {
        let text = text.replace("\\\n", " ");
        text.split(['\n', ';', '&'])
            .flat_map(|piece| piece.split(" | "))
            .filter_map(|piece| {
                let piece = piece.trim();
                // In prose the name of the program is often left out: `list --watch`.
                let (name, rest) = piece.split_once(' ')?;
                let is_short = self.helps.contains_key(name) && rest.contains("--");
                piece.strip_prefix("schedrs ").or(is_short.then_some(piece))
            })
            .find_map(|call| self.wrong_call(call))
    }

    fn wrong_call(&self, call: &str) -> Option<String> {
        let words = words(call);
        let mut words = words.iter().map(|word| word.trim_matches(['[', ']', '…', '.', ',']));
        let name = words.next().unwrap_or_default();
        if ["--help", "--version", "-V"].contains(&name) {
            return None;
        }
        let Some(help) = self.helps.get(name) else {
            return Some(format!("there is no subcommand {name}"));
        };
        let words: Vec<&str> = words.take_while(|word| *word != "--").collect();
        let inner = words.iter().find_map(|word| self.helps.get(&format!("{name} {word}")));
        let is_flag = |word: &&&str| word.starts_with('-') && word.chars().any(char::is_alphabetic);
        let unknown = words.iter().filter(is_flag).find(|word| {
            let flag = word.split('=').next().unwrap_or_default();
            // `-2h` is a time.
            let is_time = flag[1..].starts_with(|c: char| c.is_ascii_digit());
            !is_time && !has(help, flag) && !inner.is_some_and(|help| has(help, flag))
        });
        unknown.map(|word| format!("`schedrs {name}` has no {word}"))
    }

    /// What is wrong with a span that is a flag alone.
    pub(crate) fn wrong_flag(&self, span: &str) -> Option<String> {
        let flag = span.split([' ', '=']).next().unwrap_or_default();
        let is_known = !flag.starts_with("--")
            || OTHERS.contains(&flag)
            || self.helps.values().any(|help| has(help, flag));
        (!is_known).then(|| format!("no subcommand has {flag}"))
    }
}

fn help(words: &[&str]) -> Option<String> {
    let answer = schedrs(words).arg("--help").output().unwrap();
    answer.status.success().then(|| String::from_utf8(answer.stdout).unwrap())
}

/// The names below `Commands:`, or on the first page below the headings of its groups.
fn subcommands(help: &str) -> Vec<String> {
    let is_first = |line: &&str| ["Commands:", "Before you run anything:"].contains(line);
    let lines = help.lines().skip_while(|line| !is_first(line)).skip(1);
    let lines = lines.take_while(|line| *line != "Options:");
    let names = lines.filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let names = names.filter_map(|line| line.split(' ').next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Whether a help has a flag.
fn has(help: &str, flag: &str) -> bool {
    help.match_indices(flag).any(|(at, _)| {
        let before = help[..at].chars().next_back().unwrap_or(' ');
        let after = help[at + flag.len()..].chars().next().unwrap_or(' ');
        before == ' ' && !after.is_ascii_alphanumeric() && after != '-'
    })
}

/// As a shell splits it, roughly: what is in quotes is one word.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
