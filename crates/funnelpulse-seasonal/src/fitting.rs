//! From a history to a model.

use funnelpulse_core::Timestamp;

use crate::{
    Covariates, Growth, Likelihood, SeasonalConfig, SeasonalError, SeasonalModel,
    design::{Clock, Design, terms_of},
    fit::{Data, LEAST_SIGMA, Optimum, Priors, Problem, Stats, Theta, optimize, segment_ends},
    history::History,
    likelihood::Family,
    model::{Scale, Settings},
};

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
    /// gives a constant model.
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
        let config = &self.config;
        let history = History::new(config, likelihood, exposure, time, values, covariates)?;
        let own = history.view();
        let clock = Clock::new(config, &history.time)?;
        let (terms, dropped) = terms_of(config, likelihood, &history.time, &own)?;
        let design = Design::new(clock, terms);
        let rows = Rows::new(&history, &design, history.scale(config))?;
        let mut model = SeasonalModel {
            settings: Settings::new(config, exposure),
            scale: rows.scale,
            family: Family::Gaussian,
            free: vec![0.0; design.width() + 2],
            bends: vec![0.0; design.clock.changepoints().len()],
            sigma: LEAST_SIGMA,
            log_posterior: 0.0,
            iterations: 0,
            rows: history.y.len(),
            last: history.time[history.time.len() - 1],
            step: usual_step(&history.time),
            dropped,
            stats: None,
            design,
        };
        self.fit_gaussian(&mut model, &rows, earlier);
        Ok(model)
    }

    fn fit_gaussian(&self, model: &mut SeasonalModel, rows: &Rows<'_>, earlier: Option<&SeasonalModel>) {
        let config = &self.config;
        let priors = priors(&model.design, config.changepoint_prior_scale);
        let changepoints = model.design.clock.changepoints();
        let multiplicative = model.design.multiplicative();
        let data = rows.data(changepoints);
        let start = rows.start(config.growth, model.free.len(), model.bends.len());
        let start = earlier.and_then(|e| e.as_start(&model.design)).unwrap_or(start);
        let flat = config.growth == Growth::Flat;
        let optimum = if config.growth == Growth::Logistic {
            let family = &Family::Gaussian;
            optimize(&Problem::Rows { data: &data, family, changepoints, multiplicative, flat }, &priors, start)
        } else {
            let mut stats = Stats::new(changepoints.len() + 1, multiplicative, model.design.width());
            stats.add(&data);
            let constant = rows.y.iter().all(|y| *y == rows.y[0]);
            let optimum = if constant {
                let mut theta = start;
                theta.free.fill(0.0);
                theta.bends.fill(0.0);
                theta.free[0] = rows.y[0];
                Optimum { theta, sigma: LEAST_SIGMA, log_posterior: f64::INFINITY, iterations: 0 }
            } else {
                optimize(&Problem::Sums { stats: &stats, changepoints, flat }, &priors, start)
            };
            model.stats = config.online.then_some(stats);
            optimum
        };
        model.set_optimum(optimum);
    }
}

impl TryFrom<SeasonalConfig> for Seasonal {
    type Error = SeasonalError;

    fn try_from(config: SeasonalConfig) -> Result<Self, SeasonalError> {
        Self::new(config)
    }
}

/// The rows of a history in scaled units, with their features.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    history: &'a History,
    pub(crate) scale: Scale,
    t: Vec<f64>,
    pub(crate) y: Vec<f64>,
    cap: Option<Vec<f64>>,
    features: crate::design::Features,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(history: &'a History, design: &Design, scale: Scale) -> Result<Self, SeasonalError> {
        let floor = |row: usize| history.floor.as_ref().map_or(0.0, |f| f[row]);
        let scaled = |values: &[f64]| -> Vec<f64> {
            let place = |(row, value): (usize, &f64)| (value - scale.offset - floor(row)) / scale.divisor;
            values.iter().enumerate().map(place).collect()
        };
        Ok(Self {
            scale,
            t: history.time.iter().map(|t| design.clock.scale(*t)).collect(),
            y: scaled(&history.y),
            cap: history.cap.as_deref().map(scaled),
            features: design.features(&history.time, &history.view())?,
            history,
        })
    }

    pub(crate) fn data(&self, changepoints: &[f64]) -> Data<'_> {
        Data {
            t: &self.t,
            segment_ends: segment_ends(&self.t, changepoints),
            features: &self.features,
            y: &self.y,
            weight: self.history.weight.as_deref(),
            cap: self.cap.as_deref(),
            exposure: self.history.exposure.as_deref(),
        }
    }

    /// Prophet's start: a trend through the first and the last value, nothing else.
    fn start(&self, growth: Growth, free: usize, bends: usize) -> Theta {
        let (first, last) = (self.y[0], self.y[self.y.len() - 1]);
        let mut theta = Theta { free: vec![0.0; free], bends: vec![0.0; bends] };
        (theta.free[0], theta.free[1]) = match (growth, &self.cap) {
            (Growth::Logistic, Some(cap)) => {
                let odds = |y: f64, cap: f64| {
                    let y = y.clamp(0.01 * cap, 0.99 * cap);
                    (y / (cap - y)).ln()
                };
                let (from, to) = (odds(first, cap[0]), odds(last, cap[cap.len() - 1]));
                // Equal ends give no rate, and without a rate the offset has no meaning.
                let rate = if (to - from).abs() > 0.05 { to - from } else { 0.05 };
                (-from / rate, rate)
            }
            (Growth::Flat, _) => (self.y.iter().sum::<f64>() / self.y.len() as f64, 0.0),
            _ => (first, last - first),
        };
        theta
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

pub(crate) fn priors(design: &Design, changepoint_prior_scale: f64) -> Priors {
    let mut precision = vec![1.0 / (TREND_PRIOR * TREND_PRIOR); 2];
    precision.extend(design.prior_scales().into_iter().map(|s| 1.0 / (s * s)));
    Priors { precision, lambda: 1.0 / changepoint_prior_scale }
}

/// The most frequent distance of neighbouring rows; of several, the smallest.
fn usual_step(time: &[Timestamp]) -> i64 {
    let gap = |pair: &[Timestamp]| pair[1].as_micros().saturating_sub(pair[0].as_micros());
    let mut gaps: Vec<i64> = time.windows(2).map(gap).collect();
    gaps.sort_unstable();
    let mut best = (0, 1);
    for run in gaps.chunk_by(|a, b| a == b) {
        if run.len() > best.0 {
            best = (run.len(), run[0]);
        }
    }
    best.1
}
