//! The dispersion of overdispersed counts by maximum likelihood.

use super::Family;

/// Rows with their linear predictors.
pub(crate) struct Counts<'a> {
    pub(crate) eta: &'a [f64],
    pub(crate) y: &'a [f64],
    pub(crate) exposure: Option<&'a [f64]>,
    pub(crate) weight: Option<&'a [f64]>,
}

impl Counts<'_> {
    /// The part of the log-likelihood that depends on the family.
    pub(super) fn log_likelihood(&self, family: &Family) -> f64 {
        let share = |i: usize| {
            let weight = self.weight.map_or(1.0, |w| w[i]);
            if weight == 0.0 {
                return 0.0;
            }
            let row = family.discrete(self.eta[i], self.exposure.map_or(1.0, |e| e[i]));
            weight * row.expect("only counts have a dispersion").ln_kernel(self.y[i])
        };
        (0..self.y.len()).map(share).sum()
    }
}

/// The maximum of a unimodal function between two positive numbers, to one part in two hundred.
pub(super) fn maximize(low: f64, high: f64, f: impl Fn(f64) -> f64) -> f64 {
    // A grid first: far from its maximum the likelihood is flat.
    let (from, to) = (low.ln(), high.ln());
    let steps = 8;
    let grid: Vec<f64> = (0..=steps).map(|i| from + (to - from) * f64::from(i) / f64::from(steps)).collect();
    let values: Vec<f64> = grid.iter().map(|x| f(x.exp())).collect();
    let best = values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
    golden_section(grid[best.saturating_sub(1)], grid[(best + 1).min(grid.len() - 1)], f)
}

/// The same within a factor of two of `present`; from its ends, once more beyond.
pub(super) fn near(present: f64, most: f64, f: impl Fn(f64) -> f64) -> f64 {
    let bracket = |center: f64| ((center / 2.0).ln(), (center * 2.0).min(most).ln());
    let (low, high) = bracket(present);
    let found = golden_section(low, high, &f);
    if (found.ln() - low).min(high - found.ln()) > 0.02 {
        return found;
    }
    let (low, high) = bracket(found);
    golden_section(low, high, &f)
}

/// Golden section between two logarithms.
fn golden_section(mut a: f64, mut b: f64, f: impl Fn(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    let (mut c, mut d) = (b - GOLDEN * (b - a), a + GOLDEN * (b - a));
    let (mut fc, mut fd) = (f(c.exp()), f(d.exp()));
    while b - a > 1e-2 {
        if fc > fd {
            (b, d, fd) = (d, c, fc);
            c = b - GOLDEN * (b - a);
            fc = f(c.exp());
        } else {
            (a, c, fc) = (c, d, fd);
            d = a + GOLDEN * (b - a);
            fd = f(d.exp());
        }
    }
    f64::midpoint(a, b).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_maximum() {
        let found = maximize(1e-9, 1e3, |x| -(x.ln() - 0.03_f64.ln()).powi(2));
        assert!((found / 0.03 - 1.0).abs() < 1e-2, "{found}");
        let found = near(0.01, 1e3, |x| -(x.ln() - 0.03_f64.ln()).powi(2));
        assert!((found / 0.03 - 1.0).abs() < 1e-2, "{found}");
        assert!(maximize(1e-9, 1e3, |x| -x) < 1e-8);
    }
}
