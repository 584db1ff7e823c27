//! Jobs as a crontab.
//!
//! With a user in each line (`/etc/cron.d`) as soon as one job has a `user`. Options that a crontab
//! has no words for become words of the command where a command of the system does the same:
//! `timeout`, `nice`, `cd`.

use std::fmt::Write;

use super::{Exported, shell_quoted, unknown_there, whole_secs};
use crate::core::job::{Command, Grace, Job, JobSet, Output};
use crate::core::names::SHORT_WEEKDAYS;
use crate::core::trigger::cron::Schedule;
use crate::core::trigger::{CronTrigger, DateTrigger, Trigger};
use crate::core::words::{expression, normalised};

/// The jobs of a set as a crontab.
pub fn crontab(set: &JobSet) -> Exported {
    let mut exported = Exported::default();
    let with_users = set.jobs.iter().any(|job| job.options.user.is_some());
    let mut out = String::new();
    let form = if with_users { "for /etc/cron.d: each line has a user" } else { "for `crontab -`" };
    // Writing to a string never fails.
    let _ = writeln!(out, "# {form}");
    out.push_str("# cron starts a run although the last one goes on, and makes up for nothing.\n");
    let mut state =
        State { shell: "/bin/sh".to_owned(), zone: set.settings.zone.name().to_owned() };
    for job in &set.jobs {
        let name = job.name.as_deref().unwrap_or(&job.id);
        let _ = writeln!(out, "\n# {}", one_line(name));
        let lines = schedules(job, &mut exported);
        let command = lines.as_ref().and_then(|_| command(job, &mut exported));
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
    exported.text = out;
    exported
}

/// What the lines above say.
struct State {
    shell: String,
    zone: String,
}

impl State {
    /// Lines for what is other than before. Variables of a crontab count until they are set anew.
    fn variables(&mut self, job: &Job, out: &mut String, exported: &mut Exported) {
        let shell = own_shell(job).unwrap_or("/bin/sh").to_owned();
        if self.shell != shell {
            let _ = writeln!(out, "SHELL={shell}");
            self.shell = shell;
        }
        let zone = job.zone.name();
        // The machine's own zone may have no name, and is what cron goes by.
        let named = matches!(job.trigger, Trigger::Cron(_)) && job.zone.has_name();
        if named && self.zone != zone {
            let _ = writeln!(out, "CRON_TZ={zone}");
            exported
                .note(job, "`CRON_TZ` is known to cronie; Debian's cron goes by the system's zone");
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
                exported.note(job, "a crontab has no `start_date`: it is due before that as well");
            }
            exported.note(job, "the interval counts from the full hour or day");
            Some(vec![fields])
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
        let text = normalised(schedule).filter(|text| !text.starts_with('{'));
        let Some(text) = text.or_else(|| starred(schedule)) else {
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
        exported.note(job, "its schedules are several lines, which start it twice where they meet");
    }
    Some(lines)
}

/// A schedule in the five fields of which one day field begins with a star, so that both have to
/// match: `0 0 */2 * fri`.
pub(super) fn starred(schedule: &Schedule) -> Option<String> {
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
fn command(job: &Job, exported: &mut Exported) -> Option<String> {
    let options = &job.options;
    let shell = options.shell.iter().map(|word| shell_quoted(word)).collect::<Vec<_>>().join(" ");
    let mut wrappers = Vec::new();
    if let Some(nice) = options.nice {
        wrappers.push(format!("nice -n {nice}"));
    }
    if let Some(timeout) = options.timeout {
        let kill_after = whole_secs(options.kill_after);
        wrappers.push(format!("timeout -k {kill_after} {}", whole_secs(timeout)));
        exported.note(job, "`timeout` ends the command, and not what it leaves in other groups");
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
    let mut before = String::new();
    if let Some(cwd) = &options.cwd {
        // Not `&&`, after which the second command of `a; b` would run elsewhere.
        let _ = write!(before, "cd {} || exit; ", shell_quoted(cwd));
    }
    if let Some(umask) = options.umask {
        let _ = write!(before, "umask {umask:03o}; ");
    }
    for (name, value) in &options.env {
        let _ = write!(before, "export {name}={}; ", shell_quoted(value));
    }
    for (name, path) in &options.secrets {
        let _ = write!(before, "export {name}=\"$(cat {})\"; ", shell_quoted(path));
    }
    let mut unsaid = unknown_there(options);
    unsaid.extend((options.output == Output::File).then_some("output"));
    unsaid.extend(options.group.as_ref().map(|_| "group"));
    unsaid.extend(options.env_file.as_ref().map(|_| "env_file"));
    unsaid.extend((!options.jitter.is_zero()).then_some("jitter"));
    unsaid.extend((!options.spread.most.is_zero()).then_some("spread"));
    unsaid.extend(options.run_on_start.then_some("run_on_start"));
    unsaid.extend((options.misfire_grace_time == Grace::Forever).then_some("misfire_grace_time"));
    if !unsaid.is_empty() {
        exported.note(job, format!("a crontab has no {}", unsaid.join(", ")));
    }
    let whole = before + &line;
    if whole.contains("SCHEDRS_") {
        exported.note(
            job,
            "its command reads a variable of ours, `SCHEDRS_…`, which cron does not set",
        );
    }
    let stdin = options.stdin.as_deref();
    if whole.contains('\n') || whole.contains('\r') {
        exported.left_out(job, "a command of a crontab is one line");
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
mod tests {
    use super::*;
    use crate::convert::import::{Draft, crontab as importer};
    use crate::core::instant::Instant;
    use crate::core::zone::Database;
    use crate::jobfile;

    fn set(text: &str) -> JobSet {
        let zones = Database::bundled();
        let loaded = jobfile::load_text("x", text, &zones, Instant::from_secs(1_795_564_800));
        loaded.set.unwrap_or_else(|| panic!("{text}: {:?}", loaded.problems))
    }

    #[test]
    fn jobs_become_lines() {
        let rows = [
            ("command = 'x'\ncron = '*/5 9-17 * * mon-fri'", "*/5 9-17 * * mon-fri x\n"),
            ("command = 'date +%F'\ncron = '@daily'", "0 0 * * * date +\\%F\n"),
            (r"command = 'a\d\\e\%f'CRON", r"0 3 * * * a\d\\\\e\\\%fEND"),
            (r"command = 'a\'CRONstdin = 'x\%'", r"0 3 * * * a\\%x\\%END"),
            ("command = ['a', 'b c']\ncron = '0 3 * * *'", "0 3 * * * a 'b c'\n"),
            ("command = 'x'\ncron = '@reboot'", "@reboot x\n"),
            ("command = 'x'\ncron = '0 3 * * 6,7'", "0 3 * * 0,6 x\n"),
            ("command = 'x'\ncron = '0 3 * * 2-7'", "0 3 * * 0,2-6 x\n"),
            ("command = 'x'\ncron = '0 3 * * fri-mon'", "0 3 * * 0,1,5,6 x\n"),
            ("command = 'x'\ncron = '0 3 * * mon,wed,fri,sun'", "0 3 * * mon,wed,fri,sun x\n"),
            ("command = 'x'\ncron = '0 3 * * 7'", "0 3 * * sun x\n"),
            ("command = 'x'\ninterval = '15m'", "*/15 * * * * x\n"),
            ("command = 'x'\ninterval = '6h'", "0 */6 * * * x\n"),
            ("command = 'x'\ncron = '0 3 * * *'\nuser = 'bob'", "0 3 * * * bob x\n"),
            (
                "command = 'a; b'\ncron = '0 3 * * *'\nnice = 5",
                "0 3 * * * nice -n 5 /bin/sh -c 'a; b'\n",
            ),
            (
                "command = ['a']\ncron = '0 3 * * *'\ntimeout = '1m 30s'\ncwd = '/s v'",
                "0 3 * * * cd '/s v' || exit; timeout -k 10 90 a\n",
            ),
            (
                "command = 'a; b'\ncron = '0 3 * * *'\ncwd = '/s'\nenv = { A = 'b' }",
                "0 3 * * * cd /s || exit; export A=b; a; b\n",
            ),
            (
                "command = 'x'\ncron = '0 3 * * *'\nenv = { A = 'b c' }",
                "0 3 * * * export A='b c'; x\n",
            ),
            ("command = 'x'\ncron = '0 3 * * *'\nstdin = \"a\\nb%\\n\"", "0 3 * * * x%a%b\\%\n"),
            (
                "command = 'x'\ncron = '0 3 * * *'\noutput = 'discard'",
                "0 3 * * * { x; } >/dev/null 2>&1\n",
            ),
            ("command = 'x'\ncron = '0 3 * * *'\npaused = true", "# paused: 0 3 * * * x\n"),
            (
                "command = 'x'\ncron = '0 3 * * *'\ntimezone = 'Asia/Tokyo'",
                "CRON_TZ=Asia/Tokyo\n0 3 * * * x\n",
            ),
            (
                "command = 'x'\ncron = '0 3 * * *'\nshell = '/bin/bash'",
                "SHELL=/bin/bash\n0 3 * * * x\n",
            ),
            ("command = 'x'\ncron = '0 3 * * *'\nshell = 'bash'", "a\n0 3 * * * bash -c x\n"),
        ];
        for (job, expected) in rows {
            let (job, expected) =
                (job.replace("CRON", "\ncron = '0 3 * * *'\n"), expected.replace("END", "\n"));
            let exported = crontab(&set(&format!("[jobs.a]\n{job}\n")));
            assert!(exported.text.ends_with(&expected), "{job}:\n{}", exported.text);
            assert!(exported.is_whole(), "{job}");
        }
    }

    #[test]
    fn what_is_not_the_same_is_said() {
        let rows = [
            ("command = 'x'\ncron = '@daily'\noutput = 'file'", "a crontab has no output"),
            ("command = 'x $SCHEDRS_JOB'\ncron = '@daily'", "its command reads a variable of ours"),
            (
                "command = 'x'\ninterval = '1h'\nstart_date = 2027-01-01T01:00:00",
                "a crontab has no `start_date`",
            ),
            (r"command = 'a\\b'CRON", "two backslashes stand for one"),
        ];
        for (job, said) in rows {
            let job = job.replace("CRON", "\ncron = '@daily'");
            let exported = crontab(&set(&format!("[jobs.a]\n{job}\n")));
            assert!(exported.is_whole(), "{job}");
            let found = exported.problems.iter().any(|unsaid| unsaid.message.starts_with(said));
            assert!(found, "{job}: {:?}", exported.problems);
        }
    }

    #[test]
    fn what_cannot_be_said_is_left_out_in_words() {
        let rows = [
            "command = 'x'\ncron = '*/10 * * * * *'",
            "command = 'x'\ncron = '0 3 L * *'",
            "command = 'x'\ncron = { day = '3rd fri' }",
            "command = 'x'\ncron = { day = 13, day_of_week = 'fri' }",
            "command = 'x'\ninterval = '7m'",
            "command = 'x'\ninterval = '90s'",
            "command = 'x'\ninterval = '1h'\nstart_date = 2027-01-01T00:30:00",
            "command = 'x'\ninterval = '450s'",
            "command = 'x'\ninterval = '2d'",
            "command = 'x'\ndate = 2027-01-01",
            "command = 'x'\ncron = '@daily'\nend_date = 2030-01-01",
            "command = \"x\\ny\"\ncron = '@daily'",
        ];
        for job in rows {
            let exported = crontab(&set(&format!("[jobs.a]\n{job}\n")));
            assert!(!exported.is_whole(), "{job}:\n{}", exported.text);
            assert!(exported.text.contains("# left out: a c"), "{job}:\n{}", exported.text);
        }
    }

    /// The way out and back in again leads to the same due times and the same command.
    #[test]
    fn the_way_back_is_the_same() {
        let jobs = "[jobs.a]\ncommand = 'date +%F > \"a\\\\\\\\ b\"'\ncron = '1-59/7 */3 1,15 2-11 fri'\n\
                    [jobs.b]\ncommand = 'cat'\ncron = '@weekly'\nstdin = \"x%y\\n\\nz\\n\"\n\
                    timezone = 'Asia/Tokyo'\n[jobs.c]\ncommand = 'x'\ncron = 'H H * * *'\n\
                    [jobs.d]\ncommand = 'x'\ncron = '0 0 */2 * fri'\n\
                    [jobs.e]\ncommand = 'x'\ncron = '0 0 13,31 * */2,fri-sun'\n";
        let before = set(jobs);
        let zones = Database::bundled();
        let mut draft = Draft::new(&zones);
        importer::read(&mut draft, "x", &crontab(&before).text, importer::Options::default());
        let after = set(&draft.write().0.text);
        assert_eq!(before.jobs.len(), after.jobs.len());
        for (before, after) in before.jobs.iter().zip(&after.jobs) {
            assert_eq!(before.command, after.command);
            assert_eq!(before.options.stdin, after.options.stdin);
            let mut at = Instant::from_secs(1_795_564_800);
            for _ in 0..500 {
                let next = before.trigger.next_after(at);
                assert_eq!(next, after.trigger.next_after(at), "{}", before.id);
                at = next.unwrap();
            }
        }
    }
}
