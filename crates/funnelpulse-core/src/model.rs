//! Models as files: an envelope around a binary payload, and the registry that opens it.
//!
//! ```text
//! offset  bytes  what
//! 0       8      signature  89 46 50 55 4C 53 45 0A
//! 8       2      format version, little endian like every number here
//! 10      1      length of the kind, then the kind in UTF-8
//! ..      1      length of the crate version, then the version that wrote the model
//! ..      8      length of the payload, then the payload (postcard)
//! last    4      CRC-32 of everything before it
//! ```
//!
//! The checksum finds damage, not malice: a hostile file can carry a right checksum. Every model
//! therefore validates what it decodes before it is used, and nothing is allocated that the
//! length of the file does not justify.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, de::DeserializeOwned};

use crate::{FittedDetector, ModelError};

const SIGNATURE: [u8; 8] = *b"\x89FPULSE\n";
const CHECKSUM_LEN: usize = 4;

/// The envelope format that this build writes and reads.
pub const FORMAT_VERSION: u16 = 1;

/// A fitted detector that can be loaded from a file.
///
/// Its `Deserialize` must reject every value that would make scoring panic or hang: that is the
/// only guard against a hostile file.
pub trait PersistentModel: FittedDetector + DeserializeOwned + 'static {
    /// What [`FittedDetector::kind`] returns.
    const KIND: &'static str;
}

/// What the envelope says of a model without decoding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The format version of the envelope.
    pub format_version: u16,
    /// The kind of the model.
    pub kind: String,
    /// The version of the crate that wrote it.
    pub crate_version: String,
    /// Length of the payload in bytes.
    pub payload_len: usize,
}

