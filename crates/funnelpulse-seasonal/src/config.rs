//! Hyper-parameters, under the names that Prophet gave them.

use funnelpulse_core::CalendarEntry;
use serde::{Deserialize, Serialize};

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

/// The way in which a component enters the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Added to the trend.
    #[default]
    Additive,
    /// A share of the trend.
    Multiplicative,
}

/// The divisor of `y` before fitting, which gives the priors their meaning.
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
    /// Prophet's rule: on when the history holds two periods and is sampled finely enough. In tables by month or
    /// quarter with as many terms as their rows can tell, 5 and 1, where Prophet has 10.
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

/// A holiday or another event of whole days, past and future: days in the time zone of the configuration, UTC by default.
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

/// The standardisation of a regressor: centred and divided by its standard deviation.
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
    /// Its standardisation.
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

/// The combination of the tail probabilities of several metrics.
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

/// The time zone of a configuration that names none.
pub(crate) const UTC: &str = "UTC";

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
    /// Dates at which the trend may bend, at most 1,000, instead of `n_changepoints` of our choice.
    pub changepoints: Option<Vec<String>>,
    /// Number of places at which the trend may bend, 0 to 1,000.
    pub n_changepoints: usize,
    /// Share of the history, from its start, over which they are spread evenly.
    pub changepoint_range: f64,
    /// Scale of the Laplace prior on a bend: larger follows the data more closely. Like all scales of
    /// priors from 1e-6 to 1e6.
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
    /// The way in which seasonalities and regressors enter, unless they name one themselves. Under a log or
    /// a logit link all terms add up on the scale of the link, whatever this says.
    pub seasonality_mode: Mode,
    /// Standard deviation of the prior on seasonal coefficients.
    pub seasonality_prior_scale: f64,
    /// Leaves out a seasonality that the history can't support: one whose period is longer than
    /// the history, or that has more coefficients than half the rows. Prophet fits them all.
    pub drop_unsupported: bool,
    /// Holidays and events of whole days.
    pub holidays: Vec<Holiday>,
    /// Holidays, promotions and other events from an instant to another, as other detectors take them and iCalendar files
    /// hold them. Entries of one name are a component with one effect; a row takes part if its time lies within.
    /// Entries for some series only are refused: a model is of one series.
    pub calendar: Vec<CalendarEntry>,
    /// IANA name of the time zone of the days of `holidays` and the local times of `calendar`; UTC by default.
    pub timezone: String,
    /// The way in which holidays and calendar enter; `seasonality_mode` by default.
    pub holidays_mode: Option<Mode>,
    /// Standard deviation of the prior on their effects.
    pub holidays_prior_scale: f64,
    /// Extra regressors.
    pub regressors: Vec<Regressor>,
    /// Cap of logistic growth, where there is no covariate `cap`.
    pub cap: Option<f64>,
    /// Floor of logistic growth, where there is no covariate `floor`.
    pub floor: Option<f64>,
    /// The divisor of `y` (identity link only).
    pub scaling: Scaling,
    /// Coverage of the interval, above 0 and below 1.
    pub interval_width: f64,
    /// 0: the interval comes from the predictive distribution itself (see the crate's
    /// documentation); more: from this number of simulated draws, as Prophet does (Gaussian only,
    /// for times after the history: within it there is only noise, whose interval is exact).
    pub uncertainty_samples: usize,
    /// Seed of the simulation.
    pub seed: u64,
    /// Distribution of the observations.
    pub likelihood: Likelihood,
    /// Covariate with the exposure, for likelihoods that have one.
    pub exposure: Option<String>,
    /// Covariate with observation weights: under the Gaussian a row of weight 4 has a quarter of the
    /// noise's variance, in the fit as in scores; a count counts as four. Rows of weight 0 are left out.
    pub weights: Option<String>,
    /// Fits again without the rows that the fit itself finds almost impossible (two-sided tail
    /// probability below 5e-4), so that anomalies don't widen the band. It ends when these rows stay
    /// the same, after ten rounds, or before a round that would leave out more than a quarter of the
    /// rows: that many rows are no anomalies. Where the first round would do so, the fit is that of all rows.
    pub robust: bool,
    /// Keeps the sufficient statistics in the model, so that it can be updated (Gaussian only).
    pub online: bool,
    /// Metrics of a frame; empty: every column that has no other role, each by `likelihood`.
    pub metrics: Vec<Metric>,
    /// The combination of the metrics of a frame.
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
            calendar: Vec::new(),
            timezone: UTC.to_owned(),
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
