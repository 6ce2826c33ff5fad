//! Probabilities by the nearest rows.

use std::ops::Range;

use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use crate::cost::Signal;

/// The nearest rows of every row of one segment.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// Rows of the segment, `k` for each row.
    nearest: Vec<u32>,
    k: usize,
}

impl Neighbours {
    /// Those of the rows of a segment, `sqrt(rows)` of them, among the segment's rows. Of rows as near as each other,
    /// random ones.
    pub(super) fn new(signal: &Signal, rows: Range<usize>, rng: &mut Pcg64) -> Self {
        let n = rows.len();
        let k = n.isqrt().clamp(1, n - 1);
        let row = |i: usize| &signal.values[(rows.start + i) * signal.d..][..signal.d];
        let mut tie_breakers: Vec<u32> = (0..n as u32).collect();
        tie_breakers.shuffle(rng);
        let mut nearest = Vec::with_capacity(n * k);
        let mut others: Vec<(f64, u32, u32)> = Vec::with_capacity(n);
        for i in 0..n {
            let own = row(i);
            others.clear();
            others.extend((0..n).filter(|&j| j != i).map(|j| {
                let distance: f64 = own.iter().zip(row(j)).map(|(a, b)| (a - b) * (a - b)).sum();
                (distance, tie_breakers[j], j as u32)
            }));
            others.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            nearest.extend(others[..k].iter().map(|(_, _, j)| j));
        }
        Self { nearest, k }
    }

    /// For each row, the share of its nearest rows that are at row `split` or after it.
    pub(super) fn probabilities(&self, split: usize) -> Vec<f64> {
        let share = |nearest: &[u32]| nearest.iter().filter(|&&j| j as usize >= split).count() as f64 / self.k as f64;
        self.nearest.chunks_exact(self.k).map(share).collect()
    }
}

/// The signal with each column divided by its standard deviation; columns that do not vary become zero.
pub(super) fn scaled(signal: &Signal) -> Signal {
    let mut scaled = signal.clone().center();
    for column in 0..scaled.d {
        let own = || scaled.values.iter().skip(column).step_by(signal.d);
        // By the largest value first: squares of what a signal may hold can overflow.
        let largest = own().fold(0.0, |most: f64, v| most.max(v.abs()));
        let squares: f64 = own().map(|v| (v / largest).powi(2)).sum();
        let deviation = largest * (squares / signal.n as f64).sqrt();
        let factor = if largest > 0.0 { 1.0 / deviation } else { 0.0 };
        scaled.values.iter_mut().skip(column).step_by(signal.d).for_each(|v| *v *= factor);
    }
    scaled
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn shares_are_those_of_the_nearest_rows() {
        let values = Array2::from_shape_fn((9, 1), |(i, _)| [0.0, 1.0, 2.5, 4.5, 7.0, 10.0, 13.5, 17.5, 22.0][i]);
        let signal = Signal::new(values.view()).unwrap();
        let neighbours = Neighbours::new(&signal, 0..9, &mut Pcg64::seed_from_u64(1));
        // Three neighbours each; row 3 has rows 2, 4 and 1, row 8 rows 7, 6 and 5.
        let probabilities = neighbours.probabilities(4);
        assert_eq!(probabilities[0], 0.0);
        assert!((probabilities[3] - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(probabilities[8], 1.0);
    }

    #[test]
    fn equal_rows_are_neighbours_at_random() {
        // All rows are the same: neighbours say nothing, whatever the order.
        let signal = Signal::new(Array2::zeros((100, 2)).view()).unwrap();
        let neighbours = Neighbours::new(&signal, 0..100, &mut Pcg64::seed_from_u64(1));
        let probabilities = neighbours.probabilities(50);
        let mean = probabilities.iter().sum::<f64>() / 100.0;
        assert!((mean - 0.5).abs() < 0.35, "{mean}");
        assert_eq!(scaled(&signal).values, signal.values);
    }

    #[test]
    fn columns_are_scaled_to_deviation_one() {
        let values = Array2::from_shape_fn((50, 2), |(i, j)| (i as f64 * 0.7).sin() * [1e99, 1e-3][j] + 5.0);
        let signal = scaled(&Signal::new(values.view()).unwrap());
        for column in 0..2 {
            let squares: f64 = signal.values.iter().skip(column).step_by(2).map(|v| v * v).sum();
            assert!((squares / 50.0 - 1.0).abs() < 1e-9, "{squares}");
        }
    }
}
