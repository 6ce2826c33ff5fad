//! Logarithms of factorials: most counts are small, and then a table has them.

use std::sync::LazyLock;

use statrs::function::gamma::ln_gamma;

/// Counts in the table.
const KNOWN: usize = 1024;

static TABLE: LazyLock<Vec<f64>> = LazyLock::new(|| (0..KNOWN).map(|k| ln_gamma(k as f64 + 1.0)).collect());

/// `ln k!`; `k` need not be whole.
pub(super) fn ln_factorial(k: f64) -> f64 {
    // `as` saturates, and NaN becomes zero.
    let whole = k as usize;
    match TABLE.get(whole) {
        Some(known) if whole as f64 == k => *known,
        _ => ln_gamma(k + 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_function() {
        for k in [0.0, 1.0, 1.5, 17.0, 1023.0, 1024.0, 1e9] {
            assert_eq!(ln_factorial(k), ln_gamma(k + 1.0), "{k}");
        }
        assert!(ln_factorial(f64::NAN).is_nan());
    }
}
