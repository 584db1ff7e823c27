//! A host is gone that has something to tell: another one tells it, once and under the same id, and knows what was
//! told of the jobs that come to it. What runs on every host is told by each for itself.

use std::fs;

use schedrs::clock;
use serde_json::Value;

use super::Fleet;
use crate::harness::{Running, until};
use crate::servers::{Engine, Server};

/// A receiver that refuses until there is a file, and jobs that succeed once there is another.
fn jobs(fleet: &Fleet) -> String {
    let path = |name: &str| fleet.bench.path(name).display().to_string();
    let mut text = format!(
        "[notify.ops]\ncommand = '''test -e {} || exit 75; text=$(cat); printf \"%s\\n\" \"$text\" >> {}'''\n\
         gather = '20ms'\npause = '0s'\n[defaults]\nnotify = ['ops']\n",
        path("open"),
        path("told.jsonl")
    );
    for job in 0..12 {
        text +=
            &format!("[jobs.j{job}]\ncommand = 'test -e {}'\ninterval = '1000h'\n", path("good"));
    }
    text
}

impl Fleet {
    fn say(&self, args: &[&str]) -> Vec<Value> {
        let args = [args, &["-f", "web2.toml", "--output", "json"]].concat();
        let (out, ..) = self.bench.ask(&args);
        out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn home(&self, job: &Value) -> String {
        let all = self.say(&["list"]);
        let found = all.iter().find(|line| line["id"] == *job).map(|line| line["host"].clone());
        found.and_then(|host| host.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// What has arrived, one by one.
    fn arrived(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.bench.path("told.jsonl")).unwrap();
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        messages.flat_map(|it| it["notifications"].as_array().unwrap().clone()).collect()
    }
}

/// Two hosts with jobs, and one of those of the first.
fn two(fleet: &Fleet, text: &str) -> (Running, Running, Value) {
    fleet.bench.write("told.jsonl", "");
    let (first, second) = (fleet.start("web1", "4s", text), fleet.start("web2", "4s", text));
    fleet.reader();
    until("each has jobs", || {
        let all = fleet.say(&["list"]);
        all.len() == 12
            && ["web1", "web2"].iter().all(|host| {
                all.iter().any(|line| line["host"] == *host && line["next"] != Value::Null)
            })
    });
    let of_first = fleet.say(&["list"]).into_iter().find(|line| line["host"] == "web1");
    (first, second, of_first.unwrap()["id"].clone())
}

#[test]
fn what_a_dead_host_had_to_tell_is_told_by_another() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let fleet = Fleet::new(server);
    // A digest counts, but is not due while this runs.
    let digest = format!(
        "[notify.daily]\ncommand = 'true'\ntimezone = 'UTC'\ndigest = '{:02}:00'\n",
        (clock::wall().micros() / 3_600_000_000 + 12) % 24
    );
    let text = jobs(&fleet).replace("notify = ['ops']", "notify = ['ops', 'daily']") + &digest;
    let (mut first, second, job) = two(&fleet, &text);
    let id = job.as_str().unwrap();
    let start = |expected| {
        let args = ["start", id, "--wait", "-f", "web2.toml"];
        let done = fleet.bench.ask(&args);
        assert_eq!(done.2, Some(expected), "{done:?}");
    };
    // It runs where it is at home, and that host cannot tell it.
    start(1);
    first.line(crate::harness::Stream::Err, &["cannot be delivered"]);
    let waiting = || fleet.say(&["notify"]).into_iter().find(|it| it["state"] == "waiting");
    until("it is in the store", || waiting().is_some());
    let waits = waiting().unwrap();
    first.kill();
    first.wait();
    until("the other has its jobs", || fleet.home(&job) == "web2");

    fleet.bench.write("open", "");
    until("it is told", || !fleet.arrived().is_empty());
    let told = fleet.arrived();
    assert_eq!((told.len(), &told[0]["type"]), (1, &Value::from("run.failed")), "{told:#?}");
    assert_eq!((&told[0]["id"], &told[0]["data"]["job"]), (&waits["id"], &job));
    until("that is written down", || waiting().is_none());
    // It says where it happened.
    assert_eq!(told[0]["data"]["host"], "web1", "{told:#?}");
    // What it had counted is the other's to tell, and counted once.
    let digests = fleet.reader().entries("notify.digest").unwrap();
    let keys: Vec<&str> = digests.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, ["daily\nweb2"], "{digests:?}");
    let tally: Value = serde_json::from_str(&digests[0].1).unwrap();
    assert_eq!((&tally["failed"], &tally["hosts"][0]), (&1.into(), &"web1".into()), "{tally}");

