//! The model as a detector: one model per metric of a frame.

mod combine;
mod model;

use funnelpulse_core::{Columns, CrossValidated, Detector, Error, FrameView};
use ndarray::ArrayView1;

use model::FittedMetric;
pub use model::SeasonalDetectorModel;

use crate::{Covariates, KIND, Metric, Seasonal, SeasonalConfig, SeasonalError, SeasonalModel, held_out::Series};

impl SeasonalConfig {
    /// Columns of a frame that describe rows instead of being watched.
    fn roles(&self) -> impl Iterator<Item = &str> {
        let named = (self.regressors.iter().map(|r| r.name.as_str()))
            .chain(self.seasonalities.iter().filter_map(|s| s.condition_name.as_deref()))
            .chain([&self.exposure, &self.weights].into_iter().flatten().map(String::as_str))
            .chain(self.metrics.iter().filter_map(|m| m.exposure.as_deref()));
        let logistic = self.growth == crate::Growth::Logistic;
        named.chain(["cap", "floor"].into_iter().filter(move |_| logistic))
    }

    /// The columns of `available` that a model needs, in their order, and its metrics.
    fn choose(&self, available: &Columns) -> Result<(Columns, Vec<Metric>), Error> {
        let is_role = |name: &str| self.roles().any(|role| role == name);
        let metrics: Vec<Metric> = if self.metrics.is_empty() {
            let watched = available.iter().filter(|c| !is_role(c));
            watched.map(|c| Metric { column: c.to_string(), ..Default::default() }).collect()
        } else {
            self.metrics.clone()
        };
        for metric in &metrics {
            available.require(&metric.column)?;
        }
        let optional = |name: &str| name == "cap" || name == "floor";
        for role in self.roles().filter(|name| !optional(name)) {
            available.require(role)?;
        }
        let needed = |c: &str| is_role(c) || metrics.iter().any(|m| m.column == c);
        let columns = Columns::new(available.iter().filter(|c| needed(c)).cloned())?;
        Ok((columns, metrics))
    }
}

/// The columns of a frame as covariates.
pub(crate) struct Named(Vec<(String, Vec<f64>)>);

impl Named {
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, ArrayView1<'a, f64>)>) -> Self {
        Self(columns.into_iter().map(|(name, values)| (name.to_owned(), values.to_vec())).collect())
    }

    pub(crate) fn covariates(&self) -> Covariates<'_> {
        self.0.iter().fold(Covariates::new(), |all, (name, values)| all.with(name.clone(), values))
    }
}

impl Seasonal {
    /// A model per metric, by `fit`.
    fn fit_frame(
        &self,
        history: FrameView<'_>,
        mut fit: impl FnMut(&Series<'_>) -> Result<SeasonalModel, SeasonalError>,
    ) -> Result<SeasonalDetectorModel, SeasonalError> {
        let (columns, metrics) = self.config.choose(history.columns())?;
        let roles: std::collections::BTreeSet<&str> = self.config.roles().collect();
        let mut covariates = Vec::new();
        for role in roles.into_iter().filter(|role| columns.position(role).is_some()) {
            covariates.push((role.to_owned(), history.column(role).map_err(Error::from)?.to_vec()));
        }
        let mut fitted = Vec::with_capacity(metrics.len());
        let mut most_rows = 0;
        for metric in metrics {
            let column = columns.require(&metric.column).map_err(Error::from)?;
            let values = history.column(&metric.column).map_err(Error::from)?.to_vec();
            let likelihood = metric.likelihood.unwrap_or(self.config.likelihood);
            let exposure = match likelihood {
                crate::Likelihood::Gaussian => None,
                _ => metric.exposure.as_deref().or(self.config.exposure.as_deref()),
            };
            let series =
                Series { likelihood, exposure, values: &values, time: history.time(), covariates: &covariates };
            let model = match fit(&series) {
                Ok(model) => Some(model),
                Err(SeasonalError::Core(Error::TooFewRows { rows, .. })) => {
                    most_rows = most_rows.max(rows);
                    None
                }
                Err(SeasonalError::Value { row, name, value, allowed }) if name == "values" => {
                    return Err(SeasonalError::Value { row, name: metric.column, value, allowed });
                }
                Err(error) => return Err(error),
            };
            fitted.push(FittedMetric { column, model });
        }
        if fitted.iter().all(|metric| metric.model.is_none()) {
            return Err(Error::TooFewRows { detector: KIND, rows: most_rows, needed: 2 }.into());
        }
        Ok(SeasonalDetectorModel { columns, metrics: fitted, combine: self.config.combine })
    }
}

impl Detector for Seasonal {
    type Fitted = SeasonalDetectorModel;
    type Error = SeasonalError;

    fn kind(&self) -> &'static str {
        KIND
    }

    /// One model per metric. A metric with fewer than two usable values gets none (its part of
    /// every detection is missing) as long as another one does.
    fn fit(&self, history: FrameView<'_>) -> Result<SeasonalDetectorModel, SeasonalError> {
        self.fit_frame(history, |series| {
            let covariates = series.covariates(0..history.nrows());
            let Series { likelihood, exposure, values, .. } = *series;
            self.fit_metric(likelihood, exposure, history.time(), values, &covariates, None)
        })
    }

    /// Held-out scores from the sums of the other parts, as the module `held_out` says.
    fn fit_cross_validated(
        &self,
        history: FrameView<'_>,
        folds: usize,
    ) -> CrossValidated<SeasonalDetectorModel, SeasonalError> {
        let n = history.nrows();
        let blocks: Vec<_> = (0..folds).map(|fold| fold * n / folds..(fold + 1) * n / folds).collect();
        let mut held_out = Some(Vec::new());
        let model = self.fit_frame(history, |series| {
            let (model, surprises) = self.fit_held_out(series, &blocks)?;
            held_out = held_out.take().zip(surprises).map(|(mut all, own)| {
                all.push(own);
                all
            });
            Ok(model)
        })?;
        let combined =
            |all: Vec<Vec<f64>>| (0..n).map(|row| self.config.combine.apply(all.iter().map(|own| own[row]))).collect();
        Ok((model, held_out.map(combined)))
    }

    /// Not supported: trend and scale are a series' own.
    fn fit_pooled(&self, _: &[FrameView<'_>]) -> Result<SeasonalDetectorModel, SeasonalError> {
        let what = "pooling several series into one model (trend and scale belong to one series)";
        Err(Error::Unsupported { detector: KIND, what }.into())
    }
}
