//! The rule for daylight saving (doc/time.md), in full: when a schedule is due whose wall time a
//! change of clocks leaves out (a gap) or has twice (a fold). `super::schedule` knows no zones, and
//! `crate::core::zone` no schedules.

use super::Schedule;
use crate::core::instant::Instant;
use crate::core::zone::{Segment, Zone};

/// The first due second of `schedule` that is not
/// before `from`, which lies in `segment`.
///
/// The search runs on wall time, in which the schedule knows nothing of zones, and the segments of
/// the zone are laid over it. Its invariant: `wall` is the first match of all wall time from where
/// the search began, so that the segments before it hold none and may be skipped.
#[inline]
pub(super) fn next_at_or_after(
    schedule: &Schedule,
    zone: &Zone,
    mut segment: Segment,
    from: i64,
) -> Option<i64> {
    let mut begin = from + i64::from(segment.offset);
    if segment.start != i64::MIN {
        let (before, after) = segment.seam();
        if from == segment.start && before < after && lost_in_gap(schedule, &segment).is_some() {
            return Some(from);
        }
        // In the second pass of a fold, which is not for clock-like schedules.
        if begin < before && !schedule.is_recurring() {
            begin = before;
        }
    }
    let Some(mut wall) = schedule.next_at_or_after(begin) else {
        return in_second_pass(schedule, zone, segment, begin);
    };
    loop {
        let wall_end = segment.end.saturating_add(i64::from(segment.offset));
        if wall < wall_end {
            return Some(wall - i64::from(segment.offset));
        }
        let next = zone.segment_at(segment.end);
        let (before, after) = next.seam();
        if before < after {
            if wall < after {
                if !schedule.has_every_hour() {
                    return Some(next.start);
                }
                wall = schedule.next_at_or_after(after)?;
            }
        } else if begin > after && schedule.is_recurring() {
            // The search began in the first pass of this fold: the second pass goes over wall
            // time from before it again.
            wall = schedule.next_at_or_after(after)?;
        }
        begin = after.min(wall);
        segment = next;
        // Far from here nothing can lie between: go there at once. No offset is as large as 26 h.
        let near = wall - 26 * 3600;
        if near > segment.end {
            segment = zone.segment_at(near);
            begin = near + i64::from(segment.offset);
        }
    }
}

/// What is left when no wall time from `begin` on matches, in `segment`: a search that began in
/// the first pass of a fold still has the second one before it, which goes over earlier wall time
/// again. So end schedules whose years end.
#[cold]
fn in_second_pass(schedule: &Schedule, zone: &Zone, segment: Segment, begin: i64) -> Option<i64> {
    if segment.end == i64::MAX || !schedule.is_recurring() {
        return None;
    }
    let next = zone.segment_at(segment.end);
    let (before, after) = next.seam();
    let wall = schedule.next_at_or_after(after).filter(|_| begin > after)?;
    (wall < before).then(|| wall - i64::from(next.offset))
}

/// The first match that is lost in the gap before `segment`, for a schedule that runs at the
/// first instant after it instead.
pub(super) fn lost_in_gap(schedule: &Schedule, segment: &Segment) -> Option<DstEffect> {
    let (before, after) = segment.seam();
    if schedule.has_every_hour() {
        return None;
    }
    let wall = schedule.next_at_or_after(before).filter(|&wall| wall < after)?;
    Some(DstEffect::Gap { wall, runs: Instant::from_secs(segment.start) })
}

/// What a daylight-saving change does to a due time. Wall times are seconds since
/// 1970-01-01T00:00:00 on the zone's own clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DstEffect {
    /// The wall time (the first of possibly several that were lost) does not happen.
    Gap {
        /// The wall time that does not happen.
        wall: i64,
        /// When it runs instead: the first instant after the gap.
        runs: Instant,
    },
    /// The wall time happens twice.
    Fold {
        /// The wall time.
        wall: i64,
        /// The instant of this pass.
        at: Instant,
        /// Whether this is the first pass.
        first: bool,
        /// Whether the schedule runs both times.
        both: bool,
    },
}

impl DstEffect {
    /// The wall time it is about.
    pub fn wall(&self) -> i64 {
        match self {
            DstEffect::Gap { wall, .. } | DstEffect::Fold { wall, .. } => *wall,
        }
    }
}
