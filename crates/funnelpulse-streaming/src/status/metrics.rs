//! The numbers of a stream in the format of Prometheus.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use funnelpulse_core::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::Status;
use crate::{Metrics, WINDOW_SECONDS};

/// The numbers of all sites as text.
pub(super) fn text(sites: &[Status]) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("funnelpulse");
    registry.register_collector(Box::new(Numbers(sites.to_vec())));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Numbers(Vec<Status>);

type Labels = Vec<(&'static str, String)>;

/// The numbers of one site.
struct Site {
    labels: Labels,
    ready: bool,
    metrics: Metrics,
}

/// What is written: all sites of one metric after the other.
struct Page<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
    sites: Vec<Site>,
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let site = |status: &Status| Site {
            labels: status.site().map(|site| ("site", site.to_owned())).into_iter().collect(),
            ready: status.ready().is_ok(),
            metrics: status.metrics(),
        };
        let mut page = Page { encoder: &mut encoder, sites: self.0.iter().map(site).collect() };
        page.records()?;
        page.windows()?;
        page.counters()?;
        page.gauges()?;
        page.times()?;
        page.partitions()?;
        page.models()?;
        if let Some(bytes) = resident() {
            let mut all = page.encoder.encode_descriptor(
                "resident_memory",
                "Memory of the process",
                Some(&Unit::Bytes),
                MetricType::Gauge,
            )?;
            write(&mut all, &Labels::new(), MetricType::Gauge, bytes)?;
        }
        Ok(())
    }
}

