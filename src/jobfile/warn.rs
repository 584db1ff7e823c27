//! What is legal but probably not meant.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use super::keys::{Key, LEASE};
use super::tree::{self, Node, Value};
use super::value::Scope;
use super::when::Moment;
use crate::core::calendar::Exclusion;
use crate::core::civil;
use crate::core::fleet::protocol::Timing;
use crate::core::instant::Instant;
use crate::core::job::{OnLost, Options};
use crate::core::names;
use crate::core::sort;
use crate::core::trigger::combined::How;
use crate::core::trigger::cron::{DstEffect, crontab};
use crate::core::trigger::{
    CalendarIntervalTrigger, CombinedTrigger, CronTrigger, DateTrigger, FromEndTrigger,
    IntervalTrigger, Trigger,
};
use crate::core::words;
use crate::core::zone::{Local, Zone};
use crate::problem::{Place, Problem};

/// So many due times and windows are looked at for one that is not excluded.
const MOST_LOOKED_AT: usize = 20_000;

/// How far ahead daylight saving is looked at: every rule shows twice in it.
const HORIZON: Duration = Duration::from_secs(2 * 366 * 86_400);

/// A date that has gone by.
pub(super) fn date(date: DateTrigger, value: &Value<'_>, now: Instant, scope: &mut Scope<'_>) {
    if matches!(date, DateTrigger::At(at) if at < now) {
        let message = "this date is in the past: the job will never be due";
        scope.push(Problem::warning(scope.place(value.span), message));
    }
}

/// A time that a change of the clocks leaves out, or brings twice.
pub(super) fn moment(moment: Moment, value: &Value<'_>, zone: &Zone, scope: &mut Scope<'_>) {
    let Moment::Wall { secs, .. } = moment else { return };
    let (time, date) = (clock(secs), day(secs));
    let (message, help) = match zone.resolve(secs) {
        Local::Unambiguous(_) => return,
        Local::Gap { at } => {
            let instead = clock(zone.wall_of(Instant::from_secs(at)));
            let message =
                format!("{time} does not exist on {date} in {zone}: it is read as {instead}");
            (message, "choose a time that is not skipped when the clocks change".to_owned())
        }
        Local::Fold { first, second } => {
            let message =
                format!("{time} happens twice on {date} in {zone}: it is read as the first");
            let [first, second] = [first, second]
                .map(|at| words::rfc3339(Instant::from_secs(at), zone).split_off(19));
            (
                message,
                format!("add the offset: {first} for the first time, {second} for the second"),
            )
        }
    };
    scope.push(Problem::warning(scope.place(value.span), message).help(help));
}

/// `* 5 * * *`, which is 60 times where mostly once was meant.
pub(super) fn each(value: &Value<'_>, scope: &mut Scope<'_>) {
    let Node::String(text) = &value.node else { return };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let is_number = |field: &&str| field.bytes().all(|byte| byte.is_ascii_digit());
    let Some(second) = fields.get(1).filter(|field| is_number(field)) else { return };
    if fields[0] != "*" || !(5..=7).contains(&fields.len()) {
        return;
    }
    // Six fields with a year behind five have no second.
    let with_year = fields.len() == 6 && fields[5].len() >= 4 && crontab::is_year(fields[5]);
    let times = if fields.len() == 5 || with_year {
        format!("every minute of hour {second}")
    } else {
        format!("every second of minute {second}")
    };
    let message = format!("fires 60 times: {times}");
    let help = format!("to fire once, write `0 {}`", fields[1..].join(" "));
    scope.push(Problem::warning(scope.place(value.span), message).help(help));
}

