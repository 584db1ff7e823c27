//! An export that APScheduler 3.11.3 wrote, and what becomes of it.

use super::*;
use crate::convert::import::proof;
use crate::core::instant::Instant;
use crate::core::zone::Database;
use crate::jobfile;

const EXPORT: &str = include_str!("../../../../tests/data/apscheduler-export.json");

/// Zones beside the scheduler's, second passes, odd arguments and ids; of 2026-11-25T23:27Z.
const CORNERS: &str = include_str!("../../../../tests/data/apscheduler-corners.json");

fn imported(text: &str) -> (String, Vec<String>, proof::Proof) {
    imported_at(text, Instant::from_secs(1_795_564_800))
}

fn imported_at(text: &str, now: Instant) -> (String, Vec<String>, proof::Proof) {
    let zones = Database::bundled();
    let mut draft = Draft::new(&zones);
    read(&mut draft, "x.json", text);
    let (written, problems, sources) = draft.write();
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
        "[jobs.and]\n",
        "paused = true\n",
        "interval = \"7d\"\ntimezone = \"America/New_York\"\nstart_date = 2026-01-01T09:30:00\n\
         end_date = 2030-01-01T00:00:00\n",
        "[jobs.sales]\n",
        "cron = { day_of_week = \"mon,wed,fri\", hour = \"*/6\", minute = 0 }\n",
    ] {
        assert!(written.contains(part), "no {part:?} in\n{written}");
    }
    assert!(said.iter().any(|said| said.contains("functions are called")), "{said:?}");
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
        (
            r#"{"func": "a:f", "args": [NaN, -Infinity, "NaN \" 1"],
                "kwargs": {"weird key": 1, "class": 2, "x": Infinity}}"#,
            Some(
                r#"from a import f; f(float("NaN"), float("-Infinity"), "NaN \" 1", x=float("Infinity"), **{"class": 2, "weird key": 1})"#,
            ),
        ),
        (
            r#"{"func": "a:f", "args": [1000000000000000000000000000000, -7, 1.5e300]}"#,
            Some("from a import f; f(1000000000000000000000000000000, -7, 1.5e+300)"),
        ),
    ];
    for (json, expected) in rows {
        let json: Json = serde_json::from_str(&call::strict(json)).unwrap();
        assert_eq!(call::call(&json).as_deref(), expected, "{json}");
    }
}

/// What APScheduler 3.11.3 wrote of triggers that are several, and of those of the calendar.
#[test]
fn triggers_of_triggers_are_one_job() {
    let export = include_str!("../../../../tests/data/apscheduler-combined.json");
    // 2026-11-29T18:00:00Z
    let (written, said, proof) = imported_at(export, Instant::from_secs(1_795_975_200));
    assert_eq!(proof.mismatches().count(), 0, "{proof:#?}");
    for part in [
        "[jobs.either]",
        "any = [\n    { cron = { day_of_week = \"mon\", hour = 2 } },\n    { cron = { \
         day_of_week = \"tue\", hour = 15 } },\n]\ntimezone = \"Europe/Berlin\"",
        "[jobs.mixed]",
        "{ cron = { hour = 2 }, timezone = \"Asia/Tokyo\" },\n    { interval = \"5h\", timezone = \
         \"Europe/Berlin\", start_date = 2027-01-01T03:00:00 },\n]\n",
        "[jobs.both]",
        "all = [{ interval = \"7h\", start_date = 2027-01-01T03:00:00 }, { cron = { hour = \"*/2\" } }]",
        "interval = { months = 1, day = 31, hour = 9, minute = 0 }\ntimezone = \"Europe/Berlin\"\n\
         start_date = 2027-01-31\n",
        "interval = { weeks = 2, days = 1, hour = 9, minute = 30 }\ntimezone = \"Europe/Berlin\"\n\
         start_date = 2027-01-05\nend_date = 2028-01-05T23:59:59\n",
    ] {
        assert!(written.contains(part), "{part}\n{written}\n{said:?}");
    }
}

#[test]
fn corners_of_an_export_are_carried() {
    // 2026-11-25T23:30:00Z
    let (written, said, proof) = imported_at(CORNERS, Instant::from_secs(1_795_649_400));
    for part in [
        "\ndate = 2027-05-06T07:08:09+05:00\n",
        "\ndate = 2027-05-06T07:08:09-04:00\n",
        "timezone = \"Europe/Berlin\"\nstart_date = 2027-05-06T22:00:00-04:00\n",
        "[jobs.fold]\ncommand = [\"python3\", \"-c\", \"from mymod import f; f()\"]\n\
         date = 2027-10-31T02:30:00+01:00\n",
        "date = 2027-10-31T02:30:00\n",
        "date = 2027-10-31T02:30:00+01:00\ntimezone = \"Europe/Berlin\"\n",
        "cron = { hour = 4 }\ntimezone = \"Etc/GMT-5\"\n",
        "interval = \"3h\"\ntimezone = \"Etc/GMT-5\"\nstart_date = 2027-01-01T00:00:00+05:00\n",
        "[jobs.\"Every Second\"]\n",
        "cron = { second = \"*\" }\n",
        "[jobs.\"Or.Jitter\"]\n",
        "jitter = \"20s\"\n",
        "[jobs.ID]\n",
        "[jobs.id]\n",
        "f(float(\"NaN\"), float(\"-Infinity\"), 1000000000000000000000000000000, 1.5, ",
    ] {
        assert!(written.contains(part), "no {part:?} in\n{written}");
    }
    assert_eq!(written.matches("jitter = ").count(), 1, "{written}");
    for part in [
        "not converted: the trigger of `fixed-half`: its time zone is an offset",
        "its `next_run_time` is no due time of its trigger",
    ] {
        assert_eq!(said.iter().filter(|said| said.contains(part)).count(), 1, "{said:#?}");
    }
    assert_eq!(proof.mismatches().count(), 0, "{proof:#?}");
    for job in &proof.jobs {
        assert!(job.equal > 0 && job.not_compared.is_none(), "{job:#?}");
    }
}

/// The proof has to notice what the import could get wrong.
#[test]
fn a_window_that_begins_too_early_is_found() {
    let now = Instant::from_secs(1_795_649_400);
    let zones = Database::bundled();
    let mut draft = Draft::new(&zones);
    read(&mut draft, "x.json", CORNERS);
    let (mut written, ..) = draft.write();
    written.text = written.text.replace("T22:00:00-04:00", "T22:00:00+02:00");
    let set = jobfile::load_text("written", &written.text, &zones, now).set.unwrap();
    let proof = proof::compare(&written, &set, now, 10);
    let found: Vec<&str> = proof.mismatches().map(|job| job.id.as_str()).collect();
    assert_eq!(found, ["ny"], "{proof:#?}");
}

#[test]
fn ids_that_a_jobfile_cannot_have_are_said() {
    let text = CORNERS.replace("\"id\": \"moved\"", "\"id\": \"mo\\u0001ved\"");
    let (written, said, _) = imported(&text);
    assert!(written.contains("[jobs.mo-ved]\n"), "{written}");
    assert!(said.iter().any(|said| said.contains("the id is written as `mo-ved`")), "{said:?}");
}
