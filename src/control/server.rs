//! The control socket: one thread that takes requests and gives responses.
//!
//! All it does to the loop is to send it [`Call`]s, of which only so many are under way at a time,
//! and to take responses from it through a box that is locked for a moment. A client that is slow,
//! silent or hostile costs this thread's time, and never the loop's.
//!
//! `connection` holds the bytes and bounds of one client, `ending` says the last things, `exchange`
//! makes calls from requests and lines from responses, `following` is a client that follows what runs
//! print, `watching` one that follows what happens, `inbox` is what that box holds, `history` reads the store, `metrics` gathers numbers, and `peer` says
//! who asks.

mod connection;
mod ending;
mod exchange;
mod following;
mod history;
mod inbox;
mod metrics;
mod overall;
mod peer;
mod watching;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SendFlags;
use serde_json::Value;

use super::follow::Follow;
use super::journal::Journal;
use super::socket::Listener;
use super::wire;
use super::{Call, Request};
use crate::core::event::{Code, Fault, Response, RunId};
use crate::core::fleet::whereabouts::Whereabouts;
use crate::core::habit::Success;
use crate::core::instant::{Instant, Mono};
use crate::core::sort;
use crate::store::Reader;
use crate::sys::clock;
use crate::sys::epoll::{Epoll, EventFlags, Ready};
use crate::sys::waker::Waker;
use connection::{Connection, Line};
use exchange::{Exchange, Next};
use following::{Following, Printing, Source};
use history::History;
use inbox::{Inbox, Key, Message, Successes, Ticket, Which};
use watching::Watching;

/// So many clients are served at a time.
pub const MAX_CONNECTIONS: usize = 64;

/// So many calls are with the loop at a time, but for those that wait for a run to end.
const MAX_CALLS: usize = 256;

/// How long the end may be held up by a client that does not read its last response.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// And by one that asks for so much of the past that reading it takes longer than this.
const LAST_READING: Duration = Duration::from_secs(2);

/// How long no connection is accepted when there are no descriptors left.
const BREATHER: Duration = Duration::from_secs(1);

/// Where clients can follow what happens; without one, not here.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// What runs print.
    pub output: Option<Arc<dyn Follow>>,
    /// Everything else.
    pub events: Option<Arc<Journal>>,
}

/// The running thread.
#[derive(Debug)]
pub struct Server {
    inbox: Inbox,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes the socket and serves it. `call` takes what is asked to the loop; `reader` is where
    /// the past is read.
    pub fn start(
        path: &Path,
        call: impl Fn(Call) + Send + Sync + 'static,
        reader: Option<Box<dyn Reader>>,
    ) -> io::Result<Server> {
        let past = Past { reader, ..Past::default() };
        Server::start_with_present(path, call, past, Present::default())
    }

    /// The same, where what happens can be followed.
    pub fn start_with_present(
        path: &Path,
        call: impl Fn(Call) + Send + Sync + 'static,
        past: Past,
        present: Present,
    ) -> io::Result<Server> {
        let inbox = Inbox::new(Arc::new(Waker::new()?));
        let epoll = Epoll::new()?;
        let listener = Listener::bind(path)?;
        let mut service = Service {
            epoll,
            listener,
            accepting: Accepting::Yes,
            inbox: inbox.clone(),
            connections: HashMap::new(),
            next: FIRST_CLIENT,
            tickets: 0,
            calls: 0,
            page: None,
            pages: VecDeque::new(),
            call: Box::new(call),
            history: History::new(past),
            present,
            stopping: false,
            ending: None,
        };
        if let Some(events) = &service.present.events {
            let inbox = inbox.clone();
            events.tell(move || inbox.send(Message::Followed));
        }
        let started = service.listen().map_err(io::Error::from).and_then(|()| {
            std::thread::Builder::new().name("control".to_owned()).stack_size(512 * 1024).spawn(
                move || {
                    step_back();
                    service.run();
                },
            )
        });
        Ok(Server { inbox, thread: Some(started?) })
    }

