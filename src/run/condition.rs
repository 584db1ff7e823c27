//! Checks at the conditions of jobs (`only_if`): a path, the load, room on a disk, the power, a command.
//!
//! A path may lie on a file system that never answers, so each look has a thread of its own, and
//! [`LIMIT`]. Whoever asks never waits: a look that is not done in time is given up and answered by what it
//! hung at. Its thread is left behind, but no second one is sent after it to the same path, and there is a
//! limit to how many there may be. The command comes last, where all else holds; it is run as a hook is
//! (`crate::run::hook`), in a pool of its own, so that neither waits for the other.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::child::World;
use super::hook::{Hook, HookDone, HookResult, Hooks, last_line};
use crate::core::condition::{Answer, Conditions, LIMIT};
use crate::core::event::{Check, RunId};
use crate::core::instant::Mono;
use crate::core::outcome::{Outcome, Reached};
use crate::core::words;

/// So many looks are under way at once, and so many commands of them; the others wait for one to be done.
const AT_ONCE: usize = 16;

/// So many threads that were given up may be left at a time.
const MOST_STUCK: usize = 16;

/// From TERM to KILL for a command that has taken too long.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// So much of what a command prints is kept.
const KEEP: usize = 4096;

/// The number of its first process, in marks: so many hooks there never are.
const FIRST: u64 = 1 << 38;

/// Where supplies of power are listed.
const SUPPLIES: &str = "/sys/class/power_supply";

/// Takes what has come of a look; `None`: it goes on elsewhere, and its place is free. Must not block.
type Tell = Arc<dyn Fn(RunId, u32, Option<Answer>) + Send + Sync>;

/// See the [module](self).
pub(crate) struct Checks {
    world: Arc<World>,
    /// Made when the first command is to be run.
    commands: Option<Hooks>,
    tell: Tell,
    under_way: Vec<UnderWay>,
    waiting: VecDeque<Check>,
    /// Those that were given up, for as long as their threads exist.
    stuck: Vec<Weak<Course>>,
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct UnderWay {
    run: RunId,
    number: u32,
    until: Mono,
    course: Weak<Course>,
}

/// How far a look has come. It exists for as long as its thread does.
#[derive(Debug, Default)]
struct Course {
    /// What it is looking at.
    at: Mutex<Option<Box<str>>>,
    /// Somebody has answered in its place, or it has answered.
    is_answered: AtomicBool,
}

impl Course {
    fn is_at(&self) -> Option<Box<str>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn goes_to(&self, path: &str) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.into());
    }
}

impl Checks {
    /// With nothing to do. `tell` is told what comes of each look, on any thread.
    pub(crate) fn new(
        world: Arc<World>,
        tell: impl Fn(RunId, u32, Option<Answer>) + Send + Sync + 'static,
    ) -> Checks {
        Checks {
            world,
            commands: None,
            tell: Arc::new(tell),
            under_way: Vec::new(),
            waiting: VecDeque::new(),
            stuck: Vec::new(),
        }
    }

    /// Has the conditions of a run looked at.
    pub(crate) fn begin(&mut self, check: Check, now: Mono) {
        self.waiting.push_back(check);
        self.go_on(now);
    }

    /// Begins those that wait, as far as there is room.
    pub(crate) fn go_on(&mut self, now: Mono) {
        self.under_way.retain(|look| look.course.strong_count() > 0);
        self.stuck.retain(|course| course.strong_count() > 0);
        while self.under_way.len() < AT_ONCE
            && let Some(check) = self.waiting.pop_front()
        {
            if let Some(answer) = self.begin_one(&check, now) {
                (self.tell)(check.run, check.number, Some(answer));
            }
        }
    }

    /// The answer, where it need not be begun.
    fn begin_one(&mut self, check: &Check, now: Mono) -> Option<Answer> {
        let Some(conditions) = &check.job.options.only_if else { return Some(Answer::Hold) };
        if let Some(path) = self.hangs_at(conditions) {
            return Some(silent_still(&path));
        }
        if self.stuck.len() >= MOST_STUCK {
            let reading = format!("{} earlier checks still hang", self.stuck.len());
            return Some(Answer::DoNotHold(reading.into()));
        }
        let command = match self.command(conditions) {
            Ok(commands) => commands,
            Err(error) => {
                return Some(Answer::Fault(format!("only_if cannot be checked: {error}").into()));
            }
        };
        let course = Arc::new(Course::default());
        let watched = Arc::downgrade(&course);
        let (conditions, check, tell) = (Arc::clone(conditions), check.clone(), self.tell.clone());
        let (run, number) = (check.run, check.number);
        let thread = move || look(&conditions, &check, course, command.as_ref(), &tell);
        let spawned = std::thread::Builder::new()
            .name("only_if".to_owned())
            .stack_size(256 * 1024)
            .spawn(thread);
        if let Err(error) = spawned {
            let reading = format!("no thread can be had to look: {error}");
            return Some(Answer::DoNotHold(reading.into()));
        }
        self.under_way.push(UnderWay { run, number, until: now.plus(LIMIT), course: watched });
        None
    }

