//! With real processes. Nothing here waits for time: each hook says itself when it has come so far.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Resource, getpid, getrlimit, set_child_subreaper};
use tempfile::TempDir;

use super::*;
use crate::run::child::cgroup::Groups;
use crate::run::child::limit::Limiter;
use crate::run::child::mark::Marks;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(1000);

/// With what a scheduler has: as far as this machine lets it, or with nothing but marks, or with not
/// even these.
fn kinds() -> Vec<Hooks> {
    set_child_subreaper(Some(getpid())).unwrap();
    let of = |marks, groups| {
        let limit = getrlimit(Resource::Nofile);
        Hooks::new(Arc::new(World::new(limit, marks, groups, Limiter::default())), || false)
            .unwrap()
    };
    let marks = || Some(Marks::for_children(None));
    vec![of(marks(), Groups::new(4).ok()), of(marks(), None), of(None, None)]
}

fn hooks() -> Hooks {
    kinds().swap_remove(0)
}

fn shell(text: &str) -> Hook {
    Hook {
        name: "on_failure".into(),
        label: "on_failure of a".into(),
        command: Command::Shell(text.into()),
        options: Arc::default(),
        env: Vec::new(),
        stdin: Vec::new(),
        timeout: LONG,
        kill_after: LONG,
        keep: 100,
    }
}

/// In a directory of its own, in which there is a pipe `ready`.
fn in_directory(text: &str) -> (Hook, TempDir) {
    let directory = TempDir::new().unwrap();
    let made = std::process::Command::new("mkfifo").arg(directory.path().join("ready")).status();
    assert!(made.unwrap().success());
    let cwd = Some(directory.path().to_str().unwrap().into());
    (Hook { options: Arc::new(Options { cwd, ..Options::default() }), ..shell(text) }, directory)
}

fn submit(hooks: &Hooks, hook: Hook) -> Receiver<HookDone> {
    let (sender, receiver) = channel();
    hooks.submit(hook, Box::new(move |done| sender.send(done).unwrap_or_default())).unwrap();
    receiver
}

fn run(hooks: &Hooks, hook: Hook) -> HookDone {
    submit(hooks, hook).recv().unwrap()
}

/// Waits until somebody has written to the pipe.
fn is_ready(directory: &Path) {
    assert_eq!(fs::read_to_string(directory.join("ready")).unwrap(), "ok\n");
}

/// Whether the process is there whose number is in a file.
fn lives(file: &Path) -> bool {
    let pid = fs::read_to_string(file).unwrap();
    !tree::is_zombie(pid.trim().parse().unwrap())
}

#[test]
fn what_a_hook_says_and_how_it_ends() {
    use HookResult::{Exited, Killed};
    // (command, how it ends, what it prints on stdout and on stderr)
    let rows: [(&str, HookResult, &str, &str); 7] = [
        ("true", Exited(0), "", ""),
        ("echo out; echo err >&2; exit 3", Exited(3), "out\n", "err\n"),
        ("kill -9 $$", Killed(9), "", ""),
        ("cat; echo $SCHEDRS_HOOK $NAME", Exited(0), "given\non_failure a b\n", ""),
        ("seq 1000 | tr -d '\\n'; exit 1", Exited(1), &all_to_1000()[2793..], ""),
        ("printf %0100d 7", Exited(0), &format!("{:0100}", 7), ""),
        ("nonsense-of-a-program 2> /dev/null", Exited(127), "", ""),
    ];
    for (command, result, stdout, stderr) in rows {
        for hooks in kinds() {
            let env = vec![("NAME".into(), "a b".into())];
            let hook = Hook { stdin: b"given\n".to_vec(), env, ..shell(command) };
            let done = run(&hooks, hook);
            assert_eq!(done.result, result, "{command}");
            assert_eq!(String::from_utf8_lossy(&done.stdout), stdout, "{command}");
            assert_eq!(String::from_utf8_lossy(&done.stderr), stderr, "{command}");
            assert_eq!(done.left_behind, 0, "{command}");
        }
    }
}

fn all_to_1000() -> String {
    (1..=1000).map(|number| number.to_string()).collect()
}

