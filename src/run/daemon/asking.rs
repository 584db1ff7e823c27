//! Requests that another host of the fleet is to do, and those of other hosts that are done here.
//!
//! `route` says where a request belongs. What goes elsewhere is left in the store by its thread
//! (`crate::store::keeper`), which tells what came of it; the answers of several hosts are put together
//! here. What others have changed of jobs, so that each host has all of them, comes in here, too.

mod route;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::effects::Message;
use super::requests::Lesson;
use super::{Loop, fleet};
use crate::control::{Call, Reply, Request, Target, wire};
use crate::core::event::{ChangeKind, Code, Event, Fault, HomeChange, Operation, Response, RunId};
use crate::core::record::RunRecord;
use crate::core::scheduler::Scheduler;
use crate::core::sort;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::store::HAS_SHARED;
use crate::store::keeper::{Ask, FleetOrder, Learned, OthersEvent};
use crate::store::shared::Asked;
use crate::sys::{clock, machine};
pub(super) use route::{Other, Route};

/// A request goes after the home of its job so often.
const TRIES: u8 = 5;

/// A call, and who has made it.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) call: Call,
    /// Another host has, and it is not passed on.
    pub(super) is_of_host: bool,
    /// It is known where it is to be done: here.
    pub(super) is_settled: bool,
    /// How often it has come to a host where its job was not at home any more.
    pub(super) tries: u8,
}

impl Incoming {
    /// A call of a client.
    pub(super) fn new(call: Call) -> Incoming {
        Incoming { call, is_of_host: false, is_settled: false, tries: 0 }
    }

    /// Where it is to be done.
    pub(super) fn route(&self, fleet: Option<&fleet::Here>, scheduler: &Scheduler) -> Route {
        let request = &self.call.request;
        let Some(fleet) = fleet.filter(|_| HAS_SHARED) else {
            return match request {
                Request::Start { on: Some(_), .. } => {
                    let text = "no other host shares this store";
                    Route::Nowhere(Fault::new(Code::Unavailable, text))
                }
                _ => Route::Here,
            };
        };
        if self.is_settled {
            return Route::Here;
        }
        let known = fleet.whereabouts();
        let of = if self.is_of_host { route::of_host } else { route::of_client };
        of(request, known.as_deref(), scheduler)
    }
}

impl route::Own for Scheduler {
    fn has_run(&self, run: u64) -> bool {
        self.has_run(RunId(run))
    }

    fn is_added(&self, job: &str) -> bool {
        self.added_text(job).is_some()
    }
}

/// What was asked of other hosts and is not over.
#[derive(Default)]
pub(super) struct Asking {
    next: u64,
    groups: HashMap<u64, Group>,
    /// The group of each question, and who was asked.
    questions: HashMap<u64, (u64, Box<str>)>,
    /// Calls that wait for what the others have of a job.
    looking: HashMap<u64, Incoming>,
    /// Who waits for the end of a run of another host, and which host that is.
    watching: HashMap<u64, (Reply, Box<str>)>,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("groups", &self.groups).finish_non_exhaustive()
    }
}

/// One request that goes to other hosts.
#[derive(Debug)]
struct Group {
    incoming: Incoming,
    /// To whom it goes once it is done here.
    then: Vec<Other>,
    left: usize,
    /// What was answered here.
    own: Option<Response>,
    /// Runs that were told to end.
    stopped: Vec<RunId>,
    faults: Vec<Fault>,
}

