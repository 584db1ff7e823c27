use proptest::prelude::*;

use super::*;
use crate::core::calendar::Windows;
use crate::core::notify::{Kind, Secret, Service};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(secs: u64) -> Mono {
    Mono::from_micros((1_000_000 + secs) * 1_000_000)
}

/// It is Monday, 2026-12-21, 12:00 when it begins.
fn now(secs: u64) -> Now {
    Now { wall: Instant::from_secs(1_797_854_400 + secs as i64), mono: at(secs) }
}

fn chat() -> Route {
    Route::of("chat", Service::Slack { url: Secret::Text("https://example.org/x".into()) })
}

fn webhook() -> Route {
    let url = Secret::Text("https://example.org/x".into());
    Route::of("hook", Service::Webhook { url, secret: None })
}

fn notification(job: u64, kind: Kind) -> Notification {
    Notification {
        id: format!("msg_{job}").into(),
        kind,
        host: None,
        begun_on: None,
        job: format!("job{job}").into(),
        name: None,
        run: Some(RunId(job)),
        due: Instant::from_secs(job as i64),
        last_due: Instant::from_secs(job as i64),
        count: 1,
        at: Instant::from_secs(job as i64),
        started: None,
        duration: None,
        usual: None,
        printed: None,
        digest: None,
        attempts: 1,
        outcome: None,
        streak: 1,
        since: None,
        output: None,
    }
}

/// An outbox with its routes.
struct Outgoing {
    outbox: Outbox,
    routes: BTreeMap<Box<str>, Route>,
}

impl Outgoing {
    fn new(routes: impl IntoIterator<Item = Route>) -> Outgoing {
        let routes = routes.into_iter().map(|route| (route.name.clone(), route)).collect();
        Outgoing { outbox: Outbox::default(), routes }
    }

    fn add(&mut self, route: &str, job: u64, now: u64) -> Vec<Done> {
        let route = &self.routes[route];
        self.outbox.add(route, notification(job, Kind::Failed), false, at(now))
    }

    /// When it next wants to be called, in seconds.
    fn wakeup(&self) -> Option<u64> {
        let wakeup = self.outbox.next_wakeup(&self.routes).mono?;
        Some(wakeup.since(at(0)).as_secs())
    }

    /// The same by the wall clock.
    fn until(&self) -> Option<u64> {
        let until = self.outbox.next_wakeup(&self.routes).wall?;
        Some(until.since(now(0).wall).as_secs())
    }

    fn due(&mut self, now: u64) -> (Vec<Message>, Vec<Done>) {
        self.outbox.due(&self.routes, super::tests::now(now))
    }

    /// The one message that is due.
    fn message(&mut self, now: u64) -> Message {
        let (mut messages, moved) = self.due(now);
        assert!(moved.is_empty() && messages.len() == 1, "{messages:?} {moved:?}");
        messages.remove(0)
    }

    fn tried(&mut self, message: &Message, result: TryResult, now: u64) -> Vec<Done> {
        let tried = Tried { id: message.id.clone(), result, answer: "so".into() };
        self.outbox.tried(&self.routes[&message.route], &message.id, &[tried], at(now))
    }
}

fn jobs(message: &Message) -> Vec<&str> {
    message.notifications.iter().map(|it| &*it.job).collect()
}

#[test]
fn what_comes_together_goes_together() {
    let mut it = Outgoing::new([chat()]);
    assert_eq!(it.wakeup(), None);
    it.add("chat", 1, 0);
    it.add("chat", 2, 9);
    assert_eq!(it.wakeup(), Some(10));
    assert!(it.due(9).0.is_empty());
    let message = it.message(10);
    assert_eq!(jobs(&message), ["job1", "job2"]);
    // While it is being tried nothing else is.
    it.add("chat", 3, 11);
    assert_eq!(it.wakeup(), None);
    let done = it.tried(&message, TryResult::Sent, 12);
    assert_eq!(done.iter().map(|done| done.end).collect::<Vec<_>>(), [End::Sent, End::Sent]);
    // A minute between two.
    assert_eq!(it.wakeup(), Some(72));
    assert_eq!(jobs(&it.message(72)), ["job3"]);
}

#[test]
fn five_thousand_are_one_message() {
    let mut it = Outgoing::new([chat()]);
    let mut gone = Vec::new();
    for job in 0..5000 {
        gone.extend(it.add("chat", job, 0));
    }
    assert_eq!(gone.len(), 4000);
    let message = it.message(10);
    assert_eq!((message.notifications.len(), message.more), (20, 4980));
    let done = it.tried(&message, TryResult::Sent, 10);
    assert_eq!(done.len(), 1000);
    assert_eq!(it.outbox.waiting("chat"), Waiting::default());
    assert_eq!(it.wakeup(), None);
}

