//! From a path to a panel, and from settings to a configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, bail};
use funnelpulse::{
    Config, Feedback, Findings, Incident, SeriesFailure,
    analytics::{HISTORY_DAYS, LocalizeConfig, windows_of_incidents},
    core::{Panel, SeriesKey, Timestamp, counted},
    features::{Gold, IngestReport, NO_KEY},
    io::{
        InputKind, PanelRead, ReadOptions, StrayRow, Table, read_cube, read_events, read_panel, recognise, scan_events,
        set_aside_strays, wanted_columns,
    },
};

use crate::{
    args::Settings,
    context::{READ, catalog},
    output,
};

/// Incidents of which it is found out where they happened.
const MAX_LOCATED: usize = 200;

/// Defaults, file, environment, flags.
pub(crate) fn configuration(settings: &Settings) -> anyhow::Result<Config> {
    let catalog = catalog();
    let mut layers = settings.preset.map_or_else(|| catalog.layers(), |p| p.layers(&catalog));
    if let Some(file) = &settings.config {
        layers = layers.file(file)?;
    }
    layers = layers.environment()?;
    for setting in &settings.overrides {
        let (key, value) = split_setting(setting, "--set", "iforest.n_trees=200")?;
        layers = layers.set(key, value)?;
    }
    let origin = || settings.config.as_ref().map_or("configuration".to_owned(), |f| f.display().to_string());
    layers.build().with_context(origin)
}

/// `key=value`.
pub(crate) fn split_setting<'a>(text: &'a str, flag: &str, example: &str) -> anyhow::Result<(&'a str, &'a str)> {
    let Some((key, value)) = text.split_once('=') else {
        bail!("{flag} {text}: expected a name and a value, for example {flag} {example}");
    };
    Ok((key.trim(), value.trim()))
}

/// A column that names series; an empty cell is the series without a name.
pub(crate) fn series_names(table: &Table, column: &str) -> anyhow::Result<Vec<String>> {
    let names = table.string_column(column)?.into_iter();
    Ok(names.map(|n| n.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| NO_KEY.to_owned())).collect())
}

/// What people said of alarms.
pub(crate) fn feedback(path: &Path) -> anyhow::Result<Vec<Feedback>> {
    let table = Table::read(path)?;
    let (series, verdicts) = (table.string_column("series")?, table.string_column("verdict")?);
    let (starts, ends) = (table.time_column("start")?, table.time_column("end")?);
    let answer = |row: usize| {
        let place = format!("{}: row {}", path.display(), row + 1);
        let (start, end) = (starts[row], ends[row]);
        if start >= end {
            bail!("{place}: the end, {end}, is not after the start, {start}");
        }
        let is_incident = match verdicts[row].as_deref().map(str::trim) {
            Some("incident") => true,
            Some("false_alarm") => false,
            other => bail!("{place}: a verdict is `incident` or `false_alarm`, found `{}`", other.unwrap_or_default()),
        };
        let series = SeriesKey::new(series[row].as_deref().unwrap_or(NO_KEY));
        Ok(Feedback { series, start, end, is_incident })
    };
    (0..table.num_rows()).map(answer).collect()
}

/// One series of a table: its name and its rows, in order.
pub(crate) type SeriesRows = (String, Vec<usize>);

/// The series in the order in which they first appear; without a column the whole table is one.
pub(crate) fn rows_by_series(table: &Table, column: Option<&str>) -> anyhow::Result<Vec<SeriesRows>> {
    let Some(column) = column else {
        return Ok(vec![(table.source().display().to_string(), (0..table.num_rows()).collect())]);
    };
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    let mut all: Vec<SeriesRows> = Vec::new();
    for (row, name) in series_names(table, column)?.into_iter().enumerate() {
        let at = *index.entry(name).or_insert_with_key(|name| {
            all.push((name.clone(), Vec::new()));
            all.len() - 1
        });
        all[at].1.push(row);
    }
    Ok(all)
}

/// Refuses times of a series that do not come one after the other. `rows` says where they are.
pub(crate) fn check_times(column: &str, times: &[Timestamp], rows: &[usize]) -> anyhow::Result<()> {
    for pair in rows.windows(2) {
        let (before, at) = (times[pair[0]], times[pair[1]]);
        let row = pair[1] + 1;
        if at == before {
            bail!("row {row}, column `{column}`: {at} appears twice");
        }
        if at < before {
            bail!(
                "row {row}, column `{column}`: {at} comes after {before}; sort the table by time, or name the series with \
                 --series-column"
            );
        }
    }
    Ok(())
}

/// Refuses infinite values of a series. `rows` says where they are.
pub(crate) fn check_finite(column: &str, values: &[f64], rows: &[usize]) -> anyhow::Result<()> {
    match rows.iter().find(|&&row| values[row].is_infinite()) {
        None => Ok(()),
        Some(&row) => bail!("row {}, column `{column}`: {} is not finite", row + 1, values[row]),
    }
}

