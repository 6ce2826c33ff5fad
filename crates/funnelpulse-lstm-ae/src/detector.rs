//! From histories to a trained model.

use std::{ops::Range, sync::Arc};

use funnelpulse_core::{Columns, Detector, Error, FrameView, Threshold};

use crate::{
    LstmAutoencoderConfig, LstmAutoencoderError, LstmAutoencoderModel, ReconstructionScoring, TrainingProgress,
    Transform, engine,
    kernel::{Scratch, Sizes},
    model::KIND,
    scale::{Scale, wide},
    series::{Cutter, Series, usual_step},
    train::{Task, train},
    whiten::Whitening,
};

/// Most windows that usual errors are learnt from, and most rows that the threshold is.
const MOST_WINDOWS: usize = 2048;
const MOST_ROWS: usize = 8192;

/// An autoencoder with valid hyper-parameters, ready to be trained (Malhotra et al. 2016).
///
/// ```
/// use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, Timestamp};
/// use funnelpulse_lstm_ae::{LstmAutoencoder, LstmAutoencoderConfig};
/// use ndarray::Array2;
///
/// // Sixty days of a daily rhythm.
/// let values = Array2::from_shape_fn((1_440, 1), |(hour, _)| 100.0 + 20.0 * (hour as f64 * 0.2618).sin());
/// let time = (0..1_440).map(|hour| Timestamp::from_seconds(3_600 * hour)).collect();
/// let frame = Frame::new(time, Columns::new(["views"])?, values)?;
/// let config = LstmAutoencoderConfig {
///     sequence_length: 24,
///     encoder: vec![16],
///     bottleneck: 8,
///     decoder: vec![16],
///     epochs: 2,
///     ..Default::default()
/// };
/// let model = LstmAutoencoder::new(config)?.fit(frame.view())?;
/// let detection = model.detect(frame.view())?;
/// assert!(detection.score()[22].is_nan() && detection.score()[23] >= 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LstmAutoencoder {
    config: LstmAutoencoderConfig,
}

impl TryFrom<LstmAutoencoderConfig> for LstmAutoencoder {
    type Error = LstmAutoencoderError;

    fn try_from(config: LstmAutoencoderConfig) -> Result<Self, LstmAutoencoderError> {
        Self::new(config)
    }
}

/// The division of the rows of one series into training and validation.
pub(crate) struct Split {
    /// Rows that the scale is learnt from and training windows lie in.
    pub(crate) training_rows: usize,
}

impl Split {
    pub(crate) fn new(config: &LstmAutoencoderConfig, rows: usize) -> Self {
        Self { training_rows: rows - (config.validation_share * rows as f64).floor() as usize }
    }
}

/// Series in their scales, and the windows that training, validation and the threshold look at: each by
/// the number of its series and its first slot.
#[derive(Default)]
struct LaidOut {
    scales: Vec<Scale>,
    series: Vec<Series>,
    /// Per series the runs of first slots.
    training: Vec<Vec<Range<usize>>>,
    validation: Vec<(usize, usize)>,
    /// Windows whose last row was not trained on.
    held_out: Vec<(usize, usize)>,
}

