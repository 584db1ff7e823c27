//! While the store that hosts share does not answer, runs are held, and what is due behind them is left
//! undecided: nothing of it is `skipped` as if they ran.

use schedrs::event::{HomeChange, Operation, Refusal, Response, Silence, TakenJob};
use schedrs::fleet::SessionId;
use schedrs::scheduler::SavedState;

use super::after::after;
use super::scenario::*;

/// A scheduler with the jobs of a file at home, and what it has decided.
struct Host {
    scheduler: Scheduler,
    transcript: Transcript,
}

fn now(time: &str) -> Now {
    let wall = at(time);
    let mono = Mono::from_micros((wall.micros() - NOON.micros()) as u64 + 1_000_000);
    Now { wall, mono }
}

impl Host {
    fn new(jobs: Vec<Job>) -> Host {
        let noon = now("12:00");
        let homes = jobs.iter().map(|job| TakenJob { id: job.id.clone(), ..TakenJob::default() });
        let taken = homes.collect();
        let scheduler = Scheduler::in_fleet(noon, set(jobs), SavedState::default(), SessionId(1));
        let host = Host { scheduler, transcript: Transcript::default() };
        let change = HomeChange { taken, numbers: Some(1..1000), ..HomeChange::default() };
        host.send("12:00", Event::Homes(Box::new(change)))
    }

    /// Lets the scheduler wake when it wants to, up to a time.
    fn until(mut self, time: &str) -> Host {
        while let Some(wall) = self.scheduler.next_wakeup().wall.filter(|wall| *wall <= at(time)) {
            self = self.send(&clock(wall), Event::Woke);
        }
        self.send(time, Event::Woke)
    }

    fn send(mut self, time: &str, event: Event) -> Host {
        let mut actions = Vec::new();
        self.scheduler.step(now(time), event, &mut actions);
        actions.iter().for_each(|action| self.transcript.see(now(time), action));
        self
    }

    /// The store has answered what it was asked up to `answered`, and nothing since.
    fn silent(self, time: &str, answered: &str) -> Host {
        let answered = now(answered).mono;
        self.send(time, Event::Silence(Silence::Since(answered)))
    }

    /// The store has answered everything.
    fn answers(self, time: &str) -> Host {
        self.send(time, Event::Silence(Silence::None))
    }

    /// The process of a run exists.
    fn begins(self, time: &str, run: u64) -> Host {
        let (run, at) = (RunId(run), now(time));
        self.send(time, Event::Started { run, process: PROCESS, at, taken: at.mono })
    }

    fn ends(self, time: &str, run: u64) -> Host {
        let (run, exit) = (RunId(run), Exit::Code(0));
        self.send(time, Event::Ended { run, exit, usage: None, at: None })
    }

    /// A run has waited for the store for too long.
    fn too_late(self, time: &str, run: u64) -> Host {
        self.send(time, Event::ClaimRefused { run: RunId(run), why: Refusal::NoStore })
    }

    fn operate(&mut self, time: &str, operation: Operation) -> Response {
        let mut actions = Vec::new();
        let operation = Box::new(operation);
        let event = Event::Operation { ticket: 1, by: "me".into(), operation };
        self.scheduler.step(now(time), event, &mut actions);
        let answer = actions.into_iter().find_map(|action| match action {
            Action::Answer { answer, .. } => Some(answer),
            _ => None,
        });
        answer.unwrap()
    }

    #[track_caller]
    fn expect(self, expected: &str) {
        let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(self.transcript.text.trim(), expected.trim());
    }
}

fn minutely(set: impl FnOnce(&mut Options)) -> Vec<Job> {
    vec![job("a", every(60), set)]
}

fn overlapping(overlap: Overlap) -> Vec<Job> {
    vec![job("a", every(10), |options| options.overlap = overlap)]
}

