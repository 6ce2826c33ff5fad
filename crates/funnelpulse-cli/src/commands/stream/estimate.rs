//! `stream --estimate`: memory beforehand.

use funnelpulse::{Catalog, LivePipeline};
use serde_json::Value;

use super::{site, sites::Site};
use crate::args::StreamArgs;

/// Bytes of a remembered event: a fingerprint of 16 bytes in a hash table that is at most 7/8 full and doubles.
const FINGERPRINT: f64 = 16.0 * 1.5 / (7.0 / 8.0);
/// Bytes of a series in an open window: its counts and their place in a hash table.
const CELL: u64 = 72;
/// Seconds of a window.
const HOUR: f64 = 3600.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Says what the parts of the state take with so many events per hour, site by site.
pub(super) fn say(args: &StreamArgs, sites: &[Site], catalog: &Catalog, events: u64) -> anyhow::Result<()> {
    let mut all = serde_json::Map::new();
    let mut lines = Vec::new();
    for site in sites {
        let parts = parts(site, site::operator(site, catalog)?.live(), events)?;
        let name = site.name.clone();
        lines.extend(name.iter().map(|name| format!("site {name}:\n")).chain([words(&parts)]));
        match name {
            None => return super::say(false, &if args.json { parts.to_string() } else { lines.concat() }),
            Some(name) => all.insert(name, parts),
        };
    }
    super::say(false, &if args.json { Value::Object(all).to_string() } else { lines.join("\n") })
}

fn parts(site: &Site, live: &LivePipeline, events: u64) -> anyhow::Result<Value> {
    let series = live.model().series().len();
    let windows = 2 + (site.lateness as f64 / HOUR).ceil() as u64;
    let model = live.model().to_bytes()?.len() as f64;
    let detection = (live.bytes_per_series() * series) as f64;
    let counts = (CELL * windows * series as u64) as f64;
    let remembered = FINGERPRINT * events as f64 * windows as f64;
    let total = model + detection + counts + remembered;
    Ok(serde_json::json!({
        "series": series, "open_windows": windows, "model_bytes": model as u64, "detection_bytes": detection as u64,
        "counts_bytes": counts as u64, "remembered_events_bytes": remembered as u64, "total_bytes": total as u64,
    }))
}

fn words(parts: &Value) -> String {
    let line = |name: &str, what: &str| {
        let bytes = parts[name].as_u64().unwrap_or(0) as f64;
        format!("{:>10.1} MiB  {what}", bytes / MIB)
    };
    [
        line("model_bytes", "the model"),
        line("detection_bytes", &format!("the detection of {} series", parts["series"])),
        line("counts_bytes", &format!("the counts of {} open windows", parts["open_windows"])),
        line("remembered_events_bytes", "events remembered to find duplicates"),
        line("total_bytes", "in all, beside the program and the buffers of the input"),
    ]
    .join("\n")
}
