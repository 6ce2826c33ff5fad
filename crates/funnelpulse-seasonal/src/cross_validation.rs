//! Errors of forecasts at each distance: simulated historical forecasts.

use funnelpulse_core::Timestamp;

use crate::{Covariates, Seasonal, SeasonalError, history::check_times};

/// Cut-offs of a [cross-validation](Seasonal::cross_validation); all lengths in microseconds.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_seasonal::Cutoffs;
///
/// let time: Vec<Timestamp> = (0..100).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
/// let cutoffs = Cutoffs::new(10 * Timestamp::DAY);
/// assert_eq!((cutoffs.period, cutoffs.initial), (5 * Timestamp::DAY, 30 * Timestamp::DAY));
/// let days: Vec<i64> = cutoffs.times(&time)?.iter().map(|t| t.as_micros() / Timestamp::DAY).collect();
/// assert_eq!(days, [34, 39, 44, 49, 54, 59, 64, 69, 74, 79, 84, 89]);
/// # Ok::<(), funnelpulse_seasonal::SeasonalError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// The horizon of forecasts, in microseconds.
    pub horizon: i64,
    /// Distance of cut-offs, in microseconds.
    pub period: i64,
    /// Least length of the history before the first cut-off, in microseconds.
    pub initial: i64,
}

/// Cut-offs at most.
const MOST_CUTOFFS: i64 = 10_000;

impl Cutoffs {
    /// Prophet's defaults for a horizon in microseconds: a cut-off every half horizon, the first after
    /// three horizons.
    pub fn new(horizon: i64) -> Self {
        Self { horizon, period: horizon / 2, initial: horizon.saturating_mul(3) }
    }

    /// The cut-offs in a history, ascending: the last leaves one horizon of data. Those that no
    /// row follows within the horizon are left out. An error where there is none, or where there
    /// would be more than 10,000.
    pub fn times(&self, time: &[Timestamp]) -> Result<Vec<Timestamp>, SeasonalError> {
        for (name, value) in [("horizon", self.horizon), ("period", self.period), ("initial", self.initial)] {
            if value <= 0 {
                let allowed = "above 0 microseconds";
                return Err(SeasonalError::Config { name, value: value.to_string(), allowed });
            }
        }
        let none = |history| SeasonalError::NoCutoff { needed: self.initial.saturating_add(self.horizon), history };
        let (Some(first), Some(last)) = (time.first(), time.last()) else { return Err(none(0)) };
        let earliest = first.offset(self.initial);
        let mut cutoffs = Vec::new();
        let mut cutoff = last.offset(-self.horizon);
        if cutoff.as_micros().saturating_sub(earliest.as_micros()) / self.period >= MOST_CUTOFFS {
            let allowed = "at least 1/10000 of the time that cut-offs cover, in microseconds";
            return Err(SeasonalError::Config { name: "period", value: self.period.to_string(), allowed });
        }
        while cutoff >= earliest {
            let after = time.partition_point(|t| *t <= cutoff);
            if time.get(after).is_some_and(|t| *t <= cutoff.offset(self.horizon)) {
                cutoffs.push(cutoff);
            }
            cutoff = cutoff.offset(-self.period);
        }
        if cutoffs.is_empty() {
            return Err(none(last.as_micros().saturating_sub(first.as_micros())));
        }
        cutoffs.reverse();
        Ok(cutoffs)
    }
}

/// One forecast of a cross-validation with what came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// The model saw rows up to here.
    pub cutoff: Timestamp,
    /// Time of the row.
    pub time: Timestamp,
    /// The observed value.
    pub y: f64,
    /// The expected value.
    pub yhat: f64,
    /// Lower end of the interval.
    pub yhat_lower: f64,
    /// Upper end of the interval.
    pub yhat_upper: f64,
}

