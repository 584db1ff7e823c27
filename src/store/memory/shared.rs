//! The memory as several schedulers share it: each has a handle of the same one.
//!
//! What a test of a fleet does to a server it does here as well: `set_clock` is the server's clock,
//! and `copy` and `go_back` make it forget, as a failover does.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Kept, Memory, Row};
use crate::core::event::{JobRecord, RunId};
use crate::core::fleet::{Gone, Lost, Member, SessionId, Standing, View};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::store::shared::{
    Adopted, Asked, Committed, EARLY, Files, Fingerprints, REMEMBERED, RUN_NUMBERS, Shared,
    TakenUp, refusal,
};
use crate::store::{Fact, StoreError};
use crate::sys::clock;

/// What there is beside the jobs and their records.
#[derive(Clone, Debug, Default)]
pub(super) struct Fleet {
    members: BTreeMap<SessionId, Member>,
    files: BTreeMap<u64, Fingerprints>,
    changes: u64,
    generation: u64,
    asked: Vec<Asked>,
    numbers: u64,
    /// Whose facts are being taken.
    writer: Option<SessionId>,
    /// How often it has gone back: that is another server behind the name.
    server: u64,
    /// Which it was when the generation was made.
    recorded: u64,
    clock: Option<Instant>,
}

impl Fleet {
    /// Whether it is not for a session that something is written.
    pub(super) fn is_written_by_one(&self) -> bool {
        self.writer.is_none()
    }

    /// The session whose facts are being taken, and its host.
    pub(super) fn writer(&self) -> (u64, Option<Box<str>>) {
        let member = self.writer.and_then(|writer| self.members.get(&writer));
        member.map_or((0, None), |member| (member.id.0, Some(member.host.clone())))
    }

    /// Whether a session has ever joined.
    pub(super) fn is_shared(&self) -> bool {
        !self.members.is_empty()
    }

    fn now(&self) -> Instant {
        self.clock.unwrap_or_else(clock::wall)
    }

    fn view(&self, me: SessionId) -> View {
        let standing = |member: &Member| match member.gone {
            Some(_) => Standing::Gone,
            None => Standing::Alive { beat: member.beat },
        };
        View {
            now: self.now(),
            generation: self.generation,
            identity: self.server.to_string().into(),
            recorded: self.recorded.to_string().into(),
            changes: self.changes,
            me: self.members.get(&me).map_or(Standing::Unknown, standing),
            members: self.recent(),
        }
    }

    /// Those that are not gone, or not for long.
    fn recent(&self) -> Vec<Member> {
        let oldest = Instant::from_micros(self.now().micros() - REMEMBERED);
        let recent = |member: &&Member| member.gone.is_none_or(|gone| gone.at >= oldest);
        self.members.values().filter(recent).cloned().collect()
    }

    /// When a host has loaded a file: a restart with the same one is no new load.
    fn loaded(&self, me: &Member, now: Instant) -> Instant {
        let same = |member: &&Member| {
            member.machine == me.machine
                && member.jobfile_hash == me.jobfile_hash
                && member.id != me.id
        };
        let recent = self.recent();
        let loaded = recent.iter().filter(same).map(|member| member.loaded).max();
        let own = self.members.get(&me.id).filter(|own| own.jobfile_hash == me.jobfile_hash);
        own.map(|own| own.loaded).or(loaded).unwrap_or(now)
    }

    fn put(&mut self, me: &Member) {
        let now = self.now();
        let loaded = self.loaded(me, now);
        let own = self.members.get(&me.id);
        let joined = own.map_or(now, |own| own.joined);
        let (beat, gone) = own.map_or((1, None), |own| (own.beat, own.gone));
        // Who is new has nothing to tell.
        let generation =
            if own.is_none() && me.generation == 0 { self.generation } else { me.generation };
        let member = Member { joined, loaded, seen: now, beat, gone, generation, ..me.clone() };
        self.members.insert(me.id, member);
        self.changes += 1;
    }

    /// Requests from before that are forgotten.
    pub(super) fn forget_asks(&mut self, oldest: Instant) {
        self.asked.retain(|asked| asked.at >= oldest);
    }

    /// One more beat, if the session is not gone and none of its beats is forgotten.
    fn beat(&mut self, me: SessionId, acked: u64) -> Result<&mut Member, StoreError> {
        let now = self.now();
        let member = self.members.get_mut(&me);
        let gone = member.as_ref().map(|member| member.gone.is_some());
        let counts = |member: &&mut Member| member.gone.is_none() && member.beat >= acked;
        let Some(member) = member.filter(counts) else {
            return Err(refusal(me, acked, gone));
        };
        (member.beat, member.seen) = (member.beat + 1, now);
        Ok(member)
    }
}

impl Kept {
    pub(super) fn members(&self) -> Vec<Member> {
        self.fleet.recent()
    }

