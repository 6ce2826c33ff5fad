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

#[cfg(feature = "model-files")]
mod envelope;
mod payload;
#[cfg(feature = "model-files")]
mod registry;

use serde::de::DeserializeOwned;

#[cfg(feature = "model-files")]
pub use envelope::{FORMAT_VERSION, inspect, read_model, read_payload, to_bytes};
pub use payload::Payload;
#[cfg(feature = "model-files")]
pub use registry::Registry;

use crate::ModelError;

/// A model that can be loaded from a file.
///
/// Its `Deserialize` must reject every value that would make scoring panic or hang: that is the
/// only guard against a hostile file.
pub trait PersistentModel: DeserializeOwned + 'static {
    /// The result of [`FittedDetector::kind`](crate::FittedDetector::kind) or
    /// [`FittedPanelDetector::kind`](crate::FittedPanelDetector::kind).
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

/// Wraps a serializable value into an envelope: for [`FittedPanelDetector::to_bytes`](crate::FittedPanelDetector::to_bytes).
/// Without the feature `model-files` an error, [`ModelError::NotBuilt`].
///
/// ```
/// use funnelpulse_core::{Writer, read_payload, write_payload};
///
/// let bytes = write_payload("level", Writer::default(), &(3.5, 1.0))?;
/// assert_eq!(read_payload::<(f64, f64)>("level", 1, &bytes)?, (3.5, 1.0));
/// # Ok::<(), funnelpulse_core::ModelError>(())
/// ```
pub fn write_payload<T: Payload + ?Sized>(kind: &str, writer: Writer, value: &T) -> Result<Vec<u8>, ModelError> {
    #[cfg(feature = "model-files")]
    return envelope::wrap(kind, writer, value);
    #[cfg(not(feature = "model-files"))]
    {
        let _ = (kind, writer, value);
        Err(ModelError::NotBuilt)
    }
}

/// Decodes the payload of an opened envelope: for [`PersistentModel::migrate`]. Without the feature `model-files`
/// nothing opens one, and this is an error, [`ModelError::NotBuilt`].
pub fn decode_payload<T: DeserializeOwned>(info: &ModelInfo, payload: &[u8]) -> Result<T, ModelError> {
    #[cfg(feature = "model-files")]
    return envelope::decode(info, payload);
    #[cfg(not(feature = "model-files"))]
    {
        let _ = (info, payload);
        Err(ModelError::NotBuilt)
    }
}

#[cfg(test)]
#[cfg(feature = "model-files")]
mod tests;
