//! What is asked of one host is done by the one that it takes.

use std::process::Output;

use serde_json::{Value, json};

use super::{Fleet, fs};
use crate::harness::{Running, found, until};
use crate::servers::{Engine, Server};

/// Long enough for a machine that has much else to do.
const LEASE: &str = "8s";

const HOSTS: [&str; 3] = ["web1", "web2", "web3"];

/// So many jobs of no special kind that none of the hosts is without any.
const J_JOBS: usize = 40;

/// Jobs that are not due for a while: two that do not end by themselves, one that
/// no host may run, one of every host, and one after another.
fn jobs() -> String {
    let far = "interval = \"100d\"\nstart_date = \"2026-01-01T00:00:00Z\"\n";
    let mut text = String::new();
    for job in 0..J_JOBS {
        text += &format!("[jobs.j{job}]\ncommand = \"true\"\n{far}");
    }
    for job in ["slow", "slower"] {
        text += &format!("[jobs.{job}]\ncommand = \"sleep 600\"\n{far}");
    }
    text += "[jobs.behind]\ncommand = \"true\"\nafter = \"slow\"\n";
    text += &format!("[jobs.nowhere]\ncommand = \"true\"\nrun_on = [\"gpu\"]\n{far}");
    text + &format!("[jobs.each]\ncommand = \"sleep 600\"\nrun_on = \"all\"\n{far}")
}

impl Fleet {
    fn ask(&self, host: &str, args: &[&str]) -> Output {
        let file = format!("{host}.toml");
        let cut = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
        let rest = &args[cut..];
        let args = [&args[..cut], &["-f", &file, "--output", "json"], rest].concat();
        self.bench.command(&args).output().unwrap()
    }

    /// What is answered.
    #[track_caller]
    fn answer(&self, host: &str, args: &[&str]) -> Value {
        let done = self.ask(host, args);
        assert!(done.status.success(), "{host} {args:?} {done:?}");
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error} {done:?}"))
    }

    #[track_caller]
    fn refusal(&self, host: &str, args: &[&str]) -> String {
        let done = self.ask(host, args);
        assert_eq!(done.status.code(), Some(1), "{host} {args:?} {done:?}");
        String::from_utf8(done.stderr).unwrap()
    }

    /// The jobs as a host lists them.
    fn list(&self, host: &str) -> Vec<Value> {
        let done = self.ask(host, &["list"]);
        let text = String::from_utf8(done.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until something is so as each of these hosts lists it.
    #[track_caller]
    fn until_all(&self, hosts: &[&str], what: &str, is_so: impl Fn(&[Value]) -> bool) {
        for host in hosts {
            found(|| {
                let list = self.list(host);
                let is_so = !list.is_empty() && is_so(&list);
                if is_so { Ok(()) } else { Err(format!("{what} on {host}: {list:#?}")) }
            });
        }
    }

    /// A job that is at home with a host.
    fn job_of(&self, host: &str) -> String {
        let own = |job: &Value| job["host"] == host && job["id"].as_str().unwrap().starts_with('j');
        self.until_all(&["web1"], "it has a job", |list| list.iter().any(own));
        let list = self.list("web1");
        list.iter().find(|job| own(job)).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Three hosts, each of which has jobs.
    fn three(server: &Server) -> (Fleet, Vec<Running>) {
        let fleet = Fleet::new(server);
        let hosts = HOSTS.map(|host| fleet.start(host, LEASE, &jobs()));
        fleet.until_all(&HOSTS, "all have jobs", |list| {
            let has = |host: &str| list.iter().any(|job| job["host"] == host);
            list.len() == J_JOBS + 5 && HOSTS.iter().all(|host| has(host))
        });
        (fleet, hosts.into())
    }

    /// Every host says that this run of the job `slow` goes on, and where.
    #[track_caller]
    fn all_tell_of(&self, run: &Value, there: &str) {
        self.until_all(&HOSTS, "it runs", |list| {
            let job = job(list, "slow").unwrap();
            job["state"] == "running" && job["running"] == 1 && job["waiting"] == 0
        });
        self.until_all(&HOSTS, "what comes after it waits for that", |list| {
            job(list, "behind").unwrap()["next_after"] == "after slow, which is running"
        });
        for host in HOSTS {
            let on = if host == there { Value::Null } else { json!(there) };
            let active = &self.answer(host, &["show", "slow"])["active"];
            let of = |run: &Value| json!([run["run"], run["doing"], run["host"]]);
            let active: Vec<Value> = active.as_array().unwrap().iter().map(of).collect();
            assert_eq!(active, [json!([run, "running", on])], "{host}");
            let status: Value =
                serde_json::from_slice(&self.ask(host, &["status"]).stdout).unwrap();
            let own = &status[if on.is_null() { "active" } else { "active_elsewhere" }];
            assert_eq!(own[0]["run"], *run, "{host} {status}");
            // Who adds up what all hosts measure counts it once.
            let file = format!("{host}.toml");
            let metrics = self.bench.command(&["metrics", "-f", &file]).output().unwrap();
            let metrics = String::from_utf8(metrics.stdout).unwrap();
            let count = u8::from(on.is_null());
            let line = format!("schedrs_job_running{{job_name=\"slow\"}} {count}\n");
            assert!(metrics.contains(&line), "{host} {metrics}");
        }
    }

    /// Where a run was, as the store has it.
    fn host_of(&self, run: &Value) -> Option<String> {
        let records = self.records();
        let record = records.iter().find(|record| record.run.map(|run| run.0) == run.as_u64())?;
        record.host.as_deref().map(str::to_owned)
    }
}

fn job<'a>(list: &'a [Value], id: &str) -> Option<&'a Value> {
    list.iter().find(|job| job["id"] == id)
}

