//! The rings of `doc/architecture.md`, held against what the files in `src/` import: an inner ring
//! knows no outer one, neighbours in a ring do not know each other, and in a folder no two modules
//! import each other in a circle. A module and those below it count as one, and tests may know all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::page::root;

/// A file of the library: the path of its module, and its text.
struct File {
    module: Vec<String>,
    text: String,
}

/// What a file refers to, and what else a reader of it has to know.
#[derive(Default)]
struct Found {
    /// Paths from the root of the crate, each with the number of its line.
    paths: Vec<(Vec<String>, usize)>,
    /// The names that it passes on (`pub use`), each with the path that it has them from.
    passed_on: Vec<(String, Vec<String>)>,
    /// The modules that it has, and whether they are tests.
    modules: Vec<(String, bool)>,
}

/// One thing that is not as it is drawn.
type Wrong = String;

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

fn line(token: &TokenTree) -> usize {
    token.span().start().line
}

/// `::` and what follows it.
fn after_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let are = is_punct(tokens.first(), ':') && is_punct(tokens.get(1), ':');
    are.then(|| &tokens[2..])
}

/// Whether an attribute's brackets hold `cfg(test)`, alone or with other conditions.
fn is_for_tests(attribute: &TokenTree) -> bool {
    let text = attribute.to_string().replace(' ', "");
    text.starts_with("[cfg(test)]") || text.starts_with("[cfg(all(test,")
}

/// `pub`, or the brackets that follow it.
fn is_visibility(token: &TokenTree) -> bool {
    match token {
        TokenTree::Ident(word) => word == "pub",
        TokenTree::Group(group) => group.delimiter() == Delimiter::Parenthesis,
        _ => false,
    }
}

/// How many tokens an item has: up to its `;`, or the block that it ends with.
fn length(item: &[TokenTree]) -> usize {
    let is_use = item.iter().take(3).any(|token| ident(Some(token)).is_some_and(|it| it == "use"));
    let ends = |token: &TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => !is_use && group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    item.iter().position(ends).map_or(item.len(), |at| at + 1)
}

impl Found {
    fn in_text(text: &str, module: &[String]) -> Found {
        let mut found = Found::default();
        let tokens: Vec<TokenTree> = text.parse::<TokenStream>().unwrap().into_iter().collect();
        found.walk(&tokens, module);
        found
    }

    fn walk(&mut self, tokens: &[TokenTree], module: &[String]) {
        let mut at = 0;
        let mut tests = false;
        while at < tokens.len() {
            let token = &tokens[at];
            let rest = &tokens[at + 1..];
            let word = ident(Some(token));
            if is_punct(Some(token), '#')
                && let Some(attribute @ TokenTree::Group(_)) = rest.first()
            {
                tests |= is_for_tests(attribute);
                at += 2;
            } else if word.as_deref() == Some("mod")
                && let Some(name) = ident(rest.first())
            {
                self.modules.push((name.clone(), tests));
                if let (Some(TokenTree::Group(body)), false) = (rest.get(1), tests) {
                    let inner: Vec<TokenTree> = body.stream().into_iter().collect();
                    self.walk(&inner, &[module, &[name]].concat());
                }
                (at, tests) = (at + 3, false);
            } else if tests && !is_visibility(token) {
                (at, tests) = (at + length(&tokens[at..]), false);
            } else if word.as_deref() == Some("use") {
                let end = at + length(&tokens[at..]);
                let is_public = at > 0
                    && (ident(Some(&tokens[at - 1])).is_some_and(|it| it == "pub")
                        || at > 1 && ident(Some(&tokens[at - 2])).is_some_and(|it| it == "pub"));
                self.tree(&tokens[at + 1..end], &[], module, is_public);
                at = end;
            } else if matches!(word.as_deref(), Some("crate" | "super")) {
                let (path, length) = inline(&tokens[at..]);
                if path.len() > 1 {
                    self.add(path, module, line(token));
                }
                at += length;
            } else {
                if let TokenTree::Group(group) = token {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.walk(&inner, module);
                }
                at += 1;
            }
        }
    }

    /// The tree of a `use`, below a path.
    fn tree(&mut self, tokens: &[TokenTree], above: &[String], module: &[String], public: bool) {
        for branch in tokens.split(|token| is_punct(Some(token), ',')) {
            let mut path = above.to_vec();
            let mut rest = branch;
            while let Some(name) = ident(rest.first()) {
                path.push(name);
                match after_colons(&rest[1..]) {
                    Some(more) => rest = more,
                    None => break,
                }
            }
            match rest.first() {
                Some(TokenTree::Group(group)) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.tree(&inner, &path, module, public);
                }
                Some(token) => {
                    let path = self.add(path, module, line(token));
                    let renamed =
                        rest.get(2).filter(|_| ident(rest.get(1)).is_some_and(|word| word == "as"));
                    if let (true, Some(path)) = (public, path)
                        && let Some(name) = ident(renamed).or_else(|| path.last().cloned())
                    {
                        self.passed_on.push((name, path));
                    }
                }
                None => {}
            }
        }
    }

    /// Adds a path as it is written, and says what it is from the root of the crate; `None`: it is
    /// of another crate.
    fn add(&mut self, path: Vec<String>, module: &[String], line: usize) -> Option<Vec<String>> {
        let mut whole = module.to_vec();
        let mut rest = &path[..];
        match path.first()?.as_str() {
            "crate" => (whole, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    (rest, _) = (&rest[1..], whole.pop());
                }
            }
            name if self.modules.iter().any(|(module, _)| module == name) => {}
            _ => return None,
        }
        // `use self::{...}` names the module itself.
        let rest = rest.iter().filter(|name| *name != "self");
        whole.extend(rest.cloned());
        self.paths.push((whole.clone(), line));
        Some(whole)
    }
}

