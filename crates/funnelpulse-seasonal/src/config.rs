//! Hyper-parameters, under the names that Prophet gave them.

use funnelpulse_core::parse_timestamp;
use serde::{Deserialize, Serialize};

use crate::SeasonalError;

/// Form of the trend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// Piecewise linear.
    #[default]
    Linear,
    /// Saturates at a cap (and a floor); the argument of the logistic function is piecewise linear.
    Logistic,
    /// Constant.
    Flat,
}

/// How a component enters the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Added to the trend.
    #[default]
    Additive,
    /// A share of the trend.
    Multiplicative,
}

/// What `y` is divided by before fitting, which gives the priors their meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// The largest absolute value.
    #[default]
    Absmax,
    /// The range, after subtracting the minimum.
    Minmax,
}

/// Number of Fourier terms of a built-in seasonality: `"auto"`, `true`, `false` or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "OrderText", into = "OrderText")]
#[schemars(with = "OrderText")]
pub enum FourierOrder {
    /// Prophet's rule: on when the history holds two periods and is sampled finely enough.
    #[default]
    Auto,
    /// Left out.
    Off,
    /// On, with Prophet's number of terms (daily 4, weekly 3, yearly 10).
    On,
    /// On, with this number of terms; 0 is off.
    Terms(u32),
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "expected \"auto\", true, false or a number of Fourier terms")]
enum OrderText {
    Switch(bool),
    Terms(u32),
    Auto(AutoText),
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
enum AutoText {
    #[serde(rename = "auto")]
    Auto,
}

impl From<OrderText> for FourierOrder {
    fn from(text: OrderText) -> Self {
        match text {
            OrderText::Switch(true) => Self::On,
            OrderText::Switch(false) => Self::Off,
            OrderText::Terms(n) => Self::Terms(n),
            OrderText::Auto(AutoText::Auto) => Self::Auto,
        }
    }
}

impl From<FourierOrder> for OrderText {
    fn from(order: FourierOrder) -> Self {
        match order {
            FourierOrder::Auto => Self::Auto(AutoText::Auto),
            FourierOrder::Off => Self::Switch(false),
            FourierOrder::On => Self::Switch(true),
            FourierOrder::Terms(n) => Self::Terms(n),
        }
    }
}

/// A seasonality of one's own. One called `daily`, `weekly` or `yearly` replaces the built-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomSeasonality {
    /// Name of the component.
    pub name: String,
    /// Length of the period in days.
    pub period: f64,
    /// Number of Fourier terms, 1 to 200.
    pub fourier_order: u32,
    /// Standard deviation of the coefficients' prior; `seasonality_prior_scale` by default.
    #[serde(default)]
    pub prior_scale: Option<f64>,
    /// `seasonality_mode` by default.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// A covariate: the seasonality applies to the rows where it is neither 0 nor missing.
    #[serde(default)]
    pub condition_name: Option<String>,
}

/// A holiday or another event of whole days (UTC), past and future.
///
/// Every day of the window has an effect of its own, shared by all dates of the event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Holiday {
    /// Name of the component.
    #[serde(alias = "name")]
    pub holiday: String,
    /// The dates, such as `2019-11-29`.
    #[serde(alias = "dates")]
    pub ds: Vec<String>,
    /// First day of the window relative to the date, -366 to 0.
    pub lower_window: i32,
    /// Last day of the window relative to the date, 0 to 366.
    pub upper_window: i32,
    /// Standard deviation of the effects' prior; `holidays_prior_scale` by default.
    pub prior_scale: Option<f64>,
}

/// Whether a regressor is centred and divided by its standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standardize {
    /// Unless it takes the values 0 and 1 only.
    #[default]
    Auto,
    /// Always (a constant never is).
    Always,
    /// Never.
    Never,
}

