//! The median heuristic for the width of a Gaussian kernel.

use ndarray::ArrayView2;

use crate::{ChangepointError, cost::Signal};

/// `1 / median` of all `n (n - 1) / 2` squared distances between rows, 1 if the median is zero or
/// there is one row: the `gamma` that ruptures takes. The median of an even number is the mean of
/// the middle two.
///
/// Exact in `O(n)` memory. One column takes `O(n log n)` time: the distances within a sorted
/// column form a sorted matrix, in which counting how many lie below a bound is linear. **Two
/// columns or more take `O(n^2)` time**: four passes over all pairs, which sort them into the
/// sixteen-bit digits of the median, and eight passes if the number of pairs is even, for its two
/// middle values.
///
/// ```
/// use funnelpulse_changepoint::kernel::median_heuristic;
/// use ndarray::array;
///
/// // Squared distances 1, 9, 4.
/// assert_eq!(median_heuristic(array![[0.0], [1.0], [3.0]].view())?, 0.25);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
pub fn median_heuristic(values: ArrayView2<'_, f64>) -> Result<f64, ChangepointError> {
    Ok(gamma(&Signal::new(values)?))
}

pub(crate) fn gamma(signal: &Signal) -> f64 {
    let pairs = signal.n as u64 * (signal.n as u64 - 1) / 2;
    if pairs == 0 {
        return 1.0;
    }
    let (low, high) = ((pairs - 1) / 2, pairs / 2);
    let median = if signal.d == 1 {
        let mut sorted = signal.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let square = |rank| nth_distance(&sorted, rank).powi(2);
        if low == high { square(low) } else { f64::midpoint(square(low), square(high)) }
    } else {
        let lower = nth_square(signal, low);
        if low == high { lower } else { f64::midpoint(lower, nth_square(signal, high)) }
    };
    let gamma = 1.0 / median;
    if median > 0.0 && gamma.is_finite() { gamma } else { 1.0 }
}

/// Number of pairs of ascending values that are at most `bound` apart.
fn pairs_within(sorted: &[f64], bound: f64) -> u64 {
    let mut first = 0;
    let mut count = 0;
    for (i, &value) in sorted.iter().enumerate() {
        while value - sorted[first] > bound {
            first += 1;
        }
        count += (i - first) as u64;
    }
    count
}

/// The distance of rank `rank` (from zero) among all pairs: the smallest float within which lie
/// more than `rank` pairs. Floats that are not negative have the order of their bits.
fn nth_distance(sorted: &[f64], rank: u64) -> f64 {
    let (mut low, mut high) = bracket(sorted, rank);
    while low < high {
        let middle = low + (high - low) / 2;
        if pairs_within(sorted, f64::from_bits(middle)) > rank {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    f64::from_bits(low)
}

/// Bits between which the distance of rank `rank` lies, from a regular sample of the pairs.
fn bracket(sorted: &[f64], rank: u64) -> (u64, u64) {
    let n = sorted.len();
    let mut low = 0;
    let mut high = (sorted[n - 1] - sorted[0]).to_bits();
    if n < 64 {
        return (low, high);
    }
    let sample: Vec<f64> = (0..48).map(|i| sorted[i * (n - 1) / 47]).collect();
    let mut distances: Vec<f64> =
        (0..48).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| sample[i] - sample[j]).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let pairs = n as f64 * (n as f64 - 1.0) / 2.0;
    let guess = (rank as f64 / pairs * distances.len() as f64) as usize;
    let margin = distances.len() / 40;
    let bound = |index: usize| distances[index.min(distances.len() - 1)];
    let (below, above) = (bound(guess.saturating_sub(margin)), bound(guess + margin));
    if pairs_within(sorted, below) <= rank {
        low = below.to_bits();
    }
    if pairs_within(sorted, above) > rank {
        high = above.to_bits();
    }
    (low, high)
}

/// The squared distance of rank `rank` among all pairs of rows, by its sixteen-bit digits.
fn nth_square(signal: &Signal, mut rank: u64) -> f64 {
    let mut prefix = 0_u64;
    for shift in [48, 32, 16, 0] {
        let mut counts = vec![0_u64; 1 << 16];
        for (i, a) in signal.values.chunks_exact(signal.d).enumerate() {
            for b in signal.values[..i * signal.d].chunks_exact(signal.d) {
                let bits = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().to_bits();
                if shift == 48 || bits >> (shift + 16) == prefix {
                    counts[(bits >> shift) as usize & 0xFFFF] += 1;
                }
            }
        }
        let mut digit = 0;
        while counts[digit] <= rank {
            rank -= counts[digit];
            digit += 1;
        }
        prefix = prefix << 16 | digit as u64;
    }
    f64::from_bits(prefix)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    fn by_sorting(values: ArrayView2<'_, f64>) -> f64 {
        let mut squares = Vec::new();
        for (i, a) in values.rows().into_iter().enumerate() {
            for j in 0..i {
                squares.push(a.iter().zip(values.row(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
            }
        }
        squares.sort_unstable_by(f64::total_cmp);
        let n = squares.len();
        let median = f64::midpoint(squares[(n - 1) / 2], squares[n / 2]);
        if median > 0.0 { 1.0 / median } else { 1.0 }
    }

    proptest! {
        #[test]
        fn is_the_median_of_all_pairs(values in prop::collection::vec(-3i32..9, 4..150), scale in 1e-3..1e3f64, d in 1..3usize) {
            let values = Array2::from_shape_fn((values.len() / d, d), |(i, j)| f64::from(values[i * d + j]) * scale);
            prop_assert_eq!(median_heuristic(values.view()).unwrap(), by_sorting(values.view()));
        }
    }
}
