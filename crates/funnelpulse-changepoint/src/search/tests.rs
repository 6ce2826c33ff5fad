use ndarray::{Array1, Array2};
use proptest::prelude::*;

use super::*;
use crate::{
    cost::{CostKind, CostL2, CostPoisson, CostRbf},
    kernel::rbf_pelt,
};

/// Random signals with one or two levels, ties and outliers: two columns, the second never below
/// the first, all of them counts, so that every cost can take them.
fn signal(n: std::ops::Range<usize>) -> impl Strategy<Value = Array2<f64>> {
    (n, 0.0..1.0f64, any::<u64>()).prop_map(|(n, at, seed)| {
        let change = (at * n as f64) as usize;
        let mut state = seed | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 5) as f64
        };
        Array2::from_shape_fn((n, 2), |(i, j)| {
            let level = if i < change { 0.0 } else { 3.0 };
            next() + level + if j == 1 { 8.0 } else { 0.0 } + if i % 13 == 5 { 4.0 * j as f64 } else { 0.0 }
        })
    })
}

/// Without any pruning: the recursion that defines the optimum.
fn exhaustive<C: Cost + ?Sized>(cost: &C, min_size: usize, jump: usize, penalty: f64) -> f64 {
    let n = cost.len();
    let min_size = min_size.max(cost.min_size());
    let mut best = vec![f64::INFINITY; n + 1];
    best[0] = 0.0;
    for end in min_size..=n {
        if end % jump != 0 && end != n {
            continue;
        }
        for start in 0..=end - min_size {
            if start == 0 || (start % jump == 0 && best[start].is_finite()) {
                best[end] = best[end].min(best[start] + cost.cost(start, end) + penalty);
            }
        }
    }
    best[n]
}

/// All ways to place `breaks` breaks, one by one.
fn enumerate<C: Cost + ?Sized>(cost: &C, min_size: usize, breaks: usize, start: usize) -> f64 {
    let n = cost.len();
    if breaks == 0 {
        return if start + min_size <= n { cost.cost(start, n) } else { f64::INFINITY };
    }
    (start + min_size..n)
        .map(|at| cost.cost(start, at) + enumerate(cost, min_size, breaks - 1, at))
        .fold(f64::INFINITY, f64::min)
}

