//! Who may write what is run, and what must not be seen.

mod directories;
mod links;
mod stores;

use std::fs::File;
use std::os::unix::fs::chown;

use crate::harness::{Bench, Done, Running, has_root, is_root};

/// A job that says that it ran.
const JOB: &str = "jobs.a = { command = 'echo ran', date = 'now' }\n";

/// Some user who is neither root nor anybody who runs tests.
const SOMEBODY: u32 = 12_345;

fn run(bench: &Bench, args: &[&str]) -> Done {
    Running::start(&mut bench.command(args)).wait()
}

fn all(done: &Done) -> String {
    format!("{}\n{}", done.out.join("\n"), done.err.join("\n"))
}

#[test]
fn a_jobfile_that_others_can_write_to() {
    // (mode, what is wrong, how to repair it)
    let rows = [
        (0o644, None),
        (0o600, None),
        (0o664, Some(("can be written to by its group", "chmod g-w jobs.toml"))),
        (0o646, Some(("can be written to by everyone", "chmod o-w jobs.toml"))),
        (0o666, Some(("can be written to by everyone", "chmod go-w jobs.toml"))),
    ];
    for (mode, wrong) in rows {
        let bench = Bench::new(JOB);
        bench.set_mode("jobs.toml", mode);
        let done = run(&bench, &["run", "--once", "a", "jobs.toml"]);
        let checked = run(&bench, &["validate", "--strict", "jobs.toml"]);
        assert_eq!(checked.code, Some(0), "{mode:o}: {checked:?}");
        let Some((what, repair)) = wrong else {
            assert_eq!(done.out, ["ran"], "{mode:o}: {done:?}");
            assert_eq!(checked.out, ["jobs.toml: 1 job, no problems"], "{mode:o}");
            continue;
        };
        assert!(all(&checked).contains(&format!("warning: this file {what}")), "{checked:?}");
        assert!(all(&checked).contains(repair), "{checked:?}");
        if is_root() {
            assert_eq!((done.code, done.out.len()), (Some(1), 0), "{mode:o}: {done:?}");
            let said = format!("error: this file {what}, and its jobs are run by root");
            assert!(all(&done).contains(&said), "{done:?}");
            assert!(all(&done).contains(repair), "{done:?}");
        } else {
            assert_eq!((done.code, &done.out[..]), (Some(0), &["ran".to_owned()][..]));
        }
    }
}

#[test]
fn who_is_not_root_is_warned_unless_there_is_a_user() {
    // With `--once` a warning is not worth a word.
    let rows = [
        ("", Ok("ran")),
        (", user = '0'", Err("can be written to by everyone, and it has jobs with `user`")),
    ];
    for (user, wanted) in rows {
        let bench = Bench::new(&JOB.replace(" }", &format!("{user} }}")));
        bench.set_mode("jobs.toml", 0o666);
        let args = ["run", "--once", "a", "jobs.toml"];
        let done = if is_root() {
            // The program itself may be where only root gets at it. Another process copies it:
            // what this one writes, children of other tests have open for a moment, and a
            // program that somebody has open for writing cannot be executed.
            let copied = std::process::Command::new("cp")
                .args([env!("CARGO_BIN_EXE_schedrs"), "schedrs"])
                .current_dir(bench.dir.path())
                .status();
            assert!(copied.unwrap().success());
            chown(bench.dir.path(), Some(SOMEBODY), None).unwrap();
            let script =
                format!("shift; exec setpriv --reuid={SOMEBODY} --clear-groups ./schedrs \"$@\"");
            Running::start(&mut bench.shell(&script, &args)).wait()
        } else {
            run(&bench, &args)
        };
        match wanted {
            Ok(out) => assert_eq!(done.out, [out], "{done:?}"),
            Err(said) => assert!(all(&done).contains(said), "{done:?}"),
        }
    }
}

#[test]
fn an_included_file_is_looked_at_too() {
    let bench = Bench::new("include = 'more.toml'\n");
    bench.write("more.toml", JOB);
    bench.set_mode("more.toml", 0o666);
    let checked = run(&bench, &["validate", "jobs.toml"]);
    let said = "more.toml: warning: this file can be written to by everyone";
    assert!(all(&checked).contains(said), "{checked:?}");
    if is_root() {
        assert_eq!(run(&bench, &["run", "--once", "a", "jobs.toml"]).code, Some(1));
    }
}

