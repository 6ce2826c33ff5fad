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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, hash::Hash};

    use super::*;

    #[test]
    fn numbers_in_a_row_spread_over_all_buckets() {
        let hash = |value: &dyn Fn(&mut Direct)| {
            let mut hasher = Direct::default();
            value(&mut hasher);
            hasher.finish()
        };
        // A table looks at the lowest bits and at the highest seven.
        let of: Vec<u64> = (0..4096_usize).map(|n| hash(&|h| n.hash(h))).collect();
        assert_eq!(of.iter().collect::<BTreeSet<_>>().len(), 4096);
        assert_eq!(of.iter().map(|h| h >> 57).collect::<BTreeSet<_>>().len(), 128);
        assert!(of.iter().map(|h| h & 0xFFF).collect::<BTreeSet<_>>().len() > 2048);
        // Both halves of a long number count.
        let halves = [1_u128, 1 << 64, 2, 2 << 64].map(|n| hash(&|h| n.hash(h)));
        assert_ne!(halves[0], halves[2]);
        assert_ne!(halves[1], halves[3]);
    }
}
