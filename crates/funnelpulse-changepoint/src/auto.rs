//! Breaks without a parameter.

use ndarray::{Array2, ArrayView1, Axis};

use crate::{
    ChangepointError,
    cost::{Cost, CostL2, CostLinearTrend},
    search::{Dynp, Partition},
};

/// Most breaks that are considered.
const MOST_BREAKS: usize = 12;
/// Shortest segment: this share of the rows, and this many.
const SHORTEST: (f64, usize) = (0.03, 5);
/// In long series the places for a break are spaced evenly, about this many of them.
const PLACES: usize = 2_000;
/// Residuals more autocorrelated than this are movement, not noise.
const MOST_CORRELATED: f64 = 0.8;
/// Noise is taken to be at least this share of the total variance: smaller changes can't be seen
/// in a plot of the whole.
const LEAST_NOISE: f64 = 0.25;
/// A value further from the median of the five around it than this many standard deviations of such
/// distances is an outlier.
const OUTLIER: f64 = 5.0;

/// The shape of the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentShape {
    /// Flat.
    Constant,
    /// Straight lines.
    Linear,
}

/// The result of [`find_partition`].
#[derive(Clone, Debug, PartialEq)]
pub struct AutoPartition {
    /// First row of each segment but the first, ascending.
    pub breaks: Vec<usize>,
    /// The shape of the segments.
    pub shape: SegmentShape,
}

/// Finds the breaks of a column without any parameter, whatever its scale, noise and trend.
///
/// 1. Single outliers give way to the median of their five rows; the column is standardised.
/// 2. The best segmentations with 0 to 12 breaks, into flat segments and into straight lines, come
///    from dynamic programming; segments have at least 3 % of the rows, and five.
/// 3. Among all of these the one with the lowest `RSS + s (breaks (p + 2) ln n + (p - 1) ln n +
///    sum ln(L / n))` is taken: modified BIC (Zhang & Siegmund 2007) with `p` parameters per segment
///    of length `L`.
/// 4. The noise `s` is the long-run variance of the residuals of the choice itself, which is an
///    autoregression's (lag one, corrected for the bias of short segments, at most .8). It starts
///    from a quarter of the total variance and rises until the choice bears it out.
///
/// Fewer than four rows and constants have no break. Values must be finite; leave missing ones
/// out. Above 2,000 rows breaks are found to within `n / 2000` rows.
///
/// ```
/// use funnelpulse_changepoint::auto::{SegmentShape, find_partition};
/// use ndarray::Array1;
///
/// let noise = |i: usize| ((i * 7919) % 13) as f64 / 13.0;
/// let steps = find_partition(Array1::from_shape_fn(200, |i| noise(i) + if i < 90 { 5.0 } else { 8.0 }).view())?;
/// assert_eq!((steps.breaks, steps.shape), (vec![90], SegmentShape::Constant));
/// let slope = find_partition(Array1::from_shape_fn(200, |i| noise(i) + 0.1 * i as f64).view())?;
/// assert_eq!((slope.breaks, slope.shape), (vec![], SegmentShape::Linear));
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
pub fn find_partition(values: ArrayView1<'_, f64>) -> Result<AutoPartition, ChangepointError> {
    let n = values.len();
    let none = AutoPartition { breaks: Vec::new(), shape: SegmentShape::Constant };
    // Refuses what is not finite.
    CostL2::new(values.insert_axis(Axis(1)))?;
    let Some(values) = standardized(values.iter().copied().collect()).filter(|_| n >= 4) else { return Ok(none) };
    let shortest = SHORTEST.1.max((SHORTEST.0 * n as f64) as usize).min((n / 4).max(2));
    let most = MOST_BREAKS.min(n / shortest - 1);
    let column = Array2::from_shape_fn((n, 1), |(i, _)| values[i]);
    let search = Dynp::new(shortest, n.div_ceil(PLACES))?;
    let mut candidates = Vec::new();
    let (flat, straight) = (CostL2::new(column.view())?, CostLinearTrend::new(column.view())?);
    for (shape, cost) in [(SegmentShape::Constant, &flat as &dyn Cost), (SegmentShape::Linear, &straight)] {
        candidates.extend(search.path(cost, most)?.into_iter().map(|partition| (shape, partition)));
    }
    let mut noise = LEAST_NOISE;
    loop {
        let criterion = |(shape, partition): &&(SegmentShape, Partition)| criterion(*shape, partition, n, noise);
        let best = candidates.iter().min_by(|a, b| criterion(a).total_cmp(&criterion(b)));
        let Some((shape, partition)) = best else { return Ok(none) };
        // It rises with every round and there are finitely many candidates, so this ends.
        let borne_out = long_run_variance(&values, *shape, partition);
        if borne_out <= noise {
            return Ok(AutoPartition { breaks: partition.breaks.clone(), shape: *shape });
        }
        noise = borne_out;
    }
}

fn parameters(shape: SegmentShape) -> f64 {
    match shape {
        SegmentShape::Constant => 1.0,
        SegmentShape::Linear => 2.0,
    }
}

fn criterion(shape: SegmentShape, partition: &Partition, n: usize, noise: f64) -> f64 {
    let (p, rows, breaks) = (parameters(shape), n as f64, partition.breaks.len() as f64);
    let lengths: f64 = partition.segments(n).map(|s| (s.len() as f64 / rows).ln()).sum();
    partition.cost + noise * ((breaks * (p + 2.0) + p - 1.0) * rows.ln() + lengths)
}

