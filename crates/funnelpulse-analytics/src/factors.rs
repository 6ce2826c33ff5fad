//! Metrics that stand out in an anomalous row.

use std::{cmp::Ordering, fmt};

use serde::Serialize;

use crate::{Deviation, short};

/// A metric that contributed to an anomaly.
///
/// ```
/// use funnelpulse_analytics::Factor;
///
/// let factor = Factor { metric: "views".into(), observed: 50.0, expected: 40.0, share: 1.0 };
/// assert_eq!(factor.to_string(), "views 50 instead of 40 (+25 %)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Factor {
    /// The metric.
    pub metric: String,
    /// The observed value, NaN when missing.
    pub observed: f64,
    /// The expected value, NaN when unknown.
    pub expected: f64,
    /// Its share of all contributions, 0 to 1.
    pub share: f64,
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.metric, short(self.observed))?;
        if !self.expected.is_nan() {
            write!(f, " instead of {}", short(self.expected))?;
        }
        match Deviation::new("", self.observed, self.expected, f64::NAN).change() {
            Some(change) => write!(f, " ({change})"),
            None => Ok(()),
        }
    }
}

/// The `k` metrics that stand out most, largest share first.
///
/// A metric's share is its part of the squared z-scores, averaged with its part of each of
/// `contributions`: the contributions of the same metrics, in the same order, by detectors, on any
/// scale. Sources that are all zero or missing don't count. Metrics with no share are left out.
///
/// ```
/// use funnelpulse_analytics::{Deviation, top_factors};
///
/// let row =
///     [Deviation::new("views", 90.0, 60.0, 3.0), Deviation::new("purchases", 1.0, 9.0, -4.0)];
/// let factors = top_factors(&row, &[], 1);
/// // 16 of 9 + 16.
/// assert_eq!((factors[0].metric.as_str(), factors[0].share), ("purchases", 0.64));
/// ```
pub fn top_factors(deviations: &[Deviation], contributions: &[&[f64]], k: usize) -> Vec<Factor> {
    let squared: Vec<f64> = deviations.iter().map(|d| d.z * d.z).collect();
    let mut shares = vec![0.0; deviations.len()];
    let mut sources = 0.0;
    for source in std::iter::once(squared.as_slice()).chain(contributions.iter().copied()) {
        let weights: Vec<f64> = source.iter().map(|v| if *v > 0.0 { v.min(1e100) } else { 0.0 }).collect();
        let total: f64 = weights.iter().sum();
        if total > 0.0 {
            sources += 1.0;
            for (share, weight) in shares.iter_mut().zip(weights) {
                *share += weight / total;
            }
        }
    }
    let mut factors: Vec<Factor> = deviations
        .iter()
        .zip(shares)
        .filter(|(_, share)| *share > 0.0)
        .map(|(d, share)| Factor {
            metric: d.metric.to_string(),
            observed: d.observed,
            expected: d.expected,
            share: share / sources,
        })
        .collect();
    // The sort is stable: equal shares keep the order of the metrics.
    factors.sort_by(|a, b| b.share.partial_cmp(&a.share).unwrap_or(Ordering::Equal));
    factors.truncate(k);
    factors
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn detectors_have_a_say() {
        let row = [Deviation::new("a", 1.0, 0.0, 2.0), Deviation::new("b", 1.0, 1.0, 1.0)];
        assert_eq!(top_factors(&row, &[], 1)[0].metric, "a");
        let swayed = top_factors(&row, &[&[0.0, 5.0], &[0.0, 0.1]], 2);
        assert_eq!(swayed[0].metric, "b");
        assert!((swayed.iter().map(|f| f.share).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn missing_expectations_are_not_invented() {
        let factor = &top_factors(&[Deviation::new("a", 5.0, f64::NAN, f64::NAN)], &[&[1.0]], 1)[0];
        assert_eq!(factor.to_string(), "a 5");
        assert!(top_factors(&[Deviation::new("a", 5.0, f64::NAN, f64::NAN)], &[], 1).is_empty());
    }

    proptest! {
        #[test]
        fn shares_are_shares(z in prop::collection::vec(-1e200..1e200f64, 1..6)) {
            let row: Vec<Deviation> = z.iter().map(|z| Deviation::new("m", 0.0, 0.0, *z)).collect();
            let factors = top_factors(&row, &[], 10);
            let total: f64 = factors.iter().map(|f| f.share).sum();
            prop_assert!(factors.is_empty() || (total - 1.0).abs() < 1e-9);
        }
    }
}
