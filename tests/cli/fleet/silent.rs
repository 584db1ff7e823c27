//! The server is there and does not answer: what can be said without it is said, in time.

use crate::harness::{Running, until};
use crate::servers::{Engine, Setup};

use super::Fleet;

#[test]
fn a_store_that_does_not_answer_is_told_of() {
    let Some(server) = Setup::of(Engine::Redis).start() else { return };
    let fleet = Fleet::new(&server);
    fleet.write("web1", "4s", "[jobs.a]\ncommand = 'true'\ninterval = '1s'\n");
    // It does not wait for the store as other schedulers under test do.
    let mut command = fleet.bench.command(&["run", "web1.toml"]);
    let host = Running::start(command.env_remove("SCHEDRS_TEST_PATIENCE"));
    fleet.until("it has run", |records| records.iter().any(|it| it.outcome.is_some()));
    let ask = |command| fleet.bench.ask(&[command, "-f", "web1.toml"]);
    let (out, err, code) = ask("list");
    assert!(out.contains('✓') && !err.contains("cannot be read") && code == Some(0), "{out} {err}");
    server.stop();
    // Each of the questions to the store would wait for as long as a command waits for its answer.
    let (out, err, code) = ask("list");
    assert!(out.contains("every second") && !out.contains('✓'), "{out}");
    assert!(err.contains("the store cannot be read: what it knows is left out"), "{err}");
    assert_eq!(code, Some(0));
    until("a start waits for the store", || {
        let (out, ..) = ask("status");
        out.contains("a: run ") && out.contains(" is starting, due ")
    });
    server.cont();
    until("it is well again", || ask("list").0.contains('✓'));
    drop(host.stop());
}
