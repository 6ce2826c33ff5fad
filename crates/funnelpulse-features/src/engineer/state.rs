//! One series, row by row.

use std::sync::Arc;

use funnelpulse_core::{FrameError, Timestamp};

use super::{
    lag::{History, rate_of_change},
    moments::WindowMoments,
    plan::Plan,
    statistical::Past,
};
use crate::FeatureError;

/// The state of one series that the features of its next row need.
///
/// [`FeatureEngineer::transform`](crate::FeatureEngineer::transform) is this, fed row by row: a
/// stream gets bit for bit what a batch gets.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::{FeatureConfig, FeatureEngineer, PanelSpec};
///
/// let engineer = FeatureEngineer::new(&PanelSpec::funnel(), &FeatureConfig::default())?;
/// let mut state = engineer.state();
/// state.push(Timestamp::from_seconds(0), &[100.0, 9.0, 5.0, 70.0])?;
/// let features = state.push(Timestamp::from_seconds(3600), &[80.0, 7.0, 2.0, 30.0])?;
/// assert_eq!(features[engineer.names().require("views_change_1h")?], -0.2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FeatureState {
    plan: Arc<Plan>,
    last: Option<Timestamp>,
    base: Vec<f64>,
    /// Per metric, its windows one after the other.
    windows: Vec<WindowMoments>,
    history: History,
    /// The rows that the lags of the current row point to.
    lagged: Vec<Option<usize>>,
    past: Vec<Past>,
}

impl FeatureState {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        let metrics = plan.metrics.len();
        let windows = (0..metrics).flat_map(|_| plan.windows.iter().map(|w| WindowMoments::new(*w))).collect();
        let past = if plan.statistical { vec![Past::new(plan.past); metrics] } else { Vec::new() };
        let history = History::new(metrics, plan.lags.iter().copied().max().unwrap_or_default());
        Self { last: None, base: Vec::new(), windows, history, lagged: Vec::new(), past, plan }
    }

    /// Adds a row, later than all before, with the stored metrics in the order of
    /// [`FeatureEngineer::inputs`](crate::FeatureEngineer::inputs), and returns its features in
    /// the order of [`FeatureEngineer::names`](crate::FeatureEngineer::names).
    pub fn push(&mut self, time: Timestamp, row: &[f64]) -> Result<Vec<f64>, FeatureError> {
        let mut out = vec![0.0; self.plan.names.len()];
        self.push_into(time, row, &mut out)?;
        Ok(out)
    }

    /// The same into memory of the caller's. After an error the state is as it was before.
    pub fn push_into(&mut self, time: Timestamp, row: &[f64], out: &mut [f64]) -> Result<(), FeatureError> {
        let plan = self.plan.clone();
        for (found, columns) in [(row.len(), &plan.stored), (out.len(), &plan.names)] {
            if found != columns.len() {
                return Err(FeatureError::RowLength { found, expected: columns.len(), columns: columns.joined() });
            }
        }
        if let Some(previous) = self.last.filter(|last| *last >= time) {
            return Err(FeatureError::NotLater { time, previous });
        }
        if let Some(column) = row.iter().position(|v| v.is_infinite()) {
            let (value, column) = (row[column], plan.stored[column].clone());
            return Err(FrameError::Infinite { row: 0, column, value }.into());
        }
        self.last = Some(time);

        self.base.clear();
        self.base.extend_from_slice(row);
        self.base.extend(plan.rates.iter().map(|&(n, d)| if row[d] == 0.0 { f64::NAN } else { row[n] / row[d] }));
        let measures = self.base.len();
        self.base.extend(plan.clock.read(time));

        let mut out = Writer(out.iter_mut());
        out.extend(row);
        if plan.emit_rates {
            out.extend(&self.base[row.len()..measures]);
        }
        if plan.emit_time {
            out.extend(&self.base[measures..]);
        }
        self.write_metrics(&plan, time.as_micros(), &mut out);
        for &(a, b) in &plan.pairs {
            out.put(self.base[a] * self.base[b]);
        }
        Ok(())
    }

    fn write_metrics(&mut self, plan: &Plan, now: i64, out: &mut Writer<'_>) {
        self.lagged.clear();
        self.lagged.extend(plan.lags.iter().map(|lag| now.checked_sub(*lag).and_then(|t| self.history.find(t))));
        for (metric, &position) in plan.metrics.iter().enumerate() {
            // Rates and windows of rates never see an infinite value: it would stay for ever.
            let value = finite(self.base[position]);
            let windows = metric * plan.windows.len()..(metric + 1) * plan.windows.len();
            for window in &mut self.windows[windows] {
                window.push(now, value);
                let moments = window.at(now);
                out.put(moments.mean());
                out.put(moments.std());
            }
            for row in &self.lagged {
                let before = row.map_or(f64::NAN, |row| self.history.value(row, metric));
                out.put(before);
                out.put(rate_of_change(value, before));
            }
            if let Some(past) = self.past.get_mut(metric) {
                out.extend(&past.compare_then_push(now, value));
            }
        }
        if !plan.lags.is_empty() {
            self.history.push(now, plan.metrics.iter().map(|&position| finite(self.base[position])));
        }
    }
}

/// Writes one value after the other; what is beyond the range of `f64` is missing.
struct Writer<'a>(std::slice::IterMut<'a, f64>);

impl Writer<'_> {
    fn put(&mut self, value: f64) {
        *self.0.next().expect("the plan has a name for each value") = finite(value);
    }

    fn extend(&mut self, values: &[f64]) {
        for value in values {
            self.put(*value);
        }
    }
}

fn finite(value: f64) -> f64 {
    if value.is_infinite() { f64::NAN } else { value }
}