#[test]
fn runs_are_started_and_stopped_from_any_host() {
    start_and_stop(Engine::Postgres);
}

#[cfg(feature = "redis")]
#[test]
fn runs_are_started_and_stopped_through_redis() {
    start_and_stop(Engine::Redis);
}

#[cfg(feature = "mongodb")]
#[test]
fn runs_are_started_and_stopped_through_mongodb() {
    start_and_stop(Engine::Mongodb);
}

fn start_and_stop(engine: Engine) {
    let Some(server) = Server::shared(engine) else { return };
    let (fleet, hosts) = Fleet::three(server);
    // Every host says the same of where a job is at home, and when it is due.
    let known = |host: &str| -> Vec<Value> {
        let of = |job: &Value| json!([job["id"], job["host"], job["next"]]);
        fleet.list(host).iter().map(of).collect()
    };
    let all = |host: &str| {
        fleet.until_all(&[host], "all are taken", |list| {
            let waits = |job: &Value| job["id"] == "nowhere" || job["id"] == "behind";
            list.iter().all(|job| job["next"] != Value::Null || waits(job))
        });
        known(host)
    };
    assert_eq!(all("web1"), all("web3"));
    assert_eq!(job(&fleet.list("web2"), "each").unwrap()["host"], "all");

    let there = fleet.job_of("web2");
    let begun = fleet.answer("web1", &["start", &there]);
    assert_eq!(begun["host"], "web2");
    assert_eq!(fleet.host_of(&begun["run"]).as_deref(), Some("web2"));
    let ended = fleet.answer("web1", &["start", &there, "--on", "web3", "--wait"]);
    assert_eq!((&ended["outcome"], &ended["host"]), (&json!("succeeded"), &json!("web3")));
    let text = fleet.refusal("web1", &["start", &there, "--on", "web9"]);
    assert!(text.contains("no host `web9`; there are web1, web2, web3"), "{text}");

    // A job that no host may run is not finished.
    let nowhere = |host: &str| {
        let job = job(&fleet.list(host), "nowhere").cloned().unwrap();
        json!([job["state"], job["next"], job["next_after"], job["host"]])
    };
    let waits = json!(["scheduled", null, "once a host has all of its labels: gpu", null]);
    assert_eq!((nowhere("web1"), nowhere("web2")), (waits.clone(), waits));
    let status: Value = serde_json::from_slice(&fleet.ask("web2", &["status"]).stdout).unwrap();
    assert_eq!((&status["no_host"], &status["no_host_jobs"]), (&json!(1), &json!(["nowhere"])));
    let next: Value =
        serde_json::from_slice(&fleet.ask("web3", &["next", "nowhere"]).stdout).unwrap();
    assert_eq!(next["remark"], "no host has all of its labels: gpu");

    // The run is where it is, and counts wherever the job is at home.
    let slow = fleet.answer("web1", &["start", "slow", "--on", "web2"]);
    for host in HOSTS {
        let text = fleet.refusal("web1", &["start", "slow", "--on", host]);
        let there = if host == "web2" { "" } else { " on another host" };
        let run = format!("already running: run {}{there}; max_instances is 1", slow["run"]);
        assert!(text.contains(&run), "{host} {text}");
    }
    let run = format!("#{}", slow["run"]);
    fleet.all_tell_of(&slow["run"], "web2");
    let stopped = fleet.answer("web3", &["stop", &run]);
    assert_eq!((&stopped["stopped"], &stopped["host"]), (&json!([slow["run"]]), &json!("web2")));
    let text = fleet.refusal("web3", &["stop", "#999999"]);
    assert!(text.contains("no run 999999 is active"), "{text}");
    // Runs of one job on several hosts.
    let one = fleet.answer("web1", &["start", "slower", "--on", "web1"]);
    let two = fleet.answer("web1", &["start", "slower", "--on", "web2", "--force"]);
    assert_eq!(fleet.host_of(&two["run"]).as_deref(), Some("web2"));
    let each = fleet.answer("web1", &["start", "each", "--on", "web3"]);
    fleet.until_all(&HOSTS, "all count both, and the one of a job of every host", |list| {
        ["slower", "each"].map(|id| job(list, id).unwrap()["running"].as_u64())
            == [Some(2), Some(1)]
    });
    let stopped = fleet.answer("web1", &["stop", "each"]);
    assert_eq!(stopped["stopped"], json!([each["run"]]));
    let stopped = fleet.answer("web3", &["stop", "slower"]);
    let mut runs = vec![one["run"].clone(), two["run"].clone()];
    runs.sort_by_key(Value::as_u64);
    assert_eq!(stopped["stopped"], json!(runs));
    // A Redis that keeps nothing when it restarts is a reason to be called degraded.
    let status: Value = serde_json::from_slice(&fleet.ask("web2", &["status"]).stdout).unwrap();
    let standing = &status["fleet"];
    assert_eq!(
        (&standing["host"], &standing["hosts"]),
        (&json!("web2"), &json!(["web1", "web2", "web3"]))
    );
    assert!(standing["trusted_ms"].as_u64().unwrap() > 0, "{status}");
    // The record says who has asked, wherever that was.
    let by = |run: &Value| {
        let records = fleet.records();
        let of = records.into_iter().find(|one| one.run.map(|run| run.0) == run.as_u64());
        of.unwrap().by
    };
    assert!(by(&begun["run"]).is_some());
    hosts.into_iter().for_each(|host| drop(host.stop()));
}

