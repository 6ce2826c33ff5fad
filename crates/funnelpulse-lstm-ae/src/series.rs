//! A series on an even grid of times, and the windows in it.

use std::{f64::consts::TAU, ops::Range};

use funnelpulse_core::{FrameView, Timestamp};
use ndarray::ArrayView2;

use crate::{kernel::Sizes, scale::Scale};

/// Sines and cosines of the hour of the day and the day of the week.
pub(crate) const CALENDAR: usize = 4;

/// One series: a slot per step of time, in stretches without long gaps.
#[derive(Debug)]
pub(crate) struct Series {
    /// Columns.
    width: usize,
    /// Scaled values by slot and column, NaN where missing.
    pub(crate) values: Vec<f64>,
    /// Time of each slot.
    time: Vec<Timestamp>,
    /// The slot of each row.
    pub(crate) slots: Vec<usize>,
    /// Runs of slots without a long gap.
    pub(crate) stretches: Vec<Range<usize>>,
}

/// The distance of rows that is most common, in microseconds; the shorter of two that are equally common.
pub(crate) fn usual_step<'a>(times: impl IntoIterator<Item = &'a [Timestamp]>) -> i64 {
    let mut counts = std::collections::BTreeMap::new();
    for time in times {
        for pair in time.windows(2) {
            *counts.entry(pair[1].as_micros().saturating_sub(pair[0].as_micros())).or_insert(0_usize) += 1;
        }
    }
    let most = counts.values().copied().max();
    counts.into_iter().find(|(_, n)| Some(*n) == most).map_or(Timestamp::HOUR, |(step, _)| step.max(1))
}

impl Series {
    /// Lays rows with the given values on the grid. Where a row belongs depends on the rows before it
    /// only: as many slots on as steps have passed, at least one.
    pub(crate) fn new(
        time: &[Timestamp],
        values: ArrayView2<'_, f64>,
        scale: &Scale,
        step: i64,
        max_gap: usize,
    ) -> Self {
        let width = values.ncols();
        let mut series = Self { width, values: Vec::new(), time: Vec::new(), slots: Vec::new(), stretches: Vec::new() };
        let mut start = 0;
        for (row, (&now, values)) in time.iter().zip(values.rows()).enumerate() {
            if row > 0 {
                let passed = now.as_micros().saturating_sub(time[row - 1].as_micros());
                let missing = (passed as f64 / step as f64).round().max(1.0) as usize - 1;
                if missing > max_gap {
                    series.stretches.push(start..series.time.len());
                    start = series.time.len();
                } else {
                    for n in 1..=missing as i64 {
                        series.time.push(time[row - 1].offset(step.saturating_mul(n)));
                        series.values.extend(std::iter::repeat_n(f64::NAN, width));
                    }
                }
            }
            series.slots.push(series.time.len());
            series.time.push(now);
            series.values.extend(values.iter().enumerate().map(|(column, &value)| scale.apply(column, value)));
        }
        series.stretches.push(start..series.time.len());
        series
    }

    /// As [`Series::new`] for a frame.
    pub(crate) fn of(frame: FrameView<'_>, scale: &Scale, step: i64, max_gap: usize) -> Self {
        Self::new(frame.time(), frame.values(), scale, step, max_gap)
    }

    /// Number of slots.
    pub(crate) fn len(&self) -> usize {
        self.time.len()
    }

    /// Starts of the windows of `length` slots that lie in `within` and in one stretch, run by run.
    pub(crate) fn starts(&self, length: usize, within: Range<usize>) -> Vec<Range<usize>> {
        let runs = self.stretches.iter().filter_map(|stretch| {
            let (start, end) = (stretch.start.max(within.start), stretch.end.min(within.end));
            (end >= start + length).then(|| start..end - length + 1)
        });
        runs.collect()
    }
}

/// Cuts windows from series.
#[derive(Clone, Debug)]
pub(crate) struct Cutter {
    pub(crate) length: usize,
    pub(crate) calendar: bool,
    pub(crate) blind: bool,
    pub(crate) last_row_weight: f32,
}

/// Windows as the network reads them: windows x steps x values.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) rows: usize,
    pub(crate) inputs: Vec<f32>,
    pub(crate) targets: Vec<f32>,
    pub(crate) counts: Vec<f32>,
}

impl Cutter {
    /// Values per step that the network reads for series of `columns` columns.
    pub(crate) fn inputs(&self, columns: usize) -> usize {
        columns + if self.calendar { CALENDAR } else { 0 }
    }

    /// Lets the encoder read other values in rows of the last window of `batch`: those of the slots of `series` from
    /// `donor` on, as many as there are in `rows`.
    pub(crate) fn corrupt(&self, series: &Series, donor: usize, rows: Range<usize>, batch: &mut Batch) {
        let width = series.width;
        let inputs = self.inputs(width);
        let first = (batch.rows - 1) * self.length;
        // What is hidden stays hidden.
        let visible = self.length - usize::from(self.blind);
        for (row, slot) in rows.zip(donor..).filter(|(row, _)| *row < visible) {
            for column in 0..width {
                batch.inputs[(first + row) * inputs + column] = Scale::input(series.values[slot * width + column]);
            }
        }
    }

