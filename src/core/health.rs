//! Whether a scheduler is well: one verdict for `schedrs health`, from what the scheduler tells of
//! itself (`crate::core::event::Vitals`).
//!
//! It fails where a restart would help, because the scheduler does not do its work; it warns where
//! somebody should look. That jobs fail is no part of it: a container that is started anew because a
//! backup has failed helps nobody.

use crate::core::sort;
use std::time::Duration;

use super::event::{Part, Vitals};
use super::instant::Instant;
use super::words;

/// So late the loop may be with what is due.
const LOOP: Duration = Duration::from_secs(10);
/// So long a run may wait for a worker while one is free.
const FREE: Duration = Duration::from_secs(60);
/// So long one may wait while none is.
const FULL: Duration = Duration::from_secs(15 * 60);
/// So long a store may take to write something down.
const WRITING: Duration = Duration::from_secs(60);

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// It is as it should be.
    Pass,
    /// Somebody should look.
    Warn,
    /// It does not do its work.
    Fail,
}

impl Condition {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Condition::Pass => "pass",
            Condition::Warn => "warn",
            Condition::Fail => "fail",
        }
    }

    /// The exit code for it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Condition::Pass => 0,
            Condition::Warn => 1,
            Condition::Fail => 2,
        }
    }
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Check {
    /// The part, and what of it: `loop:late`.
    pub(crate) name: &'static str,
    /// Which of several.
    pub(crate) component: Option<Box<str>>,
    /// How it is.
    pub(crate) condition: Condition,
    /// What was seen, in seconds or pieces.
    pub(crate) observed: Option<(u64, &'static str)>,
    /// Why it is not as it should be, as a sentence without a full stop.
    pub(crate) reason: Option<String>,
}

/// All that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// Each, in the order in which one would look.
    pub(crate) checks: Vec<Check>,
}

impl Verdict {
    /// The worst that was seen.
    pub(crate) fn condition(&self) -> Condition {
        self.checks.iter().map(|check| check.condition).max().unwrap_or(Condition::Pass)
    }

    /// Why it is not well, the worst first.
    pub(crate) fn reasons(&self) -> Vec<&str> {
        let mut bad: Vec<&Check> =
            self.checks.iter().filter(|check| check.condition > Condition::Pass).collect();
        sort::by_key(&mut bad, |check| std::cmp::Reverse(check.condition));
        bad.iter().filter_map(|check| check.reason.as_deref()).collect()
    }
}

/// Whether the scheduler is well that tells this of itself.
pub(crate) fn verdict(vitals: &Vitals, now: Instant) -> Verdict {
    let mut checks = vec![the_loop(vitals), next_due(vitals, now)];
    checks.extend(executors(vitals));
    checks.push(writes(vitals));
    checks.push(troubles(vitals, Part::Store, "store:access"));
    checks.push(troubles(vitals, Part::Jobfile, "jobfile:reload"));
    checks.push(troubles(vitals, Part::Watch, "jobfile:watch"));
    checks.push(troubles(vitals, Part::Control, "control:socket"));
    checks.push(troubles(vitals, Part::Starts, "starts:hanging"));
    checks.push(troubles(vitals, Part::Processes, "processes:left"));
    checks.push(troubles(vitals, Part::Notify, "notify:routes"));
    checks.push(troubles(vitals, Part::Pings, "notify:pings"));
    Verdict { checks }
}

fn check(name: &'static str, observed: Option<(u64, &'static str)>) -> Check {
    Check { name, component: None, condition: Condition::Pass, observed, reason: None }
}

fn bad(mut check: Check, condition: Condition, reason: String) -> Check {
    (check.condition, check.reason) = (condition, Some(reason));
    check
}

/// Seconds for people: nobody needs them more exactly here.
fn whole(span: Duration) -> String {
    words::span(Duration::from_secs(span.as_secs()))
}

