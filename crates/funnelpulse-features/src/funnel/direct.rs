//! A hasher for keys that are numbers: of series, or hashes already.

use std::hash::Hasher;

/// Spreads a number over all bits: 2^64 divided by the golden ratio (Knuth 1998, section 6.4).
pub(super) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// One multiplication per number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Direct(u64);

impl Direct {
    fn mix(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(GOLDEN);
        self.0 ^= self.0 >> 32;
    }
}

impl Hasher for Direct {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.mix(value as u64 ^ (value >> 64) as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }
}
