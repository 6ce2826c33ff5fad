//! Models as the JSON that Prophet reads.

use std::collections::BTreeSet;

use funnelpulse_core::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    Growth, Mode, SeasonalError, SeasonalModel,
    design::{Kind, Term},
    likelihood::Family,
};

/// Prophet's own number of simulated draws, where a model has intervals without simulation.
const PROPHET_SAMPLES: usize = 1_000;
/// The version whose format this is.
const PROPHET_VERSION: &str = "1.5.0";
/// Dates that Prophet infers the frequency of `make_future_dataframe` from.
const DATES: i64 = 5;

impl SeasonalModel {
    /// The model as JSON for `prophet.serialize.model_from_json`: Prophet's forecasts are ours. Gaussian models with linear
    /// or flat growth.
    ///
    /// The model has no history, so `history` and `history_dates` hold a few rows that give start, end and step: predict on
    /// times, `m.predict(m.make_future_dataframe(24, freq="h", include_history=False))`. A holiday with a window of several
    /// days becomes a holiday for each day, `NAME day 0` and so on. Times are UTC.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_seasonal::{Covariates, Seasonal, SeasonalConfig};
    ///
    /// let time: Vec<Timestamp> = (0..400).map(|h| Timestamp::from_seconds(3600 * h)).collect();
    /// let y: Vec<f64> = (0..400).map(|h| 50.0 + 5.0 * (h as f64 * 0.2618).sin()).collect();
    /// let model = Seasonal::new(SeasonalConfig::default())?.fit_series(&time, &y, &Covariates::new())?;
    /// let json = model.to_prophet_json()?;
    /// // In Python: prophet.serialize.model_from_json(json).predict(...)
    /// # assert!(json.contains("changepoints_t"));
    /// # Ok::<(), funnelpulse_seasonal::SeasonalError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SeasonalError::Combination`] for other likelihoods, logistic growth (a model does not keep its caps) and minmax
    /// scaling with multiplicative terms (Prophet multiplies the minimum, too), a calendar and holidays in a time zone,
    /// [`SeasonalError::Name`] for names that Prophet can't tell apart.
    pub fn to_prophet_json(&self) -> Result<String, SeasonalError> {
        if !matches!(self.family, Family::Gaussian) {
            return Err(SeasonalError::Combination { what: "Prophet's JSON of another likelihood than gaussian" });
        }
        if self.settings.growth == Growth::Logistic {
            return Err(SeasonalError::Combination { what: "Prophet's JSON of logistic growth" });
        }
        if self.scale.offset != 0.0 && self.design.multiplicative() > 0 {
            return Err(SeasonalError::Combination {
                what: "Prophet's JSON of minmax scaling with multiplicative terms",
            });
        }
        let parts = Parts::of(self)?;
        let mut all = Map::new();
        for part in [self.prophet_settings(), self.prophet_times(), parts.json(self)] {
            all.extend(part.as_object().cloned().unwrap_or_default());
        }
        Ok(Value::Object(all).to_string())
    }

    /// Hyper-parameters and scales. Those that only a fit needs are Prophet's defaults.
    fn prophet_settings(&self) -> Value {
        let samples = match self.settings.uncertainty_samples {
            0 => PROPHET_SAMPLES,
            samples => samples,
        };
        json!({
            "growth": self.settings.growth,
            "n_changepoints": self.bends.len(),
            "specified_changepoints": true,
            "changepoint_range": 0.8,
            "changepoint_prior_scale": self.settings.changepoint_prior_scale,
            "yearly_seasonality": false,
            "weekly_seasonality": false,
            "daily_seasonality": false,
            "seasonality_mode": Mode::Additive,
            "seasonality_prior_scale": 10.0,
            "holidays_prior_scale": 10.0,
            "mcmc_samples": 0,
            "interval_width": self.settings.interval_width,
            "uncertainty_samples": samples,
            "scaling": if self.scale.offset == 0.0 { "absmax" } else { "minmax" },
            "y_min": self.scale.offset,
            "y_scale": self.scale.divisor,
            "logistic_floor": false,
            "country_holidays": null,
            "fit_kwargs": {},
            "__prophet_version": PROPHET_VERSION,
        })
    }

