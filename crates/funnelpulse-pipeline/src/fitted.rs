//! A trained pipeline.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use funnelpulse_analytics::{Findings, SeriesFailure};
use funnelpulse_core::{Absence, FittedPanelDetector, ModelError, ModelSource, Panel, SeriesKey, Timestamp};
use funnelpulse_ensemble::Ensemble;
use rayon::prelude::*;

use crate::{
    Catalog, Config, LeftOut, Phase, PipelineError, Progress, drift,
    plan::Plan,
    prepared::{Prepared, SeriesState},
    progress::Reporter,
    saved,
    scoring::score,
    timings::Stopwatch,
};

/// The model's file inside a model folder.
const MODEL_FILE: &str = "pipeline.model";
/// The configuration beside it, for people to read.
const CONFIG_FILE: &str = "config.toml";

/// What a trained pipeline knows of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesInfo {
    /// The series.
    pub series: SeriesKey,
    /// Rows with data that it was trained on.
    pub rows: usize,
    /// Time of the first of them.
    pub first: Timestamp,
    /// Time of the last of them.
    pub last: Timestamp,
    /// Which model scores for each detector; detectors without one are left out.
    pub models: Vec<(String, ModelSource)>,
}

/// A trained [`Pipeline`](crate::Pipeline): scores any rows of the series it was trained on.
#[derive(Clone, Debug)]
pub struct FittedPipeline {
    pub(crate) plan: Arc<Plan>,
    /// One entry per member.
    pub(crate) models: Vec<Option<Box<dyn FittedPanelDetector>>>,
    pub(crate) series: BTreeMap<SeriesKey, SeriesState>,
    /// With the weights and the threshold that training found.
    pub(crate) ensemble: Ensemble,
    pub(crate) absences: Vec<(String, Absence)>,
    pub(crate) failures: Vec<SeriesFailure>,
    pub(crate) reporter: Reporter,
}

impl FittedPipeline {
    /// The configuration it was trained with.
    pub fn config(&self) -> &Config {
        &self.plan.config
    }

    /// The combined score from which a row is flagged: what keeps to `alerts.budget`, or
    /// `ensemble.threshold` without a budget or where the history was too short for it.
    pub fn threshold(&self) -> f64 {
        self.ensemble.config().threshold
    }

    /// The weight of each detector: those of the configuration, or what was learnt from the history
    /// (`ensemble.weighting = "auto"`) and from feedback.
    pub fn weights(&self) -> &BTreeMap<String, f64> {
        &self.ensemble.config().weights
    }

    /// Calls back after each series that [`detect`](Self::detect) scores, from any thread. Not saved
    /// with the model.
    pub fn with_progress(mut self, callback: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.reporter = Reporter::new(callback);
        self
    }

    /// Series that could not be trained. Not saved with the model.
    pub fn failures(&self) -> &[SeriesFailure] {
        &self.failures
    }

    /// Models that a detector could not train, by detector: series too short, say.
    pub fn absences(&self) -> &[(String, Absence)] {
        &self.absences
    }

