//! Order values: by how much the revenue of each hour differs from what its purchases bring, on a log scale.
//!
//! A sum of revenue hangs on single large orders. Here an hour counts by the logarithm of its ratio, standardised
//! and bounded, so that one order of a hundred times the usual value counts as one hour and prices that stay off
//! by a third show in every hour. The ratio of few orders is lower and wanders more, which is learnt per number of
//! orders from all series. One order can have fifty lines: the number of orders is bounded by the purchases that
//! were expected.

use serde::{Deserialize, Serialize};

use crate::grid::{PURCHASES, REVENUE, STEPS};

/// Orders from which the next class begins.
const CLASSES: [f64; 8] = [1.5, 3.0, 6.0, 12.0, 25.0, 50.0, 100.0, 200.0];
/// Orders per expected purchase at most, and orders where none was expected.
const ORDERS: (f64, f64) = (2.0, 1.0);
/// Normal scores beyond this count as this.
const REACH: f64 = 5.0;
/// Hours of a class that have to be seen.
const LEAST_HOURS: usize = 200;
/// Shares of the hours whose log ratios are learnt, with the normal quantiles of these shares. Farther out
/// real faults of prices would be taken for ordinary.
const SHARES: [f64; 7] = [0.005, 0.05, 0.16, 0.5, 0.84, 0.95, 0.995];
const SCORES: [f64; 7] = [-2.576, -1.645, -0.994, 0.0, 0.994, 1.645, 2.576];
/// Quantiles where nothing was seen: those of a normal distribution.
const UNKNOWN: [f64; 7] = SCORES;
/// Bounds of the spread, and the least distance of two quantiles.
const SPREADS: (f64, f64) = (0.02, 5.0);
const LEAST_STEP: f64 = 0.005;

/// One hour: purchases, revenue in the unit of a purchase, and what is expected of both, the revenue given the purchases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hour {
    pub(crate) purchases: f64,
    pub(crate) revenue: f64,
    pub(crate) expected_purchases: f64,
    pub(crate) expected_revenue: f64,
}

impl Hour {
    /// An hour of a series with these values, whose revenue is multiplied by `scale`, and expected values.
    pub(crate) fn of(value: &[Vec<f64>; STEPS], scale: f64, expected: &[Vec<f64>; STEPS], hour: usize) -> Self {
        Self {
            purchases: value[PURCHASES][hour],
            revenue: value[REVENUE][hour] * scale,
            expected_purchases: expected[PURCHASES][hour],
            expected_revenue: expected[REVENUE][hour],
        }
    }

    fn class(&self) -> usize {
        let orders = self.purchases.min(ORDERS.0 * self.expected_purchases + ORDERS.1);
        CLASSES.partition_point(|first| *first <= orders)
    }

    fn log_ratio(&self) -> f64 {
        (self.revenue / self.expected_revenue).ln()
    }

    /// Hours without purchases say nothing of their value.
    fn is_known(&self) -> bool {
        self.purchases > 0.0 && self.expected_revenue > 0.0
    }
}

/// Quantiles of log ratios, by the number of orders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OrderValues(Vec<[f64; SHARES.len()]>);

impl OrderValues {
    /// From hours of all series.
    pub(crate) fn fit(hours: impl Iterator<Item = Hour>) -> Self {
        let mut ratios = vec![Vec::new(); CLASSES.len() + 1];
        for hour in hours.filter(|hour| hour.is_known() && hour.revenue > 0.0) {
            ratios[hour.class()].push(hour.log_ratio());
        }
        let mut last = UNKNOWN;
        let class = |mut ratios: Vec<f64>| {
            if ratios.len() >= LEAST_HOURS {
                last = quantiles(&mut ratios);
            }
            last
        };
        Self(ratios.into_iter().map(class).collect())
    }

    /// What an hour adds to a window: observed and expected value, whose difference has about the variance of what
    /// is expected. Zeros where nothing is known.
    pub(crate) fn of(&self, hour: Hour) -> (f64, f64) {
        if !hour.is_known() {
            return (0.0, 0.0);
        }
        let quantiles = &self.0[hour.class()];
        let spread = spread(quantiles);
        let weight = 1.0 / (spread * spread);
        (weight + normal_score(quantiles, hour.log_ratio()) / spread, weight)
    }

    /// The normal score of an hour's value; `None` where nothing is known.
    pub(crate) fn score(&self, hour: Hour) -> Option<f64> {
        hour.is_known().then(|| normal_score(&self.0[hour.class()], hour.log_ratio()))
    }

