//! The proof of an import: our engine, on the jobfile that was written, against `super::oracle`, on
//! what was there before.
//!
//! The oracle only knows wall time, so this is also where the two meet a change of clocks.
//! What our rule for daylight saving does there (`doc/time.md`) is expected, and listed as a
//! difference by design; anything else is a mismatch, and one is enough.

use std::collections::{BTreeMap, BTreeSet};

use super::oracle::{self, Oracle};
use super::{Origin, Written};
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};
use crate::core::sort;
use crate::core::words;
use crate::core::zone::{Local, Zone};
use crate::problem::Place;

/// How many due times of each job are compared, unless told.
pub const COUNT: usize = 1000;

/// The oracle knows no year after this one's end.
const LAST_YEAR: i32 = 2099;

/// What the comparison of all jobs found.
#[derive(Debug)]
pub struct Proof {
    /// One for each job, in their order.
    pub jobs: Vec<Compared>,
}

/// What the comparison of one job found.
#[derive(Debug)]
pub struct Compared {
    /// The job's id.
    pub id: String,
    /// Where it came from.
    pub place: Option<Place>,
    /// How many due times were equal.
    pub equal: usize,
    /// What daylight saving does to it, in words.
    pub by_design: Vec<String>,
    /// Why nothing was compared.
    pub not_compared: Option<String>,
    /// The first difference that is none by design.
    pub mismatch: Option<String>,
    /// The last due time that was compared, in words.
    pub until: Option<String>,
}

impl Proof {
    /// How many due times were equal, of all jobs together.
    pub fn equal(&self) -> usize {
        self.jobs.iter().map(|job| job.equal).sum()
    }

    /// How many jobs were compared.
    pub fn compared(&self) -> usize {
        self.jobs.iter().filter(|job| job.not_compared.is_none()).count()
    }

    /// How many due times differ by design.
    pub fn by_design(&self) -> usize {
        self.jobs.iter().map(|job| job.by_design.len()).sum()
    }

    /// The jobs that are due at other times than they were.
    pub fn mismatches(&self) -> impl Iterator<Item = &Compared> {
        self.jobs.iter().filter(|job| job.mismatch.is_some())
    }
}

/// Compares the next `count` due times of each job after `now`. `set` is what our loader made of
/// the text that was written.
pub fn compare(written: &Written, set: &JobSet, now: Instant, count: usize) -> Proof {
    let jobs: BTreeMap<&str, &Job> = sort::collect(set.jobs.iter().map(|job| (&*job.id, &**job)));
    let compared = written.jobs.iter().map(|origin| {
        let mut compared = Compared {
            id: origin.id.clone(),
            place: origin.place,
            equal: 0,
            by_design: Vec::new(),
            not_compared: None,
            mismatch: None,
            until: None,
        };
        match jobs.get(origin.id.as_str()) {
            Some(job) => job_against(origin, job, now, count, &mut compared),
            None => compared.mismatch = Some("the job is not in the jobfile".to_owned()),
        }
        compared
    });
    Proof { jobs: compared.collect() }
}

fn job_against(origin: &Origin, job: &Job, now: Instant, count: usize, out: &mut Compared) {
    let quartz = match &origin.oracle {
        Oracle::Crontab(text) => oracle::translated(text),
        Oracle::Quartz(texts) => Ok(texts.clone()),
        Oracle::None(why) => Err((*why).to_owned()),
        Oracle::Next(micros) => return next_against(*micros, job, now, out),
    };
    // Two hours are more than any clock is set back by: the first pass of a fold is not missed.
    let from = job.zone.wall_of(now) - 2 * 3600;
    let walls = quartz.and_then(|quartz| oracle::walls(&quartz, from));
    match walls {
        Ok(walls) => walls_against(walls, job, now, count, out),
        Err(why) => out.not_compared = Some(why),
    }
}

/// The first due times of a job, at most `count` and before `limit`; `None` where they are at fractions
/// of a second.
fn due_times(job: &Job, now: Instant, count: usize, limit: i64) -> Option<Vec<i64>> {
    let trigger = job.trigger.anchored(now);
    let mut times = Vec::new();
    let mut at = now;
    while times.len() < count {
        let next = trigger.next_after(at).filter(|next| next.secs() < limit);
        let Some(next) = next else { break };
        if next.subsec_micros() != 0 {
            return None;
        }
        times.push(next.secs());
        at = next;
    }
    Some(times)
}

