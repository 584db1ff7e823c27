//! Who sends what hosts have left that are gone: notifications, pings and digests that still wait.
//!
//! Whoever finds a host dead takes that at once. This is about all others: a host that was stopped and does not come
//! back, and one whose heir has died as well. Pure: the members and the time are arguments.

use std::time::Duration;

use super::{Member, SessionId};
use crate::core::instant::Instant;

/// What there is to do about hosts that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// It is this session that sends what others have left than these hosts. `None`: it is another one.
    pub(crate) there: Option<Vec<Box<str>>>,
    /// Some are gone for less than a lease and may come back: look again a lease later.
    pub(crate) again: bool,
}

/// Whether it is the turn of the session `me`, as the store has all members at this time. It is that of the session
/// with the lowest number. If two think so for a moment, something is sent twice, under the same id.
pub(crate) fn turn<'a>(
    members: impl IntoIterator<Item = &'a Member>,
    me: SessionId,
    now: Instant,
    lease: Duration,
) -> Turn {
    let (mut first, mut there, mut again) = (None, Vec::new(), false);
    for member in members {
        match member.gone {
            None => {
                let may = (!member.leaving).then_some(member.id);
                first = [first, may].into_iter().flatten().min();
                there.push(member.host.clone());
            }
            Some(gone) if now.since(gone.at) < lease => {
                again = true;
                there.push(member.host.clone());
            }
            Some(_) => {}
        }
    }
    Turn { there: (first == Some(me)).then_some(there), again }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fleet::Gone;

    #[test]
    fn whose_turn_it_is() {
        let now = Instant::from_secs(1000);
        let lives = |id, host| Member::new(SessionId(id), host);
        let leaves = |id, host| Member { leaving: true, ..lives(id, host) };
        let gone = |id, host, secs: i64| {
            let at = Instant::from_secs(1000 - secs);
            Member { gone: Some(Gone { at, by: SessionId(id) }), ..lives(id, host) }
        };
        // (the members, what session 2 does: which hosts are there, if it is its turn; and whether it looks again)
        type Row = (Vec<Member>, Option<&'static [&'static str]>, bool);
        let rows: [Row; 8] = [
            (vec![lives(2, "web2")], Some(&["web2"]), false),
            (vec![lives(2, "web2"), lives(3, "web3")], Some(&["web2", "web3"]), false),
            (vec![lives(2, "web2"), lives(1, "web1")], None, false),
            // It will be gone soon, but not yet.
            (vec![lives(2, "web2"), leaves(1, "web1")], Some(&["web2", "web1"]), false),
            (vec![leaves(2, "web2")], None, false),
            (vec![gone(1, "web1", 14), lives(2, "web2")], Some(&["web1", "web2"]), true),
            (vec![gone(1, "web1", 15), lives(2, "web2")], Some(&["web2"]), false),
            // It has come back.
            (
                vec![gone(1, "web1", 60), lives(2, "web2"), lives(9, "web1")],
                Some(&["web2", "web1"]),
                false,
            ),
        ];
        for (members, there, again) in rows {
            let found = turn(&members, SessionId(2), now, Duration::from_secs(15));
            let there = there.map(|there| there.iter().map(|host| Box::from(*host)).collect());
            assert_eq!(found, Turn { there, again }, "{members:?}");
        }
        let nobody = turn(&[], SessionId(2), now, Duration::from_secs(15));
        assert_eq!(nobody, Turn { there: None, again: false });
    }
}
