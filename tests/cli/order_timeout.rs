//! `examples/order_timeout`, with a crash in between, and a clock that is moved on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Bench, Running, missing};
use serde_json::Value;

/// The shop, listening.
struct Shop {
    child: Child,
    port: u16,
}

impl Shop {
    fn open(bench: &Bench, timeout: &str) -> Shop {
        let mut child = Command::new("python3")
            .arg(bench.path("app.py"))
            .current_dir(bench.dir.path())
            .env("SCHEDRS_SOCKET", bench.path("s.sock"))
            .env("ORDER_TIMEOUT", timeout)
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Shop { child, port }
    }

    /// The answer to a request: its status and its object.
    fn ask(&self, method: &str, path: &str, body: &str) -> (String, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().to_owned();
        (status, serde_json::from_str(body).unwrap())
    }

    fn state(&self, order: u32) -> Value {
        self.ask("GET", &format!("/orders/{order}"), "").1["state"].clone()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(bench: &Bench) -> Running {
    let args = ["run", "--log-format", "json", "--socket", "s.sock", "jobs.toml"];
    let mut command = bench.command(&args);
    let mut running = Running::start(command.env("SCHEDRS_TEST_CLOCK", bench.path("clock")));
    running.event("starting", "");
    running
}

#[test]
fn an_order_is_cancelled_unless_it_is_paid() {
    if Command::new("python3").arg("--version").output().is_err() {
        missing("python3");
        return;
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/order_timeout");
    let jobfile = std::fs::read_to_string(example.join("jobs.toml")).unwrap();
    let bench = Bench::new(&jobfile);
    std::fs::copy(example.join("app.py"), bench.path("app.py")).unwrap();

    bench.write("clock", "0");
    let shop = Shop::open(&bench, "1h");
    let (status, answer) = shop.ask("POST", "/orders", "too early");
    assert_eq!(status, "503", "{answer}");

    let running = run(&bench);
    for order in 1..=2 {
        let (status, answer) = shop.ask("POST", "/orders", "a bicycle");
        assert_eq!((status.as_str(), &answer["order"]), ("200", &order.into()), "{answer}");
    }
    assert_eq!(shop.ask("POST", "/orders/1/pay", "").1["state"], "paid");

    // schedrs goes away without a word, and comes back.
    running.kill();
    running.wait();
    let mut running = run(&bench);
    assert_eq!(shop.state(2), "open");
    bench.write("clock", "3600");
    let done = running.event("succeeded", "cancel-2");
    assert!(done["due"].is_string());
    assert_eq!(shop.state(2), "cancelled");
    assert_eq!(shop.state(1), "paid");
    assert_eq!(shop.ask("POST", "/orders/2/pay", "").1["state"], "cancelled");

    // A job that was done is gone, and one that was taken back has never run.
    let args = ["list", "--socket", "s.sock", "--output", "json"];
    let list = Running::start(&mut bench.command(&args)).wait();
    assert_eq!(list.code, Some(0), "{list:#?}");
    assert!(!list.out.iter().any(|line| line.contains("cancel-")), "{list:#?}");
    let done = running.stop();
    assert!(!done.err.iter().any(|line| line.contains("cancel-1")), "{done:#?}");
}
