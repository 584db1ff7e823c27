//! What is written of a jobfile says the same when it is read: for the jobfiles that there are, and
//! for random jobs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::rng::Rng;
use crate::common::spec;
use proptest::prelude::*;
use schedrs::condition::{Conditions, DiskFree};
use schedrs::instant::Instant;
use schedrs::job::{
    Coalesce, Command, Exclusion, Executor, FleetSettings, Grace, HookKind, Job, JobHook, JobSet,
    Keep, Options, Output, Overlap, Settings,
};
use schedrs::job::{Joined, OnLost, RunOn};
use schedrs::jobfile::load_text;
use schedrs::jobfile::write::{self, Secrets};
use schedrs::limits::Limits;
use schedrs::trigger::calendar_interval::{CalendarStep, DayOfMonth};
use schedrs::trigger::combined::How;
use schedrs::trigger::cron::Schedule;
use schedrs::trigger::spread::Spread;
use schedrs::trigger::{
    CalendarIntervalTrigger, CombinedTrigger, CronTrigger, DateTrigger, FromEndTrigger,
    IntervalTrigger, Trigger,
};
use schedrs::zone::{Database, Zone};

const NOW: Instant = Instant::from_secs(1_790_000_000);

fn read(text: &str) -> JobSet {
    let loaded = load_text("written.toml", text, &Database::bundled(), NOW);
    match loaded.set {
        Some(set) => set,
        None => panic!("{:#?}\n{text}", loaded.problems),
    }
}

fn same(text: &str, a: &JobSet, b: &JobSet) {
    assert_eq!(a.executors, b.executors, "{text}");
    for (a, b) in a.jobs.iter().zip(&b.jobs) {
        assert_eq!(a, b, "{text}");
    }
    assert_eq!(a.jobs.len(), b.jobs.len(), "{text}");
    let (a, b) = (&a.settings, &b.settings);
    assert_eq!(
        (&a.zone, a.stop_grace, &a.store_url, a.keep, &a.fleet, &a.routes),
        (&b.zone, b.stop_grace, &b.store_url, b.keep, &b.fleet, &b.routes),
        "{text}"
    );
}

#[test]
fn jobfiles_are_the_same_when_they_are_written_and_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("jobs.example.toml")];
    for dir in ["examples", "examples/calendars", "tests/data/jobfiles"] {
        let all = std::fs::read_dir(root.join(dir)).unwrap();
        let all = all.map(|entry| entry.unwrap().path());
        files.extend(all.filter(|path| path.extension().is_some_and(|ext| ext == "toml")));
    }
    assert!(files.len() >= 5);
    for file in files {
        // A calendar's file is beside it.
        let beside = file.with_file_name("holidays.ics").display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        let set = read(&text.replace("holidays.ics", &beside));
        let (text, lost) = write::set(&set);
        assert!(lost.is_empty(), "{lost:?}");
        same(&text, &set, &read(&text));
    }
}

