//! Due times without a record, and times at which nothing is due.

use super::*;

#[test]
fn it_was_not_due() {
    let store = Store::new().record(run(14, "03:00", "03:00", 3, Some(Outcome::Failed(1))));
    let verdict =
        store.says("03:10", "not_due", "not due: the nearest due times are 03:00:00 and 03:30:00");
    assert_eq!(evidence(&verdict, "before"), "the one at 03:00:00 failed with exit code 1");
    assert_eq!(evidence(&verdict, "schedule"), "every 30 minutes");
    assert_eq!(verdict.due, None);
    store.says("12:30", "pending", "not due yet: in 30m 1s");
    store.says("12:31", "not_due", "not due: the nearest due times are 12:30:00 and 13:00:00");
    // Before it had this schedule.
    let store = store.with(|store| store.known.as_mut().unwrap().since = at("02:00"));
    store.says(
        "01:30",
        "unknown",
        "no record of that time is kept; it has had its current schedule since 02:00:00",
    );
}

#[test]
fn it_has_no_record() {
    let store = Store::new().record(run(14, "03:00", "03:00", 3, Some(Outcome::Succeeded)));
    let verdict = store.says(
        "01:30",
        "forgotten",
        "no record of it is kept: the oldest record is from 03:00:00",
    );
    assert!(evidence(&verdict, "rule").contains("keep"));
    let verdict = store.minute("03:30");
    assert_eq!(verdict.word, "unaccounted");
    // The latest due time is 11:30, and that is the one.
    assert_eq!(store.ask(Asked::Latest).due, Some(at("11:30")));
    let unknown = Store::new().with(|store| (store.known, store.is_running) = (None, false));
    unknown.says("03:00", "unknown", "no record: schedrs has never run this job with this store");
}

/// What was written into the jobfile since it was loaded will not be due.
#[test]
fn it_is_only_in_the_edited_file() {
    let not_loaded = "not loaded: it was added to the jobfile after schedrs last read it; \
                      `schedrs reload`";
    let store = Store::new().with(|store| store.known = None);
    for time in ["03:00", "03:10", "12:30"] {
        let verdict = store.says(time, "not_loaded", not_loaded);
        assert_eq!(verdict.next, None);
    }
    assert_eq!(store.ask(Asked::Latest).text, not_loaded);
    // It was in the file before, and was taken out.
    let again = store.record(run(14, "03:00", "03:00", 3, Some(Outcome::Succeeded)));
    let verdict = again.says("03:00", "succeeded", "run 14 succeeded after 3s");
    assert_eq!(evidence(&verdict, "now"), not_loaded);
}

#[test]
fn nobody_was_there_to_decide_it() {
    let down = |grace| {
        Store::new()
            .options(|options| options.misfire_grace_time = grace)
            .with(|store| {
                store.known.as_mut().unwrap().decided = at("10:30");
                store.sessions = vec![session(1, "00:00", "10:42", Some("10:42"))];
                store.is_running = false;
            })
            .ask(Asked::Latest)
    };
    let verdict = down(Grace::Limited(secs(60)));
    assert_eq!((verdict.word, verdict.due), ("not_running", Some(at("11:30"))));
    assert_eq!(verdict.text, "not decided: schedrs is not running; it was stopped at 10:42:00");
    assert_eq!(
        evidence(&verdict, "then"),
        "when schedrs runs again, it will be `missed`: late by 29m 59s, more than \
         misfire_grace_time = \"1m\""
    );
    let verdict = down(Grace::Limited(secs(7200)));
    assert!(evidence(&verdict, "then").contains("run late or be coalesced if that is by 13:30:00"));
    assert!(evidence(&down(Grace::Forever), "then").contains("forever"));
}

#[test]
fn it_is_paused() {
    let store = Store::new().with(|store| {
        let pause = pause("10:45", Some("14:45"), Some("migration"));
        store.known.as_mut().unwrap().pause = Some(pause);
    });
    let verdict = store.says(
        "11:30",
        "paused",
        "not run: paused by root since 10:45:00 until 14:45:00: migration",
    );
    assert_eq!(evidence(&verdict, "to change"), "`schedrs resume backup`");
    assert_eq!(verdict.next, Some(at("15:00")));
    store.says(
        "13:00",
        "paused",
        "will not run: paused by root since 10:45:00 until 14:45:00: migration",
    );
    store.says("15:00", "pending", "not due yet: in 3h");
    let store = Store::new().with(|store| store.all_paused = Some(pause("10:45", None, None)));
    let verdict =
        store.says("11:30", "paused", "not run: all jobs are paused by root since 10:45:00");
    assert_eq!(verdict.next, None);
    let verdict = Store::new().options(|options| options.paused = true).ask(Asked::Latest);
    assert_eq!(verdict.text, "not due: its definition has `paused = true`");
}

