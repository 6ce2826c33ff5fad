//! Sweeps beside the plain walk.

use proptest::prelude::*;

use super::Scratch;
use crate::{
    axis::{AxisTrees, Ranks},
    grown::GrownNode,
    vector::levels,
    walk::Walk,
};

/// A tree of any shape: for each node from the root down, whether it splits, on which column and where.
fn tree(choices: &[(bool, u16, i16)], width: u16) -> Vec<GrownNode> {
    let mut nodes = vec![GrownNode { rows: 256, path: 1024, ..GrownNode::default() }];
    for (at, &(splits, column, cut)) in choices.iter().enumerate() {
        if at < nodes.len() && splits {
            let left = nodes.len() as u16;
            nodes[at] = GrownNode { split: f64::from(cut), column: column % width, left, ..nodes[at] };
            let rows = nodes[at].rows;
            for (rows, path) in [(rows / 3, 1024 + 37 * left), (rows - rows / 3, 900 + 61 * (left % 16))] {
                nodes.push(GrownNode { rows, path, ..GrownNode::default() });
            }
        }
    }
    nodes
}

/// What the plain walk says of every row over all trees.
fn walked(trees: &AxisTrees, rows: &[f64]) -> Vec<u32> {
    let mut ranks = Ranks::default();
    trees.rank(rows, &mut ranks);
    let path = |tree, row| u32::from(trees.walk(tree, &ranks, row).path());
    (0..rows.len() / trees.width()).map(|row| (0..trees.len()).map(|tree| path(tree, row)).sum()).collect()
}

/// A value near the thresholds, and what is none.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-300i16..300).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => prop::sample::select(vec![-1e300, 1e300, 0.0, -0.0, 5e-324, 0.5]),
    ]
}

fn choices() -> impl Strategy<Value = Vec<(bool, u16, i16)>> {
    prop::collection::vec((prop::bool::weighted(0.8), 0u16..100, -300i16..300), 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_set_of_instructions_agrees_with_the_walk(
        // One column, a constant one among few, more than the widest kernel for complete trees takes.
        width in prop::sample::select(vec![1usize, 2, 3, 8, 17, 33, 40]),
        grown in prop::collection::vec(choices(), 1..8),
        pool in prop::collection::vec(value(), 997),
        n in prop::sample::select(vec![1usize, 31, 32, 200, 256, 257, 600]),
        constant in any::<bool>(),
        whole in any::<bool>(),
    ) {
        let grown: Vec<_> = grown.iter().map(|choices| tree(choices, width as u16)).collect();
        let mut groups = AxisTrees::pack(width, &grown);
        let trees = groups.pop().expect("few thresholds are one group");
        let value = |i: usize| match pool[i % pool.len()] {
            _ if constant && i % width == 1 => 7.0,
            value if whole && value.is_nan() => 3.0,
            value => value,
        };
        let rows: Vec<f64> = (0..n * width).map(value).collect();
        let expected = walked(&trees, &rows);
        let plan = trees.sweep();
        let small = plan.is_some();
        if let Some(plan) = plan {
            levels::for_each(|level| {
                let mut scratch = Scratch::default();
                let mut sums = vec![0; n];
                trees.sweep_any(&plan, &rows, &mut scratch, &mut sums);
                assert_eq!(sums, expected, "{level:?}");
                if !rows.iter().any(|value| value.is_nan()) {
                    sums.fill(0);
                    trees.sweep_whole(&plan, &rows, &mut scratch, &mut sums);
                    assert_eq!(sums, expected, "{level:?}");
                }
            });
        }
        if !rows.iter().any(|value| value.is_nan()) {
            let (mut ranks, mut sums) = (Ranks::default(), vec![0; n]);
            trees.rank(&rows, &mut ranks);
            trees.add_paths(&ranks, &mut sums);
            prop_assert_eq!(&sums, &expected);
            if let Some(lanes) = trees.lanes() {
                sums.fill(0);
                trees.rank_for(&lanes, &rows, &mut ranks);
                lanes.add_paths(&ranks, &mut sums);
                prop_assert_eq!(&sums, &expected);
            }
        }
        prop_assert!(small);
    }

    #[test]
    fn rows_that_miss_the_same_values_agree_with_the_walk(
        width in prop::sample::select(vec![2usize, 8, 33]),
        grown in prop::collection::vec(choices(), 1..5),
        missing in prop::collection::vec(any::<bool>(), 33),
        pool in prop::collection::vec(-300i16..300, 997),
    ) {
        let grown: Vec<_> = grown.iter().map(|choices| tree(choices, width as u16)).collect();
        let trees = AxisTrees::pack(width, &grown).pop().expect("one group");
        let value = |i: usize| if missing[i % width] { f64::NAN } else { f64::from(pool[i % pool.len()]) };
        let rows: Vec<f64> = (0..300 * width).map(value).collect();
        let expected = walked(&trees, &rows);
        let plan = trees.sweep().expect("small trees");
        levels::for_each(|level| {
            let mut sums = vec![0; 300];
            trees.sweep_any(&plan, &rows, &mut Scratch::default(), &mut sums);
            assert_eq!(sums, expected, "{level:?}");
        });
    }
}

#[test]
fn trees_that_share_no_bytes_are_divided_and_large_ones_refused() {
    // 150 thresholds of one column each, no two the same.
    let chain = |first: i16, len: i16| {
        let right = |i: i16| if i == 0 { 0 } else { 2 * i as usize };
        let mut choices = vec![(false, 0, 0); 2 * len as usize + 1];
        (0..len).for_each(|i| choices[right(i)] = (true, 0, first + i));
        tree(&choices, 1)
    };
    let trees = AxisTrees::pack(1, &[chain(0, 150), chain(200, 150), chain(400, 150)]).pop().expect("one group");
    let plan = trees.sweep().expect("small trees");
    assert_eq!(plan.groups.len(), 3);
    let rows: Vec<f64> = (-5..600).map(f64::from).collect();
    let mut sums = vec![0; rows.len()];
    trees.sweep_whole(&plan, &rows, &mut Scratch::default(), &mut sums);
    assert_eq!(sums, walked(&trees, &rows));

    let large = AxisTrees::pack(1, &[chain(0, 300)]).pop().expect("one group");
    assert!(large.sweep().is_none());
}
