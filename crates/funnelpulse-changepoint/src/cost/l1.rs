//! Change of the median.

use ndarray::ArrayView2;

use super::{Cost, Signal};
use crate::ChangepointError;

/// Sum of absolute distances from the segment's median, over all columns.
///
/// Any segment costs `O(log n)`, by a wavelet tree (Grossi, Gupta & Vitter 2003) with running sums.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostL1};
/// use ndarray::array;
///
/// let cost = CostL1::new(array![[1.0], [7.0], [2.0], [2.0]].view())?;
/// assert_eq!((cost.cost(0, 3), cost.cost(0, 4), cost.cost(2, 4)), (6.0, 6.0, 0.0));
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostL1 {
    n: usize,
    columns: Vec<Wavelet>,
}

impl CostL1 {
    /// The cost of `values`, a row per time.
    pub fn new(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        let signal = Signal::new(values)?.center();
        let column = |c| signal.values.iter().skip(c).step_by(signal.d).copied().collect();
        Ok(Self { n: signal.n, columns: (0..signal.d).map(|c| Wavelet::new(column(c))).collect() })
    }
}

impl Cost for CostL1 {
    fn len(&self) -> usize {
        self.n
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        self.columns.iter().map(|column| column.absolute_deviation(start, end)).sum()
    }
}

/// One level of the tree: values in the order in which this level's bit splits them.
#[derive(Clone, Debug)]
struct Level {
    /// Number of the values before each place that go left (bit 0).
    zeros: Vec<u32>,
    /// Running sum of those that go left.
    left: Vec<f64>,
}

/// A wavelet matrix over the ranks of a column.
#[derive(Clone, Debug)]
struct Wavelet {
    sorted: Vec<f64>,
    /// Highest bit first.
    levels: Vec<Level>,
    running: Vec<f64>,
}

impl Wavelet {
    fn new(values: Vec<f64>) -> Self {
        let n = values.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let mut ranks = vec![0_u32; n];
        for (rank, &i) in order.iter().enumerate() {
            ranks[i] = rank as u32;
        }
        let sorted: Vec<f64> = order.iter().map(|&i| values[i]).collect();
        let running = running_sum(values.iter().copied());
        let bits = usize::BITS - n.saturating_sub(1).leading_zeros();
        let mut levels = Vec::new();
        for bit in (0..bits).rev() {
            let is_left = |rank: u32| (rank >> bit) & 1 == 0;
            let mut zeros = vec![0];
            for &rank in &ranks {
                zeros.push(zeros[zeros.len() - 1] + u32::from(is_left(rank)));
            }
            let value = |rank: u32| sorted[rank as usize];
            let left = running_sum(ranks.iter().map(|&r| if is_left(r) { value(r) } else { 0.0 }));
            levels.push(Level { zeros, left });
            let (left, right): (Vec<u32>, Vec<u32>) = ranks.iter().partition(|r| is_left(**r));
            ranks = [left, right].concat();
        }
        Self { sorted, levels, running }
    }

    /// Sum of distances from the median of `start..end`.
    fn absolute_deviation(&self, start: usize, end: usize) -> f64 {
        let total = self.running[end] - self.running[start];
        let half = (end - start) / 2;
        // Descend to the value of rank `half` within the segment, adding up what lies below it.
        let (mut from, mut to, mut wanted, mut rank, mut below) = (start, end, half, 0_usize, 0.0);
        for level in &self.levels {
            let (a, b) = (level.zeros[from] as usize, level.zeros[to] as usize);
            rank <<= 1;
            if wanted < b - a {
                (from, to) = (a, b);
            } else {
                wanted -= b - a;
                below += level.left[to] - level.left[from];
                let all_zeros = level.zeros[level.zeros.len() - 1] as usize;
                (from, to) = (all_zeros + from - a, all_zeros + to - b);
                rank |= 1;
            }
        }
        let middle = if (end - start) % 2 == 1 { self.sorted[rank] } else { 0.0 };
        (total - 2.0 * below - middle).max(0.0)
    }
}

fn running_sum(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sum = 0.0;
    std::iter::once(0.0)
        .chain(values.map(|v| {
            sum += v;
            sum
        }))
        .collect()
}
