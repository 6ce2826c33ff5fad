//! False alarms where nothing is wrong.
//!
//! An alarm is what people are notified of: an incident of a series, or one of the whole site that breaks
//! it.

use funnelpulse::{
    Config, Pipeline,
    core::{Panel, Timestamp},
    eval::generator::{GeneratedFunnel, GeneratorConfig},
};

use crate::{Shops, ratios::mean};

/// Days after training that are watched.
const WATCHED: usize = 60;
const BUDGETS: [&str; 3] = ["1 per series per week", "1 per series per month", "1 per series per year"];

/// Prints the table: a pipeline trained on shops with incidents is no use here, since their later
/// days would have incidents too; these shops have none at all.
pub(crate) fn table(shops: &Shops) -> anyhow::Result<()> {
    println!(
        "{} shops of {} brands without an incident, trained on {} days, watched for {WATCHED} more, seeds {:?}\n",
        shops.seeds.len(),
        shops.brands,
        shops.days,
        shops.seeds
    );
    println!("| budget | alarms raised, as a share of the budget | of each shop |\n|---|---|---|");
    let mut panels = Vec::new();
    for &seed in &shops.seeds {
        let config = GeneratorConfig {
            brands: shops.brands,
            days: shops.days + WATCHED,
            seed,
            anomaly_share: 0.0,
            ..GeneratorConfig::default()
        };
        let shop = GeneratedFunnel::generate(&config)?;
        panels.push(split(shop.panel(), shops.days)?);
    }
    for budget in BUDGETS {
        let mut config = Config::default();
        config.alerts.budget = budget.parse()?;
        let pipeline = Pipeline::builder().config(config.clone()).build()?;
        let mut ratios = Vec::new();
        for (history, later) in &panels {
            let findings = pipeline.fit(history)?.detect(later)?;
            let of_site = findings.site_incidents().iter().filter(|i| i.kind.breaks_the_site()).count();
            let alarms = of_site + findings.series().iter().map(|s| s.incidents.len()).sum::<usize>();
            let allowed = config.alerts.budget.per_series_hour(later.len()).unwrap_or(0.0) * findings.rows() as f64;
            ratios.push(alarms as f64 / allowed);
        }
        let each: Vec<String> = ratios.iter().map(|r| format!("{r:.2}")).collect();
        println!("| {budget} | {:.2} | {} |", mean(&ratios), each.join(", "));
    }
    Ok(())
}

fn split(panel: &Panel, days: usize) -> anyhow::Result<(Panel, Panel)> {
    let (mut history, mut later) = (Panel::new(panel.columns().clone()), Panel::new(panel.columns().clone()));
    let start = panel.iter().filter_map(|(_, f)| f.time().first()).min().copied().unwrap_or_default();
    let end = start.offset(days as i64 * Timestamp::DAY);
    for (key, frame) in panel {
        let row = frame.time().partition_point(|t| *t < end);
        history.insert(key.clone(), frame.view().rows(0..row).to_frame())?;
        later.insert(key.clone(), frame.view().rows(row..frame.nrows()).to_frame())?;
    }
    Ok((history, later))
}
