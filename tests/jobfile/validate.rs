//! `schedrs validate`, as a person runs it: the real binary, what it prints and how it ends.
//! `rows` has every kind of problem, `slips` what is legal and not meant; here are the command line, the files and the whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

mod rows;
mod slips;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::harness;

/// A directory with files, and the binary run in it.
struct Test {
    dir: TempDir,
}

impl Test {
    fn new() -> Test {
        Test { dir: TempDir::new().unwrap() }
    }

    fn with(jobs: &str) -> Test {
        Test::new().file("jobs.toml", jobs)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Test {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = harness::schedrs(&["validate"]);
        command.args(args).current_dir(self.path()).env("TZ", "UTC").env("HOME", self.path());
        command
    }

    fn run(&self, args: &[&str]) -> Answer {
        Answer(self.command(args).output().unwrap())
    }

    fn run_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Answer {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that refuses may end before it has read all of it.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        Answer(child.wait_with_output().unwrap())
    }
}

struct Answer(Output);

impl Answer {
    fn out(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).unwrap()
    }

    fn err(&self) -> &str {
        std::str::from_utf8(&self.0.stderr).unwrap()
    }

    #[track_caller]
    fn code(self, code: i32) -> Answer {
        assert_eq!(self.0.status.code(), Some(code), "{}{}", self.out(), self.err());
        self
    }

    #[track_caller]
    fn has(self, text: &str) -> Answer {
        assert!(self.out().contains(text), "no {text:?} in:\n{}", self.out());
        self
    }

    /// The header lines of the problems, without the file's name.
    fn problems(&self) -> Vec<&str> {
        let lines = self.out().lines();
        lines
            .filter_map(|line| line.strip_prefix("jobs.toml:"))
            .filter(|l| l.contains(": "))
            .collect()
    }
}

/// A job around one line. The line stands at line 4.
fn job(line: &str) -> String {
    format!("[jobs.x]\ncommand = \"true\"\ncron = \"0 3 * * *\"\n{line}\n")
}

/// The same with another trigger: it stands at line 3.
fn trigger(line: &str) -> String {
    format!("[jobs.x]\ncommand = \"true\"\n{line}\n")
}

#[test]
fn a_clean_file() {
    let text = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/jobfiles/every-key.toml"
    ));
    let holidays = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/jobfiles/holidays.ics");
    let text = text.unwrap().replace("holidays.ics", holidays);
    Test::with(&text).run(&[]).code(0).has("jobs.toml: 9 jobs, no problems");
}

#[test]
fn every_problem_of_a_file_in_one_pass() {
    let text = "\
[jobs.a]
comand = \"x\"
cron = \"0 25 * * *\"
timeout = 30
[jobs.b]
command = [\"a\", \"b\"
interval = \"5m\"
[jobs.c]
command = \"foo
interval = \"0s\"
cron = \"@reboot\"
[jobs.a.env]
X = 3
[jobs.d]
command = \"\"
executor = \"none\"
end_date = 2020-01-01
start_date = 2021-01-01
interval = { minutes = -1 }
[defualts]
timeout = 5
";
    let answer = Test::with(text).run(&[]).code(1);
    let places: Vec<&str> =
        answer.problems().iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    let expected = [
        "2:1", "3:11", "4:11", "6:11", "9:15", "10:12", "11:1", "13:5", "15:11", "16:12", "17:12",
        "19:24", "20:2",
    ];
    assert_eq!(places, expected, "{}", answer.out());
    assert!(answer.out().ends_with("jobs.toml: 13 errors\n"));
}

#[test]
fn the_caret_stands_under_the_word() {
    let answer = Test::with("[jobs.ü]\ncommand = \"日本\"; x\tcron = \"0 3 * * *\"\ncomand = 1\n");
    answer
        .run(&[])
        .code(1)
        .has("jobs.toml:3:1: error: unknown key `comand`\n  |\n3 | comand = 1\n  | ^^^^^^\n");
    let text = "[jobs.x]\n# \u{e9}\ncommand = 'x'\ncron = '0 3 \u{e9} * *' # c\n";
    Test::with(text).run(&[]).code(1).has("jobs.toml:4:13: error: ");
    // A line of a megabyte is shown in part, and one in a strange language harmlessly.
    let text = format!("[jobs.x]\ncommand = '{}'\ndate = 'now'; comand = 1\n", "y".repeat(1 << 20));
    let answer = Test::with(&text.replace("';", "'\n")).run(&[]).code(1);
    assert!(answer.out().lines().all(|line| line.len() < 400), "{}", answer.out());
    let text = "[jobs.x]\ncommand = 'a'\ncron = '0 3 \u{202e}\u{85}\u{9b}31m * *'\n";
    let answer = Test::with(text).run(&[]).code(1);
    assert!(!answer.out().contains(|c: char| c == '\u{202e}' || (c.is_control() && c != '\n')));
}

#[test]
fn colour_only_when_asked_for() {
    let test = Test::with("[jobs.x]\ncomand = 1\n");
    assert!(!test.run(&[]).out().contains('\x1b'));
    assert!(test.run(&["--color=always"]).out().contains('\x1b'));
}

#[test]
fn json_is_one_object_a_line() {
    let text = "[jobs.x]\ncomand = 'x'\ncron = '30 2 * * *'\ntimezone = 'Europe/Berlin'\n";
    let answer = Test::with(text).run(&["--output", "json"]).code(1);
    let found: Vec<serde_json::Value> =
        answer.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), 1 + 1, "{}", answer.out());
    let first = &found[0];
    assert_eq!(first["file"], "jobs.toml");
    assert_eq!(
        (&first["line"], &first["column"], &first["end_column"]),
        (&2.into(), &1.into(), &7.into())
    );
    assert_eq!(first["severity"], "error");
    assert_eq!(first["message"], "unknown key `comand`");
    assert_eq!(first["help"], "did you mean `command`?");
    assert_eq!(first["job"], "x");
    assert_eq!(found[1]["severity"], "warning");
    assert_eq!(answer.err(), "jobs.toml: 1 error, 1 warning\n");
    let clean = Test::with(&job("")).run(&["--output=json"]).code(0);
    assert_eq!((clean.out(), clean.err()), ("", "jobs.toml: 1 job, no problems\n"));
}

