//! Evidence of several detectors as one score.

use std::f64::consts::PI;

use funnelpulse_core::{evidence_of_score, score_of_evidence};

use crate::Voting;

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

/// The combined score of scores and their shares of the weight, which add up to one; NaN without any.
pub(crate) fn combine(voting: Voting, ballots: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    match voting {
        _ if ballots.clone().next().is_none() => f64::NAN,
        Voting::Lead if ballots.clone().any(|(_, share)| share > LEADING) => pool(ballots),
        Voting::Lead | Voting::Tail => cauchy(ballots),
        Voting::Weighted | Voting::Majority => ballots.map(|(score, share)| score * share).sum(),
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
fn cauchy(ballots: impl Iterator<Item = (f64, f64)>) -> f64 {
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
