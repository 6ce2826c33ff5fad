//! The latest values in order of size.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Weight of how far a value is beyond the largest, in mean excesses.
const BEYOND: f64 = 0.5;
/// Most mean excesses that count.
const FARTHEST: f64 = 20.0;

/// The latest values, sorted. No NaN gets in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Latest", into = "Latest")]
pub(crate) struct Sorted {
    latest: VecDeque<f64>,
    ascending: Vec<f64>,
    capacity: usize,
}

#[derive(Serialize, Deserialize)]
struct Latest {
    values: Vec<f64>,
    capacity: usize,
}

impl From<Latest> for Sorted {
    fn from(latest: Latest) -> Self {
        let mut ascending = latest.values.clone();
        ascending.sort_unstable_by(f64::total_cmp);
        Self { latest: latest.values.into(), ascending, capacity: latest.capacity }
    }
}

impl From<Sorted> for Latest {
    fn from(sorted: Sorted) -> Self {
        Self { values: sorted.latest.into(), capacity: sorted.capacity }
    }
}

impl Sorted {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { latest: VecDeque::new(), ascending: Vec::new(), capacity }
    }

    pub(crate) fn len(&self) -> usize {
        self.ascending.len()
    }

    pub(crate) fn is_valid(&self, capacity: usize) -> bool {
        self.capacity == capacity && self.len() <= capacity && self.ascending.iter().all(|v| v.is_finite())
    }

    pub(crate) fn push(&mut self, value: f64) {
        if self.latest.len() == self.capacity
            && let Some(oldest) = self.latest.pop_front()
        {
            let place = self.ascending.partition_point(|v| *v < oldest);
            self.ascending.remove(place);
        }
        self.latest.push_back(value);
        let place = self.ascending.partition_point(|v| *v < value);
        self.ascending.insert(place, value);
    }

    pub(crate) fn median(&self) -> Option<f64> {
        let n = self.len();
        (n > 0).then(|| f64::midpoint(self.ascending[(n - 1) / 2], self.ascending[n / 2]))
    }

    /// Rarity of a value this large: 0 for the smallest, 1 where it would be the largest
    /// of all (a conformal p-value, on the scale of its logarithm), more the farther it is beyond.
    pub(crate) fn rarity(&self, value: f64) -> f64 {
        let n = self.len();
        if n == 0 {
            return 0.0;
        }
        let as_large = n - self.ascending.partition_point(|v| *v < value);
        let all = (n + 1) as f64;
        if as_large > 0 {
            return (all / (as_large + 1) as f64).ln() / (all + 1.0).ln();
        }
        let top = n.min((n / 20).clamp(3, 50));
        let start = self.ascending[n - top];
        let excess = self.ascending[n - top..].iter().map(|v| v - start).sum::<f64>() / top as f64;
        let beyond = ((value - self.ascending[n - 1]) / excess.max(f64::MIN_POSITIVE)).min(FARTHEST);
        (all.ln() + BEYOND * beyond) / (all + 1.0).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest() {
        let mut sorted = Sorted::new(5);
        for value in [9.0, 1.0, 5.0, 3.0, 7.0, 2.0, 2.0] {
            sorted.push(value);
        }
        assert_eq!(sorted.ascending, [2.0, 2.0, 3.0, 5.0, 7.0]);
        assert_eq!(sorted.median(), Some(3.0));
    }

    #[test]
    fn rarer_is_more() {
        let mut sorted = Sorted::new(1000);
        (0..500).for_each(|v| sorted.push(f64::from(v)));
        let rarities = [0.0, 250.0, 499.0, 500.0, 900.0].map(|v| sorted.rarity(v));
        assert!(rarities.is_sorted_by(|a, b| a < b), "{rarities:?}");
        assert!(rarities[0] >= 0.0 && (rarities[3] - 1.0).abs() < 0.01);
    }
}
