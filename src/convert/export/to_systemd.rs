//! Jobs as systemd units: for each a `.service` and a `.timer`, one below the other as `systemctl
//! cat` shows them, with the name of the file in a comment above it.

mod calendar;

use std::fmt::Write;
use std::time::Duration;

use calendar::calendars;

use super::{Exported, Side, hooks, whole_secs, with_own_home};
use crate::core::condition::Conditions;
use crate::core::instant::Instant;
use crate::core::job::{Command, Grace, Job, JobSet, Options, Output, below_home};
use crate::core::trigger::after::On;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::jobfile::keys::Key;

/// A timer and its service.
const SIDE: Side = Side {
    name: "systemd",
    keys: &[
        Key::RunOnStart,
        Key::Jitter,
        Key::Spread,
        Key::MisfireGraceTime,
        Key::OnlyIf,
        Key::Group,
        Key::EnvFile,
        Key::Nice,
        Key::Limits,
        Key::Umask,
        Key::SuccessCodes,
        Key::OnStart,
        Key::OnRetry,
        Key::OnSuccess,
        Key::OnFailure,
        Key::OnRecovered,
        Key::OnMissed,
        Key::OnSkipped,
    ],
    settings: &[],
};

/// The jobs of a set as units.
pub fn systemd(set: &JobSet) -> Exported {
    let mut exported = Exported::default();
    let mut out = String::new();
    let mut names = std::collections::BTreeSet::new();
    for job in &set.jobs {
        let Some(when) = when(job, &mut exported) else {
            let why = exported.problems.last().map_or("", |unsaid| unsaid.message.as_str());
            let _ = writeln!(out, "# {} is left out: {why}\n", escaped(&job.id));
            continue;
        };
        let mut name = unit_name(&job.id);
        while !names.insert(name.clone()) {
            name.push('_');
        }
        service(job, &name, &mut out, &mut exported);
        timer(job, &name, &when, &mut out, &mut exported);
        let mut unsaid = SIDE.lacks(job, set);
        let grace = job.options.misfire_grace_time;
        let is_short = grace != Grace::Forever && grace != Options::default().misfire_grace_time;
        unsaid.extend(is_short.then_some("misfire_grace_time"));
        unsaid.extend((job.options.output == Output::File).then_some("output = \"file\""));
        unsaid.extend((!job.options.secrets.is_empty()).then_some("env of files"));
        unsaid.extend((!job.options.joined.is_empty()).then_some("env that appends"));
        if !unsaid.is_empty() {
            exported.note(job, format!("systemd has no {}", unsaid.join(", ")));
        }
        let hooks: Vec<&str> = hooks(&job.options).collect();
        if !hooks.is_empty() {
            let message = "left out: systemd's OnFailure= and OnSuccess= start units, not commands";
            exported.note(job, format!("{} is {message}", hooks.join(", ")));
        }
    }
    SIDE.note_rest(set, &mut exported);
    exported.text = out;
    exported
}

/// An id as the name of a unit.
fn unit_name(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    id.chars().map(|c| if plain(c) { c } else { '-' }).take(200).collect()
}

fn timer(job: &Job, name: &str, when: &[String], out: &mut String, exported: &mut Exported) {
    let options = &job.options;
    // Writing to a string never fails.
    let _ = writeln!(out, "# /etc/systemd/system/{name}.timer\n[Unit]");
    let _ = writeln!(out, "Description={}\n\n[Timer]", description(job));
    for line in when {
        let _ = writeln!(out, "{line}");
    }
    if options.run_on_start {
        out.push_str("OnBootSec=0\n");
    }
    // The default is a minute.
    out.push_str("AccuracySec=1s\n");
    let (jitter, spread) = (options.jitter, options.spread.most);
    if !jitter.is_zero() {
        let _ = writeln!(out, "RandomizedDelaySec={}", whole_secs(jitter));
        if !spread.is_zero() {
            let _ = writeln!(out, "RandomizedOffsetSec={}", whole_secs(spread));
            exported.note(
                job,
                "`spread` together with `jitter` needs systemd 258: `RandomizedOffsetSec=`",
            );
        }
    } else if !spread.is_zero() {
        let _ = writeln!(out, "RandomizedDelaySec={}\nFixedRandomDelay=true", whole_secs(spread));
    }
    if options.misfire_grace_time == Grace::Forever {
        out.push_str("Persistent=true\n");
    }
    out.push_str(if options.paused { "\n" } else { "\n[Install]\nWantedBy=timers.target\n\n" });
}

