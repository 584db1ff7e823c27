//! Bad days of a fleet, with real processes: three schedulers on one real server, a wire between each
//! and that, and faults on a timetable by a seed. What the jobs have written down and what the store
//! says are held against each other, as Jepsen did with Chronos.
//!
//! In the gate for some seconds. By hand for as many minutes as `SCHEDRS_FLEET_SOAK` says, with
//! `SCHEDRS_FLEET_ENGINE=postgres|mariadb|redis|mongodb` and `SCHEDRS_FLEET_SEED=N`; it prints what it does.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::sync::mpsc::channel;
use std::time::Duration;

use schedrs::clock;
use schedrs::instant::{Instant, Mono};
use schedrs::outcome::Outcome;
use schedrs::store::location::{self, Location};
use schedrs::store::{Query, RunRecord};
use schedrs::words;
use schedrs::zone::Zone;

use crate::harness::{Bench, Running, found};
use crate::servers::proxy::{Proxy, Way};
use crate::servers::{Engine, Server, Setup};

#[path = "../../common/rng.rs"]
mod rng;

use rng::Rng;

const HOSTS: usize = 3;

/// The jobs: name, every so many seconds, how long each takes, and more of its keys.
const JOBS: [(&str, u32, &str, &str); 8] = [
    ("tick0", 1, "0", ""),
    ("tick1", 1, "0", ""),
    ("tick2", 1, "0", ""),
    ("tick3", 1, "0", ""),
    ("long0", 3, "2", ""),
    ("long1", 3, "4", ""),
    ("queue", 3, "2", "overlap = \"queue\"\n"),
    ("shift", 2, "0", "jitter = \"2s\"\n"),
];

/// How early a job may begin: by what the store lets through, and by how clocks are read.
const EARLY: f64 = 2.5;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(usize),
    Stop(usize),
    Cut(usize),
    Deaf(usize, Way),
    Slow(usize),
    Clock(usize, i64),
    Server,
    Leave(usize),
}

struct Soak {
    bench: Bench,
    server: Server,
    proxies: Vec<Proxy>,
    hosts: Vec<Option<Running>>,
    url: String,
    says: bool,
    begun: Mono,
}

fn name(host: usize) -> String {
    format!("web{}", host + 1)
}

impl Soak {
    fn new(engine: Engine, says: bool) -> Option<Soak> {
        let server = Setup::of(engine).durable().start()?;
        let proxies: Vec<Proxy> = (0..HOSTS).map(|_| Proxy::to(server.address())).collect();
        let (bench, begun) = (Bench::new(""), clock::mono());
        let url = server.fresh();
        bench.write("written", "");
        let hosts = (0..HOSTS).map(|_| None).collect();
        let mut soak = Soak { bench, server, proxies, hosts, url, says, begun };
        for host in 0..HOSTS {
            soak.bench.write(&format!("clock{host}"), "0");
            soak.write(host);
            soak.start(host);
        }
        Some(soak)
    }

    fn say(&self, what: &str) {
        if self.says {
            let after = clock::mono().since(self.begun).as_secs_f64();
            eprintln!("{after:8.1}  {what}");
        }
    }

    fn write(&self, host: usize) {
        let port = |port: u16| format!(":{port}/");
        let (own, wired) = (port(self.server.port()), port(self.proxies[host].port()));
        let url = self.url.replace(&own, &wired);
        assert_ne!(url, self.url);
        let name = name(host);
        let mut text = format!(
            "[scheduler]\ntimezone = \"UTC\"\n[store]\nurl = \"{url}\"\nkeep = {{ runs = 100000 }}\n\
             [fleet]\nname = \"{name}\"\nlease = \"5s\"\n"
        );
        let file = self.bench.path("written");
        for (job, every, takes, more) in JOBS {
            // One write each: lines of several processes do not mix.
            let say = |what: &str| {
                format!(
                    "echo {what} {job} $SCHEDRS_DUE {name} $(date +%s.%N) >> {}",
                    file.display()
                )
            };
            let rest = if takes == "0" {
                String::new()
            } else {
                format!("; sleep {takes}; {}", say("end"))
            };
            let _ = write!(
                text,
                "[jobs.{job}]\ncommand = '{}{rest}'\ninterval = \"{every}s\"\n\
                 start_date = \"2026-01-01T00:00:00Z\"\n{more}",
                say("start")
            );
        }
        self.bench.write(&format!("{name}.toml"), &text);
    }

    fn start(&mut self, host: usize) {
        let file = format!("{}.toml", name(host));
        let mut command = self.bench.command(&["run", &file]);
        let clock = self.bench.path(&format!("clock{host}"));
        self.hosts[host] = Some(Running::start(command.env("SCHEDRS_TEST_CLOCK", clock)));
    }

