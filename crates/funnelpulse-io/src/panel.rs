//! Tables of regular rows.

mod merge;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
};

use arrow::array::Array;
use funnelpulse_core::{Columns, Frame, Panel, SeriesKey, Timestamp};
use funnelpulse_features::{Absent, Duplicates, MetricKind, NO_KEY, PanelSpec, Unsorted, fill_known_empty};

use crate::{IoError, StrayRow, Table, cells::Cells, set_aside_strays, table::Place};

/// The series of a table and those that had to be left out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PanelRead {
    /// The series without a problem.
    pub panel: Panel,
    /// What is wrong with the others: the first problem of each, ordered by name.
    pub problems: Vec<SeriesProblem>,
    /// Rows of the table, of good series and bad.
    pub rows_read: usize,
    /// Rows of good series that went into another row of the same window, as
    /// [`PanelSpec::duplicates`] says.
    pub duplicates: usize,
    /// Rows far from all others, which are not in the panel; see [`set_aside_strays`].
    pub strays: Vec<StrayRow>,
}

/// Why a series was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesProblem {
    /// The series.
    pub series: SeriesKey,
    /// The row in its file, counted from one without the header; in CSV files the line, counted
    /// from one with the header, as an editor does.
    pub row: usize,
    /// What is wrong, with place, column and value.
    pub message: String,
}

impl std::fmt::Display for SeriesProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "series `{}` is left out: {}", self.series, self.message)
    }
}

/// Reads a table of regular rows, one per series and window.
///
/// Columns are found by the names and aliases of the specification; others are left out. An empty
/// or null cell is a missing value. A null or empty key names the series
/// [`(none)`](funnelpulse_features::NO_KEY).
///
/// What is wrong with the table as a whole (a column missing or of the wrong type, no rows) is an
/// error. What is wrong with a row concerns its series only, which is then reported and left out:
/// NaN or infinity written as a value, text where a number should be, a negative count (amounts may
/// be negative), a time that is missing, unreadable or off the grid of steps of the table, two rows of one
/// window that differ, unless the specification says [what to do with them](PanelSpec::duplicates), and,
/// unless it says to sort, time that runs backwards.
///
/// Rows far from all others, a row of 1970 among those of last year, are set aside, see
/// [`set_aside_strays`].
///
/// ```
/// use funnelpulse_features::PanelSpec;
/// use funnelpulse_io::{Table, read_panel};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("hours.csv");
/// std::fs::write(&path, "\
/// window_start,brand,views,cart_additions,purchases,revenue
/// 2019-10-01 05:00:00,runail,12,3,1,2.5
/// 2019-10-01 05:00:00,irisk,-4,0,0,0
/// ")?;
/// let read = read_panel(&Table::read(&path)?, &PanelSpec::funnel())?;
/// assert_eq!(read.panel.get("runail").unwrap().column("carts")?[0], 3.0);
/// assert_eq!(
///     read.problems[0].to_string(),
///     "series `irisk` is left out: line 3: column `views` is -4, a count can't be negative"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_panel(table: &Table, spec: &PanelSpec) -> Result<PanelRead, IoError> {
    spec.validate()?;
    let layout = Layout::find(table, spec)
        .map_err(|lacking| table.missing(&lacking.iter().map(String::as_str).collect::<Vec<_>>()))?;
    if table.num_rows() == 0 {
        return Err(IoError::Empty { path: table.source().to_path_buf(), what: "no rows" });
    }
    let step = spec.step_seconds as i64 * Timestamp::SECOND;
    let times = table.times(layout.time)?;
    let rows = Rows {
        phase: phase(&times, step),
        step,
        times,
        metrics: layout.metrics.iter().map(|(name, _)| table.numbers(name)).collect::<Result<_, _>>()?,
        layout,
        unsorted: spec.unsorted,
        duplicates: spec.duplicates,
        columns: spec.columns(),
    };
    let mut read = PanelRead {
        panel: Panel::new(spec.columns()),
        problems: Vec::new(),
        rows_read: table.num_rows(),
        duplicates: 0,
        strays: Vec::new(),
    };
    for (series, members) in group(table, &rows.layout.keys)? {
        match rows.frame(table, members) {
            Ok((frame, merged)) => {
                read.panel.insert(series, frame)?;
                read.duplicates += merged;
            }
            Err((row, what)) => {
                let place = table.place(row);
                let message = format!("{place}: {what}");
                read.problems.push(SeriesProblem { series, row: place.number, message });
            }
        }
    }
    (read.panel, read.strays) = set_aside_strays(read.panel)?;
    if spec.absent == Absent::Empty {
        read.panel = fill_known_empty(read.panel)?;
    }
    Ok(read)
}

/// Where the columns of a specification are in a table.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    time: &'a str,
    keys: Vec<&'a str>,
    metrics: Vec<(&'a str, &'a MetricKind)>,
}

impl<'a> Layout<'a> {
    /// Or the names that are missing.
    pub(crate) fn find(table: &Table, spec: &'a PanelSpec) -> Result<Self, Vec<String>> {
        let mut lacking = Vec::new();
        let mut find = |name: &'a str, aliases: &'a [String]| {
            let found = std::iter::once(name).chain(aliases.iter().map(String::as_str)).find(|n| table.has(n));
            found.unwrap_or_else(|| {
                lacking.push(name.to_owned());
                name
            })
        };
        let layout = Self {
            time: find(&spec.time, &spec.time_aliases),
            keys: spec.keys.iter().map(|k| find(k, &[])).collect(),
            metrics: spec.stored().map(|m| (find(&m.name, &m.aliases), &m.kind)).collect(),
        };
        if lacking.is_empty() { Ok(layout) } else { Err(lacking) }
    }
}

