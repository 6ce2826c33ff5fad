//! Against other implementations and annotators, on the shared reference series.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeSet, ops::Range, path::Path};

use funnelpulse_changepoint::{
    auto::find_partition,
    cost::{Cost, CostL2, CostNormal, CostRbf},
    kernel::{InducingKernel, median_heuristic, rbf_pelt},
    search::{Fpop, Partition, Pelt},
};
use funnelpulse_testing::shared_file;
use ndarray::{Array1, Array2};

fn series(folder: &Path, name: &str) -> Array2<f64> {
    let bytes = std::fs::read(folder.join(format!("cp_{name}.f64"))).unwrap();
    let values: Vec<f64> = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    Array2::from_shape_vec((values.len(), 1), values).unwrap()
}

struct Reference {
    name: String,
    breaks: Vec<usize>,
    penalty: f64,
    gamma: Option<f64>,
    cost: Option<f64>,
    values: Array2<f64>,
}

/// The references of one algorithm.
fn references(algorithm: &str) -> Vec<Reference> {
    let Some(file) = shared_file("reference/changepoint/tcpd_available.json") else { return Vec::new() };
    let folder = file.parent().unwrap();
    let mut found = Vec::new();
    for kind in ["synth", "pwc"] {
        for n in [720, 3600, 8760] {
            let name = format!("{kind}{n}");
            let Ok(text) = std::fs::read_to_string(folder.join(format!("cp_{algorithm}_{name}.json"))) else {
                continue;
            };
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let mut breaks: Vec<usize> =
                json["bkps"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as usize).collect();
            breaks.pop();
            found.push(Reference {
                values: series(folder, &name),
                name: format!("{algorithm} {name}"),
                breaks,
                penalty: json["pen"].as_f64().unwrap(),
                gamma: json["gamma"].as_f64(),
                cost: json["cost"].as_f64(),
            });
        }
    }
    assert!(!found.is_empty(), "no reference of {algorithm}");
    found
}

/// Ours is no worse than theirs by our cost, and our cost of their breaks is what they say.
#[expect(clippy::print_stdout, reason = "the parity table of the README")]
fn compare<C: Cost>(reference: &Reference, cost: &C, ours: &Partition, their_cost: Option<f64>) {
    let theirs = Partition::at(cost, reference.breaks.clone());
    let (a, b) = (ours.objective(reference.penalty), theirs.objective(reference.penalty));
    println!("| {} | {} | {b:.9} | {} | {a:.9} |", reference.name, theirs.breaks.len(), ours.breaks.len());
    assert!(a <= b + 1e-9 * b.abs(), "{}: {a} is worse than {b}", reference.name);
    assert!((ours.cost - Partition::at(cost, ours.breaks.clone()).cost).abs() < 1e-8 * (1.0 + ours.cost.abs()));
    assert!(ours.segments(cost.len()).all(|s| s.len() >= 24));
    if let Some(their_cost) = their_cost {
        let relative = (theirs.cost - their_cost).abs() / (1.0 + their_cost.abs());
        assert!(
            relative < 1e-6,
            "{}: our cost of their breaks is {}, theirs {their_cost}",
            reference.name,
            theirs.cost
        );
    }
    if (a - b).abs() <= 1e-9 * b.abs() {
        assert_eq!(ours.breaks, theirs.breaks, "{}", reference.name);
    }
}

#[test]
fn l2_is_at_least_as_good() {
    for algorithm in ["pelt_l2", "kcpd_linear"] {
        for reference in references(algorithm) {
            let cost = CostL2::new(reference.values.view()).unwrap();
            let fpop = Fpop::new(24, 1).unwrap().l2(reference.values.column(0), reference.penalty).unwrap();
            compare(&reference, &cost, &fpop, reference.cost);
            let pelt = Pelt::new(24, 1).unwrap().search(&cost, reference.penalty).unwrap();
            compare(&reference, &cost, &pelt, reference.cost);
        }
    }
}

#[test]
fn normal_is_at_least_as_good() {
    for reference in references("pelt_normal") {
        let cost = CostNormal::new(reference.values.view()).unwrap();
        let ours = Pelt::new(24, 1).unwrap().search(&cost, reference.penalty).unwrap();
        compare(&reference, &cost, &ours, reference.cost);
    }
}

#[test]
fn rbf_is_at_least_as_good() {
    for algorithm in ["pelt_rbf", "kcpd_rbf", "kcpd_rbf_gamma"] {
        for reference in references(algorithm) {
            let gamma = median_heuristic(reference.values.view()).unwrap();
            assert!((gamma / reference.gamma.unwrap() - 1.0).abs() < 1e-12, "{}: gamma {gamma}", reference.name);
            let cost = CostRbf::new(reference.values.view(), None).unwrap();
            let ours = rbf_pelt(reference.values.view(), None, 24, 1, reference.penalty).unwrap();
            compare(&reference, &cost, &ours, reference.cost);
        }
    }
}

