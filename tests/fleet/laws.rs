//! What must hold whatever happens.

use std::collections::BTreeMap;

use schedrs::fleet::Member;
use schedrs::instant::{Instant, MICROS};
use schedrs::job::Overlap;
use schedrs::outcome::Outcome;

use super::sim::{History, Plan, Process, START, World};
use super::store::Row;

/// Holds a history that is over to the laws.
pub(crate) fn hold(history: &History, world: &World) -> Result<(), String> {
    for (index, plan) in history.plans.iter().enumerate() {
        let name = Plan::name(index);
        let mine: Vec<&Process> =
            world.processes.iter().filter(|process| *process.job == *name).collect();
        once(&name, plan, &mine)?;
        in_time(&name, &mine)?;
        before_it_is_lost(&name, &mine, world)?;
        if plan.overlap == Overlap::Skip {
            with_room(&name, plan, &mine, world)?;
        }
        with_a_fate(&name, plan, &mine, history, world)?;
        after_its_parents(&name, plan, &mine, world)?;
    }
    files_are_known(world)?;
    nothing_open(history, world)
}

/// Whoever is there can be asked for a job by the others, for they know what is in its file.
fn files_are_known(world: &World) -> Result<(), String> {
    let state = &world.store.state;
    let is_known = |member: &Member| state.files.contains_key(&member.jobfile_hash);
    let mut alive = state.members.values().filter(|member| member.gone.is_none());
    match alive.find(|member| !is_known(member)) {
        Some(member) => Err(format!("nobody knows what is in the file of {}", member.host)),
        None => Ok(()),
    }
}

/// What ran a while before the end is over for the store too, whatever that has forgotten meanwhile:
/// else it counts as an instance of its job for ever.
fn nothing_open(history: &History, world: &World) -> Result<(), String> {
    let until = START + history.lasts - history.settles();
    let open = |row: &&Row| row.outcome.is_none() && row.due.micros() <= until;
    match world.store.state.rows.values().find(open) {
        Some(row) => Err(format!("{} due {} stays open: {row:?}", row.job, clock(row.due))),
        None => Ok(()),
    }
}

fn clock(at: Instant) -> String {
    let micros = at.micros() - START;
    format!("{}.{:03}", micros.div_euclid(MICROS), micros.rem_euclid(MICROS) / 1000)
}

/// No due time twice; with `on_lost = "run_again"`, not before what ran of it is over.
fn once(name: &str, plan: &Plan, processes: &[&Process]) -> Result<(), String> {
    let mut seen: BTreeMap<Instant, &Process> = BTreeMap::new();
    for process in processes {
        if let Some(before) = seen.insert(process.due, process)
            && (!plan.again || before.end > process.at)
        {
            return Err(format!(
                "{name} due {} started twice: {before:?} and {process:?}",
                clock(process.due)
            ));
        }
    }
    Ok(())
}

/// None early, by the store's clock, but for the two seconds that a claim may be.
fn in_time(name: &str, processes: &[&Process]) -> Result<(), String> {
    for process in processes {
        if process.at < process.due.micros() - 2 * MICROS {
            return Err(format!("{name} due {} started early: {process:?}", clock(process.due)));
        }
    }
    Ok(())
}

/// A job that is due after others begins when a run of each of them is over.
fn after_its_parents(
    name: &str,
    plan: &Plan,
    processes: &[&Process],
    world: &World,
) -> Result<(), String> {
    for process in processes {
        for parent in plan.after.iter().map(|parent| Plan::name(*parent)) {
            let is_over = |other: &Process| {
                *other.job == *parent && other.due == process.due && other.end <= process.at
            };
            if !world.processes.iter().any(is_over) {
                return Err(format!("{name} began before {parent} had ended: {process:?}"));
            }
        }
    }
    Ok(())
}

/// Nothing begins after others have called it lost.
fn before_it_is_lost(name: &str, processes: &[&Process], world: &World) -> Result<(), String> {
    for process in processes {
        if world.store.reaped.get(&process.run).is_some_and(|lost| *lost < process.at) {
            return Err(format!("{name}: started after it was called lost: {process:?}"));
        }
    }
    Ok(())
}

/// Never more than `max_instances` over all hosts. A run whose host was taken for dead is over, as far
/// as anybody can tell.
fn with_room(name: &str, plan: &Plan, processes: &[&Process], world: &World) -> Result<(), String> {
    let end = |process: &Process| {
        world.store.reaped.get(&process.run).map_or(process.end, |at| process.end.min(*at))
    };
    for process in processes {
        let at_once = processes
            .iter()
            .filter(|other| other.at <= process.at && process.at < end(other))
            .count();
        if at_once > plan.most as usize {
            let others: Vec<_> = processes
                .iter()
                .filter(|other| other.at <= process.at && process.at < end(other))
                .collect();
            return Err(format!("{name}: {at_once} at once: {others:?}"));
        }
    }
    Ok(())
}

/// Each due time from when somebody had the job until a while before the end has one fate. A store that
/// has forgotten may not know of one that began.
fn with_a_fate(
    name: &str,
    plan: &Plan,
    processes: &[&Process],
    history: &History,
    world: &World,
) -> Result<(), String> {
    let forgets = history.forgets();
    if forgets && !plan.after.is_empty() {
        // With the end of a parent the store may have forgotten that there is something to be followed.
        return Ok(());
    }
    let Some(mut first) = world.store.first.get(name) else {
        return Err(format!("{name} was at home nowhere"));
    };
    // Due times of a parent from before it had a home are none.
    let mut parents = plan.after.clone();
    while let Some(parent) = parents.pop() {
        parents.extend(&history.plans[parent].after);
        first = world.store.first.get(&*Plan::name(parent)).map_or(first, |its| its.max(first));
    }
    let until = START + history.lasts - history.settles();
    let state = &world.store.state;
    let mut due = START;
    while due <= until {
        let at = Instant::from_micros(due);
        due += plan.every * MICROS;
        if at <= *first {
            continue;
        }
        let rows = state.rows.values().filter(|row| *row.job == *name && row.due == at);
        let rows: Vec<_> = rows.collect();
        let fates = state
            .fates
            .iter()
            .filter(|fate| *fate.job == *name && fate.due <= at && at <= fate.last_due);
        let fates: Vec<_> = fates.collect();
        let open = rows.iter().any(|row| row.outcome.is_none());
        let number = rows.len() + fates.len();
        let started = processes.iter().any(|process| process.due == at);
        let forgotten = fates.iter().any(|fate| matches!(fate.outcome, Outcome::Lost(_)));
        let fine = match forgets {
            false => number == 1 && !open && !forgotten,
            true => started || number >= 1,
        };
        if !fine {
            let at = clock(at);
            return Err(format!("{name} due {at} has {number} fates: {rows:?} {fates:?}"));
        }
    }
    Ok(())
}
