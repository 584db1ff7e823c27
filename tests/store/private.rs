//! The private servers of the tests themselves: they start, answer, are killed, stop, go on, and
//! start again; and the wire before them does its harm.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::servers::proxy::{Proxy, Way};
use crate::servers::{Engine, LIMIT, Server, Setup};

/// What to ask each, and what is in the answer.
const ASKED: [(Engine, &str, &str); 4] = [
    (Engine::Postgres, "SELECT 6 * 7", "42"),
    (Engine::Mariadb, "SELECT 6 * 7", "42"),
    (Engine::Redis, "SET answer 42", "OK"),
    (Engine::Mongodb, "hello", "maxWireVersion"),
];

#[test]
fn each_starts_answers_dies_and_comes_back() {
    std::thread::scope(|scope| {
        for (engine, question, answer) in ASKED {
            scope.spawn(move || {
                let Some(mut server) = Setup::of(engine).start() else { return };
                assert!(server.cli(question).contains(answer), "{engine:?}");
                if server.pid() == 0 {
                    return;
                }
                server.kill();
                assert!(TcpStream::connect(server.address()).is_err(), "{engine:?}");
                server.restart();
                assert!(server.cli(question).contains(answer), "{engine:?}");
                server.end();
                assert!(TcpStream::connect(server.address()).is_err(), "{engine:?}");
                let dir = server.dir().to_owned();
                drop(server);
                assert!(!dir.exists(), "{engine:?}");
            });
        }
    });
}

/// What a Redis says, line by line, which is enough to see the wire.
struct Talk(TcpStream);

impl Talk {
    fn with(proxy: &Proxy) -> Talk {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Talk(stream)
    }

    fn ask(&mut self, question: &str, answer: &str) {
        self.0.write_all(format!("{question}\r\n").as_bytes()).unwrap();
        let mut got = vec![0; answer.len() + 2];
        self.0.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), format!("{answer}\r\n"));
    }

    /// Whether the connection was reset, and not ended in order.
    fn is_reset(&mut self) -> bool {
        self.0.read(&mut [0; 64]).is_err_and(|error| error.raw_os_error() == Some(libc::ECONNRESET))
    }

    /// Whether nothing comes within a moment.
    fn is_silent(&mut self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let silent = self.0.read(&mut [0; 64]).is_err();
        self.0.set_read_timeout(Some(LIMIT)).unwrap();
        silent
    }
}

#[test]
fn a_wire_loses_an_answer_and_not_what_was_asked() {
    let Some(server) = Server::shared(Engine::Redis) else { return };
    let proxy = Proxy::to(server.address());
    let mut talk = Talk::with(&proxy);
    talk.ask("SET wire:lost 1", "+OK");
    proxy.lose_answer(2);
    talk.ask("INCR wire:lost", ":2");
    talk.0.write_all(b"INCR wire:lost\r\n").unwrap();
    assert!(talk.is_reset());
    assert_eq!((proxy.lost(), proxy.requests()), (1, 3));
    // It did what it was asked to, and the next connection works.
    let mut talk = Talk::with(&proxy);
    talk.ask("INCR wire:lost", ":4");
    proxy.lose_answer_to(b"wire:lost");
    talk.ask("PING", "+PONG");
    talk.0.write_all(b"INCR wire:lost\r\n").unwrap();
    assert!(talk.is_reset());
    Talk::with(&proxy).ask("INCR wire:lost", ":6");
}

#[test]
fn a_wire_stalls_breaks_and_is_mended() {
    let Some(server) = Server::shared(Engine::Redis) else { return };
    let proxy = Proxy::to(server.address());
    let mut talk = Talk::with(&proxy);
    talk.ask("PING", "+PONG");
    for way in [Way::ToServer, Way::ToClient] {
        proxy.stall(way, true);
        talk.0.write_all(b"ECHO late\r\n").unwrap();
        assert!(talk.is_silent());
        proxy.mend();
        let mut late = [0; 10];
        talk.0.read_exact(&mut late).unwrap();
        assert_eq!(&late, b"$4\r\nlate\r\n");
    }
    proxy.delay(Way::ToClient, Duration::from_millis(100));
    let sent = schedrs::clock::mono();
    talk.ask("PING", "+PONG");
    assert!(schedrs::clock::mono().since(sent) >= Duration::from_millis(100));
    proxy.mend();
    proxy.cut();
    assert!(talk.is_reset());
    assert!(Talk::with(&proxy).is_reset());
    proxy.mend();
    let mut talk = Talk::with(&proxy);
    talk.ask("PING", "+PONG");
    // The server sees the end of what it is asked, and ends too.
    proxy.half_close(Way::ToServer);
    assert_eq!(talk.0.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(proxy.made(), 2);
}

#[test]
fn a_stopped_server_is_silent_and_goes_on() {
    let Some(server) = Server::postgres() else { return };
    server.stop();
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| server.cli("SELECT 6 * 7"));
        // The kernel takes the connection; nobody answers.
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        // A request for TLS, to which the answer is one letter.
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
        assert!(stream.read(&mut [0]).is_err());
        server.cont();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut letter = [0];
        stream.read_exact(&mut letter).unwrap();
        assert_eq!(&letter, b"S");
        asked.join().unwrap()
    });
    assert_eq!(asked, "42");
}

#[test]
fn a_standby_follows_and_is_promoted() {
    let Some(mut primary) = Setup::of(Engine::Postgres).durable().start() else { return };
    primary.cli("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)");
    let standby = Setup::of(Engine::Postgres).durable().follows(&primary).start().unwrap();
    assert_eq!(standby.cli("SELECT pg_is_in_recovery(), count(*) FROM kept"), "t|1");
    primary.kill();
    assert_eq!(standby.cli("SELECT pg_promote()"), "t");
    standby.cli("INSERT INTO kept VALUES (2)");
    assert_eq!(standby.cli("SELECT count(*) FROM kept"), "2");
}

#[test]
fn a_replica_of_redis_follows() {
    let Some(primary) = Setup::of(Engine::Redis).durable().start() else { return };
    let replica = Setup::of(Engine::Redis).durable().follows(&primary).start().unwrap();
    primary.cli("SET kept 1");
    // Waits for the replica to have it.
    let limit = LIMIT.as_millis();
    assert_eq!(primary.cli(&format!("WAIT 1 {limit}")), "1");
    assert_eq!(replica.cli("GET kept"), "1");
}
