//! What the benches have in common.

pub mod feed;

use funnelpulse::{
    Config,
    core::{FrameError, Panel, Timestamp},
    eval::{
        EvalError,
        generator::{GeneratedFunnel, GeneratorConfig},
    },
};

/// Engineered columns that the isolation forest sees besides residuals, so that every feature has to
/// be computed.
const ENGINEERED: [&str; 4] =
    ["conversion_rate_percentile", "conversion_rate_zscore", "views_change_24h", "purchases_change_168h"];

/// The generated shop of `funnelpulse demo`: 40 brands, 150 days.
pub fn shop() -> Result<GeneratedFunnel, EvalError> {
    GeneratedFunnel::generate(&GeneratorConfig::default())
}

/// The default configuration, with engineered columns in front of the isolation forest.
pub fn config() -> Config {
    let mut config = Config::default();
    let residuals = config.input.metrics.iter().map(|m| format!("{}_residual", m.name));
    let columns = residuals.chain(ENGINEERED.map(str::to_owned)).collect();
    config.pipeline.columns.insert("iforest".to_owned(), columns);
    config
}

/// The rows of every series in some hours, counted from the first of all.
pub fn hours(panel: &Panel, hours: std::ops::Range<usize>) -> Result<Panel, FrameError> {
    let first = panel.iter().filter_map(|(_, frame)| frame.time().first()).min().copied().unwrap_or_default();
    let [from, to] = [hours.start, hours.end].map(|hour| first.offset(hour as i64 * Timestamp::HOUR));
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let row = |time: Timestamp| frame.time().partition_point(|t| *t < time);
        if row(from) < row(to) {
            part.insert(key.clone(), frame.view().rows(row(from)..row(to)).to_frame())?;
        }
    }
    Ok(part)
}

/// Seconds of processor time that this process has taken so far, of all threads, to the hundredth or
/// better; zero where the system does not tell.
pub fn processor_seconds() -> f64 {
    // The scheduler's nanoseconds of each thread; those of threads that ended are lost, and none ends here.
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let line = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Seconds of processor time that this process has taken so far, threads that ended included, to the hundredth; zero
/// where the system does not tell.
pub fn process_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything: user and system time are fields 14 and 15, in hundredths of a second.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The high-water mark of this process's resident memory, MiB, where the system tells.
pub fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    mark.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
}
