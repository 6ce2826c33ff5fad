//! Model files that strangers may hand us.

use allocation_counter::measure;
use funnelpulse_core::{Registry, to_bytes};
use funnelpulse_iforest::{IsolationForestConfig, IsolationForestModel, Split};
use funnelpulse_testing::noise_frame;
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::{SPLITS, fitted};

/// Mutated files per kind of split, numbers and categories: 12,000 in all.
const FILES: usize = 2_000;

/// Damages a file a little, and repairs length and checksum so that the payload is read.
fn mutate(file: &[u8], rng: &mut Pcg64) -> Vec<u8> {
    let mut bytes = file[..file.len() - 4].to_vec();
    let header = payload_start(file);
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(header..bytes.len());
        match rng.random_range(0..5) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][rng.random_range(0..5)],
            2 => bytes.truncate(at.max(header + 1)),
            3 => bytes.insert(at, rng.next_u32() as u8),
            _ => {
                let from = rng.random_range(header..bytes.len());
                let copied = bytes[from..(from + 16).min(bytes.len())].to_vec();
                let end = (at + copied.len()).min(bytes.len());
                bytes.splice(at..end, copied);
            }
        }
    }
    let len = ((bytes.len() - header) as u64).to_le_bytes();
    bytes[header - 8..header].copy_from_slice(&len);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Signature (8), format (2), kind and version with their lengths, version (2) and length (8) of the payload.
fn payload_start(file: &[u8]) -> usize {
    let kind = file[10] as usize;
    let version = file[11 + kind] as usize;
    12 + kind + version + 2 + 8
}

#[test]
fn mutated_models_are_refused_or_harmless() {
    let registry = Registry::new().with::<IsolationForestModel>();
    let frame = noise_frame(40, 3, 1);
    let mut loaded = 0;
    let config =
        |split| IsolationForestConfig { split, n_trees: 5, max_samples: 32, reservoir: 32, ..Default::default() };
    let categorical = IsolationForestConfig { categorical: vec!["c1".into()], ..config(Split::Standard) };
    for config in SPLITS.map(config).into_iter().chain([categorical]) {
        let file = to_bytes(&fitted(config, &frame)).unwrap();
        let mut rng = Pcg64::seed_from_u64(7);
        for _ in 0..FILES {
            let bytes = mutate(&file, &mut rng);
            let mut model = None;
            let memory = measure(|| model = registry.load(&bytes).ok());
            let allowed = 200 * bytes.len() as u64 + 1_000_000;
            assert!(memory.bytes_max < allowed, "{} bytes for a file of {}", memory.bytes_max, bytes.len());
            if let Some(mut model) = model {
                loaded += 1;
                if let Ok(detection) = model.detect(frame.view()) {
                    assert_eq!(detection.len(), 40);
                }
                if let Some(online) = model.as_online() {
                    let _ = online.update(frame.view());
                }
            }
        }
    }
    // The mutations must reach past the first check, or they test nothing.
    assert!(loaded > 500, "{loaded}");
}

#[test]
fn a_tree_of_splits_without_end_is_refused() {
    // A real forest, with the configuration's depth as it is, saved and cut short at every byte.
    let config = IsolationForestConfig { split: Split::Standard, n_trees: 2, max_samples: 16, ..Default::default() };
    let file = to_bytes(&fitted(config, &noise_frame(40, 2, 1))).unwrap();
    let registry = Registry::new().with::<IsolationForestModel>();
    let header = payload_start(&file);
    for len in header..file.len() - 4 {
        let mut bytes = file[..len].to_vec();
        bytes[header - 8..header].copy_from_slice(&((len - header) as u64).to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        assert!(registry.load(&bytes).is_err(), "{len} bytes");
    }
}
