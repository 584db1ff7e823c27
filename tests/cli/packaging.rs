//! What a package is made of is there and right, without the tools that make one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Bench, Running};

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest() -> toml::Table {
    fs::read_to_string(package().join("Cargo.toml")).unwrap().parse().unwrap()
}

fn deb() -> toml::Table {
    manifest()["package"]["metadata"]["deb"].as_table().unwrap().clone()
}

/// Where each file of the package comes from and goes to.
fn assets() -> Vec<(String, String)> {
    let of = |asset: &toml::Value| {
        let [from, to, _] = asset.as_array().unwrap().as_slice() else { panic!("{asset}") };
        (from.as_str().unwrap().to_owned(), to.as_str().unwrap().to_owned())
    };
    deb()["assets"].as_array().unwrap().iter().map(of).collect()
}

/// The files that an asset's pattern stands for.
fn found(from: &str) -> Vec<PathBuf> {
    let pattern = package().join(from);
    match pattern.to_str().unwrap().split_once('*') {
        None => vec![pattern],
        Some((directory, suffix)) => fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().ends_with(suffix))
            .collect(),
    }
}

#[test]
fn every_file_of_the_package_exists() {
    for (from, _) in assets().iter().filter(|(from, _)| !from.starts_with("target/")) {
        let found = found(from);
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

/// A small system has no `kill`, which is in a package of its own.
#[test]
fn units_execute_nothing_but_schedrs() {
    for name in ["schedrs.service", "schedrs-user.service"] {
        let unit = fs::read_to_string(package().join("examples").join(name)).unwrap();
        let execs = unit.lines().filter_map(|line| line.strip_prefix("Exec")?.split_once('='));
        let execs: Vec<(&str, &str)> = execs.collect();
        assert_eq!(execs.len(), 2, "{name}: {execs:?}");
        for (when, command) in execs {
            let what = match when {
                "Start" => "/usr/bin/schedrs run ",
                _ => "/usr/bin/schedrs reload -f ",
            };
            let file = command.strip_prefix(what).unwrap_or_else(|| panic!("{name}: {command}"));
            assert!(file.ends_with("/schedrs/jobs.toml"), "{name}: {command}");
        }
    }
}

/// What `lintian` says of a synopsis and of a package without a changelog of its own.
#[test]
fn the_package_describes_itself_as_debian_wants_it() {
    let (manifest, deb) = (manifest(), deb());
    let of = |key: &str| manifest["package"][key].as_str().unwrap();
    let synopsis = of("description");
    assert!(synopsis.len() < 80, "cargo-deb breaks it into lines: {synopsis}");
    let first = synopsis.split(' ').next().unwrap().to_lowercase();
    assert!(!["a", "an", "the", "schedrs"].contains(&&*first), "{synopsis}");

    let changelog = package().join(deb["changelog"].as_str().unwrap());
    let changelog = fs::read_to_string(changelog).unwrap();
    let newest = format!("schedrs ({}-1) ", of("version"));
    assert!(changelog.starts_with(&newest), "{newest}is not the newest entry");
    let signed = format!("\n -- {}  ", deb["maintainer"].as_str().unwrap());
    assert!(changelog.contains(&signed), "{signed}");
}

/// The pages in `/usr/share/doc/schedrs` lead to each other, and to the examples, as here.
#[test]
fn links_in_the_package_lead_somewhere() {
    const DOC: &str = "usr/share/doc/schedrs/";
    // In a Debian package they are `changelog.gz`, `copyright` and in `/usr/share/schedrs`.
    const ELSEWHERE: &[&str] = &["CHANGELOG.md", "LICENSE", "doc/schedrs.schema.json"];
    let files: Vec<(PathBuf, String)> = assets()
        .iter()
        .filter_map(|(from, to)| Some((from, to.strip_prefix(DOC)?.to_owned())))
        .flat_map(|(from, to)| found(from).into_iter().map(move |path| (path, to.clone())))
        .collect();
    let name = |(path, to): &(PathBuf, String)| {
        if to.is_empty() || to.ends_with('/') {
            format!("{to}{}", path.file_name().unwrap().to_str().unwrap())
        } else {
            to.clone()
        }
    };
    let there: Vec<String> = files.iter().map(name).collect();
    let mut links = 0;
    for ((path, _), page) in files.iter().zip(&there).filter(|(_, page)| page.ends_with(".md")) {
        let text = fs::read_to_string(path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if link.is_empty() || link.starts_with("http") {
                continue;
            }
            links += 1;
            let mut parts: Vec<&str> = page.split('/').collect();
            parts.pop();
            for part in link.split('/') {
                match part {
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            let target = parts.join("/");
            let leads = ELSEWHERE.contains(&&*target)
                || there
                    .iter()
                    .any(|file| *file == target || file.starts_with(&format!("{target}/")));
            assert!(leads, "{page}: {link} is not in the package");
        }
    }
    assert!(links > 30, "{links}");
}

/// An image is built of what its Containerfile copies: all that cargo asks for, and nothing else.
#[test]
fn the_image_is_built_of_what_cargo_needs() {
    let text = fs::read_to_string(package().join("examples/Containerfile")).unwrap();
    let copies = text.lines().filter_map(|line| line.strip_prefix("COPY "));
    let copied: Vec<&str> = copies
        .filter(|copy| !copy.starts_with("--from"))
        .flat_map(|copy| copy.rsplit_once(' ').unwrap().0.split(' '))
        .collect();
    for name in &copied {
        assert!(package().join(name).exists(), "{name}");
        assert!(!["", ".", "target", ".git"].contains(&name.trim_matches('/')), "{name}");
    }
    let manifest = manifest();
    let mut needed = vec![
        "Cargo.toml".to_owned(),
        "Cargo.lock".to_owned(),
        ".cargo/config.toml".to_owned(),
        manifest["lib"]["path"].as_str().unwrap().to_owned(),
    ];
    // What is declared has to be there, even where it is not built.
    for (kind, directory) in [("bin", "src"), ("bench", "benches"), ("test", "tests")] {
        let targets = manifest.get(kind).and_then(toml::Value::as_array);
        needed.extend(targets.into_iter().flatten().map(|target| match target.get("path") {
            Some(path) => path.as_str().unwrap().to_owned(),
            None => format!("{directory}/{}.rs", target["name"].as_str().unwrap()),
        }));
    }
    for path in &needed {
        assert!(package().join(path).is_file(), "{path}");
        assert!(copied.contains(&path.split('/').next().unwrap()), "{path} is not copied");
    }
}
