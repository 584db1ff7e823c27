//! What the README and the pages in `doc/` and `examples/` say is true: every command in them is
//! executed, with the files that the page shows or [`stage`] gives it, and its output compared;
//! every subcommand and flag exists; every link leads somewhere; every file
//! that is named is there; every dependency has its reason.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod licences;
mod page;
mod past;
mod play;
mod rings;
mod stage;
mod usage;

use std::collections::BTreeSet;
use std::fs;

use page::{Page, root};

/// Fails with all that is wrong, each with its place.
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n\n"));
}

#[test]
fn commands_do_what_their_page_says() {
    let pages = page::all();
    none(pages.iter().flat_map(play::page).collect());
    // A stage for a page that is gone is dead.
    for stage in stage::STAGES {
        assert!(pages.iter().any(|page| page.name == stage.page), "no page {}", stage.page);
    }
    for (begins, why) in stage::ELSEWHERE {
        let is_there = pages.iter().any(|page| page.text.contains(begins));
        assert!(is_there, "nothing begins with `{begins}` ({why})");
    }
}

#[test]
fn subcommands_and_flags_exist() {
    let known = usage::Known::ask();
    let mut wrong = Vec::new();
    for page in page::all() {
        for (line, span) in page.spans() {
            let said = known.wrong_in(&span).or_else(|| known.wrong_flag(&span));
            wrong.extend(said.map(|what| format!("{}:{line}: `{span}`: {what}", page.name)));
        }
    }
    none(wrong);
}

/// What there is can be found from the README.
#[test]
fn the_readme_names_every_subcommand_and_every_page() {
    let pages = page::all();
    let readme = pages.iter().find(|page| page.name == "README.md").unwrap();
    let spans: Vec<String> = readme.spans().into_iter().map(|(_, span)| span).collect();
    let is_named = |name: &String| {
        let words = |span: &String| span.trim_start_matches("schedrs ").to_owned() + " ";
        spans.iter().any(|span| words(span).starts_with(&format!("{name} ")))
    };
    let mut wrong = Vec::new();
    for name in usage::Known::ask().subcommands() {
        if !is_named(name) {
            wrong.push(format!("README.md does not name {name}"));
        }
    }
    let links = readme.links();
    for page in pages.iter().filter(|page| page.name.starts_with("doc/")) {
        if !links.contains(&page.name) {
            wrong.push(format!("README.md has no link to {}", page.name));
        }
    }
    none(wrong);
}

#[test]
fn links_lead_somewhere() {
    let pages = page::all();
    let mut wrong = Vec::new();
    for page in &pages {
        for link in page.links() {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.name.clone(),
                path => normal(&page.name, path),
            };
            let is_there = root().join(&target).exists();
            let has = |page: &Page| page.anchors().iter().any(|there| there == anchor);
            let anchored =
                anchor.is_empty() || pages.iter().any(|page| page.name == target && has(page));
            if !is_there || !anchored {
                wrong.push(format!("{}: the link {link} leads nowhere", page.name));
            }
        }
    }
    none(wrong);
}

/// The files that pages name are there; those of `doc/architecture.md` are below `src/`.
#[test]
fn named_files_are_there() {
    let contributing = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let contributing = Page { name: "CONTRIBUTING.md".to_owned(), text: contributing };
    let pages: Vec<Page> = page::all().into_iter().chain([contributing]).collect();
    let wrong: Vec<String> = pages.iter().flat_map(missing_files).collect();
    none(wrong);
    let text =
        "`jobfile.rs`, `core/gone.rs`, `tests/docs/main.rs`, `src/gone/`, `a b/c.rs`, `x.py`";
    let page = Page { name: "doc/architecture.md".to_owned(), text: text.to_owned() };
    assert_eq!(missing_files(&page).len(), 2, "{:?}", missing_files(&page));
}

fn missing_files(page: &Page) -> Vec<String> {
    let ours = ["src/", "tests/", "benches/", "doc/", "examples/", "man/"];
    let is_map = page.name == "doc/architecture.md";
    let mut missing = Vec::new();
    for (line, span) in page.spans() {
        let named = ours.iter().any(|folder| span.starts_with(folder));
        let is_path = named || is_map && span.ends_with(".rs");
        if !is_path || span.contains([' ', '*', '…']) {
            continue;
        }
        let path = if named { root().join(&span) } else { root().join("src").join(&span) };
        if !path.exists() && !path.with_extension("rs").exists() {
            missing.push(format!("{}:{line}: there is no `{span}`", page.name));
        }
    }
    missing
}

/// A path that is relative to a page, from the package's directory.
fn normal(page: &str, path: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table =
        fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let text = fs::read_to_string(root().join("doc/dependencies.md")).unwrap();
    let crates = |table: &str| -> BTreeSet<String> {
        manifest[table].as_table().unwrap().keys().cloned().collect()
    };
    let reasons = |heading: &str| -> BTreeSet<String> {
        let section = text.split_once(heading).unwrap().1.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
        let cells = rows.filter_map(|row| row.split('|').next());
        cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
    };
    let used = crates("dependencies");
    assert_eq!(used, reasons("## In the binary"));
    // What the binary uses, the tests may use too.
    let besides = |crates: BTreeSet<String>| -> BTreeSet<String> {
        crates.difference(&used).cloned().collect()
    };
    assert_eq!(besides(crates("dev-dependencies")), besides(reasons("## In the tests")));
}
