//! When findings are equal: bit by bit, and with NaN, which stands for what is missing, where the other
//! has NaN.

use std::fmt::Debug;

use ndarray::{Array, Dimension};

use super::{Findings, ModelScores, SeriesFindings};

impl PartialEq for Findings {
    fn eq(&self, other: &Self) -> bool {
        let Self { layout, series, site, groups, timings: _, warnings: _, absences: _, failures } = self;
        *layout == other.layout
            && *series == other.series
            && same_text(site, &other.site)
            && same_text(groups, &other.groups)
            && *failures == other.failures
    }
}

impl PartialEq for SeriesFindings {
    fn eq(&self, other: &Self) -> bool {
        let Self { series, time, observed, expected, lower, upper, z, models, verdicts, anomalies, incidents } = self;
        let matrices = [
            (observed, &other.observed),
            (expected, &other.expected),
            (lower, &other.lower),
            (upper, &other.upper),
            (z, &other.z),
        ];
        *series == other.series
            && *time == other.time
            && matrices.iter().all(|(ours, theirs)| same_bits(ours, theirs))
            && *models == other.models
            && same_text(verdicts, &other.verdicts)
            && same_text(anomalies, &other.anomalies)
            && same_text(incidents, &other.incidents)
    }
}

impl PartialEq for ModelScores {
    fn eq(&self, other: &Self) -> bool {
        let Self { detector, source, scores, expected } = self;
        let same_expected = match (expected, &other.expected) {
            (Some(ours), Some(theirs)) => same_bits(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        *detector == other.detector && *source == other.source && same_bits(scores, &other.scores) && same_expected
    }
}

/// Whether two arrays have the same shape and the same bits: NaN, which stands for what is missing, is
/// the same as NaN.
fn same_bits<D: Dimension>(a: &Array<f64, D>, b: &Array<f64, D>) -> bool {
    a.raw_dim() == b.raw_dim() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
}

/// The same for values with numbers deep within: `Debug` writes a number so that it reads back the same.
fn same_text(a: &impl Debug, b: &impl Debug) -> bool {
    format!("{a:?}") == format!("{b:?}")
}
