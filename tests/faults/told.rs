//! People are told of failures over crashes: of each at least once, of none that is not recorded, and twice
//! only under the same id.
//!
//! The gate has few rounds; `SCHEDRS_KILLS=200 cargo test --release --test faults told` has as many as
//! somebody wants, with ten new failures in each. `SCHEDRS_SEED` makes other moments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use schedrs::clock;
use serde_json::Value;

use crate::common::rng::Rng;
use crate::harness::{Bench, Running, until};

/// So many jobs fail for the first time in each round.
const JOBS: u64 = 10;

/// A receiver that takes a while, and writes down what it has got in one piece.
const ROUTE: &str = "[notify.ops]\ncommand = 'text=$(cat); printf \"%s\\n\" \"$text\" >> told.jsonl'\n\
                     gather = '20ms'\npause = '0s'\n\
                     [defaults]\nnotify = ['ops']\n";

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn job(round: u64, number: u64) -> String {
    format!("r{round}-{number}")
}

#[test]
fn each_failure_is_told_over_crashes() {
    let (kills, mut rng) = (number("SCHEDRS_KILLS", 8), Rng::new(number("SCHEDRS_SEED", 1)));
    let mut jobs = ROUTE.to_owned();
    for round in 0..kills {
        for number in 0..JOBS {
            jobs +=
                &format!("[jobs.{}]\ncommand = 'exit 3'\ninterval = '1000h'\n", job(round, number));
        }
    }
    let bench = Bench::new(&jobs);
    bench.write("told.jsonl", "");
    for round in 0..kills {
        let running = bench.listening();
        let begun = clock::mono();
        let pattern = format!("r{round}-*");
        let mut starts = bench.command(&["start", &pattern]);
        let starts = Running::start(&mut starts);
        // Somewhere between the request and some time after the message is sent.
        let moment = Duration::from_millis(u64::from(rng.number(0..=250)));
        until("the moment has come", || clock::mono().since(begun) >= moment);
        running.kill();
        running.wait();
        starts.wait();
    }
    let running = bench.listening();
    until("nothing waits", || !waits(&bench));
    assert_eq!(running.stop().code, Some(0));

    let failed = failed(&bench);
    let told = told(&bench);
    let count: usize = told.values().flat_map(BTreeMap::values).sum();
    println!(
        "{kills} kills: {} jobs failed, {} notifications arrived, {} of them again",
        failed.len(),
        told.len(),
        count - told.len()
    );
    assert!(kills == 0 || !failed.is_empty());
    for job in &failed {
        assert!(told.contains_key(job), "nobody was told of {job}");
    }
    for (job, ids) in &told {
        assert!(failed.contains(job), "{job} was told, and has not failed");
        assert_eq!(ids.len(), 1, "{job} was told under several ids: {ids:?}");
    }
}

/// What waits, what was told and how often a job has failed is written again to a store that knows nothing.
#[test]
fn a_store_that_is_taken_away_takes_nothing_along() {
    let bench = Bench::new(
        "[notify.ops]\ncommand = 'test -e open || exit 75; text=$(cat); printf \"%s\\n\" \"$text\" >> told.jsonl'\n\
         gather = '20ms'\npause = '0s'\n\
         [jobs.tick]\ncommand = 'true'\ninterval = '200ms'\n\
         [jobs.backup]\ncommand = 'test -e good'\ninterval = '1000h'\nnotify = ['ops']\n",
    );
    bench.write("told.jsonl", "");
    let mut running = bench.listening();
    let start = |exit| assert_eq!(bench.ask(&["start", "--wait", "backup"]).2, Some(exit));
    start(1);
    running.event("notify_failing", "");
    let files = fs::read_dir(bench.path("state")).unwrap().map(|entry| entry.unwrap().path());
    let mut stores = files.filter(|path| path.extension().is_some_and(|end| end == "db"));
    fs::remove_file(stores.next().unwrap()).unwrap();
    running.event("store_lost", "");
    // Whatever was to be written then is, once this is known.
    until("the store knows of it", || waits(&bench));
    running.kill();
    running.wait();

    bench.write("open", "");
    let running = bench.listening();
    let arrived = |count| {
        until("it has arrived", || messages(&bench).len() >= count);
        messages(&bench)
    };
    assert_eq!(arrived(1)[0]["type"], "run.failed");
    // That it fails was told, and that is known; so it is news that it does not any more.
    start(1);
    bench.write("good", "");
    start(0);
    let all = arrived(2);
    assert_eq!((all.len(), &all[1]["type"]), (2, &Value::from("run.recovered")), "{all:#?}");
    assert_eq!(all[1]["data"]["streak"], 2, "{all:#?}");
    assert_eq!(running.stop().code, Some(0));
}

/// What has arrived, one by one.
fn messages(bench: &Bench) -> Vec<Value> {
    let text = fs::read_to_string(bench.path("told.jsonl")).unwrap();
    let each = lines(&text).map(|message| message["notifications"].as_array().unwrap().clone());
    each.flatten().collect()
}

fn lines(text: &str) -> impl Iterator<Item = Value> {
    // One that was cut by the kill has not arrived.
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn waits(bench: &Bench) -> bool {
    let all = bench.out(&["notify", "--output", "json"]);
    lines(&all).any(|it| it["state"] == "waiting")
}

/// The jobs of which a run has failed, or was lost, by the store.
fn failed(bench: &Bench) -> BTreeSet<String> {
    let all = bench.out(&["history", "--output", "json", "-n", "100000"]);
    let failed = lines(&all).filter(|it| it["outcome"] == "failed" || it["outcome"] == "lost");
    failed.map(|it| it["job"].as_str().unwrap().to_owned()).collect()
}

/// Of which jobs it was told that they fail, under which ids, and how often.
fn told(bench: &Bench) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut told: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for it in messages(bench) {
        assert_eq!(it["type"], "run.failed", "{it}");
        let (job, id) = (it["data"]["job"].as_str().unwrap(), it["id"].as_str().unwrap());
        *told.entry(job.to_owned()).or_default().entry(id.to_owned()).or_default() += 1;
    }
    told
}
