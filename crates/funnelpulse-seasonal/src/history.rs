//! The rows that a model is fitted to.

use std::ops::Range;

use funnelpulse_core::Timestamp;

use crate::{Covariates, Growth, Likelihood, Scaling, SeasonalConfig, SeasonalError, model::Scale};

/// The usable rows of a history.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) time: Vec<Timestamp>,
    /// Positions of the rows among those given.
    given: Vec<usize>,
    /// As observed.
    pub(crate) y: Vec<f64>,
    pub(crate) weight: Option<Vec<f64>>,
    pub(crate) exposure: Option<Vec<f64>>,
    pub(crate) floor: Option<Vec<f64>>,
    pub(crate) cap: Option<Vec<f64>>,
    /// All covariates, of these rows.
    pub(crate) covariates: Vec<(String, Vec<f64>)>,
}

impl History {
    /// Rows with a value, a positive weight and a usable exposure.
    pub(crate) fn new(
        config: &SeasonalConfig,
        likelihood: Likelihood,
        exposure: Option<&str>,
        time: &[Timestamp],
        values: &[f64],
        covariates: &Covariates<'_>,
    ) -> Result<Self, SeasonalError> {
        let rows = time.len();
        if values.len() != rows {
            return Err(SeasonalError::Length { name: "values".to_owned(), found: values.len(), expected: rows });
        }
        check_times(time)?;
        let weight = config.weights.as_deref().map(|name| covariates.require_weights(name, rows)).transpose()?;
        let exposure = exposure.map(|name| covariates.require(name, rows)).transpose()?;
        let usable = |row: usize| {
            !values[row].is_nan()
                && weight.is_none_or(|w| w[row] > 0.0)
                && exposure.is_none_or(|e| is_possible(likelihood, values[row], e[row]))
        };
        for (row, value) in values.iter().enumerate() {
            check_value(likelihood, row, *value)?;
        }
        let kept: Vec<usize> = (0..rows).filter(|row| usable(*row)).collect();
        if kept.len() < 2 {
            return Err(
                funnelpulse_core::Error::TooFewRows { detector: crate::KIND, rows: kept.len(), needed: 2 }.into()
            );
        }
        let take = |column: &[f64]| kept.iter().map(|row| column[*row]).collect::<Vec<_>>();
        let mut own = Vec::new();
        for (name, column) in covariates.iter() {
            if column.len() != rows {
                return Err(SeasonalError::Length { name: name.to_owned(), found: column.len(), expected: rows });
            }
            own.push((name.to_owned(), take(column)));
        }
        let mut history = Self {
            time: kept.iter().map(|row| time[*row]).collect(),
            y: take(values),
            weight: weight.map(take),
            exposure: exposure.map(take),
            floor: None,
            cap: None,
            covariates: own,
            given: kept,
        };
        let rows = history.time.len();
        let capacity = capacity(config.growth, config.cap, config.floor, &history.view(), rows);
        (history.cap, history.floor) = capacity.map_err(|error| history.as_given(error))?;
        Ok(history)
    }

    /// An error about one of these rows as one about the row that was given.
    pub(crate) fn as_given(&self, error: SeasonalError) -> SeasonalError {
        error.with_row(|row| self.given.get(row).copied().unwrap_or(row))
    }

    /// The rows that stand for a range of those that were given.
    pub(crate) fn rows_of(&self, given: &Range<usize>) -> Range<usize> {
        let at = |row: usize| self.given.partition_point(|own| *own < row);
        at(given.start)..at(given.end)
    }

    /// The covariates of these rows.
    pub(crate) fn view(&self) -> Covariates<'_> {
        self.covariates.iter().fold(Covariates::new(), |all, (name, column)| all.with(name.clone(), column))
    }

    /// Offset and divisor of `y`.
    pub(crate) fn scale(&self, config: &SeasonalConfig) -> Scale {
        let minimum = self.y.iter().copied().fold(f64::INFINITY, f64::min);
        let maximum = self.y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let above = |row: usize| self.y[row] - self.floor.as_ref().map_or(0.0, |f| f[row]);
        let largest = (0..self.y.len()).map(|row| above(row).abs()).fold(0.0, f64::max);
        let (offset, divisor) = match (config.scaling, &self.floor, &self.cap) {
            (Scaling::Absmax, ..) => (0.0, largest),
            (Scaling::Minmax, Some(floor), Some(cap)) => {
                let least = floor.iter().copied().fold(f64::INFINITY, f64::min);
                (0.0, cap.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least)
            }
            // Halves, so that the range of the largest numbers doesn't overflow.
            (Scaling::Minmax, ..) => (minimum, (maximum / 2.0 - minimum / 2.0).min(f64::MAX / 2.0) * 2.0),
        };
        Scale { offset, divisor: if divisor > 0.0 { divisor.min(f64::MAX) } else { 1.0 } }
    }
}

/// Cap and floor, where there are.
pub(crate) type Capacity = (Option<Vec<f64>>, Option<Vec<f64>>);

/// Cap and floor of logistic growth, by covariate or by configuration.
pub(crate) fn capacity(
    growth: Growth,
    cap: Option<f64>,
    floor: Option<f64>,
    covariates: &Covariates<'_>,
    rows: usize,
) -> Result<Capacity, SeasonalError> {
    if growth != Growth::Logistic {
        return Ok((None, None));
    }
    let column = |name: &str, constant: Option<f64>| match (covariates.get(name), constant) {
        (Some(_), _) => covariates.require_finite(name, rows).map(|c| Some(c.to_vec())),
        (None, constant) => Ok(constant.map(|c| vec![c; rows])),
    };
    let floor = column("floor", floor)?;
    let Some(cap) = column("cap", cap)? else {
        return Err(SeasonalError::MissingCovariate { name: "cap".to_owned() });
    };
    let least = |row: usize| floor.as_ref().map_or(0.0, |f| f[row]);
    if let Some(row) = (0..rows).find(|row| cap[*row] <= least(*row)) {
        let name = "cap".to_owned();
        return Err(SeasonalError::Value {
            row,
            name,
            value: cap[row],
            allowed: "above the floor, which is 0 by default",
        });
    }
    Ok((Some(cap), floor))
}

pub(crate) fn check_times(time: &[Timestamp]) -> Result<(), SeasonalError> {
    match time.windows(2).position(|pair| pair[1] <= pair[0]) {
        None => Ok(()),
        Some(row) => Err(SeasonalError::Time { row: row + 1, time: time[row + 1] }),
    }
}

/// Counts are whole and not negative.
pub(crate) fn check_value(likelihood: Likelihood, row: usize, value: f64) -> Result<(), SeasonalError> {
    let count = likelihood != Likelihood::Gaussian;
    let allowed = if count { "a whole number, 0 or more, or NaN" } else { "a finite number, or NaN" };
    let fine = value.is_nan() || value.is_finite() && (!count || value >= 0.0 && value.fract() == 0.0);
    if fine { Ok(()) } else { Err(SeasonalError::Value { row, name: "values".to_owned(), value, allowed }) }
}

/// True if a row has information on a rate: an exposure that is not below the successes.
fn is_possible(likelihood: Likelihood, value: f64, exposure: f64) -> bool {
    let trials = matches!(likelihood, Likelihood::Binomial | Likelihood::BetaBinomial);
    exposure > 0.0 && exposure.is_finite() && (!trials || value <= exposure)
}
