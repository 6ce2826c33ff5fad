//! Windows without a row: known to be empty, or unknown.

use std::collections::BTreeSet;

use funnelpulse_core::{Columns, Frame, FrameError, Panel, Timestamp};
use ndarray::{Array2, Axis};

/// Inserts a row of zeros where a series has no row although the feed worked.
///
/// The feed worked in a window if any series has a row there. Zeros reach from the first row
/// of a series to the last window of the panel: before its first row a series does not exist yet,
/// after its last row it stopped selling. Windows without a row in any series stay unknown, which
/// is no row at all.
///
/// ```
/// use funnelpulse_core::{Columns, Frame, Panel, Timestamp};
/// use funnelpulse_features::fill_known_empty;
/// use ndarray::array;
///
/// let columns = Columns::new(["views"])?;
/// let hours = |hours: &[i64]| hours.iter().map(|h| Timestamp::from_seconds(h * 3600)).collect::<Vec<_>>();
/// let mut panel = Panel::new(columns.clone());
/// // Nobody saw anything in hour 2: the feed was down.
/// panel.insert("a", Frame::new(hours(&[0, 1, 3]), columns.clone(), array![[5.0], [6.0], [7.0]])?)?;
/// panel.insert("b", Frame::new(hours(&[1]), columns, array![[2.0]])?)?;
///
/// let filled = fill_known_empty(panel)?;
/// assert_eq!(filled.get("b").unwrap().time(), hours(&[1, 3]));
/// assert_eq!(filled.get("b").unwrap().values(), array![[2.0], [0.0]]);
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
pub fn fill_known_empty(panel: Panel) -> Result<Panel, FrameError> {
    let alive = panel.iter().flat_map(|(_, frame)| frame.time()).copied().collect();
    fill_alive(panel, &alive)
}

/// The same with the windows in which the feed worked; those of the rows are among them.
pub(crate) fn fill_alive(panel: Panel, alive: &BTreeSet<Timestamp>) -> Result<Panel, FrameError> {
    let alive: Vec<Timestamp> = alive.iter().copied().collect();
    let columns = panel.columns().clone();
    let mut filled = Panel::new(columns.clone());
    for (key, frame) in panel {
        filled.insert(key, fill(&alive, &columns, frame)?)?;
    }
    Ok(filled)
}

fn fill(alive: &[Timestamp], columns: &Columns, frame: Frame) -> Result<Frame, FrameError> {
    let Some(first) = frame.time().first() else { return Ok(frame) };
    let time = &alive[alive.partition_point(|t| t < first)..];
    if time.len() == frame.nrows() {
        return Ok(frame);
    }
    let mut values = Array2::zeros((time.len(), columns.len()));
    let old = frame.values();
    let mut known = frame.time().iter().zip(old.axis_iter(Axis(0))).peekable();
    for (t, mut row) in time.iter().zip(values.axis_iter_mut(Axis(0))) {
        if let Some((_, from)) = known.next_if(|(k, _)| *k == t) {
            row.assign(&from);
        }
    }
    Frame::new(time.to_vec(), columns.clone(), values)
}