/// A path in the midst of code, and how many tokens it is written with.
fn inline(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let (mut path, mut rest) = (Vec::new(), tokens);
    while let Some(name) = ident(rest.first()) {
        path.push(name);
        rest = &rest[1..];
        match after_colons(rest) {
            Some(more) => rest = more,
            None => break,
        }
    }
    (path, tokens.len() - rest.len())
}

/// Where two rings, or two modules of a folder, are not as they should be. `rings` are the folders
/// of each ring, the innermost first.
fn wrong(files: &[File], rings: &[Vec<String>]) -> Vec<Wrong> {
    let found: Vec<(&File, Found)> =
        files.iter().map(|file| (file, Found::in_text(&file.text, &file.module))).collect();
    let mut tests: BTreeSet<Vec<String>> = BTreeSet::new();
    let mut modules: BTreeSet<Vec<String>> = BTreeSet::new();
    let mut passed_on: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for (file, found) in &found {
        for (name, is_test) in &found.modules {
            let module = [&file.module[..], std::slice::from_ref(name)].concat();
            if *is_test {
                tests.insert(module)
            } else {
                modules.insert(module)
            };
        }
        for (name, path) in &found.passed_on {
            passed_on.insert([&file.module[..], std::slice::from_ref(name)].concat(), path.clone());
        }
    }
    // Where a path leads: to the module that has the thing, whoever passes it on.
    let target = |path: &[String]| -> Vec<String> {
        let mut path = path.to_vec();
        for _ in 0..4 {
            let passed = (1..=path.len()).find_map(|end| Some((end, passed_on.get(&path[..end])?)));
            let Some((end, to)) = passed.filter(|(end, to)| path[..*end] != to[..]) else { break };
            path = [&to[..], &path[end..]].concat();
        }
        let end = (0..=path.len()).rev().find(|end| modules.contains(&path[..*end]));
        path.truncate(end.unwrap_or(0).min(2));
        path
    };
    let ring = |folder: &String| rings.iter().position(|ring| ring.contains(folder));
    let mut wrong = Vec::new();
    let mut edges: BTreeMap<Vec<String>, BTreeMap<Vec<String>, String>> = BTreeMap::new();
    for (file, found) in &found {
        let is_test = (0..=file.module.len()).any(|end| tests.contains(&file.module[..end]));
        let Some(from) = file.module.first().filter(|_| !is_test) else { continue };
        let Some(own) = ring(from) else {
            wrong.push(format!("src/{} is in no ring", file.module.join("/")));
            continue;
        };
        for (path, line) in &found.paths {
            let place = format!("src/{}.rs:{line}", file.module.join("/"));
            let target = target(path);
            let Some(to) = target.first() else {
                wrong.push(format!("{place}: {} is of no folder", path.join("::")));
                continue;
            };
            if to == from {
                if let (Some(from), Some(_)) = (file.module.get(..2), target.get(1))
                    && from != target
                {
                    edges.entry(from.to_vec()).or_default().entry(target).or_insert(place);
                }
            } else if ring(to).is_none_or(|other| other >= own) {
                wrong.push(format!("{place}: {from} must not know {}", path.join("::")));
            }
        }
    }
    wrong.extend(circles(&edges));
    wrong
}

/// The circles among modules that import each other, each told of once.
fn circles(edges: &BTreeMap<Vec<String>, BTreeMap<Vec<String>, String>>) -> Vec<Wrong> {
    let reach = |from: &Vec<String>| {
        let mut seen: BTreeSet<&Vec<String>> = BTreeSet::new();
        let mut next = vec![from];
        while let Some(module) = next.pop() {
            for to in edges.get(module).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(to) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> =
        edges.keys().map(|module| (module, reach(module))).collect();
    let mut told: BTreeSet<&Vec<String>> = BTreeSet::new();
    let mut wrong = Vec::new();
    for (module, seen) in &reached {
        if !seen.contains(module) || told.contains(module) {
            continue;
        }
        let returns =
            |other: &&&Vec<String>| reached.get(**other).is_some_and(|it| it.contains(*module));
        let circle: Vec<&Vec<String>> = seen.iter().filter(returns).copied().collect();
        let mut text = "a circle:".to_owned();
        for from in &circle {
            for (to, place) in edges[*from].iter().filter(|(to, _)| circle.contains(to)) {
                write!(text, "\n  {place}: {} knows {}", from.join("::"), to.join("::")).unwrap();
            }
        }
        told.extend(circle);
        wrong.push(text);
    }
    wrong
}

/// The files of the library.
fn files(directory: &Path, module: &[String], into: &mut Vec<File>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let inner = [module, std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            files(&path, &inner, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let is_root = module.is_empty() && name == "lib";
            let module = if is_root { Vec::new() } else { inner };
            // What only a test, the program or its build needs is no part of the structure.
            let beside = module.first().is_some_and(|name| ["build", "main"].contains(&&**name));
            if !beside && name != "tests" {
                into.push(File { module, text });
            }
        }
    }
}

/// The rows of the table of rings in `doc/architecture.md`.
fn rings() -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("doc/architecture.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Rings")).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let folders = rows.map(|row| row.split('|').next().unwrap());
    let names = folders.map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect());
    names.filter(|ring: &Vec<String>| !ring.is_empty()).collect()
}