/// An extra regressor: a covariate that is known for past and future.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Regressor {
    /// Name of the covariate.
    pub name: String,
    /// Standard deviation of the coefficient's prior; `holidays_prior_scale` by default.
    pub prior_scale: Option<f64>,
    /// Whether it is standardised.
    pub standardize: Standardize,
    /// `seasonality_mode` by default.
    pub mode: Option<Mode>,
}

/// Distribution of an observation around its mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Normal with one standard deviation, identity link: Prophet's.
    #[default]
    Gaussian,
    /// Counts with variance = mean; log link.
    Poisson,
    /// Counts with variance = mean + alpha mean^2; log link.
    NegativeBinomial,
    /// Counts out of an exposure (purchases out of views); logit link.
    Binomial,
    /// The same with a rate that varies between rows more than the mean explains; logit link.
    BetaBinomial,
}

/// One metric of a frame and how it is modelled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metric {
    /// The column.
    pub column: String,
    /// Its likelihood; that of the configuration by default.
    pub likelihood: Option<Likelihood>,
    /// Column with the exposure: trials of a binomial, observed amount of a Poisson rate.
    pub exposure: Option<String>,
}

/// How the tail probabilities of several metrics become one score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The most surprising metric.
    #[default]
    Max,
    /// Fisher (1932): -2 sum ln p is chi-square with 2 k degrees of freedom when metrics are independent.
    Fisher,
    /// Cauchy combination (Liu & Xie 2020): valid in the tail under any dependence.
    Cauchy,
}

/// Hyper-parameters of a [`Seasonal`](crate::Seasonal) model. The defaults are Prophet's.
///
/// ```
/// use funnelpulse_seasonal::{FourierOrder, Mode, Seasonal, SeasonalConfig};
///
/// let config = SeasonalConfig { weekly_seasonality: FourierOrder::On, ..Default::default() };
/// assert!(Seasonal::new(config).is_ok());
/// let wrong = SeasonalConfig { interval_width: 95.0, ..Default::default() };
/// let error = Seasonal::new(wrong).unwrap_err();
/// assert_eq!(error.to_string(), "interval_width = 95 is out of range (above 0, below 1)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SeasonalConfig {
    /// Form of the trend.
    pub growth: Growth,
    /// Dates at which the trend may bend, instead of `n_changepoints` of our choice.
    pub changepoints: Option<Vec<String>>,
    /// Number of places at which the trend may bend, 0 to 1,000.
    pub n_changepoints: usize,
    /// Share of the history, from its start, over which they are spread evenly.
    pub changepoint_range: f64,
    /// Scale of the Laplace prior on a bend: larger follows the data more closely.
    pub changepoint_prior_scale: f64,
    /// Seasonality of 365.25 days.
    #[serde(alias = "yearly")]
    pub yearly_seasonality: FourierOrder,
    /// Seasonality of 7 days.
    #[serde(alias = "weekly")]
    pub weekly_seasonality: FourierOrder,
    /// Seasonality of a day.
    #[serde(alias = "daily")]
    pub daily_seasonality: FourierOrder,
    /// Seasonalities of other periods.
    pub seasonalities: Vec<CustomSeasonality>,
    /// How seasonalities and regressors enter, where they don't say so themselves. Under a log or
    /// a logit link all terms add up on the scale of the link, whatever this says.
    pub seasonality_mode: Mode,
    /// Standard deviation of the prior on seasonal coefficients.
    pub seasonality_prior_scale: f64,
    /// Leaves out a seasonality that the history can't support: one whose period is longer than
    /// the history, or that has more coefficients than half the rows. Prophet fits them all.
    pub drop_unsupported: bool,
    /// Holidays and events.
    pub holidays: Vec<Holiday>,
    /// How they enter; `seasonality_mode` by default.
    pub holidays_mode: Option<Mode>,
    /// Standard deviation of the prior on their effects.
    pub holidays_prior_scale: f64,
    /// Extra regressors.
    pub regressors: Vec<Regressor>,
    /// Cap of logistic growth, where there is no covariate `cap`.
    pub cap: Option<f64>,
    /// Floor of logistic growth, where there is no covariate `floor`.
    pub floor: Option<f64>,
    /// What `y` is divided by (identity link only).
    pub scaling: Scaling,
    /// Coverage of the interval, above 0 and below 1.
    pub interval_width: f64,
    /// 0: the interval comes from the predictive distribution itself (see the crate's
    /// documentation); more: from this number of simulated draws, as Prophet does.
    pub uncertainty_samples: usize,
    /// Seed of the simulation.
    pub seed: u64,
    /// Distribution of the observations.
    pub likelihood: Likelihood,
    /// Covariate with the exposure, for likelihoods that have one.
    pub exposure: Option<String>,
    /// Covariate with observation weights: a row of weight 4 counts like four rows of weight 1.
    pub weights: Option<String>,
    /// Fits again without the rows that the fit itself finds almost impossible (two-sided tail
    /// probability below 5e-4), until they stay the same, so that anomalies don't widen the band.
    pub robust: bool,
    /// Keeps the sufficient statistics in the model, so that it can be updated (Gaussian only).
    pub online: bool,
    /// Metrics of a frame; empty: every column that has no other role, each by `likelihood`.
    pub metrics: Vec<Metric>,
    /// How the metrics of a frame become one score.
    pub combine: Combine,
}

