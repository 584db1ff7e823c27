//! Rows of timers and services, and what becomes of them.

use super::*;
use crate::core::instant::Instant;
use crate::core::zone::Database;
use crate::jobfile;

fn imported(timer: &str, service: Option<&str>) -> (String, Vec<String>) {
    let zones = Database::bundled();
    let mut draft = Draft::new(&zones);
    let service = service.map(str::to_owned);
    let find = |name: &str| Some((name.to_owned(), service.clone()?));
    read(&mut draft, "x.timer", timer, None, &find);
    let (written, problems, sources) = draft.write();
    let now = Instant::from_secs(1_795_564_800);
    let loaded = jobfile::load_text("written", &written.text, &zones, now);
    assert_eq!(loaded.problems.errors(), 0, "{}\n{:?}", written.text, loaded.problems);
    let said = problems.iter().map(|problem| {
        let at = sources.name(problem.place);
        format!("{at}: {}", problem.message)
    });
    (written.text, said.collect())
}

const SERVICE: &str = "[Service]\nType=oneshot\nExecStart=/bin/x\n";

/// A delay that systemd chooses anew each time is a jitter, one that stays is a spread.
#[test]
fn random_delays() {
    let rows = [
        ("RandomizedDelaySec=10h", "jitter = \"10h\""),
        ("RandomizedDelaySec=10h\nFixedRandomDelay=false", "jitter = \"10h\""),
        ("RandomizedDelaySec=10h\nFixedRandomDelay=true", "spread = \"10h\""),
        ("RandomizedOffsetSec=10h", "spread = \"10h\""),
        ("RandomizedDelaySec=1h\nRandomizedOffsetSec=10h", "jitter = \"1h\"\nspread = \"10h\""),
        ("RandomizedDelaySec=1h\nFixedRandomDelay=yes\nRandomizedOffsetSec=2h", "spread = \"3h\""),
        ("FixedRandomDelay=true", ""),
    ];
    for (lines, wanted) in rows {
        let timer = format!("[Timer]\nOnCalendar=daily\n{lines}\n");
        let (written, said) = imported(&timer, Some(SERVICE));
        assert!(said.is_empty(), "{lines}: {said:?}");
        let shifts: Vec<&str> = written
            .lines()
            .filter(|line| line.starts_with("jitter") || line.starts_with("spread"))
            .collect();
        assert_eq!(shifts.join("\n"), wanted, "{lines}");
    }
}

#[test]
fn units_that_are_started_afterwards_are_hooks() {
    // (lines of the service, what becomes of them, what is said)
    let rows = [
        (
            "[Unit]\nOnFailure=mail@%n.service other.service\n",
            "on_failure = [\"systemctl\", \"start\", \"--no-block\", \"mail@x.service.service\", \
             \"other.service\"]",
            "",
        ),
        (
            "[Unit]\nOnFailure=a.service\nOnFailure=\nOnSuccess=b.service\n",
            "on_success = [\"systemctl\", \"start\", \"--no-block\", \"b.service\"]",
            "",
        ),
        (
            "[Unit]\nOnFailure=a.service\n[Service]\nUser=log\n",
            "on_failure = [\"systemctl\", \"start\", \"--no-block\", \"a.service\"]",
            "`on_failure` runs as the user of the job",
        ),
    ];
    for (lines, wanted, note) in rows {
        let service = format!("{lines}{SERVICE}");
        let (written, said) = imported("[Timer]\nOnCalendar=daily\n", Some(&service));
        let hooks: Vec<&str> = written.lines().filter(|line| line.starts_with("on_")).collect();
        assert_eq!(hooks, [wanted], "{lines}");
        assert_eq!(said.is_empty(), note.is_empty(), "{lines}: {said:?}");
        assert!(said.iter().all(|said| said.contains(note)), "{lines}: {said:?}");
    }
}