/// Errors of the forecasts at one distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HorizonMetrics {
    /// Microseconds from the cut-off to the row; for a summary the largest.
    pub horizon: i64,
    /// Forecasts.
    pub rows: usize,
    /// Mean squared error.
    pub mse: f64,
    /// Its root.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Mean absolute error relative to the observation; NaN where one of them is 0.
    pub mape: f64,
    /// Median of the same.
    pub mdape: f64,
    /// Mean absolute error relative to the mean of observation and forecast.
    pub smape: f64,
    /// Share of observations inside the interval.
    pub coverage: f64,
}

/// All forecasts of a [cross-validation](Seasonal::cross_validation).
#[derive(Clone, Debug, PartialEq)]
pub struct CrossValidation {
    /// By cut-off, then by time.
    pub forecasts: Vec<HeldOut>,
}

impl CrossValidation {
    /// Errors by distance from the cut-off, nearest first.
    pub fn by_horizon(&self) -> Vec<HorizonMetrics> {
        let distance = |f: &HeldOut| f.time.as_micros().saturating_sub(f.cutoff.as_micros());
        let mut sorted: Vec<&HeldOut> = self.forecasts.iter().collect();
        sorted.sort_by_key(|f| distance(f));
        sorted.chunk_by(|a, b| distance(a) == distance(b)).map(|own| metrics(own, distance(own[0]))).collect()
    }

    /// Errors of all forecasts; `None` where there are none.
    pub fn summary(&self) -> Option<HorizonMetrics> {
        let distance = |f: &HeldOut| f.time.as_micros().saturating_sub(f.cutoff.as_micros());
        let largest = self.forecasts.iter().map(distance).max()?;
        Some(metrics(&self.forecasts.iter().collect::<Vec<_>>(), largest))
    }
}