impl Default for SeasonalConfig {
    fn default() -> Self {
        Self {
            growth: Growth::Linear,
            changepoints: None,
            n_changepoints: 25,
            changepoint_range: 0.8,
            changepoint_prior_scale: 0.05,
            yearly_seasonality: FourierOrder::Auto,
            weekly_seasonality: FourierOrder::Auto,
            daily_seasonality: FourierOrder::Auto,
            seasonalities: Vec::new(),
            seasonality_mode: Mode::Additive,
            seasonality_prior_scale: 10.0,
            drop_unsupported: true,
            holidays: Vec::new(),
            holidays_mode: None,
            holidays_prior_scale: 10.0,
            regressors: Vec::new(),
            cap: None,
            floor: None,
            scaling: Scaling::Absmax,
            interval_width: 0.8,
            uncertainty_samples: 0,
            seed: 42,
            likelihood: Likelihood::Gaussian,
            exposure: None,
            weights: None,
            robust: false,
            online: false,
            metrics: Vec::new(),
            combine: Combine::Max,
        }
    }
}

/// Names that a component may not take, because they mean something else in a forecast.
const RESERVED: [&str; 13] = [
    "trend",
    "additive_terms",
    "multiplicative_terms",
    "holidays",
    "yhat",
    "yhat_lower",
    "yhat_upper",
    "ds",
    "y",
    "cap",
    "floor",
    "trend_lower",
    "trend_upper",
];

