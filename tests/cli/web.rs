//! `schedrs web`, asked over HTTP as a browser, a tool and somebody hostile would.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Bench, Running, Stream, found, until};

mod browser;
mod prometheus;

const JOBS: &str = r#"
    [scheduler]
    timezone = "UTC"
    [jobs.good]
    command = "echo all well"
    interval = "1d"
    tags = ["eu"]
    [jobs.bad]
    command = "printf '<script>alert(2)</script>\\033[31m red\\033[2J\\n'; echo oops >&2; exit 3"
    interval = "1d"
    env = { PASSWORD = "hunter2" }
    stdin = "hunter2"
    [jobs."<script>alert(1)</script>"]
    command = "true"
    name = "\"><img src=x onerror=alert(1)>\u202e"
    interval = "1d"
"#;

/// A page that is served.
pub(crate) struct Web {
    running: Running,
    address: SocketAddr,
    /// Where one logs in, once.
    link: String,
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(stream: &mut impl Read) -> Answer {
        let mut bytes = Vec::new();
        // Whoever is cut off may get a reset instead of an end.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }
}

impl Web {
    pub(crate) fn start(bench: &Bench) -> Web {
        Web::of(bench, "jobs.toml")
    }

    /// That of a jobfile.
    pub(crate) fn of(bench: &Bench, file: &str) -> Web {
        let mut command = bench.command(&["web", "--listen", "127.0.0.1:0", "-f", file]);
        let mut running = Running::start(&mut command);
        let line = running.line(Stream::Out, &["listening at http://"]);
        let address = line.trim_end_matches('/').rsplit('/').next().unwrap().parse().unwrap();
        let line = running.line(Stream::Out, &["login?once="]);
        let link = line[line.find("/login").unwrap()..].to_owned();
        Web { running, address, link }
    }

    /// Sends a request as it is, but for `Host` and the end.
    fn send(&self, request: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut text = format!("{request} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|line| line.starts_with("Host:")) {
            text += &format!("Host: {}\r\n", self.address);
        }
        headers.iter().for_each(|line| text += &format!("{line}\r\n"));
        if !body.is_empty() {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
        Answer::read(&mut stream)
    }

    /// Logs in and answers the cookie, as a header.
    pub(crate) fn log_in(&self) -> String {
        let answer = self.send(&format!("GET {}", self.link), &[], "");
        assert_eq!(answer.status, 303, "{}", answer.head);
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
        format!("Cookie: {}", cookie.split(';').next().unwrap())
    }

    fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(&format!("GET {path}"), &[cookie], "")
    }