    /// Where commands are run, if there is one to be run.
    fn command(&mut self, conditions: &Conditions) -> io::Result<Option<Hooks>> {
        if conditions.command.is_none() {
            return Ok(None);
        }
        if self.commands.is_none() {
            self.commands = Some(Hooks::beside(Arc::clone(&self.world), AT_ONCE, FIRST)?);
        }
        Ok(self.commands.clone())
    }

    /// A path of these at which an earlier look hangs.
    fn hangs_at(&self, conditions: &Conditions) -> Option<Box<str>> {
        let disk = conditions.disk_free.as_ref().map(|disk| &disk.path);
        let courses = self.stuck.iter().filter_map(Weak::upgrade);
        let at: Vec<Box<str>> = courses.filter_map(|course| course.is_at()).collect();
        { conditions.path.iter().chain(disk) }.find(|path| at.contains(path)).cloned()
    }

    /// When the first is given up.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.under_way.iter().map(|look| look.until).min()
    }

    /// Gives up those that have not answered in time.
    pub(crate) fn give_up_in_time(&mut self, now: Mono) {
        if self.deadline().is_none_or(|first| first > now) {
            return;
        }
        for late in self.under_way.extract_if(.., |look| look.until <= now) {
            let Some(course) = late.course.upgrade() else { continue };
            if !course.is_answered.swap(true, Ordering::Relaxed) {
                let what = course.is_at();
                let what = what.as_deref().unwrap_or("the machine");
                (self.tell)(late.run, late.number, Some(Conditions::silent(what)));
                self.stuck.push(late.course);
            }
        }
        self.go_on(now);
    }

    /// Ends the commands that are under way: the scheduler stops.
    pub(crate) fn settle(&self) {
        if let Some(commands) = &self.commands {
            commands.settle(Duration::ZERO);
        }
    }
}

/// What a thread does: looks at everything but the command, and has that run.
fn look(
    conditions: &Conditions,
    check: &Check,
    course: Arc<Course>,
    commands: Option<&Hooks>,
    tell: &Tell,
) {
    let found = catch_unwind(AssertUnwindSafe(|| look_at_machine(conditions, &course)));
    let found = found.unwrap_or_else(|_| {
        Answer::Fault("only_if cannot be checked: an internal error of the scheduler".into())
    });
    if course.is_answered.swap(true, Ordering::Relaxed) {
        return;
    }
    // Whoever is told finds that its place is free.
    drop(course);
    match (found, commands) {
        (Answer::Hold, Some(commands)) => {
            tell(check.run, check.number, None);
            run_command(conditions, check, commands, tell);
        }
        (answer, _) => tell(check.run, check.number, Some(answer)),
    }
}

/// What a look at all but the command says now. Takes up to [`LIMIT`].
pub(crate) fn look_now(conditions: &Arc<Conditions>) -> Answer {
    let (course, conditions) = (Arc::new(Course::default()), Arc::clone(conditions));
    let (say, said) = std::sync::mpsc::channel();
    let of_it = Arc::clone(&course);
    let thread = move || say.send(look_at_machine(&conditions, &of_it)).unwrap_or_default();
    if let Err(error) = std::thread::Builder::new().spawn(thread) {
        return fault("the machine", &error);
    }
    said.recv_timeout(LIMIT)
        .unwrap_or_else(|_| Conditions::silent(course.is_at().as_deref().unwrap_or("the machine")))
}

/// All but the command, in the order in which it is written.
fn look_at_machine(conditions: &Conditions, course: &Course) -> Answer {
    for path in &conditions.path {
        course.goes_to(path);
        if let answer @ (Answer::DoNotHold(_) | Answer::Fault(_)) = path_is_there(path) {
            return answer;
        }
    }
    if conditions.load_below.is_some() {
        let answer = match load() {
            Ok(load) => conditions.of_load(load),
            Err(error) => fault("the load", &error),
        };
        if answer != Answer::Hold {
            return answer;
        }
    }
    if let Some(disk) = &conditions.disk_free {
        course.goes_to(&disk.path);
        let answer = match free_bytes(&disk.path) {
            Ok(free) => conditions.of_disk(free),
            Err(error) => Answer::DoNotHold(unreadable(&disk.path, &error)),
        };
        if answer != Answer::Hold {
            return answer;
        }
    }
    match conditions.ac_power {
        Some(_) => conditions.of_power(is_on_mains(Path::new(SUPPLIES))),
        None => Answer::Hold,
    }
}

