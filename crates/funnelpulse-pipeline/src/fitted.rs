//! A trained pipeline.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use funnelpulse_analytics::{Findings, SeriesFailure};
use funnelpulse_core::{
    Absence, Columns, FittedPanelDetector, Memory, ModelError, ModelSource, Panel, SeriesKey, Timestamp,
};
use funnelpulse_ensemble::Ensemble;
use rayon::prelude::*;

#[cfg(feature = "files")]
use crate::aside;
use crate::{
    Catalog, Config, LeftOut, Phase, PipelineError, Progress, drift,
    plan::Plan,
    prepared::{Prepared, SeriesState},
    progress::Reporter,
    saved,
    scoring::Scoring,
    spacing,
    timings::Stopwatch,
};

/// The model's file inside a model folder.
const MODEL_FILE: &str = "pipeline.model";
/// The configuration beside it, for people to read.
#[cfg(feature = "files")]
const CONFIG_FILE: &str = "config.toml";

/// The facts that a trained pipeline has of one series.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::{pipeline, shop};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::ModelSource;
///
/// let model = pipeline()?.fit(&shop(60))?;
/// let info = model.series().next().unwrap();
/// assert_eq!((info.series.as_str(), info.rows), ("irisk", 60));
/// assert_eq!(info.models, [("zscore".to_owned(), ModelSource::Own)]);
/// # Ok(())
/// # }
/// ```
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
    /// Detectors with the model that scores; those without one are left out.
    pub models: Vec<(String, ModelSource)>,
}

