//! Jobs that are due after others on three hosts, two of which are killed one after the other: each due
//! time of theirs has one outcome, and none has run twice.
//!
//! In the gate on PostgreSQL and Redis; with `SCHEDRS_FLEET_SOAK` on the others as well.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;

use schedrs::clock;
use schedrs::instant::Instant;
use schedrs::store::RunRecord;

use super::Fleet;
use crate::servers::{Engine, Server};

/// So many of each kind that every host has some.
const CHAINS: usize = 5;

/// Jobs, each with what stands in the jobfile beside its command, how long it takes, and every how many
/// seconds it is due: for one that is due after others, when all of them are.
fn jobs() -> Vec<(String, String, &'static str, i64)> {
    let mut jobs = Vec::new();
    let interval =
        |secs: i64| format!("interval = \"{secs}s\"\nstart_date = \"2026-01-01T00:00:00Z\"");
    for chain in 0..CHAINS {
        let name = |job: &str| format!("{job}{chain}");
        let after = |job: &str| format!("after = \"{}\"", name(job));
        jobs.push((name("load"), interval(2), "0.3", 2));
        jobs.push((name("clean"), interval(4), "0.1", 4));
        jobs.push((name("report"), after("load"), "0.1", 2));
        jobs.push((name("mail"), after("report"), "0", 2));
        jobs.push((name("shift"), format!("{}\njitter = \"2s\"", after("clean")), "0", 4));
        let both = format!("after = [\"{}\", \"{}\"]", name("report"), name("clean"));
        jobs.push((name("both"), both, "0", 4));
    }
    jobs
}

/// The due times of a job up to one that have an outcome, each with how many it has.
fn outcomes(
    records: &[RunRecord],
    job: &str,
    every: i64,
    until: Instant,
) -> BTreeMap<Instant, usize> {
    let mut outcomes = BTreeMap::new();
    for record in records.iter().filter(|record| *record.job == *job && record.outcome.is_some()) {
        let mut due = record.due;
        while due <= record.last_due && due <= until {
            *outcomes.entry(due).or_default() += 1;
            due = Instant::from_micros(due.micros() + every * 1_000_000);
        }
    }
    outcomes
}

/// What is missing of these jobs, as against the jobs before them.
fn missing(records: &[RunRecord], until: Instant) -> Vec<String> {
    let mut missing = Vec::new();
    for (job, _, _, every) in jobs() {
        let chain = &job[job.len() - 1..];
        let parents: &[&str] = match &job[..job.len() - 1] {
            "report" => &["load"],
            "mail" => &["report"],
            "shift" => &["clean"],
            "both" => &["report", "clean"],
            _ => continue,
        };
        let of = |parent: &&str| {
            let every = if **parent == *"clean" { 4 } else { 2 };
            let outcomes = outcomes(records, &format!("{parent}{chain}"), every, until);
            outcomes.into_keys().collect::<BTreeSet<Instant>>()
        };
        let mut wanted = parents.iter().map(of);
        let first = wanted.next().unwrap();
        let wanted = wanted.fold(first, |all, more| all.intersection(&more).copied().collect());
        let has = outcomes(records, &job, every, until);
        let lacks = wanted.iter().filter(|due| !has.contains_key(due));
        missing.extend(lacks.map(|due| format!("{job} due {due:?}")));
    }
    missing
}

fn chains_survive(engine: Engine) {
    let Some(server) = Server::shared(engine) else { return };
    let fleet = Fleet::new(server);
    let written = fleet.bench.path("written").display().to_string();
    let mut text = String::new();
    for (job, more, takes, _) in jobs() {
        text += &format!(
            "[jobs.{job}]\ncommand = 'echo $SCHEDRS_JOB $SCHEDRS_DUE >> {written}; sleep {takes}'\n\
             misfire_grace_time = \"1m\"\n{more}\n"
        );
    }
    let host = |name: &str| fleet.start(name, "4s", &text);
    let on = |records: &[RunRecord], since: u64, name: &str| {
        let mine = |record: &&RunRecord| record.host.as_deref() == Some(name);
        records.iter().filter(mine).filter(|record| record.seq > since).count()
    };
    let mut hosts = ["web1", "web2", "web3"].map(|name| Some(host(name)));
    let all = |records: &[RunRecord], since| {
        ["web1", "web2", "web3"].iter().all(|name| on(records, since, name) > CHAINS)
    };
    let mut records = fleet.until("all three have jobs", |records| all(records, 0));
    for (place, name) in [(0, "web1"), (1, "web2")] {
        hosts[place].take().unwrap().kill();
        let last = records[0].seq;
        let silent = clock::wall();
        records = fleet.until("the others go on with all", |records| {
            // Up to when they have heard that it is dead.
            clock::wall().since(silent).as_secs() > 6
                && missing(records, silent).is_empty()
                && all_but(records, last, name)
        });
        hosts[place] = Some(host(name));
        let last = records[0].seq;
        records = fleet.until("it is back", |records| all(records, last));
    }
    let until = clock::wall();
    let records = fleet.until("every due time has its outcome", |records| {
        missing(records, until).is_empty()
            && records.iter().all(|record| record.due > until || record.outcome.is_some())
    });
    for (job, _, _, every) in jobs() {
        let outcomes = outcomes(&records, &job, every, until);
        assert!(outcomes.len() > 2, "{job}: {outcomes:?}");
        assert!(outcomes.values().all(|count| *count == 1), "{job}: {outcomes:?}");
        // None between the first and the last is without one.
        let (first, last) = (outcomes.keys().next().unwrap(), outcomes.keys().last().unwrap());
        let span = (last.micros() - first.micros()) / 1_000_000 / every + 1;
        assert_eq!(outcomes.len() as i64, span, "{job}: {outcomes:?}");
    }
    hosts.into_iter().flatten().for_each(|host| drop(host.stop()));
    let text = fs::read_to_string(fleet.bench.path("written")).unwrap();
    let mut seen = HashSet::new();
    for line in text.lines() {
        assert!(seen.insert(line), "twice: {line}");
    }
    let ran = |job: &str| seen.iter().filter(|line| line.starts_with(job)).count();
    assert!(["both", "mail", "shift"].iter().all(|job| ran(job) > CHAINS), "{text}");
}

/// The other two have run something since.
fn all_but(records: &[RunRecord], since: u64, dead: &str) -> bool {
    let others = ["web1", "web2", "web3"].into_iter().filter(|name| *name != dead);
    let has = |name: &str| {
        let mine = |record: &&RunRecord| record.host.as_deref() == Some(name);
        records.iter().filter(mine).any(|record| record.seq > since)
    };
    others.into_iter().all(has)
}

#[test]
fn chains_survive_their_hosts_on_postgres() {
    chains_survive(Engine::Postgres);
}

#[test]
fn chains_survive_their_hosts_on_redis() {
    chains_survive(Engine::Redis);
}

#[test]
fn chains_survive_their_hosts_on_others() {
    if std::env::var_os("SCHEDRS_FLEET_SOAK").is_some() {
        chains_survive(Engine::Mariadb);
        chains_survive(Engine::Mongodb);
    }
}
