//! Detection on labelled shops (`../shared/data/shops`): `cargo run --release -p funnelpulse-shops -- [shop ...]`.
//!
//! The folder is the environment variable `FUNNELPULSE_SHOPS`, or `../shared/data/shops`. Without
//! names all shops are run.

#![allow(clippy::print_stdout, reason = "tables are the product")]

mod delay;
mod figures;
mod shop;

use std::{path::PathBuf, time::Instant};

use anyhow::Context;
use funnelpulse_incidents::{IncidentConfig, IncidentDetector};

use crate::{figures::Figures, shop::Shop};

/// Shops of the folder, in order; the last two have no anomalies.
const SHOPS: [&str; 8] = ["alder", "birch", "cedar", "dogwood", "elm", "fir", "gorse", "hazel"];

fn main() -> anyhow::Result<()> {
    let folder =
        std::env::var_os("FUNNELPULSE_SHOPS").map_or_else(|| PathBuf::from("../shared/data/shops"), PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: {} is no folder; set FUNNELPULSE_SHOPS to the folder of labelled shops", folder.display());
        return Ok(());
    }
    let mut asked: Vec<String> = std::env::args().skip(1).collect();
    let train = match asked.iter().position(|a| a == "--train") {
        Some(at) => {
            let value = asked.get(at + 1).context("--train needs a share of the hours, such as 0.5")?.parse::<f64>()?;
            asked.drain(at..at + 2);
            Some(value)
        }
        None => None,
    };
    let names: Vec<&str> = if asked.is_empty() { SHOPS.to_vec() } else { asked.iter().map(String::as_str).collect() };
    println!("{}", Figures::HEADER);
    let mut all = Vec::new();
    for name in names {
        let shop = Shop::read(&folder.join(name))?;
        let config = IncidentConfig {
            timezone: shop.time_zone.clone(),
            calendar: shop.calendar.clone(),
            ..IncidentConfig::funnel()
        };
        let start = Instant::now();
        let split = train.map(|share| shop.time_at(share));
        let history = split.map(|time| shop.until(time)).transpose()?;
        let model = IncidentDetector::new(config)?.fit(history.as_ref().unwrap_or(&shop.panel))?;
        let fitted = start.elapsed();
        let start = Instant::now();
        let scan = model.scan(&shop.panel)?;
        let scanned = start.elapsed();
        let mut figures = Figures::of(&shop, &model, &scan, split);
        if let Some(split) = split {
            figures.alarm_delay = delay::median_hours(&shop, &model, split)?;
        }
        if std::env::var_os("SHOPS_MISSES").is_some() {
            figures::misses(&shop, &model, &scan);
        }
        if let Some(path) = std::env::var_os("SHOPS_PREDICTIONS") {
            figures::write_predictions(&PathBuf::from(path).join(format!("{name}.csv")), &model, &scan)?;
        }
        let per_row = |time: std::time::Duration| time.as_secs_f64() * 1e6 / shop.panel.total_rows() as f64;
        println!("{}  fit {:5.1} scan {:5.1} us/row", figures.line(name), per_row(fitted), per_row(scanned));
        all.push(figures);
    }
    let labelled: Vec<&Figures> = all.iter().filter(|f| f.auc_pr.is_finite()).collect();
    if labelled.len() > 1 {
        println!("{}", Figures::mean(&labelled).line("mean"));
    }
    Ok(())
}
