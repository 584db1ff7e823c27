//! Zones: wall time <-> instant. The only file that knows gap and fold.
//!
//! A zone is a list of *segments*, the stretches of time between two changes of its offset from
//! UTC; within one, wall time and instant differ by a constant, so the cron engine works on
//! integers and only looks up where it is at the seams. The rules come from TZif data, read with
//! `jiff`; `database` says where that data is found.

mod database;

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::instant::{Instant, MICROS};

pub use database::{Database, Source};

/// Segments up to this instant (2100-01-01T00:00:00Z) are computed when the zone is loaded, later
/// ones when they are asked for: a preview of the year 2400 is right, only slower.
const HORIZON: i64 = 4_102_444_800;

/// A time zone. Cheap to clone.
#[derive(Clone)]
pub struct Zone(Arc<Inner>);

struct Inner {
    name: Box<str>,
    rules: TimeZone,
    /// Where each segment of the table begins, in seconds; the first is `i64::MIN`.
    starts: Box<[i64]>,
    /// The offset of each segment, in seconds east of UTC.
    offsets: Box<[i32]>,
    /// Whether the zone goes on changing after the table's end.
    goes_on: bool,
}

/// A stretch of time with one offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first second; `i64::MIN` for a zone's first segment.
    pub start: i64,
    /// The first second after it; `i64::MAX` for a zone's last segment.
    pub end: i64,
    /// Seconds to add to an instant to get the wall time.
    pub offset: i32,
    /// The offset of the segment before; the same as `offset` for a zone's first segment.
    pub offset_before: i32,
}

impl Segment {
    /// The wall time at which the segment begins, and the one the segment before had reached.
    /// Between the two lies a gap (`before < after`) or a fold (`before > after`).
    pub fn seam(&self) -> (i64, i64) {
        (
            self.start.saturating_add(self.offset_before.into()),
            self.start.saturating_add(self.offset.into()),
        )
    }
}

/// What a wall time is in a zone. All values are seconds; `Gap` and `Fold` are the two effects of
/// a change of offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// It happens once, at this instant.
    Unambiguous(i64),
    /// It does not happen: the clock was set forward over it at `at`.
    Gap {
        /// The first instant after the gap.
        at: i64,
    },
    /// It happens twice: the clock was set back over it.
    Fold {
        /// The instant of the first pass.
        first: i64,
        /// The instant of the second pass.
        second: i64,
    },
}

impl Zone {
    /// UTC.
    pub fn utc() -> Zone {
        Zone::new("UTC", TimeZone::UTC)
    }

    /// The zone that `rules` describe, under `name`.
    fn new(name: &str, rules: TimeZone) -> Zone {
        let mut starts = vec![i64::MIN];
        let mut offsets = vec![rules.to_offset(jiff::Timestamp::MIN).seconds()];
        let mut goes_on = false;
        for transition in rules.following(jiff::Timestamp::MIN) {
            let (start, offset) =
                (transition.timestamp().as_second(), transition.offset().seconds());
            if start >= HORIZON {
                goes_on = true;
                break;
            }
            // A transition may change no more than an abbreviation.
            if offsets.last() != Some(&offset) {
                starts.push(start);
                offsets.push(offset);
            }
        }
        Zone(Arc::new(Inner {
            name: name.into(),
            rules,
            starts: starts.into(),
            offsets: offsets.into(),
            goes_on,
        }))
    }

    /// The name it was asked for by: an IANA name, or the TZ text of a POSIX rule.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether the zone has one offset for ever.
    pub fn is_fixed(&self) -> bool {
        self.0.starts.len() == 1 && !self.0.goes_on
    }

    /// The segment that holds an instant.
    #[inline]
    pub fn segment_at(&self, secs: i64) -> Segment {
        let inner = &*self.0;
        if inner.starts.len() == 1 && !inner.goes_on {
            let offset = inner.offsets[0];
            return Segment { start: i64::MIN, end: i64::MAX, offset, offset_before: offset };
        }
        // starts[0] is i64::MIN, so the count is at least 1.
        let after = inner.starts.partition_point(|&start| start <= secs);
        if after == inner.starts.len() && inner.goes_on {
            return self.segment_beyond_table(secs);
        }
        self.segment_in_table(after - 1)
    }

