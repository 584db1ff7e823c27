//! `schedrs doctor --network`: whether routes and pings can be delivered, as far as that can be seen
//! without telling anybody anything: their secrets can be read, names resolve, servers answer, and their
//! certificates are good. The helper looks, as it does when something is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::notify::test;
use super::Line;
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};
use crate::core::notify::ping::{Phase, Ping};
use crate::core::notify::{Monitor, Transport};
use crate::core::outcome::Outcome;
use crate::notify::monitor::{self, About};
use crate::notify::secret::{Machine, resolve};
use crate::notify::wire::{DeliveryResult, MOST_WORK, Receipt, Task, Work};
use crate::run::doctor::Finding;
use crate::sys::{clock, machine};

const SECRETS: &str = "secrets";
const NETWORK: &str = "network";

/// A server that is asked, and how it is reached; and who goes there.
type Places = BTreeMap<(Box<str>, Transport), Vec<String>>;

/// What is to be said of the routes that these jobs name, or all of them, and of the pings.
pub(super) fn lines(set: &JobSet, jobs: &[&Arc<Job>], all: bool) -> Vec<Line> {
    let now = clock::wall();
    let (mut places, mut lines) = (Places::new(), Vec::new());
    for route in set.settings.routes.iter() {
        if !all && !jobs.iter().any(|job| job.options.notify.contains(&route.name)) {
            continue;
        }
        let whose = format!("route {}", route.name);
        let host = machine::host_of(&set.settings.fleet);
        match test::work(route, &host, &set.settings.zone, now) {
            Ok(work) => work.iter().for_each(|work| put(&mut places, work, &whose)),
            Err(why) => lines.push((None, unreadable(&format!("{whose}: {why}")))),
        }
    }
    if let Some((monitor, every)) = set.settings.heartbeat.as_ref().filter(|_| all) {
        match ping(set, monitor, None, Some(every.as_secs()), now) {
            Ok(work) => {
                work.iter().for_each(|work| put(&mut places, work, "[scheduler] ping"));
            }
            Err(why) => lines.push((None, unreadable(&format!("[scheduler] {why}")))),
        }
    }
    for job in jobs {
        let Some(monitor) = &job.options.ping else { continue };
        match ping(set, monitor, Some(job), None, now) {
            Ok(work) => {
                work.iter().for_each(|work| put(&mut places, work, &format!("ping of {}", job.id)));
            }
            Err(why) => lines.push((Some(Arc::clone(job)), unreadable(&why))),
        }
    }
    lines.extend(reached(&places).into_iter().map(|finding| (None, finding)));
    lines
}

fn unreadable(why: &str) -> Finding {
    let help = "nothing can be sent there until that is put right";
    Finding::problem(SECRETS, why.to_owned(), help)
}

/// What would be sent for a job, or for the scheduler: nobody sends it.
fn ping(
    set: &JobSet,
    monitor: &Monitor,
    job: Option<&Job>,
    every: Option<u64>,
    now: Instant,
) -> Result<Option<Work>, String> {
    let url = resolve(&monitor.url, &Machine).map_err(|why| format!("ping: {why}"))?;
    let host = machine::host_of(&set.settings.fleet);
    let about = About { monitor, url: &url, job, every, host: &host, limit: None };
    let outcome = if monitor.on.contains(&crate::core::notify::PingOn::Success) {
        Outcome::Succeeded
    } else {
        Outcome::Failed(1)
    };
    let ping = Ping {
        job: job.map_or("", |job| &*job.id).into(),
        phase: if job.is_some() { Phase::End } else { Phase::Beat },
        run: None,
        rid: "".into(),
        due: now,
        at: now,
        outcome: job.map(|_| outcome),
        duration: None,
        attempts: 0,
        output: None,
    };
    monitor::work("", &ping, &about)
}

fn put(places: &mut Places, work: &Work, whose: &str) {
    // Programs of this machine are no matter of the network.
    let Some(place) = work.origin() else { return };
    places.entry((place.into(), work.transport.clone())).or_default().push(whose.to_owned());
}

/// Each server is asked once, whoever goes there.
fn reached(places: &Places) -> Vec<Finding> {
    let work = places.keys().enumerate().map(|(number, (place, transport))| Work {
        id: number.to_string().into(),
        service: "reach".into(),
        task: Task::Reach(place.clone()),
        secrets: Vec::new(),
        transport: transport.clone(),
    });
    let work: Vec<Work> = work.collect();
    let mut receipts = Vec::new();
    for some in work.chunks(MOST_WORK) {
        // Each of them has its limit of time there.
        match test::help(some) {
            Ok((said, _)) => receipts.extend(said),
            Err(error) => {
                let help = "the scheduler delivers by a program of its own, as this does";
                return vec![Finding::problem(NETWORK, format!("{error:#}"), help)];
            }
        }
    }
    let mut found = Vec::new();
    for (number, ((place, _), whose)) in places.iter().enumerate() {
        let id = number.to_string();
        let receipt = receipts.iter().find(|receipt| *receipt.id == *id);
        found.push(finding(place, &told(whose), receipt));
    }
    found
}

fn finding(place: &str, whose: &str, receipt: Option<&Receipt>) -> Finding {
    let help = "what goes there waits, and is given up in time";
    match receipt {
        Some(Receipt { result: DeliveryResult::Sent, ms, .. }) => {
            Finding::ok(NETWORK, format!("{place} answers within {ms}ms ({whose})"))
        }
        Some(receipt) => {
            Finding::problem(NETWORK, format!("{place}: {} ({whose})", receipt.answer), help)
        }
        None => Finding::problem(NETWORK, format!("{place}: no answer ({whose})"), help),
    }
}

/// Who goes somewhere: a few by name.
fn told(whose: &[String]) -> String {
    const MOST: usize = 3;
    match whose.len() {
        0..=MOST => whose.join(", "),
        all => format!("{} and {} more", whose[..MOST].join(", "), all - MOST),
    }
}
