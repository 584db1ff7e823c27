//! A file that is no jobfile but another scheduler's: what it is, so that `load` says that one thing
//! and not what every line of it would be wrong for as TOML.

use crate::problem::Span;

/// So many lines are looked at.
const MOST_LINES: usize = 40;

/// What a file is instead, and where that shows.
pub(super) struct Foreign {
    pub(super) at: Span,
    pub(super) message: &'static str,
    pub(super) help: &'static str,
}

const CRONTAB: (&str, &str) = (
    "this is a crontab line, not TOML",
    "`schedrs import crontab FILE > jobs.toml` converts a crontab",
);
const SYSTEMD: (&str, &str) = (
    "this is a systemd unit, not a jobfile",
    "`schedrs import systemd FILE > jobs.toml` converts timers and their services",
);
const KUBERNETES: (&str, &str) = (
    "this is a Kubernetes manifest, not a jobfile",
    "`schedrs import kubernetes FILE > jobs.toml` converts CronJobs",
);
const YAML: (&str, &str) =
    ("this is YAML, but a jobfile is TOML", "`schedrs init` writes a first jobfile");
const JSON: (&str, &str) = (
    "this is JSON, but a jobfile is TOML",
    "`schedrs import apscheduler FILE > jobs.toml` converts an APScheduler export",
);

/// Looks at the first lines of a text that cannot be read as a jobfile.
pub(super) fn recognise(text: &str) -> Option<Foreign> {
    let mut offset = 0;
    let mut first = true;
    for line in text.split_inclusive('\n').take(MOST_LINES) {
        let start = offset;
        offset += line.len();
        let line = line.trim_end();
        let indent = line.len() - line.trim_start().len();
        let content = line.trim_start();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if let Some((message, help)) = kind(content, indent, first) {
            let at = Span::new(start + indent, start + line.len());
            return Some(Foreign { at, message, help });
        }
        first = false;
    }
    None
}

/// What a line shows.
fn kind(line: &str, indent: usize, first: bool) -> Option<(&'static str, &'static str)> {
    if matches!(line, "[Unit]" | "[Timer]" | "[Service]" | "[Install]") {
        return Some(SYSTEMD);
    }
    if indent == 0 && is_cron(line) {
        return Some(CRONTAB);
    }
    if line.starts_with("apiVersion:") {
        return Some(KUBERNETES);
    }
    if first && (line == "---" || line.starts_with("%YAML") || is_yaml(line)) {
        return Some(YAML);
    }
    let is_object = line == "{" || line.starts_with("{\"") || line.starts_with("[{");
    (first && is_object).then_some(JSON)
}

/// `0 3 * * * command`, `@daily command`: TOML has no line that begins like that.
fn is_cron(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().take(6).collect();
    if line.starts_with('@') {
        return words.len() > 1 && !line.contains('=');
    }
    let of_field = |c: char| c.is_ascii_alphanumeric() || "*/,-?~#".contains(c);
    let is_field = |word: &&str| word.chars().all(of_field) && !word.is_empty();
    words.len() == 6
        && words[0].starts_with(|c: char| c.is_ascii_digit() || c == '*')
        && words[..5].iter().all(is_field)
}

/// `jobs:`, `name: backup`.
fn is_yaml(line: &str) -> bool {
    let Some((key, value)) = line.split_once(':') else { return false };
    let is_key =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    is_key && (value.is_empty() || value.starts_with(' ')) && !line.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_files_of_others() {
        let rows = [
            ("# m h\nMAILTO=root\n0 3 * * * /bin/backup\n", Some(CRONTAB)),
            ("@daily /bin/backup", Some(CRONTAB)),
            ("*/5 8-18 * * mon-fri root x", Some(CRONTAB)),
            ("[Unit]\nDescription=x\n", Some(SYSTEMD)),
            ("; x\n[Timer]\nOnCalendar=daily\n", Some(SYSTEMD)),
            ("apiVersion: batch/v1\nkind: CronJob\n", Some(KUBERNETES)),
            ("---\napiVersion: batch/v1\n", Some(YAML)),
            ("jobs:\n  a:\n    command: x\n", Some(YAML)),
            ("{\n  \"jobs\": {}\n}\n", Some(JSON)),
            ("[{\"id\": 1}]", Some(JSON)),
            // One slip in a jobfile.
            ("[jobs.a]\ncommand: \"x\"\n", None),
            ("[jobs.a]\ncommand = \"0 3 * * * x\"\n", None),
            ("[jobs.a]\ncommand = '''\n  0 3 * * * x\n'''\n", None),
            ("jobs.a = { cron = '* * * * *' }", None),
            ("", None),
            ("# only a comment", None),
        ];
        for (text, expected) in rows {
            let found = recognise(text).map(|foreign| (foreign.message, foreign.help));
            assert_eq!(found, expected, "{text}");
        }
    }
}
