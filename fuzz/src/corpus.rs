//! Seeds: a generated shop in every format.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use funnelpulse_alerts::{Alert, DeliveryError, DispatchConfig, Dispatcher, Sink};
use funnelpulse_core::{
    AnyDetector, FittedPanelDetector, Panel, PanelDetector, PanelView, PerSeries, Pooled, Severity, Timestamp, to_bytes,
};
use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};
use funnelpulse_features::PanelSpec;
use funnelpulse_io::{Table, panel_to_batch, write_file};
use funnelpulse_pipeline::{Built, Catalog, Config, Pipeline, Preset};

use crate::Target;

/// Brands and days of the shop: the least on which every detector can be trained.
const BRANDS: usize = 2;
const DAYS: usize = 15;
/// Rows of each series in the tables.
const TABLE_ROWS: usize = 40;
/// Events in their table.
const EVENTS: usize = 200;
/// Keeps the models small, so that mutations hit what matters.
const SMALL: &str = "[iforest]\nn_trees = 8\n";

/// A table with valid and invalid cells.
const ODD_CSV: &str = "\
window_start,brand,views,carts,purchases,revenue
2019-10-01 05:00:00,\"run\"\"ail, the 1st\",12,3,1,2.5
2019-10-01T06:00:00Z,,9,0,,
1569909600,irisk,-5,1e3,NaN,inf
2019-10-01 06:30:00,irisk,abc,1,1,1
";

const ALERTS: &str = "\
state = 'state.json'
[[sinks]]
kind = 'webhook'
format = 'slack'
url = { env = 'SLACK_WEBHOOK' }
[[sinks]]
kind = 'smtp'
name = 'mail'
host = 'smtp.example.org'
username = 'shop'
password = { env = 'SMTP_PASSWORD' }
from = 'funnelpulse@example.org'
to = ['oncall@example.org']
[[sinks]]
kind = 'json_lines'
path = 'alerts.jsonl'
[notifier]
min_severity = 'high'
[dispatch]
per_minute = 60.0
burst = 10
";

/// What the first release remembered, and what is remembered today.
const STATE: &str = r#"{"notifier":{"config":{"min_severity":"low","resolved":true,"quiet_seconds":3600},"told":
{"runail/outage":{"severity":"high","title":"t","messages":1,"ended":null,"silent":false},
"irisk/outage":{"severity":"low","title":"","messages":2,"ended":1569910000000000,"silent":true}}},
"until":1569920000000000,"series":{"runail/outage":"runail"},"outbox":[],"first":1569900000000000,
"announced":[{"incident":"runail/outage","series":"runail","start":1569909600000000,"end":1569913200000000}]}"#;

/// The shop of all seeds.
pub(crate) fn shop() -> Result<GeneratedFunnel> {
    let config = GeneratorConfig { brands: BRANDS, days: DAYS, ..GeneratorConfig::default() };
    Ok(GeneratedFunnel::generate(&config)?)
}

/// The last rows of each series of a panel.
pub(crate) fn last_rows(panel: &Panel, rows: usize) -> Result<Panel> {
    let mut last = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let first = frame.nrows().saturating_sub(rows);
        last.insert(key.clone(), frame.view().rows(first..frame.nrows()).to_frame())?;
    }
    Ok(last)
}

/// The seeds in `folder`; made, if there are none.
pub(crate) fn seeds(target: Target, folder: &Path) -> Result<Vec<Vec<u8>>> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut found = read(folder)?;
    if found.is_empty() {
        make(target, folder)?;
        found = read(folder)?;
    }
    Ok(found)
}

/// In the order of their names, so that the same seed of the random numbers gives the same inputs.
fn read(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).with_context(|| file.display().to_string())).collect()
}

fn make(target: Target, folder: &Path) -> Result<()> {
    match target {
        Target::Model => models(folder),
        Target::Csv => {
            hours(&folder.join("hours.csv"))?;
            save(folder, "odd.csv", ODD_CSV)
        }
        Target::Parquet => {
            hours(&folder.join("hours.parquet"))?;
            let events = events_table(folder)?;
            write_file(&folder.join("events.parquet"), &events.batches()[0])?;
            Ok(())
        }
        Target::Events => save(folder, "events.csv", &events()?),
        Target::Config => {
            save(folder, "default.toml", Config::default().to_toml())?;
            save(folder, "univariate.toml", Preset::Univariate.toml())
        }
        Target::Alerts => save(folder, "alerts.toml", ALERTS),
        Target::State => save(folder, "state.json", STATE),
        Target::Spool => spool(folder),
    }
}