impl Page<'_, '_> {
    /// One metric of every site: what `of` gives is written with these labels more.
    fn metric<I: IntoIterator<Item = (Labels, f64)>>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        of: impl Fn(&Site) -> I,
    ) -> fmt::Result {
        let mut all = self.encoder.encode_descriptor(name, help, unit, kind)?;
        for site in &self.sites {
            for (more, value) in of(site) {
                let labels: Labels = site.labels.iter().cloned().chain(more).collect();
                write(&mut all, &labels, kind, value)?;
            }
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, of: impl Fn(&Metrics) -> u64) -> fmt::Result {
        let one = |site: &Site| [(Labels::new(), of(&site.metrics) as f64)];
        self.metric(name, help, None, MetricType::Counter, one)
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        of: impl Fn(&Metrics) -> Option<f64>,
    ) -> fmt::Result {
        let one = |site: &Site| of(&site.metrics).map(|value| (Labels::new(), value));
        self.metric(name, help, unit, MetricType::Gauge, one)
    }

    /// The conservation law: the other fates add up to `read`.
    fn records(&mut self) -> fmt::Result {
        let fates = |site: &Site| {
            let account = &site.metrics.account;
            [
                ("read", account.read),
                ("counted", account.counted),
                ("duplicate", account.duplicate),
                ("ignored", account.ignored),
                ("late", account.late),
                ("rejected", account.rejected_total()),
                ("dead_lettered", account.dead_lettered),
            ]
            .map(|(fate, count)| labelled("fate", fate, count as f64))
        };
        let help = "Records read, and where each of them went";
        self.metric("records", help, None, MetricType::Counter, fates)?;
        let reasons = |site: &Site| {
            let rejected = &site.metrics.account.rejected;
            rejected.iter().map(|(why, count)| labelled("reason", &why.to_string(), *count as f64)).collect::<Vec<_>>()
        };
        self.metric("rejected_records", "Rejected records by reason", None, MetricType::Counter, reasons)
    }

    fn windows(&mut self) -> fmt::Result {
        let kinds = |site: &Site| {
            let metrics = &site.metrics;
            [("final", metrics.windows), ("early", metrics.early_windows)]
                .map(|(kind, count)| labelled("kind", kind, count as f64))
        };
        self.metric("windows", "Windows closed since the start", None, MetricType::Counter, kinds)?;
        let help = "Seconds that the verdict on a window took, since the start";
        let mut all =
            self.encoder.encode_descriptor("scoring_window", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for site in &self.sites {
            let bounds = WINDOW_SECONDS.iter().copied().chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(site.metrics.window_seconds).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = site.metrics.operator_seconds;
            if site.labels.is_empty() {
                all.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)?;
            } else {
                all.encode_family(&site.labels)?.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }

    fn counters(&mut self) -> fmt::Result {
        self.counter("rows", "Rows handed to the sink since the start", |m| m.rows)?;
        self.counter("dead_letters", "Dead letters written since the start", |m| m.dead_letters)?;
        let help = "Dead letters beyond the limit of an epoch";
        self.counter("dead_letters_dropped", help, |m| m.dead_letters_dropped)?;
        self.counter("checkpoints", "Checkpoints since the start", |m| m.checkpoints)?;
        let fates = |site: &Site| {
            let Metrics { transactions, transactions_aborted, .. } = site.metrics;
            [("committed", transactions), ("aborted", transactions_aborted)]
                .map(|(fate, count)| labelled("fate", fate, count as f64))
        };
        self.metric("transactions", "Transactions of Kafka since the start", None, MetricType::Counter, fates)?;
        self.counter("alerts", "Alerts delivered since the start", |m| m.alerts)?;
        self.counter("alerts_dropped", "Alerts dropped because too many waited", |m| m.alerts_dropped)?;
        let seconds = |of: fn(&Metrics) -> f64| move |site: &Site| [(Labels::new(), of(&site.metrics))];
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Counter);
        let help = "Time in the scoring of windows since the start";
        self.metric("scoring", help, unit, kind, seconds(|m| m.operator_seconds))?;
        let help = "Time in checkpoints since the start";
        self.metric("checkpointing", help, unit, kind, seconds(|m| m.checkpoint_seconds))
    }

    fn gauges(&mut self) -> fmt::Result {
        self.gauge("epoch", "The last committed epoch", None, |m| Some(m.epoch as f64))?;
        self.gauge("series", "Series that are known", None, |m| Some(m.series as f64))?;
        self.gauge("open_windows", "Windows, or slides, that are held", None, |m| Some(m.panes as f64))?;
        let help = "Events remembered for the deduplication";
        self.gauge("remembered_events", help, None, |m| Some(m.remembered as f64))?;
        self.gauge("alerts_waiting", "Alerts that wait for delivery", None, |m| Some(m.alerts_waiting as f64))?;
        self.gauge("feed_stopped", "1 while the feed counts as stopped", None, |m| Some(flag(m.feed_stopped)))?;
        let help = "The slowest window since the start";
        self.gauge("slowest_window", help, Some(&Unit::Seconds), |m| Some(m.slowest_window_seconds))?;
        let help = "Size of the state in the last checkpoint";
        self.gauge("state", help, Some(&Unit::Bytes), |m| Some(m.checkpoint_bytes as f64))?;
        let help = "1 while events are processed as they come";
        let ready = |site: &Site| [(Labels::new(), flag(site.ready))];
        self.metric("ready", help, None, MetricType::Gauge, ready)
    }

    /// Event time, and how far it is behind the clock. Nothing before the first event.
    fn times(&mut self) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let help = "No event before this time is expected";
        self.gauge("watermark_timestamp", help, unit, |m| m.watermark.map(seconds))?;
        self.gauge("newest_event_timestamp", "Time of the newest event", unit, |m| m.newest.map(seconds))?;
        let help = "Windows that begin before this are closed";
        self.gauge("closed_until_timestamp", help, unit, |m| m.closed_until.map(seconds))?;
        let (help, now) = ("The clock less the time of the newest event", now());
        self.gauge("lag", help, unit, |m| m.newest.map(|newest| now - seconds(newest)))
    }

    fn partitions(&mut self) -> fmt::Result {
        let now = now();
        let lag = |site: &Site| {
            let known = site.metrics.partitions.iter().filter_map(|p| Some((p, p.newest?)));
            known.map(|(p, newest)| labelled("partition", &p.name, now - seconds(newest))).collect::<Vec<_>>()
        };
        let help = "The clock less the time of the newest event, by partition";
        self.metric("partition_lag", help, Some(&Unit::Seconds), MetricType::Gauge, lag)?;
        let behind = |site: &Site| {
            let known = site.metrics.partitions.iter().filter_map(|p| Some((p, p.behind?)));
            known.map(|(p, behind)| labelled("partition", &p.name, behind as f64)).collect::<Vec<_>>()
        };
        let help = "Records of the topic that were not read yet, by partition";
        self.metric("partition_behind_records", help, None, MetricType::Gauge, behind)?;
        let idle = |site: &Site| {
            let all = site.metrics.partitions.iter();
            all.map(|p| labelled("partition", &p.name, flag(p.idle))).collect::<Vec<_>>()
        };
        let help = "1 for a partition that is idle and holds no window open";
        self.metric("partition_idle", help, None, MetricType::Gauge, idle)
    }

    fn models(&mut self) -> fmt::Result {
        let name = |site: &Site| [labelled("model", &site.metrics.model.name, 1.0)];
        self.metric("model", "The model in use", None, MetricType::Gauge, name)?;
        let help = "1 while a new model could not be taken into use";
        self.gauge("model_problem", help, None, |m| Some(flag(m.model.problem.is_some())))?;
        let fates = |site: &Site| {
            let model = &site.metrics.model;
            [("done", model.trained), ("failed", model.trainings_failed)]
                .map(|(fate, count)| labelled("fate", fate, count as f64))
        };
        self.metric("trainings", "Trainings since the start", None, MetricType::Counter, fates)
    }
}

fn labelled(label: &'static str, value: &str, number: f64) -> (Labels, f64) {
    (vec![(label, value.to_owned())], number)
}

fn write(all: &mut MetricEncoder<'_>, labels: &Labels, kind: MetricType, value: f64) -> fmt::Result {
    let number = |encoder: MetricEncoder<'_>| match kind {
        // Counts are written as whole numbers.
        MetricType::Counter if value.fract() == 0.0 => ConstCounter::new(value as u64).encode(encoder),
        MetricType::Counter => ConstCounter::new(value).encode(encoder),
        _ => ConstGauge::new(value).encode(encoder),
    };
    // Without labels there are no braces.
    if labels.is_empty() { number(all.encode_family(&NONE)?) } else { number(all.encode_family(labels)?) }
}

/// No labels.
const NONE: [(&str, &str); 0] = [];

fn flag(is: bool) -> f64 {
    f64::from(u32::from(is))
}

fn seconds(time: Timestamp) -> f64 {
    time.as_micros() as f64 / Timestamp::SECOND as f64
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Bytes of memory that the process has in use, where the system says so.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024.0 * kib)
}
