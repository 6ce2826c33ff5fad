//! Mean and variance of what a sliding window holds, without drift.

use std::collections::VecDeque;

/// Count, mean and sum of squared deviations, which merge (Chan, Golub and `LeVeque` 1983).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    pub(super) fn push(&mut self, value: f64) {
        *self = self.merge(Self { count: 1.0, mean: value, squares: 0.0 });
    }

    fn merge(self, other: Self) -> Self {
        if self.count == 0.0 {
            return other;
        }
        if other.count == 0.0 {
            return self;
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        let share = other.count / count;
        Self {
            count,
            mean: self.mean + delta * share,
            squares: self.squares + other.squares + delta * delta * self.count * share,
        }
    }

    /// NaN for nothing.
    pub(super) fn mean(self) -> f64 {
        if self.count == 0.0 { f64::NAN } else { self.mean }
    }

    /// With `n - 1`; NaN for fewer than two values.
    pub(super) fn std(self) -> f64 {
        if self.count < 2.0 { f64::NAN } else { (self.squares / (self.count - 1.0)).sqrt() }
    }
}

/// The moments of the values of the last `width` microseconds: a queue as two stacks, each with
/// running aggregates (the construction known from sliding window aggregation, Tangwongsan et al.
/// 2017). Nothing is ever subtracted, so there is nothing to drift; amortised O(1) per value.
#[derive(Clone, Debug)]
pub(super) struct WindowMoments {
    width: i64,
    /// The older values, oldest last; each with the moments of itself and all newer ones here.
    front: Vec<(i64, Moments)>,
    /// The newer values, oldest first.
    back: VecDeque<(i64, f64)>,
    back_moments: Moments,
}

impl WindowMoments {
    pub(super) fn new(width: i64) -> Self {
        Self { width, front: Vec::new(), back: VecDeque::new(), back_moments: Moments::default() }
    }

    pub(super) fn push(&mut self, time: i64, value: f64) {
        if !value.is_nan() {
            self.back.push_back((time, value));
            self.back_moments.push(value);
        }
    }

    /// The moments of what lies in (`now` - width, `now`]. `now` never goes back.
    pub(super) fn at(&mut self, now: i64) -> Moments {
        let gone = now.saturating_sub(self.width);
        loop {
            match (self.front.last(), self.back.front()) {
                (Some((time, _)), _) if *time <= gone => {
                    self.front.pop();
                }
                (None, Some((time, _))) if *time <= gone => self.turn(gone),
                _ => break,
            }
        }
        self.front.last().map_or(self.back_moments, |(_, front)| front.merge(self.back_moments))
    }

    /// Moves what is still of interest to the front.
    fn turn(&mut self, gone: i64) {
        let mut moments = Moments::default();
        for &(time, value) in self.back.iter().rev().take_while(|(time, _)| *time > gone) {
            moments.push(value);
            self.front.push((time, moments));
        }
        self.back.clear();
        self.back_moments = Moments::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_offsets_do_not_drift() {
        let mut window = WindowMoments::new(10);
        for i in 0..100_000 {
            window.push(i, if i < 50_000 { 1e15 } else { f64::from(u32::try_from(i % 2).unwrap()) });
            let moments = window.at(i);
            if (10..50_000).contains(&i) {
                assert_eq!((moments.mean(), moments.std()), (1e15, 0.0));
            } else if i >= 50_010 {
                assert!((moments.mean() - 0.5).abs() < 1e-15);
                assert!((moments.std() - (2.5f64 / 9.0).sqrt()).abs() < 1e-15);
            }
        }
    }
}
