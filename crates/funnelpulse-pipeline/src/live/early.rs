//! Early results: a trailing window that ends within an hour, judged as if it were that hour.

use funnelpulse_core::{Columns, FittedDetector, Frame, Panel, Timestamp};
use ndarray::Array2;

use super::{Advance, LivePipeline, series::LiveSeries};
use crate::PipelineError;

/// What an hour brings is scaled by at most this, either way.
const MOST_SCALED: f64 = 10.0;

impl LivePipeline {
    /// What a trailing window from `start` to `end` would say if it were the row of the hour in which it ends. It is
    /// judged on the state as of the last full hour, which it does not change: full hours are the official rows, this
    /// is a warning before the hour is over.
    ///
    /// A window from 9:35 to 10:35 holds some of both hours. Its values are scaled by what the baseline expects of
    /// ten o'clock over what it expects of the window, so that a steep morning is no anomaly.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::{Panel, Timestamp};
    ///
    /// let mut live = pipeline()?.fit(&shop(96))?.live();
    /// let mut trailing = Panel::new(shop(1).columns().clone());
    /// for (key, frame) in shop(97).iter() {
    ///     trailing.insert(key.clone(), frame.view().rows(96..97).to_frame())?;
    /// }
    /// let hour = trailing.iter().next().unwrap().1.time()[0];
    /// let before = live.snapshot()?;
    /// let early = live.early(hour.offset(-Timestamp::HOUR / 2), hour.offset(Timestamp::HOUR / 2), &trailing)?;
    /// assert_eq!(early.now, hour);
    /// assert!(live.snapshot()? == before, "the state is that of the last full hour");
    /// # Ok(())
    /// # }
    /// ```
    pub fn early(&self, start: Timestamp, end: Timestamp, trailing: &Panel) -> Result<Advance, PipelineError> {
        let step = self.model.plan.config.input.step_seconds as i64 * Timestamp::SECOND;
        let hour = end.offset(-1).floor_to(step);
        let share = (end.as_micros() - hour.as_micros()) as f64 / (end.as_micros() - start.as_micros()).max(1) as f64;
        let mut window = Panel::new(trailing.columns().clone());
        for (key, frame) in trailing {
            let mut values = frame.values().to_owned();
            let scales = self.series.get(key).and_then(|series| scales(series, hour, step, share.clamp(0.0, 1.0)));
            for (column, scale) in scales.iter().flatten() {
                if let Some(at) = trailing.columns().position(column) {
                    values.column_mut(at).mapv_inplace(|value| value * scale);
                }
            }
            let rows = frame.nrows();
            let last = values.slice_move(ndarray::s![rows.saturating_sub(1).., ..]);
            let time = vec![hour; last.nrows()];
            window.insert(key.clone(), Frame::new(time, trailing.columns().clone(), last)?)?;
        }
        self.clone().advance(&window)
    }
}

/// By what each metric is multiplied: what is expected of the hour over what is expected of a window of which `share`
/// lies in the hour and the rest in the one before. `None` without a baseline.
fn scales(series: &LiveSeries, hour: Timestamp, step: i64, share: f64) -> Option<Vec<(String, f64)>> {
    let baseline = series.baseline.as_ref()?;
    let columns = Columns::new(baseline.columns().iter().cloned()).ok()?;
    let nothing = Array2::from_elem((2, columns.len()), f64::NAN);
    let frame = Frame::new(vec![hour.offset(-step), hour], columns.clone(), nothing).ok()?;
    let detection = baseline.detect(frame.view()).ok()?;
    let expected = detection.expected()?;
    let scale = |column: usize| {
        let (before, now) = (expected[[0, column]], expected[[1, column]]);
        let scale = now / ((1.0 - share) * before + share * now);
        if scale.is_finite() && scale > 0.0 { scale.clamp(1.0 / MOST_SCALED, MOST_SCALED) } else { 1.0 }
    };
    Some(columns.iter().enumerate().map(|(column, name)| (name.to_string(), scale(column))).collect())
}