    #[inline]
    fn segment_in_table(&self, index: usize) -> Segment {
        let inner = &*self.0;
        Segment {
            start: inner.starts[index],
            end: inner.starts.get(index + 1).copied().unwrap_or(i64::MAX),
            offset: inner.offsets[index],
            offset_before: inner.offsets[index.saturating_sub(1)],
        }
    }

    /// The segment of an instant in the table's last segment or after it, where the zone's rules
    /// are asked each time.
    #[cold]
    fn segment_beyond_table(&self, secs: i64) -> Segment {
        let rules = &self.0.rules;
        let at = timestamp(secs);
        let offset = rules.to_offset(at).seconds();
        let end = rules
            .following(at)
            .find(|t| t.offset().seconds() != offset)
            .map_or(i64::MAX, |t| t.timestamp().as_second());
        // `preceding` is strict, and the segment may begin at this very second.
        let mut start = i64::MIN;
        let mut offset_before = offset;
        for transition in rules.preceding(timestamp(secs.saturating_add(1))) {
            if transition.offset().seconds() != offset {
                offset_before = transition.offset().seconds();
                break;
            }
            start = transition.timestamp().as_second();
        }
        Segment { start, end, offset, offset_before }
    }

    /// What a wall time (seconds since 1970-01-01T00:00:00 on the zone's own clocks) is in
    /// this zone.
    pub fn resolve(&self, wall: i64) -> Local {
        // No offset is as large as 26 h, so the wall time has not been reached there; the segment
        // it belongs to is this one or one of the next few.
        let mut segment = self.segment_at(wall.saturating_sub(26 * 3600));
        loop {
            let wall_end = segment.end.saturating_add(segment.offset.into());
            if wall < wall_end {
                let first = wall - i64::from(segment.offset);
                let next = match segment.end {
                    i64::MAX => return Local::Unambiguous(first),
                    end => self.segment_at(end),
                };
                let second = wall - i64::from(next.offset);
                return match second >= next.start {
                    true => Local::Fold { first, second },
                    false => Local::Unambiguous(first),
                };
            }
            let next = self.segment_at(segment.end);
            if wall < next.seam().1 {
                return Local::Gap { at: next.start };
            }
            segment = next;
        }
    }

    /// The instant of a wall time by the rule for `date`, `start_date` and `end_date`: the first
    /// instant after a gap, the first pass of a fold.
    pub fn instant_of(&self, wall: i64) -> Instant {
        Instant::from_secs(match self.resolve(wall) {
            Local::Unambiguous(at) | Local::Gap { at } | Local::Fold { first: at, .. } => at,
        })
    }

    /// The wall time of an instant, in whole seconds, rounded down.
    pub fn wall_of(&self, at: Instant) -> i64 {
        let secs = at.secs();
        secs + i64::from(self.segment_at(secs).offset)
    }

    /// The offset from UTC at an instant, in seconds east.
    pub fn offset_at(&self, at: Instant) -> i32 {
        self.segment_at(at.secs()).offset
    }

    /// The abbreviation in use at an instant, such as `CEST` or `+03`.
    pub fn abbreviation_at(&self, at: Instant) -> String {
        self.0.rules.to_offset_info(timestamp(at.secs())).abbreviation().to_owned()
    }

    /// The segments that begin within `from..until`, in order: the zone's changes of offset.
    pub fn changes(&self, from: Instant, until: Instant) -> impl Iterator<Item = Segment> + '_ {
        let mut segment = self.segment_at(from.secs());
        std::iter::from_fn(move || {
            if segment.end >= until.secs() {
                return None;
            }
            segment = self.segment_at(segment.end);
            Some(segment)
        })
    }
}

/// jiff's timestamp of a second, held within its range.
fn timestamp(secs: i64) -> jiff::Timestamp {
    let (min, max) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    jiff::Timestamp::from_second(secs.clamp(min.as_second(), max.as_second())).unwrap_or(max)
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.name == other.0.name
                && self.0.starts == other.0.starts
                && self.0.offsets == other.0.offsets)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.0.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

/// Seconds of an instant rounded up: the first whole second that is not before it.
pub(crate) fn ceil_secs(at: Instant) -> i64 {
    (at.micros() + MICROS - 1).div_euclid(MICROS)
}
