//! A store on a server: how far away it is, what it keeps when it crashes, and who shares it.

use std::sync::Arc;
use std::time::Duration;

use super::Finding;
use crate::core::fleet::{Member, View, deploy, home};
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet, RunOn, Settings};
use crate::core::sort;
use crate::core::url::{Engine, SharedUrl};
use crate::core::words;
use crate::store::location::{self, Location};
use crate::store::shared::{self, ServerSettings, Shared};
use crate::store::{HAS_SHARED, Limits, StoreError, Trouble};
use crate::sys::clock;

const ABOUT: &str = "store";

/// So often it is asked how long an answer takes.
const ASKED: usize = 5;
/// Each start waits for an answer of the store; from here on one feels that.
const SLOW: Duration = Duration::from_millis(50);
/// A clock that is off by more is worth a word, in microseconds.
const OFF: u64 = 500_000;

/// What is to be said of the store that hosts share.
pub(crate) fn store(url: &SharedUrl, set: &JobSet, zone_data: &str) -> Vec<Finding> {
    if !HAS_SHARED {
        return vec![refused(&url.not_built())];
    }
    let location = Location::Shared(url.clone());
    // Opening it for writing would make the tables.
    match location::reader(&location).and_then(|mut reader| reader.all_paused()) {
        Ok(_) => {}
        Err(error) if error.kind == Trouble::Missing => {
            let help = "the first `schedrs run` creates what it needs, if it has the rights";
            return vec![Finding::warning(ABOUT, format!("reachable, but empty: {error}"), help)];
        }
        Err(error) => return vec![refused(&error)],
    }
    let mut opened = match location::open(&location) {
        Ok(opened) => opened.store,
        Err(error) => return vec![refused(&error)],
    };
    let Some(store) = opened.shared() else { return Vec::new() };
    match looked(store, url, set, zone_data) {
        Ok(found) => found,
        Err(error) => vec![refused(&error)],
    }
}

fn refused(error: &StoreError) -> Finding {
    let help = match error.kind {
        Trouble::Denied => {
            "check user, password and rights: schedrs reads and writes its own tables or keys"
        }
        Trouble::Unreachable => {
            "without the store no host starts anything: check its name, its port and the network"
        }
        Trouble::Newer(_) => "update schedrs on this host",
        Trouble::ReadOnly => "name the server that accepts writes",
        _ => "`schedrs run` will fail the same way",
    };
    Finding::problem(ABOUT, error.to_string(), help)
}

fn looked(
    store: &mut dyn Shared,
    url: &SharedUrl,
    set: &JobSet,
    zone_data: &str,
) -> Result<Vec<Finding>, StoreError> {
    let mut trips = Vec::new();
    for _ in 0..ASKED {
        let sent = clock::now();
        let view = shared::look(store)?;
        trips.push((clock::mono().since(sent.mono), sent.wall, view));
    }
    sort::by_key(&mut trips, |(took, ..)| *took);
    let (median, ..) = trips[ASKED / 2];
    let mut found = vec![distance(median, url, set.settings.fleet.lease)];
    if let Some((took, sent, view)) = trips.first() {
        found.push(offset(*took, *sent, view.now));
        found.extend(durability(url.engine(), &store.settings()?));
        found.push(retention(&set.settings));
        found.extend(hosts(view, zone_data));
        found.extend(homeless(view, &set.jobs));
    }
    Ok(found)
}

/// How long an answer takes.
fn distance(median: Duration, url: &SharedUrl, lease: Duration) -> Finding {
    let text = format!("{url} answers within {}", words::elapsed(median));
    if median > lease / 10 {
        let help = "a host that does not get its beats through in time starts nothing: put the store \
                    nearer, or give [fleet] a longer `lease`";
        return Finding::problem(ABOUT, text, help);
    }
    if median > SLOW {
        return Finding::warning(ABOUT, text, "every start waits for this: move the store closer");
    }
    Finding::ok(ABOUT, text)
}

