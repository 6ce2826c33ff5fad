//! The detection pipeline as an operator.

mod messages;
mod models;
mod retrain;
mod rows;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use funnelpulse_alerts::{AlertState, AlertsError, NotifierConfig};
use funnelpulse_analytics::Incident;
use funnelpulse_core::{BoxError, Severity, Timestamp};
use funnelpulse_pipeline::{
    Advance, Catalog, FittedPipeline, IncidentChange, LivePipeline, PipelineError, observation,
};
use serde::{Deserialize, Serialize};

pub use self::retrain::RetrainConfig;
use self::{
    messages::{feed, warning, wrapped},
    models::{ModelFile, Named},
    retrain::Retraining,
};
use crate::{Alert, ClosedWindow, GOLD_COLUMNS, ModelStatus, Models, Operator, Output, Signal, StreamError};

/// Odds of an incident from which on an early result is a warning: as high as for twelve looks at the same hour instead
/// of one, so that they raise no more false warnings than the hour itself.
const EARLY_ODDS: f64 = 12.0;

/// A trained pipeline behind the windows: it scores each closed window, revises earlier rows while
/// they can still change, and says what is worth an alert.
///
/// The rows are those of the batch's table without `rank`, with two columns more: `revision`, 0 for
/// the first verdict on a row and one more with each later one, and `final`, true once the verdict
/// no longer changes. The newest row of a series and window is the one with the highest revision.
///
/// Early results, of trailing windows that end within an hour, are warnings of losses and of broken stages: at most one
/// per hour, series and kind of incident. They neither are rows nor change what is an alert once the hour is over, and need a detector that gives
/// probabilities of incidents.
///
/// A new model comes from its [file](Self::load) or from [training on a schedule](Self::with_training). A checkpoint
/// names it first, and it scores from the first window after that checkpoint on; so a restart uses the same model for
/// the same windows.
///
/// ```no_run
/// use std::path::Path;
/// use funnelpulse_alerts::NotifierConfig;
/// use funnelpulse_pipeline::Catalog;
/// use funnelpulse_streaming::LiveDetection;
///
/// let operator = LiveDetection::load(Path::new("shop.model"), Catalog::default())?
///     .with_alerts(NotifierConfig::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LiveDetection {
    live: LivePipeline,
    current: Named,
    /// A model that no checkpoint names yet.
    found: Option<Named>,
    /// The model of the next window: a checkpoint names it.
    next: Option<Named>,
    file: Option<ModelFile>,
    training: Option<Retraining>,
    catalog: Catalog,
    /// The reason why a new model was not taken into use.
    problem: Option<String>,
    alerts: Option<AlertState>,
    /// The least severity of a warning.
    least: Severity,
    /// Early warnings of the hour that is not over.
    warned: BTreeSet<String>,
}

/// The state in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Saved {
    live: Vec<u8>,
    alerts: Option<String>,
    model: String,
    next: Option<String>,
    /// The model that was last read of the file.
    seen: Option<String>,
    trained: Option<Timestamp>,
}

impl LiveDetection {
    /// Scores with this model. An error if it reads other columns than windows of events have.
    pub fn new(model: Arc<FittedPipeline>) -> Result<Self, PipelineError> {
        Self::with(Named::new(model)?, Catalog::default())
    }

    /// Scores with the model that was saved to `path`, and takes a new one into use between two
    /// windows when the file changes.
    pub fn load(path: &Path, catalog: Catalog) -> Result<Self, PipelineError> {
        let (file, model) = ModelFile::open(path, &catalog)?;
        Ok(Self { file: Some(file), ..Self::with(model, catalog)? })
    }

    fn with(current: Named, catalog: Catalog) -> Result<Self, PipelineError> {
        let inputs = current.model.inputs();
        if inputs.iter().any(|column| !GOLD_COLUMNS.contains(&&**column)) {
            return Err(PipelineError::OtherInputs { has: GOLD_COLUMNS.join(", "), needs: inputs.joined() });
        }
        Ok(Self {
            live: LivePipeline::new(current.model.clone()),
            current,
            found: None,
            next: None,
            file: None,
            training: None,
            catalog,
            problem: None,
            alerts: None,
            least: Severity::Low,
            warned: BTreeSet::new(),
        })
    }

    /// Also makes alerts of incidents, and of a feed that stops. Without it there are none.
    pub fn with_alerts(mut self, config: NotifierConfig) -> Result<Self, AlertsError> {
        self.least = config.min_severity;
        self.alerts = Some(AlertState::new(config)?);
        Ok(self)
    }

    /// Also trains new models on a schedule, with the settings of the model in use.
    pub fn with_training(mut self, config: RetrainConfig) -> Result<Self, StreamError> {
        config.validate()?;
        self.live = self.live.with_history(config.history());
        self.training = Some(Retraining::new(config));
        Ok(self)
    }

    /// The pipeline.
    pub fn live(&self) -> &LivePipeline {
        &self.live
    }

    fn alerts_of(&mut self, advance: &Advance) -> Vec<Alert> {
        let (Some(state), Some(seen)) = (&mut self.alerts, observation(&advance.findings)) else { return Vec::new() };
        let news = state.update(&seen);
        // The runner keeps what is not delivered.
        state.retain_outbox(|_| false);
        news.alerts.iter().map(wrapped).collect()
    }

    /// Takes the model into use that the last checkpoint named.
    fn take_next(&mut self, window: &ClosedWindow) {
        let Some(next) = self.next.take() else { return };
        match self.live.swap(next.model.clone()) {
            Ok(()) => {
                tracing::info!(model = next.name, window = %window.start, "a new model is in use");
                self.current = next;
                self.problem = None;
            }
            Err(error) => self.refuse(&error),
        }
    }

