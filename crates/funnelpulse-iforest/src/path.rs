//! Path lengths, and the fixed point that they are added up in.

/// Fixed-point steps per unit of path length. Sums of integers don't depend on their order: every
/// kernel, block size and number of threads gives the same bits.
pub(crate) const STEPS: f64 = 1024.0;

/// Average path length of an unsuccessful search in a binary search tree of `n` keys
/// (Liu, Ting & Zhou 2008, equation 1), with the exact harmonic number for small `n`.
pub(crate) fn average_path_length(n: usize) -> f64 {
    let harmonic = |k: usize| -> f64 {
        if k < 64 {
            (1..=k).map(|i| 1.0 / i as f64).sum()
        } else {
            let k = k as f64;
            k.ln() + 0.577_215_664_901_532_9 + 0.5 / k - 1.0 / (12.0 * k * k)
        }
    };
    if n < 2 { 0.0 } else { 2.0 * harmonic(n - 1) - 2.0 * (n - 1) as f64 / n as f64 }
}

/// A path length in fixed point. As many splits, or as many doublings of the density, as there are
/// steps for are as deep as it gets.
pub(crate) fn fixed(path: f64) -> u16 {
    // `as` saturates.
    (path * STEPS).round() as u16
}

/// The same of a number of splits.
pub(crate) fn fixed_depth(splits: usize) -> u16 {
    (splits * STEPS as usize).min(usize::from(u16::MAX)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_path_length_is_continuous_and_right() {
        assert_eq!(average_path_length(1), 0.0);
        assert_eq!(average_path_length(2), 1.0);
        // 2 H(255) - 2 * 255 / 256
        assert!((average_path_length(256) - 10.248_689_925).abs() < 1e-8, "{}", average_path_length(256));
        assert!((average_path_length(65) - average_path_length(64)).abs() < 0.05);
    }

    #[test]
    fn fixed_point_saturates() {
        assert_eq!(fixed(3.0), 3 * 1024);
        assert_eq!(fixed(1e9), u16::MAX);
        assert_eq!(fixed(-1.0), 0);
        assert!((0..100).all(|splits| fixed_depth(splits) == fixed(splits as f64)));
    }
}