#[test]
fn ten_thousand_in_a_minute_are_two_messages() {
    const EACH_SECOND: u64 = 167;
    let mut it = Outgoing::new([chat()]);
    let (mut messages, mut told) = (0, 0);
    for second in 0..300 {
        let news =
            if second < 60 { second * EACH_SECOND..(second + 1) * EACH_SECOND } else { 0..0 };
        news.for_each(|job| drop(it.add("chat", job, second)));
        if it.wakeup().is_some_and(|due| due <= second) {
            let message = it.message(second);
            messages += 1;
            told += message.notifications.len() as u64 + message.more;
            it.tried(&message, TryResult::Sent, second);
        }
    }
    assert_eq!((messages, told), (2, 60 * EACH_SECOND));
}

#[test]
fn programs_get_each() {
    let mut it = Outgoing::new([webhook()]);
    for job in 0..250 {
        it.add("hook", job, 0);
    }
    let mut seen = 0;
    for _ in 0..3 {
        let message = it.message(0);
        assert_eq!(message.more, 0);
        seen += message.notifications.len();
        it.tried(&message, TryResult::Sent, 0);
    }
    assert_eq!((seen, it.wakeup()), (250, None));
}

#[test]
fn a_part_of_it_may_be_taken() {
    let mut it = Outgoing::new([webhook()]);
    (0..4).for_each(|job| drop(it.add("hook", job, 0)));
    let message = it.message(0);
    let part = |job: u64, result| Tried {
        id: format!("msg_{job}").into(),
        result,
        answer: format!("{job}").into(),
    };
    let tried = [
        part(0, TryResult::Sent),
        part(1, TryResult::Refused),
        part(2, TryResult::Again(Some(secs(100)))),
    ];
    let done = it.outbox.tried(&webhook(), &message.id, &tried, at(0));
    let ends: Vec<_> = done.iter().map(|it| (&*it.notification.job, it.end)).collect();
    assert_eq!(ends, [("job0", End::Sent), ("job1", End::Refused)]);
    // One of the others has asked for so long.
    assert_eq!(it.wakeup(), Some(100));
    assert_eq!(jobs(&it.message(100)), ["job2", "job3"]);
}

#[test]
fn it_is_tried_more_and_more_rarely_for_a_day() {
    let mut it = Outgoing::new([webhook()]);
    it.add("hook", 1, 0);
    let (mut now, mut waits) = (0, Vec::new());
    let end = loop {
        let message = it.message(now);
        let done = it.tried(&message, TryResult::Again(None), now);
        if let [done] = &*done {
            break done.end;
        }
        let next = it.wakeup().unwrap();
        waits.push(next - now);
        // Rounded up: not a moment too early.
        now = next + 1;
    };
    assert_eq!(end, End::GaveUp);
    let wanted = [5, 30, 120, 600, 3600, 3600, 3600];
    for (wait, wanted) in waits.iter().zip(wanted) {
        let (low, high) = (wanted * 4 / 5 - 1, wanted * 6 / 5 + 1);
        assert!((low..=high).contains(wait), "{waits:?}");
    }
    assert!((24 * 3600..26 * 3600).contains(&now), "{now}");
}

#[test]
fn what_waits_meanwhile_goes_along() {
    let mut it = Outgoing::new([chat()]);
    it.add("chat", 1, 0);
    let first = it.message(10);
    it.tried(&first, TryResult::Again(None), 10);
    it.add("chat", 2, 20);
    let now = it.wakeup().unwrap() + 1;
    let second = it.message(now);
    assert_eq!(jobs(&second), ["job1", "job2"]);
    // Another text is another message; the same text is the same.
    assert_ne!(first.id, second.id);
    it.tried(&second, TryResult::Again(None), now);
    let third = it.message(it.wakeup().unwrap() + 1);
    assert_eq!(second, third);
}