/// Where within a step most of the rows are: weeks start on a Monday, and hours at half past where
/// the clock differs from UTC by half an hour.
fn phase(times: &Cells<Option<Timestamp>>, step: i64) -> i64 {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for time in times.values.iter().flatten() {
        *counts.entry(time.as_micros().rem_euclid(step)).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(0, |(phase, _)| phase)
}

/// The rows of each series, in order of the names.
fn group(table: &Table, keys: &[&str]) -> Result<BTreeMap<SeriesKey, Vec<usize>>, IoError> {
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut members: Vec<(SeriesKey, Vec<usize>)> = Vec::new();
    let (mut name, mut first_row) = (String::new(), 0);
    for batch in table.batches() {
        let texts = keys.iter().map(|key| table.texts_of(batch, key)).collect::<Result<Vec<_>, _>>()?;
        let mut parts = Vec::with_capacity(keys.len());
        for row in 0..batch.num_rows() {
            parts.clear();
            parts.extend(texts.iter().map(|texts| {
                let text = texts.is_valid(row).then(|| texts.value(row)).filter(|t| !t.trim().is_empty());
                text.unwrap_or(NO_KEY)
            }));
            name.clear();
            for part in &parts {
                // With the length in front, different parts never make the same text.
                let _ = write!(name, "{}:{part}", part.len());
            }
            let id = ids.get(&name).copied().unwrap_or_else(|| {
                ids.insert(name.clone(), members.len());
                members.push((SeriesKey::from_parts(&parts), Vec::new()));
                members.len() - 1
            });
            members[id].1.push(first_row + row);
        }
        first_row += batch.num_rows();
    }
    Ok(members.into_iter().collect())
}

/// The decoded table.
struct Rows<'a> {
    layout: Layout<'a>,
    columns: Columns,
    times: Cells<Option<Timestamp>>,
    metrics: Vec<Cells<f64>>,
    step: i64,
    /// Where the grid of times starts within a step.
    phase: i64,
    unsorted: Unsorted,
    duplicates: Duplicates,
}

impl Rows<'_> {
    /// The frame of one series and how many rows went into others, or the row that forbids it and why.
    fn frame(&self, table: &Table, members: Vec<usize>) -> Result<(Frame, usize), (usize, String)> {
        let mut rows = Vec::with_capacity(members.len());
        let mut shown: BTreeSet<Timestamp> = BTreeSet::new();
        for row in members {
            let mut time = self.check(row).map_err(|what| (row, what))?;
            // The clock showed this time twice, and this is the second row that says so.
            if let Some(Some(later)) = self.times.later.get(&row)
                && !shown.insert(time)
            {
                time = *later;
            }
            rows.push((time, row));
        }
        match self.unsorted {
            Unsorted::Sort => rows.sort_by_key(|(time, _)| *time),
            Unsorted::Refuse => {
                if let Some(pair) = rows.windows(2).find(|pair| pair[1].0 < pair[0].0) {
                    return Err((pair[1].1, self.backwards(table, &rows, pair[0].0, pair[1])));
                }
            }
        }
        let (before, first) = (rows.len(), rows.first().map_or(0, |(_, row)| *row));
        let (time, values) = self.merge(rows).map_err(|(first, row)| {
            let time = self.times.values[row].unwrap_or_default();
            (row, self.twice(time, &table.place(first)))
        })?;
        let merged = before - time.len();
        let frame = Frame::new(time, self.columns.clone(), values);
        Ok((frame.map_err(|error| (first, error.to_string()))?, merged))
    }

    /// Why a row that comes after a later one is refused.
    fn backwards(
        &self,
        table: &Table,
        rows: &[(Timestamp, usize)],
        before: Timestamp,
        (now, row): (Timestamp, usize),
    ) -> String {
        match rows.iter().find(|(time, twin)| *time == now && *twin < row) {
            Some((_, twin)) if self.duplicates == Duplicates::Error => self.twice(now, &table.place(*twin)),
            _ => format!("time {now} comes after {before}; sort the rows or set unsorted = \"sort\""),
        }
    }

    fn twice(&self, time: Timestamp, first: &Place) -> String {
        format!(
            "column `{}` is {time}, as in {first}; a series has one row per window, or set duplicates to sum, first, \
             last or mean",
            self.layout.time
        )
    }

    /// The time of the row, when everything in it is as it should be.
    fn check(&self, row: usize) -> Result<Timestamp, String> {
        let column = self.layout.time;
        let Some(time) = self.times.values[row] else {
            return Err(match self.times.bad.get(&row) {
                Some(text) => format!("column `{column}` is `{text}`, not a time such as 2019-10-01 13:00:00"),
                None => format!("column `{column}` is empty, every row needs a time"),
            });
        };
        if time.as_micros().rem_euclid(self.step) != self.phase {
            let seconds = self.step / Timestamp::SECOND;
            return Err(format!("column `{column}` is {time}, off the table's grid of {seconds} seconds"));
        }
        for ((column, kind), cells) in self.layout.metrics.iter().zip(&self.metrics) {
            let value = cells.values[row];
            if let Some(text) = cells.bad.get(&row) {
                return Err(if text.parse::<f64>().is_ok() {
                    format!("column `{column}` is {text}; leave the cell empty where the value is missing")
                } else {
                    format!("column `{column}` is `{text}`, not a number")
                });
            }
            if value.is_infinite() {
                return Err(format!("column `{column}` is {value}, not a finite number"));
            }
            if value < 0.0 && matches!(kind, MetricKind::Count) {
                return Err(format!("column `{column}` is {value}, a count can't be negative"));
            }
        }
        Ok(time)
    }
}
