//! Scored rows: the final ones are those of the batch, bit for bit, and the newest one at any time is that of the batch so
//! far, whatever the order in which the parts of the windows arrive, the number of processes that deliver them and the place
//! of a crash.
//!
//! A generated shop with a kill in each run, and a few runs of one made-up shop and of a real retail table with all default
//! detectors. All orders, numbers of processes and kills, and all of the made-up shops:
//! `FUNNELPULSE_KILLS=20 cargo test --release -p funnelpulse-streaming --test verdicts -- --nocapture`

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]
#![allow(clippy::print_stdout, reason = "figures of a test program")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::{concat_batches, filter_record_batch},
    datatypes::{DataType, Int64Type, TimestampMicrosecondType},
    util::display::array_value_to_string,
};
use funnelpulse_core::{Frame, Panel, SeriesKey, Timestamp};
use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};
use funnelpulse_features::{Counts, EventSpec, PanelSpec};
use funnelpulse_io::{Table, read_panel};
use funnelpulse_pipeline::{Catalog, FittedPipeline, Pipeline};
use funnelpulse_streaming::{
    Channel, CheckpointStore, ClosedWindow, Engine, EngineConfig, GOLD_COLUMNS, Input, LiveDetection, MemorySink,
    Polled, Position, Positions, Runner, RunnerConfig, Source, Step, StreamError, WindowKind, WindowRow,
};
use funnelpulse_testing::shared_file;

/// Hours that are trained on, and followed: four days more than can still change, and a day.
const TRAINED: usize = 21 * 24;
const FOLLOWED: usize = 4 * 24;
/// Series of a table: those with the most events, so that all orders and kills take minutes.
const SERIES: usize = 4;
/// The variable that makes the tests large: the number of places of a kill in each run.
const KILLS: &str = "FUNNELPULSE_KILLS";

/// Windows of several processes in the order in which they arrive.
#[derive(Clone)]
struct Parts {
    /// Process and window.
    all: Arc<Vec<(u32, ClosedWindow)>>,
    processes: u32,
    next: usize,
    assigned: bool,
}

impl Source for Parts {
    fn poll(&mut self, _: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        for partition in (0..self.processes).filter(|_| !self.assigned) {
            take(Input::Assigned { partition, name: &format!("process {partition}"), not_before: None });
        }
        self.assigned = true;
        let Some((partition, window)) = self.all.get(self.next) else { return Ok(Polled::End) };
        take(Input::Window { partition: *partition, window, last: true });
        self.next += 1;
        Ok(Polled::Records)
    }

    fn positions(&self) -> Positions {
        Positions::from([("parts".to_owned(), Position { next: self.next as u64, done: false })])
    }

    fn seek(&mut self, positions: &Positions) -> Result<(), StreamError> {
        self.next = positions["parts"].next as usize;
        Ok(())
    }
}