    /// A fact of a session. Answers why its claim is lost, if it is.
    fn take_shared(&mut self, fact: &Fact) -> Option<(RunId, Lost)> {
        if let Fact::Admitted { run, job, due, host, slot, by, .. } = fact {
            let lost = self.why_lost(*run, job, *due, host.as_deref(), *slot, by.is_none());
            if let Some(lost) = lost {
                return Some((*run, lost));
            }
            self.take(fact);
            if let Some(row) = self.of(*run) {
                row.slot = slot.filter(|_| row.record.outcome.is_none());
            }
            return None;
        }
        if let Fact::Fate { job, due, last_due, host, .. } = fact
            && self.within(job, *due, *last_due, host.as_deref()).is_some()
        {
            return None;
        }
        if matches!(fact, Fact::Job(_) | Fact::Gone { .. } | Fact::AllPaused(_)) {
            self.fleet.changes += 1;
        }
        self.take(fact);
        None
    }

    /// The last of the trigger's due times that has a record.
    fn furthest(&self, job: &str) -> Instant {
        let rows = self.histories.get(job).into_iter().flat_map(|history| &history.rows);
        let rows = rows.filter_map(|seq| self.rows.get(seq));
        let named = rows.filter(|row| row.record.by.is_none());
        named.map(|row| row.record.last_due).max().unwrap_or(Instant::MIN)
    }

    /// A record of the trigger's due times among these, or with these among its own.
    fn within(&self, job: &str, due: Instant, last: Instant, host: Option<&str>) -> Option<&Row> {
        let history = self.histories.get(job)?;
        let mut rows = history.rows.iter().rev().filter_map(|seq| self.rows.get(seq));
        rows.find(|row| {
            let record = &row.record;
            record.by.is_none()
                && row.only_on.as_deref() == host
                && record.due <= last
                && record.last_due >= due
        })
    }

    fn why_lost(
        &self,
        run: RunId,
        job: &str,
        due: Instant,
        host: Option<&str>,
        slot: Option<u16>,
        named: bool,
    ) -> Option<Lost> {
        if let Some(row) = self.claimed(job, due, host) {
            let owner = row.record.run.unwrap_or(RunId(0));
            let taken = Lost::Taken { session: SessionId(row.session), run: owner };
            return (owner != run).then_some(taken);
        }
        if let Some(row) = self.within(job, due, due, host).filter(|_| named) {
            return Some(Lost::Taken { session: SessionId(row.session), run: RunId(0) });
        }
        let ahead = due.micros().saturating_sub(self.fleet.now().micros());
        if ahead > EARLY {
            return Some(Lost::Early { by: std::time::Duration::from_micros(ahead as u64) });
        }
        let history = self.histories.get(job)?;
        let mut rows = history.rows.iter().filter_map(|seq| self.rows.get(seq));
        let busy =
            rows.find(|row| slot.is_some() && row.slot == slot && row.only_on.as_deref() == host)?;
        Some(Lost::Busy { session: SessionId(busy.session) })
    }

    /// A run goes on with another session. Answers whether it is open and that session's.
    fn adopt(&mut self, me: SessionId, run: RunId, of: SessionId) -> bool {
        let (session, host) = self.fleet.writer();
        let Some(row) = self.of(run) else { return false };
        let is_open = row.record.outcome.is_none();
        if row.session == of.0 && matches!(row.record.outcome, None | Some(Outcome::Lost(_))) {
            row.slot = row.slot.filter(|_| is_open);
            (row.record.outcome, row.record.duration) = (None, None);
            (row.session, row.record.host) = (session, host);
        }
        row.session == me.0 && row.record.outcome.is_none()
    }
}

impl Memory {
    /// Has the store's clock show this from now on.
    pub fn set_clock(&self, now: Instant) {
        self.kept().fleet.clock = Some(now);
    }

    /// All that is in it, in a store of its own.
    pub fn copy(&self) -> Memory {
        let memory = Memory::new();
        *memory.kept() = self.kept().clone();
        memory
    }

    /// Forgets all that has come since `copy` was made: as a server that a replica takes the place
    /// of. The clock goes on.
    pub fn go_back(&self, copy: &Memory) {
        let before = copy.kept().clone();
        let mut kept = self.kept();
        let (server, clock) = (kept.fleet.server + 1, kept.fleet.clock);
        *kept = before;
        (kept.fleet.server, kept.fleet.clock) = (server, clock);
    }
}

impl Shared for Memory {
    fn join(&mut self, me: &Member, jobs: &[(Box<str>, u64)]) -> Result<View, StoreError> {
        let fleet = &mut self.kept().fleet;
        if !fleet.members.contains_key(&me.id) || fleet.beat(me.id, me.beat).is_ok() {
            fleet.put(me);
        }
        fleet.files.entry(me.jobfile_hash).or_insert_with(|| jobs.to_vec());
        Ok(fleet.view(me.id))
    }

    fn beat(&mut self, me: &Member) -> Result<View, StoreError> {
        let fleet = &mut self.kept().fleet;
        if let Ok(member) = fleet.beat(me.id, me.beat) {
            let Member { beat, seen, joined, loaded, gone, .. } = *member;
            *member = Member { beat, seen, joined, loaded, gone, ..me.clone() };
        }
        Ok(fleet.view(me.id))
    }

