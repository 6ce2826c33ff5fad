//! What a model expects at given times.

use funnelpulse_core::Timestamp;
use ndarray::Array1;

use crate::{
    Covariates, Growth, Mode, SeasonalError, SeasonalModel,
    fit::TrendWalk,
    history::{capacity, check_times},
    model::Scale,
    uncertainty::{Simulation, Spread},
};

/// One component of a forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Name, as configured.
    pub name: String,
    /// Whether `values` are shares of the trend or have the unit of `y`.
    pub mode: Mode,
    /// Effect per time.
    pub values: Array1<f64>,
}

/// What a model expects: `yhat = trend (1 + multiplicative terms) + additive terms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The times.
    pub time: Vec<Timestamp>,
    /// Expected values.
    pub yhat: Array1<f64>,
    /// Lower end of the interval for an observation.
    pub yhat_lower: Array1<f64>,
    /// Upper end of the interval for an observation.
    pub yhat_upper: Array1<f64>,
    /// The trend alone.
    pub trend: Array1<f64>,
    /// Seasonalities, holidays and regressors.
    pub components: Vec<Component>,
}

impl Forecast {
    /// The values of the component called `name`.
    pub fn component(&self, name: &str) -> Option<&Array1<f64>> {
        self.components.iter().find(|c| c.name == name).map(|c| &c.values)
    }

    /// Sum of the components of a mode.
    pub fn terms(&self, mode: Mode) -> Array1<f64> {
        let own = self.components.iter().filter(|c| c.mode == mode);
        own.fold(Array1::zeros(self.time.len()), |sum, c| sum + &c.values)
    }
}

/// What is expected of one row, in scaled units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    pub(crate) trend: f64,
    /// One plus the multiplicative terms.
    pub(crate) factor: f64,
    pub(crate) additive: f64,
    /// How far beyond the history the row is, as a share of the history.
    pub(crate) ahead: f64,
    /// Derivative of the mean with respect to the trend's line.
    pub(crate) leverage: f64,
    /// Where the scale begins.
    pub(crate) floor: f64,
}

impl Expectation {
    /// The mean.
    pub(crate) fn mean(&self) -> f64 {
        self.trend * self.factor + self.additive
    }
}

impl SeasonalModel {
    /// Forecasts for strictly increasing times, in the history or beyond.
    ///
    /// `covariates` have a value per time, for every covariate that the model was fitted with
    /// (weights excepted).
    pub fn predict(&self, time: &[Timestamp], covariates: &Covariates<'_>) -> Result<Forecast, SeasonalError> {
        check_times(time)?;
        let (rows, contributions) = self.expectations(time, covariates, true)?;
        let Scale { offset, divisor } = self.scale;
        let up = |value: f64, row: &Expectation| value * divisor + offset + row.floor;
        let yhat: Array1<f64> = rows.iter().map(|row| up(row.mean(), row)).collect();
        let (lower, upper) = if self.settings.uncertainty_samples > 0 {
            self.simulated_interval(&rows)
        } else {
            let half = |row: &Expectation| self.spread(row).predictive().half_width(self.settings.interval_width);
            rows.iter().map(|row| (row.mean() - half(row), row.mean() + half(row))).unzip()
        };
        let place = |values: Vec<f64>| values.into_iter().zip(&rows).map(|(v, row)| up(v, row)).collect();
        let named = self.design.terms.iter().zip(contributions).map(|(term, values)| {
            let unit = if term.mode == Mode::Additive { divisor } else { 1.0 };
            Component { name: term.name.clone(), mode: term.mode, values: Array1::from(values) * unit }
        });
        Ok(Forecast {
            time: time.to_vec(),
            yhat,
            yhat_lower: place(lower),
            yhat_upper: place(upper),
            trend: rows.iter().map(|row| up(row.trend, row)).collect(),
            components: named.collect(),
        })
    }

