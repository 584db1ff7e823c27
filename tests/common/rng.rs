//! A random number generator with a seed, so that a failing case can be run again: SplitMix64.

use std::ops::RangeInclusive;

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

#[allow(dead_code, reason = "each test uses a part of it")]
impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn within(&mut self, range: RangeInclusive<i64>) -> i64 {
        let size = (range.end() - range.start()) as u64 + 1;
        range.start() + (self.next() % size) as i64
    }

    pub(crate) fn number(&mut self, range: RangeInclusive<u32>) -> u32 {
        self.within(i64::from(*range.start())..=i64::from(*range.end())) as u32
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.number(0..=99) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.next() as usize % of.len()]
    }
}
