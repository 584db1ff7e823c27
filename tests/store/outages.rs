//! What a store on any server does when that refuses, loses an answer or goes away: the engines'
//! tests begin here.

use std::path::Path;

use schedrs::event::RunId;
use schedrs::store::location::{self, Location, Opened};
use schedrs::store::{Query, StoreError, Trouble};

use crate::facts::*;
use crate::servers::proxy::{Proxy, Way};
use crate::servers::{Engine, Server, Setup};

pub(crate) fn open(url: &str) -> Result<Opened, StoreError> {
    location::open(&Location::parse(url, Path::new("/")).unwrap())
}

pub(crate) fn refused(url: &str) -> (Trouble, String) {
    let error = open(url).err().unwrap_or_else(|| panic!("{url} can be opened"));
    (error.kind, error.message)
}

/// Each URL is refused for what its row says, in one line and without the password.
pub(crate) fn all_refused(password: &str, rows: &[(String, Trouble, &str)]) {
    for (url, kind, words) in rows {
        let (found, message) = refused(url);
        assert_eq!(found, *kind, "{url}: {message}");
        assert!(message.contains(words), "{url}: {message}");
        assert!(!message.contains(password) && !message.contains('\n'), "{message}");
    }
}

/// An answer that is lost is asked for again: the claim is won all the same. `last` is in the last
/// question of a commit.
pub(crate) fn a_lost_answer_is_not_a_lost_claim(engine: Engine, last: &[u8]) {
    let Some(server) = Server::shared(engine) else { return };
    let proxy = Proxy::to(server.address());
    let mut store = open(&server.fresh_at(proxy.address().port())).unwrap().store;
    store.commit(&[admitted(1, "a", 10)]).unwrap();
    proxy.lose_answer_to(last);
    let facts = [admitted(2, "a", 20)];
    let error = store.commit(&facts).unwrap_err();
    assert_eq!(error.kind, Trouble::Unreachable, "{error}");
    assert_eq!(store.commit(&facts), Ok(vec![]));
    assert_eq!(store.reader().unwrap().records(&Query::default()).unwrap().len(), 2);
}

pub(crate) fn a_server_comes_back(engine: Engine) {
    let Some(mut server) = Setup::of(engine).durable().start() else { return };
    let mut store = open(server.url()).unwrap().store;
    store.commit(&[admitted(1, "a", 10)]).unwrap();
    server.kill();
    assert_eq!(store.commit(&[admitted(2, "a", 20)]).unwrap_err().kind, Trouble::Unreachable);
    server.restart();
    assert_eq!(store.commit(&[admitted(2, "a", 20)]), Ok(vec![]));
    assert_eq!(store.restore().unwrap().open.len(), 2);
}

/// A connection that breaks, or says nothing any more, is of no use after that, and the next call has a
/// new one. What was late is not taken for another's answer.
pub(crate) fn a_link_that_breaks_is_made_anew(engine: Engine) {
    let Some(server) = Server::shared(engine) else { return };
    let proxy = Proxy::to(server.address());
    let mut store = open(&server.fresh_at(proxy.port())).unwrap().store;
    store.commit(&[admitted(1, "a", 10)]).unwrap();
    proxy.cut();
    for _ in 0..2 {
        let error = store.commit(&[admitted(2, "a", 20)]).unwrap_err();
        assert_eq!(error.kind, Trouble::Unreachable, "{error}");
        assert!(!error.message.contains('\n'), "{error}");
    }
    proxy.mend();
    assert_eq!(store.commit(&[admitted(2, "a", 20)]), Ok(vec![]));
    proxy.stall(Way::ToClient, true);
    let sent = schedrs::clock::mono();
    let error = store.commit(&[admitted(3, "a", 30)]).unwrap_err();
    assert_eq!(error.kind, Trouble::Unreachable, "{error}");
    // It is waited for 10 s, once.
    assert!(schedrs::clock::mono().since(sent).as_secs() < 19);
    proxy.mend();
    assert_eq!(store.commit(&[admitted(3, "a", 30), admitted(4, "a", 20)]), Ok(vec![RunId(4)]));
    assert_eq!(store.restore().unwrap().open.len(), 3);
}

/// A server that can be read and takes nothing says so, and has taken nothing; once it takes something
/// again, so does the store. `set` makes it ill and well; `count` counts what it has.
pub(crate) fn a_server_that_takes_nothing(
    url: &str,
    set: impl Fn(bool),
    count: impl Fn() -> usize,
    (kind, words): (Trouble, &str),
) {
    let mut store = open(url).unwrap().store;
    store.commit(&[admitted(1, "a", 10)]).unwrap();
    set(true);
    let error = store.commit(&[admitted(2, "a", 20)]).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(words), "{error}");
    assert!(!error.message.contains('\n'), "{error}");
    assert_eq!(count(), 1);
    set(false);
    assert_eq!(store.commit(&[admitted(2, "a", 20)]), Ok(vec![]));
    assert_eq!(count(), 2);
}

/// How many records a store has.
pub(crate) fn records(url: &str) -> usize {
    let location = Location::parse(url, Path::new("/")).unwrap();
    location::reader(&location).unwrap().records(&Query::default()).unwrap().len()
}
