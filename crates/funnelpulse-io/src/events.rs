//! Tables of events.

use std::{collections::BTreeSet, ops::ControlFlow, path::Path};

use arrow::{
    array::{Array, RecordBatch, StringArray},
    datatypes::DataType,
};
use funnelpulse_core::Timestamp;
use funnelpulse_features::{
    Cube, CubeBuilder, Event, EventSpec, FunnelBuilder, Gold, PanelSpec, Rejection, price_band,
};

use rayon::prelude::*;

use crate::{
    InputKind, IoError, ReadOptions, Table,
    cells::{self, Cells},
};

/// Sums up a table of events. Broken rows are counted in the report, with the first of them
/// named by their number over the whole table, counted from one without the header.
///
/// ```
/// use funnelpulse_features::EventSpec;
/// use funnelpulse_io::{Table, read_events};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.csv");
/// std::fs::write(&path, "\
/// event_time,event_type,product_id,brand,price,user_id,user_session
/// 2019-10-01 00:00:01 UTC,view,1,Runail,2.5,7,a
/// 2019-10-01 00:09:00 UTC,purchase,1,runail,2.5,7,a
/// yesterday,view,1,runail,2.5,7,a
/// ")?;
/// let gold = read_events(&Table::read(&path)?, &EventSpec::default(), 3600)?;
/// assert_eq!(gold.panel.get("runail").unwrap().values(), ndarray::array![[1.0, 0.0, 1.0, 2.5]]);
/// assert_eq!(gold.report.rejected_total(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_events(table: &Table, spec: &EventSpec, step_seconds: u64) -> Result<Gold, IoError> {
    let mut funnel = FunnelBuilder::new(spec, step_seconds)?;
    check_dimensions(table, spec)?;
    read(table, spec, &[], |row| count(&mut funnel, row))?;
    Ok(funnel.finish()?)
}

/// Reads a file or a folder of events piece by piece, so that memory grows with the table that is made
/// of them and not with their number; with the rows read. `None` where the file holds regular
/// rows of `panel` instead, as [`recognise`](crate::recognise) tells.
///
/// ```
/// use funnelpulse_features::{EventSpec, PanelSpec};
/// use funnelpulse_io::{ReadOptions, scan_events};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.csv");
/// std::fs::write(&path, "\
/// event_time,event_type,product_id,brand,price,user_id,user_session
/// 2019-10-01 00:00:01 UTC,view,1,runail,2.5,7,a
/// ")?;
/// let (panel, events) = (PanelSpec::funnel(), EventSpec::default());
/// let (gold, rows) = scan_events(&path, &ReadOptions::default(), &panel, &events)?.expect("events");
/// assert_eq!((gold.report.views, rows), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn scan_events(
    path: &Path,
    options: &ReadOptions,
    panel: &PanelSpec,
    events: &EventSpec,
) -> Result<Option<(Gold, usize)>, IoError> {
    let mut funnel = FunnelBuilder::new(events, panel.step_seconds)?;
    let columns = options.columns.clone().or_else(|| Some(wanted_columns(panel, events)));
    let options = ReadOptions { columns, ..options.clone() };
    let (mut rows, mut kind) = (0, None);
    Table::scan(path, &options, |piece| {
        if kind.is_none() {
            kind = Some(crate::recognise(piece, panel, events)?);
            check_dimensions(piece, events)?;
        }
        if kind == Some(InputKind::Hourly) {
            return Ok(ControlFlow::Break(()));
        }
        rows += piece.num_rows();
        read_rows(piece, events, &[], &mut |row| count(&mut funnel, row))?;
        Ok(ControlFlow::Continue(()))
    })?;
    match kind {
        Some(InputKind::Hourly) => Ok(None),
        _ if rows == 0 => Err(IoError::Empty { path: path.to_path_buf(), what: "no rows" }),
        _ => Ok(Some((funnel.finish()?, rows))),
    }
}

