//! What a PostgreSQL can do to a store: refuse, be away, lose an answer, be another one.

use std::time::Duration;

use schedrs::event::RunId;
use schedrs::fleet::{Member, SessionId, Standing};
use schedrs::outcome::Outcome;
use schedrs::store::postgres::{self, Postgres};
use schedrs::store::shared::Shared;
use schedrs::store::url::SharedUrl;
use schedrs::store::{Fact, Query, Reader, Store, StoreError, Trouble};

use crate::facts::*;
use crate::outages;
use crate::servers::pooler::Pooler;
use crate::servers::proxy::{Proxy, Way};
use crate::servers::{Engine, Server, Setup, certificate};

fn try_open(url: &str) -> Result<Postgres, StoreError> {
    Postgres::open(&SharedUrl::parse(url).unwrap())
}

fn opened(url: &str) -> Postgres {
    try_open(url).unwrap()
}

fn count(url: &str) -> usize {
    let mut reader = postgres::reader(&SharedUrl::parse(url).unwrap()).unwrap();
    reader.records(&Query::default()).unwrap().len()
}

fn member(id: u64) -> Member {
    Member { jobfile_hash: 1, ..Member::new(SessionId(id), "web1") }
}

/// One line each, of the right kind, without the password.
#[test]
fn what_is_refused_is_said_in_a_line() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let port = server.port();
    let at = |user: &str, rest: &str| format!("postgres://{user}@127.0.0.1:{port}/{rest}");
    let authority = certificate("ca.pem");
    let authority = authority.display();
    let newer = server.fresh();
    drop(opened(&newer));
    let schema = newer.rsplit_once("schema=").unwrap().1;
    server.cli(&format!("UPDATE {schema}.store SET version = 9, oldest = 9"));
    server.cli("CREATE SCHEMA strange; CREATE TABLE strange.store (version text)");
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let rows = [
        (at("locked:wr0ng", "postgres"), Trouble::Denied, "password authentication failed"),
        (at("locked", "postgres"), Trouble::Denied, "put it in the URL, $PGPASSWORD or"),
        (at("schedrs", "none"), Trouble::Missing, "database \"none\" does not exist; create it"),
        (at("nobody", "postgres?schema=theirs"), Trouble::Denied, "permission denied for database"),
        (at("stranger", "postgres"), Trouble::Denied, "role \"stranger\" does not exist"),
        (newer, Trouble::Newer(9), "from a newer schedrs (schema 9; this one knows up to 3)"),
        (at("schedrs", "postgres?schema=strange"), Trouble::Other, "use another schema"),
        (format!("postgres://x@127.0.0.1:{free}/x"), Trouble::Unreachable, "Connection refused"),
        ("postgres://x@none.invalid/x".into(), Trouble::Unreachable, "none.invalid:5432: "),
        (
            at("schedrs", &format!("postgres?sslmode=verify-full&sslrootcert={authority}")),
            Trouble::Unreachable,
            "certificate is for another name",
        ),
        (
            at("schedrs", "postgres?sslmode=require"),
            Trouble::Unreachable,
            "of an unknown authority; name that with sslrootcert=FILE",
        ),
    ];
    for (url, kind, expected) in rows {
        let error = try_open(&url).expect_err(&url);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(expected), "{error}");
        assert!(!error.message.contains("wr0ng") && !error.message.contains('\n'), "{error}");
    }
}

#[test]
fn with_a_password_and_with_tls() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let (port, authority) = (server.port(), certificate("ca.pem"));
    server.cli("GRANT CREATE ON DATABASE postgres TO locked");
    let url = format!(
        "postgres://locked:secret@localhost:{port}/postgres?schema=over_tls&sslmode=verify-full\
         &sslrootcert={}",
        authority.display()
    );
    let mut store = opened(&url);
    Store::commit(&mut store, &whole(1, "a", 10, Outcome::Succeeded)).unwrap();
    assert_eq!(count(&url), 1);
    let ssl = "SELECT count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE usename = 'locked' AND ssl";
    assert_eq!(server.cli(ssl), "t");
    // By the Unix socket as well, with the same tables.
    let dir = server.dir().display().to_string().replace('/', "%2F");
    let url = format!("postgres://schedrs@{dir}:{port}/postgres?schema=over_tls");
    assert_eq!(count(&url), 1);
}

