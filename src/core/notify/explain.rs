//! Who was told of a run, and why somebody was not: for `schedrs why`.

use super::Route;
use super::log::Told;
use super::notifier::WAITING;
use super::state::State;
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::words;
use crate::core::zone::Zone;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The job.
    pub job: &'a str,
    /// The run, if it became one.
    pub run: Option<RunId>,
    /// The due time.
    pub due: Instant,
    /// What became of it; `None`: it is not over.
    pub outcome: Option<&'a Outcome>,
    /// Nothing has become of the job since.
    pub is_latest: bool,
    /// When that is asked.
    pub now: Instant,
}

/// Why what waits on a route is not sent yet, if that is known: it is held until then, for this reason.
pub fn held(route: &Route, now: Instant) -> Option<(Instant, &'static str)> {
    route.rests_until(now).map(|until| (until, "quiet hours"))
}

/// What a route was told of it, each in a sentence without its route; or why it was told nothing, if
/// that is known. `state` is the route's and the job's entry of `super::notifier::STATES`, `failed` how many
/// of its runs have failed in a row, as far as that is known.
pub fn explain(
    route: &Route,
    about: About<'_>,
    told: &[Told],
    state: Option<&str>,
    failed: Option<u32>,
    zone: &Zone,
) -> Vec<String> {
    let is_about = |it: &&Told| {
        let is_run = it.run.is_some() && it.run == about.run.map(|run| run.0);
        let is_due = (it.due..=it.last_due).contains(&about.due.micros());
        it.route == *route.name && it.job == about.job && (is_run || it.run.is_none() && is_due)
    };
    let said: Vec<String> = {
        let told = told.iter().filter(is_about);
        told.map(|it| sentence(it, held(route, about.now), zone)).collect()
    };
    if !said.is_empty() || !about.outcome.is_some_and(Outcome::is_failed_run) {
        return said;
    }
    if let Some(digest) = &route.digest {
        return vec![format!(
            "nothing by itself: it hears of it in its digest ({})",
            digest.text()
        )];
    }
    if !route.wants(super::Kind::Failed) {
        return vec!["nothing: it does not hear of failures (`on`)".to_owned()];
    }
    if !about.is_latest {
        return Vec::new();
    }
    let state: State = state.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    state.silence(failed, route, zone).map(|why| format!("nothing: {why}")).into_iter().collect()
}

fn sentence(told: &Told, held: Option<(Instant, &str)>, zone: &Zone) -> String {
    let kind = told.kind.replace('_', " ");
    let at = words::table_time(Instant::from_micros(told.at).truncated(), zone);
    let answer = match &*told.answer {
        "" => String::new(),
        answer => format!(": {answer}"),
    };
    let then = told.went_to.as_ref().map_or(String::new(), |to| format!("; went to {to}"));
    match &*told.end {
        WAITING => match held {
            None => format!("`{kind}` waits to be sent{answer}"),
            Some((until, why)) => {
                format!("`{kind}` is held until {} ({why})", words::table_time(until, zone))
            }
        },
        "sent" => format!("`{kind}`, sent {at}{answer}"),
        end => format!("`{kind}`, {} {at}{answer}{then}", end.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Service;
    use super::super::state::JobEvent;
    use super::*;
    use crate::core::calendar::Windows;
    use crate::core::job::Command;

    #[test]
    fn who_was_told_and_who_was_not() {
        let (zone, hour) = (Zone::utc(), 3_600_000_000);
        let route = |after| Route {
            after,
            again: Some(Duration::from_secs(86_400)),
            except: Windows::read(&["08:00..12:00"]).unwrap(),
            ..Route::of("ops", Service::Command(Command::Shell("x".into())))
        };
        let told = |kind: &str, run, end: &str, answer: &str| Told {
            at: hour,
            route: "ops".into(),
            kind: kind.into(),
            job: "backup".into(),
            run,
            due: 0,
            last_due: hour,
            end: end.into(),
            answer: answer.into(),
            ..Told::default()
        };
        let failing = |runs: u32| {
            let mut state = State::default();
            for run in 0..runs {
                let at = Instant::from_micros(i64::from(run) * hour);
                state.hear(at, JobEvent::Failed("failed 1"), run + 1, &route(2));
            }
            serde_json::to_string(&state).unwrap()
        };
        let elsewhere = Told { job: "other".into(), ..told("failed", Some(7), "sent", "") };
        let rows = [
            (vec![told("failed", Some(7), WAITING, "")], 0, vec!["`failed` waits to be sent"]),
            (
                vec![told("failed", Some(7), WAITING, "")],
                9,
                vec!["`failed` is held until Thu 1970-01-01 12:00:00 +00:00 (quiet hours)"],
            ),
            (
                vec![elsewhere.clone(), told("failed", Some(7), "sent", "200 ok")],
                0,
                vec!["`failed`, sent Thu 1970-01-01 01:00:00 +00:00: 200 ok"],
            ),
            (
                vec![told("missed", None, "gave_up", "no route to host")],
                0,
                vec!["`missed`, gave up Thu 1970-01-01 01:00:00 +00:00: no route to host"],
            ),
            (vec![elsewhere], 1, vec!["nothing: it hears of it after 2 failed runs in a row"]),
            (
                vec![told("failed", Some(6), "sent", "")],
                3,
                vec!["nothing: it was told Thu 1970-01-01 01:00:00 +00:00 that the job fails"],
            ),
            (vec![], 0, vec![]),
        ];
        for (told, failed, expected) in rows {
            let outcome = Some(&Outcome::Failed(1));
            let (job, run, due) = ("backup", Some(RunId(7)), Instant::from_micros(5));
            // At nine the route rests.
            let now = Instant::from_secs(if failed == 9 { 9 * 3600 } else { 0 });
            let about = About { job, run, due, outcome, is_latest: true, now };
            let state = (failed > 0).then(|| failing(failed));
            let failed = Some(failed).filter(|failed| *failed > 0);
            let found = explain(&route(2), about, &told, state.as_deref(), failed, &zone);
            assert_eq!(found, expected);
        }
    }
}