/// Refuses a table without one of the dimensions: now rather than when all the work is done and
/// somebody asks where.
fn check_dimensions(table: &Table, spec: &EventSpec) -> Result<(), IoError> {
    let lacking: Vec<&str> = spec.further_dimensions().filter(|c| !table.has(c)).collect();
    if lacking.is_empty() { Ok(()) } else { Err(table.missing(&lacking)) }
}

fn count(funnel: &mut FunnelBuilder, row: Row<'_>) {
    match row {
        Row::Event(event, identity, _) => funnel.push_identified(&event, identity),
        Row::Rejected(reason, value) => funnel.reject(reason, value),
    }
}

/// Counts a table of events per window, key and [dimension](EventSpec::dimensions), of `only` these
/// windows where they are named. Rows count exactly as in [`read_events`].
///
/// The column of the price, and any other column of numbers that are not whole, is taken in
/// [bands](price_band). Of a column of text its first rows decide whether it holds such numbers.
///
/// ```
/// use funnelpulse_features::EventSpec;
/// use funnelpulse_io::{Table, read_cube};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.csv");
/// std::fs::write(&path, "\
/// event_time,event_type,product_id,brand,price,user_id,user_session,device
/// 2019-10-01 00:00:01 UTC,view,1,runail,2.5,7,a,mobile
/// 2019-10-01 00:09:00 UTC,view,1,runail,2.5,8,b,desktop
/// ")?;
/// let spec = EventSpec { dimensions: vec!["device".into(), "price".into()], ..EventSpec::default() };
/// let cube = read_cube(&Table::read(&path)?, &spec, 3600, None)?;
/// let values: Vec<_> = cube.leaves()[0].values.iter().flatten().map(|v| &**v).collect();
/// assert_eq!(values, ["runail", "desktop", "2-5"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_cube(
    table: &Table,
    spec: &EventSpec,
    step_seconds: u64,
    only: Option<BTreeSet<Timestamp>>,
) -> Result<Cube, IoError> {
    let mut cube = CubeBuilder::new(spec, step_seconds)?;
    if let Some(windows) = only {
        cube = cube.only(windows);
    }
    let dimensions: Vec<&str> = spec.further_dimensions().collect();
    read(table, spec, &dimensions, |row| {
        if let Row::Event(event, identity, values) = row {
            cube.push_identified(&event, identity, values);
        }
    })?;
    Ok(cube.finish())
}

/// The names of the columns that [`recognise`](crate::recognise) and then [`read_events`] or
/// [`read_panel`](crate::read_panel) look at, for [`ReadOptions::columns`](crate::ReadOptions).
///
/// ```
/// use funnelpulse_features::{EventSpec, PanelSpec};
/// use funnelpulse_io::wanted_columns;
///
/// let names = wanted_columns(&PanelSpec::funnel(), &EventSpec::default());
/// assert!(names.contains(&"user_session".to_owned()) && names.contains(&"views".to_owned()));
/// ```
pub fn wanted_columns(panel: &PanelSpec, events: &EventSpec) -> Vec<String> {
    let metrics = panel.stored().flat_map(|m| std::iter::once(&m.name).chain(&m.aliases));
    let rows = std::iter::once(&panel.time).chain(&panel.time_aliases).chain(&panel.keys).chain(metrics);
    rows.map(String::as_str).chain(events.columns()).chain(events.further_dimensions()).map(str::to_owned).collect()
}

/// The columns of a table of events that could be dimensions: all that are not part of an event
/// otherwise and hold neither times nor numbers that are not whole.
pub fn further_columns(table: &Table, spec: &EventSpec) -> Vec<String> {
    let known: Vec<&str> = spec.columns().collect();
    let fits = |name: &&String| {
        let types = || table.batches().iter().filter_map(|b| b.column_by_name(name)).map(Array::data_type);
        let refused = |t: &DataType| t.is_temporal() || t.is_nested();
        !known.contains(&name.as_str()) && !types().any(refused) && !holds_fractions(table, name)
    };
    table.columns().iter().filter(fits).cloned().collect()
}

