//! What a jobfile would change for the hosts that share a store: what `validate --fleet` says before
//! it is loaded anywhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::home::{HomeJob, fits};
use super::{JobList, Member, RunOn};
use crate::core::sort;

/// A job of the jobfile.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The job.
    pub job: HomeJob,
    /// Its trigger, with what was changed at run time: [`crate::core::trigger::Trigger::fingerprint`].
    pub trigger: String,
}

/// What runs.
#[derive(Debug)]
pub struct Running<'a> {
    /// The sessions.
    pub members: &'a [Member],
    /// The jobs of their files, by the hash of the file.
    pub files: &'a HashMap<u64, JobList>,
    /// The trigger of each job, as far as the store remembers it.
    pub triggers: &'a HashMap<Box<str>, Box<str>>,
}

/// Something that is not as in the jobfile, or not on all hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// No host has the job.
    New(Box<str>),
    /// The hosts have it otherwise; whether it is due at other times, if that is known.
    Changed(Box<str>, Option<bool>),
    /// These hosts have it, and the jobfile has not.
    Gone(Box<str>, Vec<Box<str>>),
    /// No host has all of the labels that it asks for.
    NoHost(Box<str>, Vec<Box<str>>),
    /// The host may run no job of the jobfile, with these labels.
    Idle(Box<str>, Vec<Box<str>>),
    /// Hosts differ in this: which of them have what.
    Differ(&'static str, Vec<(Box<str>, Vec<Box<str>>)>),
}

/// What kind of thing hosts may differ in, and how to ask for it.
type Kind = (&'static str, fn(&Member) -> Box<str>);

/// What hosts should not differ in for long.
const KINDS: [Kind; 3] = [
    ("jobfiles", |member| format!("{:016x}", member.jobfile_hash).into()),
    ("versions of schedrs", |member| member.version.clone()),
    ("time zone data", |member| member.tzdata.clone()),
];

/// Hosts that are there.
pub fn alive(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| member.gone.is_none() && !member.leaving)
}

/// Compares. Jobs come in their order in the jobfile, then those that are gone, then hosts.
pub fn compare(planned: &[Planned], running: &Running<'_>) -> Vec<Finding> {
    let mut alive: Vec<&Member> = alive(running.members).collect();
    // The file that was loaded last says what a job is.
    sort::by_key(&mut alive, |member| std::cmp::Reverse(member.loaded));
    let mut there: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, fingerprint) in alive.iter().flat_map(|member| jobs(member, running)) {
        there.entry(id).or_insert(*fingerprint);
    }
    let mut found = Vec::new();
    for Planned { job, trigger } in planned {
        match there.remove(&*job.id) {
            None => found.push(Finding::New(job.id.clone())),
            Some(fingerprint) if fingerprint != job.fingerprint => {
                let other = running.triggers.get(&job.id).map(|known| **known != **trigger);
                found.push(Finding::Changed(job.id.clone(), other));
            }
            Some(_) => {}
        }
        if let RunOn::Labels(labels) = &job.run_on
            && !alive.iter().any(|member| fits(&job.run_on, &member.labels))
        {
            found.push(Finding::NoHost(job.id.clone(), labels.to_vec()));
        }
    }
    for id in there.into_keys() {
        let has = |member: &&&Member| jobs(member, running).any(|(there, _)| **there == *id);
        let hosts: BTreeSet<Box<str>> =
            alive.iter().filter(has).map(|it| it.host.clone()).collect();
        found.push(Finding::Gone(id.into(), hosts.into_iter().collect()));
    }
    sort::by(&mut alive, |one, two| one.host.cmp(&two.host));
    for member in &alive {
        if !planned.is_empty() && !planned.iter().any(|it| fits(&it.job.run_on, &member.labels)) {
            found.push(Finding::Idle(member.host.clone(), member.labels.to_vec()));
        }
    }
    found.extend(KINDS.iter().filter_map(|kind| differ(&alive, kind)));
    found
}

fn jobs<'a>(
    member: &Member,
    running: &Running<'a>,
) -> impl Iterator<Item = &'a (Box<str>, u64)> + use<'a> {
    running.files.get(&member.jobfile_hash).into_iter().flatten()
}