fn service(job: &Job, name: &str, out: &mut String, exported: &mut Exported) {
    let options = &job.options;
    let _ = writeln!(out, "# /etc/systemd/system/{name}.service\n[Unit]");
    let _ = writeln!(out, "Description={}", description(job));
    let condition = options.only_if.as_deref().and_then(|it| conditions(it, job, out, exported));
    out.push_str("\n[Service]\nType=oneshot\n");
    if let Some(command) = condition {
        let _ = writeln!(out, "ExecCondition={}", command_line(command, options));
    }
    let words = words_of(&job.command, options);
    if words.first().is_some_and(|word| !word.starts_with('/')) {
        exported.note(job, "systemd looks for the program in its own path, not the job's");
    }
    let _ = writeln!(out, "ExecStart={}", command_line(&job.command, options));
    let mut path = |path: &str| {
        let path = with_own_home(path, options);
        match (below_home(&path), &options.user) {
            (None, _) => Some(escaped(&path)),
            (Some(below), None) => Some(format!("%h{}", escaped(below))),
            (Some(_), Some(_)) => {
                exported.note(job, "systemd cannot express a path below the home of `user`");
                None
            }
        }
    };
    let directory = match options.cwd.as_deref() {
        Some(cwd) if below_home(&with_own_home(cwd, options)) == Some("") => Some("~".to_owned()),
        cwd => cwd.and_then(&mut path),
    };
    let env_file = options.env_file.as_deref().and_then(path);
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(out, "{key}={value}");
        }
    };
    let text = |text: &Option<Box<str>>| text.as_deref().map(escaped);
    set("User", text(&options.user));
    set("Group", text(&options.group));
    set("WorkingDirectory", directory);
    for (name, value) in &options.env {
        set("Environment", Some(quoted(&format!("{name}={value}"))));
    }
    set("EnvironmentFile", env_file);
    set("Nice", options.nice.map(|nice| nice.to_string()));
    if let Some(limits) = &options.limits {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        set("LimitNOFILE", number(limits.open_files));
        set("LimitCORE", number(limits.core));
        set("LimitFSIZE", number(limits.file_size));
        set("LimitNPROC", number(limits.processes));
        set("LimitCPU", limits.cpu_time.map(|span| whole_secs(span).to_string()));
        set("MemoryMax", number(limits.memory));
        set("MemorySwapMax", number(limits.swap));
        set("CPUQuota", limits.cpu.map(|cpu| format!("{}%", f64::from(cpu) / 10.0)));
        set("TasksMax", number(limits.tasks));
    }
    set("UMask", options.umask.map(|umask| format!("{umask:04o}")));
    set("TimeoutStartSec", options.timeout.map(|span| whole_secs(span).to_string()));
    set("TimeoutStopSec", Some(whole_secs(options.kill_after).to_string()));
    if *options.success_codes != [0] {
        let codes: Vec<String> = options.success_codes.iter().map(u8::to_string).collect();
        set("SuccessExitStatus", Some(codes.join(" ")));
        if !options.success_codes.contains(&0) {
            exported.note(job, "systemd always treats 0 as success");
        }
    }
    if options.output == Output::Discard {
        set("StandardOutput", Some("null".to_owned()));
        set("StandardError", Some("null".to_owned()));
    }
    if let Some(stdin) = &options.stdin {
        set("StandardInput", Some("data".to_owned()));
        let lines = stdin.strip_suffix('\n').unwrap_or(stdin);
        set("StandardInputText", Some(escaped(lines)));
        if !stdin.ends_with('\n') {
            exported.note(job, "systemd ends its standard input with a line feed");
        }
    }
    out.push('\n');
}