    fn commit(
        &mut self,
        me: SessionId,
        acked: u64,
        facts: &[Fact],
    ) -> Result<Committed, StoreError> {
        let mut kept = self.kept();
        let beat = kept.fleet.beat(me, acked)?.beat;
        kept.fleet.writer = Some(me);
        let lost = facts.iter().filter_map(|fact| kept.take_shared(fact)).collect();
        kept.fleet.writer = None;
        kept.bound();
        Ok(Committed { lost, beat, now: kept.fleet.now(), changes: kept.fleet.changes })
    }

    fn reap(&mut self, by: SessionId, whom: SessionId, beat: u64) -> Result<bool, StoreError> {
        let fleet = &mut self.kept().fleet;
        let at = fleet.now();
        let silent = |member: &&mut Member| member.gone.is_none() && member.beat == beat;
        let Some(member) = fleet.members.get_mut(&whom).filter(silent) else {
            return Ok(false);
        };
        member.gone = Some(Gone { at, by });
        fleet.changes += 1;
        Ok(true)
    }

    fn adopt(
        &mut self,
        me: SessionId,
        acked: u64,
        runs: &[(RunId, SessionId)],
    ) -> Result<Adopted, StoreError> {
        let mut kept = self.kept();
        let beat = kept.fleet.beat(me, acked)?.beat;
        kept.fleet.writer = Some(me);
        let runs = runs.iter().filter(|(run, of)| kept.adopt(me, *run, *of));
        let runs = runs.map(|(run, _)| *run).collect();
        kept.fleet.writer = None;
        Ok(Adopted { runs, beat })
    }

    fn leave(&mut self, me: SessionId, ended: bool) -> Result<(), StoreError> {
        let fleet = &mut self.kept().fleet;
        let now = fleet.now();
        if let Some(member) = fleet.members.get_mut(&me) {
            member.leaving = true;
            if ended {
                member.gone.get_or_insert(Gone { at: now, by: me });
            }
            fleet.changes += 1;
        }
        Ok(())
    }

    fn take_up(&mut self, jobs: &[Box<str>]) -> Result<TakenUp, StoreError> {
        let kept = self.kept();
        let asked = |id: &str| jobs.is_empty() || jobs.iter().any(|job| **job == *id);
        let known = kept.jobs.iter().filter(|(id, _)| asked(id));
        let known = known.map(|(id, known)| {
            let record = known.record(id);
            let decided = record.decided.max(kept.furthest(id));
            JobRecord { decided, ..record }
        });
        let rows = kept.rows.values().filter(|row| asked(&row.record.job));
        Ok(TakenUp {
            jobs: known.collect(),
            open: rows.filter_map(Row::open_elsewhere).collect(),
            all_paused: kept.all_paused.clone(),
        })
    }

    fn files(&mut self, hashes: &[u64]) -> Result<Files, StoreError> {
        let kept = self.kept();
        let file = |hash: &u64| Some((*hash, kept.fleet.files.get(hash)?.clone()));
        Ok(hashes.iter().filter_map(file).collect())
    }

    fn run_numbers(&mut self) -> Result<Range<u64>, StoreError> {
        let mut kept = self.kept();
        let first = kept.fleet.numbers.max(kept.next_run).max(1);
        kept.fleet.numbers = first + RUN_NUMBERS;
        Ok(first..first + RUN_NUMBERS)
    }

    fn ask(&mut self, asked: &Asked) -> Result<(), StoreError> {
        let fleet = &mut self.kept().fleet;
        if !fleet.asked.iter().any(|other| other.id == asked.id) {
            fleet.asked.push(asked.clone());
            fleet.changes += 1;
        }
        Ok(())
    }

    fn asks(&mut self, session: SessionId) -> Result<Vec<Asked>, StoreError> {
        let concerns = |asked: &&Asked| match asked.answer {
            None => asked.to == session,
            Some(_) => asked.from == session,
        };
        Ok(self.kept().fleet.asked.iter().filter(concerns).cloned().collect())
    }

    fn answer(&mut self, id: u64, answer: &str) -> Result<(), StoreError> {
        let fleet = &mut self.kept().fleet;
        if let Some(asked) = fleet.asked.iter_mut().find(|asked| asked.id == id)
            && asked.answer.is_none()
        {
            asked.answer = Some(answer.into());
            fleet.changes += 1;
        }
        Ok(())
    }

    fn new_generation(&mut self, me: &Member, seen: u64, above: u64) -> Result<View, StoreError> {
        let fleet = &mut self.kept().fleet;
        if fleet.generation == seen {
            fleet.generation = seen.max(above) + 1;
            fleet.recorded = fleet.server;
            fleet.changes += 1;
        }
        if !fleet.members.contains_key(&me.id) {
            fleet.put(me);
        }
        Ok(fleet.view(me.id))
    }

    fn put_back(&mut self, members: &[Member], files: &Files) -> Result<(), StoreError> {
        let fleet = &mut self.kept().fleet;
        for member in members {
            fleet.members.entry(member.id).or_insert_with(|| member.clone());
        }
        for (hash, jobs) in files {
            fleet.files.entry(*hash).or_insert_with(|| jobs.clone());
        }
        fleet.changes += 1;
        Ok(())
    }
}
