//! The normal profile of a column: a level and a spread for each hour.

use serde::{Deserialize, Serialize};

use super::{ChangeScale, ProfileSeason, sorted::SortedColumn};

/// Values are kept within this, so that squares are finite.
pub(super) const LARGEST: f64 = 1e100;
/// Rows that the spread common to all hours counts for beside an hour's own.
const PRIOR_ROWS: f64 = 4.0;
/// Share of an hour's values that is left out at either end.
const TRIM: f64 = 0.1;

/// A column's season.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Profile {
    /// Changes multiply the level, and the variance grows with it; otherwise they add to it.
    pub(super) multiplicative: bool,
    /// Level of each bin; positive if multiplicative.
    pub(super) level: Vec<f64>,
    /// Variance of each bin, divided by the level if multiplicative; positive.
    pub(super) dispersion: Vec<f64>,
}

impl Profile {
    /// Learns from the sorted values of a column.
    pub(super) fn learn(scale: ChangeScale, column: &SortedColumn) -> Self {
        let multiplicative = match scale {
            ChangeScale::Auto => column.all().first().is_none_or(|v| *v >= 0.0),
            ChangeScale::Relative => true,
            ChangeScale::Absolute => false,
        };
        let (common, _) = trimmed(column.all());
        // Hours without any activity still expect a little: a hundredth of the average, or less
        // than one in the whole history.
        let floor = if common > 0.0 { 0.01 * common } else { 0.5 / column.all().len().max(1) as f64 };
        let mut level = Vec::new();
        let mut spread = Vec::new();
        for bin in column.bins() {
            let rows = bin.len() as f64;
            let (mean, variance) = if bin.is_empty() { (common, 0.0) } else { trimmed(bin) };
            let mean = if multiplicative { mean.max(floor) } else { mean };
            level.push(mean);
            spread.push((rows, if multiplicative { variance / mean } else { variance }));
        }
        let rows: f64 = spread.iter().map(|s| (s.0 - 1.0).max(0.0)).sum();
        let pooled = spread.iter().map(|(n, v)| (n - 1.0).max(0.0) / rows.max(1.0) * v).sum::<f64>();
        let dispersion = spread.iter().zip(&level).map(|((n, own), level)| {
            let n = (n - 1.0).max(0.0);
            let shrunk = (n * own + PRIOR_ROWS * pooled) / (n + PRIOR_ROWS);
            // Rounding noise around a constant is no variation.
            let least = if multiplicative { 1e-6 * level } else { 1e-6 * level * level };
            let least = if least > 0.0 { least } else { 1e-12 };
            if shrunk > least || common == 0.0 && shrunk > 0.0 {
                shrunk
            } else {
                least.max(if common == 0.0 { 1.0 } else { 0.0 })
            }
        });
        Self { multiplicative, dispersion: dispersion.map(|d| d.max(1e-200)).collect(), level }
    }

    /// A value and what was expected of it, both divided by the dispersion, so that their sums are
    /// evidence: counts of a Poisson distribution, or a weighted difference and its weight.
    pub(super) fn terms(&self, bin: usize, value: f64) -> (f64, f64) {
        let (level, dispersion) = (self.level[bin], self.dispersion[bin]);
        let value = value.clamp(-LARGEST, LARGEST);
        if self.multiplicative {
            (value.max(0.0) / dispersion, level / dispersion)
        } else {
            ((value - level) / dispersion, 1.0 / dispersion)
        }
    }

    pub(super) fn is_valid(&self, season: ProfileSeason) -> bool {
        let finite = |v: &f64| v.is_finite() && v.abs() <= LARGEST;
        self.level.len() == season.bins()
            && self.dispersion.len() == season.bins()
            && self.level.iter().all(|v| finite(v) && (!self.multiplicative || *v > 0.0))
            && self.dispersion.iter().all(|v| v.is_finite() && *v >= 1e-200)
    }
}

/// Mean and variance of ascending values without the extreme ones of either end. The variance is that of a normal
/// distribution trimmed alike.
fn trimmed(values: &[f64]) -> (f64, f64) {
    let n = values.len();
    if n == 0 {
        return (0.0, 0.0);
    }
    let cut = if n < 4 { 0 } else { ((TRIM * n as f64).round() as usize).max(1).min((n - 2) / 2) };
    let kept = &values[cut..n - cut];
    let mean = kept.iter().map(|v| v / kept.len() as f64).sum::<f64>();
    // Winsorized variance over the square of the share kept (Tukey & McLaughlin 1963), which
    // allows for what the trimming hides up to a factor that the standardisation takes care of.
    let low = kept[0];
    let high = kept[kept.len() - 1];
    let squares: f64 = values.iter().map(|v| (v.clamp(low, high) - mean).powi(2)).sum();
    let share = kept.len() as f64 / n as f64;
    (mean, squares / (n.max(2) - 1) as f64 / (share * share))
}