    /// Makes the socket anew if somebody has removed it.
    pub fn rebind(&self) {
        self.inbox.send(Message::Rebind);
    }

    /// Reads the last runs of a job that have succeeded, the newest first; of those before this one, if one is
    /// given.
    pub(crate) fn successes(
        &self,
        job: Box<str>,
        before: Option<RunId>,
        then: impl FnOnce(Vec<Success>) + Send + 'static,
    ) {
        self.inbox.send(Message::Successes(job, before, Successes(Box::new(then))));
    }

    /// Removes the socket and takes nothing more. Clients keep their connections, by whose end they
    /// learn that the scheduler has ended.
    pub fn close(&self) {
        let (done, is_done) = channel();
        self.inbox.send(Message::Stop(Some(done)));
        // It never sends: it lets go. A question that takes longer is not waited for.
        let _ = is_done.recv_timeout(LAST_READING);
    }

    /// Says what there is to say, for at most two seconds, and ends the thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.inbox.send(Message::Stop(None));
            self.inbox.send(Message::End);
            // It has nothing to answer.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is known beside what the loop answers.
#[derive(Default)]
pub struct Past {
    /// Where the past is read.
    pub reader: Option<Box<dyn Reader>>,
    /// Who tells where jobs are at home, if several hosts may share the store.
    pub whereabouts: Option<Box<dyn Fn() -> Option<Arc<Whereabouts>> + Send>>,
    /// Who tells when the jobfile was loaded, if it has changed on disk since.
    pub edited: Option<Box<dyn Fn() -> Option<Instant> + Send>>,
}

/// Whether connections are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Yes,
    /// Not until then: there are no descriptors left.
    NotUntil(Mono),
    /// No more.
    No,
}

const TOKEN_WAKE: u64 = 0;
const TOKEN_LISTENER: u64 = 1;
/// Tokens from here on are those of clients; none is used twice.
const FIRST_CLIENT: u64 = 2;

/// What the thread owns.
struct Service {
    epoll: Epoll,
    listener: Listener,
    accepting: Accepting,
    inbox: Inbox,
    connections: HashMap<u64, Connection>,
    next: u64,
    tickets: u64,
    /// Calls that the loop has and that end soon.
    calls: usize,
    /// The one of them that asks for a page of a list.
    page: Option<Key>,
    /// Those that are to follow.
    pages: VecDeque<(Key, Box<str>, Request)>,
    call: Box<dyn Fn(Call) + Send + Sync>,
    history: History,
    present: Present,
    /// Nothing more is taken.
    stopping: bool,
    /// It ends when all is said, and at the latest then.
    ending: Option<Mono>,
}

impl Service {
    fn listen(&mut self) -> Result<(), Errno> {
        self.epoll.add(&**self.inbox.waker(), TOKEN_WAKE, EventFlags::IN)?;
        self.epoll.add(&self.listener, TOKEN_LISTENER, EventFlags::IN)
    }

    /// Whatever cleans directories up may have taken the socket, too.
    fn rebind(&mut self) {
        if self.stopping {
            return;
        }
        let again = match self.listener.again() {
            Ok(Some(again)) => again,
            Ok(None) => return,
            Err(error) => return log::warn!("cannot create the control socket again: {error}"),
        };
        if self.accepting == Accepting::Yes {
            self.epoll.remove(&self.listener);
            if self.epoll.add(&again, TOKEN_LISTENER, EventFlags::IN).is_err() {
                self.accepting = Accepting::NotUntil(clock::mono());
            }
        }
        self.listener = again;
        log::warn!("the control socket had disappeared and was created again");
    }

