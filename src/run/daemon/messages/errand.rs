//! One message on its way: its secrets are read, on a thread of its own, as a file may hang; then a
//! program of this machine takes it (`command`, `sendmail`), or a helper process delivers it. What comes of it is a [`Message::Tried`].

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use crate::core::job::{Command, Options};
use crate::core::notify::outbox::{Tried, Verdict};
use crate::core::notify::{Message as Letter, Route};
use crate::core::zone::Zone;
use crate::notify::secret::{Machine, Secrets};
use crate::notify::{Context, form, wire};
use crate::problem::clean;
use crate::run::daemon::effects::Message;
use crate::run::hook::{Hook, HookDone, HookResult, Hooks};
use crate::sys::clock;
use crate::sys::mailbox::Mailbox;

/// How long a helper may take for all that it was given.
const HELPER: Duration = Duration::from_secs(30);
/// So much of what it says is read: a line for each piece of work.
const ANSWERS: usize = 256 << 10;
/// So many characters of what a program complains of are repeated.
const MOST_SAID: usize = 200;
/// So many threads may hang in reading secrets.
const MOST_THREADS: usize = 16;

fn again(id: Box<str>, answer: &str) -> Tried {
    Tried { id, verdict: Verdict::Again(None), answer: answer.into() }
}

/// One message on its way.
pub(in crate::run::daemon) struct Errand {
    pub(super) letter: Letter,
    pub(super) route: Route,
    pub(super) host: Arc<str>,
    /// Of its jobs, as far as they are known; and of the others.
    pub(super) zones: HashMap<Box<str>, Zone>,
    pub(super) zone: Zone,
    pub(super) hooks: Hooks,
    pub(super) mailbox: Mailbox<Message>,
    /// One for each thread.
    pub(super) threads: Arc<()>,
}

impl Errand {
    /// Begins with it.
    pub(in crate::run::daemon) fn start(self) {
        // Those that wait to begin count as well, and are few.
        if Arc::strong_count(&self.threads) > MOST_THREADS + 1 {
            return self.fail("too many secrets cannot be read in time");
        }
        let (id, mailbox) = (self.letter.id.clone(), self.mailbox.clone());
        let thread = std::thread::Builder::new().name("notify".to_owned());
        if let Err(error) = thread.stack_size(256 * 1024).spawn(move || self.run()) {
            let answer = format!("no thread can be started: {error}");
            mailbox.send(Message::Tried(id.clone(), vec![again(id, &answer)]));
        }
    }

    /// On a thread of its own: reads the secrets, and gives all to a helper.
    fn run(self) {
        let work = match self.work() {
            Ok(work) => work,
            // It may be put right before the next try.
            Err(why) => return self.fail(&why),
        };
        let id = self.letter.id.clone();
        let (program, verdict): (Program, Read) = match &*work {
            [wire::Work { task: wire::Task::Command(command), .. }] => {
                (Program::command(command), local)
            }
            [wire::Work { task: wire::Task::Sendmail(mail), .. }] => {
                (Program::sendmail(mail), sendmail)
            }
            work => (Program::helper(work), tried),
        };
        let hook = Hook {
            name: "notify".into(),
            label: format!("the delivery to {}", self.route.name).into(),
            command: Command::Argv(program.argv),
            options: Arc::new(Options::default()),
            env: program.env,
            stdin: program.stdin.into_bytes(),
            timeout: program.limit,
            kill_after: Duration::from_secs(1),
            keep: ANSWERS,
        };
        let mailbox = self.mailbox.clone();
        let done = Box::new(move |done: HookDone| {
            mailbox.send(Message::Tried(id.clone(), verdict(&id, &done)));
        });
        if self.hooks.submit(hook, done).is_err() {
            self.fail("too many hooks are waiting");
        }
    }

