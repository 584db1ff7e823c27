//! The disk of the server is full: nothing starts, which is said, and jobs go on when there is room again.

use std::fs;

use crate::harness::Stream;
use crate::servers::{Engine, Setup};

use super::{Fleet, JOBS};

#[test]
fn the_disk_of_the_server_is_full() {
    // It does not wait for its disk, so that its crash may take with it what it has acknowledged last:
    // the hosts notice, and tell it again.
    let small = Setup::of(Engine::Postgres).option("--max_wal_size=32MB").on_disk(128);
    let Some(mut server) = small.start() else { return };
    let fleet = Fleet::new(&server);
    let (mut first, second) = (fleet.host("web1"), fleet.host("web2"));
    fleet.until("jobs run", |records| records.len() > JOBS);
    // To the last byte. It fails when there is none left.
    let ballast = server.dir().join("ballast");
    let _ = fs::write(&ballast, vec![0; 128 << 20]);
    first.line(Stream::Err, &["the store does not answer"]);
    fs::remove_file(&ballast).unwrap();
    // It may have stopped without room for its log.
    server.restart();
    let last = fleet.records()[0].due;
    fleet.until("jobs run again", |records| {
        records.iter().filter(|it| it.due > last && it.started.is_some()).count() > JOBS
    });
    // A host that was silent for too long has another session now; what that one had is seen to.
    fleet.until("what was open then is over", |records| {
        records.iter().all(|it| it.due > last || it.outcome.is_some())
    });
    drop((first.stop(), second.stop()));
    fleet.check();
    let open = fleet.records().into_iter().filter(|record| record.outcome.is_none());
    assert_eq!(open.collect::<Vec<_>>(), []);
}
