//! anacrontabs: `period delay identifier command`.
//!
//! anacron starts what has not been started for so many days, whenever it is called. The same here
//! is a schedule of the calendar with `misfire_grace_time = "forever"`: a due time that the machine
//! slept through is made up for when it is back.

use std::collections::BTreeMap;

use super::crontab::{NOT_UTF8, NOT_UTF8_HELP, assignment, not_utf8, unusable};
use super::{Draft, DraftJob, Oracle, Value, addresses, duration, id};
use crate::problem::{Place, Span};

/// Reads an anacrontab into a draft.
pub fn read(draft: &mut Draft<'_>, name: &str, text: &str) {
    let file = draft.source(name, text);
    let mut comments = std::mem::take(&mut draft.foot);
    comments.extend([format!("# from {name}"), String::new()]);
    let mut reader = Reader { draft, file, comments, state: State::default() };
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at + line.len() - line.trim_start().len();
        at += line.len();
        let line = line.trim();
        reader.line(line, Span::new(start, start + line.len()));
    }
    let Reader { draft, comments, .. } = reader;
    draft.foot = comments;
}

/// What the variables of the lines above say.
#[derive(Default)]
struct State {
    env: BTreeMap<String, String>,
    shell: Option<String>,
    home: Option<String>,
    /// The hour of the day to start at.
    hour: u32,
    /// Minutes.
    random_delay: u32,
    /// The route to whom `MAILTO` names.
    route: Option<String>,
}

struct Reader<'d, 'z> {
    draft: &'d mut Draft<'z>,
    file: u32,
    /// Comments that wait for what they stand above.
    comments: Vec<String>,
    state: State,
}

impl Reader<'_, '_> {
    fn line(&mut self, line: &str, span: Span) {
        if line.contains('\0') {
            self.lost(span, "not converted: contains a NUL byte in this line", None);
        } else if not_utf8(line) {
            self.lost(span, NOT_UTF8, Some(NOT_UTF8_HELP));
        } else if line.is_empty() || line.starts_with('#') {
            self.comments.push(line.to_owned());
        } else if let Some((name, value)) = assignment(line) {
            self.variable(span, name, value);
        } else {
            self.job(line, span);
        }
    }

    fn lost(&mut self, span: Span, message: impl Into<String>, help: Option<&str>) {
        self.draft.lost(self.file, span, message, help.map(str::to_owned));
    }

    fn noted(&mut self, span: Span, message: impl Into<String>) {
        self.draft.noted(self.file, span, message, None);
    }

