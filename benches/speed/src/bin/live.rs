//! cargo run --release -p funnelpulse-benches --bin live
//!
//! Live scoring on one thread: 40 brands, 100 days of training by the default detectors, then two days hour
//! by hour, beside `detect` on the same rows as one table. Processor time.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use anyhow::Context;
use funnelpulse::{
    Pipeline,
    core::{Panel, SeriesKey},
};
use funnelpulse_benches::{processor_seconds, shop};

/// Rows of each brand that train, and that are followed live.
const TRAINING: usize = 100 * 24;
const FOLLOWED: usize = 48;

fn main() -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let shop = shop()?;
    let model = Pipeline::builder().build()?.fit(&part(shop.panel(), 0, TRAINING)?)?;

    let start = processor_seconds();
    let findings = model.detect(&part(shop.panel(), TRAINING, TRAINING + FOLLOWED)?)?;
    let batch = processor_seconds() - start;
    let rows: usize = findings.series().iter().map(|series| series.time.len()).sum();
    println!("detect, {rows} rows at once: {:.2} ms per row", 1e3 * batch / rows as f64);

    let mut live = model.live();
    let mut windows = Vec::with_capacity(FOLLOWED);
    for hour in TRAINING..TRAINING + FOLLOWED {
        let window = part(shop.panel(), hour, hour + 1)?;
        let start = processor_seconds();
        live.advance(&window)?;
        windows.push(processor_seconds() - start);
    }
    windows.sort_by(f64::total_cmp);
    let (median, slowest) = (windows[FOLLOWED / 2], windows.last().context("no window")?);
    println!(
        "live, an hour of all brands: median {:.1} ms, slowest {:.1} ms; {:.2} ms per row",
        1e3 * median,
        1e3 * slowest,
        1e3 * windows.iter().sum::<f64>() / rows as f64
    );
    println!("snapshot: {:.1} KiB per series", live.snapshot()?.len() as f64 / 1024.0 / live.series().len() as f64);
    Ok(())
}

/// Some rows of every series.
fn part(panel: &Panel, from: usize, to: usize) -> anyhow::Result<Panel> {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let key: &SeriesKey = key;
        part.insert(key.clone(), frame.view().rows(from..to.min(frame.nrows())).to_frame())?;
    }
    Ok(part)
}
