//! Weights, votes and the verdict.

use std::{collections::BTreeMap, f64::consts::PI};

use funnelpulse_core::{Severity, Timestamp, Verdict, evidence_of_score, score_of_evidence};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use crate::{AdaptiveConfig, AdaptiveThreshold, EnsembleError, SeverityLevels, Weighting, error::check};

/// Share of all weight above which a detector leads.
const LEADING: f64 = 0.5;
/// Decades of evidence that a history can tell apart: a tail probability below one in 100,000 rows is
/// extrapolated, and no reason to overrule a detector that leads.
const RESOLVED: f64 = 5.0;
/// Decades of evidence of the others that count for nothing where a detector leads: an extrapolated tail is
/// easily off by as many decades as it reaches beyond the [`RESOLVED`] ones.
const CERTAIN: f64 = 2.0 * RESOLVED;
/// Decades of evidence beyond which more makes no difference.
const MOST: f64 = 1e9;

/// The method of combining the detectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Voting {
    /// A detector with more than half of the weight leads: the others add to its evidence by their
    /// shares (logarithmic opinion pool, Genest and Zidek 1986), so that none of them overrules it
    /// unless it is beyond doubt: ten decades more than a flag needs.
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
        Ok(time.iter().enumerate().map(verdict).collect())
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
        let score = match ballots {
            [] => f64::NAN,
            _ if matches!(self.config.voting, Voting::Lead | Voting::Tail) => {
                let shares = || ballots.iter().map(|&(score, weight)| (score, share(weight)));
                let leads = self.config.voting == Voting::Lead && shares().any(|(_, share)| share > LEADING);
                if leads { pool(shares()) } else { cauchy(shares()) }
            }
            _ => ballots.iter().map(|&(score, weight)| score * share(weight)).sum(),
        };
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

/// The score of the mean evidence by weight (logarithmic opinion pool). Detectors that do not lead
/// count with at most [`RESOLVED`] decades, or as many as the one that leads has. What all of them
/// together are certain of beyond [`CERTAIN`] decades counts all the same: the one that leads may not
/// look at what they see.
fn pool(ballots: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let evidence = |score: f64| evidence_of_score(score).min(MOST);
    let lead = ballots.clone().filter(|(_, share)| *share > LEADING).map(|(score, _)| evidence(score)).sum::<f64>();
    let most = lead.max(RESOLVED);
    let pooled: f64 = ballots.clone().map(|(score, share)| share * evidence(score).min(most)).sum();
    let others = ballots.filter(|(_, share)| *share <= LEADING && *share > 0.0);
    let weight: f64 = others.clone().map(|(_, share)| share).sum();
    if weight <= 0.0 {
        return score_of_evidence(pooled);
    }
    let together = cauchy(others.map(|(score, share)| (score, share / weight)));
    score_of_evidence(pooled.max(evidence(together) - CERTAIN))
}

