//! Models as files: an envelope around a binary payload, and the registry that opens it.
//!
//! ```text
//! offset  bytes  what
//! 0       8      signature  89 46 50 55 4C 53 45 0A
//! 8       2      format version, little endian like every number here
//! 10      1      length of the kind, then the kind in UTF-8
//! ..      1      length of the crate version, then the version that wrote the model
//! ..      2      payload version of the kind (since format 2; 1 in files of format 1)
//! ..      8      length of the payload, then the payload (postcard)
//! last    4      CRC-32 of everything before it
//! ```
//!
//! A model that gains a field raises its payload version and decodes the old one in
//! [`PersistentModel::migrate`], so that old files still load.
//!
//! The checksum finds damage, not malice: a hostile file can carry a right checksum. Every model
//! therefore validates what it decodes before it is used, and nothing is allocated that the
//! length of the file does not justify.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    FittedDetector, FittedPanelDetector, ModelError,
    adaptors::{SERIES_MODELS, SeriesModels},
};

const SIGNATURE: [u8; 8] = *b"\x89FPULSE\n";
const CHECKSUM_LEN: usize = 4;

/// The envelope format that this build writes. It reads this one and all before it.
pub const FORMAT_VERSION: u16 = 2;

/// A model that can be loaded from a file.
///
/// Its `Deserialize` must reject every value that would make scoring panic or hang: that is the
/// only guard against a hostile file.
pub trait PersistentModel: DeserializeOwned + 'static {
    /// The result of [`FittedDetector::kind`] or [`FittedPanelDetector::kind`].
    const KIND: &'static str;

    /// The version of the payload that this build writes. Raise it when a field is added, removed
    /// or moved, and read the versions before it in [`migrate`](Self::migrate).
    const VERSION: u16 = 1;

    /// Reads the payload of an older version; [`decode_payload`] decodes the old layout. By default
    /// an error that names the version.
    fn migrate(info: &ModelInfo, payload: &[u8]) -> Result<Self, ModelError> {
        let _ = payload;
        Err(ModelError::payload_version(info, Self::VERSION))
    }
}

/// The header of a model file, read without decoding the model.
///
/// ```
/// use funnelpulse_core::{Writer, inspect, write_payload};
///
/// let info = inspect(&write_payload("level", Writer::default(), &3.5)?)?;
/// assert_eq!((info.kind.as_str(), info.payload_version), ("level", 1));
/// // A double.
/// assert_eq!(info.payload_len, 8);
/// # Ok::<(), funnelpulse_core::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The format version of the envelope.
    pub format_version: u16,
    /// The kind of the model.
    pub kind: String,
    /// The version of the crate that wrote it.
    pub crate_version: String,
    /// The version of the payload, counted per kind.
    pub payload_version: u16,
    /// Length of the payload in bytes.
    pub payload_len: usize,
}

/// The version of a payload and of the crate that writes it.
///
/// ```
/// use funnelpulse_core::{Writer, inspect, write_payload};
///
/// let writer = Writer { payload_version: 3, crate_version: "1.2.0" };
/// let info = inspect(&write_payload("level", writer, &3.5)?)?;
/// assert_eq!((info.payload_version, info.crate_version.as_str()), (3, "1.2.0"));
/// # Ok::<(), funnelpulse_core::ModelError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    /// The version of the payload, counted per kind.
    pub payload_version: u16,
    /// The version of the crate, as in its manifest.
    pub crate_version: &'static str,
}

/// The [`Writer`] of a model, for [`FittedDetector::writer`](crate::FittedDetector::writer): the
/// version of its payload, and the version of the crate in which this stands.
///
/// ```
/// use funnelpulse_core::{PersistentModel, writer};
///
/// #[derive(serde::Deserialize)]
/// struct Level(f64);
///
/// impl PersistentModel for Level {
///     const KIND: &'static str = "level";
///     const VERSION: u16 = 2;
/// }
///
/// assert_eq!(writer!(Level).payload_version, 2);
/// ```
#[macro_export]
macro_rules! writer {
    ($model:ty) => {
        $crate::Writer {
            payload_version: <$model as $crate::PersistentModel>::VERSION,
            crate_version: env!("CARGO_PKG_VERSION"),
        }
    };
}

impl Default for Writer {
    /// Payload version 1, written by this workspace, whose crates share one version. Crates outside of
    /// it use [`writer!`](crate::writer).
    fn default() -> Self {
        Self { payload_version: 1, crate_version: env!("CARGO_PKG_VERSION") }
    }
}