/// A panel and how it came about.
pub(crate) struct Input {
    pub(crate) panel: Panel,
    /// For events: where each of them went.
    pub(crate) ingest: Option<IngestReport>,
    /// Rows read.
    pub(crate) rows: usize,
    /// Series that could not be read.
    pub(crate) failures: Vec<SeriesFailure>,
    /// Rows that went into another row of the same window.
    pub(crate) duplicates: usize,
    /// Rows far from all others, which are left out.
    pub(crate) strays: Vec<StrayRow>,
    /// The events, where they have dimensions over which causes can be located.
    events: Option<Table>,
}

impl Input {
    /// Finds out where incidents happened, of those that are `wanted` the most urgent and those of the
    /// site, if events with dimensions were read.
    pub(crate) fn locate(
        &self,
        findings: &mut Findings,
        config: &Config,
        wanted: impl Fn(&Incident) -> bool,
    ) -> anyhow::Result<()> {
        let Some(table) = &self.events else { return Ok(()) };
        let site = findings.site_incidents().iter();
        let urgent: Vec<&Incident> = site.chain(findings.incidents()).filter(|i| wanted(i)).take(MAX_LOCATED).collect();
        if urgent.is_empty() {
            return Ok(());
        }
        let windows = windows_of_incidents(urgent.iter().copied(), config.input.step_seconds, HISTORY_DAYS);
        let chosen: BTreeSet<String> = urgent.iter().map(|i| i.id.clone()).collect();
        let cube = read_cube(table, &config.events, config.input.step_seconds, Some(windows))?;
        findings.locate_incidents(&cube, HISTORY_DAYS, &LocalizeConfig::default(), |i| chosen.contains(&i.id));
        Ok(())
    }

    /// Prints where the events went, and rows that are not in the panel as they are in the table.
    pub(crate) fn note_ingest(&self) {
        if let Some(ingest) = &self.ingest {
            output::note(ingest);
        }
        note_rows(self.duplicates, &self.strays);
    }
}

/// How the configuration says that tables are read.
pub(crate) fn read_options(config: &Config) -> ReadOptions {
    config.detectors.get(READ).cloned().unwrap_or_default()
}

/// Prints which rows did not become rows of their own.
fn note_rows(duplicates: usize, strays: &[StrayRow]) {
    const SHOWN: usize = 5;
    if duplicates > 0 {
        output::note(format_args!("{} merged into another of the same window", counted(duplicates, "row", "rows")));
    }
    if !strays.is_empty() {
        let (count, shown) = (strays.len(), strays.iter().take(SHOWN));
        output::warn(format_args!("warning: {} far from all others in time set aside:", counted(count, "row", "rows")));
        for stray in shown {
            output::warn(format_args!("  {stray}"));
        }
        if count > SHOWN {
            output::warn(format_args!("  ... and {} more", count - SHOWN));
        }
    }
}

/// Reads events or hourly rows, whichever it is.
pub(crate) fn read(path: &Path, config: &Config) -> anyhow::Result<Input> {
    let input = read_unlogged(path, config)?;
    let kind = if input.ingest.is_some() { "events" } else { "hourly rows" };
    tracing::info!(path = %path.display(), kind, rows = input.rows, series = input.panel.len(), "read");
    Ok(input)
}

fn read_unlogged(path: &Path, config: &Config) -> anyhow::Result<Input> {
    let columns = Some(wanted_columns(&config.input, &config.events));
    let options = ReadOptions { columns, ..read_options(config) };
    // Events are only kept where their causes are to be located.
    if config.events.further_dimensions().next().is_none()
        && let Some((gold, rows)) = scan_events(path, &options, &config.input, &config.events)?
    {
        return of_events(path, gold, rows, None);
    }
    let table = Table::read_with(path, &options)?;
    match recognise(&table, &config.input, &config.events)? {
        InputKind::Events => {
            let gold = read_events(&table, &config.events, config.input.step_seconds)?;
            let rows = table.num_rows();
            of_events(path, gold, rows, Some(table))
        }
        InputKind::Hourly => {
            let PanelRead { panel, problems, rows_read, duplicates, strays, .. } = read_panel(&table, &config.input)?;
            let failures: Vec<SeriesFailure> =
                problems.into_iter().map(|p| SeriesFailure { series: p.series, message: p.message }).collect();
            if panel.is_empty() {
                let mut shown: Vec<String> =
                    failures.iter().take(5).map(|f| format!("\n  {}: {}", f.series, f.message)).collect();
                if failures.len() > shown.len() {
                    shown.push(format!("\n  ... and {} more", failures.len() - shown.len()));
                }
                bail!("{}: no series can be used{}", path.display(), shown.concat());
            }
            Ok(Input { panel, ingest: None, rows: rows_read, failures, duplicates, strays, events: None })
        }
    }
}

/// The input that events add up to.
fn of_events(path: &Path, gold: Gold, rows: usize, events: Option<Table>) -> anyhow::Result<Input> {
    if gold.panel.is_empty() {
        bail!("{}: not one event could be counted\n{}", path.display(), gold.report);
    }
    let (panel, strays) = set_aside_strays(gold.panel)?;
    Ok(Input { panel, ingest: Some(gold.report), rows, failures: Vec::new(), duplicates: 0, strays, events })
}