/// The instants that wall times stand for.
#[derive(Default)]
struct Instants {
    /// Of those that are there once.
    plain: BTreeSet<i64>,
    /// Of those that are there twice: the first time and the second.
    passes: BTreeSet<i64>,
    second_passes: BTreeSet<i64>,
    /// When the clocks pass over those that are not there.
    gaps: BTreeSet<i64>,
}

impl Instants {
    fn of(walls: impl Iterator<Item = i64>, zone: &Zone, end: i64) -> Instants {
        let mut instants = Instants::default();
        for wall in walls {
            match zone.resolve(wall) {
                // Offsets change by less than a day, so nothing after this is at or before `end`.
                Local::Unambiguous(at) if at > end + 86_400 => break,
                Local::Unambiguous(at) => drop(instants.plain.insert(at)),
                Local::Gap { at } => drop(instants.gaps.insert(at)),
                Local::Fold { first, second } => {
                    instants.passes.insert(first);
                    instants.second_passes.insert(second);
                }
            }
        }
        instants
    }
}

/// Against a list of wall times.
fn walls_against(
    walls: impl Iterator<Item = i64>,
    job: &Job,
    now: Instant,
    count: usize,
    out: &mut Compared,
) {
    let zone = &job.zone;
    let limit = crate::core::civil::to_days(LAST_YEAR, 12, 31) * 86_400;
    let Some(ours) = due_times(job, now, count, limit) else {
        out.mismatch = Some("it is due at fractions of a second".to_owned());
        return;
    };
    let name = |secs: i64| words::table_time(Instant::from_secs(secs), zone);
    // Where we stopped early there may be nothing further in the original either.
    let end = ours.last().filter(|_| ours.len() == count).map_or(limit - 1, |last| *last);
    let Instants { plain, passes, second_passes, gaps } = Instants::of(walls, zone, end);
    let window = |at: &&i64| **at > now.secs() && **at <= end;
    let design = |at: i64| {
        let effect = job.trigger.dst_effect_at(Instant::from_secs(at))?;
        Some(format!("{}: {}", name(at), words::dst_effect(&effect, zone)))
    };
    let mut due = BTreeSet::new();
    for at in &ours {
        due.insert(*at);
        if plain.contains(at) || passes.contains(at) {
            out.equal += 1;
        } else if gaps.contains(at) || second_passes.contains(at) {
            out.by_design.extend(design(*at));
        } else {
            out.mismatch =
                Some(format!("{} is a due time here, but was not one before", name(*at)));
            return;
        }
    }
    let missing = plain.iter().chain(&passes).filter(window).find(|at| !due.contains(at));
    if let Some(at) = missing {
        out.mismatch = Some(format!("{} was a due time before, but is not one here", name(*at)));
        return;
    }
    // Where it runs on the first pass alone, that is a choice too.
    for second in second_passes.iter().filter(window).filter(|at| !due.contains(at)) {
        out.by_design.push(format!("{} (second pass): does not run twice", name(*second)));
    }
    out.until = ours.last().map(|at| name(*at));
    if ours.is_empty() {
        out.not_compared = Some("it has no due time ahead".to_owned());
    }
}

