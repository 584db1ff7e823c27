//! Crontabs: of a user, of the system (with a user in each line), and those of supercronic.
//!
//! What counts is what cron does, not what its manual says: a variable counts from its line on, the
//! first `%` that is not escaped ends the command, and the rest is its standard input.

mod home;
mod notes;
mod schedule;
mod text;
mod variables;

use std::ops::Range;

pub use home::{run_at_home, run_at_own_home};
use text::split_percent;
pub(super) use text::{NOT_UTF8, NOT_UTF8_HELP, assignment, not_utf8, unusable};
use variables::State;

use super::{Draft, DraftJob, Value, id};
use crate::problem::{Place, Span};

/// What a file is, beside its text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The sixth word of each line is a user: `/etc/crontab`, `/etc/cron.d/*`.
    pub system: bool,
    /// Run the jobs as this user.
    pub user: Option<&'a str>,
}

/// Reads a crontab into a draft.
pub fn read(draft: &mut Draft<'_>, name: &str, text: &str, options: Options<'_>) {
    let file = draft.source(name, text);
    if let Some(at) = text.find('\0') {
        // Of a binary file, one line says as much as thousands.
        let help = "a crontab is a text file; this may be a binary or a damaged one".to_owned();
        draft.lost(file, Span::new(at, at + 1), "not converted: contains a NUL byte", Some(help));
        return;
    }
    let mut comments = std::mem::take(&mut draft.foot);
    comments.extend([format!("# from {name}"), String::new()]);
    let first_job = draft.jobs.len();
    let name = id::slug(name.rsplit('/').next().unwrap_or(name));
    let state = State::default();
    let mut reader = Reader { draft, file, options, comments, first_job, name, state };
    // Places count from the start of the file, with the mark of its encoding.
    let body = text.trim_start_matches('\u{feff}');
    let mut at = text.len() - body.len();
    for line in body.split_inclusive('\n') {
        reader.line(Line { text: line.trim_end_matches(['\n', '\r']), at });
        at += line.len();
    }
    let Reader { draft, comments, .. } = reader;
    draft.foot = comments;
}

/// A line, and the byte of the file it begins at.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    at: usize,
}

impl Line<'_> {
    fn span(self, range: Range<usize>) -> Span {
        Span::new(self.at + range.start, self.at + range.end)
    }

    fn whole(self) -> Span {
        let start = self.text.len() - self.text.trim_start().len();
        self.span(start..self.text.trim_end().len().max(start))
    }
}

struct Reader<'d, 'z, 'o> {
    draft: &'d mut Draft<'z>,
    file: u32,
    options: Options<'o>,
    /// Comments that wait for what they stand above.
    comments: Vec<String>,
    /// How many jobs there were before this file.
    first_job: usize,
    /// The name of the file, as part of an id.
    name: String,
    state: State,
}

impl Reader<'_, '_, '_> {
    fn line(&mut self, line: Line<'_>) {
        let text = line.text.trim();
        if not_utf8(text) {
            let help = NOT_UTF8_HELP.to_owned();
            self.draft.lost(self.file, line.whole(), NOT_UTF8, Some(help));
        } else if text.is_empty() || text.starts_with('#') {
            self.comments.push(text.to_owned());
        } else if let Some((name, value)) = assignment(text) {
            self.variable(line, name, value);
        } else {
            self.job(line);
        }
    }

    fn lost(&mut self, span: Span, message: impl Into<String>) {
        self.draft.lost(self.file, span, message, None);
    }

    fn noted(&mut self, span: Span, message: impl Into<String>) {
        self.draft.noted(self.file, span, message, None);
    }

    fn job(&mut self, line: Line<'_>) {
        let Some(when) = self.when(line) else { return };
        let at_reboot = when.value == Value::Text("@reboot".to_owned());
        if self.state.no_zone && when.key == "cron" && !at_reboot {
            self.lost(line.whole(), "not converted: the `CRON_TZ` above it is not a time zone");
            return;
        }
        let Some((user, rest)) = self.user(line, when.end) else { return };
        let typed = self.openbsd_flags(line, rest);
        let (command, stdin) = split_percent(typed);
        let kept = typed.strip_prefix(&command.replace('%', r"\%"));
        if kept.is_none_or(|after| after.starts_with('\\')) {
            let message = "two backslashes are read as one, as in Vixie cron and Debian's; cronie \
                           keeps both";
            self.noted(line.whole(), message);
        }
        if command.trim().is_empty() {
            self.lost(line.whole(), "not converted: there is no command");
            return;
        }
        self.notes_on_command(line, typed, &command);
        let mut job = DraftJob { oracle: when.oracle, ..DraftJob::default() };
        (job.id, job.more_id) = id::of_command(&command);
        if !job.id.contains(['-', '_']) && self.options.system {
            // `update` of `/etc/cron.d/awstats` is `awstats-update`.
            job.id = id::with_prefix(&self.name, &job.id);
        }
        if at_reboot {
            let message =
                "`@reboot` runs at each start of schedrs, not only when the machine starts";
            self.noted(line.whole(), message);
            job.id += "-reboot";
        }
        job.place = Some(Place { file: self.file, span: Some(line.whole()) });
        job.comments = std::mem::take(&mut self.comments);
        job.text("command", command.trim());
        job.keys.push((when.key, when.value));
        self.state.give(&mut job);
        if let Some(user) = user {
            self.run_as(line, &mut job, &user);
        }
        if let Some(stdin) = stdin {
            job.text("stdin", stdin);
        }
        job.env = self.state.env.clone();
        self.draft.jobs.push(job);
    }

    /// Whom a job runs as, and the line from its command on.
    fn user<'t>(&mut self, line: Line<'t>, at: usize) -> Option<(Option<String>, &'t str)> {
        let rest = line.text[at..].trim_start();
        if !self.options.system {
            return Some((self.options.user.map(str::to_owned), rest));
        }
        let at = line.text.len() - rest.len();
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        let word = &rest[..end];
        if word.is_empty() || word.contains(['/', '[', '=', '$', '"', '\'', '|', '&', '>']) {
            let help = "a user's crontab has no user in its lines: leave out `--system`";
            let message = match word {
                "" => "not converted: no user and no command".to_owned(),
                word => format!("not converted: `{word}` is where the user's name should be"),
            };
            let span = line.span(at..at + end);
            self.draft.lost(self.file, span, message, Some(help.to_owned()));
            return None;
        }
        Some((Some(word.to_owned()), rest[end..].trim_start()))
    }

    /// FreeBSD has `user:group/class`.
    fn run_as(&mut self, line: Line<'_>, job: &mut DraftJob, user: &str) {
        let (user, class) = user.split_once('/').unwrap_or((user, ""));
        let (user, group) = user.split_once(':').unwrap_or((user, ""));
        job.text("user", user);
        if !group.is_empty() {
            job.text("group", group);
        }
        if !class.is_empty() {
            self.noted(line.whole(), format!("the login class `{class}` is left out"));
        }
    }
}

#[cfg(test)]
mod tests;