impl Loop<'_> {
    /// A request is not, or not only, to be done here.
    pub(super) fn pass_on(&mut self, mut incoming: Incoming, route: Route) {
        let Some(here) = &mut self.fleet else { return };
        let is_silent = here.is_store_silent();
        let asking = &mut here.asking;
        asking.next += 1;
        let number = asking.next;
        match route {
            Route::Here => {}
            Route::Nowhere(fault) => (incoming.call.reply)(Response::Refused(fault)),
            // It is as if they had nothing: what the store would have said of it stands in the way later.
            Route::HereKnowing(_) if is_silent => {
                incoming.is_settled = true;
                self.requests.do_first(incoming);
            }
            Route::HereKnowing(job) => {
                asking.looking.insert(number, incoming);
                self.effects.fleet_order(FleetOrder::LookUp { number, job });
            }
            Route::HereAnd(then) => {
                let mailbox = self.effects.mailbox();
                let reply: Reply = Arc::new(move |response| {
                    mailbox.send(Message::OwnPart(number, Box::new(response)));
                });
                let (by, request) = (incoming.call.by.clone(), incoming.call.request.clone());
                incoming.is_settled = true;
                let own = Incoming { call: Call { by, request, reply }, ..incoming };
                let incoming = Incoming::new(incoming.call);
                asking.groups.insert(number, Group::new(incoming, then));
                self.requests.do_first(own);
            }
            Route::There(others) => {
                let group = Group::new(incoming, Vec::new());
                self.ask_others(number, group, &others, None);
            }
        }
    }

    /// Asks other hosts, of the same or of what is said instead.
    fn ask_others(
        &mut self,
        number: u64,
        mut group: Group,
        others: &[Other],
        instead: Option<&Request>,
    ) {
        let Some(here) = &mut self.fleet else { return };
        let call = &group.incoming.call;
        if here.is_store_silent() {
            // They are asked through it.
            let fault = |other: &Other| {
                let text = format!("did not ask {}: the store does not answer", other.name);
                Fault::new(Code::NoAnswer, text)
            };
            group.faults.extend(others.iter().map(fault));
            let response = group.sum();
            return (group.incoming.call.reply)(response);
        }
        let Some(request) = wire::reply::request_line(instead.unwrap_or(&call.request)) else {
            let fault = Fault::new(Code::Unavailable, "this cannot be done on another host");
            return (call.reply)(Response::Refused(fault));
        };
        for Other { id: to, name: host } in others {
            let (id, by, at) = (machine::random() >> 1, call.by.clone(), clock::wall());
            here.asking.questions.insert(id, (number, host.clone()));
            group.left += 1;
            let (to, host, request) = (*to, host.clone(), request.as_str().into());
            self.effects.fleet_order(FleetOrder::Ask(Ask { id, to, host, by, at, request }));
        }
        here.asking.groups.insert(number, group);
    }

    /// What is asked of all hosts was done here.
    pub(super) fn own_part(&mut self, number: u64, response: Response) {
        let Some(here) = &mut self.fleet else { return };
        let Some(mut group) = here.asking.groups.remove(&number) else { return };
        if let Response::Refused(_) = response {
            return (group.incoming.call.reply)(response);
        }
        if let Response::Stopped(runs) = &response {
            group.stopped.extend(runs);
        }
        group.own = Some(response);
        let others = std::mem::take(&mut group.then);
        // That all jobs are paused is in the store by now, where each host looks before it answers.
        let looks = matches!(
            group.incoming.call.request,
            Request::Pause { job: None, .. } | Request::Resume { job: None }
        );
        let instead = looks.then_some(&Request::Ping);
        self.ask_others(number, group, &others, instead);
    }

    /// Another host has answered, or will not.
    fn answered(&mut self, question: u64, answer: Result<Box<str>, Fault>) {
        let Some(here) = &mut self.fleet else { return };
        let Some((number, host)) = here.asking.questions.remove(&question) else { return };
        let Some(mut group) = here.asking.groups.remove(&number) else { return };
        group.left = group.left.saturating_sub(1);
        let answer = answer.and_then(|line| match wire::open_reply(line.as_bytes()) {
            Ok((_, answer)) => answer,
            Err(why) => Err(Fault::new(
                Code::NoAnswer,
                format!("cannot understand the answer from {host}: {why}"),
            )),
        });
        match answer {
            Ok(body) if group.own.is_some() => group.add(&body),
            Ok(body) => return self.done_there(question, group, body, &host),
            Err(fault) if fault.code == Code::NotHome && group.incoming.tries < TRIES => {
                // The job has moved: it is looked for anew.
                group.incoming.tries += 1;
                return self.requests.do_first(group.incoming);
            }
            Err(fault) => group.faults.push(fault),
        }
        if group.left > 0 {
            drop(here.asking.groups.insert(number, group));
        } else {
            let response = group.sum();
            (group.incoming.call.reply)(response);
        }
    }

    /// A request was done by another host.
    fn done_there(&mut self, id: u64, group: Group, mut body: Map<String, Value>, host: &str) {
        let run = body.get("run").and_then(Value::as_u64).map(RunId);
        body.insert("host".to_owned(), host.into());
        let reply = Arc::clone(&group.incoming.call.reply);
        let Request::Start { wait: true, .. } = group.incoming.call.request else {
            let body = Value::Object(body).to_string().into();
            return reply(Response::Elsewhere { body, goes_on: false });
        };
        body.insert("done".to_owned(), false.into());
        let body = Value::Object(body).to_string().into();
        reply(Response::Elsewhere { body, goes_on: true });
        if let (Some(run), Some(here)) = (run, &mut self.fleet) {
            here.asking.watching.insert(id, (reply, host.into()));
            self.effects.fleet_order(FleetOrder::Watch { id, run });
        }
    }

    /// A run of another host is over, whose end somebody waits for.
    fn over_there(&mut self, id: u64, record: &RunRecord) {
        let Some(here) = &mut self.fleet else { return };
        let Some((reply, host)) = here.asking.watching.remove(&id) else { return };
        let zone = self.scheduler.job(&record.job).map_or_else(Zone::utc, |job| job.zone.clone());
        let mut object = RunObject::of_record(record, &zone);
        object.host.get_or_insert_with(|| host.into());
        let mut body = wire::json(&object);
        body.replace_range(..1, "{\"done\":true,");
        reply(Response::Elsewhere { body: body.into(), goes_on: false });
    }

    /// A run of another host makes room for one of this.
    pub(super) fn end_elsewhere(&mut self, run: RunId) {
        let known = self.fleet.as_ref().and_then(fleet::Here::whereabouts);
        let others: Vec<Other> =
            known.iter().flat_map(|known| known.others()).map(Other::from).collect();
        if !others.is_empty() {
            let (by, request) = ("schedrs".into(), Request::Stop(Target::Run(run)));
            let reply: Reply = Arc::new(move |response| {
                if let Response::Refused(fault) = response {
                    log::warn!("run {run} was not stopped: {}", fault.message);
                }
            });
            let incoming = Incoming::new(Call { by, request, reply });
            self.pass_on(incoming, Route::There(others));
        }
    }

    /// The store's thread has something to say of the others.
    pub(super) fn others_event(&mut self, event: OthersEvent) {
        match event {
            OthersEvent::Homes(change) => self.homes(change),
            OthersEvent::Asked(asked) => self.asked(&asked),
            OthersEvent::Answered(question, answer) => self.answered(question, answer),
            OthersEvent::Over(id, record) => self.over_there(id, &record),
            OthersEvent::LookedUp(number) => self.looked_up(number),
            OthersEvent::Learned(learned) => self.learned(*learned),
            OthersEvent::Gone(hosts) => self.read_what_is_left(hosts),
            OthersEvent::Read(read) => self.lists_read(*read),
            OthersEvent::Said(text) => log::info!(event = "fleet"; "fleet: {text}"),
        }
    }

    /// Jobs come from the others, or go there.
    fn homes(&mut self, mut change: Box<HomeChange>) {
        if let Some(fleet) = &mut self.fleet {
            fleet.receive(&change);
        }
        // Others may have made something else of them than is known here.
        for record in change.taken.iter().filter_map(|taken| taken.record.as_ref()) {
            let id = &*record.id;
            if self.scheduler.overrides(id) != record.overrides.as_deref()
                || self.scheduler.added_text(id) != record.added.as_deref()
            {
                self.requests.learn(record.clone(), Lesson::Taken);
            }
        }
        self.read_of_homes(&change);
        self.effects.will_withdraw(std::mem::take(&mut change.withdrawn));
        self.events.push_back(Event::Homes(change));
    }

    /// Another host asks for something.
    fn asked(&mut self, asked: &Asked) {
        let Some(here) = &self.fleet else { return };
        let (id, notes) = (asked.id, here.notes());
        let reply: Reply = Arc::new(move |response| {
            let answer: Box<str> = wire::reply::answer_line(&response).into();
            notes.iter().for_each(|notes| {
                notes.order(FleetOrder::Answer { id, answer: answer.clone() });
            });
        });
        match wire::parse(asked.request.as_bytes(), clock::wall()).request {
            Ok(request) => {
                let call = Call { by: asked.by.clone(), request, reply };
                self.requests.put(Incoming { is_of_host: true, ..Incoming::new(call) });
            }
            Err(fault) => reply(Response::Refused(fault)),
        }
    }

    /// What the others have of a job is known.
    fn looked_up(&mut self, number: u64) {
        let Some(here) = &mut self.fleet else { return };
        if let Some(mut incoming) = here.asking.looking.remove(&number) {
            incoming.is_settled = true;
            match incoming.call.request {
                Request::Start { .. } => self.requests.do_first(incoming),
                // What was learned of the job comes before it.
                _ => self.requests.put(incoming),
            }
        }
    }

    /// Others have changed jobs, or this host has: what it has changed since is newer.
    fn learned(&mut self, learned: Learned) {
        let Learned { written, asked, jobs, all_paused } = learned;
        if all_paused.is_some() && !self.effects.has_newer(None, written) {
            let change = HomeChange { all_paused, ..HomeChange::default() };
            self.homes(Box::new(change));
        }
        for id in asked {
            match jobs.iter().find(|record| record.id == id) {
                Some(record) => self.requests.learn(record.clone(), Lesson::Changed { written }),
                None if self.effects.has_newer(Some(&id), written) => continue,
                None => self.events.push_back(Event::Operation {
                    ticket: 0,
                    by: "".into(),
                    operation: Box::new(Operation::Forget { job: id.clone() }),
                }),
            }
            if self.scheduler.added_text(&id).is_some()
                && jobs.iter().all(|record| record.id != id)
                && !self.scheduler.is_home(&id)
            {
                self.effects.fleet_order(FleetOrder::NoJob(id));
            }
        }
        self.effects.forget_changes(self.requests.oldest_lesson().unwrap_or(written));
    }

    /// Has the protocol know of a job that was added, changed or removed at run time, once the store
    /// does.
    pub(super) fn tell_of_job(&mut self, id: &str, what: &ChangeKind) {
        let Some(notes) = self.fleet.as_ref().and_then(fleet::Here::notes) else { return };
        let order = match what {
            ChangeKind::Removed => FleetOrder::NoJob(id.into()),
            ChangeKind::Added | ChangeKind::Replaced | ChangeKind::Modified | ChangeKind::Reset => {
                match self.home_job(id) {
                    Some(job) => job,
                    None => return,
                }
            }
            _ => return,
        };
        self.effects.answer(Box::new(move || notes.order(order)));
    }

    /// A job as the others are to know of it.
    pub(super) fn home_job(&self, id: &str) -> Option<FleetOrder> {
        let job = self.scheduler.job(id)?;
        let base = self.requests.jobs.as_ref().and_then(|jobs| jobs.bases.get(id));
        let added = self.scheduler.added_text(id).is_some();
        let executors = &self.health.executors;
        Some(FleetOrder::Job(fleet::home_job(job, base.unwrap_or(job), executors, added)))
    }
}

