//! Errors, with the place where they occurred.

use std::sync::Arc;

use crate::{Timestamp, counted};

/// An error of any type, shareable between threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Errors of data that is no [`Frame`](crate::Frame) or [`Panel`](crate::Panel). Rows count from
/// zero.
///
/// ```
/// use funnelpulse_core::{Columns, Frame, FrameError};
/// use ndarray::array;
///
/// let error = Frame::from_rows(Columns::new(["views"])?, array![[f64::INFINITY]]).unwrap_err();
/// assert!(matches!(error, FrameError::Infinite { row: 0, .. }));
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Times, columns and values disagree about the shape.
    #[error("{rows} x {columns} values do not fit {times} times and {names} column names")]
    Shape {
        /// Rows of the value matrix.
        rows: usize,
        /// Columns of the value matrix.
        columns: usize,
        /// Length of the time axis.
        times: usize,
        /// Number of column names.
        names: usize,
    },
    /// A column has no name.
    #[error("column {index} has an empty name")]
    UnnamedColumn {
        /// Position of the column.
        index: usize,
    },
    /// Two columns share a name.
    #[error("column `{column}` appears twice")]
    DuplicateColumn {
        /// The name.
        column: Arc<str>,
    },
    /// A column that is needed is not there.
    #[error("column `{column}` is missing (there are: {available})")]
    MissingColumn {
        /// The name.
        column: Arc<str>,
        /// The names that are there, comma separated.
        available: String,
    },
    /// A column of an Arrow table holds no numbers.
    #[error("column `{column}` holds {found}, not numbers")]
    ColumnType {
        /// The name.
        column: Arc<str>,
        /// Its Arrow type.
        found: String,
    },
    /// The same time twice.
    #[error("row {row}: time {time} appears twice")]
    DuplicateTime {
        /// The second of the two rows.
        row: usize,
        /// The time.
        time: Timestamp,
    },
    /// Time runs backwards.
    #[error("row {row}: time {time} comes before {previous} of the row above; sort by time")]
    UnsortedTime {
        /// The first row that is out of order.
        row: usize,
        /// Its time.
        time: Timestamp,
        /// The time of the row before it.
        previous: Timestamp,
    },
    /// A value is infinite.
    #[error("row {row}, column `{column}`: {value} is not finite (a missing value is NaN)")]
    Infinite {
        /// The row.
        row: usize,
        /// The column.
        column: Arc<str>,
        /// The value.
        value: f64,
    },
    /// A text is not a time.
    #[error("`{text}` is not a time (expected for example 2019-10-01 13:00:00)")]
    Timestamp {
        /// The text.
        text: String,
    },
    /// A panel holds the same series twice.
    #[error("series `{series}` appears twice")]
    DuplicateSeries {
        /// The series.
        series: Arc<str>,
    },
    /// A series of a panel has other columns than the panel.
    #[error("series `{series}` has columns [{found}], the panel has [{expected}]")]
    PanelColumns {
        /// The series.
        series: Arc<str>,
        /// Its columns.
        found: String,
        /// The columns of the panel.
        expected: String,
    },
}

