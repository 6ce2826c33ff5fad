//! Checkpoints in a folder or an object store.

use std::{collections::BTreeMap, sync::Arc};

use funnelpulse_core::{BoxError, Timestamp};
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, local::LocalFileSystem, memory::InMemory, path::Path,
};
use serde::{Deserialize, Serialize};

use super::Checkpoint;
use crate::{Models, StreamError};

/// Epochs that are kept: the newest, and those that a process which is about to stop may still read.
const KEPT: u64 = 3;
/// The folder of the models and how their names end.
const MODELS: &str = "model";
const SUFFIX: &str = ".model";
/// The version of the manifest.
const VERSION: u32 = 1;

/// One committed epoch. The manifest is written once, by a put that fails if it is there: what it names counts, all
/// else is left over from a process that stopped on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    /// Its number.
    pub epoch: u64,
    /// The names of the state files by task.
    pub states: BTreeMap<String, String>,
    /// The output files of this epoch.
    pub files: Vec<String>,
    /// The model in use.
    pub model: String,
    /// The model of the windows that follow, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_model: Option<NextModel>,
}

/// A model that takes over between two windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextModel {
    /// Its name.
    pub name: String,
    /// It scores the windows that start at this time or later; `None` before the first window.
    pub from: Option<Timestamp>,
}

/// Where checkpoints are kept: one immutable file per task and epoch, one manifest per epoch, and the models that
/// they name.
///
/// ```
/// use funnelpulse_streaming::CheckpointStore;
///
/// let folder = tempfile::tempdir()?;
/// let store = CheckpointStore::open(folder.path().to_str().unwrap())?;
/// assert!(store.latest()?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CheckpointStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    place: String,
    runtime: tokio::runtime::Runtime,
    /// Different for each process, so that leftovers of another are never taken for its own.
    process: String,
}

impl CheckpointStore {
    /// Opens a folder, which is made if it is missing, or an address: `memory://`, and with the features `aws` and
    /// `gcp` `s3://bucket/prefix` and `gs://bucket/prefix`, with keys and endpoints from the environment.
    pub fn open(address: &str) -> Result<Self, StreamError> {
        let fail =
            |source: object_store::Error| StreamError::Store { place: address.to_owned(), source: source.into() };
        let (store, prefix): (Arc<dyn ObjectStore>, Path) = match address.split_once("://") {
            None => {
                std::fs::create_dir_all(address).map_err(StreamError::file(address))?;
                (Arc::new(LocalFileSystem::new_with_prefix(address).map_err(fail)?), Path::default())
            }
            Some(("memory", rest)) => (Arc::new(InMemory::new()), Path::from(rest)),
            Some((scheme, rest)) => cloud(scheme, rest).unwrap_or_else(|| {
                let allowed = "a folder, or s3:// or gs:// in a build with the feature aws or gcp";
                Err(StreamError::setting("checkpoints", address, allowed))
            })?,
        };
        Self::with_store(store, prefix, address)
    }