#[test]
fn a_jobfile_of_somebody_else() {
    if !has_root() {
        return;
    }
    let bench = Bench::new(JOB);
    chown(bench.path("jobs.toml"), Some(SOMEBODY), None).unwrap();
    let done = run(&bench, &["run", "jobs.toml"]);
    assert_eq!(done.code, Some(1));
    assert!(all(&done).contains("this file belongs to another user (uid 12345)"), "{done:?}");
    assert!(all(&done).contains("chown root jobs.toml"), "{done:?}");
    // On standard input it has no owner: whoever gives it vouches for it.
    let mut command = bench.command(&["run", "--once", "a", "-"]);
    command.stdin(File::open(bench.path("jobs.toml")).unwrap());
    assert_eq!(Running::start(&mut command).wait().out, ["ran"]);
}

#[test]
fn a_reload_is_as_strict() {
    let bench = Bench::new("jobs.a = { command = 'true', interval = '1h' }\n");
    let mut running = bench.run();
    running.event("starting", "");
    bench.set_mode("jobs.toml", 0o666);
    running.signal("HUP");
    let event = if is_root() { "reload_problem" } else { "reload_warning" };
    let said = running.event(event, "").to_string();
    assert!(said.contains("can be written to by everyone"), "{said}");
    running.stop();
}

#[test]
fn the_files_of_an_environment() {
    let job = "jobs.a = { command = 'echo $A', date = 'now', KEY }\n";
    let rows = [
        ("env_file", "env_file = 'file'", "A=ran\n", "ran"),
        ("secret", "env = { A = { file = 'file' } }", "it has run\n", "***"),
    ];
    for (what, key, text, seen) in rows {
        let bench = Bench::new(&job.replace("KEY", key));
        bench.write("file", text);
        let args = ["run", "--once", "a", "jobs.toml"];
        assert_eq!(run(&bench, &args).out, [seen]);
        bench.set_mode("file", 0o664);
        let checked = all(&run(&bench, &["validate", "jobs.toml"]));
        let said = format!("{what} file can be written to by its group");
        assert!(checked.contains(&said) && checked.contains("jobs.toml:1:"), "{checked}");
        let done = run(&bench, &args);
        if is_root() {
            assert_eq!(done.code, Some(126), "{done:?}");
            assert!(all(&done).contains(&said), "{done:?}");
            assert!(all(&done).contains("chmod g-w file"), "{done:?}");
            // That of the job's own user is one that can do no more than that user could.
            bench.set_mode("file", 0o600);
            chown(bench.path("file"), Some(SOMEBODY), None).unwrap();
            assert_eq!(run(&bench, &args).code, Some(126));
            bench.write(
                "jobs.toml",
                &job.replace("KEY", &format!("{key}, user = {SOMEBODY}, group = {SOMEBODY}")),
            );
            assert_eq!(run(&bench, &args).out, [seen]);
        } else {
            assert_eq!(done.out, [seen]);
        }
    }
}

