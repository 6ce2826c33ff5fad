//! Against the reference implementations, whose output `golden/make.py` stored.

use std::ops::Range;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    series: Vec<Case>,
    nab_corpus: NabGolden,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    values: Vec<f64>,
    scores: Vec<f64>,
    events: Vec<Bounds>,
    window: usize,
    vus_roc: f64,
    vus_pr: f64,
    vus_roc_5: f64,
    vus_pr_5: f64,
    auc_roc: f64,
    auc_pr: f64,
    best_f1: f64,
    range_f1: f64,
    affiliation_f1: f64,
    affiliation_threshold: f64,
    affiliation_precision: f64,
    affiliation_recall: f64,
    nab: NabGolden,
}

type Bounds = (usize, usize);

#[derive(Deserialize)]
struct NabGolden {
    standard: Scored,
    #[serde(rename = "reward_low_FP_rate")]
    low_fp: Scored,
    #[serde(rename = "reward_low_FN_rate")]
    low_fn: Scored,
}

#[derive(Deserialize)]
struct Scored {
    score: f64,
    threshold: f64,
}

impl Case {
    fn windows(&self) -> Vec<Range<usize>> {
        self.events.iter().map(|&(start, end)| start..end).collect()
    }

    fn labels(&self) -> Vec<bool> {
        let mut labels = vec![false; self.scores.len()];
        for window in self.windows() {
            labels[window].fill(true);
        }
        labels
    }

    fn nab_series(&self) -> NabSeries<'_> {
        NabSeries { scores: &self.scores, windows: self.windows() }
    }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../golden/metrics.json")).unwrap()
}

#[track_caller]
fn close(name: &str, ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "{name}: {ours}, reference {theirs}");
}

#[test]
fn agrees_with_the_reference_implementations() {
    for case in golden().series {
        let labels = case.labels();
        assert_eq!(acf_period(&case.values), case.window, "{}", case.name);
        let options = EvaluationOptions { window: case.window, ..EvaluationOptions::default() };
        let ours = evaluate(&labels, &case.scores, &options).unwrap();
        let narrow = vus(&labels, &case.scores, 5).unwrap();
        let flags = flags_above(&case.scores, case.affiliation_threshold);
        let fixed = affiliation(&labels, &flags).unwrap();
        for (what, ours, theirs) in [
            ("VUS-ROC", ours.vus_roc, case.vus_roc),
            ("VUS-PR", ours.vus_pr, case.vus_pr),
            ("VUS-ROC, window 5", narrow.roc, case.vus_roc_5),
            ("VUS-PR, window 5", narrow.pr, case.vus_pr_5),
            ("AUC-ROC", ours.auc_roc, case.auc_roc),
            ("AUC-PR", ours.auc_pr, case.auc_pr),
            ("best F1", ours.best_f1, case.best_f1),
            ("range F1", ours.range_f1, case.range_f1),
            ("affiliation F1", ours.affiliation_f1, case.affiliation_f1),
            ("affiliation precision", fixed.precision, case.affiliation_precision),
            ("affiliation recall", fixed.recall, case.affiliation_recall),
            ("NAB", ours.nab, case.nab.standard.score),
        ] {
            close(&format!("{}: {what}", case.name), ours, theirs);
        }
    }
}

#[test]
fn nab_agrees_on_a_corpus_in_every_profile() {
    let golden = golden();
    let check = |name: &str, corpus: &[NabSeries<'_>], theirs: &NabGolden| {
        for (profile, theirs) in [
            (NabProfile::STANDARD, &theirs.standard),
            (NabProfile::REWARD_LOW_FP_RATE, &theirs.low_fp),
            (NabProfile::REWARD_LOW_FN_RATE, &theirs.low_fn),
        ] {
            let ours = nab_score(corpus, profile).unwrap();
            close(name, ours.score, theirs.score);
            // The reference says "never" as a threshold above its scores of 0 to 1.
            close(name, ours.threshold.unwrap_or(1.1), theirs.threshold);
        }
    };
    for case in &golden.series {
        check(&case.name, &[case.nab_series()], &case.nab);
    }
    let one_scale = |case: &&Case| !["TODS", "WSD", "NAB", "constant"].iter().any(|other| case.name.starts_with(other));
    let corpus: Vec<_> = golden.series.iter().filter(one_scale).map(Case::nab_series).collect();
    check("corpus", &corpus, &golden.nab_corpus);
}

#[test]
fn perfect_scores_are_perfect_and_constant_ones_are_guesses() {
    let labels: Vec<bool> = (0..300).map(|row| (100..120).contains(&row)).collect();
    let perfect: Vec<f64> = labels.iter().map(|&label| f64::from(u8::from(label))).collect();
    assert_eq!(auc_roc(&labels, &perfect), Ok(1.0));
    assert_eq!(auc_pr(&labels, &perfect), Ok(1.0));
    assert_eq!(vus(&labels, &perfect, 0).unwrap().pr, 1.0);
    assert_eq!(range_f1(&labels, &perfect).unwrap().f1, 1.0);
    let constant = vec![1.0; 300];
    assert_eq!(auc_roc(&labels, &constant), Ok(0.5));
    assert_eq!(auc_pr(&labels, &constant).unwrap(), 20.0 / 300.0);
}

#[test]
fn order_preserving_changes_of_scale_leave_rank_metrics_alone() {
    for case in golden().series {
        let labels = case.labels();
        let stretched: Vec<f64> = case.scores.iter().map(|s| s.cbrt() * 3.0 - 1.0).collect();
        assert_eq!(vus(&labels, &case.scores, 20), vus(&labels, &stretched, 20), "{}", case.name);
        assert_eq!(auc_pr(&labels, &case.scores), auc_pr(&labels, &stretched), "{}", case.name);
    }
}
