//! Fuzzes the control socket: what a client sends, in any pieces, gets as many answers as it has
//! lines, each an object that says whether it is done, and what is made of definitions is TOML.

#![no_main]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use schedrs::control::server::Server;
use schedrs::control::wire::parse;
use schedrs::control::{Call, Request};
use schedrs::event::{Code, Fault, JobPage, Response};
use schedrs::instant::Instant;

const NOW: Instant = Instant::from_secs(1_790_000_000);

static SOCKET: LazyLock<(Server, PathBuf)> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("schedrs-fuzz-{}.sock", std::process::id()));
    (Server::start(&path, answer, None).expect("a socket"), path)
});

/// A loop that knows no jobs.
fn answer(call: Call) {
    let fault = Fault::new(Code::NoSuchJob, "no job");
    (call.reply)(match call.request {
        Request::List { .. } => Response::Jobs(JobPage { jobs: Vec::new(), more: None, total: 0 }),
        Request::Pause { .. } | Request::Resume { .. } => Response::Done,
        Request::Add { text, .. } | Request::Modify { text, .. } => {
            Response::Refused(Fault::invalid(vec![text.into()]))
        }
        _ => Response::Refused(fault),
    });
}

fuzz_target!(|data: &[u8]| {
    let mut lines = 0;
    for line in data.split(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        lines += 1;
        let text = match parse(line, NOW).request {
            Ok(Request::Add { text, .. })
            | Ok(Request::Modify { text, .. })
            | Ok(Request::Reschedule { text, .. }) => text,
            Ok(_) => continue,
            Err(fault) => {
                assert!(!fault.message.is_empty() && !fault.message.ends_with('.'), "{fault:?}");
                continue;
            }
        };
        // A text that was sent as such may be anything.
        if !line.windows(4).any(|part| part == b"toml") && !line.contains(&b'\\') {
            assert!(text.parse::<toml::Table>().is_ok(), "{text}");
        }
    }
    if lines > 500 {
        return;
    }
    let mut stream = UnixStream::connect(&SOCKET.1).expect("it listens");
    // In two pieces, so that lines are cut.
    let (first, second) = data.split_at(data.len() / 2);
    for part in [first, second] {
        stream.write_all(part).expect("it reads");
    }
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers are text");
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), lines, "{answers:?}");
    for answer in answers {
        let reply: serde_json::Value = serde_json::from_str(answer).expect("answers are JSON");
        assert!(reply["ok"].is_boolean(), "{answer}");
        assert_ne!(reply["error"]["code"], "internal", "{answer}");
    }
});
