use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::core::event::RunId;
use crate::core::fleet::RunOn;
use crate::core::fleet::home::HomeJob;
use crate::core::instant::Instant;

/// This host, with run 7 and a job that was added.
struct Here;

impl Own for Here {
    fn has_run(&self, run: u64) -> bool {
        run == 7
    }

    fn is_added(&self, job: &str) -> bool {
        job == "added"
    }
}

const FILE: u64 = 9;

fn job(id: &str, run_on: RunOn) -> HomeJob {
    HomeJob {
        id: id.into(),
        fingerprint: 1,
        run_on,
        added: false,
        delay: std::time::Duration::ZERO,
        again: None,
        parents: [].into(),
    }
}

/// Hosts with these names, of which this is the first; jobs that are at home with the second, with
/// each, and with none.
fn known(names: &[&str]) -> Whereabouts {
    let hosts = names.iter().enumerate().map(|(place, name)| Host {
        id: SessionId(place as u64 + 1),
        name: (*name).into(),
        is_leaving: false,
        labels: [format!("n{place}").into()].into(),
        file: (FILE, Instant::MIN),
    });
    let jobs = [
        job("own", RunOn::Labels(["n0".into()].into())),
        job("other", RunOn::Labels(["n1".into()].into())),
        HomeJob { added: true, ..job("added", RunOn::Labels(["n1".into()].into())) },
        job("each", RunOn::All),
        job("none", RunOn::Labels(["n9".into()].into())),
    ];
    let file = jobs.iter().map(|job| (job.id.clone(), job.fingerprint)).collect();
    let files = HashMap::from([(FILE, Arc::new(file))]);
    Whereabouts::new(SessionId(1), hosts.collect(), jobs.to_vec().into(), files)
}

fn start(job: &str, on: Option<&str>) -> Request {
    Request::Start { job: job.into(), force: false, wait: false, on: on.map(Into::into) }
}

fn add(job: &str, replace: bool) -> Request {
    Request::Add { job: job.into(), text: "".into(), replace }
}

fn pause(job: Option<&str>) -> Request {
    Request::Pause { job: job.map(Into::into), until: None, reason: None }
}

#[test]
fn where_a_request_is_done() {
    let known = known(&["web1", "web2", "web3"]);
    let other = |id: u64| Other { id: SessionId(id), name: format!("web{id}").into() };
    let others = || vec![other(2), other(3)];
    let there = || Route::There(vec![other(2)]);
    let job = |id: &str| -> Box<str> { id.into() };
    for (request, of_client, of_host) in [
        (start("own", None), Route::HereKnowing(job("own")), Some(Route::HereKnowing(job("own")))),
        (start("other", None), there(), Some(Route::HereKnowing(job("other")))),
        (start("each", None), Route::Here, None),
        (start("unknown", None), Route::Here, None),
        (start("own", Some("web2")), there(), None),
        (start("other", Some("web1")), Route::HereKnowing(job("other")), None),
        (start("own", Some("0000000000000002")), there(), None),
        (pause(Some("own")), Route::Here, Some(Route::Here)),
        (pause(Some("other")), there(), None),
        (pause(Some("each")), Route::HereKnowing(job("each")), Some(Route::Here)),
        (pause(None), Route::HereAnd(others()), None),
        (Request::Resume { job: None }, Route::HereAnd(others()), None),
        (Request::Reset { job: job("other") }, there(), None),
        (Request::Remove { job: job("other") }, there(), None),
        (add("new", false), Route::Here, None),
        (add("added", false), Route::Here, None),
        (add("added", true), there(), None),
        (Request::Stop(Target::Run(RunId(7))), Route::Here, Some(Route::Here)),
        (Request::Stop(Target::Run(RunId(8))), Route::There(others()), Some(Route::Here)),
        (Request::Stop(Target::Job(job("own"))), Route::HereAnd(others()), Some(Route::Here)),
        (Request::Show { job: job("other") }, Route::Here, None),
        (Request::Reload, Route::Here, None),
    ] {
        assert_eq!(super::of_client(&request, Some(&known), &Here), of_client, "{request:?}");
        if let Some(of_host) = of_host {
            assert_eq!(super::of_host(&request, Some(&known), &Here), of_host, "{request:?}");
        }
    }
}

#[test]
fn where_it_cannot_be_done() {
    let (several, alone) = (known(&["web1", "web2", "web2"]), known(&["web1"]));
    let says =
        |request: Request, known: Option<&Whereabouts>| match of_client(&request, known, &Here) {
            Route::Nowhere(fault) => (fault.code, fault.message),
            other => panic!("{other:?}"),
        };
    for (request, known, code, text) in [
        (
            start("own", Some("web9")),
            Some(&several),
            Code::NoSuchHost,
            "no host `web9`; there are web1, web2, web2",
        ),
        (start("own", Some("web2")), Some(&several), Code::NoSuchHost, "2 hosts are called `web2`"),
        (
            start("none", None),
            Some(&several),
            Code::NotHome,
            "`none` has no home: no host that is up can run it",
        ),
        (
            pause(Some("own")),
            None,
            Code::NoAnswer,
            "this host has not joined the fleet yet, because the store does not answer",
        ),
    ] {
        assert_eq!(says(request, known), (code, text.to_owned()));
    }
    // Another host has asked, and the job has moved meanwhile.
    let moved = of_host(&pause(Some("other")), Some(&several), &Here);
    assert!(matches!(moved, Route::Nowhere(Fault { code: Code::NotHome, .. })), "{moved:?}");
    // Nobody else is there to be asked.
    assert_eq!(of_client(&pause(None), Some(&alone), &Here), Route::Here);
    let stop = Request::Stop(Target::Run(RunId(8)));
    assert_eq!(of_client(&stop, Some(&alone), &Here), Route::Here);
}
