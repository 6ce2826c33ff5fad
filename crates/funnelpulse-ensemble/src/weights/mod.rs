//! Weights that are learnt.

mod agreement;
mod feedback;

use std::collections::{BTreeMap, BTreeSet};

pub use feedback::Answer;
use serde::{Deserialize, Serialize};

use crate::{Ensemble, EnsembleError, Vote, error::check};

/// The source of the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// From `weights`.
    #[default]
    Fixed,
    /// `weights` times what a detector shares with the others, learnt from the history without
    /// labels ([`Ensemble::weights_by_agreement`]).
    Auto,
}

impl Ensemble {
    /// The same with other weights, as the two functions below learn them; detectors that are not
    /// named keep theirs.
    ///
    /// ```
    /// use funnelpulse_ensemble::{Ensemble, EnsembleConfig};
    ///
    /// let learnt = [("iforest".to_owned(), 0.4)].into();
    /// let ensemble = Ensemble::new(EnsembleConfig::default())?.with_weights(&learnt)?;
    /// assert_eq!(ensemble.config().weights["iforest"], 0.4);
    /// # Ok::<(), funnelpulse_ensemble::EnsembleError>(())
    /// ```
    pub fn with_weights(mut self, weights: &BTreeMap<String, f64>) -> Result<Self, EnsembleError> {
        for (name, weight) in weights {
            check(format!("weights.{name}"), *weight, 0.0..=f64::MAX, "0 or more, finite")?;
            self.config.weights.insert(name.clone(), *weight);
        }
        Ok(self)
    }

    /// Weights without labels: the configured ones times the information of each detector on the
    /// factor that all of them share. `history` has the votes of each series, all of the same rows.
    ///
    /// The scores are assumed to share one factor, the presence of an anomaly; its loadings `a` are
    /// estimated from the correlations between detectors (principal factor analysis), and a
    /// detector counts as much as it does in the best estimate of the factor, `a / (1 - a^2)`
    /// (Bartlett 1937). One that agrees with no other, or has fewer than 50 rows in common with
    /// each, is left out (weight 0). Detectors that err alike look as if they were right, so the
    /// configured weights should be smaller for families of similar detectors. With fewer than
    /// three detectors the factor is not identified: the weights stay.
    ///
    /// ```
    /// use funnelpulse_ensemble::{Ensemble, EnsembleConfig, Vote};
    /// use ndarray::Array1;
    ///
    /// let rows = |factor: f64, phase: f64| -> Array1<f64> {
    ///     let noise = |i: u32| 0.1 * (phase * f64::from(i)).sin().abs();
    ///     (0..500).map(|i| if i % 50 == 7 { factor } else { 0.0 } + noise(i)).collect()
    /// };
    /// let votes = vec![
    ///     Vote::new("iforest", rows(0.7, 1.3)),
    ///     Vote::new("seasonal", rows(0.7, 2.9)),
    ///     Vote::new("zscore", rows(0.7, 4.1)),
    ///     Vote::new("changepoint", rows(0.0, 5.3)),
    /// ];
    /// let weights = Ensemble::new(EnsembleConfig::default())?.weights_by_agreement(&[votes]);
    /// assert!(weights["changepoint"] < 0.1 * weights["iforest"]);
    /// # Ok::<(), funnelpulse_ensemble::EnsembleError>(())
    /// ```
    pub fn weights_by_agreement(&self, history: &[impl AsRef<[Vote]>]) -> BTreeMap<String, f64> {
        let history: Vec<&[Vote]> = history.iter().map(AsRef::as_ref).collect();
        let names = names(&history);
        let mut weights = self.weights_of(names.iter().copied());
        if let Some(shares) = agreement::factor_weights(&names, &history) {
            for (name, share) in names.iter().zip(shares) {
                if let Some(weight) = weights.get_mut(*name) {
                    *weight *= share;
                }
            }
        }
        weights
    }

    /// Weights that fit the feedback on earlier alarms: those under which combined scores separate
    /// incidents from false alarms best (logistic regression on the combined evidence), shrunk
    /// towards the configured ones with the weight of two answers.
    ///
    /// ```
    /// use funnelpulse_ensemble::{Ensemble, EnsembleConfig, Answer};
    ///
    /// let weights = [("seasonal".into(), 0.30), ("changepoint".into(), 0.15)].into();
    /// let ensemble = Ensemble::new(EnsembleConfig { weights, ..EnsembleConfig::default() })?;
    /// // The changepoints raise false alarms only.
    /// let answer = |i: usize| {
    ///     let is_incident = i % 2 == 0;
    ///     let seasonal = if is_incident { 0.9 } else { 0.1 };
    ///     let scores = vec![("seasonal".into(), seasonal), ("changepoint".into(), 0.9)];
    ///     Answer { scores, is_incident }
    /// };
    /// let weights = ensemble.weights_by_feedback(&(0..20).map(answer).collect::<Vec<_>>());
    /// assert!(weights["changepoint"] < 0.3 * weights["seasonal"]);
    /// # Ok::<(), funnelpulse_ensemble::EnsembleError>(())
    /// ```
    pub fn weights_by_feedback(&self, answers: &[Answer]) -> BTreeMap<String, f64> {
        let names = answers.iter().flat_map(|answer| &answer.scores).map(|(name, _)| name.as_str());
        feedback::fit(self.config.voting, &self.weights_of(names), answers)
    }

    /// The configured weights, or one for each of `names` where there are none.
    fn weights_of<'a>(&self, names: impl Iterator<Item = &'a str>) -> BTreeMap<String, f64> {
        if self.config.weights.is_empty() {
            return names.map(|name| (name.to_owned(), 1.0)).collect();
        }
        self.config.weights.clone()
    }
}

/// The detectors that vote, in order of their names.
fn names<'a>(history: &[&'a [Vote]]) -> Vec<&'a str> {
    let names: BTreeSet<&str> = history.iter().copied().flatten().map(Vote::detector).collect();
    names.into_iter().collect()
}
