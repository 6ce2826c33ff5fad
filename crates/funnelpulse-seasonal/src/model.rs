//! A fitted model of one series.

use funnelpulse_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Growth, SeasonalConfig, TimeStep,
    design::{Design, PRIOR_SCALES},
    fit::{Optimum, Stats, Theta},
    likelihood::Family,
};

/// The scaling of `y` before fitting: `(y - offset) / divisor`, less the floor if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) offset: f64,
    pub(crate) divisor: f64,
}

/// The part of the configuration that a model keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) growth: Growth,
    pub(crate) cap: Option<f64>,
    pub(crate) floor: Option<f64>,
    pub(crate) exposure: Option<String>,
    pub(crate) weights: Option<String>,
    pub(crate) interval_width: f64,
    pub(crate) uncertainty_samples: usize,
    pub(crate) seed: u64,
    pub(crate) changepoint_prior_scale: f64,
}

impl Settings {
    pub(crate) fn new(config: &SeasonalConfig, exposure: Option<&str>) -> Self {
        Self {
            growth: config.growth,
            cap: config.cap,
            floor: config.floor,
            exposure: exposure.map(str::to_owned),
            weights: config.weights.clone(),
            interval_width: config.interval_width,
            uncertainty_samples: config.uncertainty_samples,
            seed: config.seed,
            changepoint_prior_scale: config.changepoint_prior_scale,
        }
    }
}

/// A model fitted to one series by [`Seasonal::fit_series`](crate::Seasonal::fit_series).
///
/// Coefficients are in scaled units, as Prophet's are: time runs from 0 at the first row of the
/// history to 1 at its last, values are divided by [`Self::y_scale`].
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_seasonal::{Covariates, Seasonal, SeasonalConfig};
///
/// let time: Vec<Timestamp> = (0..400).map(|h| Timestamp::from_seconds(3600 * h)).collect();
/// let y: Vec<f64> = (0..400).map(|h| 50.0 + 0.1 * h as f64 + 5.0 * (h as f64 * 0.2618).sin()).collect();
/// let model = Seasonal::new(SeasonalConfig::default())?.fit_series(&time, &y, &Covariates::new())?;
///
/// assert_eq!(model.component_names().collect::<Vec<_>>(), ["weekly", "daily"]);
/// let future = model.make_future(24, None);
/// assert_eq!(future[0], Timestamp::from_seconds(3600 * 400));
/// let forecast = model.predict(&future, &Covariates::new())?;
/// assert!((forecast.trend[23] - 92.3).abs() < 1.0);
/// # Ok::<(), funnelpulse_seasonal::SeasonalError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct SeasonalModel {
    pub(crate) settings: Settings,
    pub(crate) design: Design,
    pub(crate) scale: Scale,
    pub(crate) family: Family,
    /// `m`, `k`, then the effects of the features.
    pub(crate) free: Vec<f64>,
    pub(crate) bends: Vec<f64>,
    pub(crate) sigma: f64,
    pub(crate) log_posterior: f64,
    pub(crate) iterations: usize,
    pub(crate) rows: usize,
    pub(crate) last: Timestamp,
    /// The usual distance of rows.
    pub(crate) step: TimeStep,
    pub(crate) dropped: Vec<String>,
    pub(crate) stats: Option<Stats>,
}

/// A model as it is read; with `S = i64`, microseconds, that of payload version 1.
#[derive(Deserialize)]
pub(crate) struct Unchecked<S = TimeStep> {
    settings: Settings,
    design: Design,
    scale: Scale,
    family: Family,
    free: Vec<f64>,
    bends: Vec<f64>,
    sigma: f64,
    log_posterior: f64,
    iterations: usize,
    rows: usize,
    last: Timestamp,
    step: S,
    dropped: Vec<String>,
    stats: Option<Stats>,
}

impl TryFrom<Unchecked> for SeasonalModel {
    type Error = &'static str;

    fn try_from(u: Unchecked) -> Result<Self, Self::Error> {
        let width = u.settings.interval_width;
        if !(width > 0.0 && width < 1.0 && u.settings.uncertainty_samples <= 100_000) {
            return Err("an interval has a width between 0 and 1 and at most 100,000 samples");
        }
        if !u.design.is_valid() {
            return Err("a design has ascending changepoints and terms with positive priors");
        }
        if u.free.len() != u.design.width() + 2 || u.bends.len() != u.design.clock.changepoints().len() {
            return Err("a model has a coefficient per column and a bend per changepoint");
        }
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let scaled = u.scale.offset.is_finite() && positive(u.scale.divisor) && positive(u.sigma);
        if !u.free.iter().chain(&u.bends).all(|v| v.is_finite()) || !scaled || !u.family.is_valid() {
            return Err("coefficients are finite, scales positive");
        }
        if !u.step.is_valid() {
            return Err("rows are a positive time apart");
        }
        let segments = u.bends.len() + 1;
        let prior = PRIOR_SCALES.contains(&u.settings.changepoint_prior_scale);
        if u.stats
            .as_ref()
            .is_some_and(|s| !prior || !s.is_valid(segments, u.design.multiplicative(), u.design.width()))
        {
            return Err("sums for updates have the shape of the design");
        }
        Ok(Self {
            settings: u.settings,
            design: u.design,
            scale: u.scale,
            family: u.family,
            free: u.free,
            bends: u.bends,
            sigma: u.sigma,
            log_posterior: u.log_posterior,
            iterations: u.iterations,
            rows: u.rows,
            last: u.last,
            step: u.step,
            dropped: u.dropped,
            stats: u.stats,
        })
    }
}

