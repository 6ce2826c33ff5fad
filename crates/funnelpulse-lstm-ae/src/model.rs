//! The trained autoencoder.

use std::sync::Arc;

use funnelpulse_core::{
    Columns, Context, Detection, Error, FittedDetector, FrameView, PersistentModel, Threshold, Timestamp,
};
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::{
    Compute, EpochLoss, LstmAutoencoderConfig, LstmAutoencoderError, ReconstructionScoring,
    detector::Split,
    engine,
    kernel::Scratch,
    scale::Scale,
    series::{Batch, Cutter, Series},
    tensors,
    whiten::Whitening,
};

pub(crate) const KIND: &str = "lstm-ae";
/// A frame whose scale is farther from that of every training series has its own.
const STRANGER: f64 = 2.0;
/// Most training series and epochs that a model file may name.
const MOST: usize = 1 << 24;

/// A trained [`LstmAutoencoder`](crate::LstmAutoencoder).
///
/// The score of a row is the root mean square of its whitened reconstruction errors: about 1 for usual
/// rows, whatever the columns. See [`ReconstructionScoring`] for which errors those are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct LstmAutoencoderModel {
    pub(crate) columns: Columns,
    pub(crate) config: LstmAutoencoderConfig,
    /// Usual distance of rows in microseconds.
    pub(crate) step: i64,
    pub(crate) scales: Arc<[Scale]>,
    /// The series that frames belong to, where it was said.
    pub(crate) chosen: Option<usize>,
    pub(crate) weights: Arc<Vec<f32>>,
    pub(crate) whitening: Whitening,
    pub(crate) threshold: Option<Threshold>,
    pub(crate) history: Vec<EpochLoss>,
    pub(crate) scratch: Scratch,
}

/// The content of a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    columns: Columns,
    config: LstmAutoencoderConfig,
    step: i64,
    scales: Vec<Scale>,
    chosen: Option<usize>,
    /// A safetensors file.
    weights: Vec<u8>,
    whitening: Whitening,
    threshold: Option<Threshold>,
    history: Vec<EpochLoss>,
}

impl From<LstmAutoencoderModel> for Stored {
    fn from(model: LstmAutoencoderModel) -> Self {
        let weights = model.safetensors();
        let LstmAutoencoderModel { columns, config, step, scales, chosen, whitening, threshold, history, .. } = model;
        let scales = scales.to_vec();
        Self { columns, config, step, scales, chosen, weights, whitening, threshold, history }
    }
}

impl TryFrom<Stored> for LstmAutoencoderModel {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let Stored { columns, config, step, scales, chosen, weights, whitening, threshold, history } = stored;
        config.validate().map_err(|e| e.to_string())?;
        let width = columns.len();
        if width == 0 || step < 1 || !(1..MOST).contains(&scales.len()) || !scales.iter().all(|s| s.is_valid(width)) {
            return Err("a model has columns, a step of time and a scale for each series".into());
        }
        if chosen.is_some_and(|series| series >= scales.len()) {
            return Err("a series that the model was not trained on".into());
        }
        if !whitening.is_valid(config.sequence_length, width) {
            return Err("usual errors do not fit the windows".into());
        }
        if threshold.is_some_and(|t| !t.limit().is_finite()) || !history.iter().all(|l| l.validation.is_finite()) {
            return Err("a threshold or losses that are no numbers".into());
        }
        let weights = Arc::new(tensors::read(&config.sizes(width), &weights)?);
        let (scales, scratch) = (scales.into(), Scratch::default());
        Ok(Self { columns, config, step, scales, chosen, weights, whitening, threshold, history, scratch })
    }
}

/// Scores and what explains them, by row.
struct Judgement {
    scores: Vec<f64>,
    /// Rows x columns.
    contributions: Vec<f64>,
    expected: Vec<f64>,
}

impl Judgement {
    /// Nothing known of this many rows and columns.
    fn of((rows, width): (usize, usize)) -> Self {
        let nothing = || vec![f64::NAN; rows * width];
        Self { scores: vec![f64::NAN; rows], contributions: nothing(), expected: nothing() }
    }

    /// The score of a row from the squared errors of its columns.
    fn enter(&mut self, row: usize, squares: &[f64], rows: &Rows<'_>) {
        let total: f64 = squares.iter().sum();
        let score = (total / rows.known(row)).sqrt();
        self.scores[row] = score;
        for (share, square) in self.contributions[row * squares.len()..].iter_mut().zip(squares) {
            *share = if total > 0.0 { score * (square / total) } else { 0.0 };
        }
    }
}

/// The rows of a series as they came, with their scale and slots.
struct Rows<'a> {
    values: ArrayView2<'a, f64>,
    scale: &'a Scale,
    series: &'a Series,
}

