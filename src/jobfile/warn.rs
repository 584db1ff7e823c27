//! What is legal but probably not meant.

use std::ops::Range;
use std::time::Duration;

use super::tree::Value;
use super::value::{Scope, inside};
use crate::core::civil;
use crate::core::instant::Instant;
use crate::core::names;
use crate::core::trigger::cron::DstEffect;
use crate::core::trigger::{CronTrigger, DateTrigger, IntervalTrigger};
use crate::core::zone::Zone;
use crate::problem::{Place, Problem};

/// How far ahead daylight saving is looked at: every rule shows twice in it.
const HORIZON: Duration = Duration::from_secs(2 * 366 * 86_400);

/// A date that has gone by.
pub(super) fn date(date: DateTrigger, value: &Value<'_>, now: Instant, scope: &mut Scope<'_>) {
    if matches!(date, DateTrigger::At(at) if at < now) {
        let message = "this date is in the past: the job is not due any more";
        scope.push(Problem::warning(scope.place(value.span), message));
    }
}

/// An `end_date` that has gone by.
pub(super) fn ended(end: Option<(Instant, Place)>, now: Instant, scope: &mut Scope<'_>) {
    if let Some((end, place)) = end
        && end < now
    {
        let message = "this `end_date` is in the past: the job is not due any more";
        scope.push(Problem::warning(place, message));
    }
}

/// An interval that is shorter than anybody writes on purpose.
pub(super) fn interval(interval: &IntervalTrigger, value: &Value<'_>, scope: &mut Scope<'_>) {
    let every = interval.every();
    if every < Duration::from_secs(1) {
        let times = Duration::from_secs(1).as_micros() / every.as_micros().max(1);
        let message = format!("fires {times} times a second");
        scope.push(Problem::warning(scope.place(value.span), message));
    } else if let (Some(first), Some(end)) = (interval.first(), interval.end())
        && first > end
    {
        scope.push(Problem::warning(scope.place(value.span), "never fires"));
    }
}

/// A cron schedule that never fires, that always fires, or that daylight saving gets at.
pub(super) fn cron(cron: &CronTrigger, value: &Value<'_>, now: Instant, scope: &mut Scope<'_>) {
    let place = scope.place(value.span);
    if cron.never() {
        let windowed = cron.start().is_some() || cron.end().is_some();
        let unlimited = || CronTrigger::new(cron.schedules(), cron.zone().clone(), None, None);
        scope.push(if windowed && !unlimited().never() {
            let message = "never fires: nothing matches between `start_date` and `end_date`";
            Problem::warning(place, message)
        } else {
            Problem::warning(place, "never fires: there is no such date")
        });
        return;
    }
    if cron.every_second() {
        let help = "six fields begin with the second: for every minute write `0 * * * * *` or \
                    `* * * * *`";
        scope.push(Problem::warning(place, "fires every second").help(help));
        return;
    }
    if cron.zone().is_fixed() || cron.end().is_some_and(|end| end < now) {
        return;
    }
    let effects = cron.dst_effects(now, now.plus(HORIZON));
    let gap = effects.iter().find(|effect| matches!(effect, DstEffect::Gap { .. }));
    let fold = effects.iter().find(|effect| matches!(effect, DstEffect::Fold { .. }));
    let mut found: Vec<&DstEffect> = gap.into_iter().chain(fold).collect();
    found.sort_by_key(|effect| effect.wall());
    if !found.is_empty() {
        let said: Vec<String> = found.iter().map(|effect| say(effect, cron.zone())).collect();
        let help = "choose an hour that no change of the clocks touches, or `timezone = \"UTC\"`";
        scope.push(Problem::warning(place, said.join("; ")).help(help));
    }
}

/// What happens at a change of the clocks.
fn say(effect: &DstEffect, zone: &Zone) -> String {
    let (time, date) = (clock(effect.wall()), day(effect.wall()));
    match effect {
        DstEffect::Gap { wall, runs } => {
            let runs = zone.wall_of(*runs);
            let other_day = if runs.div_euclid(86_400) == wall.div_euclid(86_400) {
                String::new()
            } else {
                format!(" on {}", day(runs))
            };
            format!("{time} does not exist on {date} in {zone}: runs at {}{other_day}", clock(runs))
        }
        DstEffect::Fold { both, .. } => {
            let passes = if *both { "runs on both passes" } else { "runs once, on the first pass" };
            format!("{time} happens twice on {date} in {zone}: {passes}")
        }
    }
}

