//! What the scheduler and its helper say to each other.
//!
//! What needs a socket is for the helper, which has no rights. A command and `sendmail` are programs
//! of this machine ([`Work::program`]): the scheduler runs them itself, and [`of_exit`] understands
//! how they end.
//!
//! The scheduler writes [`Work`] to the standard input of `schedrs deliver`, a JSON object on each
//! line, and closes it. It reads a [`Receipt`] on each line of standard output, one for each piece of
//! work, each as soon as it is known and so in any order. What has had none when the helper ends was
//! not delivered, as far as anybody knows.
//!
//! Work holds secrets, which the scheduler reads because the helper must not be able to. So it goes
//! through a pipe, and not through arguments or variables, which others can see.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::line::Line;
use crate::core::notify::Transport;
use crate::core::notify::outbox::{self, Tried};
use crate::core::notify::url::Url;

/// So many pieces of work are done by one helper. What is beyond is not read.
pub const MOST_WORK: usize = 100;

/// So many bytes a piece of work has at most, as a line.
pub const LONGEST_WORK: usize = 1 << 20;

/// How long a piece of work may take, in seconds.
pub const LIMIT_SECS: u64 = 10;

/// One thing to deliver.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// What names it, unique within a batch and the same at each try: its receipt has it too.
    pub id: Box<str>,
    /// The word of the service (`Service::word`), by which its answer is understood.
    pub service: Box<str>,
    /// What is to be done.
    pub task: Task,
    /// What is not to be seen in an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Box<str>>,
    /// How it gets there.
    #[serde(default, skip_serializing_if = "Transport::is_plain")]
    pub transport: Transport,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A request.
    Http(Request),
    /// A mail through a server.
    Smtp(Smtp),
    /// A mail through this machine's `sendmail`.
    Sendmail(Mail),
    /// A command.
    Command(Command),
    /// Nothing is to be told: whether that place is reached, `https://example.org` or
    /// `smtps://mail.example.org`.
    Reach(Box<str>),
}

/// An HTTP request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Whole, with whatever in it is secret.
    pub url: Box<str>,
    /// Names and values.
    pub headers: Vec<(Box<str>, Line)>,
    /// JSON, as a rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
}

/// A mail: addresses of the envelope, and its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Whom it is from.
    pub from: Box<str>,
    /// Whom it is for.
    pub to: Vec<Box<str>>,
    /// Headers and body, all of it ASCII, with `\n` at the end of each line.
    pub text: String,
}

/// A mail through a server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smtp {
    /// The server.
    pub url: Box<str>,
    /// The password of the user that the URL names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Box<str>>,
    /// The name of this host.
    pub hello: Line,
    /// The mail.
    pub mail: Mail,
}

/// A command.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<Box<str>>,
    /// What its environment has beside the helper's.
    pub env: Vec<(Box<str>, Line)>,
    /// What it reads.
    pub stdin: String,
}

/// What has come of a piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whose it is.
    pub id: Box<str>,
    /// How it went.
    pub result: DeliveryResult,
    /// The status of HTTP, the code of SMTP or of the end of a process, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// After how many seconds the receiver wants to be asked again, at most 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What was answered, or why there is no answer: one line of at most 200 bytes, without secrets
    /// and without anything that acts on a terminal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// How many bytes of a body the receiver takes, if it says (`Ping-Body-Limit`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_limit: Option<u64>,
    /// How many milliseconds it took.
    pub ms: u64,
}

/// How a delivery went. In order of how bad that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryResult {
    /// The receiver has it.
    Sent,
    /// The receiver does not want it, and will not the next time: it is given up.
    Refused,
    /// It may go better the next time.
    Again,
}