#[test]
fn a_fallback_gets_what_was_not_delivered_in_time() {
    let mut route = chat();
    route.fallback = Some("mail".into());
    let mut it = Outgoing::new([route.clone()]);
    it.add("chat", 1, 0);
    let message = it.message(10);
    it.tried(&message, TryResult::Again(None), 10);
    let mut now = 10;
    let moved = loop {
        now = it.wakeup().unwrap().max(now + 1);
        let (messages, moved) = it.due(now);
        if !moved.is_empty() {
            break moved;
        }
        messages.iter().for_each(|message| drop(it.tried(message, TryResult::Again(None), now)));
    };
    assert_eq!((now, moved.len()), (900, 1));
    assert_eq!(moved[0].went_to.as_deref(), Some("mail"));
    // What is refused goes there at once.
    let mut it = Outgoing::new([route]);
    it.add("chat", 2, 0);
    let message = it.message(10);
    let done = it.tried(&message, TryResult::Refused, 10);
    assert_eq!((done[0].end, done[0].went_to.as_deref()), (End::Refused, Some("mail")));
}

#[test]
fn the_output_is_waited_for_but_not_long() {
    let mut it = Outgoing::new([webhook()]);
    let route = webhook();
    for job in [1, 2] {
        it.outbox.add(&route, notification(job, Kind::Failed), true, at(0));
    }
    assert_eq!(it.wakeup(), Some(2));
    assert_eq!(it.outbox.output(RunId(1), "bang", &it.routes).len(), 1);
    assert_eq!(it.wakeup(), Some(2));
    assert_eq!(it.outbox.output(RunId(2), "", &it.routes).len(), 0);
    assert_eq!(it.wakeup(), Some(0));
    let message = it.message(0);
    let outputs: Vec<_> = message.notifications.iter().map(|it| it.output.as_deref()).collect();
    assert_eq!(outputs, [Some("bang"), None]);
}

#[test]
fn there_is_room_for_what_matters() {
    let mut it = Outgoing::new([chat()]);
    let route = chat();
    for job in 0..ROOM as u64 {
        let kind = if job % 2 == 0 { Kind::Succeeded } else { Kind::Failed };
        it.outbox.add(&route, notification(job, kind), false, at(0));
    }
    // The oldest of the least important goes.
    let gone = it.add("chat", 5000, 0);
    assert_eq!((&*gone[0].notification.job, gone[0].end), ("job0", End::Dropped));
    // What is less important than all that there is does not get in.
    let mut it = Outgoing::new([chat()]);
    (0..ROOM as u64).for_each(|job| drop(it.add("chat", job, 0)));
    let gone = it.outbox.add(&route, notification(7000, Kind::Succeeded), false, at(0));
    assert_eq!(&*gone[0].notification.job, "job7000");
}

/// What comes without end does not move what is due.
#[test]
fn a_stream_of_news_delays_nothing() {
    let mut it = Outgoing::new([chat()]);
    let route = chat();
    let goes = (0..100).find(|second| {
        // The output of the last is always still to come.
        it.outbox.add(&route, notification(*second, Kind::Failed), true, at(*second));
        it.wakeup().is_some_and(|due| due <= *second)
    });
    assert_eq!(goes, Some(12));
}

#[test]
fn what_there_is_no_room_for_goes_to_the_fallback_of_a_receiver_that_fails() {
    let route = Route { fallback: Some("mail".into()), ..chat() };
    let mut it = Outgoing::new([route]);
    it.add("chat", 1, 0);
    let fill = |it: &mut Outgoing| {
        (0..ROOM as u64).flat_map(|job| it.add("chat", job, 1)).collect::<Vec<_>>()
    };
    // Nobody knows that it fails.
    let gone = fill(&mut it);
    assert_eq!((gone.len(), gone[0].went_to.as_deref()), (1, None));
    let message = it.message(10);
    it.tried(&message, TryResult::Again(None), 10);
    let gone = it.add("chat", 5000, 11);
    assert_eq!((gone.len(), gone[0].went_to.as_deref()), (1, Some("mail")));
}

#[test]
fn what_is_bad_is_said_first() {
    let mut it = Outgoing::new([chat()]);
    let route = chat();
    for (job, kind) in [(1, Kind::Recovered), (2, Kind::Missed), (3, Kind::Failed)] {
        it.outbox.add(&route, notification(job, kind), false, at(0));
    }
    assert_eq!(jobs(&it.message(10)), ["job3", "job2", "job1"]);
}

#[test]
fn after_a_restart_it_is_as_old_as_it_is() {
    let mut it = Outgoing::new([webhook()]);
    let wall = Instant::from_secs(1).plus(secs(25 * 3600));
    it.outbox.restore(&webhook(), notification(1, Kind::Failed), Now { wall, mono: at(0) });
    // One more try.
    let message = it.message(0);
    assert_eq!(it.tried(&message, TryResult::Again(None), 0)[0].end, End::GaveUp);
}