    /// Whether they may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        let is_valid = |q: &[f64; SHARES.len()]| {
            q.iter().all(|v| v.abs() < 1e3) && q.windows(2).all(|pair| pair[1] - pair[0] >= 0.9 * LEAST_STEP)
        };
        self.0.len() == CLASSES.len() + 1 && self.0.iter().all(is_valid)
    }
}

/// Half of the range that holds 68 % of the hours.
fn spread(quantiles: &[f64; SHARES.len()]) -> f64 {
    ((quantiles[4] - quantiles[2]) / 2.0).clamp(SPREADS.0, SPREADS.1)
}

/// The normal quantile of a log ratio's share.
fn normal_score(quantiles: &[f64; SHARES.len()], ratio: f64) -> f64 {
    let at = quantiles.partition_point(|q| *q <= ratio).clamp(1, SHARES.len() - 1);
    let (from, to) = (quantiles[at - 1], quantiles[at]);
    let score = SCORES[at - 1] + (ratio - from) / (to - from) * (SCORES[at] - SCORES[at - 1]);
    score.clamp(-REACH, REACH)
}

fn quantiles(ratios: &mut [f64]) -> [f64; SHARES.len()] {
    ratios.sort_unstable_by(f64::total_cmp);
    let mut quantiles = SHARES.map(|share| ratios[((ratios.len() as f64 * share) as usize).min(ratios.len() - 1)]);
    for at in 1..quantiles.len() {
        quantiles[at] = quantiles[at].max(quantiles[at - 1] + LEAST_STEP);
    }
    quantiles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shop::Random;

    /// An hour with so many purchases, as many as expected, at a multiple of the usual price.
    fn hour(purchases: f64, ratio: f64) -> Hour {
        let revenue = purchases * ratio;
        Hour { purchases, revenue, expected_purchases: purchases, expected_revenue: purchases }
    }

    /// Logarithms of prices with a standard deviation of .4 for single orders, less for many, and one order
    /// in five hundred at thirty times the price.
    fn values() -> OrderValues {
        let mut random = Random(17);
        let normal = |random: &mut Random| (0..12).map(|_| random.uniform()).sum::<f64>() - 6.0;
        let hours: Vec<Hour> = (0..20_000)
            .map(|at| {
                let orders: f64 = [1.0, 4.0, 100.0][at % 3];
                let large = if random.uniform() < 0.002 { 30.0 } else { 1.0 };
                let others = (0.4 * normal(&mut random) / orders.sqrt()).exp();
                hour(orders, others * (large + orders - 1.0) / orders)
            })
            .collect();
        OrderValues::fit(hours.into_iter())
    }

    #[test]
    fn many_orders_say_more_than_one() {
        let values = values();
        assert!(values.is_valid());
        let deviate = |(value, weight): (f64, f64)| (value - weight) / weight.sqrt();
        let (one, many) = (deviate(values.of(hour(1.0, 1.2))), deviate(values.of(hour(100.0, 1.2))));
        assert!((one - 0.45).abs() < 0.15 && many > 2.5, "{one} {many}");
        assert!(deviate(values.of(hour(100.0, 0.8))) < -2.5);
        // Nothing counts for more than the reach.
        assert_eq!(deviate(values.of(hour(100.0, 1e9))), REACH);
        assert_eq!(deviate(values.of(hour(100.0, 0.0))), -REACH);
    }

    #[test]
    fn lines_of_one_order_are_one_order() {
        // A hundred lines where one was expected come from one order or two.
        let surprise = Hour { expected_purchases: 0.5, ..hour(100.0, 2.0) };
        let (of_one, of_many) = (values().of(surprise), values().of(hour(100.0, 2.0)));
        assert!(of_one.1 < 0.2 * of_many.1);
    }

    #[test]
    fn no_order_has_no_value() {
        let nothing = Hour { purchases: 0.0, revenue: 0.0, expected_purchases: 3.0, expected_revenue: 0.0 };
        assert_eq!(values().of(nothing), (0.0, 0.0));
        // Without data ratios are taken as standard normal.
        let unknown = OrderValues::fit(std::iter::empty());
        assert!(unknown.is_valid());
        let (value, weight) = unknown.of(hour(1.0, std::f64::consts::E));
        assert!((value - weight - 1.0).abs() < 0.02 && (weight - 1.0).abs() < 0.02);
    }
}
