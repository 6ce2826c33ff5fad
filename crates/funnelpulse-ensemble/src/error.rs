//! Errors of an ensemble.

use funnelpulse_core::counted;

/// Errors of setting up an ensemble or of combining scores.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_ensemble::{Ensemble, EnsembleConfig, Vote};
/// use ndarray::array;
///
/// let ensemble = Ensemble::new(EnsembleConfig::default())?;
/// let votes = [Vote::new("a", array![0.1, 0.2])];
/// let error = ensemble.combine(&[Timestamp::from_seconds(0)], &votes).unwrap_err();
/// assert_eq!(error.to_string(), "detector `a` gave 2 scores for 1 row");
/// # Ok::<(), funnelpulse_ensemble::EnsembleError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnsembleError {
    /// A setting is out of range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Config {
        /// The field.
        name: String,
        /// Its value.
        value: f64,
        /// The allowed range.
        allowed: &'static str,
    },
    /// A detector without a weight.
    #[error("no weight for detector `{detector}` (there are: {known})")]
    UnknownDetector {
        /// The detector.
        detector: String,
        /// Detectors with a weight, comma separated.
        known: String,
    },
    /// A detector gave another number of scores than there are rows.
    #[error("detector `{detector}` gave {} for {}", counted(*scores, "score", "scores"), counted(*rows, "row", "rows"))]
    Length {
        /// The detector.
        detector: String,
        /// Number of scores.
        scores: usize,
        /// Number of rows.
        rows: usize,
    },
}

/// Refuses `value` unless it is in `range`.
pub(crate) fn check(
    name: impl Into<String>,
    value: f64,
    range: std::ops::RangeInclusive<f64>,
    allowed: &'static str,
) -> Result<(), EnsembleError> {
    if range.contains(&value) { Ok(()) } else { Err(EnsembleError::Config { name: name.into(), value, allowed }) }
}
