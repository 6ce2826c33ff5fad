//! The components beside the trend: seasonalities, holidays, regressors.

use funnelpulse_core::{Timestamp, Zone, parse_timestamp};
use serde::{Deserialize, Serialize};

use super::{
    fourier::Fourier,
    windows::{Windows, of_calendar},
};
use crate::{
    Covariates, FourierOrder, Likelihood, Mode, SeasonalConfig, SeasonalError, Standardize, TimeStep, config::UTC,
};

/// Scales of priors that can be computed with: one over their square goes into the normal equations.
pub(crate) const PRIOR_SCALES: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// One component: some neighbouring columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Term {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) prior_scale: f64,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A seasonality, if need be on the rows of a condition only.
    Season { fourier: Fourier, condition: Option<String> },
    /// Days since the epoch, ascending, one list per day of the window.
    Holiday(Vec<Vec<i64>>),
    /// Mean and standard deviation to standardise by.
    Regressor { mean: f64, deviation: f64 },
    /// Intervals of time, a list per day of the window of a holiday, one for an event of the calendar.
    Windows(Vec<Windows>),
}

impl Term {
    pub(crate) fn columns(&self) -> usize {
        match &self.kind {
            Kind::Season { fourier, .. } => fourier.columns(),
            Kind::Holiday(window) => window.len(),
            Kind::Windows(windows) => windows.len(),
            Kind::Regressor { .. } => 1,
        }
    }

