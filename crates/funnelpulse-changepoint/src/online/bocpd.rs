//! The posterior of the time since the last break, after every row.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Conjugate, focus::MOST_ROWS};
use crate::{ChangepointError, vector::softmax};

/// Hyper-parameters of [`Bocpd`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BocpdConfig {
    /// Mean number of rows between breaks, above 1: breaks come at random with one over this
    /// probability per row.
    pub mean_run_length: f64,
    /// Run lengths less likely than this are dropped, 0 (none) to 0.01.
    pub tolerance: f64,
    /// Most run lengths that are followed, 2 or more; the least likely are dropped first. This
    /// bounds the time of a step.
    pub max_run_lengths: usize,
}

impl Default for BocpdConfig {
    fn default() -> Self {
        Self { mean_run_length: 250.0, tolerance: 1e-12, max_run_lengths: 4_000 }
    }
}

impl BocpdConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), ChangepointError> {
        if !(self.mean_run_length > 1.0 && self.mean_run_length.is_finite()) {
            return Err(ChangepointError::config("mean_run_length", self.mean_run_length, "above 1, finite"));
        }
        if !(0.0..=0.01).contains(&self.tolerance) {
            return Err(ChangepointError::config("tolerance", self.tolerance, "0 to 0.01"));
        }
        if self.max_run_lengths < 2 {
            return Err(ChangepointError::config("max_run_lengths", self.max_run_lengths, "2 or more"));
        }
        Ok(())
    }
}

/// Bayesian online changepoint detection (Adams & `MacKay` 2007; Fearnhead & Liu 2007).
///
/// Every run length (rows since the last break) is a hypothesis with its own belief about the
/// level; a row multiplies each by how well it predicted the row. Hypotheses with hardly any
/// probability are dropped, so a step takes bounded time.
///
/// A stream can be stopped and continued: serialise it, and deserialising checks what it finds.
///
/// ```
/// use funnelpulse_changepoint::online::{Bocpd, BocpdConfig, NormalGamma};
///
/// let mut bocpd = Bocpd::new(NormalGamma::new(0.0, 0.1, 1.0, 1.0)?, BocpdConfig::default())?;
/// for i in 0..200 {
///     bocpd.update(((i * 7919) % 13) as f64 / 6.0 - 1.0 + if i < 150 { 0.0 } else { 5.0 })?;
/// }
/// assert_eq!(bocpd.most_likely_run_length(), 50);
/// assert!(bocpd.probability_within(52) > 0.99);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked<M>", bound(deserialize = "M: Conjugate + Deserialize<'de>"))]
pub struct Bocpd<M> {
    model: M,
    config: BocpdConfig,
    /// Run lengths, longest first, and their probabilities.
    run_lengths: Vec<usize>,
    probabilities: Vec<f64>,
    rows: usize,
    #[serde(skip)]
    scratch: Vec<f64>,
    #[serde(skip)]
    keep: Vec<usize>,
}

/// Two are equal that will say the same of the same rows.
impl<M: PartialEq> PartialEq for Bocpd<M> {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
            && self.config == other.config
            && self.model == other.model
            && self.run_lengths == other.run_lengths
            && self.probabilities == other.probabilities
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked<M> {
    model: M,
    config: BocpdConfig,
    run_lengths: Vec<usize>,
    probabilities: Vec<f64>,
    rows: usize,
}

impl<M: Conjugate> TryFrom<Unchecked<M>> for Bocpd<M> {
    type Error = String;

