//! When findings are equal: bit by bit, and with NaN, which stands for what is missing, where the other
//! has NaN.

use std::fmt::Debug;

use ndarray::{Array, Dimension};

use super::{Findings, ModelScores, SeriesFindings};

impl PartialEq for Findings {
    fn eq(&self, other: &Self) -> bool {
        let Self { layout, series, site, timings: _, warnings: _, failures } = self;
        *layout == other.layout
            && *series == other.series
            && same_text(site, &other.site)
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

#[cfg(test)]
mod tests {
    use super::*;

    include!("../../tests/doc/found.rs");

    #[test]
    fn findings_with_missing_values_equal_themselves_and_no_others() {
        let with = |edit: &dyn Fn(&mut SeriesFindings)| {
            let mut findings = found::findings(0.5);
            edit(&mut findings.series[0]);
            findings
        };
        let missing = |f: &mut SeriesFindings| {
            f.observed[[0, 0]] = f64::NAN;
            f.models[0].expected = Some(ndarray::array![f64::NAN, 1.0, 2.0]);
            f.verdicts[0].score = f64::NAN;
            f.anomalies[0].impact.revenue = Some(f64::NAN);
        };
        assert_eq!(with(&missing), with(&missing));
        assert_ne!(with(&missing), with(&|_| {}));
        let edits: [&dyn Fn(&mut SeriesFindings); 6] = [
            &|f| f.z[[1, 1]] = f.z[[1, 1]].next_up(),
            &|f| f.models[0].scores[0] = f.models[0].scores[0].next_up(),
            &|f| f.models[0].expected = Some(ndarray::array![1.0, 1.0, 1.0]),
            &|f| f.verdicts[0].score = f.verdicts[0].score.next_up(),
            &|f| f.anomalies[0].score = f.anomalies[0].score.next_up(),
            &|f| f.lower = ndarray::Array2::zeros((1, 2)),
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            assert_ne!(with(edit), with(&|_| {}), "edit {number}");
        }
    }
}
