//! What the scheduler decides, as transcripts: a scenario in virtual time, and every line of what
//! was to be done. All of it begins on 2026-01-01 at 12:00:00 UTC.
//!
//! `start a#3/2` is the second attempt of run 3 of job a; a line with an outcome names the due
//! time it is for, and for several of them the first, the last and how many.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use schedrs::event::{Action, Event, Exit, Notice, Outcome, Record, Request, RunId, Start};
use schedrs::instant::{Instant, Mono, Now};
use schedrs::job::{
    Coalesce, Command, Executor, Grace, Job, JobSet, Keep, Options, Overlap, Settings,
};
use schedrs::scheduler::{Scheduler, Wakeup};
use schedrs::sim::{Observer, Plan, Sim};
use schedrs::trigger::{DateTrigger, IntervalTrigger, Trigger};
use schedrs::zone::Zone;

/// 2026-01-01T12:00:00Z.
const NOON: Instant = Instant::from_secs(1_767_268_800);

/// The instant of a time of day, `15:04` or `15:04:05`, of that day or (`1d 15:04`) a later one.
fn at(text: &str) -> Instant {
    let (days, time) = text.split_once("d ").unwrap_or(("0", text));
    let mut parts = time.split(':').map(|part| part.parse::<i64>().unwrap());
    let hours = parts.next().unwrap() + days.parse::<i64>().unwrap() * 24;
    let secs = hours * 3600 + parts.next().unwrap() * 60 + parts.next().unwrap_or(0);
    Instant::from_secs(NOON.secs() - 12 * 3600 + secs)
}

