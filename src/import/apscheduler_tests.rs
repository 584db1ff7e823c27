//! An export that APScheduler 3.11.3 wrote, and what becomes of it.

use super::*;
use crate::import::proof;
use crate::jobfile;
use crate::zone::Database;

const EXPORT: &str = include_str!("../../tests/data/apscheduler-export.json");

fn imported(text: &str) -> (String, Vec<String>, proof::Proof) {
    let zones = Database::bundled();
    let mut draft = Draft::new(&zones);
    read(&mut draft, "x.json", text);
    let (written, problems, sources) = draft.write();
    let now = Instant::from_secs(1_795_564_800);
    let loaded = jobfile::load_text("written", &written.text, &zones, now);
    assert_eq!(loaded.problems.errors(), 0, "{}\n{:?}", written.text, loaded.problems);
    let proof = proof::compare(&written, &loaded.set.unwrap(), now, 1000);
    let said = problems.iter().map(|problem| {
        let at = sources.name(problem.place);
        format!("{at}: {}", problem.message)
    });
    (written.text, said.collect(), proof)
}

#[test]
fn an_export_becomes_a_jobfile() {
    let (written, said, proof) = imported(EXPORT);
    for part in [
        "[jobs.payroll]\n",
        "cron = { month = \"6-8,11-12\", day = \"3rd fri\", hour = \"0-3\" }\n\
         timezone = \"Europe/Berlin\"\nend_date = 2027-05-30T00:00:00\n",
        "[jobs.hello]\nname = \"Say hello\"\n\
         command = [\"python3\", \"-c\", 'from builtins import print; print(\"hi\", end=\"x\")']\n\
         cron = { day_of_week = \"tue-sat\", hour = 3, minute = 0 }\n",
        "misfire_grace_time = \"forever\"\ncoalesce = \"all\"\nmax_instances = 3\n",
        "[jobs.iv]\n",
        "interval = \"2h 5m\"\ntimezone = \"Europe/Berlin\"\nstart_date = 2026-11-25T",
        "jitter = \"30s\"\n",
        "date = 2027-01-01T09:00:00\ntimezone = \"Europe/Berlin\"\n",
        "[jobs.or]\n",
        "[jobs.or-2]\n",
        "paused = true\n",
        "interval = \"7d\"\ntimezone = \"America/New_York\"\nstart_date = 2026-01-01T09:30:00\n\
         end_date = 2030-01-01T00:00:00\n",
        "[jobs.sales]\n",
        "cron = { day_of_week = \"mon,wed,fri\", hour = \"*/6\", minute = 0 }\n",
    ] {
        assert!(written.contains(part), "no {part:?} in\n{written}");
    }
    let starts =
        ["not carried: the trigger of `and`", "functions are called", "this trigger becomes"];
    for start in starts {
        assert!(said.iter().any(|said| said.contains(start)), "{start}: {said:?}");
    }
    assert_eq!(proof.mismatches().count(), 0, "{proof:#?}");
    // What has a `next_run_time` and no jitter, or plain fields, is compared.
    assert!(proof.compared() >= 6, "{proof:#?}");
}

#[test]
fn anything_else_is_refused_in_words() {
    for text in ["", "[]", "{\"jobs\": 3}", "{\"version\": 1, \"jobs\": [{}]}", "{\"jobs\": []}"] {
        let (_, said, _) = imported(text);
        assert!(!said.is_empty(), "{text}");
    }
}

#[test]
fn python_is_called_with_what_can_be_written() {
    let rows = [
        (
            r#"{"func": "a.b:c", "args": [1, "x", null, true], "kwargs": {"k": {"a": [1.5]}}}"#,
            Some(r#"from a.b import c; c(1, "x", None, True, k={"a": [1.5]})"#),
        ),
        (r#"{"func": "a:C.m", "args": []}"#, Some("from a import C; C.m()")),
        (r#"{"func": "a:b", "args": [{"__apscheduler_pickle__": "x"}]}"#, None),
        (r#"{"func": "a:b; import os", "args": []}"#, None),
        (r#"{"func": null}"#, None),
    ];
    for (json, expected) in rows {
        let json: Json = serde_json::from_str(json).unwrap();
        assert_eq!(call(&json).as_deref(), expected, "{json}");
    }
}
