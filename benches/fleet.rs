//! What a store that several schedulers share takes: claims and ends a second.
//!
//! `cargo bench --bench fleet --features full -- URL…`, each a store of its own, which is filled.
//! Three hosts write at the same time, each with jobs of its own, as where each job has a home: a
//! pass claims and begins so many runs in one commit, and ends them in the next, for some seconds.
//! It prints what all of them did together, and the time of one commit; nothing is asserted.
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

fn main() {
    let urls: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    println!("load before: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim_end());
    for (url, session) in urls.iter().zip((1..).step_by(100)) {
        let location = Location::parse(url, Path::new("/")).unwrap();
        println!("{location}");
        for (in_a_pass, round) in [1, 10, 100, 1000].into_iter().zip(0..) {
            measure(&location, in_a_pass, session + round * HOSTS);
        }
    }
    println!("load after: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim_end());
}

fn member(id: SessionId) -> Member {
    Member { jobfile_hash: 1, ..Member::new(id, &format!("web{}", id.0)) }
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
        let run = |place: u64| RunId((me.0 << 32) + pass * in_a_pass + place);
        let job = |place: u64| format!("job-{}-{place}", me.0).into_boxed_str();
        let due = Instant::from_secs(1_767_225_600 + pass as i64);
        let mut facts = Vec::new();
        for place in 0..in_a_pass {
            let (run, job, slot) = (run(place), job(place), Some(0));
            facts.push(Fact::Admitted { run, job, due, at: due, by: None, host: None, slot });
            facts.push(Fact::Starting { run, attempt: 1 });
        }
        let before = Clock::now();
        assert_eq!(shared.commit(me, 0, &facts).unwrap().lost, []);
        times.push(before.elapsed());
        facts.clear();
        for place in 0..in_a_pass {
            let (run, process) = (run(place), Process { pid: 7, start: 7 });
            facts.push(Fact::Started { run, attempt: 1, process, at: due });
            let (outcome, duration) = (Outcome::Succeeded, Duration::from_millis(5));
            let (job, attempts) = (job(place), 1);
            facts.push(Fact::Ended { run, job, outcome, duration, attempts, at: due, usage: None });
        }
        shared.commit(me, 0, &facts).unwrap();
        pass += 1;
        count += in_a_pass as u32;
    }
    (count, times)
}