#[test]
fn jobs_are_changed_from_any_host() {
    change(Engine::Postgres);
}

#[cfg(feature = "mysql")]
#[test]
fn jobs_are_changed_through_mariadb() {
    change(Engine::Mariadb);
}

#[cfg(feature = "mongodb")]
#[test]
fn jobs_are_changed_through_mongodb() {
    change(Engine::Mongodb);
}

fn change(engine: Engine) {
    let Some(server) = Server::shared(engine) else { return };
    let (fleet, mut hosts) = Fleet::three(server);
    let there = fleet.job_of("web2");
    fleet.answer("web1", &["pause", &there, "--reason", "moving"]);
    fleet.until_all(&HOSTS, "it is paused", |list| job(list, &there).unwrap()["state"] == "paused");
    let text = fleet.refusal("web3", &["start", &there, "--on", "web3"]);
    assert!(text.contains("is paused by"), "{text}");
    fleet.answer("web3", &["resume", &there]);
    fleet.until_all(&HOSTS, "it is not", |list| job(list, &there).unwrap()["state"] == "scheduled");
    fleet.answer("web3", &["modify", &there, "--timeout", "5m"]);
    fleet.answer("web1", &["reschedule", &there, "--cron", "0 0 1 1 *"]);
    fleet.until_all(&HOSTS, "it is another", |list| {
        let job = job(list, &there).unwrap();
        job["overridden"] == true && job["schedule"].as_str().unwrap().contains("january")
    });
    fleet.answer("web3", &["reschedule", &there, "--reset"]);
    fleet.until_all(&HOSTS, "it is as it was", |list| {
        job(list, &there).unwrap()["overridden"] == false
    });

    // One of every host is as any of them has made it.
    fleet.answer("web2", &["pause", "each"]);
    fleet.until_all(&HOSTS, "each is", |list| job(list, "each").unwrap()["state"] == "paused");
    fleet.answer("web3", &["resume", "each"]);
    // Also where a host has not heard of it yet.
    for id in ["each", &*there] {
        fleet.answer("web2", &["pause", id]);
        let resumed = fleet.answer("web3", &["resume", id]);
        assert_eq!(resumed["was_paused"], true, "{resumed}");
    }
    fleet.until_all(&HOSTS, "it is resumed", |list| {
        job(list, &there).unwrap()["state"] == "scheduled"
    });
    fleet.until_all(&HOSTS, "none is", |list| job(list, "each").unwrap()["state"] == "scheduled");

    // All of them, wherever they are at home, at once.
    fleet.answer("web1", &["pause", "--all"]);
    for host in HOSTS {
        let list = fleet.list(host);
        assert!(list.iter().all(|job| job["paused"]["what"] == "all"), "{host} {list:?}");
    }
    let late = fleet.start("web4", LEASE, &jobs());
    fleet.until_all(&["web4"], "one that comes later knows", |list| {
        list.iter().all(|job| job["paused"]["what"] == "all")
    });
    fleet.answer("web4", &["resume", "--all"]);
    assert!(fleet.list("web2").iter().all(|job| job["paused"].is_null()));
    drop(late.stop());

    // One that is added is everybody's, and each due time of it runs once.
    let written = fleet.bench.path("written").display().to_string();
    let command = format!("echo $SCHEDRS_JOB $SCHEDRS_DUE >> {written}");
    let added = fleet.answer("web1", &["add", "--id", "extra", "--every", "1s", "--", &command]);
    assert!(added["job"]["next"].is_string(), "{added}");
    let count = || fs::read_to_string(fleet.bench.path("written")).unwrap().lines().count();
    let more = |than: usize| until("it does not run", || count() > than);
    fleet.until_all(&HOSTS, "all know it", |list| job(list, "extra").is_some());
    more(2);
    let home = job(&fleet.list("web1"), "extra").unwrap()["host"].as_str().unwrap().to_owned();
    let place = HOSTS.iter().position(|host| **host == *home).unwrap();
    hosts.remove(place).kill();
    let left: Vec<&str> = HOSTS.into_iter().filter(|host| **host != *home).collect();
    // Nobody answers for it, and that is said.
    let text = fleet.refusal(left[0], &["modify", "extra", "--timeout", "5m"]);
    assert!(text.contains(&format!("{home} is gone and did not answer")), "{text}");
    let before = count();
    more(before + 2);
    fleet.answer(left[1], &["remove", "extra"]);
    fleet.until_all(&left, "nobody knows it", |list| job(list, "extra").is_none());
    let text = fs::read_to_string(fleet.bench.path("written")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), text.lines().count(), "{text}");
    hosts.into_iter().for_each(|host| drop(host.stop()));
}
