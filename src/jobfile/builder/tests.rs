//! Laws of texts at run time: they are jobs as in a jobfile, and what is remembered of changes is what
//! they were.

use proptest::prelude::*;

use super::*;
use crate::core::job::Command;
use crate::core::trigger::Trigger;
use crate::jobfile::load_text;

const NOW: Instant = Instant::from_secs(1_800_000_000);

fn builder(jobfile: &str) -> (Builder, Vec<Arc<Job>>) {
    let loaded = load_text("jobs.toml", jobfile, &Database::bundled(), NOW);
    (loaded.builder.unwrap(), loaded.set.unwrap().jobs)
}

#[test]
fn a_text_is_a_job_like_any_other() {
    let defaults = "[executors]\nslow = { max_workers = 1 }\n[defaults]\nretries = 3\n";
    let keys = "command = ['x']\ncron = 'H 3 * * *'\nexecutor = 'slow'\nenv = { A = '1' }\n";
    let (_, jobs) = builder(&format!("{defaults}[jobs.a]\n{keys}"));
    let (builder, _) = builder(defaults);
    assert_eq!(builder.build("a", keys, NOW).unwrap().0, *jobs[0]);
    // Tables may be written in any way.
    let headed = "command = ['x']\ncron = 'H 3 * * *'\nexecutor = 'slow'\n[env]\nA = '1'\n";
    assert_eq!(builder.build("a", headed, NOW).unwrap().0, *jobs[0]);
    let many = builder.build_many([("a", keys), ("a", keys), ("b", "x")].into_iter(), NOW);
    assert!(many[0].is_ok() && many[2].is_err());
}

#[test]
fn every_problem_of_a_text_is_said() {
    let (builder, jobs) = builder("[jobs.a]\ncommand = 'x'\ninterval = '1h'\n");
    let rows: &[(Result<Made, Lines>, &[&str])] = &[
        (
            builder.build("a", "comand = 'x'\ninterval = '5 parsecs'\n", NOW),
            &["line 1: unknown key `comand` (did you mean `command`?)", "line 2: "],
        ),
        (builder.build("a", "command = 'x'", NOW), &["no trigger"]),
        (builder.build("", "command = 'x'\ndate = 'now'", NOW), &["the id of a job"]),
        (builder.build("a", "[jobs.b]\ncommand = 'x'\ndate = 'now'", NOW), &["unknown key"]),
        (builder.modify(&jobs[0], "cron = '* * * * *'"), &["`cron` sets when"]),
        (builder.modify(&jobs[0], ""), &["nothing to change"]),
        (builder.modify(&jobs[0], "retires = 3"), &["unknown key `retires` (did you mean"]),
        (builder.modify(&jobs[0], "executor = 'x'"), &["unknown executor `x`"]),
        (builder.reschedule(&jobs[0], "retries = 3", NOW), &["`retries` does not set"]),
        (builder.reschedule(&jobs[0], "timezone = 'UTC'", NOW), &["no trigger"]),
        (builder.reschedule(&jobs[0], "cron = '61 * * * *'", NOW), &["minute 61 is out of range"]),
    ];
    for (result, expected) in rows {
        let found = result.as_ref().unwrap_err();
        for expected in *expected {
            assert!(found.iter().any(|line| line.contains(expected)), "{expected}: {found:?}");
        }
    }
}

#[test]
fn what_is_odd_about_a_text_is_said() {
    let (builder, jobs) = builder("[jobs.a]\ncommand = 'x'\ninterval = '1h'\n");
    let add = |keys: &str| builder.build("b", &format!("command = 'x'\n{keys}"), NOW);
    let rows: &[(Result<Made, Lines>, Option<&str>)] = &[
        (add("cron = '0 0 30 2 *'"), Some("never fires: February has no day 30")),
        (add("cron = '* * * * * *'"), Some("fires every second (six fields begin")),
        (add("interval = '1h'\nend_date = 2001-01-01"), Some("`end_date` is in the past")),
        (add("cron = '0 3 * * *'"), None),
        (builder.reschedule(&jobs[0], "cron = '0 0 31 4 *'", NOW), Some("never fires")),
        (
            builder.reschedule(&jobs[0], "cron = '30 2 * * *'\ntimezone = 'Europe/Berlin'", NOW),
            Some("02:30 does not exist on 28 Mar 2027 in Europe/Berlin: runs at 03:00"),
        ),
        (builder.reschedule(&jobs[0], "interval = '2h'", NOW), None),
        (builder.modify(&jobs[0], "command = 'mail root%Hi there'"), Some("from a crontab")),
    ];
    for (result, expected) in rows {
        let (_, warnings) = result.as_ref().unwrap();
        match expected {
            Some(expected) => assert!(
                warnings.len() == 1 && warnings[0].contains(expected),
                "{expected}: {warnings:?}"
            ),
            None => assert!(warnings.is_empty(), "{warnings:?}"),
        }
    }
}

