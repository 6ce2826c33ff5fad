//! `funnelpulse stream`: follow events as they come.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use funnelpulse::{
    Config,
    core::{BoxError, Timestamp},
    io::ReadOptions,
};
use funnelpulse_alerts::{Alert as Message, AlertsConfig, DispatchReport, Dispatcher};
use funnelpulse_streaming::{
    Alert, CheckpointStore, Deliver, Engine, EngineConfig, FileFormat, FileSink, FolderSource, LiveDetection, Metrics,
    PipeSource, Reading, Runner, RunnerConfig, Sink, Source, Status, StatusServer, TextFormat, WriterSink,
};

mod estimate;
#[cfg_attr(not(feature = "kafka"), path = "stream/no_kafka.rs")]
pub(super) mod kafka;

use crate::{
    Outcome,
    args::{RowFormat, StreamArgs, TextLayout},
    context::{READ, catalog},
    output, overwrite,
};

/// Interval at which a folder is looked at for new files.
const SCAN: Duration = Duration::from_secs(1);
/// Time that alerts have to get to the disk of the spool.
const SPOOL_PATIENCE: Duration = Duration::from_secs(60);
/// The name of the one task of this process, part of file names.
const TASK: &str = "task-0";

pub(crate) fn stream(args: &StreamArgs) -> anyhow::Result<Outcome> {
    overwrite::refuse(&[&args.input, &args.model], &[("--output", Some(&*args.output))])?;
    let status = Status::new("loading the model");
    // It answers until the command ends.
    let server = args.status.as_deref().map(|address| StatusServer::start(address, status.clone())).transpose()?;
    if let Some(server) = &server {
        output::note(format_args!("http://{}: /metrics, /healthz, /readyz", server.address()));
    }
    let alerts = args.alerts.as_deref().map(AlertsConfig::load).transpose()?;
    let loading = output::spinner("loading");
    let mut operator = LiveDetection::load(&args.model, (*catalog()).clone())?;
    loading.finish_and_clear();
    if let Some(events) = args.estimate {
        return estimate::say(args, operator.live(), events).map(|()| Outcome::Done);
    }
    if let Some(alerts) = &alerts {
        operator = operator.with_alerts(alerts.config().notifier.clone())?;
    }
    let config = operator.live().model().config().clone();
    let options = config.detectors.get::<ReadOptions>(READ).cloned().unwrap_or_default();
    let dispatcher = alerts.as_ref().map(|alerts| alerts.start().map(Arc::new)).transpose()?;
    let receiver = dispatcher.clone().map(|dispatcher| Receiver { dispatcher });
    let parts = Parts { operator, receiver, status };
    let metrics = if let Some(address) = kafka::address(&args.input) {
        let source = kafka::source(args, address, &config.events, &options)?;
        with_sink(args, &config, source, parts)?
    } else if is_dash(&args.input) {
        let format = match args.input_format {
            TextLayout::Jsonl => TextFormat::JsonLines,
            TextLayout::Csv => TextFormat::Csv,
            TextLayout::Tsv => TextFormat::Tsv,
        };
        let source = PipeSource::new(io::stdin(), format, &config.events, &options)?;
        with_sink(args, &config, source, parts)?
    } else {
        let reading = if args.follow { Reading::Watch(SCAN) } else { Reading::Once };
        let source = FolderSource::new(&args.input, &config.events, &options, reading)?;
        with_sink(args, &config, source, parts)?
    };
    // The receivers get the time that the settings give them.
    let sent = alerts.zip(dispatcher).map(|(alerts, d)| d.flush(alerts.config().dispatch.patience()));
    let waiting = metrics.alerts_waiting as u64 + sent.as_ref().map_or(0, DispatchReport::waiting);
    report(args, &metrics, waiting)?;
    if waiting > 0 {
        let reason = metrics.alert_error.as_deref().unwrap_or("receivers did not acknowledge them in time");
        output::warn(format_args!("warning: {waiting} deliveries of alerts wait for the next start: {reason}"));
    }
    Ok(if waiting > 0 { Outcome::Waiting } else { Outcome::Done })
}

