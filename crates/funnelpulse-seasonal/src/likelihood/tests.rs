use super::*;

fn samples() -> Vec<Discrete> {
    vec![
        Discrete::poisson(0.3),
        Discrete::poisson(12.0),
        Discrete::negative_binomial(4.0, 0.5),
        Discrete::negative_binomial(60.0, 2.0),
        Discrete::binomial(7.0, 0.3),
        Discrete::binomial(300.0, 0.04),
        Discrete::beta_binomial(40.0, 0.2, 0.1),
        Discrete::beta_binomial(5.0, 0.5, 0.6),
    ]
}

#[test]
fn probabilities_have_their_moments() {
    for d in samples() {
        let most = d.most().min(3000.0) as usize;
        let p: Vec<f64> = (0..=most).map(|k| d.ln_pmf(k as f64).exp()).collect();
        let moment = |f: &dyn Fn(f64) -> f64| p.iter().enumerate().map(|(k, p)| p * f(k as f64)).sum::<f64>();
        assert!((moment(&|_| 1.0) - 1.0).abs() < 1e-9, "{d:?}");
        assert!((moment(&|k| k) - d.mean()).abs() < 1e-7 * d.mean().max(1.0), "{d:?}");
        assert!((moment(&|k| (k - d.mean()).powi(2)) / d.variance() - 1.0).abs() < 1e-6, "{d:?}");
    }
}

#[test]
fn tails_are_sums_of_probabilities() {
    for d in samples() {
        for y in 0..=(d.most().min(40.0) as usize) {
            let own = d.ln_pmf(y as f64).exp();
            let below: f64 = (0..y).map(|k| d.ln_pmf(k as f64).exp()).sum::<f64>() + 0.5 * own;
            let (ln_below, ln_above) = d.ln_mid_tails(y as f64);
            assert!((ln_below.exp() - below).abs() < 1e-9, "{d:?} at {y}");
            assert!((ln_above.exp() - (1.0 - below)).abs() < 1e-9, "{d:?} at {y}");
        }
    }
}

#[test]
fn the_formula_for_large_counts_agrees_with_the_sums() {
    let large = [Discrete::poisson(1500.0), Discrete::negative_binomial(300.0, 0.3), Discrete::binomial(20_000.0, 0.1)];
    for d in large {
        for z in [-3.5, -1.0, -0.2, 0.3, 1.5, 4.0] {
            let y = (d.mean() + z * d.variance().sqrt()).round();
            if y < LARGE {
                continue;
            }
            let (formula, sum) = (d.large_tail(y).unwrap(), d.ln_pmf(y) + d.summed_tail(y, y > d.mean()));
            assert!((formula - sum).abs() < 4e-3, "{d:?} at {y}: {formula} {sum}");
        }
    }
}

#[test]
fn the_tail_of_wide_beta_binomials_agrees_with_strides() {
    for rho in [0.02, 1e-3, 1e-5] {
        for share in [0.02, 0.3, 0.5] {
            let trials = 1e8;
            let d = Discrete::beta_binomial(trials, share, rho);
            for z in [-1.5, -0.4, 0.5, 2.0, 4.0] {
                let y = (d.mean() + z * d.variance().sqrt()).round();
                if y <= 1e3 || y >= trials - 1e3 {
                    continue;
                }
                let formula = d.beta_tail(y, trials).expect("wide enough");
                let strided = d.strided_tail(y, y > d.mean());
                assert!((formula - strided).abs() < 0.02, "{d:?} at {z}: {formula} {strided}");
                // More trials of the same spread change nothing; there the logarithms of gamma functions,
                // which the strides need, have lost their last digits.
                let wider = Discrete::beta_binomial(1e5 * trials, share, rho).beta_tail(1e5 * y, 1e5 * trials);
                assert!((formula - wider.expect("wide enough")).abs() < 0.02, "{d:?} at {z}: {formula} {wider:?}");
            }
        }
    }
}

/// With `a = b = 1` every count is as probable as any other.
#[test]
fn the_tail_of_a_uniform_count_is_its_share() {
    let d = Discrete::beta_binomial(2e13, 0.5, 1.0 / 3.0);
    for share in [0.01, 0.2, 0.45, 0.7, 0.999] {
        let (below, above) = d.ln_mid_tails(share * 2e13);
        assert!((below.exp() - share).abs() < 1e-6 && (above.exp() - (1.0 - share)).abs() < 1e-6, "{share}");
    }
}

