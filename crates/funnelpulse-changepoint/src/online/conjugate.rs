//! What is believed of a segment's level, one belief per run length.

use statrs::function::gamma::ln_gamma;

use crate::{
    ChangepointError,
    vector::{ln_1p_all, ln_all},
};

/// Beliefs about the parameters of a segment, one per hypothesis of when it began, oldest first.
/// Implement this to use [`Bocpd`](super::Bocpd) with another distribution.
pub trait Conjugate {
    /// Adds a hypothesis that knows nothing but the prior.
    fn start(&mut self);
    /// Log of the predictive density of `value` under each hypothesis, into `out`.
    fn log_predictive(&self, value: f64, out: &mut Vec<f64>);
    /// Lets each hypothesis learn `value`.
    fn update(&mut self, value: f64);
    /// Keeps the hypotheses at the positions `keep` (ascending) and drops the others.
    fn retain(&mut self, keep: &[usize]);
    /// Whether the value can be learnt from.
    fn accepts(&self, value: f64) -> bool;
    /// Mean of the next value under the hypothesis at this position.
    fn mean(&self, position: usize) -> f64;
}

/// Normal values of unknown mean and variance: a normal-gamma prior, Student's predictive
/// distribution (Murphy 2007).
#[derive(Clone, Debug, PartialEq)]
pub struct NormalGamma {
    prior: [f64; 4],
    mean: Vec<f64>,
    beta: Vec<f64>,
    log_beta: Vec<f64>,
    /// Rows seen.
    rows: Vec<usize>,
    /// By rows seen: the parts of the log-density that only depend on them.
    constants: Vec<Constant>,
}

/// For a number of rows: the log of the normalisation, `kappa`, `alpha + 1/2`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Constant {
    log: f64,
    kappa: f64,
    power: f64,
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
        let [mean, beta, log_beta] = [const { Vec::new() }; 3];
        Ok(Self { prior, mean, beta, log_beta, rows: Vec::new(), constants: Vec::new() })
    }

    fn extend_constants(&mut self, rows: usize) {
        let [_, kappa, alpha, _] = self.prior;
        while self.constants.len() <= rows {
            let n = self.constants.len() as f64;
            let (kappa, alpha) = (kappa + n, alpha + n / 2.0);
            let log =
                ln_gamma(alpha + 0.5) - ln_gamma(alpha) + 0.5 * (kappa / (kappa + 1.0) / std::f64::consts::TAU).ln();
            self.constants.push(Constant { log, kappa, power: alpha + 0.5 });
        }
    }
}

impl Conjugate for NormalGamma {
    fn start(&mut self) {
        self.extend_constants(1);
        self.mean.push(self.prior[0]);
        self.beta.push(self.prior[3]);
        self.log_beta.push(self.prior[3].ln());
        self.rows.push(0);
    }

    fn log_predictive(&self, value: f64, out: &mut Vec<f64>) {
        // ln p = log - ln(beta) / 2 - power ln(1 + q), q = kappa (value - mean)^2 / (2 beta (kappa + 1)).
        out.clear();
        out.extend(self.mean.iter().zip(&self.beta).zip(&self.rows).map(|((mean, beta), &rows)| {
            let kappa = self.constants[rows].kappa;
            let difference = value - mean;
            kappa * difference * difference / (2.0 * beta * (kappa + 1.0))
        }));
        ln_1p_all(out);
        for ((out, log_beta), &rows) in out.iter_mut().zip(&self.log_beta).zip(&self.rows) {
            let constant = &self.constants[rows];
            *out = constant.log - 0.5 * log_beta - constant.power * *out;
        }
    }

    fn update(&mut self, value: f64) {
        let longest = self.rows.first().copied().unwrap_or(0);
        self.extend_constants(longest + 1);
        for ((mean, beta), rows) in self.mean.iter_mut().zip(&mut self.beta).zip(&mut self.rows) {
            let kappa = self.constants[*rows].kappa;
            let difference = value - *mean;
            *beta += kappa * difference * difference / (2.0 * (kappa + 1.0));
            *mean += difference / (kappa + 1.0);
            *rows += 1;
        }
        self.log_beta.clone_from(&self.beta);
        ln_all(&mut self.log_beta);
    }

    fn retain(&mut self, keep: &[usize]) {
        for (to, &from) in keep.iter().enumerate() {
            (self.mean[to], self.beta[to], self.rows[to]) = (self.mean[from], self.beta[from], self.rows[from]);
            self.log_beta[to] = self.log_beta[from];
        }
        self.mean.truncate(keep.len());
        self.beta.truncate(keep.len());
        self.log_beta.truncate(keep.len());
        self.rows.truncate(keep.len());
    }

    fn accepts(&self, value: f64) -> bool {
        value.abs() <= 1e100
    }

    fn mean(&self, position: usize) -> f64 {
        self.mean[position]
    }
}

/// Poisson counts of unknown rate: a gamma prior, a negative binomial predictive distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct PoissonGamma {
    prior: (f64, f64),
    shape: Vec<f64>,
    rate: Vec<f64>,
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
    fn start(&mut self) {
        self.shape.push(self.prior.0);
        self.rate.push(self.prior.1);
    }

    fn log_predictive(&self, value: f64, out: &mut Vec<f64>) {
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
        for (to, &from) in keep.iter().enumerate() {
            (self.shape[to], self.rate[to]) = (self.shape[from], self.rate[from]);
        }
        self.shape.truncate(keep.len());
        self.rate.truncate(keep.len());
    }

    fn accepts(&self, value: f64) -> bool {
        (0.0..=1e15).contains(&value) && value.fract() == 0.0
    }

    fn mean(&self, position: usize) -> f64 {
        self.shape[position] / self.rate[position]
    }
}