/// A trained [`Pipeline`](crate::Pipeline): scores any rows of the series it was trained on.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::{pipeline, shop};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Trained on four days, applied to the fifth.
/// let model = pipeline()?.fit(&shop(96))?;
/// let findings = model.detect(&shop(120))?;
/// assert_eq!(findings.ranked()[0].0.series.as_str(), "runail");
/// # Ok(())
/// # }
/// ```
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

    /// The columns that its rows have.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let model = pipeline()?.fit(&shop(60))?;
    /// assert_eq!(model.inputs().joined(), "views, carts, purchases, revenue");
    /// # Ok(())
    /// # }
    /// ```
    pub fn inputs(&self) -> &Columns {
        self.plan.matrix.inputs()
    }

    /// The combined score from which a row is flagged: what keeps to `alerts.budget`, or
    /// `ensemble.threshold` without a budget or where the history was too short for it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Without a budget the threshold of the configuration stays.
    /// let model = pipeline()?.fit(&shop(60))?;
    /// assert_eq!(model.threshold(), model.config().ensemble.threshold);
    /// # Ok(())
    /// # }
    /// ```
    pub fn threshold(&self) -> f64 {
        self.ensemble.config().threshold
    }

    /// The weight of each detector: those of the configuration, or those learnt from the history
    /// (`ensemble.weighting = "auto"`) and from feedback.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let model = pipeline()?.fit(&shop(60))?;
    /// assert_eq!(model.weights()["zscore"], model.config().ensemble.weights["zscore"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn weights(&self) -> &BTreeMap<String, f64> {
        &self.ensemble.config().weights
    }

    /// Calls back after each series that [`detect`](Self::detect) scores, from any thread. Not
    /// saved with the model.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
    ///
    /// let scored = Arc::new(AtomicUsize::new(0));
    /// let count = scored.clone();
    /// let model = pipeline()?.fit(&shop(60))?.with_progress(move |_| {
    ///     count.fetch_add(1, Ordering::Relaxed);
    /// });
    /// model.detect(&shop(60))?;
    /// assert_eq!(scored.load(Ordering::Relaxed), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_progress(mut self, callback: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.reporter = Reporter::new(callback);
        self
    }

    /// Series that could not be trained. Not saved with the model.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // 24 rows are needed.
    /// let model = pipeline()?.fit(&shop(12))?;
    /// let message = &model.failures()[0].message;
    /// assert_eq!(message, "too short to score: 12 rows with data, at least 24 are needed");
    /// # Ok(())
    /// # }
    /// ```
    pub fn failures(&self) -> &[SeriesFailure] {
        &self.failures
    }

    /// Models that a detector could not train, by detector: series too short, say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // 48 rows are needed for a model; the baseline scores both series instead.
    /// let model = pipeline()?.fit(&shop(30))?;
    /// let (detector, absence) = &model.absences()[0];
    /// assert_eq!((detector.as_str(), absence.is_expected), ("zscore", true));
    /// assert_eq!(absence.reason, "30 usable rows, `zscore` needs at least 48");
    /// # Ok(())
    /// # }
    /// ```
    pub fn absences(&self) -> &[(String, Absence)] {
        &self.absences
    }

    /// Detectors of the configuration that have nothing to look at in this input, and why.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.plan.left_out
    }

    /// The series it can score, in order of their names.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::ModelSource;
    ///
    /// // Too short for a model of any detector: the baseline scores.
    /// let model = pipeline()?.fit(&shop(30))?;
    /// assert!(model.series().all(|info| info.models[0].1 == ModelSource::Fallback));
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let model = pipeline()?.fit(&shop(120))?;
    /// let findings = model.detect(&shop(120))?;
    /// assert_eq!((findings.rows(), findings.failures().len()), (240, 0));
    /// assert!(findings.series()[1].anomalies.iter().any(|anomaly| anomaly.row == 100));
    /// # Ok(())
    /// # }
    /// ```
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
        let mut scoring = Scoring::new(&self.plan, &watch, prepared);
        for (member, model) in self.plan.members.iter().zip(&self.models) {
            if let Some(model) = model {
                scoring.add(member, &**model, Memory::default(), &mut failures);
            }
        }
        let scores = scoring.finish(&report);
        let findings = scores.conclude(&self.plan, &self.ensemble, self.absences.clone(), failures, watch);
        let mut warnings = spacing::warnings(panel, self.plan.config.input.step_seconds);
        warnings.extend(drift::warnings(&findings));
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
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_pipeline::FittedPipeline;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let model = pipeline()?.fit(&shop(60))?;
    /// model.save(folder.path())?;
    /// assert!(folder.path().join("config.toml").exists());
    /// assert_eq!(FittedPipeline::load(folder.path())?.threshold(), model.threshold());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "files")]
    pub fn save(&self, path: &Path) -> Result<(), PipelineError> {
        let bytes = saved::to_bytes(self)?;
        if path.extension().is_some() && !path.is_dir() {
            return aside::write(path, &bytes);
        }
        fs::create_dir_all(path).map_err(|source| PipelineError::File { path: path.to_owned(), source })?;
        aside::write(&path.join(CONFIG_FILE), self.plan.config.to_toml().as_bytes())?;
        aside::write(&path.join(MODEL_FILE), &bytes)
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
    ///
    /// ```
    /// use funnelpulse_pipeline::FittedPipeline;
    /// use std::path::Path;
    ///
    /// let file = Path::new("shop.model");
    /// assert_eq!(FittedPipeline::model_file(file), file);
    /// ```
    pub fn model_file(path: &Path) -> PathBuf {
        if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() }
    }

    /// The model as bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PipelineError> {
        Ok(saved::to_bytes(self)?)
    }

    /// The model from bytes; never trusts them.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_pipeline::{Catalog, FittedPipeline};
    ///
    /// let bytes = pipeline()?.fit(&shop(60))?.to_bytes()?;
    /// let loaded = FittedPipeline::from_bytes(&bytes, &Catalog::default())?;
    /// assert_eq!(loaded.to_bytes()?, bytes);
    /// assert!(FittedPipeline::from_bytes(&bytes[1..], &Catalog::default()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_bytes(bytes: &[u8], catalog: &Catalog) -> Result<Self, ModelError> {
        saved::from_bytes(bytes, catalog)
    }
}
