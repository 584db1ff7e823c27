//! Which host does what is asked of this one: a decision about plain data.

use crate::control::{Request, Target};
use crate::core::event::{Code, Fault};
use crate::core::fleet::SessionId;
use crate::core::fleet::home::Home;
use crate::core::fleet::whereabouts::{Host, Whereabouts};
use crate::core::sort;

/// Where a request is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::run::daemon) enum Route {
    /// Here.
    Here,
    /// Here, once it is known what the others have of this job.
    HereKnowing(Box<str>),
    /// Here, and then there as well.
    HereAnd(Vec<Other>),
    /// There: the first that can do it is enough.
    There(Vec<Other>),
    /// Nowhere, for this reason.
    Nowhere(Fault),
}

/// Another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run::daemon) struct Other {
    pub(in crate::run::daemon) id: SessionId,
    pub(in crate::run::daemon) name: Box<str>,
}

impl From<&Host> for Other {
    fn from(host: &Host) -> Other {
        Other { id: host.id, name: host.name.clone() }
    }
}

/// What is known here beside.
pub(in crate::run::daemon) trait Own {
    /// Whether a run is active here.
    fn has_run(&self, run: u64) -> bool;
    /// Whether a job was added at run time.
    fn is_added(&self, job: &str) -> bool;
}

/// Says where what a client asks is to be done.
pub(in crate::run::daemon) fn of_client(
    request: &Request,
    known: Option<&Whereabouts>,
    own: &dyn Own,
) -> Route {
    let Some(needs) = needs(request, own) else { return Route::Here };
    let Some(known) = known else {
        let text = "this host has not joined the fleet yet, because the store does not answer";
        return Route::Nowhere(Fault::new(Code::NoAnswer, text));
    };
    match needs {
        Needs::Host(job, name) => match &known.named(name)[..] {
            [host] if host.id == known.me => Route::HereKnowing(job.into()),
            [host] => Route::There(vec![Other::from(*host)]),
            found => Route::Nowhere(no_such_host(name, known, found)),
        },
        Needs::Home(job) => match known.home(job) {
            // Somebody may have changed it on another host just now.
            Some(Home::Each) if !matches!(request, Request::Start { .. }) => {
                Route::HereKnowing(job.into())
            }
            None | Some(Home::Each) => Route::Here,
            // Somebody may have started it elsewhere.
            Some(Home::At(id)) if id == known.me && matches!(request, Request::Start { .. }) => {
                Route::HereKnowing(job.into())
            }
            Some(Home::At(id)) if id == known.me => Route::Here,
            Some(Home::At(id)) => match known.host(id) {
                Some(host) => Route::There(vec![host.into()]),
                None => Route::Nowhere(homeless(job)),
            },
            Some(Home::Nowhere) => Route::Nowhere(homeless(job)),
        },
        Needs::Run(run) => {
            let others: Vec<Other> = known.others().map(Other::from).collect();
            if own.has_run(run) || others.is_empty() { Route::Here } else { Route::There(others) }
        }
        Needs::All => {
            let others: Vec<Other> = known.others().map(Other::from).collect();
            if others.is_empty() { Route::Here } else { Route::HereAnd(others) }
        }
    }
}

/// The same of what another host asks: it has chosen this one, and it is not passed on.
pub(in crate::run::daemon) fn of_host(
    request: &Request,
    known: Option<&Whereabouts>,
    own: &dyn Own,
) -> Route {
    let at_home = |job: &str| match known.and_then(|known| Some((known.me, known.home(job)?))) {
        Some((me, Home::At(id))) => id == me,
        Some((_, Home::Nowhere)) => false,
        Some((_, Home::Each)) | None => true,
    };
    match (request, needs(request, own)) {
        (Request::Start { job, .. }, _) => Route::HereKnowing(job.clone()),
        (_, Some(Needs::Home(job))) if !at_home(job) => {
            let text = format!("the home of `{job}` has moved to another host");
            Route::Nowhere(Fault::new(Code::NotHome, text))
        }
        _ => Route::Here,
    }
}

/// Who is needed for a request.
enum Needs<'a> {
    /// That host, to start a job.
    Host(&'a str, &'a str),
    /// Where a job is at home.
    Home(&'a str),
    /// Where a run is.
    Run(u64),
    /// All.
    All,
}

fn needs<'a>(request: &'a Request, own: &dyn Own) -> Option<Needs<'a>> {
    Some(match request {
        Request::Start { job, on: Some(host), .. } => Needs::Host(job, host),
        Request::Start { job, on: None, .. }
        | Request::Pause { job: Some(job), .. }
        | Request::Resume { job: Some(job) }
        | Request::Remove { job }
        | Request::Modify { job, .. }
        | Request::Reschedule { job, .. }
        | Request::Reset { job } => Needs::Home(job),
        // A new one is at home nowhere yet.
        Request::Add { job, replace: true, .. } if own.is_added(job) => Needs::Home(job),
        Request::Stop(Target::Run(run)) => Needs::Run(run.0),
        Request::Stop(Target::Job(_))
        | Request::Pause { job: None, .. }
        | Request::Resume { job: None } => Needs::All,
        _ => return None,
    })
}

fn no_such_host(name: &str, known: &Whereabouts, found: &[&Host]) -> Fault {
    if found.is_empty() {
        let mut names: Vec<&str> = known.hosts.iter().map(|host| &*host.name).collect();
        sort::all(&mut names);
        let names = names.join(", ");
        return Fault::new(Code::NoSuchHost, format!("no host `{name}`; there are {names}"));
    }
    let ids: Vec<String> = found.iter().map(|host| host.id.to_string()).collect();
    let text = format!("{} hosts are called `{name}`", ids.len());
    let help = format!("choose one by its session: {}", ids.join(", "));
    Fault::new(Code::NoSuchHost, text).help(help)
}

fn homeless(job: &str) -> Fault {
    let text = format!("`{job}` has no home: no host that is up can run it");
    Fault::new(Code::NotHome, text).help("`schedrs fleet` shows the hosts and their labels")
}

#[cfg(test)]
mod tests;
