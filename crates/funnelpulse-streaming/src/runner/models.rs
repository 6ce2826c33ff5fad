//! The models that are kept beside the checkpoints.

use std::collections::BTreeMap;

use super::failed;
use crate::{CheckpointStore, ModelStatus, Operator, StreamError};

/// Epochs for which a model stays after the last one that names it: as many as checkpoints are kept.
const KEPT: u64 = 3;

/// Names of the models that are kept, with the last epoch that names each.
#[derive(Debug, Default)]
pub(super) struct KeptModels(BTreeMap<String, u64>);

impl KeptModels {
    /// Those that an earlier process kept.
    pub(super) fn found(epoch: u64, store: &CheckpointStore) -> Result<Self, StreamError> {
        Ok(Self(store.models()?.into_iter().map(|name| (name, epoch)).collect()))
    }

    /// Keeps what the checkpoint of this epoch names.
    pub(super) fn keep(
        &mut self,
        epoch: u64,
        model: &ModelStatus,
        operator: &impl Operator,
        store: &CheckpointStore,
    ) -> Result<(), StreamError> {
        let names = [Some(&model.name), model.next.as_ref()];
        for name in names.into_iter().flatten().filter(|name| !name.is_empty()) {
            if !self.0.contains_key(name) {
                let bytes = operator.model_bytes(name).map_err(|source| failed("keeping a model", source))?;
                store.put_model(name, bytes)?;
            }
            self.0.insert(name.clone(), epoch);
        }
        Ok(())
    }

    /// Removes what no checkpoint names any more.
    pub(super) fn clean(&mut self, epoch: u64, store: &CheckpointStore) -> Result<(), StreamError> {
        let old: Vec<String> =
            self.0.iter().filter(|(_, last)| **last + KEPT <= epoch).map(|(name, _)| name.clone()).collect();
        for name in old {
            store.remove_model(&name)?;
            self.0.remove(&name);
        }
        Ok(())
    }
}