/// Whether the loop has passed when something was due.
fn the_loop(vitals: &Vitals) -> Check {
    let late = vitals.overslept;
    let check = check("loop:late", Some((late.as_secs(), "s")));
    if late <= LOOP {
        return check;
    }
    let reason = format!("the scheduler was due to wake {} ago and did not", whole(late));
    bad(check, Condition::Fail, reason)
}

/// Whether all that was due was seen to when it last looked.
fn next_due(vitals: &Vitals, now: Instant) -> Check {
    let behind = vitals.behind;
    let check = check("due:overdue", Some((behind.as_secs(), "s")));
    if behind <= LOOP {
        return check;
    }
    let job = match &vitals.next {
        Some((due, job)) if *due <= now => format!("`{job}`"),
        _ => "a job".to_owned(),
    };
    bad(
        check,
        Condition::Fail,
        format!("{job} was due {} ago and nothing was decided", whole(behind)),
    )
}

/// Whether who waits for a worker waits for good reason, and not for too long.
fn executors(vitals: &Vitals) -> impl Iterator<Item = Check> {
    vitals.pools.iter().map(|pool| {
        let component = Some(pool.name.to_string().into());
        let observed = Some((pool.longest.as_secs(), "s"));
        let check = Check { component, ..check("executor:wait", observed) };
        let (name, longest) = (&pool.name, whole(pool.longest));
        let runs = match pool.waiting {
            0 => return check,
            1 => "1 run waits".to_owned(),
            n => format!("{n} runs wait"),
        };
        if pool.running < pool.workers && !pool.is_spaced {
            if pool.longest <= FREE {
                return check;
            }
            let reason = format!(
                "{runs} for executor `{name}`, the first for {longest}, though it has room"
            );
            return bad(check, Condition::Fail, reason);
        }
        if pool.longest <= FULL {
            return check;
        }
        let is_full = if pool.is_spaced { "may not start more a second" } else { "is full" };
        let reason = format!("executor `{name}` {is_full}: {runs}, the first for {longest}");
        bad(check, Condition::Warn, reason)
    })
}

/// Whether the store takes what it is given.
fn writes(vitals: &Vitals) -> Check {
    let facts = vitals.pending_facts;
    let check = check("store:pending", Some((facts, "facts")));
    let is_told = vitals.troubles.iter().any(|(part, _)| *part == Part::Store);
    if is_told || facts == 0 || vitals.pending_for <= WRITING {
        return check;
    }
    let reason = format!("the store has not written anything for {}", whole(vitals.pending_for));
    bad(check, Condition::Warn, reason)
}

