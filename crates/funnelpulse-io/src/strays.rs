//! Rows whose time is far from that of all others.

use funnelpulse_core::{Frame, FrameError, Panel, SeriesKey, Timestamp};

/// The gap that separates a stray row from the others is at least this long, and longer than all the
/// others span: a year, longer than a shop is closed.
const LEAST_GAP: i64 = 366 * Timestamp::DAY;
/// Rows that may be strays in a small panel.
const FEW: usize = 3;
/// Rows of a panel for each that may be a stray: one in a hundred.
const PER_STRAY: usize = 100;
/// Rows from which on a panel has a bulk.
const LEAST_ROWS: usize = 20;

/// A row that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrayRow {
    /// Its series.
    pub series: SeriesKey,
    /// Its time.
    pub time: Timestamp,
}

impl std::fmt::Display for StrayRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "series `{}`, {}", self.series, self.time)
    }
}

/// Takes out rows whose time is far from that of all others, and names them: a row of 1970, where a
/// time was zero, or of the year 9999, where it was meant to be never. What works on the hours from
/// the first row to the last would otherwise work on centuries.
///
/// **Rule.** The times of all series together fall into groups, with a gap between two groups that is
/// longer than a year. The group with the most rows is the bulk. Another group is stray when it is
/// separated from the next group on the way to the bulk by more than the bulk spans, and all stray
/// groups together hold at most three rows or one row in a hundred. Panels of fewer than 20 rows are
/// left as they are. A series of nothing but stray rows is taken out.
///
/// ```
/// use funnelpulse_core::{Columns, Frame, Panel, Timestamp};
/// use funnelpulse_io::set_aside_strays;
/// use ndarray::Array2;
///
/// let hours = (0..48).map(|h| Timestamp::from_seconds(1_569_888_000 + h * 3600));
/// let times: Vec<_> = std::iter::once(Timestamp::from_seconds(0)).chain(hours).collect();
/// let columns = Columns::new(["views"])?;
/// let mut panel = Panel::new(columns.clone());
/// panel.insert("runail", Frame::new(times, columns, Array2::ones((49, 1)))?)?;
///
/// let (panel, strays) = set_aside_strays(panel)?;
/// assert_eq!(strays[0].to_string(), "series `runail`, 1970-01-01T00:00:00Z");
/// assert_eq!(panel.get("runail").unwrap().nrows(), 48);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_aside_strays(panel: Panel) -> Result<(Panel, Vec<StrayRow>), FrameError> {
    let Some((first, last)) = bulk(&panel) else { return Ok((panel, Vec::new())) };
    let inside = |time: &Timestamp| (first..=last).contains(time);
    let mut strays = Vec::new();
    let mut kept = Panel::new(panel.columns().clone());
    for (series, frame) in &panel {
        let from = frame.time().partition_point(|time| *time < first);
        let to = frame.time().partition_point(|time| *time <= last);
        let outside = frame.time().iter().filter(|time| !inside(time));
        strays.extend(outside.map(|time| StrayRow { series: series.clone(), time: *time }));
        if from < to {
            kept.insert(series.clone(), part(frame, from, to)?)?;
        }
    }
    Ok((kept, strays))
}

/// The rows of a frame from one to before another.
fn part(frame: &Frame, from: usize, to: usize) -> Result<Frame, FrameError> {
    let values = frame.values().slice(ndarray::s![from..to, ..]).to_owned();
    Frame::new(frame.time()[from..to].to_vec(), frame.columns().clone(), values)
}

/// The first and the last time that are no strays; `None` where there are no strays.
fn bulk(panel: &Panel) -> Option<(Timestamp, Timestamp)> {
    // Most panels have no gap at all; sorting all times only where the ends are far apart.
    let ends = || panel.iter().filter_map(|(_, frame)| Some((*frame.time().first()?, *frame.time().last()?)));
    let (first, last) = (ends().map(|e| e.0).min()?, ends().map(|e| e.1).max()?);
    let total: usize = panel.iter().map(|(_, frame)| frame.nrows()).sum();
    if total < LEAST_ROWS || last.as_micros().saturating_sub(first.as_micros()) <= LEAST_GAP {
        return None;
    }
    let mut times: Vec<i64> = panel.iter().flat_map(|(_, frame)| frame.time().iter().map(|t| t.as_micros())).collect();
    times.sort_unstable();
    let groups: Vec<&[i64]> = times.chunk_by(|a, b| b.saturating_sub(*a) <= LEAST_GAP).collect();
    let main = (0..groups.len()).max_by_key(|i| groups[*i].len())?;
    let (mut from, mut to) = (main, main);
    let span = span(groups[main]);
    let gap = |left: usize, right: usize| start(groups[right]).saturating_sub(end(groups[left]));
    while from > 0 && gap(from - 1, from) <= span {
        from -= 1;
    }
    while to + 1 < groups.len() && gap(to, to + 1) <= span {
        to += 1;
    }
    let kept: usize = groups[from..=to].iter().map(|group| group.len()).sum();
    let strays = total - kept;
    let few = strays > 0 && strays <= FEW.max(total / PER_STRAY);
    few.then(|| (Timestamp::from_micros(start(groups[from])), Timestamp::from_micros(end(groups[to]))))
}

fn start(group: &[i64]) -> i64 {
    group.first().copied().unwrap_or_default()
}

fn end(group: &[i64]) -> i64 {
    group.last().copied().unwrap_or_default()
}

fn span(group: &[i64]) -> i64 {
    end(group).saturating_sub(start(group))
}
