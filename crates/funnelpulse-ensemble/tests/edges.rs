//! Weights, budgets, thresholds and severities at their limits, through the public functions.

use std::collections::BTreeMap;

use funnelpulse_core::{AlarmBudget, Severity, Timestamp, evidence_of_score, score_of_evidence};
use funnelpulse_ensemble::{
    AdaptiveConfig, AdaptiveThreshold, Answer, Ensemble, EnsembleConfig, EnsembleError, ScoredSeries, SeverityLevels,
    Vote, Voting, threshold_for_budget,
};
use ndarray::{Array1, array};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn hours(n: i64) -> Vec<Timestamp> {
    (0..n).map(|hour| Timestamp::from_seconds(3600 * hour)).collect()
}

fn weights(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
}

fn ensemble(pairs: &[(&str, f64)]) -> Ensemble {
    let config = EnsembleConfig { weights: weights(pairs), ..EnsembleConfig::default() };
    Ensemble::new(config).expect("the weights are valid")
}

/// Scores whose tail probabilities are uniform, as those of normal rows are.
fn normal_scores(rows: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    (0..rows).map(|_| score_of_evidence(-rng.random::<f64>().log10())).collect()
}

#[test]
fn replaced_weights_are_checked_and_others_stay() {
    let ensemble = ensemble(&[("a", 0.5), ("b", 0.5)]);
    let changed = ensemble.clone().with_weights(&weights(&[("b", 2.0)])).unwrap();
    assert_eq!(changed.config().weights, weights(&[("a", 0.5), ("b", 2.0)]));
    assert_eq!(ensemble.clone().with_weights(&BTreeMap::new()).unwrap(), ensemble);
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        let error = ensemble.clone().with_weights(&weights(&[("b", bad)])).unwrap_err();
        assert!(matches!(error, EnsembleError::Config { ref name, .. } if name == "weights.b"), "{error}");
    }
}

#[test]
fn a_replaced_threshold_is_checked() {
    let ensemble = ensemble(&[]);
    for good in [0.0, 0.31, 1.0] {
        assert_eq!(ensemble.clone().with_threshold(good).unwrap().config().threshold, good);
    }
    for bad in [-0.01, 1.01, f64::NAN] {
        let error = ensemble.clone().with_threshold(bad).unwrap_err().to_string();
        assert!(error.starts_with("threshold = ") && error.ends_with("(0 to 1)"), "{error}");
    }
}

#[test]
fn the_threshold_decides_what_is_flagged() {
    let votes = [Vote::new("a", array![0.6])];
    let flagged = |threshold| {
        let ensemble = ensemble(&[]).with_threshold(threshold).unwrap();
        ensemble.combine(&hours(1), &votes).unwrap()[0].is_anomaly
    };
    // The limit itself is flagged. Combining one detector gives its score up to rounding.
    assert!(flagged(0.6 - 1e-9) && !flagged(0.6 + 1e-9));
}

#[test]
fn weights_of_zero_count_votes_but_move_no_score() {
    for voting in [Voting::Lead, Voting::Tail, Voting::Weighted] {
        let weights = weights(&[("a", 1.0), ("mute", 0.0)]);
        let ensemble = Ensemble::new(EnsembleConfig { weights, voting, ..EnsembleConfig::default() }).unwrap();
        let alone = ensemble.combine(&hours(1), &[Vote::new("a", array![0.2])]).unwrap()[0];
        let votes = [Vote::new("a", array![0.2]), Vote::new("mute", array![0.99])];
        let both = ensemble.combine(&hours(1), &votes).unwrap()[0];
        assert_eq!((both.score, both.n_models_flagged, both.n_models), (alone.score, 1, 2));
        assert_eq!((both.is_anomaly, both.confidence), (false, 1.0));
    }
}

#[test]
fn where_only_weights_of_zero_vote_all_count_the_same() {
    let weights = weights(&[("a", 0.0), ("b", 0.0)]);
    let config = EnsembleConfig { weights, voting: Voting::Weighted, ..EnsembleConfig::default() };
    let votes = [Vote::new("a", array![0.2]), Vote::new("b", array![0.6])];
    let verdict = Ensemble::new(config).unwrap().combine(&hours(1), &votes).unwrap()[0];
    assert!((verdict.score - 0.4).abs() < 1e-15 && (verdict.confidence - 0.5).abs() < 1e-15);
}

#[test]
fn no_rows_have_no_verdicts() {
    assert!(ensemble(&[]).combine(&[], &[]).unwrap().is_empty());
    assert!(ensemble(&[]).combine(&[], &[Vote::new("a", Array1::zeros(0))]).unwrap().is_empty());
}