/// Wraps a serializable value into an envelope.
///
/// ```
/// use funnelpulse_core::{Writer, read_payload, write_payload};
///
/// let bytes = write_payload("level", Writer::default(), &(3.5, 1.0))?;
/// assert_eq!(read_payload::<(f64, f64)>("level", 1, &bytes)?, (3.5, 1.0));
/// # Ok::<(), funnelpulse_core::ModelError>(())
/// ```
pub fn write_payload<T: Serialize + ?Sized>(kind: &str, writer: Writer, value: &T) -> Result<Vec<u8>, ModelError> {
    let fail = |reason: String| ModelError::Encode { kind: kind.to_owned(), reason };
    let payload = postcard::to_allocvec(value).map_err(|e| fail(e.to_string()))?;
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
    decode_payload(&info, payload)
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

fn decode_model<M: PersistentModel>(info: &ModelInfo, payload: &[u8]) -> Result<M, ModelError> {
    match info.payload_version.cmp(&M::VERSION) {
        Ordering::Equal => decode_payload(info, payload),
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
    write_payload(model.kind(), model.writer(), model)
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

/// Decodes the payload of an opened envelope.
pub fn decode_payload<T: DeserializeOwned>(info: &ModelInfo, payload: &[u8]) -> Result<T, ModelError> {
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

fn open(bytes: &[u8]) -> Result<(ModelInfo, &[u8]), ModelError> {
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

type Decoder = fn(&ModelInfo, &[u8]) -> Result<Box<dyn FittedDetector>, ModelError>;
type PanelDecoder = fn(&ModelInfo, &[u8]) -> Result<Box<dyn FittedPanelDetector>, ModelError>;

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
    panel_decoders: BTreeMap<&'static str, PanelDecoder>,
    versions: BTreeMap<&'static str, u16>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind of model of one series; a kind registered twice is decoded by the later type.
    pub fn with<M: PersistentModel + FittedDetector>(mut self) -> Self {
        self.decoders.insert(M::KIND, |info, payload| {
            let model: Box<dyn FittedDetector> = Box::new(decode_model::<M>(info, payload)?);
            Ok(model)
        });
        self.versions.insert(M::KIND, M::VERSION);
        self
    }

    /// Adds a kind of model of all series of a site.
    pub fn with_panel<M: PersistentModel + FittedPanelDetector>(mut self) -> Self {
        self.panel_decoders.insert(M::KIND, |info, payload| {
            let model: Box<dyn FittedPanelDetector> = Box::new(decode_model::<M>(info, payload)?);
            Ok(model)
        });
        self.versions.insert(M::KIND, M::VERSION);
        self
    }

    /// The registered kinds of either sort, in order.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
    /// # use distance::{Distance, DistanceModel};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::Registry;
    ///
    /// let registry = Registry::new().with::<DistanceModel>();
    /// assert!(registry.kinds().eq(["distance"]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let mut kinds: Vec<_> = self.decoders.keys().chain(self.panel_decoders.keys()).copied().collect();
        kinds.sort_unstable();
        kinds.into_iter()
    }

    /// The payload version that a kind of model is read at without being migrated.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
    /// # use distance::{Distance, DistanceModel};
    /// # fn main() {
    /// use funnelpulse_core::Registry;
    ///
    /// let registry = Registry::new().with::<DistanceModel>();
    /// assert_eq!((registry.version("distance"), registry.version("other")), (Some(1), None));
    /// # }
    /// ```
    pub fn version(&self, kind: &str) -> Option<u16> {
        self.versions.get(kind).copied()
    }

    /// Loads a model of one series, of any registered kind. An error for damaged bytes, a kind that
    /// is not registered, a payload version that is too new, or a payload that is no valid model.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
    /// # use distance::{Distance, DistanceModel};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::{Columns, FittedDetector, Registry, to_bytes};
    ///
    /// let model = DistanceModel { columns: Columns::new(["views"])?, mean: 2.0 };
    /// let registry = Registry::new().with::<DistanceModel>();
    /// assert_eq!(registry.load(&to_bytes(&model)?)?.columns()[0].as_ref(), "views");
    /// # Ok(())
    /// # }
    /// ```
    pub fn load(&self, bytes: &[u8]) -> Result<Box<dyn FittedDetector>, ModelError> {
        let (info, payload) = open(bytes)?;
        match self.decoders.get(info.kind.as_str()) {
            Some(decoder) => decoder(&info, payload),
            None => Err(self.unknown(info)),
        }
    }

    /// Loads a model of all series: of a registered kind, or the models of
    /// [`PerSeries`](crate::PerSeries) and [`Pooled`](crate::Pooled) with series models of
    /// registered kinds.
    pub fn load_panel(&self, bytes: &[u8]) -> Result<Box<dyn FittedPanelDetector>, ModelError> {
        let (info, payload) = open(bytes)?;
        if info.kind == SERIES_MODELS {
            return Ok(Box::new(SeriesModels::from_bytes(bytes, self)?));
        }
        match self.panel_decoders.get(info.kind.as_str()) {
            Some(decoder) => decoder(&info, payload),
            None => Err(self.unknown(info)),
        }
    }

    fn unknown(&self, info: ModelInfo) -> ModelError {
        ModelError::UnknownKind { kind: info.kind, registered: self.kinds().collect::<Vec<_>>().join(", ") }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}

#[cfg(test)]
mod tests;