impl Group {
    fn new(incoming: Incoming, then: Vec<Other>) -> Group {
        let (left, own, stopped, faults) = (0, None, Vec::new(), Vec::new());
        Group { incoming, then, left, own, stopped, faults }
    }

    /// One of several has done it.
    fn add(&mut self, body: &Map<String, Value>) {
        let runs = body.get("stopped").and_then(Value::as_array).into_iter().flatten();
        self.stopped.extend(runs.filter_map(Value::as_u64).map(RunId));
    }

    /// All have answered, or will not.
    fn sum(&mut self) -> Response {
        let silent: Vec<&Fault> =
            self.faults.iter().filter(|fault| fault.code == Code::NoAnswer).collect();
        let Some(own) = self.own.take() else {
            // Of several the one that says most; all say that they have no such run.
            let fault = silent.first().copied().or(self.faults.first()).cloned();
            let none = || Fault::new(Code::NoAnswer, "no host answered");
            return Response::Refused(fault.unwrap_or_else(none));
        };
        sort::all(&mut self.stopped);
        if silent.is_empty() {
            return match own {
                Response::Stopped(_) => Response::Stopped(std::mem::take(&mut self.stopped)),
                other => other,
            };
        }
        let silent: Vec<&str> = silent.iter().map(|fault| &*fault.message).collect();
        let silent = silent.join("; ");
        let done = match &self.incoming.call.request {
            Request::Pause { .. } => {
                "all jobs are paused in the store, and every host will pause when it sees that, but"
                    .to_owned()
            }
            Request::Resume { .. } => {
                "all jobs are resumed in the store, and every host will resume when it sees that, but".to_owned()
            }
            _ if self.stopped.is_empty() => "found no run to stop, but".to_owned(),
            _ => {
                let runs: Vec<String> = self.stopped.iter().map(RunId::to_string).collect();
                format!("stopping {}; but", words::list(&runs))
            }
        };
        Response::Refused(Fault::new(Code::NoAnswer, format!("{done} {silent}")))
    }
}
