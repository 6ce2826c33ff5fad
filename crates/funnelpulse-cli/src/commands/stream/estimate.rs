//! `stream --estimate`: memory beforehand.

use funnelpulse::LivePipeline;

use crate::args::StreamArgs;

/// Bytes of a remembered event: a fingerprint of 16 bytes in a hash table that is at most 7/8 full and doubles.
const FINGERPRINT: f64 = 16.0 * 1.5 / (7.0 / 8.0);
/// Bytes of a series in an open window: its counts and their place in a hash table.
const CELL: u64 = 72;
/// Seconds of a window.
const HOUR: f64 = 3600.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Says what the parts of the state take with so many events per hour.
pub(super) fn say(args: &StreamArgs, live: &LivePipeline, events: u64) -> anyhow::Result<()> {
    let series = live.model().series().len();
    let windows = 2 + (args.lateness as f64 / HOUR).ceil() as u64;
    let model = live.model().to_bytes()?.len() as f64;
    let detection = (live.bytes_per_series() * series) as f64;
    let counts = (CELL * windows * series as u64) as f64;
    let remembered = FINGERPRINT * events as f64 * windows as f64;
    let total = model + detection + counts + remembered;
    if args.json {
        let parts = serde_json::json!({
            "series": series, "open_windows": windows, "model_bytes": model as u64, "detection_bytes": detection as u64,
            "counts_bytes": counts as u64, "remembered_events_bytes": remembered as u64, "total_bytes": total as u64,
        });
        return super::say(args, &parts);
    }
    let line = |bytes: f64, what: &str| format!("{:>10.1} MiB  {what}\n", bytes / MIB);
    let text = [
        line(model, "the model"),
        line(detection, &format!("the detection of {series} series")),
        line(counts, &format!("the counts of {windows} open windows")),
        line(remembered, "events remembered to find duplicates"),
        line(total, "in all, beside the program and the buffers of the input"),
    ];
    super::say(args, &text.concat().trim_end())
}
