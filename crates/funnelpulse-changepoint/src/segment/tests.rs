use ndarray::{Array2, Slice, array};
use rand::SeedableRng;
use rand_distr::{Binomial, Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::*;
use crate::PenaltyRule;

fn noisy(n: usize, level: impl Fn(usize) -> f64, seed: u64) -> Array2<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    Array2::from_shape_fn((n, 1), |(i, _)| {
        let noise: f64 = StandardNormal.sample(&mut rng);
        level(i) + noise
    })
}

/// Successes and trials.
fn binomial(n: usize, trials: impl Fn(usize) -> u64, rate: impl Fn(usize) -> f64, seed: u64) -> Array2<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut values = Array2::zeros((n, 2));
    for (i, mut row) in values.rows_mut().into_iter().enumerate() {
        row[0] = Binomial::new(trials(i), rate(i)).unwrap().sample(&mut rng) as f64;
        row[1] = trials(i) as f64;
    }
    values
}

fn segmenter(config: SegmentationConfig) -> Segmenter {
    Segmenter::new(config).unwrap()
}

#[test]
fn every_rule_and_cost_finds_a_plain_shift() {
    let values = noisy(240, |i| if i < 100 { 10.0 } else { 20.0 }, 1);
    let rates = binomial(240, |_| 200, |i| if i < 100 { 0.1 } else { 0.3 }, 1);
    let other = noisy(240, |i| if i < 100 { 20.0 } else { 10.0 }, 3);
    let directions = Array2::from_shape_fn((240, 2), |(i, j)| [&values, &other][j][[i, 0]]);
    // From alternating to persistent.
    let mut dynamics = noisy(240, |_| 0.0, 2);
    for i in 1..240 {
        dynamics[[i, 0]] += if i < 100 { -0.9 } else { 0.9 } * dynamics[[i - 1, 0]];
    }
    for rule in [PenaltyRule::Bic, PenaltyRule::Sic, PenaltyRule::ModifiedBic, PenaltyRule::Slope] {
        for cost in CostKind::ALL {
            let config = SegmentationConfig { cost, penalty: Penalty::Rule(rule), ..Default::default() };
            if matches!(cost, CostKind::Rbf | CostKind::Cosine) && rule != PenaltyRule::Slope {
                let error = Segmenter::new(config).unwrap_err().to_string();
                let named = error.contains(cost.as_str()) && error.contains(rule.as_str());
                assert!(error.starts_with("penalty = ") && named, "{error}");
                continue;
            }
            let values = match cost {
                CostKind::Binomial => &rates,
                CostKind::Cosine => &directions,
                CostKind::Autoregressive => &dynamics,
                _ => &values,
            };
            let found = segmenter(config).segment(values.view(), None).unwrap().breaks;
            // It takes some rows to tell dynamics.
            let margin = if cost == CostKind::Autoregressive { 5 } else { 1 };
            assert!(found.iter().any(|b| b.index.abs_diff(100) <= margin), "{cost} {rule:?}: {found:?}");
            assert!(found.len() <= 2, "{cost} {rule:?}: {found:?}");
        }
    }
}

#[test]
fn missing_rows_are_left_out_and_counted() {
    let mut values = noisy(200, |i| if i < 120 { 10.0 } else { 20.0 }, 2);
    for i in (0..60).step_by(2).chain(118..124) {
        values[[i, 0]] = f64::NAN;
    }
    let time: Vec<Timestamp> = (0..200).map(Timestamp::from_seconds).collect();
    let found = segmenter(SegmentationConfig::default()).segment(values.view(), Some(&time)).unwrap();
    assert_eq!((found.breaks.len(), found.rows), (1, 164));
    assert_eq!((found.breaks[0].index, found.breaks[0].time), (124, Some(time[124])));
    let error = segmenter(SegmentationConfig::default()).segment(values.view(), Some(&time[1..])).unwrap_err();
    assert_eq!(error.to_string(), "time has 199 entries, 200 are needed (one per row)");
    let none = Array2::from_elem((50, 1), f64::NAN);
    assert!(segmenter(SegmentationConfig::default()).segment(none.view(), None).is_err());
}

#[test]
fn a_change_from_zero_is_a_change() {
    let values = Array2::from_shape_fn((100, 1), |(i, _)| if i < 50 { 0.0 } else { 3.0 });
    let found = segmenter(SegmentationConfig::default()).segment(values.view(), None).unwrap().breaks;
    assert_eq!((found.len(), found[0].index, found[0].magnitude), (1, 50, 1.0));
    assert_eq!(found[0].interval, (49, 51));
    let down = segmenter(SegmentationConfig::default()).segment(values.slice_move_rev().view(), None).unwrap().breaks;
    assert_eq!((down[0].direction, down[0].magnitude), (ChangeDirection::Decrease, -1.0));
}

