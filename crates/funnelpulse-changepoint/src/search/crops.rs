//! All penalties of a range.

use super::{Partition, Pelt};
use crate::{ChangepointError, cost::Cost, error::check_penalty};

/// An optimal segmentation and the penalties for which it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PathPoint {
    /// Lowest penalty for which it is optimal, within the range asked for.
    pub from: f64,
    /// Highest such penalty.
    pub to: f64,
    /// The segmentation.
    pub partition: Partition,
}

/// CROPS (Haynes, Eckley & Fearnhead 2017): every segmentation that is optimal for some penalty of
/// `low..=high`, ascending in penalty, by two searches per segmentation found.
///
/// ```
/// use funnelpulse_changepoint::{cost::CostL2, search::{Pelt, crops}};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((60, 1), |(i, _)| [0.0, 5.0, 6.0][i / 20]);
/// let path = crops(&Pelt::default(), &CostL2::new(values.view())?, 0.1, 1_000.0)?;
/// let breaks: Vec<usize> = path.iter().map(|point| point.partition.breaks.len()).collect();
/// assert_eq!(breaks, [2, 1, 0]);
/// assert!((path[0].to - 10.0).abs() < 1e-9, "the step from 5 to 6 is worth 10");
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
pub fn crops<C: Cost + ?Sized>(pelt: &Pelt, cost: &C, low: f64, high: f64) -> Result<Vec<PathPoint>, ChangepointError> {
    check_penalty(low)?;
    check_penalty(high)?;
    if low > high {
        return Err(ChangepointError::config("low", low, "at most `high`"));
    }
    let mut found = vec![pelt.search(cost, low)?, pelt.search(cost, high)?];
    let mut open = vec![(0, 1)];
    while let Some((fine, coarse)) = open.pop() {
        let (a, b) = (&found[fine], &found[coarse]);
        if a.breaks.len() <= b.breaks.len() + 1 {
            continue;
        }
        // Where both have the same objective; a third one may be better there.
        let penalty = (b.cost - a.cost) / (a.breaks.len() - b.breaks.len()) as f64;
        let middle = pelt.search(cost, penalty.clamp(low, high))?;
        if middle.breaks.len() < a.breaks.len() && middle.breaks.len() > b.breaks.len() {
            found.push(middle);
            open.push((fine, found.len() - 1));
            open.push((found.len() - 1, coarse));
        }
    }
    found.sort_by(|a, b| b.breaks.len().cmp(&a.breaks.len()).then(a.cost.total_cmp(&b.cost)));
    found.dedup_by_key(|partition| partition.breaks.len());
    let crossing = |a: &Partition, b: &Partition| (b.cost - a.cost) / (a.breaks.len() - b.breaks.len()) as f64;
    let bounds: Vec<f64> = std::iter::once(low)
        .chain(found.windows(2).map(|pair| crossing(&pair[0], &pair[1]).clamp(low, high)))
        .chain(std::iter::once(high))
        .collect();
    let point = |(partition, bounds): (Partition, &[f64])| PathPoint { from: bounds[0], to: bounds[1], partition };
    Ok(found.into_iter().zip(bounds.windows(2)).map(point).collect())
}
