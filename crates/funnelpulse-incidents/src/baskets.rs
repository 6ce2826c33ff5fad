//! Counts that come in baskets: the compound negative binomial.
//!
//! Orders are negative binomial (Poisson with a gamma rate), each with a geometric number of
//! pieces. The count of pieces has no closed likelihood; it is tabulated once per series over the
//! logarithm of the mean number of orders and looked up from then on. Without baskets (a
//! dispersion of one) it is the negative binomial itself.

/// Counts from here on are told by the negative binomial of the same variance: baskets blur.
const COUNTS: usize = 96;
/// Logarithm of the mean number of orders: first and last, and steps between.
const FIRST: f64 = -7.0;
const LAST: f64 = 6.0;
const STEPS: usize = 105;

/// Log likelihoods of counts of one series, up to a constant per count.
#[derive(Clone, Debug)]
pub(crate) struct Baskets {
    /// Mean pieces per order.
    size: f64,
    dispersion: f64,
    shape: f64,
    /// `table[count * STEPS + step]`.
    table: Vec<f64>,
}

impl Baskets {
    /// For counts of variance `dispersion * mean + relative * mean^2`.
    pub(crate) fn new(dispersion: f64, relative: f64) -> Self {
        // Geometric sizes of mean b have a variance of b^2 - b: pieces vary by 2 b - 1 times their mean.
        let size = f64::midpoint(dispersion, 1.0);
        let shape = 1.0 / relative;
        let mut table = Vec::with_capacity(COUNTS * STEPS);
        let mut terms = Vec::with_capacity(COUNTS);
        for count in 0..COUNTS {
            log_terms(count, size, shape, &mut terms);
            for step in 0..STEPS {
                let orders = (FIRST + (LAST - FIRST) * step as f64 / (STEPS - 1) as f64).exp();
                table.push(log_likelihood(&terms, orders, shape));
            }
        }
        Self { size, dispersion, shape, table }
    }

    /// Log likelihood ratio of `count` at `factor` times the mean.
    pub(crate) fn ratio(&self, count: f64, mean: f64, factor: f64) -> f64 {
        let whole = count as usize;
        if whole >= COUNTS || count.fract() != 0.0 {
            return self.blurred(count, mean, factor);
        }
        let row = &self.table[whole * STEPS..(whole + 1) * STEPS];
        lookup(row, (mean * factor / self.size).ln()) - lookup(row, (mean / self.size).ln())
    }

    /// The same by the negative binomial in units of the dispersion.
    fn blurred(&self, count: f64, mean: f64, factor: f64) -> f64 {
        let (y, m) = (count / self.dispersion, mean / self.dispersion);
        y * factor.ln() - (y + self.shape) * ((factor - 1.0) * m / (self.shape + m)).ln_1p()
    }
}

/// Per number of orders, the part of the logarithm of the probability of `count` pieces that does
/// not depend on the mean.
fn log_terms(count: usize, size: f64, shape: f64, terms: &mut Vec<f64>) {
    terms.clear();
    if count == 0 {
        terms.push(0.0);
        return;
    }
    let more = 1.0 - 1.0 / size;
    // C(n + shape - 1, n) * C(count - 1, n - 1) * (1/b)^n * (1 - 1/b)^(count - n), from one n to the next.
    let mut log = shape.ln() - size.ln() + if count > 1 { (count - 1) as f64 * more.max(1e-12).ln() } else { 0.0 };
    terms.push(f64::NEG_INFINITY);
    for n in 1..=count {
        terms.push(log);
        let next = n as f64;
        log += ((shape + next) / (next + 1.0)).ln() + ((count as f64 - next) / next).ln()
            - size.ln()
            - more.max(1e-12).ln();
    }
}

fn log_likelihood(terms: &[f64], orders: f64, shape: f64) -> f64 {
    let log_q = (orders / (shape + orders)).ln();
    let at = |(n, term): (usize, &f64)| term + n as f64 * log_q;
    let largest = terms.iter().enumerate().map(at).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().enumerate().map(|t| (at(t) - largest).exp()).sum();
    largest + sum.ln() - shape * (orders / shape).ln_1p()
}

/// Linear between the steps, level beyond them.
fn lookup(row: &[f64], log_orders: f64) -> f64 {
    let position = ((log_orders - FIRST) / (LAST - FIRST) * (STEPS - 1) as f64).clamp(0.0, (STEPS - 1) as f64);
    let step = (position as usize).min(STEPS - 2);
    let part = position - step as f64;
    row[step] * (1.0 - part) + row[step + 1] * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_pieces_are_negative_binomial() {
        let baskets = Baskets::new(1.0, 0.1);
        for (count, mean, factor) in [(0.0, 3.0, 0.3), (4.0, 2.0, 2.5), (30.0, 25.0, 0.5), (7.0, 40.0, 0.1)] {
            let (table, formula) = (baskets.ratio(count, mean, factor), baskets.blurred(count, mean, factor));
            assert!((table - formula).abs() < 0.02 * formula.abs().max(1.0), "{count}: {table} and {formula}");
        }
    }

    #[test]
    fn no_order_means_no_piece() {
        // P(0) = (1 + orders / shape)^-shape, whatever the baskets.
        let baskets = Baskets::new(7.0, 0.1);
        let expected = 10.0 * ((1.0_f64 + 2.0 / 10.0).ln() - (1.0_f64 + 0.5 / 10.0).ln());
        assert!((baskets.ratio(0.0, 8.0, 0.25) - expected).abs() < 0.01);
    }

    #[test]
    fn probabilities_add_up_to_one() {
        let (size, shape, orders) = (3.0, 8.0, 1.5);
        let mut terms = Vec::new();
        let total: f64 = (0..200)
            .map(|count| {
                log_terms(count, size, shape, &mut terms);
                log_likelihood(&terms, orders, shape).exp()
            })
            .sum();
        assert!((total - 1.0).abs() < 1e-9, "{total}");
    }
}