/// A row of a table of events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventRow<'a> {
    /// An event, and its [identity](Event::identity).
    Event(&'a Event<'a>, Option<u128>),
    /// A row that is no event, and the value that is wrong.
    Rejected(Rejection, &'a str),
}

/// Hands out the rows of a table of events in order, without summing them up.
///
/// ```
/// use funnelpulse_features::EventSpec;
/// use funnelpulse_io::{EventRow, Table, each_event};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.csv");
/// std::fs::write(&path, "\
/// event_time,event_type,product_id,brand,price,user_id,user_session
/// 2019-10-01 00:00:01 UTC,view,1,Runail,2.5,7,a
/// yesterday,view,1,runail,2.5,7,a
/// ")?;
/// let mut types = Vec::new();
/// each_event(&Table::read(&path)?, &EventSpec::default(), |row| match row {
///     EventRow::Event(event, _) => types.push(event.event_type.to_owned()),
///     EventRow::Rejected(reason, value) => types.push(format!("{reason}: {value}")),
/// })?;
/// assert_eq!(types, ["view", "no readable time: yesterday"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn each_event(table: &Table, spec: &EventSpec, mut take: impl FnMut(EventRow<'_>)) -> Result<(), IoError> {
    read(table, spec, &[], |row| match row {
        Row::Event(event, identity, _) => take(EventRow::Event(&event, identity)),
        Row::Rejected(reason, value) => take(EventRow::Rejected(reason, value)),
    })
}

