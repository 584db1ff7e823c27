//! Jobs as a crontab.
//!
//! With a user in each line (`/etc/cron.d`) as soon as one job has a `user`. Options that a crontab
//! has no words for become words of the command where a command of the system does the same:
//! `timeout`, `nice`, `cd`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use super::{Exported, Side, shell_quoted, whole_secs, with_own_home};
use crate::core::job::{Command, Job, JobSet, Options, Output, below_home};
use crate::core::names::SHORT_WEEKDAYS;
use crate::core::trigger::cron::Schedule;
use crate::core::trigger::{CronTrigger, DateTrigger, Trigger};
use crate::core::words::{expression, normalised};
use crate::jobfile::keys::Key;

/// A crontab, with the commands that do the same.
const SIDE: Side = Side { name: "a crontab", keys: &[Key::Umask, Key::Nice], settings: &[] };

/// The jobs of a set as a crontab.
pub fn crontab(set: &JobSet) -> Exported {
    let mut exported = Exported::default();
    let with_users = set.jobs.iter().any(|job| job.options.user.is_some());
    let mut out = String::new();
    let form = if with_users { "for /etc/cron.d: each line has a user" } else { "for `crontab -`" };
    // Writing to a string never fails.
    let _ = writeln!(out, "# {form}");
    out.push_str(
        "# cron starts a run even if the last one is still going, and catches up on nothing.\n",
    );
    let lines_for = headings(&set.jobs);
    let mut state = State {
        shell: "/bin/sh".to_owned(),
        zone: set.settings.zone.name().to_owned(),
        names: &lines_for,
        env: BTreeMap::new(),
    };
    for job in &set.jobs {
        let name = job.name.as_deref().unwrap_or(&job.id);
        let _ = writeln!(out, "\n# {}", one_line(name));
        let lines = schedules(job, &mut exported);
        let command = lines.as_ref().and_then(|_| command(job, set, &lines_for, &mut exported));
        let (Some(lines), Some(command)) = (lines, command) else {
            let why = exported.problems.last().map_or("", |unsaid| unsaid.message.as_str());
            let _ = writeln!(out, "# left out: {}", one_line(why));
            continue;
        };
        state.variables(job, &mut out, &mut exported);
        let user = if with_users {
            format!("{} ", job.options.user.as_deref().unwrap_or("root"))
        } else {
            String::new()
        };
        let paused = if job.options.paused { "# paused: " } else { "" };
        for line in lines {
            let _ = writeln!(out, "{paused}{line} {user}{command}");
        }
    }
    SIDE.note_rest(set, &mut exported);
    exported.text = out;
    exported
}

/// Variables that mean something to cron itself.
const OF_CRON: [&str; 10] = [
    "CONTENT_TRANSFER_ENCODING",
    "CONTENT_TYPE",
    "CRON_TZ",
    "HOME",
    "LOGNAME",
    "MAILFROM",
    "MAILTO",
    "RANDOM_DELAY",
    "SHELL",
    "USER",
];

/// The variables that lines of their own can set: a crontab sets them for all lines below, and takes
/// none back, so all jobs must have them.
fn headings(jobs: &[Arc<Job>]) -> BTreeSet<&str> {
    let Some((first, others)) = jobs.split_first() else { return BTreeSet::new() };
    let can_be = |name: &str, value: &str| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !OF_CRON.contains(&name)
            && name.chars().all(is_name)
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && value.trim() == value
            && !value.contains(['\n', '"', '\''])
            && value.len() < 900
    };
    let has =
        |job: &Job, name: &str| job.options.env.get(name).is_some_and(|value| can_be(name, value));
    let names = first.options.env.keys().map(|name| &**name);
    names.filter(|name| has(first, name) && others.iter().all(|job| has(job, name))).collect()
}

/// What the lines above say.
struct State<'a> {
    shell: String,
    zone: String,
    /// The variables that lines of their own set.
    names: &'a BTreeSet<&'a str>,
    env: BTreeMap<&'a str, Box<str>>,
}

