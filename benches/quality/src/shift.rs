//! How soon a level shift is seen that comes after training.

use funnelpulse::{
    FittedPipeline, Pipeline,
    core::{Panel, Timestamp},
    eval::generator::{AnomalyEvent, AnomalyKind, Difficulty, GeneratedFunnel, GeneratorConfig},
};

use crate::{Shops, ratios::Share};

/// Days before the watched ones, all of them without an anomaly.
const TRAINED: usize = 60;
/// Hours within which a shift is to be seen.
const SOON: i64 = 6;
/// Days that a scan looks back.
const BACK: i64 = 7;

/// Prints the table: a shift counts as seen when a row of its first hours is flagged on data that end
/// with them.
pub(crate) fn table(shops: &Shops) -> anyhow::Result<()> {
    println!("Level shifts after training, {} brands, seeds {:?}, default configuration\n", shops.brands, shops.seeds);
    println!("| | flagged within {SOON} hours | of those downwards | upwards |\n|---|---|---|---|");
    for difficulty in [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard] {
        let (mut all, mut down, mut up) = (Share::default(), Share::default(), Share::default());
        for &seed in &shops.seeds {
            let shop = GeneratedFunnel::generate(&GeneratorConfig {
                brands: shops.brands,
                days: TRAINED + 30,
                quiet_days: TRAINED / 2,
                seed,
                difficulty,
                kinds: vec![AnomalyKind::LevelShift],
                ..GeneratorConfig::default()
            })?;
            let start = shop.panel().iter().filter_map(|(_, f)| f.time().first()).min().copied().unwrap_or_default();
            let split = start.offset(TRAINED as i64 * Timestamp::DAY);
            let model = Pipeline::builder().build()?.fit(&slice(shop.panel(), start, split)?)?;
            let later = shop.events().iter().filter(|e| e.start >= split.offset(Timestamp::DAY));
            for event in later {
                let seen = seen(&model, shop.panel(), event)?;
                all.add(seen);
                if event.expected_revenue_loss > 0.0 { down.add(seen) } else { up.add(seen) }
            }
        }
        println!("| {difficulty} | {all} | {down} | {up} |");
    }
    Ok(())
}

fn seen(model: &FittedPipeline, panel: &Panel, event: &AnomalyEvent) -> anyhow::Result<bool> {
    let end = event.start.offset(SOON * Timestamp::HOUR);
    let findings = model.detect(&slice(panel, event.start.offset(-BACK * Timestamp::DAY), end)?)?;
    let series = findings.series().iter().find(|s| s.series == event.series);
    Ok(series.is_some_and(|s| s.anomalies.iter().any(|a| s.time[a.row] >= event.start)))
}

fn slice(panel: &Panel, start: Timestamp, end: Timestamp) -> anyhow::Result<Panel> {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let rows = frame.time().partition_point(|t| *t < start)..frame.time().partition_point(|t| *t < end);
        part.insert(key.clone(), frame.view().rows(rows).to_frame())?;
    }
    Ok(part)
}