/// What each way to write something looks like.
#[test]
fn what_is_written_is_what_a_person_would_write() {
    let jobfile = r#"
[scheduler]
timezone = "Europe/Berlin"
stop_grace = "90s"
[store]
url = "sqlite:schedrs.db"
keep = { days = 30 }
[executors]
"quick ones" = { max_workers = 2 }
[defaults]
retries = 2
executor = "quick ones"
[jobs.backup]
command = 'pg_dump | zstd > "/b/$(date +%F).zst"'
cron = ["0 3 * * 1-5", "0 0 */2 * fri"]
name = "Nightly"
timeout = "90m"
[jobs."a b"]
command = ["a", "it's"]
cron = { day = "3rd fri", hour = 9 }
timezone = "America/New_York"
start_date = 2026-07-01
retries = 0
executor = "default"
env = { TOKEN = "s3cr3t", KEY = { file = "/run/key" } }
[jobs.once]
command = "true"
date = "2026-12-01"
umask = 0o022
misfire_grace_time = "forever"
[jobs.never]
command = "true"
cron = "0 3 31 2,4 *"
[jobs.year]
command = "true"
interval = { days = 365 }
shell = ["/opt/my shell"]
"#;
    let expected = r#"[scheduler]
stop_grace = "1m 30s"
timezone = "Europe/Berlin"

[store]
keep = { days = 30 }
url = "sqlite:schedrs.db"

[executors]
default = { max_workers = 20 }
"quick ones" = { max_workers = 2 }

[jobs.backup]
name = "Nightly"
command = "pg_dump | zstd > \"/b/$(date +%F).zst\""
cron = ["0 3 * * mon-fri", "0 0 */2 * fri"]
timezone = "Europe/Berlin"
executor = "quick ones"
timeout = "1h 30m"
retries = 2

[jobs."a b"]
command = ["a", "it's"]
cron = { month = "*", day = "3rd fri", hour = "9", minute = "0" }
timezone = "America/New_York"
start_date = "2026-07-01T00:00:00-04:00"
env = { KEY = { file = "/run/key" }, TOKEN = "s3cr3t" }

[jobs.once]
command = "true"
date = "2026-12-01T00:00:00+01:00"
timezone = "Europe/Berlin"
misfire_grace_time = "forever"
executor = "quick ones"
retries = 2
umask = "022"

[jobs.never]
command = "true"
cron = "0 3 31 feb,apr *"
timezone = "Europe/Berlin"
executor = "quick ones"
retries = 2

[jobs.year]
command = "true"
interval = "365d"
timezone = "Europe/Berlin"
executor = "quick ones"
retries = 2
shell = ["/opt/my shell"]
"#;
    let set = read(jobfile);
    let (text, lost) = write::set(&set);
    assert_eq!(text, expected);
    assert!(lost.is_empty(), "{lost:?}");
    same(&text, &set, &read(&text));

    let json =
        |secrets| serde_json::Value::Object(write::json(&set.jobs[1], &set.executors, secrets));
    let expected = |token| {
        serde_json::json!({
            "command": ["a", "it's"],
            "cron": { "month": "*", "day": "3rd fri", "hour": "9", "minute": "0" },
            "timezone": "America/New_York",
            "start_date": "2026-07-01T00:00:00-04:00",
            "env": { "TOKEN": token, "KEY": { "file": "/run/key" } },
        })
    };
    assert_eq!(json(Secrets::Masked), expected("***"));
    assert_eq!(json(Secrets::Written), expected("s3cr3t"));
}

#[test]
fn paths_are_made_absolute_where_that_is_wanted() {
    let set = read(
        "[jobs.a]\ncommand = 'true'\ndate = 'now'\ncwd = 'work'\nenv_file = '/etc/a'\n\
         env = { A = { file = 'key' } }\n\
         only_if = { path = ['m', '/n'], disk_free = { path = 'd', above = '1GB' } }\n",
    );
    let job = write::rooted(&set.jobs[0], Path::new("/srv"));
    assert_eq!(job.options.cwd.as_deref(), Some("/srv/work"));
    assert_eq!(job.options.env_file.as_deref(), Some("/etc/a"));
    assert_eq!(job.options.secrets.values().next().map(|path| &**path), Some("/srv/key"));
    let conditions = job.options.only_if.as_ref().unwrap();
    assert_eq!(conditions.path.iter().map(|path| &**path).collect::<Vec<_>>(), ["/srv/m", "/n"]);
    assert_eq!(conditions.disk_free.as_ref().map(|disk| &*disk.path), Some("/srv/d"));
    assert_eq!(*write::rooted(&job, Path::new("/opt")), *job);
}

#[test]
fn what_cannot_be_written_is_said() {
    // A table that never matches, of which nothing is kept that would say so again.
    let set = read(
        "[scheduler]\ntimezone = 'UTC'\n[jobs.a]\ncommand = 'true'\n\
         cron = { day = '1st mon', day_of_week = 'tue' }\n",
    );
    let (text, lost) = write::set(&set);
    assert_eq!(lost.len(), 1);
    assert!(lost[0].starts_with("job a: a schedule that is never due"));
    assert!(text.contains("# a schedule that is never due"), "{text}");
    assert_eq!(read(&text).jobs[0].trigger.next_after(NOW), None);
    // The zone of a machine that only has a copy of its rules.
    let zone = Database::bundled().local(Some("XST-5XDT,M3.2.0,M11.1.0"));
    let set = JobSet { settings: Settings { zone, ..set.settings }, jobs: Vec::new(), ..set };
    let (text, lost) = write::set(&set);
    assert_eq!(lost.len(), 1);
    assert!(lost[0].contains("XST-5XDT"));
    read(&text);
}

