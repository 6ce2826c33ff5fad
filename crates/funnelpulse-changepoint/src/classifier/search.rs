//! Binary segmentation with the two-step search.

use std::ops::Range;

use ndarray::ArrayView2;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{
    ClassifierConfig, ClassifierKind,
    forest::Forest,
    gain::{Curve, p_value},
    neighbours::{Neighbours, scaled},
};
use crate::{ChangepointError, cost::Signal};

/// A break that a classifier found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassifierBreak {
    /// First row of the new segment.
    pub index: usize,
    /// Log-likelihood ratio of the classifier, in nats: how well it tells the two sides.
    pub gain: f64,
    /// Probability of so large a gain when the rows of both segments are in random order. Neighbouring rows that depend on
    /// each other make it too small.
    pub p_value: f64,
}

/// Finds breaks with a classifier, see [`classifier`](crate::classifier).
///
/// **Time**: four trainings per segment that is looked at. A random forest of `t` trees takes `O(t n (depth + columns))`,
/// nearest neighbours `O(n^2 columns)`.
///
/// ```
/// use funnelpulse_changepoint::classifier::{ClassifierConfig, ClassifierSearch};
/// use ndarray::Array2;
///
/// // Two columns that rise and fall together, then against each other. Neither changes by itself.
/// let noise = |i: usize, j: usize| ((i * i * (j + 3) * 7919 + i * 104_729) % 1_000) as f64 / 1_000.0;
/// let values = Array2::from_shape_fn((300, 2), |(i, j)| {
///     let shared = noise(i, 0);
///     if j == 1 && i >= 160 { 1.0 - shared } else { shared }
/// });
/// let search = ClassifierSearch::new(ClassifierConfig::default())?;
/// let breaks = search.search(values.view())?;
/// assert_eq!(breaks.len(), 1);
/// assert!(breaks[0].index.abs_diff(160) <= 3 && breaks[0].p_value < 0.01);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierSearch {
    config: ClassifierConfig,
}

impl TryFrom<ClassifierConfig> for ClassifierSearch {
    type Error = ChangepointError;

    fn try_from(config: ClassifierConfig) -> Result<Self, ChangepointError> {
        Self::new(config)
    }
}

impl ClassifierSearch {
    /// Checks the hyper-parameters.
    pub fn new(config: ClassifierConfig) -> Result<Self, ChangepointError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// The breaks of `values`, a row per time, ascending. Fewer rows than two segments have none.
    ///
    /// # Errors
    ///
    /// [`ChangepointError::Value`] for missing values and those beyond 1e100.
    pub fn search(&self, values: ArrayView2<'_, f64>) -> Result<Vec<ClassifierBreak>, ChangepointError> {
        let signal = Signal::new(values)?;
        let signal = match self.config.classifier {
            ClassifierKind::RandomForest => signal,
            ClassifierKind::NearestNeighbours => scaled(&signal),
        };
        let mut breaks = Vec::new();
        let mut open = Vec::from([(0, signal.n)]);
        while let Some((start, end)) = open.pop() {
            let Some(found) = self.divide(&signal, start..end) else { continue };
            open.extend([(start, found.index), (found.index, end)]);
            breaks.push(found);
        }
        breaks.sort_unstable_by_key(|found| found.index);
        Ok(breaks)
    }

    /// The best break of a segment, if it is significant.
    fn divide(&self, signal: &Signal, rows: Range<usize>) -> Option<ClassifierBreak> {
        let (n, min_size) = (rows.len(), self.config.min_size);
        if n < 2 * min_size {
            return None;
        }
        // A stream of its own for every segment: what is found in one does not depend on the others.
        let stream = (rows.start as u128) << 64 | rows.end as u128;
        let mut rng = Pcg64::new(self.config.seed.into(), stream);
        let classifier = Trained::new(signal, &rows, &self.config, &mut rng);
        let curve = |guess: usize| Curve::new(&classifier.probabilities(guess), guess);
        let guesses = [n / 4, n / 2, 3 * n / 4].into_iter().filter(|guess| (min_size..=n - min_size).contains(guess));
        let curves: Vec<Curve> = guesses.map(curve).collect();
        let peaks = curves.iter().map(|curve| curve.best(min_size));
        let (peak, _) = peaks.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        let (split, gain) = curve(peak).best(min_size);
        let p_value = p_value(&curves, min_size, self.config.permutations, &mut rng);
        let is_break = p_value <= self.config.max_p_value;
        is_break.then_some(ClassifierBreak { index: rows.start + split, gain, p_value })
    }
}

/// What the trainings on one segment have in common.
enum Trained {
    Forest(Forest),
    Neighbours(Neighbours),
}

impl Trained {
    fn new(signal: &Signal, rows: &Range<usize>, config: &ClassifierConfig, rng: &mut Pcg64) -> Self {
        match config.classifier {
            ClassifierKind::RandomForest => Self::Forest(Forest::new(signal, rows.clone(), config)),
            ClassifierKind::NearestNeighbours => Self::Neighbours(Neighbours::new(signal, rows.clone(), rng)),
        }
    }

    /// For each row, the probability to be after a break before row `split`, by a classifier trained without the row.
    fn probabilities(&self, split: usize) -> Vec<f64> {
        match self {
            Self::Forest(forest) => forest.probabilities(split),
            Self::Neighbours(neighbours) => neighbours.probabilities(split),
        }
    }
}
