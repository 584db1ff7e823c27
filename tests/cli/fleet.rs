//! Three real schedulers on one real server. The jobs write down what they were started for, and one
//! of the hosts is killed: each due time has run once, and the others have taken over in time.

use std::collections::{HashMap, HashSet};
use std::fs;

use schedrs::clock;
use schedrs::store::location::{self, Location};
use schedrs::store::{Query, RunRecord};

use crate::harness::{Bench, Running};
use crate::servers::{Engine, Server};

const JOBS: usize = 12;

/// Three hosts with the same jobs.
struct Fleet {
    bench: Bench,
    url: String,
}

impl Fleet {
    fn new(server: &Server) -> Fleet {
        let fleet = Fleet { bench: Bench::new(""), url: server.fresh() };
        fleet.bench.write("written", "");
        fleet
    }

    fn host(&self, name: &str) -> Running {
        let written = self.bench.path("written");
        let mut text = format!("[store]\nurl = \"{}\"\n[fleet]\nname = \"{name}\"\n", self.url);
        text += "lease = \"4s\"\n";
        for job in 0..JOBS {
            text += &format!(
                "[jobs.j{job}]\ncommand = 'echo $SCHEDRS_JOB $SCHEDRS_DUE >> {}'\n\
                 interval = \"1s\"\nstart_date = \"2026-01-01T00:00:00Z\"\n",
                written.display()
            );
        }
        let file = format!("{name}.toml");
        self.bench.write(&file, &text);
        Running::start(&mut self.bench.command(&["run", &file]))
    }

    fn records(&self) -> Vec<RunRecord> {
        let location = Location::parse(&self.url, self.bench.dir.path()).unwrap();
        location::reader(&location).unwrap().records(&Query::default()).unwrap()
    }

    /// Waits until the records satisfy.
    fn until(&self, what: &str, enough: impl Fn(&[RunRecord]) -> bool) -> Vec<RunRecord> {
        let begun = clock::mono();
        loop {
            let records = self.records();
            if enough(&records) {
                return records;
            }
            assert!(clock::mono().since(begun).as_secs() < 60, "{what}");
        }
    }

    /// No due time was started twice, as the jobs themselves say.
    fn check(&self) {
        let text = fs::read_to_string(self.bench.path("written")).unwrap();
        let mut seen = HashSet::new();
        for line in text.lines() {
            assert!(seen.insert(line), "twice: {line}");
        }
        assert!(seen.len() > JOBS, "{text}");
    }
}

/// On how many hosts jobs have run since a record.
fn hosts(records: &[RunRecord], since: u64) -> HashMap<&str, HashSet<&str>> {
    let mut hosts: HashMap<&str, HashSet<&str>> = HashMap::new();
    for record in records.iter().filter(|record| record.seq > since && record.started.is_some()) {
        let host = record.host.as_deref().unwrap_or_default();
        hosts.entry(host).or_default().insert(&record.job);
    }
    hosts
}

#[test]
fn one_of_three_is_killed() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let fleet = Fleet::new(server);
    let (first, second, third) = (fleet.host("web1"), fleet.host("web2"), fleet.host("web3"));
    let records = fleet.until("all three have jobs", |records| {
        let hosts = hosts(records, 0);
        hosts.len() == 3 && hosts.values().map(HashSet::len).sum::<usize>() >= JOBS
    });
    let last = records[0].seq;
    first.kill();
    let killed = clock::wall();
    // Each job has a due time decided after the kill, on one of the other two.
    let records = fleet.until("the others have all", |records| {
        let hosts = hosts(records, last);
        let others = ["web2", "web3"].into_iter().filter_map(|host| hosts.get(host));
        others.flatten().collect::<HashSet<_>>().len() == JOBS
    });
    let slowest = (0..JOBS).filter_map(|job| {
        let id = format!("j{job}");
        let of_it = records.iter().filter(|record| *record.job == *id && record.at > killed);
        of_it.filter(|record| record.host.as_deref() != Some("web1")).map(|record| record.at).min()
    });
    let took = slowest.max().unwrap().since(killed);
    // Lease, beat, and a second; and some for a machine that has much else to do.
    assert!(took.as_secs() < 4 + 1 + 1 + 5, "{took:?}");
    let last = records[0].seq;
    drop(second.stop());
    fleet.until("the last has all", |records| {
        hosts(records, last).get("web3").is_some_and(|jobs| jobs.len() == JOBS)
    });
    drop(third.stop());
    fleet.check();
    let lost = fleet.records().into_iter().filter(|record| record.outcome.is_none());
    assert_eq!(lost.collect::<Vec<_>>(), []);
}
