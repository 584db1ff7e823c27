//! Two requests at the same moment, each of them with each other: what is acknowledged is so.
//!
//! A model of one job says what must come of two requests in their order. Those of one connection
//! are in the order in which they were sent; those of two may be in either.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::{Bench, socket};

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    ModifyRoom,
    ModifyNice,
    Reschedule,
    Reset,
    Pause,
    Resume,
    PauseAll,
    ResumeAll,
    Remove,
    Replace,
    AddOther,
    Start,
    Stop,
    Reload,
}

const VERBS: [Verb; 14] = [
    Verb::ModifyRoom,
    Verb::ModifyNice,
    Verb::Reschedule,
    Verb::Reset,
    Verb::Pause,
    Verb::Resume,
    Verb::PauseAll,
    Verb::ResumeAll,
    Verb::Remove,
    Verb::Replace,
    Verb::AddOther,
    Verb::Start,
    Verb::Stop,
    Verb::Reload,
];

impl Verb {
    fn request(self, job: &str) -> Value {
        match self {
            Verb::ModifyRoom => json!({ "do": "modify", "job": job, "max_instances": 9 }),
            Verb::ModifyNice => json!({ "do": "modify", "job": job, "nice": 7 }),
            Verb::Reschedule => json!({ "do": "reschedule", "job": job, "every": "9h" }),
            Verb::Reset => json!({ "do": "reset", "job": job }),
            Verb::Pause => json!({ "do": "pause", "job": job, "reason": "moving" }),
            Verb::Resume => json!({ "do": "resume", "job": job }),
            Verb::PauseAll => json!({ "do": "pause", "all": true }),
            Verb::ResumeAll => json!({ "do": "resume", "all": true }),
            Verb::Remove => json!({ "do": "remove", "job": job }),
            Verb::Replace => json!({
                "do": "add", "job": job, "command": ["true"], "every": "5h", "replace": true,
                "max_instances": 5,
            }),
            Verb::AddOther => json!({
                "do": "add", "job": format!("{job}-other"), "command": ["true"], "every": "3h",
            }),
            Verb::Start => json!({ "do": "start", "job": job }),
            Verb::Stop => json!({ "do": "stop", "job": job }),
            Verb::Reload => json!({ "do": "reload" }),
        }
    }
}

/// What there is to see of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    /// Due every so many hours by its definition, and by what was changed.
    every: u32,
    changed: Option<u32>,
    room: bool,
    nice: bool,
    paused: bool,
}

/// A job, and its surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    job: Option<Job>,
    other: bool,
    all_paused: bool,
}

const NEW: Job = Job { every: 7, changed: None, room: false, nice: false, paused: false };

impl State {
    fn new() -> State {
        State { job: Some(NEW), other: false, all_paused: false }
    }

