//! The page Fleet: who shares the store, who of them is not there any more, and what differs.

use super::Fleet;
use crate::harness::until;
use crate::servers::{Engine, Server};
use crate::web::Web;

const JOBS: &str = "[jobs.a]\ncommand = 'true'\ninterval = '1d'\n\
                    [jobs.b]\ncommand = 'true'\ninterval = '1d'\n";

/// The row of a host, without its markup.
fn row(page: &str, host: &str) -> String {
    let (_, rest) = page.split_once(&format!("<th scope=\"row\">{host}</th>")).unwrap_or_default();
    let (row, _) = rest.split_once("</tr>").unwrap_or_default();
    let words = row.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text);
    words.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_shows_each_host() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let fleet = Fleet::new(server);
    let (first, second) = (fleet.start("web1", "4s", JOBS), fleet.start("web2", "4s", JOBS));
    fleet.reader();
    // From a host that goes on.
    let web = Web::of(&fleet.bench, "web2.toml");
    let cookie = web.log_in();
    let page = || web.page("/fleet", &cookie);
    let is = |host: &str, state: &str| row(&page(), host).contains(state);
    until("both are there", || is("web1", "alive") && is("web2", "alive"));
    assert!(!page().contains("Hosts have different"), "{}", page());
    // Jobs say where they are at home.
    until("each job has a home", || {
        let jobs = web.page("/jobs", &cookie);
        jobs.contains(">Host<") && jobs.matches(">web").count() >= 2
    });
    let third = fleet.start("web3", "4s", &JOBS.replace("1d", "2d"));
    until("jobfiles differ", || page().contains("Hosts have different jobfiles."));
    third.stop();
    until("it has left", || is("web3", "left"));
    first.kill();
    first.wait();
    until("it is missed", || !is("web1", "alive") && row(&page(), "web1").contains('✗'));
    assert!(is("web2", "alive"), "{}", page());
    second.stop();
}
