//! The state of a stream in files.

mod store;

use funnelpulse_core::{Writer, read_payload, write_payload};
use serde::{Deserialize, Serialize};

pub use store::{CheckpointStore, Manifest, NextModel};

use crate::{Alert, EngineState, Positions, StreamError};

/// Kind and version of the payload; raise the version when a field changes.
const KIND: &str = "stream-checkpoint";
const VERSION: u16 = 2;

/// Everything a stream needs to go on where it was. Equal states are equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its number.
    pub epoch: u64,
    /// How far the input was read.
    pub positions: Positions,
    /// Open windows, watermarks and the account of the records.
    pub engine: EngineState,
    /// The state of the operator.
    pub operator: Vec<u8>,
    /// The model in use.
    pub model: String,
    /// The model of the windows that follow, where it is another.
    pub next_model: Option<NextModel>,
    /// Alerts that are not delivered yet, as far as is known.
    pub alerts: Vec<Alert>,
}

impl Checkpoint {
    /// The bytes of a file: an envelope with signature, version and checksum, as model files have.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StreamError> {
        let writer = Writer { payload_version: VERSION, crate_version: env!("CARGO_PKG_VERSION") };
        write_payload(KIND, writer, self).map_err(|source| StreamError::State { place: "checkpoint".into(), source })
    }

    /// Reads a file. Damaged, foreign and newer files are errors that name `place`.
    pub fn from_bytes(bytes: &[u8], place: &str) -> Result<Self, StreamError> {
        read_payload(KIND, VERSION, bytes).map_err(|source| StreamError::State { place: place.to_owned(), source })
    }
}
