//! The schedule at the start of a crontab's line: five fields, those with seconds and years of
//! supercronic, a `@word`; and what crons do not agree about.

use std::ops::Range;

use super::text::words;
use super::{Line, Reader};
use crate::convert::import::{Oracle, Value, duration};
use crate::core::names::{SHORT_MONTHS, SHORT_WEEKDAYS_FROM_SUNDAY};
use crate::core::trigger::cron::crontab;
use crate::core::trigger::flaw::Severity;

/// When a job is due, as a key of the jobfile.
pub(super) struct When {
    pub(super) key: &'static str,
    pub(super) value: Value,
    pub(super) oracle: Oracle,
    /// The byte of the line after it.
    pub(super) end: usize,
}

impl Line<'_> {
    /// Some of its words, with one space between.
    fn fields(&self, words: &[Range<usize>]) -> String {
        let fields: Vec<&str> = words.iter().map(|word| &self.text[word.clone()]).collect();
        fields.join(" ")
    }
}

impl Reader<'_, '_, '_> {
    /// The schedule at the start of a line.
    pub(super) fn when(&mut self, line: Line<'_>) -> Option<When> {
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
        if words.len() < 6 {
            let help = "five fields and the command: `30 2 * * * backup --home`".to_owned();
            let message = "not converted: not a crontab line";
            self.draft.lost(self.file, line.whole(), message, Some(help));
            return None;
        }
        // supercronic tries seven fields, then six, then five.
        if !self.options.system {
            for count in [7, 6] {
                if words.len() > count
                    && crontab::is_year(&line.text[words[count - 1].clone()])
                    && crontab::parse(&line.fields(&words[..count - 1]), "", &mut Vec::new())
                        .is_some()
                {
                    return self.with_year(line, &words[..count], count == 7);
                }
            }
        }
        self.five_fields(line, &words[..5])
    }

    fn five_fields(&mut self, line: Line<'_>, words: &[Range<usize>]) -> Option<When> {
        let typed = line.fields(words);
        if typed.split([' ', ',']).any(|item| item.contains('~') && item.contains('/')) {
            let help = "write the minutes yourself, such as `H/10`".to_owned();
            let message = "not converted: a random value with a step";
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
                self.lost(line.span(word), "not converted: no duration follows `@every`");
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
        let whole = format!("{second}{fields} {year}");
        let oracle = Oracle::Crontab(whole.replace('?', "*"));
        let text = if matches!(*year, "*" | "?") { fields } else { whole };
        Some(When { key: "cron", value: Value::Text(text), oracle, end })
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
                let message = format!("not converted: {}", flaw.message);
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
