//! The numbers of a stream in the format of Prometheus.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use funnelpulse_core::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::Status;
use crate::Metrics;

/// The numbers as text.
pub(super) fn text(status: &Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("funnelpulse");
    registry.register_collector(Box::new(Numbers(status.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Numbers(Status);

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = self.0.metrics();
        records(&mut encoder, &metrics)?;
        counters(&mut encoder, &metrics)?;
        gauges(&mut encoder, &metrics)?;
        times(&mut encoder, &metrics)?;
        let ready = u32::from(self.0.ready().is_ok());
        gauge(&mut encoder, "ready", "1 while events are processed as they come", None, f64::from(ready))
    }
}

/// The conservation law: the other fates add up to `read`.
fn records(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let account = &metrics.account;
    let fates = [
        ("read", account.read),
        ("counted", account.counted),
        ("duplicate", account.duplicate),
        ("ignored", account.ignored),
        ("late", account.late),
        ("rejected", account.rejected_total()),
        ("dead_lettered", account.dead_lettered),
    ];
    family(encoder, "records", "Records read, and where each of them went", "fate", &fates)?;
    let reasons: Vec<(String, u64)> = account.rejected.iter().map(|(why, count)| (why.to_string(), *count)).collect();
    let reasons: Vec<(&str, u64)> = reasons.iter().map(|(why, count)| (why.as_str(), *count)).collect();
    family(encoder, "rejected_records", "Rejected records by reason", "reason", &reasons)?;
    let kinds = [("final", metrics.windows), ("early", metrics.early_windows)];
    family(encoder, "windows", "Windows closed since the start", "kind", &kinds)
}

fn counters(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let counts = [
        ("rows", "Rows handed to the sink since the start", metrics.rows),
        ("dead_letters", "Dead letters written since the start", metrics.dead_letters),
        ("dead_letters_dropped", "Dead letters beyond the limit of an epoch", metrics.dead_letters_dropped),
        ("checkpoints", "Checkpoints since the start, each one transaction with Kafka", metrics.checkpoints),
        ("alerts", "Alerts delivered since the start", metrics.alerts),
        ("alerts_dropped", "Alerts dropped because too many waited", metrics.alerts_dropped),
    ];
    for (name, help, value) in counts {
        let counter = ConstCounter::new(value);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
    }
    let seconds = [
        ("scoring", "Time in the scoring of windows since the start", metrics.operator_seconds),
        ("checkpointing", "Time in checkpoints since the start", metrics.checkpoint_seconds),
    ];
    for (name, help, value) in seconds {
        let counter = ConstCounter::new(value);
        counter.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), counter.metric_type())?)?;
    }
    Ok(())
}

fn gauges(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let values = [
        ("epoch", "The last committed epoch", metrics.epoch as f64),
        ("series", "Series that are known", metrics.series as f64),
        ("open_windows", "Windows, or slides, that are held", metrics.panes as f64),
        ("remembered_events", "Events remembered for the deduplication", metrics.remembered as f64),
        ("alerts_waiting", "Alerts that wait for delivery", metrics.alerts_waiting as f64),
        ("feed_stopped", "1 while the feed counts as stopped", f64::from(u32::from(metrics.feed_stopped))),
    ];
    for (name, help, value) in values {
        gauge(encoder, name, help, None, value)?;
    }
    let slowest = metrics.slowest_window_seconds;
    gauge(encoder, "slowest_window", "The slowest window since the start", Some(&Unit::Seconds), slowest)?;
    let bytes = metrics.checkpoint_bytes as f64;
    gauge(encoder, "state", "Size of the state in the last checkpoint", Some(&Unit::Bytes), bytes)?;
    let model = [("model", metrics.model.name.as_str())];
    let mut info = encoder.encode_descriptor("model", "The model in use", None, ConstGauge::new(1).metric_type())?;
    ConstGauge::new(1).encode(info.encode_family(&model)?)
}

/// Event time, and how far it is behind the clock. Nothing before the first event.
fn times(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let seconds = |time: Timestamp| time.as_micros() as f64 / Timestamp::SECOND as f64;
    let times = [
        ("watermark_timestamp", "No event before this time is expected", metrics.watermark),
        ("newest_event_timestamp", "Time of the newest event", metrics.newest),
        ("closed_until_timestamp", "Windows that begin before this are closed", metrics.closed_until),
    ];
    for (name, help, time) in times {
        if let Some(time) = time {
            gauge(encoder, name, help, Some(&Unit::Seconds), seconds(time))?;
        }
    }
    let Some(newest) = metrics.newest else { return Ok(()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    gauge(encoder, "lag", "The clock less the time of the newest event", Some(&Unit::Seconds), now - seconds(newest))
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, ConstCounter::new(0_u64).metric_type())?;
    for (of, value) in values {
        ConstCounter::new(*value).encode(metric.encode_family(&[(label, *of)])?)?;
    }
    Ok(())
}