impl State<'_> {
    /// Lines for what is other than before. Variables of a crontab count until they are set anew.
    fn variables(&mut self, job: &Job, out: &mut String, exported: &mut Exported) {
        let shell = own_shell(job).unwrap_or("/bin/sh").to_owned();
        if self.shell != shell {
            let _ = writeln!(out, "SHELL={shell}");
            self.shell = shell;
        }
        for name in self.names {
            let Some(value) = job.options.env.get(*name) else { continue };
            if self.env.get(name) != Some(value) {
                let quote = if value.is_empty() { "\"\"" } else { "" };
                let _ = writeln!(out, "{name}={quote}{value}");
                self.env.insert(name, value.clone());
            }
        }
        let zone = job.zone.name();
        // The machine's own zone may have no name, and is what cron goes by.
        let named = matches!(job.trigger, Trigger::Cron(_)) && job.zone.has_name();
        if named && self.zone != zone {
            let _ = writeln!(out, "CRON_TZ={zone}");
            exported
                .note(job, "only cronie supports `CRON_TZ`; Debian's cron uses the system's zone");
            zone.clone_into(&mut self.zone);
        }
    }
}

/// The shell that `SHELL` can name: cron looks for none in `PATH`, and gives it no words but its own.
fn own_shell(job: &Job) -> Option<&str> {
    match &*job.options.shell {
        [program] if program.starts_with('/') => Some(program),
        _ => None,
    }
}

/// The five fields, or several where it is due by any of several; `None` where they cannot say it.
fn schedules(job: &Job, exported: &mut Exported) -> Option<Vec<String>> {
    match &job.trigger {
        Trigger::Date(DateTrigger::Now | DateTrigger::Reboot) => Some(vec!["@reboot".to_owned()]),
        Trigger::Date(DateTrigger::At(_)) => {
            exported.left_out(job, "a crontab has no single date: see at(1)");
            None
        }
        Trigger::Interval(interval) => {
            let secs = interval.every().as_secs();
            let whole = interval.every().subsec_nanos() == 0;
            let fields = match secs {
                60.. if whole && secs % 60 == 0 && 3600 % secs == 0 => match secs / 60 {
                    1 => "* * * * *".to_owned(),
                    60 => "0 * * * *".to_owned(),
                    minutes => format!("*/{minutes} * * * *"),
                },
                3600.. if whole && 86_400 % secs == 0 && secs % 3600 == 0 => match secs / 3600 {
                    24 => "0 0 * * *".to_owned(),
                    hours => format!("0 */{hours} * * *"),
                },
                _ => {
                    let message = "a crontab has no such interval: it knows minutes that divide an \
                                   hour and hours that divide a day";
                    exported.left_out(job, message);
                    return None;
                }
            };
            if interval.end().is_some() {
                exported.left_out(job, "a crontab has no `end_date`");
                return None;
            }
            if let Some(start) = interval.start_date() {
                let grid = i64::try_from(secs).unwrap_or(i64::MAX);
                if start.subsec_micros() != 0 || job.zone.wall_of(start).rem_euclid(grid) != 0 {
                    let message = "a crontab counts an interval from the full hour or day, and not \
                                   from this `start_date`";
                    exported.left_out(job, message);
                    return None;
                }
                exported.note(job, "a crontab has no `start_date`: it is also due before that");
            }
            exported.note(job, "the interval counts from the full hour or day");
            Some(vec![fields])
        }
        Trigger::FromEnd(_) => {
            exported.left_out(job, "a crontab cannot count from the end of the last run");
            None
        }
        Trigger::After(_) => {
            exported.left_out(job, "a crontab has no jobs that are due after others");
            None
        }
        Trigger::Combined(_) => {
            exported.left_out(job, "a crontab cannot combine several triggers");
            None
        }
        Trigger::Calendar(_) => {
            exported.left_out(job, "a crontab cannot count months and days from a certain one");
            None
        }
        Trigger::Cron(cron) => cron_fields(job, cron, exported),
    }
}

fn cron_fields(job: &Job, cron: &CronTrigger, exported: &mut Exported) -> Option<Vec<String>> {
    if cron.start().is_some() || cron.end().is_some() {
        exported.left_out(job, "a crontab has no `start_date` and no `end_date`");
        return None;
    }
    let mut lines = Vec::new();
    for schedule in cron.schedules() {
        // Both day fields, as a table of its own would have it, may be sayable with a star.
        let Some(text) = without_table(schedule) else {
            exported.left_out(
                job,
                "a crontab cannot say this schedule: it knows no years and weeks, and of two day \
                 fields either may match",
            );
            return None;
        };
        if text.split(' ').count() != 5 {
            exported.left_out(job, "a crontab has no seconds");
            return None;
        }
        if text.contains(['L', 'W', '#']) {
            let message =
                "a crontab has no last days, nearest weekdays and nth weekdays of a month";
            exported.left_out(job, message);
            return None;
        }
        lines.push(match text.rsplit_once(' ') {
            Some((rest, weekdays)) => format!("{rest} {}", weekdays_for_cron(weekdays)),
            None => text,
        });
    }
    if lines.len() > 1 {
        exported.note(
            job,
            "its schedules become several lines, which start it twice when they coincide",
        );
    }
    Some(lines)
}

