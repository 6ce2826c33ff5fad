//! Comparison of several detectors over several series (Demšar 2006, "Statistical comparisons of classifiers over
//! multiple data sets").

use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF, Normal};

/// Most pairs for which the distribution of the signed-rank statistic is counted out; above, it is normal.
const EXACT_PAIRS: usize = 50;
/// Steps of the integral over the range of normal variables.
const STEPS: usize = 2000;

/// Mean rank of each detector over the rows of `figures` (series by detectors, larger is better). The best has
/// rank 1; equal figures share the mean of their ranks.
///
/// ```
/// use funnelpulse_eval::bench::mean_ranks;
///
/// assert_eq!(mean_ranks(&[vec![0.9, 0.5, 0.5], vec![0.8, 0.1, 0.9]]), [1.5, 2.75, 1.75]);
/// ```
pub fn mean_ranks(figures: &[Vec<f64>]) -> Vec<f64> {
    let detectors = figures.first().map_or(0, Vec::len);
    let mut sums = vec![0.0; detectors];
    for row in figures {
        let negated: Vec<f64> = row.iter().map(|v| -v).collect();
        for (sum, rank) in sums.iter_mut().zip(ranks(&negated)) {
            *sum += rank;
        }
    }
    sums.into_iter().map(|sum| sum / figures.len().max(1) as f64).collect()
}

/// Ranks from 1, the smallest first; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let equal = order[start..].iter().take_while(|&&i| values[i] == values[order[start]]).count();
        for &i in &order[start..start + equal] {
            ranks[i] = start as f64 + (equal as f64 + 1.0) / 2.0;
        }
        start += equal;
    }
    ranks
}

/// The p-value of the Friedman test, corrected for ties: how likely differences of mean ranks as large as these
/// are among detectors that are all alike. `None` for fewer than three detectors or two series.
///
/// ```
/// use funnelpulse_eval::bench::friedman;
///
/// let clear: Vec<Vec<f64>> = (0..10).map(|_| vec![0.9, 0.5, 0.1]).collect();
/// assert!(friedman(&clear).unwrap() < 1e-4);
/// ```
pub fn friedman(figures: &[Vec<f64>]) -> Option<f64> {
    let (n, k) = (figures.len() as f64, figures.first()?.len() as f64);
    if k < 3.0 || n < 2.0 {
        return None;
    }
    let means = mean_ranks(figures);
    let spread: f64 = means.iter().map(|r| (r - f64::midpoint(k, 1.0)).powi(2)).sum();
    // Of one series with k different figures it would be k (k^2 - 1) / 12.
    let within: f64 =
        figures.iter().map(|row| ranks(row).iter().map(|r| (r - f64::midpoint(k, 1.0)).powi(2)).sum::<f64>()).sum();
    if within == 0.0 {
        return Some(1.0);
    }
    let statistic = (k - 1.0) * n * n * spread / within;
    Some(ChiSquared::new(k - 1.0).ok()?.sf(statistic))
}

/// The difference of mean ranks from which on two of `detectors` differ at the level `alpha` (Nemenyi 1963), over so
/// many series. `None` for fewer than two detectors or no series.
///
/// ```
/// use funnelpulse_eval::bench::nemenyi_critical_difference;
///
/// // Demšar 2006, section 3.2.2: four classifiers on 14 data sets.
/// assert!((nemenyi_critical_difference(4, 14, 0.05).unwrap() - 1.25).abs() < 0.01);
/// ```
pub fn nemenyi_critical_difference(detectors: usize, series: usize, alpha: f64) -> Option<f64> {
    if detectors < 2 || series == 0 {
        return None;
    }
    let (k, n) = (detectors as f64, series as f64);
    Some(studentized_range(k, 1.0 - alpha)? / std::f64::consts::SQRT_2 * (k * (k + 1.0) / (6.0 * n)).sqrt())
}

/// The quantile of the range of `k` independent standard normal variables.
fn studentized_range(k: f64, probability: f64) -> Option<f64> {
    let normal = Normal::standard();
    // One of the k is the least, z; the others lie within q above it.
    let below = |q: f64| {
        let (low, high) = (-8.0, 8.0);
        let step = (high - low) / STEPS as f64;
        let density = |i: usize| {
            let z = low + i as f64 * step;
            let weight = if i == 0 || i == STEPS { 1.0 } else { f64::from(2 + 2 * (i as u32 % 2)) };
            weight * normal.pdf(z) * (normal.cdf(z + q) - normal.cdf(z)).powf(k - 1.0)
        };
        k * (0..=STEPS).map(density).sum::<f64>() * step / 3.0
    };
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if below(middle) < probability { low = middle } else { high = middle }
    }
    (0.0..1.0).contains(&probability).then_some(high)
}

