//! The answer for a due time without a record, and for a time at which nothing was due.

use std::time::Duration;

use super::{Case, Verdict};
use crate::core::event::Pause;
use crate::core::instant::Instant;
use crate::core::job::{Grace, Job};
use crate::core::trigger::Trigger;
use crate::core::words;
use crate::history::{TICK, format, last_due};
use crate::problem::clean;

/// Says what there is to say of a due time that has no record.
pub(super) fn due(case: &Case<'_>, due: Instant) -> Verdict {
    let mut verdict = match case.job {
        Some(job) => of_job(case, job, due),
        None => Verdict::new("unknown", "no record of it is kept"),
    };
    verdict.due = Some(due);
    verdict
}

fn of_job(case: &Case<'_>, job: &Job, due: Instant) -> Verdict {
    if case.is_not_loaded() {
        return not_loaded(case);
    }
    let is_undecided = case.known.is_none_or(|known| due > known.decided);
    if let Some(text) = case.no_host().filter(|_| is_undecided) {
        return Verdict::new("no_host", text);
    }
    let Some(known) = case.known else {
        return Verdict::new(
            "unknown",
            if due > case.now {
                "not due yet, and schedrs has never run this job with this store"
            } else {
                "no record: schedrs has never run this job with this store"
            },
        );
    };
    if case.is_paused_by_file() {
        return by_file(case, job);
    }
    if let Some(pause) = case.pause()
        && due > pause.at
        && pause.until.is_none_or(|until| due < until)
    {
        return paused(case, pause, due);
    }
    if due > case.now
        && let Some(by) = job.excluded(due)
    {
        let text = format!("will be skipped: excluded ({})", clean(&by));
        let mut verdict = Verdict::new("excluded", text);
        rules(job, &mut verdict);
        return verdict;
    }
    if due > case.now {
        let mut verdict = Verdict::new("pending", format!("not due yet: {}", ahead(case, due)));
        if let Some(down) = not_running(case) {
            verdict.also("but", down);
        }
        return verdict;
    }
    let delay = job.delay(due);
    if due.plus(delay) > case.now {
        let fires = case.clock(due.plus(delay), due);
        let options = &*job.options;
        let rules = [("spread", options.spread.most), ("jitter", options.jitter)];
        let rules = rules.into_iter().filter(|(_, most)| !most.is_zero());
        let names: Vec<&str> = rules.clone().map(|(name, _)| name).collect();
        let verb = if names.len() > 1 { "delay" } else { "delays" };
        let text = format!("not yet: its {} {verb} it to {fires}", names.join(" and "));
        let mut verdict = Verdict::new("pending", text);
        for (name, most) in rules {
            verdict.also("rule", format!("{name} = \"{}\"", words::span(most)));
        }
        return verdict;
    }
    if due > known.decided {
        return undecided(case, job, due, delay);
    }
    match case.oldest {
        Some(oldest) if oldest <= due => Verdict::new(
            "unaccounted",
            "it was decided, but there is no record of it, which should not be; see `schedrs \
             history --audit`",
        ),
        Some(oldest) => {
            let oldest = case.clock(oldest, due);
            forgotten(format!("no record of it is kept: the oldest record is from {oldest}"))
        }
        None => forgotten("no record of it is kept".to_owned()),
    }
}

/// What a job says about when it is not due.
pub(super) fn rules(job: &Job, verdict: &mut Verdict) {
    let excluded = &job.options.excluded;
    for (key, windows) in [("except", &excluded.except), ("only", &excluded.only)] {
        if !windows.is_empty() {
            let texts: Vec<String> = windows.texts().map(|text| format!("\"{text}\"")).collect();
            verdict.also("rule", format!("{key} = [{}]", texts.join(", ")));
        }
        for calendar in windows.calendars() {
            if let Some(file) = &calendar.file {
                verdict.also("calendar", format!("{} is read from {}", calendar.name, clean(file)));
            }
        }
    }
}

/// That the scheduler has not read the jobfile since the job was written into it.
pub(super) fn not_loaded_text(case: &Case<'_>) -> String {
    format!(
        "not loaded: it was added to the jobfile after schedrs last read it; `schedrs reload{}`",
        case.typed
    )
}

