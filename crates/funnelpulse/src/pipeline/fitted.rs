//! A trained pipeline.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use funnelpulse_config::Config;
use funnelpulse_core::{ModelError, Panel, Registry, SeriesKey, Timestamp};
use funnelpulse_ensemble::Ensemble;
use rayon::prelude::*;

use super::{
    builder::{Reporter, Stage, registry},
    incidents::{self, FittedIncidents},
    saved,
    scored::Scored,
    series::{Plan, Pooled, SeriesModel, Speaker},
};
use crate::{Findings, ModelSource, PipelineError, Progress, SeriesFailure, timings::Stopwatch};

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
    /// Which model speaks for each detector; detectors without one are left out.
    pub models: Vec<(String, ModelSource)>,
}

/// A trained [`Pipeline`](crate::Pipeline): scores any rows of the series it was trained on.
#[derive(Clone, Debug)]
pub struct FittedPipeline {
    pub(super) plan: Arc<Plan>,
    pub(super) series: BTreeMap<SeriesKey, SeriesModel>,
    pub(super) pooled: Pooled,
    pub(super) incidents: Option<FittedIncidents>,
    /// With the weights and the threshold that training found.
    pub(super) ensemble: Ensemble,
    failures: Vec<SeriesFailure>,
    reporter: Reporter,
}

impl FittedPipeline {
    pub(super) fn new(
        plan: Arc<Plan>,
        series: BTreeMap<SeriesKey, SeriesModel>,
        pooled: Pooled,
        incidents: Option<FittedIncidents>,
        ensemble: Ensemble,
        failures: Vec<SeriesFailure>,
        reporter: Reporter,
    ) -> Self {
        Self { plan, series, pooled, incidents, ensemble, failures, reporter }
    }

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

    /// The series it can score, in order of their names.
    pub fn series(&self) -> impl ExactSizeIterator<Item = SeriesInfo> + '_ {
        self.series.iter().map(|(key, model)| {
            let source = |s: &Speaker| match s {
                Speaker::Own(_) => Some(ModelSource::Own),
                Speaker::Share(..) | Speaker::Pooled => Some(ModelSource::Pooled),
                Speaker::Absent => None,
            };
            let speakers = self.plan.members.iter().zip(&model.speakers);
            let mut models: Vec<_> = speakers.filter_map(|(m, s)| Some((m.name.clone(), source(s)?))).collect();
            if models.is_empty() {
                models.push(("zscore".to_owned(), ModelSource::Fallback));
            }
            SeriesInfo { series: key.clone(), rows: model.rows, first: model.first, last: model.last, models }
        })
    }

    /// Scores and explains every row of `panel`. Series that were not in training, or fail, are
    /// reported in [`Findings::failures`]; those that training could not use with its reason.
    pub fn detect(&self, panel: &Panel) -> Result<Findings, PipelineError> {
        for column in self.plan.matrix.inputs().iter() {
            panel.columns().require(column)?;
        }
        let report = self.reporter.stage(Stage::Detect, panel.len());
        let joined: Vec<_> = panel.iter().collect();
        let joined: Vec<_> = joined
            .into_par_iter()
            .map(|(key, frame)| match self.series.get(key) {
                Some(model) => {
                    let joined = model.join(&self.plan, frame.view()).map_err(|e| e.to_string());
                    (key, joined.map(|(frame, skip)| (model, frame, skip)))
                }
                None => (key, Err(self.why_unknown(key))),
            })
            .collect();
        let frames = joined.iter().filter_map(|(key, j)| j.as_ref().ok().map(|(_, frame, skip)| (*key, frame, *skip)));
        let watch = Stopwatch::default();
        let seen = watch.time(incidents::NAME, || self.incidents.as_ref().map(|i| i.scan(frames)).unwrap_or_default());
        let scored = joined
            .into_par_iter()
            .map(|(key, joined)| {
                let found = joined.and_then(|(model, frame, skip)| {
                    let evidence = self.incidents.as_ref().zip(seen.series.get(key).cloned());
                    let scored = model.score(&self.plan, &self.pooled, evidence, key, frame, skip, &watch);
                    let conclude = |s: Scored| watch.time("explaining", || s.conclude(&self.plan, &self.ensemble));
                    scored.and_then(conclude).map_err(|e| e.to_string())
                });
                report(key);
                found.map_err(|message| SeriesFailure { series: key.clone(), message })
            })
            .collect();
        // What training has to say of models that are not of one series.
        let general = self.failures.iter().filter(|f| panel.get(f.series.as_str()).is_none()).cloned().collect();
        Ok(Findings::collect(&self.plan, &self.ensemble, scored, seen.site, general, watch))
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

    /// Loads a model that was saved to `path` with detectors of this workspace only.
    pub fn load(path: &Path) -> Result<Self, PipelineError> {
        Self::load_with(path, &registry())
    }

    /// Loads a model whose detectors are in `registry`.
    pub fn load_with(path: &Path, registry: &Registry) -> Result<Self, PipelineError> {
        let file = Self::model_file(path);
        let bytes = fs::read(&file).map_err(|source| PipelineError::File { path: file.clone(), source })?;
        Self::from_bytes(&bytes, registry).map_err(|source| PipelineError::Model { path: file, source })
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
    pub fn from_bytes(bytes: &[u8], registry: &Registry) -> Result<Self, ModelError> {
        let (plan, series, pooled, incidents, ensemble) = saved::from_bytes(bytes, registry)?;
        Ok(Self::new(Arc::new(plan), series, pooled, incidents, ensemble, Vec::new(), Reporter::default()))
    }
}

/// Writes a temporary file beside `path`, then renames it.
fn write_aside(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    let fail = |source| PipelineError::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}