#[test]
fn errors_name_the_rows_given() {
    let mut values = noisy(100, |_| 10.0, 4);
    values.slice_axis_mut(Axis(0), Slice::from(0..10)).fill(f64::NAN);
    values[[20, 0]] = f64::INFINITY;
    for segmenter in [segmenter(SegmentationConfig::default()), Segmenter::auto()] {
        let error = segmenter.segment(values.view(), None).unwrap_err().to_string();
        assert!(error.starts_with("row 20, column 0: inf"), "{error}");
    }
}

trait Reverse {
    fn slice_move_rev(&self) -> Array2<f64>;
}

impl Reverse for Array2<f64> {
    fn slice_move_rev(&self) -> Array2<f64> {
        let n = self.nrows();
        Array2::from_shape_fn((n, 1), |(i, _)| self[[n - 1 - i, 0]])
    }
}

#[test]
fn breaks_of_spread_and_shape_are_kept() {
    let spread = noisy(400, |_| 0.0, 5);
    let spread = Array2::from_shape_fn((400, 1), |(i, _)| 100.0 + spread[[i, 0]] * if i < 200 { 1.0 } else { 8.0 });
    // The same mean and variance, two peaks instead of one.
    let shape = noisy(600, |_| 0.0, 6);
    let shape = Array2::from_shape_fn((600, 1), |(i, _)| {
        let noise = shape[[i, 0]];
        100.0 + if i < 300 { noise } else { 0.2 * noise + if i % 2 == 0 { 0.98 } else { -0.98 } }
    });
    let costs = [(CostKind::Rbf, &spread, 200), (CostKind::Normal, &spread, 200), (CostKind::Rbf, &shape, 300)];
    for (cost, values, at) in costs {
        let config = SegmentationConfig { cost, ..Default::default() };
        let found = segmenter(config).segment(values.view(), None).unwrap().breaks;
        assert!(found.len() == 1 && found[0].index.abs_diff(at) <= 8, "{cost}: {found:?}");
    }
}

#[test]
fn changes_of_a_rate_are_those_of_the_rate() {
    let config = SegmentationConfig { cost: CostKind::Binomial, ..Default::default() };
    // Trials change tenfold, the rate doesn't.
    let trials = |i: usize| if i < 100 { 100 } else { 1_000 };
    let forced = SegmentationConfig { penalty: Penalty::Value(0.0), min_size: 90, ..config.clone() };
    let values = binomial(200, trials, |_| 0.1, 7);
    assert!(segmenter(forced).segment(values.view(), None).unwrap().breaks.is_empty());
    // The rate halves while trials make up for it, so that successes don't change.
    let trials = |i: usize| if i < 100 { 500 } else { 1_000 };
    let values = binomial(200, trials, |i| if i < 100 { 0.2 } else { 0.1 }, 8);
    let found = segmenter(config.clone()).segment(values.view(), None).unwrap().breaks;
    assert_eq!((found.len(), found[0].index, found[0].column), (1, 100, 0));
    assert!((found[0].magnitude + 0.5).abs() < 0.02 && found[0].p_value < 1e-6, "{found:?}");
    assert!((found[0].before.mean - 0.2).abs() < 4.0 * found[0].before.standard_error);
    // Hours without trials.
    let mut gaps = values;
    gaps.slice_axis_mut(Axis(0), Slice::from(60..140)).fill(0.0);
    let found = segmenter(config).segment(gaps.view(), None).unwrap().breaks;
    assert!(found.iter().all(|b| b.p_value.is_finite() && b.magnitude.is_finite()) && !found.is_empty(), "{found:?}");
}

#[test]
fn p_values_of_rates_allow_for_overdispersion() {
    for persistence in [0.0, 0.6] {
        let mut small = 0;
        for seed in 0..100 {
            let wander = noisy(200, |_| 0.0, 2_000 + seed);
            let mut last = 0.0;
            let rates: Vec<f64> = wander
                .iter()
                .map(|noise| {
                    last = persistence * last + 0.02 * noise;
                    f64::clamp(0.1 + last, 0.01, 0.5)
                })
                .collect();
            let values = binomial(200, |_| 2_000, |i| rates[i], 3_000 + seed);
            let config = SegmentationConfig {
                cost: CostKind::Binomial,
                penalty: Penalty::Value(0.0),
                min_size: 90,
                min_magnitude: 0.0,
                ..Default::default()
            };
            let found = segmenter(config).segment(values.view(), None).unwrap().breaks;
            small += usize::from(found.iter().any(|b| b.p_value < 0.05));
        }
        assert!(small <= 8, "{small} of 100 p-values are below 0.05 without a break, persistence {persistence}");
    }
}

