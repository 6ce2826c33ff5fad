//! Medians of a column with missing values: `select_nth_unstable_by` into a buffer that is kept, as our crates take them, beside
//! `ndarray-stats`. `cargo run --release` prints medians of processor time.

use ndarray::{Array1, Axis};
use ndarray_stats::{QuantileExt, interpolate::Lower};
use noisy_float::types::n64;
use rustix::time::{ClockId, clock_gettime};

/// Processor time of the process in seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Uniform numbers; every twentieth is missing if there are gaps.
fn column(n: usize, has_gaps: bool) -> Vec<f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |i: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if has_gaps && i % 20 == 7 { f64::NAN } else { (state >> 11) as f64 / (1_u64 << 53) as f64 }
    };
    (0..n).map(&mut next).collect()
}

fn ours(values: &[f64], buffer: &mut Vec<f64>) -> f64 {
    buffer.clear();
    buffer.extend(values.iter().copied().filter(|value| !value.is_nan()));
    let middle = (buffer.len() - 1) / 2;
    *buffer.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// The array is reordered, so that it needs a copy of its own.
fn theirs(values: &[f64]) -> f64 {
    let mut array = Array1::from(values.to_vec());
    let median = array.quantile_axis_skipnan_mut(Axis(0), n64(0.5), &Lower).expect("values");
    median.into_scalar()
}

/// The middle of the times of some rounds, in microseconds, and the result.
fn time(rounds: usize, mut run: impl FnMut() -> f64) -> (f64, f64) {
    let mut result = 0.0;
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = cpu();
            result = run();
            1e6 * (cpu() - start)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[rounds / 2], result)
}

fn main() {
    println!("| rows | missing | `select_nth_unstable_by` | `quantile_axis_skipnan_mut` | times |");
    println!("|---|---|---|---|---|");
    for (n, rounds) in [(1_000, 5_000), (100_000, 200)] {
        for has_gaps in [false, true] {
            let values = column(n, has_gaps);
            let mut buffer = Vec::new();
            let (own, median) = time(rounds, || ours(&values, &mut buffer));
            let (other, other_median) = time(rounds, || theirs(&values));
            assert_eq!(median, other_median);
            let gaps = if has_gaps { "5 %" } else { "none" };
            println!("| {n} | {gaps} | {own:.1} us | {other:.1} us | {:.1} |", other / own);
        }
    }
}
