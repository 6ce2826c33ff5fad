//! Weights from what people said.

use std::collections::{BTreeMap, BTreeSet};

use funnelpulse_core::evidence_of_score;

use crate::{Voting, evidence};

/// Answers that the configured weights are worth.
const PRIOR: f64 = 2.0;
/// Evidence at which an alarm is as likely false as not, and how fast that changes, before anybody
/// answered.
const START: (f64, f64) = (2.0, 1.0);
const ROUNDS: usize = 200;
/// Logarithms of weights move by so much at first, at least and at most in a round.
const STEP: (f64, f64, f64) = (0.1, 1e-4, 0.5);
const DIFFERENCE: f64 = 1e-4;

/// A time that somebody judged.
///
/// ```
/// use funnelpulse_ensemble::{Answer, Ensemble, EnsembleConfig};
///
/// let answer = Answer { scores: vec![("a".into(), 0.9), ("b".into(), 0.1)], is_incident: true };
/// let weights = Ensemble::new(EnsembleConfig::default())?.weights_by_feedback(&[answer]);
/// assert!(weights["a"] > weights["b"]);
/// # Ok::<(), funnelpulse_ensemble::EnsembleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Each detector with its highest calibrated score in that time; those without one are left
    /// out.
    pub scores: Vec<(String, f64)>,
    /// True if it was an incident; a false alarm otherwise.
    pub is_incident: bool,
}

/// The most probable weights: those of detectors that no episode has a score of stay as they are.
pub(super) fn fit(voting: Voting, configured: &BTreeMap<String, f64>, answers: &[Answer]) -> BTreeMap<String, f64> {
    let seen: BTreeSet<&str> = answers.iter().flat_map(|e| e.scores.iter().map(|(name, _)| name.as_str())).collect();
    let names: Vec<&str> = seen.into_iter().filter(|name| configured.get(*name).is_some_and(|w| *w > 0.0)).collect();
    let total: f64 = names.iter().map(|name| configured[*name]).sum();
    if names.is_empty() {
        return configured.clone();
    }
    let prior: Vec<f64> = names.iter().map(|name| configured[*name] / total).collect();
    let episodes: Vec<(Vec<Option<f64>>, bool)> = answers.iter().map(|e| (row(e, &names), e.is_incident)).collect();
    // Logarithms of the weights, then where an alarm is even, then the logarithm of how fast that
    // changes.
    let mut x: Vec<f64> = prior.iter().map(|p| p.ln()).collect();
    x.extend([START.0, START.1.ln()]);
    let loss = |x: &[f64]| loss(voting, x, &prior, &episodes);
    // Resilient propagation (Riedmiller and Braun 1993): signs of the gradient, a step for each.
    let mut steps = vec![STEP.0; x.len()];
    let mut before = vec![0.0; x.len()];
    for _ in 0..ROUNDS {
        let gradient: Vec<f64> = (0..x.len()).map(|i| slope(&loss, &x, i)).collect();
        for i in 0..x.len() {
            let turn = gradient[i] * before[i];
            steps[i] = (steps[i] * if turn < 0.0 { 0.5 } else { 1.2 }).clamp(STEP.1, STEP.2);
            before[i] = if turn < 0.0 { 0.0 } else { gradient[i] };
            if before[i] != 0.0 {
                x[i] -= steps[i] * before[i].signum();
            }
        }
    }
    let mut weights = configured.clone();
    for (name, share) in names.iter().zip(softmax(&x[..names.len()])) {
        weights.insert((*name).to_owned(), share * total);
    }
    weights
}

fn row(episode: &Answer, names: &[&str]) -> Vec<Option<f64>> {
    let of = |name: &&str| episode.scores.iter().find(|(n, s)| n == name && !s.is_nan()).map(|(_, score)| *score);
    names.iter().map(of).collect()
}

