//! The fitted model.

use std::sync::Arc;

use funnelpulse_core::{Columns, Context, Detection, Error, FittedDetector, FrameView, PersistentModel};
use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::{
    SubsequenceConfig, SubsequenceScoring,
    patterns::{Nearest, Patterns, Window},
    scale::Scale,
};

pub(crate) const KIND: &str = "subsequence";

/// The normal state of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Normal {
    pub(crate) scale: Scale,
    pub(crate) patterns: Patterns,
    /// Median distance of the windows of the history: the unit of scores.
    pub(crate) typical: f64,
}

impl Normal {
    /// In standard deviations: a history that repeats exactly must not make scores infinite.
    pub(crate) const LEAST_TYPICAL: f64 = 1e-3;

    fn is_valid(&self) -> bool {
        self.scale.is_valid() && self.patterns.is_valid() && self.typical.is_finite() && self.typical > 0.0
    }

    /// The window ending at each row: none while warming up and where half of it is missing.
    fn trailing(&self, values: &[f64]) -> Vec<Option<Nearest>> {
        let standardised: Vec<f64> = values.iter().map(|&v| self.scale.standardise(v)).collect();
        let mut window = Window::default();
        let read = |values: &[f64]| window.read(values).then(|| self.patterns.nearest(&window));
        let warming_up = std::iter::repeat_n(None, (self.patterns.length() - 1).min(values.len()));
        warming_up.chain(standardised.windows(self.patterns.length()).map(read)).collect()
    }
}

struct Judged {
    scores: Array1<f64>,
    contributions: Array2<f64>,
    expected: Array2<f64>,
}

/// A fitted [`Subsequence`](crate::Subsequence).
///
/// A column's score is the root mean square distance of its window from the nearest normal
/// pattern, in units of the median distance in the history: 1 is ordinary. The score of a row is the
/// root mean square of its columns' scores; contributions are the squares' shares of it and
/// sum to the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct SubsequenceModel {
    config: SubsequenceConfig,
    columns: Columns,
    normals: Vec<Option<Normal>>,
}

#[derive(Deserialize)]
struct Unchecked {
    config: SubsequenceConfig,
    columns: Columns,
    normals: Vec<Option<Normal>>,
}

impl TryFrom<Unchecked> for SubsequenceModel {
    type Error = String;

    fn try_from(u: Unchecked) -> Result<Self, String> {
        u.config.validate().map_err(|e| e.to_string())?;
        if u.columns.len() != u.normals.len() {
            return Err(format!("{} names for {} columns", u.columns.len(), u.normals.len()));
        }
        match u.normals.iter().zip(u.columns.iter()).find(|(n, _)| n.as_ref().is_some_and(|n| !n.is_valid())) {
            Some((_, name)) => Err(format!("column `{name}` has patterns or a scale that cannot be")),
            None => Ok(Self { config: u.config, columns: u.columns, normals: u.normals }),
        }
    }
}

impl SubsequenceModel {
    pub(crate) fn new(config: SubsequenceConfig, columns: Columns, normals: Vec<Option<Normal>>) -> Self {
        Self { config, columns, normals }
    }

    /// The hyper-parameters that it was fitted with.
    pub fn config(&self) -> &SubsequenceConfig {
        &self.config
    }

    /// Rows of each column's window; `None` for a column that is not judged.
    pub fn windows(&self) -> Vec<Option<usize>> {
        self.normals.iter().map(|n| n.as_ref().map(|n| n.patterns.length())).collect()
    }

    /// Number of normal patterns of each column; `None` for a column that is not judged.
    pub fn n_patterns(&self) -> Vec<Option<usize>> {
        self.normals.iter().map(|n| n.as_ref().map(|n| n.patterns.len())).collect()
    }

    /// Rows of the longest window but one.
    fn reach(&self) -> Context {
        Context::rows(self.windows().into_iter().flatten().max().map_or(0, |window| window - 1))
    }

    /// Scores every row by **all** windows that it is part of, the later ones too: for looking
    /// back at a whole series, where an anomaly is then found in its place instead of at its end. A row's score
    /// is the mean distance of these windows; rows without a value score NaN.
    ///
    /// Contributions as in [`detect`](FittedDetector::detect), no expected values.
    pub fn retrospective(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        self.judge(frame, |normal, values| {
            let nearest = normal.trailing(values);
            let (mut sum, mut count) = (vec![0.0], vec![0_u32]);
            for (row, nearest) in nearest.iter().enumerate() {
                sum.push(sum[row] + nearest.map_or(0.0, |n| n.distance));
                count.push(count[row] + u32::from(nearest.is_some()));
            }
            let score = |row: usize| {
                let end = (row + normal.patterns.length()).min(values.len());
                (sum[end] - sum[row]) / f64::from(count[end] - count[row])
            };
            (0..values.len()).map(|row| (score(row), f64::NAN)).collect()
        })
        .map(|judged| Detection::new(judged.scores).with_contributions(judged.contributions))
    }

