//! What a store that several schedulers share takes: claims and ends a second.
//!
//! `cargo bench --bench fleet --features full -- URL…`, each a store of its own, which is filled.
//! Three hosts write at the same time, each with jobs of its own, as where each job has a home: a
//! pass claims and begins so many runs in one commit, and ends them in the next, for some seconds.
//! It prints what all of them did together, and the time of one commit; nothing is asserted. Before that one
//! host claims alone, a run each half second, as for a job that is due now and then: what
//! `benches/fleet/late.py` is to be compared with.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench may stop")]

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant as Clock};

use schedrs::event::RunId;
use schedrs::fleet::{Member, SessionId};
use schedrs::instant::Instant;
use schedrs::outcome::Outcome;
use schedrs::store::location::{self, Location};
use schedrs::store::{Fact, Process};

/// So many hosts.
const HOSTS: u64 = 3;
/// Each row of the table takes so long.
const SPAN: Duration = Duration::from_secs(3);
/// How many runs are claimed one by one, and how much time is between them.
const ALONE: (u64, Duration) = (25, Duration::from_millis(500));

fn main() {
    let urls: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    println!("load before: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim_end());
    for (url, session) in urls.iter().zip((1..).step_by(100)) {
        let location = Location::parse(url, Path::new("/")).unwrap();
        println!("{location}");
        alone(&location, SessionId(session + 90));
        for (in_a_pass, round) in [1, 10, 100, 1000].into_iter().zip(0..) {
            measure(&location, in_a_pass, session + round * HOSTS);
        }
    }
    println!("load after: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim_end());
}

fn member(id: SessionId) -> Member {
    Member { jobfile_hash: 1, ..Member::new(id, &format!("web{}", id.0)) }
}

/// One host, with a machine that is idle between its commits.
fn alone(location: &Location, me: SessionId) {
    let (count, between) = ALONE;
    let mut store = location::open(location).unwrap().store;
    let shared = store.shared().unwrap();
    shared.join(&member(me), &[]).unwrap();
    let mut times = Vec::new();
    for pass in 0..count {
        thread::sleep(between);
        let claim = claims(me, pass, 1);
        let before = Clock::now();
        assert_eq!(shared.commit(me, 0, &claim).unwrap().lost, []);
        times.push(before.elapsed());
        shared.commit(me, 0, &ends(me, pass, 1)).unwrap();
    }
    // The first connect, and have their statements prepared.
    let times = &mut times[5..];
    times.sort_unstable();
    let median = times[times.len() / 2].as_secs_f64() * 1e3;
    println!("alone, one now and then: a claim's commit median {median:.2} ms");
}

/// Three hosts, for a while.
fn measure(location: &Location, in_a_pass: u64, session: u64) {
    let begun = Clock::now();
    let hosts = (0..HOSTS).map(|host| SessionId(session + host));
    let (count, mut claims) = thread::scope(|scope| {
        let all: Vec<_> =
            hosts.map(|me| scope.spawn(move || host(location, me, in_a_pass))).collect();
        let all = all.into_iter().map(|one| one.join().unwrap());
        all.fold((0, Vec::new()), |(count, times), (more, its)| {
            (count + more, [times, its].concat())
        })
    });
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    claims.sort_unstable();
    let millis = |place: usize| claims[place].as_secs_f64() * 1e3;
    println!(
        "{in_a_pass:>5} in a pass: {rate:>9.0} claimed and ended a second, a claim's commit median \
         {:>7.2} ms, p99 {:>7.2} ms",
        millis(claims.len() / 2),
        millis(claims.len() * 99 / 100),
    );
}

/// One host: how many runs it has claimed and ended, and the times of the commits that claimed.
fn host(location: &Location, me: SessionId, in_a_pass: u64) -> (u32, Vec<Duration>) {
    let mut store = location::open(location).unwrap().store;
    let shared = store.shared().unwrap();
    shared.join(&member(me), &[]).unwrap();
    let begun = Clock::now();
    let (mut count, mut times) = (0, Vec::new());
    let mut pass = 0;
    while begun.elapsed() < SPAN {
        let claim = claims(me, pass, in_a_pass);
        let before = Clock::now();
        assert_eq!(shared.commit(me, 0, &claim).unwrap().lost, []);
        times.push(before.elapsed());
        shared.commit(me, 0, &ends(me, pass, in_a_pass)).unwrap();
        pass += 1;
        count += in_a_pass as u32;
    }
    (count, times)
}

/// The runs of a pass, each with its job.
fn runs(me: SessionId, pass: u64, in_a_pass: u64) -> impl Iterator<Item = (RunId, Box<str>)> {
    let run = move |place| RunId((me.0 << 32) + pass * in_a_pass + place);
    (0..in_a_pass).map(move |place| (run(place), format!("job-{}-{place}", me.0).into()))
}

fn due(pass: u64) -> Instant {
    Instant::from_secs(1_767_225_600 + pass as i64)
}

fn claims(me: SessionId, pass: u64, in_a_pass: u64) -> Vec<Fact> {
    let (due, mut facts) = (due(pass), Vec::new());
    for (run, job) in runs(me, pass, in_a_pass) {
        let (at, slot) = (due, Some(0));
        facts.push(Fact::Admitted { run, job, due, at, by: None, host: None, slot });
        facts.push(Fact::Starting { run, attempt: 1 });
    }
    facts
}

fn ends(me: SessionId, pass: u64, in_a_pass: u64) -> Vec<Fact> {
    let (at, mut facts) = (due(pass), Vec::new());
    for (run, job) in runs(me, pass, in_a_pass) {
        let (process, attempts, outcome) = (Process { pid: 7, start: 7 }, 1, Outcome::Succeeded);
        facts.push(Fact::Started { run, attempt: 1, process, at });
        let duration = Duration::from_millis(5);
        facts.push(Fact::Ended { run, job, outcome, duration, attempts, at, usage: None });
    }
    facts
}