/// An arbitrary but fixed number.
fn mixed(index: usize) -> u64 {
    (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// The hours `from..to`, split between processes: each row belongs to one of them, or is shared out.
fn split(panel: &Panel, hours: std::ops::Range<usize>, processes: u32) -> Vec<Vec<ClosedWindow>> {
    let time = panel.iter().next().unwrap().1.time().to_vec();
    let mut all = vec![Vec::new(); processes as usize];
    for hour in hours {
        for process in 0..processes {
            let rows = panel.iter().enumerate().filter_map(|(index, (key, frame))| {
                let counts = counts(frame, hour);
                let share = |count: u64| {
                    let rest = u64::from(u64::from(process) < count % u64::from(processes));
                    count / u64::from(processes) + rest
                };
                let whole = index as u32 % processes == process;
                let counts = if index % 2 == 0 {
                    let micro_revenue = if process == 0 { counts.micro_revenue } else { 0 };
                    Counts {
                        views: share(counts.views),
                        carts: share(counts.carts),
                        purchases: share(counts.purchases),
                        micro_revenue,
                    }
                } else {
                    whole.then_some(counts)?
                };
                Some(WindowRow { series: key.clone(), counts })
            });
            let start = time[hour];
            let window = ClosedWindow {
                start,
                end: start.offset(Timestamp::HOUR),
                kind: WindowKind::Final,
                rows: rows.collect(),
            };
            all[process as usize].push(window);
        }
    }
    all
}

fn counts(frame: &Frame, hour: usize) -> Counts {
    let value = |column: usize| frame.values()[[hour, column]];
    Counts {
        views: value(0) as u64,
        carts: value(1) as u64,
        purchases: value(2) as u64,
        micro_revenue: (value(3) * 1e6).round() as i128,
    }
}

/// Orders in which the windows of the processes arrive; those of one process stay in order.
fn arrivals(processes: &[Vec<ClosedWindow>]) -> Vec<(&'static str, Vec<(u32, ClosedWindow)>)> {
    let by = |key: &dyn Fn(usize, usize) -> u64| {
        let mut all: Vec<(u64, usize, usize)> = Vec::new();
        for (process, windows) in processes.iter().enumerate() {
            let mut latest = 0;
            for hour in 0..windows.len() {
                // Never before the window of the same process that precedes it.
                latest = key(process, hour).max(latest);
                all.push((latest, process, hour));
            }
        }
        all.sort_unstable();
        all.into_iter().map(|(_, process, hour)| (process as u32, processes[process][hour].clone())).collect()
    };
    let last = processes.len() as u64 - 1;
    vec![
        ("hour by hour", by(&|_, hour| hour as u64)),
        ("one process after the other", by(&|process, _| process as u64)),
        ("backwards by process", by(&|process, _| last - process as u64)),
        ("in blocks", by(&|process, hour| (hour as u64 / 7) * 8 + process as u64)),
        ("delayed at random", by(&|process, hour| hour as u64 + mixed(process * 1000 + hour) % 12)),
    ]
}

type Run = Runner<Parts, LiveDetection, MemorySink>;

fn start(model: &Arc<FittedPipeline>, parts: &Parts, sink: &MemorySink, folder: &Path) -> Run {
    Runner::new(
        parts.clone(),
        Engine::new(&EventSpec::default(), EngineConfig::new(0)).unwrap(),
        LiveDetection::new(model.clone()).unwrap(),
        sink.clone(),
        CheckpointStore::open(folder.to_str().unwrap()).unwrap(),
        RunnerConfig { flush: true, checkpoint_records: 40, checkpoint_seconds: 3_600.0, ..RunnerConfig::default() },
    )
    .unwrap()
}

/// Runs to the end, with a kill after so many rounds. Returns the rows and the number of rounds.
fn run(model: &Arc<FittedPipeline>, parts: &Parts, kill: Option<usize>) -> (RecordBatch, usize) {
    let folder = tempfile::tempdir().unwrap();
    let sink = MemorySink::default();
    let mut stream = start(model, parts, &sink, folder.path());
    let now = Timestamp::from_seconds(1_900_000_000);
    let mut rounds = 0;
    while stream.step(now).unwrap() == Step::More {
        rounds += 1;
        if kill == Some(rounds) {
            drop(stream);
            stream = start(model, parts, &sink, folder.path());
        }
    }
    assert!(stream.metrics().account.balances());
    assert_eq!(stream.metrics().account.late, 0);
    let rows = sink.rows(Channel::Rows);
    (concat_batches(&rows[0].schema(), &rows).unwrap(), rounds)
}

/// Every column of the rows, as text, by series and time.
fn by_row(batch: &RecordBatch, key: &str) -> BTreeMap<(String, i64), Vec<String>> {
    let series = arrow::compute::cast(batch.column_by_name(key).unwrap(), &DataType::Utf8).unwrap();
    let time = batch.column_by_name("window_start").unwrap().as_primitive::<TimestampMicrosecondType>();
    let skipped = ["window_start", "rank", "revision", "final"];
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name()).filter(|name| !skipped.contains(&name.as_str()));
    let columns: Vec<_> = names.map(|name| batch.column_by_name(name).unwrap()).collect();
    let text = |row: usize| columns.iter().map(|column| array_value_to_string(column, row).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| ((series.as_string::<i32>().value(row).to_owned(), time.value(row)), text(row)))
        .collect()
}

/// Some hours of a panel.
fn part(panel: &Panel, hours: std::ops::Range<usize>) -> Panel {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        part.insert(key.clone(), frame.view().rows(hours.clone()).to_frame()).unwrap();
    }
    part
}

