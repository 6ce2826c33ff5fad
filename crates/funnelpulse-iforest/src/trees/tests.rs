//! Every engine beside the plain walk, on every set of instructions.

use std::time::Instant;

use funnelpulse_testing::noise_frame;
use ndarray::Array2;

use super::*;
use crate::{IsolationForest, vector::levels};

/// Waves of different length, one of which is constant; `gap` says which values are missing.
fn table(width: usize, gap: impl Fn(usize, usize) -> bool) -> Array2<f64> {
    Array2::from_shape_fn((300, width), |(i, j)| match j {
        _ if gap(i, j) => f64::NAN,
        1 => 4.0,
        _ => (i as f64 * (0.37 + 0.11 * j as f64)).sin(),
    })
}

#[test]
fn engines_agree_with_the_walk_on_every_set_of_instructions() {
    let splits = [(Split::PooledGain, 6), (Split::Extended, 2), (Split::AveragedGain, 3)].into_iter().cycle();
    for (width, (split, columns_per_split)) in [1, 3, 8, 9, 16, 17, 40, 24].into_iter().zip(splits) {
        let config = IsolationForestConfig { split, columns_per_split, n_trees: 7, ..Default::default() };
        let whole = table(width, |_, _| false);
        let model = IsolationForest::new(config).unwrap().fit_values(whole.view()).unwrap();
        let few = table(width, |i, j| width > 1 && i % 5 == 0 && j == i % width);
        let many = table(width, |i, j| width > 1 && j != i % width);
        for rows in [&whole, &few, &many].map(|table| table.as_slice().unwrap()) {
            for trees in &model.trees {
                let mut block = Block::default();
                trees.prepare(rows, &mut block);
                let path = |tree, row| u32::from(trees.path(tree, &block, row));
                let expected: Vec<u32> =
                    (0..300).map(|row| (0..trees.len()).map(|tree| path(tree, row)).sum()).collect();
                levels::for_each(|level| {
                    let mut sums = vec![0; 300];
                    trees.engine(300).add_any(rows, &mut Block::default(), &mut sums);
                    assert_eq!(sums, expected, "{width} columns, {level:?}");
                });
                let mut sums = vec![0; 300];
                (0..trees.len()).for_each(|tree| trees.add_tree(tree, rows, &mut Block::default(), &mut sums));
                assert_eq!(sums, expected, "{width} columns, tree by tree");
            }
        }
    }
}

#[test]
fn trees_of_values_are_those_of_ranks() {
    for width in [1, 3, 8, 40] {
        let whole = table(width, |_, _| false);
        let gaps = table(width, |i, j| width > 1 && j == i % width);
        let config = IsolationForestConfig { n_trees: 7, ..IsolationForestConfig::standard() };
        let model = IsolationForest::new(config).unwrap().fit_values(whole.view()).unwrap();
        for rows in [&whole, &gaps].map(|table| table.as_slice().unwrap()) {
            let trees = &model.trees[0];
            let (mut tree_by_tree, mut together) = (vec![0; 300], vec![0; 300]);
            (0..7).for_each(|tree| trees.add_tree(tree, rows, &mut Block::default(), &mut tree_by_tree));
            trees.engine(300).add_any(rows, &mut Block::default(), &mut together);
            assert_eq!(tree_by_tree, together, "{width} columns");
        }
    }
}

/// `cargo test --release -p funnelpulse-iforest --lib -- --ignored --nocapture speed_of`
#[test]
#[ignore = "prints times"]
#[allow(clippy::print_stdout, reason = "a benchmark of what only tests can force")]
fn speed_of_every_set_of_instructions() {
    const ROWS: usize = 16_384;
    for width in [8, 32] {
        let whole = noise_frame(ROWS, width, 1).values().to_owned();
        let mut gaps = whole.clone();
        (0..ROWS).for_each(|row| gaps[[row, row / (ROWS / width)]] = f64::NAN);
        let config = IsolationForestConfig::standard();
        let model = IsolationForest::new(config).unwrap().fit_values(whole.view()).unwrap();
        let Trees::Axis(trees) = &model.trees[0] else { unreachable!("standard forests are of this kind") };
        let sweep = trees.sweep().expect("small trees");
        for (name, table) in [("whole rows", &whole), ("a gap per row", &gaps)] {
            levels::for_each(|level| {
                let (mut scratch, mut best) = (axis::Scratch::default(), f64::INFINITY);
                for _ in 0..10 {
                    let start = Instant::now();
                    for rows in table.as_slice().unwrap().chunks(1024 * width) {
                        let mut sums = vec![0; 1024];
                        match name {
                            "whole rows" => trees.sweep_whole(&sweep, rows, &mut scratch, &mut sums),
                            _ => trees.sweep_any(&sweep, rows, &mut scratch, &mut sums),
                        }
                        black_box(sums);
                    }
                    best = best.min(start.elapsed().as_secs_f64());
                }
                let per_tree = 1e9 * best / (ROWS * model.n_trees()) as f64;
                println!("{width} columns, {name}, {level:?}: {per_tree:.2} ns per row and tree");
            });
        }
    }
}