impl TryFrom<Unchecked<i64>> for SeasonalModel {
    type Error = &'static str;

    fn try_from(u: Unchecked<i64>) -> Result<Self, Self::Error> {
        let step = TimeStep::Fixed(u.step.max(1));
        let Unchecked { settings, design, scale, family, free, bends, sigma, log_posterior, .. } = u;
        let Unchecked { iterations, rows, last, dropped, stats, .. } = u;
        let read = Unchecked {
            settings,
            design,
            scale,
            family,
            free,
            bends,
            sigma,
            log_posterior,
            iterations,
            rows,
            last,
            step,
            dropped,
            stats,
        };
        read.try_into()
    }
}

impl SeasonalModel {
    pub(crate) fn set_optimum(&mut self, optimum: Optimum) {
        self.free = optimum.theta.free;
        self.bends = optimum.theta.bends;
        self.sigma = optimum.sigma;
        self.log_posterior = optimum.log_posterior;
        self.iterations = optimum.iterations;
    }

    pub(crate) fn theta(&self) -> Theta {
        Theta { free: self.free.clone(), bends: self.bends.clone() }
    }

    /// Base rate of the trend, `k`.
    pub fn rate(&self) -> f64 {
        self.free[1]
    }

    /// Offset of the trend, `m`.
    pub fn offset(&self) -> f64 {
        self.free[0]
    }

    /// Change of rate at each changepoint, `delta`; many are exactly zero.
    pub fn rate_changes(&self) -> &[f64] {
        &self.bends
    }

    /// Effects of the features, `beta`: multiplicative components first, otherwise in the order of
    /// [`Self::component_names`].
    pub fn effects(&self) -> &[f64] {
        &self.free[2..]
    }

    /// Standard deviation of the noise in scaled units, `sigma_obs`; 1 where the likelihood has none.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// The divisor of the values.
    pub fn y_scale(&self) -> f64 {
        self.scale.divisor
    }

    /// The changepoints of the trend.
    pub fn changepoints(&self) -> Vec<Timestamp> {
        self.design.clock.changepoint_times()
    }

    /// Names of the components beside the trend.
    pub fn component_names(&self) -> impl Iterator<Item = &str> {
        self.design.terms.iter().map(|t| t.name.as_str())
    }

    /// Seasonalities that were asked for and that the history could not support.
    pub fn dropped_seasonalities(&self) -> &[String] {
        &self.dropped
    }

    /// Log posterior at the optimum, without its constants: for the Gaussian the value that Stan prints for Prophet.
    /// Infinite for a constant series, which the Gaussian fits without noise.
    pub fn log_posterior(&self) -> f64 {
        self.log_posterior
    }

    /// Quadratic models that the fit solved.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Rows that the model was fitted to.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The usual distance of the rows of the history.
    pub fn step(&self) -> TimeStep {
        self.step
    }

    /// The times of the next `periods` rows, `step` microseconds apart (at least 1); by default as far apart as
    /// most rows of the history were, in tables by month, quarter or year by the [calendar](TimeStep).
    ///
    /// ```
    /// use funnelpulse_core::parse_timestamp;
    /// use funnelpulse_seasonal::{Covariates, Seasonal, SeasonalConfig};
    ///
    /// let time: Vec<_> = (0..36).map(|i| parse_timestamp(&format!("{}-{:02}-01", 2021 + i / 12, 1 + i % 12))).collect();
    /// let time = time.into_iter().collect::<Result<Vec<_>, _>>()?;
    /// let sales: Vec<f64> = (0..36).map(|i| f64::from(100 + 2 * i + 30 * i32::from(i % 12 == 11))).collect();
    /// let model = Seasonal::new(SeasonalConfig::default())?.fit_series(&time, &sales, &Covariates::new())?;
    /// let future = model.make_future(12, None);
    /// assert_eq!(future[11].to_string(), "2024-12-01T00:00:00Z");
    /// let forecast = model.predict(&future, &Covariates::new())?;
    /// assert!((forecast.yhat[11] - 224.0).abs() < 10.0 && (forecast.yhat[10] - 192.0).abs() < 10.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn make_future(&self, periods: usize, step: Option<i64>) -> Vec<Timestamp> {
        let step = step.map_or(self.step, |micros| TimeStep::Fixed(micros.max(1)));
        (1..=periods as i64).map(|i| step.after(self.last, i)).collect()
    }
}