#[test]
fn what_is_not_there_is_not_started() {
    let argv = Command::Argv(Box::new(["/nonexistent/program".into()]));
    let done = run(&hooks(), Hook { command: argv, ..shell("") });
    let reason = "program /nonexistent/program does not exist".to_owned();
    assert_eq!(done.result, HookResult::NotStarted(reason));
    let user = Some("nobody-of-that-name".into());
    let options = Arc::new(Options { user, ..Options::default() });
    let done = run(&hooks(), Hook { options, ..shell("true") });
    assert!(matches!(done.result, HookResult::NotStarted(_)), "{done:?}");
    assert!(done.result.to_string().starts_with("could not be started: "), "{done:?}");
}

/// Nobody has to feed a pipe.
#[test]
fn who_does_not_read_hangs_nobody() {
    let stdin = vec![b'x'; 1 << 20];
    let done = run(&hooks(), Hook { stdin: stdin.clone(), ..shell("exit 4") });
    assert_eq!(done.result, HookResult::Exited(4));
    let done = run(&hooks(), Hook { stdin, ..shell("wc -c") });
    assert_eq!(done.stdout, b"1048576\n");
}

#[test]
fn who_never_stops_printing_is_ended() {
    for command in ["yes", "yes >&2", "trap '' TERM; yes; yes; yes"] {
        let (timeout, kill_after) = (Duration::from_millis(200), Duration::from_millis(50));
        let done = run(&hooks(), Hook { timeout, kill_after, ..shell(command) });
        assert_eq!(done.result, HookResult::TimedOut, "{command}");
        let lengths = (done.stdout.len(), done.stderr.len());
        assert!(matches!(lengths, (100, 0) | (0, 100)), "{command}: {lengths:?}");
    }
    // Also one who is none of it any more.
    let done = run(&hooks(), Hook { keep: 0, ..shell("yes & exit 5") });
    assert_eq!((done.result, done.stdout.len()), (HookResult::Exited(5), 0));
}

#[test]
fn who_ignores_a_request_to_end_is_killed() {
    for hooks in kinds() {
        let (hook, directory) = in_directory(
            "trap '' TERM; echo $$ > pid; echo ok > ready; while :; do sleep 1000; done",
        );
        let (timeout, kill_after) = (Duration::from_millis(500), Duration::from_millis(10));
        let done = submit(&hooks, Hook { timeout, kill_after, ..hook });
        is_ready(directory.path());
        assert_eq!(done.recv().unwrap().result, HookResult::TimedOut);
        assert!(!lives(&directory.path().join("pid")));
    }
}

/// A daemon in a session of its own, which ignores TERM and has no environment.
#[test]
fn a_tree_is_gone_when_its_hook_has_ended() {
    let daemon = "env -i setsid sh -c 'trap \"\" TERM; echo $$ > pid; echo ok > ready; exec sleep 1000' & \
                  read x < ready; exit 6";
    // The last of them has nothing to know it by.
    for hooks in &kinds()[..2] {
        let (hook, directory) = in_directory(daemon);
        let done = run(hooks, Hook { kill_after: Duration::from_millis(10), ..hook });
        assert_eq!((done.result, done.left_behind), (HookResult::Exited(6), 1));
        assert!(!lives(&directory.path().join("pid")));
    }
    let daemon = "sh -c 'trap \"\" TERM; echo $$ > pid; echo ok > ready; exec sleep 1000' & \
                  read x < ready; exit 6";
    for hooks in kinds() {
        let (hook, directory) = in_directory(daemon);
        let done = run(&hooks, Hook { kill_after: Duration::from_millis(10), ..hook });
        assert_eq!((done.result, done.left_behind), (HookResult::Exited(6), 1));
        assert!(!lives(&directory.path().join("pid")));
    }
}

#[test]
fn more_than_there_is_room_for_come_back() {
    let hooks = hooks();
    let (hook, directory) = in_directory("cat ready");
    let (sender, receiver) = channel();
    let submit = || {
        let sender = sender.clone();
        hooks.submit(hook.clone(), Box::new(move |done| sender.send(done).unwrap_or_default()))
    };
    let taken = (0..).take_while(|_| submit().is_ok()).count();
    assert!((MOST_WAITING..=MOST_WAITING + AT_ONCE).contains(&taken), "{taken}");
    assert_eq!(hooks.0.lock().at_work(), AT_ONCE);
    hooks.settle(Duration::ZERO);
    drop((submit().unwrap_err(), sender));
    let results: Vec<HookResult> = receiver.iter().map(|done| done.result).collect();
    assert_eq!(results.len(), taken);
    assert!(results.iter().all(|result| *result == HookResult::Stopped), "{results:?}");
    drop(directory);
}

