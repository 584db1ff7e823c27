//! Zones: wall time <-> instant. The only file that knows gap and fold.
//!
//! A zone is a list of *segments*, the stretches of time between two changes of its offset from
//! UTC; within one, wall time and instant differ by a constant, so the cron engine works on
//! integers and only looks up where it is at the seams. The rules come from TZif data, read with
//! `jiff`; `database` says where that data is found, `tzif` which of it is taken, and `machine` which
//! zone is that of the machine.

mod database;
mod machine;
pub(crate) mod meant;
mod tzif;

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::core::instant::{Instant, MICROS};

pub use database::{Database, Source, Unknown};
pub use machine::{Doubt, Machine, tz_variable};

/// Segments up to this instant (2100-01-01T00:00:00Z) are computed when the zone is loaded, later
/// ones when they are asked for: a preview of the year 2400 is right, only slower.
const HORIZON: i64 = 4_102_444_800;

/// Seconds in a year, and a little more.
const YEAR: i64 = 370 * 86_400;

/// log2 of the seconds in a bucket: 97 days, so that most hold one change of offset at most.
const BUCKET: u32 = 23;

/// A time zone. Cheap to clone.
#[derive(Clone)]
pub struct Zone(Arc<Inner>);

struct Inner {
    name: Box<str>,
    /// Whether a zone can be asked for by that name; else it is there to be shown alone.
    has_name: bool,
    /// For the machine's own zone, where it was found.
    origin: Option<Box<str>>,
    rules: TimeZone,
    /// The segments up to `HORIZON`, in order and without a hole.
    segments: Box<[Segment]>,
    /// For each stretch of 2^BUCKET seconds from `first_bucket` on, the segment it begins in: one
    /// look, and a step or two, where a binary search takes nine.
    buckets: Box<[u32]>,
    first_bucket: i64,
    /// Where the table ends: `i64::MAX` for a zone that changes no more after its last segment,
    /// else the first change that is not in it.
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

    /// The zone that a TZif file describes, under `name`.
    pub fn from_tzif(name: &str, tzif: &[u8]) -> Result<Zone, Unknown> {
        Ok(Zone::new(name, tzif::rules(name, tzif)?))
    }

    /// The zone that `rules` describe, under `name`.
    fn new(name: &str, rules: TimeZone) -> Zone {
        let mut offset = rules.to_offset(beginning()).seconds();
        let mut last = Segment { start: i64::MIN, end: i64::MAX, offset, offset_before: offset };
        let mut segments = Vec::new();
        let mut table_end = i64::MAX;
        let mut at = beginning();
        while let Some((next, offset_after)) = change_after(&rules, at) {
            at = next;
            let start = at.as_second();
            if start >= HORIZON {
                last.end = start;
                table_end = start;
                break;
            }
            let offset_before = std::mem::replace(&mut offset, offset_after);
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
            has_name: true,
            origin: None,
            rules,
            segments: segments.into(),
            buckets: buckets.into(),
            first_bucket,
            table_end,
        }))
    }

    /// The same zone as the machine's own, which was found at `origin`. Without `has_name` nothing
    /// is known of it but its rules, and its name says where those stand.
    fn of_machine(&self, has_name: bool, origin: &str) -> Zone {
        let Inner { name, rules, segments, buckets, first_bucket, table_end, .. } = &*self.0;
        Zone(Arc::new(Inner {
            name: name.clone(),
            has_name,
            origin: Some(origin.into()),
            rules: rules.clone(),
            segments: segments.clone(),
            buckets: buckets.clone(),
            first_bucket: *first_bucket,
            table_end: *table_end,
        }))
    }

    /// The name it was asked for by, an IANA name. The machine's own zone may have none: then it is
    /// the TZ text of a POSIX rule, or the path of a file.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether a jobfile can ask for it by its name.
    pub fn has_name(&self) -> bool {
        self.0.has_name
    }

    /// Where the machine's own zone was found, such as `from /etc/localtime`; `None` for a zone that
    /// was asked for by its name.
    pub fn origin(&self) -> Option<&str> {
        self.0.origin.as_deref()
    }

    /// Whether two zones have had the same offsets from `from` to `until`.
    fn agrees(&self, other: &Zone, from: i64, until: i64) -> bool {
        let (from, until) = (Instant::from_secs(from), Instant::from_secs(until));
        let seams = |zone: &Zone| -> Vec<(i64, i32)> {
            zone.changes(from, until).map(|change| (change.start, change.offset)).collect()
        };
        self.offset_at(from) == other.offset_at(from) && seams(self) == seams(other)
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

    /// The segment of an instant after the table, where the zone's rules are asked each time. A
    /// segment found here may have the offset of its neighbour: where a rule changes nothing but an
    /// abbreviation, to look for the next real change could take thousands of steps.
    #[cold]
    fn segment_beyond_table(&self, secs: i64) -> Segment {
        let rules = &self.0.rules;
        let at = timestamp(secs);
        let offset = rules.to_offset(at).seconds();
        let end = change_after(rules, at).map_or(i64::MAX, |(end, _)| end.as_second());
        let start = self.start_beyond_table(at);
        let offset_before = rules.to_offset(timestamp(start - 1)).seconds();
        Segment { start, end, offset, offset_before }
    }

    /// The last change that is not after `at`. It is looked for forwards, from further and further
    /// back: what the library calls preceding are not always the changes that follow.
    fn start_beyond_table(&self, at: jiff::Timestamp) -> i64 {
        let (at, first) = (at.as_second(), self.0.table_end);
        let mut back = YEAR;
        loop {
            let from = at.saturating_sub(back).max(first - 1);
            let mut start = (from < first).then_some(first);
            let mut walked = timestamp(from);
            while let Some((next, _)) = change_after(&self.0.rules, walked)
                && next.as_second() <= at
            {
                start = Some(next.as_second());
                walked = next;
            }
            match start {
                Some(start) => return start,
                None => back = back.saturating_mul(4),
            }
        }
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
                return if second >= next.start {
                    Local::Fold { first, second }
                } else {
                    Local::Unambiguous(first)
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

/// The first change after an instant that the rules know of, and the offset from then on.
///
/// Everything here walks by this function, so nothing walks for ever: the answer is later than
/// `at`, whatever the library says. (jiff 0.2 answers with the last change of a zone again and
/// again, if the zone has no rule for the time after it.) After its last change a zone keeps its
/// offset, as in the C library.
fn change_after(rules: &TimeZone, at: jiff::Timestamp) -> Option<(jiff::Timestamp, i32)> {
    let change = rules.following(at).next()?;
    (change.timestamp() > at).then(|| (change.timestamp(), change.offset().seconds()))
}

/// The first instant whose offset is asked for. Zone data may hold several changes from before the
/// first one that jiff can represent, and all of them are that one to it.
fn beginning() -> jiff::Timestamp {
    timestamp(jiff::Timestamp::MIN.as_second() + 1)
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
