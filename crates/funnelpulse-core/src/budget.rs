//! Budgets of false alarms.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A bound on false alarms: a number per series and time, or per time in all. An alarm is a run of
/// flagged rows of any length.
///
/// In text it is a phrase, with `hour`, `day`, `week`, `month` or `year` as the time:
///
/// ```
/// use funnelpulse_core::AlarmBudget;
///
/// let budget: AlarmBudget = "1 per series per week".parse()?;
/// assert_eq!(budget.per_series_hour(40), Some(1.0 / 168.0));
/// let budget: AlarmBudget = "3 per day".parse()?;
/// assert_eq!(budget.per_series_hour(6), Some(0.5 / 24.0));
/// assert_eq!("off".parse::<AlarmBudget>()?.per_series_hour(6), None);
/// let error = "often".parse::<AlarmBudget>().unwrap_err();
/// assert!(error.to_string().contains("`1 per series per week`"));
/// # Ok::<(), funnelpulse_core::ParseBudgetError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlarmBudget(Option<Bound>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound {
    alarms: f64,
    each_series: bool,
    period: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    fn hours(self) -> f64 {
        match self {
            Self::Hour => 1.0,
            Self::Day => 24.0,
            Self::Week => 168.0,
            Self::Month => 730.5,
            Self::Year => 8766.0,
        }
    }
}

/// A text that is no budget.
///
/// ```
/// use funnelpulse_core::{AlarmBudget, ParseBudgetError};
///
/// let error: ParseBudgetError = "0 per day".parse::<AlarmBudget>().unwrap_err();
/// assert!(error.to_string().starts_with("`0 per day` is no alarm budget"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no alarm budget, expected for example `1 per series per week`, `3 per day` or `off`")]
pub struct ParseBudgetError {
    text: String,
}

impl AlarmBudget {
    /// No budget: a fixed threshold decides.
    pub const OFF: Self = Self(None);

    /// One alarm per series and month.
    pub const MONTHLY: Self = Self(Some(Bound { alarms: 1.0, each_series: true, period: Period::Month }));

    /// Alarms per series and hour when `series` are watched; `None` when there is no budget.
    ///
    /// ```
    /// use funnelpulse_core::AlarmBudget;
    ///
    /// let shared: AlarmBudget = "24 per day".parse()?;
    /// assert_eq!(shared.per_series_hour(8), Some(0.125));
    /// let each: AlarmBudget = "24 per series per day".parse()?;
    /// assert_eq!(each.per_series_hour(10), Some(1.0));
    /// # Ok::<(), funnelpulse_core::ParseBudgetError>(())
    /// ```
    pub fn per_series_hour(&self, series: usize) -> Option<f64> {
        let bound = self.0?;
        let share = if bound.each_series { 1.0 } else { 1.0 / series.max(1) as f64 };
        Some(bound.alarms * share / bound.period.hours())
    }
}

impl Default for AlarmBudget {
    fn default() -> Self {
        Self::MONTHLY
    }
}

impl FromStr for AlarmBudget {
    type Err = ParseBudgetError;

    fn from_str(text: &str) -> Result<Self, ParseBudgetError> {
        let fail = || ParseBudgetError { text: text.to_owned() };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (number, each_series, period) = match words.as_slice() {
            ["off"] => return Ok(Self::OFF),
            [number, "per", "series", "per", period] => (number, true, period),
            [number, "per", period] => (number, false, period),
            _ => return Err(fail()),
        };
        let alarms: f64 = number.parse().map_err(|_| fail())?;
        let period = Period::ALL.into_iter().find(|p| p.name() == *period).ok_or_else(fail)?;
        if alarms > 0.0 && alarms <= 1e6 { Ok(Self(Some(Bound { alarms, each_series, period }))) } else { Err(fail()) }
    }
}

impl fmt::Display for AlarmBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(Bound { alarms, each_series, period }) => {
                let each = if each_series { "per series " } else { "" };
                write!(f, "{alarms} {each}per {}", period.name())
            }
        }
    }
}

impl TryFrom<String> for AlarmBudget {
    type Error = ParseBudgetError;

    fn try_from(text: String) -> Result<Self, ParseBudgetError> {
        text.parse()
    }
}

impl From<AlarmBudget> for String {
    fn from(budget: AlarmBudget) -> Self {
        budget.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["1 per series per week", "0.5 per series per month", "3 per day", "off"] {
            assert_eq!(text.parse::<AlarmBudget>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "0 per day", "-1 per day", "NaN per day", "1 per series per fortnight", "inf per hour", "1 a day"]
        {
            assert!(text.parse::<AlarmBudget>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_budget_is_a_rate_per_series_and_hour() {
        let rate = |text: &str, series| text.parse::<AlarmBudget>().unwrap().per_series_hour(series);
        for (period, hours) in [("hour", 1.0), ("day", 24.0), ("week", 168.0), ("month", 730.5), ("year", 8766.0)] {
            assert_eq!(rate(&format!("3 per series per {period}"), 8), Some(3.0 / hours), "{period}");
            assert_eq!(rate(&format!("4 per {period}"), 8), Some(0.5 / hours), "{period}");
        }
        // No series share it as one does.
        assert_eq!(rate("4 per hour", 0), Some(4.0));
        assert_eq!(rate("off", 8), None);
        assert_eq!(AlarmBudget::default().per_series_hour(8), Some(1.0 / 730.5));
    }
}