/// Minus the logarithm of the posterior.
fn loss(voting: Voting, x: &[f64], prior: &[f64], episodes: &[(Vec<Option<f64>>, bool)]) -> f64 {
    let (logs, line) = x.split_at(prior.len());
    let weights = softmax(logs);
    let (even, rate) = (line[0], line[1].exp());
    let mut loss: f64 = prior.iter().zip(&weights).map(|(p, w)| PRIOR * p * (p / w).ln()).sum();
    loss += 0.5 * (even - START.0).powi(2) + 0.5 * (line[1] - START.1.ln()).powi(2);
    for (scores, is_incident) in episodes {
        let known = || scores.iter().zip(&weights).filter_map(|(s, w)| s.map(|s| (s, *w)));
        let sum: f64 = known().map(|(_, w)| w).sum();
        if sum <= 0.0 {
            continue;
        }
        let shares = known().map(|(s, w)| (s, w / sum));
        let evidence = evidence_of_score(evidence::combine(voting, shares)).min(300.0);
        let margin = rate * (evidence - even) * if *is_incident { 1.0 } else { -1.0 };
        loss += (-margin).max(0.0) + (-margin.abs()).exp().ln_1p();
    }
    loss
}

fn slope(loss: &dyn Fn(&[f64]) -> f64, x: &[f64], i: usize) -> f64 {
    let mut at = x.to_vec();
    at[i] = x[i] + DIFFERENCE;
    let above = loss(&at);
    at[i] = x[i] - DIFFERENCE;
    (above - loss(&at)) / (2.0 * DIFFERENCE)
}

