//! `schedrs import` and `schedrs export`, as a person runs them: the real binary on the kinds of
//! files that distributions ship and people write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use crate::harness::Bench;

fn data(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    path.display().to_string()
}

struct Answer {
    out: String,
    err: String,
    code: Option<i32>,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Answer {
        Answer {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

impl Answer {
    #[track_caller]
    fn code(self, code: i32) -> Answer {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn out_has(self, text: &str) -> Answer {
        assert!(self.out.contains(text), "no {text:?} in\n{}", self.out);
        self
    }

    #[track_caller]
    fn err_has(self, text: &str) -> Answer {
        assert!(self.err.contains(text), "no {text:?} in\n{}", self.err);
        self
    }
}

fn run(bench: &Bench, args: &[&str]) -> Answer {
    bench.command(args).output().unwrap().into()
}

fn run_with_stdin(bench: &Bench, args: &[&str], stdin: &str) -> Answer {
    let mut command = bench.command(args);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // One that refuses may end before it has read anything.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap().into()
}

/// What was written has no errors, and on clocks that do not change no warnings.
#[track_caller]
fn assert_valid(bench: &Bench, text: &str) {
    bench.write("imported.toml", text);
    run(bench, &["validate", "--strict", "imported.toml"]).code(0);
}

#[test]
fn a_user_crontab() {
    let bench = Bench::new("");
    // On a machine whose clocks change.
    let mut command = bench.command(&["import", "crontab", &data("crontabs/user.crontab")]);
    let answer = Answer::from(command.env("TZ", "Europe/Berlin").output().unwrap())
        .code(0)
        .out_has("# Back up what matters, every night.\n[jobs.backup-home]\n")
        .out_has("[defaults]\nshell = \"/bin/bash\"\n")
        .out_has("cron = \"30 9 * * 1-5\"\ntimezone = \"America/New_York\"\n")
        .out_has("[notify.mail]\nmail = \"me@example.com\"\n")
        .err_has(":3:1: warning: `MAILTO` becomes a route")
        .err_has("backup-home: by design: ")
        .err_has("02:30 does not exist")
        // How many are not depends on how many changes of the clocks lie ahead.
        .err_has("5 jobs, 4,99");
    assert_valid(&bench, &answer.out);
}

#[test]
fn a_directory_of_the_system() {
    let bench = Bench::new("");
    let answer = run(&bench, &["import", "crontab", "--system", &data("crontabs/cron.d")])
        .code(0)
        .out_has("[jobs.statistics-update]\n")
        .out_has("user = \"www-data\"\n")
        .out_has("[ $(date +%d) -le 7 ]")
        .out_has("#*/15 *\t* * *\tnews\tnntpsend\n")
        .out_has("[jobs.count-reboot]\n")
        .err_has("counters.dpkg-old: left out: cron ignores files")
        .err_has("9 jobs, ")
        .err_has("1 job not compared");
    assert_valid(&bench, &answer.out);
}

#[test]
fn others() {
    let bench = Bench::new("");
    let answer = run(&bench, &["import", "crontab", &data("crontabs/supercronic.crontab")])
        .code(0)
        .out_has("cron = \"*/10 * * * * *\"\n")
        .err_has("3 jobs, 3,000 due times equal");
    assert_valid(&bench, &answer.out);
    let answer = run(&bench, &["import", "anacrontab", &data("crontabs/anacrontab")])
        .code(0)
        .out_has("misfire_grace_time = \"forever\"\n")
        .err_has("3 jobs, no due times to compare, 3 jobs not compared");
    assert_valid(&bench, &answer.out);
    let answer = run(&bench, &["import", "systemd", &data("crontabs/systemd/rotate.timer")])
        .code(0)
        .out_has("cron = [\"0 0 * * *\", \"30 12 * * sat,sun\"]\n")
        .out_has("jitter = \"30m\"\n")
        .err_has("1 job, 1,000 due times equal");
    assert_valid(&bench, &answer.out);
    let answer = run(&bench, &["import", "apscheduler", &data("apscheduler-export.json")])
        .code(0)
        .out_has("[jobs.payroll]\n")
        .out_has("any = [{ cron = { hour = 3 } }, { cron = { hour = 5, minute = 30 } }]\n")
        .err_has("8 jobs, 3,003 due times equal");
    bench.write("imported.toml", &answer.out);
    run(&bench, &["validate", "imported.toml"]).code(0);
}

#[test]
fn every_jobs_proof_can_be_seen() {
    let bench = Bench::new("");
    let crontab = "0 3 * * * a\n@reboot b\n0 0 L * * c\n@yearly d\n";
    let args = ["import", "crontab", "-", "--proof", "--count", "25"];
    run_with_stdin(&bench, &args, crontab)
        .code(0)
        .err_has("<stdin>:1:1: a: 25 due times equal, up to ")
        .err_has("<stdin>:2:1: b-reboot: not compared: `@reboot` has no due times")
        .err_has(
            "<stdin>:3:1: c: not compared: the independent engine does not support this syntax",
        )
        .err_has("<stdin>:4:1: d: 25 due times equal")
        .err_has("4 jobs, 50 due times equal, 2 jobs not compared");
}

#[test]
fn what_is_lost_ends_with_1_and_the_rest_is_written() {
    let bench = Bench::new("");
    run_with_stdin(&bench, &["import", "crontab", "-"], "61 3 * * * a\n0 3 * * * b\n")
        .code(1)
        .out_has("[jobs.b]\n")
        .err_has("<stdin>:1:1: error: not converted: minute 61 is out of range 0-59")
        .err_has("1 job, 1,000 due times equal, 1 thing not converted");
}

#[test]
fn nothing_is_overwritten_unless_told() {
    let bench = Bench::new("");
    bench.write("tab", "0 3 * * * a\n");
    run(&bench, &["import", "crontab", "tab", "-o", "new.toml"]).code(0);
    assert!(fs::read_to_string(bench.path("new.toml")).unwrap().contains("[jobs.a]"));
    bench.write("tab", "0 3 * * * b\n");
    run(&bench, &["import", "crontab", "tab", "-o", "new.toml"])
        .code(1)
        .err_has("new.toml already exists; use `--force` to replace it");
    assert!(fs::read_to_string(bench.path("new.toml")).unwrap().contains("[jobs.a]"));
    run(&bench, &["import", "crontab", "tab", "-o", "new.toml", "--force"]).code(0);
    assert!(fs::read_to_string(bench.path("new.toml")).unwrap().contains("[jobs.b]"));
}

#[test]
fn another_encoding() {
    let bench = Bench::new("");
    let latin1 = b"# gr\xfcn\n0 3 * * * echo gr\xfcn\n5 3 * * * b\n";
    fs::write(bench.path("tab"), latin1).unwrap();
    let answer = run(&bench, &["import", "crontab", "tab"])
        .code(1)
        .out_has("[jobs.b]\n")
        .err_has("tab:2:1: error: not converted: this line is not UTF-8")
        .err_has("1 job, 1,000 due times equal, 1 thing not converted");
    assert!(!answer.out.contains("echo"), "{}", answer.out);
}

/// As on a disk that is full.
#[test]
fn what_cannot_be_written_leaves_the_old_file_and_no_part_of_a_new_one() {
    let bench = Bench::new("");
    bench.write("tab", "0 3 * * * a\n");
    bench.write("old.toml", "old");
    bench.set_mode("old.toml", 0o640);
    for options in ["-o old.toml --force", "-o new.toml", "-o new.toml --force"] {
        let script = format!(
            "trap '' XFSZ; ulimit -f 0; exec {} import crontab tab {options}",
            env!("CARGO_BIN_EXE_schedrs")
        );
        let mut command = std::process::Command::new("sh");
        let output = command.args(["-c", &script]).current_dir(bench.dir.path()).output().unwrap();
        Answer::from(output).code(1).err_has("cannot write ");
        assert_eq!(fs::read_to_string(bench.path("old.toml")).unwrap(), "old");
        assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 3, "{options}");
    }
    // The one that works keeps the mode, and a link stays one.
    std::os::unix::fs::symlink("old.toml", bench.path("link.toml")).unwrap();
    run(&bench, &["import", "crontab", "tab", "-o", "link.toml", "--force"]).code(0);
    let mode = fs::metadata(bench.path("old.toml")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o640);
    assert!(fs::read_to_string(bench.path("old.toml")).unwrap().contains("[jobs.a]"));
    assert!(fs::symlink_metadata(bench.path("link.toml")).unwrap().is_symlink());
    run(&bench, &["import", "crontab", "tab", "-o", "/dev/null", "--force"]).code(0);
}

#[test]
fn ones_own_crontab_is_asked_for() {
    let bench = Bench::new("");
    bench.program("crontab", "#!/bin/sh\n[ \"$*\" = -l ] && echo '0 3 * * * a'\n");
    let path = format!("{}:/usr/bin:/bin", bench.dir.path().display());
    let run = |home: &str| {
        let mut command = bench.command(&["import"]);
        Answer::from(command.env("PATH", &path).env("HOME", home).output().unwrap())
    };
    run("/home/me").code(0).out_has("[jobs.a]\n").out_has("cwd = \"/home/me\"\n");
    bench.program("crontab", "#!/bin/sh\necho no crontab for me >&2\nexit 1\n");
    run("/home/me").code(1).err_has("`crontab -l` failed: no crontab for me");
}

#[test]
fn a_user_of_this_machine_is_at_home() {
    let bench = Bench::new("");
    let args = ["import", "crontab", "-", "--user", "root"];
    run_with_stdin(&bench, &args, "0 3 * * * cd sub && ./x\n").code(0).out_has("cwd = \"/root\"\n");
    let args = ["import", "crontab", "-", "--user", "nobody-at-all"];
    run_with_stdin(&bench, &args, "0 3 * * * x\n")
        .code(0)
        .err_has("<stdin>:1:1: warning: cron starts the jobs of `nobody-at-all` at home");
}

#[test]
fn a_file_of_somebody_s_jobs() {
    let bench = Bench::new("");
    let text = "MAILTO=\"\"\n0 3 * * * cd sub && ./x\n";
    let answer =
        run_with_stdin(&bench, &["import", "crontab", "-"], text).code(0).out_has("cwd = \"~\"\n");
    assert!(!answer.err.contains("MAILTO"), "{}", answer.err);
    assert_valid(&bench, &answer.out);
}

#[test]
fn timers_of_a_directory() {
    let bench = Bench::new("");
    std::fs::create_dir(bench.path("units")).unwrap();
    run(&bench, &["import", "systemd", "units"]).code(1).err_has("there is no timer in units");
    for name in ["a", "b"] {
        bench.write(&format!("units/{name}.timer"), "[Timer]\nOnCalendar=daily\n");
        let service = format!("[Service]\nType=oneshot\nExecStart=%h/bin/{name}\n");
        bench.write(&format!("units/{name}.service"), &service);
    }
    run(&bench, &["import", "systemd", "units"])
        .code(0)
        .out_has("[jobs.a]\ncommand = [\"/root/bin/a\"]")
        .out_has("[jobs.b]\n");
    // What cannot be converted or read keeps back none of the others.
    bench.write("units/c.timer", "[Timer]\nOnCalendar=*-*~31\n");
    bench.write("units/c.service", "[Service]\nExecStart=/bin/c\n");
    run(&bench, &["import", "systemd", "units", "nowhere.timer"])
        .code(1)
        .out_has("[jobs.a]\n")
        .out_has("[jobs.b]\n")
        .err_has("c.timer:2:1: error: not converted: `31` is not understood")
        .err_has("nowhere.timer: error: not converted: cannot read nowhere.timer");
}

#[test]
fn a_file_that_is_not_there() {
    let bench = Bench::new("");
    run(&bench, &["import", "crontab", "nowhere"]).code(1).err_has("cannot read nowhere");
    bench.write("some", "0 3 * * * here\n");
    run(&bench, &["import", "crontab", "nowhere", "some"])
        .code(1)
        .err_has("cannot read nowhere")
        .out_has("[jobs.here]");
    bench.write("x.service", "[Service]\nExecStart=/bin/x\n");
    run(&bench, &["import", "systemd", "x.service"])
        .code(1)
        .err_has("none of these files is a timer");
    run(&bench, &["import", "frobnicate"]).code(2);
}

#[test]
fn out_and_in_again() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'date +%F'\ncron = '*/5 9-17 * * mon-fri'\n\
         [jobs.b]\ncommand = ['/bin/x', 'y z']\ncron = '@daily'\nretries = 3\n",
    );
    let crontab = run(&bench, &["export", "crontab", "jobs.toml"])
        .code(0)
        .out_has("*/5 9-17 * * mon-fri date +\\%F\n")
        .err_has("b: not the same: a crontab has no retries");
    run_with_stdin(&bench, &["import", "crontab", "-"], &crontab.out)
        .code(0)
        .out_has("command = \"date +%F\"\n")
        .err_has("2 jobs, 2,000 due times equal");
    run(&bench, &["export", "systemd", "jobs.toml"])
        .code(0)
        .out_has("# /etc/systemd/system/b.timer\n")
        .out_has("ExecStart=/bin/x \"y z\"\n");
    bench.write("jobs.toml", "[jobs.a]\ncommand = 'x'\ncron = '*/10 * * * * *'\n");
    run(&bench, &["export", "crontab", "jobs.toml"])
        .code(1)
        .err_has("a: left out: a crontab has no seconds");
    run_with_stdin(&bench, &["export", "crontab", "-"], "[jobs.a]\ncommand = 3\n").code(1);
}

const CRON_JOBS: &str = "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: report\nspec:\n  \
                         schedule: '0 0 */2 * fri'\n  timeZone: UTC\n  jobTemplate:\n    spec:\n      \
                         template:\n        spec:\n          containers:\n          - name: c\n            \
                         image: x\n            command: [sh, -c, 'report --all']\n";

#[test]
fn cron_jobs_are_imported() {
    let bench = Bench::new("");
    let answer = run_with_stdin(&bench, &["import", "kubernetes", "-"], CRON_JOBS);
    if !cfg!(feature = "kubernetes") {
        answer.code(1).err_has("built without the feature `kubernetes`");
        return;
    }
    answer
        .code(0)
        .out_has("[jobs.report]\ncommand = \"report --all\"\ncron = \"0 0 1-31/2 * fri\"\n")
        .err_has("<stdin>:6:13: warning: `0 0 */2 * fri` is written as `0 0 1-31/2 * fri`")
        .err_has("1 job, 1,000 due times equal");
    let broken = format!("{CRON_JOBS}---\nname: {{{{ .Values.name }}}}\n");
    run_with_stdin(&bench, &["import", "kubernetes", "-"], &broken)
        .code(1)
        .out_has("[jobs.report]")
        .err_has("<stdin>:17:")
        .err_has("helm template");
}

#[cfg(feature = "kubernetes")]
#[test]
fn cron_jobs_in_json_are_imported() {
    let bench = Bench::new("");
    let spec = r#"{"template":{"spec":{"containers":[{"command":["/x"]}]}}}"#;
    let json = format!(
        "{{\"kind\":\"List\",\"items\":[\n{{\"kind\":\"CronJob\",\"metadata\":{{\"name\":\"a\"}},\"spec\":\
         {{\"schedule\":\"@daily\",\"suspend\":true,\"jobTemplate\":{{\"spec\":{spec}}}}}}},\n\
         {{\"kind\":\"CronJob\",\"metadata\":{{\"name\":\"b\"}},\"spec\":\
         {{\"schedule\":\"0 3 * * 7\",\"jobTemplate\":{{\"spec\":{spec}}}}}}}]}}"
    );
    run_with_stdin(&bench, &["import", "kubernetes", "-"], &json)
        .code(1)
        .out_has("[jobs.a]\ncommand = [\"/x\"]\ncron = \"@daily\"\ntimezone = \"UTC\"\n")
        .out_has("paused = true\n")
        .err_has("<stdin>:2:")
        .err_has("<stdin>:3:")
        .err_has("Kubernetes does not accept `0 3 * * 7`");
}

#[test]
fn jobs_are_exported_as_cron_jobs() {
    let bench = Bench::new("");
    bench.write("jobs.toml", "[jobs.a]\ncommand = ['/x']\ncron = '0 3 * * 6,7'\n");
    run(&bench, &["export", "kubernetes", "jobs.toml", "--image", "shop:7"])
        .code(0)
        .out_has("\nkind: CronJob\nmetadata:\n  name: \"a\"\n")
        .out_has("  schedule: \"0 3 * * 0,6\"\n")
        .out_has("            image: \"shop:7\"\n");
    run(&bench, &["export", "kubernetes", "jobs.toml"]).code(2).err_has("--image");
    run(&bench, &["export", "kubernetes", "jobs.toml", "--image", ""]).code(2);
    bench.write("more.toml", "[jobs.b]\ncommand = ['/x']\ncron = '*/10 * * * * *'\n");
    run(&bench, &["export", "kubernetes", "more.toml", "--image", "x"])
        .code(1)
        .out_has("# left out: b: a CronJob has no seconds")
        .err_has("b: left out: a CronJob has no seconds");
}
