//! Statistics of a value against those before it.

use std::collections::VecDeque;

use super::{
    moments::{Moments, WindowMoments},
    sorted::SortedValues,
};

pub(super) const SUFFIXES: [&str; 4] = ["zscore", "percentile", "min", "max"];

/// The past of one metric.
#[derive(Clone, Debug)]
pub(super) struct Past {
    sorted: SortedValues,
    moments: PastMoments,
}

#[derive(Clone, Debug)]
enum PastMoments {
    All(Moments),
    /// With the values in order of time, so that the oldest can be dropped.
    Window(WindowMoments, VecDeque<(i64, f64)>, i64),
}

impl Past {
    /// `width` in microseconds; without one the past reaches back to the start.
    pub(super) fn new(width: Option<i64>) -> Self {
        let moments = match width {
            None => PastMoments::All(Moments::default()),
            Some(width) => PastMoments::Window(WindowMoments::new(width), VecDeque::new(), width),
        };
        Self { sorted: SortedValues::default(), moments }
    }

    /// The values of [`SUFFIXES`] against everything before, which `value` then becomes part of.
    pub(super) fn compare_then_push(&mut self, time: i64, value: f64) -> [f64; 4] {
        let moments = self.moments_at(time);
        let (min, max) = (self.sorted.min().unwrap_or(f64::NAN), self.sorted.max().unwrap_or(f64::NAN));
        if value.is_nan() {
            return [f64::NAN, f64::NAN, min, max];
        }
        let (smaller, equal) = self.sorted.rank(value);
        let percentile = (smaller as f64 + 0.5 * equal as f64) / self.sorted.len() as f64;
        let std = moments.std();
        let zscore = if std > 0.0 { (value - moments.mean()) / std } else { f64::NAN };
        self.sorted.insert(value);
        match &mut self.moments {
            PastMoments::All(all) => all.push(value),
            PastMoments::Window(window, values, _) => {
                window.push(time, value);
                values.push_back((time, value));
            }
        }
        [zscore, percentile, min, max]
    }

    fn moments_at(&mut self, now: i64) -> Moments {
        match &mut self.moments {
            PastMoments::All(all) => *all,
            PastMoments::Window(window, values, width) => {
                let gone = now.saturating_sub(*width);
                while let Some(&(_, value)) = values.front().filter(|(time, _)| *time <= gone) {
                    values.pop_front();
                    self.sorted.remove(value);
                }
                window.at(now)
            }
        }
    }
}