#[test]
fn what_waits_on_a_route_that_is_gone() {
    let mut it = Outgoing::new([chat()]);
    it.add("chat", 1, 0);
    it.message(10);
    it.add("chat", 2, 11);
    assert_eq!(it.outbox.waiting("chat").count, 2);
    assert_eq!(it.outbox.clear("chat", "no more").len(), 2);
    assert_eq!(it.outbox.waiting("chat"), Waiting::default());
}

#[test]
fn the_end_of_a_text() {
    for (text, most, end) in
        [("abc", 5, "abc"), ("abc", 2, "bc"), ("aü", 1, ""), ("aü", 2, "ü"), ("", 0, "")]
    {
        assert_eq!(end_of(text, most), end);
    }
}

/// What comes while a route rests is one message at the end, and no older for it; also after a restart.
#[test]
fn a_route_rests() {
    const HOUR: u64 = 3600;
    let resting = || {
        let except = Windows::read(&["13:00..07:00"]).unwrap();
        Route { except, fallback: Some("hook".into()), ..chat() }
    };
    let mut it = Outgoing::new([resting(), webhook()]);
    it.add("chat", 1, HOUR);
    assert_eq!((it.wakeup(), it.until()), (Some(HOUR + 10), None));
    assert!(it.due(HOUR + 10).0.is_empty());
    assert_eq!((it.wakeup(), it.until()), (None, Some(19 * HOUR)));
    it.add("chat", 2, 5 * HOUR);
    assert_eq!((it.wakeup(), it.until()), (None, Some(19 * HOUR)));
    assert!(it.due(19 * HOUR - 1).0.is_empty());
    let message = it.message(19 * HOUR);
    assert_eq!(jobs(&message), ["job1", "job2"]);
    assert_eq!((it.wakeup(), it.until()), (None, None));
    // A receiver that is away then has as long as any other.
    assert!(it.tried(&message, TryResult::Again(None), 19 * HOUR + 5).is_empty());
    let mut left = 0;
    for minute in 1..20 {
        let (messages, moved) = it.due(19 * HOUR + 60 * minute);
        assert!(moved.is_empty() || minute >= 15, "{minute}");
        left += moved.len();
        for message in messages {
            it.tried(&message, TryResult::Again(None), 19 * HOUR + 60 * minute + 1);
        }
    }
    assert_eq!(left, 2);

    // Nothing falls back while it rests.
    let mut it = Outgoing::new([resting(), webhook()]);
    it.add("chat", 1, HOUR - 20);
    let message = it.message(HOUR - 10);
    it.tried(&message, TryResult::Again(None), HOUR - 5);
    for minute in 0..60 {
        let (messages, moved) = it.due(HOUR + 60 * minute);
        assert!(messages.is_empty() && moved.is_empty(), "{minute}");
    }
    assert_eq!(it.until(), Some(19 * HOUR));

    // Other times, by a reload.
    it.routes.insert("chat".into(), chat());
    it.outbox.look_again();
    assert_eq!(jobs(&it.message(2 * HOUR)), ["job1"]);

    // Three days of rest, and then a restart.
    let except = Windows::read(&["2026-12-21..2026-12-23"]).unwrap();
    let mut it = Outgoing::new([Route { except, ..chat() }]);
    let mut old = notification(1, Kind::Failed);
    old.at = now(0).wall;
    let after = now(61 * HOUR);
    it.outbox.restore(&it.routes["chat"], old, after);
    let message = it.message(61 * HOUR + 10);
    assert!(it.tried(&message, TryResult::Again(None), 61 * HOUR + 11).is_empty());
}

proptest! {
    /// A message goes exactly when it may: never while the route rests, and all when it does not.
    #[test]
    fn nothing_goes_while_a_route_rests(
        steps in proptest::collection::vec((0u64..40_000, proptest::bool::ANY), 1..40),
    ) {
        let except = Windows::read(&["22:00..07:00", "sat..sun"]).unwrap();
        let mut it = Outgoing::new([Route { except, ..webhook() }]);
        let (mut time, mut job, mut gone) = (0, 0, 0);
        for (pause, comes) in steps {
            time += pause;
            if comes {
                job += 1;
                it.add("hook", job, time);
            }
            let rests = it.routes["hook"].rests_until(now(time).wall).is_some();
            let (messages, _) = it.due(time);
            prop_assert!(messages.is_empty() || !rests, "at {time}");
            for message in &messages {
                gone += message.notifications.len() as u64;
                it.tried(message, TryResult::Sent, time);
            }
            prop_assert!(rests || gone == job, "at {time}: {gone} of {job}");
            prop_assert_eq!(it.until().is_some(), gone < job, "at {}", time);
        }
    }
}