    fn try_from(u: Unchecked<M>) -> Result<Self, String> {
        u.config.validate().map_err(|e| e.to_string())?;
        let n = u.run_lengths.len();
        if n == 0 || n > u.config.max_run_lengths || u.probabilities.len() != n || u.model.hypotheses() != n {
            return Err("every run length has a probability and a belief, 1 to max_run_lengths of them".to_owned());
        }
        let descending = u.run_lengths.windows(2).all(|pair| pair[0] > pair[1]);
        if !(descending && u.run_lengths[0] <= u.rows && u.rows <= MOST_ROWS) {
            return Err("run lengths descend from at most the number of rows, which is at most 2^53".to_owned());
        }
        let total: f64 = u.probabilities.iter().sum();
        if !(u.probabilities.iter().all(|p| (0.0..=1.0).contains(p)) && (total - 1.0).abs() < 1e-6) {
            return Err("probabilities are 0 to 1 and sum to one".to_owned());
        }
        let Unchecked { model, config, run_lengths, probabilities, rows } = u;
        Ok(Self { model, config, run_lengths, probabilities, rows, scratch: Vec::new(), keep: Vec::new() })
    }
}

impl<M: Conjugate> Bocpd<M> {
    /// Checks the hyper-parameters; before the first row, a segment has just begun.
    pub fn new(mut model: M, config: BocpdConfig) -> Result<Self, ChangepointError> {
        config.validate()?;
        model.start();
        let (scratch, keep) = (Vec::new(), Vec::new());
        Ok(Self { model, config, run_lengths: vec![0], probabilities: vec![1.0], rows: 0, scratch, keep })
    }

    /// Takes the next value in. One that the model can't learn from (not finite, a negative
    /// count) is an error and changes nothing; leave missing values out.
    pub fn update(&mut self, value: f64) -> Result<(), ChangepointError> {
        if !self.model.accepts(value) {
            let allowed = "a finite value within the model's range";
            return Err(ChangepointError::Value { row: self.rows, column: 0, value, allowed });
        }
        self.rows += 1;
        let hazard = 1.0 / self.config.mean_run_length;
        self.model.log_predictive(value, &mut self.scratch);
        softmax(&mut self.scratch, &self.probabilities);
        self.model.update(value);
        for (probability, weight) in self.probabilities.iter_mut().zip(&self.scratch) {
            *probability = weight * (1.0 - hazard);
        }
        self.run_lengths.iter_mut().for_each(|run_length| *run_length += 1);
        // Weights sum to one, so a break has the probability of the hazard.
        self.run_lengths.push(0);
        self.probabilities.push(hazard);
        self.model.start();
        self.prune();
        Ok(())
    }

    fn prune(&mut self) {
        let mut least = self.config.tolerance;
        if self.probabilities.len() > self.config.max_run_lengths {
            self.scratch.clone_from(&self.probabilities);
            let at = self.scratch.len() - self.config.max_run_lengths;
            let (_, nth, _) = self.scratch.select_nth_unstable_by(at, f64::total_cmp);
            least = least.max(*nth);
        }
        if self.probabilities.iter().all(|p| *p >= least) {
            return;
        }
        self.keep.clear();
        let probable = self.probabilities.iter().enumerate().filter(|(_, p)| **p >= least);
        self.keep.extend(probable.map(|(i, _)| i));
        // With many equal probabilities the newest stay.
        let surplus = self.keep.len().saturating_sub(self.config.max_run_lengths);
        self.keep.drain(..surplus);
        self.model.retain(&self.keep);
        for (to, &from) in self.keep.iter().enumerate() {
            (self.run_lengths[to], self.probabilities[to]) = (self.run_lengths[from], self.probabilities[from]);
        }
        self.run_lengths.truncate(self.keep.len());
        self.probabilities.truncate(self.keep.len());
        let total: f64 = self.probabilities.iter().sum();
        self.probabilities.iter_mut().for_each(|p| *p /= total);
    }

    /// Run lengths that are still followed, longest first, with their probabilities, which sum to
    /// one. A run length of zero means that the next row begins a segment.
    pub fn posterior(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.run_lengths.iter().copied().zip(self.probabilities.iter().copied())
    }

    /// The run length with the highest probability.
    pub fn most_likely_run_length(&self) -> usize {
        self.posterior().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(run_length, _)| run_length)
    }

    /// Probability that the present segment began within the last `rows` rows.
    pub fn probability_within(&self, rows: usize) -> f64 {
        self.posterior().filter(|(run_length, _)| *run_length <= rows).map(|(_, p)| p).sum()
    }

    /// Mean of the next value.
    pub fn mean(&self) -> f64 {
        self.probabilities.iter().enumerate().map(|(i, p)| p * self.model.mean(i)).sum()
    }

    /// Number of rows seen.
    pub fn rows(&self) -> usize {
        self.rows
    }
}