    /// The clock of the trend and what stands for the history.
    fn prophet_times(&self) -> Value {
        let (start, span) = (self.design.clock.start(), self.design.clock.span());
        let seconds = Timestamp::SECOND as f64;
        let second_row = start.offset((span / (self.rows.max(2) - 1) as f64).round() as i64);
        let dates: Vec<Timestamp> = (0..DATES).rev().map(|i| self.step.after(self.last, -i)).collect();
        let row = |time: Timestamp| json!({ "ds": iso(time), "y": null, "t": self.design.clock.scale(time) });
        let changepoints = self.design.clock.changepoints();
        json!({
            "start": start.as_micros() as f64 / seconds,
            "t_scale": span / seconds,
            "changepoints": series(Some("ds"), self.changepoints().into_iter().map(iso)),
            "changepoints_t": if changepoints.is_empty() { &[0.0] } else { changepoints },
            "history_dates": series(Some("ds"), dates.into_iter().map(iso)),
            "history": table(
                &[("ds", "datetime"), ("y", "number"), ("t", "number")],
                vec![row(start), row(second_row)],
            ),
        })
    }
}

/// The components in Prophet's order of columns.
struct Parts<'a> {
    seasons: Vec<(&'a Term, &'a [f64])>,
    /// Name, days since the epoch, mode and effect of every day of a window, in the order of Prophet's columns.
    holidays: Vec<(String, &'a [i64], Mode, f64)>,
    regressors: Vec<(&'a Term, f64)>,
}

impl<'a> Parts<'a> {
    fn of(model: &'a SeasonalModel) -> Result<Self, SeasonalError> {
        let mut parts = Self { seasons: Vec::new(), holidays: Vec::new(), regressors: Vec::new() };
        for (term, columns) in model.design.blocks() {
            let effects = &model.effects()[columns];
            match &term.kind {
                Kind::Season { .. } => parts.seasons.push((term, effects)),
                Kind::Regressor { .. } => parts.regressors.push((term, effects[0])),
                Kind::Windows(_) => {
                    let what =
                        "Prophet's JSON of a calendar or of holidays in a time zone (its holidays are days in UTC)";
                    return Err(SeasonalError::Combination { what });
                }
                Kind::Holiday(window) => {
                    for (i, (days, effect)) in window.iter().zip(effects).enumerate() {
                        let name = if window.len() == 1 { term.name.clone() } else { format!("{} day {i}", term.name) };
                        parts.holidays.push((name, days, term.mode, *effect));
                    }
                }
            }
        }
        // Prophet sorts the columns of holidays by name and day.
        parts.holidays.sort_by_key(|(name, ..)| column_of(name));
        let names = parts.names();
        let mut seen = BTreeSet::new();
        if let Some(name) = names.into_iter().find(|name| name.contains("_delim_") || !seen.insert(*name)) {
            return Err(SeasonalError::Name { name: name.to_owned(), reason: "Prophet can't tell it from another" });
        }
        Ok(parts)
    }

    fn names(&self) -> Vec<&str> {
        let of_terms = |terms: &[&'a Term]| terms.iter().map(|term| term.name.as_str()).collect::<Vec<_>>();
        let seasons: Vec<&Term> = self.seasons.iter().map(|(term, _)| *term).collect();
        let regressors: Vec<&Term> = self.regressors.iter().map(|(term, _)| *term).collect();
        let holidays = self.holidays.iter().map(|(name, ..)| name.as_str());
        of_terms(&seasons).into_iter().chain(holidays).chain(of_terms(&regressors)).collect()
    }

    fn json(&self, model: &SeasonalModel) -> Value {
        let season = |term: &Term| match &term.kind {
            Kind::Season { fourier, condition } => json!({
                "period": fourier.period_days(),
                "fourier_order": fourier.columns() / 2,
                "prior_scale": term.prior_scale,
                "mode": term.mode,
                "condition_name": condition,
            }),
            _ => Value::Null,
        };
        let regressor = |term: &Term| match term.kind {
            Kind::Regressor { mean, deviation } => json!({
                "prior_scale": term.prior_scale, "standardize": false, "mu": mean, "std": deviation, "mode": term.mode,
            }),
            _ => Value::Null,
        };
        let bends = if model.bends.is_empty() { vec![0.0] } else { model.bends.clone() };
        let seasonal = self.seasons.iter().flat_map(|(_, effects)| effects.iter().copied());
        let of_holidays = self.holidays.iter().map(|(.., effect)| *effect);
        let mut beta: Vec<f64> =
            seasonal.chain(of_holidays).chain(self.regressors.iter().map(|(_, effect)| *effect)).collect();
        if beta.is_empty() {
            // Prophet's placeholder.
            beta.push(0.0);
        }
        let names = self.holidays.iter().map(|(name, ..)| name.clone());
        json!({
            "seasonalities": ordered(self.seasons.iter().map(|(term, _)| (term.name.clone(), season(term)))),
            "extra_regressors": ordered(self.regressors.iter().map(|(term, _)| (term.name.clone(), regressor(term)))),
            "holidays": self.holiday_table(),
            "train_holiday_names": if self.holidays.is_empty() { Value::Null } else { series(None, names) },
            "holidays_mode": self.holidays_mode(),
            "train_component_cols": null,
            "component_modes": self.modes(),
            "params": {
                "k": [[model.rate()]],
                "m": [[model.offset()]],
                "delta": [bends],
                "sigma_obs": [[model.sigma]],
                "beta": [beta],
            },
        })
    }

    fn holidays_mode(&self) -> Mode {
        self.holidays.first().map_or(Mode::Additive, |(_, _, mode, _)| *mode)
    }

    /// Names of the components of each mode, with those of groups, as Prophet lists them.
    fn modes(&self) -> Value {
        let terms = self.seasons.iter().map(|(term, _)| *term).chain(self.regressors.iter().map(|(term, _)| *term));
        let terms: Vec<(&str, Mode)> = terms.map(|term| (term.name.as_str(), term.mode)).collect();
        let of = |mode: Mode, name: &str| {
            let holidays = self.holidays.iter().filter(|(_, _, own, _)| *own == mode).map(|(name, ..)| name.clone());
            let group = (mode == self.holidays_mode()).then(|| "holidays".to_owned());
            let own = terms.iter().filter(|(_, own)| *own == mode).map(|(name, _)| (*name).to_owned());
            let groups = [format!("{name}_terms"), format!("extra_regressors_{name}")];
            own.chain(holidays).chain(groups).chain(group).collect::<Vec<String>>()
        };
        json!({
            "additive": of(Mode::Additive, "additive"),
            "multiplicative": of(Mode::Multiplicative, "multiplicative"),
        })
    }

    fn holiday_table(&self) -> Value {
        if self.holidays.is_empty() {
            return Value::Null;
        }
        let row = |name: &str, day: i64| {
            let date = iso(Timestamp::from_micros(day * Timestamp::DAY));
            json!({ "ds": date, "holiday": name, "lower_window": 0, "upper_window": 0 })
        };
        let rows = self.holidays.iter().flat_map(|(name, days, ..)| days.iter().map(|day| row(name, *day)));
        let fields =
            [("ds", "datetime"), ("holiday", "string"), ("lower_window", "integer"), ("upper_window", "integer")];
        table(&fields, rows.collect())
    }
}

/// The name of a holiday's column in Prophet.
fn column_of(holiday: &str) -> String {
    format!("{holiday}_delim_+0")
}

/// Without the zone, as pandas writes times of none.
fn iso(time: Timestamp) -> String {
    time.to_string().trim_end_matches('Z').to_owned()
}

/// A series as pandas writes it with `orient="split"`: JSON within JSON.
fn series(name: Option<&str>, values: impl Iterator<Item = String>) -> Value {
    let data: Vec<String> = values.collect();
    json!({ "name": name, "index": (0..data.len()).collect::<Vec<_>>(), "data": data }).to_string().into()
}

/// A table as pandas writes it with `orient="table"`.
fn table(fields: &[(&str, &str)], data: Vec<Value>) -> Value {
    let fields: Vec<Value> = fields.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
    json!({ "schema": { "fields": fields, "pandas_version": "1.4.0" }, "data": data }).to_string().into()
}

/// A dictionary with the order of its keys, which JSON does not have.
fn ordered(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let entries: Vec<(String, Value)> = entries.collect();
    let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
    json!([keys, entries.iter().cloned().collect::<Map<String, Value>>()])
}
