//! Expected values at given times.

use funnelpulse_core::Timestamp;
use ndarray::Array1;

use crate::{
    Covariates, Growth, Mode, SeasonalError, SeasonalModel,
    fit::TrendWalk,
    history::{capacity, check_times},
    likelihood::{Family, Mixture},
    uncertainty::{Future, Predictive, Simulation, Spread},
};

/// One component of a forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Name, as configured.
    pub name: String,
    /// True if `values` are shares of the trend; otherwise they have the unit of `y`.
    pub mode: Mode,
    /// Effect per time.
    pub values: Array1<f64>,
}

/// Expected values: `yhat = trend (1 + multiplicative terms) + additive terms`.
///
/// For counts, `yhat`, its interval and `trend` (what the trend alone would give) are counts for the
/// exposure of each row, and components add up on the scale of the link.
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

/// The expected value of one row, in scaled units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    pub(crate) trend: f64,
    /// One plus the multiplicative terms.
    pub(crate) factor: f64,
    pub(crate) additive: f64,
    /// Distance of the row from the end of the history, as a share of the history.
    pub(crate) ahead: f64,
    /// Derivative of the mean with respect to the trend's line.
    pub(crate) leverage: f64,
    /// The origin of the scale.
    pub(crate) floor: f64,
    /// Trials, or what a rate is multiplied by.
    pub(crate) exposure: f64,
    /// The factor of the standard deviation of the noise, NaN for a row without weight.
    pub(crate) noise: f64,
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
    /// `covariates` have a value per time, for every covariate that the model was fitted with.
    /// Without weights the interval is that of a row of weight one. Memory grows with the rows times
    /// the columns of the components; simulated draws (`uncertainty_samples`) take 8 MB at most,
    /// however many rows and samples there are.
    pub fn predict(&self, time: &[Timestamp], covariates: &Covariates<'_>) -> Result<Forecast, SeasonalError> {
        check_times(time)?;
        let (rows, contributions) = self.expectations(time, covariates, true)?;
        let divisor = self.scale.divisor;
        let gaussian = matches!(self.family, Family::Gaussian);
        let mut read: Vec<Reading> = rows.iter().map(|row| self.read(row)).collect();
        if gaussian && self.settings.uncertainty_samples > 0 {
            self.simulate(&rows, &mut read);
        }
        let named = self.design.terms.iter().zip(contributions).map(|(term, values)| {
            let unit = if term.mode == Mode::Additive { divisor } else { 1.0 };
            Component { name: term.name.clone(), mode: term.mode, values: Array1::from(values) * unit }
        });
        let trend = |row: &Expectation| match self.family.discrete(row.trend, row.exposure) {
            None => self.unscale(row.trend, row),
            Some(distribution) => distribution.mean(),
        };
        Ok(Forecast {
            time: time.to_vec(),
            yhat: read.iter().map(|r| r.expected).collect(),
            yhat_lower: read.iter().map(|r| r.lower).collect(),
            yhat_upper: read.iter().map(|r| r.upper).collect(),
            trend: rows.iter().map(trend).collect(),
            components: named.collect(),
        })
    }

    /// From scaled units to those of `y`.
    pub(crate) fn unscale(&self, value: f64, row: &Expectation) -> f64 {
        value * self.scale.divisor + self.scale.offset + row.floor
    }

    /// Expected value and interval of a row.
    fn read(&self, row: &Expectation) -> Reading {
        match self.mixture(row) {
            None => self.read_normal(row, &self.spread(row).predictive()),
            Some(mixture) => self.read_counts(row, &mixture),
        }
    }

    pub(crate) fn read_normal(&self, row: &Expectation, predictive: &Predictive) -> Reading {
        let half = if row.noise.is_nan() { f64::NAN } else { predictive.half_width(self.settings.interval_width) };
        let [expected, lower, upper] = [0.0, -half, half].map(|d| self.unscale(row.mean() + d, row));
        Reading { expected, lower, upper }
    }

    pub(crate) fn read_counts(&self, row: &Expectation, mixture: &Mixture) -> Reading {
        let unknown = row.exposure.is_nan() || row.exposure <= 0.0;
        if unknown {
            return Reading { expected: f64::NAN, lower: f64::NAN, upper: f64::NAN };
        }
        let tail = 0.5 * (1.0 - self.settings.interval_width);
        let center = self.family.discrete(row.mean(), row.exposure);
        Reading {
            expected: center.map_or(f64::NAN, |d| d.mean()),
            lower: mixture.quantile(tail),
            upper: mixture.quantile(1.0 - tail),
        }
    }

    /// The distribution of a count. Beyond the history it is a mixture over the trend's shift on
    /// the scale of the link, for which a normal with its variance stands in (Gauss-Hermite
    /// quadrature with seven nodes).
    pub(crate) fn mixture(&self, row: &Expectation) -> Option<Mixture> {
        let at = |shift: f64| self.family.discrete(row.mean() + shift, row.exposure);
        let center = at(0.0)?;
        let spread = Spread { sigma: 0.0, ..self.spread(row) }.variance().sqrt();
        if spread < 1e-4 {
            return Some(Mixture(vec![(1.0, center)]));
        }
        let node = |(z, weight): (f64, f64)| at(z * spread).map(|d| (weight, d));
        let sides = HERMITE.iter().flat_map(|&(z, w)| [(z, w), (-z, w)]);
        Some(Mixture([(0.0, 16.0 / 35.0)].into_iter().chain(sides).filter_map(node).collect()))
    }

    /// The expected value of each row, and if asked for the contribution of each term.
    pub(crate) fn expectations(
        &self,
        time: &[Timestamp],
        covariates: &Covariates<'_>,
        explain: bool,
    ) -> Result<(Vec<Expectation>, Vec<Vec<f64>>), SeasonalError> {
        let features = self.design.features(time, covariates)?;
        let (cap, floor) =
            capacity(self.settings.growth, self.settings.cap, self.settings.floor, covariates, time.len())?;
        let exposure = self.settings.exposure.as_deref().map(|name| covariates.require(name, time.len()));
        let exposure = exposure.transpose()?;
        let weights = self.settings.weights.as_deref().filter(|name| covariates.get(name).is_some());
        let weights = weights.map(|name| covariates.require(name, time.len())).transpose()?;
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
                exposure: exposure.map_or(1.0, |e| e[i]),
                noise: weights.map_or(1.0, |w| if w[i] > 0.0 { 1.0 / w[i].sqrt() } else { f64::NAN }),
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

    /// The spread of an observation of the row around its mean.
    pub(crate) fn spread(&self, row: &Expectation) -> Spread {
        Spread {
            sigma: self.sigma * row.noise,
            bends: self.bends.len() as f64 * row.ahead,
            unit: self.bend_scale() * row.ahead * row.leverage.abs(),
        }
    }

    /// Replaces the intervals ahead of the history by quantiles of simulated observations; within
    /// it nothing but noise is drawn, whose quantiles are known.
    fn simulate(&self, rows: &[Expectation], read: &mut [Reading]) {
        let samples = self.settings.uncertainty_samples;
        let first = rows.iter().take_while(|row| row.ahead == 0.0).count();
        let (rows, read) = (&rows[first..], &mut read[first..]);
        let Some(last) = rows.last() else { return };
        let ahead: Vec<f64> = rows.iter().map(|row| row.ahead).collect();
        let future = Future { reach: last.ahead, rate: self.bends.len() as f64, scale: self.bend_scale() };
        let tail = 0.5 * (1.0 - self.settings.interval_width);
        // So many rows at a time that the draws of all samples stay within `MOST_DRAWS`.
        let most = (MOST_DRAWS / samples).clamp(1, rows.len());
        let mut shift = vec![0.0; most];
        let mut draws = vec![0.0; most * samples];
        let mut noise = Simulation::new(self.settings.seed.wrapping_add(1));
        for ((rows, ahead), read) in rows.chunks(most).zip(ahead.chunks(most)).zip(read.chunks_mut(most)) {
            // The same paths for all chunks.
            let mut paths = Simulation::new(self.settings.seed);
            let (shift, draws) = (&mut shift[..rows.len()], &mut draws[..rows.len() * samples]);
            for sample in 0..samples {
                paths.path(future, ahead, shift);
                for (i, (row, shift)) in rows.iter().zip(&*shift).enumerate() {
                    draws[i * samples + sample] =
                        row.mean() + row.leverage * shift + self.sigma * row.noise * noise.noise();
                }
            }
            for ((draws, row), read) in draws.chunks_exact_mut(samples).zip(rows).zip(read) {
                draws.sort_unstable_by(f64::total_cmp);
                read.lower = self.unscale(quantile(draws, tail), row);
                read.upper = self.unscale(quantile(draws, 1.0 - tail), row);
            }
        }
    }
}

/// Simulated values that are held at once: 8 MB.
const MOST_DRAWS: usize = 1_000_000;

/// Expected value and interval in the unit of `y`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) expected: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

/// Positive nodes and weights of Gauss-Hermite quadrature for the standard normal.
const HERMITE: [(f64, f64); 3] = [
    (1.154_405_394_739_968, 0.240_123_178_605_012_7),
    (2.366_759_410_734_541, 0.030_757_123_967_586_5),
    (3.750_439_717_725_742, 0.000_548_268_855_972_217),
];

/// A quantile of ascending values, interpolated.
fn quantile(ascending: &[f64], p: f64) -> f64 {
    let place = p * (ascending.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(ascending.len() - 1);
    ascending[below] + (place - below as f64) * (ascending[above] - ascending[below])
}
