//! `on_lost = "run_again"`: a host is cut off from the store while its run goes on. It ends that itself,
//! before another host begins it once more.

use std::fs;

use schedrs::outcome::Outcome;
use schedrs::store::Query;
use schedrs::store::location::{self, Location};

use crate::harness::{Bench, Running, until};
use crate::servers::proxy::Proxy;
use crate::servers::{Engine, Server};

/// A job that says when it begins, and each tenth of a second that it is there.
const COMMAND: &str = "echo start HOST $SCHEDRS_DUE $SCHEDRS_ATTEMPT >> FILE; \
                       while :; do echo HOST >> FILE; sleep 0.1; done";

fn lines(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(bench.path("written")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_run_goes_on_elsewhere_when_its_host_is_cut_off() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let (bench, url) = (Bench::new(""), server.fresh());
    bench.write("written", "");
    let file = bench.path("written").display().to_string();
    let start = |name: &str| {
        let proxy = Proxy::to(server.address());
        let port = |port: u16| format!(":{port}/");
        let wired = url.replace(&port(server.port()), &port(proxy.port()));
        let command = COMMAND.replace("HOST", name).replace("FILE", &file);
        bench.write(
            &format!("{name}.toml"),
            &format!(
                "[store]\nurl = \"{wired}\"\n[fleet]\nname = \"{name}\"\nlease = \"5s\"\n\
                 [jobs.again]\ncommand = '{command}'\ninterval = \"5s\"\n\
                 start_date = \"2026-01-01T00:00:00Z\"\non_lost = \"run_again\"\nkill_after = \"1s\"\n"
            ),
        );
        let running = Running::start(&mut bench.command(&["run", &format!("{name}.toml")]));
        (proxy, running)
    };
    let mut hosts = [("web1", start("web1")), ("web2", start("web2"))];
    until("a first start", || lines(&bench).iter().any(|line| line.starts_with("start")));
    let first = lines(&bench).into_iter().find(|line| line.starts_with("start")).unwrap();
    let words: Vec<&str> = first.split(' ').collect();
    let (host, due) = (words[1].to_owned(), words[2].to_owned());
    let (other, _) = hosts.iter().find(|(name, _)| *name != host).unwrap();
    let cut = hosts.iter().find(|(name, _)| *name == host).unwrap();
    cut.1.0.cut();
    // The same due time, the next attempt, and nothing of the first is there any more.
    let again = format!("start {other} {due} 2");
    until("it is begun again", || lines(&bench).contains(&again));
    until("it goes on", || lines(&bench).iter().filter(|line| *line == other).count() > 20);
    let all = lines(&bench);
    let second = all.iter().position(|line| *line == again).unwrap();
    assert!(!all[second..].contains(&host), "{host} has not ended it: {all:?}");
    // The host comes back and leaves the run to the other.
    cut.1.0.mend();
    let location = Location::parse(&url, bench.dir.path()).unwrap();
    let mut reader = location::reader(&location).unwrap();
    let mut run = reader.records(&Query::default()).unwrap();
    run.retain(|record| record.attempts == 2);
    assert_eq!((run.len(), run[0].host.as_deref()), (1, Some(*other)), "{run:?}");
    let attempts = reader.attempts(run[0].run.unwrap()).unwrap();
    let silent = |outcome: &Outcome| match outcome {
        Outcome::Lost(reason) => reason.starts_with(&format!("host {host} was silent for ")),
        _ => false,
    };
    assert!(attempts[0].outcome.as_ref().is_some_and(silent), "{attempts:?}");
    let why = bench.command(&["why", "again", "--at", &due, "-f", "web1.toml"]).output().unwrap();
    let error = String::from_utf8_lossy(&why.stderr);
    let why = format!("{}{error}", String::from_utf8_lossy(&why.stdout));
    let said = why.split_whitespace().collect::<Vec<_>>().join(" ");
    println!("WHY {why}");
    assert!(said.contains(&format!("host {host} was silent for")), "{why}");
    hosts.iter_mut().for_each(|(_, (_, running))| running.signal("TERM"));
    for (_, (_, running)) in hosts {
        running.signal("TERM");
        drop(running.wait());
    }
    assert_eq!(lines(&bench).iter().filter(|line| line.contains(&*due)).count(), 2);
}
