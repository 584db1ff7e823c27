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
    if job.options.paused && !known.resumed && known.pause.is_none() {
        return by_file(job);
    }
    if let Some(pause) = case.pause()
        && due > pause.at
        && pause.until.is_none_or(|until| due < until)
    {
        return paused(case, pause, due);
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
            forgotten(format!("no record of it is kept: the oldest is that of {oldest}"))
        }
        None => forgotten("no record of it is kept".to_owned()),
    }
}

fn forgotten(text: String) -> Verdict {
    let mut verdict = Verdict::new("forgotten", text);
    verdict.also("rule", "`keep` in `[store]` says how much of the past is kept");
    verdict
}

fn by_file(job: &Job) -> Verdict {
    let mut verdict = Verdict::new("paused", "not due: its definition says `paused = true`");
    verdict.also("to change", format!("`schedrs resume {}`, or edit the jobfile", clean(&job.id)));
    verdict
}

fn paused(case: &Case<'_>, pause: &Pause, due: Instant) -> Verdict {
    let own = case.known.is_some_and(|known| known.pause.as_ref() == Some(pause));
    let what = if own { "paused" } else { "all jobs are paused" };
    let since = case.clock(pause.at, due);
    let until = match pause.until {
        Some(until) => format!(" until {}", case.clock(until, due)),
        None => String::new(),
    };
    let reason = pause.reason.as_ref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
    let by = clean(&pause.by);
    let (verb, then) = if due > case.now {
        ("will not run", "it will be `skipped` if the pause goes on until then")
    } else {
        ("not run", "it will be recorded as `skipped` when the pause ends")
    };
    let mut verdict =
        Verdict::new("paused", format!("{verb}: {what} by {by} since {since}{until}{reason}"));
    verdict.also("then", then);
    let target = if own { clean(case.id).into_owned() } else { "--all".to_owned() };
    verdict.also("to change", format!("`schedrs resume {target}`"));
    verdict
}

/// It has passed and nobody has decided it.
fn undecided(case: &Case<'_>, job: &Job, due: Instant, delay: Duration) -> Verdict {
    let Some(down) = not_running(case) else {
        let mut verdict = Verdict::new("pending", "it is being decided just now");
        let ago = words::span(case.now.since(due));
        verdict.also("due", format!("{ago} ago; `schedrs status` says whether all is well"));
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
                format!("schedrs does not run; it was stopped at {}", case.clock(at, case.now))
            }
            None => format!(
                "schedrs does not run; it was last seen at {}",
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
    if trigger.next_after(Instant::MIN).is_none() {
        return Verdict::new("never_due", "never due: its schedule names no time");
    }
    if asked.is_none_or(|asked| asked >= case.now) && job.options.paused {
        let resumed = case.known.is_some_and(|known| known.resumed || known.pause.is_some());
        if !resumed {
            return by_file(job);
        }
    }
    let Some(asked) = asked else { return not_so_far(case, &trigger) };
    if let Some(known) = case.known
        && asked < known.since
    {
        let since = case.clock(known.since, asked);
        let mut verdict = Verdict::new(
            "unknown",
            format!(
                "no record of that time is kept; it has had its present schedule since {since}"
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
                "not due: the due times around it are {} and {}",
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
        verdict.also("before", format!("that of {before} {words}"));
    }
    verdict
}

/// It has had no due time yet.
fn not_so_far(case: &Case<'_>, trigger: &Trigger) -> Verdict {
    let mut verdict = match trigger.next_after(case.now) {
        Some(next) => {
            let mut verdict = Verdict::new(
                "pending",
                format!("not due yet: its first due time is {}", ahead(case, next)),
            );
            verdict.due = Some(next);
            verdict
        }
        None => match case.known {
            Some(_) => forgotten("no record of it is kept, and nothing is to come".to_owned()),
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
