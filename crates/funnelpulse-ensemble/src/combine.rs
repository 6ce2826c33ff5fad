//! Weights, votes and the verdict.

use std::collections::BTreeMap;

use funnelpulse_core::{Severity, Timestamp, Verdict};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use crate::{
    AdaptiveConfig, AdaptiveThreshold, EnsembleError, SeverityLevels, Weighting, error::check, evidence, peaks,
};

/// The method of combining the detectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Voting {
    /// A detector with more than half of the weight leads: the others add to its evidence by their
    /// shares (logarithmic opinion pool, Genest and Zidek 1986), so that none of them overrules it
    /// unless it is beyond doubt: fifteen decades more than a flag needs.
    /// Without such a detector, as `Tail`.
    #[default]
    Lead,
    /// The tail probabilities behind the scores decide, combined by weight (Cauchy combination, Liu
    /// and Xie 2020): one detector that is certain is enough, and detectors that see the same don't
    /// count twice.
    Tail,
    /// The weighted mean of the scores decides, as in the original system.
    Weighted,
    /// More than half of the detectors that have a score must flag the row.
    Majority,
}

/// Settings of an [`Ensemble`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnsembleConfig {
    /// Weight of each detector by name, 0 or more. Only the proportions count, and only among the
    /// detectors that have a score for the row. Without any weight here all detectors count the
    /// same.
    pub weights: BTreeMap<String, f64>,
    /// The method of combining the detectors.
    pub voting: Voting,
    /// Combined score from which a row is an anomaly, and single score from which a detector
    /// counts as flagging it, 0 to 1.
    pub threshold: f64,
    /// Detectors that must flag a row for it to be an anomaly; never more than there are.
    pub min_agreement: usize,
    /// Rows on either side with which a flagged row is compared, as far as all rows between them are flagged: scores
    /// of windows are high wherever a window reaches over an anomaly. 0 compares with none.
    pub peak_rows: usize,
    /// Evidence that a flagged row needs to stay one, as a share of the highest among them, 0 to 1.
    pub peak_share: f64,
    /// The source of the weights: `fixed`, or `auto` to learn from the history what each detector
    /// is worth.
    pub weighting: Weighting,
    /// The threshold's adaptation to recent scores.
    pub adaptive: AdaptiveConfig,
    /// The lower limits of the severities.
    pub severity: SeverityLevels,
}

/// The defaults, of which single settings can be replaced.
///
/// ```
/// use funnelpulse_ensemble::{Ensemble, EnsembleConfig};
///
/// let weights = [("iforest".to_owned(), 0.3), ("zscore".to_owned(), 0.7)].into();
/// let config = EnsembleConfig { weights, threshold: 0.8, ..EnsembleConfig::default() };
/// assert!(Ensemble::new(config).is_ok());
/// ```
impl Default for EnsembleConfig {
    fn default() -> Self {
        Self {
            weights: BTreeMap::new(),
            voting: Voting::default(),
            threshold: 0.5,
            min_agreement: 1,
            peak_rows: 0,
            peak_share: 0.9,
            weighting: Weighting::default(),
            adaptive: AdaptiveConfig::default(),
            severity: SeverityLevels::default(),
        }
    }
}

/// One detector's calibrated scores, NaN where it has none.
///
/// ```
/// use funnelpulse_ensemble::Vote;
/// use ndarray::array;
///
/// // No score for the second row.
/// let vote = Vote::new("iforest", array![0.2, f64::NAN]);
/// assert_eq!((vote.detector(), vote.scores().len()), ("iforest", 2));
/// ```
#[derive(Clone, Debug)]
pub struct Vote {
    detector: String,
    scores: Array1<f64>,
}

impl Vote {
    /// The scores of `detector`, one per row, calibrated to `[0, 1]`.
    pub fn new(detector: impl Into<String>, scores: Array1<f64>) -> Self {
        Self { detector: detector.into(), scores }
    }

    /// The detector.
    pub fn detector(&self) -> &str {
        &self.detector
    }

    /// Its scores.
    pub fn scores(&self) -> &Array1<f64> {
        &self.scores
    }
}