    /// Begins a fault; answers how to end it.
    fn begin(&mut self, fault: Fault) {
        self.say(&format!("{fault:?}"));
        match fault {
            Fault::Kill(host) => {
                if let Some(running) = self.hosts[host].take() {
                    running.kill();
                    drop(running.wait());
                }
            }
            Fault::Leave(host) => {
                if let Some(running) = self.hosts[host].take() {
                    drop(running.stop());
                }
            }
            Fault::Stop(host) => {
                if let Some(running) = &self.hosts[host] {
                    running.signal("STOP");
                }
            }
            Fault::Cut(host) => self.proxies[host].cut(),
            Fault::Deaf(host, way) => self.proxies[host].stall(way, true),
            Fault::Slow(host) => {
                for way in [Way::ToServer, Way::ToClient] {
                    self.proxies[host].delay(way, Duration::from_millis(150));
                }
            }
            Fault::Clock(host, ahead) => {
                self.bench.write(&format!("clock{host}"), &ahead.to_string());
            }
            Fault::Server => self.server.kill(),
        }
    }

    fn end(&mut self, fault: Fault) {
        self.say(&format!("  over: {fault:?}"));
        match fault {
            Fault::Kill(host) | Fault::Leave(host) => {
                if self.hosts[host].is_none() {
                    self.start(host);
                }
            }
            Fault::Stop(host) => {
                if let Some(running) = &self.hosts[host] {
                    running.signal("CONT");
                }
            }
            Fault::Cut(host) | Fault::Deaf(host, _) | Fault::Slow(host) => {
                self.proxies[host].mend();
            }
            Fault::Clock(host, _) => self.bench.write(&format!("clock{host}"), "0"),
            Fault::Server => self.server.restart(),
        }
    }

    /// Waits, without looking at anything.
    fn wait(&self, span: Duration) {
        let (_keep, never) = channel::<()>();
        let _ = never.recv_timeout(span);
    }

    /// Faults one after the other, each over before the next of the same host begins.
    fn suffer(&mut self, rng: &mut Rng, span: Duration) {
        let end = clock::mono().plus(span);
        while clock::mono() < end {
            let mut faults = vec![random(rng)];
            if rng.chance(40) {
                let other = random(rng);
                if host_of(other) != host_of(faults[0]) {
                    faults.push(other);
                }
            }
            for fault in &faults {
                self.begin(*fault);
            }
            let left = end.since(clock::mono()).as_millis() as i64;
            let lasts = rng.within(500..=9_000).min(left.max(500));
            self.wait(Duration::from_millis(lasts as u64));
            for fault in faults {
                self.end(fault);
            }
            self.wait(Duration::from_millis(rng.within(200..=3_000) as u64));
        }
    }

    fn records(&self) -> Vec<RunRecord> {
        let location = Location::parse(&self.url, self.bench.dir.path()).unwrap();
        let read = || location::reader(&location)?.records(&Query::default());
        read().unwrap_or_default()
    }

    /// Waits until all that was due by then is decided and over.
    fn settle(&self, until: Instant) -> Vec<RunRecord> {
        found(|| {
            let records = self.records();
            let decided = |job: &str| {
                let of = |record: &&RunRecord| *record.job == *job && record.last_due > until;
                records.iter().any(|record| of(&record))
            };
            let open = records.iter().any(|it| it.outcome.is_none() && it.due <= until);
            let settled = !open && JOBS.iter().all(|(job, ..)| decided(job));
            let seen = || format!("not settled: {:#?}", open_of(&records));
            if settled { Ok(records) } else { Err(seen()) }
        })
    }
}

fn open_of(records: &[RunRecord]) -> Vec<&RunRecord> {
    records.iter().filter(|record| record.outcome.is_none()).collect()
}

fn host_of(fault: Fault) -> usize {
    match fault {
        Fault::Kill(host) | Fault::Stop(host) | Fault::Cut(host) | Fault::Deaf(host, _) => host,
        Fault::Slow(host) | Fault::Clock(host, _) | Fault::Leave(host) => host,
        Fault::Server => HOSTS,
    }
}

fn random(rng: &mut Rng) -> Fault {
    let host = rng.number(0..=HOSTS as u32 - 1) as usize;
    match rng.number(0..=15) {
        0..=3 => Fault::Kill(host),
        4..=5 => Fault::Stop(host),
        6..=7 => Fault::Cut(host),
        8 => Fault::Deaf(host, Way::ToServer),
        9 => Fault::Deaf(host, Way::ToClient),
        10..=11 => Fault::Slow(host),
        12..=13 => Fault::Clock(host, rng.pick(&[-5, 5])),
        14 => Fault::Leave(host),
        _ => Fault::Server,
    }
}

/// What the jobs have written down: for each job and due time where and when it began and ended.
#[derive(Debug, Default)]
struct Written {
    starts: Vec<(String, f64)>,
    ends: usize,
}

type Book = BTreeMap<(String, String), Written>;