fn zone() -> impl Strategy<Value = Zone> {
    const ZONES: [&str; 6] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kathmandu",
        "Africa/Monrovia",
        "Australia/Lord_Howe",
    ];
    prop::sample::select(&ZONES).prop_map(|name| Database::bundled().get(name).unwrap())
}

fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![
        (-5_000_000_000..200_000_000_000_i64).prop_map(Instant::from_secs),
        (Instant::MIN.micros()..Instant::LAST.micros()).prop_map(Instant::from_micros),
    ]
}

/// `start_date` and `end_date`.
fn window() -> impl Strategy<Value = (Option<Instant>, Option<Instant>)> {
    let bound = || prop::option::of(instant());
    (bound(), bound()).prop_map(|(start, end)| match (start, end) {
        (Some(start), Some(end)) => (Some(start.min(end)), Some(start.max(end))),
        other => other,
    })
}

fn trigger(zone: Zone) -> impl Strategy<Value = Trigger> {
    let cron_zone = zone.clone();
    let date = prop_oneof![
        instant().prop_map(DateTrigger::At),
        Just(DateTrigger::Now),
        Just(DateTrigger::Reboot)
    ];
    let every = prop_oneof![1..5_000_000_u64, 1..i64::MAX as u64];
    let interval = (every, window()).prop_map(|(every, (start, end))| {
        IntervalTrigger::new(Duration::from_micros(every), start, end)
    });
    // A table has whole seconds.
    let from_end = (1..5_000_000_u64, window()).prop_map(|(wait, (start, end))| {
        FromEndTrigger::new(Duration::from_secs(wait), start, end)
    });
    let cron =
        (any::<u64>(), 0..4_usize, window()).prop_map(move |(seed, several, (start, end))| {
            let mut rng = Rng::new(seed);
            let schedules: Vec<Schedule> = match several {
                0 => vec![spec::schedule(&spec::fields(&mut rng, None, true).text)],
                _ => (0..several)
                    .map(|_| spec::schedule(&spec::crontab(&mut rng, None, true).text))
                    .collect(),
            };
            CronTrigger::new(schedules, cron_zone.clone(), start, end)
        });
    let calendar_zone = zone.clone();
    let day = prop_oneof![
        Just(None),
        (1u32..=31).prop_map(|day| Some(DayOfMonth::Day(day))),
        Just(Some(DayOfMonth::Last)),
    ];
    let step = (0u32..100, 0u32..100, day, prop::option::of(0u32..86_400));
    let calendar = (step, window()).prop_map(move |((months, days, day, time), (start, end))| {
        let days = if months == 0 { days.max(1) } else { days };
        let day = day.filter(|_| months > 0 && days == 0);
        let step = CalendarStep { months, days, day, time };
        CalendarIntervalTrigger::new(step, calendar_zone.clone(), start, end)
    });
    let single = prop_oneof![
        calendar.prop_map(|calendar| Trigger::Calendar(Arc::new(calendar))),
        date.prop_map(Trigger::Date),
        interval.prop_map(Trigger::Interval),
        from_end.prop_map(Trigger::FromEnd),
        cron.prop_map(|cron| Trigger::Cron(Arc::new(cron))),
    ]
    .boxed();
    // What is impossible loses its text, and the start of the scheduler stands for itself.
    let alone = |part: &Trigger| match part {
        Trigger::Date(date) => matches!(date, DateTrigger::At(_)),
        Trigger::FromEnd(_) => false,
        Trigger::Cron(cron) => !CronTrigger::new(cron.schedules(), Zone::utc(), None, None).never(),
        _ => true,
    };
    let inner = single.clone().prop_filter("it cannot be there", alone);
    let how = prop_oneof![Just(How::Any), Just(How::All)];
    let combined = (how, prop::collection::vec(inner, 1..4))
        .prop_map(|(how, parts)| Trigger::Combined(Arc::new(CombinedTrigger::new(how, parts))))
        .boxed();
    prop_oneof![30 => single, 1 => combined]
}

