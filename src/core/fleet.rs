//! Several schedulers with one store: who is there, and what each knows of the others.
//!
//! This is the data that a shared store holds and that `crate::store` reads and writes; what is
//! decided with it is decided here as well, with the time and the store's answers as arguments.
//! doc/fleet.md says it in words.

pub mod deploy;
pub(crate) mod heir;
pub mod home;
pub(crate) mod own;
pub mod protocol;
pub mod whereabouts;

use std::collections::HashMap;
use std::fmt;

use crate::core::event::{Process, RunId};
use crate::core::instant::Instant;
pub use crate::core::job::{OnLost, RunOn};
use crate::core::sort;

/// Names one life of one scheduler: 64 random bits, never 0. Two schedulers on one host, or the
/// same scheduler after a restart, have different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    /// Sixteen hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for SessionId {
    type Err = std::num::ParseIntError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<SessionId, Self::Err> {
        u64::from_str_radix(text, 16).map(SessionId)
    }
}

/// Run numbers from here on, 2^62, are those that a scheduler takes when it has used up the ones that
/// the store gave it. A store passes over them when it gives new ones, so that numbers stay small.
pub const SPARE_RUNS: u64 = 1 << 62;

/// The jobs of a jobfile, each with its fingerprint ([`home::HomeJob::fingerprint`]).
pub type JobList = Vec<(Box<str>, u64)>;

/// One session as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: SessionId,
    /// A label for people: `[fleet] name`, or the name of the host. Two may be alike.
    pub host: Box<str>,
    /// `[fleet] labels`: what `run_on` is compared with.
    pub labels: Box<[Box<str>]>,
    /// Which machine it is on (`/etc/machine-id`); empty where there is none.
    pub machine: Box<str>,
    /// Which boot of that machine (`/proc/sys/kernel/random/boot_id`).
    pub boot: Box<str>,
    /// What tells its processes from those of other schedulers.
    pub mark: u32,
    pub process: Process,
    /// The version of schedrs.
    pub version: Box<str>,
    /// The version of its time zone data.
    pub tzdata: Box<str>,
    /// Its jobfile, as it was named.
    pub jobfile: Box<str>,
    /// A hash of the jobs of that file, under which the store has their list.
    pub jobfile_hash: u64,
    /// When it was loaded: at the start, or at a reload that brought another hash. By the store's
    /// clock.
    pub loaded: Instant,
    /// When it joined, by the store's clock.
    pub joined: Instant,
    /// When it last beat, by the store's clock. For people: nobody is called dead by it.
    pub seen: Instant,
    /// By how many microseconds its clock is ahead of the store's, measured with the last beat.
    pub offset: i64,
    /// How many beats the store has had of it. Where a session tells of itself: the highest number that
    /// the store has acknowledged, below which the store cannot be unless it has forgotten something.
    pub beat: u64,
    /// The last generation of the store in which it has told everything it knows: see
    /// [`View::generation`].
    pub generation: u64,
    /// It decides nothing more, and ends when its runs have.
    pub leaving: bool,
    /// It is over. That is final: a scheduler that is not dead after all joins with another id.
    pub gone: Option<Gone>,
    /// How many jobs it is the home of. For people.
    pub jobs_at_home: u32,
    /// How many runs it has. For people.
    pub running: u32,
}

impl Member {
    /// The word for how it is: `alive`, `leaving`, `left`, or `gone` if others had to notice.
    pub fn state(&self) -> &'static str {
        match (self.gone, self.leaving) {
            (Some(gone), _) if gone.by == self.id => "left",
            (Some(_), _) => "gone",
            (None, true) => "leaving",
            (None, false) => "alive",
        }
    }

    /// Whether it is there and has said which jobfile it has: one that has only just joined may not have,
    /// and is not one that differs from the others.
    pub fn is_comparable(&self) -> bool {
        self.gone.is_none() && !self.jobfile.is_empty()
    }
}

