//! `schedrs deliver` and receivers that behave as receivers do: well, badly, slowly or not at all.
//!
//! The receivers are threads of this test on the loopback device. Whatever waits for the limit of
//! time has a short one (`SCHEDRS_TEST_LIMIT`, in milliseconds).

mod mail;
pub(crate) mod receiver;

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};

use schedrs::notify::Transport;
use schedrs::notify::line::Line;
use schedrs::notify::wire::{DeliveryResult, Method, Receipt, Request, Task, Work};

use crate::harness::{Bench, WATCHDOG, has_root, schedrs, status_of, until};
use receiver::{Receiver, answer, certificate, request};

/// A limit that is over soon.
const SOON: (&str, &str) = ("SCHEDRS_TEST_LIMIT", "1000");
const LATE: &str = "no answer within 1s";

fn work(id: &str, url: &str) -> Work {
    let body = "{\"text\":\"backup failed\"}".to_owned();
    let headers = vec![("Content-Type".into(), Line::new("application/json"))];
    Work {
        id: id.into(),
        service: "slack".into(),
        task: Task::Http(Request { method: Method::Post, url: url.into(), headers, body }),
        secrets: vec!["s3cret".into()],
        transport: Transport::default(),
    }
}

/// A helper that runs.
struct Helper {
    child: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Helper {
    fn start(env: &[(&str, &str)]) -> Helper {
        let mut command = schedrs(&["deliver"]);
        for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"]
        {
            command.env_remove(name);
        }
        command.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", certificate("ca.pem"));
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Helper { child, input, output: BufReader::new(output) }
    }

    fn give(&mut self, all: &[Work]) {
        let mut input = self.input.take().unwrap();
        for work in all {
            input.write_all(work.to_line().as_bytes()).unwrap();
        }
    }

    fn next(&mut self) -> Receipt {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        Receipt::of_line(&line).unwrap_or_else(|| panic!("no receipt: {line:?}"))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What has become of work, by id.
fn deliver(all: &[Work], env: &[(&str, &str)]) -> Vec<Receipt> {
    let (send, receive) = channel();
    let mut helper = Helper::start(env);
    helper.give(all);
    let count = all.len();
    std::thread::spawn(move || {
        let mut receipts: Vec<Receipt> = (0..count).map(|_| helper.next()).collect();
        receipts.sort_by(|a, b| a.id.cmp(&b.id));
        let _ = send.send((receipts, helper.child.wait().unwrap().code()));
    });
    let (receipts, code) = receive.recv_timeout(WATCHDOG).expect("the helper does not end");
    assert_eq!(code, Some(0));
    receipts
}

/// What has become of one piece of work.
fn one(work: Work, env: &[(&str, &str)]) -> Receipt {
    deliver(&[work], env).remove(0)
}

#[test]
fn what_receivers_answer() {
    let rows = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            DeliveryResult::Sent,
            Some(200),
            None,
            "ok",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", DeliveryResult::Sent, Some(204), None, ""),
        (
            "HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nsorry",
            DeliveryResult::Again,
            Some(500),
            None,
            "sorry",
        ),
        (
            "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            DeliveryResult::Again,
            Some(429),
            Some(7),
            "",
        ),
        (
            "HTTP/1.1 404 No\r\nContent-Length: 33\r\n\r\n\x1b[31mno service at /s3cret/s3cret",
            DeliveryResult::Refused,
            Some(404),
            None,
            "␛[31mno service at /***/***",
        ),
        // What it has promised does not come.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok",
            DeliveryResult::Sent,
            Some(200),
            None,
            "ok",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
            DeliveryResult::Again,
            None,
            None,
            "its answer is no HTTP",
        ),
        ("hello\r\n\r\n", DeliveryResult::Again, None, None, "its answer is no HTTP"),
        ("", DeliveryResult::Again, None, None, "Peer disconnected"),
    ];
    for (text, fate, status, retry_after, said) in rows {
        let receiver = Receiver::new(move |mut stream| {
            request(&mut stream);
            let _ = stream.write_all(text.as_bytes());
        });
        let found = one(work("1", &receiver.url("/hook/s3cret")), &[]);
        let expected = (fate, status, retry_after, said);
        assert_eq!(
            (found.result, found.status, found.retry_after, &*found.answer),
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_request_arrives_as_it_was_given() {
    let (send, receive) = channel();
    let receiver = Receiver::new(move |mut stream| {
        send.send(request(&mut stream)).unwrap();
        answer(&mut stream, "200 OK", "ok");
    });
    let url = receiver.url("/hook/s3cret?a=b").replace("http://", "http://ann:p@");
    assert_eq!(one(work("1", &url), &[]).result, DeliveryResult::Sent);
    let request = receive.recv_timeout(WATCHDOG).unwrap();
    assert!(request.starts_with("POST /hook/s3cret?a=b HTTP/1.1\r\n"), "{request}");
    assert!(
        request.to_ascii_lowercase().contains("content-type: application/json\r\n"),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\n{\"text\":\"backup failed\"}"), "{request}");
}

/// Has these delivered: (id, URL, what comes of it, what is said).
fn check(rows: &[(&str, String, DeliveryResult, &str)], env: &[(&str, &str)]) {
    let all: Vec<Work> = rows.iter().map(|(id, url, ..)| work(id, url)).collect();
    let found = deliver(&all, env);
    for (id, _, fate, said) in rows {
        let receipt = found.iter().find(|receipt| *receipt.id == **id).unwrap();
        assert!(receipt.result == *fate && receipt.answer.contains(said), "{receipt:?}");
    }
}

/// Nothing that a receiver does takes longer than the limit, or more than a little memory.
#[test]
fn receivers_that_do_not_end() {
    let silent = Receiver::new(|mut stream| {
        request(&mut stream);
        receiver::until_closed(&mut stream);
    });
    let reset = Receiver::new(|mut stream| {
        request(&mut stream);
        receiver::reset(stream);
    });
    let drips = |text: &'static str| {
        Receiver::new(move |mut stream| {
            request(&mut stream);
            receiver::drip(&mut stream, text);
        })
    };
    let (head_drips, body_drips) =
        (drips("HTTP/1.1 200 OK\r\nX: "), drips("HTTP/1.1 200 OK\r\n\r\n"));
    let endless = |begin: &'static str| {
        Receiver::new(move |mut stream| {
            request(&mut stream);
            let _ = stream.write_all(begin.as_bytes());
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        })
    };
    let (endless_body, endless_head) =
        (endless("HTTP/1.1 200 OK\r\n\r\n"), endless("HTTP/1.1 200 "));
    let full = receiver::Full::new();
    let nobody = receiver::nobody();
    let rows = [
        ("silent", silent.url("/"), DeliveryResult::Again, LATE),
        ("full", full.url(), DeliveryResult::Again, LATE),
        ("head drips", head_drips.url("/"), DeliveryResult::Again, LATE),
        ("body drips", body_drips.url("/"), DeliveryResult::Sent, ""),
    ];
    check(&rows, &[SOON]);
    // These end without the limit.
    let rows = [
        ("reset", reset.url("/"), DeliveryResult::Again, "reset by peer"),
        ("nobody", nobody, DeliveryResult::Again, "Connection refused"),
        ("endless body", endless_body.url("/"), DeliveryResult::Sent, "xxx"),
        ("endless head", endless_head.url("/"), DeliveryResult::Again, ""),
    ];
    check(&rows, &[]);
}

#[test]
fn a_redirect_is_not_followed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let target = Receiver::new(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        answer(&mut stream, "200 OK", "ok");
    });
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("{status}\r\nLocation: {}", target.url("/other"));
        let receiver = Receiver::new(move |mut stream| {
            request(&mut stream);
            answer(&mut stream, &location, "");
        });
        let found = one(work("1", &receiver.url("/")), &[]);
        assert_eq!(found.result, DeliveryResult::Refused, "{found:?}");
        assert!(found.answer.starts_with("it redirects"), "{found:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn what_leads_nowhere() {
    let clear = "http:// is only for this machine and private networks: use https:// for others, \
                 or http_ok = true";
    let rows = [
        ("http://192.0.2.1/hook", DeliveryResult::Refused, clear),
        ("http://169.254.169.254/hook", DeliveryResult::Refused, clear),
        (
            "ftp://localhost/",
            DeliveryResult::Refused,
            "url: it is no URL such as https://example.org/path",
        ),
        ("http://", DeliveryResult::Refused, "url: it has no host such as example.org"),
    ];
    // Whoever allows it, as far as there is a way.
    let transport = Transport { http_ok: true, ..Transport::default() };
    let found = one(Work { transport, ..work("1", "http://192.0.2.1:9/hook") }, &[]);
    assert_eq!(found.result, DeliveryResult::Again, "{found:?}");
    for (url, fate, said) in rows {
        let found = one(work("1", url), &[]);
        assert_eq!((found.result, &*found.answer), (fate, said), "{url}");
    }
}

#[test]
fn a_verdict_comes_as_soon_as_it_is_known() {
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = Receiver::new(move |mut stream| {
        request(&mut stream);
        let _ = wait.lock().unwrap().recv();
        answer(&mut stream, "200 OK", "late");
    });
    let quick = Receiver::new(|mut stream| {
        request(&mut stream);
        answer(&mut stream, "200 OK", "ok");
    });
    let mut helper = Helper::start(&[]);
    helper.give(&[work("slow", &slow.url("/")), work("quick", &quick.url("/"))]);
    assert_eq!(&*helper.next().id, "quick");
    go.send(()).unwrap();
    assert_eq!((&*helper.next().answer, helper.child.wait().unwrap().code()), ("late", Some(0)));
}

#[test]
fn four_at_a_time_at_a_host() {
    let (barrier, now, most) =
        (Barrier::new(4), AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let peak = most.clone();
    let receiver = Receiver::new(move |mut stream| {
        request(&mut stream);
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Nobody gets an answer before four of them wait for one.
        barrier.wait();
        now.fetch_sub(1, Ordering::SeqCst);
        answer(&mut stream, "200 OK", "ok");
    });
    let all: Vec<Work> =
        (0..12).map(|number| work(&format!("{number:02}"), &receiver.url("/"))).collect();
    let found = deliver(&all, &[]);
    assert!(found.iter().all(|receipt| receipt.result == DeliveryResult::Sent), "{found:?}");
    assert_eq!((found.len(), most.load(Ordering::SeqCst)), (12, 4));
}

/// A hundred messages for a server that is away do not take a hundred times as long.
#[test]
fn what_would_only_wait_for_the_same_is_spared() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let silent = Receiver::new(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        request(&mut stream);
        receiver::until_closed(&mut stream);
    });
    let quick = Receiver::new(|mut stream| {
        request(&mut stream);
        answer(&mut stream, "200 OK", "ok");
    });
    let mut all: Vec<Work> =
        (0..99).map(|number| work(&format!("{number:02}"), &silent.url("/"))).collect();
    all.push(work("quick", &quick.url("/")));
    let found = deliver(&all, &[SOON]);
    let (quick, silent) = found.split_last().unwrap();
    assert_eq!(quick.result, DeliveryResult::Sent);
    assert!(silent.iter().all(|receipt| receipt.result == DeliveryResult::Again), "{found:?}");
    let spared = format!("not tried, since another one failed: {LATE}");
    let count = |said: &str| silent.iter().filter(|receipt| receipt.answer == said).count();
    assert_eq!((count(LATE), count(&spared)), (4, 95), "{found:?}");
    assert!(asked.load(Ordering::SeqCst) <= 4);
}

