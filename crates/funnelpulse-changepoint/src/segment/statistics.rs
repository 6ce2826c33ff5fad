//! Statistics of a break.

use ndarray::{ArrayView1, ArrayView2};

use super::{Break, ChangeDirection, SegmentLevel};
use crate::{cost::CostKind, noise::Ar1};

/// Rows over which a break's place is uncertain, in units of the long-run variance over the squared
/// change: the 97.5 % quantile of Bai's (1997) distribution.
const BAI: f64 = 11.03;
/// Most autocorrelation of a rate's residuals that is allowed for.
const MOST_CORRELATED: f64 = 0.99;

/// Rows `start..end` and the sum of each column over them.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    pub(super) start: usize,
    pub(super) end: usize,
    sums: Vec<f64>,
}

impl Segment {
    /// The segments between `breaks`.
    pub(super) fn between(values: ArrayView2<'_, f64>, breaks: &[usize]) -> Vec<Self> {
        let ends = breaks.iter().copied().chain(std::iter::once(values.nrows()));
        let mut segments = Vec::with_capacity(breaks.len() + 1);
        let mut start = 0;
        for end in ends {
            let mut sums = vec![0.0; values.ncols()];
            for row in start..end {
                for (sum, value) in sums.iter_mut().zip(values.row(row)) {
                    *sum += value;
                }
            }
            segments.push(Self { start, end, sums });
            start = end;
        }
        segments
    }

    /// Takes in the segment that follows.
    pub(super) fn append(&mut self, next: &Self) {
        self.end = next.end;
        for (sum, more) in self.sums.iter_mut().zip(&next.sums) {
            *sum += more;
        }
    }

    fn rows(&self) -> f64 {
        (self.end - self.start) as f64
    }
}

/// The estimation of levels and their changes.
#[derive(Debug)]
pub(super) enum Statistics {
    /// Means, with the long-run variance of each column.
    Means(Vec<f64>),
    /// The rate of the first column per unit of the second, with the factor by which its variance
    /// exceeds the binomial one.
    Rate(f64),
}

/// A change of one level.
struct Change {
    column: usize,
    before: SegmentLevel,
    after: SegmentLevel,
    /// In standard errors.
    z: f64,
    /// Share of the information that comes from before the break.
    share: f64,
    /// Long-run variance of a row.
    variance: f64,
}

impl Statistics {
    /// Those that fit the cost, which has found these segments.
    pub(super) fn new(kind: CostKind, values: ArrayView2<'_, f64>, segments: &[Segment]) -> Self {
        if kind == CostKind::Binomial {
            return Self::Rate(overdispersion(values, segments));
        }
        Self::Means(values.columns().into_iter().map(|c| Ar1::fit(c).long_run_variance()).collect())
    }

    /// The break between two neighbouring segments.
    pub(super) fn compare(&self, left: &Segment, right: &Segment) -> Break {
        let (Change { column, before, after, z, share, variance }, columns) = match self {
            Self::Means(variances) => {
                let all = variances.iter().enumerate().map(|(column, variance)| mean(column, *variance, left, right));
                let most = all.max_by(|a, b| a.z.abs().total_cmp(&b.z.abs()));
                (most.expect("a series has columns"), variances.len())
            }
            Self::Rate(factor) => (rate(*factor, left, right), 1),
        };
        let (old, new, at) = (before.mean, after.mean, right.start);
        let base = if old == 0.0 { new } else { old };
        let magnitude = if base == 0.0 { 0.0 } else { (new - old) / base.abs() };
        // The cumulated sum at the break, a bridge of Brownian motion without one.
        let bridge = z.abs() * (share * (1.0 - share)).sqrt();
        let p_value = (kolmogorov(bridge) * columns as f64).min(1.0);
        let spread = if new == old { f64::INFINITY } else { BAI * variance / (new - old).powi(2) };
        // Saturates where the change is lost in the noise.
        let margin = spread as usize;
        let interval = (
            at.saturating_sub(margin.saturating_add(1)).max(left.start),
            at.saturating_add(margin).saturating_add(1).min(right.end - 1),
        );
        let direction = if new >= old { ChangeDirection::Increase } else { ChangeDirection::Decrease };
        Break { index: at, time: None, interval, column, direction, magnitude, p_value, before, after }
    }
}

