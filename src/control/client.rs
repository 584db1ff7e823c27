//! The other end of the control socket: how a program asks a running scheduler.
//!
//! ```no_run
//! use schedrs::control::client::{Client, Place};
//! use serde_json::json;
//!
//! let place = Place::Jobfile("jobs.toml".into());
//! let mut client = Client::connect(&place)?;
//! let started = client.ask(&json!({ "do": "start", "job": "backup" }))?;
//! println!("run {}", started["run"]);
//! # Ok::<(), schedrs::control::client::Error>(())
//! ```

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::wire;
use super::{jobfile_lock, socket};
use crate::core::event::Fault;
use crate::core::words;
use crate::problem::clean;
use crate::sys::paths;

/// A response longer than this is none of a schedrs.
const MAX_ANSWER: u64 = 64 << 20;

/// Where a scheduler is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Socket(PathBuf),
    /// At the sockets that one which runs this jobfile may have.
    Jobfile(PathBuf),
}

/// A connection to a scheduler.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// Why there is no response, or none that was hoped for.
#[derive(Debug)]
pub enum Error {
    /// Nobody listens.
    NotRunning {
        /// Where that was.
        place: Place,
        /// Where it was looked for, and why that was nothing.
        looked: Vec<(PathBuf, String)>,
    },
    /// The connection broke.
    Broken(String),
    /// It does not answer.
    Silent {
        /// Its process, if that can be told.
        pid: Option<i32>,
        /// For how long it was waited for.
        waited: Duration,
    },
    /// It cannot be done.
    Refused(Fault),
}

impl Client {
    /// Connects to the scheduler of a place, and waits as long as that takes.
    pub fn connect(place: &Place) -> Result<Client, Error> {
        Client::open(place, None)
    }

    /// The same, but waits no longer than this: neither for the connection, where a scheduler hangs and
    /// many others wait, nor for any of its answers.
    pub fn connect_within(place: &Place, patience: Duration) -> Result<Client, Error> {
        // No time at all would be for ever.
        let patience = Some(patience.max(Duration::from_millis(1)));
        let client = Client::open(place, patience)?;
        client.set_patience(patience)?;
        Ok(client)
    }