/// A spool with alerts that wait for two sinks, as a dispatcher leaves it whose sinks do not answer.
fn spool(folder: &Path) -> Result<()> {
    let path = folder.join("alerts.spool");
    let config = DispatchConfig { spool: Some(path.clone()), ..DispatchConfig::default() };
    let dispatcher = Dispatcher::new(config, vec![Box::new(Closed("memory")), Box::new(Closed("mail"))])?;
    for hour in 0..3 {
        let time = Timestamp::from_seconds(1_569_888_000 + hour * 3600);
        dispatcher.send(Alert::new(format!("s{hour}/outage"), Severity::High, time))?;
    }
    dispatcher.persist(Duration::from_secs(10))?;
    drop(dispatcher.shutdown(Duration::ZERO));
    fs::remove_file(folder.join("alerts.spool.lock")).context("the lock of the spool")
}

/// A sink that takes nothing.
#[derive(Debug)]
struct Closed(&'static str);

impl Sink for Closed {
    fn name(&self) -> &str {
        self.0
    }

    fn deliver(&mut self, _: &Alert) -> Result<(), DeliveryError> {
        Err(DeliveryError::temporary("closed"))
    }
}

fn save(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| path.display().to_string())
}

/// The hourly table, in the format that the name of the file asks for.
fn hours(path: &Path) -> Result<()> {
    let table = last_rows(shop()?.panel(), TABLE_ROWS)?;
    write_file(path, &panel_to_batch(&table, &PanelSpec::funnel())?)?;
    Ok(())
}

fn events() -> Result<String> {
    let mut csv = "event_time,event_type,product_id,category,brand,price,user_id,user_session,device\n".to_owned();
    for event in shop()?.raw_events().take(EVENTS) {
        let brand = event.brand.as_deref().unwrap_or("");
        let session = event.session_uuid();
        writeln!(
            csv,
            "{},{},{},{},{brand},{},{},{session},{}",
            event.time, event.event_type, event.product_id, event.category, event.price, event.user_id, event.device
        )?;
    }
    Ok(csv)
}

/// The events as a table, by way of a file that is removed again.
fn events_table(folder: &Path) -> Result<Table> {
    let path = folder.join("events.csv");
    fs::write(&path, events()?)?;
    let table = Table::read(&path);
    fs::remove_file(&path)?;
    Ok(table?)
}

/// A model of every detector of the build, alone, of each series and of all, and two pipelines.
fn models(folder: &Path) -> Result<()> {
    let shop = shop()?;
    let catalog = Catalog::default();
    let config = catalog.layers().toml(SMALL)?.build()?;
    for entry in catalog.entries() {
        if let Ok(Built::Detector(detector)) = entry.build(&config) {
            for (suffix, bytes) in models_of(&detector, shop.panel()) {
                save(folder, &format!("{}-{suffix}.model", entry.name()), bytes)?;
            }
        }
    }
    for (name, detectors) in [("pipeline", ""), ("pipeline-zscore", "[pipeline]\ndetectors = ['zscore']\n")] {
        let config = catalog.layers().toml(SMALL)?.toml(detectors)?.build()?;
        let model = Pipeline::builder().config(config).build()?.fit(shop.panel())?;
        save(folder, &format!("{name}.model"), model.to_bytes()?)?;
    }
    Ok(())
}

/// The models that can be trained on the stored metrics; a detector that needs other columns gives fewer.
fn models_of(detector: &AnyDetector, panel: &Panel) -> Vec<(&'static str, Vec<u8>)> {
    let view = PanelView::from(panel);
    match detector {
        AnyDetector::Panel(detector) => {
            let model = detector.fit_dyn(&view).ok().and_then(|model| model.to_bytes().ok());
            model.map(|bytes| ("site", bytes)).into_iter().collect()
        }
        AnyDetector::Series(detector) => {
            let alone = || to_bytes(detector.fit_dyn(panel.iter().next()?.1.view()).ok()?.as_ref()).ok();
            let per_series = || PerSeries::from(detector.clone()).fit(&view).ok()?.to_bytes().ok();
            let pooled = || Pooled::from(detector.clone()).fit(&view).ok()?.to_bytes().ok();
            let made = [("alone", alone()), ("per-series", per_series()), ("pooled", pooled())];
            made.into_iter().filter_map(|(suffix, bytes)| Some((suffix, bytes?))).collect()
        }
    }
}
