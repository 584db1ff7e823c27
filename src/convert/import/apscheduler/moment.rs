//! Python's dates and time zones, as they stand in pickles.

use crate::convert::import::pickle::Pickled;
use crate::core::instant::Instant;
use crate::core::zone::{Database, Local, Unknown};

/// What the clocks go by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Clocks {
    Named(String),
    /// Seconds east of UTC.
    Fixed(i64),
}

impl Clocks {
    /// A zone of `zoneinfo`, `pytz` or `datetime`.
    pub(super) fn of(pickled: &Pickled) -> Option<Clocks> {
        let Pickled::Call(what, arguments) = pickled else { return None };
        let utc = || Clocks::Named("UTC".to_owned());
        let first = arguments.first();
        match pickled.name() {
            Some("datetime.timezone") => {
                let east = timedelta(first?)?;
                return match east {
                    0 => Some(utc()),
                    east => (east % 1_000_000 == 0).then_some(Clocks::Fixed(east / 1_000_000)),
                };
            }
            Some("pytz._UTC") => return Some(utc()),
            Some("pytz._FixedOffset") => return Some(Clocks::Fixed(first?.integer()? * 60)),
            _ => {}
        }
        // `getattr(zoneinfo.ZoneInfo, "_unpickle")("Europe/Berlin", 1)`,
        // `pytz._p("Europe/Berlin", ...)`.
        let of_zones = match &**what {
            Pickled::Global(name) => name.starts_with("pytz") || name.starts_with("zoneinfo"),
            Pickled::Call(_, inner) => {
                inner.first()?.name().is_some_and(|name| name.starts_with("zoneinfo"))
            }
            _ => false,
        };
        match &**first? {
            Pickled::Text(name) if of_zones => Some(Clocks::Named(name.clone())),
            _ => None,
        }
    }

    /// What a jobfile calls it. Whole hours have names, with the sign the other way round.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Clocks::Named(name) => Some(name.clone()),
            Clocks::Fixed(east) if east % 3600 == 0 => Some(format!("Etc/GMT{:+}", -(east / 3600))),
            Clocks::Fixed(_) => None,
        }
    }
}

/// A `datetime`.
pub(super) struct Moment {
    /// Seconds since 1970-01-01T00:00:00 on the clocks of its zone.
    wall: i64,
    micros: i64,
    /// It is the second pass of a wall time.
    fold: bool,
    /// None where it has no zone.
    pub(super) zone: Option<Clocks>,
    /// Seconds east of UTC, which `pytz` says itself.
    east: Option<i64>,
}

impl Moment {
    /// The seconds east of UTC, as Python has it: a wall time that does not exist is counted with
    /// the offset before it, and with the one after it if it is said to be a second pass.
    fn offset(&self, zones: &Database) -> Option<i64> {
        let name = match (&self.zone, self.east) {
            (_, Some(east)) => return Some(east),
            (Some(Clocks::Fixed(east)), None) => return Some(*east),
            (Some(Clocks::Named(name)), None) => name,
            (None, None) => return None,
        };
        let zone = zones.get(name)?;
        let at = match (zone.resolve(self.wall), self.fold) {
            (Local::Unambiguous(at), _) => at,
            (Local::Fold { first, .. }, false) => first,
            (Local::Fold { second, .. }, true) => second,
            (Local::Gap { at }, false) => at - 1,
            (Local::Gap { at }, true) => at,
        };
        Some(zone.offset_at(Instant::from_secs(at)).into())
    }

    pub(super) fn at(&self, zones: &Database) -> Option<Instant> {
        let secs = self.wall - self.offset(zones)?;
        Some(Instant::from_micros(secs * 1_000_000 + self.micros))
    }