#[test]
fn strict_takes_warnings_for_errors() {
    let test = Test::with(&trigger("cron = '0 0 30 2 *'"));
    test.run(&[]).code(0).has("jobs.toml: 1 job, 1 warning");
    test.run(&["--strict"]).code(1).has("error: never fires").has("1 error");
    Test::with(&job("")).run(&["--strict"]).code(0);
}

#[test]
fn wrong_usage_ends_with_2() {
    let test = Test::with(&job(""));
    test.run(&["--frobnicate"]).code(2);
    test.run(&["--output", "xml"]).code(2);
    test.run(&["--explain", "--output", "json"]).code(2);
}

#[test]
fn several_files_and_standard_input() {
    let test = Test::with(&job("")).file("b.toml", "[jobs.x]\n");
    test.run(&["jobs.toml", "b.toml"]).code(1).has("jobs.toml: 1 job, no").has("b.toml: 2 errors");
    test.run_with_stdin(&["-"], job("").as_bytes()).code(0).has("<stdin>: 1 job, no problems");
    test.run_with_stdin(&["-"], b"[jobs.x]\nx = 1").code(1).has("<stdin>:2:1: error: unknown key");
    test.run_with_stdin(&["-"], b"").code(0).has("<stdin>: 0 jobs, no problems");
    test.run_with_stdin(&["-"], b"\xef\xbb\xbf[jobs.x]\nx\xff")
        .code(1)
        .has(":2:2: error: this is not UTF-8");
    test.run(&["none.toml"]).code(1).has("none.toml: error: no such file");
}

#[test]
fn finds_the_file_that_is_meant() {
    let job = job("");
    let none = Test::new().run(&[]).code(1);
    for place in
        ["$SCHEDRS_JOBFILE", "./jobs.toml", ".config/schedrs/jobs.toml", "/etc/schedrs/jobs.toml"]
    {
        assert!(none.err().contains(place), "{}", none.err());
    }
    let test = Test::new().file(".config/schedrs/jobs.toml", &job).file("other.toml", &job);
    test.run(&[]).code(0).has(".config/schedrs/jobs.toml: 1 job");
    let run = |name, value: &str| {
        let mut command = test.command(&[]);
        Answer(command.env(name, test.path().join(value)).output().unwrap())
    };
    run("SCHEDRS_JOBFILE", "other.toml").code(0).has("other.toml: 1 job");
    run("SCHEDRS_JOBFILE", "missing.toml").code(1).has("missing.toml: error: no such file");
    run("XDG_CONFIG_HOME", ".config").code(0).has(".config/schedrs/jobs.toml: 1 job");
    test.file("jobs.toml", &job).run(&[]).code(0).has("jobs.toml: 1 job");
}