#[test]
fn a_timer_and_its_service_are_one_job() {
    let (written, said) = imported(
        "[Unit]\nDescription=Daily rotation\n[Timer]\nOnCalendar=daily\nPersistent=true\n\
         RandomizedDelaySec=1h 30min\n[Install]\nWantedBy=timers.target\n",
        Some(
            "[Unit]\nDescription=Rotate logs\n[Service]\nType=oneshot\nUser=log\nGroup=adm\nNice=19\n\
             UMask=0027\nWorkingDirectory=/var/log\nEnvironment=\"A=b c\" D=e\n\
             EnvironmentFile=/etc/default/x\nTimeoutStartSec=15min\nTimeoutStopSec=30\n\
             SuccessExitStatus=2 101\nStandardOutput=null\nStandardError=null\n\
             ExecStart=/usr/sbin/rotate --all\n",
        ),
    );
    // That of systemd and ours are not read by the same rules.
    assert!(said.len() == 1 && said[0].contains("`env_file` has other rules"), "{said:?}");
    assert_eq!(
        written,
        "# from x.timer\n[jobs.x]\nname = \"Rotate logs\"\n\
         command = [\"/usr/sbin/rotate\", \"--all\"]\ncron = \"0 0 * * *\"\nuser = \"log\"\n\
         group = \"adm\"\ncwd = \"/var/log\"\nenv_file = \"/etc/default/x\"\nnice = 19\n\
         umask = \"027\"\ntimeout = \"15m\"\nkill_after = \"30s\"\nsuccess_codes = [0, 2, 101]\n\
         output = \"discard\"\nmisfire_grace_time = \"forever\"\njitter = \"1h 30m\"\n\
         env = { A = \"b c\", D = \"e\" }\n"
    );
}

#[test]
fn triggers() {
    let rows = [
        ("OnCalendar=Mon..Fri 09:00", "cron = \"0 9 * * mon-fri\"\n"),
        ("OnCalendar=daily\nOnCalendar=*:0/15", "cron = [\"0 0 * * *\", \"*/15 * * * *\"]\n"),
        ("OnCalendar=daily UTC", "cron = \"0 0 * * *\"\ntimezone = \"UTC\"\n"),
        ("OnCalendar=Sun *-*-1..7 1:00", "cron = { day = \"1st sun\", hour = 1, minute = 0 }\n"),
        ("OnCalendar=2027-03-04 05:06", "date = 2027-03-04T05:06:00\n"),
        ("OnUnitActiveSec=1h 30min", "interval = \"1h 30m\"\n"),
        ("OnUnitInactiveSec=1h 30min", "interval = { hours = 1, minutes = 30, from = \"end\" }\n"),
        ("OnActiveSec=60\nOnUnitInactiveSec=60", "interval = { minutes = 1, from = \"end\" }\n\n"),
        ("OnUnitInactiveSec=1500ms", "interval = { seconds = 2, from = \"end\" }\n"),
        ("OnUnitActiveSec=90", "interval = \"1m 30s\"\n"),
        ("OnBootSec=5min\nOnUnitActiveSec=1d", "interval = \"1d\"\nrun_on_start = true\n"),
        ("OnActiveSec=90\nOnUnitActiveSec=90", "interval = \"1m 30s\"\n\n"),
        ("OnActiveSec=90\nOnUnitActiveSec=90\nOnBootSec=0", "run_on_start = true\n"),
        (
            "OnBootSec=1\nOnUnitActiveSec=1d\nOnCalendar=\nOnCalendar=daily",
            "cron = \"0 0 * * *\"\n\n",
        ),
        ("OnBootSec=5min", "cron = \"@reboot\"\n"),
        ("OnActiveSec=30", "date = \"now\"\n"),
        ("OnCalendar=Fri *-*-13\nOnCalendar=daily", "[jobs.x-2]\n"),
    ];
    for (timer, expected) in rows {
        let (written, _) = imported(&format!("[Timer]\n{timer}\n"), Some(SERVICE));
        // So that a row can say that nothing follows.
        let written = written + "\n";
        assert!(written.contains(expected), "{timer}:\n{written}");
    }
}