/// A text that can be given to a program.
fn text() -> impl Strategy<Value = Box<str>> {
    let plain = "[a-z \"'\\\\$#=\\[\\]{},.\n\t]{1,20}";
    prop_oneof!["[a-z]{1,8}", plain, "[^\0]{1,20}"].prop_map(Into::into)
}

/// One that is not blank either.
fn word() -> impl Strategy<Value = Box<str>> {
    text().prop_map(|text| format!("w{text}").into())
}

fn words() -> impl Strategy<Value = Box<[Box<str>]>> {
    (word(), prop::collection::vec(prop_oneof![text(), Just("".into())], 0..4))
        .prop_map(|(first, rest)| [vec![first], rest].concat().into())
}

fn variables() -> impl Strategy<Value = BTreeMap<Box<str>, Box<str>>> {
    let name = text().prop_map(|name| format!("N{}", name.replace('=', "")).into());
    prop::collection::btree_map(name, text(), 0..5)
}

fn joined() -> impl Strategy<Value = BTreeMap<Box<str>, Joined>> {
    let around = prop_oneof![
        text().prop_map(|text| Joined { before: Some(text), after: None }),
        (text(), text())
            .prop_map(|(before, after)| Joined { before: Some(before), after: Some(after) }),
    ];
    let name = text().prop_map(|name| format!("J{}", name.replace('=', "")).into());
    prop::collection::btree_map(name, around, 0..3)
}

fn span() -> impl Strategy<Value = Duration> {
    let whole = (1..100_000_u64).prop_map(Duration::from_secs);
    prop_oneof![whole, (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n))]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![word().prop_map(Command::Shell), words().prop_map(Command::Argv)]
}

fn hooks() -> impl Strategy<Value = BTreeMap<HookKind, JobHook>> {
    let hook = (command(), any::<bool>(), 0..=JobHook::MOST_RETRIES);
    let hooks = prop::collection::btree_map(prop::sample::select(&HookKind::ALL), hook, 0..4);
    hooks.prop_map(|hooks| {
        let hook = |(kind, (command, once, retries))| {
            (kind, JobHook { command, once: once && kind == HookKind::Failure, retries })
        };
        hooks.into_iter().map(hook).collect()
    })
}

