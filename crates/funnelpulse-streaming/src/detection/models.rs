//! The models of a detection: the one in use, the one that follows it, and where new ones come from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use funnelpulse_core::BoxError;
use funnelpulse_pipeline::{Catalog, FittedPipeline, PipelineError};

use crate::Models;

/// A model and the name by which checkpoints know it: checksum and length of its bytes.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) model: Arc<FittedPipeline>,
}

impl Named {
    pub(super) fn new(model: Arc<FittedPipeline>) -> Result<Self, PipelineError> {
        let bytes = model.to_bytes()?;
        let checksum = bytes.last_chunk::<4>().copied().map_or(0, u32::from_le_bytes);
        Ok(Self { name: format!("{checksum:08x}-{}", bytes.len()), model })
    }

    /// The model of this name, from where checkpoints are kept.
    pub(super) fn load(name: &str, models: &dyn Models, catalog: &Catalog) -> Result<Self, BoxError> {
        let model = FittedPipeline::from_bytes(&models.load(name)?, catalog)?;
        let loaded = Self::new(Arc::new(model))?;
        if loaded.name != name {
            return Err(format!("the model that was kept as {name} is {}", loaded.name).into());
        }
        Ok(loaded)
    }
}

/// A file whose model is taken into use when it changes.
#[derive(Debug)]
pub(super) struct ModelFile {
    path: PathBuf,
    changed: Option<SystemTime>,
    /// The model that was last read of it: it was in use, or will be.
    pub(super) seen: String,
}

impl ModelFile {
    /// The file and its model.
    pub(super) fn open(path: &Path, catalog: &Catalog) -> Result<(Self, Named), PipelineError> {
        let changed = changed(path);
        let found = Named::new(Arc::new(FittedPipeline::load_with(path, catalog)?))?;
        Ok((Self { path: path.to_owned(), changed, seen: found.name.clone() }, found))
    }

    /// The model of a file that changed, if it is another one.
    pub(super) fn look(&mut self, catalog: &Catalog) -> Result<Option<Named>, PipelineError> {
        let now = changed(&self.path);
        if now == self.changed || now.is_none() {
            return Ok(None);
        }
        self.changed = now;
        let found = Named::new(Arc::new(FittedPipeline::load_with(&self.path, catalog)?))?;
        let is_new = found.name != self.seen;
        self.seen.clone_from(&found.name);
        Ok(is_new.then_some(found))
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(FittedPipeline::model_file(path)).and_then(|m| m.modified()).ok()
}
