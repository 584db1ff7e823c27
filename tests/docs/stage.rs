//! What a page's commands find when they are executed, beside what the page itself shows. A page
//! that is not named here has an empty directory with `jobs.example.toml` and `examples`.

/// How what a command prints is compared with the page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Word by word, but for numbers, times and dates.
    Alike,
    /// Letter by letter.
    Exactly,
    /// The first line only, the headings of a table: the page shows a richer life than a test has.
    Headings,
}

/// What there is for a page.
pub(crate) struct Stage {
    pub(crate) page: &'static str,
    /// The time on the machine's clock.
    pub(crate) now: &'static str,
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// A shell script that is executed first.
    pub(crate) setup: &'static str,
    /// Whether a scheduler runs `jobs.toml` meanwhile.
    pub(crate) runs: bool,
    /// What is done before a command that begins so.
    pub(crate) before: &'static [(&'static str, &'static str)],
    /// Before a command that begins so, the scheduler that the page has started is stopped, once it
    /// has logged a line with these.
    pub(crate) stops: &'static [(&'static str, &'static [&'static str])],
    /// What stands for what in the page's commands; `{dir}` is the directory.
    pub(crate) instead: &'static [(&'static str, &'static str)],
    /// Exit codes other than 0, of commands that begin so.
    pub(crate) exits: &'static [(&'static str, i32)],
    /// How commands that begin so are compared, where it is not `Alike`.
    pub(crate) compared: &'static [(&'static str, Compared)],
}

/// Of a page that has no other.
pub(crate) const BARE: Stage = Stage {
    page: "",
    now: "2026-11-25T20:45:25+01:00",
    files: &[],
    setup: "",
    runs: false,
    before: &[],
    stops: &[],
    instead: &[],
    exits: &[],
    compared: &[],
};

/// What is not executed, by how it begins, and why not. That its subcommands and flags exist is
/// looked at all the same.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo test --locked", "it is what executes this"),
    ("schedrs logs -F", "tests/cli/follow.rs does it, and ends it"),
    ("schedrs events", "tests/cli/events.rs does it, and ends it"),
    ("schedrs web", "it serves until it is ended; tests/cli/web.rs asks it"),
    ("schedrs notify", "tests/cli/notify.rs does it, with a receiver of its own"),
    ("cargo bench", "it takes minutes"),
    ("cargo build --release", "it takes minutes"),
    ("cargo build --features", "it takes minutes"),
    ("SCHEDRS=target/debug", "tests/cli/fleet_example.rs does it"),
    ("cargo install", "it takes minutes, and the network"),
    ("cargo deb", "needs cargo-deb"),
    ("podman", "needs podman and the network"),
    ("scheduler.export_jobs", "needs APScheduler; tests/jobfile/import.rs reads what it writes"),
    ("ORDER_TIMEOUT=30s", "tests/cli/order_timeout.rs does it, on a port that is free"),
    #[cfg(not(feature = "kubernetes"))]
    ("schedrs import kubernetes", "needs the feature `kubernetes`"),
    ("curl -s", "tests/cli/order_timeout.rs does it, on a port that is free"),
];

