//! Training that goes on where it was killed.

use std::{fs, io::Write, path::Path};

use burn::{optim::ModuleOptimizer, tensor::Bytes};
use funnelpulse_core::{Writer, read_payload, write_payload};
use serde::{Deserialize, Serialize};

use crate::{
    LstmAutoencoderError,
    train::{EpochLoss, Task},
};

const KIND: &str = "lstm-ae-checkpoint";

/// The state of training after an epoch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Of configuration and data: another training does not go on from here.
    identity: u64,
    pub(crate) weights: Vec<f32>,
    pub(crate) best: Vec<f32>,
    pub(crate) best_loss: f32,
    /// From 1 on.
    pub(crate) best_epoch: usize,
    pub(crate) history: Vec<EpochLoss>,
    /// Burn's record of the optimizer.
    pub(crate) optimizer: Vec<u8>,
}

impl Checkpoint {
    pub(crate) fn new(identity: u64, weights: Vec<f32>) -> Self {
        let best = weights.clone();
        Self { identity, weights, best, best_loss: f32::INFINITY, best_epoch: 0, history: vec![], optimizer: vec![] }
    }

    /// A number that changes with what the outcome depends on: data, windows and all of the configuration but
    /// the number of epochs, so that a finished training can be prolonged.
    pub(crate) fn identity(task: &Task<'_>) -> u64 {
        let mut config = task.config.clone();
        (config.epochs, config.patience, config.checkpoint) = (1, 1, None);
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        // FNV-1a (Fowler, Noll & Vo) by words.
        let mut add = |word: u64| hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
        format!("{config:?}").bytes().for_each(|byte| add(byte.into()));
        for series in task.series {
            add(series.len() as u64);
            series.values.iter().for_each(|value| add(value.to_bits()));
        }
        for (series, start) in task.validation {
            add(*series as u64);
            add(*start as u64);
        }
        hash
    }

    /// The checkpoint in a file, if it is there and belongs to this training.
    pub(crate) fn read(path: &Path, identity: u64) -> Result<Option<Self>, LstmAutoencoderError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(path, &error)),
        };
        let found: Self =
            read_payload(KIND, Writer::default().payload_version, &bytes).map_err(|error| failed(path, &error))?;
        let whole = found.best.len() == found.weights.len()
            && found.best_epoch <= found.history.len()
            && found.weights.iter().chain(&found.best).chain([&found.best_loss]).all(|w| w.is_finite())
            && found.history.iter().all(|l| l.training.is_finite() && l.validation.is_finite());
        if found.identity != identity {
            return Err(failed(
                path,
                &"of a training with other data or another configuration; delete it to start anew",
            ));
        }
        if !whole {
            return Err(failed(path, &"weights or losses that are no numbers; delete it to start anew"));
        }
        Ok(Some(found))
    }

    /// Replaces the file in one step: if the process is killed meanwhile, the old file stays.
    pub(crate) fn write(&self, path: &Path) -> Result<(), LstmAutoencoderError> {
        let bytes = write_payload(KIND, Writer::default(), self).map_err(|error| failed(path, &error))?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let write = || {
            let mut file = fs::File::create(&part)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&part, path)
        };
        write().map_err(|error| failed(path, &error))
    }

    pub(crate) fn optimizer_bytes(optimizer: &ModuleOptimizer, path: &Path) -> Result<Vec<u8>, LstmAutoencoderError> {
        optimizer.into_bytes().map(|bytes| bytes.to_vec()).map_err(|error| failed(path, &error))
    }

    pub(crate) fn restore_optimizer(
        &self,
        optimizer: ModuleOptimizer,
        path: Option<&Path>,
    ) -> Result<ModuleOptimizer, LstmAutoencoderError> {
        let bytes = Bytes::from_bytes_vec(self.optimizer.clone());
        optimizer.from_bytes(bytes).map_err(|error| failed(path.unwrap_or(Path::new("")), &error))
    }
}

fn failed(path: &Path, reason: &dyn std::fmt::Display) -> LstmAutoencoderError {
    LstmAutoencoderError::Checkpoint { path: path.to_owned(), reason: reason.to_string() }
}
