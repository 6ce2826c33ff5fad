//! Results of a detector, row by row.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Slice};

/// Result of one detector, one row per input row.
///
/// The **raw score** is on the detector's own scale; larger is more anomalous, NaN where the
/// detector can't say (warming up, or all its input is missing). Raw scores of different detectors
/// are made comparable by a [`Calibrator`](crate::Calibrator), nowhere else.
///
/// The optional parts have a row per input row and a column per column of the fitted detector.
///
/// ```
/// use funnelpulse_core::Detection;
/// use ndarray::array;
///
/// let detection = Detection::new(array![0.1, 3.2]).with_expected(array![[10.0], [11.0]]);
/// assert_eq!(detection.len(), 2);
/// assert!(detection.interval().is_none());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    score: Array1<f64>,
    expected: Option<Array2<f64>>,
    interval: Option<(Array2<f64>, Array2<f64>)>,
    contributions: Option<Array2<f64>>,
}

impl Detection {
    /// A detection with raw scores only.
    pub fn new(score: Array1<f64>) -> Self {
        Self { score, expected: None, interval: None, contributions: None }
    }

    /// Adds the values that the model expected, `n x d`: a row per score, a column per column of
    /// the model.
    ///
    /// # Panics
    /// When there is not one row per score.
    pub fn with_expected(mut self, expected: Array2<f64>) -> Self {
        self.check(&expected);
        self.expected = Some(expected);
        self
    }

    /// Adds the lower and upper end of the range in which the model expected the values, each `n x
    /// d`.
    ///
    /// # Panics
    /// When there is not one row per score.
    ///
    /// ```
    /// use funnelpulse_core::Detection;
    /// use ndarray::array;
    ///
    /// let detection = Detection::new(array![3.2]).with_interval(array![[9.0]], array![[13.0]]);
    /// let (lower, upper) = detection.interval().unwrap();
    /// assert_eq!(upper[[0, 0]] - lower[[0, 0]], 4.0);
    /// ```
    pub fn with_interval(mut self, lower: Array2<f64>, upper: Array2<f64>) -> Self {
        self.check(&lower);
        self.check(&upper);
        self.interval = Some((lower, upper));
        self
    }

    /// Adds the contribution of each column to the score, `n x d`: 0 is none, larger is more.
    ///
    /// # Panics
    /// When there is not one row per score.
    ///
    /// ```
    /// use funnelpulse_core::Detection;
    /// use ndarray::array;
    ///
    /// // The second of two columns is the reason.
    /// let detection = Detection::new(array![3.2]).with_contributions(array![[0.1, 0.9]]);
    /// assert_eq!(detection.contributions().unwrap().row(0).to_vec(), [0.1, 0.9]);
    /// ```
    pub fn with_contributions(mut self, contributions: Array2<f64>) -> Self {
        self.check(&contributions);
        self.contributions = Some(contributions);
        self
    }

    fn check(&self, part: &Array2<f64>) {
        assert_eq!(part.nrows(), self.score.len(), "one row per score");
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.score.len()
    }

    /// True if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.score.is_empty()
    }

    /// The raw scores.
    pub fn score(&self) -> ArrayView1<'_, f64> {
        self.score.view()
    }

    /// The expected values, if the model has them.
    pub fn expected(&self) -> Option<ArrayView2<'_, f64>> {
        self.expected.as_ref().map(|part| part.view())
    }

    /// Lower and upper end of the expected range, if the model has one.
    pub fn interval(&self) -> Option<(ArrayView2<'_, f64>, ArrayView2<'_, f64>)> {
        self.interval.as_ref().map(|(lower, upper)| (lower.view(), upper.view()))
    }

    /// Contribution of each column to the score, if the model explains itself.
    pub fn contributions(&self) -> Option<ArrayView2<'_, f64>> {
        self.contributions.as_ref().map(|part| part.view())
    }

    /// The result of some of the rows.
    ///
    /// # Panics
    /// When `rows` reaches beyond the last one.
    ///
    /// ```
    /// use funnelpulse_core::Detection;
    /// use ndarray::array;
    ///
    /// // The first row was context.
    /// let detection = Detection::new(array![0.0, 0.4, 3.2]).rows(1..3);
    /// assert_eq!(detection.score().to_vec(), [0.4, 3.2]);
    /// ```
    pub fn rows(self, rows: std::ops::Range<usize>) -> Self {
        if rows == (0..self.len()) {
            return self;
        }
        let range = Slice::from(rows);
        let part = |all: Array2<f64>| all.slice_axis(Axis(0), range).to_owned();
        Self {
            score: self.score.slice_axis(Axis(0), range).to_owned(),
            expected: self.expected.map(part),
            interval: self.interval.map(|(lower, upper)| (part(lower), part(upper))),
            contributions: self.contributions.map(part),
        }
    }

    /// The raw scores, owned.
    pub fn into_score(self) -> Array1<f64> {
        self.score
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn every_part_is_cut_to_the_same_rows() {
        let whole = Detection::new(array![1.0, 2.0, 3.0])
            .with_expected(array![[10.0], [20.0], [30.0]])
            .with_interval(array![[9.0], [19.0], [29.0]], array![[11.0], [21.0], [31.0]])
            .with_contributions(array![[0.1], [0.2], [0.3]]);
        assert_eq!(whole.len(), 3);
        let last = whole.rows(1..3);
        assert_eq!((last.len(), last.is_empty()), (2, false));
        assert_eq!(last.score(), array![2.0, 3.0]);
        assert_eq!(last.expected().unwrap(), array![[20.0], [30.0]]);
        let (lower, upper) = last.interval().unwrap();
        assert_eq!((lower, upper), (array![[19.0], [29.0]].view(), array![[21.0], [31.0]].view()));
        assert_eq!(last.contributions().unwrap(), array![[0.2], [0.3]]);
        let none = last.rows(0..0);
        assert_eq!((none.len(), none.is_empty()), (0, true));
    }
}