    /// A date for a jobfile whose `timezone` is this one: with an offset where it would be another
    /// moment without.
    pub(super) fn text(&self, timezone: Option<&str>, zones: &Database) -> Result<String, String> {
        let own = match &self.zone {
            Some(Clocks::Named(name)) => Some(name.as_str()),
            _ => None,
        };
        // A zone that nobody knows is reported with the job, if it is the trigger's.
        let unknown = own.is_some() && own == timezone && zones.get(own.unwrap_or("")).is_none();
        if self.zone.is_none() || unknown {
            return Ok(self.shown(0, ""));
        }
        let Some(east) = self.offset(zones) else {
            let own = own.unwrap_or_default();
            return Err(zones.find(own).err().unwrap_or(Unknown::Name).say(own));
        };
        let same = own == timezone
            && timezone.and_then(|name| zones.get(name)).is_some_and(|zone| {
                zone.instant_of(self.wall) == Instant::from_secs(self.wall - east)
            });
        if same {
            return Ok(self.shown(0, ""));
        }
        if east % 60 != 0 {
            return Ok(self.shown(-east, "Z"));
        }
        let sign = if east < 0 { '-' } else { '+' };
        let (hours, minutes) = (east.abs() / 3600, east.abs() / 60 % 60);
        Ok(self.shown(0, &format!("{sign}{hours:02}:{minutes:02}")))
    }

    fn shown(&self, moved: i64, offset: &str) -> String {
        let at = chrono::DateTime::from_timestamp(self.wall + moved, 0).unwrap_or_default();
        let fraction = match self.micros {
            0 => String::new(),
            micros => format!(".{micros:06}"),
        };
        format!("{}{fraction}{offset}", at.format("%Y-%m-%dT%H:%M:%S"))
    }
}

/// Reads a `datetime`; none if its zone cannot be read, because then it is no moment.
pub(super) fn moment(pickled: &Pickled) -> Option<Moment> {
    let Pickled::Call(_, arguments) = pickled else { return None };
    if pickled.name() != Some("datetime.datetime") {
        return None;
    }
    let Pickled::Bytes(bytes) = &**arguments.first()? else { return None };
    let &[century, year, month, day, hour, minute, second, m2, m1, m0] = &bytes[..] else {
        return None;
    };
    let year = i32::from(century) * 256 + i32::from(year);
    // The highest bit of the month says that it is the second pass of a fold.
    let date = chrono::NaiveDate::from_ymd_opt(year, (month & 0x7f).into(), day.into())?;
    let time = date.and_hms_opt(hour.into(), minute.into(), second.into())?;
    let micros = i64::from(m2) << 16 | i64::from(m1) << 8 | i64::from(m0);
    let (zone, east) = match arguments.get(1) {
        None => (None, None),
        Some(pickled) => (Some(Clocks::of(pickled)?), pytz_offset(pickled)),
    };
    let wall = time.and_utc().timestamp();
    Some(Moment { wall, micros, fold: month & 0x80 != 0, zone, east })
}

/// A `date`.
pub(super) fn date(pickled: &Pickled) -> Option<chrono::NaiveDate> {
    let Pickled::Call(_, arguments) = pickled else { return None };
    if pickled.name() != Some("datetime.date") {
        return None;
    }
    let Pickled::Bytes(bytes) = &**arguments.first()? else { return None };
    let &[century, year, month, day] = &bytes[..] else { return None };
    let year = i32::from(century) * 256 + i32::from(year);
    chrono::NaiveDate::from_ymd_opt(year, month.into(), day.into())
}

/// The second argument of `pytz._p("Europe/Berlin", 7200, 3600, "CEST")`.
fn pytz_offset(pickled: &Pickled) -> Option<i64> {
    let Pickled::Call(_, arguments) = pickled else { return None };
    match pickled.name()? {
        "pytz._p" => arguments.get(1)?.integer(),
        _ => None,
    }
}

/// A `timedelta`, in microseconds.
pub(super) fn timedelta(pickled: &Pickled) -> Option<i64> {
    let Pickled::Call(_, arguments) = pickled else { return None };
    if pickled.name() != Some("datetime.timedelta") {
        return None;
    }
    let [days, secs, micros] = &arguments[..] else { return None };
    let secs = days.integer()?.checked_mul(86_400)?.checked_add(secs.integer()?)?;
    secs.checked_mul(1_000_000)?.checked_add(micros.integer()?)
}