    /// Scores, contributions and expected values; `column` gives the distance and the expected
    /// value of every row.
    fn judge(
        &self,
        frame: FrameView<'_>,
        column: impl Fn(&Normal, &[f64]) -> Vec<(f64, f64)>,
    ) -> Result<Judged, Error> {
        let table = frame.aligned(&self.columns)?;
        let mut contributions = Array2::from_elem(table.dim(), f64::NAN);
        let mut expected = contributions.clone();
        for (index, normal) in self.normals.iter().enumerate() {
            let Some(normal) = normal else { continue };
            let values = table.index_axis(Axis(1), index).to_vec();
            for (row, (distance, value)) in column(normal, &values).into_iter().enumerate() {
                if !values[row].is_nan() {
                    contributions[[row, index]] = (distance / normal.typical).powi(2);
                }
                expected[[row, index]] = value;
            }
        }
        let score_of_row = contributions.rows_mut().into_iter().map(|mut row| {
            let (sum, judged) = row.iter().filter(|c| !c.is_nan()).fold((0.0, 0.0), |(s, n), c| (s + c, n + 1.0));
            let score = f64::sqrt(sum / judged);
            row.mapv_inplace(|c| if c > 0.0 { c / (judged * score) } else { 0.0 });
            score
        });
        let scores = score_of_row.collect();
        Ok(Judged { scores, contributions, expected })
    }
}

impl FittedDetector for SubsequenceModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn context(&self) -> Context {
        self.reach()
    }

    /// None, or with [`SubsequenceScoring::WindowMean`] all windows that a row is part of.
    fn horizon(&self) -> Context {
        if self.config.scoring == SubsequenceScoring::WindowMean { self.reach() } else { Context::NONE }
    }

    /// Judges every row by the window that ends there: its distance from the nearest pattern
    /// plus how far the row itself is off it. NaN while the first window fills
    /// up, where half of the window or more is missing, and for rows without a value. The expected value is what
    /// that pattern has in the row's place.
    ///
    /// With [`SubsequenceScoring::WindowMean`] the same as [`retrospective`](Self::retrospective).
    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        if self.config.scoring == SubsequenceScoring::WindowMean {
            return self.retrospective(frame);
        }
        let judged = self.judge(frame, |normal, values| {
            let judge = |(nearest, &value): (Option<Nearest>, &f64)| match nearest {
                None => (f64::NAN, f64::NAN),
                Some(Nearest { distance, last }) => {
                    let off = (normal.scale.standardise(value) - last).abs();
                    (distance + off, normal.scale.restore(last))
                }
            };
            normal.trailing(values).into_iter().zip(values).map(judge).collect()
        })?;
        let detection = Detection::new(judged.scores).with_expected(judged.expected);
        Ok(detection.with_contributions(judged.contributions))
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl PersistentModel for SubsequenceModel {
    const KIND: &'static str = KIND;
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::{Detector, Registry, to_bytes};
    use funnelpulse_testing::{Conformance, noise_frame};

    use super::*;
    use crate::Subsequence;

    #[test]
    fn conforms() {
        let detector = Subsequence::new(SubsequenceConfig { patterns: 20, ..Default::default() }).unwrap();
        Conformance::new(&detector, Registry::new().with::<SubsequenceModel>()).shape(200, 3).run();
    }

    #[test]
    fn window_mean_looks_at_both_sides() {
        let config = SubsequenceConfig { patterns: 20, scoring: SubsequenceScoring::WindowMean, ..Default::default() };
        let frame = noise_frame(200, 1, 1);
        let model = Subsequence::new(config).unwrap().fit(frame.view()).unwrap();
        let both = model.detect(frame.view()).unwrap().into_score();
        assert_eq!(both, model.retrospective(frame.view()).unwrap().into_score());
        let last = SubsequenceModel { config: SubsequenceConfig::default(), ..model };
        let last = last.detect(frame.view()).unwrap().into_score();
        assert!(last[0].is_nan() && !both[0].is_nan());
    }

    #[test]
    fn models_that_cannot_be_are_refused() {
        let config = SubsequenceConfig { patterns: 5, window: Some(12), ..Default::default() };
        let good = Subsequence::new(config).unwrap().fit(noise_frame(100, 1, 1).view()).unwrap();
        let loads = |change: &dyn Fn(&mut SubsequenceModel)| {
            let mut model = good.clone();
            change(&mut model);
            Registry::new().with::<SubsequenceModel>().load(&to_bytes(&model).unwrap()).is_ok()
        };
        let normal = |model: &mut SubsequenceModel| model.normals[0].clone().unwrap();
        assert!(loads(&|_| ()));
        assert!(!loads(&|m| m.normals.clear()));
        assert!(!loads(&|m| m.config.patterns = 0));
        assert!(!loads(&|m| m.normals[0] = Some(Normal { typical: 0.0, ..normal(m) })));
        assert!(!loads(&|m| m.normals[0] = Some(Normal { typical: f64::NAN, ..normal(m) })));
        assert!(!loads(&|m| {
            let scale = Scale { spread: 0.0, level: 1.0 };
            m.normals[0] = Some(Normal { scale, ..normal(m) });
        }));
    }
}
