//! Two real schedulers whose server dies, with another that takes its place and has not heard of the
//! last moments. The jobs write down what they were started for: no due time has run twice, and the
//! store is told again what it has forgotten.

use std::collections::HashSet;
use std::fs;

use schedrs::clock;
use schedrs::instant::Instant;
use schedrs::store::location::{self, Location};
use schedrs::store::{Query, RunRecord};

use crate::harness::{Bench, Running, until};
use crate::servers::proxy::Proxy;
use crate::servers::{Engine, Server, Setup};

/// So many that neither of two hosts is without any.
const JOBS: usize = 32;

/// Two hosts with the same jobs.
struct Pair {
    bench: Bench,
    url: String,
    hosts: Vec<Running>,
}

impl Pair {
    fn new(url: String) -> Pair {
        let mut pair = Pair { bench: Bench::new(""), url, hosts: Vec::new() };
        pair.bench.write("written", "");
        for name in ["web1", "web2"] {
            let text = pair.jobs(name);
            let file = format!("{name}.toml");
            pair.bench.write(&file, &text);
            pair.hosts.push(Running::start(&mut pair.bench.command(&["run", &file])));
        }
        pair
    }

    fn jobs(&self, name: &str) -> String {
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
        text
    }

    /// What the jobs have written: the job and the due time of each start.
    fn written(&self) -> Vec<(String, Instant)> {
        let text = fs::read_to_string(self.bench.path("written")).unwrap();
        let line = |line: &str| {
            let (job, due) = line.split_once(' ').unwrap();
            let due = chrono::DateTime::parse_from_rfc3339(due).unwrap();
            (job.to_owned(), Instant::from_micros(due.timestamp_micros()))
        };
        text.lines().map(line).collect()
    }

    /// Both hosts have started something for a due time after this.
    fn until_both_run(&self, url: &str, since: Instant) {
        until("both run", || {
            let Ok(records) = records(url) else { return false };
            let new = records.iter().filter(|it| it.due > since && it.started.is_some());
            new.filter_map(|record| record.host.as_deref()).collect::<HashSet<_>>().len() == 2
        });
    }

    /// So many jobs more have run.
    fn until_more_run(&self, more: usize) {
        let before = self.written().len();
        until("more run", || self.written().len() >= before + more);
    }

    /// Ends the hosts. No due time was started twice, and of each the store knows.
    fn check(mut self, url: &str) {
        self.hosts.drain(..).for_each(|host| drop(host.stop()));
        let mut seen = HashSet::new();
        for line in self.written() {
            assert!(!seen.contains(&line), "twice: {line:?}");
            seen.insert(line);
        }
        let records = records(url).unwrap();
        let known: HashSet<_> =
            records.iter().map(|record| (record.job.to_string(), record.due)).collect();
        let forgotten: Vec<_> = seen.difference(&known).collect();
        assert!(forgotten.is_empty(), "forgotten: {forgotten:?}");
        let open = records.iter().filter(|record| record.outcome.is_none());
        assert_eq!(open.collect::<Vec<_>>(), [] as [&RunRecord; 0]);
    }
}

fn records(url: &str) -> Result<Vec<RunRecord>, schedrs::store::StoreError> {
    let location = Location::parse(url, std::path::Path::new("/")).unwrap();
    location::reader(&location)?.records(&Query::default())
}

fn now() -> Instant {
    clock::wall()
}

/// A standby follows, and then hears nothing more; the primary goes on for a while and dies.
fn a_standby_takes_over(synchronous: bool) {
    let Some(mut primary) = Setup::of(Engine::Postgres).durable().start() else { return };
    let wire = Proxy::to(primary.address());
    let standby = Setup::of(Engine::Postgres).durable().follows_at(wire.port()).start().unwrap();
    if synchronous {
        primary.cli("ALTER SYSTEM SET synchronous_standby_names = '*'");
        primary.cli("SELECT pg_reload_conf()");
    }
    let (first, second) = (primary.address(), standby.address());
    let pair = Pair::new(format!("postgres://schedrs@{first},{second}/postgres"));
    pair.until_both_run(primary.url(), Instant::MIN);
    wire.cut();
    let heard = |server: &Server| -> usize {
        server.cli("SELECT count(*) FROM schedrs.record").parse().unwrap()
    };
    let before = heard(&standby);
    if synchronous {
        // What is not on the standby is not acknowledged, so that nothing begins.
        until("a commit waits", || {
            primary.cli("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "0"
        });
    } else {
        pair.until_more_run(2 * JOBS);
        assert!(heard(&primary) > before, "the standby has not heard of it");
    }
    primary.kill();
    assert_eq!(standby.cli("SELECT pg_promote()"), "t");
    pair.until_both_run(standby.url(), now());
    // Both have seen that this is another server, and have told it again what they knew.
    assert_eq!(standby.cli("SELECT generation FROM schedrs.store"), "1");
    pair.check(standby.url());
}

#[test]
fn a_standby_that_has_not_heard_of_the_last_runs() {
    a_standby_takes_over(false);
}

#[test]
fn a_standby_that_was_waited_for() {
    a_standby_takes_over(true);
}

/// A sentinel makes a replica the master that has not had the last moments.
#[test]
fn a_replica_that_has_not_heard_of_the_last_runs() {
    let Some(mut primary) = Setup::of(Engine::Redis).durable().start() else { return };
    let replica = Setup::of(Engine::Redis).durable().follows(&primary).start().unwrap();
    // The replica is known to the sentinel by what the master says of it.
    assert_eq!(primary.cli("WAIT 1 20000"), "1");
    let sentinel = Setup::of(Engine::Redis).watches(&primary).start().unwrap();
    let pair = Pair::new(format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port()));
    pair.until_both_run(primary.url(), Instant::MIN);
    let replicas = || sentinel.cli("SENTINEL replicas main").contains("127.0.0.1");
    until("the sentinel knows the replica", replicas);
    // From here on it may not follow.
    primary.cli("ACL SETUSER default -psync -sync");
    primary.cli("CLIENT KILL TYPE replica");
    let count =
        |server: &Server| -> usize { server.cli("ZCARD schedrs:{default}:all").parse().unwrap() };
    let before = count(&replica);
    pair.until_more_run(2 * JOBS);
    assert!(count(&primary) > before, "the replica has not heard of it");
    assert_eq!(count(&replica), before);
    primary.kill();
    let (where_is, port) = ("SENTINEL get-master-addr-by-name main", replica.port().to_string());
    until("the replica is the master", || sentinel.cli(where_is).contains(&port));
    pair.until_both_run(replica.url(), now());
    assert_eq!(replica.cli("HGET schedrs:{default}:fleet generation"), "1");
    pair.check(replica.url());
}