#[test]
fn what_is_no_jobfile_is_refused() {
    let deep = format!("a = {}", "[".repeat(100_000));
    let deep_key = format!("a{} = 1", ".a".repeat(100_000));
    let deep_header = format!("[jobs{}]", ".a".repeat(100_000));
    let test = Test::new()
        .file("nul.toml", b"[jobs.x]\na = \"\0\"\n")
        .file("deep.toml", &deep)
        .file("deep_key.toml", &deep_key)
        .file("deep_header.toml", &deep_header);
    let large = fs::File::create(test.path().join("large.toml")).unwrap();
    large.set_len((256 << 20) + 1).unwrap();
    let zeros = fs::File::create(test.path().join("zeros.toml")).unwrap();
    zeros.set_len(256 << 20).unwrap();
    let fifo = test.path().join("fifo.toml");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let rows = [
        ("fifo.toml", "fifo.toml: error: this is a FIFO, not a regular file"),
        ("/dev/zero", "/dev/zero: error: this is a device, not a regular file"),
        (".", ".: error: this is a directory, not a regular file"),
        ("large.toml", "large.toml: error: larger than 256 MiB"),
        ("zeros.toml", "zeros.toml:1:1: error: contains a NUL byte"),
        ("nul.toml", "nul.toml:2:6: error: contains a NUL byte"),
        ("deep.toml", "deep.toml:1:69: error: nested too deeply: at most 64 levels"),
        ("deep_key.toml", "deep_key.toml:1:129: error: nested too deeply"),
        ("deep_header.toml", "deep_header.toml:1:1: error: nested too deeply"),
    ];
    for (file, message) in rows {
        let answer = test.run(&[file]).code(1).has(message);
        assert!(answer.out().len() < 2000, "{}", answer.out());
    }
    // The end of the input is not waited for.
    let mut command = test.command(&["-"]);
    let endless = command.stdin(fs::File::open("/dev/zero").unwrap()).output().unwrap();
    Answer(endless).code(1).has("<stdin>:1:1: error: contains a NUL byte");
}

/// A file of variables is read, and what will keep the job from starting is said in time.
#[test]
fn env_files_are_read() {
    let rows = [
        ("A=1\nB='2' # two\n", None),
        ("\u{feff}A=1\n", None),
        (
            "A=1\nB=\"2\n",
            Some("this job will not start: env_file vars cannot be used, line 2: the quote is"),
        ),
        ("A=1\n\nB\n", Some("line 3: expected NAME=value")),
        (&format!("A={}\n", "x".repeat(1 << 20)), Some("vars is larger than 1 MiB")),
    ];
    for (text, said) in rows {
        let test = Test::with(&job("env_file = 'vars'")).file("vars", text);
        let answer = test.run(&[]).code(0);
        match said {
            Some(said) => answer.has(said).has("warning"),
            None => answer.has("no problems"),
        };
    }
    let long = "x".repeat((128 << 10) + 1);
    let test = Test::with(&job("env = { A = { file = 'vars' } }")).file("vars", &long);
    test.run(&[]).code(0).has("this job will not start: secret vars is larger than 128 KiB");
    // It may be there by the time the job is due.
    Test::with(&job("env_file = 'vars'")).run(&[]).code(0).has("no problems");
}

#[test]
fn includes() {
    let x = |id: &str| format!("[jobs.{id}]\ncommand = 'x'\ndate = 'now'\n");
    let pool = "[executors]\npool = { max_workers = 1 }\n";
    let main = format!("include = ['jobs.d/*.toml', 'one.toml']\n{}executor = 'pool'\n", x("main"));
    let test = Test::with(&main)
        .file("jobs.d/b.toml", x("b"))
        .file("jobs.d/a.toml", x("a") + pool)
        .file("jobs.d/.hidden.toml", "rubbish")
        .file("jobs.d/c.txt", "rubbish")
        .file("one.toml", "include = 'sub/deep.toml'\n".to_owned() + &x("one"))
        .file("sub/deep.toml", x("deep"));
    test.run(&[]).code(0).has("jobs.toml: 5 jobs, no problems");
    // From another directory the same.
    let path = test.path().join("jobs.toml");
    let mut elsewhere = test.command(&[path.to_str().unwrap()]);
    Answer(elsewhere.current_dir("/").output().unwrap()).code(0).has("5 jobs, no problems");

    let fails = |main: &str, message: &str| {
        let test =
            Test::with(main).file("a.toml", x("a")).file("b.toml", x("a") + "\ncomand = 1\n");
        let test =
            test.file("s.toml", "[scheduler]\n").file("cycle.toml", "include = 'jobs.toml'\n");
        test.run(&[]).code(1).has(message);
    };
    fails(
        "include = 'none.toml'\n",
        "jobs.toml:1:11: error: cannot include none.toml: no such file",
    );
    fails(
        "include = '/dev/zero'\n",
        "jobs.toml:1:11: error: cannot include /dev/zero: this is a device",
    );
    fails("include = ['a.toml', 5]\n", "jobs.toml:1:22: error: expected the path of a file");
    fails("include = {}\n", "jobs.toml:1:11: error: expected an array of files");
    fails("include = 'a[.toml'\n", "jobs.toml:1:11: error: invalid pattern");
    fails("include = ['a.toml', 'b.toml']\n", "b.toml:1:7: error: duplicate job `a`");
    fails("include = ['a.toml', 'b.toml']\n", "first defined at a.toml:1:7");
    fails("include = 'b.toml'\n", "b.toml:5:1: error: unknown key `comand`");
    fails(
        "include = 's.toml'\n",
        "s.toml:1:2: error: `scheduler` is only allowed in the main jobfile",
    );
    fails("include = 'cycle.toml'\n", "cycle.toml:1:11: error: this file includes itself");
    fails("include = 'jobs.toml'\n", "jobs.toml:1:11: error: this file includes itself");
    // Wildcards that match nothing, or the file itself, are fine.
    let fine = |main: &str| Test::with(main).file("a.toml", x("a")).run(&[]).code(0);
    fine("include = 'none.d/*.toml'\n").has("0 jobs, no problems");
    fine("include = '*.toml'\n").has("1 job, no problems");
    fine("include = ['a.toml', '*.toml']\n").has("1 job, no problems");
    fine("include = ['a.toml', 'a.toml']\n").has("warning: this file is already included");
}

