//! A host that the kernel cuts off from its server, in one direction or in both: connections stay, and
//! nobody is told. Its jobs go elsewhere, it starts nothing, and it joins again when it may.
//!
//! In the gate the answers are lost; the rest with `SCHEDRS_FLEET_SOAK`.

use std::fs;

use crate::harness::Running;
use crate::servers::network::Network;
use crate::servers::proxy::Way::{self, ToClient, ToServer};
use crate::servers::{Engine, Setup};

use super::{Fleet, JOBS, hosts};

fn is_by_hand() -> bool {
    std::env::var_os("SCHEDRS_FLEET_SOAK").is_some()
}

fn cut(ways: &[Way]) {
    let Some(network) = Network::new() else { return };
    let listens = format!("--listen_addresses=localhost,{}", network.address());
    let Some(server) = Setup::of(Engine::Postgres).option(&listens).start() else { return };
    let fleet = Fleet::new(&server);
    let near = fleet.host("web2");
    // The other has the same jobs, and its server at another address.
    let text = fs::read_to_string(fleet.bench.path("web2.toml")).unwrap();
    let text = text.replace("127.0.0.1", &network.address()).replace("web2", "web1");
    // Its certificate is for another name.
    let text = text.replace("?schema", "?sslmode=disable&schema");
    fleet.bench.write("web1.toml", &text);
    let far = Running::start(&mut fleet.bench.shell(&network.shell(), &["run", "web1.toml"]));
    let of = |since: u64, wanted: &'static str| {
        move |records: &[_]| hosts(records, since).get(wanted).map_or(0, |jobs| jobs.len())
    };
    let records = fleet.until("both have jobs", |records| {
        let (far, near) = (of(0, "web1")(records), of(0, "web2")(records));
        far > 0 && near > 0 && far + near >= JOBS
    });
    let (last, home) = (records[0].seq, of(0, "web1")(&records));
    ways.iter().for_each(|way| network.lose(*way));
    let records = fleet.until("the other has all", |records| of(last, "web2")(records) == JOBS);
    let last = records[0].seq;
    network.mend();
    fleet.until("it is there again", |records| of(last, "web1")(records) > home / 2);
    drop((far.stop(), near.stop()));
    fleet.check();
    let open = fleet.records().into_iter().filter(|record| record.outcome.is_none());
    assert_eq!(open.collect::<Vec<_>>(), []);
}

#[test]
fn answers_are_lost() {
    cut(&[ToClient]);
}

#[test]
fn questions_are_lost() {
    if is_by_hand() {
        cut(&[ToServer]);
    }
}

#[test]
fn both_are_lost() {
    if is_by_hand() {
        cut(&[ToServer, ToClient]);
    }
}
