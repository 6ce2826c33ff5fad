//! A detector written outside the FunnelPulse workspace: how far a row lies from the middle of its
//! columns, in widths of the range that holds the middle half of them (Tukey 1977, chapter 2).
//!
//! Three types make a detector: a [`RangeConfig`] that anybody can fill in, a [`RobustRange`] that is
//! always valid, and a [`RangeModel`] that has learnt something and can be saved. One [`entry`] of the
//! catalog makes it take part everywhere.

use std::sync::Arc;

use funnelpulse::{
    BuildContext, Entry,
    config::Section,
    core::{
        AnyDetector, Columns, Detection, Detector, Error, FittedDetector, FrameError, FrameView, PersistentModel,
        Writer, writer,
    },
};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

const KIND: &str = "range";

/// Everything that a pipeline has to know of the detector.
pub fn entry() -> Entry {
    let check = |config: &RangeConfig| match RobustRange::try_from(config.clone()) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    };
    let build = |context: &BuildContext<'_>| {
        let detector = RobustRange::try_from(context.settings::<RangeConfig>()?.clone());
        Ok(AnyDetector::series(detector.map_err(|e| context.invalid(e))?).into())
    };
    Entry::new(KIND, "distance from the median in widths of the middle half", build)
        .section(Section::new(KIND, RangeConfig::default(), check))
        .weight(0.2)
        .model::<RangeModel>()
}

/// Hyper-parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RangeConfig {
    /// Share of the values on either side of the range, above 0 and below 0.5.
    pub outside: f64,
}

impl Default for RangeConfig {
    fn default() -> Self {
        Self { outside: 0.25 }
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// A hyper-parameter is out of range.
    #[error("outside = {0} is out of range (above 0 and below 0.5)")]
    Outside(f64),
    /// The data don't fit, or there are too few rows.
    #[error(transparent)]
    Core(#[from] Error),
}

impl From<FrameError> for RangeError {
    fn from(error: FrameError) -> Self {
        Self::Core(error.into())
    }
}

/// The detector. Raw score: the largest distance from the median over the columns, in widths of the
/// range. Missing values are skipped; a row without any value scores NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustRange {
    outside: f64,
}

impl TryFrom<RangeConfig> for RobustRange {
    type Error = RangeError;

    fn try_from(config: RangeConfig) -> Result<Self, RangeError> {
        if config.outside > 0.0 && config.outside < 0.5 {
            Ok(Self { outside: config.outside })
        } else {
            Err(RangeError::Outside(config.outside))
        }
    }
}

impl Detector for RobustRange {
    type Fitted = RangeModel;
    type Error = RangeError;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn fit(&self, history: FrameView<'_>) -> Result<RangeModel, RangeError> {
        self.fit_pooled(&[history])
    }

    fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<RangeModel, RangeError> {
        let columns = histories.first().map(|h| h.columns().clone());
        let rows = histories.iter().map(FrameView::nrows).sum();
        let Some(columns) = columns.filter(|c| !c.is_empty() && rows > 1) else {
            return Err(Error::TooFewRows { detector: KIND, rows, needed: 2 }.into());
        };
        let mut ranges = Vec::with_capacity(columns.len());
        for name in columns.iter() {
            let mut values = Vec::with_capacity(rows);
            for history in histories {
                values.extend(history.column(name)?.iter().copied().filter(|v| !v.is_nan()));
            }
            values.sort_unstable_by(f64::total_cmp);
            ranges.push(Range::of(&values, self.outside));
        }
        Ok(RangeModel { columns, ranges })
    }
}

/// Middle and width of one column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Range {
    median: f64,
    width: f64,
}

impl Range {
    fn of(sorted: &[f64], outside: f64) -> Self {
        // A column without any value is never far from anything.
        let at = |share: f64| sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or(0.0);
        let median = at(0.5);
        let width = at(1.0 - outside) - at(outside);
        // Half of the values are the same: a millionth of their size is far.
        let least = 1e-6 * median.abs().max(1.0);
        Self { median, width: width.clamp(least, f64::MAX) }
    }
}

/// A fitted [`RobustRange`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct RangeModel {
    columns: Columns,
    ranges: Vec<Range>,
}

/// A model file may come from a stranger: nothing is a model before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    columns: Columns,
    ranges: Vec<Range>,
}

impl TryFrom<Unchecked> for RangeModel {
    type Error = &'static str;

    fn try_from(u: Unchecked) -> Result<Self, Self::Error> {
        let valid = |r: &Range| r.median.is_finite() && r.width.is_finite() && r.width > 0.0;
        if u.columns.len() == u.ranges.len() && u.ranges.iter().all(valid) {
            Ok(Self { columns: u.columns, ranges: u.ranges })
        } else {
            Err("a range model has a finite middle and width per column")
        }
    }
}

impl FittedDetector for RangeModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn writer(&self) -> Writer {
        writer!(Self)
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        // By name: reordered or additional columns make no difference.
        let mut distances = frame.aligned(&self.columns)?.into_owned();
        for mut row in distances.rows_mut() {
            for (value, range) in row.iter_mut().zip(&self.ranges) {
                // Clamped rather than `min`, which would turn a missing value into the largest.
                *value = ((*value - range.median) / range.width).abs().clamp(0.0, f64::MAX);
            }
        }
        let furthest = |row: ArrayView1<'_, f64>| row.iter().copied().fold(f64::NAN, f64::max);
        let score = distances.rows().into_iter().map(furthest).collect();
        // A missing value contributes nothing.
        Ok(Detection::new(score).with_contributions(distances.mapv_into(|d| if d.is_nan() { 0.0 } else { d })))
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl PersistentModel for RangeModel {
    const KIND: &'static str = KIND;
}

#[cfg(test)]
mod tests {
    use funnelpulse::core::Registry;
    use funnelpulse_testing::Conformance;

    use super::*;

    #[test]
    fn keeps_the_contract() {
        let detector = RobustRange::try_from(RangeConfig::default()).unwrap();
        let registry = || Registry::new().with::<RangeModel>();
        Conformance::new(&detector, registry()).run();
        Conformance::new(&detector, registry()).shape(200, 1).run();
    }

    #[test]
    fn bad_parameters_are_refused() {
        let error = RobustRange::try_from(RangeConfig { outside: 0.5 }).unwrap_err();
        assert_eq!(error.to_string(), "outside = 0.5 is out of range (above 0 and below 0.5)");
    }
}