#[test]
fn scores_of_zero_and_one_stay_in_range() {
    for voting in [Voting::Lead, Voting::Tail, Voting::Weighted, Voting::Majority] {
        let ensemble = Ensemble::new(EnsembleConfig { voting, ..EnsembleConfig::default() }).unwrap();
        let votes = [Vote::new("a", array![0.0, 1.0, 1.0]), Vote::new("b", array![0.0, 0.0, 1.0])];
        for verdict in ensemble.combine(&hours(3), &votes).unwrap() {
            assert!((0.0..=1.0).contains(&verdict.score), "{voting:?}: {verdict:?}");
        }
    }
}

#[test]
fn agreement_without_data_keeps_the_weights() {
    let configured = [("a", 0.7), ("b", 0.3)];
    let none: [Vec<Vote>; 0] = [];
    assert_eq!(ensemble(&configured).weights_by_agreement(&none), weights(&configured));
    assert!(ensemble(&[]).weights_by_agreement(&none).is_empty());
    // Two detectors don't identify a common factor; they are named even without configured weights.
    let scores = Array1::from(normal_scores(200, 1));
    let votes = vec![Vote::new("a", scores.clone()), Vote::new("b", scores)];
    assert_eq!(ensemble(&[]).weights_by_agreement(&[votes]), weights(&[("a", 1.0), ("b", 1.0)]));
}

#[test]
fn agreement_leaves_out_a_constant_detector_and_rows_without_scores() {
    let mut rng = Pcg64::seed_from_u64(2);
    let factor: Vec<f64> = (0..400).map(|_| rng.random::<f64>()).collect();
    let mut noisy = |name: &str| {
        let scores: Vec<f64> = factor.iter().map(|f| 0.5 * f + 0.5 * rng.random::<f64>()).collect();
        Vote::new(name, Array1::from(scores))
    };
    let mut votes = vec![noisy("a"), noisy("b"), noisy("c")];
    votes.push(Vote::new("constant", Array1::from_elem(400, 0.5)));
    votes.push(Vote::new("silent", Array1::from_elem(400, f64::NAN)));
    let learnt = ensemble(&[]).weights_by_agreement(&[votes]);
    assert_eq!((learnt["constant"], learnt["silent"]), (0.0, 0.0));
    for name in ["a", "b", "c"] {
        assert!(learnt[name] > 1.0 && learnt[name].is_finite(), "{learnt:?}");
    }
}

#[test]
fn agreement_does_not_touch_detectors_without_votes() {
    let votes: Vec<Vote> =
        ["a", "b", "c"].into_iter().map(|name| Vote::new(name, Array1::from(normal_scores(200, 3)))).collect();
    let learnt = ensemble(&[("a", 1.0), ("b", 1.0), ("c", 1.0), ("absent", 0.4)]).weights_by_agreement(&[votes]);
    assert_eq!(learnt["absent"], 0.4);
    assert!((learnt["a"] - 1.0).abs() < 1e-6, "all three are the same: {learnt:?}");
}

#[test]
fn feedback_changes_no_sum_and_keeps_weights_of_zero() {
    let ensemble = ensemble(&[("a", 0.6), ("b", 0.4), ("mute", 0.0)]);
    let answer = |right: bool| Answer {
        scores: vec![("a".into(), if right { 0.9 } else { 0.1 }), ("b".into(), 0.9), ("mute".into(), 0.9)],
        is_incident: right,
    };
    let answers: Vec<Answer> = (0..12).map(|i| answer(i % 2 == 0)).collect();
    let learnt = ensemble.weights_by_feedback(&answers);
    assert_eq!(learnt["mute"], 0.0);
    assert!((learnt["a"] + learnt["b"] - 1.0).abs() < 1e-9, "{learnt:?}");
    assert!(learnt["a"] > 0.6, "{learnt:?}");
    assert_eq!(ensemble.weights_by_feedback(&[]), ensemble.config().weights);
    // The result is valid in an ensemble.
    assert!(ensemble.with_weights(&learnt).is_ok());
}

#[test]
fn feedback_at_the_ends_of_the_scores_is_finite() {
    let answer = |score: f64, is_incident| Answer { scores: vec![("a".into(), score), ("b".into(), 0.5)], is_incident };
    let answers = [answer(1.0, true), answer(0.0, false), answer(1.0, false), answer(0.0, true)];
    let learnt = ensemble(&[("a", 0.5), ("b", 0.5)]).weights_by_feedback(&answers);
    assert!(learnt.values().all(|weight| weight.is_finite() && *weight > 0.0), "{learnt:?}");
}

