//! Hyper-parameters and what can be wrong with them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The source of the score of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReconstructionScoring {
    /// The error at the last position of the window that ends with the row: known as soon as the row is,
    /// the same in a stream as in a batch.
    #[default]
    LastPosition,
    /// The mean over all windows that contain the row, each error measured by what is usual at its
    /// position. Needs the rows that follow: for scoring the past, not for streams.
    WindowMean,
}

/// On what scale the network sees a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Logarithmic for columns that are never negative and, in most series, range widely: whose 95 % quantile is more
    /// than four times their 5 % quantile. Linear for others.
    #[default]
    Auto,
    /// The values as they are.
    Linear,
    /// `ln(1 + value / u)`, where `u` is the median of the series' positive values (mirrored for negative ones): busy
    /// hours don't drown quiet ones.
    Log,
}

/// The device on which the network is trained and run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compute {
    /// The fused kernel on the CPU (cargo feature `flex`).
    #[default]
    Fused,
    /// Burn's own `nn::Lstm` on the CPU (cargo feature `flex`): many times slower, for comparison.
    Plain,
    /// Burn's own `nn::Lstm` on the default GPU of WebGPU, Vulkan or Metal (cargo feature `wgpu`).
    Wgpu,
    /// Burn's own `nn::Lstm` on the first NVIDIA GPU (cargo feature `cuda`).
    Cuda,
}

/// Hyper-parameters of an [`LstmAutoencoder`](crate::LstmAutoencoder).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LstmAutoencoderConfig {
    /// Rows of a window, 2 to 4096; hours of a week by default.
    pub sequence_length: usize,
    /// Units of the encoder's LSTM layers, 1 to 8 layers of 1 to 1024.
    pub encoder: Vec<usize>,
    /// Units of the dense layer (rectified) that everything has to pass through, 1 to 1024.
    pub bottleneck: usize,
    /// Units of the decoder's LSTM layers, 1 to 8 layers of 1 to 1024.
    pub decoder: Vec<usize>,
    /// Share of the outputs of every LSTM layer but the last that is dropped in training, 0 to below 1.
    pub dropout: f64,
    /// Rows between the starts of neighbouring training windows, 1 or more. Every epoch begins at
    /// another row, so that all hours of the day start windows.
    pub stride: usize,
    /// Most windows of one epoch, 1 or more; where there are more, each epoch draws its own.
    pub max_windows: usize,
    /// Windows of a batch, 1 to 65,536.
    pub batch_size: usize,
    /// Most passes through the training windows, 1 to 100,000.
    pub epochs: usize,
    /// Step size of Adam, above 0 to 1.
    pub learning_rate: f64,
    /// Epochs without a better validation loss after which training stops; the weights of the best epoch
    /// are kept in any case. 1 or more.
    pub patience: usize,
    /// Largest norm of the gradient of one weight matrix, above 0; longer ones are shortened.
    pub clip_norm: Option<f64>,
    /// Share of each series, at its end, that validates: 0 to 0.5. With 0, or too few rows for a
    /// window, the training windows do.
    pub validation_share: f64,
    /// On what scale the network sees the columns.
    pub transform: Transform,
    /// Also read the hour of the day and the day of the week (UTC), as sines and cosines. The original does not.
    pub calendar: bool,
    /// Hide the values of a window's last row from the encoder, in training and in scoring: the score of
    /// a row then says how far it is from what the rows before it promised, not how well a network that
    /// saw it can repeat it. The original autoencoder does not hide anything.
    pub blind: bool,
    /// Share of the training windows, 0 to 1, in which the encoder reads a run of rows, up to half the window, from
    /// somewhere else in the series, while the decoder still has to say what belongs there: a denoising autoencoder
    /// (Vincent et al. 2008). Such a network does not take a wrong day for the rule of its last hours and of
    /// the days after. The original does not do this.
    pub corruption: f64,
    /// The weight of errors of a window's last row in training, next to 1 for the others; above 0 to 1e4.
    pub last_row_weight: f64,
    /// The source of the score of a row.
    pub scoring: ReconstructionScoring,
    /// Missing rows in a row up to which a series goes on; after more of them a new stretch begins. Windows never
    /// reach from one stretch into another.
    pub max_gap: usize,
    /// Share of validation rows to flag, above 0 to 0.5: sets the model's threshold.
    pub contamination: Option<f64>,
    /// The device on which the network is trained and run.
    pub compute: Compute,
    /// A file that training writes after every epoch and goes on from where it was killed.
    #[schemars(with = "Option<String>")]
    pub checkpoint: Option<PathBuf>,
    /// Seed of first weights, dropout and the order of windows.
    pub seed: u64,
}

