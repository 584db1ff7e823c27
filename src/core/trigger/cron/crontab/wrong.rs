//! What is said of an expression that cannot be read, or that may not be what was meant: above all
//! how the forms of other crons are spelt here.

use std::ops::Range;

use super::{Day, FIELDS, Field, Hour, Kind, MACROS, Minute, Month, Second, Weekday, Year};
use crate::core::names::{self, SHORT_WEEKDAYS_FROM_SUNDAY};
use crate::core::span;
use crate::core::trigger::cron::{nearest, nearest_name};
use crate::core::trigger::flaw::Flaw;

/// What is wrong with a field, before it has a place.
pub(super) struct Wrong {
    warning: bool,
    message: String,
    help: Option<String>,
}

impl Wrong {
    pub(super) fn error(message: String) -> Wrong {
        Wrong { warning: false, message, help: None }
    }

    pub(super) fn warning(message: String) -> Wrong {
        Wrong { warning: true, message, help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Wrong {
        Wrong { help: Some(help.into()), ..self }
    }

    pub(super) fn at(self, span: Range<usize>) -> Flaw {
        let flaw = if self.warning {
            Flaw::warning(span, self.message)
        } else {
            Flaw::error(span, self.message)
        };
        Flaw { help: self.help, ..flaw }
    }
}

/// The word that sets a zone, as some crons take it before the fields.
pub(super) fn zone_prefix(expr: &str) -> Option<&str> {
    let word = expr.split_ascii_whitespace().next()?;
    (word.starts_with("TZ=") || word.starts_with("CRON_TZ=")).then_some(word)
}

fn not_the_place(span: Range<usize>, zone: &str) -> Flaw {
    let flaw = Flaw::error(span, "a time zone is not part of the expression");
    match zone {
        "" => flaw.help("set the job's `timezone`"),
        zone => flaw.help(format!("set the job's `timezone = \"{zone}\"`")),
    }
}

/// A zone behind fields that are good without it, as some crons take it.
pub(super) fn zone_suffix(expr: &str, words: &[(usize, usize)], id: &str) -> Option<Flaw> {
    let (&(start, end), fields) = words.split_last()?;
    let zone = &expr[start..end];
    let is_zone = zone.len() > 2
        && zone.starts_with(|c: char| c.is_ascii_uppercase())
        && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
        && nearest_name(&zone.to_ascii_lowercase(), &SHORT_WEEKDAYS_FROM_SUNDAY).is_none();
    let kinds = if fields.len() == 5 { &FIELDS[1..6] } else { &FIELDS[..6] };
    let good = || super::schedule(expr, kinds, fields, id, &mut Vec::new()).is_some();
    (is_zone && good()).then(|| not_the_place(start..end, zone))
}

/// An expression that has not five, six or seven fields.
#[cold]
pub(super) fn count(expr: &str, count: usize) -> Flaw {
    let begin = expr.len() - expr.trim_ascii_start().len();
    let end = expr.trim_ascii_end().len().max(begin);
    if count == 0 {
        return Flaw::error(0..expr.len(), "the cron expression is empty")
            .help("five fields: minute hour day-of-month month day-of-week, such as `0 3 * * *`");
    }
    if let Some(word) = zone_prefix(expr) {
        let zone = word.split_once('=').map_or("", |(_, zone)| zone);
        return not_the_place(begin..begin + word.len(), zone);
    }
    let fields = if count == 1 { "field" } else { "fields" };
    let flaw = Flaw::error(
        begin..end,
        format!(
            "{count} {fields} where a cron expression has 5, 6 with the second first, or 7 with \
             second and year"
        ),
    );
    let typed = expr.trim_ascii();
    if let Some(help) = no_fields(typed) {
        return flaw.help(help);
    }
    let completed = || super::parse(&format!("{typed} *"), "-", &mut Vec::new()).is_some();
    match count {
        4 if completed() => flaw.help(format!(
            "did you mean `{typed} *`? The order is: minute hour day-of-month month day-of-week"
        )),
        0..=4 => flaw.help("the order is: minute hour day-of-month month day-of-week"),
        _ => flaw.help("the order is: [second] minute hour day-of-month month day-of-week [year]"),
    }
}

/// How that is written which has no fields at all, but says when: `daily`, `9:30`, `every 5 minutes`, a date
/// with `*` as systemd has it.
fn no_fields(typed: &str) -> Option<String> {
    let lower = typed.to_ascii_lowercase();
    if MACROS.iter().any(|(name, _)| name[1..] == lower) || lower == "reboot" {
        return Some(format!("did you mean `@{lower}`?"));
    }
    let other = OTHER_MACROS.iter().find(|(name, _)| name[1..] == lower);
    if let Some((_, expression)) = other {
        return Some(format!("write `{expression}`"));
    }
    if let Some((hour, minute)) = time_of_day(typed) {
        return Some(format!("at that time of each day: `{minute} {hour} * * *`"));
    }
    if let Some(every) = elapsed(&lower) {
        return Some(format!("at a fixed interval: `interval = \"{every}\"` instead of `cron`"));
    }
    let is_systemds = lower.contains("*-*") || lower.contains("..") || lower.contains("oncalendar");
    is_systemds.then(|| {
        "minute hour day-of-month month day-of-week, such as `0 9 * * mon-fri`; `schedrs import \
         systemd` converts timers"
            .to_owned()
    })
}

/// `every 5 minutes`, `5m`, `rate(5 minutes)` and ISO 8601's `PT5M` and `R/2027-01-01T00:00:00Z/PT5M`, as an
/// `interval` has it. All of it is in small letters.
fn elapsed(lower: &str) -> Option<String> {
    let rate = || lower.strip_prefix("rate(")?.strip_suffix(')');
    let plain = lower.strip_prefix("every ").or_else(rate).unwrap_or(lower).trim();
    if span::parse(plain).is_ok() {
        return Some(plain.to_owned());
    }
    span::of_iso(lower.rsplit('/').next()?)
}

/// The fields of Amazon's `cron(0 12 * * ? *)`, which have the year last and no second.
pub(super) fn amazon(expr: &str) -> Option<Flaw> {
    let typed = expr.trim_ascii();
    let fields = typed.strip_prefix("cron(")?.strip_suffix(')')?;
    let begin = expr.len() - expr.trim_ascii_start().len();
    let flaw = Flaw::error(begin..begin + typed.len(), "an expression is its fields alone");
    let seven = format!("0 {fields}");
    let good = super::parse(&seven, "-", &mut Vec::new()).is_some();
    Some(if good { flaw.help(format!("write `{seven}`; Sunday is 0 here, not 1")) } else { flaw })
}

/// What is meant by fields that cannot be read as they stand: a list with spaces in it, or, as croniter has
/// it, the second behind the day of the week.
pub(super) fn rearranged(expr: &str, words: &[(usize, usize)]) -> Option<String> {
    // Not `parse`, which would ask here again.
    let is_good = |text: &str| {
        let (fields, count) = super::split(text.as_bytes());
        let kinds = if count == 5 { &FIELDS[1..6] } else { &FIELDS[..count.min(7)] };
        (5..=7).contains(&count)
            && super::schedule(text, kinds, &fields, "-", &mut Vec::new()).is_some()
    };
    let typed = expr.trim_ascii();
    if typed.contains(", ") || typed.contains(" ,") {
        let words: Vec<&str> = typed.split_ascii_whitespace().collect();
        let joined = words.join(" ").replace(", ", ",").replace(" ,", ",");
        return is_good(&joined).then(|| format!("a list has no spaces in it: `{joined}`"));
    }
    let mut words: Vec<&str> = words.iter().map(|&(start, end)| &expr[start..end]).collect();
    if !(6..=7).contains(&words.len()) {
        return None;
    }
    let second = words.remove(5);
    words.insert(0, second);
    let first = words.join(" ");
    let is_second = second.starts_with(|c: char| c.is_ascii_digit());
    (is_second && is_good(&first)).then(|| format!("the second is the first field: `{first}`"))
}

/// Six fields of which the fifth is `?`: a month never is, and the day of the week often, so that the last
/// is a year.
pub(super) fn month_of_any(expr: &str, words: &[(usize, usize)]) -> Option<Flaw> {
    let &[first, .., month, last] = words else { return None };
    let is_year = super::is_year(&expr[last.0..last.1]);
    if words.len() != 6 || &expr[month.0..month.1] != "?" || !is_year {
        return None;
    }
    let flaw = Flaw::warning(month.0..month.1, "`?` in the month field: the second comes first");
    Some(flaw.help(format!(
        "if the last field is a year, write all seven: `0 {}`",
        &expr[first.0..last.1]
    )))
}

/// `9:30`, as hour and minute.
fn time_of_day(typed: &str) -> Option<(u32, u32)> {
    let (hour, minute) = typed.split_once(':')?;
    let hour = hour.parse().ok().filter(|hour| *hour < 24)?;
    let minute = minute.get(..2).filter(|_| minute.len() == 2)?;
    Some((hour, minute.parse().ok().filter(|minute| *minute < 60)?))
}

/// Macros of others, and what they are here.
const OTHER_MACROS: &[(&str, &str)] = &[
    ("@minutely", "* * * * *"),
    ("@every_minute", "* * * * *"),
    ("@always", "* * * * *"),
    ("@secondly", "* * * * * *"),
    ("@every_second", "* * * * * *"),
    ("@5minutes", "*/5 * * * *"),
    ("@10minutes", "*/10 * * * *"),
    ("@15minutes", "*/15 * * * *"),
    ("@30minutes", "*/30 * * * *"),
    ("@noon", "0 12 * * *"),
    ("@weekdays", "0 0 * * mon-fri"),
    ("@weekday", "0 0 * * mon-fri"),
    ("@workdays", "0 0 * * mon-fri"),
    ("@workday", "0 0 * * mon-fri"),
    ("@weekends", "0 0 * * sat,sun"),
    ("@weekend", "0 0 * * sat,sun"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@biannually", "0 0 1 1,7 *"),
    ("@semiannually", "0 0 1 1,7 *"),
];

/// A word with an `@` that is no macro of ours.
#[cold]
pub(super) fn unknown_macro(word: &str, span: Range<usize>) -> Flaw {
    let flaw = Flaw::error(span, format!("unknown macro `{word}`"));
    let lower = word.to_ascii_lowercase();
    if let Some((_, expression)) = OTHER_MACROS.iter().find(|(name, _)| *name == lower) {
        return flaw.help(format!("write `{expression}`"));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(every) =
        lower.strip_prefix("@every").or(lower.strip_prefix('@').filter(|it| is_number(it)))
    {
        let every = match every.trim() {
            every if is_number(every) => format!("{every}s"),
            every if span::parse(every).is_ok() => every.to_owned(),
            _ => "5m".to_owned(),
        };
        return flaw.help(format!(
            "to run at a fixed interval, use `interval = \"{every}\"` instead of `cron`"
        ));
    }
    if let Some(every) = lower.strip_prefix('@').filter(|every| span::parse(every).is_ok()) {
        return flaw.help(format!(
            "to run at a fixed interval, use `interval = \"{every}\"` instead of `cron`"
        ));
    }
    if matches!(&*lower, "@biweekly" | "@fortnightly") {
        return flaw
            .help("for every other week, use `interval = { weeks = 2 }` with a `start_date`");
    }
    if matches!(&*lower, "@manually" | "@manual" | "@never" | "@none") {
        return flaw.help("a job that is only started by hand has a schedule, and `paused = true`");
    }
    if lower.starts_with("@at ") {
        return flaw.help("to run once, use `date = 2027-01-01T09:00:00` instead of `cron`");
    }
    let first = lower.split_ascii_whitespace().next().unwrap_or_default();
    if first != lower && MACROS.iter().any(|(name, _)| *name == first) {
        return flaw.help(format!("did you mean `{first}`? A macro stands alone"));
    }
    match nearest(&lower, MACROS.iter().map(|(name, _)| *name).chain(["@reboot"])) {
        Some(name) => flaw.help(format!("did you mean `{name}`?")),
        None => flaw.help(
            "macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and \
             @reboot",
        ),
    }
}

/// What is said of a word with a slash at its beginning.
const NOT_A_COMMAND: &str = "what is run is not part of the expression: `command = \"...\"`";

/// Whether it begins with `1st`, `2nd`, `first`.
fn is_ordinal(lower: &str) -> bool {
    const WORDS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    let rest = lower.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_short = ["st", "nd", "rd", "th"].iter().any(|end| rest.starts_with(end));
    (rest.len() < lower.len() && is_short) || WORDS.iter().any(|word| lower.starts_with(word))
}

impl Field<'_> {
    #[cold]
    pub(super) fn out_of_range(&self, value: u32) -> Wrong {
        let (name, allowed) = (self.kind.name(), self.kind.allowed());
        let wrong = match value {
            // It did not fit, so this is not what was typed.
            u32::MAX => Wrong::error(format!("`{}`: out of range {allowed}", self.text)),
            _ => Wrong::error(format!("{name} {value} is out of range {allowed}")),
        };
        match (self.kind, value) {
            (Hour, 24) => wrong.help("midnight is hour 0"),
            (Second | Minute, 60) => wrong.help(format!("{name}s go from 0 to 59")),
            (Weekday, 1000..=9999) => wrong.help(
                "a year is the last of seven fields: second minute hour day-of-month month \
                 day-of-week year",
            ),
            _ => wrong,
        }
    }

    #[cold]
    pub(super) fn unknown_name(&self, word: &str) -> Wrong {
        let kind = self.kind.name();
        let wrong = Wrong::error(format!("`{word}` is not a {kind}"));
        let lower = word.to_ascii_lowercase();
        if lower == "r" {
            return wrong.help("for a value that differs from job to job, use `H`");
        }
        if self.kind == Weekday
            && let Some(day) = lower.strip_prefix('l')
        {
            // `L5`, `L3-5`, `Lfri`: in other crons the last Friday.
            let days = self.text.split(',').find_map(|item| {
                let days = item.strip_prefix(['L', 'l'])?;
                let is_day = |day: &str| {
                    day.parse::<u32>().is_ok_and(|day| day <= 7) || names::weekday(day).is_some()
                };
                days.split('-').all(is_day).then_some(days)
            });
            match days {
                Some(days) => return wrong.help(format!("did you mean `{days}L`?")),
                None if day.is_empty() => {
                    let help = "`5L` or `friL` is the last Friday of the month; Saturday is `sat`";
                    return wrong.help(help);
                }
                None => {}
            }
        }
        if self.kind == Weekday {
            let is = |names: [&str; 4]| names.contains(&lower.trim_end_matches('s'));
            if is(["weekday", "workday", "businessday", "bday"]) {
                return wrong.help("did you mean `mon-fri`?");
            } else if lower.trim_end_matches('s') == "weekend" {
                return wrong.help("did you mean `sat,sun`?");
            }
        }
        match nearest_name(&lower, self.kind.names()) {
            Some(name) => wrong.help(format!("did you mean `{name}`?")),
            None => wrong.help(format!("allowed: {}", self.kind.allowed())),
        }
    }

    /// The item of the list that ends with `rest` or goes on in it, and how much of it stands before
    /// that.
    fn item_at(&self, rest: &[u8]) -> (&str, usize) {
        let at = self.text.len() - rest.len();
        let start = self.text[..at].rfind(',').map_or(0, |comma| comma + 1);
        let end = self.text[at..].find(',').map_or(self.text.len(), |comma| at + comma);
        (&self.text[start..end], at - start)
    }

    #[cold]
    pub(super) fn unexpected(&self, rest: &[u8]) -> Wrong {
        let (text, kind, allowed) = (self.text, self.kind.name(), self.kind.allowed());
        let (item, before) = self.item_at(rest);
        if item.is_empty() {
            let items: Vec<&str> = text.split(',').filter(|item| !item.is_empty()).collect();
            let wrong = Wrong::error(format!("an empty item in the {kind} field `{text}`"));
            return match &items[..] {
                [] => wrong.help(format!("allowed: {allowed}, `a-b`, `*/n` and lists of them")),
                items => wrong.help(format!("did you mean `{}`?", items.join(","))),
            };
        }
        let rest = String::from_utf8_lossy(rest);
        let next = rest.chars().next();
        let wrong = match next {
            None => Wrong::error(format!("the {kind} field `{text}` ends too early")),
            Some(char) => Wrong::error(format!("unexpected `{char}` in the {kind} field `{text}`")),
        };
        if let Some(help) = next.and_then(|next| self.elsewhere(item, before, next)) {
            return wrong.help(help);
        }
        match next {
            _ if self.kind == Year => {
                wrong.help(format!("allowed: {allowed}, `a-b`, `a-b/n`, `*`"))
            }
            _ if text.contains('#') => match self.kind {
                Weekday => wrong.help("`fri#3` is the third Friday of the month"),
                _ => wrong.help("`fri#3` belongs in the day-of-week field"),
            },
            Some('L' | 'l') => {
                wrong.help("`L` belongs in the day-of-month field, `5L` in day-of-week")
            }
            Some('W' | 'w') if self.kind == Day => wrong.help(
                "`15W` is the weekday nearest to that day, `LW` the last weekday; weekdays are `mon-fri` in \
                 the day-of-week field",
            ),
            Some('W' | 'w') => wrong.help("`15W` belongs in the day-of-month field"),
            _ => wrong.help(format!("allowed: {allowed}, `a-b`, `*/n` and lists of them")),
        }
    }

    /// How an item that means something in another cron is written here, if it is that where it is
    /// not understood any more: at `next`, with so many bytes before.
    fn elsewhere(&self, item: &str, before: usize, next: char) -> Option<String> {
        let lower = item.to_ascii_lowercase();
        let after = item.get(before + next.len_utf8()..).unwrap_or_default();
        Some(match next {
            '/' if before == 0 && after.parse::<u32>().is_ok() => {
                format!("did you mean `*{item}`?")
            }
            '/' if before == 0 && after.is_empty() => {
                "a step has no spaces in it: `*/5`".to_owned()
            }
            '/' if before == 0 => NOT_A_COMMAND.to_owned(),
            '#' if before == 0 && after.is_empty() => {
                "a comment is not part of the expression: put it behind the value".to_owned()
            }
            '"' | '\'' => "write the expression without quotes of its own".to_owned(),
            '*' if before == 1 && item.starts_with("**") => {
                format!("did you mean `{}`?", &item[1..])
            }
            '.' if after.starts_with('.') => {
                format!("did you mean `{}`?", item.replacen("..", "-", 1))
            }
            '@' if self.kind == Weekday && before > 0 && after.parse::<u32>().is_ok() => {
                format!("did you mean `{}`?", item.replace('@', "#"))
            }
            ':' if self.kind == Weekday => format!("did you mean `{}`?", item.replace(':', "-")),
            ':' => match time_of_day(item) {
                Some((hour, minute)) => {
                    format!("minute and hour are two fields: `{minute} {hour} * * *`")
                }
                None => return None,
            },
            '!' => {
                "what is left out goes into the job's `except`, such as `except = [\"sat..sun\"]`"
                    .to_owned()
            }
            'C' | 'c' if matches!(self.kind, Day | Weekday) && after.is_empty() => {
                "a calendar is named in the job's `only` or `except`".to_owned()
            }
            'w' | 'W' if self.kind == Day && lower == "wl" => "did you mean `LW`?".to_owned(),
            'w' | 'W' if self.kind == Day && before == 0 && after.parse::<u32>().is_ok() => {
                format!("did you mean `{after}W`?")
            }
            _ if matches!(self.kind, Day | Weekday) && is_ordinal(&lower) => {
                "the first Monday of the month is `mon#1` in the day-of-week field".to_owned()
            }
            '~' => "for a value that differs from job to job, use `H` or `H(0-29)`".to_owned(),
            'R' | 'r' if before == 0 && after.chars().all(|c| !c.is_ascii_alphabetic()) => {
                "for a value that differs from job to job, use `H` or `H(0-29)`".to_owned()
            }
            '|' => "the items of a list are separated by commas; several schedules are an array: \
                    `cron = [\"0 9 * * *\", \"30 17 * * *\"]`"
                .to_owned(),
            '%' if self.kind == Weekday => {
                "for every other week, use `interval = { weeks = 2 }` with a `start_date`"
                    .to_owned()
            }
            '&' if before > 0 && !after.is_empty() => {
                format!("did you mean `{}`?", item.replace('&', ","))
            }
            '&' | '+' if matches!(self.kind, Day | Weekday) => {
                "for days that match both fields, use the table form: `cron = { day = \"1-7\", \
                 day_of_week = \"mon\", hour = 9 }`"
                    .to_owned()
            }
            'l' | 'L' if self.kind == Day => match lower.split_once('-') {
                _ if lower == "last" => "did you mean `L`?".to_owned(),
                // A shorter month ends it.
                Some((first, _)) if !first.is_empty() && before > first.len() => {
                    format!("did you mean `{}`?", lower.replacen('l', "31", 1))
                }
                _ if before > 0 => "`L-3` is three days before the last day of the month; `3L` \
                                    belongs in the day-of-week field"
                    .to_owned(),
                _ => return None,
            },
            '-' if self.kind == Day && before == 0 => match after.parse::<u32>().ok()? {
                1 => "did you mean `L`, the last day of the month?".to_owned(),
                nth @ 2..=31 => format!("did you mean `L-{}`?", nth - 1),
                _ => return None,
            },
            '-' if self.kind == Day && lower.starts_with("lw") => {
                format!("`L{}W` is the weekday nearest to that day", &item[before..])
            }
            _ => return None,
        })
    }

    /// `mon/3`, which would reach Sunday if the week had a day 7.
    #[cold]
    pub(super) fn no_sunday(&self, first: u32, step: u32) -> Wrong {
        let days = (first..=6).step_by(step as usize);
        let days: Vec<&str> = days.map(|day| SHORT_WEEKDAYS_FROM_SUNDAY[day as usize]).collect();
        let days = match &days[..] {
            [first, .., last] if step == 1 => format!("{first}-{last}"),
            days => days.join(","),
        };
        let text = self.text;
        Wrong::warning(format!("`{text}` counts to Saturday, so it does not reach Sunday"))
            .help(format!("write `{days}`, or with Sunday `{first}-7/{step}`"))
    }
}

/// The warning for a step that does not divide its field.
#[cold]
pub(super) fn uneven_step(step: u32, kind: Kind) -> Wrong {
    let (name, size) = (kind.name(), kind.size());
    let (min, _) = kind.range();
    let last = min + (size - 1) / step * step;
    let wrong = match kind {
        Day => Wrong::warning(format!("a step of {step} starts again at day 1 of each month")),
        Weekday => {
            Wrong::warning(format!("a step of {step} does not divide the 7 days of the week"))
        }
        _ => Wrong::warning(format!("a step of {step} does not divide the {size} {name}s evenly")),
    };
    let unit = match kind {
        Second => Some((60, "s")),
        Minute => Some((60, "m")),
        Hour => Some((24, "h")),
        Day | Month | Weekday | Year => None,
    };
    match (unit, kind) {
        (Some((_, unit)), _) => wrong.help(format!(
            "from {last} to {min} is only {}{unit}; for a fixed interval use `interval = \
             \"{step}{unit}\"`",
            size - last + min
        )),
        (None, Day) => wrong.help("to run every few days, use `interval` or list the days"),
        (None, Weekday) => wrong.help("list the days by name: `mon,wed,fri`"),
        (None, _) => wrong.help(format!("after {name} {last} comes {name} {min}")),
    }
}
