//! The stream of one site.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use funnelpulse::{
    Catalog, Config,
    core::{BoxError, Timestamp},
    io::ReadOptions,
};
use funnelpulse_alerts::{Alert as Message, AlertsConfig, DispatchReport, Dispatcher};
use funnelpulse_streaming::{
    Alert, CheckpointStore, Deliver, Engine, EngineConfig, FileFormat, FileSink, FolderSource, LiveDetection, Metrics,
    PipeSource, Reading, Runner, RunnerConfig, Sink, Source, Status, StreamError, TextFormat, WriterSink,
};

use super::{is_dash, kafka, sites::Site};
use crate::{
    args::{RowFormat, TextLayout},
    context::READ,
};

/// Interval at which a folder is looked at for new files.
const SCAN: Duration = Duration::from_secs(1);
/// Time that alerts have to get to the disk of the spool.
const SPOOL_PATIENCE: Duration = Duration::from_secs(60);
/// Settings of the engine and the runner, with the flag and the setting of the file that they come from.
const NAMES: [(&str, &str); 6] = [
    ("window_seconds", "the model's setting `input.step_seconds`"),
    ("slide_seconds", "--early (setting `early`)"),
    ("lateness_seconds", "--lateness (setting `lateness`)"),
    ("idle_seconds", "--idle (setting `idle`)"),
    ("silent_seconds", "--silence (setting `silence`)"),
    ("checkpoint_seconds", "--checkpoint-seconds (setting `checkpoint_seconds`)"),
];
/// The name of the one task of a site, part of file names.
const TASK: &str = "task-0";

/// The numbers of a stream at its end.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) metrics: Metrics,
    /// Deliveries of alerts that wait for the next start.
    pub(super) waiting: u64,
}

/// The detection with the model of a site.
pub(super) fn operator(site: &Site, catalog: &Catalog) -> anyhow::Result<LiveDetection> {
    let operator = LiveDetection::load(&site.model, catalog.clone())?;
    Ok(match site.retrain {
        Some(config) => operator.with_training(config)?,
        None => operator,
    })
}

/// Runs until the input ends or `stop` is set.
pub(super) fn run(site: &Site, catalog: &Catalog, status: &Status, stop: &AtomicBool) -> anyhow::Result<Ended> {
    let alerts = site.alerts.as_deref().map(AlertsConfig::load).transpose()?;
    let mut operator = operator(site, catalog)?;
    if let Some(alerts) = &alerts {
        operator = operator.with_alerts(alerts.config().notifier.clone())?;
    }
    let config = operator.live().model().config().clone();
    let dispatcher = alerts.as_ref().map(|alerts| alerts.start().map(Arc::new)).transpose()?;
    let receiver = dispatcher.clone().map(|dispatcher| Receiver { dispatcher });
    let parts = Parts { operator, receiver, status: status.clone(), stop };
    let metrics = with_source(site, &config, parts)?;
    // The receivers get the time that the settings give them.
    let sent = alerts.zip(dispatcher).map(|(alerts, d)| d.flush(alerts.config().dispatch.patience()));
    let waiting = metrics.alerts_waiting as u64 + sent.as_ref().map_or(0, DispatchReport::waiting);
    Ok(Ended { metrics, waiting })
}

/// What a stream has beside its source and sink.
struct Parts<'a> {
    operator: LiveDetection,
    receiver: Option<Receiver>,
    status: Status,
    stop: &'a AtomicBool,
}

fn with_source(site: &Site, config: &Config, parts: Parts<'_>) -> anyhow::Result<Metrics> {
    let options = config.detectors.get::<ReadOptions>(READ).cloned().unwrap_or_default();
    if let Some(stage) = kafka::windows(site, config, &options, engine(site, config))? {
        return Ok(stage.with_status(parts.status).run(parts.stop, wall_clock).map_err(by_flag)?);
    }
    if let Some(address) = kafka::address(&site.input) {
        return with_sink(site, config, kafka::source(site, address, &config.events, &options)?, parts);
    }
    if is_dash(&site.input) {
        let format = match site.input_format {
            TextLayout::Jsonl => TextFormat::JsonLines,
            TextLayout::Csv => TextFormat::Csv,
            TextLayout::Tsv => TextFormat::Tsv,
        };
        return with_sink(site, config, PipeSource::new(io::stdin(), format, &config.events, &options)?, parts);
    }
    let reading = if site.follow { Reading::Watch(SCAN) } else { Reading::Once };
    with_sink(site, config, FolderSource::new(&site.input, &config.events, &options, reading)?, parts)
}

fn with_sink<S: Source>(site: &Site, config: &Config, source: S, parts: Parts<'_>) -> anyhow::Result<Metrics> {
    if is_dash(&site.output) {
        return with_all(site, config, source, WriterSink::new(io::stdout()), parts);
    }
    if let Some(address) = kafka::address(&site.output) {
        return with_all(site, config, source, kafka::sink(site, address, config)?, parts);
    }
    let format = match site.format {
        RowFormat::Parquet => FileFormat::Parquet,
        RowFormat::Jsonl => FileFormat::JsonLines,
    };
    with_all(site, config, source, FileSink::new(&site.output, format, TASK)?, parts)
}

fn with_all<S: Source, K: Sink>(
    site: &Site,
    config: &Config,
    source: S,
    sink: K,
    parts: Parts<'_>,
) -> anyhow::Result<Metrics> {
    let engine = Engine::new(&config.events, engine(site, config)).map_err(by_flag)?;
    let store = CheckpointStore::open(&site.checkpoints)?;
    let settings = RunnerConfig {
        task: TASK.to_owned(),
        checkpoint_seconds: site.checkpoint_seconds,
        flush: !site.follow,
        ..RunnerConfig::default()
    };
    let runner = Runner::new(source, engine, parts.operator, sink, store, settings).map_err(by_flag)?;
    let mut runner = runner.with_status(parts.status);
    if let Some(receiver) = parts.receiver {
        runner = runner.with_alerts(Box::new(receiver));
    }
    Ok(runner.run(parts.stop, wall_clock).map_err(by_flag)?)
}

/// The same error with the name that the command line and the file of `--config` give to a setting.
fn by_flag(error: StreamError) -> StreamError {
    let name = |field: &'static str| NAMES.iter().find(|(own, _)| *own == field).map_or(field, |(_, name)| name);
    match error {
        StreamError::Setting { field, value, allowed } => StreamError::Setting { field: name(field), value, allowed },
        StreamError::OtherSettings { field, saved, now } => {
            StreamError::OtherSettings { field: name(field), saved, now }
        }
        other => other,
    }
}

fn engine(site: &Site, config: &Config) -> EngineConfig {
    EngineConfig {
        window_seconds: config.input.step_seconds,
        idle_seconds: site.idle,
        silent_seconds: site.silence,
        slide_seconds: site.early,
        ..EngineConfig::new(site.lateness)
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Hands alerts to the dispatcher; once they are in its spool they are its business.
struct Receiver {
    dispatcher: Arc<Dispatcher>,
}

impl Deliver for Receiver {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<(), BoxError> {
        for alert in alerts {
            let message: Message = serde_json::from_str(&alert.body)?;
            self.dispatcher.send_once(message).map_err(|_| "the queue of alerts is full")?;
        }
        Ok(self.dispatcher.persist(SPOOL_PATIENCE)?)
    }
}
