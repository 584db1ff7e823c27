use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::queue::FLIGHTS;
use super::tries::OLD;
use super::*;
use crate::core::event::Process;
use crate::core::job::{Command, Options};
use crate::core::monitor::MonitorKind;
use crate::core::outcome::Outcome;
use crate::core::route::Secret;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::zone::Zone;

fn at(secs: u64) -> Now {
    Now {
        wall: Instant::from_secs(1_800_000_000 + secs as i64),
        mono: Mono::from_micros((1_000_000 + secs) * 1_000_000),
    }
}

fn monitor(kind: Option<MonitorKind>) -> Arc<Monitor> {
    Arc::new(Monitor::of(kind, Secret::Text("https://hc-ping.com/x".into())))
}

fn job(id: &str, ping: Option<Arc<Monitor>>) -> Arc<Job> {
    Arc::new(Job {
        id: id.into(),
        name: None,
        command: Command::Shell("x".into()),
        trigger: Trigger::Date(DateTrigger::Now),
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(Options { ping, ..Options::default() }),
    })
}

fn started(job: &Arc<Job>, run: u64) -> Action {
    Action::Notice(Notice::Started {
        run: RunId(run),
        attempt: 1,
        process: Process { pid: 1, start: 0 },
        job: Arc::clone(job),
        due: Instant::from_secs(0),
        lag: Duration::ZERO,
        held: Duration::ZERO,
    })
}

fn ended(job: &Arc<Job>, run: Option<u64>, outcome: Outcome) -> Action {
    Action::Record(Record {
        job: Arc::clone(job),
        due: Instant::from_secs(0),
        last_due: Instant::from_secs(0),
        count: 1,
        run: run.map(RunId),
        outcome,
        started: run.map(|_| Instant::from_secs(0)),
        duration: Duration::from_secs(3),
        attempts: 2,
        usage: None,
    })
}

/// The machine with what it has written, and what it has said.
#[derive(Default)]
struct Bench {
    pings: Pings,
    rows: BTreeMap<Box<str>, Row>,
    said: Vec<Said>,
    batches: Vec<Batch>,
}

impl Bench {
    fn new() -> Bench {
        Bench { pings: Pings::new("web1", "seed"), ..Bench::default() }
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Write(key, None) => drop(self.rows.remove(&key)),
                Effect::Write(key, Some(text)) => {
                    self.rows.insert(key, Row::of_json(&text).expect("it can be read again"));
                }
                Effect::Say(said) => self.said.push(said),
                Effect::Send(batch) => self.batches.push(batch),
            }
        }
    }

    fn hear(&mut self, secs: u64, action: &Action) {
        let effects = self.pings.hear(at(secs), action, false);
        self.take(effects);
    }

    /// What is sent at a time: `job phase run`.
    fn wake(&mut self, secs: u64) -> Vec<String> {
        let effects = self.pings.wake(at(secs).mono);
        self.take(effects);
        let pings = self.batches.iter().flat_map(|batch| &batch.pings).map(|one| &one.ping);
        pings
            .map(|it| format!("{} {} {}", it.job, it.phase.word(), it.run.map_or(0, |run| run.0)))
            .collect()
    }

    /// All that is on its way comes to this.
    fn land(&mut self, secs: u64, came: &Came, answer: &str) {
        for batch in std::mem::take(&mut self.batches) {
            let tried = |one: &Sending| Tried {
                number: one.number,
                came: came.clone(),
                answer: answer.into(),
                limit: None,
            };
            let tried: Vec<Tried> = batch.pings.iter().map(tried).collect();
            let effects = self.pings.tried(batch.number, &tried, at(secs));
            self.take(effects);
        }
    }

    fn states(&self) -> Vec<String> {
        let row = |row: &Row| format!("{} {}: {}", row.ping.phase.word(), row.state, row.answer);
        self.rows.values().map(row).collect()
    }
}