/// `02:30`, or `02:30:15`.
fn clock(wall: i64) -> String {
    let (hour, minute, second) =
        (wall.rem_euclid(86_400) / 3600, wall.rem_euclid(3600) / 60, wall.rem_euclid(60));
    match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    }
}

/// `29 Mar 2026`.
fn day(wall: i64) -> String {
    let (year, month, day) = civil::from_days(wall.div_euclid(86_400));
    format!("{day} {} {year}", names::capital(names::SHORT_MONTHS[month as usize - 1]))
}

/// A `%` that means something in a crontab and nothing here.
pub(super) fn percent(value: &Value<'_>, text: &str, scope: &mut Scope<'_>) {
    let Some((range, escaped)) = crontab_percent(text) else { return };
    let span = inside(value.span, scope.typed(value.span), text, range);
    let place = scope.place(span);
    scope.push(if escaped {
        Problem::warning(place, "`\\%` looks copied from a crontab")
            .help("here `%` has no special meaning: write `%` without the backslash")
    } else {
        Problem::warning(place, "this `%` looks copied from a crontab")
            .help("here `%` does not end the command: what follows it belongs in `stdin`")
    });
}

/// The first `%` that was probably written for cron: `\%`, or one that ends the command there
/// (`mail root%Hello`). Those of `date +%F`, `printf %s`, `${x%.gz}` and URLs are none. The answer
/// says whether it is the former.
fn crontab_percent(text: &str) -> Option<(Range<usize>, bool)> {
    if !text.contains('%') {
        return None;
    }
    if let Some(at) = text.find("\\%") {
        return Some((at..at + 2, true));
    }
    let mut quote = None;
    let mut word = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match (byte, quote) {
            (b'\'' | b'"', None) => quote = Some(*byte),
            (byte, Some(open)) if *byte == open => quote = None,
            (_, Some(_)) => {}
            (b' ' | b'\t' | b';' | b'|' | b'&', None) => word = at + 1,
            (b'%', None) => {
                let before = &bytes[word..at];
                let after: Vec<u8> = bytes[at + 1..].iter().copied().take(2).collect();
                let ends_word = before.last().is_some_and(u8::is_ascii_alphanumeric)
                    && !before.iter().any(|byte| b"+%${}=:/".contains(byte));
                let text_follows = match after[..] {
                    // `50%` is a number.
                    [] | [b' ', ..] => before.iter().any(u8::is_ascii_alphabetic),
                    [a, b] => a.is_ascii_alphabetic() && b.is_ascii_alphabetic(),
                    _ => false,
                };
                let url = after.len() == 2 && after.iter().all(u8::is_ascii_hexdigit);
                if ends_word && text_follows && !url {
                    return Some((at..at + 1, false));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::crontab_percent;

    #[test]
    fn knows_a_crontabs_percent_sign() {
        let rows = [
            (r"tar czf /b/$(date +\%F).tgz /srv", Some((r"\%", true))),
            ("mail -s report root%Hello there%%bye", Some(("%", false))),
            ("mail -s report root%", Some(("%", false))),
            ("date +%F", None),
            ("date +%Y%m%d > x", None),
            ("date '+%F %T'", None),
            ("printf %s x", None),
            ("printf \"100%Done\"", None),
            ("gunzip -c $x > ${x%.gz}", None),
            ("curl -w %{http_code} http://x/a%20b", None),
            ("test $(df / | tail -1 | cut -f5) = 50%", None),
            ("git log --format=%H%nfoo", None),
            ("ffmpeg -i frame%04d.png", None),
            ("kill %1", None),
            ("true", None),
        ];
        for (command, found) in rows {
            let answer = crontab_percent(command).map(|(at, escaped)| (&command[at], escaped));
            assert_eq!(answer, found, "{command}");
        }
    }
}