    /// Detectors of the configuration that have nothing to look at in this input, and why.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.plan.left_out
    }

    /// The series it can score, in order of their names.
    pub fn series(&self) -> impl ExactSizeIterator<Item = SeriesInfo> + '_ {
        self.series.iter().map(|(key, state)| {
            let members = self.plan.members.iter().zip(&self.models);
            let source = |model: &Option<Box<dyn FittedPanelDetector>>| model.as_ref()?.source(key);
            let mut models: Vec<_> = members.filter_map(|(m, model)| Some((m.name.clone(), source(model)?))).collect();
            if models.is_empty() {
                models.push((funnelpulse_baseline::KIND.to_owned(), ModelSource::Fallback));
            }
            SeriesInfo { series: key.clone(), rows: state.rows, first: state.first, last: state.last, models }
        })
    }

    /// Scores and explains every row of `panel`. Series that were not in training, or fail, are
    /// reported in [`Findings::failures`]; those that training could not use with its reason.
    pub fn detect(&self, panel: &Panel) -> Result<Findings, PipelineError> {
        for column in self.plan.matrix.inputs().iter() {
            panel.columns().require(column)?;
        }
        // What training has to say of models that are not of one series.
        let general = self.failures.iter().filter(|f| panel.get(f.series.as_str()).is_none());
        let mut failures: Vec<SeriesFailure> = general.cloned().collect();
        let watch = Stopwatch::default();
        let prepared = watch.time_all("features", || self.prepare(panel, &mut failures));
        let report = self.reporter.phase(Phase::Detect, panel.len());
        let scores = score(&self.plan, &self.models, prepared, &mut failures, &watch, &report);
        let findings = scores.conclude(&self.plan, &self.ensemble, failures, watch);
        let warnings = drift::warnings(&findings);
        Ok(findings.with_warnings(warnings))
    }

    fn prepare(&self, panel: &Panel, failures: &mut Vec<SeriesFailure>) -> Vec<Prepared> {
        let series: Vec<_> = panel.iter().collect();
        let prepare = |(key, frame): (&SeriesKey, &funnelpulse_core::Frame)| {
            let fail = |message| SeriesFailure { series: key.clone(), message };
            let state = self.series.get(key).ok_or_else(|| fail(self.why_unknown(key)))?;
            Prepared::for_detection(&self.plan, key, frame.view(), state).map_err(|e| fail(e.to_string()))
        };
        let prepared: Vec<_> = series.into_par_iter().map(prepare).collect();
        prepared.into_iter().filter_map(|p| p.map_err(|failure| failures.push(failure)).ok()).collect()
    }

    fn why_unknown(&self, key: &SeriesKey) -> String {
        let trained = self.failures.iter().find(|f| f.series == *key);
        trained.map_or_else(|| "not in the model: unknown, or unusable, in training".to_owned(), |f| f.message.clone())
    }

    /// Saves the model. A path with an extension becomes one file; any other becomes a folder with
    /// the model and, for people to read, its configuration. An existing model is replaced only
    /// when the new one is written whole.
    pub fn save(&self, path: &Path) -> Result<(), PipelineError> {
        let bytes = saved::to_bytes(self)?;
        if path.extension().is_some() && !path.is_dir() {
            return write_aside(path, &bytes);
        }
        fs::create_dir_all(path).map_err(|source| PipelineError::File { path: path.to_owned(), source })?;
        write_aside(&path.join(CONFIG_FILE), self.plan.config.to_toml().as_bytes())?;
        write_aside(&path.join(MODEL_FILE), &bytes)
    }

    /// Loads a model that was saved to `path`, with the detectors of [`Catalog::default`].
    pub fn load(path: &Path) -> Result<Self, PipelineError> {
        Self::load_with(path, &Catalog::default())
    }

    /// Loads a model whose detectors are in `catalog`.
    pub fn load_with(path: &Path, catalog: &Catalog) -> Result<Self, PipelineError> {
        let file = Self::model_file(path);
        let bytes = fs::read(&file).map_err(|source| PipelineError::File { path: file.clone(), source })?;
        Self::from_bytes(&bytes, catalog).map_err(|source| PipelineError::Model { path: file, source })
    }

    /// The file that [`load`](Self::load) reads for `path`.
    pub fn model_file(path: &Path) -> PathBuf {
        if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() }
    }

    /// The model as bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PipelineError> {
        Ok(saved::to_bytes(self)?)
    }

    /// The model from bytes; never trusts them.
    pub fn from_bytes(bytes: &[u8], catalog: &Catalog) -> Result<Self, ModelError> {
        saved::from_bytes(bytes, catalog)
    }
}

/// What temporary files are called at first.
const ASIDE: &str = ".funnelpulse-";

/// Temporary files are private; a model is read by whoever may read any other new file.
fn readable() -> tempfile::Builder<'static, 'static> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "permissions are Unix permissions"))]
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Writes a temporary file beside `path`, then renames it.
fn write_aside(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    let fail = |source| PipelineError::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = readable().prefix(ASIDE).tempfile_in(folder).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}