#[test]
fn inducing_points_find_the_exact_breaks() {
    for reference in references("kcpd_rbf") {
        let exact = CostRbf::new(reference.values.view(), reference.gamma).unwrap();
        let cost = InducingKernel::new(reference.values.view(), reference.gamma, 1e-6).unwrap();
        let found = Pelt::new(24, 1).unwrap().search(&cost, reference.penalty).unwrap();
        let ours = rbf_pelt(reference.values.view(), reference.gamma, 24, 1, reference.penalty).unwrap();
        let objective = Partition::at(&exact, found.breaks).objective(reference.penalty);
        let loss = objective - ours.objective(reference.penalty);
        assert!(loss < 0.01 * reference.penalty, "{}: loses {loss}", reference.name);
    }
}

/// True positives, F1 with a margin of five rows and Cover as van den Burg & Williams (2020) define
/// them; the first row counts as a break of everyone.
fn true_positives(truth: &BTreeSet<usize>, found: &BTreeSet<usize>) -> f64 {
    let mut left = found.clone();
    let mut count = 0.0;
    for &at in truth {
        let nearest = left.iter().copied().filter(|f| f.abs_diff(at) <= 5).min_by_key(|f| (f.abs_diff(at), *f));
        if let Some(nearest) = nearest {
            left.remove(&nearest);
            count += 1.0;
        }
    }
    count
}

fn f1(annotators: &[BTreeSet<usize>], breaks: &[usize]) -> f64 {
    let with_first = |breaks: &BTreeSet<usize>| breaks.iter().copied().chain([0]).collect::<BTreeSet<_>>();
    let found = with_first(&breaks.iter().copied().collect());
    let truths: Vec<BTreeSet<usize>> = annotators.iter().map(with_first).collect();
    let precision = true_positives(&truths.iter().flatten().copied().collect(), &found) / found.len() as f64;
    let recall = truths.iter().map(|t| true_positives(t, &found) / t.len() as f64).sum::<f64>() / truths.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

fn cover(annotators: &[BTreeSet<usize>], breaks: &[usize], n: usize) -> f64 {
    let parts = |breaks: Vec<usize>| Partition { breaks, cost: 0.0 }.segments(n).collect::<Vec<_>>();
    let found = parts(breaks.to_vec());
    let of = |truth: &BTreeSet<usize>| {
        let truth = parts(truth.iter().copied().filter(|b| (1..n).contains(b)).collect());
        let best = |a: &Range<usize>| {
            let jaccard = |b: &Range<usize>| {
                let common = a.end.min(b.end).saturating_sub(a.start.max(b.start));
                common as f64 / (a.end.max(b.end) - a.start.min(b.start)) as f64
            };
            found.iter().map(jaccard).fold(0.0, f64::max)
        };
        truth.iter().map(|a| a.len() as f64 * best(a)).sum::<f64>() / n as f64
    };
    annotators.iter().map(of).sum::<f64>() / annotators.len() as f64
}

#[test]
fn metrics_agree_with_the_paper() {
    let set = |breaks: &[usize]| breaks.iter().copied().collect::<BTreeSet<_>>();
    assert!((f1(&[set(&[]), set(&[10]), set(&[50])], &[10]) - 10.0 / 11.0).abs() < 1e-12);
    let covered = cover(&[set(&[10, 20]), set(&[10]), set(&[0, 5])], &[10, 20], 45);
    assert!((covered - 0.796_296_296_296_296_3).abs() < 1e-12);
    assert!((cover(&[set(&[]), set(&[10]), set(&[40])], &[], 45) - 0.818_930_041_152_263_4).abs() < 1e-12);
}

#[test]
fn one_default_serves_the_turing_change_point_dataset() {
    let Some(file) = shared_file("reference/changepoint/tcpd_available.json") else { return };
    let all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let (mut total, mut count) = ((0.0, 0.0), 0.0);
    for (name, series) in all.as_object().unwrap() {
        // Two gaps: not one of the thirty complete series.
        if name == "uk_coal_employ" {
            continue;
        }
        let values: Array1<f64> = series["y"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let breaks_of =
            |a: &serde_json::Value| a.as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as usize).collect();
        let annotators: Vec<BTreeSet<usize>> =
            series["annotations"].as_object().unwrap().values().map(breaks_of).collect();
        let breaks = find_partition(values.view()).unwrap().breaks;
        total.0 += f1(&annotators, &breaks);
        total.1 += cover(&annotators, &breaks, values.len());
        count += 1.0;
    }
    let (f1, cover) = (total.0 / count, total.1 / count);
    println!("{count} series: F1 {f1:.3}, Cover {cover:.3}");
    assert_eq!(count, 30.0);
    assert!(f1 >= 0.76 && cover >= 0.72);
}
