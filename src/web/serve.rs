//! The sockets, and the bounds for whoever is at the other end: how many there are, how long a head may
//! be and take, and for how long one may not read what it asked for. One thread serves all of them.

use std::convert::Infallible;
use std::fs::Permissions;
use std::future::Future;
use std::io;
use std::net::TcpListener as StdTcp;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnix, UnixStream as StdUnixStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::fs::{Mode, fchmod};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use super::access::Peer;
use super::body::Body;
use super::route;
use super::server::{self, Server};
use crate::core::web::Listen;
use crate::sys::accounts;

/// So many connections there are at most; others wait to be accepted.
const CONNECTIONS: usize = 128;
/// The head of a request is there within this time, and so is the next one on the same connection.
const HEAD: Duration = Duration::from_secs(10);
/// So large it is at most, and so many lines it has.
const HEAD_SIZE: usize = 16 << 10;
const HEADERS: usize = 64;
/// Whoever takes nothing of an answer for so long does not get the rest.
const STUCK: Duration = Duration::from_secs(20);

/// A socket that listens.
pub(crate) enum Bound {
    Tcp(StdTcp),
    Unix(StdUnix, Box<str>),
}

impl Bound {
    /// Makes the socket.
    pub(crate) fn new(listen: &Listen) -> io::Result<Bound> {
        match listen {
            Listen::Tcp(address) => StdTcp::bind(address).map(Bound::Tcp),
            Listen::Unix(path) => Ok(Bound::Unix(unix(path)?, path.clone())),
        }
    }

    /// Where it is: the port that it was given, if it was to be any.
    pub(crate) fn listen(&self) -> io::Result<Listen> {
        match self {
            Bound::Tcp(socket) => socket.local_addr().map(Listen::Tcp),
            Bound::Unix(_, path) => Ok(Listen::Unix(path.clone())),
        }
    }
}

/// A socket at a path, for its owner and its group. One that nobody listens at is replaced.
fn unix(path: &str) -> io::Result<StdUnix> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::other("there is something there that is not a socket"));
        }
        Ok(_) if StdUnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody is listening there"));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The kernel gives the file the mode that the socket has, so it is never open to others; what the
    // umask takes from that is given back.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
    net::listen(&socket, 128)?;
    Ok(StdUnix::from(socket))
}

/// Serves until the process ends.
pub(crate) fn serve(server: &Arc<Server>, bound: Bound) -> io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_io().enable_time().max_blocking_threads(server::WORK).build()?;
    runtime.block_on(async {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        match bound {
            Bound::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                let socket = TcpListener::from_std(socket)?;
                loop {
                    let Some(place) = place(&places).await else { return Ok(()) };
                    let Ok((stream, remote)) = socket.accept().await else {
                        breath().await;
                        continue;
                    };
                    let Ok(local) = stream.local_addr() else { continue };
                    let _ = stream.set_nodelay(true);
                    connect(server, stream, Peer::Tcp { remote, local }, place);
                }
            }
            Bound::Unix(socket, _) => {
                socket.set_nonblocking(true)?;
                let socket = UnixListener::from_std(socket)?;
                loop {
                    let Some(place) = place(&places).await else { return Ok(()) };
                    let Ok((stream, _)) = socket.accept().await else {
                        breath().await;
                        continue;
                    };
                    let Ok(user) = stream.peer_cred() else { continue };
                    let name = accounts::user_name(user.uid())
                        .unwrap_or_else(|| format!("uid {}", user.uid()));
                    connect(server, stream, Peer::Unix(name.into()), place);
                }
            }
        }
    })
}

fn connect<S>(server: &Arc<Server>, stream: S, peer: Peer, place: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server = Arc::clone(server);
    let stream = TokioIo::new(Impatient { stream, stuck: None });
    tokio::spawn(async move {
        let service = service_fn(|request: Request<Incoming>| {
            let (server, peer) = (Arc::clone(&server), peer.clone());
            async move { Ok::<Response<Body>, Infallible>(route::answer(&server, &peer, request).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_SIZE)
            .max_headers(HEADERS);
        // That somebody has gone is no error of ours.
        let _ = http.serve_connection(stream, service).await;
        drop(place);
    });
}

async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).acquire_owned().await.ok()
}

/// What the kernel has too little of now, it may have soon.
async fn breath() {
    sleep(Duration::from_millis(100)).await;
}

/// A stream that breaks when nothing of what is written is taken for a while.
struct Impatient<S> {
    stream: S,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    /// What has come of trying to write.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        tried: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.stuck = None;
            return tried;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(STUCK)));
        match stuck.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(context, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, tried)
    }
}