    fn run(&mut self) {
        let mut ready = Ready::with_capacity(MAX_CONNECTIONS + 2);
        loop {
            let timeout = self.timeout(clock::mono());
            if let Err(errno) = self.epoll.wait(&mut ready, timeout) {
                log::error!("cannot wait for the control socket: {errno}");
                break;
            }
            for (token, flags) in ready.iter() {
                match token {
                    TOKEN_WAKE => self.read_inbox(),
                    TOKEN_LISTENER => self.accept(),
                    client => self.happened(client, flags),
                }
            }
            self.settle();
            if self.is_finished() {
                break;
            }
        }
        self.listener.remove();
    }

    /// How long there is nothing to do unless something happens; mostly for ever.
    fn timeout(&self, now: Mono) -> Option<Duration> {
        let clients = self.connections.values().filter_map(Connection::deadline);
        let breather = match self.accepting {
            Accepting::NotUntil(then) => Some(then),
            Accepting::Yes | Accepting::No => None,
        };
        let next = clients.chain(breather).chain(self.ending).min()?;
        // The kernel would round down, and there would be nothing to do yet.
        Some(next.since(now) + Duration::from_micros(1))
    }

    fn accept(&mut self) {
        // Others have a turn, too: what is left is seen next time.
        for _ in 0..MAX_CONNECTIONS {
            let socket = match self.listener.accept() {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                    // It would be ready all the time.
                    self.epoll.remove(&self.listener);
                    self.accepting = Accepting::NotUntil(clock::mono().plus(BREATHER));
                    return;
                }
                // That client has lost interest.
                Err(_) => continue,
            };
            let Some(uid) = peer::allowed(&socket) else {
                let fault = Fault::new(Code::NotAllowed, "not allowed");
                turn_away(&socket, &fault.help("only the scheduler's own user and root may ask"));
                continue;
            };
            if self.connections.len() >= MAX_CONNECTIONS {
                let text = format!("too many connections: {MAX_CONNECTIONS}");
                let fault = Fault::new(Code::TooManyConnections, text);
                turn_away(&socket, &fault.help("close one, or try again later"));
                continue;
            }
            let token = self.next;
            self.next += 1;
            if self.epoll.add(&socket, token, EventFlags::IN).is_ok() {
                let by = peer::name(uid);
                self.connections.insert(token, Connection::new(socket, by, clock::mono()));
            }
        }
    }

    /// Something has happened to a connection.
    fn happened(&mut self, token: u64, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            // It would be ready all the time.
            self.epoll.remove(connection.socket());
            connection.interest = None;
            connection.hang_up();
        } else if flags.contains(EventFlags::IN) {
            connection.read();
        }
    }

    fn read_inbox(&mut self) {
        self.inbox.waker().clear();
        for message in self.inbox.take() {
            match message {
                Message::Response(key, which, response) => {
                    self.count(which);
                    self.page_done(key);
                    self.answered(key, response);
                }
                Message::Released(key, which) => {
                    self.count(which);
                    self.page_done(key);
                    self.released(key);
                }
                // All connections are looked at in any case.
                Message::Followed => {}
                Message::Successes(job, before, Successes(then)) => {
                    then(self.history.successes(&job, before));
                }
                Message::Rebind => self.rebind(),
                Message::Stop(done) => {
                    self.stop();
                    drop(done);
                }
                Message::End => self.end(),
            }
        }
    }

    /// The loop has answered a question.
    fn answered(&mut self, (token, number): Key, response: Response) {
        let Some(mut exchange) = self.take_exchange(token, number) else { return };
        let history = &mut self.history;
        let next = guarded(|| exchange.go_on(response, history));
        self.go_on(token, number, exchange, next);
    }

    fn released(&mut self, (token, number): Key) {
        if let Some(exchange) = self.take_exchange(token, number) {
            let next = Next::End(Err(Exchange::lost()));
            self.go_on(token, number, exchange, next);
        }
    }

    /// The loop has the response to a page of a list, or will not have it.
    fn page_done(&mut self, key: Key) {
        if self.page == Some(key) {
            self.page = None;
            self.ask_page();
        }
    }

    /// A call is no longer under way once it has a response: for the second one, the end of a run,
    /// it may wait for ever.
    fn count(&mut self, which: Which) {
        if which == Which::First {
            self.calls = self.calls.saturating_sub(1);
        }
    }

    /// Takes an exchange that was with the loop, unless its client is gone.
    fn take_exchange(&mut self, token: u64, number: u64) -> Option<Exchange> {
        self.connections.get_mut(&token)?.pending.remove(&number)
    }

    /// Does the next step of an exchange.
    fn go_on(&mut self, token: u64, number: u64, mut exchange: Exchange, next: Next) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        match next {
            Next::End(Ok(body)) => {
                if exchange.is_large() {
                    connection.kept = exchange.kept();
                }
                connection.say(&wire::good_line(exchange.id.as_ref(), &body));
            }
            Next::End(Err(fault)) => {
                connection.say(&wire::fault_line(exchange.id.as_ref(), &fault));
            }
            Next::Partial(body) => {
                connection.say(&wire::good_line(exchange.id.as_ref(), &body));
                exchange.waits_for_run = true;
                connection.pending.insert(number, exchange);
            }
            Next::Follow(job, past) => {
                let inbox = self.inbox.clone();
                let begin = |output| move || Printing::begin(output, (job, past), inbox);
                follow(connection, exchange.id, self.present.output.as_ref().map(begin));
            }
            Next::Watch(job, since) => {
                let begin = |events| move || Watching::begin(events, job, since);
                follow(connection, exchange.id, self.present.events.as_ref().map(begin));
            }
            Next::Unfollow => {
                if let Some(following) = connection.following.take() {
                    let line = wire::good_line(following.id.as_ref(), "{\"done\":true}");
                    connection.say(&line);
                }
                connection.say(&wire::good_line(exchange.id.as_ref(), "{}"));
            }
            Next::Request(request) => {
                let by = exchange.by(&connection.by);
                connection.pending.insert(number, exchange);
                match request {
                    Request::List { .. } => {
                        self.pages.push_back(((token, number), by, request));
                        self.ask_page();
                    }
                    request => self.ask((token, number), by, request),
                }
            }
        }
    }

    /// Asks for the next page of a list, unless the loop has such a question already: one by one
    /// they leave it room for what is due, however many clients want lists.
    fn ask_page(&mut self) {
        while self.page.is_none() {
            let Some((key, by, request)) = self.pages.pop_front() else { return };
            // Its client may be gone.
            if self.connections.contains_key(&key.0) {
                self.page = Some(key);
                self.ask(key, by, request);
            }
        }
    }

    fn ask(&mut self, key: Key, by: Box<str>, request: Request) {
        self.calls += 1;
        let twice = matches!(request, Request::Start { wait: true, .. });
        let ticket = Ticket::new(self.inbox.clone(), key, twice);
        let reply = Arc::new(move |response| ticket.answer(response));
        (self.call)(Call { by, request, reply });
    }

    /// Begins what may be begun, writes what may be written and drops who is done.
    fn settle(&mut self) {
        let now = clock::mono();
        if let Accepting::NotUntil(then) = self.accepting
            && now >= then
        {
            self.accepting = match self.epoll.add(&self.listener, TOKEN_LISTENER, EventFlags::IN) {
                Ok(()) => Accepting::Yes,
                Err(_) => Accepting::NotUntil(now.plus(BREATHER)),
            };
        }
        let mut tokens: Vec<u64> = self.connections.keys().copied().collect();
        sort::all(&mut tokens);
        for token in tokens {
            // Writing may make room for more requests, of which nobody will say anything again.
            loop {
                if let Some(connection) = self.connections.get_mut(&token) {
                    connection.flush(now);
                    connection.tell();
                    connection.flush(now);
                }
                if !self.begin_requests(token, now) {
                    break;
                }
            }
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            if connection.is_over(now) {
                self.connections.remove(&token);
                continue;
            }
            let wants = connection.wants();
            if connection.interest.is_some_and(|interest| interest != wants)
                && self.epoll.modify(connection.socket(), token, wants).is_ok()
            {
                connection.interest = Some(wants);
            }
        }
    }

    /// Takes the requests of a connection, as many as it may make now. Answers whether there were
    /// any.
    fn begin_requests(&mut self, token: u64, now: Mono) -> bool {
        let mut begun = false;
        loop {
            let Some(connection) = self.connections.get_mut(&token) else { return begun };
            if self.calls >= MAX_CALLS || !connection.may_begin(now) {
                return begun;
            }
            let line = match connection.next_line() {
                Some(line) => line,
                // Nobody will say that there is more to read.
                None if connection.is_gone() && connection.read() => continue,
                None => match connection.next_line() {
                    Some(line) => line,
                    None => return begun,
                },
            };
            begun = true;
            match line {
                Line::TooLong => {
                    let text = format!("a request can be at most {} bytes long", wire::MAX_LINE);
                    connection.say(&wire::fault_line(None, &Fault::new(Code::TooLong, text)));
                    connection.close();
                }
                Line::Whole(line) if line.trim_ascii().is_empty() => {}
                Line::Whole(line) => self.begin(token, &line),
            }
        }
    }

    fn begin(&mut self, token: u64, line: &[u8]) {
        self.tickets += 1;
        let number = self.tickets;
        let parsed = catch_unwind(|| wire::parse(line, clock::wall()))
            .unwrap_or_else(|_| wire::Parsed { id: None, on_behalf: None, request: Err(bug()) });
        let (id, on_behalf) = (parsed.id, parsed.on_behalf);
        let fault = match parsed.request {
            Err(fault) => fault,
            Ok(request) if self.stopping => {
                return self.say_of_end(token, id.as_ref(), &request);
            }
            Ok(request) => {
                let (history, its_id) = (&mut self.history, id.clone());
                let kept = self.connections.get(&token).and_then(|it| it.kept.clone());
                let begun = catch_unwind(AssertUnwindSafe(|| {
                    Exchange::new(its_id, request, history, kept)
                }));
                match begun {
                    Ok((exchange, next)) => {
                        let exchange = exchange.on_behalf_of(on_behalf);
                        return self.go_on(token, number, exchange, next);
                    }
                    Err(_) => bug(),
                }
            }
        };
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.say(&wire::fault_line(id.as_ref(), &fault));
        }
    }
}

