//! Units in which a series is compared with itself.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// Scaled values beyond are cut off before the network sees them: its gates are saturated long before.
const FAR: f64 = 10.0;
/// Errors beyond count as this much, so that their squares stay finite.
const FARTHEST: f64 = 1e100;

/// Median and spread of each column of one series, learnt on its training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    /// Unit of the logarithm, 0 where there is none.
    unit: Vec<f64>,
    pub(crate) center: Vec<f64>,
    pub(crate) spread: Vec<f64>,
}

impl Scale {
    /// The interquartile range in units of a normal distribution's standard deviation. Where half the values
    /// are the same, their mean absolute deviation from the median; for constant columns and such
    /// without values, 1.
    ///
    /// `logarithms` says for each column whether its logarithm is taken first.
    pub(crate) fn learn(values: ArrayView2<'_, f64>, logarithms: &[bool]) -> Self {
        let mut scale = Self { unit: Vec::new(), center: Vec::new(), spread: Vec::new() };
        for (column, &logarithm) in values.columns().into_iter().zip(logarithms) {
            let mut sorted = sorted(column.iter().copied());
            let positive = &sorted[sorted.partition_point(|v| *v <= 0.0)..];
            let unit = if logarithm { quantile(positive, 0.5).unwrap_or(1.0).max(1e-290) } else { 0.0 };
            if logarithm {
                for value in &mut sorted {
                    *value = compress(*value, unit);
                }
            }
            scale.unit.push(unit);
            let at = |q: f64| quantile(&sorted, q);
            let center = at(0.5).unwrap_or(0.0);
            let usable = |spread: &f64| spread.is_finite() && *spread > 1e-290;
            let quartiles = at(0.75).zip(at(0.25)).map(|(high, low)| (high - low) / 1.349);
            let mean = || {
                let n = sorted.len() as f64;
                Some(sorted.iter().map(|v| (v - center).abs() / n).sum::<f64>() * 1.2533)
            };
            let spread = quartiles.filter(usable).or_else(|| mean().filter(usable)).unwrap_or(1.0);
            scale.center.push(center);
            scale.spread.push(spread);
        }
        scale
    }

    /// The scale that leaves values as they are.
    #[cfg(test)]
    pub(crate) fn plain(columns: usize) -> Self {
        Self { unit: vec![0.0; columns], center: vec![0.0; columns], spread: vec![1.0; columns] }
    }

    /// A value in units of its column's spread.
    pub(crate) fn apply(&self, column: usize, value: f64) -> f64 {
        let value = if self.unit[column] > 0.0 { compress(value, self.unit[column]) } else { value };
        let scaled = value / self.spread[column] - self.center[column] / self.spread[column];
        scaled.clamp(-FARTHEST, FARTHEST)
    }

    /// The input of the network for a scaled value; 0, the median, where it is missing.
    pub(crate) fn input(scaled: f64) -> f32 {
        if scaled.is_nan() { 0.0 } else { scaled.clamp(-FAR, FAR) as f32 }
    }

    /// Back to the units of the series.
    pub(crate) fn undo(&self, column: usize, scaled: f64) -> f64 {
        let value = scaled * self.spread[column] + self.center[column];
        let unit = self.unit[column];
        let value = if unit > 0.0 { value.signum() * unit * value.abs().exp_m1() } else { value };
        value.clamp(-f64::MAX, f64::MAX)
    }

    /// For each column, whether its logarithm is taken.
    pub(crate) fn logarithms(&self) -> Vec<bool> {
        self.unit.iter().map(|unit| *unit > 0.0).collect()
    }

    /// How little another series' scale resembles this one: mean over columns of the distance of the
    /// medians in spreads and of the logarithms of the spreads. Infinite where it is certain not to be below `limit`:
    /// one series may be compared with the scales of thousands.
    fn distance_below(&self, other: &Self, limit: f64) -> f64 {
        let columns = self.center.len().max(1) as f64;
        // Somewhat more, whatever is rounded.
        let most = limit * columns * 1.001;
        let unit = |scale: &Self, c: usize| scale.unit[c].max(f64::MIN_POSITIVE).ln();
        let mut sum = 0.0;
        for c in 0..self.center.len() {
            let shift = (self.center[c] / self.spread[c] - other.center[c] / self.spread[c]).abs().min(1e6);
            if sum + shift > most {
                return f64::INFINITY;
            }
            let spread = (self.spread[c].ln() - other.spread[c].ln()).abs();
            sum += shift + spread + (unit(self, c) - unit(other, c)).abs();
        }
        sum / columns
    }