/// How much is tried on a table.
#[derive(Clone, Copy)]
struct Extent {
    processes: &'static [u32],
    orders: usize,
    kills: usize,
}

impl Extent {
    /// Every order and number of processes, with so many kills.
    const fn all(kills: usize) -> Self {
        Self { processes: &[1, 2, 5], orders: 5, kills }
    }

    /// What the environment asks for, or this.
    fn or(self) -> Self {
        std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).map_or(self, Self::all)
    }
}

/// Two orders of two processes, one kill each: seconds.
const FEW: Extent = Extent { processes: &[2], orders: 2, kills: 1 };

/// Orders, numbers of processes and kills on one table.
fn check(name: &str, panel: &Panel, model: &Arc<FittedPipeline>, extent: Extent) {
    let Extent { processes, orders, kills } = extent;
    let started = Instant::now();
    let hours = TRAINED..TRAINED + FOLLOWED;
    let followed = part(panel, hours.clone());
    let key = model.config().input.keys[0].clone();
    let batch = by_row(&model.detect(&followed).unwrap().to_batch(true), &key);
    let (mut runs, mut compared) = (0, 0);
    let mut provisional: Option<RecordBatch> = None;
    for processes in processes.iter().copied() {
        // From the last on: those that mix the processes most.
        for (order, arrived) in arrivals(&split(panel, hours.clone(), processes)).into_iter().rev().take(orders) {
            let parts = Parts { all: Arc::new(arrived), processes, next: 0, assigned: false };
            let (whole, rounds) = run(model, &parts, None);
            let place = format!("{name}, {processes} processes, {order}");
            // Everything that was ever said, revisions included, is the same each time.
            let first = provisional.get_or_insert_with(|| whole.clone());
            assert!(*first == whole, "{place}");
            let finals = filter_record_batch(&whole, whole.column_by_name("final").unwrap().as_boolean()).unwrap();
            for (row, cells) in by_row(&finals, &key) {
                assert_eq!(cells, batch[&row], "{place}, {row:?}");
                compared += 1;
            }
            for kill in 0..kills {
                let (again, _) = run(model, &parts, Some(1 + rounds * kill / kills));
                assert!(again == whole, "{place}, killed at {kill} of {kills}");
                runs += 1;
            }
            runs += 1;
        }
    }
    assert!(compared > 0);
    newest_rows(panel, model, &provisional.unwrap(), &key);
    println!("{name}: {runs} runs, {compared} final rows compared in {:.0} s", started.elapsed().as_secs_f64());
}

/// The first verdict on a row is that of `detect` on everything so far.
fn newest_rows(panel: &Panel, model: &Arc<FittedPipeline>, rows: &RecordBatch, key: &str) {
    let revisions = rows.column_by_name("revision").unwrap().as_primitive::<Int64Type>();
    let is_first = revisions.values().iter().map(|revision| Some(*revision == 0)).collect();
    let firsts = by_row(&filter_record_batch(rows, &is_first).unwrap(), key);
    for hours in (7..=FOLLOWED).step_by(23) {
        let so_far = model.detect(&part(panel, TRAINED..TRAINED + hours)).unwrap();
        let newest = panel.iter().next().unwrap().1.time()[TRAINED + hours - 1].as_micros();
        let batch = by_row(&so_far.to_batch(true), key);
        for (row, cells) in batch.iter().filter(|((_, time), _)| *time == newest) {
            assert_eq!(Some(cells), firsts.get(row), "{row:?}, as of hour {hours}");
        }
    }
}

/// The series with the most in the first column, on a common grid, and whole numbers.
fn largest(panel: &Panel) -> Panel {
    let times: std::collections::BTreeSet<Timestamp> =
        panel.iter().flat_map(|(_, frame)| frame.time().to_vec()).collect();
    let times: Vec<Timestamp> = times.into_iter().take(TRAINED + FOLLOWED).collect();
    let mut by_size: Vec<(&SeriesKey, &Frame)> =
        panel.iter().filter(|(_, frame)| frame.time().iter().take(TRAINED + FOLLOWED).eq(&times)).collect();
    by_size.sort_by(|a, b| b.1.values().column(0).sum().total_cmp(&a.1.values().column(0).sum()));
    let mut largest = Panel::new(panel.columns().clone());
    for (key, frame) in by_size.into_iter().take(SERIES) {
        largest.insert(key.clone(), frame.view().rows(0..TRAINED + FOLLOWED).to_frame()).unwrap();
    }
    largest
}

