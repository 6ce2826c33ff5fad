use proptest::prelude::*;

use super::{
    envelope::{CHECKSUM_LEN, SIGNATURE},
    *,
};

fn sample() -> Vec<u8> {
    write_payload("numbers", Writer::default(), &vec![1.5f64, f64::MIN_POSITIVE, -0.0]).unwrap()
}

#[test]
fn round_trip_is_bit_identical() {
    let back: Vec<f64> = read_payload("numbers", 1, &sample()).unwrap();
    let bits: Vec<u64> = back.iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, [1.5f64, f64::MIN_POSITIVE, -0.0].map(f64::to_bits));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = sample();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(read_payload::<Vec<f64>>("numbers", 1, &bad).is_err(), "bit {bit}");
    }
}

#[test]
fn truncation_and_other_versions_are_named() {
    let good = sample();
    for len in 0..good.len() {
        assert!(inspect(&good[..len]).is_err(), "{len} bytes");
    }
    let mut newer = good.clone();
    newer[8] = 3;
    let message = inspect(&newer).unwrap_err().to_string();
    assert_eq!(message, "model format 3 can't be read, this build reads formats 1 to 2");
    let wrong = read_payload::<Vec<f64>>("trees", 1, &good).unwrap_err();
    assert!(matches!(wrong, ModelError::WrongKind { .. }));
    let unknown = Registry::new().load(&good).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown model kind `numbers` (registered: )");
}

/// Format 1, written before there was a payload version.
fn sample_of_format_1() -> Vec<u8> {
    let mut bytes = sample();
    let version = env!("CARGO_PKG_VERSION").len();
    let at = SIGNATURE.len() + 2 + 1 + "numbers".len() + 1 + version;
    bytes.drain(at..at + 2);
    bytes[8] = 1;
    let body = bytes.len() - CHECKSUM_LEN;
    let checksum = crc32fast::hash(&bytes[..body]);
    bytes[body..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn files_of_format_1_still_load() {
    let old = sample_of_format_1();
    let info = inspect(&old).unwrap();
    assert_eq!((info.format_version, info.payload_version), (1, 1));
    assert_eq!(read_payload::<Vec<f64>>("numbers", 1, &old).unwrap().len(), 3);
}

#[test]
fn another_payload_version_says_who_wrote_it() {
    let writer = Writer { payload_version: 7, crate_version: "9.8.7" };
    let newer = write_payload("numbers", writer, &vec![1.0]).unwrap();
    let message = read_payload::<Vec<f64>>("numbers", 2, &newer).unwrap_err().to_string();
    assert!(message.contains("payload version 7") && message.contains("9.8.7"), "{message}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut tail in prop::collection::vec(any::<u8>(), 0..200), sign in any::<bool>()) {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        if sign { bytes.append(&mut tail) } else { bytes = tail }
        prop_assert!(Registry::new().load(&bytes).is_err());
    }

    #[test]
    fn a_right_checksum_does_not_make_a_payload_valid(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        // A hostile length prefix must not allocate: postcard caps what it reserves.
        let info = ModelInfo {
            format_version: FORMAT_VERSION,
            kind: "numbers".to_owned(),
            crate_version: String::new(),
            payload_version: 1,
            payload_len: payload.len(),
        };
        let decoded = decode_payload::<Vec<f64>>(&info, &payload);
        if let Ok(values) = decoded { prop_assert!(values.len() * 8 <= payload.len()); }
    }
}