/// The two-sided p-value of Wilcoxon's signed-rank test of paired figures: how likely a difference as consistent as
/// this one is between detectors that are alike. Equal pairs are left out. Exact for up to 50 pairs without ties.
///
/// ```
/// use funnelpulse_eval::bench::wilcoxon_signed_rank;
///
/// let (a, b) = ([0.5, 0.6, 0.7, 0.8, 0.9, 0.4], [0.4, 0.4, 0.4, 0.4, 0.4, 0.3999]);
/// assert!((wilcoxon_signed_rank(&a, &b) - 0.03125).abs() < 1e-12);
/// ```
pub fn wilcoxon_signed_rank(a: &[f64], b: &[f64]) -> f64 {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).filter(|d| *d != 0.0).collect();
    let n = differences.len();
    if n == 0 {
        return 1.0;
    }
    let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
    let ranks = ranks(&sizes);
    let above: f64 = ranks.iter().zip(&differences).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
    let total = (n * (n + 1)) as f64 / 2.0;
    let least = above.min(total - above);
    let mut sorted = sizes;
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tie| (tie.len() as f64).powi(3) - tie.len() as f64).sum();
    if n <= EXACT_PAIRS && ties == 0.0 {
        return exact(n, least as usize);
    }
    let n = n as f64;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    (2.0 * Normal::standard().cdf((least - total / 2.0) / variance.sqrt())).min(1.0)
}

/// Twice the share of the sets of the ranks 1 to n whose sum is at most `least`.
fn exact(n: usize, least: usize) -> f64 {
    let mut share = vec![0.0; least + 1];
    share[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..=least).rev() {
            let with = if sum >= rank { share[sum - rank] } else { 0.0 };
            share[sum] = f64::midpoint(share[sum], with);
        }
    }
    (2.0 * share.iter().sum::<f64>()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 5 of Demšar 2006: critical values of the two-tailed Nemenyi test at 0.05 for 2 to 10 classifiers.
    #[test]
    fn critical_values_are_those_of_the_published_table() {
        for (k, q) in [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (10, 3.164)] {
            let found = studentized_range(f64::from(k), 0.95).unwrap() / std::f64::consts::SQRT_2;
            assert!((found - q).abs() < 2e-3, "{k}: {found}");
        }
        assert_eq!(nemenyi_critical_difference(1, 10, 0.05), None);
    }

    /// `scipy.stats` 1.17: `friedmanchisquare` of the columns, `wilcoxon` of the first two and of pairs without ties.
    #[test]
    fn tests_agree_with_scipy() {
        let figures: Vec<Vec<f64>> = [
            [0.763, 0.768, 0.771, 0.798],
            [0.599, 0.591, 0.590, 0.569],
            [0.954, 0.971, 0.968, 0.967],
            [0.628, 0.661, 0.654, 0.657],
            [0.882, 0.888, 0.886, 0.898],
            [0.936, 0.931, 0.916, 0.931],
            [0.661, 0.668, 0.609, 0.685],
            [0.583, 0.583, 0.563, 0.625],
            [0.775, 0.838, 0.866, 0.875],
            [1.000, 1.000, 1.000, 1.000],
            [0.940, 0.962, 0.965, 0.962],
            [0.619, 0.666, 0.614, 0.669],
            [0.972, 0.981, 0.9751, 0.975],
            [0.957, 0.978, 0.946, 0.970],
        ]
        .iter()
        .map(|row| row.to_vec())
        .collect();
        assert_eq!(mean_ranks(&figures).iter().map(|r| (r * 28.0).round()).collect::<Vec<_>>(), MEAN_RANKS);
        assert!((friedman(&figures).unwrap() - FRIEDMAN).abs() < 1e-9, "{:?}", friedman(&figures));
        let column = |j: usize| figures.iter().map(|row| row[j]).collect::<Vec<f64>>();
        let p = wilcoxon_signed_rank(&column(0), &column(1));
        assert!((p - WILCOXON).abs() < 1e-9, "{p}");
        let (a, b) = ([0.12, 0.43, 0.77, 0.35, 0.91, 0.66, 0.28, 0.59], [0.1, 0.5, 0.6, 0.3, 0.7, 0.69, 0.2, 0.4]);
        assert_eq!(wilcoxon_signed_rank(&a, &b), 0.109375);
    }

    const MEAN_RANKS: [f64; 4] = [88.0, 56.0, 81.0, 55.0];
    const FRIEDMAN: f64 = 0.016721580328441323;
    const WILCOXON: f64 = 0.01075713311978963;
}
