//! Every state that `list` shows has its sentence in `why`: the table of doc/history.md, row by row.

use clap::ValueEnum as _;

use super::super::history_source::{self, args, scene};
use super::super::list::State;
use super::show;
use crate::core::event::{JobRecord, Pause, RunId};
use crate::core::fleet::{Member, SessionId};
use crate::core::outcome::{Outcome, SkipReason};
use crate::core::record::{AttemptRecord, RunRecord, Session};
use crate::history::fake::Fake;
use crate::store::Process;
use crate::sys::machine;
use scene::at;

const PAGE: &str = include_str!("../../../../doc/history.md");
const HOURLY: &str = "cron = \"0 * * * *\"";

/// What there is to know of a job of which `why` is asked at 12:30.
struct Scene {
    job: String,
    store: Fake,
    line: Vec<&'static str>,
}

impl Scene {
    /// A job that is due each hour and has been since midnight, with a schedrs that runs.
    fn new(options: &str) -> Scene {
        let known = JobRecord {
            id: "job".into(),
            anchor: at("00:00"),
            decided: at("12:00"),
            trigger: "".into(),
            since: at("00:00"),
            pause: None,
            resumed: false,
            added: None,
            overrides: None,
        };
        let job = format!("[jobs.job]\ncommand = \"true\"\n{options}\n");
        let store = Fake { jobs: vec![known], sessions: vec![own_session()], ..Fake::default() };
        Scene { job, store, line: vec!["job"] }
    }

    fn run(mut self, number: u64, due: &str, outcome: Option<Outcome>) -> Scene {
        let given = outcome.clone().unwrap_or(Outcome::Succeeded);
        let record = scene::run("job", due, 0, 3, given);
        let duration = record.duration.filter(|_| outcome.is_some());
        self.store.add(RunRecord { run: Some(RunId(number)), outcome, duration, ..record });
        self
    }

    /// A run that waits for its first attempt.
    fn waiting(mut self) -> Scene {
        let record = scene::run("job", "12:00", 0, 0, Outcome::NotStarted(String::new()));
        let run = Some(RunId(14));
        self.store.add(RunRecord { run, outcome: None, attempts: 0, ..record });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Fake)) -> Scene {
        change(&mut self.store);
        self
    }

    fn at(mut self, time: &'static str) -> Scene {
        self.line.extend(["--at", time]);
        self
    }

    fn said(self) -> String {
        let text = format!("[scheduler]\ntimezone = \"Europe/Berlin\"\n{}", self.job);
        let mut history = history_source::of(&text, at("12:30"), self.store);
        let mut out = Vec::new();
        show(&args(&self.line), &mut history, &mut out).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }
}

/// The session of a scheduler that goes on: this process.
fn own_session() -> Session {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let start = fields.split_ascii_whitespace().nth(19).unwrap().parse().unwrap();
    Session {
        process: Process { pid: std::process::id(), start },
        boot: machine::boot_id().into(),
        began: at("00:00"),
        seen: at("12:59"),
        stopped: None,
        jobfile: "jobs.toml".into(),
        mark: 0,
    }
}

fn pause() -> Option<Pause> {
    let reason = Some("moving".into());
    Some(Pause { at: at("11:00"), until: None, by: "alice".into(), reason })
}