/// Those of the pages that need more.
pub(crate) const STAGES: &[Stage] = &[
    Stage {
        page: "README.md",
        instead: &[("cargo run --release --", "schedrs")],
        // What is asked after has to be over; of two runs of the example the last one.
        stops: &[("schedrs why", &["hello #", ": succeeded"])],
        exits: &[("schedrs validate", 1)],
        compared: &[("schedrs next", Compared::Exactly), ("schedrs validate", Compared::Exactly)],
        ..BARE
    },
    Stage {
        page: "doc/commands.md",
        files: &[
            (
                "jobs.toml",
                "[scheduler]\ntimezone = 'Europe/Berlin'\nstop_grace = '1s'\n\
                 [jobs.backup]\nname = 'Nightly backup'\ncommand = './backup.sh --all'\n\
                 cron = '30 1 * * *'\n\
                 [jobs.beat]\ncommand = 'true'\ncron = '* * * * *'\n\
                 [jobs.payroll]\ncommand = 'exit 3'\ncron = '0 0 1 * *'\n\
                 [jobs.report]\ncommand = 'cat other'\ncron = '0 6 * * mon'\n",
            ),
            // The second run goes on until somebody ends it.
            ("backup.sh", "#!/bin/sh\n[ -e once ] && exec cat wait\ntouch once\necho all well\n"),
        ],
        setup: "chmod +x backup.sh; mkfifo wait other",
        runs: true,
        before: &[
            (
                "schedrs list",
                "schedrs start payroll --wait; schedrs pause payroll --until +21h --reason moving
                 schedrs add --id cancel-42 --in 28m -- ./cancel_order 42",
            ),
            ("schedrs list --output json", ""),
            (
                "schedrs show",
                "schedrs start backup --wait; rm once; schedrs modify backup --timeout 1h",
            ),
            (
                "schedrs status",
                "schedrs start report
                 cp jobs.toml good; echo tiemout = 1 >> jobs.toml; schedrs reload",
            ),
            ("schedrs health", "cp good jobs.toml; schedrs reload"),
            ("schedrs stop", "schedrs start backup"),
            ("schedrs add", "schedrs remove cancel-42"),
            (
                "schedrs reload",
                "printf \"[jobs.n]\\ncommand = 'true'\\ndate = 'now'\\n\" >> jobs.toml",
            ),
        ],
        instead: &[("/etc/schedrs/jobs.toml", "jobs.toml")],
        exits: &[("schedrs status", 1)],
        compared: &[("schedrs list", Compared::Headings)],
        ..BARE
    },
    Stage {
        page: "doc/control.md",
        files: &[("jobs.toml", "[jobs.backup]\ncommand = 'true'\ncron = '30 2 * * *'\n")],
        runs: true,
        instead: &[("/run/schedrs/jobs-5f1c09ab.sock", "{dir}/s.sock")],
        ..BARE
    },
    Stage {
        page: "doc/metrics.md",
        files: &[(
            "jobs.toml",
            "[jobs.beat]\ncommand = 'true'\ncron = '* * * * *'\n\
             [jobs.backup]\ncommand = 'true'\ncron = '30 2 * * *'\n",
        )],
        runs: true,
        ..BARE
    },
    Stage {
        page: "doc/first-hour.md",
        setup: "mkdir -p home/.local/share/bash-completion/completions home/.zfunc \
                home/.config/fish/completions",
        before: &[(
            "schedrs doctor report",
            "printf \"[jobs.report]\\ncommand = 'true'\\ncron = '0 6 * * *'\\n\" >> jobs.toml",
        )],
        ..BARE
    },
    Stage {
        page: "doc/history.md",
        now: "2026-11-24T13:00:00+01:00",
        files: &[("jobs.toml", crate::past::JOBS)],
        compared: &[
            ("schedrs history backup", Compared::Exactly),
            ("schedrs history --audit", Compared::Exactly),
        ],
        ..BARE
    },
    Stage {
        page: "doc/migrating-from-cron.md",
        files: &[
            (
                "crontab",
                "# m h dom mon dow command\n\nMAILTO=\"me@example.com\"\n\n# Backup of my home\n\
                 30 2 * * * backup-home\n*/5 * * * * a\n*/7 * * * * b\n@reboot beat\n0 12 * * * d\n",
            ),
            ("bin/crontab", "#!/bin/sh\nexec cat crontab\n"),
        ],
        setup: "chmod +x bin/crontab",
        compared: &[("schedrs import", Compared::Exactly)],
        ..BARE
    },
    Stage {
        page: "doc/migrating-from-apscheduler.md",
        instead: &[("export.json", "{package}/tests/data/apscheduler-export.json")],
        ..BARE
    },
    Stage {
        page: "doc/migrating-from-quartz.md",
        compared: &[("schedrs explain", Compared::Exactly)],
        ..BARE
    },
    Stage {
        page: "doc/migrating-from-dkron.md",
        compared: &[("schedrs explain", Compared::Exactly)],
        ..BARE
    },
    Stage {
        page: "doc/migrating-from-supercronic.md",
        files: &[("crontab", "*/10 * * * * * * echo poll\n0 3 * * * echo nightly\n")],
        ..BARE
    },
    Stage {
        page: "doc/migrating-from-systemd-timers.md",
        files: &[
            (
                "lib/systemd/system/logrotate.timer",
                "[Unit]\nDescription=Daily rotation of log files\n\
                 [Timer]\nOnCalendar=daily\nPersistent=true\n",
            ),
            (
                "lib/systemd/system/logrotate.service",
                "[Unit]\nDescription=Rotate log files\n\
                 [Service]\nType=oneshot\nExecStart=/usr/sbin/logrotate /etc/logrotate.conf\n\
                 Nice=19\n",
            ),
        ],
        instead: &[("/lib/systemd", "lib/systemd")],
        compared: &[("schedrs import", Compared::Exactly)],
        ..BARE
    },
    Stage {
        page: "doc/migrating-from-kubernetes.md",
        files: &[
            ("cronjobs.json", CRON_JOBS),
            ("jobs.toml", "[jobs.a]\ncommand = 'true'\ncron = '@daily'\n"),
        ],
        compared: &[("schedrs import", Compared::Exactly)],
        ..BARE
    },
    Stage {
        page: "doc/runs.md",
        files: &[(
            "jobs.toml",
            "[jobs.backup]\ncommand = 'true'\ncron = '30 2 * * *'\n\
             [jobs.flaky]\ncommand = 'true'\ncron = '0 * * * *'\nretries = 1\n",
        )],
        ..BARE
    },
    Stage {
        page: "doc/security.md",
        files: &[("secrets/token", "0123456789\n"), ("report.sh", "#!/bin/sh\n")],
        setup: "chmod 700 secrets; chmod 600 secrets/token",
        ..BARE
    },
    Stage {
        page: "doc/store.md",
        files: &[("jobs.toml", "[jobs.a]\ncommand = 'true'\ndate = 'now'\n")],
        setup: "schedrs run jobs.toml --store sqlite:jobs.db --until +1s",
        instead: &[("jobs-5f1c09ab.db", "jobs.db")],
        ..BARE
    },
    Stage {
        page: "examples/order_timeout/README.md",
        setup: "cp examples/order_timeout/* .",
        ..BARE
    },
];

/// What `kubectl get cronjobs -o json` prints, as far as it says anything.
const CRON_JOBS: &str = r#"{
  "kind": "List",
  "items": [
    {
      "apiVersion": "batch/v1",
      "kind": "CronJob",
      "metadata": { "name": "report" },
      "spec": {
        "schedule": "30 6 * * 1-5",
        "timeZone": "Europe/Berlin",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 300,
        "jobTemplate": { "spec": { "backoffLimit": 0, "template": { "spec": {
          "restartPolicy": "Never",
          "containers": [
            {
              "name": "report",
              "image": "shop:7",
              "command": ["/usr/local/bin/report", "--all"]
            }
          ]
        } } } }
      }
    }
  ]
}
"#;