/// The first is held until it is too late; the others are decided when the store answers: those that are
/// too late by then are missed for want of it, the last starts.
#[test]
fn what_is_due_behind_a_run_that_is_held_waits_for_the_store() {
    Host::new(minutely(|_| {}))
        .until("12:01")
        .silent("12:01:01", "12:00:59")
        .until("12:02")
        .too_late("12:02:01", 1)
        .until("12:10:30")
        .answers("12:10:30")
        .begins("12:10:30", 2)
        .until("12:11")
        .expect(
            "12:01:00 start a#1
             12:02:01 a#1 missed(no store for 61s), due 12:01:00
             12:10:30 a missed(no store for 510s), due 12:02:00..12:09:00 (8 of them)
             12:10:30 start a#2
             12:11:00 a skipped(overlap), due 12:11:00",
        );
}

/// A run that begins after all leaves no room for the others, as at any other time.
#[test]
fn what_begins_when_the_store_answers_runs() {
    for (overlap, then) in [
        (
            Overlap::Skip,
            "12:00:45 a skipped(overlap), due 12:00:40
             12:00:50 a skipped(overlap), due 12:00:50
             12:00:55 a#1 succeeded, due 12:00:10",
        ),
        (
            Overlap::Queue,
            "12:00:50 a skipped(overlap), due 12:00:50
             12:00:55 a#1 succeeded, due 12:00:10
             12:00:55 start a#2",
        ),
        (
            Overlap::Replace,
            "12:00:45 term a#1
             12:00:50 a#2 skipped(overlap), due 12:00:40
             12:00:55 a#1 succeeded, due 12:00:10
             12:00:55 start a#3",
        ),
    ] {
        let before = "12:00:10 start a#1
                      12:00:45 a coalesced, due 12:00:20..12:00:30 (2 of them)";
        Host::new(overlapping(overlap))
            .until("12:00:10")
            .silent("12:00:11", "12:00:09")
            .until("12:00:40")
            .answers("12:00:45")
            .begins("12:00:45", 1)
            .until("12:00:50")
            .ends("12:00:55", 1)
            .expect(&format!("{before}\n{then}"));
    }
}

/// While there is room each is held by itself. And what runs already runs: that was answered.
#[test]
fn only_what_has_no_room_waits() {
    Host::new(overlapping(Overlap::Skip))
        .until("12:00:10")
        .begins("12:00:10", 1)
        .silent("12:00:11", "12:00:10")
        .until("12:00:20")
        .ends("12:00:25", 1)
        .until("12:00:40")
        .expect(
            "12:00:10 start a#1
             12:00:20 a skipped(overlap), due 12:00:20
             12:00:25 a#1 succeeded, due 12:00:10
             12:00:30 start a#2",
        );
    Host::new(vec![job("a", every(10), |options| options.max_instances = 2)])
        .until("12:00:10")
        .silent("12:00:11", "12:00:09")
        .until("12:00:40")
        .expect("12:00:10 start a#1\n12:00:20 start a#2");
}

/// A store that is only slow: what it has answered is not held, and each answer is a new chance.
#[test]
fn a_slow_store_answers_one_by_one() {
    Host::new(overlapping(Overlap::Skip))
        .until("12:00:10")
        .silent("12:00:10", "12:00:05")
        .until("12:00:20")
        .silent("12:00:21", "12:00:10")
        .begins("12:00:21", 1)
        .until("12:00:30")
        .expect(
            "12:00:10 start a#1
             12:00:21 a skipped(overlap), due 12:00:20
             12:00:30 a skipped(overlap), due 12:00:30",
        );
}

