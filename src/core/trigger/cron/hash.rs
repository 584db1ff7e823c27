//! The hash behind `H` and jitter. Its values are promised to stay the same for ever, so it is
//! written out here instead of taken from a library that may change: FNV-1a over the text, then
//! the finaliser of SplitMix64, which spreads neighbouring values over all bits.

/// FNV-1a, 64 bits, of a text.
pub fn text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// SplitMix64's finaliser.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
