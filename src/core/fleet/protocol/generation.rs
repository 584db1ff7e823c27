//! The store that has forgotten what it had acknowledged: after a failover to a copy that had not
//! got everything, or a restart without its disk.
//!
//! It is noticed by what it says that cannot be, above all of this session's beats: each call that counts
//! as one says which number was acknowledged last, and a store that is below that takes nothing. If it
//! counted on, its number would look right again after as many calls as it has forgotten, and all of
//! their answers may be lost. Then it gets a new *generation*, in which nothing begins until each
//! session has told again what it knows, or is gone. What a session that is gone has not told may have
//! begun or not: that is lost, and not run a second time. Each of these was found to be necessary
//! (`tests/fleet`).

use super::{Fleet, Notice, Output, Stage};
use crate::core::fleet::{JobList, Member, View};
use crate::core::instant::Now;
use crate::core::sort;

/// How it is noticed, in most cases.
const BEAT_MISSING: &str = "an acknowledged heartbeat is missing";

impl Fleet {
    /// How a view shows that the store has forgotten something, if it does.
    pub(super) fn has_gone_back(&self, view: &View, beat: u64) -> Option<&'static str> {
        let are_known = !view.identity.is_empty() && !view.recorded.is_empty();
        if are_known && view.identity != view.recorded {
            return Some("a different server answers than at the start");
        }
        let before = self.view.as_ref()?;
        if beat < self.me.beat {
            return Some(BEAT_MISSING);
        }
        if view.generation < self.generation {
            return Some("its generation went back");
        }
        if view.identity != before.identity {
            return Some("another server answers");
        }
        let is_missing = |known: &Member| {
            let found = view.members.iter().find(|member| member.id == known.id);
            match found {
                Some(member) => {
                    member.beat < known.beat || (known.gone.is_some() && member.gone.is_none())
                }
                None => known.gone.is_none(),
            }
        };
        before.members.iter().any(is_missing).then_some("it lost data about another host")
    }

    /// The store knows nothing of this session, which it has known.
    pub(super) fn forgotten(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.me.beat > 0 {
            self.went_back("it does not know this host", out);
            self.trusted = None;
        }
        // Not as another: what runs here goes on, and its records are still to be written.
        self.heard = None;
        self.to_join = true;
        self.next_beat = now.mono;
    }

    /// The store has not taken a commit, because it has forgotten one: the next beat says more.
    pub(super) fn refused(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.stage == Stage::Fenced {
            return;
        }
        self.went_back(BEAT_MISSING, out);
        self.next_beat = now.mono;
    }

    /// Nothing begins from here on, until there is a new generation.
    pub(super) fn went_back(&mut self, how: &'static str, out: &mut Vec<Output>) {
        if !self.back {
            self.back = true;
            out.push(Output::Notice(Notice::WentBack { how }));
        }
    }

    /// What a view says of generations: there is a new one, or one is needed.
    pub(super) fn look_at_generation(
        &mut self,
        view: &View,
        back: Option<&'static str>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if let Some(how) = back {
            self.went_back(how, out);
        }
        if view.generation > self.generation {
            self.begin(view, now, out);
        } else if self.back {
            out.push(Output::NewGeneration { seen: view.generation, above: self.generation });
        } else if !self.told {
            self.tell_again(view, out);
        }
    }

    /// The store has answered that it has a new generation.
    pub(super) fn renewed(&mut self, view: &View, now: Now, out: &mut Vec<Output>) {
        if matches!(self.stage, Stage::Fenced | Stage::Outside) {
            return;
        }
        if view.generation > self.generation {
            self.begin(view, now, out);
            return;
        }
        // Somebody has made another one in between, or the store has gone back again: the next beat
        // shows it.
        self.next_beat = now.mono;
    }

    /// A new generation begins.
    fn begin(&mut self, view: &View, now: Now, out: &mut Vec<Output>) {
        self.generation = view.generation;
        self.back = false;
        self.told = false;
        self.open = false;
        // A beat only names its file, of which nobody may know by now what is in it.
        self.to_join = true;
        out.push(Output::Notice(Notice::NewGeneration(view.generation)));
        // Silence is measured again: a store that was away was away for all.
        for watch in self.watches.values_mut() {
            watch.restart(now.mono);
        }
        self.tell_again(view, out);
    }

    /// What this session knows and the store may not.
    fn tell_again(&mut self, view: &View, out: &mut Vec<Output>) {
        let missing = |known: &&Member| {
            known.id != self.me.id && view.members.iter().all(|member| member.id != known.id)
        };
        let known = self.known.values().chain(self.dead.values());
        let members: Vec<Member> = known.filter(missing).cloned().collect();
        let mut hashes: Vec<u64> = members.iter().map(|member| member.jobfile_hash).collect();
        sort::all(&mut hashes);
        hashes.dedup();
        let files = hashes.into_iter().filter_map(|hash| {
            let jobs = self.files.get(&hash)?;
            let mut jobs: JobList =
                jobs.iter().map(|(id, fingerprint)| (id.clone(), *fingerprint)).collect();
            sort::all(&mut jobs);
            Some((hash, jobs))
        });
        out.push(Output::TellAgain {
            generation: self.generation,
            files: files.collect(),
            members,
        });
    }

    /// The store has all that this session knows.
    pub(super) fn has_told(&mut self, generation: u64, now: Now) {
        if generation == self.generation && !self.back {
            self.told = true;
            self.me.generation = generation;
            // The others wait for it.
            self.next_beat = now.mono;
        }
    }

    /// Whether everybody has told again what they know. Once they have, the generation stays open:
    /// who joins later has nothing to tell.
    pub(super) fn all_told(&mut self, out: &mut Vec<Output>) {
        if self.open || self.back || !self.told || self.stage == Stage::Outside {
            return;
        }
        let Some(view) = &self.view else { return };
        let told = |member: &Member| member.gone.is_some() || member.generation >= self.generation;
        if view.generation == self.generation && view.members.iter().all(told) {
            self.open = true;
            self.unsettled = true;
            if self.generation > 0 {
                out.push(Output::Notice(Notice::AllTold(self.generation)));
            }
        }
    }
}
