//! A checked copy of a signal.

use ndarray::ArrayView2;

use crate::ChangepointError;

/// Values beyond this have squares and products that overflow.
pub(crate) const LARGEST: f64 = 1e100;

/// Rows of finite values, row after row.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) n: usize,
    pub(crate) d: usize,
    pub(crate) values: Vec<f64>,
}

impl Signal {
    pub(crate) fn new(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        Self::checked(values, |v| v.abs() <= LARGEST, "at most 1e100 either side of zero; leave missing rows out")
    }

    /// Counts and weights.
    pub(crate) fn nonnegative(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        Self::checked(values, |v| (0.0..=LARGEST).contains(&v), "0 to 1e100; leave missing rows out")
    }

    fn checked(
        values: ArrayView2<'_, f64>,
        is_right: impl Fn(f64) -> bool,
        allowed: &'static str,
    ) -> Result<Self, ChangepointError> {
        let (n, d) = values.dim();
        if let Some(((row, column), &value)) = values.indexed_iter().find(|(_, v)| !is_right(**v)) {
            return Err(ChangepointError::Value { row, column, value, allowed });
        }
        if n == 0 || d == 0 {
            return Err(ChangepointError::TooShort { rows: 0, needed: 1, segments: 1 });
        }
        Ok(Self { n, d, values: values.iter().copied().collect() })
    }

    pub(crate) fn require(&self, what: &'static str, d: usize, allowed: &'static str) -> Result<(), ChangepointError> {
        if self.d == d { Ok(()) } else { Err(ChangepointError::Columns { what, columns: self.d, allowed }) }
    }

    /// Subtracts the mean of each column, so that sums of squares keep their digits.
    pub(crate) fn center(mut self) -> Self {
        for column in 0..self.d {
            let mean = self.values.iter().skip(column).step_by(self.d).map(|v| v / self.n as f64).sum::<f64>();
            self.values.iter_mut().skip(column).step_by(self.d).for_each(|v| *v -= mean);
        }
        self
    }

    /// Running sums of what `of` makes of each row; the first row of sums is zero.
    pub(crate) fn prefix_sums(&self, width: usize, of: impl Fn(&[f64], &mut [f64])) -> Vec<f64> {
        let mut sums = vec![0.0; (self.n + 1) * width];
        let mut term = vec![0.0; width];
        for (i, row) in self.values.chunks_exact(self.d).enumerate() {
            of(row, &mut term);
            for (j, term) in term.iter().enumerate() {
                sums[(i + 1) * width + j] = sums[i * width + j] + term;
            }
        }
        sums
    }
}
