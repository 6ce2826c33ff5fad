//! Learning of the ensemble from a history: weights, and the threshold that keeps to the budget.

use funnelpulse_analytics::SeriesFailure;
use funnelpulse_core::{SeriesKey, Timestamp};
use funnelpulse_ensemble::{Answer, Ensemble, ScoredSeries, Vote, Weighting, threshold_for_budget};

use crate::{Feedback, PipelineError, plan::Plan, scored::Scored};

/// One series of the history that a threshold is learnt from.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) series: SeriesKey,
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
    /// Combines the votes anew. Rows that the whole site explains have no score: they are one alarm
    /// of the site, not one of every series.
    pub(crate) fn combine(&mut self, ensemble: &Ensemble) -> Result<(), PipelineError> {
        let verdicts = ensemble.combine(&self.time, &self.votes)?;
        self.score = verdicts.into_iter().map(|v| v.score).collect();
        for (score, _) in self.score.iter_mut().zip(&self.shared).filter(|(_, shared)| **shared) {
            *score = f64::NAN;
        }
        Ok(())
    }

    /// The scores of the detectors in a period; `None` without a row in it.
    fn answer(&self, feedback: &Feedback) -> Option<Answer> {
        let at = |time| self.time.partition_point(|t| *t < time);
        let rows = at(feedback.start)..at(feedback.end);
        let highest = |vote: &Vote| {
            let scores = rows.clone().map(|row| vote.scores()[row]).filter(|s| !s.is_nan());
            scores.max_by(f64::total_cmp).map(|score| (vote.detector().to_owned(), score))
        };
        let scores: Vec<_> = self.votes.iter().filter_map(highest).collect();
        (!scores.is_empty()).then_some(Answer { scores, is_incident: feedback.is_incident })
    }

    pub(crate) fn view(&self) -> ScoredSeries<'_> {
        ScoredSeries { time: &self.time, score: &self.score, log_odds: self.log_odds.as_deref() }
    }
}

impl Scored {
    /// The input of learning weights and a threshold; the votes are only kept for weights.
    pub(crate) fn judged(&self, ensemble: &Ensemble, keep_votes: bool) -> Result<Judged, PipelineError> {
        let mut judged = Judged {
            series: self.series.clone(),
            time: self.time.clone(),
            score: Vec::new(),
            log_odds: self.posterior.as_ref().map(|p| p.log_odds.clone()),
            shared: self.posterior.iter().flat_map(|p| p.is_shared.iter().copied()).collect(),
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
    /// True if votes have to be kept.
    pub(crate) fn learns_weights(&self, feedback: &[Feedback]) -> bool {
        !feedback.is_empty() || self.config.ensemble.weighting == Weighting::Auto
    }

    /// The ensemble with the weights that a history teaches and the threshold that keeps to the
    /// budget on it.
    pub(crate) fn learn(
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
            let mut answers = Vec::new();
            for answer in feedback {
                let at = history.binary_search_by(|judged| judged.series.cmp(&answer.series));
                match at.ok().and_then(|at| history[at].answer(answer)) {
                    Some(answer) => answers.push(answer),
                    None => failures.push(unknown(answer)),
                }
            }
            ensemble = ensemble.clone().with_weights(&ensemble.weights_by_feedback(&answers))?;
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
