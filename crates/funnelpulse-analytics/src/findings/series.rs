//! Findings of one series.

use funnelpulse_core::{AnomalyType, ModelSource, SeriesKey, Severity, Timestamp, Verdict};
use ndarray::{Array1, Array2};
use serde::Serialize;

use crate::{Factor, Impact, Incident, Notice};

/// A series that could not be trained or scored. The others are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesFailure {
    /// The series.
    pub series: SeriesKey,
    /// The reason.
    pub message: String,
}

/// The calibrated scores that one detector gave to a series. Equal are those of the same bits.
#[derive(Clone, Debug)]
pub struct ModelScores {
    /// The detector.
    pub detector: String,
    /// The one of its models that gave them.
    pub source: ModelSource,
    /// One score per row in `[0, 1]`; NaN where it has none.
    pub scores: Array1<f64>,
    /// Its expected values of the primary metric, one per row; `None` if it has none.
    pub expected: Option<Array1<f64>>,
}

/// One anomalous hour, explained.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
/// # use found::findings;
/// # fn main() {
/// let findings = findings(0.5);
/// let anomaly = &findings.series()[0].anomalies[0];
/// assert_eq!((anomaly.score, anomaly.impact.revenue), (0.9, Some(-50.0)));
/// assert!(anomaly.notice.message.starts_with("purchases 0 instead of 10"));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// The row within the series.
    pub row: usize,
    /// The combined score.
    pub score: f64,
    /// The severity.
    pub severity: Severity,
    /// Of what kind.
    pub anomaly_type: AnomalyType,
    /// The metrics that stand out, largest share first.
    pub factors: Vec<Factor>,
    /// Its impact.
    pub impact: Impact,
    /// The same in words.
    pub notice: Notice,
    /// Its place among all anomalies, 1 first: by revenue impact either way, then by score.
    pub rank: usize,
}

/// Everything found in one series. Matrices have a row per row and a column per
/// [metric](crate::Findings::metrics). Equal are those whose numbers have the same bits; NaN equals NaN.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
/// # use found::findings;
/// # fn main() {
/// let findings = findings(0.5);
/// let shop = &findings.series()[0];
/// // A row per hour, a column per metric.
/// assert_eq!(shop.observed.dim(), (shop.time.len(), findings.metrics().len()));
/// assert_eq!(shop.verdicts[1].is_anomaly, shop.anomalies.iter().any(|a| a.row == 1));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SeriesFindings {
    /// The series.
    pub series: SeriesKey,
    /// The time of each row.
    pub time: Vec<Timestamp>,
    /// The metrics as they were.
    pub observed: Array2<f64>,
    /// The expected values of the seasonal baseline.
    pub expected: Array2<f64>,
    /// Lower end of the range expected of them: three standard deviations on their scale.
    pub lower: Array2<f64>,
    /// Upper end of it.
    pub upper: Array2<f64>,
    /// Signed z-scores; NaN also where a rate's denominator is too small to say anything.
    pub z: Array2<f64>,
    /// The detectors that had a model.
    pub models: Vec<ModelScores>,
    /// The ensemble's verdict on each row.
    pub verdicts: Vec<Verdict>,
    /// The rows it flagged, in order of time.
    pub anomalies: Vec<Anomaly>,
    /// The incidents that they are part of, in order of time.
    pub incidents: Vec<Incident>,
}

impl SeriesFindings {
    /// Detectors and the models that scored, for example `iforest:own zscore:own`.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// let findings = findings(0.5);
    /// assert_eq!(findings.series()[0].models_in_words(), "zscore:own");
    /// # }
    /// ```
    pub fn models_in_words(&self) -> String {
        let words: Vec<String> = self.models.iter().map(|m| format!("{}:{}", m.detector, m.source)).collect();
        words.join(" ")
    }
}