/// What the scheduler itself says of a part.
fn troubles(vitals: &Vitals, part: Part, name: &'static str) -> Check {
    let said = vitals.troubles.iter().filter(|(about, _)| *about == part);
    let said: Vec<&str> = said.map(|(_, text)| text.as_str()).collect();
    match said.is_empty() {
        true => check(name, None),
        false => bad(check(name, None), Condition::Warn, said.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::event::{Health, PoolVitals, Totals};
    use crate::core::zone::Database;

    fn at() -> Instant {
        Instant::from_secs(1_800_000_000)
    }

    fn well() -> Vitals {
        let set = crate::jobfile::load_text("jobs.toml", "", &Database::open(None), at()).set;
        let health = Health {
            reasons: Vec::new(),
            version: "0",
            pid: 1,
            started: at(),
            jobfile: "jobs.toml".into(),
            loaded: at(),
            store: "memory".into(),
            timezone: "UTC".into(),
            stopping: false,
            settings: set.unwrap().settings,
            executors: Arc::new([]),
            fleet: None,
        };
        Vitals {
            routes: Vec::new(),
            pings: Default::default(),
            health,
            troubles: Vec::new(),
            jobs: 1,
            running: 0,
            waiting: 0,
            next: Some((at().plus(Duration::from_secs(5)), "a".into())),
            pools: vec![pool(2, 0, 0, 0)],
            overslept: Duration::ZERO,
            behind: Duration::ZERO,
            pending_facts: 0,
            pending_for: Duration::ZERO,
            totals: Totals::default(),
        }
    }

    fn pool(workers: u32, running: u32, waiting: u32, longest: u64) -> PoolVitals {
        let longest = Duration::from_secs(longest);
        PoolVitals { name: "default".into(), workers, is_spaced: false, running, waiting, longest }
    }

    /// What is changed of one that is well, what comes of it, and why.
    #[test]
    fn verdicts() {
        type Row = (fn(&mut Vitals), Condition, &'static str);
        use Condition::{Fail, Pass, Warn};
        let rows: &[Row] = &[
            (|_| {}, Pass, ""),
            (|it| it.next = None, Pass, ""),
            (|it| it.health.stopping = true, Pass, ""),
            (|it| it.overslept = Duration::from_secs(10), Pass, ""),
            (
                |it| it.overslept = Duration::from_secs(11),
                Fail,
                "the scheduler was due to wake 11s ago and did not",
            ),
            (|it| it.behind = Duration::from_millis(9_900), Pass, ""),
            (
                |it| {
                    it.behind = Duration::from_secs(75);
                    it.next = Some((at().minus(Duration::from_secs(75)), "backup".into()));
                },
                Fail,
                "`backup` was due 1m 15s ago and nothing was decided",
            ),
            (|it| it.pools = vec![pool(2, 1, 3, 60)], Pass, ""),
            (
                |it| it.pools = vec![pool(2, 1, 3, 61)],
                Fail,
                "3 runs wait for executor `default`, the first for 1m 1s, though it has room",
            ),
            // An executor that a reload has made smaller has more than it may.
            (|it| it.pools = vec![pool(2, 3, 1, 900)], Pass, ""),
            (
                |it| it.pools = vec![pool(1, 0, 0, 0), pool(2, 2, 1, 901)],
                Warn,
                "executor `default` is full: 1 run waits, the first for 15m 1s",
            ),
            (|it| (it.pending_facts, it.pending_for) = (9, Duration::from_secs(60)), Pass, ""),
            (
                |it| (it.pending_facts, it.pending_for) = (9, Duration::from_secs(61)),
                Warn,
                "the store has not written anything for 1m 1s",
            ),
            (
                |it| {
                    (it.pending_facts, it.pending_for) = (9, Duration::from_secs(61));
                    it.troubles.push((Part::Store, "the store cannot be written: full".into()));
                },
                Warn,
                "the store cannot be written: full",
            ),
            (
                |it| it.troubles.push((Part::Jobfile, "jobs.toml has errors".into())),
                Warn,
                "jobs.toml has errors",
            ),
            (
                |it| {
                    it.troubles.push((Part::Starts, "the start of a hangs".into()));
                    it.troubles.push((Part::Starts, "2 more starts hang".into()));
                },
                Warn,
                "the start of a hangs; 2 more starts hang",
            ),
            (
                |it| {
                    it.troubles.push((Part::Control, "no control socket".into()));
                    it.overslept = Duration::from_secs(3600);
                },
                Fail,
                "the scheduler was due to wake 1h ago and did not | no control socket",
            ),
        ];
        for (number, (change, condition, reasons)) in rows.iter().enumerate() {
            let mut vitals = well();
            change(&mut vitals);
            let verdict = verdict(&vitals, at());
            assert_eq!(verdict.reasons().join(" | "), *reasons, "row {number}");
            assert_eq!(verdict.condition(), *condition, "row {number}");
        }
    }

    /// All that the scheduler says against itself is a warning at least: `status` cannot be degraded
    /// while this passes.
    #[test]
    fn no_trouble_is_passed_over() {
        use Part::{Control, Jobfile, Notify, Processes, Starts, Store, Watch};
        for part in [Store, Jobfile, Watch, Control, Starts, Processes, Notify] {
            let mut vitals = well();
            vitals.troubles.push((part, "it is not well".into()));
            let verdict = verdict(&vitals, at());
            assert_eq!(verdict.condition(), Condition::Warn, "{part:?}");
        }
    }
}