#[test]
fn secrets_are_read_at_each_start_and_never_shown() {
    let bench = Bench::new(
        r#"
        [jobs.a]
        command = '''
            test "${TOKEN#h}" = unter2hunter2 && echo it is right
            echo "token=$TOKEN."
            printf 'hunter2' ; cat first ; echo hunter2
            echo "to stderr: $TOKEN" >&2
            cat later
        '''
        env = { TOKEN = { file = "token" }, EMPTY = { file = "empty" }, PLAIN = "plain" }
        interval = "1h"
        run_on_start = true
        "#,
    );
    bench.write("token", "hunter2hunter2\n");
    bench.write("empty", "\n");
    bench.fifo("first");
    bench.fifo("later");
    let mut running = bench.run();
    bench.write_fifo("first");
    bench.write_fifo("later");
    running.event("succeeded", "a");
    let done = running.stop();
    let seen = all(&done);
    assert!(done.out.contains(&"a | it is right".to_owned()), "{seen}");
    assert!(done.out.contains(&"a | token=***.".to_owned()), "{seen}");
    // Two halves with something between them are none.
    assert!(done.out.contains(&"a | hunter2go".to_owned()), "{seen}");
    let masked = r#"{"stream":"stderr","job":"a","run":1,"line":"to stderr: ***"}"#;
    assert!(done.err.contains(&masked.to_owned()), "{seen}");
    assert!(!seen.contains("hunter2hunter2"), "{seen}");

    let explained = all(&run(&bench, &["validate", "--explain", "jobs.toml"]));
    assert!(explained.contains(r#"TOKEN = { file = "token" }"#), "{explained}");
    assert!(!explained.contains("hunter2hunter2"), "{explained}");

    std::fs::remove_file(bench.path("token")).unwrap();
    let done = run(&bench, &["run", "--once", "a", "jobs.toml"]);
    assert_eq!(done.code, Some(126));
    assert!(all(&done).contains("secret token cannot be read: no such file"), "{done:?}");
}

#[test]
fn a_secret_too_short_to_be_masked_is_refused() {
    let bench = Bench::new(
        "jobs.a = { command = 'echo $PIN', date = 'now', env = { PIN = { file = 'pin' } } }\n",
    );
    bench.write("pin", "  12345\n");
    let what = "secret pin has 5 bytes, and fewer than 8 cannot be masked";
    let checked = all(&run(&bench, &["validate", "jobs.toml"]));
    assert!(checked.contains("this job will not start: secret"), "{checked}");
    assert!(checked.contains("has 5 bytes, and fewer than 8 cannot be masked"), "{checked}");
    let done = run(&bench, &["run", "--once", "a", "jobs.toml"]);
    assert_eq!(done.code, Some(126));
    assert!(all(&done).contains(what) && !all(&done).contains("12345"), "{done:?}");
    bench.write("pin", "12345678\n");
    assert!(!all(&run(&bench, &["validate", "jobs.toml"])).contains("warning"));
    assert_eq!(run(&bench, &["run", "--once", "a", "jobs.toml"]).out, ["***"]);
}

/// A list of thousands of lines costs a start nothing that can be seen, and nothing of it shows.
#[test]
fn a_secret_of_thousands_of_lines_is_masked() {
    let bench = Bench::new(
        r#"
        [jobs.a]
        command = "printf '<%s>\\n' \"$LIST\"; echo after"
        env = { LIST = { file = "list" } }
        date = "now"
        "#,
    );
    let lines: Vec<String> = (0..21_000).map(|number| format!("{number:05}")).collect();
    bench.write("list", &lines.join("\n"));
    let mut running = bench.run();
    running.line(crate::harness::Stream::Out, &["a | <***>"]);
    let done = running.stop();
    assert_eq!(done.out, ["a | <***>", "a | after"]);
}

#[test]
fn what_is_wrong_with_a_secret_is_said() {
    let rows = [
        ("env = { A = { fil = 'x' } }", "unknown key `fil`", "did you mean `file`?"),
        ("env = { A = {} }", "this table has neither `file` nor", "write `{ file = \"...\" }`"),
        ("env = { A = { file = 5 } }", "expected the path of a file", "write `\"5\"`"),
        ("env = { A = 5 }", "expected a string, { file = \"...\" } or", "write `\"5\"`"),
    ];
    for (key, message, help) in rows {
        let bench = Bench::new(&format!("jobs.a = {{ command = 'x', date = 'now', {key} }}\n"));
        let checked = all(&run(&bench, &["validate", "jobs.toml"]));
        assert!(checked.contains(message) && checked.contains(help), "{checked}");
    }
}

#[test]
fn nothing_in_a_jobfile_acts_on_a_terminal() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = [\"/no/\\u001b[2Jsuch\\nINFO forged: line\"]\ninterval = '1h'\n\
         run_on_start = true\n\
         [jobs.\"b\u{202e}c\"]\ncommand = 'true'\ninterval = '1h'\nrun_on_start = true\n\
         user = \"no\\u0007body\"\n",
    );
    let mut running = Running::start(&mut bench.command(&["run", "jobs.toml"]));
    running.line(crate::harness::Stream::Err, &["such"]);
    let done = running.stop();
    let next = run(&bench, &["next", "jobs.toml"]);
    for text in [all(&done), all(&next), all(&run(&bench, &["run", "--once", "b", "jobs.toml"]))] {
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("INFO forged")), "{text}");
    }
}