#[test]
fn pings_of_a_dead_host() {
    let (mut other, backup) = (Bench::new(), job("backup", Some(monitor(None))));
    other.pings = Pings::new("web2", "seed");
    other.hear(0, &started(&backup, 7));
    other.hear(3, &ended(&backup, Some(7), Outcome::Succeeded));
    let texts: Vec<(Box<str>, String)> =
        other.rows.iter().map(|(key, row)| (key.clone(), row.to_json())).collect();
    let texts = || texts.iter().map(|(key, text)| (&**key, text.as_str()));
    let find = |_: &str| Some(Arc::clone(&backup));
    let mut here = Bench { rows: other.rows.clone(), ..Bench::new() };
    let of_web2 = |host: &str| host == "web2";
    let (left, effects) = here.pings.inherit(&of_web2, texts(), find, at(9));
    here.take(effects);
    assert_eq!((left, here.states().len()), (Left::from([("web2".into(), 2)]), 2));
    assert!(here.rows.values().all(|row| &*row.host == "web1"));
    // The start precedes the end, and the run has the name that it had.
    assert_eq!(here.wake(9), ["backup start 7"]);
    assert_eq!(here.batches[0].pings[0].ping.rid, rid("seed", RunId(7)));
    here.land(9, &Came::Sent, "200");
    assert_eq!(here.wake(9), ["backup end 7"]);
    here.land(9, &Came::Sent, "200");
    // What is newer here is not replaced by what is older.
    here.hear(20, &started(&backup, 8));
    let (left, effects) = here.pings.inherit(&of_web2, texts(), find, at(21));
    here.take(effects);
    assert_eq!((left, here.wake(21)), (Left::new(), vec!["backup start 8".to_owned()]));
    // Nor is it of a job that is not known here, or of somebody else.
    let nothing = (Left::new(), Vec::new());
    assert_eq!(here.pings.inherit(&of_web2, texts(), |_| None, at(22)), nothing);
    assert_eq!(here.pings.inherit(&|host| host == "web3", texts(), find, at(22)), nothing);
}

#[test]
fn a_run_is_told_when_it_starts_and_when_it_ends() {
    let mut bench = Bench::new();
    let job = job("a", Some(monitor(None)));
    bench.hear(0, &started(&job, 7));
    assert_eq!(bench.wake(0), ["a start 7"]);
    // While the start is on its way its end waits.
    bench.hear(1, &ended(&job, Some(7), Outcome::Failed(3)));
    assert_eq!(bench.wake(1), ["a start 7"]);
    assert_eq!(bench.states(), ["end waiting: ", "start waiting: "]);
    let rid = bench.batches[0].pings[0].ping.rid.clone();
    bench.land(1, &Came::Sent, "200 OK");
    assert_eq!(bench.wake(1), ["a end 7"]);
    let end = bench.batches[0].pings[0].ping.clone();
    assert_eq!((&end.rid, end.attempts, end.duration), (&rid, 2, Some(Duration::from_secs(3))));
    bench.land(1, &Came::Sent, "200 OK");
    assert_eq!(bench.states(), ["end sent: 200 OK", "start sent: 200 OK"]);
    assert_eq!(bench.pings.next_wakeup(), None);
    assert_eq!(bench.pings.numbers().ends[0], ("sent", 2));
}

