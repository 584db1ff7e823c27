//! Points on the two time lines of a scheduler, as plain integers.
//!
//! [`Instant`] is wall-clock time (UTC); [`Mono`] is monotonic time, for timeouts and delays.
//! Neither reads a clock: `crate::sys::clock` does, and everything else takes `now` as an argument.
//! Wall time as people write it, with its zone, is the business of `crate::core::zone`.

use std::fmt;
use std::time::Duration;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX).
///
/// The same resolution as Python's `datetime`, which APScheduler uses. Arithmetic saturates at
/// [`Instant::MIN`] and [`Instant::MAX`], so no input can make it overflow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(i64);

/// Microseconds in a second.
pub const MICROS: i64 = 1_000_000;

impl Instant {
    /// The earliest instant the engine works with: the first second of the year 1.
    pub const MIN: Instant = Instant(-62_135_596_800 * MICROS);
    /// The latest instant the engine works with: two days before the end of the year 9999,
    /// so that its wall time exists in every zone.
    pub const MAX: Instant = Instant(253_402_128_000 * MICROS);

    /// The last instant at which anything is due. [`Instant::MAX`] is where arithmetic ends up that
    /// goes too far, and a due time there would be due for ever.
    pub const LAST: Instant = Instant(Self::MAX.0 - 1);

    /// The instant `micros` microseconds after the epoch, held within `MIN..=MAX`.
    pub const fn from_micros(micros: i64) -> Instant {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Instant(micros)
        }
    }

    /// The instant `secs` seconds after the epoch, held within `MIN..=MAX`.
    pub const fn from_secs(secs: i64) -> Instant {
        Self::from_micros(secs.saturating_mul(MICROS))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(MICROS)
    }

    /// Microseconds past the whole second, `0..1_000_000`.
    pub const fn subsec_micros(self) -> u32 {
        self.0.rem_euclid(MICROS) as u32
    }

    /// The point before this one, also where it is [`Instant::MIN`]: to ask a trigger what is due at
    /// or after it, and for nothing else.
    pub const fn just_before(self) -> Instant {
        Instant(self.0 - 1)
    }

    /// The same instant with its fraction of a second cut off.
    pub const fn truncated(self) -> Instant {
        Instant(self.secs() * MICROS)
    }

    /// How much later `self` is than `earlier`; zero when it is not later.
    pub const fn since(self, earlier: Instant) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        if micros <= 0 { Duration::ZERO } else { Duration::from_micros(micros as u64) }
    }

    /// `self + span`, held at [`Instant::MAX`].
    pub const fn plus(self, span: Duration) -> Instant {
        Self::from_micros(self.0.saturating_add(duration_micros(span)))
    }

    /// The same of microseconds.
    pub(crate) const fn plus_micros(self, micros: u64) -> Instant {
        let micros = if micros > i64::MAX as u64 { i64::MAX } else { micros as i64 };
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// `self - span`, held at [`Instant::MIN`].
    pub const fn minus(self, span: Duration) -> Instant {
        Self::from_micros(self.0.saturating_sub(duration_micros(span)))
    }
}

impl fmt::Debug for Instant {
    /// RFC 3339 in UTC, so that failing tests and traces read as times.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, micros) = (self.secs(), self.subsec_micros());
        let (year, month, day) = crate::core::civil::from_days(secs.div_euclid(86_400));
        let s = secs.rem_euclid(86_400);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            s / 3600,
            s / 60 % 60,
            s % 60
        )?;
        match micros {
            0 => write!(f, "Z"),
            m => write!(f, ".{m:06}Z"),
        }
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A point in monotonic time: microseconds since some fixed but unknown moment.
///
/// It is never set back or forward, so that timeouts and retry delays mean what they say while
/// the wall clock is being corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(u64);

impl Mono {
    /// The point `micros` microseconds after the unknown origin.
    pub const fn from_micros(micros: u64) -> Mono {
        Mono(micros)
    }

    /// Microseconds since the unknown origin.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// How much later `self` is than `earlier`; zero when it is not later.
    pub const fn since(self, earlier: Mono) -> Duration {
        // Mostly it is now, and a `Duration` takes a division.
        if self.0 <= earlier.0 {
            return Duration::ZERO;
        }
        Duration::from_micros(self.0 - earlier.0)
    }

    /// `self + span`, saturating.
    pub const fn plus(self, span: Duration) -> Mono {
        Mono(self.0.saturating_add(duration_micros(span) as u64))
    }
}

/// The moment a decision is taken at, on both time lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What the wall clock says.
    pub wall: Instant,
    /// What the monotonic clock says.
    pub mono: Mono,
}

/// A duration in microseconds, saturating at `i64::MAX`.
pub const fn duration_micros(span: Duration) -> i64 {
    let micros = span.as_micros();
    if micros > i64::MAX as u128 { i64::MAX } else { micros as i64 }
}