/// The conditions that stand in `[Unit]`. Answers the one that stands in `[Service]`.
fn conditions<'a>(
    conditions: &'a Conditions,
    job: &Job,
    out: &mut String,
    exported: &mut Exported,
) -> Option<&'a Command> {
    let Conditions { path, load_below, disk_free, ac_power, command } = conditions;
    for path in path {
        let _ = writeln!(out, "ConditionPathExists={}", escaped(path));
    }
    if let Some(ac_power) = ac_power {
        let _ = writeln!(out, "ConditionACPower={ac_power}");
    }
    let unknown = [("load_below", load_below.is_some()), ("disk_free", disk_free.is_some())];
    let unknown: Vec<&str> = unknown.iter().filter(|it| it.1).map(|it| it.0).collect();
    if !unknown.is_empty() {
        exported.note(job, format!("systemd has no {}", unknown.join(", ")));
    }
    command.as_ref()
}

/// The words of a command.
fn words_of(command: &Command, options: &Options) -> Vec<String> {
    match command {
        Command::Argv(words) => words.iter().map(ToString::to_string).collect(),
        Command::Shell(text) => {
            let shell = options.shell.iter().map(ToString::to_string);
            shell.chain(["-c".to_owned(), text.to_string()]).collect()
        }
    }
}

/// The same as a command line of a unit.
fn command_line(command: &Command, options: &Options) -> String {
    let words = words_of(command, options);
    let words: Vec<String> = words.iter().map(|word| quoted(word).replace('$', "$$")).collect();
    words.join(" ")
}

fn description(job: &Job) -> String {
    escaped(job.name.as_deref().unwrap_or(&job.id))
}

/// A value with what systemd would read as something else made harmless.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '%' => out.push_str("%%"),
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '\t' => out.push_str(r"\t"),
            '\r' => out.push_str(r"\r"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A word of a command line.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./=:,+@%$".contains(c);
    let escaped = escaped(word);
    // The first word may begin with characters that mean something, as `-` and `@` do.
    if word.chars().all(plain) && word.starts_with(|c: char| c.is_alphanumeric() || c == '/') {
        escaped
    } else {
        format!("\"{}\"", escaped.replace('"', "\\\""))
    }
}

/// The lines of the timer that say when; `None` where they cannot.
fn when(job: &Job, exported: &mut Exported) -> Option<Vec<String>> {
    match &job.trigger {
        Trigger::Date(DateTrigger::Reboot) => Some(vec!["OnBootSec=0".to_owned()]),
        Trigger::Date(DateTrigger::Now) => Some(vec!["OnActiveSec=0".to_owned()]),
        Trigger::Date(DateTrigger::At(at)) => Some(vec![format!("OnCalendar={}", utc(*at))]),
        Trigger::Interval(interval) => {
            if interval.start_date().is_some() || interval.end().is_some() {
                exported.left_out(job, "a timer has no `start_date` and no `end_date`");
                return None;
            }
            let text = span(interval.every());
            exported.note(
                job,
                "a timer's interval counts from the last start, and does not survive a restart",
            );
            Some(vec![format!("OnActiveSec={text}"), format!("OnUnitActiveSec={text}")])
        }
        Trigger::FromEnd(from_end) => {
            if from_end.start_date().is_some() || from_end.end().is_some() {
                exported.left_out(job, "a timer has no `start_date` and no `end_date`");
                return None;
            }
            let text = span(from_end.wait());
            exported.note(job, "when the machine restarts, a timer counts from then");
            Some(vec![format!("OnActiveSec={text}"), format!("OnUnitInactiveSec={text}")])
        }
        Trigger::After(after) => {
            let message = format!(
                "a timer cannot wait for another unit; in [Unit] of the service of {}, `{}={}.service` \
                 starts this job's",
                after.names(),
                if after.on() == On::Failed { "OnFailure" } else { "OnSuccess" },
                job.id,
            );
            exported.left_out(job, message);
            None
        }
        Trigger::Combined(_) => {
            exported.left_out(job, "a timer cannot combine several triggers");
            None
        }
        Trigger::Calendar(_) => {
            exported.left_out(job, "a timer cannot count months and days from a certain one");
            None
        }
        Trigger::Cron(cron) => calendars(job, cron, exported),
    }
}