#[test]
fn the_helper_has_no_rights() {
    let (here, wait) = channel();
    let (go, release) = channel::<()>();
    let release = std::sync::Mutex::new(release);
    let receiver = Receiver::new(move |mut stream| {
        request(&mut stream);
        here.send(()).unwrap();
        let _ = release.lock().unwrap().recv();
        answer(&mut stream, "200 OK", "ok");
    });
    let mut helper = Helper::start(&[]);
    helper.give(&[work("1", &receiver.url("/"))]);
    wait.recv_timeout(WATCHDOG).expect("the helper has connected");
    let pid = helper.child.id();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!((&*limit("Max address space"), &*limit("Max core file size")), ("536870912", "0"));
    assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    assert_eq!(status_of(pid, "CapPrm"), "0000000000000000");
    if has_root() {
        let ids = status_of(pid, "Uid");
        assert!(ids.split_whitespace().all(|id| id != "0"), "{ids}");
        assert_eq!(status_of(pid, "Groups").trim(), "");
    }
    go.send(()).unwrap();
    assert_eq!(helper.next().result, DeliveryResult::Sent);
}

#[test]
fn what_is_no_work_is_left_out() {
    let mut helper = Helper::start(&[]);
    let mut input = helper.input.take().unwrap();
    input.write_all(b"\n{}\nwhat?\n\xff\n").unwrap();
    input.write_all(work("1", "http://").to_line().as_bytes()).unwrap();
    drop(input);
    assert_eq!(&*helper.next().id, "1");
    assert_eq!(helper.child.wait().unwrap().code(), Some(0));
}