fn softmax(logs: &[f64]) -> Vec<f64> {
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|l| (l - highest).exp()).sum();
    logs.iter().map(|l| (l - highest).exp() / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> BTreeMap<String, f64> {
        [("a", 0.5), ("b", 0.5), ("absent", 0.7)].map(|(name, weight)| (name.to_owned(), weight)).into()
    }

    fn answer(a: f64, b: f64, is_incident: bool) -> Answer {
        Answer { scores: vec![("a".into(), a), ("b".into(), b)], is_incident }
    }

    #[test]
    fn whoever_was_right_counts_more() {
        let answers = |n: usize| -> Vec<Answer> {
            (0..n).map(|i| if i % 2 == 0 { answer(0.9, 0.2, true) } else { answer(0.2, 0.9, false) }).collect()
        };
        let ratio = |n: usize| {
            let weights = fit(Voting::Tail, &configured(), &answers(n));
            assert!((weights["a"] + weights["b"] - 1.0).abs() < 1e-9 && weights["absent"] == 0.7, "{weights:?}");
            weights["a"] / weights["b"]
        };
        let ratios = [2, 10, 100].map(ratio);
        assert!(ratios[0] > 1.0 && ratios[0] < 2.0 && ratios.is_sorted() && ratios[2] > 10.0, "{ratios:?}");
    }

    /// Where a detector leads, what the other is certain of hardly counts: it needs more weight to be heard than in a
    /// combination in which one that is certain is enough.
    #[test]
    fn weights_are_those_of_the_combination_in_use() {
        let configured: BTreeMap<String, f64> = [("a".to_owned(), 0.9), ("b".to_owned(), 0.1)].into();
        // Incidents that only the one sees that does not lead.
        let answers: Vec<Answer> =
            (0..40).map(|i| if i % 2 == 0 { answer(0.1, 0.95, true) } else { answer(0.1, 0.1, false) }).collect();
        let share = |voting: Voting| fit(voting, &configured, &answers)["b"];
        let (lead, tail) = (share(Voting::Lead), share(Voting::Tail));
        assert!(lead > 0.15 && lead > tail + 0.05, "{lead} {tail}");
        // The loss that is fitted is that of the scores that the ensemble gives.
        let ballots = [(0.1, 0.9), (0.95, 0.1)];
        let config = crate::EnsembleConfig { weights: configured.clone(), ..Default::default() };
        let votes = [("a", 0.1), ("b", 0.95)].map(|(name, s)| crate::Vote::new(name, ndarray::array![s]));
        let ensemble = crate::Ensemble::new(config).unwrap();
        let verdicts = ensemble.combine(&[funnelpulse_core::Timestamp::from_seconds(0)], &votes).unwrap();
        assert!((verdicts[0].score - evidence::combine(Voting::Lead, ballots.into_iter())).abs() < 1e-12);
    }

    #[test]
    fn no_answers_no_change() {
        assert_eq!(fit(Voting::Tail, &configured(), &[]), configured());
        let unknown = Answer { scores: vec![("c".into(), 0.9), ("a".into(), f64::NAN)], is_incident: true };
        let weights = fit(Voting::Tail, &configured(), &[unknown]);
        assert!((weights["a"] - 0.5).abs() < 0.01, "{weights:?}");
    }

    #[test]
    fn the_loss_is_the_negative_log_posterior() {
        let x = [0.25_f64.ln(), 0.75_f64.ln(), 3.0, 2.0_f64.ln()];
        let loss = |episodes: &[(Vec<Option<f64>>, bool)]| loss(Voting::Weighted, &x, &[0.4, 0.6], episodes);
        // Two answers' worth of the distance to the weights as configured, and normal priors of both ends of the line.
        let distance = 0.4 * 1.6_f64.ln() + 0.6 * 0.8_f64.ln();
        let prior = 2.0 * distance + 0.5 + 0.5 * 2.0_f64.ln().powi(2);
        assert!((loss(&[]) - prior).abs() < 1e-12);
        // An evidence of 2 where 3 is even and the rate is 2: log odds of -2.
        let half = vec![Some(0.5), None];
        let (missed, false_alarm) = ((1.0 + 2.0_f64.exp()).ln(), (1.0 + (-2.0_f64).exp()).ln());
        assert!((loss(&[(half.clone(), true)]) - prior - missed).abs() < 1e-12);
        assert!((loss(&[(half.clone(), false)]) - prior - false_alarm).abs() < 1e-12);
        // A quarter of .8 and three quarters of .4 are .5 too. Without any score there is no evidence.
        let both = vec![Some(0.8), Some(0.4)];
        let episodes = [(both, true), (half, false), (vec![None, None], true)];
        assert!((loss(&episodes) - prior - missed - false_alarm).abs() < 1e-12);
    }

    /// The same minimum as by trying out: the grid around the best so far, finer and finer.
    #[test]
    fn the_weights_are_those_of_the_least_loss() {
        let configured: BTreeMap<String, f64> = [("a".to_owned(), 1.2), ("b".to_owned(), 0.8)].into();
        let answers: Vec<Answer> = [(0.7, 0.4, true), (0.3, 0.6, false), (0.6, 0.7, true), (0.5, 0.2, false)]
            .map(|(a, b, is_incident)| answer(a, b, is_incident))
            .into();
        let episodes: Vec<_> = answers.iter().map(|e| (row(e, &["a", "b"]), e.is_incident)).collect();
        let loss =
            |p: [f64; 3]| loss(Voting::Tail, &[p[0].ln(), (1.0 - p[0]).ln(), p[1], p[2]], &[0.6, 0.4], &episodes);
        let (mut best, mut width) = ([0.5, 2.0, 0.0], [0.45, 2.0, 2.0]);
        for _ in 0..12 {
            let middle = best;
            for i in 0..9 * 9 * 9 {
                let at = |k: usize, digit: i32| middle[k] + width[k] * (f64::from(digit) / 4.0 - 1.0);
                let point = [at(0, i % 9).clamp(0.01, 0.99), at(1, i / 9 % 9), at(2, i / 81)];
                if loss(point) < loss(best) {
                    best = point;
                }
            }
            width = width.map(|w| w / 2.0);
        }
        let weights = fit(Voting::Tail, &configured, &answers);
        assert!((weights["a"] / 2.0 - best[0]).abs() < 2e-3, "{weights:?}, least loss at {best:?}");
    }
}
