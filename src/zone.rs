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

/// log2 of the seconds in a bucket: 97 days, so that most hold one change of offset at most.
const BUCKET: u32 = 23;

/// A time zone. Cheap to clone.
#[derive(Clone)]
pub struct Zone(Arc<Inner>);

struct Inner {
    name: Box<str>,
    rules: TimeZone,
    /// The segments up to `HORIZON`, in order and without a hole.
    segments: Box<[Segment]>,
    /// For each stretch of 2^BUCKET seconds from `first_bucket` on, the segment it begins in: one
    /// look, and a step or two, where a binary search takes nine.
    buckets: Box<[u32]>,
    first_bucket: i64,
    /// Where the table ends: `i64::MAX` for a zone that changes no more after its last segment,
    /// else the start of that segment, whose end is not known here.
    table_end: i64,
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
        let mut offset = rules.to_offset(jiff::Timestamp::MIN).seconds();
        let mut last = Segment { start: i64::MIN, end: i64::MAX, offset, offset_before: offset };
        let mut segments = Vec::new();
        let mut table_end = i64::MAX;
        for transition in rules.following(jiff::Timestamp::MIN) {
            let start = transition.timestamp().as_second();
            if start >= HORIZON {
                table_end = last.start;
                break;
            }
            let offset_before = std::mem::replace(&mut offset, transition.offset().seconds());
            // A transition may change no more than an abbreviation.
            if offset != offset_before {
                segments.push(Segment { end: start, ..last });
                last = Segment { start, end: i64::MAX, offset, offset_before };
            }
        }
        segments.push(last);
        let first_bucket = segments[0].end >> BUCKET;
        let mut buckets = Vec::new();
        if segments.len() > 1 {
            let mut index = 0;
            for bucket in first_bucket..=last.start >> BUCKET {
                while segments[index].end <= bucket << BUCKET {
                    index += 1;
                }
                buckets.push(index as u32);
            }
        }
        Zone(Arc::new(Inner {
            name: name.into(),
            rules,
            segments: segments.into(),
            buckets: buckets.into(),
            first_bucket,
            table_end,
        }))
    }

    /// The name it was asked for by: an IANA name, or the TZ text of a POSIX rule.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether the zone has one offset for ever.
    pub fn is_fixed(&self) -> bool {
        self.0.segments.len() == 1 && self.0.table_end == i64::MAX
    }

    /// The segment that holds an instant.
    #[inline]
    pub fn segment_at(&self, secs: i64) -> Segment {
        let inner = &*self.0;
        let first = &inner.segments[0];
        if secs < first.end {
            return *first;
        }
        if secs >= inner.table_end {
            return self.segment_beyond_table(secs);
        }
        let bucket = ((secs >> BUCKET) - inner.first_bucket) as usize;
        let index = match inner.buckets.get(bucket) {
            Some(&index) => index as usize,
            None => inner.segments.len() - 1,
        };
        // The last segment of the table has no end, so this always finds one.
        let found = inner.segments[index..].iter().find(|segment| secs < segment.end);
        *found.unwrap_or(first)
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
                && self.0.segments == other.0.segments
                && self.0.rules == other.0.rules)
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