#[test]
fn who_is_told_nothing() {
    use crate::core::outcome::{MissReason, SkipReason};
    let watched = job("a", Some(monitor(None)));
    let kuma = job("k", Some(monitor(Some(MonitorKind::Kuma))));
    let url = job("u", Some(monitor(Some(MonitorKind::Url))));
    let free = job("f", None);
    let mut bench = Bench::new();
    bench.hear(0, &ended(&watched, None, Outcome::Skipped(SkipReason::Paused)));
    bench.hear(0, &ended(&watched, Some(1), Outcome::Skipped(SkipReason::Stopped)));
    bench.hear(0, &ended(&watched, None, Outcome::Missed(MissReason::Late(Duration::ZERO))));
    bench.hear(0, &ended(&watched, None, Outcome::Coalesced));
    bench.hear(0, &started(&free, 1));
    bench.hear(0, &ended(&free, Some(1), Outcome::Succeeded));
    bench.hear(0, &started(&kuma, 2));
    bench.hear(0, &started(&url, 3));
    bench.hear(0, &ended(&url, Some(3), Outcome::TimedOut));
    assert_eq!(bench.wake(0), [""; 0]);
    assert!(bench.rows.is_empty());
    // What never began is told as well.
    bench.hear(1, &ended(&watched, Some(4), Outcome::NotStarted("no such user".into())));
    bench.hear(1, &ended(&url, Some(5), Outcome::Succeeded));
    assert_eq!(bench.wake(1), ["a end 4", "u end 5"]);
}

#[test]
fn an_end_waits_for_its_output_but_not_for_long() {
    let mut bench = Bench::new();
    let job = job("a", Some(monitor(None)));
    for run in [1, 2] {
        let end = ended(&job, Some(run), Outcome::Succeeded);
        let effects = bench.pings.hear(at(10 * run), &end, true);
        bench.take(effects);
        assert_eq!(bench.wake(10 * run), [""; 0]);
        if run == 1 {
            let effects = bench.pings.output(RunId(1), &"x".repeat(20_000));
            bench.take(effects);
            assert_eq!(bench.wake(10), ["a end 1"]);
            let output = bench.batches[0].pings[0].ping.output.as_ref().map(|it| it.len());
            assert_eq!(output, Some(MOST_OUTPUT));
        } else {
            assert_eq!(bench.wake(22), ["a end 2"]);
        }
        bench.land(10 * run + 2, &Came::Sent, "");
        // What was sent is not kept.
        assert!(bench.rows.values().all(|row| row.ping.output.is_none()));
    }
}

#[test]
fn a_later_ping_takes_the_place_of_an_earlier_one() {
    let mut bench = Bench::new();
    let job = job("a", Some(monitor(None)));
    for run in 1..=5 {
        bench.hear(run, &started(&job, run));
        bench.hear(run, &ended(&job, Some(run), Outcome::Succeeded));
    }
    assert_eq!(bench.rows.len(), 2);
    assert_eq!(bench.wake(5), ["a start 5"]);
    bench.land(5, &Came::Sent, "");
    assert_eq!(bench.wake(5), ["a end 5"]);
    bench.land(5, &Came::Sent, "");
    let ends = bench.pings.numbers().ends;
    assert_eq!(ends, [("sent", 2), ("refused", 0), ("gave_up", 0), ("replaced", 8)]);
}

#[test]
fn what_fails_is_tried_again_for_an_hour() {
    let mut bench = Bench::new();
    let job = job("a", Some(monitor(None)));
    bench.hear(0, &ended(&job, Some(1), Outcome::Succeeded));
    let (mut now, mut tries) = (0, Vec::new());
    while bench.wake(now) == ["a end 1"] {
        tries.push(now);
        bench.land(now, &Came::Again(None), "503");
        let Some(next) = bench.pings.next_wakeup() else { break };
        now = next.micros().div_ceil(1_000_000) - 1_000_000;
    }
    assert!((6..=9).contains(&tries.len()) && tries.last() < Some(&3600), "{tries:?}");
    assert_eq!(bench.states(), ["end gave_up: 503"]);
    let failing = Said::Failing("a".into(), "503".into());
    let gave_up = Said::GaveUp(1, "a".into(), "503".into());
    assert_eq!(bench.said, [failing, gave_up]);
    assert_eq!(bench.pings.failing(), Some((1, "a", "503".into())));
    // The next one is tried at once, and then all is well.
    bench.hear(now, &started(&job, 2));
    assert_eq!(bench.wake(now), ["a start 2"]);
    bench.land(now, &Came::Sent, "");
    assert_eq!(bench.said.last(), Some(&Said::Work));
    assert_eq!(bench.pings.failing(), None);
}

