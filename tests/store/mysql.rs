//! What the store on MySQL or MariaDB does with a server that is not as it should be: one clear line
//! each.

use schedrs::outcome::Outcome;
use schedrs::store::location::{self, Location};
use schedrs::store::{Fact, Trouble};

use crate::facts::*;
use crate::outages::{self, all_refused, open, refused};
use crate::servers::{Engine, Server, Setup, certificate};

#[test]
fn what_refuses_says_why() {
    let Some(server) = Server::shared(Engine::Mariadb) else { return };
    let port = server.address().port();
    let at = |login: &str, rest: &str| format!("mysql://{login}@127.0.0.1:{port}{rest}");
    let rows = [
        (at("schedrs:wrong", "/schedrs"), Trouble::Denied, "name and password"),
        (at("nobody:secret", "/schedrs"), Trouble::Denied, "denies this user"),
        (at("schedrs:secret", "/none"), Trouble::Missing, "has no database \"none\""),
        (at("schedrs:secret", ""), Trouble::Other, "names no database"),
        (at("schedrs:secret", "/schedrs?x=1"), Trouble::Other, "unknown parameter \"x\""),
        (at("schedrs", "/schedrs?password_file=/no/such"), Trouble::Denied, "/no/such"),
        ("mysql://none.invalid/schedrs".to_owned(), Trouble::Unreachable, "cannot be reached: "),
        ("mysql://127.0.0.1:1/schedrs".to_owned(), Trouble::Unreachable, "cannot be reached"),
    ];
    all_refused(":secret", &rows);
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

/// Hosts are updated one by one: who is newer brings the tables up to date, and who is older goes on.
#[test]
fn an_older_schema_becomes_the_newest() {
    let Some(server) = Server::shared(Engine::Mariadb) else { return };
    let url = server.fresh();
    let (_, database) = url.rsplit_once('/').unwrap();
    let begun = [Fact::Job(job("a", 0).into()), admitted(1, "a", 10)];
    open(&url).unwrap().store.commit(&begun).unwrap();
    server.cli(&format!("DROP TABLE {database}.schedrs_entry"));
    let columns = NEW_COLUMNS.map(|column| format!("DROP COLUMN {column}")).join(", ");
    server.cli(&format!("ALTER TABLE {database}.schedrs_record {columns}"));
    server.cli(&format!("UPDATE {database}.schedrs_store SET version = 1"));
    let location = Location::parse(&url, std::path::Path::new("/")).unwrap();
    let mut reader = location::reader(&location).unwrap();
    assert_eq!((reader.entries("x"), reader.lists()), (Ok(vec![]), Ok(vec![])));
    assert_eq!(usages(&mut *reader), [None]);
    let facts = [entry("x", "k", Some("v")), ended(1, "a", Outcome::Succeeded, 12)];
    open(&url).unwrap().store.commit(&facts).unwrap();
    assert_eq!(reader.entries("x"), Ok(vec![("k".into(), "v".into())]));
    assert_eq!(usages(&mut *reader), [Some(used(1))]);
    // The columns were added, and whoever did it did not come to say so.
    server.cli(&format!("UPDATE {database}.schedrs_store SET version = 2"));
    drop(open(&url).unwrap());
    assert_eq!(usages(&mut *reader), [Some(used(1))]);
    assert_eq!(reader.jobs().unwrap().len(), 1);
    let oldest = server.cli(&format!("SELECT oldest FROM {database}.schedrs_store"));
    assert!(oldest.contains('1'), "{oldest}");
}

#[test]
fn tls_is_for_the_name_in_the_certificate() {
    let Some(server) = Server::shared(Engine::Mariadb) else { return };
    let url = server.fresh();
    let ca = certificate("ca.pem");
    let ca = ca.display();
    assert!(open(&format!("{}?ssl-ca={ca}", url.replace("127.0.0.1", "localhost"))).is_ok());
    let named = url.replace("127.0.0.1", "localhost");
    for (url, why) in [
        (format!("{url}?ssl-ca={ca}"), "certificate is for another name"),
        (format!("{named}?ssl-mode=required"), "unknown authority; name that with ssl-ca=FILE"),
    ] {
        let (kind, message) = refused(&url);
        assert_eq!(kind, Trouble::Unreachable, "{message}");
        assert!(message.contains(why) && !message.contains("IO error"), "{message}");
    }
    let (_, message) = refused(&format!("{url}?ssl-ca=/none.pem"));
    assert!(message.contains("needs its ssl-ca /none.pem: No such file"), "{message}");
}

#[test]
fn a_lost_answer_is_not_a_lost_claim() {
    outages::a_lost_answer_is_not_a_lost_claim(Engine::Mariadb, b"COMMIT");
}

#[test]
fn a_server_comes_back() {
    outages::a_server_comes_back(Engine::Mariadb);
}

#[test]
fn a_link_that_breaks_is_made_anew() {
    outages::a_link_that_breaks_is_made_anew(Engine::Mariadb);
}

#[test]
fn a_server_that_may_only_be_read_takes_nothing() {
    let Some(server) = Setup::of(Engine::Mariadb).start() else { return };
    // Whoever may do everything may write all the same.
    server.cli("CREATE USER ann IDENTIFIED BY 'secret'; GRANT ALL ON schedrs.* TO ann");
    let url = server.url().replace("schedrs:secret@", "ann:secret@");
    let set = |ill| drop(server.cli(&format!("SET GLOBAL read_only = {}", u8::from(ill))));
    let records = "SELECT count(*) FROM schedrs.schedrs_record";
    let count = || server.cli(records).lines().last().and_then(|n| n.parse().ok()).unwrap();
    let said = (Trouble::Unreachable, "is not writable");
    outages::a_server_that_takes_nothing(&url, set, count, said);
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