/// An `end_date` that has gone by.
pub(super) fn ended(end: Option<(Instant, Place)>, now: Instant, scope: &mut Scope<'_>) {
    if let Some((end, place)) = end
        && end < now
    {
        let message = "this `end_date` is in the past: the job will never be due again";
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

/// An interval from the end of the last run that is never due.
pub(super) fn from_end(trigger: &FromEndTrigger, value: &Value<'_>, scope: &mut Scope<'_>) {
    if trigger.start_date().zip(trigger.end()).is_some_and(|(start, end)| start > end) {
        scope.push(Problem::warning(scope.place(value.span), "never fires"));
    }
}

/// Options that decide between due times, on a job that has no second one before its run has ended.
pub(super) fn one_at_a_time(typed: &[(Key, &Value<'_>)], scope: &mut Scope<'_>) {
    for (key, value) in typed {
        if matches!(key, Key::Coalesce | Key::Overlap) {
            let message = format!("`{}` has no effect with `from = \"end\"`", key.name());
            let help = "such a job is not due again before its run has ended";
            scope.push(Problem::warning(scope.place(value.span), message).help(help));
        }
    }
}

/// A calendar interval that never fires, that skips months nobody may have thought of, or that
/// daylight saving gets at.
pub(super) fn calendar(
    calendar: &CalendarIntervalTrigger,
    value: &Value<'_>,
    now: Instant,
    excluded: Option<&Exclusion>,
    scope: &mut Scope<'_>,
) {
    let place = scope.place(value.span);
    if calendar.never() {
        let beyond = calendar.start_date().zip(calendar.end()).is_some();
        let why = match beyond {
            true => "nothing is due between `start_date` and `end_date`",
            false => "no month has that day",
        };
        scope.push(Problem::warning(place, format!("never fires: {why}")));
        return;
    }
    let step = calendar.step();
    if let Some(start) = calendar.start_date()
        && step.months > 0
        && step.day.is_none()
    {
        let (.., day) = civil::from_days(calendar.zone().wall_of(start).div_euclid(86_400));
        if day > 28 {
            let message = format!("months without a day {day}, that of `start_date`, are skipped");
            let help = format!("write `day = {day}` if that is meant, or `day = \"last\"`");
            scope.push(Problem::warning(place, message).help(help));
        }
    }
    let anchored = calendar.anchored(now);
    let (mut at, mut found) = (now, Vec::new());
    while let Some(due) = anchored.next_after(at).filter(|due| *due < now.plus(HORIZON)) {
        at = due;
        if is_excluded(excluded, due, calendar.zone()) {
            continue;
        }
        // One of each kind is enough.
        if let Some(effect) = anchored.dst_effect_at(due) {
            let same = |known: &DstEffect| discriminant(known) == discriminant(&effect);
            if !found.iter().any(same) {
                found.push(effect);
            }
        }
    }
    affected(&found, calendar.zone(), place, scope);
}

/// A job whose due times are all excluded.
#[allow(clippy::too_many_arguments, reason = "it is one step of `build::Jobs::job`")]
pub(super) fn swallowed(
    excluded: &Exclusion,
    trigger: &Trigger,
    zone: &Zone,
    typed: &[(Key, &Value<'_>)],
    now: Instant,
    id: &tree::Key<'_>,
    scope: &mut Scope<'_>,
) {
    if excluded.is_empty() {
        return;
    }
    let (anchored, after) = (trigger.anchored(now), now.just_before());
    if anchored.next_after(after).is_none()
        || excluded.next_after(&anchored, zone, after, MOST_LOOKED_AT).is_some()
    {
        return;
    }
    let of = |wanted| typed.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.span);
    let span = of(Key::Except).or(of(Key::Only)).unwrap_or(id.span);
    let what = match (excluded.except.is_empty(), excluded.only.is_empty()) {
        (false, true) => "`except` excludes",
        (true, false) => "`only` excludes",
        _ => "`except` and `only` exclude",
    };
    let message = format!("never runs: {what} every due time of the next 28 years");
    scope.push(Problem::warning(scope.place(span), message));
}

/// Triggers that are never due together.
pub(super) fn combined(
    combined: &CombinedTrigger,
    value: &Value<'_>,
    now: Instant,
    scope: &mut Scope<'_>,
) {
    if combined.how() == How::Any {
        return;
    }
    let trigger = Trigger::Combined(Arc::new(combined.anchored(now)));
    let is_over = |trigger: &Trigger| trigger.next_after(now.just_before()).is_none();
    // Of one that is never due alone that was said.
    if !is_over(&trigger) || combined.parts().iter().any(|part| is_over(&part.anchored(now))) {
        return;
    }
    let place = scope.place(value.span);
    scope.push(if trigger.never(now) {
        let message = "never fires: no time was found at which all of these are due";
        Problem::warning(place, message).help("`any` is due when one of them is")
    } else {
        let message =
            "never fires any more: the last time at which all of these were due has gone by";
        Problem::warning(place, message)
    });
}

/// What daylight saving does to a schedule.
fn affected(found: &[DstEffect], zone: &Zone, place: Place, scope: &mut Scope<'_>) {
    if found.is_empty() {
        return;
    }
    let said: Vec<String> = found.iter().map(|effect| say(effect, zone)).collect();
    let help = "choose a time that is not affected by clock changes, or set `timezone = \"UTC\"`";
    scope.push(Problem::warning(place, said.join("; ")).help(help));
}

/// `wait_for` where there is no condition.
pub(super) fn nothing_to_wait_for(
    options: &Options,
    typed: &[(Key, &Value<'_>)],
    scope: &mut Scope<'_>,
) {
    let wait_for = typed.iter().find(|(key, _)| *key == Key::WaitFor);
    if let Some((_, value)) = wait_for.filter(|_| options.only_if.is_none()) {
        let message = "this job has no `only_if`, so it waits for nothing";
        let help = "how long a run may wait for a slot is `max_wait`";
        scope.push(Problem::warning(scope.place(value.span), message).help(help));
    }
}

/// `on_lost = "run_again"` with a `kill_after` for which a host that is cut off has no time: others are
/// about to begin the same again.
pub(super) fn cut_off(
    options: &Options,
    typed: &[(Key, &Value<'_>)],
    lease: Duration,
    scope: &mut Scope<'_>,
) {
    let patience = Timing { lease }.patience();
    let of = |wanted| typed.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
    let said = of(Key::KillAfter).is_some() || options.kill_after != Options::default().kill_after;
    let Some(value) = of(Key::KillAfter).or(of(Key::OnLost)) else { return };
    if options.on_lost != OnLost::RunAgain || !said || options.kill_after <= patience {
        return;
    }
    let message = format!(
        "on a host that is cut off from the store, what may run again is killed {} after TERM, not \
         {}: another host is about to run it again",
        words::span(patience),
        words::span(options.kill_after)
    );
    let wanted = options.kill_after.saturating_mul(6);
    let help = if LEASE.contains(&wanted) {
        format!("`[fleet] lease = \"{}s\"` leaves that time", wanted.as_millis().div_ceil(1000))
    } else {
        "no lease is long enough for that: let the command end sooner, or write \
         `on_lost = \"leave\"`"
            .to_owned()
    };
    scope.push(Problem::warning(scope.place(value.span), message).help(help));
}

/// Whether the job does not run then.
fn is_excluded(excluded: Option<&Exclusion>, due: Instant, zone: &Zone) -> bool {
    excluded.is_some_and(|excluded| excluded.of(due, zone).is_some())
}

/// A cron schedule that never fires, that always fires, or that daylight saving gets at. Answers whether something
/// was left unsaid because the job does not run then.
pub(super) fn cron(
    cron: &CronTrigger,
    value: &Value<'_>,
    now: Instant,
    excluded: Option<&Exclusion>,
    scope: &mut Scope<'_>,
) -> bool {
    let place = scope.place(value.span);
    if cron.never() {
        let windowed = cron.start().is_some() || cron.end().is_some();
        let unlimited = || CronTrigger::new(cron.schedules(), cron.zone().clone(), None, None);
        scope.push(if windowed && !unlimited().never() {
            let message = "never fires: nothing matches between `start_date` and `end_date`";
            Problem::warning(place, message)
        } else {
            // Of several schedules each may have its own reason.
            let why = match cron.schedules() {
                [schedule] => words::why_never(schedule),
                _ => None,
            };
            let why = why.unwrap_or_else(|| "there is no such date".to_owned());
            Problem::warning(place, format!("never fires: {why}"))
        });
        return false;
    }
    if cron.every_second() {
        let help = "six fields begin with the second: for every minute write `0 * * * * *` or \
                    `* * * * *`";
        scope.push(Problem::warning(place, "fires every second").help(help));
        return false;
    }
    if cron.end().is_some_and(|end| end < now) {
        return false;
    }
    if cron.next_after(now).is_none() {
        let message = "never fires any more: its years have gone by";
        scope.push(Problem::warning(place, message));
        return false;
    }
    if cron.zone().is_fixed() {
        return false;
    }
    let mut effects = cron.dst_effects(now, now.plus(HORIZON));
    let all = effects.len();
    effects.retain(|effect| !is_excluded(excluded, due_of(effect), cron.zone()));
    let gap = effects.iter().find(|effect| matches!(effect, DstEffect::Gap { .. }));
    let fold = effects.iter().find(|effect| matches!(effect, DstEffect::Fold { .. }));
    let mut found: Vec<DstEffect> = gap.into_iter().chain(fold).copied().collect();
    sort::by_key(&mut found, DstEffect::wall);
    affected(&found, cron.zone(), place, scope);
    effects.len() < all
}

/// The due time that a change of the clocks has to do with.
fn due_of(effect: &DstEffect) -> Instant {
    match effect {
        DstEffect::Gap { runs, .. } => *runs,
        DstEffect::Fold { at, .. } => *at,
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
            let passes = if *both { "runs both times" } else { "runs once, the first time" };
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
