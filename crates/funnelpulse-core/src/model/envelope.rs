//! The envelope around the payload of a model.

use std::cmp::Ordering;

use serde::de::DeserializeOwned;

use super::{ModelInfo, Payload, PersistentModel, Writer};
use crate::{FittedDetector, ModelError};

pub(super) const SIGNATURE: [u8; 8] = *b"\x89FPULSE\n";
pub(super) const CHECKSUM_LEN: usize = 4;

/// The envelope format that this build writes. It reads this one and all before it.
pub const FORMAT_VERSION: u16 = 2;

/// The envelope of a value.
pub(super) fn wrap<T: Payload + ?Sized>(kind: &str, writer: Writer, value: &T) -> Result<Vec<u8>, ModelError> {
    let fail = |reason: String| ModelError::Encode { kind: kind.to_owned(), reason };
    let payload = value.to_payload().map_err(|e| fail(e.to_string()))?;
    let mut out = Vec::with_capacity(payload.len() + 64);
    out.extend_from_slice(&SIGNATURE);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    for text in [kind, writer.crate_version] {
        let len = u8::try_from(text.len()).map_err(|_| fail("kind or version is longer than 255 bytes".into()))?;
        out.push(len);
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&writer.payload_version.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    Ok(out)
}

/// Opens an envelope of the given kind and payload version; an error for any other, and for damaged
/// bytes.
///
/// ```
/// use funnelpulse_core::{ModelError, Writer, read_payload, write_payload};
///
/// let bytes = write_payload("level", Writer::default(), &3.5)?;
/// let error = read_payload::<f64>("trend", 1, &bytes).unwrap_err();
/// assert_eq!(error.to_string(), "this is a `level` model, expected `trend`");
/// # Ok::<(), ModelError>(())
/// ```
pub fn read_payload<T: DeserializeOwned>(kind: &'static str, version: u16, bytes: &[u8]) -> Result<T, ModelError> {
    let (info, payload) = open_kind(kind, bytes)?;
    if info.payload_version != version {
        return Err(ModelError::payload_version(&info, version));
    }
    decode(&info, payload)
}

/// Opens the envelope of one kind of model, of this or an older payload version.
///
/// ```
/// use funnelpulse_core::{
///     ModelError, ModelInfo, PersistentModel, Writer, decode_payload, read_model, write_payload,
/// };
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Level { value: f64, width: f64 }
///
/// impl PersistentModel for Level {
///     const KIND: &'static str = "level";
///     const VERSION: u16 = 2;
///
///     fn migrate(info: &ModelInfo, payload: &[u8]) -> Result<Self, ModelError> {
///         // Version 1 had no width.
///         Ok(Self { value: decode_payload(info, payload)?, width: 1.0 })
///     }
/// }
///
/// let old = write_payload("level", Writer { payload_version: 1, ..Writer::default() }, &3.5)?;
/// let level: Level = read_model(&old)?;
/// assert_eq!((level.value, level.width), (3.5, 1.0));
/// # Ok::<(), ModelError>(())
/// ```
pub fn read_model<M: PersistentModel>(bytes: &[u8]) -> Result<M, ModelError> {
    let (info, payload) = open_kind(M::KIND, bytes)?;
    decode_model(&info, payload)
}

fn open_kind<'a>(kind: &'static str, bytes: &'a [u8]) -> Result<(ModelInfo, &'a [u8]), ModelError> {
    let (info, payload) = open(bytes)?;
    if info.kind == kind {
        Ok((info, payload))
    } else {
        Err(ModelError::WrongKind { found: info.kind, expected: kind })
    }
}

pub(super) fn decode_model<M: PersistentModel>(info: &ModelInfo, payload: &[u8]) -> Result<M, ModelError> {
    match info.payload_version.cmp(&M::VERSION) {
        Ordering::Equal => decode(info, payload),
        Ordering::Less => M::migrate(info, payload),
        Ordering::Greater => Err(ModelError::payload_version(info, M::VERSION)),
    }
}

/// The bytes of a fitted detector.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{Columns, read_model, to_bytes};
///
/// let model = DistanceModel { columns: Columns::new(["views"])?, mean: 2.0 };
/// let loaded: DistanceModel = read_model(&to_bytes(&model)?)?;
/// assert_eq!(loaded.mean, 2.0);
/// # Ok(())
/// # }
/// ```
pub fn to_bytes(model: &dyn FittedDetector) -> Result<Vec<u8>, ModelError> {
    wrap(model.kind(), model.writer(), model)
}

/// Checks an envelope (signature, format, length, checksum) and reads its header.
///
/// ```
/// use funnelpulse_core::{ModelError, Writer, inspect, write_payload};
///
/// let mut bytes = write_payload("level", Writer::default(), &3.5)?;
/// assert_eq!(inspect(&bytes)?.kind, "level");
/// *bytes.last_mut().unwrap() ^= 1;
/// assert!(matches!(inspect(&bytes), Err(ModelError::Checksum { .. })));
/// # Ok::<(), ModelError>(())
/// ```
pub fn inspect(bytes: &[u8]) -> Result<ModelInfo, ModelError> {
    open(bytes).map(|(info, _)| info)
}

/// Decodes a payload, all of it.
pub(super) fn decode<T: DeserializeOwned>(info: &ModelInfo, payload: &[u8]) -> Result<T, ModelError> {
    let fail = |reason: String| ModelError::Payload { kind: info.kind.clone(), reason };
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

pub(super) fn open(bytes: &[u8]) -> Result<(ModelInfo, &[u8]), ModelError> {
    let mut rest = bytes;
    if take(&mut rest, SIGNATURE.len()) != Some(&SIGNATURE) {
        return Err(ModelError::NotAModel);
    }
    let truncated = || ModelError::Length { expected: bytes.len() as u64 + 1, found: bytes.len() as u64 };
    let format_version = take(&mut rest, 2).map(|b| u16::from_le_bytes([b[0], b[1]])).ok_or_else(truncated)?;
    if !(1..=FORMAT_VERSION).contains(&format_version) {
        return Err(ModelError::FormatVersion { found: format_version, supported: FORMAT_VERSION });
    }
    let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM_LEN>() else { return Err(truncated()) };
    let header = (|| {
        let kind = take_text(&mut rest)?;
        let crate_version = take_text(&mut rest)?;
        let payload_version = match format_version {
            1 => 1,
            _ => u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?),
        };
        let len = take(&mut rest, 8)?;
        Some((kind, crate_version, payload_version, u64::from_le_bytes(len.try_into().ok()?)))
    })();
    let Some((kind, crate_version, payload_version, payload_len)) = header else { return Err(truncated()) };
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
    let payload_len = payload.len();
    Ok((ModelInfo { format_version, kind, crate_version, payload_version, payload_len }, payload))
}
