//! Several rows of one window.

use funnelpulse_core::Timestamp;
use funnelpulse_features::Duplicates;
use ndarray::Array2;

use super::Rows;

impl Rows<'_> {
    /// One row per window, of rows in order of time. Fails with two rows that contradict each other
    /// where that is an error.
    pub(super) fn merge(&self, rows: Vec<(Timestamp, usize)>) -> Result<(Vec<Timestamp>, Array2<f64>), (usize, usize)> {
        let width = self.metrics.len();
        let mut times: Vec<Timestamp> = Vec::with_capacity(rows.len());
        let mut values: Vec<f64> = Vec::with_capacity(rows.len() * width);
        for window in rows.chunk_by(|a, b| a.0 == b.0) {
            times.push(window[0].0);
            if let Duplicates::Error = self.duplicates
                && let Some((_, other)) = window.iter().find(|(_, row)| !self.same(window[0].1, *row))
            {
                return Err((window[0].1, *other));
            }
            for metric in 0..width {
                let cells = window.iter().map(|(_, row)| self.metrics[metric].values[*row]);
                values.push(self.one(cells));
            }
        }
        let shape = (times.len(), width);
        Ok((times, Array2::from_shape_vec(shape, values).expect("a value per row and metric")))
    }

    /// Whether two rows have the same metrics.
    fn same(&self, a: usize, b: usize) -> bool {
        self.metrics.iter().all(|metric| {
            let (a, b) = (metric.values[a], metric.values[b]);
            a == b || (a.is_nan() && b.is_nan())
        })
    }

    /// One value of several. What is missing in some rows is taken from the others.
    fn one(&self, cells: impl DoubleEndedIterator<Item = f64> + ExactSizeIterator) -> f64 {
        if cells.len() == 1 {
            return cells.into_iter().next().unwrap_or(f64::NAN);
        }
        let mut known = cells.filter(|value| !value.is_nan());
        match self.duplicates {
            Duplicates::Error | Duplicates::First => known.next().unwrap_or(f64::NAN),
            Duplicates::Last => known.next_back().unwrap_or(f64::NAN),
            Duplicates::Sum => known.reduce(|a, b| a + b).unwrap_or(f64::NAN),
            Duplicates::Mean => {
                let (sum, count) = known.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
                sum / f64::from(count)
            }
        }
    }
}
