//! Engineered columns. A feature of time t uses nothing after t, one definition for batch and
//! stream.

mod config;
mod interaction;
mod lag;
mod moments;
mod plan;
mod sorted;
mod state;
mod statistical;
mod time;

use std::sync::Arc;

use funnelpulse_core::{Columns, Frame, FrameView};
use ndarray::{Array2, Axis};

pub use config::{BusinessHours, FeatureConfig};
use plan::Plan;
pub use state::FeatureState;

use crate::{FeatureError, PanelSpec};

/// Computes the engineered columns of a series. Cheap to clone.
///
/// Per row, in this order:
///
/// | group | columns | meaning |
/// |---|---|---|
/// | stored | `views`, ... | the input |
/// | rates | `conversion_rate`, ... | the rates of the [`PanelSpec`]; missing where the denominator is 0 |
/// | time | `hour`, `day_of_week` (Monday = 0), `day_of_month`, `month`, `is_weekend`, `is_business_hours` | of the start of the window, on the clock of the time zone |
/// | rolling | `x_rolling_mean_7d`, `x_rolling_std_7d`, ... | over (t - 7 d, t] by time, not by row; standard deviation with n - 1 |
/// | lags | `x_lag_24h`, `x_change_24h`, ... | the value exactly 24 h before, and the change from it relative to its size |
/// | statistical | `x_zscore`, `x_percentile`, `x_min`, `x_max` | against the values strictly before t; percentile rank in \[0, 1\], ties half |
/// | interactions | `a_x_b` | products |
///
/// Missing values are skipped, and a feature without the values it needs is missing (NaN): the lag
/// of an absent hour, the deviation of one value, the z-score against a past that never varied, a
/// change from zero, a result beyond the range of `f64`. A window slides without subtracting what
/// leaves it, so nothing drifts however long the series and however large its offset.
///
/// ```
/// use funnelpulse_core::{Frame, Timestamp};
/// use funnelpulse_features::{FeatureConfig, FeatureEngineer, PanelSpec};
/// use ndarray::array;
///
/// let spec = PanelSpec::funnel();
/// let engineer = FeatureEngineer::new(&spec, &FeatureConfig::default())?;
/// let hours = (0..3).map(|h| Timestamp::from_seconds(h * 3600)).collect();
/// let funnel = array![[100.0, 9.0, 5.0, 70.0], [80.0, 7.0, 2.0, 30.0], [0.0, 0.0, 0.0, 0.0]];
/// let features = engineer.transform(Frame::new(hours, spec.columns(), funnel)?.view())?;
/// assert_eq!(features.columns(), engineer.names());
/// assert_eq!(features.column("conversion_rate")?[1], 0.025);
/// assert_eq!(features.column("views_lag_1h")?[1], 100.0);
/// assert_eq!(features.column("views_percentile")?[2], 0.0);
/// assert!(features.column("conversion_rate")?[2].is_nan());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FeatureEngineer {
    plan: Arc<Plan>,
}

impl FeatureEngineer {
    /// Checks the specification and the configuration against each other.
    pub fn new(spec: &PanelSpec, config: &FeatureConfig) -> Result<Self, FeatureError> {
        Ok(Self { plan: Arc::new(Plan::new(spec, config)?) })
    }

    /// The columns of the output, in order.
    pub fn names(&self) -> &Columns {
        &self.plan.names
    }

    /// The columns that the input must have.
    pub fn inputs(&self) -> &Columns {
        &self.plan.stored
    }

    /// The features of a whole series: a row per input row. Columns of the input are found by
    /// name; those that are no stored metric are left out.
    pub fn transform(&self, frame: FrameView<'_>) -> Result<Frame, FeatureError> {
        let input = frame.aligned(self.inputs())?;
        let mut output = Array2::zeros((frame.nrows(), self.names().len()));
        let mut state = self.state();
        for ((time, from), mut to) in frame.time().iter().zip(input.rows()).zip(output.axis_iter_mut(Axis(0))) {
            let to = to.as_slice_mut().expect("a fresh matrix is stored row by row");
            match from.as_slice() {
                Some(row) => state.push_into(*time, row, to)?,
                None => state.push_into(*time, &from.to_vec(), to)?,
            }
        }
        Ok(Frame::new(frame.time().to_vec(), self.names().clone(), output)?)
    }

    /// The state of a series of which nothing is known yet, to feed row by row.
    pub fn state(&self) -> FeatureState {
        FeatureState::new(self.plan.clone())
    }
}

#[cfg(test)]
mod tests;