#[test]
fn what_is_changed_stands_over_the_definition() {
    let (builder, jobs) = builder(
        "[jobs.a]\ncommand = 'x'\ncron = '0 3 * * *'\ntimezone = 'Europe/Berlin'\n\
             env = { A = '1' }\nretries = 1\n",
    );
    let base = &*jobs[0];
    let first = "max_instances = 6\nenv = { B = '2' }\nname = 'The \\\"job\\\"'\n";
    let (changed, _) = builder.modify(base, first).unwrap();
    assert_eq!(changed.options.max_instances, 6);
    assert_eq!(changed.options.env.len(), 2);
    assert_eq!(changed.trigger, base.trigger);
    let overrides = builder.merge(None, first);
    assert_eq!(builder.overlay(base, &overrides).unwrap(), changed);

    let second = "cron = { hour = 4 }\nstart_date = 2026-01-01\n";
    let (again, _) = builder.reschedule(&changed, second, NOW).unwrap();
    assert_eq!(again.zone.name(), "Europe/Berlin");
    let overrides = builder.merge(Some(&overrides), second);
    assert_eq!(builder.overlay(base, &overrides).unwrap(), again);

    // A new trigger takes away all of the old one.
    let third = "interval = '5m'\ntimezone = 'UTC'\njitter = '3s'";
    let (last, _) = builder.reschedule(&again, third, NOW).unwrap();
    let overrides = builder.merge(Some(&overrides), third);
    assert!(!overrides.contains("start_date") && overrides.contains("max_instances = 6"));
    assert_eq!(builder.overlay(base, &overrides).unwrap(), last);
    assert!(matches!(last.trigger, Trigger::Interval(interval) if interval.start_date().is_none()));
    let (other, _) = builder.modify(base, "command = ['y', 'z']").unwrap();
    assert!(matches!(other.command, Command::Argv(_)));
}

/// Something that may be changed of a job: whether that is its trigger, and the text.
fn change() -> impl Strategy<Value = (bool, String)> {
    let option = prop::sample::select(vec![
        "retries = 2",
        "retries = 3\ntimeout = '5m'",
        "env = { A = '1' }",
        "env = { A = { file = 'a' }, C = '' }",
        "[env]\n'B b' = \"2\\n\"",
        "env.A = '3'",
        "env = {}",
        "name = 'a name'",
        "command = ['x', 'y']",
        "command = \"\"\"\na\nb\"\"\" # and so on",
        "executor = 'slow'\nexecutor = 'slow'",
        "executor = 'slow'",
        "success_codes = [0,\n 3]",
        "cwd = 'here'",
        "umask = 0o027\nretry_backoff = 1.5",
        "jitter = '1s'",
    ]);
    let trigger = prop::sample::select(vec![
        "cron = '0 4 * * *'",
        "cron = 'H 4 * * *'\ntimezone = 'America/New_York'",
        "cron = { hour = 4 }\nstart_date = 2026-01-01",
        "cron = ['0 4 * * *', '@daily']\njitter = '2s'",
        "interval = '5m'\nend_date = '2040-05-30'",
        "interval = { minutes = 5 }\ntimezone = 'UTC'",
        "date = 2030-03-31T02:30:00",
        "date = 'now'\njitter = '3s'",
        "cron = '61 * * * *'",
        "timezone = 'UTC'",
    ]);
    let option = option.prop_map(|text| (false, text.to_owned()));
    prop_oneof![option, trigger.prop_map(|text| (true, text.to_owned()))]
}

proptest! {
    /// What is remembered of all changes makes the job that they made one by one: a restart
    /// is no change.
    #[test]
    fn changes_one_by_one_are_what_is_remembered_of_them(
        changes in prop::collection::vec(change(), 1..8),
    ) {
        let (builder, jobs) = builder(
            "[executors]\nslow = { max_workers = 1 }\n\
             [defaults]\nend_date = 2050-01-01\nenv = { D = 'd' }\n\
             [jobs.a]\ncommand = 'x'\ncron = '0 3 * * *'\ntimezone = 'Europe/Berlin'\n\
             start_date = 2025-01-01\nenv = { A = '0' }\n",
        );
        let mut job = (*jobs[0]).clone();
        let mut overrides: Option<String> = None;
        for (is_trigger, text) in changes {
            let changed = if is_trigger {
builder.reschedule(&job, &text, NOW)
} else {
builder.modify(&job, &text)
};
            let Ok((changed, _)) = changed else { continue };
            job = changed;
            let merged = builder.merge(overrides.as_deref(), &text);
            let again = builder.overlay(&jobs[0], &merged);
            prop_assert_eq!(again.as_ref(), Ok(&job), "{}", merged);
            // It stands for itself.
            prop_assert_eq!(&builder.merge(None, &merged), &merged);
            overrides = Some(merged);
        }
    }
}

/// A job that gets another trigger keeps its options, and what is odd about the trigger is what is odd beside
/// these.
#[test]
fn what_is_odd_about_a_trigger_beside_the_options_of_its_job() {
    let options = "timezone = 'Europe/Berlin'\nexcept = ['sun']\n";
    let job = |options: &str| format!("[jobs.a]\ncommand = 'x'\ninterval = '1h'\n{options}");
    let odd = |options: &str, trigger: &str| {
        let (builder, jobs) = builder(&job(options));
        builder.reschedule(&jobs[0], trigger, NOW).map(|(_, odd)| odd)
    };
    // Clocks are changed on Sundays.
    assert_eq!(odd(options, "cron = '30 2 * * *'").unwrap(), [""; 0]);
    assert_eq!(odd("timezone = 'Europe/Berlin'", "cron = '30 2 * * *'").unwrap().len(), 1);
    let never = odd(options, "cron = '0 3 * * sun'").unwrap();
    assert!(never.len() == 1 && never[0].contains("`except` excludes every due time"), "{never:?}");
    let each = odd("run_on = 'all'", "interval = { minutes = 5, from = 'end' }").unwrap_err();
    assert!(each.len() == 1 && each[0].contains("`run_on = \"all\"` cannot be"), "{each:?}");
}
