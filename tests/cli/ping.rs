//! Pings, from a run to the service that watches over it: a real scheduler, its helper, and a receiver
//! that takes nothing that is not exactly right.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::deliver::receiver::{Receiver, answer, request, until_closed};
use crate::harness::{Bench, Stream, until};

/// A request as a receiver has it.
#[derive(Clone, Debug)]
struct Got {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    body: String,
}

impl Got {
    /// Nothing may be in it that is not in every ping.
    fn of(text: &str) -> Got {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let [method, target, "HTTP/1.1"] = first[..] else { panic!("{text}") };
        let headers: Vec<(String, &str)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let value = |name: &str| headers.iter().find(|(it, _)| it == name).map(|(_, it)| *it);
        assert_eq!(value("user-agent"), Some(concat!("schedrs/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(value("content-type").is_some(), method == "POST", "{text}");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap());
        Got {
            method: method.into(),
            path: path.into(),
            query: pairs.map(|(name, value)| (name.into(), value.into())).collect(),
            body: body.into(),
        }
    }

    fn has(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The UUID of its run (RFC 9562).
    fn rid(&self) -> &str {
        let rid = self.has("rid").unwrap_or_else(|| panic!("{self:?}"));
        let parts: Vec<&str> = rid.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts.iter().all(|part| u64::from_str_radix(part, 16).is_ok()), "{rid}");
        assert!(rid == rid.to_lowercase() && parts[2].starts_with('8'), "{rid}");
        rid
    }
}

type Requests = Arc<Mutex<Vec<Got>>>;

/// A service that answers with `status` what comes, and keeps it.
fn service(status: &'static str, body: &'static str) -> (Receiver, Requests) {
    let all = Requests::default();
    let kept = Arc::clone(&all);
    let receiver = Receiver::new(move |mut stream| {
        let got = Got::of(&request(&mut stream));
        kept.lock().unwrap().push(got);
        answer(&mut stream, status, body);
    });
    (receiver, all)
}

fn paths(all: &Requests) -> Vec<String> {
    all.lock().unwrap().iter().map(|got| got.path.clone()).collect()
}

fn listed(bench: &Bench) -> Vec<Value> {
    let text = bench.out(&["notify", "--output", "json"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is listed: `ping state`, sorted.
fn states(bench: &Bench) -> Vec<String> {
    let word = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let all = listed(bench);
    let mut all: Vec<String> =
        all.iter().map(|it| format!("{} {}", word(it, "ping"), word(it, "state"))).collect();
    all.sort();
    all
}

fn job(id: &str, command: &str, more: &str) -> String {
    format!("[jobs.{id}]\ncommand = '{command}'\ninterval = '1h'\n{more}\n")
}

#[test]
fn healthchecks_hear_of_each_run() {
    let (receiver, all) = service("200 OK", "OK");
    let url = receiver.url("/key/{slug}?create=1");
    let bench = Bench::new(&format!(
        "[defaults]\nping = {{ healthchecks = '{url}' }}\n{}{}{}{}",
        job("good", "echo all is well", ""),
        job("bad", "echo no space; exit 3", "retries = 1\nretry_delay = '1ms'"),
        job("none", "true", "ping = false"),
        job("paused", "true", "paused = true\nrun_on_start = true"),
    ));
    let running = bench.listening();
    assert_eq!(bench.ask(&["start", "good", "--wait"]).2, Some(0));
    until("both have arrived", || paths(&all) == ["/key/good/start", "/key/good"]);
    assert_eq!(bench.ask(&["start", "none", "--wait"]).2, Some(0));
    assert_eq!(bench.ask(&["start", "bad", "--wait"]).2, Some(3));
    until("those of the other, too", || paths(&all)[2..] == ["/key/bad/start", "/key/bad/3"]);
    let got = all.lock().unwrap().clone();
    for pair in got.chunks(2) {
        let [start, end] = pair else { unreachable!() };
        assert_eq!(start.rid(), end.rid());
        for one in pair {
            assert_eq!((&*one.method, one.has("create"), one.query.len()), ("POST", Some("1"), 2));
        }
        assert_eq!(start.body, "");
    }
    assert_ne!(got[0].rid(), got[2].rid());
    assert_eq!((&*got[1].body, &*got[3].body), ("all is well\n", "no space\n"));

    until("all are known to have arrived", || {
        states(&bench) == ["end sent", "end sent", "start sent", "start sent"]
    });
    let why = bench.out(&["why", "bad"]);
    assert!(why.contains("told      ping: `end`, sent ") && why.contains(": 200 OK"), "{why}");
    let metrics = bench.out(&["metrics"]);
    assert!(metrics.contains("schedrs_pings_total{result=\"sent\"} 4\n"), "{metrics}");
    assert!(metrics.contains("schedrs_pings_pending 0\n"), "{metrics}");
    let shown = bench.out(&["show", "good"]);
    assert!(shown.contains("ping = { healthchecks = \"***\" }"), "{shown}");

    let (said, _, code) = bench.ask(&["notify", "--test", "good"]);
    assert!(said.starts_with("good: sent\n") && code == Some(0), "{said}");
    assert_eq!(paths(&all).last().map(String::as_str), Some("/key/good/log"));
    let done = running.stop();
    let logged = done.err.join("\n");
    assert!(!logged.contains("/key/"), "{logged}");
}

#[test]
fn each_service_in_its_own_words() {
    let (receiver, all) = service("200 OK", "{\"ok\":true}");
    let bench = Bench::new(&format!(
        "{}{}{}{}",
        job("kuma", "exit 7", &format!("ping = '{}'", receiver.url("/api/push/t?status=up&ping="))),
        job(
            "cron-itor",
            "exit 2",
            &format!("ping = {{ cronitor = '{}' }}", receiver.url("/p/k/{job}"))
        ),
        job("sentry", "true", &format!("ping = '{}'", receiver.url("/api/2/cron/{job}/k/"))),
        job("snitch", "true", &format!("ping = '{}'", receiver.url("/{host}/x"))),
    ));
    let running = bench.listening();
    let last = || all.lock().unwrap().last().cloned().unwrap();
    let count = |count: usize| until("all have arrived", || all.lock().unwrap().len() == count);

    bench.ask(&["start", "kuma", "--wait"]);
    count(1);
    let got = last();
    assert_eq!((&*got.method, &*got.path), ("GET", "/api/push/t"));
    assert_eq!(got.has("status"), Some("down"));
    assert!(got.has("msg").unwrap().starts_with("failed%20with%20exit%20code%207"), "{got:?}");
    assert!(got.has("ping").unwrap().parse::<u64>().is_ok() && got.query.len() == 3, "{got:?}");

    bench.ask(&["start", "cron-itor", "--wait"]);
    count(3);
    let pair = all.lock().unwrap()[1..].to_vec();
    assert_eq!(pair[0].has("series"), pair[1].has("series"));
    assert_eq!((pair[0].has("state"), pair[1].has("state")), (Some("run"), Some("fail")));
    assert_eq!(pair[1].has("status_code"), Some("2"));
    assert!(pair[1].has("metric").unwrap().starts_with("duration%3A0."), "{pair:?}");

    bench.ask(&["start", "sentry", "--wait"]);
    count(5);
    let bodies: Vec<Value> = all.lock().unwrap()[3..]
        .iter()
        .map(|got| serde_json::from_str(&got.body).unwrap())
        .collect();
    let words = |key: &str| -> Vec<Value> { bodies.iter().map(|it| it[key].clone()).collect() };
    assert_eq!(words("status"), ["in_progress", "ok"]);
    assert_eq!(words("check_in_id")[0], words("check_in_id")[1]);
    let config = serde_json::json!({
        "schedule": { "type": "interval", "value": 1, "unit": "hour" }, "checkin_margin": 1
    });
    assert_eq!(words("monitor_config"), [config.clone(), config]);

    bench.ask(&["start", "snitch", "--wait"]);
    count(6);
    let got = last();
    assert!(got.method == "GET" && got.path.ends_with("/x") && got.query.is_empty(), "{got:?}");
    let (_, said, code) = bench.ask(&["notify", "--test", "kuma"]);
    assert!(said.contains("Uptime Kuma has no word for a test") && code == Some(1), "{said}");
    running.stop();
    assert_eq!(all.lock().unwrap().len(), 6);
}

/// A service that is away, a `kill -9`, and another scheduler: the last of each phase arrives, and each
/// has the name that it had.
#[test]
fn what_is_not_pinged_outlives_a_crash() {
    // Nobody listens there yet.
    let place = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = place.local_addr().unwrap().port();
    drop(place);
    let url = format!("http://127.0.0.1:{port}/x");
    let bench = Bench::new(&job("a", "true", &format!("ping = {{ healthchecks = '{url}' }}")));
    let mut running = bench.listening();
    assert_eq!(bench.ask(&["start", "a", "--wait"]).2, Some(0));
    let line = running.line(Stream::Err, &["ping_failing"]);
    assert!(line.contains("Connection refused"), "{line}");
    until("both wait", || states(&bench) == ["end waiting", "start waiting"]);
    let (health, _, code) = bench.ask(&["health"]);
    assert!(health.contains("the ping of a cannot be delivered") && code == Some(1), "{health}");
    let rid = listed(&bench)[0]["rid"].clone();
    running.kill();
    running.wait();

    let all = Requests::default();
    let kept = Arc::clone(&all);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            kept.lock().unwrap().push(Got::of(&request(&mut stream)));
            answer(&mut stream, "200 OK", "OK");
        }
    });
    let running = bench.listening();
    until("both have arrived", || paths(&all) == ["/x/start", "/x"]);
    assert!(all.lock().unwrap().iter().all(|got| got.rid() == rid), "{rid}");
    until("both are known to have arrived", || states(&bench) == ["end sent", "start sent"]);
    running.stop();
}

/// Whatever a service does, jobs begin and end as if it were not there.
#[test]
fn a_service_that_hangs_holds_up_nothing() {
    let hanging = Receiver::new(|mut stream| until_closed(&mut stream));
    let (well, all) = service("200 OK", "OK");
    let ping =
        |receiver: &Receiver| format!("ping = {{ healthchecks = '{}' }}", receiver.url("/x"));
    let bench = Bench::new(&format!(
        "{}{}",
        job("hangs", "true", &ping(&hanging)),
        job("well", "true", &ping(&well))
    ));
    let mut running = bench.listening();
    for _ in 0..20 {
        assert_eq!(bench.ask(&["start", "hangs", "--wait"]).2, Some(0));
        assert_eq!(bench.ask(&["start", "well", "--wait"]).2, Some(0));
    }
    // It is given up, and goes by itself from then on.
    let line = running.line(Stream::Err, &["ping_failing", "no answer within 10s"]);
    assert!(line.contains("\"job\":\"hangs\"") || line.contains("hangs"), "{line}");
    bench.ask(&["start", "well", "--wait"]);
    let last =
        || listed(&bench).iter().filter(|it| it["job"] == "well").cloned().collect::<Vec<_>>();
    until("the others have arrived", || last().iter().all(|it| it["state"] == "sent"));
    let hanging: Vec<Value> =
        listed(&bench).iter().filter(|it| it["job"] == "hangs").cloned().collect();
    assert!(hanging.len() == 2 && hanging.iter().all(|it| it["state"] == "waiting"), "{hanging:?}");
    assert!(!all.lock().unwrap().is_empty());
    running.stop();
}

#[test]
fn a_refusal_is_logged_once() {
    let (receiver, all) = service("404 Not Found", "not found");
    let url = receiver.url("/s3cret-uuid");
    let bench = Bench::new(&job("a", "true", &format!("ping = {{ healthchecks = '{url}' }}")));
    let running = bench.listening();
    for runs in 1..=3 {
        assert_eq!(bench.ask(&["start", "a", "--wait"]).2, Some(0));
        until("both were asked for", || all.lock().unwrap().len() == 2 * runs);
        until("both are known", || states(&bench) == ["end refused", "start refused"]);
    }
    assert_eq!(listed(&bench)[0]["answer"], "404 not found");
    let done = running.stop();
    let logged = done.err.join("\n");
    assert_eq!(logged.matches("ping was refused: 404 not found").count(), 1, "{logged}");
    assert!(!logged.contains("s3cret"), "{logged}");
}

/// A sign of life comes when the scheduler starts, and not while it is not well.
#[test]
fn the_scheduler_pings_for_itself() {
    let (receiver, all) = service("200 OK", "OK");
    let file = |path: &str| {
        format!(
            "[scheduler]\nping = {{ healthchecks = '{}' }}\n[notify.ops]\ncommand = 'exit 75'\n\
             gather = '0s'\n[jobs.a]\ncommand = 'exit 1'\ninterval = '1h'\nnotify = ['ops']\n",
            receiver.url(path)
        )
    };
    let bench = Bench::new(&file("/beat"));
    let mut running = bench.listening();
    until("it has arrived", || paths(&all) == ["/beat"]);
    until("that is known", || states(&bench) == ["heartbeat sent"]);
    bench.ask(&["start", "a", "--wait"]);
    running.line(Stream::Err, &["notify_failing"]);
    // Another place is told at once, if all is well.
    bench.write("jobs.toml", &file("/other"));
    bench.ask(&["reload"]);
    let line = running.line(Stream::Err, &["heartbeat_withheld"]);
    assert!(line.contains("notifications to ops cannot be delivered"), "{line}");
    running.stop();
    assert_eq!(paths(&all), ["/beat"]);
}