/// The most valuable fault: it was done, and nobody has said so.
#[test]
fn a_commit_whose_answer_is_lost_is_done_again() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let proxy = Proxy::to(server.address());
    let url = server.fresh_at(proxy.port());
    let mut store = opened(&url);
    store.join(&member(1), &[]).unwrap();
    proxy.lose_answer_to(b"COMMIT");
    let facts = whole(1, "a", 10, Outcome::Failed(3));
    let me = SessionId(1);
    assert_eq!(Shared::commit(&mut store, me, 0, &facts).unwrap_err().kind, Trouble::Unreachable);
    assert_eq!((proxy.lost(), count(&url)), (1, 1), "it was done");
    let done = Shared::commit(&mut store, me, 0, &facts).unwrap();
    assert_eq!((done.lost, count(&url)), (vec![], 1));
    assert_eq!(done.beat, 3, "both counted as beats");
}

#[test]
fn a_commit_is_one_round_trip() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let proxy = Proxy::to(server.address());
    let mut store = opened(&server.fresh_at(proxy.port()));
    store.join(&member(1), &[]).unwrap();
    let mut facts = Vec::new();
    for run in 1..200 {
        facts.extend(whole(run, &format!("j{run}"), 10, Outcome::Succeeded));
    }
    // The server answers before it has all of it. Held for longer than the client takes to send
    // the rest, an answer that the client waits for can be told from one that it does not.
    proxy.delay(Way::ToClient, Duration::from_secs(1));
    let before = proxy.requests();
    Shared::commit(&mut store, SessionId(1), 0, &facts).unwrap();
    assert_eq!(proxy.requests() - before, 1);
    proxy.mend();
    // What has come before gets a name first, once.
    for (round, of_beat, of_commit) in [(1, 1, 2), (2, 1, 1), (3, 1, 1)] {
        let before = proxy.requests();
        store.beat(&member(1)).unwrap();
        assert_eq!(proxy.requests() - before, of_beat, "{round}");
        let before = proxy.requests();
        let facts = whole(200 + round, "a", 10 + round as i64, Outcome::Succeeded);
        Shared::commit(&mut store, SessionId(1), 0, &facts).unwrap();
        assert_eq!(proxy.requests() - before, of_commit, "{round}");
    }
}

/// Each transaction has another connection to the server.
#[test]
fn behind_a_pooler_statements_have_no_names() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let Some(pooler) = Pooler::before(server, 3) else { return };
    let url = server.fresh_at(pooler.port());
    let mut hosts = [opened(&url), opened(&url)];
    for (store, id) in hosts.iter_mut().zip(1..) {
        store.join(&member(id), &[]).unwrap();
    }
    for round in 0..20 {
        for (store, id) in hosts.iter_mut().zip(1..) {
            let run = 2 * round + id;
            let facts = whole(run, &format!("j{id}"), 10 + round as i64, Outcome::Succeeded);
            let done = Shared::commit(store, SessionId(id), 0, &facts).unwrap();
            assert_eq!(done.lost, [], "{round}");
            store.beat(&member(id)).unwrap();
        }
    }
    assert_eq!(count(&url), 40);
}

/// What another client of the pooler has prepared under the same names is not executed.
#[test]
fn behind_a_pooler_a_name_may_be_of_others() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let Some(pooler) = Pooler::before(server, 1) else { return };
    let url = server.fresh_at(pooler.port());
    let mut store = opened(&url);
    store.join(&member(1), &[]).unwrap();
    let commit = |store: &mut Postgres, run: u64| {
        let facts = whole(run, "a", 10 * run as i64, Outcome::Succeeded);
        assert_eq!(Shared::commit(store, SessionId(1), 0, &facts).unwrap().lost, [], "{run}");
    };
    (1..4).for_each(|run| commit(&mut store, run));
    let marked = "SELECT set_config('schedrs.connection', 'other', false); DEALLOCATE ALL";
    let names = (0..1000).map(|name| format!("; PREPARE s{name} AS SELECT 1"));
    pooler.other_client(&[marked.to_owned()].into_iter().chain(names).collect::<String>());
    (4..7).for_each(|run| commit(&mut store, run));
    assert_eq!(count(&url), 6);
}