fn not_loaded(case: &Case<'_>) -> Verdict {
    Verdict::new("not_loaded", not_loaded_text(case))
}

fn forgotten(text: String) -> Verdict {
    let mut verdict = Verdict::new("forgotten", text);
    verdict.also("rule", "`keep` in `[store]` sets how much history is kept");
    verdict
}

fn by_file(case: &Case<'_>, job: &Job) -> Verdict {
    let mut verdict = Verdict::new("paused", "not due: its definition has `paused = true`");
    let resume = format!("`schedrs resume {}{}`", clean(&job.id), case.typed);
    verdict.also("to change", format!("{resume}, or edit the jobfile"));
    verdict
}

fn paused(case: &Case<'_>, pause: &Pause, due: Instant) -> Verdict {
    let (verb, then) = if due > case.now {
        ("will not run", "it will be `skipped` if it is still paused then")
    } else {
        ("not run", "it will be recorded as `skipped` when the pause ends")
    };
    let (words, resume) = pause_words(case, pause, due);
    let mut verdict = Verdict::new("paused", format!("{verb}: {words}"));
    verdict.also("then", then);
    verdict.also("to change", format!("`{resume}`"));
    verdict
}

/// Who has paused what, since and until when and why; and the command that ends it.
pub(super) fn pause_words(case: &Case<'_>, pause: &Pause, near: Instant) -> (String, String) {
    let own = case.known.is_some_and(|known| known.pause.as_ref() == Some(pause));
    let what = if own { "paused" } else { "all jobs are paused" };
    let since = case.clock(pause.at, near);
    let until = match pause.until {
        Some(until) => format!(" until {}", case.clock(until, near)),
        None => String::new(),
    };
    let reason = pause.reason.as_ref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
    let target = if own { clean(case.id).into_owned() } else { "--all".to_owned() };
    let words = format!("{what} by {} since {since}{until}{reason}", clean(&pause.by));
    (words, format!("schedrs resume {target}{}", case.typed))
}

/// It has passed and nobody has decided it.
fn undecided(case: &Case<'_>, job: &Job, due: Instant, delay: Duration) -> Verdict {
    let Some(down) = not_running(case) else {
        let mut verdict = Verdict::new("pending", "it is being decided right now");
        let ago = words::span(case.now.since(due));
        verdict.also("due", format!("{ago} ago; check `schedrs status{}`", case.typed));
        return verdict;
    };
    let late = case.now.since(due.plus(delay));
    let then = match job.options.misfire_grace_time {
        Grace::Limited(grace) if late > grace => format!(
            "be `missed`: late by {}, more than misfire_grace_time = \"{}\"",
            words::span(late),
            words::span(grace)
        ),
        Grace::Limited(grace) => format!(
            "run late or be coalesced if that is by {}, and else be `missed` \
             (misfire_grace_time = \"{}\")",
            case.clock(due.plus(delay).plus(grace), case.now),
            words::span(grace)
        ),
        Grace::Forever => "run late or be coalesced (misfire_grace_time = \"forever\")".to_owned(),
    };
    let mut verdict = Verdict::new("not_running", format!("not decided: {down}"));
    verdict.also("then", format!("when schedrs runs again, it will {then}"));
    verdict
}

/// That no scheduler runs, if none does.
fn not_running(case: &Case<'_>) -> Option<String> {
    if case.is_running {
        return None;
    }
    Some(match case.sessions.last() {
        Some(session) => match session.stopped {
            Some(at) => {
                format!("schedrs is not running; it was stopped at {}", case.clock(at, case.now))
            }
            None => format!(
                "schedrs is not running; it was last seen at {}",
                case.clock(session.seen, case.now)
            ),
        },
        None => "schedrs has never run with this store".to_owned(),
    })
}

fn ahead(case: &Case<'_>, due: Instant) -> String {
    format!("in {}", words::span(due.since(case.now)))
}

