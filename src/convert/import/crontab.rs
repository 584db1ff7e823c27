//! Crontabs: of a user, of the system (with a user in each line), and those of supercronic.
//!
//! What counts is what cron does, not what its manual says: a variable counts from its line on, the
//! first `%` that is not escaped ends the command, and the rest is its standard input.

mod home;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;

pub use home::run_at_home;
pub(super) use text::{NOT_UTF8, NOT_UTF8_HELP, assignment, not_utf8, unusable};
use text::{left_behind, split_percent, words};

use super::{Draft, DraftJob, Oracle, Value, duration, id};
use crate::core::names::{SHORT_MONTHS, SHORT_WEEKDAYS_FROM_SUNDAY};
use crate::core::nearest;
use crate::core::trigger::cron::crontab::{self, Crontab};
use crate::core::trigger::flaw::Severity;
use crate::core::words::normalised;
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
    random_delay: u64,
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
            "CRON_TZ" => {
                let found = self.draft.zones.find(value);
                state.no_zone = found.is_err();
                match found {
                    Ok(_) => state.timezone = Some(value.to_owned()),
                    Err(unknown) => {
                        let near = nearest::zone(value, self.draft.zones);
                        let help = near.map(|near| format!("did you mean `{near}`?"));
                        let message = format!("not carried: {}", unknown.say(value));
                        self.draft.lost(self.file, line.whole(), message, help);
                    }
                }
            }
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

    fn job(&mut self, line: Line<'_>) {
        let Some(when) = self.when(line) else { return };
        if self.state.no_zone && when.key == "cron" && when.value != Value::Text("@reboot".into()) {
            self.lost(line.whole(), "not carried: the `CRON_TZ` above it names no time zone");
            return;
        }
        let rest_at = when.end;
        let mut rest = line.text[rest_at..].trim_start();
        let mut rest_at = line.text.len() - rest.len();
        let mut job = DraftJob { oracle: when.oracle, ..DraftJob::default() };
        let mut user = self.options.user.map(str::to_owned);
        if self.options.system {
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            let word = &rest[..end];
            if word.is_empty() || word.contains(['/', '[', '=', '$', '"', '\'', '|', '&', '>']) {
                let help = "a user's crontab has no user in its lines: leave `--system` out";
                let message = match word {
                    "" => "not carried: there is no user and no command".to_owned(),
                    word => format!("not carried: `{word}` stands where the user's name is to be"),
                };
                let span = line.span(rest_at..rest_at + end);
                self.draft.lost(self.file, span, message, Some(help.to_owned()));
                return;
            }
            user = Some(word.to_owned());
            rest = rest[end..].trim_start();
            rest_at = line.text.len() - rest.len();
        }
        rest = self.openbsd_flags(line, rest);
        let (command, stdin) = split_percent(rest);
        let kept = rest.strip_prefix(&command.replace('%', r"\%"));
        if kept.is_none_or(|after| after.starts_with('\\')) {
            let message = "two backslashes are read as one, as in Vixie cron and Debian's; cronie \
                           keeps both";
            self.noted(line.whole(), message);
        }
        if command.trim().is_empty() {
            self.lost(line.whole(), "not carried: there is no command");
            return;
        }
        if let Some(word) = left_behind(&command) {
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
            let span = line.span(rest_at..rest_at + word.len());
            let message = format!("`{word}` is taken for the command's first word");
            self.draft.noted(self.file, span, message, Some(help.to_owned()));
        }
        (job.id, job.more_id) = id::of_command(&command);
        if !job.id.contains(['-', '_']) && self.options.system {
            // `update` of `/etc/cron.d/awstats` is `awstats-update`.
            job.id = id::with_prefix(&self.name, &job.id);
        }
        if when.value == Value::Text("@reboot".to_owned()) {
            job.id += "-reboot";
        }
        job.place = Some(Place { file: self.file, span: Some(line.whole()) });
        job.comments = std::mem::take(&mut self.comments);
        job.text("command", command.trim());
        job.keys.push((when.key, when.value));
        let state = &self.state;
        if let Some(timezone) = &state.timezone
            && when.key == "cron"
        {
            job.text("timezone", timezone);
        }
        if state.random_delay > 0 {
            job.text("jitter", duration(state.random_delay * 60));
        }
        if let Some(shell) = &state.shell {
            job.text("shell", shell);
        }
        if let Some(home) = &state.home {
            job.text("cwd", home);
        }
        if let Some(user) = user {
            // FreeBSD has `user:group/class`.
            let (user, class) = user.split_once('/').unwrap_or((&user, ""));
            let (user, group) = user.split_once(':').unwrap_or((user, ""));
            job.text("user", user);
            if !group.is_empty() {
                job.text("group", group);
            }
            if !class.is_empty() {
                self.noted(line.whole(), format!("the login class `{class}` is left out"));
            }
        }
        if let Some(stdin) = stdin {
            job.text("stdin", stdin);
        }
        job.env = self.state.env.clone();
        self.draft.jobs.push(job);
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

    /// The schedule at the start of a line.
    fn when(&mut self, line: Line<'_>) -> Option<When> {
        let mut skipped = line.text.len() - line.text.trim_start().len();
        if line.text[skipped..].starts_with('-') {
            // cronie: do not write it to the system's log.
            self.noted(line.span(skipped..skipped + 1), "`-` is left out: every run is recorded");
            skipped += 1;
        }
        let words: Vec<Range<usize>> = words(line.text).skip_while(|w| w.end <= skipped).collect();
        let words: Vec<Range<usize>> =
            words.into_iter().map(|word| word.start.max(skipped)..word.end).collect();
        let first = words.first()?.clone();
        if line.text[first.clone()].starts_with('@') {
            return self.macro_word(line, first);
        }
        let text = |range: &[Range<usize>]| {
            let fields: Vec<&str> = range.iter().map(|word| &line.text[word.clone()]).collect();
            fields.join(" ")
        };
        if words.len() < 6 {
            let span = line.whole();
            let help = "five fields and the command: `30 2 * * * backup --home`".to_owned();
            self.draft.lost(
                self.file,
                span,
                "not carried: this is no line of a crontab",
                Some(help),
            );
            return None;
        }
        // supercronic tries seven fields, then six, then five.
        if !self.options.system {
            for count in [7, 6] {
                let with_seconds = usize::from(count == 7);
                if words.len() > count
                    && is_year(&line.text[words[count - 1].clone()])
                    && crontab::parse(&text(&words[..count - 1]), "", &mut Vec::new()).is_some()
                {
                    return self.with_year(line, &words[..count], with_seconds == 1);
                }
            }
        }
        let words = &words[..5];
        let typed = text(words);
        if typed.split([' ', ',']).any(|item| item.contains('~') && item.contains('/')) {
            let help = "write the minutes it may start at yourself, such as `H/10`".to_owned();
            let message = "not carried: a random value with a step";
            self.draft.lost(self.file, line.whole(), message, Some(help));
            return None;
        }
        let (fields, random) = random_ranges(&typed);
        if random {
            let message = format!(
                "cronie picks a random value for `{typed}` when it reads the file; `{fields}` is \
                 one that stays the same"
            );
            self.noted(line.span(words[0].start..words[4].end), message);
        }
        self.check(line, words, &fields)?;
        self.notes_on_fields(line, words);
        let oracle = if random {
            Oracle::None("its values were to be picked at random")
        } else {
            Oracle::Crontab(typed)
        };
        Some(When { key: "cron", value: Value::Text(fields), oracle, end: words[4].end })
    }

    fn macro_word(&mut self, line: Line<'_>, word: Range<usize>) -> Option<When> {
        let text = &line.text[word.clone()];
        let lower = text.to_ascii_lowercase();
        let when = |key, value: &str, oracle, end| {
            Some(When { key, value: Value::Text(value.to_owned()), oracle, end })
        };
        let crontab = |text: &str| Oracle::Crontab(text.to_owned());
        match &*lower {
            "@every_minute" => return when("cron", "* * * * *", crontab("* * * * *"), word.end),
            "@every_second" => {
                return when("cron", "* * * * * *", crontab("* * * * * *"), word.end);
            }
            // robfig/cron and those who use it.
            "@every" => {
                let none = Oracle::None("an interval counts from when the scheduler starts");
                let after = words(line.text).find(|next| next.start >= word.end);
                if let Some(after) = after
                    && let Ok(every) = humantime::parse_duration(&line.text[after.clone()])
                    && !every.is_zero()
                {
                    return when("interval", &line.text[after.clone()], none, after.end);
                }
                self.lost(line.span(word), "not carried: no duration follows `@every`");
                return None;
            }
            "@reboot" => {
                let none = Oracle::None("`@reboot` has no due times");
                return when("cron", "@reboot", none, word.end);
            }
            _ => {}
        }
        if let Ok(secs) = lower[1..].parse::<u64>()
            && secs > 0
        {
            // FreeBSD: so many seconds after the last run ended.
            let message = format!("cron waits {secs} seconds after each run; an interval does not");
            self.noted(line.span(word.clone()), message);
            let none = Oracle::None("an interval counts from when the scheduler starts");
            return when("interval", &duration(secs), none, word.end);
        }
        self.check(line, std::slice::from_ref(&word), text)?;
        when("cron", text, crontab(text), word.end)
    }

    /// Six or seven fields, the last of which is a year.
    fn with_year(&mut self, line: Line<'_>, words: &[Range<usize>], seconds: bool) -> Option<When> {
        let typed: Vec<&str> = words.iter().map(|word| &line.text[word.clone()]).collect();
        let (year, fields) = typed.split_last()?;
        let fields = fields.join(" ");
        let span = line.span(words[0].start..words[words.len() - 1].end);
        let parsed = crontab::parse(&fields, "", &mut Vec::new());
        let Some(Crontab::Schedule(schedule)) = parsed else { return None };
        if !seconds {
            let message = "the sixth field is read as a year, as supercronic does";
            let help = "if seconds stand first, write `cron` with six fields yourself: the order \
                        is second, minute, hour, day, month, day of week"
                .to_owned();
            self.draft.noted(self.file, span, message, Some(help));
        }
        let end = words.last()?.end;
        // With a second in any case: of six fields, nobody can tell which is the year.
        let second = if seconds { "" } else { "0 " };
        let oracle = Oracle::Crontab(format!("{second}{fields} {}", year.replace('?', "*")));
        if matches!(*year, "*" | "?") {
            return Some(When { key: "cron", value: Value::Text(fields), oracle, end });
        }
        // Only the table form has years, and there all fields have to match.
        let normal = normalised(&schedule).filter(|text| !text.starts_with('{'));
        let normal: Vec<&str> = normal.iter().flat_map(|text| text.split(' ')).collect();
        let plain = |text: &str| !text.contains(['L', 'W', '#', 'H', '?']);
        let (second_field, rest) = match normal.len() {
            5 => ("0", &normal[..]),
            6 => (normal[0], &normal[1..]),
            _ => ("0", &[][..]),
        };
        if let &[minute, hour, day, month, weekday] = rest
            && (day == "*" || weekday == "*")
            && plain(day)
            && plain(weekday)
        {
            let all = [
                ("year", *year),
                ("month", month),
                ("day", day),
                ("day_of_week", weekday),
                ("hour", hour),
                ("minute", minute),
                ("second", second_field),
            ];
            let given = |(key, text): &(&'static str, &str)| match *key {
                "second" => *text != "0",
                "month" | "day" | "day_of_week" => *text != "*",
                _ => true,
            };
            let table = all.into_iter().filter(given).map(|(key, text)| (key, field(text)));
            return Some(When { key: "cron", value: Value::Table(table.collect()), oracle, end });
        }
        let help = "the table form of `cron` has a `year`, but wants all of its fields to match";
        self.draft.lost(
            self.file,
            span,
            "not carried: a year together with these day fields",
            Some(help.to_owned()),
        );
        None
    }

    /// Reads a schedule with our own parser and says what is wrong with it.
    fn check(&mut self, line: Line<'_>, words: &[Range<usize>], fields: &str) -> Option<()> {
        let mut flaws = Vec::new();
        let parsed = crontab::parse(fields, "", &mut flaws);
        for flaw in flaws {
            if flaw.severity == Severity::Error {
                // The words stand in `fields` with one space between; find the one that is meant.
                let index = fields[..flaw.span.start].matches(' ').count();
                let range = words.get(index).or(words.last())?.clone();
                let message = format!("not carried: {}", flaw.message);
                self.draft.lost(self.file, line.span(range), message, flaw.help);
            }
        }
        parsed.map(|_| ())
    }

    /// What crons do not agree about.
    fn notes_on_fields(&mut self, line: Line<'_>, words: &[Range<usize>]) {
        for (index, word) in words.iter().enumerate() {
            for item in line.text[word.clone()].split(',') {
                let (range, step) = item.split_once('/').unwrap_or((item, ""));
                let single = range.bytes().all(|byte| byte.is_ascii_digit());
                if !step.is_empty() && !range.is_empty() && single {
                    let message = format!(
                        "`{item}` is read as from {range} on in steps of {step}; Debian's cron \
                         refuses the line, and Vixie cron takes it for `{range}` alone"
                    );
                    self.noted(line.span(word.clone()), message);
                }
                if let Some((first, last)) = range.split_once('-')
                    && let (Some(first), Some(last)) = (number(index, first), number(index, last))
                    && first > last
                {
                    // cronie knows a sunday at the end of a range.
                    let message = match (index, last) {
                        (4, 0) => format!(
                            "`{item}` ends on a sunday: cronie reads it so as well, but Vixie cron \
                             and Debian's find no day in it, and the line never ran there"
                        ),
                        _ => format!(
                            "`{item}` goes round: crons refuse such a line or find no time in it, \
                             so it never ran; here it does"
                        ),
                    };
                    self.noted(line.span(word.clone()), message);
                }
            }
        }
    }
}