    /// Any object store that has put-if-absent.
    pub fn with_store(store: Arc<dyn ObjectStore>, prefix: Path, place: &str) -> Result<Self, StreamError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StreamError::file(place))?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let process = format!("{:x}-{:x}", std::process::id(), since.as_nanos());
        Ok(Self { store, prefix, place: place.to_owned(), runtime, process })
    }

    /// Its address, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Writes the state of a task and returns its name. It does not count until a manifest or a transaction names it.
    pub fn put(&self, task: &str, checkpoint: &Checkpoint) -> Result<(String, usize), StreamError> {
        let bytes = checkpoint.to_bytes()?;
        let size = bytes.len();
        let name = format!("state/{:010}/{task}-{}.ckpt", checkpoint.epoch, self.process);
        self.create(&name, bytes)?;
        Ok((name, size))
    }

    /// Keeps a model under its name; a model that is there already stays as it is.
    pub fn put_model(&self, name: &str, bytes: Vec<u8>) -> Result<(), StreamError> {
        match self.create(&model_file(name), bytes) {
            Err(StreamError::Store { source, .. }) if is_taken(source.as_ref()) => Ok(()),
            result => result,
        }
    }

    /// The names of the models that are kept.
    pub fn models(&self) -> Result<Vec<String>, StreamError> {
        let name = |file: &String| Some(file.strip_prefix(MODELS)?.strip_prefix('/')?.strip_suffix(SUFFIX)?.to_owned());
        Ok(self.list(MODELS)?.iter().filter_map(name).collect())
    }

    /// Removes a model that no checkpoint names any more.
    pub fn remove_model(&self, name: &str) -> Result<(), StreamError> {
        self.remove(&model_file(name))
    }

    /// Reads a state.
    pub fn load(&self, name: &str) -> Result<Checkpoint, StreamError> {
        Checkpoint::from_bytes(&self.read(name)?, &format!("{}/{name}", self.place))
    }

    /// Commits an epoch. An error if another process has committed it.
    pub fn commit(
        &self,
        epoch: u64,
        states: BTreeMap<String, String>,
        files: Vec<String>,
        model: &str,
        next_model: Option<NextModel>,
    ) -> Result<(), StreamError> {
        let manifest = Manifest { version: VERSION, epoch, states, files, model: model.to_owned(), next_model };
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| StreamError::contents("manifest", e))?;
        match self.create(&manifest_name(epoch), text) {
            Err(StreamError::Store { source, .. }) if is_taken(source.as_ref()) => {
                Err(StreamError::Fenced { epoch, place: self.place.clone() })
            }
            result => result,
        }
    }

    /// The newest manifest.
    pub fn latest(&self) -> Result<Option<Manifest>, StreamError> {
        let epochs = self.list("manifest")?.into_iter().filter_map(|name| epoch_of(&name)).max();
        let Some(epoch) = epochs else { return Ok(None) };
        let name = manifest_name(epoch);
        let corrupt = |reason: String| StreamError::Corrupt { place: format!("{}/{name}", self.place), reason };
        let manifest: Manifest =
            serde_json::from_slice(&self.read(&name)?).map_err(|e| corrupt(format!("not a manifest: {e}")))?;
        if manifest.version != VERSION {
            return Err(corrupt(format!("version {}, this build reads {VERSION}", manifest.version)));
        }
        if manifest.epoch != epoch {
            return Err(corrupt(format!("the manifest is of epoch {}", manifest.epoch)));
        }
        Ok(Some(manifest))
    }

    /// Removes what is older than the epochs that are kept.
    pub fn clean(&self, epoch: u64) -> Result<(), StreamError> {
        let Some(oldest) = (epoch + 1).checked_sub(KEPT) else { return Ok(()) };
        for folder in ["manifest", "state"] {
            for name in self.list(folder)? {
                if epoch_of(&name).is_some_and(|e| e < oldest) {
                    self.remove(&name)?;
                }
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StreamError> {
        match self.runtime.block_on(self.store.delete(&self.path(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<(), StreamError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = self.path(name);
        let put = self.store.put_opts(&path, PutPayload::from(bytes), options);
        self.runtime.block_on(put).map(drop).map_err(|e| self.fail(e))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StreamError> {
        let path = self.path(name);
        let read = async { self.store.get(&path).await?.bytes().await };
        self.runtime.block_on(read).map(|bytes| bytes.to_vec()).map_err(|e| self.fail(e))
    }

    /// The names below a folder, without the prefix.
    fn list(&self, folder: &str) -> Result<Vec<String>, StreamError> {
        use futures_util::TryStreamExt;
        let below = self.path(folder);
        let found: Result<Vec<_>, _> = self.runtime.block_on(self.store.list(Some(&below)).try_collect());
        let skipped = self.prefix.parts().count();
        let name =
            |path: &Path| path.parts().skip(skipped).map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/");
        Ok(found.map_err(|e| self.fail(e))?.iter().map(|object| name(&object.location)).collect())
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    fn fail(&self, error: object_store::Error) -> StreamError {
        StreamError::Store { place: self.place.clone(), source: error.into() }
    }
}

impl Models for CheckpointStore {
    fn load(&self, name: &str) -> Result<Vec<u8>, BoxError> {
        Ok(self.read(&model_file(name))?)
    }
}

fn model_file(name: &str) -> String {
    format!("{MODELS}/{name}{SUFFIX}")
}

fn manifest_name(epoch: u64) -> String {
    format!("manifest/{epoch:010}.json")
}

/// The epoch in a name such as `manifest/0000000007.json` or `state/0000000007/task.ckpt`.
fn epoch_of(name: &str) -> Option<u64> {
    let digits: String = name.split_once('/')?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn is_taken(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<object_store::Error>();
    matches!(error, Some(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }))
}

type Opened = Result<(Arc<dyn ObjectStore>, Path), StreamError>;

/// A bucket; `None` if this build has no store for the scheme.
fn cloud(scheme: &str, rest: &str) -> Option<Opened> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let place = format!("{scheme}://{bucket}");
    let _ = &place;
    match (scheme, bucket, Path::from(prefix)) {
        #[cfg(feature = "aws")]
        ("s3", bucket, prefix) => {
            let built = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).build();
            let fail = |e: object_store::Error| StreamError::Store { place, source: e.into() };
            Some(built.map(|store| (Arc::new(store) as Arc<dyn ObjectStore>, prefix)).map_err(fail))
        }
        #[cfg(feature = "gcp")]
        ("gs", bucket, prefix) => {
            let built = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).build();
            let fail = |e: object_store::Error| StreamError::Store { place, source: e.into() };
            Some(built.map(|store| (Arc::new(store) as Arc<dyn ObjectStore>, prefix)).map_err(fail))
        }
        _ => None,
    }
}