/// Combines calibrated scores of any detectors into verdicts.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_ensemble::{Ensemble, EnsembleConfig, Vote, Voting};
/// use ndarray::array;
///
/// let config = EnsembleConfig { voting: Voting::Weighted, ..EnsembleConfig::default() };
/// let votes = [Vote::new("iforest", array![0.75]), Vote::new("zscore", array![0.5])];
/// let verdicts = Ensemble::new(config)?.combine(&[Timestamp::from_seconds(0)], &votes)?;
/// assert_eq!((verdicts[0].score, verdicts[0].n_models_flagged), (0.625, 2));
/// # Ok::<(), funnelpulse_ensemble::EnsembleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    pub(crate) config: EnsembleConfig,
}

impl Ensemble {
    /// Checks the settings. An error names the setting, its value and the allowed range.
    ///
    /// Three ways of voting on the same scores:
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_ensemble::{Ensemble, EnsembleConfig, Vote, Voting};
    /// use ndarray::array;
    ///
    /// let votes =
    ///     [Vote::new("a", array![0.9]), Vote::new("b", array![0.1]), Vote::new("c", array![0.1])];
    /// let flagged = |voting| -> Result<bool, funnelpulse_ensemble::EnsembleError> {
    ///     let ensemble = Ensemble::new(EnsembleConfig { voting, ..EnsembleConfig::default() })?;
    ///     Ok(ensemble.combine(&[Timestamp::from_seconds(0)], &votes)?[0].is_anomaly)
    /// };
    /// // The mean of the scores is 0.37, and one of three is no majority.
    /// assert!(flagged(Voting::Tail)?);
    /// assert!(!flagged(Voting::Weighted)? && !flagged(Voting::Majority)?);
    /// # Ok::<(), funnelpulse_ensemble::EnsembleError>(())
    /// ```
    pub fn new(config: EnsembleConfig) -> Result<Self, EnsembleError> {
        check("threshold", config.threshold, 0.0..=1.0, "0 to 1")?;
        check("peak_share", config.peak_share, 0.0..=1.0, "0 to 1")?;
        for (name, weight) in &config.weights {
            check(format!("weights.{name}"), *weight, 0.0..=f64::MAX, "0 or more, finite")?;
        }
        config.adaptive.validate()?;
        config.severity.validate()?;
        Ok(Self { config })
    }

    /// The same with another threshold, as [`threshold_for_budget`](crate::threshold_for_budget)
    /// finds it.
    ///
    /// ```
    /// use funnelpulse_ensemble::{Ensemble, EnsembleConfig};
    ///
    /// let ensemble = Ensemble::new(EnsembleConfig::default())?.with_threshold(0.8)?;
    /// assert_eq!(ensemble.config().threshold, 0.8);
    /// let error = ensemble.with_threshold(1.5).unwrap_err();
    /// assert_eq!(error.to_string(), "threshold = 1.5 is out of range (0 to 1)");
    /// # Ok::<(), funnelpulse_ensemble::EnsembleError>(())
    /// ```
    pub fn with_threshold(mut self, threshold: f64) -> Result<Self, EnsembleError> {
        check("threshold", threshold, 0.0..=1.0, "0 to 1")?;
        self.config.threshold = threshold;
        Ok(self)
    }

    /// The settings.
    pub fn config(&self) -> &EnsembleConfig {
        &self.config
    }

    /// One verdict per row of one series. `time` is the time of the rows, rising. An error for a
    /// vote of another length, or of a detector without a weight where any are configured.
    ///
    /// A row where no detector has a score gets NaN and is no anomaly. A detector whose weight is
    /// zero is counted among the flagging ones but does not move the score.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_ensemble::{Ensemble, EnsembleConfig, EnsembleError, Vote};
    /// use ndarray::array;
    ///
    /// let ensemble = Ensemble::new(EnsembleConfig::default())?;
    /// let hours = [Timestamp::from_seconds(0), Timestamp::from_seconds(3600)];
    /// let verdicts = ensemble.combine(&hours, &[Vote::new("zscore", array![f64::NAN, 0.9])])?;
    /// assert!(verdicts[0].score.is_nan() && !verdicts[0].is_anomaly);
    /// assert!(verdicts[1].is_anomaly);
    /// # Ok::<(), EnsembleError>(())
    /// ```
    pub fn combine(&self, time: &[Timestamp], votes: &[Vote]) -> Result<Vec<Verdict>, EnsembleError> {
        self.combine_after(&mut self.adaptive_threshold(), time, votes)
    }

