//! Single models saved to files and loaded from them.

use std::{fs, io, path::Path};

use crate::{FittedDetector, ModelError, PersistentModel, read_model, to_bytes};

/// A model that is saved to a file and loaded from one.
///
/// Every model that has a file format is one. The bytes are those of [`to_bytes`]; a model of a whole pipeline has
/// a format of its own.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{DetectorExt, ModelFile};
///
/// let path = std::env::temp_dir().join(format!("distance-{}.fpm", std::process::id()));
/// Distance.fit_data(&[1.0, 3.0])?.save(&path)?;
/// assert_eq!(DistanceModel::load(&path)?.mean, 2.0);
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
pub trait ModelFile: FittedDetector + PersistentModel {
    /// Writes the model. The file is there complete or as it was before.
    ///
    /// # Errors
    /// A folder that can't be written to.
    fn save(&self, path: impl AsRef<Path>) -> Result<(), ModelError>
    where
        Self: Sized,
    {
        let path = path.as_ref();
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let written = fs::write(&part, to_bytes(self)?).and_then(|()| fs::rename(&part, path));
        written.map_err(|error| {
            // What is left of it, if anything.
            let _ = fs::remove_file(&part);
            file_error(path, error)
        })
    }

    /// Reads a model of this kind.
    ///
    /// # Errors
    /// A file that can't be read, is damaged, or holds another kind of model.
    fn load(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        read_model(&fs::read(path).map_err(|error| file_error(path, error))?)
    }
}

impl<M: FittedDetector + PersistentModel> ModelFile for M {}

fn file_error(path: &Path, source: io::Error) -> ModelError {
    ModelError::File { path: path.display().to_string(), source }
}