fn differ(alive: &[&Member], (what, of): &Kind) -> Option<Finding> {
    let mut groups: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
    for member in alive.iter().filter(|member| member.is_comparable()) {
        groups.entry(of(member)).or_default().push(member.host.clone());
    }
    (groups.len() > 1).then(|| Finding::Differ(what, groups.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::super::{Gone, SessionId};
    use super::*;
    use crate::core::instant::Instant;

    fn planned(id: &str, fingerprint: u64, run_on: RunOn) -> Planned {
        let job = HomeJob {
            id: id.into(),
            fingerprint,
            run_on,
            added: false,
            delay: std::time::Duration::ZERO,
            again: None,
            parents: [].into(),
        };
        Planned { job, trigger: format!("trigger {fingerprint}") }
    }

    fn member(number: u64, file: u64, loaded: i64, labels: &[&str]) -> Member {
        Member {
            labels: labels.iter().map(|label| Box::from(*label)).collect(),
            jobfile: "jobs.toml".into(),
            jobfile_hash: file,
            loaded: Instant::from_secs(loaded),
            version: "1".into(),
            tzdata: "2026a".into(),
            ..Member::new(SessionId(number), &format!("web{number}"))
        }
    }

    fn found(planned: &[Planned], members: &[Member]) -> Vec<Finding> {
        let list = |jobs: &[(&str, u64)]| jobs.iter().map(|(id, of)| ((*id).into(), *of)).collect();
        let files = HashMap::from([
            (1, list(&[("a", 1), ("b", 1), ("old", 1)])),
            (2, list(&[("a", 1), ("b", 2)])),
        ]);
        let triggers = HashMap::from([("b".into(), "trigger 2".into())]);
        compare(planned, &Running { members, files: &files, triggers: &triggers })
    }

    fn names(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    #[test]
    fn jobs_as_they_run() {
        let one = |id, of| planned(id, of, RunOn::One);
        let members = [member(1, 2, 20, &[]), member(2, 2, 10, &[])];
        assert_eq!(found(&[one("a", 1), one("b", 2)], &members), []);
        // Of two files the one that was loaded last counts; who has left has nothing.
        let gone = Some(Gone { at: Instant::from_secs(1), by: SessionId(3) });
        let members = [
            member(1, 2, 20, &[]),
            member(2, 1, 10, &[]),
            Member { gone, version: "0".into(), ..member(3, 9, 30, &[]) },
            // It has only just joined.
            Member { jobfile: "".into(), ..member(4, 0, 30, &[]) },
        ];
        let jobfiles = |member: &Member| format!("{:016x}", member.jobfile_hash).into();
        let differ = Finding::Differ(
            "jobfiles",
            vec![
                (jobfiles(&members[1]), names(&["web2"])),
                (jobfiles(&members[0]), names(&["web1"])),
            ],
        );
        assert_eq!(
            found(&[one("new", 1), one("a", 7), one("b", 3)], &members),
            [
                Finding::New("new".into()),
                Finding::Changed("a".into(), None),
                Finding::Changed("b".into(), Some(true)),
                Finding::Gone("old".into(), names(&["web2"])),
                differ.clone(),
            ]
        );
        assert_eq!(
            found(&[one("a", 1), one("b", 2), one("old", 1)], &members),
            [differ],
            "the same as the fleet has it, from whichever file"
        );
    }

    #[test]
    fn labels_and_versions() {
        let labelled = |labels: &[&str]| RunOn::Labels(names(labels).into());
        let mut other = member(2, 2, 10, &["gpu"]);
        (other.version, other.tzdata) = ("2".into(), "2026b".into());
        let members = [member(1, 2, 20, &["disk", "eu"]), other];
        let jobs = [planned("a", 1, labelled(&["disk", "us"])), planned("b", 2, labelled(&["eu"]))];
        let groups = |one: &str, two: &str| {
            vec![(one.into(), names(&["web1"])), (two.into(), names(&["web2"]))]
        };
        assert_eq!(
            found(&jobs, &members),
            [
                Finding::NoHost("a".into(), names(&["disk", "us"])),
                Finding::Idle("web2".into(), names(&["gpu"])),
                Finding::Differ("versions of schedrs", groups("1", "2")),
                Finding::Differ("time zone data", groups("2026a", "2026b")),
            ]
        );
    }
}