    fn open(place: &Place, patience: Option<Duration>) -> Result<Client, Error> {
        let candidates = match place {
            Place::Socket(path) => vec![path.clone()],
            Place::Jobfile(file) => paths::socket_candidates(file),
        };
        let mut looked = Vec::new();
        // Whoever runs the jobfile under another name says where: asked only if need be.
        let elsewhere = std::iter::once_with(|| match place {
            Place::Socket(_) => None,
            Place::Jobfile(file) => jobfile_lock::holder_of(file)?.told?.socket,
        });
        for path in candidates.into_iter().chain(elsewhere.flatten()) {
            let socket = match socket::connect(&path, patience) {
                Ok(socket) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Error::Silent { pid: None, waited: patience.unwrap_or_default() });
                }
                Err(error) => {
                    looked.push((path, reason(&error)));
                    continue;
                }
            };
            // What is asked may hold secrets, and in a directory that is open to others anybody
            // may have made a socket of that name.
            let own = rustix::process::geteuid().as_raw();
            match socket::peer(&socket) {
                Some((_, uid)) if uid == own || uid == 0 || own == 0 => {
                    return Ok(Client { stream: BufReader::new(UnixStream::from(socket)) });
                }
                _ => looked.push((path, "belongs to another user".to_owned())),
            }
        }
        Err(Error::NotRunning { place: place.clone(), looked })
    }

    /// Makes a request and gives back what comes back, without the members of the envelope.
    pub fn ask(&mut self, request: &Value) -> Result<Map<String, Value>, Error> {
        self.send(request)?;
        self.receive()
    }

    /// The same, read as what it is known to be: of much that is quicker than by its members.
    pub(crate) fn ask_for<T: DeserializeOwned>(&mut self, request: &Value) -> Result<T, Error> {
        self.send(request)?;
        wire::open_as(&self.line()?).map_err(Error::Broken)?.map_err(Error::Refused)
    }

    /// Asks something.
    pub fn send(&mut self, request: &Value) -> Result<(), Error> {
        let line = format!("{request}\n");
        match self.stream.get_mut().write_all(line.as_bytes()) {
            // Why it was closed may stand in what can still be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(self.silent()),
            Err(error) => Err(Error::Broken(error.to_string())),
            Ok(()) => Ok(()),
        }
    }

    /// The next answer.
    pub fn receive(&mut self) -> Result<Map<String, Value>, Error> {
        self.receive_any()?.1.map_err(Error::Refused)
    }

    /// The next answer, of several that are waited for: the `id` of its request if that had one, and
    /// what it says.
    pub fn receive_any(&mut self) -> Result<wire::Reply, Error> {
        wire::open_reply(&self.line()?).map_err(Error::Broken)
    }

    /// The line of an answer.
    fn line(&mut self) -> Result<Vec<u8>, Error> {
        let mut line = Vec::new();
        let mut bounded = io::Read::take(&mut self.stream, MAX_ANSWER);
        match bounded.read_until(b'\n', &mut line) {
            Ok(0) => Err(Error::Broken("the connection was closed".to_owned())),
            Ok(_) if line.last() != Some(&b'\n') => {
                Err(Error::Broken("the answer was cut short".to_owned()))
            }
            Ok(_) => Ok(line),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(self.silent()),
            Err(error) => Err(Error::Broken(error.to_string())),
        }
    }

    /// Has answers waited for no longer than this; `None`: for ever.
    pub fn set_patience(&self, patience: Option<Duration>) -> Result<(), Error> {
        let socket = self.socket();
        let done = socket.set_read_timeout(patience);
        let done = done.and_then(|()| socket.set_write_timeout(patience));
        done.map_err(|error| Error::Broken(error.to_string()))
    }

    fn silent(&self) -> Error {
        let waited = self.socket().read_timeout().ok().flatten().unwrap_or_default();
        Error::Silent { pid: self.pid(), waited }
    }

    /// Whether something has been received that was not asked for yet: then there is no point in
    /// waiting at the socket.
    pub fn has_more(&self) -> bool {
        !self.stream.buffer().is_empty()
    }

    /// Asks for something that comes in parts, until there are no `more`.
    pub fn ask_all(
        &mut self,
        request: &Value,
        mut part: impl FnMut(Map<String, Value>),
    ) -> Result<(), Error> {
        let mut request = request.clone();
        loop {
            let body = self.ask(&request)?;
            let more = body.get("more").cloned();
            part(body);
            match more {
                Some(more) => request["from"] = more,
                None => return Ok(()),
            }
        }
    }

    /// The process at the other end; `None` if it is in another namespace.
    pub(crate) fn pid(&self) -> Option<i32> {
        socket::peer(self.socket()).map(|(pid, _)| pid).filter(|pid| *pid > 0)
    }

    /// The socket, to wait at it together with something else.
    pub fn socket(&self) -> &UnixStream {
        self.stream.get_ref()
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "nothing there".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody is listening there any more".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotRunning { place, looked } => {
                match place {
                    Place::Jobfile(file) => {
                        let file = shown(file);
                        write!(f, "no scheduler is running {file}; looked for its socket at")?;
                    }
                    Place::Socket(_) => f.write_str("no scheduler is listening at")?,
                }
                for (path, why) in looked {
                    write!(f, "\n  {} ({why})", shown(path))?;
                }
                match place {
                    Place::Jobfile(file) => write!(
                        f,
                        "\nstart it with `schedrs run {}`, or name its socket with --socket",
                        shown(file)
                    ),
                    Place::Socket(_) => Ok(()),
                }
            }
            Error::Silent { pid, waited } => {
                f.write_str("schedrs ")?;
                if let Some(pid) = pid {
                    write!(f, "(pid {pid}) ")?;
                }
                write!(f, "does not answer: no reply within {}", words::span(*waited))
            }
            Error::Broken(why) => write!(f, "the connection to schedrs broke: {why}"),
            Error::Refused(fault) => {
                match fault.problems.len() {
                    0 | 1 => f.write_str(&clean(&fault.message))?,
                    _ => {
                        f.write_str("nothing was changed:")?;
                        for problem in &fault.problems {
                            write!(f, "\n  {}", clean(problem))?;
                        }
                    }
                }
                match &fault.help {
                    Some(help) => write!(f, "; {}", clean(help)),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A path, which may hold a line end, or what would drive a terminal.
fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy()).into_owned()
}

impl std::error::Error for Error {}
