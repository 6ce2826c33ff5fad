//! The detection pipeline as an operator.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use funnelpulse_alerts::{Alert as Message, AlertState, AlertsError, NotifierConfig, Status};
use funnelpulse_analytics::Incident;
use funnelpulse_core::{BoxError, SITE, Severity, Timestamp};
use funnelpulse_pipeline::{
    Advance, Catalog, FittedPipeline, IncidentChange, LivePipeline, PipelineError, alert_candidate, observation,
};

use crate::{Alert, ClosedWindow, Operator, Output, Signal};

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
/// Early results, of trailing windows that end within an hour, are warnings: at most one per hour, series and kind of
/// incident. They neither are rows nor change what is an alert once the hour is over, and need a detector that gives
/// probabilities of incidents.
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
    model: String,
    alerts: Option<AlertState>,
    /// The least severity of a warning.
    least: Severity,
    file: Option<ModelFile>,
    problem: Option<String>,
    /// Early warnings of the hour that is not over.
    warned: BTreeSet<String>,
}

/// A file whose model is taken into use when it changes.
#[derive(Debug)]
struct ModelFile {
    path: PathBuf,
    catalog: Catalog,
    changed: Option<SystemTime>,
}

impl LiveDetection {
    /// Scores with this model.
    pub fn new(model: Arc<FittedPipeline>) -> Result<Self, PipelineError> {
        let name = name_of(&model)?;
        let live = LivePipeline::new(model);
        let (least, warned) = (Severity::Low, BTreeSet::new());
        Ok(Self { live, model: name, alerts: None, least, file: None, problem: None, warned })
    }

    /// Scores with the model that was saved to `path`, and takes a new one into use between two
    /// windows when the file changes.
    pub fn load(path: &Path, catalog: Catalog) -> Result<Self, PipelineError> {
        let changed = changed(path);
        let model = FittedPipeline::load_with(path, &catalog)?;
        let file = Some(ModelFile { path: path.to_owned(), catalog, changed });
        Ok(Self { file, ..Self::new(Arc::new(model))? })
    }

    /// Also makes alerts of incidents, and of a feed that stops. Without it there are none.
    pub fn with_alerts(mut self, config: NotifierConfig) -> Result<Self, AlertsError> {
        self.least = config.min_severity;
        self.alerts = Some(AlertState::new(config)?);
        Ok(self)
    }

    /// The pipeline.
    pub fn live(&self) -> &LivePipeline {
        &self.live
    }

    /// The reason why the last change of the model file was not taken into use.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn alerts_of(&mut self, advance: &Advance) -> Vec<Alert> {
        let (Some(state), Some(seen)) = (&mut self.alerts, observation(&advance.findings)) else { return Vec::new() };
        let news = state.update(&seen);
        // The runner keeps what is not delivered.
        state.retain_outbox(|_| false);
        news.alerts.iter().map(wrapped).collect()
    }
}

impl Operator for LiveDetection {
    fn window(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        self.warned.clear();
        let advance = self.live.advance(&window.panel()?)?;
        let alerts = self.alerts_of(&advance);
        let rows = if advance.rows.is_empty() { Vec::new() } else { vec![table(&advance)?] };
        Ok(Output { rows, alerts })
    }

