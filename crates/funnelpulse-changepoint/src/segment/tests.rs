use ndarray::{Array2, array};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
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

fn segmenter(config: SegmentationConfig) -> Segmenter {
    Segmenter::new(config).unwrap()
}

#[test]
fn every_rule_and_cost_finds_a_plain_shift() {
    let values = noisy(240, |i| if i < 100 { 10.0 } else { 20.0 }, 1);
    for rule in [PenaltyRule::Bic, PenaltyRule::Sic, PenaltyRule::ModifiedBic, PenaltyRule::Slope] {
        for cost in [CostKind::L1, CostKind::L2, CostKind::Normal, CostKind::Rank, CostKind::LinearTrend, CostKind::Rbf]
        {
            if cost == CostKind::Rbf && rule != PenaltyRule::Slope {
                continue;
            }
            let config = SegmentationConfig { cost, penalty: Penalty::Rule(rule), ..Default::default() };
            let found = segmenter(config).segment(values.view(), None).unwrap().breaks;
            assert!(found.iter().any(|b| b.index.abs_diff(100) <= 1), "{cost} {rule:?}: {found:?}");
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
    assert_eq!((down[0].direction, down[0].magnitude), (Direction::Decrease, -1.0));
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
fn small_changes_are_left_out() {
    let values = noisy(400, |i| 100.0 + if i < 150 { 0.0 } else { 8.0 } + if i < 300 { 0.0 } else { 40.0 }, 3);
    let breaks = |min_magnitude| {
        let config = SegmentationConfig { min_magnitude, ..Default::default() };
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
    assert_eq!(Segmenter::auto().segment(two.view(), None).unwrap_err().to_string(), "auto takes 1 columns, not 2");
}
