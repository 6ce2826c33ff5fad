//! From a history to a model.

use funnelpulse_core::Timestamp;

use crate::{
    Covariates, Growth, Likelihood, SeasonalConfig, SeasonalError, SeasonalModel, TimeStep,
    design::{Clock, Design, terms_of},
    fit::{Data, EXACT, LEAST_SIGMA, Model, Optimum, Priors, Problem, ROUGH, Stats, Theta, optimize},
    history::History,
    likelihood::{Counts, Family},
    model::{Scale, Settings},
    rows::Rows,
};

/// Change of the logarithm of the dispersion below which coefficients and dispersion agree.
const SETTLED: f64 = 1e-2;

/// Standard deviation of the normal priors of the trend's rate and offset.
const TREND_PRIOR: f64 = 5.0;

/// Prophet's additive model, unfitted: trend with changepoints, seasonalities, holidays, regressors.
///
/// Fit one series by [`Self::fit_series`], or the metrics of a frame as a
/// [`Detector`](funnelpulse_core::Detector).
///
/// Taylor & Letham, "Forecasting at scale", The American Statistician 72 (2018).
#[derive(Clone, Debug, PartialEq)]
pub struct Seasonal {
    pub(crate) config: SeasonalConfig,
}

impl Seasonal {
    /// Checks the hyper-parameters.
    pub fn new(config: SeasonalConfig) -> Result<Self, SeasonalError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &SeasonalConfig {
        &self.config
    }

    /// Fits a series: `values` at strictly increasing `time`, NaN where missing.
    ///
    /// `covariates` have a value per time: those that the configuration names, and `cap` and
    /// `floor` for logistic growth. At least two rows with a value are needed; a constant series
    /// gives a constant model, whose log posterior has no bound (infinity). An error where no finite
    /// optimum exists or can be computed.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_seasonal::{Covariates, Regressor, Seasonal, SeasonalConfig};
    ///
    /// let time: Vec<Timestamp> = (0..60).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
    /// let price: Vec<f64> = (0..60).map(|d| f64::from(d * 7 % 10)).collect();
    /// let sales: Vec<f64> = price.iter().map(|p| 100.0 - 3.0 * p).collect();
    ///
    /// let regressors = vec![Regressor { name: "price".into(), ..Default::default() }];
    /// let seasonal = Seasonal::new(SeasonalConfig { regressors, ..Default::default() })?;
    /// let model = seasonal.fit_series(&time, &sales, &Covariates::new().with("price", &price))?;
    ///
    /// let forecast = model.predict(&model.make_future(1, None), &Covariates::new().with("price", &[20.0]))?;
    /// assert!((forecast.yhat[0] - 40.0).abs() < 1.0);
    /// # Ok::<(), funnelpulse_seasonal::SeasonalError>(())
    /// ```
    pub fn fit_series(
        &self,
        time: &[Timestamp],
        values: &[f64],
        covariates: &Covariates<'_>,
    ) -> Result<SeasonalModel, SeasonalError> {
        self.fit_metric(self.config.likelihood, self.config.exposure.as_deref(), time, values, covariates, None)
    }

    /// The same, starting from the coefficients of an earlier model of this series: faster where
    /// little has changed, the same optimum.
    pub fn fit_warm(
        &self,
        earlier: &SeasonalModel,
        time: &[Timestamp],
        values: &[f64],
        covariates: &Covariates<'_>,
    ) -> Result<SeasonalModel, SeasonalError> {
        let exposure = self.config.exposure.as_deref();
        self.fit_metric(self.config.likelihood, exposure, time, values, covariates, Some(earlier))
    }

    pub(crate) fn fit_metric(
        &self,
        likelihood: Likelihood,
        exposure: Option<&str>,
        time: &[Timestamp],
        values: &[f64],
        covariates: &Covariates<'_>,
        earlier: Option<&SeasonalModel>,
    ) -> Result<SeasonalModel, SeasonalError> {
        let history = History::new(&self.config, likelihood, exposure, time, values, covariates)?;
        Ok(self.fit_history(&history, likelihood, exposure, earlier)?.0)
    }