fn every_cost(values: &Array2<f64>) -> Vec<(CostKind, Box<dyn Cost>)> {
    let first = values.slice_axis(ndarray::Axis(1), (0..1).into()).to_owned();
    let build = |kind: CostKind| {
        let values = if kind == CostKind::Autoregressive { &first } else { values };
        (kind, kind.build(values.view(), None, 2).unwrap())
    };
    CostKind::ALL.into_iter().map(build).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-7 * (1.0 + a.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pelt_is_exhaustive_search_for_every_cost(
        values in signal(12..60), min_size in 1..9usize, jump in 1..4usize, penalty in prop_oneof![Just(0.0), 0.01..60.0f64],
    ) {
        for (kind, cost) in every_cost(&values) {
            let min_size = min_size.max(cost.min_size());
            let found = Pelt::new(min_size, jump).unwrap().search(&*cost, penalty).unwrap();
            let wanted = exhaustive(&*cost, min_size, jump, penalty);
            prop_assert!(close(found.objective(penalty), wanted), "{kind}: {} {wanted}", found.objective(penalty));
            prop_assert!(close(found.cost, Partition::at(&*cost, found.breaks.clone()).cost), "{kind}: its own cost");
            prop_assert!(found.segments(values.nrows()).all(|s| s.len() >= min_size), "{kind}: {:?}", found.breaks);
        }
    }

    #[test]
    fn dynamic_programming_is_enumeration_for_every_cost(values in signal(12..26), min_size in 1..5usize, breaks in 0..4usize) {
        for (kind, cost) in every_cost(&values) {
            let min_size = min_size.max(cost.min_size());
            match Dynp::new(min_size, 1).unwrap().search(&*cost, breaks) {
                Ok(found) => {
                    let wanted = enumerate(&*cost, min_size, breaks, 0);
                    prop_assert_eq!(found.breaks.len(), breaks);
                    prop_assert!(close(found.cost, wanted), "{}: {} {}", kind, found.cost, wanted);
                }
                Err(_) => prop_assert!((breaks + 1) * min_size > values.nrows()),
            }
        }
    }

    #[test]
    fn functional_pruning_is_exhaustive_search(
        values in signal(12..60), min_size in 1..9usize, jump in 1..4usize, penalty in prop_oneof![Just(0.0), 0.01..60.0f64],
    ) {
        let counts = values.column(0);
        let fpop = Fpop::new(min_size, jump).unwrap();
        let l2 = CostL2::new(counts.insert_axis(ndarray::Axis(1))).unwrap();
        let found = fpop.l2(counts, penalty).unwrap();
        prop_assert!(close(found.objective(penalty), exhaustive(&l2, min_size, jump, penalty)));
        prop_assert!(close(found.cost, Partition::at(&l2, found.breaks.clone()).cost));
        let exposure = values.column(1).to_owned();
        let poisson = CostPoisson::with_exposure(counts.insert_axis(ndarray::Axis(1)), exposure.view()).unwrap();
        let found = fpop.poisson(counts, Some(exposure.view()), penalty).unwrap();
        let wanted = exhaustive(&poisson, min_size, jump, penalty);
        prop_assert!(close(found.objective(penalty), wanted), "{} {wanted}", found.objective(penalty));
        prop_assert!(found.segments(values.nrows()).all(|s| s.len() >= min_size));
    }

    #[test]
    fn kernel_search_in_blocks_is_exhaustive_search(
        values in signal(12..60), min_size in 1..12usize, jump in 1..4usize, penalty in 0.0..6.0f64, d in 1..3usize,
    ) {
        let values = values.slice_axis(ndarray::Axis(1), (0..d).into()).to_owned();
        let cost = CostRbf::new(values.view(), None).unwrap();
        let found = rbf_pelt(values.view(), None, min_size, jump, penalty).unwrap();
        prop_assert!(close(found.objective(penalty), exhaustive(&cost, min_size, jump, penalty)));
        prop_assert!(close(found.cost, Partition::at(&cost, found.breaks.clone()).cost));
    }

    #[test]
    fn crops_finds_what_every_penalty_finds(values in signal(20..50), min_size in 1..5usize, at in 0.0..1.0f64) {
        for (kind, cost) in every_cost(&values) {
            let pelt = Pelt::new(min_size.max(cost.min_size()), 1).unwrap();
            let path = crops(&pelt, &*cost, 0.5, 80.0).unwrap();
            prop_assert_eq!((path[0].from, path[path.len() - 1].to), (0.5, 80.0));
            let penalty = 0.5 + 79.5 * at * at;
            let point = path.iter().find(|p| p.from <= penalty && penalty <= p.to).unwrap();
            let wanted = pelt.search(&*cost, penalty).unwrap().objective(penalty);
            prop_assert!(close(point.partition.objective(penalty), wanted), "{kind} at {penalty}");
        }
    }

    #[test]
    fn greedy_searches_take_the_best_single_break(values in signal(16..50), min_size in 1..5usize) {
        for (kind, cost) in every_cost(&values) {
            let min_size = min_size.max(cost.min_size());
            let wanted = enumerate(&*cost, min_size, 1, 0);
            let binseg = Binseg::new(min_size, 1).unwrap().search(&*cost, Stop::Breaks(1)).unwrap();
            prop_assert!(close(binseg.cost, wanted), "{kind}: {} {wanted}", binseg.cost);
            let bottom_up = BottomUp::new(min_size, 1).unwrap().search(&*cost, Stop::Breaks(1)).unwrap();
            prop_assert!(bottom_up.cost >= wanted - 1e-7 * (1.0 + wanted.abs()), "{kind}: bottom-up can't be better");
            for stop in [Stop::Breaks(3), Stop::Gain(2.0)] {
                for found in [
                    Binseg::new(min_size, 1).unwrap().search(&*cost, stop).unwrap(),
                    BottomUp::new(min_size, 1).unwrap().search(&*cost, stop).unwrap(),
                    WildBinseg::new(min_size, 1, 20, 7).unwrap().search(&*cost, Choice::Largest, stop).unwrap(),
                    WindowSearch::new(2 * min_size, 1).unwrap().search(&*cost, stop).unwrap(),
                ] {
                    prop_assert!(found.segments(values.nrows()).all(|s| s.len() >= min_size), "{kind}");
                    prop_assert!(!matches!(stop, Stop::Breaks(_)) || found.breaks.len() <= 3);
                }
            }
        }
    }
}

#[test]
fn bad_parameters_are_named() {
    let values = Array2::from_shape_fn((30, 1), |(i, _)| i as f64);
    let cost = CostL2::new(values.view()).unwrap();
    for penalty in [-1.0, f64::NAN, f64::INFINITY] {
        let error = Pelt::default().search(&cost, penalty).unwrap_err().to_string();
        assert!(error.starts_with("penalty = ") && error.ends_with("(0 or more, finite)"), "{error}");
        assert!(Fpop::new(1, 1).unwrap().l2(values.column(0), penalty).is_err());
        assert!(rbf_pelt(values.view(), None, 1, 1, penalty).is_err());
        assert!(Binseg::new(1, 1).unwrap().search(&cost, Stop::Gain(penalty)).is_err());
    }
    assert!(Pelt::new(0, 1).is_err() && Pelt::new(1, 0).is_err() && WindowSearch::new(1, 1).is_err());
    let error = Pelt::new(31, 1).unwrap().search(&cost, 1.0).unwrap_err();
    assert_eq!(error.to_string(), "30 usable rows, 31 are needed for 1 segments of the shortest length allowed");
    assert!(Dynp::new(10, 1).unwrap().search(&cost, 3).is_err());
    assert!(crops(&Pelt::default(), &cost, 2.0, 1.0).is_err());
    for bad in [f64::NAN, f64::INFINITY, 1e200] {
        let mut values = values.clone();
        values[[7, 0]] = bad;
        let error = CostL2::new(values.view()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("row 7, column 0: {bad}")), "{error}");
    }
}

