//! A wire between a client and a server that can be slow, stall, break, and lose an answer.
//!
//! What it calls a request is what a client sends until the server says something: one round trip.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// Forwards connections to a server until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    delay: [Duration; 2],
    stalled: [bool; 2],
    /// New connections are reset.
    refusing: bool,
    /// The request, counted from now, whose answer is lost; 0: none.
    lose: usize,
    /// The bytes of a request whose answer is lost.
    lose_with: Option<Vec<u8>>,
    requests: usize,
    lost: usize,
    made: usize,
    links: Vec<Arc<Link>>,
    over: bool,
}

/// One connection.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    server: TcpStream,
    talk: Mutex<Talk>,
}

#[derive(Debug, Default)]
struct Talk {
    /// The client has spoken last.
    asked: bool,
    /// What the server says next is lost, and the connection with it.
    loses: bool,
}

impl Proxy {
    pub fn to(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (state, changed) = (Mutex::default(), Condvar::new());
        let wire = Arc::new(Wire { target, state, changed });
        let ours = Arc::clone(&wire);
        thread::spawn(move || {
            for client in listener.incoming() {
                if wire.state().over {
                    return;
                }
                accept(&wire, client.unwrap());
            }
        });
        Proxy { address, wire: ours }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What goes this way arrives so much later.
    pub fn delay(&self, way: Way, by: Duration) {
        self.wire.change(|state| state.delay[way as usize] = by);
    }

    /// Nothing goes this way until it may again. Connections stay, new ones are accepted.
    pub fn stall(&self, way: Way, on: bool) {
        self.wire.change(|state| state.stalled[way as usize] = on);
    }

    /// Resets all connections, and new ones too until [`Proxy::mend`].
    pub fn cut(&self) {
        self.wire.change(|state| state.refusing = true);
        self.reset();
    }

    /// Resets all connections. New ones work.
    pub fn reset(&self) {
        let links = std::mem::take(&mut self.wire.state().links);
        links.iter().for_each(|link| link.reset());
    }

    /// Ends one way of all connections, in order; the other goes on.
    pub fn half_close(&self, way: Way) {
        for link in &self.wire.state().links {
            let _ = link.end(way).shutdown(Shutdown::Write);
        }
    }

    /// The server gets this request (1: the next one) and does what it says, but its answer is
    /// lost and the connection reset.
    pub fn lose_answer(&self, request: usize) {
        self.wire.change(|state| state.lose = request);
    }

    /// The same for the next request with these bytes in it.
    pub fn lose_answer_to(&self, bytes: &[u8]) {
        self.wire.change(|state| state.lose_with = Some(bytes.to_vec()));
    }

    /// No more trouble. What was stalled goes on.
    pub fn mend(&self) {
        self.wire.change(|state| {
            state.delay = Default::default();
            state.stalled = Default::default();
            state.refusing = false;
            (state.lose, state.lose_with) = (0, None);
        });
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.wire.state().requests
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        self.wire.state().lost
    }

    /// How many connections there were.
    pub fn made(&self) -> usize {
        self.wire.state().made
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.change(|state| state.over = true);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        self.reset();
    }
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits as long as what goes this way has to.
    fn hold(&self, way: Way) {
        let state = self.state();
        let by = state.delay[way as usize];
        let state = if by.is_zero() {
            state
        } else {
            let slow = |state: &mut State| !state.over && state.delay[way as usize] == by;
            self.changed.wait_timeout_while(state, by, slow).unwrap().0
        };
        let stalled = |state: &mut State| !state.over && state.stalled[way as usize];
        drop(self.changed.wait_while(state, stalled).unwrap());
    }

    /// A client has begun a request. Answers whether its answer is lost.
    fn request(&self) -> bool {
        let mut state = self.state();
        state.requests += 1;
        let loses = state.lose == 1;
        state.lose = state.lose.saturating_sub(1);
        loses
    }

    fn loses(&self, bytes: &[u8]) -> bool {
        let wanted = &mut self.state().lose_with;
        let found = |wanted: &Vec<u8>| bytes.windows(wanted.len()).any(|part| part == wanted);
        let loses = wanted.as_ref().is_some_and(found);
        if loses {
            *wanted = None;
        }
        loses
    }
}

impl Link {
    /// The socket that is written to.
    fn end(&self, way: Way) -> &TcpStream {
        match way {
            Way::ToServer => &self.server,
            Way::ToClient => &self.client,
        }
    }

    fn reset(&self) {
        for stream in [&self.client, &self.server] {
            // Linux sends RST at once, without the goodbye of a shutdown.
            let _ = rustix::net::connect_unspec(stream);
        }
    }
}

fn accept(wire: &Arc<Wire>, client: TcpStream) {
    let refusing = wire.state().refusing;
    let server = TcpStream::connect(wire.target);
    let (false, Ok(server)) = (refusing, server) else {
        let _ = rustix::net::connect_unspec(&client);
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let link = Arc::new(Link { client, server, talk: Mutex::default() });
    let mut state = wire.state();
    state.made += 1;
    state.links.push(Arc::clone(&link));
    for way in [Way::ToServer, Way::ToClient] {
        let (wire, link) = (Arc::clone(wire), Arc::clone(&link));
        thread::spawn(move || forward(&wire, &link, way));
    }
}

fn forward(wire: &Wire, link: &Link, way: Way) {
    let (mut from, mut to) = match way {
        Way::ToServer => (&link.client, &link.server),
        Way::ToClient => (&link.server, &link.client),
    };
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let bytes = &chunk[..count];
        let mut talk = link.talk.lock().unwrap();
        match way {
            Way::ToServer => {
                let first = !std::mem::replace(&mut talk.asked, true);
                talk.loses |= first && wire.request();
                if wire.loses(bytes) {
                    // What is answered before the whole of it is there is not yet the answer.
                    let _ = to.write_all(bytes);
                    talk.loses = true;
                    continue;
                }
            }
            Way::ToClient => {
                if talk.loses {
                    drop(talk);
                    return lose(wire, link);
                }
            }
        }
        drop(talk);
        wire.hold(way);
        if way == Way::ToClient {
            // Only what reaches the client can make it ask again: while an answer is held, what
            // comes is the rest of a request that the server began to answer before its end.
            link.talk.lock().unwrap().asked = false;
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Lets the server do what it was asked to, and tells nobody.
fn lose(wire: &Wire, link: &Link) {
    let _ = link.server.shutdown(Shutdown::Write);
    let _ = std::io::copy(&mut &link.server, &mut std::io::sink());
    wire.change(|state| state.lost += 1);
    link.reset();
}
