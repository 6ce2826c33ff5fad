//! Differences of the digamma function: derivatives of `ln (x (x + 1) ... (x + k - 1))`.

/// From here on the asymptotic series is right to 1e-12.
const ASYMPTOTIC: f64 = 8.0;

/// `psi(x + k) - psi(x)` and its derivative by `x`, for `x > 0` and `k >= 0`; `k` need not be whole.
///
/// Below eight by the recurrence `psi(x + 1) = psi(x) + 1 / x`, from there on by the asymptotic
/// series (Abramowitz & Stegun 1964, 6.3.18), term by term as differences: nothing cancels where
/// `k` is small against `x`.
pub(super) fn digamma_rise(x: f64, k: f64) -> (f64, f64) {
    let (mut rise, mut slope) = (0.0, 0.0);
    let mut a = x;
    while a < ASYMPTOTIC {
        let b = a + k;
        rise += k / (a * b);
        slope -= k / (a * b) * (1.0 / a + 1.0 / b);
        a += 1.0;
    }
    let (u, v) = (1.0 / a, 1.0 / (a + k));
    let (uu, vv) = (u * u, v * v);
    // Differences of the powers of u and v.
    let d1 = k * u * v;
    let d2 = d1 * (u + v);
    let d3 = d1 * (uu + u * v + vv);
    let d4 = d2 * (uu + vv);
    let d6 = d2 * (uu * uu + uu * vv + vv * vv);
    let d8 = d4 * (uu * uu + vv * vv);
    let d5 = u * d4 + vv * vv * d1;
    let d7 = u * d6 + vv * vv * vv * d1;
    rise += (k * u).ln_1p() + d1 / 2.0 + d2 / 12.0 - d4 / 120.0 + d6 / 252.0 - d8 / 240.0;
    slope -= d1 + d2 / 2.0 + d3 / 6.0 - d5 / 30.0 + d7 / 42.0;
    (rise, slope)
}

#[cfg(test)]
mod tests {
    use statrs::function::gamma::digamma;

    use super::*;

    #[test]
    fn agrees_with_the_digamma_function() {
        for x in [0.01, 0.5, 1.0, 3.7, 7.9, 8.0, 55.0, 1234.5] {
            for k in [0.0, 0.5, 1.0, 2.0, 17.0, 300.0, 1e5] {
                let (rise, slope) = digamma_rise(x, k);
                let exact = digamma(x + k) - digamma(x);
                assert!((rise - exact).abs() < 2e-10 * exact.abs().max(1.0), "{x} {k}: {rise} {exact}");
                let h = 1e-4 * x;
                let numeric = (digamma_rise(x + h, k).0 - digamma_rise(x - h, k).0) / (2.0 * h);
                assert!((slope - numeric).abs() <= 1e-6 * numeric.abs() + 1e-11, "{x} {k}: {slope} {numeric}");
            }
        }
    }

    /// With a whole `k` it is a sum of reciprocals, to the last digits also for large `x`.
    #[test]
    fn is_a_sum_of_reciprocals() {
        for x in [0.3, 40.0, 1e6, 1e9] {
            for k in [1, 5, 100] {
                let sum: f64 = (0..k).map(|j| 1.0 / (x + f64::from(j))).sum();
                let (rise, _) = digamma_rise(x, f64::from(k));
                assert!((rise / sum - 1.0).abs() < 1e-11, "{x} {k}: {rise} {sum}");
            }
        }
    }
}
