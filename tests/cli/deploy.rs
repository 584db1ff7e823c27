//! `schedrs validate --fleet`: a jobfile beside what two real hosts run.

use schedrs::store::location::{self, Location};
use serde_json::Value;

use crate::harness::{Bench, Running, Stream, until};
use crate::servers::{Engine, Server};

const JOBS: &str = "[jobs.same]\ncommand = 'true'\ncron = '0 3 * * *'\n\
                    [jobs.other]\ncommand = 'true'\ncron = '0 4 * * *'\n\
                    [jobs.slow]\ncommand = 'true'\ncron = '0 5 * * *'\n\
                    [jobs.gone]\ncommand = 'true'\ncron = '0 6 * * *'\n";

/// What it prints, and its exit code.
fn validate(bench: &Bench, args: &[&str]) -> (Vec<String>, i32) {
    let args: Vec<&str> = ["validate"].iter().chain(args).copied().collect();
    let done = Running::start(&mut bench.command(&args)).wait();
    let lines = if done.out.is_empty() { done.err } else { done.out };
    (lines, done.code.unwrap())
}

fn host(bench: &Bench, name: &str, text: &str) -> Running {
    let file = format!("{name}.toml");
    bench.write(&file, text);
    let mut running = Running::start(&mut bench.command(&["run", &file]));
    running.line(Stream::Err, &["next"]);
    running
}

#[cfg(feature = "postgres")]
#[test]
fn a_url_that_means_nothing_is_found_before_a_deploy() {
    let url = "postgres://ann:s3cret@db/jobs?sslmoed=require";
    let bench = Bench::new(&format!("[store]\nurl = '{url}'\n{JOBS}"));
    let (lines, code) = validate(&bench, &["jobs.toml"]);
    assert_eq!(code, 1, "{lines:?}");
    let shown =
        "error: the store postgres://ann:***@db/jobs?sslmoed=require: unknown option `sslmoed`";
    assert!(lines[0].ends_with(shown), "{lines:?}");
    assert!(lines.last().unwrap().contains("1 error"), "{lines:?}");
}

#[test]
fn a_jobfile_beside_what_runs() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let url = server.fresh();
    let store = format!("[store]\nurl = '{url}'\n");
    let fleet = |name: &str, labels: &str| format!("{store}[fleet]\nname = '{name}'\n{labels}\n");
    let bench = Bench::new(&format!("{store}{JOBS}"));
    let (lines, code) = validate(&bench, &["--fleet", "jobs.toml"]);
    assert_eq!(code, 1, "{lines:?}");
    assert!(lines[0].contains("`schedrs run` creates them"), "{lines:?}");
    let one = host(&bench, "web1", &(fleet("web1", "labels = ['disk']") + JOBS));
    // A beat later it has them all.
    let location = Location::parse(&url, bench.dir.path()).unwrap();
    let mut reader = location::reader(&location).unwrap();
    let mut until_there_are = |count: usize| {
        until("the jobs are taken up", || reader.jobs().unwrap().len() == count);
    };
    until_there_are(4);
    // What was changed at run time stands over every file.
    let changed = ["modify", "same", "-f", "web1.toml", "--timeout", "1h"];
    assert_eq!(Running::start(&mut bench.command(&changed)).wait().code, Some(0));
    let (lines, code) = validate(&bench, &["--fleet", "jobs.toml"]);
    let (masked, _) = url.split_once('?').unwrap();
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "jobs.toml: 4 jobs, no problems");
    assert!(lines[1].starts_with(masked), "{lines:?}");
    assert!(lines[1].ends_with(": web1; 4 jobs are there as in the file"), "{lines:?}");
    // A deploy: one has the new file, the other not yet.
    let new = "[jobs.same]\ncommand = 'true'\ncron = '0 3 * * *'\n\
               [jobs.other]\ncommand = 'true'\ncron = '0 4 * * mon'\n\
               [jobs.slow]\ncommand = 'true --more'\ncron = '0 5 * * *'\nrun_on = ['disk']\n\
               [jobs.new]\ncommand = 'true'\ncron = '0 7 * * *'\nrun_on = ['gpu', 'disk']\n";
    bench.write("jobs.toml", new);
    let (lines, code) = validate(&bench, &["jobs.toml", "--fleet", &url]);
    let said = [
        "other: has a new schedule: at 04:00, monday",
        "slow: has changed, but not its schedule",
        "new: is new: at 07:00 every day",
        "error: new: no host has all of its labels: gpu, disk",
        "gone: is not in the file: it keeps running on web1 until the file is loaded there",
        "jobs.toml: 4 jobs, no problems",
    ];
    assert_eq!((&lines[..6], code), (&said.map(str::to_owned)[..], 1));
    assert!(lines[6].ends_with("; 1 error"), "{lines:?}");
    let two = host(&bench, "web2", &(fleet("web2", "labels = ['gpu', 'disk']") + new));
    until_there_are(5);
    bench
        .write("labels.toml", "[jobs.a]\ncommand = 'true'\ncron = '0 3 * * *'\nrun_on = ['gpu']\n");
    let (lines, code) = validate(&bench, &["--fleet", &url, "labels.toml", "--output", "json"]);
    let lines: Vec<Value> =
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["fleet"].as_str()).collect();
    assert_eq!(kinds, ["new", "gone", "gone", "gone", "gone", "gone", "idle", "differ"]);
    assert_eq!(
        (code, &lines[6]["hosts"][0], &lines[7]["severity"]),
        (0, &"web1".into(), &"warning".into())
    );
    let (lines, code) = validate(&bench, &["--fleet", "--strict", "jobs.toml"]);
    assert_eq!(code, 1, "{lines:?}");
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("no `[store] url`") || has("neither it nor `[store] url` has one"), "{lines:?}");
    let (lines, code) = validate(&bench, &["--strict", "jobs.toml", "--fleet", &url]);
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(
        has("error: hosts have different jobfiles: web1 | web2") || has(": web2 | web1"),
        "{lines:?}"
    );
    assert!(has("already loaded by web2"), "{lines:?}");
    assert_eq!(code, 1);
    two.stop();
    one.stop();
    let (lines, code) = validate(&bench, &["--fleet", &url, "jobs.toml"]);
    assert_eq!(code, 1, "{lines:?}");
    assert!(lines[0].contains("no host is using the store"), "{lines:?}");
}
