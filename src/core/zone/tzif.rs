//! TZif files (RFC 9636): how they are read, and which are taken.
//!
//! `jiff` reads them; here is what it leaves to its callers. It looks for changes by halves without
//! having checked that they are in order, and it passes over leap seconds, so that all times of a
//! zone that counts them would be half a minute late.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::tz::TimeZone;

/// A TZif file is a few kilobytes; anything this large is not one.
const MAX_BYTES: u64 = 1 << 20;

/// More changes than this are no zone: the reference implementation of tzcode takes no more either,
/// and the largest file of the database has 236.
const MAX_CHANGES: usize = 2000;

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is empty, cut short or something else.
    NoZoneData,
    /// It counts leap seconds.
    LeapSeconds,
}

/// Reads a file that may be a TZif file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // To open a FIFO would otherwise wait for its writer, for ever.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.len() > MAX_BYTES {
        return Err(io::Error::other("it is too large for zone data"));
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The rules that a TZif file describes.
pub(super) fn rules(name: &str, tzif: &[u8]) -> Result<TimeZone, Flaw> {
    let header = Header::of(tzif).ok_or(Flaw::NoZoneData)?;
    // Files since version 2 have everything twice; it is the second block that counts.
    let (header, block, width) = match header.version {
        0 => (header, &tzif[Header::LEN..], 4),
        _ => {
            let second = header.block_len(4).and_then(|len| tzif.get(Header::LEN + len..));
            let second = second.ok_or(Flaw::NoZoneData)?;
            let header = Header::of(second).ok_or(Flaw::NoZoneData)?;
            (header, &second[Header::LEN..], 8)
        }
    };
    if header.leaps > 0 {
        return Err(Flaw::LeapSeconds);
    }
    let changes = header.changes.checked_mul(width).and_then(|len| block.get(..len));
    let changes = changes.filter(|_| header.changes <= MAX_CHANGES).ok_or(Flaw::NoZoneData)?;
    let times: Vec<i64> = changes.chunks_exact(width).map(big_endian).collect();
    if !times.is_sorted_by(|a, b| a < b) {
        return Err(Flaw::NoZoneData);
    }
    TimeZone::tzif(name, tzif).map_err(|_| Flaw::NoZoneData)
}

/// What a header says of the block that follows it.
struct Header {
    version: u8,
    ut_indicators: usize,
    standard_indicators: usize,
    leaps: usize,
    changes: usize,
    types: usize,
    abbreviations: usize,
}

impl Header {
    const LEN: usize = 44;

    fn of(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..Header::LEN)?.strip_prefix(b"TZif")?;
        let count = |at: usize| big_endian(&bytes[at..at + 4]) as u32 as usize;
        Some(Header {
            version: bytes[0],
            ut_indicators: count(16),
            standard_indicators: count(20),
            leaps: count(24),
            changes: count(28),
            types: count(32),
            abbreviations: count(36),
        })
    }

    /// How long the block is; `width` is that of a point in time.
    fn block_len(&self, width: usize) -> Option<usize> {
        [
            (self.changes, width + 1),
            (self.types, 6),
            (self.abbreviations, 1),
            (self.leaps, width + 4),
            (self.standard_indicators, 1),
            (self.ut_indicators, 1),
        ]
        .into_iter()
        .try_fold(0usize, |sum, (count, len)| sum.checked_add(count.checked_mul(len)?))
    }
}

/// A signed number of 4 or 8 bytes.
fn big_endian(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let start = if negative { -1 } else { 0 };
    bytes.iter().fold(start, |number, byte| number << 8 | i64::from(*byte))
}