#[test]
fn included_this_deep() {
    let mut test = Test::with("include = '0.toml'\n");
    for n in 0..20 {
        test = test.file(&format!("{n}.toml"), format!("include = '{}.toml'\n", n + 1));
    }
    test.run(&[]).code(1).has("error: includes are nested more than 16 deep");
}

#[test]
fn jobs_may_be_written_in_any_way() {
    let rows = [
        "[jobs.x]\ncommand = 'x'\ndate = 'now'\n[jobs.y]\ncommand = 'y'\ndate = 'now'\n",
        "[jobs.x]\ncommand = 'x'\n[jobs.y]\ncommand = 'y'\ndate = 'now'\n[jobs.x.env]\nA = 'b'\n\
         [jobs.x.interval]\nhours = 1\n",
        "jobs.x.command = 'x'\njobs.x.date = 'now'\njobs.y = { command = 'y', date = 'now' }\n",
        "jobs = { x = { command = 'x', date = 'now' }, y = { command = 'y', date = 'now' } }\n",
        "[jobs]\nx = { command = 'x', date = 'now' }\ny.command = 'y'\ny.date = 'now'\n",
        "[jobs]\n# all of them\n[jobs.x]\ncommand = 'x'\ndate = 'now'\n[jobs.y]\ncommand = 'y'\ndate = 'now'\n",
        "[jobs.x]\ncommand = 'x'\ndate = 'now'\nexecutor = 'p'\n[jobs.y]\ncommand = 'y'\ndate = 'now'\n\
         timezone = 'UTC'\n[executors]\np = {}\n[defaults]\nretries = 1\n[scheduler]\nstop_grace = '1m'\n",
        "[jobs.\"x\"]\ncommand = 'x'\ndate = 'now'\n[ jobs . 'y' ]\ncommand = 'y'\ndate = 'now'\n",
        "\u{feff}[jobs.x]\r\ncommand = 'x'\r\ndate = 'now'\r\n[jobs.y]\r\ncommand = 'y'\r\ndate = 'now'\r\n",
    ];
    for text in rows {
        Test::with(text).run(&[]).code(0).has("jobs.toml: 2 jobs, no problems");
    }
}

#[test]
fn explains_where_values_come_from() {
    let text = "[scheduler]\ntimezone = 'Europe/Paris'\n[defaults]\ntimeout = '5m'\n\
                [jobs.x]\ncommand = 'true'\ncron = '30 4 * * *'\nretries = 3\n";
    let answer = Test::with(text).run(&["--explain"]).code(0);
    let line = |key: &str| {
        let line = answer.out().lines().find(|line| line.trim().starts_with(key));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("command"), "command \"true\" # line 6");
    assert_eq!(line("timezone"), "timezone Europe/Paris # [scheduler] line 2");
    assert_eq!(line("timeout"), "timeout 5m # [defaults] line 4");
    assert_eq!(line("retries"), "retries 3 # line 8");
    assert_eq!(line("kill_after"), "kill_after 10s # built in");
    assert!(line("next due").contains("04:30:00 +0"), "{}", line("next due"));
    assert!(line("schedule").contains("4:30"), "{}", line("schedule"));
    // A job without a zone anywhere has the system's.
    let answer = Test::with(&job("")).run(&["--explain"]).code(0);
    assert!(answer.out().contains("# the system"), "{}", answer.out());
}