#[test]
fn at_the_end_nothing_is_left() {
    let hooks = hooks();
    let (hook, directory) = in_directory("echo $$ > pid; echo ok > ready; exec sleep 1000");
    let done = submit(&hooks, hook);
    is_ready(directory.path());
    hooks.settle(Duration::ZERO);
    let done = done.recv().unwrap();
    assert_eq!(done.result, HookResult::Stopped);
    assert!(!lives(&directory.path().join("pid")));
    assert!(hooks.0.lock().seats.is_empty());
    assert!(hooks.submit(shell("true"), Box::new(|_| ())).is_err());
}

/// What was submitted before is done first, and there are no threads afterwards.
#[test]
fn at_the_end_it_waits_for_those_that_end() {
    let hooks = hooks();
    let all: Vec<_> =
        (0..20).map(|number| submit(&hooks, shell(&format!("exit {number}")))).collect();
    let panics = || -> Done { Box::new(|_| panic!("somebody's mistake")) };
    hooks.submit(shell("true"), panics()).unwrap();
    hooks.settle(LONG);
    for (number, done) in all.into_iter().enumerate() {
        assert_eq!(done.try_recv().unwrap().result, HookResult::Exited(number as i32));
    }
    assert!(hooks.0.lock().seats.is_empty());
}

#[test]
fn runs_as_the_user_of_its_job_and_keeps_its_secrets() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("not tested: only root may change its user");
    }
    let directory = TempDir::new().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "hunter2hunter2\n").unwrap();
    for hooks in kinds() {
        let mut options = Options {
            user: Some("65534".into()),
            group: Some("65534".into()),
            umask: Some(0o27),
            ..Options::default()
        };
        let text = "id -u; id -g; umask; cat /dev/stdin";
        let hook =
            Hook { options: Arc::new(options.clone()), stdin: b"read".to_vec(), ..shell(text) };
        let done = run(&hooks, hook);
        assert_eq!(String::from_utf8_lossy(&done.stdout), "65534\n65534\n0027\nread", "{done:?}");
        (options.user, options.group) = (None, None);
        options.secrets.insert("TOKEN".into(), secret.to_str().unwrap().into());
        let text = "printf 'it is %s' $TOKEN; echo $TOKEN | sed s/2$/3/ >&2";
        let done = run(&hooks, Hook { options: Arc::new(options), ..shell(text) });
        assert_eq!(done.stdout, b"it is ***");
        assert_eq!(done.stderr, b"hunter2hunter3\n");
    }
}

/// Who is always behind with its jobs has hooks all the same.
#[test]
fn others_go_first_but_not_for_ever() {
    let world = Arc::new(World::new(getrlimit(Resource::Nofile), None, None, Limiter::default()));
    let hooks = Hooks::new(world, || true).unwrap();
    assert_eq!(run(&hooks, shell("exit 7")).result, HookResult::Exited(7));
}

#[test]
fn results_in_words() {
    let rows = [
        (HookResult::Exited(3), "exited with 3"),
        (HookResult::Killed(15), "was killed by SIGTERM"),
        (HookResult::TimedOut, "timed out"),
        (HookResult::Stopped, "was ended because schedrs stops"),
        (HookResult::NotStarted("no".into()), "could not be started: no"),
    ];
    for (result, words) in rows {
        assert_eq!(result.to_string(), words);
        assert!(!result.is_success());
    }
    assert!(HookResult::Exited(0).is_success());
}

#[test]
fn what_a_hook_said_last() {
    // (what it has printed, what is said of that)
    let rows: [(&[u8], Option<&str>); 6] = [
        (b"", None),
        (b"\n \n", None),
        (b"first\nno such address\n", Some("no such address")),
        (b"unfinished", Some("unfinished")),
        (b"  why\r\n\n\n", Some("why")),
        (b"\xff!\n", Some("\u{fffd}!")),
    ];
    for (printed, said) in rows {
        assert_eq!(last_line(printed).as_deref(), said);
    }
    let long = "x".repeat(2 * LONGEST_LINE);
    assert_eq!(last_line(long.as_bytes()).unwrap().len(), LONGEST_LINE);
}
