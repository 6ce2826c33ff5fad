//! The uncertainty of the coefficients.

use funnelpulse_core::Timestamp;
use ndarray::Array2;
use serde::Serialize;

use crate::{
    Covariates, Growth, Likelihood, Seasonal, SeasonalError, SeasonalModel,
    fit::{Model, Problem, covariance},
    history::History,
    likelihood::Family,
    rows::Rows,
};

/// Standard errors of a model's coefficients, in its scaled units and in their order, see
/// [`Seasonal::parameter_errors`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ParameterErrors {
    /// Of [`SeasonalModel::offset`].
    pub offset: f64,
    /// Of [`SeasonalModel::rate`]; 0 for flat growth, which has none.
    pub rate: f64,
    /// Of [`SeasonalModel::rate_changes`]; 0 for those that are exactly zero, which are taken as known.
    pub rate_changes: Vec<f64>,
    /// Of [`SeasonalModel::effects`].
    pub effects: Vec<f64>,
    /// Covariance of offset, rate and effects, in this order.
    pub covariance: Array2<f64>,
}

impl Seasonal {
    /// Standard errors of the coefficients of a model that was fitted to this history with these hyper-parameters: the
    /// posterior as a normal distribution around its mode (Laplace's approximation; Tierney & Kadane 1986), noise or
    /// dispersion and the zeros among the bends taken as known. A coefficient is within 1.645 standard errors of the truth in
    /// 90 % of cases where the model holds; autocorrelated noise makes the errors too small.
    ///
    /// Prophet gives such uncertainty by MCMC (`mcmc_samples`) in minutes; this takes the time of one step of the fit.
    /// Rows that `robust` left out count here, too.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_seasonal::{Covariates, Regressor, Seasonal, SeasonalConfig};
    ///
    /// let time: Vec<Timestamp> = (0..200).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
    /// let price: Vec<f64> = (0..200).map(|d| f64::from(d * 7 % 10)).collect();
    /// let sales: Vec<f64> = (0..200).map(|d| 100.0 - 3.0 * price[d] + (d * 7919 % 101) as f64 / 10.0).collect();
    ///
    /// let regressors = vec![Regressor { name: "price".into(), ..Default::default() }];
    /// let seasonal = Seasonal::new(SeasonalConfig { regressors, ..Default::default() })?;
    /// let covariates = Covariates::new().with("price", &price);
    /// let model = seasonal.fit_series(&time, &sales, &covariates)?;
    /// let errors = seasonal.parameter_errors(&model, &time, &sales, &covariates)?;
    /// let (effect, error) = (model.effects().last().unwrap(), errors.effects.last().unwrap());
    /// assert!(effect.abs() > 10.0 * error && *error > 0.0, "the price matters: {effect} +- {error}");
    /// # Ok::<(), funnelpulse_seasonal::SeasonalError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of a fit, and [`SeasonalError::NoOptimum`] where the curvature is singular.
    pub fn parameter_errors(
        &self,
        model: &SeasonalModel,
        time: &[Timestamp],
        values: &[f64],
        covariates: &Covariates<'_>,
    ) -> Result<ParameterErrors, SeasonalError> {
        let config = &self.config;
        let likelihood = config.likelihood;
        if matches!(model.family, Family::Gaussian) != (likelihood == Likelihood::Gaussian) {
            return Err(SeasonalError::Combination { what: "a model of another likelihood than the configuration's" });
        }
        let history = History::new(config, likelihood, config.exposure.as_deref(), time, values, covariates)?;
        let rows = Rows::new(&history, &model.design, model.scale)?;
        let changepoints = model.design.clock.changepoints();
        let data = rows.data(changepoints);
        let multiplicative = model.design.multiplicative();
        let fitted = Model { family: &model.family, changepoints, multiplicative };
        let problem = Problem::Rows { data: &data, model: fitted, flat: config.growth == Growth::Flat };
        let found = covariance(&problem, &self.priors(&model.design), &model.theta(), model.sigma);
        let Some((all, bends)) = found else {
            return Err(SeasonalError::NoOptimum { reason: "the curvature at the optimum is singular" });
        };
        Ok(errors(&all, &bends, model))
    }
}

/// Takes the covariance of free coefficients and active bends apart.
fn errors(all: &[f64], active: &[usize], model: &SeasonalModel) -> ParameterErrors {
    let free = model.free.len();
    let n = free + active.len();
    let error = |i: usize| all[i * n + i].max(0.0).sqrt();
    let mut rate_changes = vec![0.0; model.bends.len()];
    for (k, &bend) in active.iter().enumerate() {
        rate_changes[bend] = error(free + k);
    }
    ParameterErrors {
        offset: error(0),
        rate: error(1),
        rate_changes,
        effects: (2..free).map(error).collect(),
        covariance: Array2::from_shape_fn((free, free), |(i, j)| all[i * n + j]),
    }
}
