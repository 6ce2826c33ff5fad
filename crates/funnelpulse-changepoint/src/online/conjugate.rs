//! The posterior of a segment's level, one per run length.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

use super::focus::MOST_ROWS;
use crate::{ChangepointError, vector::ln_1p_all};

/// Numbers of rows for which the constants of [`NormalGamma`] are kept: 32 kB.
const TABLE: usize = 4_095;

/// Beliefs about the parameters of a segment, one per hypothesis of when it began, oldest first.
/// Implement this to use [`Bocpd`](super::Bocpd) with another distribution.
pub trait Conjugate {
    /// Number of hypotheses.
    fn hypotheses(&self) -> usize;
    /// Adds a hypothesis that knows nothing but the prior.
    fn start(&mut self);
    /// Log of the predictive density of `value` under each hypothesis, into `out`.
    fn log_predictive(&mut self, value: f64, out: &mut Vec<f64>);
    /// Lets each hypothesis learn `value`, that of the last call of
    /// [`log_predictive`](Self::log_predictive).
    fn update(&mut self, value: f64);
    /// Keeps the hypotheses at the positions `keep` (ascending) and drops the others.
    fn retain(&mut self, keep: &[usize]);
    /// True if the value can be learnt from.
    fn accepts(&self, value: f64) -> bool;
    /// Mean of the next value under the hypothesis at this position.
    fn mean(&self, position: usize) -> f64;
}

/// Normal values of unknown mean and variance: a normal-gamma prior, Student's predictive
/// distribution (Murphy 2007).
///
/// Deserialising checks lengths and ranges.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "UncheckedNormal")]
pub struct NormalGamma {
    prior: [f64; 4],
    /// By number of rows seen up to [`TABLE`], the part of the log-density that depends on nothing
    /// else.
    #[serde(skip)]
    constants: Vec<f64>,
    /// Per hypothesis: rows seen and their part of the density, mean, weight of the mean, shape of
    /// the precision plus a half, rate of the precision and its logarithm.
    rows: Vec<usize>,
    #[serde(skip)]
    constant: Vec<f64>,
    mean: Vec<f64>,
    kappa: Vec<f64>,
    power: Vec<f64>,
    beta: Vec<f64>,
    log_beta: Vec<f64>,
    /// By how much each rate's logarithm grows with the value last asked for.
    growth: Vec<f64>,
}

/// The same beliefs, however much of the table is filled.
impl PartialEq for NormalGamma {
    fn eq(&self, other: &Self) -> bool {
        self.prior == other.prior
            && self.rows == other.rows
            && self.mean == other.mean
            && self.kappa == other.kappa
            && self.power == other.power
            && self.beta == other.beta
            && self.log_beta == other.log_beta
            && self.growth == other.growth
    }
}

impl NormalGamma {
    /// A prior: `mean` with the weight of `kappa` observations; precision gamma-distributed with
    /// shape `alpha` and rate `beta`. The last three are above 0.
    pub fn new(mean: f64, kappa: f64, alpha: f64, beta: f64) -> Result<Self, ChangepointError> {
        if !mean.is_finite() {
            return Err(ChangepointError::config("mean", mean, "finite"));
        }
        for (name, value) in [("kappa", kappa), ("alpha", alpha), ("beta", beta)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(ChangepointError::config(name, value, "above 0, finite"));
            }
        }
        let prior = [mean, kappa, alpha, beta];
        let [constants, constant, mean, kappa, power, beta, log_beta, growth] = [const { Vec::new() }; 8];
        Ok(Self { prior, constants, rows: Vec::new(), constant, mean, kappa, power, beta, log_beta, growth })
    }

    /// Fills the table as far as `rows` needs it.
    fn prepare(&mut self, rows: usize) {
        let [_, kappa, alpha, _] = self.prior;
        while self.constants.len() <= rows.min(TABLE) {
            let n = self.constants.len() as f64;
            let (kappa, alpha) = (kappa + n, alpha + n / 2.0);
            let log = ln_gamma(alpha + 0.5) - ln_gamma(alpha);
            self.constants.push(log + 0.5 * (kappa / (kappa + 1.0) / TAU).ln());
        }
    }
}

#[cfg(test)]
impl NormalGamma {
    /// Bytes of the table.
    pub(super) fn memory(&self) -> usize {
        self.constants.len() * size_of::<f64>()
    }

