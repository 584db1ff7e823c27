//! One message on its way: its secrets are read, on a thread of its own, as a file may hang; then a
//! program of this machine takes it (`command`, `sendmail`), or a helper process delivers it. What comes of it is [`Heard`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::core::job::{Command, Options};
use crate::core::notify::outbox::{Tried, TryResult};
use crate::core::notify::{Message, Route};
use crate::core::zone::Zone;
use crate::notify::secret::{Machine, Secrets};
use crate::notify::{Context, form, wire};
use crate::problem::clean;
use crate::run::hook::{Hook, HookDone, HookResult, Hooks};
use crate::sys::clock;
use crate::sys::mailbox::Mailbox;

/// How long a helper may take for all that it was given.
const HELPER_SECS: u64 = 30;
/// So much of what it says is read: a line for each piece of work.
const ANSWERS: usize = 256 << 10;
/// So many characters of what a program complains of are repeated.
const MOST_SAID: usize = 200;
/// So many threads may hang in reading secrets.
const MOST_THREADS: usize = 16;

/// What has become of a message, by its id.
#[derive(Debug)]
pub(in crate::run::daemon) struct Heard(pub(super) Box<str>, pub(super) Vec<Tried>);

fn again(id: Box<str>, answer: &str) -> Tried {
    Tried { id, result: TryResult::Again(None), answer: answer.into() }
}

/// One message on its way.
pub(in crate::run::daemon) struct Delivery {
    pub(super) message: Message,
    pub(super) route: Route,
    pub(super) host: Arc<str>,
    /// Of its jobs, as far as they are known; and of the others.
    pub(super) zones: HashMap<Box<str>, Zone>,
    pub(super) zone: Zone,
    pub(super) hooks: Hooks,
    pub(super) mailbox: Mailbox<Heard>,
    /// One for each thread.
    pub(super) threads: Arc<()>,
}

impl Delivery {
    /// Begins with it.
    pub(in crate::run::daemon) fn start(self) {
        // Those that wait to begin count as well, and are few.
        if Arc::strong_count(&self.threads) > MOST_THREADS + 1 {
            return self.fail("too many secrets cannot be read in time");
        }
        let (id, mailbox) = (self.message.id.clone(), self.mailbox.clone());
        let thread = std::thread::Builder::new().name("notify".to_owned());
        if let Err(error) = thread.stack_size(256 * 1024).spawn(move || self.run()) {
            let answer = format!("no thread can be started: {error}");
            mailbox.send(Heard(id.clone(), vec![again(id, &answer)]));
        }
    }

    /// On a thread of its own: reads the secrets, and gives all to a helper.
    fn run(self) {
        let work = match self.work() {
            Ok(work) => work,
            // It may be put right before the next try.
            Err(why) => return self.fail(&why),
        };
        let id = self.message.id.clone();
        // Either all of it is for the helper, or it is one program of this machine.
        let local = match &*work {
            [one] => one.program().map(|program| (program, one.task.clone())),
            _ => None,
        };
        let (command, task, limit) = match local {
            Some((program, task)) => (program, Some(task), wire::LIMIT_SECS),
            None => (helper(&work), None, HELPER_SECS),
        };
        let hook = hook(&format!("the delivery to {}", self.route.name), command, limit);
        let mailbox = self.mailbox.clone();
        let done = Box::new(move |done: HookDone| {
            mailbox.send(Heard(id.clone(), tried(&id, task.as_ref(), &done)));
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
        form::work(&self.route, &self.message, &context)
    }

    fn fail(&self, why: &str) {
        let id = self.message.id.clone();
        self.mailbox.send(Heard(id.clone(), vec![again(id, why)]));
    }
}

/// A program that is run as hooks are.
fn hook(label: &str, command: wire::Command, limit: u64) -> Hook {
    let variables = command.env.iter();
    let variables = variables.map(|(name, value)| ((&**name).into(), value.as_str().into()));
    let path = wire::search_path(std::env::var_os("PATH"));
    Hook {
        name: "notify".into(),
        label: label.into(),
        command: Command::Argv(command.argv.into()),
        options: Arc::new(Options::default()),
        env: variables.chain([("PATH".into(), path)]).collect(),
        stdin: command.stdin.into_bytes(),
        timeout: Duration::from_secs(limit),
        kill_after: Duration::from_secs(1),
        keep: ANSWERS,
    }
}

/// A helper for these.
pub(super) fn helper_for(label: &str, work: &[wire::Work]) -> Hook {
    hook(label, helper(work), HELPER_SECS)
}

/// The same program again: it delivers what goes through a socket.
fn helper(work: &[wire::Work]) -> wire::Command {
    wire::Command {
        argv: vec!["/proc/self/exe".into(), "deliver".into()],
        env: Vec::new(),
        stdin: work.iter().map(wire::Work::to_line).collect(),
    }
}

/// The last line of what it has complained of, and how it ended.
pub(super) fn answer(done: &HookDone) -> Box<str> {
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = clean(last.trim()).chars().take(MOST_SAID).collect();
    match (done.result.is_success(), last.is_empty()) {
        (true, _) => "".into(),
        (false, true) => format!("it {}", done.result).into(),
        (false, false) => format!("it {}: {last}", done.result).into(),
    }
}

/// What has become of a message: as the exit of a program says, or as a helper has said.
fn tried(message: &str, task: Option<&wire::Task>, done: &HookDone) -> Vec<Tried> {
    if let Some(task) = task {
        let result = match done.result {
            HookResult::Exited(code) => match wire::of_exit(task, code) {
                wire::DeliveryResult::Sent => TryResult::Sent,
                wire::DeliveryResult::Refused => TryResult::Refused,
                wire::DeliveryResult::Again => TryResult::Again(None),
            },
            _ => TryResult::Again(None),
        };
        return vec![Tried { id: message.into(), result, answer: answer(done) }];
    }
    let said = String::from_utf8_lossy(&done.stdout);
    let receipts = said.lines().filter_map(wire::Receipt::of_line);
    let mut all: Vec<Tried> = receipts.map(|receipt| receipt.tried()).collect();
    if all.is_empty() {
        all.push(again(message.into(), &answer(done)));
    }
    all
}
