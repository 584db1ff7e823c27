//! Tests that `list`, `show`, `start`, `history`, `why`, `logs`, the socket and the pages say the
//! same of each outcome: its word, its mark, its phrase and its JSON.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::history_source::{args, scene};
use crate::cli::Context;
use crate::control::wire::view::JobLine;
use crate::core::event::RunId;
use crate::core::outcome::{self, Outcome, Reached};
use crate::core::usage::Usage;
use crate::core::zone::{Database, Zone};
use crate::history::object::RunObject;
use crate::history::{fake::Fake, format};
use crate::store::{Process, RunRecord};

const DUE: &str = "09:00";

/// A record as the store would have it.
fn record(outcome: Option<Outcome>) -> RunRecord {
    let has_run =
        !matches!(outcome, Some(Outcome::Skipped(_) | Outcome::Missed(_) | Outcome::Coalesced));
    let began = has_run && !matches!(outcome, Some(Outcome::NotStarted(_)));
    RunRecord {
        seq: 1,
        run: has_run.then_some(RunId(7)),
        job: "backup".into(),
        due: scene::at(DUE),
        last_due: scene::at(DUE),
        count: 1,
        at: scene::at(DUE),
        started: began.then(|| scene::at("09:00:01")),
        duration: (began && outcome.is_some()).then_some(Duration::from_secs(12)),
        attempts: u32::from(has_run),
        process: began.then_some(Process { pid: 4711, start: 1 }),
        by: None,
        host: None,
        outcome,
        usage: began.then(|| Usage { max_rss: Some(1 << 20), ..Usage::default() }),
        printed: began.then_some(12),
    }
}

/// Every outcome, and none yet: a run that goes on and one that waits.
fn records() -> Vec<RunRecord> {
    let mut all: Vec<RunRecord> = outcome::each().into_iter().map(Some).map(record).collect();
    all.push(record(None));
    all.push(RunRecord { started: None, process: None, attempts: 0, ..record(None) });
    all
}

fn past_of(record: &RunRecord) -> super::history_source::History {
    let mut store = Fake { records: Vec::new(), ..scene::store() };
    store.add(record.clone());
    scene::history(store)
}

fn plain(bytes: Vec<u8>) -> String {
    anstream::adapter::strip_str(&String::from_utf8(bytes).unwrap()).to_string()
}

fn history(record: &RunRecord, more: &[&str]) -> String {
    let (mut out, line) = (Vec::new(), [&["backup"], more].concat());
    super::history::show(&args(&line), &mut past_of(record), &mut out).unwrap();
    plain(out)
}

fn why(record: &RunRecord, more: &[&str]) -> String {
    let (mut out, line) = (Vec::new(), [&["backup", "--at", DUE], more].concat());
    super::why::show(&args(&line), &mut past_of(record), &mut out).unwrap();
    plain(out)
}

fn list(line: JobLine) -> String {
    let (mut out, context) = (Vec::new(), Context { zones: Database::bundled(), local: false });
    super::list::table(&[&line], 0, &context).write(&mut out, None).unwrap();
    plain(out)
}

fn word(record: &RunRecord) -> &'static str {
    outcome::word(record.outcome.as_ref(), record.started.is_some())
}

#[test]
fn what_people_read_is_the_same_everywhere() {
    for record in records() {
        let mark = outcome::mark(record.outcome.as_ref());
        let object = RunObject::of_record(&record, &scene_zone());
        let (cell, phrase) = match &record.outcome {
            Some(outcome) => (outcome.short(), outcome.phrase(format::reached(&record))),
            None => (word(&record).to_owned(), word(&record).to_owned()),
        };
        assert_eq!((object.mark(), object.phrase()), (mark, phrase.clone()));

        let table = history(&record, &[]);
        assert!(table.contains(&format!("  {mark} {cell}")), "{mark} {cell}: {table}");
        let told = why(&record, &[]);
        assert!(told.starts_with(&format!("{mark} backup, ")), "{mark}: {told}");

        let line = JobLine { id: "backup".into(), last: Some(object), ..JobLine::default() };
        let listed = list(line);
        assert!(listed.contains(&format!("  {mark} ")), "{mark}: {listed}");
        if record.outcome != Some(Outcome::Succeeded) {
            assert!(listed.contains(&phrase), "{phrase}: {listed}");
        }
    }
}

#[test]
fn the_json_is_the_same_everywhere() {
    for record in records() {
        let word = word(&record);
        let object = RunObject::of_record(&record, &scene_zone());
        let json = serde_json::to_value(&object).unwrap();
        assert_eq!(json["outcome"], word);
        assert_eq!(object.outcome(), record.outcome, "read again by a client: {json}");
        assert!(json.as_object().unwrap().values().all(|value| !value.is_null()), "{json}");

        let line: Value = serde_json::from_str(&history(&record, &["--output", "json"])).unwrap();
        assert_eq!(line, json);
        let told: Value = serde_json::from_str(&why(&record, &["--output", "json"])).unwrap();
        assert_eq!(told["record"], json);
        // Of what is not over `why` knows more: that schedrs does not run.
        if record.outcome.is_some() {
            assert_eq!(told["verdict"], word);
        }
    }
}

#[test]
fn the_pages_have_every_key_mark_and_word() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = |name: &str| std::fs::read_to_string(root.join("doc").join(name)).unwrap();
    let (control, history, runs) = (page("control.md"), page("history.md"), page("runs.md"));

    let about = control.split_once("**A record**").unwrap().1;
    let rows = about.split_once("### ").unwrap().0.lines().filter(|line| line.starts_with("| `"));
    let keys = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(", "));
    let described: BTreeSet<&str> = keys.map(|key| key.trim().trim_matches('`')).collect();
    let seen: BTreeSet<String> = records()
        .iter()
        .map(|record| serde_json::to_value(RunObject::of_record(record, &Zone::utc())).unwrap())
        .flat_map(|json| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .chain(["by", "doing", "host"].map(str::to_owned))
        .chain(["unusual", "usual_ms", "usual_printed_bytes"].map(str::to_owned))
        .collect();
    assert_eq!(described, seen.iter().map(String::as_str).collect());

    for outcome in outcome::each() {
        let row =
            history.lines().find(|line| line.starts_with(&format!("| `{}` |", outcome.mark())));
        let word = outcome.word().replace('_', " ");
        assert!(row.is_some_and(|row| row.contains(&word)), "{outcome}: {row:?}");
        let shown = match &outcome {
            Outcome::Skipped(reason) => format!("| `skipped({}", reason.word()),
            Outcome::Missed(reason) => format!("| `missed({} ", reason.word()),
            other => format!("| `{}", other.word()),
        };
        assert!(runs.contains(&shown), "{shown} is not in runs.md");
    }
}

/// What the log says is what a client of the socket says, also of one that never began.
#[test]
fn a_phrase_needs_no_store() {
    let displaced = Outcome::Skipped(outcome::SkipReason::Overlap);
    assert_eq!(displaced.phrase(Reached::Run), "skipped: replaced by a newer due time");
    let object = RunObject::of_record(
        &RunRecord { run: Some(RunId(7)), ..record(Some(displaced)) },
        &scene_zone(),
    );
    assert_eq!(object.phrase(), "skipped: replaced by a newer due time");
}

fn scene_zone() -> Zone {
    scene::history(scene::store()).zone_of("backup")
}