    /// What is expected of each row, and if asked for the contribution of each term.
    pub(crate) fn expectations(
        &self,
        time: &[Timestamp],
        covariates: &Covariates<'_>,
        explain: bool,
    ) -> Result<(Vec<Expectation>, Vec<Vec<f64>>), SeasonalError> {
        let features = self.design.features(time, covariates)?;
        let (cap, floor) =
            capacity(self.settings.growth, self.settings.cap, self.settings.floor, covariates, time.len())?;
        let theta = self.theta();
        let (b, d) = self.free[2..].split_at(self.design.multiplicative());
        let logistic = self.settings.growth == Growth::Logistic;
        let mut walk = TrendWalk::new(&theta, self.design.clock.changepoints(), logistic);
        let mut rows = Vec::with_capacity(time.len());
        let end = self.design.clock.scale(self.last);
        for (i, at) in time.iter().enumerate() {
            let t = self.design.clock.scale(*at);
            let floor = floor.as_ref().map_or(0.0, |f| f[i]);
            walk.enter_at(t);
            let scaled_cap = cap.as_ref().map(|c| (c[i] - floor - self.scale.offset) / self.scale.divisor);
            let (trend, rate) = walk.at(t, scaled_cap);
            let (x, z) = features.row(i).split_at(b.len());
            let sum = |values: &[f64], effects: &[f64]| values.iter().zip(effects).map(|(v, e)| v * e).sum::<f64>();
            let factor = 1.0 + sum(x, b);
            rows.push(Expectation {
                trend,
                factor,
                additive: sum(z, d),
                ahead: if self.settings.growth == Growth::Flat { 0.0 } else { (t - end).max(0.0) },
                leverage: rate * factor,
                floor,
            });
        }
        if !explain {
            return Ok((rows, Vec::new()));
        }
        let effects = &self.free[2..];
        let contribution = |columns: std::ops::Range<usize>| {
            let own = |i: usize| {
                let row = features.row(i)[columns.clone()].iter().zip(&effects[columns.clone()]);
                row.map(|(x, e)| x * e).sum::<f64>()
            };
            (0..time.len()).map(own).collect::<Vec<f64>>()
        };
        let contributions = self.design.blocks().map(|(_, columns)| contribution(columns)).collect();
        Ok((rows, contributions))
    }

    /// Scale of a future bend.
    fn bend_scale(&self) -> f64 {
        let n = self.bends.len().max(1) as f64;
        self.bends.iter().map(|b| b.abs()).sum::<f64>() / n + 1e-8
    }

    /// How an observation of the row spreads around its mean.
    pub(crate) fn spread(&self, row: &Expectation) -> Spread {
        Spread {
            sigma: self.sigma,
            bends: self.bends.len() as f64 * row.ahead,
            unit: self.bend_scale() * row.ahead * row.leverage.abs(),
        }
    }

    fn simulated_interval(&self, rows: &[Expectation]) -> (Vec<f64>, Vec<f64>) {
        let samples = self.settings.uncertainty_samples;
        let mut simulation = Simulation::new(self.settings.seed);
        let ahead: Vec<f64> = rows.iter().map(|row| row.ahead).collect();
        let mut shift = vec![0.0; rows.len()];
        let mut draws = vec![0.0; rows.len() * samples];
        for sample in 0..samples {
            simulation.path(&ahead, self.bends.len() as f64, self.bend_scale(), &mut shift);
            for (i, (row, shift)) in rows.iter().zip(&shift).enumerate() {
                draws[i * samples + sample] = row.mean() + row.leverage * shift + self.sigma * simulation.noise();
            }
        }
        let tail = 0.5 * (1.0 - self.settings.interval_width);
        let ends = |draws: &mut [f64]| {
            draws.sort_unstable_by(f64::total_cmp);
            (quantile(draws, tail), quantile(draws, 1.0 - tail))
        };
        draws.chunks_exact_mut(samples).map(ends).unzip()
    }
}

/// A quantile of ascending values, interpolated.
fn quantile(ascending: &[f64], p: f64) -> f64 {
    let place = p * (ascending.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(ascending.len() - 1);
    ascending[below] + (place - below as f64) * (ascending[above] - ascending[below])
}
