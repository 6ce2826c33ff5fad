use ndarray::{Array2, Axis, Slice, array};
use proptest::prelude::*;

use super::*;

/// Segments and their costs.
const RUPTURES_ML: [((usize, usize), f64); 4] = [
    ((0, 6), 10.0),
    ((0, 3), 1.725_714_025_832_272_3),
    ((2, 6), 5.831_135_164_635_256),
    ((1, 5), 4.214_685_282_881_57),
];

fn signal() -> impl Strategy<Value = Array2<f64>> {
    (4..25usize, 1..4usize, prop::collection::vec(-50i32..50, 100))
        .prop_map(|(n, d, values)| Array2::from_shape_fn((n, d), |(i, j)| f64::from(values[i * d + j]) / 4.0))
}

fn rows(values: &Array2<f64>, start: usize, end: usize) -> ArrayView2<'_, f64> {
    values.slice_axis(Axis(0), Slice::from(start..end))
}

fn agree<C: Cost>(cost: &C, values: &Array2<f64>, by_definition: impl Fn(ArrayView2<'_, f64>) -> f64) {
    for start in 0..values.nrows() {
        for end in start + cost.min_size()..=values.nrows() {
            let (ours, wanted) = (cost.cost(start, end), by_definition(rows(values, start, end)));
            assert!((ours - wanted).abs() < 1e-8 * (1.0 + wanted.abs()), "{start}..{end}: {ours}, not {wanted}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn costs_are_what_they_say(values in signal()) {
        agree(&CostL2::new(values.view()).unwrap(), &values, |part| {
            let mean = part.mean_axis(Axis(0)).unwrap();
            part.rows().into_iter().map(|r| (&r - &mean).mapv(|v| v * v).sum()).sum()
        });
        agree(&CostL1::new(values.view()).unwrap(), &values, |part| {
            part.columns().into_iter().map(|c| {
                let mut sorted = c.to_vec();
                sorted.sort_by(f64::total_cmp);
                let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
                sorted.iter().map(|v| (v - median).abs()).sum::<f64>()
            }).sum()
        });
        agree(&CostLinearTrend::new(values.view()).unwrap(), &values, |part| {
            let n = part.nrows() as f64;
            part.columns().into_iter().map(|c| {
                let (t, y) = ((n - 1.0) / 2.0, c.mean().unwrap());
                let (mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0);
                for (i, v) in c.iter().enumerate() {
                    let x = i as f64 - t;
                    (sxx, sxy, syy) = (sxx + x * x, sxy + x * (v - y), syy + (v - y) * (v - y));
                }
                syy - sxy * sxy / sxx
            }).sum()
        });
        agree(&CostRbf::new(values.view(), Some(0.02)).unwrap(), &values, |part| {
            let mut sum = 0.0;
            for (i, a) in part.rows().into_iter().enumerate() {
                for (j, b) in part.rows().into_iter().enumerate() {
                    let square = (&a - &b).mapv(|v| v * v).sum();
                    sum += if i == j { 1.0 } else { (-(0.02 * square).clamp(0.01, 100.0)).exp() };
                }
            }
            part.nrows() as f64 - sum / part.nrows() as f64
        });
        let counts = values.mapv(|v| (v + 20.0).floor());
        agree(&CostPoisson::new(counts.view()).unwrap(), &counts, |part| {
            part.columns().into_iter().map(|c| {
                let rate = c.mean().unwrap();
                c.iter().map(|x| 2.0 * if *x > 0.0 { -x * rate.ln() } else { 0.0 }).sum::<f64>()
            }).sum()
        });
    }

    #[test]
    fn a_sweep_gives_the_same_costs(values in signal()) {
        let cost = CostRbf::new(values.view(), None).unwrap();
        let mut sweep = cost.sweep().unwrap();
        let mut swept = Vec::new();
        for end in 2..=values.nrows() {
            let starts: Vec<usize> = (end / 4..end).collect();
            sweep.costs(&starts, end, &mut swept);
            for (&start, swept) in starts.iter().zip(&swept) {
                prop_assert!((cost.cost(start, end) - swept).abs() < 1e-9);
            }
        }
        let n = values.nrows();
        let splits: Vec<usize> = (1..n).collect();
        cost.split_costs(0, n, &splits, &mut swept);
        for (&at, swept) in splits.iter().zip(&swept) {
            prop_assert!((cost.cost(0, at) + cost.cost(at, n) - swept).abs() < 1e-9);
        }
    }

    #[test]
    fn parts_never_cost_more_than_the_whole(values in signal()) {
        let counts = Array2::from_shape_fn((values.nrows(), 2), |(i, j)| (values[[i, 0]] + 20.0).floor() * (1 + j) as f64);
        for kind in CostKind::ALL {
            let one = counts.slice_axis(Axis(1), Slice::from(0..if kind == CostKind::Autoregressive { 1 } else { 2 }));
            let cost = kind.build(one, None, 1).unwrap();
            if !cost.is_subadditive() { continue; }
            let (n, least) = (counts.nrows(), cost.min_size());
            for at in least..n.saturating_sub(least) {
                let (whole, parts) = (cost.cost(0, n), cost.cost(0, at) + cost.cost(at, n));
                prop_assert!(parts <= whole + 1e-8 * (1.0 + whole.abs()), "{kind} at {at}: {parts} {whole}");
            }
        }
    }
}

#[test]
fn normal_covers_more_columns() {
    let values = array![[0.0, 1.0], [2.0, 0.0], [1.0, 5.0], [4.0, 2.0]];
    // numpy: 4 * slogdet(np.cov(values.T) + 1e-6 * np.eye(2))[1]
    let covariance: [[f64; 2]; 2] = [[35.0 / 12.0, 1.0 / 3.0], [1.0 / 3.0, 14.0 / 3.0]];
    let wanted = 4.0 * ((covariance[0][0] + 1e-6) * (covariance[1][1] + 1e-6) - covariance[0][1].powi(2)).ln();
    assert!((CostNormal::new(values.view()).unwrap().cost(0, 4) - wanted).abs() < 1e-9);
}

#[test]
fn mahalanobis_is_that_of_ruptures() {
    let values = array![[0.0, 1.0], [2.0, 0.0], [1.0, 5.0], [4.0, 2.0], [3.0, 7.5], [8.0, -1.0]];
    let cost = CostL2::mahalanobis(values.view()).unwrap();
    // ruptures 1.1.10: rpt.costs.CostMl().fit(values).error(start, end)
    for ((start, end), wanted) in RUPTURES_ML {
        assert!((cost.cost(start, end) - wanted).abs() < 1e-9, "{start}..{end}: {}", cost.cost(start, end));
    }
    assert_eq!(CostL2::mahalanobis(Array2::from_elem((5, 2), 3.0).view()).unwrap().cost(0, 5), 0.0);
}

#[test]
fn rank_ignores_scale_and_averages_ties() {
    let values = array![[1.0], [2.0], [2.0], [9.0]];
    let stretched = values.mapv(|v: f64| v.exp());
    let (a, b) = (CostRank::new(values.view()).unwrap(), CostRank::new(stretched.view()).unwrap());
    assert_eq!(a.cost(0, 3), b.cost(0, 3));
    // Centred ranks -1.5, 0, 0, 1.5 with variance 1.125.
    assert!((a.cost(0, 3) + 3.0 * 0.25 / 1.125).abs() < 1e-12);
}

#[test]
fn names_read_back_and_wrong_input_is_refused() {
    for kind in CostKind::ALL {
        assert_eq!(kind.to_string().parse::<CostKind>().unwrap(), kind);
        assert!(kind.build(Array2::zeros((0, 2)).view(), None, 1).is_err(), "{kind}: no rows");
        assert!(kind.build(array![[1.0, f64::NAN]].view(), None, 1).is_err(), "{kind}: NaN");
    }
    assert!("l3".parse::<CostKind>().unwrap_err().to_string().contains("l1, l2, normal"));
    assert!(CostPoisson::new(array![[-1.0]].view()).is_err());
    assert!(CostBinomial::new(array![[3.0, 2.0]].view()).is_err());
    assert!(CostAutoregressive::new(array![[1.0], [2.0]].view(), 5).is_err());
    assert!(CostRbf::new(array![[1.0]].view(), Some(0.0)).is_err());
}