fn options() -> impl Strategy<Value = Options> {
    use prop::option::of;
    let process =
        (words(), of(word()), variables(), (variables(), joined()), of(word()), any::<bool>());
    let account = (of(word()), of(word()), of(0..=0o777_u32), of(-20..=19_i32), of(".*"));
    let late = prop_oneof![Just(Grace::Forever), span().prop_map(Grace::Limited)];
    let coalesce = prop::sample::select(&[Coalesce::Latest, Coalesce::Earliest, Coalesce::All]);
    let overlap = prop::sample::select(&[Overlap::Skip, Overlap::Queue, Overlap::Replace]);
    let due = ((span(), span()), late, of(span()), coalesce, 1..=u32::MAX, overlap);
    let attempt = (of(span()), span(), any::<u32>(), span(), 1.0..1e9_f64, span());
    let output = prop::sample::select(&[Output::Pass, Output::File, Output::Discard]);
    let run_on = prop_oneof![
        Just(RunOn::One),
        Just(RunOn::All),
        prop::collection::vec("[a-z ✓]{1,4}".prop_map(Box::from), 1..3)
            .prop_map(|labels| RunOn::Labels(labels.into())),
    ];
    let codes = prop::collection::vec(any::<u8>(), 1..4);
    let on_lost = prop::sample::select(&[OnLost::Leave, OnLost::RunAgain]);
    let tags = prop::collection::vec("[a-z ✓]{1,4}".prop_map(Box::from), 0..3);
    let tags = (tags, hooks());
    let only_on = prop::collection::vec("[a-z?]{1,3}\\*?".prop_map(Box::from), 0..3);
    let rest = (codes, output, any::<bool>(), any::<bool>(), (run_on, on_lost, tags, only_on));
    (process, account, due, attempt, rest).prop_map(|(process, account, due, attempt, rest)| {
        let (shell, cwd, env, (mut secrets, mut joined), env_file, clear_env) = process;
        let (user, group, umask, nice, stdin) = account;
        let ((jitter, most), misfire_grace_time, max_wait, coalesce, max_instances, overlap) = due;
        let (timeout, kill_after, retries, retry_delay, retry_backoff, retry_max_delay) = attempt;
        let (success_codes, output, paused, run_on_start, (run_on, on_lost, tags, only_on)) = rest;
        let (tags, hooks) = tags;
        secrets.retain(|name, _| !env.contains_key(name));
        joined.retain(|name, _| !env.contains_key(name) && !secrets.contains_key(name));
        let stdin = stdin.map(Into::into);
        let keep_output = nice.map(|nice| nice.unsigned_abs() * 1000);
        let (timeout, success_codes) =
            (timeout.filter(|span| !span.is_zero()), success_codes.into());
        let expect = timeout.map(|timeout| timeout.saturating_mul(7));
        let hook_timeout = expect.unwrap_or(Duration::from_secs(30));
        Options {
            shell,
            cwd,
            env,
            secrets,
            joined,
            env_file,
            clear_env,
            user,
            group,
            umask,
            nice,
            limits: limits(nice),
            only_if: conditions(nice),
            wait_for: timeout.unwrap_or_default(),
            stdin,
            keep_output,
            jitter,
            spread: Spread { most, machine: 0 },
            misfire_grace_time,
            max_wait,
            pause_after: NonZero::new(retries),
            expect,
            warn_after: expect,
            coalesce,
            max_instances,
            overlap,
            timeout,
            kill_after,
            retries,
            retry_delay,
            retry_backoff,
            retry_max_delay,
            success_codes,
            output,
            paused,
            run_on_start,
            excluded: match run_on_start {
                true => Exclusion::of_windows(&["sat 22:00..sun 04:00", "12-25"], &["mon..fri"])
                    .unwrap(),
                false => Exclusion::default(),
            },
            run_on,
            on_lost,
            only_on: only_on.into(),
            tags: tags.into(),
            notify: Box::new([]),
            ping: None,
            hooks,
            hook_timeout,
        }
    })
}

/// One or more conditions, by a number.
fn conditions(number: Option<i32>) -> Option<Arc<Conditions>> {
    let number = number?;
    let bytes = u64::from(number.unsigned_abs());
    let disk = DiskFree { path: format!("/{number}").into(), above: bytes << 20 };
    Some(Arc::new(Conditions {
        path: (0..number % 3).map(|path| format!("/a {path}").into()).collect(),
        load_below: Some(f64::from(number.unsigned_abs()) + 0.25),
        disk_free: (number % 3 == 0).then_some(disk),
        ac_power: (number % 5 == 0).then_some(number > 0),
        command: (number > 5).then(|| Command::Argv(Box::new(["x".into(), "y z".into()]))),
    }))
}

/// One or more of each kind, by a number.
fn limits(number: Option<i32>) -> Option<Arc<Limits>> {
    let number = u64::from(number?.unsigned_abs());
    let (is_odd, most) = (number % 2 == 1, number + 1);
    Some(Arc::new(Limits {
        open_files: is_odd.then_some(most),
        core: Some(number),
        file_size: is_odd.then_some(most << 30),
        processes: (number % 3 == 0).then_some(most),
        cpu_time: is_odd.then(|| Duration::from_secs(most)),
        memory: Some(most * 1_000_000_000),
        swap: is_odd.then_some(number << 20),
        cpu: Some(most as u32 * 250),
        tasks: is_odd.then_some(most),
        required: number % 3 > 0,
    }))
}

fn job() -> impl Strategy<Value = Job> {
    let id =
        "\\PC{1,20}".prop_filter("no control characters", |id| !id.chars().any(char::is_control));
    let command = command();
    let options = prop_oneof![Just(Options::default()), options()];
    let when = zone().prop_flat_map(|zone| (trigger(zone.clone()), Just(zone)));
    (id, prop::option::of(word()), command, when, 0..3_u16, options).prop_map(
        |(id, name, command, (trigger, zone), executor, mut options)| {
            if matches!(trigger, Trigger::FromEnd(_)) && options.run_on == RunOn::All {
                options.run_on = RunOn::One;
            }
            let (id, options) = (id.into(), Arc::new(options));
            Job { id, name, command, trigger, zone, executor, options }
        },
    )
}

