//! Purchases follow their carts by up to a day.

use serde::{Deserialize, Serialize};

use crate::{grid::DAY, windows::sums::DailySums};

/// First and last lag (exclusive) of the groups that share a weight, hours.
const GROUPS: [(usize, usize); 6] = [(0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 25)];
/// Rounds of coordinate descent; the problem has six unknowns.
const ROUNDS: usize = 200;

/// The distribution of the time from cart to purchase: a share per group of lags.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lag([f64; GROUPS.len()]);

/// Normal equations of purchases on lagged carts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Equations {
    matrix: [[f64; GROUPS.len()]; GROUPS.len()],
    right: [f64; GROUPS.len()],
}

impl Equations {
    /// Those of one series; carts and purchases relative to their means, so that all series count alike.
    pub(crate) fn of(carts: &[f64], purchases: &[f64], seen: &[f64]) -> Self {
        let mut equations = Self::default();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
        let (c, p) = (mean(carts), mean(purchases));
        if c < 0.05 || p < 0.05 {
            return equations;
        }
        // Large counts say more, up to what the wandering of the rates leaves.
        let weight = p / (1.0 + p);
        let lagged = grouped(carts);
        for hour in 24..carts.len() {
            if seen[hour] == 0.0 {
                continue;
            }
            let row: [f64; GROUPS.len()] = std::array::from_fn(|group| lagged[group][hour] / c);
            for i in 0..GROUPS.len() {
                equations.right[i] += weight * row[i] * purchases[hour] / p;
                for j in 0..GROUPS.len() {
                    equations.matrix[i][j] += weight * row[i] * row[j];
                }
            }
        }
        equations
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for i in 0..GROUPS.len() {
            self.right[i] += other.right[i];
            for j in 0..GROUPS.len() {
                self.matrix[i][j] += other.matrix[i][j];
            }
        }
    }
}

impl Lag {
    /// Purchases in the hour of their cart.
    pub(crate) const NONE: Self = Self([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);

    /// Non-negative least squares by coordinate descent; the shares add up to one.
    pub(crate) fn solve(equations: &Equations) -> Self {
        let Equations { matrix, right } = equations;
        let mut shares = [0.0_f64; GROUPS.len()];
        for _ in 0..ROUNDS {
            for i in 0..GROUPS.len() {
                let others: f64 = (0..GROUPS.len()).filter(|&j| j != i).map(|j| matrix[i][j] * shares[j]).sum();
                let share = (right[i] - others) / matrix[i][i];
                shares[i] = if share.is_finite() { share.max(0.0) } else { 0.0 };
            }
        }
        let total: f64 = shares.iter().sum();
        if total > 0.0 && total.is_finite() { Self(shares.map(|s| s / total)) } else { Self::NONE }
    }

    /// What carts bring in later hours: a weighted mean of the hours before each.
    pub(crate) fn spread(&self, carts: &[f64]) -> Vec<f64> {
        if *self == Self::NONE {
            return carts.to_vec();
        }
        let lagged = grouped(carts);
        (0..carts.len()).map(|hour| (0..GROUPS.len()).map(|group| self.0[group] * lagged[group][hour]).sum()).collect()
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.iter().all(|s| (0.0..=1.0).contains(s)) && (self.0.iter().sum::<f64>() - 1.0).abs() < 1e-6
    }
}

/// Means over each group of lags; before the first hour, the start of a day, its value is taken. They do not depend on
/// how many hours there are before.
fn grouped(values: &[f64]) -> [Vec<f64>; GROUPS.len()] {
    let first = values.first().copied().unwrap_or(0.0);
    let sums = DailySums::new(values.len() + DAY, |hour| hour.checked_sub(DAY).map_or(first, |hour| values[hour]));
    GROUPS.map(|(from, to)| {
        let mean = |hour: usize| sums.between(hour + 1 + DAY - to, hour + 1 + DAY - from) / (to - from) as f64;
        (0..values.len()).map(mean).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_lag_is_found() {
        let carts: Vec<f64> = (0..2000).map(|h: u64| (h * 7919 % 31) as f64 + 1.0).collect();
        let true_lag = Lag([0.5, 0.2, 0.2, 0.1, 0.0, 0.0]);
        let purchases = true_lag.spread(&carts);
        let found = Lag::solve(&Equations::of(&carts, &purchases, &vec![1.0; 2000]));
        assert!(found.0.iter().zip(true_lag.0).all(|(a, b)| (a - b).abs() < 0.01), "{found:?}");
        assert!(found.is_valid());
    }

    #[test]
    fn no_data_means_no_lag() {
        assert_eq!(Lag::solve(&Equations::default()), Lag::NONE);
        assert_eq!(Lag::NONE.spread(&[1.0, 2.0]), [1.0, 2.0]);
    }
}