impl LaidOut {
    fn new(config: &LstmAutoencoderConfig, histories: &[FrameView<'_>], logarithms: &[bool], step: i64) -> Self {
        let length = config.sequence_length;
        let mut out = Self::default();
        for (index, history) in histories.iter().enumerate() {
            let rows = Split::new(config, history.nrows()).training_rows;
            let scale = Scale::learn(history.rows(0..rows).values(), logarithms);
            let laid = Series::of(*history, &scale, step, config.max_gap);
            let cut = laid.slots.get(rows).copied().unwrap_or(laid.len());
            let mut runs = laid.starts(length, 0..cut);
            if runs.is_empty() {
                runs = laid.starts(length, 0..laid.len());
            } else {
                let later = laid.starts(length, cut..laid.len());
                out.validation.extend(later.into_iter().flat_map(|run| run.step_by(config.stride)).map(|s| (index, s)));
                let ends = laid.starts(length, 0..laid.len()).into_iter().flatten();
                out.held_out.extend(ends.filter(|start| start + length > cut).map(|start| (index, start)));
            }
            runs.retain(|run| !run.is_empty());
            out.scales.push(scale);
            out.series.push(laid);
            out.training.push(runs);
        }
        out
    }
}

/// The columns that are put on a logarithmic scale.
fn logarithms(config: &LstmAutoencoderConfig, histories: &[FrameView<'_>], columns: usize) -> Vec<bool> {
    match config.transform {
        Transform::Auto => {
            let rows = |h: &FrameView<'_>| Split::new(config, h.nrows()).training_rows;
            let training: Vec<_> = histories.iter().map(|h| h.rows(0..rows(h)).values()).collect();
            wide(&training, columns)
        }
        other => vec![other == Transform::Log; columns],
    }
}

impl LstmAutoencoder {
    /// Checks the hyper-parameters, and that this build can compute what they ask for.
    pub fn new(config: LstmAutoencoderConfig) -> Result<Self, LstmAutoencoderError> {
        config.validate()?;
        engine::device(config.compute)?;
        Ok(Self { config })
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &LstmAutoencoderConfig {
        &self.config
    }

    /// Trains one network on all of `histories`, each in its own scale, and reports after every epoch. One history
    /// gives the model of a single series.
    ///
    /// Series without a single window of `sequence_length` rows take no part in training but get a scale.
    ///
    /// ```
    /// # use funnelpulse_lstm_ae::{LstmAutoencoder, LstmAutoencoderConfig};
    /// # let config = LstmAutoencoderConfig {
    /// #     sequence_length: 12, encoder: vec![8], bottleneck: 4, decoder: vec![8], epochs: 3,
    /// #     ..Default::default()
    /// # };
    /// let frame = funnelpulse_testing::noise_frame(200, 2, 1);
    /// let mut losses = Vec::new();
    /// let autoencoder = LstmAutoencoder::new(config)?;
    /// let model = autoencoder.fit_with_progress(&[frame.view()], &mut |progress| {
    ///     losses.push(progress.loss);
    /// })?;
    /// assert_eq!(model.history(), losses);
    /// # Ok::<(), funnelpulse_lstm_ae::LstmAutoencoderError>(())
    /// ```
    pub fn fit_with_progress(
        &self,
        histories: &[FrameView<'_>],
        progress: &mut dyn FnMut(&TrainingProgress),
    ) -> Result<LstmAutoencoderModel, LstmAutoencoderError> {
        let config = &self.config;
        let length = config.sequence_length;
        let too_few = |rows| Error::TooFewRows { detector: KIND, rows, needed: length };
        let columns = same_columns(histories)?;
        let step = usual_step(histories.iter().map(FrameView::time));
        let cutter = Cutter::new(config);
        let LaidOut { scales, series, training, mut validation, held_out } =
            LaidOut::new(config, histories, &logarithms(config, histories, columns.len()), step);
        let values = series.iter().flat_map(|s| &s.values).filter(|v| !v.is_nan()).count();
        let longest = series.iter().flat_map(|s| &s.stretches).map(Range::len).max().unwrap_or(0);
        if columns.is_empty() || training.iter().all(Vec::is_empty) {
            return Err(too_few(longest).into());
        }
        if values == 0 {
            return Err(too_few(0).into());
        }
        let sizes = config.sizes(columns.len());
        let scratch = Scratch::default();
        thin(&mut validation, config.max_windows);
        let task = Task {
            config,
            sizes: &sizes,
            cutter: &cutter,
            series: &series,
            training: &training,
            validation: &validation,
            scratch: &scratch,
        };
        let (weights, losses) = train(&task, progress)?;
        let mut usual = held_out;
        if usual.is_empty() {
            let runs = training.iter().enumerate();
            usual = runs.flat_map(|(n, runs)| runs.iter().cloned().flatten().map(move |start| (n, start))).collect();
        }
        let room = (1 << 23) / (length * columns.len());
        thin(&mut usual, MOST_WINDOWS.min(room.max(1)));
        let mut model = LstmAutoencoderModel {
            columns: columns.clone(),
            config: LstmAutoencoderConfig { checkpoint: None, ..config.clone() },
            step,
            scales: scales.into(),
            chosen: None,
            weights: Arc::new(weights),
            whitening: Whitening::learn([].into_iter(), length, columns.len()),
            threshold: None,
            history: losses,
            scratch,
        };
        let mut errors = Vec::with_capacity(usual.len() * length * columns.len());
        model.errors(&cutter, &usual, |(index, _)| &series[index], |_, window, _| errors.extend_from_slice(window))?;
        model.whitening = Whitening::learn(errors.chunks_exact(length * columns.len()), length, columns.len());
        model.threshold = match config.contamination {
            Some(share) => Threshold::from_contamination(&model.unseen_scores(histories)?, share),
            None => None,
        };
        Ok(model)
    }
}

impl LstmAutoencoderModel {
    /// Scores of rows that did not train the network, as many as the threshold needs; of all rows where all did.
    fn unseen_scores(&self, histories: &[FrameView<'_>]) -> Result<Vec<f64>, Error> {
        let mut scores = Vec::new();
        for all in [false, true] {
            for (index, history) in histories.iter().enumerate() {
                if scores.len() >= MOST_ROWS {
                    break;
                }
                let rows = Split::new(&self.config, history.nrows()).training_rows;
                let first = if all { 0 } else { rows };
                let context = if self.config.scoring == ReconstructionScoring::LastPosition {
                    self.config.sequence_length
                } else {
                    0
                };
                let from = first.saturating_sub(context);
                let detection = self.of_series(index).map_or_else(
                    || self.score_rows(history.rows(from..history.nrows())),
                    |model| model.score_rows(history.rows(from..history.nrows())),
                )?;
                scores.extend(detection.iter().skip(first - from).filter(|s| !s.is_nan()));
            }
            if !scores.is_empty() {
                break;
            }
        }
        Ok(scores)
    }
}

impl Detector for LstmAutoencoder {
    type Fitted = LstmAutoencoderModel;
    type Error = LstmAutoencoderError;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn fit(&self, history: FrameView<'_>) -> Result<LstmAutoencoderModel, LstmAutoencoderError> {
        self.fit_with_progress(&[history], &mut |_| ())
    }

    /// One network for all series. The model keeps the scale of each;
    /// [`of_series`](LstmAutoencoderModel::of_series) says which one a frame belongs to.
    fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<LstmAutoencoderModel, LstmAutoencoderError> {
        self.fit_with_progress(histories, &mut |_| ())
    }
}

impl LstmAutoencoderConfig {
    /// Sizes of the network for series of `columns` columns.
    pub(crate) fn sizes(&self, columns: usize) -> Sizes {
        Sizes {
            inputs: Cutter::new(self).inputs(columns),
            outputs: columns,
            encoder: self.encoder.clone(),
            bottleneck: self.bottleneck,
            decoder: self.decoder.clone(),
        }
    }

    /// Number of weights of the network for series of `columns` columns.
    ///
    /// ```
    /// use funnelpulse_lstm_ae::LstmAutoencoderConfig;
    ///
    /// assert_eq!(LstmAutoencoderConfig { calendar: false, ..Default::default() }.parameters(3), 64_227);
    /// ```
    pub fn parameters(&self, columns: usize) -> usize {
        self.sizes(columns).len()
    }
}

impl Cutter {
    pub(crate) fn new(config: &LstmAutoencoderConfig) -> Self {
        Self {
            length: config.sequence_length,
            calendar: config.calendar,
            blind: config.blind,
            last_row_weight: config.last_row_weight as f32,
        }
    }
}

fn same_columns(histories: &[FrameView<'_>]) -> Result<Columns, LstmAutoencoderError> {
    let Some(first) = histories.first() else {
        return Err(Error::TooFewRows { detector: KIND, rows: 0, needed: 2 }.into());
    };
    match histories.iter().position(|h| h.columns() != first.columns()) {
        None => Ok(first.columns().clone()),
        Some(index) => Err(LstmAutoencoderError::Columns {
            index,
            found: histories[index].columns().joined(),
            expected: first.columns().joined(),
        }),
    }
}

/// Leaves at most `most`, evenly spread.
fn thin<T: Copy>(all: &mut Vec<T>, most: usize) {
    if all.len() > most {
        *all = (0..most).map(|n| all[n * all.len() / most]).collect();
    }
}