    /// The covariate that it needs.
    pub(crate) fn covariate(&self) -> Option<&str> {
        match &self.kind {
            Kind::Season { condition, .. } => condition.as_deref(),
            Kind::Holiday(_) | Kind::Windows(_) => None,
            Kind::Regressor { .. } => Some(&self.name),
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        let kind = match &self.kind {
            Kind::Season { fourier, .. } => fourier.is_valid(),
            Kind::Holiday(window) => window.iter().all(|days| days.is_sorted()),
            Kind::Windows(windows) => windows.iter().all(Windows::is_valid),
            Kind::Regressor { mean, deviation } => mean.is_finite() && *deviation > 0.0 && deviation.is_finite(),
        };
        kind && PRIOR_SCALES.contains(&self.prior_scale)
    }

    pub(super) fn fill(
        &self,
        time: &[Timestamp],
        covariates: &Covariates<'_>,
        matrix: &mut [f64],
        width: usize,
        offset: usize,
    ) -> Result<(), SeasonalError> {
        match &self.kind {
            Kind::Season { fourier, condition } => {
                fourier.fill(time, matrix, width, offset);
                if let Some(condition) = condition {
                    let applies = covariates.require(condition, time.len())?;
                    for (row, applies) in matrix.chunks_exact_mut(width).zip(applies) {
                        if *applies == 0.0 || applies.is_nan() {
                            row[offset..offset + self.columns()].fill(0.0);
                        }
                    }
                }
            }
            Kind::Holiday(window) => {
                for (row, time) in matrix.chunks_exact_mut(width).zip(time) {
                    let day = time.as_micros().div_euclid(Timestamp::DAY);
                    for (value, days) in row[offset..].iter_mut().zip(window) {
                        *value = f64::from(u8::from(days.binary_search(&day).is_ok()));
                    }
                }
            }
            Kind::Windows(windows) => {
                for (row, time) in matrix.chunks_exact_mut(width).zip(time) {
                    for (value, windows) in row[offset..].iter_mut().zip(windows) {
                        *value = f64::from(u8::from(windows.contain(*time)));
                    }
                }
            }
            Kind::Regressor { mean, deviation } => {
                let values = covariates.require_finite(&self.name, time.len())?;
                for (row, value) in matrix.chunks_exact_mut(width).zip(values) {
                    row[offset] = (value - mean) / deviation;
                }
            }
        }
        Ok(())
    }
}

/// The terms that the configuration asks for, and the names of those that the history does not
/// support. `covariates` go with `time`.
pub(crate) fn terms_of(
    config: &SeasonalConfig,
    likelihood: Likelihood,
    time: &[Timestamp],
    covariates: &Covariates<'_>,
) -> Result<(Vec<Term>, Vec<String>), SeasonalError> {
    // Under a link other than the identity the terms add up on the scale of the link.
    let mode = |mode: Option<Mode>| match likelihood {
        Likelihood::Gaussian => mode.unwrap_or(config.seasonality_mode),
        _ => Mode::Additive,
    };
    let (mut terms, mut dropped) = seasons(config, time, mode);
    let zone = Zone::new(&config.timezone)?;
    for holiday in &config.holidays {
        let mut days = Vec::with_capacity(holiday.ds.len());
        for date in &holiday.ds {
            let time = parse_timestamp(date).map_err(funnelpulse_core::Error::from)?;
            days.push(time.as_micros().div_euclid(Timestamp::DAY));
        }
        days.sort_unstable();
        days.dedup();
        let window = holiday.lower_window..=holiday.upper_window;
        let shifted = |offset: i32| days.iter().map(move |day| day + i64::from(offset));
        let kind = if ["", UTC].contains(&&*config.timezone) {
            Kind::Holiday(window.map(|offset| shifted(offset).collect()).collect())
        } else {
            Kind::Windows(window.map(|offset| Windows::of_days(shifted(offset), &zone)).collect())
        };
        terms.push(Term {
            name: holiday.holiday.clone(),
            mode: mode(config.holidays_mode),
            prior_scale: holiday.prior_scale.unwrap_or(config.holidays_prior_scale),
            kind,
        });
    }
    for (name, windows) in of_calendar(&config.calendar, &zone)? {
        terms.push(Term {
            name: name.to_owned(),
            mode: mode(config.holidays_mode),
            prior_scale: config.holidays_prior_scale,
            kind: Kind::Windows(vec![windows]),
        });
    }
    for regressor in &config.regressors {
        let values = covariates.require_finite(&regressor.name, time.len())?;
        terms.push(Term {
            name: regressor.name.clone(),
            mode: mode(regressor.mode),
            prior_scale: regressor.prior_scale.unwrap_or(config.holidays_prior_scale),
            kind: standardized(values, regressor.standardize),
        });
    }
    dropped.sort_unstable();
    Ok((terms, dropped))
}

/// Mean and sample standard deviation, or 0 and 1 where the regressor stays as it is.
fn standardized(values: &[f64], standardize: Standardize) -> Kind {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let binary = values.iter().all(|v| *v == 0.0 || *v == 1.0);
    let keep = match standardize {
        Standardize::Auto => binary,
        Standardize::Always => false,
        Standardize::Never => true,
    };
    let usable = deviation > 0.0 && deviation.is_finite() && mean.is_finite();
    if keep || !usable { Kind::Regressor { mean: 0.0, deviation: 1.0 } } else { Kind::Regressor { mean, deviation } }
}

fn seasons(
    config: &SeasonalConfig,
    time: &[Timestamp],
    mode: impl Fn(Option<Mode>) -> Mode,
) -> (Vec<Term>, Vec<String>) {
    const DAY: f64 = Timestamp::DAY as f64;
    let gap = |a: Timestamp, b: Timestamp| b.as_micros().saturating_sub(a.as_micros()) as f64 / DAY;
    let span = gap(time[0], time[time.len() - 1]);
    let step = time.windows(2).map(|pair| gap(pair[0], pair[1])).fold(f64::INFINITY, f64::min);
    let mut terms = Vec::new();
    let mut dropped = Vec::new();
    let mut add = |name: &str, period: f64, order: u32, prior_scale, own_mode, condition: Option<String>| {
        let unsupported = span + step < period || step >= period || 4 * order as usize > time.len();
        if config.drop_unsupported && unsupported {
            dropped.push(name.to_owned());
        } else {
            let kind = Kind::Season { fourier: Fourier::new(period, order), condition };
            terms.push(Term { name: name.to_owned(), mode: mode(own_mode), prior_scale, kind });
        }
    };
    for season in &config.seasonalities {
        let scale = season.prior_scale.unwrap_or(config.seasonality_prior_scale);
        add(&season.name, season.period, season.fourier_order, scale, season.mode, season.condition_name.clone());
    }
    // So many sines and cosines and a level are as many numbers as there are rows in a year.
    let most = match TimeStep::usual(time) {
        TimeStep::Months { months, .. } => Some((12 / months).saturating_sub(1) / 2),
        TimeStep::Fixed(_) => None,
    };
    // Name, setting, period, least span, largest step, terms.
    let built_in = [
        ("yearly", config.yearly_seasonality, 365.25, 730.0, f64::INFINITY, 10),
        ("weekly", config.weekly_seasonality, 7.0, 14.0, 7.0, 3),
        ("daily", config.daily_seasonality, 1.0, 2.0, 1.0, 4),
    ];
    for (name, setting, period, least_span, largest_step, default) in built_in {
        let replaced = config.seasonalities.iter().any(|s| s.name == name);
        let order = match setting {
            _ if replaced => 0,
            FourierOrder::Auto if span < least_span || step >= largest_step => 0,
            FourierOrder::Off => 0,
            FourierOrder::Auto => most.map_or(default, |most| default.min(most)),
            FourierOrder::On => default,
            FourierOrder::Terms(order) => order,
        };
        if order > 0 {
            add(name, period, order, config.seasonality_prior_scale, None, None);
        }
    }
    (terms, dropped)
}