impl Default for LstmAutoencoderConfig {
    fn default() -> Self {
        Self {
            sequence_length: 168,
            encoder: vec![64, 32],
            bottleneck: 32,
            decoder: vec![32, 64],
            dropout: 0.2,
            stride: 24,
            max_windows: 8192,
            batch_size: 32,
            epochs: 50,
            learning_rate: 1e-3,
            patience: 10,
            clip_norm: Some(1.0),
            validation_share: 0.2,
            transform: Transform::Auto,
            calendar: true,
            blind: true,
            corruption: 0.5,
            last_row_weight: 1.0,
            scoring: ReconstructionScoring::LastPosition,
            max_gap: 3,
            contamination: Some(0.01),
            compute: Compute::Fused,
            checkpoint: None,
            seed: 42,
        }
    }
}

impl LstmAutoencoderConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), LstmAutoencoderError> {
        let refuse = |name, value: String, allowed| Err(LstmAutoencoderError::Config { name, value, allowed });
        for (name, layers) in [("encoder", &self.encoder), ("decoder", &self.decoder)] {
            if !(1..=8).contains(&layers.len()) || !layers.iter().all(|units| (1..=1024).contains(units)) {
                return refuse(name, format!("{layers:?}"), "1 to 8 layers of 1 to 1024 units");
            }
        }
        let counts = [
            ("sequence_length", self.sequence_length, 2..=4096, "2 to 4096"),
            ("bottleneck", self.bottleneck, 1..=1024, "1 to 1024"),
            ("stride", self.stride, 1..=1 << 24, "1 to 16777216"),
            ("max_windows", self.max_windows, 1..=1 << 32, "1 to 4294967296"),
            ("batch_size", self.batch_size, 1..=65_536, "1 to 65536"),
            ("epochs", self.epochs, 1..=100_000, "1 to 100000"),
            ("patience", self.patience, 1..=100_000, "1 to 100000"),
            ("max_gap", self.max_gap, 0..=4096, "0 to 4096"),
        ];
        for (name, value, range, allowed) in counts {
            if !range.contains(&value) {
                return refuse(name, value.to_string(), allowed);
            }
        }
        let positive = |value: f64, most: f64| value > 0.0 && value <= most;
        let numbers = [
            ("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "0 to below 1"),
            ("learning_rate", self.learning_rate, positive(self.learning_rate, 1.0), "above 0 to 1"),
            ("clip_norm", self.clip_norm.unwrap_or(1.0), positive(self.clip_norm.unwrap_or(1.0), f64::MAX), "above 0"),
            ("validation_share", self.validation_share, (0.0..=0.5).contains(&self.validation_share), "0 to 0.5"),
            ("corruption", self.corruption, (0.0..=1.0).contains(&self.corruption), "0 to 1"),
            ("last_row_weight", self.last_row_weight, positive(self.last_row_weight, 1e4), "above 0 to 10000"),
            (
                "contamination",
                self.contamination.unwrap_or(0.1),
                positive(self.contamination.unwrap_or(0.1), 0.5),
                "above 0 to 0.5",
            ),
        ];
        match numbers.into_iter().find(|(_, _, fine, _)| !fine) {
            Some((name, value, _, allowed)) => refuse(name, value.to_string(), allowed),
            None => Ok(()),
        }
    }
}

/// Errors of training an autoencoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LstmAutoencoderError {
    /// A hyper-parameter is out of range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Config {
        /// The field.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: &'static str,
    },
    /// This build lacks the backend that was asked for.
    #[error("compute = {asked} needs the cargo feature `{feature}`, which this build lacks")]
    Compute {
        /// The value of the field.
        asked: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// Training went astray.
    #[error("the loss of epoch {epoch} is {loss}: a smaller learning_rate ({learning_rate}) or clip_norm may help")]
    Diverged {
        /// The epoch, from 1 on.
        epoch: usize,
        /// The loss.
        loss: f32,
        /// The step size it was trained with.
        learning_rate: f64,
    },
    /// A series of a pooled fit has other columns than the first.
    #[error("series {index} has columns [{found}], the first has [{expected}]")]
    Columns {
        /// Position of the series.
        index: usize,
        /// Its columns.
        found: String,
        /// Those of the first.
        expected: String,
    },
    /// The checkpoint can't be read or written.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The data don't fit, or there are too few rows.
    #[error(transparent)]
    Core(#[from] funnelpulse_core::Error),
}