    fn variable(&mut self, span: Span, name: &str, value: &str) {
        if let Some(why) = unusable(name, value) {
            self.lost(span, format!("not converted: {why}"), None);
            return;
        }
        // What stands above the variables is about the file.
        if self.draft.jobs.is_empty() {
            self.draft.head.append(&mut self.comments);
        }
        let state = &mut self.state;
        match name {
            "SHELL" => state.shell = (value != "/bin/sh").then(|| value.to_owned()),
            "RANDOM_DELAY" => match uncommented(value).parse() {
                Ok(minutes) => state.random_delay = minutes,
                Err(_) => self.lost(span, "not converted: it is not a number of minutes", None),
            },
            "START_HOURS_RANGE" => self.hours(span, uncommented(value)),
            "MAILTO" if value.is_empty() => state.route = None,
            "MAILTO" => match addresses(uncommented(value)) {
                Ok(to) => {
                    state.route = Some(self.draft.route(to));
                    let message = "`MAILTO` becomes a route: it hears of failures, and when the job \
                                   works again";
                    self.noted(span, message.to_owned());
                }
                Err(why) => self.lost(span, format!("not converted: {why}"), None),
            },
            "MAILFROM" | "NO_MAIL_OUTPUT" => {
                self.comments.push(format!("# {name}={value}"));
                self.noted(
                    span,
                    format!("`{name}` is kept as a comment: a notification has no such setting"),
                );
            }
            _ => {
                if name == "HOME" {
                    state.home = Some(value.to_owned());
                }
                state.env.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// `3-22`: of the hours to start in, the first.
    fn hours(&mut self, span: Span, range: &str) {
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|hour| *hour <= 24);
        let range = range.split_once('-');
        let range = range.and_then(|(first, last)| number(first).zip(number(last)));
        let Some((first, _)) = range else {
            let help = "two hours, as in `START_HOURS_RANGE=3-22`";
            self.lost(span, "not converted: not a range of hours", Some(help));
            return;
        };
        self.state.hour = first % 24;
        let message = "the hours to start in become the hour to start at: what is late starts when \
                       the machine is back, whatever the hour";
        self.noted(span, message);
    }

    fn job(&mut self, line: &str, span: Span) {
        let mut rest = line;
        let mut word = || {
            let trimmed = rest.trim_start();
            let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
            let word = &trimmed[..end];
            rest = &trimmed[end..];
            word
        };
        let (period, delay, identifier) = (word(), word(), word());
        let command = rest.trim();
        if command.is_empty() {
            let help = "period in days, delay in minutes, identifier, command";
            self.lost(span, "not converted: not an anacrontab line", Some(help));
            return;
        }
        let Ok(delay) = delay.parse::<u32>() else {
            let message = format!("not converted: the delay `{delay}` is not a number of minutes");
            self.lost(span, message, None);
            return;
        };
        let Some((key, schedule, due)) = self.schedule(period, delay) else {
            let help = "a number of days, @daily, @weekly, @monthly or @yearly";
            self.lost(span, format!("not converted: unknown period `{period}`"), Some(help));
            return;
        };
        self.noted(span, format!("{due}, not that many days after its last run"));
        let mut job = DraftJob { id: id::slug(identifier), ..DraftJob::default() };
        if job.id.is_empty() {
            (job.id, job.more_id) = id::of_command(command);
        }
        job.comments = std::mem::take(&mut self.comments);
        job.place = Some(Place { file: self.file, span: Some(span) });
        job.text("command", command);
        job.text(key, schedule);
        job.text("misfire_grace_time", "forever");
        self.state.give(&mut job);
        job.oracle = Oracle::None("anacron has no due times");
        self.draft.jobs.push(job);
    }

    /// The key that says when a job of this period is due, so many minutes after the hour to start
    /// at; its value; and both in English.
    fn schedule(&self, period: &str, delay: u32) -> Option<(&'static str, String, String)> {
        let minutes = self.state.hour * 60 + delay % (24 * 60);
        let time = format!("{} {}", minutes % 60, minutes / 60 % 24);
        let days = match period.to_ascii_lowercase().as_str() {
            "@daily" | "1" => "* * *",
            "@weekly" | "7" => "* * 0",
            "@monthly" => "1 * *",
            "@yearly" | "@annually" => "1 1 *",
            _ => {
                let days = period.parse::<u32>().ok().filter(|days| *days > 0)?;
                let due =
                    format!("it is due every {days} days from when the scheduler first sees it");
                return Some(("interval", duration(u64::from(days) * 86_400), due));
            }
        };
        let cron = format!("{time} {days}");
        let due = format!("it is due on the calendar (`{cron}`)");
        Some(("cron", cron, due))
    }
}

impl State {
    /// Gives a job what the variables above it say.
    fn give(&self, job: &mut DraftJob) {
        job.surround(self.random_delay, self.shell.as_deref(), self.home.as_deref());
        if let Some(route) = &self.route {
            job.set("notify", Value::Texts(vec![route.clone()]));
        }
        job.env = self.env.clone();
    }
}

/// A value without the comment that stands behind it.
fn uncommented(value: &str) -> &str {
    value.split_once('#').map_or(value, |(value, _)| value).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::instant::Instant;
    use crate::core::zone::Database;
    use crate::jobfile;

    fn imported(text: &str) -> (String, usize, usize) {
        let zones = Database::bundled();
        let mut draft = Draft::new(&zones);
        read(&mut draft, "t", text);
        let (written, problems, _) = draft.write();
        let loaded = jobfile::load_text("w", &written.text, &zones, Instant::from_secs(0));
        assert_eq!(loaded.problems.errors(), 0, "{}\n{:?}", written.text, loaded.problems);
        (written.text, problems.errors(), problems.warnings())
    }

    #[test]
    fn periods_become_schedules() {
        let text = "SHELL=/bin/sh\nHOME=/root\nSTART_HOURS_RANGE=3-22\n\n# daily things\n\
                    1\t5\tcron.daily\trun-parts --report /etc/cron.daily\n\
                    7 65 cron.weekly run-parts /etc/cron.weekly\n\
                    @monthly 15 cron.monthly x\n10 0 ten y\n";
        let (written, errors, warnings) = imported(text);
        assert_eq!((errors, warnings), (0, 5), "{written}");
        for part in [
            "# daily things\n[jobs.cron-daily]\ncommand = \"run-parts --report /etc/cron.daily\"\n\
             cron = \"5 3 * * *\"\n",
            "[jobs.cron-weekly]\ncommand = \"run-parts /etc/cron.weekly\"\ncron = \"5 4 * * 0\"\n",
            "cron = \"15 3 1 * *\"\n",
            "interval = \"10d\"\n",
            "misfire_grace_time = \"forever\"\n",
            "cwd = \"/root\"\n",
        ] {
            assert!(written.contains(part), "no {part:?} in\n{written}");
        }
        assert_eq!(written.matches("forever").count(), 1, "it is said once:\n{written}");
    }

    #[test]
    fn comments_may_stand_behind_numbers() {
        let text = "RANDOM_DELAY=45 # minutes\nSTART_HOURS_RANGE=3-22\t# by day\n1 5 x y\n";
        let (written, errors, _) = imported(text);
        assert_eq!(errors, 0, "{written}");
        for part in ["jitter = \"45m\"\n", "cron = \"5 3 * * *\"\n"] {
            assert!(written.contains(part), "no {part:?} in\n{written}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in [
            "RANDOM_DELAY=often\n",
            "START_HOURS_RANGE=morning\n",
            "1 5 x\n",
            "1 five x y\n",
            "0 5 x y\n",
            "@dialy 5 x y\n",
        ] {
            assert_eq!(imported(text).1, 1, "{text}");
        }
    }
}
