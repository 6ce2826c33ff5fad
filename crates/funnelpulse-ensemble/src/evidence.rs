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
/// easily off by twice as many decades as a history can tell apart.
const CERTAIN: f64 = 3.0 * RESOLVED;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The evidence of the combined score of pairs of evidence and share.
    fn combined(voting: Voting, ballots: &[(f64, f64)]) -> f64 {
        evidence_of_score(combine(voting, ballots.iter().map(|(e, share)| (score_of_evidence(*e), *share))))
    }

    fn assert_close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-6, "{got}, expected {expected}");
    }

    #[test]
    fn tail_probabilities_are_combined_as_cauchy_variables() {
        for evidence in [1.0, 3.0, 20.0, 250.0] {
            assert_close(combined(Voting::Tail, &[(evidence, 0.3), (evidence, 0.7)]), evidence);
        }
        // The mean of the cotangents of pi p, of which a p of one counts as .999.
        let cot = |p: f64| 1.0 / (PI * p).tan();
        let mean = f64::midpoint(cot(1e-4), -cot(1e-3));
        let expected = -((1.0 / mean).atan() / PI).log10();
        assert_close(combined(Voting::Tail, &[(4.0, 0.5), (0.0, 0.5)]), expected);
        // Far out, half of the weight is half of the odds.
        assert_close(combined(Voting::Tail, &[(12.0, 0.5), (1.0, 0.5)]), 12.0 - 2f64.log10());
        // No weight, no voice.
        assert_close(combined(Voting::Tail, &[(2.0, 1.0), (200.0, 0.0)]), 2.0);
        assert!(combine(Voting::Tail, std::iter::empty()).is_nan());
    }

    #[test]
    fn one_that_leads_is_moved_by_the_others_as_far_as_a_history_shows() {
        let lead = |leading, other| combined(Voting::Lead, &[(leading, 0.8), (other, 0.2)]);
        assert_close(lead(3.0, 1.0), 0.8 * 3.0 + 0.2);
        // At most five decades count, or as many as the one that leads has.
        assert_close(lead(3.0, 8.0), 0.8 * 3.0 + 0.2 * 5.0);
        assert_close(lead(7.0, 9.0), 7.0);
        // What the others are certain of beyond fifteen decades counts all the same.
        assert_close(lead(0.0, 25.0), 10.0);
        assert_close(lead(0.0, 14.0), 1.0);
        assert_close(combined(Voting::Lead, &[(2.0, 1.0), (200.0, 0.0)]), 2.0);
        // Half of the weight does not lead.
        let halves = [(4.0, 0.5), (0.0, 0.5)];
        assert_close(combined(Voting::Lead, &halves), combined(Voting::Tail, &halves));
    }
}