#[cfg(feature = "tls")]
#[test]
fn certificates() {
    let secure = || {
        Receiver::new(|stream| {
            // A client that does not trust us says so and goes.
            let Some(mut stream) = receiver::tls(stream) else { return };
            if receiver::try_request(&mut stream).is_some() {
                answer(&mut stream, "200 OK", "ok");
            }
        })
    };
    let (of_others, none) = (certificate("server.pem"), certificate("server.key"));
    let (of_others, none) = (of_others.to_str().unwrap(), none.to_str().unwrap());
    let https = |receiver: &Receiver, host: &str| {
        receiver.url("/s3cret").replace("http://127.0.0.1", &format!("https://{host}"))
    };
    // (host, authorities, what is said; `None`: it is sent)
    let rows = [
        ("localhost", None, None),
        ("127.0.0.1", None, Some("not valid for name")),
        ("localhost", Some(of_others), Some("invalid peer certificate")),
        ("localhost", Some(none), Some("SSL_CERT_FILE leads to no certificate")),
    ];
    for (host, roots, said) in rows {
        let receiver = secure();
        let env: Vec<(&str, &str)> = roots.iter().map(|file| ("SSL_CERT_FILE", *file)).collect();
        let found = one(work("1", &https(&receiver, host)), &env);
        match said {
            None => assert_eq!(found.result, DeliveryResult::Sent, "{found:?}"),
            Some(said) => {
                assert!(
                    found.result == DeliveryResult::Again && found.answer.contains(said),
                    "{found:?}"
                );
            }
        }
    }
}

