//! Which rows a tree is grown on.

use rand::{RngExt, seq::index};
use rand_pcg::Pcg64;

/// Every tree draws from its own stream, so that trees can be grown in any order.
pub(crate) fn tree_rng(seed: u64, tree: u64) -> Pcg64 {
    // The increment of a PCG selects the stream; the constant spreads neighbouring seeds.
    Pcg64::new(u128::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835), u128::from(tree))
}

/// True if a row can be trained on: it has a value, and none is infinite.
pub(crate) fn is_usable(row: &[f64]) -> bool {
    row.iter().any(|v| !v.is_nan()) && !row.iter().any(|v| v.is_infinite())
}

/// True if no value is missing or infinite: as a sum of bits, several values at a time.
pub(crate) fn all_finite(values: &[f64]) -> bool {
    const EXPONENT: u64 = 0x7FF << 52;
    values.iter().fold(0, |bits, v| bits | ((v.to_bits() & EXPONENT) + (1 << 52))) >> 63 == 0
}

/// The rows that may be drawn.
#[derive(Debug)]
pub(crate) struct Population {
    /// Their indices; `None` when that is all of them.
    usable: Option<Vec<u32>>,
    n: usize,
    /// True if the rows were looked at.
    scanned: bool,
    /// A weight per usable row.
    weights: Option<Vec<f64>>,
    bootstrap: bool,
}

impl Population {
    /// All of `n` rows, none of which was looked at.
    pub(crate) fn unseen(n: usize, bootstrap: bool) -> Self {
        Self { usable: None, n, scanned: false, weights: None, bootstrap }
    }

    /// The usable rows of `values` (row after row, `width` values each) and, with `weights`, of a weight
    /// above 0.
    pub(crate) fn new(values: &[f64], width: usize, weights: Option<&[f64]>, bootstrap: bool) -> Self {
        let rows = values.len() / width;
        let keeps =
            |row: usize| weights.is_none_or(|w| w[row] > 0.0) && is_usable(&values[row * width..(row + 1) * width]);
        let n = (0..rows).filter(|&row| keeps(row)).count();
        let usable = (n < rows).then(|| (0..rows as u32).filter(|&row| keeps(row as usize)).collect::<Vec<_>>());
        let weights = weights.map(|w| match &usable {
            Some(usable) => usable.iter().map(|&row| w[row as usize]).collect(),
            None => w.to_vec(),
        });
        Self { usable, n, scanned: true, weights, bootstrap }
    }

    /// Number of rows that may be drawn.
    pub(crate) fn len(&self) -> usize {
        self.n
    }

    /// True if a row may be drawn; of rows that were not looked at, any.
    pub(crate) fn admits(&self, row: usize) -> bool {
        self.usable.as_ref().is_none_or(|usable| usable.binary_search(&(row as u32)).is_ok())
    }

    /// True if the rows were looked at, so that only rows with values are drawn.
    pub(crate) fn is_scanned(&self) -> bool {
        self.scanned
    }

    /// Draws `samples` rows into `rows`.
    pub(crate) fn draw(&self, samples: usize, rng: &mut Pcg64, rows: &mut Vec<u32>) {
        rows.clear();
        match (&self.weights, self.bootstrap) {
            (None, true) => rows.extend((0..samples).map(|_| rng.random_range(0..self.n as u32))),
            (None, false) => return self.draw_distinct(samples, rng, rows),
            (Some(weights), bootstrap) => weighted(weights, samples, bootstrap, rng, rows),
        }
        self.find(rows);
    }

    /// Draws `samples` different rows into `rows`, each as likely as any other.
    pub(crate) fn draw_distinct(&self, samples: usize, rng: &mut Pcg64, rows: &mut Vec<u32>) {
        rows.clear();
        rows.extend(index::sample(rng, self.n, samples).into_iter().map(|i| i as u32));
        self.find(rows);
    }

    /// From numbers among the usable rows to rows of the table.
    fn find(&self, rows: &mut [u32]) {
        if let Some(usable) = &self.usable {
            for row in rows {
                *row = usable[*row as usize];
            }
        }
    }
}

/// With replacement by inversion of the cumulative weights; without, the rows with the largest
/// `ln(u) / w` (Efraimidis & Spirakis 2006).
fn weighted(weights: &[f64], samples: usize, bootstrap: bool, rng: &mut Pcg64, rows: &mut Vec<u32>) {
    if bootstrap {
        let mut total = 0.0;
        let cumulative: Vec<f64> = weights
            .iter()
            .map(|w| {
                total += w;
                total
            })
            .collect();
        let draw = |_| {
            let u = rng.random::<f64>() * total;
            cumulative.partition_point(|&c| c <= u).min(weights.len() - 1) as u32
        };
        rows.extend((0..samples).map(draw));
    } else {
        let mut keys: Vec<(f64, u32)> =
            weights.iter().zip(0..).map(|(w, row)| ((1.0 - rng.random::<f64>()).ln() / w, row)).collect();
        keys.select_nth_unstable_by(samples - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        rows.extend(keys[..samples].iter().map(|&(_, row)| row));
    }
}

/// The columns that a tree may split: all, or `features` random ones.
pub(crate) fn choose_columns(width: usize, features: usize, rng: &mut Pcg64, columns: &mut Vec<u16>) {
    columns.clear();
    if features < width {
        columns.extend(index::sample(rng, width, features).into_iter().map(|column| column as u16));
    } else {
        columns.extend(0..width as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_values_and_without_weight_are_not_drawn() {
        let values = [1.0, f64::NAN, 3.0, 4.0];
        let population = Population::new(&values, 1, Some(&[1.0, 1.0, 0.0, 2.0]), false);
        assert_eq!(population.len(), 2);
        let mut rows = Vec::new();
        population.draw(2, &mut tree_rng(1, 0), &mut rows);
        rows.sort_unstable();
        assert_eq!(rows, [0, 3]);
    }

    #[test]
    fn weights_are_probabilities() {
        let weights = [1.0, 2.0, 3.0, 4.0];
        for bootstrap in [false, true] {
            let population = Population::new(&[0.0; 4], 1, Some(&weights), bootstrap);
            let (mut rows, mut counts) = (Vec::new(), [0.0; 4]);
            for tree in 0..20_000 {
                population.draw(1, &mut tree_rng(3, tree), &mut rows);
                counts[rows[0] as usize] += 1.0 / 20_000.0;
            }
            for (count, weight) in counts.iter().zip(weights) {
                assert!((count - weight / 10.0).abs() < 0.015, "{counts:?}");
            }
        }
    }
}