/// The long-run variance of the residuals.
fn long_run_variance(values: &[f64], shape: SegmentShape, partition: &Partition) -> f64 {
    let n = values.len();
    let (mut products, mut squares) = (0.0, 0.0);
    for segment in partition.segments(n) {
        let residuals = residuals(&values[segment], shape);
        squares += residuals.iter().map(|r| r * r).sum::<f64>();
        products += residuals.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
    }
    let fitted = parameters(shape) * (partition.breaks.len() + 1) as f64;
    let rho = if squares > 1e-12 { products / squares } else { 0.0 };
    // Each fitted parameter takes about (1 + 2 rho) / n off (Marriott & Pope 1954).
    let rho = (rho + fitted * (1.0 + 2.0 * rho.max(0.0)) / n as f64).clamp(0.0, MOST_CORRELATED);
    squares / (n as f64 - fitted).max(1.0) * (1.0 + rho) / (1.0 - rho)
}

fn residuals(values: &[f64], shape: SegmentShape) -> Vec<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let time = |i: usize| i as f64 - (n - 1.0) / 2.0;
    let slope = match shape {
        SegmentShape::Constant => 0.0,
        SegmentShape::Linear => {
            let sxy: f64 = values.iter().enumerate().map(|(i, v)| time(i) * v).sum();
            sxy / (n * (n * n - 1.0) / 12.0)
        }
    };
    values.iter().enumerate().map(|(i, v)| v - mean - slope * time(i)).collect()
}

/// Without outliers, mean zero, variance one; `None` for a constant.
fn standardized(mut values: Vec<f64>) -> Option<Vec<f64>> {
    let n = values.len();
    if n >= 7 {
        let reflected = |i: isize| values[i.unsigned_abs().min(2 * (n - 1) - i.max(0).unsigned_abs())];
        let medians: Vec<f64> = (0..n as isize).map(|i| median((i - 2..=i + 2).map(reflected).collect())).collect();
        let distances: Vec<f64> = values.iter().zip(&medians).map(|(v, m)| (v - m).abs()).collect();
        let spread = 1.4826 * median(distances.clone());
        let mean_square = distances.iter().map(|d| d * d / n as f64).sum::<f64>();
        let spread = if spread > 0.0 { spread } else { mean_square.sqrt() };
        for ((value, median), distance) in values.iter_mut().zip(medians).zip(distances) {
            if distance > OUTLIER * spread {
                *value = median;
            }
        }
    }
    let mean = values.iter().map(|v| v / n as f64).sum::<f64>();
    let deviation = values.iter().map(|v| (v - mean).powi(2) / n as f64).sum::<f64>().sqrt();
    // Rounding noise around a constant is no variation.
    (deviation > 1e-12 * mean.abs()).then(|| values.iter().map(|v| (v - mean) / deviation).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len();
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};
    use rand_pcg::Pcg64;

    use super::*;

    fn noise(n: usize, rho: f64, seed: u64) -> Array1<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut last = 0.0;
        Array1::from_shape_simple_fn(n, || {
            let draw: f64 = StandardNormal.sample(&mut rng);
            last = rho * last + (1.0 - rho * rho).sqrt() * draw;
            last
        })
    }

    #[test]
    fn autocorrelated_noise_has_few_breaks() {
        for rho in [0.0, 0.5, 0.7] {
            let found: usize =
                (0..20).map(|seed| find_partition(noise(200, rho, seed).view()).unwrap().breaks.len()).sum();
            assert!(found <= 6, "{found} breaks in 20 series without any, autocorrelation {rho}");
        }
    }

    #[test]
    fn outliers_scale_and_trend_make_no_difference() {
        let mut values = noise(300, 0.3, 1);
        values.iter_mut().skip(140).for_each(|v| *v += 4.0);
        let found = find_partition(values.view()).unwrap().breaks;
        assert!(found.len() == 1 && found[0].abs_diff(140) <= 2, "{found:?}");
        assert_eq!(find_partition(values.mapv(|v| 1e9 + 1e3 * v).view()).unwrap().breaks, found);
        values[60] = 500.0;
        values[230] = -500.0;
        assert_eq!(find_partition(values.view()).unwrap().breaks, found);
    }

    #[test]
    fn odd_input_is_an_error_or_has_no_break() {
        for n in 1..12 {
            assert!(find_partition(Array1::from_elem(n, 3.0).view()).unwrap().breaks.is_empty());
            assert!(find_partition(noise(n, 0.0, 2).view()).unwrap().breaks.len() < n);
        }
        assert!(find_partition(Array1::zeros(0).view()).is_err());
        assert!(find_partition(Array1::from_vec(vec![0.0, f64::NAN, 1.0]).view()).is_err());
        assert!(find_partition(Array1::from_shape_fn(50, |i| 1e99 * (i % 3) as f64).view()).is_ok());
        let long = Array1::from_shape_fn(5_000, |i| (i * 7919 % 13) as f64 + if i < 3_000 { 0.0 } else { 20.0 });
        assert!(find_partition(long.view()).unwrap().breaks[0].abs_diff(3_000) <= 3);
    }
}