/// What a stream has beside its source and sink.
struct Parts {
    operator: LiveDetection,
    receiver: Option<Receiver>,
    status: Status,
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn with_sink<S: Source>(args: &StreamArgs, config: &Config, source: S, parts: Parts) -> anyhow::Result<Metrics> {
    if is_dash(&args.output) {
        return run(args, config, source, WriterSink::new(io::stdout()), parts);
    }
    if let Some(address) = kafka::address(&args.output) {
        let sink = kafka::sink(args, address, config)?;
        return run(args, config, source, sink, parts);
    }
    let format = match args.format {
        RowFormat::Parquet => FileFormat::Parquet,
        RowFormat::Jsonl => FileFormat::JsonLines,
    };
    let sink = FileSink::new(&args.output, format, TASK)?;
    run(args, config, source, sink, parts)
}

fn run<S: Source, K: Sink>(
    args: &StreamArgs,
    config: &Config,
    source: S,
    sink: K,
    parts: Parts,
) -> anyhow::Result<Metrics> {
    let Parts { operator, receiver, status } = parts;
    let window_seconds = config.input.step_seconds;
    let engine = EngineConfig {
        window_seconds,
        silent_seconds: args.silence,
        slide_seconds: args.early,
        ..EngineConfig::new(args.lateness)
    };
    let engine = Engine::new(&config.events, engine)?;
    let store = CheckpointStore::open(&address(args)?)?;
    let settings = RunnerConfig {
        task: TASK.to_owned(),
        checkpoint_seconds: args.checkpoint_seconds,
        flush: !args.follow,
        ..RunnerConfig::default()
    };
    let mut runner = Runner::new(source, engine, operator, sink, store, settings)?.with_status(status);
    if let Some(receiver) = receiver {
        runner = runner.with_alerts(Box::new(receiver));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    // A second command in one process keeps the handler of the first.
    let _ = ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed));
    let metrics = runner.run(&stop, wall_clock)?;
    if let Some(problem) = runner.operator().problem() {
        output::warn(format_args!("warning: the changed model was not taken into use: {problem}"));
    }
    Ok(metrics)
}

/// The address of the checkpoints.
fn address(args: &StreamArgs) -> anyhow::Result<String> {
    let is_folder = !is_dash(&args.output) && kafka::address(&args.output).is_none();
    let beside = || is_folder.then(|| args.output.join("_checkpoints"));
    let folder = args.checkpoints.clone().or_else(beside);
    let folder = folder.context("--checkpoints is needed where the results do not go to a folder")?;
    folder.to_str().map(str::to_owned).with_context(|| format!("{}: not a name in UTF-8", folder.display()))
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

fn report(args: &StreamArgs, metrics: &Metrics, waiting: u64) -> anyhow::Result<()> {
    let Metrics { account, .. } = metrics;
    let rejected = account.rejected_total();
    if args.json {
        let counts = serde_json::json!({
            "read": account.read, "counted": account.counted, "duplicates": account.duplicate,
            "ignored": account.ignored, "late": account.late, "rejected": rejected,
            "unreadable": account.dead_lettered, "windows": metrics.windows, "rows": metrics.rows,
            "checkpoints": metrics.checkpoints, "alerts": metrics.alerts, "deliveries_waiting": waiting,
        });
        return say(args, &counts);
    }
    say(
        args,
        &format_args!(
            "{} events: {} counted, {} duplicates, {} of other types, {} late, {rejected} rejected, {} unreadable\n\
             {} windows closed, {} rows written, {} alerts",
            account.read,
            account.counted,
            account.duplicate,
            account.ignored,
            account.late,
            account.dead_lettered,
            metrics.windows,
            metrics.rows,
            metrics.alerts
        ),
    )
}

/// Where the rows go to standard output, counts go to the error stream.
fn say(args: &StreamArgs, text: &dyn std::fmt::Display) -> anyhow::Result<()> {
    if is_dash(&args.output) {
        output::note(text);
        return Ok(());
    }
    output::say(text)
}
