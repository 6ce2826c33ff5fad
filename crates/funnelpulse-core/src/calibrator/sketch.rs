//! A bounded, mergeable summary of many scores, exact in the upper tail.

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use crate::{Error, Merge};

/// Distinct values held before the body is thinned out.
const CAPACITY: usize = 4096;
/// The highest values, never thinned out.
const EXACT_TAIL: usize = 1024;

/// A value and how many scores it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) value: f64,
    pub(super) weight: u64,
}

/// The distribution of a stream of scores in bounded memory (64 KiB).
///
/// Exact up to 4,096 distinct values. Beyond that the highest 1,024 stay exact and neighbours
/// below them are joined two by two, which moves a quantile by less than the weight of one pair.
/// Sketches of parts can be [merged](Merge), so a calibrator can be fitted to partitions.
///
/// ```
/// use funnelpulse_core::{Calibrator, Merge, ScoreSketch};
/// use ndarray::Array1;
///
/// let mut morning = ScoreSketch::new();
/// morning.update(Array1::linspace(0.0, 1.0, 500).view());
/// let mut evening = ScoreSketch::new();
/// evening.update(Array1::linspace(0.0, 1.0, 500).view());
/// morning.merge(&evening)?;
/// assert_eq!(morning.count(), 1000);
/// assert!(Calibrator::from_sketch(&morning, 0.0)?.score(2.0) > 0.5);
/// # Ok::<(), funnelpulse_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreSketch {
    /// Ascending, without equal neighbours.
    points: Vec<Point>,
}

impl ScoreSketch {
    /// An empty sketch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of finite scores seen.
    pub fn count(&self) -> u64 {
        self.points.iter().map(|p| p.weight).sum()
    }

    /// Adds scores; those that are not finite don't count.
    pub fn update(&mut self, scores: ArrayView1<'_, f64>) {
        self.points.extend(scores.iter().filter(|s| s.is_finite()).map(|&value| Point { value, weight: 1 }));
        self.compact();
    }

    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }

    fn compact(&mut self) {
        self.points.sort_by(|a, b| a.value.total_cmp(&b.value));
        self.points.dedup_by(|next, kept| {
            let same = next.value == kept.value;
            if same {
                kept.weight += next.weight;
            }
            same
        });
        while self.points.len() > CAPACITY {
            let tail = self.points.split_off(self.points.len() - EXACT_TAIL);
            let mut joined = Vec::with_capacity(self.points.len() / 2 + 1 + EXACT_TAIL);
            joined.extend(self.points.chunks(2).map(join));
            joined.extend(tail);
            self.points = joined;
        }
    }
}

fn join(pair: &[Point]) -> Point {
    let weight: u64 = pair.iter().map(|p| p.weight).sum();
    // Relative to the first value, so that the mean of huge values does not overflow.
    let first = pair[0].value;
    let shift: f64 = pair.iter().map(|p| (p.value / 2.0 - first / 2.0) * (p.weight as f64 / weight as f64)).sum();
    Point { value: first + 2.0 * shift, weight }
}

impl Merge for ScoreSketch {
    fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.points.extend_from_slice(&other.points);
        self.compact();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;
    use proptest::prelude::*;

    use super::*;
    use crate::Calibrator;

    #[test]
    fn memory_is_bounded_and_the_tail_exact() {
        let mut sketch = ScoreSketch::new();
        for part in 0..100 {
            sketch.update(Array1::from_iter((0..1000).map(|i| f64::from(i * 100 + part))).view());
        }
        assert_eq!(sketch.count(), 100_000);
        assert!(sketch.points.len() <= CAPACITY);
        let top: Vec<f64> = sketch.points.iter().rev().take(3).map(|p| p.value).collect();
        assert_eq!(top, [99_999.0, 99_998.0, 99_997.0]);
        let calibrator = Calibrator::from_sketch(&sketch, 0.0).unwrap();
        assert!((calibrator.tail_probability(50_000.0) - 0.5).abs() < 0.02);
    }

    proptest! {
        #[test]
        fn merging_parts_is_seeing_all(
            a in prop::collection::vec(-100.0..100.0f64, 0..200),
            b in prop::collection::vec(-100.0..100.0f64, 0..200),
        ) {
            let mut whole = ScoreSketch::new();
            whole.update(Array1::from_iter(a.iter().chain(&b).copied()).view());
            let (mut left, mut right) = (ScoreSketch::new(), ScoreSketch::new());
            left.update(Array1::from(a).view());
            right.update(Array1::from(b).view());
            left.merge(&right).unwrap();
            prop_assert_eq!(left, whole);
        }
    }
}