/// Against the one due time that the other scheduler had worked out. While it is still ahead it has
/// to be the first one: a window that begins too early has it among its due times as well.
fn next_against(micros: i64, job: &Job, now: Instant, out: &mut Compared) {
    let expected = Instant::from_micros(micros);
    let from = Instant::from_micros(micros.saturating_sub(1)).min(now);
    let name = |at| words::table_time(at, &job.zone);
    match job.trigger.next_after(from) {
        Some(found) if found == expected => {
            out.equal = 1;
            out.until = Some(name(found));
        }
        Some(found) => {
            let message = format!("{} was the next due time, but here it is", name(expected));
            out.mismatch = Some(format!("{message} {}", name(found)));
        }
        None => out.mismatch = Some(format!("{} is not a due time here", name(expected))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::zone::Database;
    use crate::jobfile;

    /// Compares a jobfile with what it is said to come from.
    fn proof(trigger: &str, zone: &str, oracle: Oracle, count: usize) -> Compared {
        let text = format!("[jobs.a]\ncommand = \"x\"\ntimezone = \"{zone}\"\n{trigger}\n");
        let zones = Database::bundled();
        // 2026-11-25T00:00:00Z
        let now = Instant::from_secs(1_795_564_800);
        let set = jobfile::load_text("x", &text, &zones, now).set.unwrap();
        let origin = Origin { id: "a".to_owned(), place: None, oracle, start: 0 };
        let written = Written { text, jobs: vec![origin] };
        compare(&written, &set, now, count).jobs.remove(0)
    }

    fn crontab(text: &str) -> Oracle {
        Oracle::Crontab(text.to_owned())
    }

    #[test]
    fn equal_where_nothing_changes() {
        let found =
            proof("cron = '*/5 9-17 * * mon-fri'", "UTC", crontab("*/5 9-17 * * 1-5"), 1000);
        assert_eq!((found.equal, &found.mismatch), (1000, &None));
        assert!(found.by_design.is_empty());
    }

    #[test]
    fn a_rare_schedule_is_compared_as_far_as_the_second_reader_goes() {
        let found = proof("cron = '@yearly'", "UTC", crontab("@yearly"), 1000);
        assert_eq!((found.equal, &found.mismatch), (73, &None));
    }

    #[test]
    fn daylight_saving_is_by_design() {
        let found = proof("cron = '30 2 * * *'", "Europe/Berlin", crontab("30 2 * * *"), 365);
        assert_eq!((found.equal, &found.mismatch), (364, &None));
        assert_eq!(found.by_design.len(), 2, "{found:?}");
        assert!(found.by_design[0].contains("02:30 does not exist"), "{found:?}");
        assert!(found.by_design[1].contains("second pass"), "{found:?}");
        let found =
            proof("cron = '*/30 * * * *'", "Europe/Berlin", crontab("*/30 * * * *"), 17_520);
        assert_eq!((found.equal, &found.mismatch), (17_518, &None));
        assert_eq!(found.by_design.len(), 2, "the second pass of 02:00 and 02:30: {found:?}");
    }

    /// A proof that could not fail would be none.
    #[test]
    fn differences_are_found() {
        let rows = [
            ("cron = '0 3 * * *'", "0 4 * * *"),
            ("cron = '0 3 * * *'", "0 3,4 * * *"),
            ("cron = '0 3,4 * * *'", "0 3 * * *"),
            ("cron = '0 0 13 * fri'", "0 0 * * 5"),
            ("cron = { day = 13, day_of_week = 'fri' }", "0 0 13 * 5"),
            ("cron = { day_of_week = '0' }", "0 0 * * 0"),
            ("cron = { year = 2027, hour = 3 }", "0 3 * * *"),
            ("date = 2027-01-01T00:00:00", "0 0 1 1 *"),
        ];
        for (trigger, line) in rows {
            let found = proof(trigger, "Europe/Berlin", crontab(line), 1000);
            assert!(found.mismatch.is_some(), "{trigger} for {line}: {found:?}");
        }
        let found = proof("cron = '0 3 * * *'", "UTC", Oracle::Next(1_795_575_600_000_000), 1);
        assert_eq!((found.equal, found.mismatch), (1, None));
        let found = proof("cron = '0 3 * * *'", "UTC", Oracle::Next(1_795_575_601_000_000), 1);
        assert!(found.mismatch.is_some());
        // A due time, but not the next one.
        let found = proof("cron = '0 3 * * *'", "UTC", Oracle::Next(1_795_748_400_000_000), 1);
        assert!(found.mismatch.is_some());
        // The export is older than now.
        let found = proof("cron = '0 3 * * *'", "UTC", Oracle::Next(1_795_489_200_000_000), 1);
        assert_eq!((found.equal, found.mismatch), (1, None));
    }

    #[test]
    fn says_why_nothing_was_compared() {
        let found = proof("cron = '0 0 L * *'", "UTC", crontab("0 0 L * *"), 10);
        assert_eq!(
            found.not_compared.as_deref(),
            Some("the independent engine does not support this syntax")
        );
    }
}
