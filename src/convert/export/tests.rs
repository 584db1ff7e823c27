use super::to_crontab::crontab;
use super::to_kubernetes::kubernetes;
use super::to_systemd::systemd;
use super::*;
use crate::core::instant::Instant;
use crate::core::zone::Database;
use crate::jobfile;

const NOW: Instant = Instant::from_secs(1_795_564_800);

type To = fn(&JobSet) -> Exported;

const SIDES: [(&str, To); 3] = [
    ("crontab", crontab),
    ("systemd", systemd),
    ("kubernetes", |set| kubernetes(set, "image", NOW)),
];

fn set(text: &str) -> JobSet {
    let loaded = jobfile::load_text("x", text, &Database::bundled(), NOW);
    loaded.set.unwrap_or_else(|| panic!("{text}: {:?}", loaded.problems))
}

fn said(exported: &Exported) -> Vec<String> {
    exported.problems.iter().map(|it| format!("{}: {}", it.of, it.message)).collect()
}

/// Keys of a job, what has to stand beside them, and a value that is not the default.
const VALUES: &[(Key, &str, &str)] = &[
    (Key::Name, "", "'Night'"),
    (Key::Tags, "", "['eu']"),
    (Key::Command, "", "'y'"),
    (Key::Cron, "", "'0 4 * * *'"),
    (Key::Interval, "", "'6h'"),
    (Key::Date, "", "2027-06-01"),
    (Key::Any, "", "[{ interval = '5h' }, { interval = '6h' }]"),
    (Key::All, "", "[{ interval = '5h' }, { interval = '6h' }]"),
    (Key::After, "", "'other'"),
    (Key::Timezone, "", "'Asia/Tokyo'"),
    (Key::StartDate, "", "2027-06-01"),
    (Key::EndDate, "", "2027-06-01"),
    (Key::Except, "", "['sat']"),
    (Key::Only, "", "['sat']"),
    (Key::OnlyIf, "", "{ path = '/x' }"),
    (Key::WaitFor, "only_if = { ac_power = true }", "'5m'"),
    (Key::Jitter, "", "'1m'"),
    (Key::Spread, "", "'1m'"),
    (Key::RunOnStart, "", "true"),
    (Key::Paused, "", "true"),
    (Key::MisfireGraceTime, "", "'7m'"),
    (Key::Coalesce, "", "'all'"),
    (Key::MaxInstances, "", "3"),
    (Key::Overlap, "", "'replace'"),
    (Key::Executor, "", "'reports'"),
    (Key::RunOn, "", "'all'"),
    (Key::OnlyOn, "", "['*']"),
    (Key::OnLost, "", "'run_again'"),
    (Key::MaxWait, "", "'1h'"),
    (Key::Timeout, "", "'1h'"),
    (Key::KillAfter, "", "'1m'"),
    (Key::Retries, "", "2"),
    (Key::RetryDelay, "retries = 2", "'1m'"),
    (Key::RetryBackoff, "retries = 2", "3"),
    (Key::RetryMaxDelay, "retries = 6", "'20s'"),
    (Key::SuccessCodes, "", "[0, 3]"),
    (Key::PauseAfter, "", "3"),
    (Key::Expect, "", "'2d'"),
    (Key::WarnAfter, "", "'1h'"),
    (Key::Notify, "", "['ops']"),
    (Key::Ping, "", "'https://example.org/x'"),
    (Key::Shell, "", "['/bin/bash', '-eu']"),
    (Key::Cwd, "", "'/srv'"),
    (Key::Env, "", "{ A = '1' }"),
    (Key::EnvFile, "", "'/etc/default/a'"),
    (Key::ClearEnv, "", "true"),
    (Key::User, "", "'1000'"),
    (Key::Group, "", "'1000'"),
    (Key::Umask, "", "'027'"),
    (Key::Nice, "", "5"),
    (Key::Limits, "", "{ memory = '2GB' }"),
    (Key::Stdin, "", "'x'"),
    (Key::Output, "", "'file'"),
    (Key::KeepOutput, "", "'16KiB'"),
    (Key::OnStart, "", "'y'"),
    (Key::OnRetry, "", "'y'"),
    (Key::OnSuccess, "", "'y'"),
    (Key::OnFailure, "", "'y'"),
    (Key::OnRecovered, "", "'y'"),
    (Key::OnMissed, "", "'y'"),
    (Key::OnSkipped, "", "'y'"),
    (Key::HookTimeout, "", "'1m'"),
];

