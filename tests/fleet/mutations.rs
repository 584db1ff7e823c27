//! Each part of the protocol is needed: without it, some history breaks a law. And directed histories:
//! how soon another host takes over.

use schedrs::instant::MICROS;
use schedrs::job::Overlap;

use super::host::{Careless, Clock};
use super::rng::Rng;
use super::sim::{Fault, History, LEASE, Plan, START, World, random};
use super::store::Without;

/// So many histories are tried to find one that breaks a law.
const TRIES: u64 = 300;

/// A history in which the store goes back and hosts die, or stop, around that.
fn aimed(seed: u64) -> History {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let mut history = random(seed);
    let back = 30 * MICROS + rng.within(0..=10 * MICROS);
    history.faults = vec![(back, Fault::GoBack(rng.within(3..=10) * MICROS))];
    for _ in 0..2 {
        let host = rng.number(0..=history.hosts as u32 - 1) as usize;
        let span = rng.within(1..=40) * MICROS;
        let fault = match rng.number(0..=2) {
            0 => Fault::Kill(host, span),
            1 => Fault::Stop(host, span),
            _ => Fault::Cut(host, span),
        };
        history.faults.push((back + rng.within(-5 * MICROS..=5 * MICROS), fault));
    }
    history.faults.sort_by_key(|(at, _)| *at);
    // A scheduler that is stopped cannot end what others begin again.
    history.plans.iter_mut().for_each(|plan| plan.again = false);
    history
}

/// A history in which the server crashes and forgets, and answers of it do not arrive. All hosts live on:
/// one that dies before its next beat would keep to itself that something is forgotten.
fn crashes(seed: u64) -> History {
    let mut rng = Rng::new(seed ^ 0xdeaf);
    let mut history = random(seed);
    let crash = 30 * MICROS + rng.within(0..=10 * MICROS);
    history.faults = vec![(crash, Fault::Crash(rng.within(1_000..=8 * MICROS)))];
    for _ in 0..rng.number(1..=3) {
        let host = rng.number(0..=history.hosts as u32 - 1) as usize;
        let fault = match rng.number(0..=5) {
            0..=3 => Fault::Deaf(host, rng.within(1..=8) * MICROS),
            4 => Fault::StoreAway(rng.within(1..=8) * MICROS),
            _ => Fault::Reload(host, rng.next() % 2),
        };
        history.faults.push((crash + rng.within(-3 * MICROS..=3 * MICROS), fault));
    }
    history.faults.sort_by_key(|(at, _)| *at);
    // In the end all have the same file.
    let all = 100 * MICROS;
    history.faults.extend((0..history.hosts).map(|host| (all, Fault::Reload(host, 1))));
    history
}

/// Two hosts and jobs that are seldom due: at 30 seconds all of them.
fn few(seed: u64) -> History {
    let plan = Plan {
        every: 30,
        lasts: 2,
        most: 1,
        overlap: Overlap::Skip,
        host: None,
        jitter: 0,
        again: false,
        after: Vec::new(),
    };
    History {
        hosts: 2,
        plans: vec![plan; 6],
        clocks: vec![Clock::default(); 2],
        faults: Vec::new(),
        lasts: 150 * MICROS,
        ..random(seed)
    }
}

/// A host begins runs, the store forgets that, and the host, or the other one, dies before it can tell.
fn dies_first(seed: u64) -> Vec<(i64, Fault)> {
    let mut rng = Rng::new(seed);
    let dies = 30 * MICROS + rng.within(100_000..=3 * MICROS);
    let forgets = 30 * MICROS + rng.within(100_000..=3 * MICROS);
    let host = rng.number(0..=1) as usize;
    vec![
        (dies, Fault::Kill(host, rng.within(1..=40) * MICROS)),
        (forgets, Fault::GoBack(rng.within(2..=6) * MICROS)),
    ]
}

/// A host stops between its claim and the answer, and finds that when it goes on.
fn stops_before_the_answer(seed: u64) -> Vec<(i64, Fault)> {
    let mut rng = Rng::new(seed);
    let stops = 30 * MICROS + rng.within(0..=10_000);
    vec![(stops, Fault::Stop((seed % 2) as usize, 30 * MICROS))]
}

/// Runs end, the server crashes and forgets that, and what a host asks after that is done, but not
/// answered.
fn forgets_an_end(seed: u64) -> Vec<(i64, Fault)> {
    let mut rng = Rng::new(seed);
    let crash = 32 * MICROS + rng.within(10_000..=400_000);
    let forgets = Fault::Crash(rng.within(1_000..=400_000));
    let deaf = Fault::Deaf((seed % 2) as usize, rng.within(MICROS..=6 * MICROS));
    vec![(crash, forgets), (crash, deaf)]
}

/// A host loads another file, and the server crashes and forgets that.
fn forgets_a_file(seed: u64) -> Vec<(i64, Fault)> {
    let mut rng = Rng::new(seed);
    let loads = 30 * MICROS + rng.within(0..=3 * MICROS);
    let crash = loads + rng.within(10_000..=400_000);
    let forgets = Fault::Crash(rng.within(1_000..=500_000));
    vec![(loads, Fault::Reload((seed % 2) as usize, 1)), (crash, forgets)]
}

/// Tries histories with a part missing, until one breaks the law that it is there for.
#[track_caller]
fn must_break(law: &str, history: impl Fn(u64) -> History) {
    for seed in 1..TRIES {
        match World::new(history(seed)).run() {
            Err(broken) if broken.contains(law) => {
                println!("seed {seed}: {broken:.200}");
                return;
            }
            _ => {}
        }
    }
    panic!("no law was broken in {TRIES} histories");
}

