//! What the store on MongoDB does with a server that is not as it should be, and how it does without
//! transactions: with a claim that waits to be confirmed, and a death that is told of in two steps.

use mongodb::bson::{Document, doc};
use schedrs::event::RunId;
use schedrs::fleet::{Lost, Member, SessionId, Standing};
use schedrs::outcome::Outcome;
use schedrs::store::location::{self, Location, Opened};
use schedrs::store::shared::Shared;
use schedrs::store::{Fact, Query, RunRecord, Trouble};

use crate::facts::*;
use crate::outages::{self, all_refused, open, refused};
use crate::servers::proxy::Proxy;
use crate::servers::{Engine, Server, certificate};

const A: SessionId = SessionId(0xa);
const B: SessionId = SessionId(0xb);

/// Has the server do something that no store would.
fn command(url: &str, command: Document) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (place, _) = url.split_once('?').unwrap();
    runtime.block_on(async {
        let client = mongodb::Client::with_uri_str(place).await.unwrap();
        client.database("schedrs").run_command(command).await.unwrap();
    });
}

/// The name of a collection of the store.
fn collection(url: &str, name: &str) -> String {
    format!("{}_{name}", url.rsplit_once("name=").unwrap().1)
}

fn joined(url: &str, id: SessionId) -> Opened {
    let mut opened = open(url).unwrap();
    let me = Member { jobfile_hash: 1, ..Member::new(id, &format!("web{}", id.0)) };
    opened.store.shared().unwrap().join(&me, &[]).unwrap();
    opened
}

fn shared(opened: &mut Opened) -> &mut dyn Shared {
    opened.store.shared().unwrap()
}

fn begun(run: u64, due: i64) -> Vec<Fact> {
    let (due, run_id) = (at(due), RunId(run));
    let claim = Fact::Admitted {
        run: run_id,
        job: "a".into(),
        due,
        at: due,
        by: None,
        host: None,
        slot: Some(0),
    };
    vec![claim, starting(run, 1)]
}

fn records(opened: &Opened) -> Vec<RunRecord> {
    opened.store.reader().unwrap().records(&Query::default()).unwrap()
}

#[test]
fn what_refuses_says_why() {
    let Some(server) = Server::shared(Engine::Mongodb) else { return };
    let url = server.fresh();
    let mut rows = vec![
        ("mongodb://127.0.0.1:1/x".to_owned(), Trouble::Unreachable, "cannot be reached"),
        ("mongodb://none.invalid/x".to_owned(), Trouble::Unreachable, "cannot be reached"),
        (format!("{url}&nmae=x"), Trouble::Other, "unknown parameter \"nmae\""),
        (format!("{url}&password_file=/no/such"), Trouble::Denied, "/no/such cannot be read"),
        (
            "mongodb+srv://ann:s3cret@db/x".to_owned(),
            Trouble::Other,
            "name them, as mongodb://HOST,HOST/DATABASE",
        ),
    ];
    if server.pid() > 0 {
        let port = server.port();
        let at = |rest: &str| format!("mongodb://ann:s3cret@127.0.0.1:{port}/x{rest}");
        rows.push((at(""), Trouble::Denied, "name and password"));
        rows.push((
            format!("mongodb://127.0.0.1:{port}/x?tls=true"),
            Trouble::Unreachable,
            "cannot be reached",
        ));
    }
    all_refused("s3cret", &rows);
}

#[test]
fn a_newer_schema_is_left_alone() {
    let Some(server) = Server::shared(Engine::Mongodb) else { return };
    let url = server.fresh();
    // Whoever only reads makes nothing.
    let missing = location::reader(&Location::parse(&url, std::path::Path::new("/")).unwrap());
    let missing = missing.unwrap_err();
    assert_eq!(missing.kind, Trouble::Missing);
    assert!(missing.message.contains("`schedrs run` creates it"), "{missing}");
    drop(open(&url).unwrap());
    let set = |fields: Document| {
        let update = doc! { "q": { "_id": "fleet" }, "u": { "$set": fields } };
        command(&url, doc! { "update": collection(&url, "fleet"), "updates": [update] });
    };
    // A newer one that this one may use, and one that it may not.
    set(doc! { "schema": 7 });
    drop(open(&url).unwrap());
    set(doc! { "oldest": 7 });
    let (kind, message) = refused(&url);
    assert_eq!(kind, Trouble::Newer(7));
    assert!(message.contains("newer schedrs"), "{message}");
}