impl Work {
    /// It as a line, with its end.
    pub fn to_line(&self) -> String {
        // A struct of texts and numbers is always an object.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// The URL that it goes to, if it has one that can be read.
    pub(super) fn url(&self) -> Option<Url> {
        match &self.task {
            Task::Http(request) => Url::http(&request.url).ok(),
            Task::Smtp(smtp) => Url::smtp(&smtp.url).ok(),
            Task::Reach(place) => Url::http(place).or_else(|_| Url::smtp(place)).ok(),
            Task::Sendmail(_) | Task::Command(_) => None,
        }
    }

    /// The program of this machine that does it, to be looked for in the [`search_path`]; `None`: it is
    /// for the helper.
    pub fn program(&self) -> Option<Command> {
        match &self.task {
            Task::Http(_) | Task::Smtp(_) | Task::Reach(_) => None,
            Task::Command(command) => Some(command.clone()),
            Task::Sendmail(mail) => {
                // Those that take the recipients from the mail, a line with a dot as it is, and the
                // sender: postfix, exim, sendmail, msmtp, nullmailer, OpenSMTPD and busybox.
                let argv = [SENDMAIL, "-t", "-i", "-f", &*mail.from].map(Into::into).into();
                Some(Command { argv, env: Vec::new(), stdin: mail.text.clone() })
            }
        }
    }

    /// What it connects to, if it is for the helper: `https://example.org`.
    pub fn origin(&self) -> Option<String> {
        self.url().map(|url| url.origin())
    }

    /// Where it goes, as it may be shown.
    pub fn place(&self) -> String {
        match &self.task {
            Task::Sendmail(_) => "sendmail".to_owned(),
            Task::Command(command) => {
                command.argv.first().map_or_else(String::new, |it| it.to_string())
            }
            Task::Http(_) | Task::Smtp(_) | Task::Reach(_) => {
                self.url().map_or_else(|| "no URL".to_owned(), |url| url.to_string())
            }
        }
    }
}

/// The mailer of a machine.
const SENDMAIL: &str = "sendmail";

/// Where programs of this machine are looked for, given where they are looked for without this: `sendmail`
/// is where services and people often do not look.
pub fn search_path(path: Option<OsString>) -> OsString {
    let mut path = path.unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push("/usr/sbin:/usr/lib");
    path
}

/// What an exit code means by which a program says that it may go better later (sysexits.h).
const TEMPFAIL: i32 = 75;

/// What the exit code of such a program means. A command that fails is not tried again, unless it says
/// so: it may have done half of its work. `sendmail` is, unless the mail itself is wrong.
pub fn of_exit(task: &Task, code: i32) -> DeliveryResult {
    match (code, task) {
        (0, _) => DeliveryResult::Sent,
        (TEMPFAIL, _) => DeliveryResult::Again,
        // Wrong usage, data, an unknown user or host.
        (64..=68, _) | (_, Task::Command(_)) => DeliveryResult::Refused,
        _ => DeliveryResult::Again,
    }
}

impl Receipt {
    /// Reads a line.
    pub fn of_line(line: &str) -> Option<Receipt> {
        serde_json::from_str(line).ok()
    }