fn clock(at: Instant) -> String {
    let micros = at.micros() - NOON.micros() + 12 * 3_600_000_000;
    let (day, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (secs, millis) = (rest / 1_000_000, rest % 1_000_000 / 1000);
    let mut text = String::new();
    if day != 0 {
        write!(text, "{day}d ").unwrap();
    }
    write!(text, "{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60).unwrap();
    if millis != 0 {
        write!(text, ".{millis:03}").unwrap();
    }
    text
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Every so many seconds from noon on, the first time one interval later.
fn every(interval: u64) -> Trigger {
    Trigger::Interval(IntervalTrigger::new(secs(interval), None, None))
}

/// Once.
fn once(when: &str) -> Trigger {
    Trigger::Date(DateTrigger::At(at(when)))
}

/// A job with the default options but for what `set` says.
fn job(id: &str, trigger: Trigger, set: impl FnOnce(&mut Options)) -> Job {
    let mut options = Options::default();
    set(&mut options);
    Job {
        id: id.into(),
        command: Command::Shell("true".into()),
        trigger,
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(options),
    }
}

fn on_executor(executor: u16, job: Job) -> Job {
    Job { executor, ..job }
}

fn set_with(executors: &[(&str, u32)], jobs: Vec<Job>) -> JobSet {
    JobSet {
        settings: Settings {
            zone: Zone::utc(),
            stop_grace: secs(30),
            store_url: None,
            keep: Keep::default(),
        },
        executors: executors
            .iter()
            .map(|&(name, max_workers)| Executor { name: name.into(), max_workers })
            .collect(),
        jobs: jobs.into_iter().map(Arc::new).collect(),
    }
}

fn set(jobs: Vec<Job>) -> JobSet {
    set_with(&[("default", 20)], jobs)
}

/// A scenario. Attempts succeed after a second unless told.
struct Test {
    sim: Sim<Box<dyn FnMut(&Start) -> Plan>>,
    transcript: Transcript,
}

impl Test {
    fn new(set: JobSet) -> Test {
        Test::with_plan(set, |_| Plan::succeeds_after(secs(1)))
    }

    fn with_plan(set: JobSet, plan: impl FnMut(&Start) -> Plan + 'static) -> Test {
        let transcript = Transcript::default();
        Test { sim: Sim::new(set, NOON, Box::new(plan)), transcript }
    }

    /// Jobs whose attempts take other times than a second.
    fn with_durations(set: JobSet, durations: &[(&str, u64)]) -> Test {
        let durations: HashMap<String, u64> =
            durations.iter().map(|(id, secs)| ((*id).to_owned(), *secs)).collect();
        Test::with_plan(set, move |start| {
            Plan::succeeds_after(secs(durations.get(&*start.job.id).copied().unwrap_or(1)))
        })
    }

    fn until(mut self, when: &str) -> Test {
        self.sim.run_until(at(when), &mut self.transcript);
        self
    }

    fn asleep(mut self, from: &str, until: &str) -> Test {
        self.sim = self.sim.with_outage(at(from), at(until));
        self
    }

    fn clock_set(mut self, to: &str) -> Test {
        self.sim.set_clock(at(to), &mut self.transcript);
        self
    }

    fn send(mut self, event: Event) -> Test {
        self.sim.send(event, &mut self.transcript);
        self
    }

    fn reload(self, set: JobSet) -> Test {
        self.send(Event::Reload(Box::new(set)))
    }

    #[track_caller]
    fn expect(self, expected: &str) {
        let lines = |text: &str| -> String {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.fold(String::new(), |text, line| text + line + "\n")
        };
        let (expected, found) = (lines(expected), lines(&self.transcript.text));
        if expected != found {
            panic!("expected:\n{expected}\nfound:\n{found}");
        }
    }
}

/// What was decided, a line each.
#[derive(Default)]
struct Transcript {
    text: String,
    names: HashMap<RunId, String>,
}

impl Observer for Transcript {
    fn see(&mut self, now: Now, action: &Action) {
        let name = |run: &RunId| self.names.get(run).cloned().unwrap_or(format!("?#{run}"));
        let line = match action {
            Action::Start(Start { run, attempt, job, .. }) => {
                self.names.insert(*run, format!("{}#{run}", job.id));
                match attempt {
                    1 => format!("start {}#{run}", job.id),
                    _ => format!("start {}#{run}/{attempt}", job.id),
                }
            }
            Action::Terminate(run) => format!("term {}", name(run)),
            Action::Kill(run) => format!("kill {}", name(run)),
            Action::Record(record) => line_of(record),
            Action::Notice(Notice::Retrying { run, job, outcome, attempt, delay }) => {
                format!("{}#{run} {outcome}, attempt {attempt} in {delay:?}", job.id)
            }
            Action::Notice(Notice::Postponed { run, job, reason, delay }) => {
                format!("{}#{run} not started ({reason}), again in {delay:?}", job.id)
            }
            Action::Notice(Notice::TimingOut { run, job }) => {
                format!("{}#{run} takes too long", job.id)
            }
            Action::Notice(Notice::ClockJumped { by_micros }) => {
                format!("clock jumped by {}s", by_micros / 1_000_000)
            }
            Action::Notice(Notice::Reloaded { added, changed, removed, unchanged }) => {
                format!("reloaded +{added} ~{changed} -{removed} ={unchanged}")
            }
            Action::Notice(Notice::Stopping { running }) => format!("stopping, {running} active"),
            Action::Notice(Notice::Status(status)) => format!(
                "status {} jobs, {} running, {} waiting, next {:?}",
                status.jobs,
                status.running,
                status.waiting,
                status.next.as_ref().map(|(at, job)| format!("{} {job}", clock(*at)))
            ),
            Action::Notice(Notice::Ignored { run, event }) => format!("ignored #{run} {event}"),
            Action::Notice(Notice::Started { .. } | Notice::Starting { .. }) => return,
            Action::Exit => "exit".to_owned(),
        };
        writeln!(self.text, "{} {line}", clock(now.wall)).unwrap();
    }
}

fn line_of(record: &Record) -> String {
    let mut line = record.job.id.to_string();
    if let Some(run) = record.run {
        write!(line, "#{run}").unwrap();
    }
    write!(line, " {}", record.outcome).unwrap();
    if record.attempts > 1 {
        write!(line, " after {} attempts", record.attempts).unwrap();
    }
    write!(line, ", due {}", clock(record.due)).unwrap();
    if record.count > 1 {
        write!(line, "..{} ({} of them)", clock(record.last_due), record.count).unwrap();
    }
    line
}

// --- Due --------------------------------------------------------------------------------------

#[test]
fn an_interval_counts_from_the_start_and_a_date_is_once() {
    Test::new(set(vec![job("a", every(60), |_| {}), job("b", once("12:01:30"), |_| {})]))
        .until("12:02:30")
        .expect(
            "12:01:00 start a#1
             12:01:01 a#1 succeeded, due 12:01:00
             12:01:30 start b#2
             12:01:31 b#2 succeeded, due 12:01:30
             12:02:00 start a#3
             12:02:01 a#3 succeeded, due 12:02:00",
        );
}

#[test]
fn what_is_due_at_the_start_itself_fires_and_the_past_does_not() {
    let grid = Trigger::Interval(IntervalTrigger::new(secs(60), Some(NOON), Some(at("12:01"))));
    let earlier = Trigger::Interval(IntervalTrigger::new(secs(60), Some(at("11:59:30")), None));
    Test::new(set(vec![
        job("now", Trigger::Date(DateTrigger::Now), |_| {}),
        job("reboot", Trigger::Date(DateTrigger::Reboot), |_| {}),
        job("grid", grid, |_| {}),
        job("grown", earlier, |_| {}),
        job("past", once("11:59:59"), |_| {}),
    ]))
    .until("12:01:15")
    .expect(
        "12:00:00 start now#1
         12:00:00 start reboot#2
         12:00:00 start grid#3
         12:00:01 now#1 succeeded, due 12:00:00
         12:00:01 reboot#2 succeeded, due 12:00:00
         12:00:01 grid#3 succeeded, due 12:00:00
         12:00:30 start grown#4
         12:00:31 grown#4 succeeded, due 12:00:30
         12:01:00 start grid#5
         12:01:01 grid#5 succeeded, due 12:01:00",
    );
}

#[test]
fn run_on_start_is_one_more_run_unless_the_job_is_due_anyway() {
    let start = |options: &mut Options| options.run_on_start = true;
    Test::new(set(vec![
        job("extra", every(60), start),
        job("anyway", Trigger::Date(DateTrigger::Now), start),
        job("paused", every(60), |options| {
            options.run_on_start = true;
            options.paused = true;
        }),
    ]))
    .until("12:01:30")
    .expect(
        "12:00:00 start extra#1
         12:00:00 start anyway#2
         12:00:01 extra#1 succeeded, due 12:00:00
         12:00:01 anyway#2 succeeded, due 12:00:00
         12:01:00 start extra#3
         12:01:01 extra#3 succeeded, due 12:01:00",
    );
}

#[test]
fn a_paused_job_is_not_due() {
    let test = Test::new(set(vec![job("a", every(60), |options| options.paused = true)]));
    assert_eq!(test.sim.scheduler().next_wakeup(), Wakeup::default());
    assert!(test.sim.scheduler().is_idle_forever());
    test.until("13:00").expect("");
}

/// Ten minutes asleep, a job of each minute: due 12:01 to 12:10, of which 12:05 to 12:10 are
/// within the grace of 5 min 30 s.
fn after_a_sleep(coalesce: Coalesce) -> Test {
    Test::new(set(vec![job("a", every(60), |options| {
        options.coalesce = coalesce;
        options.misfire_grace_time = Grace::Limited(secs(330));
        options.max_instances = 4;
    })]))
    .asleep("12:00:10", "12:10:20")
    .until("12:10:30")
}

#[test]
fn after_a_sleep_the_latest_runs() {
    after_a_sleep(Coalesce::Latest).expect(
        "12:10:20 clock jumped by 610s
         12:10:20 a missed(late by 560s), due 12:01:00..12:04:00 (4 of them)
         12:10:20 a coalesced, due 12:05:00..12:09:00 (5 of them)
         12:10:20 start a#1
         12:10:21 a#1 succeeded, due 12:10:00",
    );
}

#[test]
fn after_a_sleep_the_earliest_runs() {
    after_a_sleep(Coalesce::Earliest).expect(
        "12:10:20 clock jumped by 610s
         12:10:20 a missed(late by 560s), due 12:01:00..12:04:00 (4 of them)
         12:10:20 a coalesced, due 12:06:00..12:10:00 (5 of them)
         12:10:20 start a#1
         12:10:21 a#1 succeeded, due 12:05:00",
    );
}

#[test]
fn after_a_sleep_all_run_that_may() {
    after_a_sleep(Coalesce::All).expect(
        "12:10:20 clock jumped by 610s
         12:10:20 a missed(late by 560s), due 12:01:00..12:04:00 (4 of them)
         12:10:20 start a#1
         12:10:20 start a#2
         12:10:20 start a#3
         12:10:20 start a#4
         12:10:20 a skipped(overlap), due 12:09:00..12:10:00 (2 of them)
         12:10:21 a#1 succeeded, due 12:05:00
         12:10:21 a#2 succeeded, due 12:06:00
         12:10:21 a#3 succeeded, due 12:07:00
         12:10:21 a#4 succeeded, due 12:08:00",
    );
}

#[test]
fn a_year_asleep_is_counted_and_not_enumerated() {
    let forever = |options: &mut Options| options.misfire_grace_time = Grace::Forever;
    Test::new(set(vec![
        job("seconds", every(1), |_| {}),
        job("all", every(1), |options| {
            options.misfire_grace_time = Grace::Forever;
            options.coalesce = Coalesce::All;
        }),
        job("once", once("12:30"), |_| {}),
        job("still", once("12:30"), forever),
    ]))
    .asleep("12:00:00", "365d 12:00:00")
    .until("365d 12:00:00")
    .expect(
        "365d 12:00:00 clock jumped by 31536000s
         365d 12:00:00 seconds missed(late by 31535999s), due 12:00:01..365d 11:58:59 (31535939 of them)
         365d 12:00:00 seconds coalesced, due 365d 11:59:00..365d 11:59:59 (60 of them)
         365d 12:00:00 start seconds#1
         365d 12:00:00 all coalesced, due 12:00:01..365d 09:13:20 (31526000 of them)
         365d 12:00:00 start all#2
         365d 12:00:00 all skipped(overlap), due 365d 09:13:22..365d 12:00:00 (9999 of them)
         365d 12:00:00 once missed(late by 31534200s), due 12:30:00
         365d 12:00:00 start still#3",
    );
}

#[test]
fn late_is_late_by_more_than_the_grace() {
    let minute = |id: &str| {
        job(id, once("12:10"), |options| options.misfire_grace_time = Grace::Limited(secs(60)))
    };
    Test::new(set(vec![minute("a")])).asleep("12:05", "12:11").until("12:11:30").expect(
        "12:11:00 clock jumped by 360s
             12:11:00 start a#1
             12:11:01 a#1 succeeded, due 12:10:00",
    );
    Test::new(set(vec![minute("a")])).asleep("12:05", "12:11:01").until("12:11:30").expect(
        "12:11:01 clock jumped by 361s
             12:11:01 a missed(late by 61s), due 12:10:00",
    );
}

#[test]
fn jitter_shifts_the_fire_and_not_the_grid() {
    let mut test = Test::new(set(vec![job("a", every(600), |options| {
        options.jitter = secs(300);
    })]));
    let mut fires = Vec::new();
    let mut observer = |now: Now, action: &Action| {
        if let Action::Start(start) = action {
            fires.push((start.due, now.wall));
        }
    };
    test.sim.run_until(at("22:00"), &mut observer);
    assert_eq!(fires.len(), 59);
    for (index, (due, fired)) in fires.iter().enumerate() {
        assert_eq!(*due, NOON.plus(secs(600 * (index as u64 + 1))));
        assert_eq!(*fired, due.plus(schedrs::trigger::jitter::jitter("a", *due, secs(300))));
    }
}

/// With a jitter longer than the interval, fires overtake one another; each comes at its own time.
#[test]
fn jitter_may_be_longer_than_the_interval() {
    let mut test = Test::new(set(vec![job("a", every(10), |options| {
        options.jitter = secs(60);
        options.misfire_grace_time = Grace::Limited(Duration::ZERO);
        options.max_instances = 100;
    })]));
    let mut fires = Vec::new();
    let mut observer = |now: Now, action: &Action| match action {
        Action::Start(start) => fires.push((now.wall, start.due)),
        Action::Record(record) => assert_eq!(record.outcome, Outcome::Succeeded),
        _ => {}
    };
    test.sim.run_until(at("13:00"), &mut observer);
    let fire = |due: Instant| due.plus(schedrs::trigger::jitter::jitter("a", due, secs(60)));
    let mut expected: Vec<_> = (1..360)
        .map(|n| NOON.plus(secs(10 * n)))
        .map(|due| (fire(due), due))
        .filter(|(fire, _)| *fire < at("13:00"))
        .collect();
    expected.sort_unstable();
    assert_eq!(fires, expected);
    assert!(fires.windows(2).any(|pair| pair[0].1 > pair[1].1), "none overtook another");
}

// --- Admission --------------------------------------------------------------------------------

/// A job of each minute that takes 150 seconds.
fn overlapping(overlap: Overlap, max_instances: u32) -> Test {
    let job = job("a", every(60), |options| {
        options.overlap = overlap;
        options.max_instances = max_instances;
    });
    Test::with_durations(set(vec![job]), &[("a", 150)])
}

#[test]
fn overlap_skip() {
    overlapping(Overlap::Skip, 1).until("12:04:30").expect(
        "12:01:00 start a#1
         12:02:00 a skipped(overlap), due 12:02:00
         12:03:00 a skipped(overlap), due 12:03:00
         12:03:30 a#1 succeeded, due 12:01:00
         12:04:00 start a#2",
    );
}

#[test]
fn overlap_queue_keeps_one_and_skips_the_rest() {
    overlapping(Overlap::Queue, 1).until("12:05:30").expect(
        "12:01:00 start a#1
         12:03:00 a skipped(overlap), due 12:03:00
         12:03:30 a#1 succeeded, due 12:01:00
         12:03:30 start a#2
         12:05:00 a skipped(overlap), due 12:05:00",
    );
}

#[test]
fn overlap_replace_ends_the_old_run_first() {
    overlapping(Overlap::Replace, 1).until("12:03:30").expect(
        "12:01:00 start a#1
         12:02:00 term a#1
         12:02:00 a#1 killed(15), due 12:01:00
         12:02:00 start a#2
         12:03:00 term a#2
         12:03:00 a#2 killed(15), due 12:02:00
         12:03:00 start a#3",
    );
}

#[test]
fn overlap_replace_waits_for_the_old_one_and_the_newest_wins() {
    let stubborn = job("a", every(60), |options| {
        options.overlap = Overlap::Replace;
        options.kill_after = secs(150);
        options.retries = 5;
    });
    Test::with_plan(set(vec![stubborn]), |_| Plan::Stubborn(secs(100_000), Exit::Code(0)))
        .until("12:05:10")
        .expect(
            "12:01:00 start a#1
             12:02:00 term a#1
             12:03:00 a#2 skipped(overlap), due 12:02:00
             12:04:00 a#3 skipped(overlap), due 12:03:00
             12:04:30 kill a#1
             12:04:30 a#1 killed(9), due 12:01:00
             12:04:30 start a#4
             12:05:00 term a#4",
        );
}

#[test]
fn overlap_replace_of_several_ends_the_oldest() {
    overlapping(Overlap::Replace, 2).until("12:04:10").expect(
        "12:01:00 start a#1
         12:02:00 start a#2
         12:03:00 term a#1
         12:03:00 a#1 killed(15), due 12:01:00
         12:03:00 start a#3
         12:04:00 term a#2
         12:04:00 a#2 killed(15), due 12:02:00
         12:04:00 start a#4",
    );
}

/// The run that is replaced waits for a slot: the newer one takes its place in the queue.
#[test]
fn overlap_replace_of_a_run_that_waits_for_a_slot() {
    let jobs = vec![
        job("long", once("12:00:30"), |_| {}),
        job("a", every(60), |options| options.overlap = Overlap::Replace),
        job("b", once("12:01:30"), |_| {}),
    ];
    Test::with_durations(set_with(&[("default", 1)], jobs), &[("long", 170)])
        .until("12:03:25")
        .expect(
            "12:00:30 start long#1
             12:02:00 a#2 skipped(overlap), due 12:01:00
             12:03:00 a#4 skipped(overlap), due 12:02:00
             12:03:20 long#1 succeeded, due 12:00:30
             12:03:20 start a#5
             12:03:21 a#5 succeeded, due 12:03:00
             12:03:21 start b#3
             12:03:22 b#3 succeeded, due 12:01:30",
        );
}

#[test]
fn coalesce_all_with_replace_does_not_start_what_it_would_end() {
    Test::new(set(vec![job("a", every(60), |options| {
        options.coalesce = Coalesce::All;
        options.overlap = Overlap::Replace;
        options.misfire_grace_time = Grace::Forever;
    })]))
    .asleep("12:00:10", "12:04:20")
    .until("12:04:30")
    .expect(
        "12:04:20 clock jumped by 250s
         12:04:20 start a#1
         12:04:20 a skipped(overlap), due 12:01:00..12:03:00 (3 of them)
         12:04:21 a#1 succeeded, due 12:04:00",
    );
}

// --- Slots ------------------------------------------------------------------------------------

#[test]
fn slots_are_given_first_come_first_served_and_waiting_is_no_misfire() {
    let jobs = ["a", "b", "c", "d"].map(|id| job(id, once("12:00:30"), |_| {}));
    Test::with_durations(
        set_with(&[("default", 2)], jobs.into()),
        &[("a", 7200), ("b", 3600), ("c", 1800)],
    )
    .until("14:00:31")
    .expect(
        "12:00:30 start a#1
         12:00:30 start b#2
         13:00:30 b#2 succeeded, due 12:00:30
         13:00:30 start c#3
         13:30:30 c#3 succeeded, due 12:00:30
         13:30:30 start d#4
         13:30:31 d#4 succeeded, due 12:00:30
         14:00:30 a#1 succeeded, due 12:00:30",
    );
}

#[test]
fn executors_do_not_share_slots() {
    let jobs = vec![
        job("a", once("12:00:30"), |_| {}),
        on_executor(1, job("b", once("12:00:40"), |_| {})),
        job("c", once("12:00:50"), |_| {}),
    ];
    Test::with_durations(set_with(&[("default", 1), ("reports", 1)], jobs), &[("a", 60)])
        .until("12:01:40")
        .expect(
            "12:00:30 start a#1
             12:00:40 start b#2
             12:00:41 b#2 succeeded, due 12:00:40
             12:01:30 a#1 succeeded, due 12:00:30
             12:01:30 start c#3
             12:01:31 c#3 succeeded, due 12:00:50",
        );
}

#[test]
fn max_wait_bounds_the_wait_for_a_slot_and_for_a_run() {
    let jobs = vec![
        job("long", once("12:00:30"), |_| {}),
        job("slot", once("12:01:00"), |options| options.max_wait = Some(secs(60))),
        job("patient", once("12:01:00"), |options| options.max_wait = Some(secs(600))),
        on_executor(
            1,
            job("self", every(60), |options| {
                options.overlap = Overlap::Queue;
                options.max_wait = Some(secs(30));
            }),
        ),
    ];
    Test::with_durations(
        set_with(&[("default", 1), ("other", 1)], jobs),
        &[("long", 300), ("self", 100)],
    )
    .until("12:05:32")
    .expect(
        "12:00:30 start long#1
         12:01:00 start self#4
         12:02:00 slot#2 missed(waited 60s), due 12:01:00
         12:02:30 self#5 missed(waited 30s), due 12:02:00
         12:02:40 self#4 succeeded, due 12:01:00
         12:03:00 start self#6
         12:04:30 self#7 missed(waited 30s), due 12:04:00
         12:04:40 self#6 succeeded, due 12:03:00
         12:05:00 start self#8
         12:05:30 long#1 succeeded, due 12:00:30
         12:05:30 start patient#3
         12:05:31 patient#3 succeeded, due 12:01:00",
    );
}

// --- Attempts ---------------------------------------------------------------------------------

#[test]
fn codes_and_signals_become_outcomes() {
    let jobs = vec![
        job("grep", once("12:01"), |options| options.success_codes = Box::new([0, 1])),
        job("one", once("12:01"), |_| {}),
        job("signal", once("12:01"), |_| {}),
        job("large", once("12:01"), |options| options.success_codes = Box::new([0])),
    ];
    let plan = |start: &Start| {
        let exit = match &*start.job.id {
            "grep" | "one" => Exit::Code(1),
            "signal" => Exit::Signal(11),
            // 0 in its low byte: no success all the same.
            _ => Exit::Code(256),
        };
        Plan::Lasts(secs(1), exit)
    };
    Test::with_plan(set(jobs), plan).until("12:02").expect(
        "12:01:00 start grep#1
         12:01:00 start one#2
         12:01:00 start signal#3
         12:01:00 start large#4
         12:01:01 grep#1 succeeded, due 12:01:00
         12:01:01 one#2 failed(1), due 12:01:00
         12:01:01 signal#3 killed(11), due 12:01:00
         12:01:01 large#4 failed(256), due 12:01:00",
    );
}

#[test]
fn retries_back_off_up_to_a_cap() {
    let jobs = vec![job("a", once("12:01"), |options| {
        options.retries = 4;
        options.retry_delay = secs(10);
        options.retry_backoff = 3.0;
        options.retry_max_delay = secs(60);
    })];
    Test::with_plan(set(jobs), |_| Plan::Lasts(secs(1), Exit::Code(2))).until("12:30").expect(
        "12:01:00 start a#1
         12:01:01 a#1 failed(2), attempt 2 in 10s
         12:01:11 start a#1/2
         12:01:12 a#1 failed(2), attempt 3 in 30s
         12:01:42 start a#1/3
         12:01:43 a#1 failed(2), attempt 4 in 60s
         12:02:43 start a#1/4
         12:02:44 a#1 failed(2), attempt 5 in 60s
         12:03:44 start a#1/5
         12:03:45 a#1 failed(2) after 5 attempts, due 12:01:00",
    );
}

#[test]
fn a_retry_may_succeed_and_holds_no_slot_while_it_waits() {
    let jobs = vec![
        job("a", once("12:01"), |options| options.retries = 1),
        job("b", once("12:01"), |_| {}),
    ];
    let plan = |start: &Start| match (&*start.job.id, start.attempt) {
        ("a", 1) => Plan::Lasts(secs(1), Exit::Code(1)),
        ("a", _) => Plan::succeeds_after(secs(1)),
        _ => Plan::succeeds_after(secs(20)),
    };
    Test::with_plan(set_with(&[("default", 1)], jobs), plan).until("12:02").expect(
        "12:01:00 start a#1
         12:01:01 a#1 failed(1), attempt 2 in 10s
         12:01:01 start b#2
         12:01:21 b#2 succeeded, due 12:01:00
         12:01:21 start a#1/2
         12:01:22 a#1 succeeded after 2 attempts, due 12:01:00",
    );
}

#[test]
fn a_retry_that_waits_is_an_instance_and_a_newer_due_time_supersedes_it() {
    let jobs = vec![job("a", every(60), |options| {
        options.retries = 3;
        options.retry_delay = secs(40);
        options.retry_backoff = 1.0;
    })];
    Test::with_plan(set(jobs), |_| Plan::Lasts(secs(1), Exit::Code(1))).until("12:02:30").expect(
        "12:01:00 start a#1
         12:01:01 a#1 failed(1), attempt 2 in 40s
         12:01:41 start a#1/2
         12:01:42 a#1 failed(1), attempt 3 in 40s
         12:02:00 a#1 failed(1) after 2 attempts, due 12:01:00
         12:02:00 start a#2
         12:02:01 a#2 failed(1), attempt 2 in 40s",
    );
}

#[test]
fn a_due_time_that_waits_for_a_run_supersedes_its_retry() {
    let jobs = vec![job("a", every(60), |options| {
        options.retries = 3;
        options.overlap = Overlap::Queue;
    })];
    Test::with_plan(set(jobs), |_| Plan::Lasts(secs(70), Exit::Code(1))).until("12:03:05").expect(
        "12:01:00 start a#1
         12:02:10 a#1 failed(1), due 12:01:00
         12:02:10 start a#2",
    );
}

#[test]
fn a_timeout_is_term_then_kill() {
    let jobs = vec![
        job("meek", once("12:01"), |options| options.timeout = Some(secs(60))),
        job("stubborn", once("12:01"), |options| {
            options.timeout = Some(secs(60));
            options.kill_after = secs(5);
        }),
        job("quick", once("12:01"), |options| options.timeout = Some(secs(60))),
    ];
    let plan = |start: &Start| match &*start.job.id {
        "meek" => Plan::succeeds_after(secs(100)),
        "stubborn" => Plan::Stubborn(secs(100), Exit::Code(0)),
        // In the very moment of its timeout: it has ended by itself.
        _ => Plan::succeeds_after(secs(60)),
    };
    Test::with_plan(set(jobs), plan).until("12:05").expect(
        "12:01:00 start meek#1
         12:01:00 start stubborn#2
         12:01:00 start quick#3
         12:02:00 quick#3 succeeded, due 12:01:00
         12:02:00 meek#1 takes too long
         12:02:00 term meek#1
         12:02:00 stubborn#2 takes too long
         12:02:00 term stubborn#2
         12:02:00 meek#1 timed_out, due 12:01:00
         12:02:05 kill stubborn#2
         12:02:05 stubborn#2 timed_out, due 12:01:00",
    );
}

#[test]
fn a_timeout_is_for_each_attempt() {
    let jobs = vec![job("a", once("12:01"), |options| {
        options.timeout = Some(secs(60));
        options.retries = 1;
    })];
    Test::with_plan(set(jobs), |_| Plan::succeeds_after(secs(61))).until("12:30").expect(
        "12:01:00 start a#1
         12:02:00 a#1 takes too long
         12:02:00 term a#1
         12:02:00 a#1 timed_out, attempt 2 in 10s
         12:02:10 start a#1/2
         12:03:10 a#1 takes too long
         12:03:10 term a#1
         12:03:10 a#1 timed_out after 2 attempts, due 12:01:00",
    );
}

fn cannot_start(reason: &str, transient: bool) -> Plan {
    Plan::CannotStart { reason: reason.to_owned(), transient }
}

#[test]
fn what_cannot_be_started_has_failed() {
    let jobs = vec![
        job("a", once("12:01"), |_| {}),
        job("b", once("12:01"), |options| options.retries = 1),
    ];
    Test::with_plan(set(jobs), |_| cannot_start("no such file", false)).until("12:02").expect(
        "12:01:00 start a#1
         12:01:00 start b#2
         12:01:00 a#1 not_started(no such file), due 12:01:00
         12:01:00 b#2 not_started(no such file), attempt 2 in 10s
         12:01:10 start b#2/2
         12:01:10 b#2 not_started(no such file) after 2 attempts, due 12:01:00",
    );
}

#[test]
fn a_shortage_is_waited_for_with_the_slot_kept() {
    let jobs = vec![job("a", once("12:01"), |_| {}), job("b", once("12:01"), |_| {})];
    let mut tries = 0;
    let plan = move |_: &Start| {
        tries += 1;
        if tries <= 3 { cannot_start("EAGAIN", true) } else { Plan::succeeds_after(secs(1)) }
    };
    Test::with_plan(set_with(&[("default", 1)], jobs), plan).until("12:02").expect(
        "12:01:00 start a#1
         12:01:00 a#1 not started (EAGAIN), again in 100ms
         12:01:00.100 start a#1
         12:01:00.100 a#1 not started (EAGAIN), again in 200ms
         12:01:00.300 start a#1
         12:01:00.300 a#1 not started (EAGAIN), again in 400ms
         12:01:00.700 start a#1
         12:01:01.700 a#1 succeeded, due 12:01:00
         12:01:01.700 start b#2
         12:01:02.700 b#2 succeeded, due 12:01:00",
    );
}

#[test]
fn a_shortage_does_not_last_for_ever() {
    let jobs = vec![job("a", once("12:01"), |_| {})];
    let mut test = Test::with_plan(set(jobs), |_| cannot_start("EAGAIN", true)).until("12:30");
    assert_eq!(test.sim.report().starts, 12);
    let last = test.transcript.text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(last, "12:01:52.700 a#1 not_started(EAGAIN), due 12:01:00");
    test.sim.run_until(at("13:00"), &mut test.transcript);
    assert!(test.sim.scheduler().is_idle_forever());
}

// --- The clock --------------------------------------------------------------------------------

#[test]
fn the_clock_goes_26_hours_forward() {
    let jobs = vec![
        job("hourly", every(3600), |_| {}),
        job("soon", once("1d 13:59:30"), |_| {}),
        job("later", once("1d 14:00:10"), |_| {}),
        job("long", once("12:00:01"), |options| options.timeout = Some(secs(60))),
    ];
    Test::with_durations(set(jobs), &[("long", 600)])
        .until("12:00:10")
        .clock_set("1d 14:00:10")
        .until("1d 14:01:02")
        .expect(
            "12:00:01 start long#1
             1d 14:00:10 clock jumped by 93600s
             1d 14:00:10 hourly missed(late by 90010s), due 13:00:00..1d 13:00:00 (25 of them)
             1d 14:00:10 start hourly#2
             1d 14:00:10 start soon#3
             1d 14:00:10 start later#4
             1d 14:00:11 hourly#2 succeeded, due 1d 14:00:00
             1d 14:00:11 soon#3 succeeded, due 1d 13:59:30
             1d 14:00:11 later#4 succeeded, due 1d 14:00:10
             1d 14:01:01 long#1 takes too long
             1d 14:01:01 term long#1
             1d 14:01:01 long#1 timed_out, due 12:00:01",
        );
}

#[test]
fn the_clock_goes_an_hour_back_and_nothing_fires_twice() {
    Test::new(set(vec![job("a", every(1200), |_| {})]))
        .until("12:50")
        .clock_set("11:50")
        .until("13:00:30")
        .expect(
            "12:20:00 start a#1
             12:20:01 a#1 succeeded, due 12:20:00
             12:40:00 start a#2
             12:40:01 a#2 succeeded, due 12:40:00
             11:50:00 clock jumped by -3600s
             13:00:00 start a#3
             13:00:01 a#3 succeeded, due 13:00:00",
        );
}

#[test]
fn a_jump_that_nobody_reported_is_seen_once() {
    let now = |wall: &str, mono: u64| Now { wall: at(wall), mono: Mono::from_micros(mono) };
    let mut scheduler = Scheduler::new(now("12:00", 0), set(vec![job("a", every(60), |_| {})]));
    let mut jumps = |wall: &str, mono: u64, event: Event| {
        let mut actions = Vec::new();
        scheduler.step(now(wall, mono), event, &mut actions);
        let jumps = actions.into_iter().filter_map(|action| match action {
            Action::Notice(Notice::ClockJumped { by_micros }) => Some(by_micros / 1_000_000),
            _ => None,
        });
        jumps.collect::<Vec<_>>()
    };
    const NONE: [i64; 0] = [];
    assert_eq!(jumps("12:00:30", 30_000_000, Event::Woke), NONE);
    assert_eq!(jumps("13:00:31", 31_000_000, Event::Woke), [3600]);
    assert_eq!(jumps("13:00:31", 31_000_000, Event::ClockSet), NONE);
    assert_eq!(jumps("13:00:32", 32_000_000, Event::ClockSet), NONE);
    assert_eq!(jumps("12:30:33", 33_000_000, Event::ClockSet), [-1800]);
}

// --- Reload -----------------------------------------------------------------------------------

#[test]
fn a_reload_is_a_difference() {
    let before = vec![
        job("same", every(60), |_| {}),
        job("options", every(60), |_| {}),
        job("trigger", every(60), |_| {}),
        job("gone", every(60), |_| {}),
    ];
    // In another order, half a minute later: the grids of the first two stay where they are.
    let after = vec![
        job("new", every(60), |_| {}),
        job("trigger", every(40), |_| {}),
        job("options", every(60), |options| options.retries = 1),
        job("same", every(60), |_| {}),
        job("now", Trigger::Date(DateTrigger::Now), |_| {}),
        job("reboot", Trigger::Date(DateTrigger::Reboot), |_| {}),
    ];
    Test::new(set(before)).until("12:01:30").reload(set(after)).until("12:02:45").expect(
        "12:01:00 start same#1
         12:01:00 start options#2
         12:01:00 start trigger#3
         12:01:00 start gone#4
         12:01:01 same#1 succeeded, due 12:01:00
         12:01:01 options#2 succeeded, due 12:01:00
         12:01:01 trigger#3 succeeded, due 12:01:00
         12:01:01 gone#4 succeeded, due 12:01:00
         12:01:30 reloaded +3 ~2 -1 =1
         12:01:30 start now#5
         12:01:31 now#5 succeeded, due 12:01:30
         12:02:00 start options#6
         12:02:00 start same#7
         12:02:01 options#6 succeeded, due 12:02:00
         12:02:01 same#7 succeeded, due 12:02:00
         12:02:10 start trigger#8
         12:02:11 trigger#8 succeeded, due 12:02:10
         12:02:30 start new#9
         12:02:31 new#9 succeeded, due 12:02:30",
    );
}

#[test]
fn a_reload_never_touches_running_runs() {
    let before = vec![
        job("runs", once("12:01"), |options| options.retries = 1),
        job("rests", once("12:01"), |options| {
            options.retries = 1;
            options.retry_delay = secs(600);
        }),
        job("queued", once("12:01:30"), |_| {}),
        job("kept", once("12:01:30"), |_| {}),
    ];
    let after = vec![job("kept", once("12:01:30"), |_| {})];
    let plan = |start: &Start| match &*start.job.id {
        "rests" => Plan::Lasts(secs(1), Exit::Code(1)),
        _ => Plan::Lasts(secs(100), Exit::Code(1)),
    };
    let pool = [("default", 2)];
    let reload =
        |set| Test::with_plan(set_with(&pool, before.clone()), plan).until("12:01:10").reload(set);
    reload(set_with(&[("default", 1)], after)).until("12:04:30").expect(
        "12:01:00 start runs#1
         12:01:00 start rests#2
         12:01:01 rests#2 failed(1), attempt 2 in 600s
         12:01:10 rests#2 failed(1), due 12:01:00
         12:01:10 reloaded +0 ~0 -3 =1
         12:02:40 runs#1 failed(1), due 12:01:00
         12:02:40 start kept#3
         12:04:20 kept#3 failed(1), due 12:01:30",
    );
}

#[test]
fn a_reload_drops_what_waits_for_a_job_that_is_gone() {
    let jobs =
        |ids: &[&str]| ids.iter().map(|id| job(id, once("12:01"), |_| {})).collect::<Vec<_>>();
    let one = [("default", 1)];
    Test::with_durations(set_with(&one, jobs(&["a", "b", "c", "d"])), &[("a", 100)])
        .until("12:01:10")
        .reload(set_with(&[("default", 2)], jobs(&["d", "a", "c"])))
        .until("12:01:13")
        .expect(
            "12:01:00 start a#1
             12:01:10 b#2 skipped(removed), due 12:01:00
             12:01:10 start c#3
             12:01:10 reloaded +0 ~0 -1 =3
             12:01:11 c#3 succeeded, due 12:01:00
             12:01:11 start d#4
             12:01:12 d#4 succeeded, due 12:01:00",
        );
}

#[test]
fn executors_are_matched_by_name() {
    let jobs = |executor| vec![on_executor(executor, job("a", every(60), |_| {}))];
    let before = set_with(&[("default", 1), ("x", 1), ("y", 1)], jobs(2));
    let after = set_with(&[("default", 1), ("y", 1), ("x", 1)], jobs(1));
    let moved = set_with(&[("default", 1), ("y", 1), ("x", 1)], jobs(2));
    Test::new(before).until("12:00:10").reload(after).reload(moved).until("12:00:20").expect(
        "12:00:10 reloaded +0 ~0 -0 =1
         12:00:10 reloaded +0 ~1 -0 =0",
    );
}

#[test]
fn pausing_and_resuming_by_reload_keeps_the_grid_and_fires_nothing_late() {
    let jobs = |paused| set(vec![job("a", every(60), |options| options.paused = paused)]);
    Test::new(jobs(false))
        .until("12:01:30")
        .reload(jobs(true))
        .until("12:03:30")
        .reload(jobs(false))
        .until("12:04:30")
        .expect(
            "12:01:00 start a#1
             12:01:01 a#1 succeeded, due 12:01:00
             12:01:30 reloaded +0 ~1 -0 =0
             12:03:30 reloaded +0 ~1 -0 =0
             12:04:00 start a#2
             12:04:01 a#2 succeeded, due 12:04:00",
        );
}

#[test]
fn what_passed_before_a_reload_is_decided_by_the_old_jobs() {
    let before = set(vec![job("gone", once("12:01"), |_| {}), job("a", every(60), |_| {})]);
    let after = set(vec![job("a", every(300), |_| {})]);
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let mut scheduler = Scheduler::new(now(0), before);
    let mut transcript = Transcript::default();
    let mut actions = Vec::new();
    scheduler.step(now(65), Event::Reload(Box::new(after)), &mut actions);
    for action in &actions {
        transcript.see(now(65), action);
    }
    assert_eq!(
        transcript.text,
        "12:01:05 start gone#1\n12:01:05 start a#2\n12:01:05 reloaded +0 ~1 -1 =0\n"
    );
}

// --- Stop -------------------------------------------------------------------------------------

#[test]
fn a_stop_lets_running_runs_end_and_starts_no_others() {
    let jobs = vec![
        job("short", once("12:01"), |_| {}),
        job("fails", once("12:01"), |options| options.retries = 3),
        job("queued", once("12:01"), |_| {}),
        job("never", every(1), |options| options.paused = true),
        job("later", once("12:01:10"), |_| {}),
    ];
    let plan = |start: &Start| match &*start.job.id {
        "fails" => Plan::Lasts(secs(20), Exit::Code(3)),
        _ => Plan::succeeds_after(secs(10)),
    };
    Test::with_plan(set_with(&[("default", 2)], jobs), plan)
        .until("12:01:05")
        .send(Event::Stop)
        .until("12:05")
        .expect(
            "12:01:00 start short#1
             12:01:00 start fails#2
             12:01:05 queued#3 skipped(stopping), due 12:01:00
             12:01:05 stopping, 2 active
             12:01:10 short#1 succeeded, due 12:01:00
             12:01:20 fails#2 failed(3), due 12:01:00
             12:01:20 exit",
        );
}

#[test]
fn a_stop_ends_what_has_not_ended_within_the_grace() {
    let jobs = vec![
        job("meek", once("12:01"), |_| {}),
        job("stubborn", once("12:01"), |options| options.kill_after = secs(3600)),
        job("rests", once("12:01"), |options| options.retries = 1),
    ];
    let plan = |start: &Start| match &*start.job.id {
        "meek" => Plan::succeeds_after(secs(600)),
        "stubborn" => Plan::Stubborn(secs(600), Exit::Code(0)),
        _ => Plan::Lasts(secs(1), Exit::Code(1)),
    };
    Test::with_plan(set(jobs), plan).until("12:01:05").send(Event::Stop).until("12:05").expect(
        "12:01:00 start meek#1
         12:01:00 start stubborn#2
         12:01:00 start rests#3
         12:01:01 rests#3 failed(1), attempt 2 in 10s
         12:01:05 rests#3 failed(1), due 12:01:00
         12:01:05 stopping, 2 active
         12:01:35 term meek#1
         12:01:35 term stubborn#2
         12:01:35 meek#1 killed(15), due 12:01:00
         12:01:45 kill stubborn#2
         12:01:45 stubborn#2 killed(9), due 12:01:00
         12:01:45 exit",
    );
}

#[test]
fn a_second_stop_ends_everything_at_once() {
    let jobs = vec![job("a", once("12:01"), |_| {}), job("b", once("12:01"), |_| {})];
    Test::with_plan(set(jobs), |_| Plan::Stubborn(secs(600), Exit::Code(0)))
        .until("12:01:05")
        .send(Event::Stop)
        .until("12:01:07")
        .send(Event::Stop)
        .until("12:05")
        .expect(
            "12:01:00 start a#1
             12:01:00 start b#2
             12:01:05 stopping, 2 active
             12:01:07 kill a#1
             12:01:07 kill b#2
             12:01:07 a#1 killed(9), due 12:01:00
             12:01:07 b#2 killed(9), due 12:01:00
             12:01:07 exit",
        );
}

#[test]
fn a_stop_with_nothing_running_is_the_end() {
    let mut test = Test::new(set(vec![job("a", every(60), |_| {})])).send(Event::Stop);
    assert!(test.sim.is_over());
    assert_eq!(test.sim.scheduler().next_wakeup(), Wakeup::default());
    test = test.send(Event::Stop).send(Event::Request(Request::Status)).until("13:00");
    test.expect("12:00:00 stopping, 0 active\n12:00:00 exit");
}

/// A run whose process does not exist yet when it is told to end: it is, as soon as it does.
#[test]
fn a_stop_reaches_runs_that_are_being_started() {
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let jobs = ["a", "b", "c"].map(|id| job(id, once("12:01"), |_| {}));
    let mut scheduler = Scheduler::new(now(0), set(jobs.into()));
    let mut transcript = Transcript::default();
    let mut step = |secs: u64, event: Event| {
        let mut actions = Vec::new();
        scheduler.step(now(secs), event, &mut actions);
        actions.iter().for_each(|action| transcript.see(now(secs), action));
    };
    let (a, b, c) = (RunId(1), RunId(2), RunId(3));
    step(60, Event::Woke);
    step(61, Event::Stop);
    step(62, Event::Ended { run: b, exit: Exit::Code(0) });
    step(91, Event::Woke);
    step(92, Event::Started { run: a, pid: 7 });
    step(92, Event::Stop);
    step(93, Event::Started { run: c, pid: 8 });
    step(94, Event::NotStarted { run: c, reason: "what?".into(), transient: true });
    step(94, Event::Ended { run: a, exit: Exit::Signal(9) });
    step(94, Event::Ended { run: a, exit: Exit::Signal(9) });
    step(94, Event::Ended { run: c, exit: Exit::Signal(9) });
    assert_eq!(
        transcript.text,
        "12:01:00 start a#1\n\
         12:01:00 start b#2\n\
         12:01:00 start c#3\n\
         12:01:01 stopping, 3 active\n\
         12:01:02 b#2 succeeded, due 12:01:00\n\
         12:01:32 term a#1\n\
         12:01:32 kill a#1\n\
         12:01:33 kill c#3\n\
         12:01:34 ignored #3 not started\n\
         12:01:34 a#1 killed(9), due 12:01:00\n\
         12:01:34 ignored #1 ended\n\
         12:01:34 c#3 killed(9), due 12:01:00\n\
         12:01:34 exit\n"
    );
}

// --- Questions --------------------------------------------------------------------------------

#[test]
fn the_status_says_what_runs_waits_and_is_next() {
    let jobs = vec![
        job("a", every(60), |_| {}),
        job("b", once("12:01"), |_| {}),
        job("c", once("12:01"), |_| {}),
    ];
    Test::with_durations(set_with(&[("default", 2)], jobs), &[("a", 100), ("b", 100)])
        .until("12:01:10")
        .send(Event::Request(Request::Status))
        .expect(
            "12:01:00 start a#1
             12:01:00 start b#2
             12:01:10 status 3 jobs, 2 running, 1 waiting, next Some(\"12:02:00 a\")",
        );
}
