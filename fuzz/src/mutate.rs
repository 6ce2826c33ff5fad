//! Damaged copies of seeds.

use rand::RngExt;
use rand_pcg::Pcg64;

/// Edits of one input, at most.
const MOST_EDITS: usize = 6;
/// Bytes that one edit inserts, removes or copies, at most.
const LONGEST_PART: usize = 64;
/// Inputs are cut to this length: longer ones only take longer.
const LONGEST_INPUT: usize = 1 << 20;
/// Numbers that lengths and counts go wrong at.
const LENGTHS: [u64; 12] =
    [0, 1, 2, 127, 128, 255, 65_535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1, u64::MAX];
/// Words that tables, settings and numbers go wrong at.
const WORDS: &[&str] = &[
    "",
    ",",
    "\"",
    "\"\"",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "NaN",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e308",
    "1e-308",
    "1e400",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "2019-10-01 00:00:00",
    "true",
    "[",
    "]",
    "{",
    "}",
    " = ",
];

/// Seeds and words to mutate with.
#[derive(Debug)]
pub(crate) struct Mutator {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// The dictionary is made of fixed words and of those in seeds that are text.
    pub(crate) fn new(seeds: Vec<Vec<u8>>) -> Self {
        let mut words: Vec<Vec<u8>> = WORDS.iter().map(|word| word.as_bytes().to_vec()).collect();
        for text in seeds.iter().filter_map(|seed| std::str::from_utf8(seed).ok()) {
            let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|part| !part.is_empty());
            words.extend(parts.map(|part| part.as_bytes().to_vec()));
        }
        words.sort_unstable();
        words.dedup();
        Self { seeds, words }
    }

    /// A seed with a few edits.
    pub(crate) fn next(&self, rng: &mut Pcg64) -> Vec<u8> {
        let mut bytes = pick(&self.seeds, rng).clone();
        for _ in 0..rng.random_range(1..=MOST_EDITS) {
            self.edit(&mut bytes, rng);
        }
        bytes.truncate(LONGEST_INPUT);
        bytes
    }

    fn edit(&self, bytes: &mut Vec<u8>, rng: &mut Pcg64) {
        if bytes.is_empty() {
            bytes.extend_from_slice(pick(&self.words, rng));
            return;
        }
        let at = rng.random_range(0..bytes.len());
        let end = (at + rng.random_range(1..=LONGEST_PART)).min(bytes.len());
        match rng.random_range(0..9u8) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8u8),
            1 => bytes[at] = rng.random(),
            2 => bytes.truncate(at),
            3 => overwrite(bytes, at, &fixed_length(rng)),
            4 => drop(bytes.splice(at..=at, variable_length(rng))),
            5 => drop(bytes.splice(at..at, pick(&self.words, rng).iter().copied())),
            6 => drop(bytes.drain(at..end)),
            7 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let part = part_of(pick(&self.seeds, rng), rng);
                bytes.splice(at..end, part);
            }
        }
    }
}

fn pick<'a>(from: &'a [Vec<u8>], rng: &mut Pcg64) -> &'a Vec<u8> {
    &from[rng.random_range(0..from.len())]
}

fn part_of(seed: &[u8], rng: &mut Pcg64) -> Vec<u8> {
    if seed.is_empty() {
        return Vec::new();
    }
    let start = rng.random_range(0..seed.len());
    let end = (start + rng.random_range(1..=LONGEST_PART)).min(seed.len());
    seed[start..end].to_vec()
}

fn length(rng: &mut Pcg64) -> u64 {
    LENGTHS[rng.random_range(0..LENGTHS.len())]
}

/// A number of 1, 2, 4 or 8 bytes, little endian.
fn fixed_length(rng: &mut Pcg64) -> Vec<u8> {
    let width = 1usize << rng.random_range(0..4u8);
    length(rng).to_le_bytes()[..width].to_vec()
}

/// A number in groups of seven bits (LEB128), as postcard and Thrift write lengths.
fn variable_length(rng: &mut Pcg64) -> Vec<u8> {
    let mut rest = length(rng);
    let mut bytes = Vec::new();
    loop {
        let group = (rest & 0x7F) as u8;
        rest >>= 7;
        if rest == 0 {
            bytes.push(group);
            return bytes;
        }
        bytes.push(group | 0x80);
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes[at..].iter_mut().zip(with) {
        *byte = *new;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs() {
        let mutator = Mutator::new(vec![b"views = 12".to_vec(), Vec::new()]);
        let inputs = || {
            let mut rng = Pcg64::seed_from_u64(3);
            (0..1_000).map(|_| mutator.next(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(), inputs());
        assert!(mutator.words.contains(&b"views".to_vec()));
    }

    #[test]
    fn lengths_are_written_in_both_ways() {
        let mut rng = Pcg64::seed_from_u64(1);
        for _ in 0..100 {
            assert!([1, 2, 4, 8].contains(&fixed_length(&mut rng).len()));
            let bytes = variable_length(&mut rng);
            let (last, rest) = bytes.split_last().unwrap();
            assert!(*last < 0x80 && rest.iter().all(|byte| *byte >= 0x80));
        }
    }
}