/// Wraps a serializable value into an envelope.
pub fn write_payload<T: Serialize + ?Sized>(kind: &str, value: &T) -> Result<Vec<u8>, ModelError> {
    let fail = |reason: String| ModelError::Encode { kind: kind.to_owned(), reason };
    let payload = postcard::to_allocvec(value).map_err(|e| fail(e.to_string()))?;
    let version = env!("CARGO_PKG_VERSION");
    let mut out = Vec::with_capacity(payload.len() + 64);
    out.extend_from_slice(&SIGNATURE);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    for text in [kind, version] {
        let len = u8::try_from(text.len()).map_err(|_| fail("kind is longer than 255 bytes".into()))?;
        out.push(len);
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    Ok(out)
}

/// Opens an envelope of the given kind.
pub fn read_payload<T: DeserializeOwned>(kind: &'static str, bytes: &[u8]) -> Result<T, ModelError> {
    let (info, payload) = open(bytes)?;
    if info.kind != kind {
        return Err(ModelError::WrongKind { found: info.kind, expected: kind });
    }
    decode(&info.kind, payload)
}

/// The bytes of a fitted detector.
pub fn to_bytes(model: &dyn FittedDetector) -> Result<Vec<u8>, ModelError> {
    write_payload(model.kind(), model)
}

/// Checks an envelope and reads its header.
pub fn inspect(bytes: &[u8]) -> Result<ModelInfo, ModelError> {
    open(bytes).map(|(info, _)| info)
}

fn decode<T: DeserializeOwned>(kind: &str, payload: &[u8]) -> Result<T, ModelError> {
    let fail = |reason: String| ModelError::Payload { kind: kind.to_owned(), reason };
    let (value, rest) = postcard::take_from_bytes(payload).map_err(|e| fail(e.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(fail(format!("{} bytes left over", rest.len()))) }
}

/// Takes `len` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(len)?;
    *bytes = tail;
    Some(head)
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let len = take(bytes, 1)?[0];
    String::from_utf8(take(bytes, len.into())?.to_vec()).ok()
}

fn open(bytes: &[u8]) -> Result<(ModelInfo, &[u8]), ModelError> {
    let mut rest = bytes;
    if take(&mut rest, SIGNATURE.len()) != Some(&SIGNATURE) {
        return Err(ModelError::NotAModel);
    }
    let truncated = || ModelError::Length { expected: bytes.len() as u64 + 1, found: bytes.len() as u64 };
    let format_version = take(&mut rest, 2).map(|b| u16::from_le_bytes([b[0], b[1]])).ok_or_else(truncated)?;
    if format_version != FORMAT_VERSION {
        return Err(ModelError::FormatVersion { found: format_version, supported: FORMAT_VERSION });
    }
    let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM_LEN>() else { return Err(truncated()) };
    let header = (|| {
        let kind = take_text(&mut rest)?;
        let crate_version = take_text(&mut rest)?;
        let len = take(&mut rest, 8)?;
        Some((kind, crate_version, u64::from_le_bytes(len.try_into().ok()?)))
    })();
    let Some((kind, crate_version, payload_len)) = header else { return Err(truncated()) };
    let start = bytes.len() - rest.len();
    let expected = payload_len.saturating_add((start + CHECKSUM_LEN) as u64);
    if expected != bytes.len() as u64 {
        return Err(ModelError::Length { expected, found: bytes.len() as u64 });
    }
    let (expected, found) = (u32::from_le_bytes(*checksum), crc32fast::hash(body));
    if expected != found {
        return Err(ModelError::Checksum { expected, found });
    }
    let payload = &body[start..];
    Ok((ModelInfo { format_version, kind, crate_version, payload_len: payload.len() }, payload))
}

type Decoder = fn(&[u8]) -> Result<Box<dyn FittedDetector>, ModelError>;

/// The kinds of model that a program is ready to load. Explicit: nothing registers itself, and
/// what is not registered is never decoded.
///
/// ```
/// use funnelpulse_core::{ModelError, Registry};
///
/// let error = Registry::new().load(b"not a model").unwrap_err();
/// assert!(matches!(error, ModelError::NotAModel));
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    decoders: BTreeMap<&'static str, Decoder>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind of model; a kind registered twice is decoded by the later type.
    pub fn with<M: PersistentModel>(mut self) -> Self {
        self.decoders.insert(M::KIND, |payload| {
            let model: Box<dyn FittedDetector> = Box::new(decode::<M>(M::KIND, payload)?);
            Ok(model)
        });
        self
    }

    /// The registered kinds in order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.decoders.keys().copied()
    }

    /// Loads a model of any registered kind.
    pub fn load(&self, bytes: &[u8]) -> Result<Box<dyn FittedDetector>, ModelError> {
        let (info, payload) = open(bytes)?;
        match self.decoders.get(info.kind.as_str()) {
            Some(decoder) => decoder(payload),
            None => Err(ModelError::UnknownKind {
                kind: info.kind,
                registered: self.kinds().collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.decoders.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        write_payload("numbers", &vec![1.5f64, f64::MIN_POSITIVE, -0.0]).unwrap()
    }

    #[test]
    fn round_trip_is_bit_identical() {
        let back: Vec<f64> = read_payload("numbers", &sample()).unwrap();
        let bits: Vec<u64> = back.iter().map(|v| v.to_bits()).collect();
        assert_eq!(bits, [1.5f64, f64::MIN_POSITIVE, -0.0].map(f64::to_bits));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = sample();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_payload::<Vec<f64>>("numbers", &bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn truncation_and_other_versions_are_named() {
        let good = sample();
        for len in 0..good.len() {
            assert!(inspect(&good[..len]).is_err(), "{len} bytes");
        }
        let mut newer = good.clone();
        newer[8] = 2;
        let message = inspect(&newer).unwrap_err().to_string();
        assert_eq!(message, "model format 2 can't be read, this build reads format 1");
        let wrong = read_payload::<Vec<f64>>("trees", &good).unwrap_err();
        assert!(matches!(wrong, ModelError::WrongKind { .. }));
        let unknown = Registry::new().load(&good).unwrap_err();
        assert_eq!(unknown.to_string(), "unknown model kind `numbers` (registered: )");
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
            let decoded = decode::<Vec<f64>>("numbers", &payload);
            if let Ok(values) = decoded { prop_assert!(values.len() * 8 <= payload.len()); }
        }
    }
}
