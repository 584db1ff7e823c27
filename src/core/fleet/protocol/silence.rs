//! Who is dead: a session whose beat has not moved for a lease, as seen by one that was in touch with
//! the store all the while.
//!
//! No clock of another host is looked at. The span is measured from when the beat was first seen
//! to when the store was asked again, so it is shorter than the silence; and what a session may do
//! after its last beat is over a margin before.

use std::time::Duration;

use super::{Fleet, MEMORY, Notice, Output, Stage};
use crate::core::fleet::{Gone, Member, SessionId, View};
use crate::core::instant::{Mono, Now};

/// The beat of another session, and since when it has been seen not to move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) beat: u64,
    since: Mono,
    /// It leaves: that was told.
    leaving: bool,
}

impl Watch {
    /// When it has not moved for a lease.
    pub(super) fn over(&self, lease: Duration) -> Mono {
        self.since.plus(lease)
    }

    /// Counts from now on.
    pub(super) fn restart(&mut self, now: Mono) {
        self.since = now;
    }
}

impl Fleet {
    /// Looks at the beats of the others; who was silent for a lease is to be called dead.
    pub(super) fn watch(
        &mut self,
        view: &View,
        forgets: bool,
        sent: Mono,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        // Whoever was out of touch for long cannot tell who else was. And in a store that has forgotten, a
        // beat that has not moved may be one that did.
        let in_touch = self.heard.is_some_and(|heard| sent.since(heard) <= self.timing.lease / 2);
        for member in view.members.iter().filter(|member| member.id != self.me.id) {
            if let Some(gone) = member.gone {
                self.watches.remove(&member.id);
                self.known.remove(&member.id);
                if self.dead.insert(member.id, member.clone()).is_none() && in_touch {
                    let by_itself = gone.by == member.id;
                    let notice = if by_itself { Notice::Left } else { Notice::Gone };
                    out.push(Output::Notice(notice(member.id)));
                }
                continue;
            }
            let begin = Watch { beat: member.beat, since: now.mono, leaving: member.leaving };
            match self.watches.get_mut(&member.id) {
                Some(watch) if in_touch && !forgets && watch.beat == member.beat => {
                    let silent = sent.since(watch.since);
                    if silent >= self.timing.lease {
                        out.push(Output::Reap { whom: member.id, beat: member.beat });
                    }
                }
                Some(watch) => {
                    let leaves = member.leaving && !watch.leaving;
                    *watch = begin;
                    if leaves {
                        out.push(Output::Notice(Notice::Leaves(member.id)));
                    }
                }
                None => {
                    self.watches.insert(member.id, begin);
                    if self.stage != Stage::Outside {
                        out.push(Output::Notice(Notice::Joined(member.id)));
                    }
                }
            }
        }
    }

    /// The store has answered whether a session is gone now.
    pub(super) fn reaped(&mut self, whom: SessionId, done: bool, now: Now, out: &mut Vec<Output>) {
        let me = self.me.id;
        let at = self.store_now(now);
        let Some(view) = &mut self.view else { return };
        if !done {
            // The next view says why not.
            if let Some(watch) = self.watches.get_mut(&whom) {
                watch.since = now.mono;
            }
            return;
        }
        for member in view.members.iter_mut().filter(|member| member.id == whom) {
            member.gone = Some(Gone { at, by: me });
            self.dead.insert(whom, member.clone());
            out.push(Output::Notice(Notice::Gone(whom)));
        }
        self.watches.remove(&whom);
        self.known.remove(&whom);
        self.unsettled = true;
        self.all_told(out);
    }

    /// Whoever is known to be dead and is alive in the store again: that was forgotten.
    pub(super) fn bury(&mut self, out: &mut Vec<Output>) {
        let Some(view) = &self.view else { return };
        let oldest = view.now.minus(MEMORY);
        self.dead.retain(|_, member| member.gone.is_some_and(|gone| gone.at >= oldest));
        for Member { id, beat, gone, .. } in &view.members {
            if gone.is_none() && self.dead.contains_key(id) && *id != self.me.id {
                out.push(Output::Reap { whom: *id, beat: *beat });
            }
        }
    }
}
