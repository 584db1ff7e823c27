//! What a package is made of is there and right, without the tools that make one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Bench, Running};

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deb() -> toml::Table {
    let manifest = fs::read_to_string(package().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    manifest["package"]["metadata"]["deb"].as_table().unwrap().clone()
}

/// Where each file of the package comes from and goes to.
fn assets() -> Vec<(String, String)> {
    let of = |asset: &toml::Value| {
        let [from, to, _] = asset.as_array().unwrap().as_slice() else { panic!("{asset}") };
        (from.as_str().unwrap().to_owned(), to.as_str().unwrap().to_owned())
    };
    deb()["assets"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn every_file_of_the_package_exists() {
    for (from, _) in assets().iter().filter(|(from, _)| !from.starts_with("target/")) {
        let pattern = package().join(from);
        let found: Vec<PathBuf> = match pattern.to_str().unwrap().split_once('*') {
            None => vec![pattern.clone()],
            Some((directory, suffix)) => fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.to_str().unwrap().ends_with(suffix))
                .collect(),
        };
        assert!(!found.is_empty() && found.iter().all(|path| path.is_file()), "{from}");
    }
    let deb = deb();
    let units = &deb["systemd-units"];
    let unit = format!("{}.service", units["unit-name"].as_str().unwrap());
    assert!(package().join(units["unit-scripts"].as_str().unwrap()).join(unit).is_file());
}

#[test]
fn every_man_page_and_configuration_is_in_it() {
    let assets = assets();
    let froms: Vec<&str> = assets.iter().map(|(from, _)| &**from).collect();
    for page in fs::read_dir(package().join("man")).unwrap() {
        let name = format!("man/{}", page.unwrap().file_name().to_str().unwrap());
        assert!(froms.contains(&&*name), "{name}");
    }
    let deb = deb();
    for file in deb["conf-files"].as_array().unwrap() {
        let file = file.as_str().unwrap().trim_start_matches('/');
        assert!(assets.iter().any(|(_, to)| to == file), "{file}");
    }
}

#[test]
fn the_jobfile_of_the_package_runs() {
    let bench =
        Bench::new(&fs::read_to_string(package().join("examples/packaging/jobs.toml")).unwrap());
    let checked = Running::start(&mut bench.command(&["validate", "--strict"])).wait();
    assert_eq!(checked.out, ["jobs.toml: 0 jobs, no problems"]);
    // What is commented out in it is right as well.
    let text = fs::read_to_string(package().join("examples/packaging/jobs.toml")).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(code) if code.starts_with(|c: char| c == '[' || c.is_alphabetic()) => code,
        _ => line,
    });
    bench.write("jobs.toml", &lines.collect::<Vec<&str>>().join("\n"));
    let checked = Running::start(&mut bench.command(&["validate", "--strict"])).wait();
    assert_eq!(checked.out, ["jobs.toml: 1 job, no problems"]);
    let mut running = bench.run();
    running.event("starting", "");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn maintainer_scripts_are_scripts() {
    for script in fs::read_dir(package().join("examples/packaging/debian")).unwrap() {
        let script = script.unwrap().path();
        let checked = Command::new("sh").arg("-n").arg(&script).status().unwrap();
        assert!(checked.success(), "{}", script.display());
        assert!(fs::read_to_string(&script).unwrap().contains("\n#DEBHELPER#\n"));
    }
}