fn trained(panel: &Panel, detectors: Option<&str>) -> Arc<FittedPipeline> {
    let catalog = Catalog::default();
    let layers = catalog.layers();
    let config = match detectors {
        Some(toml) => layers.toml(toml).unwrap().build().unwrap(),
        None => layers.build().unwrap(),
    };
    let pipeline = Pipeline::builder().config(config).build().unwrap();
    Arc::new(pipeline.fit(&part(panel, 0..TRAINED)).unwrap())
}

#[test]
fn scored_rows_are_those_of_the_batch_whatever_happens() {
    let config = GeneratorConfig {
        brands: 3,
        days: (TRAINED + FOLLOWED) / 24,
        seed: 11,
        quiet_days: 7,
        missing_share: 0.0,
        anomaly_share: 0.05,
        ..GeneratorConfig::default()
    };
    let panel = GeneratedFunnel::generate(&config).unwrap().panel().clone();
    check(
        "a generated shop",
        &panel,
        &trained(&panel, Some("pipeline.detectors = ['zscore', 'incidents', 'changepoint']")),
        Extent::all(1).or(),
    );
}

#[test]
fn scored_rows_of_made_up_shops_are_those_of_the_batch() {
    let Some(folder) = shared_file("data/shops") else { return };
    let mut shops: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    shops.retain(|shop| shop.join("gold.parquet").exists());
    shops.sort();
    let few = if std::env::var_os(KILLS).is_some() { shops.len() } else { 1 };
    for shop in &shops[..few] {
        let table = Table::read(&shop.join("gold.parquet")).unwrap();
        let panel = largest(&read_panel(&table, &PanelSpec::funnel()).unwrap().panel);
        let name = shop.file_name().unwrap().to_string_lossy();
        assert!(panel.len() > 1, "{name}: no series on a common grid");
        check(&name, &panel, &trained(&panel, None), FEW.or());
    }
}

/// A table of sales as a funnel: lines, customers and orders of an hour in the place of views, carts and purchases. A series
/// without a row in an hour in which another has one sold nothing. Amounts are whole millionths, as they are of events; rows
/// of a series begin with its first event, so only those series that have one in the first hour that is followed have all.
fn retail(table: &Table, key: &str) -> Panel {
    let time = table.time_column("window_start").unwrap();
    let names = table.string_column(key).unwrap();
    let columns = ["lines", "customers", "orders", "revenue"].map(|name| table.f64_column(name).unwrap());
    let hours: std::collections::BTreeSet<Timestamp> = time.iter().copied().collect();
    let hours: Vec<Timestamp> = hours.into_iter().collect();
    let mut values: BTreeMap<&str, ndarray::Array2<f64>> = BTreeMap::new();
    for (row, name) in names.iter().enumerate() {
        let Some(name) = name.as_deref() else { continue };
        let all = values.entry(name).or_insert_with(|| ndarray::Array2::zeros((hours.len(), 4)));
        let hour = hours.binary_search(&time[row]).unwrap();
        for (column, cells) in columns.iter().enumerate() {
            all[[hour, column]] = (cells[row] * 1e6).round() / 1e6;
        }
    }
    let columns = funnelpulse_core::Columns::new(GOLD_COLUMNS).unwrap();
    let mut panel = Panel::new(columns.clone());
    for (name, values) in values.into_iter().filter(|(_, values)| values[[TRAINED, 0]] > 0.0) {
        panel.insert(name, Frame::new(hours.clone(), columns.clone(), values).unwrap()).unwrap();
    }
    panel
}

#[test]
fn scored_rows_of_a_real_retail_table_are_those_of_the_batch() {
    for (file, key) in [("country", "Country"), ("stockfamily", "family")] {
        let Some(path) = shared_file(&format!("data/ecommerce/online_retail_hourly_{file}.parquet")) else { return };
        let panel = largest(&retail(&Table::read(&path).unwrap(), key));
        assert!(panel.len() > 1, "{file}: no series to follow");
        check(&format!("retail by {file}"), &panel, &trained(&panel, None), FEW.or());
    }
}
