//! How soon a level shift is seen that comes after training.

use funnelpulse::{
    Config, Findings, FittedPipeline, Pipeline,
    core::{Panel, Timestamp},
    eval::generator::{AnomalyEvent, AnomalyKind, Difficulty, GeneratedFunnel, GeneratorConfig},
};

use crate::{Shops, oracle, ratios::Share};

/// Days before the watched ones, all of them without an anomaly.
const TRAINED: usize = 60;
/// Days watched.
const WATCHED: usize = 30;
/// Hours within which a shift is to be seen.
const SOON: i64 = 6;
/// The budget, for less than one false alarm per series and month, and what the oracle may raise.
const BUDGET: &str = "6 per series per year";
const ALARMS_PER_MONTH: f64 = 6.0 / 12.0;
/// Days that a scan looks back.
const BACK: i64 = 7;

/// Prints the table: a shift counts as seen when a row of its first hours is flagged on data that end
/// with them.
pub(crate) fn table(shops: &Shops) -> anyhow::Result<()> {
    println!("Level shifts after training, {} brands, seeds {:?}, budget {BUDGET}\n", shops.brands, shops.seeds);
    let mut config = Config::default();
    config.alerts.budget = BUDGET.parse()?;
    let pipeline = Pipeline::builder().config(config).build()?;
    println!(
        "| | flagged within {SOON} hours | of those downwards | upwards | with the true rates | false alarms per series and month |\n|---|---|---|---|---|---|"
    );
    for difficulty in [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard] {
        let mut quiet = Quiet::default();
        let [mut all, mut down, mut up, mut best] = [(); 4].map(|()| Share::default());
        for &seed in &shops.seeds {
            let shop = GeneratedFunnel::generate(&GeneratorConfig {
                brands: shops.brands,
                days: TRAINED + WATCHED,
                quiet_days: TRAINED / 2,
                seed,
                difficulty,
                kinds: vec![AnomalyKind::LevelShift],
                ..GeneratorConfig::default()
            })?;
            let start = shop.panel().iter().filter_map(|(_, f)| f.time().first()).min().copied().unwrap_or_default();
            let split = start.offset(TRAINED as i64 * Timestamp::DAY);
            let model = pipeline.fit(&slice(shop.panel(), start, split)?)?;
            quiet.add(
                &shop,
                &model.detect(&slice(shop.panel(), split, split.offset(WATCHED as i64 * Timestamp::DAY))?)?,
            );
            let limit = oracle::limit(&shop, ALARMS_PER_MONTH)?;
            let later = shop.events().iter().filter(|e| e.start >= split.offset(Timestamp::DAY));
            for event in later {
                let seen = seen(&model, shop.panel(), event)?;
                all.add(seen);
                best.add(seen_by_oracle(&shop, event, limit)?);
                if event.expected_revenue_loss > 0.0 { down.add(seen) } else { up.add(seen) }
            }
        }
        println!("| {difficulty} | {all} | {down} | {up} | {best} | {:.2} |", quiet.per_month());
    }
    Ok(())
}

/// Hours without a shift, and what is said of them.
#[derive(Default)]
struct Quiet {
    alarms: usize,
    hours: usize,
}

impl Quiet {
    fn add(&mut self, shop: &GeneratedFunnel, findings: &Findings) {
        for series in findings.series() {
            let events: Vec<_> = shop.events().iter().filter(|e| e.series == series.series).collect();
            // Before it is over, and after it is back, a shift has edges.
            let near = |start: Timestamp, end: Timestamp| {
                events.iter().any(|e| start <= e.end.offset(Timestamp::DAY) && end.offset(Timestamp::DAY) >= e.start)
            };
            self.hours += series.time.iter().filter(|t| !near(**t, **t)).count();
            self.alarms += series.incidents.iter().filter(|i| !near(i.start, i.end)).count();
        }
        self.alarms += findings.site_incidents().iter().filter(|i| i.kind.breaks_the_site()).count();
    }

    fn per_month(&self) -> f64 {
        self.alarms as f64 / (self.hours as f64 / 730.5)
    }
}

fn seen(model: &FittedPipeline, panel: &Panel, event: &AnomalyEvent) -> anyhow::Result<bool> {
    let end = event.start.offset(SOON * Timestamp::HOUR);
    let findings = model.detect(&slice(panel, event.start.offset(-BACK * Timestamp::DAY), end)?)?;
    let series = findings.series().iter().find(|s| s.series == event.series);
    Ok(series.is_some_and(|s| s.anomalies.iter().any(|a| s.time[a.row] >= event.start)))
}

fn seen_by_oracle(shop: &GeneratedFunnel, event: &AnomalyEvent, limit: f64) -> anyhow::Result<bool> {
    let end = event.start.offset(SOON * Timestamp::HOUR);
    let mut own = Panel::new(shop.panel().columns().clone());
    if let Some(frame) = shop.panel().get(event.series.as_str()) {
        own.insert(event.series.clone(), frame.clone())?;
    }
    let part = slice(&own, event.start.offset(-BACK * Timestamp::DAY), end)?;
    let seen = oracle::look(shop, &part)?;
    Ok(seen.iter().any(|e| e.time().iter().zip(e.log_odds()).any(|(t, l)| *t >= event.start && l > limit)))
}

fn slice(panel: &Panel, start: Timestamp, end: Timestamp) -> anyhow::Result<Panel> {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let rows = frame.time().partition_point(|t| *t < start)..frame.time().partition_point(|t| *t < end);
        part.insert(key.clone(), frame.view().rows(rows).to_frame())?;
    }
    Ok(part)
}