impl Rows<'_> {
    fn is_missing(&self, row: usize) -> bool {
        self.values.row(row).iter().all(|v| v.is_nan())
    }

    /// Values of a row that are there, at least one.
    fn known(&self, row: usize) -> f64 {
        self.values.row(row).iter().filter(|v| !v.is_nan()).count().max(1) as f64
    }
}

impl LstmAutoencoderModel {
    /// The hyper-parameters that it was trained with.
    pub fn config(&self) -> &LstmAutoencoderConfig {
        &self.config
    }

    /// Losses of all epochs.
    pub fn history(&self) -> &[EpochLoss] {
        &self.history
    }

    /// Score that a share `contamination` of the held-out rows exceed.
    pub fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    /// Number of series that it was trained on.
    pub fn n_series(&self) -> usize {
        self.scales.len()
    }

    /// The weights as a safetensors file, for other tools. LSTM kernels are `inputs x 4 units` as in Keras, with
    /// gates in the order input, forget, cell, output.
    pub fn safetensors(&self) -> Vec<u8> {
        tensors::write(&self.config.sizes(self.columns.len()), &self.weights)
    }

    /// The model for frames of the training series `index` (in the order of `fit_pooled`), in that series' scale;
    /// it shares the weights. `None` beyond the last.
    ///
    /// Without, a model of several series takes the scale of the training series whose medians and spreads
    /// resemble the frame's most, or the frame's own where none does: good for whole histories, a guess for
    /// a handful of rows.
    ///
    /// ```
    /// # use funnelpulse_core::{Detector, FittedDetector};
    /// # use funnelpulse_lstm_ae::{LstmAutoencoder, LstmAutoencoderConfig};
    /// # let config = LstmAutoencoderConfig {
    /// #     sequence_length: 12, encoder: vec![8], bottleneck: 4, decoder: vec![8], epochs: 1,
    /// #     ..Default::default()
    /// # };
    /// let (one, two) = (funnelpulse_testing::noise_frame(200, 2, 1), funnelpulse_testing::noise_frame(200, 2, 2));
    /// let model = LstmAutoencoder::new(config)?.fit_pooled(&[one.view(), two.view()])?;
    /// let of_two = model.of_series(1).expect("there are two");
    /// assert_eq!(of_two.detect(two.view().rows(150..200))?.len(), 50);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_series(&self, index: usize) -> Option<Self> {
        (index < self.scales.len()).then(|| Self { chosen: Some(index), ..self.clone() })
    }

    /// The same model on another device: trained on a GPU, say, and scored on a CPU.
    ///
    /// ```
    /// # use funnelpulse_core::{Detector, FittedDetector};
    /// # use funnelpulse_lstm_ae::{Compute, LstmAutoencoder, LstmAutoencoderConfig};
    /// # let config = LstmAutoencoderConfig {
    /// #     sequence_length: 12, encoder: vec![8], bottleneck: 4, decoder: vec![8], epochs: 1,
    /// #     ..Default::default()
    /// # };
    /// let frame = funnelpulse_testing::noise_frame(200, 2, 1);
    /// let model = LstmAutoencoder::new(config)?.fit(frame.view())?;
    /// let plain = model.on(Compute::Plain)?;
    /// let [fused, plain] = [&model, &plain].map(|m| m.detect(frame.view()).map(|d| d.score()[199]));
    /// assert!((fused? / plain? - 1.0).abs() < 1e-3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on(&self, compute: Compute) -> Result<Self, LstmAutoencoderError> {
        engine::device(compute)?;
        let mut model = self.clone();
        model.config.compute = compute;
        Ok(model)
    }

    /// The scale for a frame's values.
    pub(crate) fn scale_of(&self, values: ArrayView2<'_, f64>) -> Scale {
        if let Some(known) = self.chosen.or((self.scales.len() == 1).then_some(0)) {
            return self.scales[known].clone();
        }
        let own = Scale::learn(values, &self.scales[0].logarithms());
        own.nearest(&self.scales, STRANGER).cloned().unwrap_or(own)
    }

    /// Reconstruction errors (scaled, NaN where missing) of windows, given by `windows` as whatever `of` finds the
    /// series of; the second number of each is the slot where it starts. `each` gets the window's place, its
    /// errors and its reconstruction.
    pub(crate) fn errors<'a>(
        &self,
        cutter: &Cutter,
        windows: &[(usize, usize)],
        of: impl Fn((usize, usize)) -> &'a Series,
        mut each: impl FnMut(usize, &[f64], &[f32]),
    ) -> Result<(), Error> {
        let width = self.columns.len();
        let sizes = self.config.sizes(width);
        let mut batch = Batch::default();
        let mut errors = vec![0.0; cutter.length * width];
        let room = Batch::room(&sizes, cutter.length, engine::most_windows(self.config.compute));
        for (part, chunk) in windows.chunks(room).enumerate() {
            batch.clear();
            for &window in chunk {
                cutter.cut(of(window), window.1, &mut batch);
            }
            let outputs = engine::reconstruct(self.config.compute, &sizes, &self.weights, &batch, &self.scratch)
                .map_err(|error| Error::detector(KIND, error))?;
            for (n, (&window, outputs)) in chunk.iter().zip(outputs.chunks_exact(cutter.length * width)).enumerate() {
                let values = &of(window).values[window.1 * width..];
                for ((error, value), output) in errors.iter_mut().zip(values).zip(outputs) {
                    *error = value - f64::from(*output);
                }
                each(part * room + n, &errors, outputs);
            }
        }
        Ok(())
    }

    fn judge(&self, time: &[Timestamp], values: ArrayView2<'_, f64>, skip: usize) -> Result<Judgement, Error> {
        let scale = self.scale_of(values);
        let series = Series::new(time, values, &scale, self.step, self.config.max_gap);
        let rows = Rows { values, scale: &scale, series: &series };
        match self.config.scoring {
            ReconstructionScoring::LastPosition => self.judge_last_positions(&rows, skip),
            ReconstructionScoring::WindowMean => self.judge_window_means(&rows),
        }
    }

    /// Each row after the first `skip` by its error as the last of a window.
    fn judge_last_positions(&self, rows: &Rows<'_>, skip: usize) -> Result<Judgement, Error> {
        let (length, width) = (self.config.sequence_length, self.columns.len());
        let series = rows.series;
        let in_stretch = |slot: usize| {
            let before = series.stretches.partition_point(|s| s.end <= slot);
            slot + 1 >= series.stretches[before].start + length
        };
        let has_window = |row: &usize| in_stretch(series.slots[*row]) && !rows.is_missing(*row);
        let judged: Vec<usize> = (skip..rows.values.nrows()).filter(has_window).collect();
        let starts: Vec<usize> = judged.iter().map(|&row| series.slots[row] + 1 - length).collect();
        let (config, cutter) = (&self.config, Cutter::new(&self.config));
        let windows = (&cutter, series, &starts[..]);
        let outputs = engine::last_rows(config.compute, &config.sizes(width), &self.weights, windows, &self.scratch)
            .map_err(|error| Error::detector(KIND, error))?;
        let (mut out, mut squares) = (Judgement::of(rows.values.dim()), vec![0.0; width]);
        let mut errors = vec![0.0; width];
        for (&row, outputs) in judged.iter().zip(outputs.chunks_exact(width)) {
            let values = &series.values[series.slots[row] * width..];
            for ((error, value), output) in errors.iter_mut().zip(values).zip(outputs) {
                *error = value - f64::from(*output);
            }
            self.whitening.squares(length - 1, &errors, &mut squares);
            out.enter(row, &squares, rows);
            for (column, output) in outputs.iter().enumerate() {
                out.expected[row * width + column] = rows.scale.undo(column, f64::from(*output));
            }
        }
        Ok(out)
    }

    /// Each row by its mean error over all windows that it is part of.
    fn judge_window_means(&self, rows: &Rows<'_>) -> Result<Judgement, Error> {
        let (length, width) = (self.config.sequence_length, self.columns.len());
        let series = rows.series;
        let windows: Vec<_> = series.starts(length, 0..series.len()).into_iter().flatten().map(|s| (0, s)).collect();
        let mut sums = vec![0.0; series.len() * width];
        let mut outputs_sum = vec![0.0; series.len() * width];
        let mut counts = vec![0_u32; series.len()];
        let mut squares = vec![0.0; width];
        self.errors(
            &Cutter::new(&self.config),
            &windows,
            |_| series,
            |n, errors, outputs| {
                for (position, errors) in errors.chunks_exact(width).enumerate() {
                    let slot = windows[n].1 + position;
                    counts[slot] += 1;
                    self.whitening.squares(position, errors, &mut squares);
                    for column in 0..width {
                        sums[slot * width + column] += squares[column];
                        outputs_sum[slot * width + column] += f64::from(outputs[position * width + column]);
                    }
                }
            },
        )?;
        let mut out = Judgement::of(rows.values.dim());
        for row in 0..rows.values.nrows() {
            let slot = series.slots[row];
            if counts[slot] > 0 && !rows.is_missing(row) {
                let mean = |sums: &[f64], column: usize| sums[slot * width + column] / f64::from(counts[slot]);
                let squares: Vec<f64> = (0..width).map(|column| mean(&sums, column)).collect();
                out.enter(row, &squares, rows);
                for column in 0..width {
                    out.expected[row * width + column] = rows.scale.undo(column, mean(&outputs_sum, column));
                }
            }
        }
        Ok(out)
    }

    pub(crate) fn score_rows(&self, frame: FrameView<'_>) -> Result<Vec<f64>, Error> {
        let values = frame.aligned(&self.columns)?;
        Ok(self.judge(frame.time(), values.view(), 0)?.scores)
    }

    /// The score of the last of some rows, for [`stream`](crate::LstmAutoencoderStream).
    pub(crate) fn last_rows(&self, windows: &[Series]) -> Result<Vec<f64>, Error> {
        let (length, width) = (self.config.sequence_length, self.columns.len());
        let ready = |series: &Series| series.stretches.last().is_some_and(|s| s.len() >= length);
        let last = |series: &Series| series.values.rchunks(width).next().unwrap_or(&[]).to_vec();
        let mut judged = Vec::new();
        let mut places = Vec::new();
        for (n, series) in windows.iter().enumerate() {
            if ready(series) && last(series).iter().any(|v| !v.is_nan()) {
                judged.push(n);
                places.push((n, series.len() - length));
            }
        }
        let mut scores = vec![f64::NAN; windows.len()];
        let mut squares = vec![0.0; width];
        self.errors(
            &Cutter::new(&self.config),
            &places,
            |(n, _)| &windows[n],
            |n, errors, _| {
                let errors = &errors[(length - 1) * width..];
                self.whitening.squares(length - 1, errors, &mut squares);
                let known = errors.iter().filter(|e| !e.is_nan()).count().max(1) as f64;
                scores[judged[n]] = (squares.iter().sum::<f64>() / known).sqrt();
            },
        )?;
        Ok(scores)
    }
}