/// A schedule in the fields of a crontab, with the second first if it has one; `None` if they cannot
/// say it.
pub(super) fn without_table(schedule: &Schedule) -> Option<String> {
    if schedule.more().is_some_and(|more| !more.years.is_empty()) {
        return None;
    }
    let text = normalised(schedule).filter(|text| !text.starts_with('{'));
    text.or_else(|| starred(schedule))
}

/// A schedule in the five fields of which one day field begins with a star, so that both have to
/// match: `0 0 */2 * fri`.
fn starred(schedule: &Schedule) -> Option<String> {
    let months = schedule.months();
    expression(schedule, months).filter(|_| months != 0)
}

/// A field of weekdays without a range that ends on sunday. Vixie cron and Debian's have it as 0, so
/// that `sat-sun` is empty there, and the line never runs.
pub(super) fn weekdays_for_cron(field: &str) -> String {
    if !field.contains("-sun") {
        return field.to_owned();
    }
    // What begins with a star keeps its star, which makes both day fields count.
    if let Some((star, rest)) = field.split_once(',').filter(|_| field.starts_with('*')) {
        return format!("{star},{}", weekdays_for_cron(rest));
    }
    let number =
        |name: &str| SHORT_WEEKDAYS.iter().position(|known| *known == name).map(|at| at + 1);
    let mut days = [false; 7];
    for item in field.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Some(first), Some(last), Ok(step @ 1..)) =
            (number(first), number(last), step.parse::<usize>())
        else {
            return field.to_owned();
        };
        for day in (first..=last).step_by(step) {
            days[day % 7] = true;
        }
    }
    let mut items: Vec<String> = Vec::new();
    let mut day = 0;
    while day < 7 {
        let first = day;
        while day < 7 && days[day] {
            day += 1;
        }
        match day - first {
            0 => day += 1,
            1 => items.push(first.to_string()),
            2 => items.extend([first.to_string(), (first + 1).to_string()]),
            _ => items.push(format!("{first}-{}", day - 1)),
        }
    }
    items.join(",")
}

/// The command with everything around it, on one line.
fn command(
    job: &Job,
    set: &JobSet,
    headings: &BTreeSet<&str>,
    exported: &mut Exported,
) -> Option<String> {
    let options = &job.options;
    let shell = options.shell.iter().map(|word| shell_quoted(word)).collect::<Vec<_>>().join(" ");
    let mut wrappers = Vec::new();
    if let Some(nice) = options.nice {
        wrappers.push(format!("nice -n {nice}"));
    }
    if let Some(timeout) = options.timeout {
        let kill_after = whole_secs(options.kill_after);
        wrappers.push(format!("timeout -k {kill_after} {}", whole_secs(timeout)));
        exported
            .note(job, "`timeout` stops the command, but not processes it leaves in other groups");
    }
    let mut line = match &job.command {
        Command::Argv(words) => {
            let words: Vec<String> = words.iter().map(|word| shell_quoted(word)).collect();
            words.join(" ")
        }
        Command::Shell(text) if wrappers.is_empty() && own_shell(job).is_some() => text.to_string(),
        Command::Shell(text) => format!("{shell} -c {}", shell_quoted(text)),
    };
    if !wrappers.is_empty() {
        line = format!("{} {line}", wrappers.join(" "));
    }
    if options.output == Output::Discard {
        line = format!("{{ {line}; }} >/dev/null 2>&1");
    }
    let whole = before(options, headings) + &line;
    note_unsaid(job, set, &whole, exported);
    let stdin = options.stdin.as_deref();
    if whole.contains('\n') || whole.contains('\r') {
        exported.left_out(job, "a command in a crontab must be one line");
        return None;
    }
    let mut text = escaped(&whole, stdin.is_some());
    if text.matches('\\').count() > whole.matches('\\').count() + whole.matches('%').count() {
        let message = "two backslashes stand for one, as in Vixie cron and Debian's; cronie keeps \
                       both";
        exported.note(job, message);
    }
    if let Some(stdin) = stdin {
        let lines = stdin.strip_suffix('\n').unwrap_or(stdin);
        if lines.contains("\\\n") {
            exported.left_out(job, "a crontab cannot end a line of `stdin` with a backslash");
            return None;
        }
        let lines = lines.replace('%', r"\%");
        let _ = write!(text, "%{}", lines.replace('\n', "%"));
    }
    Some(text)
}

