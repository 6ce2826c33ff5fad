//! Scoring rows as they arrive, for many series at once.

use std::collections::BTreeMap;

use funnelpulse_core::{Error, FrameView, SeriesKey, Timestamp};
use ndarray::Array2;

use crate::{LstmAutoencoderModel, model::KIND, scale::Scale, series::Series};

/// The newest rows of each series.
#[derive(Clone, Debug)]
struct Recent {
    scale: Scale,
    time: Vec<Timestamp>,
    values: Vec<f64>,
}

/// Scores the newest row of many series by one pass over one window each, all in one batch. Scores are those
/// of [`ReconstructionScoring::LastPosition`](crate::ReconstructionScoring::LastPosition), bit by bit what `detect` gives for the same rows.
///
/// ```
/// use funnelpulse_core::{Detector, FittedDetector};
/// use funnelpulse_lstm_ae::{LstmAutoencoder, LstmAutoencoderConfig, LstmAutoencoderStream};
/// # let config = LstmAutoencoderConfig {
/// #     sequence_length: 12, encoder: vec![8], bottleneck: 4, decoder: vec![8], epochs: 1,
/// #     ..Default::default()
/// # };
/// let frame = funnelpulse_testing::noise_frame(220, 2, 1);
/// let model = LstmAutoencoder::new(config)?.fit(frame.view().rows(0..200))?;
/// let whole = model.detect(frame.view())?;
/// let mut stream = LstmAutoencoderStream::new(model);
/// stream.begin("runail", frame.view().rows(0..200))?;
/// for row in 200..220 {
///     let values = frame.values().row(row).to_vec();
///     let scores = stream.push(&[("runail".into(), frame.time()[row], &values)])?;
///     assert_eq!(scores, [whole.score()[row]]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LstmAutoencoderStream {
    model: LstmAutoencoderModel,
    series: BTreeMap<SeriesKey, Recent>,
}

impl LstmAutoencoderStream {
    /// A stream without series.
    pub fn new(model: LstmAutoencoderModel) -> Self {
        Self { model, series: BTreeMap::new() }
    }

    /// Starts a series with rows of its past, which give it its scale (as in
    /// [`of_series`](LstmAutoencoderModel::of_series)) and the rows before the first that will be pushed. Replaces a series of
    /// the same name.
    pub fn begin(&mut self, name: impl Into<SeriesKey>, past: FrameView<'_>) -> Result<(), Error> {
        let values = past.aligned(&self.model.columns)?;
        let scale = self.model.scale_of(values.view());
        let first = past.nrows().saturating_sub(self.model.config.sequence_length);
        let recent = past.rows(first..past.nrows()).aligned(&self.model.columns)?.iter().copied().collect();
        self.series.insert(name.into(), Recent { scale, time: past.time()[first..].to_vec(), values: recent });
        Ok(())
    }

    /// Takes one row of any number of series and scores them; NaN where a series has too few rows yet.
    /// Values stand in the order of the model's columns, NaN where missing.
    ///
    /// Series must have begun; times must go forward. Where a row is refused, none is taken.
    pub fn push(&mut self, rows: &[(SeriesKey, Timestamp, &[f64])]) -> Result<Vec<f64>, Error> {
        let refuse = |reason: String| Error::Detector { detector: KIND, source: reason.into() };
        let width = self.model.columns.len();
        for (n, (name, time, values)) in rows.iter().enumerate() {
            let Some(recent) = self.series.get(name) else {
                return Err(refuse(format!("series `{name}` has not begun")));
            };
            if values.len() != width || values.iter().any(|v| v.is_infinite()) {
                return Err(refuse(format!("series `{name}`: a row has {width} values that are finite or NaN")));
            }
            if recent.time.last().is_some_and(|last| last >= time) || rows[..n].iter().any(|(other, ..)| other == name)
            {
                return Err(refuse(format!("series `{name}`: time {time} does not come after the last row")));
            }
        }
        let config = &self.model.config;
        let mut windows = Vec::with_capacity(rows.len());
        for (name, time, values) in rows {
            let Some(recent) = self.series.get_mut(name) else { continue };
            if recent.time.len() >= config.sequence_length {
                recent.time.remove(0);
                recent.values.drain(..width);
            }
            recent.time.push(*time);
            recent.values.extend_from_slice(values);
            let table = Array2::from_shape_vec((recent.time.len(), width), recent.values.clone());
            let table = table.map_err(|error| Error::Detector { detector: KIND, source: error.into() })?;
            windows.push(Series::new(&recent.time, table.view(), &recent.scale, self.model.step, config.max_gap));
        }
        self.model.last_rows(&windows)
    }
}
