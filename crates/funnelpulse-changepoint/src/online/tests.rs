use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, Normal, Poisson};
use rand_pcg::Pcg64;
use statrs::function::gamma::ln_gamma;

use super::*;
use crate::ChangeDirection;

fn steps(n: usize, every: usize, jump: f64, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let noise = Normal::new(0.0, 1.0).unwrap();
    (0..n).map(|i| noise.sample(&mut rng) + if (i / every).is_multiple_of(2) { 0.0 } else { jump }).collect()
}

/// The recursion as Adams & `MacKay` write it, nothing dropped, in logarithms.
fn untruncated(values: &[f64], hazard: f64) -> Vec<Vec<f64>> {
    let (mu, kappa, alpha, beta) = (0.0, 0.1, 1.0, 1.0);
    let mut joint = vec![0.0_f64];
    let mut stats = vec![(mu, kappa, alpha, beta)];
    let mut all = Vec::new();
    for &x in values {
        let predictive: Vec<f64> = stats
            .iter()
            .map(|&(mu, kappa, alpha, beta): &(f64, f64, f64, f64)| {
                let (nu, scale) = (2.0 * alpha, beta * (kappa + 1.0) / (alpha * kappa));
                ln_gamma(nu.midpoint(1.0))
                    - ln_gamma(nu / 2.0)
                    - 0.5 * (nu * std::f64::consts::PI * scale).ln()
                    - nu.midpoint(1.0) * ((x - mu).powi(2) / (nu * scale)).ln_1p()
            })
            .collect();
        let grown: Vec<f64> = joint.iter().zip(&predictive).map(|(j, p)| j + p).collect();
        let top = grown.iter().copied().fold(f64::MIN, f64::max);
        let total = top + grown.iter().map(|g| (g - top).exp()).sum::<f64>().ln();
        joint =
            std::iter::once(total + f64::ln(hazard)).chain(grown.iter().map(|g| g + f64::ln(1.0 - hazard))).collect();
        for j in &mut joint {
            *j -= total;
        }
        let next = stats.iter().map(|&(mu, kappa, alpha, beta)| {
            let beta = beta + kappa * (x - mu).powi(2) / (2.0 * (kappa + 1.0));
            ((kappa * mu + x) / (kappa + 1.0), kappa + 1.0, alpha + 0.5, beta)
        });
        stats = std::iter::once((mu, kappa, alpha, beta)).chain(next).collect();
        all.push(joint.iter().map(|j| j.exp()).collect());
    }
    all
}

fn bocpd(tolerance: f64, max_run_lengths: usize) -> Bocpd<NormalGamma> {
    let config = BocpdConfig { mean_run_length: 100.0, tolerance, max_run_lengths };
    Bocpd::new(NormalGamma::new(0.0, 0.1, 1.0, 1.0).unwrap(), config).unwrap()
}

#[test]
fn posterior_is_within_a_millionth_of_the_untruncated_recursion() {
    for (every, jump, seed) in [(150, 3.0, 1), (1000, 0.0, 2), (70, 0.8, 3), (400, 20.0, 4)] {
        let values = steps(1000, every, jump, seed);
        let wanted = untruncated(&values, 0.01);
        for (tolerance, allowed) in [(0.0, 1e-9), (BocpdConfig::default().tolerance, 1e-6)] {
            let mut ours = bocpd(tolerance, 4_000);
            let mut worst: f64 = 0.0;
            for (value, wanted) in values.iter().zip(&wanted) {
                ours.update(*value).unwrap();
                let mut dense = vec![0.0; wanted.len()];
                for (run_length, probability) in ours.posterior() {
                    dense[run_length] = probability;
                }
                let off = dense.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                worst = worst.max(off);
            }
            assert!(worst < allowed, "every {every}, tolerance {tolerance}: off by {worst}");
        }
    }
}