impl SeasonalConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), SeasonalError> {
        let range = |name: &'static str, value: f64, ok: bool, allowed: &'static str| {
            if ok { Ok(()) } else { Err(SeasonalError::Config { name, value: value.to_string(), allowed }) }
        };
        let positive = |name, value: f64| range(name, value, value > 0.0 && value.is_finite(), "above 0");
        range("n_changepoints", self.n_changepoints as f64, self.n_changepoints <= 1_000, "0 to 1000")?;
        range("changepoint_range", self.changepoint_range, (0.0..=1.0).contains(&self.changepoint_range), "0 to 1")?;
        positive("changepoint_prior_scale", self.changepoint_prior_scale)?;
        positive("seasonality_prior_scale", self.seasonality_prior_scale)?;
        positive("holidays_prior_scale", self.holidays_prior_scale)?;
        let width = self.interval_width;
        range("interval_width", width, width > 0.0 && width < 1.0, "above 0, below 1")?;
        range(
            "uncertainty_samples",
            self.uncertainty_samples as f64,
            self.uncertainty_samples <= 100_000,
            "0 to 100000",
        )?;
        for order in [self.yearly_seasonality, self.weekly_seasonality, self.daily_seasonality] {
            if let FourierOrder::Terms(n) = order {
                range("fourier order", f64::from(n), n <= 200, "0 to 200")?;
            }
        }
        for season in &self.seasonalities {
            range("period", season.period, season.period.is_finite() && season.period >= 1e-6, "1e-6 days or more")?;
            let order = season.fourier_order;
            range("fourier_order", f64::from(order), (1..=200).contains(&order), "1 to 200")?;
            positive("prior_scale", season.prior_scale.unwrap_or(1.0))?;
        }
        for holiday in &self.holidays {
            let (lower, upper) = (holiday.lower_window, holiday.upper_window);
            range("lower_window", f64::from(lower), (-366..=0).contains(&lower), "-366 to 0")?;
            range("upper_window", f64::from(upper), (0..=366).contains(&upper), "0 to 366")?;
            positive("prior_scale", holiday.prior_scale.unwrap_or(1.0))?;
            holiday.ds.iter().try_for_each(|date| parse_timestamp(date).map(drop)).map_err(funnelpulse_core::Error::from)?;
        }
        for regressor in &self.regressors {
            positive("prior_scale", regressor.prior_scale.unwrap_or(1.0))?;
        }
        for date in self.changepoints.iter().flatten() {
            parse_timestamp(date).map_err(funnelpulse_core::Error::from)?;
        }
        for (name, value) in [("cap", self.cap), ("floor", self.floor)] {
            range(name, value.unwrap_or(0.0), value.is_none_or(f64::is_finite), "finite")?;
        }
        self.validate_names()?;
        self.validate_likelihoods()
    }

    fn validate_names(&self) -> Result<(), SeasonalError> {
        let names = (self.seasonalities.iter().map(|s| &s.name))
            .chain(self.holidays.iter().map(|h| &h.holiday))
            .chain(self.regressors.iter().map(|r| &r.name));
        let mut seen = std::collections::BTreeSet::new();
        for name in names {
            let built_in = ["daily", "weekly", "yearly"].contains(&name.as_str())
                && !self.seasonalities.iter().any(|s| s.name == *name);
            if name.is_empty() || built_in || RESERVED.contains(&name.as_str()) {
                return Err(SeasonalError::Name { name: name.clone(), reason: "reserved" });
            }
            if !seen.insert(name) {
                return Err(SeasonalError::Name { name: name.clone(), reason: "used twice" });
            }
        }
        Ok(())
    }

    fn validate_likelihoods(&self) -> Result<(), SeasonalError> {
        let default = Metric { exposure: self.exposure.clone(), ..Default::default() };
        let metrics = if self.metrics.is_empty() { std::slice::from_ref(&default) } else { &self.metrics[..] };
        let mut seen = std::collections::BTreeSet::new();
        for metric in metrics {
            if !seen.insert(&metric.column) {
                return Err(SeasonalError::Name { name: metric.column.clone(), reason: "a metric twice" });
            }
            let likelihood = metric.likelihood.unwrap_or(self.likelihood);
            let trials = matches!(likelihood, Likelihood::Binomial | Likelihood::BetaBinomial);
            let refuse = |what| Err(SeasonalError::Combination { what });
            if trials && metric.exposure.is_none() && self.exposure.is_none() {
                return refuse("a binomial or beta-binomial likelihood without an exposure column");
            }
            if likelihood == Likelihood::Gaussian && metric.exposure.is_some() {
                return refuse("an exposure with the Gaussian likelihood (use weights)");
            }
            if likelihood != Likelihood::Gaussian && self.growth == Growth::Logistic {
                return refuse("logistic growth with a likelihood other than the Gaussian");
            }
            if likelihood != Likelihood::Gaussian && self.online {
                return refuse("online updates with a likelihood other than the Gaussian");
            }
        }
        if self.online && (self.growth == Growth::Logistic || self.robust) {
            return Err(SeasonalError::Combination { what: "online updates with logistic growth or robust fitting" });
        }
        Ok(())
    }
}