    /// The same for the outbox.
    pub fn tried(&self) -> Tried {
        let result = match self.result {
            DeliveryResult::Sent => outbox::TryResult::Sent,
            DeliveryResult::Refused => outbox::TryResult::Refused,
            DeliveryResult::Again => {
                outbox::TryResult::Again(self.retry_after.map(Duration::from_secs))
            }
        };
        let status = self.status.map(|status| status.to_string());
        let parts = status.iter().map(String::as_str).chain([&*self.answer]);
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        Tried { id: self.id.clone(), result, answer: parts.join(" ").into() }
    }
}

/// Without what is secret, and without what is told.
impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({} to {}: {})", self.id, self.service, self.place())
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Task::Http(_) => "Http(…)",
            Task::Smtp(_) => "Smtp(…)",
            Task::Sendmail(_) => "Sendmail(…)",
            Task::Command(_) => "Command(…)",
            Task::Reach(_) => "Reach(…)",
        })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Url::http(&self.url) {
            Ok(url) => write!(f, "Request({:?} {url})", self.method),
            Err(_) => write!(f, "Request({:?} ***)", self.method),
        }
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mail(to {}, {} bytes)", self.to.join(", "), self.text.len())
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Url::smtp(&self.url) {
            Ok(url) => write!(f, "Smtp({url}, {:?})", self.mail),
            Err(_) => write!(f, "Smtp(***, {:?})", self.mail),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({:?})", self.argv.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        Work {
            id: "m1".into(),
            service: "gotify".into(),
            task: Task::Http(Request {
                method: Method::Post,
                url: "https://ann:pass@example.org/hidden/message".into(),
                headers: vec![("X-Gotify-Key".into(), Line::new("hidden2"))],
                body: "{\"title\":\"a\\nb\"}".to_owned(),
            }),
            secrets: vec!["hidden".into(), "hidden2".into()],
            transport: Transport::default(),
        }
    }

    #[test]
    fn work_is_one_line_and_comes_back() {
        let line = work().to_line();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(serde_json::from_str::<Work>(&line).unwrap(), work());
        assert_eq!(
            line,
            "{\"id\":\"m1\",\"service\":\"gotify\",\"task\":{\"http\":{\"method\":\"POST\",\
             \"url\":\"https://ann:pass@example.org/hidden/message\",\
             \"headers\":[[\"X-Gotify-Key\",\"hidden2\"]],\
             \"body\":\"{\\\"title\\\":\\\"a\\\\nb\\\"}\"}},\"secrets\":[\"hidden\",\"hidden2\"]}\n"
        );
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let smtp = Smtp {
            url: "smtps://ann@mail.example.org".into(),
            password: Some("hidden".into()),
            hello: Line::new("web1"),
            mail: Mail {
                from: "a@example.org".into(),
                to: vec!["b@example.org".into()],
                text: "hidden".to_owned(),
            },
        };
        let mail = Work { task: Task::Smtp(smtp.clone()), ..work() };
        let Task::Http(request) = work().task else { return };
        let shown = format!("{:?} {mail:?} {smtp:?} {request:?} {:?}", work(), work().task);
        assert!(!shown.contains("hidden") && !shown.contains("pass"), "{shown}");
        assert!(shown.contains("https://example.org/…"), "{shown}");
        assert!(shown.contains("smtps://mail.example.org"), "{shown}");
    }

    #[test]
    fn programs_of_this_machine() {
        let mail = Mail {
            from: "schedrs@web1".into(),
            to: vec!["root".into()],
            text: "To: root\n\nx\n".to_owned(),
        };
        let mail = Work { task: Task::Sendmail(mail), ..work() };
        let program = mail.program().unwrap();
        assert_eq!(program.argv.join(" "), "sendmail -t -i -f schedrs@web1");
        assert_eq!(program.stdin, "To: root\n\nx\n");
        let command = Task::Command(Command { argv: vec!["x".into()], ..program });
        let command = Work { task: command, ..work() };
        assert_eq!(command.program().unwrap().argv.join(" "), "x");
        assert_eq!(work().program(), None);
        // (exit code, of sendmail, of a command)
        let rows = [
            (0, DeliveryResult::Sent, DeliveryResult::Sent),
            (1, DeliveryResult::Again, DeliveryResult::Refused),
            (67, DeliveryResult::Refused, DeliveryResult::Refused),
            (75, DeliveryResult::Again, DeliveryResult::Again),
            (127, DeliveryResult::Again, DeliveryResult::Refused),
        ];
        for (code, of_mail, of_command) in rows {
            let found = (of_exit(&mail.task, code), of_exit(&command.task, code));
            assert_eq!(found, (of_mail, of_command), "{code}");
        }
    }

    #[test]
    fn receipts_on_the_wire() {
        let line =
            r#"{"id":"m1","result":"again","status":429,"retry_after":7,"answer":"slow","ms":3}"#;
        let receipt = Receipt::of_line(line).unwrap();
        assert_eq!((receipt.result, receipt.retry_after), (DeliveryResult::Again, Some(7)));
        assert_eq!(serde_json::to_string(&receipt).unwrap(), line);
        let tried = receipt.tried();
        assert_eq!(tried.result, outbox::TryResult::Again(Some(Duration::from_secs(7))));
        assert_eq!((&*tried.id, &*tried.answer), ("m1", "429 slow"));
        let least = Receipt::of_line(r#"{"id":"m1","result":"sent","ms":0}"#).unwrap();
        assert_eq!((least.result, least.status), (DeliveryResult::Sent, None));
        assert_eq!((least.tried().result, &*least.tried().answer), (outbox::TryResult::Sent, ""));
        assert_eq!(Receipt::of_line("what?"), None);
    }
}
