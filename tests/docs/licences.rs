//! Every crate in the tree has a licence that `deny.toml` allows and comes from where it says. The
//! same as `cargo deny check licenses sources`, for those who do not have that.

use std::process::Command;

use serde_json::Value;

fn list<'a>(table: &'a toml::Table, section: &str, key: &str) -> Vec<&'a str> {
    let values = table[section][key].as_array().unwrap();
    values.iter().map(|value| value.as_str().unwrap()).collect()
}

#[test]
fn every_crate_is_allowed() {
    let package = env!("CARGO_MANIFEST_DIR");
    let deny = std::fs::read_to_string(format!("{package}/deny.toml")).unwrap();
    let deny: toml::Table = deny.parse().unwrap();
    let allowed = list(&deny, "licenses", "allow");
    let registries = list(&deny, "sources", "allow-registry");

    let mut cargo = Command::new(env!("CARGO"));
    // What is in the tree has been downloaded, or there would be no test.
    cargo.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    // With the engines of `full` only if they are in this build.
    let full = cfg!(feature = "full");
    cargo.args(full.then_some("--all-features"));
    cargo.args(["--filter-platform", &target(), "--manifest-path"]);
    let answer = cargo.arg(format!("{package}/Cargo.toml")).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let metadata: Value = serde_json::from_slice(&answer.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "{}", packages.len());
    let mut used = Vec::new();
    for package in packages {
        let name = &package["name"];
        let licence = package["license"].as_str().or_else(|| clarified(&deny, name.as_str()?));
        let licence = licence.unwrap_or_else(|| panic!("{name} has none"));
        let by = allows(licence, &allowed);
        used.extend(by.unwrap_or_else(|| panic!("{name}: {licence} is not in deny.toml")));
        if let Some(source) = package["source"].as_str() {
            let url = source.strip_prefix("registry+").unwrap_or(source);
            assert!(registries.contains(&url), "{name} comes from {source}");
        }
    }
    for licence in allowed.iter().filter(|_| full) {
        assert!(used.iter().any(|used| used == licence), "no crate needs {licence}");
    }
}

/// The licence of a crate that names only a file, by `deny.toml`.
fn clarified<'a>(deny: &'a toml::Table, name: &str) -> Option<&'a str> {
    let all = deny["licenses"]["clarify"].as_array()?;
    let of = all.iter().find(|one| one["crate"].as_str() == Some(name))?;
    of["expression"].as_str()
}

/// The platform that this test was built for.
fn target() -> String {
    let answer = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(answer.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// The licences by which an SPDX expression is allowed. Old manifests write `/` for `OR`.
fn allows(expression: &str, allowed: &[&str]) -> Option<Vec<String>> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let found = any(&words, &mut at, allowed);
    assert_eq!(at, words.len(), "{expression} cannot be read");
    found
}

fn any(words: &[&str], at: &mut usize, allowed: &[&str]) -> Option<Vec<String>> {
    let mut found = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        let other = all(words, at, allowed);
        found = found.or(other);
    }
    found
}

fn all(words: &[&str], at: &mut usize, allowed: &[&str]) -> Option<Vec<String>> {
    let mut found = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        let other = one(words, at, allowed);
        found = found.zip(other).map(|(a, b)| [a, b].concat());
    }
    found
}

fn one(words: &[&str], at: &mut usize, allowed: &[&str]) -> Option<Vec<String>> {
    let mut word = (*words.get(*at)?).to_owned();
    *at += 1;
    if word == "(" {
        let found = any(words, at, allowed);
        *at += 1;
        return found;
    }
    if words.get(*at) == Some(&"WITH") {
        word = format!("{word} WITH {}", words[*at + 1]);
        *at += 2;
    }
    allowed.contains(&word.as_str()).then(|| vec![word])
}

#[test]
fn expressions() {
    let rows = [
        ("MIT", true),
        ("Apache-2.0 OR MIT", true),
        ("Apache-2.0/MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
    ];
    for (expression, good) in rows {
        assert_eq!(allows(expression, &["MIT", "Unicode-3.0"]).is_some(), good, "{expression}");
    }
}