fn metrics(rows: &[&HeldOut], horizon: i64) -> HorizonMetrics {
    let n = rows.len() as f64;
    let mean = |f: &dyn Fn(&HeldOut) -> f64| rows.iter().map(|row| f(row)).sum::<f64>() / n;
    let error = |f: &HeldOut| (f.y - f.yhat).abs();
    let relative = |f: &HeldOut| if f.y == 0.0 { f64::NAN } else { error(f) / f.y.abs() };
    let symmetric = |f: &HeldOut| if error(f) == 0.0 { 0.0 } else { 2.0 * error(f) / (f.y.abs() + f.yhat.abs()) };
    let mut sorted: Vec<f64> = rows.iter().map(|row| relative(row)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    let mse = mean(&|f| error(f).powi(2));
    HorizonMetrics {
        horizon,
        rows: rows.len(),
        mse,
        rmse: mse.sqrt(),
        mae: mean(&error),
        mape: mean(&relative),
        mdape: if sorted.iter().any(|r| r.is_nan()) { f64::NAN } else { middle },
        smape: mean(&symmetric),
        coverage: mean(&|f| f64::from(u8::from((f.yhat_lower..=f.yhat_upper).contains(&f.y)))),
    }
}

impl Seasonal {
    /// Forecasts the rows after each cut-off from the rows up to it, each fit starting from the
    /// one before. Rows without a value are left out.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_seasonal::{Covariates, Cutoffs, Seasonal, SeasonalConfig};
    ///
    /// let time: Vec<Timestamp> = (0..100).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
    /// let y: Vec<f64> = (0..100).map(|d| f64::from(10 * (d % 7) + d * 13 % 5)).collect();
    /// let seasonal = Seasonal::new(SeasonalConfig::default())?;
    /// let cutoffs = Cutoffs { period: 7 * Timestamp::DAY, ..Cutoffs::new(7 * Timestamp::DAY) };
    /// let validation = seasonal.cross_validation(&time, &y, &Covariates::new(), cutoffs)?;
    /// let metrics = validation.by_horizon();
    /// assert_eq!((metrics.len(), metrics[0].horizon), (7, Timestamp::DAY));
    /// assert!(metrics[6].mae < 3.0);
    /// # Ok::<(), funnelpulse_seasonal::SeasonalError>(())
    /// ```
    pub fn cross_validation(
        &self,
        time: &[Timestamp],
        values: &[f64],
        covariates: &Covariates<'_>,
        cutoffs: Cutoffs,
    ) -> Result<CrossValidation, SeasonalError> {
        check_times(time)?;
        if values.len() != time.len() {
            return Err(SeasonalError::Length { name: "values".to_owned(), found: values.len(), expected: time.len() });
        }
        let mut forecasts = Vec::new();
        let mut earlier = None;
        for cutoff in cutoffs.times(time)? {
            let seen = time.partition_point(|t| *t <= cutoff);
            let end = time.partition_point(|t| *t <= cutoff.offset(cutoffs.horizon));
            let part = |range: std::ops::Range<usize>| {
                covariates.iter().fold(Covariates::new(), |all, (name, column)| {
                    // A column that is too short is reported by the fit.
                    all.with(name, column.get(range.clone()).unwrap_or(&[]))
                })
            };
            let (history, future) = (part(0..seen), part(seen..end));
            let model = match &earlier {
                None => self.fit_series(&time[..seen], &values[..seen], &history)?,
                Some(earlier) => self.fit_warm(earlier, &time[..seen], &values[..seen], &history)?,
            };
            let forecast = model.predict(&time[seen..end], &future).map_err(|e| e.with_row(|row| seen + row))?;
            let known = (seen..end).filter(|row| !values[*row].is_nan());
            forecasts.extend(known.map(|row| HeldOut {
                cutoff,
                time: time[row],
                y: values[row],
                yhat: forecast.yhat[row - seen],
                yhat_lower: forecast.yhat_lower[row - seen],
                yhat_upper: forecast.yhat_upper[row - seen],
            }));
            earlier = Some(model);
        }
        Ok(CrossValidation { forecasts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutoffs_are_some_but_not_without_end() {
        let time: Vec<Timestamp> = (0..100).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
        let says = |cutoffs: Cutoffs, time: &[Timestamp], text: &str| {
            assert_eq!(cutoffs.times(time).unwrap_err().to_string(), text);
        };
        let day = Cutoffs::new(Timestamp::DAY);
        let text = "period = 1 is out of range (at least 1/10000 of the time that cut-offs cover, in microseconds)";
        says(Cutoffs { period: 1, ..day }, &time, text);
        let text = "no cut-off: initial and horizon span 8640000000000 microseconds, the history 8553600000000";
        says(Cutoffs::new(25 * Timestamp::DAY), &time, text);
        let text = "no cut-off: initial and horizon span 345600000000 microseconds, the history 0";
        says(day, &[], text);
        assert_eq!(Cutoffs { period: Timestamp::DAY / 100, ..day }.times(&time).unwrap().len(), 9501);
    }

    #[test]
    fn metrics_of_two_forecasts() {
        let held_out = |hours: i64, y: f64, yhat: f64| HeldOut {
            cutoff: Timestamp::from_seconds(0),
            time: Timestamp::from_seconds(3600 * hours),
            y,
            yhat,
            yhat_lower: yhat - 1.5,
            yhat_upper: yhat + 1.5,
        };
        let all = CrossValidation { forecasts: vec![held_out(2, 10.0, 12.0), held_out(1, 4.0, 3.0)] };
        let [near, far] = all.by_horizon()[..] else { panic!("two distances") };
        assert_eq!((near.horizon, near.mae, near.coverage), (Timestamp::HOUR, 1.0, 1.0));
        assert_eq!((far.mse, far.mape, far.coverage), (4.0, 0.2, 0.0));
        let both = all.summary().unwrap();
        assert_eq!((both.rows, both.mse, both.mae, both.coverage), (2, 2.5, 1.5, 0.5));
        assert!(
            (both.mdape - 0.225).abs() < 1e-12 && (both.smape - f64::midpoint(4.0 / 22.0, 2.0 / 7.0)).abs() < 1e-12
        );
        assert!((both.rmse - 2.5f64.sqrt()).abs() < 1e-12);
        assert!(CrossValidation { forecasts: Vec::new() }.summary().is_none());
    }
}
