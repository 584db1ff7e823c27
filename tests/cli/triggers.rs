//! What a jobfile can say of when a job is due can be said to a running scheduler, in the form that it has
//! there.

use crate::harness::Bench;

/// What is shown of a job at a pointer.
fn shown(bench: &Bench, id: &str, key: &str) -> String {
    let shown = bench.out(&["show", id, "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown.pointer(key).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn every_trigger_can_be_typed() {
    let bench = Bench::new(
        "[scheduler]\ntimezone = 'UTC'\n[calendars.free]\ndays = ['12-25']\n\
         [jobs.load]\ncommand = 'true'\ncron = '0 3 * * *'\n",
    );
    let running = bench.listening();
    let any = r#"[{ cron = "0 9 * * *" }, { interval = "5h", start_date = 2026-01-01 }]"#;
    for (at, (flags, written)) in [
        (
            &["--every", "{ months = 1, day = 'last', hour = 18 }"][..],
            r#"interval = { day = "last", hour = 18, months = 1 }"#,
        ),
        (&["--every", "{ minutes = 10, from = 'end' }"], r#"from = "end""#),
        (&["--cron", "{ day = '3rd fri', hour = 9 }"], "cron = { day = \"3rd fri\""),
        (&["--cron", "['0 3 * * *', '0 4 * * *']"], r#"cron = ["0 3 * * *", "0 4 * * *"]"#),
        (&["--any", any], r#"any = [{ cron = "0 9 * * *"#),
        (
            &["--all", "[{ cron = '0 9 13 * *' }, { cron = '* * * * fri' }]"],
            r#"all = [{ cron = "0 9 13 * *"#,
        ),
        (&["--after", "load"], "after = "),
        (&["--after", "{ all = ['load'], on = 'finished', within = '6h' }"], "within = \"6h\""),
    ]
    .iter()
    .enumerate()
    {
        let id = format!("job-{at}");
        let add = [&["add", "--id", &id], *flags, &["--", "true"]].concat();
        bench.out(&add);
        let added = shown(&bench, &id, "/toml");
        assert!(added.contains(written), "{flags:?}: {added}");
        // And over a trigger that is there.
        let other = format!("other-{at}");
        bench.out(&["add", "--id", &other, "--every", "1h", "--", "true"]);
        bench.out(&[&["reschedule", &other], *flags].concat());
        let schedules = [id, other].map(|id| shown(&bench, &id, "/job/schedule"));
        assert_eq!(schedules[0], schedules[1], "{flags:?}");
    }
    bench.out(&["every", "{ weeks = 2, hour = 9 }", "--id", "weeks", "--", "true"]);
    bench.out(&["modify", "job-0", "--except", r#"["free", "sun"]"#, "--env", "{ A = 'b' }"]);
    let exported = bench.out(&["export"]);
    assert!(exported.contains(r#"except = ["free", "sun"]"#), "{exported}");
    for (args, said) in [
        (
            &["add", "--id", "x", "--any", "0 9 * * *", "--", "true"][..],
            "an array of triggers as in a jobfile",
        ),
        (&["add", "--id", "x", "--any", any, "--every", "1h", "--", "true"], "cannot be used with"),
        (&["add", "--id", "x", "--after", "nobody", "--", "true"], "nobody"),
        (&["modify", "job-0", "--except", "[sun]"], "an array as in a jobfile"),
        (&["every", "1y", "--", "true"], "`interval = { years = 1 }`"),
        (&["add", "--id", "x", "--every", "1month", "--", "true"], "`interval = { months = 1 }`"),
        (&["add", "--id", "x", "--in", "1y", "--", "true"], "in days, as in `30d`"),
    ] {
        let (_, stderr, code) = bench.ask(args);
        assert!(code != Some(0) && stderr.contains(said), "{args:?}: {stderr}");
    }
    running.stop();
}