/// The score of the combined tail probability: each probability `p` as the Cauchy variable
/// `tan((1/2 - p) pi)`, whose weighted means are Cauchy again, nearly so under any dependence.
pub(crate) fn cauchy(ballots: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut mean = 0.0;
    for (score, share) in ballots.filter(|(_, share)| *share > 0.0) {
        let evidence = evidence_of_score(score);
        // Far out the tangent is one over pi p; past what a float holds, evidence is evidence
        // enough.
        let p = 10_f64.powf(-evidence.min(290.0));
        mean += share * if p < 1e-8 { 1.0 / (p * PI) } else { ((0.5 - p.min(1.0 - 1e-3)) * PI).tan() };
    }
    let p = if mean > 1e8 { 1.0 / (mean * PI) } else { 0.5 - mean.atan() / PI };
    score_of_evidence(-p.log10())
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    fn hours(n: i64) -> Vec<Timestamp> {
        (0..n).map(|h| Timestamp::from_seconds(h * 3600)).collect()
    }

    fn ensemble(change: impl FnOnce(&mut EnsembleConfig)) -> Ensemble {
        let weights =
            [("lstm-ae", 0.30), ("seasonal", 0.30), ("iforest", 0.25), ("changepoint", 0.15), ("zscore", 0.30)];
        let weights = weights.map(|(name, weight)| (name.to_owned(), weight)).into();
        let mut config = EnsembleConfig { weights, ..EnsembleConfig::default() };
        change(&mut config);
        Ensemble::new(config).unwrap()
    }

    #[test]
    fn the_original_weights_combine_as_documented() {
        let votes = [
            Vote::new("lstm-ae", array![0.8]),
            Vote::new("seasonal", array![0.6]),
            Vote::new("iforest", array![0.4]),
            Vote::new("changepoint", array![0.0]),
        ];
        let verdict = ensemble(|c| c.voting = Voting::Weighted).combine(&hours(1), &votes).unwrap()[0];
        assert!((verdict.score - (0.30 * 0.8 + 0.30 * 0.6 + 0.25 * 0.4)).abs() < 1e-15);
        assert!(verdict.is_anomaly);
        assert_eq!(verdict.n_models_flagged, 2);
        assert!((verdict.confidence - 0.6).abs() < 1e-15);
    }

    #[test]
    fn absent_detectors_leave_their_weight_to_the_others() {
        let votes = [Vote::new("lstm-ae", array![f64::NAN]), Vote::new("iforest", array![0.8])];
        let verdict = ensemble(|c| c.voting = Voting::Weighted).combine(&hours(1), &votes).unwrap()[0];
        assert_eq!((verdict.score, verdict.n_models, verdict.confidence), (0.8, 1, 1.0));
        let nobody = ensemble(|_| ()).combine(&hours(1), &[]).unwrap()[0];
        assert!(nobody.score.is_nan() && nobody.confidence.is_nan() && !nobody.is_anomaly);
    }

    #[test]
    fn one_that_is_certain_is_enough_and_echoes_do_not_add_up() {
        let score = |votes: &[Vote]| ensemble(|_| ()).combine(&hours(1), votes).unwrap()[0].score;
        let vote = |name: &str, evidence: f64| Vote::new(name, array![score_of_evidence(evidence)]);
        // One in a billion, a third of the weight.
        let lone = score(&[vote("lstm-ae", 9.0), vote("seasonal", 0.3), vote("zscore", 0.1)]);
        assert!((evidence_of_score(lone) - 8.5).abs() < 0.1, "{lone}");
        // Three that say the same say what one says.
        let echo = score(&[vote("lstm-ae", 3.0), vote("seasonal", 3.0), vote("zscore", 3.0)]);
        assert!((evidence_of_score(echo) - 3.0).abs() < 1e-6, "{echo}");
        let certain = score(&[Vote::new("seasonal", array![1.0]), vote("zscore", 0.0)]);
        assert!(certain > 0.99 && certain.is_finite());
        assert!(score(&[vote("seasonal", 0.0), vote("zscore", 0.0)]).abs() < 0.01);
    }

    #[test]
    fn the_others_add_to_a_detector_that_leads_and_do_not_overrule_it() {
        let weights = [("lead".to_owned(), 9.0), ("other".to_owned(), 1.0)].into();
        let ensemble = Ensemble::new(EnsembleConfig { weights, ..Default::default() }).unwrap();
        let evidence = |lead: f64, other: f64| {
            let vote = |name, evidence| Vote::new(name, array![score_of_evidence(evidence)]);
            let verdicts = ensemble.combine(&hours(1), &[vote("lead", lead), vote("other", other)]).unwrap();
            evidence_of_score(verdicts[0].score)
        };
        assert!((evidence(3.0, 2.0) - 2.9).abs() < 1e-9);
        // Beyond what a history can tell apart nothing is added.
        assert_eq!(evidence(2.0, 5.0), evidence(2.0, 12.0));
        assert!(evidence(3.0, 0.0) > evidence(2.0, 12.0));
        // What is beyond doubt counts: the one that leads may not look there.
        assert!((evidence(0.1, 40.0) - 30.0).abs() < 0.1);
        // A detector that leads and has no score leaves the row to the others.
        let other = [Vote::new("lead", array![f64::NAN]), Vote::new("other", array![score_of_evidence(4.0)])];
        let verdict = ensemble.combine(&hours(1), &other).unwrap()[0];
        assert!((evidence_of_score(verdict.score) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn majority_and_agreement_hold_back_a_lone_voice() {
        let votes = [
            Vote::new("lstm-ae", array![1.0]),
            Vote::new("seasonal", array![0.45]),
            Vote::new("iforest", array![0.45]),
        ];
        let anomaly = |e: Ensemble| e.combine(&hours(1), &votes).unwrap()[0].is_anomaly;
        assert!(anomaly(ensemble(|_| ())));
        assert!(!anomaly(ensemble(|c| c.voting = Voting::Majority)));
        assert!(!anomaly(ensemble(|c| c.min_agreement = 2)));
    }

    #[test]
    fn one_detector_can_satisfy_any_agreement() {
        let votes = [Vote::new("iforest", array![0.9])];
        assert!(ensemble(|c| c.min_agreement = 3).combine(&hours(1), &votes).unwrap()[0].is_anomaly);
    }

    #[test]
    fn bad_settings_and_votes_are_refused() {
        let refuse = |config| Ensemble::new(config).unwrap_err().to_string();
        let weights = [("iforest".to_owned(), -1.0)].into();
        let error = refuse(EnsembleConfig { weights, ..Default::default() });
        assert_eq!(error, "weights.iforest = -1 is out of range (0 or more, finite)");
        let severity = SeverityLevels { medium: 0.4, ..Default::default() };
        let error = refuse(EnsembleConfig { severity, ..Default::default() });
        assert!(error.starts_with("severity.medium = 0.4"), "{error}");
        let nan = refuse(EnsembleConfig { threshold: f64::NAN, ..Default::default() });
        assert!(nan.starts_with("threshold = NaN"), "{nan}");

        let unknown = ensemble(|_| ()).combine(&hours(1), &[Vote::new("prophet", array![0.1])]).unwrap_err();
        assert!(unknown.to_string().contains("`prophet`"), "{unknown}");
        let short = ensemble(|_| ()).combine(&hours(2), &[Vote::new("iforest", array![0.1])]).unwrap_err();
        assert!(matches!(short, EnsembleError::Length { scores: 1, rows: 2, .. }));
    }

    proptest! {
        #[test]
        fn the_score_lies_between_its_parts(
            a in 0.0..=1.0f64,
            b in 0.0..=1.0f64,
            weight in 0.0..10.0f64,
        ) {
            let weights = [("a".to_owned(), weight), ("b".to_owned(), 1.0)].into();
            let ensemble = Ensemble::new(EnsembleConfig { weights, ..Default::default() }).unwrap();
            let votes = [Vote::new("a", array![a]), Vote::new("b", array![b])];
            let verdict = ensemble.combine(&hours(1), &votes).unwrap()[0];
            prop_assert!(verdict.score >= a.min(b) - 1e-12 && verdict.score <= a.max(b) + 1e-12);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&verdict.confidence));
            prop_assert_eq!(verdict.severity.is_some(), verdict.is_anomaly);
        }
    }
}