/// Several hosts begin at once, with nothing there.
#[test]
fn eight_make_it_once() {
    let Some(server) = Server::shared(Engine::Mongodb) else { return };
    let url = &server.fresh();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| open(url).map(drop))).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Ok(()));
        }
    });
    assert_eq!(open(url).unwrap().store.restore().unwrap().next_run, 1);
}

#[test]
fn tls_is_for_the_name_in_the_certificate() {
    let plain = Server::shared(Engine::Mongodb).filter(|server| server.pid() > 0);
    let Some(server) = plain.and_then(Server::behind_tls) else { return };
    let (port, ca) = (server.port(), certificate("ca.pem"));
    let at = |host: &str, more: &str| format!("mongodb://{host}:{port}/tls?tls=true{more}");
    let ca = format!("&tlsCAFile={}", ca.display());
    assert!(open(&at("localhost", &ca)).is_ok());
    let rows = [
        (at("127.0.0.1", &ca), Trouble::Unreachable, "certificate is for another name"),
        (at("localhost", ""), Trouble::Unreachable, "unknown authority; name that with tlsCAFile"),
        (at("localhost", "&tlsCAFile=/none"), Trouble::Other, "/none"),
    ];
    all_refused("s3cret", &rows);
}

#[test]
fn a_lost_answer_is_not_a_lost_claim() {
    outages::a_lost_answer_is_not_a_lost_claim(Engine::Mongodb, b"insert");
}

#[test]
fn a_server_comes_back() {
    outages::a_server_comes_back(Engine::Mongodb);
}

#[test]
fn a_link_that_breaks_is_made_anew() {
    if std::env::var_os("SCHEDRS_TEST_MONGODB").is_none() {
        outages::a_link_that_breaks_is_made_anew(Engine::Mongodb);
    }
}

/// A host dies between the claim and its confirmation: nothing has begun, and the due time is free.
#[test]
fn a_claim_that_was_not_confirmed_is_no_run() {
    let Some(server) = Server::shared(Engine::Mongodb).filter(|server| server.pid() > 0) else {
        return;
    };
    let url = server.fresh();
    let proxy = Proxy::to(server.address());
    let wired = url.replace(&server.port().to_string(), &proxy.port().to_string());
    let (mut a, mut b) = (joined(&url, A), joined(&wired, B));
    shared(&mut b).commit(B, 0, &begun(301, 10)).unwrap();
    shared(&mut b).commit(B, 0, &[ended(301, "a", Outcome::Succeeded, 12)]).unwrap();
    proxy.lose_answer_to(b"insert");
    let error = shared(&mut b).commit(B, 0, &begun(302, 20)).unwrap_err();
    assert_eq!(error.kind, Trouble::Unreachable, "{error}");
    assert_eq!(records(&a).len(), 2, "it is there");
    let view = shared(&mut a).beat(&Member::new(A, "web10")).unwrap();
    let beat = view.members.iter().find(|member| member.id == B).unwrap().beat;
    assert_eq!(shared(&mut a).reap(A, B, beat), Ok(true));
    assert_eq!(records(&a).len(), 1, "and gone");
    assert_eq!(shared(&mut a).commit(A, 0, &begun(1, 20)).unwrap().lost, []);
    // The same commit once more comes too late.
    let error = shared(&mut b).commit(B, 0, &begun(302, 20)).unwrap_err();
    assert_eq!(error.kind, Trouble::Fenced, "{error}");
    assert_eq!(records(&a)[0].run, Some(RunId(1)));
}