#[test]
fn without_telling_again_a_due_time_runs_twice() {
    let careless = Careless { telling: true, ..Careless::default() };
    must_break("twice", |seed| History { careless, faults: dies_first(seed), ..few(seed) });
}

#[test]
fn without_tombstones_a_due_time_runs_twice() {
    let careless = Careless { tombstones: true, ..Careless::default() };
    must_break("twice", |seed| History { careless, faults: dies_first(seed), ..few(seed) });
}

#[test]
fn without_trust_in_time_a_run_begins_that_is_called_lost() {
    let careless = Careless { trust: true, ..Careless::default() };
    must_break("after it was called lost", |seed| History {
        careless,
        faults: stops_before_the_answer(seed),
        ..few(seed)
    });
}

#[test]
fn without_the_acknowledged_beat_a_run_stays_open() {
    let without = Without { acked: true, ..Without::default() };
    must_break("stays open", |seed| History { without, faults: forgets_an_end(seed), ..few(seed) });
}

/// A host is cut off while its run goes on, and others begin that run again.
fn is_cut_off(seed: u64) -> History {
    let mut rng = Rng::new(seed);
    let plan = Plan { lasts: 40, again: true, ..few(seed).plans[0].clone() };
    let cut = 30 * MICROS + rng.within(100_000..=5 * MICROS);
    let faults = vec![(cut, Fault::Cut((seed % 2) as usize, 60 * MICROS))];
    History { plans: vec![plan; 2], faults, lasts: 150 * MICROS, ..few(seed) }
}

#[test]
fn what_runs_again_has_ended_before() {
    let mut again = 0;
    for seed in 1..20 {
        let history = is_cut_off(seed);
        let world = World::new(history.clone()).run();
        let world = world.unwrap_or_else(|broken| panic!("seed {seed}: {broken}\n{history:#?}"));
        let mut dues: Vec<_> = world.processes.iter().map(|it| (&it.job, it.due)).collect();
        let all = dues.len();
        dues.sort_unstable();
        dues.dedup();
        again += all - dues.len();
    }
    assert!(again > 0);
}

#[test]
fn without_ending_it_in_time_a_run_is_begun_beside_itself() {
    let careless = Careless { ending: true, ..Careless::default() };
    must_break("twice", |seed| History { careless, ..is_cut_off(seed) });
}

/// The same histories, with all parts.
#[test]
fn with_all_of_its_parts_nothing_is_broken() {
    for seed in 1..60 {
        for faults in [
            dies_first(seed),
            stops_before_the_answer(seed),
            forgets_an_end(seed),
            forgets_a_file(seed),
        ] {
            let history = History { faults, ..few(seed) };
            if let Err(broken) = World::new(history.clone()).run() {
                panic!("seed {seed}: {broken}\n{history:#?}");
            }
        }
    }
}

/// More of that, at random.
#[test]
fn a_store_that_has_forgotten_makes_nothing_run_twice() {
    for seed in 1..100 {
        if let Err(broken) = World::new(aimed(seed)).run() {
            panic!("seed {seed}: {broken}\n{:#?}", aimed(seed));
        }
    }
}

#[test]
fn what_a_server_has_forgotten_in_a_crash_is_told_again() {
    for seed in 1..300 {
        if let Err(broken) = World::new(crashes(seed)).run() {
            panic!("seed {seed}: {broken}\n{:#?}", crashes(seed));
        }
    }
}

/// A job that is due each second and takes no time.
fn each_second() -> Plan {
    Plan {
        every: 1,
        lasts: 0,
        most: 1,
        overlap: Overlap::Skip,
        host: None,
        jitter: 0,
        again: false,
        after: Vec::new(),
    }
}

/// Hosts whose commits tell them that something has changed give up at once what is another's.
#[test]
fn a_host_that_joins_takes_up_its_share_within_three_seconds() {
    for seed in 1..6 {
        let (killed, back) = (30 * MICROS + seed * 137_000, 40 * MICROS);
        let history = History {
            hosts: 3,
            plans: vec![each_second(); 12],
            clocks: vec![Clock::default(); 3],
            faults: vec![(killed, Fault::Kill(2, back))],
            lasts: 90 * MICROS,
            ..random(seed as u64)
        };
        let world = World::new(history).run().unwrap();
        let joined = START + killed + back;
        let there = world.processes.iter().filter(|it| it.host == 2 && it.at > joined);
        let first = there.map(|it| it.at).min().unwrap();
        assert!(first - joined <= 3 * MICROS, "seed {seed}: {} microseconds", first - joined);
    }
}

/// Two hosts with one job each second, one of which is killed: how long until another starts what it
/// would have.
#[test]
fn another_host_takes_over_within_a_lease_and_a_beat() {
    for seed in 1..6 {
        for (fault, most) in [
            (Fault::Kill(0, 100 * MICROS), LEASE.as_micros() as i64 * 6 / 5 + MICROS),
            (Fault::Leave(0, 100 * MICROS), 4 * MICROS),
        ] {
            let when = 30 * MICROS + seed * 137_000;
            let history = History {
                hosts: 2,
                plans: vec![each_second(); 8],
                clocks: vec![Clock::default(); 2],
                faults: vec![(when, fault)],
                lasts: 120 * MICROS,
                ..random(seed as u64)
            };
            let world = World::new(history).run().unwrap();
            for job in 0..8 {
                let name = Plan::name(job);
                let mut starts: Vec<i64> = world
                    .processes
                    .iter()
                    .filter(|process| *process.job == *name && process.at > START + 20 * MICROS)
                    .map(|process| process.at)
                    .collect();
                starts.sort_unstable();
                let gap = starts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
                assert!(gap <= most + MICROS, "seed {seed}, {fault:?}, {name}: {gap} microseconds");
            }
        }
    }
}