/// Of each key that a job may have, either something else is written for it, or it is said that it is lost.
#[test]
fn no_key_is_lost_in_silence() {
    let around = "[executors]\nreports = { max_workers = 2 }\n\
                  [notify.ops]\nwebhook = 'https://example.org/x'\n\
                  [jobs.other]\ncommand = 'x'\ncron = '0 3 * * *'\n";
    let job = |key: Key, beside: &str, value: Option<&str>| {
        let own = value.map(|value| format!("{} = {value}\n", key.name())).unwrap_or_default();
        let is_there = |other: Key| {
            value.is_some() && (key == other || key.is_trigger() && other == Key::Cron)
        };
        let rest = [(Key::Command, "command = 'x'\n"), (Key::Cron, "cron = '0 3 * * *'\n")];
        let rest: String = rest.into_iter().filter(|it| !is_there(it.0)).map(|it| it.1).collect();
        set(&format!("{around}[jobs.a]\n{rest}{beside}\n{own}"))
    };
    let mut silent = Vec::new();
    for &key in Key::ALL {
        let row = VALUES.iter().find(|row| row.0 == key);
        let Some((_, beside, value)) = row else { panic!("what becomes of {}?", key.name()) };
        let (without, with) = (job(key, beside, None), job(key, beside, Some(value)));
        for (side, export) in SIDES {
            let (without, with) = (export(&without), export(&with));
            let before = said(&without);
            let said = said(&with);
            let mut new = said.iter().filter(|line| !before.contains(line));
            // When an attempt is tried again is said in words.
            let is_delay = key.name().starts_with("retry_");
            let is_named = new.any(|line| {
                line.contains(key.name()) || is_delay && line.contains("before the first retry")
            });
            let is_left_out = with.text.contains("left out");
            let is_written = with.text != without.text && !is_left_out;
            let says_why = is_left_out && !with.is_whole();
            // A container has an environment of its own anyway.
            let is_so = side == "kubernetes" && key == Key::ClearEnv;
            if !(is_named || is_written || says_why || is_so) {
                silent.push(format!("{side} {}: {said:?}", key.name()));
            }
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

/// What concerns no single job is said of the jobfile, or of its executors.
#[test]
fn what_is_lost_of_the_jobfile_is_said() {
    let every_key = include_str!("../../../tests/data/jobfiles/every-key.toml");
    // Its calendar file is of no interest here.
    let every_key = every_key.replace("file = \"holidays.ics\"\n", "")
        + "[web]\nlisten = '127.0.0.1:9090'\n[notify.ops]\nwebhook = 'https://example.org/x'\n";
    for (side, export) in SIDES {
        let said = said(&export(&set(&every_key))).join("\n");
        for wanted in [
            "executor default: ",
            "executor reports: ",
            "has no max_workers: what",
            "has no max_workers, max_starts_per_second: what is due together starts together",
            "scheduler.stop_grace",
            "scheduler.reload",
            "scheduler.ping, scheduler.ping_every",
            "store.url",
            "store.keep",
            "fleet.labels, fleet.lease, fleet.name",
            "web.listen",
            "notify.ops",
        ] {
            assert!(said.contains(wanted), "{side}, {wanted}: {said}");
        }
    }
    let plain = "[scheduler]\ntimezone = 'UTC'\n[executors]\nspare = { max_workers = 2 }\n\
                 [jobs.a]\ncommand = ['/x']\ncron = '0 3 * * *'\n";
    for (side, export) in SIDES {
        assert_eq!(said(&export(&set(plain))), [""; 0], "{side}");
    }
}

/// A job that is for other hosts is not in the file, and not forgotten.
#[test]
fn jobs_of_other_hosts_are_said() {
    let text = "[jobs.a]\ncommand = ['/x']\ncron = '0 3 * * *'\n";
    let mut set = set(text);
    let only_on: Box<[Box<str>]> = Box::new(["web1".into()]);
    set.settings.elsewhere = [crate::core::job::Elsewhere { id: "b".into(), only_on }].into();
    for (side, export) in SIDES {
        let exported = export(&set);
        assert_eq!(
            said(&exported),
            ["b: it is for other hosts: export it there (`only_on`)"],
            "{side}"
        );
        assert!(!exported.is_whole());
    }
}