    /// The first of the scales that resemble this one most, if its distance is below `limit`.
    pub(crate) fn nearest<'a>(&self, scales: &'a [Self], limit: f64) -> Option<&'a Self> {
        let (mut least, mut nearest) = (limit, None);
        for scale in scales {
            let distance = scale.distance_below(self, least);
            if distance < least {
                (least, nearest) = (distance, Some(scale));
            }
        }
        nearest
    }

    pub(crate) fn is_valid(&self, columns: usize) -> bool {
        let lengths = [&self.unit, &self.center, &self.spread].iter().all(|part| part.len() == columns);
        lengths
            && self.unit.iter().all(|v| v.is_finite() && *v >= 0.0)
            && self.center.iter().all(|v| v.is_finite())
            && self.spread.iter().all(|v| v.is_finite() && *v > 0.0)
    }
}

/// `ln(1 + value / unit)`, mirrored for negative values.
fn compress(value: f64, unit: f64) -> f64 {
    value.signum() * (value.abs() / unit).min(f64::MAX).ln_1p()
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    sorted.get((q * (sorted.len().max(1) - 1) as f64).round() as usize).copied()
}

/// For each column, whether it is never negative and, in most of the series, ranges widely.
pub(crate) fn wide(series: &[ArrayView2<'_, f64>], columns: usize) -> Vec<bool> {
    let votes = |column: usize| {
        let mut votes = (0, 0);
        for values in series {
            let sorted = sorted(values.column(column).iter().copied());
            match (sorted.first(), quantile(&sorted, 0.05), quantile(&sorted, 0.95)) {
                (Some(least), ..) if *least < 0.0 => return false,
                (_, Some(low), Some(high)) if high > 4.0 * low => votes.0 += 1,
                (Some(_), ..) => votes.1 += 1,
                _ => (),
            }
        }
        votes.0 > votes.1
    };
    (0..columns).map(votes).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn spreads_are_robust_and_never_zero() {
        let mut values = Array2::from_shape_fn((101, 1), |(i, _)| i as f64);
        values[[100, 0]] = 1e9;
        let scale = Scale::learn(values.view(), &[false]);
        assert_eq!(scale.center, [50.0]);
        assert!((scale.spread[0] - 50.0 / 1.349).abs() < 1e-9);
        let odd = array![[5.0, f64::NAN, 1e-320, 0.0], [5.0, f64::NAN, 2e-320, 0.0], [5.0, f64::NAN, 0.0, 9.0]];
        let scale = Scale::learn(odd.view(), &[false; 4]);
        assert!(scale.is_valid(4));
        assert_eq!(scale.spread[..3], [1.0; 3]);
        assert_eq!(scale.undo(0, scale.apply(0, 7.0)), 7.0);
        assert_eq!(scale.distance_below(&scale, 1.0), 0.0);
        assert!(Scale::learn(Array2::zeros((0, 2)).view(), &[true, false]).is_valid(2));
    }

    #[test]
    fn the_nearest_scale_is_that_of_the_least_distance() {
        let part = |at: usize, by: usize| (at * by % 1009) as f64 / 1009.0;
        let scale = |at: usize| Scale {
            unit: vec![0.0, 0.1 + part(at, 31)],
            center: vec![part(at, 7919) * 50.0, part(at, 104_729) * 9.0],
            spread: vec![0.5 + 5.0 * part(at, 271), 0.5 + part(at, 613)],
        };
        let scales: Vec<Scale> = (0..400).map(scale).collect();
        for own in (400..500).map(scale) {
            let distances = scales.iter().map(|s| s.distance_below(&own, f64::INFINITY));
            let (at, least) = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            assert_eq!(own.nearest(&scales, f64::INFINITY), Some(&scales[at]));
            assert_eq!(own.nearest(&scales, least * 1.01), Some(&scales[at]));
            assert_eq!(own.nearest(&scales, least), None);
        }
    }

    #[test]
    fn logarithms_are_for_wide_counts() {
        let rows = |f: fn(f64) -> f64| Array2::from_shape_fn((200, 1), |(i, _)| f(i as f64 / 199.0));
        let (even, growing, signed) = (rows(|x| 1.0 + x), rows(|x| (7.0 * x).exp()), rows(|x| (7.0 * x).exp() - 2.0));
        assert_eq!(wide(&[even.view(), growing.view(), growing.view()], 1), [true]);
        assert_eq!(wide(&[even.view(), growing.view()], 1), [false]);
        assert_eq!(wide(&[signed.view(), growing.view(), growing.view()], 1), [false]);
        let scale = Scale::learn(growing.view(), &[true]);
        for value in [0.0, 3.0, 1e9, -4.0] {
            assert!((scale.undo(0, scale.apply(0, value)) - value).abs() <= 1e-9 * value.abs());
        }
        assert!(scale.apply(0, f64::NAN).is_nan() && scale.apply(0, f64::MAX).is_finite());
    }
}
