//! Fitting.

use funnelpulse_core::{Detector, Error, FrameView};
use ndarray::Axis;

use crate::{
    SubsequenceConfig, SubsequenceError, SubsequenceModel,
    model::{KIND, Normal},
    patterns::{Patterns, Window},
    period::common_period,
    scale::Scale,
};

/// Least number of values in a column.
const MIN_VALUES: usize = 16;

/// Detector of anomalous subsequences and points: windows that look like none of the patterns
/// that recur in the history (clustering of windows, `KMeansAD` in Schmidl, Wenig & Papenbrock 2022,
/// "Anomaly detection in time series: a comprehensive evaluation"), on windows of two periods
/// without their mean.
///
/// ```
/// use funnelpulse_core::{Columns, Detector, FittedDetector, Frame};
/// use funnelpulse_subsequence::{Subsequence, SubsequenceConfig};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((600, 1), |(i, _)| {
///     let beat = if (400..412).contains(&i) { 3.0 } else { 1.0 };
///     (beat * i as f64 * std::f64::consts::TAU / 24.0).sin()
/// });
/// let frame = Frame::from_rows(Columns::new(["pulse"])?, values)?;
/// let model = Subsequence::new(SubsequenceConfig::default())?.fit(frame.view())?;
/// assert_eq!(model.windows(), [Some(48)]);
/// let score = model.retrospective(frame.view())?.into_score();
/// let top = (0..600).max_by(|&a, &b| score[a].total_cmp(&score[b]));
/// assert!((396..416).contains(&top.unwrap_or(0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Subsequence {
    config: SubsequenceConfig,
}

impl Subsequence {
    /// Checks the hyper-parameters.
    pub fn new(config: SubsequenceConfig) -> Result<Self, SubsequenceError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &SubsequenceConfig {
        &self.config
    }

    /// The normal state of one column; `None` with too few values.
    fn learn(&self, histories: &[Vec<f64>]) -> Option<Normal> {
        let values = histories.iter().flatten().copied();
        let count = values.clone().filter(|v| !v.is_nan()).count();
        if count < MIN_VALUES {
            return None;
        }
        let scale = Scale::of(values)?;
        let standardised: Vec<Vec<f64>> =
            histories.iter().map(|h| h.iter().map(|&v| scale.standardise(v)).collect()).collect();
        let longest = standardised.iter().map(Vec::len).max()?;
        let length = self.config.window.unwrap_or_else(|| {
            let slices: Vec<&[f64]> = standardised.iter().map(Vec::as_slice).collect();
            let length = (self.config.periods * common_period(&slices) as f64).round() as usize;
            length.max(8).min(longest / 4)
        });
        let starts: usize = standardised.iter().map(|h| (h.len() + 1).saturating_sub(length)).sum();
        let step = (starts / self.config.max_windows).max(1);
        let read = |values: &[f64]| {
            let mut window = Window::default();
            window.read(values).then_some(window)
        };
        let all = standardised.iter().flat_map(|h| h.windows(length)).step_by(step);
        let windows: Vec<Window> = all.filter_map(read).collect();
        let patterns = Patterns::learn(&windows, &self.config)?;
        let mut distances: Vec<f64> = windows.iter().map(|w| patterns.nearest(w).distance).collect();
        distances.sort_unstable_by(f64::total_cmp);
        Some(Normal { scale, patterns, typical: distances[distances.len() / 2].max(Normal::LEAST_TYPICAL) })
    }
}

impl TryFrom<SubsequenceConfig> for Subsequence {
    type Error = SubsequenceError;

    fn try_from(config: SubsequenceConfig) -> Result<Self, SubsequenceError> {
        Self::new(config)
    }
}

impl Detector for Subsequence {
    type Fitted = SubsequenceModel;
    type Error = SubsequenceError;

    fn kind(&self) -> &'static str {
        KIND
    }

    /// Columns with fewer than 16 values, or fewer than a window, are never judged; a history
    /// without any other column is an error.
    fn fit(&self, history: FrameView<'_>) -> Result<SubsequenceModel, SubsequenceError> {
        self.fit_pooled(&[history])
    }

    /// One scale, one window length and one set of patterns for all series.
    fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<SubsequenceModel, SubsequenceError> {
        let rows = histories.iter().map(FrameView::nrows).sum();
        let needed = self.config.window.unwrap_or(MIN_VALUES).max(MIN_VALUES);
        let too_few = || Error::TooFewRows { detector: KIND, rows, needed };
        let columns = histories.first().ok_or_else(too_few)?.columns();
        let tables =
            histories.iter().map(|h| h.aligned(columns)).collect::<Result<Vec<_>, _>>().map_err(Error::from)?;
        let learn = |index: usize| {
            let series: Vec<Vec<f64>> = tables.iter().map(|t| t.index_axis(Axis(1), index).to_vec()).collect();
            self.learn(&series)
        };
        let normals: Vec<Option<Normal>> = (0..columns.len()).map(learn).collect();
        if normals.iter().all(Option::is_none) {
            return Err(too_few().into());
        }
        Ok(SubsequenceModel::new(self.config.clone(), columns.clone(), normals))
    }
}