/// What is not decided yet goes with its job, which may go to another host or be paused.
#[test]
fn what_waits_for_the_store_can_go_elsewhere() {
    let held = || {
        let jobs = [overlapping(Overlap::Skip), vec![job("b", after(&["a"]), |_| {})]];
        Host::new(jobs.concat()).until("12:00:10").silent("12:00:11", "12:00:09").until("12:00:30")
    };
    let given = HomeChange { given: vec!["a".into()], ..HomeChange::default() };
    let fenced = HomeChange { fenced: true, ..HomeChange::default() };
    for change in [given, fenced] {
        held()
            .send("12:00:31", Event::Homes(Box::new(change)))
            .answers("12:00:32")
            .until("12:00:50")
            .expect("12:00:10 start a#1");
    }
    let mut host = held();
    let start = Operation::Start { job: "a".into(), force: false, wait: false };
    let Response::Refused(fault) = host.operate("12:00:31", start) else { panic!() };
    assert_eq!(
        fault.message.as_ref() as &str,
        "`a` is waiting for the store, which does not answer: run 1; use --force to start one more"
    );
    let Response::Job { job, .. } = host.operate("12:00:31", Operation::Show { job: "a".into() })
    else {
        panic!()
    };
    assert_eq!((job.view.next, job.view.awaits.as_deref()), (None, Some("once the store answers")));
    let show = Operation::Show { job: "b".into() };
    let Response::Job { job, .. } = host.operate("12:00:31", show) else { panic!() };
    let awaits = "after a, which is due once the store answers";
    assert_eq!(job.view.awaits.as_deref(), Some(awaits));
    let pause = Operation::Pause { job: Some("a".into()), until: None, reason: None };
    assert_eq!(host.operate("12:00:31", pause), Response::Done);
    let resume = Operation::Resume { job: Some("a".into()) };
    assert!(!matches!(host.operate("12:00:45", resume), Response::Refused(_)));
    assert!(!host.scheduler.is_idle_forever());
    host.answers("12:00:46").too_late("12:00:46", 1).until("12:00:50").expect(
        "12:00:10 start a#1
         12:00:46 a#1 missed(no store for 36s), due 12:00:10
         12:00:46 b skipped(parent: a was missed), due 12:00:10
         12:00:50 start a#2",
    );
}

/// A reload leaves them where they are.
#[test]
fn a_reload_decides_nothing_that_waits_for_the_store() {
    let other = || job("b", once("13:00"), |_| {});
    let jobs = || vec![job("a", every(10), |_| {})];
    Host::new(jobs())
        .until("12:00:10")
        .silent("12:00:11", "12:00:09")
        .until("12:00:30")
        .send("12:00:31", Event::Reload(Box::new(set([vec![other()], jobs()].concat()))))
        .too_late("12:00:35", 1)
        .until("12:01:35")
        .answers("12:01:35")
        .expect(
            "12:00:10 start a#1
             12:00:31 reloaded +1 ~0 -0 =1
             12:00:35 a#1 missed(no store for 25s), due 12:00:10
             12:01:35 a missed(no store for 75s), due 12:00:20..12:00:30 (2 of them)
             12:01:35 a coalesced, due 12:00:40..12:01:20 (5 of them)
             12:01:35 start a#2",
        );
}

/// Where the others may have taken this scheduler for dead, it decides nothing. What is late because the
/// machine slept is late, and not for want of the store.
#[test]
fn a_host_that_may_be_dead_decides_nothing() {
    let cut = |host: Host, time| host.send(time, Event::Silence(Silence::Cut(now("12:00").mono)));
    let host = cut(Host::new(minutely(|_| {})), "12:00:30").until("12:05:30");
    host.answers("12:05:30").expect(
        "12:05:30 a missed(no store for 270s), due 12:01:00..12:04:00 (4 of them)
         12:05:30 start a#1",
    );
    let host = cut(Host::new(minutely(|_| {})), "12:05:30").until("12:05:30");
    host.answers("12:05:31").expect(
        "12:05:31 a missed(late by 271s), due 12:01:00..12:04:00 (4 of them)
         12:05:31 start a#1",
    );
    let fenced = HomeChange { fenced: true, ..HomeChange::default() };
    cut(Host::new(minutely(|_| {})), "12:05:30")
        .send("12:05:31", Event::Homes(Box::new(fenced)))
        .answers("12:05:31")
        .expect("");
}
