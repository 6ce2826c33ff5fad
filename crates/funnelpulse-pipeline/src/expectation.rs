//! Expected values: the baseline's, refined by a detector that follows levels.

use funnelpulse_analytics::Deviation;
use funnelpulse_core::Posterior;
use funnelpulse_features::MetricKind;
use ndarray::{Array1, Array2};

use crate::{plan::Plan, prepared::Expectation};

impl Default for Expectation {
    fn default() -> Self {
        let empty = || Array2::zeros((0, 0));
        let [observed, expected, lower, upper, z] = [empty(), empty(), empty(), empty(), empty()];
        Self { observed, expected, lower, upper, z, score: Array1::zeros(0) }
    }
}

impl Expectation {
    /// Replaces the baseline's expectations by those of a detector that follows the level of each
    /// series and knows what all of them share. Intervals move along. `funnel` are the positions of
    /// its steps among the metrics.
    pub(crate) fn refine(&mut self, plan: &Plan, funnel: [Option<usize>; 4], posterior: &Posterior) {
        let names = plan.metric_names();
        let rates: Vec<(usize, usize, usize)> = plan
            .config
            .input
            .metrics
            .iter()
            .filter_map(|m| match &m.kind {
                MetricKind::Rate { numerator, denominator } => Some((
                    names.position(&m.name)?,
                    names.position(numerator).filter(|p| funnel.contains(&Some(*p)))?,
                    names.position(denominator).filter(|p| funnel.contains(&Some(*p)))?,
                )),
                _ => None,
            })
            .collect();
        for (row, (expected, shared)) in posterior.expected.rows().into_iter().zip(&posterior.is_shared).enumerate() {
            // In a broken site the baseline still knows what there should have been.
            if *shared {
                continue;
            }
            for (position, value) in funnel.iter().zip(expected) {
                if let Some(column) = position {
                    self.replace(row, *column, *value);
                }
            }
            for &(rate, numerator, denominator) in &rates {
                let value = self.expected[[row, numerator]] / self.expected[[row, denominator]];
                self.replace(row, rate, value);
            }
        }
    }

    fn replace(&mut self, row: usize, column: usize, value: f64) {
        let at = [row, column];
        let ratio = value / self.expected[at];
        if value.is_finite() && ratio.is_finite() && ratio > 0.0 {
            self.expected[at] = value;
            self.lower[at] *= ratio;
            self.upper[at] *= ratio;
        }
    }

    /// Observed against expected, of every metric in one row.
    pub(crate) fn deviations(&self, plan: &Plan, row: usize) -> Vec<Deviation> {
        let deviation = |(i, name): (usize, &std::sync::Arc<str>)| {
            Deviation::new(name.clone(), self.observed[[row, i]], self.expected[[row, i]], self.z[[row, i]])
        };
        plan.metric_names().iter().enumerate().map(deviation).collect()
    }
}