/// Without noise every change is sure, and no change is none.
fn standardized(change: f64, error: f64) -> f64 {
    if change == 0.0 { 0.0 } else { change / error.max(f64::MIN_POSITIVE) }
}

fn mean(column: usize, variance: f64, left: &Segment, right: &Segment) -> Change {
    let level =
        |s: &Segment| SegmentLevel { mean: s.sums[column] / s.rows(), standard_error: (variance / s.rows()).sqrt() };
    let (before, after) = (level(left), level(right));
    let z = standardized(after.mean - before.mean, before.standard_error.hypot(after.standard_error));
    Change { column, before, after, z, share: left.rows() / (left.rows() + right.rows()), variance }
}

/// Two proportions with a common variance, as there is no break under the hypothesis.
fn rate(factor: f64, left: &Segment, right: &Segment) -> Change {
    let (n, m) = (left.sums[1], right.sums[1]);
    let common = if n + m > 0.0 { (left.sums[0] + right.sums[0]) / (n + m) } else { 0.0 };
    // Where nothing was tried nothing is known, so there is no change.
    let level = |s: &Segment| match (s.sums[0], s.sums[1]) {
        (_, 0.0) => SegmentLevel { mean: common, standard_error: 1.0 },
        (successes, trials) => {
            let mean = successes / trials;
            SegmentLevel { mean, standard_error: (factor * mean * (1.0 - mean) / trials).max(0.0).sqrt() }
        }
    };
    let (before, after) = (level(left), level(right));
    let one = factor * common * (1.0 - common);
    let known = n > 0.0 && m > 0.0;
    let z = if known { standardized(after.mean - before.mean, (one / n + one / m).max(0.0).sqrt()) } else { 0.0 };
    let share = if known { n / (n + m) } else { 0.5 };
    let variance = if known { one * (left.rows() + right.rows()) / (n + m) } else { 0.0 };
    Change { column: 0, before, after, z, share, variance }
}

/// Long-run variance of the residuals of a rate in units of the binomial variance, at least one:
/// their mean square (Pearson) times what the autocorrelation at lag one adds.
fn overdispersion(values: ArrayView2<'_, f64>, segments: &[Segment]) -> f64 {
    let (mut squares, mut products, mut count) = (0.0, 0.0, 0.0_f64);
    for segment in segments {
        let rate = segment.sums[0] / segment.sums[1];
        let variance = rate * (1.0 - rate);
        // No trials, or a rate of zero or one, from which no row deviates.
        if variance.is_nan() || variance <= 0.0 {
            continue;
        }
        let deviation = variance.sqrt();
        let residual = |row: ArrayView1<'_, f64>| (row[0] - rate * row[1]) / (deviation * row[1].sqrt());
        let mut last = None;
        for row in (segment.start..segment.end).map(|i| values.row(i)).filter(|row| row[1] > 0.0) {
            let residual = residual(row);
            squares += residual * residual;
            products += last.map_or(0.0, |last: f64| last * residual);
            count += 1.0;
            last = Some(residual);
        }
        count -= 1.0;
    }
    if !(squares > 0.0 && count > 0.0) {
        return 1.0;
    }
    let rho = (products / squares).clamp(0.0, MOST_CORRELATED);
    (squares / count * (1.0 + rho) / (1.0 - rho)).max(1.0)
}

/// Probability that the largest absolute value of a Brownian bridge exceeds `x`.
fn kolmogorov(x: f64) -> f64 {
    if x < 0.3 {
        return 1.0;
    }
    let terms = (1..=20).map(|k| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(k * k) * x * x).exp()
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}
