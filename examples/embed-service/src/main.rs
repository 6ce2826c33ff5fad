//! cargo run --release -p embed-service
//!
//! FunnelPulse inside a service of your own: train on a history, keep the model in a file, score the
//! latest day, hand the alerts on as JSON lines. What could not be scored is handed on as well: a
//! brand that is too new must not stop the others, nor vanish silently.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "standard output is this service's wire")]

use std::path::Path;

use funnelpulse::{
    Findings, FittedPipeline, Phase, Pipeline,
    core::{Frame, Panel, Timestamp},
    eval::generator::{GeneratedFunnel, GeneratorConfig},
};

fn main() -> anyhow::Result<()> {
    let (history, today) = shop()?;
    let folder = tempfile::tempdir()?;
    nightly(&history, folder.path())?;
    let findings = hourly(&today, folder.path())?;
    for failure in findings.failures() {
        println!("{}", serde_json::to_string(failure)?);
    }
    // The most expensive first; `funnelpulse::analytics::Notice` says what the fields are.
    for (_, anomaly) in findings.ranked() {
        println!("{}", serde_json::to_string(&anomaly.notice)?);
    }
    Ok(())
}

/// The nightly job: train on all there is, replace the model.
fn nightly(history: &Panel, folder: &Path) -> anyhow::Result<()> {
    // Called from any thread, after each step of a detector.
    let progress = |p: funnelpulse::Progress<'_>| {
        if p.phase == Phase::Fit {
            eprintln!("trained {} of {}: {}", p.done, p.total, p.series);
        }
    };
    let model = Pipeline::builder().progress(progress).build()?.fit(history)?;
    for failure in model.failures() {
        eprintln!("not trained: {}: {}", failure.series, failure.message);
    }
    // The new model replaces the old one only when it is written whole.
    Ok(model.save(folder)?)
}

/// The hourly job: load the model, score what came in since.
fn hourly(today: &Panel, folder: &Path) -> anyhow::Result<Findings> {
    Ok(FittedPipeline::load(folder)?.detect(today)?)
}

/// A generated shop, where a service would read its tables: eight weeks of history, and a last day
/// on which bots look at the biggest brand from noon to three. `newcomer` opened today.
fn shop() -> anyhow::Result<(Panel, Panel)> {
    let config = GeneratorConfig { brands: 4, days: 57, ..GeneratorConfig::default() };
    let shop = GeneratedFunnel::generate(&config)?;
    let columns = shop.panel().columns().clone();
    let ends = shop.panel().iter().filter_map(|(_, frame)| frame.time().last());
    let midnight = ends.max().map_or(Timestamp::from_seconds(0), |last| last.floor_to(Timestamp::DAY));

    let (mut history, mut today) = (Panel::new(columns.clone()), Panel::new(columns.clone()));
    for (brand, frame) in shop.panel() {
        let cut = frame.time().partition_point(|t| *t < midnight);
        history.insert(brand.clone(), frame.view().rows(0..cut).to_frame())?;
        let mut day = frame.view().rows(cut..frame.nrows()).to_frame();
        if brand.as_str() == "brand_001" {
            day = with_bots(day, midnight.offset(12 * Timestamp::HOUR), 3)?;
        }
        if brand.as_str() == "brand_004" {
            today.insert("newcomer", day.clone())?;
        }
        today.insert(brand.clone(), day)?;
    }
    Ok((history, today))
}

/// The frame with ten times the views for some hours.
fn with_bots(frame: Frame, start: Timestamp, hours: i64) -> anyhow::Result<Frame> {
    let (time, columns, mut values) = frame.into_parts();
    let views = columns.require("views")?;
    let end = start.offset(hours * Timestamp::HOUR);
    for (row, _) in time.iter().enumerate().filter(|(_, t)| (start..end).contains(*t)) {
        values[[row, views]] *= 10.0;
    }
    Ok(Frame::new(time, columns, values)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_are_alerted_and_the_newcomer_is_named() {
        let (history, today) = shop().unwrap();
        let folder = tempfile::tempdir().unwrap();
        nightly(&history, folder.path()).unwrap();
        let findings = hourly(&today, folder.path()).unwrap();
        assert_eq!(findings.failures().len(), 1);
        assert_eq!(findings.failures()[0].series.as_str(), "newcomer");
        let alerts: Vec<_> = findings.ranked().into_iter().map(|(_, anomaly)| &anomaly.notice).collect();
        for hour in 12..15 {
            let id = format!("brand_001@2019-11-26T{hour}:00:00Z");
            assert!(alerts.iter().any(|alert| alert.id == id), "{id} is not among {alerts:?}");
        }
    }
}