/// Counts of bytes or of minor units: 2 * 10^13 took 22 s for one series.
#[test]
fn huge_counts_take_no_longer_than_small_ones() {
    let begun = std::time::Instant::now();
    for i in 0..200 {
        let trials = 1e13 * (1.0 + f64::from(i) / 50.0);
        let mixture = Mixture(vec![(1.0, Discrete::beta_binomial(trials, 0.4, 0.01 * f64::from(1 + i % 7)))]);
        let (low, high) = (mixture.quantile(0.025), mixture.quantile(0.975));
        assert!(low < 0.4 * trials && high > 0.4 * trials && high.is_finite());
        assert!(mixture.ln_two_sided(0.1 * trials).is_finite());
    }
    assert!(begun.elapsed().as_secs_f64() < 5.0, "{:?} for 200 rows", begun.elapsed());
}

#[test]
fn strides_agree_with_the_sums() {
    let wide = [Discrete::negative_binomial(900.0, 1.5), Discrete::beta_binomial(30_000.0, 0.3, 0.02)];
    for d in wide {
        // Not down to the pole at zero: that far down every term is added up.
        for z in [0.4, 2.0, 5.0] {
            let y = (d.mean() + z * d.variance().sqrt()).round();
            let (strides, sum) = (d.strided_tail(y, true), d.ln_pmf(y) + d.summed_tail(y, true));
            assert!((strides - sum).abs() < 5e-3, "{d:?} at {y}: {strides} {sum}");
        }
    }
    // Down to a pole at zero, against the regularised incomplete beta function.
    let (mean, size) = (3e5, 0.5);
    let d = Discrete::negative_binomial(mean, 1.0 / size);
    let mut before = f64::NEG_INFINITY;
    for y in (1..=75).map(|i| f64::from(i * 4000 - 67)) {
        let exact = statrs::function::beta::beta_reg(size, y + 1.0, size / (size + mean)) - 0.5 * d.ln_pmf(y).exp();
        let (below, _) = d.ln_mid_tails(y);
        assert!((below.exp() / exact - 1.0).abs() < 1e-3, "at {y}: {} {exact}", below.exp());
        assert!(below > before, "at {y}");
        before = below;
    }
    // Two-sided scores: for so large a mean twice the tail of a gamma distribution, erf(sqrt(y / 6e5)).
    for y in [60_933.0, 100_316.0_f64] {
        let score = -Mixture(vec![(1.0, d)]).ln_two_sided(y) / std::f64::consts::LN_10;
        let gamma = -(2.0 * statrs::function::erf::erf((y / 6e5).sqrt())).log10();
        assert!((score - gamma).abs() < 1e-3, "at {y}: {score} {gamma}");
        println!("negative binomial of mean 3e5 and size 1/2 at {y}: score {score:.4}");
    }
    // And to poles at both ends: the tails of shares and their complements are the same.
    for (a, b) in [(0.4, 0.7), (0.05, 2.0), (3.0, 0.3)] {
        let rho = 1.0 / (a + b + 1.0);
        let d = Discrete::beta_binomial(1e6, a / (a + b), rho);
        for y in [60_000.0, 300_000.0, 500_000.0, 900_000.0] {
            let (below, _) = d.ln_mid_tails(y);
            let exact = statrs::function::beta::beta_reg(a, b, y / 1e6);
            assert!((below.exp() / exact - 1.0).abs() < 1e-3, "{a} {b} at {y}: {} {exact}", below.exp());
        }
    }
    // However large, an answer, and soon.
    for d in
        [Discrete::negative_binomial(1e12, 900.0), Discrete::beta_binomial(1e12, 1e-3, 0.5), Discrete::poisson(1e200)]
    {
        let mixture = Mixture(vec![(1.0, d)]);
        assert!(mixture.ln_two_sided(1e11) <= 0.0 && mixture.quantile(0.975) >= mixture.quantile(0.025), "{d:?}");
    }
}

#[test]
fn quantiles_are_the_least_counts_that_cover() {
    for d in samples() {
        let mixture = Mixture(vec![(1.0, d)]);
        for p in [0.005, 0.025, 0.1, 0.5, 0.9, 0.975, 0.995] {
            let found = mixture.quantile(p);
            let mut covered = 0.0;
            let mut k = 0.0;
            loop {
                covered += d.ln_pmf(k).exp();
                if covered >= p || k >= d.most() {
                    break;
                }
                k += 1.0;
            }
            assert_eq!(found, k, "{d:?} at {p}");
        }
    }
}

#[test]
fn two_sided_probabilities() {
    // Ten trials of one half: 1 or less on either side, with half the probability of 1 itself.
    let even = Mixture(vec![(1.0, Discrete::binomial(10.0, 0.5))]);
    let expected: f64 = 2.0 * (1.0 + 0.5 * 10.0) / 1024.0;
    assert!((even.ln_two_sided(1.0).exp() - expected).abs() < 1e-12);
    // Nothing below is as improbable as four out of four at one percent: one side only.
    let rare = Mixture(vec![(1.0, Discrete::binomial(4.0, 0.01))]);
    assert!((rare.ln_two_sided(4.0) - 0.5_f64.ln() - 4.0 * 0.01_f64.ln()).abs() < 1e-9);
}