/// Errors of reading and writing model files.
///
/// ```
/// use funnelpulse_core::{ModelError, inspect};
///
/// assert!(matches!(inspect(b"\x89PNG\r\n"), Err(ModelError::NotAModel)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes don't start as a model does.
    #[error("not a FunnelPulse model (the first bytes are not its signature)")]
    NotAModel,
    /// Written by another, incompatible format version.
    #[error("model format {found} can't be read, this build reads formats 1 to {supported}")]
    FormatVersion {
        /// The version in the file.
        found: u16,
        /// The version that this build reads.
        supported: u16,
    },
    /// Written by another version of the detector, in a layout that this build does not read.
    #[error(
        "model of kind `{kind}` has payload version {found}, written by version {writer}; \
         this build reads version {supported}: train it again, or use version {writer}"
    )]
    PayloadVersion {
        /// The kind of the model.
        kind: String,
        /// The payload version in the file.
        found: u16,
        /// The newest payload version that this build reads.
        supported: u16,
        /// The version of the crate that wrote the file.
        writer: String,
    },
    /// Shorter or longer than the header says.
    #[error("model is {found} bytes long, its header says {expected}: truncated or appended to")]
    Length {
        /// Bytes the header announces, including the header and the checksum.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The checksum does not match: the file was damaged.
    #[error("model is damaged: checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// The checksum in the file.
        expected: u32,
        /// The checksum of what is there.
        found: u32,
    },
    /// No registered model has this kind.
    #[error("unknown model kind `{kind}` (registered: {registered})")]
    UnknownKind {
        /// The kind in the file.
        kind: String,
        /// The registered kinds, comma separated.
        registered: String,
    },
    /// Another kind of model than the caller asked for.
    #[error("this is a `{found}` model, expected `{expected}`")]
    WrongKind {
        /// The kind in the file.
        found: String,
        /// The kind asked for.
        expected: &'static str,
    },
    /// The payload does not decode to a valid model.
    #[error("model payload of kind `{kind}` is invalid: {reason}")]
    Payload {
        /// The kind in the file.
        kind: String,
        /// The message of the decoder.
        reason: String,
    },
    /// The program was built without model files.
    #[error("this program was built without model files: turn on the feature `model-files` of funnelpulse-core")]
    NotBuilt,
    /// The model could not be encoded.
    #[error("model of kind `{kind}` could not be encoded: {reason}")]
    Encode {
        /// The kind of the model.
        kind: String,
        /// The message of the encoder.
        reason: String,
    },
}

impl ModelError {
    /// A payload version that this build does not read.
    pub fn payload_version(info: &crate::ModelInfo, supported: u16) -> Self {
        let (kind, writer) = (info.kind.clone(), info.crate_version.clone());
        Self::PayloadVersion { kind, found: info.payload_version, supported, writer }
    }
}

/// Errors of fitting or applying a detector through the dyn-compatible contract.
///
/// ```
/// use funnelpulse_core::{Calibrator, Error};
/// use ndarray::array;
///
/// let error = Calibrator::fit(array![0.1, 0.2].view()).unwrap_err();
/// assert!(matches!(error, Error::TooFewRows { rows: 2, needed: 10, .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is not a valid frame or lacks a column.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A model file can't be read or written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Fewer usable rows than the detector needs.
    #[error("{}, `{detector}` needs at least {needed}", counted(*rows, "usable row", "usable rows"))]
    TooFewRows {
        /// The detector.
        detector: &'static str,
        /// Rows there are.
        rows: usize,
        /// Rows it needs.
        needed: usize,
    },
    /// The detector can't do what was asked of it.
    #[error("`{detector}` does not support {what}")]
    Unsupported {
        /// The detector.
        detector: &'static str,
        /// The operation.
        what: &'static str,
    },
    /// A detector panicked: a fault in its code.
    #[error("a fault in `{detector}` itself, please report it: {message}")]
    Panic {
        /// The detector.
        detector: String,
        /// The message of the panic.
        message: String,
    },
    /// An error of the detector's own type.
    #[error("`{detector}`: {source}")]
    Detector {
        /// The detector.
        detector: &'static str,
        /// Its error.
        #[source]
        source: BoxError,
    },
}

impl Error {
    /// Wraps a detector's own error, unless it already is an [`enum@Error`].
    ///
    /// ```
    /// use funnelpulse_core::Error;
    ///
    /// let io = std::io::Error::other("disk full");
    /// assert_eq!(Error::detector("range", io).to_string(), "`range`: disk full");
    /// ```
    pub fn detector<E>(detector: &'static str, source: E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let boxed: BoxError = Box::new(source);
        match boxed.downcast::<Self>() {
            Ok(own) => *own,
            Err(source) => Self::Detector { detector, source },
        }
    }
}