/// The claim of a session that is dead arrives when all of its claims have been looked at.
#[test]
fn a_claim_that_is_late_is_in_nobodys_way() {
    let Some(server) = Server::shared(Engine::Mongodb) else { return };
    let url = server.fresh();
    let (mut a, mut b) = (joined(&url, A), joined(&url, B));
    let done = shared(&mut b).commit(B, 0, &begun(301, 10)).unwrap();
    assert_eq!(shared(&mut a).reap(A, B, done.beat), Ok(true));
    // Whoever has the job says what has become of what it left.
    let lost = Outcome::Lost("host web11 was silent".into());
    shared(&mut a).commit(A, 0, &[ended(301, "a", lost, 15)]).unwrap();
    let late = |run: i64, due: i64| {
        let micros = at(due).micros();
        doc! {
            "_id": format!("a\0{micros}\0"), "seq": run, "job": "a", "due": micros,
            "last_due": micros, "count": 1, "at": micros, "attempts": 1, "for": "", "host": "web11",
            "session": B.to_string(), "needs": done.beat as i64 + 1, "run": run, "open": 1, "slot": 0,
        }
    };
    let insert = |document: Document| {
        command(&url, doc! { "insert": collection(&url, "record"), "documents": [document] });
    };
    insert(late(302, 20));
    // Neither its due time nor its slot is taken.
    assert_eq!(shared(&mut a).commit(A, 0, &begun(1, 20)).unwrap().lost, []);
    shared(&mut a).commit(A, 0, &[ended(1, "a", Outcome::Succeeded, 21)]).unwrap();
    insert(late(303, 30));
    assert_eq!(shared(&mut a).commit(A, 0, &begun(2, 40)).unwrap().lost, []);
    shared(&mut a).commit(A, 0, &[ended(2, "a", Outcome::Succeeded, 41)]).unwrap();
    insert(late(304, 50));
    assert_eq!(shared(&mut a).take_up(&[]).unwrap().open, []);
    let runs: Vec<_> = records(&a).iter().filter_map(|record| record.run).collect();
    assert_eq!(runs, [RunId(2), RunId(1), RunId(301)]);
}

/// Whoever has marked a session as dead dies before it has looked at its claims: somebody else does.
#[test]
fn what_a_dead_reaper_leaves_is_done_by_others() {
    let Some(server) = Server::shared(Engine::Mongodb) else { return };
    let url = server.fresh();
    let (mut a, mut b) = (joined(&url, A), joined(&url, B));
    let done = shared(&mut b).commit(B, 0, &begun(301, 10)).unwrap();
    let micros = at(20).micros();
    let unconfirmed = doc! {
        "_id": format!("a\0{micros}\0"), "seq": 302, "job": "a", "due": micros, "last_due": micros,
        "count": 1, "at": micros, "attempts": 1, "for": "", "host": "web11",
        "session": B.to_string(), "needs": done.beat as i64 + 1, "run": 302, "open": 1,
    };
    command(&url, doc! { "insert": collection(&url, "record"), "documents": [unconfirmed] });
    assert_eq!(records(&a).len(), 2);
    let field = |name: &str| format!("members.s{B}.{name}");
    let gone = doc! { "by": SessionId(0xc).to_string() };
    let set = doc! { field("gone"): gone, field("gone_at"): at(100).micros() };
    let update = doc! { "q": { "_id": "fleet" }, "u": { "$set": set } };
    command(&url, doc! { "update": collection(&url, "fleet"), "updates": [update] });
    let view = shared(&mut a).beat(&Member::new(A, "web10")).unwrap();
    assert!(matches!(view.me, Standing::Alive { .. }));
    let left: Vec<_> = records(&a).iter().map(|record| record.run).collect();
    assert_eq!(left, [Some(RunId(301))]);
    assert_eq!(
        shared(&mut a).commit(A, 0, &begun(1, 20)).unwrap().lost.len(),
        1,
        "the slot is 301's"
    );
    let done = shared(&mut a).commit(A, 0, &begun(2, 10)).unwrap();
    assert_eq!(done.lost, [(RunId(2), Lost::Taken { session: B, run: RunId(301) })]);
}
