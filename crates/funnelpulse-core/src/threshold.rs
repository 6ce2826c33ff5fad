//! Thresholds of scores.

use serde::{Deserialize, Serialize};

/// A limit on scores: rows **above** it are flagged. Independent of calibration; works on raw and
/// on calibrated scores.
///
/// ```
/// use funnelpulse_core::Threshold;
///
/// let scores = [0.1, 0.4, 0.2, 0.3, 9.0];
/// let threshold = Threshold::from_contamination(&scores, 0.2).unwrap();
/// assert!(threshold.flags(9.0) && !threshold.flags(0.4));
/// assert!(!threshold.flags(f64::NAN));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Threshold(f64);

impl Threshold {
    /// A fixed limit.
    pub const fn new(limit: f64) -> Self {
        Self(limit)
    }

    /// The limit that flags at most a share `contamination` (0 to 0.5) of `scores`; ties at the
    /// limit are not flagged. NaN scores don't count. `None` without any score, or for a share
    /// outside the range.
    ///
    /// ```
    /// use funnelpulse_core::Threshold;
    ///
    /// // A fifth of ten scores: two rows are flagged.
    /// let scores: Vec<f64> = (1..=10).map(f64::from).collect();
    /// assert_eq!(Threshold::from_contamination(&scores, 0.2).unwrap().limit(), 8.0);
    /// assert!(Threshold::from_contamination(&scores, 0.9).is_none());
    /// ```
    pub fn from_contamination(scores: &[f64], contamination: f64) -> Option<Self> {
        if !(0.0..=0.5).contains(&contamination) {
            return None;
        }
        let mut known: Vec<f64> = scores.iter().copied().filter(|s| !s.is_nan()).collect();
        let flagged = (contamination * known.len() as f64).floor() as usize;
        let index = known.len().checked_sub(flagged + 1)?;
        Some(Self(*known.select_nth_unstable_by(index, f64::total_cmp).1))
    }

    /// The limit.
    pub const fn limit(self) -> f64 {
        self.0
    }

    /// True if `score` is above the limit; false for NaN.
    pub fn flags(self, score: f64) -> bool {
        score > self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_flags_more_than_asked(
            scores in prop::collection::vec(-5i32..5, 1..60),
            contamination in 0.0..=0.5f64,
        ) {
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let threshold = Threshold::from_contamination(&scores, contamination).unwrap();
            let flagged = scores.iter().filter(|&&s| threshold.flags(s)).count();
            prop_assert!(flagged as f64 <= contamination * scores.len() as f64);
        }
    }

    #[test]
    fn needs_scores_and_a_share() {
        assert_eq!(Threshold::from_contamination(&[f64::NAN], 0.1), None);
        assert_eq!(Threshold::from_contamination(&[1.0], 0.7), None);
    }

    #[test]
    fn the_limit_is_the_highest_score_that_is_not_flagged() {
        let scores: Vec<f64> = (1..=10).map(f64::from).collect();
        for (contamination, limit) in [(0.0, 10.0), (0.2, 8.0), (0.25, 8.0), (0.5, 5.0)] {
            assert_eq!(Threshold::from_contamination(&scores, contamination).unwrap().limit(), limit);
        }
        assert_eq!(Threshold::new(0.7).limit(), 0.7);
        assert!(!Threshold::new(0.7).flags(0.7));
    }
}
