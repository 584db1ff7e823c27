//! anacrontabs: `period delay identifier command`.
//!
//! anacron starts what has not been started for so many days, whenever it is called. The same here
//! is a schedule of the calendar with `misfire_grace_time = "forever"`: a due time that the machine
//! slept through is made up for when it is back.

use std::collections::BTreeMap;

use super::crontab::{NOT_UTF8, NOT_UTF8_HELP, assignment, not_utf8, unusable};
use super::{Draft, DraftJob, Oracle, duration, id};
use crate::problem::{Place, Span};

/// Reads an anacrontab into a draft.
pub fn read(draft: &mut Draft<'_>, name: &str, text: &str) {
    let file = draft.source(name, text);
    let mut comments = std::mem::take(&mut draft.foot);
    comments.extend([format!("# from {name}"), String::new()]);
    let mut env = BTreeMap::new();
    let mut shell = None;
    let mut cwd = None;
    let (mut hour, mut random_delay) = (0, 0u64);
    let mut any = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at + line.len() - line.trim_start().len();
        at += line.len();
        let line = line.trim();
        let span = Span::new(start, start + line.len());
        if line.contains('\0') {
            draft.lost(file, span, "not carried: there is a NUL byte in this line", None);
            continue;
        }
        if not_utf8(line) {
            draft.lost(file, span, NOT_UTF8, Some(NOT_UTF8_HELP.to_owned()));
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            comments.push(line.to_owned());
            continue;
        }
        if let Some((name, value)) = assignment(line) {
            if let Some(why) = unusable(name, value) {
                draft.lost(file, span, format!("not carried: {why}"), None);
                continue;
            }
            if !any && draft.jobs.is_empty() {
                draft.head.append(&mut comments);
            }
            match name {
                "SHELL" => shell = (value != "/bin/sh").then(|| value.to_owned()),
                "RANDOM_DELAY" => match uncommented(value).parse() {
                    Ok(minutes) => random_delay = minutes,
                    Err(_) => {
                        let message = "not carried: it is no number of minutes";
                        draft.lost(file, span, message, None);
                    }
                },
                "START_HOURS_RANGE" => {
                    let range = uncommented(value).split_once('-');
                    let number =
                        |text: &str| text.trim().parse::<u32>().ok().filter(|hour| *hour <= 24);
                    let range = range.and_then(|(first, last)| number(first).zip(number(last)));
                    let Some((first, _)) = range else {
                        let help = "two hours, as in `START_HOURS_RANGE=3-22`".to_owned();
                        let message = "not carried: it is no range of hours";
                        draft.lost(file, span, message, Some(help));
                        continue;
                    };
                    hour = first % 24;
                    let message = "the hours to start in become the hour to start at: what is late \
                                   starts when the machine is back, whatever the hour";
                    draft.noted(file, span, message, None);
                }
                "MAILTO" | "MAILFROM" | "NO_MAIL_OUTPUT" => {
                    comments.push(format!("# {name}={value}"));
                    let message = format!("`{name}` is kept as a comment: no mail is sent");
                    draft.noted(file, span, message, None);
                }
                _ => {
                    if name == "HOME" {
                        cwd = Some(value.to_owned());
                    }
                    env.insert(name.to_owned(), value.to_owned());
                }
            }
            continue;
        }
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
            let message = "not carried: this is no line of an anacrontab";
            draft.lost(file, span, message, Some(help.to_owned()));
            continue;
        }
        let Ok(delay) = delay.parse::<u32>() else {
            let message = format!("not carried: the delay `{delay}` is no number of minutes");
            draft.lost(file, span, message, None);
            continue;
        };
        let mut job = DraftJob { id: id::slug(identifier), ..DraftJob::default() };
        if job.id.is_empty() {
            (job.id, job.more_id) = id::of_command(command);
        }
        job.comments = std::mem::take(&mut comments);
        job.place = Some(Place { file, span: Some(span) });
        job.text("command", command);
        let minutes = hour * 60 + delay % (24 * 60);
        let time = format!("{} {}", minutes % 60, minutes / 60 % 24);
        let days = match period.to_ascii_lowercase().as_str() {
            "@daily" | "1" => Some("* * *"),
            "@weekly" | "7" => Some("* * 0"),
            "@monthly" => Some("1 * *"),
            "@yearly" | "@annually" => Some("1 1 *"),
            _ => None,
        };
        let said = match (days, period.parse::<u64>()) {
            (Some(days), _) => {
                let cron = format!("{time} {days}");
                job.text("cron", &cron);
                format!("it is due on the calendar (`{cron}`)")
            }
            (None, Ok(days)) if days > 0 => {
                job.text("interval", duration(days * 86_400));
                format!("it is due every {days} days from when the scheduler first sees it")
            }
            _ => {
                let help = "a number of days, @daily, @weekly, @monthly or @yearly";
                let message = format!("not carried: there is no period `{period}`");
                draft.lost(file, span, message, Some(help.to_owned()));
                comments = job.comments;
                continue;
            }
        };
        let message = format!("{said}, and not so many days after its last run");
        draft.noted(file, span, message, None);
        job.text("misfire_grace_time", "forever");
        if random_delay > 0 {
            job.text("jitter", duration(random_delay * 60));
        }
        if let Some(shell) = &shell {
            job.text("shell", shell);
        }
        if let Some(cwd) = &cwd {
            job.text("cwd", cwd);
        }
        job.env = env.clone();
        job.oracle = Oracle::None("anacron has no due times");
        draft.jobs.push(job);
        any = true;
    }
    draft.foot = comments;
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