    /// A page that is there.
    #[track_caller]
    pub(crate) fn page(&self, path: &str, cookie: &str) -> String {
        let answer = self.get(path, cookie);
        assert_eq!(answer.status, 200, "{path}: {}\n{}", answer.head, answer.body);
        answer.body
    }
}

/// With a scheduler, of which `bad` and `good` have run.
fn busy(jobs: &str) -> (Bench, Running, Web) {
    let bench = Bench::new(jobs);
    let running = bench.listening();
    assert_eq!(bench.ask(&["start", "bad", "--wait"]).2, Some(3));
    assert_eq!(bench.ask(&["start", "good", "--wait"]).2, Some(0));
    let web = Web::start(&bench);
    (bench, running, web)
}

/// What programs ask for is what the subcommands say.
#[test]
fn programs_ask_for_json() {
    let (bench, running, web) = busy(JOBS);
    let cookie = web.log_in();
    let lines = |args: &[&str]| -> Vec<Value> {
        let text = bench.out(&[args, &["--output", "json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let get = |path: &str| -> Value {
        let answer = web.get(&format!("/api/v1/{path}"), &cookie);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer.status == 200, body["error"].is_null(), "{path}: {body}");
        body
    };
    until("it is known how they ended", || get("list")["jobs"][0]["last"]["run"].is_u64());
    let list = get("list");
    assert_eq!((list["jobs"].as_array(), &list["total"]), (Some(&lines(&["list"])), &3.into()));
    assert_eq!(get("list?failed=true")["jobs"], Value::from(lines(&["list", "--failed"])));
    assert_eq!(get("list?job=tag:eu")["jobs"][0]["id"], "good");
    assert_eq!(get("list?executor=default&state=scheduled")["total"], 3);
    let page = get("list?limit=1&from=1");
    assert_eq!((&page["jobs"][0]["id"], &page["more"]), (&"bad".into(), &2.into()));
    assert!(!web.get("/api/v1/list", &cookie).body.contains("hunter2"));

    let mut records = lines(&["history"]);
    records.reverse();
    assert_eq!(get("history")["records"], Value::from(records.clone()));
    let first = get("history?limit=1");
    assert_eq!(first["records"][0], records[0]);
    let next = get(&format!("history?limit=5&before={}", first["before"]));
    assert_eq!((&next["records"][0], &next["before"]), (&records[1], &Value::Null));
    assert_eq!(get("history?job=good&failed=true")["records"], Value::from(Vec::<Value>::new()));
    assert_eq!(get("history?since=1h%20ago")["records"].as_array().unwrap().len(), 2);

    assert_eq!(get("why?job=bad"), lines(&["why", "bad"])[0]);
    assert_eq!(get("why?job=bad&at=1999-01-01")["verdict"], "unknown");
    let due = get("next?count=2&limit=4");
    let jobs: Vec<&Value> = due["due"].as_array().unwrap().iter().map(|it| &it["job"]).collect();
    assert_eq!(jobs, ["good", "bad", "<script>alert(1)</script>", "good"]);
    assert_eq!(get("next?job=good")["due"], Value::from(lines(&["next", "good"])));

    // (what is asked, the status, what is said)
    for (path, status, said) in [
        ("", 404, "There is /api/v1/list"),
        ("start", 404, "There is /api/v1/list"),
        ("list?limit=100000", 400, "`limit` is a number up to 1000."),
        ("list?x=1", 400, "Here one can ask for job, executor"),
        ("list?job=[", 400, "not a valid pattern"),
        ("why", 400, "`job` is missing"),
        ("why?job=bda", 404, "no job `bda`; did you mean `bad`?"),
        ("why?job=bad&at=whenever", 400, "`at`: expected"),
        ("history?job=nobody", 404, "no job `nobody`"),
        ("history?since=x", 400, "`since`: expected"),
        ("next?job=nobody", 404, "no job `nobody`"),
    ] {
        assert_eq!(web.get(&format!("/api/v1/{path}"), &cookie).status, status, "{path}");
        let body = get(path);
        assert!(body["error"].as_str().unwrap().contains(said), "{path}: {body}");
    }
    let own = format!("Origin: http://{}", web.address);
    let answer = web.send("POST /api/v1/list", &[&cookie, &own], "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    let head = web.send("HEAD /api/v1/list", &[&cookie], "");
    assert_eq!((head.status, &*head.body), (200, ""));

    // Without a scheduler it is what the store knows.
    running.stop();
    until("the scheduler is missed", || get("list")["trouble"].is_string());
    assert_eq!(get("list")["jobs"][1]["last"]["outcome"], "failed");
    assert_eq!(get("why?job=good")["verdict"], "succeeded");
}

/// A run that has succeeded and printed nothing, where it usually does.
#[test]
fn it_shows_what_is_out_of_the_ordinary() {
    let bench = Bench::new(
        "[jobs.backup]\ncommand = 'test -e silent || head -c 1024 /dev/zero'\ninterval = '1d'\n\
         [jobs.other]\ncommand = 'true'\ninterval = '1d'\n",
    );
    let mut running = bench.listening();
    let web = Web::start(&bench);
    let cookie = web.log_in();
    let run = || assert_eq!(bench.ask(&["start", "backup", "--wait"]).2, Some(0));
    (0..10).for_each(|_| run());
    assert!(!web.page("/", &cookie).contains("Quiet or fast"));
    bench.write("silent", "");
    run();
    running.line(Stream::Err, &["it printed nothing"]);
    until("it is marked", || web.page("/jobs", &cookie).contains("</span> quiet</span>"));
    let quiet = web.page("/jobs?state=quiet", &cookie);
    assert!(quiet.contains("/jobs/backup\"") && !quiet.contains("/jobs/other\""), "{quiet}");
    let now = web.page("/", &cookie);
    assert!(now.contains("printed nothing (usually 1.0 KiB)"), "{now}");
    for path in ["/jobs/backup", "/runs/11"] {
        let page = web.page(path, &cookie);
        assert!(page.contains("it printed nothing: usually it prints 1.0 KiB"), "{path}: {page}");
    }
    assert!(!web.page("/runs/10", &cookie).contains("it printed nothing: "));
    // The store knows it, too.
    running.stop();
    until("the scheduler is missed", || {
        let page = web.page("/jobs?state=quiet", &cookie);
        page.contains("/jobs/backup\"") && page.contains("The scheduler is not running")
    });
}

/// What takes longer than it may, and what the services were told that watch jobs.
#[test]
fn it_shows_what_is_slow_and_what_was_pinged() {
    // Nobody listens there.
    let bench = Bench::new(
        "[jobs.report]\ncommand = 'read x < gate'\ndate = 'now'\nwarn_after = '200ms'\n\
         ping = 'http://127.0.0.1:1/x'\n\
         [jobs.quick]\ncommand = 'true'\ninterval = '1d'\n",
    );
    bench.fifo("gate");
    let mut running = bench.listening();
    let web = Web::start(&bench);
    let cookie = web.log_in();
    running.line(Stream::Err, &["still runs after"]);
    until("it is marked", || web.page("/jobs", &cookie).contains("</span> slow</span>"));
    let slow = web.page("/jobs?state=slow", &cookie);
    assert!(slow.contains("/jobs/report\"") && !slow.contains("/jobs/quick\""), "{slow}");
    assert!(web.page("/", &cookie).contains("</span> slow</span>"));
    bench.write_fifo("gate");
    running.event("succeeded", "report");
    until("it is told", || web.page("/messages", &cookie).contains("<h2>Pings</h2>"));
    let messages = web.page("/messages", &cookie);
    assert!(messages.contains("succeeded") && messages.contains("waiting"), "{messages}");
    let is_slow = || web.page("/jobs?state=slow", &cookie).contains("/jobs/report\"");
    until("it is not any more", || !is_slow());
    running.stop();
}

#[test]
fn it_shows_jobs_runs_and_what_they_printed() {
    let (bench, running, web) = busy(JOBS);
    let cookie = web.log_in();
    let now = web.page("/", &cookie);
    assert!(now.contains("1 of 3 jobs is failing"), "{now}");
    assert!(now.contains("failed with exit code 3"), "{now}");
    let jobs = web.page("/jobs?q=GOOD", &cookie);
    assert!(jobs.contains("href=\"/jobs/good\"") && !jobs.contains("href=\"/jobs/bad\""), "{jobs}");
    assert!(web.page("/jobs?tag=eu", &cookie).contains("1–1 of 1"));
    assert!(web.page("/jobs?state=failing", &cookie).contains("href=\"/jobs/bad\""));
    let job = web.page("/jobs/bad", &cookie);
    for said in ["every day", "<h2>Why</h2>", "built in", "line ", "PASSWORD = ***"] {
        assert!(job.contains(said), "{said}: {job}");
    }
    let (_, rest) = job.split_once("/runs/").unwrap();
    let run: u64 = rest[..rest.find('"').unwrap()].parse().unwrap();
    let shown = web.page(&format!("/runs/{run}"), &cookie);
    assert!(shown.contains("<span class=\"c1\"> red"), "{shown}");
    assert!(shown.contains("oops"), "{shown}");
    for (path, said) in [
        ("/time", "2 runs started in the last 24 hours"),
        ("/changes", "<td>started</td>"),
        ("/messages", "Nobody has been told anything yet"),
        ("/login", "Token"),
    ] {
        let page = web.page(path, &cookie);
        assert!(page.contains(said), "{path}: {page}");
    }
    for (path, status) in [
        ("/jobs/nobody", 404),
        ("/runs/999999", 404),
        ("/runs/x", 404),
        ("/x", 404),
        ("/fleet", 404),
    ] {
        assert_eq!(web.get(path, &cookie).status, status, "{path}");
    }

    // Without its scheduler it shows what the store knows, and says so.
    running.stop();
    until("it has noticed", || web.page("/", &cookie).contains("The scheduler is not running"));
    let now = web.page("/", &cookie);
    assert!(now.contains("failed with exit code 3") && now.contains("not running"), "{now}");
    assert!(web.page("/jobs/bad", &cookie).contains("failed with exit code 3"));
    assert_eq!(web.get("/health", &cookie).status, 503);
    assert_eq!(web.get("/metrics", &cookie).status, 503);
    let running = bench.listening();
    until("it has noticed", || !web.page("/", &cookie).contains("The scheduler is not running"));
    running.stop();
}

#[test]
fn nothing_of_a_job_becomes_a_part_of_the_page() {
    let (_bench, running, web) = busy(JOBS);
    let cookie = web.log_in();
    let odd = "/jobs/%3Cscript%3Ealert%281%29%3C%2Fscript%3E";
    let run = web.page("/jobs/bad", &cookie);
    let (_, rest) = run.split_once("/runs/").unwrap();
    let run = format!("/runs/{}", &rest[..rest.find('"').unwrap()]);
    let nasty = "/jobs?q=%22%3E%3Cscript%3E&state=%22%3E%3Cx&sort=%22&tag=%3Ci%3E&page=%00";
    for path in [
        "/",
        "/jobs",
        odd,
        "/jobs/bad",
        &run,
        "/time",
        nasty,
        "/jobs/%3Cscript%3E",
        "/%3Cscript%3E",
    ] {
        let page = web.get(path, &cookie).body;
        // The one script and nothing else: no tag of a job, no value that should not be seen, and
        // nothing that would turn the text around.
        assert_eq!(page.matches("<script").count(), 1, "{path}: {page}");
        for bad in ["<img", "onerror=alert(1)>", "hunter2", "\u{202e}", "\x1b", "<i>", "\"><x"] {
            assert!(!page.contains(bad), "{path} has {bad:?}: {page}");
        }
        assert!(!page.contains(" style="), "{path}");
    }
    running.stop();
}

#[test]
fn who_may_look() {
    let (_bench, running, web) = busy(JOBS);
    let answer = web.get("/", "X: y");
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("type=\"password\"") && !answer.body.contains("good"));
    for path in [
        "/jobs",
        "/metrics",
        "/health",
        "/ready",
        "/events",
        "/runs/1/events",
        "/x",
        "/api/v1/list",
        "/api/v1/why?job=good",
    ] {
        assert_eq!(web.get(path, "X: y").status, 401, "{path}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let cookie = web.log_in();
    // The link was good once.
    assert_eq!(web.get(&web.link, "X: y").status, 403);
    assert_eq!(web.get("/", &cookie).status, 200);
    assert_eq!(web.get("/", &format!("{cookie}0")).status, 401);

    // By another name it is somebody else's page that leads here.
    for host in ["evil.com", "127.0.0.1.evil.com", "localhost.evil.com:80", "x@localhost", ""] {
        let answer = web.send("GET /", &[&format!("Host: {host}"), &cookie], "");
        assert_eq!(answer.status, 421, "{host}");
    }
    let two = web.send("GET /", &["Host: localhost", "Host: localhost", &cookie], "");
    assert_eq!(two.status, 400);
    assert_eq!(web.send("GET http://localhost/", &["Host: localhost", &cookie], "").status, 400);
    assert_eq!(web.send("GET /", &["Host: localhost:1", &cookie], "").status, 200);

    // Neither may a page of somebody else ask, but a link may lead here.
    for headers in [
        &["Sec-Fetch-Site: cross-site"][..],
        &["Sec-Fetch-Site: same-site"],
        &["Origin: http://evil.com"],
    ] {
        let answer = web.send("GET /jobs", &[&[&*cookie][..], headers].concat(), "");
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    let link = [
        &*cookie,
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
    ];
    assert_eq!(web.send("GET /jobs", &link, "").status, 200);

    // What changes something does not exist: neither its form nor its target.
    for path in ["/jobs/good/start", "/jobs/good/pause", "/jobs/good/stop", "/runs/1/stop", "/x"] {
        let own = format!("Origin: http://{}", web.address);
        assert_eq!(web.send(&format!("POST {path}"), &[&cookie, &own], "").status, 404, "{path}");
        assert_eq!(web.get(path, &cookie).status, 404, "{path}");
    }
    assert_eq!(web.send("DELETE /jobs/good", &[&cookie], "").status, 405);
    assert_eq!(web.send("PUT /", &[&cookie], "x").status, 405);
    running.stop();
}

#[test]
fn tools_have_a_token_and_few_tries() {
    let jobs = format!("[web]\ntoken = {{ file = 'token' }}\n{JOBS}");
    let bench = Bench::new(&jobs);
    bench.write("token", "s3cret-token\n");
    bench.set_mode("token", 0o600);
    let running = bench.listening();
    let web = Web::start(&bench);
    let right = "Authorization: Bearer s3cret-token";
    let metrics = web.send("GET /metrics", &[right], "");
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let same = |text: &str| -> Vec<String> {
        let moves = ["process_cpu", "process_resident", "process_open"];
        let lines = text.lines().filter(|line| !moves.iter().any(|name| line.contains(name)));
        lines.map(str::to_owned).collect()
    };
    // Once the store has what the scheduler has begun with.
    found(|| {
        let (page, command) = (web.send("GET /metrics", &[right], ""), bench.out(&["metrics"]));
        let (page, command) = (same(&page.body), same(&command));
        if page == command { Ok(()) } else { Err(format!("{page:?}\n{command:?}")) }
    });
    let health = web.send("GET /health", &[right], "");
    assert_eq!(health.header("content-type"), Some("application/health+json"));
    let health: Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(health["status"], "pass");
    assert_eq!(web.send("GET /ready", &[right], "").body, "ready\n");
    assert_eq!(web.send("HEAD /", &[right], "").body, "");

    // A browser can type it.
    let own = format!("Origin: http://{}", web.address);
    let typed = web.send("POST /login", &[&own], "token=s3cret-token");
    assert_eq!((typed.status, typed.header("location")), (303, Some("/")));
    assert_eq!(
        web.send("POST /login", &["Origin: http://evil.com"], "token=s3cret-token").status,
        403
    );
    assert_eq!(
        web.send("POST /login", &[&own], &format!("token={}", "x".repeat(5000))).status,
        413
    );

    for nth in 0..6 {
        let status = web.send("GET /metrics", &["Authorization: Bearer wrong"], "").status;
        assert_eq!(status, if nth < 5 { 401 } else { 429 }, "{nth}");
    }
    let refused = web.send("GET /metrics", &[right], "");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
    running.stop();
}

#[test]
fn what_is_done_there_is_recorded() {
    let jobs = format!("[web]\nactions = true\n{JOBS}");
    let (bench, running, web) = busy(&jobs);
    let cookie = web.log_in();
    let own = format!("Origin: http://{}", web.address);
    let asked = web.page("/jobs/good/pause", &cookie);
    assert!(asked.contains("method=\"post\" action=\"/jobs/good/pause\""), "{asked}");
    // Nothing is done by asking, by another page, or by what does not say where it comes from.
    assert_eq!(web.send("POST /jobs/good/pause", &[&cookie], "").status, 403);
    assert_eq!(
        web.send("POST /jobs/good/pause", &[&cookie, "Origin: http://evil.com"], "").status,
        403
    );
    assert_eq!(web.send("POST /jobs/good/pause", &[&own], "").status, 401);
    assert!(!web.page("/changes", &cookie).contains("<td>paused</td>"));

    let form = "reason=the+disk+%3Cb%3Eis%3C%2Fb%3E+full";
    let done = web.send("POST /jobs/good/pause", &[&cookie, &own], form);
    assert_eq!((done.status, done.header("location")), (303, Some("/jobs/good")));
    let job = web.page("/jobs/good", &cookie);
    assert!(
        job.contains("web (through ") && job.contains("the disk &lt;b&gt;is&lt;/b&gt; full"),
        "{job}"
    );
    let listed = bench.out(&["list", "good", "--output", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(listed["paused"]["by"].as_str().unwrap().starts_with("web (through "), "{listed}");
    assert!(web.page("/changes", &cookie).contains("<td>paused</td>"));
    assert_eq!(web.send("POST /jobs/good/resume", &[&cookie, &own], "").status, 303);

    let done = web.send("POST /jobs/good/start", &[&cookie, &own], "");
    let run = done.header("location").unwrap().to_owned();
    assert!(run.starts_with("/runs/"), "{}", done.head);
    until("it has run", || {
        let page = web.get(&run, &cookie);
        page.status == 200 && page.body.contains("It succeeded") || page.body.contains("succeeded")
    });
    assert!(web.page(&run, &cookie).contains("web (through "));
    // What cannot be done is said.
    let done = web.send("POST /jobs/nobody/start", &[&cookie, &own], "");
    assert!([404, 409].contains(&done.status) && done.body.contains("no job"), "{}", done.body);
    running.stop();
}

#[test]
fn a_run_is_followed() {
    let jobs = "[jobs.slow]\ncommand = 'echo first; cat wait; echo last >&2'\ninterval = '1d'\n";
    let bench = Bench::new(jobs);
    bench.fifo("wait");
    let running = bench.listening();
    let web = Web::start(&bench);
    let cookie = web.log_in();
    let started = bench.out(&["start", "slow", "--output", "json"]);
    let started: Value = serde_json::from_str(&started).unwrap();
    let run = started["run"].as_u64().unwrap();
    until("it runs", || web.page("/", &cookie).contains(&format!("/runs/{run}")));
    let page = web.page(&format!("/runs/{run}"), &cookie);
    assert!(page.contains(&format!("data-live=\"/runs/{run}/events\"")), "{page}");

    let mut stream = TcpStream::connect(web.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!("GET /runs/{run}/events HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut heard = String::new();
    let mut hear = |text: &str| {
        let mut buffer = [0; 1024];
        while !heard.contains(text) {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{heard}");
            heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    hear("first\\n");
    bench.write_fifo("wait");
    hear("\"err\":true");
    hear("last\\n");
    hear("event: ended");
    running.stop();
}

#[test]
fn a_socket_is_for_its_group_and_a_proxy_says_who_it_is() {
    let jobs = format!(
        "[web]\nlisten = 'unix:{{}}/web.sock'\nhosts = ['cron.example.org']\nmetrics = 'open'\n{JOBS}"
    );
    let bench = Bench::new("");
    let place = bench.dir.path().to_str().unwrap().to_owned();
    bench.write("jobs.toml", &jobs.replace("{}", &place));
    let running = bench.listening();
    let mut web = Running::start(&mut bench.command(&["web"]));
    web.line(Stream::Out, &["listening at unix:"]);
    let mode = fs::metadata(bench.path("web.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let ask = |path: &str, headers: &str| {
        let mut stream = UnixStream::connect(bench.path("web.sock")).unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        Answer::read(&mut stream)
    };
    assert_eq!(ask("/", "Host: localhost").status, 200);
    assert_eq!(ask("/", "Host: cron.example.org").status, 200);
    assert_eq!(ask("/", "Host: evil.com").status, 421);
    // A second one does not take its place; one that is left over is replaced.
    let (_, err, code) = bench.ask(&["web"]);
    assert!(err.contains("somebody is listening there") && code == Some(1), "{err}");
    web.kill();
    web.wait();
    let jobs = fs::read_to_string(bench.path("jobs.toml")).unwrap();
    bench.write("jobs.toml", &jobs.replace("[web]", "[web]\nuser_header = 'Remote-User'"));
    let mut web = Running::start(&mut bench.command(&["web"]));
    web.line(Stream::Out, &["listening at unix:"]);
    assert_eq!(ask("/", "Host: localhost").status, 401);
    assert_eq!(ask("/", "Host: localhost\r\nRemote-User: anna").status, 200);
    assert_eq!(ask("/ready", "Host: localhost").status, 200);
    web.kill();
    running.stop();
}

/// An address of this machine that others could reach, if it has one. Nothing is sent.
fn other_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    }
}

#[test]
fn it_is_not_open_by_accident() {
    let bench = Bench::new(JOBS);
    let (_, err, code) = bench.ask(&["web", "--listen", "0.0.0.0:0"]);
    assert!(err.contains("can be reached from other machines: set `token`"), "{err}");
    assert_eq!(code, Some(1));
    for (listen, said) in [
        ("localhost:80", "neither an address with a port"),
        ("unix:web.sock", "needs a whole path"),
    ] {
        let (_, err, code) = bench.ask(&["web", "--listen", listen]);
        assert!(err.contains(said) && code == Some(1), "{err}");
    }
    let web = Web::start(&bench);
    // On loopback it is for this machine only.
    if let Some(address) = other_address() {
        let place = SocketAddr::from((address, web.address.port()));
        assert!(TcpStream::connect_timeout(&place, Duration::from_secs(5)).is_err(), "{place}");
    }
    web.running.kill();
}

#[test]
fn whoever_is_slow_or_asks_too_much_costs_little() {
    let (bench, running, web) = busy(JOBS);
    let cookie = web.log_in();
    // As many as there are places for, each with half a request.
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..120 {
        let mut stream = TcpStream::connect(web.address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
        slow.push(stream);
    }
    assert_eq!(web.get("/", &cookie).status, 200);
    assert_eq!(bench.ask(&["start", "good", "--wait"]).2, Some(0));
    // They are sent away after a while.
    let mut first = slow.swap_remove(0);
    first.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let answer = Answer::read(&mut first);
    assert!([0, 408].contains(&answer.status), "{}", answer.head);
    drop(slow);

    let long = format!("X: {}", "x".repeat(20_000));
    assert_eq!(web.get("/", &long).status, 431);
    let many: Vec<String> = (0..100).map(|nth| format!("X-{nth}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(web.send("GET /", &many, "").status, 431);
    assert_eq!(web.send("GET nonsense", &[], "").status, 400);
    assert_eq!(web.get("/", &cookie).status, 200);
    running.stop();
}
