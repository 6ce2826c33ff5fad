//! `cargo run --release -p funnelpulse-benches --bin live`
//!
//! Live scoring on one thread: 40 brands, 80 days of training by the default detectors, then hour by hour the two
//! days that follow, and after ten days at once two days more, beside `detect` on the same rows as one table. Processor time.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use anyhow::Context;
use funnelpulse::{LivePipeline, Pipeline, core::Panel};
use funnelpulse_benches::{hours, processor_seconds, shop};

/// Hours that train.
const TRAINING: usize = 80 * 24;
/// Hours that are followed one by one, and those in between.
const FOLLOWED: usize = 48;
const BETWEEN: usize = 240;

fn main() -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let shop = shop()?;
    let model = Pipeline::builder().build()?.fit(&hours(shop.panel(), 0..TRAINING)?)?;

    let start = processor_seconds();
    let findings = model.detect(&hours(shop.panel(), TRAINING..TRAINING + FOLLOWED)?)?;
    let batch = processor_seconds() - start;
    let rows: usize = findings.series().iter().map(|series| series.time.len()).sum();
    println!("detect, {rows} rows at once: {:.2} ms per row", 1e3 * batch / rows as f64);

    let mut live = model.live();
    follow(&mut live, shop.panel(), TRAINING, "right after training")?;
    let later = TRAINING + FOLLOWED + BETWEEN;
    live.advance(&hours(shop.panel(), TRAINING + FOLLOWED..later)?)?;
    follow(&mut live, shop.panel(), later, "ten days later")?;
    let start = processor_seconds();
    let bytes = live.snapshot()?.len() as f64;
    let seconds = processor_seconds() - start;
    let series = live.series().len() as f64;
    println!("snapshot: {:.1} KiB per series in {:.1} ms", bytes / 1024.0 / series, 1e3 * seconds);
    Ok(())
}

/// Two days hour by hour.
fn follow(live: &mut LivePipeline, panel: &Panel, first: usize, when: &str) -> anyhow::Result<()> {
    let mut windows = Vec::with_capacity(FOLLOWED);
    for hour in first..first + FOLLOWED {
        let window = hours(panel, hour..hour + 1)?;
        let start = processor_seconds();
        live.advance(&window)?;
        windows.push(processor_seconds() - start);
    }
    windows.sort_by(f64::total_cmp);
    let (median, slowest) = (windows[FOLLOWED / 2], windows.last().context("no window")?);
    println!(
        "live, {when}, an hour of all brands: median {:.1} ms, slowest {:.1} ms, mean {:.1} ms",
        1e3 * median,
        1e3 * slowest,
        1e3 * windows.iter().sum::<f64>() / FOLLOWED as f64
    );
    Ok(())
}