    fn early(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        if self.alerts.is_none() {
            return Ok(Output::default());
        }
        let advance = self.live.early(window.start, window.end, &window.panel()?)?;
        let mut alerts = Vec::new();
        for news in advance.incidents.iter().filter(|news| news.change == IncidentChange::Opened) {
            let incident = &news.incident;
            let odds = incident.probability / (1.0 - incident.probability);
            let is_likely = odds >= EARLY_ODDS;
            if !incident.ongoing || incident.severity < self.least || !is_likely {
                continue;
            }
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
        let mut message = Message::new(format!("{SITE}/feed"), Severity::Critical, now);
        match signal {
            Signal::FeedStopped(last) => {
                message.title = "P1 no events".into();
                let since = last.map(|last| format!(" since {last}")).unwrap_or_default();
                message.text = format!("The feed has delivered no event{since}.");
                message.id = format!("{SITE}/feed:stopped{since}");
            }
            Signal::FeedResumed => {
                message.title = "Events come again".into();
                message.text = "The feed delivers events again.".into();
                message.status = Status::Resolved;
                message.id = format!("{SITE}/feed:resumed {now}");
            }
        }
        Ok(Output { rows: Vec::new(), alerts: vec![wrapped(&message)] })
    }

    fn state(&self) -> Result<Vec<u8>, BoxError> {
        let alerts = self.alerts.as_ref().map(serde_json::to_string).transpose()?;
        Ok(postcard::to_allocvec(&(self.live.snapshot()?, alerts))?)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        let (live, alerts): (Vec<u8>, Option<String>) = postcard::from_bytes(state)?;
        let model = Arc::new(self.live.model().clone());
        self.live = LivePipeline::resume(model, &live)?;
        if let (Some(state), Some(text)) = (&mut self.alerts, alerts) {
            *state = serde_json::from_str(&text)?;
        }
        Ok(())
    }

    fn model(&self) -> String {
        self.model.clone()
    }

    fn refresh(&mut self) -> Result<bool, BoxError> {
        let Some(file) = &mut self.file else { return Ok(false) };
        let now = changed(&file.path);
        if now == file.changed || now.is_none() {
            return Ok(false);
        }
        file.changed = now;
        let loaded = FittedPipeline::load_with(&file.path, &file.catalog);
        let taken = loaded.and_then(|model| {
            let name = name_of(&model)?;
            self.live.swap(model)?;
            Ok(name)
        });
        match taken {
            Ok(name) => {
                let is_new = self.model != name;
                self.model = name;
                self.problem = None;
                Ok(is_new)
            }
            // A broken file is no reason to stop: the model in use is kept.
            Err(error) => {
                self.problem = Some(error.to_string());
                Ok(false)
            }
        }
    }
}

/// Length and checksum of the model.
fn name_of(model: &FittedPipeline) -> Result<String, PipelineError> {
    let bytes = model.to_bytes()?;
    let checksum = bytes.last_chunk::<4>().copied().map_or(0, u32::from_le_bytes);
    Ok(format!("{checksum:08x}-{}", bytes.len()))
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(FittedPipeline::model_file(path)).and_then(|m| m.modified()).ok()
}

/// The warning of an incident before its hour is over, the same for every look at that hour.
fn warning(incident: &Incident, end: Timestamp) -> Message {
    let mut message = alert_candidate(incident).alert(end);
    message.id = format!("{}:early {}", message.incident, end.offset(-1).floor_to(Timestamp::HOUR));
    message.title = format!("Early warning: {}", message.title);
    message.text = format!("{} The hour is not over: so the hour until {end} looks.", message.text);
    message
}

fn wrapped(message: &Message) -> Alert {
    Alert { id: message.idempotency_key(), body: serde_json::json!(message).to_string() }
}

/// The rows whose verdict is new, with `revision` and `final`.
fn table(advance: &Advance) -> Result<RecordBatch, BoxError> {
    let places: Vec<(usize, usize)> = advance.rows.iter().map(|row| (row.series, row.row)).collect();
    let batch = advance.findings.rows_to_batch(&places);
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut arrays = batch.columns().to_vec();
    let revisions: Int64Array = advance.rows.iter().map(|row| Some(i64::from(row.revision))).collect();
    let finals: BooleanArray = advance.rows.iter().map(|row| Some(row.is_final)).collect();
    for (name, data_type, array) in
        [("revision", DataType::Int64, Arc::new(revisions) as ArrayRef), ("final", DataType::Boolean, Arc::new(finals))]
    {
        fields.push(Field::new(name, data_type, false));
        arrays.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
