//! A verdict about a scheduler as JSON: the form of `application/health+json`
//! (draft-inadarei-api-health-check), which probes and dashboards know.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::core::event::Vitals;
use crate::core::health::{Check, Verdict};
use crate::core::instant::Instant;
use crate::core::words;

/// What a client is told.
pub(crate) fn body(vitals: &Vitals, verdict: &Verdict, now: Instant) -> String {
    let mut body = json!({
        "status": verdict.condition().word(),
        "releaseId": vitals.health.version,
        "description": format!(
            "schedrs with pid {} runs {}", vitals.health.pid, vitals.health.jobfile
        ),
        "notes": [summary(vitals, now)],
    });
    let reasons = verdict.reasons();
    if !reasons.is_empty() {
        body["output"] = reasons.join("; ").into();
    }
    let mut checks: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for check in &verdict.checks {
        checks.entry(check.name).or_default().push(one(check));
    }
    body["checks"] = json!(checks);
    super::json(&body)
}

/// What it does, in a line.
fn summary(vitals: &Vitals, now: Instant) -> String {
    let jobs = match vitals.jobs {
        1 => "1 job".to_owned(),
        jobs => format!("{jobs} jobs"),
    };
    let mut line = format!("{jobs}, {} running, {} waiting", vitals.running, vitals.waiting);
    if let Some((due, job)) = &vitals.next {
        let zone = &vitals.health.settings.zone;
        line += &format!("; next {job} at {}", words::moment(due.truncated(), now, zone));
    }
    if vitals.health.stopping {
        line += "; it is stopping";
    }
    line
}

fn one(check: &Check) -> Value {
    let mut map = Map::new();
    if let Some(component) = &check.component {
        map.insert("componentId".to_owned(), (**component).into());
    }
    map.insert("status".to_owned(), check.condition.word().into());
    if let Some((value, unit)) = check.observed {
        map.insert("observedValue".to_owned(), value.into());
        map.insert("observedUnit".to_owned(), unit.into());
    }
    if let Some(reason) = &check.reason {
        map.insert("output".to_owned(), reason.as_str().into());
    }
    map.into()
}
