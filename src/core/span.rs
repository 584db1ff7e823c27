//! Durations as people write them: `30s`, `1h 30m`.
//!
//! They are those of `humantime`, without its months and years: `5M` is mostly meant as five minutes,
//! and nobody means 30.44 days by a month.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NoSpan {
    /// Nothing that `humantime` can read.
    Form(humantime::DurationError),
    /// It counts in a unit that has no fixed length.
    Calendar {
        /// The number and the unit, in the text.
        at: Range<usize>,
        /// `5M`.
        typed: String,
    },
}

/// Reads a duration.
pub(crate) fn parse(text: &str) -> Result<Duration, NoSpan> {
    let span = humantime::parse_duration(text).map_err(NoSpan::Form)?;
    match calendar_unit(text) {
        Some(at) => Err(NoSpan::Calendar { typed: text[at.clone()].to_owned(), at }),
        None => Ok(span),
    }
}

/// Where a text that is a duration counts in months or years.
fn calendar_unit(text: &str) -> Option<Range<usize>> {
    let mut rest = 0;
    while let Some(number) = text[rest..].find(|c: char| c.is_ascii_digit()) {
        let start = rest + number;
        let unit = start + text[start..].find(char::is_alphabetic)?;
        let end =
            text[unit..].find(|c: char| !c.is_alphabetic()).map_or(text.len(), |at| unit + at);
        if matches!(
            &text[unit..end],
            "M" | "month" | "months" | "y" | "yr" | "yrs" | "year" | "years"
        ) {
            return Some(start..end);
        }
        rest = end;
    }
    None
}

impl NoSpan {
    /// What would be right, where that is not obvious.
    pub(crate) fn help(&self) -> Option<String> {
        let NoSpan::Calendar { typed, .. } = self else { return None };
        let number = typed.trim_end_matches(char::is_alphabetic).trim_end();
        Some(match typed.chars().last() {
            Some('M') => format!(
                "`{number}m` is {number} minutes; for months of the calendar write `interval = {{ \
                 months = {number} }}`"
            ),
            _ => "write days, as in \"30d\"; for months and years of the calendar write `interval = { \
                  months = 1 }`"
                .to_owned(),
        })
    }
}

impl fmt::Display for NoSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSpan::Form(error) => error.fmt(f),
            NoSpan::Calendar { typed, .. } => {
                let unit = typed.trim_start_matches(|c: char| !c.is_alphabetic());
                let what = if unit.starts_with('y') { "years" } else { "months" };
                write!(f, "`{typed}` is in {what}, which have no fixed length")?;
                // On a command line there is no place for help.
                match self.help() {
                    Some(help) if f.alternate() => write!(f, ": {help}"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for NoSpan {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_years_have_no_length() {
        let rows = [
            ("5M", Some("5M")),
            ("1 month", Some("1 month")),
            ("1d 2months 3s", Some("2months")),
            ("1y", Some("1y")),
            ("3s 1year", Some("1year")),
            ("5m", None),
            ("5min", None),
            ("1h 30m", None),
            ("2weeks 1day 500ms", None),
        ];
        for (text, wrong) in rows {
            match (parse(text), wrong) {
                (Ok(_), None) => {}
                (Err(NoSpan::Calendar { at, .. }), Some(wrong)) => assert_eq!(&text[at], wrong),
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        }
        let help = parse("5M").unwrap_err().help().unwrap();
        assert!(help.starts_with("`5m` is 5 minutes"), "{help}");
        assert_eq!(parse("").unwrap_err().help(), None);
    }
}
