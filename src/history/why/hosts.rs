//! Where it was decided, if several hosts share the store, and why it was another host before.

use std::time::Duration;

use super::{Asked, Case, Verdict};
use crate::core::fleet::Member;
use crate::core::instant::Instant;
use crate::core::job::RunOn;
use crate::core::outcome::Outcome;
use crate::core::record::RunRecord;
use crate::core::sort;
use crate::core::words;
use crate::problem::clean;

/// A handover is told of for so long, also with the due times that came after it.
const OF_INTEREST: Duration = Duration::from_secs(3600);

/// Says on which host a due time was decided, and from whom that host had the job.
pub(super) fn of_record(case: &Case<'_>, record: &RunRecord, verdict: &mut Verdict) {
    let Some(host) = record.host.as_deref().filter(|_| case.has_hosts) else { return };
    let name = clean(host);
    let run_on = case.job.map_or(&RunOn::One, |job| &job.options.run_on);
    verdict.also(
        "on",
        match run_on {
            _ if record.by.is_some() => name.into_owned(),
            RunOn::All => format!("{name}, as on every host"),
            RunOn::One => format!("{name}, as assigned by the fleet"),
            RunOn::Labels(labels) => {
                let labels: Vec<String> =
                    labels.iter().map(|label| clean(label).into_owned()).collect();
                format!("{name}, of the hosts with {}", words::list(&labels))
            }
        },
    );
    if *run_on == RunOn::All || record.by.is_some() {
        return;
    }
    let own = |other: &&RunRecord| other.by.is_none() && other.host.is_some();
    let order = |other: &&RunRecord| (other.due, other.seq);
    let others = || case.records.iter().filter(|other| other.seq != record.seq);
    let (from, to) = match &record.outcome {
        // Whoever had it is gone: what is of interest is who has it now.
        Some(Outcome::Lost(_)) => {
            let later = |other: &&RunRecord| other.due > record.last_due;
            let next = others().filter(|other| own(other) && later(other));
            (Some(record), next.min_by_key(order))
        }
        _ => {
            let earlier = |other: &&RunRecord| other.last_due < record.due;
            let mut before: Vec<&RunRecord> =
                others().filter(|other| own(other) && earlier(other)).collect();
            sort::by_key(&mut before, |other| (other.due, other.seq));
            let last = before.iter().rposition(|other| other.host != record.host);
            let first = last.map(|last| *before.get(last + 1).unwrap_or(&record));
            // Long after it is of no interest any more.
            let is_new =
                |to: &&RunRecord| to.seq == record.seq || case.now.since(to.at) <= OF_INTEREST;
            (last.map(|last| before[last]), first.filter(is_new))
        }
    };
    if let (Some(from), Some(to)) = (from, to)
        && from.host != to.host
    {
        verdict.also("handover", handover(case, from, to));
    }
}

/// The same of a time that has no record: who decided the due time before.
pub(super) fn of_none(case: &Case<'_>, verdict: &mut Verdict) {
    if !case.has_hosts || case.job.is_some_and(|job| job.options.run_on == RunOn::All) {
        return;
    }
    let is_before = |record: &&RunRecord| match case.asked {
        Asked::Latest => true,
        Asked::Within(from, _) => record.due <= from,
    };
    let before = case.records.iter().filter(is_before);
    let last = before.max_by_key(|record| (record.last_due, record.seq));
    if let Some(host) = last.and_then(|last| last.host.as_deref()) {
        verdict.also("on", format!("{}, which decided its last due time", clean(host)));
    }
}

/// Why a job went from the host of one record to that of the next.
fn handover(case: &Case<'_>, from: &RunRecord, to: &RunRecord) -> String {
    let name = |record: &RunRecord| clean(record.host.as_deref().unwrap_or_default()).into_owned();
    let (old, new) = (name(from), name(to));
    let clock = |at: Instant| case.clock(at, to.due);
    let had = |member: &&Member| {
        Some(&*member.host) == from.host.as_deref()
            && member.gone.is_none_or(|gone| gone.at >= from.at)
    };
    let member = case.members.iter().filter(had).min_by_key(|member| member.joined);
    let Some(member) = member else {
        return format!(
            "{old} had the job until {}; {new} has it since then",
            clock(from.last_due)
        );
    };
    match member.gone {
        Some(gone) if gone.by == member.id => {
            let at = clock(gone.at);
            format!("{old} was stopped, at {at}; {new} took the job over")
        }
        Some(gone) => {
            let silent = Duration::from_secs(gone.at.since(member.seen).as_secs());
            let silent = words::span(silent);
            let at = clock(gone.at);
            format!("{old} was silent for {silent}; {new} took the job over at {at}")
        }
        None if member.leaving => format!("{old} is stopping; {new} took the job over"),
        None => {
            let span = from.at..=to.at;
            // Who joins takes jobs only for itself. A file that is loaded later may move them anywhere.
            let is_new = |member: &Member| Some(&*member.host) == to.host.as_deref();
            let joined = case.members.iter().filter(|member| is_new(member));
            let joined = joined.map(|member| (member.joined, "joined", member));
            let reloads = case.members.iter().filter(|member| member.loaded > member.joined);
            let reloads = reloads.map(|member| (member.loaded, "loaded another jobfile", member));
            let events = joined.chain(reloads).filter(|(at, ..)| span.contains(at));
            match events.max_by_key(|(at, ..)| *at) {
                Some((at, what, member)) => format!(
                    "{old} had the job before; homes were reassigned when {} {what}, at {}",
                    clean(&member.host),
                    clock(at)
                ),
                None => format!("{old} had the job before; the job or the fleet has changed"),
            }
        }
    }
}
