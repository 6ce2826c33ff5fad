use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, Normal, Poisson};
use rand_pcg::Pcg64;
use statrs::function::gamma::ln_gamma;

use super::*;
use crate::Direction;

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
                    prop_assert!(found.statistic < 1e-9 || (found.direction == Direction::Increase) == up);
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