/// A row as it was read.
enum Row<'a> {
    /// An event, its identity and its values of the dimensions.
    Event(Event<'a>, Option<u128>, &'a [Option<&'a str>]),
    Rejected(Rejection, &'a str),
}

/// Batches that are taken apart together, per thread: enough for all to have work, few enough that
/// what they were taken apart into takes little memory.
const BATCHES_PER_THREAD: usize = 2;

/// Reads the rows of a table in order; one without rows is an error.
fn read(table: &Table, spec: &EventSpec, dimensions: &[&str], mut take: impl FnMut(Row<'_>)) -> Result<(), IoError> {
    let lacking: Vec<&str> = spec.columns().chain(dimensions.iter().copied()).filter(|c| !table.has(c)).collect();
    if !lacking.is_empty() {
        return Err(table.missing(&lacking));
    }
    if table.num_rows() == 0 {
        return Err(IoError::Empty { path: table.source().to_path_buf(), what: "no rows" });
    }
    read_rows(table, spec, dimensions, &mut take)
}

/// The same; batches are taken apart on all threads.
fn read_rows(
    table: &Table,
    spec: &EventSpec,
    dimensions: &[&str],
    take: &mut impl FnMut(Row<'_>),
) -> Result<(), IoError> {
    let banded: Vec<bool> =
        dimensions.iter().map(|name| **name == spec.price || holds_fractions(table, name)).collect();
    let wave = BATCHES_PER_THREAD * rayon::current_num_threads();
    if let [batch] = table.batches() {
        // With nothing to do beside it, identities are found on the way.
        Parts::of(table, batch, spec, dimensions, &banded)?.rows(take);
        return Ok(());
    }
    for batches in table.batches().chunks(wave) {
        let apart =
            batches.par_iter().map(|batch| Parts::of(table, batch, spec, dimensions, &banded).map(Parts::identified));
        for parts in apart.collect::<Vec<_>>() {
            parts?.rows(take);
        }
    }
    Ok(())
}

/// The columns of a batch of events.
struct Parts {
    times: Cells<Option<Timestamp>>,
    prices: Cells<f64>,
    types: StringArray,
    product: StringArray,
    user: StringArray,
    session: StringArray,
    keys: Vec<StringArray>,
    places: Vec<StringArray>,
    /// Of every row, or empty: not known yet.
    identities: Vec<Option<u128>>,
}

impl Parts {
    fn of(
        table: &Table,
        batch: &RecordBatch,
        spec: &EventSpec,
        dimensions: &[&str],
        banded: &[bool],
    ) -> Result<Self, IoError> {
        let text = |name: &str| table.texts_of(batch, name);
        let places = dimensions.iter().zip(banded).map(|(name, banded)| place(table, batch, name, *banded));
        Ok(Self {
            times: table.times_of(batch, &spec.time)?,
            prices: table.cells_of(batch, &spec.price, "numbers", cells::numbers)?,
            types: text(&spec.event_type)?,
            product: text(&spec.product)?,
            user: text(&spec.user)?,
            session: text(&spec.session)?,
            keys: spec.keys.iter().map(|k| text(k)).collect::<Result<_, _>>()?,
            places: places.collect::<Result<_, _>>()?,
            identities: Vec::new(),
        })
    }

    /// With the identities of all rows: most of the work on them.
    fn identified(self) -> Self {
        let identity =
            |(row, time): (usize, &Option<Timestamp>)| time.and_then(|time| self.event(row, time, &[]).identity());
        let identities = self.times.values.iter().enumerate().map(identity).collect();
        Self { identities, ..self }
    }

    fn event<'a>(&'a self, row: usize, time: Timestamp, keys: &'a [Option<&'a str>]) -> Event<'a> {
        Event {
            time,
            event_type: at(&self.types, row).unwrap_or_default(),
            keys,
            product: at(&self.product, row),
            user: at(&self.user, row),
            session: at(&self.session, row),
            price: Some(self.prices.values[row]).filter(|p| !p.is_nan()),
        }
    }

    fn bad_price(&self, row: usize) -> Option<&str> {
        // Empty as a rule, and looked at for every row.
        if self.prices.bad.is_empty() { None } else { self.prices.bad.get(&row).map(String::as_str) }
    }

    fn rows(&self, take: &mut impl FnMut(Row<'_>)) {
        let (mut key, mut values) = (Vec::with_capacity(self.keys.len()), Vec::with_capacity(self.places.len()));
        for (row, time) in self.times.values.iter().enumerate() {
            let Some(time) = *time else {
                take(Row::Rejected(Rejection::Time, self.times.bad.get(&row).map_or("", String::as_str)));
                continue;
            };
            if let Some(price) = self.bad_price(row) {
                take(Row::Rejected(Rejection::Price, price));
                continue;
            }
            key.clear();
            key.extend(self.keys.iter().map(|k| at(k, row)));
            values.clear();
            values.extend(self.places.iter().map(|p| at(p, row)));
            let event = self.event(row, time, &key);
            let identity = self.identities.get(row).copied().unwrap_or_else(|| event.identity());
            take(Row::Event(event, identity, &values));
        }
    }
}

/// Whether a column holds numbers that are not whole, by its first rows.
fn holds_fractions(table: &Table, name: &str) -> bool {
    const LOOKED_AT: usize = 1000;
    let columns = table.batches().iter().filter_map(|b| b.column_by_name(name));
    for column in columns {
        let rows = column.slice(0, column.len().min(LOOKED_AT));
        match cells::numbers(&rows) {
            Ok(Some(found)) if found.bad.is_empty() && found.good == 0 => {}
            Ok(Some(found)) => {
                return found.bad.is_empty() && found.values.iter().any(|v| v.fract() != 0.0 && !v.is_nan());
            }
            _ => return false,
        }
    }
    false
}

/// The values of a dimension, as text.
fn place(table: &Table, batch: &RecordBatch, dimension: &str, banded: bool) -> Result<StringArray, IoError> {
    if banded {
        let numbers = table.cells_of(batch, dimension, "numbers", cells::numbers)?;
        return Ok(numbers.values.into_iter().map(price_band).collect());
    }
    table.texts_of(batch, dimension)
}

/// The text of a row; empty is as good as null.
fn at(texts: &StringArray, row: usize) -> Option<&str> {
    let text = texts.is_valid(row).then(|| texts.value(row))?;
    (!text.is_empty()).then_some(text)
}