/// Says why nothing was due at a time; `None`: that nothing has been due so far.
pub(super) fn nothing(case: &Case<'_>, asked: Option<Instant>) -> Verdict {
    let (Some(job), Some(trigger)) = (case.job, case.trigger()) else {
        return Verdict::new("unknown", "no record of that time is kept");
    };
    if case.is_not_loaded() {
        return not_loaded(case);
    }
    if let Some(text) = case.no_host() {
        return Verdict::new("no_host", text);
    }
    if let Trigger::After(_) = job.trigger {
        let mut verdict =
            Verdict::new("not_due", "not due: nothing that it is due after has ended");
        if let Some(down) = not_running(case) {
            verdict.also("but", down);
        }
        return verdict;
    }
    if trigger.never(case.now) {
        return Verdict::new("never_due", "never due: its schedule matches no time");
    }
    if asked.is_none_or(|asked| asked >= case.now) && case.is_paused_by_file() {
        return by_file(case, job);
    }
    let Some(asked) = asked else { return not_so_far(case, &trigger) };
    if let Some(known) = case.known
        && asked < known.since
    {
        let since = case.clock(known.since, asked);
        let mut verdict = Verdict::new(
            "unknown",
            format!(
                "no record of that time is kept; it has had its current schedule since {since}"
            ),
        );
        if let Some(oldest) = case.oldest {
            verdict.also("oldest", format!("the oldest record is {}", case.clock(oldest, asked)));
        }
        return verdict;
    }
    let floor = case.known.map_or(Instant::MIN, |known| known.since);
    let before = last_due(&trigger, floor, asked.minus(TICK));
    let after = trigger.next_after(asked);
    let mut verdict = Verdict::new(
        "not_due",
        match (before, after) {
            (Some(before), Some(after)) => format!(
                "not due: the nearest due times are {} and {}",
                case.clock(before, asked),
                case.clock(after, asked)
            ),
            (Some(before), None) => {
                format!("not due: its last due time was {}", case.clock(before, asked))
            }
            (None, Some(after)) => {
                format!("not due: its first due time is {}", case.clock(after, asked))
            }
            (None, None) => "not due".to_owned(),
        },
    );
    let covers = |record: &&crate::core::record::RunRecord| {
        before.is_some_and(|before| (record.due..=record.last_due).contains(&before))
    };
    if let (Some(before), Some(record)) = (before, case.records.iter().find(covers)) {
        let before = case.clock(before, asked);
        let words = format::sentence(record);
        verdict.also("before", format!("the one at {before} {words}"));
    }
    verdict
}

/// The last due time of a schedule that was over when the job was first known.
fn passed_before(since: Instant, trigger: &Trigger) -> Option<Instant> {
    last_due(trigger, Instant::MIN, since).filter(|last| *last < since)
}

/// It has had no due time yet.
fn not_so_far(case: &Case<'_>, trigger: &Trigger) -> Verdict {
    let mut verdict = match case.job.and_then(|job| job.next_kept(trigger, case.now)) {
        Some(next) => {
            let mut verdict = Verdict::new(
                "pending",
                format!("not due yet: its first due time is {}", ahead(case, next)),
            );
            verdict.due = Some(next);
            verdict
        }
        None if let Some(due) = trigger.next_after(case.now)
            && let Some(job) = case.job
            && let Some(by) = job.excluded(due) =>
        {
            let text = format!("never due: all its due times are excluded ({})", clean(&by));
            let mut verdict = Verdict::new("never_due", text);
            rules(job, &mut verdict);
            return verdict;
        }
        None => match case.known {
            Some(known) if let Some(last) = passed_before(known.since, trigger) => {
                let what =
                    if matches!(trigger, Trigger::Date(_)) { "date" } else { "last due time" };
                let (last, since) = (case.clock(last, case.now), case.clock(known.since, case.now));
                let text = format!(
                    "not due any more: its {what}, {last}, had passed when schedrs loaded it at {since}"
                );
                Verdict::new("not_due", text)
            }
            Some(_) => {
                forgotten("no record of it is kept, and no more due times follow".to_owned())
            }
            None => Verdict::new("unknown", "schedrs has never run this job with this store"),
        },
    };
    if let Some(pause) = case.pause()
        && let Some(due) = verdict.due
    {
        verdict = Verdict { due: Some(due), ..paused(case, pause, due) };
    } else if let Some(down) = not_running(case) {
        verdict.also("but", down);
    }
    verdict
}
