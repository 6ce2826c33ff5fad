//! Calibration: residuals of every statistic and length on one normal scale.
//!
//! The scale of each side comes from the 99 % quantile of every series, and is the median over
//! series: one that is full of anomalies has no scale of its own to hide them. One map of the
//! tail of all statistics together makes large heights as rare as those of a normal distribution.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use serde::{Deserialize, Serialize};

/// The quantile that sets a scale, and its value in a standard normal distribution.
const QUANTILE: f64 = 0.99;
const NORMAL_QUANTILE: f64 = 2.326;
/// Least scale: deviates are standardised already.
const LEAST_SCALE: f64 = 0.8;
const MOST_SCALE: f64 = 50.0;
/// Windows that a series needs for a quantile.
const LEAST_WINDOWS: usize = 100;
/// Heights at which the tail is mapped.
const HEIGHTS: [f64; 5] = [1.0, 1.5, 2.0, 2.5, 3.0];

/// Scales of one statistic and length: of negative and of positive residuals.
pub(crate) type Scale = [f64; 2];

/// The 99 % quantiles of both sides; `None` with too few windows. Reorders the residuals.
pub(crate) fn quantiles(residuals: &mut [f64]) -> Option<Scale> {
    let n = residuals.len();
    if n < LEAST_WINDOWS {
        return None;
    }
    let rank = ((n as f64 * (1.0 - QUANTILE)) as usize).min(n - 1);
    let low = -*residuals.select_nth_unstable_by(rank, f64::total_cmp).1;
    let high = *residuals.select_nth_unstable_by(n - 1 - rank, f64::total_cmp).1;
    Some([low, high])
}

/// The median over series of each side.
pub(crate) fn pooled(quantiles: &[Option<Scale>]) -> Scale {
    std::array::from_fn(|side| {
        let mut values: Vec<f64> = quantiles.iter().flatten().map(|q| q[side]).collect();
        if values.is_empty() {
            return 1.0;
        }
        let middle = values.len() / 2;
        let median = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
        (median / NORMAL_QUANTILE).clamp(LEAST_SCALE, MOST_SCALE)
    })
}

/// A residual on its scale.
#[inline(always)]
pub(crate) fn scaled(residual: f64, scale: Scale) -> f64 {
    residual / if residual > 0.0 { scale[1] } else { scale[0] }
}

/// [Scales](scaled) residuals.
pub(crate) fn scale_all(residuals: &mut [f64], scale: Scale) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || residuals.iter_mut().for_each(|residual| *residual = scaled(*residual, scale)),
    );
}

/// Whether a scale may come from a fit.
pub(crate) fn is_valid(scale: &Scale) -> bool {
    scale.iter().all(|s| (LEAST_SCALE..=MOST_SCALE).contains(s))
}

/// How many scaled residuals are beyond each height.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TailCounts {
    beyond: [u64; HEIGHTS.len()],
    total: u64,
}

impl TailCounts {
    pub(crate) fn add(&mut self, scaled: f64) {
        self.total += 1;
        let size = scaled.abs();
        self.beyond.iter_mut().zip(HEIGHTS).for_each(|(count, height)| *count += u64::from(size > height));
    }
}

/// Maps the size of a scaled residual to the height that is as rare in a normal distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TailMap([f64; HEIGHTS.len()]);

impl TailMap {
    pub(crate) fn fit(counts: &TailCounts) -> Self {
        let mut map = HEIGHTS;
        if counts.total < 1000 {
            return Self(map);
        }
        let mut before = 0.5;
        for (value, beyond) in map.iter_mut().zip(counts.beyond) {
            let share = (beyond as f64 + 0.5) / (counts.total as f64 + 1.0) / 2.0;
            // Steps of at least a twentieth keep the map rising.
            *value = normal_quantile(1.0 - share).clamp(before + 0.05, before + 3.0);
            before = *value;
        }
        Self(map)
    }

    #[inline(always)]
    pub(crate) fn height(&self, size: f64) -> f64 {
        // Without branches: the last part that is reached, and the last of all goes on.
        let part = |from: (f64, f64), to: (f64, f64)| (from.0, from.1, to.1 - from.1, to.0 - from.0);
        let mut reached = part((0.0, 0.0), (HEIGHTS[0], self.0[0]));
        for at in 1..HEIGHTS.len() {
            let next = part((HEIGHTS[at - 1], self.0[at - 1]), (HEIGHTS[at], self.0[at]));
            reached = if size >= HEIGHTS[at - 1] { next } else { reached };
        }
        let (start, height, rise, length) = reached;
        height + (size - start) * rise / length
    }

    /// The heights of scaled residuals; NaN where there is none.
    pub(crate) fn heights(&self, scaled: &[f64]) -> Vec<f64> {
        let mut heights = vec![0.0; scaled.len()];
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || heights.iter_mut().zip(scaled).for_each(|(height, scaled)| *height = self.height(scaled.abs())),
        );
        heights
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        self.0[0] > 0.0 && self.0[HEIGHTS.len() - 1] < 20.0 && self.0.windows(2).all(|w| w[1] - w[0] > 0.01)
    }
}

/// Quantile of the standard normal distribution (Acklam 2003), relative error below 1.2e-9.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [0.007_784_695_709_041_462, 0.322_467_129_070_039_8, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let horner = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    let p = p.clamp(1e-300, 1.0 - 1e-16);
    if (0.02425..=0.97575).contains(&p) {
        let q = p - 0.5;
        let r = q * q;
        return horner(&A, r) * q / (horner(&B, r) * r + 1.0);
    }
    let q = (-2.0 * p.min(1.0 - p).ln()).sqrt();
    let tail = horner(&C, q) / (horner(&D, q) * q + 1.0);
    if p < 0.5 { tail } else { -tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_964), (0.99, 2.326_348), (0.001, -3.090_232)] {
            assert!((normal_quantile(p) - z).abs() < 1e-5);
        }
    }

    #[test]
    fn heavy_tails_are_mapped_to_normal_ones() {
        // Twice the normal deviate, which a scale would have halved: heights halve.
        let mut counts = TailCounts::default();
        let n = 100_000;
        (0..n).for_each(|i| counts.add(1.3 * normal_quantile((f64::from(i) + 0.5) / f64::from(n))));
        let map = TailMap::fit(&counts);
        assert!(map.is_valid() && (map.height(2.6) - 2.0).abs() < 0.05 && (map.height(5.2) - 4.0).abs() < 0.15);
        assert!((1..100).all(|i| map.height(f64::from(i) * 0.1) > map.height(f64::from(i - 1) * 0.1)));
        // Of many residuals as of each, on either side, and none of none.
        let residuals: Vec<f64> = (-60..60).map(|i| f64::from(i) * 0.1).collect();
        let each: Vec<f64> = residuals.iter().map(|residual| map.height(residual.abs())).collect();
        assert_eq!(map.heights(&residuals), each);
        assert!(map.heights(&[f64::NAN])[0].is_nan());
    }
}