/// The sessions as people look at them, by the names of their hosts: one that is gone is left out where
/// its host has begun another since.
pub fn hosts(members: &[Member]) -> Vec<&Member> {
    let mut newest: HashMap<&str, (Instant, SessionId)> = HashMap::new();
    for member in members {
        let of_host = newest.entry(&member.host).or_insert((member.joined, member.id));
        *of_host = (*of_host).max((member.joined, member.id));
    }
    let is_newest = |member: &Member| newest.get(&*member.host).is_some_and(|it| it.1 == member.id);
    let shown = |member: &&Member| member.gone.is_none() || is_newest(member);
    let mut found: Vec<&Member> = members.iter().filter(shown).collect();
    sort::by(&mut found, |a, b| (&a.host, a.joined, a.id).cmp(&(&b.host, b.joined, b.id)));
    found
}

impl Member {
    /// A session that has not joined yet, and of which nothing more is known.
    pub fn new(id: SessionId, host: &str) -> Member {
        Member {
            id,
            host: host.into(),
            labels: [].into(),
            machine: "".into(),
            boot: "".into(),
            mark: 0,
            process: Process { pid: 0, start: 0 },
            version: "".into(),
            tzdata: "".into(),
            jobfile: "".into(),
            jobfile_hash: 0,
            loaded: Instant::MIN,
            joined: Instant::MIN,
            seen: Instant::MIN,
            offset: 0,
            beat: 0,
            generation: 0,
            leaving: false,
            gone: None,
            jobs_at_home: 0,
            running: 0,
        }
    }
}

/// That a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// When that was written down, by the store's clock.
    pub at: Instant,
    /// By whom: another session that has found it silent, or itself.
    pub by: SessionId,
}

/// What a session reads with each beat, in one round trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What the store's clock says.
    pub now: Instant,
    /// Counts how often the store has lost what it had acknowledged, as a failover may. In a new
    /// generation nobody starts anything until every session has told again what it knows, or is
    /// gone.
    pub generation: u64,
    /// Which server answers, where another one behind the same address may know less; else empty.
    pub identity: Box<str>,
    /// The identity of the server that made this generation, as the store has it. If it is another one,
    /// what it had acknowledged may be forgotten, and also somebody who has just joined can tell. Empty
    /// where `identity` is.
    pub recorded: Box<str>,
    /// Moves with everything that another session may have to know of: a session that joins,
    /// leaves or is found dead, another jobfile, a job that is added, changed or paused, a request.
    pub changes: u64,
    /// How the store sees the session that asks.
    pub me: Standing,
    /// All sessions that are not gone, and those that are since less than an hour.
    pub members: Vec<Member>,
}

/// How the store sees a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is one of the fleet.
    Alive {
        /// How many beats the store has had of it, this one included.
        beat: u64,
    },
    /// It is gone: nothing that it writes counts.
    Gone,
    /// The store knows nothing of it: it has forgotten, or is another store.
    Unknown,
}

/// Why a run may not begin here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its due time has been claimed, or has a fate.
    Taken {
        /// By which session.
        session: SessionId,
        /// As which run.
        run: RunId,
    },
    /// As many runs of the job as may be are active elsewhere.
    Busy {
        /// One of those who have them.
        session: SessionId,
    },
    /// By the store's clock it is not due yet.
    Early {
        /// By how much.
        by: std::time::Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_was_started_again_is_shown_once() {
        let session = |id, host, joined, is_gone: bool| Member {
            joined: Instant::from_secs(joined),
            gone: is_gone.then_some(Gone { at: Instant::from_secs(joined), by: SessionId(9) }),
            ..Member::new(SessionId(id), host)
        };
        let members = [
            session(1, "web2", 1, true),
            session(2, "web1", 2, true),
            session(3, "web1", 3, true),
            session(4, "web2", 4, false),
            // Two hosts of one name: the one is gone, the other is not.
            session(5, "web3", 5, false),
            session(6, "web3", 6, true),
        ];
        let shown = hosts(&members).into_iter().map(|member| (&*member.host, member.id.0));
        let expected = [("web1", 3), ("web2", 4), ("web3", 5), ("web3", 6)];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}
