use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use super::super::log::Told;
use super::super::outbox::{NotFound, TryResult};
use super::*;
use crate::core::event::{Fast, Quiet, Unusual};
use crate::core::instant::Mono;
use crate::core::job::{Command, Options, RunOn};
use crate::core::notify::{Secret, Service};
use crate::core::outcome::MissReason;
use crate::core::streak::Streaks;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::window::TimeOfDay;
use crate::core::zone::Zone;

fn now(secs: u64) -> Now {
    Now {
        wall: Instant::from_secs(1_700_000_000 + secs as i64),
        mono: Mono::from_micros((5_000_000 + secs) * 1_000_000),
    }
}

fn job(id: &str, change: impl FnOnce(&mut Options)) -> Arc<Job> {
    let mut options = Options { notify: Box::new(["ops".into()]), ..Options::default() };
    change(&mut options);
    Arc::new(Job {
        id: id.into(),
        name: None,
        command: Command::Shell("true".into()),
        trigger: Trigger::Date(DateTrigger::Now),
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(options),
    })
}

fn record(job: &Arc<Job>, run: u64, outcome: Outcome, at: u64) -> Action {
    let due = now(at).wall;
    Action::Record(Record {
        job: Arc::clone(job),
        due,
        last_due: due,
        count: 1,
        run: outcome.is_of_run().then_some(RunId(run)),
        outcome,
        started: Some(due),
        duration: Duration::from_secs(1),
        attempts: 1,
        usage: None,
    })
}

fn hook(name: &str) -> Route {
    let url = Secret::Text("https://example.org/x".into());
    Route::of(name, Service::Webhook { url, secret: None })
}

