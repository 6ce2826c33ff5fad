//! One scale for all columns, so that directions through several of them mean something.

use serde::{Deserialize, Serialize};

/// Largest scaled value and coefficient: 65,535 products of them add up to less than f32 can hold.
pub(super) const LIMIT: f32 = 1e16;

/// Center (median) and spread (standard deviation) of each column in a sample of training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(f64, f64)>", into = "Vec<(f64, f64)>")]
pub(crate) struct Scale(Vec<(f64, f64)>);

impl Scale {
    /// Learns from the given `rows` of `table`, `width` values per row.
    pub(crate) fn fit(table: &[f64], width: usize, rows: &[u32]) -> Self {
        let column = |column: usize| {
            let mut values: Vec<f64> =
                rows.iter().map(|&row| table[row as usize * width + column]).filter(|v| !v.is_nan()).collect();
            if values.is_empty() {
                return (0.0, 1.0);
            }
            let middle = values.len() / 2;
            let center = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
            // In units of the largest deviation: squares of 1e300 overflow, those of 1e-300 vanish.
            let deviation = |v: &f64| (v - center).abs().min(f64::MAX);
            let largest = values.iter().map(deviation).fold(0.0, f64::max);
            let squares: f64 = values.iter().map(|v| (deviation(v) / largest).powi(2)).sum();
            let spread = largest * (squares / values.len() as f64).sqrt();
            (center, if spread > 0.0 { spread } else { 1.0 })
        };
        Self((0..width).map(column).collect())
    }

    pub(crate) fn width(&self) -> usize {
        self.0.len()
    }

    /// Scaled values of rows that lie one after the other.
    pub(crate) fn apply(&self, rows: &[f64], scaled: &mut Vec<f32>) {
        scaled.clear();
        for row in rows.chunks_exact(self.0.len()) {
            for (&value, &(center, spread)) in row.iter().zip(&self.0) {
                scaled.push((((value - center) / spread) as f32).clamp(-LIMIT, LIMIT));
            }
        }
    }
}

impl From<Scale> for Vec<(f64, f64)> {
    fn from(scale: Scale) -> Self {
        scale.0
    }
}

impl TryFrom<Vec<(f64, f64)>> for Scale {
    type Error = &'static str;

    fn try_from(columns: Vec<(f64, f64)>) -> Result<Self, Self::Error> {
        let valid = |&(center, spread): &(f64, f64)| center.is_finite() && spread.is_finite() && spread > 0.0;
        if !columns.is_empty() && columns.len() <= 65_535 && columns.iter().all(valid) {
            Ok(Self(columns))
        } else {
            Err("a column is scaled by a finite center and a positive spread")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_columns_stay_finite() {
        let table = [1e300, 5e-324, 1.0, -1e300, 0.0, 1.0, 0.0, 1e-320, f64::NAN];
        let scale = Scale::fit(&table, 3, &[0, 1, 2]);
        let mut scaled = Vec::new();
        scale.apply(&table, &mut scaled);
        assert!(scaled[..8].iter().all(|v| v.is_finite()), "{scaled:?}");
        assert!(scaled[8].is_nan());
        assert!(scaled[0] > 1.0 && scaled[3] < -1.0);
    }
}
