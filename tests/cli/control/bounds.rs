//! How much of everything a client may have, and that nobody else suffers from it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use schedrs::control::server::MAX_CONNECTIONS;
use schedrs::control::wire::MAX_LINE;

use super::fake::{Bench, Wire, code};

#[test]
fn a_line_may_be_a_mebibyte_and_not_more() {
    let bench = Bench::new();
    let mut wire = bench.connect();
    let ping = r#"{"do":"ping"}"#;
    let padded = format!("{ping}{}", " ".repeat(MAX_LINE - ping.len()));
    wire.say(&padded);
    assert_eq!(wire.hear()["ok"], json!(true));
    // A hundred of them without an end, of which nobody reads more than the first.
    let mut stream = wire.0.get_ref().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let chunk = vec![b'x'; MAX_LINE];
        (0..100).all(|_| stream.write_all(&chunk).is_ok())
    });
    assert_eq!(code(&wire.hear()), "too_long");
    assert!(wire.is_closed());
    assert!(!sender.join().unwrap());
    assert_eq!(bench.ask(json!({ "do": "ping" }))["ok"], json!(true));
}

#[test]
fn a_thousand_connections_leave_those_that_are_there_alone() {
    let bench = Bench::new();
    let mut first = bench.connect();
    first.say(r#"{"do":"ping"}"#);
    first.hear();
    let mut others: Vec<Wire> = (0..1000).map(|_| bench.connect()).collect();
    let mut refused = 0;
    for other in &mut others[MAX_CONNECTIONS - 1..] {
        assert_eq!(code(&other.hear()), "too_many_connections");
        assert!(other.is_closed());
        refused += 1;
    }
    assert_eq!(refused, 1000 - (MAX_CONNECTIONS - 1));
    first.say(r#"{"do":"ping"}"#);
    assert_eq!(first.hear()["ok"], json!(true));
    drop(others);
    // The places are free again once the server has seen that they are.
    loop {
        let mut wire = bench.connect();
        let _ = wire.0.get_mut().write_all(b"{\"do\":\"ping\"}\n");
        if wire.hear()["ok"] == json!(true) {
            break;
        }
    }
}

#[test]
fn whoever_does_not_read_is_not_read_from() {
    let many: String =
        (0..5000).map(|n| format!("jobs.j{n} = {{ command = 'x', interval = '1d' }}\n")).collect();
    let bench = Bench::of(&many, None);
    let deaf = UnixStream::connect(bench.path()).unwrap();
    deaf.set_nonblocking(true).unwrap();
    // As many lists as the pipe takes, and none of the answers.
    let line = b"{\"do\":\"list\"}\n";
    let mut asked = 0;
    while asked < 100_000 {
        match (&deaf).write(line) {
            Ok(count) if count == line.len() => asked += 1,
            _ => break,
        }
    }
    assert!(asked < 100_000);
    // Others are served meanwhile, and the loop has had but a few of them.
    for _ in 0..20 {
        assert_eq!(bench.ask(json!({ "do": "show", "job": "j7" }))["ok"], json!(true));
    }
    let lists = |bench: &Bench| {
        bench.center.calls.lock().unwrap().iter().filter(|call| call.contains("List")).count()
    };
    assert!(lists(&bench) <= 20, "{}", lists(&bench));
    // Once it reads, it gets what it has asked for.
    deaf.set_nonblocking(false).unwrap();
    deaf.set_read_timeout(Some(super::fake::WATCHDOG)).unwrap();
    let mut wire = Wire(std::io::BufReader::new(deaf));
    for _ in 0..5 {
        assert_eq!(wire.hear()["total"], json!(5000));
    }
}

#[test]
fn eight_requests_are_under_way_at_most() {
    let bench = Bench::new();
    *bench.center.held.lock().unwrap() = Some(Vec::new());
    let mut wire = bench.connect();
    for number in 0..50 {
        wire.say(&json!({ "id": number, "do": "show", "job": "beat" }).to_string());
    }
    // Somebody else is served by a loop that has not answered any of them, as far as it can be.
    assert_eq!(bench.ask(json!({ "do": "ping" }))["ok"], json!(true));
    let mut other = bench.connect();
    other.say(r#"{"do":"status"}"#);
    let calls = bench.center.until(|calls| calls.iter().any(|call| call.contains("Status")));
    assert_eq!(calls.len(), 9, "{calls:?}");
    bench.center.release();
    // In the order in which they were answered, which need not be that of the questions.
    let mut ids: Vec<u64> = (0..50).map(|_| wire.hear()["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..50).collect::<Vec<u64>>());
    assert_eq!(other.hear()["ok"], json!(true));
}

#[test]
fn a_flood_is_answered_to_the_end() {
    let bench = Bench::new();
    let stream = UnixStream::connect(bench.path()).unwrap();
    stream.set_read_timeout(Some(super::fake::WATCHDOG)).unwrap();
    let mut to = stream.try_clone().unwrap();
    // More than may be made at once: the rest waits until it may be made.
    let flood = std::thread::spawn(move || to.write_all(&b"{\"do\":\"ping\"}\n".repeat(2500)));
    let mut wire = Wire(std::io::BufReader::new(stream));
    for _ in 0..2500 {
        assert_eq!(wire.hear()["ok"], json!(true));
    }
    flood.join().unwrap().unwrap();
}

#[test]
fn rubbish_has_answers_too() {
    let bench = Bench::new();
    let deep = "[".repeat(100_000);
    let nested =
        format!("{{\"do\":\"add\",\"job\":\"x\",\"env\":{}1{}}}", "[".repeat(120), "]".repeat(120));
    let lines: Vec<Vec<u8>> = vec![
        b"\0\0\0".to_vec(),
        b"\xff\xfe{\"do\":\"ping\"}".to_vec(),
        deep.into_bytes(),
        nested.into_bytes(),
        b"{\"do\":\"ping\"".to_vec(),
        b"GET / HTTP/1.1\r".to_vec(),
        b"{\"do\":\"show\",\"job\":\"\x00\"}".to_vec(),
        b"{\"do\":\"show\",\"job\":\"\\u0000\\ud800\"}".to_vec(),
        b"1e999999".to_vec(),
    ];
    let mut wire = bench.connect();
    for line in &lines {
        wire.send(line);
        wire.send(b"\n\n\r\n");
        let reply = wire.hear();
        assert_eq!(reply["ok"], json!(false), "{reply}");
    }
    wire.say(r#"{"do":"ping"}"#);
    assert_eq!(wire.hear()["ok"], json!(true));
    // Half a line, and then the end.
    let mut stream = UnixStream::connect(bench.path()).unwrap();
    stream.write_all(b"{\"do\":\"pi").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("bad_json"), "{answer}");
}