/// What the shell does first: the directory, the umask, variables.
fn before(options: &Options, headings: &BTreeSet<&str>) -> String {
    let mut before = String::new();
    // cron starts at home.
    let cwd = options.cwd.as_deref().map(|cwd| path_word(cwd, options));
    if let Some(cwd) = cwd.filter(|cwd| cwd != HOME) {
        // Not `&&`, after which the second command of `a; b` would run elsewhere.
        let _ = write!(before, "cd {cwd} || exit; ");
    }
    if let Some(umask) = options.umask {
        let _ = write!(before, "umask {umask:03o}; ");
    }
    for (name, value) in options.env.iter().filter(|(name, _)| !headings.contains(&***name)) {
        let _ = write!(before, "export {name}={}; ", shell_quoted(value));
    }
    for (name, path) in &options.secrets {
        let _ = write!(before, "export {name}=\"$(cat {})\"; ", path_word(path, options));
    }
    // Around what there is by now, and with no colon where that is nothing.
    for (name, joined) in &options.joined {
        let part = |part: &Option<Box<str>>| {
            part.as_deref().filter(|part| !part.is_empty()).map(shell_quoted)
        };
        let value = match (part(&joined.before), part(&joined.after)) {
            (None, None) => continue,
            (Some(first), None) => format!("{first}\"${{{name}:+:${name}}}\""),
            (None, Some(last)) => format!("\"${{{name}:+${name}:}}\"{last}"),
            (Some(first), Some(last)) => format!("{first}\"${{{name}:+:${name}}}\":{last}"),
        };
        let _ = write!(before, "export {name}={value}; ");
    }
    before
}

/// The home of the job, as a word for the shell.
const HOME: &str = "\"$HOME\"";

/// A path as a word for the shell.
fn path_word(path: &str, options: &Options) -> String {
    let path = with_own_home(path, options);
    match below_home(&path) {
        None => shell_quoted(&path),
        Some("") => HOME.to_owned(),
        Some(below) => format!("{HOME}{}", shell_quoted(below)),
    }
}

/// Says what the line does not say, or what is not there for it.
fn note_unsaid(job: &Job, set: &JobSet, whole: &str, exported: &mut Exported) {
    let options = &job.options;
    let mut unsaid = SIDE.lacks(job, set);
    unsaid.extend((options.output == Output::File).then_some("output"));
    let is_ended = options.timeout.is_some();
    unsaid.extend(
        (!is_ended && options.kill_after != Options::default().kill_after).then_some("kill_after"),
    );
    if !unsaid.is_empty() {
        exported.note(job, format!("a crontab has no {}", unsaid.join(", ")));
    }
    if whole.contains("SCHEDRS_") {
        exported.note(
            job,
            "its command reads a schedrs variable, `SCHEDRS_…`, which cron does not set",
        );
    }
}

/// A command as cron has to be given it. There `\%` is a percent sign, and of two backslashes one is
/// left; any other backslash stays what it is.
fn escaped(text: &str, stdin_follows: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut backslashes = 0;
    let flush = |out: &mut String, backslashes: &mut usize, special: bool| {
        let single = *backslashes == 1 && !special;
        let count = if single { 1 } else { *backslashes * 2 };
        out.extend(std::iter::repeat_n('\\', count));
        *backslashes = 0;
    };
    for c in text.chars() {
        if c == '\\' {
            backslashes += 1;
            continue;
        }
        flush(&mut out, &mut backslashes, c == '%');
        if c == '%' {
            out.push('\\');
        }
        out.push(c);
    }
    flush(&mut out, &mut backslashes, stdin_follows);
    out
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
