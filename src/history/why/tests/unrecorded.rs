//! Due times without a record, and times at which nothing is due.

use super::*;

#[test]
fn it_was_not_due() {
    let store = Store::new().record(run(14, "03:00", "03:00", 3, Some(Outcome::Failed(1))));
    let verdict = store.says(
        "03:10",
        "not_due",
        "not due: the due times around it are 03:00:00 and 03:30:00",
    );
    assert_eq!(evidence(&verdict, "before"), "that of 03:00:00 failed with exit code 1");
    assert_eq!(evidence(&verdict, "schedule"), "every 30 minutes");
    assert_eq!(verdict.due, None);
    store.says("12:30", "pending", "not due yet: in 30m 1s");
    store.says("12:31", "not_due", "not due: the due times around it are 12:30:00 and 13:00:00");
    // Before it had this schedule.
    let store = store.with(|store| store.known.as_mut().unwrap().since = at("02:00"));
    store.says(
        "01:30",
        "unknown",
        "no record of that time is kept; it has had its present schedule since 02:00:00",
    );
}

#[test]
fn it_has_no_record() {
    let store = Store::new().record(run(14, "03:00", "03:00", 3, Some(Outcome::Succeeded)));
    let verdict =
        store.says("01:30", "forgotten", "no record of it is kept: the oldest is that of 03:00:00");
    assert!(evidence(&verdict, "rule").contains("keep"));
    let verdict = store.minute("03:30");
    assert_eq!(verdict.word, "unaccounted");
    // The latest due time is 11:30, and that is the one.
    assert_eq!(store.ask(Asked::Latest).due, Some(at("11:30")));
    Store::new().with(|store| store.known = None).says(
        "03:00",
        "unknown",
        "no record: schedrs has never run this job with this store",
    );
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
    assert_eq!(verdict.text, "not decided: schedrs does not run; it was stopped at 10:42:00");
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
    assert_eq!(verdict.text, "not due: its definition says `paused = true`");
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
    assert_eq!(evidence(&verdict, "job"), "it is in the jobfile no more");
    store.says("04:00", "unknown", "no record of that time is kept");
}