/// By how much this host's clock is ahead of the store's; the answer was half-way when it was asked.
fn offset(took: Duration, sent: Instant, store: Instant) -> Finding {
    let here = sent.plus(took / 2);
    let off = here.micros().abs_diff(store.micros());
    let which = if here > store { "ahead of" } else { "behind" };
    let text =
        format!("this clock is {} {which} the store's", words::elapsed(Duration::from_micros(off)));
    let help = "run systemd-timesyncd, chrony or ntpd on both";
    match off {
        ..=OFF => Finding::ok("clock", "within 0.5s of the store's"),
        off if off as i64 > shared::EARLY && here > store => {
            let text = format!("{text}: no due time may be claimed so early");
            Finding::problem("clock", text, help)
        }
        _ => Finding::warning("clock", text, help),
    }
}

/// What a setting is that keeps the store from keeping what it has acknowledged, why, and what to do.
type Rule = (&'static str, fn(&str) -> bool, &'static str, &'static str);

const POSTGRES: &[Rule] = &[
    (
        "fsync",
        |value| value == "off",
        "a crash of its machine may destroy the database",
        "set fsync = on",
    ),
    (
        "full_page_writes",
        |value| value == "off",
        "a crash of its machine may destroy the database",
        "set full_page_writes = on",
    ),
    (
        "synchronous_commit",
        |value| value == "off",
        "a crash can lose the last acknowledged writes",
        "set synchronous_commit = on, or for this database alone: \
         ALTER DATABASE name SET synchronous_commit = on",
    ),
    (
        "asynchronous standbys",
        |value| value != "0",
        "a failover to one may forget the last moments; hosts notice that, and start nothing until \
         each has told again what it knows",
        "to avoid that, name them in synchronous_standby_names",
    ),
    (
        "tables that may not be written",
        |value| value != "0",
        "this user can read but not write",
        "GRANT ALL ON ALL TABLES IN SCHEMA, and ON ALL SEQUENCES, to this user",
    ),
];

const MYSQL: &[Rule] = &[
    (
        "innodb_flush_log_at_trx_commit",
        |value| value != "1",
        "a crash can lose the last second of acknowledged writes",
        "set innodb_flush_log_at_trx_commit = 1",
    ),
    (
        "sync_binlog",
        |value| value != "1",
        "after a crash, replicas may differ from the server",
        "set sync_binlog = 1",
    ),
];

const REDIS: &[Rule] = &[
    (
        "aof_enabled",
        |value| value == "0",
        "a restart loses everything since the last snapshot, or everything",
        "set appendonly yes",
    ),
    (
        "appendfsync",
        |value| value == "no",
        "a crash of its machine can lose half a minute",
        "set appendfsync everysec, or always",
    ),
    (
        "maxmemory_policy",
        |value| value != "noeviction",
        "it may drop keys when it is full",
        "set maxmemory-policy noeviction",
    ),
    (
        "replicas without min-replicas-to-write",
        |value| value != "0",
        "a failover may forget the last moments; hosts notice that, and start nothing until each has \
         told again what it knows",
        "set min-replicas-to-write 1 and min-replicas-max-lag 10",
    ),
];

/// What the server keeps of what it has acknowledged.
fn durability(engine: Engine, settings: &ServerSettings) -> Vec<Finding> {
    const ABOUT: &str = "durability";
    let rules = match engine {
        Engine::Postgres => POSTGRES,
        Engine::Mysql => MYSQL,
        Engine::Redis => REDIS,
        // Each write there waits for the majority, whatever the server is set to.
        Engine::Mongodb => &[],
    };
    let mut found = Vec::new();
    let mut good = Vec::new();
    for (name, value) in settings {
        let Some((.., is_bad, why, help)) = rules.iter().find(|rule| *rule.0 == **name) else {
            continue;
        };
        if is_bad(value) {
            found.push(Finding::warning(ABOUT, format!("{name} is {value}: {why}"), *help));
        } else {
            good.push(format!("{name} {value}"));
        }
    }
    if !good.is_empty() {
        found.insert(0, Finding::ok(ABOUT, good.join(", ")));
    }
    found
}

fn retention(settings: &Settings) -> Finding {
    let usual = Limits::default();
    let runs = settings.keep.runs.unwrap_or(usual.runs);
    let days = settings.keep.days.unwrap_or(usual.days);
    let text = format!(
        "keeps {runs} runs and {days} days of each job, and every record for {} at least",
        words::span(Duration::from_micros(shared::CLAIMS_KEPT as u64))
    );
    Finding::ok("retention", text)
}

/// What hosts may have different versions of: its name, how to ask for it, this host's, what to do.
type Kind<'a> = (&'a str, fn(&Member) -> &str, &'a str, &'a str);