    /// The model of a history, and the rows that it is fitted to.
    pub(crate) fn fit_history<'a>(
        &self,
        history: &'a History,
        likelihood: Likelihood,
        exposure: Option<&str>,
        earlier: Option<&SeasonalModel>,
    ) -> Result<(SeasonalModel, Rows<'a>), SeasonalError> {
        let config = &self.config;
        let own = history.view();
        let clock = Clock::new(config, &history.time)?;
        let (terms, dropped) = terms_of(config, likelihood, &history.time, &own).map_err(|e| history.as_given(e))?;
        let design = Design::new(clock, terms);
        let gaussian = likelihood == Likelihood::Gaussian;
        let scale = if gaussian { history.scale(config) } else { Scale { offset: 0.0, divisor: 1.0 } };
        let mut rows = Rows::new(history, &design, scale)?;
        let start = rows.start(config.growth, gaussian, design.width() + 2, design.clock.changepoints().len());
        let start = earlier.and_then(|e| e.as_start(&design)).unwrap_or(start);
        let mut model = SeasonalModel {
            settings: Settings::new(config, exposure),
            scale,
            family: Family::new(likelihood, &history.y, history.exposure.as_deref()),
            free: start.free,
            bends: start.bends,
            sigma: LEAST_SIGMA,
            log_posterior: 0.0,
            iterations: 0,
            rows: history.y.len(),
            last: history.time[history.time.len() - 1],
            step: TimeStep::usual(&history.time),
            dropped,
            stats: None,
            design,
        };
        self.fit_rows(&mut model, &rows, if config.robust { ROUGH } else { EXACT })?;
        if config.robust {
            self.fit_without_outliers(&mut model, &mut rows)?;
            if !gaussian {
                self.fit_rows(&mut model, &rows, EXACT)?;
            }
        }
        Ok((model, rows))
    }

    /// From the model's coefficients to the best ones, until less than `tolerance` of the log
    /// posterior is left to gain.
    pub(crate) fn fit_rows(
        &self,
        model: &mut SeasonalModel,
        rows: &Rows<'_>,
        tolerance: f64,
    ) -> Result<(), SeasonalError> {
        if matches!(model.family, Family::Gaussian) {
            self.fit_gaussian(model, rows)
        } else {
            self.fit_counts(model, rows, tolerance)
        }
    }

    /// Alternates between the coefficients and the dispersion.
    fn fit_counts(&self, model: &mut SeasonalModel, rows: &Rows<'_>, tolerance: f64) -> Result<(), SeasonalError> {
        let priors = self.priors(&model.design);
        let changepoints = model.design.clock.changepoints().to_vec();
        let data = rows.data(&changepoints);
        let flat = self.config.growth == Growth::Flat;
        let multiplicative = model.design.multiplicative();
        // An anomaly would be taken for dispersion, and then for normal.
        let wary = self.config.robust && !rows.is_masked();
        let undispersed = model.family;
        let mut settled = !undispersed.is_dispersed();
        for _ in 0..8 {
            let family = model.family;
            let problem = Problem::Rows {
                data: &data,
                model: Model { family: &family, changepoints: &changepoints, multiplicative },
                flat,
            };
            let optimum = optimize(&problem, &priors, model.theta(), if settled { tolerance } else { ROUGH })?;
            model.set_optimum(optimum);
            if settled {
                break;
            }
            let eta = rows.predictors(model);
            let weight = wary.then(|| rows.calm(&undispersed, &eta));
            let weight = weight.as_deref().or(data.weight);
            let counts = Counts { eta: &eta, y: data.y, exposure: data.exposure, weight };
            model.family = family.with_dispersion(&counts);
            let change = (model.family.dispersion() / family.dispersion()).ln().abs();
            settled = change < SETTLED;
            if settled && tolerance >= ROUGH {
                break;
            }
        }
        Ok(())
    }

    fn fit_gaussian(&self, model: &mut SeasonalModel, rows: &Rows<'_>) -> Result<(), SeasonalError> {
        let config = &self.config;
        let priors = self.priors(&model.design);
        let changepoints = model.design.clock.changepoints();
        let gaussian = Model { family: &Family::Gaussian, changepoints, multiplicative: model.design.multiplicative() };
        let data = rows.data(changepoints);
        let start = model.theta();
        let flat = config.growth == Growth::Flat;
        let optimum = if config.growth == Growth::Logistic {
            optimize(&Problem::Rows { data: &data, model: gaussian, flat }, &priors, start, EXACT)?
        } else {
            let mut stats =
                Stats::new(changepoints.len() + 1, gaussian.multiplicative, model.design.width(), level(&data));
            stats.add(&data);
            let constant = rows.y().iter().all(|y| *y == rows.y()[0]);
            let optimum = if constant {
                let mut theta = start;
                theta.free.fill(0.0);
                theta.bends.fill(0.0);
                theta.free[0] = rows.y()[0];
                Optimum { theta, sigma: LEAST_SIGMA, log_posterior: f64::INFINITY, iterations: 0 }
            } else {
                let found = optimize(&Problem::Sums { stats: &stats, changepoints, flat }, &priors, start, EXACT)?;
                if stats.resolve(found.sigma) {
                    found
                } else {
                    let problem = Problem::Rows { data: &data, model: gaussian, flat };
                    let exact = optimize(&problem, &priors, found.theta, EXACT)?;
                    Optimum { iterations: found.iterations + exact.iterations, ..exact }
                }
            };
            model.stats = config.online.then_some(stats);
            optimum
        };
        model.set_optimum(optimum);
        Ok(())
    }

    pub(crate) fn priors(&self, design: &Design) -> Priors {
        priors(design, self.config.changepoint_prior_scale)
    }
}

impl TryFrom<SeasonalConfig> for Seasonal {
    type Error = SeasonalError;

    fn try_from(config: SeasonalConfig) -> Result<Self, SeasonalError> {
        Self::new(config)
    }
}

impl SeasonalModel {
    /// The coefficients as a start for a model of `design`, where the two have the same shape.
    fn as_start(&self, design: &Design) -> Option<Theta> {
        let same = self.free.len() == design.width() + 2
            && self.bends.len() == design.clock.changepoints().len()
            && self.design.terms.iter().map(|t| &t.name).eq(design.terms.iter().map(|t| &t.name));
        same.then(|| self.theta())
    }
}

/// The weighted mean of `y`.
fn level(data: &Data<'_>) -> f64 {
    let weight = |row: usize| data.weight.map_or(1.0, |w| w[row]);
    let (sum, total) = (0..data.y.len())
        .filter(|row| weight(*row) > 0.0)
        .fold((0.0, 0.0), |(sum, total), row| (sum + weight(row) * data.y[row], total + weight(row)));
    if total > 0.0 { sum / total } else { 0.0 }
}

pub(crate) fn priors(design: &Design, changepoint_prior_scale: f64) -> Priors {
    let mut precision = vec![1.0 / (TREND_PRIOR * TREND_PRIOR); 2];
    precision.extend(design.prior_scales().into_iter().map(|s| 1.0 / (s * s)));
    Priors { precision, lambda: 1.0 / changepoint_prior_scale }
}
