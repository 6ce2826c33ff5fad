//! The plan of the computation, made once.

use std::sync::Arc;

use funnelpulse_core::{Columns, Timestamp};

use super::{FeatureConfig, interaction, statistical, time, time::Clock};
use crate::{FeatureError, MetricKind, PanelSpec};

/// Positions refer to the *base* of a row: stored metrics, then rates, then time features, all
/// computed whether or not they are part of the output.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) stored: Columns,
    pub(super) names: Columns,
    /// Numerator and denominator of each rate.
    pub(super) rates: Vec<(usize, usize)>,
    pub(super) clock: Clock,
    pub(super) emit_rates: bool,
    pub(super) emit_time: bool,
    /// Positions of the metrics with rolling, lag and statistical columns.
    pub(super) metrics: Vec<usize>,
    /// Widths and distances in microseconds.
    pub(super) windows: Vec<i64>,
    pub(super) lags: Vec<i64>,
    pub(super) statistical: bool,
    pub(super) past: Option<i64>,
    pub(super) pairs: Vec<(usize, usize)>,
}

impl Plan {
    pub(super) fn new(spec: &PanelSpec, config: &FeatureConfig) -> Result<Self, FeatureError> {
        spec.validate()?;
        config.validate()?;
        let stored = spec.columns();
        let mut base: Vec<Arc<str>> = stored.to_vec();
        let mut rates = Vec::new();
        for metric in &spec.metrics {
            if let MetricKind::Rate { numerator, denominator } = &metric.kind {
                rates.push((stored.require(numerator)?, stored.require(denominator)?));
                base.push(metric.name.as_str().into());
            }
        }
        let measures = base.len();
        base.extend(time::NAMES.map(Arc::from));

        let find = |field, among: &[Arc<str>], name: &str| {
            among.iter().position(|n| **n == *name).ok_or_else(|| FeatureError::UnknownMetric {
                field,
                name: name.to_owned(),
                available: among.join(", "),
            })
        };
        let metrics: Vec<usize> = match &config.metrics {
            Some(names) => names.iter().map(|n| find("metrics", &base[..measures], n)).collect::<Result<_, _>>()?,
            None => (0..measures).filter(|&i| i < stored.len() || &*base[i] == "conversion_rate").collect(),
        };
        let pairs: Vec<(usize, usize)> = match &config.interactions {
            Some(pairs) => pairs
                .iter()
                .map(|[a, b]| Ok((find("interactions", &base, a)?, find("interactions", &base, b)?)))
                .collect::<Result<_, FeatureError>>()?,
            None => interaction::DEFAULT
                .iter()
                .filter_map(|[a, b]| find("", &base, a).ok().zip(find("", &base, b).ok()))
                .collect(),
        };

        let plan = Self {
            names: stored.clone(),
            stored,
            rates,
            clock: Clock { zone: config.zone()?, business: config.business_hours },
            emit_rates: config.rates,
            emit_time: config.time,
            metrics,
            windows: config.rolling_days.iter().map(|d| i64::from(*d) * Timestamp::DAY).collect(),
            lags: config.lag_hours.iter().map(|h| i64::from(*h) * Timestamp::HOUR).collect(),
            statistical: config.statistical,
            past: config.statistical_days.map(|d| i64::from(d) * Timestamp::DAY),
            pairs,
        };
        let names = plan.output_names(&base, measures);
        Ok(Self { names: Columns::new(names)?, ..plan })
    }

    /// The names in the order in which the state writes the values.
    fn output_names(&self, base: &[Arc<str>], measures: usize) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.stored.to_vec();
        if self.emit_rates {
            names.extend_from_slice(&base[self.stored.len()..measures]);
        }
        if self.emit_time {
            names.extend_from_slice(&base[measures..]);
        }
        for metric in self.metrics.iter().map(|&m| &base[m]) {
            for days in self.windows.iter().map(|w| w / Timestamp::DAY) {
                names.push(format!("{metric}_rolling_mean_{days}d").into());
                names.push(format!("{metric}_rolling_std_{days}d").into());
            }
            for hours in self.lags.iter().map(|l| l / Timestamp::HOUR) {
                names.push(format!("{metric}_lag_{hours}h").into());
                names.push(format!("{metric}_change_{hours}h").into());
            }
            if self.statistical {
                names.extend(statistical::SUFFIXES.map(|suffix| Arc::from(format!("{metric}_{suffix}"))));
            }
        }
        names.extend(self.pairs.iter().map(|&(a, b)| Arc::from(interaction::name([&base[a], &base[b]]))));
        names
    }
}