    /// The same for rows that follow others: `threshold` knows the scores of those.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_ensemble::{Ensemble, EnsembleConfig, EnsembleError, Vote};
    /// use ndarray::{Array1, s};
    ///
    /// let ensemble = Ensemble::new(EnsembleConfig::default())?;
    /// let time: Vec<_> = (0..60).map(|h| Timestamp::from_seconds(3600 * h)).collect();
    /// let scores = Array1::from_shape_fn(60, |h| 0.1 + 0.3 * f64::from(h % 2 == 0));
    /// let votes = |rows: std::ops::Range<usize>| [Vote::new("zscore", scores.slice(s![rows]).to_owned())];
    /// let whole = ensemble.combine(&time, &votes(0..60))?;
    /// let mut threshold = ensemble.adaptive_threshold();
    /// let mut parts = ensemble.combine_after(&mut threshold, &time[..40], &votes(0..40))?;
    /// parts.extend(ensemble.combine_after(&mut threshold, &time[40..], &votes(40..60))?);
    /// assert_eq!(parts, whole);
    /// # Ok::<(), EnsembleError>(())
    /// ```
    pub fn combine_after(
        &self,
        threshold: &mut AdaptiveThreshold,
        time: &[Timestamp],
        votes: &[Vote],
    ) -> Result<Vec<Verdict>, EnsembleError> {
        let weights = votes.iter().map(|vote| self.weight_of(vote, time.len())).collect::<Result<Vec<_>, _>>()?;
        let verdict = |(row, &time): (usize, &Timestamp)| {
            let ballots: Vec<(f64, f64)> = votes
                .iter()
                .zip(&weights)
                .map(|(vote, &weight)| (vote.scores[row], weight))
                .filter(|(score, _)| !score.is_nan())
                .collect();
            self.decide(time, &ballots, threshold)
        };
        let mut verdicts: Vec<Verdict> = time.iter().enumerate().map(verdict).collect();
        if self.config.peak_rows > 0 {
            peaks::keep(&mut verdicts, self.config.peak_rows, self.config.peak_share);
        }
        Ok(verdicts)
    }

    /// The threshold of a series of which no row is known yet.
    pub fn adaptive_threshold(&self) -> AdaptiveThreshold {
        AdaptiveThreshold::new(self.config.threshold, &self.config.adaptive)
    }

    fn weight_of(&self, vote: &Vote, rows: usize) -> Result<f64, EnsembleError> {
        if vote.scores.len() != rows {
            return Err(EnsembleError::Length { detector: vote.detector.clone(), scores: vote.scores.len(), rows });
        }
        if self.config.weights.is_empty() {
            return Ok(1.0);
        }
        self.config.weights.get(&vote.detector).copied().ok_or_else(|| EnsembleError::UnknownDetector {
            detector: vote.detector.clone(),
            known: self.config.weights.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    fn decide(&self, time: Timestamp, ballots: &[(f64, f64)], threshold: &mut AdaptiveThreshold) -> Verdict {
        let total: f64 = ballots.iter().map(|(_, weight)| weight).sum();
        // All weights are zero: all detectors count the same.
        let share = |weight: f64| if total > 0.0 { weight / total } else { 1.0 / ballots.len() as f64 };
        let shares = ballots.iter().map(|&(score, weight)| (score, share(weight)));
        let score = evidence::combine(self.config.voting, shares);
        let flags = |score: f64| score >= self.config.threshold;
        let n_models_flagged = ballots.iter().filter(|(score, _)| flags(*score)).count();
        let n_models = ballots.len();
        let limit = threshold.limit();
        let over_limit = threshold.judge(time, score);
        let decided = match self.config.voting {
            Voting::Lead | Voting::Tail | Voting::Weighted => over_limit,
            Voting::Majority => 2 * n_models_flagged > n_models,
        };
        let is_anomaly = n_models > 0 && decided && n_models_flagged >= self.config.min_agreement.min(n_models);
        let agreeing = ballots.iter().filter(|(score, _)| flags(*score) == is_anomaly);
        let confidence = if n_models == 0 { f64::NAN } else { agreeing.map(|&(_, weight)| share(weight)).sum() };
        // An anomaly by majority may score below the lowest level: it is of low severity then.
        let severity = is_anomaly.then(|| self.config.severity.of(score).unwrap_or(Severity::Low));
        Verdict { score, confidence, n_models_flagged, n_models, threshold: limit, is_anomaly, severity }
    }
}

#[cfg(test)]
mod tests;
