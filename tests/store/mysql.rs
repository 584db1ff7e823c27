//! What the store on MySQL or MariaDB does with a server that is not as it should be: one clear line
//! each.

use schedrs::store::location::{self, Location, Opened};
use schedrs::store::{Query, StoreError, Trouble};

use crate::facts::*;
use crate::servers::proxy::Proxy;
use crate::servers::{Engine, Server, Setup, certificate};

fn open(url: &str) -> Result<Opened, StoreError> {
    location::open(&Location::parse(url, std::path::Path::new("/")).unwrap())
}

fn refused(url: &str) -> (Trouble, String) {
    let error = open(url).err().unwrap_or_else(|| panic!("{url} can be opened"));
    (error.kind, error.message)
}

#[test]
fn what_refuses_says_why() {
    let Some(server) = Server::shared(Engine::Mariadb) else { return };
    let port = server.address().port();
    let at = |login: &str, rest: &str| format!("mysql://{login}@127.0.0.1:{port}{rest}");
    let rows = [
        (at("schedrs:wrong", "/schedrs"), Trouble::Denied, "name and password"),
        (at("nobody:secret", "/schedrs"), Trouble::Denied, "too little"),
        (at("schedrs:secret", "/none"), Trouble::Missing, "has no database \"none\""),
        (at("schedrs:secret", ""), Trouble::Other, "names no database"),
        (at("schedrs:secret", "/schedrs?x=1"), Trouble::Other, "unknown parameter \"x\""),
        (at("schedrs", "/schedrs?password_file=/no/such"), Trouble::Denied, "/no/such"),
        ("mysql://127.0.0.1:1/schedrs".to_owned(), Trouble::Unreachable, "cannot be reached"),
    ];
    for (url, kind, words) in rows {
        let (found, message) = refused(&url);
        assert_eq!(found, kind, "{url}: {message}");
        assert!(message.contains(words), "{url}: {message}");
        assert!(!message.contains(":secret") && !message.contains('\n'), "{message}");
    }
}

#[test]
fn a_newer_schema_is_left_alone() {
    let Some(server) = Server::shared(Engine::Mariadb) else { return };
    let url = server.fresh();
    let (_, database) = url.rsplit_once('/').unwrap();
    // Whoever only reads makes nothing.
    let reader = location::reader(&Location::parse(&url, std::path::Path::new("/")).unwrap());
    let missing = reader.and_then(|mut reader| reader.jobs()).unwrap_err();
    assert_eq!(missing.kind, Trouble::Missing);
    drop(open(&url).unwrap());
    // A newer one that this one may use, and one that it may not.
    server.cli(&format!("UPDATE {database}.schedrs_store SET version = 7"));
    drop(open(&url).unwrap());
    server.cli(&format!("UPDATE {database}.schedrs_store SET oldest = 7"));
    let (kind, message) = refused(&url);
    assert_eq!(kind, Trouble::Newer(7));
    assert!(message.contains("newer schedrs"), "{message}");
}

#[test]
fn tls_is_for_the_name_in_the_certificate() {
    let Some(server) = Server::shared(Engine::Mariadb) else { return };
    let url = server.fresh();
    let ca = certificate("ca.pem");
    let ca = ca.display();
    assert!(open(&format!("{}?ssl-ca={ca}", url.replace("127.0.0.1", "localhost"))).is_ok());
    for url in [
        format!("{url}?ssl-ca={ca}"),
        format!("{}?ssl-mode=required", url.replace("127.0.0.1", "localhost")),
    ] {
        let (kind, message) = refused(&url);
        assert_eq!(kind, Trouble::Unreachable, "{message}");
        assert!(message.contains("certificate"), "{message}");
    }
}

/// An answer that is lost is asked for again: the claim is won all the same.
#[test]
fn a_lost_answer_is_not_a_lost_claim() {
    let Some(server) = Server::shared(Engine::Mariadb) else { return };
    let proxy = Proxy::to(server.address());
    let mut store = open(&server.fresh_at(proxy.address().port())).unwrap().store;
    store.commit(&[admitted(1, "a", 10)]).unwrap();
    proxy.lose_answer_to(b"COMMIT");
    let facts = [admitted(2, "a", 20)];
    let error = store.commit(&facts).unwrap_err();
    assert_eq!(error.kind, Trouble::Unreachable, "{error}");
    assert_eq!(store.commit(&facts), Ok(vec![]));
    assert_eq!(store.reader().unwrap().records(&Query::default()).unwrap().len(), 2);
}

#[test]
fn a_server_comes_back() {
    let Some(mut server) = Setup::of(Engine::Mariadb).durable().start() else { return };
    let mut store = open(server.url()).unwrap().store;
    store.commit(&[admitted(1, "a", 10)]).unwrap();
    server.kill();
    assert_eq!(store.commit(&[admitted(2, "a", 20)]).unwrap_err().kind, Trouble::Unreachable);
    server.restart();
    assert_eq!(store.commit(&[admitted(2, "a", 20)]), Ok(vec![]));
    assert_eq!(store.restore().unwrap().open.len(), 2);
}

/// A commit of more bytes than the server takes at once.
#[test]
fn a_commit_may_be_large() {
    let Some(server) = Server::shared(Engine::Mariadb) else { return };
    let mut store = open(&server.fresh()).unwrap().store;
    let tail: Box<[u8]> = vec![0xff; 100_000].into();
    let mut facts = Vec::new();
    for run in 1..120 {
        facts.push(admitted(run, "a", run as i64));
        let (run, tail) = (schedrs::event::RunId(run), tail.clone());
        facts.push(schedrs::store::Fact::Output { run, tail, total: 7 });
    }
    assert_eq!(store.commit(&facts), Ok(vec![]));
    let output = store.reader().unwrap().output(schedrs::event::RunId(119)).unwrap();
    assert_eq!(output, Some((tail.into(), 7)));
}