#[test]
fn what_is_lost_or_not_the_same_is_said() {
    let rows = [
        (
            "OnCalendar=dialy",
            SERVICE,
            "x.timer:2:1: not converted: `dialy` is not understood, did you mean `daily`?",
        ),
        (
            "OnCalendar=daily Mars/Base",
            SERVICE,
            "x.timer:2:1: not converted: unknown time zone `Mars/",
        ),
        ("Persistent=true", SERVICE, "x.timer:2:1: not converted: the timer has no time"),
        ("OnBootSec=5min", SERVICE, "x.timer:2:1: `OnBootSec` becomes a run when the scheduler"),
        (
            "OnUnitInactiveSec=1500ms",
            SERVICE,
            "x.timer:2:1: from the end of a run to the next start",
        ),
        ("OnUnitActiveSec=soon", SERVICE, "x.timer:2:1: not converted: `soon` is not a duration"),
        ("OnCalendar=daily\nAccuracySec=1h", SERVICE, "x.timer:3:1: `AccuracySec` is left out"),
        (
            "OnCalendar=daily\nWakeSystem=yes",
            SERVICE,
            "x.timer:3:1: without counterpart: WakeSystem",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nUser=x\n",
            "x.service:2:1: not converted: the service has no",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x %q\n",
            "x.service:2:1: not converted: the spec",
        ),
        (
            "OnCalendar=daily",
            "[Unit]\nAfter=a\n[Service]\nExecStart=/bin/x\nProtectHome=yes\nPrivateTmp=yes\n",
            "x.service:2:1: without counterpart: After, ProtectHome, PrivateTmp",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x\nEnvironmentFile=-/etc/default/x\n",
            "x.service:3:1: this file need not exist there",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x\nEnvironmentFile=-/etc/x.d/*.env\n",
            "x.service:3:1: not converted: an `env_file` is one file",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x\nWorkingDirectory=-/srv\n",
            "x.service:3:1: systemd tolerates a missing directory here",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x\nWorkingDirectory=%h/foo\n",
            "x.service:3:1: not converted: the specifier `%h` has no counterpart",
        ),
        (
            "OnCalendar=daily",
            "[Unit]\nDescription=of %H\n[Service]\nExecStart=/bin/x\n",
            "x.service:2:1: not converted: the specifier `%H` has no counterpart",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x\nKillMode=process\n",
            "x.service:3:1: `KillMode=process` is left out",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x\nSendSIGKILL=no\n",
            "x.service:3:1: `SendSIGKILL` is left out",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x\nSuccessExitStatus=1 SIGKILL\n",
            "x.service:3:1: not converted: `SIGKILL` is not an exit code",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nExecStart=/bin/x\nStandardOutput=append:/var/log/x\n",
            "x.service:3:1: `StandardOutput=append:/var/log/x` is left out",
        ),
        (
            "OnCalendar=daily\nUnit=x.target",
            SERVICE,
            "x.timer:2:1: `x.target` is no service: the job starts it through systemd",
        ),
        (
            "OnCalendar=daily",
            "[Service]\nType=forking\nExecStart=/x\n",
            "x.service:2:1: a service of",
        ),
    ];
    for (timer, service, expected) in rows {
        let (_, said) = imported(&format!("[Timer]\n{timer}\n"), Some(service));
        assert!(said.iter().any(|said| said.starts_with(expected)), "{timer} {service}: {said:?}");
    }
}

#[test]
fn options() {
    let rows = [
        ("User=%i\nWorkingDirectory=/srv/%I", "user = \"a\\\\x2db-c\"\ncwd = \"/srv/a-b/c\"\n"),
        ("EnvironmentFile=/etc/default/t-%p", "env_file = \"/etc/default/t-t\"\n"),
        (
            "EnvironmentFile=-/etc/%p",
            "[jobs.x]\ncommand = [\"/bin/x\"]\ncron = \"0 0 * * *\"\n# env_file = \"/etc/t\"\n",
        ),
        ("SuccessExitStatus=1 2\nSuccessExitStatus=75", "success_codes = [0, 1, 2, 75]\n"),
        ("SuccessExitStatus=DATAERR 0", "success_codes = [0, 65]\n"),
    ];
    for (service, expected) in rows {
        let timer = "[Timer]\nOnCalendar=daily\nUnit=t@a\\x2db-c.service\n";
        let service = format!("[Service]\nExecStart=/bin/x\n{service}\n");
        let (written, _) = imported(timer, Some(&service));
        let plain = written.replace('\'', "\"").replace("\\\\", "\\");
        assert!(plain.contains(&expected.replace("\\\\", "\\")), "{service}:\n{written}");
    }
    let (written, _) = imported("[Timer]\nOnCalendar=daily\nUnit=poweroff.target\n", None);
    let command = "command = [\"systemctl\", \"start\", \"poweroff.target\"]\n";
    assert!(written.contains(command), "{written}");
    let signals = "[Service]\nExecStart=/bin/x\nSuccessExitStatus=SIGKILL\n";
    let (written, _) = imported("[Timer]\nOnCalendar=daily\n", Some(signals));
    assert!(!written.contains("success_codes"), "{written}");
}

#[test]
fn without_its_service_systemd_starts_it() {
    let (written, said) = imported("[Timer]\nOnCalendar=daily\nUnit=y.service\n", None);
    let command = "command = [\"systemctl\", \"start\", \"--wait\", \"y.service\"]\n";
    assert!(written.contains(command), "{written}");
    assert_eq!(said.len(), 1, "{said:?}");
}

/// What systemd 252 itself said (`systemd-analyze calendar --iterations=8`), in UTC after
/// 2026-11-25: the first due times of each expression, or all if there are fewer. Left out is
/// `*-*-1/7`: systemd 252 passes over the 1st of January there, which its manual does not say.
#[test]
fn calendars_are_due_when_systemd_says() {
    let zones = Database::bundled();
    let mut compared = 0;
    for line in include_str!("../../../../tests/data/systemd-calendar.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let expression = row["expr"].as_str().unwrap();
        let expected: Vec<&str> =
            row["due"].as_array().unwrap().iter().map(|due| due.as_str().unwrap()).collect();
        let (written, said) =
            imported(&format!("[Timer]\nOnCalendar={expression}\n"), Some(SERVICE));
        if said.iter().any(|said| said.contains("counted from the end")) {
            continue;
        }
        assert!(said.is_empty(), "{expression}: {said:?}");
        let mut at = Instant::from_secs(1_795_564_800);
        let set = jobfile::load_text("written", &written, &zones, at).set.unwrap();
        let mut due = Vec::new();
        while due.len() < expected.len() + usize::from(expected.len() < 8)
            && let Some(next) = set.jobs[0].trigger.next_after(at)
            // systemd ends there.
            && next < Instant::from_secs(7_258_118_400)
        {
            due.push(next.to_string());
            at = next;
        }
        assert_eq!(due, expected, "{expression}:\n{written}");
        compared += 1;
    }
    assert!(compared > 150, "{compared}");
}

/// What is known of the home of those whose unit it is.
#[test]
fn a_home_directory() {
    let zones = Database::bundled();
    let service = "[Service]\nExecStart=%h/bin/x 100%%h\nWorkingDirectory=~\nEnvironment=A=%h\n";
    let mut draft = Draft::new(&zones);
    let find = |name: &str| Some((name.to_owned(), service.to_owned()));
    let timer = "[Timer]\nOnCalendar=daily\n";
    read(&mut draft, "x.timer", timer, Some("/home/me"), &find);
    let (written, problems, _) = draft.write();
    assert!(problems.is_empty(), "{problems:?}");
    for line in
        ["command = [\"/home/me/bin/x\", \"100%h\"]", "cwd = \"~\"", "env = { A = \"/home/me\" }"]
    {
        assert!(written.text.contains(line), "{line}: {}", written.text);
    }
}

#[test]
fn restarts_are_further_attempts() {
    let rows = [
        ("Restart=no", "", ""),
        (
            "Restart=on-failure",
            "retries = 4 100ms",
            "`Restart=on-failure` becomes `retries = 4`: so many more attempts for each due time",
        ),
        (
            "Restart=always\nStartLimitBurst=3",
            "retries = 2 100ms",
            "`Restart=always` becomes `retries = 2`: so many more attempts for each due time, and \
             only after a failure",
        ),
        (
            "Restart=on-failure\nRestartSec=90\nStartLimitBurst=3\nStartLimitInterval=5min",
            "retries = 2 1m 30s",
            "for each due time",
        ),
        (
            "Restart=on-abort\nStartLimitInterval=infinity\nRestartSec=1h",
            "retries = 4 1h",
            "any failure",
        ),
        // More starts than fit into the interval: it is never too many.
        (
            "Restart=always\nRestartSec=90\nStartLimitBurst=3",
            "retries = 2 1m 30s",
            "only after a failure; systemd would never give up",
        ),
        // 0 is no limit, and not none.
        ("Restart=on-failure\nStartLimitBurst=0", "retries = 4 100ms", "never give up"),
        ("Restart=on-failure\nStartLimitInterval=0", "retries = 4 100ms", "never give up"),
        ("StartLimitBurst=3", "", "`StartLimitBurst` is left out: only its schedule limits a job"),
        ("StartLimitInterval=0", "", ""),
        ("StartLimitBurst=many", "", "not converted: `many` is no number of starts"),
        ("Restart=on-success", "", "`Restart=on-success` is left out"),
        ("Restart=maybe", "", "not converted: `Restart=maybe` is unknown to systemd"),
    ];
    for (lines, wanted, note) in rows {
        let service = format!("{SERVICE}{lines}\n");
        let (written, said) = imported("[Timer]\nOnCalendar=daily\n", Some(&service));
        let of = |key: &str| {
            let line = written.lines().find_map(|line| line.strip_prefix(key));
            line.map_or("", |value| value.trim_matches('"')).to_owned()
        };
        let found = match of("retries = ") {
            none if none.is_empty() => none,
            retries => format!("retries = {retries} {}", of("retry_delay = ")),
        };
        assert_eq!(found, wanted, "{lines}");
        assert_eq!(written.contains("retry_backoff = 1\n"), !wanted.is_empty(), "{lines}");
        assert_eq!(said.is_empty(), note.is_empty(), "{lines}: {said:?}");
        assert!(
            said.iter().any(|said| said.contains(note)) || note.is_empty(),
            "{lines}: {said:?}"
        );
        let endless = said.iter().any(|said| said.ends_with("never give up"));
        assert_eq!(endless, note.ends_with("never give up"), "{lines}: {said:?}");
    }
}

/// So are its limits.
#[test]
fn limits_of_a_service() {
    let rows = [
        (
            "LimitNOFILE=4096\nLimitCORE=0\nLimitFSIZE=10G\nLimitNPROC=100\nLimitCPU=1h\nMemoryMax=2G\n\
             MemorySwapMax=0\nCPUQuota=150%\nTasksMax=200",
            "{ open_files = 4096, core = 0, file_size = \"10GiB\", processes = 100, cpu_time = \"1h\", \
             memory = \"2GiB\", swap = 0, cpu = 1.5, tasks = 200 }",
            "",
        ),
        ("LimitNOFILE=1024:8192", "{ open_files = 1024 }", "a second, higher limit"),
        ("LimitCPU=90", "{ cpu_time = \"1m 30s\" }", ""),
        ("CPUQuota=20%", "{ cpu = 0.2 }", ""),
        ("MemoryMax=infinity\nTasksMax=infinity\nLimitCORE=infinity", "", ""),
        ("MemoryMax=50%", "", "`limits` has no `50%` for that"),
        ("MemorySwapMax=1G", "", "`swap` needs `memory`"),
        ("IOWeight=50", "", "without counterpart: IOWeight"),
    ];
    for (lines, wanted, note) in rows {
        let service = format!("{SERVICE}[Service]\n{lines}\n");
        let (written, said) = imported("[Timer]\nOnCalendar=daily\n", Some(&service));
        let found = written.lines().find_map(|line| line.strip_prefix("limits = "));
        assert_eq!(found.unwrap_or_default(), wanted, "{lines}: {written}");
        assert!(
            said.iter().any(|said| said.contains(note)) || note.is_empty(),
            "{lines}: {said:?}"
        );
        assert_eq!(said.is_empty(), note.is_empty(), "{lines}: {said:?}");
    }
}

/// Conditions of the service are those of the job.
#[test]
fn conditions_of_a_service() {
    let rows = [
        ("[Unit]\nConditionPathExists=/mnt/x", "{ path = \"/mnt/x\" }", ""),
        ("[Unit]\nConditionACPower=true", "{ ac_power = true }", ""),
        ("[Unit]\nConditionACPower=!yes", "{ ac_power = false }", ""),
        (
            "[Service]\nExecCondition=/bin/check --fast",
            "{ command = [\"/bin/check\", \"--fast\"] }",
            "",
        ),
        (
            "[Unit]\nConditionPathExists=/a\nConditionPathExists=!/b\nConditionACPower=1",
            "{ path = \"/a\", ac_power = true, command = [\"test\", \"!\", \"-e\", \"/b\"] }",
            "",
        ),
        (
            "[Unit]\nConditionPathExists=/a\nConditionPathExists=/b",
            "{ path = [\"/a\", \"/b\"] }",
            "",
        ),
        (
            "[Unit]\nConditionPathExists=!/a\nConditionPathExists=!/b",
            "{ command = \"test '!' -e /a && test '!' -e /b\" }",
            "",
        ),
        ("[Unit]\nConditionPathExists=|/a", "", "all conditions of `only_if` have to hold"),
        (
            "[Unit]\nConditionPathExists=!/a\n[Service]\nExecCondition=/bin/b x\nExecCondition=-/bin/c",
            "{ command = \"test '!' -e /a && /bin/b x && { /bin/c || true; }\" }",
            "",
        ),
        ("[Unit]\nConditionHost=web1", "", "without counterpart: ConditionHost"),
    ];
    for (lines, wanted, note) in rows {
        let service = format!("{SERVICE}{lines}\n");
        let (written, said) = imported("[Timer]\nOnCalendar=daily\n", Some(&service));
        let found = written.lines().find_map(|line| line.strip_prefix("only_if = "));
        assert_eq!(found.unwrap_or_default(), wanted, "{lines}: {written}");
        assert!(
            said.iter().any(|said| said.contains(note)) || note.is_empty(),
            "{lines}: {said:?}"
        );
    }
}
