//! Weights, votes and verdicts.

use funnelpulse_core::{evidence_of_score, score_of_evidence};
use ndarray::array;
use proptest::prelude::*;

use super::*;

fn hours(n: i64) -> Vec<Timestamp> {
    (0..n).map(|h| Timestamp::from_seconds(h * 3600)).collect()
}

fn ensemble(change: impl FnOnce(&mut EnsembleConfig)) -> Ensemble {
    let weights = [("lstm-ae", 0.30), ("seasonal", 0.30), ("iforest", 0.25), ("changepoint", 0.15), ("zscore", 0.30)];
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
    assert!((evidence(0.1, 40.0) - 25.0).abs() < 0.1);
    // A detector that leads and has no score leaves the row to the others.
    let other = [Vote::new("lead", array![f64::NAN]), Vote::new("other", array![score_of_evidence(4.0)])];
    let verdict = ensemble.combine(&hours(1), &other).unwrap()[0];
    assert!((evidence_of_score(verdict.score) - 4.0).abs() < 1e-9);
}

#[test]
fn majority_and_agreement_hold_back_a_lone_voice() {
    let votes =
        [Vote::new("lstm-ae", array![1.0]), Vote::new("seasonal", array![0.45]), Vote::new("iforest", array![0.45])];
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