fn written(text: &str) -> Book {
    let mut book = Book::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, job, due, host, at] = words[..] else { panic!("{line}") };
        let entry = book.entry((job.to_owned(), due.to_owned())).or_default();
        if what == "start" {
            entry.starts.push((host.to_owned(), at.parse().unwrap()));
        } else {
            entry.ends += 1;
        }
    }
    book
}

/// Holds what was written down against what the store says. Answers what is wrong, and a summary.
fn check(book: &Book, records: &[RunRecord]) -> (Vec<String>, String) {
    let mut wrong = Vec::new();
    let utc = Zone::utc();
    let rfc = |due: Instant| words::rfc3339(due, &utc);
    let mut runs: HashMap<(String, String), &RunRecord> = HashMap::new();
    for record in records.iter().filter(|record| record.run.is_some()) {
        runs.insert((record.job.to_string(), rfc(record.due)), record);
    }
    let dues: HashMap<String, Instant> =
        records.iter().map(|record| (rfc(record.due), record.due)).collect();
    let mut latest = 0.0_f64;
    for ((job, due), entry) in book {
        if entry.starts.len() != 1 {
            wrong.push(format!("{job} due {due}: started {} times: {entry:?}", entry.starts.len()));
        }
        let due_at = dues.get(due).map(|at| at.micros() as f64 / 1e6);
        for ((host, began), due_at) in entry.starts.iter().zip(due_at) {
            if *began < due_at - EARLY {
                wrong.push(format!("{job} due {due}: {:.1} s early on {host}", due_at - began));
            }
            latest = latest.max(began - due_at);
        }
        match runs.get(&(job.clone(), due.clone())).map(|run| &run.outcome) {
            None => wrong.push(format!("{job} due {due}: started, and there is no run: {entry:?}")),
            Some(Some(Outcome::Missed(_) | Outcome::Skipped(_) | Outcome::Coalesced)) => {
                wrong.push(format!("{job} due {due}: started, and the store says it was not"));
            }
            Some(_) => {}
        }
    }
    for ((job, due), run) in &runs {
        let ran = matches!(run.outcome, Some(Outcome::Succeeded));
        let started = book.get(&(job.clone(), due.clone())).is_some();
        if ran && !started {
            wrong.push(format!("{job} due {due}: succeeded, and nothing was written down"));
        }
    }
    let lost = records.iter().filter(|it| matches!(it.outcome, Some(Outcome::Lost(_)))).count();
    let missed: u64 = records
        .iter()
        .filter(|it| matches!(it.outcome, Some(Outcome::Missed(_))))
        .map(|it| it.count)
        .sum();
    let summary = format!(
        "{} starts, {} records, {lost} lost, {missed} missed, at most {latest:.1} s late",
        book.len(),
        records.len()
    );
    (wrong, summary)
}

fn engine() -> Engine {
    match std::env::var("SCHEDRS_FLEET_ENGINE").as_deref() {
        Ok("mariadb" | "mysql") => Engine::Mariadb,
        Ok("redis") => Engine::Redis,
        Ok("mongodb") => Engine::Mongodb,
        _ => Engine::Postgres,
    }
}

#[test]
fn bad_days() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<f64>().ok());
    let minutes = number("SCHEDRS_FLEET_SOAK");
    let seed = number("SCHEDRS_FLEET_SEED").unwrap_or(1.0) as u64;
    let Some(mut soak) = Soak::new(engine(), minutes.is_some()) else { return };
    soak.wait(Duration::from_secs(2));
    let span = minutes.map_or(Duration::from_secs(8), |it| Duration::from_secs_f64(it * 60.0));
    let mut rng = Rng::new(seed);
    if minutes.is_some() {
        soak.suffer(&mut rng, span);
    } else {
        // In the gate the two that matter most.
        soak.begin(Fault::Kill(0));
        soak.begin(Fault::Stop(1));
        soak.wait(Duration::from_millis(6_500));
        soak.end(Fault::Stop(1));
        soak.end(Fault::Kill(0));
    }
    let records = soak.settle(clock::wall());
    for host in 0..HOSTS {
        if let Some(running) = soak.hosts[host].take() {
            drop(running.stop());
        }
    }
    let last = records.iter().map(|record| record.last_due).max();
    let records: Vec<RunRecord> =
        soak.records().into_iter().filter(|it| last.is_none_or(|last| it.due <= last)).collect();
    let book = written(&fs::read_to_string(soak.bench.path("written")).unwrap());
    let (wrong, summary) = check(&book, &soak.records());
    soak.say(&summary);
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} wrong, {summary}\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(book.len() > 20 && records.len() > 20, "{summary}");
    // And each due time has one fate, as people would ask for it.
    let audit = soak.bench.command(&["history", "--audit", "-f", "web1.toml"]).output().unwrap();
    let said = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.success(), "{said}{}", String::from_utf8_lossy(&audit.stderr));
}