/// A time span as systemd reads it.
fn span(span: Duration) -> String {
    match span.subsec_nanos() {
        0 => span.as_secs().to_string(),
        _ => format!("{}us", span.as_micros()),
    }
}

/// An instant as a calendar expression.
fn utc(at: Instant) -> String {
    let time = chrono::DateTime::from_timestamp(at.secs(), 0).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::calendar::calendar;
    use super::*;
    use crate::convert::import::{Draft, systemd as importer};
    use crate::core::trigger::CronTrigger;
    use crate::core::trigger::cron::crontab::{self, Crontab};
    use crate::core::zone::{Database, Zone};
    use crate::jobfile;

    fn set_of(text: &str) -> JobSet {
        let zones = Database::bundled();
        let loaded = jobfile::load_text("x", text, &zones, Instant::from_secs(1_795_564_800));
        loaded.set.unwrap_or_else(|| panic!("{text}: {:?}", loaded.problems))
    }

    #[test]
    fn a_job_becomes_two_units() {
        let exported = systemd(&set_of(
            "[jobs.rotate]\nname = 'Rotate 100%'\ncommand = 'a \"$X\" > /b/$(date +%F)'\n\
             cron = '30 2 * * mon-fri'\nuser = 'bob'\ncwd = '/srv'\nenv = { A = 'b c' }\nnice = 5\n\
             umask = '027'\ntimeout = '20m'\nsuccess_codes = [0, 3]\njitter = '5m'\n\
             misfire_grace_time = 'forever'\nstdin = \"x\\ny\\n\"\n",
        ));
        assert_eq!(
            exported.text,
            "# /etc/systemd/system/rotate.service\n[Unit]\nDescription=Rotate 100%%\n\n[Service]\n\
             Type=oneshot\nExecStart=/bin/sh \"-c\" \"a \\\"$$X\\\" > /b/$$(date +%%F)\"\nUser=bob\n\
             WorkingDirectory=/srv\nEnvironment=\"A=b c\"\nNice=5\nUMask=0027\n\
             TimeoutStartSec=1200\nTimeoutStopSec=10\nSuccessExitStatus=0 3\nStandardInput=data\n\
             StandardInputText=x\\ny\n\n# /etc/systemd/system/rotate.timer\n[Unit]\n\
             Description=Rotate 100%%\n\n[Timer]\nOnCalendar=Mon..Fri *-*-* 02:30:00 UTC\n\
             AccuracySec=1s\nRandomizedDelaySec=300\nPersistent=true\n\n\
             [Install]\nWantedBy=timers.target\n\n"
        );
        assert!(exported.problems.is_empty(), "{:?}", exported.problems);
    }

    #[test]
    fn conditions_are_those_of_a_service_and_come_back() {
        let only_if =
            "{ path = ['/mnt/50%', '/srv'], ac_power = true, command = ['/bin/check', '$x'] }";
        let exported = systemd(&set_of(&format!(
            "[jobs.a]\ncommand = 'a'\ncron = '@daily'\nonly_if = {only_if}\n"
        )));
        let lines = "ConditionPathExists=/mnt/50%%\nConditionPathExists=/srv\nConditionACPower=true\n\n[Service]\n\
                     Type=oneshot\nExecCondition=/bin/check \"$$x\"\nExecStart=";
        assert!(exported.text.contains(lines), "{}", exported.text);
        assert!(exported.problems.is_empty(), "{:?}", exported.problems);

        let exported = systemd(&set_of(
            "[jobs.a]\ncommand = ['/bin/a']\ncron = '@daily'\nwait_for = '5m'\n\
             only_if = { load_below = 4, disk_free = { path = '/', above = '5GB' } }\n",
        ));
        let said: Vec<&str> = exported.problems.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(said, ["systemd has no load_below, disk_free", "systemd has no wait_for"]);
    }

    #[test]
    fn limits_are_those_of_a_service() {
        let exported = systemd(&set_of(
            "[jobs.a]\ncommand = 'a'\ncron = '@daily'\nlimits = { open_files = 99, core = 0, \
             file_size = '1MiB', processes = 7, cpu_time = '1h', memory = '2GB', swap = 0, cpu = 1.5, \
             tasks = 20 }\n",
        ));
        let lines = "LimitNOFILE=99\nLimitCORE=0\nLimitFSIZE=1048576\nLimitNPROC=7\nLimitCPU=3600\n\
                     MemoryMax=2000000000\nMemorySwapMax=0\nCPUQuota=150%\nTasksMax=20\n";
        assert!(exported.text.contains(lines), "{}", exported.text);
        assert!(exported.problems.is_empty(), "{:?}", exported.problems);
    }

    #[test]
    fn shifts_become_random_delays() {
        let rows = [
            ("jitter = '1h'", "RandomizedDelaySec=3600\n", 0),
            ("spread = '1h'", "RandomizedDelaySec=3600\nFixedRandomDelay=true\n", 0),
            (
                "jitter = '1h'\nspread = '2h'",
                "RandomizedDelaySec=3600\nRandomizedOffsetSec=7200\n",
                1,
            ),
        ];
        for (keys, lines, notes) in rows {
            let text = format!("[jobs.a]\ncommand = 'a'\ncron = '@daily'\n{keys}\n");
            let exported = systemd(&set_of(&text));
            assert!(exported.text.contains(lines), "{keys}: {}", exported.text);
            assert_eq!(exported.problems.len(), notes, "{keys}: {:?}", exported.problems);
        }
    }

    #[test]
    fn paths_below_a_home() {
        let rows = [
            ("cwd = '~'", "WorkingDirectory=~\n", 0),
            (
                "cwd = '~/a'\nenv_file = '$HOME/e'",
                "WorkingDirectory=%h/a\nEnvironmentFile=%h/e\n",
                0,
            ),
            ("cwd = '~'\nuser = 'bob'", "User=bob\nWorkingDirectory=~\n", 0),
            ("cwd = '~/a'\nuser = 'bob'\nenv_file = '~/e'", "User=bob\nTimeoutStopSec", 2),
            (
                "cwd = '~'\nenv_file = '~/e'\nenv = { HOME = '/h' }",
                "WorkingDirectory=/h\nEnvironment=HOME=/h\nEnvironmentFile=/h/e\n",
                0,
            ),
        ];
        for (keys, lines, notes) in rows {
            let text = format!("[jobs.a]\ncommand = ['/a']\ncron = '@daily'\n{keys}\n");
            let exported = systemd(&set_of(&text));
            assert!(exported.text.contains(lines), "{keys}: {}", exported.text);
            assert_eq!(exported.problems.len(), notes, "{keys}: {:?}", exported.problems);
        }
    }

    #[test]
    fn triggers_become_lines() {
        let rows = [
            ("cron = '*/15 * * * *'", "OnCalendar=*-*-* *:00..45/15:00 UTC\n"),
            (
                "cron = '0 0 13 * fri'",
                "OnCalendar=*-*-13 00:00:00 UTC\nOnCalendar=Fri *-*-* 00:00:00 UTC\n",
            ),
            ("cron = { day = 13, day_of_week = 'fri' }", "OnCalendar=Fri *-*-13 00:00:00 UTC\n"),
            ("cron = { day = '3rd fri', hour = 9 }", "OnCalendar=Fri *-*-15..21 09:00:00 UTC\n"),
            ("cron = { day = 'last mon', month = 5 }", "OnCalendar=Mon *-05~07/1 00:00:00 UTC\n"),
            (
                "cron = '0 4 L,L-2 * *'",
                "OnCalendar=*-*~01 04:00:00 UTC\nOnCalendar=*-*~03 04:00:00 UTC\n",
            ),
            ("cron = { year = '2027-2029', hour = 0 }", "OnCalendar=2027..2029-*-* 00:00:00 UTC\n"),
            ("interval = '90s'", "OnActiveSec=90\nOnUnitActiveSec=90\n"),
            (
                "interval = { minutes = 2, from = 'end' }",
                "OnActiveSec=120\nOnUnitInactiveSec=120\n",
            ),
            ("date = 2027-03-04T05:06:07", "OnCalendar=2027-03-04 05:06:07 UTC\n"),
            ("cron = '@reboot'", "OnBootSec=0\n"),
        ];
        for (trigger, expected) in rows {
            let exported = systemd(&set_of(&format!("[jobs.a]\ncommand = ['/x']\n{trigger}\n")));
            assert!(exported.text.contains(expected), "{trigger}:\n{}", exported.text);
        }
        for trigger in [
            "cron = '0 0 15W * *'",
            "cron = { week = 3 }",
            "interval = '1h'\nend_date = 2030-01-01",
            "interval = { hours = 1, from = 'end' }\nend_date = 2030-01-01",
        ] {
            let exported = systemd(&set_of(&format!("[jobs.a]\ncommand = ['/x']\n{trigger}\n")));
            assert!(!exported.is_whole(), "{trigger}:\n{}", exported.text);
        }
    }

    #[test]
    fn what_systemd_has_no_words_for_is_said() {
        let text = "[jobs.a]\ncommand = ['/x']\ncron = '@daily'\noutput = 'file'\nretries = 2\n";
        let exported = systemd(&set_of(text));
        let said: Vec<&str> = exported.problems.iter().map(|said| &*said.message).collect();
        assert_eq!(said, ["systemd has no retries, output = \"file\""]);
    }

    /// The command line that comes back in.
    fn command_again(set: &JobSet) -> Command {
        let text = systemd(set).text;
        let (service, timer) = text.split_once("# /etc/systemd/system/a.timer\n").unwrap();
        let zones = Database::bundled();
        let mut draft = Draft::new(&zones);
        let find = |name: &str| Some((name.to_owned(), service.to_owned()));
        importer::read(&mut draft, "a.timer", timer, None, &find);
        set_of(&draft.write().0.text).jobs[0].command.clone()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn commands_come_back(words in proptest::collection::vec("[ -~\t\n]{1,12}", 1..4)) {
            let words: Vec<Box<str>> =
                ["/x".into()].into_iter().chain(words.into_iter().map(String::into)).collect();
            let mut set = set_of("[jobs.a]\ncommand = ['/x']\ncron = '@daily'\n");
            let mut job = (*set.jobs[0]).clone();
            job.command = Command::Argv(words.into());
            let expected = job.command.clone();
            set.jobs = vec![job.into()];
            prop_assert_eq!(command_again(&set), expected);
        }

        #[test]
        fn schedules_come_back(
            minute in "(\\*|[0-9]|[1-5][0-9]|\\*/7|3-40|10-50/5)",
            hour in "(\\*|[0-9]|1[0-9]|9-17|\\*/5)",
            day in "(\\*|\\*/2|[1-9]|1,15|10-20/3|L|L-3)",
            month in "(\\*|[1-9]|2-11/3)",
            weekday in "(\\*|\\*/2|[0-7]|mon-fri|fri#[1-5]|tueL)",
        ) {
            let text = format!("{minute} {hour} {day} {month} {weekday}");
            let Some(Crontab::Schedule(schedule)) = crontab::parse(&text, "a", &mut Vec::new())
            else { return Ok(()) };
            let Ok(lines) = calendar(&schedule) else { return Ok(()) };
            let before = CronTrigger::new([schedule], Zone::utc(), None, None);
            let mut timer = String::from("[Timer]\n");
            for line in &lines {
                timer += &format!("OnCalendar={line}\n");
            }
            let zones = Database::bundled();
            let mut draft = Draft::new(&zones);
            let service = "[Service]\nExecStart=/x\n".to_owned();
            let find = |name: &str| Some((name.to_owned(), service.clone()));
            importer::read(&mut draft, "a.timer", &timer, None, &find);
            let (written, problems, _) = draft.write();
            if problems.errors() > 0 {
                // The way back has a limit of its own.
                prop_assert!(timer.contains('~'), "{}: {:?}", timer, problems);
                return Ok(());
            }
            let after = set_of(&written.text);
            let mut at = Instant::from_secs(1_795_564_800);
            for _ in 0..50 {
                let Some(next) = before.next_after(at) else { break };
                let due = after.jobs.iter().filter_map(|job| job.trigger.next_after(at)).min();
                prop_assert_eq!(Some(next), due, "{} as {:?}", text, lines);
                at = next;
            }
        }
    }
}
