//! What the store on Redis does with a server that is not as it should be: one clear line each.

use schedrs::store::{Query, Trouble};

use crate::facts::*;
use crate::outages::{self, all_refused, open, refused};
use crate::servers::{Engine, Server, Setup, certificate};

#[test]
fn what_refuses_says_why() {
    let Some(server) = Setup::of(Engine::Redis).start() else { return };
    let (port, url) = (server.address().port(), server.url());
    server.cli("ACL SETUSER ann on >s3cret ~* +@all -eval");
    server.cli("ACL SETUSER bob on >s3cret ~other:* +@all");
    let rows = [
        (format!("redis://ann:wrong@127.0.0.1:{port}"), Trouble::Denied, "name and password"),
        (format!("redis://ann:s3cret@127.0.0.1:{port}"), Trouble::Denied, "denies this user"),
        (format!("redis://bob:s3cret@127.0.0.1:{port}"), Trouble::Denied, "denies this user"),
        (format!("redis://127.0.0.1:{port}/10001"), Trouble::Missing, "has no database 10001"),
        ("redis://127.0.0.1:1".to_owned(), Trouble::Unreachable, "cannot be reached"),
        ("redis://none.invalid".to_owned(), Trouble::Unreachable, "cannot be reached"),
        ("redis:///no/such/socket".to_owned(), Trouble::Unreachable, "cannot be reached"),
        (format!("{url}?password_file=/no/such"), Trouble::Denied, "/no/such cannot be read"),
        (format!("{url}?nmae=x"), Trouble::Other, "unknown parameter \"nmae\""),
        (format!("rediss://127.0.0.1:{port}"), Trouble::Unreachable, "does not answer in time"),
    ];
    all_refused("s3cret", &rows);
    server.cli("CONFIG SET requirepass secret");
    let (kind, message) = refused(url);
    assert_eq!((kind, message.contains("name and password")), (Trouble::Denied, true), "{message}");
}

#[test]
fn a_server_that_would_forget_is_refused_or_told_of() {
    let Some(server) = Setup::of(Engine::Redis).start() else { return };
    let warnings = open(server.url()).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("loses everything"), "{warnings:?}");
    server.cli("CONFIG SET appendonly yes");
    assert_eq!(open(server.url()).unwrap().warnings, [""; 0]);
    server.cli("CONFIG SET maxmemory-policy allkeys-lru");
    let (kind, message) = refused(server.url());
    assert!(kind == Trouble::Other && message.contains("must be noeviction"), "{message}");
}

#[test]
fn a_newer_schema_is_left_alone() {
    let Some(server) = Server::shared(Engine::Redis) else { return };
    let url = format!("{}?name=newer", server.url());
    drop(open(&url).unwrap());
    server.cli("HSET schedrs:{newer}:fleet schema 7");
    let (kind, message) = refused(&url);
    assert_eq!(kind, Trouble::Newer(7));
    assert!(message.contains("newer schedrs"), "{message}");
}

/// Two names are two stores.
#[test]
fn names_share_a_database() {
    let Some(server) = Server::shared(Engine::Redis) else { return };
    let url = server.fresh();
    let mut one = open(&format!("{url}?name=one")).unwrap().store;
    let two = open(&format!("{url}?name=two")).unwrap().store;
    one.commit(&[admitted(1, "a", 10)]).unwrap();
    assert_eq!(two.reader().unwrap().records(&Query::default()), Ok(vec![]));
    assert_eq!(one.reader().unwrap().records(&Query::default()).unwrap().len(), 1);
}

#[test]
fn tls_is_for_the_name_in_the_certificate() {
    let Some(server) = Server::shared(Engine::Redis) else { return };
    let (port, ca) = (server.tls_port(), certificate("ca.pem"));
    let ca = ca.display();
    assert!(open(&format!("rediss://localhost:{port}/9001?ca={ca}")).is_ok());
    for (url, why) in [
        (format!("rediss://127.0.0.1:{port}/9001?ca={ca}"), "certificate is for another name"),
        (format!("rediss://localhost:{port}/9001"), "unknown authority; name that with ca=FILE"),
    ] {
        let (kind, message) = refused(&url);
        assert_eq!(kind, Trouble::Unreachable, "{message}");
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn a_lost_answer_is_not_a_lost_claim() {
    outages::a_lost_answer_is_not_a_lost_claim(Engine::Redis, b"EVALSHA");
}

#[test]
fn a_server_comes_back() {
    // The scripts of a Redis are gone with it.
    outages::a_server_comes_back(Engine::Redis);
}

#[test]
fn a_link_that_breaks_is_made_anew() {
    outages::a_link_that_breaks_is_made_anew(Engine::Redis);
}

#[test]
fn a_server_without_memory_takes_nothing() {
    let Some(server) = Setup::of(Engine::Redis).start() else { return };
    let set = |ill| drop(server.cli(&format!("CONFIG SET maxmemory {}", u8::from(ill))));
    let count = || outages::records(server.url());
    let said = (Trouble::Full, "is out of memory");
    outages::a_server_that_takes_nothing(server.url(), set, count, said);
}

/// Its directory cannot be written, which it notices when it saves.
#[test]
fn a_server_without_a_disk_takes_nothing() {
    let setup = Setup::of(Engine::Redis).option("--enable-protected-configs").option("yes");
    let Some(server) = setup.option("--save").option("1000 1").start() else { return };
    let mut store = open(server.url()).unwrap().store;
    store.commit(&[admitted(1, "a", 10)]).unwrap();
    assert_eq!(server.cli("CONFIG SET dir /proc"), "OK");
    server.cli("BGSAVE");
    let failed = || server.cli("INFO persistence").contains("rdb_last_bgsave_status:err");
    assert!((0..1000).any(|_| failed()), "it saves in /proc");
    let error = store.commit(&[admitted(2, "a", 20)]).unwrap_err();
    assert_eq!(error.kind, Trouble::Full, "{error}");
    assert!(error.message.contains("cannot write to its disk"), "{error}");
    assert_eq!(store.reader().unwrap().records(&Query::default()).unwrap().len(), 1);
}

#[test]
fn a_replica_is_no_place_to_write() {
    let Some(primary) = Setup::of(Engine::Redis).durable().start() else { return };
    let replica = Setup::of(Engine::Redis).durable().follows(&primary).start().unwrap();
    let (kind, message) = refused(replica.url());
    assert_eq!((kind, message.contains("is a replica")), (Trouble::ReadOnly, true), "{message}");
}