/// Who shares it.
fn hosts(view: &View, zone_data: &str) -> Vec<Finding> {
    const ABOUT: &str = "hosts";
    let mut alive: Vec<&Member> = deploy::alive(&view.members).collect();
    sort::by(&mut alive, |one, two| one.host.cmp(&two.host));
    let names: Vec<&str> = alive.iter().map(|member| &*member.host).collect();
    let mut found = vec![match names.len() {
        0 => Finding::ok(ABOUT, "no host is using it now"),
        1 => Finding::ok(ABOUT, format!("{} alone", names[0])),
        all => Finding::ok(ABOUT, format!("{all}: {}", names.join(", "))),
    }];
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        found.push(Finding::warning(
            ABOUT,
            format!("two are called {}", twice[0]),
            "give each its own [fleet] name, so that you can tell them apart",
        ));
    }
    let others = |of: fn(&Member) -> &str, here: &str| -> Vec<&str> {
        let other = alive.iter().filter(|member| of(member) != here);
        other.map(|member| &*member.host).collect()
    };
    let kinds: [Kind<'_>; 2] = [
        (
            "schedrs",
            |member| &member.version,
            env!("CARGO_PKG_VERSION"),
            "update the hosts one by one, soon",
        ),
        (
            "time zone data",
            |member| &member.tzdata,
            zone_data,
            "update the tzdata package everywhere: due times may differ",
        ),
    ];
    for (what, of, here, help) in kinds {
        let others = others(of, here);
        if !others.is_empty() {
            let text =
                format!("{} has a different {what} than this host ({here})", others.join(", "));
            found.push(Finding::warning(ABOUT, text, help));
        }
    }
    found
}