/// When a job is due, as a key of the jobfile.
struct When {
    key: &'static str,
    value: Value,
    oracle: Oracle,
    /// The byte of the line after it.
    end: usize,
}

/// What cron takes a word of one of the five fields for: a number, or a name, with sunday as 0.
fn number(field: usize, word: &str) -> Option<usize> {
    let (names, first) = match field {
        3 => (&SHORT_MONTHS[..], 1),
        4 => (&SHORT_WEEKDAYS_FROM_SUNDAY[..], 0),
        _ => (&[][..], 0),
    };
    let lower = word.get(..3).unwrap_or(word).to_ascii_lowercase();
    let named = names.iter().position(|name| *name == lower).map(|at| at + first);
    named.or_else(|| word.parse().ok())
}

/// A field of the table form: a number where it is one.
fn field(text: &str) -> Value {
    match text.parse() {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::Text(text.to_owned()),
    }
}

/// A field of years: `*`, `*/2`, `2027`, `2027-2030/2`, lists of them.
fn is_year(text: &str) -> bool {
    let year = |text: &str| text.len() == 4 && text.parse::<u32>().is_ok_and(|year| year >= 1970);
    text.split(',').all(|item| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let range_is_good = match range.split_once('-') {
            Some((first, last)) => year(first) && year(last),
            None => matches!(range, "*" | "?") || year(range),
        };
        range_is_good && step.parse::<u32>().is_ok_and(|step| step > 0)
    })
}

/// cronie's `a~b`, a random value of a range, as our hashed one.
fn random_ranges(fields: &str) -> (String, bool) {
    if !fields.contains('~') {
        return (fields.to_owned(), false);
    }
    let limits = [("0", "59"), ("0", "23"), ("1", "28"), ("1", "12"), ("0", "6")];
    let one = |item: &str, min: &str, max: &str| match item.split_once('~') {
        Some((first, last)) => {
            let max = if first.is_empty() || max != "28" { max } else { "31" };
            let first = if first.is_empty() { min } else { first };
            let last = if last.is_empty() { max } else { last };
            format!("H({first}-{last})")
        }
        None => item.to_owned(),
    };
    let fields: Vec<String> = fields
        .split(' ')
        .zip(limits)
        .map(|(field, (min, max))| {
            let items: Vec<String> = field.split(',').map(|item| one(item, min, max)).collect();
            items.join(",")
        })
        .collect();
    (fields.join(" "), true)
}

#[cfg(test)]
mod tests;