/// Begins to tell a client what happens, if that can be told here.
fn follow<S: Source + 'static>(
    connection: &mut Connection,
    id: Option<Value>,
    begin: Option<impl FnOnce() -> S>,
) {
    let fault = match begin {
        Some(_) if connection.following.is_some() => {
            let fault = Fault::new(Code::Follows, "this connection is already following");
            fault.help("send `unfollow` first, or open another connection")
        }
        Some(begin) => {
            let begun = "{\"following\":true,\"done\":false}";
            connection.say(&wire::good_line(id.as_ref(), begun));
            connection.following = Some(Following { id, source: Box::new(begin()) });
            return;
        }
        None => Fault::new(Code::Unavailable, "this cannot be followed here"),
    };
    connection.say(&wire::fault_line(id.as_ref(), &fault));
}

/// What clients cost comes after what jobs need, where there is not enough for both. (On Linux
/// niceness is that of a thread.) It is nothing that anybody has to hear of if that fails.
fn step_back() {
    if let Ok(nice) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, (nice + 5).min(19));
    }
}

/// A part that ends in a response whatever happens.
fn guarded(next: impl FnOnce() -> Next) -> Next {
    catch_unwind(AssertUnwindSafe(next)).unwrap_or_else(|_| Next::End(Err(bug())))
}

fn bug() -> Fault {
    Fault::new(Code::Internal, "this request caused an internal error")
        .help("this is a bug in schedrs")
}

/// Says why a connection is closed, if there is room for that, which there is in a new one.
fn turn_away(socket: &OwnedFd, fault: &Fault) {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let _ = rustix::net::send(socket, &wire::fault_line(None, fault), flags);
}