    /// What the network reads of some slots as the last step of a window or, else, as any other: slots x inputs.
    pub(crate) fn inputs_of(&self, series: &Series, slots: Range<usize>, as_last: bool) -> Vec<f32> {
        let width = series.width;
        let mut inputs = Vec::with_capacity(slots.len() * self.inputs(width));
        for slot in slots {
            let values = &series.values[slot * width..][..width];
            let is_hidden = as_last && self.blind;
            inputs.extend(values.iter().map(|&value| if is_hidden { 0.0 } else { Scale::input(value) }));
            if self.calendar {
                inputs.extend(calendar(series.time[slot]));
            }
        }
        inputs
    }

    /// Adds the window of `series` that starts at slot `start`.
    pub(crate) fn cut(&self, series: &Series, start: usize, batch: &mut Batch) {
        let width = series.width;
        for slot in start..start + self.length {
            let last = slot + 1 == start + self.length;
            let values = &series.values[slot * width..][..width];
            for &value in values {
                let input = Scale::input(value);
                batch.inputs.push(if last && self.blind { 0.0 } else { input });
                batch.targets.push(input);
                let weight = if last { self.last_row_weight } else { 1.0 };
                batch.counts.push(if value.is_nan() { 0.0 } else { weight });
            }
            if self.calendar {
                batch.inputs.extend(calendar(series.time[slot]));
            }
        }
        batch.rows += 1;
    }
}

impl Batch {
    /// Forgets all windows.
    pub(crate) fn clear(&mut self) {
        self.rows = 0;
        self.inputs.clear();
        self.targets.clear();
        self.counts.clear();
    }

    /// Number of windows, up to `most`, after which a batch of them takes about as much memory as the network's pass.
    pub(crate) fn room(sizes: &Sizes, length: usize, most: usize) -> usize {
        (1_usize << 22).div_ceil(length * (sizes.inputs + sizes.outputs)).clamp(1, most)
    }
}

fn calendar(time: Timestamp) -> [f32; CALENDAR] {
    let phase = |period: i64| TAU * time.as_micros().rem_euclid(period) as f64 / period as f64;
    let (day, week) = (phase(Timestamp::DAY), phase(7 * Timestamp::DAY));
    [day.sin() as f32, day.cos() as f32, week.sin() as f32, week.cos() as f32]
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn series(hours: &[i64]) -> Series {
        let time: Vec<Timestamp> = hours.iter().map(|h| Timestamp::from_seconds(3600 * h)).collect();
        let values = Array2::from_shape_fn((time.len(), 1), |(i, _)| hours[i] as f64);
        let scale = Scale::plain(1);
        Series::new(&time, values.view(), &scale, Timestamp::HOUR, 2)
    }

    #[test]
    fn windows_do_not_cross_gaps_and_fill_holes() {
        let series = series(&[0, 1, 2, 5, 6, 20, 21, 22]);
        assert_eq!(series.slots, [0, 1, 2, 5, 6, 7, 8, 9]);
        assert_eq!(series.stretches, [0..7, 7..10]);
        assert!(series.values[3].is_nan() && series.values[4].is_nan());
        assert_eq!(series.starts(3, 0..10), [0..5, 7..8]);
        assert_eq!(series.starts(3, 2..9), vec![2..5]);
        let cutter = Cutter { length: 3, calendar: true, blind: true, last_row_weight: 2.0 };
        let mut batch = Batch::default();
        cutter.cut(&series, 2, &mut batch);
        assert_eq!(batch.counts, [1.0, 0.0, 0.0]);
        assert_eq!(batch.targets, [2.0, 0.0, 0.0]);
        cutter.cut(&series, 4, &mut batch);
        assert_eq!(batch.counts[3..], [0.0, 1.0, 2.0]);
        assert_eq!(batch.inputs[3 * 5], 0.0);
        assert_eq!(batch.inputs[5 * 5], 0.0, "hidden");
        assert_eq!(batch.targets[5], 6.0);
    }

    #[test]
    fn calendars_tell_hours_and_days_apart() {
        let hour = |h: i64| calendar(Timestamp::from_seconds(3600 * h)).map(|v| (v * 100.0).round() as i64);
        let mut all: Vec<_> = (0..168).map(hour).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 168);
        assert_eq!(hour(5), hour(5 + 168));
    }

    #[test]
    fn the_usual_step_is_the_most_common() {
        let times = |hours: &[i64]| hours.iter().map(|h| Timestamp::from_seconds(3600 * h)).collect::<Vec<_>>();
        assert_eq!(usual_step([&times(&[0, 2, 4, 9])[..]]), 2 * Timestamp::HOUR);
        assert_eq!(usual_step([&times(&[0])[..]]), Timestamp::HOUR);
    }
}
