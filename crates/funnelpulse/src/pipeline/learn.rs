//! What the ensemble learns from a history: weights, and the threshold that keeps to the budget.

use funnelpulse_core::{SeriesKey, Timestamp};
use funnelpulse_ensemble::{Ensemble, Episode, ScoredSeries, Vote, Weighting, threshold_for_budget};
use funnelpulse_incidents::Evidence;

use super::{scored::Scored, series::Plan};
use crate::{Feedback, PipelineError, SeriesFailure};

/// What a threshold is learnt from.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) series: SeriesKey,
    time: Vec<Timestamp>,
    score: Vec<f64>,
    log_odds: Option<Vec<f64>>,
    shared: Vec<bool>,
    /// Empty where weights are not learnt.
    votes: Vec<Vote>,
}

impl AsRef<[Vote]> for Judged {
    fn as_ref(&self) -> &[Vote] {
        &self.votes
    }
}

impl Judged {
    /// Combines the votes anew. Rows that the whole site explains have no score: they are one alarm of
    /// the site, not one of every series.
    pub(super) fn combine(&mut self, ensemble: &Ensemble) -> Result<(), PipelineError> {
        let verdicts = ensemble.combine(&self.time, &self.votes)?;
        self.score = verdicts.into_iter().map(|v| v.score).collect();
        for (score, _) in self.score.iter_mut().zip(&self.shared).filter(|(_, shared)| **shared) {
            *score = f64::NAN;
        }
        Ok(())
    }

    /// What the detectors said of a time; `None` without a row in it.
    pub(super) fn episode(&self, feedback: &Feedback) -> Option<Episode> {
        let at = |time| self.time.partition_point(|t| *t < time);
        let rows = at(feedback.start)..at(feedback.end);
        let highest = |vote: &Vote| {
            let scores = rows.clone().map(|row| vote.scores()[row]).filter(|s| !s.is_nan());
            scores.max_by(f64::total_cmp).map(|score| (vote.detector().to_owned(), score))
        };
        let scores: Vec<_> = self.votes.iter().filter_map(highest).collect();
        (!scores.is_empty()).then_some(Episode { scores, is_incident: feedback.is_incident })
    }

    pub(super) fn view(&self) -> ScoredSeries<'_> {
        ScoredSeries { time: &self.time, score: &self.score, log_odds: self.log_odds.as_deref() }
    }
}

impl Scored {
    /// What weights and a threshold are learnt from; the votes are only kept for weights.
    pub(super) fn judged(&self, ensemble: &Ensemble, keep_votes: bool) -> Result<Judged, PipelineError> {
        let mut judged = Judged {
            series: self.series.clone(),
            time: self.time.clone(),
            score: Vec::new(),
            log_odds: self.log_odds.clone(),
            shared: self.evidence.iter().flat_map(Evidence::shared).collect(),
            votes: self.votes(),
        };
        judged.combine(ensemble)?;
        if !keep_votes {
            judged.votes = Vec::new();
        }
        Ok(judged)
    }
}

impl Plan {
    /// Whether votes have to be kept for it.
    pub(super) fn learns_weights(&self, feedback: &[Feedback]) -> bool {
        !feedback.is_empty() || self.config.ensemble.weighting == Weighting::Auto
    }

    /// The ensemble with the weights that a history teaches and the threshold that keeps to the budget on it.
    pub(super) fn learn(
        &self,
        mut history: Vec<&mut Judged>,
        feedback: &[Feedback],
        failures: &mut Vec<SeriesFailure>,
    ) -> Result<Ensemble, PipelineError> {
        history.sort_by(|a, b| a.series.cmp(&b.series));
        let mut ensemble = self.ensemble.clone();
        if self.learns_weights(feedback) {
            if self.config.ensemble.weighting == Weighting::Auto {
                ensemble = ensemble.clone().with_weights(&ensemble.weights_by_agreement(&history))?;
            }
            let mut episodes = Vec::new();
            for answer in feedback {
                let at = history.binary_search_by(|judged| judged.series.cmp(&answer.series));
                match at.ok().and_then(|at| history[at].episode(answer)) {
                    Some(episode) => episodes.push(episode),
                    None => failures.push(unknown(answer)),
                }
            }
            ensemble = ensemble.clone().with_weights(&ensemble.weights_by_feedback(&episodes))?;
            history.iter_mut().try_for_each(|judged| judged.combine(&ensemble))?;
        }
        let series: Vec<ScoredSeries<'_>> = history.iter().map(|judged| judged.view()).collect();
        Ok(match threshold_for_budget(self.config.alerts.budget, &series) {
            Some(threshold) => ensemble.with_threshold(threshold)?,
            None => ensemble,
        })
    }
}

fn unknown(answer: &Feedback) -> SeriesFailure {
    let message = format!("feedback from {} to {}: no row of the history is scored there", answer.start, answer.end);
    SeriesFailure { series: answer.series.clone(), message }
}
