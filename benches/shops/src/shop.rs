//! Reading a shop's files.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use funnelpulse_core::{Columns, Frame, Panel, SeriesKey, Timestamp};
use funnelpulse_incidents::CalendarEntry;
use funnelpulse_io::Table;
use ndarray::Array2;

const COLUMNS: [&str; 4] = ["views", "carts", "purchases", "revenue"];

/// A labelled shop.
pub(crate) struct Shop {
    pub(crate) panel: Panel,
    pub(crate) time_zone: String,
    pub(crate) calendar: Vec<CalendarEntry>,
    /// Labels of each series, in the order of its rows.
    pub(crate) labels: BTreeMap<SeriesKey, Vec<Label>>,
    pub(crate) events: Vec<Event>,
}

/// The label of a row.
#[derive(Clone, Copy)]
pub(crate) struct Label {
    pub(crate) is_anomaly: bool,
    /// -1: none.
    pub(crate) event: i64,
    pub(crate) ignore: bool,
}

/// A planted event.
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) shape: String,
    pub(crate) scope: String,
    pub(crate) effect: String,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) rows: f64,
    pub(crate) detectability: f64,
    pub(crate) expected_revenue: f64,
    pub(crate) lost_revenue: f64,
}

impl Shop {
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let gold = Table::read(&folder.join("gold.parquet"))?;
        let labels = Table::read(&folder.join("labels.parquet"))?;
        let brands = strings(&gold, "brand")?;
        let time = gold.time_column("window_start")?;
        let values = COLUMNS.map(|name| gold.f64_column(name));
        let values = values.into_iter().collect::<Result<Vec<_>, _>>()?;
        let flag = |name: &str| labels.f64_column(name);
        let (anomaly, ignore, event) = (flag("is_anomaly")?, flag("ignore")?, flag("event_id")?);
        let mut rows: BTreeMap<SeriesKey, Vec<usize>> = BTreeMap::new();
        for (row, brand) in brands.iter().enumerate() {
            rows.entry(SeriesKey::new(brand.as_str())).or_default().push(row);
        }
        let columns = Columns::new(COLUMNS)?;
        let mut panel = Panel::new(columns.clone());
        let mut labels = BTreeMap::new();
        for (key, rows) in rows {
            let matrix = Array2::from_shape_fn((rows.len(), COLUMNS.len()), |(row, column)| values[column][rows[row]]);
            let frame = Frame::new(rows.iter().map(|&row| time[row]).collect(), columns.clone(), matrix)?;
            panel.insert(key.clone(), frame)?;
            let label = |&row: &usize| Label {
                is_anomaly: anomaly[row] > 0.0,
                event: event[row] as i64,
                ignore: ignore[row] > 0.0,
            };
            labels.insert(key, rows.iter().map(label).collect());
        }
        let meta: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("meta.json"))?)?;
        let time_zone = meta["time_zone"].as_str().context("no time_zone in meta.json")?.to_owned();
        let calendar = calendar(&folder.join("calendar.csv"))?;
        Ok(Self { panel, time_zone, calendar, labels, events: events(folder)? })
    }
}

impl Shop {
    /// The time after a share of the hours.
    pub(crate) fn time_at(&self, share: f64) -> Timestamp {
        let times = || self.panel.iter().flat_map(|(_, frame)| frame.time().iter().map(|t| t.as_micros()));
        let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        Timestamp::from_micros(first + ((last - first) as f64 * share) as i64).floor_to(Timestamp::DAY)
    }

    /// The times of the rows of an event in a series.
    pub(crate) fn times_of(&self, key: &SeriesKey, frame: &Frame, event: i64) -> Vec<Timestamp> {
        let labelled = frame.time().iter().zip(&self.labels[key]);
        labelled.filter(|(_, label)| label.event == event && label.is_anomaly).map(|(time, _)| *time).collect()
    }

    /// The rows before a time.
    pub(crate) fn until(&self, time: Timestamp) -> anyhow::Result<Panel> {
        self.between(Timestamp::from_micros(i64::MIN), time)
    }

    /// The rows from one time to before another.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> anyhow::Result<Panel> {
        let mut panel = Panel::new(self.panel.columns().clone());
        for (key, frame) in &self.panel {
            let [first, last] = [from, to].map(|time| frame.time().partition_point(|t| *t < time));
            if first < last {
                panel.insert(key.clone(), frame.view().rows(first..last).to_frame())?;
            }
        }
        Ok(panel)
    }
}

fn strings(table: &Table, name: &str) -> anyhow::Result<Vec<String>> {
    let values = table.string_column(name)?;
    Ok(values.into_iter().map(Option::unwrap_or_default).collect())
}

fn calendar(path: &Path) -> anyhow::Result<Vec<CalendarEntry>> {
    let mut entries = Vec::new();
    for record in csv::Reader::from_path(path)?.records() {
        let record = record?;
        let mut entry = CalendarEntry::new(&record[0], &record[1], &record[4], &record[5]);
        entry.series = record[3].split(';').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        entries.push(entry);
    }
    Ok(entries)
}

fn events(folder: &Path) -> anyhow::Result<Vec<Event>> {
    let table = Table::read(&folder.join("events.parquet"))?;
    if table.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let text = |name: &str| strings(&table, name);
    let number = |name: &str| table.f64_column(name);
    let (kind, shape, scope, effect) = (text("kind")?, text("shape")?, text("scope")?, text("effect")?);
    let (start, end) = (table.time_column("start")?, table.time_column("end")?);
    let (id, rows, detectability) = (number("event_id")?, number("rows")?, number("detectability")?);
    let (expected, lost) = (number("expected_revenue")?, number("lost_revenue_recorded")?);
    let event = |i: usize| Event {
        id: id[i] as i64,
        kind: kind[i].clone(),
        shape: shape[i].clone(),
        scope: scope[i].clone(),
        effect: effect[i].clone(),
        start: start[i],
        end: end[i],
        rows: rows[i],
        detectability: detectability[i],
        expected_revenue: expected[i],
        lost_revenue: lost[i],
    };
    Ok((0..kind.len()).map(event).collect())
}