#[test]
fn a_refusal_is_said_once() {
    let mut bench = Bench::new();
    let job = job("a", Some(monitor(None)));
    let refused = Said::Refused("a".into(), "404".into());
    for run in 1..=3 {
        bench.hear(run, &started(&job, run));
        bench.wake(run);
        bench.land(run, &Came::Refused, "404");
    }
    assert_eq!(bench.said, std::slice::from_ref(&refused));
    assert_eq!(bench.states(), ["start refused: 404"]);
    let effects = bench.pings.follow(|_| Some(Arc::clone(&job)));
    bench.take(effects);
    bench.hear(4, &started(&job, 4));
    bench.wake(4);
    bench.land(4, &Came::Refused, "404");
    assert_eq!(bench.said, [refused.clone(), refused]);
}

#[test]
fn a_monitor_that_asks_for_patience_gets_it() {
    let mut bench = Bench::new();
    let job = job("a", Some(monitor(None)));
    bench.hear(0, &started(&job, 1));
    bench.wake(0);
    bench.land(0, &Came::Again(Some(Duration::from_secs(100))), "429");
    bench.hear(1, &started(&job, 2));
    assert_eq!(bench.wake(99), [""; 0]);
    assert_eq!(bench.wake(100), ["a start 2"]);
}

/// What hangs does not hold up others.
#[test]
fn jobs_whose_monitor_fails_go_by_themselves() {
    let mut bench = Bench::new();
    let (bad, good) = (job("bad", Some(monitor(None))), job("good", Some(monitor(None))));
    bench.hear(0, &started(&bad, 1));
    bench.wake(0);
    bench.land(0, &Came::Again(None), "timed out");
    bench.hear(10, &started(&bad, 2));
    assert_eq!(bench.wake(10), ["bad start 2"]);
    // Its batch is on its way, and hangs.
    for run in 3..5 {
        bench.hear(10, &started(&good, run));
        assert_eq!(bench.wake(10), ["bad start 2".to_owned(), format!("good start {run}")]);
        let batch = bench.batches.pop().unwrap();
        let effects = bench.pings.tried(batch.number, &[], at(10));
        bench.take(effects);
        bench.pings.set_beat(None, at(10).mono);
        bench.hear(10, &Action::Remember(Remember::Gone("good".into())));
    }
    assert_eq!(bench.rows.len(), 1);
}

#[test]
fn what_was_left_is_sent_by_the_next_scheduler() {
    let (a, b) = (job("a", Some(monitor(None))), job("b", Some(monitor(None))));
    let mut before = Bench::new();
    before.hear(0, &started(&a, 1));
    before.hear(1, &ended(&a, Some(1), Outcome::Succeeded));
    before.hear(1, &started(&b, 2));
    let texts: Vec<(Box<str>, String)> =
        before.rows.iter().map(|(key, row)| (key.clone(), row.to_json())).collect();
    let of_other =
        before.rows.values().next().map(|row| Row { host: "web2".into(), ..row.clone() });
    let of_other = of_other.map(|row| ("other".into(), row.to_json()));
    let all = || texts.iter().chain(&of_other).map(|(key, text)| (&**key, text.as_str()));
    let mut bench = Bench::new();
    let effects = bench.pings.restore(all(), |id| (id == "a").then(|| a.clone()), at(60));
    // Nobody watches over `b` any more.
    assert_eq!(effects, [Effect::Write(Row::key("b", Phase::Start, "web1"), None)]);
    assert_eq!(bench.wake(60), ["a start 1"]);
    assert_eq!(
        bench.batches[0].pings[0].ping,
        before.rows[&Row::key("a", Phase::Start, "web1")].ping
    );
    // After an hour nobody wants to know it.
    bench.land(3700, &Came::Again(None), "no route");
    assert_eq!(&*bench.rows[&Row::key("a", Phase::Start, "web1")].state, "gave_up");
}