/// A store of entries, as the keeper would have it.
#[derive(Default)]
struct Store(BTreeMap<(&'static str, Box<str>), Box<str>>);

impl Store {
    /// Writes, and answers what there is to do besides.
    fn take(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut others = Vec::new();
        for effect in effects {
            match effect {
                Effect::Write(list, key, Some(value)) => drop(self.0.insert((list, key), value)),
                Effect::Write(list, key, None) => drop(self.0.remove(&(list, key))),
                other => others.push(other),
            }
        }
        others
    }

    /// The last of what has ended.
    fn told(&self) -> Told {
        serde_json::from_str(&self.list(TOLD).pop().unwrap().1).unwrap()
    }

    fn list(&self, wanted: &str) -> Vec<(Box<str>, Box<str>)> {
        let of = self.0.iter().filter(|((list, _), _)| *list == wanted);
        of.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    fn restore(&self, routes: Vec<Route>, at: Now) -> Notifier {
        self.restore_at("web1", routes, at)
    }

    /// One of several hosts. A job of the name `each` runs on all of them.
    fn restore_at(&self, host: &str, routes: Vec<Route>, at: Now) -> Notifier {
        let mut notifier = Notifier::new(host, &format!("seed of {host}"), routes);
        notifier.share();
        for list in LISTS {
            notifier.restore(list, self.list(list), &|job| job == "each", at);
        }
        notifier.begin(at);
        notifier
    }
}

/// Does what is due, while nothing fails.
fn wake(notifier: &mut Notifier, now: Now) -> Vec<Effect> {
    notifier.wake(now, &|_| Vec::new())
}

/// An action, a failure being the first in a row.
fn hear(notifier: &mut Notifier, now: Now, action: &Action, awaits_output: bool) -> Vec<Effect> {
    let (streak, _) = Streaks::default().hear(now.wall, action);
    notifier.hear(now, action, streak, awaits_output)
}

fn messages(effects: Vec<Effect>) -> Vec<Message> {
    let send = |effect| match effect {
        Effect::Send(message) => Some(message),
        _ => None,
    };
    effects.into_iter().filter_map(send).collect()
}

fn sent(message: &Message) -> Tried {
    Tried { id: message.id.clone(), result: TryResult::Sent, answer: "200".into() }
}

#[test]
fn a_failure_is_written_down_sent_and_crossed_out() {
    let (mut store, backup) = (Store::default(), job("backup", |_| ()));
    let mut notifier = Notifier::new("web1", "seed", vec![hook("ops")]);
    let effects = hear(&mut notifier, now(0), &record(&backup, 7, Outcome::Failed(3), 0), true);
    assert!(store.take(effects).is_empty());
    assert_eq!((store.list(OUTBOX).len(), store.list(STATES).len()), (1, 1));
    store.take(notifier.output(RunId(7), "disk full"));
    assert!(store.list(OUTBOX)[0].1.contains("disk full"));
    let sending = messages(store.take(wake(&mut notifier, now(0))));
    let [message] = &*sending else { panic!("{sending:?}") };
    let only = &message.notifications[0];
    assert_eq!(
        (only.kind, only.streak, &only.outcome),
        (Kind::Failed, 1, &Some(Outcome::Failed(3)))
    );
    assert_eq!(only.output.as_deref(), Some("disk full"));
    assert!(store.take(notifier.tried(message, &[sent(message)], now(1))).is_empty());
    assert_eq!((store.list(OUTBOX).len(), store.list(TOLD).len()), (0, 1));
    let told = store.told();
    assert_eq!((&*told.end, told.run, &*told.answer), ("sent", Some(7), "200"));
    assert_eq!(notifier.ends("ops"), [1, 0, 0, 0]);
    // That it is well again, and then nothing is known of it.
    store.take(hear(&mut notifier, now(60), &record(&backup, 8, Outcome::Succeeded, 60), false));
    assert_eq!(messages(wake(&mut notifier, now(60)))[0].notifications[0].kind, Kind::Recovered);
}

#[test]
fn who_asks_for_nothing_costs_nothing() {
    let mut notifier = Notifier::new("web1", "seed", vec![hook("ops")]);
    let quiet = job("quiet", |options| options.notify = Box::new([]));
    let elsewhere = job("elsewhere", |options| options.notify = Box::new(["nobody".into()]));
    for job in [&quiet, &elsewhere] {
        assert!(
            hear(&mut notifier, now(0), &record(job, 1, Outcome::TimedOut, 0), true).is_empty()
        );
    }
    let backup = job("backup", |_| ());
    for (run, outcome) in [Outcome::Succeeded, Outcome::Coalesced].into_iter().enumerate() {
        let action = record(&backup, run as u64, outcome, 0);
        assert_eq!(hear(&mut notifier, now(0), &action, true), []);
    }
    assert_eq!(notifier.next_wakeup(), Wakeup::default());
}

#[test]
fn a_gap_is_one_notification() {
    let (mut notifier, backup) =
        (Notifier::new("web1", "seed", vec![hook("ops")]), job("backup", |_| ()));
    let late = Outcome::Missed(MissReason::Late(Duration::from_secs(4000)));
    let Action::Record(mut missed) = record(&backup, 0, late, 0) else { unreachable!() };
    (missed.count, missed.last_due) = (412, now(5000).wall);
    hear(&mut notifier, now(6000), &Action::Record(missed), false);
    let sending = messages(wake(&mut notifier, now(6000)));
    let it = &sending[0].notifications[0];
    assert_eq!((it.kind, it.count, it.last_due), (Kind::Missed, 412, now(5000).wall));
}

#[test]
fn what_is_overdue_is_told_once() {
    let mut notifier = Notifier::new("web1", "seed", vec![hook("ops")]);
    let backup = job("backup", |options| options.expect = Some(Duration::from_secs(100)));
    notifier.expect(&backup, now(0).wall);
    assert_eq!(notifier.next_wakeup().wall, Some(now(100).wall));
    assert_eq!(wake(&mut notifier, now(99)), []);
    hear(&mut notifier, now(50), &record(&backup, 1, Outcome::Succeeded, 50), false);
    assert_eq!(wake(&mut notifier, now(149)), []);
    let kinds = |effects| {
        let all = messages(effects).into_iter().flat_map(|message| message.notifications);
        all.map(|it| it.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(wake(&mut notifier, now(150))), [Kind::Overdue]);
    assert_eq!(notifier.next_wakeup().wall, None);
    // A job that is paused is not expected to do anything.
    notifier.expect(&backup, now(200).wall);
    hear(&mut notifier, now(210), &Action::Remember(Remember::Gone("backup".into())), false);
    assert_eq!(notifier.next_wakeup().wall, None);
}

#[test]
fn what_is_slow_is_told_where_that_is_wanted() {
    let wants = Route { on: BTreeSet::from([Kind::Slow]), ..hook("wants") };
    let mut notifier = Notifier::new("web1", "seed", vec![hook("ops"), wants]);
    let names = || Box::new(["ops".into(), "wants".into()]);
    let job = job("backup", |options| options.notify = names());
    let slow = SlowRun {
        run: RunId(7),
        job,
        due: now(0).wall,
        started: now(1).wall,
        limit: Duration::from_secs(300),
        usual: Some(Duration::from_secs(100)),
    };
    let (mut store, slow_for) = (Store::default(), Duration::from_secs(300));
    store.take(notifier.slow(now(301), &slow));
    assert_eq!((store.list(OUTBOX).len(), store.list(STATES).len()), (1, 0));
    let message = messages(store.take(wake(&mut notifier, now(301)))).remove(0);
    let only = &message.notifications[0];
    assert_eq!((&*message.route, only.kind, only.run), ("wants", Kind::Slow, Some(RunId(7))));
    assert_eq!((only.duration, only.usual), (Some(slow_for), slow.usual));
}

#[test]
fn what_is_out_of_the_ordinary_is_told_where_that_is_wanted() {
    let wants = |name, kinds: &[Kind]| Route { on: kinds.iter().copied().collect(), ..hook(name) };
    let routes = [wants("both", &[Kind::Quiet, Kind::Fast]), wants("quiet", &[Kind::Quiet])];
    let mut notifier = Notifier::new("web1", "seed", [vec![hook("ops")], routes.to_vec()].concat());
    let names = || Box::new(["ops".into(), "both".into(), "quiet".into()]);
    let (secs, job) = (Duration::from_secs, job("backup", |options| options.notify = names()));
    let unusual = Unusual {
        quiet: Some(Quiet { printed: 0, usual: 1024 }),
        fast: Some(Fast { took: secs(2), usual: secs(300) }),
    };
    let (run, due, started) = (RunId(7), now(0).wall, Some(now(1).wall));
    let found = UnusualRun { run, job, due, started, took: secs(2), unusual };
    let mut store = Store::default();
    store.take(notifier.unusual(now(3), &found));
    assert_eq!((store.list(OUTBOX).len(), store.list(STATES).len()), (3, 0));
    let said = messages(store.take(wake(&mut notifier, now(3)))).into_iter();
    let mut said: Vec<_> = said
        .flat_map(|message| {
            let about = |it: &Notification| (it.kind, it.printed, it.duration, it.usual);
            let all = message.notifications.iter().map(about).collect::<Vec<_>>();
            all.into_iter().map(move |about| (message.route.clone(), about))
        })
        .collect();
    said.sort();
    let quiet = (Kind::Quiet, Some((0, 1024)), Some(secs(2)), None);
    let fast = (Kind::Fast, None, Some(secs(2)), Some(secs(300)));
    assert_eq!(said, [("both".into(), quiet), ("both".into(), fast), ("quiet".into(), quiet)]);
    let ids: BTreeSet<Box<str>> = store.list(OUTBOX).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn the_route_of_last_resort() {
    let mut first = hook("ops");
    first.fallback = Some("mail".into());
    let routes = vec![first, hook("mail")];
    let (mut store, mut notifier) = (Store::default(), Notifier::new("web1", "seed", routes));
    let backup = job("backup", |_| ());
    store.take(hear(&mut notifier, now(0), &record(&backup, 1, Outcome::Failed(1), 0), false));
    let message = messages(store.take(wake(&mut notifier, now(0)))).remove(0);
    let refused =
        Tried { id: message.id.clone(), result: TryResult::Refused, answer: "410 Gone".into() };
    let said = store.take(notifier.tried(&message, &[refused], now(1)));
    let lost = Said::Lost {
        route: "ops".into(),
        count: 1,
        end: End::Refused,
        answer: "410 Gone".into(),
        went_to: Some("mail".into()),
    };
    assert_eq!(said, [Effect::Say(lost)]);
    let again = messages(store.take(wake(&mut notifier, now(1)))).remove(0);
    assert_eq!(&*again.route, "mail");
    assert_ne!(again.id, message.id);
    assert_eq!(store.list(OUTBOX).len(), 1);
}

#[test]
fn a_route_that_fails_is_named_once_and_when_it_works_again() {
    let (mut notifier, backup) =
        (Notifier::new("web1", "seed", vec![hook("ops")]), job("backup", |_| ()));
    hear(&mut notifier, now(0), &record(&backup, 1, Outcome::Failed(1), 0), false);
    let (mut said, mut at) = (Vec::new(), 0);
    for result in [TryResult::Again(None), TryResult::Again(None), TryResult::Sent] {
        at += 10_000;
        let message = messages(wake(&mut notifier, now(at))).remove(0);
        let tried = Tried { id: message.id.clone(), result, answer: "503".into() };
        said.extend(notifier.tried(&message, &[tried], now(at)).into_iter().filter_map(
            |it| match it {
                Effect::Say(said) => Some(said),
                _ => None,
            },
        ));
    }
    let failing = Said::Failing { route: "ops".into(), answer: "503".into() };
    assert_eq!(said, [failing, Said::Works { route: "ops".into() }]);
}

#[test]
fn other_routes_than_before() {
    let (mut store, backup) = (Store::default(), job("backup", |_| ()));
    let mut notifier = Notifier::new("web1", "seed", vec![hook("ops")]);
    store.take(hear(&mut notifier, now(0), &record(&backup, 1, Outcome::Failed(1), 0), false));
    store.take(notifier.set_routes(vec![hook("other")], now(1)));
    assert_eq!((store.list(OUTBOX).len(), store.list(STATES).len()), (0, 0));
    assert_eq!(store.told().end, "dropped");
    assert_eq!(notifier.next_wakeup(), Wakeup::default());
}

/// What was refused goes again under its name, what has arrived under another, and what waits does not.
#[test]
fn one_is_sent_again() {
    let (mut store, backup) = (Store::default(), job("backup", |_| ()));
    let mut notifier = Notifier::new("web1", "seed", vec![hook("ops")]);
    let effects = hear(&mut notifier, now(0), &record(&backup, 7, Outcome::Failed(3), 0), true);
    store.take(effects);
    store.take(notifier.output(RunId(7), "disk full"));
    let mut ids = Vec::new();
    for (result, at) in [(TryResult::Refused, 10), (TryResult::Sent, 20), (TryResult::Sent, 30)] {
        let message = messages(store.take(wake(&mut notifier, now(at)))).remove(0);
        assert_eq!(message.notifications[0].output.as_deref(), Some("disk full"));
        ids.push(message.id.clone());
        let tried = Tried { id: message.id.clone(), result, answer: "so".into() };
        store.take(notifier.tried(&message, &[tried], now(at)));
        let (_, entry) = store.list(TOLD).pop().unwrap();
        assert!(store.list(OUTBOX).is_empty());
        let (route, effects) = notifier.again(&entry, now(at)).unwrap();
        store.take(effects);
        assert_eq!((&*route, store.list(OUTBOX).len()), ("ops", 1));
        let expected = match at {
            10 => Err(CannotSend::Waits("ops".into())),
            // It has another name each time.
            _ => Ok("ops".into()),
        };
        let again = notifier.again(&entry, now(at + 1));
        assert_eq!(again.map(|(route, effects)| (store.take(effects), route).1), expected);
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
    let (_, entry) = store.list(TOLD).remove(0);
    store.take(notifier.set_routes(vec![hook("other")], now(40)));
    assert_eq!(notifier.again(&entry, now(40)), Err(CannotSend::NoRoute("ops".into())));
    let old = Told { route: "other".into(), ..Told::default() };
    let old = serde_json::to_string(&old).unwrap();
    assert_eq!(notifier.again(&old, now(40)), Err(CannotSend::Unreadable));
}

#[test]
fn which_one_is_meant() {
    let of = |id: &str, job: &str| {
        serde_json::to_string(&Told { id: id.into(), job: job.into(), ..Told::default() }).unwrap()
    };
    let all = [of("12345", "a"), of("12355", "b"), of("12345", "c"), "{".to_owned()];
    let found = |id| told_of(id, all.iter().map(String::as_str));
    assert_eq!(found("12345"), Ok(&*all[2]));
    assert_eq!(found("1235"), Ok(&*all[1]));
    let (several, unknown) = (Err(NotFound::Several), Err(NotFound::Unknown));
    assert_eq!(told_of("1235", [of("12351", ""), of("12352", "")].iter().map(|it| &**it)), several);
    for id in ["", "123", "9999", "123456"] {
        assert_eq!(found(id), unknown, "{id}");
    }
}

#[test]
fn what_waits_is_dropped() {
    let (mut store, backup) = (Store::default(), job("backup", |_| ()));
    let mut notifier = Notifier::new("web1", "seed", vec![hook("ops"), hook("other")]);
    let jobs = ["a", "b", "c"].map(|id| job(id, |_| ()));
    for (run, job) in jobs.iter().chain([&backup]).enumerate() {
        let action = record(job, run as u64, Outcome::Failed(1), 0);
        store.take(hear(&mut notifier, now(0), &action, false));
    }
    // They are on their way.
    let message = messages(store.take(wake(&mut notifier, now(0)))).remove(0);
    let id = message.notifications[1].id.clone();
    let (route, count, effects) = notifier.forgo(&id[..8], "ann", now(1)).unwrap();
    store.take(effects);
    assert_eq!((&*route, count, store.list(OUTBOX).len()), ("ops", 1, 3));
    assert_eq!((&*store.told().end, &*store.told().answer), ("dropped", "by ann"));
    let (_, count, effects) = notifier.forgo("ops", "ann", now(2)).unwrap();
    store.take(effects);
    assert_eq!((count, store.list(OUTBOX).len(), store.list(TOLD).len()), (3, 0, 4));
    // That they have arrived all the same is no news.
    assert_eq!(notifier.tried(&message, &[sent(&message)], now(3)), []);
    assert_eq!(notifier.next_wakeup(), Wakeup::default());
    for (what, expected) in [("ops", Ok(0)), ("other", Ok(0)), ("oops", Err(NotFound::Unknown))] {
        let found = notifier.forgo(what, "ann", now(4)).map(|(_, count, _)| count);
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn what_other_hosts_are_to_send_is_theirs() {
    let (mut store, backup) = (Store::default(), job("backup", |_| ()));
    let mut other = Notifier::new("web2", "seed", vec![hook("ops")]);
    store.take(hear(&mut other, now(0), &record(&backup, 1, Outcome::Failed(1), 0), false));
    let mut here = store.restore(vec![hook("ops")], now(1));
    assert_eq!(wake(&mut here, now(1)), []);
    assert_eq!(store.list(OUTBOX).len(), 1);
}

#[test]
fn what_a_dead_host_has_left_is_sent_under_its_ids() {
    let (mut store, backup) = (Store::default(), job("backup", |_| ()));
    let mut other = Notifier::new("web2", "seed", vec![hook("ops"), hook("old")]);
    store.take(hear(&mut other, now(0), &record(&backup, 1, Outcome::Failed(1), 0), false));
    // The receiver has failed there.
    let message = messages(store.take(wake(&mut other, now(0)))).remove(0);
    let again = Tried { result: TryResult::Again(None), answer: "503".into(), ..sent(&message) };
    store.take(other.tried(&message, &[again], now(1)));
    let waiting = super::waiting(&store.list(OUTBOX), &store.list(TRYING));
    let trying = waiting[0].trying.as_ref().unwrap();
    assert_eq!((&*waiting[0].answer, trying.failed), ("503", 1));
    assert!(trying.next >= now(5).wall.micros(), "{trying:?}");
    let left = store.list(OUTBOX);
    let mut here = store.restore(vec![hook("ops")], now(9));
    let of_web2 = |host: &str| host == "web2";
    let (count, effects) = here.inherit(&of_web2, left.clone(), now(9));
    assert_eq!((count, store.take(effects)), (Left::from([("web2".into(), 1)]), Vec::new()));
    assert_eq!(store.list(TRYING), []);
    // Once, and nobody else's.
    let nothing = (Left::new(), Vec::new());
    assert_eq!(here.inherit(&of_web2, left.clone(), now(9)), nothing);
    assert_eq!(here.inherit(&|host| host == "web3", left.clone(), now(9)), nothing);
    let message = messages(store.take(wake(&mut here, now(9)))).remove(0);
    assert_eq!(message.notifications[0].id, left[0].0);
    // It is said where it happened, whoever says it: also after a restart, and if that one dies as well.
    assert_eq!(message.notifications[0].host.as_deref(), Some("web2"));
    let mut third = store.restore_at("web3", vec![hook("ops")], now(9));
    let (_, effects) = third.inherit(&|host| host == "web1", store.list(OUTBOX), now(9));
    let [Effect::Write(OUTBOX, _, Some(text)), Effect::Write(TRYING, _, None)] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert!(text.contains("web2"), "{text}");
    store.take(here.tried(&message, &[sent(&message)], now(9)));
    assert_eq!((store.list(OUTBOX).len(), store.told().id.into()), (0, left[0].0.clone()));
    // A route that is not known here may be known there.
    let mut stranger = Notifier::new("web4", "seed", vec![hook("dev")]);
    assert_eq!(stranger.inherit(&of_web2, left, now(9)), nothing);
}

/// A job goes to another host and comes back: what was told of it meanwhile is known then.
#[test]
fn a_job_comes_home() {
    let (mut store, backup) = (Store::default(), job("backup", |_| ()));
    let mut here = store.restore(vec![hook("ops")], now(0));
    store.take(hear(&mut here, now(0), &record(&backup, 1, Outcome::Failed(1), 0), false));
    here.leave("backup");
    let mut there = store.restore(vec![hook("ops")], now(1));
    store.take(hear(&mut there, now(2), &record(&backup, 2, Outcome::Succeeded, 2), false));
    assert!(store.list(STATES).iter().all(|(_, state)| state.contains("\"told\":null")));
    here.restore_unknown(store.list(STATES), &|_| false, &|job| job == "backup");
    let kinds = |effects: &[Effect]| {
        let posts = effects.iter().filter(|it| matches!(it, Effect::Write(OUTBOX, _, Some(_))));
        posts.count()
    };
    // It fails anew, and that is news; a second time it is not.
    for (run, news) in [(3, 1), (4, 0)] {
        let action = record(&backup, run, Outcome::Failed(1), run);
        assert_eq!(kinds(&hear(&mut here, now(run), &action, false)), news, "{run}");
    }
    // What is known here is newer than what is in the store.
    here.restore_unknown(store.list(STATES), &|_| false, &|_| true);
    let action = record(&backup, 5, Outcome::Failed(1), 5);
    assert_eq!(kinds(&hear(&mut here, now(5), &action, false)), 0);
}

/// What each host tells of a job, by what has become of it there.
fn told_by(rows: &[(&str, Outcome)], each: &Arc<Job>, restart: bool) -> Vec<String> {
    let (mut store, mut hosts) = (Store::default(), BTreeMap::new());
    let mut told = Vec::new();
    for (at, (host, outcome)) in (1..).zip(rows) {
        let notifier = hosts
            .entry(*host)
            .or_insert_with(|| store.restore_at(host, vec![hook("ops")], now(at)));
        let effects = hear(notifier, now(at), &record(each, at, outcome.clone(), at), false);
        let posts = effects.iter().filter_map(|effect| match effect {
            Effect::Write(OUTBOX, id, Some(text)) => Saved::of_json(id, text),
            _ => None,
        });
        told.extend(posts.map(|it| {
            let begun = it.notification.begun_on.map(|host| format!(", begun on {host}"));
            let begun = begun.unwrap_or_default();
            format!("{} {}{begun}", it.host, it.notification.kind.word())
        }));
        store.take(effects);
        if restart {
            hosts.clear();
        }
    }
    told
}

#[test]
fn what_runs_on_every_host_is_told_by_each_of_its_own() {
    let fails = || Outcome::Failed(1);
    let rows = [
        ("web1", fails()),
        ("web2", Outcome::Succeeded),
        ("web1", fails()),
        ("web2", Outcome::Succeeded),
        ("web2", fails()),
        ("web1", fails()),
        ("web1", Outcome::Succeeded),
        ("web2", fails()),
    ];
    for restart in [false, true] {
        let each = job("each", |options| options.run_on = RunOn::All);
        let expected = ["web1 failed", "web2 failed", "web1 recovered"];
        assert_eq!(told_by(&rows, &each, restart), expected, "restart: {restart}");
    }
    // Of a job that has one home at a time they know the same.
    let expected = [
        "web1 failed",
        "web2 recovered, begun on web1",
        "web1 failed",
        "web2 recovered, begun on web1",
        "web2 failed",
    ];
    let backup = job("backup", |_| ());
    assert_eq!(told_by(&rows[..5], &backup, true), expected);
}

#[test]
fn what_an_older_version_has_told_for_all_hosts_is_each_ones() {
    let each = job("each", |options| options.run_on = RunOn::All);
    let mut store = Store::default();
    let mut old = Notifier::new("web1", "seed", vec![hook("ops")]);
    store.take(hear(&mut old, now(0), &record(&each, 1, Outcome::Failed(1), 0), false));
    let keys = |store: &Store| {
        let keys = store.list(STATES).into_iter().map(|(key, _)| key.replace('\n', " "));
        keys.collect::<Vec<String>>()
    };
    assert_eq!(keys(&store), ["ops each"]);
    let mut hosts = ["web1", "web2"].map(|host| store.restore_at(host, vec![hook("ops")], now(1)));
    for (host, expected) in
        hosts.iter_mut().zip([&["ops each web1"][..], &["ops each web1", "ops each web2"]])
    {
        let well = record(&each, 2, Outcome::Succeeded, 2);
        let effects = hear(host, now(2), &well, false);
        assert!(effects.iter().any(|it| matches!(it, Effect::Write(OUTBOX, _, Some(_)))));
        store.take(effects);
        assert_eq!(keys(&store), expected);
    }
}

#[test]
fn what_a_dead_host_had_counted_is_in_the_next_digest_of_another() {
    let mut store = Store::default();
    let backup = job("backup", |_| ());
    let late = Outcome::Missed(MissReason::Late(Duration::from_secs(4000)));
    for (host, outcomes) in [
        ("web1", vec![Outcome::Succeeded]),
        ("web2", vec![Outcome::Failed(3), Outcome::Succeeded, late]),
        ("web3", vec![Outcome::TimedOut]),
    ] {
        let mut notifier = store.restore_at(host, vec![daily()], now(0));
        for (at, outcome) in (1..).zip(outcomes) {
            hear(&mut notifier, now(at), &record(&backup, at, outcome, at), false);
        }
        store.take(notifier.flush());
    }
    let mut here = store.restore_at("web1", vec![daily()], now(9));
    let gone = |host: &str| host == "web2";
    store.take(here.inherit_digests(&gone, store.list(DIGESTS)));
    // Once, whoever looks again, and what others count is theirs.
    assert_eq!(here.inherit_digests(&gone, store.list(DIGESTS)), []);
    let left = store.list(DIGESTS).into_iter().map(|(key, _)| key.into_string());
    assert_eq!(left.collect::<Vec<String>>(), ["ops\nweb1", "ops\nweb3"]);
    // It survives this one, too.
    let mut here = store.restore_at("web1", vec![daily()], now(10));
    let message = messages(store.take(wake(&mut here, now(6400)))).remove(0);
    let digest = message.notifications[0].digest.as_deref().unwrap();
    assert_eq!((digest.succeeded, digest.failed, digest.missed), (2, 1, 1));
    assert_eq!((digest.missed_by.len(), digest.slowest.len()), (1, 3));
    assert!(digest.hosts.iter().eq(["web2"]), "{digest:?}");
    // Whoever was taken for dead begins anew: what it had counted is told by another.
    let mut taken = store.restore_at("web3", vec![daily()], now(10));
    taken.was_taken_for_dead(now(11));
    store.take(taken.flush());
    let message = messages(store.take(wake(&mut taken, now(6400)))).remove(0);
    assert_eq!(message.notifications[0].digest.as_deref().unwrap().runs(), 0);
    // A route that has no digest here leaves it.
    let mut other = store.restore_at("web4", vec![hook("ops")], now(12));
    assert_eq!(other.inherit_digests(&|_| true, store.list(DIGESTS)), []);
}

fn daily() -> Route {
    // The first is 6,400 s after the beginning: at 2023-11-15 00:00.
    Route { digest: TimeOfDay::read("00:00"), ..hook("ops") }
}

#[test]
fn a_digest_says_what_has_become_of_all() {
    let mut store = Store::default();
    let mut notifier = store.restore(vec![daily()], now(0));
    assert_eq!(notifier.next_wakeup().wall, Some(now(6400).wall));
    let (backup, report) = (job("backup", |_| ()), job("report", |_| ()));
    let late = Outcome::Missed(MissReason::Late(Duration::from_secs(4000)));
    for (at, job, outcome) in [
        (1, &backup, Outcome::Succeeded),
        (2, &backup, Outcome::Failed(3)),
        (3, &report, Outcome::TimedOut),
        (4, &report, late),
        (5, &report, Outcome::Succeeded),
    ] {
        let heard = hear(&mut notifier, now(at), &record(job, at, outcome, at), true);
        assert_eq!(heard, []);
    }
    // All of that is written at once.
    let written = notifier.flush();
    assert_eq!((written.len(), notifier.flush()), (1, Vec::new()));
    store.take(written);
    assert_eq!(wake(&mut notifier, now(6399)), []);
    // It is known to the next scheduler, which is there a little late.
    let mut notifier = store.restore(vec![daily()], now(7000));
    let streak = Streaks::default().hear(now(2).wall, &record(&backup, 2, Outcome::Failed(3), 2)).0;
    let failing = |route: &str| {
        assert_eq!(route, "ops");
        (0..60).map(|number| (format!("job{number:02}").into(), streak)).collect()
    };
    let message = messages(store.take(notifier.wake(now(7000), &failing))).remove(0);
    let digest = message.notifications[0].digest.as_deref().unwrap();
    assert_eq!((digest.succeeded, digest.failed, digest.missed, digest.runs()), (2, 2, 1, 4));
    assert_eq!((digest.missed_by.len(), digest.slowest.len()), (1, 4));
    // So many are named, and all are counted.
    let first = digest.failing.first_key_value().map(|(job, known)| (&**job, *known));
    assert_eq!(first, Some(("job00", (1, now(2).wall.micros()))));
    assert_eq!((digest.failing.len(), digest.failing_jobs()), (50, 60));
    store.take(notifier.flush());
    store.take(notifier.tried(&message, &[sent(&message)], now(7001)));
    // The next one is of the day after.
    assert_eq!(notifier.next_wakeup().wall, Some(now(6400 + 86_400).wall));
    let message = messages(store.take(wake(&mut notifier, now(6400 + 86_400)))).remove(0);
    let digest = message.notifications[0].digest.as_deref().unwrap();
    assert_eq!((digest.runs(), digest.failing_jobs()), (0, 0));
    // A route without one again has none.
    store.take(notifier.set_routes(vec![hook("ops")], now(100_000)));
    store.take(notifier.flush());
    assert!(store.list(DIGESTS).is_empty() && notifier.next_wakeup().wall.is_none());
}

proptest! {
    /// Whatever happens, and whenever the scheduler is killed: digests together count each run once.
    #[test]
    fn digests_count_each_once(steps in proptest::collection::vec((0u8..4, 0u64..30_000), 1..60)) {
        let (mut store, backup) = (Store::default(), job("backup", |_| ()));
        let mut notifier = store.restore(vec![daily()], now(0));
        let (mut at, mut runs, mut counted) = (0, 0, 0);
        for (step, pause) in steps.into_iter().chain([(3, 86_400)]) {
            at += pause;
            match step {
                0 | 1 => {
                    runs += 1;
                    let outcome = if step == 0 { Outcome::Failed(1) } else { Outcome::Succeeded };
                    store.take(hear(&mut notifier, now(at), &record(&backup, at, outcome, at), false));
                    store.take(notifier.flush());
                }
                2 => notifier = store.restore(vec![daily()], now(at)),
                _ => {
                    for message in messages(store.take(wake(&mut notifier, now(at)))) {
                        counted += message.notifications.iter().map(|it| it.count).sum::<u64>();
                        store.take(notifier.tried(&message, &[sent(&message)], now(at)));
                    }
                    store.take(notifier.flush());
                }
            }
        }
        prop_assert_eq!(counted, runs);
    }

    /// A store that was lost and is told all once more knows what the lost one knew, but for what has
    /// become of notifications.
    #[test]
    fn a_new_store_knows_what_the_lost_one_did(
        steps in proptest::collection::vec((0u8..4, 0u8..3), 1..40),
    ) {
        let routes = || vec![hook("ops"), Route { name: "day".into(), ..daily() }];
        let told = |options: &mut Options| options.notify = Box::new(["ops".into(), "day".into()]);
        let jobs: Vec<Arc<Job>> = (0..3).map(|n| job(&format!("job{n}"), told)).collect();
        let (mut store, mut at) = (Store::default(), 0);
        let mut notifier = store.restore(routes(), now(0));
        for (step, which) in steps {
            at += 1000;
            let job = &jobs[usize::from(which)];
            match step {
                0 | 1 => {
                    let outcome = if step == 0 { Outcome::Failed(1) } else { Outcome::Succeeded };
                    store.take(hear(&mut notifier, now(at), &record(job, at, outcome, at), false));
                }
                // It is on its way, and nobody knows what becomes of it.
                2 => drop(store.take(wake(&mut notifier, now(at)))),
                _ => {
                    for message in messages(store.take(wake(&mut notifier, now(at)))) {
                        store.take(notifier.tried(&message, &[sent(&message)], now(at)));
                    }
                }
            }
            store.take(notifier.flush());
        }
        let mut other = Store::default();
        other.take(notifier.remember(&|_| true));
        for list in LISTS.into_iter().filter(|list| *list != TOLD) {
            prop_assert_eq!(other.list(list), store.list(list), "{}", list);
        }
    }

    /// Killed at any moment, with any answers lost: each failure that is to be told is told at least
    /// once, and again only under the same id.
    #[test]
    fn nothing_is_lost_over_a_crash(steps in proptest::collection::vec((0u8..6, 0u8..4), 1..60)) {
        let routes = || vec![hook("ops")];
        let jobs: Vec<Arc<Job>> = (0..4).map(|n| job(&format!("job{n}"), |_| ())).collect();
        let (mut store, mut notifier) = (Store::default(), Notifier::new("web1", "seed", routes()));
        let (mut at, mut failing, mut wanted) = (0, [false; 4], 0);
        let mut arrived: HashMap<Box<str>, Notification> = HashMap::new();
        let mut deliver = |store: &mut Store, notifier: &mut Notifier, at: u64, heard: bool| {
            for message in messages(store.take(wake(notifier, now(at)))) {
                for it in &message.notifications {
                    let before = arrived.insert(it.id.clone(), it.clone());
                    assert!(before.is_none_or(|before| before == *it));
                }
                if heard {
                    store.take(notifier.tried(&message, &[sent(&message)], now(at)));
                }
            }
            arrived.len()
        };
        for (step, which) in steps {
            at += 1000;
            let job = &jobs[usize::from(which)];
            match step {
                0 | 1 => {
                    let outcome = if step == 0 { Outcome::Failed(1) } else { Outcome::Succeeded };
                    let is_news = failing[usize::from(which)] != (step == 0);
                    failing[usize::from(which)] = step == 0;
                    wanted += usize::from(is_news);
                    let action = record(job, at, outcome, at);
                    store.take(hear(&mut notifier, now(at), &action, false));
                }
                2 => drop(deliver(&mut store, &mut notifier, at, true)),
                // It arrives, but nobody hears of that before the crash.
                3 => {
                    deliver(&mut store, &mut notifier, at, false);
                    notifier = store.restore(routes(), now(at));
                }
                _ => notifier = store.restore(routes(), now(at)),
            }
        }
        // A reminder is news as well, once a day; there is no day in it.
        let count = deliver(&mut store, &mut notifier, at + 1, true);
        prop_assert_eq!(count, wanted);
        prop_assert!(store.list(OUTBOX).is_empty());
    }
}
