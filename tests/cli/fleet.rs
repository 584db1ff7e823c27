//! Three real schedulers on one real server. The jobs write down what they were started for, and one
//! of the hosts is killed: each due time has run once, and the others have taken over in time.

mod again;
mod asking;
mod chains;
mod full;
mod network;
#[cfg(feature = "web")]
mod page;
mod silent;
mod soak;
mod telling;

use std::collections::{HashMap, HashSet};
use std::fs;

use schedrs::clock;
use schedrs::fleet::SPARE_RUNS;
use schedrs::store::location::{self, Location};
use schedrs::store::{Query, Reader, RunRecord};
use schedrs::zone::Database;

use crate::harness::{Bench, Running, found};
use crate::servers::{Engine, Server};

/// So many that none of three hosts is without any.
const JOBS: usize = 40;

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
        let mut text = String::new();
        for job in 0..JOBS {
            text += &format!(
                "[jobs.j{job}]\ncommand = 'echo $SCHEDRS_JOB $SCHEDRS_DUE >> {}'\n\
                 interval = \"1s\"\nstart_date = \"2026-01-01T00:00:00Z\"\n",
                written.display()
            );
        }
        self.start(name, "4s", &text)
    }

    /// The jobfile of a host with these jobs.
    fn write(&self, name: &str, lease: &str, jobs: &str) {
        let mut text = format!("[store]\nurl = \"{}\"\n[fleet]\nname = \"{name}\"\n", self.url);
        text += &format!("lease = \"{lease}\"\n{jobs}");
        self.bench.write(&format!("{name}.toml"), &text);
    }

    /// A host with these jobs.
    fn start(&self, name: &str, lease: &str, jobs: &str) -> Running {
        self.write(name, lease, jobs);
        let file = format!("{name}.toml");
        // A job can tell on which host it runs.
        Running::start(self.bench.command(&["run", &file]).env("ON_HOST", name))
    }

    fn reader(&self) -> Box<dyn Reader> {
        let location = Location::parse(&self.url, self.bench.dir.path()).unwrap();
        // The first host makes the tables.
        found(|| location::reader(&location))
    }

    fn records(&self) -> Vec<RunRecord> {
        let location = Location::parse(&self.url, self.bench.dir.path()).unwrap();
        // The first host is still about to make the tables.
        let reader = location::reader(&location).ok();
        reader.map_or(Vec::new(), |mut reader| reader.records(&Query::default()).unwrap())
    }

    /// Waits until the records satisfy.
    #[track_caller]
    fn until(&self, what: &str, enough: impl Fn(&[RunRecord]) -> bool) -> Vec<RunRecord> {
        found(|| Some(self.records()).filter(|records| enough(records)).ok_or(what))
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
    // What hosts may differ in is known of each; and none has to make up numbers for its runs.
    let tzdata = Database::open(None).version().unwrap_or("unknown").to_owned();
    let members = fleet.reader().members().unwrap();
    assert_eq!(members.iter().map(|member| &*member.tzdata).collect::<Vec<_>>(), [&*tzdata; 3]);
    let made_up = |record: &&RunRecord| record.run.is_some_and(|run| run.0 >= SPARE_RUNS);
    assert_eq!(records.iter().filter(made_up).count(), 0);
    let last = records[0].seq;
    first.kill();
    let killed = clock::wall();
    // Each job has a due time decided after the kill, on one of the other two.
    // How long that takes at most is for tests/fleet to say, where no machine is busy.
    let records = fleet.until("the others have all", |records| {
        let hosts = hosts(records, last);
        let others = ["web2", "web3"].into_iter().filter_map(|host| hosts.get(host));
        others.flatten().collect::<HashSet<_>>().len() == JOBS
    });
    // Why is another host's now, and what all of them have done, is known on each.
    let had = |record: &&RunRecord| record.host.as_deref() == Some("web1") && record.at < killed;
    let moved = records.iter().find(had).unwrap().job.clone();
    let asked = |args: &[&str]| {
        let args = [args, &["-f", "web3.toml"]].concat();
        let done = fleet.bench.command(&args).output().unwrap();
        assert!(done.status.success(), "{args:?} {done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let why = asked(&["why", &moved]);
    assert!(
        why.contains("web1 was silent for ") && why.contains(" took the job over at "),
        "{why}"
    );
    let history = asked(&["history", "-n", "100"]);
    assert!(history.lines().next().unwrap().contains(" HOST"), "{history}");
    let audit = asked(&["history", &moved, "--audit"]);
    assert!(audit.contains("web1, web"), "{audit}");
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

/// That hosts share the store may be said on the command line only.
#[test]
fn what_hosts_cannot_share_is_refused() {
    let bench = Bench::new(
        "[jobs.one]\ncommand = 'true'\ninterval = '1h'\n\
         [jobs.each]\ncommand = 'true'\nafter = 'one'\nrun_on = 'all'\n",
    );
    assert_eq!(bench.ask(&["validate", "jobs.toml"]).2, Some(0));
    let (out, err, code) =
        bench.ask(&["run", "--store", "postgres://127.0.0.1:9/none", "jobs.toml"]);
    let words = "`each` runs on all hosts, `one` on one: neither can be due after the other";
    assert!(err.contains(words) && code == Some(1), "{code:?} {out} {err}");
}
