//! Fourier terms of a seasonality.

use std::f64::consts::TAU;

use funnelpulse_core::Timestamp;
use serde::{Deserialize, Serialize};

/// Sines and cosines of the multiples of one frequency, counted from the Unix epoch (UTC).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fourier {
    /// Period in microseconds.
    period: f64,
    order: u32,
}

impl Fourier {
    pub(crate) fn new(period_days: f64, order: u32) -> Self {
        Self { period: period_days * Timestamp::DAY as f64, order }
    }

    pub(crate) fn columns(&self) -> usize {
        2 * self.order as usize
    }

    #[cfg(feature = "prophet")]
    pub(crate) fn period_days(&self) -> f64 {
        self.period / Timestamp::DAY as f64
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.period.is_finite() && self.period >= 0.05 && (1..=200).contains(&self.order)
    }

    /// The period where it is a whole number of microseconds: then phases are exact.
    fn whole(&self) -> Option<i64> {
        (self.period.fract() == 0.0 && self.period < 9e18).then_some(self.period as i64)
    }

    /// Writes the terms of every time to the columns from `offset` on of a row-major matrix.
    pub(crate) fn fill(&self, time: &[Timestamp], matrix: &mut [f64], width: usize, offset: usize) {
        let k = self.columns();
        let rows = || matrix.len() / width.max(1);
        debug_assert_eq!(rows(), time.len());
        let Some(period) = self.whole() else {
            for (t, row) in time.iter().zip(matrix.chunks_exact_mut(width)) {
                let cycles = t.as_micros() as f64 / self.period;
                terms(cycles - cycles.floor(), &mut row[offset..offset + k]);
            }
            return;
        };
        let Some(first) = time.first().map(|t| t.as_micros().rem_euclid(period)) else { return };
        let phase = |t: &Timestamp| t.as_micros().rem_euclid(period);
        // A regular series meets the same few phases over and over.
        let step = time.iter().fold(period, |g, t| gcd(g, (phase(t) - first).abs()));
        let base = first % step;
        if (period / step) as usize <= time.len() / 2 {
            let mut table = vec![0.0; (period / step) as usize * k];
            for (i, entry) in table.chunks_exact_mut(k).enumerate() {
                terms((base + i as i64 * step) as f64 / period as f64, entry);
            }
            for (t, row) in time.iter().zip(matrix.chunks_exact_mut(width)) {
                let i = (phase(t) / step) as usize;
                row[offset..offset + k].copy_from_slice(&table[i * k..(i + 1) * k]);
            }
        } else {
            for (t, row) in time.iter().zip(matrix.chunks_exact_mut(width)) {
                terms(phase(t) as f64 / period as f64, &mut row[offset..offset + k]);
            }
        }
    }
}

/// `sin(j a), cos(j a)` for `j = 1, 2, ...` by rotation.
fn terms(cycles: f64, out: &mut [f64]) {
    let (sin, cos) = (TAU * cycles).sin_cos();
    let (mut s, mut c) = (sin, cos);
    for pair in out.chunks_exact_mut(2) {
        pair[0] = s;
        pair[1] = c;
        (s, c) = (s * cos + c * sin, c * cos - s * sin);
    }
}

fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(fourier: &Fourier, time: &[Timestamp]) -> Vec<f64> {
        let mut matrix = vec![0.0; time.len() * fourier.columns()];
        fourier.fill(time, &mut matrix, fourier.columns(), 0);
        matrix
    }

    #[test]
    fn terms_are_those_of_prophet_and_do_not_depend_on_the_batch() {
        let time: Vec<_> = (0..400).map(|i| Timestamp::from_seconds(1_672_617_600 + 3600 * i)).collect();
        for fourier in [Fourier::new(7.0, 3), Fourier::new(1.0, 4), Fourier::new(365.25, 10), Fourier::new(0.1, 2)] {
            let all = matrix(&fourier, &time);
            for (i, t) in time.iter().enumerate() {
                let row = &all[i * fourier.columns()..(i + 1) * fourier.columns()];
                assert_eq!(row, matrix(&fourier, &[*t]), "one row and many");
                for (j, pair) in row.chunks_exact(2).enumerate() {
                    let angle = TAU * (t.as_micros() as f64 / 8.64e10) * (j + 1) as f64 / (fourier.period / 8.64e10);
                    assert!((pair[0] - angle.sin()).abs() < 1e-8 && (pair[1] - angle.cos()).abs() < 1e-8);
                }
            }
        }
    }
}