impl FittedDetector for LstmAutoencoderModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// Scores are NaN until `sequence_length` rows of a stretch are there, and for rows without any value.
    /// Contributions share the score by the squares of the whitened errors. Expected values are the
    /// reconstruction, in the units of the series.
    fn context(&self) -> Context {
        // One more than the window: the value in a short gap hangs on the row before it.
        Context::rows(self.config.sequence_length)
    }

    /// None, or with [`ReconstructionScoring::WindowMean`] all windows that a row is part of.
    fn horizon(&self) -> Context {
        match self.config.scoring {
            ReconstructionScoring::LastPosition => Context::NONE,
            ReconstructionScoring::WindowMean => Context::rows(self.config.sequence_length),
        }
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        self.detect_after(frame, 0)
    }

    fn detect_after(&self, frame: FrameView<'_>, skip: usize) -> Result<Detection, Error> {
        let values = frame.aligned(&self.columns)?;
        let Judgement { scores, contributions, expected } = self.judge(frame.time(), values.view(), skip)?;
        let table = |values: Vec<f64>| {
            let shape = (scores.len(), self.columns.len());
            Array2::from_shape_vec(shape, values).expect("a value per row and column")
        };
        let (contributions, expected) = (table(contributions), table(expected));
        let detection = Detection::new(Array1::from(scores)).with_contributions(contributions).with_expected(expected);
        Ok(detection.rows(skip.min(frame.nrows())..frame.nrows()))
    }

    /// Scores of the rows at the end of each series that validated but did not train; NaN for the others. `None`
    /// without such rows.
    fn out_of_sample_scores(&self, histories: &[FrameView<'_>]) -> Result<Option<Vec<Array1<f64>>>, Error> {
        if histories.len() != self.scales.len() || self.config.validation_share == 0.0 {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(histories.len());
        for (index, history) in histories.iter().enumerate() {
            let rows = Split::new(&self.config, history.nrows()).training_rows;
            let chosen = Self { chosen: self.chosen.or(Some(index)), ..self.clone() };
            let mut scores = Array1::from_elem(history.nrows(), f64::NAN);
            // All of a series that is too short to be split was trained on.
            if rows >= self.config.sequence_length {
                let from = rows.saturating_sub(self.config.sequence_length);
                let late = chosen.score_rows(history.rows(from..history.nrows()))?;
                for (score, late) in scores.iter_mut().skip(rows).zip(late.into_iter().skip(rows - from)) {
                    *score = late;
                }
            }
            all.push(scores);
        }
        Ok(all.iter().flatten().any(|s| !s.is_nan()).then_some(all))
    }

    fn of_frame(&self, index: usize) -> Option<Box<dyn FittedDetector>> {
        self.of_series(index).map(|model| -> Box<dyn FittedDetector> { Box::new(model) })
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl PersistentModel for LstmAutoencoderModel {
    const KIND: &'static str = KIND;
}