    // The one that was dead has nothing left to tell.
    let first = fleet.start("web1", "4s", &text);
    until("it is there again", || fleet.say(&["list"]).iter().any(|line| line["host"] == "web1"));
    // Wherever the job is by now: that it fails was told, and how often it has.
    start(1);
    fleet.bench.write("good", "");
    start(0);
    until("it is well", || fleet.arrived().len() > 1);
    let told = fleet.arrived();
    assert_eq!((told.len(), &told[1]["type"]), (2, &Value::from("run.recovered")), "{told:#?}");
    assert_eq!(told[1]["data"]["streak"], 2, "{told:#?}");
    first.stop();
    second.stop();
}

#[test]
fn what_a_stopped_host_had_to_tell_is_told_by_another_unless_it_comes_back() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let fleet = Fleet::new(server);
    let text = jobs(&fleet);
    let (mut first, second, job) = two(&fleet, &text);
    let id = job.as_str().unwrap();
    let done = fleet.bench.ask(&["start", id, "--wait", "-f", "web2.toml"]);
    assert_eq!(done.2, Some(1), "{done:?}");
    first.line(crate::harness::Stream::Err, &["cannot be delivered"]);
    let waiting = || fleet.say(&["notify"]).into_iter().find(|it| it["state"] == "waiting");
    until("it is in the store", || waiting().is_some());
    let waits = waiting().unwrap();
    // Whoever is back within a lease tells it itself: nobody else has done so.
    let owner = || {
        let entries = fleet.reader().entries("notify.outbox").unwrap();
        serde_json::from_str::<Value>(&entries[0].1).unwrap()["host"].clone()
    };
    drop(first.stop());
    let first = fleet.start("web1", "4s", &text);
    until("it is back", || fleet.say(&["list"]).iter().any(|line| line["host"] == "web1"));
    assert_eq!(owner(), "web1");
    drop(first.stop());
    until("the other has taken it", || owner() == "web2");
    fleet.bench.write("open", "");
    until("it is told", || !fleet.arrived().is_empty());
    let told = fleet.arrived();
    assert_eq!((told.len(), &told[0]["type"]), (1, &Value::from("run.failed")), "{told:#?}");
    assert_eq!((&told[0]["id"], &told[0]["data"]["host"]), (&waits["id"], &"web1".into()));
    until("that is written down", || waiting().is_none());
    second.stop();
}

/// One host fails and another one succeeds, again and again.
#[test]
fn what_runs_on_every_host_is_told_by_each() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let fleet = Fleet::new(server);
    fleet.bench.write("told.jsonl", "");
    fleet.bench.write("open", "");
    // Each host has a file of its own.
    let own = fleet.bench.path("good-on-");
    let text = jobs(&fleet)
        + &format!(
            "[jobs.each]\ncommand = 'test -e {}$ON_HOST'\ninterval = '300ms'\nrun_on = 'all'\n",
            own.display()
        );
    fleet.bench.write("good-on-web2", "");
    let (first, second) = (fleet.start("web1", "4s", &text), fleet.start("web2", "4s", &text));
    let runs = |records: &[schedrs::store::RunRecord], host: &str| {
        let of_host =
            records.iter().filter(|it| &*it.job == "each" && it.host.as_deref() == Some(host));
        of_host.filter(|it| it.duration.is_some()).count()
    };
    fleet.until("both have run often", |records| {
        ["web1", "web2"].iter().all(|host| runs(records, host) >= 6)
    });
    until("it is told", || !fleet.arrived().is_empty());
    fleet.bench.write("good-on-web1", "");
    until("it is well", || fleet.arrived().len() > 1);
    let seen = fleet.records();
    fleet.until("both have run again", |records| {
        ["web1", "web2"].iter().all(|host| runs(records, host) >= runs(&seen, host) + 4)
    });
    let told = fleet.arrived();
    let what = told.iter().map(|it| (it["type"].as_str(), it["data"]["host"].as_str()));
    let expected = [(Some("run.failed"), Some("web1")), (Some("run.recovered"), Some("web1"))];
    assert!(what.eq(expected), "{told:#?}");
    drop(first.stop());
    drop(second.stop());
}

/// A success is expected where its job is at home, and by nobody else.
#[test]
fn nobody_misses_what_succeeds_elsewhere() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let fleet = Fleet::new(server);
    fleet.bench.write("told.jsonl", "");
    fleet.bench.write("open", "");
    fleet.bench.write("good", "");
    let text = jobs(&fleet).replace("'1000h'", "'500ms'\nexpect = '4s'");
    let (first, second) = (fleet.start("web1", "4s", &text), fleet.start("web2", "4s", &text));
    fleet.reader();
    // Long enough for each to have missed the others' jobs.
    fleet.until("all have succeeded for a while", |records| {
        let hosts = super::hosts(records, 0);
        let runs = |job: usize| {
            let of_job = records.iter().filter(|record| *record.job == *format!("j{job}"));
            of_job.filter(|record| record.duration.is_some()).count()
        };
        hosts.len() == 2 && (0..12).all(|job| runs(job) >= 16)
    });
    let told = fleet.arrived();
    assert!(told.is_empty(), "{told:#?}");
    first.stop();
    second.stop();
}