#[test]
fn what_follows_other_jobs_is_written_so() {
    let rows = [
        "after = \"load\"",
        "after = [\"load\", \"other\"]",
        "after = { all = [\"load\"], on = \"failed\" }",
        "after = { all = [\"load\", \"other\"], on = \"finished\", within = \"6h\" }",
    ];
    for after in rows {
        let of = |id: &str| format!("[jobs.{id}]\ncommand = 'x'\ninterval = '1h'\n");
        let text = format!("{}{}[jobs.report]\ncommand = 'x'\n{after}\n", of("load"), of("other"));
        let set = read(&text);
        let mut written = String::new();
        let report = &set.jobs[2];
        write::job(&mut written, report, &set.executors, Secrets::Written);
        assert!(written.contains(&format!("{after}\n")), "{written}");
    }
}

fn jobs() -> impl Strategy<Value = JobSet> {
    let keep = (prop::option::of(1..=u32::MAX), prop::option::of(1..=u32::MAX));
    let settings = (zone(), span(), prop::option::of("[a-z/ \"]{1,9}"), keep);
    let names = ("[a-z]{1,5} ", "[\"'.\\\\a-zé]{1,9}");
    let jobs = prop::collection::vec(job(), 0..4);
    (settings, names, 1..100_u32, jobs).prop_map(|(settings, names, max_workers, mut jobs)| {
        let (zone, stop_grace, file, (runs, days)) = settings;
        let store_url = file.map(|file| format!("sqlite:{file}"));
        let output = days.map(|days| days % 262_145);
        let keep = Keep { runs, days, output };
        let name = runs.map(|runs| format!("web{runs}"));
        let labels = vec!["disk".into(); days.map_or(0, |days| days as usize % 3)];
        let lease = Duration::from_secs(3 + u64::from(max_workers) % 500);
        let fleet = FleetSettings { name, labels, lease };
        let names = ["default", &names.0, &names.1];
        jobs.sort_by(|a, b| a.id.cmp(&b.id));
        jobs.dedup_by(|a, b| a.id == b.id);
        JobSet {
            settings: Settings {
                zone,
                stop_grace,
                reload_auto: false,
                store_url,
                keep,
                fleet,
                elsewhere: [].into(),
                routes: [].into(),
                calendars: [].into(),
                heartbeat: None,
                web: Default::default(),
            },
            executors: names
                .map(|name| Executor {
                    name: name.into(),
                    max_workers,
                    max_starts_per_second: NonZero::new(max_workers / 3),
                })
                .into(),
            jobs: jobs.into_iter().map(Arc::new).collect(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_is_written_is_read_again(mut set in jobs()) {
        let (text, lost) = write::set(&set);
        let mut again = read(&text);
        // Only ever a schedule that is never due is lost, and then it still is not.
        let mut lost = lost.len();
        for at in (0..set.jobs.len()).rev() {
            let (was, is) = (&set.jobs[at], &again.jobs[at]);
            if write::job(&mut String::new(), was, &set.executors, Secrets::Written).is_none() {
                continue;
            }
            lost -= 1;
            for after in [Instant::MIN, NOW, NOW.plus(Duration::from_secs(1 << 30))] {
                prop_assert_eq!(was.trigger.next_after(after), is.trigger.next_after(after));
            }
            let (Trigger::Cron(a), Trigger::Cron(b)) = (&was.trigger, &is.trigger) else {
                panic!("{was:?}");
            };
            for (a, b) in a.schedules().iter().zip(b.schedules()) {
                prop_assert!(a == b || a.next_at_or_after(0).is_none() && b.next_at_or_after(0).is_none());
            }
            set.jobs.remove(at);
            again.jobs.remove(at);
        }
        prop_assert_eq!(lost, 0);
        same(&text, &set, &again);
    }
}
