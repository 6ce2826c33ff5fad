//! The checks of a configuration.

use funnelpulse_core::{Zone, parse_timestamp};

use crate::{
    FourierOrder, Growth, Likelihood, Metric, SeasonalConfig, SeasonalError,
    design::{MOST_CHANGEPOINTS, PRIOR_SCALES},
};

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
        let prior = |name, value: f64| range(name, value, PRIOR_SCALES.contains(&value), "1e-6 to 1e6");
        let given = self.changepoints.as_ref().map_or(0, Vec::len);
        for (name, count) in [("n_changepoints", self.n_changepoints), ("number of changepoints", given)] {
            range(name, count as f64, count <= MOST_CHANGEPOINTS, "0 to 1000")?;
        }
        range("changepoint_range", self.changepoint_range, (0.0..=1.0).contains(&self.changepoint_range), "0 to 1")?;
        prior("changepoint_prior_scale", self.changepoint_prior_scale)?;
        prior("seasonality_prior_scale", self.seasonality_prior_scale)?;
        prior("holidays_prior_scale", self.holidays_prior_scale)?;
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
            prior("prior_scale", season.prior_scale.unwrap_or(1.0))?;
        }
        for holiday in &self.holidays {
            let (lower, upper) = (holiday.lower_window, holiday.upper_window);
            range("lower_window", f64::from(lower), (-366..=0).contains(&lower), "-366 to 0")?;
            range("upper_window", f64::from(upper), (0..=366).contains(&upper), "0 to 366")?;
            prior("prior_scale", holiday.prior_scale.unwrap_or(1.0))?;
            holiday
                .ds
                .iter()
                .try_for_each(|date| parse_timestamp(date).map(drop))
                .map_err(funnelpulse_core::Error::from)?;
        }
        let zone = Zone::new(&self.timezone)?;
        for entry in &self.calendar {
            entry.instants(&zone)?;
            if !entry.series.is_empty() {
                return Err(entry.refuse("it is for some series only (allowed: entries without series)").into());
            }
        }
        for regressor in &self.regressors {
            prior("prior_scale", regressor.prior_scale.unwrap_or(1.0))?;
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
        let calendar: std::collections::BTreeSet<&String> = self.calendar.iter().map(|entry| &entry.name).collect();
        let names = (self.seasonalities.iter().map(|s| &s.name))
            .chain(calendar)
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