#[test]
fn run_lengths_are_bounded() {
    let mut ours = bocpd(0.0, 50);
    for value in steps(500, 1000, 0.0, 5) {
        ours.update(value).unwrap();
        assert!(ours.posterior().count() <= 50);
        assert!((ours.posterior().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
    }
    assert_eq!(ours.rows(), 500);
}

#[test]
fn counts_and_wild_values_are_survived() {
    let mut rng = Pcg64::seed_from_u64(6);
    let config = BocpdConfig::default();
    let mut ours = Bocpd::new(PoissonGamma::new(1.0, 0.1).unwrap(), config).unwrap();
    for i in 0..300 {
        let rate = if i < 200 { 4.0 } else { 12.0 };
        ours.update(Poisson::new(rate).unwrap().sample(&mut rng)).unwrap();
    }
    assert!(ours.most_likely_run_length().abs_diff(100) < 5, "{}", ours.most_likely_run_length());
    assert!((ours.mean() - 12.0).abs() < 1.5);
    assert!(ours.update(-1.0).is_err() && ours.update(0.5).is_err() && ours.rows() == 300);
    let mut wild = bocpd(1e-9, 100);
    for value in [0.0, 1e100, -1e100, 0.0, 1e-300, 3.0, 1e90] {
        wild.update(value).unwrap();
        assert!((wild.posterior().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
    }
    assert!(wild.update(f64::NAN).is_err() && wild.update(f64::INFINITY).is_err());
    for bad in [f64::NAN, 1.0, 0.0, -3.0] {
        let config = BocpdConfig { mean_run_length: bad, ..BocpdConfig::default() };
        assert!(Bocpd::new(PoissonGamma::new(1.0, 1.0).unwrap(), config).is_err());
        assert!(bad == 1.0 || NormalGamma::new(0.0, bad, 1.0, 1.0).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn focus_is_the_best_of_all_breaks(values in prop::collection::vec(0u8..9, 2..120), poisson in any::<bool>()) {
        let family = if poisson { FocusFamily::Poisson } else { FocusFamily::Normal(2.0) };
        let mut focus = Focus::new(family).unwrap();
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        for (row, &value) in values.iter().enumerate() {
            let evidence = focus.update(value).unwrap();
            let seen = &values[..=row];
            let deviance = |part: &[f64]| {
                let (sum, n) = (part.iter().sum::<f64>(), part.len() as f64);
                match family {
                    FocusFamily::Normal(variance) => -sum * sum / n / variance,
                    FocusFamily::Poisson => if sum > 0.0 { -2.0 * sum * (sum / n).ln() } else { 0.0 },
                }
            };
            let best = (1..=row)
                .map(|at| deviance(seen) - deviance(&seen[..at]) - deviance(&seen[at..]))
                .fold(f64::NEG_INFINITY, f64::max);
            match evidence {
                None => prop_assert_eq!(row, 0),
                Some(found) => {
                    prop_assert!((found.statistic - best.max(0.0)).abs() < 1e-8 * (1.0 + best.abs()));
                    let at = found.index;
                    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
                    let up = mean(&seen[at..]) >= mean(&seen[..at]) - 1e-12;
                    prop_assert!(found.statistic < 1e-9 || (found.direction == ChangeDirection::Increase) == up);
                }
            }
        }
    }
}

#[test]
fn focus_keeps_few_candidates() {
    let mut focus = Focus::new(FocusFamily::Normal(1.0)).unwrap();
    let mut most = 0;
    for value in steps(100_000, 200_000, 0.0, 7) {
        focus.update(value).unwrap();
        most = most.max(focus.candidates());
    }
    assert!(most < 100, "{most}");
    assert!(focus.update(f64::NAN).is_err());
    focus.reset();
    assert_eq!((focus.rows(), focus.evidence()), (0, None));
    assert!(Focus::new(FocusFamily::Normal(0.0)).is_err());
}

#[test]
fn bounded_candidates_lose_little_on_a_slope() {
    let mut bounded = Focus::new(FocusFamily::Normal(1.0)).unwrap().with_max_candidates(100).unwrap();
    let mut exact = Focus::new(FocusFamily::Normal(1.0)).unwrap().with_max_candidates(usize::MAX).unwrap();
    let mut default = Focus::new(FocusFamily::Normal(1.0)).unwrap();
    let mut worst: f64 = 1.0;
    for i in 0..10_000 {
        let value = 0.01 * f64::from(i);
        let (ours, all) = (bounded.update(value).unwrap(), exact.update(value).unwrap());
        default.update(value).unwrap();
        if let (Some(ours), Some(all)) = (ours, all) {
            worst = worst.min(ours.statistic / all.statistic);
        }
        assert!(bounded.candidates() <= 100);
    }
    assert!(exact.candidates() >= 9_999 && default.candidates() == Focus::MAX_CANDIDATES);
    assert!(worst > 0.999, "{worst}");
    let (ours, all) = (bounded.evidence().unwrap(), exact.evidence().unwrap());
    assert!(ours.index.abs_diff(all.index) <= 200, "{} {}", ours.index, all.index);
    assert!(Focus::new(FocusFamily::Poisson).unwrap().with_max_candidates(7).is_err());
}

#[test]
fn beliefs_of_a_long_run_take_bounded_memory() {
    let config = BocpdConfig { mean_run_length: 1e6, tolerance: 1e-4, max_run_lengths: 50 };
    let mut ours = Bocpd::new(NormalGamma::new(0.0, 0.1, 1.0, 1.0).unwrap(), config).unwrap();
    // One long run, with the conjugate beside it that never starts another.
    let mut one = NormalGamma::new(0.0, 0.1, 1.0, 1.0).unwrap();
    one.start();
    let mut out = Vec::new();
    for value in steps(20_000, 40_000, 0.0, 8) {
        ours.update(value).unwrap();
        one.log_predictive(value, &mut out);
        one.update(value);
    }
    assert!(ours.posterior().any(|(run_length, _)| run_length > 19_000));
    assert!(one.memory() < 40_000, "{} bytes", one.memory());
    // Student's density with the parameters after 20,000 rows, from the definition.
    let (kappa, alpha, value) = (20_000.1, 10_001.0, 0.7);
    one.log_predictive(value, &mut out);
    let (mean, beta) = one.mean_and_rate(0);
    let (nu, scale) = (2.0 * alpha, beta * (kappa + 1.0) / (alpha * kappa));
    let log = ln_gamma(f64::midpoint(nu, 1.0))
        - ln_gamma(nu / 2.0)
        - 0.5 * (nu * std::f64::consts::PI * scale).ln()
        - f64::midpoint(nu, 1.0) * ((value - mean).powi(2) / (nu * scale)).ln_1p();
    assert!((out[0] - log).abs() < 1e-9, "{} {log}", out[0]);
}

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(state: &T) -> T {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

#[test]
fn saved_streams_go_on_as_if_nothing_had_happened() {
    let values = steps(400, 150, 2.0, 9);
    let mut normal = bocpd(1e-9, 60);
    let mut counts = Bocpd::new(PoissonGamma::new(1.0, 0.1).unwrap(), BocpdConfig::default()).unwrap();
    let mut focus = [FocusFamily::Normal(1.0), FocusFamily::Poisson].map(|f| Focus::new(f).unwrap());
    let mut saved = (through_json(&normal), through_json(&counts), focus.clone().map(|f| through_json(&f)));
    for (i, value) in values.into_iter().enumerate() {
        if [1, 2, 170, 300].contains(&i) {
            saved = (through_json(&normal), through_json(&counts), focus.clone().map(|f| through_json(&f)));
        }
        let count = value.abs().round();
        normal.update(value).unwrap();
        saved.0.update(value).unwrap();
        counts.update(count).unwrap();
        saved.1.update(count).unwrap();
        for (focus, saved) in focus.iter_mut().zip(&mut saved.2) {
            assert_eq!(focus.update(count).unwrap(), saved.update(count).unwrap());
        }
        assert!(normal.posterior().eq(saved.0.posterior()) && normal == saved.0, "row {i}");
        assert!(counts.posterior().eq(saved.1.posterior()) && counts == saved.1, "row {i}");
    }
    assert_eq!(focus, saved.2);
}

#[test]
fn hostile_checkpoints_are_refused() {
    let (mut normal, mut focus) = (bocpd(0.0, 60), Focus::new(FocusFamily::Normal(1.0)).unwrap());
    let mut counts = Bocpd::new(PoissonGamma::new(1.0, 0.1).unwrap(), BocpdConfig::default()).unwrap();
    for value in steps(20, 10, 3.0, 10) {
        normal.update(value).unwrap();
        focus.update(value).unwrap();
        counts.update(value.abs().round()).unwrap();
    }
    let (normal, counts, focus) = (
        serde_json::to_value(normal).unwrap(),
        serde_json::to_value(counts).unwrap(),
        serde_json::to_value(focus).unwrap(),
    );
    let with = |state: &serde_json::Value, path: &str, bad: serde_json::Value| {
        let mut state = state.clone();
        *state.pointer_mut(path).unwrap() = bad;
        state
    };
    let huge = serde_json::json!(u64::MAX);
    let columns = ["rows", "mean", "kappa", "power", "beta", "log_beta"].map(|c| format!("/model/{c}"));
    for path in columns.iter().map(String::as_str).chain(["/run_lengths", "/probabilities"]) {
        assert!(
            serde_json::from_value::<Bocpd<NormalGamma>>(with(&normal, path, serde_json::json!([]))).is_err(),
            "{path}"
        );
    }
    for (path, bad) in [
        ("/model/kappa/0", serde_json::json!(-1.0)),
        ("/model/beta/0", serde_json::json!(0.0)),
        ("/model/mean/0", serde_json::Value::Null),
        ("/model/rows/0", huge.clone()),
        ("/model/growth/0", serde_json::json!(-1.0)),
        ("/model/prior/1", serde_json::json!(0.0)),
        ("/rows", huge.clone()),
        ("/rows", serde_json::json!(3)),
        ("/run_lengths/0", huge.clone()),
        ("/probabilities/0", serde_json::json!(2.0)),
        ("/config/max_run_lengths", serde_json::json!(5)),
        ("/config/mean_run_length", serde_json::json!(0.5)),
    ] {
        assert!(serde_json::from_value::<Bocpd<NormalGamma>>(with(&normal, path, bad)).is_err(), "{path}");
    }
    for path in ["/model/shape/0", "/model/rate/0", "/model/prior/0"] {
        let bad = with(&counts, path, serde_json::json!(-1.0));
        assert!(serde_json::from_value::<Bocpd<PoissonGamma>>(bad).is_err(), "{path}");
    }
    for (path, bad) in [
        ("/rows", huge.clone()),
        ("/rows", serde_json::json!(0)),
        ("/origin", serde_json::Value::Null),
        ("/lower", serde_json::json!([])),
        ("/upper/0/0", serde_json::json!(0)),
        ("/lower/0/0", huge),
        ("/max_candidates", serde_json::json!(1)),
        ("/family/normal", serde_json::json!(-1.0)),
    ] {
        assert!(serde_json::from_value::<Focus>(with(&focus, path, bad)).is_err(), "{path}");
    }
}