#[test]
fn the_scheduler_gives_signs_of_life_while_it_is_well() {
    let mut bench = Bench::new();
    let every = Duration::from_secs(300);
    let beat = Some((monitor(None), every));
    bench.pings.set_beat(beat.clone(), at(0).mono);
    assert_eq!(bench.pings.next_wakeup(), Some(at(0).mono));
    for (secs, is_well, sent) in [(0, true, 1), (300, false, 0), (600, true, 1)] {
        assert!(bench.pings.beat_is_due(at(secs).mono));
        let effects = bench.pings.beat(at(secs), is_well);
        bench.take(effects);
        assert!(!bench.pings.beat_is_due(at(secs).mono));
        assert_eq!(bench.wake(secs).len(), sent, "{secs}");
        bench.land(secs, &Came::Sent, "200");
        assert_eq!(bench.pings.next_wakeup(), Some(at(secs + 300).mono));
    }
    assert_eq!(bench.states(), ["heartbeat sent: 200"]);
    // A reload that changes nothing does not make it beat.
    bench.pings.set_beat(beat, at(610).mono);
    assert!(!bench.pings.beat_is_due(at(610).mono));
    let effects = bench.pings.set_beat(None, at(610).mono);
    bench.take(effects);
    assert!(bench.rows.is_empty());
    assert_eq!(bench.pings.next_wakeup(), None);
}

/// Something that happens to the machine.
#[derive(Clone, Debug)]
enum Step {
    Started(usize),
    Ended(usize, bool),
    Output(usize),
    Wait(u64),
    Land(usize, Vec<Came>),
    Restart,
    Reload,
    Gone(usize),
}

fn came() -> impl Strategy<Value = Came> {
    prop_oneof![
        4 => Just(Came::Sent),
        3 => Just(Came::Again(None)),
        1 => (0..4000_u64).prop_map(|secs| Came::Again(Some(Duration::from_secs(secs)))),
        1 => Just(Came::Refused),
        1 => Just(Came::Unwanted),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Step::Started),
        4 => (0..3_usize, any::<bool>()).prop_map(|(job, awaits)| Step::Ended(job, awaits)),
        2 => (0..3_usize).prop_map(Step::Output),
        4 => prop_oneof![0..5_u64, 0..2000_u64].prop_map(Step::Wait),
        6 => (0..3_usize, prop::collection::vec(came(), 0..4)).prop_map(|(it, all)| Step::Land(it, all)),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
        1 => (0..3_usize).prop_map(Step::Gone),
    ]
}

