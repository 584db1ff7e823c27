//! A job that has its home on each host (`run_on = "all"`) is one job in the store that they share. Whoever
//! changes it writes it; what the others learn of that, and what each finds for itself, is not written again,
//! as that would undo what somebody has changed since.

use schedrs::event::{
    HomeChange, JobRecord, Operation, Pause, Paused, Remember, Response, TakenJob,
};
use schedrs::fleet::{RunOn, SessionId};
use schedrs::scheduler::SavedState;

use super::scenario::*;

/// One of several hosts. What a store is told of is noted, a line each.
struct Host {
    scheduler: Scheduler,
    told: Vec<String>,
    record: Option<JobRecord>,
}

fn now(time: &str) -> Now {
    let wall = at(time);
    let mono = Mono::from_micros((wall.micros() - NOON.micros()) as u64 + 1_000_000);
    Now { wall, mono }
}

fn each(trigger: Trigger) -> Job {
    job("each", trigger, |options| options.run_on = RunOn::All)
}

fn pause(at_: &str, until: Option<&str>) -> Pause {
    Pause { at: at(at_), until: until.map(at), by: "web2".into(), reason: None }
}

impl Host {
    /// It has taken the job up, with what the store has of it.
    fn new(job: Job, taken: TakenJob) -> Host {
        let noon = now("12:00");
        let scheduler =
            Scheduler::in_fleet(noon, set(vec![job]), SavedState::default(), SessionId(1));
        let mut host = Host { scheduler, told: Vec::new(), record: None };
        let taken = vec![TakenJob { id: "each".into(), ..taken }];
        let change = HomeChange { taken, numbers: Some(1..1000), ..HomeChange::default() };
        host.send("12:00", Event::Homes(Box::new(change)));
        host
    }

    /// The same, of a job that the store knows.
    fn knowing(job: Job) -> Host {
        let record = Host::new(job.clone(), TakenJob::default()).record;
        let host = Host::new(job, TakenJob { record, ..TakenJob::default() });
        assert!(host.told.is_empty(), "{:?}", host.told);
        host
    }

    fn send(&mut self, time: &str, event: Event) -> Option<Response> {
        let mut answered = None;
        let mut actions = Vec::new();
        self.scheduler.step(now(time), event, &mut actions);
        for action in actions {
            match action {
                Action::Remember(Remember::Job(record)) => {
                    let pause = if record.pause.is_some() { " paused" } else { "" };
                    self.told.push(format!("{time} job{pause}"));
                    self.record = Some(*record);
                }
                Action::Remember(Remember::Learned(record)) => self.record = Some(*record),
                Action::Remember(Remember::AllPaused(pause)) => {
                    self.told.push(format!("{time} all {}", pause.is_some()));
                }
                Action::Answer { answer, .. } => answered = Some(answer),
                _ => {}
            }
        }
        answered
    }

    fn ask(&mut self, time: &str, operation: Operation) -> Option<Response> {
        let operation = Box::new(operation);
        self.send(time, Event::Operation { ticket: 1, by: "me".into(), operation })
    }

    /// Another host has made that of it.
    fn learn(&mut self, time: &str, change: impl FnOnce(&mut JobRecord)) {
        let mut record = Box::new(self.record.clone().unwrap());
        change(&mut record);
        let job = std::sync::Arc::clone(self.scheduler.job("each").unwrap());
        self.ask(time, Operation::Learn { job, record, taken: false });
    }

    fn paused(&mut self, time: &str) -> Paused {
        match self.ask(time, Operation::Show { job: "each".into() }) {
            Some(Response::Job { job, .. }) => job.view.paused,
            other => panic!("{other:?}"),
        }
    }

    fn next(&self) -> Option<Instant> {
        self.scheduler.next_wakeup().wall
    }
}

fn resume(job: Option<&str>) -> Operation {
    Operation::Resume { job: job.map(Into::into) }
}

#[test]
fn what_others_have_changed_is_not_written_again() {
    let mut host = Host::knowing(each(every(3600)));
    host.learn("12:10", |record| record.pause = Some(pause("12:10", None)));
    assert_eq!(host.paused("12:10"), Paused::Job(pause("12:10", None)));
    // For how long has changed.
    host.learn("12:11", |record| record.pause = Some(pause("12:10", Some("12:20"))));
    assert_eq!(host.paused("12:11"), Paused::Job(pause("12:10", Some("12:20"))));
    host.learn("12:12", |record| record.pause = None);
    assert_eq!((host.paused("12:12"), host.next()), (Paused::No, Some(at("13:00"))));
    // One that has ended is none, also where nobody has said so.
    host.learn("12:30", |record| record.pause = Some(pause("12:10", Some("12:20"))));
    assert_eq!((host.paused("12:30"), host.next()), (Paused::No, Some(at("13:00"))));
    assert!(host.told.is_empty(), "{:?}", host.told);
}

/// When it ends is in the store already: another host may have said since that it lasts longer.
#[test]
fn the_end_of_a_pause_is_found_by_each() {
    let mut host = Host::knowing(each(every(3600)));
    let lasting = |until: &str| Operation::Pause {
        job: Some("each".into()),
        until: Some(at(until)),
        reason: None,
    };
    host.ask("12:10", lasting("12:20"));
    host.send("12:20", Event::Woke);
    assert_eq!((host.paused("12:20"), host.next()), (Paused::No, Some(at("13:00"))));
    assert_eq!(host.told, ["12:10 job paused"]);
    host.ask("12:30", Operation::Pause { job: None, until: Some(at("12:40")), reason: None });
    host.send("12:40", Event::Woke);
    assert_eq!((host.paused("12:40"), host.next()), (Paused::No, Some(at("13:00"))));
    host.ask("12:50", lasting("12:55"));
    host.ask("12:51", resume(Some("each")));
    host.ask("12:52", resume(None));
    let told = ["12:10 job paused", "12:30 all true", "12:50 job paused", "12:51 job"];
    assert_eq!(host.told, told);
}

#[test]
fn what_is_taken_up_is_written_where_it_is_new() {
    let known = Host::new(each(every(3600)), TakenJob::default());
    assert_eq!(known.told, ["12:00 job"]);
    let record = known.record.unwrap();
    for (trigger, added, told) in [
        (every(3600), None, false),
        // The jobfile here says something else.
        (every(60), None, true),
        // What was changed at run time is learned next.
        (every(60), Some("command = \"true\"".into()), false),
    ] {
        let record = Some(JobRecord { added, ..record.clone() });
        let host = Host::new(each(trigger), TakenJob { record, ..TakenJob::default() });
        assert_eq!(!host.told.is_empty(), told, "{:?}", host.told);
    }
}
