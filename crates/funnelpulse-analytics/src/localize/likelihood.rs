//! The likelihood of a factor, given a leaf.

use super::table::Coded;

/// The factors that are tried, as logarithms: from a fiftieth to a hundred and fifty fold, in
/// steps of a quarter; nothing between the first steps on both sides of "as expected".
const LOG_FACTORS: [f64; 35] = {
    let mut grid = [0.0; 35];
    let mut i = 0;
    while i < 35 {
        grid[i] = if i < 16 { -4.0 + 0.25 * i as f64 } else { 0.25 + 0.25 * (i - 16) as f64 };
        i += 1;
    }
    grid
};

/// The median of a chi-squared variable with one degree of freedom.
pub(super) const CHI_SQUARED_MEDIAN: f64 = 0.4549;

/// Number of factors tried.
pub(super) const FACTORS: usize = LOG_FACTORS.len();

/// Per leaf and factor the log likelihood of the factor against "as expected".
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    observed: Vec<f64>,
    expected: Vec<f64>,
    /// Shape of the gamma spread, the inverse of the dispersion.
    shape: f64,
    table: Vec<[f64; FACTORS]>,
}

impl Evidence {
    pub(super) fn new(coded: &Coded, dispersion: f64) -> Self {
        let scaled = |v: &[f64]| v.iter().map(|v| v / coded.unit).collect::<Vec<f64>>();
        let (observed, mut expected) = (scaled(&coded.observed), scaled(&coded.expected));
        // A leaf that was never seen before: half an event is the smallest expectation that its
        // absence in the past supports.
        for (o, e) in observed.iter().zip(&mut expected) {
            if *e == 0.0 && *o > 0.0 {
                *e = 0.5_f64.min(*o);
            }
        }
        Self::judged(observed, expected, 1.0 / dispersion)
    }

    fn judged(observed: Vec<f64>, expected: Vec<f64>, shape: f64) -> Self {
        let growths = LOG_FACTORS.map(f64::exp_m1);
        let table = observed.iter().zip(&expected).map(|(o, e)| row(*o, *e, shape, &growths)).collect();
        Self { observed, expected, shape, table }
    }

    /// The same with the dispersion at which the median leaf deviates as much as expected by
    /// chance; `None` if that is not below the present one, or if there are too few leaves.
    pub(super) fn with_scatter_of_leaves(&self) -> Option<Self> {
        let shape = 1.0 / estimated_dispersion(&self.observed, &self.expected, 1.0 / self.shape)?;
        Some(Self::judged(self.observed.clone(), self.expected.clone(), shape))
    }

    pub(super) fn leaf(&self, leaf: usize) -> &[f64; FACTORS] {
        &self.table[leaf]
    }

    /// Multiplies the expectations of `members` by the best factor about that of the grid, which
    /// is returned.
    pub(super) fn apply(&mut self, members: &[u32], grid_index: usize) -> f64 {
        let at = |log_factor: f64| -> f64 {
            let growth = log_factor.exp_m1();
            let leaf = |i: &u32| {
                log_ratio(self.observed[*i as usize], self.expected[*i as usize], self.shape, log_factor, growth)
            };
            members.iter().map(leaf).sum()
        };
        let centre = LOG_FACTORS[grid_index];
        let factor = golden_section(at, centre - 0.25, centre + 0.25).exp();
        let growths = LOG_FACTORS.map(f64::exp_m1);
        for &i in members {
            let i = i as usize;
            self.expected[i] *= factor;
            self.table[i] = row(self.observed[i], self.expected[i], self.shape, &growths);
        }
        factor
    }
}

/// `growths` are the factors less one.
fn row(observed: f64, expected: f64, shape: f64, growths: &[f64; FACTORS]) -> [f64; FACTORS] {
    let mut row = LOG_FACTORS;
    for (value, growth) in row.iter_mut().zip(growths) {
        *value = log_ratio(observed, expected, shape, *value, *growth);
    }
    row
}

/// Log likelihood of `observed` at mean `expected * factor` less that at mean `expected`, negative
/// binomial; what depends on `observed` alone cancels. `growth` is the factor less one.
fn log_ratio(observed: f64, expected: f64, shape: f64, log_factor: f64, growth: f64) -> f64 {
    observed * log_factor - (observed + shape) * (expected * growth / (shape + expected)).ln_1p()
}

/// The dispersion below `most` at which the median leaf deviates as much as expected by chance, at
/// least a hundredth: no expected value is more exact than a tenth.
fn estimated_dispersion(observed: &[f64], expected: &[f64], most: f64) -> Option<f64> {
    // In a leaf with a smaller expected value dispersion is hidden by counting noise.
    let large = observed.iter().zip(expected).filter(|(_, e)| **e >= 2.0);
    let leaves: Vec<(f64, f64)> = large.map(|(o, e)| ((o - e).powi(2), *e)).collect();
    let excess = |dispersion: f64| {
        let residuals = leaves.iter().map(|(square, e)| square / (e + dispersion * e * e)).collect();
        crate::median(residuals).is_some_and(|median| median > CHI_SQUARED_MEDIAN)
    };
    if leaves.len() < 5 || excess(most) {
        return None;
    }
    let (mut low, mut high) = (0.01f64.min(most).ln(), most.ln());
    while high - low > 0.01 {
        let middle = f64::midpoint(low, high);
        if excess(middle.exp()) { low = middle } else { high = middle }
    }
    Some(high.exp())
}

fn golden_section(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const SECTION: f64 = 0.618_033_988_749_894_9;
    while high - low > 1e-6 {
        let (a, b) = (high - SECTION * (high - low), low + SECTION * (high - low));
        if f(a) >= f(b) { high = b } else { low = a }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_no_gap_but_at_one() {
        assert_eq!((LOG_FACTORS[0], LOG_FACTORS[15], LOG_FACTORS[16]), (-4.0, -0.25, 0.25));
        assert_eq!(LOG_FACTORS[34], 4.75);
        assert!(LOG_FACTORS.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn a_leaf_without_data_is_neutral_and_a_huge_one_is_bounded() {
        assert_eq!(log_ratio(0.0, 0.0, 4.0, 1.0, 1f64.exp_m1()), 0.0);
        let huge = log_ratio(1e9, 1e8, 4.0, 10f64.ln(), 9.0);
        // 4 * (10 - 1 - ln 10): the spread caps what one leaf can say.
        assert!((huge - 26.8).abs() < 0.1, "{huge}");
        assert!(log_ratio(100.0, 100.0, 4.0, 10f64.ln(), 9.0) < -3.0);
    }
}