    /// A model that can't be used is no reason to stop: the one in use is kept.
    fn refuse(&mut self, error: &dyn std::fmt::Display) {
        tracing::warn!(%error, "a new model can't be used; the model in use stays");
        self.problem = Some(error.to_string());
    }

    /// Looks for a new model: in the file, then of a training.
    fn look(&mut self) {
        match self.file.as_mut().map(|file| file.look(&self.catalog)) {
            None | Some(Ok(None)) => {}
            Some(Ok(Some(found))) => self.found = Some(found),
            Some(Err(error)) => self.refuse(&error),
        }
        match self.training.as_mut().and_then(Retraining::finished) {
            None => {}
            Some(Err(error)) => self.problem = Some(format!("training: {error}")),
            Some(Ok(model)) => match Named::new(Arc::new(model)) {
                Ok(named) => self.found = Some(named),
                Err(error) => self.refuse(&error),
            },
        }
    }
}

/// Whether somebody should hear of an incident before its hour is over. What brings more than expected can wait for
/// the alert of the whole hour.
fn is_urgent(incident: &Incident, least: Severity) -> bool {
    let odds = incident.probability / (1.0 - incident.probability);
    let is_harm = incident.is_alarm() && !incident.is_opportunity();
    incident.ongoing && incident.severity >= least && odds >= EARLY_ODDS && is_harm
}

impl Operator for LiveDetection {
    fn window(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        self.take_next(window);
        self.warned.clear();
        let advance = self.live.advance(&window.panel()?)?;
        let alerts = self.alerts_of(&advance);
        if let Some(training) = &mut self.training {
            training.start(window.end, &self.live, &self.catalog);
        }
        let rows = if advance.rows.is_empty() { Vec::new() } else { vec![rows::table(&advance)?] };
        Ok(Output { rows, alerts })
    }

    fn early(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        if self.alerts.is_none() {
            return Ok(Output::default());
        }
        let advance = self.live.early(window.start, window.end, &window.panel()?)?;
        let mut alerts = Vec::new();
        let opened = advance.incidents.iter().filter(|news| news.change == IncidentChange::Opened);
        for incident in opened.map(|news| &news.incident).filter(|incident| is_urgent(incident, self.least)) {
            let warning = warning(incident, window.end);
            if self.warned.insert(warning.id.clone()) {
                alerts.push(wrapped(&warning));
            }
        }
        Ok(Output { rows: Vec::new(), alerts })
    }

    fn signal(&mut self, signal: Signal, now: Timestamp) -> Result<Output, BoxError> {
        if self.alerts.is_none() {
            return Ok(Output::default());
        }
        Ok(Output { rows: Vec::new(), alerts: vec![wrapped(&feed(signal, now))] })
    }

    fn state(&self) -> Result<Vec<u8>, BoxError> {
        let saved = Saved {
            live: self.live.snapshot()?,
            alerts: self.alerts.as_ref().map(serde_json::to_string).transpose()?,
            model: self.current.name.clone(),
            next: self.next.as_ref().map(|next| next.name.clone()),
            seen: self.file.as_ref().map(|file| file.seen.clone()),
            trained: self.training.as_ref().and_then(|training| training.last),
        };
        Ok(postcard::to_allocvec(&saved)?)
    }

    fn restore(&mut self, state: &[u8], models: &dyn Models) -> Result<(), BoxError> {
        let saved: Saved = postcard::from_bytes(state)?;
        let own = self.current.clone();
        let named = |name: &str| {
            if name == own.name { Ok(own.clone()) } else { Named::load(name, models, &self.catalog) }
        };
        let (current, next) = (named(&saved.model)?, saved.next.as_deref().map(named).transpose()?);
        let history = self.training.as_ref().map_or(0, Retraining::history);
        self.live = LivePipeline::restore(current.model.clone(), &saved.live)?.with_history(history);
        (self.current, self.next, self.found) = (current, next, None);
        // The file may have changed while nothing ran.
        if self.file.is_some() && saved.seen.is_some_and(|seen| seen != own.name) {
            self.found = Some(own);
        }
        if let (Some(state), Some(text)) = (&mut self.alerts, saved.alerts) {
            *state = serde_json::from_str(&text)?;
        }
        if let Some(training) = &mut self.training {
            training.last = saved.trained;
        }
        Ok(())
    }

    fn model(&self) -> ModelStatus {
        let training = self.training.as_ref();
        ModelStatus {
            name: self.current.name.clone(),
            next: self.next.as_ref().map(|next| next.name.clone()),
            problem: self.problem.clone(),
            trained: training.map_or(0, |training| training.done),
            trainings_failed: training.map_or(0, |training| training.failed),
        }
    }

    fn model_bytes(&self, name: &str) -> Result<Vec<u8>, BoxError> {
        let all = [Some(&self.current), self.next.as_ref()];
        let model = all.into_iter().flatten().find(|named| named.name == name);
        Ok(model.ok_or_else(|| format!("no model {name}"))?.model.to_bytes()?)
    }

    fn refresh(&mut self) -> Result<(), BoxError> {
        self.look();
        let Some(found) = self.found.take() else { return Ok(()) };
        let (has, needs) = (self.live.model().inputs(), found.model.inputs());
        if found.name == self.current.name {
            self.next = None;
        } else if has == needs {
            self.next = Some(found);
        } else {
            self.refuse(&PipelineError::OtherInputs { has: has.joined(), needs: needs.joined() });
        }
        Ok(())
    }
}