/// Jobs that none of the hosts may run.
fn homeless(view: &View, jobs: &[Arc<Job>]) -> Vec<Finding> {
    let alive: Vec<&Member> = deploy::alive(&view.members).collect();
    let has_none = |job: &&Arc<Job>| {
        let run_on = &job.options.run_on;
        !alive.is_empty() && !alive.iter().any(|member| home::fits(run_on, &member.labels))
    };
    let found = jobs.iter().filter(has_none).filter_map(|job| {
        let RunOn::Labels(labels) = &job.options.run_on else { return None };
        let text = format!("{}: no host has all of its labels: {}", job.id, labels.join(", "));
        let help =
            "it runs nowhere: add them to the [fleet] labels of a host, or change its run_on";
        Some(Finding::problem("hosts", text, help))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::core::fleet::{SessionId, Standing};
    use crate::core::zone::Database;
    use crate::jobfile::load_text;

    #[test]
    fn what_is_far_away() {
        let url = SharedUrl::parse("postgres://ann:s3cret@db/jobs").unwrap();
        let rows = [(1, Verdict::Ok), (80, Verdict::Warning), (2000, Verdict::Problem)];
        for (millis, verdict) in rows {
            let lease = Duration::from_secs(15);
            let found = distance(Duration::from_millis(millis), &url, lease);
            assert_eq!(found.verdict, verdict, "{millis}");
            assert!(!found.text.contains("s3cret"), "{}", found.text);
        }
    }

    #[test]
    fn clocks() {
        let at = Instant::from_secs;
        for (here, store, verdict, words) in [
            (100, 100, Verdict::Ok, "within 0.5s"),
            (101, 100, Verdict::Warning, "ahead of"),
            (103, 100, Verdict::Problem, "no due time"),
            (97, 100, Verdict::Warning, "behind"),
        ] {
            let found = offset(Duration::from_millis(2), at(here), at(store));
            assert_eq!(found.verdict, verdict, "{here}");
            assert!(found.text.contains(words), "{}", found.text);
        }
    }

    /// Names and values.
    type Pairs = &'static [(&'static str, &'static str)];

    #[test]
    fn what_servers_keep() {
        let rows: [(Engine, Pairs, &[&str]); 6] = [
            (
                Engine::Postgres,
                &[("fsync", "on"), ("synchronous_commit", "on"), ("asynchronous standbys", "0")],
                &["fsync on, synchronous_commit on, asynchronous standbys 0"],
            ),
            (
                Engine::Postgres,
                &[("synchronous_commit", "off"), ("asynchronous standbys", "2")],
                &["synchronous_commit is off", "asynchronous standbys is 2"],
            ),
            (
                Engine::Mysql,
                &[("innodb_flush_log_at_trx_commit", "2"), ("sync_binlog", "1")],
                &["sync_binlog 1", "innodb_flush_log_at_trx_commit is 2"],
            ),
            (
                Engine::Redis,
                &[("aof_enabled", "1"), ("appendfsync", "no")],
                &["aof_enabled 1", "appendfsync is no"],
            ),
            (Engine::Redis, &[("maxmemory_policy", "volatile-lru")], &["maxmemory_policy is"]),
            (Engine::Mongodb, &[("what", "ever")], &[]),
        ];
        for (engine, settings, expected) in rows {
            let settings: ServerSettings =
                settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let found = durability(engine, &settings);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.text.starts_with(expected), "{found:?}");
                let is_ok = found.verdict == Verdict::Ok;
                assert_eq!(is_ok, found.help.is_none(), "{found:?}");
            }
        }
    }

    #[test]
    fn who_shares_it() {
        let member = |number, host: &str, version: &str| Member {
            version: version.into(),
            tzdata: "2026a".into(),
            ..Member::new(SessionId(number), host)
        };
        let here = env!("CARGO_PKG_VERSION");
        let view = |members: &[Member]| View {
            now: Instant::from_secs(0),
            generation: 0,
            identity: "".into(),
            recorded: "".into(),
            changes: 0,
            me: Standing::Unknown,
            members: members.to_vec(),
        };
        let texts = |members: &[Member]| {
            hosts(&view(members), "2026a").into_iter().map(|it| it.text).collect::<Vec<String>>()
        };
        assert_eq!(texts(&[]), ["no host is using it now"]);
        assert_eq!(texts(&[member(1, "a", here)]), ["a alone"]);
        let all = [member(1, "b", here), member(2, "a", "0"), member(3, "b", here)];
        let expected = [
            "3: a, b, b".to_owned(),
            "two are called b".to_owned(),
            format!("a has a different schedrs than this host ({here})"),
        ];
        assert_eq!(texts(&all), expected);

        // Jobs that no host may run.
        let text = "[jobs.media]\ncommand = 'x'\ninterval = '1h'\nrun_on = ['disk', 'eu']\n\
                    [jobs.any]\ncommand = 'x'\ninterval = '1h'\n";
        let now = Instant::from_secs(0);
        let jobs = load_text("jobs.toml", text, &Database::open(None), now).set.unwrap().jobs;
        let labels = |labels: &[&str]| Member {
            labels: labels.iter().map(|label| (*label).into()).collect(),
            ..member(1, "a", here)
        };
        let texts = |members: &[Member]| {
            homeless(&view(members), &jobs).into_iter().map(|it| it.text).collect::<Vec<String>>()
        };
        assert_eq!(texts(&[]), [""; 0]);
        assert_eq!(texts(&[labels(&["eu", "disk"]), labels(&[])]), [""; 0]);
        let expected = ["media: no host has all of its labels: disk, eu"];
        assert_eq!(texts(&[labels(&["eu"]), labels(&["disk"])]), expected);
    }
}
