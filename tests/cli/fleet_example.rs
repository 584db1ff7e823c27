//! `examples/fleet`: its jobfile is one, its script does what it says, and its unit and compose file
//! speak of what is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Bench, schedrs};
use crate::servers::{Engine, Server};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fleet").join(name)
}

#[test]
fn its_jobfile_is_one() {
    let bench = Bench::new("");
    for name in ["fleet.toml", "jobs.toml"] {
        bench.write(name, &fs::read_to_string(example(name)).unwrap());
    }
    let done = bench.command(&["validate", "--strict", "fleet.toml"]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn what_its_unit_and_compose_file_name_is_there() {
    let unit = fs::read_to_string(example("schedrs@.service")).unwrap();
    for line in unit.lines().filter_map(|line| line.strip_prefix("Exec")) {
        let words: Vec<&str> = line.split_once('=').unwrap().1.split(' ').collect();
        assert_eq!((words[0], words.last()), ("/usr/bin/schedrs", Some(&"/etc/schedrs/%i.toml")));
        assert!(schedrs(&[words[1], "--help"]).output().unwrap().status.success(), "{line}");
    }
    let compose = fs::read_to_string(example("compose.yaml")).unwrap();
    let mounts = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    let mounts: Vec<&str> = mounts.filter_map(|mount| mount.split(':').next()).collect();
    assert_eq!(mounts, ["fleet.toml", "jobs.toml"]);
    assert_eq!(compose.matches("hostname: web").count(), 3);
}

#[test]
fn its_script_loses_a_host_and_no_due_time() {
    // It starts a server of its own; whether there can be one, this knows.
    if Server::shared(Engine::Postgres).is_none() {
        return;
    }
    let mut script = Command::new("sh");
    script.arg(example("try.sh")).env("SCHEDRS", env!("CARGO_BIN_EXE_schedrs"));
    let done = script.env_remove("SCHEDRS_SOCKET").env("TZ", "UTC").output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    for words in [": kill -9", " has taken it over", "due times have run, none of them twice"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let directory = text.split("PostgreSQL in ").nth(1).and_then(|rest| rest.lines().next());
    assert!(!Path::new(directory.unwrap()).exists(), "it leaves {directory:?}");
}