/// Its connections are of no use after that, and the next call has a new one.
#[test]
fn a_link_that_breaks_is_made_anew() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let proxy = Proxy::to(server.address());
    let url = server.fresh_at(proxy.port());
    let mut store = opened(&url);
    for run in [1, 2] {
        proxy.reset();
        let facts = [admitted(run, "a", run as i64)];
        // Whether the client has noticed by then is a matter of luck.
        if Store::commit(&mut store, &facts).is_err() {
            Store::commit(&mut store, &facts).unwrap();
        }
    }
    proxy.cut();
    assert_eq!(store.restore().unwrap_err().kind, Trouble::Unreachable);
    assert_eq!(store.restore().unwrap_err().kind, Trouble::Unreachable);
    proxy.mend();
    assert_eq!(store.restore().unwrap().open.len(), 2);
    // What is late is not waited for, and its answer is not taken for another's.
    proxy.stall(Way::ToClient, true);
    let sent = schedrs::clock::mono();
    let error = store.restore().unwrap_err();
    assert_eq!(error.kind, Trouble::Unreachable, "{error}");
    // For 10 s, once.
    assert!(schedrs::clock::mono().since(sent) < Duration::from_secs(19));
    proxy.mend();
    assert_eq!(Store::commit(&mut store, &[admitted(3, "a", 2)]).unwrap(), [RunId(3)]);
}

#[test]
fn a_server_that_is_killed_keeps_what_it_has_answered() {
    let Some(mut server) = Setup::of(Engine::Postgres).durable().start() else { return };
    let url = server.fresh();
    let mut store = opened(&url);
    store.join(&member(1), &[]).unwrap();
    let before = store.beat(&member(1)).unwrap();
    Shared::commit(&mut store, SessionId(1), 0, &whole(1, "a", 10, Outcome::Succeeded)).unwrap();
    server.kill();
    let facts = [admitted(2, "a", 20)];
    let error = Shared::commit(&mut store, SessionId(1), 0, &facts).unwrap_err();
    assert_eq!(error.kind, Trouble::Unreachable, "{error}");
    server.restart();
    assert_eq!(Shared::commit(&mut store, SessionId(1), 0, &facts).unwrap().lost, []);
    let after = store.beat(&member(1)).unwrap();
    assert_eq!((after.identity, after.me), (before.identity, Standing::Alive { beat: 5 }));
    assert_eq!(count(&url), 2);
}

/// The first host of the URL dies, the second takes its place: another identity, which tells that
/// something may be missing.
#[test]
fn a_standby_takes_over() {
    let Some(mut primary) = Setup::of(Engine::Postgres).durable().start() else { return };
    let standby = Setup::of(Engine::Postgres).durable().follows(&primary).start().unwrap();
    let (first, second) = (primary.address(), standby.address());
    // The standby first: it may not be written, so that it is passed over.
    let url = format!("postgres://schedrs@{second},{first}/postgres");
    let mut store = opened(&url);
    let before = store.join(&member(1), &[]).unwrap();
    Shared::commit(&mut store, SessionId(1), 0, &[admitted(1, "a", 10)]).unwrap();
    // Alone it is no store, and can be read.
    let alone = format!("postgres://schedrs@{second}/postgres");
    let error = try_open(&alone).unwrap_err();
    assert!(error.message.contains("it may only be read, as a standby"), "{error}");
    while standby.cli("SELECT pg_last_wal_replay_lsn()")
        < primary.cli("SELECT pg_current_wal_lsn()")
    {}
    let mut reader = postgres::reader(&SharedUrl::parse(&alone).unwrap()).unwrap();
    let found = reader.records(&Query::default()).unwrap();
    assert_eq!((found.len(), found[0].run), (1, Some(RunId(1))));
    assert_eq!(reader.members().unwrap().len(), 1);
    primary.cli("SELECT pg_switch_wal()");
    primary.kill();
    let error = store.beat(&member(1)).unwrap_err();
    assert_eq!(error.kind, Trouble::Unreachable);
    standby.cli("SELECT pg_promote()");
    let after = store.beat(&member(1)).unwrap();
    assert!(!before.identity.is_empty());
    assert_ne!(after.identity, before.identity);
    assert_eq!(
        Shared::commit(&mut store, SessionId(1), 0, &[admitted(1, "a", 10)]).unwrap().lost,
        []
    );
}

#[test]
fn a_server_that_may_only_be_read_takes_nothing() {
    let Some(server) = Setup::of(Engine::Postgres).start() else { return };
    let set = |ill| {
        let to = if ill { "on" } else { "off" };
        server.cli(&format!("ALTER SYSTEM SET default_transaction_read_only = {to}"));
        server.cli("SELECT pg_reload_conf()");
        let is = || server.cli("SHOW default_transaction_read_only");
        assert!((0..1000).any(|_| is() == to));
        server.cli(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'schedrs'",
        );
    };
    let count = || server.cli("SELECT count(*) FROM schedrs.record").parse().unwrap();
    let url = server.url();
    // The connection is lost together with the right to write, and which of them is said is luck.
    let said = (Trouble::Unreachable, "");
    outages::a_server_that_takes_nothing(url, set, count, said);
}

