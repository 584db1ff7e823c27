//! Receivers on the loopback device, each a thread that accepts and one for each connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, listen, socket, sockopt};

use crate::harness::give_way;

/// It receives for as long as the program runs.
pub(crate) struct Receiver {
    port: u16,
}

impl Receiver {
    /// Does this with each connection.
    pub(crate) fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (serve, stream) = (serve.clone(), stream.unwrap());
                std::thread::spawn(move || serve(stream));
            }
        });
        Receiver { port }
    }

    #[cfg(feature = "mail")]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// A request.
pub(crate) fn request(stream: &mut impl Read) -> String {
    try_request(stream).expect("a request")
}

/// The same; `None`: there is none.
pub(crate) fn try_request(stream: &mut impl Read) -> Option<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    // What is not read would be answered with a reset.
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).ok()?)
}

/// Answers and closes. Whoever has asked may be gone.
pub(crate) fn answer(stream: &mut impl Write, status: &str, body: &str) {
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let _ = stream.flush();
}

/// Waits until the other side goes.
pub(crate) fn until_closed(stream: &mut TcpStream) {
    while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
}

/// Writes a text, and then a byte now and then for as long as somebody listens.
pub(crate) fn drip(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
    while stream.write_all(b"x").is_ok() {
        give_way();
    }
}

/// Ends a connection as a machine does that knows nothing of it.
pub(crate) fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// The URL of a port where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

/// A listener that accepts nobody, and whose queue has no room for more.
pub(crate) struct Full {
    port: u16,
    _sockets: Vec<OwnedFd>,
}

impl Full {
    pub(crate) fn new() -> Full {
        let new = || socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let listener = new();
        bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        listen(&listener, 0).unwrap();
        let address = SocketAddrV4::try_from(getsockname(&listener).unwrap()).unwrap();
        // Linux has room for one more than it is told; the others wait to be let in for ever.
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let client = new();
            rustix::io::ioctl_fionbio(&client, true).unwrap();
            let _ = connect(&client, &address);
            sockets.push(client);
        }
        Full { port: address.port(), _sockets: sockets }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

/// The certificates of the tests: the authority's, the server's (for `localhost`), its key.
pub(crate) fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

/// The same connection with TLS, by the certificate of `localhost`; `None`: the client does not want
/// it.
#[cfg(feature = "tls")]
pub(crate) fn tls(
    mut stream: TcpStream,
) -> Option<rustls::StreamOwned<rustls::ServerConnection, TcpStream>> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::from_pem_file(certificate("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).ok()?;
    }
    Some(rustls::StreamOwned::new(connection, stream))
}
