//! Who is there: one document with all sessions, so that whatever is said of one of them is said in one
//! go, and read with each beat.

use std::collections::BTreeMap;
use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::encode::{self, Odd, Read, Row};
use crate::core::fleet::{Member, SessionId, Standing, View};
use crate::core::instant::Instant;
use crate::store::shared::REMEMBERED;

/// So long after a record of several due times was put in claims are compared with such: a lease is enough.
const COMPARED: Duration = Duration::from_secs(3600);

/// What is in that document.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) now: Instant,
    pub(super) generation: u64,
    pub(super) changes: u64,
    pub(super) seq: u64,
    pub(super) lives: u64,
    pub(super) next_run: u64,
    recorded: Box<str>,
    /// When a record of several due times was put in last.
    ranged: Option<Instant>,
    pub(super) all: BTreeMap<SessionId, Known>,
}

/// A session, with what only the store has to know.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) member: Member,
    /// It is dead, and what it has not confirmed may still be there.
    pub(super) is_unswept: bool,
    /// The last moment that its facts have told of.
    pub(super) at: Option<Instant>,
}

/// The fields of a session in the document.
pub(super) fn field(id: SessionId, name: &str) -> String {
    format!("members.s{id}.{name}")
}

impl Members {
    pub(super) fn read(document: &Document) -> Read<Members> {
        let mut all = BTreeMap::new();
        for (key, inner) in encode::inner(document, "members")?.into_iter().flatten() {
            let id: SessionId = key.trim_start_matches('s').parse().map_err(|_| Odd)?;
            let inner = inner.as_document().ok_or(Odd)?;
            let member = encode::member(id, inner)?;
            let gone = encode::inner(inner, "gone")?;
            let is_unswept = gone.is_some_and(|gone| !encode::flag(gone, "swept"));
            let at = encode::instant_or_none(inner, "at")?;
            all.insert(id, Known { member, is_unswept, at });
        }
        Ok(Members {
            // Nobody has written yet: any time is as good.
            now: encode::date(document, "now").unwrap_or(Instant::MIN),
            generation: encode::count(document, "generation")?,
            changes: encode::count(document, "changes")?,
            seq: encode::count(document, "seq")?,
            lives: encode::count(document, "lives")?,
            next_run: encode::count(document, "next_run")?,
            recorded: encode::text(document, "recorded")?,
            ranged: encode::date(document, "ranged").ok(),
            all,
        })
    }

    /// The host of a session.
    pub(super) fn host(&self, id: Option<SessionId>) -> Option<Box<str>> {
        self.all.get(&id?).map(|known| known.member.host.clone())
    }

    /// Whether claims are to be compared with records of several due times. Who claims one of their due times
    /// has had the job at home when it was decided, and has not heard of that.
    pub(super) fn has_ranges(&self) -> bool {
        self.ranged.is_some_and(|at| self.now.since(at) < COMPARED)
    }

    /// Whether such a record was put in since then.
    pub(super) fn has_new_ranges(&self, before: &Members) -> bool {
        self.ranged != before.ranged
    }

    /// What holds for the records that sessions have put in and not confirmed.
    pub(super) fn unconfirmed(&self) -> Vec<Document> {
        let there = self.all.iter().filter(|(_, known)| known.member.gone.is_none());
        let of = |(id, known): (&SessionId, &Known)| {
            doc! { "session": id.to_string(), "needs": { "$gt": known.member.beat as i64 } }
        };
        there.map(of).collect()
    }

    /// Whether a record has never counted: its session was called dead before it could confirm a claim, so
    /// that nothing has begun, and nobody ends it; or before it had looked what else there was.
    pub(super) fn is_void(&self, row: &Row) -> bool {
        let known = self.all.get(&row.session).map(|known| &known.member);
        let unconfirmed = |member: &Member| row.record.outcome.is_none() && row.needs > member.beat;
        known.is_some_and(|member| member.gone.is_some() && (row.is_pending || unconfirmed(member)))
    }

    /// Those that are not gone, or not for long, or ask.
    pub(super) fn recent(&self, me: Option<SessionId>) -> Vec<Member> {
        let oldest = Instant::from_micros(self.now.micros().saturating_sub(REMEMBERED));
        let recent = |member: &&Member| {
            member.gone.is_none_or(|gone| gone.at >= oldest) || Some(member.id) == me
        };
        self.all.values().map(|known| &known.member).filter(recent).cloned().collect()
    }

    /// What a session sees. `past`: it was one, longer ago.
    pub(super) fn view(self, me: SessionId, past: bool) -> View {
        let standing = match self.all.get(&me).map(|known| &known.member) {
            Some(member) if member.gone.is_none() => Standing::Alive { beat: member.beat },
            None if !past => Standing::Unknown,
            _ => Standing::Gone,
        };
        let members = self.recent(Some(me));
        View {
            now: self.now,
            generation: self.generation,
            // What most servers have written is forgotten by none of those that may take over.
            identity: "".into(),
            recorded: self.recorded,
            changes: self.changes,
            me: standing,
            members,
        }
    }
}