/// Several hosts begin at once, with nothing there.
#[test]
fn eight_make_the_tables_once() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let url = &server.fresh();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| try_open(url).map(drop))).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Ok(()));
        }
    });
    assert_eq!(count(url), 0);
}

/// Hosts are updated one by one: who is newer brings the tables up to date, and who is older goes on.
#[test]
fn older_tables_become_the_newest() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let url = server.fresh();
    let schema = url.rsplit_once("schema=").unwrap().1;
    let begun = [Fact::Job(job("a", 0).into()), admitted(1, "a", 10)];
    Store::commit(&mut opened(&url), &begun).unwrap();
    server.cli(&format!("DROP TABLE {schema}.entry; UPDATE {schema}.store SET version = 1"));
    let columns = NEW_COLUMNS.map(|column| format!("DROP COLUMN {column}")).join(", ");
    server.cli(&format!("ALTER TABLE {schema}.record {columns}"));
    let mut reader = postgres::reader(&SharedUrl::parse(&url).unwrap()).unwrap();
    assert_eq!((reader.entries("x"), reader.lists()), (Ok(vec![]), Ok(vec![])));
    assert_eq!(usages(&mut reader), [None]);
    let facts = [entry("x", "k", Some("v")), ended(1, "a", Outcome::Succeeded, 12)];
    Store::commit(&mut opened(&url), &facts).unwrap();
    assert_eq!(reader.entries("x"), Ok(vec![("k".into(), "v".into())]));
    assert_eq!(usages(&mut reader), [Some(used(1))]);
    assert_eq!(reader.jobs().unwrap().len(), 1);
    let versions = server.cli(&format!("SELECT version, oldest FROM {schema}.store"));
    assert!(versions.contains('3') && versions.contains('1'), "{versions}");
}

#[test]
fn reading_makes_nothing() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let url = SharedUrl::parse(&server.fresh()).unwrap();
    let error = postgres::reader(&url).unwrap_err();
    assert_eq!(error.kind, Trouble::Missing);
    assert!(error.message.contains("`schedrs run` creates them"), "{error}");
}

/// Claims and ends a second, for doc/performance.md: `SCHEDRS_MEASURE=1 cargo test --release …`.
#[test]
fn claims_a_second() {
    if std::env::var_os("SCHEDRS_MEASURE").is_none() {
        return;
    }
    let Some(server) = Setup::of(Engine::Postgres).durable().start() else { return };
    for (hosts, batch) in
        [(1, 1), (1, 10), (1, 100), (1, 1000), (3, 1), (3, 10), (3, 100), (3, 1000)]
    {
        let url = &server.fresh();
        drop(opened(url));
        let passes = (20_000 / batch).clamp(10, 2000);
        let begun = schedrs::clock::mono();
        std::thread::scope(|scope| {
            for host in 1..=hosts {
                scope.spawn(move || one_host(url, host, passes, batch));
            }
        });
        let took = schedrs::clock::mono().since(begun).as_secs_f64();
        let all = (passes * batch * hosts) as f64;
        println!("{hosts} hosts, {batch} a pass: {:.0} runs/s (claimed and ended)", all / took);
    }
}

fn one_host(url: &str, host: u64, passes: u64, batch: u64) {
    let mut store = opened(url);
    store.join(&member(host), &[]).unwrap();
    let mut run = host << 40;
    for pass in 0..passes {
        let mut claims: Vec<Fact> = Vec::new();
        let mut ends: Vec<Fact> = Vec::new();
        for job in 0..batch {
            run += 1;
            let name = format!("host{host}-job{job}");
            let mut facts = whole(run, &name, pass as i64, Outcome::Succeeded);
            if let Fact::Admitted { slot, .. } = &mut facts[0] {
                *slot = Some(0);
            }
            ends.extend(facts.drain(2..4));
            claims.extend(facts.drain(..2));
        }
        let me = SessionId(host);
        assert_eq!(Shared::commit(&mut store, me, 0, &claims).unwrap().lost, []);
        assert_eq!(Shared::commit(&mut store, me, 0, &ends).unwrap().lost, []);
    }
}
