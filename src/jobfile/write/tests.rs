//! Every key goes round: written, read and written again.

use super::*;
use crate::core::zone::Database;
use crate::jobfile::load_text;

const NOW: Instant = Instant::from_secs(1_800_000_000);

fn load(text: &str) -> JobSet {
    let loaded = load_text("jobs.toml", text, &Database::bundled(), NOW);
    loaded.set.unwrap_or_else(|| panic!("{:?}\n{text}", loaded.problems))
}

/// What is written means what was read, and is written the same again.
#[track_caller]
fn goes_round(text: &str) -> String {
    let first = load(text);
    let (written, lost) = set(&first);
    assert!(lost.is_empty(), "{lost:?}");
    let second = load(&written);
    assert_eq!(first.jobs, second.jobs, "{written}");
    assert_eq!(first.executors, second.executors);
    assert_eq!(first.settings.stop_grace, second.settings.stop_grace);
    assert_eq!(first.settings.store_url, second.settings.store_url);
    assert_eq!(first.settings.keep, second.settings.keep);
    assert_eq!(set(&second).0, written);
    written
}

#[test]
fn the_example_goes_round() {
    goes_round(include_str!("../../../jobs.example.toml"));
    for example in ["apscheduler", "container", "server-backup"] {
        let path = format!("{}/examples/{example}.toml", env!("CARGO_MANIFEST_DIR"));
        goes_round(&std::fs::read_to_string(path).unwrap());
    }
}

/// What a variable of `[defaults]` is read from, and what a job puts around it, are no one value.
#[test]
fn what_cannot_be_said_of_a_variable_is_told() {
    let defaults = "[defaults]\nenv = { P = '/bin', S = { file = '/s' }, T = { file = '/t' } }\n";
    let job = "[jobs.a]\ncommand = 'x'\ninterval = '1h'\nenv = { ";
    let rows = [
        ("P = { append = '/x' }", vec![]),
        ("S = { append = '/x' }", vec!["S"]),
        ("S = { append = '/x' }, T = { prepend = '/y' }", vec!["S", "T"]),
        // Another value has taken the place of the secret.
        ("S = 'plain'", vec![]),
    ];
    for (env, lost) in rows {
        let (written, told) = set(&load(&format!("{defaults}{job}{env} }}\n")));
        let why = |name| format!("what is put around the secret of variable {name} is left out");
        let lost: Vec<String> = lost.into_iter().map(why).collect();
        let expected = format!("job a: {}", lost.join("; "));
        assert_eq!(told, if lost.is_empty() { vec![] } else { vec![expected] }, "{env}");
        assert!(lost.iter().all(|why| written.contains(&format!("# {why}\n"))), "{written}");
        load(&written);
    }
}

#[test]
fn every_option_goes_round() {
    let all = r#"
            [scheduler]
            timezone = "America/New_York"
            stop_grace = "5s"
            [store]
            url = "sqlite:x.db"
            keep = { runs = 7 }
            [executors]
            default = { max_workers = 3 }
            "a b" = { max_workers = 1 }
            [defaults]
            retries = 1
            [jobs."a \"b\" ä"]
            name = "The\ttab"
            command = "echo \"$X\" \\ '\u001b'"
            cron = ["0 9 * * mon-fri", "30 22 1 * *", "0 4 L * *"]
            timezone = "Europe/Berlin"
            start_date = 2026-01-01
            end_date = "2027-05-30T10:00:00.5"
            jitter = "1m 30s"
            run_on_start = true
            paused = true
            misfire_grace_time = "forever"
            coalesce = "all"
            max_instances = 4
            overlap = "replace"
            executor = "a b"
            max_wait = "2h"
            timeout = "1ms"
            kill_after = "0s"
            retries = 0
            retry_delay = "1s"
            retry_backoff = 1.5
            retry_max_delay = "1day"
            success_codes = [0, 3]
            shell = ["bash", "-eu"]
            cwd = "/tmp"
            env = { A = "1", "B-C" = "'\"\n", T = { file = "/run/t" } }
            env_file = "/etc/x"
            clear_env = true
            user = "nobody"
            group = "1000"
            umask = "022"
            nice = -5
            stdin = "in\n"
            output = "file"
            [jobs.table]
            command = ["a", "b c", ""]
            cron = { month = "6-8,11-12", day = "3rd fri", hour = "0-3" }
            [jobs.reboot]
            command = "x"
            cron = "@reboot"
            [jobs.now]
            command = "x"
            date = "now"
            [jobs.date]
            command = "x"
            date = 2027-03-14T02:30:00
            [jobs.interval]
            command = "x"
            interval = { days = 1, minutes = 3 }
            shell = "/bin/zsh"
        "#;
    let written = goes_round(all);
    assert!(written.contains("[jobs.\"a \\\"b\\\" ä\"]"), "{written}");
    let set = load(all);
    for job in &set.jobs {
        let object = json(job, &set.executors, Secrets::Masked);
        assert!(object.values().all(|value| !value.is_null()), "{object:?}");
    }
    let object = json(&set.jobs[0], &set.executors, Secrets::Masked);
    assert_eq!(object["env"]["A"], "***");
    assert_eq!(object["env"]["T"]["file"], "/run/t");
    let object = json(&set.jobs[1], &set.executors, Secrets::Written);
    assert_eq!(object["cron"]["day"], "3rd fri");
}
