//! The noise of a series around a level that may change.

use ndarray::ArrayView1;

/// An autoregression of order one, fitted through changes of level.
///
/// Chakar, Lebarbier, Lévy-Leduc & Robin (2017): differences over one and two rows hardly see a
/// few breaks, and the ratio of their spreads gives the autocorrelation,
/// `1 + rho = (spread_2 / spread_1)^2`. The spread is the median absolute difference.
///
/// ```
/// use funnelpulse_changepoint::noise::Ar1;
/// use ndarray::Array1;
///
/// // Alternating values: perfect negative correlation, so sums hardly vary.
/// let noise = Ar1::fit(Array1::from_shape_fn(100, |i| (i % 2) as f64).view());
/// assert!(noise.rho < -0.9 && noise.long_run_variance() < 0.01);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ar1 {
    /// Autocorrelation at lag one, within ±0.99.
    pub rho: f64,
    /// Variance of a value around its level.
    pub variance: f64,
}

/// Squared median absolute value of a normal variable, by its variance.
const MEDIAN_SQUARE: f64 = 0.454_936_423_119_572_8;

impl Ar1 {
    /// Fits to a series without NaN; zero variance for fewer than four values. Where more than half
    /// of the differences are zero, mean squares take
    /// the place of medians, the highest twentieth left out: breaks are no noise.
    pub fn fit(values: ArrayView1<'_, f64>) -> Self {
        let n = values.len();
        if n < 4 {
            return Self::default();
        }
        let differences = |lag: usize| -> Vec<f64> { (lag..n).map(|i| (values[i] - values[i - lag]).abs()).collect() };
        let spread = |lag: usize| {
            let mut sizes = differences(lag);
            let at = sizes.len() / 2;
            let (_, median, _) = sizes.select_nth_unstable_by(at, f64::total_cmp);
            *median * *median / MEDIAN_SQUARE
        };
        let mean_square = |lag: usize| {
            let mut sizes = differences(lag);
            sizes.sort_unstable_by(f64::total_cmp);
            sizes.truncate(sizes.len() - sizes.len() / 20);
            sizes.iter().map(|d| d * d / sizes.len() as f64).sum::<f64>()
        };
        let (mut one, mut two) = (spread(1), spread(2));
        if one == 0.0 || two == 0.0 && n < 20 {
            (one, two) = (mean_square(1), mean_square(2));
        }
        if !(one > 0.0 && one.is_finite() && two.is_finite()) {
            return Self::default();
        }
        let rho = (two / one - 1.0).clamp(-0.99, 0.99);
        Self { rho, variance: one / (2.0 * (1.0 - rho)) }
    }

    /// `n` times the variance of a mean of `n` values, for large `n`.
    pub fn long_run_variance(&self) -> f64 {
        self.variance * (1.0 + self.rho) / (1.0 - self.rho)
    }
}