#[test]
fn an_inner_ring_knows_no_outer_one() {
    let mut all = Vec::new();
    files(&root().join("src"), &[], &mut all);
    all.sort_by(|a, b| a.module.cmp(&b.module));
    assert!(all.len() > 200, "{}", all.len());
    crate::none(wrong(&all, &rings()));
}

/// What the check above finds in a library of these files, in the rings `a`, then `b` and `c`, then
/// `d`.
fn found_in(texts: &[(&str, &str)]) -> Vec<Wrong> {
    let rings = ["a", "b c", "d"];
    let rings = rings.map(|ring| ring.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let root = File { module: Vec::new(), text: "mod a; pub mod b; mod c; mod d;".to_owned() };
    let file = |(module, text): &(&str, &str)| File {
        module: module.split('/').map(str::to_owned).collect(),
        text: (*text).to_owned(),
    };
    let files: Vec<File> = std::iter::once(root).chain(texts.iter().map(file)).collect();
    wrong(&files, &rings)
}

#[test]
fn what_is_drawn_otherwise_is_found() {
    let good: [&[(&str, &str)]; 9] = [
        &[("b", "use crate::a::Thing;"), ("d", "use crate::{a::Thing, b};")],
        &[("d", "fn f() { crate::a::f(); super::b::f() }")],
        &[("a", "use std::fmt; use serde::Serialize; fn d() { d::new() }")],
        &[("a", "//! [`crate::d`]\n/// `crate::d::Thing`\nfn f() { \"crate::d::f\"; }")],
        &[("a", "#[cfg(test)] mod tests { use crate::d::f; }")],
        &[("a", "#[cfg(test)] pub(crate) mod fake;"), ("a/fake", "use crate::d::f;")],
        &[("a", "#[cfg(test)] use crate::d::{f, g}; #[cfg(test)] fn h() { crate::d::f() }")],
        // A module and those below it are one.
        &[("a", "mod x; use x::X; struct Y;"), ("a/x", "use super::Y;")],
        &[("a", "mod x; mod y;"), ("a/x", "use super::y::Y;"), ("a/y", "use std::io;")],
    ];
    for texts in good {
        assert_eq!(found_in(texts), [""; 0], "{texts:?}");
    }
    let bad: [(&[(&str, &str)], &str); 12] = [
        (&[("a", "use crate::b::Thing;")], "src/a.rs:1: a must not know b::Thing"),
        (&[("a", "\nuse super::b::Thing;")], "src/a.rs:2: a must not know b::Thing"),
        (&[("b", "use crate::{a, c::{self, f}};")], "src/b.rs:1: b must not know c\n"),
        (&[("b", "fn f() { if x { crate::d::f() } }")], "src/b.rs:1: b must not know d::f"),
        (&[("a", "fn f() { g!(crate::b::f()); }")], "src/a.rs:1: a must not know b::f"),
        (&[("a", "#[cfg(test)] use x::{y}; use crate::b;")], "src/a.rs:1: a must not know b"),
        (&[("a", "#[cfg(not(test))] use crate::b;")], "src/a.rs:1: a must not know b"),
        (
            &[("a", "mod x;"), ("a/x", "use super::super::d::f;")],
            "src/a/x.rs:1: a must not know d::f",
        ),
        (&[("a", "mod x { use super::super::d; }")], "src/a.rs:1: a must not know d"),
        (&[("e", "use crate::a;")], "src/e is in no ring"),
        (&[("b", "use crate::Thing;")], "src/b.rs:1: Thing is of no folder"),
        (
            &[
                ("a", "mod x; mod y; mod z; pub use z::Z; pub use z::Q as R;"),
                ("a/x", "use super::y::Y;"),
                ("a/y/deep", "use crate::a::R;"),
                ("a/z", "use crate::a::x::X;"),
            ],
            "a circle:\n  src/a/x.rs:1: a::x knows a::y\n  src/a/y/deep.rs:1: a::y knows a::z\n  \
             src/a/z.rs:1: a::z knows a::x",
        ),
    ];
    for (texts, expected) in bad {
        let found = found_in(texts).join("\n") + "\n";
        assert!(found.starts_with(expected), "{texts:?}: {found}");
    }
}