/// The first cell of each row, and how it comes about.
fn scenes() -> Vec<(&'static str, Scene)> {
    let hourly = |more: &str| Scene::new(&format!("{HOURLY}\n{more}"));
    let succeeded = || hourly("").run(13, "12:00", Some(Outcome::Succeeded));
    let failed = || Some(Outcome::Failed(1));
    let attempt = AttemptRecord {
        attempt: 1,
        process: None,
        started: Some(at("12:00")),
        ended: Some(at("12:00:03")),
        outcome: failed(),
    };
    let other_host = Member { seen: at("13:00"), ..Member::new(SessionId(2), "web2") };
    vec![
        ("`running`", hourly("").run(14, "12:00", None)),
        ("`waiting`, for a slot", hourly("").waiting()),
        ("`waiting`, for another run", hourly("overlap = \"queue\"").waiting()),
        (
            "`waiting`, to be tried again",
            hourly("retries = 3")
                .run(14, "12:00", None)
                .with(|store| store.attempts.push((RunId(14), attempt))),
        ),
        ("`paused`, by somebody", succeeded().with(|store| store.jobs[0].pause = pause())),
        ("`paused`, as all jobs are", succeeded().with(|store| store.all_paused = pause())),
        (
            "`paused`, in the jobfile",
            hourly("paused = true").run(13, "12:00", Some(Outcome::Succeeded)),
        ),
        ("`scheduled`", succeeded()),
        (
            "`overdue`",
            hourly("expect = \"30m\"").run(13, "11:00", Some(Outcome::Succeeded)).run(
                14,
                "12:00",
                failed(),
            ),
        ),
        (
            "`scheduled`, after a retry that was superseded",
            hourly("retries = 3\nretry_delay = \"2h\"")
                .run(13, "12:00", failed())
                .with(|store| {
                    let by_hand = scene::run("job", "12:00:10", 0, 1, Outcome::Succeeded);
                    store.add(RunRecord { run: Some(RunId(14)), ..by_hand });
                })
                .at("12:00"),
        ),
        (
            "`scheduled`, not due yet",
            Scene::new("interval = \"1d\"").with(|store| {
                store.jobs[0].anchor = at("12:30");
                store.jobs[0].since = at("12:30");
            }),
        ),
        (
            "`finished`",
            Scene::new("date = 2026-11-24T12:00:00").run(13, "12:00", Some(Outcome::Succeeded)),
        ),
        ("`finished`, and it never ran", Scene::new("date = 2026-11-23T12:00:00")),
        ("`finished`, with a schedule that names no time", Scene::new("cron = \"0 0 30 2 *\"")),
        (
            "not listed: written since the jobfile was loaded",
            hourly("").with(|store| store.jobs.clear()),
        ),
        (
            "not listed: another host's",
            Scene {
                job: String::new(),
                ..succeeded().with(|store| {
                    store.members.push(other_host);
                    store.records[0].host = Some("web2".into());
                })
            },
        ),
    ]
}

/// The rows of the table.
fn rows() -> Vec<(String, String)> {
    let (_, table) = PAGE.split_once("| state | `why` says |\n| --- | --- |\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split(" | ");
        let mut cell = || cells.next().unwrap().trim().to_owned();
        (cell(), cell())
    };
    rows.map(row).collect()
}

#[test]
fn each_has_its_sentence() {
    let (rows, scenes) = (rows(), scenes());
    let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let told: Vec<String> = rows.iter().map(|(state, _)| state.clone()).collect();
    assert_eq!(told, names(&scenes.iter().map(|(state, _)| *state).collect::<Vec<_>>()));
    for state in State::value_variants() {
        let word = format!("`{}`", state.word());
        assert!(told.iter().any(|told| told.starts_with(&word)), "{word} has no row");
    }
    for ((state, sentence), (_, scene)) in rows.iter().zip(scenes) {
        let said = scene.said();
        let mut rest = &*said;
        for part in sentence.split('…') {
            let found = rest.split_once(part.trim());
            let (_, after) = found.unwrap_or_else(|| panic!("{state}: {part:?} is not in\n{said}"));
            rest = after;
        }
    }
}

/// How the job is now is told whatever time is asked about.
#[test]
fn an_old_due_time_does_not_hide_what_is_now() {
    let asked = |more: &str| {
        let scene = Scene::new(&format!("{HOURLY}\n{more}"));
        scene.run(2, "02:00", Some(Outcome::Succeeded)).at("02:00")
    };
    let skipped = |store: &mut Fake| {
        let record = scene::run("job", "12:00", 0, 0, Outcome::Skipped(SkipReason::Paused));
        store.add(RunRecord { run: None, started: None, ..record });
    };
    let on = |scene: Scene, host: &'static str| {
        scene.with(move |store| {
            store.members.push(Member::new(SessionId(2), "web2"));
            store.records.iter_mut().for_each(|record| record.host = Some(host.into()));
        })
    };
    let rows = [
        (asked("").run(14, "12:00", None), "now       run 14 has been running since", true),
        (asked("expect = \"3h\""), "now       overdue since 05:00:03", true),
        // Paused until a moment ago.
        (asked("expect = \"3h\"").with(skipped), "overdue", false),
        // Of a time without a record it says who decided the one before it, not who has the job now.
        (
            Scene { line: vec!["job", "--at", "02:30"], ..on(asked(""), "web1") }
                .run(14, "12:00", Some(Outcome::Succeeded))
                .with(|store| store.records[1].host = Some("web2".into())),
            "web1, which decided its last due time",
            true,
        ),
    ];
    for (scene, part, is_said) in rows {
        let said = scene.said();
        assert_eq!(said.contains(part), is_said, "{part:?}:\n{said}");
    }
}