#[test]
fn short_and_constant_signals_have_no_break() {
    for n in [24, 30, 47] {
        let short = Array2::from_shape_fn((n, 1), |(i, _)| if i < n / 2 { 0.0 } else { 100.0 });
        let cost = CostL2::new(short.view()).unwrap();
        assert!(Pelt::new(24, 1).unwrap().search(&cost, 0.0).unwrap().breaks.is_empty(), "{n} rows");
        assert!(rbf_pelt(short.view(), None, 24, 1, 0.0).unwrap().breaks.is_empty());
    }
    let constant = Array2::from_elem((100, 2), 5.0);
    for (kind, cost) in every_cost(&constant) {
        for penalty in [0.0, 1.0] {
            let found = Pelt::new(5, 1).unwrap().search(&*cost, penalty).unwrap();
            assert!(penalty == 0.0 || found.breaks.is_empty(), "{kind}: {:?}", found.breaks);
        }
    }
}

#[test]
fn pruning_at_once_would_miss_the_optimum() {
    // What ruptures does: found by search, this signal has a better segmentation behind a start
    // that is beaten before its rival may be used.
    let mut missed = 0;
    let mut state = 42_u64;
    for _ in 0..300 {
        let values = Array1::from_shape_simple_fn(40, || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 9) as f64
        });
        let cost = CostL2::new(values.view().insert_axis(ndarray::Axis(1))).unwrap();
        let (n, min_size, penalty) = (40, 5, 10.0);
        let mut best = vec![f64::INFINITY; n + 1];
        best[0] = 0.0;
        let mut starts = vec![0];
        for end in min_size..=n {
            if end >= 2 * min_size {
                starts.push(end - min_size);
            }
            let objectives: Vec<f64> = starts.iter().map(|&s| best[s] + cost.cost(s, end)).collect();
            best[end] = objectives.iter().copied().fold(f64::INFINITY, f64::min) + penalty;
            let limit = best[end];
            let mut kept = objectives.iter().map(|o| *o <= limit);
            starts.retain(|_| kept.next().unwrap_or(true));
        }
        let ours = Pelt::new(min_size, 1).unwrap().search(&cost, penalty).unwrap().objective(penalty);
        assert!(ours <= best[n] + 1e-9);
        missed += usize::from(ours < best[n] - 1e-9);
    }
    assert!(missed > 0, "the test data never need the delay");
}

#[test]
fn functional_pruning_survives_ties_without_a_penalty() {
    // The second start is as good as the first at one level, and better at all others.
    let values = [4.0, 1.0, 1.0, 4.0, 7.0, 7.0, 5.0, 3.0, 5.0, 6.0, 3.0, 7.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0, 4.0, 5.0];
    let found = Fpop::new(7, 1).unwrap().l2(Array1::from_vec(values.to_vec()).view(), 0.0).unwrap();
    assert_eq!(found.breaks, [11]);
}