#[test]
fn a_smaller_budget_never_has_a_lower_threshold() {
    let time = hours(4000);
    let scores: Vec<Vec<f64>> = (0..20).map(|seed| normal_scores(time.len(), seed)).collect();
    let series: Vec<ScoredSeries<'_>> =
        scores.iter().map(|score| ScoredSeries { time: &time, score, log_odds: None }).collect();
    let mut last = 0.0;
    for text in ["3 per series per day", "1 per series per week", "1 per series per month", "1 per series per year"] {
        let threshold = threshold_for_budget(text.parse().unwrap(), &series).unwrap();
        assert!(threshold >= last && threshold < 1.0, "{text}: {threshold} after {last}");
        last = threshold;
    }
    // A budget of all series together is shared by them.
    let shared = threshold_for_budget("20 per week".parse().unwrap(), &series);
    assert_eq!(shared, threshold_for_budget("1 per series per week".parse().unwrap(), &series));
}

#[test]
fn a_budget_needs_scores_that_vary() {
    let time = hours(1000);
    let of = |score: f64| {
        let scores = vec![score; time.len()];
        let series = [ScoredSeries { time: &time, score: &scores, log_odds: None }];
        threshold_for_budget(AlarmBudget::MONTHLY, &series)
    };
    for score in [f64::NAN, 0.0, 0.5] {
        assert_eq!(of(score), None, "constant {score}");
    }
    let empty = [ScoredSeries { time: &[], score: &[], log_odds: None }];
    assert_eq!(threshold_for_budget(AlarmBudget::MONTHLY, &empty), None);
}

#[test]
fn infinite_odds_of_an_incident_are_no_false_alarm() {
    let time = hours(4000);
    let scores: Vec<Vec<f64>> = (0..20).map(|seed| normal_scores(time.len(), 100 + seed)).collect();
    let level = |log_odds: Option<&[f64]>| {
        let series: Vec<ScoredSeries<'_>> =
            scores.iter().map(|score| ScoredSeries { time: &time, score, log_odds }).collect();
        threshold_for_budget("1 per series per week".parse().unwrap(), &series).map(evidence_of_score)
    };
    // No row is part of an incident: NaN and minus infinity say the same.
    let (missing, never) = (vec![f64::NAN; time.len()], vec![f64::NEG_INFINITY; time.len()]);
    assert_eq!(level(Some(&missing)), level(Some(&never)));
    // Every row is part of one: there is no false alarm to count.
    assert_eq!(level(Some(&vec![f64::INFINITY; time.len()])), None);
}

#[test]
fn the_adaptive_threshold_waits_for_enough_scores() {
    let config = AdaptiveConfig { min_rows: 10, deviations: 1.0, ..AdaptiveConfig::default() };
    let mut threshold = AdaptiveThreshold::new(0.5, &config);
    for hour in 0..9 {
        assert!(!threshold.judge(Timestamp::from_seconds(3600 * hour), if hour % 2 == 0 { 0.49 } else { 0.3 }));
        assert_eq!(threshold.limit(), 0.5);
    }
    threshold.judge(Timestamp::from_seconds(3600 * 9), 0.49);
    // The mean is about 0.4 and the deviation 0.1.
    assert!((threshold.limit() - 0.5).abs() < 0.02);
}

#[test]
fn adaptive_settings_are_checked() {
    let refuse = |change: fn(&mut AdaptiveConfig)| {
        let mut adaptive = AdaptiveConfig::default();
        change(&mut adaptive);
        Ensemble::new(EnsembleConfig { adaptive, ..EnsembleConfig::default() }).unwrap_err().to_string()
    };
    assert!(refuse(|c| c.lookback_hours = 0.0).starts_with("adaptive.lookback_hours = 0"));
    assert!(refuse(|c| c.lookback_hours = f64::INFINITY).starts_with("adaptive.lookback_hours = inf"));
    assert!(refuse(|c| c.deviations = -1.0).starts_with("adaptive.deviations = -1"));
    assert!(refuse(|c| c.deviations = f64::NAN).starts_with("adaptive.deviations = NaN"));
}

#[test]
fn severities_start_at_their_levels() {
    let levels = SeverityLevels { low: 0.2, medium: 0.2, high: 0.6, critical: 1.0 };
    let severities =
        [(0.0, None), (0.2, Some(Severity::Medium)), (0.6, Some(Severity::High)), (0.999, Some(Severity::High))];
    for (score, severity) in severities {
        assert_eq!(levels.of(score), severity, "{score}");
    }
    assert_eq!((levels.of(1.0), levels.of(f64::NAN)), (Some(Severity::Critical), None));
    let config = EnsembleConfig { severity: levels, ..EnsembleConfig::default() };
    assert!(Ensemble::new(config.clone()).is_ok(), "levels may be equal");
    let severity = SeverityLevels { critical: 1.1, ..levels };
    assert!(Ensemble::new(EnsembleConfig { severity, ..config }).is_err());
}