/// 80,000 rows with a break every 50, nearly all of them small.
fn many_small_breaks() -> Array2<f64> {
    noisy(80_000, |i| 100.0 + (i / 50 % 2 * 6) as f64 + if i < 40_000 { 0.0 } else { 60.0 }, 9)
}

#[test]
fn leaving_a_break_out_compares_only_its_neighbours_anew() {
    let values = many_small_breaks();
    let breaks: Vec<usize> = (1..1_600).map(|i| i * 50).collect();
    let segments = Segment::between(values.view(), &breaks);
    let statistics = Statistics::new(CostKind::L2, values.view(), &segments);
    let compared = std::cell::Cell::new(0);
    let compare = |left: &Segment, right: &Segment| {
        compared.set(compared.get() + 1);
        statistics.compare(left, right)
    };
    let found = leave_out(segments, compare, |b| b.magnitude.abs() < 0.15);
    assert_eq!(found.iter().map(|b| b.index).collect::<Vec<_>>(), [40_000]);
    assert!((found[0].magnitude - 60.0 / 103.0).abs() < 0.001);
    assert!(compared.get() <= 3 * breaks.len(), "{} comparisons", compared.get());
    let config =
        SegmentationConfig { cost: CostKind::L2, penalty: Penalty::Value(30.0), min_size: 10, ..Default::default() };
    let breaks = segmenter(config).segment(values.view(), None).unwrap().breaks;
    assert_eq!(breaks.iter().map(|b| b.index).collect::<Vec<_>>(), [40_000]);
}

#[test]
fn small_changes_are_left_out() {
    let values = noisy(400, |i| 100.0 + if i < 150 { 0.0 } else { 8.0 } + if i < 300 { 0.0 } else { 40.0 }, 3);
    let breaks = |min_magnitude| {
        let config = SegmentationConfig { cost: CostKind::L1, min_magnitude, ..Default::default() };
        segmenter(config).segment(values.view(), None).unwrap().breaks.len()
    };
    assert_eq!([breaks(0.0), breaks(0.15), breaks(0.9)], [2, 1, 0]);
}

#[test]
fn intervals_and_p_values_keep_their_promise() {
    let (mut covered, mut small) = (0, 0);
    let config = SegmentationConfig {
        cost: CostKind::L2,
        penalty: Penalty::Value(12.0),
        min_magnitude: 0.0,
        ..Default::default()
    };
    for seed in 0..100 {
        let values = noisy(200, |i| if i < 90 { 0.0 } else { 1.5 }, seed);
        let found = segmenter(config.clone()).segment(values.view(), None).unwrap().breaks;
        covered += usize::from(found.iter().any(|b| b.interval.0 <= 90 && 90 <= b.interval.1));
        // Without a break, forced to name one: at most five in a hundred look sure.
        let forced = SegmentationConfig { penalty: Penalty::Value(0.0), min_size: 90, ..config.clone() };
        let found = segmenter(forced).segment(noisy(200, |_| 0.0, 1_000 + seed).view(), None).unwrap().breaks;
        small += usize::from(found.iter().any(|b| b.p_value < 0.05));
    }
    assert!(covered >= 90, "{covered} of 100 intervals hold the break");
    assert!(small <= 8, "{small} of 100 p-values are below 0.05 without a break");
}

#[test]
fn bad_parameters_are_named() {
    let refused = |config: SegmentationConfig, name: &str| {
        let error = Segmenter::new(config).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    };
    let base = SegmentationConfig::default;
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        refused(SegmentationConfig { penalty: Penalty::Value(bad), ..base() }, "penalty = ");
        refused(SegmentationConfig { min_magnitude: bad, ..base() }, "min_magnitude = ");
        refused(SegmentationConfig { gamma: Some(bad), ..base() }, "gamma = ");
        refused(SegmentationConfig { max_p_value: bad, ..base() }, "max_p_value = ");
    }
    refused(SegmentationConfig { min_size: 0, ..base() }, "min_size = 0");
    refused(SegmentationConfig { jump: 0, ..base() }, "jump = 0");
    refused(SegmentationConfig { order: 0, ..base() }, "order = 0");
    let two = array![[1.0, 2.0], [3.0, 4.0]];
    assert_eq!(Segmenter::auto().segment(two.view(), None).unwrap_err().to_string(), "auto takes 1 column, not 2");
}
