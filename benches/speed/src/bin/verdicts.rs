//! `cargo run --release -p funnelpulse-benches --bin verdicts [BRANDS]`
//!
//! From the close of a window to its verdicts: BRANDS (1,000) brands with the default detectors, three weeks of training, then
//! a hundred hours, after eight days that fill the memory of the stream. Seconds on the clock with all cores; the state per
//! series.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::{sync::Arc, time::Instant};

use anyhow::{Context, anyhow};
use funnelpulse::{
    Pipeline,
    core::{Frame, Panel, SeriesKey, Timestamp},
    eval::generator::{GeneratedFunnel, GeneratorConfig},
    features::Counts,
};
use funnelpulse_benches::{hours, peak_mib, processor_seconds};
use funnelpulse_streaming::{ClosedWindow, LiveDetection, Operator, WindowKind, WindowRow};

const BRANDS: usize = 1_000;
/// Hours that are trained on, that fill the memory of the stream, and that are measured.
const TRAINED: usize = 21 * 24;
const BEFORE: usize = 8 * 24;
const MEASURED: usize = 100;

fn main() -> anyhow::Result<()> {
    let brands = std::env::args().nth(1).map_or(Ok(BRANDS), |text| text.parse())?;
    let days = (TRAINED + BEFORE + MEASURED).div_ceil(24);
    let shop =
        GeneratedFunnel::generate(&GeneratorConfig { brands, days, missing_share: 0.0, ..GeneratorConfig::default() })?;
    let panel = shop.panel();
    let brands = panel.len();
    let started = Instant::now();
    let model = Arc::new(Pipeline::builder().build()?.fit(&hours(panel, 0..TRAINED)?)?);
    println!("{brands} brands, trained in {:.0} s", started.elapsed().as_secs_f64());

    let mut operator = LiveDetection::new(model)?;
    let (mut seconds, mut processor) = (Vec::with_capacity(MEASURED), 0.0);
    for hour in TRAINED..TRAINED + BEFORE + MEASURED {
        let window = window(panel, hour)?;
        let (clock, used) = (Instant::now(), processor_seconds());
        operator.window(&window).map_err(|error| anyhow!(error))?;
        if hour >= TRAINED + BEFORE {
            seconds.push(clock.elapsed().as_secs_f64());
            processor += processor_seconds() - used;
        }
    }
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| 1e3 * seconds[((share * MEASURED as f64) as usize).min(MEASURED - 1)];
    println!("close to verdicts: median {:.0} ms, p99 {:.0} ms, slowest {:.0} ms", at(0.5), at(0.99), at(1.0));
    let each = 1e3 * processor / (MEASURED * brands) as f64;
    println!("{each:.2} ms of processor time per series and hour");
    let state = operator.state().map_err(|error| anyhow!(error))?.len() as f64 / 1024.0 / brands as f64;
    println!("state {state:.1} KiB per series; {:.0} MiB at the most", peak_mib().unwrap_or_default());
    Ok(())
}

/// An hour as a stream closes it: the brands that had an event.
fn window(panel: &Panel, hour: usize) -> anyhow::Result<ClosedWindow> {
    let part = hours(panel, hour..hour + 1)?;
    let start = part.iter().filter_map(|(_, frame)| frame.time().first().copied()).min().context("an empty hour")?;
    let row = |(key, frame): (&SeriesKey, &Frame)| {
        let value = |column: usize| frame.values()[[0, column]];
        let counts = Counts {
            views: value(0) as u64,
            carts: value(1) as u64,
            purchases: value(2) as u64,
            micro_revenue: (value(3) * 1e6).round() as i128,
        };
        WindowRow { series: key.clone(), counts }
    };
    let rows = part.iter().map(row).collect();
    Ok(ClosedWindow { start, end: start.offset(Timestamp::HOUR), kind: WindowKind::Final, rows })
}
