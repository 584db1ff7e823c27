//! Crontabs: of a user, of the system (with a user in each line), and those of supercronic.
//!
//! What counts is what cron does, not what its manual says: a variable counts from its line on, the
//! first `%` that is not escaped ends the command, and the rest is its standard input.

mod home;
mod schedule;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;

pub use home::run_at_home;
pub(super) use text::{NOT_UTF8, NOT_UTF8_HELP, assignment, not_utf8, unusable};
use text::{left_behind, split_percent};

use super::{Draft, DraftJob, Value, duration, id};
use crate::core::nearest;
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
        draft.lost(file, Span::new(at, at + 1), "not carried: there is a NUL byte", Some(help));
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

/// What the variables of the lines above say.
#[derive(Clone, Default)]
struct State {
    env: BTreeMap<String, String>,
    shell: Option<String>,
    home: Option<String>,
    timezone: Option<String>,
    /// The last `CRON_TZ` names no zone, so that nobody knows when the jobs below it are due.
    no_zone: bool,
    /// Minutes.
    random_delay: u32,
}

impl State {
    /// Gives a job what the variables above it say.
    fn give(&self, job: &mut DraftJob) {
        if let Some(timezone) = &self.timezone
            && job.get("cron").is_some()
        {
            job.text("timezone", timezone);
        }
        if self.random_delay > 0 {
            job.text("jitter", duration(u64::from(self.random_delay) * 60));
        }
        if let Some(shell) = &self.shell {
            job.text("shell", shell);
        }
        if let Some(home) = &self.home {
            job.text("cwd", home);
        }
    }
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

    fn variable(&mut self, line: Line<'_>, name: &str, value: &str) {
        // What stands above the variables is about the file.
        if self.draft.jobs.len() == self.first_job && self.first_job == 0 {
            self.draft.head.append(&mut self.comments);
        }
        if let Some(why) = unusable(name, value) {
            self.lost(line.whole(), format!("not carried: {why}"));
            return;
        }
        let state = &mut self.state;
        match name {
            "SHELL" => state.shell = (value != "/bin/sh").then(|| value.to_owned()),
            "HOME" => {
                state.home = Some(value.to_owned());
                state.env.insert(name.to_owned(), value.to_owned());
            }
            "CRON_TZ" => self.zone(line, value),
            "TZ" => {
                state.env.insert(name.to_owned(), value.to_owned());
                let help = "for the schedule as well, give the jobs a `timezone`".to_owned();
                let message = "`TZ` is what the command sees; cron does not go by it, and neither \
                               does the jobfile";
                self.draft.noted(self.file, line.whole(), message, Some(help));
            }
            "RANDOM_DELAY" => match value.trim().parse() {
                Ok(minutes) => state.random_delay = minutes,
                Err(_) => self.lost(line.whole(), "not carried: it is no number of minutes"),
            },
            "MAILTO" | "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" => {
                self.comments.push(format!("# {name}={value}"));
                let message = format!(
                    "`{name}` is kept as a comment: no mail is sent; what a job prints goes where \
                     its `output` says"
                );
                self.noted(line.whole(), message);
            }
            // `USER` is left to the crontab by cron, and set anew by cronie alone.
            "LOGNAME" if self.options.system || self.options.user.is_some() => {
                let message = "`LOGNAME` is left out: it is the name of the job's `user`, here as \
                               in cron";
                self.noted(line.whole(), message);
            }
            "LOGNAME" => {
                state.env.insert(name.to_owned(), value.to_owned());
                let message = "`LOGNAME` is the crontab's owner in cron, whatever stands here; a \
                               job without `user` gets it as written";
                self.noted(line.whole(), message);
            }
            _ => {
                state.env.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn zone(&mut self, line: Line<'_>, value: &str) {
        let found = self.draft.zones.find(value);
        self.state.no_zone = found.is_err();
        match found {
            Ok(_) => self.state.timezone = Some(value.to_owned()),
            Err(unknown) => {
                let near = nearest::zone(value, self.draft.zones);
                let help = near.map(|near| format!("did you mean `{near}`?"));
                let message = format!("not carried: {}", unknown.say(value));
                self.draft.lost(self.file, line.whole(), message, help);
            }
        }
    }

    fn job(&mut self, line: Line<'_>) {
        let Some(when) = self.when(line) else { return };
        let at_reboot = when.value == Value::Text("@reboot".to_owned());
        if self.state.no_zone && when.key == "cron" && !at_reboot {
            self.lost(line.whole(), "not carried: the `CRON_TZ` above it names no time zone");
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
            self.lost(line.whole(), "not carried: there is no command");
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
            let help = "a user's crontab has no user in its lines: leave `--system` out";
            let message = match word {
                "" => "not carried: there is no user and no command".to_owned(),
                word => format!("not carried: `{word}` stands where the user's name is to be"),
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

    /// What a command may not mean here; `typed` is what it was read from, to the end of the line.
    fn notes_on_command(&mut self, line: Line<'_>, typed: &str, command: &str) {
        if let Some(word) = left_behind(command) {
            let message = format!(
                "`{word}` leaves something behind, which cron lets go on: here it is ended when the \
                 job's main process ends"
            );
            let help = "run it in the foreground; a job may go on for as long as it likes";
            self.draft.noted(self.file, line.whole(), message, Some(help.to_owned()));
        }
        let word = command.split_whitespace().next().unwrap_or_default();
        if !self.options.system && ["root", "www-data", "nobody", "daemon"].contains(&word) {
            let help = "if this file has a user in each line, import it with `--system`";
            let at = line.text.len() - typed.len();
            let span = line.span(at..at + word.len());
            let message = format!("`{word}` is taken for the command's first word");
            self.draft.noted(self.file, span, message, Some(help.to_owned()));
        }
    }

    /// `-n`, `-q` and `-s` before the command, as OpenBSD has them.
    fn openbsd_flags<'t>(&mut self, line: Line<'_>, rest: &'t str) -> &'t str {
        let mut rest = rest;
        while let Some(word) = rest.split_whitespace().next()
            && let Some(flags) = word.strip_prefix('-')
            && !flags.is_empty()
            && flags.chars().all(|c| "nqs".contains(c))
        {
            let message = format!(
                "`-{flags}` is left out: nothing is mailed, every run is recorded, and a job runs \
                 once at a time anyway"
            );
            self.noted(line.whole(), message);
            rest = rest[word.len()..].trim_start();
        }
        rest
    }
}

#[cfg(test)]
mod tests;