/// A proxy that lets nothing through, and what it was asked.
#[cfg(feature = "tls")]
fn refusing_proxy() -> (Receiver, std::sync::mpsc::Receiver<String>) {
    let (send, receive) = channel();
    let proxy = Receiver::new(move |mut stream| {
        send.send(request(&mut stream)).unwrap();
        answer(&mut stream, "403 Forbidden", "");
    });
    (proxy, receive)
}

#[cfg(feature = "tls")]
#[test]
fn a_proxy_is_told_the_host_and_nothing_else() {
    let (proxy, receive) = refusing_proxy();
    let proxy = proxy.url("").replace("http://", "http://ann:pass@");
    let found = one(work("1", "https://hooks.example.org/s3cret"), &[("HTTPS_PROXY", &proxy)]);
    assert!(
        found.result == DeliveryResult::Again && found.answer.starts_with("the proxy: "),
        "{found:?}"
    );
    let asked = receive.recv_timeout(WATCHDOG).unwrap();
    assert!(asked.starts_with("CONNECT hooks.example.org:443 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("Proxy-Authorization: Basic YW5uOnBhc3M="), "{asked}");
    assert!(!asked.contains("s3cret"), "{asked}");

    let found =
        one(work("1", "https://hooks.example.org/"), &[("HTTPS_PROXY", "socks5://127.0.0.1")]);
    assert_eq!(found.answer, "HTTPS_PROXY is no URL such as http://proxy:3128");
}

/// What a route says of a proxy goes before what the environment says.
#[cfg(feature = "tls")]
#[test]
fn a_route_has_its_own_proxy_or_none() {
    let (proxy, receive) = refusing_proxy();
    let (proxy, url) = (proxy.url(""), "https://hooks.invalid/s3cret");
    let via = |proxy: &str| {
        let transport = Transport { proxy: Some(proxy.into()), ..Transport::default() };
        Work { transport, ..work("1", url) }
    };
    let found = one(via(""), &[("HTTPS_PROXY", &proxy)]);
    assert!(!found.answer.starts_with("the proxy: "), "{found:?}");
    assert!(receive.try_recv().is_err(), "the proxy was asked");
    let found = one(via(&proxy), &[("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")]);
    assert!(found.answer.starts_with("the proxy: "), "{found:?}");
    assert!(receive.recv_timeout(WATCHDOG).unwrap().starts_with("CONNECT hooks.invalid:443 "));
}

#[cfg(not(feature = "tls"))]
#[test]
fn what_is_missing_is_said() {
    let found = one(work("1", "https://localhost/"), &[]);
    assert!(found.result == DeliveryResult::Refused && found.answer.contains("`tls`"), "{found:?}");
}

/// From a job that fails to a receiver that has it, over the network.
#[test]
fn a_scheduler_tells_a_webhook() {
    let (send, receive) = channel();
    let receiver = Receiver::new(move |mut stream| {
        send.send(request(&mut stream)).unwrap();
        answer(&mut stream, "204 No Content", "");
    });
    let bench = Bench::new(&format!(
        "notify.ops.webhook = '{}'\n[jobs.backup]\ncommand = 'echo no route; exit 3'\n\
         interval = '1h'\nnotify = ['ops']\n",
        receiver.url("/hook/s3cret")
    ));
    let _running = bench.listening();
    assert_eq!(bench.ask(&["start", "backup", "--wait"]).2, Some(3));
    let request = receive.recv_timeout(WATCHDOG).expect("the webhook is called");
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook/s3cret HTTP/1.1\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["type"], &body["data"]["exit"]), (&"run.failed".into(), &3.into()), "{body}");
    assert_eq!(body["data"]["output"], "no route", "{body}");
    until("it is crossed out", || {
        let listed = bench.out(&["notify", "--output", "json"]);
        assert!(!listed.contains("s3cret"), "{listed}");
        listed.contains("\"state\":\"sent\"")
    });
}
