//! Hours that are left out of the structure and of what windows are compared with.

use serde::{Deserialize, Serialize};

/// Heights above this share of the hours of all series are masked,
const QUANTILE: f64 = 0.98;
/// if they are above this:
const LEAST_HEIGHT: f64 = 3.0;
/// at most this share of the hours of a series. Without a cap all that lasts would be masked, and learnt nowhere.
const MOST: f64 = 0.12;
/// Of a run longer than this, hours, only the beginning stays masked: it is a new level.
pub(crate) const LONG_RUN: usize = 168;
const BEGINNING: usize = 48;
/// Hours below the height that a run may hold.
const BRIDGE: usize = 3;
/// The same after training.
const NIGHT: usize = 12;

/// From which height on hours of a series are masked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MaskHeight(f64);

impl MaskHeight {
    /// One height per series, from the heights of the observed hours of each.
    pub(crate) fn fit(series: &[Vec<f64>]) -> Vec<Self> {
        let mut all = series.concat();
        let common = quantile(&mut all, QUANTILE).max(LEAST_HEIGHT);
        let own = |heights: &Vec<f64>| Self(quantile(&mut heights.clone(), 1.0 - MOST).max(common));
        series.iter().map(own).collect()
    }

    /// Whether it may come from a fit.
    pub(crate) fn is_valid(self) -> bool {
        (LEAST_HEIGHT..=1e6).contains(&self.0)
    }

    /// 0 for masked hours, 1 for others; runs are those of the hours before `end`.
    pub(crate) fn mask(self, heights: &[f64]) -> Vec<f64> {
        self.mask_beginnings(heights, LONG_RUN, BEGINNING, BRIDGE)
    }

    /// The same after training, where a change that is no news any more is the new normal: of runs longer than this
    /// only the beginning stays masked. Nights in which little is expected do not end a run.
    pub(crate) fn mask_news(self, heights: &[f64], news: usize) -> Vec<f64> {
        self.mask_beginnings(heights, news, news, NIGHT)
    }

    /// The same, where of runs longer than `long` only the first `beginning` hours stay masked.
    fn mask_beginnings(self, heights: &[f64], long: usize, beginning: usize, bridge: usize) -> Vec<f64> {
        let mut mask = vec![1.0; heights.len()];
        let high = |hour: &usize| heights[*hour] > self.0;
        let mut hour = 0;
        while let Some(start) = (hour..heights.len()).find(high) {
            let mut last = start;
            while let Some(next) = (last + 1..(last + 2 + bridge).min(heights.len())).find(high) {
                last = next;
            }
            let end = if last + 1 - start > long { start + beginning } else { last + 1 };
            (start..end).filter(high).for_each(|hour| mask[hour] = 0.0);
            hour = last + 1;
        }
        mask
    }
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = ((values.len() as f64 * share) as usize).min(values.len() - 1);
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_level_is_masked_at_its_beginning_only() {
        let mut heights = vec![1.0; 1000];
        heights[100..110].fill(6.0);
        heights[400..700].fill(6.0);
        let mask = MaskHeight(3.0).mask(&heights);
        assert_eq!(mask[100..110], [0.0; 10]);
        assert!(mask[400..448].iter().all(|m| *m == 0.0) && mask[448..].iter().all(|m| *m == 1.0));
    }
}