/// What must not reach a terminal: what clears it, what reorders a line, what is not seen.
const HOSTILE: [char; 8] =
    ['\x1b', '\x07', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{2060}', '\u{e0041}'];

#[test]
fn no_command_shows_what_is_not_seen() {
    let id = "b\u{202e}c\u{2066}\u{200b}d\u{2060}\u{e0041}";
    let bench = Bench::new(&format!(
        "scheduler.stop_grace = '0s'\n\
         executors.\"e\u{202e}x\" = {{ max_workers = 3 }}\n\
         [jobs.\"{id}\"]\nname = \"n\u{202e}\\u001b[2J\\u009b\"\ncommand = 'echo \u{202e}; exit 3'\n\
         interval = '1h'\nrun_on_start = true\nexecutor = \"e\u{202e}x\"\ncwd = \"/\u{200b}no\"\n\
         [jobs.ok]\ncommand = 'sleep 600'\ninterval = '1h'\nrun_on_start = true\nname = \"\u{202e}\"\n"
    ));
    let mut running = Running::start(&mut bench.command(&["run", "jobs.toml"]));
    running.line(crate::harness::Stream::Err, &["cannot be entered"]);
    let long = "--from 2026-11-01 --until +1d";
    let mut shown = Vec::new();
    let commands = [
        "list",
        "list --output json",
        "status",
        "status --output json",
        "show @",
        "show @ --output json",
        "why @",
        "why @ --output json",
        "history",
        "history --output json",
        "history --job @ --audit",
        "logs @",
        "start @",
        "start ok",
        "stop @",
        "pause @ --reason \u{202e}",
        "list",
        "show @",
        "why @",
        "resume @",
        "modify @ --set timeout=1m",
        "reload",
        "remove @",
        "start no\u{202e}",
        "show no\u{202e}",
        "stop no\u{202e}",
        "list no\u{202e}",
        "add new\u{202e} --interval 1h -- true",
        "export",
        "export --format json",
        "validate jobs.toml",
        "validate --explain jobs.toml",
        "validate --output json jobs.toml",
        "next jobs.toml",
        "next --output json jobs.toml",
        "next --job @ jobs.toml",
        "next --job no\u{202e} jobs.toml",
        "doctor",
        "doctor --output json",
        "doctor @",
        "shell @ -c true",
        "run --once @ jobs.toml",
        "run --once no\u{202e} jobs.toml",
        "validate no\u{202e}.toml",
        "explain \u{202e}",
        "next --timezone no\u{202e} jobs.toml",
        "run --dry-run --until now jobs.toml",
        "run no\u{202e}.toml",
    ];
    let simulate = [
        format!("simulate jobs.toml {long}"),
        format!("simulate jobs.toml {long} --output json"),
        format!("simulate jobs.toml {long} --duration @=3s --exit @=1"),
    ];
    for line in commands.iter().map(|line| (*line).to_owned()).chain(simulate) {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('@', id)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = all(&run(&bench, &words));
        if text.contains(HOSTILE) {
            shown.push(format!("{line:?} says {text:?}"));
        }
        assert!(!text.trim().is_empty() || line.starts_with("shell"), "{line:?} says nothing");
    }
    let text = all(&running.stop());
    assert!(shown.is_empty(), "{}", shown.join("\n"));
    assert!(!text.contains(HOSTILE), "{text:?}");
}

#[test]
fn no_secret_is_kept_or_told() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'echo $TOKEN; echo $TOKEN >&2; cat wait'\ndate = 'now'\n\
         env = { TOKEN = { file = 'token' } }\n",
    );
    bench.write("token", "hunter2hunter2\n");
    bench.fifo("wait");
    let mut running = bench.run();
    bench.write_fifo("wait");
    running.event("succeeded", "a");
    for asked in [&["show", "a"][..], &["list", "--output", "json"], &["export"]] {
        let done = run(&bench, asked);
        assert_eq!(done.code, Some(0), "{asked:?}: {done:?}");
        assert!(!all(&done).contains("hunter2"), "{asked:?}: {done:?}");
    }
    let exported = all(&run(&bench, &["export"]));
    let file = bench.path("token").display().to_string();
    let named = format!("env = {{ TOKEN = {{ file = \"{file}\" }} }}");
    assert!(exported.contains(&named), "{exported}");
    running.stop();
    for entry in std::fs::read_dir(bench.path("state")).unwrap() {
        let path = entry.unwrap().path();
        let kept = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let found = kept.windows(7).any(|window| window == b"hunter2");
        assert!(!found, "{} has the secret", path.display());
    }
}