fn path_is_there(path: &str) -> Answer {
    match fs::metadata(path) {
        Ok(_) => Answer::Hold,
        Err(error) => Answer::DoNotHold(unreadable(path, &error)),
    }
}

/// `/mnt/x is not there`, or why it cannot be looked at.
fn unreadable(path: &str, error: &io::Error) -> Box<str> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => format!("{path} is not there"),
        _ => format!("{path}: {}", super::child::describe(error)),
    }
    .into()
}

fn fault(what: &str, error: &io::Error) -> Answer {
    Answer::Fault(format!("{what} cannot be read: {error}").into())
}

/// How many processes were running or waited for a disk, on average over the last minute.
fn load() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let first = text.split_whitespace().next().and_then(|first| first.parse().ok());
    first.ok_or_else(|| io::Error::other("/proc/loadavg says something else"))
}

/// What those without privileges may still write on the file system of a path.
fn free_bytes(path: &str) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether the machine has mains power. One of which nothing is known has, as it has no battery: a server,
/// a virtual machine.
fn is_on_mains(supplies: &Path) -> bool {
    let Ok(supplies) = fs::read_dir(supplies) else { return true };
    let (mut has_mains, mut drains) = (false, false);
    for supply in supplies.flatten().take(100) {
        let read = |name: &str| fs::read_to_string(supply.path().join(name)).unwrap_or_default();
        let (kind, is_online) = (read("type"), read("online").trim() == "1");
        match kind.trim() {
            "Mains" | "USB" if is_online => return true,
            "Mains" => has_mains = true,
            // Not that of a mouse.
            "Battery" if read("scope").trim() != "Device" => {
                drains |= read("status").trim() == "Discharging";
            }
            _ => {}
        }
    }
    !has_mains && !drains
}

fn run_command(conditions: &Conditions, check: &Check, commands: &Hooks, tell: &Tell) {
    let Some(command) = conditions.command.clone() else { return };
    let job = &check.job;
    let due = words::rfc3339(check.due, &job.zone);
    let env = [
        ("SCHEDRS_JOB", job.id.to_string()),
        ("SCHEDRS_RUN", check.run.to_string()),
        ("SCHEDRS_DUE", due),
    ];
    let hook = Hook {
        name: "only_if".into(),
        label: format!("only_if of {}", job.id).into(),
        command,
        options: Arc::clone(&job.options),
        env: env.map(|(name, value)| (name.into(), OsString::from(value))).into(),
        stdin: Vec::new(),
        timeout: LIMIT,
        kill_after: KILL_AFTER,
        keep: KEEP,
    };
    let (run, number, told) = (check.run, check.number, Arc::clone(tell));
    let done = move |done: HookDone| {
        if let Some(answer) = answer_of(&done) {
            told(run, number, Some(answer));
        }
    };
    if commands.submit(hook, Box::new(done)).is_err() {
        let answer = Answer::DoNotHold("too many commands of only_if are waiting".into());
        tell(check.run, check.number, Some(answer));
    }
}

/// What a command has answered; `None`: nothing, because the scheduler stops.
fn answer_of(done: &HookDone) -> Option<Answer> {
    let said = last_line(&done.stdout).or_else(|| last_line(&done.stderr));
    Some(match &done.result {
        HookResult::Exited(code) => Conditions::of_exit(*code, said.as_deref()),
        HookResult::Killed(signal) => {
            let killed = Outcome::Killed(*signal).phrase(Reached::Process(None));
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            Answer::Fault(format!("the command of only_if was {killed}{said}").into())
        }
        HookResult::TimedOut => Conditions::silent("the command"),
        HookResult::NotStarted(_) if done.took >= LIMIT => Conditions::silent("the command"),
        HookResult::NotStarted(reason) => {
            Answer::Fault(format!("the command of only_if could not be started: {reason}").into())
        }
        HookResult::Stopped => return None,
    })
}