    /// Does what is asked. Answers the code of the error, if it is one.
    fn take(&mut self, verb: Verb) -> Result<(), &'static str> {
        match verb {
            Verb::PauseAll => self.all_paused = true,
            Verb::ResumeAll => self.all_paused = false,
            Verb::AddOther if self.other => return Err("exists"),
            Verb::AddOther => self.other = true,
            Verb::Replace => self.job = Some(Job { every: 5, ..NEW }),
            Verb::Reload => {}
            Verb::Remove => {
                self.job.take().ok_or("no_such_job")?;
            }
            _ => {
                let job = self.job.as_mut().ok_or("no_such_job")?;
                match verb {
                    Verb::ModifyRoom => job.room = true,
                    Verb::ModifyNice => job.nice = true,
                    Verb::Reschedule => job.changed = Some(9),
                    Verb::Reset => {
                        *job = Job { every: job.every, paused: job.paused, ..NEW };
                    }
                    Verb::Pause => job.paused = true,
                    Verb::Resume => job.paused = false,
                    Verb::Start if job.paused || self.all_paused => return Err("paused"),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// What comes of these, in this order.
    fn after(verbs: [Verb; 2]) -> (State, [Result<(), &'static str>; 2]) {
        let mut state = State::new();
        let answers = verbs.map(|verb| state.take(verb));
        (state, answers)
    }
}

/// A connection.
struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    fn new(bench: &Bench) -> Client {
        Client { stream: BufReader::new(UnixStream::connect(socket(bench)).unwrap()) }
    }

    /// Sends requests in one piece.
    fn send(&mut self, requests: &[Value]) {
        let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
        self.stream.get_mut().write_all(lines.as_bytes()).unwrap();
    }

    /// The next reply; `None` when the connection is closed.
    fn reply(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
        }
    }

    #[track_caller]
    fn ask(&mut self, request: Value) -> Value {
        self.send(&[request]);
        self.reply().unwrap()
    }

    /// How a job is.
    fn state(&mut self, job: &str) -> State {
        let shown = self.ask(json!({ "do": "show", "job": job }));
        let all_paused = !self.ask(json!({ "do": "status" }))["paused"].is_null();
        let other = self.ask(json!({ "do": "show", "job": format!("{job}-other") }));
        for shown in [&shown, &other] {
            assert!(shown["ok"] == true || shown["error"]["code"] == "no_such_job", "{shown}");
        }
        let job = (shown["ok"] == true).then(|| {
            let line = &shown["job"];
            let hours = line["schedule"].as_str().unwrap();
            let hours = hours.trim_start_matches("every ").trim_end_matches(" hours");
            let hours: u32 = hours.parse().unwrap();
            let options = &shown["options"];
            let overrides = shown["overrides"].as_str().unwrap_or_default();
            assert_eq!(line["overridden"] == true, !overrides.is_empty(), "{shown}");
            let changed = overrides.contains("interval").then_some(hours);
            Job {
                // What is below an override is not shown: it is seen when that is reset.
                every: if changed.is_some() { 0 } else { hours },
                changed,
                room: options["max_instances"] == 9,
                nice: options["nice"] == 7,
                paused: line["paused"]["what"] == "job",
            }
        });
        State { job, other: other["ok"] == true, all_paused }
    }
}

/// As it is shown.
fn shown(mut state: State) -> State {
    if let Some(job) = state.job.as_mut().filter(|job| job.changed.is_some()) {
        job.every = 0;
    }
    state
}

/// The code of an error, if it is one.
fn outcome(reply: &Value) -> Result<(), String> {
    if reply["ok"] == true {
        Ok(())
    } else {
        Err(reply["error"]["code"].as_str().unwrap().to_owned())
    }
}

fn definition(job: &str) -> Value {
    json!({
        "do": "add", "job": job, "command": ["true"], "every": "7h", "max_instances": 5,
    })
}

/// A jobfile with a job of this name.
fn write_jobfile(bench: &Bench, job: &str) {
    bench.write("jobs.toml", &format!("jobs.{job} = {{ command = 'true', interval = '1d' }}\n"));
}

/// Two replies that may come in either order.
fn replies(client: &mut Client) -> [Value; 2] {
    let mut both = [client.reply().unwrap(), client.reply().unwrap()];
    both.sort_by_key(|reply| reply["id"].as_u64());
    both
}

#[test]
fn two_at_once_are_as_one_after_the_other() {
    let bench = Bench::new("");
    write_jobfile(&bench, "f");
    let running = bench.listening();
    let mut clients = [Client::new(&bench), Client::new(&bench)];
    let mut kept: BTreeMap<String, State> = BTreeMap::new();
    let mut runs: Vec<u64> = Vec::new();
    let mut last_file = String::new();
    for (number, [first, second]) in pairs().enumerate() {
        for apart in [false, true] {
            let job = format!("j{number}{}", if apart { "b" } else { "a" });
            assert_eq!(clients[0].ask(definition(&job))["ok"], true);
            if [first, second].contains(&Verb::Reload) {
                last_file = format!("f{job}");
                write_jobfile(&bench, &last_file);
            }
            let mut requests = [first, second].map(|verb| verb.request(&job));
            requests[0]["id"] = json!(0);
            requests[1]["id"] = json!(1);
            let both = if apart {
                clients[0].send(&requests[..1]);
                clients[1].send(&requests[1..]);
                [0, 1].map(|at: usize| clients[at].reply().unwrap())
            } else {
                clients[0].send(&requests);
                replies(&mut clients[0])
            };
            let answers = [outcome(&both[0]), outcome(&both[1])];
            let state = clients[0].state(&job);
            let is_so = |(expected, said): (State, [Result<(), &str>; 2])| {
                let said = said.map(|answer| answer.map_err(str::to_owned));
                shown(expected) == state && said == answers
            };
            let (turned, [of_second, of_first]) = State::after([second, first]);
            let fits = is_so(State::after([first, second]))
                || (apart && is_so((turned, [of_first, of_second])));
            assert!(fits, "{first:?} and {second:?}, apart: {apart}: {both:#?}, {state:?}");
            if !last_file.is_empty() {
                let shown = clients[0].ask(json!({ "do": "show", "job": last_file }));
                assert_eq!(shown["ok"], true, "{first:?} and {second:?}: {shown}");
            }
            runs.extend(both.iter().filter_map(|reply| reply["run"].as_u64()));
            assert_eq!(clients[0].ask(json!({ "do": "resume", "all": true }))["ok"], true);
            kept.insert(job, State { all_paused: false, ..state });
        }
    }
    // All of it is there after a restart.
    let listed = |client: &mut Client| {
        let mut listed = client.ask(json!({ "do": "export", "format": "json" }));
        assert!(listed["more"].is_null());
        listed["jobs"].take()
    };
    let before = listed(&mut clients[0]);
    assert_eq!(running.stop().code, Some(0));
    let running = bench.listening();
    let mut client = Client::new(&bench);
    assert_eq!(listed(&mut client), before);
    for (job, state) in kept {
        assert_eq!(client.state(&job), state, "{job}");
    }
    assert!(runs.len() > 20, "{runs:?}");
    for run in runs {
        let history = client.ask(json!({ "do": "history", "run": run }));
        assert_eq!(history["records"].as_array().unwrap().len(), 1, "run {run}");
    }
    running.stop();
}

fn pairs() -> impl Iterator<Item = [Verb; 2]> {
    VERBS.into_iter().flat_map(|first| VERBS.into_iter().map(move |second| [first, second]))
}

/// What comes with the end is done before it, or refused; it is not forgotten.
#[test]
fn what_comes_with_a_shutdown_is_kept_or_refused() {
    let bench = Bench::new("");
    write_jobfile(&bench, "f");
    let mut running = bench.listening();
    for (number, verb) in VERBS.into_iter().enumerate() {
        for first in [true, false] {
            let job = format!("s{number}{first}");
            let mut client = Client::new(&bench);
            assert_eq!(client.ask(json!({ "do": "resume", "all": true }))["ok"], true);
            assert_eq!(client.ask(definition(&job))["ok"], true);
            let mut request = verb.request(&job);
            request["id"] = json!(0);
            let shutdown = json!({ "do": "shutdown", "id": 1 });
            if first {
                client.send(&[request, shutdown])
            } else {
                client.send(&[shutdown, request])
            }
            let both = [client.reply(), client.reply()];
            let of = |id: u64| both.iter().flatten().find(|reply| reply["id"] == id).cloned();
            assert_eq!(of(1).unwrap()["ok"], true, "{both:?}");
            let mut state = State::new();
            match of(0).as_ref().map(outcome) {
                Some(Ok(())) => state.take(verb).unwrap(),
                Some(Err(code)) => assert_eq!(code, "stopping", "{verb:?} {both:?}"),
                // The connection was closed before: it was not acknowledged.
                None => {}
            }
            if first && verb != Verb::Reload {
                assert_eq!(outcome(&of(0).unwrap()), Ok(()), "{verb:?}");
            }
            assert_eq!(running.wait().code, Some(0));
            running = bench.listening();
            assert_eq!(Client::new(&bench).state(&job), shown(state), "{verb:?} {both:?}");
        }
    }
    running.stop();
}

/// Many clients change the same job at the same time: nothing that was acknowledged is missing.
#[test]
fn many_who_change_one_job_lose_nothing() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 20;
    let bench = Bench::new("[jobs.a]\ncommand = 'x'\ninterval = '1d'\n");
    let running = bench.listening();
    std::thread::scope(|scope| {
        for at in 0..CLIENTS {
            let mut client = Client::new(&bench);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let name = format!("V{at}_{round}");
                    let request = json!({ "do": "modify", "job": "a", "env": { name: "x" } });
                    assert_eq!(client.ask(request)["ok"], true);
                }
            });
        }
    });
    let exported = Client::new(&bench).ask(json!({ "do": "export", "format": "json" }));
    let variables = exported["jobs"]["a"]["env"].as_object().unwrap();
    assert_eq!(variables.len(), CLIENTS * ROUNDS);
    running.stop();
}

/// A reload is answered by a reading that began after it was asked for.
#[test]
fn a_reload_within_a_reload_reads_the_file_once_more() {
    let many = (0..20_000).map(|at| format!("jobs.j{at} = {{ command = 'x', interval = '9d' }}\n"));
    let bench = Bench::new(&many.collect::<String>());
    let running = bench.listening();
    let mut clients = [Client::new(&bench), Client::new(&bench)];
    clients[0].send(&[json!({ "do": "reload" }), json!({ "do": "status" })]);
    assert!(clients[0].reply().unwrap()["health"].is_string());
    // It is being read, which takes a while.
    bench.write("next.toml", "jobs.fresh = { command = 'x', interval = '1d' }\n");
    fs::rename(bench.path("next.toml"), bench.path("jobs.toml")).unwrap();
    let second = clients[1].ask(json!({ "do": "reload" }));
    assert_eq!(second["ok"], true, "{second}");
    let first = clients[0].reply().unwrap();
    assert_eq!(first["ok"], true, "{first}");
    // Unless the first one has read the new file, it is the second's to say what has changed.
    assert_eq!(first["added"].as_u64().unwrap() + second["added"].as_u64().unwrap(), 1, "{second}");
    running.stop();
}