/// An answer about the past says how the job is now.
#[test]
fn what_is_paused_now() {
    let ran = || Store::new().record(run(14, "11:30", "11:30", 3, Some(Outcome::Succeeded)));
    let own = ran().with(|store| {
        store.known.as_mut().unwrap().pause = Some(pause("11:45", None, Some("migration")));
    });
    let verdict = own.says("11:30", "succeeded", "run 14 succeeded after 3s");
    assert_eq!(
        evidence(&verdict, "now"),
        "paused by root since 11:45:00: migration; `schedrs resume backup`"
    );
    let all = ran().with(|store| store.all_paused = Some(pause("11:45", Some("14:45"), None)));
    assert_eq!(
        evidence(&all.ask(Asked::Latest), "now"),
        "all jobs are paused by root since 11:45:00 until 14:45:00; `schedrs resume --all`"
    );
    let file = ran().options(|options| options.paused = true);
    assert_eq!(
        evidence(&file.ask(Asked::Latest), "now"),
        "paused: its definition says so; `schedrs resume backup`"
    );
    // There is no next due time for as long as that lasts, if it has no end.
    for (store, expected) in [
        (&own, Some("none while it is paused")),
        (&file, Some("none while it is paused")),
        (&all, None),
    ] {
        let verdict = store.ask(Asked::Latest);
        assert_eq!(verdict.next_after.as_deref(), expected);
        assert_eq!(verdict.next.is_none(), expected.is_some());
    }
    // And what runs now.
    let busy = ran().record(run(15, "11:00", "11:00", 3, None));
    let verdict = busy.says("11:30", "succeeded", "run 14 succeeded after 3s");
    assert_eq!(evidence(&verdict, "now"), "run 15 has been running since 11:00:00, for 59m 59s");
}

#[test]
fn its_date_had_passed_before_it_was_known() {
    let text = "[jobs.backup]\ncommand = 'true'\ndate = 2026-11-23T09:00:00Z";
    let loaded = crate::jobfile::load_text("t", text, &Database::bundled(), at("12:00"));
    let job = loaded.set.unwrap().jobs[0].clone();
    let verdict = Store::new().with(|store| store.job = Some(job)).ask(Asked::Latest);
    assert_eq!((verdict.word, verdict.next), ("not_due", None));
    assert_eq!(
        verdict.text,
        "not due any more: its date, 23 Nov 09:00:00, had passed when schedrs loaded it at 00:00:00"
    );
}

#[test]
fn it_has_not_been_due_yet() {
    let store = Store::new().with(|store| {
        let known = store.known.as_mut().unwrap();
        (known.since, known.decided) = (at("11:40"), at("11:40"));
    });
    let verdict = store.ask(Asked::Latest);
    assert_eq!((verdict.word, verdict.due), ("pending", Some(at("12:00"))));
    assert_eq!(verdict.text, "not due yet: its first due time is in 1s");
    let never = "[jobs.backup]\ncommand = 'true'\ncron = '0 0 30 2 *'";
    let loaded = crate::jobfile::load_text("t", never, &Database::bundled(), at("12:00"));
    let job = loaded.set.unwrap().jobs[0].clone();
    let verdict = Store::new().with(|store| store.job = Some(job)).ask(Asked::Latest);
    assert_eq!((verdict.word, verdict.next), ("never_due", None));
}

#[test]
fn a_job_that_is_gone_still_has_a_past() {
    let store = Store::new()
        .record(run(14, "03:00", "03:00", 3, Some(Outcome::Succeeded)))
        .with(|store| (store.job, store.known) = (None, None));
    let verdict = store.says("03:00", "succeeded", "run 14 succeeded after 3s");
    assert_eq!(evidence(&verdict, "job"), "it is no longer in the jobfile");
    store.says("04:00", "unknown", "no record of that time is kept");
}