/// That an earlier look at the same path has not come back.
fn silent_still(path: &str) -> Answer {
    Answer::DoNotHold(format!("{path} does not answer").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::child::limit::Limiter;

    fn supply(root: &Path, name: &str, files: &[(&str, &str)]) {
        let directory = root.join(name);
        fs::create_dir_all(&directory).unwrap();
        for (file, text) in files {
            fs::write(directory.join(file), format!("{text}\n")).unwrap();
        }
    }

    /// As the kernel lists supplies of power.
    #[test]
    fn who_has_no_battery_has_mains_power() {
        type Supply = &'static [(&'static str, &'static str)];
        const MAINS: Supply = &[("type", "Mains"), ("online", "1")];
        const UNPLUGGED: Supply = &[("type", "Mains"), ("online", "0")];
        const USB: Supply = &[("type", "USB"), ("online", "1")];
        const USB_OFF: Supply = &[("type", "USB"), ("online", "0")];
        const FULL: Supply = &[("type", "Battery"), ("status", "Full")];
        const DRAINS: Supply = &[("type", "Battery"), ("status", "Discharging")];
        const MOUSE: Supply =
            &[("type", "Battery"), ("status", "Discharging"), ("scope", "Device")];
        let rows: &[(&[Supply], bool)] = &[
            (&[], true),
            (&[MAINS, FULL], true),
            (&[UNPLUGGED, DRAINS], false),
            (&[UNPLUGGED], false),
            (&[UNPLUGGED, USB], true),
            (&[USB_OFF, DRAINS], false),
            (&[USB_OFF, FULL], true),
            (&[MOUSE], true),
        ];
        for (number, (supplies, expected)) in rows.iter().enumerate() {
            let root = tempfile::TempDir::new().unwrap();
            for (index, files) in supplies.iter().enumerate() {
                supply(root.path(), &index.to_string(), files);
            }
            assert_eq!(is_on_mains(root.path()), *expected, "row {number}");
        }
        assert!(is_on_mains(Path::new("/nowhere")));
    }

    /// What hangs is answered by what it hangs at, once; and there is no second thread for that.
    #[test]
    fn a_path_that_hangs_is_given_up() {
        let (sender, told) = std::sync::mpsc::channel();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let world = Arc::new(World::new(limit, None, None, Limiter::default()));
        let mut checks = Checks::new(world, move |run, number, answer| {
            sender.send((run.0, number, answer)).unwrap_or_default();
        });
        let text = "jobs.a = { command = 'a', interval = '1h', only_if = { path = '/' } }";
        let zones = crate::core::zone::Database::bundled();
        let now = crate::core::instant::Instant::from_secs(1_795_500_000);
        let set = crate::jobfile::load_text("f", text, &zones, now).set.unwrap();
        let check = |number| Check { run: RunId(7), number, due: now, job: set.jobs[0].clone() };
        let silent = |reading: &str| Some(Answer::DoNotHold(reading.into()));

        // One that hangs, as a thread would have it.
        let course = Arc::new(Course::default());
        course.goes_to("/");
        let (mut mono, watched) = (Mono::from_micros(1), Arc::downgrade(&course));
        let until = mono.plus(LIMIT);
        checks.under_way.push(UnderWay { run: RunId(7), number: 1, until, course: watched });
        checks.give_up_in_time(mono);
        assert_eq!(checks.deadline(), Some(until));
        mono = until;
        checks.give_up_in_time(mono);
        assert_eq!(told.try_recv(), Ok((7, 1, silent("/ did not answer within 10s"))));
        assert_eq!(checks.deadline(), None);
        assert!(course.is_answered.load(Ordering::Relaxed), "its own answer comes too late");
        checks.begin(check(2), mono);
        assert_eq!(told.try_recv(), Ok((7, 2, silent("/ does not answer"))));

        // It comes back: now somebody may look again.
        drop(course);
        checks.begin(check(3), mono);
        assert_eq!(told.recv(), Ok((7, 3, Some(Answer::Hold))));

        // Many that hang elsewhere.
        let many: Vec<Arc<Course>> = (0..MOST_STUCK).map(|_| Arc::default()).collect();
        checks.stuck.extend(many.iter().map(Arc::downgrade));
        checks.begin(check(4), mono);
        assert_eq!(told.recv(), Ok((7, 4, silent("16 earlier checks still hang"))));
        checks.settle();
    }

    #[test]
    fn what_a_command_has_answered() {
        let done = |result: HookResult, stdout: &str, stderr: &str| HookDone {
            result,
            stdout: stdout.into(),
            stderr: stderr.into(),
            took: Duration::from_secs(1),
            left_behind: 0,
        };
        let not = |reading: &str| Some(Answer::DoNotHold(reading.into()));
        let fault = |reading: &str| Some(Answer::Fault(reading.into()));
        for (given, expected) in [
            (done(HookResult::Exited(0), "go", ""), Some(Answer::Hold)),
            (done(HookResult::Exited(1), "a\nb\n", "c"), not("the command exited with 1: b")),
            (done(HookResult::Exited(3), "", "c\n"), not("the command exited with 3: c")),
            (
                done(HookResult::Exited(255), "", ""),
                fault("the command of only_if exited with 255"),
            ),
            (
                done(HookResult::Killed(9), "", "x"),
                fault("the command of only_if was killed by SIGKILL: x"),
            ),
            (done(HookResult::TimedOut, "x", ""), not("the command did not answer within 10s")),
            (done(HookResult::Stopped, "", ""), None),
            (
                done(HookResult::NotStarted("no such program".to_owned()), "", ""),
                fault("the command of only_if could not be started: no such program"),
            ),
        ] {
            assert_eq!(answer_of(&given), expected, "{given:?}");
        }
    }
}
