//! Named columns that go with a series.

use crate::SeasonalError;

/// Columns known for past and future that go with a series: regressors, conditions, exposure,
/// weights, `cap` and `floor`. Each has a value per time of the series.
///
/// ```
/// use funnelpulse_seasonal::Covariates;
///
/// let price = [9.0, 9.5];
/// let covariates = Covariates::new().with("price", &price);
/// assert_eq!(covariates.get("price"), Some(&price[..]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Covariates<'a>(Vec<(String, &'a [f64])>);

impl<'a> Covariates<'a> {
    /// No columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column; of two with the same name the later one counts.
    pub fn with(mut self, name: impl Into<String>, values: &'a [f64]) -> Self {
        self.0.push((name.into(), values));
        self
    }

    /// The column called `name`.
    pub fn get(&self, name: &str) -> Option<&'a [f64]> {
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, values)| *values)
    }

    /// Names and columns.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a [f64])> {
        self.0.iter().map(|(name, values)| (name.as_str(), *values))
    }

    /// The column called `name`, which must have `rows` values.
    pub(crate) fn require(&self, name: &str, rows: usize) -> Result<&'a [f64], SeasonalError> {
        let values = self.get(name).ok_or_else(|| SeasonalError::MissingCovariate { name: name.to_owned() })?;
        if values.len() != rows {
            return Err(SeasonalError::Length { name: name.to_owned(), found: values.len(), expected: rows });
        }
        Ok(values)
    }

    /// The same as [`Self::require_finite`], and no value negative.
    pub(crate) fn require_weights(&self, name: &str, rows: usize) -> Result<&'a [f64], SeasonalError> {
        let values = self.require_finite(name, rows)?;
        match values.iter().position(|v| *v < 0.0) {
            None => Ok(values),
            Some(row) => {
                Err(SeasonalError::Value { row, name: name.to_owned(), value: values[row], allowed: "0 or more" })
            }
        }
    }

    /// The same as [`Self::require`], and every value finite.
    pub(crate) fn require_finite(&self, name: &str, rows: usize) -> Result<&'a [f64], SeasonalError> {
        let values = self.require(name, rows)?;
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(row) => {
                Err(SeasonalError::Value { row, name: name.to_owned(), value: values[row], allowed: "a finite number" })
            }
        }
    }
}