    fn work(&self) -> Result<Vec<wire::Work>, String> {
        let secrets = Secrets::of(&self.route.to, &Machine)?;
        let zone = |job: &str| self.zones.get(job).unwrap_or(&self.zone).clone();
        let now = clock::wall();
        let context = Context { host: &self.host, now, zone: &zone, secrets: &secrets };
        form::work(&self.route, &self.letter, &context)
    }

    fn fail(&self, why: &str) {
        let id = self.letter.id.clone();
        self.mailbox.send(Message::Tried(id.clone(), vec![again(id, why)]));
    }
}

/// How to read what has become of a message.
type Read = fn(&str, &HookDone) -> Vec<Tried>;

/// What is executed so that a message is delivered.
struct Program {
    argv: Box<[Box<str>]>,
    env: Vec<(OsString, OsString)>,
    stdin: String,
    limit: Duration,
}

impl Program {
    fn helper(work: &[wire::Work]) -> Program {
        Program {
            argv: ["/proc/self/exe".into(), "deliver".into()].into(),
            env: Vec::new(),
            stdin: work.iter().map(wire::Work::to_line).collect(),
            limit: HELPER,
        }
    }

    fn command(command: &wire::Command) -> Program {
        let variables = command.env.iter();
        let env = variables.map(|(name, value)| ((&**name).into(), value.as_str().into()));
        Program {
            argv: command.argv.clone().into(),
            env: env.collect(),
            stdin: command.stdin.clone(),
            limit: Duration::from_secs(wire::LIMIT_SECS),
        }
    }

    /// Every program of that name takes these. (No address begins with `-`.)
    fn sendmail(mail: &wire::Mail) -> Program {
        let path = std::env::var("PATH").unwrap_or_default();
        let argv = ["sendmail", "-i", "-f", &mail.from];
        let argv = argv.into_iter().chain(mail.to.iter().map(|to| &**to)).map(Into::into);
        Program {
            argv: argv.collect(),
            // Where it is, a service often does not look.
            env: vec![("PATH".into(), format!("{path}:/usr/sbin:/usr/lib").into())],
            stdin: mail.text.clone(),
            limit: HELPER,
        }
    }
}

/// What a program says of itself: that it has done it, or that it may do so the next time.
fn local(message: &str, done: &HookDone) -> Vec<Tried> {
    let verdict = if done.result.is_success() { Verdict::Sent } else { Verdict::Again(None) };
    vec![Tried { id: message.into(), verdict, answer: answer(done) }]
}

/// The same of a `sendmail`, which has more to say: these are of `sysexits.h`.
fn sendmail(message: &str, done: &HookDone) -> Vec<Tried> {
    const USAGE: i32 = 64;
    const NO_HOST: i32 = 68;
    match done.result {
        HookResult::Exited(USAGE..=NO_HOST) => {
            let (verdict, answer) = (Verdict::Refused, answer(done));
            vec![Tried { id: message.into(), verdict, answer }]
        }
        _ => local(message, done),
    }
}

/// The last line of what it has complained of, and how it ended.
fn answer(done: &HookDone) -> Box<str> {
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = clean(last.trim()).chars().take(MOST_SAID).collect();
    match (done.result.is_success(), last.is_empty()) {
        (true, _) => "".into(),
        (false, true) => format!("it {}", done.result).into(),
        (false, false) => format!("it {}: {last}", done.result).into(),
    }
}

/// What a helper has said.
fn tried(message: &str, done: &HookDone) -> Vec<Tried> {
    let said = String::from_utf8_lossy(&done.stdout);
    let mut all: Vec<Tried> = said
        .lines()
        .filter_map(wire::Verdict::of_line)
        .map(|it| Tried {
            id: it.id,
            verdict: match it.result {
                wire::Fate::Sent => Verdict::Sent,
                wire::Fate::Refused => Verdict::Refused,
                wire::Fate::Again => Verdict::Again(it.retry_after.map(Duration::from_secs)),
            },
            answer: it.answer.into(),
        })
        .collect();
    if all.is_empty() {
        all.push(again(message.into(), &answer(done)));
    }
    all
}
