//! Repairs checksums of mutated model files and spools, so that what they hold is decoded.

/// Bytes before the length of the kind: signature and format version.
const PREFIX: usize = 10;
/// Bytes of the payload version, in files of format 2.
const PAYLOAD_VERSION: usize = 2;
/// Bytes of the payload's length.
const LENGTH: usize = 8;
/// Bytes of the checksum.
const CHECKSUM: usize = 4;
/// Bytes in front of a line of a spool: eight digits and a space.
const LINE_CHECKSUM: usize = 9;

/// Writes the right length and checksum; leaves bytes without room for a header as they are.
pub(crate) fn repair(bytes: &mut [u8]) {
    let Some(payload) = payload_start(bytes) else { return };
    let Some(end) = bytes.len().checked_sub(CHECKSUM).filter(|end| *end >= payload) else { return };
    let length = (end - payload) as u64;
    bytes[payload - LENGTH..payload].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
}

/// Writes the right checksum in front of each line of a spool.
pub(crate) fn repair_lines(bytes: &mut [u8]) {
    for line in bytes.split_mut(|byte| *byte == b'\n') {
        if let Some((checksum, json)) = line.split_at_mut_checked(LINE_CHECKSUM) {
            checksum.copy_from_slice(format!("{:08x} ", crc32fast::hash(json)).as_bytes());
        }
    }
}

fn payload_start(bytes: &[u8]) -> Option<usize> {
    let format = u16::from_le_bytes([*bytes.get(PREFIX - 2)?, *bytes.get(PREFIX - 1)?]);
    let version = PREFIX + 1 + usize::from(*bytes.get(PREFIX)?);
    let rest = version + 1 + usize::from(*bytes.get(version)?);
    let start = rest + if format == 1 { 0 } else { PAYLOAD_VERSION } + LENGTH;
    (start <= bytes.len()).then_some(start)
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::{Writer, inspect, write_payload};

    use super::*;

    #[test]
    fn a_repaired_file_has_the_right_length_and_checksum() {
        let mut bytes = write_payload("numbers", Writer::default(), &vec![1.0, 2.0]).unwrap();
        let last = bytes.len() - CHECKSUM - 1;
        bytes[last] ^= 1;
        bytes.insert(last, 7);
        assert!(inspect(&bytes).is_err());
        repair(&mut bytes);
        assert_eq!(inspect(&bytes).unwrap().kind, "numbers");
    }

    #[test]
    fn files_without_a_header_stay_as_they_are() {
        for length in 0..20 {
            let mut bytes = vec![200; length];
            repair(&mut bytes);
            assert_eq!(bytes, vec![200; length]);
        }
    }

    #[test]
    fn repaired_lines_have_the_right_checksum() {
        let mut bytes = b"00000000 {\"a\":1}\n\nshort\n00000000 x\n".to_vec();
        repair_lines(&mut bytes);
        let line = |json: &str| format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("{}\nshort\n{}", line("{\"a\":1}"), line("x")));
    }
}