proptest! {
    /// Whatever happens: there are never more than two for a job, one at a time is on its way, they are
    /// sent in the order in which they were decided and not after an hour, and the last of each phase
    /// arrives in the end.
    #[test]
    fn pings_of_a_job_are_few_and_in_order(steps in prop::collection::vec(step(), 0..120)) {
        let jobs: Vec<Arc<Job>> =
            ["a", "b", "c"].iter().map(|id| job(id, Some(monitor(None)))).collect();
        let find = |id: &str| jobs.iter().find(|job| *job.id == *id).cloned();
        let mut bench = Bench::new();
        let (mut now, mut run) = (0_u64, 0_u64);
        // By job: what was decided last of each phase, what was last sent, and the run that goes on.
        let mut decided: BTreeMap<(Box<str>, Phase), u64> = BTreeMap::new();
        let mut sent: HashMap<Box<str>, (u64, Phase)> = HashMap::new();
        let mut open = [0_u64; 3];
        for step in steps {
            match step {
                Step::Started(place) => {
                    run += 1;
                    open[place] = run;
                    bench.hear(now, &started(&jobs[place], run));
                    decided.insert((jobs[place].id.clone(), Phase::Start), run);
                }
                Step::Ended(place, awaits) if open[place] > 0 => {
                    let number = std::mem::take(&mut open[place]);
                    let end = ended(&jobs[place], Some(number), Outcome::Succeeded);
                    let effects = bench.pings.hear(at(now), &end, awaits);
                    bench.take(effects);
                    decided.insert((jobs[place].id.clone(), Phase::End), number);
                }
                Step::Ended(..) => {}
                Step::Output(place) => {
                    let id = jobs[place].id.clone();
                    let number = decided.get(&(id, Phase::End)).copied().unwrap_or(0);
                    let effects = bench.pings.output(RunId(number), "text");
                    bench.take(effects);
                }
                Step::Wait(secs) => now += secs,
                Step::Land(place, results) if !bench.batches.is_empty() => {
                    let batch = bench.batches.remove(place % bench.batches.len());
                    let tried = batch.pings.iter().zip(results).map(|(one, came)| Tried {
                        number: one.number,
                        came,
                        answer: "x".into(),
                        limit: None,
                    });
                    let tried: Vec<Tried> = tried.collect();
                    let effects = bench.pings.tried(batch.number, &tried, at(now));
                    bench.take(effects);
                }
                Step::Land(..) => {}
                Step::Restart => {
                    let texts: Vec<(Box<str>, String)> =
                        bench.rows.iter().map(|(key, row)| (key.clone(), row.to_json())).collect();
                    let mut next = Bench { rows: bench.rows, ..Bench::new() };
                    let texts = texts.iter().map(|(key, text)| (&**key, text.as_str()));
                    let effects = next.pings.restore(texts, find, at(now));
                    next.take(effects);
                    bench = next;
                    // What was on its way may be sent once more.
                    sent.clear();
                }
                Step::Reload => {
                    let effects = bench.pings.follow(find);
                    bench.take(effects);
                }
                Step::Gone(place) => {
                    bench.hear(now, &Action::Remember(Remember::Gone(jobs[place].id.clone())));
                    decided.retain(|(id, _), _| *id != jobs[place].id);
                    open[place] = 0;
                }
            }
            let known = bench.batches.len();
            bench.wake(now);
            for one in bench.batches[known..].iter().flat_map(|batch| &batch.pings) {
                let this = (one.ping.run.map_or(0, |run| run.0), one.ping.phase);
                let age = at(now).wall.since(one.ping.at);
                prop_assert!(this.1 == Phase::End || age <= OLD || age.as_secs() > 0);
                // The same again is a try that has failed.
                let before = sent.insert(one.ping.job.clone(), this);
                prop_assert!(before.is_none_or(|before| before <= this), "{before:?} {this:?}");
            }
            prop_assert!(bench.rows.len() <= 2 * jobs.len());
            for job in &jobs {
                let on_its_way = bench.pings.watched.get(&job.id).map(|watched| {
                    (watched.waiting.len(), usize::from(watched.flying.is_some()))
                });
                let (waiting, flying) = on_its_way.unwrap_or_default();
                prop_assert!(waiting <= 2 && flying <= 1);
            }
            prop_assert!(bench.pings.flights.len() <= FLIGHTS.iter().sum());
            // A store that was lost is told of all that waits.
            let mut other = Bench::new();
            other.take(bench.pings.remember());
            let waiting = bench.rows.iter().filter(|(_, row)| &*row.state == WAITING);
            prop_assert!(other.rows.iter().eq(waiting), "{:?}", bench.states());
        }
        // In the end every monitor answers.
        for _ in 0..20 {
            bench.land(now, &Came::Sent, "200");
            now += 4000;
            bench.wake(now);
        }
        prop_assert_eq!(bench.pings.next_wakeup(), None);
        prop_assert_eq!(bench.pings.numbers().waiting, 0);
        prop_assert!(bench.pings.awaiting.is_empty());
        for row in bench.rows.values() {
            let last = decided.get(&(row.ping.job.clone(), row.ping.phase)).copied();
            prop_assert_eq!(row.ping.run.map(|run| run.0), last, "{:?}", row);
            prop_assert!(&*row.state != WAITING);
        }
    }
}
