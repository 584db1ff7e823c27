//! Receivers that others have written, in Python: a verifier of Standard Webhooks and a mail server. What
//! is missing is skipped with a word; `.ci/run` installs both.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::harness::{Bench, missing, until};

/// Where `.ci/run` installs them.
fn python(module: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(here.join("target"), PathBuf::from);
    let python = target.join("venv/bin/python");
    let import = format!("import {module}");
    let mut command = Command::new(&python);
    let found = command.args(["-c", &import]).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        missing(module);
        return None;
    }
    Some(python)
}

/// A receiver: its first line is its port, and each further one is what it has taken, as JSON.
struct Receiver {
    child: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Receiver {
    fn start(module: &str, script: &str) -> Option<Receiver> {
        let mut command = Command::new(python(module)?);
        let mut child = command.args(["-u", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("no port: {line:?}"));
        Some(Receiver { child, lines, port })
    }

    /// What it has taken next. Whoever is stuck here is ended from outside.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Refuses with 400 what is not signed as it should be.
const WEBHOOK: &str = r#"
import http.server, json
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            seen = {"id": self.headers["webhook-id"],
                    "payload": Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").verify(body, dict(self.headers))}
            status = 204
        except WebhookVerificationError as error:
            seen, status = {"error": str(error)}, 400
        self.send_response(status)
        self.end_headers()
        print(json.dumps(seen))

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port)
server.serve_forever()
"#;

#[test]
fn a_verifier_of_standard_webhooks_takes_ours() {
    let Some(mut receiver) = Receiver::start("standardwebhooks", WEBHOOK) else { return };
    let port = receiver.port;
    let jobs = |secret: &str| {
        format!(
            "[notify.hook]\nwebhook = 'http://127.0.0.1:{port}/x'\nsecret = '{secret}'\n\
             [jobs.'ä']\ncommand = 'echo \"ü\"; exit 3'\ninterval = '1h'\nnotify = ['hook']\n"
        )
    };
    let bench = Bench::new(&jobs("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    let running = bench.listening();
    assert_eq!(bench.ask(&["start", "ä", "--wait"]).2, Some(3));
    let seen = receiver.next();
    assert_eq!(seen["payload"]["type"], "run.failed", "{seen}");
    assert_eq!(seen["payload"]["data"]["job"], "ä");
    assert!(seen["id"].as_str().unwrap().starts_with("msg_"), "{seen}");
    until("it is known to have arrived", || {
        bench.out(&["notify", "--output", "json"]).contains("\"state\":\"sent\"")
    });
    running.stop();
    // Signed by somebody else it is refused.
    bench.write("jobs.toml", &jobs("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    let (said, _, code) = bench.ask(&["notify", "--test", "hook"]);
    assert!(said.starts_with("hook: refused") && code == Some(1), "{said}");
    assert_eq!(receiver.next()["error"], "No matching signature found");
}

/// Takes mail, and says what of it.
const SMTP: &str = r#"
import email, email.policy, json, socket, threading
from aiosmtpd.controller import Controller

class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos,
            "defects": [str(defect) for part in mail.walk() for defect in part.defects],
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": mail.get_content(),
        }))
        return "250 taken"

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
controller = Controller(Handler(), hostname="127.0.0.1", port=port)
controller.start()
print(port)
threading.Event().wait()
"#;

#[test]
fn a_mail_server_takes_our_mail() {
    let Some(mut receiver) = Receiver::start("aiosmtpd", SMTP) else { return };
    let bench = Bench::new(&format!(
        "[notify.mail]\nmail = ['ops@example.org', 'ann@example.org']\n\
         smtp = 'smtp://127.0.0.1:{}'\nfrom = 'schedrs@example.org'\ngather = '0s'\n\
         [jobs.'ä']\ncommand = 'printf \"ü\\n.\\n..x\\n\"; exit 3'\ninterval = '1h'\nnotify = ['mail']\n",
        receiver.port
    ));
    let running = bench.listening();
    assert_eq!(bench.ask(&["start", "ä", "--wait"]).2, Some(3));
    let seen = receiver.next();
    assert_eq!(seen["from"], "schedrs@example.org", "{seen}");
    assert_eq!(seen["to"], serde_json::json!(["ops@example.org", "ann@example.org"]));
    assert_eq!(seen["defects"], serde_json::json!([]));
    let header = |name: &str| seen["headers"][name].as_str().unwrap_or_default().to_owned();
    assert!(header("subject").contains("ä failed"), "{seen}");
    assert_eq!(header("auto-submitted"), "auto-generated");
    assert!(header("message-id").contains('@') && !header("date").is_empty(), "{seen}");
    let text = seen["text"].as_str().unwrap().replace("\r\n", "\n");
    assert!(text.contains("\n    ü\n    .\n    ..x\n"), "{text}");
    until("it is known to have arrived", || {
        bench.out(&["notify", "--output", "json"]).contains("\"state\":\"sent\"")
    });
    running.stop();
}