    pub(super) fn mean_and_rate(&self, position: usize) -> (f64, f64) {
        (self.mean[position], self.beta[position])
    }
}

/// `ln gamma(alpha + 1/2) - ln gamma(alpha) + ln(kappa / (kappa + 1) / 2 pi) / 2` after `rows` rows:
/// from the table, and from Stirling's series above it, where the first term left out is below
/// 1e-19.
fn constant(constants: &[f64], [_, kappa, alpha, _]: [f64; 4], rows: usize) -> f64 {
    if let Some(constant) = constants.get(rows) {
        return *constant;
    }
    let (kappa, alpha) = (kappa + rows as f64, alpha + rows as f64 / 2.0);
    let series = -1.0 / (8.0 * alpha) + 1.0 / (192.0 * alpha.powi(3));
    0.5 * (alpha * (kappa / (kappa + 1.0)) / TAU).ln() + series
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedNormal {
    prior: [f64; 4],
    rows: Vec<usize>,
    mean: Vec<f64>,
    kappa: Vec<f64>,
    power: Vec<f64>,
    beta: Vec<f64>,
    log_beta: Vec<f64>,
    growth: Vec<f64>,
}

impl TryFrom<UncheckedNormal> for NormalGamma {
    type Error = String;

    fn try_from(u: UncheckedNormal) -> Result<Self, String> {
        let [mean, kappa, alpha, beta] = u.prior;
        let fresh = Self::new(mean, kappa, alpha, beta).map_err(|e| e.to_string())?;
        let n = u.rows.len();
        if [&u.mean, &u.kappa, &u.power, &u.beta, &u.log_beta].iter().any(|column| column.len() != n) {
            return Err(format!("every belief has all parameters: {n} entries each"));
        }
        let positive = [&u.kappa, &u.power, &u.beta].into_iter().flatten().all(|v| *v > 0.0 && v.is_finite());
        let finite = u.mean.iter().chain(&u.log_beta).all(|v| v.is_finite());
        let growth = u.growth.iter().all(|v| *v >= 0.0 && v.is_finite());
        if !(positive && finite && growth && u.rows.iter().all(|rows| *rows <= MOST_ROWS)) {
            return Err("weights, shapes and rates are above 0, all are finite, rows at most 2^53".to_owned());
        }
        let UncheckedNormal { prior, rows, mean, kappa, power, beta, log_beta, growth } = u;
        let mut model = Self { prior, rows, mean, kappa, power, beta, log_beta, growth, ..fresh };
        model.prepare(model.rows.iter().copied().max().unwrap_or(0));
        model.constant = model.rows.iter().map(|rows| constant(&model.constants, prior, *rows)).collect();
        Ok(model)
    }
}

impl Conjugate for NormalGamma {
    fn hypotheses(&self) -> usize {
        self.mean.len()
    }

    fn start(&mut self) {
        let [mean, kappa, alpha, beta] = self.prior;
        self.prepare(0);
        self.rows.push(0);
        self.constant.push(self.constants[0]);
        self.mean.push(mean);
        self.kappa.push(kappa);
        self.power.push(alpha + 0.5);
        self.beta.push(beta);
        self.log_beta.push(beta.ln());
    }

    /// `ln p = constant - ln(beta) / 2 - power ln(1 + q)`, with
    /// `q = kappa (value - mean)^2 / (2 beta (kappa + 1))`.
    fn log_predictive(&mut self, value: f64, out: &mut Vec<f64>) {
        let n = self.mean.len();
        out.clear();
        out.resize(n, 0.0);
        self.growth.resize(n, 0.0);
        let (mean, kappa, beta) = (&self.mean[..n], &self.kappa[..n], &self.beta[..n]);
        for i in 0..n {
            let difference = value - mean[i];
            self.growth[i] = kappa[i] * difference * difference / (2.0 * beta[i] * (kappa[i] + 1.0));
        }
        ln_1p_all(&mut self.growth);
        let (constant, log_beta, power) = (&self.constant[..n], &self.log_beta[..n], &self.power[..n]);
        for (i, out) in out.iter_mut().enumerate() {
            *out = constant[i] - 0.5 * log_beta[i] - power[i] * self.growth[i];
        }
    }

    fn update(&mut self, value: f64) {
        let n = self.mean.len();
        self.prepare(self.rows.first().copied().unwrap_or(0) + 1);
        let (mean, kappa, beta) = (&mut self.mean[..n], &mut self.kappa[..n], &mut self.beta[..n]);
        for i in 0..n {
            let difference = value - mean[i];
            let share = difference / (kappa[i] + 1.0);
            beta[i] += 0.5 * kappa[i] * difference * share;
            mean[i] += share;
            kappa[i] += 1.0;
        }
        for ((log_beta, growth), power) in self.log_beta.iter_mut().zip(&self.growth).zip(&mut self.power) {
            *log_beta += growth;
            *power += 0.5;
        }
        for (rows, value) in self.rows.iter_mut().zip(&mut self.constant) {
            *rows += 1;
            *value = constant(&self.constants, self.prior, *rows);
        }
    }

    fn retain(&mut self, keep: &[usize]) {
        let columns =
            [&mut self.constant, &mut self.mean, &mut self.kappa, &mut self.power, &mut self.beta, &mut self.log_beta];
        for column in columns {
            compact(column, keep);
        }
        compact(&mut self.rows, keep);
    }

    fn accepts(&self, value: f64) -> bool {
        value.abs() <= 1e100
    }

    fn mean(&self, position: usize) -> f64 {
        self.mean[position]
    }
}

/// Poisson counts of unknown rate: a gamma prior, a negative binomial predictive distribution.
///
/// Deserialising checks lengths and ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedPoisson")]
pub struct PoissonGamma {
    prior: (f64, f64),
    shape: Vec<f64>,
    rate: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedPoisson {
    prior: (f64, f64),
    shape: Vec<f64>,
    rate: Vec<f64>,
}

impl TryFrom<UncheckedPoisson> for PoissonGamma {
    type Error = String;

    fn try_from(u: UncheckedPoisson) -> Result<Self, String> {
        let fresh = Self::new(u.prior.0, u.prior.1).map_err(|e| e.to_string())?;
        let positive = u.shape.iter().chain(&u.rate).all(|v| *v > 0.0 && v.is_finite());
        if !positive || u.shape.len() != u.rate.len() {
            return Err("every belief has a shape and a rate, above 0 and finite".to_owned());
        }
        Ok(Self { shape: u.shape, rate: u.rate, ..fresh })
    }
}

impl PoissonGamma {
    /// A prior for the rate: gamma with this `shape` and `rate`, both above 0; mean `shape / rate`.
    pub fn new(shape: f64, rate: f64) -> Result<Self, ChangepointError> {
        for (name, value) in [("shape", shape), ("rate", rate)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(ChangepointError::config(name, value, "above 0, finite"));
            }
        }
        Ok(Self { prior: (shape, rate), shape: Vec::new(), rate: Vec::new() })
    }
}

impl Conjugate for PoissonGamma {
    fn hypotheses(&self) -> usize {
        self.shape.len()
    }

    fn start(&mut self) {
        self.shape.push(self.prior.0);
        self.rate.push(self.prior.1);
    }

    fn log_predictive(&mut self, value: f64, out: &mut Vec<f64>) {
        out.clear();
        let factorial = ln_gamma(value + 1.0);
        out.extend(self.shape.iter().zip(&self.rate).map(|(shape, rate)| {
            ln_gamma(shape + value) - ln_gamma(*shape) - factorial + shape * (rate / (rate + 1.0)).ln()
                - value * rate.ln_1p()
        }));
    }

    fn update(&mut self, value: f64) {
        self.shape.iter_mut().for_each(|shape| *shape += value);
        self.rate.iter_mut().for_each(|rate| *rate += 1.0);
    }

    fn retain(&mut self, keep: &[usize]) {
        compact(&mut self.shape, keep);
        compact(&mut self.rate, keep);
    }

    fn accepts(&self, value: f64) -> bool {
        (0.0..=1e15).contains(&value) && value.fract() == 0.0
    }

    fn mean(&self, position: usize) -> f64 {
        self.shape[position] / self.rate[position]
    }
}

/// Keeps the entries at the ascending positions `keep`.
fn compact<T: Copy>(entries: &mut Vec<T>, keep: &[usize]) {
    for (to, &from) in keep.iter().enumerate() {
        entries[to] = entries[from];
    }
    entries.truncate(keep.len());
}
