//! The readers under test.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use funnelpulse_alerts::{
    Alert, AlertCandidate, AlertState, AlertsConfig, DispatchConfig, Dispatcher, JsonLines, NotifierConfig,
    Observation, Sink,
};
use funnelpulse_core::{Columns, Frame, FrameError, Panel, PanelView, Registry, Severity, Timestamp};
use funnelpulse_features::{EventSpec, PanelSpec};
use funnelpulse_io::{Table, read_cube, read_events, read_panel, recognise};
use funnelpulse_pipeline::{Catalog, Config, FittedPipeline};
use ndarray::Array2;

use crate::{Target, corpus};

/// Rows that a loaded model scores.
const ROWS: usize = 24;
/// Seconds between two rows.
const STEP_SECONDS: u64 = 3600;

/// The parts that the targets share, made once.
#[derive(Debug)]
pub(crate) struct Fixture {
    folder: PathBuf,
    catalog: Catalog,
    registry: Registry,
    day: Panel,
}

impl Fixture {
    /// Tables are written to `folder` to be read.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        let catalog = Catalog::default();
        let day = corpus::last_rows(corpus::shop()?.panel(), ROWS)?;
        Ok(Self { folder, registry: catalog.registry(), catalog, day })
    }

    /// Reads an input; whether it was accepted. Errors are what a bad input should give.
    pub(crate) fn read(&self, target: Target, input: &[u8]) -> Result<bool> {
        Ok(match target {
            Target::Model => self.model(input),
            Target::Csv | Target::Events => self.table("input.csv", input)?,
            Target::Parquet => self.table("input.parquet", input)?,
            Target::Config => config(&String::from_utf8_lossy(input)),
            // Sinks are not built: they open files and read the environment.
            Target::Alerts => AlertsConfig::parse(Path::new("alerts.toml"), &String::from_utf8_lossy(input)).is_ok(),
            Target::State => self.state(input)?,
            Target::Spool => self.spool(input)?,
        })
    }

    /// A model that loads must also score.
    fn model(&self, bytes: &[u8]) -> bool {
        let series = self.registry.load(bytes);
        if let Ok(model) = &series {
            let columns = Columns::new(model.columns().iter().cloned());
            if let Ok(frame) = columns.and_then(some_rows) {
                let _ = model.detect(frame.view());
            }
        }
        let site = self.registry.load_panel(bytes);
        if let Ok(model) = &site
            && let Ok(panel) = self.some_series(model.columns())
        {
            let _ = model.detect(&PanelView::from(&panel));
        }
        let pipeline = FittedPipeline::from_bytes(bytes, &self.catalog);
        if let Ok(model) = &pipeline {
            let _ = model.detect(&self.day);
        }
        series.is_ok() || site.is_ok() || pipeline.is_ok()
    }

    /// The series of the shop with any columns.
    fn some_series(&self, columns: &Columns) -> Result<Panel, FrameError> {
        let mut panel = Panel::new(columns.clone());
        for key in self.day.keys() {
            panel.insert(key.clone(), some_rows(columns.clone())?)?;
        }
        Ok(panel)
    }

    /// A state that loads must also take an observation and be saved.
    fn state(&self, bytes: &[u8]) -> Result<bool> {
        let path = self.folder.join("state.json");
        fs::write(&path, bytes)?;
        let Ok(mut state) = AlertState::load(&path, NotifierConfig::default()) else { return Ok(false) };
        let at = |hour: i64| Timestamp::from_seconds(1_569_888_000 + hour * STEP_SECONDS as i64);
        let mut goes_on = AlertCandidate::new("runail/outage", "runail", Severity::High, at(10), at(12));
        goes_on.ongoing = true;
        let over = AlertCandidate::new("irisk/outage", "irisk", Severity::Low, at(3), at(5));
        let _ = state.update(&Observation::new(at(12), vec![goes_on, over]));
        state.save(&path)?;
        Ok(true)
    }

    /// Whatever waits is delivered to a sink in memory, and so is one more.
    fn spool(&self, bytes: &[u8]) -> Result<bool> {
        let path = self.folder.join("alerts.spool");
        fs::write(&path, bytes)?;
        // What is refused is kept there, run after run.
        let _ = fs::remove_file(self.folder.join("alerts.spool.rejected"));
        let config = DispatchConfig { spool: Some(path), per_minute: 60_000.0, burst: 60_000, ..Default::default() };
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(JsonLines::new("memory", Vec::new()))];
        let Ok(dispatcher) = Dispatcher::new(config, sinks) else { return Ok(false) };
        let _ = dispatcher.send_once(Alert::new("runail", Severity::Low, Timestamp::from_seconds(0)));
        let report = dispatcher.shutdown(Duration::from_millis(200));
        Ok(report.damaged_lines == 0)
    }

    fn table(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let path = self.folder.join(name);
        fs::write(&path, bytes)?;
        let Ok(table) = Table::read(&path) else { return Ok(false) };
        for column in table.columns() {
            let _ = table.f64_column(column);
            let _ = table.string_column(column);
            let _ = table.time_column(column);
        }
        let (panel, events) = (PanelSpec::funnel(), EventSpec::default());
        let _ = recognise(&table, &panel, &events);
        let rows = read_panel(&table, &panel).is_ok_and(|read| !read.panel.is_empty());
        let sums = read_events(&table, &events, STEP_SECONDS).is_ok();
        let dimensions = vec!["device".to_owned(), "price".to_owned()];
        let _ = read_cube(&table, &EventSpec { dimensions, ..events }, STEP_SECONDS, None);
        Ok(rows || sums)
    }
}

fn some_rows(columns: Columns) -> Result<Frame, FrameError> {
    let time = (0..ROWS).map(|row| Timestamp::from_seconds(1_569_888_000 + row as i64 * STEP_SECONDS as i64));
    let values = Array2::from_shape_fn((ROWS, columns.len()), |(row, column)| ((row * 7 + column * 13) % 50) as f64);
    Frame::new(time.collect(), columns, values)
}

fn config(text: &str) -> bool {
    Config::layers().toml(text).is_ok_and(|layers| layers.build().is_ok())
}
